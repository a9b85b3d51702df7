/* `dataflow replay RECORDING`: plays a recording through the adapters, to standard output as events, or through the whole
 * pipeline into a log (--bus) and a store (--store).  The recorded times are the clock, so the events are the same at
 * any speed. */
#include "app/command.h"

#include "app/source_setup.h"
#include "pipeline/driver.h"
#include <inttypes.h>
#include <unistd.h>

enum { REPLAY_BATCH_EVENTS = 1024 };

/* What became of the recording: said at the end, and the exit status. */
static int replay_sum_up(const struct command_context *context, const char *name, const struct source_statistics *statistics)
{
    char reasons[512] = "";
    size_t length = 0;
    for (size_t i = 0; i < REJECT_REASON_COUNT; i++) {
        if (statistics->rejected_by[i] == 0)
            continue;
        struct bytes reason = reject_reason_name((enum reject_reason)i);
        int added = snprintf(reasons + length, sizeof reasons - length, "%s%.*s %" PRIu64, length > 0 ? ", " : ": ",
                             BYTES_ARG(reason), statistics->rejected_by[i]);
        length += added > 0 && (size_t)added < sizeof reasons - length ? (size_t)added : 0;
    }
    log_event(LOG_INFO, "replayed", "%s: %" PRIu64 " events, %" PRIu64 " duplicates, %" PRIu64 " records refused%s", name,
              statistics->events, statistics->duplicates, statistics->rejected, reasons);
    if (command_interrupted())
        return COMMAND_INTERRUPTED;
    return statistics->rejected > 0 && context->config->strict ? COMMAND_BAD_INPUT : COMMAND_DONE;
}

/* ---- to standard output ---- */

struct replay {
    struct event_batch *spare;
    struct buffer out;
    struct error error;
    bool failed;
};

static struct event_batch *replay_take(void *context)
{
    struct replay *replay = context;
    struct event_batch *batch = replay->spare;
    replay->spare = NULL;
    return replay->failed ? NULL : batch;
}

static void replay_give(void *context, struct event_batch *batch)
{
    struct replay *replay = context;
    buffer_reset(&replay->out);
    for (size_t i = 0; i < batch->count; i++) {
        event_write(&batch->events[i], &replay->out);
        buffer_byte(&replay->out, '\n');
    }
    if (replay->out.failed)
        replay->failed = error_set(&replay->error, "out of memory") < 0;
    else if (fwrite(replay->out.at, 1, replay->out.length, stdout) != replay->out.length)
        replay->failed = error_set(&replay->error, "cannot write to standard output") < 0;
    event_batch_reset(batch);
    replay->spare = batch;
}

static void replay_reject(void *context, const struct source *source, const struct source_reject *reject)
{
    (void)context;
    struct bytes reason = reject_reason_name(reject->reason);
    log_event(LOG_WARNING, "record_refused", "%s: refused a record: %.*s", source_name(source), BYTES_ARG(reason));
}

static struct source *replay_source(const struct command_context *context, struct error *error)
{
    char spec[4096];
    snprintf(spec, sizeof spec, "recording:%s", context->argc > 0 ? context->argv[0] : "-");
    return source_setup_one(context->config, spec, error);
}

static int replay_to_output(const struct command_context *context, struct error *error)
{
    struct replay replay = {.spare = event_batch_create(REPLAY_BATCH_EVENTS)};
    buffer_init(&replay.out, (size_t)256 << 20);
    struct driver_options options = {
        .env = env_system(),
        .recording_speed = context->config->speed,
        .callbacks = {.context = &replay, .take = replay_take, .give = replay_give, .reject = replay_reject}};
    struct driver *driver = driver_create(&options, error);
    struct source *source = driver ? replay_source(context, error) : NULL;
    int status = COMMAND_FAILED;
    if (source && driver_add(driver, source, false, error) == 0) {
        driver_connect(driver);
        while (!command_interrupted() && driver_step(driver, 100000))
            ;
        status = replay_sum_up(context, source_name(source), source_statistics(source));
        if (source_statistics(source)->state == SOURCE_FAILED)
            status = (error_set(error, "%s: %s", source_name(source), source_last_error(source)), COMMAND_FAILED);
        if (replay.failed)
            status = (*error = replay.error, COMMAND_FAILED);
    }
    driver_destroy(driver);
    event_batch_destroy(replay.spare);
    buffer_release(&replay.out);
    if (!command_flush(error))
        status = COMMAND_FAILED;
    return status;
}

/* ---- through the pipeline ---- */

/* The exit status. */
static int replay_through(const struct command_context *context, struct bus *bus, struct store *store, struct error *error)
{
    struct pipeline_source source = {.source = replay_source(context, error)};
    if (!source.source)
        return COMMAND_FAILED;
    struct pipeline_options options = {
        .env = env_system(), .bus = bus, .store = store, .recording_speed = context->config->speed};
    struct pipeline *pipeline = pipeline_start(&options, &source, 1, error);
    if (!pipeline)
        return COMMAND_FAILED;
    while (!command_interrupted() && !pipeline_ended(pipeline))
        usleep(5000);
    pipeline_stop(pipeline);
    struct pipeline_source_status played;
    int status = COMMAND_FAILED;
    if (source_setup_failure(pipeline, error) == 0 && pipeline_sources(pipeline, &played, 1) == 1)
        status = replay_sum_up(context, played.name, &played.statistics);
    pipeline_destroy(pipeline);
    return status;
}

static int replay_to_stages(const struct command_context *context, struct error *error)
{
    const struct config *config = context->config;
    command_keep_private();
    struct bus_log_options options = {.directory = config->log_directory,
                                      .sync = config->sync,
                                      .segment_bytes = config->segment_bytes,
                                      .compress = config->compress};
    struct bus *bus = config->replay_to_bus ? bus_log_open(&options, env_system(), error) : bus_memory_create();
    struct store *store = bus && config->replay_to_store ? store_sqlite_open(config->store_file, error) : NULL;
    int status = COMMAND_FAILED;
    if (bus && (store || !config->replay_to_store))
        status = replay_through(context, bus, store, error);
    if (store)
        store_destroy(store);
    if (bus)
        bus_destroy(bus);
    return status;
}

int command_replay(const struct command_context *context)
{
    struct error error = {""};
    bool stages = context->config->replay_to_bus || context->config->replay_to_store;
    command_catch_signals(NULL);
    int status = stages ? replay_to_stages(context, &error) : replay_to_output(context, &error);
    if (status == COMMAND_FAILED)
        command_failed(context, &error);
    log_flush();
    return status;
}
