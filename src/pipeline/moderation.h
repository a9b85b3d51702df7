/* Moderators' deeds in chat: what an event of kind delete, timeout, ban or clear marks, and which events can be marked.
 *
 * A deletion names its message.  Timeouts and bans take down what the user had said in that channel until then, clear what
 * everybody had said there.  Marks are the store's (store.h); the event in the log stays as it is. */
#ifndef PIPELINE_MODERATION_H
#define PIPELINE_MODERATION_H

#include "base/arena.h"
#include "event/event.h"
#include "store/store.h"

/* What erasure leaves: see erasure.h. */
#define MODERATION_ERASED_NAME BYTES("erased")
#define MODERATION_ERASED_METADATA "{\"erased\":true"

/* Whether a record of chat_stream is a moderator's: a look at its kind alone. */
bool moderation_is_deed(struct bytes json);

/* The mark that such a record makes.  1: *mark, its texts in the arena; 0: it makes none (its user was erased); -1: out of
 * memory. */
int moderation_mark(struct bytes json, uint64_t offset, struct arena *arena, struct store_mark *mark, struct error *error);

/* Whether a chat event shows what a user wrote. */
bool moderation_is_message(const struct event *event);

/* Whose user was erased: the name that is left is nobody's. */
bool moderation_user_is_erased(const struct event *event);

/* What to ask the store about such an event; texts as the event has them. */
struct store_message moderation_message(const struct event *event, uint64_t offset);

/* The name in the API: deleted, timed_out, banned, cleared. */
struct bytes moderation_state_name(enum store_mark_kind kind);

#endif
