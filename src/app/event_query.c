/* Keeps the best `limit` events seen so far in a heap whose root is the worst of them, in the order (time, offset).
 * Batches come ordered by time bucket, so the search ends when the heap is full and a batch has nothing in the bucket of the
 * root or a better one.  Within a bucket order says nothing (event time is not the log's order), but the batch's own bounds of
 * time do: one whose bounds are all worse than the root is not read.
 *
 * What is found in chat_stream is then looked up among the moderators' marks; the event itself stays as the log has it. */
#include "app/event_query.h"

#include "event/event.h"
#include "pipeline/moderation.h"
#include <stdlib.h>

struct found {
    int64_t timestamp_us;
    uint64_t offset;
    struct bytes json; /* in the arena of the search */
};

struct search {
    struct bus *bus;
    struct store *store;
    const struct serve_events_query *query;
    enum event_source topic;
    bool newest_first;
    struct found low, high; /* exclusive bounds */
    struct found *heap;
    size_t count;
    const struct found *after, *before; /* the cursors given; NULL: none */
    struct found cursors[2];
    struct store_mark *marks; /* of what was found; NULL: none are looked up */
    struct arena arena;
};

static int compare_found(const void *left, const void *right)
{
    const struct found *a = left, *b = right;
    if (a->timestamp_us != b->timestamp_us)
        return a->timestamp_us < b->timestamp_us ? -1 : 1;
    return (a->offset > b->offset) - (a->offset < b->offset);
}

/* True if `a` is to be dropped before `b` when there are too many. */
static bool is_worse(const struct search *search, const struct found *a, const struct found *b)
{
    int order = compare_found(a, b);
    return search->newest_first ? order < 0 : order > 0;
}

static void heap_sift_up(struct search *search, size_t i)
{
    for (; i > 0 && is_worse(search, &search->heap[i], &search->heap[(i - 1) / 2]); i = (i - 1) / 2) {
        struct found swap = search->heap[i];
        search->heap[i] = search->heap[(i - 1) / 2];
        search->heap[(i - 1) / 2] = swap;
    }
}

static void heap_sift_down(struct search *search)
{
    for (size_t i = 0;;) {
        size_t worst = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < search->count; child++)
            if (is_worse(search, &search->heap[child], &search->heap[worst]))
                worst = child;
        if (worst == i)
            return;
        struct found swap = search->heap[i];
        search->heap[i] = search->heap[worst];
        search->heap[worst] = swap;
        i = worst;
    }
}

static bool search_is_full(const struct search *search)
{
    return search->count == search->query->limit;
}

/* Gives the memory back of what others have taken the place of. */
static int search_compact(struct search *search, struct error *error)
{
    struct arena kept;
    arena_init(&kept, search->arena.cap_bytes);
    for (size_t i = 0; i < search->count; i++) {
        search->heap[i].json = arena_copy(&kept, search->heap[i].json);
        if (!search->heap[i].json.at) {
            arena_release(&kept);
            search->count = 0;
            return error_set(error, "the answer would be too large; ask for fewer events (limit)");
        }
    }
    arena_release(&search->arena);
    search->arena = kept;
    return 0;
}

static int search_copy(struct search *search, struct bytes json, struct bytes *copy, struct error *error)
{
    *copy = arena_copy(&search->arena, json);
    if (copy->at)
        return 0;
    if (search_compact(search, error) < 0)
        return -1;
    *copy = arena_copy(&search->arena, json);
    return copy->at ? 0 : error_set(error, "the answer would be too large; ask for fewer events (limit)");
}

static int search_offer(struct search *search, const struct bus_record *record, struct error *error)
{
    if (search->query->end_offset > 0 && record->offset >= search->query->end_offset)
        return 0;
    struct found found = {.timestamp_us = record->timestamp_us, .offset = record->offset};
    if (compare_found(&found, &search->low) <= 0 || compare_found(&found, &search->high) >= 0)
        return 0;
    if (search_is_full(search) && is_worse(search, &found, &search->heap[0]))
        return 0;
    if (search_copy(search, record->value, &found.json, error) < 0)
        return -1;
    if (search_is_full(search)) {
        search->heap[0] = found;
        heap_sift_down(search);
    } else {
        search->heap[search->count++] = found;
        heap_sift_up(search, search->count - 1);
    }
    return 0;
}

