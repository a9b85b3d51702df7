/* The sparse index of a segment: for about each 64 KiB where it begins, and the latest time in it.  The active
 * segment's is kept in memory; a closed one's is a side file (NUMBER.index):
 *
 *     "DFX1", crc32c of all that follows, base offset, end offset, size of the segment, least and greatest time,
 *     count, count times (offset, position, greatest time); all little-endian, 64 bits but for the first two
 *
 * It is derived: one that is missing, torn or not of this very segment is made anew from the batches' headers, and a
 * reader that it sends to a place checks that the batch there is the one it wants. */
#include "bus/log_internal.h"

#include "base/crc32c.h"
#include "base/logging.h"
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>

enum { INDEX_NUMBERS = 6, ENTRY_NUMBERS = 3, INDEX_FRONT_BYTES = 8, INDEX_CAP_BYTES = 64 * 1024 * 1024 };
static const char index_magic[4] = {'D', 'F', 'X', '1'};

void log_index_release(struct log_index *index)
{
    free(index->entries);
    *index = (struct log_index){0};
}

void log_index_add(struct log_index *index, const struct batch_header *header, uint64_t position)
{
    struct log_index_entry *last = index->count > 0 ? &index->entries[index->count - 1] : NULL;
    if (last && position - last->position >= LOG_INDEX_SPACING_BYTES)
        last = NULL;
    if (!last && index->count == index->capacity) {
        size_t wanted = index->capacity ? index->capacity * 2 : 64;
        struct log_index_entry *grown = realloc(index->entries, wanted * sizeof *grown);
        if (grown) {
            index->entries = grown;
            index->capacity = wanted;
        } else { /* a sparser index is still one; without a first entry there is none */
            if (index->count == 0)
                return;
            last = &index->entries[index->count - 1];
        }
    }
    if (!last) {
        last = &index->entries[index->count++];
        *last = (struct log_index_entry){header->base_offset, position, INT64_MIN};
    }
    if (header->max_time_us > last->max_time_us)
        last->max_time_us = header->max_time_us;
}

