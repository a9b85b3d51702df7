/* The fast way through the frames that come by the thousand a second: trades and quotes in the order of fields that the
 * exchange sends.  Whatever is not exactly that goes to the general parser, which decides. */
#include "source/binance_frame.h"

#include "event/scan.h"

/* `digits.digits"` behind the opening quote: a JSON decimal without sign and exponent.  *nonzero: it is greater than 0. */
static inline bool scan_amount(struct scan *scan, struct bytes *text, bool *nonzero)
{
    const char *start = scan->at, *at = start;
    unsigned any = 0;
    for (; at < scan->end && (unsigned)(unsigned char)*at - '0' <= 9; at++)
        any |= (unsigned)*at;
    if (at == start || (*start == '0' && at > start + 1))
        return false;
    if (at < scan->end && *at == '.') {
        const char *decimals = ++at;
        for (; at < scan->end && (unsigned)(unsigned char)*at - '0' <= 9; at++)
            any |= (unsigned)*at;
        if (at == decimals)
            return false;
    }
    if (at == scan->end || *at != '"' || at - start > BINANCE_DECIMAL_MAX)
        return false;
    *text = bytes_of(start, (size_t)(at - start));
    *nonzero = (any & 0xF) != 0; /* the digits' own bits */
    scan->at = at + 1;
    return true;
}

static inline bool scan_price(struct scan *scan, struct bytes *text)
{
    bool nonzero;
    return scan_amount(scan, text, &nonzero) && nonzero;
}

static inline bool scan_volume(struct scan *scan, struct bytes *text)
{
    bool nonzero;
    return scan_amount(scan, text, &nonzero);
}

SCAN_INLINE bool scan_epoch(struct scan *scan, int64_t *time_us)
{
    int64_t value;
    return scan_u63(scan, &value) && timestamp_from_epoch((uint64_t)value, time_us);
}

SCAN_INLINE bool scan_bool(struct scan *scan, bool *value)
{
    *value = SCAN_LITERAL(scan, "true");
    return *value || SCAN_LITERAL(scan, "false");
}

/* Order ids, which @trade carried until 2023. */
static inline bool scan_order_ids(struct scan *scan)
{
    int64_t id;
    return !SCAN_LITERAL(scan, ",\"b\":") || (scan_u63(scan, &id) && SCAN_LITERAL(scan, ",\"a\":") && scan_u63(scan, &id));
}

static bool scan_trade(struct scan *scan, struct binance_frame *frame)
{
    struct binance_trade *trade = &frame->trade;
    bool ignored;
    if (!SCAN_LITERAL(scan, ",\"E\":") || !scan_epoch(scan, &frame->event_us) || !SCAN_LITERAL(scan, ",\"s\":\"") ||
        !scan_string(scan, &frame->symbol))
        return false;
    if (!(frame->kind == BINANCE_AGG_TRADE ? SCAN_LITERAL(scan, ",\"a\":") : SCAN_LITERAL(scan, ",\"t\":")) ||
        !scan_u63(scan, &trade->id) || !SCAN_LITERAL(scan, ",\"p\":\"") || !scan_price(scan, &trade->price) ||
        !SCAN_LITERAL(scan, ",\"q\":\"") || !scan_volume(scan, &trade->quantity))
        return false;
    trade->first_id = trade->last_id = trade->id;
    if (frame->kind == BINANCE_AGG_TRADE) {
        if (!SCAN_LITERAL(scan, ",\"f\":") || !scan_u63(scan, &trade->first_id) || !SCAN_LITERAL(scan, ",\"l\":") ||
            !scan_u63(scan, &trade->last_id) || trade->first_id > trade->last_id)
            return false;
    } else if (!scan_order_ids(scan)) {
        return false;
    }
    return SCAN_LITERAL(scan, ",\"T\":") && scan_epoch(scan, &trade->time_us) && SCAN_LITERAL(scan, ",\"m\":") &&
           scan_bool(scan, &trade->buyer_is_maker) && SCAN_LITERAL(scan, ",\"M\":") && scan_bool(scan, &ignored) &&
           scan_byte(scan, '}');
}

static bool scan_quote(struct scan *scan, struct binance_frame *frame)
{
    struct binance_quote *quote = &frame->quote;
    frame->kind = BINANCE_BOOK_TICKER;
    frame->event_us = TIME_UNKNOWN;
    return scan_u63(scan, &quote->update_id) && SCAN_LITERAL(scan, ",\"s\":\"") && scan_string(scan, &frame->symbol) &&
           SCAN_LITERAL(scan, ",\"b\":\"") && scan_price(scan, &quote->bid) && SCAN_LITERAL(scan, ",\"B\":\"") &&
           scan_volume(scan, &quote->bid_volume) && SCAN_LITERAL(scan, ",\"a\":\"") && scan_price(scan, &quote->ask) &&
           SCAN_LITERAL(scan, ",\"A\":\"") && scan_volume(scan, &quote->ask_volume) && scan_byte(scan, '}');
}

static bool scan_record(struct scan *scan, struct binance_frame *frame)
{
    if (SCAN_LITERAL(scan, "{\"e\":\"aggTrade\"")) {
        frame->kind = BINANCE_AGG_TRADE;
        return scan_trade(scan, frame);
    }
    if (SCAN_LITERAL(scan, "{\"e\":\"trade\"")) {
        frame->kind = BINANCE_TRADE;
        return scan_trade(scan, frame);
    }
    return SCAN_LITERAL(scan, "{\"u\":") && scan_quote(scan, frame);
}

bool binance_frame_scan(struct bytes text, struct binance_frame *frame)
{
    struct scan scan = scan_of(text);
    struct bytes stream;
    if (!SCAN_LITERAL(&scan, "{\"stream\":\""))
        return scan_record(&scan, frame) && scan.at == scan.end;
    return scan_string(&scan, &stream) && SCAN_LITERAL(&scan, ",\"data\":") && scan_record(&scan, frame) &&
           scan_byte(&scan, '}') && scan.at == scan.end;
}
