/* Reads an event in any order and spelling that JSON allows, with yyjson.  Numbers are kept as text.  The document lives
 * in the arena and is forgotten with it; nested values come out minified. */
#include "event/event_internal.h"

#include "event/decimal.h"
#include "event/json_tree.h"

struct parser {
    yyjson_alc memory;
    struct event *event;
    struct buffer unknown; /* payload fields beyond the known ones */
    yyjson_val *payload;
};

/* ---- values: each returns REJECT_NONE or why not; null stands for a field that is not there ---- */

static enum reject_reason read_text(struct parser *parser, yyjson_val *value, void *place)
{
    (void)parser;
    if (yyjson_is_null(value))
        return REJECT_NONE;
    if (!yyjson_is_str(value))
        return REJECT_WRONG_TYPE;
    *(struct bytes *)place = json_tree_text(value);
    return REJECT_NONE;
}

static enum reject_reason read_number(struct parser *parser, yyjson_val *value, void *place)
{
    (void)parser;
    if (yyjson_is_null(value))
        return REJECT_NONE;
    if (!yyjson_is_raw(value))
        return REJECT_WRONG_TYPE;
    *(struct bytes *)place = json_tree_number(value);
    return REJECT_NONE;
}

static enum reject_reason read_int(struct parser *parser, yyjson_val *value, void *place)
{
    (void)parser;
    if (yyjson_is_null(value))
        return REJECT_NONE;
    return json_tree_int(value, place);
}

static enum reject_reason read_time(struct parser *parser, yyjson_val *value, void *place)
{
    (void)parser;
    if (yyjson_is_null(value))
        return REJECT_NONE;
    if (!yyjson_is_str(value))
        return REJECT_WRONG_TYPE;
    return timestamp_parse(json_tree_text(value), place) ? REJECT_NONE : REJECT_BAD_TIME;
}

static enum reject_reason read_bool(struct parser *parser, yyjson_val *value, void *place)
{
    (void)parser;
    if (yyjson_is_null(value))
        return REJECT_NONE;
    if (!yyjson_is_bool(value))
        return REJECT_WRONG_TYPE;
    *(bool *)place = yyjson_get_bool(value);
    return REJECT_NONE;
}

static enum reject_reason read_name(yyjson_val *value, const struct bytes *names, unsigned count, unsigned *found)
{
    if (yyjson_is_null(value))
        return REJECT_NONE;
    if (!yyjson_is_str(value))
        return REJECT_WRONG_TYPE;
    for (unsigned i = 1; i < count; i++)
        if (bytes_equal(json_tree_text(value), names[i])) {
            *found = i;
            return REJECT_NONE;
        }
    return REJECT_WRONG_TYPE;
}

static enum reject_reason read_side(struct parser *parser, yyjson_val *value, void *place)
{
    (void)parser;
    return read_name(value, event_side_names, 3, place);
}

static enum reject_reason read_direction(struct parser *parser, yyjson_val *value, void *place)
{
    (void)parser;
    return read_name(value, event_direction_names, 4, place);
}

/* yyjson writes \u001F where we write \u001f: one spelling, so that passing an event through changes nothing. */
static void lower_escapes(char *text, size_t length)
{
    enum { HEX_DIGITS = 4 };
    char *end = text + length;
    for (char *at = text; (at = memchr(at, '\\', (size_t)(end - at))); at += 2)
        for (int i = 0; at[1] == 'u' && i < HEX_DIGITS; i++)
            if (at[2 + i] >= 'A' && at[2 + i] <= 'F')
                at[2 + i] = (char)(at[2 + i] - 'A' + 'a');
}

/* A nested value as minified text in the arena. */
static enum reject_reason read_json(struct parser *parser, yyjson_val *value, struct bytes *place)
{
    size_t length;
    char *text = yyjson_val_write_opts(value, YYJSON_WRITE_NOFLAG, &parser->memory, &length, NULL);
    if (!text)
        return REJECT_NO_MEMORY;
    lower_escapes(text, length);
    *place = bytes_of(text, length);
    return REJECT_NONE;
}

static enum reject_reason read_object(struct parser *parser, yyjson_val *value, void *place)
{
    if (yyjson_is_null(value))
        return REJECT_NONE;
    return yyjson_is_obj(value) ? read_json(parser, value, place) : REJECT_WRONG_TYPE;
}

/* ---- fields ---- */

enum payload_set { OF_CHANNEL = 1, OF_CHAT = 2, OF_MARKET = 4, OF_TRADE = 8, OF_GAP = 16, OF_ALL = 31 };

