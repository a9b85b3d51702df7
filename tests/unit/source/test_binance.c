/* The Binance adapter: frames to events against tests/golden/binance_oracle.py, and the life of its connections. */
#include "source/source_internal.h"

#include "base/lines.h"
#include "source/recording.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND_US ((int64_t)1000000)
#define HOUR_US (3600 * SECOND_US)

enum { FRAMES_MAX = 1024 };

static struct source_output output;

static int set_up(void **state)
{
    (void)state;
    output.batch = event_batch_create(4);
    source_output_reset(&output);
    return output.batch ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    event_batch_destroy(output.batch);
    return 0;
}

static struct source *make(const char *argument, const char *base_url)
{
    struct error error;
    struct source_options options = {
        .kind = BYTES("binance"), .argument = bytes_of_string(argument), .base_url = bytes_of_string(base_url), .seed = 1};
    struct source *source = source_create_of(&source_binance, &options, &error);
    if (!source)
        fail_msg("%s", error.text);
    return source;
}

/* ---- golden files ---- */

struct golden {
    struct source_input inputs[FRAMES_MAX];
    size_t count;
    struct arena arena;
};

static void read_frames(struct golden *golden, const char *stem)
{
    char path[512];
    struct lines lines;
    struct error error;
    struct bytes line;
    snprintf(path, sizeof path, TEST_DATA "/binance/%s.frames.jsonl", stem);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(file >= 0);
    assert_int_equal(lines_init(&lines, file, 1 << 20, &error), 0);
    arena_init(&golden->arena, 64 << 20);
    golden->count = 0;
    while (lines_next(&lines, &line, &error) == LINES_LINE) {
        struct source_input *input = &golden->inputs[golden->count++];
        struct recording_line recorded;
        assert_true(golden->count <= FRAMES_MAX);
        *input = (struct source_input){.kind = SOURCE_FRAME, .now_us = TIME_UNKNOWN};
        if (recording_line_parse(line, &golden->arena, &recorded) == REJECT_NONE) {
            input->frame = recorded.frame;
            input->now_us = recorded.received_us;
        } else {
            input->frame = arena_copy(&golden->arena, line);
        }
    }
    lines_release(&lines);
    close(file);
}

static void read_file(const char *stem, const char *ending, struct buffer *out)
{
    char path[512], block[4096];
    ssize_t got;
    snprintf(path, sizeof path, TEST_DATA "/binance/%s%s", stem, ending);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(file >= 0);
    while ((got = read(file, block, sizeof block)) > 0)
        buffer_append(out, bytes_of(block, (size_t)got));
    close(file);
}

static uint64_t count_of(const struct source_statistics *statistics, struct bytes name)
{
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {
        {"frames", statistics->frames},         {"created", statistics->created},   {"events", statistics->events},
        {"rejected", statistics->rejected},     {"filtered", statistics->filtered}, {"gaps", statistics->gaps},
        {"duplicates", statistics->duplicates}, {"missing", statistics->missing},
    };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (bytes_equal(name, bytes_of_string(counts[i].name)))
            return counts[i].value;
    for (unsigned i = 0; i < REJECT_REASON_COUNT; i++)
        if (bytes_start_with(name, BYTES("rejected_")) && bytes_equal(bytes_skip(name, 9), reject_reason_name(i)))
            return statistics->rejected_by[i];
    fail_msg("no such count: %.*s", BYTES_ARG(name));
    return 0;
}

static void check_counts(const char *stem, const struct source_statistics *statistics)
{
    struct buffer text;
    buffer_init(&text, 1 << 20);
    read_file(stem, ".counts.tsv", &text);
    struct bytes rest = buffer_bytes(&text);
    uint64_t rejected = 0;
    while (rest.length > 0) {
        struct bytes line = bytes_split(rest, '\n', &rest), value, name = bytes_split(line, '\t', &value);
        uint64_t expected;
        assert_true(bytes_to_u64(value, &expected));
        if (count_of(statistics, name) != expected)
            fail_msg("%s: %.*s is %llu instead of %.*s", stem, BYTES_ARG(name), (unsigned long long)count_of(statistics, name),
                     BYTES_ARG(value));
        rejected += bytes_start_with(name, BYTES("rejected_")) ? expected : 0;
    }
    assert_int_equal(statistics->rejected, rejected);
    buffer_release(&text);
}

