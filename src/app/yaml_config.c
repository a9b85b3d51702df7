/* libyaml's events, folded into paths.
 *
 *            mapping start            scalar (key)              scalar, list end, mapping end
 *   (file) ---------------> KEY ----------------------> VALUE ----------------------------------> KEY
 *                                                         \-- list start --> LIST (scalars only)
 *
 * `levels` holds, for each open mapping, how much of the path belongs to the mappings around it. */
#include "app/yaml_config.h"

#include "base/map.h"
#include <yaml.h>

enum { DEPTH_MAX = 4, PATH_MAX_BYTES = 256, KEYS_MAX = 4096 };

enum expects { EXPECTS_FILE, EXPECTS_KEY, EXPECTS_VALUE, EXPECTS_LIST };

struct fold {
    const struct yaml_reader *reader;
    enum expects expects;
    char path[PATH_MAX_BYTES];
    size_t path_length;
    size_t levels[DEPTH_MAX];
    size_t depth;
    bool seen_document;
    struct map keys; /* paths that were given */
};

static bool fail(struct fold *fold, const yaml_mark_t *mark, const char *text)
{
    fold->reader->problem(fold->reader->context, (unsigned)mark->line + 1, text);
    return false;
}

static bool take_key(struct fold *fold, const yaml_event_t *event)
{
    struct bytes key = bytes_of((const char *)event->data.scalar.value, event->data.scalar.length);
    fold->path_length = fold->levels[fold->depth - 1];
    if (key.length == 0 || key.length + fold->path_length + 2 > sizeof fold->path || memchr(key.at, 0, key.length))
        return fail(fold, &event->start_mark, "this key is empty, too long or holds a NUL byte");
    if (fold->path_length > 0)
        fold->path[fold->path_length++] = '.';
    memcpy(fold->path + fold->path_length, key.at, key.length);
    fold->path_length += key.length;
    bool added;
    if (!map_put(&fold->keys, bytes_of(fold->path, fold->path_length), &added))
        return fail(fold, &event->start_mark, "there are too many keys");
    if (!added) {
        char text[PATH_MAX_BYTES + 64];
        snprintf(text, sizeof text, "%.*s is given twice", (int)fold->path_length, fold->path);
        return fail(fold, &event->start_mark, text);
    }
    fold->expects = EXPECTS_VALUE;
    return true;
}

static void give_value(struct fold *fold, const yaml_event_t *event)
{
    struct yaml_entry entry = {
        .path = bytes_of(fold->path, fold->path_length),
        .value = bytes_of((const char *)event->data.scalar.value, event->data.scalar.length),
        .line = (unsigned)event->start_mark.line + 1,
        .in_list = fold->expects == EXPECTS_LIST,
    };
    if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        entry.empty = entry.value.length == 0 || bytes_equal(entry.value, BYTES("~")) || bytes_equal(entry.value, BYTES("null"));
    fold->reader->entry(fold->reader->context, &entry);
}

static bool on_scalar(struct fold *fold, const yaml_event_t *event)
{
    if (event->data.scalar.anchor)
        return fail(fold, &event->start_mark, "anchors (&name) are not supported");
    if (event->data.scalar.tag)
        return fail(fold, &event->start_mark, "tags (!name) are not supported");
    switch (fold->expects) {
    case EXPECTS_KEY:
        return take_key(fold, event);
    case EXPECTS_VALUE:
        give_value(fold, event);
        fold->expects = EXPECTS_KEY;
        return true;
    case EXPECTS_LIST:
        give_value(fold, event);
        return true;
    case EXPECTS_FILE:
        if (event->data.scalar.length == 0) /* a file of comments */
            return true;
        break;
    }
    return fail(fold, &event->start_mark, "the file is not a list of keys (`key: value`)");
}

static bool on_mapping(struct fold *fold, const yaml_event_t *event)
{
    if (event->data.mapping_start.anchor || event->data.mapping_start.tag)
        return fail(fold, &event->start_mark, "anchors (&name) and tags (!name) are not supported");
    if (fold->expects == EXPECTS_KEY)
        return fail(fold, &event->start_mark, "a key must be a word");
    if (fold->expects == EXPECTS_LIST)
        return fail(fold, &event->start_mark, "a list holds plain values here, not keys; quote a value that contains \": \"");
    if (fold->depth == DEPTH_MAX)
        return fail(fold, &event->start_mark, "keys are nested too deeply");
    fold->levels[fold->depth++] = fold->path_length;
    fold->expects = EXPECTS_KEY;
    return true;
}

static bool on_list(struct fold *fold, const yaml_event_t *event)
{
    if (event->data.sequence_start.anchor || event->data.sequence_start.tag)
        return fail(fold, &event->start_mark, "anchors (&name) and tags (!name) are not supported");
    if (fold->expects != EXPECTS_VALUE)
        return fail(fold, &event->start_mark, "a list cannot stand here");
    fold->expects = EXPECTS_LIST;
    return true;
}

static bool on_event(struct fold *fold, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (fold->seen_document)
            return fail(fold, &event->start_mark, "a second document (---) is not supported");
        fold->seen_document = true;
        return true;
    case YAML_ALIAS_EVENT:
        return fail(fold, &event->start_mark, "aliases (*name) are not supported");
    case YAML_SCALAR_EVENT:
        return on_scalar(fold, event);
    case YAML_SEQUENCE_START_EVENT:
        return on_list(fold, event);
    case YAML_MAPPING_START_EVENT:
        return on_mapping(fold, event);
    case YAML_MAPPING_END_EVENT:
        fold->depth--;
        fold->path_length = fold->levels[fold->depth];
        fold->expects = EXPECTS_KEY;
        return true;
    case YAML_SEQUENCE_END_EVENT:
        fold->expects = EXPECTS_KEY;
        return true;
    default:
        return true;
    }
}

/* libyaml knows the line of a wrong token, and only the byte of a wrong encoding. */
static void report_syntax(const yaml_parser_t *parser, struct bytes text, const struct yaml_reader *reader)
{
    unsigned line = (unsigned)parser->problem_mark.line + 1;
    if (parser->error == YAML_READER_ERROR)
        for (size_t i = 0; i < parser->problem_offset && i < text.length; i++)
            line += text.at[i] == '\n';
    char problem[256];
    snprintf(problem, sizeof problem, "%s%s%s", parser->problem ? parser->problem : "this is not YAML",
             parser->context ? " " : "", parser->context ? parser->context : "");
    reader->problem(reader->context, line, problem);
}

void yaml_config_parse(struct bytes text, const struct yaml_reader *reader)
{
    struct fold fold = {.reader = reader};
    map_init(&fold.keys, KEYS_MAX);
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) {
        reader->problem(reader->context, 1, "out of memory");
        map_release(&fold.keys);
        return;
    }
    const char *start = text.length > 0 ? text.at : ""; /* an empty file has no bytes to point at, and libyaml insists on some */
    yaml_parser_set_input_string(&parser, (const unsigned char *)start, text.length);
    for (bool more = true; more;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            report_syntax(&parser, text, reader);
            break;
        }
        more = event.type != YAML_STREAM_END_EVENT && on_event(&fold, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    map_release(&fold.keys);
}
