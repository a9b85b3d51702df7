/* The public calls of a source, the registry of adapters and the ledger's helpers.
 *
 * Every public call ends in settle(): the ledger must balance and the driver learns when to come back. */
#include "source/source_internal.h"

#include "base/logging.h"
#include <assert.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const struct source_class *const source_classes[] = {
    &source_binance,          &source_coinbase,       &source_twitch_irc, &source_twitch_eventsub,
    &source_simulated_market, &source_simulated_chat, &source_recording,  &source_jsonl,
};
enum { CLASS_COUNT = sizeof source_classes / sizeof *source_classes };

struct bytes source_state_name(enum source_state state)
{
    static const struct bytes names[SOURCE_STATE_COUNT] = {
        [SOURCE_CONNECTING] = BYTES("connecting"),   [SOURCE_LIVE] = BYTES("live"),     [SOURCE_STALE] = BYTES("stale"),
        [SOURCE_BACKING_OFF] = BYTES("backing_off"), [SOURCE_FAILED] = BYTES("failed"), [SOURCE_ENDED] = BYTES("ended"),
    };
    assert(state < SOURCE_STATE_COUNT);
    return names[state];
}

static struct source_kind_info kind_infos[CLASS_COUNT];

static void fill_kind_infos(void)
{
    for (size_t i = 0; i < CLASS_COUNT; i++) {
        const struct source_class *class = source_classes[i];
        kind_infos[i] = (struct source_kind_info){class->kind, class->argument, class->summary, class->frames};
    }
}

const struct source_kind_info *source_kinds(size_t *count)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill_kind_infos);
    *count = CLASS_COUNT;
    return kind_infos;
}

void source_spec_split(struct bytes text, struct bytes *kind, struct bytes *argument)
{
    *kind = bytes_split(text, ':', argument);
    if (argument->at == NULL)
        *argument = bytes_of(text.at + text.length, 0);
}

/* ---- making one ---- */

static bool class_matches(const struct source_class *class, struct bytes kind, struct bytes argument)
{
    struct bytes rest;
    return bytes_equal(kind, bytes_of_string(class->kind)) &&
           (class->variant == NULL || bytes_equal(bytes_split(argument, '/', &rest), bytes_of_string(class->variant)));
}

/* "binance:…, simulated:market, …", for the error texts. */
static void list_specs(char *out, size_t size)
{
    size_t length = 0;
    out[0] = '\0';
    for (size_t i = 0; i < CLASS_COUNT && length < size; i++)
        length += (size_t)snprintf(out + length, size - length, "%s%s:%s", i ? ", " : "", source_classes[i]->kind,
                                   source_classes[i]->argument);
}

static unsigned spec_distance(const struct source_class *class, struct bytes kind, struct bytes argument)
{
    unsigned distance = bytes_distance(kind, bytes_of_string(class->kind));
    if (class->variant) {
        struct bytes rest;
        distance += bytes_distance(bytes_split(argument, '/', &rest), bytes_of_string(class->variant));
    }
    return distance;
}

/* How much of outside text an error repeats. */
static int shown_length(struct bytes text)
{
    return text.length > 20 ? 20 : (int)text.length;
}

static const struct source_class *find_class(struct bytes kind, struct bytes argument, struct error *error)
{
    enum { DISTANCE_MAX = 3 };
    const struct source_class *nearest = NULL;
    unsigned nearest_distance = DISTANCE_MAX + 1;
    for (size_t i = 0; i < CLASS_COUNT; i++) {
        if (class_matches(source_classes[i], kind, argument))
            return source_classes[i];
        unsigned distance = spec_distance(source_classes[i], kind, argument);
        if (distance < nearest_distance) {
            nearest_distance = distance;
            nearest = source_classes[i];
        }
    }
    char known[256], given[48];
    list_specs(known, sizeof known);
    snprintf(given, sizeof given, "%.*s%s%.*s", shown_length(kind), kind.at ? kind.at : "", argument.length ? ":" : "",
             shown_length(argument), argument.length ? argument.at : "");
    if (nearest)
        error_set(error, "unknown source \"%s\": did you mean %s%s%s? There are %s", given, nearest->kind,
                  nearest->variant ? ":" : "", nearest->variant ? nearest->variant : "", known);
    else
        error_set(error, "unknown source \"%s\": there are %s", given, known);
    return NULL;
}

