/* Past events by topic, key and time: the store's index says in which batches of the log they lie, the log has them. */
#ifndef APP_EVENT_QUERY_H
#define APP_EVENT_QUERY_H

#include "bus/bus.h"
#include "serve/serve.h"
#include "store/store.h"

/* Appends {"events":[…],"next":CURSOR,"previous":CURSOR}, oldest first.  Without from, and without after: the newest.
 * `next` given as `after` goes on to later events, `previous` given as `before` to earlier ones; null when there are no
 * events.  A cursor is TIME-OFFSET of an event.  What moderators took down has a further field, the last one:
 * "moderation":{"state":"deleted"|"timed_out"|"banned"|"cleared","at":TIME,"by":ID of the moderator's event}.  Returns an HTTP
 * status. */
int event_query(struct bus *bus, struct store *store, const struct serve_events_query *query, struct buffer *out,
                struct error *error);

#endif
