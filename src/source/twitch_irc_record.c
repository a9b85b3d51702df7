/* One table says of each tag what type it has and what metadata call it. */
#include "source/twitch_irc_record.h"

#include "event/text.h"
#include "source/twitch_irc_emotes.h"
#include <assert.h>
#include <pthread.h>

enum tag_type { TYPE_FIELD, TYPE_TEXT, TYPE_NUMBER, TYPE_FLAG, TYPE_COLOR, TYPE_BADGES, TYPE_EMOTES };

static const struct {
    struct bytes name;
    enum tag_type type;
    struct bytes key; /* in metadata, with what stands around it */
} tags[TWITCH_TAG_COUNT] = {
#define TAG(tag, type, name, key) [tag] = {BYTES(name), type, BYTES(",\"" key "\":")}
    TAG(TAG_ID, TYPE_FIELD, "id", ""),
    TAG(TAG_TIME, TYPE_FIELD, "tmi-sent-ts", ""),
    TAG(TAG_DISPLAY_NAME, TYPE_FIELD, "display-name", ""),
    TAG(TAG_USER_ID, TYPE_FIELD, "user-id", ""),
    TAG(TAG_LOGIN, TYPE_FIELD, "login", ""),
    TAG(TAG_TARGET_USER_ID, TYPE_FIELD, "target-user-id", ""),
    TAG(TAG_BADGES, TYPE_BADGES, "badges", "badges"),
    TAG(TAG_BADGE_INFO, TYPE_BADGES, "badge-info", "badge_info"),
    TAG(TAG_COLOR, TYPE_COLOR, "color", "color"),
    TAG(TAG_EMOTES, TYPE_EMOTES, "emotes", "emotes"),
    TAG(TAG_EMOTE_ONLY, TYPE_FLAG, "emote-only", "emote_only"),
    TAG(TAG_BITS, TYPE_NUMBER, "bits", "bits"),
    TAG(TAG_MOD, TYPE_FLAG, "mod", "moderator"),
    TAG(TAG_SUBSCRIBER, TYPE_FLAG, "subscriber", "subscriber"),
    TAG(TAG_VIP, TYPE_FLAG, "vip", "vip"),
    TAG(TAG_TURBO, TYPE_FLAG, "turbo", "turbo"),
    TAG(TAG_FIRST_MSG, TYPE_FLAG, "first-msg", "first_message"),
    TAG(TAG_RETURNING_CHATTER, TYPE_FLAG, "returning-chatter", "returning_chatter"),
    TAG(TAG_REPLY_ID, TYPE_TEXT, "reply-parent-msg-id", "reply_parent_id"),
    TAG(TAG_REPLY_USER, TYPE_TEXT, "reply-parent-user-login", "reply_parent_user"),
    TAG(TAG_REPLY_USER_ID, TYPE_TEXT, "reply-parent-user-id", "reply_parent_user_id"),
    TAG(TAG_REPLY_DISPLAY_NAME, TYPE_TEXT, "reply-parent-display-name", "reply_parent_display_name"),
    TAG(TAG_REPLY_MESSAGE, TYPE_TEXT, "reply-parent-msg-body", "reply_parent_message"),
    TAG(TAG_THREAD_ID, TYPE_TEXT, "reply-thread-parent-msg-id", "reply_thread_id"),
    TAG(TAG_THREAD_USER, TYPE_TEXT, "reply-thread-parent-user-login", "reply_thread_user"),
    TAG(TAG_REWARD_ID, TYPE_TEXT, "custom-reward-id", "custom_reward_id"),
    TAG(TAG_FLAGS, TYPE_TEXT, "flags", "flags"),
    TAG(TAG_CLIENT_NONCE, TYPE_TEXT, "client-nonce", "client_nonce"),
    TAG(TAG_USER_TYPE, TYPE_TEXT, "user-type", "user_type"),
    TAG(TAG_ROOM_ID, TYPE_TEXT, "room-id", "room_id"),
    TAG(TAG_SOURCE_ID, TYPE_TEXT, "source-id", "source_id"),
    TAG(TAG_SOURCE_ROOM_ID, TYPE_TEXT, "source-room-id", "source_room_id"),
    TAG(TAG_SOURCE_BADGES, TYPE_BADGES, "source-badges", "source_badges"),
    TAG(TAG_SOURCE_BADGE_INFO, TYPE_BADGES, "source-badge-info", "source_badge_info"),
    TAG(TAG_SOURCE_ONLY, TYPE_FLAG, "source-only", "source_only"),
    TAG(TAG_MSG_ID, TYPE_TEXT, "msg-id", "msg_id"),
    TAG(TAG_SOURCE_MSG_ID, TYPE_TEXT, "source-msg-id", "source_msg_id"),
    TAG(TAG_SYSTEM_MSG, TYPE_TEXT, "system-msg", "system_message"),
    TAG(TAG_SUB_PLAN, TYPE_TEXT, "msg-param-sub-plan", "tier"),
    TAG(TAG_SUB_PLAN_NAME, TYPE_TEXT, "msg-param-sub-plan-name", "plan_name"),
    TAG(TAG_CUMULATIVE_MONTHS, TYPE_NUMBER, "msg-param-cumulative-months", "months"),
    TAG(TAG_MONTHS, TYPE_NUMBER, "msg-param-months", "months"),
    TAG(TAG_STREAK_MONTHS, TYPE_NUMBER, "msg-param-streak-months", "streak_months"),
    TAG(TAG_GIFT_MONTHS, TYPE_NUMBER, "msg-param-gift-months", "gift_months"),
    TAG(TAG_GIFT_COUNT, TYPE_NUMBER, "msg-param-mass-gift-count", "gift_count"),
    TAG(TAG_RECIPIENT, TYPE_TEXT, "msg-param-recipient-user-name", "recipient"),
    TAG(TAG_RECIPIENT_ID, TYPE_TEXT, "msg-param-recipient-id", "recipient_id"),
    TAG(TAG_RECIPIENT_DISPLAY_NAME, TYPE_TEXT, "msg-param-recipient-display-name", "recipient_display_name"),
    TAG(TAG_VIEWERS, TYPE_NUMBER, "msg-param-viewerCount", "viewers"),
    TAG(TAG_ANNOUNCEMENT_COLOR, TYPE_TEXT, "msg-param-color", "announcement_color"),
    TAG(TAG_TARGET_MSG_ID, TYPE_TEXT, "target-msg-id", "target_message_id"),
    TAG(TAG_BAN_DURATION, TYPE_NUMBER, "ban-duration", "duration_seconds"),
    TAG(TAG_FOLLOWERS_ONLY, TYPE_NUMBER, "followers-only", "followers_only_minutes"), /* -1: off */
    TAG(TAG_R9K, TYPE_FLAG, "r9k", "unique_only"),
    TAG(TAG_SLOW, TYPE_NUMBER, "slow", "slow_seconds"),
    TAG(TAG_SUBS_ONLY, TYPE_FLAG, "subs-only", "subscribers_only"),
#undef TAG
};
#define PARAM_PREFIX "msg-param-"

