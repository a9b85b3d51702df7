/* Names, batches, keys and ids of events. */
#include "event/event.h"

#include "event/event_internal.h"
#include "event/text.h"
#include <assert.h>
#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { ID_HASH_DIGITS = 32 };
/* One batch's texts: thousands of events, or a few that carry lines of the greatest length. */
#define BATCH_ARENA_CAP ((size_t)256 << 20)
/* What an empty batch keeps for the next events: what ordinary ones need. */
#define BATCH_KEEPS_BYTES ((size_t)4 << 20)
#define CONTENT_CAP ((size_t)64 << 20)

/* ---- names ---- */

const struct bytes event_side_names[] = {BYTES(""), BYTES("buy"), BYTES("sell")};
const struct bytes event_direction_names[] = {BYTES(""), BYTES("up"), BYTES("down"), BYTES("flat")};

static const struct bytes source_names[EVENT_SOURCE_COUNT] = {
    [EVENT_TWITCH] = BYTES("twitch"),
    [EVENT_MARKET] = BYTES("market"),
    [EVENT_ANALYTICS] = BYTES("analytics"),
};
static const struct bytes topic_names[EVENT_SOURCE_COUNT] = {
    [EVENT_TWITCH] = BYTES("chat_stream"),
    [EVENT_MARKET] = BYTES("market_stream"),
    [EVENT_ANALYTICS] = BYTES("analytics_stream"),
};

enum { CHAT = 1 << EVENT_TWITCH, MARKET = 1 << EVENT_MARKET, ANALYTICS = 1 << EVENT_ANALYTICS };
static const struct {
    struct bytes name;
    unsigned sources;
} kinds[EVENT_KIND_COUNT] = {
    [EVENT_KIND_NONE] = {BYTES(""), 0},
    [EVENT_TRADE] = {BYTES("trade"), MARKET},
    [EVENT_TICKER] = {BYTES("ticker"), MARKET},
    [EVENT_CANDLE] = {BYTES("candle"), MARKET},
    [EVENT_QUOTE] = {BYTES("quote"), MARKET},
    [EVENT_HEARTBEAT] = {BYTES("heartbeat"), MARKET},
    [EVENT_MESSAGE] = {BYTES("message"), CHAT},
    [EVENT_SUBSCRIPTION] = {BYTES("subscription"), CHAT},
    [EVENT_RAID] = {BYTES("raid"), CHAT},
    [EVENT_ANNOUNCEMENT] = {BYTES("announcement"), CHAT},
    [EVENT_TIMEOUT] = {BYTES("timeout"), CHAT},
    [EVENT_BAN] = {BYTES("ban"), CHAT},
    [EVENT_CLEAR] = {BYTES("clear"), CHAT},
    [EVENT_DELETE] = {BYTES("delete"), CHAT},
    [EVENT_NOTICE] = {BYTES("notice"), CHAT},
    [EVENT_ROOM_STATE] = {BYTES("room_state"), CHAT},
    [EVENT_GAP] = {BYTES("gap"), CHAT | MARKET},
    [EVENT_WINDOW] = {BYTES("window"), ANALYTICS},
    [EVENT_ANOMALY] = {BYTES("anomaly"), ANALYTICS},
    [EVENT_ALERT] = {BYTES("alert"), ANALYTICS},
};

struct bytes event_source_name(enum event_source source)
{
    assert(source < EVENT_SOURCE_COUNT);
    return source_names[source];
}

struct bytes event_kind_name(enum event_kind kind)
{
    assert(kind < EVENT_KIND_COUNT);
    return kinds[kind].name;
}

struct bytes event_topic_name(enum event_source source)
{
    assert(source < EVENT_SOURCE_COUNT);
    return topic_names[source];
}

static bool find_source(const struct bytes *names, struct bytes name, enum event_source *source)
{
    for (unsigned i = 0; i < EVENT_SOURCE_COUNT; i++)
        if (bytes_equal(names[i], name)) {
            *source = i;
            return true;
        }
    return false;
}

bool event_topic_parse(struct bytes name, enum event_source *source)
{
    return find_source(topic_names, name, source);
}

bool event_source_parse(struct bytes name, enum event_source *source)
{
    return find_source(source_names, name, source);
}

bool event_kind_parse(struct bytes name, enum event_source source, enum event_kind *kind)
{
    for (unsigned i = EVENT_KIND_NONE + 1; i < EVENT_KIND_COUNT; i++)
        if ((kinds[i].sources & 1u << source) && bytes_equal(kinds[i].name, name)) {
            *kind = i;
            return true;
        }
    return false;
}

struct bytes reject_reason_name(enum reject_reason reason)
{
    static const struct bytes names[REJECT_REASON_COUNT] = {
        [REJECT_NONE] = BYTES("none"),
        [REJECT_MALFORMED_JSON] = BYTES("malformed_json"),
        [REJECT_MISSING_FIELD] = BYTES("missing_field"),
        [REJECT_WRONG_TYPE] = BYTES("wrong_type"),
        [REJECT_BAD_NUMBER] = BYTES("bad_number"),
        [REJECT_BAD_TIME] = BYTES("bad_time"),
        [REJECT_NO_TIME] = BYTES("no_time"),
        [REJECT_BAD_SCHEMA] = BYTES("bad_schema"),
        [REJECT_UNKNOWN_SOURCE] = BYTES("unknown_source"),
        [REJECT_UNKNOWN_KIND] = BYTES("unknown_kind"),
        [REJECT_UNKNOWN_SYMBOL] = BYTES("unknown_symbol"),
        [REJECT_INVALID_UTF8] = BYTES("invalid_utf8"),
        [REJECT_TOO_LONG] = BYTES("too_long"),
        [REJECT_NO_MEMORY] = BYTES("no_memory"),
        [REJECT_MALFORMED_LINE] = BYTES("malformed_line"),
    };
    assert(reason < REJECT_REASON_COUNT);
    return names[reason];
}

