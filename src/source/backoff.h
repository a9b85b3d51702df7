/* When to try again: exponential back-off with full jitter (Brooker, "Exponential Backoff And Jitter", AWS
 * Architecture Blog, 2015): the nth delay is drawn evenly from 0 … min(cap, base * 2^n).  A connection that opens does
 * not reset it; one that stayed open for a stable period does, so that a server which accepts and drops is not hammered. */
#ifndef SOURCE_BACKOFF_H
#define SOURCE_BACKOFF_H

#include "base/random.h"

#include <stdbool.h>

enum { BACKOFF_BASE_US = 1000000, BACKOFF_CAP_US = 60000000, BACKOFF_STABLE_US = 60000000 };

struct backoff {
    struct random random;
    unsigned failures; /* in a row */
    bool open;
    int64_t opened_us;
};

void backoff_init(struct backoff *backoff, uint64_t seed);

/* The connection is open. */
void backoff_opened(struct backoff *backoff, int64_t now_us);

/* It failed, or could not be opened: returns when to try again, never before now_us. */
int64_t backoff_failed(struct backoff *backoff, int64_t now_us);

#endif
