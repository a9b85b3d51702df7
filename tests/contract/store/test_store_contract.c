/* What every store must do, run against each implementation: memory, SQLite, and the fault decorator over both.  The
 * oracle is a plain list of what was written, searched without any index. */
#include "base/random.h"
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND 1000000LL
#define NOON 1774000000000000LL /* some time in 2026 */

enum { ENTRY_CAP = 20000, FOUND_CAP = 4096 };

struct fixture {
    struct store *store;
    struct store_faults faults;
    char directory[64];
    char path[96];
    struct arena arena;
    struct random random;
};

struct implementation {
    const char *name;
    bool sqlite, faulty;
};

static struct store *open_store(struct fixture *fixture, const struct implementation *implementation)
{
    struct error error = {""};
    struct store *store = implementation->sqlite ? store_sqlite_open(fixture->path, &error) : store_memory_create();
    if (!store)
        fail_msg("%s", error.text);
    if (implementation->faulty)
        store = store_faulty_create(store, &fixture->faults);
    assert_non_null(store);
    return store;
}

static int setup(void **state)
{
    const struct implementation *implementation = *state;
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    snprintf(fixture->directory, sizeof fixture->directory, "/tmp/store-contract-XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    snprintf(fixture->path, sizeof fixture->path, "%s/store.db", fixture->directory);
    arena_init(&fixture->arena, 64 << 20);
    random_seed(&fixture->random, 1);
    fixture->store = open_store(fixture, implementation);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    store_destroy(fixture->store);
    arena_release(&fixture->arena);
    assert_int_equal(store_sqlite_remove(fixture->path, NULL), 0);
    assert_int_equal(rmdir(fixture->directory), 0);
    free(fixture);
    return 0;
}

/* ---- helpers ---- */

static void write_ok(struct store *store, const struct store_write *write)
{
    struct error error = {""};
    if (store_write(store, write, &error) != 0)
        fail_msg("%s", error.text);
}

static void write_entries(struct store *store, const struct store_index_entry *entries, size_t count)
{
    write_ok(store, &(struct store_write){.entries = entries, .entry_count = count});
}

static struct store_document document(enum store_collection collection, const char *id, const char *key, int64_t time_us,
                                      const char *user, const char *json)
{
    return (struct store_document){.collection = collection,
                                   .id = bytes_of_string(id),
                                   .key = bytes_of_string(key),
                                   .timestamp_us = time_us,
                                   .user = bytes_of_string(user),
                                   .json = bytes_of_string(json)};
}

static void write_document(struct store *store, struct store_document one)
{
    write_ok(store, &(struct store_write){.documents = &one, .document_count = 1});
}

static const struct store_range everything = {.from_us = INT64_MIN, .to_us = INT64_MAX, .limit = 1000};

static size_t find_batches(struct store *store, uint32_t topic, const struct store_range *range, uint64_t *offsets, size_t cap)
{
    struct error error = {""};
    size_t count = cap;
    if (store_find_batches(store, topic, range, offsets, &count, &error) != 0)
        fail_msg("%s", error.text);
    assert_true(count <= cap);
    return count;
}

static size_t find_documents(struct fixture *fixture, enum store_collection collection, const struct store_range *range,
                             struct store_document *documents)
{
    struct error error = {""};
    size_t count = 0;
    if (store_find_documents(fixture->store, collection, range, &fixture->arena, documents, &count, &error) != 0)
        fail_msg("%s", error.text);
    assert_true(count <= range->limit);
    return count;
}

static uint64_t position_of(struct store *store, const char *reader)
{
    struct error error = {""};
    uint64_t offset = 77;
    if (store_position(store, bytes_of_string(reader), &offset, &error) != 0)
        fail_msg("%s", error.text);
    return offset;
}

/* ---- index ---- */

static void test_empty(void **state)
{
    struct fixture *fixture = *state;
    uint64_t offsets[4];
    struct store_document documents[4];
    assert_int_equal(find_batches(fixture->store, 0, &everything, offsets, 4), 0);
    struct store_range range = everything;
    range.limit = 4;
    assert_int_equal(find_documents(fixture, STORE_ALERTS, &range, documents), 0);
    assert_int_equal(position_of(fixture->store, "store"), 0);
    struct store_info info;
    store_info(fixture->store, &info);
    assert_int_equal(info.index_rows, 0);
    assert_int_equal(info.documents, 0);
    /* A write of nothing is fine. */
    write_ok(fixture->store, &(struct store_write){0});
}

static void test_each_batch_once_in_order(void **state)
{
    struct fixture *fixture = *state;
    struct bytes key = BYTES("binance:BTC-USDT");
    const struct store_index_entry entries[] = {
        {1, key, NOON, 500}, /* a batch that reaches three buckets */
        {1, key, NOON + 10 * SECOND, 500},
        {1, key, NOON + 20 * SECOND, 500},
        {1, key, NOON + 20 * SECOND, 400}, /* an older batch with a later event only */
        {1, key, NOON + 1 * SECOND, 600},
        {1, BYTES("binance:ETH-USDT"), NOON, 700},
        {2, key, NOON, 800}, /* the same key of another topic */
    };
    write_entries(fixture->store, entries, sizeof entries / sizeof entries[0]);
    struct store_range range = everything;
    uint64_t offsets[8];
    range.key = key;
    assert_int_equal(find_batches(fixture->store, 1, &range, offsets, 8), 3);
    assert_int_equal(offsets[0], 500);
    assert_int_equal(offsets[1], 600);
    assert_int_equal(offsets[2], 400);
    range.newest_first = true;
    assert_int_equal(find_batches(fixture->store, 1, &range, offsets, 8), 3);
    assert_int_equal(offsets[0], 500);
    assert_int_equal(offsets[1], 400);
    assert_int_equal(offsets[2], 600);
    assert_int_equal(find_batches(fixture->store, 1, &range, offsets, 2), 2);
    assert_int_equal(offsets[1], 400);
    range.key = BYTES_NONE;
    assert_int_equal(find_batches(fixture->store, 1, &range, offsets, 8), 4);
    assert_int_equal(offsets[2], 700);
    assert_int_equal(find_batches(fixture->store, 2, &range, offsets, 8), 1);
    assert_int_equal(offsets[0], 800);
    assert_int_equal(find_batches(fixture->store, 0, &range, offsets, 8), 0);
}

static void test_time_bounds(void **state)
{
    struct fixture *fixture = *state;
    int64_t bucket = NOON / STORE_BUCKET_US * STORE_BUCKET_US;
    const struct store_index_entry entries[] = {{0, BYTES("c"), bucket - 1, 1},
                                                {0, BYTES("c"), bucket, 2},
                                                {0, BYTES("c"), bucket + STORE_BUCKET_US - 1, 3},
                                                {0, BYTES("c"), bucket + STORE_BUCKET_US, 4},
                                                {0, BYTES("c"), -1, 5}}; /* a time before 1970 is a time */
    write_entries(fixture->store, entries, 5);
    uint64_t offsets[8];
    struct store_range range = {.key = BYTES("c"), .from_us = bucket + 5, .to_us = bucket + 6};
    assert_int_equal(find_batches(fixture->store, 0, &range, offsets, 8), 2);
    assert_int_equal(offsets[0], 2);
    range.from_us = bucket - 1;
    assert_int_equal(find_batches(fixture->store, 0, &range, offsets, 8), 3);
    range.to_us = bucket + STORE_BUCKET_US;
    assert_int_equal(find_batches(fixture->store, 0, &range, offsets, 8), 4);
    range = (struct store_range){.from_us = -STORE_BUCKET_US, .to_us = -1};
    assert_int_equal(find_batches(fixture->store, 0, &range, offsets, 8), 1);
    assert_int_equal(offsets[0], 5);
    range = (struct store_range){.from_us = 2, .to_us = 1};
    assert_int_equal(find_batches(fixture->store, 0, &range, offsets, 8), 0);
}

static void test_hostile_keys(void **state)
{
    struct fixture *fixture = *state;
    char long_key[5000];
    memset(long_key, 'k', sizeof long_key);
    const struct bytes keys[] = {
        bytes_of("a\0b", 3),         bytes_of("a\0c", 3), bytes_of("a", 1), BYTES("'; DROP TABLE keys; --"),
        bytes_of("\xff\xfe\x80", 3), BYTES("%"),          BYTES("naïve"),   bytes_of(long_key, 5000)};
    enum { KEYS = sizeof keys / sizeof keys[0] };
    struct store_index_entry entries[KEYS];
    for (size_t i = 0; i < KEYS; i++)
        entries[i] = (struct store_index_entry){0, keys[i], NOON, 100 + i};
    write_entries(fixture->store, entries, KEYS);
    for (size_t i = 0; i < KEYS; i++) {
        struct store_range range = everything;
        range.key = keys[i];
        uint64_t offsets[8];
        assert_int_equal(find_batches(fixture->store, 0, &range, offsets, 8), 1);
        assert_int_equal(offsets[0], 100 + i);
    }
}

/* ---- index against the oracle ---- */

struct oracle {
    struct store_index_entry entries[ENTRY_CAP];
    size_t count;
    char names[64][16];
};

static int64_t floor_bucket(int64_t time_us)
{
    int64_t bucket = time_us / STORE_BUCKET_US;
    return bucket * STORE_BUCKET_US > time_us ? bucket - 1 : bucket;
}

struct hit {
    int64_t bucket;
    uint64_t base;
};

static int compare_hits(const void *left, const void *right)
{
    const struct hit *a = left, *b = right;
    if (a->bucket != b->bucket)
        return a->bucket < b->bucket ? -1 : 1;
    return (a->base > b->base) - (a->base < b->base);
}

static size_t oracle_find(const struct oracle *oracle, uint32_t topic, const struct store_range *range, uint64_t first_offset,
                          uint64_t *offsets, size_t cap)
{
    struct hit *hits = malloc((oracle->count + 1) * sizeof *hits);
    assert_non_null(hits);
    size_t hit_count = 0, count = 0;
    for (size_t i = 0; i < oracle->count; i++) {
        const struct store_index_entry *entry = &oracle->entries[i];
        int64_t bucket = floor_bucket(entry->timestamp_us);
        if (entry->topic == topic && (range->key.length == 0 || bytes_equal(entry->key, range->key)) &&
            entry->base_offset >= first_offset && bucket >= floor_bucket(range->from_us) && bucket <= floor_bucket(range->to_us))
            hits[hit_count++] = (struct hit){bucket, entry->base_offset};
    }
    qsort(hits, hit_count, sizeof *hits, compare_hits);
    for (size_t i = 0; i < hit_count && count < cap; i++) {
        uint64_t base = hits[range->newest_first ? hit_count - 1 - i : i].base;
        bool seen = false;
        for (size_t j = 0; j < count && !seen; j++)
            seen = offsets[j] == base;
        if (!seen)
            offsets[count++] = base;
    }
    free(hits);
    return count;
}

/* Adds a batch of random events: mostly recent and of few keys, some late, some far off, some of any key. */
static void oracle_add_batch(struct oracle *oracle, struct random *random, uint64_t *offset, int64_t *now_us)
{
    size_t size = 1 + (size_t)random_below(random, random_below(random, 4) == 0 ? 200 : 5);
    for (size_t i = 0; i < size && oracle->count < ENTRY_CAP; i++) {
        uint64_t kind = random_below(random, 100);
        int64_t time_us = *now_us - (int64_t)random_below(random, kind < 90 ? 1000000 : 3600000000);
        if (kind == 99)
            time_us = (int64_t)random_below(random, 1u << 30) - (1 << 29);
        size_t name = (size_t)random_below(random, kind < 50 ? 3 : 64);
        oracle->entries[oracle->count++] =
            (struct store_index_entry){(uint32_t)random_below(random, 3), bytes_of_string(oracle->names[name]), time_us, *offset};
    }
    *offset += size;
    *now_us += (int64_t)random_below(random, 2000000);
}

static void compare_queries(struct fixture *fixture, const struct oracle *oracle, uint64_t first_offset, int rounds)
{
    static uint64_t expected[FOUND_CAP], found[FOUND_CAP];
    struct random *random = &fixture->random;
    for (int round = 0; round < rounds; round++) {
        struct store_range range = everything;
        if (random_below(random, 4) > 0) {
            range.from_us = NOON - 3600 * SECOND + (int64_t)random_below(random, 4000000000);
            range.to_us = range.from_us + (int64_t)random_below(random, random_below(random, 2) ? 1000000000 : 20000000);
        }
        if (random_below(random, 3) > 0)
            range.key = bytes_of_string(oracle->names[random_below(random, 64)]);
        range.newest_first = random_below(random, 2) == 0;
        size_t cap = random_below(random, 2) ? FOUND_CAP : 1 + (size_t)random_below(random, 20);
        uint32_t topic = (uint32_t)random_below(random, 3);
        size_t wanted = oracle_find(oracle, topic, &range, first_offset, expected, cap);
        size_t got = find_batches(fixture->store, topic, &range, found, cap);
        assert_int_equal(got, wanted);
        assert_memory_equal(found, expected, wanted * sizeof *found);
    }
}

static struct oracle *oracle_create(void)
{
    struct oracle *oracle = calloc(1, sizeof *oracle);
    assert_non_null(oracle);
    for (size_t i = 0; i < 64; i++)
        snprintf(oracle->names[i], sizeof oracle->names[i], "key-%zu", i);
    return oracle;
}

/* Writes random batches, some in one write, until the oracle is full or `until` entries are there. */
static void write_random(struct fixture *fixture, struct oracle *oracle, size_t until, uint64_t *offset, int64_t *now_us)
{
    while (oracle->count < until) {
        size_t before = oracle->count;
        for (uint64_t batches = 1 + random_below(&fixture->random, 3); batches > 0; batches--)
            oracle_add_batch(oracle, &fixture->random, offset, now_us);
        write_entries(fixture->store, oracle->entries + before, oracle->count - before);
    }
}

static void test_random_index(void **state)
{
    struct fixture *fixture = *state;
    struct oracle *oracle = oracle_create();
    uint64_t offset = 0;
    int64_t now_us = NOON;
    for (size_t part = 1; part <= 4; part++) {
        write_random(fixture, oracle, part * 1500, &offset, &now_us);
        compare_queries(fixture, oracle, 0, 60);
    }
    free(oracle);
}

static void test_random_retention(void **state)
{
    struct fixture *fixture = *state;
    struct oracle *oracle = oracle_create();
    uint64_t offset = 0, kept_from = 0;
    int64_t now_us = NOON;
    struct error error = {""};
    for (size_t part = 1; part <= 6; part++) {
        write_random(fixture, oracle, part * 1000, &offset, &now_us);
        offset += 20000 * (part % 2); /* offsets go on behind a stretch without entries */
        kept_from = kept_from + random_below(&fixture->random, offset - kept_from + 1);
        assert_int_equal(store_retain(fixture->store, INT64_MIN, kept_from, &error), 0);
        compare_queries(fixture, oracle, kept_from, 60);
    }
    assert_int_equal(store_retain(fixture->store, INT64_MIN, offset, &error), 0);
    struct store_info info;
    store_info(fixture->store, &info);
    assert_int_equal(info.index_rows, 0);
    /* And it takes new rows, of keys that it had dropped. */
    write_random(fixture, oracle, oracle->count + 100, &offset, &now_us);
    free(oracle);
}

/* ---- documents ---- */

static void test_upsert(void **state)
{
    struct fixture *fixture = *state;
    write_document(fixture->store, document(STORE_ALERTS, "a1", "k", NOON, "ann", "{\"state\":\"open\"}"));
    write_document(fixture->store, document(STORE_ALERTS, "a2", "k", NOON + 1, "", "{}"));
    write_document(fixture->store, document(STORE_WINDOWS, "a1", "other", NOON, "", "{\"w\":1}"));
    write_document(fixture->store, document(STORE_ALERTS, "a1", "moved", NOON + 5, "bob", "{\"state\":\"closed\"}"));
    struct store_document documents[8];
    struct store_range range = everything;
    range.limit = 8;
    assert_int_equal(find_documents(fixture, STORE_ALERTS, &range, documents), 2);
    assert_true(bytes_equal(documents[0].id, BYTES("a2")));
    assert_int_equal(documents[0].user.length, 0);
    assert_true(bytes_equal(documents[1].id, BYTES("a1")));
    assert_true(bytes_equal(documents[1].key, BYTES("moved")));
    assert_true(bytes_equal(documents[1].user, BYTES("bob")));
    assert_true(bytes_equal(documents[1].json, BYTES("{\"state\":\"closed\"}")));
    assert_int_equal(documents[1].timestamp_us, NOON + 5);
    assert_int_equal(documents[1].collection, STORE_ALERTS);
    range.key = BYTES("k");
    assert_int_equal(find_documents(fixture, STORE_ALERTS, &range, documents), 1);
    range.key = BYTES("other");
    assert_int_equal(find_documents(fixture, STORE_WINDOWS, &range, documents), 1);
    struct store_info info;
    store_info(fixture->store, &info);
    assert_int_equal(info.documents, 3);
}

static void test_same_id_twice_in_one_write(void **state)
{
    struct fixture *fixture = *state;
    const struct store_document both[] = {document(STORE_ALERTS, "a", "k", NOON, "", "1"),
                                          document(STORE_ALERTS, "a", "k", NOON + 9, "", "2")};
    write_ok(fixture->store, &(struct store_write){.documents = both, .document_count = 2});
    struct store_document documents[8];
    struct store_range range = everything;
    range.limit = 8;
    assert_int_equal(find_documents(fixture, STORE_ALERTS, &range, documents), 1);
    assert_true(bytes_equal(documents[0].json, BYTES("2")));
}

/* Pages of 7 over documents that share few time stamps give each once, in order, both ways. */
static void test_paging(void **state)
{
    struct fixture *fixture = *state;
    enum { DOCUMENTS = 200, PAGE = 7 };
    for (int i = 0; i < DOCUMENTS; i++) {
        char id[16];
        snprintf(id, sizeof id, "id-%03d", (i * 37) % DOCUMENTS);
        write_document(fixture->store,
                       document(STORE_WINDOWS, id, i % 2 ? "odd" : "even", NOON + (i * 37) % DOCUMENTS / 50, "", "{}"));
    }
    for (int way = 0; way < 2; way++) {
        struct store_range range = {.from_us = NOON, .to_us = NOON + 3, .limit = PAGE, .newest_first = way == 1};
        struct store_document page[PAGE];
        char past[16] = "";
        int expected = way ? DOCUMENTS - 1 : 0, seen = 0;
        for (;;) {
            range.past_id = bytes_of_string(past);
            size_t count = find_documents(fixture, STORE_WINDOWS, &range, page);
            for (size_t i = 0; i < count; i++, seen++, expected += way ? -1 : 1) {
                char id[16];
                snprintf(id, sizeof id, "id-%03d", expected);
                assert_true(bytes_equal(page[i].id, bytes_of_string(id)));
            }
            if (count < PAGE)
                break;
            snprintf(past, sizeof past, "%.*s", BYTES_ARG(page[count - 1].id));
            *(way ? &range.to_us : &range.from_us) = page[count - 1].timestamp_us;
        }
        assert_int_equal(seen, DOCUMENTS);
    }
    struct store_range range = everything;
    struct store_document all[DOCUMENTS];
    range.limit = DOCUMENTS;
    range.key = BYTES("odd");
    assert_int_equal(find_documents(fixture, STORE_WINDOWS, &range, all), DOCUMENTS / 2);
    range.limit = 0;
    assert_int_equal(find_documents(fixture, STORE_WINDOWS, &range, all), 0);
}

static void test_documents_retain(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 5000; i++) {
        char id[16];
        snprintf(id, sizeof id, "%d", i);
        write_document(fixture->store, document(STORE_CHAT_TOXICITY, id, "c", NOON + i, "u", "{}"));
        if (i == 0 && strcmp(fixture->store->class->name, "memory") == 0)
            i = 4000; /* upserts there search from end to end */
    }
    struct error error = {""};
    assert_int_equal(store_retain(fixture->store, NOON + 4990, 0, &error), 0);
    struct store_info info;
    store_info(fixture->store, &info);
    assert_int_equal(info.documents, 10);
    struct store_document documents[16];
    struct store_range range = everything;
    range.limit = 16;
    assert_int_equal(find_documents(fixture, STORE_CHAT_TOXICITY, &range, documents), 10);
    assert_int_equal(documents[0].timestamp_us, NOON + 4990);
}

