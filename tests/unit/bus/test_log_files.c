/* What lies beside and around the batches: index files, opening without reading all, read-only looks at a log that another
 * writes, and verification for doctor. */
#include "unit/bus/bus_support.h"

enum { SEGMENT_BYTES = 150 * 1024, COUNT = 6000, BATCH = 20 };

struct fixture {
    struct scratch scratch;
    struct fault_env fault;
    struct bus *bus;
    struct error error;
};

static struct bus *open_log(struct fixture *fixture, bool read_only)
{
    struct bus_log_options options = {.directory = fixture->scratch.path, .read_only = read_only, .segment_bytes = SEGMENT_BYTES};
    struct bus *bus = bus_log_open(&options, &fixture->fault.env, &fixture->error);
    if (!bus)
        print_error("%s\n", fixture->error.text);
    return bus;
}

/* A log of several segments with several index entries each. */
static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    scratch_make_quick(&fixture->scratch);
    fault_env_init(&fixture->fault);
    fixture->bus = open_log(fixture, false);
    assert_non_null(fixture->bus);
    for (uint64_t number = 0; number < COUNT; number += BATCH)
        assert_int_equal(numbered_append(fixture->bus, number, BATCH, NULL, &fixture->error), 0);
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

static void reopen(struct fixture *fixture)
{
    bus_destroy(fixture->bus);
    fixture->bus = open_log(fixture, false);
    assert_non_null(fixture->bus);
}

/* The segments' base offsets, from their names. */
static size_t segment_bases(struct fixture *fixture, uint64_t *bases, size_t capacity)
{
    size_t count = 0;
    for (uint64_t offset = 0; offset < COUNT && count < capacity; offset += BATCH)
        if (access(scratch_file(&fixture->scratch, offset, ".log").text, F_OK) == 0)
            bases[count++] = offset;
    assert_true(count > 4);
    return count;
}

static void expect_seeks(struct fixture *fixture)
{
    for (uint64_t from = 3; from <= COUNT; from += 377) {
        int status;
        assert_true(numbered_read(fixture->bus, from, &status, &fixture->error) == COUNT);
        assert_int_equal(status, 0);
    }
    for (int64_t time_us = 5000; time_us < COUNT * 1000; time_us += 333333) {
        uint64_t offset;
        assert_int_equal(bus_offset_at(fixture->bus, time_us, &offset, &fixture->error), 0);
        /* Record n lies between n and n + 10 ms. */
        assert_true((int64_t)offset * 1000 <= time_us);
        assert_true((int64_t)offset * 1000 + (BATCH + 11) * 1000 > time_us);
    }
}

/* ---- index files ---- */

static void test_index_is_made_anew(void **state)
{
    struct fixture *fixture = *state;
    uint64_t bases[64];
    size_t count = segment_bases(fixture, bases, 64), size, size_again;
    expect_seeks(fixture);
    reopen(fixture);
    expect_seeks(fixture);
    struct path_text path = scratch_file(&fixture->scratch, bases[1], ".index");
    char *before = file_load(path.text, &size);
    for (size_t i = 0; i + 1 < count; i++)
        assert_int_equal(unlink(scratch_file(&fixture->scratch, bases[i], ".index").text), 0);
    reopen(fixture);
    expect_seeks(fixture);
    char *after = file_load(path.text, &size_again);
    assert_true(size == size_again && memcmp(before, after, size) == 0);
    free(before);
    free(after);
}

