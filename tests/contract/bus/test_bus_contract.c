/* The contract of bus.h, held by every implementation and through the fault decorator. */
#include "unit/bus/bus_support.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

enum { SMALL_SEGMENT_BYTES = 4096, HANG_SECONDS = 120 };

/* One way to have a bus. */
struct kind {
    const char *name;
    bool log, compress, faulty;
    uint64_t segment_bytes;
    enum bus_sync sync;
};

static const struct kind kinds[] = {
    {"memory", .log = false},
    {"log", .log = true},
    {"log, small segments", .log = true, .segment_bytes = SMALL_SEGMENT_BYTES},
    {"log, compressed", .log = true, .compress = true, .segment_bytes = SMALL_SEGMENT_BYTES},
    {"log, sync by interval", .log = true, .sync = BUS_SYNC_INTERVAL, .segment_bytes = SMALL_SEGMENT_BYTES},
    {"log, no sync", .log = true, .sync = BUS_SYNC_OFF, .segment_bytes = SMALL_SEGMENT_BYTES},
    {"faulty memory", .faulty = true},
    {"faulty log", .log = true, .faulty = true, .segment_bytes = SMALL_SEGMENT_BYTES},
};
enum { KIND_COUNT = sizeof kinds / sizeof kinds[0] };

struct fixture {
    const struct kind *kind;
    struct scratch scratch;
    struct bus_faults faults;
    struct fault_env quick; /* real files, syncs left out: the tests of durability are elsewhere */
    struct bus *bus;
    struct error error;
};

static struct bus *open_kind(struct fixture *fixture)
{
    struct bus_log_options options = {.directory = fixture->scratch.path,
                                      .sync = fixture->kind->sync,
                                      .segment_bytes = fixture->kind->segment_bytes,
                                      .compress = fixture->kind->compress};
    struct bus *bus = fixture->kind->log ? bus_log_open(&options, &fixture->quick.env, &fixture->error) : bus_memory_create();
    if (!bus)
        print_error("%s\n", fixture->error.text);
    assert_non_null(bus);
    return fixture->kind->faulty ? bus_faulty_create(bus, &fixture->faults) : bus;
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    fixture->kind = *state;
    fault_env_init(&fixture->quick);
    scratch_make(&fixture->scratch);
    fixture->bus = open_kind(fixture);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    bus_destroy(fixture->bus);
    scratch_remove(&fixture->scratch);
    free(fixture);
    return 0;
}

static void append_numbered(struct fixture *fixture, uint64_t number, size_t count)
{
    if (numbered_append(fixture->bus, number, count, NULL, &fixture->error) != 0)
        fail_msg("%s", fixture->error.text);
}

/* Appends records 0 .. count - 1 in batches of 1 to 9. */
static void append_many(struct fixture *fixture, uint64_t count)
{
    for (uint64_t number = 0; number < count;) {
        size_t batch = 1 + number % 9;
        if (batch > count - number)
            batch = (size_t)(count - number);
        append_numbered(fixture, number, batch);
        number += batch;
    }
}

static void read_numbered(struct fixture *fixture, uint64_t from, uint64_t to)
{
    int status;
    assert_true(numbered_read(fixture->bus, from, &status, &fixture->error) == to);
    assert_int_equal(status, 0);
}

/* ---- append and read ---- */

static void test_empty_bus(void **state)
{
    struct fixture *fixture = *state;
    struct bus_info info;
    struct bus_batch batch;
    uint64_t offset = 7;
    bus_info(fixture->bus, &info);
    assert_true(info.first_offset == 0 && info.end_offset == 0);
    struct bus_reader *reader = bus_reader_open(fixture->bus, 0, BUS_ALL_TOPICS, &fixture->error);
    assert_non_null(reader);
    assert_int_equal(bus_reader_next(reader, &batch, &fixture->error), 0);
    assert_int_equal(bus_offset_at(fixture->bus, 0, &offset, &fixture->error), 0);
    assert_true(offset == 0);
    assert_int_equal(bus_append(fixture->bus, NULL, 0, NULL, &fixture->error), 0);
    assert_int_equal(bus_reader_next(reader, &batch, &fixture->error), 0);
    append_numbered(fixture, 0, 1); /* the reader that was there first sees it */
    assert_int_equal(bus_reader_next(reader, &batch, &fixture->error), 1);
    assert_true(batch.count == 1 && numbered_equal(&batch.records[0], 0));
    bus_reader_close(reader);
}

