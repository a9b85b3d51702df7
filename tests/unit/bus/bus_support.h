/* What the tests of the bus share: scratch folders, records that can be checked by their number, and an environment whose
 * calls fail when told to. */
#ifndef TESTS_UNIT_BUS_BUS_SUPPORT_H
#define TESTS_UNIT_BUS_BUS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/env.h"
#include "base/logging.h"
#include "base/random.h"
#include "bus/bus.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- folders and files ---- */

struct scratch {
    char path[256];
};

static inline void scratch_make(struct scratch *scratch)
{
    const char *base = getenv("TMPDIR");
    snprintf(scratch->path, sizeof scratch->path, "%s/dataflow_bus_XXXXXX", base && base[0] ? base : "/tmp");
    assert_non_null(mkdtemp(scratch->path));
}

/* In memory where the system has that: for tests that make thousands of small files. */
static inline void scratch_make_quick(struct scratch *scratch)
{
    snprintf(scratch->path, sizeof scratch->path, "/dev/shm/dataflow_bus_XXXXXX");
    if (!mkdtemp(scratch->path))
        scratch_make(scratch);
}

/* Removes the files of a folder (a log has no folders in it). */
static inline void scratch_empty(const struct scratch *scratch)
{
    DIR *listing = opendir(scratch->path);
    assert_non_null(listing);
    for (struct dirent *entry; (entry = readdir(listing));) {
        char path[600];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", scratch->path, entry->d_name);
        assert_int_equal(unlink(path), 0);
    }
    closedir(listing);
}

static inline void scratch_remove(const struct scratch *scratch)
{
    scratch_empty(scratch);
    assert_int_equal(rmdir(scratch->path), 0);
}

struct path_text {
    char text[600];
};

static inline struct path_text scratch_file(const struct scratch *scratch, uint64_t base_offset, const char *suffix)
{
    struct path_text path;
    snprintf(path.text, sizeof path.text, "%s/%020" PRIu64 "%s", scratch->path, base_offset, suffix);
    return path;
}

/* The whole file; the caller frees. */
static inline char *file_load(const char *path, size_t *size)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(file >= 0);
    struct stat info;
    assert_int_equal(fstat(file, &info), 0);
    *size = (size_t)info.st_size;
    char *data = malloc(*size + 1);
    assert_non_null(data);
    assert_int_equal(pread(file, data, *size, 0), (ssize_t)*size);
    close(file);
    return data;
}

static inline void file_store(const char *path, const char *data, size_t size)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(file >= 0);
    assert_int_equal(pwrite(file, data, size, 0), (ssize_t)size);
    close(file);
}

/* ---- records that follow from a number ---- */

enum { NUMBERED_TEXT_BYTES = 512, NUMBERED_BATCH_MAX = 64 };

struct numbered {
    struct bus_record record;
    char text[NUMBERED_TEXT_BYTES];
};

/* Record number n: any topic, key of 0 to 24 bytes, value of 0 to 299; times rise by a millisecond each, with disorder of
 * up to ten. */
static inline void numbered_make(struct numbered *out, uint64_t number)
{
    struct random random;
    random_seed(&random, number * 7919 + 1);
    size_t key = random_below(&random, 25), value = random_below(&random, 300);
    for (size_t i = 0; i < key + value; i++)
        out->text[i] = (char)random_below(&random, 256);
    out->record = (struct bus_record){.timestamp_us = (int64_t)(number * 1000 + random_below(&random, 10000)),
                                      .topic = (uint32_t)random_below(&random, BUS_TOPIC_COUNT),
                                      .key = bytes_of(out->text, key),
                                      .value = bytes_of(out->text + key, value)};
}

static inline bool numbered_equal(const struct bus_record *record, uint64_t number)
{
    struct numbered expected;
    numbered_make(&expected, number);
    return record->timestamp_us == expected.record.timestamp_us && record->topic == expected.record.topic &&
           bytes_equal(record->key, expected.record.key) && bytes_equal(record->value, expected.record.value);
}

/* Appends records number .. number + count - 1. */
static inline int numbered_append(struct bus *bus, uint64_t number, size_t count, const struct bus_position *position,
                                  struct error *error)
{
    struct numbered numbered[NUMBERED_BATCH_MAX];
    struct bus_record records[NUMBERED_BATCH_MAX];
    assert_true(count <= NUMBERED_BATCH_MAX);
    for (size_t i = 0; i < count; i++) {
        numbered_make(&numbered[i], number + i);
        records[i] = numbered[i].record;
    }
    int status = bus_append(bus, records, count, position, error);
    for (size_t i = 1; status == 0 && i < count; i++)
        assert_true(records[i].offset == records[0].offset + i);
    return status;
}

/* Reads all that is there from `from` on, where number and offset are the same.  Returns the offset reached; *status is the
 * reader's last answer. */
