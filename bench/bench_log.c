/* The embedded log beside a plain file that is written and synced with the same bytes in the same groups: turns of one and
 * the other, a few dozen syncs at a time, so that both meet the same disk.  Then the log read back.
 *
 * Figures of an append case: what the plain file reached (raw_…), share_of_raw (events/s of the log by events/s of the plain
 * file, median over the turns), and syncs a second of both. */
#include "base/env.h"
#include "base/random.h"
#include "bench/bench.h"
#include "bus/bus.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum {
    EVENT_BYTES = 300, /* key and value */
    KEY_BYTES = 16,
    LARGEST_GROUP = 10000,
    TURNS_MAX = 400,
    TURNS_LEAST = 5,
};

struct log_case {
    const char *name;
    size_t group;
    uint64_t events;
    uint64_t turn_bytes; /* what one turn writes */
    bool compress;
};

static const struct log_case log_cases[] = {
    {"append 1", 1, 10000, 64 * EVENT_BYTES, false},
    {"append 10", 10, 100000, 640 * EVENT_BYTES, false},
    {"append 100", 100, 500000, 6400 * EVENT_BYTES, false},
    {"append 1000", 1000, 2000000, 32000 * EVENT_BYTES, false},
    {"append 10000", 10000, 2000000, 160000 * EVENT_BYTES, false},
    {"append 1000, compressed", 1000, 1000000, 32000 * EVENT_BYTES, true},
};

/* One side's time over all its turns. */
struct side {
    uint64_t syncs;
    double wall_seconds, cpu_seconds;
};

struct log_bench {
    struct bench_run *run;
    char path[4096];
    char *text; /* LARGEST_GROUP events of EVENT_BYTES */
    struct bus_record *records;
    struct bus *bus;
    int raw_file;
    off_t raw_size;
};

/* Events that compress as JSON of trades does: fixed names, changing digits. */
static void make_events(struct log_bench *bench)
{
    struct random random;
    random_seed(&random, bench->run->seed);
    for (size_t i = 0; i < LARGEST_GROUP; i++) {
        char *at = bench->text + i * EVENT_BYTES;
        char line[EVENT_BYTES + 1];
        int length = snprintf(
            line, sizeof line,
            "binance:BTC-USDT{\"schema\":1,\"id\":\"binance:BTC-USDT:agg:%llu\",\"source\":\"market\",\"timestamp\":"
            "\"2026-11-23T22:20:06.%06lluZ\",\"payload\":{\"kind\":\"trade\",\"exchange\":\"binance\",\"symbol\":\"BTC-USDT\","
            "\"price\":%llu.%08llu,\"volume\":0.%08llu,\"side\":\"buy\",\"direction\":\"up\"}}",
            3000000000ull + i, (unsigned long long)random_below(&random, 1000000), 60000ull + random_below(&random, 1000),
            (unsigned long long)random_below(&random, 100000000), (unsigned long long)random_below(&random, 100000000));
        memset(at, ' ', EVENT_BYTES);
        memcpy(at, line, (size_t)length < EVENT_BYTES ? (size_t)length : EVENT_BYTES);
        bench->records[i] = (struct bus_record){.timestamp_us = 1774000000000000 + (int64_t)i,
                                                .topic = 1,
                                                .key = bytes_of(at, KEY_BYTES),
                                                .value = bytes_of(at + KEY_BYTES, EVENT_BYTES - KEY_BYTES)};
    }
}

static int raw_turn(struct log_bench *bench, size_t group, uint64_t syncs, struct error *error)
{
    for (uint64_t i = 0; i < syncs; i++) {
        size_t size = group * EVENT_BYTES;
        if (pwrite(bench->raw_file, bench->text, size, bench->raw_size) != (ssize_t)size || fdatasync(bench->raw_file) < 0)
            return error_set_errno(error, errno, "cannot write the plain file");
        bench->raw_size += (off_t)size;
    }
    return 0;
}

static int log_turn(struct log_bench *bench, size_t group, uint64_t syncs, struct error *error)
{
    for (uint64_t i = 0; i < syncs; i++)
        if (bus_append(bench->bus, bench->records, group, NULL, error) < 0)
            return -1;
    return 0;
}

typedef int turn_fn(struct log_bench *bench, size_t group, uint64_t syncs, struct error *error);

/* One turn of one side; returns its seconds, negative on error. */
static double take_turn(struct log_bench *bench, turn_fn *turn, size_t group, uint64_t syncs, struct side *side,
                        struct error *error)
{
    double wall = bench_wall_seconds(bench->run), cpu = bench_cpu_seconds(bench->run);
    if (turn(bench, group, syncs, error) < 0)
        return -1;
    wall = bench_wall_seconds(bench->run) - wall;
    side->cpu_seconds += bench_cpu_seconds(bench->run) - cpu;
    side->wall_seconds += wall;
    side->syncs += syncs;
    return wall;
}

static int compare_doubles(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static int open_log(struct log_bench *bench, const char *name, bool compress, struct error *error)
{
    snprintf(bench->path, sizeof bench->path, "%s/%s", bench->run->directory, name);
    struct bus_log_options options = {.directory = bench->path, .compress = compress};
    bench->bus = bus_log_open(&options, env_system(), error);
    return bench->bus ? 0 : -1;
}

static int open_raw(struct log_bench *bench, struct error *error)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/raw", bench->run->directory);
    bench->raw_file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bench->raw_size = 0;
    return bench->raw_file < 0 ? error_set_errno(error, errno, "cannot create %s", path) : 0;
}

