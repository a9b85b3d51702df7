/* dataflow rebuild: makes the store anew from the log, which is the source of truth.  Holds the log as its writer
 * meanwhile, so that no running instance can write the same store.  Interrupted, it leaves a store that the next start
 * completes. */
#include "app/command.h"
#include "app/progress.h"
#include "pipeline/indexer.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

/* A store that cannot be opened is what a rebuild is for: it is put aside, never deleted. */
static struct store *open_store(const char *path, struct error *error)
{
    struct store *store = store_sqlite_open(path, error);
    if (store)
        return store;
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    char from[4096], to[4096];
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        int long_name = snprintf(from, sizeof from, "%s%s", path, suffixes[i]) >= (int)sizeof from ||
                        snprintf(to, sizeof to, "%s.damaged%s", path, suffixes[i]) >= (int)sizeof to;
        if (long_name || (rename(from, to) && errno != ENOENT))
            return NULL; /* with the error of the opening */
    }
    log_event(LOG_WARNING, "store_put_aside", "%s; it is kept as %s.damaged", error->text, path);
    return store_sqlite_open(path, error);
}

static int fill(const struct command_context *context, struct bus *bus, struct store *store, uint64_t *events,
                struct error *error)
{
    struct bus_info info;
    bus_info(bus, &info);
    if (store_clear(store, error))
        return -1;
    struct indexer *indexer = indexer_create(bus, store, error);
    if (!indexer)
        return -1;
    struct progress progress;
    progress_start(&progress, context->progress, "rebuilding", "events", info.end_offset - info.first_offset);
    uint64_t count = 1;
    int status = 0;
    while (status == 0 && count > 0 && !command_interrupted()) {
        status = indexer_step(indexer, &count, error);
        *events += count;
        progress_update(&progress, *events);
    }
    progress_end(&progress);
    indexer_destroy(indexer);
    return status;
}

/* 0, or an error that tells what the store lacks. */
static int check_whole(struct bus *bus, struct error *error)
{
    struct error first;
    uint64_t lost = bus_damage(bus, &first);
    return lost == 0 ? 0
                     : error_set(error, "%" PRIu64 " records of the log cannot be read; the store has all others: %s", lost,
                                 first.text);
}

static void report(const struct command_context *context, struct store *store, uint64_t events, double seconds)
{
    struct store_info info;
    store_info(store, &info);
    char number[32], rows[32];
    if (context->json)
        printf("{\"events\":%" PRIu64 ",\"index_rows\":%" PRIu64 ",\"seconds\":%.3f}\n", events, info.index_rows, seconds);
    else
        fprintf(stderr, "%s: %s events in %s index rows, %.1f s\n", context->config->store_file,
                number_for_people(events, number), number_for_people(info.index_rows, rows), seconds);
}

int command_rebuild(const struct command_context *context)
{
    const struct config *config = context->config;
    const struct env *env = env_system();
    int64_t began_us = env->monotonic_us(env);
    struct error error;
    if (access(config->log_directory, F_OK)) {
        error_set(&error, "there is no log in %s; name the data of `dataflow run` with --data DIR", config->log_directory);
        return command_failed(context, &error);
    }
    command_catch_signals(NULL);
    command_keep_private();
    struct bus_log_options options = {.directory = config->log_directory,
                                      .sync = config->sync,
                                      .segment_bytes = config->segment_bytes,
                                      .compress = config->compress};
    struct bus *bus = bus_log_open(&options, env, &error);
    struct store *store = bus ? open_store(config->store_file, &error) : NULL;
    uint64_t events = 0;
    int status = store ? fill(context, bus, store, &events, &error) : -1;
    if (status == 0 && !command_interrupted())
        report(context, store, events, (double)(env->monotonic_us(env) - began_us) / 1e6);
    if (status == 0)
        status = check_whole(bus, &error);
    if (store)
        store_destroy(store);
    if (bus)
        bus_destroy(bus);
    if (status)
        return command_failed(context, &error);
    return command_interrupted() ? COMMAND_INTERRUPTED : COMMAND_DONE;
}
