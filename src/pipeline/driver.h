/* Drives sources: carries out what they ask for (connections, messages, files, wake-ups), hands them what happens,
 * and passes on the batches of events that they make.  One thread. */
#ifndef PIPELINE_DRIVER_H
#define PIPELINE_DRIVER_H

#include "source/recording.h"
#include "source/source.h"

struct driver;

struct driver_callbacks {
    void *context;
    /* An empty batch; may wait (back-pressure); NULL: the pipeline stops. */
    struct event_batch *(*take)(void *context);
    /* A batch with events; the driver gives it away. */
    void (*give)(void *context, struct event_batch *batch);
    /* What a source refused; kept for inspection.  May be NULL. */
    void (*reject)(void *context, const struct source *source, const struct source_reject *reject);
    /* Raw traffic of every connection (`record`).  May be NULL. */
    void (*tap)(void *context, const struct recording_line *line);
};

struct driver_options {
    const struct env *env;
    const char *tls_ca_file;
    bool allow_plaintext;   /* ws:// to others than loopback */
    double recording_speed; /* 1: as recorded; 0: as fast as it can be taken */
    const char *demo_path;  /* the file that the path "demo" stands for; NULL: a file of that name */
    struct driver_callbacks callbacks;
};

struct driver *driver_create(const struct driver_options *options, struct error *error);
/* Destroys the sources as well. */
void driver_destroy(struct driver *driver);

/* Owns the source from now on.  loop: a recording starts again at its end; its source was made with the length of
 * the round (file_feed_times). */
int driver_add(struct driver *driver, struct source *source, bool loop, struct error *error);

void driver_connect(struct driver *driver);
/* One round: waits for something to do, at most timeout_us, and does it.  False: all sources have ended. */
bool driver_step(struct driver *driver, int64_t timeout_us);
/* Closes the sources; what they still had to say has been given away. */
void driver_close(struct driver *driver);
/* From any thread: ends the wait of a step. */
void driver_wake(struct driver *driver);

size_t driver_source_count(const struct driver *driver);
const struct source *driver_source(const struct driver *driver, size_t index);

#endif
