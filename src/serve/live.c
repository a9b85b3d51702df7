/* The live feed's clients: WebSockets and event streams.
 *
 * The feed goes in rounds, at most one in 50 ms: read what the log has that anybody wants, queue it for each client, send
 * each as much as its budget and its connection take.  So the cost is bounded whatever the rate of events: a client's queue
 * overflows at its old end, it is told how many events of which topic it did not get, and it stays at most one queue
 * behind.  Alerts have a queue of their own, are sent first and never dropped; a client that cannot even take those is
 * closed.  While nobody listens, nothing is read. */
#include "serve/live_internal.h"

#include "base/env.h"
#include "base/logging.h"
#include <assert.h>
#include <stdlib.h>

enum { CLOSE_GOING_AWAY = 1001, CLOSE_TRY_LATER = 1013 };

static int64_t monotonic_us(void)
{
    return env_system()->monotonic_us(env_system());
}

/* ---- sending ---- */

static size_t in_transport(const struct live_client *client)
{
    return client->socket ? net_socket_queued_bytes(client->socket) : net_stream_queued_bytes(client->stream);
}

static bool send_text(struct live_client *client)
{
    const struct buffer *text = &client->live->text;
    if (text->failed)
        return false;
    return client->socket ? net_socket_send(client->socket, buffer_bytes(text))
                          : net_stream_send(client->stream, buffer_bytes(text));
}

static void write_topic(struct buffer *out, enum serve_topic topic, struct bytes name)
{
    buffer_append(out, serve_topic_name(topic));
    if (topic == SERVE_WINDOWS) {
        buffer_byte(out, '/');
        buffer_append(out, name);
    }
}

/* {"topic":T,"event":JSON}, or the lines of a server-sent event. */
static bool send_event(struct live_client *client, enum serve_topic topic, struct bytes name, struct bytes json)
{
    struct buffer *out = &client->live->text;
    buffer_reset(out);
    buffer_append(out, client->socket ? BYTES("{\"topic\":\"") : BYTES("event: "));
    write_topic(out, topic, name);
    buffer_append(out, client->socket ? BYTES("\",\"event\":") : BYTES("\ndata: "));
    buffer_append(out, json);
    buffer_append(out, client->socket ? BYTES("}") : BYTES("\n\n"));
    return send_text(client);
}

static bool send_dropped(struct live_client *client, enum serve_topic topic, struct bytes name, uint64_t count)
{
    struct buffer *out = &client->live->text;
    buffer_reset(out);
    buffer_append(out, client->socket ? BYTES("{\"topic\":\"") : BYTES("event: dropped\ndata: {\"topic\":\""));
    write_topic(out, topic, name);
    buffer_printf(out, "\",\"dropped\":%llu}%s", (unsigned long long)count, client->socket ? "" : "\n\n");
    return send_text(client);
}

static bool tell_dropped(struct live_client *client)
{
    for (unsigned topic = 0; topic < SERVE_WINDOWS; topic++) {
        if (client->dropped[topic] == 0)
            continue;
        if (!send_dropped(client, topic, BYTES_NONE, client->dropped[topic]))
            return false;
        client->dropped[topic] = 0;
    }
    for (size_t i = 0; i < client->subscription.window_count; i++) {
        if (client->windows_dropped[i] == 0)
            continue;
        if (!send_dropped(client, SERVE_WINDOWS, bytes_of_string(client->subscription.windows[i]), client->windows_dropped[i]))
            return false;
        client->windows_dropped[i] = 0;
    }
    client->any_dropped = false;
    return true;
}

static void count_dropped(struct live_client *client, const struct live_frame *frame)
{
    client->live->dropped++;
    client->any_dropped = true;
    if (frame->topic != SERVE_WINDOWS) {
        client->dropped[frame->topic]++;
        return;
    }
    for (size_t i = 0; i < client->subscription.window_count; i++)
        if (bytes_equal(live_frame_name(frame), bytes_of_string(client->subscription.windows[i])))
            client->windows_dropped[i]++;
}

static void flush(struct live_client *client)
{
    struct live_frame *frame;
    while (!client->closing && in_transport(client) < LIVE_TRANSPORT_MAX) {
        if (!(frame = live_queue_pop(&client->alerts))) {
            if (client->budget <= 0 || (client->any_dropped && !tell_dropped(client)) || !(frame = live_queue_pop(&client->feed)))
                return;
            client->budget--;
        }
        bool sent = send_event(client, frame->topic, live_frame_name(frame), live_frame_json(frame));
        if (!sent)
            count_dropped(client, frame); /* too large for any message, or the connection is closing */
        live_frame_release(frame);
        if (!sent)
            return;
    }
}

/* ---- queueing ---- */

static void give_up(struct live_client *client)
{
    log_event(LOG_WARNING, "live_client_closed", "a live client that does not read was closed: its queue of alerts is full");
    client->closing = true;
    if (client->socket)
        net_socket_close(client->socket, CLOSE_TRY_LATER);
}

