/* HTTP requests: from the library's header table to the owner's on_request, and the answer back.
 *
 *   begin --(body announced)--> body parts --> end --> on_request --> net_respond --> writable ... --> completed
 *      \__________(none)______________________________/         \--> net_respond_stream (stream.c)
 *
 * A connection has at most one request.  Requests that cannot be told apart safely from what follows them (no length where
 * one is due, chunked, a length that is no number) are answered and the connection closed: this server is no place for
 * smuggling. */
#include "net/net_internal.h"

#include <assert.h>
#include <stdio.h>
#include <time.h>

enum { HEADER_SPACE = 8 * 1024, HEAD_MAX = 16 * 1024, ANSWER_TIMEOUT_S = 30 };

static const struct {
    enum lws_token_indexes token;
    const char *name;
    bool body_due; /* without Content-Length its end is unknown */
} methods[] = {
    {WSI_TOKEN_GET_URI, "GET", false},         {WSI_TOKEN_POST_URI, "POST", true}, {WSI_TOKEN_DELETE_URI, "DELETE", false},
    {WSI_TOKEN_HEAD_URI, "HEAD", false},       {WSI_TOKEN_PUT_URI, "PUT", true},   {WSI_TOKEN_PATCH_URI, "PATCH", true},
    {WSI_TOKEN_OPTIONS_URI, "OPTIONS", false},
};

static const struct {
    const char *name;
    enum lws_token_indexes token;
} headers[] = {
    {"host", WSI_TOKEN_HOST},
    {"origin", WSI_TOKEN_ORIGIN},
    {"authorization", WSI_TOKEN_HTTP_AUTHORIZATION},
    {"accept-encoding", WSI_TOKEN_HTTP_ACCEPT_ENCODING},
    {"content-type", WSI_TOKEN_HTTP_CONTENT_TYPE},
    {"if-none-match", WSI_TOKEN_HTTP_IF_NONE_MATCH},
    {"cookie", WSI_TOKEN_HTTP_COOKIE},
};

