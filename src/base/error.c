#include "base/error.h"

#include "base/bytes.h"
#include <stdarg.h>
#include <stdio.h>

int(error_set)(struct error *error, const char *format, ...)
{
    if (error) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error->text, sizeof error->text, format, arguments);
        va_end(arguments);
    }
    return -1;
}

int(error_set_errno)(struct error *error, int number, const char *format, ...)
{
    if (error) {
        va_list arguments;
        va_start(arguments, format);
        int used = vsnprintf(error->text, sizeof error->text, format, arguments);
        va_end(arguments);
        if (used >= 0 && (size_t)used < sizeof error->text) {
            char reason[128];
            snprintf(error->text + used, sizeof error->text - (size_t)used, ": %s", strerror_r(number, reason, sizeof reason));
        }
    }
    return -1;
}
