/* Query parameters as `name=value` lines: what is accepted lies within its bounds, what is not is named. */
#include "serve/serve_internal.h"

#include "event/timestamp.h"
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct serve_parameters parameters;
    struct error error = {""};
    struct bytes rest = bytes_of((const char *)data, size);
    serve_parameters_init(&parameters);
    while (rest.at && rest.length > 0) {
        struct bytes value = BYTES_NONE;
        struct bytes name = bytes_split(bytes_split(rest, '\n', &rest), '=', &value);
        if (serve_parameters_add(&parameters, SERVE_TOPIC | SERVE_PAGING, name, value, &error) != 0) {
            if (!error.text[0])
                __builtin_trap();
            return 0;
        }
    }
    const struct serve_events_query *query = &parameters.query;
    if (query->limit < 1 || query->limit > SERVE_LIMIT_MAX || query->from_us < TIME_MIN || query->to_us > TIME_MAX ||
        query->key.length > 256 || query->topic.length > 256)
        __builtin_trap();
    if (serve_parameters_finish(&parameters, &error) == 0 && query->from_us > query->to_us)
        __builtin_trap();
    return 0;
}
