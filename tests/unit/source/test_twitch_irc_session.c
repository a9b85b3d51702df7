/* Twitch chat, the life of connections and channels: login, joining, silence, reconnecting, gaps. */
#include "source/twitch_irc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define START_US ((int64_t)1790000000000000)
#define CAPABILITIES "CAP REQ :twitch.tv/tags twitch.tv/commands\r\n"
#define WELCOME ":tmi.twitch.tv 001 me :Welcome, GLHF!\r\n"
#define ROOMSTATE(room)                                                                                                          \
    "@emote-only=0;followers-only=-1;r9k=0;room-id=7;slow=0;subs-only=0 :tmi.twitch.tv ROOMSTATE #" room "\r\n"
#define MESSAGE(id, room) "@id=" id ";tmi-sent-ts=1790000000000 :ann!ann@ann.tmi.twitch.tv PRIVMSG #" room " :hi\r\n"
#define NOTICE(id, room) "@msg-id=" id " :tmi.twitch.tv NOTICE #" room " :so it is\r\n"

static struct source_output output;

static int set_up(void **state)
{
    (void)state;
    output.batch = event_batch_create(4);
    source_output_reset(&output);
    return output.batch ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    event_batch_destroy(output.batch);
    return 0;
}

static struct source *make_with(struct source_options options, struct error *error)
{
    options.kind = BYTES("twitch-irc");
    options.seed = 1;
    return source_create_of(&source_twitch_irc, &options, error);
}

static struct source *make(const char *channels)
{
    struct error error = {""};
    struct source *source = make_with((struct source_options){.argument = bytes_of_string(channels)}, &error);
    if (!source)
        fail_msg("%s", error.text);
    return source;
}

static void forget_output(void)
{
    event_batch_reset(output.batch);
    source_output_reset(&output);
}

static void give(struct source *source, enum source_input_kind kind, uint32_t connection, int64_t now_us, const char *frame)
{
    struct source_input input = {.kind = kind, .connection = connection, .now_us = now_us, .frame = bytes_of_string(frame)};
    forget_output();
    source_read(source, &input, 1, &output);
}

static void frame(struct source *source, uint32_t connection, int64_t now_us, const char *text)
{
    give(source, SOURCE_FRAME, connection, now_us, text);
}

static void tick(struct source *source, int64_t now_us)
{
    give(source, SOURCE_TICK, 0, now_us, "");
}

static void lose(struct source *source, uint32_t connection, int64_t now_us)
{
    forget_output();
    source_error(source, connection, 1006, BYTES("gone"), now_us, &output);
}

static void assert_action(size_t index, enum source_action_kind kind, uint32_t connection, const char *text)
{
    if (index >= output.action_count)
        fail_msg("%zu actions, and not: %s", output.action_count, text);
    const struct source_action *action = &output.actions[index];
    if (action->kind != kind || action->connection != connection || !bytes_equal(action->text, bytes_of_string(text)))
        fail_msg("action %zu: %d %u \"%.*s\" instead of %d %u \"%s\"", index, (int)action->kind, action->connection,
                 BYTES_ARG(action->text), (int)kind, connection, text);
}

static const struct event *only_event(enum event_kind kind, const char *channel)
{
    assert_int_equal(output.batch->count, 1);
    const struct event *event = &output.batch->events[0];
    assert_int_equal(event->kind, kind);
    assert_true(bytes_equal(event->chat.channel, bytes_of_string(channel)));
    return event;
}

static enum source_state state_of(const struct source *source)
{
    return source_statistics(source)->state;
}

/* Connected and logged in; what is to be joined has been asked for. */
static struct source *make_welcome(const char *channels)
{
    struct source *source = make(channels);
    forget_output();
    source_connect(source, START_US, &output);
    assert_action(0, SOURCE_OPEN, 1, "wss://irc-ws.chat.twitch.tv:443");
    give(source, SOURCE_OPENED, 1, START_US, "");
    frame(source, 1, START_US, WELCOME);
    return source;
}

/* One channel, joined. */
static struct source *make_joined(void)
{
    struct source *source = make_welcome("room");
    assert_action(0, SOURCE_SEND, 1, "JOIN #room\r\n");
    frame(source, 1, START_US, ROOMSTATE("room"));
    only_event(EVENT_ROOM_STATE, "room");
    return source;
}