static void test_erase_user(void **state)
{
    struct fixture *fixture = *state;
    write_document(fixture->store, document(STORE_CHAT_TOXICITY, "1", "c", NOON, "ann", "{}"));
    write_document(fixture->store, document(STORE_CHAT_TOXICITY, "2", "c", NOON, "anna", "{}"));
    write_document(fixture->store, document(STORE_ALERTS, "3", "c", NOON, "ann", "{}"));
    write_document(fixture->store, document(STORE_ALERTS, "4", "c", NOON, "", "{}"));
    struct error error = {""};
    uint64_t erased = 0;
    assert_int_equal(store_erase_user(fixture->store, BYTES("ann"), &erased, &error), 0);
    assert_int_equal(erased, 2);
    assert_int_equal(store_erase_user(fixture->store, BYTES("ann"), &erased, &error), 0);
    assert_int_equal(erased, 0);
    struct store_info info;
    store_info(fixture->store, &info);
    assert_int_equal(info.documents, 2);
}

static void test_clear(void **state)
{
    struct fixture *fixture = *state;
    const struct store_index_entry entry = {0, BYTES("c"), NOON, 10};
    struct store_document one = document(STORE_ALERTS, "1", "c", NOON, "", "{}");
    const struct store_write write = {
        .entries = &entry, .entry_count = 1, .documents = &one, .document_count = 1, .reader = BYTES("store"), .next_offset = 11};
    write_ok(fixture->store, &write);
    assert_int_equal(position_of(fixture->store, "store"), 11);
    struct error error = {""};
    assert_int_equal(store_clear(fixture->store, &error), 0);
    assert_int_equal(position_of(fixture->store, "store"), 0);
    struct store_info info;
    store_info(fixture->store, &info);
    assert_int_equal(info.index_rows, 0);
    assert_int_equal(info.documents, 0);
    uint64_t offsets[2];
    assert_int_equal(find_batches(fixture->store, 0, &everything, offsets, 2), 0);
    /* What was written before can be written again: nothing is remembered as being there. */
    write_ok(fixture->store, &write);
    assert_int_equal(find_batches(fixture->store, 0, &everything, offsets, 2), 1);
    assert_int_equal(offsets[0], 10);
}

