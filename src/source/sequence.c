/* Invariants: intervals[i].first <= intervals[i].last, and intervals[i].last + 1 < intervals[i + 1].first. */
#include "source/sequence.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 2 };

void sequence_release(struct sequence *sequence)
{
    free(sequence->intervals);
    *sequence = (struct sequence){.count = 0};
}

/* The two oldest intervals become one. */
static void join_oldest(struct sequence *sequence)
{
    struct sequence_interval *all = sequence->intervals;
    all[1].first = all[0].first;
    memmove(all, all + 1, (sequence->count - 1) * sizeof *all);
    sequence->count--;
}

static bool grow(struct sequence *sequence)
{
    uint32_t capacity = sequence->capacity ? sequence->capacity * 2 : FIRST_CAPACITY;
    struct sequence_interval *grown = reallocarray(sequence->intervals, capacity, sizeof *grown);
    if (!grown)
        return false;
    sequence->intervals = grown;
    sequence->capacity = capacity;
    return true;
}

/* A new interval of one id before intervals[place]; place > 1 at the cap. */
static bool insert(struct sequence *sequence, uint32_t place, int64_t id)
{
    if (sequence->count == SEQUENCE_INTERVAL_MAX) {
        assert(place > 1);
        join_oldest(sequence);
        place--;
    } else if (sequence->count == sequence->capacity && !grow(sequence)) {
        return false;
    }
    struct sequence_interval *at = &sequence->intervals[place];
    memmove(at + 1, at, (sequence->count - place) * sizeof *at);
    *at = (struct sequence_interval){id, id};
    sequence->count++;
    return true;
}

/* The first interval that ends at or behind the id; there is one. */
static uint32_t find(const struct sequence *sequence, int64_t id)
{
    uint32_t low = 0, high = sequence->count - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (sequence->intervals[middle].last < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* An id below the greatest. */
static enum sequence_result fill(struct sequence *sequence, int64_t id)
{
    struct sequence_interval *all = sequence->intervals;
    uint32_t place = find(sequence, id);
    if (all[place].first <= id)
        return SEQUENCE_DUPLICATE;
    bool before = place > 0 && all[place - 1].last + 1 == id;
    bool behind = all[place].first == id + 1;
    if (before && behind) {
        all[place - 1].last = all[place].last;
        memmove(&all[place], &all[place + 1], (sequence->count - place - 1) * sizeof *all);
        sequence->count--;
    } else if (before) {
        all[place - 1].last = id;
    } else if (behind) {
        all[place].first = id;
    } else if (sequence->count == SEQUENCE_INTERVAL_MAX && place == 0) {
        all[0].first = id; /* the id would be the oldest interval, and is joined to the next */
    } else if (sequence->count == SEQUENCE_INTERVAL_MAX && place == 1) {
        join_oldest(sequence); /* it lies between the two */
    } else if (!insert(sequence, place, id)) {
        return SEQUENCE_NO_MEMORY;
    }
    return SEQUENCE_FILL;
}

enum sequence_result sequence_see_any(struct sequence *sequence, int64_t id, struct sequence_interval *missing)
{
    assert(id >= 0);
    if (sequence->count == 0)
        return insert(sequence, 0, id) ? SEQUENCE_FIRST : SEQUENCE_NO_MEMORY;
    int64_t greatest = sequence->intervals[sequence->count - 1].last;
    if (id <= greatest)
        return fill(sequence, id);
    if (id == greatest + 1) {
        sequence->intervals[sequence->count - 1].last = id;
        return SEQUENCE_NEXT;
    }
    *missing = (struct sequence_interval){greatest + 1, id - 1};
    return insert(sequence, sequence->count, id) ? SEQUENCE_GAP : SEQUENCE_NO_MEMORY;
}
