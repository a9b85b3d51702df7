/* Trades: ids of aggregates (or trades) must follow one another; a jump makes a gap event before the trade that shows it.
 * Aggregates also tell the ids of their trades: where those jump although the aggregates' own do not, the gap is in trade
 * ids, and its metadata says so.
 *
 * A trade's texts lie in one piece of the arena: its id, of which exchange and symbol are parts, then its metadata. */
#include "source/binance_symbol.h"

#include "event/decimal.h"
#include "event/text.h"
#include "source/sequence.h"
#include "source/symbols.h"
#include <stdlib.h>

#define EXCHANGE "binance"
enum { EXCHANGE_LENGTH = sizeof(EXCHANGE) - 1, QUOTES_REMEMBERED = 16 };
enum { PREFIX_MAX = EXCHANGE_LENGTH + 1 + SYMBOL_LENGTH_MAX + 1 };

struct candle_memory {
    int64_t start_us, last_id;
    bool known, closed;
};

struct binance_symbol {
    char prefix[PREFIX_MAX]; /* binance:BTC-USDT: */
    size_t prefix_length, name_length;

    bool traded;
    enum binance_kind trade_kind; /* the first that came */
    struct sequence ids;
    int64_t newest_us;       /* event time of the trade with the greatest id */
    int64_t newest_trade_id; /* the last trade in it */
    char price[BINANCE_DECIMAL_MAX];
    size_t price_length; /* of the trade that came last */

    int64_t quotes[QUOTES_REMEMBERED]; /* update ids, the latest at quote_count - 1 (modulo) */
    size_t quote_count;
    struct candle_memory candles[BINANCE_INTERVAL_COUNT];
};

struct binance_symbol *binance_symbol_create(struct bytes name)
{
    struct binance_symbol *symbol = calloc(1, sizeof *symbol);
    if (!symbol)
        return NULL;
    symbol->name_length = name.length;
    char *end = TEXT_LITERAL(symbol->prefix, EXCHANGE ":");
    end = text_put(end, name);
    *end++ = ':';
    symbol->prefix_length = (size_t)(end - symbol->prefix);
    return symbol;
}

void binance_symbol_destroy(struct binance_symbol *symbol)
{
    if (!symbol)
        return;
    sequence_release(&symbol->ids);
    free(symbol);
}

static inline char *put_time(char *out, int64_t time_us)
{
    timestamp_format(time_us, out);
    return out + TIMESTAMP_LENGTH;
}

/* Starts an event whose id begins at `id`, where the prefix is put; returns the place behind the prefix. */
static inline char *start_event(const struct binance_symbol *symbol, struct event *event, enum event_kind kind, char *id)
{
    char *end = text_put(id, bytes_of(symbol->prefix, symbol->prefix_length));
    event->source = EVENT_MARKET;
    event->kind = kind;
    event->market.exchange = bytes_of(id, EXCHANGE_LENGTH);
    event->market.symbol = bytes_of(id + EXCHANGE_LENGTH + 1, symbol->name_length);
    return end;
}

/* ---- gaps ---- */

static enum reject_reason add_gap(const struct binance_symbol *symbol, struct source *source, const struct binance_trade *trade,
                                  const struct sequence_interval *missing, bool trade_ids, int64_t received_us,
                                  struct source_output *output)
{
    /* The trade's event is there already: the gap goes before it. */
    struct event_batch *batch = output->batch;
    char *id = arena_text(&batch->arena, symbol->prefix_length + sizeof "gap:-" + (size_t)2 * TEXT_INT64_MAX);
    if (!id || !event_batch_add(batch))
        return REJECT_NO_MEMORY;
    struct event *gap = &batch->events[batch->count - 2], moved = *gap;
    *gap = batch->events[batch->count - 1];
    batch->events[batch->count - 1] = moved;
    char *end = TEXT_LITERAL(start_event(symbol, gap, EVENT_GAP, id), "gap:");
    end = text_put_i64(end, missing->first);
    *end++ = '-';
    end = text_put_i64(end, missing->last);
    gap->id = bytes_of(id, (size_t)(end - id));
    gap->timestamp_us = trade->time_us;
    gap->received_us = received_us;
    bool in_order = symbol->newest_us <= trade->time_us;
    gap->gap = (struct event_gap){.from_us = in_order ? symbol->newest_us : trade->time_us,
                                  .to_us = in_order ? trade->time_us : symbol->newest_us,
                                  .first_missing = missing->first,
                                  .last_missing = missing->last,
                                  .count = missing->last - missing->first + 1,
                                  .reason = BYTES("ids_skipped")};
    if (trade_ids)
        gap->metadata = BYTES("{\"ids\":\"trade\"}");
    source_emit(source, gap);
    return REJECT_NONE;
}

