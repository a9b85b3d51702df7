/* The HTTP client against a raw server: what it sends, how answers end, and every way in which none comes. */
#include "unit/net/net_test.h"

struct call {
    struct net_http *http;
    int answers, status;
    int64_t retry_after_us;
    size_t length;
    char text[400]; /* the beginning of the body */
};

static void on_answer(void *context, const struct net_answer *answer)
{
    struct call *call = context;
    call->answers++;
    call->status = answer->status;
    call->retry_after_us = answer->retry_after_us;
    call->length = answer->body.length;
    snprintf(call->text, sizeof call->text, "%.*s", answer->body.length < 399 ? (int)answer->body.length : 399,
             answer->body.length ? answer->body.at : "");
}

/* One whole exchange in the making. */
struct exchange {
    struct net_loop *loop;
    int listener, port, file;
    struct call call;
};

static void begin_with(struct exchange *exchange, struct net_http_request request)
{
    *exchange = (struct exchange){.loop = make_loop(NULL), .file = -1};
    exchange->listener = raw_listen(&exchange->port);
    char url[128];
    url_of(url, sizeof url, "http", exchange->port, "/helix/users?login=a&login=b");
    request.url = bytes_of_string(url);
    struct error error = {""};
    exchange->call.http = net_http_send(exchange->loop, &request, on_answer, &exchange->call, &error);
    if (!exchange->call.http)
        fail_msg("%s", error.text);
    assert_int_equal(exchange->call.answers, 0);
    exchange->file = raw_accept(exchange->loop, exchange->listener);
}

static void begin(struct exchange *exchange)
{
    begin_with(exchange, (struct net_http_request){.method = "GET"});
    raw_read(exchange->loop, exchange->file, "\r\n\r\n", NULL);
}

static void end(struct exchange *exchange)
{
    WAIT_FOR(exchange->loop, exchange->call.answers);
    for (int i = 0; i < 5; i++)
        net_loop_step(exchange->loop, 0);
    if (exchange->file >= 0)
        close(exchange->file);
    for (int i = 0; i < 5; i++)
        net_loop_step(exchange->loop, 0);
    close(exchange->listener);
    net_loop_destroy(exchange->loop);
    assert_int_equal(exchange->call.answers, 1);
}

/* Sends `answer`, closes if asked to, and waits for it to arrive. */
static struct call answered_with(const char *answer, bool close_after)
{
    struct exchange exchange;
    begin(&exchange);
    raw_send_text(exchange.loop, exchange.file, answer);
    if (close_after) {
        close(exchange.file);
        exchange.file = -1;
    }
    end(&exchange);
    return exchange.call;
}

