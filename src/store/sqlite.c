/* The store on SQLite: opening, schema, transactions, errors.  Writing is in sqlite_write.c, removal in
 * sqlite_remove.c, queries in sqlite_query.c, moderators' marks in sqlite_marks.c.
 *
 * Durability.  The store is derived from the log and its reader's position is committed with the rows it stands for.
 * So the last transactions may be lost (they are read from the log again), but rows and position must never
 * part.  WAL with synchronous=NORMAL is just that: SQLite syncs at checkpoints alone; after power loss the file is
 * consistent as of some earlier commit.  kill -9 loses nothing.
 *
 * Tables
 *   keys(id, topic, key)                 numbers the keys; key '' of each topic stands for all of its keys
 *   events(key_id, bucket, base_offset)  the index: an event of the key, in a time bucket of STORE_BUCKET_US, lies in
 *                                        the batch; clustered, so that a query is one range scan
 *   extents(slab, first_bucket, last_bucket)  time range of the rows whose base_offset lies in a slab of
 *                                        SQLITE_SLAB_OFFSETS offsets: retention finds old rows without a full scan
 *   positions(reader, next_offset)
 *   marks(channel, scope, target, timestamp_us, log_offset, kind, event_id)  what moderators took down, so ordered that the
 *                                        first that holds for a message is found at once
 *   counters                             one row: rows and documents that are there; counting them takes too long
 *   chat_toxicity, market_anomalies, alerts, windows  documents
 *
 * Two connections, each under a lock of its own: queries run beside a write (WAL) and never hold it up. */
#include "store/sqlite_internal.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

/* "DfSt"; tells our files from those of other programs. */
#define SQLITE_APPLICATION_ID 0x44665374
enum { SCHEMA_VERSION = 2, BUSY_TIMEOUT_MS = 5000 };

const char *const sqlite_collection_tables[STORE_COLLECTION_COUNT] = {
    [STORE_CHAT_TOXICITY] = "chat_toxicity",
    [STORE_MARKET_ANOMALIES] = "market_anomalies",
    [STORE_ALERTS] = "alerts",
    [STORE_WINDOWS] = "windows",
};

static const char schema[] =
    "CREATE TABLE keys(id INTEGER PRIMARY KEY, topic INTEGER NOT NULL, key TEXT NOT NULL, UNIQUE(key, topic));"
    "CREATE TABLE events(key_id INTEGER NOT NULL, bucket INTEGER NOT NULL, base_offset INTEGER NOT NULL,"
    " PRIMARY KEY(key_id, bucket, base_offset)) WITHOUT ROWID;"
    "CREATE TABLE extents(slab INTEGER PRIMARY KEY, first_bucket INTEGER NOT NULL, last_bucket INTEGER NOT NULL);"
    "CREATE TABLE positions(reader TEXT PRIMARY KEY, next_offset INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE marks(channel TEXT NOT NULL, scope INTEGER NOT NULL, target TEXT NOT NULL, timestamp_us INTEGER NOT NULL,"
    " log_offset INTEGER NOT NULL, kind INTEGER NOT NULL, event_id TEXT NOT NULL,"
    " PRIMARY KEY(channel, scope, target, timestamp_us, log_offset)) WITHOUT ROWID;"
    "CREATE INDEX marks_by_offset ON marks(log_offset);"
    "CREATE TABLE counters(index_rows INTEGER NOT NULL, documents INTEGER NOT NULL);"
    "INSERT INTO counters VALUES(0, 0);";

/* For each collection; %1$s is its table. */
static const char document_schema[] =
    "CREATE TABLE %1$s(id TEXT PRIMARY KEY, key TEXT NOT NULL, timestamp_us INTEGER NOT NULL, user TEXT, json TEXT NOT NULL);"
    "CREATE INDEX %1$s_by_time ON %1$s(timestamp_us);"
    "CREATE INDEX %1$s_by_key ON %1$s(key, timestamp_us);"
    "CREATE INDEX %1$s_by_user ON %1$s(user) WHERE user IS NOT NULL;";

