/* Messages of one chat that come in by several sources (IRC and EventSub): each is let through once, by its id.  Remembers the
 * last ten minutes, at most a million messages.  One thread. */
#ifndef PIPELINE_DUPLICATES_H
#define PIPELINE_DUPLICATES_H

#include "event/event.h"

struct duplicates;

struct duplicates *duplicates_create(void); /* NULL when out of memory */
void duplicates_destroy(struct duplicates *duplicates);

/* Takes out of the batch the chat messages that have been let through before, and returns their number. */
size_t duplicates_remove(struct duplicates *duplicates, struct event_batch *batch, int64_t now_us);

#endif
