/* Reads events of the log for commands: from a place, of some topics, of one key, up to a time. */
#ifndef APP_SCAN_H
#define APP_SCAN_H

#include "app/config.h"
#include "app/position.h"

struct scan_options {
    unsigned topics;      /* bits */
    struct bytes key;     /* empty: all */
    struct position from; /* POSITION_LAST: the last events that fit topics and key */
    int64_t to_us;        /* events up to it, inclusive; INT64_MAX: no end */
};

struct scan {
    struct scan_options options;
    struct bus *bus;
    struct bus_reader *reader;
    struct bus_batch batch;
    size_t next;         /* in the batch */
    uint64_t skip;       /* fitting events to pass over: POSITION_LAST */
    uint64_t end_offset; /* of the log, when it was opened */
    uint64_t offset;     /* where the reader stands: for progress */
};

/* Opens the configured log for reading; says so kindly when there is none. */
struct bus *scan_open_log(const struct config *config, struct error *error);

/* Places a reader; the bus outlives it. */
int scan_start(struct scan *scan, struct bus *bus, const struct scan_options *options, struct error *error);
void scan_release(struct scan *scan);

/* 1: *record is the next that fits, valid until the next call; 0: no more for now; -1: error. */
int scan_next(struct scan *scan, const struct bus_record **record, struct error *error);

#endif
