/* The whole way, market mix: recorded Binance frames -> adapter -> log (fsync) -> index -> live page, as `dataflow run` does
 * it, with one subscriber on /live.  CPU and memory are those of the program; the subscriber is a process of its own. */
#include "bench/bench.h"

#include "app/run_backend.h"
#include "base/random.h"
#include "net/net.h"
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BENCH_EVENTS = 1000000, BENCH_SYMBOLS = 50, BENCH_PATH = 512 };
#define BENCH_START_US 1735689600000000

/* ---- the recording ---- */

/* A random walk a symbol, skewed so that the first symbols trade most, a trade each 5 us. */
struct market {
    struct random random;
    uint64_t trade_id[BENCH_SYMBOLS];
    int64_t price_ticks[BENCH_SYMBOLS];
};

static void write_frame(struct market *market, FILE *out, uint64_t index)
{
    double skewed = random_unit(&market->random);
    size_t s = (size_t)(skewed * skewed * BENCH_SYMBOLS);
    uint64_t id = ++market->trade_id[s];
    int64_t time_us = BENCH_START_US + (int64_t)index * 5;
    market->price_ticks[s] += (int64_t)random_below(&market->random, 21) - 10;
    char received[TIMESTAMP_LENGTH + 1] = "";
    timestamp_format(time_us + 30000, received);
    long long time_ms = time_us / 1000;
    fprintf(out,
            "{\"received\":\"%s\",\"source\":\"binance:C00-USDT\",\"connection\":1,\"event\":\"frame\",\"frame\":"
            "\"{\\\"stream\\\":\\\"c%02zuusdt@aggTrade\\\",\\\"data\\\":{\\\"e\\\":\\\"aggTrade\\\",\\\"E\\\":%lld,\\\"s\\\":"
            "\\\"C%02zuUSDT\\\","
            "\\\"a\\\":%llu,\\\"p\\\":\\\"%lld.%02lld000000\\\",\\\"q\\\":\\\"0.%05llu000\\\",\\\"f\\\":%llu,\\\"l\\\":%llu,"
            "\\\"T\\\":%lld,\\\"m\\\":%s,\\\"M\\\":true}}\"}\n",
            received, s, time_ms + 2, s, (unsigned long long)id, (long long)(market->price_ticks[s] / 100),
            (long long)(market->price_ticks[s] % 100), (unsigned long long)random_below(&market->random, 90000) + 1,
            (unsigned long long)id, (unsigned long long)id, time_ms, random_below(&market->random, 2) ? "true" : "false");
}

static int write_recording(const char *path, uint64_t events, uint64_t seed, struct error *error)
{
    struct market market = {0};
    random_seed(&market.random, seed);
    for (size_t s = 0; s < BENCH_SYMBOLS; s++)
        market.price_ticks[s] = 1000000 + (int64_t)s * 100000;
    FILE *out = fopen(path, "we");
    if (!out)
        return error_set_errno(error, errno, "cannot write %s", path);
    for (uint64_t i = 0; i < events; i++)
        write_frame(&market, out, i);
    return fclose(out) == 0 ? 0 : error_set_errno(error, errno, "cannot write %s", path);
}

/* ---- the subscriber ---- */

struct subscriber {
    struct net_socket *socket;
    struct net_loop *loop;
};

static void on_open(void *context)
{
    struct subscriber *subscriber = context;
    net_socket_send(subscriber->socket, BYTES("{\"subscribe\":[\"market_stream\"]}"));
}

static void on_message(void *context, struct bytes message)
{
    (void)context;
    (void)message;
}

static void on_close(void *context, int code, struct bytes reason)
{
    struct subscriber *subscriber = context;
    (void)code;
    (void)reason;
    net_loop_stop(subscriber->loop);
}

/* The child: waits for the port, reads the feed until the server goes away. */
static void subscriber_run(int port_pipe)
{
    static const struct net_socket_events events = {.on_open = on_open, .on_message = on_message, .on_close = on_close};
    int port = 0;
    struct error error = {""};
    if (read(port_pipe, &port, sizeof port) != (ssize_t)sizeof port)
        _exit(1);
    struct subscriber subscriber = {.loop = net_loop_create(&(struct net_loop_options){0}, &error)};
    char url[64];
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/live", port);
    subscriber.socket =
        subscriber.loop ? net_socket_connect(subscriber.loop, bytes_of_string(url), &events, &subscriber, &error) : NULL;
    if (!subscriber.socket) {
        fprintf(stderr, "%s\n", error.text);
        _exit(1);
    }
    net_loop_run(subscriber.loop);
    _exit(0);
}

