/* Recording lines, their playing into adapters, and looping. */
#include "source/recording.h"

#include "base/lines.h"
#include "base/map.h"
#include "unit/source/source_test.h"

#include <fcntl.h>
#include <unistd.h>

#define SECOND 1000000LL
#define RECORDED_US 1633998240000000LL /* 2021-10-12T00:24:00Z */
#define ROUND_US (100 * SECOND)

static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 16 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_release(&arena);
    return 0;
}

/* ---- lines ---- */

static enum reject_reason parse(const char *text, struct recording_line *line)
{
    return recording_line_parse(bytes_of_string(text), &arena, line);
}

static void test_lines_are_read(void **state)
{
    (void)state;
    struct recording_line line;
    assert_int_equal(parse("{\"received\":\"2021-10-12T00:24:00.5Z\",\"source\":\"binance:A-B\",\"connection\":7,"
                           "\"event\":\"sent\",\"frame\":\"a\\\"b\\u20ac\"}",
                           &line),
                     REJECT_NONE);
    assert_int_equal(line.received_us, RECORDED_US + SECOND / 2);
    assert_bytes(line.source, "binance:A-B");
    assert_int_equal(line.connection, 7);
    assert_int_equal(line.event, RECORDING_SENT);
    assert_bytes(line.frame, "a\"b€");
    assert_int_equal(parse("{\"frame\":\"x\",\"more\":[1,{}]}", &line), REJECT_NONE);
    assert_true(line.received_us == TIME_UNKNOWN);
    assert_int_equal(line.event, RECORDING_FRAME);
    assert_int_equal(line.source.length, 0);
    assert_int_equal(parse("{\"event\":\"close\"}", &line), REJECT_NONE);
    assert_null(line.frame.at);
}

static void test_bad_lines_have_reasons(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum reject_reason reason;
    } cases[] = {
        {"", REJECT_MALFORMED_JSON},
        {"{", REJECT_MALFORMED_JSON},
        {"{} {}", REJECT_MALFORMED_JSON},
        {"PING :tmi.twitch.tv", REJECT_MALFORMED_JSON},
        {"[]", REJECT_WRONG_TYPE},
        {"{}", REJECT_MISSING_FIELD},
        {"{\"e\":\"aggTrade\"}", REJECT_MISSING_FIELD},
        {"{\"frame\":{}}", REJECT_WRONG_TYPE},
        {"{\"frame\":\"x\",\"source\":1}", REJECT_WRONG_TYPE},
        {"{\"frame\":\"x\",\"received\":1}", REJECT_WRONG_TYPE},
        {"{\"frame\":\"x\",\"received\":\"now\"}", REJECT_BAD_TIME},
        {"{\"frame\":\"x\",\"connection\":-1}", REJECT_BAD_NUMBER},
        {"{\"frame\":\"x\",\"connection\":4294967296}", REJECT_BAD_NUMBER},
        {"{\"frame\":\"x\",\"event\":\"opened\"}", REJECT_UNKNOWN_KIND},
        {"{\"frame\":\"x\",\"event\":null}", REJECT_WRONG_TYPE},
        {"{\"frame\":\"\xff\"}", REJECT_INVALID_UTF8},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct recording_line line;
        enum reject_reason reason = parse(cases[i].text, &line);
        if (reason != cases[i].reason)
            fail_msg("%s: %.*s", cases[i].text, BYTES_ARG(reject_reason_name(reason)));
    }
}

static void test_many_values_need_no_stack(void **state)
{
    (void)state;
    struct buffer text;
    buffer_init(&text, 1 << 20);
    BUFFER_LITERAL(&text, "{\"frame\":\"x\",\"list\":[0");
    for (int i = 0; i < 50000; i++)
        BUFFER_LITERAL(&text, ",[1]");
    BUFFER_LITERAL(&text, "]}");
    struct recording_line line;
    assert_int_equal(recording_line_parse(buffer_bytes(&text), &arena, &line), REJECT_NONE);
    buffer_release(&text);
    struct arena small;
    arena_init(&small, 8);
    assert_int_equal(recording_line_parse(BYTES("{\"frame\":\"x\"}"), &small, &line), REJECT_NO_MEMORY);
    arena_release(&small);
}

