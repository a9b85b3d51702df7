/* Serves people and programs: the HTTP API, server-sent events, the live WebSocket, metrics, probes and the embedded page,
 * on a thread and a loop of its own.  What it shows it asks from a serve_backend, which app fills in; it knows no stage.
 * Backend functions are called on the serve thread. */
#ifndef SERVE_SERVE_H
#define SERVE_SERVE_H

#include "base/buffer.h"
#include "base/error.h"

struct serve;

struct serve_events_query {
    struct bytes topic; /* checked by the backend */
    struct bytes key;   /* empty: all */
    int64_t from_us, to_us;
    struct bytes before, after; /* cursors, empty: none */
    size_t limit;               /* 1 to 1000 */
    uint64_t end_offset;        /* of streams: only what the log has before this offset; 0: no limit */
};

typedef bool serve_give(void *receiver, uint64_t offset, struct bytes topic, struct bytes key, struct bytes json);
typedef void serve_erased(void *receipt, uint64_t erased, bool found, const char *failure);

/* A backend answers by appending JSON to `out` and returns an HTTP status (200; 400 or 404 with error set). */
struct serve_backend {
    void *context;
    int (*status)(void *context, struct buffer *out);  /* body of /api/v1/status */
    int (*sources)(void *context, struct buffer *out); /* body of /api/v1/sources */
    int (*events)(void *context, const struct serve_events_query *query, struct buffer *out, struct error *error);
    /* Documents: collection is the path word: anomalies, alerts, windows (name: the query). */
    int (*documents)(void *context, struct bytes collection, struct bytes name, const struct serve_events_query *query,
                     struct buffer *out, struct error *error);
    void (*metrics)(void *context, struct buffer *out); /* Prometheus text of the stages; serve adds its own */
    bool (*ready)(void *context);
    /* Begins to erase a user; NULL: not offered.  Then `done` is called once, on any thread, before serve_stop: with the number
     * of events erased, whether anything was found, and NULL or why it failed.  -1, an error and the status to answer with: it is
     * not begun. */
    int (*erase_user)(void *context, struct bytes name, serve_erased *done, void *receipt, int *status, struct error *error);
    /* The offset up to which `events` knows the log.  When it is behind by more than `most` events, as while a store is made
     * anew, it is that many before the end: what lies between can be asked for later, and is not fed live. */
    uint64_t (*known_end)(void *context, size_t most);
    /* The live feed: events from *offset on, oldest first.  Calls `give` for each and moves *offset on; returns when there
     * are no more or `give` returned false. */
    void (*feed)(void *context, uint64_t *offset, serve_give *give, void *receiver);
};

struct serve_options {
    const char *address;       /* "127.0.0.1" */
    int port;                  /* 0: any free */
    const char *token;         /* bearer token, needed for any address but loopback; NULL: none */
    bool auth_none;            /* no token although not on loopback: said outright */
    const char *allowed_hosts; /* comma-separated Host names that are answered besides loopback names and `address` */
};

struct serve *serve_start(const struct serve_options *options, const struct serve_backend *backend, struct error *error);
int serve_port(const struct serve *serve);
/* From any thread: there are new events to feed. */
void serve_notify(struct serve *serve);
void serve_stop(struct serve *serve);

/* Files of the page, embedded by the build (page.c is made from web/). */
struct serve_file {
    const char *path; /* "/" or "/app-HASH.js" */
    const char *content_type;
    const char *encoding; /* "gzip" */
    const unsigned char *at;
    size_t length;
};
extern const struct serve_file serve_page_files[];
extern const size_t serve_page_file_count;

#endif
