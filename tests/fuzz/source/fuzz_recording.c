/* A recording as a whole, played into its adapters: once as recorded and once in a loop.  The ledger is asserted by the
 * source itself. */
#include "source/source.h"

#include <assert.h>

static void play(struct bytes text, int64_t round_length_us, int64_t now_us)
{
    struct source_options options = {
        .kind = BYTES("recording"), .argument = BYTES("fuzz"), .round_length_us = round_length_us, .seed = 1};
    struct source *source = source_create(&options, NULL);
    struct source_output output = {.batch = event_batch_create(16)};
    assert(source && output.batch);
    source_connect(source, now_us, &output);
    while (text.length > 0) {
        struct source_input input = {.kind = SOURCE_FRAME, .connection = 1, .now_us = now_us};
        input.frame = bytes_split(text, '\n', &text);
        event_batch_reset(output.batch);
        source_output_reset(&output);
        source_read(source, &input, 1, &output);
        struct buffer json;
        buffer_init(&json, 64 << 20);
        for (size_t i = 0; i < output.batch->count; i++)
            event_write(&output.batch->events[i], &json);
        buffer_release(&json);
        if (now_us != TIME_UNKNOWN)
            now_us += 1000000;
    }
    source_destroy(source);
    event_batch_destroy(output.batch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_of((const char *)data, size);
    play(text, 0, TIME_UNKNOWN);
    play(text, 60000000, 1790000000000000);
    return 0;
}
