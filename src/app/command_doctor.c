/* dataflow doctor: tries every component that the configuration names, and says of each whether it is well, and otherwise what
 * is wrong and what to do.  Changes nothing.  One table of examinations makes the order and the names. */
#include "app/command.h"
#include "app/net_probe.h"
#include "app/progress.h"
#include "app/source_setup.h"
#include "app/storage_probe.h"
#include "pipeline/indexer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <sys/timex.h>
#include <unistd.h>

enum finding_state { FINDING_OK, FINDING_WARNING, FINDING_FAILED };
enum { FINDING_MAX = 128, TEXT_SIZE = 600 };

struct finding {
    const char *component;
    enum finding_state state;
    char text[TEXT_SIZE];
    const char *remedy; /* what to do; NULL when the text says it */
};

struct doctor {
    const struct command_context *context;
    const struct config *config;
    struct finding findings[FINDING_MAX];
    size_t count;
    const char *component; /* that is examined */
    uint64_t log_end;      /* offset, once the log has been read */
    bool log_known;
};

static const char *const state_names[] = {"ok", "warning", "failed"};

static void find(struct doctor *doctor, enum finding_state state, const char *remedy, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Prints each finding as it is made: a long verification shows what is known already. */
static void find(struct doctor *doctor, enum finding_state state, const char *remedy, const char *format, ...)
{
    if (doctor->count == FINDING_MAX)
        return;
    struct finding *finding = &doctor->findings[doctor->count++];
    *finding = (struct finding){.component = doctor->component, .state = state, .remedy = remedy};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(finding->text, sizeof finding->text, format, arguments);
    va_end(arguments);
    if (doctor->context->json)
        return;
    printf("%-8s %-14s %s\n", state_names[state], finding->component, finding->text);
    if (remedy)
        printf("%24s%s\n", "-> ", remedy);
    fflush(stdout);
}

static void examine_configuration(struct doctor *doctor)
{
    const struct config_problems *problems = doctor->context->problems;
    for (size_t i = 0; i < problems->warning_count; i++)
        find(doctor, FINDING_WARNING, NULL, "%s", problems->warnings[i].text);
    if (problems->warning_count == 0)
        find(doctor, FINDING_OK, NULL, "%s%s%s", doctor->config->config_file ? doctor->config->config_file : "no dataflow.yaml",
             doctor->config->dotenv_file ? ", " : "", doctor->config->dotenv_file ? doctor->config->dotenv_file : "");
}

static void examine_directory(struct doctor *doctor)
{
    struct error error;
    int state = probe_directory(doctor->config->data, &error);
    if (state < 0)
        find(doctor, FINDING_FAILED, "give another directory with --data DIR, or change its owner or mode", "%s", error.text);
    else
        find(doctor, FINDING_OK, NULL, "%s %s", doctor->config->data, state ? "can be written" : "will be made by the first run");
}

static void examine_space(struct doctor *doctor)
{
    static const uint64_t low = 1024ull * 1024 * 1024, critical = 64ull * 1024 * 1024;
    struct error error;
    uint64_t bytes;
    char space[32];
    if (probe_free_space(doctor->config->log_directory, &bytes, &error))
        find(doctor, FINDING_FAILED, NULL, "%s", error.text);
    else if (bytes < critical)
        find(doctor, FINDING_FAILED, "free some, or set retention.size", "%s left for the log", size_for_people(bytes, space));
    else if (bytes < low)
        find(doctor, FINDING_WARNING, "free some, or set retention.size", "%s left for the log", size_for_people(bytes, space));
    else
        find(doctor, FINDING_OK, NULL, "%s free", size_for_people(bytes, space));
}

static void on_damage(void *context, const char *text)
{
    find(context, FINDING_FAILED, NULL, "%s", text);
}

static void describe_log(struct doctor *doctor, const struct bus_info *info, const char *how)
{
    char events[32], size[32];
    doctor->log_end = info->end_offset;
    doctor->log_known = true;
    find(doctor, FINDING_OK, NULL, "%s: %s events, %s, %s", doctor->config->log_directory,
         number_for_people(info->end_offset - info->first_offset, events), size_for_people(info->size_bytes, size), how);
    if (info->cut_bytes > 0)
        find(doctor, FINDING_OK, NULL, "%s at its end are of an append that was interrupted; nothing in them was acknowledged",
             size_for_people(info->cut_bytes, size));
}

static void examine_log(struct doctor *doctor)
{
    const char *directory = doctor->config->log_directory;
    struct error error;
    struct bus_info info;
    if (access(directory, F_OK) && errno == ENOENT) {
        find(doctor, FINDING_OK, NULL, "%s is not there yet", directory);
        return;
    }
    if (doctor->config->quick) {
        struct bus_log_options options = {.directory = directory, .read_only = true};
        struct bus *bus = bus_log_open(&options, env_system(), &error);
        if (!bus) {
            find(doctor, FINDING_FAILED, NULL, "%s", error.text);
            return;
        }
        bus_info(bus, &info);
        describe_log(doctor, &info, "opened, not verified (--quick)");
        bus_destroy(bus);
        return;
    }
    if (doctor->context->progress)
        fprintf(stderr, "reading the whole log…\r");
    int damages = bus_log_verify(directory, env_system(), on_damage, doctor, &info, &error);
    if (doctor->context->progress)
        fprintf(stderr, "\x1b[K");
    if (damages < 0)
        find(doctor, FINDING_FAILED, NULL, "%s", error.text);
    else if (damages == 0)
        describe_log(doctor, &info, "verified");
    else
        find(doctor, FINDING_FAILED,
             "restore the directory from a copy if there is one; events outside the damage can be exported",
             "%d damaged places in %s", damages, directory);
}

/* SQLite needs to write to the folder even of a store that is only looked at: its lock lies there. */
static bool store_is_ours(struct doctor *doctor, const char *path)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    if (access(path, R_OK | W_OK) == 0 && access(folder[0] ? folder : "/", W_OK) == 0)
        return true;
    find(doctor, FINDING_WARNING, "run doctor as the user that the program runs as, with the data where they can be written",
         "%s was not looked at, for this user may not write there: %s", path, strerror(errno));
    return false;
}

