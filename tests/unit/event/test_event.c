/* Writing, reading, ids and keys of events.  The golden lines were written by tests/golden/event_oracle.py. */
#include "event/event.h"

#include "event/event_internal.h"
#include "unit/event/tsv.h"

static struct arena arena;
static struct buffer out;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 64 << 20);
    buffer_init(&out, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_release(&arena);
    buffer_release(&out);
    return 0;
}

static struct bytes written(const struct event *event)
{
    buffer_reset(&out);
    event_write(event, &out);
    assert_false(out.failed);
    return buffer_bytes(&out);
}

static void assert_written(const struct event *event, struct bytes expected)
{
    struct bytes text = written(event);
    if (!bytes_equal(text, expected))
        fail_msg("\n%.*s\ninstead of\n%.*s", BYTES_ARG(text), BYTES_ARG(expected));
}

static size_t scanned;

static void check_line(const struct bytes *column)
{
    struct event event;
    enum reject_reason reason = event_parse(column[0], &arena, &event);
    if (reason != REJECT_NONE)
        fail_msg("%.*s: %.*s", BYTES_ARG(reject_reason_name(reason)), BYTES_ARG(column[0]));
    assert_written(&event, column[1]);
    scanned += event_scan(column[0], &event);
    arena_reset(&arena);
}

static void test_golden(void **state)
{
    (void)state;
    scanned = 0;
    tsv_each(TEST_DATA "/event/events.tsv", 2, 300, check_line);
    assert_true(scanned > 30); /* the fast way is taken, and on the canonical lines only */
}

static void test_rejects(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        enum reject_reason reason;
    } cases[] = {
        {"", REJECT_MALFORMED_JSON},
        {"{", REJECT_MALFORMED_JSON},
        {"[]", REJECT_WRONG_TYPE},
        {"{\"schema\":01}", REJECT_MALFORMED_JSON},
        {"{\"schema\":1,\"id\":\"\xff\"}", REJECT_INVALID_UTF8},
        {"{}", REJECT_MISSING_FIELD},
        {"{\"schema\":2,\"source\":\"market\"}", REJECT_BAD_SCHEMA},
        {"{\"schema\":\"1\",\"source\":\"market\"}", REJECT_BAD_SCHEMA},
        {"{\"schema\":1}", REJECT_MISSING_FIELD},
        {"{\"schema\":1,\"source\":3}", REJECT_WRONG_TYPE},
        {"{\"schema\":1,\"source\":\"news\"}", REJECT_UNKNOWN_SOURCE},
        {"{\"schema\":1,\"source\":\"market\",\"payload\":{}}", REJECT_MISSING_FIELD},
        {"{\"schema\":1,\"source\":\"market\",\"timestamp\":\"2026-13-01T00:00:00Z\",\"payload\":{}}", REJECT_BAD_TIME},
        {"{\"schema\":1,\"source\":\"market\",\"timestamp\":5,\"payload\":{}}", REJECT_WRONG_TYPE},
        {"{\"schema\":1,\"source\":\"market\",\"timestamp\":\"2026-01-01T00:00:00Z\"}", REJECT_MISSING_FIELD},
        {"{\"schema\":1,\"source\":\"market\",\"timestamp\":\"2026-01-01T00:00:00Z\",\"payload\":[]}", REJECT_WRONG_TYPE},
#define MARKET "{\"schema\":1,\"source\":\"market\",\"timestamp\":\"2026-01-01T00:00:00Z\",\"payload\":"
        {MARKET "{}}", REJECT_MISSING_FIELD},
        {MARKET "{\"kind\":1}}", REJECT_WRONG_TYPE},
        {MARKET "{\"kind\":\"message\"}}", REJECT_UNKNOWN_KIND},
        {MARKET "{\"kind\":\"trade\"}}", REJECT_MISSING_FIELD},
#define TRADE MARKET "{\"kind\":\"trade\",\"exchange\":\"b\",\"symbol\":\"A-B\""
        {TRADE "}}", REJECT_MISSING_FIELD},
        {TRADE ",\"price\":\"1\",\"volume\":1}}", REJECT_WRONG_TYPE},
        {TRADE ",\"price\":1,\"volume\":1,\"side\":\"up\"}}", REJECT_WRONG_TYPE},
        {TRADE ",\"price\":1,\"volume\":1,\"direction\":\"buy\"}}", REJECT_WRONG_TYPE},
        {TRADE ",\"price\":1,\"volume\":1,\"trade_id\":1.5}}", REJECT_BAD_NUMBER},
        {TRADE ",\"price\":1,\"volume\":1,\"trade_id\":9223372036854775808}}", REJECT_BAD_NUMBER},
        {TRADE ",\"price\":1,\"volume\":1,\"metadata\":[]}}", REJECT_WRONG_TYPE},
        {TRADE ",\"price\":1,\"volume\":1,\"metadata\":{\"a\":01}}}", REJECT_MALFORMED_JSON},
        {TRADE ",\"price\":1,\"volume\":1}}x", REJECT_MALFORMED_JSON},
        {TRADE ",\"price\":1.,\"volume\":1}}", REJECT_MALFORMED_JSON},
        {TRADE ",\"price\":1,\"volume\":1},\"anomaly\":true}", REJECT_WRONG_TYPE},
        {TRADE ",\"price\":1,\"volume\":1}}", REJECT_NONE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct event event;
        enum reject_reason reason = event_parse(bytes_of_string(cases[i].json), &arena, &event);
        if (reason != cases[i].reason)
            fail_msg("%s: %.*s", cases[i].json, BYTES_ARG(reject_reason_name(reason)));
    }
}

