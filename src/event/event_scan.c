/* Reads events as our own writer spells them.  See scan.h for what it refuses: that is left to the general parser, with
 * which it agrees on everything else (tests/fuzz/event/fuzz_event_parse.c). */
#include "event/event_internal.h"
#include "event/scan.h"

static bool scan_members(struct scan *scan, unsigned depth)
{
    if (scan_byte(scan, '}'))
        return true;
    do {
        struct bytes name;
        if (!scan_byte(scan, '"') || !scan_string(scan, &name) || !scan_byte(scan, ':') || !scan_value(scan, depth))
            return false;
    } while (scan_byte(scan, ','));
    return scan_byte(scan, '}');
}

static bool scan_elements(struct scan *scan, unsigned depth)
{
    if (scan_byte(scan, ']'))
        return true;
    do
        if (!scan_value(scan, depth))
            return false;
    while (scan_byte(scan, ','));
    return scan_byte(scan, ']');
}

bool scan_value(struct scan *scan, unsigned depth)
{
    struct bytes text;
    if (scan->at == scan->end)
        return false;
    switch (*scan->at) {
    case '"':
        scan->at++;
        return scan_string(scan, &text);
    case '{':
        scan->at++;
        return depth > 0 && scan_members(scan, depth - 1);
    case '[':
        scan->at++;
        return depth > 0 && scan_elements(scan, depth - 1);
    case 't':
        return SCAN_LITERAL(scan, "true");
    case 'f':
        return SCAN_LITERAL(scan, "false");
    case 'n':
        return SCAN_LITERAL(scan, "null");
    default:
        return scan_number(scan, &text);
    }
}

/* `,"name":"` and its text if the field is there; *valid turns false when it is but is not plain. */
#define OPTIONAL_STRING(scan, name, text) (!SCAN_LITERAL(scan, ",\"" name "\":\"") || scan_string(scan, text))
#define OPTIONAL_NUMBER(scan, name, text) (!SCAN_LITERAL(scan, ",\"" name "\":") || scan_number(scan, text))
#define OPTIONAL_OBJECT(scan, name, text) (!SCAN_LITERAL(scan, ",\"" name "\":") || scan_object(scan, text))

static bool scan_time(struct scan *scan, int64_t *time_us)
{
    struct bytes text;
    return scan_string(scan, &text) && timestamp_parse(text, time_us);
}

/* side and direction: present means one of the names. */
static bool scan_side(struct scan *scan, enum event_side *side)
{
    if (!SCAN_LITERAL(scan, ",\"side\":\""))
        return true;
    *side = SCAN_LITERAL(scan, "buy\"") ? EVENT_BUY : SCAN_LITERAL(scan, "sell\"") ? EVENT_SELL : EVENT_SIDE_NONE;
    return *side != EVENT_SIDE_NONE;
}

static bool scan_direction(struct scan *scan, enum event_direction *direction)
{
    if (!SCAN_LITERAL(scan, ",\"direction\":\""))
        return true;
    *direction = SCAN_LITERAL(scan, "up\"")     ? EVENT_UP
                 : SCAN_LITERAL(scan, "down\"") ? EVENT_DOWN
                 : SCAN_LITERAL(scan, "flat\"") ? EVENT_FLAT
                                                : EVENT_DIRECTION_NONE;
    return *direction != EVENT_DIRECTION_NONE;
}

static bool scan_market(struct scan *scan, struct event *event)
{
    struct event_market *market = &event->market;
    market->trade_id = TRADE_ID_NONE;
    if (!SCAN_LITERAL(scan, ",\"exchange\":\"") || !scan_string(scan, &market->exchange) ||
        !SCAN_LITERAL(scan, ",\"symbol\":\"") || !scan_string(scan, &market->symbol))
        return false;
    if (!OPTIONAL_NUMBER(scan, "price", &market->price) || !OPTIONAL_NUMBER(scan, "volume", &market->volume) ||
        !scan_side(scan, &market->side) || !scan_direction(scan, &market->direction))
        return false;
    if (SCAN_LITERAL(scan, ",\"trade_id\":") && !scan_u63(scan, &market->trade_id))
        return false;
    if (market->exchange.length == 0 || market->symbol.length == 0)
        return false;
    return event->kind != EVENT_TRADE || (market->price.length > 0 && market->volume.length > 0);
}

static bool scan_chat(struct scan *scan, struct event *event)
{
    struct event_chat *chat = &event->chat;
    return SCAN_LITERAL(scan, ",\"channel\":\"") && scan_string(scan, &chat->channel) && chat->channel.length > 0 &&
           OPTIONAL_STRING(scan, "username", &chat->username) && OPTIONAL_STRING(scan, "display_name", &chat->display_name) &&
           OPTIONAL_STRING(scan, "user_id", &chat->user_id) && OPTIONAL_STRING(scan, "message", &chat->message);
}

static bool scan_payload(struct scan *scan, struct event *event)
{
    struct bytes kind;
    if (!SCAN_LITERAL(scan, "{\"kind\":\"") || !scan_string(scan, &kind) ||
        !event_kind_parse(kind, event->source, &event->kind) || event->kind == EVENT_GAP)
        return false;
    if (!(event->source == EVENT_MARKET ? scan_market(scan, event) : scan_chat(scan, event)))
        return false;
    return OPTIONAL_OBJECT(scan, "metadata", &event->metadata) && scan_byte(scan, '}');
}

static bool scan_source(struct scan *scan, enum event_source *source)
{
    if (SCAN_LITERAL(scan, ",\"source\":\"market\"")) {
        *source = EVENT_MARKET;
        return true;
    }
    *source = EVENT_TWITCH;
    return SCAN_LITERAL(scan, ",\"source\":\"twitch\"");
}

bool event_scan(struct bytes json, struct event *event)
{
    struct scan scan = scan_of(json);
    *event = (struct event){.received_us = TIME_UNKNOWN};
    if (!SCAN_LITERAL(&scan, "{\"schema\":1") || !OPTIONAL_STRING(&scan, "id", &event->id) || !scan_source(&scan, &event->source))
        return false;
    if (!SCAN_LITERAL(&scan, ",\"timestamp\":\"") || !scan_time(&scan, &event->timestamp_us))
        return false;
    if (SCAN_LITERAL(&scan, ",\"received\":\"") && !scan_time(&scan, &event->received_us))
        return false;
    if (!SCAN_LITERAL(&scan, ",\"payload\":") || !scan_payload(&scan, event))
        return false;
    return OPTIONAL_OBJECT(&scan, "toxicity", &event->toxicity) && OPTIONAL_NUMBER(&scan, "sentiment", &event->sentiment) &&
           OPTIONAL_OBJECT(&scan, "anomaly", &event->anomaly) && scan_byte(&scan, '}') && scan.at == scan.end;
}
