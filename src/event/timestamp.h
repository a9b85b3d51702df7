/* Event times: microseconds since 1970 UTC, written as RFC 3339 with six decimals and `Z`. */
#ifndef EVENT_TIMESTAMP_H
#define EVENT_TIMESTAMP_H

#include "base/buffer.h"

#define TIME_UNKNOWN INT64_MIN
/* Years 1970 to 9999: what the format can say and an event may carry. */
#define TIME_MIN 0
#define TIME_MAX 253402300799999999

enum { TIMESTAMP_LENGTH = 27 }; /* 2026-11-23T22:20:06.123456Z */

/* Writes TIMESTAMP_LENGTH bytes, no terminator.  time_us lies in TIME_MIN … TIME_MAX. */
void timestamp_format(int64_t time_us, char *out);
void timestamp_append(struct buffer *out, int64_t time_us);

/* Any RFC 3339 time (offset or Z, 0 to 9 decimals; those past the sixth are cut).  False if it is none. */
bool timestamp_parse(struct bytes text, int64_t *time_us);

/* Milliseconds or microseconds since 1970, told apart by size (from 10^14 on: microseconds), as Binance sends
 * them.  False outside TIME_MIN … TIME_MAX. */
bool timestamp_from_epoch(uint64_t value, int64_t *time_us);

#endif
