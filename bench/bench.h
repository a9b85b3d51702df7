/* Benchmarks of the project: `dataflow bench [NAME]`.  Each runs in a forked child with an empty scratch folder, so that
 * its memory and CPU time are its own, and prints one JSON line a case:
 *
 *   {"bench":"log","case":"append 1000","events":1000000,"seconds":…,"cpu_seconds":…,"events_per_second":…,
 *    "cpu_seconds_per_million":…,"rss_mb":…, figures…}
 *
 * A bench prepares, then measures: bench_begin, the work, bench_end. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BENCH_FIGURE_MAX = 16 };

struct bench_figure {
    const char *name; /* JSON key, with its unit: "raw_file_seconds" */
    double value;
};

struct bench_run {
    const char *name;
    const char *directory; /* scratch folder, empty at first, removed afterwards */
    const char *input;     /* --input FILE, or NULL: the bench makes its own */
    uint64_t events;       /* --events N, or 0: the bench's own number */
    uint64_t seed;
    /* measuring */
    int64_t wall_us, cpu_us;
    struct bench_figure figures[BENCH_FIGURE_MAX];
    size_t figure_count;
};

/* Starts the clocks, and the memory high-water mark anew. */
void bench_begin(struct bench_run *run);
/* Clocks since bench_begin: wall and CPU (user + system of all threads, and of children that were waited for). */
double bench_wall_seconds(const struct bench_run *run);
double bench_cpu_seconds(const struct bench_run *run);
/* A further figure of the case that bench_end prints next. */
void bench_figure(struct bench_run *run, const char *name, double value);
/* Stops the clocks and prints the case's line. */
void bench_end(struct bench_run *run, const char *case_name, uint64_t events);

struct bench {
    const char *name, *summary;
    int (*run)(struct bench_run *run, struct error *error); /* 0 or -1 */
};
extern const struct bench benches[];
extern const size_t bench_count;

/* Runs one bench in a child.  0, or -1 and why. */
int bench_execute(const struct bench *bench, const struct bench_run *run, struct error *error);

int bench_normalize(struct bench_run *run, struct error *error);
int bench_twitch_irc(struct bench_run *run, struct error *error);
int bench_log(struct bench_run *run, struct error *error);
int bench_store(struct bench_run *run, struct error *error);
int bench_pipeline(struct bench_run *run, struct error *error);

#endif
