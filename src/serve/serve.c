/* The instance: a loop, a server on it, and the thread that runs them.
 *
 * Everything is set up on the caller's thread, so that a taken port or a forbidden address is an error of serve_start; then
 * the loop is the thread's alone until serve_stop has joined it. */
#include "serve/serve_internal.h"

#include "base/env.h"
#include "base/logging.h"
#include <stdlib.h>

/* How long clients have to take their leave. */
#define GOODBYE_US 200000

static void on_wake(void *context)
{
    struct serve *serve = context;
    serve_erasures_answer(serve->erasures);
    serve_live_notify(serve->live);
}

static void *run(void *argument)
{
    struct serve *serve = argument;
    const struct env *env = env_system();
    net_loop_run(serve->loop);
    serve_erasures_answer(serve->erasures);
    serve_live_close(serve->live);
    int64_t deadline_us = env->monotonic_us(env) + GOODBYE_US;
    for (int64_t left_us = GOODBYE_US; serve_live_count(serve->live) > 0 && left_us > 0;) {
        net_loop_step(serve->loop, left_us);
        left_us = deadline_us - env->monotonic_us(env);
    }
    return NULL;
}

static int start_server(struct serve *serve, const struct serve_options *options, struct error *error)
{
    serve->loop = net_loop_create(&(struct net_loop_options){.without_tls = true}, error);
    if (!serve->loop)
        return -1;
    serve->live = serve_live_create(serve);
    serve->erasures = serve_erasures_create(serve);
    if (!serve->live || !serve->erasures)
        return error_set(error, "serve: out of memory");
    net_loop_on_wake(serve->loop, on_wake, serve);
    struct net_server_options server = {.address = options->address,
                                        .port = options->port,
                                        .on_request = serve_route_request,
                                        .on_upgrade = serve_route_upgrade,
                                        .on_socket_open = serve_live_on_open,
                                        .on_socket_message = serve_live_on_message,
                                        .on_socket_writable = serve_live_on_writable,
                                        .on_socket_close = serve_live_on_close,
                                        .context = serve,
                                        .body_max = SERVE_BODY_MAX,
                                        .message_max = SERVE_LIVE_MESSAGE_MAX,
                                        .connection_max = SERVE_CONNECTION_MAX};
    serve->server = net_server_start(serve->loop, &server, &serve->port, error);
    return serve->server ? 0 : -1;
}

static void destroy(struct serve *serve)
{
    serve_erasures_destroy(serve->erasures);
    if (serve->loop)
        net_loop_destroy(serve->loop); /* what is left of clients goes through their on_close */
    serve_live_destroy(serve->live);
    serve_guard_release(&serve->guard);
    buffer_release(&serve->answer);
    free(serve);
}

struct serve *serve_start(const struct serve_options *options, const struct serve_backend *backend, struct error *error)
{
    struct serve *serve = calloc(1, sizeof *serve);
    if (!serve) {
        error_set(error, "serve: out of memory");
        return NULL;
    }
    serve->backend = *backend;
    buffer_init(&serve->answer, SERVE_ANSWER_MAX);
    if (serve_guard_init(&serve->guard, options, error) != 0 || start_server(serve, options, error) != 0) {
        destroy(serve);
        return NULL;
    }
    int status = pthread_create(&serve->thread, NULL, run, serve);
    if (status != 0) {
        error_set_errno(error, status, "serve: cannot start its thread");
        destroy(serve);
        return NULL;
    }
    return serve;
}

int serve_port(const struct serve *serve)
{
    return serve->port;
}

void serve_notify(struct serve *serve)
{
    net_loop_wake(serve->loop);
}

void serve_stop(struct serve *serve)
{
    if (!serve)
        return;
    net_loop_stop(serve->loop);
    pthread_join(serve->thread, NULL);
    destroy(serve);
}
