/* One line of IRC, taken apart: ['@'tags SP] [':'prefix SP] command [params].
 * RFC 1459 2.3.1 and https://ircv3.net/specs/extensions/message-tags.html; any number of spaces separates the parts.
 *
 * Nothing is copied and nothing decoded: all bytes point into the line.  Twitch allows 8191 bytes of tags and 512 more;
 * IRC_LINE_MAX is what is taken of any server. */
#ifndef SOURCE_IRC_LINE_H
#define SOURCE_IRC_LINE_H

#include "base/bytes.h"

enum { IRC_LINE_MAX = 16384, IRC_PARAM_MAX = 15 };

struct irc_line {
    struct bytes tags;    /* raw, without '@'; empty: none */
    struct bytes prefix;  /* without ':'; empty: none */
    struct bytes command; /* letters or digits, at least one */
    struct bytes params[IRC_PARAM_MAX];
    size_t param_count;
};

/* False for what is no such line: empty, without a command, with NUL, CR or LF in it.  `line` is without its end. */
bool irc_line_parse(struct bytes line, struct irc_line *parsed);

struct irc_tag {
    struct bytes key;
    struct bytes value; /* still escaped; empty where the tag has none */
};

/* Takes the next tag off *tags; false at their end.  Empty ones (";;") are passed over.  Of a key that comes twice, the
 * last counts: that is the caller's business. */
bool irc_tag_next(struct bytes *tags, struct irc_tag *tag);

static inline bool irc_value_is_escaped(struct bytes value)
{
    return bytes_find(value, '\\') >= 0;
}

/* Writes the value's text to `out`, which has room for value.length bytes, and returns its length. */
size_t irc_value_unescape(struct bytes value, char *out);

struct irc_prefix {
    struct bytes nick, user, host; /* empty where left out; a server's name is a nick */
};
struct irc_prefix irc_prefix_split(struct bytes prefix);

#endif
