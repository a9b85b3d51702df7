/* Record batches to bytes and back.
 *
 * Writing measures first and then writes without further checks of room; reading trusts nothing but what has passed
 * its checksum, and of that only the shape: lengths, counts and topics are checked again, so that a batch made by
 * somebody else with correct checksums cannot lead outside its own bytes. */
#include "bus/batch_internal.h"

#include "base/crc32c.h"
#include <assert.h>
#include <endian.h>
#include <zstd.h>

enum {
    /* Places in the header. */
    AT_MAGIC = 0,
    AT_HEADER_CRC = 4,
    AT_VERSION = 8, /* the header's checksum covers all from here on */
    AT_FLAGS = 9,
    AT_TOPICS = 10,
    AT_BODY_CRC = 12,
    AT_BODY_SIZE = 16,
    AT_POSITIONS_SIZE = 20,
    AT_RECORDS_SIZE = 24,
    AT_RECORD_COUNT = 28,
    AT_BASE_OFFSET = 32,
    AT_MIN_TIME = 40,
    AT_MAX_TIME = 48,

    RECORD_LEAST_BYTES = 4,                /* four varints */
    RECORD_MOST_OVERHEAD = 1 + 10 + 4 + 4, /* a topic, any time, two lengths below the cap */
    POSITION_MOST_BYTES = 1 + POSITION_NAME_CAP + 10,
    PACK_LEAST_BYTES = 512, /* below, zstd saves nothing */
    PACK_LEVEL = 1,
    KEEP_BYTES = 4 * 1024 * 1024, /* buffers that one large batch made larger are given back */
};

static const char magic[4] = {(char)0xDF, 'L', 'G', '1'};

struct bytes batch_magic(void)
{
    return bytes_of(magic, sizeof magic);
}

/* ---- numbers ---- */

static void put_u32(char *at, uint32_t value)
{
    value = htole32(value);
    memcpy(at, &value, sizeof value);
}

static void put_u64(char *at, uint64_t value)
{
    value = htole64(value);
    memcpy(at, &value, sizeof value);
}

static uint32_t get_u32(const char *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return le32toh(value);
}

static uint64_t get_u64(const char *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return le64toh(value);
}

/* LEB128: seven bits a byte, the lowest first. */
static inline char *put_varint(char *at, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *at++ = (char)(value | 0x80);
    *at++ = (char)value;
    return at;
}

/* The slow way for more than one byte; NULL when the bytes end or the number does not fit. */
static const char *get_varint_long(const char *at, const char *end, uint64_t *value)
{
    uint64_t sum = 0;
    for (unsigned shift = 0; at < end && shift < 64; shift += 7) {
        uint64_t byte = (unsigned char)*at++;
        if (shift == 63 && byte > 1)
            return NULL;
        sum |= (byte & 0x7F) << shift;
        if (byte < 0x80) {
            *value = sum;
            return at;
        }
    }
    return NULL;
}

static inline const char *get_varint(const char *at, const char *end, uint64_t *value)
{
    if (at < end && (unsigned char)*at < 0x80) {
        *value = (unsigned char)*at;
        return at + 1;
    }
    return get_varint_long(at, end, value);
}

/* ---- header ---- */

static void header_write(char *at, const struct batch_header *header)
{
    memset(at, 0, BATCH_HEADER_BYTES);
    memcpy(at + AT_MAGIC, magic, sizeof magic);
    at[AT_VERSION] = BATCH_VERSION;
    at[AT_FLAGS] = (char)header->flags;
    at[AT_TOPICS] = (char)header->topics;
    put_u32(at + AT_BODY_CRC, header->body_crc);
    put_u32(at + AT_BODY_SIZE, header->body_size);
    put_u32(at + AT_POSITIONS_SIZE, header->positions_size);
    put_u32(at + AT_RECORDS_SIZE, header->records_size);
    put_u32(at + AT_RECORD_COUNT, header->record_count);
    put_u64(at + AT_BASE_OFFSET, header->base_offset);
    put_u64(at + AT_MIN_TIME, (uint64_t)header->min_time_us);
    put_u64(at + AT_MAX_TIME, (uint64_t)header->max_time_us);
    put_u32(at + AT_HEADER_CRC, crc32c(0, bytes_of(at + AT_VERSION, BATCH_HEADER_BYTES - AT_VERSION)));
}

