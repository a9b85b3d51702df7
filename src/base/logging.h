/* Structured logs on standard error: readable on a terminal, JSON lines otherwise.  One line per cause: a
 * message with the same event name and text within a minute is counted and summed up, not repeated.  A line with
 * `"repeated":N` (a terminal says "N times more") stands for N messages besides itself, so that the sum over all lines
 * is the number of messages.
 * Texts may hold anything; control characters come out escaped.  Thread-safe.  Secrets are never passed in. */
#ifndef BASE_LOGGING_H
#define BASE_LOGGING_H

#include "base/bytes.h"
#include "base/env.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_FORMAT_AUTO, LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

void log_configure(enum log_level level, enum log_format format);

/* Takes the time from `env`: for tests. */
void log_use_env(const struct env *env);

/* `event` is a stable name for machines, such as "source_failed", that lives as long as the program; the text is for
 * people, and is cut at 1023 bytes.
 * log_event(LOG_WARNING, "source_failed", "binance: connection refused; next try in 2 s"). */
void log_event(enum log_level level, const char *event, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Prints the counts of repeats still held back; at the end of the program. */
void log_flush(void);

/* Lines by level since the start, for /metrics. */
uint64_t log_count(enum log_level level);

bool log_level_parse(struct bytes name, enum log_level *level);

#endif
