#include "app/run_backend.h"

#include "app/event_query.h"
#include "event/event.h"
#include "pipeline/indexer.h"
#include "pipeline/scrub.h"
#include <stdlib.h>

/* The counts of a stage by the names of the API and of the metrics. */
static const struct {
    const char *name;
    size_t at;
} ledger_fields[] = {
    {"in", offsetof(struct ledger_counts, in)},
    {"created", offsetof(struct ledger_counts, created)},
    {"out", offsetof(struct ledger_counts, out)},
    {"rejected", offsetof(struct ledger_counts, rejected)},
    {"duplicate", offsetof(struct ledger_counts, duplicate)},
    {"filtered", offsetof(struct ledger_counts, filtered)},
    {"late", offsetof(struct ledger_counts, late)},
    {"dropped", offsetof(struct ledger_counts, dropped)},
    {"pending", offsetof(struct ledger_counts, pending)},
};
enum { LEDGER_FIELDS = sizeof ledger_fields / sizeof ledger_fields[0] };

static uint64_t ledger_field(const struct ledger_counts *counts, size_t field)
{
    uint64_t value;
    memcpy(&value, (const char *)counts + ledger_fields[field].at, sizeof value);
    return value;
}

static int64_t monotonic_us(void)
{
    return env_system()->monotonic_us(env_system());
}

static void write_time(struct buffer *out, int64_t time_us)
{
    if (time_us == TIME_UNKNOWN) {
        BUFFER_LITERAL(out, "null");
        return;
    }
    buffer_byte(out, '"');
    timestamp_append(out, time_us);
    buffer_byte(out, '"');
}

static void write_count(struct buffer *out, const char *name, uint64_t value)
{
    buffer_printf(out, ",\"%s\":%llu", name, (unsigned long long)value);
}

/* ---- status ---- */

static void write_stage(struct buffer *out, const struct ledger_stage *stage)
{
    BUFFER_LITERAL(out, "{\"name\":");
    buffer_json_string(out, bytes_of_string(stage->name));
    for (size_t f = 0; f < LEDGER_FIELDS; f++)
        write_count(out, ledger_fields[f].name, ledger_field(&stage->counts, f));
    buffer_byte(out, '}');
}

static void write_stages(struct run_backend *state, struct buffer *out)
{
    struct ledger_stage stages[LEDGER_STAGE_MAX];
    size_t count = ledger_snapshot(pipeline_ledger(state->pipeline), stages);
    BUFFER_LITERAL(out, ",\"stages\":[");
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buffer_byte(out, ',');
        write_stage(out, &stages[i]);
    }
    buffer_byte(out, ']');
}

static void write_log(struct run_backend *state, struct buffer *out)
{
    struct bus_info info;
    bus_info(state->bus, &info);
    BUFFER_LITERAL(out, ",\"log\":{\"kind\":\"embedded\"");
    write_count(out, "first_offset", info.first_offset);
    write_count(out, "end_offset", info.end_offset);
    write_count(out, "size_bytes", info.size_bytes);
    write_count(out, "segments", info.segments);
    write_count(out, "records_appended", info.records_appended);
    write_count(out, "batches_appended", info.batches_appended);
    write_count(out, "syncs", info.syncs);
    write_count(out, "cut_bytes", info.cut_bytes);
    buffer_printf(out, ",\"last_sync_ms\":%.3f}", (double)info.last_sync_us / 1000);
}

static void write_store(struct run_backend *state, struct buffer *out)
{
    struct store_info info;
    store_info(state->store, &info);
    BUFFER_LITERAL(out, ",\"store\":{\"kind\":\"sqlite\"");
    write_count(out, "index_rows", info.index_rows);
    write_count(out, "documents", info.documents);
    write_count(out, "size_bytes", info.size_bytes);
    buffer_byte(out, '}');
}

static int backend_status(void *context, struct buffer *out)
{
    struct run_backend *state = context;
    struct error why = {""};
    bool ready = pipeline_ready(state->pipeline, &why);
    bool whole = bus_damage(state->bus, ready ? &why : NULL) == 0; /* told, but new records are taken all the same */
    buffer_printf(out, "{\"version\":\"" DATAFLOW_VERSION "\",\"ready\":%s,\"problem\":", ready ? "true" : "false");
    if (ready && whole)
        BUFFER_LITERAL(out, "null");
    else
        buffer_json_string(out, bytes_of_string(why.text));
    buffer_printf(out, ",\"uptime_seconds\":%.3f", (double)(monotonic_us() - state->started_us) / 1e6);
    write_stages(state, out);
    write_log(state, out);
    write_store(state, out);
    buffer_byte(out, '}');
    return 200;
}

