/* Arena: memory for the life of a batch.  Allocation moves a pointer; reset gives all of it back at
 * once and keeps the chunks for the next batch, so that a running pipeline allocates nothing.
 * One thread at a time; a batch that changes threads takes its arena along. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/bytes.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *first;   /* chunks in order of use */
    struct arena_chunk *current; /* where the next allocation comes from */
    char *next;
    char *end;
    size_t total_bytes; /* of all chunks */
    size_t cap_bytes;   /* growth beyond it fails */
};

/* cap_bytes: the most memory it may ever hold.  Takes none yet. */
void arena_init(struct arena *arena, size_t cap_bytes);

/* Frees all chunks; the arena may be used again. */
void arena_release(struct arena *arena);

/* Forgets all allocations and keeps the memory. */
void arena_reset(struct arena *arena);

/* Bytes given out since the last reset, with what was left unused at the ends of chunks. */
size_t arena_used_bytes(const struct arena *arena);

/* Of an arena that has just been reset: frees chunks, the latest first, until at most keep_bytes are held. */
void arena_trim(struct arena *arena, size_t keep_bytes);

/* 16-byte aligned, uninitialised; NULL when out of memory or at the cap. */
void *arena_alloc(struct arena *arena, size_t size);

/* Unaligned space for text. */
char *arena_text(struct arena *arena, size_t size);

/* A copy of the bytes; .at is NULL when there was no room (and when the text is empty it is not). */
struct bytes arena_copy(struct arena *arena, struct bytes text);

#endif
