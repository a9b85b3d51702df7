/* Writes an event as JSON.  The hot path: one reservation for the whole event, then plain stores.
 *
 * Invariant of struct writer: between `at` and the end of the buffer's memory there is room for `bound` bytes less what
 * has been written since the last reservation, where `bound` holds for the whole event as long as no text needs an
 * escape.  A text that does goes through the buffer's own escaping, after which the bound is reserved anew. */
#include "event/event_internal.h"
#include "event/text.h"

#include <assert.h>

struct writer {
    struct buffer *out;
    char *at;
    size_t start; /* of the event in the buffer */
    size_t bound;
};

/* FIXED_BOUND: all names, quotes, fixed values and numbers of the longest event, and the spare bytes of a word. */
enum { FIXED_BOUND = 600, STRING_OVERHEAD = 2 };

static inline void put(struct writer *writer, struct bytes text)
{
    writer->at = text_put(writer->at, text);
}

#define PUT_LITERAL(writer, literal) ((writer)->at = TEXT_LITERAL((writer)->at, literal))

/* ---- strings ---- */

/* Out of line: the rare text. */
static __attribute__((noinline)) void put_escaped(struct writer *writer, struct bytes text)
{
    struct buffer *out = writer->out;
    out->length = (size_t)(writer->at - out->at);
    buffer_json_string(out, text);
    /* When that fails, the rest goes where the event began, and event_write takes it all back. */
    if (!buffer_reserve(out, writer->bound))
        out->length = writer->start;
    writer->at = out->at + out->length;
}

static inline void put_string(struct writer *writer, struct bytes text)
{
    if (!text_copy_plain(writer->at + 1, text)) {
        put_escaped(writer, text);
        return;
    }
    *writer->at = '"';
    writer->at[1 + text.length] = '"';
    writer->at += text.length + STRING_OVERHEAD;
}

/* ---- numbers and times ---- */

static inline void put_int(struct writer *writer, int64_t value)
{
    writer->at = text_put_i64(writer->at, value);
}

static inline void put_time(struct writer *writer, int64_t time_us)
{
    *writer->at = '"';
    timestamp_format(time_us, writer->at + 1);
    writer->at[1 + TIMESTAMP_LENGTH] = '"';
    writer->at += TIMESTAMP_LENGTH + STRING_OVERHEAD;
}

static void put_known_int(struct writer *writer, int64_t value, int64_t unknown)
{
    if (value == unknown)
        PUT_LITERAL(writer, "null");
    else
        put_int(writer, value);
}

static void put_known_time(struct writer *writer, int64_t time_us)
{
    if (time_us == TIME_UNKNOWN)
        PUT_LITERAL(writer, "null");
    else
        put_time(writer, time_us);
}

/* ---- payloads ---- */

#define PUT_STRING_FIELD(writer, name, text)                                                                                     \
    do {                                                                                                                         \
        if ((text).length > 0) {                                                                                                 \
            PUT_LITERAL(writer, ",\"" name "\":");                                                                               \
            put_string(writer, text);                                                                                            \
        }                                                                                                                        \
    } while (0)

#define PUT_RAW_FIELD(writer, name, text)                                                                                        \
    do {                                                                                                                         \
        if ((text).length > 0) {                                                                                                 \
            PUT_LITERAL(writer, ",\"" name "\":");                                                                               \
            put(writer, text);                                                                                                   \
        }                                                                                                                        \
    } while (0)

static inline void put_market(struct writer *writer, const struct event_market *market)
{
    PUT_RAW_FIELD(writer, "price", market->price);
    PUT_RAW_FIELD(writer, "volume", market->volume);
    PUT_STRING_FIELD(writer, "side", event_side_names[market->side]);
    PUT_STRING_FIELD(writer, "direction", event_direction_names[market->direction]);
    if (market->trade_id != TRADE_ID_NONE) {
        PUT_LITERAL(writer, ",\"trade_id\":");
        put_int(writer, market->trade_id);
    }
}

static inline void put_chat(struct writer *writer, const struct event_chat *chat)
{
    PUT_STRING_FIELD(writer, "username", chat->username);
    PUT_STRING_FIELD(writer, "display_name", chat->display_name);
    PUT_STRING_FIELD(writer, "user_id", chat->user_id);
    PUT_STRING_FIELD(writer, "message", chat->message);
}

