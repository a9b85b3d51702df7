/* Splitting and joining symbols. */
#include "source/symbols.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_split_and_join(void **state)
{
    (void)state;
    static const struct {
        const char *text, *symbol; /* NULL: none */
    } cases[] = {
        {"BTCUSDT", "BTC-USDT"},
        {"btcusdt", "BTC-USDT"},
        {"ETHBTC", "ETH-BTC"},
        {"WBTCBTC", "WBTC-BTC"},
        {"BTCTUSD", "BTC-TUSD"},
        {"BTCUSD", "BTC-USD"},
        {"BTCFDUSD", "BTC-FDUSD"},
        {"EURUSDT", "EUR-USDT"},
        {"RUNEEUR", "RUNE-EUR"},
        {"ADAEUR", "ADA-EUR"},
        {"USDTTRY", "USDT-TRY"},
        {"1INCHUSDT", "1INCH-USDT"},
        {"BTCUSD1", "BTC-USD1"},
        {"DOGEBNB", "DOGE-BNB"},
        {"\xE5\xB8\x81USDT", "\xE5\xB8\x81-USDT"},
        {"USDT", NULL},
        {"BTC", NULL},
        {"", NULL},
        {"BTC-USDT", NULL},
        {"BTC USDT", NULL},
        {"BTC\"USDT", NULL},
        {"\xFFUSDT", NULL},
        {"BTCXYZ", NULL},
        {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAUSDT", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char symbol[SYMBOL_LENGTH_MAX], joined[SYMBOL_LENGTH_MAX];
        struct bytes text = bytes_of_string(cases[i].text), expected = bytes_of_string(cases[i].symbol);
        struct bytes got = bytes_of(symbol, symbol_split(text, symbol));
        if (!bytes_equal(got, expected))
            fail_msg("%s became %.*s", cases[i].text, BYTES_ARG(got));
        if (got.length == 0)
            continue;
        bool is_lower = cases[i].text[0] >= 'a' && cases[i].text[0] <= 'z';
        struct bytes back = bytes_of(joined, symbol_join(got, is_lower, joined));
        if (!bytes_equal(back, text))
            fail_msg("%s came back as %.*s", cases[i].text, BYTES_ARG(back));
    }
}

static void test_join_refuses(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "-", "BTC", "BTCUSDT", "BTC-", "-USDT", "BTC-USDT-X", "BTC/USDT", "B C-USDT"};
    char out[SYMBOL_LENGTH_MAX];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(symbol_join(bytes_of_string(wrong[i]), false, out), 0);
    assert_int_equal(symbol_join(BYTES("btc-usdt"), false, out), 7);
    assert_memory_equal(out, "BTCUSDT", 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_split_and_join), cmocka_unit_test(test_join_refuses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
