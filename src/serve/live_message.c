/* What a live client says: {"subscribe":[TOPIC…],"filter":{"key":…,"channel":…,"symbol":…}}. */
#include "serve/serve_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <yyjson.h>

static const struct bytes topic_names[SERVE_TOPIC_COUNT] = {
    [SERVE_CHAT_STREAM] = {"chat_stream", 11},
    [SERVE_MARKET_STREAM] = {"market_stream", 13},
    [SERVE_ANALYTICS_STREAM] = {"analytics_stream", 16},
    [SERVE_ANOMALIES] = {"anomalies", 9},
    [SERVE_ALERTS] = {"alerts", 6},
    [SERVE_STATUS] = {"status", 6},
    [SERVE_WINDOWS] = {"windows", 7},
};

struct bytes serve_topic_name(enum serve_topic topic)
{
    return topic_names[topic];
}

void serve_subscription_release(struct serve_subscription *subscription)
{
    free(subscription->key.values);
    free(subscription->channel.values);
    free(subscription->symbol.values);
    *subscription = (struct serve_subscription){0};
}

static bool is_window_name(struct bytes name)
{
    for (size_t i = 0; i < name.length; i++)
        if (!isalnum((unsigned char)name.at[i]) && name.at[i] != '_' && name.at[i] != '-' && name.at[i] != '.')
            return false;
    return name.length > 0 && name.length < SERVE_WINDOW_NAME_SIZE;
}

int serve_subscription_add(struct serve_subscription *subscription, struct bytes topic, struct error *error)
{
    for (unsigned i = 0; i < SERVE_WINDOWS; i++) {
        if (bytes_equal(topic, topic_names[i])) {
            subscription->topics |= 1u << i;
            return 0;
        }
    }
    struct bytes name = BYTES_NONE;
    bytes_split(topic, '/', &name);
    if (!bytes_start_with(topic, BYTES("windows/")) || !is_window_name(name))
        return error_set(error,
                         "unknown topic '%.*s': there are chat_stream, market_stream, analytics_stream, anomalies, alerts, "
                         "status and windows/QUERY",
                         (int)(topic.length < 64 ? topic.length : 64), topic.at ? topic.at : "");
    for (size_t i = 0; i < subscription->window_count; i++)
        if (bytes_equal(name, bytes_of_string(subscription->windows[i])))
            return 0;
    if (subscription->window_count == SERVE_WINDOW_NAMES_MAX)
        return error_set(error, "at most %d windows can be subscribed to at once", SERVE_WINDOW_NAMES_MAX);
    snprintf(subscription->windows[subscription->window_count++], SERVE_WINDOW_NAME_SIZE, "%.*s", BYTES_ARG(name));
    subscription->topics |= 1u << SERVE_WINDOWS;
    return 0;
}

static int parse_topics(struct serve_subscription *subscription, yyjson_val *list, struct error *error)
{
    if (!yyjson_is_arr(list))
        return error_set(error, "'subscribe' must be a list of topics");
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach(list, index, count, item)
    {
        if (!yyjson_is_str(item))
            return error_set(error, "'subscribe' must be a list of topics");
        if (serve_subscription_add(subscription, bytes_of(yyjson_get_str(item), yyjson_get_len(item)), error) != 0)
            return -1;
    }
    return 0;
}

static int add_text(struct serve_filter *filter, struct bytes text, const char *name, struct error *error)
{
    if (text.length >= SERVE_FILTER_SIZE)
        return error_set(error, "filter '%s' has a text of more than %d bytes", name, SERVE_FILTER_SIZE - 1);
    if (filter->count == SERVE_FILTER_MAX)
        return error_set(error, "filter '%s' has more than %d values", name, SERVE_FILTER_MAX);
    if (!filter->values && !(filter->values = calloc(SERVE_FILTER_MAX, sizeof *filter->values)))
        return error_set(error, "out of memory");
    snprintf(filter->values[filter->count++], SERVE_FILTER_SIZE, "%.*s", BYTES_ARG(text));
    return 0;
}

static int add_value(struct serve_filter *filter, yyjson_val *value, const char *name, struct error *error)
{
    if (!yyjson_is_str(value))
        return error_set(error, "filter '%s' must be a text or a list of texts", name);
    return add_text(filter, bytes_of(yyjson_get_str(value), yyjson_get_len(value)), name, error);
}

