/* Finding the n-th code point: the places of every 32nd are noted once a message, so that thousands of ranges in a
 * hostile line cost no more than their number. */
#include "source/twitch_irc_emotes.h"

#include "source/irc_line.h"

enum { STRIDE = 32 };
/* Ranges of real messages do not overlap.  A budget for names and number keeps those of a hostile line from making
 * megabytes of it. */
enum { OVERLAP_MAX = 4, EMOTE_MAX = 256, EMOTE_COST = 16 };

struct text_map {
    struct bytes text;
    size_t code_points;
    bool ascii;
    uint16_t marks[IRC_LINE_MAX / STRIDE + 1]; /* byte offset of each STRIDE-th code point */
};

static bool is_continuation(char byte)
{
    return ((unsigned char)byte & 0xC0u) == 0x80u;
}

static void map_text(struct text_map *map, struct bytes text)
{
    size_t count = 0;
    map->text = text;
    for (size_t i = 0; i < text.length; i++) {
        if (is_continuation(text.at[i]))
            continue;
        if (count % STRIDE == 0)
            map->marks[count / STRIDE] = (uint16_t)i;
        count++;
    }
    map->code_points = count;
    map->ascii = count == text.length;
}

/* Byte offset of a code point; of the text's end for the one behind the last. */
static size_t offset_of(const struct text_map *map, size_t code_point)
{
    if (map->ascii)
        return code_point;
    if (code_point == map->code_points)
        return map->text.length;
    size_t at = map->marks[code_point / STRIDE];
    for (size_t left = code_point % STRIDE; left > 0; left--)
        for (at++; is_continuation(map->text.at[at]);)
            at++;
    return at;
}

/* Digits; a number that is too large for the type is just beyond the text. */
static bool take_place(struct bytes digits, uint64_t *place)
{
    *place = UINT64_MAX;
    for (size_t i = 0; i < digits.length; i++)
        if (digits.at[i] < '0' || digits.at[i] > '9')
            return false;
    bytes_to_u64(digits, place);
    return digits.length > 0;
}

/* Whether anything of the range lies in the text. */
static bool take_range(struct bytes range, const struct text_map *map, size_t *begin, size_t *end)
{
    uint64_t first, last;
    struct bytes behind, before = bytes_split(range, '-', &behind);
    if (!take_place(before, &first) || !take_place(behind, &last) || last < first || first >= map->code_points)
        return false;
    *begin = (size_t)first;
    *end = last < map->code_points ? (size_t)last : map->code_points - 1;
    return true;
}

bool twitch_emotes_write(struct buffer *out, struct bytes emotes, struct bytes message)
{
    struct text_map map;
    size_t count = 0, budget = OVERLAP_MAX * message.length + (size_t)EMOTE_MAX * EMOTE_COST;
    if (message.length > IRC_LINE_MAX)
        return false;
    map_text(&map, message);
    while (emotes.length > 0) {
        struct bytes ranges, id = bytes_split(bytes_split(emotes, '/', &emotes), ':', &ranges);
        while (ranges.length > 0 && id.length > 0) {
            size_t begin, end;
            if (!take_range(bytes_split(ranges, ',', &ranges), &map, &begin, &end))
                continue;
            size_t from = offset_of(&map, begin), to = offset_of(&map, end + 1);
            if (to - from + EMOTE_COST > budget)
                continue;
            budget -= to - from + EMOTE_COST;
            buffer_append(out, count++ == 0 ? BYTES("[{\"id\":") : BYTES(",{\"id\":"));
            buffer_json_string(out, id);
            BUFFER_LITERAL(out, ",\"name\":");
            buffer_json_string(out, bytes_of(message.at + from, to - from));
            BUFFER_LITERAL(out, ",\"begin\":");
            buffer_json_int(out, (int64_t)begin);
            BUFFER_LITERAL(out, ",\"end\":");
            buffer_json_int(out, (int64_t)end);
            buffer_byte(out, '}');
        }
    }
    buffer_byte(out, ']');
    return count > 0;
}
