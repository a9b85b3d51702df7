/* Scanner for JSON whose order of fields is known: straight through, no tree.  It understands the strict, plain part of
 * JSON (no white space, no escapes) and says false to everything else, so that a general parser can take over: a
 * caller that gives up has lost a few nanoseconds and nothing more.  What it accepts is valid JSON and UTF-8. */
#ifndef EVENT_SCAN_H
#define EVENT_SCAN_H

#include "base/bytes.h"

/* With the lengths of literals known, comparisons become a few loads: compilers leave that out for functions of this size
 * unless told. */
#define SCAN_INLINE static inline __attribute__((always_inline))

struct scan {
    const char *at;
    const char *end;
};

static inline struct scan scan_of(struct bytes text)
{
    return (struct scan){text.at, text.at + text.length};
}

/* Steps over the text if it comes next. */
SCAN_INLINE bool scan_text(struct scan *scan, const char *text, size_t length)
{
    if ((size_t)(scan->end - scan->at) < length || memcmp(scan->at, text, length) != 0)
        return false;
    scan->at += length;
    return true;
}
#define SCAN_LITERAL(scan, literal) scan_text((scan), "" literal, sizeof(literal) - 1)

SCAN_INLINE bool scan_byte(struct scan *scan, char byte)
{
    if (scan->at == scan->end || *scan->at != byte)
        return false;
    scan->at++;
    return true;
}

/* From behind the opening quote to behind the closing one. */
static inline bool scan_string(struct scan *scan, struct bytes *text)
{
    const char *start = scan->at;
    const uint64_t ones = 0x0101010101010101u;
    bool ascii = true;
    const char *at = start;
    for (; scan->end - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        uint64_t quote = word ^ (ones * '"'), backslash = word ^ (ones * '\\');
        /* High bits in bytes that end the plain run; a borrow can only mark bytes behind a true one. */
        uint64_t stop = ((word - ones * 0x20) | (quote - ones) | (backslash - ones)) & ~word & (ones * 0x80);
        ascii &= (word & (ones * 0x80)) == 0 || (stop != 0 && (word & (stop ^ (stop - 1)) & (ones * 0x80)) == 0);
        if (stop) {
            at += __builtin_ctzll(stop) / 8;
            break;
        }
    }
    for (;; at++) {
        if (at == scan->end)
            return false;
        unsigned char c = (unsigned char)*at;
        if (c == '"')
            break;
        if (c < 0x20 || c == '\\')
            return false;
        ascii &= c < 0x80;
    }
    *text = bytes_of(start, (size_t)(at - start));
    scan->at = at + 1;
    return ascii || bytes_is_utf8(*text);
}

static inline const char *scan_digits(const char *at, const char *end)
{
    while (at < end && (unsigned)(unsigned char)*at - '0' <= 9)
        at++;
    return at;
}

/* A JSON number without exponent. */
static inline bool scan_number(struct scan *scan, struct bytes *text)
{
    const char *start = scan->at;
    const char *digits = start + (start < scan->end && *start == '-');
    const char *at = scan_digits(digits, scan->end);
    if (at == digits || (*digits == '0' && at > digits + 1))
        return false;
    if (at < scan->end && *at == '.') {
        const char *decimals = at + 1;
        at = scan_digits(decimals, scan->end);
        if (at == decimals)
            return false;
    }
    if (at < scan->end && (*at == 'e' || *at == 'E'))
        return false;
    *text = bytes_of(start, (size_t)(at - start));
    scan->at = at;
    return true;
}

/* 0 … 10^18 - 1 in plain digits; what follows must not go on with the number. */
SCAN_INLINE bool scan_u63(struct scan *scan, int64_t *value)
{
    enum { DIGITS_MAX = 18 };
    const char *at = scan->at;
    int64_t sum = 0;
    for (; at < scan->end; at++) {
        unsigned digit = (unsigned)(unsigned char)*at - '0';
        if (digit > 9)
            break;
        if (at - scan->at == DIGITS_MAX)
            return false;
        sum = sum * 10 + digit;
    }
    if (at == scan->at || (*scan->at == '0' && at > scan->at + 1))
        return false;
    if (at < scan->end && (*at == '.' || *at == 'e' || *at == 'E'))
        return false;
    *value = sum;
    scan->at = at;
    return true;
}

/* Any one value, to a small depth. */
bool scan_value(struct scan *scan, unsigned depth);

/* The text of an object. */
static inline bool scan_object(struct scan *scan, struct bytes *text)
{
    enum { DEPTH_MAX = 8 };
    const char *start = scan->at;
    if (start == scan->end || *start != '{' || !scan_value(scan, DEPTH_MAX))
        return false;
    *text = bytes_of(start, (size_t)(scan->at - start));
    return true;
}

#endif
