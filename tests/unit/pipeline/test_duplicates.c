/* A message that two chat sources bring is let through once; everything else passes. */
#include "pipeline/duplicates.h"
#include "pipeline/ledger.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void add(struct event_batch *batch, enum event_source source, enum event_kind kind, const char *id)
{
    struct event *event = event_batch_add(batch);
    event->source = source;
    event->kind = kind;
    event->id = bytes_of_string(id);
}

static void test_each_message_once(void **state)
{
    (void)state;
    struct duplicates *duplicates = duplicates_create();
    struct event_batch *batch = event_batch_create(8);
    add(batch, EVENT_TWITCH, EVENT_MESSAGE, "twitch:a");
    add(batch, EVENT_MARKET, EVENT_TRADE, "binance:X:trade:1");
    add(batch, EVENT_TWITCH, EVENT_MESSAGE, "twitch:a");
    add(batch, EVENT_TWITCH, EVENT_MESSAGE, "twitch:b");
    assert_int_equal(duplicates_remove(duplicates, batch, 1000000), 1);
    assert_int_equal(batch->count, 3);
    assert_string_equal(batch->events[2].id.at, "twitch:b");
    event_batch_reset(batch);
    add(batch, EVENT_MARKET, EVENT_TRADE, "binance:X:trade:1"); /* not this stage's business */
    add(batch, EVENT_TWITCH, EVENT_MESSAGE, "twitch:b");
    add(batch, EVENT_TWITCH, EVENT_GAP, "twitch:gap");
    add(batch, EVENT_TWITCH, EVENT_GAP, "twitch:gap"); /* each source's own absence */
    assert_int_equal(duplicates_remove(duplicates, batch, 2000000), 1);
    assert_int_equal(batch->count, 3);
    event_batch_destroy(batch);
    duplicates_destroy(duplicates);
}

static void test_they_are_counted(void **state)
{
    (void)state;
    struct ledger ledger;
    ledger_init(&ledger);
    int stage = ledger_stage_add(&ledger, "log");
    ledger_enter(&ledger, stage, 5);
    ledger_duplicate(&ledger, stage, 2);
    ledger_leave(&ledger, stage, 3);
    struct ledger_stage stages[LEDGER_STAGE_MAX];
    ledger_snapshot(&ledger, stages);
    assert_int_equal(stages[0].counts.duplicate, 2);
    assert_true(ledger_balances(&stages[0].counts));
    ledger_release(&ledger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_message_once), cmocka_unit_test(test_they_are_counted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
