/* Decimals against Python's decimal, float and json. */
#include "event/decimal.h"

#include "unit/event/tsv.h"
#include <math.h>

static void check_pair(const struct bytes *column)
{
    int order = decimal_compare(column[0], column[1]);
    int expected = bytes_equal(column[2], BYTES("-1")) ? -1 : bytes_equal(column[2], BYTES("1"));
    if ((order > 0) - (order < 0) != expected)
        fail_msg("%.*s against %.*s: %d", BYTES_ARG(column[0]), BYTES_ARG(column[1]), order);
    int reverse = decimal_compare(column[1], column[0]);
    assert_int_equal((reverse > 0) - (reverse < 0), -expected);
    char hexadecimal[64];
    snprintf(hexadecimal, sizeof hexadecimal, "%.*s", BYTES_ARG(column[3]));
    double value = decimal_to_double(column[0]), wanted = strtod(hexadecimal, NULL);
    if (value != wanted || signbit(value) != signbit(wanted))
        fail_msg("%.*s became %a", BYTES_ARG(column[0]), value);
    assert_int_equal(decimal_is_positive(column[0]), bytes_equal(column[4], BYTES("1")));
    assert_true(decimal_is_valid(column[0]) && decimal_is_valid(column[1]));
}

static void test_pairs(void **state)
{
    (void)state;
    tsv_each(TEST_DATA "/event/decimals.tsv", 5, 1000, check_pair);
}

static void check_number(const struct bytes *column)
{
    if (decimal_is_valid(column[0]) != bytes_equal(column[1], BYTES("1")))
        fail_msg("%.*s", BYTES_ARG(column[0]));
}

static void test_numbers(void **state)
{
    (void)state;
    tsv_each(TEST_DATA "/event/numbers.tsv", 2, 500, check_number);
}

/* Exponents that no machine number holds. */
static void test_huge_exponents(void **state)
{
    (void)state;
    assert_true(decimal_compare(BYTES("1e99999999999999999999999"), BYTES("9e999")) > 0);
    assert_true(decimal_compare(BYTES("1e-99999999999999999999999"), BYTES("1e-999")) < 0);
    assert_true(decimal_compare(BYTES("-1e99999999999999999999999"), BYTES("1e-99999999999999999999999")) < 0);
    assert_true(isinf(decimal_to_double(BYTES("1e99999999999999999999999"))));
    assert_true(decimal_to_double(BYTES("1e-99999999999999999999999")) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_huge_exponents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
