/* A line of Twitch chat as a record with typed tags, and the event that it makes.
 * https://dev.twitch.tv/docs/chat/irc/, https://dev.twitch.tv/docs/chat/irc/#supported-tags
 *
 * Metadata hold what the record had, under the names of the table in twitch_irc_record.c, in its order: texts, numbers,
 * true and false, badges as an object, emotes as [{"id","name","begin","end"}] (code points, end included).  A tag that is
 * empty, or is no value of its type, is left out.  Tags msg-param-… without a name of their own stand in `params`. */
#ifndef SOURCE_TWITCH_IRC_RECORD_H
#define SOURCE_TWITCH_IRC_RECORD_H

#include "event/event.h"
#include "source/irc_line.h"

enum twitch_command {
    /* those that make events */
    TWITCH_PRIVMSG,
    TWITCH_USERNOTICE,
    TWITCH_CLEARCHAT,
    TWITCH_CLEARMSG,
    TWITCH_ROOMSTATE,
    TWITCH_NOTICE, /* of a channel; one of the connection makes none */
    /* those of the connection */
    TWITCH_PING,
    TWITCH_RECONNECT,
    TWITCH_CAP,
    TWITCH_ERROR,
    TWITCH_WELCOME,     /* 001: logged in */
    TWITCH_NAMES_END,   /* 366: the last answer to a JOIN of a server that knows no ROOMSTATE */
    TWITCH_NICK_IN_USE, /* 433 */
    TWITCH_UNWANTED,    /* known, and without anything for us: whispers, joins and parts, numerics, … */
    TWITCH_UNKNOWN,
};

/* Tags in the order in which metadata say them. */
enum twitch_tag {
    /* fields of the event */
    TAG_ID,
    TAG_TIME,
    TAG_DISPLAY_NAME,
    TAG_USER_ID,
    TAG_LOGIN,
    TAG_TARGET_USER_ID,
    /* metadata */
    TAG_BADGES,
    TAG_BADGE_INFO,
    TAG_COLOR,
    TAG_EMOTES,
    TAG_EMOTE_ONLY,
    TAG_BITS,
    TAG_MOD,
    TAG_SUBSCRIBER,
    TAG_VIP,
    TAG_TURBO,
    TAG_FIRST_MSG,
    TAG_RETURNING_CHATTER,
    TAG_REPLY_ID,
    TAG_REPLY_USER,
    TAG_REPLY_USER_ID,
    TAG_REPLY_DISPLAY_NAME,
    TAG_REPLY_MESSAGE,
    TAG_THREAD_ID,
    TAG_THREAD_USER,
    TAG_REWARD_ID,
    TAG_FLAGS,
    TAG_CLIENT_NONCE,
    TAG_USER_TYPE,
    TAG_ROOM_ID,
    TAG_SOURCE_ID,
    TAG_SOURCE_ROOM_ID,
    TAG_SOURCE_BADGES,
    TAG_SOURCE_BADGE_INFO,
    TAG_SOURCE_ONLY,
    TAG_MSG_ID,
    TAG_SOURCE_MSG_ID,
    TAG_SYSTEM_MSG,
    TAG_SUB_PLAN,
    TAG_SUB_PLAN_NAME,
    TAG_CUMULATIVE_MONTHS,
    TAG_MONTHS,
    TAG_STREAK_MONTHS,
    TAG_GIFT_MONTHS,
    TAG_GIFT_COUNT,
    TAG_RECIPIENT,
    TAG_RECIPIENT_ID,
    TAG_RECIPIENT_DISPLAY_NAME,
    TAG_VIEWERS,
    TAG_ANNOUNCEMENT_COLOR,
    TAG_TARGET_MSG_ID,
    TAG_BAN_DURATION,
    TAG_FOLLOWERS_ONLY,
    TAG_R9K,
    TAG_SLOW,
    TAG_SUBS_ONLY,
    TWITCH_TAG_COUNT
};
_Static_assert(TWITCH_TAG_COUNT <= 64, "a word says which tags are there");

enum { TWITCH_PARAM_MAX = 32 };

struct twitch_record {
    struct irc_line line;
    enum twitch_command command;
    struct bytes channel; /* without #; empty: none */
    bool escaped;         /* something in the tags may be */
    uint64_t present;     /* bit i: values[i] is set */
    struct bytes values[TWITCH_TAG_COUNT];
    struct irc_tag params[TWITCH_PARAM_MAX]; /* further ones are dropped */
    size_t param_count;
    /* Kept from line to line: which tag came behind which the last time.  Only speed depends on it; all zero at first. */
    uint8_t follower[TWITCH_TAG_COUNT + 1];
};

/* Once, before any record is parsed; from any thread. */
void twitch_record_prepare(void);

/* All bytes point into the line.  Refuses lines that are too long, no UTF-8 or no IRC. */
enum reject_reason twitch_record_parse(struct bytes line, struct twitch_record *record);

/* tmi-sent-ts; TIME_UNKNOWN: none.  False: it is no time. */
bool twitch_record_time(const struct twitch_record *record, int64_t *time_us);

static inline bool twitch_record_has(const struct twitch_record *record, enum twitch_tag tag)
{
    return record->present >> tag & 1;
}

static inline bool twitch_record_makes_event(const struct twitch_record *record)
{
    return record->command < TWITCH_NOTICE || (record->command == TWITCH_NOTICE && record->channel.length > 0);
}

/* Fills the event but for `received_us`.  time_us: for records without a time of their own; may be TIME_UNKNOWN.  `scratch` is
 * the caller's, to be used again.  The event's bytes point into the line or the arena. */
enum reject_reason twitch_record_event(const struct twitch_record *record, int64_t time_us, struct buffer *scratch,
                                       struct arena *arena, struct event *event);

#endif
