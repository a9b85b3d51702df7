/* Private to the serve room.  Everything here runs on the serve thread. */
#ifndef SERVE_SERVE_INTERNAL_H
#define SERVE_SERVE_INTERNAL_H

#include "net/net.h"
#include "serve/serve.h"
#include <pthread.h>

enum {
    SERVE_BODY_MAX = 1024 * 1024,
    SERVE_ANSWER_MAX = 64 * 1024 * 1024,
    SERVE_CONNECTION_MAX = 256,
    SERVE_LIVE_MAX = 64, /* WebSockets and event streams together */
    SERVE_LIVE_MESSAGE_MAX = 64 * 1024,
    SERVE_LIMIT_DEFAULT = 100,
    SERVE_LIMIT_MAX = 1000,
    SERVE_ALLOWED_HOSTS_MAX = 32,
};

/* ---- who may ask (guard.c) ---- */

struct serve_guard {
    char *address;
    char *token; /* NULL: none is asked for */
    char *allowed_hosts;
};
/* Refuses addresses beyond loopback without a token or an outright `auth: none` with allowed_hosts. */
int serve_guard_init(struct serve_guard *guard, const struct serve_options *options, struct error *error);
void serve_guard_release(struct serve_guard *guard);
/* Host: against DNS rebinding.  `host` is the header with its port. */
bool serve_guard_host_allowed(const struct serve_guard *guard, struct bytes host);
/* Origin of a request that changes something or opens a WebSocket: that of the page itself, or of an allowed host. */
bool serve_guard_origin_allowed(const struct serve_guard *guard, struct bytes origin, struct bytes host);
/* The token in any of its places, .at NULL where absent; compared in constant time. */
bool serve_guard_token_right(const struct serve_guard *guard, struct bytes token);
struct bytes serve_guard_bearer(struct bytes authorization);
struct bytes serve_guard_cookie(struct bytes cookies);

/* ---- query parameters (parameters.c) ---- */

enum serve_parameter {
    SERVE_TOPIC = 1 << 0,
    SERVE_KEY = 1 << 1,
    SERVE_LIMIT = 1 << 2,
    SERVE_FROM = 1 << 3,
    SERVE_TO = 1 << 4,
    SERVE_BEFORE = 1 << 5,
    SERVE_AFTER = 1 << 6,
    SERVE_PAGING = SERVE_KEY | SERVE_LIMIT | SERVE_FROM | SERVE_TO | SERVE_BEFORE | SERVE_AFTER,
};

struct serve_parameters {
    unsigned given;                  /* enum serve_parameter */
    struct serve_events_query query; /* its texts lie in `space` */
    char space[4][256];
};
void serve_parameters_init(struct serve_parameters *parameters);
/* One decoded name=value; -1 and an error that names the parameter.  `token` is always allowed, and not kept. */
int serve_parameters_add(struct serve_parameters *parameters, unsigned allowed, struct bytes name, struct bytes value,
                         struct error *error);
/* After the last: what does not fit together. */
int serve_parameters_finish(const struct serve_parameters *parameters, struct error *error);

/* ---- live feed: what clients say (live_message.c) ---- */

enum serve_topic {
    SERVE_CHAT_STREAM,
    SERVE_MARKET_STREAM,
    SERVE_ANALYTICS_STREAM,
    SERVE_ANOMALIES,
    SERVE_ALERTS,
    SERVE_STATUS,
    SERVE_WINDOWS, /* windows/QUERY, each with a name */
    SERVE_TOPIC_COUNT
};
enum { SERVE_WINDOW_NAMES_MAX = 16, SERVE_WINDOW_NAME_SIZE = 65, SERVE_FILTER_MAX = 32, SERVE_FILTER_SIZE = 256 };

/* The values that one field of the filter may have; none: any. */
struct serve_filter {
    char (*values)[SERVE_FILTER_SIZE];
    size_t count;
};

struct serve_subscription {
    unsigned topics; /* 1 << enum serve_topic */
    char windows[SERVE_WINDOW_NAMES_MAX][SERVE_WINDOW_NAME_SIZE];
    size_t window_count;
    struct serve_filter key, channel, symbol;
};
void serve_subscription_release(struct serve_subscription *subscription);
/* "subscribe" and "filter" each replace what was before, and each may be left out.  On -1 nothing has changed. */
int serve_subscription_parse(struct serve_subscription *subscription, struct bytes message, struct error *error);
/* One topic by its name, as "subscribe" has them and /api/v1/stream?topic=. */
int serve_subscription_add(struct serve_subscription *subscription, struct bytes topic, struct error *error);
/* Makes the filter let one key pass. */
int serve_subscription_only_key(struct serve_subscription *subscription, struct bytes key, struct error *error);
/* Whether an event of a stream's key passes the filter. */
bool serve_subscription_matches(const struct serve_subscription *subscription, enum serve_topic stream, struct bytes key);
struct bytes serve_topic_name(enum serve_topic topic); /* SERVE_WINDOWS: "windows" */

