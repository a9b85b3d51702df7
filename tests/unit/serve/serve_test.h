/* Helpers of the serve tests: a backend that is a list in memory, and blocking HTTP and WebSocket peers over plain sockets. */
#ifndef TESTS_SERVE_TEST_H
#define TESTS_SERVE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/env.h"
#include "serve/serve.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* ---- a backend ---- */

struct fake_event {
    struct bytes topic, key;
    char json[192];
};
enum { FAKE_EVENTS_MAX = 400000 };

struct fake {
    pthread_mutex_t lock;
    struct fake_event *events;
    size_t count;
    struct serve_events_query query; /* of the last question */
    char asked[512];
    atomic_bool ready;
    int documents_status;
    size_t feed_calls;
    size_t unknown;   /* of the last events, those that the questions are not answered with yet */
    pthread_t eraser; /* of the last erasure */
    struct {
        serve_erased *done;
        void *receipt;
        char name[80];
    } erasure;
};

static inline void fake_add(struct fake *fake, const char *topic, const char *key, const char *payload)
{
    pthread_mutex_lock(&fake->lock);
    assert_true(fake->count < FAKE_EVENTS_MAX);
    struct fake_event *event = &fake->events[fake->count];
    event->topic = bytes_of_string(topic);
    event->key = bytes_of_string(key);
    snprintf(event->json, sizeof event->json, "{\"schema\":1,\"id\":\"e%zu\",\"payload\":{%s}}", fake->count, payload);
    fake->count++;
    pthread_mutex_unlock(&fake->lock);
}

static inline int fake_status(void *context, struct buffer *out)
{
    (void)context;
    BUFFER_LITERAL(out, "{\"version\":\"test\",\"ready\":true,\"uptime_seconds\":1,\"stages\":[]}");
    return 200;
}

static inline int fake_sources(void *context, struct buffer *out)
{
    (void)context;
    BUFFER_LITERAL(out, "{\"sources\":[]}");
    return 200;
}

static inline void fake_note(struct fake *fake, const char *what, const struct serve_events_query *query)
{
    snprintf(fake->asked, sizeof fake->asked, "%s|%.*s|%.*s|%lld|%lld|%.*s|%.*s|%zu", what, BYTES_ARG(query->topic),
             BYTES_ARG(query->key), (long long)query->from_us, (long long)query->to_us, BYTES_ARG(query->before),
             BYTES_ARG(query->after), query->limit);
}

static inline int fake_events(void *context, const struct serve_events_query *query, struct buffer *out, struct error *error)
{
    struct fake *fake = context;
    pthread_mutex_lock(&fake->lock);
    fake_note(fake, "events", query);
    int status = 200;
    if (bytes_equal(query->topic, BYTES("no_stream"))) {
        error_set(error, "topic: there is no no_stream");
        status = 400;
    }
    size_t end = fake->count - fake->unknown;
    if (query->end_offset > 0 && query->end_offset < end)
        end = query->end_offset;
    size_t wanted = query->limit, first = end;
    while (first > 0 && wanted > 0) {
        first--;
        wanted -= bytes_equal(fake->events[first].topic, query->topic) &&
                  (query->key.length == 0 || bytes_equal(fake->events[first].key, query->key));
    }
    BUFFER_LITERAL(out, "{\"events\":[");
    bool any = false;
    for (size_t i = first; i < end; i++) {
        if (!bytes_equal(fake->events[i].topic, query->topic) ||
            (query->key.length > 0 && !bytes_equal(fake->events[i].key, query->key)))
            continue;
        buffer_printf(out, "%s%s", any ? "," : "", fake->events[i].json);
        any = true;
    }
    BUFFER_LITERAL(out, "],\"next\":null}");
    pthread_mutex_unlock(&fake->lock);
    return status;
}

static inline int fake_documents(void *context, struct bytes collection, struct bytes name,
                                 const struct serve_events_query *query, struct buffer *out, struct error *error)
{
    struct fake *fake = context;
    char what[128];
    snprintf(what, sizeof what, "%.*s/%.*s", BYTES_ARG(collection), BYTES_ARG(name));
    pthread_mutex_lock(&fake->lock);
    fake_note(fake, what, query);
    pthread_mutex_unlock(&fake->lock);
    if (fake->documents_status != 200)
        error_set(error, "no such thing");
    BUFFER_LITERAL(out, "{\"events\":[{\"id\":\"document\",\"payload\":{}}],\"next\":null}");
    return fake->documents_status;
}

static inline void fake_metrics(void *context, struct buffer *out)
{
    (void)context;
    BUFFER_LITERAL(out, "# TYPE fake gauge\nfake 1\n");
}

