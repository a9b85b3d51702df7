/* Connections.  A session is one: its subscriptions go with it.  Twitch moves a session to another server by session_reconnect:
 * the new connection has the same subscriptions, and the old one delivers until the new one is welcome.
 *
 *   (none) --connect--> opening --OPENED, welcome--> welcome --session_reconnect--> and successor opening
 *     ^                    |                           |                                  | welcome: current := successor,
 *     +---- back off <-----+--- closed, silence -------+                                  v the old one is closed
 *
 * We never send anything: Twitch closes a session for it. */
#include "source/twitch_eventsub.h"

#define WELCOME_TIMEOUT_US (10 * SECOND_US)
/* Beyond the announced silence, for a network that is not even. */
#define KEEPALIVE_SLACK_US (5 * SECOND_US)

enum { KEEPALIVE_DEFAULT_S = 30, KEEPALIVE_MAX_S = 600 };

/* What Twitch closes sessions for.  https://dev.twitch.tv/docs/eventsub/handling-websocket-events/#close-message */
static const struct {
    int code;
    const char *meaning;
    bool at_once; /* the session ended in good order or its address was the trouble: a new one may begin now */
} closes[] = {
    {4000, "an error in Twitch's server", false},
    {4001, "we sent something, which nobody may", false},
    {4002, "we did not answer a ping", false},
    {4003, "nothing was subscribed to in time", false},
    {4004, "we did not move to the new address in time", true},
    {4005, "a time-out in Twitch's network", false},
    {4006, "an error in Twitch's network", false},
    {4007, "the address for moving was not valid", true},
};

struct eventsub_link *eventsub_link_find(struct eventsub *state, uint32_t connection)
{
    if (connection == 0)
        return NULL;
    return connection == state->current.connection     ? &state->current
           : connection == state->successor.connection ? &state->successor
                                                       : NULL;
}

/* ---- opening ---- */

static void back_off(struct eventsub_call *call)
{
    call->state->retry_us = backoff_failed(&call->state->backoff, call->now_us);
    source_set_state(call->source, SOURCE_BACKING_OFF, call->now_us);
}

void eventsub_links_connect(struct eventsub_call *call)
{
    struct eventsub *state = call->state;
    struct bytes address = call->source->options.base_url;
    if (state->current.connection != 0)
        return;
    if (address.length == 0)
        address = BYTES("wss://eventsub.wss.twitch.tv/ws?keepalive_timeout_seconds=30");
    state->retry_us = INT64_MAX;
    state->current = (struct eventsub_link){.connection = source_open_connection(call->source, call->output, address)};
    if (state->current.connection == 0)
        back_off(call);
    else
        source_set_state(call->source, SOURCE_CONNECTING, call->now_us);
}

void eventsub_link_opened(struct eventsub_call *call, uint32_t connection)
{
    struct eventsub_link *link = eventsub_link_find(call->state, connection);
    if (!link)
        return;
    link->open = true;
    link->opened_us = link->heard_us = call->now_us;
}

void eventsub_link_heard(struct eventsub_call *call, struct eventsub_link *link)
{
    link->heard_us = call->now_us;
    if (link == &call->state->current && call->source->statistics.state == SOURCE_STALE)
        source_set_state(call->source, SOURCE_LIVE, call->now_us);
}

/* ---- what the server says of the session ---- */

void eventsub_link_welcome(struct eventsub_call *call, struct eventsub_link *link, const struct eventsub_message *message)
{
    struct eventsub *state = call->state;
    int64_t keepalive_s = message->keepalive_s > 0 ? message->keepalive_s : KEEPALIVE_DEFAULT_S;
    if (message->session_id.length > EVENTSUB_SESSION_MAX || link->welcome)
        return;
    link->welcome = true;
    link->keepalive_us = (keepalive_s < KEEPALIVE_MAX_S ? keepalive_s : KEEPALIVE_MAX_S) * SECOND_US;
    memcpy(state->session_id, message->session_id.at, message->session_id.length);
    state->session_id[message->session_id.length] = '\0';
    backoff_opened(&state->backoff, call->now_us);
    if (link == &state->successor) { /* the session has moved here, with its subscriptions */
        source_close_connection(call->output, state->current.connection);
        state->current = state->successor;
        state->successor = (struct eventsub_link){0};
    }
    for (size_t i = 0; i < state->room_count; i++) {
        struct eventsub_room *room = &state->rooms[i];
        if (call->source->options.token.length == 0 || room->grants[EVENTSUB_CHAT_MESSAGE] == EVENTSUB_GRANTED)
            eventsub_room_live(call, room);
    }
}

void eventsub_link_reconnect(struct eventsub_call *call, const struct eventsub_link *link, struct bytes url)
{
    struct eventsub *state = call->state;
    if (link != &state->current || url.length == 0)
        return;
    source_close_connection(call->output, state->successor.connection);
    state->successor = (struct eventsub_link){.connection = source_open_connection(call->source, call->output, url)};
    if (state->successor.connection != 0)
        call->source->statistics.reconnects++;
}

/* ---- gaps ---- */

static void fill_gap(struct event *event, const struct eventsub_room *room, int64_t now_us)
{
    event->source = EVENT_TWITCH;
    event->kind = EVENT_GAP;
    event->timestamp_us = event->received_us = now_us;
    event->gap = (struct event_gap){.from_us = room->gap_from_us,
                                    .to_us = now_us,
                                    .first_missing = TRADE_ID_NONE,
                                    .last_missing = TRADE_ID_NONE,
                                    .count = -1,
                                    .reason = BYTES("disconnected")};
}

