/* The quote assets of Binance and Binance.US, past ones too, for recordings.  AEUR is left out: ADAEUR and LUNAEUR are traded in
 * EUR, and nothing that is still traded is quoted in AEUR. */
#include "source/symbols.h"

static const struct bytes quotes[] = {
    BYTES("USDT"), BYTES("USDC"), BYTES("FDUSD"), BYTES("TUSD"), BYTES("BUSD"), BYTES("USDP"), BYTES("USDS"), BYTES("RLUSD"),
    BYTES("XUSD"), BYTES("USD1"), BYTES("USDE"),  BYTES("USD"),  BYTES("PAX"),  BYTES("UST"),  BYTES("VAI"),  BYTES("DAI"),
    BYTES("EUR"),  BYTES("EURI"), BYTES("GBP"),   BYTES("AUD"),  BYTES("TRY"),  BYTES("BRL"),  BYTES("RUB"),  BYTES("UAH"),
    BYTES("NGN"),  BYTES("ZAR"),  BYTES("IDRT"),  BYTES("IDR"),  BYTES("BIDR"), BYTES("BKRW"), BYTES("BVND"), BYTES("PLN"),
    BYTES("RON"),  BYTES("ARS"),  BYTES("JPY"),   BYTES("MXN"),  BYTES("COP"),  BYTES("CZK"),  BYTES("GYEN"), BYTES("BTC"),
    BYTES("ETH"),  BYTES("BNB"),  BYTES("TRX"),   BYTES("XRP"),  BYTES("DOGE"), BYTES("DOT"),  BYTES("SOL"),
};

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - ('a' - 'A')) : c;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* Letters and digits of any script, and what Binance's own pattern for symbols allows besides, but for the hyphen. */
static bool is_asset(struct bytes text)
{
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)upper(text.at[i]);
        if (c < 0x80 && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '_' && c != '.')
            return false;
    }
    return text.length > 0 && bytes_is_utf8(text);
}

static bool ends_with_quote(struct bytes text, struct bytes quote)
{
    return text.length > quote.length && bytes_equal_ignore_case(bytes_skip(text, text.length - quote.length), quote);
}

size_t symbol_split(struct bytes text, char *out)
{
    size_t longest = 0;
    if (text.length >= SYMBOL_LENGTH_MAX || !is_asset(text))
        return 0;
    for (size_t i = 0; i < sizeof quotes / sizeof *quotes; i++)
        if (quotes[i].length > longest && ends_with_quote(text, quotes[i]))
            longest = quotes[i].length;
    if (longest == 0)
        return 0;
    size_t base = text.length - longest;
    for (size_t i = 0; i < text.length; i++)
        out[i + (i >= base)] = upper(text.at[i]);
    out[base] = '-';
    return text.length + 1;
}

size_t symbol_join(struct bytes symbol, bool lower_case, char *out)
{
    struct bytes quote, base = bytes_split(symbol, '-', &quote);
    if (symbol.length > SYMBOL_LENGTH_MAX || !is_asset(base) || !is_asset(quote))
        return 0;
    size_t length = 0;
    for (size_t i = 0; i < symbol.length; i++)
        if (i != base.length)
            out[length++] = lower_case ? lower(symbol.at[i]) : upper(symbol.at[i]);
    return length;
}
