/* The store writer: a reader of the log that keeps the store's index of key and time and moderators' marks, and commits its
 * position with what it wrote.  After a crash it goes on where its last transaction ended. */
#ifndef PIPELINE_INDEXER_H
#define PIPELINE_INDEXER_H

#include "bus/bus.h"
#include "store/store.h"

#define INDEXER_READER BYTES("store")

struct indexer;

/* Starts behind the store's position.  Bus and store outlive it. */
struct indexer *indexer_create(struct bus *bus, struct store *store, struct error *error);
void indexer_destroy(struct indexer *indexer);

/* Indexes what the log holds, one transaction of bounded size.  Sets *count to the records done; 0: none were there. */
int indexer_step(struct indexer *indexer, uint64_t *count, struct error *error);

/* Forgets what it has read ahead: erasure has changed the log. */
void indexer_read_anew(struct indexer *indexer);

/* Records that it passed over because the log's place is damaged. */
uint64_t indexer_lost(const struct indexer *indexer);

/* The offset that it goes on with. */
uint64_t indexer_next_offset(const struct indexer *indexer);

#endif
