/* BaseStreamSource: the one interface of all adapters: connect, read, close, error.
 *
 * Adapters are sans-I/O.  Time, bytes and closes go in; events, things to send and connections to open come
 * out.  Whoever drives a source (the pipeline's network thread, `normalize`, a test, a fuzzer) carries the
 * actions out and calls again.  So one adapter runs on sockets, recordings and simulators alike, and the same
 * inputs always give the same outputs.
 *
 *            connect                 SOURCE_OPENED            error / server closes
 *   (idle) ----------> connecting -----------------> live ------------------------> backing_off --tick--> connecting
 *                                                      \--- close --> ended          failed: no retry makes sense
 *
 * A source belongs to one thread at a time. */
#ifndef SOURCE_SOURCE_H
#define SOURCE_SOURCE_H

#include "base/env.h"
#include "base/error.h"
#include "event/event.h"

struct source; /* opaque; see source_internal.h for adapters */

enum source_state {
    SOURCE_CONNECTING,
    SOURCE_LIVE,
    SOURCE_STALE, /* connected, but silent for longer than it should be */
    SOURCE_BACKING_OFF,
    SOURCE_FAILED, /* will not be tried again: wrong login, unreadable file */
    SOURCE_ENDED,
    SOURCE_STATE_COUNT
};
struct bytes source_state_name(enum source_state state);

/* What happened, in order. */
enum source_input_kind { SOURCE_OPENED, SOURCE_FRAME, SOURCE_TICK, SOURCE_RESPONSE };
struct source_input {
    enum source_input_kind kind;
    uint32_t connection;
    int64_t now_us;     /* wall clock; of a recording in a replay; TIME_UNKNOWN for bare frames */
    struct bytes frame; /* SOURCE_FRAME: one message; must outlive the output batch */
    /* SOURCE_RESPONSE: to the request whose number `connection` is; `frame` is the answer's body or, with status 0, why there is
     * none.  Each request gets exactly one, unless it is closed before. */
    int status;
    int64_t retry_after_us; /* 429, 503: how long the server asks to wait; -1: it does not say */
};

enum source_action_kind {
    SOURCE_OPEN, /* text: ws:// wss:// URL, or file:PATH (lines become frames; see SOURCE_CLOSED_END) */
    SOURCE_SEND, /* text: one text message */
    SOURCE_CLOSE,
    SOURCE_REQUEST /* text: http:// or https:// URL; answered by SOURCE_RESPONSE */
};
struct source_action {
    enum source_action_kind kind;
    uint32_t connection; /* chosen by the source; never used again after a close */
    struct bytes text;   /* lives in the batch arena */
    struct bytes shown;  /* what recordings and logs say instead, for texts with a secret in them; .at NULL: the text */
    /* SOURCE_REQUEST */
    const char *method;   /* "GET": static */
    struct bytes headers; /* lines `Name: value\r\n`.  They may hold secrets: neither recorded nor logged */
    struct bytes body;
};

struct source_reject {
    enum reject_reason reason;
    uint32_t input; /* index into the inputs of this call */
    struct bytes frame;
};

enum { SOURCE_ACTION_MAX = 16, SOURCE_REJECT_KEPT = 64 };

/* Filled by a call; the driver empties it (source_output_reset) before the next.  The batch is the driver's own: several
 * calls may add to it. */
struct source_output {
    struct event_batch *batch; /* events are added to it; given by the driver */
    struct source_action actions[SOURCE_ACTION_MAX];
    size_t action_count;
    struct source_reject rejects[SOURCE_REJECT_KEPT]; /* the first ones; all are counted in the statistics */
    size_t reject_count;
    int64_t wake_at_us; /* set by each call: when a SOURCE_TICK is wanted; INT64_MAX: never */
};
void source_output_reset(struct source_output *output);

/* Ledger of a source: frames + created = events + rejected + duplicates + filtered.  `created` are events that
 * no frame stands for one to one: gap events, and the second and later events of one frame. */
