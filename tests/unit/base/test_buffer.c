#include "base/buffer.h"
#include "base/random.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* ---- the buffer ---- */

static void test_cap(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 10);
    BUFFER_LITERAL(&buffer, "0123456789"); /* just fits */
    assert_false(buffer.failed);
    assert_true(bytes_equal(buffer_bytes(&buffer), BYTES("0123456789")));
    buffer_byte(&buffer, 'x');
    assert_true(buffer.failed);
    assert_int_equal(buffer.length, 10);
    buffer_consume(&buffer, 5);
    BUFFER_LITERAL(&buffer, "y"); /* after a failure nothing is appended, room or not */
    assert_int_equal(buffer.length, 5);
    buffer_reset(&buffer);
    BUFFER_LITERAL(&buffer, "ok");
    assert_false(buffer.failed);
    assert_true(bytes_equal(buffer_bytes(&buffer), BYTES("ok")));
    assert_false(buffer_reserve(&buffer, SIZE_MAX)); /* no overflow in the sum */
    buffer_release(&buffer);
    assert_null(buffer.at);
}

static void test_printf(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 5);
    buffer_printf(&buffer, "%s", "hello"); /* fills it to the cap: the terminator needs no place */
    assert_false(buffer.failed);
    assert_true(bytes_equal(buffer_bytes(&buffer), BYTES("hello")));
    buffer_printf(&buffer, "%s", "");
    assert_false(buffer.failed);
    buffer_printf(&buffer, "%d", 1);
    assert_true(buffer.failed);
    buffer_release(&buffer);
    buffer_init(&buffer, 100000);
    for (int i = 0; i < 3; i++)
        buffer_printf(&buffer, "%*d", 20000, i); /* longer than any first guess */
    assert_false(buffer.failed);
    assert_int_equal(buffer.length, 60000);
    assert_int_equal(buffer.at[39999], '1');
    buffer_release(&buffer);
}

/* Random appends and consumes against a plain array. */
static void test_random(void **state)
{
    (void)state;
    static char model[20000];
    size_t length = 0;
    struct buffer buffer;
    buffer_init(&buffer, sizeof model);
    struct random random;
    random_seed(&random, 8);
    for (int round = 0; round < 20000; round++) {
        char piece[64];
        size_t size = (size_t)random_below(&random, sizeof piece);
        memset(piece, (int)('a' + random_below(&random, 26)), sizeof piece);
        if (random_below(&random, 3) == 0) {
            size_t count = (size_t)random_below(&random, length + 1);
            buffer_consume(&buffer, count);
            memmove(model, model + count, length - count);
            length -= count;
        } else if (length + size <= sizeof model) {
            buffer_append(&buffer, bytes_of(piece, size));
            memcpy(model + length, piece, size);
            length += size;
        }
        assert_int_equal(buffer.length, length);
        assert_true(length == 0 || memcmp(buffer.at, model, length) == 0);
    }
    assert_false(buffer.failed);
    buffer_release(&buffer);
}

/* ---- JSON ---- */

static void check_string(struct bytes text, struct bytes expected)
{
    struct buffer buffer;
    buffer_init(&buffer, 4096);
    buffer_json_string(&buffer, text);
    assert_false(buffer.failed);
    if (!bytes_equal(buffer_bytes(&buffer), expected))
        fail_msg("got %.*s, expected %.*s", BYTES_ARG(buffer_bytes(&buffer)), BYTES_ARG(expected));
    buffer_release(&buffer);
}

