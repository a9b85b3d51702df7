/* dataflow export: a range of the log as JSON lines or CSV.  A file is written beside its name and renamed when it is whole,
 * so that a broken export never looks like a finished one. */
#include "app/command.h"
#include "app/csv.h"
#include "app/progress.h"
#include "app/scan.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

enum { BLOCK_SIZE = 256 * 1024, ROW_MAX = 64 * 1024 * 1024, PARSE_MEMORY_MAX = 64 * 1024 * 1024 };

struct exporter {
    const struct command_context *context;
    struct scan scan;
    struct buffer block;
    struct arena arena; /* of one event's texts */
    FILE *out;
    char partial[4096]; /* "" for standard output */
    uint64_t events, unreadable;
};

static int parse_range(const struct config *config, struct scan_options *options, struct error *error)
{
    int64_t now_us = env_system()->now_us(env_system());
    unsigned topic;
    *options = (struct scan_options){.topics = BUS_ALL_TOPICS, .key = bytes_of_string(config->key), .to_us = INT64_MAX};
    if (config->topic) {
        if (topic_parse(config->topic, &topic, error))
            return -1;
        options->topics = 1u << topic;
    }
    struct error cause;
    if (position_parse(config->from ? config->from : "beginning", now_us, &options->from, &cause))
        return error_set(error, "--from: %s", cause.text);
    struct position to;
    if (!config->to)
        return 0;
    if (position_parse(config->to, now_us, &to, &cause))
        return error_set(error, "--to: %s", cause.text);
    if (to.kind != POSITION_TIME && to.kind != POSITION_END)
        return error_set(error, "--to: takes a time, an age or the word end");
    if (to.kind == POSITION_TIME)
        options->to_us = to.time_us;
    if (options->from.kind == POSITION_TIME && options->from.time_us > options->to_us)
        return error_set(error, "--from is after --to");
    return 0;
}

static int open_output(struct exporter *exporter, struct error *error)
{
    const char *path = exporter->context->config->output;
    exporter->out = stdout;
    if (!path || strcmp(path, "-") == 0)
        return 0;
    if (snprintf(exporter->partial, sizeof exporter->partial, "%s.partial", path) >= (int)sizeof exporter->partial)
        return error_set(error, "--output: the name is too long");
    exporter->out = fopen(exporter->partial, "wbe");
    return exporter->out ? 0 : error_set_errno(error, errno, "%s cannot be written", exporter->partial);
}

static int flush_block(struct exporter *exporter, struct error *error)
{
    struct buffer *block = &exporter->block;
    if (block->failed)
        return error_set(error, "an event is larger than %d bytes", ROW_MAX);
    if (fwrite(block->at, 1, block->length, exporter->out) != block->length) {
        if (exporter->out == stdout && errno == EPIPE)
            command_flush(error); /* ends the program */
        return error_set_errno(error, errno, "the output cannot be written");
    }
    buffer_reset(block);
    return 0;
}

static void add_record(struct exporter *exporter, const struct bus_record *record)
{
    if (exporter->context->config->format == CONFIG_FORMAT_JSONL) {
        buffer_append(&exporter->block, record->value);
        buffer_byte(&exporter->block, '\n');
        exporter->events++;
        return;
    }
    struct event event;
    arena_reset(&exporter->arena);
    if (event_parse(record->value, &exporter->arena, &event) != REJECT_NONE) {
        exporter->unreadable++;
        return;
    }
    csv_write_event(&event, exporter->scan.options.topics, &exporter->block);
    exporter->events++;
}

static int copy_events(struct exporter *exporter, struct error *error)
{
    const struct bus_record *record;
    struct progress progress;
    uint64_t begin = exporter->scan.offset;
    progress_start(&progress, exporter->context->progress, "exporting", "events", exporter->scan.end_offset - begin);
    if (exporter->context->config->format == CONFIG_FORMAT_CSV)
        csv_write_header(exporter->scan.options.topics, &exporter->block);
    int got, status = 0;
    while (status == 0 && !command_interrupted() && (got = scan_next(&exporter->scan, &record, error)) != 0) {
        if (got < 0)
            status = -1;
        else
            add_record(exporter, record);
        if (exporter->block.length >= BLOCK_SIZE || exporter->block.failed)
            status = status ? status : flush_block(exporter, error);
        progress_update(&progress, exporter->scan.offset - begin);
    }
    progress_end(&progress);
    return status ? status : flush_block(exporter, error);
}

/* Makes the file whole under its name, or takes it away. */
static int close_output(struct exporter *exporter, bool whole, struct error *error)
{
    if (exporter->out == stdout || !exporter->out)
        return 0;
    const char *path = exporter->context->config->output;
    int status = 0;
    if (whole && (fflush(exporter->out) || fsync(fileno(exporter->out))))
        status = error_set_errno(error, errno, "%s cannot be written", exporter->partial);
    if (fclose(exporter->out) && status == 0 && whole)
        status = error_set_errno(error, errno, "%s cannot be written", exporter->partial);
    if (whole && status == 0 && rename(exporter->partial, path))
        status = error_set_errno(error, errno, "%s cannot be renamed to %s", exporter->partial, path);
    if (!whole || status)
        unlink(exporter->partial);
    return status;
}

static void report(const struct exporter *exporter)
{
    char number[32];
    if (exporter->context->progress && exporter->out != stdout)
        fprintf(stderr, "%s events in %s\n", number_for_people(exporter->events, number), exporter->context->config->output);
    if (exporter->unreadable > 0)
        log_event(LOG_WARNING, "export_unreadable", "%" PRIu64 " records of the log are no events and were left out",
                  exporter->unreadable);
}

/* 0, or an error that tells what the output lacks. */
static int check_whole(struct bus *bus, struct error *error)
{
    struct error first;
    uint64_t lost = bus_damage(bus, &first);
    return lost == 0 ? 0
                     : error_set(error, "%" PRIu64 " records of the log cannot be read; the output has all others: %s", lost,
                                 first.text);
}

int command_export(const struct command_context *context)
{
    struct scan_options options;
    struct error error;
    if (parse_range(context->config, &options, &error)) {
        command_failed(context, &error);
        return COMMAND_USAGE;
    }
    struct exporter exporter = {.context = context};
    buffer_init(&exporter.block, ROW_MAX);
    arena_init(&exporter.arena, PARSE_MEMORY_MAX);
    struct bus *bus = scan_open_log(context->config, &error);
    int status = bus && !scan_start(&exporter.scan, bus, &options, &error) ? open_output(&exporter, &error) : -1;
    command_catch_signals(NULL);
    if (status == 0)
        status = copy_events(&exporter, &error);
    bool whole = status == 0 && !command_interrupted();
    if (close_output(&exporter, whole, &error))
        status = -1;
    if (whole && status == 0) {
        report(&exporter);
        status = check_whole(bus, &error);
    }
    scan_release(&exporter.scan);
    if (bus)
        bus_destroy(bus);
    arena_release(&exporter.arena);
    buffer_release(&exporter.block);
    if (status)
        return command_failed(context, &error);
    return command_interrupted() ? COMMAND_INTERRUPTED : COMMAND_DONE;
}
