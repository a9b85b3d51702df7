/* Erasure in the log: what was to go is gone from every file, all else is as it was; killed at every step, failing at every
 * call, beside readers in this and in other processes, and beside appends. */
#include "unit/bus/bus_support.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

enum { SEGMENT_BYTES = 32 * 1024, COUNT = 800, BATCH = 16, EVERY = 7, SECRET_BYTES = 640, HANG_SECONDS = 120 };

/* Every EVERYth record is a secret until it is erased; numbers and offsets are the same. */
static bool is_secret(uint64_t number)
{
    return number % EVERY == 3;
}

static struct bus_record secret_record(uint64_t number, bool erased, char *text, size_t size)
{
    int length = erased ? snprintf(text, size, "erased%.*s", (int)(number % 40), "----------------------------------------")
                        : snprintf(text, size, "SECRET of %" PRIu64 "%0500d", number, 0); /* so that batches can be packed */
    return (struct bus_record){.timestamp_us = (int64_t)number * 1000,
                               .topic = (uint32_t)(number % BUS_TOPIC_COUNT),
                               .key = BYTES("channel"),
                               .value = bytes_of(text, (size_t)length)};
}

struct fixture {
    struct scratch scratch;
    struct fault_env fault;
    struct bus *bus;
    struct error error;
    bool compress;
};

static struct bus *open_log_with(struct fixture *fixture, bool read_only, const struct env *env)
{
    struct bus_log_options options = {.directory = fixture->scratch.path,
                                      .read_only = read_only,
                                      .segment_bytes = SEGMENT_BYTES,
                                      .compress = fixture->compress};
    struct bus *bus = bus_log_open(&options, env, &fixture->error);
    if (!bus)
        print_error("%s\n", fixture->error.text);
    return bus;
}

static struct bus *open_log(struct fixture *fixture, bool read_only)
{
    return open_log_with(fixture, read_only, &fixture->fault.env);
}

static void append_some(struct fixture *fixture, struct bus *bus, uint64_t number)
{
    struct numbered numbered[BATCH];
    char texts[BATCH][SECRET_BYTES];
    struct bus_record records[BATCH];
    struct bus_position position = {BYTES("reader"), number};
    for (size_t i = 0; i < BATCH; i++) {
        numbered_make(&numbered[i], number + i);
        records[i] = is_secret(number + i) ? secret_record(number + i, false, texts[i], sizeof texts[i]) : numbered[i].record;
    }
    if (bus_append(bus, records, BATCH, &position, &fixture->error) < 0)
        fail_msg("%s", fixture->error.text);
}

