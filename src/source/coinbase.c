/* Coinbase Exchange's feed: matches, tickers and heartbeats of its products.
 *
 * One connection.  The exchange closes it unless a subscription comes within five seconds, so that is sent the moment it is
 * open.  Each product has a heartbeat every second: where nothing comes for a while, the connection is stale, then dropped.
 *
 *     (none) --connect--> connecting --OPENED, subscribe--> live <--frames, silence--> stale
 *        ^                    |                               |                          |  longer silence
 *        +---- back off <-----+----------- closed ------------+----------- closed -------+
 *
 * A subscription that names an unknown product is refused as a whole, and always will be: the source fails and says why. */
#include "source/backoff.h"
#include "source/coinbase_product.h"
#include "source/source_internal.h"

#include "base/map.h"
#include "source/symbols.h"
#include <stdlib.h>

#define SECOND_US ((int64_t)1000000)
#define STALE_AFTER_US (5 * SECOND_US)
#define SILENT_AFTER_US (30 * SECOND_US)

/* Products a source may name, and products remembered; the exchange lists less than a thousand. */
enum { SUBSCRIPTIONS_MAX = 1000, PRODUCTS_MAX = 8192, SUBSCRIPTION_CAP = 256 * 1024, ERROR_TEXT_MAX = 160 };

struct coinbase {
    struct buffer subscription; /* the message */
    struct backoff backoff;
    struct map by_name; /* product id to an index of products */
    struct coinbase_product **products;
    size_t product_count, product_capacity;

    uint32_t connection; /* 0: none */
    bool open;
    int64_t retry_at_us; /* INT64_MAX: not planned */
    int64_t last_frame_us;
};

/* ---- making it ---- */

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - ('a' - 'A')) : c;
}

/* BTC-USD, at most SYMBOL_LENGTH_MAX bytes. */
static bool is_product(struct bytes name)
{
    char scratch[SYMBOL_LENGTH_MAX];
    return symbol_join(name, false, scratch) > 0;
}

static int add_product(struct source *source, struct bytes product, struct error *error)
{
    struct coinbase *coinbase = source->state;
    if (!is_product(product))
        return error_set(error, "coinbase: \"%.*s\" is no product; write base and quote with a hyphen, as in BTC-USD",
                         product.length > SYMBOL_LENGTH_MAX ? SYMBOL_LENGTH_MAX : (int)product.length,
                         product.at ? product.at : "");
    buffer_byte(&coinbase->subscription, '"');
    for (size_t i = 0; i < product.length; i++) /* products hold nothing that JSON escapes */
        buffer_byte(&coinbase->subscription, upper(product.at[i]));
    buffer_byte(&coinbase->subscription, '"');
    return 0;
}

static int make_subscription(struct source *source, struct error *error)
{
    struct coinbase *coinbase = source->state;
    struct bytes rest = source->options.argument;
    size_t count = 0;
    BUFFER_LITERAL(&coinbase->subscription, "{\"type\":\"subscribe\",\"product_ids\":[");
    for (bool more = rest.length > 0; more;) {
        struct bytes product = bytes_trim(bytes_split(rest, ',', &rest));
        more = rest.at != NULL;
        if (++count > SUBSCRIPTIONS_MAX)
            return error_set(error, "coinbase: at most %d products a source; use several", SUBSCRIPTIONS_MAX);
        if (count > 1)
            buffer_byte(&coinbase->subscription, ',');
        if (add_product(source, product, error) != 0)
            return -1;
    }
    BUFFER_LITERAL(&coinbase->subscription, "],\"channels\":[\"matches\",\"heartbeat\",\"ticker\"]}");
    return coinbase->subscription.failed ? error_set(error, "coinbase: out of memory") : 0;
}

static int coinbase_init(struct source *source, struct error *error)
{
    struct coinbase *coinbase = source->state;
    buffer_init(&coinbase->subscription, SUBSCRIPTION_CAP);
    backoff_init(&coinbase->backoff, source->options.seed);
    map_init(&coinbase->by_name, PRODUCTS_MAX);
    coinbase->retry_at_us = INT64_MAX;
    return make_subscription(source, error);
}

static void coinbase_release(struct source *source)
{
    struct coinbase *coinbase = source->state;
    for (size_t i = 0; i < coinbase->product_count; i++)
        coinbase_product_destroy(coinbase->products[i]);
    free(coinbase->products);
    map_release(&coinbase->by_name);
    buffer_release(&coinbase->subscription);
}

/* ---- the connection ---- */

static int shown_length(struct bytes text)
{
    return text.length > ERROR_TEXT_MAX ? ERROR_TEXT_MAX : (int)text.length;
}

