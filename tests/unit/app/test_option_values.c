/* Values of options, text to field and back; did-you-mean; what must hold of the option table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "app/command.h"
#include "app/options.h"

static struct config config;

static int set(const char *key, const char *text)
{
    struct error error;
    return option_set(option_by_key(bytes_of_string(key)), &config, bytes_of_string(text), false, &error);
}

static const char *why(const char *key, const char *text)
{
    static struct error error;
    assert_int_equal(option_set(option_by_key(bytes_of_string(key)), &config, bytes_of_string(text), false, &error), -1);
    return error.text;
}

static int setup(void **state)
{
    (void)state;
    config = (struct config){0};
    arena_init(&config.texts, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_release(&config.texts);
    return 0;
}

static void test_durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t us;
    } good[] = {{"0", 0},          {"0s", 0},          {"500ms", 500000},    {"10s", 10000000},
                {"5m", 300000000}, {"2h", 7200000000}, {"7d", 604800000000}, {"3 s", 3000000}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        int64_t us = -1;
        assert_true(duration_parse(bytes_of_string(good[i].text), &us));
        assert_int_equal(us, good[i].us);
    }
    static const char *const bad[] = {
        "", "5", "s", "-1s", "1.5s", "10 parsecs", "99999999999999999999s", "9223372036854775807h", "1s2", "1w"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t us = -1;
        assert_false(duration_parse(bytes_of_string(bad[i]), &us));
    }
}

static void test_sizes(void **state)
{
    (void)state;
    uint64_t size;
    assert_true(size_parse(BYTES("4096"), &size) && size == 4096);
    assert_true(size_parse(BYTES("64MiB"), &size) && size == 67108864);
    assert_true(size_parse(BYTES("10GB"), &size) && size == 10000000000);
    assert_true(size_parse(BYTES("10gb"), &size) && size == 10000000000);
    assert_true(size_parse(BYTES("2 TiB"), &size) && size == 2199023255552);
    assert_false(size_parse(BYTES("10XB"), &size));
    assert_true(size_parse(BYTES("9223372TB"), &size));
    assert_false(size_parse(BYTES("9223373TB"), &size));
    assert_false(size_parse(BYTES("99999999TB"), &size));
    assert_false(size_parse(BYTES(""), &size));
    assert_string_equal(why("segment_size", "1KB"), "\"1KB\" is not between 1048576 and 4294967296");
}

static void test_numbers(void **state)
{
    (void)state;
    assert_int_equal(set("speed", "max"), 0);
    assert_true(config.speed == 0);
    assert_int_equal(set("speed", "50"), 0);
    assert_true(config.speed == 50);
    assert_int_equal(set("rate", "1e6"), 0);
    assert_true(config.rate == 1e6);
    static const char *const bad[] = {
        "",    " 1",    "1 ",   "0x10", "inf",
        "nan", "1e999", "fast", "1,5",  "1000000000000000000000000000000000000000000000000000000000000000000000"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_non_null(strstr(why("rate", bad[i]), "is not a number"));
    assert_string_equal(why("rate", "10000001"), "\"10000001\" is not between 0 and 10000000");
    assert_string_equal(why("rate", "-1"), "\"-1\" is not between 0 and 10000000");
    assert_string_equal(why("seed", "9007199254740994"), "\"9007199254740994\" is not between 0 and 9007199254740992");
    assert_string_equal(why("seed", "-1"), "\"-1\" is not a whole number");
    assert_string_equal(why("seed", "99999999999999999999"), "\"99999999999999999999\" is not a whole number");
}

static void test_choices(void **state)
{
    (void)state;
    assert_int_equal(set("log.level", "debug"), 0);
    assert_int_equal(config.log_level, LOG_DEBUG);
    assert_int_equal(set("sync", "off"), 0);
    assert_int_equal(config.sync, BUS_SYNC_OFF);
    assert_string_equal(why("log.level", "warn"), "\"warn\" is not error, warning, info or debug; did you mean warning?");
    assert_string_equal(why("sync", "xxxxxxxx"), "\"xxxxxxxx\" is not always, interval or off");
}

static void test_flags_take_many_words(void **state)
{
    (void)state;
    static const char *const words[] = {"true", "yes", "On", "1"}, *const others[] = {"false", "NO", "off", "0"};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(set("demo", words[i]), 0);
        assert_true(config.demo);
        assert_int_equal(set("demo", others[i]), 0);
        assert_false(config.demo);
    }
    assert_string_equal(why("demo", "maybe"), "\"maybe\" is not true or false");
}

static void test_source_lists(void **state)
{
    (void)state;
    assert_int_equal(set("sources", " binance:BTC-USDT,ETH-USDT,simulated:chat;recording:a.jsonl  jsonl:b "), 0);
    static const char *const wanted[] = {"binance:BTC-USDT,ETH-USDT", "simulated:chat", "recording:a.jsonl", "jsonl:b"};
    assert_int_equal(config.sources.count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(config.sources.items[i], wanted[i]);

    struct error error;
    config.sources.count = 0;
    assert_int_equal(option_set(option_by_key(BYTES("sources")), &config, BYTES("recording:a file;.jsonl"), true, &error), 0);
    assert_int_equal(config.sources.count, 1);
    assert_string_equal(config.sources.items[0], "recording:a file;.jsonl");

    for (int i = 1; i < CONFIG_LIST_MAX; i++)
        assert_int_equal(set("sources", "x:y"), 0);
    assert_string_equal(why("sources", "x:y"), "more than 64 entries");
}

static void test_addresses(void **state)
{
    (void)state;
    assert_int_equal(set("vendor.binance_ws_url", "wss://stream.binance.com:9443"), 0);
    assert_string_equal(config.binance_ws_url, "wss://stream.binance.com:9443");
    why("vendor.binance_ws_url", "stream.binance.com");
    why("vendor.binance_ws_url", "wss://");
    why("vendor.binance_ws_url", "ftp://x");
}

static void test_secrets_are_never_shown(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, 1000);
    const struct option *token = option_by_key(BYTES("token"));
    option_show(token, &config, &out);
    assert_true(bytes_equal(buffer_bytes(&out), BYTES("not set")));
    buffer_reset(&out);
    assert_int_equal(set("token", "hunter2"), 0);
    option_show(token, &config, &out);
    assert_true(bytes_equal(buffer_bytes(&out), BYTES("set")));
    buffer_release(&out);
    struct error error;
    assert_int_equal(option_set(token, &config, BYTES("hun\0ter2"), true, &error), -1);
    assert_null(strstr(error.text, "hun"));
    for (size_t i = 0; i < option_count; i++) {
        if (!options[i].secret)
            continue;
        assert_int_equal(options[i].type, OPTION_TEXT);
        assert_null(options[i].flag);
        assert_null(options[i].standard);
        assert_non_null(options[i].env);
    }
}

static void check_shown(const char *key, const char *text, const char *shown)
{
    struct buffer out;
    buffer_init(&out, 1000);
    assert_int_equal(set(key, text), 0);
    option_show(option_by_key(bytes_of_string(key)), &config, &out);
    buffer_byte(&out, 0);
    assert_string_equal(out.at, shown);
    buffer_release(&out);
}

static void test_values_are_shown_as_written(void **state)
{
    (void)state;
    check_shown("retention.age", "168h", "7d");
    check_shown("retention.age", "90s", "90s");
    check_shown("retention.age", "0", "0");
    check_shown("retention.size", "10GB", "10GB");
    check_shown("segment_size", "64MiB", "64MiB");
    check_shown("speed", "max", "max");
    check_shown("speed", "2.5", "2.5");
    check_shown("seed", "42", "42");
    check_shown("sync", "interval", "interval");
    check_shown("demo", "yes", "true");
    check_shown("sources", "a:b c:d", "a:b c:d");
    check_shown("data", "x/y", "x/y");
}

static const char *suggest(const char *word, const char *const *candidates)
{
    static char space[96];
    struct suggestion suggestion;
    suggestion_init(&suggestion, bytes_of_string(word));
    for (; *candidates; candidates++)
        suggestion_offer(&suggestion, *candidates);
    return suggestion_text(&suggestion, "--", space, sizeof space);
}

static void test_suggestions(void **state)
{
    (void)state;
    static const char *const names[] = {"source", "speed", "seed", "retention-age", NULL};
    assert_string_equal(suggest("sources", names), "; did you mean --source?");
    assert_string_equal(suggest("sorce", names), "; did you mean --source?");
    assert_string_equal(suggest("reten", names), "; did you mean --retention-age?");
    assert_string_equal(suggest("rtntn", names), "");
    assert_string_equal(suggest("zzzzzz", names), "");
    assert_string_equal(suggest("", names), "");
}

/* Names are met once, defaults hold for their own type, and every row can be explained. */
static void test_table_is_consistent(void **state)
{
    (void)state;
    for (size_t i = 0; i < option_count; i++) {
        const struct option *option = &options[i];
        struct error error;
        assert_true(option->help && option->help[0] && option->section);
        assert_true(option->flag || option->env || option->key);
        if (option->standard)
            assert_int_equal(option_set(option, &config, bytes_of_string(option->standard), true, &error), 0);
        if (option->type == OPTION_CHOICE)
            assert_non_null(option->choices);
        if (option->flag)
            assert_int_not_equal(option->commands, 0);
        for (size_t j = i + 1; j < option_count; j++) {
            if (option->flag && options[j].flag && strcmp(option->flag, options[j].flag) == 0)
                assert_int_equal(option->commands & options[j].commands, 0);
            assert_false(option->env && options[j].env && strcmp(option->env, options[j].env) == 0);
            assert_false(option->key && options[j].key && strcmp(option->key, options[j].key) == 0);
        }
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        assert_int_equal(commands[i].id, i);
        assert_true(commands[i].name && commands[i].summary && commands[i].examples && commands[i].run);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_durations),
        TEST(test_sizes),
        TEST(test_numbers),
        TEST(test_choices),
        TEST(test_flags_take_many_words),
        TEST(test_source_lists),
        TEST(test_addresses),
        TEST(test_secrets_are_never_shown),
        TEST(test_values_are_shown_as_written),
        TEST(test_suggestions),
        TEST(test_table_is_consistent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