/* Names are copied: the source may be gone before its events are. */
static void add_gap(struct eventsub_call *call, const struct eventsub_room *room)
{
    struct event *event = source_event(call->output);
    struct arena *arena = &call->output->batch->arena;
    bool frame_open = call->source->frame_open;
    call->source->frame_open = false; /* a gap is not the frame that shows it */
    if (event) {
        fill_gap(event, room, call->now_us);
        event->chat = (struct event_chat){.channel = arena_copy(arena, room->name)};
    }
    if (!event || !event->chat.channel.at || !event_set_id(event, arena))
        source_event_lost(call->source, call->output, event, call->input);
    else
        source_emit(call->source, event);
    call->source->frame_open = frame_open;
}

void eventsub_room_live(struct eventsub_call *call, struct eventsub_room *room)
{
    if (room->gap_from_us != TIME_UNKNOWN)
        add_gap(call, room);
    room->gap_from_us = TIME_UNKNOWN;
    source_set_state(call->source, SOURCE_LIVE, call->now_us);
}

/* What comes from now on is missed, up to when the channel is live again. */
static void begin_gaps(struct eventsub *state, const struct eventsub_link *link, bool subscribed)
{
    for (size_t i = 0; i < state->room_count && link->welcome; i++) {
        struct eventsub_room *room = &state->rooms[i];
        if ((subscribed || room->grants[EVENTSUB_CHAT_MESSAGE] == EVENTSUB_GRANTED) && room->gap_from_us == TIME_UNKNOWN)
            room->gap_from_us = link->heard_us;
    }
}

/* ---- losing ---- */

/* The current connection is gone.  at_once: another may be opened now. */
static void lose_current(struct eventsub_call *call, bool at_once)
{
    struct eventsub *state = call->state;
    begin_gaps(state, &state->current, call->source->options.token.length == 0);
    state->current = state->successor;
    state->successor = (struct eventsub_link){0};
    if (state->current.connection != 0) { /* the session moves there, with its subscriptions */
        source_set_state(call->source, SOURCE_CONNECTING, call->now_us);
        return;
    }
    eventsub_forget_session(call);
    if (at_once) {
        call->source->statistics.reconnects++;
        eventsub_links_connect(call);
    } else {
        back_off(call);
    }
}

static void describe_close(struct source *source, int code, const char *meaning, struct bytes text)
{
    int length = text.length > 200 ? 200 : (int)text.length;
    if (meaning)
        source_set_error(source, "Twitch closed the connection (%d): %s", code, meaning);
    else
        source_set_error(source, "connection closed (%d): %.*s", code, length, text.at ? text.at : "");
}

void eventsub_link_closed(struct eventsub_call *call, uint32_t connection, int code, struct bytes text)
{
    struct eventsub *state = call->state;
    struct eventsub_link *link = eventsub_link_find(state, connection);
    const char *meaning = NULL;
    bool at_once = false;
    if (!link)
        return;
    for (size_t i = 0; i < sizeof closes / sizeof *closes; i++)
        if (closes[i].code == code) {
            meaning = closes[i].meaning;
            at_once = closes[i].at_once;
        }
    describe_close(call->source, code, meaning, text);
    if (link == &state->current)
        lose_current(call, at_once);
    else
        state->successor = (struct eventsub_link){0}; /* the old one delivers as long as it lasts */
}

static void drop_current(struct eventsub_call *call)
{
    source_close_connection(call->output, call->state->current.connection);
    lose_current(call, false);
}

void eventsub_links_restart(struct eventsub_call *call)
{
    source_close_connection(call->output, call->state->successor.connection);
    call->state->successor = (struct eventsub_link){0};
    drop_current(call);
}

void eventsub_links_close(struct eventsub_call *call)
{
    struct eventsub *state = call->state;
    source_close_connection(call->output, state->current.connection);
    source_close_connection(call->output, state->successor.connection);
    state->current = state->successor = (struct eventsub_link){0};
    for (size_t i = 0; i < EVENTSUB_REQUEST_MAX; i++) {
        source_close_connection(call->output, state->requests[i].number);
        state->requests[i].number = 0;
    }
}

/* ---- time ---- */

/* How long the link may be silent. */
static int64_t patience_us(const struct eventsub_link *link)
{
    return link->welcome ? link->keepalive_us + KEEPALIVE_SLACK_US : WELCOME_TIMEOUT_US;
}

static int64_t end_us(const struct eventsub_link *link)
{
    return link->open ? link->heard_us + patience_us(link) : INT64_MAX;
}

int64_t eventsub_links_wake(const struct eventsub_call *call)
{
    const struct eventsub *state = call->state;
    const struct eventsub_link *current = &state->current;
    int64_t current_us = end_us(current), successor_us = end_us(&state->successor);
    if (current->open && current->welcome && call->source->statistics.state == SOURCE_LIVE)
        current_us -= KEEPALIVE_SLACK_US; /* it becomes stale before it is given up */
    int64_t wake_us = current_us < state->retry_us ? current_us : state->retry_us;
    return successor_us < wake_us ? successor_us : wake_us;
}

void eventsub_links_tick(struct eventsub_call *call)
{
    struct eventsub *state = call->state;
    struct eventsub_link *current = &state->current;
    if (call->now_us >= state->retry_us) {
        call->source->statistics.reconnects++;
        eventsub_links_connect(call);
    }
    if (call->now_us >= end_us(&state->successor)) {
        source_close_connection(call->output, state->successor.connection);
        state->successor = (struct eventsub_link){0};
    }
    if (call->now_us >= end_us(current)) {
        source_set_error(call->source, current->welcome ? "the connection is dead: silent for longer than announced"
                                                        : "the server did not welcome us");
        drop_current(call);
    } else if (current->open && call->now_us >= end_us(current) - KEEPALIVE_SLACK_US &&
               call->source->statistics.state == SOURCE_LIVE) {
        source_set_state(call->source, SOURCE_STALE, call->now_us);
    }
}
