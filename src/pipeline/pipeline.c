/* Who owns a batch: the pool (empty), the ingest thread (being filled), the queue, the sequencer (in a group), and the pool
 * again.  The ledger's stages are one a source, "log" and "store"; a source's counts are published when its batch has
 * been given away. */
#include "pipeline/pipeline.h"

#include "base/logging.h"
#include "base/queue.h"
#include "pipeline/driver.h"
#include "pipeline/duplicates.h"
#include "pipeline/indexer.h"
#include "pipeline/resume.h"
#include "pipeline/sequencer.h"
#include "pipeline/upkeep.h"
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

enum { BATCH_COUNT = 8, BATCH_EVENTS = 1024, SOURCE_MAX = LEDGER_STAGE_MAX - 2, RATE_SLOTS = 10 };
#define STEP_US 100000
#define RETRY_US 1000000

/* Event counts at the last ten seconds' borders, for the rate. */
struct rate_window {
    int64_t second[RATE_SLOTS];
    uint64_t events[RATE_SLOTS];
    size_t newest, count;
};

struct pipeline {
    struct pipeline_options options;
    struct driver *driver;
    struct ledger ledger;
    int log_stage, store_stage;
    struct queue *pool;    /* empty batches */
    struct queue *batches; /* filled ones, in order */
    struct sequencer sequencer;
    uint64_t dropped;              /* the sequencer thread's */
    struct duplicates *duplicates; /* with several chat sources; otherwise their own memory suffices */
    struct indexer *indexer;
    struct upkeep *upkeep; /* with the indexer */
    pthread_t ingest_thread, sequencer_thread, writer_thread;
    size_t threads_started;
    atomic_bool stopping, sources_ended, log_done, written;

    pthread_mutex_t lock; /* of what follows */
    struct pipeline_source_status *sources;
    struct rate_window *rates;
    size_t source_count;
    struct error log_problem, store_problem; /* empty text: none */
};

/* ---- what others see ---- */

static void set_problem(struct pipeline *pipeline, struct error *problem, const char *text)
{
    pthread_mutex_lock(&pipeline->lock);
    snprintf(problem->text, sizeof problem->text, "%s", text);
    pthread_mutex_unlock(&pipeline->lock);
}

bool pipeline_ready(struct pipeline *pipeline, struct error *why)
{
    pthread_mutex_lock(&pipeline->lock);
    const struct error *problem = pipeline->log_problem.text[0] ? &pipeline->log_problem : &pipeline->store_problem;
    bool ready = problem->text[0] == '\0';
    if (!ready && why)
        *why = *problem;
    pthread_mutex_unlock(&pipeline->lock);
    return ready;
}

static double rate_update(struct rate_window *window, int64_t now_us, uint64_t events)
{
    int64_t second = now_us / 1000000;
    if (window->count == 0 || window->second[window->newest] != second) {
        window->newest = (window->newest + 1) % RATE_SLOTS;
        window->second[window->newest] = second;
        window->events[window->newest] = events;
        if (window->count < RATE_SLOTS)
            window->count++;
    }
    size_t oldest = (window->newest + RATE_SLOTS + 1 - window->count) % RATE_SLOTS;
    double seconds = (double)now_us / 1e6 - (double)window->second[oldest];
    return seconds > 0 ? (double)(events - window->events[oldest]) / seconds : 0;
}

static void publish_sources(struct pipeline *pipeline)
{
    int64_t now_us = pipeline->options.env->monotonic_us(pipeline->options.env);
    pthread_mutex_lock(&pipeline->lock);
    for (size_t i = 0; i < pipeline->source_count; i++) {
        const struct source *source = driver_source(pipeline->driver, i);
        struct pipeline_source_status *status = &pipeline->sources[i];
        const struct source_statistics *s = source_statistics(source);
        status->statistics = *s;
        status->rate = rate_update(&pipeline->rates[i], now_us, s->events);
        snprintf(status->last_error, sizeof status->last_error, "%s", source_last_error(source));
        struct ledger_counts counts = {.in = s->frames,
                                       .created = s->created,
                                       .out = s->events,
                                       .rejected = s->rejected,
                                       .duplicate = s->duplicates,
                                       .filtered = s->filtered};
        ledger_set(&pipeline->ledger, (int)i, &counts);
    }
    pthread_mutex_unlock(&pipeline->lock);
}

