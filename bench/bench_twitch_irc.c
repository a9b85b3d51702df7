/* Twitch IRC lines of about 410 bytes to canonical lines: file to file through the normalize command's own core, and as a
 * session with 500 channels on five connections, 20,000 messages a second of its own clock, a message a call.
 * The lines are made here: five hundred channels, a hundred thousand people, most of what they say short; one in six with
 * emotes, one in ten an answer, one in a hundred by a moderator or the server. */
#include "bench/bench.h"

#include "app/normalize.h"
#include "base/lines.h"
#include "base/random.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINES_DEFAULT = 1000000, CHANNEL_COUNT = 500, PERSON_COUNT = 100000, WRITE_CAP = 1 << 20, PATH_CAP = 4096 };

static const char *const words[] = {
    "that",  "was",    "the",    "best",  "play", "of",    "stream", "I",     "have", "seen", "all",      "week",
    "lol",   "really", "though", "chat",  "what", "about", "map",    "again", "gg",   "wp",   "nice",     "clutch",
    "never", "lucky",  "today",  "hello", "from", "here",  "first",  "time",  "now",  "go",   "streamer", "run",
};
static const char *const colors[] = {"#FF0000", "#1E90FF", "#9ACD32", "#8A2BE2", "#DAA520", "", "#00FF7F", "#FF69B4"};
static const char *const emotes[] = {"Kappa", "LUL", "PogChamp", "BibleThump", "Kreygasm"};

static void put_uuid(struct random *random, struct buffer *out)
{
    uint64_t high = random_u64(random), low = random_u64(random);
    buffer_printf(out, "%08x-%04x-4%03x-%04x-%012llx", (unsigned)(high >> 32), (unsigned)(high >> 16 & 0xffff),
                  (unsigned)(high & 0xfff), (unsigned)(low >> 48 & 0x3fff) | 0x8000, (unsigned long long)(low & 0xffffffffffff));
}

/* Busy people and channels are far busier than others. */
static unsigned draw(struct random *random, unsigned count)
{
    unsigned drawn = (unsigned)(exp(random_unit(random) * log(count + 1.0)) - 1);
    return drawn < count ? drawn : count - 1;
}

/* The text, which begins with an emote if there is one. */
static void put_text(struct random *random, const char *emote, struct buffer *out)
{
    size_t count = 2 + (size_t)random_exponential(random, 5);
    if (emote)
        buffer_printf(out, "%s ", emote);
    for (size_t i = 0; i < count && i < 60; i++)
        buffer_printf(out, "%s%s", i ? " " : "", words[random_below(random, sizeof words / sizeof *words)]);
}

static void put_message(struct random *random, int64_t time_ms, struct buffer *out)
{
    unsigned person = draw(random, PERSON_COUNT), channel = draw(random, CHANNEL_COUNT),
             months = person % 5 ? 0 : 1 + person % 60;
    const char *emote = random_below(random, 6) == 0 ? emotes[random_below(random, sizeof emotes / sizeof *emotes)] : NULL;
    if (months)
        buffer_printf(out, "@badge-info=subscriber/%u;badges=subscriber/%u,premium/1;", months, months / 12 * 12);
    else
        buffer_printf(out, "@badge-info=;badges=;");
    BUFFER_LITERAL(out, "client-nonce=");
    buffer_printf(out, "%016llx%016llx", (unsigned long long)random_u64(random), (unsigned long long)random_u64(random));
    buffer_printf(out, ";color=%s;display-name=Viewer%u;emotes=", colors[person % (sizeof colors / sizeof *colors)], person);
    if (emote)
        buffer_printf(out, "%u:0-%zu", 25 + person % 1000, strlen(emote) - 1);
    BUFFER_LITERAL(out, ";first-msg=0;flags=;id=");
    put_uuid(random, out);
    buffer_printf(out, ";mod=%d;", person % 97 == 0);
    if (random_below(random, 10) == 0) {
        BUFFER_LITERAL(out,
                       "reply-parent-display-name=Viewer7;reply-parent-msg-body=what\\sabout\\sthe\\smap;reply-parent-msg-id=");
        put_uuid(random, out);
        BUFFER_LITERAL(out, ";reply-parent-user-id=40000007;reply-parent-user-login=viewer7;");
    }
    buffer_printf(out,
                  "returning-chatter=0;room-id=%u;subscriber=%d;tmi-sent-ts=%lld;turbo=0;user-id=%u;user-type= "
                  ":viewer%u!viewer%u@viewer%u.tmi.twitch.tv PRIVMSG #channel%u :",
                  71000000 + channel, months > 0, (long long)time_ms, 40000000 + person, person, person, person, channel);
    put_text(random, emote, out);
    BUFFER_LITERAL(out, "\n");
}