static void test_lines_are_written(void **state)
{
    (void)state;
    struct buffer text;
    buffer_init(&text, 1 << 20);
    recording_line_write(
        &text, &(struct recording_line){RECORDED_US, BYTES("binance:A-B"), 1, RECORDING_FRAME, BYTES("{\"a\":\"\\\t\"}")});
    recording_line_write(&text, &(struct recording_line){TIME_UNKNOWN, BYTES(""), 0, RECORDING_CLOSE, BYTES_NONE});
    assert_bytes(buffer_bytes(&text), "{\"received\":\"2021-10-12T00:24:00.000000Z\",\"source\":\"binance:A-B\",\"connection\":1,"
                                      "\"event\":\"frame\",\"frame\":\"{\\\"a\\\":\\\"\\\\\\t\\\"}\"}\n{\"event\":\"close\"}\n");
    struct bytes rest, first = bytes_split(buffer_bytes(&text), '\n', &rest);
    struct recording_line line;
    assert_int_equal(recording_line_parse(first, &arena, &line), REJECT_NONE);
    assert_bytes(line.frame, "{\"a\":\"\\\t\"}");
    assert_true(recording_line_is_likely(first));
    assert_false(recording_line_is_likely(BYTES("{\"e\":\"aggTrade\"}")));
    assert_false(recording_line_is_likely(BYTES("")));
    buffer_release(&text);
}

/* ---- playing ---- */

static struct source_rig play_rig(int64_t round_length_us)
{
    struct source_options options = {.round_length_us = round_length_us, .recording_start_us = RECORDED_US};
    struct source_rig rig = rig_of(&options, "recording:demo.jsonl");
    rig_connect(&rig, TEST_START_US);
    assert_int_equal(rig.output.action_count, 1);
    assert_bytes(rig.output.actions[0].text, "file:demo.jsonl");
    rig_input(&rig, SOURCE_OPENED, BYTES(""), TEST_START_US);
    return rig;
}

static struct bytes record(const char *source, int64_t at_us, uint32_t connection, enum recording_event event, struct bytes frame)
{
    static struct buffer text;
    buffer_init(&text, 1 << 20);
    recording_line_write(&text, &(struct recording_line){RECORDED_US + at_us, bytes_of_string(source), connection, event, frame});
    struct bytes line = arena_copy(&arena, bytes_of(text.at, text.length - 1));
    buffer_release(&text);
    return line;
}

static struct bytes trade_frame(int64_t id, int64_t at_us)
{
    char text[300];
    int length = snprintf(text, sizeof text,
                          "{\"e\":\"aggTrade\",\"E\":%lld,\"s\":\"BTCUSDT\",\"a\":%lld,\"p\":\"1.50\",\"q\":\"2\",\"f\":%lld,"
                          "\"l\":%lld,\"T\":%lld,\"m\":true,\"M\":true}",
                          (long long)(RECORDED_US + at_us) / 1000, (long long)id, (long long)id, (long long)id,
                          (long long)(RECORDED_US + at_us) / 1000);
    return arena_copy(&arena, bytes_of(text, (size_t)length));
}

static void play_trade(struct source_rig *rig, uint32_t connection, int64_t id, int64_t at_us, int64_t now_us)
{
    rig_input(rig, SOURCE_FRAME, record("binance:BTC-USDT", at_us, connection, RECORDING_FRAME, trade_frame(id, at_us)), now_us);
}

#define CHAT_FRAME                                                                                                               \
    BYTES("{\"schema\":1,\"id\":\"twitch:ab\",\"source\":\"twitch\",\"timestamp\":\"2021-10-12T00:24:01.000000Z\","              \
          "\"received\":\"2021-10-12T00:24:01.000000Z\",\"payload\":{\"kind\":\"message\",\"channel\":\"c\","                    \
          "\"username\":\"u\",\"message\":\"hi\",\"metadata\":{\"reply_parent_id\":\"aa\",\"text\":\"a\\\"b\","                  \
          "\"since\":\"2021-10-12T00:24:00.000000Z\",\"n\":[1,\"x\"]}}}")

