#include "base/env.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static int64_t clock_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t system_now_us(const struct env *env)
{
    (void)env;
    return clock_us(CLOCK_REALTIME);
}

static int64_t system_monotonic_us(const struct env *env)
{
    (void)env;
    return clock_us(CLOCK_MONOTONIC);
}

static int system_open(const struct env *env, const char *path, int flags, mode_t mode)
{
    (void)env;
    return open(path, flags | O_CLOEXEC, mode);
}

static int system_close(const struct env *env, int file)
{
    (void)env;
    return close(file);
}

static ssize_t system_pread(const struct env *env, int file, void *data, size_t size, off_t at)
{
    (void)env;
    return pread(file, data, size, at);
}

static ssize_t system_pwrite(const struct env *env, int file, const void *data, size_t size, off_t at)
{
    (void)env;
    return pwrite(file, data, size, at);
}

static int system_sync(const struct env *env, int file)
{
    (void)env;
    return fdatasync(file);
}

static int system_truncate(const struct env *env, int file, off_t size)
{
    (void)env;
    return ftruncate(file, size);
}

static int system_unlink(const struct env *env, const char *path)
{
    (void)env;
    return unlink(path);
}

static int system_rename(const struct env *env, const char *from, const char *to)
{
    (void)env;
    return rename(from, to);
}

static int system_sync_directory(const struct env *env, const char *path)
{
    (void)env;
    int file = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0)
        return -1;
    int status = fsync(file);
    close(file);
    return status;
}

const struct env *env_system(void)
{
    static const struct env system_env = {
        .now_us = system_now_us,
        .monotonic_us = system_monotonic_us,
        .open = system_open,
        .close = system_close,
        .pread = system_pread,
        .pwrite = system_pwrite,
        .sync = system_sync,
        .truncate = system_truncate,
        .unlink = system_unlink,
        .rename = system_rename,
        .sync_directory = system_sync_directory,
    };
    return &system_env;
}
