/* The HTTP API over a fake backend: every route, errors and their statuses, parameters, and who may ask. */
#include "unit/serve/serve_test.h"

static void test_routes(void **state)
{
    (void)state;
    struct instance instance;
    instance_start(&instance, NULL);
    static const struct {
        const char *target;
        int status;
        const char *type, *body;
    } cases[] = {
        {"/livez", 200, "application/json", "{\"live\":true}"},
        {"/readyz", 200, "application/json", "{\"ready\":true}"},
        {"/metrics", 200, "text/plain; version=0.0.4; charset=utf-8", NULL},
        {"/openapi.json", 200, "application/json", NULL},
        {"/api/v1/sources", 200, "application/json", "{\"sources\":[]}"},
        {"/api/v1/status", 200, "application/json", NULL},
        {"/api/v1/events?topic=chat_stream", 200, "application/json", "{\"events\":[],\"next\":null}"},
        {"/api/v1/anomalies", 200, "application/json", NULL},
        {"/api/v1/alerts", 200, "application/json", NULL},
        {"/api/v1/windows/ohlcv", 200, "application/json", NULL},
        {"/live", 426, "application/json", NULL},
        {"/", 200, "text/html", NULL},
        {"/?utm_source=x", 200, "text/html", NULL},
        {"/nothing", 404, "application/json", "{\"error\":{\"code\":\"not_found\",\"message\":\"there is nothing here\"}}"},
        {"/api/v1/windows/", 404, "application/json", NULL},
        {"/api/v1/windows", 404, "application/json", NULL},
        {"/api/v1/events/", 404, "application/json", NULL},
        {"/api/v2/events", 404, "application/json", NULL},
        {"/../etc/passwd", 404, "application/json", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *answer = http_get(instance.port, cases[i].target);
        char type[128];
        snprintf(type, sizeof type, "\r\nContent-Type: %s", cases[i].type);
        if (http_status(answer) != cases[i].status || !strstr(answer, type) ||
            (cases[i].body && strcmp(http_body(answer), cases[i].body) != 0))
            fail_msg("%s: %s", cases[i].target, answer);
        assert_non_null(strstr(answer, "\r\nX-Content-Type-Options: nosniff\r\n"));
        assert_non_null(strstr(answer, "\r\nReferrer-Policy: no-referrer\r\n"));
        assert_non_null(strstr(answer, "\r\nContent-Security-Policy: default-src 'self'; connect-src 'self';"));
        assert_non_null(strstr(answer, "frame-ancestors 'none'"));
        assert_null(strstr(answer, "unsafe-inline"));
    }
    atomic_store(&instance.fake.ready, false);
    const char *answer = http_get(instance.port, "/readyz");
    assert_int_equal(http_status(answer), 503);
    assert_string_equal(http_body(answer), "{\"ready\":false}");
    instance.fake.documents_status = 404;
    answer = http_get(instance.port, "/api/v1/windows/unknown");
    assert_int_equal(http_status(answer), 404);
    assert_string_equal(http_body(answer), "{\"error\":{\"code\":\"not_found\",\"message\":\"no such thing\"}}");
    instance_stop(&instance);
}

static void test_methods(void **state)
{
    (void)state;
    struct instance instance;
    instance_start(&instance, NULL);
    static const char *const methods[] = {"POST", "PUT", "DELETE", "PATCH", "OPTIONS"};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        const char *answer = http(instance.port, methods[i], "/api/v1/status", "localhost", "Content-Length: 0\r\n");
        if (http_status(answer) != 405 || !strstr(answer, "\r\nAllow: GET, HEAD\r\n"))
            fail_msg("%s: %s", methods[i], answer);
    }
    const char *answer = http(instance.port, "HEAD", "/api/v1/status", "localhost", NULL);
    assert_int_equal(http_status(answer), 200);
    assert_string_equal(http_body(answer), "");
    answer = http(instance.port, "HEAD", "/api/v1/stream", "localhost", NULL);
    assert_int_equal(http_status(answer), 200);
    answer = http(instance.port, "POST", "/api/v1/status", "localhost", "Content-Length: 9999999\r\n");
    assert_int_equal(http_status(answer), 413);
    instance_stop(&instance);
}

