/* Parser of .env files, line by line: a wrong line costs that line only. */
#include "app/dotenv.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct bytes skip_blanks(struct bytes text)
{
    while (text.length > 0 && is_blank(text.at[0]))
        text = bytes_skip(text, 1);
    return text;
}

static bool is_name(struct bytes text)
{
    for (size_t i = 0; i < text.length; i++) {
        char c = text.at[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
        if (!letter && !(i > 0 && c >= '0' && c <= '9'))
            return false;
    }
    return text.length > 0;
}

static char unescape(char c)
{
    switch (c) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return c; /* \\ \" \$ and what needs no escape */
    }
}

/* `text` begins with the quote.  Sets *value; returns what is wrong, or NULL. */
static const char *read_quoted(struct bytes text, struct arena *arena, struct bytes *value)
{
    char quote = text.at[0];
    char *out = arena_text(arena, text.length);
    if (!out)
        return "the file is too large";
    size_t length = 0, i = 1;
    while (i < text.length && text.at[i] != quote) {
        bool escaped = quote == '"' && text.at[i] == '\\' && i + 1 < text.length;
        out[length++] = escaped ? unescape(text.at[i + 1]) : text.at[i];
        i += escaped ? 2 : 1;
    }
    if (i >= text.length)
        return "a quote is opened and not closed on this line";
    struct bytes rest = skip_blanks(bytes_skip(text, i + 1));
    if (rest.length > 0 && rest.at[0] != '#')
        return "something follows the closing quote";
    *value = bytes_of(out, length);
    return NULL;
}

/* Up to a comment, which begins after a blank: `a#b` is a value. */
static struct bytes read_bare(struct bytes text)
{
    size_t length = 0;
    while (length < text.length && !(text.at[length] == '#' && (length == 0 || is_blank(text.at[length - 1]))))
        length++;
    return bytes_trim(bytes_of(text.at, length));
}

static const char *parse_line(struct bytes line, struct arena *arena, struct bytes *name, struct bytes *value)
{
    if (bytes_start_with(line, BYTES("export")) && line.length > 6 && is_blank(line.at[6]))
        line = skip_blanks(bytes_skip(line, 6));
    if (bytes_find(line, '=') < 0)
        return "this is not NAME=value";
    struct bytes rest;
    *name = bytes_trim(bytes_split(line, '=', &rest));
    if (!is_name(*name))
        return "the name before = is not one of letters, digits and _";
    rest = skip_blanks(rest);
    if (rest.length > 0 && (rest.at[0] == '"' || rest.at[0] == '\''))
        return read_quoted(rest, arena, value);
    struct bytes bare = read_bare(rest);
    *value = arena_copy(arena, bare);
    return value->at ? NULL : "the file is too large";
}

void dotenv_parse(struct bytes text, struct arena *arena, const struct dotenv_reader *reader)
{
    if (bytes_start_with(text, BYTES("\xEF\xBB\xBF")))
        text = bytes_skip(text, 3);
    for (unsigned number = 1; text.length > 0; number++) {
        struct bytes rest, line = bytes_trim(bytes_split(text, '\n', &rest));
        text = rest;
        if (line.length == 0 || line.at[0] == '#')
            continue;
        struct bytes name, value;
        const char *wrong =
            memchr(line.at, 0, line.length) ? "this line holds a NUL byte" : parse_line(line, arena, &name, &value);
        if (wrong)
            reader->problem(reader->context, number, wrong);
        else
            reader->entry(reader->context, number, name, value);
    }
}
