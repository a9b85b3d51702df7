/* docs/configuration.md is what the tables say, and every option is in it and in --help. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "app/documentation.h"
#include "app/file.h"
#include "app/help.h"

enum { PAGE_MAX = 1024 * 1024 };

static struct buffer page;

static void test_page_is_current(void **state)
{
    (void)state;
    struct buffer written;
    struct error error;
    buffer_init(&written, PAGE_MAX);
    assert_int_equal(file_read(TEST_DATA "/../../docs/configuration.md", &written, &error), 1);
    bool same = bytes_equal(buffer_bytes(&written), buffer_bytes(&page));
    buffer_release(&written);
    if (!same)
        fail_msg("docs/configuration.md is not current; run: dataflow docs configuration > docs/configuration.md");
}

static void test_every_option_is_documented(void **state)
{
    (void)state;
    buffer_byte(&page, 0);
    page.length--;
    for (size_t i = 0; i < option_count; i++) {
        char name[128];
        if (options[i].flag) {
            snprintf(name, sizeof name, "`--%s", options[i].flag);
            assert_non_null(strstr(page.at, name));
        }
        if (options[i].env)
            assert_non_null(strstr(page.at, options[i].env));
        if (options[i].key) {
            snprintf(name, sizeof name, "`%s`", options[i].key);
            assert_non_null(strstr(page.at, name));
        }
        assert_non_null(strstr(page.at, options[i].secret ? "Secret" : options[i].help));
    }
}

/* Help of one command; "" for none. */
static char *help_of(const struct command *command)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    help_command(command, out);
    fclose(out);
    return text;
}

static void test_every_option_is_in_help(void **state)
{
    (void)state;
    for (size_t c = 0; c < COMMAND_COUNT; c++) {
        char *help = help_of(&commands[c]);
        assert_non_null(strstr(help, commands[c].summary));
        assert_non_null(strstr(help, "Examples:\n  dataflow "));
        for (size_t i = 0; i < option_count; i++) {
            char name[128];
            bool listed = options[i].flag && (options[i].commands & 1u << c);
            snprintf(name, sizeof name, "  --%s", options[i].flag ? options[i].flag : "");
            if (listed)
                assert_non_null(strstr(help, name));
            if (c == COMMAND_RUN && !options[i].flag)
                assert_non_null(strstr(help, options[i].env));
        }
        free(help);
    }
}

static void test_help_lists_commands(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    help_program(out);
    fclose(out);
    for (size_t c = 0; c < COMMAND_COUNT; c++) {
        char name[64];
        snprintf(name, sizeof name, "\n  %s ", commands[c].name);
        assert_int_equal(strstr(text, name) != NULL, !commands[c].hidden);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page_is_current),
        cmocka_unit_test(test_every_option_is_documented),
        cmocka_unit_test(test_every_option_is_in_help),
        cmocka_unit_test(test_help_lists_commands),
    };
    buffer_init(&page, PAGE_MAX);
    documentation_configuration(&page);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buffer_release(&page);
    return failed;
}
