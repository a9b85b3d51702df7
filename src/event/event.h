/* The event: what every source makes, every stage adds to, and every sink stores.  Its JSON is schema 1.
 *
 * An event owns nothing: its bytes point into the frame it came from or into the arena of its batch, and are
 * valid as long as those are.  Texts are decoded (no JSON escapes), UTF-8.  Price and volume are the digits
 * that the exchange sent. */
#ifndef EVENT_EVENT_H
#define EVENT_EVENT_H

#include "base/arena.h"
#include "base/buffer.h"
#include "event/timestamp.h"

enum { EVENT_SCHEMA = 1 };

/* The order is also that of the topics: chat_stream, market_stream, analytics_stream. */
enum event_source { EVENT_TWITCH, EVENT_MARKET, EVENT_ANALYTICS, EVENT_SOURCE_COUNT };

enum event_kind {
    EVENT_KIND_NONE,
    /* market */
    EVENT_TRADE,
    EVENT_TICKER,
    EVENT_CANDLE,
    EVENT_QUOTE,
    EVENT_HEARTBEAT,
    /* chat */
    EVENT_MESSAGE,
    EVENT_SUBSCRIPTION,
    EVENT_RAID,
    EVENT_ANNOUNCEMENT,
    EVENT_TIMEOUT,
    EVENT_BAN,
    EVENT_CLEAR,
    EVENT_DELETE,
    EVENT_NOTICE,
    EVENT_ROOM_STATE,
    /* both */
    EVENT_GAP,
    /* analytics */
    EVENT_WINDOW,
    EVENT_ANOMALY,
    EVENT_ALERT,
    EVENT_KIND_COUNT
};

enum event_side { EVENT_SIDE_NONE, EVENT_BUY, EVENT_SELL };
enum event_direction { EVENT_DIRECTION_NONE, EVENT_UP, EVENT_DOWN, EVENT_FLAT };

#define TRADE_ID_NONE INT64_MIN

struct event_market {
    struct bytes exchange; /* binance, coinbase, simulated */
    struct bytes symbol;   /* BTC-USDT */
    struct bytes price;    /* a valid decimal, or empty: left out */
    struct bytes volume;
    enum event_side side; /* the aggressor */
    enum event_direction direction;
    bool aggregate;   /* trade_id counts aggregate trades (Binance aggTrade) */
    int64_t trade_id; /* or TRADE_ID_NONE; behind all that a chat payload overlaps, so that a fresh event suits both */
};

struct event_chat {
    struct bytes channel; /* without # */
    struct bytes username;
    struct bytes display_name;
    struct bytes user_id;
    struct bytes message;
};

/* Payload of kind gap: what a source knows it missed. */
struct event_gap {
    int64_t from_us, to_us;
    int64_t first_missing, last_missing; /* TRADE_ID_NONE: unknown (a chat disconnect) */
    int64_t count;                       /* -1: unknown */
    bool recovered;
    struct bytes reason;
};

struct event {
    enum event_source source;
    enum event_kind kind;
    int64_t timestamp_us; /* event time */
    int64_t received_us;  /* or TIME_UNKNOWN */
    struct bytes id;
    union {
        struct event_market market;
        struct event_chat chat;
    };
    struct event_gap gap;  /* kind gap */
    struct bytes metadata; /* a JSON object as text, or empty: left out */
    /* Analytics: the whole payload as JSON text.  Market and chat: payload fields beyond the known ones, as text
     * `"name":value,…` without braces, kept when a foreign event passes through. */
    struct bytes payload_json;
    struct bytes key_text; /* analytics: topic key (query or incident key) */
    /* Enrichment, JSON text or empty. */
    struct bytes toxicity;
    struct bytes sentiment;
    struct bytes anomaly;
};

/* Events of one batch, in order, and the memory behind them. */
struct event_batch {
    struct event *events;
    size_t count;
    size_t capacity;
    struct arena arena;
};

struct event_batch *event_batch_create(size_t capacity); /* NULL when out of memory */
void event_batch_destroy(struct event_batch *batch);
void event_batch_reset(struct event_batch *batch);
/* A zeroed event at the end (received_us and trade_id unknown), or NULL when out of memory. */
struct event *event_batch_add(struct event_batch *batch);

struct bytes event_source_name(enum event_source source);
struct bytes event_kind_name(enum event_kind kind);
/* The topic of a source's events: chat_stream, market_stream, analytics_stream. */
struct bytes event_topic_name(enum event_source source);
bool event_topic_parse(struct bytes name, enum event_source *source);

/* The topic key: channel; exchange:symbol (made in the arena); query or incident key. */
struct bytes event_key(const struct event *event, struct arena *arena);

/* Sets id from the fields as interfaces require (trade, gap; what has no id of its own: 128-bit hash (XXH3) of source,
 * key, time and content).  Kinds with a record id of their own (chat message, candle, quote) are given theirs by
 * the adapter.  False when out of memory. */
bool event_set_id(struct event *event, struct arena *arena);

/* Appends the event as one JSON object without a newline, fields in the order of the format. */
void event_write(const struct event *event, struct buffer *out);

/* Why a record was refused; the names are stable (metrics, --rejects). */
enum reject_reason {
    REJECT_NONE,
    REJECT_MALFORMED_JSON,
    REJECT_MISSING_FIELD,
    REJECT_WRONG_TYPE,
    REJECT_BAD_NUMBER,
    REJECT_BAD_TIME,
    REJECT_NO_TIME, /* the record carries none, and the time of receipt is unknown */
    REJECT_BAD_SCHEMA,
    REJECT_UNKNOWN_SOURCE,
    REJECT_UNKNOWN_KIND,
    REJECT_UNKNOWN_SYMBOL,
    REJECT_INVALID_UTF8,
    REJECT_TOO_LONG,
    REJECT_NO_MEMORY,
    REJECT_MALFORMED_LINE, /* no line of IRC */
    REJECT_REASON_COUNT
};
struct bytes reject_reason_name(enum reject_reason reason);

/* Parses one event (schema 1; id may be missing: made).  Bytes point into `json` or the arena.  Unknown payload
 * fields are kept (payload_json); for events without a topic name see event_source. */
enum reject_reason event_parse(struct bytes json, struct arena *arena, struct event *event);

#endif
