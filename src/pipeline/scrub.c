/* A name is looked for in the event's text first: nearly all events end there.  What has it is taken apart, changed and
 * written anew by the event's own writer, so that all else comes out as it was. */
#include "pipeline/scrub.h"

#include "event/json_tree.h"
#include "pipeline/moderation.h"

enum { SCRUB_DEPTH_MAX = 32, SCRUB_GROUPS_MAX = 16, SCRUB_MEMORY = 256 << 20 };

void scrub_init(struct scrub *scrub)
{
    arena_init(&scrub->arena, SCRUB_MEMORY);
    buffer_init(&scrub->out, SCRUB_MEMORY);
}

void scrub_release(struct scrub *scrub)
{
    arena_release(&scrub->arena);
    buffer_release(&scrub->out);
}

/* ---- names in texts ---- */

static unsigned char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c - 'A' + 'a') : (unsigned char)c;
}

static bool is_word(char c)
{
    unsigned char l = lower(c);
    return (l >= 'a' && l <= 'z') || (l >= '0' && l <= '9') || l == '_' || l >= 0x80;
}

bool scrub_name_is_valid(struct bytes name)
{
    if (name.length == 0 || name.length > SCRUB_NAME_MAX || !bytes_is_utf8(name))
        return false;
    for (size_t i = 0; i < name.length; i++)
        if ((unsigned char)name.at[i] <= ' ' || name.at[i] == '"' || name.at[i] == '\\' || name.at[i] == 0x7F)
            return false;
    return true;
}

/* The name's place from `from` on, or -1. */
static ptrdiff_t find_name(struct bytes text, struct bytes name, size_t from)
{
    unsigned char first = lower(name.at[0]);
    for (size_t i = from; i + name.length <= text.length; i++)
        if (lower(text.at[i]) == first && bytes_equal_ignore_case(bytes_of(text.at + i, name.length), name))
            return (ptrdiff_t)i;
    return -1;
}

bool scrub_mentions(struct bytes text, struct bytes name)
{
    return find_name(text, name, 0) >= 0;
}

/* Whether the JSON text has the name as a word; an escape (\n) before it is no letter. */
static bool has_word(struct bytes json, struct bytes name)
{
    ptrdiff_t place;
    for (size_t from = 0; (place = find_name(json, name, from)) >= 0; from = (size_t)place + 1) {
        const char *at = json.at + place, *end = at + name.length;
        bool begins = place == 0 || !is_word(at[-1]) || (place > 1 && at[-2] == '\\');
        if (begins && (end == json.at + json.length || !is_word(*end)))
            return true;
    }
    return false;
}

/* The text with the name masked where it is a word, or, if `called`, only behind an @; the text itself where there is none.
 * .at is NULL when out of memory. */
static struct bytes mask_name(struct bytes text, struct bytes name, bool called, struct arena *arena)
{
    char *masked = NULL;
    ptrdiff_t place;
    for (size_t from = 0; (place = find_name(text, name, from)) >= 0; from = (size_t)place + 1) {
        const char *at = text.at + place, *end = at + name.length;
        bool begins = place == 0 || !is_word(at[-1]), ends = end == text.at + text.length || !is_word(*end);
        if (!begins || !ends || (called && (place == 0 || at[-1] != '@')))
            continue;
        if (!masked) {
            struct bytes copy = arena_copy(arena, text);
            if (!copy.at)
                return BYTES_NONE;
            masked = (char *)(uintptr_t)copy.at;
        }
        memset(masked + place, '*', name.length);
    }
    return masked ? bytes_of(masked, text.length) : bytes_of(text.at ? text.at : "", text.length);
}

/* ---- names in JSON ---- */

/* One JSON value on its way. */
struct tree {
    struct arena *arena;
    struct bytes name;
    yyjson_mut_doc *document;
    bool failed;
};

static struct bytes text_of(yyjson_mut_val *value)
{
    return bytes_of(yyjson_mut_get_str(value), yyjson_mut_get_len(value));
}

/* Masks the name in all texts of a value; a text that is the name becomes "erased". */
static void tree_mask(struct tree *tree, yyjson_mut_val *value, unsigned depth)
{
    size_t index, count;
    yyjson_mut_val *key, *item;
    if (yyjson_mut_is_str(value)) {
        struct bytes text = text_of(value);
        struct bytes masked =
            bytes_equal_ignore_case(text, tree->name) ? MODERATION_ERASED_NAME : mask_name(text, tree->name, false, tree->arena);
        if (masked.at)
            yyjson_mut_set_strn(value, masked.at, masked.length);
        tree->failed = tree->failed || !masked.at;
    } else if (depth == 0) {
        tree->failed = tree->failed || yyjson_mut_is_ctn(value);
    } else if (yyjson_mut_is_obj(value)) {
        yyjson_mut_obj_foreach(value, index, count, key, item) tree_mask(tree, item, depth - 1);
    } else if (yyjson_mut_is_arr(value)) {
        yyjson_mut_arr_foreach(value, index, count, item) tree_mask(tree, item, depth - 1);
    }
}

