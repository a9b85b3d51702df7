/* One table of columns makes the header and the rows. */
#include "app/csv.h"

#include <inttypes.h>

enum { CHAT = 1 << EVENT_TWITCH, MARKET = 1 << EVENT_MARKET, ANALYTICS = 1 << EVENT_ANALYTICS };

/* What a spreadsheet takes for the start of a formula, the full-width forms included (OWASP, CSV injection). */
static bool looks_like_formula(struct bytes text)
{
    static const char *const starts[] = {"=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"};
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++)
        if (bytes_start_with(text, bytes_of_string(starts[i])))
            return true;
    return false;
}

void csv_write_text(struct buffer *out, struct bytes text)
{
    bool formula = looks_like_formula(text), quoted = formula;
    for (size_t i = 0; i < text.length && !quoted; i++)
        quoted = text.at[i] == '"' || text.at[i] == ',' || text.at[i] == '\n' || text.at[i] == '\r';
    if (!quoted) {
        buffer_append(out, text);
        return;
    }
    buffer_byte(out, '"');
    if (formula)
        buffer_byte(out, '\'');
    for (size_t i = 0; i < text.length; i++) {
        if (text.at[i] == '"')
            buffer_byte(out, '"');
        buffer_byte(out, text.at[i]);
    }
    buffer_byte(out, '"');
}

static void put_time(struct buffer *out, int64_t time_us)
{
    if (time_us != TIME_UNKNOWN)
        timestamp_append(out, time_us);
}

static void put_id(const struct event *event, struct buffer *out)
{
    csv_write_text(out, event->id);
}
static void put_source(const struct event *event, struct buffer *out)
{
    buffer_append(out, event_source_name(event->source));
}
static void put_kind(const struct event *event, struct buffer *out)
{
    buffer_append(out, event_kind_name(event->kind));
}
static void put_timestamp(const struct event *event, struct buffer *out)
{
    put_time(out, event->timestamp_us);
}
static void put_received(const struct event *event, struct buffer *out)
{
    put_time(out, event->received_us);
}
static void put_exchange(const struct event *event, struct buffer *out)
{
    csv_write_text(out, event->market.exchange);
}
static void put_symbol(const struct event *event, struct buffer *out)
{
    csv_write_text(out, event->market.symbol);
}
static void put_price(const struct event *event, struct buffer *out)
{
    buffer_append(out, event->market.price);
}
static void put_volume(const struct event *event, struct buffer *out)
{
    buffer_append(out, event->market.volume);
}
static void put_side(const struct event *event, struct buffer *out)
{
    static const char *const names[] = {"", "buy", "sell"};
    buffer_append(out, bytes_of_string(names[event->market.side]));
}
static void put_direction(const struct event *event, struct buffer *out)
{
    static const char *const names[] = {"", "up", "down", "flat"};
    buffer_append(out, bytes_of_string(names[event->market.direction]));
}
static void put_trade_id(const struct event *event, struct buffer *out)
{
    if (event->market.trade_id != TRADE_ID_NONE)
        buffer_printf(out, "%" PRId64, event->market.trade_id);
}
static void put_channel(const struct event *event, struct buffer *out)
{
    csv_write_text(out, event->chat.channel);
}
static void put_username(const struct event *event, struct buffer *out)
{
    csv_write_text(out, event->chat.username);
}
static void put_display_name(const struct event *event, struct buffer *out)
{
    csv_write_text(out, event->chat.display_name);
}
static void put_user_id(const struct event *event, struct buffer *out)
{
    csv_write_text(out, event->chat.user_id);
}
static void put_message(const struct event *event, struct buffer *out)
{
    csv_write_text(out, event->chat.message);
}
static void put_gap_from(const struct event *event, struct buffer *out)
{
    if (event->kind == EVENT_GAP)
        put_time(out, event->gap.from_us);
}
static void put_gap_to(const struct event *event, struct buffer *out)
{
    if (event->kind == EVENT_GAP)
        put_time(out, event->gap.to_us);
}
static void put_gap_count(const struct event *event, struct buffer *out)
{
    if (event->kind == EVENT_GAP && event->gap.count >= 0)
        buffer_printf(out, "%" PRId64, event->gap.count);
}
static void put_gap_reason(const struct event *event, struct buffer *out)
{
    if (event->kind == EVENT_GAP)
        csv_write_text(out, event->gap.reason);
}
static void put_metadata(const struct event *event, struct buffer *out)
{
    csv_write_text(out, event->metadata);
}
static void put_payload(const struct event *event, struct buffer *out)
{
    csv_write_text(out, event->payload_json);
}
static void put_toxicity(const struct event *event, struct buffer *out)
{
    csv_write_text(out, event->toxicity);
}
static void put_sentiment(const struct event *event, struct buffer *out)
{
    buffer_append(out, event->sentiment); /* a number */
}
static void put_anomaly(const struct event *event, struct buffer *out)
{
    csv_write_text(out, event->anomaly);
}

static const struct column {
    const char *name;
    unsigned topics;
    void (*put)(const struct event *event, struct buffer *out);
} columns[] = {
    {"timestamp", CHAT | MARKET | ANALYTICS, put_timestamp},
    {"source", CHAT | MARKET | ANALYTICS, put_source},
    {"kind", CHAT | MARKET | ANALYTICS, put_kind},
    {"exchange", MARKET, put_exchange},
    {"symbol", MARKET, put_symbol},
    {"price", MARKET, put_price},
    {"volume", MARKET, put_volume},
    {"side", MARKET, put_side},
    {"direction", MARKET, put_direction},
    {"trade_id", MARKET, put_trade_id},
    {"channel", CHAT, put_channel},
    {"username", CHAT, put_username},
    {"display_name", CHAT, put_display_name},
    {"user_id", CHAT, put_user_id},
    {"message", CHAT, put_message},
    {"toxicity", CHAT, put_toxicity},
    {"sentiment", CHAT, put_sentiment},
    {"gap_from", CHAT | MARKET, put_gap_from},
    {"gap_to", CHAT | MARKET, put_gap_to},
    {"gap_count", CHAT | MARKET, put_gap_count},
    {"gap_reason", CHAT | MARKET, put_gap_reason},
    {"metadata", CHAT | MARKET, put_metadata},
    {"anomaly", CHAT | MARKET, put_anomaly},
    {"payload", ANALYTICS, put_payload},
    {"received", CHAT | MARKET | ANALYTICS, put_received},
    {"id", CHAT | MARKET | ANALYTICS, put_id},
};
enum { COLUMN_COUNT = sizeof columns / sizeof columns[0] };

void csv_write_header(unsigned topics, struct buffer *out)
{
    const char *comma = "";
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        if (!(columns[i].topics & topics))
            continue;
        buffer_printf(out, "%s%s", comma, columns[i].name);
        comma = ",";
    }
    buffer_byte(out, '\n');
}

void csv_write_event(const struct event *event, unsigned topics, struct buffer *out)
{
    bool first = true;
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        if (!(columns[i].topics & topics))
            continue;
        if (!first)
            buffer_byte(out, ',');
        first = false;
        if (columns[i].topics & 1u << event->source)
            columns[i].put(event, out);
    }
    buffer_byte(out, '\n');
}
