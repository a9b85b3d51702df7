/* Each file call of the log fails in turn: once, and for ever after.  Whatever fails, all that was acknowledged is there when
 * the log is opened again, and nothing of what was refused. */
#include "unit/bus/bus_support.h"

#include <signal.h>
#include <sys/wait.h>

enum { APPENDS = 14, BATCH = 4, SEGMENT_BYTES = 2500, ACKED_MAX = 64, CALLS_MAX = 400 };

/* What the log has promised: the numbers of the batches acknowledged, in order. */
struct promise {
    uint64_t batches[ACKED_MAX];
    size_t count;
    uint64_t position;
    uint64_t refused; /* the first batch refused; 0: none */
};

struct scene {
    struct scratch scratch;
    struct fault_env fault;
    struct promise promise;
    uint64_t attempts;
};

static struct bus *scene_open(struct scene *scene, const struct env *env, struct error *error)
{
    struct bus_log_options options = {.directory = scene->scratch.path, .segment_bytes = SEGMENT_BYTES};
    return bus_log_open(&options, env, error);
}

/* Appends a batch whose records tell which attempt made them. */
static bool attempt(struct scene *scene, struct bus *bus)
{
    struct error error = {{0}};
    uint64_t number = ++scene->attempts;
    struct bus_position position = {BYTES("r"), number};
    if (numbered_append(bus, number * BATCH, BATCH, &position, &error) != 0) {
        assert_true(error.text[0]);
        if (scene->promise.refused == 0)
            scene->promise.refused = number;
        return false;
    }
    scene->promise.batches[scene->promise.count++] = number;
    scene->promise.position = number;
    return true;
}

/* True if the log holds the batches promised; `extra`: and perhaps one more, which was refused when the disk had gone. */
static void expect_promise(struct scene *scene, struct bus *bus, bool extra)
{
    const struct promise *promise = &scene->promise;
    struct error error = {{0}};
    struct bus_reader *reader = bus_reader_open(bus, 0, BUS_ALL_TOPICS, &error);
    struct bus_batch batch;
    size_t seen = 0;
    int status;
    while ((status = bus_reader_next(reader, &batch, &error)) == 1) {
        uint64_t number = seen < promise->count ? promise->batches[seen] : promise->refused;
        assert_true(seen < promise->count || (extra && seen == promise->count));
        assert_true(batch.count == BATCH && batch.base_offset == seen * BATCH);
        for (size_t i = 0; i < BATCH; i++)
            assert_true(numbered_equal(&batch.records[i], number * BATCH + i));
        seen++;
    }
    if (status != 0)
        fail_msg("%s", error.text);
    assert_true(seen >= promise->count);
    bus_reader_close(reader);
    uint64_t position = 0;
    assert_int_equal(bus_position(bus, BYTES("r"), &position), seen > 0);
    assert_true(position == promise->position || (extra && position == promise->refused));
}

/* Opens, appends over several segments, truncates nothing away, closes; twice, so that recovery's calls fail, too. */
static void play(struct scene *scene)
{
    struct error error = {{0}};
    for (int round = 0; round < 2; round++) {
        struct bus *bus = scene_open(scene, &scene->fault.env, &error);
        if (!bus) {
            assert_true(error.text[0]);
            continue;
        }
        bool broken = false;
        for (int i = 0; i < APPENDS; i++) {
            bool good = attempt(scene, bus);
            assert_false(good && broken && scene->fault.faults.kind == CALL_SYNC); /* a failed sync closes the log */
            broken = broken || !good;
            uint64_t offset;
            bus_offset_at(bus, 30000, &offset, &error);
        }
        /* What readers see meanwhile is what was acknowledged. */
        if (scene->fault.faults.kind != CALL_PREAD && scene->fault.faults.kind != CALL_OPEN)
            expect_promise(scene, bus, false);
        bus_destroy(bus);
    }
}

static void fail_each(enum call kind, bool for_ever, bool short_write, int number)
{
    uint64_t played = 0;
    for (uint64_t n = 1; n < CALLS_MAX; n++) {
        struct scene scene = {0};
        struct error error = {{0}};
        scratch_make_quick(&scene.scratch);
        fault_env_init(&scene.fault);
        scene.fault.faults.kind = kind;
        scene.fault.faults.fail_at = n;
        scene.fault.faults.for_ever = for_ever;
        scene.fault.faults.short_write = short_write;
        scene.fault.faults.number = number;
        play(&scene);
        bool struck = scene.fault.faults.calls[kind] >= n;
        struct bus *bus = scene_open(&scene, env_system(), &error);
        if (!bus)
            fail_msg("%s call %" PRIu64 ": %s", call_names[kind], n, error.text);
        expect_promise(&scene, bus, for_ever && kind != CALL_SYNC);
        assert_true(attempt(&scene, bus) || for_ever);
        bus_destroy(bus);
        assert_int_equal(bus_log_verify(scene.scratch.path, env_system(), NULL, NULL, NULL, &error), 0);
        scratch_remove(&scene.scratch);
        played += struck;
        if (!struck)
            break;
    }
    assert_true(played > 1 && played < CALLS_MAX - 1);
}