static void plan_wake(struct source *source)
{
    struct coinbase *coinbase = source->state;
    source->wake_at_us = coinbase->retry_at_us;
    if (coinbase->open) {
        bool stale = source->statistics.state == SOURCE_STALE;
        int64_t silent_at_us = coinbase->last_frame_us + (stale ? SILENT_AFTER_US : STALE_AFTER_US);
        if (silent_at_us < source->wake_at_us)
            source->wake_at_us = silent_at_us;
    }
}

/* The connection is gone, or could not be asked for: another one after a while. */
static void back_off(struct source *source, int64_t now_us)
{
    struct coinbase *coinbase = source->state;
    coinbase->connection = 0;
    coinbase->open = false;
    coinbase->retry_at_us = backoff_failed(&coinbase->backoff, now_us);
    source_set_state(source, SOURCE_BACKING_OFF, now_us);
}

static void open_connection(struct source *source, int64_t now_us, struct source_output *output)
{
    struct coinbase *coinbase = source->state;
    struct bytes base = source->options.base_url;
    coinbase->retry_at_us = INT64_MAX;
    coinbase->connection =
        source_open_connection(source, output, base.length > 0 ? base : BYTES("wss://ws-feed.exchange.coinbase.com"));
    if (coinbase->connection == 0)
        back_off(source, now_us);
    else
        source_set_state(source, SOURCE_CONNECTING, now_us);
}

static void opened(struct source *source, const struct source_input *input, struct source_output *output)
{
    struct coinbase *coinbase = source->state;
    int64_t now_us = input->now_us == TIME_UNKNOWN ? 0 : input->now_us; /* a recording without times */
    if (coinbase->connection == 0 || input->connection != coinbase->connection)
        return;
    if (!source_send(output, coinbase->connection, buffer_bytes(&coinbase->subscription))) {
        source_set_error(source, "out of memory for the subscription");
        source_close_connection(output, coinbase->connection);
        back_off(source, now_us);
        return;
    }
    coinbase->open = true;
    coinbase->last_frame_us = now_us;
    backoff_opened(&coinbase->backoff, now_us);
    source_set_state(source, SOURCE_LIVE, now_us);
}

static void tick(struct source *source, int64_t now_us, struct source_output *output)
{
    struct coinbase *coinbase = source->state;
    if (now_us >= coinbase->retry_at_us) {
        source->statistics.reconnects++;
        open_connection(source, now_us, output);
    }
    if (!coinbase->open)
        return;
    if (now_us - coinbase->last_frame_us >= SILENT_AFTER_US) {
        source_close_connection(output, coinbase->connection);
        source_set_error(source, "nothing received for %d seconds", (int)(SILENT_AFTER_US / SECOND_US));
        back_off(source, now_us);
    } else if (now_us - coinbase->last_frame_us >= STALE_AFTER_US) {
        source_set_state(source, SOURCE_STALE, now_us);
    }
}

static void coinbase_connect(struct source *source, int64_t now_us, struct source_output *output)
{
    struct coinbase *coinbase = source->state;
    if (source->options.argument.length == 0) {
        source_fail(source, now_us, "name at least one product, as in coinbase:BTC-USD");
        return;
    }
    if (coinbase->connection == 0)
        open_connection(source, now_us, output);
    plan_wake(source);
}

static void coinbase_close(struct source *source, int64_t now_us, struct source_output *output)
{
    struct coinbase *coinbase = source->state;
    source_close_connection(output, coinbase->connection);
    coinbase->connection = 0;
    coinbase->open = false;
    source_set_state(source, SOURCE_ENDED, now_us);
}

static void coinbase_error(struct source *source, uint32_t connection, int code, struct bytes text, int64_t now_us,
                           struct source_output *output)
{
    struct coinbase *coinbase = source->state;
    (void)output;
    if (connection == 0 || source_is_over(source) || connection != coinbase->connection)
        return;
    source_set_error(source, "connection closed (%d): %.*s", code,
                     text.length > ERROR_TEXT_MAX ? ERROR_TEXT_MAX : (int)text.length, text.at ? text.at : "");
    back_off(source, now_us);
    plan_wake(source);
}

/* ---- frames ---- */

static enum reject_reason remember_product(struct coinbase *coinbase, struct bytes name, struct coinbase_product **product)
{
    for (size_t i = 0; i < name.length; i++)
        if (name.at[i] != upper(name.at[i]))
            return REJECT_UNKNOWN_SYMBOL;
    if (!is_product(name) || coinbase->product_count == PRODUCTS_MAX)
        return REJECT_UNKNOWN_SYMBOL;
    if (coinbase->product_count == coinbase->product_capacity) {
        size_t capacity = coinbase->product_capacity ? coinbase->product_capacity * 2 : 16;
        struct coinbase_product **grown = reallocarray(coinbase->products, capacity, sizeof *grown);
        if (!grown)
            return REJECT_NO_MEMORY;
        coinbase->products = grown;
        coinbase->product_capacity = capacity;
    }
    bool added;
    struct coinbase_product *made = coinbase_product_create(name);
    uint64_t *index = made ? map_put(&coinbase->by_name, name, &added) : NULL;
    if (!index) {
        coinbase_product_destroy(made);
        return REJECT_NO_MEMORY;
    }
    *index = coinbase->product_count;
    coinbase->products[coinbase->product_count++] = made;
    *product = made;
    return REJECT_NONE;
}