/* ---- the run ---- */

struct whole {
    struct bus *bus;
    struct store *store;
    struct pipeline *pipeline;
    struct serve *serve;
    struct run_backend backend;
};

static void on_durable(void *context)
{
    struct whole *whole = context;
    serve_notify(whole->serve);
}

/* The serve thread asks for the pipeline's state: it is served from the start, the sources begin afterwards. */
static int whole_start(struct whole *whole, const char *directory, const char *recording, int port_pipe, struct error *error)
{
    char path[BENCH_PATH];
    snprintf(path, sizeof path, "%s/log", directory);
    whole->bus = bus_log_open(&(struct bus_log_options){.directory = path}, env_system(), error);
    snprintf(path, sizeof path, "%s/store.db", directory);
    whole->store = whole->bus ? store_sqlite_open(path, error) : NULL;
    if (!whole->store)
        return -1;
    struct serve_backend backend;
    whole->backend = (struct run_backend){.bus = whole->bus, .store = whole->store};
    run_backend_fill(&whole->backend, &backend);
    whole->serve = serve_start(&(struct serve_options){.address = "127.0.0.1"}, &backend, error);
    if (!whole->serve)
        return -1;
    int port = serve_port(whole->serve);
    if (write(port_pipe, &port, sizeof port) != (ssize_t)sizeof port)
        return error_set_errno(error, errno, "subscriber");
    struct source_options options = {.kind = BYTES("recording"), .argument = bytes_of_string(recording)};
    struct pipeline_source source = {.source = source_create(&options, error)};
    if (!source.source)
        return -1;
    struct pipeline_options pipeline = {
        .env = env_system(), .bus = whole->bus, .store = whole->store, .on_durable = on_durable, .context = whole};
    whole->pipeline = pipeline_start(&pipeline, &source, 1, error);
    return whole->pipeline ? 0 : -1;
}

static void whole_close(struct whole *whole)
{
    if (whole->pipeline)
        pipeline_stop(whole->pipeline);
    if (whole->serve)
        serve_stop(whole->serve);
    if (whole->pipeline)
        pipeline_destroy(whole->pipeline);
    run_backend_release(&whole->backend);
    if (whole->store)
        store_destroy(whole->store);
    if (whole->bus)
        bus_destroy(whole->bus);
}

static int whole_measure(struct bench_run *run, struct whole *whole, const char *recording, int port_pipe, uint64_t events,
                         struct error *error)
{
    bench_begin(run);
    if (whole_start(whole, run->directory, recording, port_pipe, error) < 0)
        return -1;
    while (!pipeline_ended(whole->pipeline))
        usleep(2000);
    struct bus_info info;
    bus_info(whole->bus, &info);
    if (info.records_appended != events)
        return error_set(error, "%llu of %llu events are in the log", (unsigned long long)info.records_appended,
                         (unsigned long long)events);
    bench_figure(run, "syncs", (double)info.syncs);
    bench_figure(run, "log_bytes_per_event", (double)info.size_bytes / (double)events);
    bench_end(run, "market mix", events);
    return 0;
}

int bench_pipeline(struct bench_run *run, struct error *error)
{
    uint64_t events = run->events ? run->events : BENCH_EVENTS;
    char recording[BENCH_PATH];
    snprintf(recording, sizeof recording, "%s/frames.jsonl", run->directory);
    int pipe_ends[2];
    if (write_recording(recording, events, run->seed, error) < 0)
        return -1;
    if (pipe(pipe_ends) < 0)
        return error_set_errno(error, errno, "pipe");
    pid_t subscriber = fork();
    if (subscriber == 0) {
        close(pipe_ends[1]);
        subscriber_run(pipe_ends[0]);
    }
    close(pipe_ends[0]);
    struct whole whole = {0};
    int result = whole_measure(run, &whole, recording, pipe_ends[1], events, error);
    whole_close(&whole);
    close(pipe_ends[1]);
    waitpid(subscriber, NULL, 0);
    return result;
}
