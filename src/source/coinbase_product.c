/* Trade ids of a product follow one another.  `accounted` is the greatest that needs no more telling: it came, or is told to be
 * missing, or was there before we were.  A trade beyond its successor shows a gap.  So does a heartbeat, which names the last
 * trade there was: the feed may leave matches out, and the last ones before a pause would be missed by nobody.  As heartbeats
 * and matches may cross, a heartbeat's word counts when the next one comes and the trade still has not.
 *
 * Invariants: no id above `accounted` is in `ids`; no id is told to be missing twice.
 *
 * An event's texts lie in one piece of the arena: its id, of which exchange and symbol are parts, then its metadata. */
#include "source/coinbase_product.h"

#include "event/decimal.h"
#include "event/text.h"
#include "source/sequence.h"
#include "source/symbols.h"
#include <stdlib.h>

enum { EXCHANGE_LENGTH = sizeof(COINBASE_EXCHANGE) - 1, RECENT_MAX = 16, ORDER_ID_MAX = 64 };
enum { PREFIX_MAX = EXCHANGE_LENGTH + 1 + SYMBOL_LENGTH_MAX + 1 };

#define NO_TRADE ((int64_t)-1)

/* Records of which the latest few are known again. */
struct recent {
    struct {
        int64_t sequence, time_us;
    } records[RECENT_MAX];
    size_t count; /* the latest is at count - 1 (modulo) */
};

struct coinbase_product {
    char prefix[PREFIX_MAX]; /* coinbase:BTC-USD: */
    size_t prefix_length, name_length;

    struct sequence ids;
    int64_t accounted; /* NO_TRADE: nothing is known yet */
    int64_t announced; /* the greatest last_trade_id of a heartbeat so far, or NO_TRADE */
    int64_t heard;     /* the same of heartbeats before a restart */
    int64_t newest_id; /* the greatest id that came, and its event time */
    int64_t newest_us;
    char price[COINBASE_DECIMAL_MAX];
    size_t price_length; /* of the trade that came last */

    struct recent tickers, heartbeats;
};

struct coinbase_product *coinbase_product_create(struct bytes name)
{
    struct coinbase_product *product = calloc(1, sizeof *product);
    if (!product)
        return NULL;
    product->accounted = product->announced = product->heard = product->newest_id = NO_TRADE;
    product->name_length = name.length;
    char *end = text_put(TEXT_LITERAL(product->prefix, COINBASE_EXCHANGE ":"), name);
    *end++ = ':';
    product->prefix_length = (size_t)(end - product->prefix);
    return product;
}

void coinbase_product_destroy(struct coinbase_product *product)
{
    if (!product)
        return;
    sequence_release(&product->ids);
    free(product);
}

/* Tickers have a sequence number of their own; a product that rests sends heartbeats with the same one, at other times. */
static bool recent_has(const struct recent *recent, int64_t sequence, int64_t time_us)
{
    size_t count = recent->count < RECENT_MAX ? recent->count : RECENT_MAX;
    for (size_t i = 0; i < count; i++)
        if (recent->records[i].sequence == sequence && (time_us == TIME_UNKNOWN || recent->records[i].time_us == time_us))
            return true;
    return false;
}

static void recent_add(struct recent *recent, int64_t sequence, int64_t time_us)
{
    size_t place = recent->count++ % RECENT_MAX;
    recent->records[place].sequence = sequence;
    recent->records[place].time_us = time_us;
}

/* Starts an event whose id begins at `id`, where the prefix is put; returns the place behind the prefix. */
static inline char *start_event(const struct coinbase_product *product, struct event *event, enum event_kind kind, char *id)
{
    char *end = text_put(id, bytes_of(product->prefix, product->prefix_length));
    event->source = EVENT_MARKET;
    event->kind = kind;
    event->market.exchange = bytes_of(id, EXCHANGE_LENGTH);
    event->market.symbol = bytes_of(id + EXCHANGE_LENGTH + 1, product->name_length);
    return end;
}

/* ---- gaps ---- */

