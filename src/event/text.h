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

#define TEXT_EVERY_BYTE(value) (0x0101010101010101u * (value))

/* High bits where a byte of the word is a control character, a quote, a backslash or not ASCII. */
static inline uint64_t text_special_bytes(uint64_t word)
{
    uint64_t quote = word ^ TEXT_EVERY_BYTE('"'), backslash = word ^ TEXT_EVERY_BYTE('\\');
    uint64_t found = (word - TEXT_EVERY_BYTE(0x20)) | (quote - TEXT_EVERY_BYTE(1)) | (backslash - TEXT_EVERY_BYTE(1)) | word;
    return found & TEXT_EVERY_BYTE(0x80);
}

/* Fewer bytes than a word; the spare ones are taken as spaces, which are plain. */
static inline bool text_copy_plain_short(char *out, struct bytes text)
{
    uint64_t word = TEXT_EVERY_BYTE(' ');
    char *bytes = (char *)&word;
    if (text.length >= 4) {
        memcpy(bytes, text.at, 4);
        memcpy(bytes + text.length - 4, text.at + text.length - 4, 4);
    } else if (text.length > 0) {
        bytes[0] = text.at[0];
        bytes[text.length / 2] = text.at[text.length / 2];
        bytes[text.length - 1] = text.at[text.length - 1];
    }
    memcpy(out, &word, sizeof word);
    return text_special_bytes(word) == 0;
}

/* Copies text that needs no escape; false at the first byte that might (what was copied is then void).  May look at and
 * write the last whole word twice; never beyond the text. */
static inline bool text_copy_plain(char *out, struct bytes text)
{
    uint64_t word, found = 0;
    if (text.length < sizeof word)
        return text_copy_plain_short(out, text);
    for (size_t i = 0; i + sizeof word <= text.length; i += sizeof word) {
        memcpy(&word, text.at + i, sizeof word);
        memcpy(out + i, &word, sizeof word);
        found |= text_special_bytes(word);
    }
    size_t tail = text.length - sizeof word;
    memcpy(&word, text.at + tail, sizeof word);
    memcpy(out + tail, &word, sizeof word);
    return (found | text_special_bytes(word)) == 0;
}

#endif