static const struct {
    struct bytes name;
    enum twitch_command command;
} commands[] = {
    {BYTES("PRIVMSG"), TWITCH_PRIVMSG},
    {BYTES("USERNOTICE"), TWITCH_USERNOTICE},
    {BYTES("CLEARCHAT"), TWITCH_CLEARCHAT},
    {BYTES("CLEARMSG"), TWITCH_CLEARMSG},
    {BYTES("ROOMSTATE"), TWITCH_ROOMSTATE},
    {BYTES("NOTICE"), TWITCH_NOTICE},
    {BYTES("PING"), TWITCH_PING},
    {BYTES("RECONNECT"), TWITCH_RECONNECT},
    {BYTES("CAP"), TWITCH_CAP},
    {BYTES("ERROR"), TWITCH_ERROR},
    {BYTES("001"), TWITCH_WELCOME},
    {BYTES("366"), TWITCH_NAMES_END},
    {BYTES("433"), TWITCH_NICK_IN_USE},
    {BYTES("USERSTATE"), TWITCH_UNWANTED},
    {BYTES("JOIN"), TWITCH_UNWANTED},
    {BYTES("GLOBALUSERSTATE"), TWITCH_UNWANTED},
    {BYTES("HOSTTARGET"), TWITCH_UNWANTED},
    {BYTES("PART"), TWITCH_UNWANTED},
    {BYTES("WHISPER"), TWITCH_UNWANTED},
    {BYTES("PONG"), TWITCH_UNWANTED},
    {BYTES("MODE"), TWITCH_UNWANTED},
    {BYTES("QUIT"), TWITCH_UNWANTED},
    {BYTES("NICK"), TWITCH_UNWANTED},
    {BYTES("TOPIC"), TWITCH_UNWANTED},
    {BYTES("KICK"), TWITCH_UNWANTED},
};