size_t pipeline_sources(struct pipeline *pipeline, struct pipeline_source_status *statuses, size_t max)
{
    pthread_mutex_lock(&pipeline->lock);
    size_t count = pipeline->source_count;
    memcpy(statuses, pipeline->sources, (count < max ? count : max) * sizeof *statuses);
    pthread_mutex_unlock(&pipeline->lock);
    return count;
}

struct ledger *pipeline_ledger(struct pipeline *pipeline)
{
    return &pipeline->ledger;
}

/* ---- ingest thread ---- */

/* Waits for the sequencer to give one back: the sources pause, and their ages and rates go on to be told. */
static struct event_batch *take_batch(void *context)
{
    struct pipeline *pipeline = context;
    struct event_batch *batch = queue_pop(pipeline->pool, 0);
    while (!batch) {
        publish_sources(pipeline);
        batch = queue_pop(pipeline->pool, STEP_US);
    }
    return batch;
}

static void give_batch(void *context, struct event_batch *batch)
{
    struct pipeline *pipeline = context;
    ledger_enter(&pipeline->ledger, pipeline->log_stage, batch->count);
    bool taken = queue_push(pipeline->batches, batch, -1);
    assert(taken); /* the queue is closed by this thread alone, and holds all batches that there are */
    (void)taken;
}

static void on_reject(void *context, const struct source *source, const struct source_reject *reject)
{
    struct pipeline *pipeline = context;
    struct bytes reason = reject_reason_name(reject->reason);
    log_event(LOG_WARNING, "record_refused", "%s: refused a record: %.*s", source_name(source), BYTES_ARG(reason));
    if (pipeline->options.rejects)
        rejects_keep(pipeline->options.rejects, pipeline->options.env->now_us(pipeline->options.env),
                     bytes_of_string(source_name(source)), reject->reason, reject->frame);
}

static void *ingest_run(void *context)
{
    struct pipeline *pipeline = context;
    driver_connect(pipeline->driver);
    bool more = true;
    while (more && !atomic_load(&pipeline->stopping)) {
        more = driver_step(pipeline->driver, STEP_US);
        publish_sources(pipeline);
    }
    driver_close(pipeline->driver);
    publish_sources(pipeline);
    atomic_store(&pipeline->sources_ended, true);
    queue_close(pipeline->batches);
    return NULL;
}

/* ---- sequencer thread ---- */

struct group {
    struct event_batch *batches[BATCH_COUNT];
    size_t count;
    uint64_t events;
};

/* The log took no writes up to the end: what is given up was never acknowledged. */
static void drop_events(struct pipeline *pipeline, uint64_t count)
{
    ledger_drop(&pipeline->ledger, pipeline->log_stage, count);
    pipeline->dropped += count;
}

static void group_add(struct pipeline *pipeline, struct group *group, struct event_batch *batch)
{
    struct error error = {""};
    if (pipeline->duplicates) {
        size_t removed = duplicates_remove(pipeline->duplicates, batch, pipeline->options.env->now_us(pipeline->options.env));
        ledger_duplicate(&pipeline->ledger, pipeline->log_stage, removed);
    }
    while (sequencer_add(&pipeline->sequencer, batch, &error) < 0) {
        log_event(LOG_ERROR, "group_failed", "%s; trying again", error.text);
        set_problem(pipeline, &pipeline->log_problem, error.text);
        if (atomic_load(&pipeline->stopping)) {
            drop_events(pipeline, batch->count);
            batch->count = 0;
            break;
        }
        usleep(RETRY_US);
    }
    group->batches[group->count++] = batch;
    group->events += batch->count;
}