static void test_extremes_come_back(void **state)
{
    struct fixture *fixture = *state;
    const int64_t times[] = {INT64_MIN, -1, 0, 1, INT64_MAX};
    struct bus_record records[5];
    static char large[100000];
    memset(large, 'L', sizeof large);
    for (size_t i = 0; i < 5; i++)
        records[i] = (struct bus_record){.timestamp_us = times[i],
                                         .topic = (uint32_t)(i % BUS_TOPIC_COUNT),
                                         .key = i == 0 ? BYTES_NONE : bytes_of(large, i * 70),
                                         .value = i == 1 ? BYTES_NONE : bytes_of(large, i * 25000)};
    assert_int_equal(bus_append(fixture->bus, records, 5, NULL, &fixture->error), 0);
    struct bus_reader *reader = bus_reader_open(fixture->bus, 0, BUS_ALL_TOPICS, &fixture->error);
    struct bus_batch batch;
    assert_int_equal(bus_reader_next(reader, &batch, &fixture->error), 1);
    assert_true(batch.count == 5 && batch.base_offset == 0 && batch.end_offset == 5);
    for (size_t i = 0; i < 5; i++) {
        assert_true(batch.records[i].offset == i && records[i].offset == i);
        assert_true(batch.records[i].timestamp_us == times[i] && batch.records[i].topic == i % BUS_TOPIC_COUNT);
        assert_true(bytes_equal(batch.records[i].key, records[i].key));
        assert_true(bytes_equal(batch.records[i].value, records[i].value));
    }
    bus_reader_close(reader);
}

static void test_reads_from_anywhere(void **state)
{
    struct fixture *fixture = *state;
    append_many(fixture, 300);
    for (uint64_t from = 0; from <= 300; from++)
        read_numbered(fixture, from, 300);
    /* Beyond the end: waits until that offset is there. */
    struct bus_reader *reader = bus_reader_open(fixture->bus, 305, BUS_ALL_TOPICS, &fixture->error);
    struct bus_batch batch;
    assert_int_equal(bus_reader_next(reader, &batch, &fixture->error), 0);
    append_numbered(fixture, 300, 3);
    append_numbered(fixture, 303, 6);
    do
        assert_int_equal(bus_reader_next(reader, &batch, &fixture->error), 1);
    while (batch.end_offset <= 305);
    assert_true(batch.count == 4 && batch.records[0].offset == 305 && numbered_equal(&batch.records[0], 305));
    bus_reader_close(reader);
}

static void test_times_are_selected(void **state)
{
    struct fixture *fixture = *state;
    enum { COUNT = 400, FROM_US = 100000, TO_US = 200000 };
    append_many(fixture, COUNT);
    struct bus_reader *reader = bus_reader_open(fixture->bus, 0, BUS_ALL_TOPICS, &fixture->error);
    bus_reader_want_times(reader, FROM_US, TO_US);
    struct bus_batch batch;
    uint64_t next = 0, passed = 0;
    while (bus_reader_next(reader, &batch, &fixture->error) == 1) {
        int64_t min_us = INT64_MAX, max_us = INT64_MIN;
        for (next = batch.base_offset; next < batch.end_offset; next++) {
            struct numbered expected;
            numbered_make(&expected, next);
            min_us = expected.record.timestamp_us < min_us ? expected.record.timestamp_us : min_us;
            max_us = expected.record.timestamp_us > max_us ? expected.record.timestamp_us : max_us;
        }
        assert_true(batch.min_time_us == min_us && batch.max_time_us == max_us);
        bool wanted = max_us >= FROM_US && min_us <= TO_US;
        assert_true(batch.count == (wanted ? batch.end_offset - batch.base_offset : 0));
        passed += !wanted;
    }
    assert_true(next == COUNT && passed > 0);
    bus_reader_close(reader);
}

