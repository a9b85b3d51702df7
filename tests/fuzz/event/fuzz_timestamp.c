/* Whatever parses as a time is written in the canonical form, which parses as the same time; decimals compare as a total
 * order that agrees with doubles. */
#include "event/decimal.h"
#include "event/timestamp.h"

#include <assert.h>

static void check_decimals(struct bytes text)
{
    struct bytes second, first = bytes_split(text, ' ', &second);
    if (!decimal_is_valid(first) || !decimal_is_valid(second))
        return;
    int order = decimal_compare(first, second);
    double a = decimal_to_double(first), b = decimal_to_double(second);
    assert(decimal_compare(first, first) == 0);
    assert((order > 0) == (decimal_compare(second, first) < 0));
    assert(order <= 0 || a >= b);
    assert(order >= 0 || a <= b);
    assert(order != 0 || a == b);
    assert(decimal_is_positive(first) == (decimal_compare(first, BYTES("0")) > 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_of((const char *)data, size);
    int64_t time_us, again;
    if (timestamp_parse(text, &time_us)) {
        char canonical[TIMESTAMP_LENGTH];
        timestamp_format(time_us, canonical);
        assert(timestamp_parse(bytes_of(canonical, TIMESTAMP_LENGTH), &again) && again == time_us);
    }
    check_decimals(text);
    return 0;
}
