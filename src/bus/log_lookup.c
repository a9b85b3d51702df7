/* Questions that the sparse index answers: where a time begins, and what is old enough to go. */
#include "bus/log_internal.h"

#include <errno.h>
#include <fcntl.h>

/* A copy of the first segment that begins at or after `base_offset`; false: none. */
static bool segment_from(struct log *log, uint64_t base_offset, struct log_segment *segment, bool *closed)
{
    size_t i = log_segments_find(&log->segments, base_offset);
    if (i < log->segments.count && log->segments.at[i].base_offset < base_offset)
        i++;
    if (i >= log->segments.count)
        return false;
    *segment = log->segments.at[i];
    *closed = i + 1 < log->segments.count;
    return true;
}

/* Keeps what was learnt about a closed segment, if it is still there. */
static void segment_remember(struct log *log, const struct log_segment *segment)
{
    pthread_mutex_lock(&log->mutex);
    struct log_segment *kept = &log->segments.at[log_segments_find(&log->segments, segment->base_offset)];
    if (kept->base_offset == segment->base_offset && !kept->times_known) {
        kept->min_time_us = segment->min_time_us;
        kept->max_time_us = segment->max_time_us;
        kept->times_known = true;
    }
    pthread_mutex_unlock(&log->mutex);
}

/* Goes from an index entry's batch to the first whose times reach `time_us`.  The entry's own offset is right as well,
 * only earlier: what cannot be read ends the search there. */
static uint64_t refine(struct log *log, const struct log_segment *segment, const struct log_index_entry *entry, int64_t time_us)
{
    int file = log->env->open(log->env, log_segment_path(log->directory, segment->base_offset).text, O_RDONLY, 0);
    if (file < 0)
        return entry->offset;
    struct log_window window;
    log_window_init(&window, log->env, file);
    struct log_place place = {&window, entry->position, segment->size_bytes, entry->offset, LOG_INDEX_SPACING_BYTES};
    struct batch_header header;
    while (log_header_at(&place, &header, NULL) == LOG_FOUND_BATCH && header.max_time_us < time_us) {
        place.position += batch_stored_size(&header);
        place.expected_offset = batch_end_offset(&header);
    }
    log_window_release(&window);
    log->env->close(log->env, file);
    return place.expected_offset;
}

/* The offset in a segment that has the time.  Without an index, the segment's start. */
static uint64_t offset_in(struct log *log, const struct log_segment *segment, const struct log_index *index, int64_t time_us)
{
    if (index->count == 0 || index->entries[0].position != 0)
        return segment->base_offset;
    size_t i = log_index_find_time(index, time_us);
    if (i == index->count)
        return segment->base_offset;
    uint64_t offset = refine(log, segment, &index->entries[i], time_us);
    return offset <= segment->end_offset ? offset : segment->base_offset; /* a damaged segment may claim more than it holds */
}

/* A copy: the appending thread goes on with its own. */
static int index_copy(const struct log_index *index, struct log_index *copy)
{
    *copy = (struct log_index){0};
    if (index->count == 0)
        return 0;
    copy->entries = malloc(index->count * sizeof *copy->entries);
    if (!copy->entries)
        return -1;
    memcpy(copy->entries, index->entries, index->count * sizeof *copy->entries);
    copy->count = copy->capacity = index->count;
    return 0;
}