static void test_damaged_index_is_not_believed(void **state)
{
    struct fixture *fixture = *state;
    uint64_t bases[64];
    segment_bases(fixture, bases, 64);
    size_t size, other_size;
    struct path_text path = scratch_file(&fixture->scratch, bases[1], ".index");
    char *index = file_load(path.text, &size);
    for (size_t at = 0; at < size; at++) {
        index[at] = (char)(index[at] ^ 0x10);
        file_store(path.text, index, size);
        index[at] = (char)(index[at] ^ 0x10);
        int status;
        assert_true(numbered_read(fixture->bus, bases[2] - 30, &status, &fixture->error) == COUNT);
        assert_int_equal(status, 0);
    }
    for (size_t length = 0; length < size; length++) {
        file_store(path.text, index, length);
        int status;
        assert_true(numbered_read(fixture->bus, bases[2] - 30, &status, &fixture->error) == COUNT);
    }
    /* Another segment's index, whole. */
    char *other = file_load(scratch_file(&fixture->scratch, bases[2], ".index").text, &other_size);
    file_store(path.text, other, other_size);
    reopen(fixture);
    expect_seeks(fixture);
    free(index);
    free(other);
}

static void test_open_reads_the_last_segment_only(void **state)
{
    struct fixture *fixture = *state;
    bus_destroy(fixture->bus);
    fault_env_init(&fixture->fault);
    fixture->bus = open_log(fixture, false);
    assert_non_null(fixture->bus);
    assert_true(fixture->fault.faults.opened_logs == 1);
    struct bus *beside = open_log(fixture, true);
    assert_non_null(beside);
    assert_true(fixture->fault.faults.opened_logs == 2);
    bus_destroy(beside);
}

static void test_directories_are_made(void **state)
{
    struct fixture *fixture = *state;
    char below[200], deep[300], long_name[5000];
    snprintf(below, sizeof below, "%.150s/below", fixture->scratch.path);
    snprintf(deep, sizeof deep, "%s/log/", below);
    struct bus_log_options options = {.directory = deep};
    struct bus *bus = bus_log_open(&options, &fixture->fault.env, &fixture->error);
    assert_non_null(bus);
    assert_int_equal(numbered_append(bus, 0, 3, NULL, &fixture->error), 0);
    bus_destroy(bus);
    struct scratch inner;
    snprintf(inner.path, sizeof inner.path, "%s/log", below);
    scratch_remove(&inner);
    assert_int_equal(rmdir(below), 0);
    /* A file in the way, a name that cannot be. */
    snprintf(deep, sizeof deep, "%s/lock/log", fixture->scratch.path);
    assert_null(bus_log_open(&options, &fixture->fault.env, &fixture->error));
    assert_non_null(strstr(fixture->error.text, "/lock"));
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = 0;
    options.directory = long_name;
    assert_null(bus_log_open(&options, &fixture->fault.env, &fixture->error));
    assert_int_equal(bus_log_verify(long_name, &fixture->fault.env, NULL, NULL, NULL, &fixture->error), -1);
    options.directory = "";
    assert_null(bus_log_open(&options, &fixture->fault.env, &fixture->error));
}

/* ---- read-only ---- */

static void test_read_only_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct bus *beside = open_log(fixture, true);
    assert_non_null(beside);
    struct bus_retention all = {.max_bytes = 1, .keep_from = UINT64_MAX};
    assert_int_equal(numbered_append(beside, COUNT, 1, NULL, &fixture->error), -1);
    assert_non_null(strstr(fixture->error.text, "reading only"));
    assert_int_equal(bus_truncate(beside, &all, 0, &fixture->error), -1);
    bus_destroy(beside);
    struct bus_log_options nowhere = {.directory = "/nonexistent/log", .read_only = true};
    assert_null(bus_log_open(&nowhere, env_system(), &fixture->error));
    assert_non_null(strstr(fixture->error.text, "/nonexistent/log"));
}

