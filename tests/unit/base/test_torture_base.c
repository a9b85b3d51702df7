/* The base room when memory runs out. */
#include "base/arena.h"
#include "base/buffer.h"
#include "base/lines.h"
#include "base/logging.h"
#include "base/map.h"
#include "base/queue.h"
#include "support/failing_alloc.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static bool attempt_arena(void *context)
{
    (void)context;
    struct arena arena;
    arena_init(&arena, 16 << 20);
    bool well = true;
    for (size_t i = 0; i < 100; i++) {
        char *at = i % 2 ? arena_alloc(&arena, 3000) : arena_text(&arena, 3000);
        if (at)
            memset(at, 1, 3000);
        well = well && at;
    }
    well = arena_copy(&arena, BYTES("copied")).at && well;
    arena_reset(&arena); /* an arena that failed once works on */
    well = arena_alloc(&arena, 200000) && well;
    arena_release(&arena);
    return well;
}

static bool attempt_buffer(void *context)
{
    (void)context;
    struct buffer buffer;
    buffer_init(&buffer, 1 << 20);
    for (int i = 0; i < 1000; i++) {
        buffer_json_string(&buffer, BYTES("text \n"));
        buffer_printf(&buffer, "%d", i);
        buffer_byte(&buffer, ',');
    }
    bool well = !buffer.failed;
    assert_true(!well || buffer.length == 1000 * 9 + 2890 + 1000);
    buffer_reset(&buffer);
    buffer_append(&buffer, BYTES("again"));
    well = well && !buffer.failed;
    buffer_release(&buffer);
    return well;
}

/* What was put stays, what could not be put is not there. */
static bool attempt_map(void *context)
{
    (void)context;
    enum { KEYS = 300 };
    struct map map;
    map_init(&map, 1000);
    bool put[KEYS], well = true;
    for (uint64_t i = 0; i < KEYS; i++) {
        bool added;
        uint64_t *place = map_put(&map, bytes_of((const char *)&i, sizeof i), &added);
        put[i] = place != NULL;
        assert_int_equal(added, put[i]);
        if (place)
            *place = i;
        well = well && place;
    }
    for (uint64_t i = 0; i < KEYS; i++) {
        uint64_t *place = map_find(&map, bytes_of((const char *)&i, sizeof i));
        assert_int_equal(place != NULL, put[i]);
        assert_true(!place || *place == i);
    }
    map_release(&map);
    return well;
}

static bool attempt_queue(void *context)
{
    (void)context;
    struct queue *queue = queue_create(100);
    queue_destroy(queue);
    return queue != NULL;
}

static bool attempt_lines(void *context)
{
    (void)context;
    struct lines lines;
    struct error error = {""};
    int result = lines_init(&lines, 0, 1000, &error);
    assert_true(result == 0 || strstr(error.text, "out of memory"));
    lines_release(&lines);
    return result == 0;
}

static bool attempt_log(void *context)
{
    (void)context;
    for (int i = 0; i < 3; i++)
        log_event(LOG_INFO, "memory", "no memory left for %s", "anything");
    log_flush();
    return true;
}

static void test_each(void **state)
{
    (void)state;
    assert_true(failing_alloc_each(attempt_arena, NULL) >= 5);
    assert_true(failing_alloc_each(attempt_buffer, NULL) >= 5);
    assert_true(failing_alloc_each(attempt_map, NULL) >= 5);
    assert_int_equal(failing_alloc_each(attempt_queue, NULL), 1);
    assert_int_equal(failing_alloc_each(attempt_lines, NULL), 1);
    assert_int_equal(failing_alloc_each(attempt_log, NULL), 0); /* a log line needs no memory */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
