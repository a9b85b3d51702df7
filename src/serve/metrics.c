/* Serve's own metrics, and those of the process, in the text format of Prometheus. */
#include "serve/serve_internal.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static const int counted[] = {101, 200, 303, 304, 400, 401, 403, 404, 405, 426, 500, 503};
enum { COUNTED = sizeof counted / sizeof counted[0] };
_Static_assert((int)COUNTED < (int)SERVE_STATUS_SLOTS, "the last slot is for all others");

void serve_count_request(struct serve *serve, const struct serve_route *route, int status)
{
    size_t count;
    const struct serve_route *routes = serve_routes(&count);
    size_t row = route ? (size_t)(route - routes) : count;
    size_t slot = 0;
    while (slot < COUNTED && counted[slot] != status)
        slot++;
    serve->requests[row][slot]++;
}

static void write_requests(const struct serve *serve, struct buffer *out)
{
    size_t count;
    const struct serve_route *routes = serve_routes(&count);
    BUFFER_LITERAL(out, "# HELP dataflow_http_requests_total Requests answered, by route and status.\n"
                        "# TYPE dataflow_http_requests_total counter\n");
    for (size_t row = 0; row <= count; row++) {
        for (size_t slot = 0; slot <= COUNTED; slot++) {
            if (serve->requests[row][slot] == 0)
                continue;
            char status[16] = "other";
            if (slot < COUNTED)
                snprintf(status, sizeof status, "%d", counted[slot]);
            buffer_printf(out, "dataflow_http_requests_total{path=\"%s\",status=\"%s\"} %llu\n",
                          row < count ? routes[row].label : "other", status, (unsigned long long)serve->requests[row][slot]);
        }
    }
}

static void write_value(struct buffer *out, const char *name, const char *type, const char *help, double value)
{
    buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s ", name, help, name, type, name);
    buffer_json_double(out, value);
    buffer_byte(out, '\n');
}

static double cpu_seconds(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double resident_bytes(void)
{
    char line[128] = "";
    FILE *file = fopen("/proc/self/statm", "re"); /* pages: all, in RAM, … */
    if (!file)
        return 0;
    struct bytes pages = BYTES_NONE;
    uint64_t resident = 0;
    if (fgets(line, sizeof line, file)) {
        bytes_split(bytes_of_string(line), ' ', &pages);
        bytes_to_u64(bytes_split(pages, ' ', &pages), &resident);
    }
    fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

void serve_metrics_write(struct serve *serve, struct buffer *out)
{
    write_requests(serve, out);
    write_value(out, "dataflow_live_clients", "gauge", "Live WebSockets and event streams.",
                (double)serve_live_count(serve->live));
    write_value(out, "dataflow_live_dropped_total", "counter", "Events that live clients were too slow for.",
                (double)serve_live_dropped(serve->live));
    write_value(out, "process_cpu_seconds_total", "counter", "CPU time of the process, user and system.", cpu_seconds());
    write_value(out, "process_resident_memory_bytes", "gauge", "Memory of the process that is in RAM.", resident_bytes());
    BUFFER_LITERAL(out, "# HELP dataflow_build_info The version that runs.\n# TYPE dataflow_build_info gauge\n");
    BUFFER_LITERAL(out, "dataflow_build_info{version=\"" DATAFLOW_VERSION "\"} 1\n");
}
