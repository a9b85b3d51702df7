/* The end of the log: what recovery does with it, and how a read-only log follows a running writer.
 *
 * Only the last segment can have an end that was not acknowledged, so only that one is read.  What stands behind its
 * last whole batch is judged once:
 *
 *     nothing, or zeros           room that the writer made ahead; cut
 *     no later batch behind it    the append that the crash interrupted; cut, with an account of it
 *     a later batch behind it     that batch was written when this one was on the disk (BATCH_AFTER_SYNC): damage to
 *                                 acknowledged records; refused, nothing is changed
 *
 * A last segment without a whole batch was being begun when the crash came; the one before it is the last then, and
 * must end where the begun one starts. */
#include "bus/log_internal.h"

#include "base/logging.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

int log_tail_accept(struct log *log, const struct batch_header *header, const char *body, struct error *error)
{
    struct log_segment *active = log_active(log);
    assert(header->base_offset == active->end_offset);
    if (header->positions_size > 0 && batch_positions_read(header, body, &log->positions, error) < 0)
        return -1;
    log_index_add(&log->tail_index, header, active->size_bytes);
    active->end_offset = batch_end_offset(header);
    active->size_bytes += batch_stored_size(header);
    if (header->min_time_us < active->min_time_us)
        active->min_time_us = header->min_time_us;
    if (header->max_time_us > active->max_time_us)
        active->max_time_us = header->max_time_us;
    return 0;
}

static struct log_place tail_place(struct log *log)
{
    const struct log_segment *active = log_active(log);
    return (struct log_place){&log->tail, active->size_bytes, UINT64_MAX, active->end_offset, LOG_READ_AHEAD_BYTES};
}

/* Makes the last of the listed segments the active one, of which nothing is known yet. */
static int tail_open(struct log *log, struct error *error)
{
    struct log_segment *active = log_active(log);
    struct log_path path = log_segment_path(log->directory, active->base_offset);
    if (log->file >= 0)
        log->env->close(log->env, log->file);
    log->file = log->env->open(log->env, path.text, log->read_only ? O_RDONLY : O_RDWR, 0);
    if (log->file < 0)
        return error_set_errno(error, errno, "cannot open %s", path.text);
    log_window_drop(&log->tail);
    log->tail.file = log->file;
    log->tail_index.count = 0;
    *active = (struct log_segment){.base_offset = active->base_offset,
                                   .end_offset = active->base_offset,
                                   .min_time_us = INT64_MAX,
                                   .max_time_us = INT64_MIN,
                                   .times_known = true};
    return 0;
}

/* Takes all whole batches from the checked end on.  Returns what ended them, with its cause. */
static enum log_found tail_scan(struct log *log, struct error *cause)
{
    for (;;) {
        struct log_place place = tail_place(log);
        struct batch_header header;
        const char *body;
        enum log_found found = log_batch_at(&place, &header, &body, cause);
        if (found != LOG_FOUND_BATCH)
            return found;
        if (log_tail_accept(log, &header, body, cause) < 0)
            return LOG_FOUND_FOREIGN;
    }
}

/* The account of damage that is no torn tail. */
static int tail_refuse(struct log *log, const struct error *cause, const struct log_rest *rest, struct error *error)
{
    const struct log_segment *active = log_active(log);
    struct log_path path = log_segment_path(log->directory, active->base_offset);
    if (!rest)
        return error_set(error, "%s, byte %" PRIu64 ": %s", path.text, active->size_bytes, cause->text);
    return error_set(error,
                     "%s is damaged at byte %" PRIu64 ": %s, but the batch at offset %" PRIu64 " follows whole at byte %" PRIu64
                     ", so acknowledged records from offset %" PRIu64 " on are hit.  Restore the file from a copy; to give "
                     "them and all later ones up: truncate -s %" PRIu64 " FILE",
                     path.text, active->size_bytes, cause->text, rest->follower.base_offset, rest->follower_position,
                     active->end_offset, active->size_bytes);
}

/* The account of a log that has lost its end: that was read before, so it was acknowledged. */
static int tail_refuse_short(struct log *log, struct error *error)
{
    uint64_t end = log_end_offset(log);
    return error_set(
        error,
        "%s ends at offset %" PRIu64 ", but was read up to %" PRIu64 ": %" PRIu64
        " acknowledged records are missing.  Nothing has been changed.  Restore the log's last files from a copy; to "
        "give these records up: `dataflow rebuild`, after which their offsets are given to new ones",
        log_segment_path(log->directory, log_active(log)->base_offset).text, end, log->known_end, log->known_end - end);
}

