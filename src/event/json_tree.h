/* JSON as a tree (yyjson) in an arena: for the general parsers of events and frames. */
#ifndef EVENT_JSON_TREE_H
#define EVENT_JSON_TREE_H

#include "event/event.h"

#include <yyjson.h>

/* yyjson's memory from the arena; nothing is given back before the arena is reset. */
yyjson_alc json_tree_memory(struct arena *arena);

/* REJECT_NONE and the document, which lives as long as the arena, its texts too; numbers are kept as text (raw).  Or
 * REJECT_MALFORMED_JSON, REJECT_INVALID_UTF8, REJECT_NO_MEMORY. */
enum reject_reason json_tree_read(struct bytes json, struct arena *arena, yyjson_doc **document);

static inline struct bytes json_tree_text(yyjson_val *value)
{
    return bytes_of(yyjson_get_str(value), yyjson_get_len(value));
}

static inline struct bytes json_tree_number(yyjson_val *value)
{
    return bytes_of(yyjson_get_raw(value), yyjson_get_len(value));
}

/* A whole number; REJECT_WRONG_TYPE, or REJECT_BAD_NUMBER beyond ±(2^63 - 1) and for fractions. */
enum reject_reason json_tree_int(yyjson_val *value, int64_t *number);

#endif
