/* Reads a file of lines for a source, each when it is due: a recording by the times in it (as fast as recorded,
 * faster, or as fast as it can be taken), other files at once.  Recordings may loop: round k of a recording of
 * length L begins at the wall-clock time k * L, so that every instance and every restart is at the same place. */
#ifndef PIPELINE_FILE_FEED_H
#define PIPELINE_FILE_FEED_H

#include "base/error.h"
#include "base/lines.h"

enum { FILE_FEED_LINE_MAX = 1024 * 1024 };

struct file_feed_times {
    int64_t first_us;  /* received of the first line */
    int64_t length_us; /* of a round: from the first to the last line, up to the next whole second */
};

struct file_feed_options {
    const char *path; /* "-": standard input */
    bool timed;       /* a recording: lines carry their time */
    double speed;     /* of a recording; 1: as recorded; 0: as fast as it can be taken */
    bool loop;        /* at speed 1 */
    int64_t now_us;   /* wall clock at the start */
};

struct file_feed;

/* For a looping source's options.  Reads the first and the last line. */
int file_feed_times(const char *path, struct file_feed_times *times, struct error *error);

struct file_feed *file_feed_open(const struct file_feed_options *options, struct error *error);
void file_feed_close(struct file_feed *feed);

enum file_feed_result { FILE_FEED_ERROR = -1, FILE_FEED_END, FILE_FEED_LINE, FILE_FEED_LATER };

/* The next line if it is due at now_us: its text, valid until the next call, and the time at which it was due
 * (TIME_UNKNOWN: untimed).  FILE_FEED_LATER: *due_us says when. */
enum file_feed_result file_feed_next(struct file_feed *feed, int64_t now_us, struct bytes *line, int64_t *due_us,
                                     struct error *error);

#endif