const struct log_index_entry *log_index_find(const struct log_index *index, uint64_t offset)
{
    size_t low = 0, high = index->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (index->entries[middle].offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? &index->entries[low - 1] : NULL;
}

size_t log_index_find_time(const struct log_index *index, int64_t time_us)
{
    size_t i = 0;
    while (i < index->count && index->entries[i].max_time_us < time_us)
        i++;
    return i;
}

/* ---- the side file ---- */

static void put_number(struct buffer *out, uint64_t number)
{
    number = htole64(number);
    buffer_append(out, bytes_of((const char *)&number, sizeof number));
}

static uint64_t get_number(const char *at, size_t number)
{
    uint64_t value;
    memcpy(&value, at + number * sizeof value, sizeof value);
    return le64toh(value);
}

void log_index_save(const struct env *env, const char *directory, const struct log_segment *segment,
                    const struct log_index *index)
{
    struct buffer out;
    buffer_init(&out, INDEX_CAP_BYTES);
    buffer_append(&out, bytes_of("DFX1\0\0\0\0", INDEX_FRONT_BYTES));
    const uint64_t numbers[INDEX_NUMBERS] = {
        segment->base_offset,           segment->end_offset, segment->size_bytes, (uint64_t)segment->min_time_us,
        (uint64_t)segment->max_time_us, index->count};
    for (size_t i = 0; i < INDEX_NUMBERS; i++)
        put_number(&out, numbers[i]);
    for (size_t i = 0; i < index->count; i++) {
        put_number(&out, index->entries[i].offset);
        put_number(&out, index->entries[i].position);
        put_number(&out, (uint64_t)index->entries[i].max_time_us);
    }
    struct log_path path = log_index_path(directory, segment->base_offset);
    int file = out.failed ? -1 : env->open(env, path.text, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (file >= 0) {
        uint32_t crc = htole32(crc32c(0, bytes_skip(buffer_bytes(&out), INDEX_FRONT_BYTES)));
        memcpy(out.at + sizeof index_magic, &crc, sizeof crc);
        ssize_t written = env->pwrite(env, file, out.at, out.length, 0);
        if (written != (ssize_t)out.length)
            log_event(LOG_DEBUG, "log_index_not_saved", "%s: %s", path.text, written < 0 ? strerror(errno) : "short write");
        env->close(env, file);
    }
    buffer_release(&out);
}

/* Takes the numbers out of a checked side file; false if they are not those of the segment or make no sense. */
static bool index_take(struct bytes text, struct log_segment *segment, struct log_index *index)
{
    const char *numbers = text.at + INDEX_FRONT_BYTES, *entries = numbers + INDEX_NUMBERS * sizeof(uint64_t);
    uint64_t count = get_number(numbers, 5);
    if (get_number(numbers, 0) != segment->base_offset || get_number(numbers, 1) != segment->end_offset ||
        get_number(numbers, 2) != segment->size_bytes)
        return false;
    if (count > INDEX_CAP_BYTES || text.length != (size_t)(entries - text.at) + count * ENTRY_NUMBERS * sizeof(uint64_t))
        return false;
    index->entries = malloc((count ? count : 1) * sizeof *index->entries);
    if (!index->entries)
        return false;
    index->capacity = count ? count : 1;
    for (uint64_t i = 0; i < count; i++, entries += ENTRY_NUMBERS * sizeof(uint64_t)) {
        struct log_index_entry entry = {get_number(entries, 0), get_number(entries, 1), (int64_t)get_number(entries, 2)};
        bool in_order = i == 0 ? entry.position == 0 && entry.offset == segment->base_offset
                               : entry.position > index->entries[i - 1].position && entry.offset >= index->entries[i - 1].offset;
        if (!in_order || entry.position >= segment->size_bytes || entry.offset > segment->end_offset) {
            log_index_release(index);
            return false;
        }
        index->entries[index->count++] = entry;
    }
    segment->min_time_us = (int64_t)get_number(numbers, 3);
    segment->max_time_us = (int64_t)get_number(numbers, 4);
    segment->times_known = true;
    return true;
}

bool log_index_load(const struct env *env, const char *directory, struct log_segment *segment, struct log_index *index)
{
    *index = (struct log_index){0};
    int file = env->open(env, log_index_path(directory, segment->base_offset).text, O_RDONLY, 0);
    if (file < 0)
        return false;
    /* Entries lie LOG_INDEX_SPACING_BYTES apart, so that a longer file is not its index. */
    size_t most = INDEX_FRONT_BYTES + (INDEX_NUMBERS + ENTRY_NUMBERS * (segment->size_bytes / LOG_INDEX_SPACING_BYTES + 2)) * 8;
    struct log_window window;
    struct bytes text;
    log_window_init(&window, env, file);
    bool good = log_window_get(&window, 0, most, 0, UINT64_MAX, &text, NULL) == 0 &&
                text.length >= INDEX_FRONT_BYTES + INDEX_NUMBERS * sizeof(uint64_t) &&
                memcmp(text.at, index_magic, sizeof index_magic) == 0;
    if (good) {
        uint32_t crc;
        memcpy(&crc, text.at + sizeof index_magic, sizeof crc);
        good = le32toh(crc) == crc32c(0, bytes_skip(text, INDEX_FRONT_BYTES)) && index_take(text, segment, index);
    }
    log_window_release(&window);
    env->close(env, file);
    return good;
}

/* Reads the headers of a segment, one after the other. */
static int index_rebuild(const struct env *env, const char *path, struct log_segment *segment, struct log_index *index,
                         struct error *error)
{
    int file = env->open(env, path, O_RDONLY, 0);
    if (file < 0)
        return error_set_errno(error, errno, "cannot open %s", path);
    struct log_window window;
    log_window_init(&window, env, file);
    struct log_place place = {&window, 0, segment->size_bytes, segment->base_offset, LOG_READ_AHEAD_BYTES};
    segment->min_time_us = INT64_MAX;
    segment->max_time_us = INT64_MIN;
    enum log_found found;
    struct batch_header header;
    struct error cause = {{0}};
    while ((found = log_header_at(&place, &header, &cause)) == LOG_FOUND_BATCH) {
        log_index_add(index, &header, place.position);
        segment->min_time_us = header.min_time_us < segment->min_time_us ? header.min_time_us : segment->min_time_us;
        segment->max_time_us = header.max_time_us > segment->max_time_us ? header.max_time_us : segment->max_time_us;
        place.position += batch_stored_size(&header);
        place.expected_offset = batch_end_offset(&header);
    }
    log_window_release(&window);
    env->close(env, file);
    segment->times_known = true;
    if (found == LOG_FOUND_ERROR)
        return error_set(error, "%s: %s", path, cause.text);
    /* Damage: the batches behind it are not known to the index, so that their times must count as possible. */
    if (found != LOG_FOUND_END && index->count > 0)
        index->entries[index->count - 1].max_time_us = segment->max_time_us = INT64_MAX;
    return found == LOG_FOUND_END ? 1 : 0;
}

int log_index_get(const struct env *env, const char *directory, bool read_only, struct log_segment *segment,
                  struct log_index *index, struct error *error)
{
    if (log_index_load(env, directory, segment, index))
        return 0;
    *index = (struct log_index){0};
    int whole = index_rebuild(env, log_segment_path(directory, segment->base_offset).text, segment, index, error);
    if (whole < 0) {
        log_index_release(index);
        return -1;
    }
    if (whole && !read_only)
        log_index_save(env, directory, segment, index);
    return 0;
}
