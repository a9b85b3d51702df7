/* Which records have been seen: hashes of 64 bits in two generations.  A generation is full after 10 minutes or half a
 * million records; then it becomes the older one, and what was the older one is forgotten.  So the last 10 minutes are
 * remembered, or the last half to whole million records, in at most 11 MB.
 *
 * A new record is taken for a known one when its hash is among a million of 2^64: at 20,000 records a second, once in
 * thirty years.  Open addressing with linear probing, at most 4/5 full.  The hash is XXH3 with a seed drawn at start: what
 * comes from outside cannot choose collisions. */
#ifndef SOURCE_SEEN_H
#define SOURCE_SEEN_H

#include "base/bytes.h"

enum { SEEN_GENERATION_MAX = 500000 };
#define SEEN_GENERATION_US ((int64_t)600 * 1000000)

struct seen_generation {
    uint64_t *slots; /* 0: free */
    size_t slot_count, count;
    int64_t began_us; /* TIME_UNKNOWN: not yet */
};

struct seen {
    struct seen_generation current, older;
};

/* All zero but for the times. */
void seen_init(struct seen *seen);
void seen_release(struct seen *seen);

/* Never 0. */
uint64_t seen_key_of(struct bytes text);

/* The key will be asked for soon. */
void seen_expect(const struct seen *seen, uint64_t key);
bool seen_has(const struct seen *seen, uint64_t key);

/* Remembers a key that seen_has has just said no to.  Where there is no memory for more, older ones are forgotten
 * sooner; without any memory nothing is remembered.  now_us: TIME_UNKNOWN where there is no clock; then only the number
 * of records makes generations old. */
void seen_add(struct seen *seen, uint64_t key, int64_t now_us);

#endif
