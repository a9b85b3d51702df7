/* Of marks: the log's chat is read from its beginning when there are new marks, else from where the last pass ended.  The
 * latest mark of a user or channel stands for all, since it takes down all that came before. */
#include "pipeline/erasure.h"

#include "base/logging.h"
#include "base/map.h"
#include "event/json_tree.h"
#include "pipeline/moderation.h"
#include "pipeline/scrub.h"
#include <assert.h>
#include <stdlib.h>

enum { MARKS_A_PASS = 4096, MARKS_KEY_MAX = 1024, MARKS_MEMORY = 64 << 20 };

/* Until when something was taken down: exclusive. */
struct until {
    int64_t timestamp_us;
    uint64_t offset;
};

struct erasure {
    struct erasure_parts parts;
    struct bus_erasure log;
    struct scrub scrub;
    uint64_t unreadable_events;
    struct erasure_result result;
    char name[SCRUB_NAME_MAX]; /* of a user; length 0: of marks */
    size_t name_length;

    struct erasure_progress *progress;
    struct erasure_progress after; /* becomes *progress when the pass is done */
    uint64_t position;             /* for the store: marks before it have been carried out twice */
    struct map deleted;            /* ids */
    struct map taken;              /* channel, or channel \0 user -> index into untils */
    struct until *untils;
};

static struct bytes name_of(const struct erasure *erasure)
{
    return bytes_of(erasure->name, erasure->name_length);
}

static int count_answer(struct erasure *erasure, enum scrub_result result)
{
    erasure->unreadable_events += result == SCRUB_UNREADABLE;
    return result == SCRUB_FAILED ? -1 : result == SCRUB_CHANGED;
}

static int replace_of_user(void *context, const struct bus_record *record, struct bytes *value, struct error *error)
{
    struct erasure *erasure = context;
    return count_answer(erasure, scrub_user(&erasure->scrub, record->value, name_of(erasure), value, error));
}

/* ---- marks ---- */

/* channel, or channel \0 user; nothing if that is longer than any may be. */
static struct bytes taken_key(char *space, struct bytes channel, struct bytes user)
{
    size_t length = channel.length + (user.length > 0 ? 1 + user.length : 0);
    if (length > MARKS_KEY_MAX)
        return BYTES_NONE;
    memcpy(space, channel.at, channel.length);
    if (user.length > 0) {
        space[channel.length] = '\0';
        memcpy(space + channel.length + 1, user.at, user.length);
    }
    return bytes_of(space, length);
}

static bool is_taken(const struct erasure *erasure, const struct store_message *message, struct bytes user)
{
    char space[MARKS_KEY_MAX];
    struct bytes key = taken_key(space, message->channel, user);
    const uint64_t *place = key.at ? map_find(&erasure->taken, key) : NULL;
    if (!place)
        return false;
    const struct until *until = &erasure->untils[*place];
    return message->timestamp_us < until->timestamp_us ||
           (message->timestamp_us == until->timestamp_us && message->offset < until->offset);
}

/* Whether the event is a reply that quotes what was taken down. */
static bool quotes_taken(struct erasure *erasure, const struct event *event, const struct store_message *message)
{
    const struct bytes prefix = BYTES("twitch:");
    yyjson_doc *document;
    if (!memmem(event->metadata.at, event->metadata.length, "\"reply_parent_", 14) ||
        json_tree_read(event->metadata, &erasure->scrub.arena, &document) != REJECT_NONE)
        return false;
    yyjson_val *id = yyjson_obj_get(yyjson_doc_get_root(document), "reply_parent_id");
    yyjson_val *user = yyjson_obj_get(yyjson_doc_get_root(document), "reply_parent_user");
    char space[MARKS_KEY_MAX];
    if (yyjson_is_str(id) && yyjson_get_len(id) <= MARKS_KEY_MAX - prefix.length) {
        memcpy(space, prefix.at, prefix.length);
        memcpy(space + prefix.length, yyjson_get_str(id), yyjson_get_len(id));
        if (map_find(&erasure->deleted, bytes_of(space, prefix.length + yyjson_get_len(id))))
            return true;
    }
    return yyjson_is_str(user) && yyjson_get_len(user) > 0 && is_taken(erasure, message, json_tree_text(user));
}