static void fill(struct fixture *fixture)
{
    fixture->bus = open_log(fixture, false);
    assert_non_null(fixture->bus);
    for (uint64_t number = 0; number < COUNT; number += BATCH)
        append_some(fixture, fixture->bus, number);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    fixture->compress = *state != NULL;
    scratch_make_quick(&fixture->scratch);
    fault_env_init(&fixture->fault);
    fill(fixture);
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

/* ---- the erasure ---- */

static int replace_secret(void *context, const struct bus_record *record, struct bytes *value, struct error *error)
{
    static _Thread_local char text[SECRET_BYTES];
    (void)context, (void)error;
    if (!bytes_start_with(record->value, BYTES("SECRET")))
        return 0;
    *value = secret_record(record->offset, true, text, sizeof text).value;
    return 1;
}

/* All steps; the records replaced, or -1. */
static int64_t erase_all(struct bus *bus, uint64_t from, uint64_t to, struct error *error)
{
    struct bus_erasure erasure = {.topics = BUS_ALL_TOPICS, .from = from, .to = to, .replace = replace_secret};
    int status;
    do
        status = bus_erase(bus, &erasure, error);
    while (status == 1);
    assert_true(status < 0 || erasure.unreadable == 0);
    return status < 0 ? -1 : (int64_t)erasure.replaced;
}

enum { SECRETS = COUNT / EVERY + (COUNT % EVERY > 3) };

/* What a reader may find at an offset. */
enum sight { WHOLE, ERASED, WRONG };
static enum sight sight_of(const struct bus_record *record)
{
    char text[SECRET_BYTES];
    if (!is_secret(record->offset))
        return numbered_equal(record, record->offset) ? WHOLE : WRONG;
    for (int erased = 0; erased < 2; erased++) {
        struct bus_record expected = secret_record(record->offset, erased == 1, text, sizeof text);
        if (bytes_equal(record->value, expected.value) && bytes_equal(record->key, expected.key) &&
            record->timestamp_us == expected.timestamp_us && record->topic == expected.topic)
            return erased ? ERASED : WHOLE;
    }
    return WRONG;
}

/* Reads all; every offset is there once and in order.  The number of secrets that are erased. */
static size_t read_all(struct bus *bus, uint64_t count, struct error *error)
{
    struct bus_reader *reader = bus_reader_open(bus, 0, BUS_ALL_TOPICS, error);
    assert_non_null(reader);
    struct bus_batch batch;
    uint64_t next = 0;
    size_t erased = 0;
    int status;
    while ((status = bus_reader_next(reader, &batch, error)) == 1) {
        assert_true(batch.count == 0 || (batch.base_offset == next && batch.count == BATCH)); /* batches stay as they were */
        for (size_t i = 0; i < batch.count; i++) {
            assert_true(batch.records[i].offset == next++);
            assert_int_not_equal(sight_of(&batch.records[i]), WRONG);
            erased += sight_of(&batch.records[i]) == ERASED;
        }
    }
    if (status < 0)
        fail_msg("%s", error->text);
    assert_true(next == count);
    bus_reader_close(reader);
    return erased;
}

/* Files of the folder that hold the text. */
static size_t files_with(const struct fixture *fixture, const char *text)
{
    DIR *listing = opendir(fixture->scratch.path);
    assert_non_null(listing);
    size_t found = 0;
    for (struct dirent *entry; (entry = readdir(listing));) {
        char path[600];
        size_t size;
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", fixture->scratch.path, entry->d_name);
        char *data = file_load(path, &size);
        found += memmem(data, size, text, strlen(text)) != NULL;
        free(data);
    }
    closedir(listing);
    return found;
}

/* Half-written segments. */
static size_t leftovers(const struct fixture *fixture)
{
    DIR *listing = opendir(fixture->scratch.path);
    assert_non_null(listing);
    size_t found = 0;
    for (struct dirent *entry; (entry = readdir(listing));)
        found += strstr(entry->d_name, "erasing") != NULL;
    closedir(listing);
    return found;
}

static void report_none(void *context, const char *text)
{
    (void)context;
    print_error("%s\n", text);
}

static void expect_erased(struct fixture *fixture, uint64_t count)
{
    size_t secrets = 0;
    uint64_t next;
    for (uint64_t number = 0; number < count; number++)
        secrets += is_secret(number);
    assert_int_equal(read_all(fixture->bus, count, &fixture->error), secrets);
    assert_int_equal(bus_position(fixture->bus, BYTES("reader"), &next), 1);
    assert_true(next == count - BATCH);
    assert_int_equal(files_with(fixture, "SECRET"), 0);
    assert_int_equal(leftovers(fixture), 0);
    assert_int_equal(bus_log_verify(fixture->scratch.path, &fixture->fault.env, report_none, NULL, NULL, &fixture->error), 0);
}

/* ---- tests ---- */

static void test_erases(void **state)
{
    struct fixture *fixture = *state;
    struct bus_info before, after;
    bus_info(fixture->bus, &before);
    assert_true(before.segments > 3 || fixture->compress);
    assert_true(erase_all(fixture->bus, 0, UINT64_MAX, &fixture->error) == SECRETS);
    expect_erased(fixture, COUNT);
    bus_info(fixture->bus, &after);
    assert_true(after.end_offset == before.end_offset && after.first_offset == before.first_offset);
    assert_true(erase_all(fixture->bus, 0, UINT64_MAX, &fixture->error) == 0); /* and nothing twice */
    /* The log goes on, and comes back as it was. */
    append_some(fixture, fixture->bus, COUNT);
    bus_destroy(fixture->bus);
    fixture->bus = open_log(fixture, false);
    assert_non_null(fixture->bus);
    assert_true(erase_all(fixture->bus, COUNT, UINT64_MAX, &fixture->error) > 0);
    expect_erased(fixture, COUNT + BATCH);
}

/* Only the offsets and topics asked for. */
static void test_erases_a_range(void **state)
{
    struct fixture *fixture = *state;
    assert_true(erase_all(fixture->bus, 105, 115, &fixture->error) == 1); /* 108 */
    assert_int_equal(read_all(fixture->bus, COUNT, &fixture->error), 1);
    struct bus_erasure erasure = {.topics = 1u << 2, .from = 0, .to = UINT64_MAX, .replace = replace_secret};
    while (bus_erase(fixture->bus, &erasure, &fixture->error) == 1)
        continue;
    size_t expected = 0;
    for (uint64_t number = 0; number < COUNT; number++)
        expected += is_secret(number) && number % BUS_TOPIC_COUNT == 2;
    assert_true(erasure.replaced == expected); /* 108 is of topic 0 */
}

/* Segments without anything to replace keep their very bytes, and their files. */
static void test_leaves_others_alone(void **state)
{
    struct fixture *fixture = *state;
    struct path_text first = scratch_file(&fixture->scratch, 0, ".log");
    struct stat before, after;
    assert_int_equal(stat(first.text, &before), 0);
    assert_true(erase_all(fixture->bus, COUNT / 2, UINT64_MAX, &fixture->error) > 0);
    assert_int_equal(stat(first.text, &after), 0);
    assert_true(before.st_ino == after.st_ino || fixture->compress); /* packed, all may lie in one */
}

static int replace_fails(void *context, const struct bus_record *record, struct bytes *value, struct error *error)
{
    (void)context, (void)value;
    return record->offset == COUNT / 2 ? error_set(error, "no answer") : 0;
}

static void test_an_error_stops_it(void **state)
{
    struct fixture *fixture = *state;
    struct bus_erasure erasure = {.topics = BUS_ALL_TOPICS, .to = UINT64_MAX, .replace = replace_fails};
    int status;
    while ((status = bus_erase(fixture->bus, &erasure, &fixture->error)) == 1)
        continue;
    assert_int_equal(status, -1);
    assert_string_equal(fixture->error.text, "no answer");
    assert_true(erasure.from <= COUNT / 2);
    assert_int_equal(read_all(fixture->bus, COUNT, &fixture->error), 0);
    struct bus *other = open_log(fixture, true);
    assert_int_equal(bus_erase(other, &erasure, &fixture->error), -1); /* not what others write */
    bus_destroy(other);
}

/* A batch that cannot be read is counted; all others are erased. */
static void test_passes_damage(void **state)
{
    struct fixture *fixture = *state;
    struct path_text first = scratch_file(&fixture->scratch, 0, ".log");
    size_t size;
    char *data = file_load(first.text, &size);
    data[200] ^= 1; /* in the body of the first batch */
    file_store(first.text, data, size);
    free(data);
    struct bus_erasure erasure = {.topics = BUS_ALL_TOPICS, .to = UINT64_MAX, .replace = replace_secret};
    int status;
    while ((status = bus_erase(fixture->bus, &erasure, &fixture->error)) == 1)
        continue;
    assert_int_equal(status, 0);
    assert_true(erasure.unreadable == 1 && erasure.replaced == SECRETS - 2);
}

/* Readers that were there first see each record once, as it was or erased. */
static void test_readers_go_on(void **state)
{
    struct fixture *fixture = *state;
    struct bus *other = open_log(fixture, true);
    assert_non_null(other);
    for (uint64_t stop = 0; stop < COUNT; stop += COUNT / 8) {
        struct bus_reader *readers[2] = {bus_reader_open(fixture->bus, 0, BUS_ALL_TOPICS, &fixture->error),
                                         bus_reader_open(other, 0, BUS_ALL_TOPICS, &fixture->error)};
        struct bus_batch batch;
        uint64_t next[2] = {0, 0};
        for (size_t r = 0; r < 2; r++)
            while (next[r] < stop && bus_reader_next(readers[r], &batch, &fixture->error) == 1)
                next[r] = batch.end_offset;
        assert_true(erase_all(fixture->bus, stop, stop + COUNT / 8, &fixture->error) > 0);
        for (size_t r = 0; r < 2; r++) {
            int status;
            while ((status = bus_reader_next(readers[r], &batch, &fixture->error)) == 1)
                for (size_t i = 0; i < batch.count; i++) {
                    assert_true(batch.records[i].offset == next[r]++);
                    assert_int_not_equal(sight_of(&batch.records[i]), WRONG);
                }
            if (status < 0)
                fail_msg("%s", fixture->error.text);
            assert_true(next[r] == COUNT);
            bus_reader_close(readers[r]);
        }
    }
    assert_int_equal(read_all(other, COUNT, &fixture->error), SECRETS);
    bus_destroy(other);
    expect_erased(fixture, COUNT);
}

/* ---- killed ---- */

struct killer {
    struct env env;
    uint64_t left; /* calls that change something, until the end */
    bool half;     /* in the middle of the last write */
};

static bool killer_strikes(const struct env *env)
{
    return --((struct killer *)env->context)->left == 0;
}

static void die(void)
{
    kill(getpid(), SIGKILL);
}

static int killer_open(const struct env *env, const char *path, int flags, mode_t mode)
{
    if (flags & O_CREAT && killer_strikes(env))
        die();
    return env_system()->open(env_system(), path, flags, mode);
}

static ssize_t killer_pwrite(const struct env *env, int file, const void *data, size_t size, off_t at)
{
    if (killer_strikes(env)) {
        if (((struct killer *)env->context)->half)
            env_system()->pwrite(env_system(), file, data, size / 2, at);
        die();
    }
    return env_system()->pwrite(env_system(), file, data, size, at);
}

static int killer_sync(const struct env *env, int file)
{
    (void)file;
    if (killer_strikes(env))
        die();
    return 0;
}

static int killer_truncate(const struct env *env, int file, off_t size)
{
    if (killer_strikes(env))
        die();
    return env_system()->truncate(env_system(), file, size);
}

static int killer_unlink(const struct env *env, const char *path)
{
    if (killer_strikes(env))
        die();
    return env_system()->unlink(env_system(), path);
}

static int killer_rename(const struct env *env, const char *from, const char *to)
{
    if (killer_strikes(env))
        die();
    return env_system()->rename(env_system(), from, to);
}

static int killer_sync_directory(const struct env *env, const char *path)
{
    (void)path;
    if (killer_strikes(env))
        die();
    return 0;
}

static struct killer killer_after(uint64_t calls, bool half)
{
    struct killer killer = {.env = *env_system(), .left = calls, .half = half};
    killer.env.open = killer_open;
    killer.env.pwrite = killer_pwrite;
    killer.env.sync = killer_sync;
    killer.env.truncate = killer_truncate;
    killer.env.unlink = killer_unlink;
    killer.env.rename = killer_rename;
    killer.env.sync_directory = killer_sync_directory;
    return killer;
}

/* Opens the log and erases, in a process of its own that dies at the call.  False: it lived to the end. */
static bool erase_and_die(struct fixture *fixture, uint64_t calls, bool half)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct killer killer = killer_after(calls, half);
        killer.env.context = &killer;
        struct bus *bus = open_log_with(fixture, false, &killer.env);
        bool well = bus && erase_all(bus, 0, UINT64_MAX, &fixture->error) >= 0;
        bus_destroy(bus);
        _exit(well ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status))
        return true;
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return false;
}

