/* The files of a log: their names, the list of them, and reading them forward through a window. */
#include "bus/log_internal.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>

enum { WINDOW_KEEP_BYTES = 4 * 1024 * 1024 }; /* what one large batch needed beyond it is given back */

static struct log_path path_make(const char *directory, uint64_t base_offset, const char *suffix)
{
    struct log_path path;
    int length = snprintf(path.text, sizeof path.text, "%s/%020" PRIu64 "%s", directory, base_offset, suffix);
    assert(length > 0 && (size_t)length < sizeof path.text); /* bus_log_open checked the directory's length */
    (void)length;
    return path;
}

struct log_path log_segment_path(const char *directory, uint64_t base_offset)
{
    return path_make(directory, base_offset, ".log");
}

struct log_path log_index_path(const char *directory, uint64_t base_offset)
{
    return path_make(directory, base_offset, ".index");
}

struct log_path log_erasing_path(const char *directory, uint64_t base_offset)
{
    return path_make(directory, base_offset, ".log" LOG_ERASING_SUFFIX);
}

int log_segments_reserve(struct log_segments *segments, struct error *error)
{
    if (segments->count < segments->capacity)
        return 0;
    size_t wanted = segments->capacity ? segments->capacity * 2 : 16;
    struct log_segment *grown = realloc(segments->at, wanted * sizeof *grown);
    if (!grown)
        return error_set(error, "out of memory for the list of segments");
    segments->at = grown;
    segments->capacity = wanted;
    return 0;
}

static int segment_compare(const void *a, const void *b)
{
    const struct log_segment *left = a, *right = b;
    return (left->base_offset > right->base_offset) - (left->base_offset < right->base_offset);
}

/* True if the file's name is that of a segment. */
static bool segment_name_parse(const char *text, uint64_t *base_offset)
{
    struct bytes name = bytes_of_string(text);
    return name.length == LOG_NAME_DIGITS + 4 && bytes_equal(bytes_skip(name, LOG_NAME_DIGITS), BYTES(".log")) &&
           bytes_to_u64(bytes_of(name.at, LOG_NAME_DIGITS), base_offset);
}

int log_segments_list(const char *directory, struct log_segments *segments, struct error *error)
{
    segments->count = 0;
    DIR *listing = opendir(directory);
    if (!listing)
        return error_set_errno(error, errno, "cannot read the log directory %s", directory);
    int status = 0;
    for (struct dirent *entry; status == 0 && (entry = readdir(listing));) {
        struct log_segment segment = {0};
        struct stat file;
        if (!segment_name_parse(entry->d_name, &segment.base_offset))
            continue;
        if (stat(log_segment_path(directory, segment.base_offset).text, &file) < 0) {
            if (errno != ENOENT) /* retention was faster */
                status = error_set_errno(error, errno, "cannot look at %s/%s", directory, entry->d_name);
            continue;
        }
        segment.size_bytes = (uint64_t)file.st_size;
        status = log_segments_reserve(segments, error);
        if (status == 0)
            segments->at[segments->count++] = segment;
    }
    closedir(listing);
    if (segments->count > 0)
        qsort(segments->at, segments->count, sizeof *segments->at, segment_compare);
    for (size_t i = 0; i < segments->count; i++)
        segments->at[i].end_offset = segments->at[i + 1 < segments->count ? i + 1 : i].base_offset;
    return status;
}

size_t log_segments_find(const struct log_segments *segments, uint64_t offset)
{
    size_t low = 0, high = segments->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (segments->at[middle].base_offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? low - 1 : 0;
}

/* ---- window ---- */

void log_window_init(struct log_window *window, const struct env *env, int file)
{
    *window = (struct log_window){.env = env, .file = file};
}

void log_window_release(struct log_window *window)
{
    free(window->at);
    log_window_init(window, window->env, -1);
}

void log_window_drop(struct log_window *window)
{
    window->length = 0;
}

/* Gives the window `size` bytes of room with the kept ones at its front. */
static int window_make_room(struct log_window *window, size_t size, size_t skip, struct error *error)
{
    size_t kept = window->length - skip;
    bool oversized = window->capacity > WINDOW_KEEP_BYTES && size < WINDOW_KEEP_BYTES / 4;
    if (size <= window->capacity && !oversized) {
        if (skip > 0 && kept > 0)
            memmove(window->at, window->at + skip, kept);
    } else {
        char *room = malloc(size);
        if (!room)
            return error_set(error, "out of memory to read %zu bytes of the log", size);
        if (kept > 0)
            memcpy(room, window->at + skip, kept);
        free(window->at);
        window->at = room;
        window->capacity = size;
    }
    window->start += skip;
    window->length = kept;
    return 0;
}

int log_window_get(struct log_window *window, uint64_t position, size_t wanted, size_t ahead, uint64_t limit, struct bytes *out,
                   struct error *error)
{
    uint64_t end = window->start + window->length;
    if (position < window->start || position > end) {
        window->start = end = position;
        window->length = 0;
    }
    size_t skip = (size_t)(position - window->start);
    if (wanted > limit - position)
        wanted = (size_t)(limit - position);
    if (wanted <= end - position) {
        *out = bytes_of(window->at + skip, wanted);
        return 0;
    }
    size_t target = wanted > ahead ? wanted : ahead;
    if (target > limit - position)
        target = (size_t)(limit - position);
    if (window_make_room(window, target, skip, error) < 0)
        return -1;
    while (window->length < wanted) {
        ssize_t got = window->env->pread(window->env, window->file, window->at + window->length, target - window->length,
                                         (off_t)(position + window->length));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_errno(error, errno, "cannot read");
        if (got == 0)
            break;
        window->length += (size_t)got;
    }
    *out = bytes_of(window->at, wanted < window->length ? wanted : window->length);
    return 0;
}
