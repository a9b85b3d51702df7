/* Where live events come from: the log from one offset on, for all clients together; and for a new subscriber what is there
 * already, asked from the backend.
 *
 * The two overlap by what is appended between them.  So the checksums of the backlog's events are kept for the first round
 * after it, and what comes again is left out. */
#include "serve/live_internal.h"

#include "base/crc32c.h"
#include "event/timestamp.h"
#include <stdlib.h>
#include <yyjson.h>

/* ---- the log ---- */

static bool wants(const struct live_client *client, enum serve_topic topic, struct bytes name)
{
    const struct serve_subscription *subscription = &client->subscription;
    if (!(subscription->topics & 1u << topic))
        return false;
    if (topic != SERVE_WINDOWS)
        return true;
    for (size_t i = 0; i < subscription->window_count; i++)
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

static void offer(struct serve_live *live, enum serve_topic stream, enum serve_topic topic, struct bytes name, struct bytes key,
                  struct bytes json)
{
    struct live_frame *frame = NULL;
    for (struct live_client *client = live->clients; client; client = client->next) {
        if (client->closing || !wants(client, topic, name) || !serve_subscription_matches(&client->subscription, stream, key) ||
            was_in_backlog(client, json))
            continue;
        if (!frame && !(frame = live_frame_create(topic, name, json)))
            return;
        live_client_offer(client, frame);
    }
    if (frame)
        live_frame_release(frame);
}

/* Analytics events are few; what they are stands in the payload. */
static void offer_analytics(struct serve_live *live, struct bytes key, struct bytes json)
{
    yyjson_doc *document = yyjson_read(json.at, json.length, 0);
    yyjson_val *payload = yyjson_obj_get(yyjson_doc_get_root(document), "payload");
    yyjson_val *kind = yyjson_obj_get(payload, "kind"), *query = yyjson_obj_get(payload, "query");
    if (yyjson_equals_str(kind, "alert"))
        offer(live, SERVE_ANALYTICS_STREAM, SERVE_ALERTS, BYTES_NONE, key, json);
    else if (yyjson_equals_str(kind, "anomaly"))
        offer(live, SERVE_ANALYTICS_STREAM, SERVE_ANOMALIES, BYTES_NONE, key, json);
    else if (yyjson_equals_str(kind, "window") && yyjson_is_str(query))
        offer(live, SERVE_ANALYTICS_STREAM, SERVE_WINDOWS, bytes_of(yyjson_get_str(query), yyjson_get_len(query)), key, json);
    yyjson_doc_free(document);
}

static bool give(void *receiver, struct bytes topic, struct bytes key, struct bytes json)
{
    struct serve_live *live = receiver;
    const unsigned derived = 1u << SERVE_ALERTS | 1u << SERVE_ANOMALIES | 1u << SERVE_WINDOWS;
    enum serve_topic stream = SERVE_ANALYTICS_STREAM;
    if (bytes_equal(topic, BYTES("chat_stream")))
        stream = SERVE_CHAT_STREAM;
    else if (bytes_equal(topic, BYTES("market_stream")))
        stream = SERVE_MARKET_STREAM;
    if (live->wanted & 1u << stream)
        offer(live, stream, stream, BYTES_NONE, key, json);
    if (stream == SERVE_ANALYTICS_STREAM && live->wanted & derived)
        offer_analytics(live, key, json);
    return ++live->round_events < LIVE_EVENTS_A_ROUND;
}

void live_feed_read(struct serve_live *live)
{
    struct serve_backend *backend = &live->serve->backend;
    live->wanted = 0;
    for (struct live_client *client = live->clients; client; client = client->next)
        live->wanted |= client->subscription.topics;
    live->round_events = 0;
    if (!(live->wanted & ~(1u << SERVE_STATUS))) {
        live->offset = UINT64_MAX;
        return;
    }
    backend->feed(backend->context, &live->offset, 0, give, live);
    if (live->round_events >= LIVE_EVENTS_A_ROUND) {
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

/* The checksum of the event as the log has it: without the field that tells of moderators, the last one of an answer's event. */
static uint32_t sum_without_moderation(struct bytes json)
{
    const struct bytes field = BYTES(",\"moderation\":{\"state\":\"");
    const char *found = memmem(json.at, json.length, field.at, field.length);
    if (!found)
        return crc32c(0, json);
    return crc32c(crc32c(0, bytes_of(json.at, (size_t)(found - json.at))), BYTES("}"));
}

static void remember(struct live_client *client, struct bytes json)
{
    const size_t most = (size_t)LIVE_BACKLOG * (SERVE_WINDOWS + SERVE_WINDOW_NAMES_MAX);
    if (!client->backlog && !(client->backlog = calloc(most, sizeof *client->backlog)))
        return;
    if (client->backlog_count < most)
        client->backlog[client->backlog_count++] = sum_without_moderation(json);
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

static void backlog_of(struct live_client *client, enum serve_topic topic, struct bytes name)
{
    struct serve_live *live = client->live;
    struct serve_backend *backend = &live->serve->backend;
    bool stream = topic <= SERVE_ANALYTICS_STREAM;
    struct serve_events_query query = {.topic = serve_topic_name(topic),
                                       .key = single_key(&client->subscription, topic),
                                       .from_us = TIME_MIN,
                                       .to_us = TIME_MAX,
                                       .limit = LIVE_BACKLOG};
    struct error error = {""};
    buffer_reset(&live->answer);
    int status = stream ? backend->events(backend->context, &query, &live->answer, &error)
                        : backend->documents(backend->context, serve_topic_name(topic), name, &query, &live->answer, &error);
    if (status == 200 && !live->answer.failed)
        offer_backlog(client, stream ? topic : SERVE_ANALYTICS_STREAM, topic, name);
}

void live_feed_backlog(struct live_client *client, unsigned topics, size_t first_window)
{
    static const enum serve_topic with_backlog[] = {SERVE_ALERTS, SERVE_ANOMALIES, SERVE_ANALYTICS_STREAM, SERVE_CHAT_STREAM,
                                                    SERVE_MARKET_STREAM};
    for (size_t i = 0; i < sizeof with_backlog / sizeof with_backlog[0]; i++)
        if (topics & 1u << with_backlog[i])
            backlog_of(client, with_backlog[i], BYTES_NONE);
    if (topics & 1u << SERVE_WINDOWS)
        for (size_t i = first_window; i < client->subscription.window_count; i++)
            backlog_of(client, SERVE_WINDOWS, bytes_of_string(client->subscription.windows[i]));
}
