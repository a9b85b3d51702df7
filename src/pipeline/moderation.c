/* The kind stands at a known place behind a text that can be nowhere else in an event as our writer spells it: inside a
 * string its quotes would be escaped. */
#include "pipeline/moderation.h"

#include "event/json_tree.h"

static const struct {
    enum event_kind kind;
    enum store_mark_kind mark;
    struct bytes name, state;
} deeds[] = {
    {EVENT_DELETE, STORE_MARK_DELETED, BYTES("delete"), BYTES("deleted")},
    {EVENT_TIMEOUT, STORE_MARK_TIMED_OUT, BYTES("timeout"), BYTES("timed_out")},
    {EVENT_BAN, STORE_MARK_BANNED, BYTES("ban"), BYTES("banned")},
    {EVENT_CLEAR, STORE_MARK_CLEARED, BYTES("clear"), BYTES("cleared")},
};
enum { DEED_COUNT = sizeof deeds / sizeof deeds[0] };

bool moderation_is_deed(struct bytes json)
{
    const struct bytes front = BYTES("\"payload\":{\"kind\":\"");
    const char *found = memmem(json.at, json.length, front.at, front.length);
    if (!found)
        return false;
    struct bytes rest = bytes_skip(json, (size_t)(found - json.at) + front.length);
    for (size_t i = 0; i < DEED_COUNT; i++)
        if (bytes_start_with(rest, deeds[i].name) && rest.length > deeds[i].name.length && rest.at[deeds[i].name.length] == '"')
            return true;
    return false;
}

struct bytes moderation_state_name(enum store_mark_kind kind)
{
    if (kind == STORE_MARK_USER_CLEARED)
        return moderation_state_name(STORE_MARK_CLEARED);
    for (size_t i = 0; i < DEED_COUNT; i++)
        if (deeds[i].mark == kind)
            return deeds[i].state;
    return BYTES("");
}

bool moderation_is_message(const struct event *event)
{
    return event->source == EVENT_TWITCH &&
           (event->kind == EVENT_MESSAGE || event->kind == EVENT_SUBSCRIPTION || event->kind == EVENT_ANNOUNCEMENT);
}

bool moderation_user_is_erased(const struct event *event)
{
    return event->chat.user_id.length == 0 && bytes_equal(event->chat.username, MODERATION_ERASED_NAME) &&
           bytes_start_with(event->metadata, BYTES(MODERATION_ERASED_METADATA));
}

struct store_message moderation_message(const struct event *event, uint64_t offset)
{
    return (struct store_message){.channel = event->chat.channel,
                                  .id = event->id,
                                  .user = moderation_user_is_erased(event) ? BYTES_NONE : event->chat.username,
                                  .timestamp_us = event->timestamp_us,
                                  .offset = offset};
}

/* The id that the deleted message's event has, in the arena; nothing if the deletion names none. */
static struct bytes deleted_id(const struct event *event, struct arena *arena)
{
    const struct bytes prefix = BYTES("twitch:");
    yyjson_doc *document;
    if (event->metadata.length == 0 || json_tree_read(event->metadata, arena, &document) != REJECT_NONE)
        return BYTES_NONE;
    yyjson_val *target = yyjson_obj_get(yyjson_doc_get_root(document), "target_message_id");
    struct bytes text = yyjson_is_str(target) ? json_tree_text(target) : BYTES_NONE;
    char *id = text.length > 0 ? arena_text(arena, prefix.length + text.length) : NULL;
    if (!id)
        return BYTES_NONE;
    memcpy(id, prefix.at, prefix.length);
    memcpy(id + prefix.length, text.at, text.length);
    return bytes_of(id, prefix.length + text.length);
}

int moderation_mark(struct bytes json, uint64_t offset, struct arena *arena, struct store_mark *mark, struct error *error)
{
    struct event event;
    if (event_parse(json, arena, &event) != REJECT_NONE || event.source != EVENT_TWITCH)
        return 0;
    *mark = (struct store_mark){.timestamp_us = event.timestamp_us, .offset = offset};
    for (size_t i = 0; i < DEED_COUNT; i++)
        if (deeds[i].kind == event.kind)
            mark->kind = deeds[i].mark;
    if (mark->kind == STORE_MARK_CLEARED && event.chat.username.length > 0)
        mark->kind = STORE_MARK_USER_CLEARED;
    if (mark->kind == STORE_MARK_DELETED)
        mark->target = deleted_id(&event, arena);
    else if (mark->kind != STORE_MARK_CLEARED && !moderation_user_is_erased(&event))
        mark->target = arena_copy(arena, event.chat.username);
    if (mark->kind == STORE_MARK_NONE || (mark->kind != STORE_MARK_CLEARED && mark->target.length == 0))
        return 0;
    mark->channel = arena_copy(arena, event.chat.channel);
    mark->by = arena_copy(arena, event.id);
    return mark->channel.at && mark->by.at ? 1 : error_set(error, "out of memory for moderators' marks");
}
