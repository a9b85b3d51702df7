/* The store in memory, for tests: plain arrays, searched from end to end.
 *
 * Invariants: rows are sorted (row_compare) and differ from one another; documents of a collection have distinct ids.
 * A write first takes all the memory that it needs and then changes what is there, so that it happens whole or not
 * at all. */
#include "store/store.h"

#include <assert.h>
#include <pthread.h>

struct memory_row {
    struct bytes key; /* owned */
    int64_t bucket;
    uint64_t base_offset;
    uint32_t topic;
};

struct memory_position {
    struct bytes reader; /* owned */
    uint64_t next_offset;
};

/* An array that grows; `at` is void* so that one function serves all element types. */
struct memory_array {
    void *at;
    size_t count, capacity;
};

struct memory_store {
    struct store store;
    pthread_mutex_t lock;
    struct memory_array rows;
    struct memory_array documents[STORE_COLLECTION_COUNT]; /* their bytes are one owned block that starts at id.at */
    struct memory_array positions;
    struct memory_array marks; /* by offset; their bytes are one owned block that starts at by.at */
};

static struct memory_store *memory_of(struct store *store)
{
    return (struct memory_store *)store;
}

static bool array_reserve(struct memory_array *array, size_t more, size_t element_size)
{
    if (array->capacity - array->count >= more)
        return true;
    size_t wanted = 2 * array->capacity > array->count + more ? 2 * array->capacity : array->count + more;
    void *grown = realloc(array->at, wanted * element_size);
    if (!grown)
        return false;
    array->at = grown;
    array->capacity = wanted;
    return true;
}

/* An owned copy; .at is NULL when out of memory only. */
static struct bytes copy_bytes(struct bytes text)
{
    char *copy = malloc(text.length + 1);
    if (copy && text.length > 0)
        memcpy(copy, text.at, text.length);
    return bytes_of(copy, copy ? text.length : 0);
}

static void free_bytes(struct bytes owned)
{
    free((void *)(uintptr_t)owned.at);
}

static int64_t bucket_of(int64_t time_us)
{
    return time_us / STORE_BUCKET_US - (time_us % STORE_BUCKET_US < 0);
}

static int row_compare(const struct memory_row *a, const struct memory_row *b)
{
    if (a->topic != b->topic)
        return a->topic < b->topic ? -1 : 1;
    int order = bytes_compare(a->key, b->key);
    if (order != 0)
        return order;
    if (a->bucket != b->bucket)
        return a->bucket < b->bucket ? -1 : 1;
    return (a->base_offset > b->base_offset) - (a->base_offset < b->base_offset);
}

