/* From a request to its answer: who may ask, which route, which parameters. */
#include "serve/serve_internal.h"

#include <stdio.h>

static const struct serve_route routes[] = {
    {.path = "/",
     .label = "/",
     .query_token = true,
     .answer = serve_api_page,
     .summary = "The live page",
     .content_type = "text/html"},
    {.path = "/live",
     .label = "/live",
     .query_token = true,
     .answer = serve_api_live,
     .summary =
         "WebSocket: the live feed. The client sends {\\\"subscribe\\\":[topics],\\\"filter\\\":{key, channel, symbol}}; the "
         "server sends {\\\"topic\\\",\\\"event\\\"} and {\\\"topic\\\",\\\"dropped\\\":n}",
     .content_type = "application/json",
     .schema = "LiveFrame"},
    {.path = "/metrics",
     .label = "/metrics",
     .answer = serve_api_metrics,
     .summary = "Metrics in the text format of Prometheus",
     .content_type = "text/plain"},
    {.path = "/livez",
     .label = "/livez",
     .open = true,
     .answer = serve_api_livez,
     .summary = "Probe: the program runs",
     .content_type = "application/json",
     .schema = "Probe"},
    {.path = "/readyz",
     .label = "/readyz",
     .open = true,
     .answer = serve_api_readyz,
     .summary = "Probe: log and store take writes (503 otherwise)",
     .content_type = "application/json",
     .schema = "Probe"},
    {.path = "/openapi.json",
     .label = "/openapi.json",
     .answer = serve_api_openapi,
     .summary = "This document",
     .content_type = "application/json",
     .schema = "Document"},
    {.path = "/api/v1/events",
     .label = "/api/v1/events",
     .parameters = SERVE_TOPIC | SERVE_PAGING,
     .answer = serve_api_events,
     .summary = "Events of a topic by time; without from and after the newest, oldest of them first",
     .content_type = "application/json",
     .schema = "Events"},
    {.path = "/api/v1/sources",
     .label = "/api/v1/sources",
     .answer = serve_api_sources,
     .summary = "The sources and their states",
     .content_type = "application/json",
     .schema = "Sources"},
    {.path = "/api/v1/status",
     .label = "/api/v1/status",
     .answer = serve_api_status,
     .summary = "Version, readiness and the ledger of every stage",
     .content_type = "application/json",
     .schema = "Status"},
    {.path = "/api/v1/anomalies",
     .label = "/api/v1/anomalies",
     .parameters = SERVE_PAGING,
     .answer = serve_api_documents,
     .summary = "Incidents of the market, one each, in their latest state",
     .content_type = "application/json",
     .schema = "Events"},
    {.path = "/api/v1/alerts",
     .label = "/api/v1/alerts",
     .parameters = SERVE_PAGING,
     .answer = serve_api_documents,
     .summary = "Alerts, one each incident, in their latest state",
     .content_type = "application/json",
     .schema = "Events"},
    {.path = "/api/v1/windows/",
     .label = "/api/v1/windows/{query}",
     .parameters = SERVE_PAGING,
     .answer = serve_api_documents,
     .summary = "Windows of a query",
     .content_type = "application/json",
     .schema = "Events"},
    {.path = "/api/v1/users/",
     .label = "/api/v1/users/{name}",
     .deletes = true,
     .answer = serve_api_erase_user,
     .summary = "Erases what is known of a user from log, store and refused records; answered when it is done",
     .content_type = "application/json",
     .schema = "Erased"},
    {.path = "/api/v1/stream",
     .label = "/api/v1/stream",
     .parameters = SERVE_TOPIC | SERVE_KEY,
     .query_token = true,
     .answer = serve_api_stream,
     .summary = "Server-sent events of a topic, or of several separated by commas",
     .content_type = "text/event-stream"},
};
enum { ROUTE_COUNT = sizeof routes / sizeof routes[0] };
_Static_assert((int)ROUTE_COUNT <= (int)SERVE_ROUTE_MAX, "the table of counts has a row for each route");

