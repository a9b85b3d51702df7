/* Removal: retention and erasure.
 *
 * Retention goes slab by slab through the offsets that are no longer in the log and, for each key, over the time
 * range that the slab's extent names: an exact removal without a scan of the whole index.  Each step is a
 * transaction of bounded size, and writes find their turn between the steps. */
#include "store/sqlite_internal.h"

enum { DOCUMENTS_A_STEP = 2000, ROWS_A_STEP = 8192 };

/* The statements of removal run rarely: each is prepared for its use. */
static int prepare(struct sqlite_store *sqlite, const char *text, sqlite3_stmt **statement, struct error *error)
{
    if (sqlite3_prepare_v2(sqlite->writer, text, -1, statement, NULL) != SQLITE_OK)
        return sqlite_fail(sqlite, sqlite->writer, error, "removing");
    return 0;
}

/* ---- documents ---- */

/* Removes documents older than a time from one collection, at most DOCUMENTS_A_STEP; *removed says how many. */
static int remove_old_documents(struct sqlite_store *sqlite, size_t collection, int64_t older_than_us, int *removed,
                                struct error *error)
{
    char text[256];
    const char *table = sqlite_collection_tables[collection];
    snprintf(text, sizeof text, "DELETE FROM %s WHERE rowid IN (SELECT rowid FROM %s WHERE timestamp_us < ?1 LIMIT %d)", table,
             table, DOCUMENTS_A_STEP);
    *removed = 0;
    if (sqlite_begin(sqlite, error) < 0)
        return -1;
    sqlite3_stmt *statement = NULL;
    int result = prepare(sqlite, text, &statement, error);
    if (result == 0) {
        sqlite3_bind_int64(statement, 1, older_than_us);
        result = sqlite_run(statement) == 0 ? 0 : sqlite_fail(sqlite, sqlite->writer, error, "removing old documents");
    }
    if (result == 0) {
        *removed = sqlite3_changes(sqlite->writer);
        sqlite->counters.documents -= *removed;
    }
    sqlite3_finalize(statement);
    return sqlite_end(sqlite, result, error);
}

/* The marks that name the user. */
static int erase_marks(struct sqlite_store *sqlite, struct bytes user, struct error *error)
{
    sqlite3_stmt *statement = NULL;
    int result = prepare(sqlite, "DELETE FROM marks WHERE scope = ?1 AND target = ?2", &statement, error);
    if (result == 0) {
        sqlite3_bind_int64(statement, 1, SQLITE_SCOPE_USER);
        sqlite_bind_text(statement, 2, user);
        result = sqlite_run(statement) == 0 ? 0 : sqlite_fail(sqlite, sqlite->writer, error, "erasing a user's marks");
    }
    sqlite3_finalize(statement);
    return result;
}

