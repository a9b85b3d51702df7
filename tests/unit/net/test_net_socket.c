/* WebSockets: client and server of the room against each other on one loop, and each against a raw TCP peer that frames by
 * hand (RFC 6455). */
#include "unit/net/net_test.h"

#include "base/buffer.h"
#include <openssl/evp.h>

/* ---- a server that echoes, and says what happened to it ---- */

struct echo {
    struct net_loop *loop;
    struct net_server *server;
    int port;
    struct net_socket *last;
    int opened, closed, messages, drained;
    size_t message_bytes;
    bool silent; /* does not echo */
    bool refuse;
    char last_text[64];
};

static void echo_request(void *context, struct net_request *request)
{
    (void)context;
    net_respond(request, &(struct net_reply){.status = 200, .content_type = "text/plain", .body = BYTES("hello")});
}

static bool echo_upgrade(void *context, struct net_request *request)
{
    struct echo *echo = context;
    return !echo->refuse && bytes_equal(net_request_path(request), BYTES("/ws"));
}

struct echo_socket {
    struct echo *echo;
    struct net_socket *socket;
};

static void echo_open(void *context, struct net_socket *socket, void **socket_context)
{
    struct echo *echo = context;
    struct echo_socket *one = malloc(sizeof *one);
    *one = (struct echo_socket){echo, socket};
    *socket_context = one;
    echo->last = socket;
    echo->opened++;
}

static void echo_message(void *context, struct bytes message)
{
    struct echo_socket *one = context;
    one->echo->messages++;
    one->echo->message_bytes += message.length;
    snprintf(one->echo->last_text, sizeof one->echo->last_text, "%.*s", (int)(message.length < 60 ? message.length : 60),
             message.at);
    if (bytes_equal(message, BYTES("close 4001")))
        net_socket_close(one->socket, 4001);
    else if (!one->echo->silent)
        assert_true(net_socket_send(one->socket, message));
}

static void echo_writable(void *context)
{
    struct echo_socket *one = context;
    one->echo->drained++;
}

static void echo_close(void *context)
{
    struct echo_socket *one = context;
    one->echo->closed++;
    free(one);
}

static void echo_start(struct echo *echo, const struct net_loop_options *options)
{
    *echo = (struct echo){.loop = make_loop(options)};
    struct net_server_options server = {.address = "127.0.0.1",
                                        .on_request = echo_request,
                                        .on_upgrade = echo_upgrade,
                                        .on_socket_open = echo_open,
                                        .on_socket_message = echo_message,
                                        .on_socket_writable = echo_writable,
                                        .on_socket_close = echo_close,
                                        .context = echo,
                                        .body_max = 1024,
                                        .connection_max = 150};
    struct error error = {""};
    echo->server = net_server_start(echo->loop, &server, &echo->port, &error);
    if (!echo->server)
        fail_msg("%s", error.text);
}

/* ---- a client that remembers ---- */

struct client {
    struct net_socket *socket;
    int opened, messages, closed, code;
    size_t message_bytes;
    char reason[300];
    struct buffer last;
};

static void client_open(void *context)
{
    struct client *client = context;
    client->opened++;
}

static void client_message(void *context, struct bytes message)
{
    struct client *client = context;
    client->messages++;
    client->message_bytes += message.length;
    buffer_reset(&client->last);
    buffer_append(&client->last, message);
}

static void client_close(void *context, int code, struct bytes reason)
{
    struct client *client = context;
    client->closed++;
    client->code = code;
    snprintf(client->reason, sizeof client->reason, "%.*s", BYTES_ARG(reason));
    client->socket = NULL;
}

static const struct net_socket_events client_events = {client_open, client_message, client_close};

static void client_connect_url(struct client *client, struct net_loop *loop, const char *url)
{
    struct error error = {""};
    *client = (struct client){0};
    buffer_init(&client->last, 8 << 20);
    client->socket = net_socket_connect(loop, bytes_of_string(url), &client_events, client, &error);
    if (!client->socket)
        fail_msg("%s", error.text);
    assert_int_equal(client->opened + client->closed, 0); /* nothing is told before it returns */
}

