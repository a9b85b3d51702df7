/* Frames of Binance's spot market streams, taken apart and checked.
 * https://github.com/binance/binance-spot-api-docs/blob/master/web-socket-streams.md
 *
 * Raw frames are the record itself; combined ones wrap it: {"stream":"btcusdt@aggTrade","data":{…}}. */
#ifndef SOURCE_BINANCE_FRAME_H
#define SOURCE_BINANCE_FRAME_H

#include "event/event.h"

/* Longest price or volume taken, in characters. */
enum { BINANCE_DECIMAL_MAX = 64 };

enum binance_kind {
    BINANCE_AGG_TRADE,
    BINANCE_TRADE,
    BINANCE_KLINE,
    BINANCE_BOOK_TICKER,
    BINANCE_ANSWER,   /* {"result":null,"id":1} */
    BINANCE_ERROR,    /* {"code":…,"msg":…} */
    BINANCE_SHUTDOWN, /* the server asks to reconnect */
    BINANCE_UNWANTED, /* a known kind that makes no events: depth, day statistics, … */
};

struct binance_trade {
    int64_t id; /* a or t: of the aggregate or of the trade */
    int64_t first_id, last_id;
    struct bytes price, quantity;
    int64_t time_us;
    bool buyer_is_maker;
};

struct binance_kline {
    unsigned interval; /* index into the table of intervals */
    int64_t start_us, end_us;
    int64_t first_id, last_id; /* -1: no trade yet */
    int64_t trades;
    struct bytes open, close, high, low, volume, quote_volume;
    bool closed;
};

struct binance_quote {
    int64_t update_id;
    struct bytes bid, bid_volume, ask, ask_volume;
};

struct binance_frame {
    enum binance_kind kind;
    struct bytes symbol; /* BTCUSDT */
    int64_t event_us;    /* E; TIME_UNKNOWN where the kind has none */
    union {
        struct binance_trade trade;
        struct binance_kline kline;
        struct binance_quote quote;
        struct {
            int64_t code;
            struct bytes text;
        } error;
    };
};

enum { BINANCE_INTERVAL_COUNT = 16 };
struct bytes binance_interval_name(unsigned interval);

/* Bytes point into the frame or the arena. */
enum reject_reason binance_frame_parse(struct bytes text, struct arena *arena, struct binance_frame *frame);

/* Its two halves, for the test that they agree.  binance_frame_scan knows the exchange's usual order of fields in trades and
 * quotes; false: it met anything else, and *frame is undefined. */
bool binance_frame_scan(struct bytes text, struct binance_frame *frame);
enum reject_reason binance_frame_parse_any(struct bytes text, struct arena *arena, struct binance_frame *frame);

#endif
