/* Hash map from bytes to a 64-bit value: open addressing, linear probing, keys copied into an arena of
 * its own.  Keys are never removed (the users of this map evict by starting anew).  Not thread-safe.
 * Hash: XXH3 with a seed drawn at start, so that outside input cannot choose collisions. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/arena.h"

struct map_entry {
    struct bytes key;
    uint64_t hash;
    uint64_t value;
};

struct map {
    struct map_entry *entries; /* key.at == NULL: free */
    size_t capacity;           /* power of two, or 0 */
    size_t count;
    size_t cap; /* most keys it may hold */
    struct arena keys;
};

void map_init(struct map *map, size_t cap);
void map_release(struct map *map);

/* The value's place, or NULL.  Valid until the next map_put. */
uint64_t *map_find(const struct map *map, struct bytes key);

/* Finds or adds (value 0; *added says so).  NULL when out of memory or at the cap. */
uint64_t *map_put(struct map *map, struct bytes key, bool *added);

#endif
