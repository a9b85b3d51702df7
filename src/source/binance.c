/* Binance spot market data: aggregate trades (or trades), one-minute candles and best quotes over combined streams.
 *
 * Connections.  The exchange cuts every connection after a day, and may ask to reconnect (serverShutdown).  So there are
 * up to two: a successor is opened while the current one still delivers, and takes its place a little after it is
 * open; what both deliver is dropped as duplicate.
 *
 *     (none) --connect--> current connecting --OPENED--> current live --23 h, shutdown--> and successor connecting
 *        ^                       |                           |                                   |  OPENED
 *        +---- back off <--------+--------- closed ----------+        current := successor <-----+  + overlap, or closed
 *
 * Records.  Each symbol keeps which trade ids were seen, the last price, update ids of quotes and the last candle of each
 * interval.  Invariant: a refused frame changes none of that (out of memory apart).  A symbol uses one kind of trades, the
 * first that comes; the other tells the same trades again and is filtered. */
#include "source/backoff.h"
#include "source/binance_symbol.h"
#include "source/source_internal.h"

#include "base/map.h"
#include "source/symbols.h"
#include <inttypes.h>
#include <stdlib.h>

#define SECOND_US ((int64_t)1000000)
/* A day less an hour, for the exchange cuts at a day. */
#define ROTATE_AFTER_US (23 * 3600 * SECOND_US)
#define OVERLAP_US (10 * SECOND_US)
#define STALE_AFTER_US (60 * SECOND_US)
#define SILENT_AFTER_US (180 * SECOND_US)

/* Streams a symbol: trades, candles, quotes; the exchange allows 1024 a connection. */
enum { STREAMS_PER_SYMBOL = 3, STREAMS_MAX = 1024, SUBSCRIPTIONS_MAX = STREAMS_MAX / STREAMS_PER_SYMBOL };
/* Symbols remembered; the exchange lists about 3000. */
enum { SYMBOLS_MAX = 8192, ADDRESS_CAP = 256 * 1024 };

struct binance {
    struct buffer address;
    struct backoff backoff;
    struct map by_name; /* the exchange's name to an index of symbols */
    struct binance_symbol **symbols;
    size_t symbol_count, symbol_capacity;

    uint32_t current, successor; /* 0: none */
    bool current_open, successor_open;
    int64_t rotate_at_us, takeover_at_us, retry_at_us; /* INT64_MAX: not planned */
    int64_t last_frame_us;
};

/* ---- making it ---- */

static int add_streams(struct source *source, struct bytes symbol, struct error *error)
{
    struct binance *binance = source->state;
    char name[SYMBOL_LENGTH_MAX];
    size_t length = symbol_join(symbol, true, name);
    if (length == 0)
        return error_set(error, "binance: \"%.*s\" is no symbol; write base and quote with a hyphen, as in BTC-USDT",
                         symbol.length > SYMBOL_LENGTH_MAX ? SYMBOL_LENGTH_MAX : (int)symbol.length, symbol.at ? symbol.at : "");
    static const char *const streams[STREAMS_PER_SYMBOL] = {"aggTrade", "kline_1m", "bookTicker"};
    for (size_t i = 0; i < STREAMS_PER_SYMBOL; i++) {
        char last = binance->address.at[binance->address.length - 1];
        buffer_printf(&binance->address, "%s%.*s@%s", last == '=' ? "" : "/", (int)length, name, streams[i]);
    }
    return 0;
}

static int make_address(struct source *source, struct error *error)
{
    struct binance *binance = source->state;
    struct bytes rest = source->options.argument;
    struct bytes base =
        source->options.base_url.length > 0 ? source->options.base_url : BYTES("wss://data-stream.binance.vision");
    while (base.length > 0 && base.at[base.length - 1] == '/')
        base.length--;
    buffer_append(&binance->address, base);
    BUFFER_LITERAL(&binance->address, "/stream?streams=");
    size_t count = 0;
    for (bool more = rest.length > 0; more;) {
        struct bytes symbol = bytes_trim(bytes_split(rest, ',', &rest));
        more = rest.at != NULL;
        if (++count > SUBSCRIPTIONS_MAX)
            return error_set(error, "binance: at most %d symbols a source; use several", SUBSCRIPTIONS_MAX);
        if (!binance->address.failed && add_streams(source, symbol, error) != 0)
            return -1;
    }
    return binance->address.failed ? error_set(error, "binance: out of memory") : 0;
}