static void client_connect(struct client *client, struct net_loop *loop, int port)
{
    char url[64];
    url_of(url, sizeof url, "ws", port, "/ws");
    client_connect_url(client, loop, url);
}

static void client_release(struct client *client)
{
    assert_int_equal(client->closed, 1);
    buffer_release(&client->last);
}

static void test_echo(void **state)
{
    (void)state;
    struct echo echo;
    struct client client;
    echo_start(&echo, NULL);
    client_connect(&client, echo.loop, echo.port);
    assert_false(net_socket_send(client.socket, BYTES("too early")));
    WAIT_FOR(echo.loop, client.opened);
    assert_true(net_socket_send(client.socket, BYTES("hello")));
    assert_true(net_socket_send(client.socket, BYTES("")));
    assert_true(net_socket_send(client.socket, BYTES("h\303\251llo again")));
    WAIT_FOR(echo.loop, client.messages == 3);
    assert_int_equal(client.last.length, 12);
    assert_memory_equal(client.last.at, "h\303\251llo again", 12);
    assert_int_equal(echo.messages, 3);
    assert_true(echo.drained >= 1);
    assert_int_equal(net_socket_queued_bytes(client.socket), 0);
    net_socket_close(client.socket, 1000);
    assert_int_equal(client.closed, 0);
    assert_false(net_socket_send(client.socket, BYTES("too late")));
    WAIT_FOR(echo.loop, client.closed && echo.closed);
    assert_int_equal(client.code, 1000);
    net_loop_destroy(echo.loop);
    client_release(&client);
    assert_int_equal(echo.closed, 1);
}

static void test_close_code_of_the_server(void **state)
{
    (void)state;
    struct echo echo;
    struct client client;
    echo_start(&echo, NULL);
    client_connect(&client, echo.loop, echo.port);
    WAIT_FOR(echo.loop, client.opened);
    net_socket_send(client.socket, BYTES("close 4001"));
    WAIT_FOR(echo.loop, client.closed && echo.closed);
    assert_int_equal(client.code, 4001);
    net_loop_destroy(echo.loop);
    client_release(&client);
}

/* What is queued before a close still goes out. */
static void test_close_after_the_queue(void **state)
{
    (void)state;
    struct echo echo;
    struct client client;
    echo_start(&echo, NULL);
    echo.silent = true;
    client_connect(&client, echo.loop, echo.port);
    WAIT_FOR(echo.loop, client.opened);
    for (int i = 0; i < 1000; i++)
        assert_true(net_socket_send(client.socket, BYTES("0123456789012345678901234567890123456789")));
    net_socket_close(client.socket, 1000);
    WAIT_FOR(echo.loop, client.closed && echo.closed);
    assert_int_equal(echo.messages, 1000);
    net_loop_destroy(echo.loop);
    client_release(&client);
}

static void test_big_messages(void **state)
{
    (void)state;
    struct echo echo;
    struct client client;
    echo_start(&echo, NULL);
    client_connect(&client, echo.loop, echo.port);
    WAIT_FOR(echo.loop, client.opened);
    static const size_t sizes[] = {125, 126, 65535, 65536, 65537, 300000, 900000};
    char *text = malloc(900000);
    for (size_t i = 0; i < 900000; i++)
        text[i] = (char)('a' + i % 23);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        int before = client.messages;
        assert_true(net_socket_send(client.socket, bytes_of(text, sizes[i])));
        WAIT_FOR(echo.loop, client.messages > before);
        assert_int_equal(client.last.length, sizes[i]);
        assert_memory_equal(client.last.at, text, sizes[i]);
    }
    free(text);
    net_loop_destroy(echo.loop);
    client_release(&client);
    assert_int_equal(client.code, 0);
    assert_int_equal(echo.closed, 1);
}

/* ---- against a raw server ---- */