static void test_topics_are_selected(void **state)
{
    struct fixture *fixture = *state;
    enum { COUNT = 400 };
    append_many(fixture, COUNT);
    for (unsigned topics = 0; topics <= BUS_ALL_TOPICS; topics++) {
        struct bus_reader *reader = bus_reader_open(fixture->bus, 0, topics, &fixture->error);
        struct bus_batch batch;
        uint64_t next = 0;
        int status;
        while ((status = bus_reader_next(reader, &batch, &fixture->error)) == 1) {
            size_t seen = 0;
            assert_true(batch.base_offset == next);
            for (uint64_t number = next; number < batch.end_offset; number++) {
                struct numbered expected;
                numbered_make(&expected, number);
                if (!(topics >> expected.record.topic & 1))
                    continue;
                assert_true(seen < batch.count && batch.records[seen].offset == number);
                assert_true(numbered_equal(&batch.records[seen], number));
                seen++;
            }
            assert_true(seen == batch.count);
            next = batch.end_offset;
        }
        assert_int_equal(status, 0);
        assert_true(next == COUNT);
        bus_reader_close(reader);
    }
}

static void test_refuses_unknown_topic(void **state)
{
    struct fixture *fixture = *state;
    struct bus_record record = {.topic = BUS_TOPIC_COUNT, .value = BYTES("x")};
    struct bus_position position = {BYTES("reader"), 1};
    uint64_t next;
    fixture->error.text[0] = 0;
    assert_int_equal(bus_append(fixture->bus, &record, 1, &position, &fixture->error), -1);
    assert_non_null(strstr(fixture->error.text, "topic"));
    assert_int_equal(bus_position(fixture->bus, BYTES("reader"), &next), 0);
    read_numbered(fixture, 0, 0);
    append_numbered(fixture, 0, 3); /* and goes on */
    read_numbered(fixture, 0, 3);
}

/* ---- positions ---- */

static void test_positions(void **state)
{
    struct fixture *fixture = *state;
    uint64_t next = 99;
    char longest[64], too_long[65];
    memset(longest, 'p', sizeof longest);
    memset(too_long, 'p', sizeof too_long);
    assert_int_equal(bus_position(fixture->bus, BYTES("indexer"), &next), 0);
    assert_true(next == 99);
    const struct bus_position with = {BYTES("indexer"), 4}, alone = {bytes_of(longest, sizeof longest), UINT64_MAX},
                              back = {BYTES("indexer"), 2};
    assert_int_equal(numbered_append(fixture->bus, 0, 5, &with, &fixture->error), 0);
    assert_int_equal(bus_append(fixture->bus, NULL, 0, &alone, &fixture->error), 0);
    assert_int_equal(bus_append(fixture->bus, NULL, 0, &alone, &fixture->error), 0);
    assert_int_equal(bus_position(fixture->bus, BYTES("indexer"), &next), 1);
    assert_true(next == 4);
    assert_int_equal(bus_position(fixture->bus, alone.reader, &next), 1);
    assert_true(next == UINT64_MAX);
    assert_int_equal(bus_append(fixture->bus, NULL, 0, &back, &fixture->error), 0);
    assert_int_equal(bus_position(fixture->bus, BYTES("indexer"), &next), 1);
    assert_true(next == 2);
    const struct bus_position refused[] = {{bytes_of(too_long, sizeof too_long), 1}, {BYTES(""), 1}};
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(numbered_append(fixture->bus, 5, 1, &refused[i], &fixture->error), -1);
    read_numbered(fixture, 0, 5);
}

/* ---- waiting ---- */

struct appender {
    struct fixture *fixture;
    uint64_t count;
};

static void *append_in_thread(void *argument)
{
    struct appender *appender = argument;
    for (uint64_t number = 0; number < appender->count; number += 4)
        if (numbered_append(appender->fixture->bus, number, 4, NULL, NULL) != 0)
            return argument;
    return NULL;
}

