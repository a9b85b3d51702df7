/* Texts are made aside and copied then: what an error said before may be an argument of what it says now. */
#include "base/error.h"

#include "base/bytes.h"
#include <stdarg.h>
#include <stdio.h>

int(error_set)(struct error *error, const char *format, ...)
{
    if (error) {
        struct error made;
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(made.text, sizeof made.text, format, arguments);
        va_end(arguments);
        *error = made;
    }
    return -1;
}

int(error_set_errno)(struct error *error, int number, const char *format, ...)
{
    if (error) {
        struct error made;
        va_list arguments;
        va_start(arguments, format);
        int used = vsnprintf(made.text, sizeof made.text, format, arguments);
        va_end(arguments);
        if (used >= 0 && (size_t)used < sizeof made.text) {
            char reason[128];
            snprintf(made.text + used, sizeof made.text - (size_t)used, ": %s", strerror_r(number, reason, sizeof reason));
        }
        *error = made;
    }
    return -1;
}
