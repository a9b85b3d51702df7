/* HTTP client: one request a connection, on the caller's loop.
 *
 *   net_http_send --> dialling --> (request sent) --> answered: status and headers --> body --> on_answer
 *          \____________ \_______________________________ \____ time-out, failure _______/^
 *
 * finish() is the one way to on_answer and net_http_cancel the one way around it; both take the request out of its wsi, so
 * that nothing the library still says of the connection reaches anybody.  Headers may hold secrets: they are in no text
 * that leaves this file but the request itself, and are wiped with it. */
#include "net/net_internal.h"

#include "base/env.h"
#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <time.h>

enum { READ_SIZE = 4096, WRITE_SIZE = 4096, METHOD_MAX = 15 };
#define DEFAULT_TIMEOUT_US 10000000
#define RETRY_AFTER_MAX_US ((int64_t)24 * 3600 * 1000000)
#define EPOCH_S_MAX 253402300800u /* the year 10000 */
#define TOO_LARGE "the answer is larger than 8 MiB"

struct net_http {
    unsigned magic; /* first: see note_certificate in client.c */
    struct net_loop *loop;
    struct net_http *next, **link; /* the loop's list */
    struct lws *wsi;
    struct net_dial *dial; /* until answered */
    struct net_timer *deadline;
    int64_t timeout_us;
    char method[METHOD_MAX + 1];
    struct buffer headers, to_send;
    size_t sent;
    void (*on_answer)(void *context, const struct net_answer *answer);
    void *context;
    /* the answer */
    int status;
    int64_t retry_after_us;
    int64_t expected; /* length of the body; -1: up to the end of the connection or of the chunks */
    bool chunked;
    struct buffer body;
};

/* ---- its end ---- */

static void http_free(struct net_http *http)
{
    assert(http->magic == NET_HTTP_MAGIC);
    if (http->link) {
        *http->link = http->next;
        if (http->next)
            http->next->link = http->link;
    }
    if (http->wsi)
        lws_set_opaque_user_data(http->wsi, NULL);
    net_timer_destroy(http->deadline);
    net_dial_free(http->dial);
    if (http->headers.at)
        explicit_bzero(http->headers.at, http->headers.capacity);
    buffer_release(&http->headers);
    buffer_release(&http->to_send);
    buffer_release(&http->body);
    http->magic = 0;
    free(http);
}

/* Tells the owner, once, and frees the request; its wsi goes on without it. */
static void finish(struct net_http *http, const struct net_answer *answer)
{
    http->on_answer(http->context, answer);
    http_free(http);
}

static void fail(struct net_http *http, const char *reason)
{
    finish(http, &(struct net_answer){.retry_after_us = NET_RETRY_AFTER_NONE, .body = bytes_of_string(reason)});
}

static void succeed(struct net_http *http)
{
    finish(http, &(struct net_answer){
                     .status = http->status, .retry_after_us = http->retry_after_us, .body = buffer_bytes(&http->body)});
}

static void on_deadline(void *context)
{
    struct net_http *http = context;
    struct lws *wsi = http->wsi;
    char reason[80];
    snprintf(reason, sizeof reason, "no answer in time (%g s)", (double)http->timeout_us / 1e6);
    fail(http, reason);
    if (wsi)
        net_wsi_drop(wsi);
}

static void on_dial_failed(void *owner, const char *reason)
{
    fail(owner, reason);
}

void net_http_cancel(struct net_http *http)
{
    struct lws *wsi = http->wsi;
    http_free(http);
    if (wsi)
        net_wsi_drop(wsi);
}

void net_http_abandon(struct net_loop *loop)
{
    while (loop->requests) {
        struct net_http *http = loop->requests;
        loop->requests = http->next;
        if (http->next)
            http->next->link = &loop->requests;
        http->link = NULL;
        fail(http, "the network loop ended");
    }
}

struct net_dial *net_http_dial(struct net_http *http)
{
    return http->dial;
}

