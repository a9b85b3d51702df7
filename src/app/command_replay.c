/* `dataflow replay RECORDING`: plays a recording through the adapters, to standard output as events, or through the whole
 * pipeline into a log (--bus) and a store (--store).  The recorded times are the clock, so the events are the same at
 * any speed. */
#include "app/command.h"

#include "app/source_setup.h"
#include "pipeline/driver.h"
#include <unistd.h>

enum { REPLAY_BATCH_EVENTS = 1024 };

/* ---- to standard output ---- */

struct replay {
    struct event_batch *spare;
    struct buffer out;
    uint64_t rejected;
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
    struct replay *replay = context;
    struct bytes reason = reject_reason_name(reject->reason);
    replay->rejected++;
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
        status = command_interrupted() ? COMMAND_INTERRUPTED : COMMAND_DONE;
        if (source_statistics(source)->state == SOURCE_FAILED)
            status = (error_set(error, "%s", source_last_error(source)), COMMAND_FAILED);
        if (replay.failed)
            status = (*error = replay.error, COMMAND_FAILED);
        if (status == COMMAND_DONE && replay.rejected > 0 && context->config->strict)
            status = COMMAND_BAD_INPUT;
    }
    driver_destroy(driver);
    event_batch_destroy(replay.spare);
    buffer_release(&replay.out);
    if (!command_flush(error))
        status = COMMAND_FAILED;
    return status;
}

/* ---- through the pipeline ---- */

static int replay_through(const struct command_context *context, struct bus *bus, struct store *store, struct error *error)
{
    struct pipeline_source source = {.source = replay_source(context, error)};
    if (!source.source)
        return -1;
    struct pipeline_options options = {
        .env = env_system(), .bus = bus, .store = store, .recording_speed = context->config->speed};
    struct pipeline *pipeline = pipeline_start(&options, &source, 1, error);
    if (!pipeline)
        return -1;
    while (!command_interrupted() && !pipeline_ended(pipeline))
        usleep(5000);
    pipeline_stop(pipeline);
    struct pipeline_source_status status;
    int result = 0;
    if (pipeline_sources(pipeline, &status, 1) == 1 && status.statistics.state == SOURCE_FAILED)
        result = error_set(error, "%s", status.last_error);
    pipeline_destroy(pipeline);
    return result;
}

static int replay_to_stages(const struct command_context *context, struct error *error)
{
    const struct config *config = context->config;
    struct bus_log_options options = {.directory = config->log_directory,
                                      .sync = config->sync,
                                      .segment_bytes = config->segment_bytes,
                                      .compress = config->compress};
    struct bus *bus = config->replay_to_bus ? bus_log_open(&options, env_system(), error) : bus_memory_create();
    struct store *store = bus && config->replay_to_store ? store_sqlite_open(config->store_file, error) : NULL;
    int result = -1;
    if (bus && (store || !config->replay_to_store))
        result = replay_through(context, bus, store, error);
    if (store)
        store_destroy(store);
    if (bus)
        bus_destroy(bus);
    if (result < 0)
        return COMMAND_FAILED;
    return command_interrupted() ? COMMAND_INTERRUPTED : COMMAND_DONE;
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
