/* `dataflow record OUT`: writes the raw traffic of the configured sources as a recording (source/recording.h).  A simulator
 * has no raw traffic: its events stand in its place.  Runs until interrupted or, with --exit-at-end, until all sources
 * have ended. */
#include "app/command.h"

#include "app/source_setup.h"
#include "pipeline/driver.h"
#include <errno.h>

enum { RECORD_BATCH_EVENTS = 1024 };

struct record {
    FILE *out;
    struct buffer line;
    struct event_batch *spare;
    uint64_t lines;
    struct error error;
    bool failed;
};

static void record_line(void *context, const struct recording_line *line)
{
    struct record *record = context;
    buffer_reset(&record->line);
    recording_line_write(&record->line, line);
    if (record->line.failed || fwrite(record->line.at, 1, record->line.length, record->out) != record->line.length)
        record->failed = error_set_errno(&record->error, errno, "cannot write the recording") < 0;
    record->lines++;
}

static struct event_batch *record_take(void *context)
{
    struct record *record = context;
    struct event_batch *batch = record->spare;
    record->spare = NULL;
    return record->failed ? NULL : batch;
}

/* The events themselves are of no use here. */
static void record_give(void *context, struct event_batch *batch)
{
    struct record *record = context;
    event_batch_reset(batch);
    record->spare = batch;
}

/* -1: a source failed. */
static int record_check(const struct driver *driver, struct error *error)
{
    for (size_t i = 0; i < driver_source_count(driver); i++) {
        const struct source *source = driver_source(driver, i);
        if (source_statistics(source)->state == SOURCE_FAILED)
            return error_set(error, "%s: %s", source_name(source), source_last_error(source));
    }
    return 0;
}

static int record_sources(const struct command_context *context, struct record *record, struct error *error)
{
    struct source_setup setup;
    if (source_setup(context->config, &setup, error) < 0)
        return -1;
    struct driver_options options = {
        .env = env_system(),
        .tls_ca_file = context->config->tls_ca_file,
        .allow_plaintext = context->config->allow_plaintext,
        .recording_speed = context->config->speed,
        .demo_path = setup.demo_path,
        .callbacks = {.context = record, .take = record_take, .give = record_give, .tap = record_line}};
    struct driver *driver = driver_create(&options, error);
    int result = driver ? 0 : -1;
    for (size_t i = 0; i < setup.count; i++) {
        if (result < 0)
            source_destroy(setup.sources[i].source);
        else
            result = driver_add(driver, setup.sources[i].source, setup.sources[i].loop, error);
    }
    if (result == 0) {
        driver_connect(driver);
        while (!command_interrupted() && driver_step(driver, 100000))
            fflush(record->out); /* it can be read while it grows; an error shows at the next line */
        driver_close(driver);
        result = command_interrupted() ? 0 : record_check(driver, error);
    }
    driver_destroy(driver);
    return result;
}

int command_record(const struct command_context *context)
{
    struct error error = {""};
    const char *path = context->argc > 0 ? context->argv[0] : "-";
    bool standard_output = bytes_equal(bytes_of_string(path), BYTES("-"));
    struct record record = {.out = standard_output ? stdout : fopen(path, "we"),
                            .spare = event_batch_create(RECORD_BATCH_EVENTS)};
    if (!record.out)
        error_set_errno(&error, errno, "cannot write %s", path);
    buffer_init(&record.line, (size_t)64 << 20);
    command_catch_signals(NULL);
    int result = record.out ? record_sources(context, &record, &error) : -1;
    if (record.out && (standard_output ? fflush(record.out) : fclose(record.out)) != 0)
        record.failed = error_set_errno(&record.error, errno, "cannot write %s", path) < 0;
    if (record.failed)
        error = record.error;
    event_batch_destroy(record.spare);
    buffer_release(&record.line);
    if (result < 0 || record.failed)
        return command_failed(context, &error);
    log_event(LOG_INFO, "recorded", "%llu lines in %s", (unsigned long long)record.lines, path);
    log_flush();
    return command_stop_status();
}
