/* From a file of events through the threads into log and store: nothing lost, nothing doubled, also when writes fail for a
 * while, when the program stops half-way and when the store is behind. */
#include "pipeline/file_feed.h"
#include "pipeline/indexer.h"
#include "pipeline/pipeline.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

enum { EVENTS = 5000 };

static char path[] = "/tmp/dataflow-pipeline-XXXXXX";

static int write_events(void **state)
{
    (void)state;
    int file = mkstemp(path);
    FILE *out = fdopen(file, "w");
    for (int i = 0; i < EVENTS; i++)
        fprintf(out,
                "{\"schema\":1,\"id\":\"test:S%d-USDT:trade:%d\",\"source\":\"market\",\"timestamp\":\"2026-01-01T00:%02d:%02d."
                "000000Z\","
                "\"payload\":{\"kind\":\"trade\",\"exchange\":\"test\",\"symbol\":\"S%d-USDT\",\"price\":10.50,\"volume\":1,"
                "\"side\":\"buy\","
                "\"trade_id\":%d}}\n",
                i % 7, i, i / 60 % 60, i % 60, i % 7, i);
    fprintf(out, "this is no event\n");
    fclose(out);
    return 0;
}

static int remove_events(void **state)
{
    (void)state;
    return unlink(path);
}

static struct pipeline *start(struct bus *bus, struct store *store)
{
    struct error error = {""};
    struct source_options options = {.kind = BYTES("jsonl"), .argument = bytes_of_string(path)};
    struct pipeline_source source = {.source = source_create(&options, &error)};
    assert_non_null(source.source);
    struct pipeline_options pipeline = {.env = env_system(), .bus = bus, .store = store};
    struct pipeline *started = pipeline_start(&pipeline, &source, 1, &error);
    if (!started)
        fail_msg("%s", error.text);
    return started;
}

static void wait_ended(struct pipeline *pipeline)
{
    while (!pipeline_ended(pipeline))
        usleep(1000);
}

/* The trade ids in the log are 0 … EVENTS-1, in order. */
static void assert_log_complete(struct bus *bus)
{
    struct bus_reader *reader = bus_reader_open(bus, 0, BUS_ALL_TOPICS, NULL);
    struct bus_batch batch;
    int next = 0;
    while (bus_reader_next(reader, &batch, NULL) > 0)
        for (size_t i = 0; i < batch.count; i++) {
            char id[64];
            int length = snprintf(id, sizeof id, "\"id\":\"test:S%d-USDT:trade:%d\"", next % 7, next);
            assert_non_null(memmem(batch.records[i].value.at, batch.records[i].value.length, id, (size_t)length));
            assert_int_equal(batch.records[i].offset, next);
            next++;
        }
    assert_int_equal(next, EVENTS);
    bus_reader_close(reader);
}

static void assert_ledger(struct pipeline *pipeline)
{
    struct ledger_stage stages[LEDGER_STAGE_MAX];
    size_t count = ledger_snapshot(pipeline_ledger(pipeline), stages);
    assert_int_equal(count, 3);
    for (size_t i = 0; i < count; i++) {
        assert_true(ledger_balances(&stages[i].counts));
        assert_int_equal(stages[i].counts.pending, 0);
        assert_int_equal(stages[i].counts.out, EVENTS);
    }
    assert_int_equal(stages[0].counts.in, EVENTS + 1);
    assert_int_equal(stages[0].counts.rejected, 1);
}

static void test_all_arrive(void **state)
{
    (void)state;
    struct bus *bus = bus_memory_create();
    struct store *store = store_memory_create();
    struct pipeline *pipeline = start(bus, store);
    wait_ended(pipeline);
    assert_true(pipeline_ready(pipeline, NULL));
    pipeline_stop(pipeline);
    assert_ledger(pipeline);
    pipeline_destroy(pipeline);
    assert_log_complete(bus);
    uint64_t next;
    assert_int_equal(store_position(store, INDEXER_READER, &next, NULL), 0);
    assert_int_equal(next, EVENTS);
    store_destroy(store);
    bus_destroy(bus);
}

