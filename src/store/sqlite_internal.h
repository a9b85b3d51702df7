/* Private to the SQLite store: what its files share. */
#ifndef STORE_SQLITE_INTERNAL_H
#define STORE_SQLITE_INTERNAL_H

#include "base/map.h"
#include "store/store.h"
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

/* Statements of the writing connection.  Those on documents exist once a collection. */
enum sqlite_statement {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_KEY_FIND,
    SQL_KEY_ADD,
    SQL_ROW_ADD,
    SQL_EXTENT_WIDEN,
    SQL_POSITION_SET,
    SQL_COUNTERS_SET,
    SQL_MARK_ADD,
    SQL_DOCUMENT_ADD,
    SQL_DOCUMENT_REPLACE = SQL_DOCUMENT_ADD + STORE_COLLECTION_COUNT,
    SQL_STATEMENT_COUNT = SQL_DOCUMENT_REPLACE + STORE_COLLECTION_COUNT
};

/* Statements of the reading connection. */
enum sqlite_query {
    SQL_FIND_OLDEST_FIRST,
    SQL_FIND_NEWEST_FIRST,
    SQL_POSITION_GET,
    SQL_MARK_FIND,
    SQL_MARK_LIST,
    SQL_QUERY_COUNT
};

/* A key of the index, as cached.  bucket and base_offset are of the row that it was given last: most events of a batch
 * ask for that row again. */
struct sqlite_key {
    int64_t id;
    int64_t bucket; /* INT64_MIN: no row yet */
    int64_t base_offset;
    uint32_t topic;
    uint32_t next; /* the same key of another topic, index + 1; 0: none */
};

/* A row of the index that a write wants to be there. */
struct sqlite_row {
    int64_t key_id, bucket, base_offset;
};

/* Time range of the rows of one slab of offsets, as in the table extents. */
struct sqlite_extent {
    int64_t slab; /* -1: none cached */
    int64_t first_bucket, last_bucket;
};

struct sqlite_counters {
    int64_t index_rows, documents;
};

struct sqlite_store {
    struct store store;
    char *path;

    pthread_mutex_t write_lock; /* guards all down to the next lock */
    sqlite3 *writer;
    sqlite3_stmt *statements[SQL_STATEMENT_COUNT];
    struct map key_places; /* key -> index + 1 into keys */
    struct sqlite_key *keys;
    size_t key_count, key_capacity;
    struct sqlite_row *rows; /* of the write at work */
    size_t row_count, row_capacity;
    struct sqlite_extent extent;
    struct sqlite_counters counters; /* within the transaction; published when it is committed */

    pthread_mutex_t read_lock; /* guards the reading connection */
    sqlite3 *reader;
    sqlite3_stmt *queries[SQL_QUERY_COUNT];

    _Atomic int64_t index_rows, documents; /* committed */
};

/* The table of a collection. */
extern const char *const sqlite_collection_tables[STORE_COLLECTION_COUNT];

static inline struct sqlite_store *sqlite_of(struct store *store)
{
    return (struct sqlite_store *)store;
}

static inline int64_t sqlite_bucket_of(int64_t time_us)
{
    return time_us / STORE_BUCKET_US - (time_us % STORE_BUCKET_US < 0);
}

/* SQLite's integers are signed: no offset reaches half of the range. */
static inline int64_t sqlite_offset_of(uint64_t offset)
{
    return offset > INT64_MAX ? INT64_MAX : (int64_t)offset;
}

/* Binds text, empty as such (a NULL pointer would be bound as SQL NULL).  The bytes stay until the step is done. */
static inline void sqlite_bind_text(sqlite3_stmt *statement, int index, struct bytes text)
{
    sqlite3_bind_text64(statement, index, text.length ? text.at : "", text.length, SQLITE_STATIC, SQLITE_UTF8);
}

/* Fills the error from what the connection last reported; `doing` completes "… while ".  Returns -1. */
int sqlite_fail(const struct sqlite_store *sqlite, sqlite3 *connection, struct error *error, const char *doing);

/* Steps a statement that returns no rows, and resets it.  0, or -1. */
int sqlite_run(sqlite3_stmt *statement);

/* Locks and begins; ends and unlocks.  A transaction that fails (result < 0) is rolled back, and the caches with it. */
int sqlite_begin(struct sqlite_store *sqlite, struct error *error);
int sqlite_end(struct sqlite_store *sqlite, int result, struct error *error);

/* Class functions; sqlite_write.c. */
int sqlite_write(struct store *store, const struct store_write *write, struct error *error);
void sqlite_forget_caches(struct sqlite_store *sqlite);

/* sqlite_remove.c */
int sqlite_retain(struct store *store, int64_t older_than_us, uint64_t first_offset, struct error *error);
int sqlite_erase_user(struct store *store, struct bytes user, uint64_t *erased, struct error *error);

/* sqlite_query.c */
int sqlite_position(struct store *store, struct bytes reader, uint64_t *next_offset, struct error *error);
int sqlite_find_batches(struct store *store, uint32_t topic, const struct store_range *range, uint64_t *base_offsets,
                        size_t *count, struct error *error);
int sqlite_find_documents(struct store *store, enum store_collection collection, const struct store_range *range,
                          struct arena *arena, struct store_document *documents, size_t *count, struct error *error);

/* sqlite_marks.c; the first within a transaction */
int sqlite_add_mark(struct sqlite_store *sqlite, const struct store_mark *mark, struct error *error);
int sqlite_find_marks(struct store *store, const struct store_message *messages, size_t count, struct arena *arena,
                      struct store_mark *marks, struct error *error);
int sqlite_list_marks(struct store *store, uint64_t from_offset, struct arena *arena, struct store_mark *marks, size_t *count,
                      struct error *error);
/* What a mark is about, as the table has it. */
enum sqlite_scope { SQLITE_SCOPE_MESSAGE, SQLITE_SCOPE_USER, SQLITE_SCOPE_CHANNEL };

/* Offsets in a slab: the grain in which retention knows where old rows lie. */
enum { SQLITE_SLAB_OFFSETS = 16384 };

#endif
