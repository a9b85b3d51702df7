/* Queries, on the reading connection and under its lock. */
#include "store/sqlite_internal.h"

int sqlite_position(struct store *store, struct bytes reader, uint64_t *next_offset, struct error *error)
{
    struct sqlite_store *sqlite = sqlite_of(store);
    pthread_mutex_lock(&sqlite->read_lock);
    sqlite3_stmt *get = sqlite->queries[SQL_POSITION_GET];
    sqlite_bind_text(get, 1, reader);
    int code = sqlite3_step(get);
    *next_offset = code == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(get, 0) : 0;
    sqlite3_reset(get);
    int result = code == SQLITE_ROW || code == SQLITE_DONE ? 0 : sqlite_fail(sqlite, sqlite->reader, error, "reading a position");
    pthread_mutex_unlock(&sqlite->read_lock);
    return result;
}

/* Takes base offsets from the rows, each the first time that it comes: a batch has a row for every bucket it reaches. */
static int collect_offsets(struct sqlite_store *sqlite, sqlite3_stmt *find, uint64_t *base_offsets, size_t *count,
                           struct error *error)
{
    struct map seen;
    map_init(&seen, *count);
    size_t found = 0;
    int result = 0, code = SQLITE_DONE;
    while (found < *count && result == 0 && (code = sqlite3_step(find)) == SQLITE_ROW) {
        uint64_t offset = (uint64_t)sqlite3_column_int64(find, 0);
        bool added;
        if (!map_put(&seen, bytes_of((const char *)&offset, sizeof offset), &added))
            result = error_set(error, "store %s: out of memory for a query", sqlite->path);
        else if (added)
            base_offsets[found++] = offset;
    }
    if (result == 0 && code != SQLITE_ROW && code != SQLITE_DONE)
        result = sqlite_fail(sqlite, sqlite->reader, error, "searching the index");
    map_release(&seen);
    *count = found;
    return result;
}

int sqlite_find_batches(struct store *store, uint32_t topic, const struct store_range *range, uint64_t *base_offsets,
                        size_t *count, struct error *error)
{
    struct sqlite_store *sqlite = sqlite_of(store);
    pthread_mutex_lock(&sqlite->read_lock);
    sqlite3_stmt *find = sqlite->queries[range->newest_first ? SQL_FIND_NEWEST_FIRST : SQL_FIND_OLDEST_FIRST];
    sqlite_bind_text(find, 1, range->key);
    sqlite3_bind_int64(find, 2, topic);
    sqlite3_bind_int64(find, 3, sqlite_bucket_of(range->from_us));
    sqlite3_bind_int64(find, 4, sqlite_bucket_of(range->to_us));
    int result = collect_offsets(sqlite, find, base_offsets, count, error);
    sqlite3_reset(find);
    pthread_mutex_unlock(&sqlite->read_lock);
    return result;
}

static struct bytes column_bytes(sqlite3_stmt *statement, int column)
{
    const char *at = (const char *)sqlite3_column_text(statement, column);
    return bytes_of(at, at ? (size_t)sqlite3_column_bytes(statement, column) : 0);
}

/* The row as a document, its texts copied.  False when out of memory. */
static bool copy_document(sqlite3_stmt *row, struct arena *arena, struct store_document *document)
{
    document->timestamp_us = sqlite3_column_int64(row, 4);
    struct bytes *const fields[] = {&document->id, &document->key, &document->user, &document->json};
    for (int i = 0; i < 4; i++) {
        *fields[i] = arena_copy(arena, column_bytes(row, i));
        if (!fields[i]->at)
            return false;
    }
    return true;
}

static int prepare_find(struct sqlite_store *sqlite, enum store_collection collection, const struct store_range *range,
                        sqlite3_stmt **find, struct error *error)
{
    char text[384];
    const char *order = range->newest_first ? "DESC" : "ASC";
    snprintf(text, sizeof text,
             "SELECT id, key, user, json, timestamp_us FROM %s WHERE timestamp_us BETWEEN ?1 AND ?2%s%s"
             " ORDER BY timestamp_us %s, id %s LIMIT ?5",
             sqlite_collection_tables[collection], range->key.length ? " AND key = ?3" : "",
             range->past_id.length == 0 ? ""
             : range->newest_first      ? " AND (timestamp_us < ?2 OR id < ?4)"
                                        : " AND (timestamp_us > ?1 OR id > ?4)",
             order, order);
    if (sqlite3_prepare_v2(sqlite->reader, text, -1, find, NULL) != SQLITE_OK)
        return sqlite_fail(sqlite, sqlite->reader, error, "searching documents");
    sqlite3_bind_int64(*find, 1, range->from_us);
    sqlite3_bind_int64(*find, 2, range->to_us);
    if (range->key.length > 0)
        sqlite_bind_text(*find, 3, range->key);
    if (range->past_id.length > 0)
        sqlite_bind_text(*find, 4, range->past_id);
    sqlite3_bind_int64(*find, 5, range->limit > INT64_MAX ? INT64_MAX : (int64_t)range->limit);
    return 0;
}

int sqlite_find_documents(struct store *store, enum store_collection collection, const struct store_range *range,
                          struct arena *arena, struct store_document *documents, size_t *count, struct error *error)
{
    struct sqlite_store *sqlite = sqlite_of(store);
    sqlite3_stmt *find = NULL;
    size_t found = 0;
    pthread_mutex_lock(&sqlite->read_lock);
    int result = prepare_find(sqlite, collection, range, &find, error);
    int code = SQLITE_DONE;
    while (result == 0 && (code = sqlite3_step(find)) == SQLITE_ROW) {
        documents[found] = (struct store_document){.collection = collection};
        if (!copy_document(find, arena, &documents[found]))
            result = error_set(error, "store %s: out of memory for the documents asked for", sqlite->path);
        else
            found++;
    }
    if (result == 0 && code != SQLITE_DONE)
        result = sqlite_fail(sqlite, sqlite->reader, error, "searching documents");
    sqlite3_finalize(find);
    pthread_mutex_unlock(&sqlite->read_lock);
    *count = found;
    return result;
}