/* All frames in batches of this size; the events as text. */
static void play(const struct golden *golden, struct source *source, size_t batch, struct buffer *out)
{
    for (size_t i = 0; i < golden->count; i += batch) {
        size_t count = golden->count - i < batch ? golden->count - i : batch;
        source_read(source, golden->inputs + i, count, &output);
        for (size_t j = 0; j < output.batch->count; j++) {
            event_write(&output.batch->events[j], out);
            buffer_byte(out, '\n');
        }
        event_batch_reset(output.batch);
        source_output_reset(&output);
    }
    assert_false(out->failed);
}

static void check_golden(const char *stem)
{
    static struct golden golden;
    static const size_t batches[] = {1, 7, 64, FRAMES_MAX};
    struct buffer expected;
    buffer_init(&expected, 16 << 20);
    read_file(stem, ".events.jsonl", &expected);
    read_frames(&golden, stem);
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
        struct source *source = make("", "");
        struct buffer out;
        buffer_init(&out, 16 << 20);
        play(&golden, source, batches[i], &out);
        assert_int_equal(out.length, expected.length);
        assert_memory_equal(out.at, expected.at, expected.length);
        check_counts(stem, source_statistics(source));
        buffer_release(&out);
        source_destroy(source);
    }
    arena_release(&golden.arena);
    buffer_release(&expected);
}

static void test_golden(void **state)
{
    (void)state;
    check_golden("binance");
    check_golden("binance_us");
    check_golden("scenarios");
}

/* A batch whose memory is small: refused for that reason, and the ledger (asserted inside) balances. */
static void test_no_memory(void **state)
{
    (void)state;
    static struct golden golden;
    read_frames(&golden, "scenarios");
    for (size_t cap = 0; cap < 40000; cap = cap * 2 + 64) {
        struct source *source = make("", "");
        struct source_output small = {.batch = event_batch_create(1)};
        small.batch->arena.cap_bytes = cap;
        source_read(source, golden.inputs, golden.count, &small);
        const struct source_statistics *statistics = source_statistics(source);
        assert_int_equal(statistics->frames, golden.count);
        assert_true(cap > 20000 || statistics->rejected_by[REJECT_NO_MEMORY] > 0);
        assert_int_equal(small.batch->count, statistics->events);
        event_batch_destroy(small.batch);
        source_destroy(source);
    }
    arena_release(&golden.arena);
}

/* ---- connections ---- */

static void forget_output(void)
{
    event_batch_reset(output.batch);
    source_output_reset(&output);
}

static void give(struct source *source, enum source_input_kind kind, uint32_t connection, int64_t now_us, const char *frame)
{
    struct source_input input = {.kind = kind, .connection = connection, .now_us = now_us, .frame = bytes_of_string(frame)};
    forget_output();
    source_read(source, &input, 1, &output);
}

static enum source_state state_of(const struct source *source)
{
    return source_statistics(source)->state;
}

static void assert_action(size_t index, enum source_action_kind kind, uint32_t connection, const char *text)
{
    assert_true(index < output.action_count);
    assert_int_equal(output.actions[index].kind, kind);
    assert_int_equal(output.actions[index].connection, connection);
    if (!bytes_equal(output.actions[index].text, bytes_of_string(text)))
        fail_msg("%.*s instead of %s", BYTES_ARG(output.actions[index].text), text);
}

#define ADDRESS                                                                                                                  \
    "ws://127.0.0.1:1/stream?streams=btcusdt@aggTrade/btcusdt@kline_1m/btcusdt@bookTicker/ethbtc@aggTrade/ethbtc@kline_1m/"      \
    "ethbtc@bookTicker"

static struct source *make_live(int64_t now_us)
{
    struct source *source = make("BTC-USDT, eth-btc", "ws://127.0.0.1:1/");
    forget_output();
    source_connect(source, now_us, &output);
    assert_int_equal(state_of(source), SOURCE_CONNECTING);
    assert_int_equal(output.action_count, 1);
    assert_action(0, SOURCE_OPEN, 1, ADDRESS);
    give(source, SOURCE_OPENED, 1, now_us + SECOND_US, NULL);
    assert_int_equal(state_of(source), SOURCE_LIVE);
    return source;
}

static void test_address(void **state)
{
    (void)state;
    source_destroy(make_live(0));
    struct source *source = make("SOL-USDT", "");
    forget_output();
    source_connect(source, 0, &output);
    assert_action(0, SOURCE_OPEN, 1,
                  "wss://data-stream.binance.vision/stream?streams=solusdt@aggTrade/solusdt@kline_1m/solusdt@bookTicker");
    source_destroy(source);
}

