/* Back-off: within its bounds, spread over them, and patient with servers that accept and drop. */
#include "source/backoff.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_delays_grow_to_the_cap(void **state)
{
    (void)state;
    int64_t greatest[12] = {0};
    for (uint64_t seed = 0; seed < 500; seed++) {
        struct backoff backoff;
        backoff_init(&backoff, seed);
        for (size_t i = 0; i < 12; i++) {
            int64_t delay_us = backoff_failed(&backoff, 1000) - 1000;
            assert_true(delay_us >= 0);
            if (delay_us > greatest[i])
                greatest[i] = delay_us;
        }
    }
    for (size_t i = 0; i < 12; i++) {
        int64_t limit_us = i < 6 ? (int64_t)BACKOFF_BASE_US << i : BACKOFF_CAP_US;
        assert_true(greatest[i] <= limit_us);
        assert_true(greatest[i] > limit_us * 9 / 10); /* full jitter: 500 draws come close */
    }
}

static void test_never_overflows(void **state)
{
    (void)state;
    struct backoff backoff;
    backoff_init(&backoff, 1);
    for (size_t i = 0; i < 100000; i++)
        assert_true(backoff_failed(&backoff, 0) <= BACKOFF_CAP_US);
}

static void test_jitter_is_even(void **state)
{
    (void)state;
    enum { DRAWS = 4000, PARTS = 4 };
    size_t parts[PARTS] = {0};
    struct backoff backoff;
    backoff_init(&backoff, 5);
    for (size_t i = 0; i < 10; i++)
        backoff_failed(&backoff, 0);
    for (size_t i = 0; i < DRAWS; i++)
        parts[backoff_failed(&backoff, 0) * PARTS / (BACKOFF_CAP_US + 1)]++;
    for (size_t i = 0; i < PARTS; i++) /* 3 deviations of a binomial count */
        assert_in_range(parts[i], DRAWS / PARTS - 83, DRAWS / PARTS + 83);
}

static int64_t greatest_delay_after(int64_t open_for_us)
{
    int64_t greatest_us = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct backoff backoff;
        backoff_init(&backoff, seed);
        for (size_t i = 0; i < 8; i++)
            backoff_failed(&backoff, 0);
        backoff_opened(&backoff, 1000);
        int64_t now_us = 1000 + open_for_us, delay_us = backoff_failed(&backoff, now_us) - now_us;
        if (delay_us > greatest_us)
            greatest_us = delay_us;
    }
    return greatest_us;
}

static void test_only_a_stable_connection_resets(void **state)
{
    (void)state;
    assert_true(greatest_delay_after(0) > BACKOFF_CAP_US / 2);
    assert_true(greatest_delay_after(BACKOFF_STABLE_US - 1) > BACKOFF_CAP_US / 2);
    assert_true(greatest_delay_after(BACKOFF_STABLE_US) <= BACKOFF_BASE_US);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delays_grow_to_the_cap),
        cmocka_unit_test(test_never_overflows),
        cmocka_unit_test(test_jitter_is_even),
        cmocka_unit_test(test_only_a_stable_connection_resets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
