/* Twitch chat over IRC: channels' messages and what moderators do, read with an account or anonymously.
 * https://dev.twitch.tv/docs/chat/irc/
 *
 * A message of the connection is a piece of its byte stream; each line in it is a record and is accounted for by itself.
 * Order is not guaranteed, and a record may come twice, over one connection or two: the event's id tells.  Records without
 * an id or a time of their own are compared as text, and only while two connections overlap.
 *
 * Frames without a connection (`normalize`) are whole lines.  Those with one that was never asked for are pieces of a recorded
 * stream: as long as none of them has held the end of a line each is a line; then they are pieces, but for what is left
 * over before one that begins a line. */
#include "source/twitch_irc.h"

#include <inttypes.h>
#include <stdlib.h>

/* The longest metadata: of a hostile line. */
enum { SCRATCH_CAP = 4 << 20, NAMES_MAX = TWITCH_SHARD_ROOMS * TWITCH_SHARD_MAX };

/* ---- making it ---- */

static bool is_name(struct bytes name)
{
    for (size_t i = 0; i < name.length; i++) {
        char byte = name.at[i];
        if (!(byte >= 'a' && byte <= 'z') && !(byte >= '0' && byte <= '9') && byte != '_')
            return false;
    }
    return name.length > 0 && name.length <= TWITCH_NAME_MAX;
}

static int add_room(struct source *source, struct bytes name, struct error *error)
{
    struct twitch_irc *twitch = source->state;
    if (!is_name(name))
        return error_set(error, "twitch-irc: \"%.*s\" is no channel; write its name as in the address of its page",
                         name.length > TWITCH_NAME_MAX ? TWITCH_NAME_MAX : (int)name.length, name.at ? name.at : "");
    size_t most = source->options.token.length > 0 ? TWITCH_SHARD_ROOMS : NAMES_MAX;
    if (twitch->room_count == most)
        return error_set(error, "twitch-irc: more than %zu channels; an account may be in %d, all sources without a token in %d",
                         most, TWITCH_SHARD_ROOMS, NAMES_MAX);
    bool added;
    uint64_t *index = map_put(&twitch->by_name, name, &added);
    if (!index)
        return error_set(error, "twitch-irc: out of memory");
    if (!added)
        return error_set(error, "twitch-irc: channel %.*s is named twice", BYTES_ARG(name));
    *index = twitch->room_count;
    twitch->rooms[twitch->room_count++] = (struct twitch_room){.name = name, .gap_from_us = TIME_UNKNOWN};
    return 0;
}

static int add_rooms(struct source *source, struct error *error)
{
    struct twitch_irc *twitch = source->state;
    struct bytes rest = source->options.argument;
    if (rest.length == 0)
        return 0;
    size_t commas = 0;
    twitch->names = malloc(rest.length);
    for (size_t i = 0; twitch->names && i < rest.length; i++) {
        char byte = rest.at[i];
        twitch->names[i] = byte >= 'A' && byte <= 'Z' ? (char)(byte + 'a' - 'A') : byte;
        commas += byte == ',';
    }
    twitch->rooms = calloc(commas + 1 < NAMES_MAX ? commas + 1 : NAMES_MAX, sizeof *twitch->rooms);
    if (!twitch->names || !twitch->rooms)
        return error_set(error, "twitch-irc: out of memory");
    rest.at = twitch->names;
    for (bool more = true; more;) {
        struct bytes name = bytes_trim(bytes_split(rest, ',', &rest));
        more = rest.at != NULL;
        if (add_room(source, bytes_start_with(name, BYTES("#")) ? bytes_skip(name, 1) : name, error) != 0)
            return -1;
    }
    return 0;
}

static void share_out(struct twitch_irc *twitch)
{
    for (size_t first = 0; first < twitch->room_count; first += TWITCH_SHARD_ROOMS) {
        struct twitch_shard *shard = &twitch->shards[twitch->shard_count++];
        size_t left = twitch->room_count - first;
        shard->rooms = twitch->rooms + first;
        shard->room_count = left < TWITCH_SHARD_ROOMS ? left : TWITCH_SHARD_ROOMS;
        twitch_draw_guest(twitch, shard);
        shard->retry_us[TWITCH_CURRENT] = shard->retry_us[TWITCH_SUCCESSOR] = shard->hand_over_us = INT64_MAX;
        backoff_init(&shard->backoff, random_u64(&twitch->random));
        for (size_t role = 0; role < TWITCH_ROLE_COUNT; role++) {
            irc_stream_init(&shard->links[role].stream);
            shard->links[role].heard_us = shard->links[role].pinged_us = TIME_UNKNOWN;
        }
    }
}

