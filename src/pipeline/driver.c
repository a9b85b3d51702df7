/* Every source has a few links (open connections: a WebSocket or a file) and calls (HTTP requests).  A frame is copied into the
 * arena of the current batch, so that the events made from it may point into it; a batch is given away at the end of a step, or
 * when it is full.
 *
 * Invariant: driver->batch, when there is one, belongs to the driver; all events added since it was taken are in it. */
#include "pipeline/driver.h"

#include "base/logging.h"
#include "net/net.h"
#include "pipeline/file_feed.h"
#include <assert.h>

enum {
    DRIVER_SOURCE_MAX = 64,
    DRIVER_LINK_MAX = 64,         /* open connections of one source */
    DRIVER_CALL_MAX = 32,         /* unanswered requests of one source */
    DRIVER_LINES_A_TURN = 256,    /* of one file, before others get theirs */
    DRIVER_BATCH_BYTES = 1 << 20, /* given away when its frames take this much */
    DRIVER_BATCH_EVENTS = 1024,
    DRIVER_TAPPED_MAX = 4 << 20, /* an event as JSON */
};

#define FILE_SCHEME "file:"
/* More between the wall clock and the steady one is a jump, and told. */
#define CLOCK_JUMP_US 1000000
/* How long sockets get to say good-bye. */
#define CLOSE_ROUND_US 20000
#define CLOSE_ROUNDS 10

struct feed;

struct link {
    struct feed *feed;
    uint32_t connection;
    struct net_socket *socket; /* one of the two */
    struct file_feed *file;
    int64_t due_us; /* file: when its next line is due */
    bool used;
    bool closing; /* asked to close: its end is no news to the source */
};

/* An HTTP request under way. */
struct call {
    struct feed *feed;
    uint32_t number;
    struct net_http *http; /* NULL: free */
};

struct feed {
    struct driver *driver;
    struct source *source;
    struct link links[DRIVER_LINK_MAX];
    struct call calls[DRIVER_CALL_MAX];
    enum source_state state; /* as last logged */
    int64_t wake_at_us;
    bool loop; /* a recording that starts again at its end */
    bool ended;
};

struct driver {
    struct driver_options options;
    struct net_loop *loop;
    struct feed *feeds[DRIVER_SOURCE_MAX];
    size_t feed_count;
    struct event_batch *batch;
    struct source_output output;
    struct buffer tapped; /* an event on its way to the tap */
    int64_t clock_us;     /* wall-clock time that never steps back; see driver_clock_update */
    int64_t steady_us;    /* of the machine's steady clock, then */
    bool clock_jumped;    /* set back, and not caught up with */
    bool stopping;        /* no batch was to be had */
    bool destroying;      /* sources hear of nothing any more */
};

/* Looks at both clocks of the machine and moves the driver's on: with the steady one, forward to the wall clock where that
 * is ahead, at half speed where it has been set back, so that nothing that is due waits for the size of a jump. */
static void driver_clock_update(struct driver *driver)
{
    const struct env *env = driver->options.env;
    int64_t wall_us = env->now_us(env), steady_us = env->monotonic_us(env);
    int64_t advance_us = steady_us - driver->steady_us;
    int64_t ahead_us = driver->clock_us + advance_us - wall_us;
    bool first = driver->clock_us == 0;
    if (!first && (ahead_us > CLOCK_JUMP_US || ahead_us < -CLOCK_JUMP_US) && !driver->clock_jumped)
        log_event(LOG_WARNING, "clock_jumped", "the system's clock was set %s by %.3f s", ahead_us > 0 ? "back" : "forward",
                  (double)(ahead_us > 0 ? ahead_us : -ahead_us) / 1e6);
    driver->clock_jumped = !first && ahead_us > CLOCK_JUMP_US;
    driver->clock_us = first || ahead_us <= 0 ? wall_us : driver->clock_us + advance_us / 2;
    driver->steady_us = steady_us;
}

static int64_t now_us(struct driver *driver)
{
    driver_clock_update(driver);
    return driver->clock_us;
}

