/* Tries of the file system, which leave nothing behind. */
#include "app/storage_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { PATH_SIZE = 4096 };

/* Cuts the last part off; "." and "/" are the ends. */
static void to_parent(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash && slash != path)
        *slash = 0;
    else
        snprintf(path, PATH_SIZE, slash ? "/" : ".");
}

/* The path itself or the nearest parent that exists. */
static int nearest(const char *path, char *found, struct error *error)
{
    if (snprintf(found, PATH_SIZE, "%s", path) >= PATH_SIZE)
        return error_set(error, "the path is too long");
    while (access(found, F_OK)) {
        if (errno != ENOENT || strcmp(found, ".") == 0 || strcmp(found, "/") == 0)
            return error_set_errno(error, errno, "%.300s cannot be reached", found);
        to_parent(found);
    }
    return 0;
}

int probe_directory(const char *path, struct error *error)
{
    char found[PATH_SIZE], name[PATH_SIZE + 32];
    struct stat info;
    if (nearest(path, found, error))
        return -1;
    if (stat(found, &info) || !S_ISDIR(info.st_mode))
        return error_set(error, "%.300s is not a directory", found);
    bool there = strcmp(found, path) == 0;
    if (!there)
        return access(found, W_OK | X_OK) ? error_set_errno(error, errno, "%.300s cannot be made", path) : 0;
    snprintf(name, sizeof name, "%s/.probe-%ld", path, (long)getpid());
    int file = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0)
        return error_set_errno(error, errno, "no file can be made in %.300s", path);
    close(file);
    unlink(name);
    return 1;
}

int probe_free_space(const char *path, uint64_t *bytes, struct error *error)
{
    char found[PATH_SIZE];
    struct statvfs info;
    if (nearest(path, found, error))
        return -1;
    if (statvfs(found, &info))
        return error_set_errno(error, errno, "%.300s", found);
    *bytes = (uint64_t)info.f_bavail * (uint64_t)info.f_frsize;
    return 0;
}
