/* The loop: one libwebsockets context, its clock, wake-ups from other threads, and the library's log.
 *
 * Invariants: everything but net_loop_wake and net_loop_stop runs on the loop's thread.  A wake-up is a flag and a write to
 * the context's event descriptor, both safe in signal handlers; the flag is looked at after each round, never inside one
 * of the library's callbacks. */
#include "net/net_internal.h"

#include "base/env.h"
#include "base/logging.h"
#include <assert.h>
#include <openssl/pem.h>
#include <pthread.h>

/* The library speaks of much that is no news (a peer's malformed request, a failed certificate that on_close reports as
 * well), so its lines are for debugging. */
static void log_line(int level, const char *line)
{
    (void)level;
    struct bytes text = bytes_trim(bytes_of_string(line));
    log_event(LOG_DEBUG, "net_library", "libwebsockets: %.*s", BYTES_ARG(text));
}

static void set_log(void)
{
    lws_set_log_level(LLL_ERR | LLL_WARN | LLL_NOTICE, log_line);
}

/* The library keeps the index under which it finds its own data in a TLS session in a global that each TLS-ready context
 * would set anew, under the feet of the others: the first one sets it, for all. */
static uint64_t tls_option_once(void)
{
    static atomic_flag done = ATOMIC_FLAG_INIT;
    return atomic_flag_test_and_set(&done) ? 0 : LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
}

static int make_context(struct net_loop *loop, struct error *error)
{
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | (loop->without_tls ? 0 : tls_option_once()),
        .user = loop,
        .fd_limit_per_thread = 2048, /* bounds its tables; the process may have a million */
        .pt_serv_buf_size = 64 * 1024,
        .max_http_header_data = 16 * 1024,
        .timeout_secs = 20, /* its own limits; ours, being exact, come first */
        .server_string = "dataflow",
    };
    /* -1: stay who we are; signed in some versions of the library, unsigned in others. */
    info.gid = (__typeof__(info.gid))-1;
    info.uid = (__typeof__(info.uid))-1;
    loop->context = lws_create_context(&info);
    if (!loop->context)
        return error_set(error, "network: cannot create the event loop");
    return 0;
}

static int check_ca_file(const char *path, struct error *error)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return error_set(error, "certificates: cannot open %s", path);
    X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    if (!certificate)
        return error_set(error, "certificates: %s holds no certificate in PEM form", path);
    X509_free(certificate);
    return 0;
}

struct net_loop *net_loop_create(const struct net_loop_options *options, struct error *error)
{
    static pthread_once_t log_once = PTHREAD_ONCE_INIT;
    static const struct net_loop_options defaults = {0};
    pthread_once(&log_once, set_log);
    if (!options)
        options = &defaults;
    if (options->tls_ca_file && check_ca_file(options->tls_ca_file, error) != 0)
        return NULL;
    struct net_loop *loop = calloc(1, sizeof *loop);
    if (!loop)
        goto no_memory;
    loop->without_tls = options->without_tls;
    loop->connect_timeout_us = options->connect_timeout_us ? options->connect_timeout_us : NET_CONNECT_TIMEOUT_US;
    int silence_s = options->silence_s ? options->silence_s : 60;
    loop->silence = (lws_retry_bo_t){.secs_since_valid_ping = (uint16_t)silence_s,
                                     .secs_since_valid_hangup = (uint16_t)(silence_s + NET_PROBE_S)};
    if (options->silence_s) /* a shorter silence has a shorter probe */
        loop->silence.secs_since_valid_hangup = (uint16_t)(silence_s + (silence_s < NET_PROBE_S ? silence_s : NET_PROBE_S));
    loop->scratch = malloc(LWS_PRE + NET_SCRATCH_SIZE);
    if (!loop->scratch || (options->tls_ca_file && !(loop->tls_ca_file = strdup(options->tls_ca_file))))
        goto no_memory;
    if (make_context(loop, error) != 0 || !(loop->plain = net_client_vhost(loop, false, error))) {
        net_loop_destroy(loop);
        return NULL;
    }
    return loop;
no_memory:
    error_set(error, "network: out of memory");
    if (loop)
        net_loop_destroy(loop);
    return NULL;
}