struct driver *driver_create(const struct driver_options *options, struct error *error)
{
    struct driver *driver = calloc(1, sizeof *driver);
    if (!driver) {
        error_set(error, "out of memory");
        return NULL;
    }
    driver->options = *options;
    buffer_init(&driver->tapped, DRIVER_TAPPED_MAX);
    struct net_loop_options loop_options = {.tls_ca_file = options->tls_ca_file};
    driver->loop = net_loop_create(&loop_options, error);
    if (!driver->loop) {
        driver_destroy(driver);
        return NULL;
    }
    return driver;
}

int driver_add(struct driver *driver, struct source *source, bool loop, struct error *error)
{
    struct feed *feed = driver->feed_count < DRIVER_SOURCE_MAX ? calloc(1, sizeof *feed) : NULL;
    if (!feed) {
        source_destroy(source);
        return error_set(error, "more than %d sources", DRIVER_SOURCE_MAX);
    }
    *feed = (struct feed){
        .driver = driver, .source = source, .wake_at_us = INT64_MAX, .loop = loop, .state = source_statistics(source)->state};
    driver->feeds[driver->feed_count++] = feed;
    return 0;
}

size_t driver_source_count(const struct driver *driver)
{
    return driver->feed_count;
}

const struct source *driver_source(const struct driver *driver, size_t index)
{
    assert(index < driver->feed_count);
    return driver->feeds[index]->source;
}

/* ---- batches ---- */

static bool driver_need_batch(struct driver *driver)
{
    if (!driver->batch && !driver->stopping) {
        driver->batch = driver->options.callbacks.take(driver->options.callbacks.context);
        driver->stopping = !driver->batch;
    }
    return driver->batch != NULL;
}

static void driver_flush(struct driver *driver)
{
    if (!driver->batch)
        return;
    if (driver->batch->count == 0) {
        event_batch_reset(driver->batch);
        return;
    }
    struct event_batch *batch = driver->batch;
    driver->batch = NULL;
    driver->options.callbacks.give(driver->options.callbacks.context, batch);
}

static bool driver_batch_is_full(const struct driver *driver)
{
    return driver->batch->count >= DRIVER_BATCH_EVENTS || arena_used_bytes(&driver->batch->arena) >= DRIVER_BATCH_BYTES;
}

/* ---- what sources ask for ---- */

static void driver_tap(struct link *link, enum recording_event event, struct bytes frame)
{
    const struct driver_callbacks *callbacks = &link->feed->driver->options.callbacks;
    if (!callbacks->tap || link->file)
        return;
    struct recording_line line = {.received_us = now_us(link->feed->driver),
                                  .source = bytes_of_string(source_name(link->feed->source)),
                                  .connection = link->connection,
                                  .event = event,
                                  .frame = frame};
    callbacks->tap(callbacks->context, &line);
}

/* Simulators and files have no raw traffic of their own: their events stand in its place. */
static void driver_tap_events(struct feed *feed, uint32_t connection, size_t first)
{
    struct driver *driver = feed->driver;
    const struct driver_callbacks *callbacks = &driver->options.callbacks;
    if (!callbacks->tap || !driver->batch)
        return;
    bool simulator = bytes_equal(source_kind(feed->source), BYTES("simulated"));
    for (size_t i = first; i < driver->batch->count; i++) {
        const struct event *event = &driver->batch->events[i];
        buffer_reset(&driver->tapped);
        event_write(event, &driver->tapped);
        struct recording_line line = {.received_us = event->received_us,
                                      .source = simulator ? bytes_of_string(source_name(feed->source)) : BYTES("jsonl:events"),
                                      .connection = connection,
                                      .event = RECORDING_FRAME,
                                      .frame = buffer_bytes(&driver->tapped)};
        if (!driver->tapped.failed)
            callbacks->tap(callbacks->context, &line);
    }
}

static void feed_apply(struct feed *feed);

static void link_release(struct link *link)
{
    file_feed_close(link->file);
    *link = (struct link){0};
}

/* The connection is gone: the source decides what follows. */
static void link_fail(struct link *link, int code, struct bytes reason)
{
    struct feed *feed = link->feed;
    struct driver *driver = feed->driver;
    uint32_t connection = link->connection;
    driver_tap(link, RECORDING_CLOSE, reason);
    link_release(link);
    if (!driver_need_batch(driver))
        return;
    driver->output.batch = driver->batch;
    source_error(feed->source, connection, code, reason, now_us(driver), &driver->output);
    feed_apply(feed);
}

