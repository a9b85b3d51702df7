/* Twitch chat over EventSub WebSockets: the events of twitch_irc.c, read with a user's token.
 * https://dev.twitch.tv/docs/eventsub/handling-websocket-events/
 *
 * Twitch sends a notification at least once: those that come again have the same id, in their metadata; so have those of one
 * chat message, which is also how the two adapters' events of one message are the same.
 *
 * Frames without a connection (`normalize`, replays of parts) are taken as they are. */
#include "source/twitch_eventsub.h"

#include <stdlib.h>

/* The longest metadata: of a hostile message. */
enum { SCRATCH_CAP = 16 << 20 };

/* ---- making it ---- */

static bool is_name(struct bytes name)
{
    for (size_t i = 0; i < name.length; i++) {
        char byte = name.at[i];
        if (!(byte >= 'a' && byte <= 'z') && !(byte >= '0' && byte <= '9') && byte != '_')
            return false;
    }
    return name.length > 0 && name.length <= EVENTSUB_NAME_MAX;
}

static int add_room(struct eventsub *state, struct bytes name, struct error *error)
{
    if (!is_name(name))
        return error_set(error, "twitch-eventsub: \"%.*s\" is no channel; write its name as in the address of its page",
                         name.length > EVENTSUB_NAME_MAX ? EVENTSUB_NAME_MAX : (int)name.length, name.at ? name.at : "");
    if (state->room_count == EVENTSUB_ROOM_MAX)
        return error_set(error, "twitch-eventsub: at most %d channels a source; use several", EVENTSUB_ROOM_MAX);
    for (size_t i = 0; i < state->room_count; i++)
        if (bytes_equal(state->rooms[i].name, name))
            return error_set(error, "twitch-eventsub: channel %.*s is named twice", BYTES_ARG(name));
    state->rooms[state->room_count++] = (struct eventsub_room){.name = name, .gap_from_us = TIME_UNKNOWN};
    return 0;
}

static int add_rooms(struct source *source, struct error *error)
{
    struct eventsub *state = source->state;
    struct bytes rest = source->options.argument;
    if (rest.length == 0)
        return 0;
    state->names = malloc(rest.length);
    if (!state->names)
        return error_set(error, "twitch-eventsub: out of memory");
    for (size_t i = 0; i < rest.length; i++) {
        char byte = rest.at[i];
        state->names[i] = byte >= 'A' && byte <= 'Z' ? (char)(byte + 'a' - 'A') : byte;
    }
    rest.at = state->names;
    for (bool more = true; more;) {
        struct bytes name = bytes_trim(bytes_split(rest, ',', &rest));
        more = rest.at != NULL;
        if (add_room(state, bytes_start_with(name, BYTES("#")) ? bytes_skip(name, 1) : name, error) != 0)
            return -1;
    }
    return 0;
}

/* They go into headers.  Nothing of the token is ever shown. */
static int check_secrets(struct source *source, struct error *error)
{
    enum { SECRET_MAX = 512 };
    struct source_options *options = &source->options;
    const struct {
        struct bytes *text;
        const char *variable;
    } secrets[] = {{&options->token, "TWITCH_OAUTH_TOKEN"}, {&options->client_id, "TWITCH_CLIENT_ID"}};
    if (bytes_start_with(options->token, BYTES("oauth:")))
        options->token = bytes_skip(options->token, sizeof "oauth:" - 1);
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
        for (size_t j = 0; j < secrets[i].text->length; j++)
            if (secrets[i].text->length > SECRET_MAX || secrets[i].text->at[j] <= ' ' || secrets[i].text->at[j] > '~')
                return error_set(error, "twitch-eventsub: %s is too long, or holds a character that none has",
                                 secrets[i].variable);
    return 0;
}

static int eventsub_init(struct source *source, struct error *error)
{
    struct eventsub *state = source->state;
    struct random random;
    random_seed(&random, source->options.seed);
    backoff_init(&state->backoff, random_u64(&random));
    backoff_init(&state->request_backoff, random_u64(&random));
    buffer_init(&state->scratch, SCRATCH_CAP);
    seen_init(&state->seen);
    state->retry_us = INT64_MAX;
    state->ask_us = state->validate_us = TIME_UNKNOWN;
    return check_secrets(source, error) != 0 ? -1 : add_rooms(source, error);
}

static void eventsub_release(struct source *source)
{
    struct eventsub *state = source->state;
    buffer_release(&state->scratch);
    seen_release(&state->seen);
    free(state->names);
}

/* ---- frames ---- */

/* A message of the session itself. */
static void control_message(struct eventsub_call *call, struct eventsub_link *link, const struct eventsub_message *message)
{
    source_filter(call->source);
    if (!link)
        return;
    switch (message->kind) {
    case EVENTSUB_WELCOME:
        eventsub_link_welcome(call, link, message);
        break;
    case EVENTSUB_RECONNECT:
        eventsub_link_reconnect(call, link, message->reconnect_url);
        break;
    case EVENTSUB_REVOCATION:
        eventsub_revoked(call, message);
        break;
    case EVENTSUB_KEEPALIVE:
    case EVENTSUB_NOTIFICATION:
        break;
    }
}

