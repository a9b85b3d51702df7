/* Bytes from outside through the functions of base/bytes.h, and as a JSON string: what is written is well-formed whatever it
 * was made from. */
#include "base/buffer.h"

#undef NDEBUG /* the assertions are the test */
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A well-formed JSON string (RFC 8259 section 7), quotes included. */
static void check_json_string(struct bytes json)
{
    assert(bytes_is_utf8(json));
    assert(json.length >= 2 && json.at[0] == '"' && json.at[json.length - 1] == '"');
    for (size_t i = 1; i < json.length - 1; i++) {
        unsigned char c = (unsigned char)json.at[i];
        assert(c >= 0x20 && c != '"');
        if (c == '\\') {
            i++;
            assert(i < json.length - 1 && strchr("\"\\bfnrtu", json.at[i]));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_of((const char *)data, size), rest, trimmed = bytes_trim(text);
    struct buffer buffer;
    buffer_init(&buffer, 16 + 6 * size);
    buffer_json_string(&buffer, text);
    assert(!buffer.failed);
    check_json_string(buffer_bytes(&buffer));
    buffer_release(&buffer);

    struct bytes first = bytes_split(text, ',', &rest);
    assert(first.length + (rest.at ? rest.length + 1 : 0) == size);
    assert(trimmed.length <= size && bytes_trim(trimmed).length == trimmed.length);
    assert(bytes_equal_ignore_case(text, text) && bytes_compare(text, text) == 0);
    assert(bytes_distance(text, text) == 0);
    uint64_t value = 0;
    if (bytes_to_u64(text, &value)) {
        char digits[24];
        snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
        struct bytes shortest = text;
        while (shortest.length > 1 && shortest.at[0] == '0')
            shortest = bytes_skip(shortest, 1);
        assert(bytes_equal(shortest, bytes_of_string(digits)));
    }
    return 0;
}
