/* For adapters: what a source is made of, and the calls that keep its ledger.  See docs/adding-a-source.md.
 *
 * Invariant, asserted after every public call:
 *     frames + created = events + rejected + duplicates + filtered
 * It holds by construction as long as an adapter calls source_frame() once for each SOURCE_FRAME and then exactly one of
 * source_emit, source_reject, source_filter, source_duplicate for it.  Whatever is emitted, rejected … beyond that (gap
 * events, a frame's second event, a simulator's events) is counted as created by itself. */
#ifndef SOURCE_SOURCE_INTERNAL_H
#define SOURCE_SOURCE_INTERNAL_H

#include "source/source.h"

struct source_class {
    const char *kind;     /* "binance" */
    const char *variant;  /* NULL, or what the argument must begin with: "market" of simulated:market/8 */
    const char *argument; /* for people: "SYMBOL[,…]" */
    const char *summary;
    bool frames; /* usable with `normalize --source KIND` */
    size_t state_size;
    /* Checks source->options and prepares source->state, which is zeroed.  -1 with the error set; release is called all the
     * same. */
    int (*init)(struct source *source, struct error *error);
    void (*resume)(struct source *source, const struct event *event); /* NULL: nothing to go on from */
    void (*connect)(struct source *source, int64_t now_us, struct source_output *output);
    void (*read)(struct source *source, const struct source_input *inputs, size_t count, struct source_output *output);
    void (*close)(struct source *source, int64_t now_us, struct source_output *output);
    void (*error)(struct source *source, uint32_t connection, int code, struct bytes text, int64_t now_us,
                  struct source_output *output);
    void (*release)(struct source *source); /* frees what init and later calls took; NULL: nothing */
};

struct source {
    const struct source_class *class;
    struct source_options options; /* texts copied: they live as long as the source */
    struct source_statistics statistics;
    int64_t wake_at_us;       /* handed to the driver after each call: when a SOURCE_TICK is wanted */
    uint32_t last_connection; /* the last one given out; they start with 1 */
    bool frame_open;          /* a frame has been counted and not yet been accounted for */
    char *texts;              /* the memory behind name and options */
    const char *name;
    struct error last_error;
    void *state; /* the adapter's own, class->state_size bytes */
};

/* A source of a class that need not be in the registry: decorators and tests. */
struct source *source_create_of(const struct source_class *class, const struct source_options *options, struct error *error);

/* ---- the ledger ---- */

/* A frame has come in. */
static inline void source_frame(struct source *source)
{
    source->statistics.frames++;
    source->frame_open = true;
}

/* The open frame is accounted for; without one, the record is one that was created here. */
static inline void source_account(struct source *source)
{
    if (source->frame_open)
        source->frame_open = false;
    else
        source->statistics.created++;
}

/* A new event at the end of the batch, to be filled and then passed to source_emit.  NULL when out of memory: then
 * source_event_lost. */
static inline struct event *source_event(struct source_output *output)
{
    return event_batch_add(output->batch);
}

/* Takes back an event from source_event that cannot be finished; only the last one, before source_emit. */
static inline void source_event_drop(struct source_output *output)
{
    output->batch->count--;
}

/* Counts the finished event.  Gap events are created ones, whatever frame they came before; gaps and missing follow. */
void source_emit(struct source *source, const struct event *event);

void source_reject(struct source *source, struct source_output *output, size_t input, struct bytes frame,
                   enum reject_reason reason);

/* There was no memory for an event (NULL) or for its texts (the last one): takes it back and counts the loss. */
void source_event_lost(struct source *source, struct source_output *output, struct event *event, size_t input);

/* Control frames and records that were not asked for. */
static inline void source_filter(struct source *source)
{
    source_account(source);
    source->statistics.filtered++;
}

static inline void source_duplicate(struct source *source)
{
    source_account(source);
    source->statistics.duplicates++;
}

/* ---- actions ---- */

/* Asks for a connection and returns its number; 0 when there is no room or memory for the action (then back off). */
uint32_t source_open_connection(struct source *source, struct source_output *output, struct bytes address);
/* False when there is no room or memory. */
bool source_send(struct source_output *output, uint32_t connection, struct bytes text);
/* The same for a text that holds a secret; `shown` (static memory) stands for it in recordings. */
bool source_send_secret(struct source_output *output, uint32_t connection, struct bytes text, struct bytes shown);
/* Asks for an HTTP request and returns its number, which is in SOURCE_RESPONSE; 0 when there is no room or memory for it. method:
 * static; headers: lines `Name: value\r\n`, which are neither recorded nor logged.  source_close_connection gives it up. */
uint32_t source_request(struct source *source, struct source_output *output, const char *method, struct bytes url,
                        struct bytes headers, struct bytes body);
/* Connection 0 is none: nothing to do. */
bool source_close_connection(struct source_output *output, uint32_t connection);

/* ---- state ---- */

/* Sets the state and, if it changed, its time.  SOURCE_ENDED and SOURCE_FAILED end the wish to be woken. */
void source_set_state(struct source *source, enum source_state state, int64_t now_us);
/* Remembers why; the state is the caller's. */
void source_set_error(struct source *source, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Logs what the user should know of a source that goes on. */
void source_warn(const struct source *source, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* No retry makes sense: remembers why and fails. */
void source_fail(struct source *source, int64_t now_us, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Ended or failed: frames that are still on their way are filtered. */
static inline bool source_is_over(const struct source *source)
{
    return source->statistics.state == SOURCE_ENDED || source->statistics.state == SOURCE_FAILED;
}

/* A connection is wanted or there. */
static inline bool source_is_connected(const struct source *source)
{
    enum source_state state = source->statistics.state;
    return source->last_connection != 0 && (state == SOURCE_CONNECTING || state == SOURCE_LIVE || state == SOURCE_STALE);
}

/* ---- sources that are files (file_source.c): options.argument is the path ---- */
void source_file_connect(struct source *source, int64_t now_us, struct source_output *output);
/* SOURCE_OPENED came: the source is live. */
void source_file_opened(struct source *source, const struct source_input *input);
void source_file_close(struct source *source, int64_t now_us, struct source_output *output);
void source_file_error(struct source *source, uint32_t connection, int code, struct bytes text, int64_t now_us,
                       struct source_output *output);

/* ---- the adapters ---- */
extern const struct source_class source_binance;
extern const struct source_class source_coinbase;
extern const struct source_class source_jsonl;
extern const struct source_class source_recording;
extern const struct source_class source_simulated_chat;
extern const struct source_class source_simulated_market;
extern const struct source_class source_twitch_eventsub;
extern const struct source_class source_twitch_irc;

#endif
