/* dataflow completion bash|zsh|fish: completion scripts, made from the tables. */
#include "app/command.h"
#include "app/options.h"
#include "source/source.h"

enum { WORDS_MAX = 4096 };

/* "simulated:market", "binance:": a source as far as it can be known. */
static void put_source(struct buffer *out, const struct source_kind_info *info)
{
    buffer_printf(out, "%s:", info->kind);
    for (const char *c = info->argument ? info->argument : ""; *c >= 'a' && *c <= 'z'; c++)
        buffer_byte(out, *c);
}

/* The words that may follow a flag, separated by blanks; "" when they cannot be listed. */
static const char *words_of(const struct option *option, struct buffer *space)
{
    size_t count;
    const struct source_kind_info *kinds = source_kinds(&count);
    buffer_reset(space);
    for (size_t i = 0; option->choices && option->choices[i]; i++)
        buffer_printf(space, "%s%s", i > 0 ? " " : "", option->choices[i]);
    bool lists = option->type == OPTION_LIST, names = option->offset == offsetof(struct config, normalize_source);
    for (size_t i = 0; i < count && (lists || names); i++) {
        if (names && !kinds[i].frames)
            continue;
        if (space->length > 0)
            buffer_byte(space, ' ');
        if (names)
            buffer_printf(space, "%s", kinds[i].kind);
        else
            put_source(space, &kinds[i]);
    }
    buffer_byte(space, 0);
    return space->failed ? "" : space->at;
}

/* The words that a command's positional argument may be, or NULL: files. */
static const char *arguments_of(const struct command *command)
{
    switch (command->id) {
    case COMMAND_TAIL:
        return "chat_stream market_stream analytics_stream";
    case COMMAND_COMPLETION:
        return "bash zsh fish";
    case COMMAND_NORMALIZE:
    case COMMAND_RECORD:
    case COMMAND_REPLAY:
        return NULL;
    default:
        return "";
    }
}

static bool takes(const struct command *command, const struct option *option)
{
    return option->flag && (option->commands & 1u << command->id);
}

static void print_command_names(void)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (!commands[i].hidden)
            printf("%s ", commands[i].name);
}

static void print_bash(struct buffer *space)
{
    printf(
        "# bash completion for dataflow\n_dataflow()\n{\n"
        "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]} flags='' words=''\n"
        "    COMPREPLY=()\n"
        "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        COMPREPLY=($(compgen -W \"");
    print_command_names();
    printf("--help --version\" -- \"$word\"))\n        return\n    fi\n    case \"$command $before\" in\n");
    for (size_t c = 0; c < COMMAND_COUNT; c++) {
        for (size_t i = 0; i < option_count && !commands[c].hidden; i++) {
            if (!takes(&commands[c], &options[i]) || options[i].type == OPTION_FLAG)
                continue;
            printf("    '%s --%s') ", commands[c].name, options[i].flag);
            const char *values = words_of(&options[i], space);
            if (values[0])
                printf("COMPREPLY=($(compgen -W \"%s\" -- \"$word\")); return ;;\n", values);
            else if (options[i].type == OPTION_PATH)
                printf("COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n");
            else
                printf("return ;;\n");
        }
    }
    printf("    esac\n    case $command in\n");
    for (size_t c = 0; c < COMMAND_COUNT; c++) {
        if (commands[c].hidden)
            continue;
        printf("    %s) flags='", commands[c].name);
        for (size_t i = 0; i < option_count; i++)
            if (takes(&commands[c], &options[i]))
                printf("--%s ", options[i].flag);
        const char *words = arguments_of(&commands[c]);
        printf("' words='%s' ;;\n", words ? words : "FILES");
    }
    printf("    esac\n"
           "    case $word in\n"
           "    -*) COMPREPLY=($(compgen -W \"$flags\" -- \"$word\")) ;;\n"
           "    *) if [ \"$words\" = FILES ]; then COMPREPLY=($(compgen -f -- \"$word\"))\n"
           "       else COMPREPLY=($(compgen -W \"$words\" -- \"$word\")); fi ;;\n"
           "    esac\n}\ncomplete -o filenames -F _dataflow dataflow\n"
           "COMP_WORDBREAKS=${COMP_WORDBREAKS//:} # a source is one word\n");
}

/* The first sentence, or half of it: as much as a completion has room for. */
static struct bytes brief(const char *text)
{
    size_t length = strcspn(text, ".;");
    while (text[length] == '.' && text[length + 1] && text[length + 1] != ' ') /* inside a name */
        length += 1 + strcspn(text + length + 1, ".;");
    return bytes_of(text, length);
}

