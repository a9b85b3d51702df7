/* yyjson on an arena. */
#include "event/json_tree.h"

static void *tree_malloc(void *context, size_t size)
{
    return arena_alloc(context, size);
}

static void *tree_realloc(void *context, void *old, size_t old_size, size_t size)
{
    if (size <= old_size)
        return old;
    void *grown = arena_alloc(context, size);
    if (grown)
        memcpy(grown, old, old_size);
    return grown;
}

static void tree_free(void *context, void *memory)
{
    (void)context;
    (void)memory;
}

yyjson_alc json_tree_memory(struct arena *arena)
{
    return (yyjson_alc){tree_malloc, tree_realloc, tree_free, arena};
}

enum reject_reason json_tree_read(struct bytes json, struct arena *arena, yyjson_doc **document)
{
    yyjson_alc memory = json_tree_memory(arena);
    yyjson_read_err error;
    /* Without the in-place flag yyjson copies the text and only reads the caller's. */
    char *text = (char *)(uintptr_t)json.at;
    *document = yyjson_read_opts(text, json.length, YYJSON_READ_NUMBER_AS_RAW, &memory, &error);
    if (*document)
        return REJECT_NONE;
    if (error.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        return REJECT_NO_MEMORY;
    return bytes_is_utf8(json) ? REJECT_MALFORMED_JSON : REJECT_INVALID_UTF8;
}

enum reject_reason json_tree_int(yyjson_val *value, int64_t *number)
{
    if (!yyjson_is_raw(value))
        return REJECT_WRONG_TYPE;
    struct bytes text = json_tree_number(value);
    bool negative = text.at[0] == '-';
    uint64_t magnitude;
    if (!bytes_to_u64(bytes_skip(text, negative), &magnitude) || magnitude > INT64_MAX)
        return REJECT_BAD_NUMBER;
    *number = negative ? -(int64_t)magnitude : (int64_t)magnitude;
    return REJECT_NONE;
}
