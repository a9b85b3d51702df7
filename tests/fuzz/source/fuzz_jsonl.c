/* Files of events, line by line; what is accepted can be written and is accepted again. */
#include "source/source.h"

#include <assert.h>

static void check_written(const struct event *event)
{
    struct buffer json;
    struct event again;
    struct arena arena;
    buffer_init(&json, 64 << 20);
    arena_init(&arena, 64 << 20);
    event_write(event, &json);
    assert(!json.failed);
    enum reject_reason reason = event_parse(buffer_bytes(&json), &arena, &again);
    assert(reason == REJECT_NONE);
    (void)reason;
    arena_release(&arena);
    buffer_release(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct source_options options = {.kind = BYTES("jsonl"), .argument = BYTES("fuzz")};
    struct source *source = source_create(&options, NULL);
    struct source_output output = {.batch = event_batch_create(16)};
    assert(source && output.batch);
    for (struct bytes text = bytes_of((const char *)data, size); text.length > 0;) {
        struct source_input input = {.kind = SOURCE_FRAME, .connection = 1, .now_us = 1790000000000000};
        input.frame = bytes_split(text, '\n', &text);
        event_batch_reset(output.batch);
        source_output_reset(&output);
        source_read(source, &input, 1, &output);
        for (size_t i = 0; i < output.batch->count; i++)
            check_written(&output.batch->events[i]);
    }
    source_destroy(source);
    event_batch_destroy(output.batch);
    return 0;
}
