/* Erasure: records replaced where they lie, a segment at a time.
 *
 *     active segment  --nothing to replace--> left alone
 *                     --something-----------> closed early (log_roll), then as a closed one
 *     closed segment  --nothing to replace--> left alone, nothing is written
 *                     --something-----------> NUMBER.log.erasing written whole and synced, index file removed, renamed over
 *                                             NUMBER.log, directory synced, index file made anew
 *
 * Invariants:
 *   - a crash leaves the old segment or the new one; what is half written has another name, and the next opening removes it;
 *   - batches keep their offsets, counts, times, positions and flags; those without a replacement are copied byte by byte;
 *   - the file and what is known of it change under the log's mutex, under which readers open it: one that has the old file open
 *     reads that to the end it knew (log_reader.c).
 *
 * A batch that cannot be read is copied as it is and counted: nobody else can read it either, but its text is still there. */
#include "bus/log_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>

enum {
    COPY_BYTES = 1024 * 1024,
    SKIP_AHEAD_BYTES = 4096, /* a header's worth, where large batches are skipped */
};

/* One segment on its way. */
struct rewrite {
    struct log *log;
    struct bus_erasure *erasure;
    struct log_segment segment; /* as it is */
    struct log_window window;   /* over its file */
    struct log_window copied;   /* over the same, for what is copied: the batch at work lies in the other */
    struct batch_records records;
    struct buffer values; /* of the batch at work: what takes the place of its records' */
    struct positions positions;
    struct batch_writer writer;
    struct batch_packer *packer; /* made when first needed */
    struct log_path path;        /* of the new file */
    int file;                    /* -1: all is the same so far */
    uint64_t position;           /* in the new file, or where it would be */
    struct buffer out;           /* gathered for it */
    struct log_index index;      /* of it */
    bool index_whole;
    uint64_t replaced, unreadable;
};

static void rewrite_init(struct rewrite *rewrite, struct log *log, struct bus_erasure *erasure)
{
    *rewrite = (struct rewrite){.log = log, .erasure = erasure, .file = -1, .index_whole = true};
    log_window_init(&rewrite->window, log->env, -1);
    log_window_init(&rewrite->copied, log->env, -1);
    batch_records_init(&rewrite->records);
    batch_writer_init(&rewrite->writer, NULL);
    buffer_init(&rewrite->values, 2 * (size_t)BATCH_CAP_BYTES);
    buffer_init(&rewrite->out, COPY_BYTES + 2 * (size_t)BATCH_CAP_BYTES);
}

static void rewrite_release(struct rewrite *rewrite)
{
    const struct env *env = rewrite->log->env;
    if (rewrite->file >= 0) { /* not put in place */
        env->close(env, rewrite->file);
        env->unlink(env, rewrite->path.text);
    }
    if (rewrite->window.file >= 0)
        env->close(env, rewrite->window.file);
    log_window_release(&rewrite->window);
    log_window_release(&rewrite->copied);
    batch_records_release(&rewrite->records);
    batch_writer_release(&rewrite->writer);
    batch_packer_destroy(rewrite->packer);
    positions_release(&rewrite->positions);
    buffer_release(&rewrite->values);
    buffer_release(&rewrite->out);
    log_index_release(&rewrite->index);
}

/* ---- the new file ---- */

static int out_flush(struct rewrite *rewrite, struct error *error)
{
    const struct env *env = rewrite->log->env;
    struct bytes left = buffer_bytes(&rewrite->out);
    if (rewrite->out.failed)
        return error_set(error, "out of memory to write %s", rewrite->path.text);
    while (left.length > 0) {
        ssize_t written = env->pwrite(env, rewrite->file, left.at, left.length, (off_t)(rewrite->position - left.length));
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return error_set_errno(error, written == 0 ? ENOSPC : errno, "cannot write %s", rewrite->path.text);
        left = bytes_skip(left, (size_t)written);
    }
    buffer_reset(&rewrite->out);
    return 0;
}