/* ---- marks ---- */

enum { MARKS = 300, MESSAGES = 600 };

static struct bytes draw_name(struct random *random, const char *const *names, size_t count)
{
    return bytes_of_string(names[random_below(random, count)]);
}

/* Marks with few channels, users and times, so that many meet; ids of messages are numbers. */
static void draw_marks(struct fixture *fixture, struct store_mark *marks, char (*texts)[2][16])
{
    static const char *const channels[] = {"c", "d", ""}, *const users[] = {"ann", "bob", "c"};
    for (size_t i = 0; i < MARKS; i++) {
        struct random *random = &fixture->random;
        struct store_mark *mark = &marks[i];
        *mark = (struct store_mark){.kind = 1 + (enum store_mark_kind)random_below(random, 4),
                                    .channel = draw_name(random, channels, 3),
                                    .timestamp_us = NOON + (int64_t)random_below(random, 20),
                                    .offset = 2 * i + 1};
        snprintf(texts[i][0], sizeof texts[i][0], "%llu", (unsigned long long)random_below(random, MESSAGES));
        snprintf(texts[i][1], sizeof texts[i][1], "by-%zu", i);
        mark->by = bytes_of_string(texts[i][1]);
        if (mark->kind == STORE_MARK_DELETED)
            mark->target = bytes_of_string(texts[i][0]);
        else if (mark->kind != STORE_MARK_CLEARED)
            mark->target = draw_name(random, users, 3);
    }
}

