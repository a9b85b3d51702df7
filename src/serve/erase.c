/* DELETE /api/v1/users/NAME.  The backend erases on a thread of its own and takes its time; the request waits here.
 *
 *   free --request--> waiting --backend, any thread--> done --serve thread--> answered, free
 *
 * A slot is the serve thread's but while it waits; `done` says whose it is. */
#include "serve/serve_internal.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { ERASURES_MAX = 8, FAILURE_SIZE = 256 };

struct slot {
    struct serve *serve;
    struct net_request *request; /* NULL: free */
    const struct serve_route *route;
    uint64_t erased;
    bool found;
    char failure[FAILURE_SIZE]; /* empty: none */
    atomic_bool done;
};

struct serve_erasures {
    struct slot slots[ERASURES_MAX];
};

struct serve_erasures *serve_erasures_create(struct serve *serve)
{
    struct serve_erasures *erasures = calloc(1, sizeof *erasures);
    for (size_t i = 0; erasures && i < ERASURES_MAX; i++)
        erasures->slots[i].serve = serve;
    return erasures;
}

static void slot_answer(struct slot *slot)
{
    struct serve_exchange exchange = {.serve = slot->serve, .request = slot->request, .route = slot->route};
    char body[64];
    slot->request = NULL;
    if (slot->failure[0]) {
        serve_answer_error(&exchange, 503, slot->failure);
    } else if (!slot->found) {
        serve_answer_error(&exchange, 404, "nothing is known of that user");
    } else {
        int length = snprintf(body, sizeof body, "{\"erased\":%llu}", (unsigned long long)slot->erased);
        serve_answer(&exchange, 200, "application/json", bytes_of(body, (size_t)length));
    }
}

void serve_erasures_answer(struct serve_erasures *erasures)
{
    for (size_t i = 0; i < ERASURES_MAX; i++)
        if (erasures->slots[i].request && atomic_load(&erasures->slots[i].done))
            slot_answer(&erasures->slots[i]);
}

void serve_erasures_destroy(struct serve_erasures *erasures)
{
    if (!erasures)
        return;
    for (size_t i = 0; i < ERASURES_MAX; i++)
        assert(!erasures->slots[i].request || atomic_load(&erasures->slots[i].done)); /* as serve_backend promises */
    serve_erasures_answer(erasures);
    free(erasures);
}

/* From the backend's thread. */
static void on_erased(void *receipt, uint64_t erased, bool found, const char *failure)
{
    struct slot *slot = receipt;
    struct serve *serve = slot->serve;
    slot->erased = erased;
    slot->found = found;
    snprintf(slot->failure, sizeof slot->failure, "%s", failure ? failure : "");
    atomic_store(&slot->done, true);
    serve_notify(serve);
}

void serve_api_erase_user(struct serve_exchange *exchange)
{
    struct serve *serve = exchange->serve;
    struct serve_backend *backend = &serve->backend;
    struct error error = {"too many erasures wait already; try again later"};
    struct slot *slot = NULL;
    int status = 503;
    for (size_t i = 0; i < ERASURES_MAX && !slot; i++)
        if (!serve->erasures->slots[i].request)
            slot = &serve->erasures->slots[i];
    if (!backend->erase_user) {
        serve_answer_error(exchange, 404, "erasure is not offered here");
        return;
    }
    if (slot) {
        slot->request = exchange->request;
        slot->route = exchange->route;
        atomic_store(&slot->done, false);
        if (backend->erase_user(backend->context, exchange->name, on_erased, slot, &status, &error) == 0)
            return;
        slot->request = NULL;
    }
    serve_answer_error(exchange, status, error.text);
}