/* Segments are erased whole or not at all; *erased: how many of them. */
static void expect_whole_segments(struct fixture *fixture)
{
    for (uint64_t base = 0; base < COUNT; base += BATCH) {
        struct path_text path = scratch_file(&fixture->scratch, base, ".log");
        if (access(path.text, F_OK) != 0)
            continue;
        size_t size;
        char *data = file_load(path.text, &size);
        bool secret = memmem(data, size, "SECRET", 6) != NULL, erased = memmem(data, size, "erased", 6) != NULL;
        assert_false(secret && erased && !fixture->compress);
        free(data);
    }
}

static void test_killed_at_every_step(void **state)
{
    struct fixture *fixture = *state;
    uint64_t calls = 1;
    for (bool died = true; died; calls++) {
        bus_destroy(fixture->bus);
        scratch_empty(&fixture->scratch);
        fill(fixture);
        bus_destroy(fixture->bus);
        died = erase_and_die(fixture, calls, calls % 2 == 0);
        expect_whole_segments(fixture);
        fixture->bus = open_log(fixture, false);
        assert_non_null(fixture->bus);
        assert_int_equal(leftovers(fixture), 0);
        size_t erased = read_all(fixture->bus, COUNT, &fixture->error);
        assert_true(died || erased == SECRETS);
        assert_true(erase_all(fixture->bus, 0, UINT64_MAX, &fixture->error) == (int64_t)(SECRETS - erased));
        expect_erased(fixture, COUNT);
    }
    assert_true(calls > 20);
}