static void test_wait(void **state)
{
    struct fixture *fixture = *state;
    assert_false(bus_wait(fixture->bus, 0, 0));
    assert_false(bus_wait(fixture->bus, 0, 1000));
    struct appender appender = {fixture, 4};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, append_in_thread, &appender), 0);
    assert_true(bus_wait(fixture->bus, 3, (int64_t)HANG_SECONDS * 1000000));
    void *failed;
    pthread_join(thread, &failed);
    assert_null(failed);
    assert_true(bus_wait(fixture->bus, 3, 0));
    assert_false(bus_wait(fixture->bus, 4, 0));
    read_numbered(fixture, 0, 4);
}

/* Follows the bus from its own thread until it has seen `count` records. */
static void *follow_in_thread(void *argument)
{
    struct appender *appender = argument;
    struct bus *bus = appender->fixture->bus;
    struct bus_reader *reader = bus_reader_open(bus, 0, BUS_ALL_TOPICS, NULL);
    uint64_t next = 0;
    bool good = reader != NULL;
    while (good && next < appender->count) {
        struct bus_batch batch;
        good = bus_wait(bus, next, (int64_t)HANG_SECONDS * 1000000) && bus_reader_next(reader, &batch, NULL) == 1 &&
               batch.base_offset == next && batch.count == batch.end_offset - next;
        for (size_t i = 0; good && i < batch.count; i++)
            good = numbered_equal(&batch.records[i], next + i);
        if (good)
            next = batch.end_offset;
    }
    bus_reader_close(reader);
    return good ? NULL : argument;
}

static void test_readers_follow_in_threads(void **state)
{
    struct fixture *fixture = *state;
    enum { READERS = 3, COUNT = 2000 };
    struct appender appender = {fixture, COUNT};
    pthread_t readers[READERS], writer;
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, follow_in_thread, &appender), 0);
    assert_int_equal(pthread_create(&writer, NULL, append_in_thread, &appender), 0);
    struct bus_info info; /* asked from here meanwhile */
    do {
        uint64_t offset;
        bus_info(fixture->bus, &info);
        assert_int_equal(bus_offset_at(fixture->bus, 1000000, &offset, &fixture->error), 0);
    } while (info.end_offset < COUNT);
    void *failed;
    pthread_join(writer, &failed);
    assert_null(failed);
    for (int i = 0; i < READERS; i++) {
        pthread_join(readers[i], &failed);
        assert_null(failed);
    }
}

/* ---- time and retention ---- */

static void test_offset_at(void **state)
{
    struct fixture *fixture = *state;
    enum { COUNT = 600 };
    append_many(fixture, COUNT);
    for (int64_t time_us = -1000; time_us < (COUNT + 12) * 1000; time_us += 777) {
        uint64_t offset, first = COUNT;
        assert_int_equal(bus_offset_at(fixture->bus, time_us, &offset, &fixture->error), 0);
        for (uint64_t number = COUNT; number-- > 0;) {
            struct numbered record;
            numbered_make(&record, number);
            if (record.record.timestamp_us >= time_us)
                first = number;
        }
        assert_true(offset <= first);
        /* And not earlier than the batch that holds it, of which none here has more than nine records. */
        assert_true(first - offset < 9);
    }
}

static void test_retention_by_size(void **state)
{
    struct fixture *fixture = *state;
    enum { COUNT = 400 };
    append_many(fixture, COUNT);
    struct bus_info before, after;
    bus_info(fixture->bus, &before);
    struct bus_retention nothing = {.keep_from = COUNT}, keep = {.max_bytes = 1, .keep_from = 100},
                         all = {.max_bytes = 1, .keep_from = UINT64_MAX};
    assert_int_equal(bus_truncate(fixture->bus, &nothing, 0, &fixture->error), 0);
    bus_info(fixture->bus, &after);
    assert_true(after.first_offset == 0 && after.size_bytes == before.size_bytes);
    assert_int_equal(bus_truncate(fixture->bus, &keep, 0, &fixture->error), 0);
    bus_info(fixture->bus, &after);
    assert_true(after.first_offset <= 100);
    read_numbered(fixture, after.first_offset, COUNT);
    assert_int_equal(bus_truncate(fixture->bus, &all, 0, &fixture->error), 0);
    bus_info(fixture->bus, &after);
    if (before.segments > 1)
        assert_true(after.first_offset > 0 && after.segments == 1 && after.size_bytes < before.size_bytes);
    assert_true(after.end_offset == COUNT && after.first_offset < COUNT); /* never the active one */
    read_numbered(fixture, after.first_offset, COUNT);
    /* A reader from before goes on with the first that is left. */
    struct bus_reader *reader = bus_reader_open(fixture->bus, 0, BUS_ALL_TOPICS, &fixture->error);
    struct bus_batch batch;
    assert_int_equal(bus_reader_next(reader, &batch, &fixture->error), 1);
    assert_true(batch.base_offset == after.first_offset && batch.count > 0);
    bus_reader_close(reader);
    append_numbered(fixture, COUNT, 2);
    read_numbered(fixture, after.first_offset, COUNT + 2);
}

