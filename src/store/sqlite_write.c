/* Writes.  The index is sparse: many events of a batch share one row.  They are brought together here, before SQLite
 * sees any of them: an event costs a lookup of its key and a comparison, a row costs an insertion.
 *
 * Caches (key ids and each key's last row, the extent of the last slab) hold only what is committed or part of the
 * transaction at work; when that fails, they are forgotten. */
#include "store/sqlite_internal.h"

#include <assert.h>

enum { KEY_CACHE_CAP = 65536 };

void sqlite_forget_caches(struct sqlite_store *sqlite)
{
    map_release(&sqlite->key_places);
    map_init(&sqlite->key_places, KEY_CACHE_CAP);
    sqlite->key_count = 0;
    sqlite->extent.slab = -1;
}

/* The id of a key that is not cached; adds the key if it is new. */
static int key_id(struct sqlite_store *sqlite, uint32_t topic, struct bytes key, int64_t *id, struct error *error)
{
    sqlite3_stmt *find = sqlite->statements[SQL_KEY_FIND];
    sqlite_bind_text(find, 1, key);
    sqlite3_bind_int64(find, 2, topic);
    int code = sqlite3_step(find);
    if (code == SQLITE_ROW)
        *id = sqlite3_column_int64(find, 0);
    sqlite3_reset(find);
    if (code == SQLITE_ROW)
        return 0;
    sqlite3_stmt *add = sqlite->statements[SQL_KEY_ADD];
    sqlite_bind_text(add, 1, key);
    sqlite3_bind_int64(add, 2, topic);
    if (code != SQLITE_DONE || sqlite_run(add) < 0)
        return sqlite_fail(sqlite, sqlite->writer, error, "numbering a key");
    *id = sqlite3_last_insert_rowid(sqlite->writer);
    return 0;
}

static int out_of_memory(const struct sqlite_store *sqlite, struct error *error)
{
    return error_set(error, "store %s: out of memory while indexing", sqlite->path);
}

/* Room for one more element in an array that doubles. */
static bool reserve_one(void **at, size_t count, size_t *capacity, size_t element_size)
{
    if (count < *capacity)
        return true;
    size_t wanted = *capacity ? *capacity * 2 : 64;
    void *grown = realloc(*at, wanted * element_size);
    if (!grown)
        return false;
    *at = grown;
    *capacity = wanted;
    return true;
}

/* Adds the key to the cache, in front of the same key of other topics. */
static struct sqlite_key *cache_key(struct sqlite_store *sqlite, uint32_t topic, struct bytes key, struct error *error)
{
    if (sqlite->key_count >= KEY_CACHE_CAP)
        sqlite_forget_caches(sqlite);
    struct sqlite_key fresh = {.bucket = INT64_MIN, .topic = topic};
    if (key_id(sqlite, topic, key, &fresh.id, error) < 0)
        return NULL;
    void *keys = sqlite->keys;
    bool room = reserve_one(&keys, sqlite->key_count, &sqlite->key_capacity, sizeof *sqlite->keys);
    sqlite->keys = keys;
    bool added;
    uint64_t *place = room ? map_put(&sqlite->key_places, key, &added) : NULL;
    if (!place) {
        out_of_memory(sqlite, error);
        return NULL;
    }
    fresh.next = (uint32_t)*place;
    sqlite->keys[sqlite->key_count++] = fresh;
    *place = sqlite->key_count;
    return &sqlite->keys[sqlite->key_count - 1];
}

/* Valid until the next call. */
static struct sqlite_key *find_key(struct sqlite_store *sqlite, uint32_t topic, struct bytes key, struct error *error)
{
    const uint64_t *place = map_find(&sqlite->key_places, key);
    for (uint32_t at = place ? (uint32_t)*place : 0; at; at = sqlite->keys[at - 1].next)
        if (sqlite->keys[at - 1].topic == topic)
            return &sqlite->keys[at - 1];
    return cache_key(sqlite, topic, key, error);
}

/* Notes that the key has an event in the bucket and batch, unless the key's last row says so already. */
static int note_row(struct sqlite_store *sqlite, struct sqlite_key *key, int64_t bucket, int64_t base_offset, struct error *error)
{
    if (key->bucket == bucket && key->base_offset == base_offset)
        return 0;
    void *rows = sqlite->rows;
    bool room = reserve_one(&rows, sqlite->row_count, &sqlite->row_capacity, sizeof *sqlite->rows);
    sqlite->rows = rows;
    if (!room)
        return out_of_memory(sqlite, error);
    sqlite->rows[sqlite->row_count++] = (struct sqlite_row){key->id, bucket, base_offset};
    key->bucket = bucket;
    key->base_offset = base_offset;
    return 0;
}

static int collect_rows(struct sqlite_store *sqlite, const struct store_write *write, struct error *error)
{
    sqlite->row_count = 0;
    for (size_t i = 0; i < write->entry_count; i++) {
        const struct store_index_entry *entry = &write->entries[i];
        assert(entry->base_offset <= INT64_MAX);
        int64_t bucket = sqlite_bucket_of(entry->timestamp_us);
        int64_t base_offset = (int64_t)entry->base_offset;
        struct sqlite_key *key = find_key(sqlite, entry->topic, entry->key, error);
        if (!key)
            return -1;
        if (key->bucket == bucket && key->base_offset == base_offset)
            continue; /* then the topic's row is there as well */
        if (note_row(sqlite, key, bucket, base_offset, error) < 0)
            return -1;
        struct sqlite_key *topic = find_key(sqlite, entry->topic, BYTES(""), error);
        if (!topic || note_row(sqlite, topic, bucket, base_offset, error) < 0)
            return -1;
    }
    return 0;
}

