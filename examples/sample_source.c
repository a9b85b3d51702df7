/* A sample adapter, explained in docs/adding-a-source.md: the trades of an exchange that does not exist.
 * Its feed is one WebSocket with one text a message; ids count up by one, so what was missed is known:
 *     we send   S,BTC-USDT                                    subscribe
 *     it sends  H                                             still there
 *               T,1042,61000.10,0.25,buy,1790000000123        id, price, volume, aggressor, time in milliseconds */
#include "event/decimal.h"
#include "source/backoff.h"
#include "source/source_internal.h"

enum { SYMBOL_MAX = 32 };
struct sample_state {
    struct backoff backoff;
    int64_t last_id, last_us; /* of the last trade; 0: none */
};

static int sample_init(struct source *source, struct error *error)
{
    struct sample_state *state = source->state;
    backoff_init(&state->backoff, source->options.seed);
    bool good = bytes_find(source->options.argument, '-') > 0 && source->options.argument.length < SYMBOL_MAX;
    return good ? 0 : error_set(error, "%s: a symbol looks like BTC-USDT", source->name);
}

static void sample_back_off(struct source *source, int64_t now_us)
{
    struct sample_state *state = source->state;
    source_set_state(source, SOURCE_BACKING_OFF, now_us);
    source->wake_at_us = backoff_failed(&state->backoff, now_us);
}

static void sample_connect(struct source *source, int64_t now_us, struct source_output *output)
{
    struct bytes url = source->options.base_url.length ? source->options.base_url : BYTES("wss://feed.acme.example");
    source->statistics.reconnects += source->statistics.state == SOURCE_BACKING_OFF;
    source_set_state(source, SOURCE_CONNECTING, now_us);
    source->wake_at_us = INT64_MAX;
    if (source_open_connection(source, output, url) == 0)
        sample_back_off(source, now_us);
}

/* Fills the trade from the fields behind "T,". */
static enum reject_reason sample_parse(struct bytes rest, struct bytes symbol, struct event *trade)
{
    struct bytes field[5];
    uint64_t id, time_ms;
    for (size_t i = 0; i < 5; i++)
        field[i] = bytes_split(rest, ',', &rest);
    if (!bytes_to_u64(field[0], &id) || id > INT64_MAX || !decimal_is_valid(field[1]) || !decimal_is_valid(field[2]))
        return REJECT_BAD_NUMBER;
    if (!bytes_to_u64(field[4], &time_ms) || !timestamp_from_epoch(time_ms, &trade->timestamp_us))
        return REJECT_BAD_TIME;
    trade->market = (struct event_market){.exchange = BYTES("acme"), .symbol = symbol, .price = field[1], .volume = field[2]};
    trade->market.side = bytes_equal(field[3], BYTES("buy")) ? EVENT_BUY : EVENT_SELL;
    trade->market.trade_id = (int64_t)id;
    return REJECT_NONE;
}

/* Adds a copy of the event to the batch, with its id. */
static void sample_add(struct source *source, const struct event *made, size_t input, struct source_output *output)
{
    struct event *event = source_event(output);
    if (event)
        *event = *made;
    if (event && event_set_id(event, &output->batch->arena))
        source_emit(source, event);
    else
        source_event_lost(source, output, event, input);
}

static void sample_trade(struct source *source, const struct source_input *input, size_t index, struct source_output *output)
{
    struct sample_state *state = source->state;
    struct event trade = {.source = EVENT_MARKET, .kind = EVENT_TRADE, .received_us = input->now_us};
    struct bytes symbol = arena_copy(&output->batch->arena, source->options.argument); /* events outlive the source */
    enum reject_reason reason = symbol.at ? sample_parse(bytes_skip(input->frame, 2), symbol, &trade) : REJECT_NO_MEMORY;
    int64_t id = trade.market.trade_id, next_id = state->last_id + 1;
    if (reason != REJECT_NONE || id < next_id) {
        if (reason != REJECT_NONE)
            source_reject(source, output, index, input->frame, reason);
        else
            source_duplicate(source);
        return;
    }
    if (state->last_id && id > next_id) { /* say what was missed before the trade that shows it */
        struct event gap = {.source = EVENT_MARKET, .kind = EVENT_GAP, .timestamp_us = trade.timestamp_us};
        gap.received_us = input->now_us;
        gap.market = (struct event_market){.exchange = BYTES("acme"), .symbol = symbol, .trade_id = TRADE_ID_NONE};
        gap.gap = (struct event_gap){state->last_us, trade.timestamp_us, next_id, id - 1, id - next_id, false, BYTES("skipped")};
        sample_add(source, &gap, index, output);
    }
    state->last_id = id;
    state->last_us = trade.timestamp_us;
    sample_add(source, &trade, index, output);
}

static void sample_opened(struct source *source, const struct source_input *input, struct source_output *output)
{
    struct sample_state *state = source->state;
    char subscribe[2 + SYMBOL_MAX];
    int length = snprintf(subscribe, sizeof subscribe, "S,%.*s", BYTES_ARG(source->options.argument));
    backoff_opened(&state->backoff, input->now_us);
    source_set_state(source, SOURCE_LIVE, input->now_us);
    source_send(output, input->connection, bytes_of(subscribe, (size_t)length));
}

static void sample_read(struct source *source, const struct source_input *inputs, size_t count, struct source_output *output)
{
    for (size_t i = 0; i < count; i++) {
        const struct source_input *input = &inputs[i];
        if (input->kind == SOURCE_OPENED && source->statistics.state == SOURCE_CONNECTING)
            sample_opened(source, input, output);
        if (input->kind == SOURCE_TICK && input->now_us >= source->wake_at_us) /* only wanted when backing off */
            sample_connect(source, input->now_us, output);
        if (input->kind != SOURCE_FRAME)
            continue;
        source_frame(source);
        if (source_is_over(source) || bytes_equal(input->frame, BYTES("H")))
            source_filter(source);
        else if (bytes_start_with(input->frame, BYTES("T,")))
            sample_trade(source, input, i, output);
        else
            source_reject(source, output, i, input->frame, REJECT_UNKNOWN_KIND);
    }
}

static void sample_close(struct source *source, int64_t now_us, struct source_output *output)
{
    if (source_is_connected(source))
        source_close_connection(output, source->last_connection);
    source_set_state(source, SOURCE_ENDED, now_us);
}

static void sample_error(struct source *source, uint32_t connection, int code, struct bytes text, int64_t now_us,
                         struct source_output *output)
{
    (void)output;
    if (!source_is_connected(source) || connection != source->last_connection)
        return;
    source_set_error(source, "%s: %.*s (%d)", source->name, BYTES_ARG(text), code);
    sample_back_off(source, now_us);
}

/* clang-format off */
const struct source_class source_sample = {
    .kind = "acme", .argument = "SYMBOL", .summary = "trades of an exchange that does not exist", .frames = true,
    .state_size = sizeof(struct sample_state), .init = sample_init,
    .connect = sample_connect, .read = sample_read, .close = sample_close, .error = sample_error,
};