static const char *const statement_texts[] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_KEY_FIND] = "SELECT id FROM keys WHERE key = ?1 AND topic = ?2",
    [SQL_KEY_ADD] = "INSERT INTO keys(key, topic) VALUES(?1, ?2)",
    [SQL_ROW_ADD] = "INSERT OR IGNORE INTO events VALUES(?1, ?2, ?3)",
    [SQL_EXTENT_WIDEN] = "INSERT INTO extents VALUES(?1, ?2, ?3) ON CONFLICT(slab) DO UPDATE SET"
                         " first_bucket = min(first_bucket, excluded.first_bucket),"
                         " last_bucket = max(last_bucket, excluded.last_bucket)"
                         " RETURNING first_bucket, last_bucket",
    [SQL_POSITION_SET] = "INSERT OR REPLACE INTO positions VALUES(?1, ?2)",
    [SQL_COUNTERS_SET] = "UPDATE counters SET index_rows = ?1, documents = ?2",
    [SQL_MARK_ADD] = "INSERT OR REPLACE INTO marks VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
};

static const char *const query_texts[SQL_QUERY_COUNT] = {
    [SQL_FIND_OLDEST_FIRST] = "SELECT base_offset FROM events WHERE key_id = (SELECT id FROM keys WHERE key = ?1 AND topic = ?2)"
                              " AND bucket BETWEEN ?3 AND ?4 ORDER BY bucket, base_offset",
    [SQL_FIND_NEWEST_FIRST] = "SELECT base_offset FROM events WHERE key_id = (SELECT id FROM keys WHERE key = ?1 AND topic = ?2)"
                              " AND bucket BETWEEN ?3 AND ?4 ORDER BY bucket DESC, base_offset DESC",
    [SQL_POSITION_GET] = "SELECT next_offset FROM positions WHERE reader = ?1",
    [SQL_MARK_FIND] = "SELECT kind, channel, target, timestamp_us, log_offset, event_id FROM marks"
                      " WHERE channel = ?1 AND scope = ?2 AND target = ?3 AND (timestamp_us, log_offset) > (?4, ?5)"
                      " ORDER BY timestamp_us, log_offset LIMIT 1",
    [SQL_MARK_LIST] = "SELECT kind, channel, target, timestamp_us, log_offset, event_id FROM marks"
                      " WHERE log_offset >= ?1 ORDER BY log_offset LIMIT ?2",
};

static const char document_add[] = "INSERT INTO %s VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT(id) DO NOTHING";
static const char document_replace[] = "UPDATE %s SET key = ?2, timestamp_us = ?3, user = ?4, json = ?5 WHERE id = ?1";

/* What to do about an error, by SQLite's primary code. */
static const char *advice_for(int code)
{
    switch (code) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR: /* a table that should be there is not */
        return "; the file is damaged. All in it comes from the log: stop the program and run `dataflow rebuild`";
    case SQLITE_FULL:
        return "; make room on the disk";
    case SQLITE_CANTOPEN:
        return "; does the folder exist, and may this user write there?";
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return "; may this user write there?";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return "; another program is writing to it: only one may run on a data folder";
    default:
        return "";
    }
}

int sqlite_fail(const struct sqlite_store *sqlite, sqlite3 *connection, struct error *error, const char *doing)
{
    int code = connection ? sqlite3_errcode(connection) & 0xFF : SQLITE_NOMEM;
    const char *cause = connection ? sqlite3_errmsg(connection) : "out of memory";
    return error_set(error, "store %s: %s while %s%s", sqlite->path, cause, doing, advice_for(code));
}

int sqlite_run(sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);
    sqlite3_reset(statement);
    return code == SQLITE_DONE ? 0 : -1;
}

/* SQLite rolls back by itself after some errors.  Where it has not, this does; without memory even that may fail, and is
 * done before the next transaction. */
static void roll_back(struct sqlite_store *sqlite)
{
    if (!sqlite3_get_autocommit(sqlite->writer))
        sqlite_run(sqlite->statements[SQL_ROLLBACK]);
}

