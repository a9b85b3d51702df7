/* Tables say what a notice is by IRC's names, and what metadata call the fields of its details. */
#include "source/twitch_eventsub_event.h"

#include "event/text.h"
#include <assert.h>

/* As many as IRC's adapter takes. */
enum { EMOTE_MAX = 256, BADGE_MAX = 16 };

static const struct bytes type_names[EVENTSUB_TYPE_COUNT] = {
    [EVENTSUB_CHAT_MESSAGE] = BYTES("channel.chat.message"),
    [EVENTSUB_CHAT_NOTIFICATION] = BYTES("channel.chat.notification"),
    [EVENTSUB_MESSAGE_DELETE] = BYTES("channel.chat.message_delete"),
    [EVENTSUB_CLEAR] = BYTES("channel.chat.clear"),
    [EVENTSUB_CLEAR_USER] = BYTES("channel.chat.clear_user_messages"),
    [EVENTSUB_BAN] = BYTES("channel.ban"),
};

struct bytes eventsub_type_name(enum eventsub_type type)
{
    assert(type < EVENTSUB_TYPE_COUNT);
    return type_names[type];
}

enum eventsub_type eventsub_type_find(struct bytes name)
{
    unsigned type = 0;
    while (type < EVENTSUB_TYPE_COUNT && !bytes_equal(type_names[type], name))
        type++;
    return type;
}

/* ---- writing metadata: `,"name":value` each ---- */

static void put_key(struct buffer *out, const char *key)
{
    buffer_printf(out, ",\"%s\":", key);
}

static void put_text(struct buffer *out, const char *key, struct bytes text)
{
    if (text.length == 0)
        return;
    put_key(out, key);
    buffer_json_string(out, text);
}

static void put_number(struct buffer *out, const char *key, int64_t number)
{
    put_key(out, key);
    buffer_json_int(out, number);
}

static void put_flag(struct buffer *out, const char *key, bool flag)
{
    put_key(out, key);
    buffer_append(out, flag ? BYTES("true") : BYTES("false"));
}

/* {"subscriber":"12",…} of the badges' `field`: id, the version, or info, which most have none of.  Of a badge that comes twice,
 * the first counts. */
static size_t put_badges(struct buffer *out, yyjson_val *badges, const char *field)
{
    struct bytes names[BADGE_MAX];
    size_t count = 0, index, max;
    yyjson_val *badge;
    buffer_byte(out, '{');
    yyjson_arr_foreach(badges, index, max, badge)
    {
        struct eventsub_reader reader = {badge, REJECT_NONE};
        struct bytes name = eventsub_text(&reader, "set_id"), value = eventsub_text(&reader, field);
        bool known = name.length == 0 || value.length == 0 || count == BADGE_MAX;
        for (size_t i = 0; i < count && !known; i++)
            known = bytes_equal(names[i], name);
        if (known)
            continue;
        if (count > 0)
            buffer_byte(out, ',');
        names[count++] = name;
        buffer_json_string(out, name);
        buffer_byte(out, ':');
        buffer_json_string(out, value);
    }
    buffer_byte(out, '}');
    return count;
}

static void put_badge_info(struct buffer *out, const char *key, yyjson_val *badges)
{
    size_t before = out->length;
    put_key(out, key);
    if (put_badges(out, badges, "info") == 0)
        out->length = before;
}

static bool has_badge(yyjson_val *badges, struct bytes wanted)
{
    size_t index, max;
    yyjson_val *badge;
    yyjson_arr_foreach(badges, index, max, badge)
    {
        struct eventsub_reader reader = {badge, REJECT_NONE};
        if (bytes_equal(eventsub_text(&reader, "set_id"), wanted))
            return true;
    }
    return false;
}

static size_t code_points(struct bytes text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.length; i++)
        count += ((unsigned char)text.at[i] & 0xC0u) != 0x80u;
    return count;
}

/* The emotes among the fragments, as ranges of code points of the text.  `skipped`: code points of the text before the
 * message.  Fragments that are not what stands in the text end the list: their places would be wrong. */
