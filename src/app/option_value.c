/* Values of options: text to field and back. */
#include "app/options.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>

enum { NUMBER_TEXT_MAX = 63, SHOWN_MAX = 60 };

struct unit {
    const char *name;
    uint64_t factor;
};
static const struct unit duration_units[] = {
    {"us", 1}, {"ms", 1000}, {"s", 1000000}, {"m", 60000000}, {"h", 3600000000}, {"d", 86400000000},
};
/* Of two names of one size the first is shown. */
static const struct unit size_units[] = {
    {"", 1},
    {"B", 1},
    {"KB", 1000},
    {"K", 1000},
    {"MB", 1000000},
    {"M", 1000000},
    {"GB", 1000000000},
    {"G", 1000000000},
    {"TB", 1000000000000},
    {"T", 1000000000000},
    {"KiB", 1024},
    {"MiB", 1024 * 1024},
    {"GiB", 1024 * 1024 * 1024},
    {"TiB", 1024ull * 1024 * 1024 * 1024},
};

/* "10GB" -> 10 * factor of "GB".  Whole numbers only, at most INT64_MAX; 0 needs no unit. */
static bool parse_with_unit(struct bytes text, const struct unit *units, size_t unit_count, uint64_t *value)
{
    size_t digits = 0;
    while (digits < text.length && text.at[digits] >= '0' && text.at[digits] <= '9')
        digits++;
    uint64_t number;
    if (!bytes_to_u64(bytes_of(text.at, digits), &number))
        return false;
    struct bytes unit = bytes_trim(bytes_skip(text, digits));
    if (number == 0 && unit.length == 0) {
        *value = 0;
        return true;
    }
    for (size_t i = 0; i < unit_count; i++) {
        if (!bytes_equal_ignore_case(unit, bytes_of_string(units[i].name)))
            continue;
        return !__builtin_mul_overflow(number, units[i].factor, value) && *value <= INT64_MAX;
    }
    return false;
}

bool duration_parse(struct bytes text, int64_t *duration_us)
{
    uint64_t value;
    if (!parse_with_unit(text, duration_units, sizeof duration_units / sizeof duration_units[0], &value))
        return false;
    *duration_us = (int64_t)value;
    return true;
}

bool size_parse(struct bytes text, uint64_t *size_bytes)
{
    return parse_with_unit(text, size_units, sizeof size_units / sizeof size_units[0], size_bytes);
}

/* Secrets are texts, which are never wrong in themselves: no secret comes here. */
static int wrong(struct bytes text, struct error *error, const char *expected)
{
    return error_set(error, "\"%.*s\"%s is not %s", (int)(text.length < SHOWN_MAX ? text.length : SHOWN_MAX), text.at,
                     text.length > SHOWN_MAX ? "…" : "", expected);
}

static void *field_of(const struct option *option, struct config *config)
{
    return (char *)config + option->offset;
}

static int set_flag(void *field, struct bytes text, struct error *error)
{
    static const char *const words[][2] = {{"true", "false"}, {"yes", "no"}, {"on", "off"}, {"1", "0"}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        for (size_t off = 0; off < 2; off++) {
            if (bytes_equal_ignore_case(text, bytes_of_string(words[i][off]))) {
                *(bool *)field = off == 0;
                return 0;
            }
        }
    }
    return wrong(text, error, "true or false");
}

static int set_choice(const struct option *option, void *field, struct bytes text, struct error *error)
{
    struct suggestion suggestion;
    suggestion_init(&suggestion, text);
    struct buffer names;
    buffer_init(&names, 256);
    for (unsigned i = 0; option->choices[i]; i++) {
        if (bytes_equal(text, bytes_of_string(option->choices[i]))) {
            memcpy(field, &i, sizeof i);
            buffer_release(&names);
            return 0;
        }
        suggestion_offer(&suggestion, option->choices[i]);
        buffer_printf(&names, "%s%s", i == 0 ? "" : option->choices[i + 1] ? ", " : " or ", option->choices[i]);
    }
    char space[96];
    buffer_printf(&names, "%s", suggestion_text(&suggestion, "", space, sizeof space));
    buffer_byte(&names, 0);
    int status = wrong(text, error, names.failed ? "one of the choices" : names.at);
    buffer_release(&names);
    return status;
}

static int range_error(const struct option *option, struct bytes text, struct error *error)
{
    char expected[128];
    snprintf(expected, sizeof expected, "between %.10g and %.17g", option->min, option->max);
    return wrong(text, error, expected);
}

static int set_count(const struct option *option, void *field, struct bytes text, struct error *error)
{
    uint64_t value;
    if (!bytes_to_u64(text, &value))
        return wrong(text, error, "a whole number");
    if ((double)value < option->min || (double)value > option->max)
        return range_error(option, text, error);
    *(uint64_t *)field = value;
    return 0;
}

static int set_number(const struct option *option, void *field, struct bytes text, struct error *error)
{
    char digits[NUMBER_TEXT_MAX + 1], *end;
    if (option->max_word && bytes_equal(text, bytes_of_string(option->max_word))) {
        *(double *)field = 0;
        return 0;
    }
    size_t length = text.length <= NUMBER_TEXT_MAX ? text.length : 0;
    memcpy(digits, text.at, length);
    digits[length] = 0;
    double value = strtod(digits, &end);
    /* strtod alone would take hexadecimal, "inf" and leading spaces. */
    if (length == 0 || *end || strspn(digits, "0123456789.eE+-") != text.length || !isfinite(value))
        return wrong(text, error, option->max_word ? "a number or the word max" : "a number");
    if (value < option->min || value > option->max)
        return range_error(option, text, error);
    *(double *)field = value;
    return 0;
}

