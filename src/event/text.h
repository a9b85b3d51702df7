/* Writing short texts and integers into memory that is known to suffice: each call returns the place behind what it
 * wrote.  For the paths that make an event per call; elsewhere see base/buffer.h. */
#ifndef EVENT_TEXT_H
#define EVENT_TEXT_H

#include "base/bytes.h"

enum { TEXT_INT64_MAX = 20 }; /* longest integer, with its sign */

/* "00" to "99" */
extern const char text_digit_pairs[200];

static inline char *text_put(char *out, struct bytes text)
{
    if (text.length > 0)
        memcpy(out, text.at, text.length);
    return out + text.length;
}

/* The compiler knows the length and makes it stores. */
#define TEXT_LITERAL(out, literal) ((char *)memcpy((out), "" literal, sizeof(literal) - 1) + (sizeof(literal) - 1))

static inline char *text_put_pair(char *out, unsigned value)
{
    memcpy(out, text_digit_pairs + (size_t)2 * value, 2);
    return out + 2;
}

static inline unsigned text_digit_count(uint64_t value)
{
    unsigned count = 1;
    for (; value >= 10000; value /= 10000)
        count += 4;
    return count + (value >= 10) + (value >= 100) + (value >= 1000);
}

static inline char *text_put_u64(char *out, uint64_t value)
{
    char *end = out + text_digit_count(value), *at = end;
    for (; value >= 100; value /= 100) {
        at -= 2;
        text_put_pair(at, (unsigned)(value % 100));
    }
    if (value >= 10)
        text_put_pair(at - 2, (unsigned)value);
    else
        at[-1] = (char)('0' + value);
    return end;
}

static inline char *text_put_i64(char *out, int64_t value)
{
    if (value >= 0)
        return text_put_u64(out, (uint64_t)value);
    *out = '-';
    return text_put_u64(out + 1, -(uint64_t)value);
}

#endif
