/* Where live events come from: the log from one offset on, for all clients together; and for a new subscriber what is there
 * already.
 *
 * That is asked from the backend, up to an offset that the backend names first, for what was appended last it need not know
 * yet.  From that offset up to where the feed stands the new subscriber is given the log by itself, so that every event of a
 * stream comes once and in order.  Documents have no offset: the checksums of those of the backlog are kept for the first round
 * after it, and what comes again is left out. */
#include "serve/live_internal.h"

#include "base/crc32c.h"
#include "event/timestamp.h"
#include <stdlib.h>
#include <yyjson.h>

/* ---- the log ---- */

/* One reading of the log. */
struct reading {
    struct serve_live *live;
    struct live_client *only; /* NULL: for all clients */
    unsigned topics;          /* that somebody wants of it */
    size_t first_window;      /* of the windows of `only` */
    uint64_t end_offset;      /* where it ends */
    size_t events;
};

static bool wants(const struct reading *reading, const struct live_client *client, enum serve_topic topic, struct bytes name)
{
    const struct serve_subscription *subscription = &client->subscription;
    if (!(subscription->topics & reading->topics & 1u << topic))
        return false;
    if (topic != SERVE_WINDOWS)
        return true;
    for (size_t i = reading->first_window; i < subscription->window_count; i++)
        if (bytes_equal(name, bytes_of_string(subscription->windows[i])))
            return true;
    return false;
}

static bool was_in_backlog(const struct live_client *client, struct bytes json)
{
    if (client->backlog_count == 0)
        return false;
    uint32_t sum = crc32c(0, json);
    for (size_t i = 0; i < client->backlog_count; i++)
        if (client->backlog[i] == sum)
            return true;
    return false;
}

static void offer(const struct reading *reading, enum serve_topic stream, enum serve_topic topic, struct bytes name,
                  struct bytes key, struct bytes json)
{
    struct live_frame *frame = NULL;
    struct live_client *client = reading->only ? reading->only : reading->live->clients;
    for (; client; client = reading->only ? NULL : client->next) {
        if (client->closing || !wants(reading, client, topic, name) ||
            !serve_subscription_matches(&client->subscription, stream, key) || was_in_backlog(client, json))
            continue;
        if (!frame && !(frame = live_frame_create(topic, name, json)))
            return;
        live_client_offer(client, frame);
    }
    if (frame)
        live_frame_release(frame);
}

/* Analytics events are few; what they are stands in the payload. */
static void offer_analytics(const struct reading *reading, struct bytes key, struct bytes json)
{
    yyjson_doc *document = yyjson_read(json.at, json.length, 0);
    yyjson_val *payload = yyjson_obj_get(yyjson_doc_get_root(document), "payload");
    yyjson_val *kind = yyjson_obj_get(payload, "kind"), *query = yyjson_obj_get(payload, "query");
    if (yyjson_equals_str(kind, "alert"))
        offer(reading, SERVE_ANALYTICS_STREAM, SERVE_ALERTS, BYTES_NONE, key, json);
    else if (yyjson_equals_str(kind, "anomaly"))
        offer(reading, SERVE_ANALYTICS_STREAM, SERVE_ANOMALIES, BYTES_NONE, key, json);
    else if (yyjson_equals_str(kind, "window") && yyjson_is_str(query))
        offer(reading, SERVE_ANALYTICS_STREAM, SERVE_WINDOWS, bytes_of(yyjson_get_str(query), yyjson_get_len(query)), key, json);
    yyjson_doc_free(document);
}

