/* Finding batches in a segment, and judging what stands where none is. */
#include "bus/log_internal.h"

#include "base/crc32c.h"
#include <inttypes.h>

enum { SEARCH_STEP_BYTES = 1024 * 1024 };

static bool all_zero(struct bytes text)
{
    return text.length == 0 || (text.at[0] == 0 && memcmp(text.at, text.at + 1, text.length - 1) == 0);
}

enum log_found log_header_at(const struct log_place *place, struct batch_header *header, struct error *error)
{
    struct bytes text;
    if (log_window_get(place->window, place->position, BATCH_HEADER_BYTES, place->ahead, place->limit, &text, error) < 0)
        return LOG_FOUND_ERROR;
    if (text.length == 0)
        return LOG_FOUND_END;
    if (all_zero(text))
        return LOG_FOUND_BLANK;
    if (text.length < BATCH_HEADER_BYTES) {
        error_set(error, "a batch's header is cut short");
        return LOG_FOUND_DAMAGED;
    }
    switch (batch_header_parse(text.at, header)) {
    case BATCH_HEADER_BROKEN:
        error_set(error, "a batch's header does not match its checksum");
        return LOG_FOUND_DAMAGED;
    case BATCH_HEADER_FOREIGN:
        error_set(error, "a batch's header is whole, but of another version or beyond the limits of this one: it was "
                         "written by another program");
        return LOG_FOUND_FOREIGN;
    case BATCH_HEADER_GOOD:
        break;
    }
    if (header->base_offset != place->expected_offset) {
        error_set(error, "a batch has offset %" PRIu64 " where %" PRIu64 " must follow", header->base_offset,
                  place->expected_offset);
        return LOG_FOUND_DAMAGED;
    }
    return LOG_FOUND_BATCH;
}

enum log_found log_body_at(const struct log_place *place, const struct batch_header *header, const char **body,
                           struct error *error)
{
    struct bytes text;
    if (log_window_get(place->window, place->position, (size_t)batch_stored_size(header), place->ahead, place->limit, &text,
                       error) < 0)
        return LOG_FOUND_ERROR;
    if (text.length < batch_stored_size(header)) {
        error_set(error, "the batch at offset %" PRIu64 " (%u records) is cut short: %zu of %" PRIu64 " bytes",
                  header->base_offset, header->record_count, text.length, batch_stored_size(header));
        return LOG_FOUND_DAMAGED;
    }
    text = bytes_skip(text, BATCH_HEADER_BYTES);
    if (crc32c(0, text) != header->body_crc) {
        error_set(error, "the batch at offset %" PRIu64 " (%u records) does not match its checksum", header->base_offset,
                  header->record_count);
        return LOG_FOUND_DAMAGED;
    }
    *body = text.at;
    return LOG_FOUND_BATCH;
}

enum log_found log_batch_at(const struct log_place *place, struct batch_header *header, const char **body, struct error *error)
{
    enum log_found found = log_header_at(place, header, error);
    return found == LOG_FOUND_BATCH ? log_body_at(place, header, body, error) : found;
}

/* Looks for the header of a follower that has the flags in `text`, which starts at `position`. */
static bool follower_in(struct bytes text, uint64_t position, uint64_t expected_offset, unsigned flags, struct log_rest *rest)
{
    struct bytes mark = batch_magic();
    while (text.length >= BATCH_HEADER_BYTES) {
        const char *found = memmem(text.at, text.length - BATCH_HEADER_BYTES + mark.length, mark.at, mark.length);
        if (!found)
            return false;
        struct batch_header header;
        if (batch_header_parse(found, &header) == BATCH_HEADER_GOOD && header.base_offset >= expected_offset &&
            (header.flags & flags) == flags) {
            rest->has_follower = true;
            rest->follower = header;
            rest->follower_position = position + (uint64_t)(found - text.at);
            return true;
        }
        size_t passed = (size_t)(found - text.at) + 1;
        position += passed;
        text = bytes_skip(text, passed);
    }
    return false;
}

int log_rest_read(const struct log_place *place, struct log_rest *rest, struct error *error)
{
    *rest = (struct log_rest){0};
    uint64_t position = place->position;
    for (;;) {
        struct bytes text;
        if (log_window_get(place->window, position, SEARCH_STEP_BYTES, SEARCH_STEP_BYTES, place->limit, &text, error) < 0)
            return -1;
        if (!all_zero(text)) {
            size_t used = text.length;
            while (text.at[used - 1] == 0)
                used--;
            rest->used_bytes = position - place->position + used;
            /* The damaged batch itself is none: the search starts behind its first byte. */
            size_t skip = position == place->position ? 1 : 0;
            if (!rest->has_follower)
                follower_in(bytes_skip(text, skip), position + skip, place->expected_offset, BATCH_AFTER_SYNC, rest);
        }
        if (text.length < SEARCH_STEP_BYTES)
            return 0;
        position += SEARCH_STEP_BYTES - (BATCH_HEADER_BYTES - 1); /* a header may lie across the step */
    }
}

int log_rest_find(const struct log_place *place, struct log_rest *rest, struct error *error)
{
    *rest = (struct log_rest){0};
    uint64_t position = place->position + 1; /* the damaged batch itself is none */
    while (position < place->limit) {
        struct bytes text;
        if (log_window_get(place->window, position, SEARCH_STEP_BYTES, SEARCH_STEP_BYTES, place->limit, &text, error) < 0)
            return -1;
        if (follower_in(text, position, place->expected_offset, 0, rest) || text.length < SEARCH_STEP_BYTES)
            return 0;
        position += SEARCH_STEP_BYTES - (BATCH_HEADER_BYTES - 1); /* a header may lie across the step */
    }
    return 0;
}