/* ---- its beginning ---- */

static bool is_token(struct bytes text)
{
    for (size_t i = 0; i < text.length; i++)
        if (!isalnum((unsigned char)text.at[i]) && text.at[i] != '-' && text.at[i] != '_')
            return false;
    return text.length > 0;
}

/* Whole lines `Name: value` and nothing that could end one early. */
static bool headers_are_plain(struct bytes headers)
{
    while (headers.length > 0) {
        struct bytes value, line = bytes_split(headers, '\n', &headers);
        if (headers.at == NULL || line.length == 0 || line.at[--line.length] != '\r' ||
            !is_token(bytes_split(line, ':', &value)) || value.at == NULL)
            return false;
        for (size_t i = 0; i < value.length; i++)
            if ((unsigned char)value.at[i] < ' ' || value.at[i] == 0x7f)
                return false;
    }
    return true;
}

static int check(const struct net_loop *loop, const struct net_http_request *request, struct net_url *url, struct error *error)
{
    struct bytes method = bytes_of_string(request->method);
    if (net_url_parse(request->url, url, error) != 0)
        return -1;
    if (url->websocket)
        return error_set(error, "'%.*s' is no HTTP address: http:// or https:// is needed", BYTES_ARG(request->url));
    if (!is_token(method) || method.length > METHOD_MAX)
        return error_set(error, "HTTP: '%s' is no method", request->method ? request->method : "");
    if (!headers_are_plain(request->headers) || request->headers.length > NET_REQUEST_HEADERS_MAX)
        return error_set(error, "HTTP: a header of the request holds what no header may, or there are too many");
    if (request->body.length > NET_BODY_MAX)
        return error_set(error, "HTTP: the request is larger than %d bytes", NET_BODY_MAX);
    if (loop->destroying)
        return error_set(error, "network: the loop ends");
    return 0;
}

static struct net_http *create(struct net_loop *loop, const struct net_http_request *request)
{
    struct net_http *http = calloc(1, sizeof *http);
    if (!http)
        return NULL;
    http->magic = NET_HTTP_MAGIC;
    http->loop = loop;
    http->timeout_us = request->timeout_us ? request->timeout_us : DEFAULT_TIMEOUT_US;
    http->expected = -1;
    http->retry_after_us = NET_RETRY_AFTER_NONE;
    snprintf(http->method, sizeof http->method, "%s", request->method);
    buffer_init(&http->headers, NET_REQUEST_HEADERS_MAX);
    buffer_init(&http->to_send, NET_BODY_MAX);
    buffer_init(&http->body, NET_BODY_MAX);
    if (request->headers.length > 0)
        buffer_append(&http->headers, request->headers);
    if (request->body.length > 0)
        buffer_append(&http->to_send, request->body);
    http->deadline = net_timer_create(loop, on_deadline, http);
    return http;
}

struct net_http *net_http_send(struct net_loop *loop, const struct net_http_request *request,
                               void (*on_answer)(void *context, const struct net_answer *answer), void *context,
                               struct error *error)
{
    struct net_url url;
    if (check(loop, request, &url, error) != 0)
        return NULL;
    struct net_http *http = create(loop, request);
    if (http && http->deadline && !http->headers.failed && !http->to_send.failed)
        http->dial = net_dial_start(loop, &url,
                                    &(struct net_dial_target){.owner = http,
                                                              .wsi = &http->wsi,
                                                              .protocol = NET_HTTP_PROTOCOL,
                                                              .method = http->method,
                                                              .failed = on_dial_failed});
    if (!http || !http->dial) {
        if (http)
            http_free(http);
        error_set(error, "network: out of memory");
        return NULL;
    }
    http->on_answer = on_answer;
    http->context = context;
    http->next = loop->requests;
    http->link = &loop->requests;
    if (http->next)
        http->next->link = &http->next;
    loop->requests = http;
    net_timer_set(http->deadline, env_system()->monotonic_us(env_system()) + http->timeout_us);
    return http;
}