static bool give(void *receiver, uint64_t offset, struct bytes topic, struct bytes key, struct bytes json)
{
    struct reading *reading = receiver;
    const unsigned derived = 1u << SERVE_ALERTS | 1u << SERVE_ANOMALIES | 1u << SERVE_WINDOWS;
    enum serve_topic stream = SERVE_ANALYTICS_STREAM;
    if (offset >= reading->end_offset)
        return false;
    if (bytes_equal(topic, BYTES("chat_stream")))
        stream = SERVE_CHAT_STREAM;
    else if (bytes_equal(topic, BYTES("market_stream")))
        stream = SERVE_MARKET_STREAM;
    if (reading->topics & 1u << stream)
        offer(reading, stream, stream, BYTES_NONE, key, json);
    if (stream == SERVE_ANALYTICS_STREAM && reading->topics & derived)
        offer_analytics(reading, key, json);
    return ++reading->events < LIVE_EVENTS_A_ROUND;
}

void live_feed_read(struct serve_live *live)
{
    struct serve_backend *backend = &live->serve->backend;
    struct reading reading = {.live = live, .end_offset = UINT64_MAX};
    for (struct live_client *client = live->clients; client; client = client->next)
        reading.topics |= client->subscription.topics;
    live->round_events = 0;
    if (!(reading.topics & ~(1u << SERVE_STATUS))) {
        live->offset = UINT64_MAX;
        return;
    }
    backend->feed(backend->context, &live->offset, give, &reading);
    live->round_events = reading.events;
    if (reading.events >= LIVE_EVENTS_A_ROUND) {
        live->dirty = true;
        return;
    }
    for (struct live_client *client = live->clients; client; client = client->next)
        client->backlog_count = 0;
}

/* ---- the backlog ---- */

/* The elements of the list in an answer, as they stand: prices keep their digits.  The text is our own backend's. */
static bool next_element(struct bytes *rest, struct bytes *element)
{
    size_t start = 0;
    while (start < rest->length && rest->at[start] != '{' && rest->at[start] != ']')
        start++;
    if (start == rest->length || rest->at[start] == ']')
        return false;
    bool in_text = false;
    int depth = 0;
    for (size_t i = start; i < rest->length; i++) {
        char c = rest->at[i];
        if (in_text) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_text = false;
        } else if (c == '"') {
            in_text = true;
        } else if (c == '{') {
            depth++;
        } else if (c == '}' && --depth == 0) {
            *element = bytes_of(rest->at + start, i + 1 - start);
            *rest = bytes_skip(*rest, i + 1);
            return true;
        }
    }
    return false;
}

/* The topic key of an event, made in `space`: channel, exchange:symbol, or nothing. */
static struct bytes key_of(struct bytes json, enum serve_topic stream, char *space, size_t size)
{
    yyjson_doc *document = yyjson_read(json.at, json.length, 0);
    yyjson_val *payload = yyjson_obj_get(yyjson_doc_get_root(document), "payload");
    const char *first = yyjson_get_str(yyjson_obj_get(payload, stream == SERVE_CHAT_STREAM ? "channel" : "exchange"));
    const char *second = yyjson_get_str(yyjson_obj_get(payload, "symbol"));
    int length = 0;
    if (stream == SERVE_ANALYTICS_STREAM)
        first = yyjson_get_str(yyjson_obj_get(payload, "key"));
    if (first)
        length = stream == SERVE_MARKET_STREAM ? snprintf(space, size, "%s:%s", first, second ? second : "")
                                               : snprintf(space, size, "%s", first);
    yyjson_doc_free(document);
    return bytes_of(space, length > 0 && (size_t)length < size ? (size_t)length : 0);
}

static void remember(struct live_client *client, struct bytes json)
{
    const size_t most = (size_t)LIVE_BACKLOG * (2 + SERVE_WINDOW_NAMES_MAX); /* anomalies, alerts, windows */
    if (!client->backlog && !(client->backlog = calloc(most, sizeof *client->backlog)))
        return;
    if (client->backlog_count < most)
        client->backlog[client->backlog_count++] = crc32c(0, json);
}