void net_loop_destroy(struct net_loop *loop)
{
    assert(!loop->stepping);
    loop->destroying = true;
    while (loop->sockets) {
        struct net_socket *socket = loop->sockets;
        if (socket->state != NET_SOCKET_CLOSING)
            net_socket_explain(socket, 0, "the network loop ended");
        net_socket_abort(socket);
    }
    net_http_abandon(loop);
    while (loop->servers)
        net_server_destroy(loop->servers);
    assert(!loop->lookups);
    if (loop->context)
        lws_context_destroy(loop->context);
    SSL_CTX_free(loop->tls);
    free(loop->tls_ca_file);
    free(loop->scratch);
    free(loop);
}

static void on_step_end(lws_sorted_usec_list_t *entry)
{
    /* Its time came.  When that is before lws has begun to wait, lws would wait for the next timer: tell it not to. */
    struct net_loop *loop = lws_container_of(entry, struct net_loop, step_end);
    lws_cancel_service(loop->context);
}

void net_loop_step(struct net_loop *loop, int64_t timeout_us)
{
    assert(!loop->stepping && !loop->destroying);
    loop->stepping = true;
    if (timeout_us > 0)
        lws_sul_schedule(loop->context, 0, &loop->step_end, on_step_end, timeout_us);
    /* A negative wait means none, any other one until something happens. */
    lws_service(loop->context, timeout_us > 0 ? 0 : -1);
    lws_sul_cancel(&loop->step_end);
    if (atomic_exchange(&loop->woken, false)) {
        net_lookup_deliver(loop);
        if (loop->on_wake)
            loop->on_wake(loop->wake_context);
    }
    loop->stepping = false;
}

void net_loop_run(struct net_loop *loop)
{
    while (!atomic_load(&loop->stopping))
        net_loop_step(loop, 60000000);
    atomic_store(&loop->stopping, false);
}

void net_loop_stop(struct net_loop *loop)
{
    atomic_store(&loop->stopping, true);
    lws_cancel_service(loop->context);
}

void net_loop_wake(struct net_loop *loop)
{
    /* One write for any number of wake-ups that have not been seen yet. */
    if (!atomic_exchange(&loop->woken, true))
        lws_cancel_service(loop->context);
}

void net_loop_on_wake(struct net_loop *loop, void (*on_wake)(void *context), void *context)
{
    loop->on_wake = on_wake;
    loop->wake_context = context;
}

static void on_timer(lws_sorted_usec_list_t *entry)
{
    struct net_timer *timer = lws_container_of(entry, struct net_timer, entry);
    timer->on_time(timer->context);
}

struct net_timer *net_timer_create(struct net_loop *loop, void (*on_time)(void *context), void *context)
{
    struct net_timer *timer = calloc(1, sizeof *timer);
    if (timer)
        *timer = (struct net_timer){.loop = loop, .on_time = on_time, .context = context};
    return timer;
}

void net_timer_set(struct net_timer *timer, int64_t at_us)
{
    lws_sul_cancel(&timer->entry);
    if (at_us == INT64_MAX)
        return;
    int64_t wait_us = at_us - env_system()->monotonic_us(env_system());
    lws_sul_schedule(timer->loop->context, 0, &timer->entry, on_timer, wait_us > 0 ? wait_us : 1);
}

void net_timer_destroy(struct net_timer *timer)
{
    if (!timer)
        return;
    lws_sul_cancel(&timer->entry);
    free(timer);
}

void net_wsi_drop(struct lws *wsi)
{
    lws_set_opaque_user_data(wsi, NULL);
    lws_set_timeout(wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
}
