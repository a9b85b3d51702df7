/* `dataflow run`: the whole pipeline with the live page.  Opened in the order store (whose position the log must reach), log,
 * pipeline, serve, and closed the other way round; everything is released in one place. */
#include "app/command.h"

#include "app/net_probe.h"
#include "app/run_backend.h"
#include "app/source_setup.h"
#include "pipeline/indexer.h"
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

struct run {
    const struct command_context *context;
    const struct config *config;
    struct bus *bus;
    struct store *store;
    struct rejects *rejects;
    struct pipeline *pipeline;
    struct serve *serve;
    struct run_backend backend;
};

/* Serve is there after the pipeline: until then there is nobody to tell. */
static void on_durable(void *context)
{
    struct run *run = context;
    struct serve *serve = __atomic_load_n(&run->serve, __ATOMIC_ACQUIRE);
    if (serve)
        serve_notify(serve);
}

/* Before anything is opened or made: serve itself starts last. */
static int run_probe_address(const struct run *run, struct error *error)
{
    struct error found;
    if (probe_listen(run->config, &found) == PROBE_FREE)
        return 0;
    return error_set(error, "%s (--listen): %.400s", run->config->listen, found.text);
}

static int run_open_storage(struct run *run, struct error *error)
{
    const struct config *config = run->config;
    command_keep_private();
    if (mkdir(config->data, 0750) < 0 && errno != EEXIST)
        return error_set_errno(error, errno, "cannot make the data directory %s (--data)", config->data);
    struct bus_log_options options = {.directory = config->log_directory,
                                      .sync = config->sync,
                                      .segment_bytes = config->segment_bytes,
                                      .compress = config->compress};
    run->store = store_sqlite_open(config->store_file, error);
    if (!run->store || store_position(run->store, INDEXER_READER, &options.known_end, error) < 0)
        return -1;
    run->bus = bus_log_open(&options, env_system(), error);
    if (!run->bus)
        return -1;
    run->rejects = rejects_open(config->data, error);
    return run->rejects ? 0 : -1;
}

static int run_start_pipeline(struct run *run, struct error *error)
{
    const struct config *config = run->config;
    struct source_setup setup;
    if (source_setup(config, &setup, error) < 0)
        return -1;
    struct pipeline_options options = {
        .env = env_system(),
        .bus = run->bus,
        .store = run->store,
        .rejects = run->rejects,
        .tls_ca_file = config->tls_ca_file,
        .allow_plaintext = config->allow_plaintext,
        .recording_speed = config->speed,
        .demo_path = setup.demo_path,
        .retention = {.max_age_us = config->retention_age_us, .max_bytes = config->retention_bytes},
        .erase_moderated = config->erase_moderated,
        .on_durable = on_durable,
        .context = run,
    };
    run->pipeline = pipeline_start(&options, setup.sources, setup.count, error);
    return run->pipeline ? 0 : -1;
}

static int run_start_serve(struct run *run, struct error *error)
{
    const struct config *config = run->config;
    struct serve_backend backend;
    run->backend = (struct run_backend){.bus = run->bus, .store = run->store, .pipeline = run->pipeline};
    run_backend_fill(&run->backend, &backend);
    struct serve_options options = {.address = config->listen_address,
                                    .port = config->listen_port,
                                    .token = config->token,
                                    .auth_none = config->auth == CONFIG_AUTH_NONE,
                                    .allowed_hosts = config->allowed_hosts};
    struct serve *serve = serve_start(&options, &backend, error);
    if (!serve)
        return -1;
    __atomic_store_n(&run->serve, serve, __ATOMIC_RELEASE);
    log_event(LOG_INFO, "ready", "live page on http://%s:%d/ (data in %s; Ctrl-C stops)", config->listen_address,
              serve_port(serve), config->data);
    return 0;
}

/* Runs until told to end; or, if wanted, until the sources have ended.  -1: one of those failed. */
static int run_wait(const struct run *run, struct error *error)
{
    while (!command_interrupted()) {
        if (run->config->exit_at_end && pipeline_ended(run->pipeline))
            return source_setup_failure(run->pipeline, error);
        usleep(20000);
    }
    return 0;
}

static void run_close(struct run *run)
{
    if (run->pipeline)
        pipeline_stop(run->pipeline);
    if (run->serve)
        serve_stop(run->serve);
    if (run->pipeline)
        pipeline_destroy(run->pipeline);
    run_backend_release(&run->backend);
    rejects_close(run->rejects);
    if (run->store)
        store_destroy(run->store);
    if (run->bus)
        bus_destroy(run->bus);
}

int command_run(const struct command_context *context)
{
    struct run run = {.context = context, .config = context->config};
    struct error error = {""};
    command_catch_signals(NULL);
    bool failed = run_probe_address(&run, &error) < 0 || run_open_storage(&run, &error) < 0 ||
                  run_start_pipeline(&run, &error) < 0 || run_start_serve(&run, &error) < 0 || run_wait(&run, &error) < 0;
    run_close(&run);
    log_flush();
    return failed ? command_failed(context, &error) : command_stop_status();
}
