/* Questions about events against the plainest answer there is: all events, sorted.  Times are in disorder, batches mix topics and
 * keys, and one batch is damaged. */
#include "unit/bus/bus_support.h"

#include "app/event_query.h"
#include "event/event.h"
#include "store/store.h"

enum { EVENTS = 6000, BATCH = 25, SEGMENT_BYTES = 150 * 1024 };

struct item {
    int64_t timestamp_us;
    uint64_t offset;
    uint32_t topic;
    bool damaged, key_b;
};

struct fixture {
    struct scratch scratch;
    struct bus *bus;
    struct store *store;
    struct item items[EVENTS];
    struct error error;
};

static struct bytes key_of(const struct item *item)
{
    return item->key_b ? BYTES("b") : BYTES("a");
}

static void append_batch(struct fixture *fixture, uint64_t first, struct random *random)
{
    struct bus_record records[BATCH];
    struct store_index_entry entries[BATCH];
    char values[BATCH][400];
    for (size_t i = 0; i < BATCH; i++) {
        struct item *item = &fixture->items[first + i];
        bool late = random_below(random, 50) == 0; /* by up to some buckets */
        int64_t back = (int64_t)random_below(random, late ? 40000000 : 300000);
        *item = (struct item){.timestamp_us = (int64_t)(100000000 + (first + i) * 20000) - back,
                              .offset = first + i,
                              .topic = random_below(random, 3) ? EVENT_MARKET : EVENT_ANALYTICS,
                              .key_b = random_below(random, 10) == 0};
        int length = snprintf(values[i], sizeof values[i], "{\"n\":%zu,\"text\":\"%0*d\"}", (size_t)first + i, 200, 0);
        records[i] = (struct bus_record){.timestamp_us = item->timestamp_us,
                                         .topic = item->topic,
                                         .key = key_of(item),
                                         .value = bytes_of(values[i], (size_t)length)};
        entries[i] = (struct store_index_entry){
            .topic = item->topic, .key = key_of(item), .timestamp_us = item->timestamp_us, .base_offset = first};
    }
    assert_int_equal(bus_append(fixture->bus, records, BATCH, NULL, &fixture->error), 0);
    struct store_write write = {.entries = entries, .entry_count = BATCH, .reader = BYTES("store"), .next_offset = first + BATCH};
    assert_int_equal(store_write(fixture->store, &write, &fixture->error), 0);
}

static int set_up(void **state)
{
    struct fixture *fixture = *state = calloc(1, sizeof *fixture);
    struct random random;
    random_seed(&random, 7);
    scratch_make_quick(&fixture->scratch);
    struct bus_log_options options = {.directory = fixture->scratch.path, .sync = BUS_SYNC_OFF, .segment_bytes = SEGMENT_BYTES};
    fixture->bus = bus_log_open(&options, env_system(), &fixture->error);
    fixture->store = store_memory_create();
    assert_true(fixture->bus && fixture->store);
    for (uint64_t first = 0; first < EVENTS; first += BATCH)
        append_batch(fixture, first, &random);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    bus_destroy(fixture->bus);
    store_destroy(fixture->store);
    scratch_remove(&fixture->scratch);
    free(fixture);
    return 0;
}

static int compare_items(const void *left, const void *right)
{
    const struct item *a = left, *b = right;
    if (a->timestamp_us != b->timestamp_us)
        return a->timestamp_us < b->timestamp_us ? -1 : 1;
    return (a->offset > b->offset) - (a->offset < b->offset);
}