/* ---- trades ---- */

static bool fill_trade(const struct binance_symbol *symbol, struct event *event, const struct binance_frame *frame,
                       struct arena *arena)
{
    const struct binance_trade *trade = &frame->trade;
    enum { METADATA_MAX = sizeof "{'first_trade_id':,'last_trade_id':,'event_time':''}" + 2 * TEXT_INT64_MAX + TIMESTAMP_LENGTH };
    char *id = arena_text(arena, symbol->prefix_length + sizeof "trade:" + TEXT_INT64_MAX + METADATA_MAX);
    if (!id)
        return false;
    bool aggregate = frame->kind == BINANCE_AGG_TRADE;
    char *end = start_event(symbol, event, EVENT_TRADE, id);
    end = aggregate ? TEXT_LITERAL(end, "agg:") : TEXT_LITERAL(end, "trade:");
    end = text_put_i64(end, trade->id);
    event->id = bytes_of(id, (size_t)(end - id));
    char *metadata = end;
    *end++ = '{';
    if (aggregate) {
        end = text_put_i64(TEXT_LITERAL(end, "\"first_trade_id\":"), trade->first_id);
        end = text_put_i64(TEXT_LITERAL(end, ",\"last_trade_id\":"), trade->last_id);
        *end++ = ',';
    }
    end = TEXT_LITERAL(put_time(TEXT_LITERAL(end, "\"event_time\":\""), frame->event_us), "\"}");
    event->metadata = bytes_of(metadata, (size_t)(end - metadata));
    event->market.price = trade->price;
    event->market.volume = trade->quantity;
    event->market.side = trade->buyer_is_maker ? EVENT_SELL : EVENT_BUY;
    event->market.trade_id = trade->id;
    event->market.aggregate = aggregate;
    return true;
}

/* Against the trade that came before; remembers this one's price. */
static enum event_direction direction(struct binance_symbol *symbol, struct bytes price)
{
    int order = symbol->price_length ? decimal_compare(price, bytes_of(symbol->price, symbol->price_length)) : 0;
    text_put(symbol->price, price);
    symbol->price_length = price.length;
    return order > 0 ? EVENT_UP : order < 0 ? EVENT_DOWN : EVENT_FLAT;
}

/* What this trade shows to be missing: ids of its own kind, or of the trades in aggregates that follow one another. */
static bool find_missing(const struct binance_symbol *symbol, const struct binance_trade *trade, enum sequence_result result,
                         struct sequence_interval *missing)
{
    if (result != SEQUENCE_NEXT || trade->first_id - 1 <= symbol->newest_trade_id)
        return result == SEQUENCE_GAP;
    *missing = (struct sequence_interval){symbol->newest_trade_id + 1, trade->first_id - 1};
    return true;
}

static enum reject_reason take_trade(struct binance_symbol *symbol, struct source *source, const struct binance_frame *frame,
                                     int64_t received_us, struct source_output *output)
{
    const struct binance_trade *trade = &frame->trade;
    if (symbol->traded && symbol->trade_kind != frame->kind) {
        source_filter(source);
        return REJECT_NONE;
    }
    struct event *event = source_event(output);
    if (!event)
        return REJECT_NO_MEMORY;
    struct sequence_interval missing;
    enum sequence_result result = SEQUENCE_NO_MEMORY;
    if (fill_trade(symbol, event, frame, &output->batch->arena))
        result = sequence_see(&symbol->ids, trade->id, &missing);
    if (result == SEQUENCE_DUPLICATE || result == SEQUENCE_NO_MEMORY) {
        source_event_drop(output);
        if (result == SEQUENCE_NO_MEMORY)
            return REJECT_NO_MEMORY;
        source_duplicate(source);
        return REJECT_NONE;
    }
    symbol->traded = true;
    symbol->trade_kind = frame->kind;
    event->timestamp_us = trade->time_us;
    event->received_us = received_us;
    event->market.direction = direction(symbol, trade->price);
    if (find_missing(symbol, trade, result, &missing)) {
        enum reject_reason reason = add_gap(symbol, source, trade, &missing, result != SEQUENCE_GAP, received_us, output);
        if (reason != REJECT_NONE) {
            source_event_drop(output);
            return reason;
        }
        event = &output->batch->events[output->batch->count - 1];
    }
    if (result != SEQUENCE_FILL) {
        symbol->newest_us = trade->time_us;
        symbol->newest_trade_id = trade->last_id;
    }
    source_emit(source, event);
    return REJECT_NONE;
}

