/* The stores when memory runs out, in our code and inside SQLite: a write that failed left nothing, one that did not fail is
 * there, and rows and position agree. */
#include "store/store.h"
#include "support/failing_alloc.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#define NOON 1774000000000000LL

static char directory[64];
static char path[96];

/* ---- SQLite's own allocations ---- */

static sqlite3_mem_methods sqlite_memory;

static void *sqlite_malloc(int size)
{
    return failing_alloc_strikes() ? NULL : sqlite_memory.xMalloc(size);
}

static void *sqlite_realloc(void *old, int size)
{
    return failing_alloc_strikes() ? NULL : sqlite_memory.xRealloc(old, size);
}

static int setup(void **state)
{
    (void)state;
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &sqlite_memory), SQLITE_OK);
    sqlite3_mem_methods failing = sqlite_memory;
    failing.xMalloc = sqlite_malloc;
    failing.xRealloc = sqlite_realloc;
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &failing), SQLITE_OK);
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0), SQLITE_OK); /* small allocations count as well */
    snprintf(directory, sizeof directory, "/tmp/store-torture-XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/store.db", directory);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(store_sqlite_remove(path, NULL), 0);
    assert_int_equal(rmdir(directory), 0);
    return 0;
}

/* ---- attempts ---- */

static bool attempt_open(void *context)
{
    (void)context;
    struct error error = {""};
    struct store *store = store_sqlite_open(path, &error);
    assert_true(store || error.text[0]);
    store_destroy(store);
    return store != NULL;
}

/* A store that outlives its failures, and how often it was written. */
struct endurance {
    struct store *store;
    uint64_t writes;
};

static int write_next(struct endurance *endurance, struct error *error)
{
    uint64_t i = endurance->writes;
    char keys[20][32], id[32];
    struct store_index_entry entries[40];
    for (size_t k = 0; k < 40; k++) {
        snprintf(keys[k / 2], sizeof keys[0], "key-%llu-%zu", (unsigned long long)(i % 3), k / 2);
        entries[k] = (struct store_index_entry){1, bytes_of_string(keys[k / 2]), NOON + (int64_t)(k % 2) * STORE_BUCKET_US, i};
    }
    snprintf(id, sizeof id, "id-%llu", (unsigned long long)i);
    struct store_document documents[2] = {
        {STORE_ALERTS, bytes_of_string(id), BYTES("k"), NOON + (int64_t)i, BYTES("user"), BYTES("{}")},
        {STORE_WINDOWS, BYTES("same"), BYTES("k"), NOON + (int64_t)i, BYTES_NONE, BYTES("{}")}};
    const struct store_mark mark = {STORE_MARK_BANNED, BYTES("k"), BYTES("user"), NOON, i, bytes_of_string(id)};
    const struct store_write write = {.entries = entries,
                                      .entry_count = 40,
                                      .documents = documents,
                                      .document_count = 2,
                                      .reader = BYTES("store"),
                                      .next_offset = i + 1,
                                      .marks = &mark,
                                      .mark_count = 1};
    return store_write(endurance->store, &write, error);
}

/* The index, asked without limits on memory, tells of the first `writes` writes and no other. */
static void check_state(struct endurance *endurance)
{
    static uint64_t offsets[20000];
    struct error error = {""};
    uint64_t position;
    size_t count = sizeof offsets / sizeof offsets[0];
    const struct store_range all = {.from_us = INT64_MIN, .to_us = INT64_MAX};
    failing_alloc_disarm();
    assert_int_equal(store_position(endurance->store, BYTES("store"), &position, &error), 0);
    assert_int_equal(position, endurance->writes);
    assert_int_equal(store_find_batches(endurance->store, 1, &all, offsets, &count, &error), 0);
    assert_int_equal(count, endurance->writes);
    struct store_info info;
    store_info(endurance->store, &info);
    assert_int_equal(info.documents, endurance->writes ? endurance->writes + 1 : 0);
}

