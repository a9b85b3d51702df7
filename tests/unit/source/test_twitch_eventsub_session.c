/* Sessions of the EventSub adapter, scripted: what the vendor's rules demand of it, call by call.  After each call the rig
 * checks that nothing was sent over a WebSocket, and that the token is nowhere but in requests' headers. */
#include "source/source_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SECOND_US ((int64_t)1000000)
#define START_US 1790000000000000LL
#define TOKEN "zq7unmistakable4token9x"
#define URL "wss://eventsub.wss.twitch.tv/ws?keepalive_timeout_seconds=30"

enum { ASKED_MAX = 128 };

struct asked {
    uint32_t number;
    char method[8], url[256], headers[512], body[512];
};

struct session {
    struct source *source;
    struct source_output output;
    struct buffer events; /* JSON lines */
    int64_t now_us;
    /* what the last call asked for */
    struct asked asked[ASKED_MAX];
    size_t asked_count;
    char opened_url[256];
    uint32_t opened;
    uint32_t closed[ASKED_MAX];
    size_t opens, closes;
};

/* ---- the rig ---- */

static void assert_no_token(struct bytes text)
{
    if (text.length > 0 && memmem(text.at, text.length, TOKEN, sizeof TOKEN - 1))
        fail_msg("the token shows: %.*s", BYTES_ARG(text));
}

static void keep(char *out, size_t size, struct bytes text)
{
    assert_true(text.length < size);
    snprintf(out, size, "%.*s", BYTES_ARG(text));
}

static void take_action(struct session *session, const struct source_action *action)
{
    assert_int_not_equal(action->kind, SOURCE_SEND); /* Twitch closes sessions for it: 4001 */
    assert_no_token(action->text);
    assert_no_token(action->body);
    if (action->kind == SOURCE_OPEN) {
        session->opens++;
        session->opened = action->connection;
        keep(session->opened_url, sizeof session->opened_url, action->text);
    } else if (action->kind == SOURCE_CLOSE) {
        session->closed[session->closes++] = action->connection;
    } else {
        struct asked *asked = &session->asked[session->asked_count++];
        asked->number = action->connection;
        snprintf(asked->method, sizeof asked->method, "%s", action->method);
        keep(asked->url, sizeof asked->url, action->text);
        keep(asked->headers, sizeof asked->headers, action->headers);
        keep(asked->body, sizeof asked->body, action->body);
    }
}

static void begin(struct session *session)
{
    session->asked_count = session->opens = session->closes = 0;
    session->opened_url[0] = '\0';
}

static void settle(struct session *session)
{
    for (size_t i = 0; i < session->output.action_count; i++)
        take_action(session, &session->output.actions[i]);
    for (size_t i = 0; i < session->output.batch->count; i++) {
        event_write(&session->output.batch->events[i], &session->events);
        buffer_byte(&session->events, '\n');
    }
    assert_no_token(buffer_bytes(&session->events));
    assert_no_token(bytes_of_string(source_last_error(session->source)));
    assert_no_token(bytes_of_string(source_name(session->source)));
    int64_t wake_at_us = session->output.wake_at_us;
    event_batch_reset(session->output.batch);
    source_output_reset(&session->output);
    session->output.wake_at_us = wake_at_us;
}

static void create(struct session *session, const struct source_options *options)
{
    struct error error = {""};
    *session = (struct session){.now_us = START_US};
    session->source = source_create(options, &error);
    if (!session->source)
        fail_msg("%s", error.text);
    session->output.batch = event_batch_create(16);
    assert_non_null(session->output.batch);
    source_output_reset(&session->output);
    buffer_init(&session->events, 16 << 20);
}

static void release(struct session *session)
{
    source_destroy(session->source);
    event_batch_destroy(session->output.batch);
    buffer_release(&session->events);
}

static void start_session(struct session *session, const char *channels)
{
    struct source_options options = {.kind = BYTES("twitch-eventsub"),
                                     .argument = bytes_of_string(channels),
                                     .base_url = BYTES(""),
                                     .token = BYTES("oauth:" TOKEN),
                                     .seed = 3};
    create(session, &options);
    begin(session);
    source_connect(session->source, session->now_us, &session->output);
    settle(session);
}

static void input(struct session *session, struct source_input one)
{
    one.now_us = session->now_us;
    begin(session);
    source_read(session->source, &one, 1, &session->output);
    settle(session);
}

static void opened(struct session *session, uint32_t connection)
{
    input(session, (struct source_input){.kind = SOURCE_OPENED, .connection = connection});
}

static void frame(struct session *session, uint32_t connection, const char *text)
{
    struct bytes copy = arena_copy(&session->output.batch->arena, bytes_of_string(text));
    input(session, (struct source_input){.kind = SOURCE_FRAME, .connection = connection, .frame = copy});
}

static void message(struct session *session, uint32_t connection, const char *id, const char *kind, const char *payload)
{
    char text[2048];
    snprintf(
        text, sizeof text,
        "{\"metadata\":{\"message_id\":\"%s\",\"message_type\":\"%s\",\"message_timestamp\":\"2026-09-21T14:13:20.123456789Z\"},"
        "\"payload\":%s}",
        id, kind, payload);
    frame(session, connection, text);
}