static void test_wrong_arguments(void **state)
{
    (void)state;
    static const char *const wrong[] = {"BTCUSDT", "BTC-USDT,", ",", "BTC-USDT,,ETH-USDT", "BTC/USDT", "-"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct error error = {""};
        struct source_options options = {.kind = BYTES("binance"), .argument = bytes_of_string(wrong[i])};
        struct source *source = source_create_of(&source_binance, &options, &error);
        if (source)
            fail_msg("taken: %s", wrong[i]);
        assert_non_null(strstr(error.text, "BTC-USDT"));
    }
    struct source *source = make("", "");
    forget_output();
    source_connect(source, 5, &output);
    assert_int_equal(state_of(source), SOURCE_FAILED);
    assert_int_equal(output.action_count, 0);
    source_destroy(source);
}

#define TRADE(id)                                                                                                                \
    "{\"e\":\"aggTrade\",\"E\":1700000000000,\"s\":\"BTCUSDT\",\"a\":" #id ",\"p\":\"1\",\"q\":\"1\",\"f\":" #id ",\"l\":" #id   \
    ",\"T\":1700000000000,\"m\":true,\"M\":true}"

/* After 23 hours a second connection takes over; what both say is told once. */
static void test_rotation(void **state)
{
    (void)state;
    struct source *source = make_live(0);
    int64_t now_us = 23 * HOUR_US + SECOND_US;
    give(source, SOURCE_FRAME, 1, now_us - SECOND_US / 2, TRADE(1));
    assert_int_equal(output.wake_at_us, now_us);
    give(source, SOURCE_TICK, 0, now_us, NULL);
    assert_int_equal(output.action_count, 1);
    assert_action(0, SOURCE_OPEN, 2, ADDRESS);
    give(source, SOURCE_FRAME, 1, now_us, TRADE(2));
    give(source, SOURCE_OPENED, 2, now_us + SECOND_US, NULL);
    assert_int_equal(output.wake_at_us, now_us + 11 * SECOND_US);
    give(source, SOURCE_FRAME, 1, now_us + 2 * SECOND_US, TRADE(3));
    assert_int_equal(output.batch->count, 1);
    give(source, SOURCE_FRAME, 2, now_us + 2 * SECOND_US, TRADE(3));
    assert_int_equal(output.batch->count, 0);
    give(source, SOURCE_TICK, 0, now_us + 11 * SECOND_US, NULL);
    assert_int_equal(output.action_count, 1);
    assert_action(0, SOURCE_CLOSE, 1, "");
    assert_int_equal(state_of(source), SOURCE_LIVE);
    source_error(source, 1, 1000, BYTES("bye"), now_us + 12 * SECOND_US, &output); /* the old one is gone: no matter */
    assert_int_equal(state_of(source), SOURCE_LIVE);
    give(source, SOURCE_FRAME, 2, now_us + 13 * SECOND_US, TRADE(4));
    assert_int_equal(output.batch->count, 1);
    assert_int_equal(source_statistics(source)->duplicates, 1);
    assert_int_equal(source_statistics(source)->gaps, 0);
    assert_int_equal(source_statistics(source)->reconnects, 0);
    source_destroy(source);
}

static void test_shutdown_notice(void **state)
{
    (void)state;
    struct source *source = make_live(0);
    give(source, SOURCE_FRAME, 1, 2 * SECOND_US, "{\"e\":\"serverShutdown\",\"E\":1770123456789}");
    assert_int_equal(output.action_count, 1);
    assert_action(0, SOURCE_OPEN, 2, ADDRESS);
    give(source, SOURCE_FRAME, 1, 2 * SECOND_US, "{\"e\":\"serverShutdown\",\"E\":1770123456789}");
    assert_int_equal(output.action_count, 0); /* once is enough */
    /* The server closes before the successor is open. */
    forget_output();
    source_error(source, 1, 1001, BYTES("going away"), 3 * SECOND_US, &output);
    assert_int_equal(state_of(source), SOURCE_CONNECTING);
    assert_int_equal(output.action_count, 0);
    give(source, SOURCE_OPENED, 2, 4 * SECOND_US, NULL);
    assert_int_equal(state_of(source), SOURCE_LIVE);
    source_destroy(source);
}

