/* The timeline of simulators; see simulated.h.  Invariant: between calls, next_s is the first event not yet made. */
#include "source/simulated.h"

enum { EAGER_RATE = 200, WAKE_INTERVAL_US = 5000 }; /* above this rate ticks are made worth their while */

int simulated_init(struct source *source, size_t default_count, size_t count_max, double default_rate, size_t *count,
                   struct error *error)
{
    struct simulated *simulated = source->state;
    double rate = source->options.rate;
    if (!(rate >= 0 && rate <= SIMULATED_RATE_MAX))
        return error_set(error, "%s: the rate must lie between 0 (default) and %d events a second", source->name,
                         SIMULATED_RATE_MAX);
    simulated->rate = rate > 0 ? rate : default_rate;
    *count = default_count;
    struct bytes number;
    bytes_split(source->options.argument, '/', &number);
    uint64_t given;
    if (number.at == NULL)
        return 0;
    if (!bytes_to_u64(number, &given) || given < 1 || given > count_max)
        return error_set(error, "%s: after the / stands a number from 1 to %zu", source->name, count_max);
    *count = (size_t)given;
    return 0;
}

void simulated_begin(struct source *source, int64_t now_us)
{
    struct simulated *simulated = source->state;
    simulated->start_us = now_us == TIME_UNKNOWN ? TIME_MIN : now_us;
    simulated->next_s = 0;
    random_seed(&simulated->random, source->options.seed ^ ((uint64_t)simulated->start_us * 0x9E3779B97F4A7C15u));
    source_set_state(source, SOURCE_LIVE, now_us);
    source->wake_at_us = simulated->start_us;
}

/* Makes what is due at now_us, as far as one call goes and memory reaches. */
static void make_due(struct source *source, size_t input, int64_t now_us, struct source_output *output)
{
    struct simulated *simulated = source->state;
    int64_t next_us = simulated_next_us(simulated);
    for (size_t made = 0; next_us <= now_us; made++) {
        struct event *event = made < SIMULATED_CALL_MAX ? source_event(output) : NULL;
        if (!event) { /* nothing is lost: the rest comes with the next tick */
            source->wake_at_us = now_us;
            return;
        }
        event->timestamp_us = next_us;
        event->received_us = next_us;
        bool whole = simulated->make(source, event, &output->batch->arena);
        if (whole) {
            source_emit(source, event);
        } else {
            source_event_lost(source, output, event, input);
            source->wake_at_us = now_us;
            return;
        }
        next_us = simulated_next_us(simulated);
    }
    int64_t earliest_us = simulated->rate > EAGER_RATE ? now_us + WAKE_INTERVAL_US : now_us;
    source->wake_at_us = next_us > earliest_us ? next_us : earliest_us;
}

void simulated_read(struct source *source, const struct source_input *inputs, size_t count, struct source_output *output)
{
    for (size_t i = 0; i < count; i++) {
        if (inputs[i].kind == SOURCE_FRAME) {
            source_frame(source);
            if (source_is_over(source))
                source_filter(source);
            else
                source_reject(source, output, i, inputs[i].frame, REJECT_UNKNOWN_KIND); /* it takes none */
        } else if (inputs[i].kind == SOURCE_TICK && source->statistics.state == SOURCE_LIVE) {
            make_due(source, i, inputs[i].now_us, output);
        }
    }
}

void simulated_close(struct source *source, int64_t now_us, struct source_output *output)
{
    (void)output;
    source_set_state(source, SOURCE_ENDED, now_us);
}

void simulated_error(struct source *source, uint32_t connection, int code, struct bytes text, int64_t now_us,
                     struct source_output *output)
{
    /* There is no connection that could fail. */
    (void)source, (void)connection, (void)code, (void)text, (void)now_us, (void)output;
}
