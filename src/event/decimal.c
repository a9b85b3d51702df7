/* A decimal is taken apart into its significant digits and the place of the first one; comparison and conversion
 * work on that and never round on the way. */
#include "event/decimal.h"

#include <stdlib.h>

/* Exponents beyond it count as it, so that places can be added without overflow.  It is documented in the header. */
#define EXPONENT_LIMIT ((int64_t)1 << 60)

static size_t skip_digits(struct bytes text, size_t i)
{
    while (i < text.length && (unsigned)(unsigned char)text.at[i] - '0' <= 9)
        i++;
    return i;
}

bool decimal_is_valid(struct bytes text)
{
    size_t i = text.length > 0 && text.at[0] == '-';
    size_t digits = skip_digits(text, i);
    if (digits == i || (text.at[i] == '0' && digits > i + 1))
        return false;
    i = digits;
    if (i < text.length && text.at[i] == '.') {
        digits = skip_digits(text, i + 1);
        if (digits == i + 1)
            return false;
        i = digits;
    }
    if (i < text.length && (text.at[i] == 'e' || text.at[i] == 'E')) {
        i++;
        if (i < text.length && (text.at[i] == '+' || text.at[i] == '-'))
            i++;
        digits = skip_digits(text, i);
        if (digits == i)
            return false;
        i = digits;
    }
    return i == text.length;
}

/* value = sign * 0.DIGITS * 10^place, where DIGITS is `mantissa` without its point, between the first and the last
 * digit that is not 0. */
struct decimal_parts {
    int sign;              /* -1, 0, 1; the rest is set unless 0 */
    struct bytes mantissa; /* may have a point inside */
    int64_t place;
};

static int64_t parse_exponent(struct bytes text)
{
    bool negative = text.length > 0 && text.at[0] == '-';
    int64_t value = 0;
    for (size_t i = negative || (text.length > 0 && text.at[0] == '+'); i < text.length; i++)
        if (value < EXPONENT_LIMIT / 16)
            value = value * 10 + (text.at[i] - '0');
        else
            value = EXPONENT_LIMIT;
    return negative ? -value : value;
}

static struct decimal_parts take_apart(struct bytes text)
{
    struct decimal_parts parts = {.sign = 1};
    if (text.at[0] == '-') {
        parts.sign = -1;
        text = bytes_skip(text, 1);
    }
    size_t end = 0, point = text.length, first = text.length, last = 0;
    for (; end < text.length && text.at[end] != 'e' && text.at[end] != 'E'; end++) {
        if (text.at[end] == '.') {
            point = end;
        } else if (text.at[end] != '0') {
            first = first < end ? first : end;
            last = end;
        }
    }
    if (first == text.length) {
        parts.sign = 0;
        return parts;
    }
    if (point > end)
        point = end;
    parts.mantissa = bytes_of(text.at + first, last - first + 1);
    parts.place = first < point ? (int64_t)(point - first) : -(int64_t)(first - point - 1);
    if (end < text.length)
        parts.place += parse_exponent(bytes_skip(text, end + 1));
    return parts;
}

/* Digit by digit; what is missing at the end of the shorter one is 0. */
static int compare_mantissas(struct bytes a, struct bytes b)
{
    size_t i = 0, j = 0;
    for (;;) {
        if (i < a.length && a.at[i] == '.')
            i++;
        if (j < b.length && b.at[j] == '.')
            j++;
        if (i == a.length || j == b.length)
            return (i < a.length) - (j < b.length);
        if (a.at[i] != b.at[j])
            return a.at[i] < b.at[j] ? -1 : 1;
        i++;
        j++;
    }
}

/* Plain positive texts of one shape (equal length, the point at the same place) compare as text. */
static bool compare_same_shape(struct bytes a, struct bytes b, int *order)
{
    if (a.length != b.length || a.at[0] == '-' || b.at[0] == '-')
        return false;
    *order = 0;
    for (size_t i = 0; i < a.length; i++) {
        unsigned x = (unsigned)(unsigned char)a.at[i] - '0', y = (unsigned)(unsigned char)b.at[i] - '0';
        if (x == y)
            continue; /* a digit, or the same letter in both: an exponent makes a later difference fail below */
        if (x > 9 || y > 9)
            return false;
        if (*order == 0)
            *order = x < y ? -1 : 1;
    }
    return *order == 0 || (bytes_find(a, 'e') < 0 && bytes_find(a, 'E') < 0);
}

int decimal_compare(struct bytes a, struct bytes b)
{
    int order;
    if (compare_same_shape(a, b, &order))
        return order;
    struct decimal_parts x = take_apart(a), y = take_apart(b);
    if (x.sign != y.sign || x.sign == 0)
        return (x.sign > y.sign) - (x.sign < y.sign);
    if (x.place != y.place)
        return x.place > y.place ? x.sign : -x.sign;
    return x.sign * compare_mantissas(x.mantissa, y.mantissa);
}

bool decimal_is_positive(struct bytes text)
{
    return take_apart(text).sign > 0;
}

double decimal_to_double(struct bytes text)
{
    /* 767 digits decide any double; one more, not 0, stands for all that follow. */
    enum { DIGITS_MAX = 768, EXPONENT_SPACE = 32 };
    struct decimal_parts parts = take_apart(text);
    if (parts.sign == 0)
        return text.at[0] == '-' ? -0.0 : 0.0;
    char plain[1 + DIGITS_MAX + 1 + EXPONENT_SPACE];
    size_t length = 0, digits = 0;
    if (parts.sign < 0)
        plain[length++] = '-';
    for (size_t i = 0; i < parts.mantissa.length && digits <= DIGITS_MAX; i++) {
        if (parts.mantissa.at[i] == '.')
            continue;
        plain[length++] = digits < DIGITS_MAX ? parts.mantissa.at[i] : '1';
        digits++;
    }
    /* No point in it: strtod gives the same in every locale. */
    snprintf(plain + length, sizeof plain - length, "e%lld", (long long)(parts.place - (int64_t)digits));
    return strtod(plain, NULL);
}