static struct event trade(void)
{
    return (struct event){.source = EVENT_MARKET,
                          .kind = EVENT_TRADE,
                          .timestamp_us = 1633998523963000,
                          .received_us = TIME_UNKNOWN,
                          .market = {.exchange = BYTES("binance"),
                                     .symbol = BYTES("NKN-USDT"),
                                     .price = BYTES("0.35280000"),
                                     .volume = BYTES("58.00000000"),
                                     .side = EVENT_BUY,
                                     .direction = EVENT_FLAT,
                                     .trade_id = 15683430,
                                     .aggregate = true}};
}

static void test_ids(void **state)
{
    (void)state;
    struct event event = trade();
    assert_true(event_set_id(&event, &arena));
    assert_true(bytes_equal(event.id, BYTES("binance:NKN-USDT:agg:15683430")));
    event.market.aggregate = false;
    assert_true(event_set_id(&event, &arena));
    assert_true(bytes_equal(event.id, BYTES("binance:NKN-USDT:trade:15683430")));
    event.kind = EVENT_GAP;
    event.gap = (struct event_gap){.first_missing = 5, .last_missing = 7, .count = 3};
    assert_true(event_set_id(&event, &arena));
    assert_true(bytes_equal(event.id, BYTES("binance:NKN-USDT:gap:5-7")));
}

/* What has no id of its own: the same for the same content, whenever received and however scored; another otherwise. */
static void test_hash_id(void **state)
{
    (void)state;
    struct event event = {.source = EVENT_TWITCH,
                          .kind = EVENT_NOTICE,
                          .timestamp_us = 1,
                          .received_us = 2,
                          .chat = {.channel = BYTES("room"), .message = BYTES("slow")}};
    assert_true(event_set_id(&event, &arena));
    struct bytes first = event.id;
    assert_int_equal(first.length, 32);
    event.received_us = 3;
    event.anomaly = BYTES("{\"isAnomaly\":false}");
    assert_true(event_set_id(&event, &arena));
    assert_true(bytes_equal(first, event.id));
    event.chat.message = BYTES("slow!");
    assert_true(event_set_id(&event, &arena));
    assert_false(bytes_equal(first, event.id));
    /* Fixed for ever: xxhsum -H2 of the event's line without id and received, a newline and the key. */
    assert_true(bytes_equal(first, BYTES("b04580ab2e91b66b4ad4a140b9d6fb74")));
}

static void test_keys(void **state)
{
    (void)state;
    struct event event = trade();
    assert_true(bytes_equal(event_key(&event, &arena), BYTES("binance:NKN-USDT")));
    event = (struct event){.source = EVENT_TWITCH, .chat.channel = BYTES("room")};
    assert_true(bytes_equal(event_key(&event, &arena), BYTES("room")));
    struct bytes line = BYTES("{\"schema\":1,\"id\":\"w\",\"source\":\"analytics\",\"timestamp\":\"2026-01-01T00:00:00Z\","
                              "\"payload\":{\"kind\":\"window\",\"query\":\"ohlcv\",\"open\":1.50}}");
    assert_int_equal(event_parse(line, &arena, &event), REJECT_NONE);
    assert_true(bytes_equal(event_key(&event, &arena), BYTES("ohlcv")));
    assert_true(bytes_equal(event.payload_json, BYTES("{\"kind\":\"window\",\"query\":\"ohlcv\",\"open\":1.50}")));
}

