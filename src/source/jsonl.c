/* Files of canonical events, one JSON object a line: what `normalize`, `tail` and `export` write.
 *
 * The events pass as they are.  One without a time of receipt has been received now.  A file is read once: at its end the
 * source has ended, and one that cannot be read is not tried again.  Also plays the events of simulators in recordings. */
#include "source/source_internal.h"

static void jsonl_connect(struct source *source, int64_t now_us, struct source_output *output)
{
    struct bytes path = source->options.argument;
    if (path.length == 0) {
        source_fail(source, now_us, "jsonl: no file was named: use jsonl:FILE");
        return;
    }
    source_set_state(source, SOURCE_CONNECTING, now_us);
    struct bytes prefix = BYTES("file:");
    char *address = arena_text(&output->batch->arena, prefix.length + path.length);
    if (address) {
        memcpy(address, prefix.at, prefix.length);
        memcpy(address + prefix.length, path.at, path.length);
    }
    if (!address || !source_open_connection(source, output, bytes_of(address, prefix.length + path.length)))
        source_fail(source, now_us, "%s: out of memory", source->name);
}

static void jsonl_frame(struct source *source, const struct source_input *input, size_t index, struct source_output *output)
{
    source_frame(source);
    if (source->statistics.state == SOURCE_ENDED || source->statistics.state == SOURCE_FAILED) {
        source_filter(source); /* was still on its way */
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
        else if (inputs[i].kind == SOURCE_OPENED && source->statistics.state == SOURCE_CONNECTING)
            source_set_state(source, SOURCE_LIVE, inputs[i].now_us);
    }
}

static void jsonl_close(struct source *source, int64_t now_us, struct source_output *output)
{
    if (source->statistics.state == SOURCE_CONNECTING || source->statistics.state == SOURCE_LIVE)
        source_close_connection(output, source->last_connection);
    source_set_state(source, SOURCE_ENDED, now_us);
}

static void jsonl_error(struct source *source, uint32_t connection, int code, struct bytes text, int64_t now_us,
                        struct source_output *output)
{
    (void)output;
    if (source->statistics.state == SOURCE_ENDED || connection != source->last_connection)
        return;
    if (code == SOURCE_CLOSED_END)
        source_set_state(source, SOURCE_ENDED, now_us);
    else
        source_fail(source, now_us, "%s: %.*s", source->name, BYTES_ARG(text));
}

const struct source_class source_jsonl = {
    .kind = "jsonl",
    .argument = "FILE",
    .summary = "events as JSON lines, read once",
    .frames = true,
    .connect = jsonl_connect,
    .read = jsonl_read,
    .close = jsonl_close,
    .error = jsonl_error,
};
