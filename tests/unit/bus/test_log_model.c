/* The log against the simplest thing that could be right: an array.  Random operations, reopenings among them, and after each
 * the two must agree. */
#include "unit/bus/bus_support.h"

enum { RECORDS_MAX = 6000, READERS = 3, NAMES = 4, STEPS = 1500, SEEDS = 8 };

struct model {
    uint64_t numbers[RECORDS_MAX]; /* by offset: which numbered record it is */
    uint64_t count;
    uint64_t positions[NAMES];
    bool known[NAMES];
};

struct walk {
    struct random random;
    struct model model;
    struct scratch scratch;
    struct fault_env quick;
    struct bus_log_options options;
    struct bus *bus;
    struct bus_reader *readers[READERS];
    uint64_t next[READERS];
    unsigned topics[READERS];
    uint64_t made; /* numbered records so far */
};

static const char *const names[NAMES] = {"indexer", "forwarder", "detector", "windows"};

static void reader_open(struct walk *walk, size_t i)
{
    walk->next[i] = random_below(&walk->random, walk->model.count + 3);
    walk->topics[i] = (unsigned)random_below(&walk->random, BUS_ALL_TOPICS + 1);
    walk->readers[i] = bus_reader_open(walk->bus, walk->next[i], walk->topics[i], NULL);
    assert_non_null(walk->readers[i]);
}

static void walk_open(struct walk *walk)
{
    struct error error = {{0}};
    const uint64_t sizes[] = {1, 700, 3000, 20000, 0};
    walk->options = (struct bus_log_options){.directory = walk->scratch.path,
                                             .sync = (enum bus_sync)random_below(&walk->random, 3),
                                             .segment_bytes = sizes[random_below(&walk->random, 5)],
                                             .compress = random_below(&walk->random, 2) == 1};
    walk->bus = bus_log_open(&walk->options, &walk->quick.env, &error);
    if (!walk->bus)
        fail_msg("%s", error.text);
    for (size_t i = 0; i < READERS; i++)
        reader_open(walk, i);
}

static void walk_close(struct walk *walk)
{
    for (size_t i = 0; i < READERS; i++)
        bus_reader_close(walk->readers[i]);
    bus_destroy(walk->bus);
}

static uint64_t first_offset(struct walk *walk)
{
    struct bus_info info;
    bus_info(walk->bus, &info);
    assert_true(info.end_offset == walk->model.count);
    assert_true(info.first_offset <= info.end_offset);
    return info.first_offset;
}

static void step_append(struct walk *walk)
{
    struct model *model = &walk->model;
    struct error error = {{0}};
    size_t count = random_below(&walk->random, 12), name = random_below(&walk->random, NAMES);
    struct bus_position position = {bytes_of_string(names[name]), random_u64(&walk->random) >> random_below(&walk->random, 64)};
    bool with = random_below(&walk->random, 3) == 0;
    if (model->count + count > RECORDS_MAX)
        return;
    if (numbered_append(walk->bus, walk->made, count, with ? &position : NULL, &error) != 0)
        fail_msg("%s", error.text);
    for (size_t i = 0; i < count; i++)
        model->numbers[model->count++] = walk->made++;
    if (with) {
        model->positions[name] = position.next_offset;
        model->known[name] = true;
    }
    if (random_below(&walk->random, 4) == 0) /* numbers and offsets need not agree */
        walk->made += random_below(&walk->random, 1000);
}

/* Reads one batch and compares it with the array. */
static void step_read(struct walk *walk)
{
    size_t i = random_below(&walk->random, READERS);
    struct error error = {{0}};
    struct bus_batch batch;
    uint64_t first = first_offset(walk);
    int status = bus_reader_next(walk->readers[i], &batch, &error);
    if (status < 0)
        fail_msg("%s", error.text);
    if (status == 0) {
        assert_true(walk->next[i] >= walk->model.count);
        return;
    }
    /* A reader may still be on a segment that retention has removed. */
    uint64_t from = walk->next[i];
    if (batch.base_offset > from) {
        assert_true(batch.base_offset == first || from < first);
        from = batch.base_offset;
    }
    assert_true(batch.end_offset > from && batch.end_offset <= walk->model.count);
    size_t seen = 0;
    for (uint64_t offset = from; offset < batch.end_offset; offset++) {
        struct numbered expected;
        numbered_make(&expected, walk->model.numbers[offset]);
        if (!(walk->topics[i] >> expected.record.topic & 1))
            continue;
        assert_true(seen < batch.count && batch.records[seen].offset == offset);
        assert_true(numbered_equal(&batch.records[seen], walk->model.numbers[offset]));
        seen++;
    }
    assert_true(seen == batch.count);
    walk->next[i] = batch.end_offset;
}

