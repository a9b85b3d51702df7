/* Servers: listening, accepting, and the library's callbacks for accepted connections, which go to request.c (HTTP),
 * socket.c (WebSocket) and stream.c (responses without an end).
 *
 * The listening socket is ours: errors of bind come with their cause, and no connection beyond the limit ever becomes the
 * library's.  Out of file descriptors, accepting rests for a moment instead of spinning. */
#include "net/net_internal.h"

#include "base/env.h"
#include "base/logging.h"
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

enum { ACCEPTS_A_TURN = 64, BACKLOG = 256, KEEPALIVE_S = 60 };
#define ACCEPT_PAUSE_US 100000

/* ---- connections ---- */

static void connection_free(struct net_connection *connection)
{
    *connection->link = connection->next;
    if (connection->next)
        connection->next->link = connection->link;
    connection->server->connection_count--;
    if (connection->request) {
        if (connection->request->dispatched && !connection->request->replying)
            connection->request->connection = NULL; /* the owner still has it, and answers to nobody */
        else
            net_request_free(connection->request);
    }
    if (connection->socket) {
        connection->socket->wsi = NULL;
        net_socket_finish(connection->socket);
    }
    lws_set_opaque_user_data(connection->wsi, NULL);
    connection->magic = 0;
    free(connection);
}

static void adopt(struct net_server *server, int file)
{
    struct net_connection *connection = NULL;
    if (server->connection_count >= server->options.connection_max || !(connection = calloc(1, sizeof *connection))) {
        log_event(LOG_WARNING, "net_connection_limit", "server: %d connections are open, further ones are refused",
                  server->connection_count);
        close(file);
        return;
    }
    int on = 1;
    setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(file, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    struct lws *wsi = lws_adopt_socket_vhost(server->vhost, file);
    if (!wsi) { /* the library has closed the file */
        free(connection);
        return;
    }
    *connection = (struct net_connection){
        .magic = NET_CONNECTION_MAGIC, .server = server, .wsi = wsi, .next = server->connections, .link = &server->connections};
    if (connection->next)
        connection->next->link = &connection->next;
    server->connections = connection;
    server->connection_count++;
    lws_set_opaque_user_data(wsi, connection);
}

static void accept_all(struct net_server *server)
{
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        int file = accept4(server->listener_file, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (file >= 0) {
            adopt(server, file);
            continue;
        }
        if (errno == EINTR || errno == ECONNABORTED)
            continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK) {
            log_event(LOG_WARNING, "net_accept_failed", "server: cannot accept a connection: %s", strerror(errno));
            lws_rx_flow_control(server->listener, 0);
            net_timer_set(server->accept_again, env_system()->monotonic_us(env_system()) + ACCEPT_PAUSE_US);
        }
        return;
    }
}

static void on_accept_again(void *context)
{
    struct net_server *server = context;
    lws_rx_flow_control(server->listener, 1);
}

/* ---- the library's callbacks ---- */

static int socket_open(struct net_connection *connection)
{
    struct net_server *server = connection->server;
    struct net_socket *socket = net_socket_create(server->loop);
    if (!socket)
        return -1;
    if (connection->request) {
        net_request_free(connection->request);
        connection->request = NULL;
    }
    socket->wsi = connection->wsi;
    socket->server = server;
    socket->state = NET_SOCKET_OPEN;
    if (server->options.message_max)
        socket->message_max = server->options.message_max;
    connection->socket = socket;
    if (server->options.on_socket_open)
        server->options.on_socket_open(server->options.context, socket, &socket->context);
    return 0;
}

static int websocket_callback(struct net_connection *connection, enum lws_callback_reasons reason, void *in, size_t length)
{
    struct net_socket *socket = connection->socket;
    if (reason == LWS_CALLBACK_ESTABLISHED)
        return socket_open(connection);
    if (!socket) /* aborted, and the connection dies soon; see refuse_message for why reading never fails */
        return reason == LWS_CALLBACK_RECEIVE ? 0 : -1;
    switch (reason) {
    case LWS_CALLBACK_RECEIVE:
        net_socket_receive(socket, in, length);
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return net_socket_writable(socket);
    case LWS_CALLBACK_RECEIVE_PONG:
        socket->heard_us = env_system()->monotonic_us(env_system());
        return 0;
    default: /* LWS_CALLBACK_WS_PEER_INITIATED_CLOSE */
        net_socket_peer_close(socket, in, length);
        return 0;
    }
}

static int connection_callback(struct net_connection *connection, struct lws *wsi, enum lws_callback_reasons reason, void *in,
                               size_t length)
{
    switch (reason) {
    case LWS_CALLBACK_HTTP:
        return net_request_begin(connection, wsi);
    case LWS_CALLBACK_HTTP_BODY:
        return net_request_body_part(connection, in, length);
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return net_request_body_end(connection);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return net_request_writable(connection);
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return net_request_confirm_upgrade(connection, wsi, in);
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        return connection->upgrade_accepted ? 0 : -1;
    case LWS_CALLBACK_ESTABLISHED:
    case LWS_CALLBACK_RECEIVE:
    case LWS_CALLBACK_RECEIVE_PONG:
    case LWS_CALLBACK_SERVER_WRITEABLE:
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        return websocket_callback(connection, reason, in, length);
    case LWS_CALLBACK_CLOSED:
    case LWS_CALLBACK_CLOSED_HTTP:
    case LWS_CALLBACK_WSI_DESTROY:
        connection_free(connection);
        return 0;
    default: /* raw callbacks: CONNECT makes the library leave HTTP, which nobody here wants */
        return -1;
    }
}

