/* Commands: `dataflow NAME [options] [FILE…]`.  One table (commands.c) makes the dispatch, --help, did-you-mean,
 * shell completion and the documentation; the options of a command are those of the option table (options.c)
 * that name it. */
#ifndef APP_COMMAND_H
#define APP_COMMAND_H

#include "app/config.h"

enum command_id {
    COMMAND_RUN,
    COMMAND_NORMALIZE,
    COMMAND_RECORD,
    COMMAND_REPLAY,
    COMMAND_TAIL,
    COMMAND_EXPORT,
    COMMAND_REBUILD,
    COMMAND_ERASE,
    COMMAND_CHECK,
    COMMAND_DOCTOR,
    COMMAND_HEALTH,
    COMMAND_BENCH,
    COMMAND_COMPLETION,
    COMMAND_DOCS,
    COMMAND_VERSION,
    COMMAND_COUNT
};

/* What a command returns, and the program's exit status. */
enum command_status {
    COMMAND_DONE = 0,
    COMMAND_FAILED = 1,    /* failed while running */
    COMMAND_USAGE = 2,     /* wrong usage or configuration */
    COMMAND_BAD_INPUT = 3, /* bad input under --strict */
    COMMAND_INTERRUPTED = 130
};

struct command_context {
    const struct command *command;
    const struct config *config; /* all layers applied and checked */
    int argc;                    /* positional arguments: what is left after the options */
    char **argv;
    bool json;                        /* --json */
    struct config_problems *problems; /* of the configuration: `check` starts with errors too and reports them */
    bool progress;                    /* standard error is a terminal: show progress on long work */
};

struct command {
    enum command_id id;
    const char *name;
    const char *arguments; /* as --help shows them: "[FILE]" */
    const char *summary;
    const char *examples;             /* lines, each "dataflow …" */
    int arguments_min, arguments_max; /* positional; max -1: any number */
    bool configured;                  /* reads .env.development and dataflow.yaml; others only flags and the environment */
    bool hidden;                      /* not listed by --help */
    int (*run)(const struct command_context *context);
};

/* All commands, in the order of enum command_id. */
extern const struct command commands[COMMAND_COUNT];

/* NULL and a did-you-mean in *error for an unknown name. */
const struct command *command_find(const char *name, struct error *error);

/* The whole program but main(). */
int commands_main(int argc, char **argv);

/* Prints `dataflow NAME: TEXT` on standard error and returns COMMAND_FAILED, so that a command can
 * `return command_failed(context, &error)`. */
int command_failed(const struct command_context *context, const struct error *error);

/* Writes out standard output.  True when all of it was taken; a reader that left (SIGPIPE) is no error and
 * ends the program quietly. */
bool command_flush(struct error *error);

/* ---- interruption: SIGINT and SIGTERM ---- */

/* Handlers that set a flag, and call `on_signal` (async-signal-safe: net_loop_stop) if not NULL.  A second signal
 * ends the program at once with 130. */
void command_catch_signals(void (*on_signal)(void));
bool command_interrupted(void);
/* Of a command that runs until it is told to end: SIGTERM is how it is meant to end, SIGINT an interruption. */
int command_stop_status(void);

/* What the program makes from here on can be read by owner and group alone. */
void command_keep_private(void);

int command_run(const struct command_context *context);
int command_normalize(const struct command_context *context);
int command_record(const struct command_context *context);
int command_replay(const struct command_context *context);
int command_tail(const struct command_context *context);
int command_export(const struct command_context *context);
int command_rebuild(const struct command_context *context);
int command_erase(const struct command_context *context);
int command_check(const struct command_context *context);
int command_doctor(const struct command_context *context);
int command_health(const struct command_context *context);
int command_bench(const struct command_context *context);
int command_completion(const struct command_context *context);
int command_docs(const struct command_context *context);
int command_version(const struct command_context *context);

#endif