static enum reject_reason find_product(struct coinbase *coinbase, struct bytes name, struct coinbase_product **product)
{
    const uint64_t *index = map_find(&coinbase->by_name, name);
    if (!index)
        return remember_product(coinbase, name, product);
    *product = coinbase->products[*index];
    return REJECT_NONE;
}

static void coinbase_resume(struct source *source, const struct event *event)
{
    struct coinbase_product *product;
    if (event->source != EVENT_MARKET || !bytes_equal(event->market.exchange, BYTES(COINBASE_EXCHANGE)))
        return;
    if (find_product(source->state, event->market.symbol, &product) == REJECT_NONE)
        coinbase_product_resume(product, event);
}

/* {"type":"error","message":"Failed to subscribe","reason":"FOO-USD is not a valid product"} */
static void refused(struct source *source, const struct source_input *input, const struct coinbase_frame *frame,
                    struct source_output *output)
{
    struct coinbase *coinbase = source->state;
    static const struct bytes no_product = BYTES("not a valid product");
    struct bytes message = frame->error.message.at ? frame->error.message : BYTES("no message");
    struct bytes reason = frame->error.reason.at ? frame->error.reason : BYTES("no reason given");
    bool ours = coinbase->connection != 0 && input->connection == coinbase->connection;
    if (ours && input->now_us != TIME_UNKNOWN && memmem(reason.at, reason.length, no_product.at, no_product.length)) {
        source_close_connection(output, coinbase->connection);
        coinbase->connection = 0;
        coinbase->open = false;
        source_fail(source, input->now_us, "the exchange refused the subscription: %.*s", shown_length(reason), reason.at);
        return;
    }
    source_set_error(source, "the exchange says: %.*s: %.*s", shown_length(message), message.at, shown_length(reason), reason.at);
}

static void frame_received(struct source *source, const struct source_input *input, size_t index, struct source_output *output)
{
    source_frame(source);
    if (source_is_over(source)) {
        source_filter(source); /* was still on its way when we closed */
        return;
    }
    struct coinbase_frame frame;
    struct coinbase_product *product;
    enum reject_reason reason = coinbase_frame_parse(input->frame, &output->batch->arena, &frame);
    if (reason == REJECT_NONE && frame.kind >= COINBASE_ERROR) {
        if (frame.kind == COINBASE_ERROR)
            refused(source, input, &frame, output);
        source_filter(source);
        return;
    }
    if (reason == REJECT_NONE)
        reason = find_product(source->state, frame.product, &product);
    if (reason == REJECT_NONE)
        reason = coinbase_product_take(product, source, &frame, input->now_us, output);
    if (reason != REJECT_NONE)
        source_reject(source, output, index, input->frame, reason);
}

/* Whatever comes shows that the connection lives. */
static void note_life(struct source *source, const struct source_input *input)
{
    struct coinbase *coinbase = source->state;
    if (!coinbase->open || input->connection != coinbase->connection || input->now_us == TIME_UNKNOWN)
        return;
    coinbase->last_frame_us = input->now_us;
    source_set_state(source, SOURCE_LIVE, input->now_us);
}

static void coinbase_read(struct source *source, const struct source_input *inputs, size_t count, struct source_output *output)
{
    for (size_t i = 0; i < count; i++) {
        if (inputs[i].kind == SOURCE_FRAME) {
            note_life(source, &inputs[i]);
            frame_received(source, &inputs[i], i, output);
        } else if (inputs[i].kind == SOURCE_OPENED) {
            opened(source, &inputs[i], output);
        } else if (!source_is_over(source) && inputs[i].now_us != TIME_UNKNOWN) {
            tick(source, inputs[i].now_us, output);
        }
    }
    if (!source_is_over(source))
        plan_wake(source);
}

const struct source_class source_coinbase = {
    .kind = "coinbase",
    .argument = "BTC-USD[,…]",
    .summary = "Coinbase Exchange: trades, tickers, heartbeats",
    .frames = true,
    .state_size = sizeof(struct coinbase),
    .init = coinbase_init,
    .resume = coinbase_resume,
    .connect = coinbase_connect,
    .read = coinbase_read,
    .close = coinbase_close,
    .error = coinbase_error,
    .release = coinbase_release,
};
