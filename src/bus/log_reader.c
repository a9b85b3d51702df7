/* Readers: batches in order, from segment to segment.  A reader has a file of its own, so that retention may remove the
 * segment under it and erasure put another file in its place, and sees only what is acknowledged or checked: a batch that is not
 * whole there is damage.  Damage that hits nothing wanted is passed; otherwise the reader stays before it until it is told to
 * pass.  A file that cannot be read, and whole batches of another program's, are no damage: they may be readable another time. */
#include "bus/log_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

enum { SKIP_AHEAD_BYTES = 4096 }; /* a header's worth, where large batches are skipped */

struct log_reader {
    struct bus_reader reader;
    uint64_t next_offset; /* the first one wanted */
    unsigned topics;
    uint64_t segment_base; /* while file is open */
    uint32_t generation;   /* of the segment's file */
    bool removed;          /* retention took the segment: it is read to its end */
    struct log_window window;
    struct log_place place;
    struct batch_records records;
    bool damaged; /* the last call met damage: */
    struct bus_hole hole;
    uint64_t behind; /* where in the file the hole ends */
};

static struct log *log_of(struct log_reader *reader)
{
    return (struct log *)reader->reader.bus;
}

struct bus_reader *log_reader_open(struct bus *bus, uint64_t offset, unsigned topics, struct error *error)
{
    struct log_reader *reader = calloc(1, sizeof *reader);
    if (!reader) {
        error_set(error, "out of memory for a reader of the log");
        return NULL;
    }
    reader->next_offset = offset;
    reader->topics = topics;
    log_window_init(&reader->window, ((struct log *)bus)->env, -1);
    batch_records_init(&reader->records);
    return &reader->reader;
}

static void reader_leave(struct log_reader *reader)
{
    if (reader->window.file >= 0)
        reader->window.env->close(reader->window.env, reader->window.file);
    reader->window.file = -1;
    log_window_drop(&reader->window);
}

void log_reader_close(struct bus_reader *base)
{
    struct log_reader *reader = (struct log_reader *)base;
    reader_leave(reader);
    log_window_release(&reader->window);
    batch_records_release(&reader->records);
    free(reader);
}

static int reader_fail(struct log_reader *reader, const struct error *cause, struct error *error)
{
    return error_set(error, "%s, byte %" PRIu64 ": %s; `dataflow doctor` lists all damage",
                     log_segment_path(log_of(reader)->directory, reader->segment_base).text, reader->place.position, cause->text);
}

/* The reader's segment as it is listed now; false: it is gone. */
static bool reader_segment(struct log_reader *reader, struct log_segment *segment, bool *last, struct error *damage)
{
    struct log *log = log_of(reader);
    *segment = (struct log_segment){.base_offset = UINT64_MAX};
    *last = false;
    pthread_mutex_lock(&log->mutex);
    if (log->segments.count > 0) {
        size_t i = log_segments_find(&log->segments, reader->segment_base);
        *segment = log->segments.at[i];
        *last = i + 1 == log->segments.count;
    }
    if (*last)
        *damage = log->damage;
    pthread_mutex_unlock(&log->mutex);
    return segment->base_offset == reader->segment_base;
}

bool log_reader_pass_damage(struct bus_reader *base, struct bus_hole *hole)
{
    struct log_reader *reader = (struct log_reader *)base;
    if (!reader->damaged)
        return false;
    *hole = reader->hole;
    reader->damaged = false;
    reader->place.position = reader->behind;
    reader->place.expected_offset = reader->hole.to;
    if (reader->next_offset < reader->hole.to)
        reader->next_offset = reader->hole.to;
    return true;
}

/* No batch at the reader's place.  Finds where it can go on: at the next batch, or at the segment's end.  1: gone there, nothing
 * wanted is hit; -1: error. */