static int out_put(struct rewrite *rewrite, struct bytes text, struct error *error)
{
    rewrite->position += text.length;
    if (rewrite->file < 0)
        return 0;
    buffer_append(&rewrite->out, text);
    return rewrite->out.failed || rewrite->out.length >= COPY_BYTES ? out_flush(rewrite, error) : 0;
}

/* Copies `size` bytes as they are. */
static int out_copy(struct rewrite *rewrite, uint64_t position, uint64_t size, struct error *error)
{
    if (rewrite->file < 0) {
        rewrite->position += size;
        return 0;
    }
    while (size > 0) {
        struct bytes text;
        size_t wanted = size < COPY_BYTES ? (size_t)size : COPY_BYTES;
        if (log_window_get(&rewrite->copied, position, wanted, COPY_BYTES, rewrite->segment.size_bytes, &text, error) < 0 ||
            (text.length > 0 && out_put(rewrite, text, error) < 0))
            return -1;
        if (text.length == 0)
            return error_set(error, "%s: the file ends before its last batch",
                             log_segment_path(rewrite->log->directory, rewrite->segment.base_offset).text);
        position += text.length;
        size -= text.length;
    }
    return 0;
}

/* The first replacement: what stands before it goes into the new file. */
static int out_begin(struct rewrite *rewrite, struct error *error)
{
    const struct env *env = rewrite->log->env;
    if (rewrite->file >= 0)
        return 0;
    uint64_t size = rewrite->position;
    rewrite->path = log_erasing_path(rewrite->log->directory, rewrite->segment.base_offset);
    rewrite->file = env->open(env, rewrite->path.text, O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (rewrite->file < 0)
        return error_set_errno(error, errno, "cannot create %s", rewrite->path.text);
    rewrite->position = 0;
    return out_copy(rewrite, 0, size, error);
}

/* Puts the new file in the old one's place. */
static int out_finish(struct rewrite *rewrite, struct error *error)
{
    struct log *log = rewrite->log;
    const struct env *env = log->env;
    struct log_path path = log_segment_path(log->directory, rewrite->segment.base_offset);
    if (out_flush(rewrite, error) < 0)
        return -1;
    if (env->sync(env, rewrite->file) < 0)
        return error_set_errno(error, errno, "cannot sync %s", rewrite->path.text);
    pthread_mutex_lock(&log->mutex);
    env->unlink(env, log_index_path(log->directory, rewrite->segment.base_offset).text);
    bool placed = env->rename(env, rewrite->path.text, path.text) == 0;
    if (placed) {
        struct log_segment *listed = &log->segments.at[log_segments_find(&log->segments, rewrite->segment.base_offset)];
        assert(listed->base_offset == rewrite->segment.base_offset); /* under `upkeep` none is removed */
        listed->size_bytes = rewrite->segment.size_bytes = rewrite->position;
        listed->generation++;
    }
    pthread_mutex_unlock(&log->mutex);
    if (!placed)
        return error_set_errno(error, errno, "cannot put %s in place", rewrite->path.text);
    env->close(env, rewrite->file);
    rewrite->file = -1;
    if (env->sync_directory(env, log->directory) < 0)
        return error_set_errno(error, errno, "cannot sync the directory %s", log->directory);
    if (rewrite->index_whole && rewrite->segment.times_known)
        log_index_save(env, log->directory, &rewrite->segment, &rewrite->index);
    return 0;
}

/* ---- batches ---- */

/* Asks about the batch's records and puts the answers into them.  The number of replacements, or -1. */
static int64_t batch_ask(struct rewrite *rewrite, struct error *error)
{
    struct bus_erasure *erasure = rewrite->erasure;
    int64_t replaced = 0;
    buffer_reset(&rewrite->values);
    for (size_t i = 0; i < rewrite->records.count; i++) {
        struct bus_record *record = &rewrite->records.at[i];
        struct bytes value;
        if (record->offset < erasure->from || record->offset >= erasure->to || !(erasure->topics >> record->topic & 1))
            continue;
        int answer = erasure->replace(erasure->context, record, &value, error);
        if (answer < 0)
            return -1;
        if (answer == 0)
            continue;
        record->value = bytes_of(NULL, value.length); /* found in `values` once that moves no more */
        buffer_append(&rewrite->values, value);
        replaced++;
    }
    if (rewrite->values.failed)
        return error_set(error, "out of memory to erase records");
    const char *at = rewrite->values.at;
    for (size_t i = 0; replaced > 0 && i < rewrite->records.count; i++)
        if (!rewrite->records.at[i].value.at) {
            rewrite->records.at[i].value.at = at;
            at += rewrite->records.at[i].value.length;
        }
    return replaced;
}

/* Writes the batch that batch_ask changed. */
static int batch_put(struct rewrite *rewrite, const struct batch_header *old, const char *body, struct error *error)
{
    rewrite->positions.count = 0;
    if (batch_positions_read(old, body, &rewrite->positions, error) < 0)
        return -1;
    if (old->flags & BATCH_PACKED && !rewrite->packer && !(rewrite->packer = batch_packer_create()))
        return error_set(error, "out of memory to pack a batch");
    rewrite->writer.packer = old->flags & BATCH_PACKED ? rewrite->packer : NULL;
    struct batch_content content = {.records = rewrite->records.at,
                                    .count = rewrite->records.count,
                                    .positions = rewrite->positions.at,
                                    .position_count = rewrite->positions.count,
                                    .base_offset = old->base_offset,
                                    .flags = old->flags & BATCH_AFTER_SYNC};
    struct batch_header made;
    struct buffer *batch = batch_write(&rewrite->writer, &content, &made, error);
    if (!batch)
        return -1;
    assert(batch_end_offset(&made) == batch_end_offset(old) && made.min_time_us == old->min_time_us &&
           made.topics == old->topics);
    return out_put(rewrite, buffer_bytes(batch), error);
}

/* Whether the batch may hold records to ask about. */
static bool batch_is_wanted(const struct rewrite *rewrite, const struct batch_header *header)
{
    const struct bus_erasure *erasure = rewrite->erasure;
    return header->topics & erasure->topics && batch_end_offset(header) > erasure->from && header->base_offset < erasure->to;
}

/* One batch to the new file.  With `look`: only asks.  The number of replacements, or -1. */
static int64_t batch_pass(struct rewrite *rewrite, const struct log_place *place, const struct batch_header *header, bool look,
                          struct error *error)
{
    const char *body = NULL;
    int64_t replaced = 0;
    struct error cause = {{0}};
    if (batch_is_wanted(rewrite, header)) {
        enum log_found found = log_body_at(place, header, &body, &cause);
        if (found == LOG_FOUND_ERROR)
            return error_set(error, "%s", cause.text);
        if (found != LOG_FOUND_BATCH)
            rewrite->unreadable++;
        else if (batch_records_read(header, body, BUS_ALL_TOPICS, 0, &rewrite->records, error) < 0)
            return -1;
        else
            replaced = batch_ask(rewrite, error);
    }
    if (look || replaced < 0)
        return replaced;
    log_index_add(&rewrite->index, header, rewrite->position);
    if (replaced == 0)
        return out_copy(rewrite, place->position, batch_stored_size(header), error);
    if (out_begin(rewrite, error) < 0 || batch_put(rewrite, header, body, error) < 0)
        return -1;
    return replaced;
}

/* The whole segment; with `look`: up to the first record to replace. */
static int segment_pass(struct rewrite *rewrite, bool look, struct error *error)
{
    const struct log_segment *segment = &rewrite->segment;
    struct log_place place = {&rewrite->window, 0, segment->size_bytes, segment->base_offset, LOG_READ_AHEAD_BYTES};
    for (;;) {
        struct batch_header header;
        struct error cause = {{0}};
        enum log_found found = log_header_at(&place, &header, &cause);
        if (found == LOG_FOUND_ERROR)
            return error_set(error, "%s", cause.text);
        if (found == LOG_FOUND_END)
            return 0;
        if (found != LOG_FOUND_BATCH) { /* nobody finds a batch behind it */
            rewrite->unreadable++;
            rewrite->index_whole = false;
            return look ? 0 : out_copy(rewrite, place.position, segment->size_bytes - place.position, error);
        }
        int64_t replaced = batch_pass(rewrite, &place, &header, look, error);
        if (replaced < 0)
            return -1;
        rewrite->replaced += (uint64_t)replaced;
        if (look && replaced > 0)
            return 0;
        uint64_t size = batch_stored_size(&header);
        bool skipped = !batch_is_wanted(rewrite, &header) && size > LOG_READ_AHEAD_BYTES;
        place.ahead = skipped ? SKIP_AHEAD_BYTES : LOG_READ_AHEAD_BYTES;
        place.position += size;
        place.expected_offset = batch_end_offset(&header);
    }
}

/* ---- steps ---- */

/* A copy of the segment that holds the next offset asked about; false: there is none. */
static bool segment_next(struct log *log, struct bus_erasure *erasure, struct log_segment *segment, bool *closed)
{
    pthread_mutex_lock(&log->mutex);
    bool found = erasure->from < erasure->to && erasure->from < log_end_offset(log);
    if (found) {
        size_t i = log_segments_find(&log->segments, erasure->from);
        *segment = log->segments.at[i];
        *closed = i + 1 < log->segments.count;
        if (erasure->from < segment->base_offset)
            erasure->from = segment->base_offset;
    }
    pthread_mutex_unlock(&log->mutex);
    return found && segment->base_offset < erasure->to;
}

/* Passes over the segment as it is now.  With `look`, whether there is something to replace; else replaces it. */
static int segment_rewrite(struct log *log, struct bus_erasure *erasure, const struct log_segment *segment, bool look,
                           bool *found, struct error *error)
{
    struct rewrite rewrite;
    struct log_path path = log_segment_path(log->directory, segment->base_offset);
    rewrite_init(&rewrite, log, erasure);
    rewrite.segment = *segment;
    rewrite.window.file = rewrite.copied.file = log->env->open(log->env, path.text, O_RDONLY, 0);
    int status = rewrite.window.file < 0 ? error_set_errno(error, errno, "cannot open %s", path.text) : 0;
    if (status == 0)
        status = segment_pass(&rewrite, look, error);
    if (status == 0 && rewrite.file >= 0)
        status = out_finish(&rewrite, error);
    *found = rewrite.replaced > 0;
    if (status == 0 && !(look && *found)) { /* the segment is done */
        erasure->replaced += rewrite.replaced;
        erasure->unreadable += rewrite.unreadable;
        erasure->from = segment->end_offset;
    }
    rewrite_release(&rewrite);
    return status;
}

/* Under `upkeep`. */
static int erase_step(struct log *log, struct bus_erasure *erasure, struct error *error)
{
    struct log_segment segment = {0};
    bool closed = false, found = false;
    if (!segment_next(log, erasure, &segment, &closed))
        return 0;
    if (!closed) {
        if (segment_rewrite(log, erasure, &segment, true, &found, error) < 0)
            return -1;
        if (found && log_roll(log, segment.base_offset, error) < 0)
            return -1;
        if (!found || !segment_next(log, erasure, &segment, &closed))
            return 0;
    }
    if (segment_rewrite(log, erasure, &segment, false, &found, error) < 0)
        return -1;
    return segment_next(log, erasure, &segment, &closed);
}

int log_erase(struct bus *bus, struct bus_erasure *erasure, struct error *error)
{
    struct log *log = (struct log *)bus;
    if (log->read_only)
        return error_set(error, "the log %s is open for reading only", log->directory);
    pthread_mutex_lock(&log->upkeep);
    int status = erase_step(log, erasure, error);
    pthread_mutex_unlock(&log->upkeep);
    return status;
}
