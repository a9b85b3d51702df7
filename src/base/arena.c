/* Chunks are kept in a list, each at least twice as large as the one before (less only where the cap ends it); `current` walks
 * it. Invariant: every chunk after `current` is empty. */
#include "base/arena.h"

#include <assert.h>
#include <stdlib.h>

enum { ARENA_FIRST_CHUNK = 16 * 1024, ARENA_ALIGNMENT = 16 };

struct arena_chunk {
    struct arena_chunk *next;
    size_t size;
    _Alignas(ARENA_ALIGNMENT) char data[];
};

void arena_init(struct arena *arena, size_t cap_bytes)
{
    *arena = (struct arena){.cap_bytes = cap_bytes};
}

void arena_release(struct arena *arena)
{
    struct arena_chunk *chunk = arena->first;
    while (chunk) {
        struct arena_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    arena_init(arena, arena->cap_bytes);
}

static void arena_use(struct arena *arena, struct arena_chunk *chunk)
{
    arena->current = chunk;
    arena->next = chunk ? chunk->data : NULL;
    arena->end = chunk ? chunk->data + chunk->size : NULL;
}

void arena_reset(struct arena *arena)
{
    arena_use(arena, arena->first);
}

size_t arena_used_bytes(const struct arena *arena)
{
    size_t used = arena->current ? (size_t)(arena->next - arena->current->data) : 0;
    for (const struct arena_chunk *chunk = arena->first; chunk && chunk != arena->current; chunk = chunk->next)
        used += chunk->size;
    return used;
}

void arena_trim(struct arena *arena, size_t keep_bytes)
{
    assert(arena->current == arena->first);
    struct arena_chunk **place = &arena->first;
    size_t kept = 0;
    while (*place && kept + (*place)->size <= keep_bytes) {
        kept += (*place)->size;
        place = &(*place)->next;
    }
    while (*place) {
        struct arena_chunk *chunk = *place;
        *place = chunk->next;
        arena->total_bytes -= chunk->size;
        free(chunk);
    }
    arena_reset(arena);
}

/* Moves to the next kept chunk that is large enough, or adds one.  False at the cap. */
static bool arena_grow(struct arena *arena, size_t size)
{
    struct arena_chunk *last = arena->current;
    for (struct arena_chunk *chunk = last ? last->next : arena->first; chunk; chunk = chunk->next) {
        last = chunk;
        if (chunk->size >= size) {
            arena_use(arena, chunk);
            return true;
        }
    }
    size_t wanted = last ? last->size * 2 : ARENA_FIRST_CHUNK;
    size_t left = arena->cap_bytes - arena->total_bytes;
    if (wanted > left)
        wanted = left;
    if (wanted < size)
        wanted = size;
    if (size > left)
        return false;
    struct arena_chunk *chunk = malloc(sizeof *chunk + wanted);
    if (!chunk)
        return false;
    chunk->next = NULL;
    chunk->size = wanted;
    arena->total_bytes += wanted;
    if (last)
        last->next = chunk;
    else
        arena->first = chunk;
    arena_use(arena, chunk);
    return true;
}

char *arena_text(struct arena *arena, size_t size)
{
    if (size > (size_t)(arena->end - arena->next) || !arena->next)
        if (!arena_grow(arena, size))
            return NULL;
    char *result = arena->next;
    arena->next += size;
    assert(arena->next <= arena->end);
    return result;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    size_t padding = -(uintptr_t)arena->next & (ARENA_ALIGNMENT - 1);
    size_t left = (size_t)(arena->end - arena->next);
    if (arena->next && padding <= left && size <= left - padding) {
        char *result = arena->next + padding;
        arena->next = result + size;
        return result;
    }
    if (!arena_grow(arena, size))
        return NULL;
    char *result = arena->next; /* a chunk's data is aligned */
    arena->next += size;
    return result;
}

struct bytes arena_copy(struct arena *arena, struct bytes text)
{
    if (text.length == 0)
        return BYTES("");
    char *copy = arena_text(arena, text.length);
    if (copy)
        memcpy(copy, text.at, text.length);
    return bytes_of(copy, copy ? text.length : 0);
}
