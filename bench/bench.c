/* The harness: a scratch folder, a child, the clocks. */
#include "bench/bench.h"

#include "base/buffer.h"
#include "base/env.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 4096, OPEN_FOLDERS = 16 };

const struct bench benches[] = {
    {"normalize", "exchange frames to canonical events, in memory and file to file", bench_normalize},
    {"twitch-irc", "Twitch chat lines to canonical events, file to file and as a session", bench_twitch_irc},
    {"log", "embedded log beside a plain file with the same bytes and syncs, and reading back", bench_log},
    {"store", "the index of key and time: writing and asking", bench_store},
    {"pipeline", "the whole way: frames, events, log, store", bench_pipeline},
};
const size_t bench_count = sizeof benches / sizeof benches[0];

static int64_t seconds_to_us(struct timeval time)
{
    return (int64_t)time.tv_sec * 1000000 + time.tv_usec;
}

static int64_t cpu_us(void)
{
    struct rusage self, children;
    getrusage(RUSAGE_SELF, &self);
    getrusage(RUSAGE_CHILDREN, &children);
    return seconds_to_us(self.ru_utime) + seconds_to_us(self.ru_stime) + seconds_to_us(children.ru_utime) +
           seconds_to_us(children.ru_stime);
}

static int64_t wall_us(void)
{
    return env_system()->monotonic_us(env_system());
}

/* The greatest resident size since it was last begun anew, in bytes. */
static uint64_t peak_memory(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    uint64_t kilobytes = 0;
    while (file && fgets(line, sizeof line, file)) {
        struct bytes rest, value, name = bytes_split(bytes_of_string(line), ':', &rest);
        value = bytes_split(bytes_trim(rest), ' ', &rest);
        if (bytes_equal(name, BYTES("VmHWM")) && bytes_to_u64(value, &kilobytes))
            break;
    }
    if (file)
        fclose(file);
    return kilobytes * 1024;
}

void bench_begin(struct bench_run *run)
{
    /* 5: the high-water mark of memory starts anew (proc(5)); where that is forbidden it covers the preparation as well. */
    int file = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (file >= 0) {
        (void)!write(file, "5", 1);
        close(file);
    }
    run->figure_count = 0;
    run->wall_us = wall_us();
    run->cpu_us = cpu_us();
}

double bench_wall_seconds(const struct bench_run *run)
{
    return (double)(wall_us() - run->wall_us) / 1e6;
}

double bench_cpu_seconds(const struct bench_run *run)
{
    return (double)(cpu_us() - run->cpu_us) / 1e6;
}

void bench_figure(struct bench_run *run, const char *name, double value)
{
    if (run->figure_count < BENCH_FIGURE_MAX)
        run->figures[run->figure_count++] = (struct bench_figure){.name = name, .value = value};
}

/* Six digits are more than any measurement is worth. */
static double rounded(double value)
{
    if (!(fabs(value) > 0) || !isfinite(value))
        return value;
    double scale = pow(10, 5 - floor(log10(fabs(value))));
    return round(value * scale) / scale;
}

static void put_figure(struct buffer *out, const char *name, double value)
{
    buffer_printf(out, ",\"%s\":", name);
    buffer_json_double(out, rounded(value));
}

void bench_end(struct bench_run *run, const char *case_name, uint64_t events)
{
    double wall = bench_wall_seconds(run), cpu = bench_cpu_seconds(run);
    struct buffer out;
    buffer_init(&out, LINE_MAX_BYTES);
    buffer_printf(&out, "{\"bench\":\"%s\",\"case\":", run->name);
    buffer_json_string(&out, bytes_of_string(case_name));
    buffer_printf(&out, ",\"events\":%" PRIu64, events);
    put_figure(&out, "seconds", wall);
    put_figure(&out, "cpu_seconds", cpu);
    put_figure(&out, "events_per_second", wall > 0 ? (double)events / wall : 0);
    put_figure(&out, "cpu_seconds_per_million", events > 0 ? cpu * 1e6 / (double)events : 0);
    put_figure(&out, "rss_mb", (double)peak_memory() / 1e6);
    for (size_t i = 0; i < run->figure_count; i++)
        put_figure(&out, run->figures[i].name, run->figures[i].value);
    BUFFER_LITERAL(&out, "}\n");
    if (!out.failed)
        fwrite(out.at, 1, out.length, stdout);
    fflush(stdout);
    buffer_release(&out);
    run->figure_count = 0;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info;
    (void)kind;
    (void)place;
    return remove(path);
}

static int run_in_child(const struct bench *bench, struct bench_run *run)
{
    signal(SIGINT, SIG_DFL); /* the parent tidies up */
    signal(SIGTERM, SIG_DFL);
    struct error error = {{0}};
    int status = bench->run(run, &error);
    if (status)
        fprintf(stderr, "bench %s: %s\n", bench->name, error.text);
    fflush(NULL);
    return status ? 1 : 0;
}

static int wait_for(const char *name, pid_t child, struct error *error)
{
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return error_set_errno(error, errno, "bench %s", name);
    if (WIFSIGNALED(status))
        return error_set(error, "bench %s ended by signal %d", name, WTERMSIG(status));
    return WEXITSTATUS(status) ? error_set(error, "bench %s failed", name) : 0;
}

int bench_execute(const struct bench *bench, const struct bench_run *options, struct error *error)
{
    /* Beside the work, not in /tmp, which may lie in memory and sync nothing. */
    char directory[] = "dataflow-bench-XXXXXX";
    if (!mkdtemp(directory))
        return error_set_errno(error, errno, "no scratch folder can be made here");
    struct bench_run run = *options;
    run.name = bench->name;
    run.directory = directory;
    fflush(NULL); /* what is buffered would be printed twice */
    pid_t child = fork();
    if (child == 0)
        _exit(run_in_child(bench, &run));
    int status = child < 0 ? error_set_errno(error, errno, "bench %s", bench->name) : wait_for(bench->name, child, error);
    nftw(directory, remove_entry, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
    return status;
}
