/* The embedded log from inside.  log_open.c tells how the pieces fit. */
#ifndef BUS_LOG_INTERNAL_H
#define BUS_LOG_INTERNAL_H

#include "bus/batch_internal.h"

enum {
    LOG_PATH_CAP = 4096,
    LOG_NAME_DIGITS = 20,
    LOG_READ_AHEAD_BYTES = 128 * 1024,
    LOG_INDEX_SPACING_BYTES = 64 * 1024,
    LOG_SEGMENT_BYTES = 64 * 1024 * 1024,
};

/* ---- names (log_files.c) ---- */

struct log_path {
    char text[LOG_PATH_CAP];
};
struct log_path log_segment_path(const char *directory, uint64_t base_offset);
struct log_path log_index_path(const char *directory, uint64_t base_offset);
/* A segment that erasure is writing anew: left behind by a crash, it is nothing. */
#define LOG_ERASING_SUFFIX ".erasing"
struct log_path log_erasing_path(const char *directory, uint64_t base_offset);

/* One segment.  The last of a log is the active one. */
struct log_segment {
    uint64_t base_offset;
    uint64_t end_offset; /* closed: the next one's base */
    uint64_t size_bytes; /* active: what is acknowledged (writer) or checked (read-only) */
    int64_t min_time_us, max_time_us;
    bool times_known;
    uint32_t generation; /* goes up when erasure puts another file in its place */
};

struct log_segments {
    struct log_segment *at;
    size_t count;
    size_t capacity;
};
int log_segments_reserve(struct log_segments *segments, struct error *error);
/* Lists the segments of a directory in order, with their file sizes. */
int log_segments_list(const char *directory, struct log_segments *segments, struct error *error);
/* The place of the segment that holds `offset`: the last one that begins at or before it; 0 if all begin later. */
size_t log_segments_find(const struct log_segments *segments, uint64_t offset);

/* ---- reading a file (log_files.c) ---- */

/* A part of a file in memory, moved forward by reads. */
struct log_window {
    const struct env *env;
    int file;
    char *at;
    size_t capacity;
    uint64_t start;
    size_t length;
};
void log_window_init(struct log_window *window, const struct env *env, int file);
void log_window_release(struct log_window *window); /* does not close the file */
/* Forgets what was read: the file may have changed. */
void log_window_drop(struct log_window *window);
/* `wanted` bytes from `position` on, or those that there are before the file's end or `limit`; reads up to `ahead` at a
 * time.  They stay until the next call.  -1: error. */
int log_window_get(struct log_window *window, uint64_t position, size_t wanted, size_t ahead, uint64_t limit, struct bytes *out,
                   struct error *error);

/* ---- finding batches (log_scan.c) ---- */

enum log_found {
    LOG_FOUND_ERROR = -1, /* could not read */
    LOG_FOUND_BATCH,
    LOG_FOUND_END,     /* nothing behind `position` */
    LOG_FOUND_BLANK,   /* zeros where a header should be: room made ahead, or a torn batch */
    LOG_FOUND_DAMAGED, /* something that is no whole batch; *error says what */
    LOG_FOUND_FOREIGN, /* whole, but beyond this program */
};

struct log_place {
    struct log_window *window;
    uint64_t position;
    uint64_t limit;           /* of the file; UINT64_MAX: its end */
    uint64_t expected_offset; /* the base offset that the batch must have */
    size_t ahead;
};
/* The header alone; the body is not looked at. */
enum log_found log_header_at(const struct log_place *place, struct batch_header *header, struct error *error);
/* The body of that header's batch, checked; valid until the window is used again. */
enum log_found log_body_at(const struct log_place *place, const struct batch_header *header, const char **body,
                           struct error *error);
/* Both. */
enum log_found log_batch_at(const struct log_place *place, struct batch_header *header, const char **body, struct error *error);

/* What stands behind a place where no batch is. */
struct log_rest {
    uint64_t used_bytes;        /* up to the last byte that is not zero */
    bool has_follower;          /* a later batch with a whole header, written when those before it were on the disk */
    uint64_t follower_position; /* in the file */
    struct batch_header follower;
};
int log_rest_read(const struct log_place *place, struct log_rest *rest, struct error *error);
/* In what is acknowledged: the next batch with a whole header behind a damaged place; any will do, synced before it or not.
 * Leaves used_bytes alone.  -1: could not read. */
