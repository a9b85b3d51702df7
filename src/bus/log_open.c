/* The embedded log: opening, closing, and what it is asked about itself.
 *
 * A directory of segments (NUMBER.log, NUMBER the offset of its first record), each a row of batches; docs/log-format.md
 * has the bytes.  How the pieces fit:
 *
 *     batch.c       a batch to bytes and back              log_append.c     one append: write, sync, publish
 *     log_files.c   names, list, window over a file        log_reader.c     batches in order, across segments
 *     log_scan.c    finding batches, judging the rest      log_lookup.c     by time; retention
 *     log_index.c   sparse index, side files               log_verify.c     reading all of it for doctor
 *     log_tail.c    recovery, following a writer       log_erase.c      records replaced where they lie
 *
 * Invariants:
 *   - what stands before the active segment's size_bytes is acknowledged (writer) or checked (read-only), and is the
 *     only thing that readers see;
 *   - segments are contiguous: each ends where the next begins; closed ones are never written again (erasure puts whole files
 *     in their place), and hold a record;
 *   - the first batch of a segment carries all readers' positions, so that the last segment alone is recovery's input;
 *   - nothing that is not derived (index files) or unfinished (a torn tail) is ever thrown away on open. */
#include "bus/log_internal.h"

#include "base/logging.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOG_NAMES_BYTES = 64 }; /* room for a file's name behind the directory */

/* Makes the directory and those above it, each one durable in its parent. */
static int directory_make(const struct env *env, const char *directory, struct error *error)
{
    struct log_path path;
    size_t length = strlen(directory);
    for (size_t end = 1; end <= length; end++) {
        if (end < length && directory[end] != '/')
            continue;
        snprintf(path.text, sizeof path.text, "%.*s", (int)end, directory);
        if (mkdir(path.text, 0755) == 0) {
            char *slash = strrchr(path.text, '/');
            if (slash)
                slash[slash == path.text ? 1 : 0] = 0;
            if (env->sync_directory(env, slash ? path.text : ".") < 0)
                return error_set_errno(error, errno, "cannot sync the directory above %.*s", (int)end, directory);
        } else if (errno != EEXIST) {
            return error_set_errno(error, errno, "cannot make the log directory %.*s", (int)end, directory);
        }
    }
    return 0;
}

/* One writer a directory.  The lock goes with the process, however it ends; the file's text is for the other's message. */
static int directory_lock(struct log *log, struct error *error)
{
    const struct env *env = log->env;
    struct log_path path;
    snprintf(path.text, sizeof path.text, "%s/lock", log->directory);
    log->lock_file = env->open(env, path.text, O_RDWR | O_CREAT, 0644);
    if (log->lock_file < 0)
        return error_set_errno(error, errno, "cannot open %s", path.text);
    char owner[32] = {0};
    if (flock(log->lock_file, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK)
            return error_set_errno(error, errno, "cannot lock %s", path.text);
        ssize_t length = env->pread(env, log->lock_file, owner, sizeof owner - 1, 0);
        owner[length > 0 ? strcspn(owner, "\n") : 0] = 0;
        return error_set(error, "the log %s is being written by process %s: stop that one first, or use another directory",
                         log->directory, owner[0] ? owner : "(unknown)");
    }
    int length = snprintf(owner, sizeof owner, "%ld\n", (long)getpid());
    if (env->truncate(env, log->lock_file, 0) < 0 || env->pwrite(env, log->lock_file, owner, (size_t)length, 0) != length)
        log_event(LOG_DEBUG, "log_lock_unnamed", "%s: %s", path.text, strerror(errno));
    return 0;
}

/* Index files whose segment is gone, and segments that were being written anew: retention or erasure was interrupted.  The
 * latter may hold what is to be erased, so that they must go. */
static int orphans_remove(struct log *log, struct error *error)
{
    int status = 0;
    DIR *listing = opendir(log->directory);
    if (!listing)
        return error_set_errno(error, errno, "cannot read the log directory %s", log->directory);
    for (struct dirent *entry; status == 0 && (entry = readdir(listing));) {
        struct bytes name = bytes_of_string(entry->d_name);
        uint64_t base_offset;
        if (name.length <= LOG_NAME_DIGITS || !bytes_to_u64(bytes_of(name.at, LOG_NAME_DIGITS), &base_offset))
            continue;
        struct bytes suffix = bytes_skip(name, LOG_NAME_DIGITS);
        if (bytes_equal(suffix, BYTES(".index")) && access(log_segment_path(log->directory, base_offset).text, F_OK) < 0 &&
            errno == ENOENT) {
            log->env->unlink(log->env, log_index_path(log->directory, base_offset).text);
        } else if (bytes_equal(suffix, BYTES(".log" LOG_ERASING_SUFFIX))) {
            struct log_path path = log_erasing_path(log->directory, base_offset);
            if (log->env->unlink(log->env, path.text) < 0)
                status = error_set_errno(error, errno, "cannot remove %s", path.text);
        }
    }
    closedir(listing);
    return status;
}

