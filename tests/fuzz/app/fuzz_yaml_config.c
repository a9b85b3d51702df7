/* Any bytes as dataflow.yaml, put into a configuration value by value: no crash, bounded work, and what the table takes it
 * can show. */
#include "app/options.h"
#include "app/yaml_config.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct state {
    struct config config;
    size_t size, entries;
};

static void on_entry(void *context, const struct yaml_entry *entry)
{
    struct state *state = context;
    struct error error;
    assert(entry->line > 0 && entry->path.length > 0);
    assert(++state->entries <= state->size); /* nothing expands */
    const struct option *option = option_by_key(entry->path);
    if (!option || option_set(option, &state->config, entry->value, entry->in_list, &error))
        return;
    struct buffer shown;
    buffer_init(&shown, 1 << 20);
    option_show(option, &state->config, &shown);
    buffer_release(&shown);
}

static void on_problem(void *context, unsigned line, const char *text)
{
    (void)context;
    assert(line > 0 && text[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct state state;
    state = (struct state){.size = size};
    arena_init(&state.config.texts, 1 << 20);
    struct yaml_reader reader = {.entry = on_entry, .problem = on_problem, .context = &state};
    yaml_config_parse(bytes_of((const char *)data, size), &reader);
    arena_release(&state.config.texts);
    return 0;
}