/* ---- candles ---- */

static bool fill_candle(const struct binance_symbol *symbol, struct event *event, const struct binance_frame *frame,
                        struct arena *arena)
{
    const struct binance_kline *kline = &frame->kline;
    struct bytes interval = binance_interval_name(kline->interval);
    enum { FIXED = 512 }; /* names, times, integers; six decimals come on top */
    char *id = arena_text(arena, FIXED + symbol->prefix_length + (size_t)6 * BINANCE_DECIMAL_MAX);
    if (!id)
        return false;
    char *end = text_put(TEXT_LITERAL(start_event(symbol, event, EVENT_CANDLE, id), "candle:"), interval);
    *end++ = ':';
    end = text_put_i64(end, kline->start_us / 1000);
    *end++ = ':';
    end = text_put_i64(end, kline->last_id);
    event->id = bytes_of(id, (size_t)(end - id));
    char *metadata = end;
    end = text_put(TEXT_LITERAL(end, "{\"interval\":\""), interval);
    end = put_time(TEXT_LITERAL(end, "\",\"start\":\""), kline->start_us);
    end = put_time(TEXT_LITERAL(end, "\",\"end\":\""), kline->end_us);
    end = text_put(TEXT_LITERAL(end, "\",\"open\":"), kline->open);
    end = text_put(TEXT_LITERAL(end, ",\"high\":"), kline->high);
    end = text_put(TEXT_LITERAL(end, ",\"low\":"), kline->low);
    end = text_put(TEXT_LITERAL(end, ",\"close\":"), kline->close);
    end = text_put_i64(TEXT_LITERAL(end, ",\"trades\":"), kline->trades);
    end = text_put(TEXT_LITERAL(end, ",\"quote_volume\":"), kline->quote_volume);
    end = text_put(TEXT_LITERAL(end, ",\"closed\":"), kline->closed ? BYTES("true") : BYTES("false"));
    end = text_put_i64(TEXT_LITERAL(end, ",\"first_trade_id\":"), kline->first_id);
    end = text_put_i64(TEXT_LITERAL(end, ",\"last_trade_id\":"), kline->last_id);
    *end++ = '}';
    event->metadata = bytes_of(metadata, (size_t)(end - metadata));
    event->market.price = kline->close;
    event->market.volume = kline->volume;
    event->market.trade_id = TRADE_ID_NONE;
    return true;
}

/* A candle that says what the last one of its interval said is a duplicate: no trade since, and not closed since. */
static enum reject_reason take_candle(struct binance_symbol *symbol, struct source *source, const struct binance_frame *frame,
                                      int64_t received_us, struct source_output *output)
{
    const struct binance_kline *kline = &frame->kline;
    struct candle_memory *last = &symbol->candles[kline->interval];
    if (last->known && last->start_us == kline->start_us && last->last_id == kline->last_id && last->closed == kline->closed) {
        source_duplicate(source);
        return REJECT_NONE;
    }
    struct event *event = source_event(output);
    if (!event)
        return REJECT_NO_MEMORY;
    if (!fill_candle(symbol, event, frame, &output->batch->arena)) {
        source_event_drop(output);
        return REJECT_NO_MEMORY;
    }
    *last = (struct candle_memory){kline->start_us, kline->last_id, true, kline->closed};
    event->timestamp_us = frame->event_us;
    event->received_us = received_us;
    source_emit(source, event);
    return REJECT_NONE;
}

/* ---- quotes ---- */

static bool quote_seen(const struct binance_symbol *symbol, int64_t update_id)
{
    size_t count = symbol->quote_count < QUOTES_REMEMBERED ? symbol->quote_count : QUOTES_REMEMBERED;
    for (size_t i = 0; i < count; i++)
        if (symbol->quotes[i] == update_id)
            return true;
    return false;
}

