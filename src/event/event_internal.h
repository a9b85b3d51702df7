/* Private to the event room: the names that writer and parser share. */
#ifndef EVENT_EVENT_INTERNAL_H
#define EVENT_EVENT_INTERNAL_H

#include "event/event.h"

/* Indexed by enum event_side and enum event_direction; the first is empty: none. */
extern const struct bytes event_side_names[3];
extern const struct bytes event_direction_names[4];

/* False for a name that is no kind of events from this source. */
bool event_kind_parse(struct bytes name, enum event_source source, enum event_kind *kind);
bool event_source_parse(struct bytes name, enum event_source *source);

/* Whether the id is that of an aggregate trade of the event's exchange and symbol. */
bool event_id_is_aggregate(struct bytes id, const struct event_market *market);

/* The parser that knows our own writer's order of fields.  False: it met anything else, *event is undefined and the
 * general parser decides.  Where it answers, both answer the same. */
bool event_scan(struct bytes json, struct event *event);

/* The general parser. */
enum reject_reason event_parse_any(struct bytes json, struct arena *arena, struct event *event);

#endif
