/* What the routes answer. */
#include "serve/serve_internal.h"

#include "base/crc32c.h"
#include <stdio.h>

static bool is_head(const struct serve_exchange *exchange)
{
    return bytes_equal(net_request_method(exchange->request), BYTES("HEAD"));
}

/* ---- the page ---- */

/* A browser that opened /?token=… carries the token in a cookie from then on: no script can read it, no other site send
 * it, and it does not stay in the address. */
static bool take_token(struct serve_exchange *exchange)
{
    char token[512];
    if (!exchange->serve->guard.token)
        return false;
    struct bytes given = net_request_query(exchange->request, "token", token, sizeof token);
    if (!given.at || !serve_guard_token_right(&exchange->serve->guard, given))
        return false;
    char headers[768];
    snprintf(headers, sizeof headers,
             "Location: /\r\nSet-Cookie: dataflow_token=%s; Path=/; HttpOnly; SameSite=Strict\r\nCache-Control: no-store\r\n",
             exchange->serve->guard.token);
    serve_reply(exchange, &(struct net_reply){.status = 303, .content_type = "text/plain"}, headers);
    return true;
}

void serve_api_page(struct serve_exchange *exchange)
{
    struct bytes path = net_request_path(exchange->request);
    if (take_token(exchange))
        return;
    const struct serve_file *file = NULL;
    for (size_t i = 0; i < serve_page_file_count && !file; i++)
        if (bytes_equal(path, bytes_of_string(serve_page_files[i].path)))
            file = &serve_page_files[i];
    if (!file) {
        serve_answer_error(exchange, 404, "this program was built without the page");
        return;
    }
    struct bytes body = bytes_of((const char *)file->at, file->length);
    char tag[16], headers[256];
    snprintf(tag, sizeof tag, "\"%08x\"", (unsigned)crc32c(0, body));
    /* The name of a file other than the document holds a hash of its content: it never changes. */
    snprintf(headers, sizeof headers, "ETag: %s\r\nCache-Control: %s\r\n", tag,
             path.length == 1 ? "no-cache" : "public, max-age=31536000, immutable");
    struct net_reply reply = {.status = 200,
                              .content_type = file->content_type,
                              .body = body,
                              .constant = true,
                              .encoding = file->encoding && file->encoding[0] ? file->encoding : NULL};
    if (bytes_equal(net_request_header(exchange->request, "if-none-match"), bytes_of_string(tag)))
        reply = (struct net_reply){.status = 304};
    serve_reply(exchange, &reply, headers);
}

/* ---- probes and metrics ---- */

void serve_api_livez(struct serve_exchange *exchange)
{
    serve_answer(exchange, 200, "application/json", BYTES("{\"live\":true}"));
}

void serve_api_readyz(struct serve_exchange *exchange)
{
    const struct serve_backend *backend = &exchange->serve->backend;
    bool ready = backend->ready(backend->context);
    serve_answer(exchange, ready ? 200 : 503, "application/json", ready ? BYTES("{\"ready\":true}") : BYTES("{\"ready\":false}"));
}

static struct buffer *empty_answer(struct serve_exchange *exchange)
{
    struct buffer *answer = &exchange->serve->answer;
    /* What a rare large answer took is not kept. */
    if (answer->capacity > SERVE_BODY_MAX)
        buffer_release(answer);
    buffer_reset(answer);
    return answer;
}

static void answer_made(struct serve_exchange *exchange, int status, const char *content_type, const struct error *error)
{
    const struct buffer *answer = &exchange->serve->answer;
    if (answer->failed)
        serve_answer_error(exchange, 500, "the answer is too large: ask for less (limit)");
    else if (status != 200)
        serve_answer_error(exchange, status, error->text[0] ? error->text : "it cannot be answered now");
    else
        serve_answer(exchange, 200, content_type, buffer_bytes(answer));
}

static const struct error no_error = {""};

void serve_api_metrics(struct serve_exchange *exchange)
{
    const struct serve_backend *backend = &exchange->serve->backend;
    struct buffer *answer = empty_answer(exchange);
    backend->metrics(backend->context, answer);
    serve_metrics_write(exchange->serve, answer);
    answer_made(exchange, 200, "text/plain; version=0.0.4; charset=utf-8", &no_error);
}

void serve_api_openapi(struct serve_exchange *exchange)
{
    serve_openapi_write(empty_answer(exchange));
    answer_made(exchange, 200, "application/json", &no_error);
}

/* ---- data ---- */

void serve_api_events(struct serve_exchange *exchange)
{
    const struct serve_backend *backend = &exchange->serve->backend;
    struct error error = {""};
    if (!(exchange->parameters.given & SERVE_TOPIC)) {
        serve_answer_error(exchange, 400, "parameter 'topic' is missing: chat_stream, market_stream or analytics_stream");
        return;
    }
    int status = backend->events(backend->context, &exchange->parameters.query, empty_answer(exchange), &error);
    answer_made(exchange, status, "application/json", &error);
}

void serve_api_sources(struct serve_exchange *exchange)
{
    const struct serve_backend *backend = &exchange->serve->backend;
    answer_made(exchange, backend->sources(backend->context, empty_answer(exchange)), "application/json", &no_error);
}

void serve_api_status(struct serve_exchange *exchange)
{
    const struct serve_backend *backend = &exchange->serve->backend;
    answer_made(exchange, backend->status(backend->context, empty_answer(exchange)), "application/json", &no_error);
}

void serve_api_documents(struct serve_exchange *exchange)
{
    const struct serve_backend *backend = &exchange->serve->backend;
    struct error error = {""};
    /* The collection is the word after /api/v1/. */
    struct bytes rest;
    struct bytes collection = bytes_split(bytes_skip(net_request_path(exchange->request), strlen("/api/v1/")), '/', &rest);
    int status = backend->documents(backend->context, collection, exchange->name, &exchange->parameters.query,
                                    empty_answer(exchange), &error);
    answer_made(exchange, status, "application/json", &error);
}

/* ---- live ---- */

static int stream_subscription(const struct serve_exchange *exchange, struct serve_subscription *subscription,
                               struct error *error)
{
    const struct serve_events_query *query = &exchange->parameters.query;
    struct bytes rest = query->topic.length > 0 ? query->topic : BYTES("chat_stream,market_stream,analytics_stream");
    while (rest.at)
        if (serve_subscription_add(subscription, bytes_trim(bytes_split(rest, ',', &rest)), error) != 0)
            return -1;
    return query->key.length > 0 ? serve_subscription_only_key(subscription, query->key, error) : 0;
}

void serve_api_stream(struct serve_exchange *exchange)
{
    struct serve *serve = exchange->serve;
    struct serve_subscription subscription = {0};
    struct error error = {""};
    if (stream_subscription(exchange, &subscription, &error) != 0)
        serve_answer_error(exchange, 400, error.text);
    else if (is_head(exchange))
        serve_answer(exchange, 200, "text/event-stream", BYTES_NONE);
    else if (serve_live_is_full(serve->live))
        serve_answer_error(exchange, 503, "too many live clients");
    else {
        serve_count_request(serve, exchange->route, 200);
        serve_live_stream(serve->live, exchange->request, &subscription);
        return;
    }
    serve_subscription_release(&subscription);
}

void serve_api_live(struct serve_exchange *exchange)
{
    serve_answer_error(exchange, 426, "this is a WebSocket: connect with Upgrade: websocket");
}