static void offer_backlog(struct live_client *client, enum serve_topic stream, enum serve_topic topic, struct bytes name)
{
    const struct serve_subscription *subscription = &client->subscription;
    bool filtered = subscription->key.count + subscription->channel.count + subscription->symbol.count > 0;
    struct bytes rest = BYTES_NONE, json;
    bytes_split(buffer_bytes(&client->live->answer), '[', &rest);
    while (next_element(&rest, &json)) {
        char space[2 * SERVE_FILTER_SIZE];
        if (filtered && !serve_subscription_matches(subscription, stream, key_of(json, stream, space, sizeof space)))
            continue;
        struct live_frame *frame = live_frame_create(topic, name, json);
        if (!frame)
            return;
        live_client_offer(client, frame);
        live_frame_release(frame);
        if (topic != stream)
            remember(client, json);
    }
}

/* A filter by one key is the backend's to apply, so that the backlog is full of it. */
static struct bytes single_key(const struct serve_subscription *subscription, enum serve_topic topic)
{
    if (subscription->key.count == 1)
        return bytes_of_string(subscription->key.values[0]);
    if (topic == SERVE_CHAT_STREAM && subscription->key.count == 0 && subscription->channel.count == 1)
        return bytes_of_string(subscription->channel.values[0]);
    return BYTES_NONE;
}

static void backlog_of(struct live_client *client, enum serve_topic topic, struct bytes name, uint64_t end_offset)
{
    struct serve_live *live = client->live;
    struct serve_backend *backend = &live->serve->backend;
    bool stream = topic <= SERVE_ANALYTICS_STREAM;
    struct serve_events_query query = {.topic = serve_topic_name(topic),
                                       .key = single_key(&client->subscription, topic),
                                       .from_us = TIME_MIN,
                                       .to_us = TIME_MAX,
                                       .limit = LIVE_BACKLOG,
                                       .end_offset = end_offset};
    if (stream && end_offset == 0)
        return; /* nothing is known yet */
    struct error error = {""};
    buffer_reset(&live->answer);
    int status = stream ? backend->events(backend->context, &query, &live->answer, &error)
                        : backend->documents(backend->context, serve_topic_name(topic), name, &query, &live->answer, &error);
    if (status == 200 && !live->answer.failed)
        offer_backlog(client, stream ? topic : SERVE_ANALYTICS_STREAM, topic, name);
}

/* What the backend did not know yet, up to where the feed of all goes on. */
static void read_between(struct live_client *client, unsigned topics, size_t first_window, uint64_t offset)
{
    struct serve_live *live = client->live;
    struct serve_backend *backend = &live->serve->backend;
    struct reading reading = {
        .live = live, .only = client, .topics = topics, .first_window = first_window, .end_offset = live->offset};
    if (offset < live->offset)
        backend->feed(backend->context, &offset, give, &reading);
}

void live_feed_backlog(struct live_client *client, unsigned topics, size_t first_window)
{
    static const enum serve_topic with_backlog[] = {SERVE_ALERTS, SERVE_ANOMALIES, SERVE_ANALYTICS_STREAM, SERVE_CHAT_STREAM,
                                                    SERVE_MARKET_STREAM};
    struct serve_live *live = client->live;
    if (!(topics & ~(1u << SERVE_STATUS)))
        return;
    uint64_t known_end = live->serve->backend.known_end(live->serve->backend.context, LIVE_EVENTS_A_ROUND);
    if (live->offset == UINT64_MAX)
        live->offset = known_end; /* nobody listened: the feed begins here */
    if (known_end > live->offset)
        known_end = live->offset; /* the rest comes by the feed */
    for (size_t i = 0; i < sizeof with_backlog / sizeof with_backlog[0]; i++)
        if (topics & 1u << with_backlog[i])
            backlog_of(client, with_backlog[i], BYTES_NONE, known_end);
    if (topics & 1u << SERVE_WINDOWS)
        for (size_t i = first_window; i < client->subscription.window_count; i++)
            backlog_of(client, SERVE_WINDOWS, bytes_of_string(client->subscription.windows[i]), known_end);
    read_between(client, topics, first_window, known_end);
}
