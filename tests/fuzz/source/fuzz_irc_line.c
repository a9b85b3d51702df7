/* Any bytes as lines: what is taken lies inside the line, in order, and a line put together from the parts is taken apart
 * into the same parts. */
#include "source/irc_line.h"

#include "base/buffer.h"
#undef NDEBUG /* the checks are what this is for */
#include <assert.h>
#include <stdlib.h>

static bool lies_in(struct bytes part, struct bytes whole)
{
    return part.length == 0 || (part.at >= whole.at && part.at + part.length <= whole.at + whole.length);
}

static void check_tags(struct bytes tags)
{
    struct bytes rest = tags;
    struct irc_tag tag;
    const char *last = tags.at;
    while (irc_tag_next(&rest, &tag)) {
        assert(lies_in(tag.key, tags) && lies_in(tag.value, tags) && tag.key.length > 0 && tag.key.at >= last);
        last = tag.key.at + tag.key.length;
        char *text = malloc(tag.value.length + 1);
        assert(text && irc_value_unescape(tag.value, text) <= tag.value.length);
        free(text);
    }
    assert(rest.length == 0);
}

static void join(const struct irc_line *line, struct buffer *out)
{
    if (line->tags.length > 0)
        buffer_printf(out, "@%.*s ", BYTES_ARG(line->tags));
    if (line->prefix.length > 0)
        buffer_printf(out, ":%.*s ", BYTES_ARG(line->prefix));
    buffer_append(out, line->command);
    for (size_t i = 0; i < line->param_count; i++) {
        buffer_append(out, i + 1 == line->param_count ? BYTES(" :") : BYTES(" "));
        buffer_append(out, line->params[i]);
    }
}

static void check_line(struct bytes text)
{
    struct irc_line line, again;
    if (!irc_line_parse(text, &line))
        return;
    assert(lies_in(line.tags, text) && lies_in(line.prefix, text) && lies_in(line.command, text));
    check_tags(line.tags);
    struct irc_prefix prefix = irc_prefix_split(line.prefix);
    assert(prefix.nick.length + prefix.user.length + prefix.host.length <= line.prefix.length);
    struct buffer joined;
    buffer_init(&joined, 1 << 20);
    join(&line, &joined);
    assert(irc_line_parse(buffer_bytes(&joined), &again));
    assert(bytes_equal(line.tags, again.tags) && bytes_equal(line.prefix, again.prefix));
    assert(bytes_equal(line.command, again.command) && line.param_count == again.param_count);
    for (size_t i = 0; i < line.param_count; i++)
        assert(lies_in(line.params[i], text) && bytes_equal(line.params[i], again.params[i]));
    buffer_release(&joined);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_of((const char *)data, size);
    while (text.length > 0)
        check_line(bytes_split(text, '\n', &text));
    return 0;
}
