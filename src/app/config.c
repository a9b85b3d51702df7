/* The layers of the configuration, applied from the lowest to the highest: a value set later replaces an earlier one.
 * Every layer is checked in full, so that what is wrong is said even where a higher layer covers it. */
#include "app/config.h"

#include "app/dotenv.h"
#include "app/file.h"
#include "app/flags.h"
#include "app/options.h"
#include "app/yaml_config.h"
#include <stdarg.h>
#include <sys/stat.h>

enum { TEXTS_MAX = 4 * 1024 * 1024, FILE_SIZE_MAX = 1024 * 1024, NAME_SIZE = 128 };

struct loader {
    struct config *config;
    struct config_problems *problems;
    enum config_layer layer;
    const char *path;   /* of the file that is read */
    const char *secret; /* a secret that the file holds */
};

/* ---- problems ---- */

static void add_problem(struct error *list, size_t *count, const char *format, va_list arguments)
{
    if (*count == CONFIG_PROBLEM_MAX)
        return;
    vsnprintf(list[*count].text, sizeof list[*count].text, format, arguments);
    ++*count;
}

void config_error(struct config_problems *problems, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add_problem(problems->errors, &problems->error_count, format, arguments);
    va_end(arguments);
}

void config_warning(struct config_problems *problems, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add_problem(problems->warnings, &problems->warning_count, format, arguments);
    va_end(arguments);
}

const char *config_place(const struct config *config, size_t index, unsigned line, char *space, size_t size)
{
    const struct option *option = &options[index];
    const struct config_origin *origin = &config->origins[index];
    line = line > 0 ? line : origin->line;
    const char *suffix = origin->from_file_variable ? "_FILE" : "";
    switch (origin->layer) {
    case CONFIG_FLAG:
        snprintf(space, size, "--%s", option->flag);
        break;
    case CONFIG_ENVIRONMENT:
        snprintf(space, size, "%s%s", option->env, suffix);
        break;
    case CONFIG_DOTENV:
        snprintf(space, size, "%s:%u: %s%s", config->dotenv_file, line, option->env, suffix);
        break;
    case CONFIG_FILE:
        snprintf(space, size, "%s:%u: %s", config->config_file, line, option->key);
        break;
    case CONFIG_DEFAULT:
        snprintf(space, size, "%s", option_name(option));
        break;
    }
    return space;
}

/* ---- setting ---- */

static size_t index_of(const struct option *option)
{
    return (size_t)(option - options);
}

static void set(struct loader *loader, const struct option *option, struct bytes text, bool whole, unsigned line, bool from_file)
{
    struct config_origin *origin = &loader->config->origins[index_of(option)];
    bool first = origin->layer != loader->layer;
    if (!first && origin->from_file_variable && !from_file)
        return; /* NAME_FILE wins over NAME */
    struct config_list *list = option->type == OPTION_LIST ? (void *)((char *)loader->config + option->offset) : NULL;
    if (list && first)
        list->count = 0;
    size_t known = list ? list->count : 0;
    *origin = (struct config_origin){.layer = loader->layer, .line = line, .from_file_variable = from_file};
    struct error error;
    if (option_set(option, loader->config, text, whole, &error)) {
        char place[512];
        config_error(loader->problems, "%s: %s", config_place(loader->config, index_of(option), 0, place, sizeof place),
                     error.text);
    }
    for (size_t i = known; list && i < list->count; i++)
        list->lines[i] = line;
    if (option->secret)
        loader->secret = option->env;
}

static void apply_defaults(struct loader *loader)
{
    for (size_t i = 0; i < option_count; i++)
        if (options[i].standard)
            set(loader, &options[i], bytes_of_string(options[i].standard), true, 0, false);
}

/* NAME_FILE: the value is the content of a file, without the newline at its end. */
static void set_from_file(struct loader *loader, const struct option *option, struct bytes path, unsigned line)
{
    char name[4096];
    struct error error;
    struct buffer content;
    buffer_init(&content, FILE_SIZE_MAX);
    snprintf(name, sizeof name, "%.*s", BYTES_ARG(path));
    int found = file_read(name, &content, &error);
    if (found == 0)
        error_set(&error, "%s does not exist", name);
    if (found == 1) {
        struct bytes value = bytes_trim(buffer_bytes(&content));
        if (value.length > 0)
            set(loader, option, value, true, line, true);
        else
            error_set(&error, "%s is empty", name);
        found = value.length > 0;
    }
    if (found != 1)
        config_error(loader->problems, "%s_FILE: %s", option->env, error.text);
    buffer_release(&content);
}

