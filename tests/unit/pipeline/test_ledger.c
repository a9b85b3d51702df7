/* The ledger adds up at every moment, whatever order the stages count in. */
#include "pipeline/ledger.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_counts_follow(void **state)
{
    (void)state;
    struct ledger ledger;
    ledger_init(&ledger);
    int source = ledger_stage_add(&ledger, "source:x");
    int log = ledger_stage_add(&ledger, "log");
    ledger_set(&ledger, source, &(struct ledger_counts){.in = 5, .created = 1, .out = 4, .rejected = 1, .duplicate = 1});
    ledger_enter(&ledger, log, 4);
    ledger_leave(&ledger, log, 3);
    ledger_retract(&ledger, log, 1);
    struct ledger_stage stages[LEDGER_STAGE_MAX];
    assert_int_equal(ledger_snapshot(&ledger, stages), 2);
    assert_string_equal(stages[1].name, "log");
    assert_int_equal(stages[1].counts.in, 3);
    assert_int_equal(stages[1].counts.out, 3);
    assert_int_equal(stages[1].counts.pending, 0);
    assert_true(ledger_balances(&stages[0].counts));
    assert_true(ledger_balances(&stages[1].counts));
    stages[0].counts.rejected++;
    assert_false(ledger_balances(&stages[0].counts));
    ledger_release(&ledger);
}

static void test_too_many_stages(void **state)
{
    (void)state;
    struct ledger ledger;
    ledger_init(&ledger);
    for (int i = 0; i < LEDGER_STAGE_MAX; i++)
        assert_int_equal(ledger_stage_add(&ledger, "s"), i);
    assert_int_equal(ledger_stage_add(&ledger, "s"), -1);
    ledger_release(&ledger);
}

static void *pass_records(void *context)
{
    struct ledger *ledger = context;
    for (int i = 0; i < 20000; i++) {
        ledger_enter(ledger, 0, 7);
        ledger_leave(ledger, 0, 7);
    }
    return NULL;
}

static void test_snapshots_add_up_while_it_runs(void **state)
{
    (void)state;
    struct ledger ledger;
    ledger_init(&ledger);
    ledger_stage_add(&ledger, "log");
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, pass_records, &ledger), 0);
    for (int i = 0; i < 2000; i++) {
        struct ledger_stage stage[LEDGER_STAGE_MAX];
        ledger_snapshot(&ledger, stage);
        assert_true(ledger_balances(&stage[0].counts));
    }
    pthread_join(thread, NULL);
    ledger_release(&ledger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_follow),
        cmocka_unit_test(test_too_many_stages),
        cmocka_unit_test(test_snapshots_add_up_while_it_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
