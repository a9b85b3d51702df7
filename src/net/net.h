/* The network: one event loop a thread, with WebSocket and HTTP clients and servers over libwebsockets and TLS through
 * OpenSSL.  Callbacks run on the loop's thread; all functions but net_loop_wake and net_loop_stop belong to it. */
#ifndef NET_NET_H
#define NET_NET_H

#include "base/bytes.h"
#include "base/error.h"

struct net_loop;
struct net_socket; /* a WebSocket, either side */
struct net_request;
struct net_timer;

struct net_loop_options {
    const char *tls_ca_file;    /* further certificates to trust, or NULL */
    bool without_tls;           /* a loop that only serves: starts faster, refuses wss:// */
    int64_t connect_timeout_us; /* 0: 10 s */
    int silence_s;              /* 0: 60 s; a probe follows, and after 10 s more without an answer the end */
};
/* options may be NULL: the defaults. */
struct net_loop *net_loop_create(const struct net_loop_options *options, struct error *error);
/* Closes what is open: each socket, stream and HTTP client's request hears of it by its on_close, on_gone or on_answer.
 * Never from a callback.  Requests to servers must have been answered. */
void net_loop_destroy(struct net_loop *loop);
/* Serves until net_loop_stop. */
void net_loop_run(struct net_loop *loop);
/* One round: waits for something to do, at most timeout_us. */
void net_loop_step(struct net_loop *loop, int64_t timeout_us);
/* From any thread, and from signal handlers: stop returns from run; wake calls on_wake on the loop's thread. */
void net_loop_stop(struct net_loop *loop);
void net_loop_wake(struct net_loop *loop);
void net_loop_on_wake(struct net_loop *loop, void (*on_wake)(void *context), void *context);

/* Calls once at or after `at_us` (monotonic); setting it again moves it, INT64_MAX stops it.  May be destroyed in its own
 * call. */
struct net_timer *net_timer_create(struct net_loop *loop, void (*on_time)(void *context), void *context);
void net_timer_set(struct net_timer *timer, int64_t at_us);
void net_timer_destroy(struct net_timer *timer);

/* ---- WebSocket client ---- */

struct net_socket_events {
    void (*on_open)(void *context);
    void (*on_message)(void *context, struct bytes message); /* whole message; valid during the call */
    /* The socket is gone after this call; called exactly once, never within net_socket_connect or net_socket_close.
     * code: the close code of the other side, or ours if we closed; 0 if there was none: then the reason says what went
     * wrong (name not found, refused, certificate, HTTP status, time-out, lost).  libwebsockets before 4.2 shows the
     * codes 1012 to 1014 as 1002. */
    void (*on_close)(void *context, int code, struct bytes reason);
};
enum { NET_MESSAGE_MAX = 4 * 1024 * 1024, NET_SEND_QUEUE_MAX = 1024 * 1024 };

/* url: ws://HOST[:PORT]/PATH or wss://…; plaintext only where the caller allows it.  Names are resolved on a thread of their
 * own, and their addresses tried in turn.  Connecting, TLS and the handshake must be done within 10 s.  Pings are answered
 * by the library; silence of 60 s is probed and ends in on_close.  A message beyond NET_MESSAGE_MAX ends it with 1009.
 * NULL and an error: the URL is none, or out of memory. */
struct net_socket *net_socket_connect(struct net_loop *loop, struct bytes url, const struct net_socket_events *events,
                                      void *context, struct error *error);
/* Queues one text message; false when the queue is full, or the socket not open (any more). */
bool net_socket_send(struct net_socket *socket, struct bytes message);
/* Sends what is queued, then closes; on_close follows, after 5 s at the latest. */
void net_socket_close(struct net_socket *socket, int code);
size_t net_socket_queued_bytes(const struct net_socket *socket);

/* True for ws:// and http:// addresses whose host is loopback (127/8, ::1, localhost). */
bool net_url_is_loopback(struct bytes url);

/* ---- HTTP client ---- */

enum { NET_BODY_MAX = 8 * 1024 * 1024, NET_REQUEST_HEADERS_MAX = 4096 };
#define NET_RETRY_AFTER_NONE INT64_C(-1)

/* Copied by net_http_send. */
struct net_http_request {
    const char *method;   /* "GET" */
    struct bytes url;     /* http://HOST[:PORT]/PATH or https://…; plaintext only where the caller allows it */
    struct bytes headers; /* lines `Name: value\r\n`, or empty.  They may hold secrets: no error text repeats them */
    struct bytes body;
    int64_t timeout_us; /* of all of it; 0: 10 s */
};

