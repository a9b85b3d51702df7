/* Sequences against a plain table of what has been seen. */
#include "source/sequence.h"

#include "base/random.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void assert_invariants(const struct sequence *sequence)
{
    assert_true(sequence->count <= SEQUENCE_INTERVAL_MAX);
    for (uint32_t i = 0; i < sequence->count; i++) {
        assert_true(sequence->intervals[i].first <= sequence->intervals[i].last);
        assert_true(i == 0 || sequence->intervals[i - 1].last + 1 < sequence->intervals[i].first);
    }
}

static void test_story(void **state)
{
    (void)state;
    struct sequence sequence = {.count = 0};
    struct sequence_interval missing = {-1, -1};
    assert_int_equal(sequence_see(&sequence, 10, &missing), SEQUENCE_FIRST);
    assert_int_equal(sequence_see(&sequence, 11, &missing), SEQUENCE_NEXT);
    assert_int_equal(sequence_see(&sequence, 11, &missing), SEQUENCE_DUPLICATE);
    assert_int_equal(missing.first, -1);
    assert_int_equal(sequence_see(&sequence, 15, &missing), SEQUENCE_GAP);
    assert_int_equal(missing.first, 12);
    assert_int_equal(missing.last, 14);
    assert_int_equal(sequence_see(&sequence, 13, &missing), SEQUENCE_FILL);
    assert_int_equal(sequence_see(&sequence, 13, &missing), SEQUENCE_DUPLICATE);
    assert_int_equal(sequence_see(&sequence, 12, &missing), SEQUENCE_FILL);
    assert_int_equal(sequence_see(&sequence, 14, &missing), SEQUENCE_FILL);
    assert_int_equal(sequence.count, 1);
    assert_int_equal(sequence_see(&sequence, 16, &missing), SEQUENCE_NEXT);
    assert_int_equal(sequence_see(&sequence, 3, &missing), SEQUENCE_FILL); /* older than the first one */
    assert_int_equal(sequence_see(&sequence, INT64_MAX, &missing), SEQUENCE_GAP);
    assert_int_equal(sequence_see(&sequence, INT64_MAX, &missing), SEQUENCE_DUPLICATE);
    sequence_release(&sequence);
}

static void test_against_table(void **state)
{
    (void)state;
    enum { IDS = 60 }; /* few enough that the cap is never reached */
    struct random random;
    random_seed(&random, 3);
    for (int round = 0; round < 500; round++) {
        struct sequence sequence = {.count = 0};
        bool seen[IDS] = {false};
        int64_t greatest = -1;
        for (int step = 0; step < 100; step++) {
            int64_t id = (int64_t)random_below(&random, IDS);
            struct sequence_interval missing;
            enum sequence_result result = sequence_see(&sequence, id, &missing);
            enum sequence_result expected = seen[id]             ? SEQUENCE_DUPLICATE
                                            : greatest < 0       ? SEQUENCE_FIRST
                                            : id < greatest      ? SEQUENCE_FILL
                                            : id == greatest + 1 ? SEQUENCE_NEXT
                                                                 : SEQUENCE_GAP;
            assert_int_equal(result, expected);
            assert_true(result != SEQUENCE_GAP || (missing.first == greatest + 1 && missing.last == id - 1));
            seen[id] = true;
            greatest = id > greatest ? id : greatest;
            assert_invariants(&sequence);
        }
        sequence_release(&sequence);
    }
}

/* At the cap it forgets the oldest gaps: what is new stays new, what was seen stays a duplicate. */
static void test_cap(void **state)
{
    (void)state;
    enum { IDS = 2000 };
    struct random random;
    random_seed(&random, 4);
    for (int round = 0; round < 50; round++) {
        struct sequence sequence = {.count = 0};
        bool seen[IDS] = {false};
        int64_t greatest = -1;
        for (int step = 0; step < 3000; step++) {
            int64_t id = (int64_t)random_below(&random, IDS);
            struct sequence_interval missing;
            enum sequence_result result = sequence_see(&sequence, id, &missing);
            if (seen[id])
                assert_int_equal(result, SEQUENCE_DUPLICATE);
            if (id > greatest)
                assert_true(result == SEQUENCE_GAP || result == SEQUENCE_NEXT || result == SEQUENCE_FIRST);
            seen[id] = true;
            greatest = id > greatest ? id : greatest;
            assert_invariants(&sequence);
        }
        sequence_release(&sequence);
    }
    struct sequence sequence = {.count = 0};
    struct sequence_interval missing;
    for (int64_t id = 0; id < 4 * SEQUENCE_INTERVAL_MAX; id += 2)
        sequence_see(&sequence, id, &missing);
    assert_int_equal(sequence.count, SEQUENCE_INTERVAL_MAX);
    assert_int_equal(sequence_see(&sequence, 1, &missing), SEQUENCE_DUPLICATE);
    assert_int_equal(sequence_see(&sequence, 4 * SEQUENCE_INTERVAL_MAX - 3, &missing), SEQUENCE_FILL);
    sequence_release(&sequence);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_story),
        cmocka_unit_test(test_against_table),
        cmocka_unit_test(test_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
