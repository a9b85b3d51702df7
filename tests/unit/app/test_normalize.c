/* The core of `dataflow normalize`: lines of every kind in, events, refused lines and counts out. */
#include "app/normalize.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#define FRAME                                                                                                                    \
    "{\"e\":\"trade\",\"E\":1700000000000,\"s\":\"BTCUSDT\",\"t\":%d,\"p\":\"1\",\"q\":\"1\",\"T\":1700000000000,\"m\":true,"    \
    "\"M\":true}"
#define ESCAPED                                                                                                                  \
    "{\\\"e\\\":\\\"trade\\\",\\\"E\\\":1700000000000,\\\"s\\\":\\\"BTCUSDT\\\",\\\"t\\\":%d,\\\"p\\\":\\\"1\\\",\\\"q\\\":"     \
    "\\\"1\\\",\\\"T\\\":1700000000000,"                                                                                         \
    "\\\"m\\\":true,\\\"M\\\":true}"

static int temporary_file(void)
{
    char path[] = "/tmp/test_normalize.XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    unlink(path);
    return file;
}

static void read_back(int file, struct buffer *out)
{
    char block[4096];
    ssize_t got;
    lseek(file, 0, SEEK_SET);
    while ((got = read(file, block, sizeof block)) > 0)
        buffer_append(out, bytes_of(block, (size_t)got));
}

struct outcome {
    struct buffer events, rejects;
    struct normalize_counts counts;
    struct source_statistics statistics;
};

static void normalize(struct bytes input, struct outcome *outcome)
{
    struct error error;
    struct source_options options = {.kind = BYTES("binance"), .argument = BYTES(""), .base_url = BYTES("")};
    struct normalize_options work = {
        .source = source_create(&options, &error), .out = temporary_file(), .rejects = temporary_file()};
    struct normalize *made = normalize_create(&work, &error);
    assert_non_null(made);
    int in = temporary_file();
    assert_int_equal(write(in, input.at, input.length), input.length);
    lseek(in, 0, SEEK_SET);
    assert_int_equal(normalize_file(made, in, "input", &error), NORMALIZE_DONE);
    buffer_init(&outcome->events, 64 << 20);
    buffer_init(&outcome->rejects, 64 << 20);
    read_back(work.out, &outcome->events);
    read_back(work.rejects, &outcome->rejects);
    outcome->counts = *normalize_counts(made);
    outcome->statistics = *source_statistics(work.source);
    normalize_destroy(made);
    source_destroy(work.source);
    close(in);
    close(work.out);
    close(work.rejects);
}

static void release(struct outcome *outcome)
{
    buffer_release(&outcome->events);
    buffer_release(&outcome->rejects);
}

static size_t count_lines(const struct buffer *text)
{
    size_t count = 0;
    for (size_t i = 0; i < text->length; i++)
        count += text->at[i] == '\n';
    return count;
}

static void test_kinds_of_lines(void **state)
{
    (void)state;
    struct buffer input;
    struct outcome outcome;
    buffer_init(&input, 8 << 20);
    buffer_printf(&input, FRAME "\r\n\n", 1);
    buffer_printf(&input, "{\"received\":\"2026-01-01T00:00:00.000001Z\",\"frame\":\"" ESCAPED "\"}\n", 2);
    buffer_printf(&input, "{\"frame\":\"" ESCAPED "\",\"source\":\"binance:BTC-USDT\",\"event\":\"frame\"}\n", 3);
    buffer_printf(&input, "{\"frame\":\"" ESCAPED "\",\"source\":\"coinbase:BTC-USD\"}\n", 4);
    BUFFER_LITERAL(&input,
                   "{\"event\":\"open\",\"frame\":\"wss://…\"}\n{\"received\":\"2026-01-01T00:00:00Z\",\"event\":\"close\"}\n");
    BUFFER_LITERAL(&input, "{\"frame\":5}\nnonsense\n{\"received\":\"yesterday\",\"frame\":\"{}\"}\n");
    buffer_printf(&input, FRAME, 4); /* no newline at the end */
    normalize(buffer_bytes(&input), &outcome);
    assert_int_equal(outcome.counts.lines, 11);
    assert_int_equal(outcome.counts.blank, 1);
    assert_int_equal(outcome.counts.aside, 3);
    assert_int_equal(outcome.counts.refused, 3);
    assert_int_equal(outcome.counts.refused_by[REJECT_WRONG_TYPE], 1);
    assert_int_equal(outcome.counts.refused_by[REJECT_MALFORMED_JSON], 1);
    assert_int_equal(outcome.counts.refused_by[REJECT_BAD_TIME], 1);
    assert_int_equal(outcome.statistics.events, 4);
    assert_int_equal(outcome.statistics.gaps, 0);
    assert_int_equal(count_lines(&outcome.events), 4);
    assert_int_equal(count_lines(&outcome.rejects), 3);
    assert_non_null(memmem(outcome.events.at, outcome.events.length, "\"received\":\"2026-01-01T00:00:00.000001Z\"", 40));
    assert_non_null(memmem(outcome.rejects.at, outcome.rejects.length,
                           "{\"line\":9,\"reason\":\"malformed_json\",\"frame\":\"nonsense\"}", 54));
    release(&outcome);
    buffer_release(&input);
}

/* A line beyond the cap is counted and skipped, wherever the blocks of the file end. */
static void test_too_long(void **state)
{
    (void)state;
    struct buffer input;
    struct outcome outcome;
    buffer_init(&input, 16 << 20);
    for (int round = 0; round < 3; round++) {
        buffer_printf(&input, FRAME "\n", 2 * round + 1);
        for (size_t i = 0; i < (size_t)NORMALIZE_LINE_CAP + 1 + (size_t)round * 700000; i++)
            buffer_byte(&input, 'x');
        buffer_printf(&input, "\n" FRAME "\n", 2 * round + 2);
    }
    normalize(buffer_bytes(&input), &outcome);
    assert_int_equal(outcome.counts.lines, 9);
    assert_int_equal(outcome.counts.refused_by[REJECT_TOO_LONG], 3);
    assert_int_equal(outcome.statistics.events, 6);
    assert_int_equal(outcome.statistics.gaps, 0);
    assert_true(outcome.rejects.length < 20000);
    release(&outcome);
    buffer_release(&input);
}

/* More lines than a batch and a block hold; every third is refused, and told with its own number. */
static void test_many(void **state)
{
    (void)state;
    enum { LINES = 30000 };
    struct buffer input, expected;
    struct outcome outcome;
    buffer_init(&input, 64 << 20);
    buffer_init(&expected, 64 << 20);
    for (int i = 1; i <= LINES; i++) {
        if (i % 3 == 0) {
            buffer_printf(&input, "%d\n", i);
            buffer_printf(&expected, "{\"line\":%d,\"reason\":\"wrong_type\",\"frame\":\"%d\"}\n", i, i);
        } else {
            buffer_printf(&input, FRAME "\n", i - i / 3);
        }
    }
    normalize(buffer_bytes(&input), &outcome);
    assert_int_equal(outcome.statistics.events, LINES - LINES / 3);
    assert_int_equal(outcome.statistics.gaps, 0);
    assert_int_equal(outcome.rejects.length, expected.length);
    assert_memory_equal(outcome.rejects.at, expected.at, expected.length);
    release(&outcome);
    buffer_release(&expected);
    buffer_release(&input);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds_of_lines),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