static bool fill_quote(const struct binance_symbol *symbol, struct event *event, const struct binance_quote *quote,
                       struct arena *arena)
{
    enum { FIXED = 160 }; /* names and integers; four decimals come on top */
    char *id = arena_text(arena, FIXED + symbol->prefix_length + (size_t)4 * BINANCE_DECIMAL_MAX);
    if (!id)
        return false;
    char *end = text_put_i64(TEXT_LITERAL(start_event(symbol, event, EVENT_QUOTE, id), "quote:"), quote->update_id);
    event->id = bytes_of(id, (size_t)(end - id));
    char *metadata = end;
    end = text_put(TEXT_LITERAL(end, "{\"bid\":"), quote->bid);
    end = text_put(TEXT_LITERAL(end, ",\"bid_volume\":"), quote->bid_volume);
    end = text_put(TEXT_LITERAL(end, ",\"ask\":"), quote->ask);
    end = text_put(TEXT_LITERAL(end, ",\"ask_volume\":"), quote->ask_volume);
    end = text_put_i64(TEXT_LITERAL(end, ",\"update_id\":"), quote->update_id);
    *end++ = '}';
    event->metadata = bytes_of(metadata, (size_t)(end - metadata));
    event->market.trade_id = TRADE_ID_NONE;
    return true;
}

static enum reject_reason take_quote(struct binance_symbol *symbol, struct source *source, const struct binance_frame *frame,
                                     int64_t received_us, struct source_output *output)
{
    if (quote_seen(symbol, frame->quote.update_id)) {
        source_duplicate(source);
        return REJECT_NONE;
    }
    struct event *event = source_event(output);
    if (!event)
        return REJECT_NO_MEMORY;
    if (!fill_quote(symbol, event, &frame->quote, &output->batch->arena)) {
        source_event_drop(output);
        return REJECT_NO_MEMORY;
    }
    symbol->quotes[symbol->quote_count++ % QUOTES_REMEMBERED] = frame->quote.update_id;
    event->timestamp_us = event->received_us = received_us;
    source_emit(source, event);
    return REJECT_NONE;
}

/* ---- after a restart ---- */

/* The number behind "name": in an event's metadata, or `otherwise`. */
static int64_t metadata_integer(struct bytes metadata, struct bytes name, int64_t otherwise)
{
    const char *found = metadata.length > 0 ? memmem(metadata.at, metadata.length, name.at, name.length) : NULL;
    if (!found)
        return otherwise;
    struct bytes digits = bytes_skip(metadata, (size_t)(found - metadata.at) + name.length);
    size_t length = 0;
    while (length < digits.length && digits.at[length] >= '0' && digits.at[length] <= '9')
        length++;
    uint64_t value;
    return bytes_to_u64(bytes_of(digits.at, length), &value) && value <= INT64_MAX ? (int64_t)value : otherwise;
}

static void resume_trade(struct binance_symbol *symbol, const struct event *event)
{
    const struct event_market *market = &event->market;
    enum binance_kind kind = market->aggregate ? BINANCE_AGG_TRADE : BINANCE_TRADE;
    struct sequence_interval missing;
    if (market->trade_id < 0 || market->price.length > BINANCE_DECIMAL_MAX || (symbol->traded && symbol->trade_kind != kind))
        return;
    enum sequence_result result = sequence_see(&symbol->ids, market->trade_id, &missing);
    if (result == SEQUENCE_DUPLICATE || result == SEQUENCE_NO_MEMORY)
        return;
    symbol->traded = true;
    symbol->trade_kind = kind;
    direction(symbol, market->price);
    if (result != SEQUENCE_FILL) {
        symbol->newest_us = event->timestamp_us;
        symbol->newest_trade_id = metadata_integer(event->metadata, BYTES("\"last_trade_id\":"), market->trade_id);
    }
}

void binance_symbol_resume(struct binance_symbol *symbol, const struct event *event)
{
    if (event->kind == EVENT_TRADE)
        resume_trade(symbol, event);
    int64_t update_id =
        event->kind == EVENT_QUOTE ? metadata_integer(event->metadata, BYTES("\"update_id\":"), TRADE_ID_NONE) : TRADE_ID_NONE;
    if (update_id != TRADE_ID_NONE && !quote_seen(symbol, update_id))
        symbol->quotes[symbol->quote_count++ % QUOTES_REMEMBERED] = update_id;
}

enum reject_reason binance_symbol_take(struct binance_symbol *symbol, struct source *source, const struct binance_frame *frame,
                                       int64_t received_us, struct source_output *output)
{
    if (frame->kind == BINANCE_KLINE)
        return take_candle(symbol, source, frame, received_us, output);
    if (frame->kind == BINANCE_BOOK_TICKER)
        return take_quote(symbol, source, frame, received_us, output);
    return take_trade(symbol, source, frame, received_us, output);
}