void live_client_offer(struct live_client *client, struct live_frame *frame)
{
    if (client->closing)
        return;
    if (frame->topic == SERVE_ALERTS) {
        if (!live_queue_push(&client->alerts, frame))
            give_up(client);
        return;
    }
    while (!live_queue_push(&client->feed, frame)) {
        struct live_frame *oldest = live_queue_pop(&client->feed);
        count_dropped(client, oldest ? oldest : frame); /* none: out of memory for the queue itself */
        if (!oldest)
            return;
        live_frame_release(oldest);
    }
}

/* ---- rounds ---- */

static void remove_client(struct live_client *client)
{
    *client->link = client->next;
    if (client->next)
        client->next->link = client->link;
    client->live->client_count--;
    serve_subscription_release(&client->subscription);
    live_queue_release(&client->feed);
    live_queue_release(&client->alerts);
    free(client->backlog);
    free(client);
}

static void run_round(struct serve_live *live)
{
    live->next_round_us = monotonic_us() + LIVE_ROUND_US;
    live->dirty = false;
    for (struct live_client *client = live->clients; client; client = client->next)
        client->budget = LIVE_FRAMES_A_ROUND;
    live_feed_read(live);
    bool more = live->dirty;
    for (struct live_client *client = live->clients; client; client = client->next) {
        flush(client);
        more = more || client->feed.count > 0 || client->alerts.count > 0;
    }
    if (more)
        live_plan_round(live);
}

/* Event streams that were given up while the list of clients was walked. */
static void end_closing_streams(struct serve_live *live)
{
    struct live_client *next;
    for (struct live_client *client = live->clients; client; client = next) {
        next = client->next;
        if (client->closing && client->stream) {
            net_stream_end(client->stream);
            remove_client(client);
        }
    }
}

static void on_round(void *context)
{
    struct serve_live *live = context;
    live->round_planned = false;
    run_round(live);
    end_closing_streams(live);
}

void live_plan_round(struct serve_live *live)
{
    if (live->round_planned)
        return;
    live->round_planned = true;
    net_timer_set(live->round, live->next_round_us);
}

void serve_live_notify(struct serve_live *live)
{
    if (live->client_count == 0)
        return;
    live->dirty = true;
    live_plan_round(live); /* at once, if the last one is long enough ago */
}

void live_client_send_status(struct live_client *client)
{
    struct serve_live *live = client->live;
    if (!client->closing && in_transport(client) < LIVE_TRANSPORT_MAX)
        send_event(client, SERVE_STATUS, BYTES_NONE, buffer_bytes(&live->answer));
}

static bool make_status(struct serve_live *live)
{
    struct serve *serve = live->serve;
    buffer_reset(&live->answer);
    return serve->backend.status(serve->backend.context, &live->answer) == 200 && !live->answer.failed;
}

/* Once a second: the status to those who want it, and a sign of life on event streams. */
static void on_second(void *context)
{
    struct serve_live *live = context;
    bool beat = ++live->heartbeat % LIVE_HEARTBEATS == 0;
    bool made = false;
    for (struct live_client *client = live->clients; client; client = client->next) {
        if (client->subscription.topics & 1u << SERVE_STATUS) {
            made = made || make_status(live);
            if (made)
                live_client_send_status(client);
        }
        if (client->stream && beat)
            net_stream_send(client->stream, BYTES(":\n\n"));
    }
    if (live->client_count > 0)
        net_timer_set(live->second, monotonic_us() + 1000000);
}

/* ---- clients ---- */

static struct live_client *add_client(struct serve_live *live)
{
    struct live_client *client = calloc(1, sizeof *client);
    if (!client)
        return NULL;
    client->live = live;
    live_queue_init(&client->feed, LIVE_FEED_FRAMES_MAX, LIVE_FEED_BYTES_MAX);
    live_queue_init(&client->alerts, LIVE_ALERT_FRAMES_MAX, LIVE_ALERT_BYTES_MAX);
    client->budget = LIVE_FRAMES_A_ROUND;
    client->next = live->clients;
    client->link = &live->clients;
    if (client->next)
        client->next->link = &client->next;
    live->clients = client;
    if (live->client_count++ == 0)
        net_timer_set(live->second, monotonic_us() + 1000000);
    return client;
}

/* Before a subscription changes: what it brings begins where the feed of the others stands, at the end of the log. */
static void catch_up(struct serve_live *live)
{
    int tries = 16; /* what comes faster than it can be read is not waited for */
    do
        live_feed_read(live);
    while (live->round_events >= LIVE_EVENTS_A_ROUND && --tries > 0);
}