/* Name and token as Twitch wants them.  Nothing of the token is ever shown. */
static int check_login(struct source *source, struct error *error)
{
    struct source_options *options = &source->options;
    if (bytes_start_with(options->token, BYTES("oauth:")))
        options->token = bytes_skip(options->token, sizeof "oauth:" - 1);
    for (size_t i = 0; i < options->token.length; i++)
        if (options->token.at[i] <= ' ' || options->token.at[i] > '~')
            return error_set(error, "twitch-irc: TWITCH_OAUTH_TOKEN holds a character that no token has");
    if (options->token.length > 0 && options->login.length == 0)
        return error_set(error,
                         "twitch-irc: TWITCH_NICKNAME is missing: whose is TWITCH_OAUTH_TOKEN?  Without both, chat is read "
                         "anonymously");
    char *login = source->texts + (options->login.at - source->texts);
    for (size_t i = 0; i < options->login.length; i++)
        login[i] = login[i] >= 'A' && login[i] <= 'Z' ? (char)(login[i] + 'a' - 'A') : login[i];
    if (options->login.length > 0 && !is_name(options->login))
        return error_set(error, "twitch-irc: TWITCH_NICKNAME is no login name: letters, digits and _, at most %d",
                         TWITCH_NAME_MAX);
    return 0;
}

static int twitch_irc_init(struct source *source, struct error *error)
{
    struct twitch_irc *twitch = source->state;
    twitch_record_prepare();
    map_init(&twitch->by_name, NAMES_MAX);
    buffer_init(&twitch->scratch, SCRATCH_CAP);
    irc_stream_init(&twitch->loose);
    seen_init(&twitch->seen);
    random_seed(&twitch->random, source->options.seed);
    twitch->newest_us = TIME_UNKNOWN;
    twitch->rooms_wake_us = INT64_MAX;
    for (size_t i = 0; i < TWITCH_JOIN_MAX; i++)
        twitch->joins_us[i] = TIME_UNKNOWN;
    if (check_login(source, error) != 0 || add_rooms(source, error) != 0)
        return -1;
    share_out(twitch);
    return 0;
}

static void twitch_irc_release(struct source *source)
{
    struct twitch_irc *twitch = source->state;
    for (size_t i = 0; i < twitch->shard_count; i++)
        for (size_t role = 0; role < TWITCH_ROLE_COUNT; role++)
            irc_stream_release(&twitch->shards[i].links[role].stream);
    irc_stream_release(&twitch->loose);
    buffer_release(&twitch->scratch);
    map_release(&twitch->by_name);
    seen_release(&twitch->seen);
    free(twitch->rooms);
    free(twitch->names);
}

/* ---- lines of the connection itself ---- */

static struct bytes last_param(const struct twitch_record *record)
{
    return record->line.param_count > 0 ? record->line.params[record->line.param_count - 1] : BYTES("");
}

static int shown_length(struct bytes text)
{
    return text.length > 200 ? 200 : (int)text.length;
}

static void answer_ping(struct twitch_call *call)
{
    struct buffer *text = &call->twitch->scratch;
    buffer_reset(text);
    BUFFER_LITERAL(text, "PONG :");
    buffer_append(text, last_param(&call->twitch->record));
    BUFFER_LITERAL(text, "\r\n");
    if (!text->failed)
        source_send(call->output, call->link->connection, buffer_bytes(text));
}

/* A notice of the server to us.  That a login is refused is said by its text alone. */
static void server_notice(struct twitch_call *call)
{
    static const struct bytes refusals[] = {
        BYTES("Login authentication failed"),
        BYTES("Login unsuccessful"),
        BYTES("Improperly formatted auth"),
        BYTES("Invalid NICK"),
    };
    struct bytes text = last_param(&call->twitch->record);
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals && !call->link->welcome; i++)
        if (bytes_equal(text, refusals[i])) {
            twitch_links_close(call);
            source_fail(call->source, call->now_us,
                        "Twitch refused the login (%.*s): put a new token with the right chat:read into TWITCH_OAUTH_TOKEN and "
                        "its account's name into TWITCH_NICKNAME, or leave both out to read anonymously",
                        BYTES_ARG(text));
            return;
        }
    source_set_error(call->source, "the server says: %.*s", shown_length(text), text.at);
}

/* A server that refuses them is none of Twitch's: it waits for the end of the negotiation and for USER (RFC 2812 3.1.3), which
 * Twitch does without. */