static void link_input(struct link *link, enum source_input_kind kind, struct bytes frame, int64_t at_us)
{
    struct feed *feed = link->feed;
    struct driver *driver = feed->driver;
    struct source_input input = {.kind = kind, .connection = link->connection, .now_us = at_us, .frame = frame};
    driver->output.batch = driver->batch;
    source_read(feed->source, &input, 1, &driver->output);
    feed_apply(feed);
}

/* The frame in the arena of a batch; .at NULL when out of memory, or stopping. */
static struct bytes driver_copy(struct driver *driver, struct bytes frame)
{
    if (!driver_need_batch(driver))
        return BYTES_NONE;
    struct bytes copy = arena_copy(&driver->batch->arena, frame);
    if (copy.at)
        return copy;
    driver_flush(driver);
    copy = driver_need_batch(driver) ? arena_copy(&driver->batch->arena, frame) : BYTES_NONE;
    if (!copy.at && !driver->stopping)
        log_event(LOG_ERROR, "out_of_memory", "no memory for a frame of %zu bytes", frame.length);
    return copy;
}

static void on_socket_open(void *context)
{
    struct link *link = context;
    driver_tap(link, RECORDING_OPEN, BYTES_NONE);
    if (driver_need_batch(link->feed->driver))
        link_input(link, SOURCE_OPENED, BYTES_NONE, now_us(link->feed->driver));
}

static void on_socket_message(void *context, struct bytes message)
{
    struct link *link = context;
    struct driver *driver = link->feed->driver;
    driver_tap(link, RECORDING_FRAME, message);
    struct bytes frame = driver_copy(driver, message);
    if (frame.at)
        link_input(link, SOURCE_FRAME, frame, now_us(driver));
    else if (!driver->stopping) /* a frame is lost: only a new connection tells the source so */
        net_socket_close(link->socket, 1011);
    if (driver->batch && driver_batch_is_full(driver))
        driver_flush(driver);
}

static void on_socket_close(void *context, int code, struct bytes reason)
{
    struct link *link = context;
    link->socket = NULL;
    if (link->closing)
        link_release(link);
    else
        link_fail(link, code, reason);
}

static const struct net_socket_events socket_events = {
    .on_open = on_socket_open, .on_message = on_socket_message, .on_close = on_socket_close};

static int link_open_file(struct link *link, const char *path, struct error *error)
{
    const struct driver_options *options = &link->feed->driver->options;
    if (options->demo_path && bytes_equal(bytes_of_string(path), BYTES("demo")))
        path = options->demo_path;
    bool recording = bytes_equal(source_kind(link->feed->source), BYTES("recording"));
    struct file_feed_options file_options = {.path = path,
                                             .timed = recording,
                                             .speed = options->recording_speed,
                                             .loop = recording && link->feed->loop,
                                             .now_us = now_us(link->feed->driver)};
    link->file = file_feed_open(&file_options, error);
    return link->file ? 0 : -1;
}

static int check_plaintext(const struct driver *driver, struct bytes address, struct error *error)
{
    bool websocket = bytes_start_with(address, BYTES("ws://"));
    if ((!websocket && !bytes_start_with(address, BYTES("http://"))) || driver->options.allow_plaintext ||
        net_url_is_loopback(address))
        return 0;
    return error_set(error, "%.*s: plaintext is only for loopback; use %s, or set DATAFLOW_ALLOW_PLAINTEXT for a test network",
                     BYTES_ARG(address), websocket ? "wss://" : "https://");
}

static int link_open(struct link *link, struct bytes address, struct error *error)
{
    struct driver *driver = link->feed->driver;
    struct bytes file = BYTES(FILE_SCHEME);
    if (bytes_start_with(address, file)) {
        char path[4096];
        snprintf(path, sizeof path, "%.*s", BYTES_ARG(bytes_skip(address, file.length)));
        return link_open_file(link, path, error);
    }
    if (check_plaintext(driver, address, error) != 0)
        return -1;
    link->socket = net_socket_connect(driver->loop, address, &socket_events, link, error);
    return link->socket ? 0 : -1;
}

