/* The bytes of a record batch, as docs/log-format.md has them: made here, taken apart here, and nowhere else. */
#ifndef BUS_BATCH_INTERNAL_H
#define BUS_BATCH_INTERNAL_H

#include "base/buffer.h"
#include "bus/positions_internal.h"

enum {
    BATCH_HEADER_BYTES = 56,
    BATCH_VERSION = 1,
    BATCH_CAP_BYTES = 64 * 1024 * 1024, /* of the body, plain and packed */
    BATCH_CAP_RECORDS = 1 << 20,
};

enum batch_flag {
    BATCH_PACKED = 1, /* the records are one zstd frame */
    /* All batches before this one were on the disk before this one was written: if one of them is damaged, then
     * acknowledged data is lost, and the damage is no torn tail. */
    BATCH_AFTER_SYNC = 2,
};

struct batch_header {
    uint32_t body_crc;
    uint32_t body_size; /* stored: positions and records */
    uint32_t positions_size;
    uint32_t records_size; /* unpacked */
    uint32_t record_count;
    uint8_t flags;
    uint8_t topics; /* bits 1 << topic */
    uint64_t base_offset;
    int64_t min_time_us, max_time_us; /* without records: INT64_MAX, INT64_MIN */
};

static inline uint64_t batch_end_offset(const struct batch_header *header)
{
    return header->base_offset + header->record_count;
}

static inline uint64_t batch_stored_size(const struct batch_header *header)
{
    return BATCH_HEADER_BYTES + (uint64_t)header->body_size;
}

/* What a header is looked for by: the first byte can stand in no UTF-8 text before the second. */
struct bytes batch_magic(void);

enum batch_header_state {
    BATCH_HEADER_GOOD,
    BATCH_HEADER_BROKEN,  /* no batch, or a damaged one */
    BATCH_HEADER_FOREIGN, /* whole, but not of this version, or beyond its limits */
};
/* `at` has BATCH_HEADER_BYTES. */
enum batch_header_state batch_header_parse(const char *at, struct batch_header *header);

/* What an append is made of. */
struct batch_content {
    const struct bus_record *records;
    size_t count;
    const struct named_position *positions;
    size_t position_count;
    uint64_t base_offset;
    unsigned flags; /* BATCH_AFTER_SYNC or 0 */
};

struct batch_packer; /* zstd contexts; used by one thread */
struct batch_packer *batch_packer_create(void);
void batch_packer_destroy(struct batch_packer *packer);

/* Memory of the writer, kept from batch to batch. */
struct batch_writer {
    struct buffer plain;
    struct buffer packed;
    struct batch_packer *packer; /* NULL: never packs */
};
void batch_writer_init(struct batch_writer *writer, struct batch_packer *packer);
void batch_writer_release(struct batch_writer *writer);

/* Makes the bytes, in one of the writer's buffers: valid until the next call.  NULL: too large, a record that cannot be,
 * or out of memory. */
struct buffer *batch_write(struct batch_writer *writer, const struct batch_content *content, struct batch_header *header,
                           struct error *error);

/* The readers' positions of a checked body. */
int batch_positions_read(const struct batch_header *header, const char *body, struct positions *into, struct error *error);

/* The records of a checked body, in memory kept from batch to batch.  They point into `body` or into `unpacked`. */
struct batch_records {
    struct bus_record *at;
    size_t count;
    size_t capacity;
    struct buffer unpacked;
    struct batch_packer *packer; /* made when first needed */
};
void batch_records_init(struct batch_records *records);
void batch_records_release(struct batch_records *records);
/* Takes those of `topics` from offset `from` on. */
int batch_records_read(const struct batch_header *header, const char *body, unsigned topics, uint64_t from,
                       struct batch_records *records, struct error *error);

#endif
