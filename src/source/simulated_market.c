/* A simulated exchange: seeded, realistic enough for detectors and charts, fast enough to be a load generator.
 *
 *   arrivals    Hawkes process with an exponential kernel: trades come in clusters, `rate` a second on average; exact
 *               simulation after Dassios and Zhao (Electronic Communications in Probability 18, 2013, algorithm 3.1)
 *   returns     GARCH(1,1) variance (Bollerslev 1986), shocks of Student's t with 4 degrees of freedom, cut at 8
 *               deviations; now and then a jump; pulled back to the base price over hours
 *   volumes     log-normal, with bursts that fade within seconds
 *   sides       runs of buying and selling; buyers pay half the spread more than the middle, sellers get it less
 *
 * Returns are per trade, and scaled so that volatility and its memory per unit of time are the same at any rate. */
#include "source/simulated.h"

#include <math.h>
#include <stdlib.h>

enum { SYMBOLS_DEFAULT = 3, SYMBOLS_MAX = 9999, RATE_DEFAULT = 25 };

/* Arrivals: each trade brings `BRANCHING` further ones on average, within about 1 / DECAY seconds. */
static const double BRANCHING = 0.55, DECAY_PER_S = 2.0;
/* Returns.  The variance is relative to its mean, 1; a trade's surprise is forgotten over MEMORY_S. */
static const double MEMORY_S = 150, FORGET_MAX = 0.05, SURPRISE = 0.2, VARIANCE_MAX = 25, SHOCK_MAX = 8;
static const double VOLATILITY_PER_SQRT_S = 1.2e-4; /* about 70 % a year */
static const double REVERSION_S = 6 * 3600.0;
static const double JUMP_MEAN_S = 1200, JUMP_MIN = 0.003, JUMP_SPREAD = 0.006, JUMP_VARIANCE = 10, JUMP_BURST = 12;
static const double HALF_SPREAD = 2e-6;
/* Volumes. */
static const double TRADE_VALUE = 1500, VOLUME_SIGMA = 1.1; /* quote currency; of the logarithm */
static const double BURST_MEAN_S = 90, BURST_MIN = 5, BURST_SPREAD = 15, BURST_FADE_S = 5;
static const double SIDE_CHANGE = 0.3;

struct listing {
    const char *symbol;
    double price;
    unsigned price_digits, volume_digits;
};
static const struct listing listings[] = {
    {"BTC-USDT", 97000, 2, 5}, {"ETH-USDT", 3400, 2, 5},  {"SOL-USDT", 190, 2, 5},  {"BNB-USDT", 650, 2, 5},
    {"XRP-USDT", 1.45, 4, 1},  {"DOGE-USDT", 0.39, 5, 0}, {"ADA-USDT", 0.98, 4, 1}, {"AVAX-USDT", 42, 2, 2},
    {"LINK-USDT", 17.5, 2, 2}, {"LTC-USDT", 95, 2, 3},    {"DOT-USDT", 8.6, 3, 2},  {"ATOM-USDT", 8.1, 3, 2},
};
enum { LISTING_COUNT = sizeof listings / sizeof *listings };

#define ID_PREFIX "simulated:"
#define ID_TRADE ":trade:"
enum { SYMBOL_LENGTH_MAX = 16, PREFIX_MAX = sizeof ID_PREFIX + SYMBOL_LENGTH_MAX + sizeof ID_TRADE };

struct market_symbol {
    char prefix[PREFIX_MAX]; /* simulated:BTC-USDT:trade: */
    size_t prefix_length, name_length;
    unsigned price_digits, volume_digits;
    double base_price, price_scale, volume_scale;
    double trade_sigma;  /* of one trade's return at variance 1 */
    double trade_volume; /* median, in base currency */
    double alpha, beta;  /* GARCH weights of the last shock and of the last variance */
    double cumulative;   /* share of trades up to and with this symbol */
    /* What changes. */
    double price, variance, burst, last_s;
    int64_t last_ticks;
    int64_t next_trade_id;
    bool buying;
};

struct market_state {
    struct simulated timeline;
    size_t count;
    struct market_symbol *symbols;
    double intensity_base, intensity_excess; /* of arrivals, per second */
};

/* ---- set-up ---- */

static void list_symbol(struct market_symbol *symbol, size_t index)
{
    char made[SYMBOL_LENGTH_MAX + 1];
    struct listing listing = {made, 5.0 + (double)(index % 97) * 3.5, 2, 5};
    if (index < LISTING_COUNT)
        listing = listings[index];
    else
        snprintf(made, sizeof made, "S%04u-USDT", (unsigned)(index % 10000));
    symbol->name_length = strlen(listing.symbol);
    symbol->prefix_length = (size_t)snprintf(symbol->prefix, sizeof symbol->prefix, ID_PREFIX "%s" ID_TRADE, listing.symbol);
    symbol->base_price = listing.price;
    symbol->price_digits = listing.price_digits;
    symbol->volume_digits = listing.volume_digits;
    symbol->price_scale = pow(10, listing.price_digits);
    symbol->volume_scale = pow(10, listing.volume_digits);
    symbol->trade_volume = TRADE_VALUE / listing.price;
}