/* Answers the handshake; the key's hash is not checked here but by the library. */
static int raw_handshake(struct net_loop *loop, int listener)
{
    int file = raw_accept(loop, listener);
    const char *request = raw_read(loop, file, "\r\n\r\n", NULL);
    const char *key = strcasestr(request, "sec-websocket-key: ");
    assert_non_null(key);
    assert_non_null(strcasestr(request, "user-agent: dataflow/"));
    assert_non_null(strstr(request, "GET /ws?streams=a@b/c HTTP/1.1\r\n"));
    char text[64];
    unsigned char hash[EVP_MAX_MD_SIZE], accept[64];
    unsigned length;
    snprintf(text, sizeof text, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key + 19);
    EVP_Digest(text, strlen(text), hash, &length, EVP_sha1(), NULL);
    EVP_EncodeBlock(accept, hash, (int)length);
    char reply[512];
    snprintf(reply, sizeof reply,
             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
             accept);
    raw_send_text(loop, file, reply);
    return file;
}

static int raw_session(struct net_loop *loop, struct client *client, int *listener)
{
    int port;
    *listener = raw_listen(&port);
    char url[64];
    url_of(url, sizeof url, "ws", port, "/ws?streams=a@b/c");
    client_connect_url(client, loop, url);
    int file = raw_handshake(loop, *listener);
    WAIT_FOR(loop, client->opened);
    return file;
}

static void test_fragments_byte_by_byte(void **state)
{
    (void)state;
    struct net_loop *loop = make_loop(NULL);
    struct client client;
    int listener, file = raw_session(loop, &client, &listener);
    /* "one " | ping | "two " | "three", then a whole message, each byte in a packet of its own */
    static const char frames[] = "\x01\x04one \x89\x02hi\x00\x04two \x80\x05three\x81\x04last";
    for (size_t i = 0; i < sizeof frames - 1; i++) {
        raw_send(loop, file, frames + i, 1);
        net_loop_step(loop, 500);
    }
    WAIT_FOR(loop, client.messages == 2);
    assert_int_equal(client.message_bytes, 13 + 4);
    /* The ping was answered: a masked pong of two bytes. */
    size_t length;
    char pong[16];
    WAIT_FOR(loop, recv(file, pong, sizeof pong, MSG_PEEK) >= 8);
    length = (size_t)recv(file, pong, sizeof pong, 0);
    assert_int_equal(length, 8);
    assert_int_equal((unsigned char)pong[0], 0x8a);
    assert_int_equal((unsigned char)pong[1], 0x82);
    /* Close with a code and a reason. */
    raw_send(loop, file,
             "\x88\x0a\x0f\xa2"
             "bye then",
             12);
    WAIT_FOR(loop, client.closed);
    assert_int_equal(client.code, 4002);
    assert_string_equal(client.reason, "bye then");
    close(file);
    close(listener);
    net_loop_destroy(loop);
    client_release(&client);
}

static void test_lost_and_codeless(void **state)
{
    (void)state;
    struct net_loop *loop = make_loop(NULL);
    struct client client;
    int listener, file = raw_session(loop, &client, &listener);
    close(file);
    WAIT_FOR(loop, client.closed);
    assert_int_equal(client.code, 0);
    assert_string_equal(client.reason, "the connection was lost");
    client_release(&client);
    close(listener);

    file = raw_session(loop, &client, &listener);
    raw_send(loop, file, "\x88\x00", 2);
    WAIT_FOR(loop, client.closed);
    assert_int_equal(client.code, 0);
    assert_non_null(strstr(client.reason, "without a code"));
    client_release(&client);
    close(file);
    close(listener);
    net_loop_destroy(loop);
}

/* A frame that claims more than the largest message is refused before it is stored. */
static void test_message_too_large(void **state)
{
    (void)state;
    struct net_loop *loop = make_loop(NULL);
    struct client client;
    int listener, file = raw_session(loop, &client, &listener);
    raw_send(loop, file, "\x81\x7f\x00\x00\x00\x00\x00\x50\x00\x00", 10); /* 5 MiB */
    static char chunk[64 * 1024];
    memset(chunk, 'x', sizeof chunk);
    for (int i = 0; i < 80; i++)
        raw_send(loop, file, chunk, sizeof chunk);
    /* The close frame: masked, 1009. */
    unsigned char frame[64];
    WAIT_FOR(loop, recv(file, frame, sizeof frame, 0) >= 8);
    assert_int_equal(frame[0], 0x88);
    assert_int_equal((frame[6] ^ frame[2]) << 8 | (frame[7] ^ frame[3]), 1009);
    raw_send(loop, file, "\x88\x02\x03\xf1", 4);
    WAIT_FOR(loop, client.closed);
    assert_int_equal(client.code, 1009);
    assert_int_equal(client.messages, 0);
    close(file);
    close(listener);
    net_loop_destroy(loop);
    client_release(&client);
}