static void capabilities(struct twitch_call *call)
{
    const struct irc_line *line = &call->twitch->record.line;
    if (line->param_count < 2 || !bytes_equal(line->params[1], BYTES("NAK")))
        return;
    call->link->plain = true;
    source_send(call->output, call->link->connection, BYTES("CAP END\r\n"));
    source_send(call->output, call->link->connection, BYTES("USER dataflow 0 * :dataflow\r\n"));
    source_set_error(call->source, "the server refused %.*s: messages come without tags",
                     shown_length(last_param(&call->twitch->record)), last_param(&call->twitch->record).at);
}

static void control_line(struct twitch_call *call)
{
    const struct twitch_record *record = &call->twitch->record;
    struct twitch_room *room;
    source_filter(call->source);
    if (!call->link)
        return;
    switch (record->command) {
    case TWITCH_PING:
        answer_ping(call);
        break;
    case TWITCH_RECONNECT:
        twitch_link_reconnect(call);
        break;
    case TWITCH_CAP:
        capabilities(call);
        break;
    case TWITCH_WELCOME:
        call->link->welcome = true;
        call->twitch->rooms_changed = true;
        twitch_rooms_join(call);
        break;
    case TWITCH_NAMES_END:
        if (call->link->plain && (room = twitch_find_room(call->twitch, record->channel)))
            twitch_room_joined(call, room);
        break;
    case TWITCH_NICK_IN_USE:
        twitch_link_rename(call);
        break;
    case TWITCH_NOTICE:
        server_notice(call);
        break;
    case TWITCH_ERROR:
        source_set_error(call->source, "the server says: %.*s", shown_length(last_param(record)), last_param(record).at);
        break;
    default:
        break;
    }
}

/* ---- records ---- */

/* A whole ROOMSTATE that says what is known already: the answer to another JOIN. */
static bool is_known_state(struct twitch_room *room, const struct twitch_record *record)
{
    const uint64_t whole = (uint64_t)1 << TAG_SLOW | (uint64_t)1 << TAG_R9K | (uint64_t)1 << TAG_SUBS_ONLY;
    if ((record->present & whole) != whole) {
        room->state = 0;
        return false;
    }
    uint64_t key = seen_key_of(record->line.tags);
    bool known = room->state == key;
    room->state = key;
    return known;
}

/* What a record of a channel says about our being in it.  True: it says nothing new. */
static bool note_room(struct twitch_call *call)
{
    const struct twitch_record *record = &call->twitch->record;
    if (!call->link || (record->command != TWITCH_ROOMSTATE && record->command != TWITCH_NOTICE))
        return false;
    struct twitch_room *room = twitch_find_room(call->twitch, record->channel);
    if (!room)
        return false;
    if (record->command == TWITCH_ROOMSTATE) {
        if (!room->on[call->role].joined)
            twitch_room_joined(call, room);
        return is_known_state(room, record);
    }
    static const struct bytes refusals[] = {
        BYTES("msg_channel_suspended"), BYTES("msg_banned"), BYTES("msg_room_not_found"), BYTES("tos_ban"),
        BYTES("msg_channel_blocked"),
    };
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals && twitch_record_has(record, TAG_MSG_ID); i++)
        if (bytes_equal(record->values[TAG_MSG_ID], refusals[i]))
            twitch_room_refused(call, room);
    return false;
}

/* Without id and time, the same text is the same record only if two connections bring it. */
static bool came_twice(struct twitch_call *call, struct bytes line)
{
    const struct twitch_record *record = &call->twitch->record;
    if (!call->shard || !call->shard->links[TWITCH_CURRENT].welcome || !call->shard->links[TWITCH_SUCCESSOR].welcome ||
        twitch_record_has(record, TAG_ID) || twitch_record_has(record, TAG_TIME))
        return false;
    uint64_t key = seen_key_of(line);
    if (seen_has(&call->twitch->seen, key))
        return true;
    seen_add(&call->twitch->seen, key, call->now_us);
    return false;
}

static void note_time(struct twitch_irc *twitch)
{
    int64_t time_us;
    if (twitch_record_time(&twitch->record, &time_us) && time_us != TIME_UNKNOWN && time_us > twitch->newest_us)
        twitch->newest_us = time_us;
}

