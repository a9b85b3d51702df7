/* WebSocket clients: dialling (dial.c) and the handshake; then the shared part (socket.c).  The deadline covers all of it.
 * The protocols of all clients are listed here. */
#include "net/net_internal.h"

#include "base/env.h"
#include <assert.h>

static const char socket_protocol[] = "net-client";

static void on_dial_failed(void *owner, const char *reason)
{
    struct net_socket *socket = owner;
    if (socket->state != NET_SOCKET_CLOSING)
        net_socket_explain(socket, 0, "%s", reason);
    net_socket_finish(socket);
}

struct net_socket *net_socket_connect(struct net_loop *loop, struct bytes text, const struct net_socket_events *events,
                                      void *context, struct error *error)
{
    assert(events && events->on_message && events->on_close);
    struct net_url url;
    if (net_url_parse(text, &url, error) != 0)
        return NULL;
    if (!url.websocket) {
        error_set(error, "'%.*s' is no WebSocket address: ws:// or wss:// is needed", BYTES_ARG(text));
        return NULL;
    }
    if (loop->destroying) {
        error_set(error, "network: the loop ends");
        return NULL;
    }
    struct net_socket *socket = net_socket_create(loop);
    if (socket)
        socket->dial =
            net_dial_start(loop, &url,
                           &(struct net_dial_target){
                               .owner = socket, .wsi = &socket->wsi, .protocol = socket_protocol, .failed = on_dial_failed});
    if (!socket || !socket->dial) {
        net_socket_free(socket);
        error_set(error, "network: out of memory");
        return NULL;
    }
    socket->events = events;
    socket->context = context;
    net_timer_set(socket->deadline, env_system()->monotonic_us(env_system()) + loop->connect_timeout_us);
    return socket;
}

/* ---- the library's callbacks ---- */

static int established(struct net_socket *socket, struct lws *wsi)
{
    net_dial_free(socket->dial);
    socket->dial = NULL;
    socket->heard_us = env_system()->monotonic_us(env_system());
    if (socket->state == NET_SOCKET_CLOSING)
        return -1;
    lws_validity_confirmed(wsi); /* its clock of silence starts with ours */
    net_timer_set(socket->deadline, INT64_MAX);
    socket->state = NET_SOCKET_OPEN;
    socket->wsi = wsi;
    if (socket->events->on_open)
        socket->events->on_open(socket->context);
    return 0;
}

static void closed(struct net_socket *socket)
{
    bool ours = socket->state == NET_SOCKET_CLOSING;
    if (!ours && socket->close_code == 0 && socket->close_reason_length == 0) {
        int64_t silent_us = env_system()->monotonic_us(env_system()) - socket->heard_us;
        if (silent_us >= (int64_t)socket->loop->silence.secs_since_valid_hangup * 900000) /* the clocks differ a little */
            net_socket_explain(socket, 0, "silent for %d s, and no answer to a ping", (int)(silent_us / 1000000));
        else
            net_socket_explain(socket, 0, "the connection was lost");
    }
    net_socket_finish(socket);
}

int net_client_append_user_agent(struct lws *wsi, unsigned char **place, unsigned char *end)
{
    static const char agent[] = "dataflow/" DATAFLOW_VERSION;
    return lws_add_http_header_by_name(wsi, (const unsigned char *)"user-agent:", (const unsigned char *)agent, sizeof agent - 1,
                                       place, end);
}

/* The library asks the context's first protocol, which is this one; what it thinks of the certificate stands. */
static void note_certificate(struct lws *wsi, X509_STORE_CTX *store, bool accepted)
{
    const unsigned *magic = lws_get_opaque_user_data(wsi);
    if (accepted || !magic)
        return;
    struct net_dial *dial = NULL;
    if (*magic == NET_SOCKET_MAGIC)
        dial = ((struct net_socket *)lws_get_opaque_user_data(wsi))->dial;
    else if (*magic == NET_HTTP_MAGIC)
        dial = net_http_dial(lws_get_opaque_user_data(wsi));
    if (dial)
        net_dial_note_certificate(dial, store);
}

static int client_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length)
{
    switch (reason) {
    case LWS_CALLBACK_OPENSSL_PERFORM_SERVER_CERT_VERIFICATION:
        note_certificate(wsi, user, length != 0);
        return 0;
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
    case LWS_CALLBACK_WSI_CREATE:
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
    case LWS_CALLBACK_CLIENT_RECEIVE:
    case LWS_CALLBACK_CLIENT_RECEIVE_PONG:
    case LWS_CALLBACK_CLIENT_WRITEABLE:
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
    case LWS_CALLBACK_CLIENT_CLOSED:
    case LWS_CALLBACK_WSI_DESTROY:
        break;
    default:
        return 0; /* of the context, or of no interest: there may be no wsi behind it */
    }
    struct net_socket *socket = lws_get_opaque_user_data(wsi);
    if (!socket) /* let go; reading never fails, see refuse_message */
        return reason == LWS_CALLBACK_CLIENT_WRITEABLE ? -1 : 0;
    assert(socket->magic == NET_SOCKET_MAGIC);
    switch (reason) {
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
        return net_client_append_user_agent(wsi, in, *(unsigned char **)in + length);
    case LWS_CALLBACK_WSI_CREATE: /* TCP stands */
        if (socket->dial)
            socket->dial->answered = true;
        return 0;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        net_dial_error(socket->dial, wsi, "WebSocket handshake", in, length);
        return 0;
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        return established(socket, wsi);
    case LWS_CALLBACK_CLIENT_RECEIVE:
        net_socket_receive(socket, in, length);
        return 0;
    case LWS_CALLBACK_CLIENT_RECEIVE_PONG:
        socket->heard_us = env_system()->monotonic_us(env_system());
        return 0;
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return net_socket_writable(socket);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        net_socket_peer_close(socket, in, length);
        return 0;
    default: /* closed or destroyed, whichever comes first */
        lws_set_opaque_user_data(wsi, NULL);
        if (socket->dial && socket->dial->attempting)
            return 0;
        socket->wsi = NULL;
        closed(socket);
        return 0;
    }
}

const struct lws_protocols net_client_protocols[] = {
    {.name = socket_protocol, .callback = client_callback, .rx_buffer_size = 64 * 1024},
    {.name = NET_HTTP_PROTOCOL, .callback = net_http_callback, .rx_buffer_size = 64 * 1024},
    {.name = NULL},
};