/* Whether the mark took the message down, by the words of store.h. */
static bool took_down(const struct store_mark *mark, const struct store_message *message)
{
    bool before = message->timestamp_us < mark->timestamp_us ||
                  (message->timestamp_us == mark->timestamp_us && message->offset < mark->offset);
    if (!bytes_equal(mark->channel, message->channel))
        return false;
    switch (mark->kind) {
    case STORE_MARK_DELETED:
        return bytes_equal(mark->target, message->id);
    case STORE_MARK_CLEARED:
        return before;
    default:
        return before && message->user.length > 0 && bytes_equal(mark->target, message->user);
    }
}

static bool same_mark(const struct store_mark *a, const struct store_mark *b)
{
    return a->kind == b->kind && bytes_equal(a->channel, b->channel) && bytes_equal(a->target, b->target) &&
           a->timestamp_us == b->timestamp_us && a->offset == b->offset && bytes_equal(a->by, b->by);
}

static void test_random_marks(void **state)
{
    struct fixture *fixture = *state;
    static const char *const channels[] = {"c", "d", ""}, *const users[] = {"ann", "bob", ""};
    static struct store_mark marks[MARKS], found[MESSAGES];
    static struct store_message messages[MESSAGES];
    static char texts[MARKS][2][16], ids[MESSAGES][16];
    struct error error = {""};
    draw_marks(fixture, marks, texts);
    for (size_t i = 0; i < MARKS; i += 50)
        write_ok(fixture->store, &(struct store_write){.marks = &marks[i], .mark_count = 50});
    write_ok(fixture->store, &(struct store_write){.marks = marks, .mark_count = MARKS}); /* and once more */
    for (size_t i = 0; i < MESSAGES; i++) {
        snprintf(ids[i], sizeof ids[i], "%zu", i);
        messages[i] = (struct store_message){.channel = draw_name(&fixture->random, channels, 3),
                                             .id = bytes_of_string(ids[i]),
                                             .user = draw_name(&fixture->random, users, 3),
                                             .timestamp_us = NOON + (int64_t)random_below(&fixture->random, 20),
                                             .offset = 2 * random_below(&fixture->random, MARKS)};
    }
    assert_int_equal(store_find_marks(fixture->store, messages, MESSAGES, &fixture->arena, found, &error), 0);
    size_t taken_down = 0;
    for (size_t i = 0; i < MESSAGES; i++) {
        const struct store_mark *first = NULL;
        for (size_t m = 0; m < MARKS; m++)
            if (took_down(&marks[m], &messages[i]) && (!first || marks[m].timestamp_us < first->timestamp_us))
                first = &marks[m];
        taken_down += first != NULL;
        assert_true(first ? same_mark(first, &found[i]) : found[i].kind == STORE_MARK_NONE);
    }
    assert_true(taken_down > MESSAGES / 4 && taken_down < MESSAGES);
}

