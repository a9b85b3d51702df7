/* The sequencer: fixes the order of events and makes it durable.  Takes batches in the order in which they were given,
 * writes their events as JSON and appends them to the log; what gathers while a sync is under way goes into the next
 * append (group commit). */
#ifndef PIPELINE_SEQUENCER_H
#define PIPELINE_SEQUENCER_H

#include "base/buffer.h"
#include "bus/bus.h"
#include "event/event.h"

/* Records of a group under construction; the texts live in `json` and in the arenas of the batches. */
struct sequencer {
    struct buffer json;
    struct bus_record *records;
    size_t *ends; /* of each record's text in json: json may move while it grows */
    size_t count, capacity;
};

void sequencer_init(struct sequencer *sequencer);
void sequencer_release(struct sequencer *sequencer);

/* Adds the events of a batch, which must stay until the group is appended or reset.  -1: out of memory, nothing added. */
int sequencer_add(struct sequencer *sequencer, struct event_batch *batch, struct error *error);

/* The group so far is large enough to be appended without waiting for more. */
bool sequencer_is_full(const struct sequencer *sequencer);

/* Appends the group; it stays for another try after an error, and is empty after success. */
int sequencer_append(struct sequencer *sequencer, struct bus *bus, struct error *error);

void sequencer_reset(struct sequencer *sequencer);

#endif
