/* Time stamps against Python's datetime, and at the edges. */
#include "event/timestamp.h"

#include "base/random.h"
#include "unit/event/tsv.h"
#include <time.h>

static void check_row(const struct bytes *column)
{
    int64_t time_us = 42;
    bool valid = timestamp_parse(column[0], &time_us);
    if (bytes_equal(column[1], BYTES("-"))) {
        if (valid)
            fail_msg("taken as a time: %.*s", BYTES_ARG(column[0]));
        assert_int_equal(time_us, 42);
        return;
    }
    if (!valid)
        fail_msg("not taken as a time: %.*s", BYTES_ARG(column[0]));
    uint64_t expected;
    assert_true(bytes_to_u64(column[1], &expected));
    assert_int_equal(time_us, expected);
    char text[TIMESTAMP_LENGTH];
    timestamp_format(time_us, text);
    assert_int_equal(column[2].length, TIMESTAMP_LENGTH);
    assert_memory_equal(text, column[2].at, TIMESTAMP_LENGTH);
}

static void test_golden(void **state)
{
    (void)state;
    tsv_each(TEST_DATA "/event/timestamps.tsv", 3, 400, check_row);
}

/* Every day of the 400 years after which the calendar repeats, then every 97th up to the year 9999, against the C library. */
static void test_every_day(void **state)
{
    (void)state;
    const int64_t day_us = 86400LL * 1000000;
    for (int64_t time_us = TIME_MIN; time_us <= TIME_MAX; time_us += time_us < 146097 * day_us ? day_us : 97 * day_us) {
        char expected[40], text[TIMESTAMP_LENGTH];
        time_t seconds = time_us / 1000000;
        struct tm parts;
        gmtime_r(&seconds, &parts);
        strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S.000000Z", &parts);
        timestamp_format(time_us, text);
        assert_memory_equal(text, expected, TIMESTAMP_LENGTH);
        int64_t back;
        assert_true(timestamp_parse(bytes_of(text, TIMESTAMP_LENGTH), &back));
        assert_int_equal(back, time_us);
    }
}

static void test_round_trip(void **state)
{
    (void)state;
    struct random random;
    random_seed(&random, 1);
    for (int i = 0; i < 100000; i++) {
        int64_t time_us = (int64_t)random_below(&random, TIME_MAX + 1ull), back;
        char text[TIMESTAMP_LENGTH];
        timestamp_format(time_us, text);
        assert_true(timestamp_parse(bytes_of(text, TIMESTAMP_LENGTH), &back));
        assert_int_equal(back, time_us);
    }
}

static void test_epoch(void **state)
{
    (void)state;
    int64_t time_us = 0;
    assert_true(timestamp_from_epoch(1633998523963, &time_us));
    assert_int_equal(time_us, 1633998523963000);
    assert_true(timestamp_from_epoch(1633998523963123, &time_us));
    assert_int_equal(time_us, 1633998523963123);
    assert_true(timestamp_from_epoch(99999999999999, &time_us));
    assert_int_equal(time_us, 99999999999999000);
    assert_true(timestamp_from_epoch(100000000000000, &time_us));
    assert_int_equal(time_us, 100000000000000);
    assert_true(timestamp_from_epoch(0, &time_us));
    assert_int_equal(time_us, 0);
    assert_true(timestamp_from_epoch(TIME_MAX, &time_us));
    assert_false(timestamp_from_epoch(TIME_MAX + 1ull, &time_us));
    assert_false(timestamp_from_epoch(UINT64_MAX, &time_us));
}

static void test_append(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, 2 * TIMESTAMP_LENGTH - 1);
    timestamp_append(&out, 0);
    assert_memory_equal(out.at, "1970-01-01T00:00:00.000000Z", TIMESTAMP_LENGTH);
    timestamp_append(&out, 0);
    assert_true(out.failed);
    assert_int_equal(out.length, TIMESTAMP_LENGTH);
    buffer_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden), cmocka_unit_test(test_every_day), cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_epoch),  cmocka_unit_test(test_append),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