static void test_read_only_sees_half_a_batch_as_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct scratch copy;
    struct fixture other = {0};
    scratch_make_quick(&copy);
    other.scratch = copy;
    fault_env_init(&other.fault);
    other.bus = open_log(&other, false);
    assert_int_equal(numbered_append(other.bus, 0, 3, NULL, &other.error), 0);
    bus_destroy(other.bus);
    other.bus = open_log(&other, false);
    assert_int_equal(numbered_append(other.bus, 3, 3, NULL, &other.error), 0);
    bus_destroy(other.bus);
    size_t size;
    struct path_text path = scratch_file(&copy, 0, ".log");
    char *data = file_load(path.text, &size);
    /* The writer is somewhere inside its second append, at each byte of it; zeros may lie behind. */
    for (size_t have = size; have-- > 0;) {
        char *room = calloc(1, size);
        assert_non_null(room);
        memcpy(room, data, have);
        file_store(path.text, room, have % 2 ? size : have);
        free(room);
        struct bus *bus = open_log(&other, true);
        assert_non_null(bus);
        struct bus_reader *reader = bus_reader_open(bus, 0, BUS_ALL_TOPICS, &other.error);
        struct bus_batch batch;
        uint64_t next = 0;
        int status;
        while ((status = bus_reader_next(reader, &batch, &other.error)) == 1)
            next = batch.end_offset;
        assert_int_equal(status, 0);
        assert_true(next == 0 || next == 3 || (next == 6 && memchr(data + have, 0, size - have)));
        file_store(path.text, data, size); /* now it has finished */
        while ((status = bus_reader_next(reader, &batch, &other.error)) == 1)
            next = batch.end_offset;
        assert_int_equal(status, 0);
        assert_true(next == 6);
        struct bus_info info;
        bus_info(bus, &info);
        assert_true(info.end_offset == 6);
        bus_reader_close(reader);
        bus_destroy(bus);
    }
    free(data);
    scratch_remove(&copy);
    (void)fixture;
}

static void test_read_only_follows_from_nothing(void **state)
{
    (void)state;
    struct fixture other = {0};
    scratch_make_quick(&other.scratch);
    fault_env_init(&other.fault);
    struct bus *beside = open_log(&other, true);
    assert_non_null(beside);
    struct bus_reader *reader = bus_reader_open(beside, 0, BUS_ALL_TOPICS, &other.error);
    struct bus_batch batch;
    assert_int_equal(bus_reader_next(reader, &batch, &other.error), 0);
    other.bus = open_log(&other, false);
    uint64_t next = 0;
    for (uint64_t number = 0; number < COUNT; number += BATCH) {
        assert_int_equal(numbered_append(other.bus, number, BATCH, NULL, &other.error), 0);
        assert_int_equal(bus_reader_next(reader, &batch, &other.error), 1);
        assert_true(batch.base_offset == number && batch.count == BATCH);
        next = batch.end_offset;
    }
    assert_true(next == COUNT);
    /* Retention of the writer's process: a reader that stayed behind goes on with the first that is left. */
    struct bus_reader *late = bus_reader_open(beside, 0, BUS_ALL_TOPICS, &other.error);
    assert_int_equal(bus_reader_next(late, &batch, &other.error), 1);
    struct bus_retention all = {.max_bytes = 1, .keep_from = UINT64_MAX};
    assert_int_equal(bus_truncate(other.bus, &all, 0, &other.error), 0);
    struct bus_info info;
    bus_info(beside, &info);
    assert_true(info.first_offset > 0 && info.end_offset == COUNT && info.segments == 1);
    int status;
    while ((status = bus_reader_next(late, &batch, &other.error)) == 1)
        next = batch.end_offset;
    assert_int_equal(status, 0);
    assert_true(next == COUNT);
    bus_reader_close(late);
    bus_reader_close(reader);
    bus_destroy(beside);
    bus_destroy(other.bus);
    scratch_remove(&other.scratch);
}

/* ---- verification ---- */

struct reports {
    int count;
    char last[600];
};

static void take_report(void *context, const char *text)
{
    struct reports *reports = context;
    reports->count++;
    snprintf(reports->last, sizeof reports->last, "%s", text);
}

static int verify(struct fixture *fixture, struct reports *reports, struct bus_info *info)
{
    *reports = (struct reports){0};
    int damages = bus_log_verify(fixture->scratch.path, &fixture->fault.env, take_report, reports, info, &fixture->error);
    assert_int_equal(damages, reports->count);
    return damages;
}

