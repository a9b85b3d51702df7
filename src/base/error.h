/* One error, filled once at the place that knows the cause, and read where it is reported.
 * The text says what went wrong, where, and what to do about it, in one line. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stddef.h>

struct error {
    char text[512];
};

/* Fills *error (may be NULL) and returns -1, so that a function can `return error_set(...)`. */
int error_set(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same, followed by ": " and the text of errno value `number`. */
int error_set_errno(struct error *error, int number, const char *format, ...) __attribute__((format(printf, 3, 4)));

#ifdef __clang_analyzer__
/* It reads one file at a time, and would think that an error may return 0. */
#define error_set(...) (error_set(__VA_ARGS__), -1)
#define error_set_errno(...) (error_set_errno(__VA_ARGS__), -1)
#endif

#endif
