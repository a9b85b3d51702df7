/* EventSub notifications of chat as events: the same, with the same ids, that Twitch's IRC makes (twitch_irc_record.h).
 * https://dev.twitch.tv/docs/eventsub/eventsub-subscription-types/
 *
 * What only IRC says (first_message, turbo, flags, …) is missing; `moderator`, `subscriber` and `vip` are read from the
 * badges.  Of a timeout or ban two notifications tell: channel.ban, for which the account must be the broadcaster's, and
 * channel.chat.clear_user_messages, which is an event of kind clear that names the user. */
#ifndef SOURCE_TWITCH_EVENTSUB_EVENT_H
#define SOURCE_TWITCH_EVENTSUB_EVENT_H

#include "source/twitch_eventsub_message.h"

/* The types of subscriptions that make events. */
enum eventsub_type {
    EVENTSUB_CHAT_MESSAGE,
    EVENTSUB_CHAT_NOTIFICATION,
    EVENTSUB_MESSAGE_DELETE,
    EVENTSUB_CLEAR,
    EVENTSUB_CLEAR_USER,
    EVENTSUB_BAN,
    EVENTSUB_TYPE_COUNT
};
struct bytes eventsub_type_name(enum eventsub_type type);
/* EVENTSUB_TYPE_COUNT: none of them. */
enum eventsub_type eventsub_type_find(struct bytes name);

/* Fills the event but for `received_us`.  `scratch` is the caller's, to be used again.  The event's bytes live as long as the
 * arena and the message. */
enum reject_reason eventsub_event(const struct eventsub_message *message, enum eventsub_type type, struct buffer *scratch,
                                  struct arena *arena, struct event *event);

#endif