/* The first word of a field's name: fields about one thing share it (recipient, recipient_id; reply_parent_user, …). */
static struct bytes group_of(yyjson_mut_val *key)
{
    struct bytes rest;
    return bytes_split(text_of(key), '_', &rest);
}

/* Removes the texts of an object's group of fields. */
static void tree_drop_group(yyjson_mut_val *object, struct bytes group)
{
    yyjson_mut_obj_iter iterator = yyjson_mut_obj_iter_with(object);
    for (yyjson_mut_val *key; (key = yyjson_mut_obj_iter_next(&iterator));)
        if (yyjson_mut_is_str(yyjson_mut_obj_iter_get_val(key)) && bytes_equal(group_of(key), group))
            yyjson_mut_obj_iter_remove(&iterator);
}

/* Removes the groups of fields that are about the user. */
static void tree_drop_user(struct tree *tree, yyjson_mut_val *object)
{
    struct bytes groups[SCRUB_GROUPS_MAX];
    size_t group_count = 0, index, count;
    yyjson_mut_val *key, *value;
    yyjson_mut_obj_foreach(object, index, count, key, value)
    {
        if (yyjson_mut_is_str(value) && bytes_equal_ignore_case(text_of(value), tree->name) && group_count < SCRUB_GROUPS_MAX)
            groups[group_count++] = group_of(key);
    }
    for (size_t g = 0; g < group_count; g++)
        tree_drop_group(object, groups[g]);
}

static bool tree_open(struct tree *tree, struct arena *arena, struct bytes json, struct bytes name)
{
    yyjson_doc *read;
    *tree = (struct tree){.arena = arena, .name = name};
    yyjson_alc memory = json_tree_memory(arena);
    if (json_tree_read(json, arena, &read) == REJECT_NONE)
        tree->document = yyjson_doc_mut_copy(read, &memory);
    return tree->document != NULL;
}

/* The value's text in the arena; .at is NULL when that failed. */
static struct bytes tree_close(struct tree *tree)
{
    size_t length = 0;
    yyjson_alc memory = json_tree_memory(tree->arena);
    char *text = tree->failed ? NULL : yyjson_mut_write_opts(tree->document, YYJSON_WRITE_NOFLAG, &memory, &length, NULL);
    return bytes_of(text, text ? length : 0);
}

/* ---- events ---- */

/* Writes the event; kept if it comes out as it was. */
static enum scrub_result scrub_write(struct scrub *scrub, struct bytes json, const struct event *event, struct bytes *value,
                                     struct error *error)
{
    buffer_reset(&scrub->out);
    event_write(event, &scrub->out);
    if (scrub->out.failed)
        return (enum scrub_result)error_set(error, "out of memory to erase an event");
    *value = buffer_bytes(&scrub->out);
    return bytes_equal(*value, json) ? SCRUB_KEPT : SCRUB_CHANGED;
}

static enum scrub_result scrub_fail(struct error *error)
{
    return (enum scrub_result)error_set(error, "out of memory to erase an event");
}

/* A detector's words may quote the message. */
static bool drop_reason(struct event *event, struct arena *arena)
{
    struct tree tree;
    if (event->anomaly.length == 0 || !tree_open(&tree, arena, event->anomaly, BYTES_NONE))
        return event->anomaly.length == 0;
    yyjson_mut_obj_remove_key(yyjson_mut_doc_get_root(tree.document), "reason");
    event->anomaly = tree_close(&tree);
    return event->anomaly.at != NULL;
}

/* What is left of the metadata; a deletion's target stays. */
static bool blank_metadata(struct event *event, struct arena *arena)
{
    struct tree tree;
    struct bytes target = BYTES_NONE;
    if (event->kind == EVENT_DELETE && event->metadata.length > 0 && tree_open(&tree, arena, event->metadata, BYTES_NONE)) {
        yyjson_mut_val *found = yyjson_mut_obj_get(yyjson_mut_doc_get_root(tree.document), "target_message_id");
        target = yyjson_mut_is_str(found) ? text_of(found) : BYTES_NONE;
    }
    struct buffer out;
    buffer_init(&out, SCRUB_MEMORY);
    BUFFER_LITERAL(&out, MODERATION_ERASED_METADATA);
    if (target.length > 0) {
        BUFFER_LITERAL(&out, ",\"target_message_id\":");
        buffer_json_string(&out, target);
    }
    buffer_byte(&out, '}');
    event->metadata = out.failed ? BYTES_NONE : arena_copy(arena, buffer_bytes(&out));
    buffer_release(&out);
    return event->metadata.at != NULL;
}

static enum scrub_result blank(struct scrub *scrub, struct bytes json, struct event event, struct bytes *value,
                               struct error *error)
{
    event.chat.message = BYTES_NONE;
    event.payload_json = BYTES_NONE;
    if (!blank_metadata(&event, &scrub->arena) || !drop_reason(&event, &scrub->arena))
        return scrub_fail(error);
    return scrub_write(scrub, json, &event, value, error);
}

