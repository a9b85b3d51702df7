/* Prints the events of a simulator's first seconds: simulate SPEC SEED START_US SECONDS [RATE].  Time is simulated, so the
 * same arguments always print the same lines.  For demo/generate. */
#include "source/source.h"

#include <stdio.h>
#include <stdlib.h>

static bool print_batch(const struct event_batch *batch, int64_t end_us, struct buffer *text)
{
    buffer_reset(text);
    for (size_t i = 0; i < batch->count && batch->events[i].timestamp_us < end_us; i++) {
        event_write(&batch->events[i], text);
        buffer_byte(text, '\n');
    }
    return !text->failed && fwrite(text->at, 1, text->length, stdout) == text->length;
}

static int simulate(struct source *source, struct event_batch *batch, int64_t start_us, int64_t end_us)
{
    struct buffer text;
    buffer_init(&text, (size_t)256 << 20);
    struct source_output output = {.batch = batch};
    source_connect(source, start_us, &output);
    bool printed = true;
    while (printed && output.wake_at_us < end_us) {
        struct source_input tick = {.kind = SOURCE_TICK, .now_us = output.wake_at_us};
        source_output_reset(&output);
        event_batch_reset(batch);
        source_read(source, &tick, 1, &output);
        printed = print_batch(batch, end_us, &text);
    }
    buffer_release(&text);
    if (!printed)
        perror("simulate");
    return printed ? 0 : 1;
}

int main(int count, char **arguments)
{
    if (count < 5) {
        fprintf(stderr, "usage: simulate SPEC SEED START_US SECONDS [RATE]\n");
        return 2;
    }
    struct source_options options = {.seed = strtoull(arguments[2], NULL, 10),
                                     .rate = count > 5 ? strtod(arguments[5], NULL) : 0};
    source_spec_split(bytes_of_string(arguments[1]), &options.kind, &options.argument);
    int64_t start_us = strtoll(arguments[3], NULL, 10);
    struct error error;
    struct source *source = source_create(&options, &error);
    struct event_batch *batch = event_batch_create(1024);
    int result = 1;
    if (source && batch)
        result = simulate(source, batch, start_us, start_us + (int64_t)(strtod(arguments[4], NULL) * 1e6));
    else
        fprintf(stderr, "simulate: %s\n", source ? "out of memory" : error.text);
    source_destroy(source);
    event_batch_destroy(batch);
    return result;
}