/* Appends until it works: a full disk is waited for, and the sources with it.  False: stopping and still failing. */
static bool group_append(struct pipeline *pipeline, const struct group *group)
{
    struct error error = {""};
    if (pipeline->indexer) /* before the append: the store writer may be faster than this thread */
        ledger_enter(&pipeline->ledger, pipeline->store_stage, group->events);
    while (sequencer_append(&pipeline->sequencer, pipeline->options.bus, &error) < 0) {
        log_event(LOG_ERROR, "log_failed", "the log takes no writes, sources pause: %s", error.text);
        set_problem(pipeline, &pipeline->log_problem, error.text);
        if (atomic_load(&pipeline->stopping)) {
            if (pipeline->indexer)
                ledger_retract(&pipeline->ledger, pipeline->store_stage, group->events);
            drop_events(pipeline, group->events);
            return false;
        }
        usleep(RETRY_US);
    }
    if (pipeline->log_problem.text[0]) {
        log_event(LOG_INFO, "log_recovered", "the log takes writes again");
        set_problem(pipeline, &pipeline->log_problem, "");
    }
    return true;
}

static void group_finish(struct pipeline *pipeline, struct group *group, bool appended)
{
    if (appended) {
        ledger_leave(&pipeline->ledger, pipeline->log_stage, group->events);
        if (pipeline->options.on_durable)
            pipeline->options.on_durable(pipeline->options.context);
    } else {
        sequencer_reset(&pipeline->sequencer);
    }
    for (size_t i = 0; i < group->count; i++) {
        event_batch_reset(group->batches[i]);
        queue_push(pipeline->pool, group->batches[i], 0);
    }
    *group = (struct group){0};
}

static void *sequencer_run(void *context)
{
    struct pipeline *pipeline = context;
    struct group group = {0};
    for (struct event_batch *batch; (batch = queue_pop(pipeline->batches, -1));) {
        group_add(pipeline, &group, batch);
        while (group.count < BATCH_COUNT && !sequencer_is_full(&pipeline->sequencer) && (batch = queue_pop(pipeline->batches, 0)))
            group_add(pipeline, &group, batch);
        group_finish(pipeline, &group, group_append(pipeline, &group));
    }
    if (pipeline->dropped > 0)
        log_event(LOG_ERROR, "events_unwritten", "%llu events were received and not acknowledged: the log took no writes",
                  (unsigned long long)pipeline->dropped);
    atomic_store(&pipeline->log_done, true);
    return NULL;
}

/* ---- writer thread ---- */

/* One step of the store writer.  True: there may be more at once. */
static bool writer_step(struct pipeline *pipeline)
{
    struct error error = {""};
    uint64_t count, lost = indexer_lost(pipeline->indexer);
    if (indexer_step(pipeline->indexer, &count, &error) < 0) {
        log_event(LOG_ERROR, "store_failed", "the store takes no writes; the log keeps the events: %s", error.text);
        set_problem(pipeline, &pipeline->store_problem, error.text);
        usleep(RETRY_US);
        return false;
    }
    if (pipeline->store_problem.text[0]) {
        log_event(LOG_INFO, "store_recovered", "the store takes writes again");
        set_problem(pipeline, &pipeline->store_problem, "");
    }
    ledger_leave(&pipeline->ledger, pipeline->store_stage, count);
    ledger_retract(&pipeline->ledger, pipeline->store_stage, indexer_lost(pipeline->indexer) - lost);
    return count > 0;
}

/* Until the stop: upkeep goes on when the sources have ended. */
static void *writer_run(void *context)
{
    struct pipeline *pipeline = context;
    for (;;) {
        bool last = atomic_load(&pipeline->log_done); /* before the step: then the step sees all */
        bool more = writer_step(pipeline);
        if (last && !more) {
            atomic_store(&pipeline->written, true);
            if (atomic_load(&pipeline->stopping))
                break;
        }
        bool busy = upkeep_step(pipeline->upkeep);
        if (!more && !busy)
            bus_wait(pipeline->options.bus, indexer_next_offset(pipeline->indexer), STEP_US);
    }
    upkeep_stop(pipeline->upkeep);
    return NULL;
}

/* ---- start and stop ---- */