static bool attempt_write(void *context)
{
    struct endurance *endurance = context;
    struct error error = {""};
    int result = write_next(endurance, &error);
    assert_true(result == 0 || error.text[0]);
    bool struck = atomic_load(&failing_alloc.struck);
    endurance->writes += result == 0;
    check_state(endurance);
    atomic_store(&failing_alloc.struck, struck); /* for failing_alloc_each, after the check has disarmed */
    return result == 0;
}

static bool attempt_queries(void *context)
{
    struct endurance *endurance = context;
    struct error error = {""};
    static uint64_t offsets[20000];
    static struct store_document documents[50];
    size_t count = sizeof offsets / sizeof offsets[0], document_count = 0;
    uint64_t position;
    const struct store_range range = {.key = BYTES("k"), .from_us = INT64_MIN, .to_us = INT64_MAX, .limit = 50};
    const struct store_range batches = {.key = BYTES("key-0-0"), .from_us = INT64_MIN, .to_us = INT64_MAX};
    struct arena arena;
    arena_init(&arena, 1 << 20);
    bool well = store_position(endurance->store, BYTES("store"), &position, &error) == 0;
    well = store_find_batches(endurance->store, 1, &batches, offsets, &count, &error) == 0 && well;
    well = store_find_documents(endurance->store, STORE_ALERTS, &range, &arena, documents, &document_count, &error) == 0 && well;
    const struct store_message message = {BYTES("k"), BYTES("id-0"), BYTES("user"), NOON - 1, 0};
    struct store_mark marks[4];
    size_t mark_count = 4;
    well = store_find_marks(endurance->store, &message, 1, &arena, marks, &error) == 0 && well;
    well = store_list_marks(endurance->store, 0, &arena, marks, &mark_count, &error) == 0 && well;
    assert_true(well || error.text[0]);
    arena_release(&arena);
    return well;
}

static bool attempt_retain(void *context)
{
    struct endurance *endurance = context;
    struct error error = {""};
    uint64_t erased;
    bool well = store_retain(endurance->store, NOON, endurance->writes / 2, &error) == 0;
    well = store_erase_user(endurance->store, BYTES("nobody"), &erased, &error) == 0 && well;
    assert_true(well || error.text[0]);
    return well;
}

static bool attempt_clear(void *context)
{
    struct endurance *endurance = context;
    struct error error = {""};
    bool well = store_clear(endurance->store, &error) == 0;
    assert_true(well || error.text[0]);
    return well;
}

/* ---- tests ---- */

static void torture(struct store *store, size_t least)
{
    struct endurance endurance = {.store = store};
    assert_non_null(store);
    assert_true(failing_alloc_each(attempt_write, &endurance) >= least);
    assert_true(failing_alloc_each(attempt_queries, &endurance) >= 1);
    check_state(&endurance);
    failing_alloc_each(attempt_retain, &endurance);
    struct error error = {""};
    assert_int_equal(store_retain(store, NOON, endurance.writes, &error), 0);
    struct store_info info;
    store_info(store, &info);
    assert_int_equal(info.index_rows, 0);
    failing_alloc_some(attempt_clear, &endurance, 23); /* thousands, each after a VACUUM */
    endurance.writes = 0;
    check_state(&endurance);
    for (int i = 0; i < 3; i++, endurance.writes++)
        assert_int_equal(write_next(&endurance, &error), 0);
    check_state(&endurance);
    store_destroy(store);
}

static void test_open(void **state)
{
    (void)state;
    assert_true(failing_alloc_some(attempt_open, NULL, 3) > 50);
}

static void test_sqlite(void **state)
{
    (void)state;
    struct error error = {""};
    torture(store_sqlite_open(path, &error), 5);
}

static void test_memory(void **state)
{
    (void)state;
    torture(store_memory_create(), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_open), cmocka_unit_test(test_sqlite), cmocka_unit_test(test_memory)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
