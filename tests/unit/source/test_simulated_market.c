/* The simulated market: its statistics are those of markets, its rate is exact, and runs repeat.  Seeds are fixed, and
 * bounds are three standard errors or stated facts about markets, so that a test fails when the model breaks. */
#include "source/simulated.h"
#include "unit/source/source_test.h"

#include "event/decimal.h"

#include <math.h>

#define SECOND 1000000LL

struct series {
    double *values;
    size_t count, capacity;
};

static void series_add(struct series *series, double value)
{
    if (series->count == series->capacity) {
        series->capacity = series->capacity ? 2 * series->capacity : 1024;
        series->values = reallocarray(series->values, series->capacity, sizeof *series->values);
        assert_non_null(series->values);
    }
    series->values[series->count++] = value;
}

static double mean(const struct series *series, double (*of)(double))
{
    double sum = 0;
    for (size_t i = 0; i < series->count; i++)
        sum += of(series->values[i]);
    return sum / (double)series->count;
}

static double square(double value)
{
    return value * value;
}

static double fourth(double value)
{
    return value * value * value * value;
}

static double absolute(double value)
{
    return fabs(value);
}

/* Of |values|, which outliers do not drown. */
static double autocorrelation(const struct series *series, double (*of)(double), size_t lag)
{
    double average = mean(series, of), covariance = 0, variance = 0;
    for (size_t i = 0; i < series->count; i++)
        variance += square(of(series->values[i]) - average);
    for (size_t i = lag; i < series->count; i++)
        covariance += (of(series->values[i]) - average) * (of(series->values[i - lag]) - average);
    return covariance / variance;
}

static struct source_rig start(const char *spec, double rate, uint64_t seed)
{
    struct source_rig rig = rig_of(&(struct source_options){.rate = rate, .seed = seed}, spec);
    rig_connect(&rig, TEST_START_US);
    return rig;
}

/* Plays `seconds` in ticks as wanted, calling `look` for each event. */
static void play(struct source_rig *rig, double seconds, void (*look)(const struct event *event, void *context), void *context)
{
    int64_t end_us = TEST_START_US + (int64_t)(seconds * 1e6), now_us;
    do {
        now_us = rig->output.wake_at_us < end_us ? rig->output.wake_at_us : end_us;
        rig_input(rig, SOURCE_TICK, BYTES(""), now_us);
        for (size_t i = 0; i < rig->output.batch->count; i++)
            look(rig_event(rig, i), context);
    } while (rig->output.wake_at_us <= end_us);
}

static void count_event(const struct event *event, void *context)
{
    (void)event;
    ++*(size_t *)context;
}

/* ---- rate ---- */

static void check_rate(double rate, double seconds, uint64_t seed)
{
    struct source_rig rig = start("simulated:market", rate, seed);
    size_t count = 0;
    play(&rig, seconds, count_event, &count);
    /* A Hawkes count has the variance of a Poisson count over (1 - branching)^2; branching is 0.55. */
    double expected = rate * seconds, deviation = sqrt(expected) / (1 - 0.55);
    if (fabs((double)count - expected) > 3 * deviation)
        fail_msg("%zu events instead of %.0f +- %.0f", count, expected, deviation);
    assert_int_equal(source_statistics(rig.source)->created, count);
    rig_release(&rig);
}

static void test_rate_is_kept(void **state)
{
    (void)state;
    check_rate(1, 20000, 1);
    check_rate(25, 4000, 2);
    check_rate(1000, 60, 3);
    check_rate(1000000, 0.4, 4);
}

static void test_the_default_rate(void **state)
{
    (void)state;
    struct source_rig rig = start("simulated:market", 0, 1);
    size_t count = 0;
    play(&rig, 1000, count_event, &count);
    assert_in_range(count, 24000, 26000);
    rig_release(&rig);
}

/* ---- prices ---- */

struct prices {
    struct series returns, counts; /* per 10 s; trades per 10 s */
    double last_price, slot_price, slot_count;
    int64_t slot;
    uint64_t volume_bursts;
};