static size_t list_marks(struct fixture *fixture, uint64_t from, struct store_mark *marks, size_t most)
{
    struct error error = {""};
    if (store_list_marks(fixture->store, from, &fixture->arena, marks, &most, &error) != 0)
        fail_msg("%s", error.text);
    return most;
}

static void test_marks_come_and_go(void **state)
{
    struct fixture *fixture = *state;
    static struct store_mark marks[MARKS], found[MARKS];
    static char texts[MARKS][2][16];
    struct error error = {""};
    draw_marks(fixture, marks, texts);
    assert_int_equal(list_marks(fixture, 0, found, MARKS), 0);
    write_ok(fixture->store, &(struct store_write){.marks = marks, .mark_count = MARKS});
    assert_int_equal(list_marks(fixture, 0, found, MARKS), MARKS);
    assert_int_equal(list_marks(fixture, 101, found, 10), 10); /* the mark of offset 101 is the first */
    for (size_t i = 0; i < 10; i++)
        assert_true(same_mark(&found[i], &marks[50 + i]));
    assert_int_equal(store_retain(fixture->store, INT64_MIN, 102, &error), 0);
    assert_int_equal(list_marks(fixture, 0, found, MARKS), MARKS - 51);
    uint64_t erased;
    assert_int_equal(store_erase_user(fixture->store, BYTES("c"), &erased, &error), 0); /* the user, not the channel */
    size_t kept = 0;
    for (size_t i = 51; i < MARKS; i++)
        kept += marks[i].kind == STORE_MARK_DELETED || marks[i].kind == STORE_MARK_CLEARED ||
                !bytes_equal(marks[i].target, BYTES("c"));
    assert_int_equal(list_marks(fixture, 0, found, MARKS), kept);
    assert_int_equal(store_clear(fixture->store, &error), 0);
    assert_int_equal(list_marks(fixture, 0, found, MARKS), 0);
}