struct field {
    struct bytes name;
    unsigned sets; /* of payloads that have it */
    size_t offset;
    enum reject_reason (*read)(struct parser *parser, yyjson_val *value, void *place);
};

#define FIELD(name, sets, member, read)                                                                                          \
    {                                                                                                                            \
        BYTES(name), sets, offsetof(struct event, member), read                                                                  \
    }

static const struct field payload_fields[] = {
    FIELD("exchange", OF_MARKET, market.exchange, read_text),
    FIELD("symbol", OF_MARKET, market.symbol, read_text),
    FIELD("price", OF_TRADE, market.price, read_number),
    FIELD("volume", OF_TRADE, market.volume, read_number),
    FIELD("side", OF_TRADE, market.side, read_side),
    FIELD("direction", OF_TRADE, market.direction, read_direction),
    FIELD("trade_id", OF_TRADE, market.trade_id, read_int),
    FIELD("channel", OF_CHANNEL, chat.channel, read_text),
    FIELD("username", OF_CHAT, chat.username, read_text),
    FIELD("display_name", OF_CHAT, chat.display_name, read_text),
    FIELD("user_id", OF_CHAT, chat.user_id, read_text),
    FIELD("message", OF_CHAT, chat.message, read_text),
    FIELD("from", OF_GAP, gap.from_us, read_time),
    FIELD("to", OF_GAP, gap.to_us, read_time),
    FIELD("first_missing", OF_GAP, gap.first_missing, read_int),
    FIELD("last_missing", OF_GAP, gap.last_missing, read_int),
    FIELD("count", OF_GAP, gap.count, read_int),
    FIELD("recovered", OF_GAP, gap.recovered, read_bool),
    FIELD("reason", OF_GAP, gap.reason, read_text),
    FIELD("metadata", OF_ALL, metadata, read_object),
};

static const struct field top_fields[] = {
    FIELD("id", OF_ALL, id, read_text),
    FIELD("timestamp", OF_ALL, timestamp_us, read_time),
    FIELD("received", OF_ALL, received_us, read_time),
    FIELD("toxicity", OF_ALL, toxicity, read_object),
    FIELD("sentiment", OF_ALL, sentiment, read_number),
    FIELD("anomaly", OF_ALL, anomaly, read_object),
};

static const struct field *find_field(const struct field *fields, size_t count, struct bytes name, unsigned sets)
{
    for (size_t i = 0; i < count; i++)
        if ((fields[i].sets & sets) && bytes_equal(fields[i].name, name))
            return &fields[i];
    return NULL;
}

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* ---- payload ---- */

static unsigned sets_of(const struct event *event)
{
    unsigned sets = event->source == EVENT_MARKET ? OF_MARKET : OF_CHANNEL;
    if (event->kind == EVENT_GAP)
        return sets | OF_GAP;
    return sets | (event->source == EVENT_MARKET ? OF_TRADE : OF_CHAT);
}

static enum reject_reason keep_unknown(struct parser *parser, struct bytes name, yyjson_val *value)
{
    struct bytes text;
    enum reject_reason reason = read_json(parser, value, &text);
    if (reason != REJECT_NONE)
        return reason;
    if (parser->unknown.length > 0)
        buffer_byte(&parser->unknown, ',');
    buffer_json_string(&parser->unknown, name);
    buffer_byte(&parser->unknown, ':');
    buffer_append(&parser->unknown, text);
    return parser->unknown.failed ? REJECT_NO_MEMORY : REJECT_NONE;
}

static enum reject_reason read_payload_fields(struct parser *parser)
{
    unsigned sets = sets_of(parser->event);
    size_t i, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach(parser->payload, i, count, key, value)
    {
        struct bytes name = json_tree_text(key);
        if (bytes_equal(name, BYTES("kind")))
            continue;
        const struct field *field = find_field(payload_fields, COUNT_OF(payload_fields), name, sets);
        enum reject_reason reason =
            field ? field->read(parser, value, (char *)parser->event + field->offset) : keep_unknown(parser, name, value);
        if (reason != REJECT_NONE)
            return reason;
    }
    return REJECT_NONE;
}

static enum reject_reason check_payload(const struct event *event)
{
    bool complete = event->source == EVENT_MARKET ? event->market.exchange.length > 0 && event->market.symbol.length > 0
                                                  : event->chat.channel.length > 0;
    if (event->kind == EVENT_TRADE && (event->market.price.length == 0 || event->market.volume.length == 0))
        complete = false;
    if (event->kind == EVENT_GAP && event->gap.count < -1)
        return REJECT_BAD_NUMBER;
    return complete ? REJECT_NONE : REJECT_MISSING_FIELD;
}

