/* Sources' HTTP requests through the driver, against the program's own server. */
#include "net/net.h"
#include "pipeline/driver.h"
#include "source/source_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- a source that asks for what the test wants ---- */

struct ask {
    const char *method;
    char url[96];
    struct bytes headers, body;
    bool cancel;
};

static struct {
    struct ask asks[40];
    size_t ask_count;
    uint32_t numbers[40];
    int responses[40], status[40];
    int64_t retry_after_us[40];
    char text[40][128];
    size_t answered;
} script;

static void asker_connect(struct source *source, int64_t now_us, struct source_output *output)
{
    source_set_state(source, SOURCE_LIVE, now_us);
    for (size_t i = 0; i < script.ask_count && i < SOURCE_ACTION_MAX / 2; i++) {
        const struct ask *ask = &script.asks[i];
        script.numbers[i] = source_request(source, output, ask->method, bytes_of_string(ask->url), ask->headers, ask->body);
        assert_int_not_equal(script.numbers[i], 0);
        if (ask->cancel)
            assert_true(source_close_connection(output, script.numbers[i]));
    }
}

static void asker_read(struct source *source, const struct source_input *inputs, size_t count, struct source_output *output)
{
    (void)source;
    (void)output;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(inputs[i].kind, SOURCE_RESPONSE);
        for (size_t j = 0; j < script.ask_count; j++)
            if (script.numbers[j] == inputs[i].connection) {
                script.responses[j]++;
                script.answered++;
                script.status[j] = inputs[i].status;
                script.retry_after_us[j] = inputs[i].retry_after_us;
                snprintf(script.text[j], sizeof script.text[j], "%.*s", BYTES_ARG(inputs[i].frame));
            }
    }
}

static void asker_close(struct source *source, int64_t now_us, struct source_output *output)
{
    (void)output;
    source_set_state(source, SOURCE_ENDED, now_us);
}

static void asker_error(struct source *source, uint32_t connection, int code, struct bytes text, int64_t now_us,
                        struct source_output *output)
{
    (void)source;
    (void)connection;
    (void)code;
    (void)text;
    (void)now_us;
    (void)output;
    fail_msg("no connection was asked for");
}

static const struct source_class asker = {
    .kind = "asker",
    .argument = "",
    .summary = "for this test",
    .connect = asker_connect,
    .read = asker_read,
    .close = asker_close,
    .error = asker_error,
};

/* ---- the server ---- */

struct site {
    struct net_loop *loop;
    int port;
    char seen[256];
    struct net_request *held;
};

static void on_request(void *context, struct net_request *request)
{
    struct site *site = context;
    struct bytes authorization = net_request_header(request, "authorization");
    snprintf(site->seen, sizeof site->seen, "%.*s %.*s [%.*s] %.*s", BYTES_ARG(net_request_method(request)),
             BYTES_ARG(net_request_path(request)), (int)authorization.length, authorization.at ? authorization.at : "",
             BYTES_ARG(net_request_body(request)));
    if (bytes_equal(net_request_path(request), BYTES("/hold"))) {
        site->held = request;
        return;
    }
    bool busy = bytes_equal(net_request_path(request), BYTES("/busy"));
    struct net_reply reply = {.status = busy ? 429 : 202,
                              .content_type = "application/json",
                              .body = BYTES("{\"answer\":1}"),
                              .headers = busy ? "Retry-After: 3\r\n" : NULL};
    net_respond(request, &reply);
}

static struct site site;
static size_t taps;

static struct event_batch *take(void *context)
{
    (void)context;
    return event_batch_create(16);
}

static void give(void *context, struct event_batch *batch)
{
    (void)context;
    event_batch_destroy(batch);
}

static void tap(void *context, const struct recording_line *line)
{
    (void)context;
    (void)line;
    taps++;
}

static void start_site(void)
{
    struct error error = {""};
    site = (struct site){.loop = net_loop_create(&(struct net_loop_options){.without_tls = true}, &error)};
    struct net_server_options options = {
        .address = "127.0.0.1", .on_request = on_request, .context = &site, .body_max = 4096, .connection_max = 100};
    assert_non_null(net_server_start(site.loop, &options, &site.port, &error));
    memset(&script, 0, sizeof script);
    taps = 0;
}

