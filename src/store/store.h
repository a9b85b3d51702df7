/* The store: what is derived from the log and kept to be asked: an index on key and time over the log's events, and
 * documents (incidents, scores, windows) by deterministic id.  All of it can be made anew from the log.
 *
 * A write is one transaction with the reader's position in the log, so that a restart neither loses nor doubles.
 * Thread-safe: queries run beside a write and do not hold it up; calls that write exclude one another.
 *
 * A write costs by what it touches (one page of the file for each key in it), so a reader that is behind gives
 * several log batches in one write. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"

/* The collections that hold documents; events live in the log. */
enum store_collection { STORE_CHAT_TOXICITY, STORE_MARKET_ANOMALIES, STORE_ALERTS, STORE_WINDOWS, STORE_COLLECTION_COUNT };

/* "An event of this topic and key lies in the log batch at base_offset."  Sparse on purpose: one row per key, batch and
 * time bucket, so that its cost an event falls as the load grows. */
struct store_index_entry {
    uint32_t topic;
    struct bytes key;
    int64_t timestamp_us;
    uint64_t base_offset; /* of the log batch that holds the event */
};

struct store_document {
    enum store_collection collection;
    struct bytes id;
    struct bytes key; /* channel, exchange:symbol, query */
    int64_t timestamp_us;
    struct bytes user; /* empty: none */
    struct bytes json;
};

/* What moderators took down: a message, what a user had said in a channel, all that had been said there.  It holds for messages
 * before the moderator's event, in the order of event time and then offset; a deletion holds wherever its message lies. */
enum store_mark_kind {
    STORE_MARK_NONE,
    STORE_MARK_DELETED,
    STORE_MARK_TIMED_OUT,
    STORE_MARK_BANNED,
    STORE_MARK_CLEARED,
    STORE_MARK_USER_CLEARED, /* a user's messages, as a time-out or a ban clears them */
};

struct store_mark {
    enum store_mark_kind kind;
    struct bytes channel;
    struct bytes target;  /* deleted: the message's id; cleared: empty; otherwise the user */
    int64_t timestamp_us; /* of the moderator's event */
    uint64_t offset;      /* its place in the log: written again, it is the same mark */
    struct bytes by;      /* its id */
};

/* A message that may have been taken down. */
struct store_message {
    struct bytes channel, id;
    struct bytes user; /* empty: nobody's */
    int64_t timestamp_us;
    uint64_t offset;
};

struct store_write {
    const struct store_index_entry *entries;
    size_t entry_count;
    const struct store_document *documents; /* upserts */
    size_t document_count;
    struct bytes reader; /* whose position it is; empty: none is set */
    uint64_t next_offset;
    const struct store_mark *marks;
    size_t mark_count;
};

struct store_range {
    struct bytes key;       /* empty: all */
    int64_t from_us, to_us; /* inclusive; INT64_MIN and INT64_MAX for open ends */
    size_t limit;           /* of documents */
    bool newest_first;
    /* Documents, to go on behind a page: of those at from_us (newest first: at to_us) the ones up to this id are left
     * out.  Empty: none. */
    struct bytes past_id;
};

struct store_info {
    uint64_t index_rows; /* as the implementation stores them */
    uint64_t documents;
    uint64_t size_bytes; /* on disk */
};

struct store;

struct store_class {
    const char *name;
    int (*write)(struct store *store, const struct store_write *write, struct error *error);
    int (*position)(struct store *store, struct bytes reader, uint64_t *next_offset, struct error *error);
    int (*find_batches)(struct store *store, uint32_t topic, const struct store_range *range, uint64_t *base_offsets,
                        size_t *count, struct error *error);
    int (*find_documents)(struct store *store, enum store_collection collection, const struct store_range *range,
                          struct arena *arena, struct store_document *documents, size_t *count, struct error *error);
    int (*find_marks)(struct store *store, const struct store_message *messages, size_t count, struct arena *arena,
                      struct store_mark *marks, struct error *error);
    int (*list_marks)(struct store *store, uint64_t from_offset, struct arena *arena, struct store_mark *marks, size_t *count,
                      struct error *error);
    int (*retain)(struct store *store, int64_t older_than_us, uint64_t first_offset, struct error *error);
    int (*erase_user)(struct store *store, struct bytes user, uint64_t *erased, struct error *error);
    int (*clear)(struct store *store, struct error *error);
    void (*info)(struct store *store, struct store_info *info);
    void (*destroy)(struct store *store);
};

struct store {
    const struct store_class *class;
};

/* One transaction.  After an error nothing of it is there. */
int store_write(struct store *store, const struct store_write *write, struct error *error);
/* Sets *next_offset; 0 if the reader is not known. */
int store_position(struct store *store, struct bytes reader, uint64_t *next_offset, struct error *error);
/* Log batches that hold events of the topic, key and time range (and, for buckets are coarse, some that do not): the base
 * offsets, each once, ordered by time bucket and offset (newest first if asked, both), at most *count; sets *count. */
int store_find_batches(struct store *store, uint32_t topic, const struct store_range *range, uint64_t *base_offsets,
                       size_t *count, struct error *error);
/* Documents by time (ties by id); strings are copied into the arena.  At most range->limit; sets *count. */
int store_find_documents(struct store *store, enum store_collection collection, const struct store_range *range,
                         struct arena *arena, struct store_document *documents, size_t *count, struct error *error);
/* The first mark that holds for each message, kind STORE_MARK_NONE where none does; strings are copied into the arena. */
int store_find_marks(struct store *store, const struct store_message *messages, size_t count, struct arena *arena,
                     struct store_mark *marks, struct error *error);
/* Marks by offset, from one on, at most *count; sets *count; strings are copied into the arena. */
int store_list_marks(struct store *store, uint64_t from_offset, struct arena *arena, struct store_mark *marks, size_t *count,
                     struct error *error);
/* Drops documents older than a time, and index rows and marks from before first_offset (by base offset, by offset).  Works in
 * bounded steps; after an error some of them are done. */
int store_retain(struct store *store, int64_t older_than_us, uint64_t first_offset, struct error *error);
/* Drops the user's documents, and the marks that name the user, also from free space of the file.  `user` is not empty; sets
 * *erased to the number of documents. */
int store_erase_user(struct store *store, struct bytes user, uint64_t *erased, struct error *error);
/* Empties it, positions as well: the start of a rebuild. */
int store_clear(struct store *store, struct error *error);
void store_info(struct store *store, struct store_info *info);
void store_destroy(struct store *store);

/* The width of a time bucket of the index. */
#define STORE_BUCKET_US 10000000

/* Makes the file if it is missing, not its folder. */
struct store *store_sqlite_open(const char *path, struct error *error);
/* Removes the file and what belongs to it: how a rebuild starts when the file is too damaged to open.  A file that is not
 * there is no error. */
int store_sqlite_remove(const char *path, struct error *error);

struct store *store_memory_create(void); /* NULL when out of memory */

/* Decorator for tests: the nth write or query (find_…) fails, from 1; 0: none.  Owns `inner`. */
struct store_faults {
    uint64_t fail_write_at;
    uint64_t fail_query_at;
    int64_t write_delay_us;
    uint64_t writes, queries; /* seen so far */
};
struct store *store_faulty_create(struct store *inner, struct store_faults *faults);

#endif