int log_rest_find(const struct log_place *place, struct log_rest *rest, struct error *error);

/* ---- sparse index (log_index.c) ---- */

/* All batches up to the next entry begin at or behind `position`, and none of their times is after max_time_us. */
struct log_index_entry {
    uint64_t offset;
    uint64_t position;
    int64_t max_time_us;
};
struct log_index {
    struct log_index_entry *entries;
    size_t count;
    size_t capacity;
};
void log_index_release(struct log_index *index);
void log_index_add(struct log_index *index, const struct batch_header *header, uint64_t position);
/* The last entry at or before `offset`; NULL: go from the segment's start. */
const struct log_index_entry *log_index_find(const struct log_index *index, uint64_t offset);
/* The first entry with a time at or after `time_us`; index->count: none has. */
size_t log_index_find_time(const struct log_index *index, int64_t time_us);
/* The side file.  Derived: failing to write it is no error, and what does not fit its segment is not read. */
void log_index_save(const struct env *env, const char *directory, const struct log_segment *segment,
                    const struct log_index *index);
bool log_index_load(const struct env *env, const char *directory, struct log_segment *segment, struct log_index *index);
/* From the side file, or from the headers of the segment (then saved, unless read_only).  Sets the segment's times. */
int log_index_get(const struct env *env, const char *directory, bool read_only, struct log_segment *segment,
                  struct log_index *index, struct error *error);

/* ---- the log ---- */

struct log {
    struct bus bus;
    const struct env *env;
    char *directory;
    bool read_only;
    enum bus_sync sync;
    uint64_t segment_bytes, known_end;
    int lock_file; /* -1: read-only */

    /* Taken in this order.  upkeep: one truncation or step of an erasure at a time; appending: one append or roll. */
    pthread_mutex_t upkeep, appending;
    pthread_mutex_t mutex; /* guards what follows, up to the next line */
    struct log_segments segments;
    struct log_index tail_index; /* of the last segment */
    struct positions positions;
    struct bus_info info; /* what is counted; offsets and sizes are in segments */
    struct error damage;  /* read-only: behind the last segment's checked part; text[0] == 0: none */

    /* ---- only for who holds `appending` (writer), or under the mutex (read-only) */
    int file;                 /* the active segment; -1: none yet */
    uint64_t allocated_bytes; /* its length with the zeros behind */
    bool dirty;               /* something in it is not on the disk */
    int64_t synced_at_us;
    struct error broken; /* why nothing can be appended any more; text[0] == 0: it can */
    struct batch_writer writer;
    struct log_window tail; /* read-only: over `file` */
};

static inline struct log_segment *log_active(struct log *log)
{
    return log->segments.count > 0 ? &log->segments.at[log->segments.count - 1] : NULL;
}

static inline uint64_t log_end_offset(struct log *log)
{
    return log->segments.count > 0 ? log_active(log)->end_offset : 0;
}

/* Lists and checks the tail: afterwards the last segment has its true end, `file` is open on it, and positions and
 * tail_index are complete.  A writer's log is cut behind it. (log_tail.c) */
int log_tail_load(struct log *log, struct error *error);
/* Read-only: looks for what the writer has added.  Under the mutex. */
int log_tail_refresh(struct log *log, struct error *error);
/* Takes a checked batch at the end of the active segment into segments, index and positions. */
int log_tail_accept(struct log *log, const struct batch_header *header, const char *body, struct error *error);

int log_append(struct bus *bus, struct bus_record *records, size_t count, const struct bus_position *position,
               struct error *error);
int log_finish(struct log *log, struct error *error); /* of the writer: trims and syncs the active segment */
/* Closes the active segment if it is the one that begins at base_offset, by beginning the next one. */
int log_roll(struct log *log, uint64_t base_offset, struct error *error);

struct bus_reader *log_reader_open(struct bus *bus, uint64_t offset, unsigned topics, struct error *error);
int log_reader_next(struct bus_reader *reader, struct bus_batch *batch, struct error *error);
bool log_reader_pass_damage(struct bus_reader *reader, struct bus_hole *hole);
void log_reader_close(struct bus_reader *reader);

int log_offset_at(struct bus *bus, int64_t time_us, uint64_t *offset, struct error *error);
int log_truncate(struct bus *bus, const struct bus_retention *retention, int64_t now_us, struct error *error);
int log_erase(struct bus *bus, struct bus_erasure *erasure, struct error *error);

#endif