int serve_subscription_only_key(struct serve_subscription *subscription, struct bytes key, struct error *error)
{
    subscription->key.count = 0;
    return add_text(&subscription->key, key, "key", error);
}

static int parse_values(struct serve_filter *filter, yyjson_val *value, const char *name, struct error *error)
{
    if (yyjson_is_null(value))
        return 0;
    if (!yyjson_is_arr(value))
        return add_value(filter, value, name, error);
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach(value, index, count, item) if (add_value(filter, item, name, error) != 0) return -1;
    return 0;
}

static int parse_filter(struct serve_subscription *subscription, yyjson_val *object, struct error *error)
{
    if (yyjson_is_null(object))
        return 0;
    if (!yyjson_is_obj(object))
        return error_set(error, "'filter' must be an object");
    struct {
        const char *name;
        struct serve_filter *filter;
    } fields[] = {{"key", &subscription->key}, {"channel", &subscription->channel}, {"symbol", &subscription->symbol}};
    size_t index, count;
    yyjson_val *name, *value;
    yyjson_obj_foreach(object, index, count, name, value)
    {
        size_t i = 0;
        while (i < sizeof fields / sizeof fields[0] && !yyjson_equals_str(name, fields[i].name))
            i++;
        if (i == sizeof fields / sizeof fields[0])
            return error_set(error, "unknown filter: there are key, channel and symbol");
        if (parse_values(fields[i].filter, value, fields[i].name, error) != 0)
            return -1;
    }
    return 0;
}

static int parse_fields(struct serve_subscription *wanted, yyjson_val *topics, yyjson_val *filter, struct error *error)
{
    if (topics && parse_topics(wanted, topics, error) != 0)
        return -1;
    return filter ? parse_filter(wanted, filter, error) : 0;
}

/* What the message leaves out stays: taken over from the old one. */
static void merge(struct serve_subscription *old, struct serve_subscription *wanted, bool topics, bool filter)
{
    if (!topics) {
        wanted->topics = old->topics;
        wanted->window_count = old->window_count;
        memcpy(wanted->windows, old->windows, sizeof old->windows);
    }
    if (!filter) {
        wanted->key = old->key;
        wanted->channel = old->channel;
        wanted->symbol = old->symbol;
        old->key = old->channel = old->symbol = (struct serve_filter){0};
    }
    serve_subscription_release(old);
    *old = *wanted;
}

int serve_subscription_parse(struct serve_subscription *subscription, struct bytes message, struct error *error)
{
    yyjson_doc *document = message.length > 0 ? yyjson_read(message.at, message.length, 0) : NULL;
    if (!document)
        return error_set(error, "this is no JSON");
    yyjson_val *root = yyjson_doc_get_root(document);
    yyjson_val *topics = yyjson_obj_get(root, "subscribe"), *filter = yyjson_obj_get(root, "filter");
    struct serve_subscription wanted = {0};
    int status = -1;
    if (!yyjson_is_obj(root) || (!topics && !filter))
        error_set(error, "an object with 'subscribe' or 'filter' is wanted");
    else
        status = parse_fields(&wanted, topics, filter, error);
    if (status == 0)
        merge(subscription, &wanted, topics != NULL, filter != NULL);
    else
        serve_subscription_release(&wanted);
    yyjson_doc_free(document);
    return status;
}

static bool has_value(const struct serve_filter *filter, struct bytes text)
{
    for (size_t i = 0; i < filter->count; i++)
        if (bytes_equal(text, bytes_of_string(filter->values[i])))
            return true;
    return filter->count == 0;
}

bool serve_subscription_matches(const struct serve_subscription *subscription, enum serve_topic stream, struct bytes key)
{
    if (!has_value(&subscription->key, key))
        return false;
    if (stream == SERVE_CHAT_STREAM)
        return has_value(&subscription->channel, key);
    if (stream == SERVE_MARKET_STREAM && subscription->symbol.count > 0) {
        struct bytes symbol = BYTES_NONE; /* the key is exchange:symbol */
        bytes_split(key, ':', &symbol);
        return has_value(&subscription->symbol, symbol);
    }
    return true;
}
