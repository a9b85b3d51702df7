/* The messages of an EventSub WebSocket session, taken apart.
 * https://dev.twitch.tv/docs/eventsub/websocket-reference/ */
#ifndef SOURCE_TWITCH_EVENTSUB_MESSAGE_H
#define SOURCE_TWITCH_EVENTSUB_MESSAGE_H

#include "event/json_tree.h"

enum eventsub_kind {
    EVENTSUB_WELCOME,
    EVENTSUB_KEEPALIVE,
    EVENTSUB_RECONNECT,
    EVENTSUB_NOTIFICATION,
    EVENTSUB_REVOCATION,
};

struct eventsub_message {
    enum eventsub_kind kind;
    struct bytes id; /* the same when Twitch sends a message again */
    int64_t time_us;
    /* welcome, reconnect */
    struct bytes session_id, reconnect_url;
    int64_t keepalive_s; /* 0: not said */
    /* notification, revocation */
    struct bytes type;        /* "channel.chat.message" */
    struct bytes status;      /* why it was revoked: "authorization_revoked" */
    struct bytes broadcaster; /* id of the channel */
    yyjson_val *event;        /* notification */
};

/* All bytes live as long as the arena.  REJECT_UNKNOWN_KIND for a type of message that is not documented. */
enum reject_reason eventsub_message_parse(struct bytes frame, struct arena *arena, struct eventsub_message *message);

/* ---- fields of an object ---- */

/* Remembers the first thing that was wrong. */
struct eventsub_reader {
    yyjson_val *object; /* NULL: everything is missing */
    enum reject_reason reason;
};

/* A text that must be there and not be empty. */
struct bytes eventsub_need(struct eventsub_reader *reader, const char *name);
/* A text; empty if it is missing or null. */
struct bytes eventsub_text(struct eventsub_reader *reader, const char *name);
/* A whole number; false if it is missing or null. */
bool eventsub_number(struct eventsub_reader *reader, const char *name, int64_t *number);
bool eventsub_flag(struct eventsub_reader *reader, const char *name);
/* An object; NULL if it is missing or null. */
yyjson_val *eventsub_object(struct eventsub_reader *reader, const char *name);

#endif
