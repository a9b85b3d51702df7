/* Private to the Twitch IRC adapter: its state, and the calls between its files.
 *
 *     twitch_irc.c              the class: options, frames, lines
 *     twitch_irc_links.c        connections: login, silence, reconnecting
 *     twitch_irc_rooms.c        channels: joining, gaps
 *     twitch_irc_record.c       lines to events
 *
 * Channels are shared out to shards, a hundred to each, for an account may be in so many; without a token each shard is an
 * anonymous account of its own.  A shard has one connection or, while one takes over from the other, two. */
#ifndef SOURCE_TWITCH_IRC_H
#define SOURCE_TWITCH_IRC_H

#include "base/map.h"
#include "base/random.h"
#include "source/backoff.h"
#include "source/seen.h"
#include "source/source_internal.h"
#include "source/twitch_irc_record.h"
#include "source/twitch_irc_stream.h"

#define SECOND_US ((int64_t)1000000)

enum { TWITCH_NAME_MAX = 25, TWITCH_SHARD_ROOMS = 100, TWITCH_SHARD_MAX = 5 };
/* Twitch allows 20 JOINs in 10 seconds; the eleventh is for clocks and networks that are not even. */
enum { TWITCH_JOIN_MAX = 20 };
#define TWITCH_JOIN_WINDOW_US (11 * SECOND_US)

enum twitch_role { TWITCH_CURRENT, TWITCH_SUCCESSOR, TWITCH_ROLE_COUNT };

struct twitch_link {
    uint32_t connection; /* 0: none */
    bool open, welcome;  /* welcome: logged in */
    bool plain;          /* the server refused Twitch's capabilities: no tags, no ROOMSTATE */
    int64_t opened_us, heard_us;
    int64_t pinged_us; /* TIME_UNKNOWN: no answer is awaited */
    struct irc_stream stream;
};

/* A channel as seen over one connection. */
struct twitch_presence {
    bool asked, joined;
    int64_t asked_us;
};

struct twitch_room {
    struct bytes name;
    struct twitch_presence on[TWITCH_ROLE_COUNT];
    bool missing;        /* it did not answer, or is suspended: tried again now and then */
    int64_t next_try_us; /* not asked for before */
    int64_t gap_from_us; /* TIME_UNKNOWN: nothing is missing */
    uint64_t state;      /* hash of the last whole ROOMSTATE; 0: none, or changed since */
};

struct twitch_shard {
    struct twitch_link links[TWITCH_ROLE_COUNT];
    struct twitch_room *rooms;
    size_t room_count;
    struct backoff backoff;
    int64_t retry_us[TWITCH_ROLE_COUNT]; /* when a connection is to be opened; INT64_MAX: not planned */
    int64_t hand_over_us;                /* when the successor takes over; INT64_MAX: not planned */
    bool successor_wanted;               /* the successor itself was told to reconnect */
    unsigned guest;                      /* number of the anonymous account */
};

struct twitch_irc {
    char *names; /* of the channels, in lower case */
    struct twitch_room *rooms;
    size_t room_count;
    struct map by_name; /* channel to its index */
    struct twitch_shard shards[TWITCH_SHARD_MAX];
    size_t shard_count;

    int64_t joins_us[TWITCH_JOIN_MAX]; /* when the last ones were sent; a ring */
    size_t join_next;
    int64_t rooms_wake_us; /* when a channel wants something; holds until rooms_changed */
    bool rooms_changed;

    struct random random;
    struct seen seen;
    int64_t newest_us; /* greatest time of a record so far */
    struct twitch_record record;
    struct buffer scratch;
    /* Frames that came over no connection (normalize): see twitch_irc.c. */
    struct irc_stream loose;
    bool loose_has_ends;
};

/* What handling one input works with. */
struct twitch_call {
    struct source *source;
    struct twitch_irc *twitch;
    struct source_output *output;
    size_t input;
    int64_t now_us;
    struct twitch_shard *shard; /* of the frame; NULL: none */
    enum twitch_role role;
    struct twitch_link *link;
};

/* ---- twitch_irc_links.c ---- */
bool twitch_find_link(struct twitch_irc *twitch, uint32_t connection, struct twitch_shard **shard, enum twitch_role *role);
void twitch_links_connect(struct twitch_call *call);
void twitch_link_opened(struct twitch_call *call);
/* The link is gone, and `connection` is closed already or will be. */
void twitch_link_lost(struct twitch_call *call, struct twitch_shard *shard, enum twitch_role role);
void twitch_link_reconnect(struct twitch_call *call);
/* The successor has joined all that was to be joined: it takes over soon. */
void twitch_shard_hand_over(struct twitch_call *call, struct twitch_shard *shard);
void twitch_links_tick(struct twitch_call *call);
void twitch_links_close(struct twitch_call *call);
int64_t twitch_links_wake(const struct twitch_irc *twitch);
void twitch_draw_guest(struct twitch_irc *twitch, struct twitch_shard *shard);
/* Another anonymous name: the first is taken. */
void twitch_link_rename(struct twitch_call *call);
void twitch_show_state(struct source *source, int64_t now_us);

/* ---- twitch_irc_rooms.c ---- */
struct twitch_room *twitch_find_room(const struct twitch_irc *twitch, struct bytes name);
void twitch_rooms_join(struct twitch_call *call);
void twitch_rooms_tick(struct twitch_call *call);
void twitch_room_joined(struct twitch_call *call, struct twitch_room *room);
void twitch_room_refused(struct twitch_call *call, struct twitch_room *room);
/* The shard has lost this connection; heard_us: when anything came over it last. */
void twitch_rooms_left(struct twitch_irc *twitch, struct twitch_shard *shard, enum twitch_role role, int64_t heard_us);
/* The successor becomes the current connection. */
void twitch_rooms_promote(struct twitch_irc *twitch, struct twitch_shard *shard);
int64_t twitch_rooms_wake(struct twitch_irc *twitch);

#endif
