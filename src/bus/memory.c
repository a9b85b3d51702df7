/* The bus in memory, for tests and for runs that keep nothing.  A batch is one piece of memory and plays the part of a
 * segment: truncation drops whole batches, never the last one.
 *
 * Invariant: batches lie in order, without holes; a batch with readers on it stays until they move on. */
#include "base/buffer.h"
#include "bus/positions_internal.h"

#include <assert.h>

struct memory_batch {
    unsigned references; /* the bus's own and the readers' */
    uint64_t base_offset;
    size_t count;
    size_t size_bytes;
    int64_t min_time_us, max_time_us;
    struct bus_record records[]; /* their bytes follow */
};

struct memory {
    struct bus bus;
    pthread_mutex_t mutex; /* guards all below */
    struct memory_batch **batches;
    size_t count, capacity;
    struct positions positions;
    struct bus_info info;
};

struct memory_reader {
    struct bus_reader reader;
    uint64_t next_offset;
    unsigned topics;
    struct memory_batch *held;
    struct bus_record *records;
    size_t capacity;
};

static struct memory_batch *memory_batch_make(const struct bus_record *records, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += records[i].key.length + records[i].value.length;
    struct memory_batch *batch = malloc(sizeof *batch + count * sizeof *records + size);
    if (!batch)
        return NULL;
    *batch = (struct memory_batch){
        .references = 1, .count = count, .size_bytes = size, .min_time_us = INT64_MAX, .max_time_us = INT64_MIN};
    char *at = (char *)&batch->records[count];
    for (size_t i = 0; i < count; i++) {
        struct bus_record *record = &batch->records[i];
        *record = records[i];
        if (record->key.length > 0)
            memcpy(at, record->key.at, record->key.length);
        record->key.at = at;
        at += record->key.length;
        if (record->value.length > 0)
            memcpy(at, record->value.at, record->value.length);
        record->value.at = at;
        at += record->value.length;
        if (record->timestamp_us < batch->min_time_us)
            batch->min_time_us = record->timestamp_us;
        if (record->timestamp_us > batch->max_time_us)
            batch->max_time_us = record->timestamp_us;
    }
    return batch;
}

/* The last reference frees.  Called under the mutex. */
static void memory_batch_drop(struct memory_batch *batch)
{
    if (batch && --batch->references == 0)
        free(batch);
}

static int memory_reserve(struct memory *memory, const struct bus_position *position, struct error *error)
{
    if (position && positions_reserve(&memory->positions, position->reader, error) < 0)
        return -1;
    if (memory->count < memory->capacity)
        return 0;
    size_t wanted = memory->capacity ? memory->capacity * 2 : 64;
    struct memory_batch **grown = realloc(memory->batches, wanted * sizeof *grown);
    if (!grown)
        return error_set(error, "out of memory for the list of batches");
    memory->batches = grown;
    memory->capacity = wanted;
    return 0;
}

static int memory_append(struct bus *bus, struct bus_record *records, size_t count, const struct bus_position *position,
                         struct error *error)
{
    struct memory *memory = (struct memory *)bus;
    for (size_t i = 0; i < count; i++)
        if (records[i].topic >= BUS_TOPIC_COUNT)
            return error_set(error, "record %zu of the batch has the unknown topic %u", i, records[i].topic);
    struct memory_batch *batch = count > 0 ? memory_batch_make(records, count) : NULL;
    if (count > 0 && !batch)
        return error_set(error, "out of memory for a batch of %zu records", count);
    pthread_mutex_lock(&memory->mutex);
    int status = memory_reserve(memory, position, error);
    if (status < 0) {
        memory_batch_drop(batch);
    } else {
        if (batch) {
            batch->base_offset = memory->info.end_offset;
            for (size_t i = 0; i < count; i++)
                batch->records[i].offset = records[i].offset = batch->base_offset + i;
            memory->batches[memory->count++] = batch;
            memory->info.end_offset += count;
            memory->info.records_appended += count;
            memory->info.size_bytes += batch->size_bytes;
        }
        memory->info.batches_appended++;
        if (position)
            positions_set(&memory->positions, position->reader, position->next_offset);
    }
    pthread_mutex_unlock(&memory->mutex);
    return status;
}