static void test_failing_append_is_tried_again(void **state)
{
    (void)state;
    struct bus_faults faults = {.fail_append_at = 2};
    struct bus *bus = bus_faulty_create(bus_memory_create(), &faults);
    struct store *store = store_memory_create();
    struct pipeline *pipeline = start(bus, store);
    wait_ended(pipeline);
    pipeline_stop(pipeline);
    assert_true(faults.appends > 2);
    assert_ledger(pipeline);
    pipeline_destroy(pipeline);
    assert_log_complete(bus);
    store_destroy(store);
    bus_destroy(bus);
}

static void test_failing_store_loses_nothing(void **state)
{
    (void)state;
    struct store_faults faults = {.fail_write_at = 1};
    struct bus *bus = bus_memory_create();
    struct store *store = store_faulty_create(store_memory_create(), &faults);
    struct pipeline *pipeline = start(bus, store);
    wait_ended(pipeline);
    pipeline_stop(pipeline);
    assert_true(faults.writes >= 2);
    assert_ledger(pipeline);
    pipeline_destroy(pipeline);
    uint64_t next;
    assert_int_equal(store_position(store, INDEXER_READER, &next, NULL), 0);
    assert_int_equal(next, EVENTS);
    store_destroy(store);
    bus_destroy(bus);
}

static void test_stop_keeps_what_was_given(void **state)
{
    (void)state;
    struct bus *bus = bus_memory_create();
    struct store *store = store_memory_create();
    struct pipeline *pipeline = start(bus, store);
    pipeline_stop(pipeline);
    struct ledger_stage stages[LEDGER_STAGE_MAX];
    ledger_snapshot(pipeline_ledger(pipeline), stages);
    struct bus_info info;
    bus_info(bus, &info);
    assert_int_equal(stages[0].counts.out, info.end_offset);
    assert_int_equal(stages[1].counts.out, info.end_offset);
    assert_int_equal(stages[2].counts.out, info.end_offset);
    pipeline_destroy(pipeline);
    store_destroy(store);
    bus_destroy(bus);
}

static void test_store_behind_the_log_catches_up(void **state)
{
    (void)state;
    struct bus *bus = bus_memory_create();
    struct pipeline *pipeline = start(bus, NULL);
    wait_ended(pipeline);
    pipeline_stop(pipeline);
    pipeline_destroy(pipeline);
    struct store *store = store_memory_create();
    struct error error;
    struct indexer *indexer = indexer_create(bus, store, &error);
    uint64_t count, sum = 0;
    while (indexer_step(indexer, &count, &error) == 0 && count > 0)
        sum += count;
    assert_int_equal(sum, EVENTS);
    assert_int_equal(indexer_next_offset(indexer), EVENTS);
    indexer_destroy(indexer);
    store_destroy(store);
    bus_destroy(bus);
}

static void test_store_ahead_of_the_log_is_refused(void **state)
{
    (void)state;
    struct bus *bus = bus_memory_create();
    struct store *store = store_memory_create();
    struct error error = {""};
    struct store_write write = {.reader = INDEXER_READER, .next_offset = 10};
    assert_int_equal(store_write(store, &write, &error), 0);
    assert_null(indexer_create(bus, store, &error));
    assert_non_null(strstr(error.text, "rebuild"));
    store_destroy(store);
    bus_destroy(bus);
}

/* ---- lines of any size ---- */

