/* The live feed: subscriptions, filters, backlog, overflow, event streams, stopping. */
#include "unit/serve/serve_test.h"

#include <malloc.h>
#include <poll.h>

static void add_chat(struct instance *instance, const char *channel, int number)
{
    char payload[128];
    snprintf(payload, sizeof payload, "\"kind\":\"message\",\"channel\":\"%s\",\"message\":\"m%d\"", channel, number);
    fake_add(&instance->fake, "chat_stream", channel, payload);
}

static void add_trade(struct instance *instance, const char *key, int number)
{
    char payload[160];
    const char *colon = strchr(key, ':');
    snprintf(payload, sizeof payload, "\"kind\":\"trade\",\"exchange\":\"%.*s\",\"symbol\":\"%s\",\"price\":1.50,\"n\":%d",
             (int)(colon - key), key, colon + 1, number);
    fake_add(&instance->fake, "market_stream", key, payload);
}

static void test_subscribe(void **state)
{
    (void)state;
    struct instance instance;
    instance_start(&instance, NULL);
    add_chat(&instance, "ann", 1);
    struct peer peer = peer_open(instance.port, "/live", NULL, 0);
    peer_say(&peer, "{\"subscribe\":[\"chat_stream\",\"status\"]}");
    /* The status and what is there come at once. */
    assert_string_equal(peer_hear(&peer),
                        "{\"topic\":\"status\",\"event\":{\"version\":\"test\",\"ready\":true,\"uptime_seconds\":1,"
                        "\"stages\":[]}}");
    assert_string_equal(peer_hear(&peer), "{\"topic\":\"chat_stream\",\"event\":{\"schema\":1,\"id\":\"e0\",\"payload\":{"
                                          "\"kind\":\"message\",\"channel\":\"ann\",\"message\":\"m1\"}}}");
    /* Then what comes, of this topic only. */
    add_trade(&instance, "binance:BTC-USDT", 2);
    add_chat(&instance, "ann", 3);
    serve_notify(instance.serve);
    const char *frame = peer_expect(&peer, "chat_stream");
    assert_non_null(strstr(frame, "\"m3\""));
    /* A new list replaces the old; what is new in it brings its backlog, digits and all. */
    peer_say(&peer, "{\"subscribe\":[\"market_stream\"]}");
    frame = peer_expect(&peer, "market_stream");
    assert_non_null(strstr(frame, "\"price\":1.50,\"n\":2"));
    add_chat(&instance, "ann", 4);
    add_trade(&instance, "binance:BTC-USDT", 5);
    serve_notify(instance.serve);
    frame = peer_hear(&peer);
    assert_non_null(strstr(frame, "\"n\":5"));
    peer_close(&peer);
    instance_stop(&instance);
}

static void expect_message(struct peer *peer, int number)
{
    char text[16];
    snprintf(text, sizeof text, "\"m%d\"", number);
    const char *frame = peer_hear(peer);
    if (!frame || !strstr(frame, text))
        fail_msg("expected %s, got %s", text, frame ? frame : "the end");
}

/* Events between the backlog and the feed come once; those of an earlier subscriber too. */
static void test_nothing_twice_nothing_lost(void **state)
{
    (void)state;
    struct instance instance;
    instance_start(&instance, NULL);
    struct peer first = peer_open(instance.port, "/live", NULL, 0);
    peer_say(&first, "{\"subscribe\":[\"chat_stream\"]}");
    int sent = 0;
    for (; sent < 20; sent++)
        add_chat(&instance, "ann", sent);
    serve_notify(instance.serve);
    peer_expect(&first, "\"m19\"");
    struct peer second = peer_open(instance.port, "/live", NULL, 0);
    peer_say(&second, "{\"subscribe\":[\"chat_stream\"]}");
    for (; sent < 60; sent++) {
        add_chat(&instance, "ann", sent);
        serve_notify(instance.serve);
    }
    for (int i = 0; i < 60; i++) {
        expect_message(&second, i);
        if (i >= 20)
            expect_message(&first, i);
    }
    peer_close(&first);
    peer_close(&second);
    instance_stop(&instance);
}