/* Turn and turn about until the log has its events. */
static int append_turns(struct log_bench *bench, const struct log_case *one, struct side *log, struct side *raw, double *share,
                        struct error *error)
{
    static double shares[TURNS_MAX];
    uint64_t per_turn = one->turn_bytes / (EVENT_BYTES * one->group);
    uint64_t turns = one->events / (per_turn * one->group);
    if (bench->run->events > 0)
        turns = bench->run->events / (per_turn * one->group);
    turns = turns < TURNS_LEAST ? TURNS_LEAST : turns > TURNS_MAX ? TURNS_MAX : turns;
    for (uint64_t i = 0; i < turns; i++) {
        bool log_first = i % 2 == 0;
        double first = take_turn(bench, log_first ? log_turn : raw_turn, one->group, per_turn, log_first ? log : raw, error);
        double second = take_turn(bench, log_first ? raw_turn : log_turn, one->group, per_turn, log_first ? raw : log, error);
        if (first < 0 || second < 0)
            return -1;
        shares[i] = log_first ? second / first : first / second;
    }
    qsort(shares, turns, sizeof shares[0], compare_doubles);
    *share = shares[turns / 2];
    return 0;
}

static int append_case(struct log_bench *bench, const struct log_case *one, size_t number, struct error *error)
{
    struct side log = {0}, raw = {0};
    double share = 0;
    char name[32];
    snprintf(name, sizeof name, "log%zu", number);
    if (open_log(bench, name, one->compress, error) < 0 || open_raw(bench, error) < 0)
        return -1;
    bench_begin(bench->run);
    int status = append_turns(bench, one, &log, &raw, &share, error);
    close(bench->raw_file);
    if (status < 0)
        return -1;
    /* The case's clocks are the log's turns alone: what else has passed is taken off. */
    bench->run->wall_us += (int64_t)((bench_wall_seconds(bench->run) - log.wall_seconds) * 1e6);
    bench->run->cpu_us += (int64_t)((bench_cpu_seconds(bench->run) - log.cpu_seconds) * 1e6);
    bench_figure(bench->run, "group", (double)one->group);
    bench_figure(bench->run, "syncs_per_second", (double)log.syncs / log.wall_seconds);
    bench_figure(bench->run, "raw_syncs_per_second", (double)raw.syncs / raw.wall_seconds);
    bench_figure(bench->run, "raw_events_per_second", (double)(raw.syncs * one->group) / raw.wall_seconds);
    bench_figure(bench->run, "raw_cpu_seconds_per_million", raw.cpu_seconds * 1e6 / (double)(raw.syncs * one->group));
    bench_figure(bench->run, "share_of_raw", share);
    bench_end(bench->run, one->name, log.syncs * one->group);
    return 0;
}

static int read_case(struct log_bench *bench, const char *name, unsigned topics, struct error *error)
{
    bench_begin(bench->run);
    uint64_t events = 0, bytes = 0, end_offset = 0;
    struct bus_reader *reader = bus_reader_open(bench->bus, 0, topics, error);
    struct bus_batch batch;
    int status = reader ? 1 : -1;
    while (status == 1 && (status = bus_reader_next(reader, &batch, error)) == 1) {
        for (size_t i = 0; i < batch.count; i++)
            bytes += batch.records[i].key.length + batch.records[i].value.length;
        events += batch.count;
        end_offset = batch.end_offset;
    }
    bus_reader_close(reader);
    if (status < 0)
        return -1;
    if (bytes != events * EVENT_BYTES)
        return error_set(error, "read %llu bytes of %llu events", (unsigned long long)bytes, (unsigned long long)events);
    bench_end(bench->run, name, end_offset);
    return 0;
}

static int all_cases(struct log_bench *bench, struct error *error)
{
    for (size_t i = 0; i < sizeof log_cases / sizeof log_cases[0]; i++) {
        if (append_case(bench, &log_cases[i], i, error) < 0)
            return -1;
        char name[64];
        snprintf(name, sizeof name, "read back, %s", log_cases[i].name);
        if (log_cases[i].group >= 100 && read_case(bench, name, BUS_ALL_TOPICS, error) < 0)
            return -1;
        if (log_cases[i].group == 1000 && read_case(bench, "pass by topic, append 1000", 1, error) < 0)
            return -1;
        bus_destroy(bench->bus);
        bench->bus = NULL;
    }
    return 0;
}

int bench_log(struct bench_run *run, struct error *error)
{
    struct log_bench bench = {.run = run};
    bench.text = malloc((size_t)LARGEST_GROUP * EVENT_BYTES);
    bench.records = calloc(LARGEST_GROUP, sizeof *bench.records);
    int status = -1;
    if (!bench.text || !bench.records) {
        error_set(error, "out of memory");
    } else {
        make_events(&bench);
        status = all_cases(&bench, error);
    }
    bus_destroy(bench.bus);
    free(bench.records);
    free(bench.text);
    return status;
}
