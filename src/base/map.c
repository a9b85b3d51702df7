/* Invariant: capacity is at least 4/3 of count, so that every probe ends at a free entry. */
#include "base/map.h"

#include "base/random.h"
#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

static uint64_t map_hash(struct bytes key)
{
    return XXH3_64bits_withSeed(key.at, key.length, random_process_seed());
}

void map_init(struct map *map, size_t cap)
{
    *map = (struct map){.cap = cap};
    arena_init(&map->keys, (size_t)1 << 40);
}

void map_release(struct map *map)
{
    free(map->entries);
    arena_release(&map->keys);
    map_init(map, map->cap);
}

/* The entry that holds the key, or the free one where it belongs. */
static struct map_entry *map_probe(const struct map *map, struct bytes key, uint64_t hash)
{
    size_t mask = map->capacity - 1;
    for (size_t i = (size_t)hash & mask;; i = (i + 1) & mask) {
        struct map_entry *entry = &map->entries[i];
        if (!entry->key.at || (entry->hash == hash && bytes_equal(entry->key, key)))
            return entry;
    }
}

static bool map_grow(struct map *map)
{
    struct map bigger = *map;
    bigger.capacity = map->capacity ? map->capacity * 2 : 16;
    bigger.entries = calloc(bigger.capacity, sizeof *bigger.entries);
    if (!bigger.entries)
        return false;
    for (size_t i = 0; i < map->capacity; i++)
        if (map->entries[i].key.at)
            *map_probe(&bigger, map->entries[i].key, map->entries[i].hash) = map->entries[i];
    free(map->entries);
    *map = bigger;
    return true;
}

uint64_t *map_find(const struct map *map, struct bytes key)
{
    if (map->count == 0)
        return NULL;
    struct map_entry *entry = map_probe(map, key, map_hash(key));
    return entry->key.at ? &entry->value : NULL;
}

uint64_t *map_put(struct map *map, struct bytes key, bool *added)
{
    uint64_t hash = map_hash(key);
    *added = false;
    if (map->capacity > 0) {
        struct map_entry *entry = map_probe(map, key, hash);
        if (entry->key.at)
            return &entry->value;
    }
    if (map->count >= map->cap)
        return NULL;
    if ((map->count + 1) * 4 > map->capacity * 3 && !map_grow(map))
        return NULL;
    struct bytes copy = arena_copy(&map->keys, key);
    if (!copy.at)
        return NULL;
    struct map_entry *entry = map_probe(map, key, hash);
    *entry = (struct map_entry){.key = copy, .hash = hash};
    map->count++;
    *added = true;
    return &entry->value;
}