static void record_line(struct twitch_call *call, struct bytes line)
{
    struct twitch_irc *twitch = call->twitch;
    if (note_room(call) || came_twice(call, line)) {
        source_duplicate(call->source);
        return;
    }
    struct event *event = source_event(call->output);
    if (!event) {
        source_event_lost(call->source, call->output, NULL, call->input);
        return;
    }
    uint64_t key = 0; /* of the record's own id as it stands in the line; 0: it has none, and the event's is taken */
    if (twitch_record_has(&twitch->record, TAG_ID) && twitch->record.values[TAG_ID].length > 0) {
        key = seen_key_of(twitch->record.values[TAG_ID]);
        seen_expect(&twitch->seen, key);
    }
    /* Bare lines have no time of receipt: what has no time of its own happened about when the newest record did. */
    int64_t time_us = call->now_us != TIME_UNKNOWN ? call->now_us : twitch->newest_us;
    enum reject_reason reason =
        twitch_record_event(&twitch->record, time_us, &twitch->scratch, &call->output->batch->arena, event);
    if (reason != REJECT_NONE) {
        source_event_drop(call->output);
        source_reject(call->source, call->output, call->input, reason == REJECT_NO_MEMORY ? BYTES("") : line, reason);
        return;
    }
    event->received_us = call->now_us;
    if (key == 0)
        key = seen_key_of(event->id);
    if (seen_has(&twitch->seen, key)) {
        source_event_drop(call->output);
        source_duplicate(call->source);
        return;
    }
    seen_add(&twitch->seen, key, call->now_us);
    note_time(twitch);
    source_emit(call->source, event);
}

/* ---- frames ---- */

static void take_line(struct twitch_call *call, struct bytes line, bool joined, enum reject_reason reason)
{
    if (source_is_over(call->source)) { /* was still on its way */
        source_filter(call->source);
        return;
    }
    if (joined) { /* it lies in the stream, and is to outlive the call */
        line = arena_copy(&call->output->batch->arena, line);
        if (!line.at)
            reason = REJECT_NO_MEMORY;
    }
    if (reason == REJECT_NONE && line.length == 0)
        return;
    if (reason == REJECT_NONE)
        reason = twitch_record_parse(line, &call->twitch->record);
    if (reason != REJECT_NONE)
        source_reject(call->source, call->output, call->input, line.at ? line : BYTES(""), reason);
    else if (twitch_record_makes_event(&call->twitch->record))
        record_line(call, line);
    else
        control_line(call);
}

static void take_lines(struct twitch_call *call, struct bytes frame)
{
    static const enum reject_reason reasons[] = {
        [IRC_STREAM_LINE] = REJECT_NONE, [IRC_STREAM_TOO_LONG] = REJECT_TOO_LONG, [IRC_STREAM_NO_MEMORY] = REJECT_NO_MEMORY};
    enum irc_stream_result result;
    struct bytes line;
    bool joined;
    struct irc_stream *stream = call->link ? &call->link->stream : &call->twitch->loose;
    while ((result = irc_stream_next(stream, &frame, &line, &joined)) != IRC_STREAM_END)
        take_line(call, line, joined, reasons[result]);
}

/* Whether the piece of a recorded stream begins a line, so that what came before it was one. */
static bool begins_line(struct bytes frame, struct twitch_record *record)
{
    struct bytes rest, line = bytes_split(frame, '\n', &rest);
    if (line.length > 0 && line.at[line.length - 1] == '\r')
        line.length--;
    bool likely =
        bytes_start_with(line, BYTES("@")) || bytes_start_with(line, BYTES(":")) || bytes_start_with(line, BYTES("PING "));
    return likely && twitch_record_parse(line, record) == REJECT_NONE;
}

static void flush_loose(struct twitch_call *call)
{
    struct bytes line;
    if (irc_stream_flush(&call->twitch->loose, &line))
        take_line(call, line, true, REJECT_NONE);
}

static void take_loose(struct twitch_call *call, uint32_t connection, struct bytes frame)
{
    struct twitch_irc *twitch = call->twitch;
    twitch->loose_has_ends |= connection != 0 && bytes_find(frame, '\n') >= 0;
    bool whole = connection == 0 || !twitch->loose_has_ends;
    if (irc_stream_holds(&twitch->loose) && (whole || begins_line(frame, &twitch->record)))
        flush_loose(call);
    if (whole && bytes_find(frame, '\n') < 0) {
        if (frame.length > 0 && frame.at[frame.length - 1] == '\r')
            frame.length--;
        take_line(call, frame, false, REJECT_NONE);
        return;
    }
    take_lines(call, frame);
    if (whole)
        flush_loose(call);
}

static void frame_received(struct twitch_call *call, const struct source_input *input)
{
    struct source *source = call->source;
    source_frame(source);
    if (call->link) {
        if (call->now_us != TIME_UNKNOWN) {
            call->link->heard_us = call->now_us;
            call->link->pinged_us = TIME_UNKNOWN;
        }
        take_lines(call, input->frame);
    } else if (source->last_connection == 0 && !source_is_over(source)) {
        take_loose(call, input->connection, input->frame);
    }
    if (source->frame_open) /* part of a line, or from a connection that is closed */
        source_filter(source);
}

