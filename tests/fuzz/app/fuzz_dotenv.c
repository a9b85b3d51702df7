/* Any bytes as .env.development: no crash, names and values inside what was given. */
#include "app/dotenv.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_entry(void *context, unsigned line, struct bytes name, struct bytes value)
{
    size_t size = *(const size_t *)context;
    assert(line > 0 && name.length > 0 && name.length + value.length < size);
    assert(bytes_find(name, '=') < 0 && !memchr(value.at, 0, value.length));
}

static void on_problem(void *context, unsigned line, const char *text)
{
    (void)context;
    assert(line > 0 && text[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct dotenv_reader reader = {.entry = on_entry, .problem = on_problem, .context = &size};
    arena_init(&arena, 1 << 20);
    dotenv_parse(bytes_of((const char *)data, size), &arena, &reader);
    arena_release(&arena);
    return 0;
}
