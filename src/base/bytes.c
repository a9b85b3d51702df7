/* Functions on bytes that are too long to inline. */
#include "base/bytes.h"

static char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct bytes bytes_split(struct bytes text, char byte, struct bytes *rest)
{
    ptrdiff_t found = bytes_find(text, byte);
    if (found < 0) {
        *rest = BYTES_NONE;
        return text;
    }
    *rest = bytes_skip(text, (size_t)found + 1);
    return bytes_of(text.at, (size_t)found);
}

struct bytes bytes_trim(struct bytes text)
{
    while (text.length > 0 && is_space(text.at[0]))
        text = bytes_skip(text, 1);
    while (text.length > 0 && is_space(text.at[text.length - 1]))
        text.length--;
    return text;
}

bool bytes_equal_ignore_case(struct bytes a, struct bytes b)
{
    if (a.length != b.length)
        return false;
    for (size_t i = 0; i < a.length; i++)
        if (ascii_lower(a.at[i]) != ascii_lower(b.at[i]))
            return false;
    return true;
}

int bytes_compare(struct bytes a, struct bytes b)
{
    size_t common = a.length < b.length ? a.length : b.length;
    int order = common ? memcmp(a.at, b.at, common) : 0;
    if (order != 0)
        return order;
    return (a.length > b.length) - (a.length < b.length);
}

/* Length of the well-formed sequence at `s`, 0 if there is none.  Table 3-7 of the Unicode Standard. */
static size_t utf8_sequence_length(const unsigned char *s, size_t left)
{
    static const struct {
        unsigned char first_low, first_high, second_low, second_high, length;
    } forms[] = {
        {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3}, {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3},
        {0xEE, 0xEF, 0x80, 0xBF, 3}, {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
    };
    for (size_t f = 0; f < sizeof forms / sizeof forms[0]; f++) {
        if (s[0] < forms[f].first_low || s[0] > forms[f].first_high)
            continue;
        if (left < forms[f].length || s[1] < forms[f].second_low || s[1] > forms[f].second_high)
            return 0;
        for (size_t i = 2; i < forms[f].length; i++)
            if ((s[i] & 0xC0) != 0x80)
                return 0;
        return forms[f].length;
    }
    return 0;
}

bool bytes_is_utf8(struct bytes text)
{
    const unsigned char *s = (const unsigned char *)text.at;
    size_t i = 0;
    while (i < text.length) {
        uint64_t word;
        if (text.length - i >= sizeof word) {
            memcpy(&word, s + i, sizeof word);
            if ((word & 0x8080808080808080u) == 0) {
                i += sizeof word;
                continue;
            }
        }
        if (s[i] < 0x80) {
            i++;
            continue;
        }
        size_t length = utf8_sequence_length(s + i, text.length - i);
        if (length == 0)
            return false;
        i += length;
    }
    return true;
}

bool bytes_to_u64(struct bytes text, uint64_t *value)
{
    uint64_t sum = 0;
    if (text.length == 0)
        return false;
    for (size_t i = 0; i < text.length; i++) {
        unsigned digit = (unsigned)(unsigned char)text.at[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(sum, 10u, &sum) || __builtin_add_overflow(sum, digit, &sum))
            return false;
    }
    *value = sum;
    return true;
}

unsigned bytes_distance(struct bytes a, struct bytes b)
{
    enum { LIMIT = 63 };
    unsigned row[LIMIT + 1];
    size_t a_length = a.length < LIMIT ? a.length : LIMIT;
    size_t b_length = b.length < LIMIT ? b.length : LIMIT;
    for (size_t j = 0; j <= b_length; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= a_length; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_length; j++) {
            unsigned change = diagonal + (a.at[i - 1] != b.at[j - 1]);
            diagonal = row[j];
            unsigned remove = row[j] + 1;
            unsigned insert = row[j - 1] + 1;
            row[j] = change < remove ? change : remove;
            if (insert < row[j])
                row[j] = insert;
        }
    }
    return row[b_length];
}