static void test_erase_user(void **state)
{
    (void)state;
    struct instance instance;
    instance_start(&instance, NULL);
    static const struct {
        const char *name;
        int status;
        const char *body;
    } cases[] = {
        {"ann", 200, "{\"erased\":12}"},
        {"a%6En", 200, "{\"erased\":12}"},
        {"bob", 404, "nothing is known of that user"},
        {"damaged", 503, "it cannot be read"},
    };
    for (size_t round = 0; round < 5; round++) /* slots are used again */
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            char target[128];
            snprintf(target, sizeof target, "/api/v1/users/%s", cases[i].name);
            const char *answer = http(instance.port, "DELETE", target, "localhost", NULL);
            assert_int_equal(http_status(answer), cases[i].status);
            assert_non_null(strstr(http_body(answer), cases[i].body));
            pthread_join(instance.fake.eraser, NULL);
        }
    const char *answer = http(instance.port, "DELETE", "/api/v1/users/none", "localhost", NULL);
    assert_int_equal(http_status(answer), 400);
    assert_int_equal(http_status(http(instance.port, "DELETE", "/api/v1/users/", "localhost", NULL)), 404);
    answer = http_get(instance.port, "/api/v1/users/ann");
    assert_int_equal(http_status(answer), 405);
    assert_non_null(strstr(answer, "\r\nAllow: DELETE\r\n"));
    answer = http(instance.port, "DELETE", "/api/v1/users/ann", "localhost", "Origin: http://evil.example\r\n");
    assert_int_equal(http_status(answer), 403);
    answer = http_get(instance.port, "/openapi.json");
    assert_non_null(strstr(answer, "\"/api/v1/users/{name}\":{\"delete\":{\"operationId\":\"delete_api_v1_users__name_\""));
    instance_stop(&instance);
}

