/* Frames of Coinbase Exchange's feed, taken apart and checked.
 * https://docs.cdp.coinbase.com/exchange/websocket-feed/channels */
#ifndef SOURCE_COINBASE_FRAME_H
#define SOURCE_COINBASE_FRAME_H

#include "event/event.h"

/* Longest price or size taken, in characters. */
enum { COINBASE_DECIMAL_MAX = 64 };

enum coinbase_kind {
    COINBASE_MATCH, /* match, and last_match: the trade before the subscription */
    COINBASE_TICKER,
    COINBASE_HEARTBEAT,
    COINBASE_ERROR,
    COINBASE_UNWANTED, /* a known kind that makes no events: answers, order books, orders, … */
};

/* What a ticker may say besides its trade. */
enum { COINBASE_FIGURE_COUNT = 9 };

struct coinbase_frame {
    enum coinbase_kind kind;
    struct bytes product; /* BTC-USD */
    int64_t time_us;
    int64_t sequence;
    int64_t trade_id; /* a heartbeat's: of the last trade there was */

    /* matches and tickers */
    struct bytes price, size;
    enum event_side side; /* of a match: the maker's; of a ticker: the aggressor's */
    union {
        struct {
            struct bytes maker_order_id, taker_order_id; /* empty: not said */
        } match;
        struct bytes figures[COINBASE_FIGURE_COUNT]; /* empty: not said */
        struct {
            struct bytes message, reason; /* either may be empty */
        } error;
    };
};

/* What an event's metadata calls a figure. */
struct bytes coinbase_figure_name(unsigned figure);

/* Bytes point into the frame or the arena. */
enum reject_reason coinbase_frame_parse(struct bytes text, struct arena *arena, struct coinbase_frame *frame);

/* Its two halves, for the test that they agree.  coinbase_frame_scan knows the exchange's usual order of fields in matches;
 * false: it met anything else, and *frame is undefined. */
bool coinbase_frame_scan(struct bytes text, struct coinbase_frame *frame);
enum reject_reason coinbase_frame_parse_any(struct bytes text, struct arena *arena, struct coinbase_frame *frame);

#endif