static void put_emotes(struct buffer *out, yyjson_val *fragments, struct bytes text, size_t skipped)
{
    size_t index, max, offset = 0, place = 0, count = 0;
    yyjson_val *fragment;
    struct eventsub_reader first = {yyjson_arr_get_first(fragments), REJECT_NONE};
    if (skipped > 0 && !bytes_start_with(text, eventsub_text(&first, "text")))
        offset = place = skipped; /* they leave out what stands before the message */
    yyjson_arr_foreach(fragments, index, max, fragment)
    {
        struct eventsub_reader reader = {fragment, REJECT_NONE};
        struct bytes part = eventsub_text(&reader, "text");
        struct eventsub_reader emote = {eventsub_object(&reader, "emote"), REJECT_NONE};
        struct bytes id = eventsub_text(&emote, "id");
        size_t length = code_points(part);
        if (!bytes_start_with(bytes_skip(text, offset), part))
            break;
        if (id.length > 0 && length > 0 && place >= skipped && count < EMOTE_MAX) {
            buffer_append(out, count++ == 0 ? BYTES(",\"emotes\":[{\"id\":") : BYTES(",{\"id\":"));
            buffer_json_string(out, id);
            BUFFER_LITERAL(out, ",\"name\":");
            buffer_json_string(out, part);
            buffer_printf(out, ",\"begin\":%zu,\"end\":%zu}", place - skipped, place - skipped + length - 1);
        }
        offset += part.length;
        place += length;
    }
    if (count > 0)
        buffer_byte(out, ']');
}

/* ---- what messages and notices share ---- */

/* What is being made. */
struct making {
    struct eventsub_reader reader; /* of the notification's event */
    struct event *event;
    struct buffer *out; /* metadata */
    bool action;
};

/* "/me waves" comes as \x01ACTION waves\x01. */
static bool take_action(struct bytes *text)
{
    const struct bytes mark = BYTES("\x01"
                                    "ACTION ");
    if (!bytes_start_with(*text, mark))
        return false;
    *text = bytes_skip(*text, mark.length);
    if (text->length > 0 && text->at[text->length - 1] == '\x01')
        text->length--;
    return true;
}

static bool is_color(struct bytes text)
{
    bool color = text.length == 7 && text.at[0] == '#';
    for (size_t i = 1; i < text.length && color; i++)
        color = memchr("0123456789abcdefABCDEF", text.at[i], 22) != NULL;
    return color;
}

/* Who speaks, and the text with its badges, color and emotes. */
static void fill_said(struct making *making)
{
    struct eventsub_reader *reader = &making->reader;
    struct event_chat *chat = &making->event->chat;
    struct buffer *out = making->out;
    yyjson_val *badges = yyjson_obj_get(reader->object, "badges");
    struct eventsub_reader message = {eventsub_object(reader, "message"), REJECT_NONE};
    struct bytes text = eventsub_text(&message, "text"), color = eventsub_text(reader, "color");
    chat->message = text;
    making->action = take_action(&chat->message);
    put_key(out, "badges");
    put_badges(out, badges, "id");
    put_badge_info(out, "badge_info", badges);
    if (is_color(color))
        put_text(out, "color", color);
    put_emotes(out, yyjson_obj_get(message.object, "fragments"), text, making->action ? (size_t)(chat->message.at - text.at) : 0);
    if (reader->reason == REJECT_NONE)
        reader->reason = message.reason;
}

static void put_standing(struct making *making)
{
    yyjson_val *badges = yyjson_obj_get(making->reader.object, "badges");
    put_flag(making->out, "moderator", has_badge(badges, BYTES("moderator")) || has_badge(badges, BYTES("lead_moderator")));
    put_flag(making->out, "subscriber", has_badge(badges, BYTES("subscriber")) || has_badge(badges, BYTES("founder")));
    if (has_badge(badges, BYTES("vip")))
        put_flag(making->out, "vip", true);
}

