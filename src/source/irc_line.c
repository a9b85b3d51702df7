#include "source/irc_line.h"

/* Takes a word off *rest, and the spaces behind it. */
static struct bytes take_word(struct bytes *rest)
{
    ptrdiff_t end = bytes_find(*rest, ' ');
    size_t length = end < 0 ? rest->length : (size_t)end;
    struct bytes word = bytes_of(rest->at, length);
    while (length < rest->length && rest->at[length] == ' ')
        length++;
    *rest = bytes_skip(*rest, length);
    return word;
}

static bool is_command(struct bytes word)
{
    for (size_t i = 0; i < word.length; i++) {
        unsigned letter = (unsigned char)word.at[i] | 0x20u;
        bool digit = word.at[i] >= '0' && word.at[i] <= '9';
        if (!digit && (letter < 'a' || letter > 'z'))
            return false;
    }
    return word.length > 0;
}

static void take_params(struct bytes rest, struct irc_line *parsed)
{
    parsed->param_count = 0;
    while (rest.length > 0 && parsed->param_count < IRC_PARAM_MAX) {
        struct bytes *param = &parsed->params[parsed->param_count++];
        if (rest.at[0] == ':') {
            *param = bytes_skip(rest, 1);
            return;
        }
        if (parsed->param_count == IRC_PARAM_MAX) { /* the last one takes the rest (RFC 2812 2.3.1) */
            *param = rest;
            return;
        }
        *param = take_word(&rest);
    }
}

/* Whether a control character may be in it: a quick no for nearly all lines, word by word. */
static bool may_hold_control(struct bytes line)
{
    const uint64_t each = 0x0101010101010101u;
    uint64_t word, found = 0;
    if (line.length < sizeof word)
        return true;
    for (size_t i = 0; i + sizeof word <= line.length; i += sizeof word) {
        memcpy(&word, line.at + i, sizeof word);
        found |= (word - each * 0x20) & ~word;
    }
    memcpy(&word, line.at + line.length - sizeof word, sizeof word);
    found |= (word - each * 0x20) & ~word;
    return (found & each * 0x80) != 0;
}

bool irc_line_parse(struct bytes line, struct irc_line *parsed)
{
    if (may_hold_control(line) && (bytes_find(line, '\0') >= 0 || bytes_find(line, '\r') >= 0 || bytes_find(line, '\n') >= 0))
        return false;
    parsed->tags = parsed->prefix = BYTES("");
    if (line.length > 0 && line.at[0] == '@')
        parsed->tags = bytes_skip(take_word(&line), 1);
    if (line.length > 0 && line.at[0] == ':')
        parsed->prefix = bytes_skip(take_word(&line), 1);
    parsed->command = take_word(&line);
    take_params(line, parsed);
    return is_command(parsed->command);
}

bool irc_tag_next(struct bytes *tags, struct irc_tag *tag)
{
    while (tags->length > 0) {
        ptrdiff_t end = bytes_find(*tags, ';');
        struct bytes whole = end < 0 ? *tags : bytes_of(tags->at, (size_t)end);
        *tags = bytes_skip(*tags, end < 0 ? whole.length : whole.length + 1);
        ptrdiff_t equals = bytes_find(whole, '=');
        tag->key = equals < 0 ? whole : bytes_of(whole.at, (size_t)equals);
        tag->value = equals < 0 ? BYTES("") : bytes_skip(whole, (size_t)equals + 1);
        if (tag->key.length > 0)
            return true;
    }
    return false;
}

size_t irc_value_unescape(struct bytes value, char *out)
{
    size_t length = 0;
    for (size_t i = 0; i < value.length; i++) {
        char byte = value.at[i];
        if (byte == '\\') {
            if (++i == value.length)
                break; /* a backslash that ends the value stands for nothing */
            byte = value.at[i];
            byte = byte == ':' ? ';' : byte == 's' ? ' ' : byte == 'r' ? '\r' : byte == 'n' ? '\n' : byte;
        }
        out[length++] = byte;
    }
    return length;
}

struct irc_prefix irc_prefix_split(struct bytes prefix)
{
    struct irc_prefix parts = {BYTES(""), BYTES(""), BYTES("")};
    ptrdiff_t at = bytes_find(prefix, '@');
    if (at >= 0) {
        parts.host = bytes_skip(prefix, (size_t)at + 1);
        prefix.length = (size_t)at;
    }
    ptrdiff_t mark = bytes_find(prefix, '!');
    if (mark >= 0) {
        parts.user = bytes_skip(prefix, (size_t)mark + 1);
        prefix.length = (size_t)mark;
    }
    parts.nick = prefix;
    return parts;
}