/* Tells that all from `accounted` to `last` is missing; shown by a record of time_us. */
static enum reject_reason tell_gap(struct coinbase_product *product, struct source *source, int64_t last, struct bytes reason,
                                   int64_t time_us, int64_t received_us, struct source_output *output)
{
    struct event *gap = source_event(output);
    if (!gap)
        return REJECT_NO_MEMORY;
    char *id = arena_text(&output->batch->arena, product->prefix_length + sizeof "gap:-" + (size_t)2 * TEXT_INT64_MAX);
    if (!id) {
        source_event_drop(output);
        return REJECT_NO_MEMORY;
    }
    int64_t first = product->accounted + 1;
    char *end = text_put_i64(TEXT_LITERAL(start_event(product, gap, EVENT_GAP, id), "gap:"), first);
    *end++ = '-';
    end = text_put_i64(end, last);
    gap->id = bytes_of(id, (size_t)(end - id));
    gap->timestamp_us = time_us;
    gap->received_us = received_us;
    bool in_order = product->newest_us <= time_us;
    gap->gap = (struct event_gap){.from_us = in_order ? product->newest_us : time_us,
                                  .to_us = in_order ? time_us : product->newest_us,
                                  .first_missing = first,
                                  .last_missing = last,
                                  .count = last - first + 1,
                                  .reason = reason};
    product->accounted = last;
    source_emit(source, gap);
    return REJECT_NONE;
}

/* ---- trades ---- */

/* `,"name":"id"`.  An id that is none (they are UUIDs) is left out: it is no reason to lose the trade. */
static char *put_order_id(char *end, struct bytes name, struct bytes id)
{
    if (id.length == 0 || id.length > ORDER_ID_MAX)
        return end;
    for (size_t i = 0; i < id.length; i++) {
        char c = id.at[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && c != '-')
            return end;
    }
    end = text_put(TEXT_LITERAL(end, ",\""), name);
    end = text_put(TEXT_LITERAL(end, "\":\""), id);
    *end++ = '"';
    return end;
}

static bool fill_trade(const struct coinbase_product *product, struct event *event, const struct coinbase_frame *frame,
                       struct arena *arena)
{
    enum {
        METADATA_MAX =
            sizeof "{'sequence':,'maker_side':'sell','maker_order_id':'','taker_order_id':''}" + TEXT_INT64_MAX + 2 * ORDER_ID_MAX
    };
    char *id = arena_text(arena, product->prefix_length + sizeof "trade:" + TEXT_INT64_MAX + METADATA_MAX);
    if (!id)
        return false;
    char *end = text_put_i64(TEXT_LITERAL(start_event(product, event, EVENT_TRADE, id), "trade:"), frame->trade_id);
    event->id = bytes_of(id, (size_t)(end - id));
    char *metadata = end;
    bool maker_buys = frame->side == EVENT_BUY;
    end = text_put_i64(TEXT_LITERAL(end, "{\"sequence\":"), frame->sequence);
    end = TEXT_LITERAL(end, ",\"maker_side\":\"");
    end = maker_buys ? TEXT_LITERAL(end, "buy\"") : TEXT_LITERAL(end, "sell\"");
    end = put_order_id(end, BYTES("maker_order_id"), frame->match.maker_order_id);
    end = put_order_id(end, BYTES("taker_order_id"), frame->match.taker_order_id);
    *end++ = '}';
    event->metadata = bytes_of(metadata, (size_t)(end - metadata));
    event->market.price = frame->price;
    event->market.volume = frame->size;
    event->market.side = maker_buys ? EVENT_SELL : EVENT_BUY; /* the aggressor's is the other one */
    event->market.trade_id = frame->trade_id;
    return true;
}

/* Against the trade that came before; remembers this one's price. */
static enum event_direction direction(struct coinbase_product *product, struct bytes price)
{
    int order = product->price_length ? decimal_compare(price, bytes_of(product->price, product->price_length)) : 0;
    text_put(product->price, price);
    product->price_length = price.length;
    return order > 0 ? EVENT_UP : order < 0 ? EVENT_DOWN : EVENT_FLAT;
}

/* A trade came that had not come before. */
static void note_trade(struct coinbase_product *product, int64_t id, int64_t time_us)
{
    if (id > product->accounted)
        product->accounted = id;
    if (id > product->newest_id) {
        product->newest_id = id;
        product->newest_us = time_us;
    }
}