/* Where the row is, or belongs. */
static size_t row_place(const struct memory_store *memory, const struct memory_row *row, bool *found)
{
    const struct memory_row *rows = memory->rows.at;
    size_t low = 0, high = memory->rows.count;
    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = row_compare(&rows[middle], row);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Takes over row->key. */
static void row_add(struct memory_store *memory, struct memory_row row)
{
    bool found;
    size_t place = row_place(memory, &row, &found);
    if (found) {
        free_bytes(row.key);
        return;
    }
    struct memory_row *rows = memory->rows.at;
    memmove(&rows[place + 1], &rows[place], (memory->rows.count - place) * sizeof *rows);
    rows[place] = row;
    memory->rows.count++;
}

static char *put_bytes(char *block, struct bytes *field)
{
    if (field->length > 0)
        memcpy(block, field->at, field->length);
    field->at = block;
    return block + field->length;
}

/* A copy whose bytes lie in one block, the id first. */
static bool document_copy(const struct store_document *from, struct store_document *to)
{
    *to = *from;
    char *block = malloc(from->id.length + from->key.length + from->user.length + from->json.length + 1);
    if (!block)
        return false;
    char *end = put_bytes(block, &to->id);
    end = put_bytes(end, &to->key);
    end = put_bytes(end, &to->user);
    put_bytes(end, &to->json);
    return true;
}

/* Takes over the document's bytes; space is reserved. */
static void document_upsert(struct memory_store *memory, struct store_document document)
{
    struct memory_array *array = &memory->documents[document.collection];
    struct store_document *documents = array->at;
    for (size_t i = 0; i < array->count; i++) {
        if (bytes_equal(documents[i].id, document.id)) {
            free_bytes(documents[i].id);
            documents[i] = document;
            return;
        }
    }
    documents[array->count++] = document;
}

/* A copy whose bytes lie in one block. */
static bool mark_copy(const struct store_mark *from, struct store_mark *to)
{
    *to = *from;
    char *block = malloc(from->channel.length + from->target.length + from->by.length + 1);
    if (!block)
        return false;
    char *end = put_bytes(block, &to->by);
    end = put_bytes(end, &to->channel);
    put_bytes(end, &to->target);
    return true;
}

/* Takes over the mark's bytes; space is reserved.  Two of one offset are one. */
static void mark_put(struct memory_store *memory, struct store_mark mark)
{
    struct store_mark *marks = memory->marks.at;
    size_t place = memory->marks.count;
    while (place > 0 && marks[place - 1].offset >= mark.offset)
        place--;
    if (place < memory->marks.count && marks[place].offset == mark.offset) {
        free_bytes(marks[place].by);
    } else {
        memmove(&marks[place + 1], &marks[place], (memory->marks.count - place) * sizeof *marks);
        memory->marks.count++;
    }
    marks[place] = mark;
}

static struct memory_position *find_position(struct memory_store *memory, struct bytes reader)
{
    struct memory_position *positions = memory->positions.at;
    for (size_t i = 0; i < memory->positions.count; i++)
        if (bytes_equal(positions[i].reader, reader))
            return &positions[i];
    return NULL;
}

/* What a write needs, taken before anything is changed. */
struct memory_parts {
    struct bytes *keys;
    struct store_document *documents;
    struct store_mark *marks;
    struct bytes reader; /* at NULL: known already, or none given */
    size_t key_count, document_count, mark_count;
};

static void parts_release(struct memory_parts *parts)
{
    for (size_t i = 0; i < parts->key_count; i++)
        free_bytes(parts->keys[i]);
    for (size_t i = 0; i < parts->document_count; i++)
        free_bytes(parts->documents[i].id);
    for (size_t i = 0; i < parts->mark_count; i++)
        free_bytes(parts->marks[i].by);
    free_bytes(parts->reader);
    free(parts->marks);
    free(parts->keys);
    free(parts->documents);
}

static bool parts_take(struct memory_store *memory, const struct store_write *write, struct memory_parts *parts)
{
    *parts = (struct memory_parts){
        .keys = calloc(write->entry_count + 1, sizeof *parts->keys),
        .documents = calloc(write->document_count + 1, sizeof *parts->documents),
        .marks = calloc(write->mark_count + 1, sizeof *parts->marks),
    };
    if (!parts->keys || !parts->documents || !parts->marks ||
        !array_reserve(&memory->marks, write->mark_count, sizeof *parts->marks) ||
        !array_reserve(&memory->rows, write->entry_count, sizeof(struct memory_row)) ||
        !array_reserve(&memory->positions, 1, sizeof(struct memory_position)))
        return false;
    for (size_t i = 0; i < write->entry_count; i++, parts->key_count++) {
        parts->keys[i] = copy_bytes(write->entries[i].key);
        if (!parts->keys[i].at)
            return false;
    }
    for (size_t i = 0; i < write->document_count; i++, parts->document_count++) {
        assert(write->documents[i].collection < STORE_COLLECTION_COUNT);
        if (!array_reserve(&memory->documents[write->documents[i].collection], write->document_count,
                           sizeof(struct store_document)) ||
            !document_copy(&write->documents[i], &parts->documents[i]))
            return false;
    }
    for (size_t i = 0; i < write->mark_count; i++, parts->mark_count++)
        if (!mark_copy(&write->marks[i], &parts->marks[i]))
            return false;
    if (write->reader.length > 0 && !find_position(memory, write->reader)) {
        parts->reader = copy_bytes(write->reader);
        return parts->reader.at != NULL;
    }
    return true;
}

static void parts_put(struct memory_store *memory, const struct store_write *write, struct memory_parts *parts)
{
    for (size_t i = 0; i < write->entry_count; i++)
        row_add(memory, (struct memory_row){.key = parts->keys[i],
                                            .bucket = bucket_of(write->entries[i].timestamp_us),
                                            .base_offset = write->entries[i].base_offset,
                                            .topic = write->entries[i].topic});
    for (size_t i = 0; i < write->document_count; i++)
        document_upsert(memory, parts->documents[i]);
    for (size_t i = 0; i < write->mark_count; i++)
        mark_put(memory, parts->marks[i]);
    if (parts->reader.at) {
        struct memory_position *positions = memory->positions.at;
        positions[memory->positions.count++] = (struct memory_position){parts->reader, write->next_offset};
    } else if (write->reader.length > 0) {
        find_position(memory, write->reader)->next_offset = write->next_offset;
    }
    parts->key_count = parts->document_count = parts->mark_count = 0;
    parts->reader = BYTES_NONE;
}

static int memory_write(struct store *store, const struct store_write *write, struct error *error)
{
    struct memory_store *memory = memory_of(store);
    struct memory_parts parts;
    pthread_mutex_lock(&memory->lock);
    bool taken = parts_take(memory, write, &parts);
    if (taken)
        parts_put(memory, write, &parts);
    pthread_mutex_unlock(&memory->lock);
    parts_release(&parts);
    return taken ? 0 : error_set(error, "out of memory for a write of %zu index entries", write->entry_count);
}

static int memory_position(struct store *store, struct bytes reader, uint64_t *next_offset, struct error *error)
{
    (void)error;
    struct memory_store *memory = memory_of(store);
    pthread_mutex_lock(&memory->lock);
    const struct memory_position *position = find_position(memory, reader);
    *next_offset = position ? position->next_offset : 0;
    pthread_mutex_unlock(&memory->lock);
    return 0;
}

static int compare_by_bucket(const void *left, const void *right)
{
    const struct memory_row *a = left, *b = right;
    if (a->bucket != b->bucket)
        return a->bucket < b->bucket ? -1 : 1;
    return (a->base_offset > b->base_offset) - (a->base_offset < b->base_offset);
}

/* Copies the rows in range, by bucket and offset.  Lock held. */
static struct memory_row *select_rows(struct memory_store *memory, uint32_t topic, const struct store_range *range, size_t *count)
{
    const struct memory_row *rows = memory->rows.at;
    struct memory_row *selected = malloc((memory->rows.count + 1) * sizeof *selected);
    int64_t from = bucket_of(range->from_us), to = bucket_of(range->to_us);
    *count = 0;
    for (size_t i = 0; selected && i < memory->rows.count; i++)
        if (rows[i].topic == topic && (range->key.length == 0 || bytes_equal(rows[i].key, range->key)) &&
            rows[i].bucket >= from && rows[i].bucket <= to)
            selected[(*count)++] = rows[i];
    if (*count > 0)
        qsort(selected, *count, sizeof *selected, compare_by_bucket);
    return selected;
}

static int memory_find_batches(struct store *store, uint32_t topic, const struct store_range *range, uint64_t *base_offsets,
                               size_t *count, struct error *error)
{
    struct memory_store *memory = memory_of(store);
    size_t selected_count, found = 0;
    pthread_mutex_lock(&memory->lock);
    struct memory_row *selected = select_rows(memory, topic, range, &selected_count);
    pthread_mutex_unlock(&memory->lock);
    if (!selected)
        return error_set(error, "out of memory for a query of the index");
    for (size_t i = 0; i < selected_count && found < *count; i++) {
        uint64_t base = selected[range->newest_first ? selected_count - 1 - i : i].base_offset;
        size_t same = 0;
        while (same < found && base_offsets[same] != base)
            same++;
        if (same == found)
            base_offsets[found++] = base;
    }
    free(selected);
    *count = found;
    return 0;
}

static int document_compare(const struct store_document *a, const struct store_document *b)
{
    if (a->timestamp_us != b->timestamp_us)
        return a->timestamp_us < b->timestamp_us ? -1 : 1;
    return bytes_compare(a->id, b->id);
}

static bool document_wanted(const struct store_document *document, const struct store_range *range)
{
    if (document->timestamp_us < range->from_us || document->timestamp_us > range->to_us)
        return false;
    if (range->key.length > 0 && !bytes_equal(document->key, range->key))
        return false;
    if (range->past_id.length == 0 || document->timestamp_us != (range->newest_first ? range->to_us : range->from_us))
        return true;
    int order = bytes_compare(document->id, range->past_id);
    return range->newest_first ? order < 0 : order > 0;
}

static bool copy_into_arena(struct arena *arena, struct store_document *document)
{
    struct bytes *const fields[] = {&document->id, &document->key, &document->user, &document->json};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        *fields[i] = arena_copy(arena, *fields[i]);
        if (!fields[i]->at)
            return false;
    }
    return true;
}

