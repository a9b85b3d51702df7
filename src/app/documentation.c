/* The page on configuration: what applies to all, then a table a section. */
#include "app/documentation.h"

#include "app/command.h"
#include "app/help.h"
#include "source/source.h"

static const char opening[] =
    "<!-- Made by `dataflow docs configuration` from the option table (src/app/options.c); change it there. -->\n"
    "# Configuration\n"
    "\n"
    "A value comes from the first of these that has it:\n"
    "\n"
    "1. flags, `--name value` or `--name=value`;\n"
    "2. the environment;\n"
    "3. `.env.development` in the working directory (copy `.env.local`): lines `NAME=value`, `#` comments, values bare, in\n"
    "   'single' or in \"double\" quotes;\n"
    "4. `dataflow.yaml` in the working directory, or the file named by `--config` or `DATAFLOW_CONFIG`;\n"
    "5. the default.\n"
    "\n"
    "All layers are checked, also where a higher one covers them. `dataflow check` shows every value and where it comes from;\n"
    "what is wrong is said in one sentence with file and line, and ends the program with status 2. A variable that is set but\n"
    "empty counts as not set. Relative paths start from the working directory.\n"
    "\n"
    "Secrets have no flag, for every user of a machine can read those, and are never printed. For each secret `NAME` there is\n"
    "`NAME_FILE`, the name of a file that holds it; it wins over the variable. A file with a secret in it should be readable by\n"
    "its owner alone (`chmod 600`); otherwise a warning says so.\n"
    "\n"
    "Times are written `500ms`, `10s`, `5m`, `2h`, `7d`; sizes `4096`, `64MiB` (1024) or `10GB` (1000).\n"
    "\n"
    "```yaml\n"
    "# dataflow.yaml; dots in the tables below are levels here\n"
    "sources:\n"
    "  - binance:BTC-USDT,ETH-USDT\n"
    "  - simulated:chat\n"
    "data: /var/lib/dataflow\n"
    "retention:\n"
    "  age: 7d\n"
    "  size: 10GB\n"
    "log:\n"
    "  level: info\n"
    "```\n";

static void put_cell(struct buffer *out, const char *text)
{
    for (const char *c = text; *c; c++) {
        if (*c == '|')
            buffer_byte(out, '\\');
        buffer_byte(out, *c);
    }
}

static void put_code(struct buffer *out, const char *text)
{
    if (!text)
        return;
    buffer_byte(out, '`');
    put_cell(out, text);
    buffer_byte(out, '`');
}

static void put_row(struct buffer *out, const struct option *option, bool by_flag)
{
    BUFFER_LITERAL(out, "| ");
    if (by_flag || option->flag) {
        struct buffer flag;
        buffer_init(&flag, 256);
        help_flag(option, &flag);
        buffer_byte(&flag, 0);
        put_code(out, flag.at);
        buffer_release(&flag);
    }
    BUFFER_LITERAL(out, " | ");
    if (!by_flag) {
        put_code(out, option->env);
        BUFFER_LITERAL(out, " | ");
        put_code(out, option->key);
        BUFFER_LITERAL(out, " | ");
    }
    put_code(out, option->type == OPTION_FLAG && !option->standard ? "false" : option->standard);
    BUFFER_LITERAL(out, " | ");
    put_cell(out, option->help);
    if (option->choices && !option->flag) {
        BUFFER_LITERAL(out, " Values:");
        for (size_t i = 0; option->choices[i]; i++)
            buffer_printf(out, "%s `%s`", i > 0 ? "," : "", option->choices[i]);
        buffer_byte(out, '.');
    }
    if (option->secret)
        buffer_printf(out, " Secret; also `%s_FILE`.", option->env);
    if (by_flag) {
        BUFFER_LITERAL(out, " | ");
        const char *comma = "";
        for (size_t i = 0; i < COMMAND_COUNT; i++) {
            if (commands[i].hidden || !(option->commands & 1u << i))
                continue;
            buffer_printf(out, "%s%s", comma, commands[i].name);
            comma = ", ";
        }
    }
    BUFFER_LITERAL(out, " |\n");
}

/* Options that only flags set stand in a table of their own, with their commands. */
static bool is_flag_only(const struct option *option)
{
    return !option->env && !option->key;
}

static void put_settings(struct buffer *out)
{
    const char *section = "";
    for (size_t i = 0; i < option_count; i++) {
        if (is_flag_only(&options[i]))
            continue;
        if (strcmp(section, options[i].section) != 0) {
            section = options[i].section;
            buffer_printf(out, "\n## %s\n\n| flag | variable | key | default | meaning |\n|---|---|---|---|---|\n",
                          strcmp(section, "Commands") == 0 ? "Configuration file" : section);
        }
        put_row(out, &options[i], false);
    }
}

static void put_flags(struct buffer *out)
{
    BUFFER_LITERAL(out, "\n## Flags of single commands\n\n| flag | default | meaning | commands |\n|---|---|---|---|\n");
    for (size_t i = 0; i < option_count; i++)
        if (is_flag_only(&options[i]))
            put_row(out, &options[i], true);
}

static void put_sources(struct buffer *out)
{
    size_t count;
    const struct source_kind_info *kinds = source_kinds(&count);
    BUFFER_LITERAL(out, "\n## Kinds of sources\n\n| source | meaning |\n|---|---|\n");
    for (size_t i = 0; i < count; i++) {
        bool with_argument = kinds[i].argument && kinds[i].argument[0];
        buffer_printf(out, "| `%s%s", kinds[i].kind, with_argument ? ":" : "");
        put_cell(out, with_argument ? kinds[i].argument : "");
        BUFFER_LITERAL(out, "` | ");
        put_cell(out, kinds[i].summary);
        BUFFER_LITERAL(out, " |\n");
    }
}

void documentation_configuration(struct buffer *out)
{
    buffer_printf(out, "%s", opening);
    put_settings(out);
    put_flags(out);
    put_sources(out);
}