/* The room, and the one that shares its chat with this one. */
static void put_rooms(struct making *making)
{
    struct eventsub_reader *reader = &making->reader;
    put_text(making->out, "room_id", eventsub_text(reader, "broadcaster_user_id"));
    struct bytes source_id = eventsub_text(reader, "source_message_id");
    if (source_id.length == 0)
        return;
    yyjson_val *badges = yyjson_obj_get(reader->object, "source_badges");
    put_text(making->out, "source_id", source_id);
    put_text(making->out, "source_room_id", eventsub_text(reader, "source_broadcaster_user_id"));
    put_key(making->out, "source_badges");
    put_badges(making->out, badges, "id");
    put_badge_info(making->out, "source_badge_info", badges);
    put_flag(making->out, "source_only", eventsub_flag(reader, "is_source_only"));
}

static bool set_message_id(struct making *making, struct arena *arena)
{
    const struct bytes prefix = BYTES("twitch:");
    struct bytes id = eventsub_need(&making->reader, "message_id");
    char *text = arena_text(arena, prefix.length + id.length);
    if (!text)
        return false;
    text_put(text_put(text, prefix), id);
    making->event->id = bytes_of(text, prefix.length + id.length);
    return true;
}

/* What has no id of its own gets the one that IRC's adapter gives it if both say the same time: a hash of what both say.  What
 * IRC does not say is added afterwards. */
static bool identify(struct making *making, struct arena *arena)
{
    struct buffer *out = making->out;
    size_t length = out->length;
    if (making->reader.reason != REJECT_NONE)
        return true; /* nothing will come of it */
    buffer_byte(out, '}');
    if (out->failed)
        return false;
    if (length > 0) {
        out->at[0] = '{';
        making->event->metadata = buffer_bytes(out);
    }
    bool done = event_set_id(making->event, arena);
    out->at[0] = ','; /* as before */
    out->length = length;
    making->event->metadata = BYTES_NONE;
    return done;
}

/* ---- channel.chat.message ---- */

static void put_reply(struct making *making)
{
    static const struct {
        const char *name, *key;
    } fields[] = {
        {"parent_message_id", "reply_parent_id"},        {"parent_user_login", "reply_parent_user"},
        {"parent_user_id", "reply_parent_user_id"},      {"parent_user_name", "reply_parent_display_name"},
        {"parent_message_body", "reply_parent_message"}, {"thread_message_id", "reply_thread_id"},
        {"thread_user_login", "reply_thread_user"},
    };
    struct eventsub_reader reply = {eventsub_object(&making->reader, "reply"), REJECT_NONE};
    for (size_t i = 0; i < sizeof fields / sizeof *fields && reply.object; i++)
        put_text(making->out, fields[i].key, eventsub_text(&reply, fields[i].name));
}

/* Kinds of messages, by the names that IRC has for them. */
static void put_message_type(struct making *making)
{
    static const struct {
        struct bytes type, msg_id;
    } types[] = {
        {BYTES("text"), BYTES("")},
        {BYTES("channel_points_highlighted"), BYTES("highlighted-message")},
        {BYTES("channel_points_sub_only"), BYTES("skip-subs-mode-message")},
        {BYTES("user_intro"), BYTES("user-intro")},
        {BYTES("power_ups_message_effect"), BYTES("animated-message")},
        {BYTES("power_ups_gigantified_emote"), BYTES("gigantified-emote-message")},
    };
    struct bytes type = eventsub_text(&making->reader, "message_type");
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (bytes_equal(types[i].type, type)) {
            type = types[i].msg_id;
            break;
        }
    put_text(making->out, "msg_id", type);
}