static int reader_meet_damage(struct log_reader *reader, const struct error *cause, struct error *error)
{
    struct log_segment segment;
    struct error unused, text;
    struct log_rest rest;
    bool last;
    if (!reader_segment(reader, &segment, &last, &unused) || segment.generation != reader->generation) {
        reader_leave(reader); /* retention or erasure was here: what is left is read afresh */
        return 1;
    }
    if (reader->place.limit < segment.size_bytes)
        reader->place.limit = segment.size_bytes;
    if (log_rest_find(&reader->place, &rest, error) < 0)
        return -1;
    bool follows = rest.has_follower && rest.follower.base_offset < segment.end_offset;
    reader->hole = (struct bus_hole){reader->place.expected_offset, follows ? rest.follower.base_offset : segment.end_offset};
    reader->behind = follows ? rest.follower_position : segment.size_bytes;
    reader->damaged = true;
    struct bus_hole passed;
    if (reader->hole.to <= reader->next_offset)
        return log_reader_pass_damage(&reader->reader, &passed);
    error_set(&text, "%.300s; offsets %" PRIu64 " to %" PRIu64 " cannot be read", cause->text, reader->hole.from,
              reader->hole.to - 1);
    return reader_fail(reader, &text, error);
}

/* Where to begin in the segment for the offset wanted, as the index has it; checked. */
static void reader_seek(struct log_reader *reader, const struct log_index *index)
{
    const struct log_index_entry *entry = log_index_find(index, reader->next_offset);
    if (!entry)
        return;
    struct log_place place = reader->place;
    place.position = entry->position;
    place.expected_offset = entry->offset;
    struct batch_header header;
    if (log_header_at(&place, &header, NULL) == LOG_FOUND_BATCH)
        reader->place = place;
}

/* Beside another process's writer: its erasure may have put another file in the place of a closed segment. */
static void reader_look_again(struct log_reader *reader, struct log_segment *segment)
{
    struct stat file;
    if (fstat(reader->window.file, &file) == 0 && (uint64_t)file.st_size != segment->size_bytes) {
        segment->size_bytes = (uint64_t)file.st_size;
        segment->generation++;
    }
}

/* Opens the file of the segment that holds the next offset.  1: done, *segment is a copy; 0: there is none yet. */
static int reader_open_file(struct log_reader *reader, struct log_segment *segment, bool *closed, struct error *error)
{
    struct log *log = log_of(reader);
    int status = log->read_only ? log_tail_refresh(log, error) : 0;
    if (status < 0 || log->segments.count == 0)
        return status;
    struct log_segment *listed = &log->segments.at[log_segments_find(&log->segments, reader->next_offset)];
    *closed = listed->base_offset != log_active(log)->base_offset;
    if (reader->next_offset < listed->base_offset)
        reader->next_offset = listed->base_offset;
    reader->window.file = log->env->open(log->env, log_segment_path(log->directory, listed->base_offset).text, O_RDONLY, 0);
    if (reader->window.file >= 0 && log->read_only && *closed)
        reader_look_again(reader, listed);
    *segment = *listed;
    reader->segment_base = segment->base_offset;
    reader->generation = segment->generation;
    reader->removed = false;
    reader->place = (struct log_place){&reader->window, 0, segment->size_bytes, segment->base_offset, LOG_READ_AHEAD_BYTES};
    if (reader->window.file < 0) {
        int number = errno;
        error_set_errno(error, number, "cannot open %s", log_segment_path(log->directory, segment->base_offset).text);
        errno = number;
        return -1;
    }
    if (!*closed && reader->next_offset > segment->base_offset)
        reader_seek(reader, &log->tail_index);
    return 1;
}

/* Goes to the segment and, by its index, near the batch.  1: done; 0: nothing yet. */
static int reader_enter(struct log_reader *reader, struct error *error)
{
    struct log *log = log_of(reader);
    struct log_segment segment;
    bool closed = false;
    int status;
    pthread_mutex_lock(&log->mutex);
    status = reader_open_file(reader, &segment, &closed, error);
    if (status < 0 && errno == ENOENT && log->read_only) /* another process's retention was faster */
        status = reader_open_file(reader, &segment, &closed, error);
    pthread_mutex_unlock(&log->mutex);
    if (status == 1 && closed && reader->next_offset > segment.base_offset) {
        struct log_index index;
        if (log_index_get(log->env, log->directory, log->read_only, &segment, &index, NULL) == 0) {
            reader_seek(reader, &index);
            log_index_release(&index);
        } /* without an index: from the segment's start */
    }
    return status;
}