/* The writer's last step on the file it goes on with: cuts what is no batch, and makes sure that all that is claimed from
 * now on is on the disk (a killed writer may have left a whole batch that was never synced). */
static int tail_cut(struct log *log, enum log_found found, const struct error *cause, struct error *error)
{
    struct log_segment *active = log_active(log);
    struct log_path path = log_segment_path(log->directory, active->base_offset);
    struct log_place place = tail_place(log);
    struct log_rest rest = {0};
    if (found != LOG_FOUND_END) {
        if (log_rest_read(&place, &rest, error) < 0)
            return -1;
        if (rest.has_follower)
            return tail_refuse(log, cause, &rest, error);
        if (rest.used_bytes > 0)
            log_event(LOG_WARNING, "log_tail_cut",
                      "%s: %" PRIu64 " bytes of an unfinished append cut off behind offset %" PRIu64 " (byte %" PRIu64
                      "): %s; a crash leaves such an end, and then it was never acknowledged; a file that was cut or damaged "
                      "by something else may have lost acknowledged records there",
                      path.text, rest.used_bytes, active->end_offset, active->size_bytes,
                      found == LOG_FOUND_BLANK ? "a batch without its beginning" : cause->text);
        if (log->env->truncate(log->env, log->file, (off_t)active->size_bytes) < 0)
            return error_set_errno(error, errno, "cannot cut %s to %" PRIu64 " bytes", path.text, active->size_bytes);
        log->info.cut_bytes += rest.used_bytes;
    }
    log->allocated_bytes = active->size_bytes;
    if (log->env->sync(log->env, log->file) < 0 || log->env->sync_directory(log->env, log->directory) < 0)
        return error_set_errno(error, errno, "cannot sync %s", path.text);
    return 0;
}

/* Removes a segment that was begun and has no whole batch. */
static int begun_remove(struct log *log, uint64_t base_offset, uint64_t used_bytes, struct error *error)
{
    struct log_path path = log_segment_path(log->directory, base_offset);
    log_event(LOG_WARNING, "log_tail_cut",
              "%s: %" PRIu64 " bytes of an unfinished first append removed; the segment before it ends where it begins",
              path.text, used_bytes);
    if (log->env->unlink(log->env, path.text) < 0 || log->env->sync_directory(log->env, log->directory) < 0)
        return error_set_errno(error, errno, "cannot remove %s", path.text);
    log->info.cut_bytes += used_bytes;
    return 0;
}

/* Goes back from a last segment without a whole batch to the one before it. */
static enum log_found tail_step_back(struct log *log, struct error *cause, uint64_t *begun_base, uint64_t *begun_used)
{
    struct log_place place = tail_place(log);
    struct log_rest rest;
    struct error damage = *cause;
    if (log_rest_read(&place, &rest, cause) < 0)
        return LOG_FOUND_ERROR;
    if (rest.has_follower) {
        tail_refuse(log, &damage, &rest, cause);
        return LOG_FOUND_FOREIGN;
    }
    *begun_base = log_active(log)->base_offset;
    *begun_used = rest.used_bytes;
    log->segments.count--;
    if (tail_open(log, cause) < 0)
        return LOG_FOUND_ERROR;
    enum log_found found = tail_scan(log, cause);
    if (found == LOG_FOUND_ERROR || log_end_offset(log) == *begun_base)
        return found;
    damage = *cause;
    error_set(cause,
              "%s/%020" PRIu64 ".log has no whole batch, and the segment before it ends at offset %" PRIu64
              " (%s): records between are missing; restore both files from a copy",
              log->directory, *begun_base, log_end_offset(log), found == LOG_FOUND_END ? "whole" : damage.text);
    return LOG_FOUND_FOREIGN;
}