/* The times that may still help: all in the range, and with a full heap none that are worse than its root. */
static void search_want(const struct search *search, struct bus_reader *reader)
{
    int64_t from_us = search->low.timestamp_us, to_us = search->high.timestamp_us;
    if (search_is_full(search) && search->newest_first)
        from_us = search->heap[0].timestamp_us;
    else if (search_is_full(search))
        to_us = search->heap[0].timestamp_us;
    bus_reader_want_times(reader, from_us, to_us);
}

/* True if the time is in the bucket of the root or a better one: where that of a batch is not, none is that follows. */
static bool search_bucket_helps(const struct search *search, int64_t time_us)
{
    int64_t bucket = time_us / STORE_BUCKET_US, root = search->heap[0].timestamp_us / STORE_BUCKET_US;
    return search->newest_first ? bucket >= root : bucket <= root;
}

/* Offers the wanted records of one batch.  1: nothing that follows can be better; 0: go on. */
static int search_batch(struct search *search, uint64_t base_offset, struct error *error)
{
    struct bus_reader *reader = bus_reader_open(search->bus, base_offset, 1u << search->topic, error);
    if (!reader)
        return -1;
    struct bus_batch batch = {0};
    search_want(search, reader);
    int result = bus_reader_next_past_damage(reader, &batch, error);
    if (result <= 0 || batch.base_offset != base_offset) { /* gone or damaged: what comes instead has its own turn */
        bus_reader_close(reader);
        return result < 0 ? -1 : 0;
    }
    bool unread = batch.max_time_us < reader->from_us || batch.min_time_us > reader->to_us;
    bool may_help = !search_is_full(search) ||
                    (unread && search_bucket_helps(search, search->newest_first ? batch.max_time_us : batch.min_time_us));
    for (size_t i = 0; result > 0 && i < batch.count; i++) {
        const struct bus_record *record = &batch.records[i];
        if (search->query->key.length > 0 && !bytes_equal(record->key, search->query->key))
            continue;
        may_help = may_help || search_bucket_helps(search, record->timestamp_us);
        if (search_offer(search, record, error) < 0)
            result = -1;
    }
    bus_reader_close(reader);
    return result < 0 ? -1 : !may_help;
}

/* Asks the index for more and more batches until the heap is full or there are none. */
static int search_run(struct search *search, struct error *error)
{
    struct store_range range = {.key = search->query->key,
                                .from_us = search->low.timestamp_us,
                                .to_us = search->high.timestamp_us,
                                .newest_first = search->newest_first};
    for (size_t wanted = 64;; wanted *= 4) {
        size_t count = wanted;
        uint64_t *offsets = calloc(wanted, sizeof *offsets);
        range.limit = wanted;
        int result = offsets ? store_find_batches(search->store, (uint32_t)search->topic, &range, offsets, &count, error)
                             : error_set(error, "out of memory");
        search->count = 0;
        arena_reset(&search->arena);
        int stop = 0;
        for (size_t i = 0; result == 0 && stop == 0 && i < count; i++) {
            stop = search_batch(search, offsets[i], error);
            if (stop < 0)
                result = -1;
        }
        free(offsets);
        if (result < 0)
            return -1;
        if (stop > 0 || count < wanted)
            return 0;
    }
}

static void write_cursor(struct buffer *out, const struct found *found)
{
    if (!found) {
        BUFFER_LITERAL(out, "null");
        return;
    }
    buffer_printf(out, "\"%lld-%llu\"", (long long)found->timestamp_us, (unsigned long long)found->offset);
}

/* Puts what was found in order and looks up what moderators took down of it. */
static int search_marks(struct search *search, struct error *error)
{
    qsort(search->heap, search->count, sizeof *search->heap, compare_found);
    if (search->topic != EVENT_TWITCH || search->count == 0)
        return 0;
    struct store_message *messages = calloc(search->count, sizeof *messages);
    search->marks = calloc(search->count, sizeof *search->marks);
    int result = messages && search->marks ? 0 : error_set(error, "out of memory");
    for (size_t i = 0; result == 0 && i < search->count; i++) {
        struct event event;
        if (event_parse(search->heap[i].json, &search->arena, &event) == REJECT_NONE && moderation_is_message(&event))
            messages[i] = moderation_message(&event, search->heap[i].offset);
        else /* is never later than a mark, has no id */
            messages[i] = (struct store_message){.timestamp_us = INT64_MAX, .offset = UINT64_MAX};
    }
    if (result == 0)
        result = store_find_marks(search->store, messages, search->count, &search->arena, search->marks, error);
    free(messages);
    return result;
}