static void turn_byte(const char *path, size_t at)
{
    size_t size;
    char *data = file_load(path, &size);
    assert_true(at < size);
    data[at] = (char)(data[at] ^ 0x40);
    file_store(path, data, size);
    free(data);
}

static void test_verify(void **state)
{
    struct fixture *fixture = *state;
    struct reports reports;
    struct bus_info info, own;
    uint64_t bases[64];
    size_t count = segment_bases(fixture, bases, 64);
    assert_int_equal(verify(fixture, &reports, &info), 0); /* beside the writer */
    bus_info(fixture->bus, &own);
    assert_true(info.end_offset == COUNT && info.records_appended == COUNT && info.segments == count);
    assert_true(info.size_bytes == own.size_bytes && info.batches_appended == COUNT / BATCH);
    struct path_text path = scratch_file(&fixture->scratch, bases[1], ".log");
    turn_byte(path.text, 20000);
    turn_byte(path.text, 90000);
    assert_int_equal(verify(fixture, &reports, &info), 2);
    assert_non_null(strstr(reports.last, path.text));
    assert_true(info.records_appended == COUNT - 2 * BATCH); /* all others are found behind the damage */
    turn_byte(path.text, 20000);
    turn_byte(path.text, 90000);
    assert_int_equal(truncate(path.text, 100000), 0);
    assert_true(verify(fixture, &reports, &info) > 0);
    assert_true(info.end_offset == COUNT);
    assert_int_equal(unlink(path.text), 0);
    assert_int_equal(verify(fixture, &reports, &info), 1);
    assert_non_null(strstr(reports.last, "next one"));
}

static void test_verify_passes_a_torn_tail(void **state)
{
    struct fixture *fixture = *state;
    struct reports reports;
    struct bus_info info;
    uint64_t bases[64];
    size_t count = segment_bases(fixture, bases, 64), size;
    bus_destroy(fixture->bus);
    fixture->bus = NULL;
    struct path_text path = scratch_file(&fixture->scratch, bases[count - 1], ".log");
    free(file_load(path.text, &size));
    assert_int_equal(truncate(path.text, (off_t)size - 5), 0);
    assert_int_equal(verify(fixture, &reports, &info), 0);
    assert_true(info.cut_bytes > 0 && info.end_offset == COUNT - BATCH);
    assert_int_equal(bus_log_verify("/nonexistent/log", env_system(), take_report, &reports, &info, &fixture->error), -1);
}

/* Reads all of it past damage; every record given is checked.  Returns how many there were. */
static uint64_t read_past_damage(struct fixture *fixture, struct bus *bus, uint64_t from)
{
    struct bus_reader *reader = bus_reader_open(bus, from, BUS_ALL_TOPICS, &fixture->error);
    assert_non_null(reader);
    struct bus_batch batch;
    uint64_t next = from, count = 0;
    int status;
    while ((status = bus_reader_next_past_damage(reader, &batch, &fixture->error)) == 1) {
        assert_true(batch.end_offset > next);
        next = batch.end_offset;
        count += batch.count;
        for (size_t i = 0; i < batch.count; i++)
            assert_true(numbered_equal(&batch.records[i], batch.records[i].offset));
    }
    assert_int_equal(status, 0);
    assert_true(next == COUNT);
    bus_reader_close(reader);
    return count;
}

static struct bus *open_read_only(struct fixture *fixture)
{
    struct bus_log_options options = {.directory = fixture->scratch.path, .read_only = true};
    struct bus *bus = bus_log_open(&options, env_system(), &fixture->error);
    assert_non_null(bus);
    return bus;
}

