/* The progress line. */
#include "app/progress.h"

#include "base/env.h"
#include <inttypes.h>
#include <stdio.h>

#define SHOW_EVERY_US 200000

static int64_t now_us(void)
{
    return env_system()->monotonic_us(env_system());
}

void progress_start(struct progress *progress, bool on, const char *label, const char *unit, uint64_t total)
{
    *progress = (struct progress){.label = label, .unit = unit, .total = total, .on = on};
    if (on)
        progress->started_us = progress->shown_us = now_us();
}

void progress_update(struct progress *progress, uint64_t done)
{
    if (!progress->on)
        return;
    int64_t now = now_us();
    if (now - progress->shown_us < SHOW_EVERY_US)
        return;
    progress->shown_us = now;
    double seconds = (double)(now - progress->started_us) / 1e6;
    char number[32], rate[32];
    fprintf(stderr, "\r\x1b[K%s: ", progress->label);
    if (progress->total > 0)
        fprintf(stderr, "%.0f %%, ", 100.0 * (double)done / (double)progress->total);
    fprintf(stderr, "%s %s, %s/s", number_for_people(done, number), progress->unit,
            number_for_people((uint64_t)((double)done / seconds), rate));
    if (progress->total > done && done > 0)
        fprintf(stderr, ", %.0f s left", seconds * (double)(progress->total - done) / (double)done);
}

void progress_end(struct progress *progress)
{
    if (progress->on)
        fprintf(stderr, "\r\x1b[K");
    progress->on = false;
}

const char *number_for_people(uint64_t value, char space[32])
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, value), out = 0;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            space[out++] = ',';
        space[out++] = digits[i];
    }
    space[out] = 0;
    return space;
}

const char *size_for_people(uint64_t bytes, char space[32])
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
    size_t unit = 0;
    double value = (double)bytes;
    while (value >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1024;
        unit++;
    }
    snprintf(space, 32, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return space;
}
