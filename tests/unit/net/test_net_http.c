/* The HTTP server against a raw TCP peer: keep-alive, bodies, limits, malformed requests, streams, leaving clients; and the
 * blocking GET against it from another thread. */
#include "unit/net/net_test.h"

#include <pthread.h>

struct site {
    struct net_loop *loop;
    struct net_server *server;
    int port;
    int requests, gone;
    struct net_request *held; /* answered later */
    struct net_stream *stream;
    char seen[4096]; /* method path [query values] [headers] body, of the last request */
};

static char big[3 << 20];

static void note(struct site *site, struct net_request *request)
{
    char value[32];
    size_t length = 0;
    struct bytes parts[] = {net_request_method(request),
                            net_request_path(request),
                            net_request_query(request, "a", value, sizeof value),
                            net_request_header(request, "host"),
                            net_request_header(request, "last-event-id"),
                            net_request_header(request, "origin"),
                            net_request_body(request).length > 0 ? net_request_body(request) : BYTES("")};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        length += (size_t)snprintf(site->seen + length, sizeof site->seen - length, "%s%.*s", i ? "|" : "",
                                   parts[i].at ? (int)parts[i].length : 1, parts[i].at ? parts[i].at : "-");
}

static void on_gone(void *context)
{
    struct site *site = context;
    site->gone++;
    site->stream = NULL;
}

static void on_request(void *context, struct net_request *request)
{
    struct site *site = context;
    struct bytes path = net_request_path(request);
    site->requests++;
    note(site, request);
    if (bytes_equal(path, BYTES("/later"))) {
        site->held = request;
    } else if (bytes_equal(path, BYTES("/stream"))) {
        site->stream = net_respond_stream(request, "text/event-stream", on_gone, site);
        assert_true(net_stream_send(site->stream, BYTES("data: first\n\n")));
    } else if (bytes_equal(path, BYTES("/big"))) {
        net_respond(request, &(struct net_reply){.status = 200, .body = bytes_of(big, sizeof big), .constant = true});
    } else if (bytes_equal(path, BYTES("/query"))) {
        char value[8];
        struct bytes found = net_request_query(request, "long", value, sizeof value);
        assert_true(found.at && found.length == sizeof value);
        net_respond(request, &(struct net_reply){.status = 204});
    } else {
        net_respond(request,
                    &(struct net_reply){
                        .status = 200, .content_type = "text/plain", .body = BYTES("hello"), .headers = "X-More: yes\r\n"});
    }
}

static void site_start(struct site *site)
{
    *site = (struct site){.loop = make_loop(&(struct net_loop_options){.without_tls = true})};
    memset(big, 'b', sizeof big);
    struct net_server_options options = {
        .address = "127.0.0.1", .on_request = on_request, .context = site, .body_max = 1000, .connection_max = 20};
    struct error error = {""};
    site->server = net_server_start(site->loop, &options, &site->port, &error);
    if (!site->server)
        fail_msg("%s", error.text);
}

static const char *ask(struct site *site, int file, const char *request, const char *until)
{
    raw_send_text(site->loop, file, request);
    return raw_read(site->loop, file, until, NULL);
}

/* One request on a connection of its own; the whole answer. */
static const char *ask_once(struct site *site, const char *request)
{
    int file = raw_connect(site->port);
    const char *answer = ask(site, file, request, NULL);
    close(file);
    return answer;
}