static void test_readers_go_on_behind_damage(void **state)
{
    struct fixture *fixture = *state;
    uint64_t bases[64];
    segment_bases(fixture, bases, 64);
    struct path_text path = scratch_file(&fixture->scratch, bases[1], ".log");
    struct path_text index = scratch_file(&fixture->scratch, bases[1], ".index");
    turn_byte(path.text, 20000);
    turn_byte(path.text, 90000);
    struct bus *buses[] = {fixture->bus, open_read_only(fixture)};
    for (size_t i = 0; i < 2; i++) {
        struct error first = {{0}};
        int status;
        uint64_t at = numbered_read(buses[i], 0, &status, &fixture->error);
        assert_true(status == -1 && at > bases[1] && at < bases[2]);
        assert_non_null(strstr(fixture->error.text, path.text));
        assert_true(bus_damage(buses[i], &first) == 0);
        assert_true(read_past_damage(fixture, buses[i], 0) == COUNT - 2 * BATCH);
        assert_true(bus_damage(buses[i], &first) == 2 * BATCH);
        assert_non_null(strstr(first.text, path.text));
        assert_true(read_past_damage(fixture, buses[i], at + BATCH) == COUNT - at - 2 * BATCH);
        unlink(index.text); /* now the way to a later place leads over the damage, of which nothing is wanted */
        assert_true(numbered_read(buses[i], bases[2] - BATCH, &status, &fixture->error) == COUNT && status == 0);
        assert_true(bus_damage(buses[i], NULL) == 2 * BATCH);
    }
    bus_destroy(buses[1]);
}

static void test_readers_go_on_behind_lost_segments(void **state)
{
    struct fixture *fixture = *state;
    uint64_t bases[64];
    segment_bases(fixture, bases, 64);
    assert_int_equal(truncate(scratch_file(&fixture->scratch, bases[1], ".log").text, 50001), 0);
    for (size_t i = 0; i < 2; i++) { /* while the writer knows it longer, and beside it */
        struct bus *bus = i == 0 ? fixture->bus : open_read_only(fixture);
        uint64_t count = read_past_damage(fixture, bus, 0);
        assert_true(count > COUNT - (bases[2] - bases[1]) && count < COUNT);
        assert_true(bus_damage(bus, NULL) == COUNT - count);
        if (i == 1)
            bus_destroy(bus);
    }
    assert_int_equal(unlink(scratch_file(&fixture->scratch, bases[1], ".log").text), 0);
    struct bus *bus = open_read_only(fixture);
    assert_true(read_past_damage(fixture, bus, 0) == COUNT - (bases[2] - bases[1]));
    assert_true(read_past_damage(fixture, bus, bases[1] + 1) == COUNT - bases[2]);
    assert_true(bus_damage(bus, NULL) == bases[2] - bases[1]);
    bus_destroy(bus);
}

static void test_a_log_shorter_than_known_is_refused(void **state)
{
    struct fixture *fixture = *state;
    uint64_t bases[64];
    size_t count = segment_bases(fixture, bases, 64), size, left;
    bus_destroy(fixture->bus);
    struct path_text path = scratch_file(&fixture->scratch, bases[count - 1], ".log");
    free(file_load(path.text, &size));
    assert_int_equal(truncate(path.text, (off_t)size - 5), 0);
    struct bus_log_options options = {.directory = fixture->scratch.path, .segment_bytes = SEGMENT_BYTES, .known_end = COUNT};
    fixture->bus = bus_log_open(&options, env_system(), &fixture->error);
    assert_null(fixture->bus);
    assert_non_null(strstr(fixture->error.text, ": 20 acknowledged records are missing"));
    free(file_load(path.text, &left));
    assert_true(left == size - 5);
    options.known_end = COUNT - BATCH;
    fixture->bus = bus_log_open(&options, env_system(), &fixture->error);
    assert_non_null(fixture->bus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_index_is_made_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damaged_index_is_not_believed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_open_reads_the_last_segment_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_directories_are_made, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_read_only_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_read_only_sees_half_a_batch_as_nothing, set_up, tear_down),
        cmocka_unit_test(test_read_only_follows_from_nothing),
        cmocka_unit_test_setup_teardown(test_verify, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_readers_go_on_behind_damage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_readers_go_on_behind_lost_segments, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_log_shorter_than_known_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_verify_passes_a_torn_tail, set_up, tear_down),
    };
    log_configure(LOG_ERROR, LOG_FORMAT_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