enum scrub_result scrub_text(struct scrub *scrub, struct bytes json, const struct event *event, struct bytes *value,
                             struct error *error)
{
    return blank(scrub, json, *event, value, error);
}

static enum scrub_result scrub_own(struct scrub *scrub, struct bytes json, struct event *event, struct bytes *value,
                                   struct error *error)
{
    event->chat.username = MODERATION_ERASED_NAME;
    event->chat.display_name = event->chat.user_id = BYTES_NONE;
    return blank(scrub, json, *event, value, error);
}

/* The members of an object, without its braces. */
static struct bytes members_of(struct bytes object)
{
    return bytes_of(object.at + 1, object.length - 2);
}

/* Payload fields of a foreign event beyond the known ones: `"name":value,…`. */
static bool mask_members(struct bytes *members, struct bytes name, struct arena *arena)
{
    struct tree tree;
    if (members->length == 0 || !scrub_mentions(*members, name))
        return true;
    char *object = arena_text(arena, members->length + 2);
    if (!object)
        return false;
    object[0] = '{';
    memcpy(object + 1, members->at, members->length);
    object[members->length + 1] = '}';
    if (!tree_open(&tree, arena, bytes_of(object, members->length + 2), name))
        return false;
    tree_mask(&tree, yyjson_mut_doc_get_root(tree.document), SCRUB_DEPTH_MAX);
    struct bytes masked = tree_close(&tree);
    if (!masked.at)
        return false;
    *members = members_of(masked);
    return true;
}

static bool mask_object(struct bytes *object, struct bytes name, bool drop_groups, struct arena *arena)
{
    struct tree tree;
    if (object->length == 0 || !scrub_mentions(*object, name))
        return true;
    if (!tree_open(&tree, arena, *object, name))
        return false;
    yyjson_mut_val *root = yyjson_mut_doc_get_root(tree.document);
    if (drop_groups)
        tree_drop_user(&tree, root);
    tree_mask(&tree, root, SCRUB_DEPTH_MAX);
    *object = tree_close(&tree);
    return object->at != NULL;
}

/* Somebody else's event that has the name in it. */
static enum scrub_result scrub_others(struct scrub *scrub, struct bytes json, struct event *event, struct bytes name,
                                      struct bytes *value, struct error *error)
{
    event->chat.message = mask_name(event->chat.message, name, true, &scrub->arena);
    if (!event->chat.message.at || !mask_object(&event->metadata, name, true, &scrub->arena) ||
        !mask_object(&event->anomaly, name, false, &scrub->arena) || !mask_members(&event->payload_json, name, &scrub->arena))
        return scrub_fail(error);
    return scrub_write(scrub, json, event, value, error);
}

static enum scrub_result scrub_derived(struct scrub *scrub, struct bytes json, struct event *event, struct bytes name,
                                       struct bytes *value, struct error *error)
{
    struct tree tree;
    if (!has_word(json, name))
        return SCRUB_KEPT;
    event->id = mask_name(event->id, name, false, &scrub->arena);
    if (!event->id.at || !tree_open(&tree, &scrub->arena, event->payload_json, name))
        return scrub_fail(error);
    yyjson_mut_val *root = yyjson_mut_doc_get_root(tree.document);
    yyjson_mut_obj_remove_key(root, "evidence");
    tree_mask(&tree, root, SCRUB_DEPTH_MAX);
    event->payload_json = tree_close(&tree);
    if (!event->payload_json.at || !mask_object(&event->anomaly, name, false, &scrub->arena))
        return scrub_fail(error);
    return scrub_write(scrub, json, event, value, error);
}

enum scrub_result scrub_user(struct scrub *scrub, struct bytes json, struct bytes name, struct bytes *value, struct error *error)
{
    struct event event;
    if (!scrub_mentions(json, name))
        return SCRUB_KEPT;
    arena_reset(&scrub->arena);
    enum reject_reason reason = event_parse(json, &scrub->arena, &event);
    if (reason == REJECT_NO_MEMORY)
        return scrub_fail(error);
    if (reason != REJECT_NONE)
        return SCRUB_UNREADABLE;
    if (event.source == EVENT_ANALYTICS)
        return scrub_derived(scrub, json, &event, name, value, error);
    if (event.source != EVENT_TWITCH || moderation_user_is_erased(&event) || event.kind == EVENT_GAP)
        return SCRUB_KEPT;
    if (bytes_equal_ignore_case(event.chat.username, name))
        return scrub_own(scrub, json, &event, value, error);
    return scrub_others(scrub, json, &event, name, value, error);
}

enum scrub_result scrub_quote(struct scrub *scrub, struct bytes json, const struct event *event, struct bytes *value,
                              struct error *error)
{
    struct tree tree;
    struct event quoting = *event;
    if (!tree_open(&tree, &scrub->arena, event->metadata, BYTES_NONE))
        return scrub_fail(error);
    tree_drop_group(yyjson_mut_doc_get_root(tree.document), BYTES("reply"));
    quoting.metadata = tree_close(&tree);
    return quoting.metadata.at ? scrub_write(scrub, json, &quoting, value, error) : scrub_fail(error);
}