/* A successor that cannot be opened is tried again; the current connection stays. */
static void test_rotation_fails(void **state)
{
    (void)state;
    struct source *source = make_live(0);
    give(source, SOURCE_FRAME, 1, 2 * SECOND_US, "{\"e\":\"serverShutdown\",\"E\":1770123456789}");
    forget_output();
    source_error(source, 2, SOURCE_CLOSED_UNREACHABLE, BYTES("refused"), 3 * SECOND_US, &output);
    assert_int_equal(state_of(source), SOURCE_LIVE);
    assert_true(output.wake_at_us <= 4 * SECOND_US);
    give(source, SOURCE_TICK, 0, output.wake_at_us, NULL);
    assert_action(0, SOURCE_OPEN, 3, ADDRESS);
    source_destroy(source);
}

/* Closed by the other side: backs off, tries again, and tells what it missed. */
static void test_reconnect(void **state)
{
    (void)state;
    struct source *source = make_live(0);
    give(source, SOURCE_FRAME, 1, 2 * SECOND_US, TRADE(1));
    forget_output();
    source_error(source, 1, 1006, BYTES("reset by peer"), 3 * SECOND_US, &output);
    assert_int_equal(state_of(source), SOURCE_BACKING_OFF);
    assert_non_null(strstr(source_last_error(source), "reset by peer"));
    int64_t again_us = output.wake_at_us;
    assert_true(again_us >= 3 * SECOND_US && again_us <= 4 * SECOND_US);
    give(source, SOURCE_TICK, 0, again_us - 1, NULL);
    assert_int_equal(output.action_count, 0);
    give(source, SOURCE_TICK, 0, again_us, NULL);
    assert_action(0, SOURCE_OPEN, 2, ADDRESS);
    assert_int_equal(source_statistics(source)->reconnects, 1);
    give(source, SOURCE_OPENED, 2, again_us + 1, NULL);
    give(source, SOURCE_FRAME, 2, again_us + 2, TRADE(5));
    assert_int_equal(output.batch->count, 2);
    assert_int_equal(output.batch->events[0].kind, EVENT_GAP);
    assert_int_equal(output.batch->events[0].gap.first_missing, 2);
    assert_int_equal(output.batch->events[0].gap.last_missing, 4);
    source_destroy(source);
}

static void test_silence(void **state)
{
    (void)state;
    struct source *source = make_live(0);
    give(source, SOURCE_FRAME, 1, 2 * SECOND_US, TRADE(1));
    assert_int_equal(output.wake_at_us, 62 * SECOND_US);
    give(source, SOURCE_TICK, 0, 62 * SECOND_US, NULL);
    assert_int_equal(state_of(source), SOURCE_STALE);
    assert_int_equal(output.wake_at_us, 182 * SECOND_US);
    give(source, SOURCE_FRAME, 1, 70 * SECOND_US, TRADE(2));
    assert_int_equal(state_of(source), SOURCE_LIVE);
    give(source, SOURCE_TICK, 0, 250 * SECOND_US, NULL);
    assert_action(0, SOURCE_CLOSE, 1, "");
    assert_int_equal(state_of(source), SOURCE_BACKING_OFF);
    source_destroy(source);
}

static void test_close(void **state)
{
    (void)state;
    struct source *source = make_live(0);
    forget_output();
    source_close(source, SECOND_US, &output);
    assert_action(0, SOURCE_CLOSE, 1, "");
    assert_int_equal(state_of(source), SOURCE_ENDED);
    assert_true(output.wake_at_us == INT64_MAX);
    give(source, SOURCE_FRAME, 1, 2 * SECOND_US, TRADE(1));
    assert_int_equal(output.batch->count, 0);
    assert_int_equal(source_statistics(source)->filtered, 1);
    give(source, SOURCE_TICK, 0, 25 * HOUR_US, NULL);
    assert_int_equal(output.action_count, 0);
    source_destroy(source);
}

static void test_exchange_error(void **state)
{
    (void)state;
    struct source *source = make_live(0);
    give(source, SOURCE_FRAME, 1, 2 * SECOND_US, "{\"error\":{\"code\":2,\"msg\":\"Invalid request\"},\"id\":1}");
    assert_non_null(strstr(source_last_error(source), "Invalid request"));
    assert_int_equal(state_of(source), SOURCE_LIVE);
    source_destroy(source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),          cmocka_unit_test(test_no_memory),      cmocka_unit_test(test_address),
        cmocka_unit_test(test_wrong_arguments), cmocka_unit_test(test_rotation),       cmocka_unit_test(test_shutdown_notice),
        cmocka_unit_test(test_rotation_fails),  cmocka_unit_test(test_reconnect),      cmocka_unit_test(test_silence),
        cmocka_unit_test(test_close),           cmocka_unit_test(test_exchange_error),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