static void test_parameters(void **state)
{
    (void)state;
    struct instance instance;
    instance_start(&instance, NULL);
    http_get(instance.port, "/api/v1/events?topic=chat_stream");
    assert_string_equal(instance.fake.asked, "events|chat_stream||0|253402300799999999|||100");
    http_get(instance.port, "/api/v1/events?topic=market_stream&key=binance%3ABTC-USDT&limit=1000&from=2026-11-23T22:20:06.5Z"
                            "&to=2026-11-24T00:00:00%2B01:00&after=c1");
    assert_string_equal(instance.fake.asked, "events|market_stream|binance:BTC-USDT|1795472406500000|1795474800000000||c1|1000");
    http_get(instance.port, "/api/v1/events?topic=x&to=2026-11-24T00:00:00+01:00&before=%22b%22"); /* '+' not encoded */
    assert_string_equal(instance.fake.asked, "events|x||0|1795474800000000|\"b\"||100");
    http_get(instance.port, "/api/v1/windows/ohlcv?limit=1&key=a%26b");
    assert_string_equal(instance.fake.asked, "windows/ohlcv||a&b|0|253402300799999999|||1");
    static const struct {
        const char *target, *message;
    } wrong[] = {
        {"/api/v1/events", "parameter 'topic' is missing"},
        {"/api/v1/events?topic=no_stream", "topic: there is no no_stream"},
        {"/api/v1/events?topic=x&limit=0", "parameter 'limit': a number from 1 to 1000"},
        {"/api/v1/events?topic=x&limit=1001", "parameter 'limit'"},
        {"/api/v1/events?topic=x&limit=", "parameter 'limit'"},
        {"/api/v1/events?topic=x&limit", "parameter 'limit'"},
        {"/api/v1/events?topic=x&limit=-1", "parameter 'limit'"},
        {"/api/v1/events?topic=x&limit=99999999999999999999", "parameter 'limit'"},
        {"/api/v1/events?topic=x&from=yesterday", "parameter 'from': an RFC 3339 time"},
        {"/api/v1/events?topic=x&to=2026-13-01T00:00:00Z", "parameter 'to'"},
        {"/api/v1/events?topic=x&from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "parameter 'from': lies after 'to'"},
        {"/api/v1/events?topic=x&before=a&after=b", "parameter 'before'"},
        {"/api/v1/events?topic=x&after=", "parameter 'after'"},
        {"/api/v1/events?topic=x&topic=y", "parameter 'topic' is given twice"},
        {"/api/v1/events?topic=x&limt=5", "unknown parameter 'limt': did you mean 'limit'?"},
        {"/api/v1/events?topic=x&something=5", "unknown parameter 'something': there are topic, key"},
        {"/api/v1/status?x=1", "unknown parameter 'x': there are none here"},
        {"/api/v1/alerts?topic=x", "unknown parameter 'topic'"},
        {"/api/v1/events?topic=%ff", "no valid UTF-8"},
        {"/api/v1/stream?topic=chat", "unknown topic 'chat'"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const char *answer = http_get(instance.port, wrong[i].target);
        if (http_status(answer) != 400 || !strstr(http_body(answer), wrong[i].message) ||
            strncmp(http_body(answer), "{\"error\":{\"code\":\"bad_request\",\"message\":\"", 41) != 0)
            fail_msg("%s: %s", wrong[i].target, answer);
    }
    char target[3000] = "/api/v1/events?topic=x&key=";
    memset(target + strlen(target), 'k', 257);
    assert_int_equal(http_status(http_get(instance.port, target)), 400);
    memset(target + strlen("/api/v1/events?topic=x&key="), 'k', 2000);
    assert_int_equal(http_status(http_get(instance.port, target)), 400);
    instance_stop(&instance);
}

static void test_page_files(void **state)
{
    (void)state;
    struct instance instance;
    instance_start(&instance, NULL);
    assert_true(serve_page_file_count >= 2);
    for (size_t i = 0; i < serve_page_file_count; i++) {
        const struct serve_file *file = &serve_page_files[i];
        const char *answer = http_get(instance.port, file->path);
        assert_int_equal(http_status(answer), 200);
        assert_non_null(strstr(answer, "\r\nContent-Encoding: gzip\r\n"));
        assert_memory_equal(http_body(answer), file->at, file->length);
        bool document = strcmp(file->path, "/") == 0;
        assert_non_null(strstr(answer, document ? "\r\nCache-Control: no-cache\r\n"
                                                : "\r\nCache-Control: public, max-age=31536000, immutable\r\n"));
        char tag[64];
        snprintf(tag, sizeof tag, "If-None-Match: %.10s\r\n", strstr(answer, "ETag: ") + 6);
        answer = http(instance.port, "GET", file->path, "localhost", tag);
        assert_int_equal(http_status(answer), 304);
        assert_string_equal(http_body(answer), "");
    }
    instance_stop(&instance);
}

static void test_host_and_origin(void **state)
{
    (void)state;
    struct instance instance;
    instance_start(&instance, &(struct serve_options){.address = "127.0.0.1", .allowed_hosts = "page.example, other.example"});
    static const struct {
        const char *host;
        int status;
    } hosts[] = {
        {"localhost", 200},
        {"LOCALHOST:8500", 200},
        {"127.0.0.1:1", 200},
        {"127.1.2.3", 200},
        {"[::1]:8500", 200},
        {"page.example", 200},
        {"other.example:443", 200},
        {"evil.example", 403},
        {"127.0.0.1.evil.com", 403},
        {"localhost.evil", 403},
        {"evil.example:8500", 403},
        {"page.example.evil", 403},
        {"example", 403},
        {"localhost:x", 403},
        {"[::1", 403},
        {"[::1]evil", 403},
        {"0.0.0.0", 403},
        {"169.254.169.254", 403},
        {"localhost,evil.com", 403},
        {"user@localhost", 403},
    };
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        int status = http_status(http(instance.port, "GET", "/api/v1/status", hosts[i].host, NULL));
        if (status != hosts[i].status)
            fail_msg("Host %s: %d", hosts[i].host, status);
        assert_int_equal(http_status(http(instance.port, "GET", "/livez", hosts[i].host, NULL)), 200);
        assert_int_equal(http_status(http(instance.port, "GET", "/", hosts[i].host, NULL)), hosts[i].status);
    }
    assert_int_equal(http_status(http(instance.port, "GET", "/api/v1/status", NULL, NULL)), 400);
    assert_int_equal(http_status(http(instance.port, "GET", "/api/v1/status", "localhost", "Host: evil.example\r\n")), 403);

    static const struct {
        const char *origin;
        bool allowed;
    } origins[] = {
        {NULL, true},
        {"http://127.0.0.1:%d", true},
        {"https://127.0.0.1:%d", true},
        {"https://page.example", true},
        {"http://127.0.0.1:1", false},
        {"http://localhost", false},
        {"http://evil.example", false},
        {"http://127.0.0.1.evil.example:%d", false},
        {"null", false},
        {"file://", false},
        {"chrome-extension://abcdef", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof origins / sizeof origins[0]; i++) {
        char origin[128] = "", host[32];
        if (origins[i].origin) {
            char value[96];
            snprintf(value, sizeof value, "%.*s", (int)strcspn(origins[i].origin, "%"), origins[i].origin);
            if (strchr(origins[i].origin, '%'))
                snprintf(value + strlen(value), sizeof value - strlen(value), "%d", instance.port);
            snprintf(origin, sizeof origin, "Origin: %s\r\n", value);
        }
        snprintf(host, sizeof host, "127.0.0.1:%d", instance.port);
        int file = peer_handshake(instance.port, "/live", origin, 0);
        int status = http_status(peer_read(file, "\r\n\r\n"));
        close(file);
        /* An empty header is none to the library. */
        bool allowed = origins[i].allowed || (origins[i].origin && !origins[i].origin[0]);
        if (status != (allowed ? 101 : 403))
            fail_msg("%s: %d", origin, status);
        char more[192];
        snprintf(more, sizeof more, "%sContent-Length: 0\r\n", origin);
        assert_int_equal(http_status(http(instance.port, "POST", "/api/v1/status", host, more)), allowed ? 405 : 403);
        assert_int_equal(http_status(http(instance.port, "DELETE", "/api/v1/status", host, more)), allowed ? 405 : 403);
        assert_int_equal(http_status(http(instance.port, "GET", "/api/v1/status", host, origin)), 200);
    }
    instance_stop(&instance);
}

static void test_token(void **state)
{
    (void)state;
    struct instance instance;
    struct serve_options options = {.address = "0.0.0.0", .token = "s3cret-token", .allowed_hosts = "page.example"};
    instance_start(&instance, &options);
    assert_int_equal(http_status(http_get(instance.port, "/livez")), 200);
    assert_int_equal(http_status(http_get(instance.port, "/readyz")), 200);
    static const char *const closed[] = {
        "/",     "/metrics", "/openapi.json", "/api/v1/status", "/api/v1/events?topic=chat_stream", "/api/v1/stream",
        "/live", "/nothing"};
    for (size_t i = 0; i < sizeof closed / sizeof closed[0]; i++) {
        const char *answer = http_get(instance.port, closed[i]);
        if (http_status(answer) != 401 || !strstr(answer, "\r\nWWW-Authenticate: Bearer\r\n"))
            fail_msg("%s: %s", closed[i], answer);
    }
    static const struct {
        const char *header;
        int status;
    } headers[] = {
        {"Authorization: Bearer s3cret-token\r\n", 200},
        {"Authorization: bearer s3cret-token\r\n", 200},
        {"Authorization: Bearer s3cret-toke\r\n", 401},
        {"Authorization: Bearer s3cret-token2\r\n", 401},
        {"Authorization: Bearer \r\n", 401},
        {"Authorization: Basic s3cret-token\r\n", 401},
        {"Cookie: a=b; dataflow_token=s3cret-token\r\n", 200},
        {"Cookie: dataflow_token=wrong\r\n", 401},
    };
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        int status = http_status(http(instance.port, "GET", "/api/v1/status", "localhost", headers[i].header));
        if (status != headers[i].status)
            fail_msg("%s: %d", headers[i].header, status);
    }
    /* In the address only where browsers can set no header. */
    assert_int_equal(http_status(http_get(instance.port, "/api/v1/status?token=s3cret-token")), 401);
    assert_int_equal(http_status(http_get(instance.port, "/live?token=s3cret-token")), 426);
    const char *answer = http_get(instance.port, "/?token=s3cret-token");
    assert_int_equal(http_status(answer), 303);
    assert_non_null(strstr(answer, "\r\nSet-Cookie: dataflow_token=s3cret-token; Path=/; HttpOnly; SameSite=Strict\r\n"));
    assert_int_equal(http_status(http_get(instance.port, "/?token=wrong")), 401);
    struct peer peer = peer_open(instance.port, "/live?token=s3cret-token", NULL, 0);
    peer_close(&peer);
    int file = peer_handshake(instance.port, "/live", NULL, 0);
    assert_int_equal(http_status(peer_read(file, NULL)), 401);
    close(file);
    instance_stop(&instance);
}

static void test_refused_starts(void **state)
{
    (void)state;
    static const struct {
        struct serve_options options;
        const char *message;
    } cases[] = {
        {{.address = "0.0.0.0"}, "set a token"},
        {{.address = "::"}, "set a token"},
        {{.address = "192.0.2.1", .token = ""}, "set a token"},
        {{.address = "0.0.0.0", .auth_none = true}, "allowed_hosts"},
        {{.address = "127.0.0.1", .token = "with space"}, "token"},
        {{.address = "127.0.0.1", .token = "a\r\nSet-Cookie: x"}, "token"},
        {{.address = "not.numeric.example", .token = "t"}, "no numeric address"},
    };
    struct serve_backend backend = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct error error = {""};
        if (serve_start(&cases[i].options, &backend, &error) || !strstr(error.text, cases[i].message))
            fail_msg("case %zu: '%s'", i, error.text);
    }
    struct instance first;
    instance_start(&first, NULL);
    struct error error = {""};
    assert_null(serve_start(&(struct serve_options){.address = "127.0.0.1", .port = first.port}, &backend, &error));
    assert_non_null(strstr(error.text, "another program has it"));
    instance_stop(&first);
    struct instance open;
    instance_start(&open, &(struct serve_options){.address = "0.0.0.0", .auth_none = true, .allowed_hosts = "page.example"});
    assert_int_equal(http_status(http(open.port, "GET", "/api/v1/status", "page.example", NULL)), 200);
    instance_stop(&open);
}