/* What an occasion (msg-id) of USERNOTICE is; any other is a notice. */
static const struct {
    struct bytes name;
    enum event_kind kind;
} occasions[] = {
    {BYTES("sub"), EVENT_SUBSCRIPTION},
    {BYTES("resub"), EVENT_SUBSCRIPTION},
    {BYTES("subgift"), EVENT_SUBSCRIPTION},
    {BYTES("anonsubgift"), EVENT_SUBSCRIPTION},
    {BYTES("submysterygift"), EVENT_SUBSCRIPTION},
    {BYTES("anonsubmysterygift"), EVENT_SUBSCRIPTION},
    {BYTES("giftpaidupgrade"), EVENT_SUBSCRIPTION},
    {BYTES("anongiftpaidupgrade"), EVENT_SUBSCRIPTION},
    {BYTES("primepaidupgrade"), EVENT_SUBSCRIPTION},
    {BYTES("rewardgift"), EVENT_SUBSCRIPTION},
    {BYTES("standardpayforward"), EVENT_SUBSCRIPTION},
    {BYTES("communitypayforward"), EVENT_SUBSCRIPTION},
    {BYTES("extendsub"), EVENT_SUBSCRIPTION},
    {BYTES("raid"), EVENT_RAID},
    {BYTES("announcement"), EVENT_ANNOUNCEMENT},
};

/* ---- finding tags ---- */

enum { INDEX_SIZE = 256 };
static uint8_t tag_index[INDEX_SIZE]; /* tag + 1 by hash of its name; 0: free */

static inline unsigned hash_name(struct bytes name)
{
    unsigned first = (unsigned char)name.at[0], last = (unsigned char)name.at[name.length - 1];
    unsigned middle = (unsigned char)name.at[name.length / 2];
    return ((unsigned)name.length * 31 + first * 7 + middle * 13 + last * 3) % INDEX_SIZE;
}

static void fill_index(void)
{
    for (unsigned tag = 0; tag < TWITCH_TAG_COUNT; tag++) {
        unsigned at = hash_name(tags[tag].name);
        while (tag_index[at] != 0)
            at = (at + 1) % INDEX_SIZE;
        tag_index[at] = (uint8_t)(tag + 1);
    }
}

void twitch_record_prepare(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill_index);
}

/* TWITCH_TAG_COUNT: none of the table. */
static inline unsigned find_tag(struct bytes name)
{
    for (unsigned at = hash_name(name); tag_index[at] != 0; at = (at + 1) % INDEX_SIZE)
        if (bytes_equal(tags[tag_index[at] - 1].name, name))
            return tag_index[at] - 1u;
    return TWITCH_TAG_COUNT;
}

static void add_param(struct twitch_record *record, struct irc_tag tag)
{
    tag.key = bytes_skip(tag.key, sizeof PARAM_PREFIX - 1);
    for (size_t i = 0; i < record->param_count; i++)
        if (bytes_equal(record->params[i].key, tag.key)) {
            record->params[i] = tag; /* the last one counts */
            return;
        }
    if (record->param_count < TWITCH_PARAM_MAX)
        record->params[record->param_count++] = tag;
}