/* Questions are answered behind the log: what is between comes all the same, to the first subscriber and to one beside it, by
 * WebSocket and as a topic that is added. */
static void test_what_is_not_known_yet(void **state)
{
    (void)state;
    struct instance instance;
    instance_start(&instance, NULL);
    for (int i = 0; i < 500; i++)
        add_chat(&instance, "ann", i);
    instance.fake.unknown = 300;
    struct peer first = peer_open(instance.port, "/live", NULL, 0), second = peer_open(instance.port, "/live", NULL, 0);
    peer_say(&first, "{\"subscribe\":[\"chat_stream\"]}");
    for (int i = 100; i < 500; i++)
        expect_message(&first, i);
    peer_say(&second, "{\"subscribe\":[\"status\"]}");
    peer_expect(&second, "status");
    peer_say(&second, "{\"subscribe\":[\"chat_stream\"]}");
    for (int i = 100; i < 500; i++)
        expect_message(&second, i);
    add_chat(&instance, "ann", 500);
    serve_notify(instance.serve);
    expect_message(&first, 500);
    expect_message(&second, 500);
    peer_close(&first);
    peer_close(&second);
    instance_stop(&instance);
}

static void test_filters(void **state)
{
    (void)state;
    struct instance instance;
    instance_start(&instance, NULL);
    for (int i = 0; i < 150; i++) {
        add_chat(&instance, i % 3 ? "bob" : "ann", i);
        add_trade(&instance, i % 2 ? "binance:BTC-USDT" : "binance:ETH-USDT", i);
    }
    struct peer peer = peer_open(instance.port, "/live", NULL, 0);
    peer_say(&peer,
             "{\"subscribe\":[\"chat_stream\",\"market_stream\"],\"filter\":{\"channel\":\"ann\",\"symbol\":[\"BTC-USDT\"]}}");
    int chat = 0, trades = 0;
    while (chat < 50 || trades < 50) {
        const char *frame = peer_hear(&peer);
        assert_non_null(frame);
        assert_null(strstr(frame, "bob"));
        assert_null(strstr(frame, "ETH-USDT"));
        chat += strstr(frame, "chat_stream") != NULL;
        trades += strstr(frame, "market_stream") != NULL;
    }
    add_chat(&instance, "bob", 900);
    add_trade(&instance, "binance:ETH-USDT", 901);
    add_chat(&instance, "ann", 902);
    serve_notify(instance.serve);
    assert_non_null(strstr(peer_hear(&peer), "m902"));
    /* The filter alone changes; the topics stay. */
    peer_say(&peer, "{\"filter\":{\"key\":[\"binance:ETH-USDT\",\"bob\"]}}");
    peer_say(&peer, "nonsense"); /* its answer says that the filter is in place */
    assert_non_null(strstr(peer_hear(&peer), "error"));
    add_chat(&instance, "ann", 903);
    add_chat(&instance, "bob", 904);
    add_trade(&instance, "binance:BTC-USDT", 905);
    add_trade(&instance, "binance:ETH-USDT", 906);
    serve_notify(instance.serve);
    assert_non_null(strstr(peer_hear(&peer), "m904"));
    assert_non_null(strstr(peer_hear(&peer), "\"n\":906"));
    peer_close(&peer);
    instance_stop(&instance);
}

