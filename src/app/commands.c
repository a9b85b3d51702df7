/* The table of commands, and what happens before and after each: options, configuration, --help, exit status. */
#include "app/command.h"

#include "app/help.h"
#include "app/options.h"
#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

const struct command commands[COMMAND_COUNT] = {
    {.id = COMMAND_RUN,
     .name = "run",
     .summary = "the whole pipeline with the live page",
     .examples = "dataflow run --demo\n"
                 "dataflow run --source binance:BTC-USDT,ETH-USDT --data /var/lib/dataflow\n"
                 "dataflow run --source recording:session.jsonl --speed max --exit-at-end\n",
     .configured = true,
     .run = command_run},
    {.id = COMMAND_NORMALIZE,
     .name = "normalize",
     .arguments = "[FILE…]",
     .summary = "raw frames, one a line, to events; no network",
     .examples = "dataflow normalize --source binance frames.jsonl\n"
                 "zstdcat frames.jsonl.zst | dataflow normalize --source binance --rejects bad.jsonl -\n",
     .arguments_max = -1,
     .run = command_normalize},
    {.id = COMMAND_RECORD,
     .name = "record",
     .arguments = "OUT",
     .summary = "writes the frames of sources into a file, to be played back later",
     .examples = "dataflow record --source binance:BTC-USDT session.jsonl\n",
     .arguments_min = 1,
     .arguments_max = 1,
     .configured = true,
     .run = command_record},
    {.id = COMMAND_REPLAY,
     .name = "replay",
     .arguments = "RECORDING",
     .summary = "plays a recording through the pipeline to standard output, or to a log and store",
     .examples = "dataflow replay session.jsonl --speed max\n"
                 "dataflow replay session.jsonl --bus embedded:/tmp/log --store sqlite:/tmp/store.db\n",
     .arguments_min = 1,
     .arguments_max = 1,
     .configured = true,
     .run = command_replay},
    {.id = COMMAND_TAIL,
     .name = "tail",
     .arguments = "TOPIC",
     .summary = "events of a topic: chat_stream, market_stream or analytics_stream",
     .examples = "dataflow tail market_stream --from -10\n"
                 "dataflow tail chat_stream --from end --follow\n",
     .arguments_min = 1,
     .arguments_max = 1,
     .configured = true,
     .run = command_tail},
    {.id = COMMAND_EXPORT,
     .name = "export",
     .summary = "a range of the log as JSON lines or CSV",
     .examples = "dataflow export --topic market_stream --format csv --output trades.csv\n"
                 "dataflow export --from 2026-11-23T22:00:00Z --to 2026-11-23T23:00:00Z --key binance:BTC-USDT\n",
     .configured = true,
     .run = command_export},
    {.id = COMMAND_REBUILD,
     .name = "rebuild",
     .summary = "makes the store anew from the log",
     .examples = "dataflow rebuild --data /var/lib/dataflow\n",
     .configured = true,
     .run = command_rebuild},
    {.id = COMMAND_ERASE,
     .name = "erase",
     .arguments = "USER",
     .summary = "erases a user from log, store and refused records; a running instance: DELETE /api/v1/users/USER",
     .examples = "dataflow erase some_login --data /var/lib/dataflow\n",
     .arguments_min = 1,
     .arguments_max = 1,
     .configured = true,
     .run = command_erase},
    {.id = COMMAND_CHECK,
     .name = "check",
     .summary = "validates the configuration without starting anything",
     .examples = "dataflow check\n"
                 "dataflow check --config production.yaml --json\n",
     .configured = true,
     .run = command_check},
    {.id = COMMAND_DOCTOR,
     .name = "doctor",
     .summary = "tries every component and verifies the log; says what is wrong and what to do",
     .examples = "dataflow doctor\n"
                 "dataflow doctor --data /var/lib/dataflow --json\n",
     .configured = true,
     .run = command_doctor},
    {.id = COMMAND_HEALTH,
     .name = "health",
     .arguments = "[ADDR]",
     .summary = "exit status 0 when the running instance is ready; for containers",
     .examples = "dataflow health\n"
                 "dataflow health 127.0.0.1:8500\n",
     .arguments_max = 1,
     .configured = true,
     .run = command_health},
    {.id = COMMAND_BENCH,
     .name = "bench",
     .arguments = "[NAME…]",
     .summary = "the project's own benchmarks, as JSON lines",
     .examples = "dataflow bench\n"
                 "dataflow bench log --events 1000000\n",
     .arguments_max = -1,
     .run = command_bench},
    {.id = COMMAND_COMPLETION,
     .name = "completion",
     .arguments = "bash|zsh|fish",
     .summary = "prints shell completion",
     .examples = "dataflow completion bash > /etc/bash_completion.d/dataflow\n"
                 "dataflow completion fish > ~/.config/fish/completions/dataflow.fish\n",
     .arguments_min = 1,
     .arguments_max = 1,
     .run = command_completion},
    {.id = COMMAND_DOCS,
     .name = "docs",
     .arguments = "configuration",
     .summary = "prints docs/configuration.md",
     .examples = "dataflow docs configuration > docs/configuration.md\n",
     .arguments_min = 1,
     .arguments_max = 1,
     .hidden = true,
     .run = command_docs},
    {.id = COMMAND_VERSION,
     .name = "version",
     .summary = "prints the version",
     .examples = "dataflow version --json\n",
     .run = command_version},
};