static void test_request(void **state)
{
    (void)state;
    struct exchange exchange;
    begin_with(&exchange, (struct net_http_request){
                              .method = "POST",
                              .headers = BYTES("Authorization: Bearer abc\r\nContent-Type: application/json\r\n"),
                              .body = BYTES("{\"type\":\"channel.chat.message\"}"),
                          });
    const char *request = raw_read(exchange.loop, exchange.file, "message\"}", NULL);
    assert_true(strncmp(request, "POST /helix/users?login=a&login=b HTTP/1.1\r\n", 44) == 0);
    char host[64];
    snprintf(host, sizeof host, "Host: 127.0.0.1:%d\r\n", exchange.port);
    assert_non_null(strcasestr(request, host));
    assert_non_null(strstr(request, "\r\nAuthorization: Bearer abc\r\n"));
    assert_non_null(strstr(request, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strcasestr(request, "\r\ncontent-length: 31\r\n"));
    assert_non_null(strcasestr(request, "\r\nuser-agent: dataflow/"));
    assert_non_null(strstr(request, "\r\n\r\n{\"type\":\"channel.chat.message\"}"));
    raw_send_text(exchange.loop, exchange.file, "HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}");
    end(&exchange);
    assert_int_equal(exchange.call.status, 202);
    assert_string_equal(exchange.call.text, "{}");
    assert_true(exchange.call.retry_after_us == NET_RETRY_AFTER_NONE);
}

static void test_large_request(void **state)
{
    (void)state;
    static char body[300000];
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = (char)('a' + i % 26);
    struct exchange exchange;
    begin_with(&exchange, (struct net_http_request){.method = "PUT", .body = bytes_of(body, sizeof body)});
    size_t length = 0;
    const char *request = raw_read(exchange.loop, exchange.file, "\r\n\r\n", &length);
    const char *content = strstr(request, "\r\n\r\n") + 4;
    size_t got = length - (size_t)(content - request);
    assert_memory_equal(content, body, got);
    while (got < sizeof body) {
        char part[65536];
        ssize_t n = recv(exchange.file, part, sizeof part, 0);
        if (n > 0) {
            assert_memory_equal(part, body + got, (size_t)n);
            got += (size_t)n;
        } else {
            net_loop_step(exchange.loop, 2000);
        }
    }
    raw_send_text(exchange.loop, exchange.file, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    end(&exchange);
    assert_int_equal(exchange.call.status, 200);
}

static void test_ends_of_answers(void **state)
{
    (void)state;
    struct call call = answered_with("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false);
    assert_int_equal(call.status, 200);
    assert_string_equal(call.text, "hello");

    call = answered_with("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nWiki\r\n6\r\npedia \r\n0\r\n\r\n", false);
    assert_int_equal(call.status, 200);
    assert_string_equal(call.text, "Wikipedia ");

    call = answered_with("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end", true);
    assert_int_equal(call.status, 200);
    assert_string_equal(call.text, "to the end");

    call = answered_with("HTTP/1.1 204 No Content\r\n\r\n", false);
    assert_int_equal(call.status, 204);
    assert_int_equal(call.length, 0);

    call = answered_with("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false);
    assert_int_equal(call.status, 200);

    call = answered_with("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 4\r\n\r\nmove", false);
    assert_int_equal(call.status, 302); /* not followed: a secret would travel along */
    assert_string_equal(call.text, "move");
}

static void test_statuses(void **state)
{
    (void)state;
    static const int statuses[] = {400, 401, 403, 404, 409, 418, 429, 500, 502, 503, 504};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        char answer[128];
        snprintf(answer, sizeof answer, "HTTP/1.1 %d Reason\r\nContent-Length: 3\r\n\r\nwhy", statuses[i]);
        struct call call = answered_with(answer, false);
        assert_int_equal(call.status, statuses[i]);
        assert_string_equal(call.text, "why");
        assert_true(call.retry_after_us == NET_RETRY_AFTER_NONE);
    }
}

static int64_t wait_of(const char *header)
{
    char answer[256];
    snprintf(answer, sizeof answer, "HTTP/1.1 429 Too Many Requests\r\n%s\r\nContent-Length: 0\r\n\r\n", header);
    struct call call = answered_with(answer, false);
    assert_int_equal(call.status, 429);
    return call.retry_after_us;
}

static void test_retry_after(void **state)
{
    (void)state;
    assert_true(wait_of("Retry-After: 7") == 7000000);
    assert_true(wait_of("Retry-After: 0") == 0);
    assert_true(wait_of("Retry-After: 99999999999999999999999") == NET_RETRY_AFTER_NONE);
    assert_true(wait_of("Retry-After: 999999999") == 86400000000);
    assert_true(wait_of("Retry-After: soon") == NET_RETRY_AFTER_NONE);
    assert_true(wait_of("Retry-After: Thu, 01 Jan 1970 00:00:10 GMT") == 0);
    assert_true(wait_of("Retry-After: Fri, 31 Dec 2999 23:59:59 GMT") == 86400000000);
    char header[64];
    snprintf(header, sizeof header, "Ratelimit-Reset: %lld", (long long)(env_system()->now_us(env_system()) / 1000000 + 3000));
    int64_t wait_us = wait_of(header);
    assert_true(wait_us > 2000000000 && wait_us <= 3000000000);
    assert_true(wait_of("Ratelimit-Reset: -1") == NET_RETRY_AFTER_NONE);
    assert_true(wait_of("X-Nothing: 1") == NET_RETRY_AFTER_NONE);
}

static void test_byte_by_byte(void **state)
{
    (void)state;
    struct exchange exchange;
    begin(&exchange);
    const char *answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n";
    for (const char *at = answer; *at; at++) {
        raw_send(exchange.loop, exchange.file, at, 1);
        for (int i = 0; i < 3; i++)
            net_loop_step(exchange.loop, 0);
        assert_int_equal(exchange.call.answers, at[1] == '\0' ? exchange.call.answers : 0);
    }
    end(&exchange);
    assert_string_equal(exchange.call.text, "abc0123456789abcdef");
}

static void expect_none(struct call call, const char *reason)
{
    assert_int_equal(call.status, 0);
    if (!strstr(call.text, reason))
        fail_msg("'%s' does not say '%s'", call.text, reason);
}

static void test_cut_off(void **state)
{
    (void)state;
    expect_none(answered_with("", true), "127.0.0.1"); /* the library may see it while it shakes hands */
    expect_none(answered_with("HTTP/1.1 200 OK\r\nConte", true), "127.0.0.1");
    expect_none(answered_with("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", true), "lost within the answer");
    expect_none(answered_with("SSH-2.0-OpenSSH_9.2\r\n\r\n", true), "127.0.0.1");
}

static void test_too_large(void **state)
{
    (void)state;
    expect_none(answered_with("HTTP/1.1 200 OK\r\nContent-Length: 8388609\r\n\r\n", false), "larger than 8 MiB");

    static char block[1 << 20];
    memset(block, 'x', sizeof block);
    struct exchange exchange;
    begin(&exchange);
    raw_send_text(exchange.loop, exchange.file, "HTTP/1.1 200 OK\r\n\r\n");
    for (int i = 0; i < 10 && !exchange.call.answers; i++)
        raw_send(exchange.loop, exchange.file, block, sizeof block);
    end(&exchange);
    expect_none(exchange.call, "larger than 8 MiB");

    begin(&exchange); /* what fits is taken whole */
    raw_send_text(exchange.loop, exchange.file, "HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n");
    for (int i = 0; i < 8; i++)
        raw_send(exchange.loop, exchange.file, block, sizeof block);
    end(&exchange);
    assert_int_equal(exchange.call.status, 200);
    assert_int_equal(exchange.call.length, 8 << 20);
}

static void test_time_out(void **state)
{
    (void)state;
    struct exchange exchange;
    begin_with(&exchange, (struct net_http_request){.method = "GET", .timeout_us = 100000}); /* no answer */
    end(&exchange);
    expect_none(exchange.call, "no answer in time");
    begin_with(&exchange, (struct net_http_request){.method = "GET", .timeout_us = 100000}); /* half of one */
    raw_send_text(exchange.loop, exchange.file, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    end(&exchange);
    expect_none(exchange.call, "no answer in time");
}

static struct call call_url(const char *url)
{
    struct net_loop *loop = make_loop(NULL);
    struct call call = {0};
    struct error error = {""};
    call.http =
        net_http_send(loop, &(struct net_http_request){.method = "GET", .url = bytes_of_string(url)}, on_answer, &call, &error);
    assert_non_null(call.http);
    WAIT_FOR(loop, call.answers);
    net_loop_destroy(loop);
    assert_int_equal(call.answers, 1);
    return call;
}

static void test_unreachable(void **state)
{
    (void)state;
    int port, listener = raw_listen(&port);
    close(listener);
    char url[64];
    url_of(url, sizeof url, "http", port, "/");
    expect_none(call_url(url), "onnect");
    expect_none(call_url("http://no-such-host.invalid/"), "no-such-host.invalid");
}

static void test_refused_requests(void **state)
{
    (void)state;
    struct net_loop *loop = make_loop(NULL);
    static const struct net_http_request bad[] = {
        {.method = "GET", .url = BYTES("wss://127.0.0.1/")},
        {.method = "GET", .url = BYTES("no address")},
        {.method = NULL, .url = BYTES("http://127.0.0.1/")},
        {.method = "GET / HTTP/1.1\r\n", .url = BYTES("http://127.0.0.1/")},
        {.method = "GET", .url = BYTES("http://127.0.0.1/"), .headers = BYTES("Authorization: secret")},
        {.method = "GET", .url = BYTES("http://127.0.0.1/"), .headers = BYTES("Authorization: secret\n")},
        {.method = "GET", .url = BYTES("http://127.0.0.1/"), .headers = BYTES("Authorization: sec\rret\r\n")},
        {.method = "GET", .url = BYTES("http://127.0.0.1/"), .headers = BYTES("\r\n")},
        {.method = "GET", .url = BYTES("http://127.0.0.1/"), .headers = BYTES("secret\r\n")},
        {.method = "GET", .url = BYTES("http://127.0.0.1/"), .headers = BYTES("a b: secret\r\n")},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error error = {""};
        struct call call = {0};
        assert_null(net_http_send(loop, &bad[i], on_answer, &call, &error));
        assert_true(strlen(error.text) > 10);
        assert_null(strstr(error.text, "secret"));
    }
    net_loop_destroy(loop);
}

static void test_cancel_and_destroy(void **state)
{
    (void)state;
    for (int stage = 0; stage < 8; stage++) {
        struct net_loop *loop = make_loop(NULL);
        int port, listener = raw_listen(&port), file = -1;
        char url[64];
        url_of(url, sizeof url, stage % 2 ? "https" : "http", port, "/");
        struct call call = {0};
        struct error error;
        call.http = net_http_send(loop, &(struct net_http_request){.method = "GET", .url = bytes_of_string(url)}, on_answer,
                                  &call, &error);
        if (stage >= 2)
            net_loop_step(loop, 0);
        if (stage >= 4)
            file = raw_accept(loop, listener);
        if (stage >= 6 && stage % 2 == 0) {
            raw_read(loop, file, "\r\n\r\n", NULL);
            raw_send_text(loop, file, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
            for (int i = 0; i < 5; i++)
                net_loop_step(loop, 1000);
        }
        if (stage < 4) {
            net_http_cancel(call.http);
            for (int i = 0; i < 5; i++)
                net_loop_step(loop, 1000);
        }
        net_loop_destroy(loop);
        assert_int_equal(call.answers, stage < 4 ? 0 : 1);
        if (call.answers)
            expect_none(call, "the network loop ended");
        if (file >= 0)
            close(file);
        close(listener);
    }
}

/* Answers that lead to the next request, from within the call. */
struct chain {
    struct net_loop *loop;
    char url[64];
    int left, answers;
};

static void on_chain(void *context, const struct net_answer *answer)
{
    struct chain *chain = context;
    struct error error;
    assert_int_equal(answer->status, 200);
    chain->answers++;
    if (chain->left-- > 0)
        assert_non_null(net_http_send(chain->loop,
                                      &(struct net_http_request){.method = "GET", .url = bytes_of_string(chain->url)}, on_chain,
                                      chain, &error));
}

static void test_one_after_the_other(void **state)
{
    (void)state;
    struct chain chain = {.loop = make_loop(NULL), .left = 3};
    int port, listener = raw_listen(&port);
    url_of(chain.url, sizeof chain.url, "http", port, "/");
    on_chain(&chain, &(struct net_answer){.status = 200});
    for (int i = 0; i < 3; i++) {
        int file = raw_accept(chain.loop, listener);
        raw_read(chain.loop, file, "\r\n\r\n", NULL);
        raw_send_text(chain.loop, file, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
        WAIT_FOR(chain.loop, chain.answers == i + 2);
        close(file);
    }
    close(listener);
    net_loop_destroy(chain.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_large_request),
        cmocka_unit_test(test_ends_of_answers),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_byte_by_byte),
        cmocka_unit_test(test_cut_off),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_time_out),
        cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_refused_requests),
        cmocka_unit_test(test_cancel_and_destroy),
        cmocka_unit_test(test_one_after_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