static int set_text(struct config *config, const char **field, struct bytes text, struct error *error)
{
    if (memchr(text.at, 0, text.length))
        return error_set(error, "the value holds a NUL byte");
    char *copy = arena_text(&config->texts, text.length + 1);
    if (!copy)
        return error_set(error, "the configuration is too large");
    memcpy(copy, text.at, text.length);
    copy[text.length] = 0;
    *field = copy;
    return 0;
}

static int set_url(const struct option *option, struct config *config, struct bytes text, struct error *error)
{
    static const char *const schemes[] = {"ws://", "wss://", "http://", "https://"};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (bytes_start_with(text, bytes_of_string(schemes[i])) && text.length > strlen(schemes[i]))
            return set_text(config, field_of(option, config), text, error);
    return wrong(text, error, "an address that starts with wss://, ws://, https:// or http://");
}

static int list_add(struct config *config, struct config_list *list, struct bytes item, struct error *error)
{
    if (item.length == 0)
        return 0;
    if (list->count == CONFIG_LIST_MAX)
        return error_set(error, "more than %d entries", CONFIG_LIST_MAX);
    if (set_text(config, &list->items[list->count], item, error))
        return -1;
    list->count++;
    return 0;
}

/* True when `text` begins with "kind:": a source of its own, not one more symbol of the source before it. */
static bool starts_source(struct bytes text)
{
    size_t i = 0;
    while (i < text.length && ((text.at[i] >= 'a' && text.at[i] <= 'z') || text.at[i] == '-'))
        i++;
    return i > 0 && i < text.length && text.at[i] == ':';
}

static int set_list(struct config *config, struct config_list *list, struct bytes text, bool whole, struct error *error)
{
    text = bytes_trim(text);
    size_t start = 0;
    for (size_t i = 0; i < text.length && !whole; i++) {
        char c = text.at[i];
        bool cut =
            c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ';' || (c == ',' && starts_source(bytes_skip(text, i + 1)));
        if (!cut)
            continue;
        if (list_add(config, list, bytes_of(text.at + start, i - start), error))
            return -1;
        start = i + 1;
    }
    return list_add(config, list, bytes_skip(text, start), error);
}

int option_set(const struct option *option, struct config *config, struct bytes text, bool whole, struct error *error)
{
    void *field = field_of(option, config);
    switch (option->type) {
    case OPTION_FLAG:
        return set_flag(field, text, error);
    case OPTION_TEXT:
    case OPTION_PATH:
        return set_text(config, field, text, error);
    case OPTION_URL:
        return set_url(option, config, text, error);
    case OPTION_LIST:
        return set_list(config, field, text, whole, error);
    case OPTION_CHOICE:
        return set_choice(option, field, text, error);
    case OPTION_COUNT:
        return set_count(option, field, text, error);
    case OPTION_NUMBER:
        return set_number(option, field, text, error);
    case OPTION_DURATION:
        if (!duration_parse(text, field))
            return wrong(text, error, "a time such as 500ms, 10s, 5m, 2h or 7d");
        return 0;
    case OPTION_SIZE:
        if (!size_parse(text, field))
            return wrong(text, error, "a size such as 4096, 64MiB or 10GB");
        uint64_t size = *(uint64_t *)field;
        if ((double)size < option->min || (double)size > option->max)
            return range_error(option, text, error);
        return 0;
    }
    return error_set(error, "unknown type of option");
}

/* 604800000000 -> "7d": the largest unit that leaves a whole number. */
static void show_with_unit(struct buffer *out, uint64_t value, const struct unit *units, size_t count)
{
    const struct unit *best = &units[0];
    for (size_t i = 0; i < count; i++)
        if (value % units[i].factor == 0 && value > 0 && units[i].factor > best->factor)
            best = &units[i];
    buffer_printf(out, "%" PRIu64 "%s", value / best->factor, value == 0 ? "" : best->name);
}

static void show_list(struct buffer *out, const struct config_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        buffer_printf(out, "%s%s", i > 0 ? " " : "", list->items[i]);
}

void option_show(const struct option *option, const struct config *config, struct buffer *out)
{
    const void *field = (const char *)config + option->offset;
    unsigned choice;
    switch (option->type) {
    case OPTION_FLAG:
        buffer_printf(out, "%s", *(const bool *)field ? "true" : "false");
        break;
    case OPTION_TEXT:
    case OPTION_PATH:
    case OPTION_URL: {
        const char *text = *(const char *const *)field;
        buffer_printf(out, "%s", option->secret ? (text ? "set" : "not set") : text ? text : "");
        break;
    }
    case OPTION_LIST:
        show_list(out, field);
        break;
    case OPTION_CHOICE:
        memcpy(&choice, field, sizeof choice);
        buffer_printf(out, "%s", option->choices[choice]);
        break;
    case OPTION_COUNT:
        buffer_printf(out, "%" PRIu64, *(const uint64_t *)field);
        break;
    case OPTION_NUMBER:
        if (option->max_word && !(*(const double *)field > 0))
            buffer_printf(out, "%s", option->max_word);
        else
            buffer_json_double(out, *(const double *)field);
        break;
    case OPTION_DURATION:
        show_with_unit(out, (uint64_t) * (const int64_t *)field, duration_units,
                       sizeof duration_units / sizeof duration_units[0]);
        break;
    case OPTION_SIZE:
        show_with_unit(out, *(const uint64_t *)field, size_units, sizeof size_units / sizeof size_units[0]);
        break;
    }
}