/* Inside single quotes of zsh, where `specials` separate the fields of a description. */
static void print_zsh_text(struct bytes text, const char *specials)
{
    for (size_t i = 0; i < text.length; i++) {
        if (text.at[i] == '\'')
            printf("'\\''");
        else
            printf(strchr(specials, text.at[i]) ? "\\%c" : "%c", text.at[i]);
    }
}

/* Inside single quotes of fish. */
static void print_fish_text(struct bytes text)
{
    for (size_t i = 0; i < text.length; i++)
        printf(strchr("'\\", text.at[i]) ? "\\%c" : "%c", text.at[i]);
}

static void print_zsh_option(const struct option *option, struct buffer *space)
{
    printf("            '%s--%s[", option->type == OPTION_LIST ? "*" : "", option->flag);
    print_zsh_text(brief(option->help), "[]:\\");
    putchar(']');
    if (option->type != OPTION_FLAG) {
        printf(":value:");
        const char *words = words_of(option, space);
        if (words[0]) {
            putchar('(');
            print_zsh_text(bytes_of_string(words), ":");
            putchar(')');
        } else if (option->type == OPTION_PATH) {
            printf("_files");
        }
    }
    printf("' \\\n");
}

static void print_zsh(struct buffer *space)
{
    printf("#compdef dataflow\n# zsh completion for dataflow\n_dataflow()\n{\n    local -a names\n    names=(\n");
    for (size_t c = 0; c < COMMAND_COUNT; c++) {
        if (commands[c].hidden)
            continue;
        printf("        '%s:", commands[c].name);
        print_zsh_text(brief(commands[c].summary), ":\\");
        printf("'\n");
    }
    printf("    )\n    if (( CURRENT == 2 )); then\n        _describe command names\n        return\n    fi\n"
           "    local name=$words[2]\n    shift words\n    (( CURRENT-- ))\n    case $name in\n");
    for (size_t c = 0; c < COMMAND_COUNT; c++) {
        if (commands[c].hidden)
            continue;
        printf("    %s)\n        _arguments \\\n", commands[c].name);
        for (size_t i = 0; i < option_count; i++)
            if (takes(&commands[c], &options[i]))
                print_zsh_option(&options[i], space);
        const char *words = arguments_of(&commands[c]);
        if (!words)
            printf("            '*:file:_files' ;;\n");
        else
            printf("            '*:argument:(%s)' ;;\n", words);
    }
    printf("    esac\n}\n_dataflow \"$@\"\n");
}

static void print_fish(struct buffer *space)
{
    printf("# fish completion for dataflow\ncomplete -c dataflow -f\n");
    for (size_t c = 0; c < COMMAND_COUNT; c++) {
        if (commands[c].hidden)
            continue;
        const char *name = commands[c].name;
        printf("complete -c dataflow -n __fish_use_subcommand -a %s -d '", name);
        print_fish_text(brief(commands[c].summary));
        printf("'\n");
        for (size_t i = 0; i < option_count; i++) {
            if (!takes(&commands[c], &options[i]))
                continue;
            printf("complete -c dataflow -n '__fish_seen_subcommand_from %s' -l %s", name, options[i].flag);
            const char *values = words_of(&options[i], space);
            if (values[0])
                printf(" -x -a '%s'", values);
            else if (options[i].type == OPTION_PATH)
                printf(" -r -F");
            else if (options[i].type != OPTION_FLAG)
                printf(" -x");
            printf(" -d '");
            print_fish_text(brief(options[i].help));
            printf("'\n");
        }
        const char *words = arguments_of(&commands[c]);
        if (!words)
            printf("complete -c dataflow -n '__fish_seen_subcommand_from %s' -F\n", name);
        else if (words[0])
            printf("complete -c dataflow -n '__fish_seen_subcommand_from %s' -a '%s'\n", name, words);
    }
}

int command_completion(const struct command_context *context)
{
    static const struct {
        const char *name;
        void (*print)(struct buffer *space);
    } shells[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};
    for (size_t i = 0; i < sizeof shells / sizeof shells[0]; i++) {
        if (strcmp(context->argv[0], shells[i].name) != 0)
            continue;
        struct buffer space;
        buffer_init(&space, WORDS_MAX);
        shells[i].print(&space);
        buffer_release(&space);
        return COMMAND_DONE;
    }
    struct error error;
    error_set(&error, "%.60s is not a shell that is known here (bash, zsh, fish)", context->argv[0]);
    command_failed(context, &error);
    return COMMAND_USAGE;
}
