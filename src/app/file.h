/* Small files read whole. */
#ifndef APP_FILE_H
#define APP_FILE_H

#include "base/buffer.h"
#include "base/error.h"

/* Appends the file to `out` (its cap is the greatest size).  1: read; 0: there is no such file; -1: error. */
int file_read(const char *path, struct buffer *out, struct error *error);

#endif
