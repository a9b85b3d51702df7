/* A filter over a bus reader.  Event time is not the log's order (a backfilled trade comes late), so that a time range is
 * checked record by record; the log's time index only says where to begin. */
#include "app/scan.h"

#include <errno.h>
#include <unistd.h>

struct bus *scan_open_log(const struct config *config, struct error *error)
{
    if (access(config->log_directory, F_OK) && errno == ENOENT) {
        error_set(error, "there is no log in %s; name the data of `dataflow run` with --data DIR", config->log_directory);
        return NULL;
    }
    struct bus_log_options options = {.directory = config->log_directory, .read_only = true};
    return bus_log_open(&options, env_system(), error);
}

static bool fits(const struct scan *scan, const struct bus_record *record)
{
    const struct scan_options *options = &scan->options;
    if (options->key.length > 0 && !bytes_equal(options->key, record->key))
        return false;
    if (options->from.kind == POSITION_TIME && record->timestamp_us < options->from.time_us)
        return false;
    return record->timestamp_us <= options->to_us;
}

/* Fitting events from `offset` to the end. */
static int count_fitting(struct scan *scan, uint64_t offset, uint64_t *count, struct error *error)
{
    struct bus_reader *reader = bus_reader_open(scan->bus, offset, scan->options.topics, error);
    if (!reader)
        return -1;
    struct bus_batch batch;
    int got;
    *count = 0;
    while ((got = bus_reader_next_past_damage(reader, &batch, error)) == 1)
        for (size_t i = 0; i < batch.count; i++)
            *count += fits(scan, &batch.records[i]);
    bus_reader_close(reader);
    return got;
}

/* Where the last `count` fitting events begin: looks back from the end in growing steps, so that the end of a large log costs
 * no more than that of a small one. */
static int find_last(struct scan *scan, const struct bus_info *info, uint64_t *offset, struct error *error)
{
    uint64_t wanted = scan->options.from.count, found = 0, window = wanted;
    do {
        uint64_t there = info->end_offset - info->first_offset;
        bool whole = window >= there;
        *offset = whole ? info->first_offset : info->end_offset - window;
        if (count_fitting(scan, *offset, &found, error))
            return -1;
        if (whole)
            break;
        window = window > UINT64_MAX / 4 ? UINT64_MAX : window * 4;
    } while (found < wanted);
    scan->skip = found > wanted ? found - wanted : 0;
    return 0;
}

int scan_start(struct scan *scan, struct bus *bus, const struct scan_options *options, struct error *error)
{
    *scan = (struct scan){.options = *options, .bus = bus};
    struct bus_info info;
    bus_info(bus, &info);
    scan->end_offset = info.end_offset;
    uint64_t offset = info.first_offset;
    int status = 0;
    if (options->from.kind == POSITION_END || (options->from.kind == POSITION_LAST && options->from.count == 0))
        offset = info.end_offset;
    else if (options->from.kind == POSITION_LAST)
        status = find_last(scan, &info, &offset, error);
    else if (options->from.kind == POSITION_TIME)
        status = bus_offset_at(bus, options->from.time_us, &offset, error);
    if (status)
        return -1;
    scan->offset = offset;
    scan->reader = bus_reader_open(bus, offset, options->topics, error);
    return scan->reader ? 0 : -1;
}

void scan_release(struct scan *scan)
{
    if (scan->reader)
        bus_reader_close(scan->reader);
    scan->reader = NULL;
}

int scan_next(struct scan *scan, const struct bus_record **record, struct error *error)
{
    for (;;) {
        while (scan->next < scan->batch.count) {
            const struct bus_record *candidate = &scan->batch.records[scan->next++];
            if (!fits(scan, candidate))
                continue;
            if (scan->skip == 0) {
                *record = candidate;
                return 1;
            }
            scan->skip--;
        }
        scan->batch = (struct bus_batch){0};
        scan->next = 0;
        int got = bus_reader_next_past_damage(scan->reader, &scan->batch, error);
        if (got != 1) {
            scan->batch = (struct bus_batch){0};
            return got;
        }
        scan->offset = scan->batch.end_offset;
    }
}