static bool fill_message(struct making *making, const struct eventsub_message *message, struct arena *arena)
{
    struct eventsub_reader *reader = &making->reader;
    struct event_chat *chat = &making->event->chat;
    int64_t bits;
    (void)message;
    making->event->kind = EVENT_MESSAGE;
    chat->username = eventsub_need(reader, "chatter_user_login");
    chat->display_name = eventsub_text(reader, "chatter_user_name");
    chat->user_id = eventsub_text(reader, "chatter_user_id");
    fill_said(making);
    if (!eventsub_object(reader, "message") && reader->reason == REJECT_NONE)
        reader->reason = REJECT_MISSING_FIELD;
    struct eventsub_reader cheer = {eventsub_object(reader, "cheer"), REJECT_NONE};
    if (eventsub_number(&cheer, "bits", &bits))
        put_number(making->out, "bits", bits);
    put_standing(making);
    put_reply(making);
    put_text(making->out, "custom_reward_id", eventsub_text(reader, "channel_points_custom_reward_id"));
    put_rooms(making);
    put_message_type(making);
    return set_message_id(making, arena);
}

/* ---- channel.chat.notification ---- */

#define SHARED_PREFIX "shared_chat_"

/* What a notice is, and what IRC calls it; any other is a notice under its own name. */
static const struct {
    struct bytes type, msg_id;
    enum event_kind kind;
} notices[] = {
    {BYTES("sub"), BYTES("sub"), EVENT_SUBSCRIPTION},
    {BYTES("resub"), BYTES("resub"), EVENT_SUBSCRIPTION},
    {BYTES("sub_gift"), BYTES("subgift"), EVENT_SUBSCRIPTION},
    {BYTES("community_sub_gift"), BYTES("submysterygift"), EVENT_SUBSCRIPTION},
    {BYTES("gift_paid_upgrade"), BYTES("giftpaidupgrade"), EVENT_SUBSCRIPTION},
    {BYTES("prime_paid_upgrade"), BYTES("primepaidupgrade"), EVENT_SUBSCRIPTION},
    {BYTES("pay_it_forward"), BYTES("standardpayforward"), EVENT_SUBSCRIPTION},
    {BYTES("raid"), BYTES("raid"), EVENT_RAID},
    {BYTES("unraid"), BYTES("unraid"), EVENT_NOTICE},
    {BYTES("announcement"), BYTES("announcement"), EVENT_ANNOUNCEMENT},
    {BYTES("bits_badge_tier"), BYTES("bitsbadgetier"), EVENT_NOTICE},
    {BYTES("charity_donation"), BYTES("charitydonation"), EVENT_NOTICE},
    {BYTES("watch_streak"), BYTES("viewermilestone"), EVENT_NOTICE},
};

/* Fields of the details with a name of their own in metadata, in its order; the others stand in `params`. */
static const struct {
    struct bytes name;
    const char *key;
} details[] = {
    {BYTES("sub_tier"), "tier"},
    {BYTES("cumulative_months"), "months"},
    {BYTES("streak_months"), "streak_months"},
    {BYTES("total"), "gift_count"},
    {BYTES("recipient_user_login"), "recipient"},
    {BYTES("recipient_user_id"), "recipient_id"},
    {BYTES("recipient_user_name"), "recipient_display_name"},
    {BYTES("viewer_count"), "viewers"},
    {BYTES("color"), "announcement_color"},
};

static void put_value(struct buffer *out, yyjson_val *value, struct arena *arena)
{
    yyjson_alc memory = json_tree_memory(arena);
    size_t length;
    char *text = yyjson_val_write_opts(value, YYJSON_WRITE_NOFLAG, &memory, &length, NULL);
    if (text)
        buffer_append(out, bytes_of(text, length));
    else
        out->failed = true;
}

static bool is_named(struct bytes name)
{
    for (size_t i = 0; i < sizeof details / sizeof *details; i++)
        if (bytes_equal(details[i].name, name))
            return true;
    return false;
}

static void put_params(struct buffer *out, yyjson_val *object, struct arena *arena)
{
    size_t index, max, count = 0;
    yyjson_val *key, *value;
    yyjson_obj_foreach(object, index, max, key, value)
    {
        if (yyjson_is_null(value) || is_named(json_tree_text(key)))
            continue;
        buffer_append(out, count++ == 0 ? BYTES(",\"params\":{") : BYTES(","));
        buffer_json_string(out, json_tree_text(key));
        buffer_byte(out, ':');
        put_value(out, value, arena);
    }
    if (count > 0)
        buffer_byte(out, '}');
}