/* ---- login ---- */

static void test_anonymous_login(void **state)
{
    (void)state;
    struct source *source = make("Room, #other");
    forget_output();
    source_connect(source, START_US, &output);
    assert_int_equal(state_of(source), SOURCE_CONNECTING);
    give(source, SOURCE_OPENED, 1, START_US, "");
    assert_int_equal(state_of(source), SOURCE_LIVE);
    assert_int_equal(output.action_count, 3);
    assert_action(0, SOURCE_SEND, 1, CAPABILITIES);
    assert_action(1, SOURCE_SEND, 1, "PASS anonymous\r\n");
    char name[64];
    snprintf(name, sizeof name, "%.*s", BYTES_ARG(output.actions[2].text));
    struct bytes start = BYTES("NICK justinfan"), digits = bytes_skip(bytes_trim(output.actions[2].text), start.length);
    uint64_t guest;
    assert_true(bytes_start_with(output.actions[2].text, start) && bytes_to_u64(digits, &guest));
    frame(source, 1, START_US, ":tmi.twitch.tv 433 * me :Nickname is already in use\r\n");
    assert_int_equal(output.action_count, 1);
    assert_true(bytes_start_with(output.actions[0].text, BYTES("NICK justinfan")));
    assert_false(bytes_equal(output.actions[0].text, bytes_of_string(name)));
    frame(source, 1, START_US, WELCOME);
    assert_int_equal(output.action_count, 1);
    assert_action(0, SOURCE_SEND, 1, "JOIN #room,#other\r\n");
    source_destroy(source);
}

static void test_token_login(void **state)
{
    (void)state;
    static const char *const tokens[] = {"sesame", "oauth:sesame"};
    for (size_t i = 0; i < 2; i++) {
        struct error error = {""};
        struct source *source = make_with((struct source_options){.argument = BYTES("room"),
                                                                  .base_url = BYTES("ws://127.0.0.1:1/chat"),
                                                                  .login = BYTES("MyBot"),
                                                                  .token = bytes_of_string(tokens[i])},
                                          &error);
        assert_non_null(source);
        forget_output();
        source_connect(source, START_US, &output);
        assert_action(0, SOURCE_OPEN, 1, "ws://127.0.0.1:1/chat");
        give(source, SOURCE_OPENED, 1, START_US, "");
        assert_action(1, SOURCE_SEND, 1, "PASS oauth:sesame\r\n");
        assert_true(bytes_equal(output.actions[1].shown, BYTES("PASS oauth:***\r\n")));
        assert_action(2, SOURCE_SEND, 1, "NICK mybot\r\n");
        assert_null(output.actions[2].shown.at);
        assert_null(strstr(source_name(source), "sesame"));
        frame(source, 1, START_US, ":tmi.twitch.tv NOTICE * :Login authentication failed\r\n");
        assert_int_equal(state_of(source), SOURCE_FAILED);
        assert_action(0, SOURCE_CLOSE, 1, "");
        assert_true(output.wake_at_us == INT64_MAX);
        assert_non_null(strstr(source_last_error(source), "TWITCH_OAUTH_TOKEN"));
        assert_null(strstr(source_last_error(source), "sesame"));
        lose(source, 1, START_US + SECOND_US);
        assert_int_equal(state_of(source), SOURCE_FAILED); /* never again */
        assert_int_equal(output.action_count, 0);
        source_destroy(source);
    }
}