static void test_retention_by_age(void **state)
{
    struct fixture *fixture = *state;
    enum { COUNT = 400 };
    append_many(fixture, COUNT);
    struct bus_retention old = {.max_age_us = 100 * 1000, .keep_from = UINT64_MAX};
    const int64_t now_us = 300 * 1000; /* so that what is before 200 ms may go */
    assert_int_equal(bus_truncate(fixture->bus, &old, now_us, &fixture->error), 0);
    struct bus_info info;
    bus_info(fixture->bus, &info);
    for (uint64_t number = 0; number < info.first_offset; number++) {
        struct numbered record;
        numbered_make(&record, number);
        assert_true(record.record.timestamp_us < now_us - old.max_age_us);
    }
    if (info.segments > 1)
        assert_true(info.first_offset > 100);
    read_numbered(fixture, info.first_offset, COUNT);
}

static void test_reader_outlives_retention(void **state)
{
    struct fixture *fixture = *state;
    append_many(fixture, 300);
    struct bus_reader *reader = bus_reader_open(fixture->bus, 0, BUS_ALL_TOPICS, &fixture->error);
    struct bus_batch batch;
    assert_int_equal(bus_reader_next(reader, &batch, &fixture->error), 1);
    struct bus_retention all = {.max_bytes = 1, .keep_from = UINT64_MAX};
    assert_int_equal(bus_truncate(fixture->bus, &all, 0, &fixture->error), 0);
    assert_true(numbered_equal(&batch.records[0], 0)); /* still valid: until the next call on the reader */
    struct bus_info info;
    bus_info(fixture->bus, &info);
    uint64_t next = batch.end_offset;
    while (bus_reader_next(reader, &batch, &fixture->error) == 1) {
        assert_true(batch.base_offset == next || batch.base_offset == info.first_offset);
        for (size_t i = 0; i < batch.count; i++)
            assert_true(numbered_equal(&batch.records[i], batch.records[i].offset));
        next = batch.end_offset;
    }
    assert_true(next == 300);
    bus_reader_close(reader);
}

/* ---- faults ---- */

static void test_injected_faults(void **state)
{
    struct fixture *fixture = *state;
    if (!fixture->kind->faulty)
        return;
    fixture->faults.fail_append_at = 2;
    fixture->faults.fail_read_at = 2;
    append_numbered(fixture, 0, 2);
    struct bus_position position = {BYTES("r"), 9};
    uint64_t next;
    assert_int_equal(numbered_append(fixture->bus, 2, 2, &position, &fixture->error), -1);
    assert_non_null(strstr(fixture->error.text, "injected"));
    assert_int_equal(bus_position(fixture->bus, position.reader, &next), 0);
    append_numbered(fixture, 2, 2);
    assert_true(fixture->faults.appends == 3);
    struct bus_reader *reader = bus_reader_open(fixture->bus, 0, BUS_ALL_TOPICS, &fixture->error);
    struct bus_batch batch;
    assert_int_equal(bus_reader_next(reader, &batch, &fixture->error), 1);
    assert_int_equal(bus_reader_next_past_damage(reader, &batch, &fixture->error), -1); /* a fault is no damage */
    assert_int_equal(bus_reader_next(reader, &batch, &fixture->error), 1);              /* and loses nothing */
    assert_true(bus_damage(fixture->bus, NULL) == 0);
    assert_true(batch.base_offset == 2);
    bus_reader_close(reader);
    fixture->faults = (struct bus_faults){.append_delay_us = 1};
    append_numbered(fixture, 4, 1);
    read_numbered(fixture, 0, 5);
}