static enum reject_reason take_match(struct coinbase_product *product, struct source *source, const struct coinbase_frame *frame,
                                     int64_t received_us, struct source_output *output)
{
    if (product->accounted != NO_TRADE && frame->trade_id - 1 > product->accounted) {
        enum reject_reason reason =
            tell_gap(product, source, frame->trade_id - 1, BYTES("ids_skipped"), frame->time_us, received_us, output);
        if (reason != REJECT_NONE)
            return reason;
    }
    struct event *event = source_event(output);
    if (!event)
        return REJECT_NO_MEMORY;
    struct sequence_interval missing; /* what is missing is known from `accounted` */
    enum sequence_result result = SEQUENCE_NO_MEMORY;
    if (fill_trade(product, event, frame, &output->batch->arena))
        result = sequence_see(&product->ids, frame->trade_id, &missing);
    if (result == SEQUENCE_DUPLICATE || result == SEQUENCE_NO_MEMORY) {
        source_event_drop(output);
        if (result == SEQUENCE_NO_MEMORY)
            return REJECT_NO_MEMORY;
        source_duplicate(source);
        return REJECT_NONE;
    }
    event->market.direction = direction(product, frame->price);
    event->timestamp_us = frame->time_us;
    event->received_us = received_us;
    note_trade(product, frame->trade_id, frame->time_us);
    source_emit(source, event);
    return REJECT_NONE;
}

/* ---- tickers ---- */

static bool fill_ticker(const struct coinbase_product *product, struct event *event, const struct coinbase_frame *frame,
                        struct arena *arena)
{
    enum {
        FIGURE_MAX = sizeof ",'bid_volume':" + COINBASE_DECIMAL_MAX,
        FIXED = sizeof "ticker:{'sequence':}" + 2 * TEXT_INT64_MAX
    };
    char *id = arena_text(arena, FIXED + product->prefix_length + (size_t)COINBASE_FIGURE_COUNT * FIGURE_MAX);
    if (!id)
        return false;
    char *end = text_put_i64(TEXT_LITERAL(start_event(product, event, EVENT_TICKER, id), "ticker:"), frame->sequence);
    event->id = bytes_of(id, (size_t)(end - id));
    char *metadata = end;
    end = text_put_i64(TEXT_LITERAL(end, "{\"sequence\":"), frame->sequence);
    for (unsigned i = 0; i < COINBASE_FIGURE_COUNT; i++) {
        if (frame->figures[i].length == 0)
            continue;
        end = text_put(TEXT_LITERAL(end, ",\""), coinbase_figure_name(i));
        end = text_put(TEXT_LITERAL(end, "\":"), frame->figures[i]);
    }
    *end++ = '}';
    event->metadata = bytes_of(metadata, (size_t)(end - metadata));
    event->market.price = frame->price;
    event->market.volume = frame->size;
    event->market.side = frame->side;
    event->market.trade_id = frame->trade_id;
    return true;
}

static enum reject_reason take_ticker(struct coinbase_product *product, struct source *source, const struct coinbase_frame *frame,
                                      int64_t received_us, struct source_output *output)
{
    if (recent_has(&product->tickers, frame->sequence, TIME_UNKNOWN)) {
        source_duplicate(source);
        return REJECT_NONE;
    }
    struct event *event = source_event(output);
    if (!event)
        return REJECT_NO_MEMORY;
    if (!fill_ticker(product, event, frame, &output->batch->arena)) {
        source_event_drop(output);
        return REJECT_NO_MEMORY;
    }
    recent_add(&product->tickers, frame->sequence, frame->time_us);
    event->timestamp_us = frame->time_us;
    event->received_us = received_us;
    source_emit(source, event);
    return REJECT_NONE;
}

/* ---- heartbeats ---- */

static bool fill_heartbeat(const struct coinbase_product *product, struct event *event, const struct coinbase_frame *frame,
                           struct arena *arena)
{
    enum { FIXED = sizeof "heartbeat::{'sequence':,'last_trade_id':}" + 4 * TEXT_INT64_MAX };
    char *id = arena_text(arena, FIXED + product->prefix_length);
    if (!id)
        return false;
    char *end = text_put_i64(TEXT_LITERAL(start_event(product, event, EVENT_HEARTBEAT, id), "heartbeat:"), frame->sequence);
    *end++ = ':';
    end = text_put_i64(end, frame->time_us);
    event->id = bytes_of(id, (size_t)(end - id));
    char *metadata = end;
    end = text_put_i64(TEXT_LITERAL(end, "{\"sequence\":"), frame->sequence);
    end = text_put_i64(TEXT_LITERAL(end, ",\"last_trade_id\":"), frame->trade_id);
    *end++ = '}';
    event->metadata = bytes_of(metadata, (size_t)(end - metadata));
    event->market.trade_id = TRADE_ID_NONE;
    return true;
}

/* What a heartbeat says of the last trade.  The first word on a product is where its trades begin for us. */
static void note_heartbeat(struct coinbase_product *product, const struct coinbase_frame *frame)
{
    if (product->accounted == NO_TRADE) {
        product->accounted = frame->trade_id;
        product->newest_us = frame->time_us;
    }
    if (frame->trade_id > product->announced)
        product->announced = frame->trade_id;
    recent_add(&product->heartbeats, frame->sequence, frame->time_us);
}