static void welcome(struct session *session, uint32_t connection, const char *id)
{
    char payload[256];
    snprintf(payload, sizeof payload,
             "{\"session\":{\"id\":\"%s\",\"status\":\"connected\",\"keepalive_timeout_seconds\":30,\"reconnect_url\":null}}",
             id);
    message(session, connection, id, "session_welcome", payload);
}

static void said(struct session *session, uint32_t connection, const char *id, const char *text)
{
    char payload[1024];
    snprintf(payload, sizeof payload,
             "{\"subscription\":{\"type\":\"channel.chat.message\",\"condition\":{\"broadcaster_user_id\":\"7\"}},\"event\":{"
             "\"broadcaster_user_id\":\"7\",\"broadcaster_user_login\":\"room\",\"chatter_user_login\":\"ann\","
             "\"message_id\":\"%s\",\"message\":{\"text\":\"%s\",\"fragments\":[]}}}",
             id, text);
    message(session, connection, id, "notification", payload);
}

static void respond(struct session *session, uint32_t number, int status, int64_t retry_after_us, const char *body)
{
    input(session, (struct source_input){.kind = SOURCE_RESPONSE,
                                         .connection = number,
                                         .status = status,
                                         .retry_after_us = retry_after_us,
                                         .frame = bytes_of_string(body)});
}

static void tick(struct session *session, int64_t at_us)
{
    session->now_us = at_us;
    input(session, (struct source_input){.kind = SOURCE_TICK});
}

static void cut(struct session *session, uint32_t connection, int code)
{
    begin(session);
    source_error(session->source, connection, code, BYTES("bye"), session->now_us, &session->output);
    settle(session);
}

static enum source_state state_of(const struct session *session)
{
    return source_statistics(session->source)->state;
}

static void assert_says(const struct session *session, const char *text)
{
    if (!strstr(source_last_error(session->source), text))
        fail_msg("\"%s\" does not say \"%s\"", source_last_error(session->source), text);
}

static const char *events_of(struct session *session)
{
    buffer_byte(&session->events, '\0');
    session->events.length--;
    return session->events.at;
}

static size_t count_text(const char *text, const char *wanted)
{
    size_t count = 0;
    for (const char *at = strstr(text, wanted); at; at = strstr(at + 1, wanted))
        count++;
    return count;
}

/* ---- steps that many tests take ---- */

#define VALID(scopes)                                                                                                            \
    "{\"client_id\":\"app1\",\"login\":\"ronni\",\"scopes\":[" scopes "],\"user_id\":\"42\",\"expires_in\":5000000}"
#define READ "\"user:read:chat\""
#define USERS "{\"data\":[{\"id\":\"7\",\"login\":\"room\",\"display_name\":\"Room\"},{\"id\":\"8\",\"login\":\"other\"}]}"

static uint32_t expect_one(const struct session *session, const char *method, const char *url)
{
    assert_int_equal(session->asked_count, 1);
    assert_string_equal(session->asked[0].method, method);
    assert_string_equal(session->asked[0].url, url);
    return session->asked[0].number;
}

/* Up to what is asked for: the token is good, the channel's id is known. */
static void introduce(struct session *session, const char *valid)
{
    uint32_t number = expect_one(session, "GET", "https://id.twitch.tv/oauth2/validate");
    respond(session, number, 200, -1, valid);
    number = expect_one(session, "GET", "https://api.twitch.tv/helix/users?login=room");
    respond(session, number, 200, -1, USERS);
}

/* All that was just asked for is granted, and so on. */
static void grant_all(struct session *session)
{
    while (session->asked_count > 0) {
        struct asked asked[ASKED_MAX];
        size_t count = session->asked_count;
        memcpy(asked, session->asked, sizeof asked);
        for (size_t i = 0; i < count; i++)
            respond(session, asked[i].number, 202, -1, "{}");
    }
}

/* A live session; returns the number of its connection. */
static uint32_t live(struct session *session, const char *valid)
{
    start_session(session, "room");
    uint32_t connection = session->opened;
    introduce(session, valid);
    opened(session, connection);
    welcome(session, connection, "session-1");
    grant_all(session);
    assert_int_equal(state_of(session), SOURCE_LIVE);
    return connection;
}

/* ---- login and subscriptions ---- */

