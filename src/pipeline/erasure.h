/* Erasure: what a user said and left, or what moderators took down, leaves log, store and refused records (scrub.h says what is
 * left of an event).  Works in bounded steps on the thread of the store writer, so that the index falls no more than a step
 * behind; the way of live events does not pass here.
 *
 * Interrupted, it has done a part; done again, it does the rest. */
#ifndef PIPELINE_ERASURE_H
#define PIPELINE_ERASURE_H

#include "bus/bus.h"
#include "pipeline/rejects.h"
#include "store/store.h"

struct erasure_parts {
    struct bus *bus;
    struct store *store;
    struct rejects *rejects; /* NULL: none are kept */
};

struct erasure_result {
    uint64_t events; /* rewritten in the log */
    uint64_t documents;
    uint64_t rejects; /* lines */
};

struct erasure;

/* Of a user, in all that is there now.  NULL and an error: no name of a user (scrub.h), or out of memory. */
struct erasure *erasure_of_user(const struct erasure_parts *parts, struct bytes name, struct error *error);

/* 1: there is more, call again; 0: done; -1. */
int erasure_step(struct erasure *erasure, struct error *error);
uint64_t erasure_offset(const struct erasure *erasure); /* the log is done up to here */
void erasure_result(const struct erasure *erasure, struct erasure_result *result);
void erasure_destroy(struct erasure *erasure);

/* ---- of what moderators took down ----
 *
 * The store's marks are the list of what is to do.  Each is carried out twice, in passes a while apart, since a message may
 * come after the deed that took it down; the store's position of this reader says which have been. */
#define ERASURE_READER BYTES("erasure")

/* What is known from pass to pass; all zero at first. */
struct erasure_progress {
    uint64_t marks_done; /* marks of lower offsets have been carried out once, since the start */
    uint64_t log_done;   /* in the log up to here */
};

/* Of the marks that the store has.  `indexed`: the store's own position.  *erasure is NULL if there is nothing to do. */
int erasure_of_marks(const struct erasure_parts *parts, struct erasure_progress *progress, uint64_t indexed,
                     struct erasure **erasure, struct error *error);

#endif
