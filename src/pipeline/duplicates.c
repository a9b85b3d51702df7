#include "pipeline/duplicates.h"

#include "source/seen.h"

struct duplicates {
    struct seen seen;
};

struct duplicates *duplicates_create(void)
{
    struct duplicates *duplicates = malloc(sizeof *duplicates);
    if (duplicates)
        seen_init(&duplicates->seen);
    return duplicates;
}

void duplicates_destroy(struct duplicates *duplicates)
{
    if (!duplicates)
        return;
    seen_release(&duplicates->seen);
    free(duplicates);
}

static bool came_before(struct duplicates *duplicates, const struct event *event, int64_t now_us)
{
    if (event->source != EVENT_TWITCH || event->kind == EVENT_GAP)
        return false;
    uint64_t key = seen_key_of(event->id);
    if (seen_has(&duplicates->seen, key))
        return true;
    seen_add(&duplicates->seen, key, now_us);
    return false;
}

size_t duplicates_remove(struct duplicates *duplicates, struct event_batch *batch, int64_t now_us)
{
    size_t kept = 0;
    for (size_t i = 0; i < batch->count; i++)
        if (!came_before(duplicates, &batch->events[i], now_us))
            batch->events[kept++] = batch->events[i];
    size_t removed = batch->count - kept;
    batch->count = kept;
    return removed;
}