static void test_subscribes(void **state)
{
    (void)state;
    struct session session;
    start_session(&session, "#Room");
    assert_string_equal(session.opened_url, URL);
    uint32_t connection = session.opened;
    uint32_t number = expect_one(&session, "GET", "https://id.twitch.tv/oauth2/validate");
    assert_string_equal(session.asked[0].headers, "Authorization: OAuth " TOKEN "\r\n");
    respond(&session, number, 200, -1, VALID(READ));
    number = expect_one(&session, "GET", "https://api.twitch.tv/helix/users?login=room");
    assert_string_equal(session.asked[0].headers, "Authorization: Bearer " TOKEN "\r\nClient-Id: app1\r\n");
    respond(&session, number, 200, -1, USERS);
    assert_int_equal(session.asked_count, 0);
    opened(&session, connection);
    assert_int_equal(state_of(&session), SOURCE_CONNECTING);
    welcome(&session, connection, "session-1");
    assert_int_equal(session.asked_count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(session.asked[i].url, "https://api.twitch.tv/helix/eventsub/subscriptions");
        assert_string_equal(session.asked[i].method, "POST");
        assert_non_null(strstr(session.asked[i].headers, "\r\nContent-Type: application/json\r\n"));
    }
    assert_string_equal(session.asked[0].body,
                        "{\"type\":\"channel.chat.message\",\"version\":\"1\",\"condition\":{\"broadcaster_user_id\":\"7\","
                        "\"user_id\":\"42\"},\"transport\":{\"method\":\"websocket\",\"session_id\":\"session-1\"}}");
    assert_non_null(strstr(session.asked[1].body, "channel.chat.notification"));
    assert_non_null(strstr(session.asked[4].body, "channel.chat.clear_user_messages"));
    respond(&session, session.asked[0].number, 202, -1, "{\"data\":[]}");
    assert_int_equal(state_of(&session), SOURCE_LIVE);
    assert_int_equal(source_statistics(session.source)->gaps, 0);
    said(&session, connection, "m1", "hello");
    assert_non_null(strstr(events_of(&session), "\"id\":\"twitch:m1\""));
    release(&session);
}

/* The welcome may come before anything is known: the subscriptions wait for it. */
static void test_welcome_first(void **state)
{
    (void)state;
    struct session session;
    start_session(&session, "room");
    uint32_t connection = session.opened, number = session.asked[0].number;
    opened(&session, connection);
    welcome(&session, connection, "session-1");
    assert_int_equal(session.asked_count, 0);
    respond(&session, number, 200, -1, VALID(READ));
    respond(&session, session.asked[0].number, 200, -1, USERS);
    assert_int_equal(session.asked_count, 5);
    release(&session);
}

static void test_bans_where_allowed(void **state)
{
    (void)state;
    struct session session;
    start_session(&session, "room");
    uint32_t connection = session.opened;
    introduce(&session, VALID(READ ",\"channel:moderate\""));
    opened(&session, connection);
    welcome(&session, connection, "session-1");
    assert_int_equal(session.asked_count, 6);
    assert_non_null(strstr(session.asked[5].body, "{\"type\":\"channel.ban\",\"version\":\"1\",\"condition\":"
                                                  "{\"broadcaster_user_id\":\"7\"},"));
    struct asked asked[6];
    memcpy(asked, session.asked, sizeof asked);
    respond(&session, asked[5].number, 403, -1, "{\"message\":\"subscription missing proper authorization\"}");
    assert_int_not_equal(state_of(&session), SOURCE_FAILED); /* a warning, no failure */
    respond(&session, asked[0].number, 202, -1, "{}");
    assert_int_equal(state_of(&session), SOURCE_LIVE);
    assert_int_equal(session.asked_count, 0);
    release(&session);
}

static void test_several_channels(void **state)
{
    (void)state;
    struct session session;
    start_session(&session, "room,other,nowhere");
    uint32_t connection = session.opened;
    respond(&session, session.asked[0].number, 200, -1, VALID(READ));
    uint32_t number = expect_one(&session, "GET", "https://api.twitch.tv/helix/users?login=room&login=other&login=nowhere");
    respond(&session, number, 200, -1, USERS);
    opened(&session, connection);
    welcome(&session, connection, "session-1");
    assert_int_equal(session.asked_count, 6); /* no more at once */
    assert_non_null(strstr(session.asked[0].body, "\"broadcaster_user_id\":\"7\""));
    assert_non_null(strstr(session.asked[1].body, "\"type\":\"channel.chat.message\""));
    assert_non_null(strstr(session.asked[1].body, "\"broadcaster_user_id\":\"8\""));
    size_t asked = session.asked_count;
    uint32_t last = session.asked[5].number;
    for (uint32_t next = session.asked[0].number; next <= last; next++) {
        respond(&session, next, 202, -1, "{}");
        asked += session.asked_count;
    }
    assert_int_equal(asked, 10);
    release(&session);
}

/* Addresses can be replaced. */
static void test_addresses(void **state)
{
    (void)state;
    struct session session;
    struct source_options options = {.kind = BYTES("twitch-eventsub"),
                                     .argument = BYTES("room"),
                                     .base_url = BYTES("ws://127.0.0.1:1/any?x=1"),
                                     .rest_url = BYTES("http://127.0.0.1:2/helix/"),
                                     .token = BYTES(TOKEN)};
    create(&session, &options);
    begin(&session);
    source_connect(session.source, session.now_us, &session.output);
    settle(&session);
    assert_string_equal(session.opened_url, "ws://127.0.0.1:1/any?x=1");
    uint32_t number = expect_one(&session, "GET", "http://127.0.0.1:2/helix/oauth2/validate");
    respond(&session, number, 200, -1, VALID(READ));
    expect_one(&session, "GET", "http://127.0.0.1:2/helix/users?login=room");
    release(&session);
}

