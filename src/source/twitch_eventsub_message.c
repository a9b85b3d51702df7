/* Every message is {"metadata":{…},"payload":{…}}; a table says which kinds there are. */
#include "source/twitch_eventsub_message.h"

/* ---- fields ---- */

static void wrong(struct eventsub_reader *reader, enum reject_reason reason)
{
    if (reader->reason == REJECT_NONE)
        reader->reason = reason;
}

static yyjson_val *field(const struct eventsub_reader *reader, const char *name)
{
    yyjson_val *value = yyjson_obj_get(reader->object, name);
    return yyjson_is_null(value) ? NULL : value;
}

struct bytes eventsub_text(struct eventsub_reader *reader, const char *name)
{
    yyjson_val *value = field(reader, name);
    if (value && !yyjson_is_str(value))
        wrong(reader, REJECT_WRONG_TYPE);
    return yyjson_is_str(value) ? json_tree_text(value) : BYTES("");
}

struct bytes eventsub_need(struct eventsub_reader *reader, const char *name)
{
    struct bytes text = eventsub_text(reader, name);
    if (text.length == 0)
        wrong(reader, REJECT_MISSING_FIELD);
    return text;
}

bool eventsub_number(struct eventsub_reader *reader, const char *name, int64_t *number)
{
    yyjson_val *value = field(reader, name);
    if (!value)
        return false;
    enum reject_reason reason = json_tree_int(value, number);
    if (reason != REJECT_NONE)
        wrong(reader, reason);
    return reason == REJECT_NONE;
}

bool eventsub_flag(struct eventsub_reader *reader, const char *name)
{
    yyjson_val *value = field(reader, name);
    if (value && !yyjson_is_bool(value))
        wrong(reader, REJECT_WRONG_TYPE);
    return yyjson_is_true(value);
}

yyjson_val *eventsub_object(struct eventsub_reader *reader, const char *name)
{
    yyjson_val *value = field(reader, name);
    if (value && !yyjson_is_obj(value))
        wrong(reader, REJECT_WRONG_TYPE);
    return yyjson_is_obj(value) ? value : NULL;
}

/* ---- messages ---- */

static const struct {
    struct bytes name;
    enum eventsub_kind kind;
} kinds[] = {
    {BYTES("notification"), EVENTSUB_NOTIFICATION}, {BYTES("session_keepalive"), EVENTSUB_KEEPALIVE},
    {BYTES("session_welcome"), EVENTSUB_WELCOME},   {BYTES("session_reconnect"), EVENTSUB_RECONNECT},
    {BYTES("revocation"), EVENTSUB_REVOCATION},
};

static enum reject_reason parse_metadata(yyjson_val *metadata, struct eventsub_message *message)
{
    struct eventsub_reader reader = {metadata, REJECT_NONE};
    struct bytes kind = eventsub_need(&reader, "message_type");
    message->id = eventsub_need(&reader, "message_id");
    struct bytes time = eventsub_need(&reader, "message_timestamp");
    if (reader.reason != REJECT_NONE)
        return reader.reason;
    if (!timestamp_parse(time, &message->time_us))
        return REJECT_BAD_TIME;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (bytes_equal(kinds[i].name, kind)) {
            message->kind = kinds[i].kind;
            return REJECT_NONE;
        }
    return REJECT_UNKNOWN_KIND;
}

static enum reject_reason parse_session(struct eventsub_reader *payload, struct eventsub_message *message)
{
    struct eventsub_reader session = {eventsub_object(payload, "session"), payload->reason};
    message->session_id = eventsub_need(&session, "id");
    message->reconnect_url = eventsub_text(&session, "reconnect_url");
    eventsub_number(&session, "keepalive_timeout_seconds", &message->keepalive_s);
    return session.reason;
}

static enum reject_reason parse_subscription(struct eventsub_reader *payload, struct eventsub_message *message)
{
    struct eventsub_reader subscription = {eventsub_object(payload, "subscription"), payload->reason};
    message->type = eventsub_need(&subscription, "type");
    message->status = eventsub_text(&subscription, "status");
    struct eventsub_reader condition = {eventsub_object(&subscription, "condition"), subscription.reason};
    message->broadcaster = eventsub_text(&condition, "broadcaster_user_id");
    if (message->kind == EVENTSUB_REVOCATION || condition.reason != REJECT_NONE)
        return condition.reason;
    message->event = eventsub_object(payload, "event");
    return payload->reason != REJECT_NONE ? payload->reason : message->event ? REJECT_NONE : REJECT_MISSING_FIELD;
}

enum reject_reason eventsub_message_parse(struct bytes frame, struct arena *arena, struct eventsub_message *message)
{
    yyjson_doc *document;
    *message = (struct eventsub_message){.time_us = TIME_UNKNOWN};
    enum reject_reason reason = json_tree_read(frame, arena, &document);
    if (reason != REJECT_NONE)
        return reason;
    struct eventsub_reader root = {yyjson_doc_get_root(document), REJECT_NONE};
    if (!yyjson_is_obj(root.object))
        return REJECT_WRONG_TYPE;
    yyjson_val *metadata = eventsub_object(&root, "metadata");
    struct eventsub_reader payload = {eventsub_object(&root, "payload"), root.reason};
    if (payload.reason == REJECT_NONE)
        payload.reason = parse_metadata(metadata, message);
    if (payload.reason != REJECT_NONE || message->kind == EVENTSUB_KEEPALIVE)
        return payload.reason;
    if (message->kind == EVENTSUB_WELCOME || message->kind == EVENTSUB_RECONNECT)
        return parse_session(&payload, message);
    return parse_subscription(&payload, message);
}
