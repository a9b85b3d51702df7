/* dataflow erase USER: what a running instance does for DELETE /api/v1/users/USER, for one that is stopped.  Holds the log as its
 * writer meanwhile.  Interrupted, it has done a part; run again, it does the rest. */
#include "app/command.h"
#include "app/progress.h"
#include "pipeline/erasure.h"

#include <inttypes.h>
#include <unistd.h>

static int open_parts(const struct config *config, struct erasure_parts *parts, struct error *error)
{
    if (access(config->log_directory, F_OK))
        return error_set(error, "there is no log in %s; name the data of `dataflow run` with --data DIR", config->log_directory);
    command_keep_private();
    struct bus_log_options options = {.directory = config->log_directory,
                                      .sync = config->sync,
                                      .segment_bytes = config->segment_bytes,
                                      .compress = config->compress};
    parts->bus = bus_log_open(&options, env_system(), error);
    if (parts->bus)
        parts->store = store_sqlite_open(config->store_file, error);
    if (parts->store && access(config->data, F_OK) == 0) /* --bus and --store may stand without --data */
        parts->rejects = rejects_open(config->data, error);
    return parts->store && (parts->rejects || access(config->data, F_OK)) ? 0 : -1;
}

static int erase(const struct command_context *context, const struct erasure_parts *parts, struct erasure_result *result,
                 struct error *error)
{
    struct erasure *erasure = erasure_of_user(parts, bytes_of_string(context->argv[0]), error);
    if (!erasure)
        return -1;
    struct bus_info info;
    bus_info(parts->bus, &info);
    struct progress progress;
    progress_start(&progress, context->progress, "erasing", "events", info.end_offset - info.first_offset);
    int status = 1;
    while (status == 1 && !command_interrupted()) {
        status = erasure_step(erasure, error);
        progress_update(&progress, erasure_offset(erasure) - info.first_offset);
    }
    progress_end(&progress);
    erasure_result(erasure, result);
    erasure_destroy(erasure);
    return status < 0 ? -1 : 0;
}

static void report(const struct command_context *context, const struct erasure_result *result)
{
    if (context->json)
        printf("{\"erased\":%" PRIu64 ",\"documents\":%" PRIu64 ",\"rejects\":%" PRIu64 "}\n", result->events, result->documents,
               result->rejects);
    else if (result->events + result->documents + result->rejects == 0)
        fprintf(stderr, "nothing is known of that user\n");
    else
        fprintf(stderr, "erased: %" PRIu64 " events, %" PRIu64 " documents, %" PRIu64 " refused records\n", result->events,
                result->documents, result->rejects);
}

int command_erase(const struct command_context *context)
{
    struct erasure_parts parts = {0};
    struct erasure_result result = {0};
    struct error error;
    command_catch_signals(NULL);
    int status = open_parts(context->config, &parts, &error);
    if (status == 0)
        status = erase(context, &parts, &result, &error);
    if (status == 0 && !command_interrupted())
        report(context, &result);
    rejects_close(parts.rejects);
    store_destroy(parts.store);
    bus_destroy(parts.bus);
    if (status)
        return command_failed(context, &error);
    return command_interrupted() ? COMMAND_INTERRUPTED : COMMAND_DONE;
}