int sqlite_begin(struct sqlite_store *sqlite, struct error *error)
{
    pthread_mutex_lock(&sqlite->write_lock);
    roll_back(sqlite);
    sqlite->counters.index_rows = atomic_load(&sqlite->index_rows);
    sqlite->counters.documents = atomic_load(&sqlite->documents);
    if (sqlite_run(sqlite->statements[SQL_BEGIN]) == 0)
        return 0;
    sqlite_fail(sqlite, sqlite->writer, error, "beginning a transaction");
    pthread_mutex_unlock(&sqlite->write_lock);
    return -1;
}

static int commit(struct sqlite_store *sqlite, struct error *error)
{
    const struct sqlite_counters *now = &sqlite->counters;
    if (now->index_rows != atomic_load(&sqlite->index_rows) || now->documents != atomic_load(&sqlite->documents)) {
        sqlite3_stmt *set = sqlite->statements[SQL_COUNTERS_SET];
        sqlite3_bind_int64(set, 1, now->index_rows);
        sqlite3_bind_int64(set, 2, now->documents);
        if (sqlite_run(set) < 0)
            return sqlite_fail(sqlite, sqlite->writer, error, "counting");
    }
    if (sqlite_run(sqlite->statements[SQL_COMMIT]) < 0)
        return sqlite_fail(sqlite, sqlite->writer, error, "committing");
    atomic_store(&sqlite->index_rows, now->index_rows);
    atomic_store(&sqlite->documents, now->documents);
    return 0;
}

int sqlite_end(struct sqlite_store *sqlite, int result, struct error *error)
{
    if (result == 0)
        result = commit(sqlite, error);
    if (result < 0) {
        roll_back(sqlite);
        sqlite_forget_caches(sqlite);
    }
    pthread_mutex_unlock(&sqlite->write_lock);
    return result;
}

static void sqlite_info(struct store *store, struct store_info *info)
{
    struct sqlite_store *sqlite = sqlite_of(store);
    *info = (struct store_info){.index_rows = (uint64_t)atomic_load(&sqlite->index_rows),
                                .documents = (uint64_t)atomic_load(&sqlite->documents)};
    static const char *const suffixes[] = {"", "-wal"};
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        char path[4096];
        struct stat status;
        int length = snprintf(path, sizeof path, "%s%s", sqlite->path, suffixes[i]);
        if (length > 0 && (size_t)length < sizeof path && stat(path, &status) == 0)
            info->size_bytes += (uint64_t)status.st_size;
    }
}

static void sqlite_destroy(struct store *store)
{
    struct sqlite_store *sqlite = sqlite_of(store);
    for (size_t i = 0; i < SQL_QUERY_COUNT; i++)
        sqlite3_finalize(sqlite->queries[i]);
    sqlite3_close(sqlite->reader);
    for (size_t i = 0; i < SQL_STATEMENT_COUNT; i++)
        sqlite3_finalize(sqlite->statements[i]);
    sqlite3_close(sqlite->writer); /* the last to close moves the WAL into the file */
    map_release(&sqlite->key_places);
    free(sqlite->keys);
    free(sqlite->rows);
    free(sqlite->path);
    pthread_mutex_destroy(&sqlite->write_lock);
    pthread_mutex_destroy(&sqlite->read_lock);
    free(sqlite);
}

/* ---- opening ---- */

