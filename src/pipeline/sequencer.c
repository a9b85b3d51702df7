#include "pipeline/sequencer.h"

#include <stdlib.h>

enum { GROUP_BYTES = 1 << 20, GROUP_BYTES_CAP = 32 << 20 };

void sequencer_init(struct sequencer *sequencer)
{
    *sequencer = (struct sequencer){0};
    buffer_init(&sequencer->json, GROUP_BYTES_CAP);
}

void sequencer_release(struct sequencer *sequencer)
{
    buffer_release(&sequencer->json);
    free(sequencer->records);
    free(sequencer->ends);
    sequencer_init(sequencer);
}

void sequencer_reset(struct sequencer *sequencer)
{
    sequencer->count = 0;
    buffer_reset(&sequencer->json);
}

static bool sequencer_reserve(struct sequencer *sequencer, size_t more)
{
    size_t wanted = sequencer->count + more;
    if (wanted <= sequencer->capacity)
        return true;
    wanted = wanted < 1024 ? 1024 : wanted * 2;
    struct bus_record *records = realloc(sequencer->records, wanted * sizeof *records);
    if (records)
        sequencer->records = records;
    size_t *ends = realloc(sequencer->ends, wanted * sizeof *ends);
    if (ends)
        sequencer->ends = ends;
    if (!records || !ends)
        return false;
    sequencer->capacity = wanted;
    return true;
}

int sequencer_add(struct sequencer *sequencer, struct event_batch *batch, struct error *error)
{
    size_t count_before = sequencer->count;
    size_t length_before = sequencer->json.length;
    if (!sequencer_reserve(sequencer, batch->count))
        return error_set(error, "out of memory for a group of %zu events", sequencer->count + batch->count);
    for (size_t i = 0; i < batch->count; i++) {
        const struct event *event = &batch->events[i];
        struct bytes key = event_key(event, &batch->arena);
        event_write(event, &sequencer->json);
        sequencer->ends[sequencer->count] = sequencer->json.length;
        sequencer->records[sequencer->count++] =
            (struct bus_record){.timestamp_us = event->timestamp_us, .topic = (uint32_t)event->source, .key = key};
        if (sequencer->json.failed || !key.at) {
            sequencer->count = count_before;
            sequencer->json.length = length_before;
            sequencer->json.failed = false;
            return error_set(error, "a group of events grew beyond %d MB", GROUP_BYTES_CAP >> 20);
        }
    }
    return 0;
}

bool sequencer_is_full(const struct sequencer *sequencer)
{
    return sequencer->json.length >= GROUP_BYTES;
}

int sequencer_append(struct sequencer *sequencer, struct bus *bus, struct error *error)
{
    size_t start = 0;
    for (size_t i = 0; i < sequencer->count; i++) {
        sequencer->records[i].value = bytes_of(sequencer->json.at + start, sequencer->ends[i] - start);
        start = sequencer->ends[i];
    }
    if (sequencer->count > 0 && bus_append(bus, sequencer->records, sequencer->count, NULL, error) < 0)
        return -1;
    sequencer_reset(sequencer);
    return 0;
}