static void test_silence(void **state)
{
    (void)state;
    struct net_loop *loop = make_loop(&(struct net_loop_options){.silence_s = 1});
    struct client client;
    int listener, file = raw_session(loop, &client, &listener);
    WAIT_FOR(loop, client.closed);
    assert_int_equal(client.code, 0);
    assert_non_null(strstr(client.reason, "silent"));
    char frame[16];
    assert_true(recv(file, frame, sizeof frame, 0) >= 6);
    assert_int_equal((unsigned char)frame[0], 0x89); /* it was probed */
    close(file);
    close(listener);
    net_loop_destroy(loop);
    client_release(&client);
}

/* ---- connections that fail ---- */

static void expect_failure(struct net_loop *loop, const char *url, const char *reason)
{
    struct client client;
    client_connect_url(&client, loop, url);
    WAIT_FOR(loop, client.closed);
    assert_int_equal(client.code, 0);
    assert_int_equal(client.opened, 0);
    if (!strstr(client.reason, reason))
        fail_msg("%s: '%s' does not say '%s'", url, client.reason, reason);
    client_release(&client);
}

static void test_failures(void **state)
{
    (void)state;
    struct echo echo;
    echo_start(&echo, &(struct net_loop_options){.connect_timeout_us = 200000});
    char url[160];
    int port;
    int closed = raw_listen(&port);
    close(closed);
    url_of(url, sizeof url, "ws", port, "/ws");
    expect_failure(echo.loop, url, "cannot connect to ");
    snprintf(url, sizeof url, "ws://localhost:%d/ws", port); /* two addresses, neither answers */
    expect_failure(echo.loop, url, "cannot connect to ");
    url_of(url, sizeof url, "ws", echo.port, "/elsewhere");
    expect_failure(echo.loop, url, "HTTP status 403");
    /* A name that no name server is asked for: its label is longer than 63 bytes. */
    snprintf(url, sizeof url, "ws://%070d.invalid/ws", 1);
    expect_failure(echo.loop, url, "cannot resolve ");
    /* Listens, but nobody ever answers. */
    int listener = raw_listen(&port);
    url_of(url, sizeof url, "ws", port, "/ws");
    expect_failure(echo.loop, url, "no connection within 0.2 s");
    url_of(url, sizeof url, "wss", port, "/ws");
    expect_failure(echo.loop, url, "no connection within 0.2 s");
    close(listener);
    net_loop_destroy(echo.loop);
}

static void test_answers_that_are_none(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n"),
        "SSH-2.0-OpenSSH_9.2\r\n",
        "\x16\x03\x01\x02",
    };
    struct net_loop *loop = make_loop(&(struct net_loop_options){.connect_timeout_us = 2000000});
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        int port, listener = raw_listen(&port);
        struct client client;
        client_connect(&client, loop, port);
        int file = raw_accept(loop, listener);
        raw_read(loop, file, "\r\n\r\n", NULL);
        raw_send_text(loop, file, answers[i]);
        if (i >= 3)
            close(file);
        WAIT_FOR(loop, client.closed);
        assert_int_equal(client.code, 0);
        assert_int_equal(client.opened, 0);
        assert_true(strlen(client.reason) > 10);
        if (i == 0)
            assert_non_null(strstr(client.reason, "503"));
        if (i == 1)
            assert_non_null(strstr(client.reason, "302"));
        client_release(&client);
        if (i < 3)
            close(file);
        close(listener);
    }
    net_loop_destroy(loop);
}

