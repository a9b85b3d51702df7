#include "base/crc32c.h"
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

typedef uint32_t checksum(uint32_t crc, struct bytes data);

static void check_vectors(checksum *crc)
{
    unsigned char data[48];
    memset(data, 0, 32);
    assert_int_equal(crc(0, bytes_of((char *)data, 32)), 0x8a9136aa); /* RFC 3720 appendix B.4 */
    memset(data, 0xFF, 32);
    assert_int_equal(crc(0, bytes_of((char *)data, 32)), 0x62a8ab43);
    for (unsigned i = 0; i < 32; i++)
        data[i] = (unsigned char)i;
    assert_int_equal(crc(0, bytes_of((char *)data, 32)), 0x46dd794e);
    for (unsigned i = 0; i < 32; i++)
        data[i] = (unsigned char)(31 - i);
    assert_int_equal(crc(0, bytes_of((char *)data, 32)), 0x113fdb5c);
    static const unsigned char read_command[48] = {0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0, 0, 0, 0,
                                                   0x14, 0,    0, 0, 0, 0, 4, 0, 0, 0, 0, 0x14, 0, 0, 0, 0x18,
                                                   0x28, 0,    0, 0, 0, 0, 0, 0, 2, 0, 0, 0,    0, 0, 0, 0};
    assert_int_equal(crc(0, bytes_of((const char *)read_command, 48)), 0xd9963a56);
    assert_int_equal(crc(0, BYTES("123456789")), 0xe3069283); /* the usual check value */
    assert_int_equal(crc(0, BYTES_NONE), 0);
    assert_int_equal(crc(0x12345678, BYTES_NONE), 0x12345678);
}

static void test_vectors(void **state)
{
    (void)state;
    check_vectors(crc32c);
    check_vectors(crc32c_portable);
}

/* Bit by bit, from the definition. */
static uint32_t oracle(uint32_t crc, const unsigned char *data, size_t length)
{
    crc = ~crc;
    for (size_t i = 0; i < length; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0x82F63B78u : crc >> 1;
    }
    return ~crc;
}

/* Both ways agree with the definition for all lengths and misalignments, whole and in two pieces. */
static void test_all_lengths(void **state)
{
    (void)state;
    unsigned char data[320];
    struct random random;
    random_seed(&random, 2);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)random_u64(&random);
    for (size_t start = 0; start < 16; start++) {
        for (size_t length = 0; length <= 300; length++) {
            struct bytes all = bytes_of((const char *)data + start, length);
            uint32_t expected = oracle(0, data + start, length);
            assert_int_equal(crc32c(0, all), expected);
            assert_int_equal(crc32c_portable(0, all), expected);
            size_t cut = (size_t)random_below(&random, length + 1);
            uint32_t first = crc32c(0, bytes_of(all.at, cut));
            assert_int_equal(crc32c(first, bytes_skip(all, cut)), expected);
            assert_int_equal(crc32c_portable(first, bytes_skip(all, cut)), expected);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_vectors), cmocka_unit_test(test_all_lengths)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