static bool backend_ready(void *context)
{
    struct run_backend *state = context;
    return pipeline_ready(state->pipeline, NULL);
}

/* ---- sources ---- */

static void write_rejected_by(struct buffer *out, const struct source_statistics *statistics)
{
    BUFFER_LITERAL(out, ",\"rejected_by\":{");
    bool first = true;
    for (size_t reason = 0; reason < REJECT_REASON_COUNT; reason++) {
        if (statistics->rejected_by[reason] == 0)
            continue;
        struct bytes name = reject_reason_name((enum reject_reason)reason);
        buffer_printf(out, "%s\"%.*s\":%llu", first ? "" : ",", BYTES_ARG(name),
                      (unsigned long long)statistics->rejected_by[reason]);
        first = false;
    }
    buffer_byte(out, '}');
}

static void write_source(struct buffer *out, const struct pipeline_source_status *status)
{
    const struct source_statistics *s = &status->statistics;
    struct bytes state = source_state_name(s->state);
    int64_t now_us = env_system()->now_us(env_system());
    BUFFER_LITERAL(out, "{\"name\":");
    buffer_json_string(out, bytes_of_string(status->name));
    BUFFER_LITERAL(out, ",\"kind\":");
    buffer_json_string(out, bytes_of_string(status->kind));
    buffer_printf(out, ",\"state\":\"%.*s\",\"since\":", BYTES_ARG(state));
    write_time(out, s->since_us);
    BUFFER_LITERAL(out, ",\"last_event\":");
    write_time(out, s->last_event_us);
    BUFFER_LITERAL(out, ",\"age_seconds\":");
    if (s->last_event_us == TIME_UNKNOWN)
        BUFFER_LITERAL(out, "null");
    else
        buffer_printf(out, "%.3f", (double)(now_us - s->last_event_us) / 1e6);
    write_count(out, "events", s->events);
    write_count(out, "rejected", s->rejected);
    write_count(out, "duplicates", s->duplicates);
    write_count(out, "filtered", s->filtered);
    write_count(out, "gaps", s->gaps);
    write_count(out, "missing", s->missing);
    write_count(out, "reconnects", s->reconnects);
    buffer_printf(out, ",\"rate\":%.3f", status->rate);
    write_rejected_by(out, s);
    BUFFER_LITERAL(out, ",\"error\":");
    if (status->last_error[0])
        buffer_json_string(out, bytes_of_string(status->last_error));
    else
        BUFFER_LITERAL(out, "null");
    buffer_byte(out, '}');
}

static int backend_sources(void *context, struct buffer *out)
{
    struct run_backend *state = context;
    static struct pipeline_source_status statuses[LEDGER_STAGE_MAX]; /* the serve thread's own */
    size_t count = pipeline_sources(state->pipeline, statuses, LEDGER_STAGE_MAX);
    BUFFER_LITERAL(out, "{\"sources\":[");
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buffer_byte(out, ',');
        write_source(out, &statuses[i]);
    }
    BUFFER_LITERAL(out, "]}");
    return 200;
}

/* ---- events ---- */

static int backend_events(void *context, const struct serve_events_query *query, struct buffer *out, struct error *error)
{
    struct run_backend *state = context;
    return event_query(state->bus, state->store, query, out, error);
}

static const struct {
    const char *name;
    enum store_collection collection;
} collections[] = {{"anomalies", STORE_MARKET_ANOMALIES}, {"alerts", STORE_ALERTS}, {"windows", STORE_WINDOWS}};

static int write_documents(struct run_backend *state, enum store_collection collection, const struct store_range *range,
                           struct buffer *out, struct error *error)
{
    struct arena arena;
    arena_init(&arena, (size_t)64 << 20);
    size_t count = range->limit;
    struct store_document *documents = calloc(count, sizeof *documents);
    int result = documents ? store_find_documents(state->store, collection, range, &arena, documents, &count, error)
                           : error_set(error, "out of memory");
    if (result == 0) {
        BUFFER_LITERAL(out, "{\"events\":[");
        for (size_t i = 0; i < count; i++) {
            if (i > 0)
                buffer_byte(out, ',');
            buffer_append(out, documents[range->newest_first ? count - 1 - i : i].json);
        }
        BUFFER_LITERAL(out, "],\"next\":null}");
    }
    free(documents);
    arena_release(&arena);
    return result == 0 ? 200 : 500;
}