static void test_no_urls(void **state)
{
    (void)state;
    static const char *const urls[] = {"",
                                       "127.0.0.1:80",
                                       "ws://",
                                       "ws://:80/",
                                       "ws://host:0/",
                                       "ws://host:65536/",
                                       "ws://host:8x/",
                                       "ws://ho st/",
                                       "ws://user@host/",
                                       "ws://host/a b",
                                       "ws://host/a\r\nX: y",
                                       "ws://[::1/",
                                       "ws://[::1]x/",
                                       "http://host/",
                                       "ftp://host/"};
    struct net_loop *loop = make_loop(NULL);
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct error error = {""};
        struct client client = {0};
        if (net_socket_connect(loop, bytes_of_string(urls[i]), &client_events, &client, &error))
            fail_msg("'%s' was taken for a URL", urls[i]);
        assert_true(strlen(error.text) > 10);
    }
    net_loop_destroy(loop);
    assert_true(net_url_is_loopback(BYTES("ws://127.0.0.1:9000/x")));
    assert_true(net_url_is_loopback(BYTES("ws://127.8.8.8/x")));
    assert_true(net_url_is_loopback(BYTES("http://[::1]:80/")));
    assert_true(net_url_is_loopback(BYTES("HTTP://LocalHost")));
    assert_false(net_url_is_loopback(BYTES("wss://127.0.0.1/")));
    assert_false(net_url_is_loopback(BYTES("ws://127.0.0.1.example.org/")));
    assert_false(net_url_is_loopback(BYTES("ws://localhost.example.org/")));
    assert_false(net_url_is_loopback(BYTES("ws://10.0.0.1/")));
    assert_false(net_url_is_loopback(BYTES("nonsense")));
}

static void test_given_up_while_connecting(void **state)
{
    (void)state;
    struct net_loop *loop = make_loop(NULL);
    int port, listener = raw_listen(&port);
    struct client client, other;
    client_connect(&client, loop, port);
    net_socket_close(client.socket, 1000); /* before the first attempt */
    assert_int_equal(client.closed, 0);
    WAIT_FOR(loop, client.closed);
    client_connect(&other, loop, port);
    int file = raw_accept(loop, listener);
    net_socket_close(other.socket, 1000); /* in the middle of the handshake */
    WAIT_FOR(loop, other.closed);
    assert_int_equal(other.code, 0);
    assert_string_equal(other.reason, "closed before it was open");
    client_release(&client);
    client_release(&other);
    close(file);
    close(listener);
    net_loop_destroy(loop);
}

static void test_destroyed_at_every_stage(void **state)
{
    (void)state;
    int port, listener = raw_listen(&port);
    for (int rounds = 0; rounds < 6; rounds++) {
        struct echo echo;
        struct client pending, named, open;
        echo_start(&echo, NULL);
        client_connect(&open, echo.loop, echo.port);
        WAIT_FOR(echo.loop, open.opened);
        client_connect(&pending, echo.loop, port);
        char url[160];
        snprintf(url, sizeof url, "ws://%070d.invalid/ws", 1);
        client_connect_url(&named, echo.loop, url);
        for (int i = 0; i < rounds; i++)
            net_loop_step(echo.loop, 0);
        net_loop_destroy(echo.loop);
        client_release(&pending);
        client_release(&named);
        client_release(&open);
        assert_string_equal(open.reason, "the network loop ended");
        assert_int_equal(echo.closed, 1);
    }
    close(listener);
}

/* ---- limits ---- */

static void test_queue_overflow_and_slow_reader(void **state)
{
    (void)state;
    struct net_loop *loop = make_loop(NULL);
    struct client client;
    int listener, file = raw_session(loop, &client, &listener);
    static char text[1000];
    memset(text, 'q', sizeof text);
    int taken = 0;
    while (net_socket_send(client.socket, bytes_of(text, sizeof text)))
        taken++;
    assert_in_range(taken, 900, 1048);
    assert_true(net_socket_queued_bytes(client.socket) <= NET_SEND_QUEUE_MAX);
    /* The peer does not read: the queue moves into the socket's buffers and stays bounded. */
    for (int i = 0; i < 20000; i++) {
        net_loop_step(loop, 0);
        if (net_socket_send(client.socket, bytes_of(text, sizeof text)))
            taken++;
        assert_true(net_socket_queued_bytes(client.socket) <= NET_SEND_QUEUE_MAX);
    }
    /* Now it reads: every message that was taken arrives. */
    size_t expected = (size_t)taken * (sizeof text + 8), got = 0;
    static char space[65536];
    int64_t give_up_us = now_us() + PATIENCE_US;
    while (got < expected && now_us() < give_up_us) {
        ssize_t n = recv(file, space, sizeof space, 0);
        if (n > 0)
            got += (size_t)n;
        net_loop_step(loop, 0);
    }
    assert_int_equal(got, expected);
    assert_int_equal(net_socket_queued_bytes(client.socket), 0);
    net_loop_destroy(loop);
    client_release(&client);
    close(file);
    close(listener);
}

