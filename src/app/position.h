/* Places in the log as people name them: beginning, end, -N, a time, an age. */
#ifndef APP_POSITION_H
#define APP_POSITION_H

#include "base/bytes.h"
#include "base/error.h"

enum position_kind { POSITION_BEGINNING, POSITION_END, POSITION_LAST, POSITION_TIME };

struct position {
    enum position_kind kind;
    uint64_t count;  /* POSITION_LAST */
    int64_t time_us; /* POSITION_TIME */
};

/* TIME: RFC 3339, a date (2026-11-23, midnight UTC), or an age (10m: that long before now_us).  -1 and an error without
 * the option's name. */
int position_parse(const char *text, int64_t now_us, struct position *position, struct error *error);

/* chat_stream, market_stream or analytics_stream; did-you-mean otherwise. */
int topic_parse(const char *text, unsigned *topic, struct error *error);

#endif