int log_tail_load(struct log *log, struct error *error)
{
    log->positions.count = 0;
    if (log_segments_list(log->directory, &log->segments, error) < 0)
        return -1;
    if (log->segments.count == 0)
        return 0;
    struct error cause = {{0}};
    if (tail_open(log, error) < 0)
        return -1;
    enum log_found found = tail_scan(log, &cause);
    uint64_t begun_base = 0, begun_used = 0;
    bool begun = log_active(log)->size_bytes == 0 && found != LOG_FOUND_ERROR && found != LOG_FOUND_FOREIGN;
    if (begun && log->segments.count > 1) {
        found = tail_step_back(log, &cause, &begun_base, &begun_used);
    } else if (begun && log_active(log)->base_offset > 0) {
        return error_set(error, "%s/%020" PRIu64 ".log has no whole batch, and no segment is before it: restore it from a copy",
                         log->directory, log_active(log)->base_offset);
    } else {
        begun = false;
    }
    if (found == LOG_FOUND_ERROR || (found == LOG_FOUND_FOREIGN && (begun || !log->read_only)))
        return tail_refuse(log, &cause, NULL, error);
    if (log->read_only)
        return 0; /* what is behind is looked at when somebody reads up to there */
    if (log_end_offset(log) < log->known_end)
        return tail_refuse_short(log, error);
    if (tail_cut(log, found, &cause, error) < 0)
        return -1;
    return begun ? begun_remove(log, begun_base, begun_used, error) : 0;
}

/* ---- following a writer ---- */

static bool file_exists(const struct log *log, uint64_t base_offset)
{
    return access(log_segment_path(log->directory, base_offset).text, F_OK) == 0;
}

/* True if the writer has begun the next segment: then all of this one was written before. */
static bool tail_is_closed(struct log *log)
{
    const struct log_segment *active = log_active(log);
    return active->end_offset > active->base_offset && file_exists(log, active->end_offset);
}

static int tail_advance(struct log *log, struct error *error)
{
    if (log_segments_reserve(&log->segments, error) < 0)
        return -1;
    log->segments.at[log->segments.count] = (struct log_segment){.base_offset = log_end_offset(log)};
    log->segments.count++;
    return tail_open(log, error);
}

/* Forgets segments that retention has removed. */
static void segments_forget_removed(struct log *log)
{
    size_t gone = 0;
    while (gone + 1 < log->segments.count && !file_exists(log, log->segments.at[gone].base_offset))
        gone++;
    log->segments.count -= gone;
    if (gone > 0)
        memmove(log->segments.at, log->segments.at + gone, log->segments.count * sizeof *log->segments.at);
}

/* Judges what stands at the checked end when it is no batch, seen afresh; `closed` as known before that look. */
static int tail_judge(struct log *log, enum log_found found, bool closed, const struct error *cause, struct error *error)
{
    struct log_rest rest = {0};
    if (found == LOG_FOUND_DAMAGED && !closed) {
        struct log_place place = tail_place(log);
        if (log_rest_read(&place, &rest, error) < 0)
            return -1;
        log_window_drop(&log->tail);
        struct error again;
        /* The batch may have become whole between the two looks. */
        if (!rest.has_follower || tail_scan(log, &again) != LOG_FOUND_DAMAGED)
            return 0;
    }
    if (found == LOG_FOUND_FOREIGN || closed || rest.has_follower)
        tail_refuse(log, cause, rest.has_follower ? &rest : NULL, &log->damage);
    return 0;
}

int log_tail_refresh(struct log *log, struct error *error)
{
    if (log->segments.count == 0 || !file_exists(log, log_active(log)->base_offset))
        if (log_tail_load(log, error) < 0)
            return -1;
    if (log->segments.count == 0)
        return 0;
    segments_forget_removed(log);
    log->damage.text[0] = 0;
    for (;;) {
        struct error cause = {{0}};
        bool closed = tail_is_closed(log); /* before the look: what it then sees is all there is */
        log_window_drop(&log->tail);
        uint64_t before = log_active(log)->size_bytes;
        enum log_found found = tail_scan(log, &cause);
        if (found == LOG_FOUND_ERROR)
            return tail_refuse(log, &cause, NULL, error);
        if (!closed && log_active(log)->size_bytes > before)
            continue; /* more was there: the next segment may be, too */
        if (!closed && (found == LOG_FOUND_END || found == LOG_FOUND_BLANK))
            return 0;
        if (!closed || (found != LOG_FOUND_END && found != LOG_FOUND_BLANK))
            return tail_judge(log, found, closed, &cause, error);
        if (tail_advance(log, error) < 0)
            return -1;
    }
}
