/* Channels: joined at the pace that Twitch allows, over the connection that is to stay.
 *
 *     (not asked) --JOIN--> asked --ROOMSTATE--> joined --connection lost--> (not asked), with a gap from the last byte heard to
 *          ^                  | 10 s, or refused                              the next ROOMSTATE
 *          +----- 10 min -- missing: told once, as a notice */
#include "source/twitch_irc.h"

#define ANSWER_TIMEOUT_US (10 * SECOND_US)
#define MISSING_RETRY_US (600 * SECOND_US)

/* A JOIN with its names and CR LF; IRC allows 512. */
enum { JOIN_LENGTH_MAX = 500 };

struct twitch_room *twitch_find_room(const struct twitch_irc *twitch, struct bytes name)
{
    const uint64_t *index = map_find(&twitch->by_name, name);
    return index ? &twitch->rooms[*index] : NULL;
}

/* The connection over which a shard's channels are joined: NULL while none is logged in. */
static const struct twitch_link *joining_link(const struct twitch_shard *shard, enum twitch_role *role)
{
    *role = shard->links[TWITCH_SUCCESSOR].welcome ? TWITCH_SUCCESSOR : TWITCH_CURRENT;
    return shard->links[*role].welcome ? &shard->links[*role] : NULL;
}

/* ---- joining ---- */

/* When the next JOIN may be sent. */
static int64_t next_join_us(const struct twitch_irc *twitch)
{
    int64_t oldest_us = twitch->joins_us[twitch->join_next];
    return oldest_us == TIME_UNKNOWN ? TIME_MIN : oldest_us + TWITCH_JOIN_WINDOW_US;
}

static bool wants_join(const struct twitch_room *room, enum twitch_role role, int64_t now_us)
{
    return !room->on[role].asked && !room->on[role].joined && room->next_try_us <= now_us;
}

/* One message with as many of the shard's channels as may be joined now and fit; false: there are none, or it cannot be sent. */
static bool send_join(struct twitch_call *call, struct twitch_shard *shard, const struct twitch_link *link, enum twitch_role role)
{
    struct twitch_irc *twitch = call->twitch;
    struct buffer *text = &twitch->scratch;
    struct twitch_room *asked[TWITCH_JOIN_MAX];
    size_t count = 0, next = twitch->join_next;
    buffer_reset(text);
    BUFFER_LITERAL(text, "JOIN ");
    for (size_t i = 0; i < shard->room_count && count < TWITCH_JOIN_MAX; i++) {
        int64_t oldest_us = twitch->joins_us[next];
        if (oldest_us != TIME_UNKNOWN && oldest_us + TWITCH_JOIN_WINDOW_US > call->now_us)
            break;
        struct twitch_room *room = &shard->rooms[i];
        if (!wants_join(room, role, call->now_us))
            continue;
        if (text->length + room->name.length + sizeof ",#\r\n" > JOIN_LENGTH_MAX)
            break;
        buffer_printf(text, "%s#%.*s", count > 0 ? "," : "", BYTES_ARG(room->name));
        asked[count++] = room;
        next = (next + 1) % TWITCH_JOIN_MAX;
    }
    BUFFER_LITERAL(text, "\r\n");
    if (count == 0 || text->failed || !source_send(call->output, link->connection, buffer_bytes(text)))
        return false;
    for (size_t i = 0; i < count; i++) {
        asked[i]->on[role] = (struct twitch_presence){.asked = true, .asked_us = call->now_us};
        twitch->joins_us[twitch->join_next] = call->now_us;
        twitch->join_next = (twitch->join_next + 1) % TWITCH_JOIN_MAX;
    }
    twitch->rooms_changed = true;
    return true;
}

void twitch_rooms_join(struct twitch_call *call)
{
    if (call->now_us == TIME_UNKNOWN)
        return;
    for (size_t i = 0; i < call->twitch->shard_count; i++) {
        enum twitch_role role;
        struct twitch_shard *shard = &call->twitch->shards[i];
        const struct twitch_link *link = joining_link(shard, &role);
        while (link && send_join(call, shard, link, role))
            ;
    }
}

/* ---- what comes of it ---- */

static void fill_gap(struct event *event, const struct twitch_room *room, int64_t now_us)
{
    event->source = EVENT_TWITCH;
    event->kind = EVENT_GAP;
    event->chat = (struct event_chat){.channel = room->name};
    event->timestamp_us = event->received_us = now_us;
    event->gap = (struct event_gap){.from_us = room->gap_from_us,
                                    .to_us = now_us,
                                    .first_missing = TRADE_ID_NONE,
                                    .last_missing = TRADE_ID_NONE,
                                    .count = -1,
                                    .reason = BYTES("disconnected")};
}

/* Tells what was missed.  Names are copied: the source may be gone before its events are. */
static void add_gap(struct twitch_call *call, struct twitch_room *room)
{
    struct event *event = source_event(call->output);
    struct arena *arena = &call->output->batch->arena;
    if (event) {
        fill_gap(event, room, call->now_us);
        event->chat.channel = arena_copy(arena, room->name);
    }
    bool frame_open = call->source->frame_open;
    call->source->frame_open = false; /* a gap is not the frame that shows it */
    if (!event || !event->chat.channel.at || !event_set_id(event, arena))
        source_event_lost(call->source, call->output, event, call->input);
    else
        source_emit(call->source, event);
    call->source->frame_open = frame_open;
}

