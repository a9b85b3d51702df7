/* The environment: clocks and file calls behind an interface, so that tests simulate time, make disks
 * fail and runs repeat exactly.  env_system() is the real one.  Calls follow POSIX: -1 and errno on failure. */
#ifndef BASE_ENV_H
#define BASE_ENV_H

#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct env {
    int64_t (*now_us)(const struct env *env);       /* wall clock, microseconds since 1970 UTC */
    int64_t (*monotonic_us)(const struct env *env); /* never steps back */
    int (*open)(const struct env *env, const char *path, int flags, mode_t mode);
    int (*close)(const struct env *env, int file);
    ssize_t (*pread)(const struct env *env, int file, void *data, size_t size, off_t at);
    ssize_t (*pwrite)(const struct env *env, int file, const void *data, size_t size, off_t at);
    int (*sync)(const struct env *env, int file); /* fdatasync */
    int (*truncate)(const struct env *env, int file, off_t size);
    int (*unlink)(const struct env *env, const char *path);
    int (*rename)(const struct env *env, const char *from, const char *to);
    int (*sync_directory)(const struct env *env, const char *path); /* fsync: makes its entries durable */
    void *context;                                                  /* for tests */
};

const struct env *env_system(void);

#endif