static void test_analytics_topics(void **state)
{
    (void)state;
    struct instance instance;
    instance_start(&instance, NULL);
    struct peer peer = peer_open(instance.port, "/live", NULL, 0);
    peer_say(&peer, "{\"subscribe\":[\"alerts\",\"anomalies\",\"windows/ohlcv\",\"windows/mood\"]}");
    /* The backlog of documents. */
    assert_string_equal(peer_hear(&peer), "{\"topic\":\"alerts\",\"event\":{\"id\":\"document\",\"payload\":{}}}");
    assert_string_equal(peer_hear(&peer), "{\"topic\":\"anomalies\",\"event\":{\"id\":\"document\",\"payload\":{}}}");
    assert_string_equal(peer_hear(&peer), "{\"topic\":\"windows/ohlcv\",\"event\":{\"id\":\"document\",\"payload\":{}}}");
    assert_string_equal(peer_hear(&peer), "{\"topic\":\"windows/mood\",\"event\":{\"id\":\"document\",\"payload\":{}}}");
    fake_add(&instance.fake, "analytics_stream", "k", "\"kind\":\"window\",\"query\":\"other\"");
    fake_add(&instance.fake, "analytics_stream", "k", "\"kind\":\"window\",\"query\":\"mood\",\"n\":1");
    fake_add(&instance.fake, "analytics_stream", "k", "\"kind\":\"anomaly\",\"type\":\"raid\"");
    fake_add(&instance.fake, "analytics_stream", "k", "\"kind\":\"alert\",\"type\":\"raid\"");
    serve_notify(instance.serve);
    assert_non_null(strstr(peer_hear(&peer), "{\"topic\":\"alerts\"")); /* alerts go first */
    assert_non_null(strstr(peer_hear(&peer), "{\"topic\":\"windows/mood\""));
    assert_non_null(strstr(peer_hear(&peer), "{\"topic\":\"anomalies\""));
    peer_say(&peer, "{\"subscribe\":[\"analytics_stream\"]}");
    for (int i = 0; i < 4; i++)
        assert_non_null(strstr(peer_hear(&peer), "{\"topic\":\"analytics_stream\""));
    peer_close(&peer);
    instance_stop(&instance);
}

static void test_malformed(void **state)
{
    (void)state;
    static const struct {
        const char *message, *error;
    } cases[] = {
        {"", "no JSON"},
        {"{", "no JSON"},
        {"{\"subscribe\":[\"chat_stream\"]} trailing", "no JSON"},
        {"[]", "an object"},
        {"{}", "an object"},
        {"null", "an object"},
        {"{\"subscribe\":\"chat_stream\"}", "must be a list"},
        {"{\"subscribe\":[1]}", "must be a list"},
        {"{\"subscribe\":[\"chats\"]}", "unknown topic 'chats'"},
        {"{\"subscribe\":[\"windows/\"]}", "unknown topic"},
        {"{\"subscribe\":[\"windows/../x\"]}", "unknown topic"},
        {"{\"subscribe\":[\"\\u0000\"]}", "unknown topic"},
        {"{\"filter\":[]}", "'filter' must be an object"},
        {"{\"filter\":{\"user\":\"x\"}}", "unknown filter"},
        {"{\"filter\":{\"key\":5}}", "must be a text"},
        {"{\"filter\":{\"key\":[[]]}}", "must be a text"},
    };
    struct instance instance;
    instance_start(&instance, NULL);
    struct peer peer = peer_open(instance.port, "/live", NULL, 0);
    peer_say(&peer, "{\"subscribe\":[\"chat_stream\"]}");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        peer_say(&peer, cases[i].message);
        const char *frame = peer_hear(&peer);
        if (!frame || strncmp(frame, "{\"error\":\"", 10) != 0 || !strstr(frame, cases[i].error))
            fail_msg("%s: %s", cases[i].message, frame);
    }
    /* The subscription is what it was. */
    add_chat(&instance, "ann", 1);
    serve_notify(instance.serve);
    assert_non_null(strstr(peer_hear(&peer), "\"m1\""));
    /* Too many windows, too large a message. */
    char many[2000] = "{\"subscribe\":[\"windows/w\"";
    for (int i = 0; i < 16; i++)
        snprintf(many + strlen(many), sizeof many - strlen(many), ",\"windows/w%d\"", i);
    strncat(many, "]}", 3);
    peer_say(&peer, many);
    assert_non_null(strstr(peer_hear(&peer), "at most 16 windows"));
    char *large = malloc(70000);
    memset(large, ' ', 69999);
    large[69999] = '\0';
    peer_say(&peer, large);
    free(large);
    assert_null(peer_hear(&peer));
    assert_int_equal(peer.close_code, 1009);
    peer_close(&peer);
    instance_stop(&instance);
}

/* Asks the metrics, over one connection, until the server has let go of all live clients. */
static void wait_for_no_clients(int port)
{
    static const char request[] = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    int file = peer_connect(port, 0);
    for (int tries = 0;; tries++) {
        assert_true(tries < 4000);
        peer_send(file, request, sizeof request - 1);
        if (strstr(peer_read(file, "dataflow_build_info{version=\"" DATAFLOW_VERSION "\"} 1\n"), "\ndataflow_live_clients 0\n"))
            break;
        poll(NULL, 0, 5);
    }
    close(file);
}