/* Valid during the call. */
struct net_answer {
    int status;             /* 0: there was none */
    int64_t retry_after_us; /* with 429 and 503: how long to wait, by Retry-After or Ratelimit-Reset; or NET_RETRY_AFTER_NONE */
    struct bytes body;      /* status 0: what went wrong */
};

struct net_http;

/* Sends one request on a connection of its own; redirects are not followed.  on_answer is called exactly once, and never
 * within this call: with the answer, whatever its status, or with status 0 (not found, refused, certificate, time-out, lost,
 * larger than NET_BODY_MAX, the loop was destroyed).  A chunked body that was cut off may pass for a whole one: who parses
 * it will see.  The request is gone after it.  NULL and an error: the URL, the method or
 * the headers are none, or out of memory. */
struct net_http *net_http_send(struct net_loop *loop, const struct net_http_request *request,
                               void (*on_answer)(void *context, const struct net_answer *answer), void *context,
                               struct error *error);
/* Gives it up: on_answer is not called any more.  Not from on_answer. */
void net_http_cancel(struct net_http *http);

/* One blocking request, for commands (health, doctor). */
struct net_response {
    int status;
    struct bytes body; /* malloced; free((void *)body.at) */
};
int net_http_get(const char *url, int timeout_ms, struct net_response *response, struct error *error);

/* ---- HTTP server ---- */

struct net_server_options {
    const char *address; /* "127.0.0.1" */
    int port;            /* 0: any free one */
    /* A whole request; answer with net_respond or net_respond_stream now or later, on the loop's thread. */
    void (*on_request)(void *context, struct net_request *request);
    /* A WebSocket upgrade; return false to refuse: with the answer given by net_respond, otherwise 403. */
    bool (*on_upgrade)(void *context, struct net_request *request);
    void (*on_socket_open)(void *context, struct net_socket *socket, void **socket_context);
    void (*on_socket_message)(void *socket_context, struct bytes message);
    void (*on_socket_writable)(void *socket_context); /* the queue ran empty after net_socket_send */
    void (*on_socket_close)(void *socket_context);
    void *context;
    size_t body_max;    /* larger request bodies: 413 */
    size_t message_max; /* larger messages on a WebSocket: closed with 1009; 0: NET_MESSAGE_MAX */
    int connection_max; /* further connections are closed at once */
};
/* Lives until the loop is destroyed.  *port: the one it listens on. */
struct net_server *net_server_start(struct net_loop *loop, const struct net_server_options *options, int *port,
                                    struct error *error);

/* What a request holds is valid until it is answered; query and headers only during on_request and on_upgrade. */
struct bytes net_request_method(const struct net_request *request);
struct bytes net_request_path(const struct net_request *request); /* decoded, without the query */
/* The decoded value in `space`; .at is NULL if absent; a value that does not fit has the length `size` (and no content). */
struct bytes net_request_query(const struct net_request *request, const char *name, char *space, size_t size);
/* The n-th `name=value` of the query, likewise; .at is NULL after the last. */
struct bytes net_request_argument(const struct net_request *request, size_t index, char *space, size_t size);
/* host, origin, authorization, accept-encoding, last-event-id, content-type, cookie, if-none-match: lower case; .at is NULL if
 * absent or longer than any sensible one. */
struct bytes net_request_header(struct net_request *request, const char *name);
struct bytes net_request_body(const struct net_request *request);

struct net_reply {
    int status;
    const char *content_type;
    struct bytes body;    /* copied unless `constant` */
    bool constant;        /* body lives as long as the program: embedded files */
    const char *encoding; /* "gzip" or NULL */
    const char *headers;  /* further header lines "Name: value\r\n…", or NULL */
};
void net_respond(struct net_request *request, const struct net_reply *reply);

/* Server-sent events: a response without an end.  on_gone: the client left; the stream is gone after it.  NULL: out of
 * memory, and the connection is closed. */
struct net_stream;
struct net_stream *net_respond_stream(struct net_request *request, const char *content_type, void (*on_gone)(void *context),
                                      void *context);
bool net_stream_send(struct net_stream *stream, struct bytes data); /* false: queue full, not taken */
size_t net_stream_queued_bytes(const struct net_stream *stream);
/* Sends what is queued and closes.  The stream is the caller's no longer: on_gone is not called. */
void net_stream_end(struct net_stream *stream);

#endif