/* Selection by repeated search for the next document in order: limit times a scan, with no memory of its own. */
static int memory_find_documents(struct store *store, enum store_collection collection, const struct store_range *range,
                                 struct arena *arena, struct store_document *documents, size_t *count, struct error *error)
{
    struct memory_store *memory = memory_of(store);
    pthread_mutex_lock(&memory->lock);
    const struct store_document *all = memory->documents[collection].at;
    const struct store_document *last = NULL;
    bool room = true;
    for (*count = 0; *count < range->limit && room; (*count)++) {
        const struct store_document *best = NULL;
        for (size_t i = 0; i < memory->documents[collection].count; i++) {
            int sign = range->newest_first ? -1 : 1;
            if (document_wanted(&all[i], range) && (!last || sign * document_compare(&all[i], last) > 0) &&
                (!best || sign * document_compare(&all[i], best) < 0))
                best = &all[i];
        }
        if (!best)
            break;
        last = best;
        documents[*count] = *best;
        room = copy_into_arena(arena, &documents[*count]);
    }
    pthread_mutex_unlock(&memory->lock);
    return room ? 0 : error_set(error, "out of memory for the documents asked for");
}

/* Removes the documents that `drop` names. */
static uint64_t remove_documents(struct memory_store *memory, bool (*drop)(const struct store_document *, const void *),
                                 const void *context)
{
    uint64_t removed = 0;
    for (size_t c = 0; c < STORE_COLLECTION_COUNT; c++) {
        struct store_document *documents = memory->documents[c].at;
        size_t kept = 0;
        for (size_t i = 0; i < memory->documents[c].count; i++) {
            if (drop(&documents[i], context)) {
                free_bytes(documents[i].id);
                removed++;
            } else {
                documents[kept++] = documents[i];
            }
        }
        memory->documents[c].count = kept;
    }
    return removed;
}