/* ---- positions ---- */

static void test_positions(void **state)
{
    struct fixture *fixture = *state;
    write_ok(fixture->store, &(struct store_write){.reader = BYTES("index"), .next_offset = 5});
    write_ok(fixture->store, &(struct store_write){.reader = BYTES("other"), .next_offset = 1ull << 60});
    write_ok(fixture->store, &(struct store_write){.reader = BYTES("index"), .next_offset = 9});
    assert_int_equal(position_of(fixture->store, "index"), 9);
    assert_int_equal(position_of(fixture->store, "other"), 1ull << 60);
    assert_int_equal(position_of(fixture->store, "unknown"), 0);
    const struct store_index_entry entry = {0, BYTES("c"), NOON, 9};
    write_entries(fixture->store, &entry, 1); /* without a reader no position moves */
    assert_int_equal(position_of(fixture->store, "index"), 9);
}

static int skip_unless_faulty(const struct fixture *fixture)
{
    return strcmp(fixture->store->class->name, "faulty") == 0;
}

static void test_failed_write_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    if (!skip_unless_faulty(fixture))
        return;
    struct store_index_entry entry = {0, BYTES("c"), NOON, 0};
    struct store_write write = {.entries = &entry, .entry_count = 1, .reader = BYTES("store"), .next_offset = 1};
    write_ok(fixture->store, &write);
    entry.base_offset = 1;
    write.next_offset = 2;
    fixture->faults.fail_write_at = 2;
    struct error error = {""};
    assert_int_equal(store_write(fixture->store, &write, &error), -1);
    assert_non_null(strstr(error.text, "injected"));
    assert_int_equal(position_of(fixture->store, "store"), 1);
    uint64_t offsets[4];
    assert_int_equal(find_batches(fixture->store, 0, &everything, offsets, 4), 1);
    write_ok(fixture->store, &write); /* the third write: tried again, it is there once */
    assert_int_equal(position_of(fixture->store, "store"), 2);
    assert_int_equal(find_batches(fixture->store, 0, &everything, offsets, 4), 2);
    fixture->faults.fail_query_at = fixture->faults.queries + 1;
    size_t count = 4;
    assert_int_equal(store_find_batches(fixture->store, 0, &everything, offsets, &count, &error), -1);
}

