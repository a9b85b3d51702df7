/* Full-jitter back-off; see backoff.h.  Invariant: a delay lies in 0 … BACKOFF_CAP_US. */
#include "source/backoff.h"

enum { DOUBLINGS_MAX = 16 }; /* beyond it the cap holds anyway */

void backoff_init(struct backoff *backoff, uint64_t seed)
{
    *backoff = (struct backoff){.failures = 0};
    random_seed(&backoff->random, seed);
}

void backoff_opened(struct backoff *backoff, int64_t now_us)
{
    backoff->open = true;
    backoff->opened_us = now_us;
}

int64_t backoff_failed(struct backoff *backoff, int64_t now_us)
{
    if (backoff->open && now_us - backoff->opened_us >= BACKOFF_STABLE_US)
        backoff->failures = 0;
    backoff->open = false;
    int64_t limit = (int64_t)BACKOFF_BASE_US << backoff->failures;
    if (limit > BACKOFF_CAP_US)
        limit = BACKOFF_CAP_US;
    if (backoff->failures < DOUBLINGS_MAX)
        backoff->failures++;
    return now_us + (int64_t)random_below(&backoff->random, (uint64_t)limit + 1);
}
