/* Invariant: next_offset is the position of the last committed transaction; entries read but not committed are read
 * again after a failure. */
#include "pipeline/indexer.h"

#include "event/event.h"
#include "pipeline/moderation.h"
#include <stdlib.h>

/* Records of one transaction: large enough that its cost vanishes, small enough for bounded memory. */
enum { INDEXER_RECORDS_MAX = 8192 };

struct indexer {
    struct bus *bus;
    struct store *store;
    struct bus_reader *reader;
    uint64_t next_offset, lost;
    struct store_index_entry *entries;
    size_t count, capacity;
    struct store_mark *marks;
    size_t mark_count, mark_capacity;
    struct arena keys; /* of entries and marks: the reader's bytes end with its next call */
};

struct indexer *indexer_create(struct bus *bus, struct store *store, struct error *error)
{
    struct indexer *indexer = calloc(1, sizeof *indexer);
    if (!indexer) {
        error_set(error, "out of memory for the store writer");
        return NULL;
    }
    indexer->bus = bus;
    indexer->store = store;
    arena_init(&indexer->keys, (size_t)256 * 1024 * 1024);
    if (store_position(store, INDEXER_READER, &indexer->next_offset, error) < 0) {
        indexer_destroy(indexer);
        return NULL;
    }
    struct bus_info info;
    bus_info(bus, &info);
    if (indexer->next_offset > info.end_offset) {
        error_set(
            error,
            "the store knows the log up to offset %llu, but it ends at %llu: %llu records are missing; restore the log from a "
            "copy, or give them up with `dataflow rebuild`",
            (unsigned long long)indexer->next_offset, (unsigned long long)info.end_offset,
            (unsigned long long)(indexer->next_offset - info.end_offset));
        indexer_destroy(indexer);
        return NULL;
    }
    if (indexer->next_offset < info.first_offset) /* dropped by retention: not lost */
        indexer->next_offset = info.first_offset;
    indexer->reader = bus_reader_open(bus, indexer->next_offset, BUS_ALL_TOPICS, error);
    if (!indexer->reader) {
        indexer_destroy(indexer);
        return NULL;
    }
    return indexer;
}

void indexer_destroy(struct indexer *indexer)
{
    if (!indexer)
        return;
    if (indexer->reader)
        bus_reader_close(indexer->reader);
    arena_release(&indexer->keys);
    free(indexer->entries);
    free(indexer->marks);
    free(indexer);
}

static int indexer_reserve(struct indexer *indexer, size_t more, struct error *error)
{
    if (indexer->count + more <= indexer->capacity)
        return 0;
    size_t wanted = indexer->count + more > INDEXER_RECORDS_MAX ? indexer->count + more : INDEXER_RECORDS_MAX;
    struct store_index_entry *grown = realloc(indexer->entries, wanted * sizeof *grown);
    if (!grown)
        return error_set(error, "out of memory for %zu index entries", wanted);
    indexer->entries = grown;
    indexer->capacity = wanted;
    return 0;
}

/* Neighbouring records often share their key: one copy serves both. */
static struct bytes indexer_copy_key(struct indexer *indexer, struct bytes key)
{
    if (indexer->count > 0 && bytes_equal(indexer->entries[indexer->count - 1].key, key))
        return indexer->entries[indexer->count - 1].key;
    return arena_copy(&indexer->keys, key);
}

/* What a moderator took down. */
static int indexer_mark(struct indexer *indexer, const struct bus_record *record, struct error *error)
{
    if (indexer->mark_count == indexer->mark_capacity) {
        size_t wanted = indexer->mark_capacity ? indexer->mark_capacity * 2 : 64;
        struct store_mark *grown = realloc(indexer->marks, wanted * sizeof *grown);
        if (!grown)
            return error_set(error, "out of memory for %zu moderators' marks", wanted);
        indexer->marks = grown;
        indexer->mark_capacity = wanted;
    }
    int made = moderation_mark(record->value, record->offset, &indexer->keys, &indexer->marks[indexer->mark_count], error);
    if (made > 0)
        indexer->mark_count++;
    return made < 0 ? -1 : 0;
}

static int indexer_add(struct indexer *indexer, const struct bus_batch *batch, struct error *error)
{
    if (indexer_reserve(indexer, batch->count, error) < 0)
        return -1;
    for (size_t i = 0; i < batch->count; i++) {
        const struct bus_record *record = &batch->records[i];
        struct bytes key = indexer_copy_key(indexer, record->key);
        if (!key.at)
            return error_set(error, "out of memory for index keys");
        indexer->entries[indexer->count++] = (struct store_index_entry){
            .topic = record->topic, .key = key, .timestamp_us = record->timestamp_us, .base_offset = batch->base_offset};
        if (record->topic == EVENT_TWITCH && moderation_is_deed(record->value) && indexer_mark(indexer, record, error) < 0)
            return -1;
    }
    return 0;
}

/* Reads batches until there are enough or no more.  *end: the offset behind the last one; *lost: how many offsets were passed
 * over because they cannot be read. */
static int indexer_collect(struct indexer *indexer, uint64_t *end, uint64_t *lost, struct error *error)
{
    indexer->count = indexer->mark_count = 0;
    arena_reset(&indexer->keys);
    *end = indexer->next_offset;
    *lost = 0;
    while (indexer->count < INDEXER_RECORDS_MAX) {
        struct bus_batch batch;
        int found = bus_reader_next_past_damage(indexer->reader, &batch, error);
        if (found <= 0)
            return found;
        if (indexer_add(indexer, &batch, error) < 0)
            return -1;
        *lost += batch.base_offset > *end ? batch.base_offset - *end : 0;
        *end = batch.end_offset;
    }
    return 0;
}

void indexer_read_anew(struct indexer *indexer)
{
    bus_reader_close(indexer->reader);
    indexer->reader = bus_reader_open(indexer->bus, indexer->next_offset, BUS_ALL_TOPICS, NULL);
}

static int indexer_rewind(struct indexer *indexer)
{
    indexer_read_anew(indexer);
    return -1;
}

int indexer_step(struct indexer *indexer, uint64_t *count, struct error *error)
{
    *count = 0;
    if (!indexer->reader) /* could not be reopened after the last failure */
        indexer->reader = bus_reader_open(indexer->bus, indexer->next_offset, BUS_ALL_TOPICS, error);
    if (!indexer->reader)
        return -1;
    uint64_t end, lost;
    if (indexer_collect(indexer, &end, &lost, error) < 0)
        return indexer_rewind(indexer);
    if (end == indexer->next_offset)
        return 0;
    struct store_write write = {.entries = indexer->entries,
                                .entry_count = indexer->count,
                                .reader = INDEXER_READER,
                                .next_offset = end,
                                .marks = indexer->marks,
                                .mark_count = indexer->mark_count};
    if (store_write(indexer->store, &write, error) < 0)
        return indexer_rewind(indexer);
    *count = indexer->count;
    indexer->next_offset = end;
    indexer->lost += lost;
    return 0;
}

uint64_t indexer_lost(const struct indexer *indexer)
{
    return indexer->lost;
}

uint64_t indexer_next_offset(const struct indexer *indexer)
{
    return indexer->next_offset;
}