static void test_requests(void **state)
{
    (void)state;
    struct site site;
    site_start(&site);
    int file = raw_connect(site.port);
    const char *answer =
        ask(&site, file, "GET /x%20y/z?b=1&a=t%26u+v%3dw&c HTTP/1.1\r\nHost: h:1\r\nLast-Event-ID: 7\r\n\r\n", "hello");
    assert_true(strncmp(answer, "HTTP/1.1 200 OK\r\n", 17) == 0);
    assert_non_null(strstr(answer, "\r\nContent-Length: 5\r\n"));
    assert_non_null(strstr(answer, "\r\nX-More: yes\r\n"));
    assert_null(strcasestr(answer, "connection: close"));
    assert_string_equal(site.seen, "GET|/x y/z|t&u v=w|h:1|7|-|");
    /* The same connection again: no arguments, another method. */
    ask(&site, file, "DELETE /users/me HTTP/1.1\r\nHost: h\r\nOrigin: http://o\r\n\r\n", "hello");
    assert_string_equal(site.seen, "DELETE|/users/me|-|h|-|http://o|");
    answer = ask(&site, file, "HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n", "\r\n\r\n");
    assert_non_null(strstr(answer, "\r\nContent-Length: 5\r\n"));
    assert_null(strstr(answer, "hello"));
    if (SECOND_REQUEST_MAY_COME_EARLY) {
        /* Two in one packet are answered one after the other. */
        ask(&site, file, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n", "hello");
        WAIT_FOR(site.loop, site.requests == 5);
        assert_string_equal(site.seen, "GET|/2|-|h|-|-|");
    }
    close(file);
    /* HTTP/1.0 and Connection: close end the connection. */
    answer = ask_once(&site, "GET / HTTP/1.0\r\n\r\n");
    assert_non_null(strstr(answer, "Connection: close\r\n"));
    answer = ask_once(&site, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert_non_null(strstr(answer, "hello"));
    answer = ask_once(&site, "GET /query?long=0123456789 HTTP/1.0\r\n\r\n");
    assert_non_null(strstr(answer, "204 No Content"));
    assert_null(strstr(answer, "Content-Length"));
    net_loop_destroy(site.loop);
}

static void test_bodies(void **state)
{
    (void)state;
    struct site site;
    site_start(&site);
    int file = raw_connect(site.port);
    ask(&site, file, "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nbody 1", "hello");
    assert_string_equal(site.seen, "POST|/p|-|h|-|-|body 1");
    ask(&site, file, "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", "hello");
    assert_string_equal(site.seen, "POST|/p|-|h|-|-|");
    /* In pieces. */
    raw_send_text(site.loop, file, "POST /p HTTP/1.1\r\nHost: h\r\nContent-Le");
    net_loop_step(site.loop, 1000);
    raw_send_text(site.loop, file, "ngth: 6\r\n\r\nbo");
    net_loop_step(site.loop, 1000);
    assert_int_equal(site.requests, 2);
    ask(&site, file, "dy 2", "hello");
    assert_string_equal(site.seen, "POST|/p|-|h|-|-|body 2");
    ask(&site, file, "DELETE /d HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", "hello");
    assert_string_equal(site.seen, "DELETE|/d|-|h|-|-|abc");
    ask(&site, file, "PUT /d HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", "hello");
    assert_string_equal(site.seen, "PUT|/d|-|h|-|-|");
    close(file);
    assert_int_equal(site.requests, 5);
    static const struct {
        const char *head, *status;
    } refused[] = {
        {"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\nxxxx", " 413 "},
        {"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\nx", " 400 "},
        {"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\nx", " 400 "},
        {"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nxyz", " 400 "},
        {"POST /p HTTP/1.1\r\nHost: h\r\n\r\nx", " 411 "},
        {"POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", " 501 "},
        {"GET /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", " 501 "},
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        const char *answer = ask_once(&site, refused[i].head);
        if (!strstr(answer, refused[i].status) || !strstr(answer, "Connection: close\r\n"))
            fail_msg("%s: %s", refused[i].head, answer);
    }
    assert_int_equal(site.requests, 5);
    net_loop_destroy(site.loop);
}

/* Whatever comes: an answer or a closed connection, and the server goes on. */
static void test_malformed(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "\r\n\r\n",
        "nonsense\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\nHost: h\r\n\r\n",
        "GET no-slash HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /%00 HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /../../../etc/passwd HTTP/1.0\r\n\r\n",
        "CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n",
        "BREW /coffee HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon here\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\n: empty\r\nConnection: close\r\n\r\n",
        "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: nonsense\r\nConnection: Upgrade\r\n\r\n",
        "POST /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    };
    struct site site;
    site_start(&site);
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        int file = raw_connect(site.port);
        raw_send_text(site.loop, file, requests[i]);
        shutdown(file, SHUT_WR);
        raw_read(site.loop, file, NULL, NULL);
        close(file);
    }
    /* Not offering HTTP/2: the request is served as it is. */
    int file = raw_connect(site.port);
    const char *answer = ask(&site, file,
                             "GET /h2c HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
                             "Connection: Upgrade, HTTP2-Settings\r\n\r\n",
                             "hello");
    assert_true(strncmp(answer, "HTTP/1.1 200 OK", 15) == 0);
    close(file);
    /* A head without an end is not collected for ever. */
    file = raw_connect(site.port);
    raw_send_text(site.loop, file, "GET / HTTP/1.1\r\n");
    for (int i = 0; i < 3000; i++)
        raw_send_text(site.loop, file, "X-Header: 0123456789012345678901234567890123456789\r\n");
    raw_read(site.loop, file, NULL, NULL);
    close(file);
    answer = ask_once(&site, "GET / HTTP/1.0\r\n\r\n");
    assert_non_null(strstr(answer, "hello"));
    net_loop_destroy(site.loop);
}

static void test_big_answer_and_slow_reader(void **state)
{
    (void)state;
    struct site site;
    site_start(&site);
    int file = raw_connect(site.port);
    static const char next[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    raw_send_text(site.loop, file, "GET /big HTTP/1.1\r\nHost: h\r\n\r\n");
    bool asked = SECOND_REQUEST_MAY_COME_EARLY;
    if (asked)
        raw_send_text(site.loop, file, next);
    WAIT_FOR(site.loop, site.requests == 1);
    /* Others are served while this one does not read. */
    assert_non_null(strstr(ask_once(&site, "GET / HTTP/1.0\r\n\r\n"), "hello"));
    size_t got = 0, b = 0;
    static char space[65536];
    bool second = false;
    int64_t give_up_us = now_us() + PATIENCE_US;
    while (!second && now_us() < give_up_us) {
        ssize_t n = recv(file, space, sizeof space - 1, 0);
        for (ssize_t i = 0; i < n; i++)
            b += space[i] == 'b';
        if (n > 0) {
            got += (size_t)n;
            space[n] = '\0';
            second = strstr(space, "hello") != NULL;
        }
        if (!asked && b == sizeof big) {
            raw_send_text(site.loop, file, next);
            asked = true;
        }
        net_loop_step(site.loop, n > 0 ? 0 : 1000);
    }
    assert_true(second);
    assert_int_equal(b, sizeof big);
    assert_true(got > sizeof big);
    close(file);
    /* A client that leaves in the middle. */
    file = raw_connect(site.port);
    raw_send_text(site.loop, file, "GET /big HTTP/1.1\r\nHost: h\r\n\r\n");
    raw_read(site.loop, file, "bbbb", NULL);
    close(file);
    assert_non_null(strstr(ask_once(&site, "GET / HTTP/1.0\r\n\r\n"), "hello"));
    net_loop_destroy(site.loop);
}

static void test_answers_later(void **state)
{
    (void)state;
    struct site site;
    site_start(&site);
    int file = raw_connect(site.port);
    raw_send_text(site.loop, file, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    WAIT_FOR(site.loop, site.held);
    net_respond(site.held, &(struct net_reply){.status = 503, .body = BYTES("not now")});
    assert_non_null(strstr(raw_read(site.loop, file, "not now", NULL), "503 Service Unavailable"));
    /* The loop ends before the owner answers nobody. */
    site.held = NULL;
    raw_send_text(site.loop, file, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    WAIT_FOR(site.loop, site.held);
    struct net_request *orphan = site.held;
    net_loop_destroy(site.loop);
    net_respond(orphan, &(struct net_reply){.status = 200});
    close(file);
}

static void test_streams(void **state)
{
    (void)state;
    struct site site;
    site_start(&site);
    int file = raw_connect(site.port);
    raw_send_text(site.loop, file, "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    const char *answer = raw_read(site.loop, file, "data: first\n\n", NULL);
    assert_non_null(strstr(answer, "Content-Type: text/event-stream\r\n"));
    assert_null(strcasestr(answer, "content-length"));
    /* What the client sends meanwhile is nothing. */
    raw_send_text(site.loop, file, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    net_stream_send(site.stream, BYTES("data: second\n\n"));
    raw_read(site.loop, file, "data: second\n\n", NULL);
    assert_int_equal(site.requests, 1);
    /* A reader that stops: bounded, and the stream stays. */
    static char chunk[10000];
    memset(chunk, 'c', sizeof chunk);
    int refused = 0;
    for (int i = 0; i < 2000; i++) {
        refused += !net_stream_send(site.stream, bytes_of(chunk, sizeof chunk));
        assert_true(net_stream_queued_bytes(site.stream) <= NET_SEND_QUEUE_MAX);
        net_loop_step(site.loop, 0);
    }
    assert_true(refused > 0);
    /* It leaves: noticed without anything being sent. */
    assert_int_equal(site.gone, 0);
    close(file);
    WAIT_FOR(site.loop, site.gone == 1);
    /* The server ends one: all that was queued arrives first. */
    file = raw_connect(site.port);
    raw_send_text(site.loop, file, "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    WAIT_FOR(site.loop, site.stream);
    net_stream_send(site.stream, BYTES("data: last\n\n"));
    net_stream_end(site.stream);
    answer = raw_read(site.loop, file, NULL, NULL);
    assert_non_null(strstr(answer, "data: last\n\n"));
    close(file);
    assert_int_equal(site.gone, 1);
    /* The loop ends with one open. */
    site.stream = NULL;
    file = raw_connect(site.port);
    raw_send_text(site.loop, file, "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    WAIT_FOR(site.loop, site.stream);
    net_loop_destroy(site.loop);
    assert_int_equal(site.gone, 2);
    close(file);
}

static void test_connection_limit(void **state)
{
    (void)state;
    struct site site;
    site_start(&site);
    int files[20];
    for (int i = 0; i < 20; i++) {
        files[i] = raw_connect(site.port);
        ask(&site, files[i], "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "hello");
    }
    int more = raw_connect(site.port);
    assert_string_equal(raw_read(site.loop, more, NULL, NULL), "");
    close(more);
    close(files[0]);
    /* One place is free again; when, the server finds out in its own time. */
    int64_t give_up_us = now_us() + PATIENCE_US;
    while (!strstr(ask_once(&site, "GET / HTTP/1.0\r\n\r\n"), "hello"))
        assert_true(now_us() < give_up_us);
    for (int i = 1; i < 20; i++)
        close(files[i]);
    net_loop_destroy(site.loop);
}

static void test_addresses(void **state)
{
    (void)state;
    struct site site;
    site_start(&site);
    struct error error = {""};
    struct net_server_options options = {
        .address = "127.0.0.1", .port = site.port, .on_request = on_request, .connection_max = 1};
    assert_null(net_server_start(site.loop, &options, NULL, &error));
    assert_non_null(strstr(error.text, "another program has it"));
    options.address = "example.org";
    assert_null(net_server_start(site.loop, &options, NULL, &error));
    assert_non_null(strstr(error.text, "example.org"));
    net_loop_destroy(site.loop);
}

/* ---- the blocking GET ---- */

static void *serve_thread(void *context)
{
    net_loop_run(((struct site *)context)->loop);
    return NULL;
}

static void test_get(void **state)
{
    (void)state;
    struct site site;
    pthread_t thread;
    site_start(&site);
    assert_int_equal(pthread_create(&thread, NULL, serve_thread, &site), 0);
    char url[128];
    struct error error = {""};
    struct net_response response;
    snprintf(url, sizeof url, "http://127.0.0.1:%d/status?a=1", site.port);
    assert_int_equal(net_http_get(url, 10000, &response, &error), 0);
    assert_int_equal(response.status, 200);
    assert_int_equal(response.body.length, 5);
    assert_memory_equal(response.body.at, "hello", 5);
    free((void *)(uintptr_t)response.body.at);
    snprintf(url, sizeof url, "http://localhost:%d/big", site.port);
    assert_int_equal(net_http_get(url, 10000, &response, &error), 0);
    assert_int_equal(response.body.length, sizeof big);
    assert_memory_equal(response.body.at, big, sizeof big);
    free((void *)(uintptr_t)response.body.at);
    net_loop_stop(site.loop);
    pthread_join(thread, NULL);
    assert_true(strncmp(site.seen, "GET|/big|-|localhost:", 21) == 0);
    net_loop_destroy(site.loop);

    int port, listener = raw_listen(&port);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", port);
    assert_int_equal(net_http_get(url, 100, &response, &error), -1);
    assert_non_null(strstr(error.text, "no answer in time"));
    close(listener);
    assert_int_equal(net_http_get(url, 10000, &response, &error), -1);
    assert_non_null(strstr(error.text, "onnect"));
    assert_int_equal(net_http_get("ws://127.0.0.1/", 100, &response, &error), -1);
    assert_int_equal(net_http_get("", 100, &response, &error), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_big_answer_and_slow_reader),
        cmocka_unit_test(test_answers_later),
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_connection_limit),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_get),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