/* Copies `text` with a terminator to *next, and moves *next behind it. */
static struct bytes copy_text(char **next, struct bytes text)
{
    char *at = *next;
    if (text.length)
        memcpy(at, text.at, text.length);
    at[text.length] = '\0';
    *next = at + text.length + 1;
    return bytes_of(at, text.length);
}

static int copy_options(struct source *source, const struct source_options *options)
{
    size_t name_size = options->kind.length + 1 + options->argument.length + 1;
    source->texts = malloc(name_size + options->kind.length + 1 + options->argument.length + 1 + options->base_url.length + 1 +
                           options->login.length + 1 + options->token.length + 1 + options->rest_url.length + 1 +
                           options->client_id.length + 1);
    if (source->texts == NULL)
        return -1;
    char *next = source->texts;
    source->name = next;
    next = copy_text(&next, options->kind).length + source->texts;
    *next++ = ':';
    copy_text(&next, options->argument);
    source->options = *options;
    source->options.kind = copy_text(&next, options->kind);
    source->options.argument = copy_text(&next, options->argument);
    source->options.base_url = copy_text(&next, options->base_url);
    source->options.login = copy_text(&next, options->login);
    source->options.token = copy_text(&next, options->token);
    source->options.rest_url = copy_text(&next, options->rest_url);
    source->options.client_id = copy_text(&next, options->client_id);
    return 0;
}

struct source *source_create_of(const struct source_class *class, const struct source_options *options, struct error *error)
{
    struct source *source = calloc(1, sizeof *source);
    if (source == NULL || (source->state = calloc(1, class->state_size ? class->state_size : 1)) == NULL ||
        copy_options(source, options) != 0) {
        error_set(error, "out of memory for source %s", class->kind);
        goto failed;
    }
    source->class = class;
    source->wake_at_us = INT64_MAX;
    source->statistics.state = SOURCE_CONNECTING;
    source->statistics.since_us = TIME_UNKNOWN;
    source->statistics.last_event_us = TIME_UNKNOWN;
    if (class->init && class->init(source, error) != 0)
        goto failed;
    return source;
failed:
    source_destroy(source);
    return NULL;
}

struct source *source_create(const struct source_options *options, struct error *error)
{
    const struct source_class *class = find_class(options->kind, options->argument, error);
    return class ? source_create_of(class, options, error) : NULL;
}

void source_destroy(struct source *source)
{
    if (source == NULL)
        return;
    if (source->class && source->class->release)
        source->class->release(source);
    free(source->state);
    free(source->texts);
    free(source);
}

/* ---- the four calls ---- */

void source_output_reset(struct source_output *output)
{
    output->action_count = 0;
    output->reject_count = 0;
    output->wake_at_us = INT64_MAX;
}

static void settle(struct source *source, struct source_output *output)
{
    const struct source_statistics *s = &source->statistics;
    assert(!source->frame_open);
    assert(s->frames + s->created == s->events + s->rejected + s->duplicates + s->filtered);
    (void)s;
    output->wake_at_us = source->wake_at_us;
}

bool source_can_resume(const struct source *source)
{
    return source->class->resume != NULL;
}

void source_resume(struct source *source, const struct event *event)
{
    if (source->class->resume)
        source->class->resume(source, event);
}

void source_connect(struct source *source, int64_t now_us, struct source_output *output)
{
    source->class->connect(source, now_us, output);
    settle(source, output);
}

void source_read(struct source *source, const struct source_input *inputs, size_t count, struct source_output *output)
{
    source->class->read(source, inputs, count, output);
    settle(source, output);
}

void source_close(struct source *source, int64_t now_us, struct source_output *output)
{
    enum source_state state = source->statistics.state;
    int64_t since_us = source->statistics.since_us;
    source->class->close(source, now_us, output);
    if (state == SOURCE_FAILED) { /* it still is what it failed as, for whoever looks after the end */
        source->statistics.state = state;
        source->statistics.since_us = since_us;
    }
    settle(source, output);
}

void source_error(struct source *source, uint32_t connection, int code, struct bytes text, int64_t now_us,
                  struct source_output *output)
{
    source->class->error(source, connection, code, text, now_us, output);
    settle(source, output);
}

const char *source_name(const struct source *source)
{
    return source->name;
}