static void step_position(struct walk *walk)
{
    size_t name = random_below(&walk->random, NAMES);
    uint64_t next = 0;
    assert_int_equal(bus_position(walk->bus, bytes_of_string(names[name]), &next), walk->model.known[name]);
    if (walk->model.known[name])
        assert_true(next == walk->model.positions[name]);
}

static void step_offset_at(struct walk *walk)
{
    const struct model *model = &walk->model;
    int64_t time_us = (int64_t)random_below(&walk->random, walk->made * 1000 + 20000);
    uint64_t offset;
    assert_int_equal(bus_offset_at(walk->bus, time_us, &offset, NULL), 0);
    for (uint64_t before = first_offset(walk); before < offset; before++) {
        struct numbered record;
        numbered_make(&record, model->numbers[before]);
        assert_true(record.record.timestamp_us < time_us);
    }
}

static void step_truncate(struct walk *walk)
{
    uint64_t first = first_offset(walk);
    struct bus_retention retention = {.max_bytes = 1 + random_below(&walk->random, 60000),
                                      .max_age_us = (int64_t)random_below(&walk->random, 2000000),
                                      .keep_from = random_below(&walk->random, walk->model.count + 1)};
    assert_int_equal(bus_truncate(walk->bus, &retention, (int64_t)walk->made * 1000, NULL), 0);
    uint64_t now = first_offset(walk);
    assert_true(now >= first && (now == first || now <= retention.keep_from));
}

static void step_reopen(struct walk *walk)
{
    uint64_t first = first_offset(walk);
    walk_close(walk);
    walk_open(walk);
    assert_true(first_offset(walk) == first);
}

/* Beside the writer, a read-only look must agree, too. */
static void step_look(struct walk *walk)
{
    struct bus_log_options options = {.directory = walk->scratch.path, .read_only = true};
    struct error error = {{0}};
    struct bus *beside = bus_log_open(&options, &walk->quick.env, &error);
    if (!beside)
        fail_msg("%s", error.text);
    struct bus_info info;
    bus_info(beside, &info);
    assert_true(info.end_offset == walk->model.count && info.first_offset == first_offset(walk));
    struct bus_reader *reader = bus_reader_open(beside, random_below(&walk->random, info.end_offset + 1), BUS_ALL_TOPICS, &error);
    struct bus_batch batch;
    int status;
    uint64_t end = 0;
    while ((status = bus_reader_next(reader, &batch, &error)) == 1) {
        for (size_t i = 0; i < batch.count; i++)
            assert_true(numbered_equal(&batch.records[i], walk->model.numbers[batch.records[i].offset]));
        end = batch.end_offset;
    }
    assert_int_equal(status, 0);
    assert_true(end == 0 || end == info.end_offset);
    bus_reader_close(reader);
    bus_destroy(beside);
}

static void test_random_walks(void **state)
{
    (void)state;
    static struct walk walk;
    static void (*const steps[])(struct walk *) = {step_append,   step_append, step_append, step_append,   step_read,
                                                   step_read,     step_read,   step_read,   step_position, step_offset_at,
                                                   step_truncate, step_reopen, step_look};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        walk = (struct walk){0};
        random_seed(&walk.random, seed);
        fault_env_init(&walk.quick);
        scratch_make_quick(&walk.scratch);
        walk_open(&walk);
        for (int i = 0; i < STEPS; i++) {
            steps[random_below(&walk.random, sizeof steps / sizeof steps[0])](&walk);
            if (random_below(&walk.random, 40) == 0) {
                size_t reader = random_below(&walk.random, READERS);
                bus_reader_close(walk.readers[reader]);
                reader_open(&walk, reader);
            }
        }
        walk_close(&walk);
        assert_int_equal(bus_log_verify(walk.scratch.path, env_system(), NULL, NULL, NULL, NULL), 0);
        scratch_remove(&walk.scratch);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_walks)};
    log_configure(LOG_ERROR, LOG_FORMAT_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
