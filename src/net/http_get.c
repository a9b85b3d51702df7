/* One blocking HTTP GET, for commands that ask a running instance (health, doctor). */
#include "net/net_internal.h"

#include "base/env.h"
#include <stdio.h>

struct get {
    struct lws *wsi;
    bool done, timed_out;
    int status;
    struct buffer body;
    char problem[256];
};

static int read_body(struct lws *wsi)
{
    char space[LWS_PRE + 4096];
    char *at = space + LWS_PRE;
    int length = sizeof space - LWS_PRE;
    return lws_http_client_read(wsi, &at, &length) < 0 ? -1 : 0;
}

static int get_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length)
{
    struct get *get = user;
    switch (reason) {
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        snprintf(get->problem, sizeof get->problem, "%.*s", (int)(in ? strnlen(in, length) : 0), in ? (const char *)in : "");
        get->done = true;
        return 0;
    case LWS_CALLBACK_ESTABLISHED_CLIENT_HTTP:
        get->status = (int)lws_http_client_http_response(wsi);
        return 0;
    case LWS_CALLBACK_RECEIVE_CLIENT_HTTP:
        return read_body(wsi);
    case LWS_CALLBACK_RECEIVE_CLIENT_HTTP_READ:
        buffer_append(&get->body, bytes_of(in, length));
        return get->body.failed ? -1 : 0;
    case LWS_CALLBACK_COMPLETED_CLIENT_HTTP:
        get->done = true;
        return -1; /* no other request follows */
    case LWS_CALLBACK_CLOSED_CLIENT_HTTP:
        get->done = true;
        return 0;
    default:
        return 0;
    }
}

static const struct lws_protocols get_protocols[] = {
    {.name = "net-get", .callback = get_callback, .rx_buffer_size = 4096},
    {.name = NULL},
};

static void on_time_out(void *context)
{
    struct get *get = context;
    get->timed_out = true;
    get->done = true;
}

static struct lws *start(struct net_loop *loop, const struct net_url *url, const char *path, struct get *get)
{
    char host_header[NET_HOST_MAX + 16];
    net_url_host_header(url, host_header, sizeof host_header);
    struct lws_context_creation_info host = {
        .port = CONTEXT_PORT_NO_LISTEN, .protocols = get_protocols, .vhost_name = "get", .options = 0};
    struct error error;
    if (url->secure) {
        if (!net_client_vhost(loop, true, &error))
            return NULL;
        host.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        host.provided_client_ssl_ctx = loop->tls;
    }
    struct lws_client_connect_info info = {
        .context = loop->context,
        .vhost = lws_create_vhost(loop->context, &host),
        .address = url->host,
        .port = url->port,
        .path = path,
        .host = host_header,
        .method = "GET",
        .ssl_connection = (url->secure ? LCCSCF_USE_SSL : 0) | LCCSCF_HTTP_NO_FOLLOW_REDIRECT,
        .alpn = "http/1.1",
        .local_protocol_name = get_protocols[0].name,
        .userdata = get,
        .pwsi = &get->wsi,
    };
    return info.vhost ? lws_client_connect_via_info(&info) : NULL;
}

int net_http_get(const char *text, int timeout_ms, struct net_response *response, struct error *error)
{
    struct net_url url;
    *response = (struct net_response){0};
    if (net_url_parse(bytes_of_string(text), &url, error) != 0)
        return -1;
    if (url.websocket)
        return error_set(error, "'%s' is no HTTP address: http:// or https:// is needed", text);
    struct net_loop *loop = net_loop_create(&(struct net_loop_options){.without_tls = !url.secure}, error);
    if (!loop)
        return -1;
    struct get get = {0};
    buffer_init(&get.body, NET_MESSAGE_MAX);
    struct net_timer *timer = net_timer_create(loop, on_time_out, &get);
    char path[NET_PATH_MAX + 2];
    snprintf(path, sizeof path, "%s%.*s", url.path_length > 0 && url.path[0] == '/' ? "" : "/", (int)url.path_length,
             url.path_length > 0 ? url.path : "");
    if (timer)
        net_timer_set(timer, env_system()->monotonic_us(env_system()) + (int64_t)timeout_ms * 1000);
    if (!timer || !start(loop, &url, path, &get))
        get.done = true;
    while (!get.done)
        net_loop_step(loop, 1000000);
    net_timer_destroy(timer);
    net_loop_destroy(loop);
    int status = 0;
    if (get.status == 0 || get.timed_out || get.body.failed) {
        status = error_set(error, "GET %s: %s", text,
                           get.timed_out     ? "no answer in time"
                           : get.body.failed ? "the answer is too large"
                           : get.problem[0]  ? get.problem
                                             : "cannot connect");
        buffer_release(&get.body);
    } else {
        *response = (struct net_response){.status = get.status, .body = buffer_bytes(&get.body)};
    }
    return status;
}
