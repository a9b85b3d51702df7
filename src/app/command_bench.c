/* dataflow bench [NAME…]: runs benchmarks, all without a name. */
#include "app/command.h"
#include "app/options.h"
#include "bench/bench.h"

static const struct bench *find_bench(const char *name, struct error *error)
{
    struct suggestion suggestion;
    suggestion_init(&suggestion, bytes_of_string(name));
    for (size_t i = 0; i < bench_count; i++) {
        if (strcmp(benches[i].name, name) == 0)
            return &benches[i];
        suggestion_offer(&suggestion, benches[i].name);
    }
    char space[96];
    struct buffer names;
    buffer_init(&names, 512);
    for (size_t i = 0; i < bench_count; i++)
        buffer_printf(&names, "%s%s", i > 0 ? ", " : "", benches[i].name);
    error_set(error, "%.60s is not a benchmark (%.*s)%s", name, BYTES_ARG(buffer_bytes(&names)),
              suggestion_text(&suggestion, "", space, sizeof space));
    buffer_release(&names);
    return NULL;
}

int command_bench(const struct command_context *context)
{
    const struct config *config = context->config;
    struct bench_run run = {.input = config->input, .events = config->events, .seed = config->seed};
    struct error error;
    for (int i = 0; i < context->argc; i++) {
        if (!find_bench(context->argv[i], &error)) {
            command_failed(context, &error);
            return COMMAND_USAGE;
        }
    }
    int status = COMMAND_DONE;
    command_catch_signals(NULL);
    size_t count = context->argc > 0 ? (size_t)context->argc : bench_count;
    for (size_t i = 0; i < count && !command_interrupted(); i++) {
        const struct bench *bench = context->argc > 0 ? find_bench(context->argv[i], &error) : &benches[i];
        if (bench_execute(bench, &run, &error))
            status = command_failed(context, &error); /* and goes on with the next */
    }
    return command_interrupted() ? COMMAND_INTERRUPTED : status;
}