static void test_the_recorded_clock_counts(void **state)
{
    (void)state;
    struct source_rig rig = play_rig(0);
    play_trade(&rig, 1, 10, SECOND, TEST_START_US);
    const struct event *event = rig_event(&rig, 0);
    assert_int_equal(event->timestamp_us, RECORDED_US + SECOND);
    assert_int_equal(event->received_us, RECORDED_US + SECOND);
    assert_bytes(event->id, "binance:BTC-USDT:agg:10");
    play_trade(&rig, 1, 10, 2 * SECOND, TEST_START_US);
    play_trade(&rig, 1, 13, 3 * SECOND, TEST_START_US);
    assert_int_equal(rig.output.batch->count, 2);
    assert_int_equal(rig_event(&rig, 0)->kind, EVENT_GAP);
    const struct source_statistics *statistics = source_statistics(rig.source);
    assert_int_equal(statistics->frames, 3);
    assert_int_equal(statistics->duplicates, 1);
    assert_int_equal(statistics->gaps, 1);
    assert_int_equal(statistics->missing, 2);
    assert_int_equal(statistics->last_event_us, RECORDED_US + 3 * SECOND);
    rig_release(&rig);
}

static void test_lines_without_a_time_follow_the_one_before(void **state)
{
    (void)state;
    struct source_rig rig = play_rig(0);
    struct bytes untimed = BYTES("{\"source\":\"simulated:chat\",\"frame\":\"{\\\"schema\\\":1,\\\"id\\\":\\\"twitch:1\\\","
                                 "\\\"source\\\":\\\"twitch\\\",\\\"timestamp\\\":\\\"2021-10-12T00:24:00Z\\\",\\\"payload\\\":"
                                 "{\\\"kind\\\":\\\"message\\\",\\\"channel\\\":\\\"c\\\",\\\"message\\\":\\\"x\\\"}}\"}");
    rig_input(&rig, SOURCE_FRAME, untimed, TIME_UNKNOWN);
    assert_int_equal(rig.output.rejects[0].reason, REJECT_NO_TIME);
    play_trade(&rig, 1, 10, SECOND, TEST_START_US);
    rig_input(&rig, SOURCE_FRAME, untimed, TEST_START_US);
    assert_int_equal(rig_event(&rig, 0)->received_us, RECORDED_US + SECOND);
    rig_release(&rig);
}

static void test_connections_follow_the_recording(void **state)
{
    (void)state;
    const char *source = "binance:BTC-USDT";
    struct source_rig rig = play_rig(0);
    rig_input(&rig, SOURCE_FRAME, record(source, 0, 5, RECORDING_OPEN, BYTES("wss://x")), TEST_START_US);
    play_trade(&rig, 5, 1, SECOND, TEST_START_US);
    rig_input(&rig, SOURCE_FRAME, record(source, 2 * SECOND, 5, RECORDING_CLOSE, BYTES("reset")), TEST_START_US);
    rig_input(&rig, SOURCE_FRAME, record(source, 9 * SECOND, 6, RECORDING_OPEN, BYTES("wss://x")), TEST_START_US);
    rig_input(&rig, SOURCE_FRAME, record(source, 9 * SECOND, 6, RECORDING_SENT, BYTES("{}")), TEST_START_US);
    play_trade(&rig, 6, 2, 10 * SECOND, TEST_START_US);
    assert_int_equal(rig.output.batch->count, 1);
    const struct source_statistics *statistics = source_statistics(rig.source);
    assert_int_equal(statistics->frames, 6);
    assert_int_equal(statistics->filtered, 4);
    assert_int_equal(statistics->events, 2);
    assert_int_equal(statistics->reconnects, 1);
    assert_int_equal(rig.output.action_count, 0); /* what the players ask for stays inside */
    rig_release(&rig);
}

