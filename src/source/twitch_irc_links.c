/* Connections to Twitch chat.
 *
 *     (none) --connect--> opening --OPENED--> logging in --001--> welcome --closed, silent--> back off --tick--> opening
 *                                                 |                  | RECONNECT
 *                         login refused: failed <-+                  +--> a successor takes the same way; a little after it has
 *                                                                         joined, or when the current one is lost, it takes over
 *
 * Silence: after a minute without a byte we send a PING of our own; without an answer in 10 seconds the connection is
 * dead. */
#include "source/twitch_irc.h"

#include <stdio.h>

#define ADDRESS "wss://irc-ws.chat.twitch.tv:443"
#define LOGIN_TIMEOUT_US (15 * SECOND_US)
/* For how long the old connection is kept once the new one has joined. */
#define OVERLAP_US (10 * SECOND_US)
#define PROBE_AFTER_US (60 * SECOND_US)
#define PROBE_TIMEOUT_US (10 * SECOND_US)

enum { GUEST_MIN = 10000, GUEST_RANGE = 80000 };

bool twitch_find_link(struct twitch_irc *twitch, uint32_t connection, struct twitch_shard **shard, enum twitch_role *role)
{
    for (size_t i = 0; connection != 0 && i < twitch->shard_count; i++)
        for (unsigned r = 0; r < TWITCH_ROLE_COUNT; r++)
            if (twitch->shards[i].links[r].connection == connection) {
                *shard = &twitch->shards[i];
                *role = (enum twitch_role)r;
                return true;
            }
    return false;
}

void twitch_show_state(struct source *source, int64_t now_us)
{
    const struct twitch_irc *twitch = source->state;
    enum source_state state = SOURCE_BACKING_OFF;
    if (source_is_over(source))
        return;
    for (size_t i = 0; i < twitch->shard_count; i++) {
        const struct twitch_link *current = &twitch->shards[i].links[TWITCH_CURRENT];
        if (current->open)
            state = SOURCE_LIVE;
        else if (current->connection != 0 && state != SOURCE_LIVE)
            state = SOURCE_CONNECTING;
    }
    source_set_state(source, state, now_us);
}

static void reset_link(struct twitch_link *link)
{
    irc_stream_reset(&link->stream);
    *link = (struct twitch_link){.stream = link->stream, .heard_us = TIME_UNKNOWN, .pinged_us = TIME_UNKNOWN};
}

static void open_link(struct twitch_call *call, struct twitch_shard *shard, enum twitch_role role)
{
    struct twitch_link *link = &shard->links[role];
    struct bytes given = call->source->options.base_url;
    reset_link(link);
    link->connection = source_open_connection(call->source, call->output, given.length > 0 ? given : BYTES(ADDRESS));
    shard->retry_us[role] = link->connection != 0 ? INT64_MAX : backoff_failed(&shard->backoff, call->now_us);
}

void twitch_links_connect(struct twitch_call *call)
{
    for (size_t i = 0; i < call->twitch->shard_count; i++)
        if (call->twitch->shards[i].links[TWITCH_CURRENT].connection == 0)
            open_link(call, &call->twitch->shards[i], TWITCH_CURRENT);
    twitch_show_state(call->source, call->now_us);
}

/* ---- login ---- */

static void send_nick(struct twitch_call *call)
{
    const struct source_options *options = &call->source->options;
    char text[64];
    int length = options->token.length > 0 ? snprintf(text, sizeof text, "NICK %.*s\r\n", BYTES_ARG(options->login))
                                           : snprintf(text, sizeof text, "NICK justinfan%u\r\n", call->shard->guest);
    source_send(call->output, call->link->connection, bytes_of(text, (size_t)length));
}

static void send_login(struct twitch_call *call)
{
    const struct source_options *options = &call->source->options;
    uint32_t connection = call->link->connection;
    source_send(call->output, connection, BYTES("CAP REQ :twitch.tv/tags twitch.tv/commands\r\n"));
    if (options->token.length > 0) {
        struct buffer *text = &call->twitch->scratch;
        buffer_reset(text);
        buffer_printf(text, "PASS oauth:%.*s\r\n", BYTES_ARG(options->token));
        source_send_secret(call->output, connection, buffer_bytes(text), BYTES("PASS oauth:***\r\n"));
        if (text->length > 0)
            explicit_bzero(text->at, text->length);
        buffer_reset(text);
    } else {
        source_send(call->output, connection, BYTES("PASS anonymous\r\n")); /* any will do */
    }
    send_nick(call);
}

void twitch_link_opened(struct twitch_call *call)
{
    struct twitch_link *link = call->link;
    int64_t now_us = call->now_us == TIME_UNKNOWN ? 0 : call->now_us; /* a recording without times */
    link->open = true;
    link->opened_us = link->heard_us = now_us;
    if (call->role == TWITCH_CURRENT)
        backoff_opened(&call->shard->backoff, now_us);
    send_login(call);
    twitch_show_state(call->source, now_us);
}

void twitch_draw_guest(struct twitch_irc *twitch, struct twitch_shard *shard)
{
    shard->guest = GUEST_MIN + (unsigned)random_below(&twitch->random, GUEST_RANGE);
}

void twitch_link_rename(struct twitch_call *call)
{
    if (call->source->options.token.length > 0 || call->link->welcome)
        return;
    twitch_draw_guest(call->twitch, call->shard);
    send_nick(call);
}

/* ---- losing and taking over ---- */