static int binance_init(struct source *source, struct error *error)
{
    struct binance *binance = source->state;
    buffer_init(&binance->address, ADDRESS_CAP);
    backoff_init(&binance->backoff, source->options.seed);
    map_init(&binance->by_name, SYMBOLS_MAX);
    binance->rotate_at_us = binance->takeover_at_us = binance->retry_at_us = INT64_MAX;
    return make_address(source, error);
}

static void binance_release(struct source *source)
{
    struct binance *binance = source->state;
    for (size_t i = 0; i < binance->symbol_count; i++)
        binance_symbol_destroy(binance->symbols[i]);
    free(binance->symbols);
    map_release(&binance->by_name);
    buffer_release(&binance->address);
}

/* ---- connections ---- */

static void plan_wake(struct source *source)
{
    struct binance *binance = source->state;
    int64_t wake_at_us = binance->retry_at_us;
    if (binance->rotate_at_us < wake_at_us)
        wake_at_us = binance->rotate_at_us;
    if (binance->takeover_at_us < wake_at_us)
        wake_at_us = binance->takeover_at_us;
    if (binance->current_open) {
        bool stale = source->statistics.state == SOURCE_STALE;
        int64_t silent_at_us = binance->last_frame_us + (stale ? SILENT_AFTER_US : STALE_AFTER_US);
        if (silent_at_us < wake_at_us)
            wake_at_us = silent_at_us;
    }
    source->wake_at_us = wake_at_us;
}

static void back_off(struct source *source, int64_t now_us)
{
    struct binance *binance = source->state;
    binance->retry_at_us = backoff_failed(&binance->backoff, now_us);
    source_set_state(source, SOURCE_BACKING_OFF, now_us);
}

static void open_current(struct source *source, int64_t now_us, struct source_output *output)
{
    struct binance *binance = source->state;
    binance->retry_at_us = INT64_MAX;
    binance->current_open = false;
    binance->current = source_open_connection(source, output, buffer_bytes(&binance->address));
    if (binance->current == 0) {
        back_off(source, now_us);
        return;
    }
    source_set_state(source, SOURCE_CONNECTING, now_us);
}

static void open_successor(struct source *source, int64_t now_us, struct source_output *output)
{
    struct binance *binance = source->state;
    binance->rotate_at_us = INT64_MAX;
    if (binance->successor != 0)
        return;
    binance->successor = source_open_connection(source, output, buffer_bytes(&binance->address));
    if (binance->successor == 0)
        binance->rotate_at_us = now_us + BACKOFF_CAP_US;
}

/* The successor becomes the current connection. */
static void promote(struct source *source, int64_t now_us)
{
    struct binance *binance = source->state;
    binance->current = binance->successor;
    binance->current_open = binance->successor_open;
    binance->successor = 0;
    binance->successor_open = false;
    binance->takeover_at_us = INT64_MAX;
    binance->rotate_at_us = binance->current_open ? now_us + ROTATE_AFTER_US : INT64_MAX;
    if (!binance->current_open)
        source_set_state(source, SOURCE_CONNECTING, now_us);
}

static void opened(struct source *source, const struct source_input *input)
{
    struct binance *binance = source->state;
    int64_t now_us = input->now_us == TIME_UNKNOWN ? 0 : input->now_us; /* a recording without times */
    binance->last_frame_us = now_us;
    if (input->connection == binance->current) {
        binance->current_open = true;
        binance->rotate_at_us = now_us + ROTATE_AFTER_US;
        backoff_opened(&binance->backoff, now_us);
        source_set_state(source, SOURCE_LIVE, now_us);
    } else if (input->connection == binance->successor) {
        binance->successor_open = true;
        binance->takeover_at_us = now_us + OVERLAP_US;
    }
}