/* ---- only the log ---- */

static void test_reopen(void **state)
{
    struct fixture *fixture = *state;
    if (!fixture->kind->log)
        return;
    uint64_t next;
    for (uint64_t round = 0; round < 12; round++) {
        struct bus_position position = {round % 2 ? BYTES("odd") : BYTES("even"), round};
        assert_int_equal(numbered_append(fixture->bus, round * 40, 40, &position, &fixture->error), 0);
        bus_destroy(fixture->bus);
        fixture->bus = open_kind(fixture);
        struct bus_info info;
        bus_info(fixture->bus, &info);
        assert_true(info.end_offset == (round + 1) * 40 && info.first_offset == 0 && info.cut_bytes == 0);
        read_numbered(fixture, 0, (round + 1) * 40);
        assert_int_equal(bus_position(fixture->bus, position.reader, &next), 1);
        assert_true(next == round);
        assert_int_equal(bus_position(fixture->bus, BYTES("even"), &next), 1);
        assert_true(next == round - round % 2);
        assert_true(bus_wait(fixture->bus, info.end_offset - 1, 0));
    }
}

/* In a process of its own: follows the log read-only until it has seen and checked `count` records. */
static int follow_in_process(const char *directory, uint64_t count)
{
    struct bus_log_options options = {.directory = directory, .read_only = true};
    struct error error = {{0}};
    alarm(HANG_SECONDS);
    struct bus *bus = bus_log_open(&options, env_system(), &error);
    struct bus_reader *reader = bus ? bus_reader_open(bus, 0, BUS_ALL_TOPICS, &error) : NULL;
    uint64_t next = 0, position = 0;
    bool good = reader != NULL;
    while (good && next < count) {
        struct bus_batch batch;
        int status = bus_reader_next(reader, &batch, &error);
        if (status == 0)
            sched_yield();
        good = status >= 0;
        if (status != 1)
            continue;
        good = batch.base_offset == next && batch.count == batch.end_offset - next;
        for (size_t i = 0; good && i < batch.count; i++)
            good = numbered_equal(&batch.records[i], next + i);
        next = batch.end_offset;
    }
    good = good && bus_position(bus, BYTES("writer"), &position) == 1 && position == count;
    if (!good)
        fprintf(stderr, "follower at %" PRIu64 ", position %" PRIu64 ": %s\n", next, position, error.text);
    bus_reader_close(reader);
    bus_destroy(bus);
    return good ? 0 : 1;
}

