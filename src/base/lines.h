/* Reads lines from a file descriptor in large blocks.  A line longer than the cap is skipped whole and
 * reported as such; a last line without a newline counts.  CR before LF is removed. */
#ifndef BASE_LINES_H
#define BASE_LINES_H

#include "base/bytes.h"
#include "base/error.h"

struct lines {
    int file;
    char *block;
    size_t block_size;
    size_t begin, end; /* unread part of the block */
    size_t line_cap;
    uint64_t number; /* of the line returned last, from 1 */
    int poll_ms;     /* the longest wait for input; then LINES_WAIT.  -1, as after lines_init: for ever */
    bool at_end;
    bool skipping; /* inside an over-long line */
};

enum lines_result { LINES_ERROR = -1, LINES_END = 0, LINES_LINE = 1, LINES_TOO_LONG = 2, LINES_WAIT = 3 };

/* line_cap: longest line accepted, in bytes without its end. */
int lines_init(struct lines *lines, int file, size_t line_cap, struct error *error);
void lines_release(struct lines *lines); /* does not close the file */

/* The line stays valid until the next call.  LINES_TOO_LONG: *line is its first line_cap bytes. */
enum lines_result lines_next(struct lines *lines, struct bytes *line, struct error *error);

/* Valid until more is read from the file: true if the next line is in memory already, so that lines
 * returned before stay valid.  Lets a caller batch lines without copying them. */
bool lines_buffered(const struct lines *lines);

#endif
