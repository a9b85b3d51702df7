/* Lines are written by one write each, and what was written of one that found no room is cut off again.  Erasing writes a file
 * anew beside the old one and renames it; what a crash leaves of that is removed at the next opening. */
#include "pipeline/rejects.h"

#include "base/lines.h"
#include "base/logging.h"
#include "pipeline/scrub.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

enum { REJECTS_FILE_BYTES = 4 << 20, REJECTS_FRAME_BYTES = 64 << 10, REJECTS_PATH = 4096 };

struct rejects {
    pthread_mutex_t lock; /* of all below */
    int file;
    uint64_t size_bytes;
    struct buffer line;
    char directory[REJECTS_PATH];
    char path[REJECTS_PATH];
    char erasing[REJECTS_PATH];
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
    rejects->file = -1;
    pthread_mutex_init(&rejects->lock, NULL);
    buffer_init(&rejects->line, 8 * REJECTS_FRAME_BYTES);
    snprintf(rejects->directory, sizeof rejects->directory, "%s", directory);
    snprintf(rejects->path, sizeof rejects->path, "%s/rejects.jsonl", directory);
    snprintf(rejects->erasing, sizeof rejects->erasing, "%s.erasing", rejects->path);
    if (unlink(rejects->erasing) < 0 && errno != ENOENT) {
        error_set_errno(error, errno, "cannot remove %s", rejects->erasing);
        rejects_close(rejects);
        return NULL;
    }
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

static void rejects_write(struct rejects *rejects)
{
    const struct buffer *line = &rejects->line;
    if (line->failed || rejects->file < 0)
        return;
    if (rejects->size_bytes + line->length > REJECTS_FILE_BYTES)
        rejects_rotate(rejects);
    ssize_t written = rejects->file >= 0 ? write(rejects->file, line->at, line->length) : -1;
    if (written == (ssize_t)line->length) {
        rejects->size_bytes += line->length;
        return;
    }
    /* A full disk took a part of it: back to whole lines, or the next one would be glued to it. */
    if (written > 0 && ftruncate(rejects->file, (off_t)rejects->size_bytes) < 0)
        rejects->size_bytes += (uint64_t)written;
    log_event(LOG_WARNING, "rejects_unwritable", "cannot write %s; refused records are counted, but not kept", rejects->path);
}

void rejects_keep(struct rejects *rejects, int64_t now_us, struct bytes source, enum reject_reason reason, struct bytes frame)
{
    struct buffer *line = &rejects->line;
    if (frame.length > REJECTS_FRAME_BYTES)
        frame.length = REJECTS_FRAME_BYTES;
    pthread_mutex_lock(&rejects->lock);
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
    rejects_write(rejects);
    pthread_mutex_unlock(&rejects->lock);
}

/* ---- erasing ---- */

/* Appends the line, without its frame if that has the text. */
static bool line_erase(struct bytes line, struct bytes text, struct buffer *out)
{
    const struct bytes field = BYTES(",\"frame\":");
    const char *frame = memmem(line.at, line.length, field.at, field.length);
    struct bytes rest = frame ? bytes_skip(line, (size_t)(frame - line.at) + field.length) : line;
    bool found = scrub_mentions(rest, text);
    buffer_append(out, found ? bytes_of(line.at, line.length - rest.length) : line);
    if (found)
        buffer_append(out, frame ? BYTES("\"\",\"erased\":true}") : BYTES("{\"erased\":true}"));
    buffer_byte(out, '\n');
    return found;
}

/* The file's lines as they are to be.  The number of those erased, -1. */
static int64_t file_erase(int file, struct bytes text, struct buffer *out, struct error *error)
{
    struct lines lines;
    struct bytes line;
    int64_t erased = 0;
    if (lines_init(&lines, file, (size_t)8 * REJECTS_FRAME_BYTES, error) < 0)
        return -1;
    enum lines_result got;
    while ((got = lines_next(&lines, &line, error)) > LINES_END)
        erased += line_erase(line, text, out); /* no line of ours is too long */
    lines_release(&lines);
    if (out->failed)
        return error_set(error, "out of memory to erase refused records");
    return got == LINES_ERROR ? -1 : erased;
}

/* Puts a file with this content in the place of `path`. */
static int file_replace(struct rejects *rejects, const char *path, struct bytes content, struct error *error)
{
    int file = open(rejects->erasing, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    bool well = file >= 0;
    while (well && content.length > 0) {
        ssize_t written = write(file, content.at, content.length);
        well = written > 0;
        content = well ? bytes_skip(content, (size_t)written) : content;
    }
    well = well && fsync(file) == 0;
    if (file >= 0)
        close(file);
    well = well && rename(rejects->erasing, path) == 0 && env_system()->sync_directory(env_system(), rejects->directory) == 0;
    return well ? 0 : error_set_errno(error, errno, "cannot write %s anew", path);
}

static int path_erase(struct rejects *rejects, const char *path, struct bytes text, uint64_t *lines, struct error *error)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return errno == ENOENT ? 0 : error_set_errno(error, errno, "cannot read %s", path);
    struct buffer out;
    buffer_init(&out, (size_t)4 * REJECTS_FILE_BYTES);
    int64_t erased = file_erase(file, text, &out, error);
    close(file);
    int result = erased > 0 ? file_replace(rejects, path, buffer_bytes(&out), error) : (int)erased;
    buffer_release(&out);
    *lines += result == 0 ? (uint64_t)erased : 0;
    return result;
}

int rejects_erase(struct rejects *rejects, struct bytes text, uint64_t *lines, struct error *error)
{
    char old[REJECTS_PATH + 2];
    snprintf(old, sizeof old, "%s.1", rejects->path);
    pthread_mutex_lock(&rejects->lock);
    int result = path_erase(rejects, old, text, lines, error);
    if (result == 0)
        result = path_erase(rejects, rejects->path, text, lines, error);
    if (result == 0 && rejects->file >= 0) { /* the file may be another one now */
        close(rejects->file);
        result = rejects_open_file(rejects, error);
    }
    pthread_mutex_unlock(&rejects->lock);
    return result;
}

void rejects_close(struct rejects *rejects)
{
    if (!rejects)
        return;
    if (rejects->file >= 0)
        close(rejects->file);
    buffer_release(&rejects->line);
    pthread_mutex_destroy(&rejects->lock);
    free(rejects);
}