static void test_large_lines_all_arrive(void **state)
{
    (void)state;
    enum { COUNT = 3000, TEXT = 4000, HUGE = 900000 };
    char name[] = "/tmp/dataflow-large-XXXXXX";
    FILE *out = fdopen(mkstemp(name), "w");
    for (int i = 0; i < COUNT; i++) {
        fprintf(out,
                "{\"schema\":1,\"id\":\"twitch:%d\",\"source\":\"twitch\",\"timestamp\":\"2026-01-01T00:00:00.000000Z\","
                "\"payload\":{\"kind\":\"message\",\"channel\":\"c\",\"username\":\"u\",\"message\":\"",
                i);
        for (int t = 0; t < (i % 1000 == 7 ? HUGE : TEXT); t++)
            fputc('x', out);
        fprintf(out, "\"}}\n");
    }
    fclose(out);
    struct error error = {""};
    struct bus *bus = bus_memory_create();
    struct source_options options = {.kind = BYTES("jsonl"), .argument = bytes_of_string(name)};
    struct pipeline_source source = {.source = source_create(&options, &error)};
    struct pipeline_options pipeline = {.env = env_system(), .bus = bus};
    struct pipeline *started = pipeline_start(&pipeline, &source, 1, &error);
    wait_ended(started);
    pipeline_stop(started);
    pipeline_destroy(started);
    struct bus_info info;
    bus_info(bus, &info);
    assert_int_equal(info.end_offset, COUNT);
    bus_destroy(bus);
    unlink(name);
}

/* ---- input that does not come ---- */

static void test_an_idle_pipe_holds_nobody_up(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    char name[64];
    snprintf(name, sizeof name, "/dev/fd/%d", ends[0]);
    struct error error = {""};
    struct file_feed_options options = {.path = name, .timed = true, .speed = 1, .now_us = 1000};
    struct file_feed *feed = file_feed_open(&options, &error);
    assert_non_null(feed);
    struct bytes line;
    int64_t due_us;
    assert_int_equal(file_feed_next(feed, 1000, &line, &due_us, &error), FILE_FEED_LATER);
    assert_true(due_us > 1000);
    const char text[] = "{\"received\":\"2026-01-01T00:00:00.000000Z\",\"frame\":\"x\"}";
    assert_int_equal(write(ends[1], text, 10), 10); /* half a line */
    assert_int_equal(file_feed_next(feed, 1000, &line, &due_us, &error), FILE_FEED_LATER);
    assert_int_equal(write(ends[1], text + 10, sizeof text - 11), (int)sizeof text - 11);
    assert_int_equal(write(ends[1], "\n", 1), 1);
    assert_int_equal(file_feed_next(feed, 1000, &line, &due_us, &error), FILE_FEED_LINE);
    assert_int_equal(line.length, sizeof text - 1);
    close(ends[1]);
    assert_int_equal(file_feed_next(feed, 1000, &line, &due_us, &error), FILE_FEED_END);
    file_feed_close(feed);
    close(ends[0]);
}

/* ---- the clock ---- */

static int64_t wall_offset_us;

static int64_t shifted_now_us(const struct env *env)
{
    (void)env;
    return env_system()->now_us(env_system()) + __atomic_load_n(&wall_offset_us, __ATOMIC_RELAXED);
}

static uint64_t events_of(struct pipeline *pipeline)
{
    struct pipeline_source_status status;
    pipeline_sources(pipeline, &status, 1);
    return status.statistics.events;
}

static void test_a_clock_set_back_stops_no_source(void **state)
{
    (void)state;
    struct env env = *env_system();
    env.now_us = shifted_now_us;
    struct error error = {""};
    struct bus *bus = bus_memory_create();
    struct source_options options = {.kind = BYTES("simulated"), .argument = BYTES("market"), .seed = 1, .rate = 1000};
    struct pipeline_source source = {.source = source_create(&options, &error)};
    struct pipeline_options pipeline = {.env = &env, .bus = bus};
    struct pipeline *started = pipeline_start(&pipeline, &source, 1, &error);
    while (events_of(started) < 10)
        usleep(1000);
    __atomic_store_n(&wall_offset_us, (int64_t)-300 * 1000000, __ATOMIC_RELAXED);
    uint64_t before = events_of(started);
    while (events_of(started) < before + 100) /* ends by the test's time limit if they stop */
        usleep(1000);
    pipeline_stop(started);
    pipeline_destroy(started);
    bus_destroy(bus);
    __atomic_store_n(&wall_offset_us, 0, __ATOMIC_RELAXED);
}

/* ---- file feed ---- */