struct bytes source_kind(const struct source *source)
{
    return source->options.kind;
}

const struct source_statistics *source_statistics(const struct source *source)
{
    return &source->statistics;
}

const char *source_last_error(const struct source *source)
{
    return source->last_error.text;
}

/* ---- for adapters ---- */

void source_emit(struct source *source, const struct event *event)
{
    struct source_statistics *statistics = &source->statistics;
    if (event->kind == EVENT_GAP) {
        statistics->created++;
        statistics->gaps++;
        if (event->gap.count > 0)
            statistics->missing += (uint64_t)event->gap.count;
    } else {
        source_account(source);
    }
    statistics->events++;
    if (event->received_us != TIME_UNKNOWN)
        statistics->last_event_us = event->received_us;
}

void source_reject(struct source *source, struct source_output *output, size_t input, struct bytes frame,
                   enum reject_reason reason)
{
    assert(reason > REJECT_NONE && reason < REJECT_REASON_COUNT);
    source_account(source);
    source->statistics.rejected++;
    source->statistics.rejected_by[reason]++;
    if (output->reject_count < SOURCE_REJECT_KEPT)
        output->rejects[output->reject_count++] = (struct source_reject){reason, (uint32_t)input, frame};
}

void source_event_lost(struct source *source, struct source_output *output, struct event *event, size_t input)
{
    assert(event == NULL || event == &output->batch->events[output->batch->count - 1]);
    if (event)
        source_event_drop(output);
    source_reject(source, output, input, BYTES(""), REJECT_NO_MEMORY);
}

static bool add_action(struct source_output *output, enum source_action_kind kind, uint32_t connection, struct bytes text)
{
    if (output->action_count == SOURCE_ACTION_MAX)
        return false;
    struct bytes copy = arena_copy(&output->batch->arena, text);
    if (copy.at == NULL)
        return false;
    output->actions[output->action_count++] = (struct source_action){.kind = kind, .connection = connection, .text = copy};
    return true;
}

uint32_t source_open_connection(struct source *source, struct source_output *output, struct bytes address)
{
    if (!add_action(output, SOURCE_OPEN, source->last_connection + 1, address))
        return 0;
    return ++source->last_connection;
}

bool source_send(struct source_output *output, uint32_t connection, struct bytes text)
{
    return add_action(output, SOURCE_SEND, connection, text);
}

bool source_send_secret(struct source_output *output, uint32_t connection, struct bytes text, struct bytes shown)
{
    if (!add_action(output, SOURCE_SEND, connection, text))
        return false;
    output->actions[output->action_count - 1].shown = shown;
    return true;
}

uint32_t source_request(struct source *source, struct source_output *output, const char *method, struct bytes url,
                        struct bytes headers, struct bytes body)
{
    struct bytes headers_copy = arena_copy(&output->batch->arena, headers);
    struct bytes body_copy = arena_copy(&output->batch->arena, body);
    if (!headers_copy.at || !body_copy.at || !add_action(output, SOURCE_REQUEST, source->last_connection + 1, url))
        return 0;
    struct source_action *action = &output->actions[output->action_count - 1];
    action->method = method;
    action->headers = headers_copy;
    action->body = body_copy;
    return ++source->last_connection;
}

bool source_close_connection(struct source_output *output, uint32_t connection)
{
    if (connection == 0)
        return true;
    return add_action(output, SOURCE_CLOSE, connection, BYTES(""));
}

void source_set_state(struct source *source, enum source_state state, int64_t now_us)
{
    if (source->statistics.state != state || source->statistics.since_us == TIME_UNKNOWN) {
        source->statistics.state = state;
        source->statistics.since_us = now_us;
    }
    if (state == SOURCE_ENDED || state == SOURCE_FAILED)
        source->wake_at_us = INT64_MAX;
}

static void set_error(struct source *source, const char *format, va_list arguments)
{
    vsnprintf(source->last_error.text, sizeof source->last_error.text, format, arguments);
}

void source_set_error(struct source *source, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    set_error(source, format, arguments);
    va_end(arguments);
}

void source_warn(const struct source *source, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    log_event(LOG_WARNING, "source_warning", "%s: %s", source->name, text);
}

void source_fail(struct source *source, int64_t now_us, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    set_error(source, format, arguments);
    va_end(arguments);
    source_set_state(source, SOURCE_FAILED, now_us);
}