/* Seen before; otherwise it is from now on. */
static bool is_repeated(struct eventsub_call *call, struct bytes id)
{
    uint64_t key = seen_key_of(id);
    if (seen_has(&call->state->seen, key))
        return true;
    seen_add(&call->state->seen, key, call->now_us);
    return false;
}

static void notification(struct eventsub_call *call, const struct eventsub_message *message, struct bytes frame)
{
    struct source *source = call->source;
    enum eventsub_type type = eventsub_type_find(message->type);
    if (type == EVENTSUB_TYPE_COUNT) { /* nobody asked for it */
        source_filter(source);
        return;
    }
    if (seen_has(&call->state->seen, seen_key_of(message->id))) {
        source_duplicate(source);
        return;
    }
    struct event *event = source_event(call->output);
    if (!event) {
        source_event_lost(source, call->output, NULL, call->input);
        return;
    }
    enum reject_reason reason = eventsub_event(message, type, &call->state->scratch, &call->output->batch->arena, event);
    if (reason != REJECT_NONE) {
        source_event_drop(call->output);
        source_reject(source, call->output, call->input, reason == REJECT_NO_MEMORY ? BYTES("") : frame, reason);
        return;
    }
    event->received_us = call->now_us;
    is_repeated(call, message->id);
    if (is_repeated(call, event->id)) {
        source_event_drop(call->output);
        source_duplicate(source);
        return;
    }
    source_emit(source, event);
}

static void frame_received(struct eventsub_call *call, const struct source_input *input)
{
    struct source *source = call->source;
    struct eventsub_link *link = eventsub_link_find(call->state, input->connection);
    struct eventsub_message message;
    source_frame(source);
    /* What is still on its way when we close, or comes over a connection that was given up. */
    if (source_is_over(source) || (!link && source->last_connection != 0)) {
        source_filter(source);
        return;
    }
    if (link && call->now_us != TIME_UNKNOWN)
        eventsub_link_heard(call, link);
    enum reject_reason reason = eventsub_message_parse(input->frame, &call->output->batch->arena, &message);
    if (reason != REJECT_NONE)
        source_reject(source, call->output, call->input, reason == REJECT_NO_MEMORY ? BYTES("") : input->frame, reason);
    else if (message.kind == EVENTSUB_NOTIFICATION)
        notification(call, &message, input->frame);
    else
        control_message(call, link, &message);
}

/* ---- the calls ---- */

static struct eventsub_call call_of(struct source *source, int64_t now_us, struct source_output *output)
{
    return (struct eventsub_call){.source = source, .state = source->state, .output = output, .now_us = now_us};
}

/* What follows from what has happened. */
static void settle(struct eventsub_call *call)
{
    struct source *source = call->source;
    if (call->now_us != TIME_UNKNOWN)
        eventsub_ask(call);
    if (source_is_over(source))
        return;
    int64_t links_us = eventsub_links_wake(call), ask_us = eventsub_ask_wake(call);
    source->wake_at_us = links_us < ask_us ? links_us : ask_us;
}

static void eventsub_connect(struct source *source, int64_t now_us, struct source_output *output)
{
    struct eventsub_call call = call_of(source, now_us, output);
    if (source->options.argument.length == 0) {
        source_fail(source, now_us, "name a channel, as in twitch-eventsub:CHANNEL");
        return;
    }
    eventsub_links_connect(&call);
    settle(&call);
}

static void eventsub_read(struct source *source, const struct source_input *inputs, size_t count, struct source_output *output)
{
    struct eventsub_call call = call_of(source, TIME_UNKNOWN, output);
    for (size_t i = 0; i < count; i++) {
        call.input = i;
        call.now_us = inputs[i].now_us;
        if (inputs[i].kind == SOURCE_FRAME)
            frame_received(&call, &inputs[i]);
        else if (source_is_over(source) || call.now_us == TIME_UNKNOWN)
            continue;
        else if (inputs[i].kind == SOURCE_OPENED)
            eventsub_link_opened(&call, inputs[i].connection);
        else if (inputs[i].kind == SOURCE_TICK)
            eventsub_links_tick(&call);
        else
            eventsub_answered(&call, &inputs[i]);
        settle(&call);
    }
}

static void eventsub_close(struct source *source, int64_t now_us, struct source_output *output)
{
    struct eventsub_call call = call_of(source, now_us, output);
    eventsub_links_close(&call);
    source_set_state(source, SOURCE_ENDED, now_us);
}

static void eventsub_error(struct source *source, uint32_t connection, int code, struct bytes text, int64_t now_us,
                           struct source_output *output)
{
    struct eventsub_call call = call_of(source, now_us, output);
    if (source_is_over(source))
        return;
    eventsub_link_closed(&call, connection, code, text);
    settle(&call);
}

const struct source_class source_twitch_eventsub = {
    .kind = "twitch-eventsub",
    .argument = "CHANNEL",
    .summary = "Twitch chat over EventSub, read with a user's token",
    .frames = true,
    .state_size = sizeof(struct eventsub),
    .init = eventsub_init,
    .connect = eventsub_connect,
    .read = eventsub_read,
    .close = eventsub_close,
    .error = eventsub_error,
    .release = eventsub_release,
};
