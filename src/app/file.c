/* Reads a file into a buffer, up to the buffer's cap. */
#include "app/file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { BLOCK_SIZE = 16384 };

int file_read(const char *path, struct buffer *out, struct error *error)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return errno == ENOENT ? 0 : error_set_errno(error, errno, "%s cannot be read", path);
    int status = 1;
    for (ssize_t got = 1; got > 0 && status == 1;) {
        char block[BLOCK_SIZE];
        got = read(file, block, sizeof block);
        if (got < 0)
            status = error_set_errno(error, errno, "%s cannot be read", path);
        else
            buffer_append(out, bytes_of(block, (size_t)got));
        if (out->failed)
            status = error_set(error, "%s is larger than %zu bytes", path, out->cap);
    }
    close(file);
    return status;
}
