/* Civil dates by Hinnant's algorithm (https://howardhinnant.github.io/date_algorithms.html), counted from 1 March 0000 so
 * that the leap day ends the year.  Events of one run share a few dates: each thread keeps the last one it formatted
 * and the last one it parsed, and works out only the time of day. */
#include "event/timestamp.h"

#include "event/text.h"
#include <assert.h>

enum { DATE_LENGTH = 10 };
#define SECOND_US 1000000
#define DAY_SECONDS 86400
#define DAY_US ((int64_t)DAY_SECONDS * SECOND_US)

struct date_memory {
    int64_t day; /* since 1970 */
    bool known;
    char text[DATE_LENGTH];
};

const char text_digit_pairs[200] = {"00010203040506070809101112131415161718192021222324252627282930313233343536373839"
                                    "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
                                    "8081828384858687888990919293949596979899"};

static void format_date(int64_t day, char *out)
{
    unsigned shifted = (unsigned)(day + 719468); /* days since 0000-03-01 */
    unsigned era = shifted / 146097;
    unsigned day_of_era = shifted % 146097;
    unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month_from_march = (5 * day_of_year + 2) / 153;
    unsigned month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    unsigned year = era * 400 + year_of_era + (month <= 2);
    text_put_pair(out, year / 100);
    text_put_pair(out + 2, year % 100);
    out[4] = '-';
    text_put_pair(out + 5, month);
    out[7] = '-';
    text_put_pair(out + 8, day_of_year - (153 * month_from_march + 2) / 5 + 1);
}

void timestamp_format(int64_t time_us, char *out)
{
    static _Thread_local struct date_memory last;
    assert(time_us >= TIME_MIN && time_us <= TIME_MAX);
    int64_t day = time_us / DAY_US;
    if (!last.known || last.day != day) {
        format_date(day, last.text);
        last.day = day;
        last.known = true;
    }
    uint64_t of_day_us = (uint64_t)(time_us - day * DAY_US);
    unsigned seconds = (unsigned)(of_day_us / SECOND_US);
    unsigned micros = (unsigned)(of_day_us % SECOND_US);
    unsigned minutes = seconds / 60;
    memcpy(out, last.text, DATE_LENGTH);
    out[10] = 'T';
    text_put_pair(out + 11, minutes / 60);
    out[13] = ':';
    text_put_pair(out + 14, minutes % 60);
    out[16] = ':';
    text_put_pair(out + 17, seconds % 60);
    out[19] = '.';
    text_put_pair(out + 20, micros / 10000);
    text_put_pair(out + 22, micros / 100 % 100);
    text_put_pair(out + 24, micros % 100);
    out[26] = 'Z';
}

void timestamp_append(struct buffer *out, int64_t time_us)
{
    if (!buffer_reserve(out, TIMESTAMP_LENGTH))
        return;
    timestamp_format(time_us, out->at + out->length);
    out->length += TIMESTAMP_LENGTH;
}

/* ---- parsing ---- */

/* `count` digits at `text`; -1 if one is none. */
static inline int take_digits(const char *text, int count)
{
    int value = 0;
    for (int i = 0; i < count; i++) {
        unsigned digit = (unsigned)(unsigned char)text[i] - '0';
        if (digit > 9)
            return -1;
        value = value * 10 + (int)digit;
    }
    return value;
}

static bool parse_date(const char *text, int64_t *day)
{
    static const int month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = take_digits(text, 4);
    int month = take_digits(text + 5, 2);
    int day_of_month = take_digits(text + 8, 2);
    if (year < 0 || text[4] != '-' || month < 1 || month > 12 || text[7] != '-' || day_of_month < 1)
        return false;
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (day_of_month > month_days[month - 1] || (month == 2 && day_of_month == 29 && !leap))
        return false;
    int from_march = year - (month <= 2);
    int era = (from_march >= 0 ? from_march : from_march - 399) / 400;
    int year_of_era = from_march - era * 400;
    int day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day_of_month - 1;
    int day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    *day = (int64_t)era * 146097 + day_of_era - 719468;
    return true;
}

static bool date_of(const char *text, int64_t *day)
{
    static _Thread_local struct date_memory last;
    if (!last.known || memcmp(last.text, text, DATE_LENGTH) != 0) {
        if (!parse_date(text, &last.day)) {
            last.known = false;
            return false;
        }
        memcpy(last.text, text, DATE_LENGTH);
        last.known = true;
    }
    *day = last.day;
    return true;
}

/* HH:MM:SS.  Second 60, a leap second, is the first of the next minute, as POSIX counts. */
static int parse_clock(const char *text)
{
    int hour = take_digits(text, 2), minute = take_digits(text + 3, 2), second = take_digits(text + 6, 2);
    if (hour < 0 || hour > 23 || text[2] != ':' || minute < 0 || minute > 59 || text[5] != ':' || second < 0 || second > 60)
        return -1;
    return (hour * 60 + minute) * 60 + second;
}

/* "Z" or ±HH:MM, all of the text; seconds east of UTC. */
static bool parse_offset(struct bytes text, int *offset_seconds)
{
    *offset_seconds = 0;
    if (text.length == 1)
        return text.at[0] == 'Z' || text.at[0] == 'z';
    if (text.length != 6 || (text.at[0] != '+' && text.at[0] != '-') || text.at[3] != ':')
        return false;
    int hours = take_digits(text.at + 1, 2), minutes = take_digits(text.at + 4, 2);
    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59)
        return false;
    *offset_seconds = (hours * 60 + minutes) * 60 * (text.at[0] == '-' ? -1 : 1);
    return true;
}

/* What may stand between the seconds and the offset: a point and 1 to 9 digits.  Moves *text behind it. */
static bool parse_fraction(struct bytes *text, int *micros)
{
    enum { DECIMALS_MAX = 9, DECIMALS_KEPT = 6 };
    *micros = 0;
    if (text->length == 0 || text->at[0] != '.')
        return true;
    int scale = 100000;
    size_t i = 1;
    for (; i < text->length; i++) {
        unsigned digit = (unsigned)(unsigned char)text->at[i] - '0';
        if (digit > 9)
            break;
        if (i <= DECIMALS_KEPT)
            *micros += (int)digit * scale;
        scale /= 10;
    }
    if (i == 1 || i > DECIMALS_MAX + 1)
        return false;
    *text = bytes_skip(*text, i);
    return true;
}

bool timestamp_parse(struct bytes text, int64_t *time_us)
{
    enum { SHORTEST = 20, CLOCK_AT = 11, CLOCK_END = 19 }; /* 2026-11-23T22:20:06Z */
    int64_t day;
    int micros, offset_seconds;
    if (text.length < SHORTEST || (text.at[10] != 'T' && text.at[10] != 't') || !date_of(text.at, &day))
        return false;
    int seconds = parse_clock(text.at + CLOCK_AT);
    struct bytes rest = bytes_skip(text, CLOCK_END);
    if (seconds < 0 || !parse_fraction(&rest, &micros) || !parse_offset(rest, &offset_seconds))
        return false;
    int64_t result = (day * DAY_SECONDS + seconds - offset_seconds) * SECOND_US + micros;
    if (result < TIME_MIN || result > TIME_MAX)
        return false;
    *time_us = result;
    return true;
}

bool timestamp_from_epoch(uint64_t value, int64_t *time_us)
{
    const uint64_t first_micros = 100000000000000;
    if (value > TIME_MAX)
        return false;
    *time_us = (int64_t)(value < first_micros ? value * 1000 : value);
    return true;
}