static void test_many_connections(void **state)
{
    (void)state;
    enum { COUNT = 100 };
    struct echo echo;
    static struct client clients[COUNT];
    echo_start(&echo, NULL);
    for (int i = 0; i < COUNT; i++)
        client_connect(&clients[i], echo.loop, echo.port);
    for (int i = 0; i < COUNT; i++)
        WAIT_FOR(echo.loop, clients[i].opened);
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < COUNT; i++)
            assert_true(net_socket_send(clients[i].socket, BYTES("hello")));
    for (int i = 0; i < COUNT; i++)
        WAIT_FOR(echo.loop, clients[i].messages == 3);
    for (int i = 0; i < COUNT; i += 2)
        net_socket_close(clients[i].socket, 1000);
    for (int i = 0; i < COUNT; i += 2)
        WAIT_FOR(echo.loop, clients[i].closed);
    WAIT_FOR(echo.loop, echo.closed == COUNT / 2);
    net_loop_destroy(echo.loop);
    assert_int_equal(echo.opened, COUNT);
    assert_int_equal(echo.closed, COUNT);
    for (int i = 0; i < COUNT; i++)
        client_release(&clients[i]);
}

/* A server's view of a raw client that breaks the protocol: it is closed, and nothing else happens. */
static void test_raw_clients(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
    } frames[] = {
        {"\x83\x80zzzz", 6},                              /* reserved opcode */
        {"\xf1\x80zzzz", 6},                              /* reserved bits */
        {"\x09\x80zzzz", 6},                              /* fragmented control frame */
        {"\x80\x80zzzz", 6},                              /* continuation of nothing */
        {"\x89\xfe\x00\x80zzzz", 8},                      /* ping with a long length */
        {"\x81\xff\x80\x00\x00\x00\x00\x00\x00\x00", 10}, /* negative length */
        {"\x88\x81zzzzz", 7},                             /* close with half a code */
    };
    struct echo echo;
    echo_start(&echo, NULL);
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        int file = raw_connect(echo.port);
        raw_send_text(echo.loop, file,
                      "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
        const char *reply = raw_read(echo.loop, file, "\r\n\r\n", NULL);
        assert_non_null(strstr(reply, "HTTP/1.1 101"));
        /* RFC 6455 section 1.3 gives the answer to this key. */
        assert_non_null(strcasestr(reply, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert_null(strcasestr(reply, "permessage-deflate"));
        raw_send(echo.loop, file, frames[i].bytes, frames[i].length);
        shutdown(file, SHUT_WR);
        raw_read(echo.loop, file, NULL, NULL);
        close(file);
        WAIT_FOR(echo.loop, echo.closed == (int)i + 1);
    }
    assert_int_equal(echo.messages, 0);
    net_loop_destroy(echo.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_close_code_of_the_server),
        cmocka_unit_test(test_close_after_the_queue),
        cmocka_unit_test(test_big_messages),
        cmocka_unit_test(test_fragments_byte_by_byte),
        cmocka_unit_test(test_lost_and_codeless),
        cmocka_unit_test(test_message_too_large),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_answers_that_are_none),
        cmocka_unit_test(test_no_urls),
        cmocka_unit_test(test_given_up_while_connecting),
        cmocka_unit_test(test_destroyed_at_every_stage),
        cmocka_unit_test(test_queue_overflow_and_slow_reader),
        cmocka_unit_test(test_many_connections),
        cmocka_unit_test(test_raw_clients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