/* ---- tokens ---- */

static void expect_failed(struct session *session, const char *text)
{
    assert_int_equal(state_of(session), SOURCE_FAILED);
    assert_says(session, text);
    assert_true(session->output.wake_at_us == INT64_MAX); /* never tried again */
    assert_int_equal(session->asked_count, 0);
    assert_true(session->closes >= 1); /* at least the WebSocket */
    release(session);
}

static void test_refused_tokens(void **state)
{
    (void)state;
    static const struct {
        const char *valid, *text;
    } cases[] = {
        {VALID("\"chat:read\""), "has not the right user:read:chat"},
        {"{\"client_id\":\"app1\",\"scopes\":[],\"expires_in\":1}", "only a user's"},
    };
    struct session session;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        start_session(&session, "room");
        respond(&session, session.asked[0].number, 200, -1, cases[i].valid);
        expect_failed(&session, cases[i].text);
    }
    start_session(&session, "room");
    respond(&session, session.asked[0].number, 401, -1, "{\"message\":\"invalid access token\"}");
    expect_failed(&session, "put a new user token");

    start_session(&session, "room");
    respond(&session, session.asked[0].number, 200, -1, VALID(READ));
    respond(&session, session.asked[0].number, 401, -1, "{}");
    expect_failed(&session, "does not accept TWITCH_OAUTH_TOKEN");

    start_session(&session, "room");
    uint32_t connection = session.opened;
    introduce(&session, VALID(READ));
    opened(&session, connection);
    welcome(&session, connection, "session-1");
    respond(&session, session.asked[0].number, 401, -1, "{}");
    assert_int_equal(session.closes, 5); /* the WebSocket, and the requests under way */
    expect_failed(&session, "does not accept TWITCH_OAUTH_TOKEN");
}

static void test_client_id(void **state)
{
    (void)state;
    struct source_options options = {.kind = BYTES("twitch-eventsub"),
                                     .argument = BYTES("room"),
                                     .base_url = BYTES(""),
                                     .token = BYTES(TOKEN),
                                     .client_id = BYTES("app2")};
    struct session session;
    create(&session, &options);
    begin(&session);
    source_connect(session.source, session.now_us, &session.output);
    settle(&session);
    uint32_t number = session.asked[0].number;
    respond(&session, number, 200, -1, VALID(READ));
    expect_failed(&session, "TWITCH_CLIENT_ID");

    /* The server that knows tokens is away: with a client id there is another way. */
    create(&session, &options);
    begin(&session);
    source_connect(session.source, session.now_us, &session.output);
    settle(&session);
    respond(&session, session.asked[0].number, 503, -1, "");
    assert_int_equal(session.asked_count, 2);
    assert_string_equal(session.asked[0].url, "https://api.twitch.tv/helix/users");
    assert_non_null(strstr(session.asked[0].headers, "Client-Id: app2\r\n"));
    uint32_t self = session.asked[0].number, users = session.asked[1].number, connection = 1;
    respond(&session, users, 200, -1, USERS);
    respond(&session, self, 200, -1, "{\"data\":[{\"id\":\"42\",\"login\":\"ronni\"}]}");
    opened(&session, connection);
    welcome(&session, connection, "session-1");
    assert_int_equal(session.asked_count, 6);
    assert_non_null(strstr(session.asked[0].body, "\"user_id\":\"42\""));
    release(&session);
}

static void test_token_is_looked_at_hourly(void **state)
{
    (void)state;
    struct session session;
    uint32_t connection = live(&session, "{\"client_id\":\"app1\",\"login\":\"ronni\",\"scopes\":[" READ
                                         "],\"user_id\":\"42\",\"expires_in\":7260}"); /* warns: 2 h 1 min */
    for (int64_t at_us = START_US + 10 * SECOND_US; at_us < START_US + 3600 * SECOND_US; at_us += 10 * SECOND_US) {
        session.now_us = at_us;
        message(&session, connection, "keep", "session_keepalive", "{}");
        assert_int_equal(session.asked_count, 0);
    }
    tick(&session, START_US + 3600 * SECOND_US);
    uint32_t number = expect_one(&session, "GET", "https://id.twitch.tv/oauth2/validate");
    respond(&session, number, 500, -1, "");
    assert_int_equal(state_of(&session), SOURCE_LIVE); /* asked again in a while */
    for (int64_t at_us = session.now_us; session.asked_count == 0; at_us += 10 * SECOND_US) {
        session.now_us = at_us;
        message(&session, connection, "keep", "session_keepalive", "{}");
        assert_true(at_us < START_US + 4000 * SECOND_US);
    }
    respond(&session, session.asked[0].number, 401, -1, "");
    expect_failed(&session, "expired or was taken back");
}

