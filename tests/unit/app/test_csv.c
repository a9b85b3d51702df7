/* CSV for spreadsheets: quoting, formulas, numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "app/csv.h"

static struct buffer out;

static const char *cell(struct bytes text)
{
    buffer_reset(&out);
    csv_write_text(&out, text);
    buffer_byte(&out, 0);
    return out.at;
}
#define CELL(literal) cell(BYTES(literal))

static void test_quoting(void **state)
{
    (void)state;
    assert_string_equal(CELL(""), "");
    assert_string_equal(CELL("plain text"), "plain text");
    assert_string_equal(CELL("a,b"), "\"a,b\"");
    assert_string_equal(CELL("say \"hi\""), "\"say \"\"hi\"\"\"");
    assert_string_equal(CELL("two\nlines"), "\"two\nlines\"");
    assert_string_equal(CELL("ünï"), "ünï");
}

static void test_formulas(void **state)
{
    (void)state;
    assert_string_equal(CELL("=1+1"), "\"'=1+1\"");
    assert_string_equal(CELL("+1"), "\"'+1\"");
    assert_string_equal(CELL("-1"), "\"'-1\"");
    assert_string_equal(CELL("@SUM(A1)"), "\"'@SUM(A1)\"");
    assert_string_equal(CELL("\t=1"), "\"'\t=1\"");
    assert_string_equal(CELL("\r=1"), "\"'\r=1\"");
    assert_string_equal(CELL("\n=1"), "\"'\n=1\"");
    assert_string_equal(CELL("＝1"), "\"'＝1\"");
    assert_string_equal(CELL("=cmd|'/c calc'!A0,\"x\""), "\"'=cmd|'/c calc'!A0,\"\"x\"\"\"");
    assert_string_equal(CELL("a=1"), "a=1");
}

static const char *row(const struct event *event, unsigned topics)
{
    buffer_reset(&out);
    csv_write_event(event, topics, &out);
    buffer_byte(&out, 0);
    return out.at;
}

static void test_rows(void **state)
{
    (void)state;
    struct event trade = {.source = EVENT_MARKET,
                          .kind = EVENT_TRADE,
                          .timestamp_us = 1000001,
                          .received_us = TIME_UNKNOWN,
                          .id = BYTES("binance:BTC-USDT:trade:7"),
                          .market = {.exchange = BYTES("binance"),
                                     .symbol = BYTES("BTC-USDT"),
                                     .price = BYTES("-0.10"),
                                     .volume = BYTES("1.000"),
                                     .side = EVENT_SELL,
                                     .direction = EVENT_FLAT,
                                     .trade_id = 7}};
    assert_string_equal(row(&trade, 1u << EVENT_MARKET),
                        "1970-01-01T00:00:01.000001Z,market,trade,binance,BTC-USDT,-0.10,1.000,sell,flat,7,,,,,,,,"
                        "binance:BTC-USDT:trade:7\n");
    struct event chat = {.source = EVENT_TWITCH,
                         .kind = EVENT_MESSAGE,
                         .received_us = TIME_UNKNOWN,
                         .id = BYTES("twitch:1"),
                         .chat = {.channel = BYTES("c"), .username = BYTES("u"), .message = BYTES("=HYPERLINK(\"x\")")}};
    assert_string_equal(row(&chat, 1u << EVENT_TWITCH),
                        "1970-01-01T00:00:00.000000Z,twitch,message,c,u,,,\"'=HYPERLINK(\"\"x\"\")\",,,,,,,,,,twitch:1\n");
}

/* Whatever the topics: as many cells in a row as in the header. */
static void test_columns_agree(void **state)
{
    (void)state;
    for (unsigned topics = 1; topics < 8; topics++) {
        size_t wanted = 0, got = 0;
        buffer_reset(&out);
        csv_write_header(topics, &out);
        for (size_t i = 0; i < out.length; i++)
            wanted += out.at[i] == ',';
        struct event event = {.received_us = TIME_UNKNOWN};
        for (unsigned source = 0; source < EVENT_SOURCE_COUNT; source++) {
            event.source = (enum event_source)source;
            event.market.trade_id = source == EVENT_MARKET ? TRADE_ID_NONE : 0;
            const char *line = row(&event, topics);
            for (got = 0; *line; line++)
                got += *line == ',';
            assert_int_equal(got, wanted);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quoting),
        cmocka_unit_test(test_formulas),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_columns_agree),
    };
    buffer_init(&out, 1 << 16);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buffer_release(&out);
    return failed;
}