static void test_wrong_options(void **state)
{
    (void)state;
    static const struct {
        const char *channels, *login, *token, *said;
    } wrong[] = {
        {"a,", "", "", "is no channel"},
        {",", "", "", "is no channel"},
        {"a b", "", "", "is no channel"},
        {"##a", "", "", "is no channel"},
        {"a,b,A", "", "", "named twice"},
        {"abcdefghijabcdefghijabcdef", "", "", "is no channel"},
        {"a", "", "sesame", "TWITCH_NICKNAME is missing"},
        {"a", "me", "ses ame", "TWITCH_OAUTH_TOKEN holds"},
        {"a", "me", "ses\r\nJOIN", "TWITCH_OAUTH_TOKEN holds"},
        {"a", "m!e", "sesame", "TWITCH_NICKNAME is no login"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct error error = {""};
        assert_null(make_with((struct source_options){.argument = bytes_of_string(wrong[i].channels),
                                                      .login = bytes_of_string(wrong[i].login),
                                                      .token = bytes_of_string(wrong[i].token)},
                              &error));
        if (!strstr(error.text, wrong[i].said))
            fail_msg("%s: %s", wrong[i].channels, error.text);
        assert_null(strstr(error.text, "ses"));
    }
    struct source *source = make("");
    forget_output();
    source_connect(source, START_US, &output);
    assert_int_equal(state_of(source), SOURCE_FAILED);
    source_destroy(source);
}

static void test_no_answer_to_login(void **state)
{
    (void)state;
    struct source *source = make("room");
    forget_output();
    source_connect(source, START_US, &output);
    give(source, SOURCE_OPENED, 1, START_US, "");
    assert_int_equal(output.wake_at_us, START_US + 15 * SECOND_US);
    tick(source, START_US + 15 * SECOND_US);
    assert_action(0, SOURCE_CLOSE, 1, "");
    assert_int_equal(state_of(source), SOURCE_BACKING_OFF);
    source_destroy(source);
}

/* A server that knows no Twitch: no ROOMSTATE, so the end of NAMES tells that the channel is joined. */
static void test_capabilities_refused(void **state)
{
    (void)state;
    struct source *source = make("room");
    forget_output();
    source_connect(source, START_US, &output);
    give(source, SOURCE_OPENED, 1, START_US, "");
    frame(source, 1, START_US, ":irc 001 me :hi\r\n:irc CAP * NAK :twitch.tv/tags twitch.tv/commands\r\n");
    assert_non_null(strstr(source_last_error(source), "refused twitch.tv/tags"));
    assert_action(1, SOURCE_SEND, 1, "CAP END\r\n");
    assert_action(2, SOURCE_SEND, 1, "USER dataflow 0 * :dataflow\r\n");
    frame(source, 1, START_US, ":irc 366 me #room :End of /NAMES list.\r\n:ann!a@b PRIVMSG #room :hi\r\n");
    const struct event *event = only_event(EVENT_MESSAGE, "room");
    assert_int_equal(event->timestamp_us, START_US);
    assert_int_equal(event->id.length, 32);
    tick(source, START_US + 20 * SECOND_US);
    assert_int_equal(output.batch->count, 0); /* nothing is missing */
    source_destroy(source);
}

/* ---- joining ---- */

static char *channel_list(size_t count)
{
    struct buffer list;
    buffer_init(&list, 1 << 20);
    for (size_t i = 0; i < count; i++)
        buffer_printf(&list, "%schannel_with_long_name%zu", i ? "," : "", i % 1000);
    buffer_byte(&list, '\0');
    assert_false(list.failed);
    return list.at;
}

static size_t count_joins(void)
{
    size_t count = 0;
    for (size_t i = 0; i < output.action_count; i++) {
        struct bytes text = output.actions[i].text;
        assert_true(text.length <= 510);
        for (size_t j = 0; j < text.length; j++)
            count += text.at[j] == '#';
    }
    return count;
}

/* 20 JOINs in any 10 seconds, over all connections. */
static void test_join_pace(void **state)
{
    (void)state;
    char *channels = channel_list(150);
    struct source *source = make(channels);
    forget_output();
    source_connect(source, START_US, &output);
    assert_int_equal(output.action_count, 2); /* a hundred channels a connection */
    for (uint32_t connection = 1; connection <= 2; connection++)
        give(source, SOURCE_OPENED, connection, START_US, "");
    int64_t now_us = START_US;
    frame(source, 1, now_us, WELCOME);
    size_t joined = count_joins();
    assert_int_equal(joined, 20);
    assert_int_equal(output.action_count, 2); /* a line has 512 bytes */
    frame(source, 2, now_us, WELCOME);
    assert_int_equal(count_joins(), 0);
    while (joined < 150) {
        tick(source, now_us + 10 * SECOND_US);
        for (size_t i = 0; i < output.action_count; i++)
            assert_false(bytes_start_with(output.actions[i].text, BYTES("JOIN")));
        now_us += 11 * SECOND_US;
        for (uint32_t connection = 1; connection <= 2; connection++)
            frame(source, connection, now_us, "PING :x\r\n");
        tick(source, now_us);
        joined += count_joins();
        assert_in_range(count_joins(), 10, 20);
    }
    assert_true(now_us - START_US <= 80 * SECOND_US);
    source_destroy(source);
    free(channels);
}

static void test_how_many_channels(void **state)
{
    (void)state;
    struct error error = {""};
    char *many = channel_list(500), *too_many = channel_list(501), *of_account = channel_list(101);
    source_destroy(make(many));
    assert_null(make_with((struct source_options){.argument = bytes_of_string(too_many)}, &error));
    assert_non_null(strstr(error.text, "more than 500"));
    assert_null(make_with(
        (struct source_options){.argument = bytes_of_string(of_account), .login = BYTES("me"), .token = BYTES("x")}, &error));
    assert_non_null(strstr(error.text, "more than 100"));
    free(many);
    free(too_many);
    free(of_account);
}

/* An unknown channel answers nothing: told once, and tried again after ten minutes. */
static void test_missing_channel(void **state)
{
    (void)state;
    struct source *source = make_welcome("room,nobody");
    frame(source, 1, START_US, ROOMSTATE("room"));
    assert_int_equal(output.wake_at_us, START_US + 10 * SECOND_US);
    tick(source, START_US + 10 * SECOND_US);
    const struct event *event = only_event(EVENT_NOTICE, "nobody");
    assert_true(bytes_equal(event->metadata, BYTES("{\"msg_id\":\"channel_missing\"}")));
    assert_non_null(strstr(source_last_error(source), "#nobody"));
    assert_int_equal(state_of(source), SOURCE_LIVE);
    int64_t later_us = START_US + 610 * SECOND_US;
    frame(source, 1, later_us, "PING :x\r\n");
    tick(source, later_us);
    assert_action(0, SOURCE_SEND, 1, "JOIN #nobody\r\n");
    tick(source, later_us + 10 * SECOND_US);
    assert_int_equal(output.batch->count, 0);
    frame(source, 1, later_us + 11 * SECOND_US, ROOMSTATE("nobody")); /* after all */
    only_event(EVENT_ROOM_STATE, "nobody");
    source_destroy(source);
}

static void test_suspended_channel(void **state)
{
    (void)state;
    struct source *source = make_welcome("room");
    frame(source, 1, START_US, NOTICE("msg_channel_suspended", "room"));
    only_event(EVENT_NOTICE, "room");
    tick(source, START_US + 10 * SECOND_US);
    assert_int_equal(output.batch->count, 0);
    assert_int_equal(output.action_count, 0);
    frame(source, 1, START_US + 600 * SECOND_US, "PING :x\r\n");
    tick(source, START_US + 600 * SECOND_US);
    assert_action(0, SOURCE_SEND, 1, "JOIN #room\r\n");
    source_destroy(source);
}

/* ---- while it runs ---- */

static void test_ping(void **state)
{
    (void)state;
    struct source *source = make_joined();
    frame(source, 1, START_US, "PING :tmi.twitch.tv\r\n" MESSAGE("1", "room") "PING x\r\n");
    assert_int_equal(output.action_count, 2);
    assert_action(0, SOURCE_SEND, 1, "PONG :tmi.twitch.tv\r\n");
    assert_action(1, SOURCE_SEND, 1, "PONG :x\r\n");
    const struct source_statistics *statistics = source_statistics(source);
    uint64_t filtered = statistics->filtered;
    frame(source, 1, START_US, "@user-id=2 :bob!bob@bob.tmi.twitch.tv WHISPER me :psst\r\n");
    assert_int_equal(output.batch->count, 0);
    assert_int_equal(statistics->filtered, filtered + 1);
    source_destroy(source);
}

/* Silent for a minute: we ask.  Silent for ten seconds more: it is dead. */
static void test_silence(void **state)
{
    (void)state;
    struct source *source = make_joined();
    assert_int_equal(output.wake_at_us, START_US + 60 * SECOND_US);
    tick(source, START_US + 60 * SECOND_US);
    assert_int_equal(output.action_count, 1);
    assert_action(0, SOURCE_SEND, 1, "PING :dataflow\r\n");
    assert_int_equal(output.wake_at_us, START_US + 70 * SECOND_US);
    frame(source, 1, START_US + 61 * SECOND_US, ":tmi.twitch.tv PONG tmi.twitch.tv :dataflow\r\n");
    tick(source, START_US + 120 * SECOND_US);
    assert_int_equal(output.action_count, 0);
    tick(source, START_US + 121 * SECOND_US);
    assert_int_equal(output.action_count, 1);
    tick(source, START_US + 131 * SECOND_US);
    assert_action(0, SOURCE_CLOSE, 1, "");
    assert_int_equal(state_of(source), SOURCE_BACKING_OFF);
    source_destroy(source);
}

/* A disconnect is a gap from the last byte to the new join; its number of messages is unknown. */
static void test_gap(void **state)
{
    (void)state;
    struct source *source = make_welcome("room,other");
    frame(source, 1, START_US, ROOMSTATE("room"));
    frame(source, 1, START_US + SECOND_US, MESSAGE("1", "room"));
    frame(source, 1, START_US + 2 * SECOND_US, "PING :x\r\n");
    lose(source, 1, START_US + 3 * SECOND_US);
    assert_int_equal(state_of(source), SOURCE_BACKING_OFF);
    int64_t retry_us = output.wake_at_us;
    assert_in_range(retry_us, START_US + 3 * SECOND_US, START_US + 5 * SECOND_US);
    tick(source, retry_us);
    assert_int_equal(state_of(source), SOURCE_CONNECTING);
    assert_action(0, SOURCE_OPEN, 2, "wss://irc-ws.chat.twitch.tv:443");
    give(source, SOURCE_OPENED, 2, retry_us, "");
    frame(source, 2, retry_us, WELCOME);
    assert_action(0, SOURCE_SEND, 2, "JOIN #room,#other\r\n");
    assert_int_equal(output.batch->count, 0);
    int64_t joined_us = retry_us + SECOND_US;
    frame(source, 2, joined_us, ROOMSTATE("room")); /* the state is the same as before: no news */
    const struct event *gap = only_event(EVENT_GAP, "room");
    assert_int_equal(gap->gap.from_us, START_US + 2 * SECOND_US);
    assert_int_equal(gap->gap.to_us, joined_us);
    assert_int_equal(gap->gap.count, -1);
    assert_int_equal(gap->timestamp_us, joined_us);
    assert_int_equal(gap->id.length, 32);
    frame(source, 2, joined_us, ROOMSTATE("other")); /* never joined before: nothing is missing */
    only_event(EVENT_ROOM_STATE, "other");
    frame(source, 2, joined_us, MESSAGE("1", "room"));
    assert_int_equal(output.batch->count, 0);
    const struct source_statistics *statistics = source_statistics(source);
    assert_int_equal(statistics->gaps, 1);
    assert_int_equal(statistics->missing, 0);
    assert_int_equal(statistics->reconnects, 1);
    assert_int_equal(statistics->duplicates, 2);
    source_destroy(source);
}

/* After a restart the gap begins with what the log had last, and what it had is not told again. */
static void test_resume(void **state)
{
    (void)state;
    struct source *source = make("room,other");
    struct event logged = {.source = EVENT_TWITCH,
                           .kind = EVENT_MESSAGE,
                           .id = BYTES("twitch:1"),
                           .timestamp_us = START_US - 70 * SECOND_US,
                           .received_us = START_US - 60 * SECOND_US,
                           .chat.channel = BYTES("room")};
    source_resume(source, &logged);
    logged.chat.channel = BYTES("foreign");
    logged.id = BYTES("twitch:2");
    source_resume(source, &logged);
    logged.source = EVENT_MARKET;
    source_resume(source, &logged);
    forget_output();
    source_connect(source, START_US, &output);
    give(source, SOURCE_OPENED, 1, START_US, "");
    frame(source, 1, START_US, WELCOME);
    frame(source, 1, START_US + SECOND_US, ROOMSTATE("room"));
    assert_int_equal(output.batch->count, 2);
    const struct event *gap = &output.batch->events[0];
    assert_int_equal(gap->kind, EVENT_GAP);
    assert_int_equal(gap->gap.from_us, START_US - 60 * SECOND_US);
    assert_int_equal(gap->gap.to_us, START_US + SECOND_US);
    frame(source, 1, START_US + SECOND_US, ROOMSTATE("other"));
    only_event(EVENT_ROOM_STATE, "other");
    frame(source, 1, START_US + SECOND_US, MESSAGE("1", "room") MESSAGE("2", "room"));
    only_event(EVENT_MESSAGE, "room");
    assert_int_equal(source_statistics(source)->duplicates, 1);
    source_destroy(source);
}

/* What stood in the middle of a line when the connection went is no beginning of another. */
static void test_cut_line(void **state)
{
    (void)state;
    struct source *source = make_joined();
    frame(source, 1, START_US, "@id=1;tmi-sent-ts=1790000000000 :ann!ann@a PRIV");
    lose(source, 1, START_US);
    tick(source, output.wake_at_us);
    give(source, SOURCE_OPENED, 2, START_US + 60 * SECOND_US, "");
    frame(source, 2, START_US + 60 * SECOND_US, WELCOME MESSAGE("2", "room"));
    only_event(EVENT_MESSAGE, "room");
    assert_int_equal(source_statistics(source)->rejected, 0);
    source_destroy(source);
}

/* ---- RECONNECT ---- */

static struct source *make_overlapping(void)
{
    struct source *source = make_joined();
    frame(source, 1, START_US, ":tmi.twitch.tv RECONNECT\r\n");
    assert_int_equal(output.action_count, 1);
    assert_action(0, SOURCE_OPEN, 2, "wss://irc-ws.chat.twitch.tv:443");
    frame(source, 1, START_US, ":tmi.twitch.tv RECONNECT\r\n");
    assert_int_equal(output.action_count, 0); /* once is enough */
    give(source, SOURCE_OPENED, 2, START_US, "");
    assert_action(0, SOURCE_SEND, 2, CAPABILITIES);
    frame(source, 2, START_US, WELCOME);
    assert_action(0, SOURCE_SEND, 2, "JOIN #room\r\n");
    return source;
}

/* The new connection joins before the old one is closed; what both bring is told once. */
static void test_overlap(void **state)
{
    (void)state;
    struct source *source = make_overlapping();
    frame(source, 1, START_US, MESSAGE("1", "room") NOTICE("slow_on", "room"));
    assert_int_equal(output.batch->count, 2);
    frame(source, 2, START_US, MESSAGE("1", "room") NOTICE("slow_on", "room") MESSAGE("2", "room"));
    only_event(EVENT_MESSAGE, "room");
    frame(source, 2, START_US, ROOMSTATE("room") MESSAGE("3", "room"));
    only_event(EVENT_MESSAGE, "room");
    assert_int_equal(output.action_count, 0);
    assert_int_equal(output.wake_at_us, START_US + 10 * SECOND_US);
    frame(source, 1, START_US + SECOND_US, MESSAGE("3", "room") MESSAGE("late", "room")); /* was still on its way */
    only_event(EVENT_MESSAGE, "room");
    tick(source, START_US + 10 * SECOND_US);
    assert_int_equal(output.action_count, 1);
    assert_action(0, SOURCE_CLOSE, 1, "");
    assert_int_equal(state_of(source), SOURCE_LIVE);
    frame(source, 1, START_US, MESSAGE("4", "room")); /* from a connection that is closed */
    assert_int_equal(output.batch->count, 0);
    frame(source, 2, START_US + 1, MESSAGE("4", "room") NOTICE("slow_on", "room"));
    assert_int_equal(output.batch->count, 2); /* with one connection, a second notice is a second notice */
    const struct source_statistics *statistics = source_statistics(source);
    assert_int_equal(statistics->gaps, 0);
    assert_int_equal(statistics->reconnects, 1);
    assert_int_equal(statistics->duplicates, 4);
    source_destroy(source);
}

/* The old connection goes before the new one has joined: that is a gap. */
static void test_overlap_too_short(void **state)
{
    (void)state;
    struct source *source = make_overlapping();
    lose(source, 1, START_US + SECOND_US);
    assert_int_equal(state_of(source), SOURCE_LIVE);
    assert_int_equal(output.action_count, 0);
    frame(source, 2, START_US + 2 * SECOND_US, ROOMSTATE("room"));
    const struct event *gap = only_event(EVENT_GAP, "room");
    assert_int_equal(gap->gap.from_us, START_US);
    assert_int_equal(gap->gap.to_us, START_US + 2 * SECOND_US);
    assert_int_equal(source_statistics(source)->reconnects, 1);
    source_destroy(source);
}

/* The server closes the old one as it announced, a little after the new one has joined: nothing is missing. */
static void test_overlap_ended_by_the_server(void **state)
{
    (void)state;
    struct source *source = make_overlapping();
    frame(source, 2, START_US, ROOMSTATE("room"));
    lose(source, 1, START_US + SECOND_US);
    assert_int_equal(state_of(source), SOURCE_LIVE);
    tick(source, START_US + 10 * SECOND_US);
    assert_int_equal(output.action_count, 0);
    frame(source, 2, START_US + 11 * SECOND_US, MESSAGE("1", "room"));
    only_event(EVENT_MESSAGE, "room");
    assert_int_equal(source_statistics(source)->gaps, 0);
    source_destroy(source);
}

static void test_successor_fails(void **state)
{
    (void)state;
    struct source *source = make_overlapping();
    lose(source, 2, START_US + SECOND_US);
    assert_int_equal(state_of(source), SOURCE_LIVE);
    frame(source, 1, START_US + SECOND_US, MESSAGE("1", "room"));
    assert_int_equal(output.batch->count, 1);
    tick(source, output.wake_at_us);
    assert_action(0, SOURCE_OPEN, 3, "wss://irc-ws.chat.twitch.tv:443");
    assert_int_equal(source_statistics(source)->gaps, 0);
    source_destroy(source);
}

/* The successor is told to reconnect as well: its own successor follows once it has taken over. */
static void test_reconnect_again(void **state)
{
    (void)state;
    struct source *source = make_overlapping();
    frame(source, 2, START_US, ":tmi.twitch.tv RECONNECT\r\n");
    assert_int_equal(output.action_count, 0);
    frame(source, 2, START_US, ROOMSTATE("room"));
    tick(source, output.wake_at_us);
    assert_action(0, SOURCE_CLOSE, 1, "");
    assert_action(1, SOURCE_OPEN, 3, "wss://irc-ws.chat.twitch.tv:443");
    source_destroy(source);
}

/* Five connections, twenty thousand messages, all of them told apart. */
static void test_many_channels(void **state)
{
    (void)state;
    char *channels = channel_list(500), line[256];
    struct source *source = make(channels);
    forget_output();
    source_connect(source, START_US, &output);
    assert_int_equal(output.action_count, 5);
    for (uint32_t connection = 1; connection <= 5; connection++) {
        give(source, SOURCE_OPENED, connection, START_US, "");
        frame(source, connection, START_US, WELCOME);
    }
    uint64_t before = source_statistics(source)->events;
    for (int i = 0; i < 20000; i++) {
        snprintf(line, sizeof line, "@id=%d;tmi-sent-ts=1790000000000 :a!a@a PRIVMSG #channel_with_long_name%d :hi\r\n", i,
                 i % 500);
        frame(source, 1 + (uint32_t)(i % 5), START_US, line);
    }
    assert_int_equal(source_statistics(source)->events, before + 20000);
    forget_output();
    source_close(source, START_US, &output);
    assert_int_equal(output.action_count, 5);
    source_destroy(source);
    free(channels);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_anonymous_login),
        cmocka_unit_test(test_token_login),
        cmocka_unit_test(test_wrong_options),
        cmocka_unit_test(test_no_answer_to_login),
        cmocka_unit_test(test_capabilities_refused),
        cmocka_unit_test(test_join_pace),
        cmocka_unit_test(test_how_many_channels),
        cmocka_unit_test(test_missing_channel),
        cmocka_unit_test(test_suspended_channel),
        cmocka_unit_test(test_ping),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_gap),
        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_cut_line),
        cmocka_unit_test(test_overlap),
        cmocka_unit_test(test_overlap_too_short),
        cmocka_unit_test(test_overlap_ended_by_the_server),
        cmocka_unit_test(test_successor_fails),
        cmocka_unit_test(test_reconnect_again),
        cmocka_unit_test(test_many_channels),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