int log_offset_at(struct bus *bus, int64_t time_us, uint64_t *offset, struct error *error)
{
    struct log *log = (struct log *)bus;
    struct log_segment segment = {0};
    bool closed = true;
    uint64_t from = 0;
    while (closed) {
        struct log_index index = {0};
        pthread_mutex_lock(&log->mutex);
        int status = log->read_only && from == 0 ? log_tail_refresh(log, error) : 0;
        bool found = status == 0 && segment_from(log, from, &segment, &closed);
        uint64_t end_offset = *offset = log_end_offset(log);
        if (found && !closed && index_copy(&log->tail_index, &index) < 0)
            status = error_set(error, "out of memory for an index");
        pthread_mutex_unlock(&log->mutex);
        if (status < 0 || !found)
            return status;
        bool reached = !segment.times_known || segment.max_time_us >= time_us;
        if (reached && closed) {
            *offset = segment.base_offset; /* always right, if early: what cannot be read is the reader's to report */
            if (log_index_get(log->env, log->directory, log->read_only, &segment, &index, NULL) < 0)
                return 0;
            segment_remember(log, &segment);
            reached = segment.max_time_us >= time_us;
        }
        *offset = end_offset;
        if (reached)
            *offset = offset_in(log, &segment, &index, time_us);
        log_index_release(&index);
        if (reached)
            return 0;
        from = segment.base_offset + 1;
    }
    return 0;
}

/* True if the oldest segment, which begins at *base_offset, may and should go. */
static int first_is_due(struct log *log, const struct bus_retention *retention, int64_t now_us, uint64_t *base_offset, bool *due,
                        struct error *error)
{
    struct log_segment first = {0};
    uint64_t total_bytes = 0;
    pthread_mutex_lock(&log->mutex);
    size_t count = log->segments.count;
    for (size_t i = 0; i < count; i++)
        total_bytes += log->segments.at[i].size_bytes;
    if (count > 0)
        first = log->segments.at[0];
    pthread_mutex_unlock(&log->mutex);
    *due = false;
    *base_offset = first.base_offset;
    if (count < 2 || first.end_offset > retention->keep_from)
        return 0;
    *due = retention->max_bytes > 0 && total_bytes > retention->max_bytes;
    if (*due || retention->max_age_us <= 0)
        return 0;
    if (!first.times_known) {
        struct log_index index;
        if (log_index_get(log->env, log->directory, log->read_only, &first, &index, error) < 0)
            return -1;
        log_index_release(&index);
        segment_remember(log, &first);
    }
    *due = first.max_time_us < now_us - retention->max_age_us;
    return 0;
}

/* Under `upkeep`. */
static int truncate_all(struct log *log, const struct bus_retention *retention, int64_t now_us, struct error *error)
{
    bool removed = false, due = true;
    int status = 0;
    while (status == 0 && due) {
        uint64_t base_offset = 0;
        status = first_is_due(log, retention, now_us, &base_offset, &due, error);
        if (status < 0 || !due)
            break;
        struct log_path path = log_segment_path(log->directory, base_offset);
        struct log_path index_path = log_index_path(log->directory, base_offset);
        pthread_mutex_lock(&log->appending); /* the list moves under the active segment */
        pthread_mutex_lock(&log->mutex);     /* so that no reader finds it listed and gone */
        bool gone = log->env->unlink(log->env, path.text) == 0 || errno == ENOENT;
        if (gone) {
            log->segments.count--;
            memmove(log->segments.at, log->segments.at + 1, log->segments.count * sizeof *log->segments.at);
        } else {
            status = error_set_errno(error, errno, "cannot remove %s", path.text);
        }
        pthread_mutex_unlock(&log->mutex);
        pthread_mutex_unlock(&log->appending);
        if (!gone)
            break;
        log->env->unlink(log->env, index_path.text);
        removed = true;
    }
    if (removed && log->env->sync_directory(log->env, log->directory) < 0 && status == 0)
        status = error_set_errno(error, errno, "cannot sync the directory %s", log->directory);
    return status;
}

int log_truncate(struct bus *bus, const struct bus_retention *retention, int64_t now_us, struct error *error)
{
    struct log *log = (struct log *)bus;
    if (log->read_only)
        return error_set(error, "the log %s is open for reading only", log->directory);
    pthread_mutex_lock(&log->upkeep);
    int status = truncate_all(log, retention, now_us, error);
    pthread_mutex_unlock(&log->upkeep);
    return status;
}