/* The current connection is gone: its successor takes over, or another is opened after a while. */
static void lose_current(struct source *source, int64_t now_us)
{
    struct binance *binance = source->state;
    if (binance->successor != 0) {
        source->statistics.reconnects++;
        promote(source, now_us);
        return;
    }
    binance->current = 0;
    binance->current_open = false;
    binance->rotate_at_us = INT64_MAX;
    back_off(source, now_us);
}

/* Open, but silent for so long that it is taken for dead. */
static void drop_silent(struct source *source, int64_t now_us, struct source_output *output)
{
    struct binance *binance = source->state;
    source_close_connection(output, binance->current);
    source_set_error(source, "nothing received for %d seconds", (int)(SILENT_AFTER_US / SECOND_US));
    binance->last_frame_us = now_us;
    lose_current(source, now_us);
}

static void tick(struct source *source, int64_t now_us, struct source_output *output)
{
    struct binance *binance = source->state;
    if (now_us >= binance->retry_at_us) {
        source->statistics.reconnects++;
        open_current(source, now_us, output);
    }
    if (now_us >= binance->takeover_at_us) {
        source_close_connection(output, binance->current);
        promote(source, now_us);
    }
    if (now_us >= binance->rotate_at_us)
        open_successor(source, now_us, output);
    if (binance->current_open && now_us - binance->last_frame_us >= SILENT_AFTER_US)
        drop_silent(source, now_us, output);
    else if (binance->current_open && now_us - binance->last_frame_us >= STALE_AFTER_US)
        source_set_state(source, SOURCE_STALE, now_us);
}

static void binance_connect(struct source *source, int64_t now_us, struct source_output *output)
{
    struct binance *binance = source->state;
    if (source->options.argument.length == 0) {
        source_fail(source, now_us, "name at least one symbol, as in binance:BTC-USDT");
        return;
    }
    if (binance->current == 0)
        open_current(source, now_us, output);
    plan_wake(source);
}

static void binance_close(struct source *source, int64_t now_us, struct source_output *output)
{
    struct binance *binance = source->state;
    if (binance->current)
        source_close_connection(output, binance->current);
    if (binance->successor)
        source_close_connection(output, binance->successor);
    binance->current = binance->successor = 0;
    binance->current_open = binance->successor_open = false;
    source_set_state(source, SOURCE_ENDED, now_us);
}

static void binance_error(struct source *source, uint32_t connection, int code, struct bytes text, int64_t now_us,
                          struct source_output *output)
{
    struct binance *binance = source->state;
    (void)output;
    if (connection == 0 || source_is_over(source) || (connection != binance->current && connection != binance->successor))
        return;
    source_set_error(source, "connection closed (%d): %.*s", code, text.length > 200 ? 200 : (int)text.length,
                     text.at ? text.at : "");
    if (connection == binance->successor) {
        binance->successor = 0;
        binance->successor_open = false;
        binance->takeover_at_us = INT64_MAX;
        binance->rotate_at_us = backoff_failed(&binance->backoff, now_us);
    } else {
        lose_current(source, now_us);
    }
    plan_wake(source);
}

/* ---- frames ---- */

static enum reject_reason add_symbol(struct binance *binance, struct bytes name, struct binance_symbol **symbol)
{
    char text[SYMBOL_LENGTH_MAX];
    size_t length = symbol_split(name, text);
    if (length == 0 || binance->symbol_count == SYMBOLS_MAX)
        return REJECT_UNKNOWN_SYMBOL;
    if (binance->symbol_count == binance->symbol_capacity) {
        size_t capacity = binance->symbol_capacity ? binance->symbol_capacity * 2 : 16;
        struct binance_symbol **grown = reallocarray(binance->symbols, capacity, sizeof *grown);
        if (!grown)
            return REJECT_NO_MEMORY;
        binance->symbols = grown;
        binance->symbol_capacity = capacity;
    }
    bool added;
    struct binance_symbol *made = binance_symbol_create(bytes_of(text, length));
    uint64_t *index = made ? map_put(&binance->by_name, name, &added) : NULL;
    if (!index) {
        binance_symbol_destroy(made);
        return REJECT_NO_MEMORY;
    }
    *index = binance->symbol_count;
    binance->symbols[binance->symbol_count++] = made;
    *symbol = made;
    return REJECT_NONE;
}