static void test_foreign_lines_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *source;
        enum reject_reason reason;
    } cases[] = {
        {"", REJECT_MISSING_FIELD},
        {"nonsense:x", REJECT_UNKNOWN_SOURCE},
        {"recording:other.jsonl", REJECT_UNKNOWN_SOURCE},
    };
    struct source_rig rig = play_rig(0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rig_input(&rig, SOURCE_FRAME, record(cases[i].source, 0, 1, RECORDING_FRAME, BYTES("x")), TEST_START_US);
        assert_int_equal(rig.output.reject_count, 1);
        assert_int_equal(rig.output.rejects[0].reason, cases[i].reason);
    }
    rig_input(&rig, SOURCE_FRAME, record("simulated:chat", 0, 1, RECORDING_FRAME, BYTES("{\"schema\":2}")), TEST_START_US);
    assert_int_equal(rig.output.rejects[0].reason, REJECT_BAD_SCHEMA);
    assert_int_equal(source_statistics(rig.source)->rejected, 4);
    rig_release(&rig);
}

static void test_sources_are_bounded(void **state)
{
    (void)state;
    struct source_rig rig = play_rig(0);
    for (int i = 0; i < 100; i++) {
        char name[32];
        snprintf(name, sizeof name, "simulated:chat/%d", i);
        rig_input(&rig, SOURCE_FRAME, record(name, 0, 1, RECORDING_FRAME, CHAT_FRAME), TEST_START_US);
    }
    assert_int_equal(source_statistics(rig.source)->events, 64);
    assert_int_equal(source_statistics(rig.source)->rejected_by[REJECT_NO_MEMORY], 36);
    rig_release(&rig);
}

/* ---- looping ---- */

static void test_rounds_move_trades(void **state)
{
    (void)state;
    struct source_rig rig = play_rig(ROUND_US);
    int64_t round = TEST_START_US / ROUND_US;
    for (int64_t k = round; k < round + 3; k++) {
        int64_t begin_us = k * ROUND_US;
        char id[96];
        play_trade(&rig, 1, 50, SECOND, begin_us + SECOND);
        assert_int_equal(rig.output.batch->count, 1); /* a new round begins without a gap or a duplicate */
        const struct event *event = rig_event(&rig, 0);
        assert_int_equal(event->timestamp_us, begin_us + SECOND);
        assert_int_equal(event->received_us, begin_us + SECOND);
        assert_int_equal(event->market.trade_id, 50 + k * RECORDING_TRADE_STRIDE);
        snprintf(id, sizeof id, "binance:BTC-USDT:agg:%lld", (long long)(50 + k * RECORDING_TRADE_STRIDE));
        assert_bytes(event->id, id);
        snprintf(id, sizeof id, "{\"first_trade_id\":%lld,\"last_trade_id\":%lld,", (long long)event->market.trade_id,
                 (long long)event->market.trade_id);
        assert_true(bytes_start_with(event->metadata, bytes_of_string(id)));
        play_trade(&rig, 1, 60, 3 * SECOND, begin_us + 4 * SECOND); /* a driver that is a second late */
        event = rig_event(&rig, 0);
        assert_int_equal(event->kind, EVENT_GAP);
        assert_int_equal(event->gap.from_us, begin_us + SECOND);
        assert_int_equal(event->gap.to_us, begin_us + 3 * SECOND);
        assert_int_equal(event->gap.first_missing, 51 + k * RECORDING_TRADE_STRIDE);
        assert_int_equal(event->gap.last_missing, 59 + k * RECORDING_TRADE_STRIDE);
        snprintf(id, sizeof id, "binance:BTC-USDT:gap:%lld-%lld", (long long)event->gap.first_missing,
                 (long long)event->gap.last_missing);
        assert_bytes(event->id, id);
        assert_int_equal(rig_event(&rig, 1)->timestamp_us, begin_us + 3 * SECOND);
    }
    assert_int_equal(source_statistics(rig.source)->events, 9);
    assert_int_equal(source_statistics(rig.source)->gaps, 3);
    assert_int_equal(source_statistics(rig.source)->duplicates, 0);
    rig_release(&rig);
}