/* The number that a statement gives. */
static int read_number(struct sqlite_store *sqlite, const char *text, int64_t *number, struct error *error)
{
    sqlite3_stmt *statement = NULL;
    int result = -1;
    if (sqlite3_prepare_v2(sqlite->writer, text, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        *number = sqlite3_column_int64(statement, 0);
        result = 0;
    } else {
        sqlite_fail(sqlite, sqlite->writer, error, "opening it");
    }
    sqlite3_finalize(statement);
    return result;
}

static int execute(struct sqlite_store *sqlite, sqlite3 *connection, const char *text, struct error *error)
{
    if (sqlite3_exec(connection, text, NULL, NULL, NULL) != SQLITE_OK)
        return sqlite_fail(sqlite, connection, error, "opening it");
    return 0;
}

/* 1: the file holds our tables; 0: it is empty. */
static int check_file(struct sqlite_store *sqlite, struct error *error)
{
    int64_t application, version, objects;
    if (read_number(sqlite, "PRAGMA application_id", &application, error) < 0 ||
        read_number(sqlite, "PRAGMA user_version", &version, error) < 0 ||
        read_number(sqlite, "SELECT count(*) FROM sqlite_schema", &objects, error) < 0)
        return -1;
    if (application == 0 && version == 0 && objects == 0)
        return 0;
    if (application != SQLITE_APPLICATION_ID)
        return error_set(error, "store %s: this is an SQLite file of another program; name another file", sqlite->path);
    if (version != SCHEMA_VERSION)
        return error_set(error,
                         "store %s: another version of the program wrote it (schema %lld, this one knows %d); use that version, "
                         "or make the store anew with `dataflow rebuild`",
                         sqlite->path, (long long)version, SCHEMA_VERSION);
    return 1;
}

/* A second look at the file first: another process may have made the tables meanwhile. */
static int create_within_transaction(struct sqlite_store *sqlite, struct error *error)
{
    int state = check_file(sqlite, error);
    if (state != 0)
        return state < 0 ? -1 : 0;
    if (execute(sqlite, sqlite->writer, schema, error) < 0)
        return -1;
    for (size_t c = 0; c < STORE_COLLECTION_COUNT; c++) {
        char text[1024];
        snprintf(text, sizeof text, document_schema, sqlite_collection_tables[c]);
        if (execute(sqlite, sqlite->writer, text, error) < 0)
            return -1;
    }
    char stamp[96];
    snprintf(stamp, sizeof stamp, "PRAGMA application_id = %d; PRAGMA user_version = %d", SQLITE_APPLICATION_ID, SCHEMA_VERSION);
    return execute(sqlite, sqlite->writer, stamp, error);
}

/* After an error the transaction is still open. */
static int create_tables(struct sqlite_store *sqlite, struct error *error)
{
    if (execute(sqlite, sqlite->writer, "BEGIN IMMEDIATE", error) < 0)
        return -1;
    if (create_within_transaction(sqlite, error) < 0)
        return -1;
    return execute(sqlite, sqlite->writer, "COMMIT", error);
}

static int open_writer(struct sqlite_store *sqlite, struct error *error)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(sqlite->path, &sqlite->writer, flags, NULL) != SQLITE_OK)
        return sqlite_fail(sqlite, sqlite->writer, error, "opening it");
    sqlite3_busy_timeout(sqlite->writer, BUSY_TIMEOUT_MS);
    /* secure_delete: what is erased is overwritten as well.  cache_size: in KiB. */
    static const char settings[] = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -4096;"
                                   "PRAGMA mmap_size = 0; PRAGMA secure_delete = ON; PRAGMA journal_size_limit = 16777216;";
    int state = check_file(sqlite, error);
    if (state < 0 || execute(sqlite, sqlite->writer, settings, error) < 0)
        return -1;
    return state == 0 ? create_tables(sqlite, error) : 0;
}

static int open_reader(struct sqlite_store *sqlite, struct error *error)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(sqlite->path, &sqlite->reader, flags, NULL) != SQLITE_OK)
        return sqlite_fail(sqlite, sqlite->reader, error, "opening it");
    sqlite3_busy_timeout(sqlite->reader, BUSY_TIMEOUT_MS);
    return execute(sqlite, sqlite->reader, "PRAGMA query_only = ON; PRAGMA cache_size = -1024; PRAGMA mmap_size = 0", error);
}

static int prepare(struct sqlite_store *sqlite, sqlite3 *connection, const char *text, sqlite3_stmt **statement,
                   struct error *error)
{
    if (sqlite3_prepare_v3(connection, text, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL) != SQLITE_OK)
        return sqlite_fail(sqlite, connection, error, "opening it");
    return 0;
}

