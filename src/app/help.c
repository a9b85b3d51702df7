/* --help.  Text is wrapped to 100 columns, or to the terminal where that is narrower. */
#include "app/help.h"

#include "source/source.h"
#include <sys/ioctl.h>
#include <unistd.h>

enum { COLUMNS_MAX = 100, COLUMNS_MIN = 50, INDENT = 28 };

static size_t columns(FILE *out)
{
    struct winsize size;
    if (ioctl(fileno(out), TIOCGWINSZ, &size) || size.ws_col == 0 || size.ws_col > COLUMNS_MAX)
        return COLUMNS_MAX;
    return size.ws_col < COLUMNS_MIN ? COLUMNS_MIN : size.ws_col;
}

/* Columns on a terminal: code points, which for our texts is the same. */
static size_t width_of(struct bytes text)
{
    size_t width = 0;
    for (size_t i = 0; i < text.length; i++)
        width += ((unsigned char)text.at[i] & 0xC0) != 0x80;
    return width;
}

/* Prints `text` word by word from column INDENT on. */
static void wrap(FILE *out, struct bytes text)
{
    size_t width = columns(out), column = INDENT;
    while (text.length > 0) {
        struct bytes rest, word = bytes_split(text, ' ', &rest);
        size_t needed = width_of(word);
        if (column > INDENT && column + 1 + needed > width) {
            fprintf(out, "\n%*s", INDENT, "");
            column = INDENT;
        } else if (column > INDENT) {
            fputc(' ', out);
            column++;
        }
        fprintf(out, "%.*s", BYTES_ARG(word));
        column += needed;
        text = rest;
    }
    fputc('\n', out);
}

/* "  term     text" */
static void print_entry(FILE *out, struct bytes term, struct bytes text)
{
    fprintf(out, "  %.*s", BYTES_ARG(term));
    size_t column = width_of(term) + 2;
    if (column + 2 > INDENT)
        fprintf(out, "\n%*s", INDENT, "");
    else
        fprintf(out, "%*s", (int)(INDENT - column), "");
    wrap(out, text);
}

void help_flag(const struct option *option, struct buffer *out)
{
    buffer_printf(out, "--%s", option->flag);
    if (option->type == OPTION_CHOICE)
        for (size_t i = 0; option->choices[i]; i++)
            buffer_printf(out, "%c%s", i == 0 ? ' ' : '|', option->choices[i]);
    else if (option->argument)
        buffer_printf(out, " %s", option->argument);
}

static void print_option(FILE *out, const struct option *option, bool by_flag)
{
    struct buffer term, text;
    buffer_init(&term, 256);
    buffer_init(&text, 4096);
    if (by_flag)
        help_flag(option, &term);
    else
        buffer_printf(&term, "%s", option->env);
    buffer_printf(&text, "%s", option->help);
    bool telling = option->standard && option->type != OPTION_FLAG && strcmp(option->standard, "0") != 0;
    if (telling)
        buffer_printf(&text, " Default: %s.", option->standard);
    if (by_flag && option->env)
        buffer_printf(&text, " [%s]", option->env);
    if (!by_flag && option->key)
        buffer_printf(&text, " [%s]", option->key);
    print_entry(out, buffer_bytes(&term), buffer_bytes(&text));
    buffer_release(&term);
    buffer_release(&text);
}

static void print_examples(FILE *out, const char *examples)
{
    fprintf(out, "\nExamples:\n");
    struct bytes rest = bytes_of_string(examples);
    while (rest.length > 0) {
        struct bytes line = bytes_split(rest, '\n', &rest);
        fprintf(out, "  %.*s\n", BYTES_ARG(line));
    }
}

static void print_sources(FILE *out, bool frames_only)
{
    size_t count;
    const struct source_kind_info *kinds = source_kinds(&count);
    fprintf(out, "\nSources:\n");
    for (size_t i = 0; i < count; i++) {
        if (frames_only && !kinds[i].frames)
            continue;
        char term[128];
        bool with_argument = !frames_only && kinds[i].argument && kinds[i].argument[0];
        snprintf(term, sizeof term, "%s%s%s", kinds[i].kind, with_argument ? ":" : "", with_argument ? kinds[i].argument : "");
        print_entry(out, bytes_of_string(term), bytes_of_string(kinds[i].summary));
    }
}

/* What only a variable or a key sets: secrets and what is set up once. */
static void print_settings(FILE *out)
{
    fprintf(out, "\nSet by a variable, in .env.development, or by a [key] in dataflow.yaml:\n");
    for (size_t i = 0; i < option_count; i++)
        if (!options[i].flag)
            print_option(out, &options[i], false);
}

void help_command(const struct command *command, FILE *out)
{
    fprintf(out, "Usage: dataflow %s [options]%s%s\n\n%s\n\nOptions:\n", command->name, command->arguments ? " " : "",
            command->arguments ? command->arguments : "", command->summary);
    for (size_t i = 0; i < option_count; i++)
        if (options[i].flag && (options[i].commands & 1u << command->id))
            print_option(out, &options[i], true);
    if (option_by_flag(BYTES("source"), command->id))
        print_sources(out, command->id == COMMAND_NORMALIZE);
    if (option_by_flag(BYTES("listen"), command->id))
        print_settings(out);
    print_examples(out, command->examples);
}

void help_program(FILE *out)
{
    fprintf(out,
            "dataflow %s: chat and market streams, from the wire to a live page\n\n"
            "Usage: dataflow COMMAND [options] [FILE…]\n\nCommands:\n",
            DATAFLOW_VERSION);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (!commands[i].hidden)
            print_entry(out, bytes_of_string(commands[i].name), bytes_of_string(commands[i].summary));
    fprintf(out, "\n`dataflow COMMAND --help` tells more of each; `dataflow run --demo` is a first look.\n"
                 "Configuration: flags, then the environment, .env.development, dataflow.yaml; `dataflow check` shows it.\n"
                 "Exit status: 0 done, 1 failed, 2 wrong usage or configuration, 3 bad input under --strict, 130 interrupted.\n");
}