const struct serve_route *serve_routes(size_t *count)
{
    *count = ROUTE_COUNT;
    return routes;
}

/* ---- answering ---- */

/* No inline code, nothing from elsewhere, in no frame of anybody else's. */
#define SECURITY_HEADERS                                                                                                         \
    "Content-Security-Policy: default-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; object-src 'none'; "  \
    "frame-ancestors 'none'\r\n"                                                                                                 \
    "X-Content-Type-Options: nosniff\r\n"                                                                                        \
    "Referrer-Policy: no-referrer\r\n"                                                                                           \
    "Cross-Origin-Resource-Policy: same-origin\r\n"                                                                              \
    "Cross-Origin-Opener-Policy: same-origin\r\n"

void serve_reply(struct serve_exchange *exchange, struct net_reply *reply, const char *more_headers)
{
    char headers[1024];
    snprintf(headers, sizeof headers, "%s%s", SECURITY_HEADERS, more_headers ? more_headers : "Cache-Control: no-store\r\n");
    reply->headers = headers;
    serve_count_request(exchange->serve, exchange->route, reply->status);
    net_respond(exchange->request, reply);
}

void serve_answer(struct serve_exchange *exchange, int status, const char *content_type, struct bytes body)
{
    serve_reply(exchange, &(struct net_reply){.status = status, .content_type = content_type, .body = body}, NULL);
}

static const char *error_code(int status)
{
    static const struct {
        int status;
        const char *code;
    } codes[] = {{400, "bad_request"},        {401, "unauthorized"},     {403, "forbidden"},  {404, "not_found"},
                 {405, "method_not_allowed"}, {426, "upgrade_required"}, {503, "unavailable"}};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i].status == status)
            return codes[i].code;
    return "internal";
}

void serve_answer_error(struct serve_exchange *exchange, int status, const char *message)
{
    char space[1024 + 128];
    struct buffer body;
    buffer_init(&body, sizeof space);
    buffer_printf(&body, "{\"error\":{\"code\":\"%s\",\"message\":", error_code(status));
    buffer_json_string(&body, bytes_of_string(message));
    BUFFER_LITERAL(&body, "}}");
    const char *headers = NULL;
    if (status == 401)
        headers = "WWW-Authenticate: Bearer\r\nCache-Control: no-store\r\n";
    else if (status == 405)
        headers = exchange->route && exchange->route->deletes ? "Allow: DELETE\r\nCache-Control: no-store\r\n"
                                                              : "Allow: GET, HEAD\r\nCache-Control: no-store\r\n";
    else if (status == 426)
        headers = "Upgrade: websocket\r\nCache-Control: no-store\r\n";
    struct net_reply reply = {.status = status, .content_type = "application/json", .body = buffer_bytes(&body)};
    serve_reply(exchange, &reply, headers);
    buffer_release(&body);
}

/* ---- who may ask ---- */

static const struct serve_route *find_route(struct bytes path, struct bytes *name)
{
    *name = BYTES_NONE;
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        struct bytes route = bytes_of_string(routes[i].path);
        if (bytes_equal(path, route) && (route.length == 1 || route.at[route.length - 1] != '/'))
            return &routes[i];
        if (route.length > 1 && route.at[route.length - 1] == '/' && bytes_start_with(path, route) &&
            path.length > route.length) {
            *name = bytes_skip(path, route.length);
            return &routes[i];
        }
    }
    for (size_t i = 0; i < serve_page_file_count; i++)
        if (bytes_equal(path, bytes_of_string(serve_page_files[i].path)))
            return &routes[0];
    return NULL;
}