/* ---- the request ---- */

static bool has_body(const struct net_http *http)
{
    return http->to_send.length > 0 || http->method[0] == 'P'; /* POST, PUT and PATCH say even that there is none */
}

static int append_headers(struct net_http *http, struct lws *wsi, unsigned char **place, size_t room)
{
    unsigned char *end = *place + room;
    if (net_client_append_user_agent(wsi, place, end) != 0)
        return -1;
    if (has_body(http)) {
        if (lws_add_http_header_content_length(wsi, http->to_send.length, place, end) != 0)
            return -1;
        if (http->to_send.length > 0) {
            lws_client_http_body_pending(wsi, 1);
            lws_callback_on_writable(wsi);
        }
    }
    if ((size_t)(end - *place) < http->headers.length)
        return -1;
    if (http->headers.length > 0)
        memcpy(*place, http->headers.at, http->headers.length);
    *place += http->headers.length;
    return 0;
}

static int write_body(struct net_http *http, struct lws *wsi)
{
    unsigned char space[LWS_PRE + WRITE_SIZE];
    size_t rest = http->to_send.length - http->sent, length = rest < WRITE_SIZE ? rest : WRITE_SIZE;
    if (length == 0)
        return 0;
    memcpy(space + LWS_PRE, http->to_send.at + http->sent, length);
    bool last = length == rest;
    if (last)
        lws_client_http_body_pending(wsi, 0);
    if (lws_write(wsi, space + LWS_PRE, length, last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) != (int)length)
        return -1;
    http->sent += length;
    if (!last)
        lws_callback_on_writable(wsi);
    return 0;
}

/* ---- the answer ---- */

/* The value of a header, "" if there is none or it is absurdly long. */
static struct bytes header(struct lws *wsi, enum lws_token_indexes which, char *space, size_t size)
{
    int length = lws_hdr_copy(wsi, space, (int)size, which);
    return bytes_trim(bytes_of(space, length > 0 ? (size_t)length : 0));
}

static int64_t seconds_from_now(int64_t at_s)
{
    int64_t wait_us = at_s * 1000000 - env_system()->now_us(env_system());
    return wait_us < 0 ? 0 : wait_us > RETRY_AFTER_MAX_US ? RETRY_AFTER_MAX_US : wait_us;
}

/* RFC 9110, 10.2.3: seconds or a date. */
static int64_t parse_retry_after(struct bytes text)
{
    uint64_t seconds;
    struct tm date = {0};
    char copy[64];
    if (bytes_to_u64(text, &seconds))
        return seconds < RETRY_AFTER_MAX_US / 1000000 ? (int64_t)seconds * 1000000 : RETRY_AFTER_MAX_US;
    snprintf(copy, sizeof copy, "%.*s", BYTES_ARG(text));
    const char *end = strptime(copy, "%a, %d %b %Y %H:%M:%S GMT", &date);
    return end && *end == '\0' ? seconds_from_now(timegm(&date)) : NET_RETRY_AFTER_NONE;
}

static int64_t retry_after(struct lws *wsi)
{
    char space[64];
    struct bytes text = header(wsi, WSI_TOKEN_HTTP_RETRY_AFTER, space, sizeof space);
    if (text.length > 0)
        return parse_retry_after(text);
    /* Twitch says it so: the second at which there will be quota again. */
    static const char reset[] = "ratelimit-reset:";
    uint64_t at_s;
    int length = lws_hdr_custom_copy(wsi, space, sizeof space, reset, sizeof reset - 1);
    if (length > 0 && bytes_to_u64(bytes_trim(bytes_of(space, (size_t)length)), &at_s) && at_s < EPOCH_S_MAX)
        return seconds_from_now((int64_t)at_s);
    return NET_RETRY_AFTER_NONE;
}

