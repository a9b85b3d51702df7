/* Requests to Twitch's REST interface, in the order in which each needs the one before:
 *
 *     the token's rights, owner and client id (oauth2/validate; again every hour, as Twitch demands)
 *     ids of the channels (users?login=…)
 *     subscriptions of a welcome session (eventsub/subscriptions), those of messages first
 *
 * How an answer is taken: 200s do it; 401 ends the source, for no retry makes a token good; 403 refuses one subscription; 429 and
 * 5xx and none at all are tried again, after the time that the server names or a growing one.
 *
 * The token is in the headers of requests and nowhere else. */
#include "source/twitch_eventsub.h"

#include <inttypes.h>
#include <stdio.h>

#define VALIDATE_EVERY_US (3600 * SECOND_US)
#define VALIDATE_AGAIN_US (300 * SECOND_US)
/* Early enough to make another. */
#define EXPIRY_WARNING_S (24 * 3600)
enum { HEADERS_MAX = 1024 };

#define NEW_TOKEN "put a new user token with the right user:read:chat into TWITCH_OAUTH_TOKEN"

/* ---- sending ---- */

static bool is_asked(const struct eventsub *state, enum eventsub_question question)
{
    for (size_t i = 0; i < EVENTSUB_REQUEST_MAX; i++)
        if (state->requests[i].number != 0 && state->requests[i].question == question)
            return true;
    return false;
}

static struct eventsub_request *free_request(struct eventsub *state)
{
    for (size_t i = 0; i < EVENTSUB_REQUEST_MAX; i++)
        if (state->requests[i].number == 0)
            return &state->requests[i];
    return NULL;
}

static size_t write_headers(const struct eventsub_call *call, enum eventsub_question question, char *out, size_t size)
{
    struct bytes token = call->source->options.token;
    int length;
    if (question == EVENTSUB_VALIDATE)
        length = snprintf(out, size, "Authorization: OAuth %.*s\r\n", BYTES_ARG(token));
    else
        length = snprintf(out, size, "Authorization: Bearer %.*s\r\nClient-Id: %s\r\n%s", BYTES_ARG(token),
                          call->state->client_id, question == EVENTSUB_SUBSCRIBE ? "Content-Type: application/json\r\n" : "");
    return length > 0 && (size_t)length < size ? (size_t)length : 0;
}

static struct bytes without_slash(struct bytes base)
{
    while (base.length > 0 && base.at[base.length - 1] == '/')
        base.length--;
    return base;
}

/* The address that a question goes to.  The token is looked at by another server than the rest, but for a base that was put in
 * the vendor's place: there it is BASE/oauth2/validate. */
static void put_url(const struct eventsub_call *call, enum eventsub_question question, struct buffer *out)
{
    const struct eventsub *state = call->state;
    struct bytes base = without_slash(call->source->options.rest_url);
    if (base.length == 0)
        base = question == EVENTSUB_VALIDATE ? BYTES("https://id.twitch.tv") : BYTES("https://api.twitch.tv/helix");
    static const struct bytes paths[] = {[EVENTSUB_VALIDATE] = BYTES("/oauth2/validate"),
                                         [EVENTSUB_SELF] = BYTES("/users"),
                                         [EVENTSUB_USERS] = BYTES("/users"),
                                         [EVENTSUB_SUBSCRIBE] = BYTES("/eventsub/subscriptions")};
    buffer_append(out, base);
    buffer_append(out, paths[question]);
    for (size_t i = 0; i < state->room_count && question == EVENTSUB_USERS; i++) {
        buffer_append(out, i == 0 ? BYTES("?login=") : BYTES("&login="));
        buffer_append(out, state->rooms[i].name);
    }
}

static bool send_request(struct eventsub_call *call, enum eventsub_question question, struct bytes body)
{
    struct eventsub_request *request = free_request(call->state);
    char headers[HEADERS_MAX];
    size_t length = write_headers(call, question, headers, sizeof headers);
    struct buffer url;
    call->state->ask_us = call->now_us + SECOND_US; /* unless it can be sent now */
    if (!request || length == 0)
        return false;
    buffer_init(&url, EVENTSUB_URL_MAX);
    put_url(call, question, &url);
    request->question = question;
    if (!url.failed)
        request->number = source_request(call->source, call->output, question == EVENTSUB_SUBSCRIBE ? "POST" : "GET",
                                         buffer_bytes(&url), bytes_of(headers, length), body);
    explicit_bzero(headers, sizeof headers);
    buffer_release(&url);
    if (request->number != 0)
        call->state->ask_us = TIME_UNKNOWN;
    return request->number != 0;
}