static int pipeline_prepare_sources(struct pipeline *pipeline, const struct pipeline_source *sources, size_t count,
                                    struct error *error)
{
    if (count > SOURCE_MAX) {
        for (size_t i = 0; i < count; i++)
            source_destroy(sources[i].source);
        return error_set(error, "more than %d sources", SOURCE_MAX);
    }
    pipeline->sources = calloc(count + 1, sizeof *pipeline->sources);
    pipeline->rates = calloc(count + 1, sizeof *pipeline->rates);
    int result = pipeline->sources && pipeline->rates ? 0 : error_set(error, "out of memory");
    for (size_t i = 0; i < count; i++) {
        if (result < 0) {
            source_destroy(sources[i].source);
            continue;
        }
        struct pipeline_source_status *status = &pipeline->sources[i];
        char stage[LEDGER_NAME_MAX];
        snprintf(status->name, sizeof status->name, "%s", source_name(sources[i].source));
        status->statistics = *source_statistics(sources[i].source);
        snprintf(status->kind, sizeof status->kind, "%.*s", BYTES_ARG(source_kind(sources[i].source)));
        snprintf(stage, sizeof stage, "source:%.*s", LEDGER_NAME_MAX - 8, status->name);
        ledger_stage_add(&pipeline->ledger, stage);
        result = driver_add(pipeline->driver, sources[i].source, sources[i].loop, error);
        if (result == 0)
            pipeline->source_count++;
    }
    return result;
}

static int pipeline_prepare_duplicates(struct pipeline *pipeline, struct error *error)
{
    size_t chat_sources = 0;
    for (size_t i = 0; i < pipeline->source_count; i++)
        if (bytes_start_with(bytes_of_string(pipeline->sources[i].kind), BYTES("twitch-")))
            chat_sources++;
    if (chat_sources > 1)
        pipeline->duplicates = duplicates_create();
    return chat_sources > 1 && !pipeline->duplicates ? error_set(error, "out of memory") : 0;
}

static int pipeline_resume_sources(struct pipeline *pipeline, const struct pipeline_source *sources, size_t count,
                                   struct error *error)
{
    struct source *resumed[SOURCE_MAX];
    for (size_t i = 0; i < count; i++)
        resumed[i] = sources[i].source;
    return resume_sources(pipeline->options.bus, resumed, count, error);
}

static int pipeline_prepare_batches(struct pipeline *pipeline, struct error *error)
{
    pipeline->pool = queue_create(BATCH_COUNT);
    pipeline->batches = queue_create(BATCH_COUNT);
    for (size_t i = 0; pipeline->pool && pipeline->batches && i < BATCH_COUNT; i++) {
        struct event_batch *batch = event_batch_create(BATCH_EVENTS);
        if (!batch)
            return error_set(error, "out of memory for %d batches", BATCH_COUNT);
        queue_push(pipeline->pool, batch, 0);
    }
    return pipeline->pool && pipeline->batches ? 0 : error_set(error, "out of memory");
}

/* What the log holds beyond the store's position has come in already. */
static int pipeline_prepare_writer(struct pipeline *pipeline, struct error *error)
{
    pipeline->indexer = indexer_create(pipeline->options.bus, pipeline->options.store, error);
    if (!pipeline->indexer)
        return -1;
    const struct pipeline_options *options = &pipeline->options;
    struct upkeep_options upkeep = {
        .env = options->env,
        .parts = {.bus = options->bus, .store = options->store, .rejects = options->rejects},
        .retention = options->retention,
        .erase_moderated = options->erase_moderated,
    };
    pipeline->upkeep = upkeep_create(&upkeep, pipeline->indexer, error);
    if (!pipeline->upkeep)
        return -1;
    struct bus_info info;
    bus_info(pipeline->options.bus, &info);
    ledger_enter(&pipeline->ledger, pipeline->store_stage, info.end_offset - indexer_next_offset(pipeline->indexer));
    return 0;
}

static int pipeline_start_threads(struct pipeline *pipeline, struct error *error)
{
    pthread_t *threads[] = {&pipeline->sequencer_thread, &pipeline->writer_thread, &pipeline->ingest_thread};
    void *(*const runs[])(void *) = {sequencer_run, writer_run, ingest_run};
    for (size_t i = 0; i < 3; i++) {
        if (i == 1 && !pipeline->indexer)
            atomic_store(&pipeline->written, true);
        else if (pthread_create(threads[i], NULL, runs[i], pipeline) != 0)
            return error_set(error, "cannot start a thread");
        pipeline->threads_started = i + 1;
    }
    return 0;
}

