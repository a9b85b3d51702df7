/* The bus: one ordered, durable log of events for all topics.
 *
 * Offsets count records from 0 over all topics; topic and key are attributes of a record.  An append is one batch
 * and one durable step: when it returns 0, the records and the reader's position given with it survive kill -9
 * and power loss (policy `always`), together or not at all.
 *
 * One writer, any number of readers, in this process or in others.  A bus may be used from several threads, but append
 * from one at a time, and so truncate and erase; a reader belongs to one thread. */
#ifndef BUS_BUS_H
#define BUS_BUS_H

#include "base/bytes.h"
#include "base/env.h"
#include "base/error.h"
#include <pthread.h>

/* Topics in the order of enum event_source; the bus itself gives them no meaning. */
enum { BUS_TOPIC_COUNT = 3, BUS_ALL_TOPICS = (1 << BUS_TOPIC_COUNT) - 1 };

struct bus_record {
    uint64_t offset;      /* set by append and read */
    int64_t timestamp_us; /* event time */
    uint32_t topic;       /* < BUS_TOPIC_COUNT */
    struct bytes key;
    struct bytes value;
};

/* A reader's progress: the offset it goes on with. */
struct bus_position {
    struct bytes reader; /* 1 to 64 bytes */
    uint64_t next_offset;
};

/* Records of one stored batch; valid until the next call on the reader. */
struct bus_batch {
    const struct bus_record *records; /* only those of the wanted topics, from the wanted offset on */
    size_t count;                     /* may be 0: a batch without wanted records */
    uint64_t base_offset, end_offset; /* of the whole batch: a reader goes on with end_offset */
    int64_t min_time_us, max_time_us; /* of all its records */
};

/* Offsets whose records cannot be read any more: from, up to and without to. */
struct bus_hole {
    uint64_t from, to;
};

struct bus_retention {
    int64_t max_age_us; /* by event time; 0: no limit */
    uint64_t max_bytes; /* 0: no limit */
    uint64_t keep_from; /* never drop this offset or later ones: the slowest durable reader */
};

struct bus_info {
    uint64_t first_offset, end_offset; /* of what is there; end: the next one to be given */
    uint64_t size_bytes, segments;
    uint64_t batches_appended, records_appended, syncs; /* since open */
    uint64_t cut_bytes;                                 /* of a torn tail, found on open */
    int64_t last_sync_us;                               /* duration of the last sync */
};

/* The replacement of records' values where they lie: erasure.  Offsets, times, topics, keys, batches and positions stay. */
struct bus_erasure {
    unsigned topics;     /* bits 1 << topic: whose records are asked about */
    uint64_t from, to;   /* offsets asked about; a step moves `from` on */
    uint64_t replaced;   /* records so far */
    uint64_t unreadable; /* damaged batches so far: passed over, their text is still there */
    /* 1: *value, valid until the next call, takes the place of the record's; 0: the record stays; -1: error.  A record may be
     * asked about twice; then the first answer has not been used. */
    int (*replace)(void *context, const struct bus_record *record, struct bytes *value, struct error *error);
    void *context;
};

struct bus;
struct bus_reader;

struct bus_class {
    const char *name;
    int (*append)(struct bus *bus, struct bus_record *records, size_t count, const struct bus_position *position,
                  struct error *error);
    int (*position)(struct bus *bus, struct bytes reader, uint64_t *next_offset); /* 1: known, 0: not */
    struct bus_reader *(*reader_open)(struct bus *bus, uint64_t offset, unsigned topics, struct error *error);
    int (*reader_next)(struct bus_reader *reader, struct bus_batch *batch, struct error *error);
    /* After reader_next has failed.  True: that was damage; the reader now stands behind it. */
    bool (*reader_pass_damage)(struct bus_reader *reader, struct bus_hole *hole);
    void (*reader_close)(struct bus_reader *reader);
    int (*offset_at)(struct bus *bus, int64_t time_us, uint64_t *offset, struct error *error);
    int (*truncate)(struct bus *bus, const struct bus_retention *retention, int64_t now_us, struct error *error);
    int (*erase)(struct bus *bus, struct bus_erasure *erasure, struct error *error);
    void (*info)(struct bus *bus, struct bus_info *info);
    void (*destroy)(struct bus *bus);
};

/* Implementations put this first in their own structs; what stands below `class` is bus.c's. */
struct bus {
    const struct bus_class *class;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t grown;
    uint64_t end_offset;    /* after the last bus_append: what bus_wait waits for */
    struct bus_hole *holes; /* passed by readers, each once */
    size_t hole_count;
    struct error first_damage;
};
struct bus_reader {
    struct bus *bus;
    int64_t from_us, to_us; /* times wanted, inclusive */
};