static bool subscribe(struct eventsub_call *call, size_t room, enum eventsub_type type)
{
    struct eventsub *state = call->state;
    struct eventsub_request *request = free_request(state);
    struct buffer *body = &state->scratch;
    buffer_reset(body);
    buffer_printf(body, "{\"type\":\"%.*s\",\"version\":\"1\",\"condition\":{\"broadcaster_user_id\":\"%s\"",
                  BYTES_ARG(eventsub_type_name(type)), state->rooms[room].id);
    if (type != EVENTSUB_BAN) /* who reads */
        buffer_printf(body, ",\"user_id\":\"%s\"", state->user_id);
    BUFFER_LITERAL(body, "},\"transport\":{\"method\":\"websocket\",\"session_id\":");
    buffer_json_string(body, bytes_of_string(state->session_id));
    BUFFER_LITERAL(body, "}}");
    if (body->failed || !send_request(call, EVENTSUB_SUBSCRIBE, buffer_bytes(body)))
        return false;
    request->room = room;
    request->type = type;
    state->rooms[room].grants[type] = EVENTSUB_ASKED;
    return true;
}

static bool all_ids_known(const struct eventsub *state)
{
    for (size_t i = 0; i < state->room_count; i++)
        if (state->rooms[i].id[0] == '\0' && !state->rooms[i].missing)
            return false;
    return true;
}

/* The next subscription that is wanted; messages of all channels come first. */
static bool next_subscription(const struct eventsub *state, size_t *room, enum eventsub_type *type)
{
    for (unsigned t = 0; t < EVENTSUB_TYPE_COUNT; t++)
        for (size_t i = 0; i < state->room_count; i++)
            if (state->rooms[i].grants[t] == EVENTSUB_WANTED && state->rooms[i].id[0] != '\0' &&
                (t != EVENTSUB_BAN || state->may_ban)) {
                *room = i;
                *type = t;
                return true;
            }
    return false;
}

void eventsub_ask(struct eventsub_call *call)
{
    struct eventsub *state = call->state;
    size_t room;
    enum eventsub_type type;
    if (source_is_over(call->source) || call->source->options.token.length == 0 || call->now_us < state->ask_us)
        return;
    if (call->now_us >= state->validate_us && !is_asked(state, EVENTSUB_VALIDATE))
        send_request(call, EVENTSUB_VALIDATE, BYTES(""));
    if (state->client_id[0] == '\0' || state->validate_us == TIME_UNKNOWN)
        return;
    if (state->user_id[0] == '\0' && !is_asked(state, EVENTSUB_SELF))
        send_request(call, EVENTSUB_SELF, BYTES(""));
    if (!all_ids_known(state) && !is_asked(state, EVENTSUB_USERS))
        send_request(call, EVENTSUB_USERS, BYTES(""));
    if (state->user_id[0] == '\0' || !state->current.welcome)
        return;
    while (free_request(state) && next_subscription(state, &room, &type))
        if (!subscribe(call, room, type))
            return;
}

/* What is asked already brings its answer by itself. */
int64_t eventsub_ask_wake(const struct eventsub_call *call)
{
    struct eventsub *state = call->state;
    size_t room;
    enum eventsub_type type;
    if (call->source->options.token.length == 0)
        return INT64_MAX;
    int64_t wake_us = is_asked(state, EVENTSUB_VALIDATE) ? INT64_MAX : state->validate_us;
    bool waiting =
        state->user_id[0] == '\0' || !all_ids_known(state) || (state->current.welcome && next_subscription(state, &room, &type));
    if (waiting && state->ask_us > call->now_us && state->ask_us < wake_us)
        wake_us = state->ask_us;
    return wake_us < state->ask_us ? state->ask_us : wake_us;
}