/* forget = 1 - alpha - beta.  With alpha^2 = forget * SURPRISE the variance varies about as much as its mean, and with
 * these shocks (fourth moment about 10) the fourth moment of returns is still finite: SURPRISE < 2 / (10 - 1). */
static void set_volatility(struct market_symbol *symbol, double trades_per_s)
{
    double forget = 1 / (MEMORY_S * trades_per_s);
    if (forget > FORGET_MAX)
        forget = FORGET_MAX;
    symbol->alpha = sqrt(forget * SURPRISE);
    symbol->beta = 1 - forget - symbol->alpha;
    symbol->trade_sigma = VOLATILITY_PER_SQRT_S / sqrt(trades_per_s);
}

static int market_init(struct source *source, struct error *error)
{
    struct market_state *state = source->state;
    if (simulated_init(source, SYMBOLS_DEFAULT, SYMBOLS_MAX, RATE_DEFAULT, &state->count, error) != 0)
        return -1;
    state->symbols = calloc(state->count, sizeof *state->symbols);
    if (!state->symbols)
        return error_set(error, "out of memory for %zu symbols of %s", state->count, source->name);
    double total = 0;
    for (size_t i = 0; i < state->count; i++) {
        list_symbol(&state->symbols[i], i);
        state->symbols[i].cumulative = total += pow((double)(i + 1), -0.7); /* some are traded more than others */
    }
    double before = 0;
    for (size_t i = 0; i < state->count; i++) {
        struct market_symbol *symbol = &state->symbols[i];
        symbol->cumulative /= total;
        set_volatility(symbol, state->timeline.rate * (symbol->cumulative - before));
        before = symbol->cumulative;
    }
    state->symbols[state->count - 1].cumulative = 1;
    return 0;
}

static void market_release(struct source *source)
{
    struct market_state *state = source->state;
    free(state->symbols);
}

/* ---- arrivals ---- */

static double random_open_unit(struct random *random) /* (0, 1] */
{
    return 1 - random_unit(random);
}

static void next_arrival(struct market_state *state)
{
    struct random *random = &state->timeline.random;
    double wait_s = -log(random_open_unit(random)) / state->intensity_base;
    double left = 1 + DECAY_PER_S * log(random_open_unit(random)) / state->intensity_excess;
    if (left > 0) {
        double excited_s = -log(left) / DECAY_PER_S;
        if (excited_s < wait_s)
            wait_s = excited_s;
    }
    state->timeline.next_s += wait_s;
    state->intensity_excess = state->intensity_excess * exp(-DECAY_PER_S * wait_s) + BRANCHING * DECAY_PER_S;
}

static bool make_trade(struct source *source, struct event *event, struct arena *arena);

static void market_connect(struct source *source, int64_t now_us, struct source_output *output)
{
    (void)output;
    struct market_state *state = source->state;
    if (source->statistics.state == SOURCE_LIVE)
        return;
    simulated_begin(source, now_us);
    state->timeline.make = make_trade;
    state->intensity_base = state->timeline.rate * (1 - BRANCHING);
    state->intensity_excess = state->timeline.rate * BRANCHING;
    for (size_t i = 0; i < state->count; i++) {
        struct market_symbol *symbol = &state->symbols[i];
        /* A quiet stretch before the start spreads prices, so that two runs do not begin alike. */
        symbol->price = symbol->base_price * (1 + 0.01 * random_normal(&state->timeline.random));
        symbol->variance = 1;
        symbol->burst = 0;
        symbol->last_s = 0;
        symbol->last_ticks = 0;
        symbol->next_trade_id = state->timeline.start_us;
        symbol->buying = random_unit(&state->timeline.random) < 0.5;
    }
    next_arrival(state);
}

/* ---- trades ---- */

static struct market_symbol *draw_symbol(struct market_state *state)
{
    double at = random_unit(&state->timeline.random);
    size_t low = 0, high = state->count - 1;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (at < state->symbols[middle].cumulative)
            high = middle;
        else
            low = middle + 1;
    }
    return &state->symbols[low];
}

/* Student's t with 4 degrees of freedom, scaled to variance 1 (Bailey, Mathematics of Computation 62, 1994). */
static double draw_shock(struct random *random)
{
    double radius = sqrt(4 * (1 / sqrt(random_open_unit(random)) - 1));
    double shock = radius * cos(6.283185307179586 * random_unit(random)) * 0.7071067811865476;
    return shock > SHOCK_MAX ? SHOCK_MAX : shock < -SHOCK_MAX ? -SHOCK_MAX : shock;
}