static int prepare_all(struct sqlite_store *sqlite, struct error *error)
{
    for (size_t i = 0; i < sizeof statement_texts / sizeof statement_texts[0]; i++)
        if (prepare(sqlite, sqlite->writer, statement_texts[i], &sqlite->statements[i], error) < 0)
            return -1;
    for (size_t c = 0; c < STORE_COLLECTION_COUNT; c++) {
        char text[256];
        snprintf(text, sizeof text, document_add, sqlite_collection_tables[c]);
        if (prepare(sqlite, sqlite->writer, text, &sqlite->statements[SQL_DOCUMENT_ADD + c], error) < 0)
            return -1;
        snprintf(text, sizeof text, document_replace, sqlite_collection_tables[c]);
        if (prepare(sqlite, sqlite->writer, text, &sqlite->statements[SQL_DOCUMENT_REPLACE + c], error) < 0)
            return -1;
    }
    for (size_t i = 0; i < SQL_QUERY_COUNT; i++)
        if (prepare(sqlite, sqlite->reader, query_texts[i], &sqlite->queries[i], error) < 0)
            return -1;
    return 0;
}

static int load_counters(struct sqlite_store *sqlite, struct error *error)
{
    int64_t index_rows, documents;
    if (read_number(sqlite, "SELECT index_rows FROM counters", &index_rows, error) < 0 ||
        read_number(sqlite, "SELECT documents FROM counters", &documents, error) < 0)
        return -1;
    atomic_store(&sqlite->index_rows, index_rows);
    atomic_store(&sqlite->documents, documents);
    return 0;
}

/* By SQLite's own way to make a database empty, which also works on a damaged one.  A crash on the way leaves an empty file,
 * in which the next opening makes the tables.  Both locks are held, for there is a moment without tables. */
static int sqlite_clear(struct store *store, struct error *error)
{
    struct sqlite_store *sqlite = sqlite_of(store);
    pthread_mutex_lock(&sqlite->write_lock);
    pthread_mutex_lock(&sqlite->read_lock);
    roll_back(sqlite);
    sqlite3_db_config(sqlite->writer, SQLITE_DBCONFIG_RESET_DATABASE, 1, NULL);
    int result = sqlite3_exec(sqlite->writer, "VACUUM", NULL, NULL, NULL) == SQLITE_OK
                     ? 0
                     : sqlite_fail(sqlite, sqlite->writer, error, "clearing it");
    sqlite3_db_config(sqlite->writer, SQLITE_DBCONFIG_RESET_DATABASE, 0, NULL);
    if (result == 0)
        result = create_tables(sqlite, error);
    if (result == 0)
        result = load_counters(sqlite, error);
    roll_back(sqlite); /* what could not be made */
    sqlite_forget_caches(sqlite);
    pthread_mutex_unlock(&sqlite->read_lock);
    pthread_mutex_unlock(&sqlite->write_lock);
    return result;
}

static const struct store_class sqlite_class = {
    .name = "sqlite",
    .write = sqlite_write,
    .position = sqlite_position,
    .find_batches = sqlite_find_batches,
    .find_documents = sqlite_find_documents,
    .find_marks = sqlite_find_marks,
    .list_marks = sqlite_list_marks,
    .retain = sqlite_retain,
    .erase_user = sqlite_erase_user,
    .clear = sqlite_clear,
    .info = sqlite_info,
    .destroy = sqlite_destroy,
};

struct store *store_sqlite_open(const char *path, struct error *error)
{
    struct sqlite_store *sqlite = calloc(1, sizeof *sqlite);
    if (!sqlite || !(sqlite->path = strdup(path))) {
        free(sqlite);
        error_set(error, "store %s: out of memory", path);
        return NULL;
    }
    sqlite->store.class = &sqlite_class;
    pthread_mutex_init(&sqlite->write_lock, NULL);
    pthread_mutex_init(&sqlite->read_lock, NULL);
    sqlite_forget_caches(sqlite);
    if (open_writer(sqlite, error) < 0 || open_reader(sqlite, error) < 0 || prepare_all(sqlite, error) < 0 ||
        load_counters(sqlite, error) < 0) {
        sqlite_destroy(&sqlite->store);
        return NULL;
    }
    return &sqlite->store;
}

int store_sqlite_remove(const char *path, struct error *error)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        char name[4096];
        int length = snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        if (length < 0 || (size_t)length >= sizeof name)
            return error_set(error, "store %s: the path is too long", path);
        if (unlink(name) < 0 && errno != ENOENT)
            return error_set_errno(error, errno, "removing %s", name);
    }
    return 0;
}