static int backend_documents(void *context, struct bytes collection, struct bytes name, const struct serve_events_query *query,
                             struct buffer *out, struct error *error)
{
    struct run_backend *state = context;
    struct store_range range = {.key = name.length > 0 ? name : query->key,
                                .from_us = query->from_us,
                                .to_us = query->to_us,
                                .limit = query->limit,
                                .newest_first = query->from_us <= TIME_MIN};
    for (size_t i = 0; i < sizeof collections / sizeof collections[0]; i++)
        if (bytes_equal(collection, bytes_of_string(collections[i].name)))
            return write_documents(state, collections[i].collection, &range, out, error);
    error_set(error, "no such collection");
    return 404;
}

/* ---- erasure ---- */

/* Between serve's receipt and the pipeline's answer. */
struct erase_receipt {
    serve_erased *done;
    void *receipt;
};

static void on_erased(void *context, const struct erasure_result *result, const struct error *error)
{
    struct erase_receipt *receipt = context;
    bool found = result->events + result->documents + result->rejects > 0;
    receipt->done(receipt->receipt, result->events, found, error ? error->text : NULL);
    free(receipt);
}

static int backend_erase_user(void *context, struct bytes name, serve_erased *done, void *receipt, int *status,
                              struct error *error)
{
    struct run_backend *state = context;
    *status = 503;
    if (!scrub_name_is_valid(name)) {
        *status = 400;
        return error_set(error, "a user's name has 1 to %d bytes, without spaces, quotes and backslashes", SCRUB_NAME_MAX);
    }
    struct erase_receipt *kept = malloc(sizeof *kept);
    if (!kept)
        return error_set(error, "out of memory");
    *kept = (struct erase_receipt){done, receipt};
    if (pipeline_erase_user(state->pipeline, name, on_erased, kept, error) == 0)
        return 0;
    free(kept);
    return -1;
}

/* ---- live feed ---- */

static bool feed_seek(struct run_backend *state, uint64_t offset)
{
    if (state->feed_reader && state->feed_offset == offset)
        return true;
    if (state->feed_reader)
        bus_reader_close(state->feed_reader);
    state->feed_reader = bus_reader_open(state->bus, offset, BUS_ALL_TOPICS, NULL);
    state->feed_offset = offset;
    return state->feed_reader != NULL;
}

/* The index is complete up to the position of its writer. */
static uint64_t backend_known_end(void *context, size_t most)
{
    struct run_backend *state = context;
    struct bus_info info;
    struct error error;
    uint64_t known;
    bus_info(state->bus, &info);
    if (store_position(state->store, INDEXER_READER, &known, &error) < 0)
        return info.end_offset;
    uint64_t least = info.end_offset - info.first_offset > most ? info.end_offset - most : info.first_offset;
    return known < least ? least : known;
}

static void backend_feed(void *context, uint64_t *offset, serve_give *give, void *receiver)
{
    struct run_backend *state = context;
    struct bus_batch batch;
    while (feed_seek(state, *offset) && bus_reader_next_past_damage(state->feed_reader, &batch, NULL) > 0) {
        state->feed_offset = batch.end_offset; /* also if not all of it is taken: then the next call seeks */
        for (size_t i = 0; i < batch.count; i++) {
            const struct bus_record *record = &batch.records[i];
            *offset = record->offset + 1;
            if (!give(receiver, record->offset, event_topic_name((enum event_source)record->topic), record->key, record->value))
                return;
        }
        *offset = batch.end_offset;
    }
}

/* ---- metrics ---- */