static const struct {
    int status;
    const char *text;
} statuses[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {303, "See Other"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {411, "Length Required"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {421, "Misdirected Request"},
    {426, "Upgrade Required"},
    {429, "Too Many Requests"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
};

const char *net_status_text(int status)
{
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        if (statuses[i].status == status)
            return statuses[i].text;
    return "Unknown";
}

void net_request_free(struct net_request *request)
{
    if (!request)
        return;
    if (request->connection)
        request->connection->request = NULL;
    free(request->path);
    free(request->header_space);
    buffer_release(&request->body);
    buffer_release(&request->reply);
    free(request);
}

/* ---- receiving ---- */

static int find_method(struct lws *wsi)
{
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (lws_hdr_total_length(wsi, methods[i].token) > 0)
            return (int)i;
    return -1;
}

/* Closes after the answer: HTTP/1.0, or wished so. */
static bool wants_close(struct lws *wsi)
{
    char text[64];
    int length = lws_hdr_copy(wsi, text, sizeof text, WSI_TOKEN_HTTP);
    bool modern = length > 7 && bytes_equal(bytes_of(text, 8), BYTES("HTTP/1.1"));
    length = lws_hdr_copy(wsi, text, sizeof text, WSI_TOKEN_CONNECTION);
    return !modern || (length > 0 && bytes_equal_ignore_case(bytes_trim(bytes_of(text, (size_t)length)), BYTES("close")));
}

static struct net_request *create_request(struct net_connection *connection, struct lws *wsi, int method)
{
    struct net_request *request = calloc(1, sizeof *request);
    if (!request)
        return NULL;
    int length = lws_hdr_total_length(wsi, methods[method].token);
    request->path = malloc((size_t)length + 1);
    if (!request->path || lws_hdr_copy(wsi, request->path, length + 1, methods[method].token) < 0) {
        net_request_free(request);
        return NULL;
    }
    request->path_length = (size_t)length;
    request->method = methods[method].name;
    request->close_after = wants_close(wsi);
    request->connection = connection;
    buffer_init(&request->body, connection->server->options.body_max);
    buffer_init(&request->reply, SIZE_MAX / 2);
    connection->request = request;
    return request;
}

static void refuse(struct net_request *request, int status, const char *code, const char *message)
{
    char body[256];
    int length = snprintf(body, sizeof body, "{\"error\":{\"code\":\"%s\",\"message\":\"%s\"}}", code, message);
    request->close_after = true;
    request->dispatched = true;
    net_respond(request, &(struct net_reply){
                             .status = status, .content_type = "application/json", .body = bytes_of(body, (size_t)length)});
}

static void dispatch(struct net_request *request)
{
    struct net_connection *connection = request->connection;
    lws_set_timeout(connection->wsi, NO_PENDING_TIMEOUT, 0);
    request->dispatched = true;
    connection->server->options.on_request(connection->server->options.context, request);
}

int net_request_begin(struct net_connection *connection, struct lws *wsi)
{
    if (connection->request)
        return -1; /* one at a time: the library does not hand out the next before the answer to this */
    int method = find_method(wsi);
    struct net_request *request = method >= 0 ? create_request(connection, wsi, method) : NULL;
    if (!request)
        return -1;
    char text[24];
    int length = lws_hdr_copy(wsi, text, sizeof text, WSI_TOKEN_HTTP_CONTENT_LENGTH);
    bool announced = lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) > 0;
    uint64_t body_length = 0;
    if (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0)
        refuse(request, 501, "not_implemented", "a body must come with Content-Length, not chunked");
    else if (announced && (length <= 0 || !bytes_to_u64(bytes_of(text, (size_t)length), &body_length)))
        refuse(request, 400, "bad_request", "Content-Length is no number");
    else if (!announced && methods[method].body_due)
        refuse(request, 411, "length_required", "Content-Length is missing");
    else if (body_length > connection->server->options.body_max)
        refuse(request, 413, "too_large", "the body is larger than accepted here");
    else if (body_length == 0 && methods[method].token != WSI_TOKEN_POST_URI)
        dispatch(request);
    /* Otherwise the body follows; the library tells the end of an empty one too, but only of a POST. */
    return 0;
}

int net_request_body_part(struct net_connection *connection, const void *data, size_t length)
{
    struct net_request *request = connection->request;
    if (!request || request->dispatched)
        return 0; /* refused already: what still comes is read and forgotten */
    buffer_append(&request->body, bytes_of(data, length));
    if (request->body.failed)
        refuse(request, 413, "too_large", "the body is larger than accepted here");
    return 0;
}

int net_request_body_end(struct net_connection *connection)
{
    struct net_request *request = connection->request;
    if (request && !request->dispatched)
        dispatch(request);
    return 0;
}

/* ---- what the owner reads ---- */

struct bytes net_request_method(const struct net_request *request)
{
    return bytes_of_string(request->method);
}

struct bytes net_request_path(const struct net_request *request)
{
    return bytes_of(request->path, request->path_length);
}

struct bytes net_request_body(const struct net_request *request)
{
    return buffer_bytes(&request->body);
}

struct bytes net_request_argument(const struct net_request *request, size_t index, char *space, size_t size)
{
    if (!request->connection || index > 1000)
        return BYTES_NONE;
    struct lws *wsi = request->connection->wsi;
    if (lws_hdr_fragment_length(wsi, WSI_TOKEN_HTTP_URI_ARGS, (int)index) <= 0 &&
        lws_hdr_copy_fragment(wsi, space, (int)size, WSI_TOKEN_HTTP_URI_ARGS, (int)index) < 0)
        return BYTES_NONE;
    int length = lws_hdr_copy_fragment(wsi, space, (int)size, WSI_TOKEN_HTTP_URI_ARGS, (int)index);
    return bytes_of(space, length < 0 ? size : (size_t)length);
}

struct bytes net_request_query(const struct net_request *request, const char *name, char *space, size_t size)
{
    /* Arguments are short but for cursors and tokens; what does not fit here is too long for any. */
    char argument[2048];
    for (size_t i = 0;; i++) {
        struct bytes whole = net_request_argument(request, i, argument, sizeof argument);
        if (!whole.at)
            return BYTES_NONE;
        if (whole.length == sizeof argument)
            continue;
        struct bytes value;
        if (!bytes_equal(bytes_split(whole, '=', &value), bytes_of_string(name)))
            continue;
        if (value.length >= size)
            return bytes_of(space, size);
        if (value.length > 0)
            memcpy(space, value.at, value.length);
        space[value.length] = '\0';
        return bytes_of(space, value.length);
    }
}

struct bytes net_request_header(struct net_request *request, const char *name)
{
    if (!request->connection)
        return BYTES_NONE;
    if (!request->header_space && !(request->header_space = malloc(HEADER_SPACE)))
        return BYTES_NONE;
    struct lws *wsi = request->connection->wsi;
    char *space = request->header_space + request->header_used;
    int size = (int)(HEADER_SPACE - request->header_used);
    int length = -1;
    bool known = false;
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        if (!bytes_equal(bytes_of_string(headers[i].name), bytes_of_string(name)))
            continue;
        known = true;
        if (size > 1 && lws_hdr_total_length(wsi, headers[i].token) > 0)
            length = lws_hdr_copy(wsi, space, size, headers[i].token);
    }
    if (!known && size > 1) {
        char with_colon[64];
        int name_length = snprintf(with_colon, sizeof with_colon, "%s:", name);
        length = lws_hdr_custom_copy(wsi, space, size, with_colon, name_length);
    }
    if (length < 0)
        return BYTES_NONE;
    request->header_used += (size_t)length + 1;
    return bytes_of(space, (size_t)length);
}

/* ---- answering ---- */

static void append_date(struct buffer *out)
{
    char text[64];
    time_t now = time(NULL);
    struct tm parts;
    gmtime_r(&now, &parts);
    strftime(text, sizeof text, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts);
    buffer_append(out, bytes_of_string(text));
}

static void append_head(struct net_request *request, const struct net_reply *reply)
{
    struct buffer *out = &request->reply;
    buffer_printf(out, "HTTP/1.1 %d %s\r\n", reply->status, net_status_text(reply->status));
    append_date(out);
    if (reply->content_type)
        buffer_printf(out, "Content-Type: %s\r\n", reply->content_type);
    if (reply->status != 304 && reply->status != 204)
        buffer_printf(out, "Content-Length: %zu\r\n", reply->body.length);
    if (reply->encoding)
        buffer_printf(out, "Content-Encoding: %s\r\n", reply->encoding);
    if (reply->headers)
        buffer_append(out, bytes_of_string(reply->headers));
    if (request->close_after)
        BUFFER_LITERAL(out, "Connection: close\r\n");
    BUFFER_LITERAL(out, "\r\n");
}

void net_respond(struct net_request *request, const struct net_reply *reply)
{
    assert(request->dispatched && !request->replying);
    if (!request->connection) { /* nobody waits for it any more */
        net_request_free(request);
        return;
    }
    append_head(request, reply);
    if (!bytes_equal(bytes_of_string(request->method), BYTES("HEAD"))) {
        if (reply->constant)
            request->constant = reply->body;
        else
            buffer_append(&request->reply, reply->body);
    }
    request->replying = true;
    if (request->upgrade)
        return; /* written by the caller */
    lws_set_timeout(request->connection->wsi, PENDING_TIMEOUT_HTTP_CONTENT, ANSWER_TIMEOUT_S);
    lws_callback_on_writable(request->connection->wsi);
}

/* The next piece of the answer, copied into the loop's scratch space: the library may write before it. */
static size_t next_piece(struct net_request *request, unsigned char *out)
{
    size_t taken = 0;
    struct bytes parts[2] = {buffer_bytes(&request->reply), request->constant};
    size_t skip = request->sent;
    for (size_t i = 0; i < 2; i++) {
        if (skip >= parts[i].length) {
            skip -= parts[i].length;
            continue;
        }
        size_t length = parts[i].length - skip;
        if (length > NET_SCRATCH_SIZE - taken)
            length = NET_SCRATCH_SIZE - taken;
        memcpy(out + taken, parts[i].at + skip, length);
        taken += length;
        skip = 0;
    }
    return taken;
}

/* 1: all of it is the library's now; 0: more to come; -1: the connection is gone. */
static int write_reply(struct net_request *request)
{
    struct lws *wsi = request->connection->wsi;
    unsigned char *piece = request->connection->server->loop->scratch + LWS_PRE;
    size_t total = request->reply.length + request->constant.length;
    if (request->reply.failed)
        return -1;
    while (request->sent < total) {
        size_t length = next_piece(request, piece);
        bool last = request->sent + length == total;
        if (lws_write(wsi, piece, length, last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) < 0)
            return -1;
        request->sent += length;
        if (!last && lws_send_pipe_choked(wsi))
            return 0;
    }
    return 1;
}

int net_request_writable(struct net_connection *connection)
{
    struct net_request *request = connection->request;
    if (!request || !request->replying)
        return 0;
    int status = write_reply(request);
    if (status < 0)
        return -1;
    lws_set_timeout(connection->wsi, PENDING_TIMEOUT_HTTP_CONTENT, ANSWER_TIMEOUT_S);
    if (status == 0) {
        lws_callback_on_writable(connection->wsi);
        return 0;
    }
    bool close_after = request->close_after;
    net_request_free(request);
    return close_after || lws_http_transaction_completed(connection->wsi) ? -1 : 0;
}

/* ---- upgrades ---- */

/* 0: go on; the library then upgrades for "websocket" and serves plain HTTP for what it does not know; -1: close. */
int net_request_confirm_upgrade(struct net_connection *connection, struct lws *wsi, char *protocol)
{
    int method = find_method(wsi);
    /* The library calls even after it has refused an unknown protocol itself; the headers are gone then. */
    if (method < 0 || connection->request)
        return -1;
    if (!bytes_equal_ignore_case(bytes_of_string(protocol), BYTES("websocket"))) {
        /* Not offering HTTP/2 is to ignore the wish for it (RFC 9110 section 7.8), which the library would grant: it
         * looks at this text again. */
        protocol[0] = '-';
        return 0;
    }
    struct net_request *request = create_request(connection, wsi, method);
    if (!request)
        return -1;
    const struct net_server_options *options = &connection->server->options;
    request->upgrade = true;
    request->dispatched = true;
    request->close_after = true;
    bool accepted = options->on_upgrade && bytes_equal(bytes_of_string(request->method), BYTES("GET")) &&
                    options->on_upgrade(options->context, request);
    if (accepted) {
        connection->upgrade_accepted = true;
        net_request_free(request);
        return 0;
    }
    if (!request->replying)
        refuse(request, 403, "forbidden", "no WebSocket here");
    write_reply(request); /* short: the library keeps what the socket does not take at once */
    return -1;
}