static void test_aggregate_from_id(void **state)
{
    (void)state;
    struct event event = trade(), back;
    assert_true(event_set_id(&event, &arena));
    struct bytes line = arena_copy(&arena, written(&event));
    assert_int_equal(event_parse(line, &arena, &back), REJECT_NONE);
    assert_true(back.market.aggregate);
    assert_int_equal(back.market.trade_id, 15683430);
    event.market.aggregate = false;
    assert_true(event_set_id(&event, &arena));
    line = arena_copy(&arena, written(&event));
    assert_int_equal(event_parse(line, &arena, &back), REJECT_NONE);
    assert_false(back.market.aggregate);
}

/* A line without id gets one, the same every time. */
static void test_id_made(void **state)
{
    (void)state;
    struct bytes line = BYTES(TRADE ",\"price\":1,\"volume\":2,\"trade_id\":3}}");
    struct event event;
    assert_int_equal(event_parse(line, &arena, &event), REJECT_NONE);
    assert_true(bytes_equal(event.id, BYTES("b:A-B:trade:3")));
}

/* A buffer that is full takes whole events or nothing. */
static void test_full_buffer(void **state)
{
    (void)state;
    char message[400];
    memset(message, '\n', sizeof message);
    struct event event = {.source = EVENT_TWITCH,
                          .kind = EVENT_MESSAGE,
                          .timestamp_us = 1,
                          .received_us = TIME_UNKNOWN,
                          .id = BYTES("x"),
                          .chat = {.channel = BYTES("a\tb"), .message = {message, sizeof message}}};
    for (size_t cap = 0; cap < 3000; cap += 7) {
        struct buffer small;
        buffer_init(&small, cap);
        event_write(&event, &small);
        size_t once = small.length;
        event_write(&event, &small);
        assert_true(small.length == once || small.length == 2 * once);
        assert_true(small.failed || small.length == 2 * once);
        assert_true(once == 0 || small.at[small.length - 1] == '}');
        buffer_release(&small);
    }
}

static void test_batch(void **state)
{
    (void)state;
    struct event_batch *batch = event_batch_create(1);
    for (int i = 0; i < 1000; i++) {
        struct event *event = event_batch_add(batch);
        assert_non_null(event);
        assert_int_equal(event->received_us, TIME_UNKNOWN);
        assert_int_equal(event->market.trade_id, TRADE_ID_NONE);
        assert_int_equal(event->chat.message.length, 0);
        event->timestamp_us = i;
    }
    assert_int_equal(batch->count, 1000);
    assert_int_equal(batch->events[999].timestamp_us, 999);
    event_batch_reset(batch);
    assert_int_equal(batch->count, 0);
    event_batch_destroy(batch);
}

static void test_names(void **state)
{
    (void)state;
    for (unsigned i = 0; i < EVENT_SOURCE_COUNT; i++) {
        enum event_source source;
        assert_true(event_topic_parse(event_topic_name(i), &source));
        assert_int_equal(source, i);
    }
    for (unsigned i = 0; i < REJECT_REASON_COUNT; i++)
        assert_true(reject_reason_name(i).length > 0);
    enum event_source source;
    assert_false(event_topic_parse(BYTES("news"), &source));
}

/* Out of memory is a reason like any other. */
static void test_no_memory(void **state)
{
    (void)state;
    struct bytes line = BYTES(" " TRADE ",\"price\":1,\"volume\":2,\"metadata\":{\"a\":[1,2,3]}}}");
    enum reject_reason reason = REJECT_NO_MEMORY;
    for (size_t cap = 0; reason == REJECT_NO_MEMORY; cap += 16) {
        struct arena small;
        struct event event;
        arena_init(&small, cap);
        reason = event_parse(line, &small, &event);
        arena_release(&small);
        assert_true(cap < 1 << 20);
    }
    assert_int_equal(reason, REJECT_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),      cmocka_unit_test(test_rejects),   cmocka_unit_test(test_ids),
        cmocka_unit_test(test_hash_id),     cmocka_unit_test(test_keys),      cmocka_unit_test(test_aggregate_from_id),
        cmocka_unit_test(test_id_made),     cmocka_unit_test(test_batch),     cmocka_unit_test(test_names),
        cmocka_unit_test(test_full_buffer), cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