static void put_line(struct random *random, int64_t time_ms, struct buffer *out)
{
    unsigned channel = draw(random, CHANNEL_COUNT), person = draw(random, PERSON_COUNT);
    switch (random_below(random, 400)) {
    case 0:
        buffer_printf(out,
                      "@ban-duration=600;room-id=%u;target-user-id=%u;tmi-sent-ts=%lld :tmi.twitch.tv CLEARCHAT #channel%u "
                      ":viewer%u\n",
                      71000000 + channel, 40000000 + person, (long long)time_ms, channel, person);
        break;
    case 1:
        buffer_printf(out, "@login=viewer%u;room-id=;target-msg-id=", person);
        put_uuid(random, out);
        buffer_printf(out, ";tmi-sent-ts=%lld :tmi.twitch.tv CLEARMSG #channel%u :go now\n", (long long)time_ms, channel);
        break;
    case 2:
        BUFFER_LITERAL(out, "PING :tmi.twitch.tv\n");
        break;
    case 3:
        buffer_printf(out,
                      "@badge-info=subscriber/9;badges=subscriber/6;color=;display-name=Viewer%u;emotes=;flags=;id=", person);
        put_uuid(random, out);
        buffer_printf(
            out,
            ";login=viewer%u;mod=0;msg-id=resub;msg-param-cumulative-months=9;msg-param-months=0;msg-param-sub-plan=1000;"
            "room-id=%u;subscriber=1;system-msg=Viewer%u\\ssubscribed\\sat\\sTier\\s1.;tmi-sent-ts=%lld;user-id=%u;"
            "user-type= :tmi.twitch.tv USERNOTICE #channel%u :hello again\n",
            person, 71000000 + channel, person, (long long)time_ms, 40000000 + person, channel);
        break;
    default:
        put_message(random, time_ms, out);
    }
}

static int write_lines(int file, const struct bench_run *run, uint64_t lines, struct error *error)
{
    struct random random;
    struct buffer out;
    random_seed(&random, run->seed);
    buffer_init(&out, 2 * WRITE_CAP);
    int64_t time_us = 1760000000000000;
    int result = 0;
    for (uint64_t i = 0; i < lines && result == 0; i++) {
        time_us += (int64_t)random_exponential(&random, 50);
        put_line(&random, time_us / 1000, &out);
        if (out.length < WRITE_CAP && i + 1 < lines)
            continue;
        if (out.failed || write(file, out.at, out.length) != (ssize_t)out.length)
            result = error_set_errno(error, errno, "writing the lines");
        buffer_reset(&out);
    }
    buffer_release(&out);
    return result;
}

/* The lines: those given, or made here. */
static int open_lines(const struct bench_run *run, struct error *error)
{
    char path[PATH_CAP];
    if (run->input) {
        int given = open(run->input, O_RDONLY | O_CLOEXEC);
        return given < 0 ? error_set_errno(error, errno, "cannot open %s", run->input) : given;
    }
    snprintf(path, sizeof path, "%s/lines.txt", run->directory);
    int made = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (made < 0)
        return error_set_errno(error, errno, "cannot make %s", path);
    if (write_lines(made, run, run->events ? run->events : LINES_DEFAULT, error) != 0 || lseek(made, 0, SEEK_SET) != 0) {
        close(made);
        return -1;
    }
    return made;
}

static int measure(struct bench_run *run, int in, int out, struct error *error)
{
    struct source_options options = {.kind = BYTES("twitch-irc"), .argument = BYTES(""), .base_url = BYTES("")};
    struct source *source = source_create(&options, error);
    struct normalize_options normalize_options = {.source = source, .out = out, .rejects = -1};
    struct normalize *normalize = source ? normalize_create(&normalize_options, error) : NULL;
    int result = -1;
    if (normalize) {
        struct stat in_info, out_info;
        bench_begin(run);
        if (normalize_file(normalize, in, "lines", error) == NORMALIZE_DONE &&
            normalize_end(normalize, error) == NORMALIZE_DONE && fstat(in, &in_info) == 0 && fstat(out, &out_info) == 0) {
            const struct source_statistics *statistics = source_statistics(source);
            double lines = (double)statistics->frames;
            bench_figure(run, "lines_per_cpu_second", lines / bench_cpu_seconds(run));
            bench_figure(run, "bytes_in_per_line", (double)in_info.st_size / lines);
            bench_figure(run, "bytes_out_per_line", (double)out_info.st_size / lines);
            bench_figure(run, "rejected", (double)statistics->rejected);
            bench_figure(run, "duplicates", (double)statistics->duplicates);
            bench_end(run, "twitch chat", statistics->events);
            result = 0;
        }
    }
    normalize_destroy(normalize);
    source_destroy(source);
    return result;
}

