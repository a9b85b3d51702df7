/* `dataflow normalize --source KIND [FILE…]`: raw frames, one a line, to events on standard output.  What was refused is told on
 * standard error, the first lines of it one by one, all of it in the summary at the end. */
#include "app/command.h"

#include "app/normalize.h"
#include "app/options.h"
#include "app/progress.h"
#include "base/logging.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { REFUSED_SHOWN = 20 };

struct normalize_command {
    const struct command_context *context;
    uint64_t refused;
    struct progress progress;
};

static void show_refused(void *context, const char *name, uint64_t line, enum reject_reason reason)
{
    struct normalize_command *command = context;
    if (++command->refused > REFUSED_SHOWN)
        return;
    log_event(LOG_WARNING, "record_refused", "%s:%llu: refused: %.*s", name, (unsigned long long)line,
              BYTES_ARG(reject_reason_name(reason)));
    if (command->refused == REFUSED_SHOWN)
        log_event(LOG_WARNING, "records_refused", "further refused lines are counted only; --rejects FILE keeps them all");
}

static bool go_on(void *context, uint64_t lines)
{
    struct normalize_command *command = context;
    progress_update(&command->progress, lines);
    return !command_interrupted();
}

/* ---- the summary ---- */

struct count {
    const char *name;
    uint64_t value;
};

static void print_json(const struct count *counts, size_t count, const uint64_t *refused_by)
{
    fputc('{', stderr);
    for (size_t i = 0; i < count; i++)
        fprintf(stderr, "\"%s\":%llu,", counts[i].name, (unsigned long long)counts[i].value);
    fputs("\"rejected_by\":{", stderr);
    bool first = true;
    for (unsigned i = REJECT_NONE + 1; i < REJECT_REASON_COUNT; i++)
        if (refused_by[i] > 0) {
            fprintf(stderr, "%s\"%.*s\":%llu", first ? "" : ",", BYTES_ARG(reject_reason_name(i)),
                    (unsigned long long)refused_by[i]);
            first = false;
        }
    fputs("}}\n", stderr);
}

static void print_text(const struct count *counts, size_t count, const uint64_t *refused_by)
{
    fputs("dataflow normalize:", stderr);
    for (size_t i = 0; i < count; i++)
        fprintf(stderr, "%s %s %llu", i ? "," : "", counts[i].name, (unsigned long long)counts[i].value);
    for (unsigned i = REJECT_NONE + 1; i < REJECT_REASON_COUNT; i++)
        if (refused_by[i] > 0)
            fprintf(stderr, "; %.*s %llu", BYTES_ARG(reject_reason_name(i)), (unsigned long long)refused_by[i]);
    fputc('\n', stderr);
}

static void print_summary(const struct command_context *context, const struct source *source,
                          const struct normalize_counts *counts)
{
    const struct source_statistics *statistics = source_statistics(source);
    const struct count all[] = {
        {"lines", counts->lines},
        {"events", statistics->events},
        {"gaps", statistics->gaps},
        {"missing", statistics->missing},
        {"duplicates", statistics->duplicates},
        {"filtered", statistics->filtered + counts->aside},
        {"rejected", counts->refused},
    };
    (context->json ? print_json : print_text)(all, sizeof all / sizeof *all, counts->refused_by);
}

/* ---- files ---- */

static enum normalize_result normalize_path(struct normalize *normalize, const char *path, struct error *error)
{
    if (strcmp(path, "-") == 0)
        return normalize_file(normalize, STDIN_FILENO, "standard input", error);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        error_set_errno(error, errno, "cannot open %s", path);
        return NORMALIZE_FAILED;
    }
    posix_fadvise(file, 0, 0, POSIX_FADV_SEQUENTIAL);
    enum normalize_result result = normalize_file(normalize, file, path, error);
    close(file);
    return result;
}

static enum normalize_result normalize_paths(const struct command_context *context, struct normalize *normalize,
                                             struct error *error)
{
    if (context->argc == 0)
        return normalize_path(normalize, "-", error);
    enum normalize_result result = NORMALIZE_DONE;
    for (int i = 0; i < context->argc && result == NORMALIZE_DONE; i++)
        result = normalize_path(normalize, context->argv[i], error);
    return result;
}

