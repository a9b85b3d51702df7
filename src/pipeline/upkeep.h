/* What the store writer's thread does beside indexing: retention each minute, erasure of what moderators took down each minute
 * if that is wanted, and erasure of users as it is asked for.  One step at a time, so that indexing goes on in between. */
#ifndef PIPELINE_UPKEEP_H
#define PIPELINE_UPKEEP_H

#include "pipeline/erasure.h"
#include "pipeline/indexer.h"

struct upkeep;

struct upkeep_options {
    const struct env *env;
    struct erasure_parts parts;
    struct bus_retention retention; /* keep_from is filled in */
    bool erase_moderated;
};

/* What became of a user's erasure; on the writer's thread.  error: NULL if it is done. */
typedef void upkeep_done(void *context, const struct erasure_result *result, const struct error *error);

/* The indexer is the thread's own, and outlives it. */
struct upkeep *upkeep_create(const struct upkeep_options *options, struct indexer *indexer, struct error *error);

/* One step, if anything is due.  True: there is more to do at once. */
bool upkeep_step(struct upkeep *upkeep);

/* From any thread: erases the user after what was asked for before.  `done` is called once, unless this fails: the name is none,
 * too many wait, or the end has come. */
int upkeep_erase_user(struct upkeep *upkeep, struct bytes name, upkeep_done *done, void *context, struct error *error);

/* The end: what waits is answered with an error, and nothing more is taken. */
void upkeep_stop(struct upkeep *upkeep);
void upkeep_destroy(struct upkeep *upkeep);

#endif
