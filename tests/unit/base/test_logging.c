/* Logs: standard error goes to a file, time is simulated. */
#include "base/logging.h"

#include "base/random.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#define MINUTE 60000000LL

static int64_t clock_us;

static int64_t simulated_us(const struct env *env)
{
    (void)env;
    return clock_us;
}

static int64_t simulated_wall_us(const struct env *env)
{
    (void)env;
    return 1774000000123456 + clock_us;
}

static const struct env simulated = {.now_us = simulated_wall_us, .monotonic_us = simulated_us};

/* ---- what was printed ---- */

static int kept_stderr;
static FILE *capture;

static int setup(void **state)
{
    (void)state;
    log_flush();
    clock_us += 10 * MINUTE; /* what earlier tests printed is old */
    log_use_env(&simulated);
    log_configure(LOG_INFO, LOG_FORMAT_JSON);
    capture = tmpfile();
    kept_stderr = dup(STDERR_FILENO);
    return capture && kept_stderr >= 0 && dup2(fileno(capture), STDERR_FILENO) >= 0 ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    log_flush();
    dup2(kept_stderr, STDERR_FILENO);
    close(kept_stderr);
    fclose(capture);
    return 0;
}

/* All that was printed since the last call. */
static struct bytes take_output(void)
{
    static char text[4 << 20];
    ssize_t length = pread(fileno(capture), text, sizeof text - 1, 0);
    assert_true(length >= 0);
    text[length] = '\0';
    assert_int_equal(ftruncate(fileno(capture), 0), 0);
    assert_int_equal(lseek(fileno(capture), 0, SEEK_SET), 0);
    return bytes_of(text, (size_t)length);
}

static size_t count_lines(struct bytes text)
{
    size_t lines = 0;
    for (size_t i = 0; i < text.length; i++)
        lines += text.at[i] == '\n';
    return lines;
}

static void expect_output(const char *expected)
{
    struct bytes text = take_output();
    if (!bytes_equal(text, bytes_of_string(expected)))
        fail_msg("printed: %.*s\nexpected: %s", BYTES_ARG(text), expected);
}

/* ---- a strict reader of one JSON line, from RFC 8259 ---- */

static const char *skip_json_string(const char *at)
{
    assert_int_equal(*at++, '"');
    while (*at != '"') {
        unsigned char c = (unsigned char)*at++;
        assert_true(c >= 0x20);
        if (c == '\\') {
            char name = *at++;
            assert_non_null(strchr("\"\\/bfnrtu", name));
            for (int i = 0; name == 'u' && i < 4; i++, at++)
                assert_non_null(strchr("0123456789abcdef", *at));
        }
    }
    return at + 1;
}

/* Checks the line and returns how many messages it stands for. */
static uint64_t read_json_line(struct bytes line)
{
    static char text[16384];
    assert_true(line.length < sizeof text && bytes_is_utf8(line));
    memcpy(text, line.at, line.length);
    text[line.length] = '\0';
    static const char *const keys[] = {"{\"time\":", ",\"level\":", ",\"event\":", ",\"message\":"};
    const char *at = text;
    for (size_t i = 0; i < 4; i++) {
        assert_memory_equal(at, keys[i], strlen(keys[i]));
        at = skip_json_string(at + strlen(keys[i]));
    }
    unsigned long long repeated = 0;
    if (*at == ',') {
        assert_memory_equal(at, ",\"repeated\":", 12);
        char *end;
        repeated = strtoull(at + 12, &end, 10);
        at = end;
    }
    assert_string_equal(at, "}");
    return repeated + 1;
}

static uint64_t read_json_lines(struct bytes text)
{
    uint64_t messages = 0;
    while (text.length > 0) {
        struct bytes line = bytes_split(text, '\n', &text);
        assert_non_null(text.at); /* the last line is whole as well */
        messages += read_json_line(line);
    }
    return messages;
}

/* ---- tests ---- */

static void test_formats(void **state)
{
    (void)state;
    clock_us = 0;
    log_event(LOG_WARNING, "source_failed", "binance: %s; next try in %d s", "refused", 2);
    expect_output("{\"time\":\"2026-03-20T09:46:40.123456Z\",\"level\":\"warning\",\"event\":\"source_failed\","
                  "\"message\":\"binance: refused; next try in 2 s\"}\n");
    log_configure(LOG_INFO, LOG_FORMAT_TEXT);
    log_event(LOG_ERROR, "disk_full", "no room");
    expect_output("09:46:40 error   no room\n");
    log_configure(LOG_INFO, LOG_FORMAT_AUTO); /* a file is no terminal */
    log_event(LOG_INFO, "ready", "ready");
    assert_int_equal(read_json_lines(take_output()), 1);
}

static void test_levels(void **state)
{
    (void)state;
    uint64_t debug = log_count(LOG_DEBUG), info = log_count(LOG_INFO);
    log_event(LOG_DEBUG, "detail", "not wanted");
    expect_output("");
    log_configure(LOG_DEBUG, LOG_FORMAT_JSON);
    log_event(LOG_DEBUG, "detail", "wanted");
    assert_int_equal(read_json_lines(take_output()), 1);
    log_configure(LOG_ERROR, LOG_FORMAT_JSON);
    log_event(LOG_INFO, "detail", "not wanted either");
    expect_output("");
    assert_int_equal(log_count(LOG_DEBUG) - debug, 2);
    assert_int_equal(log_count(LOG_INFO) - info, 1);
    enum log_level level = LOG_INFO;
    assert_true(log_level_parse(BYTES("warning"), &level));
    assert_int_equal(level, LOG_WARNING);
    assert_false(log_level_parse(BYTES("warn"), &level));
    assert_false(log_level_parse(BYTES_NONE, &level));
}

