/* The Coinbase adapter: frames to events against tests/golden/coinbase_oracle.py, and the life of its connection. */
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

static struct source *make(const char *argument)
{
    struct error error;
    struct source_options options = {.kind = BYTES("coinbase"), .argument = bytes_of_string(argument), .seed = 1};
    struct source *source = source_create(&options, &error);
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
    snprintf(path, sizeof path, TEST_DATA "/coinbase/%s.frames.jsonl", stem);
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
    snprintf(path, sizeof path, TEST_DATA "/coinbase/%s%s", stem, ending);
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
        struct source *source = make("");
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
    check_golden("coinbase");
    check_golden("scenarios");
}

/* A batch whose memory is small: refused for that reason, and the ledger (asserted inside) balances. */
static void test_no_memory(void **state)
{
    (void)state;
    static struct golden golden;
    read_frames(&golden, "scenarios");
    for (size_t cap = 0; cap < 40000; cap = cap * 2 + 64) {
        struct source *source = make("");
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

/* ---- the connection ---- */

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

#define ADDRESS "wss://ws-feed.exchange.coinbase.com"
#define SUBSCRIPTION                                                                                                             \
    "{\"type\":\"subscribe\",\"product_ids\":[\"BTC-USD\",\"ETH-EUR\"],\"channels\":[\"matches\",\"heartbeat\",\"ticker\"]}"

/* Asks for a connection, and subscribes in the very call that tells of it. */
static struct source *make_live(int64_t now_us)
{
    struct source *source = make("BTC-USD, eth-eur");
    forget_output();
    source_connect(source, now_us, &output);
    assert_int_equal(state_of(source), SOURCE_CONNECTING);
    assert_int_equal(output.action_count, 1);
    assert_action(0, SOURCE_OPEN, 1, ADDRESS);
    give(source, SOURCE_OPENED, 1, now_us + SECOND_US, NULL);
    assert_int_equal(output.action_count, 1);
    assert_action(0, SOURCE_SEND, 1, SUBSCRIPTION);
    assert_int_equal(state_of(source), SOURCE_LIVE);
    return source;
}

static void test_subscription(void **state)
{
    (void)state;
    source_destroy(make_live(0));
    struct error error;
    struct source_options options = {
        .kind = BYTES("coinbase"), .argument = BYTES("SOL-USD"), .base_url = BYTES("ws://127.0.0.1:1"), .seed = 1};
    struct source *source = source_create(&options, &error);
    assert_non_null(source);
    forget_output();
    source_connect(source, 0, &output);
    assert_action(0, SOURCE_OPEN, 1, "ws://127.0.0.1:1");
    source_destroy(source);
}

static void test_wrong_arguments(void **state)
{
    (void)state;
    static const char *const wrong[] = {"BTCUSD", "BTC-USD,", ",", "BTC-USD,,ETH-USD", "BTC/USD", "-", "A-B-C", "A-\"B"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct error error = {""};
        struct source_options options = {.kind = BYTES("coinbase"), .argument = bytes_of_string(wrong[i])};
        if (source_create(&options, &error))
            fail_msg("taken: %s", wrong[i]);
        assert_non_null(strstr(error.text, "BTC-USD"));
    }
    struct source *source = make("");
    forget_output();
    source_connect(source, 5, &output);
    assert_int_equal(state_of(source), SOURCE_FAILED);
    assert_int_equal(output.action_count, 0);
    source_destroy(source);
}

#define MATCH(type, id)                                                                                                          \
    "{\"type\":\"" type "\",\"trade_id\":" #id ",\"maker_order_id\":\"a\",\"taker_order_id\":\"b\",\"side\":\"sell\","           \
    "\"size\":\"0.5\",\"price\":\"100\",\"product_id\":\"BTC-USD\",\"sequence\":9" #id                                           \
    ",\"time\":\"2026-09-21T14:13:20.244075Z\"}"
#define HEARTBEAT(second, last)                                                                                                  \
    "{\"type\":\"heartbeat\",\"last_trade_id\":" #last                                                                           \
    ",\"product_id\":\"BTC-USD\",\"sequence\":7,\"time\":\"2026-09-21T14:13:" #second ".5Z\"}"

static void assert_gap(size_t index, int64_t first, int64_t last, const char *reason)
{
    assert_true(index < output.batch->count);
    const struct event *gap = &output.batch->events[index];
    assert_int_equal(gap->kind, EVENT_GAP);
    assert_int_equal(gap->gap.first_missing, first);
    assert_int_equal(gap->gap.last_missing, last);
    assert_int_equal(gap->gap.count, last - first + 1);
    assert_true(bytes_equal(gap->gap.reason, bytes_of_string(reason)));
}

/* The last trade before us comes again with each connection: once it is new, then it is known, and then it shows a gap. */
static void test_reconnect(void **state)
{
    (void)state;
    struct source *source = make_live(0);
    give(source, SOURCE_FRAME, 1, 2 * SECOND_US, MATCH("last_match", 1));
    assert_int_equal(output.batch->count, 1);
    assert_int_equal(output.batch->events[0].market.side, EVENT_BUY);
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
    give(source, SOURCE_OPENED, 1, again_us + 1, NULL); /* not the one that is awaited */
    assert_int_equal(output.action_count, 0);
    give(source, SOURCE_OPENED, 2, again_us + 1, NULL);
    assert_action(0, SOURCE_SEND, 2, SUBSCRIPTION);
    give(source, SOURCE_FRAME, 2, again_us + 2, MATCH("last_match", 1));
    assert_int_equal(output.batch->count, 0);
    give(source, SOURCE_FRAME, 2, again_us + 3, MATCH("match", 5));
    assert_int_equal(output.batch->count, 2);
    assert_gap(0, 2, 4, "ids_skipped");
    assert_int_equal(source_statistics(source)->duplicates, 1);
    source_destroy(source);
}

/* A heartbeat's word on the last trade has the time of one more heartbeat to come true. */
static void test_heartbeats_show_gaps(void **state)
{
    (void)state;
    struct source *source = make_live(0);
    give(source, SOURCE_FRAME, 1, 2 * SECOND_US, MATCH("last_match", 10));
    give(source, SOURCE_FRAME, 1, 2 * SECOND_US, HEARTBEAT(21, 11));
    give(source, SOURCE_FRAME, 1, 2 * SECOND_US, MATCH("match", 11)); /* they crossed */
    give(source, SOURCE_FRAME, 1, 3 * SECOND_US, HEARTBEAT(22, 13));
    assert_int_equal(output.batch->count, 1);
    give(source, SOURCE_FRAME, 1, 4 * SECOND_US, HEARTBEAT(23, 13));
    assert_int_equal(output.batch->count, 2);
    assert_gap(0, 12, 13, "not_delivered");
    assert_int_equal(output.batch->events[1].kind, EVENT_HEARTBEAT);
    give(source, SOURCE_FRAME, 1, 5 * SECOND_US, HEARTBEAT(24, 13)); /* told once */
    assert_int_equal(output.batch->count, 1);
    give(source, SOURCE_FRAME, 1, 5 * SECOND_US, MATCH("match", 16)); /* what was told is no part of the next gap */
    assert_gap(0, 14, 15, "ids_skipped");
    give(source, SOURCE_FRAME, 1, 6 * SECOND_US, MATCH("match", 12)); /* late, but there */
    assert_int_equal(output.batch->count, 1);
    assert_int_equal(output.batch->events[0].kind, EVENT_TRADE);
    assert_int_equal(source_statistics(source)->missing, 4);
    source_destroy(source);
}

static void test_silence(void **state)
{
    (void)state;
    struct source *source = make_live(0);
    give(source, SOURCE_FRAME, 1, 2 * SECOND_US, HEARTBEAT(21, 1));
    assert_int_equal(output.wake_at_us, 7 * SECOND_US);
    give(source, SOURCE_TICK, 0, 7 * SECOND_US - 1, NULL);
    assert_int_equal(state_of(source), SOURCE_LIVE);
    give(source, SOURCE_TICK, 0, 7 * SECOND_US, NULL);
    assert_int_equal(state_of(source), SOURCE_STALE);
    assert_int_equal(output.wake_at_us, 32 * SECOND_US);
    give(source, SOURCE_FRAME, 1, 10 * SECOND_US, HEARTBEAT(22, 1));
    assert_int_equal(state_of(source), SOURCE_LIVE);
    give(source, SOURCE_TICK, 0, 40 * SECOND_US, NULL);
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
    give(source, SOURCE_FRAME, 1, 2 * SECOND_US, MATCH("match", 1));
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
    give(source, SOURCE_FRAME, 1, 2 * SECOND_US,
         "{\"type\":\"error\",\"message\":\"Failed to subscribe\",\"reason\":\"slow down\"}");
    assert_non_null(strstr(source_last_error(source), "Failed to subscribe: slow down"));
    assert_int_equal(state_of(source), SOURCE_LIVE);
    source_destroy(source);
}

/* Trying again would not help: the source says which product it was, and stops. */
static void test_unknown_product(void **state)
{
    (void)state;
    struct source *source = make_live(0);
    give(source, SOURCE_FRAME, 1, 2 * SECOND_US,
         "{\"type\":\"error\",\"message\":\"Failed to subscribe\",\"reason\":\"ETH-EUR is not a valid product\"}");
    assert_int_equal(state_of(source), SOURCE_FAILED);
    assert_action(0, SOURCE_CLOSE, 1, "");
    assert_non_null(strstr(source_last_error(source), "ETH-EUR is not a valid product"));
    assert_true(output.wake_at_us == INT64_MAX);
    forget_output();
    source_error(source, 1, 1000, BYTES("bye"), 3 * SECOND_US, &output);
    assert_int_equal(state_of(source), SOURCE_FAILED);
    source_close(source, 4 * SECOND_US, &output);
    assert_int_equal(state_of(source), SOURCE_FAILED);
    assert_int_equal(source_statistics(source)->since_us, 2 * SECOND_US);
    source_destroy(source);
}

/* ---- after a restart ---- */

/* All that one run made, read back from its lines, is what the next one goes on from. */
static void test_resume(void **state)
{
    (void)state;
    struct source *before = make_live(0), *after = make_live(0);
    struct buffer lines;
    struct arena arena;
    buffer_init(&lines, 1 << 20);
    arena_init(&arena, 1 << 20);
    static const char *const frames[] = {
        MATCH("last_match", 10), HEARTBEAT(21, 12), HEARTBEAT(22, 12),
        "{\"type\":\"ticker\",\"sequence\":5,\"product_id\":\"BTC-USD\",\"price\":\"1\",\"time\":\"2026-09-21T14:13:20Z\"}"};
    enum { COUNT = sizeof frames / sizeof *frames };
    for (size_t i = 0; i < COUNT; i++) {
        give(before, SOURCE_FRAME, 1, 2 * SECOND_US, frames[i]);
        for (size_t j = 0; j < output.batch->count; j++) {
            event_write(&output.batch->events[j], &lines);
            buffer_byte(&lines, '\n');
        }
    }
    assert_true(source_can_resume(after));
    for (struct bytes rest = buffer_bytes(&lines); rest.length > 0;) {
        struct event event;
        assert_int_equal(event_parse(bytes_split(rest, '\n', &rest), &arena, &event), REJECT_NONE);
        source_resume(after, &event);
    }
    for (size_t i = 0; i < COUNT; i++) {
        give(after, SOURCE_FRAME, 1, 9 * SECOND_US, frames[i]);
        assert_int_equal(output.batch->count, 0);
    }
    assert_int_equal(source_statistics(after)->duplicates, COUNT);
    give(after, SOURCE_FRAME, 1, 9 * SECOND_US, MATCH("last_match", 20));
    assert_int_equal(output.batch->count, 2);
    assert_gap(0, 13, 19, "ids_skipped"); /* 11 and 12 were told before */
    buffer_release(&lines);
    arena_release(&arena);
    source_destroy(before);
    source_destroy(after);
}

/* The trade before a long rest is no longer in what is told, but heartbeats name it: it is known, and what follows is not. */
static void test_resume_from_heartbeats(void **state)
{
    (void)state;
    struct source *source = make_live(0);
    for (int i = 0; i < 3; i++) {
        struct event event = {.source = EVENT_MARKET, .kind = EVENT_HEARTBEAT, .timestamp_us = i * SECOND_US};
        event.market.exchange = BYTES("coinbase");
        event.market.symbol = BYTES("BTC-USD");
        event.metadata = i < 2 ? BYTES("{\"sequence\":7,\"last_trade_id\":40}") : BYTES("{\"sequence\":8,\"last_trade_id\":42}");
        source_resume(source, &event);
    }
    give(source, SOURCE_FRAME, 1, 9 * SECOND_US, HEARTBEAT(29, 42)); /* nothing is told before last_match had time to come */
    assert_int_equal(output.batch->count, 1);
    give(source, SOURCE_FRAME, 1, 9 * SECOND_US, MATCH("last_match", 40));
    assert_int_equal(output.batch->count, 0);
    give(source, SOURCE_FRAME, 1, 9 * SECOND_US, MATCH("last_match", 42));
    assert_int_equal(output.batch->count, 2);
    assert_gap(0, 41, 41, "ids_skipped");
    source_destroy(source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),          cmocka_unit_test(test_no_memory), cmocka_unit_test(test_subscription),
        cmocka_unit_test(test_wrong_arguments), cmocka_unit_test(test_reconnect), cmocka_unit_test(test_heartbeats_show_gaps),
        cmocka_unit_test(test_silence),         cmocka_unit_test(test_close),     cmocka_unit_test(test_exchange_error),
        cmocka_unit_test(test_unknown_product), cmocka_unit_test(test_resume),    cmocka_unit_test(test_resume_from_heartbeats),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
