/* Reads all of a log for `dataflow doctor`: every checksum, every record, every seam.  Changes nothing, and may run beside
 * a writer: an unfinished append at the end of the last segment is no damage. */
#include "bus/log_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>

struct verify {
    const struct env *env;
    const char *directory;
    void (*report)(void *context, const char *text);
    void *context;
    struct bus_info *info;
    struct batch_records records;
    struct positions positions;
    int damages;
};

static void verify_report(struct verify *verify, uint64_t base_offset, uint64_t position, const char *cause, uint64_t from,
                          uint64_t to)
{
    struct error text;
    verify->damages++;
    error_set(&text,
              "%s, byte %" PRIu64 ": %.200s; offsets %" PRIu64 " to %" PRIu64
              " are hit: restore the file from a copy, or read on behind them",
              log_segment_path(verify->directory, base_offset).text, position, cause, from, to - (to > from));
    verify->report(verify->context, text.text);
}

/* A whole batch: what its checksums cannot say. */
static void verify_batch(struct verify *verify, const struct log_segment *segment, uint64_t position,
                         const struct batch_header *header, const char *body)
{
    struct error cause = {{0}};
    if (batch_positions_read(header, body, &verify->positions, &cause) < 0 ||
        batch_records_read(header, body, BUS_ALL_TOPICS, 0, &verify->records, &cause) < 0)
        verify_report(verify, segment->base_offset, position, cause.text, header->base_offset, batch_end_offset(header));
    verify->info->batches_appended++;
    verify->info->records_appended += header->record_count;
}

/* No batch at this place.  Moves the place behind the damage; false: nothing follows. */
static bool verify_pass_damage(struct verify *verify, const struct log_segment *segment, bool closed, struct log_place *place,
                               enum log_found found, const struct error *cause)
{
    struct log_rest rest;
    if (log_rest_read(place, &rest, NULL) < 0)
        return false;
    bool unfinished = !closed && !rest.has_follower && found != LOG_FOUND_FOREIGN;
    if (unfinished || rest.used_bytes == 0) {
        verify->info->cut_bytes += rest.used_bytes;
        return false;
    }
    uint64_t to = rest.has_follower ? rest.follower.base_offset : closed ? segment->end_offset : place->expected_offset;
    verify_report(verify, segment->base_offset, place->position,
                  found == LOG_FOUND_BLANK ? "zeros instead of a batch" : cause->text, place->expected_offset, to);
    if (!rest.has_follower) {
        place->expected_offset = to;
        return false;
    }
    place->position = rest.follower_position;
    place->expected_offset = rest.follower.base_offset;
    return true;
}

static void verify_batches(struct verify *verify, const struct log_segment *segment, bool closed, struct log_window *window)
{
    struct log_place place = {window, 0, UINT64_MAX, segment->base_offset, LOG_READ_AHEAD_BYTES};
    bool looked_again = false;
    for (;;) {
        struct batch_header header;
        const char *body;
        struct error cause = {{0}};
        enum log_found found = log_batch_at(&place, &header, &body, &cause);
        if (found == LOG_FOUND_END)
            break;
        if (found == LOG_FOUND_ERROR) {
            verify_report(verify, segment->base_offset, place.position, cause.text, place.expected_offset, segment->end_offset);
            return;
        }
        if (found == LOG_FOUND_BATCH) {
            verify_batch(verify, segment, place.position, &header, body);
            place.position += batch_stored_size(&header);
            place.expected_offset = batch_end_offset(&header);
            looked_again = false;
        } else if (!looked_again) { /* a running writer may have been in the middle of it */
            log_window_drop(window);
            looked_again = true;
        } else if (verify_pass_damage(verify, segment, closed, &place, found, &cause)) {
            looked_again = false;
        } else {
            break;
        }
    }
    if (closed && place.expected_offset != segment->end_offset)
        verify_report(verify, segment->base_offset, place.position, "the segment ends before the next one begins",
                      place.expected_offset, segment->end_offset);
    verify->info->end_offset = place.expected_offset;
    verify->info->size_bytes += place.position;
}

static void verify_segment(struct verify *verify, const struct log_segment *segment, bool closed)
{
    struct log_path path = log_segment_path(verify->directory, segment->base_offset);
    int file = verify->env->open(verify->env, path.text, O_RDONLY, 0);
    if (file < 0) {
        struct error cause;
        if (errno == ENOENT) /* retention of a running writer */
            return;
        error_set_errno(&cause, errno, "cannot open it");
        verify_report(verify, segment->base_offset, 0, cause.text, segment->base_offset, segment->end_offset);
        return;
    }
    struct log_window window;
    log_window_init(&window, verify->env, file);
    verify_batches(verify, segment, closed, &window);
    log_window_release(&window);
    verify->env->close(verify->env, file);
}

int bus_log_verify(const char *directory, const struct env *env, void (*report)(void *context, const char *text), void *context,
                   struct bus_info *info, struct error *error)
{
    struct bus_info unused;
    struct log_segments segments = {0};
    struct verify verify = {
        .env = env, .directory = directory, .report = report, .context = context, .info = info ? info : &unused};
    *verify.info = (struct bus_info){0};
    if (strlen(directory) > LOG_PATH_CAP - 64)
        return error_set(error, "the log directory's name is too long");
    if (log_segments_list(directory, &segments, error) < 0) {
        free(segments.at);
        return -1;
    }
    batch_records_init(&verify.records);
    verify.info->segments = segments.count;
    verify.info->first_offset = segments.count > 0 ? segments.at[0].base_offset : 0;
    for (size_t i = 0; i < segments.count; i++)
        verify_segment(&verify, &segments.at[i], i + 1 < segments.count);
    batch_records_release(&verify.records);
    positions_release(&verify.positions);
    free(segments.at);
    return verify.damages;
}