static const struct implementation implementations[] = {
    {"memory", false, false}, {"sqlite", true, false}, {"faulty memory", false, true}, {"faulty sqlite", true, true}};

int main(void)
{
    int failures = 0;
    for (size_t i = 0; i < sizeof implementations / sizeof implementations[0]; i++) {
        void *given = (void *)(uintptr_t)&implementations[i];
#define CONTRACT(test) cmocka_unit_test_prestate_setup_teardown(test, setup, teardown, given)
        const struct CMUnitTest tests[] = {
            CONTRACT(test_empty),        CONTRACT(test_each_batch_once_in_order),
            CONTRACT(test_time_bounds),  CONTRACT(test_hostile_keys),
            CONTRACT(test_random_index), CONTRACT(test_random_retention),
            CONTRACT(test_upsert),       CONTRACT(test_same_id_twice_in_one_write),
            CONTRACT(test_paging),       CONTRACT(test_documents_retain),
            CONTRACT(test_erase_user),   CONTRACT(test_clear),
            CONTRACT(test_random_marks), CONTRACT(test_marks_come_and_go),
            CONTRACT(test_positions),    CONTRACT(test_failed_write_leaves_nothing),
        };
        print_message("store: %s\n", implementations[i].name);
        failures += cmocka_run_group_tests_name(implementations[i].name, tests, NULL, NULL);
    }
    return failures;
}