int sqlite_erase_user(struct store *store, struct bytes user, uint64_t *erased, struct error *error)
{
    struct sqlite_store *sqlite = sqlite_of(store);
    *erased = 0;
    if (sqlite_begin(sqlite, error) < 0)
        return -1;
    int result = 0;
    int64_t removed = 0;
    for (size_t c = 0; c < STORE_COLLECTION_COUNT && result == 0; c++) {
        char text[128];
        snprintf(text, sizeof text, "DELETE FROM %s WHERE user = ?1", sqlite_collection_tables[c]);
        sqlite3_stmt *statement = NULL;
        result = prepare(sqlite, text, &statement, error);
        if (result == 0) {
            sqlite_bind_text(statement, 1, user);
            result = sqlite_run(statement) == 0 ? 0 : sqlite_fail(sqlite, sqlite->writer, error, "erasing a user");
            removed += result == 0 ? sqlite3_changes(sqlite->writer) : 0;
        }
        sqlite3_finalize(statement);
    }
    sqlite->counters.documents -= removed;
    if (result == 0)
        result = erase_marks(sqlite, user, error);
    if (sqlite_end(sqlite, result, error) < 0)
        return -1;
    *erased = (uint64_t)removed;
    /* The WAL still holds pages from before.  Moved into the file and cut, it no longer does. */
    pthread_mutex_lock(&sqlite->write_lock);
    result = sqlite3_wal_checkpoint_v2(sqlite->writer, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    if (result != SQLITE_OK)
        sqlite_fail(sqlite, sqlite->writer, error, "cutting the write-ahead log");
    pthread_mutex_unlock(&sqlite->write_lock);
    return result == SQLITE_OK ? 0 : -1;
}

/* ---- index ---- */

struct retention {
    int64_t first_offset; /* rows before it go */
    struct sqlite_extent extent;
    int64_t next_key; /* where the next step goes on within the slab */
    bool removed;     /* any rows */
    sqlite3_stmt *extent_next, *extent_drop, *key_next, *rows_drop;
};

static int retention_prepare(struct sqlite_store *sqlite, struct retention *retention, struct error *error)
{
    struct {
        sqlite3_stmt **statement;
        const char *text;
    } const all[] = {
        {&retention->extent_next, "SELECT slab, first_bucket, last_bucket FROM extents WHERE slab >= ?1 AND slab <= ?2"
                                  " ORDER BY slab LIMIT 1"},
        {&retention->extent_drop, "DELETE FROM extents WHERE slab = ?1"},
        {&retention->key_next, "SELECT id FROM keys WHERE id >= ?1 ORDER BY id LIMIT 1"},
        {&retention->rows_drop, "DELETE FROM events WHERE key_id = ?1 AND bucket BETWEEN ?2 AND ?3"
                                " AND base_offset BETWEEN ?4 AND ?5"},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (prepare(sqlite, all[i].text, all[i].statement, error) < 0)
            return -1;
    return 0;
}

static void retention_release(struct retention *retention)
{
    sqlite3_finalize(retention->extent_next);
    sqlite3_finalize(retention->extent_drop);
    sqlite3_finalize(retention->key_next);
    sqlite3_finalize(retention->rows_drop);
}

/* Finds the first slab from `slab` on that has old rows.  1: there is one; 0: none; -1. */
static int next_extent(struct sqlite_store *sqlite, struct retention *retention, int64_t slab, struct error *error)
{
    sqlite3_stmt *next = retention->extent_next;
    sqlite3_bind_int64(next, 1, slab);
    sqlite3_bind_int64(next, 2, (retention->first_offset - 1) / SQLITE_SLAB_OFFSETS);
    int code = sqlite3_step(next);
    if (code == SQLITE_ROW)
        retention->extent =
            (struct sqlite_extent){sqlite3_column_int64(next, 0), sqlite3_column_int64(next, 1), sqlite3_column_int64(next, 2)};
    sqlite3_reset(next);
    retention->next_key = 0;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return sqlite_fail(sqlite, sqlite->writer, error, "finding old index rows");
    return code == SQLITE_ROW;
}

/* The first key from next_key on.  1: there is one; 0: none; -1. */
static int next_key(struct sqlite_store *sqlite, struct retention *retention, int64_t *key_id, struct error *error)
{
    sqlite3_stmt *next = retention->key_next;
    sqlite3_bind_int64(next, 1, retention->next_key);
    int code = sqlite3_step(next);
    if (code == SQLITE_ROW)
        *key_id = sqlite3_column_int64(next, 0);
    sqlite3_reset(next);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return sqlite_fail(sqlite, sqlite->writer, error, "finding old index rows");
    return code == SQLITE_ROW;
}

/* Drops the rows of one key that lie in the slab and before first_offset. */
static int drop_rows(struct sqlite_store *sqlite, const struct retention *retention, int64_t key_id, struct error *error)
{
    int64_t slab_first = retention->extent.slab * SQLITE_SLAB_OFFSETS;
    int64_t slab_last = slab_first + SQLITE_SLAB_OFFSETS - 1;
    int64_t last = slab_last < retention->first_offset ? slab_last : retention->first_offset - 1;
    sqlite3_bind_int64(retention->rows_drop, 1, key_id);
    sqlite3_bind_int64(retention->rows_drop, 2, retention->extent.first_bucket);
    sqlite3_bind_int64(retention->rows_drop, 3, retention->extent.last_bucket);
    sqlite3_bind_int64(retention->rows_drop, 4, slab_first);
    sqlite3_bind_int64(retention->rows_drop, 5, last);
    if (sqlite_run(retention->rows_drop) < 0)
        return sqlite_fail(sqlite, sqlite->writer, error, "removing old index rows");
    return 0;
}

/* Drops the extent once all offsets of its slab are old. */
static int drop_extent(struct sqlite_store *sqlite, const struct retention *retention, struct error *error)
{
    if ((retention->extent.slab + 1) * SQLITE_SLAB_OFFSETS > retention->first_offset)
        return 0;
    sqlite3_bind_int64(retention->extent_drop, 1, retention->extent.slab);
    if (sqlite_run(retention->extent_drop) < 0)
        return sqlite_fail(sqlite, sqlite->writer, error, "removing old index rows");
    return 0;
}

/* Drops rows of the slab, key by key, until enough are gone.  1: the slab is done; 0: there may be more; -1. */
static int drop_some_rows(struct sqlite_store *sqlite, struct retention *retention, struct error *error)
{
    for (int64_t removed = 0; removed < ROWS_A_STEP;) {
        int64_t key_id = 0;
        int found = next_key(sqlite, retention, &key_id, error);
        if (found < 0)
            return -1;
        if (found == 0)
            return drop_extent(sqlite, retention, error) < 0 ? -1 : 1;
        if (drop_rows(sqlite, retention, key_id, error) < 0)
            return -1;
        removed += sqlite3_changes(sqlite->writer);
        retention->removed = retention->removed || removed > 0;
        sqlite->counters.index_rows -= sqlite3_changes(sqlite->writer);
        retention->next_key = key_id + 1;
    }
    return 0;
}

/* A transaction around drop_some_rows. */
static int retention_step(struct sqlite_store *sqlite, struct retention *retention, struct error *error)
{
    if (sqlite_begin(sqlite, error) < 0)
        return -1;
    int done = drop_some_rows(sqlite, retention, error);
    return sqlite_end(sqlite, done < 0 ? -1 : 0, error) < 0 ? -1 : done;
}

/* Keys without rows: they would gather for ever.  Ids, last rows and extents that are cached may be gone after that. */
static int drop_unused_keys(struct sqlite_store *sqlite, struct error *error)
{
    if (sqlite_begin(sqlite, error) < 0)
        return -1;
    int code = sqlite3_exec(sqlite->writer, "DELETE FROM keys WHERE NOT EXISTS (SELECT 1 FROM events WHERE key_id = keys.id)",
                            NULL, NULL, NULL);
    int result = code == SQLITE_OK ? 0 : sqlite_fail(sqlite, sqlite->writer, error, "removing unused keys");
    sqlite_forget_caches(sqlite);
    return sqlite_end(sqlite, result, error);
}

/* The write lock is held for each search and each step, not in between. */
static int retain_slabs(struct sqlite_store *sqlite, struct retention *retention, struct error *error)
{
    for (int64_t slab = 0;; slab = retention->extent.slab + 1) {
        pthread_mutex_lock(&sqlite->write_lock);
        int found = next_extent(sqlite, retention, slab, error);
        pthread_mutex_unlock(&sqlite->write_lock);
        if (found <= 0)
            return found;
        int done;
        do
            done = retention_step(sqlite, retention, error);
        while (done == 0);
        if (done < 0)
            return -1;
    }
}

static int retain_rows(struct sqlite_store *sqlite, int64_t first_offset, struct error *error)
{
    struct retention retention = {.first_offset = first_offset};
    pthread_mutex_lock(&sqlite->write_lock);
    int result = retention_prepare(sqlite, &retention, error);
    pthread_mutex_unlock(&sqlite->write_lock);
    if (result == 0)
        result = retain_slabs(sqlite, &retention, error);
    pthread_mutex_lock(&sqlite->write_lock);
    retention_release(&retention);
    pthread_mutex_unlock(&sqlite->write_lock);
    return result == 0 && retention.removed ? drop_unused_keys(sqlite, error) : result;
}

/* Marks are few: one transaction. */
static int retain_marks(struct sqlite_store *sqlite, int64_t first_offset, struct error *error)
{
    if (sqlite_begin(sqlite, error) < 0)
        return -1;
    sqlite3_stmt *statement = NULL;
    int result = prepare(sqlite, "DELETE FROM marks WHERE log_offset < ?1", &statement, error);
    if (result == 0) {
        sqlite3_bind_int64(statement, 1, first_offset);
        result = sqlite_run(statement) == 0 ? 0 : sqlite_fail(sqlite, sqlite->writer, error, "removing old marks");
    }
    sqlite3_finalize(statement);
    return sqlite_end(sqlite, result, error);
}

int sqlite_retain(struct store *store, int64_t older_than_us, uint64_t first_offset, struct error *error)
{
    struct sqlite_store *sqlite = sqlite_of(store);
    for (size_t c = 0; c < STORE_COLLECTION_COUNT; c++) {
        int removed;
        do
            if (remove_old_documents(sqlite, c, older_than_us, &removed, error) < 0)
                return -1;
        while (removed == DOCUMENTS_A_STEP);
    }
    if (first_offset == 0)
        return 0;
    if (retain_rows(sqlite, sqlite_offset_of(first_offset), error) < 0)
        return -1;
    return retain_marks(sqlite, sqlite_offset_of(first_offset), error);
}