const struct command *command_find(const char *name, struct error *error)
{
    struct suggestion suggestion;
    suggestion_init(&suggestion, bytes_of_string(name));
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
        suggestion_offer(&suggestion, commands[i].name);
    }
    char space[96];
    error_set(error, "%.100s is not a command%s", name, suggestion_text(&suggestion, "", space, sizeof space));
    return NULL;
}

int command_failed(const struct command_context *context, const struct error *error)
{
    fprintf(stderr, "dataflow %s: %s\n", context->command->name, error->text);
    return COMMAND_FAILED;
}

bool command_flush(struct error *error)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return true;
    if (errno == EPIPE)
        _exit(COMMAND_DONE); /* the reader has seen enough */
    error_set_errno(error, errno, "standard output cannot be written");
    return false;
}

/* ---- interruption ---- */

static volatile sig_atomic_t interrupted; /* the signal; 0: none yet */
static void (*on_interrupt)(void);

static void handle_signal(int signal)
{
    if (interrupted)
        _exit(COMMAND_INTERRUPTED);
    interrupted = signal;
    if (on_interrupt)
        on_interrupt();
}

void command_catch_signals(void (*on_signal)(void))
{
    on_interrupt = on_signal;
    struct sigaction action = {.sa_handler = handle_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool command_interrupted(void)
{
    return interrupted != 0;
}

int command_stop_status(void)
{
    return interrupted == SIGINT ? COMMAND_INTERRUPTED : COMMAND_DONE;
}

void command_keep_private(void)
{
    umask(0027);
}

/* ---- start ---- */

static void print_problems(const struct command *command, const struct config_problems *problems)
{
    for (size_t i = 0; i < problems->error_count; i++)
        fprintf(stderr, "dataflow %s: %s\n", command->name, problems->errors[i].text);
    /* What ends in an error was not meant to start: its warnings would only hide the cause. */
    for (size_t i = 0; i < problems->warning_count && problems->error_count == 0; i++)
        log_event(LOG_WARNING, "configuration", "%s", problems->warnings[i].text);
}

static int usage(const struct command *command, const char *text)
{
    fprintf(stderr, "dataflow %s: %s; see `dataflow %s --help`\n", command->name, text, command->name);
    return COMMAND_USAGE;
}

static int run_command(const struct command *command, const struct config *config, struct config_problems *problems, int argc,
                       char **argv)
{
    if (argc < command->arguments_min) {
        char text[128];
        snprintf(text, sizeof text, "%s is missing", command->arguments);
        return usage(command, text);
    }
    if (command->arguments_max >= 0 && argc > command->arguments_max) {
        char text[256];
        snprintf(text, sizeof text, "\"%.100s\" is one argument too many", argv[command->arguments_max]);
        return usage(command, text);
    }
    struct command_context context = {.command = command,
                                      .config = config,
                                      .argc = argc,
                                      .argv = argv,
                                      .json = config->json,
                                      .problems = problems,
                                      .progress = isatty(STDERR_FILENO) == 1};
    int status = command->run(&context);
    struct error error;
    if (!command_flush(&error) && status == COMMAND_DONE)
        status = command_failed(&context, &error);
    log_flush();
    return status;
}

static int load_and_run(const struct command *command, int argc, char **argv)
{
    struct config config;
    struct config_problems problems;
    struct config_request request = {.command = command->id,
                                     .configured = command->configured,
                                     .argc = argc,
                                     .argv = argv,
                                     .environment = environ,
                                     .config_path = "dataflow.yaml",
                                     .dotenv_path = ".env.development"};
    int positional = config_load(&config, &request, &problems);
    int status;
    if (config.help) {
        help_command(command, stdout);
        status = COMMAND_DONE;
    } else if (command->id == COMMAND_CHECK) { /* reports the problems itself, as its result */
        status = run_command(command, &config, &problems, positional > 0 ? positional : 0, argv);
    } else if (positional < 0) {
        print_problems(command, &problems);
        status = COMMAND_USAGE;
    } else {
        log_configure(config.log_level, config.log_format);
        print_problems(command, &problems);
        status = run_command(command, &config, &problems, positional, argv);
    }
    config_release(&config);
    return status;
}

int commands_main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN); /* seen as EPIPE where it is written */
    const char *name = argc > 1 ? argv[1] : "--help";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        if (argc > 2 && argv[2][0] != '-') {
            struct error error;
            const struct command *command = command_find(argv[2], &error);
            if (command) {
                help_command(command, stdout);
                return COMMAND_DONE;
            }
        }
        help_program(argc > 1 ? stdout : stderr);
        return argc > 1 ? COMMAND_DONE : COMMAND_USAGE;
    }
    if (strcmp(name, "--version") == 0)
        name = "version";
    struct error error;
    const struct command *command = command_find(name, &error);
    if (!command) {
        fprintf(stderr, "dataflow: %s\nSee `dataflow --help`.\n", error.text);
        return COMMAND_USAGE;
    }
    return load_and_run(command, argc - 2, argv + 2);
}