static enum reject_reason find_symbol(struct binance *binance, struct bytes name, struct binance_symbol **symbol)
{
    const uint64_t *index = map_find(&binance->by_name, name);
    if (!index)
        return add_symbol(binance, name, symbol);
    *symbol = binance->symbols[*index];
    return REJECT_NONE;
}

static void binance_resume(struct source *source, const struct event *event)
{
    char name[SYMBOL_LENGTH_MAX];
    struct binance_symbol *symbol;
    if (event->source != EVENT_MARKET || !bytes_equal(event->market.exchange, BYTES("binance")))
        return;
    size_t length = symbol_join(event->market.symbol, false, name);
    if (length > 0 && find_symbol(source->state, bytes_of(name, length), &symbol) == REJECT_NONE)
        binance_symbol_resume(symbol, event);
}

static void control_frame(struct source *source, const struct source_input *input, const struct binance_frame *frame,
                          struct source_output *output)
{
    struct binance *binance = source->state;
    if (frame->kind == BINANCE_ERROR) {
        struct bytes text = frame->error.text;
        source_set_error(source, "the exchange refused a request (%" PRId64 "): %.*s", frame->error.code,
                         text.length > 200 ? 200 : (int)text.length, text.at);
    } else if (frame->kind == BINANCE_SHUTDOWN && binance->current_open && input->connection == binance->current) {
        open_successor(source, input->now_us, output);
    }
    source_filter(source);
}

static void frame_received(struct source *source, const struct source_input *input, size_t index, struct source_output *output)
{
    source_frame(source);
    if (source_is_over(source)) {
        source_filter(source); /* was still on its way when we closed */
        return;
    }
    struct binance_frame frame;
    struct binance_symbol *symbol;
    enum reject_reason reason = binance_frame_parse(input->frame, &output->batch->arena, &frame);
    if (reason == REJECT_NONE && frame.kind >= BINANCE_ANSWER) {
        control_frame(source, input, &frame, output);
        return;
    }
    if (reason == REJECT_NONE && frame.kind == BINANCE_BOOK_TICKER && input->now_us == TIME_UNKNOWN)
        reason = REJECT_NO_TIME;
    if (reason == REJECT_NONE)
        reason = find_symbol(source->state, frame.symbol, &symbol);
    if (reason == REJECT_NONE)
        reason = binance_symbol_take(symbol, source, &frame, input->now_us, output);
    if (reason != REJECT_NONE)
        source_reject(source, output, index, input->frame, reason);
}

static void binance_read(struct source *source, const struct source_input *inputs, size_t count, struct source_output *output)
{
    struct binance *binance = source->state;
    for (size_t i = 0; i < count; i++) {
        if (inputs[i].kind == SOURCE_FRAME)
            frame_received(source, &inputs[i], i, output);
        else if (inputs[i].kind == SOURCE_OPENED)
            opened(source, &inputs[i]);
        else if (!source_is_over(source) && inputs[i].now_us != TIME_UNKNOWN)
            tick(source, inputs[i].now_us, output);
    }
    if (source_is_over(source))
        return;
    const struct source_input *last = count > 0 ? &inputs[count - 1] : NULL;
    if (last && last->kind == SOURCE_FRAME && last->now_us != TIME_UNKNOWN && binance->current_open) {
        binance->last_frame_us = last->now_us;
        source_set_state(source, SOURCE_LIVE, last->now_us);
    }
    plan_wake(source);
}

const struct source_class source_binance = {
    .kind = "binance",
    .argument = "BTC-USDT[,…]",
    .summary = "Binance spot: trades, one-minute candles, best quotes",
    .frames = true,
    .state_size = sizeof(struct binance),
    .init = binance_init,
    .resume = binance_resume,
    .connect = binance_connect,
    .read = binance_read,
    .close = binance_close,
    .error = binance_error,
    .release = binance_release,
};
