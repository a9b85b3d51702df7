#include "source/twitch_irc_seen.h"

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

struct seen_key seen_key_of(struct bytes text)
{
    XXH128_hash_t hash = XXH3_128bits_withSeed(text.at, text.length, random_process_seed());
    struct seen_key key = {hash.low64, hash.high64};
    if (key.low == 0 && key.high == 0)
        key.low = 1;
    return key;
}

/* The key's slot, or the free one where it would go.  There is a free one. */
static struct seen_key *find_slot(const struct seen_generation *generation, struct seen_key key)
{
    size_t index = (size_t)(((unsigned __int128)key.high * generation->slot_count) >> 64);
    for (;;) {
        struct seen_key *slot = &generation->slots[index];
        if ((slot->low == key.low && slot->high == key.high) || (slot->low == 0 && slot->high == 0))
            return slot;
        if (++index == generation->slot_count)
            index = 0;
    }
}

static bool generation_has(const struct seen_generation *generation, struct seen_key key)
{
    if (generation->count == 0)
        return false;
    const struct seen_key *slot = find_slot(generation, key);
    return slot->low != 0 || slot->high != 0;
}

bool seen_has(const struct seen *seen, struct seen_key key)
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
        if (generation->slots[i].low != 0 || generation->slots[i].high != 0)
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

void seen_add(struct seen *seen, struct seen_key key, int64_t now_us)
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
