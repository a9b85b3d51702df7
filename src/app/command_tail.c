/* dataflow tail TOPIC: events of a topic as they lie in the log, one a line; with --follow also those that come. */
#include "app/command.h"
#include "app/scan.h"

#define WAIT_US 250000

static int print_lines(struct scan *scan, bool follow, struct error *error)
{
    for (;;) {
        const struct bus_record *record;
        int got = scan_next(scan, &record, error);
        if (got < 0)
            return COMMAND_FAILED;
        if (got == 1) {
            fwrite(record->value.at, 1, record->value.length, stdout);
            putchar('\n');
            if (!ferror(stdout) && !command_interrupted())
                continue;
        }
        if (!command_flush(error))
            return COMMAND_FAILED;
        if (command_interrupted())
            return COMMAND_INTERRUPTED;
        if (!follow)
            return COMMAND_DONE;
        bus_wait(scan->bus, scan->offset, WAIT_US);
    }
}

int command_tail(const struct command_context *context)
{
    const struct config *config = context->config;
    struct scan_options options = {.key = bytes_of_string(config->key), .to_us = INT64_MAX};
    struct error error;
    unsigned topic;
    int64_t now_us = env_system()->now_us(env_system());
    if (topic_parse(context->argv[0], &topic, &error) ||
        position_parse(config->from ? config->from : "beginning", now_us, &options.from, &error)) {
        command_failed(context, &error);
        return COMMAND_USAGE;
    }
    options.topics = 1u << topic;

    struct scan scan = {0};
    int status = COMMAND_FAILED;
    struct bus *bus = scan_open_log(config, &error);
    if (bus && !scan_start(&scan, bus, &options, &error)) {
        command_catch_signals(NULL);
        status = print_lines(&scan, config->follow, &error);
    }
    if (status == COMMAND_FAILED)
        command_failed(context, &error);
    scan_release(&scan);
    if (bus)
        bus_destroy(bus);
    return status;
}
