/* `anchor_us` is the wall-clock time that stands for the recording's first line; a line is due at
 * anchor + (received - first) / speed.  A line without a readable time is due with the one before it. */
#include "pipeline/file_feed.h"

#include "event/timestamp.h"
#include "source/recording.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* How often input that does not come (a pipe) is looked for. */
#define INPUT_POLL_US 20000
/* A loop that is later than this goes on with what is due now. */
#define LOOP_BEHIND_US 10000000

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
    bool anchored; /* first_us and anchor_us are known */
    bool rewound;  /* no line was read since the loop began again */
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

/* Loads the next line into feed->line. */
static enum file_feed_result file_feed_load(struct file_feed *feed, struct error *error)
{
    switch (lines_next(&feed->lines, &feed->line, error)) {
    case LINES_ERROR:
        return FILE_FEED_ERROR;
    case LINES_END:
        return FILE_FEED_END;
    case LINES_WAIT:
        return FILE_FEED_LATER;
    default: /* an over-long line goes on as it is, cut: the source counts it as malformed */
        feed->has_line = true;
        return FILE_FEED_LINE;
    }
}

int file_feed_times(const char *path, struct file_feed_times *times, struct error *error)
{
    struct file_feed_options options = {.path = path, .timed = true};
    struct file_feed *feed = file_feed_open(&options, error);
    if (!feed)
        return -1;
    struct arena arena;
    arena_init(&arena, 2 * FILE_FEED_LINE_MAX);
    if (file_feed_load(feed, NULL) == FILE_FEED_LINE)
        feed->times.first_us = line_received_us(feed->line, &feed->arena);
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

/* Puts the recording on the wall clock, by its first line. */
static void file_feed_anchor(struct file_feed *feed)
{
    feed->times.first_us = line_received_us(feed->line, &feed->arena);
    feed->anchor_us = feed->options.now_us;
    feed->due_us = feed->options.now_us;
    feed->anchored = true;
}

static int file_feed_anchor_loop(struct file_feed *feed, struct error *error)
{
    if (file_feed_times(feed->options.path, &feed->times, error) < 0)
        return -1;
    feed->anchor_us = feed->options.now_us / feed->times.length_us * feed->times.length_us;
    feed->due_us = feed->anchor_us;
    feed->anchored = true;
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
        (options->loop && file_feed_anchor_loop(feed, error) < 0)) {
        file_feed_close(feed);
        return NULL;
    }
    feed->lines.poll_ms = 0;
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
    if (feed->rewound)
        return error_set(error, "%s has become empty", feed->options.path);
    if (lseek(feed->file, 0, SEEK_SET) < 0)
        return error_set_errno(error, errno, "cannot rewind %s", feed->options.path);
    lines_release(&feed->lines);
    feed->anchor_us += feed->times.length_us;
    feed->rewound = true;
    int result = lines_init(&feed->lines, feed->file, FILE_FEED_LINE_MAX, error);
    feed->lines.poll_ms = 0;
    return result;
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

/* Makes `line` the next one; a loop goes on at its start. */
static enum file_feed_result file_feed_advance(struct file_feed *feed, struct error *error)
{
    while (!feed->has_line) {
        enum file_feed_result loaded = file_feed_load(feed, error);
        if (loaded == FILE_FEED_END && feed->options.loop) {
            if (file_feed_rewind(feed, error) < 0)
                return FILE_FEED_ERROR;
        } else if (loaded != FILE_FEED_LINE) {
            return loaded;
        }
    }
    feed->rewound = false;
    if (!feed->anchored)
        file_feed_anchor(feed);
    return FILE_FEED_LINE;
}

enum file_feed_result file_feed_next(struct file_feed *feed, int64_t now_us, struct bytes *line, int64_t *due_us,
                                     struct error *error)
{
    struct file_feed_options *options = &feed->options;
    bool waits = options->timed && (options->loop || options->speed > 0);
    for (;;) {
        enum file_feed_result advanced = file_feed_advance(feed, error);
        if (advanced == FILE_FEED_LATER)
            *due_us = now_us + INPUT_POLL_US;
        if (advanced != FILE_FEED_LINE)
            return advanced;
        if (waits)
            file_feed_schedule(feed);
        *due_us = waits ? feed->due_us : now_us;
        if (waits && feed->due_us > now_us)
            return FILE_FEED_LATER;
        feed->has_line = false;
        /* A loop that starts in the middle of a round, or was held up for long: what came before now is not played. */
        if (options->loop && now_us - feed->due_us > LOOP_BEHIND_US)
            options->now_us = now_us;
        if (options->loop && feed->due_us < options->now_us)
            continue;
        *line = feed->line;
        return FILE_FEED_LINE;
    }
}