static void put_details(struct making *making, yyjson_val *object, struct bytes type, struct arena *arena)
{
    struct eventsub_reader reader = {object, REJECT_NONE};
    int64_t months;
    if (bytes_equal(type, BYTES("sub"))) /* it is the first month: IRC says so */
        put_number(making->out, "months", 1);
    for (size_t i = 0; i < sizeof details / sizeof *details; i++) {
        yyjson_val *value = yyjson_obj_getn(object, details[i].name.at, details[i].name.length);
        if (!value || yyjson_is_null(value) || yyjson_is_ctn(value) || (yyjson_is_str(value) && yyjson_get_len(value) == 0))
            continue;
        put_key(making->out, details[i].key);
        if (i == 0 && yyjson_is_true(yyjson_obj_get(object, "is_prime"))) /* IRC says so in the tier's place */
            BUFFER_LITERAL(making->out, "\"Prime\"");
        else
            put_value(making->out, value, arena);
    }
    if (bytes_equal(type, BYTES("sub_gift")) && eventsub_number(&reader, "duration_months", &months))
        put_number(making->out, "gift_months", months);
    put_params(making->out, object, arena);
}

/* Nobody's gifts have a giver on IRC: an account of Twitch's. */
static void fill_chatter(struct making *making)
{
    struct event_chat *chat = &making->event->chat;
    chat->username = eventsub_text(&making->reader, "chatter_user_login");
    chat->display_name = eventsub_text(&making->reader, "chatter_user_name");
    chat->user_id = eventsub_text(&making->reader, "chatter_user_id");
    if (chat->username.length > 0 || !eventsub_flag(&making->reader, "chatter_is_anonymous"))
        return;
    chat->username = BYTES("ananonymousgifter");
    chat->display_name = BYTES("AnAnonymousGifter");
    chat->user_id = BYTES("274598607");
}

static bool fill_notification(struct making *making, const struct eventsub_message *message, struct arena *arena)
{
    struct eventsub_reader *reader = &making->reader;
    struct bytes type = eventsub_need(reader, "notice_type"), msg_id = type, plain = type;
    (void)message;
    bool shared = bytes_start_with(type, BYTES(SHARED_PREFIX));
    if (shared)
        plain = msg_id = bytes_skip(type, sizeof SHARED_PREFIX - 1);
    making->event->kind = EVENT_NOTICE;
    for (size_t i = 0; i < sizeof notices / sizeof *notices; i++)
        if (bytes_equal(notices[i].type, plain)) {
            making->event->kind = notices[i].kind;
            msg_id = notices[i].msg_id;
        }
    fill_chatter(making);
    fill_said(making);
    put_standing(making);
    put_rooms(making);
    put_text(making->out, "msg_id", shared ? BYTES("sharedchatnotice") : msg_id);
    if (shared)
        put_text(making->out, "source_msg_id", msg_id);
    put_text(making->out, "system_message", eventsub_text(reader, "system_message"));
    yyjson_val *object = yyjson_obj_getn(reader->object, type.at, type.length);
    if (yyjson_is_obj(object))
        put_details(making, object, plain, arena);
    return set_message_id(making, arena);
}

/* ---- what moderators do ---- */

static bool fill_delete(struct making *making, const struct eventsub_message *message, struct arena *arena)
{
    struct event_chat *chat = &making->event->chat;
    (void)message;
    making->event->kind = EVENT_DELETE;
    chat->username = eventsub_text(&making->reader, "target_user_login");
    put_text(making->out, "target_message_id", eventsub_need(&making->reader, "message_id"));
    bool done = identify(making, arena);
    chat->display_name = eventsub_text(&making->reader, "target_user_name");
    chat->user_id = eventsub_text(&making->reader, "target_user_id");
    put_rooms(making);
    return done;
}