static int memory_position(struct bus *bus, struct bytes reader, uint64_t *next_offset)
{
    struct memory *memory = (struct memory *)bus;
    pthread_mutex_lock(&memory->mutex);
    const struct named_position *found = positions_find(&memory->positions, reader);
    if (found)
        *next_offset = found->next_offset;
    pthread_mutex_unlock(&memory->mutex);
    return found != NULL;
}

static struct bus_reader *memory_reader_open(struct bus *bus, uint64_t offset, unsigned topics, struct error *error)
{
    (void)bus;
    struct memory_reader *reader = calloc(1, sizeof *reader);
    if (!reader) {
        error_set(error, "out of memory for a reader");
        return NULL;
    }
    reader->next_offset = offset;
    reader->topics = topics;
    return &reader->reader;
}

/* The first batch that holds `offset` or a later one; NULL: none yet.  Under the mutex. */
static struct memory_batch *memory_find(const struct memory *memory, uint64_t offset)
{
    size_t low = 0, high = memory->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memory->batches[middle]->base_offset + memory->batches[middle]->count <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low < memory->count ? memory->batches[low] : NULL;
}

static int memory_reader_next(struct bus_reader *base, struct bus_batch *out, struct error *error)
{
    struct memory_reader *reader = (struct memory_reader *)base;
    struct memory *memory = (struct memory *)base->bus;
    pthread_mutex_lock(&memory->mutex);
    memory_batch_drop(reader->held);
    struct memory_batch *batch = reader->held = memory_find(memory, reader->next_offset);
    if (batch)
        batch->references++;
    pthread_mutex_unlock(&memory->mutex);
    if (!batch)
        return 0;
    if (batch->count > reader->capacity) {
        struct bus_record *grown = realloc(reader->records, batch->count * sizeof *grown);
        if (!grown)
            return error_set(error, "out of memory for %zu records", batch->count);
        reader->records = grown;
        reader->capacity = batch->count;
    }
    size_t count = 0;
    bool wanted = batch->max_time_us >= base->from_us && batch->min_time_us <= base->to_us;
    for (size_t i = 0; wanted && i < batch->count; i++)
        if (batch->records[i].offset >= reader->next_offset && (reader->topics >> batch->records[i].topic & 1))
            reader->records[count++] = batch->records[i];
    *out = (struct bus_batch){reader->records,   count, batch->base_offset, batch->base_offset + batch->count, batch->min_time_us,
                              batch->max_time_us};
    reader->next_offset = out->end_offset;
    return 1;
}

/* Memory has no damage. */
static bool memory_reader_pass_damage(struct bus_reader *reader, struct bus_hole *hole)
{
    (void)reader;
    *hole = (struct bus_hole){0};
    return false;
}

static void memory_reader_close(struct bus_reader *base)
{
    struct memory_reader *reader = (struct memory_reader *)base;
    struct memory *memory = (struct memory *)base->bus;
    pthread_mutex_lock(&memory->mutex);
    memory_batch_drop(reader->held);
    pthread_mutex_unlock(&memory->mutex);
    free(reader->records);
    free(reader);
}

static int memory_offset_at(struct bus *bus, int64_t time_us, uint64_t *offset, struct error *error)
{
    (void)error;
    struct memory *memory = (struct memory *)bus;
    pthread_mutex_lock(&memory->mutex);
    *offset = memory->info.end_offset;
    for (size_t i = 0; i < memory->count; i++)
        if (memory->batches[i]->max_time_us >= time_us) {
            *offset = memory->batches[i]->base_offset;
            break;
        }
    pthread_mutex_unlock(&memory->mutex);
    return 0;
}

static int memory_truncate(struct bus *bus, const struct bus_retention *retention, int64_t now_us, struct error *error)
{
    (void)error;
    struct memory *memory = (struct memory *)bus;
    pthread_mutex_lock(&memory->mutex);
    size_t dropped = 0;
    while (dropped + 1 < memory->count) {
        struct memory_batch *batch = memory->batches[dropped];
        bool too_old = retention->max_age_us > 0 && batch->max_time_us < now_us - retention->max_age_us;
        bool too_much = retention->max_bytes > 0 && memory->info.size_bytes > retention->max_bytes;
        if ((!too_old && !too_much) || batch->base_offset + batch->count > retention->keep_from)
            break;
        memory->info.size_bytes -= batch->size_bytes;
        memory->info.first_offset = batch->base_offset + batch->count;
        memory_batch_drop(batch);
        dropped++;
    }
    memory->count -= dropped;
    if (dropped > 0)
        memmove(memory->batches, memory->batches + dropped, memory->count * sizeof(struct memory_batch *));
    pthread_mutex_unlock(&memory->mutex);
    return 0;
}

