/* Decorator of a source for tests: between driver and adapter it loses inputs, cuts connections and delays.
 *
 * Its ledger is the adapter's: what it loses was lost in the network, and no adapter has seen it. */
#include "source/source_internal.h"

struct faulty_state {
    struct source *inner;
    struct source_faults *faults;
};

/* What the driver reads from us is what the adapter says. */
static void mirror(struct source *source, const struct source_output *output)
{
    struct faulty_state *state = source->state;
    source->statistics = *source_statistics(state->inner);
    source->last_error = state->inner->last_error;
    source->wake_at_us = output->wake_at_us;
    if (source->wake_at_us != INT64_MAX)
        source->wake_at_us -= state->faults->delay_us;
}

static int64_t delayed(const struct source *source, int64_t now_us)
{
    const struct faulty_state *state = source->state;
    return now_us == TIME_UNKNOWN ? now_us : now_us + state->faults->delay_us;
}

static void faulty_connect(struct source *source, int64_t now_us, struct source_output *output)
{
    struct faulty_state *state = source->state;
    source_connect(state->inner, delayed(source, now_us), output);
    mirror(source, output);
}

static bool fails_now(struct source_faults *faults, const struct source_input *input)
{
    if (input->kind == SOURCE_TICK)
        return false; /* time cannot be lost */
    faults->inputs++;
    if (faults->fail_every == 0 || faults->inputs % faults->fail_every != 0)
        return false;
    faults->failures++;
    return true;
}

static void faulty_read(struct source *source, const struct source_input *inputs, size_t count, struct source_output *output)
{
    struct faulty_state *state = source->state;
    output->wake_at_us = source->wake_at_us == INT64_MAX ? INT64_MAX : delayed(source, source->wake_at_us);
    for (size_t i = 0; i < count; i++) {
        struct source_input input = inputs[i];
        input.now_us = delayed(source, input.now_us);
        size_t rejects = output->reject_count;
        bool fails = fails_now(state->faults, &input);
        if (fails && input.kind == SOURCE_RESPONSE) { /* every request is answered, if only by its failure */
            input.status = 0;
            input.frame = BYTES("injected fault");
            fails = false;
        }
        if (fails)
            source_error(state->inner, input.connection, SOURCE_CLOSED_NONE, BYTES("injected fault"), input.now_us, output);
        else
            source_read(state->inner, &input, 1, output);
        for (; rejects < output->reject_count; rejects++)
            output->rejects[rejects].input = (uint32_t)i;
    }
    mirror(source, output);
}

static void faulty_close(struct source *source, int64_t now_us, struct source_output *output)
{
    struct faulty_state *state = source->state;
    source_close(state->inner, delayed(source, now_us), output);
    mirror(source, output);
}

static void faulty_error(struct source *source, uint32_t connection, int code, struct bytes text, int64_t now_us,
                         struct source_output *output)
{
    struct faulty_state *state = source->state;
    source_error(state->inner, connection, code, text, delayed(source, now_us), output);
    mirror(source, output);
}

static void faulty_release(struct source *source)
{
    struct faulty_state *state = source->state;
    source_destroy(state->inner);
}

static const struct source_class faulty_class = {
    .kind = "faulty",
    .argument = "",
    .summary = "injects faults into another source",
    .state_size = sizeof(struct faulty_state),
    .connect = faulty_connect,
    .read = faulty_read,
    .close = faulty_close,
    .error = faulty_error,
    .release = faulty_release,
};

struct source *source_faulty_create(struct source *inner, struct source_faults *faults)
{
    struct source *source = source_create_of(&faulty_class, &inner->options, NULL);
    if (!source)
        return NULL;
    struct faulty_state *state = source->state;
    *state = (struct faulty_state){inner, faults};
    source->statistics = inner->statistics;
    return source;
}
