/* Short tries of addresses; each ends by a time-out of its own. */
#include "app/net_probe.h"

#include "net/net.h"
#include <errno.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HTTP_TIMEOUT_MS = 2000 };
#define SOCKET_TIMEOUT_US 12000000
#define STEP_US 100000

int probe_url(const struct config *config, const char *address, const char *path, char *url, size_t size, struct error *error)
{
    int length;
    if (address && (strncmp(address, "http://", 7) == 0 || strncmp(address, "https://", 8) == 0)) {
        size_t end = strlen(address);
        while (end > 0 && address[end - 1] == '/')
            end--;
        length = snprintf(url, size, "%.*s%s", (int)end, address, path);
    } else if (address) {
        if (!strchr(address, ':'))
            return error_set(error, "\"%.100s\" is not ADDRESS:PORT, such as 127.0.0.1:8500", address);
        length = snprintf(url, size, "http://%s%s", address, path);
    } else {
        const char *host = config->listen_address;
        if (config->listen_port == 0)
            return error_set(
                error, "the configured port is 0, which is another one at each start; name the address: dataflow health ADDR");
        if (strcmp(host, "0.0.0.0") == 0)
            host = "127.0.0.1";
        else if (strcmp(host, "::") == 0)
            host = "::1";
        bool bracket = strchr(host, ':') != NULL;
        length =
            snprintf(url, size, "http://%s%s%s:%d%s", bracket ? "[" : "", host, bracket ? "]" : "", config->listen_port, path);
    }
    return length > 0 && (size_t)length < size ? 0 : error_set(error, "the address is too long");
}

/* 0: the address can be bound; otherwise errno. */
static int try_bind(const char *address, int port)
{
    char service[16];
    snprintf(service, sizeof service, "%d", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found;
    if (getaddrinfo(address, service, &hints, &found))
        return EADDRNOTAVAIL;
    int result = 0, on = 1;
    int file = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (file < 0 || setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) || bind(file, found->ai_addr, found->ai_addrlen) ||
        listen(file, 1))
        result = errno;
    if (file >= 0)
        close(file);
    freeaddrinfo(found);
    return result;
}

/* Our /livez and /readyz answer 200 or 503, whoever asks. */
static bool is_instance(const struct config *config, struct error *error)
{
    char url[256];
    struct net_response response;
    if (probe_url(config, NULL, "/readyz", url, sizeof url, error) || net_http_get(url, HTTP_TIMEOUT_MS, &response, error))
        return false;
    bool ours = response.status == 200 || response.status == 503;
    free((void *)response.body.at);
    if (ours)
        error_set(error, "a running instance answers there and is %s", response.status == 200 ? "ready" : "not ready");
    return ours;
}

enum probe_listen probe_listen(const struct config *config, struct error *error)
{
    int number = try_bind(config->listen_address, config->listen_port);
    if (number == 0)
        return PROBE_FREE;
    if (number == EADDRINUSE && config->listen_port != 0 && is_instance(config, error))
        return PROBE_INSTANCE;
    error_set_errno(error, number, "%s cannot be listened on", config->listen);
    return number == EADDRINUSE ? PROBE_TAKEN : PROBE_IMPOSSIBLE;
}

struct
try {
    bool opened, closed;
    struct error *error;
};

static void on_open(void *context)
{
    ((struct try *)context)->opened = true;
}

static void on_message(void *context, struct bytes message)
{
    (void)context;
    (void)message;
}

static void on_close(void *context, int code, struct bytes reason)
{
    struct try *try = context;
    try->closed = true;
    if (try->opened)
        return;
    if (code)
        error_set(try->error, "closed with code %d %.*s", code, BYTES_ARG(reason));
    else
        error_set(try->error, "%.*s", BYTES_ARG(reason));
}

int probe_socket(const struct config *config, struct bytes url, struct error *error)
{
    static const struct net_socket_events events = {.on_open = on_open, .on_message = on_message, .on_close = on_close};
    struct net_loop_options options = {.tls_ca_file = config->tls_ca_file};
    struct net_loop *loop = net_loop_create(&options, error);
    if (!loop)
        return -1;
    struct try try = {.error = error};
    error_set(error, "no answer in time");
    const struct env *env = env_system();
    int64_t deadline_us = env->monotonic_us(env) + SOCKET_TIMEOUT_US;
    if (net_socket_connect(loop, url, &events, &try, error))
        while (!try.opened && !try.closed && env->monotonic_us(env) < deadline_us)
            net_loop_step(loop, STEP_US);
    net_loop_destroy(loop);
    return try.opened ? 0 : -1;
}

struct question {
    bool answered;
    int status;
    struct error *error;
};

static void on_answer(void *context, const struct net_answer *answer)
{
    struct question *question = context;
    question->answered = true;
    question->status = answer->status;
    if (answer->status == 0)
        error_set(question->error, "%.*s", BYTES_ARG(answer->body));
}

int probe_request(const struct config *config, struct bytes url, struct bytes headers, struct error *error)
{
    struct net_loop_options options = {.tls_ca_file = config->tls_ca_file};
    struct net_loop *loop = net_loop_create(&options, error);
    if (!loop)
        return 0;
    struct net_http_request request = {.method = "GET", .url = url, .headers = headers, .timeout_us = SOCKET_TIMEOUT_US};
    struct question question = {.error = error};
    if (net_http_send(loop, &request, on_answer, &question, error))
        while (!question.answered)
            net_loop_step(loop, STEP_US);
    net_loop_destroy(loop);
    return question.status;
}