/* What the program holds; sanitizers keep what was freed for a while, and cannot tell. */
static size_t allocated_bytes(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return 0;
#else
    return mallinfo2().uordblks;
#endif
}

/* A client that does not read: memory stays bounded, others are served, and when it reads at last it gets the newest events
 * and is told how many it missed: none is unaccounted for. */
static void test_never_reading_client(void **state)
{
    (void)state;
    enum { COUNT = 300000 };
    struct instance instance;
    instance_start(&instance, NULL);
    struct peer slow = peer_open(instance.port, "/live", NULL, 4096);
    peer_say(&slow, "{\"subscribe\":[\"market_stream\"]}");
    struct peer other = peer_open(instance.port, "/live", NULL, 0);
    peer_say(&other, "{\"subscribe\":[\"chat_stream\"]}");
    add_chat(&instance, "ann", 0);
    serve_notify(instance.serve);
    peer_expect(&other, "m0");
    for (int i = 0; i < 1000; i++)
        add_trade(&instance, "binance:BTC-USDT", i);
    size_t before = allocated_bytes();
    for (int i = 1000; i < COUNT; i++) {
        add_trade(&instance, "binance:BTC-USDT", i);
        if (i % 1000 == 0)
            serve_notify(instance.serve);
    }
    add_chat(&instance, "ann", 1);
    serve_notify(instance.serve);
    peer_expect(&other, "m1"); /* the feed is past all of them */
    size_t after = allocated_bytes();
    if (after > before + 4 * 1024 * 1024)
        fail_msg("it took %zu bytes", after - before);
    long heard = 0, dropped = 0, last = -1;
    while (last != COUNT - 1) {
        const char *frame = peer_hear(&slow);
        assert_non_null(frame);
        const char *count = strstr(frame, "\"dropped\":"), *number = strstr(frame, "\"n\":");
        if (count) {
            dropped += strtol(count + 10, NULL, 10);
        } else {
            heard++;
            long n = strtol(number + 4, NULL, 10);
            assert_true(n > last); /* in order, none twice */
            last = n;
        }
    }
    assert_true(dropped > 0);
    assert_int_equal(heard + dropped, COUNT);
    peer_close(&slow);
    peer_close(&other);
    instance_stop(&instance);
}

/* Alerts are not dropped; who cannot take even those is closed. */
static void test_alerts(void **state)
{
    (void)state;
    struct instance instance;
    instance_start(&instance, NULL);
    struct peer reader = peer_open(instance.port, "/live", NULL, 0);
    peer_say(&reader, "{\"subscribe\":[\"alerts\",\"market_stream\"]}");
    peer_expect(&reader, "document");
    enum { TRADES = 20000, ALERTS = 1000 };
    for (int i = 0; i < TRADES; i++) {
        add_trade(&instance, "binance:BTC-USDT", i);
        if (i % (TRADES / ALERTS) == 0) {
            char payload[64];
            snprintf(payload, sizeof payload, "\"kind\":\"alert\",\"n\":%d", i / (TRADES / ALERTS));
            fake_add(&instance.fake, "analytics_stream", "k", payload);
        }
    }
    serve_notify(instance.serve);
    for (int next = 0; next < ALERTS; next++) {
        const char *frame = peer_expect(&reader, "{\"topic\":\"alerts\"");
        assert_int_equal(strtol(strstr(frame, "\"n\":") + 4, NULL, 10), next);
    }
    peer_close(&reader);

    struct peer stuck = peer_open(instance.port, "/live", NULL, 4096);
    peer_say(&stuck, "{\"subscribe\":[\"alerts\"]}");
    peer_expect(&stuck, "document");
    for (int i = 0; i < 60000; i++)
        fake_add(&instance.fake, "analytics_stream", "k", "\"kind\":\"alert\"");
    serve_notify(instance.serve);
    /* Wait until it has been given up: the count of clients says so. */
    wait_for_no_clients(instance.port);
    peer_close(&stuck);
    instance_stop(&instance);
}