static void ask(const char *method, const char *scheme_and_host, const char *path, const char *headers, const char *body)
{
    struct ask *one = &script.asks[script.ask_count++];
    one->method = method;
    if (scheme_and_host)
        snprintf(one->url, sizeof one->url, "%s%s", scheme_and_host, path);
    else
        snprintf(one->url, sizeof one->url, "http://127.0.0.1:%d%s", site.port, path);
    one->headers = bytes_of_string(headers);
    one->body = bytes_of_string(body);
}

static struct driver *start_driver(void)
{
    struct error error = {""};
    struct driver_options options = {.env = env_system(), .callbacks = {.take = take, .give = give, .tap = tap}};
    struct driver *driver = driver_create(&options, &error);
    assert_non_null(driver);
    struct source_options source_options = {.kind = BYTES("asker"), .argument = BYTES("")};
    struct source *source = source_create_of(&asker, &source_options, &error);
    assert_non_null(source);
    assert_int_equal(driver_add(driver, source, false, &error), 0);
    driver_connect(driver);
    return driver;
}

static void run_until(struct driver *driver, size_t answered)
{
    int64_t give_up_us = env_system()->monotonic_us(env_system()) + 20000000;
    while (script.answered < answered && !(answered == SIZE_MAX && site.held)) {
        driver_step(driver, 2000);
        net_loop_step(site.loop, 2000);
        if (env_system()->monotonic_us(env_system()) > give_up_us)
            fail_msg("waited in vain for %zu answers", answered);
    }
}

static void end(struct driver *driver)
{
    for (int i = 0; i < 5; i++) {
        driver_step(driver, 0);
        net_loop_step(site.loop, 0);
    }
    driver_close(driver);
    driver_destroy(driver);
    net_loop_destroy(site.loop);
}

static void test_requests(void **state)
{
    (void)state;
    start_site();
    ask("POST", NULL, "/subscriptions", "Authorization: Bearer secret-token\r\n", "{\"type\":1}");
    struct driver *driver = start_driver();
    run_until(driver, 1);
    assert_string_equal(site.seen, "POST /subscriptions [Bearer secret-token] {\"type\":1}");
    assert_int_equal(script.status[0], 202);
    assert_string_equal(script.text[0], "{\"answer\":1}");
    assert_true(script.retry_after_us[0] == -1);
    end(driver);
    assert_int_equal(script.responses[0], 1);
    assert_int_equal(taps, 0); /* requests are not recorded: their headers hold secrets */
}

static void test_failures_are_answers(void **state)
{
    (void)state;
    start_site();
    ask("GET", NULL, "/busy", "", "");
    ask("GET", "http://127.0.0.1:1", "/", "", "");
    ask("GET", "http://192.0.2.1", "/", "", ""); /* not loopback, and plaintext is not allowed */
    ask("GET", "gopher://127.0.0.1", "/", "", "");
    ask("GET", NULL, "/bad header", "Authorization: secret-token", "");
    struct driver *driver = start_driver();
    run_until(driver, 5);
    end(driver);
    assert_int_equal(script.status[0], 429);
    assert_true(script.retry_after_us[0] == 3000000);
    assert_int_equal(script.status[1], 0);
    assert_int_equal(script.status[2], 0);
    assert_non_null(strstr(script.text[2], "plaintext is only for loopback; use https://"));
    assert_int_equal(script.status[3], 0);
    assert_int_equal(script.status[4], 0);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(script.responses[i], 1);
        assert_null(strstr(script.text[i], "secret-token"));
    }
}

static void test_given_up(void **state)
{
    (void)state;
    start_site();
    ask("GET", NULL, "/a", "", "");
    script.asks[0].cancel = true;
    ask("GET", NULL, "/b", "", "");
    struct driver *driver = start_driver();
    run_until(driver, 1);
    end(driver);
    assert_int_equal(script.responses[0], 0);
    assert_int_equal(script.responses[1], 1);
}

/* The driver ends while an answer is awaited: closed first, or just destroyed. */
static void test_ended_while_waiting(void **state)
{
    (void)state;
    for (int closed = 0; closed < 2; closed++) {
        start_site();
        ask("GET", NULL, "/hold", "", "");
        struct driver *driver = start_driver();
        run_until(driver, SIZE_MAX);
        if (closed)
            driver_close(driver);
        driver_destroy(driver);
        assert_int_equal(script.responses[0], 0);
        net_respond(site.held, &(struct net_reply){.status = 200, .body = BYTES("late")});
        net_loop_destroy(site.loop);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_failures_are_answers),
        cmocka_unit_test(test_given_up),
        cmocka_unit_test(test_ended_while_waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
