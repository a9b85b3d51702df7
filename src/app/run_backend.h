/* What `dataflow run` shows: fills serve's backend from pipeline, log and store.  All functions of the backend run on the
 * serve thread. */
#ifndef APP_RUN_BACKEND_H
#define APP_RUN_BACKEND_H

#include "pipeline/pipeline.h"
#include "serve/serve.h"

struct run_backend {
    struct bus *bus;
    struct store *store;
    struct pipeline *pipeline; /* set once it has started */
    int64_t started_us;        /* monotonic */
    struct bus_reader *feed_reader;
    uint64_t feed_offset; /* where feed_reader stands */
};

void run_backend_fill(struct run_backend *state, struct serve_backend *backend);
void run_backend_release(struct run_backend *state);

#endif