static void examine_store(struct doctor *doctor)
{
    static const char rebuild[] = "stop the instance and run `dataflow rebuild`: the store is made anew from the log";
    const char *path = doctor->config->store_file;
    struct error error;
    uint64_t position;
    if (access(path, F_OK) && errno == ENOENT) {
        find(doctor, FINDING_OK, NULL, "%s is not there yet", path);
        return;
    }
    if (!store_is_ours(doctor, path))
        return;
    struct store *store = store_sqlite_open(path, &error);
    if (!store) {
        find(doctor, FINDING_FAILED, rebuild, "%s", error.text);
        return;
    }
    char events[32];
    struct store_info info;
    store_info(store, &info);
    if (store_position(store, INDEXER_READER, &position, &error))
        find(doctor, FINDING_FAILED, rebuild, "%s", error.text);
    else if (doctor->log_known && position > doctor->log_end)
        find(doctor, FINDING_FAILED, rebuild, "%s knows offset %" PRIu64 ", but the log ends at %" PRIu64, path, position,
             doctor->log_end);
    else
        find(doctor, FINDING_OK, NULL, "%s: %s index rows%s", path, number_for_people(info.index_rows, events),
             doctor->log_known && position < doctor->log_end ? "; behind the log, which the next run catches up with" : "");
    store_destroy(store);
}

static void examine_address(struct doctor *doctor)
{
    struct error error;
    switch (probe_listen(doctor->config, &error)) {
    case PROBE_FREE:
        find(doctor, FINDING_OK, NULL, "%s is free", doctor->config->listen);
        break;
    case PROBE_INSTANCE:
        find(doctor, FINDING_OK, NULL, "%s: %s", doctor->config->listen, error.text);
        break;
    case PROBE_TAKEN:
        find(doctor, FINDING_FAILED, "end the program that listens there, or take another with --listen", "%s", error.text);
        break;
    case PROBE_IMPOSSIBLE:
        find(doctor, FINDING_FAILED, "take an address of this machine with --listen", "%s", error.text);
        break;
    }
}

/* Event times come from the exchanges, ages and windows from this clock. */
static void examine_clock(struct doctor *doctor)
{
    struct timex clock = {0};
    int64_t now_us = env_system()->now_us(env_system());
    if (now_us < 1735689600000000) /* 2025 */
        find(doctor, FINDING_FAILED, "set the clock", "the clock says a time before this program was written");
    else if (adjtimex(&clock) == TIME_ERROR && (clock.status & STA_UNSYNC))
        find(doctor, FINDING_WARNING, "set up time synchronisation (systemd-timesyncd, chrony)",
             "the system does not know its clock to be synchronised; ages of events may be wrong");
    else
        find(doctor, FINDING_OK, NULL, "synchronised");
}

/* Only whether there is a token: it is never shown. */
static void examine_account(struct doctor *doctor)
{
    const char *token = doctor->config->twitch_oauth_token;
    find(doctor, FINDING_OK, NULL, "TWITCH_OAUTH_TOKEN is %s",
         token && *token ? "set" : "not set: twitch-irc reads anonymously, twitch-eventsub not at all");
}

/* What a source asks a vendor's REST interface first: for Twitch, whether the token is good. */
static void try_request(struct doctor *doctor, const char *name, const struct source_action *action)
{
    struct error error;
    int status = probe_request(doctor->config, action->text, action->headers, &error);
    if (status == 200)
        find(doctor, FINDING_OK, NULL, "%s: %.*s takes our account", name, BYTES_ARG(action->text));
    else if (status == 401)
        find(doctor, FINDING_FAILED, "put a new token into TWITCH_OAUTH_TOKEN", "%s: %.*s does not take the token", name,
             BYTES_ARG(action->text));
    else if (status != 0)
        find(doctor, FINDING_WARNING, "try again later", "%s: %.*s answers with status %d", name, BYTES_ARG(action->text),
             status);
    else
        find(doctor, FINDING_FAILED, "check the network, a proxy or firewall, and the address", "%s: %.*s: %s", name,
             BYTES_ARG(action->text), error.text);
}

