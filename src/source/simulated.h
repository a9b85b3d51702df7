/* What the simulators share: a timeline that depends on seed and start time alone, played up to the time of each tick.
 *
 * Time runs in seconds since the start.  An event that is due at or before a tick is made at that tick, however ticks
 * fall; a simulator that is behind catches up, SIMULATED_CALL_MAX events a call. */
#ifndef SOURCE_SIMULATED_H
#define SOURCE_SIMULATED_H

#include "base/random.h"
#include "source/source_internal.h"

enum { SIMULATED_CALL_MAX = 2048, SIMULATED_RATE_MAX = 1000000 };

/* First member of a simulator's state. */
struct simulated {
    struct random random;
    double rate; /* events a second, on average */
    int64_t start_us;
    double next_s; /* when the next event is due, since the start */
    /* Makes the event that is due at next_s and moves next_s on.  False: there was no memory for its texts, and it is lost. */
    bool (*make)(struct source *source, struct event *event, struct arena *arena);
};

/* Checks rate and argument (`VARIANT` or `VARIANT/COUNT`) and sets *count (default if none is given). */
int simulated_init(struct source *source, size_t default_count, size_t count_max, double default_rate, size_t *count,
                   struct error *error);

/* Seeds the timeline for this start; the simulator's connect goes on with its own state. */
void simulated_begin(struct source *source, int64_t now_us);

/* The calls of the class. */
void simulated_read(struct source *source, const struct source_input *inputs, size_t count, struct source_output *output);
void simulated_close(struct source *source, int64_t now_us, struct source_output *output);
void simulated_error(struct source *source, uint32_t connection, int code, struct bytes text, int64_t now_us,
                     struct source_output *output);

/* Event time of next_s. */
static inline int64_t simulated_next_us(const struct simulated *simulated)
{
    return simulated->start_us + (int64_t)(simulated->next_s * 1e6);
}

/* Writes digits of `value` that end at `end`; returns where they begin. */
static inline char *simulated_digits(char *end, uint64_t value)
{
    do
        *--end = (char)('0' + value % 10);
    while ((value /= 10) != 0);
    return end;
}

#endif