/* Position of the first ';', or the text's length.  Most values are shorter than a word. */
static inline size_t find_semicolon(struct bytes text)
{
    uint64_t word;
    if (text.length >= sizeof word) {
        memcpy(&word, text.at, sizeof word);
        word ^= TEXT_EVERY_BYTE(';');
        /* The lowest bit set marks the first byte that is 0 now; higher ones may be false. */
        uint64_t found = (word - TEXT_EVERY_BYTE(1)) & ~word & TEXT_EVERY_BYTE(0x80);
        if (found != 0)
            return (size_t)__builtin_ctzll(found) / 8;
    }
    ptrdiff_t end = bytes_find(text, ';');
    return end < 0 ? text.length : (size_t)end;
}

/* Takes the tag that followed the one before it the last time, if it does so again. */
static inline bool take_usual_tag(struct bytes *rest, struct bytes name, struct bytes *value)
{
    if (rest->length <= name.length || rest->at[name.length] != '=' || memcmp(rest->at, name.at, name.length) != 0)
        return false;
    struct bytes text = bytes_skip(*rest, name.length + 1);
    size_t end = find_semicolon(text);
    *value = bytes_of(text.at, end);
    *rest = bytes_skip(text, end < text.length ? end + 1 : end);
    return true;
}

static void take_tags(struct twitch_record *record)
{
    struct bytes rest = record->line.tags, value;
    unsigned previous = TWITCH_TAG_COUNT;
    while (rest.length > 0) {
        unsigned usual = record->follower[previous];
        struct irc_tag tag;
        if (take_usual_tag(&rest, tags[usual].name, &value)) {
            previous = usual;
        } else if (irc_tag_next(&rest, &tag)) {
            unsigned found = find_tag(tag.key);
            if (found == TWITCH_TAG_COUNT) {
                if (bytes_start_with(tag.key, BYTES(PARAM_PREFIX)))
                    add_param(record, tag);
                continue;
            }
            record->follower[previous] = (uint8_t)found;
            previous = found;
            value = tag.value;
        } else {
            return;
        }
        record->values[previous] = value;
        record->present |= (uint64_t)1 << previous;
    }
}

/* ---- the record ---- */

static enum twitch_command find_command(struct bytes name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (bytes_equal(commands[i].name, name))
            return commands[i].command;
    bool numeric = name.length == 3;
    for (size_t i = 0; i < name.length; i++)
        numeric &= name.at[i] >= '0' && name.at[i] <= '9';
    return numeric ? TWITCH_UNWANTED : TWITCH_UNKNOWN;
}

static struct bytes find_channel(const struct twitch_record *record)
{
    size_t place = record->command == TWITCH_NAMES_END ? 1 : 0; /* behind our own name */
    if (record->line.param_count <= place)
        return BYTES("");
    struct bytes target = record->line.params[place];
    return target.length > 1 && target.at[0] == '#' ? bytes_skip(target, 1) : BYTES("");
}

enum reject_reason twitch_record_parse(struct bytes line, struct twitch_record *record)
{
    if (line.length > IRC_LINE_MAX)
        return REJECT_TOO_LONG;
    if (!bytes_is_utf8(line))
        return REJECT_INVALID_UTF8;
    if (!irc_line_parse(line, &record->line))
        return REJECT_MALFORMED_LINE;
    record->command = find_command(record->line.command);
    record->channel = find_channel(record);
    record->present = 0;
    record->param_count = 0;
    if (record->command == TWITCH_UNKNOWN)
        return REJECT_UNKNOWN_KIND;
    if (record->command < TWITCH_NOTICE && record->channel.length == 0)
        return REJECT_MISSING_FIELD;
    if (twitch_record_makes_event(record)) {
        record->escaped = irc_value_is_escaped(record->line.tags);
        take_tags(record);
    }
    return REJECT_NONE;
}

static struct bytes value_of(const struct twitch_record *record, enum twitch_tag tag)
{
    return twitch_record_has(record, tag) ? record->values[tag] : BYTES("");
}

