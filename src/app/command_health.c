/* dataflow health [ADDR]: asks a running instance whether it is ready; the probe of containers. */
#include "app/command.h"
#include "app/net_probe.h"
#include "net/net.h"

enum { TIMEOUT_MS = 5000, BODY_SHOWN = 300 };

int command_health(const struct command_context *context)
{
    char url[512];
    struct error error;
    struct net_response response = {0};
    if (probe_url(context->config, context->argc > 0 ? context->argv[0] : NULL, "/readyz", url, sizeof url, &error)) {
        command_failed(context, &error);
        return COMMAND_USAGE;
    }
    bool reached = net_http_get(url, TIMEOUT_MS, &response, &error) == 0;
    bool ready = reached && response.status == 200;
    if (reached && !ready) {
        struct bytes rest, body = bytes_split(bytes_trim(response.body), '\n', &rest);
        if (body.length > BODY_SHOWN)
            body.length = BODY_SHOWN;
        error_set(&error, "%s answers %d: %.*s", url, response.status, BYTES_ARG(body));
    }
    if (context->json)
        printf("{\"ready\":%s,\"url\":\"%s\",\"status\":%d}\n", ready ? "true" : "false", url, response.status);
    else if (ready)
        printf("ready\n");
    if (!ready)
        command_failed(context, &error);
    free((void *)response.body.at);
    return ready ? COMMAND_DONE : COMMAND_FAILED;
}