static inline uint64_t numbered_read(struct bus *bus, uint64_t from, int *status, struct error *error)
{
    struct bus_reader *reader = bus_reader_open(bus, from, BUS_ALL_TOPICS, error);
    assert_non_null(reader);
    struct bus_batch batch;
    uint64_t next = from;
    while ((*status = bus_reader_next(reader, &batch, error)) == 1) {
        assert_true(batch.base_offset <= next && batch.end_offset > next);
        assert_true(batch.count == batch.end_offset - next);
        for (size_t i = 0; i < batch.count; i++) {
            assert_true(batch.records[i].offset == next + i);
            assert_true(numbered_equal(&batch.records[i], next + i));
        }
        next = batch.end_offset;
    }
    bus_reader_close(reader);
    return next;
}

/* ---- an environment that fails ---- */

enum call { CALL_OPEN, CALL_PREAD, CALL_PWRITE, CALL_SYNC, CALL_TRUNCATE, CALL_UNLINK, CALL_SYNC_DIRECTORY, CALL_KINDS };
static const char *const call_names[CALL_KINDS] = {"open", "pread", "pwrite", "sync", "truncate", "unlink", "sync_directory"};

struct faults {
    enum call kind;
    uint64_t fail_at; /* the nth call of that kind, from 1; 0: none */
    bool for_ever;    /* and all after it */
    bool short_write; /* a pwrite writes half instead */
    bool quick_sync;  /* sync does nothing: for tests that open thousands of logs */
    int number;       /* errno */
    uint64_t calls[CALL_KINDS];
    uint64_t opened_logs; /* .log files opened */
};

struct fault_env {
    struct env env;
    struct faults faults;
};

static inline struct faults *faults_of(const struct env *env)
{
    return env->context;
}

static inline bool fault_strikes(const struct env *env, enum call kind)
{
    struct faults *faults = faults_of(env);
    uint64_t call = __atomic_add_fetch(&faults->calls[kind], 1, __ATOMIC_RELAXED); /* readers have their own threads */
    bool strikes =
        faults->kind == kind && faults->fail_at > 0 && (call == faults->fail_at || (faults->for_ever && call > faults->fail_at));
    if (strikes)
        errno = faults->number ? faults->number : EIO;
    return strikes;
}

static inline int fault_open(const struct env *env, const char *path, int flags, mode_t mode)
{
    struct faults *faults = faults_of(env);
    if (fault_strikes(env, CALL_OPEN))
        return -1;
    size_t length = strlen(path);
    bool log = length > 4 && strcmp(path + length - 4, ".log") == 0;
    __atomic_add_fetch(&faults->opened_logs, log, __ATOMIC_RELAXED);
    return env_system()->open(env_system(), path, flags, mode);
}

static inline int fault_close(const struct env *env, int file)
{
    (void)env;
    return env_system()->close(env_system(), file);
}

static inline ssize_t fault_pread(const struct env *env, int file, void *data, size_t size, off_t at)
{
    return fault_strikes(env, CALL_PREAD) ? -1 : env_system()->pread(env_system(), file, data, size, at);
}

static inline ssize_t fault_pwrite(const struct env *env, int file, const void *data, size_t size, off_t at)
{
    if (!fault_strikes(env, CALL_PWRITE))
        return env_system()->pwrite(env_system(), file, data, size, at);
    /* Part of it is written before the disk is full: a log must take it back. */
    ssize_t written = env_system()->pwrite(env_system(), file, data, size / 2, at);
    return faults_of(env)->short_write ? written : -1;
}

static inline int fault_sync(const struct env *env, int file)
{
    if (fault_strikes(env, CALL_SYNC))
        return -1;
    return faults_of(env)->quick_sync ? 0 : env_system()->sync(env_system(), file);
}

static inline int fault_truncate(const struct env *env, int file, off_t size)
{
    return fault_strikes(env, CALL_TRUNCATE) ? -1 : env_system()->truncate(env_system(), file, size);
}

static inline int fault_unlink(const struct env *env, const char *path)
{
    return fault_strikes(env, CALL_UNLINK) ? -1 : env_system()->unlink(env_system(), path);
}

static inline int fault_sync_directory(const struct env *env, const char *path)
{
    if (fault_strikes(env, CALL_SYNC_DIRECTORY))
        return -1;
    return faults_of(env)->quick_sync ? 0 : env_system()->sync_directory(env_system(), path);
}

static inline void fault_env_init(struct fault_env *fault)
{
    *fault = (struct fault_env){.env = *env_system()};
    fault->env.open = fault_open;
    fault->env.close = fault_close;
    fault->env.pread = fault_pread;
    fault->env.pwrite = fault_pwrite;
    fault->env.sync = fault_sync;
    fault->env.truncate = fault_truncate;
    fault->env.unlink = fault_unlink;
    fault->env.sync_directory = fault_sync_directory;
    fault->env.context = &fault->faults;
    fault->faults.quick_sync = true;
}

#endif