static int compare_rows(const void *left, const void *right)
{
    const struct sqlite_row *a = left, *b = right;
    if (a->key_id != b->key_id)
        return a->key_id < b->key_id ? -1 : 1;
    if (a->bucket != b->bucket)
        return a->bucket < b->bucket ? -1 : 1;
    return (a->base_offset > b->base_offset) - (a->base_offset < b->base_offset);
}

/* Makes the extent of the row's slab hold the row. */
static int widen_extent(struct sqlite_store *sqlite, const struct sqlite_row *row, struct error *error)
{
    struct sqlite_extent *extent = &sqlite->extent;
    int64_t slab = row->base_offset / SQLITE_SLAB_OFFSETS;
    if (extent->slab == slab && row->bucket >= extent->first_bucket && row->bucket <= extent->last_bucket)
        return 0;
    sqlite3_stmt *widen = sqlite->statements[SQL_EXTENT_WIDEN];
    sqlite3_bind_int64(widen, 1, slab);
    sqlite3_bind_int64(widen, 2, row->bucket);
    sqlite3_bind_int64(widen, 3, row->bucket);
    int code = sqlite3_step(widen);
    if (code == SQLITE_ROW)
        *extent = (struct sqlite_extent){slab, sqlite3_column_int64(widen, 0), sqlite3_column_int64(widen, 1)};
    sqlite3_reset(widen);
    return code == SQLITE_ROW ? 0 : sqlite_fail(sqlite, sqlite->writer, error, "noting a time range");
}

/* In the order of the table: neighbours share its pages. */
static int insert_rows(struct sqlite_store *sqlite, struct error *error)
{
    sqlite3_stmt *add = sqlite->statements[SQL_ROW_ADD];
    if (sqlite->row_count > 0)
        qsort(sqlite->rows, sqlite->row_count, sizeof *sqlite->rows, compare_rows);
    for (size_t i = 0; i < sqlite->row_count; i++) {
        const struct sqlite_row *row = &sqlite->rows[i];
        if (i > 0 && compare_rows(row, row - 1) == 0)
            continue;
        sqlite3_bind_int64(add, 1, row->key_id);
        sqlite3_bind_int64(add, 2, row->bucket);
        sqlite3_bind_int64(add, 3, row->base_offset);
        if (sqlite_run(add) < 0)
            return sqlite_fail(sqlite, sqlite->writer, error, "indexing");
        sqlite->counters.index_rows += sqlite3_changes(sqlite->writer);
        if (widen_extent(sqlite, row, error) < 0)
            return -1;
    }
    return 0;
}

static int run_document(sqlite3_stmt *statement, const struct store_document *document)
{
    sqlite_bind_text(statement, 1, document->id);
    sqlite_bind_text(statement, 2, document->key);
    sqlite3_bind_int64(statement, 3, document->timestamp_us);
    if (document->user.length > 0)
        sqlite_bind_text(statement, 4, document->user);
    else
        sqlite3_bind_null(statement, 4);
    sqlite_bind_text(statement, 5, document->json);
    return sqlite_run(statement);
}

/* Adds, and replaces where that changed nothing: so the count of documents stays exact. */
static int upsert_document(struct sqlite_store *sqlite, const struct store_document *document, struct error *error)
{
    assert(document->collection < STORE_COLLECTION_COUNT);
    int result = run_document(sqlite->statements[SQL_DOCUMENT_ADD + document->collection], document);
    if (result == 0 && sqlite3_changes(sqlite->writer) > 0)
        sqlite->counters.documents++;
    else if (result == 0)
        result = run_document(sqlite->statements[SQL_DOCUMENT_REPLACE + document->collection], document);
    return result == 0 ? 0 : sqlite_fail(sqlite, sqlite->writer, error, "storing a document");
}

static int set_position(struct sqlite_store *sqlite, struct bytes reader, uint64_t next_offset, struct error *error)
{
    sqlite3_stmt *set = sqlite->statements[SQL_POSITION_SET];
    sqlite_bind_text(set, 1, reader);
    sqlite3_bind_int64(set, 2, sqlite_offset_of(next_offset));
    return sqlite_run(set) == 0 ? 0 : sqlite_fail(sqlite, sqlite->writer, error, "noting a position");
}

static int write_parts(struct sqlite_store *sqlite, const struct store_write *write, struct error *error)
{
    if (collect_rows(sqlite, write, error) < 0 || insert_rows(sqlite, error) < 0)
        return -1;
    for (size_t i = 0; i < write->document_count; i++)
        if (upsert_document(sqlite, &write->documents[i], error) < 0)
            return -1;
    for (size_t i = 0; i < write->mark_count; i++)
        if (sqlite_add_mark(sqlite, &write->marks[i], error) < 0)
            return -1;
    return write->reader.length > 0 ? set_position(sqlite, write->reader, write->next_offset, error) : 0;
}

int sqlite_write(struct store *store, const struct store_write *write, struct error *error)
{
    struct sqlite_store *sqlite = sqlite_of(store);
    if (sqlite_begin(sqlite, error) < 0)
        return -1;
    return sqlite_end(sqlite, write_parts(sqlite, write, error), error);
}
