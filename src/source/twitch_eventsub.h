/* Private to the Twitch EventSub adapter: its state, and the calls between its files.
 *
 *     twitch_eventsub.c            the class: options, frames
 *     twitch_eventsub_links.c      connections: welcome, silence, reconnecting, close codes
 *     twitch_eventsub_helix.c      requests: the token's rights, ids of channels, subscriptions
 *     twitch_eventsub_message.c    frames taken apart
 *     twitch_eventsub_event.c      notifications to events
 *
 * Without a token no request is sent and nothing is subscribed to: so it is in replays, whose recordings hold frames and no
 * answers to requests. */
#ifndef SOURCE_TWITCH_EVENTSUB_H
#define SOURCE_TWITCH_EVENTSUB_H

#include "source/backoff.h"
#include "source/seen.h"
#include "source/source_internal.h"
#include "source/twitch_eventsub_event.h"

#define SECOND_US ((int64_t)1000000)

/* Twitch allows 300 subscriptions a connection; the requests for them must be through in 10 s. */
enum { EVENTSUB_ROOM_MAX = 16, EVENTSUB_NAME_MAX = 25, EVENTSUB_ID_MAX = 32, EVENTSUB_SESSION_MAX = 256 };
enum { EVENTSUB_REQUEST_MAX = 6, EVENTSUB_URL_MAX = 2048 };

struct eventsub_link {
    uint32_t connection; /* 0: none */
    bool open, welcome;
    int64_t opened_us, heard_us;
    int64_t keepalive_us; /* longest silence that it announced */
};

enum eventsub_grant { EVENTSUB_WANTED, EVENTSUB_ASKED, EVENTSUB_GRANTED, EVENTSUB_REFUSED };

struct eventsub_room {
    struct bytes name;
    char id[EVENTSUB_ID_MAX + 1]; /* empty: not known */
    bool missing;                 /* there is no such channel */
    enum eventsub_grant grants[EVENTSUB_TYPE_COUNT];
    int64_t gap_from_us; /* TIME_UNKNOWN: nothing is missing */
};

enum eventsub_question { EVENTSUB_VALIDATE, EVENTSUB_SELF, EVENTSUB_USERS, EVENTSUB_SUBSCRIBE };

struct eventsub_request {
    uint32_t number; /* 0: free */
    enum eventsub_question question;
    size_t room; /* EVENTSUB_SUBSCRIBE */
    enum eventsub_type type;
};

struct eventsub {
    char *names; /* of the channels, in lower case */
    struct eventsub_room rooms[EVENTSUB_ROOM_MAX];
    size_t room_count;

    /* connections */
    struct eventsub_link current, successor;
    char session_id[EVENTSUB_SESSION_MAX + 1]; /* of the current one */
    struct backoff backoff;
    int64_t retry_us; /* when to connect; INT64_MAX: not planned */

    /* the vendor's REST interface */
    struct eventsub_request requests[EVENTSUB_REQUEST_MAX];
    struct backoff request_backoff;
    int64_t ask_us;      /* not before; TIME_UNKNOWN: any time */
    int64_t validate_us; /* when the token is to be looked at again */
    bool may_ban;        /* the token has the right to see bans */
    bool expiry_told;
    char client_id[64], user_id[EVENTSUB_ID_MAX + 1]; /* empty: not known */

    struct seen seen;
    struct buffer scratch;
};

/* What handling one input works with. */
struct eventsub_call {
    struct source *source;
    struct eventsub *state;
    struct source_output *output;
    size_t input;
    int64_t now_us;
};

/* ---- twitch_eventsub_links.c ---- */
void eventsub_links_connect(struct eventsub_call *call);
void eventsub_link_opened(struct eventsub_call *call, uint32_t connection);
/* Something has come. */
void eventsub_link_heard(struct eventsub_call *call, struct eventsub_link *link);
struct eventsub_link *eventsub_link_find(struct eventsub *state, uint32_t connection);
void eventsub_link_welcome(struct eventsub_call *call, struct eventsub_link *link, const struct eventsub_message *message);
void eventsub_link_reconnect(struct eventsub_call *call, const struct eventsub_link *link, struct bytes url);
/* It was closed by the other side, or lost. */
void eventsub_link_closed(struct eventsub_call *call, uint32_t connection, int code, struct bytes text);
void eventsub_links_tick(struct eventsub_call *call);
int64_t eventsub_links_wake(const struct eventsub_call *call);
/* Closes all connections and gives up all requests. */
void eventsub_links_close(struct eventsub_call *call);
/* Closes them, and begins anew after a while. */
void eventsub_links_restart(struct eventsub_call *call);
/* Channel events arrive: the source is live, and what was missed is told. */
void eventsub_room_live(struct eventsub_call *call, struct eventsub_room *room);

/* ---- twitch_eventsub_helix.c ---- */
/* Asks for what is not known and subscribes to what is not subscribed to, as far as can be now. */
void eventsub_ask(struct eventsub_call *call);
void eventsub_answered(struct eventsub_call *call, const struct source_input *answer);
void eventsub_revoked(struct eventsub_call *call, const struct eventsub_message *message);
int64_t eventsub_ask_wake(const struct eventsub_call *call);
/* The session is gone: its subscriptions are to be made again. */
void eventsub_forget_session(struct eventsub_call *call);

#endif