void eventsub_forget_session(struct eventsub_call *call)
{
    struct eventsub *state = call->state;
    state->session_id[0] = '\0';
    for (size_t i = 0; i < EVENTSUB_REQUEST_MAX; i++)
        if (state->requests[i].number != 0 && state->requests[i].question == EVENTSUB_SUBSCRIBE) {
            source_close_connection(call->output, state->requests[i].number);
            state->requests[i].number = 0;
        }
    for (size_t i = 0; i < state->room_count; i++)
        for (unsigned type = 0; type < EVENTSUB_TYPE_COUNT; type++)
            if (state->rooms[i].grants[type] != EVENTSUB_REFUSED)
                state->rooms[i].grants[type] = EVENTSUB_WANTED;
}

/* ---- answers ---- */

static void fail(struct eventsub_call *call, const char *text)
{
    eventsub_links_close(call);
    source_fail(call->source, call->now_us, "%s", text);
}

/* Not now: the server said when, or in a while. */
static void ask_later(struct eventsub_call *call, const struct source_input *answer, const char *what)
{
    struct eventsub *state = call->state;
    if (answer->status == 0)
        source_set_error(call->source, "%s: %.*s", what, answer->frame.length > 200 ? 200 : (int)answer->frame.length,
                         answer->frame.at);
    else
        source_set_error(call->source, "%s: Twitch answered with status %d", what, answer->status);
    int64_t at_us = backoff_failed(&state->request_backoff, call->now_us);
    if (answer->retry_after_us >= 0)
        at_us = call->now_us + answer->retry_after_us;
    if (at_us > state->ask_us)
        state->ask_us = at_us;
}

/* The "message" of an error's body, "" if there is none. */
static struct bytes error_text(struct eventsub_call *call, struct bytes body)
{
    yyjson_doc *document;
    if (json_tree_read(body, &call->output->batch->arena, &document) != REJECT_NONE)
        return BYTES("");
    struct eventsub_reader reader = {yyjson_doc_get_root(document), REJECT_NONE};
    struct bytes text = eventsub_text(&reader, "message");
    return text.length > 200 ? bytes_of(text.at, 200) : text;
}

/* The root of an answer, an object; NULL: it is none. */
static yyjson_val *answer_root(struct eventsub_call *call, const struct source_input *answer)
{
    yyjson_doc *document;
    if (json_tree_read(answer->frame, &call->output->batch->arena, &document) != REJECT_NONE)
        return NULL;
    yyjson_val *root = yyjson_doc_get_root(document);
    return yyjson_is_obj(root) ? root : NULL;
}

/* Ids and names go into addresses and headers. */
static bool keep_plain(char *out, size_t size, struct bytes text)
{
    for (size_t i = 0; i < text.length; i++)
        if (text.at[i] <= ' ' || text.at[i] > '~' || text.at[i] == '"' || text.at[i] == '\\')
            return false;
    if (text.length == 0 || text.length >= size)
        return false;
    memcpy(out, text.at, text.length);
    out[text.length] = '\0';
    return true;
}

static bool has_scope(yyjson_val *scopes, struct bytes wanted)
{
    size_t index, max;
    yyjson_val *scope;
    yyjson_arr_foreach(scopes, index, max, scope)
    {
        if (yyjson_is_str(scope) && bytes_equal(json_tree_text(scope), wanted))
            return true;
    }
    return false;
}

static void warn_of_expiry(struct eventsub_call *call, int64_t expires_s)
{
    if (expires_s <= 0 || expires_s > EXPIRY_WARNING_S || call->state->expiry_told)
        return; /* 0: it does not expire */
    call->state->expiry_told = true;
    source_warn(call->source, "TWITCH_OAUTH_TOKEN expires in %" PRId64 " h %" PRId64 " min; " NEW_TOKEN, expires_s / 3600,
                expires_s / 60 % 60);
}