/* Asks, and compares the answer's events with those expected. */
static void check(struct fixture *fixture, struct serve_events_query query, const struct item *items, size_t count)
{
    struct buffer out, expected;
    buffer_init(&out, 64 << 20);
    buffer_init(&expected, 64 << 20);
    bool newest = query.from_us <= TIME_MIN;
    size_t found = 0, skip = 0, taken = 0;
    for (int pass = 0; pass < 2; pass++) {
        skip = newest && found > query.limit ? found - query.limit : 0;
        found = 0;
        for (size_t i = 0; i < count; i++) {
            bool fits = items[i].topic == EVENT_MARKET && !items[i].damaged && items[i].timestamp_us >= query.from_us &&
                        items[i].timestamp_us <= query.to_us &&
                        (query.key.length == 0 || bytes_equal(query.key, key_of(&items[i])));
            if (!fits || found++ < skip || pass == 0 || taken == query.limit)
                continue;
            buffer_printf(&expected, "%s{\"n\":%llu,\"text\":\"%0*d\"}", taken++ > 0 ? "," : "",
                          (unsigned long long)items[i].offset, 200, 0);
        }
    }
    assert_int_equal(event_query(fixture->bus, fixture->store, &query, &out, &fixture->error), 200);
    struct bytes answer = buffer_bytes(&out), head = BYTES("{\"events\":[");
    assert_true(bytes_start_with(answer, head));
    answer = bytes_of(answer.at + head.length, expected.length);
    assert_true(out.length > head.length + expected.length && bytes_equal(answer, buffer_bytes(&expected)));
    assert_true(out.at[head.length + expected.length] == ']');
    buffer_release(&out);
    buffer_release(&expected);
}

static void check_all(struct fixture *fixture)
{
    static struct item items[EVENTS];
    struct random random;
    random_seed(&random, 11);
    memcpy(items, fixture->items, sizeof items);
    qsort(items, EVENTS, sizeof *items, compare_items);
    static const size_t limits[] = {1, 10, 100, 1000};
    for (size_t i = 0; i < 200; i++) {
        int64_t a = items[random_below(&random, EVENTS)].timestamp_us, b = items[random_below(&random, EVENTS)].timestamp_us;
        struct serve_events_query query = {.topic = BYTES("market_stream"),
                                           .key = i % 3 == 0 ? BYTES("b") : BYTES(""),
                                           .limit = limits[i % 4],
                                           .from_us = i % 2 == 0 ? TIME_MIN
                                                      : a < b    ? a
                                                                 : b,
                                           .to_us = i % 5 == 0 ? TIME_MAX
                                                    : a < b    ? b
                                                               : a};
        check(fixture, query, items, EVENTS);
    }
}

static void test_answers_are_exact(void **state)
{
    check_all(*state);
}

static void test_answers_go_on_behind_damage(void **state)
{
    struct fixture *fixture = *state;
    enum { HIT = EVENTS / 2 }; /* in a closed segment */
    uint64_t base = HIT;
    struct stat info;
    while (stat(scratch_file(&fixture->scratch, base, ".log").text, &info) < 0)
        base -= BATCH;
    struct path_text path = scratch_file(&fixture->scratch, base, ".log");
    size_t size;
    char *data = file_load(path.text, &size), text[32];
    int length = snprintf(text, sizeof text, "{\"n\":%d,", HIT);
    char *at = memmem(data, size, text, (size_t)length);
    assert_non_null(at);
    at[2] = 'm';
    file_store(path.text, data, size);
    free(data);
    for (size_t i = 0; i < BATCH; i++)
        fixture->items[HIT + i].damaged = true;
    check_all(fixture);
    assert_true(bus_damage(fixture->bus, NULL) == BATCH);
}

static void test_an_empty_page_keeps_the_cursor(void **state)
{
    struct fixture *fixture = *state;
    struct serve_events_query query = {
        .topic = BYTES("market_stream"), .after = BYTES("999999999999-7"), .from_us = TIME_MIN, .to_us = TIME_MAX, .limit = 10};
    struct buffer out;
    buffer_init(&out, 1 << 20);
    assert_int_equal(event_query(fixture->bus, fixture->store, &query, &out, &fixture->error), 200);
    assert_true(bytes_equal(buffer_bytes(&out), BYTES("{\"events\":[],\"next\":\"999999999999-7\",\"previous\":null}")));
    buffer_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answers_are_exact, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_answers_go_on_behind_damage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_empty_page_keeps_the_cursor, set_up, tear_down),
    };
    log_configure(LOG_ERROR, LOG_FORMAT_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
