/* wss:// against a TLS server made of OpenSSL alone, with certificates made for the test: the right authority, none, another
 * one, another name. */
#include "unit/net/net_test.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>

static char directory[] = "/tmp/dataflow-tls-XXXXXX";
static char ca_file[64], other_ca_file[64];

struct authority {
    EVP_PKEY *key;
    X509 *certificate;
};

/* A certificate for `name`, signed by the authority, or by itself. */
static X509 *issue(EVP_PKEY *key, const char *name, const struct authority *by)
{
    X509 *one = X509_new();
    X509_set_version(one, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(one), by ? 2 : 1);
    X509_gmtime_adj(X509_getm_notBefore(one), -3600);
    X509_gmtime_adj(X509_getm_notAfter(one), 3600);
    X509_set_pubkey(one, key);
    X509_NAME *subject = X509_get_subject_name(one);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(one, by ? X509_get_subject_name(by->certificate) : subject);
    char alternative[128];
    snprintf(alternative, sizeof alternative, "%s:%s", name[0] >= '0' && name[0] <= '9' ? "IP" : "DNS", name);
    X509_EXTENSION *extension = by ? X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alternative)
                                   : X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");
    X509_add_ext(one, extension, -1);
    X509_EXTENSION_free(extension);
    assert_true(X509_sign(one, by ? by->key : key, EVP_sha256()) > 0);
    return one;
}

static struct authority make_authority(const char *name, char *file, size_t size, const char *leaf)
{
    struct authority authority = {.key = EVP_EC_gen("P-256")};
    authority.certificate = issue(authority.key, name, NULL);
    snprintf(file, size, "%s/%s", directory, leaf);
    FILE *out = fopen(file, "we");
    assert_int_equal(PEM_write_X509(out, authority.certificate), 1);
    fclose(out);
    return authority;
}

static void authority_release(struct authority *authority)
{
    X509_free(authority->certificate);
    EVP_PKEY_free(authority->key);
}

/* ---- the server: one connection after the other, each echoes one short message or answers one HTTP request ---- */

struct tls_server {
    int listener, port;
    SSL_CTX *context;
    pthread_t thread;
    char sni[64];
};

static void accept_key(const char *request, char *out, size_t size)
{
    const char *key = strcasestr(request, "sec-websocket-key: ");
    char text[64];
    unsigned char hash[EVP_MAX_MD_SIZE], encoded[64];
    unsigned length;
    snprintf(text, sizeof text, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key ? key + 19 : "");
    EVP_Digest(text, strlen(text), hash, &length, EVP_sha1(), NULL);
    EVP_EncodeBlock(encoded, hash, (int)length);
    snprintf(out, size, "%s", (char *)encoded);
}

static void echo_once(SSL *ssl)
{
    char request[4096], reply[256], accept[64];
    int length = SSL_read(ssl, request, sizeof request - 1);
    if (length <= 0)
        return;
    request[length] = '\0';
    if (strncmp(request, "GET /http ", 10) == 0) {
        static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nover TLS";
        SSL_write(ssl, answer, sizeof answer - 1);
        SSL_read(ssl, request, sizeof request); /* the end */
        return;
    }
    accept_key(request, accept, sizeof accept);
    length = snprintf(reply, sizeof reply,
                      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      "Sec-WebSocket-Accept: %s\r\n\r\n",
                      accept);
    SSL_write(ssl, reply, length);
    unsigned char frame[256];
    length = SSL_read(ssl, frame, sizeof frame);
    if (length < 6)
        return;
    for (int i = 6; i < length; i++)
        frame[i] ^= frame[2 + (i - 6) % 4];
    frame[5] = frame[1] & 0x7f;
    frame[4] = frame[0];
    SSL_write(ssl, frame + 4, length - 4);
    SSL_read(ssl, frame, sizeof frame); /* the close */
}

static void *run_server(void *argument)
{
    struct tls_server *server = argument;
    for (;;) {
        int file = accept(server->listener, NULL, NULL);
        if (file < 0)
            return NULL;
        SSL *ssl = SSL_new(server->context);
        SSL_set_fd(ssl, file);
        if (SSL_accept(ssl) == 1) {
            const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
            snprintf(server->sni, sizeof server->sni, "%s", name ? name : "");
            echo_once(ssl);
        }
        SSL_free(ssl);
        close(file);
    }
}

