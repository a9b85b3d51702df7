/* The registry, and the fault decorator. */
#include "unit/source/source_test.h"

#include <math.h>

static void assert_refused(const char *spec, const char *part)
{
    struct source_options options = {.rate = 0};
    source_spec_split(bytes_of_string(spec), &options.kind, &options.argument);
    struct error error = {""};
    assert_null(source_create(&options, &error));
    if (!strstr(error.text, part))
        fail_msg("\"%s\" does not contain \"%s\"", error.text, part);
}

static void test_spec_is_split_at_the_first_colon(void **state)
{
    (void)state;
    struct bytes kind, argument;
    source_spec_split(BYTES("jsonl:C:\\a"), &kind, &argument);
    assert_bytes(kind, "jsonl");
    assert_bytes(argument, "C:\\a");
    source_spec_split(BYTES("binance"), &kind, &argument);
    assert_bytes(kind, "binance");
    assert_int_equal(argument.length, 0);
    source_spec_split(BYTES(""), &kind, &argument);
    assert_int_equal(kind.length + argument.length, 0);
}

static void test_unknown_kinds_are_explained(void **state)
{
    (void)state;
    assert_refused("binanc:BTC-USDT", "did you mean binance?");
    assert_refused("simulated:markt", "did you mean simulated:market?");
    assert_refused("simulatd:chat", "did you mean simulated:chat?");
    assert_refused("record:x", "recording:FILE");
    assert_refused("zzzzzzzzzzzzzz:x", "unknown source \"zzzzzzzzzzzzzz:x\": there are binance");
    assert_refused("", "unknown source \"\"");
    assert_refused("simulated:market/", "a number from 1 to");
    assert_refused("simulated:market/0", "a number from 1 to");
    assert_refused("simulated:market/99999999999999999999", "a number from 1 to");
    assert_refused("simulated:chat/-1", "a number from 1 to");
    assert_refused("recording:", "recording:FILE");
}

static void test_wrong_rates_are_refused(void **state)
{
    (void)state;
    const double rates[] = {-1, 1000001, (double)INFINITY, (double)NAN};
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        struct source_options options = {.kind = BYTES("simulated"), .argument = BYTES("chat"), .rate = rates[i]};
        assert_null(source_create(&options, NULL));
    }
}

static void test_kinds_can_be_made(void **state)
{
    (void)state;
    size_t count;
    const struct source_kind_info *kinds = source_kinds(&count);
    assert_true(count >= 5);
    for (size_t i = 0; i < count; i++)
        assert_true(*kinds[i].kind && *kinds[i].argument && *kinds[i].summary);
    assert_int_equal(source_kinds(&count), kinds);
}

static void test_options_are_copied(void **state)
{
    (void)state;
    char argument[] = "events.jsonl";
    struct source_options options = {.kind = BYTES("jsonl"), .argument = bytes_of_string(argument)};
    struct source *source = source_create(&options, NULL);
    assert_non_null(source);
    memset(argument, 'x', sizeof argument - 1);
    assert_string_equal(source_name(source), "jsonl:events.jsonl");
    assert_bytes(source_kind(source), "jsonl");
    source_destroy(source);
    source_destroy(NULL);
}

static void test_actions_are_bounded(void **state)
{
    (void)state;
    struct source_rig rig = rig_of(&(struct source_options){0}, "jsonl:x");
    for (uint32_t i = 1; i <= SOURCE_ACTION_MAX; i++)
        assert_int_equal(source_open_connection(rig.source, &rig.output, BYTES("ws://x")), i);
    assert_int_equal(source_open_connection(rig.source, &rig.output, BYTES("ws://x")), 0);
    assert_false(source_send(&rig.output, 1, BYTES("x")));
    assert_true(source_close_connection(&rig.output, 0));
    rig_release(&rig);
}

static void test_kept_rejects_are_bounded(void **state)
{
    (void)state;
    struct source_rig rig = rig_of(&(struct source_options){0}, "jsonl:x");
    struct source_input inputs[SOURCE_REJECT_KEPT + 10];
    enum { COUNT = sizeof inputs / sizeof *inputs };
    for (size_t i = 0; i < COUNT; i++)
        inputs[i] = (struct source_input){.kind = SOURCE_FRAME, .frame = BYTES("{")};
    source_read(rig.source, inputs, COUNT, &rig.output);
    assert_int_equal(rig.output.reject_count, SOURCE_REJECT_KEPT);
    assert_int_equal(rig.output.rejects[3].input, 3);
    assert_int_equal(source_statistics(rig.source)->rejected_by[REJECT_MALFORMED_JSON], COUNT);
    rig_release(&rig);
}

static void test_faults_are_injected(void **state)
{
    (void)state;
    struct source_faults faults = {.fail_every = 3, .delay_us = 500};
    struct source_rig rig = rig_of(&(struct source_options){0}, "jsonl:x");
    rig.source = source_faulty_create(rig.source, &faults);
    rig_connect(&rig, TEST_START_US);
    assert_int_equal(source_statistics(rig.source)->since_us, TEST_START_US + 500);
    rig_input(&rig, SOURCE_OPENED, BYTES(""), TEST_START_US);
    rig_input(&rig, SOURCE_FRAME, BYTES("{"), TEST_START_US);
    assert_int_equal(source_statistics(rig.source)->state, SOURCE_LIVE);
    rig_input(&rig, SOURCE_FRAME, BYTES("{"), TEST_START_US);
    assert_int_equal(source_statistics(rig.source)->state, SOURCE_FAILED);
    assert_string_equal(source_last_error(rig.source), "injected fault");
    assert_int_equal(source_statistics(rig.source)->frames, 1);
    assert_int_equal(faults.failures, 1);
    rig_release(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spec_is_split_at_the_first_colon),
        cmocka_unit_test(test_unknown_kinds_are_explained),
        cmocka_unit_test(test_wrong_rates_are_refused),
        cmocka_unit_test(test_kinds_can_be_made),
        cmocka_unit_test(test_options_are_copied),
        cmocka_unit_test(test_actions_are_bounded),
        cmocka_unit_test(test_kept_rejects_are_bounded),
        cmocka_unit_test(test_faults_are_injected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
