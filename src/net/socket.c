/* WebSockets, what both sides share: putting fragments together, the queue of messages to be sent, closing.
 *
 *                  (client)                     net_socket_close, message too large
 *   CONNECTING ---------------> OPEN ------------------------------------------------> CLOSING
 *        \                        \  the other side closes, silence, connection lost      /
 *         `------------------------`----------------> net_socket_finish <----------------'
 *
 * net_socket_finish is the one way out: it tells the owner, exactly once, and frees. */
#include "net/net_internal.h"

#include "base/env.h"
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

/* One queued message; the library writes its header into the bytes before the payload. */
struct net_frame {
    struct net_frame *next;
    size_t length;
    unsigned char space[]; /* LWS_PRE, then the payload */
};

/* Frames written in one go before others have their turn. */
enum { FRAMES_A_TURN = 256 };

static int64_t monotonic_us(void)
{
    return env_system()->monotonic_us(env_system());
}

static void on_deadline(void *context)
{
    struct net_socket *socket = context;
    if (socket->state == NET_SOCKET_CONNECTING)
        net_socket_explain(socket, 0, "no connection within %g s", (double)socket->loop->connect_timeout_us / 1e6);
    net_socket_abort(socket);
}

struct net_socket *net_socket_create(struct net_loop *loop)
{
    struct net_socket *socket = calloc(1, sizeof *socket);
    if (!socket)
        return NULL;
    socket->magic = NET_SOCKET_MAGIC;
    socket->loop = loop;
    socket->message_max = NET_MESSAGE_MAX;
    socket->heard_us = monotonic_us();
    socket->deadline = net_timer_create(loop, on_deadline, socket);
    if (!socket->deadline) {
        free(socket);
        return NULL;
    }
    buffer_init(&socket->partial, NET_MESSAGE_MAX);
    socket->next = loop->sockets;
    socket->link = &loop->sockets;
    if (socket->next)
        socket->next->link = &socket->next;
    loop->sockets = socket;
    return socket;
}

void net_socket_explain(struct net_socket *socket, int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(socket->close_reason, sizeof socket->close_reason, format, arguments);
    va_end(arguments);
    socket->close_code = code;
    if (length < 0)
        length = 0;
    size_t most = sizeof socket->close_reason - 1;
    socket->close_reason_length = (size_t)length < most ? (size_t)length : most;
}

static void drop_queue(struct net_socket *socket)
{
    while (socket->first) {
        struct net_frame *next = socket->first->next;
        free(socket->first);
        socket->first = next;
    }
    socket->last = NULL;
    socket->queued_bytes = 0;
}

void net_socket_free(struct net_socket *socket)
{
    if (!socket)
        return;
    *socket->link = socket->next;
    if (socket->next)
        socket->next->link = socket->link;
    net_timer_destroy(socket->deadline);
    net_dial_free(socket->dial);
    drop_queue(socket);
    buffer_release(&socket->partial);
    socket->magic = 0;
    free(socket);
}

void net_socket_finish(struct net_socket *socket)
{
    assert(socket->magic == NET_SOCKET_MAGIC);
    if (socket->wsi && !socket->server)
        lws_set_opaque_user_data(socket->wsi, NULL);
    socket->state = NET_SOCKET_CLOSING; /* whatever the owner still asks of it */
    if (socket->server) {
        if (socket->server->options.on_socket_close)
            socket->server->options.on_socket_close(socket->context);
    } else {
        socket->events->on_close(socket->context, socket->close_code,
                                 bytes_of(socket->close_reason, socket->close_reason_length));
    }
    net_socket_free(socket);
}