static void write_recording(char *name, int lines)
{
    FILE *out = fdopen(mkstemp(name), "w");
    for (int i = 0; i < lines; i++)
        fprintf(out, "{\"received\":\"2026-01-01T00:00:%02d.000000Z\",\"frame\":\"%d\"}\n", i, i);
    fclose(out);
}

static void test_feed_paces_and_loops(void **state)
{
    (void)state;
    char name[] = "/tmp/dataflow-feed-XXXXXX";
    write_recording(name, 10); /* 9 s between first and last: rounds of 10 s */
    struct error error = {""};
    struct file_feed_times times;
    assert_int_equal(file_feed_times(name, &times, &error), 0);
    assert_int_equal(times.length_us, 10000000);
    const int64_t round = 178000000, start = round * times.length_us + 3500000;
    struct file_feed_options options = {.path = name, .timed = true, .speed = 1, .loop = true, .now_us = start};
    struct file_feed *feed = file_feed_open(&options, &error);
    struct bytes line;
    int64_t due_us;
    /* 3.5 s into the round: the next line is that of second 4. */
    assert_int_equal(file_feed_next(feed, start, &line, &due_us, &error), FILE_FEED_LATER);
    assert_int_equal(due_us, start + 500000);
    for (int second = 4; second < 25; second++) {
        int64_t at = round * times.length_us + (int64_t)second * 1000000;
        assert_int_equal(file_feed_next(feed, at, &line, &due_us, &error), FILE_FEED_LINE);
        assert_int_equal(due_us, at);
        assert_int_equal(line.at[line.length - 3], '0' + second % 10);
        assert_int_equal(file_feed_next(feed, at, &line, &due_us, &error), FILE_FEED_LATER);
    }
    file_feed_close(feed);
    unlink(name);
}

static void test_feed_speed(void **state)
{
    (void)state;
    char name[] = "/tmp/dataflow-feed-XXXXXX";
    write_recording(name, 3);
    struct error error = {""};
    struct bytes line;
    int64_t due_us;
    struct file_feed_options options = {.path = name, .timed = true, .speed = 50, .now_us = 1000};
    struct file_feed *feed = file_feed_open(&options, &error);
    assert_int_equal(file_feed_next(feed, 1000, &line, &due_us, &error), FILE_FEED_LINE);
    assert_int_equal(file_feed_next(feed, 1000, &line, &due_us, &error), FILE_FEED_LATER);
    assert_int_equal(due_us, 1000 + 20000);
    file_feed_close(feed);
    options.speed = 0;
    feed = file_feed_open(&options, &error);
    for (int i = 0; i < 3; i++)
        assert_int_equal(file_feed_next(feed, 1000, &line, &due_us, &error), FILE_FEED_LINE);
    assert_int_equal(file_feed_next(feed, 1000, &line, &due_us, &error), FILE_FEED_END);
    file_feed_close(feed);
    unlink(name);
}

static void test_feed_needs_times_to_loop(void **state)
{
    (void)state;
    struct error error = {""};
    struct file_feed_times times;
    assert_int_equal(file_feed_times(path, &times, &error), -1);
    assert_non_null(strstr(error.text, "received"));
    assert_int_equal(file_feed_times("/nonexistent/x", &times, &error), -1);
    assert_non_null(strstr(error.text, "/nonexistent/x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_arrive),
        cmocka_unit_test(test_failing_append_is_tried_again),
        cmocka_unit_test(test_failing_store_loses_nothing),
        cmocka_unit_test(test_stop_keeps_what_was_given),
        cmocka_unit_test(test_store_behind_the_log_catches_up),
        cmocka_unit_test(test_store_ahead_of_the_log_is_refused),
        cmocka_unit_test(test_large_lines_all_arrive),
        cmocka_unit_test(test_an_idle_pipe_holds_nobody_up),
        cmocka_unit_test(test_a_clock_set_back_stops_no_source),
        cmocka_unit_test(test_feed_paces_and_loops),
        cmocka_unit_test(test_feed_speed),
        cmocka_unit_test(test_feed_needs_times_to_loop),
    };
    return cmocka_run_group_tests(tests, write_events, remove_events);
}
