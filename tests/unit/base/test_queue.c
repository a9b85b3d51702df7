#include "base/queue.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <time.h>

#include <cmocka.h>

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void test_order_and_cap(void **state)
{
    (void)state;
    struct queue *queue = queue_create(3);
    int items[10];
    for (int round = 0; round < 5; round++) { /* around the ring */
        for (int i = 0; i < 3; i++)
            assert_true(queue_push(queue, &items[i], 0));
        assert_false(queue_push(queue, &items[3], 0));
        assert_int_equal(queue_count(queue), 3);
        assert_ptr_equal(queue_pop(queue, 0), &items[0]);
        assert_true(queue_push(queue, &items[3], 0));
        for (int i = 1; i < 4; i++)
            assert_ptr_equal(queue_pop(queue, 0), &items[i]);
        assert_null(queue_pop(queue, 0));
    }
    queue_destroy(queue);
    queue_destroy(NULL);
}

/* A wait ends no earlier than said. */
static void test_timeout(void **state)
{
    (void)state;
    struct queue *queue = queue_create(1);
    int64_t start = now_us();
    assert_null(queue_pop(queue, 20000));
    assert_true(now_us() - start >= 20000);
    int item;
    assert_true(queue_push(queue, &item, 20000));
    start = now_us();
    assert_false(queue_push(queue, &item, 20000));
    assert_true(now_us() - start >= 20000);
    queue_destroy(queue);
}

static void test_close_drains(void **state)
{
    (void)state;
    struct queue *queue = queue_create(4);
    int items[2];
    queue_push(queue, &items[0], 0);
    queue_push(queue, &items[1], 0);
    assert_false(queue_is_closed(queue));
    queue_close(queue);
    queue_close(queue);
    assert_true(queue_is_closed(queue));
    assert_false(queue_push(queue, &items[0], -1));
    assert_ptr_equal(queue_pop(queue, -1), &items[0]);
    assert_ptr_equal(queue_pop(queue, -1), &items[1]);
    assert_null(queue_pop(queue, -1));
    queue_destroy(queue);
}

/* ---- threads ---- */

enum { PRODUCERS = 3, CONSUMERS = 3, EACH = 20000 };

struct shared {
    struct queue *queue;
    _Atomic int started;
    _Atomic unsigned char seen[PRODUCERS * EACH + 1];
    _Atomic int wrong;
};

struct producer {
    struct shared *shared;
    uintptr_t number;
};

static void *produce(void *context)
{
    struct producer *producer = context;
    for (uintptr_t i = 0; i < EACH; i++)
        if (!queue_push(producer->shared->queue, (void *)(producer->number * EACH + i + 1), -1))
            atomic_fetch_add(&producer->shared->wrong, 1);
    return NULL;
}

static void *consume(void *context)
{
    struct shared *shared = context;
    uintptr_t last[PRODUCERS] = {0};
    for (void *item; (item = queue_pop(shared->queue, -1));) {
        uintptr_t number = (uintptr_t)item - 1;
        if (number / EACH >= PRODUCERS || (last[number / EACH] > 0 && last[number / EACH] >= number + 1))
            atomic_fetch_add(&shared->wrong, 1); /* one consumer sees each producer's items in order */
        else
            last[number / EACH] = number + 1;
        atomic_fetch_add(&shared->seen[number + 1], 1);
    }
    return NULL;
}

/* Every item arrives once, through a queue that is mostly full or mostly empty. */
static void test_many_threads(void **state)
{
    (void)state;
    static struct shared shared;
    shared.queue = queue_create(5);
    pthread_t producers[PRODUCERS], consumers[CONSUMERS];
    struct producer numbers[PRODUCERS];
    for (size_t i = 0; i < CONSUMERS; i++)
        assert_int_equal(pthread_create(&consumers[i], NULL, consume, &shared), 0);
    for (size_t i = 0; i < PRODUCERS; i++) {
        numbers[i] = (struct producer){&shared, i};
        assert_int_equal(pthread_create(&producers[i], NULL, produce, &numbers[i]), 0);
    }
    for (size_t i = 0; i < PRODUCERS; i++)
        pthread_join(producers[i], NULL);
    queue_close(shared.queue);
    for (size_t i = 0; i < CONSUMERS; i++)
        pthread_join(consumers[i], NULL);
    assert_int_equal(shared.wrong, 0);
    for (size_t i = 1; i <= PRODUCERS * EACH; i++)
        assert_int_equal(shared.seen[i], 1);
    queue_destroy(shared.queue);
}

static void *push_for_ever(void *context)
{
    struct shared *shared = context;
    int item;
    atomic_fetch_add(&shared->started, 1);
    while (queue_push(shared->queue, &item, -1))
        continue;
    return NULL;
}

static void *pop_for_ever(void *context)
{
    struct shared *shared = context;
    atomic_fetch_add(&shared->started, 1);
    while (queue_pop(shared->queue, -1))
        continue;
    return NULL;
}

/* Closing ends every wait, for room and for items. */
static void close_wakes(void *(*wait)(void *))
{
    struct shared *shared = calloc(1, sizeof *shared);
    assert_non_null(shared);
    shared->queue = queue_create(1);
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, wait, shared), 0);
    while (atomic_load(&shared->started) < 4)
        sched_yield();
    queue_close(shared->queue);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    queue_destroy(shared->queue);
    free(shared);
}

static void test_close_wakes(void **state)
{
    (void)state;
    close_wakes(push_for_ever);
    close_wakes(pop_for_ever);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_cap), cmocka_unit_test(test_timeout),     cmocka_unit_test(test_close_drains),
        cmocka_unit_test(test_many_threads),  cmocka_unit_test(test_close_wakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