static struct link *feed_link(struct feed *feed, uint32_t connection)
{
    for (size_t i = 0; i < DRIVER_LINK_MAX; i++)
        if (feed->links[i].used && !feed->links[i].closing && feed->links[i].connection == connection)
            return &feed->links[i];
    return NULL;
}

static void feed_open(struct feed *feed, const struct source_action *action)
{
    for (size_t i = 0; i < DRIVER_LINK_MAX; i++) {
        struct link *link = &feed->links[i];
        if (link->used)
            continue;
        struct error error = {""};
        *link = (struct link){.feed = feed, .connection = action->connection, .used = true};
        if (link_open(link, action->text, &error) < 0)
            link_fail(link, SOURCE_CLOSED_UNREACHABLE, bytes_of_string(error.text));
        else if (link->file)
            link_input(link, SOURCE_OPENED, BYTES_NONE, now_us(feed->driver));
        return;
    }
    char reason[64];
    snprintf(reason, sizeof reason, "more than %d connections of one source", DRIVER_LINK_MAX);
    if (driver_need_batch(feed->driver)) {
        feed->driver->output.batch = feed->driver->batch;
        source_error(feed->source, action->connection, SOURCE_CLOSED_NONE, bytes_of_string(reason), now_us(feed->driver),
                     &feed->driver->output);
        feed_apply(feed);
    }
}

static void link_close(struct link *link)
{
    driver_tap(link, RECORDING_CLOSE, BYTES_NONE);
    link->closing = true;
    if (link->socket)
        net_socket_close(link->socket, 1000); /* released when it says that it is closed */
    else
        link_release(link);
}

/* ---- requests ---- */

static void feed_respond(struct feed *feed, uint32_t number, const struct net_answer *answer)
{
    struct driver *driver = feed->driver;
    if (!driver_need_batch(driver))
        return;
    struct source_input input = {.kind = SOURCE_RESPONSE,
                                 .connection = number,
                                 .now_us = now_us(driver),
                                 .frame = arena_copy(&driver->batch->arena, answer->body),
                                 .status = answer->status,
                                 .retry_after_us = answer->retry_after_us};
    if (!input.frame.at) { /* no memory for the body: as good as no answer */
        input.status = 0;
        input.frame = BYTES("out of memory");
    }
    driver->output.batch = driver->batch;
    source_read(feed->source, &input, 1, &driver->output);
    feed_apply(feed);
}

static void on_answer(void *context, const struct net_answer *answer)
{
    struct call *call = context;
    call->http = NULL;
    if (!call->feed->driver->destroying)
        feed_respond(call->feed, call->number, answer);
}

static void feed_request(struct feed *feed, const struct source_action *action)
{
    struct driver *driver = feed->driver;
    struct error error = {"too many requests at once"};
    struct net_http_request request = {
        .method = action->method, .url = action->text, .headers = action->headers, .body = action->body};
    size_t i = 0;
    while (i < DRIVER_CALL_MAX && feed->calls[i].http)
        i++;
    if (i < DRIVER_CALL_MAX && check_plaintext(driver, action->text, &error) == 0) {
        feed->calls[i] = (struct call){.feed = feed, .number = action->connection};
        feed->calls[i].http = net_http_send(driver->loop, &request, on_answer, &feed->calls[i], &error);
        if (feed->calls[i].http)
            return;
    }
    feed_respond(feed, action->connection,
                 &(struct net_answer){.retry_after_us = NET_RETRY_AFTER_NONE, .body = bytes_of_string(error.text)});
}

static void feed_cancel(struct feed *feed, uint32_t number)
{
    for (size_t i = 0; i < DRIVER_CALL_MAX; i++)
        if (feed->calls[i].http && feed->calls[i].number == number) {
            net_http_cancel(feed->calls[i].http);
            feed->calls[i].http = NULL;
        }
}

