/* The loop: timers in order, wake-ups from other threads, stop from a signal handler. */
#include "unit/net/net_test.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

static char order[16];
static struct net_timer *timers[4];

static void on_time(void *context)
{
    strncat(order, context, 1);
    if (*(const char *)context == 'x') { /* destroys itself */
        net_timer_destroy(timers[3]);
        timers[3] = NULL;
    }
}

static void test_timers(void **state)
{
    (void)state;
    struct net_loop *loop = make_loop(NULL);
    static char names[] = "abcx";
    for (int i = 0; i < 4; i++)
        timers[i] = net_timer_create(loop, on_time, &names[i]);
    int64_t start_us = now_us();
    net_timer_set(timers[0], start_us + 30000);
    net_timer_set(timers[1], start_us + 10000);
    net_timer_set(timers[2], start_us + 20000);
    net_timer_set(timers[3], start_us);  /* in the past: at once */
    net_timer_set(timers[2], INT64_MAX); /* not at all */
    WAIT_FOR(loop, strlen(order) == 3);
    assert_string_equal(order, "xba");
    assert_true(now_us() >= start_us + 30000);
    net_timer_set(timers[0], now_us() + 60000000);
    net_timer_set(timers[0], now_us()); /* moved */
    WAIT_FOR(loop, strlen(order) == 4);
    assert_string_equal(order, "xbaa");
    net_timer_set(timers[1], now_us() + 5000);
    net_timer_destroy(timers[1]); /* and never called */
    int64_t later_us = now_us() + 20000;
    WAIT_FOR(loop, now_us() > later_us);
    assert_string_equal(order, "xbaa");
    net_timer_destroy(timers[0]);
    net_timer_destroy(timers[2]);
    net_timer_destroy(NULL);
    net_loop_destroy(loop);
}

struct waker {
    struct net_loop *loop;
    atomic_int sent;
    int seen_up_to; /* of the loop's thread */
    int calls;
};
enum { WAKES = 20000 };

static void on_wake(void *context)
{
    struct waker *waker = context;
    waker->calls++;
    waker->seen_up_to = atomic_load(&waker->sent);
    if (waker->seen_up_to == 2 * WAKES)
        net_loop_stop(waker->loop);
}

static void *run_waker(void *context)
{
    struct waker *waker = context;
    for (int i = 0; i < WAKES; i++) {
        atomic_fetch_add(&waker->sent, 1);
        net_loop_wake(waker->loop);
    }
    return NULL;
}

/* After the last wake-up the loop's thread has seen all that was done before it: none is lost. */
static void test_wake_ups(void **state)
{
    (void)state;
    struct waker waker = {.loop = make_loop(NULL)};
    net_loop_on_wake(waker.loop, on_wake, &waker);
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_waker, &waker), 0);
    net_loop_run(waker.loop);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(waker.seen_up_to, 2 * WAKES);
    assert_true(waker.calls >= 1);
    net_loop_destroy(waker.loop);
}

static struct net_loop *signalled;

static void on_signal(int number)
{
    (void)number;
    net_loop_stop(signalled); /* NOLINT(bugprone-signal-handler): that it may be called there is what is tested */
}

static void raise_alarm(void *context)
{
    (void)context;
    raise(SIGUSR1);
}

static void test_stop_from_a_signal(void **state)
{
    (void)state;
    signalled = make_loop(NULL);
    signal(SIGUSR1, on_signal);
    struct net_timer *timer = net_timer_create(signalled, raise_alarm, NULL);
    net_timer_set(timer, now_us() + 1000);
    net_loop_run(signalled);
    /* Stopped before it runs: returns at once, and runs again the next time. */
    net_loop_stop(signalled);
    net_loop_run(signalled);
    net_timer_set(timer, now_us() + 1000);
    net_loop_run(signalled);
    signal(SIGUSR1, SIG_DFL);
    net_timer_destroy(timer);
    net_loop_destroy(signalled);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_timers), cmocka_unit_test(test_wake_ups),
                                       cmocka_unit_test(test_stop_from_a_signal)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