bool twitch_record_time(const struct twitch_record *record, int64_t *time_us)
{
    struct bytes value = value_of(record, TAG_TIME);
    uint64_t ms;
    *time_us = TIME_UNKNOWN;
    if (value.length == 0)
        return true;
    if (!bytes_to_u64(value, &ms) || ms > TIME_MAX / 1000)
        return false;
    *time_us = (int64_t)ms * 1000;
    return true;
}

/* ---- values ---- */

/* Room for a text that needs no escape, with its quotes and the spare bytes of a word. */
enum { TEXT_ROOM = 16 };

static void put_text(struct buffer *out, struct bytes text)
{
    if (!buffer_reserve(out, text.length + TEXT_ROOM))
        return;
    char *at = out->at + out->length;
    if (!text_copy_plain(at + 1, text)) {
        buffer_json_string(out, text);
        return;
    }
    at[0] = at[1 + text.length] = '"';
    out->length += text.length + 2;
}

/* A tag's text: as it stands in the line or, if anything in it was escaped, in the arena.  .at NULL: no memory. */
static struct bytes decode(const struct twitch_record *record, struct bytes value, struct arena *arena)
{
    if (!record->escaped || !irc_value_is_escaped(value))
        return value.length > 0 ? value : BYTES("");
    char *text = arena_text(arena, value.length);
    return text ? bytes_of(text, irc_value_unescape(value, text)) : BYTES_NONE;
}

static bool parse_number(struct bytes value, int64_t *number)
{
    bool negative = value.length > 0 && value.at[0] == '-';
    uint64_t size;
    if (!bytes_to_u64(negative ? bytes_skip(value, 1) : value, &size) || size > INT64_MAX)
        return false;
    *number = negative ? -(int64_t)size : (int64_t)size;
    return true;
}

static bool is_color(struct bytes value)
{
    if (value.length != 7 || value.at[0] != '#')
        return false;
    for (size_t i = 1; i < value.length; i++) {
        unsigned letter = (unsigned char)value.at[i] | 0x20u;
        bool digit = value.at[i] >= '0' && value.at[i] <= '9';
        if (!digit && (letter < 'a' || letter > 'f'))
            return false;
    }
    return true;
}

/* "subscriber/12,premium/1" as {"subscriber":"12","premium":"1"}; of a name that comes twice, the first counts. */
static void put_badges(struct buffer *out, struct bytes text)
{
    enum { BADGE_MAX = 16 }; /* Twitch shows three; further ones are dropped */
    struct bytes names[BADGE_MAX];
    size_t count = 0;
    buffer_byte(out, '{');
    while (text.length > 0 && count < BADGE_MAX) {
        struct bytes version, name = bytes_split(bytes_split(text, ',', &text), '/', &version);
        bool known = name.length == 0;
        for (size_t i = 0; i < count && !known; i++)
            known = bytes_equal(names[i], name);
        if (known)
            continue;
        if (count > 0)
            buffer_byte(out, ',');
        names[count++] = name;
        put_text(out, name);
        buffer_byte(out, ':');
        put_text(out, version.at ? version : BYTES(""));
    }
    buffer_byte(out, '}');
}

/* Writes the value; false: there is none of this type. */
static bool put_value(struct buffer *out, enum tag_type type, struct bytes value, struct bytes message)
{
    int64_t number;
    switch (type) {
    case TYPE_TEXT:
        put_text(out, value);
        return true;
    case TYPE_NUMBER:
        if (!parse_number(value, &number))
            return false;
        buffer_json_int(out, number);
        return true;
    case TYPE_FLAG:
        if (value.length != 1 || (value.at[0] != '0' && value.at[0] != '1'))
            return false;
        buffer_append(out, value.at[0] == '1' ? BYTES("true") : BYTES("false"));
        return true;
    case TYPE_COLOR:
        if (!is_color(value))
            return false;
        put_text(out, value);
        return true;
    case TYPE_BADGES:
        put_badges(out, value);
        return true;
    case TYPE_EMOTES:
        return twitch_emotes_write(out, value, message);
    case TYPE_FIELD:
        break;
    }
    return false;
}

