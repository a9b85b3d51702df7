/* The index: market mix of 50 symbols, skewed, written as the pipeline does: one entry an event, in log batches of 1, 10 and
 * 1,000 events, one batch or several a write.  Then queries of what was written. */
#include "base/random.h"
#include "bench/bench.h"
#include "store/store.h"

enum { SYMBOLS = 50, WRITE_MAX = 10000, FOUND_MAX = 1000 };
#define EVENTS_PER_SECOND 150000 /* of event time */

struct market_mix {
    struct random random;
    char names[SYMBOLS][24];
    double share[SYMBOLS]; /* cumulative */
    int64_t time_us;
    uint64_t offset;
};

static void mix_init(struct market_mix *mix, uint64_t seed)
{
    *mix = (struct market_mix){.time_us = 1774000000000000};
    random_seed(&mix->random, seed);
    double sum = 0;
    for (int i = 0; i < SYMBOLS; i++) {
        snprintf(mix->names[i], sizeof mix->names[i], "binance:COIN%02d-USDT", i);
        mix->share[i] = sum += 1.0 / (i + 1);
    }
}

static void mix_entry(struct market_mix *mix, uint64_t base_offset, struct store_index_entry *entry)
{
    double at = random_unit(&mix->random) * mix->share[SYMBOLS - 1];
    size_t symbol = 0;
    while (mix->share[symbol] < at)
        symbol++;
    mix->time_us += 1000000 / EVENTS_PER_SECOND;
    *entry = (struct store_index_entry){.topic = 1,
                                        .key = bytes_of_string(mix->names[symbol]),
                                        .timestamp_us = mix->time_us - (int64_t)random_below(&mix->random, 200000),
                                        .base_offset = base_offset};
}

struct index_case {
    const char *name;
    size_t batch_events, batches_a_write;
    uint64_t events;
};

static const struct index_case index_cases[] = {
    {"index, batches of 1, one a write", 1, 1, 200000},        {"index, batches of 1, 1000 a write", 1, 1000, 2000000},
    {"index, batches of 10, one a write", 10, 1, 1000000},     {"index, batches of 10, 100 a write", 10, 100, 5000000},
    {"index, batches of 1000, one a write", 1000, 1, 5000000}, {"index, batches of 1000, 10 a write", 1000, 10, 10000000},
};

static int write_index(struct store *store, struct market_mix *mix, const struct index_case *one, uint64_t events,
                       struct error *error)
{
    static struct store_index_entry entries[WRITE_MAX];
    for (uint64_t done = 0; done < events;) {
        size_t count = 0;
        for (size_t batch = 0; batch < one->batches_a_write; batch++) {
            uint64_t base_offset = mix->offset;
            for (size_t i = 0; i < one->batch_events; i++)
                mix_entry(mix, base_offset, &entries[count++]);
            mix->offset += one->batch_events;
        }
        const struct store_write write = {
            .entries = entries, .entry_count = count, .reader = BYTES("store"), .next_offset = mix->offset};
        if (store_write(store, &write, error) < 0)
            return -1;
        done += count;
    }
    return 0;
}

static int run_index_case(struct bench_run *run, const struct index_case *one, struct error *error)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/store-%zu-%zu.db", run->directory, one->batch_events, one->batches_a_write);
    struct store *store = store_sqlite_open(path, error);
    if (!store)
        return -1;
    struct market_mix mix;
    mix_init(&mix, run->seed);
    uint64_t events = run->events ? run->events : one->events;
    bench_begin(run);
    int result = write_index(store, &mix, one, events, error);
    struct store_info info;
    store_info(store, &info);
    if (result == 0) {
        bench_figure(run, "rows", (double)info.index_rows);
        bench_figure(run, "rows_per_cpu_second", (double)info.index_rows / bench_cpu_seconds(run));
        bench_figure(run, "file_bytes_per_event", (double)info.size_bytes / (double)events);
        bench_end(run, one->name, events);
    }
    store_destroy(store);
    return result;
}

/* Queries over the last minutes of one key, as the page asks for them. */
static int run_query_case(struct bench_run *run, struct error *error)
{
    enum { QUERIES = 20000 };
    char path[4096];
    snprintf(path, sizeof path, "%s/store-1000-1.db", run->directory);
    struct store *store = store_sqlite_open(path, error);
    if (!store)
        return -1;
    struct market_mix mix;
    mix_init(&mix, run->seed);
    int result = 0;
    uint64_t found = 0;
    bench_begin(run);
    for (int i = 0; i < QUERIES && result == 0; i++) {
        uint64_t base_offsets[FOUND_MAX];
        size_t count = 100;
        struct store_range range = {.key = bytes_of_string(mix.names[random_below(&mix.random, SYMBOLS)]),
                                    .from_us = INT64_MIN,
                                    .to_us = INT64_MAX,
                                    .newest_first = true};
        result = store_find_batches(store, 1, &range, base_offsets, &count, error);
        found += count;
    }
    if (result == 0) {
        bench_figure(run, "offsets_found", (double)found);
        bench_end(run, "newest 100 batches of a key, queries", QUERIES);
    }
    store_destroy(store);
    return result;
}

int bench_store(struct bench_run *run, struct error *error)
{
    for (size_t i = 0; i < sizeof index_cases / sizeof index_cases[0]; i++)
        if (run_index_case(run, &index_cases[i], error) < 0)
            return -1;
    return run_query_case(run, error);
}