static inline bool fake_ready(void *context)
{
    return atomic_load(&((struct fake *)context)->ready);
}

static inline void *fake_erase_run(void *context)
{
    struct fake *fake = context;
    bool known = strcmp(fake->erasure.name, "ann") == 0, failing = strcmp(fake->erasure.name, "damaged") == 0;
    fake->erasure.done(fake->erasure.receipt, known ? 12 : 0, known, failing ? "it cannot be read" : NULL);
    return NULL;
}

/* "ann" is known, "damaged" fails, "none" is no name; answered from a thread. */
static inline int fake_erase_user(void *context, struct bytes name, serve_erased *done, void *receipt, int *status,
                                  struct error *error)
{
    struct fake *fake = context;
    *status = 400;
    if (bytes_equal(name, BYTES("none")))
        return error_set(error, "no name");
    fake->erasure.done = done;
    fake->erasure.receipt = receipt;
    snprintf(fake->erasure.name, sizeof fake->erasure.name, "%.*s", BYTES_ARG(name));
    return pthread_create(&fake->eraser, NULL, fake_erase_run, fake) == 0 ? 0 : -1;
}

static inline uint64_t fake_known_end(void *context, size_t most)
{
    struct fake *fake = context;
    pthread_mutex_lock(&fake->lock);
    size_t end = fake->count - (fake->unknown < most ? fake->unknown : most);
    pthread_mutex_unlock(&fake->lock);
    return end;
}

static inline void fake_feed(void *context, uint64_t *offset, serve_give *give, void *receiver)
{
    struct fake *fake = context;
    pthread_mutex_lock(&fake->lock);
    size_t count = fake->count;
    fake->feed_calls++;
    pthread_mutex_unlock(&fake->lock);
    while (*offset < count) {
        uint64_t at = (*offset)++;
        struct fake_event *event = &fake->events[at];
        if (!give(receiver, at, event->topic, event->key, bytes_of_string(event->json)))
            return;
    }
}

struct instance {
    struct fake fake;
    struct serve *serve;
    int port;
};

static inline void instance_start(struct instance *instance, const struct serve_options *options)
{
    memset(instance, 0, sizeof *instance);
    pthread_mutex_init(&instance->fake.lock, NULL);
    instance->fake.events = calloc(FAKE_EVENTS_MAX, sizeof *instance->fake.events);
    instance->fake.documents_status = 200;
    atomic_store(&instance->fake.ready, true);
    struct serve_backend backend = {.context = &instance->fake,
                                    .status = fake_status,
                                    .sources = fake_sources,
                                    .events = fake_events,
                                    .documents = fake_documents,
                                    .metrics = fake_metrics,
                                    .ready = fake_ready,
                                    .erase_user = fake_erase_user,
                                    .known_end = fake_known_end,
                                    .feed = fake_feed};
    struct error error = {""};
    instance->serve = serve_start(options ? options : &(struct serve_options){.address = "127.0.0.1"}, &backend, &error);
    if (!instance->serve)
        fail_msg("%s", error.text);
    instance->port = serve_port(instance->serve);
}

static inline void instance_stop(struct instance *instance)
{
    serve_stop(instance->serve);
    free(instance->fake.events);
    pthread_mutex_destroy(&instance->fake.lock);
}

/* ---- peers ---- */

static inline int peer_connect(int port, int receive_buffer)
{
    int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = 20}; /* a guard against hanging, nothing that is measured */
    setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(file, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (receive_buffer)
        setsockopt(file, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    assert_int_equal(connect(file, (struct sockaddr *)&address, sizeof address), 0);
    return file;
}

static inline void peer_send(int file, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t n = send(file, data, length, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        data += n;
        length -= (size_t)n;
    }
}

/* Until the other side closes, or `until` has come; in a static buffer. */
static inline const char *peer_read(int file, const char *until)
{
    static char space[1 << 20];
    size_t length = 0;
    space[0] = '\0';
    while (length < sizeof space - 1 && !(until && memmem(space, length, until, strlen(until)))) {
        ssize_t n = recv(file, space + length, sizeof space - 1 - length, 0);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            fail_msg("waited in vain for '%s', got '%s'", until ? until : "the end", space);
        if (n <= 0)
            break;
        length += (size_t)n;
        space[length] = '\0';
    }
    return space;
}

/* The whole answer to one request on a connection of its own.  `more`: further header lines. */
static inline const char *http(int port, const char *method, const char *target, const char *host, const char *more)
{
    char request[8192];
    int length = snprintf(request, sizeof request, "%s %s HTTP/1.1\r\n%s%s%s%sConnection: close\r\n\r\n", method, target,
                          host ? "Host: " : "", host ? host : "", host ? "\r\n" : "", more ? more : "");
    int file = peer_connect(port, 0);
    peer_send(file, request, (size_t)length);
    const char *answer = peer_read(file, NULL);
    close(file);
    return answer;
}

static inline const char *http_get(int port, const char *target)
{
    return http(port, "GET", target, "localhost", NULL);
}

static inline int http_status(const char *answer)
{
    return strncmp(answer, "HTTP/1.1 ", 9) == 0 ? (int)strtol(answer + 9, NULL, 10) : 0;
}

static inline const char *http_body(const char *answer)
{
    const char *end = strstr(answer, "\r\n\r\n");
    return end ? end + 4 : "";
}

/* ---- a WebSocket by hand ---- */

struct peer {
    int file;
    char *space;
    size_t begin, end;
    int close_code; /* once a close frame has come */
};
enum { PEER_SPACE = 1 << 20 };

static inline int peer_handshake(int port, const char *target, const char *more, int receive_buffer)
{
    char request[1024];
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n",
                          target, port, more ? more : "");
    int file = peer_connect(port, receive_buffer);
    peer_send(file, request, (size_t)length);
    return file;
}

