#include "source/seen.h"

#include "base/random.h"
#include "event/timestamp.h"
#include <assert.h>
#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

/* Slots double from the first number to the last, which suffices for a full generation. */
enum { SLOTS_FIRST = 5 << 10, SLOTS_MAX = 5 << 17 };
_Static_assert(SEEN_GENERATION_MAX <= SLOTS_MAX / 5 * 4, "a full generation leaves a fifth of the slots free");

void seen_init(struct seen *seen)
{
    *seen = (struct seen){.current.began_us = TIME_UNKNOWN, .older.began_us = TIME_UNKNOWN};
}

void seen_release(struct seen *seen)
{
    free(seen->current.slots);
    free(seen->older.slots);
    seen_init(seen);
}

uint64_t seen_key_of(struct bytes text)
{
    uint64_t key = XXH3_64bits_withSeed(text.at, text.length, random_process_seed());
    return key != 0 ? key : 1;
}

static size_t first_slot(const struct seen_generation *generation, uint64_t key)
{
    return (size_t)(((unsigned __int128)key * generation->slot_count) >> 64);
}

void seen_expect(const struct seen *seen, uint64_t key)
{
    if (seen->current.count > 0)
        __builtin_prefetch(&seen->current.slots[first_slot(&seen->current, key)]);
    if (seen->older.count > 0)
        __builtin_prefetch(&seen->older.slots[first_slot(&seen->older, key)]);
}

/* The key's slot, or the free one where it would go.  There is a free one. */
static uint64_t *find_slot(const struct seen_generation *generation, uint64_t key)
{
    size_t index = first_slot(generation, key);
    for (;;) {
        uint64_t *slot = &generation->slots[index];
        if (*slot == key || *slot == 0)
            return slot;
        if (++index == generation->slot_count)
            index = 0;
    }
}

static bool generation_has(const struct seen_generation *generation, uint64_t key)
{
    return generation->count > 0 && *find_slot(generation, key) == key;
}

bool seen_has(const struct seen *seen, uint64_t key)
{
    return generation_has(&seen->current, key) || generation_has(&seen->older, key);
}

static bool generation_is_filled(const struct seen_generation *generation)
{
    return generation->count >= generation->slot_count / 5 * 4;
}

static bool generation_grow(struct seen_generation *generation)
{
    struct seen_generation grown = *generation;
    grown.slot_count = generation->slot_count ? generation->slot_count * 2 : SLOTS_FIRST;
    if (grown.slot_count > SLOTS_MAX)
        return false;
    grown.slots = calloc(grown.slot_count, sizeof *grown.slots);
    if (!grown.slots)
        return false;
    for (size_t i = 0; i < generation->slot_count; i++)
        if (generation->slots[i] != 0)
            *find_slot(&grown, generation->slots[i]) = generation->slots[i];
    free(generation->slots);
    *generation = grown;
    return true;
}

/* The current generation becomes the older one; a new one begins in the memory of what is forgotten. */
static void turn(struct seen *seen)
{
    struct seen_generation fresh = seen->older;
    seen->older = seen->current;
    if (fresh.slots)
        memset(fresh.slots, 0, fresh.slot_count * sizeof *fresh.slots);
    fresh.count = 0;
    fresh.began_us = TIME_UNKNOWN;
    seen->current = fresh;
}

void seen_add(struct seen *seen, uint64_t key, int64_t now_us)
{
    struct seen_generation *current = &seen->current;
    bool old = current->began_us != TIME_UNKNOWN && now_us != TIME_UNKNOWN && now_us - current->began_us >= SEEN_GENERATION_US;
    if (old || current->count >= SEEN_GENERATION_MAX)
        turn(seen);
    if (generation_is_filled(current) && !generation_grow(current))
        turn(seen);
    if (generation_is_filled(current) && !generation_grow(current))
        return;
    if (current->began_us == TIME_UNKNOWN)
        current->began_us = now_us;
    *find_slot(current, key) = key;
    current->count++;
}