static void test_bad_secrets(void **state)
{
    (void)state;
    static const char *const tokens[] = {TOKEN " ", TOKEN "\r\nX: 1", "\x01", TOKEN "\xc3\xa9"};
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
        struct error error = {""};
        struct source_options options = {
            .kind = BYTES("twitch-eventsub"), .argument = BYTES("room"), .token = bytes_of_string(tokens[i])};
        assert_null(source_create(&options, &error));
        assert_non_null(strstr(error.text, "TWITCH_OAUTH_TOKEN"));
        assert_no_token(bytes_of_string(error.text));
    }
}

static void test_bad_channels(void **state)
{
    (void)state;
    static const char *const names[] = {
        "a b", "room,", "room,room", "r\"oom", "abcdefghijklmnopqrstuvwxyz", "room&id=1", "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct error error = {""};
        struct source_options options = {.kind = BYTES("twitch-eventsub"), .argument = bytes_of_string(names[i])};
        assert_null(source_create(&options, &error));
        assert_true(strlen(error.text) > 20);
    }
}

/* ---- requests that fail ---- */

static void test_no_such_channel(void **state)
{
    (void)state;
    struct session session;
    start_session(&session, "nowhere");
    respond(&session, session.asked[0].number, 200, -1, VALID(READ));
    respond(&session, session.asked[0].number, 200, -1, "{\"data\":[]}");
    expect_failed(&session, "no such channel");
}

/* Until it is asked again, which must be so at `earliest_us` or later. */
static uint32_t asked_again(struct session *session, int64_t earliest_us, const char *url)
{
    assert_int_equal(session->asked_count, 0);
    assert_true(session->output.wake_at_us >= earliest_us && session->output.wake_at_us < INT64_MAX);
    int64_t wake_us = session->output.wake_at_us;
    if (wake_us > session->now_us) {
        tick(session, wake_us - 1);
        assert_int_equal(session->asked_count, 0);
    }
    tick(session, wake_us);
    assert_true(session->asked_count > 0);
    assert_string_equal(session->asked[0].url, url);
    return session->asked[0].number;
}

static void test_retries(void **state)
{
    (void)state;
    const char *validate = "https://id.twitch.tv/oauth2/validate", *users = "https://api.twitch.tv/helix/users?login=room";
    struct session session;
    start_session(&session, "room");
    uint32_t number = session.asked[0].number;
    respond(&session, number, 500, -1, "");
    number = asked_again(&session, session.now_us, validate);
    respond(&session, number, 0, -1, "cannot connect to id.twitch.tv");
    assert_says(&session, "cannot connect to id.twitch.tv");
    number = asked_again(&session, session.now_us, validate);
    respond(&session, number, 200, -1, "no JSON");
    number = asked_again(&session, session.now_us, validate);
    respond(&session, number, 429, 7 * SECOND_US, "");
    number = asked_again(&session, session.now_us + 7 * SECOND_US, validate);
    respond(&session, number, 200, -1, VALID(READ));
    respond(&session, session.asked[0].number, 429, 90 * SECOND_US, "{}");
    number = asked_again(&session, session.now_us + 90 * SECOND_US, users);
    respond(&session, number, 200, -1, "{\"data\":7}");
    number = asked_again(&session, session.now_us, users);
    respond(&session, number, 503, -1, "");
    number = asked_again(&session, session.now_us, users);
    respond(&session, number, 200, -1, USERS);
    assert_int_equal(state_of(&session), SOURCE_CONNECTING);
    release(&session);
}

static void test_subscription_answers(void **state)
{
    (void)state;
    const char *url = "https://api.twitch.tv/helix/eventsub/subscriptions";
    struct session session;
    start_session(&session, "room");
    uint32_t connection = session.opened;
    introduce(&session, VALID(READ));
    opened(&session, connection);
    welcome(&session, connection, "session-1");
    struct asked asked[5];
    memcpy(asked, session.asked, sizeof asked);
    respond(&session, asked[1].number, 409, -1, "{}"); /* there already */
    respond(&session, asked[2].number, 403, -1, "{\"message\":\"no\"}");
    respond(&session, asked[3].number, 400, -1, "{\"message\":\"invalid type\"}"); /* one the server knows no more */
    respond(&session, asked[4].number, 202, -1, "{}");
    assert_int_not_equal(state_of(&session), SOURCE_LIVE);
    respond(&session, asked[0].number, 429, 2 * SECOND_US, "{}");
    uint32_t number = asked_again(&session, session.now_us + 2 * SECOND_US, url);
    assert_int_equal(session.asked_count, 1);
    respond(&session, number, 500, -1, "{}");
    number = asked_again(&session, session.now_us, url);
    respond(&session, number, 202, -1, "{}");
    assert_int_equal(state_of(&session), SOURCE_LIVE);
    release(&session);
}

static void test_messages_refused(void **state)
{
    (void)state;
    struct session session;
    start_session(&session, "room");
    uint32_t connection = session.opened;
    introduce(&session, VALID(READ));
    opened(&session, connection);
    welcome(&session, connection, "session-1");
    respond(&session, session.asked[0].number, 403, -1, "{\"message\":\"subscription missing proper authorization\"}");
    assert_says(&session, "missing proper authorization");
    expect_failed(&session, "is the account banned there?");
}