/* At the end of what it knew of its segment.  1: there is more, here or in the next one; 0: nothing yet. */
static int reader_advance(struct log_reader *reader, struct error *error)
{
    struct log *log = log_of(reader);
    struct error damage = {{0}};
    struct log_segment segment;
    bool last;
    int status = 0;
    pthread_mutex_lock(&log->mutex);
    if (log->read_only && log->segments.count > 0 && reader->segment_base >= log_active(log)->base_offset)
        status = log_tail_refresh(log, error);
    pthread_mutex_unlock(&log->mutex);
    if (status < 0)
        return -1;
    if (!reader_segment(reader, &segment, &last, &damage)) {
        reader->removed = true;
        reader->place.limit = UINT64_MAX;
        return 1;
    }
    if (segment.generation != reader->generation) { /* what is left of it is read from the file that took its place */
        reader_leave(reader);
        return 1;
    }
    reader->place.limit = segment.size_bytes;
    if (segment.size_bytes > reader->place.position)
        return 1;
    if (last)
        return damage.text[0] ? error_set(error, "%s", damage.text) : 0;
    if (reader->place.expected_offset != segment.end_offset) {
        error_set(&damage, "the segment ends at offset %" PRIu64 ", and the next one begins at %" PRIu64 ": records are missing",
                  reader->place.expected_offset, segment.end_offset);
        return reader_meet_damage(reader, &damage, error);
    }
    reader_leave(reader);
    return 1;
}

/* Takes the batch at the reader's place or passes it.  1: *out is set; 0: passed. */
static int reader_take(struct log_reader *reader, const struct batch_header *header, struct bus_batch *out, struct error *error)
{
    struct error cause = {{0}};
    uint64_t end_offset = batch_end_offset(header);
    bool wanted = (header->topics & reader->topics) != 0 && header->max_time_us >= reader->reader.from_us &&
                  header->min_time_us <= reader->reader.to_us;
    bool passed = end_offset <= reader->next_offset;
    reader->records.count = 0;
    if (wanted && !passed) {
        const char *body;
        enum log_found found = log_body_at(&reader->place, header, &body, &cause);
        if (found == LOG_FOUND_DAMAGED)
            return reader_meet_damage(reader, &cause, error) < 0 ? -1 : 0;
        if (found != LOG_FOUND_BATCH ||
            batch_records_read(header, body, reader->topics, reader->next_offset, &reader->records, &cause) < 0)
            return reader_fail(reader, &cause, error);
    }
    uint64_t size = batch_stored_size(header);
    reader->place.ahead = !wanted && size > LOG_READ_AHEAD_BYTES ? SKIP_AHEAD_BYTES : LOG_READ_AHEAD_BYTES;
    reader->place.position += size;
    reader->place.expected_offset = end_offset;
    if (passed)
        return 0;
    reader->next_offset = end_offset;
    *out = (struct bus_batch){reader->records.at, reader->records.count, header->base_offset,
                              end_offset,         header->min_time_us,   header->max_time_us};
    return 1;
}

int log_reader_next(struct bus_reader *base, struct bus_batch *out, struct error *error)
{
    struct log_reader *reader = (struct log_reader *)base;
    reader->damaged = false;
    for (;;) {
        int status = 1;
        if (reader->window.file < 0)
            status = reader_enter(reader, error);
        if (status == 1 && reader->place.position >= reader->place.limit)
            status = reader_advance(reader, error);
        if (status != 1)
            return status;
        if (reader->window.file < 0 || reader->place.position >= reader->place.limit)
            continue;
        struct batch_header header;
        struct error cause = {{0}};
        enum log_found found = log_header_at(&reader->place, &header, &cause);
        if (found == LOG_FOUND_END && reader->removed) {
            reader_leave(reader);
            continue;
        }
        if (found == LOG_FOUND_BLANK)
            error_set(&cause, "zeros where a batch must be");
        else if (found == LOG_FOUND_END)
            error_set(&cause, "the file ends here, %" PRIu64 " bytes are missing", reader->place.limit - reader->place.position);
        if (found == LOG_FOUND_ERROR || found == LOG_FOUND_FOREIGN)
            return reader_fail(reader, &cause, error);
        if (found != LOG_FOUND_BATCH) {
            if (reader_meet_damage(reader, &cause, error) < 0)
                return -1;
            continue;
        }
        status = reader_take(reader, &header, out, error);
        if (status != 0)
            return status;
    }
}
