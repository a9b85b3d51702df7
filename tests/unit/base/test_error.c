#include "base/error.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_set(void **state)
{
    (void)state;
    struct error error;
    assert_int_equal(error_set(&error, "line %d: %s", 3, "no such key"), -1);
    assert_string_equal(error.text, "line 3: no such key");
    assert_int_equal(error_set(NULL, "nobody asks"), -1);
    assert_int_equal(error_set_errno(&error, ENOENT, "opening %s", "a.yaml"), -1);
    assert_string_equal(error.text, "opening a.yaml: No such file or directory");
    assert_int_equal(error_set_errno(NULL, ENOENT, "nobody asks"), -1);
}

/* An error may be put into its own context. */
static void test_wrap(void **state)
{
    (void)state;
    struct error error;
    error_set(&error, "disk full");
    error_set(&error, "writing segment 7: %s", error.text);
    assert_string_equal(error.text, "writing segment 7: disk full");
    error_set_errno(&error, EIO, "%s", error.text);
    assert_string_equal(error.text, "writing segment 7: disk full: Input/output error");
}

static void test_long(void **state)
{
    (void)state;
    struct error error;
    char text[2 * sizeof error.text];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    error_set(&error, "%s", text);
    assert_int_equal(strlen(error.text), sizeof error.text - 1);
    error_set_errno(&error, EIO, "%s", text);
    assert_int_equal(strlen(error.text), sizeof error.text - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_set), cmocka_unit_test(test_wrap), cmocka_unit_test(test_long)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