void net_socket_abort(struct net_socket *socket)
{
    struct lws *wsi = socket->wsi;
    if (socket->server) {
        /* The connection goes with the wsi, and ends the socket. */
        struct net_connection *connection = lws_get_opaque_user_data(wsi);
        connection->socket = NULL;
        net_socket_finish(socket);
        lws_set_timeout(wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
        return;
    }
    net_socket_finish(socket);
    if (wsi)
        net_wsi_drop(wsi);
}

/* ---- receiving ---- */

/* Says goodbye when there is room to; what still comes is dropped.  The receiving callback must not fail: libwebsockets
 * 4.1 reads on after that, behind the end of its buffer. */
static void refuse_message(struct net_socket *socket)
{
    net_socket_explain(socket, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, "a message of more than %zu bytes", socket->message_max);
    socket->state = NET_SOCKET_CLOSING;
    drop_queue(socket);
    buffer_release(&socket->partial);
    net_timer_set(socket->deadline, monotonic_us() + NET_CLOSE_TIMEOUT_US);
    lws_callback_on_writable(socket->wsi);
}

static void deliver(struct net_socket *socket, struct bytes message)
{
    if (socket->server)
        socket->server->options.on_socket_message(socket->context, message);
    else
        socket->events->on_message(socket->context, message);
}

void net_socket_receive(struct net_socket *socket, const char *data, size_t length)
{
    if (socket->state != NET_SOCKET_OPEN)
        return;
    lws_validity_confirmed(socket->wsi);
    socket->heard_us = monotonic_us();
    bool final = lws_is_final_fragment(socket->wsi);
    struct bytes part = bytes_of(data, length);
    if (socket->partial.length + length > socket->message_max) {
        refuse_message(socket);
        return;
    }
    if (final && socket->partial.length == 0) {
        deliver(socket, part);
        return;
    }
    buffer_append(&socket->partial, part);
    if (socket->partial.failed) {
        refuse_message(socket);
        return;
    }
    if (final) {
        deliver(socket, buffer_bytes(&socket->partial));
        /* What a rare large message took is not kept. */
        if (socket->partial.capacity > 64 * 1024)
            buffer_release(&socket->partial);
        else
            buffer_reset(&socket->partial);
    }
}

void net_socket_peer_close(struct net_socket *socket, const unsigned char *payload, size_t length)
{
    if (socket->state == NET_SOCKET_CLOSING)
        return; /* our own close stands */
    if (length < 2) {
        net_socket_explain(socket, 0, "closed by the other side without a code");
        return;
    }
    size_t most = sizeof socket->close_reason;
    socket->close_code = payload[0] << 8 | payload[1];
    socket->close_reason_length = length - 2 < most ? length - 2 : most;
    memcpy(socket->close_reason, payload + 2, socket->close_reason_length);
}

/* ---- sending ---- */

bool net_socket_send(struct net_socket *socket, struct bytes message)
{
    if (socket->state != NET_SOCKET_OPEN)
        return false;
    size_t size = sizeof(struct net_frame) + LWS_PRE + message.length;
    if (size > NET_SEND_QUEUE_MAX - socket->queued_bytes || message.length > NET_SEND_QUEUE_MAX)
        return false;
    struct net_frame *frame = malloc(size);
    if (!frame)
        return false;
    frame->next = NULL;
    frame->length = message.length;
    if (message.length > 0)
        memcpy(frame->space + LWS_PRE, message.at, message.length);
    if (socket->last)
        socket->last->next = frame;
    else
        socket->first = frame;
    socket->last = frame;
    socket->queued_bytes += size;
    lws_callback_on_writable(socket->wsi);
    return true;
}

size_t net_socket_queued_bytes(const struct net_socket *socket)
{
    return socket->queued_bytes;
}

static bool write_first(struct net_socket *socket)
{
    struct net_frame *frame = socket->first;
    int written = lws_write(socket->wsi, frame->space + LWS_PRE, frame->length, LWS_WRITE_TEXT);
    socket->first = frame->next;
    if (!socket->first)
        socket->last = NULL;
    socket->queued_bytes -= sizeof *frame + LWS_PRE + frame->length;
    free(frame);
    return written >= 0;
}

int net_socket_writable(struct net_socket *socket)
{
    if (!socket->first && socket->state == NET_SOCKET_OPEN)
        return 0;
    int turns = FRAMES_A_TURN;
    while (socket->first && turns-- > 0) {
        if (!write_first(socket))
            return -1;
        if (socket->first && lws_send_pipe_choked(socket->wsi))
            break;
    }
    if (socket->first) {
        lws_callback_on_writable(socket->wsi);
        return 0;
    }
    if (socket->state == NET_SOCKET_CLOSING) {
        bool told = socket->close_code == LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE; /* other closes explain themselves */
        lws_close_reason(socket->wsi, (enum lws_close_status)socket->close_code, (unsigned char *)socket->close_reason,
                         told ? socket->close_reason_length : 0);
        return -1;
    }
    if (socket->server && socket->server->options.on_socket_writable)
        socket->server->options.on_socket_writable(socket->context);
    return 0;
}

void net_socket_close(struct net_socket *socket, int code)
{
    if (socket->state == NET_SOCKET_CLOSING)
        return;
    bool open = socket->state == NET_SOCKET_OPEN;
    socket->state = NET_SOCKET_CLOSING;
    if (!open) {
        if (socket->dial)
            socket->dial->given_up = true;
        net_socket_explain(socket, 0, "closed before it was open");
        net_timer_set(socket->deadline, 0);
        return;
    }
    net_socket_explain(socket, code ? code : LWS_CLOSE_STATUS_NORMAL, "closed by this side");
    net_timer_set(socket->deadline, monotonic_us() + NET_CLOSE_TIMEOUT_US);
    lws_callback_on_writable(socket->wsi);
}