static void test_repeats(void **state)
{
    (void)state;
    log_configure(LOG_INFO, LOG_FORMAT_TEXT);
    clock_us = 20 * MINUTE;
    for (int i = 0; i < 5; i++)
        log_event(LOG_INFO, "refused", "again");
    log_event(LOG_INFO, "other", "again"); /* the same text of another event is another cause */
    log_event(LOG_INFO, "refused", "differs");
    expect_output("10:06:40 info    again\n10:06:40 info    again\n10:06:40 info    differs\n");
    clock_us += MINUTE - 1;
    log_event(LOG_INFO, "refused", "again");
    expect_output("");
    clock_us += 1;
    log_event(LOG_INFO, "refused", "again");
    expect_output("10:07:40 info    again (5 times more)\n");
    log_event(LOG_INFO, "refused", "again");
    log_event(LOG_INFO, "refused", "again");
    clock_us += MINUTE;
    log_event(LOG_INFO, "unrelated", "the minute is over");
    expect_output("10:08:40 info    the minute is over\n10:08:40 info    again (1 times more)\n");
    log_event(LOG_INFO, "refused", "again"); /* within a minute of that line */
    expect_output("");
    log_flush();
    expect_output("10:08:40 info    again\n");
    log_flush();
    expect_output("");
}

/* Whatever happens, the lines stand for as many messages as there were. */
static void test_sum_is_exact(void **state)
{
    (void)state;
    struct random random;
    random_seed(&random, 17);
    uint64_t messages = 0, printed = 0;
    for (int round = 0; round < 20000; round++, messages++) {
        /* More causes than are remembered, some often. */
        uint64_t cause = random_below(&random, random_below(&random, 2) ? 200 : 5);
        log_event(LOG_INFO, "cause", "cause %llu", (unsigned long long)cause);
        if (random_below(&random, 100) == 0)
            clock_us += (int64_t)random_below(&random, 2 * MINUTE);
        if (round % 1000 == 999)
            printed += read_json_lines(take_output());
    }
    log_flush();
    printed += read_json_lines(take_output());
    assert_int_equal(printed, messages);
}

static void expect_within(const char *expected)
{
    struct bytes text = take_output();
    if (!memmem(text.at, text.length, expected, strlen(expected)))
        fail_msg("printed: %.*s\nexpected: %s", BYTES_ARG(text), expected);
}

static void test_hostile_text(void **state)
{
    (void)state;
    static const char hostile[] = "a\nb\r\x1b[31m\"\\\x7f\t\xC2\x9B"
                                  "31m \xC3\xA9";
    log_event(LOG_INFO, "hostile", "%s", hostile);
    struct bytes text = take_output();
    assert_int_equal(count_lines(text), 1);
    assert_int_equal(read_json_lines(text), 1);
    log_configure(LOG_INFO, LOG_FORMAT_TEXT);
    log_event(LOG_INFO, "hostile_text", "%s", hostile);
    expect_within("a\\x0ab\\x0d\\x1b[31m\"\\\\x7f\\x09\\x9b31m \xC3\xA9\n");
    log_event(LOG_INFO, "hostile_text", "%s", "\xC3\xA9 \x9B");
    expect_within("\\xc3\\xa9 \\x9b\n"); /* not UTF-8: all escaped */
}

/* Random bytes of every length, past the longest text: one valid line each. */
static void test_random_text(void **state)
{
    (void)state;
    struct random random;
    random_seed(&random, 23);
    for (int format = 0; format < 2; format++) {
        log_configure(LOG_INFO, format ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON);
        for (size_t length = 1; length < 1400; length += 3) {
            char text[1500];
            uint64_t kinds = 1 + random_below(&random, 255);
            for (size_t i = 0; i < length; i++)
                text[i] = (char)(1 + random_below(&random, kinds));
            text[length] = '\0';
            log_event(LOG_INFO, "random", "%s", text);
            struct bytes output = take_output();
            assert_int_equal(count_lines(output), 1);
            if (format == 0)
                assert_int_equal(read_json_lines(output), 1);
            else
                for (size_t i = 0; i < output.length; i++)
                    assert_true((unsigned char)output.at[i] >= 0x20 || output.at[i] == '\n');
        }
    }
}

static void *log_many(void *context)
{
    for (int i = 0; i < 500; i++)
        log_event(LOG_INFO, "thread", "thread %d line %d", *(int *)context, i % 100);
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    pthread_t threads[4];
    int numbers[4];
    for (int i = 0; i < 4; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, &numbers[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    log_flush();
    assert_int_equal(read_json_lines(take_output()), 2000);
}

int main(void)
{
#define LOG_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        LOG_TEST(test_formats),      LOG_TEST(test_levels),      LOG_TEST(test_repeats), LOG_TEST(test_sum_is_exact),
        LOG_TEST(test_hostile_text), LOG_TEST(test_random_text), LOG_TEST(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