static int replace_of_marks(void *context, const struct bus_record *record, struct bytes *value, struct error *error)
{
    struct erasure *erasure = context;
    struct event event;
    arena_reset(&erasure->scrub.arena);
    if (event_parse(record->value, &erasure->scrub.arena, &event) != REJECT_NONE || !moderation_is_message(&event))
        return 0;
    struct store_message message = moderation_message(&event, record->offset);
    bool taken = map_find(&erasure->deleted, message.id) || is_taken(erasure, &message, BYTES_NONE) ||
                 (message.user.length > 0 && is_taken(erasure, &message, message.user));
    if (taken)
        return count_answer(erasure, scrub_text(&erasure->scrub, record->value, &event, value, error));
    if (quotes_taken(erasure, &event, &message))
        return count_answer(erasure, scrub_quote(&erasure->scrub, record->value, &event, value, error));
    return 0;
}

static int take_mark(struct erasure *erasure, const struct store_mark *mark, struct error *error)
{
    bool added;
    char space[MARKS_KEY_MAX];
    bool deletes = mark->kind == STORE_MARK_DELETED;
    struct bytes key = deletes ? mark->target : taken_key(space, mark->channel, mark->target);
    if (!key.at)
        return 0; /* longer than what it could meet */
    uint64_t *place = map_put(deletes ? &erasure->deleted : &erasure->taken, key, &added);
    if (!place)
        return error_set(error, "out of memory for moderators' marks");
    if (deletes)
        return 0;
    if (added)
        *place = erasure->taken.count - 1;
    struct until *until = &erasure->untils[*place];
    if (added || mark->timestamp_us > until->timestamp_us ||
        (mark->timestamp_us == until->timestamp_us && mark->offset > until->offset))
        *until = (struct until){mark->timestamp_us, mark->offset};
    return 0;
}

/* ---- steps ---- */

static struct erasure *erasure_create(const struct erasure_parts *parts, struct error *error)
{
    struct erasure *erasure = calloc(1, sizeof *erasure);
    if (!erasure) {
        error_set(error, "out of memory for an erasure");
        return NULL;
    }
    struct bus_info info;
    bus_info(parts->bus, &info);
    erasure->parts = *parts;
    erasure->log = (struct bus_erasure){.from = info.first_offset, .to = info.end_offset, .context = erasure};
    scrub_init(&erasure->scrub);
    map_init(&erasure->deleted, MARKS_A_PASS);
    map_init(&erasure->taken, MARKS_A_PASS);
    return erasure;
}

void erasure_destroy(struct erasure *erasure)
{
    if (!erasure)
        return;
    scrub_release(&erasure->scrub);
    map_release(&erasure->deleted);
    map_release(&erasure->taken);
    free(erasure->untils);
    free(erasure);
}

struct erasure *erasure_of_user(const struct erasure_parts *parts, struct bytes name, struct error *error)
{
    if (!scrub_name_is_valid(name)) {
        error_set(error, "a user's name has 1 to %d bytes, without spaces, quotes and backslashes", SCRUB_NAME_MAX);
        return NULL;
    }
    struct erasure *erasure = erasure_create(parts, error);
    if (!erasure)
        return NULL;
    erasure->log.topics = 1u << EVENT_TWITCH | 1u << EVENT_ANALYTICS;
    erasure->log.replace = replace_of_user;
    for (size_t i = 0; i < name.length; i++) /* logins are lower case: so store and index have them */
        erasure->name[i] = name.at[i] >= 'A' && name.at[i] <= 'Z' ? (char)(name.at[i] - 'A' + 'a') : name.at[i];
    erasure->name_length = name.length;
    return erasure;
}

