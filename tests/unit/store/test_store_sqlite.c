/* The SQLite store as a file: what survives kill -9 and a torn write-ahead log, what a damaged or foreign file is answered,
 * and queries beside a writer. */
#include "base/random.h"
#include "store/store.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NOON 1774000000000000LL

struct fixture {
    char directory[64];
    char path[96];
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    snprintf(fixture->directory, sizeof fixture->directory, "/tmp/store-sqlite-XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    snprintf(fixture->path, sizeof fixture->path, "%s/store.db", fixture->directory);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {""};
    if (store_sqlite_remove(fixture->path, &error) < 0)
        fail_msg("%s", error.text);
    assert_int_equal(rmdir(fixture->directory), 0); /* nothing else was left there */
    free(fixture);
    return 0;
}

static struct store *open_ok(const char *path)
{
    struct error error = {""};
    struct store *store = store_sqlite_open(path, &error);
    if (!store)
        fail_msg("%s", error.text);
    return store;
}

/* Write number i: batch i of two keys in two buckets, a document, and the position behind it. */
static int write_numbered(struct store *store, uint64_t i, struct error *error)
{
    char id[32];
    snprintf(id, sizeof id, "document-%llu", (unsigned long long)i);
    const struct store_index_entry entries[] = {
        {1, BYTES("binance:BTC-USDT"), NOON + (int64_t)i * 1000000, i},
        {1, BYTES("binance:ETH-USDT"), NOON + (int64_t)i * 1000000 + STORE_BUCKET_US, i},
    };
    const struct store_document document = {STORE_ALERTS, bytes_of_string(id),
                                            BYTES("k"),   NOON + (int64_t)i,
                                            BYTES_NONE,   BYTES("{\"filler\":\"some text that takes room in the file\"}")};
    return store_write(store,
                       &(struct store_write){.entries = entries,
                                             .entry_count = 2,
                                             .documents = &document,
                                             .document_count = 1,
                                             .reader = BYTES("store"),
                                             .next_offset = i + 1},
                       error);
}

static void write_numbered_ok(struct store *store, uint64_t first, uint64_t count)
{
    struct error error = {""};
    for (uint64_t i = first; i < first + count; i++)
        if (write_numbered(store, i, &error) < 0)
            fail_msg("%s", error.text);
}

static uint64_t position_of(struct store *store)
{
    struct error error = {""};
    uint64_t offset = 0;
    if (store_position(store, BYTES("store"), &offset, &error) < 0)
        fail_msg("%s", error.text);
    return offset;
}

/* Rows, documents and position stand for the same writes: the first `position` ones.  Returns the position. */
static uint64_t check_consistent(struct store *store)
{
    struct error error = {""};
    uint64_t position = position_of(store);
    const struct bytes keys[] = {BYTES_NONE, BYTES("binance:BTC-USDT"), BYTES("binance:ETH-USDT")};
    for (size_t k = 0; k < 3; k++) {
        size_t count = position + 100;
        uint64_t *offsets = calloc(count, sizeof *offsets);
        assert_non_null(offsets);
        const struct store_range range = {.key = keys[k], .from_us = INT64_MIN, .to_us = INT64_MAX};
        if (store_find_batches(store, 1, &range, offsets, &count, &error) < 0)
            fail_msg("%s", error.text);
        assert_int_equal(count, position);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(offsets[i], i);
        free(offsets);
    }
    struct store_info info;
    store_info(store, &info);
    assert_int_equal(info.documents, position);
    return position;
}

static void test_reopen(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = open_ok(fixture->path);
    write_numbered_ok(store, 0, 50);
    struct store_info before, after;
    store_info(store, &before);
    assert_true(before.size_bytes > 0);
    store_destroy(store);
    store = open_ok(fixture->path);
    assert_int_equal(check_consistent(store), 50);
    store_info(store, &after);
    assert_int_equal(after.index_rows, before.index_rows);
    write_numbered_ok(store, 49, 2); /* the last write once more, and one new */
    assert_int_equal(check_consistent(store), 51);
    store_destroy(store);
}

/* The counts are of what is there, however it came and went. */
static void test_counts_survive(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {""};
    struct store *store = open_ok(fixture->path);
    const struct store_document documents[] = {
        {STORE_ALERTS, BYTES("a"), BYTES("k"), NOON, BYTES("user"), BYTES("{}")},
        {STORE_WINDOWS, BYTES("a"), BYTES("k"), NOON, BYTES_NONE, BYTES("{}")},
    };
    assert_int_equal(store_write(store, &(struct store_write){.documents = documents, .document_count = 2}, &error), 0);
    store_destroy(store);
    store = open_ok(fixture->path);
    struct store_info info;
    store_info(store, &info);
    assert_int_equal(info.documents, 2);
    uint64_t erased;
    assert_int_equal(store_erase_user(store, BYTES("user"), &erased, &error), 0);
    store_destroy(store);
    store = open_ok(fixture->path);
    store_info(store, &info);
    assert_int_equal(info.documents, 1);
    store_destroy(store);
}

static int64_t query_number(const char *path, const char *sql)
{
    sqlite3 *connection;
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_open(path, &connection), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(connection, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(connection);
    return number;
}

/* Keys that no row names any more go, and so do extents: neither gathers over months. */
static void test_nothing_gathers(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {""};
    struct store *store = open_ok(fixture->path);
    for (uint64_t i = 0; i < 300; i++) {
        char key[32];
        snprintf(key, sizeof key, "visitor-%llu", (unsigned long long)i);
        const struct store_index_entry entry = {0, bytes_of_string(key), NOON + (int64_t)i * 1000000, i * 1000};
        assert_int_equal(store_write(store, &(struct store_write){.entries = &entry, .entry_count = 1}, &error), 0);
    }
    assert_int_equal(query_number(fixture->path, "SELECT count(*) FROM extents"), 300000 / 16384 + 1);
    assert_int_equal(store_retain(store, INT64_MIN, 290000, &error), 0);
    assert_int_equal(query_number(fixture->path, "SELECT count(*) FROM keys"), 10 + 1);
    assert_int_equal(query_number(fixture->path, "SELECT count(*) FROM extents"), 2);
    assert_int_equal(query_number(fixture->path, "SELECT count(*) FROM events"), 20);
    struct store_info info;
    store_info(store, &info);
    assert_int_equal(info.index_rows, 20);
    store_destroy(store);
}

/* ---- kill -9 ---- */

/* The child: writes without end and tells each write that is done. */
static void write_until_killed(const char *path, int tell)
{
    struct error error = {""};
    struct store *store = store_sqlite_open(path, &error);
    uint64_t i = 0;
    if (store && store_position(store, BYTES("store"), &i, &error) == 0)
        while (write_numbered(store, i, &error) == 0 && write(tell, "w", 1) == 1)
            i++;
    _exit(1);
}

static void test_kill(void **state)
{
    struct fixture *fixture = *state;
    struct random random;
    random_seed(&random, 9);
    uint64_t total = 0;
    for (int round = 0; round < 12; round++) {
        int tell[2];
        assert_int_equal(pipe(tell), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            close(tell[0]);
            write_until_killed(fixture->path, tell[1]);
        }
        close(tell[1]);
        char byte;
        for (uint64_t wait = 1 + random_below(&random, 300); wait > 0; wait--, total++)
            assert_int_equal(read(tell[0], &byte, 1), 1);
        kill(child, SIGKILL);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        while (read(tell[0], &byte, 1) == 1)
            total++;
        close(tell[0]);
        struct store *store = open_ok(fixture->path);
        uint64_t position = check_consistent(store);
        assert_in_range(position, total, total + 1); /* one may be done and not told yet */
        total = position;
        store_destroy(store);
    }
}

/* ---- power loss: the write-ahead log ends anywhere ---- */

static size_t read_file(const char *path, char **data)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    size_t size = (size_t)ftell(file);
    rewind(file);
    *data = malloc(size + 1);
    assert_non_null(*data);
    assert_int_equal(fread(*data, 1, size, file), size);
    fclose(file);
    return size;
}

static void write_file(const char *path, const char *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    fclose(file);
}

static void test_torn_log(void **state)
{
    struct fixture *fixture = *state;
    char wal[128], copy[128], copy_wal[160];
    snprintf(wal, sizeof wal, "%s-wal", fixture->path);
    snprintf(copy, sizeof copy, "%s-copy", fixture->path);
    snprintf(copy_wal, sizeof copy_wal, "%s-wal", copy);
    struct store *store = open_ok(fixture->path);
    write_numbered_ok(store, 0, 30);
    char *file, *log;
    size_t file_size = read_file(fixture->path, &file), log_size = read_file(wal, &log);
    assert_true(log_size > 30 * 4096);
    struct random random;
    random_seed(&random, 4);
    uint64_t least = UINT64_MAX, most = 0;
    for (int round = 0; round < 60; round++) {
        size_t kept = round == 0 ? log_size : (size_t)random_below(&random, log_size);
        write_file(copy, file, file_size);
        write_file(copy_wal, log, kept);
        struct store *torn = open_ok(copy);
        uint64_t position = check_consistent(torn);
        least = position < least ? position : least;
        most = position > most ? position : most;
        write_numbered_ok(torn, position, 30 - position); /* read from the log again */
        assert_int_equal(check_consistent(torn), 30);
        store_destroy(torn);
        assert_int_equal(store_sqlite_remove(copy, NULL), 0);
    }
    assert_true(least < 10);
    assert_int_equal(most, 30);
    free(file);
    free(log);
    store_destroy(store);
}

/* ---- a disk that refuses ---- */

static void limit_file_size(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Writes fail in the midst, wherever the write-ahead log has no room to grow.  Nothing of a failed write is there, and the
 * next ones, with room again, find everything as it was: no key or row is believed to be there that is not. */
static void test_full_disk(void **state)
{
    struct fixture *fixture = *state;
    char wal[128];
    snprintf(wal, sizeof wal, "%s-wal", fixture->path);
    signal(SIGXFSZ, SIG_IGN);
    struct store *store = open_ok(fixture->path);
    struct random random;
    random_seed(&random, 6);
    uint64_t done = 0;
    for (int round = 0; round < 40; round++) {
        struct error error = {""};
        struct stat status;
        assert_int_equal(stat(wal, &status), 0);
        limit_file_size((rlim_t)status.st_size + random_below(&random, 100000));
        while (write_numbered(store, done, &error) == 0)
            assert_true(++done < 10000);
        limit_file_size(RLIM_INFINITY);
        assert_non_null(strstr(error.text, fixture->path));
        assert_int_equal(check_consistent(store), done);
        write_numbered_ok(store, done++, 1);
    }
    store_destroy(store);
    store = open_ok(fixture->path);
    assert_int_equal(check_consistent(store), done);
    store_destroy(store);
}

/* ---- files that cannot be used ---- */

static void refuse(const char *path, const char *wanted)
{
    struct error error = {""};
    struct store *store = store_sqlite_open(path, &error);
    assert_null(store);
    if (!strstr(error.text, wanted) || !strstr(error.text, path) || strchr(error.text, '\n'))
        fail_msg("expected `%s` and the path in: %s", wanted, error.text);
}

static void execute(const char *path, const char *sql)
{
    sqlite3 *connection;
    assert_int_equal(sqlite3_open(path, &connection), SQLITE_OK);
    char *message = NULL;
    if (sqlite3_exec(connection, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
    sqlite3_close(connection);
}

static void make_file(const struct fixture *fixture, uint64_t writes)
{
    assert_int_equal(store_sqlite_remove(fixture->path, NULL), 0);
    struct store *store = open_ok(fixture->path);
    write_numbered_ok(store, 0, writes);
    store_destroy(store);
}

static void test_other_versions(void **state)
{
    struct fixture *fixture = *state;
    make_file(fixture, 1);
    execute(fixture->path, "PRAGMA user_version = 1");
    refuse(fixture->path, "another version");
    refuse(fixture->path, "dataflow rebuild");
}

static void test_foreign_file(void **state)
{
    struct fixture *fixture = *state;
    execute(fixture->path, "CREATE TABLE theirs(a); INSERT INTO theirs VALUES(42)");
    refuse(fixture->path, "another program");
    execute(fixture->path, "INSERT INTO theirs SELECT a FROM theirs"); /* untouched */
}

static void test_damaged_files(void **state)
{
    struct fixture *fixture = *state;
    /* Not SQLite at all. */
    char noise[8192];
    memset(noise, 'x', sizeof noise);
    write_file(fixture->path, noise, sizeof noise);
    refuse(fixture->path, "dataflow rebuild");
    /* Cut in the middle. */
    make_file(fixture, 200);
    struct stat status;
    assert_int_equal(stat(fixture->path, &status), 0);
    assert_int_equal(truncate(fixture->path, status.st_size / 4096 / 2 * 4096), 0);
    refuse(fixture->path, "dataflow rebuild");
    /* A table is gone. */
    make_file(fixture, 1);
    execute(fixture->path, "DROP TABLE extents");
    refuse(fixture->path, "dataflow rebuild");
    /* After removal it opens, empty. */
    assert_int_equal(store_sqlite_remove(fixture->path, NULL), 0);
    struct store *store = open_ok(fixture->path);
    assert_int_equal(position_of(store), 0);
    store_destroy(store);
}

/* Damage inside a page shows when the page is read: an error that says what to do, never a crash.  Clearing, as a rebuild
 * begins, makes the file good again. */
static void test_damaged_pages(void **state)
{
    struct fixture *fixture = *state;
    make_file(fixture, 300);
    char *file;
    size_t size = read_file(fixture->path, &file);
    struct random random;
    random_seed(&random, 5);
    int refused = 0, cleared = 0;
    for (int round = 0; round < 60; round++) {
        char *bad = malloc(size);
        assert_non_null(bad);
        memcpy(bad, file, size);
        size_t page = 1 + (size_t)random_below(&random, size / 4096 - 1);
        for (size_t i = 0; i < 4096; i++)
            bad[page * 4096 + i] = (char)random_u64(&random);
        write_file(fixture->path, bad, size);
        free(bad);
        struct error error = {""};
        struct store *store = store_sqlite_open(fixture->path, &error);
        uint64_t offsets[1000];
        size_t count = 1000;
        const struct store_range all = {.from_us = INT64_MIN, .to_us = INT64_MAX};
        bool fine =
            store && store_find_batches(store, 1, &all, offsets, &count, &error) == 0 && write_numbered(store, 300, &error) == 0;
        if (!fine && !strstr(error.text, "dataflow rebuild"))
            fail_msg("%s", error.text);
        refused += !fine;
        if (store) {
            cleared++;
            if (store_clear(store, &error) < 0)
                fail_msg("%s", error.text);
            assert_int_equal(check_consistent(store), 0);
            write_numbered_ok(store, 0, 5);
            assert_int_equal(check_consistent(store), 5);
        }
        store_destroy(store);
    }
    assert_true(refused > 10 && cleared > 10);
    free(file);
}

static void test_unusable_paths(void **state)
{
    struct fixture *fixture = *state;
    char path[160];
    snprintf(path, sizeof path, "%s/no-such-folder/store.db", fixture->directory);
    refuse(path, "folder");
    refuse(fixture->directory, "open");
}

/* ---- erasure ---- */

static bool file_contains(const char *path, const char *text)
{
    char *data;
    size_t size = read_file(path, &data);
    bool found = memmem(data, size, text, strlen(text)) != NULL;
    free(data);
    return found;
}

static void test_erased_text_is_gone(void **state)
{
    struct fixture *fixture = *state;
    char wal[128];
    snprintf(wal, sizeof wal, "%s-wal", fixture->path);
    struct store *store = open_ok(fixture->path);
    struct error error = {""};
    char json[9000];
    for (int i = 0; i < 50; i++) {
        char id[16];
        snprintf(id, sizeof id, "id-%d", i);
        int filler = i % 5 ? 10 : 8000; /* some in pages of their own */
        snprintf(json, sizeof json, "{\"text\":\"%*s my-secret-words\"}", filler, "");
        const struct store_document document = {STORE_CHAT_TOXICITY, bytes_of_string(id),  BYTES("c"), NOON + i,
                                                BYTES("wanderer"),   bytes_of_string(json)};
        assert_int_equal(store_write(store, &(struct store_write){.documents = &document, .document_count = 1}, &error), 0);
    }
    assert_true(file_contains(wal, "my-secret-words") && file_contains(wal, "wanderer"));
    uint64_t erased;
    assert_int_equal(store_erase_user(store, BYTES("wanderer"), &erased, &error), 0);
    assert_int_equal(erased, 50);
    assert_false(file_contains(wal, "my-secret-words"));
    assert_false(file_contains(fixture->path, "my-secret-words"));
    assert_false(file_contains(fixture->path, "wanderer"));
    store_destroy(store);
}

/* ---- threads ---- */

struct beside {
    struct store *store;
    _Atomic uint64_t written; /* writes that are done */
    _Atomic bool stop;
    uint64_t rounds;
    char failure[512];
};

/* What a query finds is at least what was written before it began, and never a part of a write. */
static void *query_beside(void *context)
{
    struct beside *beside = context;
    static uint64_t offsets[4096];
    struct error error = {""};
    while (!beside->failure[0]) {
        bool last = atomic_load(&beside->stop);
        uint64_t known = atomic_load(&beside->written), position;
        size_t count = 4096;
        const struct store_range range = {.key = BYTES("binance:BTC-USDT"), .from_us = INT64_MIN, .to_us = INT64_MAX};
        if (store_find_batches(beside->store, 1, &range, offsets, &count, &error) < 0 ||
            store_position(beside->store, BYTES("store"), &position, &error) < 0)
            snprintf(beside->failure, sizeof beside->failure, "%s", error.text);
        else if (count < known || position < count)
            snprintf(beside->failure, sizeof beside->failure, "found %zu of %llu, position %llu", count,
                     (unsigned long long)known, (unsigned long long)position);
        for (size_t i = 0; i < count && !beside->failure[0]; i++)
            if (offsets[i] != i)
                snprintf(beside->failure, sizeof beside->failure, "offset %llu at %zu", (unsigned long long)offsets[i], i);
        struct store_info info;
        store_info(beside->store, &info);
        beside->rounds++;
        if (last)
            break;
    }
    return NULL;
}

static void test_queries_beside_a_writer(void **state)
{
    struct fixture *fixture = *state;
    struct beside beside = {.store = open_ok(fixture->path)};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, query_beside, &beside), 0);
    struct error error = {""};
    for (uint64_t i = 0; i < 2000; i++) {
        if (write_numbered(beside.store, i, &error) < 0)
            fail_msg("%s", error.text);
        atomic_store(&beside.written, i + 1);
    }
    atomic_store(&beside.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    if (beside.failure[0])
        fail_msg("%s", beside.failure);
    assert_true(beside.rounds > 0);
    assert_int_equal(check_consistent(beside.store), 2000);
    store_destroy(beside.store);
}

static void *retain_beside(void *context)
{
    struct beside *beside = context;
    struct error error = {""};
    for (uint64_t offset = 1; offset <= 1000 && !beside->failure[0]; offset += 10)
        if (store_retain(beside->store, INT64_MIN, offset, &error) < 0)
            snprintf(beside->failure, sizeof beside->failure, "%s", error.text);
    return NULL;
}

/* Retention from another thread: writes and removals take turns, and caches do not outlive what they stand for. */
static void test_retention_beside_a_writer(void **state)
{
    struct fixture *fixture = *state;
    struct beside beside = {.store = open_ok(fixture->path)};
    write_numbered_ok(beside.store, 0, 1000);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, retain_beside, &beside), 0);
    write_numbered_ok(beside.store, 1000, 1000);
    assert_int_equal(pthread_join(thread, NULL), 0);
    if (beside.failure[0])
        fail_msg("%s", beside.failure);
    uint64_t offsets[1100];
    size_t count = 1100;
    const struct store_range range = {.key = BYTES("binance:ETH-USDT"), .from_us = INT64_MIN, .to_us = INT64_MAX};
    struct error error = {""};
    assert_int_equal(store_find_batches(beside.store, 1, &range, offsets, &count, &error), 0);
    assert_int_equal(count, 2000 - 991);
    assert_int_equal(offsets[0], 991);
    store_destroy(beside.store);
}

/* So many rows of one key that their removal takes several steps. */
static void test_retention_in_steps(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = open_ok(fixture->path);
    enum { BATCHES = 30000 };
    static struct store_index_entry entries[BATCHES];
    for (size_t i = 0; i < BATCHES; i++)
        entries[i] = (struct store_index_entry){0, i % 2 ? BYTES("odd") : BYTES("even"), NOON, i};
    struct error error = {""};
    struct store_info info;
    assert_int_equal(store_write(store, &(struct store_write){.entries = entries, .entry_count = BATCHES}, &error), 0);
    store_info(store, &info);
    assert_int_equal(info.index_rows, 2 * BATCHES);
    assert_int_equal(store_retain(store, INT64_MIN, BATCHES - 10, &error), 0);
    store_info(store, &info);
    assert_int_equal(info.index_rows, 20);
    uint64_t offsets[20];
    size_t count = 20;
    const struct store_range range = {.key = BYTES("odd"), .from_us = INT64_MIN, .to_us = INT64_MAX};
    assert_int_equal(store_find_batches(store, 0, &range, offsets, &count, &error), 0);
    assert_int_equal(count, 5);
    assert_int_equal(offsets[0], BATCHES - 9);
    store_destroy(store);
}

/* More keys than the cache of key ids holds. */
static void test_very_many_keys(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = open_ok(fixture->path);
    enum { KEYS = 70000, A_WRITE = 10000 };
    static struct store_index_entry entries[A_WRITE];
    static char names[A_WRITE][16];
    struct error error = {""};
    for (int pass = 0; pass < 2; pass++) {
        for (size_t first = 0; first < KEYS; first += A_WRITE) {
            for (size_t i = 0; i < A_WRITE; i++) {
                snprintf(names[i], sizeof names[i], "key-%zu", first + i);
                entries[i] = (struct store_index_entry){0, bytes_of_string(names[i]), NOON, (uint64_t)pass};
            }
            const struct store_write write = {.entries = entries, .entry_count = A_WRITE};
            if (store_write(store, &write, &error) < 0)
                fail_msg("%s", error.text);
        }
    }
    struct store_info info;
    store_info(store, &info);
    assert_int_equal(info.index_rows, 2 * (KEYS + 1));
    uint64_t offsets[4];
    size_t count = 4;
    const struct store_range range = {.key = BYTES("key-69999"), .from_us = INT64_MIN, .to_us = INT64_MAX};
    assert_int_equal(store_find_batches(store, 0, &range, offsets, &count, &error), 0);
    assert_int_equal(count, 2);
    store_destroy(store);
}

int main(void)
{
#define FILE_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        FILE_TEST(test_reopen),
        FILE_TEST(test_counts_survive),
        FILE_TEST(test_nothing_gathers),
        FILE_TEST(test_kill),
        FILE_TEST(test_torn_log),
        FILE_TEST(test_full_disk),
        FILE_TEST(test_other_versions),
        FILE_TEST(test_foreign_file),
        FILE_TEST(test_damaged_files),
        FILE_TEST(test_damaged_pages),
        FILE_TEST(test_unusable_paths),
        FILE_TEST(test_erased_text_is_gone),
        FILE_TEST(test_queries_beside_a_writer),
        FILE_TEST(test_retention_beside_a_writer),
        FILE_TEST(test_retention_in_steps),
        FILE_TEST(test_very_many_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