static void test_rounds_move_chat(void **state)
{
    (void)state;
    struct source_rig rig = play_rig(ROUND_US);
    int64_t begin_us = 17000000 * ROUND_US;
    rig_input(&rig, SOURCE_FRAME, record("simulated:chat", SECOND, 1, RECORDING_FRAME, CHAT_FRAME), begin_us + SECOND);
    const struct event *event = rig_event(&rig, 0);
    assert_bytes(event->id, "twitch:ab-17000000");
    assert_int_equal(event->timestamp_us, begin_us + SECOND);
    assert_int_equal(event->received_us, begin_us + SECOND);
    assert_bytes(event->metadata,
                 "{\"reply_parent_id\":\"aa-17000000\",\"text\":\"a\\\"b\",\"since\":\"2023-11-14T22:13:20.000000Z\","
                 "\"n\":[1,\"x\"]}");
    rig_release(&rig);
}

static void test_rounds_need_times(void **state)
{
    (void)state;
    struct source_rig rig = play_rig(ROUND_US);
    rig_input(&rig, SOURCE_FRAME, BYTES("{\"source\":\"simulated:chat\",\"frame\":\"x\"}"), TEST_START_US);
    assert_int_equal(rig.output.rejects[0].reason, REJECT_NO_TIME);
    struct error error = {""};
    struct source_options options = {.kind = BYTES("recording"), .argument = BYTES("x"), .round_length_us = 10};
    assert_null(source_create(&options, &error));
    assert_non_null(strstr(error.text, "at least a second"));
    rig_release(&rig);
}

/* The demo plays as it should: nothing refused, no gap, and two rounds have no id in common. */
static void test_the_demo_plays(void **state)
{
    (void)state;
    const int64_t round_us = 280 * SECOND;
    struct source_rig rig = play_rig(round_us);
    struct map ids;
    map_init(&ids, 100000);
    int64_t round = TEST_START_US / round_us;
    for (int64_t k = round; k < round + 2; k++) {
        int file = open(TEST_DATA "/../../demo/demo.jsonl", O_RDONLY | O_CLOEXEC);
        assert_true(file >= 0);
        struct lines lines;
        assert_int_equal(lines_init(&lines, file, 1 << 20, NULL), 0);
        for (struct bytes text; lines_next(&lines, &text, NULL) == LINES_LINE;) {
            struct recording_line line;
            arena_reset(&arena);
            assert_int_equal(recording_line_parse(text, &arena, &line), REJECT_NONE);
            int64_t due_us = k * round_us + (line.received_us - RECORDED_US);
            rig_input(&rig, SOURCE_FRAME, text, due_us);
            for (size_t i = 0; i < rig.output.batch->count; i++) {
                const struct event *event = rig_event(&rig, i);
                bool added = false;
                assert_non_null(map_put(&ids, event->id, &added));
                assert_true(added);
                assert_in_range(event->timestamp_us, due_us - SECOND, due_us + SECOND);
            }
        }
        lines_release(&lines);
        close(file);
    }
    const struct source_statistics *statistics = source_statistics(rig.source);
    assert_int_equal(statistics->rejected, 0);
    assert_int_equal(statistics->duplicates, 0);
    assert_int_equal(statistics->gaps, 0);
    assert_true(statistics->events > 2500);
    map_release(&ids);
    rig_release(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_are_read),
        cmocka_unit_test(test_bad_lines_have_reasons),
        cmocka_unit_test(test_many_values_need_no_stack),
        cmocka_unit_test(test_lines_are_written),
        cmocka_unit_test(test_the_recorded_clock_counts),
        cmocka_unit_test(test_lines_without_a_time_follow_the_one_before),
        cmocka_unit_test(test_connections_follow_the_recording),
        cmocka_unit_test(test_foreign_lines_are_refused),
        cmocka_unit_test(test_sources_are_bounded),
        cmocka_unit_test(test_rounds_move_trades),
        cmocka_unit_test(test_rounds_move_chat),
        cmocka_unit_test(test_rounds_need_times),
        cmocka_unit_test(test_the_demo_plays),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