static void promote(struct twitch_call *call, struct twitch_shard *shard)
{
    struct twitch_link old = shard->links[TWITCH_CURRENT];
    shard->links[TWITCH_CURRENT] = shard->links[TWITCH_SUCCESSOR];
    shard->links[TWITCH_SUCCESSOR] = old;
    reset_link(&shard->links[TWITCH_SUCCESSOR]);
    twitch_rooms_promote(call->twitch, shard);
    call->source->statistics.reconnects++;
    shard->retry_us[TWITCH_SUCCESSOR] = shard->successor_wanted ? call->now_us : INT64_MAX;
    shard->successor_wanted = false;
    shard->hand_over_us = INT64_MAX;
}

void twitch_link_lost(struct twitch_call *call, struct twitch_shard *shard, enum twitch_role role)
{
    twitch_rooms_left(call->twitch, shard, role, shard->links[role].heard_us);
    reset_link(&shard->links[role]);
    if (role == TWITCH_SUCCESSOR) {
        shard->successor_wanted = false;
        shard->hand_over_us = INT64_MAX;
        shard->retry_us[role] = backoff_failed(&shard->backoff, call->now_us);
    } else if (shard->links[TWITCH_SUCCESSOR].connection != 0) {
        promote(call, shard);
    } else {
        shard->retry_us[TWITCH_SUCCESSOR] = INT64_MAX;
        shard->retry_us[role] = backoff_failed(&shard->backoff, call->now_us);
    }
    twitch_show_state(call->source, call->now_us);
}

void twitch_link_reconnect(struct twitch_call *call)
{
    struct twitch_shard *shard = call->shard;
    if (call->role == TWITCH_SUCCESSOR)
        shard->successor_wanted = true;
    else if (shard->links[TWITCH_SUCCESSOR].connection == 0)
        open_link(call, shard, TWITCH_SUCCESSOR);
}

void twitch_shard_hand_over(struct twitch_call *call, struct twitch_shard *shard)
{
    if (shard->hand_over_us == INT64_MAX && call->now_us != TIME_UNKNOWN)
        shard->hand_over_us = call->now_us + OVERLAP_US;
}

/* What the old connection still had on its way has come. */
static void hand_over(struct twitch_call *call, struct twitch_shard *shard)
{
    const struct twitch_link *old = &shard->links[TWITCH_CURRENT];
    source_close_connection(call->output, old->connection);
    twitch_rooms_left(call->twitch, shard, TWITCH_CURRENT, old->heard_us);
    promote(call, shard);
    twitch_show_state(call->source, call->now_us);
}

void twitch_links_close(struct twitch_call *call)
{
    for (size_t i = 0; i < call->twitch->shard_count; i++)
        for (unsigned role = 0; role < TWITCH_ROLE_COUNT; role++) {
            struct twitch_link *link = &call->twitch->shards[i].links[role];
            source_close_connection(call->output, link->connection);
            reset_link(link);
        }
}

/* ---- time ---- */

static void drop_link(struct twitch_call *call, struct twitch_shard *shard, enum twitch_role role, const char *why)
{
    source_close_connection(call->output, shard->links[role].connection);
    source_set_error(call->source, "%s", why);
    twitch_link_lost(call, shard, role);
}

static void tick_link(struct twitch_call *call, struct twitch_shard *shard, enum twitch_role role)
{
    struct twitch_link *link = &shard->links[role];
    int64_t now_us = call->now_us;
    if (now_us >= shard->retry_us[role]) {
        if (role == TWITCH_CURRENT)
            call->source->statistics.reconnects++;
        open_link(call, shard, role);
        twitch_show_state(call->source, now_us);
    } else if (link->open && !link->welcome && now_us - link->opened_us >= LOGIN_TIMEOUT_US) {
        drop_link(call, shard, role, "the server did not answer the login");
    } else if (link->pinged_us != TIME_UNKNOWN && now_us - link->pinged_us >= PROBE_TIMEOUT_US) {
        drop_link(call, shard, role, "the connection is dead: no answer to a PING");
    } else if (link->open && link->pinged_us == TIME_UNKNOWN && now_us - link->heard_us >= PROBE_AFTER_US) {
        if (source_send(call->output, link->connection, BYTES("PING :dataflow\r\n")))
            link->pinged_us = now_us;
    }
}

void twitch_links_tick(struct twitch_call *call)
{
    for (size_t i = 0; i < call->twitch->shard_count; i++) {
        struct twitch_shard *shard = &call->twitch->shards[i];
        if (call->now_us >= shard->hand_over_us)
            hand_over(call, shard);
        for (unsigned role = 0; role < TWITCH_ROLE_COUNT; role++)
            tick_link(call, shard, (enum twitch_role)role);
    }
}

static int64_t earlier(int64_t a_us, int64_t b_us)
{
    return a_us < b_us ? a_us : b_us;
}

static int64_t link_wake(const struct twitch_link *link)
{
    if (!link->open)
        return INT64_MAX;
    int64_t silent_us = link->pinged_us != TIME_UNKNOWN ? link->pinged_us + PROBE_TIMEOUT_US : link->heard_us + PROBE_AFTER_US;
    return earlier(silent_us, link->welcome ? INT64_MAX : link->opened_us + LOGIN_TIMEOUT_US);
}

int64_t twitch_links_wake(const struct twitch_irc *twitch)
{
    int64_t wake_us = INT64_MAX;
    for (size_t i = 0; i < twitch->shard_count; i++) {
        const struct twitch_shard *shard = &twitch->shards[i];
        wake_us = earlier(wake_us, shard->hand_over_us);
        for (unsigned role = 0; role < TWITCH_ROLE_COUNT; role++)
            wake_us = earlier(wake_us, earlier(shard->retry_us[role], link_wake(&shard->links[role])));
    }
    return wake_us;
}
