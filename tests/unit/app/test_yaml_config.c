/* dataflow.yaml: paths and lines of what is there, and hostile files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "app/yaml_config.h"
#include "base/buffer.h"

static struct buffer seen;

static void on_entry(void *context, const struct yaml_entry *entry)
{
    (void)context;
    buffer_printf(&seen, "%u %.*s=[%.*s]%s%s\n", entry->line, BYTES_ARG(entry->path), BYTES_ARG(entry->value),
                  entry->in_list ? " list" : "", entry->empty ? " empty" : "");
}

static void on_problem(void *context, unsigned line, const char *text)
{
    (void)context;
    buffer_printf(&seen, "%u ! %s\n", line, text);
}

static const char *parse(struct bytes text)
{
    struct yaml_reader reader = {.entry = on_entry, .problem = on_problem};
    buffer_reset(&seen);
    yaml_config_parse(text, &reader);
    buffer_byte(&seen, 0);
    assert_false(seen.failed);
    return seen.at;
}
#define PARSE(literal) parse(BYTES(literal))
#define REFUSED(literal, line) assert_memory_equal(PARSE(literal), line " ! ", sizeof(line " ! ") - 1)

static void test_scalars_lists_levels(void **state)
{
    (void)state;
    assert_string_equal(PARSE(""), "");
    assert_string_equal(parse(BYTES_NONE), "");
    assert_string_equal(PARSE("# nothing\n"), "");
    assert_string_equal(PARSE("a: 1\nb: two words\n"), "1 a=[1]\n2 b=[two words]\n");
    assert_string_equal(PARSE("a:\n  b: 1\n  c:\n    d: 2\ne: 3\n"), "2 a.b=[1]\n4 a.c.d=[2]\n5 e=[3]\n");
    assert_string_equal(PARSE("s:\n  - x:y\n  - z\nt: [u, v]\nw: []\nx: 1\n"),
                        "2 s=[x:y] list\n3 s=[z] list\n4 t=[u] list\n4 t=[v] list\n6 x=[1]\n");
    assert_string_equal(PARSE("a: {b: 1, c: [2]}\nd: 4\n"), "1 a.b=[1]\n1 a.c=[2] list\n2 d=[4]\n");
    assert_string_equal(PARSE("retention.age: 7d\n"), "1 retention.age=[7d]\n");
}

static void test_empty_values(void **state)
{
    (void)state;
    assert_string_equal(PARSE("a:\nb: ~\nc: null\nd: ''\ne: 'null'\n"),
                        "1 a=[] empty\n2 b=[~] empty\n3 c=[null] empty\n4 d=[]\n5 e=[null]\n");
}

static void test_wrong_shapes(void **state)
{
    (void)state;
    REFUSED("just text\n", "1");
    REFUSED("- a\n- b\n", "1");
    assert_string_equal(PARSE("a: 1\na: 2\n"), "1 a=[1]\n2 ! a is given twice\n");
    assert_string_equal(PARSE("a: {b: 1}\na.b: 2\n"), "1 a.b=[1]\n2 ! a.b is given twice\n");
}

static void test_refused_with_line(void **state)
{
    (void)state;
    REFUSED("s:\n  - [nested]\n", "2");
    REFUSED("s:\n  - a: b\n", "2");
    REFUSED("[a]: b\n", "1");
    REFUSED("? {a: b}\n: c\n", "1");
    REFUSED("a: !!int 3\n", "1");
    assert_string_equal(PARSE("a: {b: {c: {d: 1}}}\n"), "1 a.b.c.d=[1]\n");
    REFUSED("a: {b: {c: {d: {e: 1}}}}\n", "1");
    assert_string_equal(PARSE("a: 1\n--- \nb: 2\n"), "1 a=[1]\n2 ! a second document (---) is not supported\n");
    assert_non_null(strstr(PARSE("a: 1\n b: 2\n"), "2 ! "));
    assert_non_null(strstr(PARSE("a: 1\nb: [1, 2\n"), "! "));
    assert_non_null(strstr(PARSE("a: 1\nb: \"open\n"), "! "));
    assert_non_null(strstr(PARSE("a: 1\n\tb: 2\n"), "2 ! "));
}

/* Nothing expands: the first anchor ends it. */
static void test_bomb(void **state)
{
    (void)state;
    const char *got = PARSE("a: &a [lol, lol]\nb: &b [*a, *a]\nc: [*b, *b]\n");
    assert_string_equal(got, "1 ! anchors (&name) and tags (!name) are not supported\n");
    assert_string_equal(PARSE("a: &x 1\n"), "1 ! anchors (&name) are not supported\n");
    assert_string_equal(PARSE("a: *x\n"), "1 ! aliases (*name) are not supported\n");
}

static void test_deep_nesting(void **state)
{
    (void)state;
    struct buffer deep;
    buffer_init(&deep, 1 << 20);
    BUFFER_LITERAL(&deep, "a: ");
    for (int i = 0; i < 100000; i++)
        buffer_byte(&deep, i % 2 ? '[' : '{');
    const char *got = parse(buffer_bytes(&deep));
    assert_non_null(strstr(got, "1 ! "));
    buffer_reset(&deep);
    for (int i = 0; i < 100000; i++)
        buffer_byte(&deep, '[');
    assert_non_null(strstr(parse(buffer_bytes(&deep)), "1 ! "));
    buffer_release(&deep);
}

static void test_binary(void **state)
{
    (void)state;
    assert_non_null(strstr(PARSE("a: 1\nb: \x80\xff\n"), "2 ! "));
    assert_non_null(strstr(PARSE("a: 1\nb: x\0y\n"), "2 ! "));
    assert_non_null(strstr(PARSE("\x7f"
                                 "ELF\x02\x01\x01\0\0\0\0\0\0\0\0\0"),
                           "! "));
    char long_key[600];
    memset(long_key, 'k', sizeof long_key);
    long_key[597] = ':';
    long_key[598] = ' ';
    assert_non_null(strstr(parse(bytes_of(long_key, sizeof long_key)), "! "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalars_lists_levels),
        cmocka_unit_test(test_empty_values),
        cmocka_unit_test(test_wrong_shapes),
        cmocka_unit_test(test_refused_with_line),
        cmocka_unit_test(test_bomb),
        cmocka_unit_test(test_deep_nesting),
        cmocka_unit_test(test_binary),
    };
    buffer_init(&seen, 1 << 20);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buffer_release(&seen);
    return failed;
}