static void feed_act(struct feed *feed, const struct source_action *action)
{
    struct link *link = feed_link(feed, action->connection);
    switch (action->kind) {
    case SOURCE_OPEN:
        feed_open(feed, action);
        break;
    case SOURCE_SEND:
        if (link)
            driver_tap(link, RECORDING_SENT, action->shown.at ? action->shown : action->text);
        if (link && link->socket && !net_socket_send(link->socket, action->text))
            log_event(LOG_WARNING, "send_refused", "%s: the queue of what is to be sent is full", source_name(feed->source));
        break;
    case SOURCE_CLOSE:
        if (link)
            link_close(link);
        else
            feed_cancel(feed, action->connection);
        break;
    case SOURCE_REQUEST:
        feed_request(feed, action);
        break;
    }
}

/* One line for each turn that a source's life takes. */
static void feed_log_state(struct feed *feed)
{
    enum source_state state = source_statistics(feed->source)->state;
    if (state == feed->state)
        return;
    feed->state = state;
    const char *name = source_name(feed->source);
    if (state == SOURCE_FAILED)
        log_event(LOG_ERROR, "source_failed", "%s: %s", name, source_last_error(feed->source));
    else if (state == SOURCE_BACKING_OFF)
        log_event(LOG_WARNING, "source_lost", "%s: %s; trying again", name, source_last_error(feed->source));
    else
        log_event(LOG_DEBUG, "source_state", "%s: %.*s", name, BYTES_ARG(source_state_name(state)));
}

/* Carries out what the last call on the source asked for. */
static void feed_apply(struct feed *feed)
{
    struct driver *driver = feed->driver;
    struct source_action actions[SOURCE_ACTION_MAX];
    size_t action_count = driver->output.action_count;
    memcpy(actions, driver->output.actions, action_count * sizeof actions[0]);
    feed->wake_at_us = driver->output.wake_at_us;
    if (driver->options.callbacks.reject)
        for (size_t i = 0; i < driver->output.reject_count; i++)
            driver->options.callbacks.reject(driver->options.callbacks.context, feed->source, &driver->output.rejects[i]);
    source_output_reset(&driver->output);
    for (size_t i = 0; i < action_count; i++) /* may come back here for further calls */
        feed_act(feed, &actions[i]);
    feed_log_state(feed);
    enum source_state state = source_statistics(feed->source)->state;
    feed->ended = state == SOURCE_ENDED || state == SOURCE_FAILED;
}

/* ---- rounds ---- */

static void feed_connect(struct feed *feed)
{
    struct driver *driver = feed->driver;
    if (!driver_need_batch(driver))
        return;
    source_output_reset(&driver->output);
    driver->output.batch = driver->batch;
    source_connect(feed->source, now_us(driver), &driver->output);
    feed_apply(feed);
}

void driver_connect(struct driver *driver)
{
    for (size_t i = 0; i < driver->feed_count; i++)
        feed_connect(driver->feeds[i]);
}

static void feed_tick(struct feed *feed)
{
    struct driver *driver = feed->driver;
    if (!driver_need_batch(driver))
        return;
    struct source_input input = {.kind = SOURCE_TICK, .now_us = now_us(driver)};
    size_t first = driver->batch->count;
    driver->output.batch = driver->batch;
    source_read(feed->source, &input, 1, &driver->output);
    if (bytes_equal(source_kind(feed->source), BYTES("simulated")))
        driver_tap_events(feed, 1, first);
    feed_apply(feed);
}

static void link_read_line(struct link *link, struct bytes line)
{
    struct driver *driver = link->feed->driver;
    struct bytes frame = driver_copy(driver, line);
    if (!frame.at) {
        if (!driver->stopping)
            link_fail(link, SOURCE_CLOSED_UNREACHABLE, BYTES("out of memory"));
        return;
    }
    size_t first = driver->batch->count;
    uint32_t connection = link->connection;
    struct feed *feed = link->feed;
    link_input(link, SOURCE_FRAME, frame, link->due_us);
    driver_tap_events(feed, connection, first);
}