/* ---- batches ---- */

struct event_batch *event_batch_create(size_t capacity)
{
    struct event_batch *batch = calloc(1, sizeof *batch);
    if (!batch)
        return NULL;
    arena_init(&batch->arena, BATCH_ARENA_CAP);
    batch->capacity = capacity ? capacity : 1;
    batch->events = calloc(batch->capacity, sizeof *batch->events);
    if (!batch->events) {
        free(batch);
        return NULL;
    }
    return batch;
}

void event_batch_destroy(struct event_batch *batch)
{
    if (!batch)
        return;
    arena_release(&batch->arena);
    free(batch->events);
    free(batch);
}

void event_batch_reset(struct event_batch *batch)
{
    batch->count = 0;
    arena_reset(&batch->arena);
    arena_trim(&batch->arena, BATCH_KEEPS_BYTES);
}

_Static_assert(offsetof(struct event_market, trade_id) >= sizeof(struct event_chat),
               "a fresh event's unknown trade id must not be seen as chat");

struct event *event_batch_add(struct event_batch *batch)
{
    if (batch->count == batch->capacity) {
        struct event *grown = reallocarray(batch->events, batch->capacity, 2 * sizeof *grown);
        if (!grown)
            return NULL;
        batch->events = grown;
        batch->capacity *= 2;
    }
    struct event *event = &batch->events[batch->count++];
    *event = (struct event){.received_us = TIME_UNKNOWN, .market.trade_id = TRADE_ID_NONE};
    return event;
}

/* ---- keys and ids ---- */

struct bytes event_key(const struct event *event, struct arena *arena)
{
    if (event->source == EVENT_TWITCH)
        return event->chat.channel;
    if (event->source == EVENT_ANALYTICS)
        return event->key_text;
    char *key = arena_text(arena, event->market.exchange.length + 1 + event->market.symbol.length);
    if (!key)
        return BYTES_NONE;
    char *end = text_put(key, event->market.exchange);
    *end++ = ':';
    end = text_put(end, event->market.symbol);
    return bytes_of(key, (size_t)(end - key));
}

bool event_id_is_aggregate(struct bytes id, const struct event_market *market)
{
    static const struct bytes marker = BYTES(":agg:");
    size_t exchange = market->exchange.length, symbol = market->symbol.length;
    return id.length > exchange + 1 + symbol + marker.length && memcmp(id.at, market->exchange.at, exchange) == 0 &&
           id.at[exchange] == ':' && memcmp(id.at + exchange + 1, market->symbol.at, symbol) == 0 &&
           memcmp(id.at + exchange + 1 + symbol, marker.at, marker.length) == 0;
}

/* `owner:kind:number`, then `-second` if there is one. */
static bool set_record_id(struct event *event, struct arena *arena, struct bytes kind, int64_t number, const int64_t *second)
{
    struct bytes owner = event_key(event, arena);
    char *id = arena_text(arena, owner.length + kind.length + 3 + (size_t)2 * TEXT_INT64_MAX);
    if (!owner.at || !id)
        return false;
    char *end = text_put(id, owner);
    *end++ = ':';
    end = text_put(end, kind);
    *end++ = ':';
    end = text_put_i64(end, number);
    if (second) {
        *end++ = '-';
        end = text_put_i64(end, *second);
    }
    event->id = bytes_of(id, (size_t)(end - id));
    return true;
}

/* The hash is of the event's JSON without what differs between receptions and stages, and of its key. */
static bool set_hash_id(struct event *event, struct arena *arena)
{
    struct event content = *event;
    content.id = content.toxicity = content.sentiment = content.anomaly = BYTES_NONE;
    content.received_us = TIME_UNKNOWN;
    struct buffer text;
    buffer_init(&text, CONTENT_CAP);
    event_write(&content, &text);
    buffer_byte(&text, '\n');
    struct bytes key = event_key(event, arena);
    buffer_append(&text, key);
    char *id = arena_text(arena, ID_HASH_DIGITS + 1);
    bool done = id && !text.failed;
    if (done) {
        XXH128_hash_t hash = XXH3_128bits(text.at, text.length);
        snprintf(id, ID_HASH_DIGITS + 1, "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
        event->id = bytes_of(id, ID_HASH_DIGITS);
    }
    buffer_release(&text);
    return done;
}

bool event_set_id(struct event *event, struct arena *arena)
{
    if (event->kind == EVENT_TRADE && event->market.trade_id != TRADE_ID_NONE)
        return set_record_id(event, arena, event->market.aggregate ? BYTES("agg") : BYTES("trade"), event->market.trade_id, NULL);
    if (event->kind == EVENT_GAP && event->source == EVENT_MARKET && event->gap.first_missing != TRADE_ID_NONE &&
        event->gap.last_missing != TRADE_ID_NONE)
        return set_record_id(event, arena, BYTES("gap"), event->gap.first_missing, &event->gap.last_missing);
    return set_hash_id(event, arena);
}
