/* A list searched from its start; see positions_internal.h. */
#include "bus/positions_internal.h"

#include <assert.h>

void positions_release(struct positions *positions)
{
    free(positions->at);
    *positions = (struct positions){0};
}

struct named_position *positions_find(const struct positions *positions, struct bytes reader)
{
    for (size_t i = 0; i < positions->count; i++)
        if (bytes_equal(bytes_of(positions->at[i].name, positions->at[i].name_length), reader))
            return &positions->at[i];
    return NULL;
}

int positions_reserve(struct positions *positions, struct bytes reader, struct error *error)
{
    if (reader.length == 0 || reader.length > POSITION_NAME_CAP)
        return error_set(error, "a reader's name has 1 to %d bytes, not %zu", POSITION_NAME_CAP, reader.length);
    if (positions_find(positions, reader) || positions->count < positions->capacity)
        return 0;
    if (positions->count == POSITION_COUNT_CAP)
        return error_set(error, "more than %d readers' positions", POSITION_COUNT_CAP);
    size_t wanted = positions->capacity ? positions->capacity * 2 : 8;
    struct named_position *grown = realloc(positions->at, wanted * sizeof *grown);
    if (!grown)
        return error_set(error, "out of memory for readers' positions");
    positions->at = grown;
    positions->capacity = wanted;
    return 0;
}

void positions_set(struct positions *positions, struct bytes reader, uint64_t next_offset)
{
    struct named_position *position = positions_find(positions, reader);
    if (!position) {
        assert(positions->count < positions->capacity && reader.length <= POSITION_NAME_CAP);
        position = &positions->at[positions->count++];
        memcpy(position->name, reader.at, reader.length);
        position->name_length = (uint8_t)reader.length;
    }
    position->next_offset = next_offset;
}
