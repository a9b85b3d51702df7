/* The life of a source that is a file: opened once, read to its end, never tried again. */
#include "source/source_internal.h"

void source_file_connect(struct source *source, int64_t now_us, struct source_output *output)
{
    struct bytes path = source->options.argument;
    if (path.length == 0) {
        source_fail(source, now_us, "no file was named: use %.*s:FILE", BYTES_ARG(source->options.kind));
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
        source_fail(source, now_us, "out of memory");
}

void source_file_opened(struct source *source, const struct source_input *input)
{
    if (source->statistics.state == SOURCE_CONNECTING && input->connection == source->last_connection)
        source_set_state(source, SOURCE_LIVE, input->now_us);
}

void source_file_close(struct source *source, int64_t now_us, struct source_output *output)
{
    if (source_is_connected(source))
        source_close_connection(output, source->last_connection);
    if (source->statistics.state != SOURCE_FAILED)
        source_set_state(source, SOURCE_ENDED, now_us);
}

void source_file_error(struct source *source, uint32_t connection, int code, struct bytes text, int64_t now_us,
                       struct source_output *output)
{
    (void)output;
    if (!source_is_connected(source) || connection != source->last_connection)
        return;
    if (code == SOURCE_CLOSED_END)
        source_set_state(source, SOURCE_ENDED, now_us);
    else
        source_fail(source, now_us, "%.*s", BYTES_ARG(text));
}
