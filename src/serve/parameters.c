/* Query parameters: one table says what each means; errors name the parameter and what it should be. */
#include "serve/serve_internal.h"

#include "event/timestamp.h"
#include <stdio.h>

static int set_text(struct serve_parameters *parameters, struct bytes value, size_t slot, struct bytes *place)
{
    if (value.length > sizeof parameters->space[slot])
        return -1;
    if (value.length > 0)
        memcpy(parameters->space[slot], value.at, value.length);
    *place = bytes_of(parameters->space[slot], value.length);
    return 0;
}

static int set_topic(struct serve_parameters *parameters, struct bytes value)
{
    return set_text(parameters, value, 0, &parameters->query.topic);
}

static int set_key(struct serve_parameters *parameters, struct bytes value)
{
    return set_text(parameters, value, 1, &parameters->query.key);
}

static int set_before(struct serve_parameters *parameters, struct bytes value)
{
    return value.length == 0 ? -1 : set_text(parameters, value, 2, &parameters->query.before);
}

static int set_after(struct serve_parameters *parameters, struct bytes value)
{
    return value.length == 0 ? -1 : set_text(parameters, value, 3, &parameters->query.after);
}

static int set_limit(struct serve_parameters *parameters, struct bytes value)
{
    uint64_t limit;
    if (!bytes_to_u64(value, &limit) || limit < 1 || limit > SERVE_LIMIT_MAX)
        return -1;
    parameters->query.limit = (size_t)limit;
    return 0;
}

static int set_time(struct bytes value, int64_t *time_us)
{
    char text[64];
    if (value.length == 0 || value.length >= sizeof text)
        return -1;
    memcpy(text, value.at, value.length);
    /* A '+' before the offset that was not percent-encoded has come as a space. */
    for (size_t i = 19; i < value.length; i++)
        if (text[i] == ' ')
            text[i] = '+';
    return timestamp_parse(bytes_of(text, value.length), time_us) ? 0 : -1;
}

static int set_from(struct serve_parameters *parameters, struct bytes value)
{
    return set_time(value, &parameters->query.from_us);
}

static int set_to(struct serve_parameters *parameters, struct bytes value)
{
    return set_time(value, &parameters->query.to_us);
}

static const struct {
    const char *name;
    enum serve_parameter bit;
    int (*set)(struct serve_parameters *parameters, struct bytes value);
    const char *wanted;
} table[] = {
    {"topic", SERVE_TOPIC, set_topic, "a topic is wanted: chat_stream, market_stream, analytics_stream"},
    {"key", SERVE_KEY, set_key, "a key of at most 256 bytes is wanted"},
    {"limit", SERVE_LIMIT, set_limit, "a number from 1 to 1000 is wanted"},
    {"from", SERVE_FROM, set_from, "an RFC 3339 time is wanted, such as 2026-11-23T22:20:06Z"},
    {"to", SERVE_TO, set_to, "an RFC 3339 time is wanted, such as 2026-11-23T22:20:06Z"},
    {"before", SERVE_BEFORE, set_before, "a cursor is wanted, as an earlier answer gave it"},
    {"after", SERVE_AFTER, set_after, "a cursor is wanted, as an earlier answer gave it"},
};
enum { TABLE_COUNT = sizeof table / sizeof table[0] };

void serve_parameters_init(struct serve_parameters *parameters)
{
    *parameters = (struct serve_parameters){.query = {.from_us = TIME_MIN, .to_us = TIME_MAX, .limit = SERVE_LIMIT_DEFAULT}};
}

static int unknown_name(unsigned allowed, struct bytes name, struct error *error)
{
    const char *nearest = NULL;
    unsigned least = 3;
    char known[128] = "";
    size_t length = 0;
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        if (!(allowed & table[i].bit))
            continue;
        unsigned distance = bytes_distance(name, bytes_of_string(table[i].name));
        if (distance < least) {
            least = distance;
            nearest = table[i].name;
        }
        int added = snprintf(known + length, sizeof known - length, "%s%s", length > 0 ? ", " : "", table[i].name);
        if (added > 0 && (size_t)added < sizeof known - length)
            length += (size_t)added;
    }
    if (nearest)
        return error_set(error, "unknown parameter '%.*s': did you mean '%s'?", BYTES_ARG(name), nearest);
    return error_set(error, "unknown parameter '%.*s': %s%s", BYTES_ARG(name), length > 0 ? "there are " : "there are none here",
                     known);
}

int serve_parameters_add(struct serve_parameters *parameters, unsigned allowed, struct bytes name, struct bytes value,
                         struct error *error)
{
    if (bytes_equal(name, BYTES("token")))
        return 0;
    name.length = name.length < 64 ? name.length : 64;
    if (!bytes_is_utf8(name) || !bytes_is_utf8(value))
        return error_set(error, "a parameter is no valid UTF-8");
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        if (!(allowed & table[i].bit) || !bytes_equal(name, bytes_of_string(table[i].name)))
            continue;
        if (parameters->given & table[i].bit)
            return error_set(error, "parameter '%s' is given twice", table[i].name);
        parameters->given |= table[i].bit;
        return table[i].set(parameters, value) == 0 ? 0 : error_set(error, "parameter '%s': %s", table[i].name, table[i].wanted);
    }
    return unknown_name(allowed, name, error);
}

int serve_parameters_finish(const struct serve_parameters *parameters, struct error *error)
{
    if (parameters->query.from_us > parameters->query.to_us)
        return error_set(error, "parameter 'from': lies after 'to'");
    if ((parameters->given & SERVE_BEFORE) && (parameters->given & SERVE_AFTER))
        return error_set(error, "parameter 'before': cannot be given together with 'after'");
    return 0;
}
