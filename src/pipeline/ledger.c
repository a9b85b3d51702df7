#include "pipeline/ledger.h"

#include <assert.h>

void ledger_init(struct ledger *ledger)
{
    memset(ledger, 0, sizeof *ledger);
    pthread_mutex_init(&ledger->lock, NULL);
}

void ledger_release(struct ledger *ledger)
{
    pthread_mutex_destroy(&ledger->lock);
}

int ledger_stage_add(struct ledger *ledger, const char *name)
{
    if (ledger->count == LEDGER_STAGE_MAX)
        return -1;
    snprintf(ledger->stages[ledger->count].name, LEDGER_NAME_MAX, "%s", name);
    return (int)ledger->count++;
}

static struct ledger_counts *locked_counts(struct ledger *ledger, int stage)
{
    assert(stage >= 0 && (size_t)stage < ledger->count);
    pthread_mutex_lock(&ledger->lock);
    return &ledger->stages[stage].counts;
}

void ledger_set(struct ledger *ledger, int stage, const struct ledger_counts *counts)
{
    assert(ledger_balances(counts));
    *locked_counts(ledger, stage) = *counts;
    pthread_mutex_unlock(&ledger->lock);
}

void ledger_enter(struct ledger *ledger, int stage, uint64_t count)
{
    struct ledger_counts *counts = locked_counts(ledger, stage);
    counts->in += count;
    counts->pending += count;
    pthread_mutex_unlock(&ledger->lock);
}

void ledger_leave(struct ledger *ledger, int stage, uint64_t count)
{
    struct ledger_counts *counts = locked_counts(ledger, stage);
    assert(counts->pending >= count);
    counts->out += count;
    counts->pending -= count;
    pthread_mutex_unlock(&ledger->lock);
}

void ledger_drop(struct ledger *ledger, int stage, uint64_t count)
{
    struct ledger_counts *counts = locked_counts(ledger, stage);
    assert(counts->pending >= count);
    counts->dropped += count;
    counts->pending -= count;
    pthread_mutex_unlock(&ledger->lock);
}

void ledger_duplicate(struct ledger *ledger, int stage, uint64_t count)
{
    struct ledger_counts *counts = locked_counts(ledger, stage);
    assert(counts->pending >= count);
    counts->duplicate += count;
    counts->pending -= count;
    pthread_mutex_unlock(&ledger->lock);
}

void ledger_retract(struct ledger *ledger, int stage, uint64_t count)
{
    struct ledger_counts *counts = locked_counts(ledger, stage);
    assert(counts->pending >= count && counts->in >= count);
    counts->in -= count;
    counts->pending -= count;
    pthread_mutex_unlock(&ledger->lock);
}

size_t ledger_snapshot(struct ledger *ledger, struct ledger_stage *stages)
{
    pthread_mutex_lock(&ledger->lock);
    size_t count = ledger->count;
    memcpy(stages, ledger->stages, count * sizeof *stages);
    pthread_mutex_unlock(&ledger->lock);
    return count;
}

bool ledger_balances(const struct ledger_counts *c)
{
    return c->in + c->created == c->out + c->rejected + c->duplicate + c->filtered + c->late + c->dropped + c->pending;
}
