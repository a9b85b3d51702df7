/* Lines of recordings: whatever is accepted is written and read back as the same. */
#include "source/recording.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct buffer text;
    struct recording_line line, again;
    arena_init(&arena, 16 << 20);
    buffer_init(&text, 16 << 20);
    struct bytes input = bytes_of((const char *)data, size);
    if (recording_line_parse(input, &arena, &line) == REJECT_NONE) {
        recording_line_write(&text, &line);
        assert(!text.failed);
        bool timed = line.received_us == TIME_UNKNOWN || (line.received_us >= TIME_MIN && line.received_us <= TIME_MAX);
        assert(timed);
        enum reject_reason reason = recording_line_parse(bytes_of(text.at, text.length - 1), &arena, &again);
        assert(reason == REJECT_NONE);
        assert(again.received_us == line.received_us && again.connection == line.connection && again.event == line.event);
        assert(bytes_equal(again.source, line.source) && bytes_equal(again.frame, line.frame));
        (void)timed, (void)reason;
    }
    buffer_release(&text);
    arena_release(&arena);
    return 0;
}