static bool header_is_sound(const struct batch_header *header)
{
    if (header->body_size > BATCH_CAP_BYTES || header->positions_size > header->body_size)
        return false;
    if (header->records_size > BATCH_CAP_BYTES || header->record_count > BATCH_CAP_RECORDS)
        return false;
    if (header->base_offset > UINT64_MAX - BATCH_CAP_RECORDS || header->flags & ~(BATCH_PACKED | BATCH_AFTER_SYNC))
        return false;
    if ((header->record_count == 0) != (header->records_size == 0) || (header->record_count == 0) != (header->topics == 0))
        return false;
    if (header->records_size / RECORD_LEAST_BYTES < header->record_count)
        return false;
    return header->flags & BATCH_PACKED || header->positions_size + header->records_size == header->body_size;
}

enum batch_header_state batch_header_parse(const char *at, struct batch_header *header)
{
    if (memcmp(at + AT_MAGIC, magic, sizeof magic) != 0)
        return BATCH_HEADER_BROKEN;
    if (get_u32(at + AT_HEADER_CRC) != crc32c(0, bytes_of(at + AT_VERSION, BATCH_HEADER_BYTES - AT_VERSION)))
        return BATCH_HEADER_BROKEN;
    if (at[AT_VERSION] != BATCH_VERSION)
        return BATCH_HEADER_FOREIGN;
    *header = (struct batch_header){
        .flags = (uint8_t)at[AT_FLAGS],
        .topics = (uint8_t)at[AT_TOPICS],
        .body_crc = get_u32(at + AT_BODY_CRC),
        .body_size = get_u32(at + AT_BODY_SIZE),
        .positions_size = get_u32(at + AT_POSITIONS_SIZE),
        .records_size = get_u32(at + AT_RECORDS_SIZE),
        .record_count = get_u32(at + AT_RECORD_COUNT),
        .base_offset = get_u64(at + AT_BASE_OFFSET),
        .min_time_us = (int64_t)get_u64(at + AT_MIN_TIME),
        .max_time_us = (int64_t)get_u64(at + AT_MAX_TIME),
    };
    return header_is_sound(header) ? BATCH_HEADER_GOOD : BATCH_HEADER_FOREIGN;
}

/* ---- zstd ---- */

struct batch_packer {
    ZSTD_CCtx *pack;
    ZSTD_DCtx *unpack;
};

struct batch_packer *batch_packer_create(void)
{
    struct batch_packer *packer = calloc(1, sizeof *packer);
    if (!packer)
        return NULL;
    packer->pack = ZSTD_createCCtx();
    packer->unpack = ZSTD_createDCtx();
    if (packer->pack && packer->unpack)
        return packer;
    batch_packer_destroy(packer);
    return NULL;
}

void batch_packer_destroy(struct batch_packer *packer)
{
    if (!packer)
        return;
    ZSTD_freeCCtx(packer->pack);
    ZSTD_freeDCtx(packer->unpack);
    free(packer);
}

/* ---- writing ---- */

void batch_writer_init(struct batch_writer *writer, struct batch_packer *packer)
{
    buffer_init(&writer->plain, 2 * (size_t)BATCH_CAP_BYTES);
    buffer_init(&writer->packed, 2 * (size_t)BATCH_CAP_BYTES);
    writer->packer = packer;
}

void batch_writer_release(struct batch_writer *writer)
{
    buffer_release(&writer->plain);
    buffer_release(&writer->packed);
}

/* Empties a buffer and makes room; memory that only a rare large batch needed does not stay. */
static bool buffer_prepare(struct buffer *buffer, size_t room)
{
    if (buffer->capacity > KEEP_BYTES && room < KEEP_BYTES / 4)
        buffer_release(buffer);
    buffer_reset(buffer);
    return buffer_reserve(buffer, room);
}

