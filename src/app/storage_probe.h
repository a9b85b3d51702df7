/* What the data directory allows, for check and doctor. */
#ifndef APP_STORAGE_PROBE_H
#define APP_STORAGE_PROBE_H

#include "base/error.h"
#include <stdbool.h>
#include <stdint.h>

/* 1: the directory is there and files can be made in it; 0: it is not there but can be made; -1: neither, and why. */
int probe_directory(const char *path, struct error *error);

/* Free bytes for this user on the file system of `path`, or of its nearest parent that exists. */
int probe_free_space(const char *path, uint64_t *bytes, struct error *error);

#endif