static int log_position(struct bus *bus, struct bytes reader, uint64_t *next_offset)
{
    struct log *log = (struct log *)bus;
    pthread_mutex_lock(&log->mutex);
    if (log->read_only)
        log_tail_refresh(log, NULL);
    const struct named_position *found = positions_find(&log->positions, reader);
    if (found)
        *next_offset = found->next_offset;
    pthread_mutex_unlock(&log->mutex);
    return found != NULL;
}

static void log_info(struct bus *bus, struct bus_info *info)
{
    struct log *log = (struct log *)bus;
    pthread_mutex_lock(&log->mutex);
    if (log->read_only)
        log_tail_refresh(log, NULL);
    *info = log->info;
    info->segments = log->segments.count;
    info->end_offset = log_end_offset(log);
    info->first_offset = log->segments.count > 0 ? log->segments.at[0].base_offset : 0;
    for (size_t i = 0; i < log->segments.count; i++)
        info->size_bytes += log->segments.at[i].size_bytes;
    pthread_mutex_unlock(&log->mutex);
}

static void log_free(struct log *log)
{
    if (log->file >= 0)
        log->env->close(log->env, log->file);
    if (log->lock_file >= 0)
        log->env->close(log->env, log->lock_file);
    free(log->segments.at);
    log_index_release(&log->tail_index);
    positions_release(&log->positions);
    log_window_release(&log->tail);
    batch_packer_destroy(log->writer.packer);
    batch_writer_release(&log->writer);
    pthread_mutex_destroy(&log->mutex);
    pthread_mutex_destroy(&log->appending);
    pthread_mutex_destroy(&log->upkeep);
    bus_release(&log->bus);
    free(log->directory);
    free(log);
}

static void log_destroy(struct bus *bus)
{
    struct log *log = (struct log *)bus;
    struct error error;
    if (!log->read_only && log_finish(log, &error) < 0)
        log_event(LOG_ERROR, "log_close_failed", "%s", error.text);
    log_free(log);
}

static struct log *log_create(const struct bus_log_options *options, const struct env *env)
{
    static const struct bus_class log_class = {
        .name = "log",
        .append = log_append,
        .position = log_position,
        .reader_open = log_reader_open,
        .reader_next = log_reader_next,
        .reader_pass_damage = log_reader_pass_damage,
        .reader_close = log_reader_close,
        .offset_at = log_offset_at,
        .truncate = log_truncate,
        .erase = log_erase,
        .info = log_info,
        .destroy = log_destroy,
    };
    struct log *log = calloc(1, sizeof *log);
    if (!log)
        return NULL;
    log->env = env;
    log->directory = strdup(options->directory);
    log->read_only = options->read_only;
    log->sync = options->sync;
    log->segment_bytes = options->segment_bytes ? options->segment_bytes : LOG_SEGMENT_BYTES;
    log->known_end = options->known_end;
    log->lock_file = log->file = -1;
    log_window_init(&log->tail, env, -1);
    bool pack = options->compress && !options->read_only;
    batch_writer_init(&log->writer, pack ? batch_packer_create() : NULL);
    pthread_mutex_init(&log->upkeep, NULL);
    pthread_mutex_init(&log->appending, NULL);
    pthread_mutex_init(&log->mutex, NULL);
    bus_init(&log->bus, &log_class, 0);
    if (log->directory && (!pack || log->writer.packer))
        return log;
    log_free(log);
    return NULL;
}

/* Beside a writer that begins a segment at this very moment, a look may catch it half done. */
static int load_read_only(struct log *log, struct error *error)
{
    int status = -1;
    for (int attempt = 0; status < 0 && attempt < 3; attempt++)
        status = log_tail_load(log, error);
    return status;
}

struct bus *bus_log_open(const struct bus_log_options *options, const struct env *env, struct error *error)
{
    size_t length = strlen(options->directory);
    if (length == 0 || length > LOG_PATH_CAP - LOG_NAMES_BYTES) {
        error_set(error, "the log directory's name has %zu bytes: 1 to %d are possible", length, LOG_PATH_CAP - LOG_NAMES_BYTES);
        return NULL;
    }
    struct log *log = log_create(options, env);
    if (!log) {
        error_set(error, "out of memory to open the log %s", options->directory);
        return NULL;
    }
    int status;
    if (log->read_only) {
        status = load_read_only(log, error);
    } else {
        status = directory_make(env, log->directory, error);
        if (status == 0)
            status = directory_lock(log, error);
        if (status == 0)
            status = log_tail_load(log, error);
        if (status == 0)
            status = orphans_remove(log, error);
        log_window_release(&log->tail);
        log->synced_at_us = env->monotonic_us(env);
    }
    if (status < 0) {
        log_free(log);
        return NULL;
    }
    log->bus.end_offset = log_end_offset(log);
    return &log->bus;
}