/* The event with what became of it, behind all its other fields. */
static void write_marked(struct buffer *out, struct bytes json, const struct store_mark *mark)
{
    buffer_append(out, bytes_of(json.at, json.length - 1));
    buffer_printf(out, ",\"moderation\":{\"state\":\"%.*s\",\"at\":\"", BYTES_ARG(moderation_state_name(mark->kind)));
    timestamp_append(out, mark->timestamp_us);
    BUFFER_LITERAL(out, "\",\"by\":");
    buffer_json_string(out, mark->by);
    BUFFER_LITERAL(out, "}}");
}

static void search_write(const struct search *search, struct buffer *out)
{
    BUFFER_LITERAL(out, "{\"events\":[");
    for (size_t i = 0; i < search->count; i++) {
        if (i > 0)
            buffer_byte(out, ',');
        if (search->marks && search->marks[i].kind != STORE_MARK_NONE)
            write_marked(out, search->heap[i].json, &search->marks[i]);
        else
            buffer_append(out, search->heap[i].json);
    }
    BUFFER_LITERAL(out, "],\"next\":");
    bool empty = search->count == 0; /* then the cursors are those given: whoever polls goes on with them */
    write_cursor(out, empty ? search->after : &search->heap[search->count - 1]);
    BUFFER_LITERAL(out, ",\"previous\":");
    write_cursor(out, empty ? search->before : &search->heap[0]);
    buffer_byte(out, '}');
}

static bool parse_cursor(struct bytes text, struct found *found)
{
    struct bytes offset;
    uint64_t time;
    struct bytes time_text = bytes_split(text, '-', &offset);
    if (!bytes_to_u64(time_text, &time) || !bytes_to_u64(offset, &found->offset) || time > TIME_MAX)
        return false;
    found->timestamp_us = (int64_t)time;
    return true;
}

/* Bounds from times (inclusive) and cursors (exclusive). */
static bool search_bounds(struct search *search, struct error *error)
{
    const struct serve_events_query *query = search->query;
    search->low = (struct found){.timestamp_us = query->from_us - 1, .offset = UINT64_MAX};
    search->high = (struct found){.timestamp_us = query->to_us + 1, .offset = 0};
    if (query->after.length > 0) {
        if (!parse_cursor(query->after, &search->cursors[0]))
            return error_set(error, "after: not a cursor; give the \"next\" of an earlier answer") == 0;
        search->after = &search->cursors[0];
        if (compare_found(search->after, &search->low) > 0)
            search->low = *search->after;
    }
    if (query->before.length > 0) {
        if (!parse_cursor(query->before, &search->cursors[1]))
            return error_set(error, "before: not a cursor; give the \"previous\" of an earlier answer") == 0;
        search->before = &search->cursors[1];
        if (compare_found(search->before, &search->high) < 0)
            search->high = *search->before;
    }
    search->newest_first = query->after.length == 0 && (query->before.length > 0 || query->from_us <= TIME_MIN);
    return true;
}

int event_query(struct bus *bus, struct store *store, const struct serve_events_query *query, struct buffer *out,
                struct error *error)
{
    struct search search = {.bus = bus, .store = store, .query = query};
    if (!event_topic_parse(query->topic, &search.topic)) {
        error_set(error, "topic: one of chat_stream, market_stream, analytics_stream");
        return 400;
    }
    if (!search_bounds(&search, error))
        return 400;
    arena_init(&search.arena, (size_t)64 << 20);
    search.heap = calloc(query->limit, sizeof *search.heap);
    int result = search.heap ? search_run(&search, error) : error_set(error, "out of memory");
    if (result == 0)
        result = search_marks(&search, error);
    if (result == 0)
        search_write(&search, out);
    free(search.marks);
    free(search.heap);
    arena_release(&search.arena);
    return result == 0 ? 200 : 500;
}