static void look_at_price(const struct event *event, void *context)
{
    struct prices *prices = context;
    if (!bytes_equal(event->market.symbol, BYTES("BTC-USDT")))
        return;
    double price = decimal_to_double(event->market.price);
    int64_t slot = (event->timestamp_us - TEST_START_US) / (10 * SECOND);
    if (prices->last_price > 0 && slot != prices->slot) {
        if (prices->slot_price > 0)
            series_add(&prices->returns, log(prices->last_price / prices->slot_price));
        prices->slot_price = prices->last_price;
        series_add(&prices->counts, prices->slot_count);
        prices->slot_count = 0;
    }
    prices->slot_count++;
    prices->slot = slot;
    prices->last_price = price;
    prices->volume_bursts += decimal_to_double(event->market.volume) * price > 30000;
}

static void test_returns_look_like_a_market(void **state)
{
    (void)state;
    struct source_rig rig = start("simulated:market", 25, 11);
    struct prices prices = {.slot = -1};
    play(&rig, 24 * 3600.0, look_at_price, &prices);
    double variance = mean(&prices.returns, square);
    double kurtosis = mean(&prices.returns, fourth) / square(variance);
    double clustering = autocorrelation(&prices.returns, absolute, 1);
    double clustering_later = autocorrelation(&prices.returns, absolute, 5);
    double noise = 1 / sqrt((double)prices.returns.count);
    double yearly = sqrt(variance * 365 * 8640);
    print_message("kurtosis %.1f, |r| autocorrelation %.3f, %.3f (noise %.3f), volatility %.0f %% a year\n", kurtosis, clustering,
                  clustering_later, noise, 100 * yearly);
    assert_true(kurtosis > 3.5);
    assert_true(clustering > 3 * noise);
    assert_true(clustering_later > 3 * noise);
    assert_true(autocorrelation(&prices.returns, square, 1) > 0);
    assert_true(yearly > 0.3 && yearly < 3);
    assert_true(prices.last_price > 60000 && prices.last_price < 160000);
    assert_true(prices.volume_bursts > 100);
    /* Trades come in clusters: a Poisson process has a variance as large as its mean. */
    double average = mean(&prices.counts, absolute);
    assert_true(mean(&prices.counts, square) - square(average) > 2 * average);
    free(prices.returns.values);
    free(prices.counts.values);
    rig_release(&rig);
}

/* ---- events ---- */

struct checked {
    size_t count, sides[3], directions[4], symbols[3];
    int64_t last_us, next_id[3];
    double last_price[3];
};

static size_t index_of(struct bytes symbol)
{
    return bytes_equal(symbol, BYTES("BTC-USDT")) ? 0 : bytes_equal(symbol, BYTES("ETH-USDT")) ? 1 : 2;
}

static void check_event(const struct event *event, void *context)
{
    struct checked *checked = context;
    const struct event_market *market = &event->market;
    size_t symbol = index_of(market->symbol);
    char id[96];
    assert_int_equal(event->source, EVENT_MARKET);
    assert_int_equal(event->kind, EVENT_TRADE);
    assert_bytes(market->exchange, "simulated");
    assert_true(decimal_is_valid(market->price) && decimal_is_positive(market->price));
    assert_true(decimal_is_valid(market->volume) && decimal_is_positive(market->volume));
    assert_int_equal(bytes_find(market->price, '.'), (ptrdiff_t)market->price.length - 3);
    assert_int_equal(bytes_find(market->volume, '.'), (ptrdiff_t)market->volume.length - 6);
    snprintf(id, sizeof id, "simulated:%.*s:trade:%lld", BYTES_ARG(market->symbol), (long long)market->trade_id);
    assert_bytes(event->id, id);
    assert_true(event->timestamp_us >= checked->last_us);
    assert_int_equal(event->received_us, event->timestamp_us);
    assert_int_equal(market->trade_id, checked->next_id[symbol] ? checked->next_id[symbol] : TEST_START_US);
    double price = decimal_to_double(market->price), last = checked->last_price[symbol];
    enum event_direction direction = price > last ? EVENT_UP : price < last ? EVENT_DOWN : EVENT_FLAT;
    assert_int_equal(market->direction, last > 0 ? direction : EVENT_DIRECTION_NONE);
    checked->last_us = event->timestamp_us;
    checked->next_id[symbol] = market->trade_id + 1;
    checked->last_price[symbol] = price;
    checked->sides[market->side]++;
    checked->directions[market->direction]++;
    checked->symbols[symbol]++;
    checked->count++;
}

