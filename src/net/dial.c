/* Reaching a server, for WebSocket and HTTP clients alike: name, address after address, TCP, TLS.
 *
 *   start --> (name looked up) --> attempt --> the library goes on, and tells the owner by its protocol's callback
 *                                  ^     |
 *                                  |     v  failed at once, or CLIENT_CONNECTION_ERROR (net_dial_error)
 *                                  `- next address, as long as nothing answered; else `failed`
 *
 * The library tells of a failed attempt by CLIENT_CONNECTION_ERROR, or by returning NULL where it failed at once; both end
 * in attempt_failed.  Time-outs are the owner's. */
#include "net/net_internal.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <stdio.h>

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

static void attempt_failed(struct net_dial *dial, const char *text)
{
    *dial->target.wsi = NULL;
    if (dial->given_up || dial->answered || dial->address_next == dial->address_count)
        dial->target.failed(dial->target.owner, text);
    else
        net_timer_set(dial->start, 0);
}

static void attempt(struct net_dial *dial)
{
    const struct net_url *url = &dial->url;
    struct error error;
    struct lws_vhost *vhost = net_client_vhost(dial->loop, url->secure, &error);
    if (!vhost) {
        dial->target.failed(dial->target.owner, error.text);
        return;
    }
    char host_header[NET_HOST_MAX + 16];
    net_url_host_header(url, host_header, sizeof host_header);
    struct lws_client_connect_info info = {
        .context = dial->loop->context,
        .vhost = vhost,
        .address = dial->addresses[dial->address_next++].text,
        .port = url->port,
        .path = dial->path,
        .host = host_header,
        .method = dial->target.method,
        .ssl_connection = (url->secure ? LCCSCF_USE_SSL : 0) | LCCSCF_HTTP_NO_FOLLOW_REDIRECT,
        .alpn = "http/1.1",
        .local_protocol_name = dial->target.protocol,
        .opaque_user_data = dial->target.owner,
        .retry_and_idle_policy = &dial->loop->silence,
        .pwsi = dial->target.wsi,
    };
    errno = 0;
    dial->attempting = true;
    struct lws *wsi = lws_client_connect_via_info(&info);
    int cause = errno; /* that of connect() where the network refused at once */
    dial->attempting = false;
    if (!wsi) {
        char text[256];
        snprintf(text, sizeof text, "cannot connect to %s port %d: %s", info.address, url->port,
                 cause == ECONNREFUSED || cause == ENETUNREACH || cause == EHOSTUNREACH || cause == EACCES
                     ? strerror(cause)
                     : "refused or unreachable");
        attempt_failed(dial, text);
    }
}

static void on_resolved(void *context, const struct net_address *addresses, size_t count, const char *problem)
{
    struct net_dial *dial = context;
    dial->lookup = NULL;
    if (count == 0) {
        char text[NET_HOST_MAX + 160];
        snprintf(text, sizeof text, "cannot resolve %s: %s", dial->url.host, problem);
        dial->target.failed(dial->target.owner, text);
        return;
    }
    memcpy(dial->addresses, addresses, count * sizeof *addresses);
    dial->address_count = count;
    attempt(dial);
}

static void on_start(void *context)
{
    struct net_dial *dial = context;
    if (dial->address_count == 0)
        dial->address_count = net_lookup_literal(dial->url.host, dial->addresses);
    if (dial->address_count > 0) {
        attempt(dial);
        return;
    }
    dial->lookup = net_lookup_start(dial->loop, dial->url.host, on_resolved, dial);
    if (!dial->lookup) {
        char text[NET_HOST_MAX + 64];
        snprintf(text, sizeof text, "cannot resolve %s: no thread for it", dial->url.host);
        dial->target.failed(dial->target.owner, text);
    }
}

struct net_dial *net_dial_start(struct net_loop *loop, const struct net_url *url, const struct net_dial_target *target)
{
    struct net_dial *dial = calloc(1, sizeof *dial + url->path_length + 2);
    if (!dial)
        return NULL;
    dial->loop = loop;
    dial->url = *url;
    dial->target = *target;
    snprintf(dial->path, url->path_length + 2, "%s%.*s", url->path_length > 0 && url->path[0] == '/' ? "" : "/",
             (int)url->path_length, url->path_length > 0 ? url->path : "");
    dial->url.path = dial->path;
    dial->start = net_timer_create(loop, on_start, dial);
    if (!dial->start) {
        free(dial);
        return NULL;
    }
    net_timer_set(dial->start, 0);
    return dial;
}

void net_dial_free(struct net_dial *dial)
{
    if (!dial)
        return;
    if (dial->lookup)
        net_lookup_cancel(dial->lookup);
    net_timer_destroy(dial->start);
    free(dial);
}

/* ---- what the library says ---- */

/* How newer versions say that connect() failed: "conn fail: ERRNO".  0: it is about something else. */
static int errno_of_connect(struct bytes text)
{
    struct bytes start = BYTES("conn fail: ");
    uint64_t number;
    if (!bytes_start_with(text, start) || !bytes_to_u64(bytes_skip(text, start.length), &number) || number > INT_MAX)
        return 0;
    return (int)number;
}

void net_dial_error(struct net_dial *dial, struct lws *wsi, const char *what, const char *text, size_t length)
{
    const struct net_url *url = &dial->url;
    unsigned status = url->websocket ? lws_http_client_http_response(wsi) : 0;
    struct bytes detail = bytes_trim(bytes_of(text, text ? strnlen(text, length) : 0));
    int cause = errno_of_connect(detail);
    char problem[512];
    if (status != 0 && status != 101) {
        dial->answered = true;
        snprintf(problem, sizeof problem, "%s answered HTTP status %u instead of a WebSocket", url->host, status);
    } else if (dial->bad_certificate) {
        snprintf(problem, sizeof problem, "TLS to %s port %d failed: the server's certificate is not accepted: %s", url->host,
                 url->port, dial->bad_certificate);
    } else if (cause != 0 || bytes_equal(detail, BYTES("Unable to connect"))) {
        snprintf(problem, sizeof problem, "cannot connect to %s port %d: %s", url->host, url->port,
                 cause != 0 ? strerror(cause) : "refused or unreachable");
    } else {
        snprintf(problem, sizeof problem, "%s%s to %s port %d failed: %.*s", dial->answered && url->secure ? "TLS or " : "",
                 dial->answered ? what : "connection", url->host, url->port, BYTES_ARG(detail));
    }
    lws_set_opaque_user_data(wsi, NULL);
    attempt_failed(dial, problem);
}

void net_dial_note_certificate(struct net_dial *dial, X509_STORE_CTX *store)
{
    dial->bad_certificate = X509_verify_cert_error_string(X509_STORE_CTX_get_error(store));
}
