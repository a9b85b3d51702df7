/* Twitch chat with memory that runs out at every place: a source is not made and says so, or a session goes on; nothing
 * crashes, nothing vanishes uncounted (the ledger is asserted inside), nothing leaks. */
#include "source/twitch_irc.h"

#include "support/failing_alloc.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define START_US ((int64_t)1790000000000000)
#define MESSAGE(id)                                                                                                              \
    "@display-name=A\\sB;emotes=25:0-1;id=" id ";tmi-sent-ts=1790000000000 :ann!ann@ann PRIVMSG #room :hi there\r\n"

static const struct {
    enum source_input_kind kind;
    uint32_t connection;
    const char *frame;
} script[] = {
    {SOURCE_OPENED, 1, ""},
    {SOURCE_FRAME, 1, ":tmi.twitch.tv 001 me :hi\r\nPING :x\r\n"},
    {SOURCE_FRAME, 1, "@r9k=0;slow=0;subs-only=0 :tmi.twitch.tv ROOMSTATE #room\r\n"},
    {SOURCE_FRAME, 1, MESSAGE("1") MESSAGE("2") "@id=3;tmi-sent-"},
    {SOURCE_FRAME, 1, "ts=1790000000000 :ann!ann@ann PRIV"},
    {SOURCE_FRAME, 1, "MSG #room :split\r\n:tmi.twitch.tv RECONNECT\r\n"},
    {SOURCE_OPENED, 2, ""},
    {SOURCE_FRAME, 2, ":tmi.twitch.tv 001 me :hi\r\n"},
    {SOURCE_FRAME, 2, "@r9k=0;slow=0;subs-only=0 :tmi.twitch.tv ROOMSTATE #room\r\n" MESSAGE("2") MESSAGE("4")},
    {SOURCE_TICK, 0, ""},
    {SOURCE_FRAME, 2, "@tmi-sent-ts=1790000000000 :tmi.twitch.tv CLEARCHAT #room :ann\r\n"},
    {SOURCE_TICK, 0, ""},
};

static void play(struct source *source)
{
    struct source_output output = {.batch = event_batch_create(1)};
    if (!output.batch)
        return;
    source_output_reset(&output);
    source_connect(source, START_US, &output);
    for (size_t i = 0; i < sizeof script / sizeof *script; i++) {
        struct source_input input = {.kind = script[i].kind,
                                     .connection = script[i].connection,
                                     .now_us = START_US + (int64_t)i * 5 * SECOND_US,
                                     .frame = bytes_of_string(script[i].frame)};
        source_read(source, &input, 1, &output);
        assert_int_equal(output.batch->count <= source_statistics(source)->events, true);
        event_batch_reset(output.batch);
        source_output_reset(&output);
    }
    source_error(source, 2, 1006, BYTES("gone"), START_US + 100 * SECOND_US, &output);
    source_close(source, START_US + 101 * SECOND_US, &output);
    event_batch_destroy(output.batch);
}

static void test_every_allocation(void **state)
{
    (void)state;
    struct source_options options = {
        .kind = BYTES("twitch-irc"), .argument = BYTES("room,other"), .login = BYTES("me"), .token = BYTES("sesame"), .seed = 1};
    for (unsigned lasting = 0; lasting < 2; lasting++)
        for (size_t nth = 1;; nth++) {
            struct error error = {""};
            failing_alloc_arm(nth, lasting);
            struct source *source = source_create_of(&source_twitch_irc, &options, &error);
            if (source)
                play(source);
            source_destroy(source);
            bool struck = failing_alloc_disarm();
            assert_true(source || error.text[0] != '\0');
            if (!struck) {
                assert_true(nth > 10);
                break;
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_allocation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