/* ---- metadata ---- */

static void put_params(const struct twitch_record *record, struct buffer *out, struct arena *arena)
{
    for (size_t i = 0; i < record->param_count; i++) {
        struct bytes value = decode(record, record->params[i].value, arena);
        if (!value.at) {
            out->failed = true;
            return;
        }
        buffer_append(out, i == 0 ? BYTES(",\"params\":{") : BYTES(","));
        put_text(out, record->params[i].key);
        buffer_byte(out, ':');
        put_text(out, value);
    }
    if (record->param_count > 0)
        buffer_byte(out, '}');
}

/* Writes `,"name":value…`; what is to stand between braces. */
static void put_metadata(const struct twitch_record *record, struct bytes message, struct buffer *out, struct arena *arena)
{
    const uint64_t fields = ((uint64_t)1 << TAG_BADGES) - 1;
    uint64_t left = record->present & ~fields;
    if (value_of(record, TAG_CUMULATIVE_MONTHS).length > 0)
        left &= ~((uint64_t)1 << TAG_MONTHS); /* the older name of the same, 0 there */
    for (; left != 0; left &= left - 1) {
        unsigned tag = (unsigned)__builtin_ctzll(left);
        struct bytes value = decode(record, record->values[tag], arena);
        if (!value.at) {
            out->failed = true;
            return;
        }
        if (value.length == 0 && tag != TAG_BADGES) /* no badges are {}, as in the simulated chat */
            continue;
        size_t before = out->length;
        buffer_append(out, tags[tag].key);
        if (!put_value(out, tags[tag].type, value, message) && !out->failed)
            out->length = before;
    }
    put_params(record, out, arena);
}

/* ---- the event ---- */

static enum event_kind occasion_kind(const struct twitch_record *record)
{
    struct bytes name = value_of(record, TAG_MSG_ID);
    if (bytes_equal(name, BYTES("sharedchatnotice"))) /* of a room that shares its chat with this one */
        name = value_of(record, TAG_SOURCE_MSG_ID);
    for (size_t i = 0; i < sizeof occasions / sizeof *occasions; i++)
        if (bytes_equal(occasions[i].name, name))
            return occasions[i].kind;
    return EVENT_NOTICE;
}

/* The name of a prefix that is a person's. */
static struct bytes sender_of(const struct twitch_record *record)
{
    struct irc_prefix prefix = irc_prefix_split(record->line.prefix);
    bool server = prefix.user.length == 0 && prefix.host.length == 0 && bytes_find(prefix.nick, '.') >= 0;
    return server ? BYTES("") : prefix.nick;
}

/* "/me waves" comes as \x01ACTION waves\x01. */
static bool take_action(struct bytes *message)
{
    struct bytes mark = BYTES("\x01"
                              "ACTION ");
    if (!bytes_start_with(*message, mark))
        return false;
    *message = bytes_skip(*message, mark.length);
    if (message->length > 0 && message->at[message->length - 1] == '\x01')
        message->length--;
    return true;
}

/* Kind, and who and what, of a moderator's deed. */
static enum reject_reason fill_clearing(const struct twitch_record *record, struct bytes target, struct event *event)
{
    int64_t seconds;
    event->kind = EVENT_CLEAR;
    if (target.length == 0)
        return REJECT_NONE;
    event->chat.username = target;
    event->chat.user_id = value_of(record, TAG_TARGET_USER_ID);
    struct bytes duration = value_of(record, TAG_BAN_DURATION);
    event->kind = duration.length > 0 ? EVENT_TIMEOUT : EVENT_BAN;
    return duration.length > 0 && (!parse_number(duration, &seconds) || seconds < 0) ? REJECT_BAD_NUMBER : REJECT_NONE;
}