static void test_events_are_whole(void **state)
{
    (void)state;
    struct source_rig rig = start("simulated:market", 25, 5);
    struct checked checked = {.count = 0};
    play(&rig, 2000, check_event, &checked);
    assert_true(checked.sides[EVENT_BUY] > checked.count / 3 && checked.sides[EVENT_SELL] > checked.count / 3);
    assert_true(checked.directions[EVENT_UP] > checked.count / 4 && checked.directions[EVENT_DOWN] > checked.count / 4);
    assert_true(checked.directions[EVENT_FLAT] > 0);
    assert_true(checked.symbols[0] > checked.symbols[1] && checked.symbols[1] > checked.symbols[2]);
    rig_release(&rig);
}

static void hash_event(const struct event *event, void *context)
{
    struct buffer *text = context;
    event_write(event, text);
}

static void play_into(struct buffer *text, uint64_t seed, int64_t start_us, int64_t step_us)
{
    struct source_rig rig = rig_of(&(struct source_options){.rate = 200, .seed = seed}, "simulated:market");
    rig_connect(&rig, start_us);
    buffer_init(text, 64 << 20);
    for (int64_t now_us = start_us; now_us <= start_us + 12 * SECOND; now_us += step_us) {
        rig_input(&rig, SOURCE_TICK, BYTES(""), now_us);
        for (size_t i = 0; i < rig.output.batch->count; i++)
            hash_event(rig_event(&rig, i), text);
    }
    rig_release(&rig);
}

static void test_runs_repeat_however_they_are_ticked(void **state)
{
    (void)state;
    struct buffer one, same, other, later;
    play_into(&one, 1, TEST_START_US, SECOND);
    play_into(&same, 1, TEST_START_US, 7500);
    play_into(&other, 2, TEST_START_US, SECOND);
    play_into(&later, 1, TEST_START_US + 1, SECOND);
    assert_true(one.length > 100000);
    assert_int_equal(one.length, same.length);
    assert_memory_equal(one.at, same.at, one.length);
    assert_false(bytes_equal(buffer_bytes(&one), buffer_bytes(&other)));
    assert_false(bytes_equal(buffer_bytes(&one), buffer_bytes(&later)));
    buffer_release(&one);
    buffer_release(&same);
    buffer_release(&other);
    buffer_release(&later);
}

static void test_a_late_tick_catches_up_in_pieces(void **state)
{
    (void)state;
    struct source_rig rig = start("simulated:market", 100000, 1);
    rig_input(&rig, SOURCE_TICK, BYTES(""), TEST_START_US + 2 * SECOND);
    assert_int_equal(rig.output.batch->count, SIMULATED_CALL_MAX);
    assert_int_equal(rig.output.wake_at_us, TEST_START_US + 2 * SECOND);
    size_t count = SIMULATED_CALL_MAX;
    while (rig.output.wake_at_us <= TEST_START_US + 2 * SECOND) {
        rig_input(&rig, SOURCE_TICK, BYTES(""), TEST_START_US + 2 * SECOND);
        count += rig.output.batch->count;
    }
    assert_in_range(count, 195000, 205000);
    rig_release(&rig);
}

static void note_symbol(const struct event *event, void *context)
{
    bool *seen = context;
    if (bytes_equal(event->market.symbol, BYTES("BTC-USDT")))
        seen[0] = true;
    if (bytes_equal(event->market.symbol, BYTES("S0499-USDT")))
        seen[1] = true;
}

static void test_many_symbols(void **state)
{
    (void)state;
    struct source_rig rig = start("simulated:market/500", 50000, 1);
    bool seen[2] = {false};
    play(&rig, 1, note_symbol, seen);
    assert_true(seen[0] && seen[1]);
    rig_release(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate_is_kept),
        cmocka_unit_test(test_the_default_rate),
        cmocka_unit_test(test_returns_look_like_a_market),
        cmocka_unit_test(test_events_are_whole),
        cmocka_unit_test(test_runs_repeat_however_they_are_ticked),
        cmocka_unit_test(test_a_late_tick_catches_up_in_pieces),
        cmocka_unit_test(test_many_symbols),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
