/* One block, read into from the file.  Invariants: the unread part is block[begin, end); while `skipping`, it begins inside
 * an over-long line that was reported already; block_size exceeds line_cap by the two bytes of a line's end, so that a
 * full block without a newline is over-long for certain. */
#include "base/lines.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

int lines_init(struct lines *lines, int file, size_t line_cap, struct error *error)
{
    size_t block_size = line_cap + 2 > 256 * 1024 ? line_cap + 2 : 256 * 1024;
    *lines =
        (struct lines){.file = file, .line_cap = line_cap, .block_size = block_size, .poll_ms = -1, .block = malloc(block_size)};
    return lines->block ? 0 : error_set(error, "out of memory for a read buffer of %zu bytes", block_size);
}

void lines_release(struct lines *lines)
{
    free(lines->block);
    lines->block = NULL;
}

bool lines_buffered(const struct lines *lines)
{
    return memchr(lines->block + lines->begin, '\n', lines->end - lines->begin) != NULL;
}

/* Moves the unread part to the front and reads behind it. */
static enum lines_result lines_fill(struct lines *lines, struct error *error)
{
    struct pollfd input = {.fd = lines->file, .events = POLLIN};
    if (lines->poll_ms >= 0 && poll(&input, 1, lines->poll_ms) <= 0)
        return LINES_WAIT;
    if (lines->begin > 0) {
        memmove(lines->block, lines->block + lines->begin, lines->end - lines->begin);
        lines->end -= lines->begin;
        lines->begin = 0;
    }
    ssize_t got;
    do
        got = read(lines->file, lines->block + lines->end, lines->block_size - lines->end);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return (enum lines_result)error_set_errno(error, errno, "reading after line %llu", (unsigned long long)lines->number);
    lines->at_end = got == 0;
    lines->end += (size_t)got;
    return LINES_LINE;
}

/* Takes the line off the block.  A line that is too long is cut. */
static enum lines_result lines_take(struct lines *lines, size_t length, bool newline, struct bytes *line)
{
    *line = bytes_of(lines->block + lines->begin, length);
    lines->begin += length + newline;
    lines->number++;
    if (newline && length > 0 && line->at[length - 1] == '\r')
        line->length--;
    if (line->length <= lines->line_cap)
        return LINES_LINE;
    line->length = lines->line_cap;
    return LINES_TOO_LONG;
}

enum lines_result lines_next(struct lines *lines, struct bytes *line, struct error *error)
{
    size_t searched = 0; /* of the unread part: known to hold no newline */
    for (;;) {
        const char *start = lines->block + lines->begin;
        size_t have = lines->end - lines->begin;
        const char *newline = memchr(start + searched, '\n', have - searched);
        if (newline || (lines->at_end && have > 0)) {
            size_t length = newline ? (size_t)(newline - start) : have;
            if (!lines->skipping)
                return lines_take(lines, length, newline != NULL, line);
            lines->begin += length + (newline != NULL);
            lines->skipping = false;
            searched = 0;
            continue;
        }
        if (lines->at_end)
            return LINES_END;
        searched = have;
        if (have == lines->block_size) { /* a full block without an end: longer than the cap */
            bool first_part = !lines->skipping;
            lines->skipping = true;
            lines->begin = lines->end;
            searched = 0;
            if (first_part) {
                lines->number++;
                *line = bytes_of(lines->block, lines->line_cap);
                return LINES_TOO_LONG;
            }
        }
        enum lines_result filled = lines_fill(lines, error);
        if (filled != LINES_LINE)
            return filled;
    }
}
