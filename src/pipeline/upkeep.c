/* At most one erasure is at work.  A user's request waits in a short queue; what moderators took down is looked for when no
 * request waits and its minute has come. */
#include "pipeline/upkeep.h"

#include "base/logging.h"
#include "pipeline/scrub.h"
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

enum { REQUEST_MAX = 8 };
#define INTERVAL_US 60000000

struct request {
    char name[SCRUB_NAME_MAX];
    size_t name_length;
    upkeep_done *done;
    void *context;
};

struct upkeep {
    struct upkeep_options options;
    struct indexer *indexer;
    int64_t retain_at_us, moderate_at_us; /* monotonic */
    struct erasure *erasure;              /* at work; NULL: none */
    struct request request;               /* whose it is; done is NULL: moderators' */
    struct erasure_progress progress;

    pthread_mutex_t lock; /* of all below */
    struct request waiting[REQUEST_MAX];
    size_t waiting_count;
    bool stopped;
};

struct upkeep *upkeep_create(const struct upkeep_options *options, struct indexer *indexer, struct error *error)
{
    struct upkeep *upkeep = calloc(1, sizeof *upkeep);
    if (!upkeep) {
        error_set(error, "out of memory");
        return NULL;
    }
    upkeep->options = *options;
    upkeep->indexer = indexer;
    pthread_mutex_init(&upkeep->lock, NULL);
    return upkeep;
}

void upkeep_destroy(struct upkeep *upkeep)
{
    if (!upkeep)
        return;
    assert(!upkeep->erasure && upkeep->waiting_count == 0); /* stopped */
    pthread_mutex_destroy(&upkeep->lock);
    free(upkeep);
}

/* ---- retention ---- */

static void retain(struct upkeep *upkeep)
{
    const struct upkeep_options *options = &upkeep->options;
    struct bus_retention retention = options->retention;
    if (retention.max_age_us == 0 && retention.max_bytes == 0)
        return;
    struct error error;
    struct bus_info info;
    int64_t now_us = options->env->now_us(options->env);
    retention.keep_from = indexer_next_offset(upkeep->indexer);
    if (bus_truncate(options->parts.bus, &retention, now_us, &error) < 0) {
        log_event(LOG_WARNING, "retention_failed", "%s", error.text);
        return;
    }
    bus_info(options->parts.bus, &info);
    int64_t older_than_us = retention.max_age_us > 0 ? now_us - retention.max_age_us : 0;
    if (store_retain(options->parts.store, older_than_us, info.first_offset, &error) < 0)
        log_event(LOG_WARNING, "retention_failed", "%s", error.text);
}

/* ---- erasure ---- */

static void answer(const struct request *request, const struct erasure_result *result, const struct error *error)
{
    if (request->done)
        request->done(request->context, result, error);
}

/* Takes the next request, if there is one. */
static bool take_request(struct upkeep *upkeep)
{
    pthread_mutex_lock(&upkeep->lock);
    bool taken = upkeep->waiting_count > 0;
    if (taken) {
        upkeep->request = upkeep->waiting[0];
        upkeep->waiting_count--;
        memmove(upkeep->waiting, upkeep->waiting + 1, upkeep->waiting_count * sizeof upkeep->waiting[0]);
    }
    pthread_mutex_unlock(&upkeep->lock);
    return taken;
}

/* Begins the next erasure.  True if there is one. */
static bool begin(struct upkeep *upkeep, int64_t now_us)
{
    struct error error = {""};
    const struct erasure_result none = {0};
    if (take_request(upkeep)) {
        struct bytes name = bytes_of(upkeep->request.name, upkeep->request.name_length);
        upkeep->erasure = erasure_of_user(&upkeep->options.parts, name, &error);
        if (!upkeep->erasure)
            answer(&upkeep->request, &none, &error);
    } else if (upkeep->options.erase_moderated && now_us >= upkeep->moderate_at_us) {
        upkeep->request = (struct request){.done = NULL};
        upkeep->moderate_at_us = now_us + INTERVAL_US;
        if (erasure_of_marks(&upkeep->options.parts, &upkeep->progress, indexer_next_offset(upkeep->indexer), &upkeep->erasure,
                             &error) < 0)
            log_event(LOG_ERROR, "erasure_failed", "what moderators took down is not erased: %s", error.text);
    }
    return upkeep->erasure != NULL;
}

static void end(struct upkeep *upkeep, const struct error *error)
{
    struct erasure_result result;
    erasure_result(upkeep->erasure, &result);
    if (error)
        log_event(LOG_ERROR, "erasure_failed", "%s", error->text);
    else if (result.events + result.documents + result.rejects > 0)
        log_event(LOG_INFO, "erased", "%llu events, %llu documents, %llu refused records (%s)", (unsigned long long)result.events,
                  (unsigned long long)result.documents, (unsigned long long)result.rejects,
                  upkeep->request.done ? "a user's, as asked for" : "taken down by moderators");
    erasure_destroy(upkeep->erasure);
    upkeep->erasure = NULL;
    answer(&upkeep->request, &result, error);
}

bool upkeep_step(struct upkeep *upkeep)
{
    struct error error = {""};
    int64_t now_us = upkeep->options.env->monotonic_us(upkeep->options.env);
    if (now_us >= upkeep->retain_at_us) {
        retain(upkeep);
        upkeep->retain_at_us = now_us + INTERVAL_US;
    }
    if (!upkeep->erasure && !begin(upkeep, now_us))
        return false;
    int status = erasure_step(upkeep->erasure, &error);
    indexer_read_anew(upkeep->indexer); /* it may hold what has just gone */
    if (status <= 0)
        end(upkeep, status < 0 ? &error : NULL);
    return true;
}

int upkeep_erase_user(struct upkeep *upkeep, struct bytes name, upkeep_done *done, void *context, struct error *error)
{
    assert(done);
    if (!scrub_name_is_valid(name))
        return error_set(error, "no name that a user could have");
    int status = 0;
    pthread_mutex_lock(&upkeep->lock);
    if (upkeep->stopped) {
        status = error_set(error, "the program is stopping");
    } else if (upkeep->waiting_count == REQUEST_MAX) {
        status = error_set(error, "%d erasures wait already; try again later", REQUEST_MAX);
    } else {
        struct request *request = &upkeep->waiting[upkeep->waiting_count++];
        *request = (struct request){.name_length = name.length, .done = done, .context = context};
        memcpy(request->name, name.at, name.length);
    }
    pthread_mutex_unlock(&upkeep->lock);
    return status;
}

void upkeep_stop(struct upkeep *upkeep)
{
    const struct erasure_result none = {0};
    const struct error stopping = {"the program stopped before it was done; ask again"};
    pthread_mutex_lock(&upkeep->lock);
    upkeep->stopped = true;
    pthread_mutex_unlock(&upkeep->lock);
    if (upkeep->erasure && upkeep->request.done) {
        end(upkeep, &stopping);
    } else { /* the next start carries out what moderators took down */
        erasure_destroy(upkeep->erasure);
        upkeep->erasure = NULL;
    }
    while (take_request(upkeep))
        answer(&upkeep->request, &none, &stopping);
}