static enum reject_reason read_analytics(struct parser *parser)
{
    struct event *event = parser->event;
    yyjson_val *key = yyjson_obj_get(parser->payload, event->kind == EVENT_WINDOW ? "query" : "key");
    enum reject_reason reason = key ? read_text(parser, key, &event->key_text) : REJECT_NONE;
    return reason != REJECT_NONE ? reason : read_json(parser, parser->payload, &event->payload_json);
}

static enum reject_reason read_payload(struct parser *parser, struct arena *arena)
{
    struct event *event = parser->event;
    yyjson_val *kind = yyjson_obj_get(parser->payload, "kind");
    if (!kind)
        return REJECT_MISSING_FIELD;
    if (!yyjson_is_str(kind))
        return REJECT_WRONG_TYPE;
    if (!event_kind_parse(json_tree_text(kind), event->source, &event->kind))
        return REJECT_UNKNOWN_KIND;
    if (event->source == EVENT_ANALYTICS)
        return read_analytics(parser);
    if (event->source == EVENT_MARKET)
        event->market.trade_id = TRADE_ID_NONE;
    if (event->kind == EVENT_GAP)
        event->gap = (struct event_gap){.from_us = TIME_UNKNOWN,
                                        .to_us = TIME_UNKNOWN,
                                        .first_missing = TRADE_ID_NONE,
                                        .last_missing = TRADE_ID_NONE,
                                        .count = -1};
    buffer_init(&parser->unknown, SIZE_MAX / 2);
    enum reject_reason reason = read_payload_fields(parser);
    if (reason == REJECT_NONE && parser->unknown.length > 0) {
        event->payload_json = arena_copy(arena, buffer_bytes(&parser->unknown));
        if (!event->payload_json.at)
            reason = REJECT_NO_MEMORY;
    }
    buffer_release(&parser->unknown);
    return reason != REJECT_NONE ? reason : check_payload(event);
}

/* ---- the whole event ---- */

static enum reject_reason read_schema_and_source(yyjson_val *root, struct event *event)
{
    yyjson_val *schema = yyjson_obj_get(root, "schema"), *source = yyjson_obj_get(root, "source");
    if (!schema)
        return REJECT_MISSING_FIELD;
    if (!yyjson_is_raw(schema) || decimal_compare(json_tree_number(schema), BYTES("1")) != 0)
        return REJECT_BAD_SCHEMA;
    if (!source)
        return REJECT_MISSING_FIELD;
    if (!yyjson_is_str(source))
        return REJECT_WRONG_TYPE;
    return event_source_parse(json_tree_text(source), &event->source) ? REJECT_NONE : REJECT_UNKNOWN_SOURCE;
}

static enum reject_reason read_root(struct parser *parser, yyjson_val *root, struct arena *arena)
{
    struct event *event = parser->event;
    if (!yyjson_is_obj(root))
        return REJECT_WRONG_TYPE;
    enum reject_reason reason = read_schema_and_source(root, event);
    if (reason != REJECT_NONE)
        return reason;
    size_t i, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach(root, i, count, key, value)
    {
        const struct field *field = find_field(top_fields, COUNT_OF(top_fields), json_tree_text(key), OF_ALL);
        if (field && (reason = field->read(parser, value, (char *)event + field->offset)) != REJECT_NONE)
            return reason;
    }
    parser->payload = yyjson_obj_get(root, "payload");
    if (event->timestamp_us == TIME_UNKNOWN || !parser->payload)
        return REJECT_MISSING_FIELD;
    if (!yyjson_is_obj(parser->payload))
        return REJECT_WRONG_TYPE;
    return read_payload(parser, arena);
}

enum reject_reason event_parse_any(struct bytes json, struct arena *arena, struct event *event)
{
    *event = (struct event){.timestamp_us = TIME_UNKNOWN, .received_us = TIME_UNKNOWN};
    struct parser parser = {.memory = json_tree_memory(arena), .event = event};
    yyjson_doc *document;
    enum reject_reason reason = json_tree_read(json, arena, &document);
    return reason != REJECT_NONE ? reason : read_root(&parser, yyjson_doc_get_root(document), arena);
}

enum reject_reason event_parse(struct bytes json, struct arena *arena, struct event *event)
{
    if (!event_scan(json, event)) {
        enum reject_reason reason = event_parse_any(json, arena, event);
        if (reason != REJECT_NONE)
            return reason;
    }
    if (event->source == EVENT_MARKET)
        event->market.aggregate = event_id_is_aggregate(event->id, &event->market);
    if (event->id.length == 0 && !event_set_id(event, arena))
        return REJECT_NO_MEMORY;
    return REJECT_NONE;
}
