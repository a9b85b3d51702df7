/* Data long enough for the three lanes: whole, at any start and end, and in pieces, against the definition. */
#include "base/crc32c.h"
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { LENGTH = 20000 };

static uint32_t oracle(const unsigned char *data, size_t length)
{
    uint32_t crc = 0xFFFFFFFF;
    for (size_t i = 0; i < length; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0x82F63B78u : crc >> 1;
    }
    return ~crc;
}

static void test_long_data(void **state)
{
    (void)state;
    static unsigned char data[LENGTH];
    struct random random;
    random_seed(&random, 3);
    for (size_t i = 0; i < LENGTH; i++)
        data[i] = (unsigned char)random_u64(&random);
    for (int turn = 0; turn < 300; turn++) {
        size_t begin = random_below(&random, 20), length = 3000 + random_below(&random, LENGTH - 3020);
        size_t cut = random_below(&random, length + 1);
        if (turn < 200)
            length = 3 * 1024 * (size_t)(1 + turn % 4) - 100 + (size_t)turn; /* about whole lanes */
        cut = cut > length ? length : cut;
        const char *at = (const char *)data + begin;
        uint32_t expected = oracle(data + begin, length);
        assert_int_equal(crc32c(0, bytes_of(at, length)), expected);
        assert_int_equal(crc32c_portable(0, bytes_of(at, length)), expected);
        assert_int_equal(crc32c(crc32c(0, bytes_of(at, cut)), bytes_of(at + cut, length - cut)), expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_long_data)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