static int status_of(enum normalize_result result, bool bad_input)
{
    switch (result) {
    case NORMALIZE_FAILED:
        return COMMAND_FAILED;
    case NORMALIZE_STOPPED:
        return COMMAND_INTERRUPTED;
    case NORMALIZE_DONE:
    case NORMALIZE_READER_GONE:
        break;
    }
    return bad_input ? COMMAND_BAD_INPUT : COMMAND_DONE;
}

/* ---- the command ---- */

static int run(const struct command_context *context, struct source *source, int rejects, struct error *error)
{
    struct normalize_command command = {.context = context};
    struct normalize_options how = {
        .source = source, .out = STDOUT_FILENO, .rejects = rejects, .refused = show_refused, .go_on = go_on, .context = &command};
    struct normalize *normalize = normalize_create(&how, error);
    if (!normalize)
        return command_failed(context, error);
    signal(SIGPIPE, SIG_IGN);
    progress_start(&command.progress, context->progress, "normalize", "lines", 0);
    enum normalize_result result = normalize_paths(context, normalize, error);
    if (result == NORMALIZE_DONE)
        result = normalize_end(normalize, error);
    progress_end(&command.progress);
    int status = status_of(result, context->config->strict && normalize_counts(normalize)->refused > 0);
    if (result == NORMALIZE_FAILED)
        command_failed(context, error);
    if (result != NORMALIZE_READER_GONE)
        print_summary(context, source, normalize_counts(normalize));
    normalize_destroy(normalize);
    return status;
}

/* Only kinds with raw frames are named and suggested. */
static void refuse_kind(const char *kind, bool known, struct error *error)
{
    size_t count, length = 0;
    const struct source_kind_info *kinds = source_kinds(&count);
    struct suggestion suggestion;
    suggestion_init(&suggestion, bytes_of_string(kind));
    char names[256] = "", space[64];
    for (size_t i = 0; i < count; i++) {
        if (!kinds[i].frames)
            continue;
        suggestion_offer(&suggestion, kinds[i].kind);
        int added = snprintf(names + length, sizeof names - length, "%s%s", length > 0 ? ", " : "", kinds[i].kind);
        length += added > 0 && (size_t)added < sizeof names - length ? (size_t)added : 0;
    }
    error_set(error, "--source %.64s: %s; there are %s%s", kind,
              known ? "it has no raw frames to normalize" : "there is no such kind of source", names,
              known ? "" : suggestion_text(&suggestion, "", space, sizeof space));
}

/* NULL and the error: no kind given, an unknown one, or one without frames. */
static struct source *make_source(const struct command_context *context, struct error *error)
{
    const char *kind = context->config->normalize_source;
    if (!kind || !*kind) {
        error_set(error, "--source is missing: whose frames are these? For example --source binance");
        return NULL;
    }
    size_t count;
    const struct source_kind_info *kinds = source_kinds(&count);
    size_t found = 0;
    while (found < count && strcmp(kinds[found].kind, kind) != 0)
        found++;
    if (found == count || !kinds[found].frames) {
        refuse_kind(kind, found < count, error);
        return NULL;
    }
    struct source_options wanted = {.kind = bytes_of_string(kind), .argument = BYTES(""), .base_url = BYTES("")};
    return source_create(&wanted, error);
}

int command_normalize(const struct command_context *context)
{
    struct error error;
    int rejects = -1;
    struct source *source = make_source(context, &error);
    if (!source) {
        command_failed(context, &error);
        return COMMAND_USAGE;
    }
    int status;
    const char *path = context->config->rejects;
    if (path && (rejects = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)) < 0) {
        error_set_errno(&error, errno, "cannot write %s", path);
        status = command_failed(context, &error);
    } else {
        command_catch_signals(NULL);
        status = run(context, source, rejects, &error);
    }
    if (rejects >= 0)
        close(rejects);
    source_destroy(source);
    return status;
}