/* Checks the records and fills in the header what follows from them; *room: enough for the whole batch. */
static int batch_measure(const struct batch_content *content, struct batch_header *header, size_t *room, struct error *error)
{
    *header = (struct batch_header){.base_offset = content->base_offset,
                                    .record_count = (uint32_t)content->count,
                                    .flags = (uint8_t)content->flags,
                                    .min_time_us = INT64_MAX,
                                    .max_time_us = INT64_MIN};
    if (content->count > BATCH_CAP_RECORDS)
        return error_set(error, "a batch of %zu records is too large: at most %d", content->count, BATCH_CAP_RECORDS);
    if (content->base_offset > UINT64_MAX - 2 * BATCH_CAP_RECORDS)
        return error_set(error, "the log has no offsets left");
    size_t size = content->position_count * POSITION_MOST_BYTES + content->count * RECORD_LEAST_BYTES;
    for (size_t i = 0; i < content->count; i++) {
        const struct bus_record *record = &content->records[i];
        if (record->topic >= BUS_TOPIC_COUNT)
            return error_set(error, "record %zu of the batch has the unknown topic %u", i, record->topic);
        if (record->key.length > BATCH_CAP_BYTES || record->value.length > BATCH_CAP_BYTES)
            size = SIZE_MAX / 2;
        else
            size += record->key.length + record->value.length;
        if (size > BATCH_CAP_BYTES)
            return error_set(error, "a batch is too large at its record %zu of %zu: at most %d bytes; append fewer at a time", i,
                             content->count, BATCH_CAP_BYTES);
        header->topics = (uint8_t)(header->topics | 1u << record->topic);
        if (record->timestamp_us < header->min_time_us)
            header->min_time_us = record->timestamp_us;
        if (record->timestamp_us > header->max_time_us)
            header->max_time_us = record->timestamp_us;
    }
    *room = BATCH_HEADER_BYTES + size + content->count * (RECORD_MOST_OVERHEAD - RECORD_LEAST_BYTES);
    return 0;
}

static char *positions_write(char *at, const struct batch_content *content)
{
    for (size_t i = 0; i < content->position_count; i++) {
        const struct named_position *position = &content->positions[i];
        *at++ = (char)position->name_length;
        memcpy(at, position->name, position->name_length);
        at = put_varint(at + position->name_length, position->next_offset);
    }
    return at;
}

static char *records_write(char *at, const struct batch_content *content, int64_t min_time_us)
{
    for (const struct bus_record *record = content->records; record < content->records + content->count; record++) {
        *at++ = (char)record->topic;
        at = put_varint(at, (uint64_t)record->timestamp_us - (uint64_t)min_time_us);
        at = put_varint(at, record->key.length);
        at = put_varint(at, record->value.length);
        if (record->key.length > 0)
            memcpy(at, record->key.at, record->key.length);
        at += record->key.length;
        if (record->value.length > 0)
            memcpy(at, record->value.at, record->value.length);
        at += record->value.length;
    }
    return at;
}

/* Packs the records where that saves more than a tenth of them.  False: it does not, or cannot. */
static bool batch_pack(struct batch_writer *writer, struct batch_header *header)
{
    if (!writer->packer || header->records_size < PACK_LEAST_BYTES)
        return false;
    size_t front = BATCH_HEADER_BYTES + header->positions_size;
    size_t target = header->records_size - header->records_size / 10;
    if (!buffer_prepare(&writer->packed, front + target))
        return false;
    size_t packed = ZSTD_compressCCtx(writer->packer->pack, writer->packed.at + front, target, writer->plain.at + front,
                                      header->records_size, PACK_LEVEL);
    if (ZSTD_isError(packed)) /* as a rule: does not fit into the target */
        return false;
    memcpy(writer->packed.at, writer->plain.at, front);
    writer->packed.length = front + packed;
    header->flags |= BATCH_PACKED;
    return true;
}

struct buffer *batch_write(struct batch_writer *writer, const struct batch_content *content, struct batch_header *header,
                           struct error *error)
{
    size_t room = 0;
    if (batch_measure(content, header, &room, error) < 0)
        return NULL;
    if (!buffer_prepare(&writer->plain, room)) {
        error_set(error, "out of memory for a batch of %zu bytes", room);
        return NULL;
    }
    char *body = writer->plain.at + BATCH_HEADER_BYTES;
    char *records = positions_write(body, content);
    char *end = records_write(records, content, header->min_time_us);
    writer->plain.length = (size_t)(end - writer->plain.at);
    assert(writer->plain.length <= room);
    if (end - body > BATCH_CAP_BYTES) {
        error_set(error, "a batch of %td bytes is too large: at most %d; append fewer records at a time", end - body,
                  BATCH_CAP_BYTES);
        return NULL;
    }
    header->positions_size = (uint32_t)(records - body);
    header->records_size = (uint32_t)(end - records);
    struct buffer *batch = batch_pack(writer, header) ? &writer->packed : &writer->plain;
    struct bytes stored = bytes_skip(buffer_bytes(batch), BATCH_HEADER_BYTES);
    header->body_size = (uint32_t)stored.length;
    header->body_crc = crc32c(0, stored);
    header_write(batch->at, header);
    return batch;
}

