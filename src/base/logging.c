/* Repeats: a small table remembers the last texts.  A line whose (event, text) is in it and younger than
 * REPEAT_WINDOW_US only adds to its count; when the window ends the next such line carries the count. */
#include "base/logging.h"

#include "base/buffer.h"
#include "base/env.h"
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { REPEAT_SLOTS = 64, TEXT_SIZE = 1024 };
#define REPEAT_WINDOW_US 60000000

struct repeat {
    const char *event;
    char text[TEXT_SIZE];
    enum log_level level;
    int64_t since_us;
    uint64_t held_back;
};

static struct {
    pthread_mutex_t lock;
    enum log_level level;
    enum log_format format;
    struct repeat repeats[REPEAT_SLOTS];
    uint64_t counts[LOG_DEBUG + 1];
} state = {.lock = PTHREAD_MUTEX_INITIALIZER, .level = LOG_INFO};

static const char *const level_names[] = {"error", "warning", "info", "debug"};

void log_configure(enum log_level level, enum log_format format)
{
    pthread_mutex_lock(&state.lock);
    state.level = level;
    state.format = format;
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

static bool wants_json(void)
{
    if (state.format == LOG_FORMAT_AUTO)
        return !isatty(STDERR_FILENO);
    return state.format == LOG_FORMAT_JSON;
}

static void print_line(enum log_level level, const char *event, const char *text, uint64_t repeated)
{
    char line[2 * TEXT_SIZE + 256];
    int64_t now_us = env_system()->now_us(env_system());
    time_t seconds = (time_t)(now_us / 1000000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    char stamp[32];
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &parts);
    struct buffer out;
    buffer_init(&out, 8 * TEXT_SIZE);
    if (wants_json()) {
        buffer_printf(&out, "{\"time\":\"%s.%06dZ\",\"level\":\"%s\",\"event\":\"%s\",\"message\":", stamp, (int)(now_us % 1000000),
                      level_names[level], event);
        buffer_json_string(&out, bytes_of_string(text));
        if (repeated > 0)
            buffer_printf(&out, ",\"repeated\":%llu", (unsigned long long)repeated);
        BUFFER_LITERAL(&out, "}\n");
        if (!out.failed)
            (void)!write(STDERR_FILENO, out.at, out.length);
    } else {
        char again[48] = "";
        if (repeated > 0)
            snprintf(again, sizeof again, " (and %llu times before)", (unsigned long long)repeated);
        int length = snprintf(line, sizeof line, "%.8s %-7s %s%s\n", stamp + 11, level_names[level], text, again);
        if (length > 0)
            (void)!write(STDERR_FILENO, line, (size_t)length < sizeof line ? (size_t)length : sizeof line - 1);
    }
    buffer_release(&out);
}

/* The slot that holds this line, or the oldest one, emptied for it. */
static struct repeat *find_repeat(const char *event, const char *text, bool *known)
{
    struct repeat *oldest = &state.repeats[0];
    for (size_t i = 0; i < REPEAT_SLOTS; i++) {
        struct repeat *slot = &state.repeats[i];
        if (slot->event && bytes_equal(bytes_of_string(slot->event), bytes_of_string(event)) &&
            bytes_equal(bytes_of_string(slot->text), bytes_of_string(text))) {
            *known = true;
            return slot;
        }
        if (slot->since_us < oldest->since_us)
            oldest = slot;
    }
    *known = false;
    if (oldest->held_back > 0)
        print_line(oldest->level, oldest->event, oldest->text, oldest->held_back);
    return oldest;
}

void log_event(enum log_level level, const char *event, const char *format, ...)
{
    char text[TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);

    int64_t now_us = env_system()->monotonic_us(env_system());
    pthread_mutex_lock(&state.lock);
    state.counts[level]++;
    if (level <= state.level) {
        bool known;
        struct repeat *slot = find_repeat(event, text, &known);
        if (known && now_us - slot->since_us < REPEAT_WINDOW_US) {
            slot->held_back++;
        } else {
            print_line(level, event, text, known ? slot->held_back : 0);
            slot->event = event;
            snprintf(slot->text, sizeof slot->text, "%s", text);
            slot->level = level;
            slot->since_us = now_us;
            slot->held_back = 0;
        }
    }
    pthread_mutex_unlock(&state.lock);
}

void log_flush(void)
{
    pthread_mutex_lock(&state.lock);
    for (size_t i = 0; i < REPEAT_SLOTS; i++) {
        struct repeat *slot = &state.repeats[i];
        if (slot->held_back > 0)
            print_line(slot->level, slot->event, slot->text, slot->held_back);
        slot->held_back = 0;
    }
    pthread_mutex_unlock(&state.lock);
}

uint64_t log_count(enum log_level level)
{
    pthread_mutex_lock(&state.lock);
    uint64_t count = state.counts[level];
    pthread_mutex_unlock(&state.lock);
    return count;
}