static void metric_head(struct buffer *out, const char *name, const char *type, const char *help)
{
    buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void metric(struct buffer *out, const char *name, const char *type, const char *help, double value)
{
    metric_head(out, name, type, help);
    buffer_printf(out, "%s %.17g\n", name, value);
}

static void stage_metrics(struct run_backend *state, struct buffer *out)
{
    struct ledger_stage stages[LEDGER_STAGE_MAX];
    size_t count = ledger_snapshot(pipeline_ledger(state->pipeline), stages);
    metric_head(out, "dataflow_stage_records", "gauge", "The ledger: records of a stage by what became of them.");
    for (size_t i = 0; i < count; i++)
        for (size_t f = 0; f < LEDGER_FIELDS; f++) {
            BUFFER_LITERAL(out, "dataflow_stage_records{stage=");
            buffer_json_string(out, bytes_of_string(stages[i].name));
            buffer_printf(out, ",what=\"%s\"} %llu\n", ledger_fields[f].name,
                          (unsigned long long)ledger_field(&stages[i].counts, f));
        }
}

/* One metric of all sources. */
static const struct {
    const char *name, *type, *help;
    size_t at; /* in struct source_statistics */
} source_metrics[] = {
    {"dataflow_source_events_total", "counter", "Events made.", offsetof(struct source_statistics, events)},
    {"dataflow_source_rejected_total", "counter", "Records refused.", offsetof(struct source_statistics, rejected)},
    {"dataflow_source_duplicates_total", "counter", "Records seen before.", offsetof(struct source_statistics, duplicates)},
    {"dataflow_source_gaps_total", "counter", "Gap events.", offsetof(struct source_statistics, gaps)},
    {"dataflow_source_missing_total", "counter", "Records known to be missing.", offsetof(struct source_statistics, missing)},
    {"dataflow_source_reconnects_total", "counter", "Connections made again.", offsetof(struct source_statistics, reconnects)},
};

static void source_metric(struct buffer *out, const char *name, const char *source, double value)
{
    buffer_printf(out, "%s{source=", name);
    buffer_json_string(out, bytes_of_string(source));
    buffer_printf(out, "} %.17g\n", value);
}

static void write_source_metrics(struct run_backend *state, struct buffer *out)
{
    static struct pipeline_source_status statuses[LEDGER_STAGE_MAX];
    size_t count = pipeline_sources(state->pipeline, statuses, LEDGER_STAGE_MAX);
    for (size_t m = 0; m < sizeof source_metrics / sizeof source_metrics[0]; m++) {
        metric_head(out, source_metrics[m].name, source_metrics[m].type, source_metrics[m].help);
        for (size_t i = 0; i < count; i++) {
            uint64_t value;
            memcpy(&value, (const char *)&statuses[i].statistics + source_metrics[m].at, sizeof value);
            source_metric(out, source_metrics[m].name, statuses[i].name, (double)value);
        }
    }
    metric_head(out, "dataflow_source_live", "gauge", "1 while the source is live.");
    for (size_t i = 0; i < count; i++)
        source_metric(out, "dataflow_source_live", statuses[i].name, statuses[i].statistics.state == SOURCE_LIVE);
    metric_head(out, "dataflow_source_last_event_timestamp_seconds", "gauge", "When the last event was received.");
    for (size_t i = 0; i < count; i++)
        if (statuses[i].statistics.last_event_us != TIME_UNKNOWN)
            source_metric(out, "dataflow_source_last_event_timestamp_seconds", statuses[i].name,
                          (double)statuses[i].statistics.last_event_us / 1e6);
}

static void backend_metrics(void *context, struct buffer *out)
{
    struct run_backend *state = context;
    struct bus_info log;
    struct store_info store;
    bus_info(state->bus, &log);
    store_info(state->store, &store);
    metric(out, "dataflow_ready", "gauge", "1 while log and store take writes.", pipeline_ready(state->pipeline, NULL));
    stage_metrics(state, out);
    write_source_metrics(state, out);
    metric(out, "dataflow_log_end_offset", "counter", "Records ever appended to the log.", (double)log.end_offset);
    metric(out, "dataflow_log_size_bytes", "gauge", "Size of the log.", (double)log.size_bytes);
    metric(out, "dataflow_log_syncs_total", "counter", "Syncs of the log since the start.", (double)log.syncs);
    metric(out, "dataflow_log_last_sync_seconds", "gauge", "Duration of the last sync.", (double)log.last_sync_us / 1e6);
    metric(out, "dataflow_store_index_rows", "gauge", "Rows of the index of key and time.", (double)store.index_rows);
    metric(out, "dataflow_store_size_bytes", "gauge", "Size of the store.", (double)store.size_bytes);
}

void run_backend_fill(struct run_backend *state, struct serve_backend *backend)
{
    state->started_us = monotonic_us();
    *backend = (struct serve_backend){.context = state,
                                      .status = backend_status,
                                      .sources = backend_sources,
                                      .events = backend_events,
                                      .documents = backend_documents,
                                      .metrics = backend_metrics,
                                      .ready = backend_ready,
                                      .erase_user = backend_erase_user,
                                      .known_end = backend_known_end,
                                      .feed = backend_feed};
}

void run_backend_release(struct run_backend *state)
{
    if (state->feed_reader)
        bus_reader_close(state->feed_reader);
    state->feed_reader = NULL;
}
