/* Dispatch: the public calls check what their callers promised and go on to the implementation. */
#include "store/store.h"

#include <assert.h>

int store_write(struct store *store, const struct store_write *write, struct error *error)
{
    assert(write->entries || write->entry_count == 0);
    assert(write->documents || write->document_count == 0);
    assert(write->marks || write->mark_count == 0);
    return store->class->write(store, write, error);
}

int store_position(struct store *store, struct bytes reader, uint64_t *next_offset, struct error *error)
{
    return store->class->position(store, reader, next_offset, error);
}

int store_find_batches(struct store *store, uint32_t topic, const struct store_range *range, uint64_t *base_offsets,
                       size_t *count, struct error *error)
{
    return store->class->find_batches(store, topic, range, base_offsets, count, error);
}

int store_find_documents(struct store *store, enum store_collection collection, const struct store_range *range,
                         struct arena *arena, struct store_document *documents, size_t *count, struct error *error)
{
    assert(collection < STORE_COLLECTION_COUNT);
    return store->class->find_documents(store, collection, range, arena, documents, count, error);
}

int store_find_marks(struct store *store, const struct store_message *messages, size_t count, struct arena *arena,
                     struct store_mark *marks, struct error *error)
{
    return store->class->find_marks(store, messages, count, arena, marks, error);
}

int store_list_marks(struct store *store, uint64_t from_offset, struct arena *arena, struct store_mark *marks, size_t *count,
                     struct error *error)
{
    return store->class->list_marks(store, from_offset, arena, marks, count, error);
}

int store_retain(struct store *store, int64_t older_than_us, uint64_t first_offset, struct error *error)
{
    return store->class->retain(store, older_than_us, first_offset, error);
}

int store_erase_user(struct store *store, struct bytes user, uint64_t *erased, struct error *error)
{
    assert(user.length > 0); /* the empty user marks documents without one */
    return store->class->erase_user(store, user, erased, error);
}

int store_clear(struct store *store, struct error *error)
{
    return store->class->clear(store, error);
}

void store_info(struct store *store, struct store_info *info)
{
    store->class->info(store, info);
}

void store_destroy(struct store *store)
{
    if (store)
        store->class->destroy(store);
}
