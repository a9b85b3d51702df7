/* What erasure makes of an event.
 *
 * Of a user: the user's own events lose message, names, user id and metadata; username becomes "erased", metadata
 * {"erased":true} (a deletion keeps target_message_id, which names a message and nobody).  In other people's events the
 * metadata that are about the user go (a reply's parent, a gift's recipient), the name is masked with asterisks elsewhere in
 * metadata, and in messages where it is called: @name.  Derived events lose their evidence, and the name is masked in them.
 *
 * Of a message: message and metadata go, who wrote it stays.
 *
 * Id, time, kind, channel and scores stay; so offsets, windows and counts do.  What erasure leaves, it leaves alone the next
 * time: the same bytes come out. */
#ifndef PIPELINE_SCRUB_H
#define PIPELINE_SCRUB_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"
#include "event/event.h"

/* Memory of one erasure; results stay until the next call. */
struct scrub {
    struct arena arena;
    struct buffer out;
};
void scrub_init(struct scrub *scrub);
void scrub_release(struct scrub *scrub);

enum scrub_result {
    SCRUB_FAILED = -1,
    SCRUB_KEPT,
    SCRUB_CHANGED,    /* *value is the event's new text */
    SCRUB_UNREADABLE, /* is no event, and names the user */
};

enum { SCRUB_NAME_MAX = 64 };
/* Whether a user can be called so: 1 to SCRUB_NAME_MAX bytes of UTF-8, nothing that JSON would escape. */
bool scrub_name_is_valid(struct bytes name);

/* Whether the text has the name, in any case, maybe as a part of a word. */
bool scrub_mentions(struct bytes text, struct bytes name);

/* Takes the user out of an event. */
enum scrub_result scrub_user(struct scrub *scrub, struct bytes json, struct bytes name, struct bytes *value, struct error *error);

/* Takes the text out of a parsed chat message; `json` is what it was parsed from. */
enum scrub_result scrub_text(struct scrub *scrub, struct bytes json, const struct event *event, struct bytes *value,
                             struct error *error);

/* Takes what a reply quotes out of a parsed chat event. */
enum scrub_result scrub_quote(struct scrub *scrub, struct bytes json, const struct event *event, struct bytes *value,
                              struct error *error);

#endif
