/* Progress of long work, on standard error and only on a terminal: one line, rewritten at most five times a second. */
#ifndef APP_PROGRESS_H
#define APP_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *label;
    const char *unit; /* "events" */
    uint64_t total;   /* 0: unknown */
    int64_t started_us, shown_us;
    bool on;
};

/* on: command_context.progress. */
void progress_start(struct progress *progress, bool on, const char *label, const char *unit, uint64_t total);
void progress_update(struct progress *progress, uint64_t done);
/* Wipes the line: what comes out is said by the command itself. */
void progress_end(struct progress *progress);

/* 1234567 -> "1,234,567"; for people, so only on terminals. */
const char *number_for_people(uint64_t value, char space[32]);
/* 1536 -> "1.5 KiB" */
const char *size_for_people(uint64_t bytes, char space[32]);

#endif