/* Appends `count` records (may be 0: a position alone) and sets their offsets.  After an error nothing of it is
 * there; a failed sync closes the bus for writing: what was not acknowledged is never claimed later.  The log takes at
 * most 64 MiB and 1,048,576 records at a time, and refuses more. */
int bus_append(struct bus *bus, struct bus_record *records, size_t count, const struct bus_position *position,
               struct error *error);
int bus_position(struct bus *bus, struct bytes reader, uint64_t *next_offset);

/* `topics`: bits 1 << topic.  An offset before the first goes on with the first. */
struct bus_reader *bus_reader_open(struct bus *bus, uint64_t offset, unsigned topics, struct error *error);
/* 1: a batch; 0: nothing more yet (ask again later); -1: error (damaged log: says where). */
int bus_reader_next(struct bus_reader *reader, struct bus_batch *batch, struct error *error);
/* From now on, records of batches without any record in this range (inclusive) are not needed: such a batch is not read, and
 * comes without records. */
void bus_reader_want_times(struct bus_reader *reader, int64_t from_us, int64_t to_us);
/* As bus_reader_next, but goes on behind damage: with the next whole batch, or the next segment.  The first reader that passes a
 * damaged place logs it; bus_damage counts it. */
int bus_reader_next_past_damage(struct bus_reader *reader, struct bus_batch *batch, struct error *error);
/* How many offsets readers have found lost so far.  *first (may be NULL) is the account of the place that was met first. */
uint64_t bus_damage(struct bus *bus, struct error *first);
void bus_reader_close(struct bus_reader *reader);

/* An offset such that every record in batches from there on that is at or after `time_us` is not before it: where a
 * reader of a time range starts. */
int bus_offset_at(struct bus *bus, int64_t time_us, uint64_t *offset, struct error *error);
/* Drops whole segments that the limits no longer keep. */
int bus_truncate(struct bus *bus, const struct bus_retention *retention, int64_t now_us, struct error *error);
/* One step of an erasure: a segment at most.  1: there is more to do; 0: all is done; -1: error, and what that segment holds is
 * as before.  Whatever happens, a segment is found as it was or with all its replacements, and each is durable before the step
 * returns.  Beside appends and readers, from one thread at a time; a reader may still give what it had read before. */
int bus_erase(struct bus *bus, struct bus_erasure *erasure, struct error *error);
void bus_info(struct bus *bus, struct bus_info *info);
void bus_destroy(struct bus *bus);

/* For implementations: at the end of their create and at the end of their destroy. */
void bus_init(struct bus *bus, const struct bus_class *class, uint64_t end_offset);
void bus_release(struct bus *bus);

/* Waits until the end offset passes `offset` or timeout_us is over; true if it has.  Only for buses that this
 * process writes; others are polled. */
bool bus_wait(struct bus *bus, uint64_t offset, int64_t timeout_us);

/* ---- implementations ---- */

/* When an append is synced: before it is acknowledged; every 100 ms, by the append that comes then; when a segment is closed. */
enum bus_sync { BUS_SYNC_ALWAYS, BUS_SYNC_INTERVAL, BUS_SYNC_OFF };
struct bus_log_options {
    const char *directory; /* made if missing */
    /* Beside a running writer, or of a stopped one; changes nothing.  Its readers, position, info and offset_at look for what
     * the writer has added.  It may see a batch a moment before that is on the writer's disk. */
    bool read_only;
    enum bus_sync sync;
    uint64_t segment_bytes; /* 0: 64 MiB */
    bool compress;          /* zstd, batch by batch where it helps */
    uint64_t known_end;     /* a durable reader has come so far: a log that ends before it is refused, and nothing is cut */
};
/* The embedded log; see docs/log-format.md.  One writer a directory (file lock). */
struct bus *bus_log_open(const struct bus_log_options *options, const struct env *env, struct error *error);

/* Reads all of a log's batches and checks them.  Calls `report` for each damage found, with the file, the place and what
 * to do.  Returns the number of damages, -1 if the directory cannot be read.  In *info (may be NULL) records_appended and
 * batches_appended are what was found whole, cut_bytes an unfinished append at the end, which is no damage. */
int bus_log_verify(const char *directory, const struct env *env, void (*report)(void *context, const char *text), void *context,
                   struct bus_info *info, struct error *error);

struct bus *bus_memory_create(void);

/* Decorator for tests: fails the given calls with an error, and counts them.  Owns `inner`. */
struct bus_faults {
    uint64_t fail_append_at; /* the nth append fails (from 1); 0: none */
    uint64_t fail_read_at;
    int64_t append_delay_us;
    uint64_t appends, reads;
};
struct bus *bus_faulty_create(struct bus *inner, struct bus_faults *faults);

#endif
