/* `anchor_us` is the wall-clock time that stands for the recording's first line; a line is due at
 * anchor + (received - first) / speed.  A line without a readable time is due with the one before it. */
#include "pipeline/file_feed.h"

#include "event/timestamp.h"
#include "source/recording.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

struct file_feed {
    struct file_feed_options options;
    struct file_feed_times times;
    struct lines lines;
    struct arena arena; /* of the line looked at last */
    int file;
    int64_t anchor_us;
    int64_t due_us; /* of the last line */
    struct bytes line;
    bool has_line; /* `line` waits to be due */
};

/* The line's time of receipt, TIME_UNKNOWN if it has none. */
static int64_t line_received_us(struct bytes line, struct arena *arena)
{
    struct recording_line parsed;
    arena_reset(arena);
    return recording_line_parse(line, arena, &parsed) == REJECT_NONE ? parsed.received_us : TIME_UNKNOWN;
}

/* The last line of a file, found from its end; in the arena. */
static struct bytes read_last_line(int file, struct arena *arena)
{
    struct stat info;
    if (fstat(file, &info) < 0 || info.st_size == 0)
        return BYTES_NONE;
    size_t size = info.st_size < FILE_FEED_LINE_MAX ? (size_t)info.st_size : FILE_FEED_LINE_MAX;
    char *text = arena_text(arena, size);
    if (!text || pread(file, text, size, info.st_size - (off_t)size) != (ssize_t)size)
        return BYTES_NONE;
    struct bytes tail = bytes_trim(bytes_of(text, size));
    const char *newline = memrchr(tail.at, '\n', tail.length);
    return newline ? bytes_skip(tail, (size_t)(newline - tail.at) + 1) : tail;
}

int file_feed_times(const char *path, struct file_feed_times *times, struct error *error)
{
    struct file_feed_options options = {.path = path, .timed = true};
    struct file_feed *feed = file_feed_open(&options, error);
    if (!feed)
        return -1;
    struct arena arena;
    arena_init(&arena, 2 * FILE_FEED_LINE_MAX);
    struct bytes last = read_last_line(feed->file, &arena);
    int64_t last_us = last.length > 0 ? line_received_us(last, &feed->arena) : TIME_UNKNOWN;
    arena_release(&arena);
    int result = 0;
    if (feed->times.first_us == TIME_UNKNOWN || last_us == TIME_UNKNOWN || last_us < feed->times.first_us)
        result = error_set(error, "%s: a recording that loops needs \"received\" times in its first and last lines", path);
    times->first_us = feed->times.first_us;
    times->length_us = result == 0 ? (last_us - feed->times.first_us) / 1000000 * 1000000 + 1000000 : 0;
    file_feed_close(feed);
    return result;
}

/* Loads the next line into feed->line. */
static enum file_feed_result file_feed_load(struct file_feed *feed, struct error *error)
{
    switch (lines_next(&feed->lines, &feed->line, error)) {
    case LINES_ERROR:
        return FILE_FEED_ERROR;
    case LINES_END:
        return FILE_FEED_END;
    default: /* an over-long line goes on as it is, cut: the source counts it as malformed */
        feed->has_line = true;
        return FILE_FEED_LINE;
    }
}

static int file_feed_start(struct file_feed *feed, struct error *error)
{
    enum file_feed_result first = file_feed_load(feed, error);
    if (first == FILE_FEED_ERROR)
        return -1;
    feed->times.first_us = first == FILE_FEED_LINE ? line_received_us(feed->line, &feed->arena) : TIME_UNKNOWN;
    feed->anchor_us = feed->options.now_us;
    feed->due_us = feed->options.now_us;
    if (!feed->options.loop)
        return 0;
    if (file_feed_times(feed->options.path, &feed->times, error) < 0)
        return -1;
    feed->anchor_us = feed->options.now_us / feed->times.length_us * feed->times.length_us;
    feed->due_us = feed->anchor_us;
    return 0;
}

struct file_feed *file_feed_open(const struct file_feed_options *options, struct error *error)
{
    struct file_feed *feed = calloc(1, sizeof *feed);
    if (!feed) {
        error_set(error, "out of memory");
        return NULL;
    }
    feed->options = *options;
    arena_init(&feed->arena, 4 * FILE_FEED_LINE_MAX);
    bool standard_input = bytes_equal(bytes_of_string(options->path), BYTES("-"));
    feed->file = standard_input ? dup(STDIN_FILENO) : open(options->path, O_RDONLY | O_CLOEXEC);
    if (feed->file < 0)
        error_set_errno(error, errno, "cannot read %s", options->path);
    if (feed->file < 0 || lines_init(&feed->lines, feed->file, FILE_FEED_LINE_MAX, error) < 0 ||
        (options->timed && file_feed_start(feed, error) < 0)) {
        file_feed_close(feed);
        return NULL;
    }
    return feed;
}

void file_feed_close(struct file_feed *feed)
{
    if (!feed)
        return;
    lines_release(&feed->lines);
    arena_release(&feed->arena);
    if (feed->file >= 0)
        close(feed->file);
    free(feed);
}

/* The next round of a loop begins at the file's start. */
static int file_feed_rewind(struct file_feed *feed, struct error *error)
{
    if (lseek(feed->file, 0, SEEK_SET) < 0)
        return error_set_errno(error, errno, "cannot rewind %s", feed->options.path);
    lines_release(&feed->lines);
    feed->anchor_us += feed->times.length_us;
    return lines_init(&feed->lines, feed->file, FILE_FEED_LINE_MAX, error);
}

/* Sets due_us for the line that was loaded. */
static void file_feed_schedule(struct file_feed *feed)
{
    int64_t received_us = line_received_us(feed->line, &feed->arena);
    if (received_us == TIME_UNKNOWN || feed->times.first_us == TIME_UNKNOWN)
        return;
    int64_t after_us = received_us - feed->times.first_us;
    if (feed->options.speed > 0 && !feed->options.loop)
        after_us = (int64_t)((double)after_us / feed->options.speed);
    int64_t due_us = feed->anchor_us + after_us;
    if (due_us > feed->due_us)
        feed->due_us = due_us;
}

enum file_feed_result file_feed_next(struct file_feed *feed, int64_t now_us, struct bytes *line, int64_t *due_us,
                                     struct error *error)
{
    bool untimed = !feed->options.timed;
    bool waits = !untimed && (feed->options.loop || feed->options.speed > 0);
    for (;;) {
        if (!feed->has_line) {
            enum file_feed_result loaded = file_feed_load(feed, error);
            if (loaded == FILE_FEED_END && feed->options.loop) {
                if (file_feed_rewind(feed, error) < 0)
                    return FILE_FEED_ERROR;
                continue;
            }
            if (loaded != FILE_FEED_LINE)
                return loaded;
        }
        if (waits)
            file_feed_schedule(feed);
        *due_us = waits ? feed->due_us : now_us;
        if (waits && feed->due_us > now_us)
            return FILE_FEED_LATER;
        feed->has_line = false;
        /* A loop that starts in the middle of a round: what came before now is not played. */
        if (feed->options.loop && feed->due_us < feed->options.now_us)
            continue;
        *line = feed->line;
        return FILE_FEED_LINE;
    }
}
