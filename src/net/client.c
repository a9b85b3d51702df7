/* WebSocket clients: name, address after address, TCP, TLS, handshake; then the shared part (socket.c).
 *
 * The library tells of a failed attempt by CLIENT_CONNECTION_ERROR, or by returning NULL where it failed at once; both end
 * in attempt_failed, which goes on to the next address as long as nothing answered.  The deadline covers all of it. */
#include "net/net_internal.h"

#include "base/env.h"
#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>

struct net_connect {
    struct net_url url; /* its path points into text */
    struct net_lookup *lookup;
    struct net_address addresses[NET_ADDRESS_MAX];
    size_t address_count, address_next;
    struct net_timer *start;     /* begins an attempt outside of the caller's and the library's calls */
    bool answered;               /* TCP stood: another address would not help */
    const char *bad_certificate; /* what is wrong with the server's, as OpenSSL words it */
    bool attempting;             /* inside the library's connect call, whose result says it all */
    char path[];
};

void net_connect_free(struct net_connect *connect)
{
    if (!connect)
        return;
    if (connect->lookup)
        net_lookup_cancel(connect->lookup);
    net_timer_destroy(connect->start);
    free(connect);
}

/* ---- TLS ---- */

static SSL_CTX *make_tls(const char *ca_file, struct error *error)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    if (!tls || SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) != 1 || SSL_CTX_set_default_verify_paths(tls) != 1 ||
        (ca_file && SSL_CTX_load_verify_locations(tls, ca_file, NULL) != 1)) {
        error_set(error, "TLS: cannot be set up%s%s: %s", ca_file ? " with " : "", ca_file ? ca_file : "",
                  ERR_reason_error_string(ERR_peek_last_error()));
        ERR_clear_error();
        SSL_CTX_free(tls);
        return NULL;
    }
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    return tls;
}

struct lws_vhost *net_client_vhost(struct net_loop *loop, bool secure, struct error *error)
{
    struct lws_vhost **place = secure ? &loop->secure : &loop->plain;
    if (*place)
        return *place;
    if (secure && loop->without_tls) {
        error_set(error, "TLS: this loop was made without");
        return NULL;
    }
    if (secure && !loop->tls && !(loop->tls = make_tls(loop->tls_ca_file, error)))
        return NULL;
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .protocols = net_client_protocols,
        .vhost_name = secure ? "secure" : "plain",
        .options = secure ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT : 0,
        .provided_client_ssl_ctx = secure ? loop->tls : NULL,
        .connect_timeout_secs = 20,
        .timeout_secs = 20,
    };
    *place = lws_create_vhost(loop->context, &info);
    if (!*place)
        error_set(error, "network: cannot set up %s clients", secure ? "TLS" : "plain");
    return *place;
}

/* ---- attempts ---- */

static void next_attempt(struct net_socket *socket);

static void attempt_failed(struct net_socket *socket, const char *text)
{
    struct net_connect *connect = socket->connect;
    socket->wsi = NULL;
    if (socket->state == NET_SOCKET_CLOSING || connect->answered || connect->address_next == connect->address_count) {
        if (socket->state != NET_SOCKET_CLOSING)
            net_socket_explain(socket, 0, "%s", text);
        net_socket_finish(socket);
        return;
    }
    net_timer_set(connect->start, 0);
}

static void next_attempt(struct net_socket *socket)
{
    struct net_connect *connect = socket->connect;
    const struct net_url *url = &connect->url;
    struct error error;
    struct lws_vhost *vhost = net_client_vhost(socket->loop, url->secure, &error);
    if (!vhost) {
        net_socket_explain(socket, 0, "%s", error.text);
        net_socket_finish(socket);
        return;
    }
    char host_header[NET_HOST_MAX + 16];
    net_url_host_header(url, host_header, sizeof host_header);
    struct lws_client_connect_info info = {
        .context = socket->loop->context,
        .vhost = vhost,
        .address = connect->addresses[connect->address_next++].text,
        .port = url->port,
        .path = connect->path,
        .host = host_header,
        .ssl_connection = (url->secure ? LCCSCF_USE_SSL : 0) | LCCSCF_HTTP_NO_FOLLOW_REDIRECT,
        .alpn = "http/1.1",
        .local_protocol_name = net_client_protocols[0].name,
        .opaque_user_data = socket,
        .retry_and_idle_policy = &socket->loop->silence,
        .pwsi = &socket->wsi,
    };
    errno = 0;
    connect->attempting = true;
    struct lws *wsi = lws_client_connect_via_info(&info);
    int cause = errno; /* that of connect() where the network refused at once */
    connect->attempting = false;
    if (!wsi) {
        char text[256];
        snprintf(text, sizeof text, "cannot connect to %s port %d: %s", info.address, url->port,
                 cause == ECONNREFUSED || cause == ENETUNREACH || cause == EHOSTUNREACH || cause == EACCES
                     ? strerror(cause)
                     : "refused or unreachable");
        attempt_failed(socket, text);
    }
}

