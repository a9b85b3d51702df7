/* Responses without an end (server-sent events).
 *
 * The library's HTTP server does not read while an answer is under way: it would neither notice that the client left nor
 * stop being woken by what the client sends.  So a stream leaves HTTP: its socket is duplicated and goes on as a raw one,
 * and the HTTP connection is dropped.  What comes in is read and forgotten; the end of it is the end of the stream. */
#include "net/net_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

struct net_stream {
    unsigned magic;
    struct net_server *server;
    struct net_stream *next, **link;
    struct lws *wsi;
    struct buffer queue;
    bool ended; /* the owner has let go */
    void (*on_gone)(void *context);
    void *context;
};

static void stream_free(struct net_stream *stream)
{
    *stream->link = stream->next;
    if (stream->next)
        stream->next->link = stream->link;
    stream->server->connection_count--;
    lws_set_opaque_user_data(stream->wsi, NULL);
    if (!stream->ended && stream->on_gone)
        stream->on_gone(stream->context);
    buffer_release(&stream->queue);
    stream->magic = 0;
    free(stream);
}

void net_stream_abandon(struct net_stream *stream)
{
    stream_free(stream);
}

static int write_queue(struct net_stream *stream)
{
    while (stream->queue.length > 0) {
        ssize_t sent = send(lws_get_socket_fd(stream->wsi), stream->queue.at, stream->queue.length, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            lws_callback_on_writable(stream->wsi);
            return 0;
        }
        if (sent < 0)
            return -1;
        buffer_consume(&stream->queue, (size_t)sent);
    }
    return stream->ended ? -1 : 0;
}

int net_stream_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length)
{
    (void)user;
    (void)in;
    (void)length;
    if (reason != LWS_CALLBACK_RAW_RX && reason != LWS_CALLBACK_RAW_WRITEABLE && reason != LWS_CALLBACK_RAW_CLOSE &&
        reason != LWS_CALLBACK_WSI_DESTROY)
        return 0;
    struct net_stream *stream = lws_get_opaque_user_data(wsi);
    if (!stream)
        return reason == LWS_CALLBACK_RAW_RX || reason == LWS_CALLBACK_RAW_WRITEABLE ? -1 : 0;
    assert(stream->magic == NET_STREAM_MAGIC);
    if (reason == LWS_CALLBACK_RAW_WRITEABLE)
        return write_queue(stream);
    if (reason != LWS_CALLBACK_RAW_RX)
        stream_free(stream);
    return 0;
}

/* The connection's socket under a raw wsi; the HTTP one is dropped. */
static struct lws *take_over(struct net_connection *connection)
{
    struct net_server *server = connection->server;
    int file = fcntl(lws_get_socket_fd(connection->wsi), F_DUPFD_CLOEXEC, 0);
    if (file < 0)
        return NULL;
    lws_sock_file_fd_type descriptor = {.sockfd = file};
    return lws_adopt_descriptor_vhost(server->vhost, LWS_ADOPT_SOCKET, descriptor, "net-stream", NULL);
}

struct net_stream *net_respond_stream(struct net_request *request, const char *content_type, void (*on_gone)(void *context),
                                      void *context)
{
    struct net_connection *connection = request->connection;
    if (!connection) {
        net_request_free(request);
        return NULL;
    }
    struct net_server *server = connection->server;
    struct net_stream *stream = calloc(1, sizeof *stream);
    struct lws *wsi = stream ? take_over(connection) : NULL;
    net_request_free(request);
    /* Its answer goes elsewhere, or there is none: either way this wsi ends now, and its connection with it. */
    lws_set_timeout(connection->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
    if (!wsi) {
        free(stream);
        return NULL;
    }
    *stream = (struct net_stream){.magic = NET_STREAM_MAGIC,
                                  .server = server,
                                  .wsi = wsi,
                                  .on_gone = on_gone,
                                  .context = context,
                                  .next = server->streams,
                                  .link = &server->streams};
    if (stream->next)
        stream->next->link = &stream->next;
    server->streams = stream;
    server->connection_count++;
    lws_set_opaque_user_data(wsi, stream);
    buffer_init(&stream->queue, NET_SEND_QUEUE_MAX);
    buffer_printf(&stream->queue, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
                  content_type);
    lws_callback_on_writable(wsi);
    return stream;
}

bool net_stream_send(struct net_stream *stream, struct bytes data)
{
    if (data.length > NET_SEND_QUEUE_MAX - stream->queue.length || !buffer_reserve(&stream->queue, data.length)) {
        stream->queue.failed = false; /* refused, not broken */
        return false;
    }
    buffer_append(&stream->queue, data);
    lws_callback_on_writable(stream->wsi);
    return true;
}

size_t net_stream_queued_bytes(const struct net_stream *stream)
{
    return stream->queue.length;
}

void net_stream_end(struct net_stream *stream)
{
    stream->ended = true;
    lws_callback_on_writable(stream->wsi);
}