static bool fill_clear(struct making *making, const struct eventsub_message *message, struct arena *arena)
{
    struct event_chat *chat = &making->event->chat;
    making->event->kind = EVENT_CLEAR;
    if (bytes_equal(message->type, type_names[EVENTSUB_CLEAR_USER])) {
        chat->username = eventsub_need(&making->reader, "target_user_login");
        chat->display_name = eventsub_text(&making->reader, "target_user_name");
        chat->user_id = eventsub_text(&making->reader, "target_user_id");
    }
    put_rooms(making);
    return identify(making, arena);
}

static void put_duration(struct making *making)
{
    struct bytes end = eventsub_text(&making->reader, "ends_at");
    int64_t end_us, begin_us = making->event->timestamp_us;
    if (end.length == 0 || eventsub_flag(&making->reader, "is_permanent"))
        return;
    making->event->kind = EVENT_TIMEOUT;
    if (timestamp_parse(end, &end_us) && end_us >= begin_us)
        put_number(making->out, "duration_seconds", (end_us - begin_us + 500000) / 1000000);
    else
        making->reader.reason = REJECT_BAD_TIME;
}

static bool fill_ban(struct making *making, const struct eventsub_message *message, struct arena *arena)
{
    struct eventsub_reader *reader = &making->reader;
    struct event *event = making->event;
    struct bytes begin = eventsub_text(reader, "banned_at");
    (void)message;
    event->kind = EVENT_BAN;
    event->chat.username = eventsub_need(reader, "user_login");
    event->chat.user_id = eventsub_text(reader, "user_id");
    if (begin.length > 0 && !timestamp_parse(begin, &event->timestamp_us))
        reader->reason = REJECT_BAD_TIME;
    put_rooms(making);
    put_duration(making);
    bool done = identify(making, arena);
    event->chat.display_name = eventsub_text(reader, "user_name");
    put_text(making->out, "reason", eventsub_text(reader, "reason"));
    put_text(making->out, "moderator_user", eventsub_text(reader, "moderator_user_login"));
    put_text(making->out, "moderator_user_id", eventsub_text(reader, "moderator_user_id"));
    return done;
}

enum reject_reason eventsub_event(const struct eventsub_message *message, enum eventsub_type type, struct buffer *scratch,
                                  struct arena *arena, struct event *event)
{
    static bool (*const fills[EVENTSUB_TYPE_COUNT])(struct making *, const struct eventsub_message *, struct arena *) = {
        [EVENTSUB_CHAT_MESSAGE] = fill_message,  [EVENTSUB_CHAT_NOTIFICATION] = fill_notification,
        [EVENTSUB_MESSAGE_DELETE] = fill_delete, [EVENTSUB_CLEAR] = fill_clear,
        [EVENTSUB_CLEAR_USER] = fill_clear,      [EVENTSUB_BAN] = fill_ban,
    };
    struct making making = {.reader = {message->event, REJECT_NONE}, .event = event, .out = scratch};
    assert(type < EVENTSUB_TYPE_COUNT);
    buffer_reset(scratch);
    event->source = EVENT_TWITCH;
    event->timestamp_us = message->time_us;
    event->chat = (struct event_chat){.channel = eventsub_need(&making.reader, "broadcaster_user_login")};
    bool done = fills[type](&making, message, arena);
    if (making.reader.reason != REJECT_NONE)
        return making.reader.reason;
    if (making.action)
        put_flag(scratch, "action", true);
    buffer_byte(scratch, '}');
    if (!done || scratch->failed)
        return REJECT_NO_MEMORY;
    if (scratch->length > 1) {
        scratch->at[0] = '{'; /* in the first comma's place */
        event->metadata = arena_copy(arena, buffer_bytes(scratch));
    }
    return scratch->length > 1 && !event->metadata.at ? REJECT_NO_MEMORY : REJECT_NONE;
}