static inline struct peer peer_open(int port, const char *target, const char *more, int receive_buffer)
{
    struct peer peer = {.file = peer_handshake(port, target, more, receive_buffer), .space = malloc(PEER_SPACE)};
    /* Byte by byte: what follows the head belongs to the frames. */
    size_t length = 0;
    while (length < 4 || memcmp(peer.space + length - 4, "\r\n\r\n", 4) != 0) {
        assert_int_equal(recv(peer.file, peer.space + length, 1, 0), 1);
        length++;
    }
    if (memcmp(peer.space, "HTTP/1.1 101", 12) != 0)
        fail_msg("no WebSocket: %.*s", (int)length, peer.space);
    return peer;
}

static inline void peer_close(struct peer *peer)
{
    close(peer->file);
    free(peer->space);
}

static inline void peer_say(struct peer *peer, const char *text)
{
    size_t length = strlen(text);
    char head[14] = {(char)0x81, (char)(length < 126 ? 0x80 | length : length < 65536 ? 0xfe : 0xff)};
    size_t head_length = 2;
    if (length >= 65536)
        for (int i = 7; i >= 0; i--)
            head[head_length++] = (char)(length >> 8 * i);
    else if (length >= 126)
        for (int i = 1; i >= 0; i--)
            head[head_length++] = (char)(length >> 8 * i);
    peer_send(peer->file, head, head_length + 4); /* a mask of zeroes leaves the text as it is */
    peer_send(peer->file, text, length);
}

/* The next text frame, terminated; NULL when the server has closed. */
static inline const char *peer_hear(struct peer *peer)
{
    for (;;) {
        const unsigned char *at = (const unsigned char *)peer->space + peer->begin;
        size_t have = peer->end - peer->begin, head = 2, length = have > 1 ? at[1] : 0;
        if (length == 126 && (head = 4) <= have)
            length = (size_t)at[2] << 8 | at[3];
        else if (length == 127 && (head = 10) <= have)
            length = (size_t)at[6] << 24 | (size_t)at[7] << 16 | (size_t)at[8] << 8 | at[9];
        if (have >= head && have >= head + length && have > 1) {
            unsigned char opcode = at[0];
            memmove(peer->space, at + head, length); /* to the front: there is room for the terminator */
            peer->space[length] = '\0';
            size_t rest = have - head - length;
            memmove(peer->space + length + 1, at + head + length, rest);
            peer->begin = length + 1;
            peer->end = peer->begin + rest;
            if (opcode == 0x88)
                peer->close_code = length >= 2 ? (unsigned char)peer->space[0] << 8 | (unsigned char)peer->space[1] : 0;
            if (opcode == 0x81)
                return peer->space;
            continue;
        }
        if (peer->begin > 0) {
            memmove(peer->space, at, have);
            peer->begin = 0;
            peer->end = have;
        }
        ssize_t n = recv(peer->file, peer->space + peer->end, PEER_SPACE - 64 - peer->end, 0);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            fail_msg("waited in vain for a frame");
        if (n <= 0)
            return NULL;
        peer->end += (size_t)n;
    }
}

/* The next frame that contains `text`; what comes before it is passed over. */
static inline const char *peer_expect(struct peer *peer, const char *text)
{
    const char *frame;
    while ((frame = peer_hear(peer)))
        if (strstr(frame, text))
            return frame;
    fail_msg("closed before '%s' came", text);
    return NULL;
}

#endif