/* What concerns one connection; the rest comes from contexts and virtual hosts, with no wsi behind it. */
static bool is_of_connection(enum lws_callback_reasons reason)
{
    switch (reason) {
    case LWS_CALLBACK_HTTP:
    case LWS_CALLBACK_HTTP_BODY:
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
    case LWS_CALLBACK_HTTP_WRITEABLE:
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
    case LWS_CALLBACK_ESTABLISHED:
    case LWS_CALLBACK_RECEIVE:
    case LWS_CALLBACK_RECEIVE_PONG:
    case LWS_CALLBACK_SERVER_WRITEABLE:
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
    case LWS_CALLBACK_CLOSED:
    case LWS_CALLBACK_CLOSED_HTTP:
    case LWS_CALLBACK_WSI_DESTROY:
    case LWS_CALLBACK_RAW_ADOPT:
    case LWS_CALLBACK_RAW_RX:
    case LWS_CALLBACK_RAW_WRITEABLE:
        return true;
    default:
        return false;
    }
}

static int server_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length)
{
    (void)user;
    if (!is_of_connection(reason))
        return 0;
    const unsigned *magic = lws_get_opaque_user_data(wsi);
    if (!magic) /* being adopted, or dying */
        return reason == LWS_CALLBACK_WSI_DESTROY || reason == LWS_CALLBACK_RAW_ADOPT ? 0 : -1;
    if (*magic == NET_CONNECTION_MAGIC)
        return connection_callback(lws_get_opaque_user_data(wsi), wsi, reason, in, length);
    /* The host's first protocol hears of the end of every wsi: streams and the listener have theirs. */
    return reason == LWS_CALLBACK_WSI_DESTROY && *magic == NET_STREAM_MAGIC ? net_stream_callback(wsi, reason, user, in, length)
                                                                            : 0;
}

static int listen_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length)
{
    (void)user;
    (void)in;
    (void)length;
    if (reason != LWS_CALLBACK_RAW_RX_FILE)
        return 0;
    struct net_server *server = lws_get_opaque_user_data(wsi);
    if (server) {
        assert(server->magic == NET_SERVER_MAGIC);
        accept_all(server);
    }
    return 0;
}

static const struct lws_protocols server_protocols[] = {
    {.name = "net-server", .callback = server_callback, .rx_buffer_size = 4096},
    {.name = "net-listen", .callback = listen_callback},
    {.name = "net-stream", .callback = net_stream_callback},
    {.name = NULL},
};

/* ---- starting and ending ---- */

static int bind_listener(const char *address, int port, struct error *error)
{
    char service[16];
    snprintf(service, sizeof service, "%d", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int status =
        getaddrinfo(bytes_equal(bytes_of_string(address), BYTES("localhost")) ? "127.0.0.1" : address, service, &hints, &found);
    if (status != 0)
        return error_set(error, "listen on %s: it is no numeric address (127.0.0.1, 0.0.0.0, ::1)", address);
    int file = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    if (file < 0 || setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(file, found->ai_addr, found->ai_addrlen) != 0 || listen(file, BACKLOG) != 0) {
        error_set_errno(error, errno, "listen on %s port %d%s", address, port,
                        errno == EADDRINUSE ? " (another program has it; choose another port)" : "");
        if (file >= 0)
            close(file);
        file = -1;
    }
    freeaddrinfo(found);
    return file;
}

static int bound_port(int file)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } bound;
    memset(&bound, 0, sizeof bound);
    socklen_t size = sizeof bound;
    if (getsockname(file, &bound.any, &size) != 0)
        return -1;
    return ntohs(bound.any.sa_family == AF_INET6 ? bound.v6.sin6_port : bound.v4.sin_port);
}

static int attach(struct net_server *server, struct error *error)
{
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = server_protocols,
        .vhost_name = "server",
        .keepalive_timeout = KEEPALIVE_S,
        .timeout_secs = 20,
        .retry_and_idle_policy = &server->loop->silence,
    };
    server->vhost = lws_create_vhost(server->loop->context, &info);
    lws_sock_file_fd_type file = {.filefd = server->listener_file};
    if (server->vhost)
        server->listener = lws_adopt_descriptor_vhost(server->vhost, LWS_ADOPT_RAW_FILE_DESC, file, "net-listen", NULL);
    server->accept_again = net_timer_create(server->loop, on_accept_again, server);
    if (!server->listener || !server->accept_again)
        return error_set(error, "server: out of memory");
    lws_set_opaque_user_data(server->listener, server);
    return 0;
}

struct net_server *net_server_start(struct net_loop *loop, const struct net_server_options *options, int *port,
                                    struct error *error)
{
    assert(options->on_request);
    int file = bind_listener(options->address, options->port, error);
    if (file < 0)
        return NULL;
    struct net_server *server = calloc(1, sizeof *server);
    if (!server) {
        close(file);
        error_set(error, "server: out of memory");
        return NULL;
    }
    server->magic = NET_SERVER_MAGIC;
    server->loop = loop;
    server->options = *options;
    server->listener_file = file;
    server->next = loop->servers;
    loop->servers = server;
    if (attach(server, error) != 0) {
        net_server_destroy(server);
        return NULL;
    }
    if (port)
        *port = bound_port(file);
    return server;
}

void net_server_destroy(struct net_server *server)
{
    while (server->streams)
        net_stream_abandon(server->streams);
    while (server->connections)
        connection_free(server->connections);
    if (server->listener)
        lws_set_opaque_user_data(server->listener, NULL); /* the library closes its file with the context */
    else
        close(server->listener_file);
    net_timer_destroy(server->accept_again);
    struct net_server **link = &server->loop->servers;
    while (*link != server)
        link = &(*link)->next;
    *link = server->next;
    free(server);
}