/* The session ended before its subscriptions were made. */
static void test_session_gone(void **state)
{
    (void)state;
    struct session session;
    start_session(&session, "room");
    uint32_t connection = session.opened;
    introduce(&session, VALID(READ));
    opened(&session, connection);
    welcome(&session, connection, "session-1");
    respond(&session, session.asked[0].number, 400, -1, "{\"message\":\"websocket transport session does not exist\"}");
    assert_int_equal(state_of(&session), SOURCE_BACKING_OFF);
    assert_int_equal(session.closed[0], connection);
    tick(&session, session.output.wake_at_us);
    assert_string_equal(session.opened_url, URL);
    release(&session);
}

/* ---- connections ---- */

static void test_gap(void **state)
{
    (void)state;
    struct session session;
    uint32_t connection = live(&session, VALID(READ));
    session.now_us += 5 * SECOND_US;
    said(&session, connection, "m1", "before");
    session.now_us += 2 * SECOND_US;
    cut(&session, connection, SOURCE_CLOSED_NONE);
    assert_int_equal(state_of(&session), SOURCE_BACKING_OFF);
    tick(&session, session.output.wake_at_us);
    assert_string_equal(session.opened_url, URL);
    assert_int_equal(session.asked_count, 0); /* what is known stays known */
    connection = session.opened;
    opened(&session, connection);
    welcome(&session, connection, "session-2");
    assert_int_equal(session.asked_count, 5);
    assert_non_null(strstr(session.asked[0].body, "\"session_id\":\"session-2\""));
    assert_int_equal(source_statistics(session.source)->gaps, 0);
    session.now_us = START_US + 20 * SECOND_US;
    grant_all(&session);
    assert_int_equal(source_statistics(session.source)->gaps, 1);
    const char *gap = strstr(events_of(&session), "\"kind\":\"gap\"");
    assert_non_null(gap);
    assert_non_null(strstr(gap, "\"channel\":\"room\""));
    assert_non_null(strstr(gap, "\"from\":\"2026-09-21T14:13:25.000000Z\""));
    assert_non_null(strstr(gap, "\"to\":\"2026-09-21T14:13:40.000000Z\""));
    assert_non_null(strstr(gap, "\"count\":null"));
    assert_non_null(strstr(gap, "\"reason\":\"disconnected\""));
    assert_int_equal(source_statistics(session.source)->reconnects, 1);
    release(&session);
}