/* A variable, of either layer.  False if it is none of ours. */
static bool set_variable(struct loader *loader, struct bytes name, struct bytes value, unsigned line)
{
    const struct option *option = option_by_env(name);
    const size_t suffix = sizeof "_FILE" - 1;
    bool from_file = false;
    if (!option && name.length > suffix && bytes_equal(bytes_skip(name, name.length - suffix), BYTES("_FILE"))) {
        option = option_by_env(bytes_of(name.at, name.length - suffix));
        from_file = option && option->secret;
        if (!from_file)
            option = NULL;
    }
    if (!option)
        return false;
    if (value.length == 0) /* as containers pass a variable that is not set */
        return true;
    if (from_file)
        set_from_file(loader, option, value, line);
    else
        set(loader, option, value, false, line, false);
    return true;
}

/* True for names that only this program uses: a misspelt one is worth a word. */
static bool is_ours(struct bytes name)
{
    return bytes_start_with(name, BYTES("DATAFLOW_")) || bytes_start_with(name, BYTES("TWITCH_"));
}

static const char *suggest_variable(struct bytes name, char *space, size_t size)
{
    struct suggestion suggestion;
    suggestion_init(&suggestion, name);
    /* All begin alike, so that a third of the whole would be far too much. */
    suggestion.distance = (unsigned)(name.length - 7) / 3 + 1;
    for (size_t i = 0; i < option_count; i++)
        suggestion_offer(&suggestion, options[i].env);
    return suggestion_text(&suggestion, "", space, size);
}

/* ---- .env.development ---- */

static void on_dotenv_entry(void *context, unsigned line, struct bytes name, struct bytes value)
{
    struct loader *loader = context;
    if (bytes_equal(name, BYTES("DATAFLOW_CONFIG"))) { /* the lower layer: read before this file */
        config_error(loader->problems, "%s:%u: DATAFLOW_CONFIG is taken from the environment alone; or give --config FILE",
                     loader->path, line);
        return;
    }
    if (set_variable(loader, name, value, line) || !is_ours(name))
        return;
    char space[NAME_SIZE];
    config_error(loader->problems, "%s:%u: %.*s is not a variable of this program%s", loader->path, line, BYTES_ARG(name),
                 suggest_variable(name, space, sizeof space));
}

static void on_problem(void *context, unsigned line, const char *text)
{
    struct loader *loader = context;
    config_error(loader->problems, "%s:%u: %s", loader->path, line, text);
}

/* A file with a secret in it should be its owner's alone. */
static void warn_if_readable(struct loader *loader)
{
    struct stat info;
    if (loader->secret && stat(loader->path, &info) == 0 && (info.st_mode & 0044))
        config_warning(loader->problems, "%s holds %s and can be read by other users of this machine; run `chmod 600 %s`",
                       loader->path, loader->secret, loader->path);
}

/* Reads loader->path.  1: read, 0: not there (or an error, reported). */
static int read_layer(struct loader *loader, struct buffer *content)
{
    struct error error;
    int found = file_read(loader->path, content, &error);
    if (found < 0)
        config_error(loader->problems, "%s", error.text);
    loader->secret = NULL;
    return found == 1;
}

static void apply_dotenv(struct loader *loader, const char *path)
{
    struct buffer content;
    buffer_init(&content, FILE_SIZE_MAX);
    loader->path = path;
    loader->layer = CONFIG_DOTENV;
    if (read_layer(loader, &content)) {
        struct dotenv_reader reader = {.entry = on_dotenv_entry, .problem = on_problem, .context = loader};
        loader->config->dotenv_file = path;
        dotenv_parse(buffer_bytes(&content), &loader->config->texts, &reader);
        warn_if_readable(loader);
    }
    buffer_release(&content);
}

/* ---- dataflow.yaml ---- */

static void report_key(struct loader *loader, const struct yaml_entry *entry)
{
    struct suggestion suggestion;
    suggestion_init(&suggestion, entry->path);
    for (size_t i = 0; i < option_count; i++) {
        struct bytes key = bytes_of_string(options[i].key);
        bool group = key.length > entry->path.length && bytes_start_with(key, entry->path) && key.at[entry->path.length] == '.';
        bool value = key.length && entry->path.length > key.length && bytes_start_with(entry->path, key) &&
                     entry->path.at[key.length] == '.';
        if (group || value) {
            config_error(loader->problems,
                         group ? "%s:%u: %.*s is a group of keys, such as %s" : "%s:%u: %.*s: %s takes a value, not keys",
                         loader->path, entry->line, BYTES_ARG(entry->path), options[i].key);
            return;
        }
        suggestion_offer(&suggestion, options[i].key);
    }
    char space[NAME_SIZE];
    config_error(loader->problems, "%s:%u: %.*s is not a key of the configuration%s", loader->path, entry->line,
                 BYTES_ARG(entry->path), suggestion_text(&suggestion, "", space, sizeof space));
}

