/* Places in the log and the filter over it, on a log in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "app/position.h"
#include "app/scan.h"
#include "event/event.h"

enum { EVENTS = 1000, BATCH = 10 };
#define NOW_US 1700000000000000

static struct bus *bus;

/* Event i: topic i % 3 (0: chat), key "a" or "b" by turns of the topic, one second each; in batches of ten. */
static int fill(void **state)
{
    (void)state;
    bus = bus_memory_create();
    for (int i = 0; i < EVENTS; i += BATCH) {
        struct bus_record records[BATCH];
        char values[BATCH][16];
        for (int j = 0; j < BATCH; j++) {
            int length = snprintf(values[j], sizeof values[j], "%d", i + j);
            records[j] = (struct bus_record){.timestamp_us = (int64_t)(i + j) * 1000000,
                                             .topic = (uint32_t)((i + j) % 3),
                                             .key = (i + j) / 3 % 2 ? BYTES("b") : BYTES("a"),
                                             .value = bytes_of(values[j], (size_t)length)};
        }
        struct error error;
        if (bus_append(bus, records, BATCH, NULL, &error))
            return -1;
    }
    return 0;
}

static int empty(void **state)
{
    (void)state;
    bus_destroy(bus);
    return 0;
}

struct seen {
    uint64_t count, first, last;
};

static struct seen scan_all(struct scan_options options)
{
    struct scan scan;
    struct error error;
    struct seen seen = {0};
    const struct bus_record *record;
    assert_int_equal(scan_start(&scan, bus, &options, &error), 0);
    int got;
    while ((got = scan_next(&scan, &record, &error)) == 1) {
        if (seen.count++ == 0)
            seen.first = record->offset;
        seen.last = record->offset;
    }
    assert_int_equal(got, 0);
    assert_int_equal(scan.offset, EVENTS);
    scan_release(&scan);
    return seen;
}
#define SCAN(...) scan_all((struct scan_options){.to_us = INT64_MAX, __VA_ARGS__})

static void test_all_and_topics(void **state)
{
    (void)state;
    assert_int_equal(SCAN(.topics = BUS_ALL_TOPICS).count, EVENTS);
    struct seen chat = SCAN(.topics = 1);
    assert_int_equal(chat.count, 334);
    assert_int_equal(chat.last, 999);
    assert_int_equal(SCAN(.topics = 1, .key = BYTES("a")).count, 167);
    assert_int_equal(SCAN(.topics = 1, .key = BYTES("c")).count, 0);
}

static void test_times(void **state)
{
    (void)state;
    struct seen seen = SCAN(.topics = BUS_ALL_TOPICS, .from = {.kind = POSITION_TIME, .time_us = 105000000});
    assert_int_equal(seen.first, 105);
    assert_int_equal(seen.count, EVENTS - 105);
    seen = scan_all((struct scan_options){
        .topics = BUS_ALL_TOPICS, .from = {.kind = POSITION_TIME, .time_us = 105000000}, .to_us = 107000000});
    assert_int_equal(seen.count, 3);
    assert_int_equal(seen.last, 107);
}

static void test_last(void **state)
{
    (void)state;
    static const uint64_t counts[] = {1, 2, 3, 7, 100, 334};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct seen seen = SCAN(.topics = 1, .from = {.kind = POSITION_LAST, .count = counts[i]});
        assert_int_equal(seen.count, counts[i]);
        assert_int_equal(seen.last, 999);
    }
    assert_int_equal(SCAN(.topics = 1, .from = {.kind = POSITION_LAST, .count = 5000}).count, 334);
    assert_int_equal(SCAN(.topics = 1, .from = {.kind = POSITION_LAST, .count = UINT64_MAX}).count, 334);
    assert_int_equal(SCAN(.topics = 1, .from = {.kind = POSITION_LAST}).count, 0);
    assert_int_equal(SCAN(.topics = 1, .from = {.kind = POSITION_END}).count, 0);
}

static void test_positions(void **state)
{
    (void)state;
    struct position position;
    struct error error;
    assert_int_equal(position_parse("beginning", NOW_US, &position, &error), 0);
    assert_int_equal(position.kind, POSITION_BEGINNING);
    assert_int_equal(position_parse("end", NOW_US, &position, &error), 0);
    assert_int_equal(position.kind, POSITION_END);
    assert_int_equal(position_parse("-25", NOW_US, &position, &error), 0);
    assert_true(position.kind == POSITION_LAST && position.count == 25);
    assert_int_equal(position_parse("1970-01-02", NOW_US, &position, &error), 0);
    assert_true(position.kind == POSITION_TIME && position.time_us == 86400000000);
    assert_int_equal(position_parse("1970-01-01T02:00:00+01:00", NOW_US, &position, &error), 0);
    assert_int_equal(position.time_us, 3600000000);
    assert_int_equal(position_parse("10m", NOW_US, &position, &error), 0);
    assert_int_equal(position.time_us, NOW_US - 600000000);
    assert_int_equal(position_parse("99999d", NOW_US, &position, &error), 0);
    assert_int_equal(position.time_us, TIME_MIN);
    static const char *const bad[] = {"", "-", "--5", "begin", "2026-13-01", "12:00", "10", "-1.5"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(position_parse(bad[i], NOW_US, &position, &error), -1);
}

static void test_topics_by_name(void **state)
{
    (void)state;
    unsigned topic;
    struct error error;
    assert_int_equal(topic_parse("market_stream", &topic, &error), 0);
    assert_int_equal(topic, EVENT_MARKET);
    assert_int_equal(topic_parse("market_streem", &topic, &error), -1);
    assert_string_equal(error.text, "market_streem is not a topic (chat_stream, market_stream, analytics_stream); did you mean "
                                    "market_stream?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_and_topics), cmocka_unit_test(test_times),          cmocka_unit_test(test_last),
        cmocka_unit_test(test_positions),      cmocka_unit_test(test_topics_by_name),
    };
    return cmocka_run_group_tests(tests, fill, empty);
}
