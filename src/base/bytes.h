/* Bytes with their length: the string type of the whole program.  A `struct bytes` never owns
 * what it points at; the function that hands one out says how long it stays valid. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const char *at;
    size_t length;
};

#define BYTES(literal) ((struct bytes){"" literal, sizeof(literal) - 1})
#define BYTES_NONE ((struct bytes){NULL, 0})
/* For printf("%.*s", BYTES_ARG(b)). */
#define BYTES_ARG(b) (int)(b).length, (b).at

static inline struct bytes bytes_of(const char *at, size_t length)
{
    return (struct bytes){at, length};
}

static inline struct bytes bytes_of_string(const char *text)
{
    return (struct bytes){text, text ? strlen(text) : 0};
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.at, b.at, a.length) == 0);
}

static inline bool bytes_start_with(struct bytes text, struct bytes prefix)
{
    return text.length >= prefix.length && (prefix.length == 0 || memcmp(text.at, prefix.at, prefix.length) == 0);
}

static inline struct bytes bytes_skip(struct bytes text, size_t count)
{
    return bytes_of(count ? text.at + count : text.at, text.length - count); /* NULL + 0 is undefined in C */
}

/* Position of the first `byte`, or -1. */
static inline ptrdiff_t bytes_find(struct bytes text, char byte)
{
    const char *found = text.length ? memchr(text.at, byte, text.length) : NULL;
    return found ? found - text.at : -1;
}

/* Splits at the first `byte`: returns what stands before it and leaves in *rest what follows.
 * Without the byte, all of it is returned and *rest is BYTES_NONE. */
struct bytes bytes_split(struct bytes text, char byte, struct bytes *rest);

struct bytes bytes_trim(struct bytes text);

bool bytes_equal_ignore_case(struct bytes a, struct bytes b); /* ASCII only */

/* memcmp order, a prefix before what it starts. */
int bytes_compare(struct bytes a, struct bytes b);

/* True for well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool bytes_is_utf8(struct bytes text);

/* Unsigned decimal digits only, all of the text, no overflow.  False and *value untouched otherwise. */
bool bytes_to_u64(struct bytes text, uint64_t *value);

/* Edit distance (Levenshtein), for did-you-mean; texts are cut at 63 bytes. */
unsigned bytes_distance(struct bytes a, struct bytes b);

#endif