static bool is_older(const struct store_document *document, const void *time_us)
{
    return document->timestamp_us < *(const int64_t *)time_us;
}

static bool is_of_user(const struct store_document *document, const void *user)
{
    return bytes_equal(document->user, *(const struct bytes *)user);
}

static bool is_any(const struct store_document *document, const void *context)
{
    (void)document, (void)context;
    return true;
}

static void remove_rows_before(struct memory_store *memory, uint64_t first_offset)
{
    struct memory_row *rows = memory->rows.at;
    size_t kept = 0;
    for (size_t i = 0; i < memory->rows.count; i++) {
        if (rows[i].base_offset < first_offset)
            free_bytes(rows[i].key);
        else
            rows[kept++] = rows[i];
    }
    memory->rows.count = kept;
}

/* ---- marks ---- */

static bool mark_holds(const struct store_mark *mark, const struct store_message *message)
{
    if (!bytes_equal(mark->channel, message->channel))
        return false;
    if (mark->kind == STORE_MARK_DELETED)
        return bytes_equal(mark->target, message->id);
    bool later = mark->timestamp_us > message->timestamp_us ||
                 (mark->timestamp_us == message->timestamp_us && mark->offset > message->offset);
    return later && (mark->kind == STORE_MARK_CLEARED || (message->user.length > 0 && bytes_equal(mark->target, message->user)));
}

static bool copy_mark_into(struct arena *arena, struct store_mark *mark)
{
    struct bytes *const fields[] = {&mark->channel, &mark->target, &mark->by};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        *fields[i] = arena_copy(arena, *fields[i]);
        if (!fields[i]->at)
            return false;
    }
    return true;
}

static int memory_find_marks(struct store *store, const struct store_message *messages, size_t count, struct arena *arena,
                             struct store_mark *marks, struct error *error)
{
    struct memory_store *memory = memory_of(store);
    bool room = true;
    pthread_mutex_lock(&memory->lock);
    const struct store_mark *all = memory->marks.at;
    for (size_t i = 0; i < count && room; i++) {
        const struct store_mark *first = NULL;
        for (size_t m = 0; m < memory->marks.count; m++)
            if (mark_holds(&all[m], &messages[i]) && (!first || all[m].timestamp_us < first->timestamp_us))
                first = &all[m];
        marks[i] = first ? *first : (struct store_mark){.kind = STORE_MARK_NONE};
        room = !first || copy_mark_into(arena, &marks[i]);
    }
    pthread_mutex_unlock(&memory->lock);
    return room ? 0 : error_set(error, "out of memory for moderators' marks");
}

