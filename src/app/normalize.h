/* Raw frames to events, without network: the work of `dataflow normalize`, and of its benchmark. */
#ifndef APP_NORMALIZE_H
#define APP_NORMALIZE_H

#include "source/source.h"

/* Longest line taken. */
enum { NORMALIZE_LINE_CAP = 1 << 20 };

struct normalize_options {
    struct source *source; /* fresh; stays the caller's */
    int out;               /* file descriptors */
    int rejects;           /* -1: none.  Gets {"line":12,"reason":"…","received":"…","frame":"…"} for each refused line */
    /* Called for each refused line, for messages; may be NULL.  name: of the file. */
    void (*refused)(void *context, const char *name, uint64_t line, enum reject_reason reason);
    /* Called now and then with the number of lines read; false ends the work.  May be NULL. */
    bool (*go_on)(void *context, uint64_t lines);
    void *context;
};

/* lines = blank + aside + frames of the source + refused before it; the rest is in the source's statistics. */
struct normalize_counts {
    uint64_t lines;
    uint64_t blank;
    uint64_t aside;   /* lines of a recording that are not frames, or another source's */
    uint64_t refused; /* all refused lines: before the source and by it */
    uint64_t refused_by[REJECT_REASON_COUNT];
};

enum normalize_result { NORMALIZE_DONE, NORMALIZE_FAILED, NORMALIZE_STOPPED, NORMALIZE_READER_GONE };

struct normalize;

struct normalize *normalize_create(const struct normalize_options *options, struct error *error); /* NULL: out of memory */
void normalize_destroy(struct normalize *normalize);

/* Reads lines to the end of `file` and writes their events.  Several files are one stream. */
enum normalize_result normalize_file(struct normalize *normalize, int file, const char *name, struct error *error);

/* After the last file: closes the source, and writes what it still held (a line that had no end). */
enum normalize_result normalize_end(struct normalize *normalize, struct error *error);

const struct normalize_counts *normalize_counts(const struct normalize *normalize);

#endif