static void test_event_stream(void **state)
{
    (void)state;
    struct instance instance;
    instance_start(&instance, NULL);
    add_chat(&instance, "ann", 1);
    add_trade(&instance, "binance:BTC-USDT", 2);
    int file = peer_connect(instance.port, 0);
    const char request[] = "GET /api/v1/stream?topic=chat_stream,market_stream&key=ann HTTP/1.1\r\nHost: localhost\r\n"
                           "Last-Event-ID: 5\r\n\r\n";
    peer_send(file, request, sizeof request - 1);
    const char *answer = peer_read(file, "\"m1\"}}\n\n");
    assert_non_null(strstr(answer, "Content-Type: text/event-stream\r\n"));
    assert_non_null(strstr(answer, "\n\nevent: chat_stream\ndata: {\"schema\":1,\"id\":\"e0\","));
    add_trade(&instance, "binance:BTC-USDT", 3);
    add_chat(&instance, "bob", 4);
    add_chat(&instance, "ann", 5);
    serve_notify(instance.serve);
    answer = peer_read(file, "\"m5\"}}\n\n");
    assert_true(strncmp(answer, "event: chat_stream\ndata: {", 26) == 0);
    assert_null(strstr(answer, "\"m4\""));
    assert_null(strstr(answer, "market_stream"));
    close(file);
    wait_for_no_clients(instance.port);
    instance_stop(&instance);
}

/* Nobody listens: the log is not read. */
static void test_idle(void **state)
{
    (void)state;
    struct instance instance;
    instance_start(&instance, NULL);
    for (int i = 0; i < 100; i++) {
        add_chat(&instance, "ann", i);
        serve_notify(instance.serve);
    }
    http_get(instance.port, "/livez");
    pthread_mutex_lock(&instance.fake.lock);
    assert_int_equal(instance.fake.feed_calls, 0);
    pthread_mutex_unlock(&instance.fake.lock);
    instance_stop(&instance);
}

static void test_limit_of_clients(void **state)
{
    (void)state;
    struct instance instance;
    instance_start(&instance, NULL);
    static struct peer peers[64];
    for (size_t i = 0; i < 64; i++)
        peers[i] = peer_open(instance.port, "/live", NULL, 0);
    int file = peer_handshake(instance.port, "/live", NULL, 0);
    assert_int_equal(http_status(peer_read(file, NULL)), 503);
    close(file);
    assert_int_equal(http_status(http_get(instance.port, "/api/v1/stream")), 503);
    for (size_t i = 0; i < 64; i++)
        peer_close(&peers[i]);
    instance_stop(&instance);
}

static void test_stop_with_clients(void **state)
{
    (void)state;
    struct instance instance;
    instance_start(&instance, NULL);
    struct peer peer = peer_open(instance.port, "/live", NULL, 0), silent = peer_open(instance.port, "/live", NULL, 4096);
    peer_say(&peer, "{\"subscribe\":[\"chat_stream\",\"status\"]}");
    peer_expect(&peer, "status");
    peer_say(&silent, "{\"subscribe\":[\"chat_stream\"]}");
    int stream = peer_connect(instance.port, 0);
    const char request[] = "GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n";
    peer_send(stream, request, sizeof request - 1);
    peer_read(stream, "retry");
    int idle = peer_connect(instance.port, 0), half = peer_connect(instance.port, 0);
    peer_send(half, "GET / HT", 8);
    for (int i = 0; i < 5000; i++)
        add_chat(&instance, "ann", i);
    serve_notify(instance.serve);
    instance_stop(&instance);
    while (peer_hear(&peer))
        ;
    assert_int_equal(peer.close_code, 1001);
    peer_read(stream, NULL);
    peer_close(&peer);
    peer_close(&silent);
    close(stream);
    close(idle);
    close(half);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_subscribe),
        cmocka_unit_test(test_nothing_twice_nothing_lost),
        cmocka_unit_test(test_what_is_not_known_yet),
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_analytics_topics),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_never_reading_client),
        cmocka_unit_test(test_alerts),
        cmocka_unit_test(test_event_stream),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_limit_of_clients),
        cmocka_unit_test(test_stop_with_clients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
