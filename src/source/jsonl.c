/* Files of canonical events, one JSON object a line: what `normalize`, `tail` and `export` write.
 *
 * The events pass as they are.  One without a time of receipt has been received now.  A file is read once: at its end the
 * source has ended, and one that cannot be read is not tried again.  Also plays the events of simulators in recordings. */
#include "source/source_internal.h"

static void jsonl_frame(struct source *source, const struct source_input *input, size_t index, struct source_output *output)
{
    source_frame(source);
    if (source->statistics.state == SOURCE_ENDED) {
        source_filter(source); /* was still on its way when we closed */
        return;
    }
    struct event *event = source_event(output);
    if (!event) {
        source_reject(source, output, index, input->frame, REJECT_NO_MEMORY);
        return;
    }
    enum reject_reason reason = event_parse(input->frame, &output->batch->arena, event);
    if (reason != REJECT_NONE) {
        source_event_drop(output);
        source_reject(source, output, index, input->frame, reason);
        return;
    }
    if (event->received_us == TIME_UNKNOWN)
        event->received_us = input->now_us;
    source_emit(source, event);
}

static void jsonl_read(struct source *source, const struct source_input *inputs, size_t count, struct source_output *output)
{
    for (size_t i = 0; i < count; i++) {
        if (inputs[i].kind == SOURCE_FRAME)
            jsonl_frame(source, &inputs[i], i, output);
        else if (inputs[i].kind == SOURCE_OPENED)
            source_file_opened(source, &inputs[i]);
    }
}

const struct source_class source_jsonl = {
    .kind = "jsonl",
    .argument = "FILE",
    .summary = "events as JSON lines, read once",
    .frames = true,
    .connect = source_file_connect,
    .read = jsonl_read,
    .close = source_file_close,
    .error = source_file_error,
};
