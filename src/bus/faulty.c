/* Decorator for tests: fails the chosen calls and delays appends; passes everything else to the bus inside. */
#include "bus/bus.h"

#include <time.h>

struct faulty {
    struct bus bus;
    struct bus *inner;
    struct bus_faults *faults;
};

struct faulty_reader {
    struct bus_reader reader;
    struct bus_reader *inner;
    struct bus_faults *faults;
};

static struct bus *inner_of(struct bus *bus)
{
    return ((struct faulty *)bus)->inner;
}

/* Counts a call; true if it is the one to fail.  Readers count from threads of their own. */
static bool strike(uint64_t *calls, uint64_t fail_at)
{
    return __atomic_add_fetch(calls, 1, __ATOMIC_RELAXED) == fail_at;
}

static int faulty_append(struct bus *bus, struct bus_record *records, size_t count, const struct bus_position *position,
                         struct error *error)
{
    struct bus_faults *faults = ((struct faulty *)bus)->faults;
    if (faults->append_delay_us > 0) {
        struct timespec delay = {faults->append_delay_us / 1000000, faults->append_delay_us % 1000000 * 1000};
        nanosleep(&delay, NULL);
    }
    if (strike(&faults->appends, faults->fail_append_at))
        return error_set(error, "append %llu failed: injected fault", (unsigned long long)faults->fail_append_at);
    return bus_append(inner_of(bus), records, count, position, error);
}

static int faulty_position(struct bus *bus, struct bytes reader, uint64_t *next_offset)
{
    return bus_position(inner_of(bus), reader, next_offset);
}

static struct bus_reader *faulty_reader_open(struct bus *bus, uint64_t offset, unsigned topics, struct error *error)
{
    struct faulty_reader *reader = calloc(1, sizeof *reader);
    if (!reader) {
        error_set(error, "out of memory");
        return NULL;
    }
    reader->faults = ((struct faulty *)bus)->faults;
    reader->inner = bus_reader_open(inner_of(bus), offset, topics, error);
    if (!reader->inner) {
        free(reader);
        return NULL;
    }
    return &reader->reader;
}

static int faulty_reader_next(struct bus_reader *base, struct bus_batch *batch, struct error *error)
{
    struct faulty_reader *reader = (struct faulty_reader *)base;
    if (strike(&reader->faults->reads, reader->faults->fail_read_at))
        return error_set(error, "read %llu failed: injected fault", (unsigned long long)reader->faults->fail_read_at);
    bus_reader_want_times(reader->inner, base->from_us, base->to_us);
    return bus_reader_next(reader->inner, batch, error);
}

/* An injected fault is no damage: then the inner reader has none to pass. */
static bool faulty_reader_pass_damage(struct bus_reader *base, struct bus_hole *hole)
{
    struct bus_reader *inner = ((struct faulty_reader *)base)->inner;
    return inner->bus->class->reader_pass_damage(inner, hole);
}

static void faulty_reader_close(struct bus_reader *base)
{
    struct faulty_reader *reader = (struct faulty_reader *)base;
    bus_reader_close(reader->inner);
    free(reader);
}

static int faulty_offset_at(struct bus *bus, int64_t time_us, uint64_t *offset, struct error *error)
{
    return bus_offset_at(inner_of(bus), time_us, offset, error);
}

static int faulty_truncate(struct bus *bus, const struct bus_retention *retention, int64_t now_us, struct error *error)
{
    return bus_truncate(inner_of(bus), retention, now_us, error);
}

static int faulty_erase(struct bus *bus, struct bus_erasure *erasure, struct error *error)
{
    return bus_erase(inner_of(bus), erasure, error);
}

static void faulty_info(struct bus *bus, struct bus_info *info)
{
    bus_info(inner_of(bus), info);
}

static void faulty_destroy(struct bus *bus)
{
    struct faulty *faulty = (struct faulty *)bus;
    bus_destroy(faulty->inner);
    bus_release(bus);
    free(faulty);
}

struct bus *bus_faulty_create(struct bus *inner, struct bus_faults *faults)
{
    static const struct bus_class faulty_class = {
        .name = "faulty",
        .append = faulty_append,
        .position = faulty_position,
        .reader_open = faulty_reader_open,
        .reader_next = faulty_reader_next,
        .reader_pass_damage = faulty_reader_pass_damage,
        .reader_close = faulty_reader_close,
        .offset_at = faulty_offset_at,
        .truncate = faulty_truncate,
        .erase = faulty_erase,
        .info = faulty_info,
        .destroy = faulty_destroy,
    };
    struct faulty *faulty = calloc(1, sizeof *faulty);
    if (!faulty)
        return NULL;
    struct bus_info info;
    bus_info(inner, &info);
    faulty->inner = inner;
    faulty->faults = faults;
    bus_init(&faulty->bus, &faulty_class, info.end_offset);
    return &faulty->bus;
}