static void test_other_process_follows(void **state)
{
    struct fixture *fixture = *state;
    enum { COUNT = 3000 };
    if (!fixture->kind->log)
        return;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(follow_in_process(fixture->scratch.path, COUNT));
    for (uint64_t number = 0; number < COUNT; number += 5) {
        struct bus_position position = {BYTES("writer"), number + 5};
        assert_int_equal(numbered_append(fixture->bus, number, 5, &position, &fixture->error), 0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_refuses_too_large(void **state)
{
    struct fixture *fixture = *state;
    if (!fixture->kind->log)
        return;
    enum { HALF = 33 * 1024 * 1024 };
    char *large = calloc(1, HALF);
    assert_non_null(large);
    struct bus_record records[2] = {{.value = bytes_of(large, HALF)}, {.value = bytes_of(large, HALF)}};
    assert_int_equal(bus_append(fixture->bus, records, 2, NULL, &fixture->error), -1);
    assert_non_null(strstr(fixture->error.text, "too large"));
    assert_int_equal(bus_append(fixture->bus, records, 1, NULL, &fixture->error), 0);
    struct bus_reader *reader = bus_reader_open(fixture->bus, 0, BUS_ALL_TOPICS, &fixture->error);
    struct bus_batch batch;
    assert_int_equal(bus_reader_next(reader, &batch, &fixture->error), 1);
    assert_true(batch.count == 1 && bytes_equal(batch.records[0].value, records[0].value));
    assert_int_equal(bus_reader_next(reader, &batch, &fixture->error), 0);
    bus_reader_close(reader);
    free(large);
}

/* ---- erasure ---- */

static int replace_every_third(void *context, const struct bus_record *record, struct bytes *value, struct error *error)
{
    (void)context, (void)error;
    *value = record->offset % 2 == 0 ? BYTES("") : BYTES("something in its place");
    return record->offset % 3 == 0 && !bytes_equal(record->value, *value);
}

static void erase(struct fixture *fixture, uint64_t from, uint64_t to, uint64_t replaced)
{
    struct bus_erasure erasure = {
        .topics = BUS_ALL_TOPICS, .from = from, .to = to, .replace = replace_every_third, .context = NULL};
    int status;
    while ((status = bus_erase(fixture->bus, &erasure, &fixture->error)) == 1)
        continue;
    if (status < 0)
        fail_msg("%s", fixture->error.text);
    assert_true(erasure.replaced == replaced && erasure.unreadable == 0);
}

static void test_erase(void **state)
{
    enum { COUNT = 400, FROM = 31, TO = 301 };
    struct fixture *fixture = *state;
    erase(fixture, 0, UINT64_MAX, 0);
    append_many(fixture, COUNT);
    erase(fixture, FROM, TO, (TO - FROM) / 3);
    erase(fixture, FROM, TO, 0);
    struct bus_reader *reader = bus_reader_open(fixture->bus, 0, BUS_ALL_TOPICS, &fixture->error);
    assert_non_null(reader);
    struct bus_batch batch;
    uint64_t next = 0;
    while (bus_reader_next(reader, &batch, &fixture->error) == 1)
        for (size_t i = 0; i < batch.count; i++, next++) {
            const struct bus_record *record = &batch.records[i];
            struct numbered expected;
            numbered_make(&expected, next);
            if (next % 3 == 0 && next >= FROM && next < TO) {
                assert_true(bytes_equal(record->value, next % 2 == 0 ? BYTES("") : BYTES("something in its place")));
                assert_true(bytes_equal(record->key, expected.record.key) && record->topic == expected.record.topic &&
                            record->timestamp_us == expected.record.timestamp_us && record->offset == next);
            } else {
                assert_true(numbered_equal(record, next) && record->offset == next);
            }
        }
    assert_true(next == COUNT);
    bus_reader_close(reader);
    append_numbered(fixture, COUNT, 5);
    read_numbered(fixture, TO, COUNT + 5);
}

/* ---- */

#define CONTRACT(test)                                                                                                           \
    {                                                                                                                            \
#test, test                                                                                                              \
    }
static const struct {
    const char *name;
    CMUnitTestFunction run;
} contract[] = {
    CONTRACT(test_empty_bus),
    CONTRACT(test_extremes_come_back),
    CONTRACT(test_reads_from_anywhere),
    CONTRACT(test_topics_are_selected),
    CONTRACT(test_times_are_selected),
    CONTRACT(test_refuses_unknown_topic),
    CONTRACT(test_positions),
    CONTRACT(test_wait),
    CONTRACT(test_readers_follow_in_threads),
    CONTRACT(test_offset_at),
    CONTRACT(test_retention_by_size),
    CONTRACT(test_retention_by_age),
    CONTRACT(test_reader_outlives_retention),
    CONTRACT(test_injected_faults),
    CONTRACT(test_reopen),
    CONTRACT(test_other_process_follows),
    CONTRACT(test_refuses_too_large),
    CONTRACT(test_erase),
};
enum { CONTRACT_COUNT = sizeof contract / sizeof contract[0] };

int main(void)
{
    static struct CMUnitTest tests[KIND_COUNT * CONTRACT_COUNT];
    static char names[KIND_COUNT * CONTRACT_COUNT][96];
    for (size_t k = 0; k < KIND_COUNT; k++)
        for (size_t c = 0; c < CONTRACT_COUNT; c++) {
            size_t i = k * CONTRACT_COUNT + c;
            snprintf(names[i], sizeof names[i], "%s: %s", kinds[k].name, contract[c].name);
            tests[i] = (struct CMUnitTest){names[i], contract[c].run, set_up, tear_down, (void *)&kinds[k]};
        }
    log_configure(LOG_ERROR, LOG_FORMAT_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