/* ---- a session ---- */

enum { CONNECTION_COUNT = 5, RATE = 20000, BATCH_EVENTS = 1024 };
#define START_US ((int64_t)1760000000000000)

struct session {
    struct source *source;
    struct source_output output;
    struct buffer frame, events;
    int64_t now_us;
};

static void give(struct session *session, enum source_input_kind kind, uint32_t connection, struct bytes frame)
{
    struct source_input input = {.kind = kind, .connection = connection, .now_us = session->now_us, .frame = frame};
    source_read(session->source, &input, 1, &session->output);
    source_output_reset(&session->output);
}

static void take_events(struct session *session)
{
    for (size_t i = 0; i < session->output.batch->count; i++)
        event_write(&session->output.batch->events[i], &session->events);
    buffer_reset(&session->events);
    event_batch_reset(session->output.batch);
}

static int start_session(struct session *session, struct error *error)
{
    *session = (struct session){.now_us = START_US};
    buffer_init(&session->frame, 1 << 20);
    buffer_init(&session->events, 64 << 20);
    for (unsigned i = 0; i < CHANNEL_COUNT; i++)
        buffer_printf(&session->frame, "%schannel%u", i ? "," : "", i);
    struct source_options options = {.kind = BYTES("twitch-irc"), .argument = buffer_bytes(&session->frame)};
    session->source = source_create(&options, error);
    session->output.batch = event_batch_create(BATCH_EVENTS);
    if (!session->source || !session->output.batch)
        return -1;
    source_output_reset(&session->output);
    source_connect(session->source, START_US, &session->output);
    source_output_reset(&session->output);
    for (uint32_t connection = 1; connection <= CONNECTION_COUNT; connection++) {
        give(session, SOURCE_OPENED, connection, BYTES(""));
        give(session, SOURCE_FRAME, connection, BYTES(":tmi.twitch.tv 001 me :Welcome\r\n"));
    }
    return 0;
}

static void end_session(struct session *session)
{
    source_destroy(session->source);
    event_batch_destroy(session->output.batch);
    buffer_release(&session->frame);
    buffer_release(&session->events);
}

/* Each line is a message over the connection of its turn.  What is copied lives as long as the batch. */
static int play_session(struct session *session, int in, struct error *error)
{
    struct lines lines;
    struct bytes line;
    enum lines_result got;
    if (lines_init(&lines, in, NORMALIZE_LINE_CAP, error) != 0)
        return -1;
    while ((got = lines_next(&lines, &line, error)) == LINES_LINE) {
        char *frame = arena_text(&session->output.batch->arena, line.length + 2);
        if (!frame)
            break;
        memcpy(frame, line.at, line.length);
        memcpy(frame + line.length, "\r\n", 2);
        session->now_us += 1000000 / RATE;
        give(session, SOURCE_FRAME, 1 + (uint32_t)(lines.number % CONNECTION_COUNT), bytes_of(frame, line.length + 2));
        if (session->output.batch->count >= BATCH_EVENTS)
            take_events(session);
    }
    take_events(session);
    lines_release(&lines);
    return got == LINES_END ? 0 : -1;
}

static int measure_session(struct bench_run *run, int in, struct error *error)
{
    struct session session;
    int result = start_session(&session, error);
    bench_begin(run);
    if (result == 0 && lseek(in, 0, SEEK_SET) == 0 && (result = play_session(&session, in, error)) == 0) {
        const struct source_statistics *statistics = source_statistics(session.source);
        double simulated_seconds = (double)(session.now_us - START_US) / 1e6;
        bench_figure(run, "channels", CHANNEL_COUNT);
        bench_figure(run, "cpu_share_at_20000_a_second", bench_cpu_seconds(run) / simulated_seconds);
        bench_end(run, "500 channels, five connections", statistics->events);
    }
    end_session(&session);
    return result;
}

int bench_twitch_irc(struct bench_run *run, struct error *error)
{
    char path[PATH_CAP];
    int in = open_lines(run, error);
    if (in < 0)
        return -1;
    snprintf(path, sizeof path, "%s/events.jsonl", run->directory);
    int out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int result = out < 0 ? error_set_errno(error, errno, "cannot make %s", path) : measure(run, in, out, error);
    if (result == 0)
        result = measure_session(run, in, error);
    if (out >= 0)
        close(out);
    close(in);
    return result;
}
