/* Which ids of a numbered stream have been seen: intervals in order, so that a gap is told once, a late record that fills
 * it is known as such, and a record that comes twice is known too, however long ago it came.
 *
 * At the cap of intervals the two oldest are joined: what was missing between them counts as seen from then on, and if
 * it still comes, as a duplicate.  One thread. */
#ifndef SOURCE_SEQUENCE_H
#define SOURCE_SEQUENCE_H

#include <stdbool.h>
#include <stdint.h>

enum { SEQUENCE_INTERVAL_MAX = 64 };

struct sequence_interval {
    int64_t first, last; /* inclusive */
};

struct sequence {
    struct sequence_interval *intervals; /* ascending, none touches the next */
    uint32_t count, capacity;
};

enum sequence_result {
    SEQUENCE_FIRST, /* nothing was seen before */
    SEQUENCE_NEXT,  /* follows the greatest id */
    SEQUENCE_GAP,   /* greater than the next: *missing was skipped */
    SEQUENCE_FILL,  /* smaller than the greatest, and not seen before */
    SEQUENCE_DUPLICATE,
    SEQUENCE_NO_MEMORY, /* nothing has changed */
};

/* All zero is a sequence that has seen nothing. */
void sequence_release(struct sequence *sequence);

enum sequence_result sequence_see_any(struct sequence *sequence, int64_t id, struct sequence_interval *missing);

/* Takes note of an id >= 0.  *missing is set with SEQUENCE_GAP only. */
static inline enum sequence_result sequence_see(struct sequence *sequence, int64_t id, struct sequence_interval *missing)
{
    if (sequence->count > 0) {
        struct sequence_interval *newest = &sequence->intervals[sequence->count - 1];
        if (id - 1 == newest->last) {
            newest->last = id;
            return SEQUENCE_NEXT;
        }
    }
    return sequence_see_any(sequence, id, missing);
}

#endif