static void token_validated(struct eventsub_call *call, const struct source_input *answer)
{
    struct eventsub *state = call->state;
    struct source_options *options = &call->source->options;
    struct eventsub_reader reader = {answer_root(call, answer), REJECT_NONE};
    int64_t expires_s = 0;
    struct bytes client_id = eventsub_text(&reader, "client_id"), user_id = eventsub_text(&reader, "user_id");
    eventsub_number(&reader, "expires_in", &expires_s);
    yyjson_val *scopes = yyjson_obj_get(reader.object, "scopes");
    if (reader.reason != REJECT_NONE || !keep_plain(state->client_id, sizeof state->client_id, client_id)) {
        ask_later(call, answer, "looking at the token");
        return;
    }
    if (options->client_id.length > 0 && !bytes_equal(options->client_id, client_id)) {
        fail(call, "TWITCH_CLIENT_ID is not the application that TWITCH_OAUTH_TOKEN was made for; leave it out");
        return;
    }
    if (!keep_plain(state->user_id, sizeof state->user_id, user_id)) {
        fail(call, "TWITCH_OAUTH_TOKEN is an application's, and EventSub over WebSocket takes only a user's; " NEW_TOKEN);
        return;
    }
    if (!has_scope(scopes, BYTES("user:read:chat"))) {
        fail(call, "TWITCH_OAUTH_TOKEN has not the right user:read:chat; " NEW_TOKEN);
        return;
    }
    state->may_ban = has_scope(scopes, BYTES("channel:moderate"));
    state->validate_us = call->now_us + VALIDATE_EVERY_US;
    warn_of_expiry(call, expires_s);
}

/* The server that looks at tokens is away.  With a client id and a token that the other server takes, that is no reason to wait.
 */
static void validation_failed(struct eventsub_call *call, const struct source_input *answer)
{
    struct eventsub *state = call->state;
    if (state->client_id[0] == '\0' && !keep_plain(state->client_id, sizeof state->client_id, call->source->options.client_id)) {
        ask_later(call, answer, "looking at the token");
        return;
    }
    if (state->validate_us == TIME_UNKNOWN)
        state->may_ban = true; /* the subscription's answer will tell */
    state->validate_us = call->now_us + VALIDATE_AGAIN_US;
}

/* The list in an answer; NULL: it has none. */
static yyjson_val *answer_list(struct eventsub_call *call, const struct source_input *answer)
{
    yyjson_val *root = answer_root(call, answer);
    yyjson_val *data = root ? yyjson_obj_get(root, "data") : NULL;
    return yyjson_is_arr(data) ? data : NULL;
}

static void self_answered(struct eventsub_call *call, const struct source_input *answer)
{
    yyjson_val *data = answer_list(call, answer);
    struct eventsub_reader user = {data ? yyjson_arr_get_first(data) : NULL, REJECT_NONE};
    if (!keep_plain(call->state->user_id, sizeof call->state->user_id, eventsub_text(&user, "id")))
        ask_later(call, answer, "asking for the account");
}

static void users_answered(struct eventsub_call *call, const struct source_input *answer)
{
    struct eventsub *state = call->state;
    yyjson_val *data = answer_list(call, answer), *one;
    size_t index, max, missing = 0;
    if (!data) {
        ask_later(call, answer, "asking for channels");
        return;
    }
    yyjson_arr_foreach(data, index, max, one)
    {
        struct eventsub_reader user = {one, REJECT_NONE};
        struct bytes login = eventsub_text(&user, "login"), id = eventsub_text(&user, "id");
        for (size_t i = 0; i < state->room_count; i++)
            if (bytes_equal(state->rooms[i].name, login))
                keep_plain(state->rooms[i].id, sizeof state->rooms[i].id, id);
    }
    for (size_t i = 0; i < state->room_count; i++) {
        struct eventsub_room *room = &state->rooms[i];
        room->missing = room->id[0] == '\0';
        missing += room->missing;
        if (room->missing && state->room_count > 1)
            source_warn(call->source, "there is no channel %.*s on Twitch", BYTES_ARG(room->name));
    }
    if (missing == state->room_count)
        fail(call, "there is no such channel on Twitch: write its name as in the address of its page");
}

/* ---- subscriptions ---- */

/* No channel's messages can be had any more, nor will be. */
static bool all_refused(const struct eventsub *state)
{
    for (size_t i = 0; i < state->room_count; i++)
        if (!state->rooms[i].missing && state->rooms[i].grants[EVENTSUB_CHAT_MESSAGE] != EVENTSUB_REFUSED)
            return false;
    return true;
}