/* ---- calls that fail ---- */

static int fault_rename(const struct env *env, const char *from, const char *to)
{
    return fault_strikes(env, CALL_UNLINK) ? -1 : env_system()->rename(env_system(), from, to);
}

static void test_every_call_fails(void **state)
{
    struct fixture *fixture = *state;
    fixture->fault.env.rename = fault_rename;
    for (enum call kind = 0; kind < CALL_KINDS; kind++) {
        bool failed = true;
        for (uint64_t nth = 1; failed && nth < 2000; nth += nth < 20 ? 1 : 37) {
            bus_destroy(fixture->bus);
            scratch_empty(&fixture->scratch);
            fill(fixture);
            struct faults *faults = &fixture->fault.faults;
            *faults = (struct faults){.kind = kind, .fail_at = nth, .quick_sync = true, .short_write = nth % 2 == 0};
            erase_all(fixture->bus, 0, UINT64_MAX, &fixture->error);
            failed = faults->calls[kind] >= nth;
            faults->fail_at = 0;
            expect_whole_segments(fixture);
            bus_destroy(fixture->bus); /* a failed sync ends the appends of this opening */
            fixture->bus = open_log(fixture, false);
            assert_non_null(fixture->bus);
            assert_true(erase_all(fixture->bus, 0, UINT64_MAX, &fixture->error) >= 0);
            expect_erased(fixture, COUNT);
        }
    }
}

