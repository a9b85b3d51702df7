/* EventSub with memory that runs out at every place: a source is not made and says so, or a session goes on; nothing crashes,
 * nothing vanishes uncounted (the ledger is asserted inside), nothing leaks. */
#include "source/twitch_eventsub.h"

#include "support/failing_alloc.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define START_US ((int64_t)1790000000000000)
#define TEXT(id, kind, payload)                                                                                                  \
    "{\"metadata\":{\"message_id\":\"" id "\",\"message_type\":\"" kind                                                          \
    "\",\"message_timestamp\":\"2026-09-21T14:13:20.123Z\"},\"payload\":" payload "}"
#define WELCOME(id)                                                                                                              \
    TEXT(id, "session_welcome", "{\"session\":{\"id\":\"" id "\",\"keepalive_timeout_seconds\":600,\"reconnect_url\":null}}")
#define SAID(id)                                                                                                                 \
    TEXT(id, "notification",                                                                                                     \
         "{\"subscription\":{\"type\":\"channel.chat.message\"},\"event\":{\"broadcaster_user_login\":\"room\","                 \
         "\"chatter_user_login\":\"ann\",\"message_id\":\"" id "\",\"badges\":[{\"set_id\":\"vip\",\"id\":\"1\"}],"              \
         "\"message\":{\"text\":\"Kappa\",\"fragments\":[{\"text\":\"Kappa\",\"emote\":{\"id\":\"25\"}}]}}}")

static const char validated[] =
    "{\"client_id\":\"app\",\"user_id\":\"42\",\"scopes\":[\"user:read:chat\"],\"expires_in\":9999999}";
static const char users[] = "{\"data\":[{\"id\":\"7\",\"login\":\"room\"}]}";
static const char *const frames[] = {
    WELCOME("w1"),
    SAID("m1"),
    SAID("m2"),
    TEXT("r1", "session_reconnect", "{\"session\":{\"id\":\"w1\",\"reconnect_url\":\"wss://x/y\"}}"),
    WELCOME("w2"),
    SAID("m3"),
    TEXT("d1", "notification",
         "{\"subscription\":{\"type\":\"channel.chat.message_delete\"},\"event\":{\"broadcaster_user_login\":\"room\","
         "\"target_user_login\":\"ann\",\"message_id\":\"m3\"}}"),
};

/* What a driver knows. */
struct drive {
    struct source *source;
    struct source_output output;
    int64_t now_us;
    uint32_t connection;
};

static void settle(struct drive *drive);

static void give(struct drive *drive, struct source_input input)
{
    drive->now_us += SECOND_US;
    input.now_us = drive->now_us;
    source_read(drive->source, &input, 1, &drive->output);
    settle(drive);
}

static void settle(struct drive *drive)
{
    struct source_action actions[SOURCE_ACTION_MAX];
    size_t count = drive->output.action_count;
    memcpy(actions, drive->output.actions, sizeof actions);
    source_output_reset(&drive->output);
    for (size_t i = 0; i < count; i++) {
        if (actions[i].kind == SOURCE_OPEN) {
            drive->connection = actions[i].connection;
            give(drive, (struct source_input){.kind = SOURCE_OPENED, .connection = drive->connection});
        } else if (actions[i].kind == SOURCE_REQUEST) {
            bool post = actions[i].method[0] == 'P';
            bool first = memmem(actions[i].text.at, actions[i].text.length, "validate", 8) != NULL;
            give(drive, (struct source_input){.kind = SOURCE_RESPONSE,
                                              .connection = actions[i].connection,
                                              .status = post ? 202 : 200,
                                              .retry_after_us = -1,
                                              .frame = bytes_of_string(post    ? "{}"
                                                                       : first ? validated
                                                                               : users)});
        }
    }
}

static void play(struct source *source)
{
    struct drive drive = {.source = source, .output = {.batch = event_batch_create(1)}, .now_us = START_US};
    if (!drive.output.batch)
        return;
    source_output_reset(&drive.output);
    source_connect(source, START_US, &drive.output);
    settle(&drive);
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        give(&drive,
             (struct source_input){.kind = SOURCE_FRAME, .connection = drive.connection, .frame = bytes_of_string(frames[i])});
        give(&drive, (struct source_input){.kind = SOURCE_TICK});
        event_batch_reset(drive.output.batch);
    }
    source_error(source, drive.connection, 4000, BYTES("gone"), drive.now_us, &drive.output);
    settle(&drive);
    source_close(source, drive.now_us, &drive.output);
    event_batch_destroy(drive.output.batch);
}

static void test_every_allocation(void **state)
{
    (void)state;
    struct source_options options = {
        .kind = BYTES("twitch-eventsub"), .argument = BYTES("room"), .base_url = BYTES(""), .token = BYTES("sesame"), .seed = 1};
    for (unsigned lasting = 0; lasting < 2; lasting++)
        for (size_t nth = 1;; nth++) {
            struct error error = {""};
            failing_alloc_arm(nth, lasting);
            struct source *source = source_create_of(&source_twitch_eventsub, &options, &error);
            if (source)
                play(source);
            uint64_t events = source ? source_statistics(source)->events : 0;
            source_destroy(source);
            bool struck = failing_alloc_disarm();
            assert_true(source || error.text[0] != '\0');
            if (!struck) {
                assert_true(nth > 10);
                assert_int_equal(events, 4);
                break;
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_allocation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