static enum reject_reason take_heartbeat(struct coinbase_product *product, struct source *source,
                                         const struct coinbase_frame *frame, int64_t received_us, struct source_output *output)
{
    if (recent_has(&product->heartbeats, frame->sequence, frame->time_us)) {
        source_duplicate(source);
        return REJECT_NONE;
    }
    if (product->announced > product->accounted) {
        enum reject_reason reason =
            tell_gap(product, source, product->announced, BYTES("not_delivered"), frame->time_us, received_us, output);
        if (reason != REJECT_NONE)
            return reason;
    }
    struct event *event = source_event(output);
    if (!event)
        return REJECT_NO_MEMORY;
    if (!fill_heartbeat(product, event, frame, &output->batch->arena)) {
        source_event_drop(output);
        return REJECT_NO_MEMORY;
    }
    note_heartbeat(product, frame);
    event->timestamp_us = frame->time_us;
    event->received_us = received_us;
    source_emit(source, event);
    return REJECT_NONE;
}

/* ---- after a restart ---- */

/* The number behind a name in the metadata of an event that was made here, or NO_TRADE. */
static int64_t metadata_number(struct bytes metadata, struct bytes name)
{
    const char *found = metadata.length > 0 ? memmem(metadata.at, metadata.length, name.at, name.length) : NULL;
    if (!found)
        return NO_TRADE;
    struct bytes digits = bytes_skip(metadata, (size_t)(found - metadata.at) + name.length);
    size_t length = 0;
    uint64_t value;
    while (length < digits.length && digits.at[length] >= '0' && digits.at[length] <= '9')
        length++;
    return bytes_to_u64(bytes_of(digits.at, length), &value) && value <= INT64_MAX ? (int64_t)value : NO_TRADE;
}

static void resume_trade(struct coinbase_product *product, const struct event *event)
{
    const struct event_market *market = &event->market;
    struct sequence_interval missing;
    if (market->trade_id < 0 || market->price.length > COINBASE_DECIMAL_MAX)
        return;
    enum sequence_result result = sequence_see(&product->ids, market->trade_id, &missing);
    if (result == SEQUENCE_DUPLICATE || result == SEQUENCE_NO_MEMORY)
        return;
    direction(product, market->price);
    note_trade(product, market->trade_id, event->timestamp_us);
}

/* What was told is not told again. */
static void resume_gap(struct coinbase_product *product, const struct event_gap *gap)
{
    if (gap->last_missing <= product->accounted)
        return;
    product->accounted = gap->last_missing;
    if (product->newest_id == NO_TRADE)
        product->newest_us = gap->to_us;
}

/* The last trade of a product that rests may lie farther back than what is told.  But what one heartbeat named had come or was
 * told to be missing when the next one came: if no gap says the latter, it had come. */
static void resume_heartbeat(struct coinbase_product *product, const struct event *event, int64_t sequence)
{
    struct sequence_interval missing;
    if (product->heard > product->accounted && sequence_see(&product->ids, product->heard, &missing) != SEQUENCE_NO_MEMORY)
        note_trade(product, product->heard, event->timestamp_us);
    product->heard = metadata_number(event->metadata, BYTES("\"last_trade_id\":"));
    recent_add(&product->heartbeats, sequence, event->timestamp_us);
}

void coinbase_product_resume(struct coinbase_product *product, const struct event *event)
{
    int64_t sequence = metadata_number(event->metadata, BYTES("\"sequence\":"));
    if (event->kind == EVENT_TRADE)
        resume_trade(product, event);
    else if (event->kind == EVENT_GAP)
        resume_gap(product, &event->gap);
    else if (event->kind == EVENT_TICKER && sequence != NO_TRADE)
        recent_add(&product->tickers, sequence, event->timestamp_us);
    else if (event->kind == EVENT_HEARTBEAT && sequence != NO_TRADE)
        resume_heartbeat(product, event, sequence);
}

enum reject_reason coinbase_product_take(struct coinbase_product *product, struct source *source,
                                         const struct coinbase_frame *frame, int64_t received_us, struct source_output *output)
{
    if (frame->kind == COINBASE_TICKER)
        return take_ticker(product, source, frame, received_us, output);
    if (frame->kind == COINBASE_HEARTBEAT)
        return take_heartbeat(product, source, frame, received_us, output);
    return take_match(product, source, frame, received_us, output);
}