static void on_yaml_entry(void *context, const struct yaml_entry *entry)
{
    struct loader *loader = context;
    const struct option *option = option_by_key(entry->path);
    if (!option)
        report_key(loader, entry);
    else if (entry->in_list && option->type != OPTION_LIST)
        config_error(loader->problems, "%s:%u: %s takes one value, not a list", loader->path, entry->line, option->key);
    else if (!entry->empty)
        set(loader, option, entry->value, entry->in_list, entry->line, false);
}

static void apply_yaml(struct loader *loader, const char *path, bool required)
{
    struct buffer content;
    buffer_init(&content, FILE_SIZE_MAX);
    loader->path = path;
    loader->layer = CONFIG_FILE;
    size_t errors = loader->problems->error_count;
    if (read_layer(loader, &content)) {
        struct yaml_reader reader = {.entry = on_yaml_entry, .problem = on_problem, .context = loader};
        loader->config->config_file = path;
        yaml_config_parse(buffer_bytes(&content), &reader);
        warn_if_readable(loader);
    } else if (required && loader->problems->error_count == errors) {
        config_error(loader->problems, "%s does not exist", path);
    }
    buffer_release(&content);
}

/* ---- environment and flags ---- */

static void apply_environment(struct loader *loader, char *const *environment)
{
    loader->layer = CONFIG_ENVIRONMENT;
    for (size_t i = 0; environment[i]; i++) {
        struct bytes value, name = bytes_split(bytes_of_string(environment[i]), '=', &value);
        if (set_variable(loader, name, value, 0) || !bytes_start_with(name, BYTES("DATAFLOW_")))
            continue;
        /* No error: container systems set such variables by themselves for a service of this name. */
        char space[NAME_SIZE];
        config_warning(loader->problems, "%.*s in the environment is not a variable of this program%s", BYTES_ARG(name),
                       suggest_variable(name, space, sizeof space));
    }
}

static void apply_flags(struct loader *loader, const struct flag_value *values, size_t count)
{
    loader->layer = CONFIG_FLAG;
    for (size_t i = 0; i < count; i++)
        set(loader, values[i].option, values[i].value, true, 0, false);
}

/* --config, or DATAFLOW_CONFIG, or NULL. */
static const char *find_config_path(const struct flag_value *values, size_t count, char *const *environment)
{
    const char *found = NULL;
    for (size_t i = 0; environment[i]; i++)
        if (strncmp(environment[i], "DATAFLOW_CONFIG=", 16) == 0 && environment[i][16])
            found = environment[i] + 16;
    for (size_t i = 0; i < count; i++)
        if (values[i].option->offset == offsetof(struct config, config_file))
            found = values[i].value.at; /* an argument's end: terminated */
    return found;
}

int config_load(struct config *config, const struct config_request *request, struct config_problems *problems)
{
    *config = (struct config){0};
    *problems = (struct config_problems){0};
    arena_init(&config->texts, TEXTS_MAX);
    struct loader loader = {.config = config, .problems = problems, .layer = CONFIG_DEFAULT};
    struct flag_value *values = calloc((size_t)request->argc + 1, sizeof *values);
    if (!values) {
        config_error(problems, "out of memory");
        return -1;
    }
    size_t count;
    int positional = flags_parse(request->argc, request->argv, request->command, values, &count, problems);
    for (size_t i = 0; i < count; i++)
        config->help |= values[i].option->offset == offsetof(struct config, help);
    if (config->help) {
        free(values);
        return positional;
    }
    apply_defaults(&loader);
    if (request->configured) {
        const char *path = find_config_path(values, count, request->environment);
        apply_yaml(&loader, path ? path : request->config_path, path != NULL);
        apply_dotenv(&loader, request->dotenv_path);
    }
    const char *config_file = config->config_file;
    apply_environment(&loader, request->environment);
    apply_flags(&loader, values, count);
    config->config_file = config_file; /* what was read, which is what was asked for */
    free(values);
    if (problems->error_count == 0)
        config_check(config, request, problems);
    return problems->error_count == 0 ? positional : -1;
}

void config_release(struct config *config)
{
    arena_release(&config->texts);
}
