/* One blocking HTTP GET, for commands that ask a running instance (health, doctor). */
#include "net/net_internal.h"

#include <stdio.h>

struct get {
    bool done;
    int status;
    struct buffer body; /* of a failure: the reason */
};

static void on_answer(void *context, const struct net_answer *answer)
{
    struct get *get = context;
    get->done = true;
    get->status = answer->status;
    if (answer->body.length > 0)
        buffer_append(&get->body, answer->body);
}

int net_http_get(const char *text, int timeout_ms, struct net_response *response, struct error *error)
{
    struct net_url url;
    *response = (struct net_response){0};
    if (net_url_parse(bytes_of_string(text), &url, error) != 0)
        return -1;
    struct net_loop *loop = net_loop_create(&(struct net_loop_options){.without_tls = !url.secure}, error);
    if (!loop)
        return -1;
    struct get get = {0};
    buffer_init(&get.body, NET_BODY_MAX);
    struct net_http_request request = {.method = "GET", .url = bytes_of_string(text), .timeout_us = (int64_t)timeout_ms * 1000};
    int status = net_http_send(loop, &request, on_answer, &get, error) ? 0 : -1;
    while (status == 0 && !get.done)
        net_loop_step(loop, 1000000);
    net_loop_destroy(loop);
    if (status == 0 && get.body.failed)
        status = error_set(error, "GET %s: out of memory", text);
    else if (status == 0 && get.status == 0)
        status = error_set(error, "GET %s: %.*s", text, BYTES_ARG(buffer_bytes(&get.body)));
    if (status == 0)
        *response = (struct net_response){.status = get.status, .body = buffer_bytes(&get.body)};
    else
        buffer_release(&get.body);
    return status;
}
