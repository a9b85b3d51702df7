/* A decorator that makes calls fail on demand, before they reach the store behind it: so nothing of a failed write
 * is ever there, as the contract says. */
#include "store/store.h"

#include <time.h>

struct faulty_store {
    struct store store;
    struct store *inner;
    struct store_faults *faults;
};

static struct faulty_store *faulty_of(struct store *store)
{
    return (struct faulty_store *)store;
}

static int faulty_write(struct store *store, const struct store_write *write, struct error *error)
{
    struct store_faults *faults = faulty_of(store)->faults;
    if (faults->write_delay_us > 0) {
        struct timespec delay = {faults->write_delay_us / 1000000, faults->write_delay_us % 1000000 * 1000};
        nanosleep(&delay, NULL);
    }
    if (++faults->writes == faults->fail_write_at)
        return error_set(error, "write %llu fails: injected fault", (unsigned long long)faults->writes);
    return store_write(faulty_of(store)->inner, write, error);
}

static int faulty_query(struct store *store, struct error *error)
{
    struct store_faults *faults = faulty_of(store)->faults;
    if (++faults->queries == faults->fail_query_at)
        return error_set(error, "query %llu fails: injected fault", (unsigned long long)faults->queries);
    return 0;
}

static int faulty_position(struct store *store, struct bytes reader, uint64_t *next_offset, struct error *error)
{
    return store_position(faulty_of(store)->inner, reader, next_offset, error);
}

static int faulty_find_batches(struct store *store, uint32_t topic, const struct store_range *range, uint64_t *base_offsets,
                               size_t *count, struct error *error)
{
    if (faulty_query(store, error) < 0)
        return -1;
    return store_find_batches(faulty_of(store)->inner, topic, range, base_offsets, count, error);
}

static int faulty_find_documents(struct store *store, enum store_collection collection, const struct store_range *range,
                                 struct arena *arena, struct store_document *documents, size_t *count, struct error *error)
{
    if (faulty_query(store, error) < 0)
        return -1;
    return store_find_documents(faulty_of(store)->inner, collection, range, arena, documents, count, error);
}

static int faulty_find_marks(struct store *store, const struct store_message *messages, size_t count, struct arena *arena,
                             struct store_mark *marks, struct error *error)
{
    if (faulty_query(store, error) < 0)
        return -1;
    return store_find_marks(faulty_of(store)->inner, messages, count, arena, marks, error);
}

static int faulty_list_marks(struct store *store, uint64_t from_offset, struct arena *arena, struct store_mark *marks,
                             size_t *count, struct error *error)
{
    if (faulty_query(store, error) < 0)
        return -1;
    return store_list_marks(faulty_of(store)->inner, from_offset, arena, marks, count, error);
}

static int faulty_retain(struct store *store, int64_t older_than_us, uint64_t first_offset, struct error *error)
{
    return store_retain(faulty_of(store)->inner, older_than_us, first_offset, error);
}

static int faulty_erase_user(struct store *store, struct bytes user, uint64_t *erased, struct error *error)
{
    return store_erase_user(faulty_of(store)->inner, user, erased, error);
}

static int faulty_clear(struct store *store, struct error *error)
{
    return store_clear(faulty_of(store)->inner, error);
}

static void faulty_info(struct store *store, struct store_info *info)
{
    store_info(faulty_of(store)->inner, info);
}

static void faulty_destroy(struct store *store)
{
    store_destroy(faulty_of(store)->inner);
    free(faulty_of(store));
}

static const struct store_class faulty_class = {
    .name = "faulty",
    .write = faulty_write,
    .position = faulty_position,
    .find_batches = faulty_find_batches,
    .find_documents = faulty_find_documents,
    .find_marks = faulty_find_marks,
    .list_marks = faulty_list_marks,
    .retain = faulty_retain,
    .erase_user = faulty_erase_user,
    .clear = faulty_clear,
    .info = faulty_info,
    .destroy = faulty_destroy,
};

struct store *store_faulty_create(struct store *inner, struct store_faults *faults)
{
    struct faulty_store *faulty = inner ? malloc(sizeof *faulty) : NULL;
    if (!faulty) {
        store_destroy(inner);
        return NULL;
    }
    *faulty = (struct faulty_store){.store.class = &faulty_class, .inner = inner, .faults = faults};
    return &faulty->store;
}
