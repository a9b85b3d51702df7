/* Random numbers: the sequence against a transcription of the authors' reference, and the distributions against their
 * moments (bounds of six standard errors, with a fixed seed). */
#include "base/random.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* First outputs of the reference xoshiro256starstar.c with s = {1, 2, 3, 4}. */
static void test_reference(void **state)
{
    (void)state;
    static const uint64_t expected[] = {11520u,
                                        0u,
                                        1509978240u,
                                        1215971899390074240u,
                                        1216172134540287360u,
                                        607988272756665600u,
                                        16172922978634559625u,
                                        8476171486693032832u,
                                        10595114339597558777u,
                                        2904607092377533576u};
    struct random random = {{1, 2, 3, 4}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        assert_true(random_u64(&random) == expected[i]);
}

/* First outputs of the reference splitmix64.c with x = 1234567: the state that a seed gives. */
static void test_seed(void **state)
{
    (void)state;
    static const uint64_t expected[] = {6457827717110365317u, 3203168211198807973u, 9817491932198370423u, 4593380528125082431u};
    struct random random;
    random_seed(&random, 1234567);
    for (size_t i = 0; i < 4; i++)
        assert_true(random.state[i] == expected[i]);
}

static void test_below(void **state)
{
    (void)state;
    struct random random;
    random_seed(&random, 5);
    enum { FACES = 7, THROWS = 70000 };
    int counts[FACES] = {0};
    for (int i = 0; i < THROWS; i++) {
        uint64_t face = random_below(&random, FACES);
        assert_true(face < FACES);
        counts[face]++;
    }
    for (int i = 0; i < FACES; i++)
        assert_true(abs(counts[i] - THROWS / FACES) < 6 * 93);
    for (int i = 0; i < 100; i++)
        assert_int_equal(random_below(&random, 1), 0);
    uint64_t most = 0;
    for (int i = 0; i < 100; i++)
        most |= random_below(&random, (1ull << 63) + 1); /* just over half: every second draw is thrown away */
    assert_true(most >> 62 != 0);
}

static void test_distributions(void **state)
{
    (void)state;
    struct random random;
    random_seed(&random, 6);
    enum { DRAWS = 200000 };
    double sum = 0, normal = 0, squares = 0, fourth = 0, exponential = 0;
    for (int i = 0; i < DRAWS; i++) {
        double unit = random_unit(&random);
        assert_true(unit >= 0 && unit < 1);
        sum += unit;
        double n = random_normal(&random);
        assert_true(isfinite(n));
        normal += n;
        squares += n * n;
        fourth += n * n * n * n;
        double e = random_exponential(&random, 3);
        assert_true(e >= 0 && isfinite(e));
        exponential += e;
    }
    double root = sqrt(DRAWS);
    assert_true(fabs(sum / DRAWS - 0.5) < 6 * 0.289 / root);
    assert_true(fabs(normal / DRAWS) < 6 / root);
    assert_true(fabs(squares / DRAWS - 1) < 6 * 1.42 / root);
    assert_true(fabs(fourth / DRAWS - 3) < 6 * 9.8 / root);
    assert_true(fabs(exponential / DRAWS - 3) < 6 * 3 / root);
}

static void test_process_seed(void **state)
{
    (void)state;
    assert_true(random_process_seed() == random_process_seed());
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_reference), cmocka_unit_test(test_seed),
                                       cmocka_unit_test(test_below), cmocka_unit_test(test_distributions),
                                       cmocka_unit_test(test_process_seed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