/* Reads the lines of a file that are due, and ends the link at its end. */
static void link_read_file(struct link *link)
{
    struct driver *driver = link->feed->driver;
    for (int i = 0; i < DRIVER_LINES_A_TURN && link->used && link->file; i++) {
        struct error error = {""};
        struct bytes line;
        if (!driver_need_batch(driver))
            return;
        if (driver_batch_is_full(driver)) {
            driver_flush(driver);
            continue;
        }
        switch (file_feed_next(link->file, now_us(driver), &line, &link->due_us, &error)) {
        case FILE_FEED_LATER:
            return;
        case FILE_FEED_END:
            link_fail(link, SOURCE_CLOSED_END, BYTES("end of file"));
            return;
        case FILE_FEED_ERROR:
            link_fail(link, SOURCE_CLOSED_UNREACHABLE, bytes_of_string(error.text));
            return;
        case FILE_FEED_LINE:
            link_read_line(link, line);
            break;
        }
    }
    link->due_us = 0; /* there is more */
}

/* The earliest time at which something is to be done. */
static int64_t driver_next_due(const struct driver *driver)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < driver->feed_count; i++) {
        const struct feed *feed = driver->feeds[i];
        if (feed->wake_at_us < next)
            next = feed->wake_at_us;
        for (size_t l = 0; l < DRIVER_LINK_MAX; l++)
            if (feed->links[l].used && feed->links[l].file && feed->links[l].due_us < next)
                next = feed->links[l].due_us;
    }
    return next;
}

static void driver_run_due(struct driver *driver)
{
    for (size_t i = 0; i < driver->feed_count; i++) {
        struct feed *feed = driver->feeds[i];
        int64_t now = now_us(driver);
        if (feed->wake_at_us <= now)
            feed_tick(feed);
        for (size_t l = 0; l < DRIVER_LINK_MAX; l++)
            if (feed->links[l].used && feed->links[l].file && feed->links[l].due_us <= now)
                link_read_file(&feed->links[l]);
    }
}

static bool driver_all_ended(const struct driver *driver)
{
    for (size_t i = 0; i < driver->feed_count; i++)
        if (!driver->feeds[i]->ended)
            return false;
    return true;
}

bool driver_step(struct driver *driver, int64_t timeout_us)
{
    int64_t due_us = driver_next_due(driver);
    int64_t wait_us = due_us == INT64_MAX ? timeout_us : due_us - now_us(driver);
    if (wait_us > timeout_us)
        wait_us = timeout_us;
    net_loop_step(driver->loop, wait_us > 0 ? wait_us : 0);
    driver_run_due(driver);
    driver_flush(driver);
    return !driver->stopping && !driver_all_ended(driver);
}

static bool driver_has_sockets(const struct driver *driver)
{
    for (size_t i = 0; i < driver->feed_count; i++)
        for (size_t l = 0; l < DRIVER_LINK_MAX; l++)
            if (driver->feeds[i]->links[l].socket)
                return true;
    return false;
}

void driver_close(struct driver *driver)
{
    for (size_t i = 0; i < driver->feed_count; i++) {
        struct feed *feed = driver->feeds[i];
        if (!driver_need_batch(driver))
            return;
        source_output_reset(&driver->output);
        driver->output.batch = driver->batch;
        source_close(feed->source, now_us(driver), &driver->output);
        feed_apply(feed);
        for (size_t c = 0; c < DRIVER_CALL_MAX; c++)
            if (feed->calls[c].http)
                feed_cancel(feed, feed->calls[c].number);
    }
    for (int round = 0; round < CLOSE_ROUNDS && driver_has_sockets(driver); round++)
        net_loop_step(driver->loop, CLOSE_ROUND_US);
    driver_flush(driver);
}

void driver_wake(struct driver *driver)
{
    net_loop_wake(driver->loop);
}

void driver_destroy(struct driver *driver)
{
    if (!driver)
        return;
    driver->destroying = true;
    for (size_t i = 0; i < driver->feed_count; i++)
        for (size_t l = 0; l < DRIVER_LINK_MAX; l++)
            driver->feeds[i]->links[l].closing = true;
    if (driver->loop)
        net_loop_destroy(driver->loop);
    for (size_t i = 0; i < driver->feed_count; i++) {
        for (size_t l = 0; l < DRIVER_LINK_MAX; l++)
            file_feed_close(driver->feeds[i]->links[l].file);
        source_destroy(driver->feeds[i]->source);
        free(driver->feeds[i]);
    }
    event_batch_destroy(driver->batch);
    buffer_release(&driver->tapped);
    free(driver);
}
