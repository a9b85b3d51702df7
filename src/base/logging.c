/* Repeats: a small table remembers the last texts.  A line whose (event, text) is in it and younger than REPEAT_WINDOW_US
 * only adds to its count.  What was held back is said by the next line of any kind once the window is over, when the
 * place is needed for another text, or at the end of the program.
 *
 * Lines are made and written under the lock, so that they come out whole and in order, in memory of their own, so
 * that running out of memory can be logged. */
#include "base/logging.h"

#include "base/buffer.h"
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* A byte of text takes six at most: \u0001. */
enum { REPEAT_SLOTS = 64, TEXT_SIZE = 1024, LINE_SIZE = 6 * TEXT_SIZE + 512 };
#define REPEAT_WINDOW_US 60000000

struct repeat {
    const char *event; /* NULL: free */
    char text[TEXT_SIZE];
    enum log_level level;
    int64_t since_us; /* of the line printed last */
    uint64_t held_back;
};

static struct {
    pthread_mutex_t lock;
    enum log_level level;
    enum log_format format;
    const struct env *env; /* NULL: the system's */
    struct repeat repeats[REPEAT_SLOTS];
    uint64_t counts[LOG_DEBUG + 1];
    char line[LINE_SIZE];
} state = {.lock = PTHREAD_MUTEX_INITIALIZER, .level = LOG_INFO};

static const char *const level_names[] = {"error", "warning", "info", "debug"};

void log_configure(enum log_level level, enum log_format format)
{
    pthread_mutex_lock(&state.lock);
    state.level = level;
    state.format = format;
    pthread_mutex_unlock(&state.lock);
}

void log_use_env(const struct env *env)
{
    pthread_mutex_lock(&state.lock);
    state.env = env;
    pthread_mutex_unlock(&state.lock);
}

bool log_level_parse(struct bytes name, enum log_level *level)
{
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
        if (bytes_equal(name, bytes_of_string(level_names[i]))) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

/* ---- lines; the lock is held ---- */

static bool wants_json(void)
{
    if (state.format == LOG_FORMAT_AUTO)
        return !isatty(STDERR_FILENO);
    return state.format == LOG_FORMAT_JSON;
}

/* Text from outside must not steer the terminal: control characters, those of U+0080 to U+009F as well, are escaped, and
 * all but ASCII where the text is not UTF-8. */
static void append_printable(struct buffer *out, struct bytes text)
{
    bool utf8 = bytes_is_utf8(text);
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.at[i];
        bool second_block = utf8 && c == 0xC2 && (unsigned char)text.at[i + 1] < 0xA0;
        if (second_block)
            c = (unsigned char)text.at[++i];
        if (second_block || c < 0x20 || c == 0x7F || (c >= 0x80 && !utf8))
            buffer_printf(out, "\\x%02x", c);
        else
            buffer_byte(out, (char)c);
    }
}

static void append_text_line(struct buffer *out, const struct repeat *line, const char *stamp, uint64_t more)
{
    buffer_printf(out, "%.8s %-7s ", stamp + 11, level_names[line->level]);
    append_printable(out, bytes_of_string(line->text));
    if (more > 0)
        buffer_printf(out, " (%llu times more)", (unsigned long long)more);
    buffer_byte(out, '\n');
}

static void append_json_line(struct buffer *out, const struct repeat *line, const char *stamp, uint64_t more)
{
    buffer_printf(out, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\",\"message\":", stamp, level_names[line->level],
                  line->event);
    buffer_json_string(out, bytes_of_string(line->text));
    if (more > 0)
        buffer_printf(out, ",\"repeated\":%llu", (unsigned long long)more);
    BUFFER_LITERAL(out, "}\n");
}

static const struct env *clock_env(void)
{
    return state.env ? state.env : env_system();
}

static void format_now(char *stamp, size_t size)
{
    int64_t now_us = clock_env()->now_us(clock_env());
    time_t seconds = (time_t)(now_us / 1000000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    size_t length = strftime(stamp, size, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(stamp + length, size - length, ".%06dZ", (int)(now_us % 1000000));
}

/* Writes the line, which stands for `more` messages besides itself. */
static void print_line(const struct repeat *line, uint64_t more)
{
    char stamp[48];
    format_now(stamp, sizeof stamp);
    struct buffer out = {.at = state.line, .capacity = sizeof state.line, .cap = sizeof state.line};
    if (wants_json())
        append_json_line(&out, line, stamp, more);
    else
        append_text_line(&out, line, stamp, more);
    for (size_t done = 0; done < out.length;) {
        ssize_t wrote = write(STDERR_FILENO, out.at + done, out.length - done);
        if (wrote > 0)
            done += (size_t)wrote;
        else if (errno != EINTR)
            break; /* there is nowhere to tell it */
    }
}

/* ---- repeats; the lock is held ---- */

/* Says what was held back; the line stands for the last of it. */
static void print_held_back(struct repeat *slot, int64_t now_us)
{
    if (slot->held_back > 0) {
        print_line(slot, slot->held_back - 1);
        slot->held_back = 0;
        slot->since_us = now_us;
    }
}

static struct repeat *find_repeat(const char *event, const char *text)
{
    for (size_t i = 0; i < REPEAT_SLOTS; i++) {
        struct repeat *slot = &state.repeats[i];
        if (slot->event && bytes_equal(bytes_of_string(slot->event), bytes_of_string(event)) &&
            bytes_equal(bytes_of_string(slot->text), bytes_of_string(text)))
            return slot;
    }
    return NULL;
}

/* A free place, or that of the line printed the longest ago. */
static struct repeat *take_slot(int64_t now_us)
{
    struct repeat *oldest = &state.repeats[0];
    for (size_t i = 0; i < REPEAT_SLOTS && oldest->event; i++)
        if (!state.repeats[i].event || state.repeats[i].since_us < oldest->since_us)
            oldest = &state.repeats[i];
    print_held_back(oldest, now_us);
    return oldest;
}

static void log_text(enum log_level level, const char *event, const char *text, int64_t now_us)
{
    struct repeat *slot = find_repeat(event, text);
    if (slot && now_us - slot->since_us < REPEAT_WINDOW_US) {
        slot->held_back++;
        return;
    }
    if (!slot)
        slot = take_slot(now_us);
    uint64_t more = slot->held_back; /* 0 for a slot just taken */
    slot->event = event;
    snprintf(slot->text, sizeof slot->text, "%s", text);
    slot->level = level;
    slot->since_us = now_us;
    slot->held_back = 0;
    print_line(slot, more);
}

void log_event(enum log_level level, const char *event, const char *format, ...)
{
    char text[TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);

    pthread_mutex_lock(&state.lock);
    state.counts[level]++;
    if (level <= state.level) {
        int64_t now_us = clock_env()->monotonic_us(clock_env());
        log_text(level, event, text, now_us);
        for (size_t i = 0; i < REPEAT_SLOTS; i++)
            if (now_us - state.repeats[i].since_us >= REPEAT_WINDOW_US)
                print_held_back(&state.repeats[i], now_us);
    }
    pthread_mutex_unlock(&state.lock);
}

void log_flush(void)
{
    pthread_mutex_lock(&state.lock);
    int64_t now_us = clock_env()->monotonic_us(clock_env());
    for (size_t i = 0; i < REPEAT_SLOTS; i++)
        print_held_back(&state.repeats[i], now_us);
    pthread_mutex_unlock(&state.lock);
}

uint64_t log_count(enum log_level level)
{
    pthread_mutex_lock(&state.lock);
    uint64_t count = state.counts[level];
    pthread_mutex_unlock(&state.lock);
    return count;
}