static int memory_list_marks(struct store *store, uint64_t from_offset, struct arena *arena, struct store_mark *marks,
                             size_t *count, struct error *error)
{
    struct memory_store *memory = memory_of(store);
    bool room = true;
    size_t found = 0;
    pthread_mutex_lock(&memory->lock);
    const struct store_mark *all = memory->marks.at;
    for (size_t m = 0; m < memory->marks.count && found < *count && room; m++) {
        if (all[m].offset < from_offset)
            continue;
        marks[found] = all[m];
        room = copy_mark_into(arena, &marks[found++]);
    }
    pthread_mutex_unlock(&memory->lock);
    *count = found;
    return room ? 0 : error_set(error, "out of memory for moderators' marks");
}

static bool mark_is_before(const struct store_mark *mark, const void *offset)
{
    return mark->offset < *(const uint64_t *)offset;
}

static bool mark_names(const struct store_mark *mark, const void *user)
{
    return mark->kind != STORE_MARK_DELETED && mark->kind != STORE_MARK_CLEARED &&
           bytes_equal(mark->target, *(const struct bytes *)user);
}

/* Removes the marks that `drop` names. */
static void remove_marks(struct memory_store *memory, bool (*drop)(const struct store_mark *, const void *), const void *context)
{
    struct store_mark *marks = memory->marks.at;
    size_t kept = 0;
    for (size_t i = 0; i < memory->marks.count; i++) {
        if (drop(&marks[i], context))
            free_bytes(marks[i].by);
        else
            marks[kept++] = marks[i];
    }
    memory->marks.count = kept;
}

static int memory_retain(struct store *store, int64_t older_than_us, uint64_t first_offset, struct error *error)
{
    (void)error;
    struct memory_store *memory = memory_of(store);
    pthread_mutex_lock(&memory->lock);
    remove_documents(memory, is_older, &older_than_us);
    remove_rows_before(memory, first_offset);
    remove_marks(memory, mark_is_before, &first_offset);
    pthread_mutex_unlock(&memory->lock);
    return 0;
}

static int memory_erase_user(struct store *store, struct bytes user, uint64_t *erased, struct error *error)
{
    (void)error;
    struct memory_store *memory = memory_of(store);
    pthread_mutex_lock(&memory->lock);
    *erased = remove_documents(memory, is_of_user, &user);
    remove_marks(memory, mark_names, &user);
    pthread_mutex_unlock(&memory->lock);
    return 0;
}

static int memory_clear(struct store *store, struct error *error)
{
    (void)error;
    struct memory_store *memory = memory_of(store);
    pthread_mutex_lock(&memory->lock);
    remove_documents(memory, is_any, NULL);
    remove_rows_before(memory, UINT64_MAX);
    remove_marks(memory, mark_is_before, &(uint64_t){UINT64_MAX});
    struct memory_position *positions = memory->positions.at;
    for (size_t i = 0; i < memory->positions.count; i++)
        free_bytes(positions[i].reader);
    memory->positions.count = 0;
    pthread_mutex_unlock(&memory->lock);
    return 0;
}

static void memory_info(struct store *store, struct store_info *info)
{
    struct memory_store *memory = memory_of(store);
    pthread_mutex_lock(&memory->lock);
    *info = (struct store_info){.index_rows = memory->rows.count};
    for (size_t c = 0; c < STORE_COLLECTION_COUNT; c++)
        info->documents += memory->documents[c].count;
    pthread_mutex_unlock(&memory->lock);
}

static void memory_destroy(struct store *store)
{
    struct memory_store *memory = memory_of(store);
    memory_clear(store, NULL);
    free(memory->rows.at);
    free(memory->positions.at);
    free(memory->marks.at);
    for (size_t c = 0; c < STORE_COLLECTION_COUNT; c++)
        free(memory->documents[c].at);
    pthread_mutex_destroy(&memory->lock);
    free(memory);
}

static const struct store_class memory_class = {
    .name = "memory",
    .write = memory_write,
    .position = memory_position,
    .find_batches = memory_find_batches,
    .find_documents = memory_find_documents,
    .find_marks = memory_find_marks,
    .list_marks = memory_list_marks,
    .retain = memory_retain,
    .erase_user = memory_erase_user,
    .clear = memory_clear,
    .info = memory_info,
    .destroy = memory_destroy,
};

struct store *store_memory_create(void)
{
    struct memory_store *memory = calloc(1, sizeof *memory);
    if (!memory)
        return NULL;
    memory->store.class = &memory_class;
    pthread_mutex_init(&memory->lock, NULL);
    return &memory->store;
}