static void put_gap(struct writer *writer, const struct event_gap *gap)
{
    PUT_LITERAL(writer, ",\"from\":");
    put_known_time(writer, gap->from_us);
    PUT_LITERAL(writer, ",\"to\":");
    put_known_time(writer, gap->to_us);
    PUT_LITERAL(writer, ",\"first_missing\":");
    put_known_int(writer, gap->first_missing, TRADE_ID_NONE);
    PUT_LITERAL(writer, ",\"last_missing\":");
    put_known_int(writer, gap->last_missing, TRADE_ID_NONE);
    PUT_LITERAL(writer, ",\"count\":");
    put_known_int(writer, gap->count, -1);
    if (gap->recovered)
        PUT_LITERAL(writer, ",\"recovered\":true");
    else
        PUT_LITERAL(writer, ",\"recovered\":false");
    PUT_STRING_FIELD(writer, "reason", gap->reason);
}

static inline void put_payload(struct writer *writer, const struct event *event)
{
    if (event->source == EVENT_ANALYTICS) {
        put(writer, event->payload_json);
        return;
    }
    PUT_LITERAL(writer, "{\"kind\":\"");
    put(writer, event_kind_name(event->kind));
    PUT_LITERAL(writer, "\"");
    if (event->source == EVENT_MARKET) {
        PUT_STRING_FIELD(writer, "exchange", event->market.exchange);
        PUT_STRING_FIELD(writer, "symbol", event->market.symbol);
    } else {
        PUT_STRING_FIELD(writer, "channel", event->chat.channel);
    }
    if (event->kind == EVENT_GAP)
        put_gap(writer, &event->gap);
    else if (event->source == EVENT_MARKET)
        put_market(writer, &event->market);
    else
        put_chat(writer, &event->chat);
    PUT_RAW_FIELD(writer, "metadata", event->metadata);
    if (event->payload_json.length > 0) {
        *writer->at++ = ',';
        put(writer, event->payload_json);
    }
    *writer->at++ = '}';
}

/* What the event takes at most, if no text needs an escape. */
static inline size_t size_bound(const struct event *event)
{
    size_t bound = FIXED_BOUND + event->id.length + event->metadata.length + event->payload_json.length + event->toxicity.length +
                   event->sentiment.length + event->anomaly.length;
    if (event->kind == EVENT_GAP)
        bound += event->gap.reason.length;
    if (event->source == EVENT_TWITCH)
        return bound + event->chat.channel.length + event->chat.username.length + event->chat.display_name.length +
               event->chat.user_id.length + event->chat.message.length;
    return bound + event->market.exchange.length + event->market.symbol.length + event->market.price.length +
           event->market.volume.length;
}

void event_write(const struct event *event, struct buffer *out)
{
    assert(event->timestamp_us >= TIME_MIN && event->timestamp_us <= TIME_MAX);
    assert(event->source != EVENT_ANALYTICS || event->payload_json.length > 0);
    struct writer writer = {.out = out, .start = out->length, .bound = size_bound(event)};
    if (!buffer_reserve(out, writer.bound))
        return;
    writer.at = out->at + out->length;
    PUT_LITERAL(&writer, "{\"schema\":1");
    PUT_STRING_FIELD(&writer, "id", event->id);
    PUT_LITERAL(&writer, ",\"source\":\"");
    put(&writer, event_source_name(event->source));
    PUT_LITERAL(&writer, "\",\"timestamp\":");
    put_time(&writer, event->timestamp_us);
    if (event->received_us != TIME_UNKNOWN) {
        PUT_LITERAL(&writer, ",\"received\":");
        put_time(&writer, event->received_us);
    }
    PUT_LITERAL(&writer, ",\"payload\":");
    put_payload(&writer, event);
    PUT_RAW_FIELD(&writer, "toxicity", event->toxicity);
    PUT_RAW_FIELD(&writer, "sentiment", event->sentiment);
    PUT_RAW_FIELD(&writer, "anomaly", event->anomaly);
    *writer.at++ = '}';
    assert(writer.at <= out->at + out->capacity);
    out->length = out->failed ? writer.start : (size_t)(writer.at - out->at);
}