struct source_statistics {
    uint64_t frames, created, events, rejected, duplicates, filtered;
    uint64_t rejected_by[REJECT_REASON_COUNT];
    uint64_t gaps, missing; /* gap events, and the records that they say are missing */
    uint64_t reconnects;
    enum source_state state;
    int64_t since_us;      /* of the state */
    int64_t last_event_us; /* receipt of the last event; TIME_UNKNOWN before */
};

/* From configuration: `binance:BTC-USDT,ETH-USDT` is kind "binance", argument "BTC-USDT,ETH-USDT". */
struct source_options {
    struct bytes kind, argument; /* must outlive the source */
    struct bytes base_url;       /* replaces the vendor's address; empty: the vendor's */
    struct bytes rest_url;       /* replaces the base address of the vendor's REST interface; empty: the vendor's */
    struct bytes login, token;   /* account at the vendor; empty: none.  The token is secret: for the vendor alone */
    struct bytes client_id;      /* the application that the token was made for; empty: the vendor is asked */
    uint64_t seed;               /* of simulators and of back-off jitter */
    double rate;                 /* simulators: events per second; 0: their default */
    int64_t round_length_us;     /* recordings that loop: see recording.h; 0: play once */
    int64_t recording_start_us;  /* recordings that loop: `received` of the file's first line */
};

/* Splits "kind:argument".  The bytes point into `text`. */
void source_spec_split(struct bytes text, struct bytes *kind, struct bytes *argument);

/* NULL and an error that names the kinds there are (did-you-mean) or what is wrong with the argument. */
struct source *source_create(const struct source_options *options, struct error *error);
void source_destroy(struct source *source);

/* Before the first connect: an event that such a source made before a restart, as the log has it, oldest first.  The source
 * goes on from there: it knows again what it has seen, and what it missed since becomes a gap event.  Events of others
 * are passed over. */
void source_resume(struct source *source, const struct event *event);
bool source_can_resume(const struct source *source); /* otherwise the call above does nothing */

/* Starts, or tries again: asks for connections (SOURCE_OPEN). */
void source_connect(struct source *source, int64_t now_us, struct source_output *output);

/* Takes a batch of inputs and adds the events they make. */
void source_read(struct source *source, const struct source_input *inputs, size_t count, struct source_output *output);

/* We stop: asks to close what is open and ends; what failed before stays failed. */
void source_close(struct source *source, int64_t now_us, struct source_output *output);

/* Codes of source_error besides WebSocket close codes (1000 to 4999). */
enum {
    SOURCE_CLOSED_NONE = 0,         /* failed, or gone without a code */
    SOURCE_CLOSED_END = -1,         /* file:PATH came to its end: every line of it has been read by the source */
    SOURCE_CLOSED_UNREACHABLE = -2, /* never opened: no such file, wrong address; text says why */
};

/* A connection failed or was closed by the other side (code: as above; text: the reason for people).  The source
 * decides when and whether to try again.  A source of files answers SOURCE_CLOSED_END with state SOURCE_ENDED. */
void source_error(struct source *source, uint32_t connection, int code, struct bytes text, int64_t now_us,
                  struct source_output *output);

const char *source_name(const struct source *source); /* "binance:BTC-USDT" */
struct bytes source_kind(const struct source *source);
const struct source_statistics *source_statistics(const struct source *source);
/* The text of the last error, "" if none. */
const char *source_last_error(const struct source *source);

/* All kinds, for --help, completion and documentation. */
struct source_kind_info {
    const char *kind, *argument, *summary;
    bool frames; /* usable with `normalize --source KIND` */
};
const struct source_kind_info *source_kinds(size_t *count);

/* Decorator for tests: faults and delays between driver and adapter.  Owns `inner`; NULL when out of memory (inner is
 * then still the caller's). */
struct source_faults {
    uint64_t fail_every; /* every nth input but ticks is lost, and its connection fails; 0: none */
    int64_t delay_us;    /* the adapter's clock is that much ahead: all reaches it so much later */
    uint64_t inputs, failures;
};
struct source *source_faulty_create(struct source *inner, struct source_faults *faults);

#endif