static void refuse(struct eventsub_call *call, struct eventsub_room *room, enum eventsub_type type, struct bytes why)
{
    struct bytes name = eventsub_type_name(type);
    room->grants[type] = EVENTSUB_REFUSED;
    if (type != EVENTSUB_CHAT_MESSAGE) {
        source_warn(call->source, "%.*s of %.*s is not to be had: %.*s", BYTES_ARG(name), BYTES_ARG(room->name), BYTES_ARG(why));
        return;
    }
    if (!all_refused(call->state)) {
        source_warn(call->source, "messages of %.*s are not to be had: %.*s", BYTES_ARG(room->name), BYTES_ARG(why));
        return;
    }
    char text[512];
    snprintf(text, sizeof text, "Twitch refuses the messages of %.*s (%.*s): is the account banned there?  Otherwise " NEW_TOKEN,
             BYTES_ARG(room->name), BYTES_ARG(why));
    fail(call, text);
}

static void subscription_answered(struct eventsub_call *call, const struct eventsub_request *request,
                                  const struct source_input *answer)
{
    struct eventsub_room *room = &call->state->rooms[request->room];
    enum eventsub_grant *grant = &room->grants[request->type];
    switch (answer->status) {
    case 200:
    case 202:
    case 409: /* it is there already */
        *grant = EVENTSUB_GRANTED;
        backoff_opened(&call->state->request_backoff, call->now_us);
        if (request->type == EVENTSUB_CHAT_MESSAGE)
            eventsub_room_live(call, room);
        break;
    case 403:
        refuse(call, room, request->type, error_text(call, answer->frame));
        break;
    case 400: /* the session is gone before its subscriptions were made, or Twitch knows this type no more */
        *grant = EVENTSUB_WANTED;
        if (request->type == EVENTSUB_CHAT_MESSAGE) {
            struct bytes why = error_text(call, answer->frame);
            source_set_error(call->source, "Twitch does not take the subscription: %.*s", BYTES_ARG(why));
            eventsub_links_restart(call);
        } else {
            refuse(call, room, request->type, error_text(call, answer->frame));
        }
        break;
    default:
        *grant = EVENTSUB_WANTED;
        ask_later(call, answer, "subscribing");
    }
}

static void take_answer(struct eventsub_call *call, const struct eventsub_request *request, const struct source_input *answer)
{
    bool good = answer->status == 200;
    if (answer->status == 401) {
        fail(call, "Twitch does not accept TWITCH_OAUTH_TOKEN: it has expired or was taken back; " NEW_TOKEN);
        return;
    }
    switch (request->question) {
    case EVENTSUB_VALIDATE:
        if (good)
            token_validated(call, answer);
        else
            validation_failed(call, answer);
        break;
    case EVENTSUB_SELF:
        if (good)
            self_answered(call, answer);
        else
            ask_later(call, answer, "asking for the account");
        break;
    case EVENTSUB_USERS:
        if (good)
            users_answered(call, answer);
        else
            ask_later(call, answer, "asking for channels");
        break;
    case EVENTSUB_SUBSCRIBE:
        subscription_answered(call, request, answer);
        break;
    }
}

void eventsub_answered(struct eventsub_call *call, const struct source_input *answer)
{
    struct eventsub *state = call->state;
    for (size_t i = 0; i < EVENTSUB_REQUEST_MAX && answer->connection != 0; i++)
        if (state->requests[i].number == answer->connection) {
            struct eventsub_request request = state->requests[i];
            state->requests[i].number = 0;
            take_answer(call, &request, answer);
            return;
        }
}

/* ---- revocations ---- */

void eventsub_revoked(struct eventsub_call *call, const struct eventsub_message *message)
{
    struct eventsub *state = call->state;
    enum eventsub_type type = eventsub_type_find(message->type);
    if (type == EVENTSUB_TYPE_COUNT)
        return;
    for (size_t i = 0; i < state->room_count; i++) {
        struct eventsub_room *room = &state->rooms[i];
        if (!bytes_equal(bytes_of_string(room->id), message->broadcaster))
            continue;
        struct bytes why = message->status.length > 100 ? bytes_of(message->status.at, 100) : message->status;
        if (type == EVENTSUB_CHAT_MESSAGE && room->gap_from_us == TIME_UNKNOWN)
            room->gap_from_us = call->now_us;
        refuse(call, room, type, why);
    }
}