static void test_close_codes(void **state)
{
    (void)state;
    static const struct {
        int code;
        const char *text;
        bool at_once;
    } cases[] = {
        {4000, "error in Twitch's server", false},
        {4001, "we sent something", false},
        {4002, "did not answer a ping", false},
        {4003, "nothing was subscribed to", false},
        {4004, "did not move to the new address", true},
        {4005, "time-out in Twitch's network", false},
        {4006, "error in Twitch's network", false},
        {4007, "address for moving was not valid", true},
        {1006, "(1006): bye", false},
        {4999, "(4999): bye", false},
        {SOURCE_CLOSED_UNREACHABLE, "bye", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct session session;
        uint32_t connection = live(&session, VALID(READ));
        cut(&session, connection, cases[i].code);
        assert_says(&session, cases[i].text);
        assert_int_equal(state_of(&session), cases[i].at_once ? SOURCE_CONNECTING : SOURCE_BACKING_OFF);
        if (!cases[i].at_once)
            tick(&session, session.output.wake_at_us);
        assert_string_equal(session.opened_url, URL);
        connection = session.opened;
        opened(&session, connection);
        welcome(&session, connection, "session-2");
        grant_all(&session);
        assert_int_equal(state_of(&session), SOURCE_LIVE);
        assert_int_equal(source_statistics(session.source)->gaps, 1);
        release(&session);
    }
}

static void test_silence(void **state)
{
    (void)state;
    struct session session;
    uint32_t connection = live(&session, VALID(READ));
    for (int i = 0; i < 10; i++) { /* keepalives keep it alive */
        session.now_us += 29 * SECOND_US;
        message(&session, connection, "keep", "session_keepalive", "{}");
        assert_int_equal(state_of(&session), SOURCE_LIVE);
    }
    int64_t heard_us = session.now_us;
    assert_true(session.output.wake_at_us == heard_us + 30 * SECOND_US);
    tick(&session, heard_us + 30 * SECOND_US);
    assert_int_equal(state_of(&session), SOURCE_STALE);
    session.now_us += SECOND_US;
    said(&session, connection, "m1", "just in time");
    assert_int_equal(state_of(&session), SOURCE_LIVE);
    heard_us = session.now_us;
    tick(&session, heard_us + 30 * SECOND_US);
    assert_int_equal(session.closes, 0);
    tick(&session, session.output.wake_at_us);
    assert_true(session.now_us <= heard_us + 40 * SECOND_US);
    assert_int_equal(session.closed[0], connection);
    assert_int_equal(state_of(&session), SOURCE_BACKING_OFF);
    assert_says(&session, "silent");
    tick(&session, session.output.wake_at_us);
    assert_string_equal(session.opened_url, URL);
    release(&session);
}

static void test_no_welcome(void **state)
{
    (void)state;
    struct session session;
    start_session(&session, "room");
    uint32_t connection = session.opened;
    introduce(&session, VALID(READ));
    opened(&session, connection);
    tick(&session, session.output.wake_at_us);
    assert_true(session.now_us <= START_US + 10 * SECOND_US);
    assert_int_equal(session.closed[0], connection);
    assert_int_equal(state_of(&session), SOURCE_BACKING_OFF);
    assert_says(&session, "welcome");
    release(&session);
}

#define MOVE "wss://eventsub.wss.twitch.tv/ws?keepalive_timeout_seconds=30&id=abc&challenge=c29tZQ%3D%3D"

static uint32_t ask_to_move(struct session *session, uint32_t connection, const char *id)
{
    message(session, connection, id, "session_reconnect",
            "{\"session\":{\"id\":\"session-1\",\"status\":\"reconnecting\",\"keepalive_timeout_seconds\":null,"
            "\"reconnect_url\":\"" MOVE "\"}}");
    assert_int_equal(session->opens, 1);
    assert_string_equal(session->opened_url, MOVE); /* as it is */
    assert_int_equal(session->closes, 0);           /* the old one stays */
    return session->opened;
}

static void test_reconnect(void **state)
{
    (void)state;
    struct session session;
    uint32_t old = live(&session, VALID(READ));
    uint32_t new = ask_to_move(&session, old, "r1");
    said(&session, old, "m1", "still over the old one");
    opened(&session, new);
    said(&session, old, "m2", "and still");
    assert_int_equal(session.closes, 0);
    welcome(&session, new, "session-1b");
    assert_int_equal(session.closes, 1);
    assert_int_equal(session.closed[0], old);
    assert_int_equal(session.asked_count, 0); /* the subscriptions have moved as well */
    said(&session, new, "m2", "and still");   /* sent again */
    said(&session, new, "m3", "over the new one");
    said(&session, old, "m4", "too late"); /* of a connection that was given up */
    const char *events = events_of(&session);
    assert_int_equal(count_text(events, "\"kind\":\"message\""), 3);
    assert_int_equal(source_statistics(session.source)->duplicates, 1);
    assert_int_equal(source_statistics(session.source)->gaps, 0);
    assert_int_equal(source_statistics(session.source)->reconnects, 1);
    assert_int_equal(state_of(&session), SOURCE_LIVE);
    /* Once more, from the connection that is the current one now. */
    ask_to_move(&session, new, "r2");
    release(&session);
}

/* The old connection ends before the new one is welcome: what may have been missed is told. */
static void test_reconnect_late(void **state)
{
    (void)state;
    struct session session;
    uint32_t old = live(&session, VALID(READ));
    uint32_t new = ask_to_move(&session, old, "r1");
    session.now_us += 30 * SECOND_US;
    cut(&session, old, 4004);
    assert_int_equal(session.opens, 0); /* the new one is on its way */
    assert_int_equal(state_of(&session), SOURCE_CONNECTING);
    opened(&session, new);
    welcome(&session, new, "session-1b");
    assert_int_equal(session.asked_count, 0);
    assert_int_equal(state_of(&session), SOURCE_LIVE);
    assert_int_equal(source_statistics(session.source)->gaps, 1);
    release(&session);
}

static void test_reconnect_fails(void **state)
{
    (void)state;
    struct session session;
    uint32_t old = live(&session, VALID(READ));
    uint32_t new = ask_to_move(&session, old, "r1");
    cut(&session, new, 4007);
    assert_int_equal(session.opens, 0);
    assert_int_equal(state_of(&session), SOURCE_LIVE); /* the old one delivers as long as it lasts */
    said(&session, old, "m1", "hello");
    assert_int_equal(source_statistics(session.source)->events, 1);
    cut(&session, old, 4004);
    assert_string_equal(session.opened_url, URL); /* anew */
    new = session.opened;
    opened(&session, new);
    welcome(&session, new, "session-2");
    assert_int_equal(session.asked_count, 5);
    grant_all(&session);
    assert_int_equal(source_statistics(session.source)->gaps, 1);
    release(&session);

    old = live(&session, VALID(READ)); /* no welcome over the new one, and none of what both had */
    new = ask_to_move(&session, old, "r1");
    opened(&session, new);
    cut(&session, old, 4004);
    tick(&session, session.output.wake_at_us);
    assert_int_equal(session.closed[0], new);
    assert_int_equal(state_of(&session), SOURCE_BACKING_OFF);
    release(&session);
}

static void test_revocation(void **state)
{
    (void)state;
    struct session session;
    uint32_t connection = live(&session, VALID(READ));
    message(&session, connection, "v1", "revocation",
            "{\"subscription\":{\"type\":\"channel.chat.clear\",\"status\":\"version_removed\",\"condition\":"
            "{\"broadcaster_user_id\":\"7\"}}}");
    assert_int_equal(state_of(&session), SOURCE_LIVE);
    message(&session, connection, "v2", "revocation",
            "{\"subscription\":{\"type\":\"channel.chat.message\",\"status\":\"authorization_revoked\",\"condition\":"
            "{\"broadcaster_user_id\":\"99\"}}}"); /* not ours */
    assert_int_equal(state_of(&session), SOURCE_LIVE);
    message(&session, connection, "v3", "revocation",
            "{\"subscription\":{\"type\":\"channel.chat.message\",\"status\":\"authorization_revoked\",\"condition\":"
            "{\"broadcaster_user_id\":\"7\"}}}");
    assert_says(&session, "authorization_revoked");
    expect_failed(&session, "put a new user token");
}

static void test_repeats(void **state)
{
    (void)state;
    struct session session;
    uint32_t connection = live(&session, VALID(READ));
    for (int i = 0; i < 5; i++)
        said(&session, connection, i % 2 ? "m1" : "m2", "the same");
    assert_int_equal(source_statistics(session.source)->events, 2);
    assert_int_equal(source_statistics(session.source)->duplicates, 3);
    release(&session);
}

static void test_close(void **state)
{
    (void)state;
    struct session session;
    start_session(&session, "room");
    uint32_t connection = session.opened;
    introduce(&session, VALID(READ));
    opened(&session, connection);
    welcome(&session, connection, "session-1");
    uint32_t number = session.asked[0].number;
    begin(&session);
    source_close(session.source, session.now_us, &session.output);
    settle(&session);
    assert_int_equal(state_of(&session), SOURCE_ENDED);
    assert_int_equal(session.closes, 6); /* the WebSocket and five requests */
    respond(&session, number, 202, -1, "{}");
    said(&session, connection, "m1", "late");
    cut(&session, connection, 1000);
    assert_int_equal(state_of(&session), SOURCE_ENDED);
    assert_int_equal(source_statistics(session.source)->events, 0);
    release(&session);
}

/* A replay has no token: nothing is asked, and the frames say what there is. */
static void test_without_token(void **state)
{
    (void)state;
    struct session session;
    struct source_options options = {.kind = BYTES("twitch-eventsub"), .argument = BYTES("room"), .base_url = BYTES("")};
    create(&session, &options);
    begin(&session);
    source_connect(session.source, session.now_us, &session.output);
    settle(&session);
    uint32_t connection = session.opened;
    opened(&session, connection);
    welcome(&session, connection, "session-1");
    assert_int_equal(session.asked_count, 0);
    assert_int_equal(state_of(&session), SOURCE_LIVE);
    said(&session, connection, "m1", "hello");
    cut(&session, connection, SOURCE_CLOSED_NONE);
    tick(&session, session.output.wake_at_us);
    connection = session.opened;
    opened(&session, connection);
    welcome(&session, connection, "session-2");
    assert_int_equal(source_statistics(session.source)->gaps, 1);
    release(&session);
}

/* No room for actions, no memory: what could not be asked for is asked for later. */
static void test_no_room_for_requests(void **state)
{
    (void)state;
    struct session session;
    start_session(&session, "room");
    uint32_t connection = session.opened;
    introduce(&session, VALID(READ));
    opened(&session, connection);
    session.output.action_count = SOURCE_ACTION_MAX - 2;
    for (size_t i = 0; i < session.output.action_count; i++)
        session.output.actions[i] = (struct source_action){.kind = SOURCE_CLOSE, .connection = 4711};
    welcome(&session, connection, "session-1");
    assert_int_equal(session.asked_count, 2);
    assert_true(session.output.wake_at_us <= session.now_us + SECOND_US);
    tick(&session, session.output.wake_at_us);
    assert_int_equal(session.asked_count, 3);
    release(&session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_subscribes),
        cmocka_unit_test(test_welcome_first),
        cmocka_unit_test(test_bans_where_allowed),
        cmocka_unit_test(test_several_channels),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_refused_tokens),
        cmocka_unit_test(test_client_id),
        cmocka_unit_test(test_token_is_looked_at_hourly),
        cmocka_unit_test(test_bad_secrets),
        cmocka_unit_test(test_bad_channels),
        cmocka_unit_test(test_no_such_channel),
        cmocka_unit_test(test_retries),
        cmocka_unit_test(test_subscription_answers),
        cmocka_unit_test(test_messages_refused),
        cmocka_unit_test(test_session_gone),
        cmocka_unit_test(test_gap),
        cmocka_unit_test(test_close_codes),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_no_welcome),
        cmocka_unit_test(test_reconnect),
        cmocka_unit_test(test_reconnect_late),
        cmocka_unit_test(test_reconnect_fails),
        cmocka_unit_test(test_revocation),
        cmocka_unit_test(test_repeats),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_without_token),
        cmocka_unit_test(test_no_room_for_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