/* ---- reading ---- */

int batch_positions_read(const struct batch_header *header, const char *body, struct positions *into, struct error *error)
{
    const char *end = body + header->positions_size;
    for (const char *at = body; at < end;) {
        size_t length = (unsigned char)*at++;
        struct bytes name = bytes_of(at, length);
        uint64_t next_offset;
        if (length == 0 || length > POSITION_NAME_CAP || length > (size_t)(end - at))
            return error_set(error, "a reader's name runs over its batch");
        at = get_varint(at + length, end, &next_offset);
        if (!at)
            return error_set(error, "a reader's position runs over its batch");
        if (positions_reserve(into, name, error) < 0)
            return -1;
        positions_set(into, name, next_offset);
    }
    return 0;
}

void batch_records_init(struct batch_records *records)
{
    *records = (struct batch_records){0};
    buffer_init(&records->unpacked, BATCH_CAP_BYTES);
}

void batch_records_release(struct batch_records *records)
{
    free(records->at);
    buffer_release(&records->unpacked);
    batch_packer_destroy(records->packer);
    batch_records_init(records);
}

/* The plain bytes of the records; .at is NULL on error. */
static struct bytes records_unpack(const struct batch_header *header, const char *body, struct batch_records *records,
                                   struct error *error)
{
    struct bytes stored = bytes_of(body + header->positions_size, header->body_size - header->positions_size);
    if (!(header->flags & BATCH_PACKED))
        return stored;
    if (!records->packer)
        records->packer = batch_packer_create();
    if (!records->packer || !buffer_prepare(&records->unpacked, header->records_size)) {
        error_set(error, "out of memory to unpack a batch of %u bytes", header->records_size);
        return BYTES_NONE;
    }
    size_t size =
        ZSTD_decompressDCtx(records->packer->unpack, records->unpacked.at, header->records_size, stored.at, stored.length);
    if (ZSTD_isError(size) || size != header->records_size) {
        error_set(error, "the packed records do not unpack to the %u bytes announced", header->records_size);
        return BYTES_NONE;
    }
    return bytes_of(records->unpacked.at, size);
}

static int records_reserve(struct batch_records *records, size_t count, struct error *error)
{
    if (count <= records->capacity)
        return 0;
    free(records->at);
    records->at = malloc(count * sizeof *records->at);
    records->capacity = records->at ? count : 0;
    return records->at ? 0 : error_set(error, "out of memory for a batch of %zu records", count);
}

/* One record at `at`; returns what follows it, NULL if it does not fit. */
static inline const char *record_read(const char *at, const char *end, int64_t min_time_us, struct bus_record *record)
{
    uint64_t topic, delta_us, key_length, value_length;
    if (!(at = get_varint(at, end, &topic)) || topic >= BUS_TOPIC_COUNT || !(at = get_varint(at, end, &delta_us)) ||
        !(at = get_varint(at, end, &key_length)) || !(at = get_varint(at, end, &value_length)))
        return NULL;
    size_t left = (size_t)(end - at);
    if (key_length > left || value_length > left - key_length)
        return NULL;
    record->topic = (uint32_t)topic;
    record->timestamp_us = (int64_t)((uint64_t)min_time_us + delta_us);
    record->key = bytes_of(at, key_length);
    record->value = bytes_of(at + key_length, value_length);
    return at + key_length + value_length;
}

int batch_records_read(const struct batch_header *header, const char *body, unsigned topics, uint64_t from,
                       struct batch_records *records, struct error *error)
{
    records->count = 0;
    if (header->record_count == 0)
        return 0;
    struct bytes plain = records_unpack(header, body, records, error);
    if (!plain.at || records_reserve(records, header->record_count, error) < 0)
        return -1;
    const char *at = plain.at, *end = plain.at + plain.length;
    size_t count = 0;
    for (uint32_t i = 0; i < header->record_count; i++) {
        struct bus_record *record = &records->at[count];
        at = record_read(at, end, header->min_time_us, record);
        if (!at)
            return error_set(error, "record %u of the batch runs over its end or has an unknown topic", i);
        record->offset = header->base_offset + i;
        count += record->offset >= from && (topics >> record->topic & 1);
    }
    if (at != end)
        return error_set(error, "%td bytes are left behind the records of the batch", end - at);
    records->count = count;
    return 0;
}
