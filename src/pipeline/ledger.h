/* The ledger: what every stage took in and what became of it, in records.  For each stage, at every moment,
 *     in + created = out + rejected + duplicate + filtered + late + dropped + pending.
 * Stages count in steps of a batch, each step under one lock, so that a snapshot always adds up.  Thread-safe. */
#ifndef PIPELINE_LEDGER_H
#define PIPELINE_LEDGER_H

#include "base/bytes.h"
#include <pthread.h>

enum { LEDGER_STAGE_MAX = 80, LEDGER_NAME_MAX = 128 };

struct ledger_counts {
    uint64_t in, created, out, rejected, duplicate, filtered, late, dropped, pending;
};

struct ledger_stage {
    char name[LEDGER_NAME_MAX];
    struct ledger_counts counts;
};

struct ledger {
    pthread_mutex_t lock;
    struct ledger_stage stages[LEDGER_STAGE_MAX];
    size_t count;
};

void ledger_init(struct ledger *ledger);
void ledger_release(struct ledger *ledger);

/* The stage's number, or -1 when there are too many.  Before threads start. */
int ledger_stage_add(struct ledger *ledger, const char *name);

/* Replaces a stage's counts: for stages that keep their own sums. */
void ledger_set(struct ledger *ledger, int stage, const struct ledger_counts *counts);

/* `count` records came in and wait. */
void ledger_enter(struct ledger *ledger, int stage, uint64_t count);
/* `count` waiting records are done. */
void ledger_leave(struct ledger *ledger, int stage, uint64_t count);

/* `count` waiting records are given up. */
void ledger_drop(struct ledger *ledger, int stage, uint64_t count);
/* `count` waiting records were seen before. */
void ledger_duplicate(struct ledger *ledger, int stage, uint64_t count);
/* `count` waiting records never came after all: the stage before could not pass them on. */
void ledger_retract(struct ledger *ledger, int stage, uint64_t count);

/* Copies the stages (at most LEDGER_STAGE_MAX) and returns how many. */
size_t ledger_snapshot(struct ledger *ledger, struct ledger_stage *stages);

bool ledger_balances(const struct ledger_counts *counts);

#endif
