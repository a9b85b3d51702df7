#include "pipeline/resume.h"

static void resume_with(struct source *const *sources, size_t count, const struct event *event)
{
    for (size_t i = 0; i < count; i++)
        source_resume(sources[i], event);
}

static bool any_can_resume(struct source *const *sources, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (source_can_resume(sources[i]))
            return true;
    return false;
}

/* Records that are no events of ours (the log may be fed by others) are passed over. */
static int resume_from(struct bus_reader *reader, struct arena *arena, struct source *const *sources, size_t count,
                       struct error *error)
{
    struct bus_batch batch;
    int found;
    while ((found = bus_reader_next_past_damage(reader, &batch, error)) > 0)
        for (size_t i = 0; i < batch.count; i++) {
            struct event event;
            arena_reset(arena);
            if (event_parse(batch.records[i].value, arena, &event) == REJECT_NONE)
                resume_with(sources, count, &event);
        }
    return found;
}

int resume_sources(struct bus *bus, struct source *const *sources, size_t count, struct error *error)
{
    if (!any_can_resume(sources, count))
        return 0;
    struct bus_info info;
    bus_info(bus, &info);
    uint64_t from = info.end_offset > RESUME_RECORDS ? info.end_offset - RESUME_RECORDS : 0;
    struct bus_reader *reader = bus_reader_open(bus, from, 1u << EVENT_TWITCH | 1u << EVENT_MARKET, error);
    if (!reader)
        return -1;
    struct arena arena;
    arena_init(&arena, (size_t)16 << 20);
    int result = resume_from(reader, &arena, sources, count, error);
    arena_release(&arena);
    bus_reader_close(reader);
    return result;
}