static void server_start(struct tls_server *server, const struct authority *by, const char *name)
{
    *server = (struct tls_server){.context = SSL_CTX_new(TLS_server_method())};
    server->listener = raw_listen(&server->port);
    fcntl(server->listener, F_SETFL, 0);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = issue(key, name, by);
    assert_int_equal(SSL_CTX_use_certificate(server->context, certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(server->context, key), 1);
    X509_free(certificate);
    EVP_PKEY_free(key);
    assert_int_equal(pthread_create(&server->thread, NULL, run_server, server), 0);
}

static void server_stop(struct tls_server *server)
{
    shutdown(server->listener, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->listener);
    SSL_CTX_free(server->context);
}

/* ---- the client ---- */

struct client {
    struct net_socket *socket;
    int messages, closed;
    char last[64], reason[300];
};

static void on_open(void *context)
{
    struct client *client = context;
    assert_true(net_socket_send(client->socket, BYTES("over TLS")));
}

static void on_message(void *context, struct bytes message)
{
    struct client *client = context;
    client->messages++;
    snprintf(client->last, sizeof client->last, "%.*s", BYTES_ARG(message));
    net_socket_close(client->socket, 1000);
}

static void on_close(void *context, int code, struct bytes reason)
{
    (void)code;
    struct client *client = context;
    client->closed++;
    snprintf(client->reason, sizeof client->reason, "%.*s", BYTES_ARG(reason));
}

static struct client talk(const char *trusted, const char *host, int port)
{
    static const struct net_socket_events events = {on_open, on_message, on_close};
    struct net_loop *loop = make_loop(&(struct net_loop_options){.tls_ca_file = trusted});
    struct client client = {0};
    struct error error = {""};
    char url[64];
    snprintf(url, sizeof url, "wss://%s:%d/ws", host, port);
    client.socket = net_socket_connect(loop, bytes_of_string(url), &events, &client, &error);
    assert_non_null(client.socket);
    WAIT_FOR(loop, client.closed);
    net_loop_destroy(loop);
    return client;
}

static void on_answer(void *context, const struct net_answer *answer)
{
    struct client *client = context;
    client->closed++;
    client->messages = answer->status == 200;
    snprintf(client->last, sizeof client->last, "%.*s", answer->status ? (int)answer->body.length : 0, answer->body.at);
    snprintf(client->reason, sizeof client->reason, "%.*s", BYTES_ARG(answer->body));
}

static struct client ask(const char *trusted, const char *host, int port)
{
    struct net_loop *loop = make_loop(&(struct net_loop_options){.tls_ca_file = trusted});
    struct client client = {0};
    struct error error = {""};
    char url[64];
    snprintf(url, sizeof url, "https://%s:%d/http", host, port);
    struct net_http_request request = {.method = "GET", .url = bytes_of_string(url)};
    assert_non_null(net_http_send(loop, &request, on_answer, &client, &error));
    WAIT_FOR(loop, client.closed);
    net_loop_destroy(loop);
    assert_int_equal(client.closed, 1);
    return client;
}

static void test_certificates(void **state)
{
    (void)state;
    struct authority ours = make_authority("Our CA", ca_file, sizeof ca_file, "ca.pem");
    struct authority other = make_authority("Other CA", other_ca_file, sizeof other_ca_file, "other.pem");
    struct tls_server server;
    server_start(&server, &ours, "localhost");

    struct client client = talk(ca_file, "localhost", server.port);
    assert_string_equal(client.last, "over TLS");
    assert_string_equal(server.sni, "localhost");

    client = talk(other_ca_file, "localhost", server.port);
    assert_int_equal(client.messages, 0);
    if (!strcasestr(client.reason, "cert"))
        fail_msg("'%s' does not speak of the certificate", client.reason);
    client = talk(NULL, "localhost", server.port);
    assert_int_equal(client.messages, 0);
    assert_non_null(strcasestr(client.reason, "cert"));
    client = talk(ca_file, "127.0.0.1", server.port); /* the right authority, another name */
    assert_int_equal(client.messages, 0);
    assert_true(strlen(client.reason) > 10);

    client = ask(ca_file, "localhost", server.port);
    assert_string_equal(client.last, "over TLS");
    client = ask(other_ca_file, "localhost", server.port);
    assert_int_equal(client.messages, 0);
    assert_non_null(strstr(client.reason, "certificate is not accepted"));
    client = ask(ca_file, "127.0.0.1", server.port);
    assert_int_equal(client.messages, 0);
    assert_non_null(strcasestr(client.reason, "certificate"));
    server_stop(&server);

    server_start(&server, &ours, "127.0.0.1"); /* an address instead of a name */
    client = talk(ca_file, "127.0.0.1", server.port);
    assert_string_equal(client.last, "over TLS");
    server_stop(&server);
    authority_release(&ours);
    authority_release(&other);
}

static void test_no_tls_there(void **state)
{
    (void)state;
    struct error error = {""};
    assert_null(net_loop_create(&(struct net_loop_options){.tls_ca_file = "/nonexistent.pem"}, &error));
    assert_non_null(strstr(error.text, "/nonexistent.pem"));
    char empty[80];
    snprintf(empty, sizeof empty, "%s/empty.pem", directory);
    close(open(empty, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_null(net_loop_create(&(struct net_loop_options){.tls_ca_file = empty}, &error));
    assert_non_null(strstr(error.text, "no certificate"));
    unlink(empty);

    static const struct net_socket_events events = {on_open, on_message, on_close};
    struct net_loop *loop = make_loop(&(struct net_loop_options){.without_tls = true});
    struct client client = {0};
    client.socket = net_socket_connect(loop, BYTES("wss://127.0.0.1:1/"), &events, &client, &error);
    assert_non_null(client.socket);
    WAIT_FOR(loop, client.closed);
    assert_non_null(strstr(client.reason, "TLS"));
    net_loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_certificates), cmocka_unit_test(test_no_tls_there)};
    if (!mkdtemp(directory))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(ca_file);
    unlink(other_ca_file);
    rmdir(directory);
    return failed;
}