static bool token_is_right(struct serve_exchange *exchange)
{
    const struct serve_guard *guard = &exchange->serve->guard;
    struct net_request *request = exchange->request;
    char space[512];
    if (!guard->token || serve_guard_token_right(guard, serve_guard_bearer(net_request_header(request, "authorization"))) ||
        serve_guard_token_right(guard, serve_guard_cookie(net_request_header(request, "cookie"))))
        return true;
    return exchange->route && exchange->route->query_token &&
           serve_guard_token_right(guard, net_request_query(request, "token", space, sizeof space));
}

/* 0: let in; otherwise the status to answer with, and why. */
static int check_caller(struct serve_exchange *exchange, bool changes, const char **message)
{
    if (exchange->route && exchange->route->open)
        return 0;
    const struct serve_guard *guard = &exchange->serve->guard;
    struct bytes host = net_request_header(exchange->request, "host");
    if (!host.at) {
        *message = "the Host header is missing";
        return 400;
    }
    if (!serve_guard_host_allowed(guard, host)) {
        *message = "this Host is not answered; allowed_hosts can name it";
        return 403;
    }
    struct bytes origin = net_request_header(exchange->request, "origin");
    if (changes && origin.at && !serve_guard_origin_allowed(guard, origin, host)) {
        *message = "this Origin may not do that; allowed_hosts can name it";
        return 403;
    }
    if (!token_is_right(exchange)) {
        *message = "a token is needed: Authorization: Bearer TOKEN; for the page open /?token=TOKEN once";
        return 401;
    }
    return 0;
}

/* ---- dispatch ---- */

static int read_parameters(struct serve_exchange *exchange, struct error *error)
{
    char space[1024];
    serve_parameters_init(&exchange->parameters);
    for (size_t i = 0;; i++) {
        struct bytes whole = net_request_argument(exchange->request, i, space, sizeof space);
        if (!whole.at)
            return serve_parameters_finish(&exchange->parameters, error);
        if (whole.length == sizeof space)
            return error_set(error, "a parameter is longer than any may be");
        struct bytes value = BYTES_NONE;
        struct bytes name = bytes_split(whole, '=', &value);
        if (name.length > 0 && serve_parameters_add(&exchange->parameters, exchange->route->parameters, name, value, error) != 0)
            return -1;
    }
}

void serve_route_request(void *context, struct net_request *request)
{
    struct serve_exchange exchange = {.serve = context, .request = request};
    struct bytes method = net_request_method(request);
    bool reads = bytes_equal(method, BYTES("GET")) || bytes_equal(method, BYTES("HEAD"));
    exchange.route = find_route(net_request_path(request), &exchange.name);
    const char *message = "there is nothing here";
    int status = check_caller(&exchange, !reads, &message);
    struct error error = {""};
    if (status == 0 && !exchange.route) {
        status = 404;
    } else if (status == 0 && !(exchange.route->deletes ? bytes_equal(method, BYTES("DELETE")) : reads)) {
        status = 405;
        message = exchange.route->deletes ? "only DELETE" : "only GET and HEAD";
    } else if (status == 0 && exchange.route->answer != serve_api_page && read_parameters(&exchange, &error) != 0) {
        status = 400;
        message = error.text;
    }
    if (status != 0)
        serve_answer_error(&exchange, status, message);
    else
        exchange.route->answer(&exchange);
}

bool serve_route_upgrade(void *context, struct net_request *request)
{
    struct serve *serve = context;
    struct serve_exchange exchange = {.serve = serve, .request = request};
    exchange.route = find_route(net_request_path(request), &exchange.name);
    const char *message = "";
    int status = check_caller(&exchange, true, &message);
    if (status == 0 && (!exchange.route || exchange.route->answer != serve_api_live)) {
        status = 404;
        message = "the WebSocket is at /live";
    } else if (status == 0 && serve_live_is_full(serve->live)) {
        status = 503;
        message = "too many live clients";
    }
    if (status != 0) {
        serve_answer_error(&exchange, status, message);
        return false;
    }
    serve_count_request(serve, exchange.route, 101);
    return true;
}
