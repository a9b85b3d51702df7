/* The fast way through matches, the frames that come by the thousand a second, in the order of fields that the exchange sends.
 * Whatever is not exactly that goes to the general parser, which decides. */
#include "source/coinbase_frame.h"

#include "event/scan.h"

/* A decimal in quotes, from behind the opening one, without sign and exponent.  *nonzero: it is greater than 0. */
static inline bool scan_amount(struct scan *scan, struct bytes *text, bool *nonzero)
{
    if (!scan_number(scan, text) || *text->at == '-' || text->length > COINBASE_DECIMAL_MAX || !scan_byte(scan, '"'))
        return false;
    unsigned any = 0;
    for (size_t i = 0; i < text->length; i++)
        any |= text->at[i] == '.' ? 0 : (unsigned)text->at[i] & 0xF; /* the digits' own bits */
    *nonzero = any != 0;
    return true;
}

static inline bool scan_time(struct scan *scan, int64_t *time_us)
{
    struct bytes text;
    return scan_string(scan, &text) && timestamp_parse(text, time_us);
}

static inline bool scan_side(struct scan *scan, enum event_side *side)
{
    *side = SCAN_LITERAL(scan, "buy\"") ? EVENT_BUY : SCAN_LITERAL(scan, "sell\"") ? EVENT_SELL : EVENT_SIDE_NONE;
    return *side != EVENT_SIDE_NONE;
}

bool coinbase_frame_scan(struct bytes text, struct coinbase_frame *frame)
{
    struct scan rest = scan_of(text), *scan = &rest;
    bool nonzero;
    frame->kind = COINBASE_MATCH;
    if (!SCAN_LITERAL(scan, "{\"type\":\"match\"") && !SCAN_LITERAL(scan, "{\"type\":\"last_match\""))
        return false;
    if (!SCAN_LITERAL(scan, ",\"trade_id\":") || !scan_u63(scan, &frame->trade_id) ||
        !SCAN_LITERAL(scan, ",\"maker_order_id\":\"") || !scan_string(scan, &frame->match.maker_order_id) ||
        !SCAN_LITERAL(scan, ",\"taker_order_id\":\"") || !scan_string(scan, &frame->match.taker_order_id))
        return false;
    if (!SCAN_LITERAL(scan, ",\"side\":\"") || !scan_side(scan, &frame->side) || !SCAN_LITERAL(scan, ",\"size\":\"") ||
        !scan_amount(scan, &frame->size, &nonzero))
        return false;
    if (!SCAN_LITERAL(scan, ",\"price\":\"") || !scan_amount(scan, &frame->price, &nonzero) || !nonzero)
        return false;
    return SCAN_LITERAL(scan, ",\"product_id\":\"") && scan_string(scan, &frame->product) &&
           SCAN_LITERAL(scan, ",\"sequence\":") && scan_u63(scan, &frame->sequence) && SCAN_LITERAL(scan, ",\"time\":\"") &&
           scan_time(scan, &frame->time_us) && scan_byte(scan, '}') && scan->at == scan->end;
}