/* ---- at the same time ---- */

enum { TOTAL = 6 * COUNT };

/* Follows the log to its end, as `tail --follow` does. */
static void follow(struct bus *bus, struct error *error)
{
    struct bus_reader *reader = bus_reader_open(bus, 0, BUS_ALL_TOPICS, error);
    assert_non_null(reader);
    struct bus_batch batch;
    for (uint64_t next = 0; next < TOTAL;) {
        int status = bus_reader_next(reader, &batch, error);
        if (status < 0)
            fail_msg("%s", error->text);
        for (size_t i = 0; status == 1 && i < batch.count; i++) {
            assert_true(batch.records[i].offset == next++);
            assert_int_not_equal(sight_of(&batch.records[i]), WRONG);
        }
        if (status == 0)
            usleep(200); /* polite */
    }
    bus_reader_close(reader);
}

static void *follow_here(void *context)
{
    struct error error;
    follow(context, &error);
    return NULL;
}

static void *append_rest(void *context)
{
    struct fixture *fixture = context;
    for (uint64_t number = COUNT; number < TOTAL; number += BATCH)
        append_some(fixture, fixture->bus, number);
    return NULL;
}

static void test_beside_appends_and_followers(void **state)
{
    struct fixture *fixture = *state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(HANG_SECONDS);
        struct bus *bus = open_log_with(fixture, true, env_system());
        if (!bus)
            _exit(1);
        follow(bus, &fixture->error);
        _exit(0);
    }
    pthread_t appender, follower;
    struct error error;
    assert_int_equal(pthread_create(&follower, NULL, follow_here, fixture->bus), 0);
    assert_int_equal(pthread_create(&appender, NULL, append_rest, fixture), 0);
    struct bus_info info;
    do {
        bus_info(fixture->bus, &info);
        assert_true(erase_all(fixture->bus, 0, info.end_offset, &error) >= 0);
    } while (info.end_offset < TOTAL);
    pthread_join(appender, NULL);
    pthread_join(follower, NULL);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    expect_erased(fixture, TOTAL);
}

#define BOTH(test)                                                                                                               \
    {#test ", plain", test, set_up, tear_down, NULL},                                                                            \
    {                                                                                                                            \
#test ", packed", test, set_up, tear_down, (void *)"packed"                                                              \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_erases),
        BOTH(test_erases_a_range),
        BOTH(test_leaves_others_alone),
        BOTH(test_an_error_stops_it),
        BOTH(test_passes_damage),
        BOTH(test_readers_go_on),
        BOTH(test_killed_at_every_step),
        BOTH(test_every_call_fails),
        BOTH(test_beside_appends_and_followers),
    };
    log_configure(LOG_ERROR, LOG_FORMAT_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