/* Kind, username, user id and message, as they stand in the line. */
static enum reject_reason fill_chat(const struct twitch_record *record, struct event *event, bool *action)
{
    const struct irc_line *line = &record->line;
    struct bytes text = line->param_count > 1 ? line->params[1] : BYTES("");
    struct event_chat *chat = &event->chat;
    chat->display_name = value_of(record, TAG_DISPLAY_NAME);
    chat->user_id = value_of(record, TAG_USER_ID);
    switch (record->command) {
    case TWITCH_PRIVMSG:
        event->kind = EVENT_MESSAGE;
        chat->username = sender_of(record).length > 0 ? sender_of(record) : value_of(record, TAG_LOGIN);
        *action = take_action(&text);
        chat->message = text;
        return chat->username.length == 0 || line->param_count < 2 ? REJECT_MISSING_FIELD : REJECT_NONE;
    case TWITCH_USERNOTICE:
        event->kind = occasion_kind(record);
        chat->username = value_of(record, TAG_LOGIN);
        chat->message = text;
        return REJECT_NONE;
    case TWITCH_CLEARCHAT:
        return fill_clearing(record, text, event);
    case TWITCH_CLEARMSG: /* the text is not repeated: it was to go */
        event->kind = EVENT_DELETE;
        chat->username = value_of(record, TAG_LOGIN);
        return value_of(record, TAG_TARGET_MSG_ID).length == 0 ? REJECT_MISSING_FIELD : REJECT_NONE;
    case TWITCH_ROOMSTATE:
        event->kind = EVENT_ROOM_STATE;
        return REJECT_NONE;
    default:
        assert(record->command == TWITCH_NOTICE);
        event->kind = EVENT_NOTICE;
        chat->message = text;
        return REJECT_NONE;
    }
}

static bool decode_names(const struct twitch_record *record, struct event_chat *chat, struct arena *arena)
{
    chat->display_name = decode(record, chat->display_name, arena);
    chat->user_id = decode(record, chat->user_id, arena);
    struct bytes tags_text = record->line.tags, *name = &chat->username;
    size_t named = name->length;
    if (named > 0 && name->at >= tags_text.at && name->at < tags_text.at + tags_text.length) /* else of prefix or text */
        *name = decode(record, *name, arena);
    return chat->display_name.at && chat->user_id.at && (named == 0 || name->at);
}

static bool set_id(const struct twitch_record *record, struct event *event, struct arena *arena)
{
    const struct bytes prefix = BYTES("twitch:");
    struct bytes value = value_of(record, TAG_ID);
    if (value.length == 0)
        return event_set_id(event, arena);
    char *id = arena_text(arena, prefix.length + value.length);
    if (!id)
        return false;
    size_t length = irc_value_unescape(value, text_put(id, prefix));
    event->id = bytes_of(id, prefix.length + length);
    return length > 0 || event_set_id(event, arena);
}

enum reject_reason twitch_record_event(const struct twitch_record *record, int64_t time_us, struct buffer *scratch,
                                       struct arena *arena, struct event *event)
{
    bool action = false;
    assert(twitch_record_makes_event(record));
    event->source = EVENT_TWITCH;
    event->chat = (struct event_chat){.channel = record->channel};
    enum reject_reason reason = fill_chat(record, event, &action);
    if (reason != REJECT_NONE)
        return reason;
    if (!twitch_record_time(record, &event->timestamp_us))
        return REJECT_BAD_TIME;
    if (event->timestamp_us == TIME_UNKNOWN)
        event->timestamp_us = time_us;
    if (event->timestamp_us == TIME_UNKNOWN)
        return REJECT_NO_TIME;
    buffer_reset(scratch);
    put_metadata(record, event->chat.message, scratch, arena);
    if (action)
        BUFFER_LITERAL(scratch, ",\"action\":true");
    buffer_byte(scratch, '}');
    if (scratch->failed)
        return REJECT_NO_MEMORY;
    if (scratch->length > 1) {
        scratch->at[0] = '{'; /* in the comma's place */
        event->metadata = arena_copy(arena, buffer_bytes(scratch));
        if (!event->metadata.at)
            return REJECT_NO_MEMORY;
    }
    return decode_names(record, &event->chat, arena) && set_id(record, event, arena) ? REJECT_NONE : REJECT_NO_MEMORY;
}