static void on_resolved(void *context, const struct net_address *addresses, size_t count, const char *problem)
{
    struct net_socket *socket = context;
    struct net_connect *connect = socket->connect;
    connect->lookup = NULL;
    if (count == 0) {
        net_socket_explain(socket, 0, "cannot resolve %s: %s", connect->url.host, problem);
        net_socket_finish(socket);
        return;
    }
    memcpy(connect->addresses, addresses, count * sizeof *addresses);
    connect->address_count = count;
    next_attempt(socket);
}

static void on_start(void *context)
{
    struct net_socket *socket = context;
    struct net_connect *connect = socket->connect;
    if (connect->address_count == 0)
        connect->address_count = net_lookup_literal(connect->url.host, connect->addresses);
    if (connect->address_count > 0) {
        next_attempt(socket);
        return;
    }
    connect->lookup = net_lookup_start(socket->loop, connect->url.host, on_resolved, socket);
    if (!connect->lookup) {
        net_socket_explain(socket, 0, "cannot resolve %s: no thread for it", connect->url.host);
        net_socket_finish(socket);
    }
}

static struct net_connect *create_connect(struct net_socket *socket, const struct net_url *url)
{
    struct net_connect *connect = calloc(1, sizeof *connect + url->path_length + 2);
    if (!connect)
        return NULL;
    connect->url = *url;
    snprintf(connect->path, url->path_length + 2, "%s%.*s", url->path_length > 0 && url->path[0] == '/' ? "" : "/",
             (int)url->path_length, url->path_length > 0 ? url->path : "");
    connect->start = net_timer_create(socket->loop, on_start, socket);
    if (!connect->start) {
        free(connect);
        return NULL;
    }
    return connect;
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
        socket->connect = create_connect(socket, &url);
    if (!socket || !socket->connect) {
        net_socket_free(socket);
        error_set(error, "network: out of memory");
        return NULL;
    }
    socket->events = events;
    socket->context = context;
    net_timer_set(socket->connect->start, 0);
    net_timer_set(socket->deadline, env_system()->monotonic_us(env_system()) + loop->connect_timeout_us);
    return socket;
}

/* ---- the library's callbacks ---- */

static void connection_error(struct net_socket *socket, struct lws *wsi, const char *text, size_t length)
{
    struct net_connect *connect = socket->connect;
    const struct net_url *url = &connect->url;
    unsigned status = lws_http_client_http_response(wsi);
    char problem[512];
    if (status != 0 && status != 101) {
        connect->answered = true;
        snprintf(problem, sizeof problem, "%s answered HTTP status %u instead of a WebSocket", url->host, status);
    } else if (connect->bad_certificate) {
        snprintf(problem, sizeof problem, "TLS to %s port %d failed: the server's certificate is not accepted: %s", url->host,
                 url->port, connect->bad_certificate);
    } else if (length == strlen("Unable to connect") && memcmp(text, "Unable to connect", length) == 0) {
        snprintf(problem, sizeof problem, "cannot connect to %s port %d: refused or unreachable", url->host, url->port);
    } else {
        struct bytes detail = bytes_trim(bytes_of(text, text ? strnlen(text, length) : 0));
        snprintf(problem, sizeof problem, "%s to %s port %d failed: %.*s",
                 !connect->answered ? "connection"
                 : url->secure      ? "TLS or WebSocket handshake"
                                    : "WebSocket handshake",
                 url->host, url->port, BYTES_ARG(detail));
    }
    lws_set_opaque_user_data(wsi, NULL);
    attempt_failed(socket, problem);
}

static int established(struct net_socket *socket, struct lws *wsi)
{
    net_connect_free(socket->connect);
    socket->connect = NULL;
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

static int append_user_agent(struct lws *wsi, void *in, size_t length)
{
    static const char agent[] = "dataflow/" DATAFLOW_VERSION;
    unsigned char **place = in;
    return lws_add_http_header_by_name(wsi, (const unsigned char *)"user-agent:", (const unsigned char *)agent, sizeof agent - 1,
                                       place, *place + length);
}

/* The library asks the context's first protocol, which is this one; what it thinks of the certificate stands. */
static void note_certificate(struct lws *wsi, X509_STORE_CTX *store, bool accepted)
{
    struct net_socket *socket = lws_get_opaque_user_data(wsi);
    if (!accepted && socket && socket->magic == NET_SOCKET_MAGIC && socket->connect)
        socket->connect->bad_certificate = X509_verify_cert_error_string(X509_STORE_CTX_get_error(store));
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
        return append_user_agent(wsi, in, length);
    case LWS_CALLBACK_WSI_CREATE: /* TCP stands */
        if (socket->connect)
            socket->connect->answered = true;
        return 0;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        connection_error(socket, wsi, in, length);
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
        if (socket->connect && socket->connect->attempting)
            return 0;
        socket->wsi = NULL;
        closed(socket);
        return 0;
    }
}

const struct lws_protocols net_client_protocols[] = {
    {.name = "net-client", .callback = client_callback, .rx_buffer_size = 64 * 1024},
    {.name = NULL},
};
