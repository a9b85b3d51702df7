#include "pipeline/rejects.h"

#include "base/logging.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { REJECTS_FILE_BYTES = 4 << 20, REJECTS_FRAME_BYTES = 64 << 10, REJECTS_PATH = 4096 };

struct rejects {
    int file;
    uint64_t size_bytes;
    struct buffer line;
    char path[REJECTS_PATH];
};

static int rejects_open_file(struct rejects *rejects, struct error *error)
{
    rejects->file = open(rejects->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    struct stat info;
    if (rejects->file < 0 || fstat(rejects->file, &info) < 0)
        return error_set_errno(error, errno, "cannot write %s", rejects->path);
    rejects->size_bytes = (uint64_t)info.st_size;
    return 0;
}

struct rejects *rejects_open(const char *directory, struct error *error)
{
    struct rejects *rejects = calloc(1, sizeof *rejects);
    if (!rejects) {
        error_set(error, "out of memory");
        return NULL;
    }
    buffer_init(&rejects->line, 8 * REJECTS_FRAME_BYTES);
    snprintf(rejects->path, sizeof rejects->path, "%s/rejects.jsonl", directory);
    if (rejects_open_file(rejects, error) < 0) {
        rejects_close(rejects);
        return NULL;
    }
    return rejects;
}

static void rejects_rotate(struct rejects *rejects)
{
    char old[REJECTS_PATH + 2];
    snprintf(old, sizeof old, "%s.1", rejects->path);
    close(rejects->file);
    rename(rejects->path, old);
    struct error error;
    if (rejects_open_file(rejects, &error) < 0)
        log_event(LOG_WARNING, "rejects_unwritable", "%s", error.text);
}

void rejects_keep(struct rejects *rejects, int64_t now_us, struct bytes source, enum reject_reason reason, struct bytes frame)
{
    struct buffer *line = &rejects->line;
    if (frame.length > REJECTS_FRAME_BYTES)
        frame.length = REJECTS_FRAME_BYTES;
    buffer_reset(line);
    BUFFER_LITERAL(line, "{\"time\":\"");
    timestamp_append(line, now_us);
    BUFFER_LITERAL(line, "\",\"source\":");
    buffer_json_string(line, source);
    BUFFER_LITERAL(line, ",\"reason\":");
    buffer_json_string(line, reject_reason_name(reason));
    BUFFER_LITERAL(line, ",\"frame\":");
    buffer_json_string(line, frame);
    BUFFER_LITERAL(line, "}\n");
    if (line->failed || rejects->file < 0)
        return;
    if (rejects->size_bytes + line->length > REJECTS_FILE_BYTES)
        rejects_rotate(rejects);
    if (rejects->file >= 0 && write(rejects->file, line->at, line->length) == (ssize_t)line->length)
        rejects->size_bytes += line->length;
    else
        log_event(LOG_WARNING, "rejects_unwritable", "cannot write %s; refused records are counted, but not kept", rejects->path);
}

void rejects_close(struct rejects *rejects)
{
    if (!rejects)
        return;
    if (rejects->file >= 0)
        close(rejects->file);
    buffer_release(&rejects->line);
    free(rejects);
}
