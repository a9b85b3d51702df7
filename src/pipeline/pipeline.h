/* The pipeline: joins sources, log and store.
 *
 *     ingest thread              sequencer thread                writer thread
 *     sources -> batches -queue-> JSON, group commit -> log  ->  index, position -> store
 *
 * Back-pressure: there is a fixed number of batches; when all are on their way the ingest thread waits, and with it the
 * sockets that it reads.  A log that cannot be written is tried again each second; the sources pause and the reason is
 * shown, and nothing that was acknowledged is lost.  Bus and store belong to the caller and outlive it. */
#ifndef PIPELINE_PIPELINE_H
#define PIPELINE_PIPELINE_H

#include "bus/bus.h"
#include "pipeline/erasure.h"
#include "pipeline/ledger.h"
#include "pipeline/rejects.h"
#include "source/source.h"
#include "store/store.h"

struct pipeline;

struct pipeline_options {
    const struct env *env;
    struct bus *bus;
    struct store *store;     /* NULL: no store writer */
    struct rejects *rejects; /* NULL: counted only */
    const char *tls_ca_file;
    bool allow_plaintext;
    double recording_speed;            /* 1: as recorded; 0: as fast as possible */
    const char *demo_path;             /* what `recording:demo` plays */
    struct bus_retention retention;    /* applied each minute; keep_from is filled in */
    bool erase_moderated;              /* what moderators take down loses its text, within a minute */
    void (*on_durable)(void *context); /* new records are in the log; on the sequencer thread */
    void *context;
};

struct pipeline_source {
    struct source *source;
    bool loop; /* see driver_add */
};

/* Takes over the sources, also when it fails. */
struct pipeline *pipeline_start(const struct pipeline_options *options, const struct pipeline_source *sources, size_t count,
                                struct error *error);

/* Stops the sources, writes out what is on its way, ends the threads.  What it knows can still be asked. */
void pipeline_stop(struct pipeline *pipeline);
void pipeline_destroy(struct pipeline *pipeline);

/* All sources have ended, and what they gave is in log and store. */
bool pipeline_ended(struct pipeline *pipeline);

/* Log and store take writes.  Otherwise *why (may be NULL) says what is wrong. */
bool pipeline_ready(struct pipeline *pipeline, struct error *why);

struct pipeline_source_status {
    char name[LEDGER_NAME_MAX];
    char kind[32];
    char last_error[256];
    struct source_statistics statistics;
    double rate; /* events per second over the last ten seconds */
};

/* Copies what is known of the sources, at most `max`; returns how many there are. */
size_t pipeline_sources(struct pipeline *pipeline, struct pipeline_source_status *statuses, size_t max);

struct ledger *pipeline_ledger(struct pipeline *pipeline);

/* Erases what is known of a user, in steps beside everything else (upkeep.h).  `done` is called once on a thread of the pipeline,
 * at the latest while that stops, unless this fails. */
typedef void pipeline_erased(void *context, const struct erasure_result *result, const struct error *error);
int pipeline_erase_user(struct pipeline *pipeline, struct bytes name, pipeline_erased *done, void *context, struct error *error);

#endif
