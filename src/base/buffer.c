/* Growing buffer, and JSON written into it. */
#include "base/buffer.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void buffer_init(struct buffer *buffer, size_t cap)
{
    *buffer = (struct buffer){.cap = cap};
}

void buffer_release(struct buffer *buffer)
{
    free(buffer->at);
    buffer_init(buffer, buffer->cap);
}

void buffer_reset(struct buffer *buffer)
{
    buffer->length = 0;
    buffer->failed = false;
}

static bool refuse(struct buffer *buffer)
{
    buffer->failed = true;
    return false;
}

bool buffer_reserve(struct buffer *buffer, size_t more)
{
    if (buffer->failed)
        return false;
    if (more <= buffer->capacity - buffer->length)
        return true;
    if (more > buffer->cap - buffer->length)
        return refuse(buffer);
    size_t wanted = buffer->capacity ? buffer->capacity * 2 : 256;
    if (wanted < buffer->length + more)
        wanted = buffer->length + more;
    if (wanted > buffer->cap)
        wanted = buffer->cap;
    char *grown = realloc(buffer->at, wanted);
    if (!grown)
        return refuse(buffer);
    buffer->at = grown;
    buffer->capacity = wanted;
    return true;
}

void buffer_append(struct buffer *buffer, struct bytes text)
{
    if (text.length == 0 || !buffer_reserve(buffer, text.length))
        return;
    memcpy(buffer->at + buffer->length, text.at, text.length);
    buffer->length += text.length;
}

/* Formats aside, for vsnprintf writes a terminator for which a buffer at its cap has no place. */
void buffer_printf(struct buffer *buffer, const char *format, ...)
{
    char small[256], *text = small;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(small, sizeof small, format, arguments);
    va_end(arguments);
    if (length >= (int)sizeof small) {
        va_start(arguments, format);
        length = vasprintf(&text, format, arguments);
        va_end(arguments);
    }
    if (length < 0) {
        refuse(buffer);
        return;
    }
    buffer_append(buffer, bytes_of(text, (size_t)length));
    if (text != small)
        free(text);
}

void buffer_consume(struct buffer *buffer, size_t count)
{
    assert(count <= buffer->length);
    if (count < buffer->length)
        memmove(buffer->at, buffer->at + count, buffer->length - count);
    buffer->length -= count;
}

static void json_escape(struct buffer *buffer, unsigned char c)
{
    static const char named[] = {
        ['"'] = '"', ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    if (c < sizeof named && named[c]) {
        buffer_byte(buffer, '\\');
        buffer_byte(buffer, named[c]);
    } else {
        buffer_printf(buffer, "\\u%04x", c);
    }
}

static void json_string_body(struct buffer *buffer, struct bytes text)
{
    size_t plain = 0;
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        buffer_append(buffer, bytes_of(text.at + plain, i - plain));
        json_escape(buffer, c);
        plain = i + 1;
    }
    buffer_append(buffer, bytes_of(text.at + plain, text.length - plain));
}

/* The slow way for text that is not UTF-8: byte by byte, each broken one replaced. */
static void json_string_repaired(struct buffer *buffer, struct bytes text)
{
    while (text.length > 0) {
        size_t length = 1;
        while (length < 4 && length < text.length && !bytes_is_utf8(bytes_of(text.at, length)))
            length++;
        if (bytes_is_utf8(bytes_of(text.at, length))) {
            json_string_body(buffer, bytes_of(text.at, length));
            text = bytes_skip(text, length);
        } else {
            BUFFER_LITERAL(buffer, "\xEF\xBF\xBD");
            text = bytes_skip(text, 1);
        }
    }
}

void buffer_json_string(struct buffer *buffer, struct bytes text)
{
    buffer_byte(buffer, '"');
    if (bytes_is_utf8(text))
        json_string_body(buffer, text);
    else
        json_string_repaired(buffer, text);
    buffer_byte(buffer, '"');
}

void buffer_json_int(struct buffer *buffer, int64_t value)
{
    char digits[20];
    size_t start = sizeof digits;
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    do {
        digits[--start] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0)
        buffer_byte(buffer, '-');
    buffer_append(buffer, bytes_of(digits + start, sizeof digits - start));
}

void buffer_json_double(struct buffer *buffer, double value)
{
    if (!isfinite(value)) {
        BUFFER_LITERAL(buffer, "null");
        return;
    }
    if (value == floor(value) && fabs(value) < 1e15) {
        buffer_json_int(buffer, (int64_t)value);
        return;
    }
    char text[48];
    /* 15 digits are found again by every normal number that was written with them; subnormal ones hold fewer. */
    for (int digits = fabs(value) < DBL_MIN ? 1 : DBL_DIG; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    buffer_append(buffer, bytes_of_string(text));
}