static void test_metrics(void **state)
{
    (void)state;
    struct instance instance;
    instance_start(&instance, NULL);
    http_get(instance.port, "/api/v1/status");
    http_get(instance.port, "/api/v1/status");
    http_get(instance.port, "/api/v1/windows/a");
    http_get(instance.port, "/api/v1/windows/b");
    http_get(instance.port, "/nothing");
    http(instance.port, "GET", "/api/v1/status", "evil", NULL);
    struct peer peer = peer_open(instance.port, "/live", NULL, 0);
    const char *metrics = http_body(http_get(instance.port, "/metrics"));
    static const char *const lines[] = {
        "\nfake 1\n",
        "\ndataflow_http_requests_total{path=\"/api/v1/status\",status=\"200\"} 2\n",
        "\ndataflow_http_requests_total{path=\"/api/v1/status\",status=\"403\"} 1\n",
        "\ndataflow_http_requests_total{path=\"/api/v1/windows/{query}\",status=\"200\"} 2\n",
        "\ndataflow_http_requests_total{path=\"other\",status=\"404\"} 1\n",
        "\ndataflow_http_requests_total{path=\"/live\",status=\"101\"} 1\n",
        "\ndataflow_live_clients 1\n",
        "\ndataflow_live_dropped_total 0\n",
        "\nprocess_cpu_seconds_total ",
        "\nprocess_resident_memory_bytes ",
        "\ndataflow_build_info{version=\"",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (!strstr(metrics, lines[i]))
            fail_msg("no %s in %s", lines[i], metrics);
    peer_close(&peer);
    instance_stop(&instance);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_routes),     cmocka_unit_test(test_methods),        cmocka_unit_test(test_erase_user),
        cmocka_unit_test(test_parameters), cmocka_unit_test(test_page_files),     cmocka_unit_test(test_host_and_origin),
        cmocka_unit_test(test_token),      cmocka_unit_test(test_refused_starts), cmocka_unit_test(test_metrics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
