/* Parser of flags: the table says which there are and which take a value. */
#include "app/flags.h"

#include "app/command.h"

/* What to say of a flag that this command does not have. */
static void report_unknown(struct bytes flag, unsigned command, struct config_problems *problems)
{
    struct suggestion suggestion;
    suggestion_init(&suggestion, flag);
    for (size_t i = 0; i < option_count; i++) {
        const struct option *option = &options[i];
        if (option->flag && (option->commands & 1u << command)) {
            suggestion_offer(&suggestion, option->flag);
        } else if (option->secret && bytes_equal(flag, bytes_of_string(option->key))) {
            config_error(problems, "--%s: secrets are not taken as flags, which all users of this machine can see; set %s",
                         option->key, option->env);
            return;
        } else if (option->flag && option->commands && bytes_equal(flag, bytes_of_string(option->flag))) {
            unsigned owner = (unsigned)__builtin_ctz(option->commands);
            config_error(problems, "--%s is an option of `dataflow %s`, not of `dataflow %s`", option->flag, commands[owner].name,
                         commands[command].name);
            return;
        }
    }
    char space[96];
    config_error(problems, "--%.*s is not an option of `dataflow %s`%s", BYTES_ARG(flag), commands[command].name,
                 suggestion_text(&suggestion, "--", space, sizeof space));
}

/* Parses the flag at argv[at].  Returns how many arguments it took. */
static int parse_flag(int argc, char **argv, int at, unsigned command, struct flag_value *values, size_t *value_count,
                      struct config_problems *problems)
{
    struct bytes value, flag = bytes_split(bytes_of_string(argv[at] + 2), '=', &value);
    const struct option *option = option_by_flag(flag, command);
    if (!option) {
        report_unknown(flag, command, problems);
        return 1;
    }
    int taken = 1;
    if (!value.at && option->type == OPTION_FLAG) {
        value = BYTES("true");
    } else if (!value.at) {
        bool missing = at + 1 >= argc || strncmp(argv[at + 1], "--", 2) == 0;
        if (missing) {
            config_error(problems, "--%s needs a value: --%s %s", option->flag, option->flag,
                         option->argument ? option->argument : "VALUE");
            return 1;
        }
        value = bytes_of_string(argv[at + 1]);
        taken = 2;
    }
    values[(*value_count)++] = (struct flag_value){.option = option, .value = value};
    return taken;
}

int flags_parse(int argc, char **argv, unsigned command, struct flag_value *values, size_t *value_count,
                struct config_problems *problems)
{
    static char long_help[] = "--help";
    int positional = 0;
    bool ended = false;
    *value_count = 0;
    for (int i = 0; i < argc;) {
        char *argument = argv[i];
        if (!ended && strcmp(argument, "-h") == 0)
            argv[i] = argument = long_help;
        if (ended || argument[0] != '-' || argument[1] == 0) {
            argv[positional++] = argument;
            i++;
        } else if (strcmp(argument, "--") == 0) {
            ended = true;
            i++;
        } else if (argument[1] == '-') {
            i += parse_flag(argc, argv, i, command, values, value_count, problems);
        } else {
            config_error(problems, "%s is not an option; options begin with two dashes, and a file of this name is ./%s",
                         argument, argument);
            i++;
        }
    }
    return positional;
}
