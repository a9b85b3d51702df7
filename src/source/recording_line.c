/* The lines of a recording; see recording.h.  The text is copied once, and its strings are unescaped in the copy. */
#include "source/recording.h"

#include <assert.h>
#include <yyjson.h>

static const struct bytes event_names[RECORDING_EVENT_COUNT] = {
    [RECORDING_FRAME] = BYTES("frame"),
    [RECORDING_OPEN] = BYTES("open"),
    [RECORDING_SENT] = BYTES("sent"),
    [RECORDING_CLOSE] = BYTES("close"),
};

bool recording_line_is_likely(struct bytes line)
{
    struct bytes key = BYTES("\"frame\"");
    return line.length > 0 && line.at[0] == '{' && memmem(line.at, line.length, key.at, key.length) != NULL;
}

static bool take_text(yyjson_val *value, struct bytes *text)
{
    if (!yyjson_is_str(value))
        return false;
    *text = bytes_of(yyjson_get_str(value), yyjson_get_len(value));
    return true;
}

static enum reject_reason take_event(yyjson_val *value, struct recording_line *out)
{
    struct bytes name;
    if (!take_text(value, &name))
        return REJECT_WRONG_TYPE;
    for (size_t i = 0; i < RECORDING_EVENT_COUNT; i++)
        if (bytes_equal(name, event_names[i])) {
            out->event = (enum recording_event)i;
            return REJECT_NONE;
        }
    return REJECT_UNKNOWN_KIND;
}

static enum reject_reason take_field(struct bytes name, yyjson_val *value, struct recording_line *out)
{
    if (bytes_equal(name, BYTES("received"))) {
        struct bytes text;
        if (!take_text(value, &text))
            return REJECT_WRONG_TYPE;
        return timestamp_parse(text, &out->received_us) ? REJECT_NONE : REJECT_BAD_TIME;
    }
    if (bytes_equal(name, BYTES("source")))
        return take_text(value, &out->source) ? REJECT_NONE : REJECT_WRONG_TYPE;
    if (bytes_equal(name, BYTES("frame")))
        return take_text(value, &out->frame) ? REJECT_NONE : REJECT_WRONG_TYPE;
    if (bytes_equal(name, BYTES("event")))
        return take_event(value, out);
    if (bytes_equal(name, BYTES("connection"))) {
        if (!yyjson_is_uint(value) || yyjson_get_uint(value) > UINT32_MAX)
            return REJECT_BAD_NUMBER;
        out->connection = (uint32_t)yyjson_get_uint(value);
    }
    return REJECT_NONE; /* other fields are for later versions */
}

static enum reject_reason take_object(yyjson_val *object, struct recording_line *out)
{
    if (!yyjson_is_obj(object))
        return REJECT_WRONG_TYPE;
    *out = (struct recording_line){.received_us = TIME_UNKNOWN};
    yyjson_obj_iter fields = yyjson_obj_iter_with(object);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&fields));) {
        struct bytes name = bytes_of(yyjson_get_str(key), yyjson_get_len(key));
        enum reject_reason reason = take_field(name, yyjson_obj_iter_get_val(key), out);
        if (reason != REJECT_NONE)
            return reason;
    }
    return out->event == RECORDING_FRAME && out->frame.at == NULL ? REJECT_MISSING_FIELD : REJECT_NONE;
}

enum reject_reason recording_line_parse(struct bytes line, struct arena *arena, struct recording_line *out)
{
    char *copy = arena_text(arena, line.length + YYJSON_PADDING_SIZE);
    if (!copy)
        return REJECT_NO_MEMORY;
    if (line.length)
        memcpy(copy, line.at, line.length);
    memset(copy + line.length, 0, YYJSON_PADDING_SIZE);
    /* A line has few values, so they fit the stack; what does not (a foreign object) goes to the heap. */
    char space[2048];
    yyjson_alc pool;
    yyjson_alc_pool_init(&pool, space, sizeof space);
    yyjson_read_err error;
    yyjson_doc *document = yyjson_read_opts(copy, line.length, YYJSON_READ_INSITU, &pool, &error);
    if (!document && error.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        document = yyjson_read_opts(copy, line.length, YYJSON_READ_INSITU, NULL, &error);
    if (!document && error.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        return REJECT_NO_MEMORY;
    if (!document)
        return bytes_is_utf8(line) ? REJECT_MALFORMED_JSON : REJECT_INVALID_UTF8;
    enum reject_reason reason = take_object(yyjson_doc_get_root(document), out);
    yyjson_doc_free(document);
    return reason;
}

void recording_line_write(struct buffer *out, const struct recording_line *line)
{
    assert(line->event < RECORDING_EVENT_COUNT);
    BUFFER_LITERAL(out, "{");
    if (line->received_us != TIME_UNKNOWN) {
        BUFFER_LITERAL(out, "\"received\":\"");
        timestamp_append(out, line->received_us);
        BUFFER_LITERAL(out, "\",");
    }
    if (line->source.length) {
        BUFFER_LITERAL(out, "\"source\":");
        buffer_json_string(out, line->source);
        BUFFER_LITERAL(out, ",");
    }
    if (line->connection) {
        BUFFER_LITERAL(out, "\"connection\":");
        buffer_json_int(out, line->connection);
        BUFFER_LITERAL(out, ",");
    }
    BUFFER_LITERAL(out, "\"event\":");
    buffer_json_string(out, event_names[line->event]);
    if (line->frame.at) {
        BUFFER_LITERAL(out, ",\"frame\":");
        buffer_json_string(out, line->frame);
    }
    BUFFER_LITERAL(out, "}\n");
}