/* Everything that the old connection has, the new one has too, as far as it can. */
static bool is_taken_over(const struct twitch_shard *shard)
{
    for (size_t i = 0; i < shard->room_count; i++) {
        const struct twitch_room *room = &shard->rooms[i];
        if (room->on[TWITCH_CURRENT].joined && !room->on[TWITCH_SUCCESSOR].joined && !room->missing)
            return false;
    }
    return shard->links[TWITCH_SUCCESSOR].welcome;
}

void twitch_room_joined(struct twitch_call *call, struct twitch_room *room)
{
    call->twitch->rooms_changed = true;
    room->missing = false;
    room->on[call->role] = (struct twitch_presence){.asked = true, .joined = true};
    if (room->gap_from_us != TIME_UNKNOWN && call->now_us != TIME_UNKNOWN)
        add_gap(call, room);
    room->gap_from_us = TIME_UNKNOWN;
    if (call->role == TWITCH_SUCCESSOR && is_taken_over(call->shard))
        twitch_shard_hand_over(call, call->shard);
}

void twitch_room_refused(struct twitch_call *call, struct twitch_room *room)
{
    if (call->now_us == TIME_UNKNOWN)
        return;
    call->twitch->rooms_changed = true;
    room->missing = true;
    room->on[call->role] = (struct twitch_presence){.asked = false};
    room->next_try_us = call->now_us + MISSING_RETRY_US;
    if (call->role == TWITCH_SUCCESSOR && is_taken_over(call->shard))
        twitch_shard_hand_over(call, call->shard);
}

/* An unknown channel answers nothing at all. */
static void tell_missing(struct twitch_call *call, struct twitch_room *room)
{
    source_set_error(call->source, "#%.*s: no answer to JOIN; is there such a channel?", BYTES_ARG(room->name));
    struct event *event = source_event(call->output);
    struct arena *arena = &call->output->batch->arena;
    bool done = false;
    if (event) {
        event->source = EVENT_TWITCH;
        event->kind = EVENT_NOTICE;
        event->timestamp_us = event->received_us = call->now_us;
        event->chat = (struct event_chat){.channel = arena_copy(arena, room->name),
                                          .message = BYTES("no answer to JOIN; is there such a channel?")};
        event->metadata = BYTES("{\"msg_id\":\"channel_missing\"}");
        done = event->chat.channel.at && event_set_id(event, arena);
    }
    if (done)
        source_emit(call->source, event);
    else
        source_event_lost(call->source, call->output, event, call->input);
}

static void tick_shard(struct twitch_call *call, struct twitch_shard *shard)
{
    enum twitch_role role;
    if (!joining_link(shard, &role))
        return;
    struct twitch_call of_shard = *call;
    of_shard.shard = shard;
    of_shard.role = role;
    of_shard.link = &shard->links[role];
    for (size_t i = 0; i < shard->room_count; i++) {
        struct twitch_room *room = &shard->rooms[i];
        const struct twitch_presence *presence = &room->on[of_shard.role];
        if (!presence->asked || presence->joined || call->now_us - presence->asked_us < ANSWER_TIMEOUT_US)
            continue;
        if (!room->missing)
            tell_missing(call, room);
        twitch_room_refused(&of_shard, room);
    }
}

void twitch_rooms_tick(struct twitch_call *call)
{
    for (size_t i = 0; i < call->twitch->shard_count; i++)
        tick_shard(call, &call->twitch->shards[i]);
    twitch_rooms_join(call);
}

/* ---- connections come and go ---- */

void twitch_rooms_left(struct twitch_irc *twitch, struct twitch_shard *shard, enum twitch_role role, int64_t heard_us)
{
    enum twitch_role other = role == TWITCH_CURRENT ? TWITCH_SUCCESSOR : TWITCH_CURRENT;
    for (size_t i = 0; i < shard->room_count; i++) {
        struct twitch_room *room = &shard->rooms[i];
        if (room->on[role].joined && !room->on[other].joined && room->gap_from_us == TIME_UNKNOWN)
            room->gap_from_us = heard_us;
        room->on[role] = (struct twitch_presence){.asked = false};
    }
    twitch->rooms_changed = true;
}

void twitch_rooms_promote(struct twitch_irc *twitch, struct twitch_shard *shard)
{
    for (size_t i = 0; i < shard->room_count; i++) {
        shard->rooms[i].on[TWITCH_CURRENT] = shard->rooms[i].on[TWITCH_SUCCESSOR];
        shard->rooms[i].on[TWITCH_SUCCESSOR] = (struct twitch_presence){.asked = false};
    }
    twitch->rooms_changed = true;
}

static int64_t room_wake(const struct twitch_room *room, enum twitch_role role, int64_t join_us)
{
    const struct twitch_presence *presence = &room->on[role];
    if (presence->joined)
        return INT64_MAX;
    if (presence->asked)
        return presence->asked_us + ANSWER_TIMEOUT_US;
    return room->next_try_us > join_us ? room->next_try_us : join_us;
}

int64_t twitch_rooms_wake(struct twitch_irc *twitch)
{
    if (!twitch->rooms_changed)
        return twitch->rooms_wake_us;
    int64_t wake_us = INT64_MAX, join_us = next_join_us(twitch);
    for (size_t i = 0; i < twitch->shard_count; i++) {
        enum twitch_role role;
        const struct twitch_shard *shard = &twitch->shards[i];
        for (size_t r = 0; joining_link(shard, &role) && r < shard->room_count; r++) {
            int64_t room_us = room_wake(&shard->rooms[r], role, join_us);
            if (room_us < wake_us)
                wake_us = room_us;
        }
    }
    twitch->rooms_changed = false;
    return twitch->rooms_wake_us = wake_us;
}
