/* dataflow check: validates the configuration without starting anything, and shows what it comes to.  Secrets are "set" or
 * "not set". */
#include "app/command.h"
#include "app/net_probe.h"
#include "app/options.h"
#include "app/storage_probe.h"
#include "source/source.h"
#include <errno.h>
#include <unistd.h>

enum { TEXT_MAX = 65536, PLACE_SIZE = 512 };

/* The files that sources read; standard input and the demo need none. */
static void check_files(const struct config *config, struct config_problems *problems)
{
    for (size_t i = 0; i < config->sources.count; i++) {
        struct bytes kind, path;
        source_spec_split(bytes_of_string(config->sources.items[i]), &kind, &path);
        bool file = bytes_equal(kind, BYTES("recording")) || bytes_equal(kind, BYTES("jsonl"));
        if (file && path.length > 0 && !bytes_equal(path, BYTES("-")) && !bytes_equal(path, BYTES("demo")) &&
            access(path.at, R_OK)) /* the end of the item, so terminated */
            config_error(problems, "source: %.200s: the file cannot be read: %s", config->sources.items[i], strerror(errno));
    }
}

/* What the machine says to it; only with values that hold. */
static void check_machine(const struct config *config, struct config_problems *problems)
{
    struct error error;
    check_files(config, problems);
    if (probe_directory(config->data, &error) < 0)
        config_error(problems, "data: %.400s", error.text);
    switch (probe_listen(config, &error)) {
    case PROBE_FREE:
    case PROBE_INSTANCE:
        break;
    case PROBE_TAKEN:
        config_warning(problems, "listen: %.400s", error.text);
        break;
    case PROBE_IMPOSSIBLE:
        config_error(problems, "listen: %.400s", error.text);
        break;
    }
}

/* Options that belong to the configuration, not to one command's line. */
static bool is_setting(const struct option *option)
{
    return option->key != NULL;
}

static const char *layer_name(const struct config *config, size_t index, char *space)
{
    switch (config->origins[index].layer) {
    case CONFIG_DEFAULT:
        return "default";
    case CONFIG_ENVIRONMENT:
        snprintf(space, PLACE_SIZE, "environment %s%s", options[index].env,
                 config->origins[index].from_file_variable ? "_FILE" : "");
        return space;
    default:
        return config_place(config, index, 0, space, PLACE_SIZE);
    }
}

static void put_list_json(struct buffer *out, const struct error *items, size_t count)
{
    buffer_byte(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buffer_byte(out, ',');
        buffer_json_string(out, bytes_of_string(items[i].text));
    }
    buffer_byte(out, ']');
}

static void put_json(struct buffer *out, const struct config *config, const struct config_problems *problems)
{
    buffer_printf(out, "{\"valid\":%s,\"errors\":", problems->error_count == 0 ? "true" : "false");
    put_list_json(out, problems->errors, problems->error_count);
    BUFFER_LITERAL(out, ",\"warnings\":");
    put_list_json(out, problems->warnings, problems->warning_count);
    BUFFER_LITERAL(out, ",\"settings\":{");
    const char *comma = "";
    for (size_t i = 0; i < option_count; i++) {
        if (!is_setting(&options[i]))
            continue;
        char place[PLACE_SIZE];
        struct buffer value;
        buffer_init(&value, TEXT_MAX);
        option_show(&options[i], config, &value);
        buffer_printf(out, "%s\"%s\":{\"value\":", comma, options[i].key);
        buffer_json_string(out, buffer_bytes(&value));
        BUFFER_LITERAL(out, ",\"from\":");
        buffer_json_string(out, bytes_of_string(layer_name(config, i, place)));
        buffer_byte(out, '}');
        buffer_release(&value);
        comma = ",";
    }
    BUFFER_LITERAL(out, "}}\n");
}

static void put_text(struct buffer *out, const struct config *config, const struct config_problems *problems)
{
    for (size_t i = 0; i < option_count && problems->error_count == 0; i++) {
        if (!is_setting(&options[i]))
            continue;
        char place[PLACE_SIZE];
        struct buffer value;
        buffer_init(&value, TEXT_MAX);
        option_show(&options[i], config, &value);
        if (value.length > 0)
            buffer_printf(out, "%-20s %-32.*s %s\n", options[i].key, BYTES_ARG(buffer_bytes(&value)),
                          layer_name(config, i, place));
        buffer_release(&value);
    }
    if (problems->error_count == 0)
        buffer_printf(out, "\nlog in %s, store in %s\n", config->log_directory, config->store_file);
    for (size_t i = 0; i < problems->warning_count; i++)
        buffer_printf(out, "warning: %s\n", problems->warnings[i].text);
    for (size_t i = 0; i < problems->error_count; i++)
        buffer_printf(out, "error: %s\n", problems->errors[i].text);
    if (problems->error_count == 0)
        BUFFER_LITERAL(out, "The configuration is valid.\n");
}

int command_check(const struct command_context *context)
{
    if (context->problems->error_count == 0)
        check_machine(context->config, context->problems);
    struct buffer out;
    buffer_init(&out, (size_t)16 * TEXT_MAX);
    if (context->json)
        put_json(&out, context->config, context->problems);
    else
        put_text(&out, context->config, context->problems);
    /* For people, what is wrong goes where errors go. */
    FILE *file = !context->json && context->problems->error_count > 0 ? stderr : stdout;
    fwrite(out.at, 1, out.length, file);
    buffer_release(&out);
    return context->problems->error_count > 0 ? COMMAND_USAGE : COMMAND_DONE;
}
