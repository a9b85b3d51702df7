/* Lines of IRC: the grammar's corners.  tests/golden/irc_vectors.py adds the public test vectors. */
#include "source/irc_line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static void assert_text(struct bytes got, const char *expected)
{
    if (!bytes_equal(got, bytes_of_string(expected)))
        fail_msg("\"%.*s\" instead of \"%s\"", BYTES_ARG(got), expected);
}

/* Parts as "tags|prefix|command|param|…". */
static void check_line(const char *text, const char *expected)
{
    struct irc_line line;
    char parts[1024];
    if (!irc_line_parse(bytes_of_string(text), &line))
        fail_msg("\"%s\" was refused", text);
    int length =
        snprintf(parts, sizeof parts, "%.*s|%.*s|%.*s", BYTES_ARG(line.tags), BYTES_ARG(line.prefix), BYTES_ARG(line.command));
    for (size_t i = 0; i < line.param_count; i++)
        length += snprintf(parts + length, sizeof parts - (size_t)length, "|%.*s", BYTES_ARG(line.params[i]));
    assert_string_equal(parts, expected);
}

static void test_lines(void **state)
{
    (void)state;
    check_line("PING", "||PING");
    check_line("PING :tmi.twitch.tv", "||PING|tmi.twitch.tv");
    check_line("@a=b;c :n!u@h PRIVMSG #r :hi : there ", "a=b;c|n!u@h|PRIVMSG|#r|hi : there ");
    check_line("@a=b PRIVMSG #r :", "a=b||PRIVMSG|#r|");
    check_line(":s  005   x  y ", "|s|005|x|y");
    check_line("@ :  PING", "||PING");
    check_line("a 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16", "||a|1|2|3|4|5|6|7|8|9|10|11|12|13|14|15 16");
    check_line("a 1 2 3 4 5 6 7 8 9 10 11 12 13 14 :15 16", "||a|1|2|3|4|5|6|7|8|9|10|11|12|13|14|15 16");
    check_line("JOIN #a:b", "||JOIN|#a:b");
}

static void test_refused(void **state)
{
    (void)state;
    static const struct bytes texts[] = {
        BYTES(""),         BYTES(" "),      BYTES("@"),          BYTES("@a=b"),       BYTES("@a=b "),      BYTES(":p"),
        BYTES(":p "),      BYTES("@a :p"),  BYTES("{\"e\":1}"),  BYTES("PRIV-MSG a"), BYTES(" PING x"),    BYTES("PING \0x"),
        BYTES("PING \rx"), BYTES("PING\n"), BYTES("\xc3\xa9 x"), BYTES("[]"),         BYTES("@a=b :p @x"),
    };
    struct irc_line line;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (irc_line_parse(texts[i], &line))
            fail_msg("\"%.*s\" was taken", BYTES_ARG(texts[i]));
}

static void test_tags(void **state)
{
    (void)state;
    struct bytes tags = BYTES(";;a=1;b;;c==;d=;=x;+e/f=\\s");
    static const char *const expected[][2] = {{"a", "1"}, {"b", ""}, {"c", "="}, {"d", ""}, {"+e/f", "\\s"}};
    struct irc_tag tag;
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        assert_true(irc_tag_next(&tags, &tag));
        assert_text(tag.key, expected[i][0]);
        assert_text(tag.value, expected[i][1]);
    }
    assert_false(irc_tag_next(&tags, &tag));
}

static void test_unescape(void **state)
{
    (void)state;
    static const char *const texts[][2] = {
        {"", ""},     {"plain", "plain"}, {"a\\:b\\sc\\\\d", "a;b c\\d"}, {"\\r\\n", "\r\n"}, {"\\b\\x\\\xc3\xa9", "bx\xc3\xa9"},
        {"x\\", "x"}, {"x\\\\\\", "x\\"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char out[64];
        struct bytes value = bytes_of_string(texts[i][0]);
        assert_text(bytes_of(out, irc_value_unescape(value, out)), texts[i][1]);
        assert_int_equal(irc_value_is_escaped(value), strchr(texts[i][0], '\\') != NULL);
    }
}

static void test_prefixes(void **state)
{
    (void)state;
    static const char *const prefixes[][4] = {
        {"tmi.twitch.tv", "tmi.twitch.tv", "", ""},
        {"a!b@c", "a", "b", "c"},
        {"a@c", "a", "", "c"},
        {"a!b", "a", "b", ""},
        {"!@", "", "", ""},
        {"a@b!c", "a", "", "b!c"},
    };
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        struct irc_prefix parts = irc_prefix_split(bytes_of_string(prefixes[i][0]));
        assert_text(parts.nick, prefixes[i][1]);
        assert_text(parts.user, prefixes[i][2]);
        assert_text(parts.host, prefixes[i][3]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),    cmocka_unit_test(test_refused),  cmocka_unit_test(test_tags),
        cmocka_unit_test(test_unescape), cmocka_unit_test(test_prefixes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