/* Opens what a source asks for first: its file or its WebSocket; and asks what it asks beside that. */
static void try_source(struct doctor *doctor, const char *name, struct source *source, struct source_output *output)
{
    source_connect(source, env_system()->now_us(env_system()), output);
    for (size_t i = 0; i < output->action_count; i++)
        if (output->actions[i].kind == SOURCE_REQUEST && output->actions[i].body.length == 0)
            try_request(doctor, name, &output->actions[i]);
    for (size_t i = 0; i < output->action_count; i++) {
        struct bytes text = output->actions[i].text;
        char path[4096];
        struct error error;
        if (output->actions[i].kind != SOURCE_OPEN)
            continue;
        if (bytes_start_with(text, BYTES("file:"))) {
            snprintf(path, sizeof path, "%.*s", (int)text.length - 5, text.at + 5);
            if (strcmp(path, "-") == 0 || access(path, R_OK) == 0)
                find(doctor, FINDING_OK, NULL, "%s can be read", name);
            else
                find(doctor, FINDING_FAILED, "check the path and its mode", "%s: %s", name, strerror(errno));
        } else if (probe_socket(doctor->config, text, &error)) {
            find(doctor, FINDING_FAILED, "check the network, a proxy or firewall, and the address", "%s: %.*s: %s", name,
                 (int)(text.length < 200 ? text.length : 200), text.at, error.text);
        } else {
            find(doctor, FINDING_OK, NULL, "%s: connected", name);
        }
        return;
    }
    find(doctor, FINDING_OK, NULL, "%s needs no connection", name);
}

static void examine_sources(struct doctor *doctor)
{
    const struct config_list *sources = &doctor->config->sources;
    if (sources->count == 0)
        find(doctor, FINDING_OK, NULL, "the demo, which is built in");
    for (size_t i = 0; i < sources->count && !command_interrupted(); i++) {
        struct error error;
        struct source *source = source_setup_one(doctor->config, sources->items[i], &error);
        struct source_output *output = calloc(1, sizeof *output);
        if (output)
            output->batch = event_batch_create(256);
        if (!source)
            find(doctor, FINDING_FAILED, NULL, "%s: %s", sources->items[i], error.text);
        else if (!output || !output->batch)
            find(doctor, FINDING_FAILED, NULL, "%s: out of memory", sources->items[i]);
        else
            try_source(doctor, sources->items[i], source, output);
        if (output && output->batch)
            event_batch_destroy(output->batch);
        free(output);
        if (source)
            source_destroy(source);
    }
}

static const struct {
    const char *component;
    void (*examine)(struct doctor *doctor);
} examinations[] = {
    {"configuration", examine_configuration},
    {"data directory", examine_directory},
    {"free space", examine_space},
    {"clock", examine_clock},
    {"address", examine_address},
    {"account", examine_account},
    {"sources", examine_sources},
    {"log", examine_log},
    {"store", examine_store},
};

static void print_json(const struct doctor *doctor, enum finding_state worst)
{
    struct buffer out;
    buffer_init(&out, (size_t)1024 * 1024);
    buffer_printf(&out, "{\"ok\":%s,\"checks\":[", worst == FINDING_FAILED ? "false" : "true");
    for (size_t i = 0; i < doctor->count; i++) {
        const struct finding *finding = &doctor->findings[i];
        buffer_printf(&out, "%s{\"component\":\"%s\",\"state\":\"%s\",\"text\":", i > 0 ? "," : "", finding->component,
                      state_names[finding->state]);
        buffer_json_string(&out, bytes_of_string(finding->text));
        if (finding->remedy) {
            BUFFER_LITERAL(&out, ",\"remedy\":");
            buffer_json_string(&out, bytes_of_string(finding->remedy));
        }
        buffer_byte(&out, '}');
    }
    BUFFER_LITERAL(&out, "]}\n");
    fwrite(out.at, 1, out.length, stdout);
    buffer_release(&out);
}

int command_doctor(const struct command_context *context)
{
    struct doctor *doctor = calloc(1, sizeof *doctor);
    if (!doctor) {
        struct error error;
        error_set(&error, "out of memory");
        return command_failed(context, &error);
    }
    doctor->context = context;
    doctor->config = context->config;
    command_catch_signals(NULL);
    for (size_t i = 0; i < sizeof examinations / sizeof examinations[0] && !command_interrupted(); i++) {
        doctor->component = examinations[i].component;
        examinations[i].examine(doctor);
    }
    enum finding_state worst = FINDING_OK;
    for (size_t i = 0; i < doctor->count; i++)
        worst = doctor->findings[i].state > worst ? doctor->findings[i].state : worst;
    if (context->json)
        print_json(doctor, worst);
    free(doctor);
    if (command_interrupted())
        return COMMAND_INTERRUPTED;
    return worst == FINDING_FAILED ? COMMAND_FAILED : COMMAND_DONE;
}