static void test_open_fails(void **state)
{
    (void)state;
    fail_each(CALL_OPEN, false, false, EMFILE);
    fail_each(CALL_OPEN, true, false, EMFILE);
}

static void test_read_fails(void **state)
{
    (void)state;
    fail_each(CALL_PREAD, false, false, EIO);
    fail_each(CALL_PREAD, true, false, EIO);
}

static void test_write_fails(void **state)
{
    (void)state;
    fail_each(CALL_PWRITE, false, false, ENOSPC);
    fail_each(CALL_PWRITE, true, false, ENOSPC);
    fail_each(CALL_PWRITE, false, true, 0);
    fail_each(CALL_PWRITE, true, true, 0); /* each write writes half of what is left */
}

static void test_sync_fails(void **state)
{
    (void)state;
    fail_each(CALL_SYNC, false, false, EIO);
    fail_each(CALL_SYNC, true, false, EIO);
    fail_each(CALL_SYNC_DIRECTORY, false, false, EIO);
    fail_each(CALL_SYNC_DIRECTORY, true, false, EIO);
}

static void test_truncate_fails(void **state)
{
    (void)state;
    fail_each(CALL_TRUNCATE, false, false, EIO);
    fail_each(CALL_TRUNCATE, true, false, EIO);
}

static void test_failed_sync_closes_the_log(void **state)
{
    (void)state;
    struct scene scene = {0};
    struct error error = {{0}};
    scratch_make_quick(&scene.scratch);
    fault_env_init(&scene.fault);
    struct bus *bus = scene_open(&scene, &scene.fault.env, &error);
    assert_non_null(bus);
    assert_true(attempt(&scene, bus));
    scene.fault.faults.kind = CALL_SYNC;
    scene.fault.faults.fail_at = scene.fault.faults.calls[CALL_SYNC] + 1;
    assert_false(attempt(&scene, bus));
    assert_false(attempt(&scene, bus)); /* the disk is well again, the log does not believe it */
    assert_int_equal(bus_append(bus, NULL, 0, &(struct bus_position){BYTES("x"), 1}, &error), -1);
    assert_non_null(strstr(error.text, "opened anew"));
    expect_promise(&scene, bus, false); /* reading goes on */
    bus_destroy(bus);
    bus = scene_open(&scene, &scene.fault.env, &error);
    assert_non_null(bus);
    expect_promise(&scene, bus, false);
    assert_true(attempt(&scene, bus));
    expect_promise(&scene, bus, false);
    bus_destroy(bus);
    scratch_remove(&scene.scratch);
}

static void test_full_disk_is_survived(void **state)
{
    (void)state;
    struct scene scene = {0};
    struct error error = {{0}};
    scratch_make_quick(&scene.scratch);
    fault_env_init(&scene.fault);
    struct bus *bus = scene_open(&scene, &scene.fault.env, &error);
    assert_non_null(bus);
    struct faults *faults = &scene.fault.faults;
    for (int i = 0; i < 20; i++) {
        faults->kind = CALL_PWRITE;
        faults->number = ENOSPC;
        faults->fail_at = i % 3 == 1 ? faults->calls[CALL_PWRITE] + 1 : 0;
        assert_true(attempt(&scene, bus) == (faults->fail_at == 0)); /* goes on when there is room again */
        expect_promise(&scene, bus, false);
    }
    bus_destroy(bus);
    bus = scene_open(&scene, env_system(), &error);
    assert_non_null(bus);
    expect_promise(&scene, bus, false);
    bus_destroy(bus);
    scratch_remove(&scene.scratch);
}