static int answered(struct net_http *http, struct lws *wsi)
{
    char space[64];
    uint64_t length;
    http->status = (int)lws_http_client_http_response(wsi);
    if (http->status == 429 || http->status == 503)
        http->retry_after_us = retry_after(wsi);
    struct bytes coding = header(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING, space, sizeof space);
    http->chunked = bytes_equal_ignore_case(coding, BYTES("chunked"));
    struct bytes expected = header(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, space, sizeof space);
    if (!http->chunked && bytes_to_u64(expected, &length)) {
        if (length > NET_BODY_MAX) {
            fail(http, TOO_LARGE);
            return -1;
        }
        http->expected = (int64_t)length;
    }
    net_dial_free(http->dial);
    http->dial = NULL;
    if (http->expected == 0 || http->status == 204 || http->status == 304 || strcmp(http->method, "HEAD") == 0) {
        succeed(http);
        return -1;
    }
    return 0;
}

static int read_body(struct lws *wsi)
{
    char space[LWS_PRE + READ_SIZE];
    char *at = space + LWS_PRE;
    int length = READ_SIZE;
    return lws_http_client_read(wsi, &at, &length) < 0 ? -1 : 0;
}

static int take_body(struct net_http *http, struct bytes part)
{
    buffer_append(&http->body, part);
    if (!http->body.failed)
        return 0;
    fail(http, TOO_LARGE);
    return -1;
}

/* The library says that the body is complete, or the connection is gone.  libwebsockets 4.1 says the former also where the
 * connection went within a chunked body. */
static void ended(struct net_http *http, bool complete)
{
    if (http->status == 0)
        fail(http, "the connection was lost before the answer");
    else if ((http->chunked && !complete) || (http->expected >= 0 && (uint64_t)http->expected != http->body.length))
        fail(http, "the connection was lost within the answer");
    else
        succeed(http);
}

int net_http_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length)
{
    (void)user;
    switch (reason) {
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
    case LWS_CALLBACK_WSI_CREATE:
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
    case LWS_CALLBACK_CLIENT_HTTP_WRITEABLE:
    case LWS_CALLBACK_ESTABLISHED_CLIENT_HTTP:
    case LWS_CALLBACK_RECEIVE_CLIENT_HTTP:
    case LWS_CALLBACK_RECEIVE_CLIENT_HTTP_READ:
    case LWS_CALLBACK_COMPLETED_CLIENT_HTTP:
    case LWS_CALLBACK_CLOSED_CLIENT_HTTP:
    case LWS_CALLBACK_WSI_DESTROY:
        break;
    default:
        return 0; /* of the context, or of no interest: there may be no wsi behind it */
    }
    struct net_http *http = lws_get_opaque_user_data(wsi);
    if (!http) /* answered or cancelled */
        return reason == LWS_CALLBACK_CLOSED_CLIENT_HTTP || reason == LWS_CALLBACK_WSI_DESTROY ? 0 : -1;
    assert(http->magic == NET_HTTP_MAGIC);
    switch (reason) {
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
        return append_headers(http, wsi, in, length);
    case LWS_CALLBACK_WSI_CREATE: /* TCP stands */
        http->dial->answered = true;
        return 0;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        if (http->dial)
            net_dial_error(http->dial, wsi, "HTTP request", in, length);
        else
            ended(http, false);
        return 0;
    case LWS_CALLBACK_CLIENT_HTTP_WRITEABLE:
        return write_body(http, wsi);
    case LWS_CALLBACK_ESTABLISHED_CLIENT_HTTP:
        return answered(http, wsi);
    case LWS_CALLBACK_RECEIVE_CLIENT_HTTP:
        return read_body(wsi);
    case LWS_CALLBACK_RECEIVE_CLIENT_HTTP_READ:
        return take_body(http, bytes_of(in, length));
    case LWS_CALLBACK_COMPLETED_CLIENT_HTTP:
        ended(http, true);
        return -1; /* no other request follows */
    default:       /* closed or destroyed, whichever comes first */
        if (http->dial && http->dial->attempting)
            return 0;
        ended(http, false);
        return 0;
    }
}