/* Asks about the records of a batch; those that change are changed in `records`, their values kept in `values`. */
static int memory_ask(struct bus_erasure *erasure, struct memory_batch *batch, struct bus_record *records, struct buffer *values,
                      uint64_t *replaced, struct error *error)
{
    memcpy(records, batch->records, batch->count * sizeof *records);
    for (size_t i = 0; i < batch->count; i++) {
        const struct bus_record *record = &batch->records[i];
        struct bytes value;
        if (record->offset < erasure->from || record->offset >= erasure->to || !(erasure->topics >> record->topic & 1))
            continue;
        int answer = erasure->replace(erasure->context, record, &value, error);
        if (answer < 0)
            return -1;
        if (answer == 0)
            continue;
        records[i].value = bytes_of(NULL, value.length); /* found in `values` once that moves no more */
        buffer_append(values, value);
        ++*replaced;
    }
    const char *at = values->at;
    for (size_t i = 0; i < batch->count; i++)
        if (!records[i].value.at) {
            records[i].value.at = at;
            at += records[i].value.length;
        }
    return values->failed ? error_set(error, "out of memory to erase records") : 0;
}

/* A step is one batch.  Readers that hold the old one keep it. */
static int memory_erase(struct bus *bus, struct bus_erasure *erasure, struct error *error)
{
    struct memory *memory = (struct memory *)bus;
    pthread_mutex_lock(&memory->mutex);
    struct memory_batch *batch = memory_find(memory, erasure->from), *made = NULL;
    int status = 0;
    if (batch && batch->base_offset < erasure->to) {
        uint64_t replaced = 0;
        struct buffer values;
        buffer_init(&values, SIZE_MAX / 2);
        struct bus_record *records = malloc(batch->count * sizeof *records);
        status = records ? memory_ask(erasure, batch, records, &values, &replaced, error)
                         : error_set(error, "out of memory for %zu records", batch->count);
        if (status == 0 && replaced > 0 && !(made = memory_batch_make(records, batch->count)))
            status = error_set(error, "out of memory for a batch of %zu records", batch->count);
        if (made) {
            made->base_offset = batch->base_offset;
            for (size_t i = 0; i < memory->count; i++)
                if (memory->batches[i] == batch)
                    memory->batches[i] = made;
            memory->info.size_bytes += made->size_bytes - batch->size_bytes;
        }
        if (status == 0) {
            erasure->replaced += replaced;
            erasure->from = batch->base_offset + batch->count;
            status = erasure->from < erasure->to && erasure->from < memory->info.end_offset;
        }
        if (made)
            memory_batch_drop(batch);
        free(records);
        buffer_release(&values);
    }
    pthread_mutex_unlock(&memory->mutex);
    return status;
}

static void memory_info(struct bus *bus, struct bus_info *info)
{
    struct memory *memory = (struct memory *)bus;
    pthread_mutex_lock(&memory->mutex);
    *info = memory->info;
    info->segments = memory->count;
    pthread_mutex_unlock(&memory->mutex);
}

static void memory_destroy(struct bus *bus)
{
    struct memory *memory = (struct memory *)bus;
    for (size_t i = 0; i < memory->count; i++) {
        assert(memory->batches[i]->references == 1); /* readers are closed before the bus */
        memory_batch_drop(memory->batches[i]);
    }
    free(memory->batches);
    positions_release(&memory->positions);
    pthread_mutex_destroy(&memory->mutex);
    bus_release(bus);
    free(memory);
}

struct bus *bus_memory_create(void)
{
    static const struct bus_class memory_class = {
        .name = "memory",
        .append = memory_append,
        .position = memory_position,
        .reader_open = memory_reader_open,
        .reader_next = memory_reader_next,
        .reader_pass_damage = memory_reader_pass_damage,
        .reader_close = memory_reader_close,
        .offset_at = memory_offset_at,
        .truncate = memory_truncate,
        .erase = memory_erase,
        .info = memory_info,
        .destroy = memory_destroy,
    };
    struct memory *memory = calloc(1, sizeof *memory);
    if (!memory)
        return NULL;
    pthread_mutex_init(&memory->mutex, NULL);
    bus_init(&memory->bus, &memory_class, 0);
    return &memory->bus;
}
