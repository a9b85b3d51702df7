/* Dispatch to the implementations, and what is the same for all of them: waking those who wait for new records, and the account
 * of what readers found lost.
 *
 * Invariants: bus->end_offset never passes what append has acknowledged, and never moves back; bus->holes has each hole once. */
#include "bus/bus.h"

#include "base/logging.h"
#include <assert.h>
#include <inttypes.h>
#include <time.h>

void bus_init(struct bus *bus, const struct bus_class *class, uint64_t end_offset)
{
    bus->class = class;
    bus->end_offset = end_offset;
    bus->holes = NULL;
    bus->hole_count = 0;
    pthread_mutex_init(&bus->mutex, NULL);
    pthread_cond_init(&bus->grown, NULL);
}

void bus_release(struct bus *bus)
{
    pthread_cond_destroy(&bus->grown);
    pthread_mutex_destroy(&bus->mutex);
    free(bus->holes);
}

int bus_append(struct bus *bus, struct bus_record *records, size_t count, const struct bus_position *position,
               struct error *error)
{
    assert(count == 0 || records);
    int status = bus->class->append(bus, records, count, position, error);
    if (status == 0 && count > 0) {
        pthread_mutex_lock(&bus->mutex);
        assert(records[count - 1].offset + 1 > bus->end_offset);
        bus->end_offset = records[count - 1].offset + 1;
        pthread_cond_broadcast(&bus->grown);
        pthread_mutex_unlock(&bus->mutex);
    }
    return status;
}

int bus_position(struct bus *bus, struct bytes reader, uint64_t *next_offset)
{
    return bus->class->position(bus, reader, next_offset);
}

struct bus_reader *bus_reader_open(struct bus *bus, uint64_t offset, unsigned topics, struct error *error)
{
    struct bus_reader *reader = bus->class->reader_open(bus, offset, topics, error);
    if (reader) {
        reader->bus = bus;
        bus_reader_want_times(reader, INT64_MIN, INT64_MAX);
    }
    return reader;
}

void bus_reader_want_times(struct bus_reader *reader, int64_t from_us, int64_t to_us)
{
    reader->from_us = from_us;
    reader->to_us = to_us;
}

int bus_reader_next(struct bus_reader *reader, struct bus_batch *batch, struct error *error)
{
    return reader->bus->class->reader_next(reader, batch, error);
}

/* True if the hole is new.  Without memory it stays unknown, and is told again the next time. */
static bool remember_hole(struct bus *bus, const struct bus_hole *hole, const struct error *what)
{
    pthread_mutex_lock(&bus->mutex);
    bool known = false;
    for (size_t i = 0; i < bus->hole_count && !known; i++)
        known = bus->holes[i].from == hole->from;
    struct bus_hole *grown = known ? NULL : realloc(bus->holes, (bus->hole_count + 1) * sizeof *grown);
    if (grown) {
        if (bus->hole_count == 0)
            bus->first_damage = *what;
        grown[bus->hole_count++] = *hole;
        bus->holes = grown;
    }
    pthread_mutex_unlock(&bus->mutex);
    return !known;
}

int bus_reader_next_past_damage(struct bus_reader *reader, struct bus_batch *batch, struct error *error)
{
    for (;;) {
        struct error cause = {{0}};
        struct bus_hole hole;
        int status = bus_reader_next(reader, batch, &cause);
        if (status >= 0)
            return status;
        if (!reader->bus->class->reader_pass_damage(reader, &hole))
            return error_set(error, "%s", cause.text);
        if (remember_hole(reader->bus, &hole, &cause))
            log_event(LOG_ERROR, "log_damaged", "%s; reading goes on behind these %" PRIu64 " records", cause.text,
                      hole.to - hole.from);
    }
}

uint64_t bus_damage(struct bus *bus, struct error *first)
{
    uint64_t lost = 0;
    pthread_mutex_lock(&bus->mutex);
    for (size_t i = 0; i < bus->hole_count; i++)
        lost += bus->holes[i].to - bus->holes[i].from;
    if (first && bus->hole_count > 0)
        *first = bus->first_damage;
    pthread_mutex_unlock(&bus->mutex);
    return lost;
}

void bus_reader_close(struct bus_reader *reader)
{
    if (reader)
        reader->bus->class->reader_close(reader);
}

int bus_offset_at(struct bus *bus, int64_t time_us, uint64_t *offset, struct error *error)
{
    return bus->class->offset_at(bus, time_us, offset, error);
}

int bus_truncate(struct bus *bus, const struct bus_retention *retention, int64_t now_us, struct error *error)
{
    return bus->class->truncate(bus, retention, now_us, error);
}

int bus_erase(struct bus *bus, struct bus_erasure *erasure, struct error *error)
{
    assert(erasure->replace);
    return bus->class->erase(bus, erasure, error);
}

void bus_info(struct bus *bus, struct bus_info *info)
{
    *info = (struct bus_info){0};
    bus->class->info(bus, info);
}

void bus_destroy(struct bus *bus)
{
    if (bus)
        bus->class->destroy(bus);
}

bool bus_wait(struct bus *bus, uint64_t offset, int64_t timeout_us)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    if (timeout_us > 0) {
        until.tv_sec += timeout_us / 1000000;
        until.tv_nsec += timeout_us % 1000000 * 1000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
    }
    int status = 0;
    pthread_mutex_lock(&bus->mutex);
    while (bus->end_offset <= offset && status == 0)
        status = pthread_cond_clockwait(&bus->grown, &bus->mutex, CLOCK_MONOTONIC, &until);
    bool passed = bus->end_offset > offset;
    pthread_mutex_unlock(&bus->mutex);
    return passed;
}