/* ---- live feed: clients and their queues (live.c) ---- */

struct serve_live;
struct serve_live *serve_live_create(struct serve *serve);
/* Says goodbye to all clients; they are gone when serve_live_count is 0. */
void serve_live_close(struct serve_live *live);
void serve_live_destroy(struct serve_live *live);
/* New events may be there. */
void serve_live_notify(struct serve_live *live);
size_t serve_live_count(const struct serve_live *live);
uint64_t serve_live_dropped(const struct serve_live *live);
bool serve_live_is_full(const struct serve_live *live);
/* The callbacks of net_server_options. */
void serve_live_on_open(void *context, struct net_socket *socket, void **socket_context);
void serve_live_on_message(void *socket_context, struct bytes message);
void serve_live_on_writable(void *socket_context);
void serve_live_on_close(void *socket_context);
/* GET /api/v1/stream: takes the subscription over. */
void serve_live_stream(struct serve_live *live, struct net_request *request, struct serve_subscription *subscription);

/* ---- routes (route.c) and what they answer (api.c) ---- */

struct serve_route;
struct serve_exchange {
    struct serve *serve;
    struct net_request *request;
    const struct serve_route *route;
    struct bytes name; /* what stands after a route's prefix */
    struct serve_parameters parameters;
};

/* One table makes the dispatch, the metrics' labels and /openapi.json. */
struct serve_route {
    const char *path;  /* ending in '/': a prefix with a name behind it */
    const char *label; /* the path as documented: {query} for the name */
    unsigned parameters;
    bool deletes;     /* its method is DELETE; else GET and HEAD */
    bool open;        /* no token, no Host check: probes */
    bool query_token; /* the token may come as ?token=: browsers cannot set headers there */
    void (*answer)(struct serve_exchange *exchange);
    const char *summary;
    const char *content_type;
    const char *schema; /* of components/schemas; NULL: plain text */
};

void serve_route_request(void *context, struct net_request *request);
bool serve_route_upgrade(void *context, struct net_request *request);
/* Sends a reply with the headers that all have; more_headers NULL: not to be stored by anybody. */
void serve_reply(struct serve_exchange *exchange, struct net_reply *reply, const char *more_headers);
void serve_answer(struct serve_exchange *exchange, int status, const char *content_type, struct bytes body);
void serve_answer_error(struct serve_exchange *exchange, int status, const char *message);
void serve_count_request(struct serve *serve, const struct serve_route *route, int status);
const struct serve_route *serve_routes(size_t *count);

void serve_api_page(struct serve_exchange *exchange);
void serve_api_livez(struct serve_exchange *exchange);
void serve_api_readyz(struct serve_exchange *exchange);
void serve_api_metrics(struct serve_exchange *exchange);
void serve_api_openapi(struct serve_exchange *exchange);
void serve_api_events(struct serve_exchange *exchange);
void serve_api_sources(struct serve_exchange *exchange);
void serve_api_status(struct serve_exchange *exchange);
void serve_api_documents(struct serve_exchange *exchange);
void serve_api_stream(struct serve_exchange *exchange);
void serve_api_erase_user(struct serve_exchange *exchange);
void serve_api_live(struct serve_exchange *exchange);

/* ---- erasures that wait for the backend (erase.c) ---- */

struct serve_erasures;
struct serve_erasures *serve_erasures_create(struct serve *serve);
/* Answers those that are done. */
void serve_erasures_answer(struct serve_erasures *erasures);
/* The backend has been stopped: answers all that are left.  Before the loop goes. */
void serve_erasures_destroy(struct serve_erasures *erasures);

void serve_openapi_write(struct buffer *out);
void serve_metrics_write(struct serve *serve, struct buffer *out);

/* ---- the instance (serve.c) ---- */

enum { SERVE_ROUTE_MAX = 24, SERVE_STATUS_SLOTS = 16 };

struct serve {
    struct serve_backend backend;
    struct serve_guard guard;
    struct net_loop *loop;
    struct net_server *server;
    struct serve_live *live;
    struct serve_erasures *erasures;
    int port;
    pthread_t thread;
    struct buffer answer;                                       /* bodies are made here, one after the other */
    uint64_t requests[SERVE_ROUTE_MAX + 1][SERVE_STATUS_SLOTS]; /* the last row: no such route */
};

#endif