/* Moves the symbol's price, variance, burst and side by one trade that comes elapsed_s after the one before. */
static void move_symbol(struct market_symbol *symbol, double elapsed_s, struct random *random)
{
    double shock = draw_shock(random);
    double change = symbol->trade_sigma * sqrt(symbol->variance) * shock;
    symbol->variance = 1 - symbol->alpha - symbol->beta + (symbol->alpha * shock * shock + symbol->beta) * symbol->variance;
    double fade = 1 - elapsed_s / BURST_FADE_S;
    symbol->burst = fade > 0 ? symbol->burst * fade : 0;
    if (random_unit(random) < SIDE_CHANGE)
        symbol->buying = !symbol->buying;
    if (random_unit(random) * BURST_MEAN_S < elapsed_s)
        symbol->burst += BURST_MIN + BURST_SPREAD * random_unit(random);
    if (random_unit(random) * JUMP_MEAN_S < elapsed_s) {
        double size = JUMP_MIN + JUMP_SPREAD * random_unit(random);
        symbol->buying = random_unit(random) < 0.5;
        change += symbol->buying ? size : -size;
        symbol->variance += JUMP_VARIANCE;
        symbol->burst += JUMP_BURST;
    }
    if (symbol->variance > VARIANCE_MAX)
        symbol->variance = VARIANCE_MAX;
    change -= (symbol->price / symbol->base_price - 1) * (elapsed_s / REVERSION_S);
    symbol->price *= 1 + change + change * change / 2; /* exp, for small changes */
}

/* "123.45" from 12345 with two digits, ending at `end`. */
static char *put_decimal(char *end, uint64_t units, unsigned digits)
{
    for (unsigned i = 0; i < digits; i++, units /= 10)
        *--end = (char)('0' + units % 10);
    if (digits)
        *--end = '.';
    return simulated_digits(end, units);
}

static bool write_trade(struct market_symbol *symbol, uint64_t price_ticks, uint64_t volume_units, struct event *event,
                        struct arena *arena)
{
    enum { NUMBER_MAX = 24 };
    char *text = arena_text(arena, symbol->prefix_length + 3 * NUMBER_MAX);
    if (!text)
        return false;
    char *end = text + symbol->prefix_length + 3 * NUMBER_MAX;
    char *volume = put_decimal(end, volume_units, symbol->volume_digits);
    char *price = put_decimal(volume, price_ticks, symbol->price_digits);
    char *id = simulated_digits(price, (uint64_t)symbol->next_trade_id);
    id -= symbol->prefix_length;
    memcpy(id, symbol->prefix, symbol->prefix_length);
    event->source = EVENT_MARKET;
    event->kind = EVENT_TRADE;
    event->id = bytes_of(id, (size_t)(price - id));
    event->market.exchange = bytes_of(id, sizeof ID_PREFIX - 2); /* without the colon */
    event->market.symbol = bytes_of(id + sizeof ID_PREFIX - 1, symbol->name_length);
    event->market.price = bytes_of(price, (size_t)(volume - price));
    event->market.volume = bytes_of(volume, (size_t)(end - volume));
    event->market.trade_id = symbol->next_trade_id;
    event->market.side = symbol->buying ? EVENT_BUY : EVENT_SELL;
    return true;
}

static enum event_direction direction_of(int64_t ticks, int64_t last_ticks)
{
    if (last_ticks == 0)
        return EVENT_DIRECTION_NONE; /* the first trade has none before it */
    return ticks > last_ticks ? EVENT_UP : ticks < last_ticks ? EVENT_DOWN : EVENT_FLAT;
}

static bool make_trade(struct source *source, struct event *event, struct arena *arena)
{
    struct market_state *state = source->state;
    struct random *random = &state->timeline.random;
    struct market_symbol *symbol = draw_symbol(state);
    move_symbol(symbol, state->timeline.next_s - symbol->last_s, random);
    symbol->last_s = state->timeline.next_s;
    double paid = symbol->price * (1 + (symbol->buying ? HALF_SPREAD : -HALF_SPREAD));
    int64_t ticks = llround(paid * symbol->price_scale);
    if (ticks < 1)
        ticks = 1;
    double volume = symbol->trade_volume * (1 + symbol->burst) * exp(VOLUME_SIGMA * random_normal(random));
    int64_t units = llround(volume * symbol->volume_scale);
    bool written = write_trade(symbol, (uint64_t)ticks, (uint64_t)(units < 1 ? 1 : units), event, arena);
    event->market.direction = direction_of(ticks, symbol->last_ticks);
    symbol->last_ticks = ticks;
    symbol->next_trade_id++;
    next_arrival(state);
    return written;
}

const struct source_class source_simulated_market = {
    .kind = "simulated",
    .variant = "market",
    .argument = "market[/SYMBOLS]",
    .summary = "a simulated exchange; also a load generator",
    .state_size = sizeof(struct market_state),
    .init = market_init,
    .connect = market_connect,
    .read = simulated_read,
    .close = simulated_close,
    .error = simulated_error,
    .release = market_release,
};