/* Fills the erasure with marks from `from` on. */
static int take_marks(struct erasure *erasure, uint64_t from, uint64_t indexed, struct error *error)
{
    struct arena arena;
    arena_init(&arena, MARKS_MEMORY);
    size_t count = MARKS_A_PASS;
    struct store_mark *marks = calloc(count, sizeof *marks);
    erasure->untils = calloc(count, sizeof *erasure->untils);
    int result = marks && erasure->untils ? store_list_marks(erasure->parts.store, from, &arena, marks, &count, error)
                                          : error_set(error, "out of memory for moderators' marks");
    for (size_t i = 0; result == 0 && i < count; i++)
        result = take_mark(erasure, &marks[i], error);
    if (result == 0) {
        uint64_t last = count > 0 ? marks[count - 1].offset : 0;
        bool fresh = count > 0 && last >= erasure->progress->marks_done;
        if (!fresh && erasure->progress->log_done > erasure->log.from)
            erasure->log.from = erasure->progress->log_done;
        erasure->after.marks_done = count == MARKS_A_PASS ? last + 1 : indexed;
        erasure->after.log_done = erasure->log.to;
        result = count > 0;
    }
    free(marks);
    arena_release(&arena);
    return result;
}

int erasure_of_marks(const struct erasure_parts *parts, struct erasure_progress *progress, uint64_t indexed,
                     struct erasure **erasure, struct error *error)
{
    uint64_t from;
    *erasure = NULL;
    if (store_position(parts->store, ERASURE_READER, &from, error) < 0)
        return -1;
    struct erasure *made = erasure_create(parts, error);
    if (!made)
        return -1;
    made->log.topics = 1u << EVENT_TWITCH;
    made->log.replace = replace_of_marks;
    made->progress = progress;
    made->position = progress->marks_done > from ? progress->marks_done : from;
    int taken = take_marks(made, from, indexed, error);
    if (taken <= 0) {
        if (taken == 0)
            *progress = made->after;
        erasure_destroy(made);
        return taken;
    }
    *erasure = made;
    return 0;
}

/* The log is done: of a user, the rest. */
static int finish_user(struct erasure *erasure, struct error *error)
{
    if (store_erase_user(erasure->parts.store, name_of(erasure), &erasure->result.documents, error) < 0)
        return -1;
    if (erasure->parts.rejects)
        return rejects_erase(erasure->parts.rejects, name_of(erasure), &erasure->result.rejects, error);
    return 0;
}

/* The log is done: of marks, the note of it. */
static int finish_marks(struct erasure *erasure, struct error *error)
{
    *erasure->progress = erasure->after;
    const struct store_write note = {.reader = ERASURE_READER, .next_offset = erasure->position};
    return store_write(erasure->parts.store, &note, error);
}

int erasure_step(struct erasure *erasure, struct error *error)
{
    int status = bus_erase(erasure->parts.bus, &erasure->log, error);
    erasure->result.events = erasure->log.replaced;
    if (status != 0)
        return status;
    status = erasure->name_length > 0 ? finish_user(erasure, error) : finish_marks(erasure, error);
    if (status == 0 && erasure->log.unreadable + erasure->unreadable_events > 0)
        return error_set(error,
                         "%llu events are erased, but %llu batches and %llu events cannot be read and may hold more; `dataflow "
                         "doctor` lists damage",
                         (unsigned long long)erasure->log.replaced, (unsigned long long)erasure->log.unreadable,
                         (unsigned long long)erasure->unreadable_events);
    return status;
}

uint64_t erasure_offset(const struct erasure *erasure)
{
    return erasure->log.from;
}

void erasure_result(const struct erasure *erasure, struct erasure_result *result)
{
    *result = erasure->result;
}
