/* Growing byte buffer with a cap.  The first append that fails (memory, cap) sets `failed`, and later
 * appends do nothing: a writer checks once, at the end. */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include "base/bytes.h"

struct buffer {
    char *at;
    size_t length;
    size_t capacity;
    size_t cap; /* greatest length that it may grow to */
    bool failed;
};

void buffer_init(struct buffer *buffer, size_t cap);
void buffer_release(struct buffer *buffer);

/* Empties it and keeps its memory; clears `failed`. */
void buffer_reset(struct buffer *buffer);

/* Makes room for `more` bytes behind `length`.  False (and `failed`) if that cannot be. */
bool buffer_reserve(struct buffer *buffer, size_t more);

void buffer_append(struct buffer *buffer, struct bytes text);
void buffer_printf(struct buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Removes the first `count` bytes. */
void buffer_consume(struct buffer *buffer, size_t count);

static inline void buffer_byte(struct buffer *buffer, char byte)
{
    if (buffer->length < buffer->capacity || buffer_reserve(buffer, 1))
        buffer->at[buffer->length++] = byte;
}

static inline struct bytes buffer_bytes(const struct buffer *buffer)
{
    return bytes_of(buffer->at, buffer->length);
}

#define BUFFER_LITERAL(buffer, literal) buffer_append((buffer), BYTES(literal))

/* JSON pieces, appended to a buffer. */
void buffer_json_string(struct buffer *buffer, struct bytes text); /* quoted and escaped; invalid UTF-8 becomes U+FFFD */
void buffer_json_int(struct buffer *buffer, int64_t value);
void buffer_json_double(struct buffer *buffer, double value); /* shortest form that reads back equal; null for NaN and infinity */

#endif