static void test_retention_failures_lose_nothing(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 12; n++)
        for (int kind = CALL_UNLINK; kind <= CALL_SYNC_DIRECTORY; kind++) {
            struct scene scene = {0};
            struct error error = {{0}};
            scratch_make_quick(&scene.scratch);
            fault_env_init(&scene.fault);
            struct bus *bus = scene_open(&scene, &scene.fault.env, &error);
            assert_non_null(bus);
            for (int i = 0; i < APPENDS; i++)
                assert_true(numbered_append(bus, (uint64_t)i * BATCH, BATCH, NULL, &error) == 0);
            scene.fault.faults.kind = (enum call)kind;
            scene.fault.faults.fail_at = scene.fault.faults.calls[kind] + n;
            struct bus_retention half = {.max_bytes = 1, .keep_from = APPENDS * BATCH / 2};
            struct bus_info info;
            bus_truncate(bus, &half, 0, &error);
            for (int look = 0; look < 2; look++) {
                int status;
                bus_info(bus, &info);
                assert_true(info.first_offset <= half.keep_from && info.end_offset == APPENDS * BATCH);
                assert_true(numbered_read(bus, info.first_offset, &status, &error) == info.end_offset);
                assert_int_equal(status, 0);
                bus_destroy(bus);
                bus = scene_open(&scene, env_system(), &error);
                assert_non_null(bus);
            }
            bus_destroy(bus);
            scratch_remove(&scene.scratch);
        }
}

/* ---- kill -9 ---- */

/* Appends batches for ever, and reports each end offset once it is acknowledged. */
static void append_until_killed(const char *directory, uint64_t seed, int report)
{
    struct random random;
    random_seed(&random, seed);
    struct bus_log_options options = {.directory = directory, .segment_bytes = 20000, .compress = seed % 2 == 1};
    struct error error;
    struct bus *bus = bus_log_open(&options, env_system(), &error);
    struct bus_info info;
    if (!bus)
        _exit(1);
    bus_info(bus, &info);
    for (uint64_t end = info.end_offset;;) {
        size_t count = 1 + random_below(&random, 30);
        struct bus_position position = {BYTES("r"), end + count};
        if (numbered_append(bus, end, count, &position, &error) != 0)
            _exit(1);
        end += count;
        if (write(report, &end, sizeof end) != sizeof end)
            _exit(1);
    }
}

static void test_killed_writer(void **state)
{
    (void)state;
    enum { ROUNDS = 25 };
    struct scratch scratch;
    struct random random;
    struct error error = {{0}};
    uint64_t acknowledged = 0;
    scratch_make(&scratch);
    random_seed(&random, 42);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        int report[2];
        assert_int_equal(pipe(report), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            close(report[0]);
            append_until_killed(scratch.path, round, report[1]);
        }
        close(report[1]);
        for (uint64_t left = 1 + random_below(&random, 60); left > 0; left--)
            assert_int_equal(read(report[0], &acknowledged, sizeof acknowledged), sizeof acknowledged);
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        while (read(report[0], &acknowledged, sizeof acknowledged) == sizeof acknowledged)
            ;
        close(report[0]);
        struct bus_log_options options = {.directory = scratch.path, .segment_bytes = 20000};
        struct bus *bus = bus_log_open(&options, env_system(), &error);
        if (!bus)
            fail_msg("%s", error.text);
        struct bus_info info;
        int status;
        uint64_t position = 0;
        bus_info(bus, &info);
        assert_true(info.end_offset >= acknowledged);
        assert_true(numbered_read(bus, 0, &status, &error) == info.end_offset);
        assert_int_equal(status, 0);
        assert_int_equal(bus_position(bus, BYTES("r"), &position), 1);
        assert_true(position == info.end_offset); /* a batch and its position: together or not at all */
        bus_destroy(bus);
    }
    scratch_remove(&scratch);
}

/* ---- the lock ---- */

static void test_one_writer(void **state)
{
    (void)state;
    struct scene scene = {0};
    struct error error = {{0}};
    char pid[32];
    scratch_make_quick(&scene.scratch);
    struct bus *bus = scene_open(&scene, env_system(), &error);
    assert_non_null(bus);
    snprintf(pid, sizeof pid, "process %ld:", (long)getpid());
    assert_null(scene_open(&scene, env_system(), &error));
    assert_non_null(strstr(error.text, pid));
    bus_destroy(bus);
    bus = scene_open(&scene, env_system(), &error);
    assert_non_null(bus);
    bus_destroy(bus);
    scratch_remove(&scene.scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_fails),
        cmocka_unit_test(test_read_fails),
        cmocka_unit_test(test_write_fails),
        cmocka_unit_test(test_sync_fails),
        cmocka_unit_test(test_truncate_fails),
        cmocka_unit_test(test_failed_sync_closes_the_log),
        cmocka_unit_test(test_full_disk_is_survived),
        cmocka_unit_test(test_retention_failures_lose_nothing),
        cmocka_unit_test(test_killed_writer),
        cmocka_unit_test(test_one_writer),
    };
    log_configure(LOG_ERROR, LOG_FORMAT_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