/* ---- the calls ---- */

static struct twitch_call call_of(struct source *source, int64_t now_us, struct source_output *output)
{
    return (struct twitch_call){.source = source, .twitch = source->state, .output = output, .now_us = now_us};
}

static void plan_wake(struct source *source)
{
    struct twitch_irc *twitch = source->state;
    if (source_is_over(source))
        return;
    int64_t links_us = twitch_links_wake(twitch), rooms_us = twitch_rooms_wake(twitch);
    source->wake_at_us = links_us < rooms_us ? links_us : rooms_us;
}

/* After a restart: what the log has is known again, and a channel's gap begins with the last that was logged of it. */
static void twitch_irc_resume(struct source *source, const struct event *event)
{
    struct twitch_irc *twitch = source->state;
    struct twitch_room *room = event->source == EVENT_TWITCH ? twitch_find_room(twitch, event->chat.channel) : NULL;
    if (!room)
        return;
    const struct bytes prefix = BYTES("twitch:");
    struct bytes id = bytes_start_with(event->id, prefix) ? bytes_skip(event->id, prefix.length) : event->id;
    int64_t at_us = event->received_us != TIME_UNKNOWN ? event->received_us : event->timestamp_us;
    uint64_t key = seen_key_of(id);
    if (!seen_has(&twitch->seen, key))
        seen_add(&twitch->seen, key, at_us);
    if (room->gap_from_us == TIME_UNKNOWN || room->gap_from_us < at_us)
        room->gap_from_us = at_us;
}

static void twitch_irc_connect(struct source *source, int64_t now_us, struct source_output *output)
{
    struct twitch_call call = call_of(source, now_us, output);
    if (source->options.argument.length == 0) {
        source_fail(source, now_us, "name at least one channel, as in twitch-irc:CHANNEL");
        return;
    }
    twitch_links_connect(&call);
    plan_wake(source);
}

static void twitch_irc_read(struct source *source, const struct source_input *inputs, size_t count, struct source_output *output)
{
    struct twitch_call call = call_of(source, TIME_UNKNOWN, output);
    for (size_t i = 0; i < count; i++) {
        call.input = i;
        call.now_us = inputs[i].now_us;
        call.link = NULL;
        call.shard = NULL;
        if (twitch_find_link(call.twitch, inputs[i].connection, &call.shard, &call.role))
            call.link = &call.shard->links[call.role];
        if (inputs[i].kind == SOURCE_FRAME) {
            frame_received(&call, &inputs[i]);
        } else if (inputs[i].kind == SOURCE_OPENED && call.link && !source_is_over(source)) {
            twitch_link_opened(&call);
        } else if (inputs[i].kind == SOURCE_TICK && call.now_us != TIME_UNKNOWN && !source_is_over(source)) {
            twitch_links_tick(&call);
            twitch_rooms_tick(&call);
        }
    }
    plan_wake(source);
}

static void twitch_irc_close(struct source *source, int64_t now_us, struct source_output *output)
{
    struct twitch_call call = call_of(source, now_us, output);
    call.now_us = TIME_UNKNOWN;
    if (!source_is_over(source))
        flush_loose(&call);
    twitch_links_close(&call);
    source_set_state(source, SOURCE_ENDED, now_us);
}

static void twitch_irc_error(struct source *source, uint32_t connection, int code, struct bytes text, int64_t now_us,
                             struct source_output *output)
{
    struct twitch_call call = call_of(source, now_us == TIME_UNKNOWN ? 0 : now_us, output);
    if (source_is_over(source) || !twitch_find_link(call.twitch, connection, &call.shard, &call.role))
        return;
    source_set_error(source, "connection closed (%d): %.*s", code, shown_length(text), text.at ? text.at : "");
    twitch_link_lost(&call, call.shard, call.role);
    plan_wake(source);
}

const struct source_class source_twitch_irc = {
    .kind = "twitch-irc",
    .argument = "CHANNEL[,…]",
    .summary = "Twitch chat over IRC: messages, subscriptions, raids, moderation",
    .frames = true,
    .state_size = sizeof(struct twitch_irc),
    .init = twitch_irc_init,
    .resume = twitch_irc_resume,
    .connect = twitch_irc_connect,
    .read = twitch_irc_read,
    .close = twitch_irc_close,
    .error = twitch_irc_error,
    .release = twitch_irc_release,
};
