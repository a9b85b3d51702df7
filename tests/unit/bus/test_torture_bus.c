/* The bus when memory runs out: what was acknowledged is there, and nothing else. */
#include "support/failing_alloc.h"
#include "unit/bus/bus_support.h"

enum { ROUNDS = 6, BATCH = 30, SEGMENT_BYTES = 6000 };

struct attempt {
    struct scratch scratch;
    struct fault_env quick;
    bool compress;
};

/* Reads what there is.  False: memory ran out; else all of `count` records were there, in order. */
static bool read_all(struct bus *bus, uint64_t count)
{
    struct error error = {{0}};
    struct bus_reader *reader = bus_reader_open(bus, 0, BUS_ALL_TOPICS, &error);
    struct bus_batch batch;
    uint64_t next = 0;
    int status = -1;
    while (reader && (status = bus_reader_next(reader, &batch, &error)) == 1) {
        assert_true(batch.base_offset == next);
        for (size_t i = 0; i < batch.count; i++)
            assert_true(numbered_equal(&batch.records[i], next + i));
        next = batch.end_offset;
    }
    bus_reader_close(reader);
    assert_true(status == 0 ? next == count : strstr(error.text, "memory") != NULL);
    return status == 0;
}

/* Appends, asks and reads; *acknowledged counts the records that were taken. */
static bool work(struct bus *bus, uint64_t *acknowledged)
{
    bool well = true;
    for (int round = 0; round < ROUNDS; round++) {
        char name[32];
        snprintf(name, sizeof name, "reader %d", round);
        struct error error = {{0}};
        struct bus_position position = {bytes_of_string(name), *acknowledged + BATCH};
        uint64_t next = 0;
        bool taken = numbered_append(bus, *acknowledged, BATCH, &position, &error) == 0;
        assert_true(taken || strstr(error.text, "memory"));
        assert_int_equal(bus_position(bus, position.reader, &next), taken);
        *acknowledged += taken ? BATCH : 0;
        well = well && taken;
        uint64_t offset = 0;
        well = bus_offset_at(bus, 50000, &offset, &error) == 0 && well;
        assert_true(offset <= *acknowledged);
        well = read_all(bus, *acknowledged) && well;
    }
    return well;
}

/* Verification without memory reports what it cannot read. */
static void ignore_report(void *context, const char *text)
{
    (void)context;
    assert_non_null(strstr(text, "memory"));
}

static bool attempt_log(void *context)
{
    struct attempt *attempt = context;
    struct bus_log_options options = {
        .directory = attempt->scratch.path, .segment_bytes = SEGMENT_BYTES, .compress = attempt->compress};
    struct error error = {{0}};
    uint64_t acknowledged = 0;
    struct bus *bus = bus_log_open(&options, &attempt->quick.env, &error);
    bool well = bus && work(bus, &acknowledged);
    assert_true(bus || strstr(error.text, "memory"));
    bus_destroy(bus);
    for (int read_only = 0; read_only < 2; read_only++) {
        options.read_only = read_only == 1;
        bus = bus_log_open(&options, &attempt->quick.env, &error);
        well = bus && read_all(bus, acknowledged) && well;
        bus_destroy(bus);
    }
    struct bus_info info;
    int damages = bus_log_verify(options.directory, &attempt->quick.env, ignore_report, NULL, &info, &error);
    well = damages == 0 && well;
    return well;
}

static bool attempt_memory(void *context)
{
    (void)context;
    struct bus *inner = bus_memory_create();
    struct bus_faults faults = {0};
    struct bus *bus = inner ? bus_faulty_create(inner, &faults) : NULL;
    uint64_t acknowledged = 0;
    bool well = bus && work(bus, &acknowledged);
    bus_destroy(bus ? bus : inner);
    return well;
}

static void test_memory_bus(void **state)
{
    (void)state;
    assert_true(failing_alloc_each(attempt_memory, NULL) > 10);
}

/* Each attempt begins with an empty folder. */
static bool attempt_fresh_log(void *context)
{
    struct attempt *attempt = context;
    bool well = attempt_log(context);
    scratch_empty(&attempt->scratch);
    return well;
}

static void test_log(void **state)
{
    (void)state;
    for (int compress = 0; compress < 2; compress++) {
        struct attempt attempt = {.compress = compress == 1};
        scratch_make_quick(&attempt.scratch);
        fault_env_init(&attempt.quick);
        assert_true(failing_alloc_each(attempt_fresh_log, &attempt) > 30);
        scratch_remove(&attempt.scratch);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_memory_bus), cmocka_unit_test(test_log)};
    log_configure(LOG_ERROR, LOG_FORMAT_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
