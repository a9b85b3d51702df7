/* The two parsers of events agree: where the fast one answers, the general one says the same; and what was read is written
 * as a line that reads and writes the same again. */
#include "event/event_internal.h"

#include <assert.h>

enum { TEXT_CAP = 8 << 20 };

static void write_line(const struct event *event, struct buffer *out)
{
    buffer_init(out, TEXT_CAP);
    event_write(event, out);
    assert(!out->failed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes json = bytes_of((const char *)data, size);
    struct arena arena;
    struct event fast, general, event, again;
    struct buffer first, second;
    arena_init(&arena, 16 << 20);
    if (event_scan(json, &fast)) {
        assert(event_parse_any(json, &arena, &general) == REJECT_NONE);
        write_line(&fast, &first);
        write_line(&general, &second);
        assert(bytes_equal(buffer_bytes(&first), buffer_bytes(&second)));
        assert(fast.timestamp_us == general.timestamp_us && fast.kind == general.kind);
        buffer_release(&first);
        buffer_release(&second);
    }
    if (event_parse(json, &arena, &event) == REJECT_NONE) {
        write_line(&event, &first);
        assert(event_parse(buffer_bytes(&first), &arena, &again) == REJECT_NONE);
        write_line(&again, &second);
        assert(bytes_equal(buffer_bytes(&first), buffer_bytes(&second)));
        buffer_release(&first);
        buffer_release(&second);
    }
    arena_release(&arena);
    return 0;
}
