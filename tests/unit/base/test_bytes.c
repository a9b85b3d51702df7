/* Bytes.  The oracle for UTF-8 is written from the syntax of RFC 3629 section 4 by way of code points: decode, then check
 * range, shortest form and surrogates; it shares nothing with the table in bytes.c. */
#include "base/bytes.h"
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static size_t oracle_sequence(const unsigned char *s, size_t left)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;
    if (length == 0 || length > left)
        return 0;
    if (length == 1)
        return 1;
    uint32_t code = s[0] & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if (s[i] >> 6 != 2)
            return 0;
        code = code << 6 | (s[i] & 0x3Fu);
    }
    bool surrogate = code >= 0xD800 && code <= 0xDFFF;
    return code >= least[length] && code <= 0x10FFFF && !surrogate ? length : 0;
}

static bool oracle_is_utf8(const unsigned char *s, size_t length)
{
    for (size_t i = 0; i < length;) {
        size_t step = oracle_sequence(s + i, length - i);
        if (step == 0)
            return false;
        i += step;
    }
    return true;
}

static void check_utf8(const unsigned char *s, size_t length)
{
    if (bytes_is_utf8(bytes_of((const char *)s, length)) != oracle_is_utf8(s, length))
        fail_msg("%zu bytes: %02x %02x %02x %02x", length, s[0], s[1], s[2], s[3]);
}

/* All sequences of one, two and three bytes. */
static void test_utf8_exhaustive(void **state)
{
    (void)state;
    for (uint32_t all = 0; all < 1u << 24; all++) {
        unsigned char s[4] = {(unsigned char)(all >> 16), (unsigned char)(all >> 8), (unsigned char)all, 0};
        check_utf8(s, 3);
        if ((all & 0xFF) == 0)
            check_utf8(s, 2);
        if ((all & 0xFFFF) == 0)
            check_utf8(s, 1);
    }
}

/* Four bytes: every first and second byte with the edges of the others; and every code point, well encoded. */
static void test_utf8_four_bytes(void **state)
{
    (void)state;
    static const unsigned char edges[] = {0x00, 0x7F, 0x80, 0x81, 0xBE, 0xBF, 0xC0, 0xC2, 0xE0, 0xED, 0xF0, 0xF4, 0xFF};
    for (uint32_t first = 0; first < 1u << 16; first++)
        for (size_t i = 0; i < sizeof edges; i++)
            for (size_t j = 0; j < sizeof edges; j++)
                check_utf8((unsigned char[]){(unsigned char)(first >> 8), (unsigned char)first, edges[i], edges[j]}, 4);
    for (uint32_t code = 0x10000; code <= 0x10FFFF; code++) {
        unsigned char s[] = {(unsigned char)(0xF0 | code >> 18), (unsigned char)(0x80 | (code >> 12 & 0x3F)),
                             (unsigned char)(0x80 | (code >> 6 & 0x3F)), (unsigned char)(0x80 | (code & 0x3F))};
        assert_true(bytes_is_utf8(bytes_of((const char *)s, 4)));
    }
}

/* Long texts, for the path that takes eight bytes at once: a piece at each place of a plain text. */
static void test_utf8_in_long_text(void **state)
{
    (void)state;
    static const char *const pieces[] = {"\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\x80",
                                         "\xC3",     "\xE2\x82",     "\xED\xA0\x80",     "\xFF"};
    for (size_t p = 0; p < sizeof pieces / sizeof pieces[0]; p++) {
        for (size_t place = 0; place < 40; place++) {
            for (size_t total = place; total < 48; total++) {
                unsigned char text[64];
                memset(text, 'a', sizeof text);
                memcpy(text + place, pieces[p], strlen(pieces[p]));
                check_utf8(text, total);
            }
        }
    }
}

static void test_empty(void **state)
{
    (void)state;
    assert_true(bytes_is_utf8(BYTES_NONE));
    assert_true(bytes_equal(BYTES_NONE, BYTES("")));
    assert_true(bytes_start_with(BYTES_NONE, BYTES("")));
    assert_true(bytes_start_with(BYTES("abc"), BYTES_NONE));
    assert_false(bytes_start_with(BYTES_NONE, BYTES("a")));
    assert_int_equal(bytes_find(BYTES_NONE, 'a'), -1);
    assert_int_equal(bytes_skip(BYTES_NONE, 0).length, 0);
    assert_int_equal(bytes_trim(BYTES_NONE).length, 0);
    assert_int_equal(bytes_of_string(NULL).length, 0);
    assert_int_equal(bytes_compare(BYTES_NONE, BYTES("")), 0);
    assert_true(bytes_equal_ignore_case(BYTES_NONE, BYTES("")));
    assert_int_equal(bytes_distance(BYTES_NONE, BYTES("abc")), 3);
    struct bytes rest;
    assert_int_equal(bytes_split(BYTES_NONE, ',', &rest).length, 0);
    assert_null(rest.at);
}

