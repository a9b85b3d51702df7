/* The readers' positions, by name: few (one a durable reader), so a list is enough. */
#ifndef BUS_POSITIONS_INTERNAL_H
#define BUS_POSITIONS_INTERNAL_H

#include "bus/bus.h"

enum { POSITION_NAME_CAP = 64, POSITION_COUNT_CAP = 4096 };

struct named_position {
    char name[POSITION_NAME_CAP];
    uint8_t name_length;
    uint64_t next_offset;
};

struct positions {
    struct named_position *at;
    size_t count;
    size_t capacity;
};

void positions_release(struct positions *positions);

/* NULL: not known.  Valid until the next positions_reserve. */
struct named_position *positions_find(const struct positions *positions, struct bytes reader);

/* Makes room for one more, so that the next positions_set cannot fail.  -1: out of memory, at the cap, or a name of the
 * wrong length. */
int positions_reserve(struct positions *positions, struct bytes reader, struct error *error);
void positions_set(struct positions *positions, struct bytes reader, uint64_t next_offset);

#endif
