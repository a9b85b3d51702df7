/* Binance aggregate trades, as combined frames of about 190 bytes, file to file through the normalize command's own core.
 * The frames are made here: 50 symbols, some far busier than others, prices that wander, ids that follow on. */
#include "bench/bench.h"

#include "app/normalize.h"
#include "base/random.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EVENTS_DEFAULT = 1000000, SYMBOL_COUNT = 50, WRITE_CAP = 1 << 20, PATH_CAP = 4096 };

static const char *const bases[SYMBOL_COUNT] = {
    "BTC",  "ETH", "SOL",  "XRP",  "BNB",  "DOGE", "ADA",  "TRX",   "AVAX",  "LINK", "DOT",  "LTC", "BCH",
    "NEAR", "UNI", "APT",  "ICP",  "ETC",  "XLM",  "ATOM", "FIL",   "ARB",   "OP",   "VET",  "INJ", "HBAR",
    "AAVE", "GRT", "ALGO", "FTM",  "SAND", "MANA", "AXS",  "THETA", "EOS",   "EGLD", "FLOW", "XTZ", "CHZ",
    "KAVA", "NEO", "ZEC",  "DASH", "IOTA", "COMP", "SNX",  "CRV",   "1INCH", "ENJ",  "NKN",
};

struct market {
    char upper[16], lower[16];
    double price;
    int64_t aggregate_id, trade_id;
};

static void make_markets(struct market *markets, struct random *random)
{
    for (size_t i = 0; i < SYMBOL_COUNT; i++) {
        struct market *market = &markets[i];
        snprintf(market->upper, sizeof market->upper, "%sUSDT", bases[i]);
        for (size_t j = 0; j < sizeof market->lower; j++)
            market->lower[j] = (char)(market->upper[j] >= 'A' ? market->upper[j] + 32 : market->upper[j]);
        market->price = 0.05 * exp(random_unit(random) * 13); /* 0.05 to 22000 */
        market->aggregate_id = (int64_t)(10000000 + random_below(random, 1000000000));
        market->trade_id = market->aggregate_id * 2;
    }
}

/* Symbol k is taken about as often as 1 / (k + 1). */
static size_t pick_symbol(struct random *random)
{
    size_t picked = (size_t)(exp(random_unit(random) * log(SYMBOL_COUNT + 1.0)) - 1);
    return picked < SYMBOL_COUNT ? picked : SYMBOL_COUNT - 1;
}

static void make_frame(struct market *market, struct random *random, int64_t time_ms, struct buffer *out)
{
    market->price *= 1 + 0.0002 * random_normal(random);
    int64_t trades = random_unit(random) < 0.7 ? 1 : 1 + (int64_t)random_below(random, 5);
    double quantity = floor(random_exponential(random, 50) * 1000 + 1) / 1000;
    const char *buyer_is_maker = random_unit(random) < 0.5 ? "true" : "false";
    int64_t first_trade_id = market->trade_id + 1;
    market->trade_id += trades;
    market->aggregate_id++;
    buffer_printf(out,
                  "{\"stream\":\"%s@aggTrade\",\"data\":{\"e\":\"aggTrade\",\"E\":%" PRId64 ",\"s\":\"%s\",\"a\":%" PRId64
                  ",\"p\":\"%.8f\",\"q\":\"%.8f\",\"f\":%" PRId64 ",\"l\":%" PRId64 ",\"T\":%" PRId64 ",\"m\":%s,\"M\":true}}\n",
                  market->lower, time_ms + 1, market->upper, market->aggregate_id, market->price, quantity, first_trade_id,
                  market->trade_id, time_ms, buyer_is_maker);
}

static int write_frames(int file, const struct bench_run *run, uint64_t events, struct error *error)
{
    struct random random;
    struct market markets[SYMBOL_COUNT];
    struct buffer out;
    random_seed(&random, run->seed);
    make_markets(markets, &random);
    buffer_init(&out, 2 * WRITE_CAP);
    int64_t time_us = 1760000000000000;
    int result = 0;
    for (uint64_t i = 0; i < events && result == 0; i++) {
        time_us += (int64_t)random_exponential(&random, 300);
        make_frame(&markets[pick_symbol(&random)], &random, time_us / 1000, &out);
        if (out.length < WRITE_CAP && i + 1 < events)
            continue;
        if (out.failed || write(file, out.at, out.length) != (ssize_t)out.length)
            result = error_set_errno(error, errno, "writing the frames");
        buffer_reset(&out);
    }
    buffer_release(&out);
    return result;
}

/* The frames: those given, or made here. */
static int open_frames(const struct bench_run *run, struct error *error)
{
    char path[PATH_CAP];
    if (run->input) {
        int given = open(run->input, O_RDONLY | O_CLOEXEC);
        return given < 0 ? error_set_errno(error, errno, "cannot open %s", run->input) : given;
    }
    snprintf(path, sizeof path, "%s/frames.jsonl", run->directory);
    int made = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (made < 0)
        return error_set_errno(error, errno, "cannot make %s", path);
    if (write_frames(made, run, run->events ? run->events : EVENTS_DEFAULT, error) != 0 || lseek(made, 0, SEEK_SET) != 0) {
        close(made);
        return -1;
    }
    return made;
}

static int measure(struct bench_run *run, int in, int out, struct error *error)
{
    struct source_options options = {.kind = BYTES("binance"), .argument = BYTES(""), .base_url = BYTES("")};
    struct source *source = source_create(&options, error);
    struct normalize_options normalize_options = {.source = source, .out = out, .rejects = -1};
    struct normalize *normalize = source ? normalize_create(&normalize_options, error) : NULL;
    int result = -1;
    if (normalize) {
        struct stat in_info, out_info;
        bench_begin(run);
        if (normalize_file(normalize, in, "frames", error) == NORMALIZE_DONE && fstat(in, &in_info) == 0 &&
            fstat(out, &out_info) == 0) {
            const struct source_statistics *statistics = source_statistics(source);
            double events = (double)statistics->events;
            bench_figure(run, "events_per_cpu_second", events / bench_cpu_seconds(run));
            bench_figure(run, "bytes_in_per_event", (double)in_info.st_size / events);
            bench_figure(run, "bytes_out_per_event", (double)out_info.st_size / events);
            bench_figure(run, "rejected", (double)statistics->rejected);
            bench_figure(run, "gaps", (double)statistics->gaps);
            bench_end(run, "binance aggTrade", statistics->events);
            result = 0;
        }
    }
    normalize_destroy(normalize);
    source_destroy(source);
    return result;
}

int bench_normalize(struct bench_run *run, struct error *error)
{
    char path[PATH_CAP];
    int in = open_frames(run, error);
    if (in < 0)
        return -1;
    snprintf(path, sizeof path, "%s/events.jsonl", run->directory);
    int out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int result = out < 0 ? error_set_errno(error, errno, "cannot make %s", path) : measure(run, in, out, error);
    if (out >= 0)
        close(out);
    close(in);
    return result;
}