static void test_split(void **state)
{
    (void)state;
    struct bytes rest;
    assert_true(bytes_equal(bytes_split(BYTES("a,b,c"), ',', &rest), BYTES("a")));
    assert_true(bytes_equal(rest, BYTES("b,c")));
    assert_true(bytes_equal(bytes_split(rest, ',', &rest), BYTES("b"))); /* the rest may be split in place */
    assert_true(bytes_equal(bytes_split(rest, ',', &rest), BYTES("c")));
    assert_null(rest.at);
    /* A separator at the end leaves an empty rest, which is not none. */
    assert_true(bytes_equal(bytes_split(BYTES("a,"), ',', &rest), BYTES("a")));
    assert_non_null(rest.at);
    assert_int_equal(rest.length, 0);
}

static void test_trim_and_case(void **state)
{
    (void)state;
    assert_true(bytes_equal(bytes_trim(BYTES(" \t a b\r\n")), BYTES("a b")));
    assert_int_equal(bytes_trim(BYTES(" \r\n\t ")).length, 0);
    assert_true(bytes_equal_ignore_case(BYTES("Upgrade"), BYTES("uPGRADE")));
    assert_false(bytes_equal_ignore_case(BYTES("a"), BYTES("ab")));
    assert_false(bytes_equal_ignore_case(BYTES("@"), BYTES("`"))); /* neighbours of the letters */
    assert_false(bytes_equal_ignore_case(BYTES("["), BYTES("{")));
    assert_false(bytes_equal_ignore_case(BYTES("\xC4"), BYTES("\xE4"))); /* ASCII only */
}

static void test_compare(void **state)
{
    (void)state;
    const struct bytes ordered[] = {BYTES(""),   bytes_of("\0", 1), BYTES("a"),   bytes_of("a\0", 2),
                                    BYTES("ab"), BYTES("b"),        BYTES("\xFF")};
    for (size_t i = 0; i < sizeof ordered / sizeof ordered[0]; i++) {
        for (size_t j = 0; j < sizeof ordered / sizeof ordered[0]; j++) {
            int order = bytes_compare(ordered[i], ordered[j]);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
    }
}

static void test_to_u64(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool valid;
        uint64_t value;
    } cases[] = {
        {"0", true, 0},
        {"007", true, 7},
        {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551616", false, 0},
        {"99999999999999999999", false, 0},
        {"184467440737095516150", false, 0},
        {"", false, 0},
        {"-1", false, 0},
        {"+1", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"1.0", false, 0},
        {"0x10", false, 0},
        {"1e3", false, 0},
        {"/", false, 0},
        {":", false, 0},
        {"\xB2", false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t value = 42;
        assert_int_equal(bytes_to_u64(bytes_of_string(cases[i].text), &value), cases[i].valid);
        assert_int_equal(value, cases[i].valid ? cases[i].value : 42);
    }
}

/* Levenshtein by its recursive definition. */
static unsigned oracle_distance(const char *a, size_t m, const char *b, size_t n)
{
    if (m == 0 || n == 0)
        return (unsigned)(m + n);
    unsigned change = oracle_distance(a, m - 1, b, n - 1) + (a[m - 1] != b[n - 1]);
    unsigned remove = oracle_distance(a, m - 1, b, n) + 1, insert = oracle_distance(a, m, b, n - 1) + 1;
    unsigned best = change < remove ? change : remove;
    return best < insert ? best : insert;
}

static void test_distance(void **state)
{
    (void)state;
    assert_int_equal(bytes_distance(BYTES("kitten"), BYTES("sitting")), 3);
    struct random random;
    random_seed(&random, 3);
    for (int round = 0; round < 2000; round++) {
        char a[6], b[6];
        size_t m = (size_t)random_below(&random, 6), n = (size_t)random_below(&random, 6);
        for (size_t i = 0; i < 6; i++) {
            a[i] = (char)('a' + random_below(&random, 3));
            b[i] = (char)('a' + random_below(&random, 3));
        }
        assert_int_equal(bytes_distance(bytes_of(a, m), bytes_of(b, n)), oracle_distance(a, m, b, n));
    }
    char long_text[200];
    memset(long_text, 'x', sizeof long_text);
    assert_int_equal(bytes_distance(bytes_of(long_text, 200), bytes_of(long_text, 63)), 0); /* cut at 63 */
    assert_int_equal(bytes_distance(bytes_of(long_text, 200), BYTES("")), 63);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8_exhaustive), cmocka_unit_test(test_utf8_four_bytes), cmocka_unit_test(test_utf8_in_long_text),
        cmocka_unit_test(test_empty),           cmocka_unit_test(test_split),           cmocka_unit_test(test_trim_and_case),
        cmocka_unit_test(test_compare),         cmocka_unit_test(test_to_u64),          cmocka_unit_test(test_distance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
