/* Files of variables: each line and what comes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "app/dotenv.h"
#include "base/buffer.h"

static struct buffer seen;

static void on_entry(void *context, unsigned line, struct bytes name, struct bytes value)
{
    (void)context;
    buffer_printf(&seen, "%u %.*s=[%.*s]\n", line, BYTES_ARG(name), BYTES_ARG(value));
}

static void on_problem(void *context, unsigned line, const char *text)
{
    (void)context;
    buffer_printf(&seen, "%u ! %s\n", line, text);
}

static const char *parse(struct bytes text, size_t memory)
{
    struct arena arena;
    arena_init(&arena, memory);
    struct dotenv_reader reader = {.entry = on_entry, .problem = on_problem};
    buffer_reset(&seen);
    dotenv_parse(text, &arena, &reader);
    buffer_byte(&seen, 0);
    arena_release(&arena);
    assert_false(seen.failed);
    return seen.at;
}
#define PARSE(literal) parse(BYTES(literal), 1 << 20)

static void test_plain(void **state)
{
    (void)state;
    assert_string_equal(PARSE(""), "");
    assert_string_equal(PARSE("A=1"), "1 A=[1]\n");
    assert_string_equal(PARSE("A=1\nB=2\n"), "1 A=[1]\n2 B=[2]\n");
    assert_string_equal(PARSE("A=1\r\n\r\nB = two words \r\n"), "1 A=[1]\n3 B=[two words]\n");
    assert_string_equal(PARSE("export A=1\nexport\tB=2\nexportC=3\n"), "1 A=[1]\n2 B=[2]\n3 exportC=[3]\n");
    assert_string_equal(PARSE("A=\n_b9=x=y==\n"), "1 A=[]\n2 _b9=[x=y==]\n");
    assert_string_equal(PARSE("\xEF\xBB\xBF"
                              "A=1\n"),
                        "1 A=[1]\n");
}

static void test_comments(void **state)
{
    (void)state;
    assert_string_equal(PARSE("# A=1\n   # B\nA=1 # one\nB=a#b\nC=#\nD=x\t#y\n"), "3 A=[1]\n4 B=[a#b]\n5 C=[]\n6 D=[x]\n");
    assert_string_equal(PARSE("A='1 # 2' # 3\nB=\"#\"#\n"), "1 A=[1 # 2]\n2 B=[#]\n");
}

static void test_quotes(void **state)
{
    (void)state;
    assert_string_equal(PARSE("A=' x '\nB=\" y \"\nC=''\n"), "1 A=[ x ]\n2 B=[ y ]\n3 C=[]\n");
    assert_string_equal(PARSE("A=\"a\\nb\\t\\\"\\\\\\$HOME\"\n"), "1 A=[a\nb\t\"\\$HOME]\n");
    assert_string_equal(PARSE("A='a\\nb'\nB=don't\n"), "1 A=[a\\nb]\n2 B=[don't]\n");
}

static void test_problems_cost_their_line(void **state)
{
    (void)state;
    assert_string_equal(PARSE("A=1\nnonsense\nB=2\n"), "1 A=[1]\n2 ! this is not NAME=value\n3 B=[2]\n");
    assert_string_equal(PARSE("A=\"open\nB=2\n"), "1 ! a quote is opened and not closed on this line\n2 B=[2]\n");
    assert_string_equal(PARSE("A=\"x\\\"\n"), "1 ! a quote is opened and not closed on this line\n");
    assert_string_equal(PARSE("A='x' y\n"), "1 ! something follows the closing quote\n");
    assert_string_equal(PARSE("=1\n1A=1\nA-B=1\nA B=1\n"), "1 ! the name before = is not one of letters, digits and _\n"
                                                           "2 ! the name before = is not one of letters, digits and _\n"
                                                           "3 ! the name before = is not one of letters, digits and _\n"
                                                           "4 ! the name before = is not one of letters, digits and _\n");
    assert_string_equal(PARSE("A=x\0y\n"), "1 ! this line holds a NUL byte\n");
    assert_string_equal(parse(BYTES("A=12345678901234567890\n"), 8), "1 ! the file is too large\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_comments),
        cmocka_unit_test(test_quotes),
        cmocka_unit_test(test_problems_cost_their_line),
    };
    buffer_init(&seen, 1 << 20);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buffer_release(&seen);
    return failed;
}