/* Topics (and windows) that were not subscribed to before get what is there. */
static void start_topics(struct live_client *client, unsigned topics, size_t first_window)
{
    struct serve_live *live = client->live;
    if (topics & 1u << SERVE_STATUS && make_status(live))
        live_client_send_status(client);
    live_feed_backlog(client, topics, first_window);
    flush(client);
    serve_live_notify(live);
}

void serve_live_on_open(void *context, struct net_socket *socket, void **socket_context)
{
    struct serve *serve = context;
    struct live_client *client = add_client(serve->live);
    if (client)
        client->socket = socket;
    else
        net_socket_close(socket, CLOSE_TRY_LATER);
    *socket_context = client;
}

static void send_error(struct live_client *client, const char *text)
{
    struct buffer *out = &client->live->text;
    buffer_reset(out);
    BUFFER_LITERAL(out, "{\"error\":");
    buffer_json_string(out, bytes_of_string(text));
    buffer_byte(out, '}');
    if (in_transport(client) < LIVE_TRANSPORT_MAX)
        send_text(client);
}

/* Which windows are new is told by their names: a new list need not keep the order of the old. */
static void subscribe(struct live_client *client, struct bytes message)
{
    struct serve_subscription *now = &client->subscription;
    struct serve_subscription *before = malloc(sizeof *before);
    struct error error = {"out of memory"};
    if (before)
        *before = *now;
    catch_up(client->live);
    if (!before || serve_subscription_parse(now, message, &error) != 0) {
        free(before);
        send_error(client, error.text);
        return;
    }
    size_t known = 0;
    for (size_t i = 0; i < now->window_count; i++) {
        for (size_t j = 0; j < before->window_count; j++) {
            if (!bytes_equal(bytes_of_string(now->windows[i]), bytes_of_string(before->windows[j])))
                continue;
            char swap[SERVE_WINDOW_NAME_SIZE];
            memcpy(swap, now->windows[i], sizeof swap);
            memcpy(now->windows[i], now->windows[known], sizeof swap);
            memcpy(now->windows[known++], swap, sizeof swap);
        }
    }
    unsigned added = now->topics & ~before->topics;
    if (known < now->window_count)
        added |= 1u << SERVE_WINDOWS;
    memset(client->windows_dropped, 0, sizeof client->windows_dropped);
    free(before);
    start_topics(client, added, known);
}

void serve_live_on_message(void *socket_context, struct bytes message)
{
    struct live_client *client = socket_context;
    if (client && !client->closing)
        subscribe(client, message);
}

void serve_live_on_writable(void *socket_context)
{
    struct live_client *client = socket_context;
    if (client)
        flush(client);
}

void serve_live_on_close(void *socket_context)
{
    if (socket_context)
        remove_client(socket_context);
}

static void on_stream_gone(void *context)
{
    remove_client(context);
}

void serve_live_stream(struct serve_live *live, struct net_request *request, struct serve_subscription *subscription)
{
    struct live_client *client = add_client(live);
    if (!client) {
        serve_subscription_release(subscription);
        net_respond(request, &(struct net_reply){.status = 503});
        return;
    }
    catch_up(live);
    client->subscription = *subscription;
    client->stream = net_respond_stream(request, "text/event-stream", on_stream_gone, client);
    if (!client->stream) {
        remove_client(client);
        return;
    }
    net_stream_send(client->stream, BYTES("retry: 1000\n\n"));
    start_topics(client, client->subscription.topics, 0);
}

/* ---- the whole ---- */

struct serve_live *serve_live_create(struct serve *serve)
{
    struct serve_live *live = calloc(1, sizeof *live);
    if (!live)
        return NULL;
    live->serve = serve;
    live->offset = UINT64_MAX;
    live->round = net_timer_create(serve->loop, on_round, live);
    live->second = net_timer_create(serve->loop, on_second, live);
    buffer_init(&live->text, NET_SEND_QUEUE_MAX);
    buffer_init(&live->answer, SERVE_ANSWER_MAX);
    if (!live->round || !live->second) {
        serve_live_destroy(live);
        return NULL;
    }
    return live;
}

void serve_live_close(struct serve_live *live)
{
    struct live_client *next;
    for (struct live_client *client = live->clients; client; client = next) {
        next = client->next;
        client->closing = true;
        if (client->socket) {
            net_socket_close(client->socket, CLOSE_GOING_AWAY);
        } else {
            net_stream_end(client->stream);
            remove_client(client);
        }
    }
}

void serve_live_destroy(struct serve_live *live)
{
    if (!live)
        return;
    assert(!live->clients);
    net_timer_destroy(live->round);
    net_timer_destroy(live->second);
    buffer_release(&live->text);
    buffer_release(&live->answer);
    free(live);
}

size_t serve_live_count(const struct serve_live *live)
{
    return live->client_count;
}

uint64_t serve_live_dropped(const struct serve_live *live)
{
    return live->dropped;
}

bool serve_live_is_full(const struct serve_live *live)
{
    return live->client_count >= SERVE_LIVE_MAX;
}
