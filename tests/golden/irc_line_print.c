/* For irc_vectors.py: takes texts on standard input apart, one a line in hexadecimal, and prints the parts likewise:
 *
 *     line HEX      ->  PREFIX|COMMAND|PARAM|…;KEY=VALUE;…    or  refused
 *     prefix HEX    ->  NICK|USER|HOST */
#include "source/irc_line.h"

#include <stdio.h>

enum { TEXT_MAX = 4096 };

static unsigned digit_of(char hex)
{
    return (unsigned)(hex <= '9' ? hex - '0' : hex - 'a' + 10);
}

static size_t from_hex(const char *hex, char *out)
{
    size_t length = 0;
    for (; length < TEXT_MAX && hex[0] > ' ' && hex[1] > ' '; hex += 2)
        out[length++] = (char)(digit_of(hex[0]) << 4 | digit_of(hex[1]));
    return length;
}

static void print_hex(struct bytes text, char end)
{
    for (size_t i = 0; i < text.length; i++)
        printf("%02x", (unsigned)(unsigned char)text.at[i]);
    putchar(end);
}

static void print_line(struct bytes text)
{
    struct irc_line line;
    struct irc_tag tag;
    if (!irc_line_parse(text, &line)) {
        puts("refused");
        return;
    }
    print_hex(line.prefix, '|');
    print_hex(line.command, line.param_count > 0 ? '|' : ';');
    for (size_t i = 0; i < line.param_count; i++)
        print_hex(line.params[i], i + 1 < line.param_count ? '|' : ';');
    while (irc_tag_next(&line.tags, &tag)) {
        char value[TEXT_MAX];
        print_hex(tag.key, '=');
        print_hex(bytes_of(value, irc_value_unescape(tag.value, value)), ';');
    }
    putchar('\n');
}

int main(void)
{
    static char request[3 * TEXT_MAX], text[TEXT_MAX];
    while (fgets(request, sizeof request, stdin)) {
        const char *hex = strchr(request, ' ');
        if (!hex)
            return 1;
        struct bytes given = bytes_of(text, from_hex(hex + 1, text));
        if (request[0] == 'l') {
            print_line(given);
        } else {
            struct irc_prefix prefix = irc_prefix_split(given);
            print_hex(prefix.nick, '|');
            print_hex(prefix.user, '|');
            print_hex(prefix.host, '\n');
        }
    }
    return 0;
}
