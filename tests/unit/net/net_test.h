/* Helpers of the network tests: a raw TCP peer on the same thread as the loop, and waiting by stepping. */
#ifndef TESTS_NET_TEST_H
#define TESTS_NET_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/env.h"
#include "net/net.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libwebsockets.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* libwebsockets 4.3 drops what a client sends behind a request before it has the answer; nobody's client does that. */
enum { SECOND_REQUEST_MAY_COME_EARLY = LWS_LIBRARY_VERSION_NUMBER < 4003000 };

/* How long a test waits for what must come before it fails: no measure of speed. */
#define PATIENCE_US 20000000

#define WAIT_FOR(loop, condition)                                                                                                \
    do {                                                                                                                         \
        int64_t give_up_us = now_us() + PATIENCE_US;                                                                             \
        while (!(condition)) {                                                                                                   \
            net_loop_step((loop), 20000);                                                                                        \
            if (now_us() > give_up_us)                                                                                           \
                fail_msg("waited in vain for %s", #condition);                                                                   \
        }                                                                                                                        \
    } while (0)

static inline int64_t now_us(void)
{
    return env_system()->monotonic_us(env_system());
}

static inline struct net_loop *make_loop(const struct net_loop_options *options)
{
    struct error error = {""};
    struct net_loop *loop = net_loop_create(options, &error);
    if (!loop)
        fail_msg("%s", error.text);
    return loop;
}

/* A listening socket that nobody serves but the test. */
static inline int raw_listen(int *port)
{
    int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    assert_int_equal(bind(file, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(file, 16), 0);
    assert_int_equal(getsockname(file, (struct sockaddr *)&address, &size), 0);
    fcntl(file, F_SETFL, O_NONBLOCK);
    *port = ntohs(address.sin_port);
    return file;
}

static inline int raw_connect(int port)
{
    int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    assert_int_equal(connect(file, (struct sockaddr *)&address, sizeof address), 0);
    fcntl(file, F_SETFL, O_NONBLOCK);
    return file;
}

static inline int raw_accept(struct net_loop *loop, int listener)
{
    int file;
    WAIT_FOR(loop, (file = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0);
    return file;
}

static inline void raw_send(struct net_loop *loop, int file, const void *data, size_t length)
{
    size_t sent = 0;
    int64_t give_up_us = now_us() + PATIENCE_US;
    while (sent < length) {
        ssize_t n = send(file, (const char *)data + sent, length - sent, MSG_NOSIGNAL);
        if (n > 0)
            sent += (size_t)n;
        else if (n < 0 && errno != EAGAIN)
            return; /* the other side has closed */
        net_loop_step(loop, 0);
        if (now_us() > give_up_us)
            fail_msg("the peer takes nothing any more");
    }
}

static inline void raw_send_text(struct net_loop *loop, int file, const char *text)
{
    raw_send(loop, file, text, strlen(text));
}

/* Reads until `until` has come (NULL: until the other side closes); what came, terminated, is in a static buffer. */
static inline const char *raw_read(struct net_loop *loop, int file, const char *until, size_t *total)
{
    static char space[1 << 20];
    size_t length = 0;
    space[0] = '\0';
    int64_t give_up_us = now_us() + PATIENCE_US;
    for (;;) {
        ssize_t n = recv(file, space + length, sizeof space - 1 - length, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            break;
        if (n > 0) {
            length += (size_t)n;
            space[length] = '\0';
            if (until && memmem(space, length, until, strlen(until)))
                break;
            continue;
        }
        net_loop_step(loop, 2000);
        if (now_us() > give_up_us)
            fail_msg("waited in vain for '%s', got '%s'", until ? until : "the end", space);
    }
    if (total)
        *total = length;
    return space;
}

static inline void url_of(char *out, size_t size, const char *scheme, int port, const char *path)
{
    snprintf(out, size, "%s://127.0.0.1:%d%s", scheme, port, path);
}

#endif
