/* Parsing of places and topics. */
#include "app/position.h"

#include "app/options.h"
#include "event/event.h"

static bool parse_time(struct bytes text, int64_t now_us, int64_t *time_us)
{
    if (timestamp_parse(text, time_us))
        return true;
    char day[32];
    if (text.length == sizeof "2026-11-23" - 1) {
        int length = snprintf(day, sizeof day, "%.*sT00:00:00Z", BYTES_ARG(text));
        return timestamp_parse(bytes_of(day, (size_t)length), time_us);
    }
    int64_t age_us;
    if (!duration_parse(text, &age_us))
        return false;
    *time_us = now_us > age_us ? now_us - age_us : TIME_MIN;
    return true;
}

int position_parse(const char *text, int64_t now_us, struct position *position, struct error *error)
{
    struct bytes word = bytes_of_string(text);
    *position = (struct position){0};
    if (bytes_equal(word, BYTES("beginning"))) {
        position->kind = POSITION_BEGINNING;
    } else if (bytes_equal(word, BYTES("end"))) {
        position->kind = POSITION_END;
    } else if (word.length > 1 && word.at[0] == '-' && bytes_to_u64(bytes_skip(word, 1), &position->count)) {
        position->kind = POSITION_LAST;
    } else if (parse_time(word, now_us, &position->time_us)) {
        position->kind = POSITION_TIME;
    } else {
        return error_set(error,
                         "\"%.60s\" is not beginning, end, -N, a time such as 2026-11-23T22:20:06Z or 2026-11-23, or an age "
                         "such as 10m",
                         text);
    }
    return 0;
}

int topic_parse(const char *text, unsigned *topic, struct error *error)
{
    enum event_source source;
    if (event_topic_parse(bytes_of_string(text), &source)) {
        *topic = (unsigned)source;
        return 0;
    }
    struct suggestion suggestion;
    suggestion_init(&suggestion, bytes_of_string(text));
    char names[EVENT_SOURCE_COUNT][32], space[96];
    for (unsigned i = 0; i < EVENT_SOURCE_COUNT; i++) {
        snprintf(names[i], sizeof names[i], "%.*s", BYTES_ARG(event_topic_name((enum event_source)i)));
        suggestion_offer(&suggestion, names[i]);
    }
    return error_set(error, "%.60s is not a topic (%s, %s, %s)%s", text, names[0], names[1], names[2],
                     suggestion_text(&suggestion, "", space, sizeof space));
}