static void test_json_string(void **state)
{
    (void)state;
    check_string(BYTES_NONE, BYTES("\"\""));
    check_string(BYTES("a\"b\\c/d"), BYTES("\"a\\\"b\\\\c/d\""));
    check_string(BYTES("\b\f\n\r\t"), BYTES("\"\\b\\f\\n\\r\\t\""));
    check_string(bytes_of("\0\x01\x1f\x7f", 4), BYTES("\"\\u0000\\u0001\\u001f\x7f\""));
    check_string(BYTES("caf\xC3\xA9 \xF0\x9F\x98\x80"), BYTES("\"caf\xC3\xA9 \xF0\x9F\x98\x80\""));
    /* Broken UTF-8: what is whole stays, each byte that is not becomes U+FFFD. */
    check_string(BYTES("a\xFFz"), BYTES("\"a\xEF\xBF\xBDz\""));
    check_string(BYTES("\xC3"), BYTES("\"\xEF\xBF\xBD\""));
    check_string(BYTES("\xC3\xA9\xC3\""), BYTES("\"\xC3\xA9\xEF\xBF\xBD\\\"\""));
    check_string(BYTES("\xED\xA0\x80"), BYTES("\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""));
}

/* A reader of JSON strings, from RFC 8259 section 7: what the writer makes must read back as the text. */
static size_t read_json_string(struct bytes json, char *out)
{
    size_t length = 0;
    assert_true(json.length >= 2 && json.at[0] == '"' && json.at[json.length - 1] == '"');
    for (size_t i = 1; i < json.length - 1; i++) {
        unsigned char c = (unsigned char)json.at[i];
        assert_true(c >= 0x20 && c != '"');
        if (c != '\\') {
            out[length++] = (char)c;
            continue;
        }
        static const char names[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
        char name = json.at[++i];
        if (name == 'u') {
            char digits[5] = {0};
            assert_true(i + 4 < json.length - 1);
            memcpy(digits, json.at + i + 1, 4);
            unsigned long code = strtoul(digits, NULL, 16);
            assert_true(code < 0x80);
            out[length++] = (char)code;
            i += 4;
        } else {
            const char *place = strchr(names, name);
            assert_true(name && place);
            out[length++] = meanings[place - names];
        }
    }
    return length;
}

static void test_json_string_reads_back(void **state)
{
    (void)state;
    static const char *const pieces[] = {
        "a", "\"", "\\", "\n", "\x01", "\x1f", "\x7f", "\xC3\xA9", "\xE2\x80\xA8", "\xF0\x9F\x98\x80", "/"};
    struct random random;
    random_seed(&random, 12);
    struct buffer buffer;
    buffer_init(&buffer, 4096);
    for (int round = 0; round < 20000; round++) {
        char text[200], back[1300];
        size_t length = 0;
        for (uint64_t count = random_below(&random, 40); count > 0; count--) {
            struct bytes piece = bytes_of_string(pieces[random_below(&random, sizeof pieces / sizeof pieces[0])]);
            memcpy(text + length, piece.at, piece.length);
            length += piece.length;
        }
        buffer_reset(&buffer);
        buffer_json_string(&buffer, bytes_of(text, length));
        assert_int_equal(read_json_string(buffer_bytes(&buffer), back), length);
        assert_memory_equal(back, text, length);
    }
    /* Random bytes: whatever comes out is UTF-8. */
    for (int round = 0; round < 20000; round++) {
        char text[40];
        for (size_t i = 0; i < sizeof text; i++)
            text[i] = (char)random_u64(&random);
        buffer_reset(&buffer);
        buffer_json_string(&buffer, bytes_of(text, (size_t)random_below(&random, sizeof text)));
        assert_true(bytes_is_utf8(buffer_bytes(&buffer)));
    }
    buffer_release(&buffer);
}

static void check_number(struct buffer *buffer, const char *expected)
{
    if (!bytes_equal(buffer_bytes(buffer), bytes_of_string(expected)))
        fail_msg("got %.*s, expected %s", BYTES_ARG(buffer_bytes(buffer)), expected);
    buffer_reset(buffer);
}

static void test_json_int(void **state)
{
    (void)state;
    static const struct {
        int64_t value;
        const char *text;
    } cases[] = {
        {0, "0"}, {-1, "-1"}, {9, "9"}, {10, "10"}, {INT64_MAX, "9223372036854775807"}, {INT64_MIN, "-9223372036854775808"}};
    struct buffer buffer;
    buffer_init(&buffer, 64);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        buffer_json_int(&buffer, cases[i].value);
        check_number(&buffer, cases[i].text);
    }
    buffer_release(&buffer);
}

/* The texts are those of Python's repr, which is the shortest that reads back, less its ".0". */
static void test_json_double_texts(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0.1, "0.1"},
        {1.0 / 3, "0.3333333333333333"},
        {100, "100"},
        {-2.5, "-2.5"},
        {0.3, "0.3"},
        {0.1 + 0.2, "0.30000000000000004"},
        {123456.789, "123456.789"},
        {1e-7, "1e-07"},
        {1e22, "1e+22"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {5e-324, "5e-324"},
        {1e-310, "1e-310"},
        {2.2250738585072014e-308, "2.2250738585072014e-308"},
        {999999999999999, "999999999999999"},
        {67250.01, "67250.01"},
        {-0.0, "0"},
        {(double)NAN, "null"},
        {(double)INFINITY, "null"},
        {-(double)INFINITY, "null"},
    };
    struct buffer buffer;
    buffer_init(&buffer, 64);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        buffer_json_double(&buffer, cases[i].value);
        check_number(&buffer, cases[i].text);
    }
    buffer_release(&buffer);
}

static void test_json_double_reads_back(void **state)
{
    (void)state;
    struct random random;
    random_seed(&random, 99);
    struct buffer buffer;
    buffer_init(&buffer, 64);
    for (int round = 0; round < 300000; round++) {
        uint64_t bits = random_u64(&random);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (round % 3 == 1)
            value = (double)(int64_t)bits / 1e6;
        if (round % 3 == 2)
            value = (double)(bits % 100000000) / 100; /* prices: no more digits than went in */
        if (!isfinite(value))
            continue;
        buffer_reset(&buffer);
        buffer_json_double(&buffer, value);
        buffer_byte(&buffer, '\0');
        assert_false(buffer.failed);
        assert_true(strtod(buffer.at, NULL) == value);
        assert_true(round % 3 != 2 || buffer.length <= 11);
    }
    buffer_release(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cap),
        cmocka_unit_test(test_printf),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_json_string),
        cmocka_unit_test(test_json_int),
        cmocka_unit_test(test_json_string_reads_back),
        cmocka_unit_test(test_json_double_texts),
        cmocka_unit_test(test_json_double_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