struct pipeline *pipeline_start(const struct pipeline_options *options, const struct pipeline_source *sources, size_t count,
                                struct error *error)
{
    struct pipeline *pipeline = calloc(1, sizeof *pipeline);
    if (!pipeline) {
        for (size_t i = 0; i < count; i++)
            source_destroy(sources[i].source);
        error_set(error, "out of memory");
        return NULL;
    }
    pipeline->options = *options;
    pthread_mutex_init(&pipeline->lock, NULL);
    ledger_init(&pipeline->ledger);
    sequencer_init(&pipeline->sequencer);
    struct driver_options driver_options = {
        .env = options->env,
        .tls_ca_file = options->tls_ca_file,
        .allow_plaintext = options->allow_plaintext,
        .recording_speed = options->recording_speed,
        .demo_path = options->demo_path,
        .callbacks = {.context = pipeline, .take = take_batch, .give = give_batch, .reject = on_reject}};
    pipeline->driver = driver_create(&driver_options, error);
    int result = pipeline->driver ? pipeline_prepare_sources(pipeline, sources, count, error) : -1;
    pipeline->log_stage = ledger_stage_add(&pipeline->ledger, "log");
    pipeline->store_stage = options->store ? ledger_stage_add(&pipeline->ledger, "store") : -1;
    if (result == 0)
        result = pipeline_prepare_duplicates(pipeline, error);
    if (result == 0)
        result = pipeline_resume_sources(pipeline, sources, count, error);
    if (result == 0)
        result = pipeline_prepare_batches(pipeline, error);
    if (result == 0 && options->store)
        result = pipeline_prepare_writer(pipeline, error);
    if (result == 0)
        result = pipeline_start_threads(pipeline, error);
    if (result < 0) {
        pipeline_stop(pipeline);
        pipeline_destroy(pipeline);
        return NULL;
    }
    return pipeline;
}

static void destroy_batches(struct queue *queue)
{
    if (!queue)
        return;
    for (struct event_batch *batch; (batch = queue_pop(queue, 0));)
        event_batch_destroy(batch);
    queue_destroy(queue);
}

void pipeline_stop(struct pipeline *pipeline)
{
    atomic_store(&pipeline->stopping, true);
    if (pipeline->threads_started == 3) {
        driver_wake(pipeline->driver);
        pthread_join(pipeline->ingest_thread, NULL);
    } else if (pipeline->threads_started > 0) { /* a start that failed half-way */
        queue_close(pipeline->batches);
    }
    if (pipeline->threads_started >= 1)
        pthread_join(pipeline->sequencer_thread, NULL);
    if (pipeline->threads_started >= 2 && pipeline->indexer)
        pthread_join(pipeline->writer_thread, NULL);
    pipeline->threads_started = 0;
}

void pipeline_destroy(struct pipeline *pipeline)
{
    assert(pipeline->threads_started == 0);
    driver_destroy(pipeline->driver);
    upkeep_destroy(pipeline->upkeep);
    indexer_destroy(pipeline->indexer);
    duplicates_destroy(pipeline->duplicates);
    destroy_batches(pipeline->batches);
    destroy_batches(pipeline->pool);
    sequencer_release(&pipeline->sequencer);
    ledger_release(&pipeline->ledger);
    pthread_mutex_destroy(&pipeline->lock);
    free(pipeline->sources);
    free(pipeline->rates);
    free(pipeline);
}

bool pipeline_ended(struct pipeline *pipeline)
{
    return atomic_load(&pipeline->sources_ended) && atomic_load(&pipeline->log_done) && atomic_load(&pipeline->written);
}

int pipeline_erase_user(struct pipeline *pipeline, struct bytes name, pipeline_erased *done, void *context, struct error *error)
{
    if (!pipeline->upkeep)
        return error_set(error, "there is no store to erase from");
    return upkeep_erase_user(pipeline->upkeep, name, done, context, error);
}
