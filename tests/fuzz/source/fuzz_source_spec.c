/* What a configuration may name as a source: a bad one is refused with a text, a good one can be connected and ticked. */
#include "source/source.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct source_options options = {.seed = size, .rate = size % 3 == 0 ? 1000 : 0};
    struct error error = {""};
    source_spec_split(bytes_of((const char *)data, size), &options.kind, &options.argument);
    struct source *source = source_create(&options, &error);
    if (!source) {
        assert(error.text[0] != '\0');
        return 0;
    }
    struct source_output output = {.batch = event_batch_create(16)};
    assert(output.batch);
    struct source_input tick = {.kind = SOURCE_TICK, .now_us = 1790000000100000};
    source_connect(source, 1790000000000000, &output);
    source_read(source, &tick, 1, &output);
    source_close(source, tick.now_us, &output);
    assert(source_statistics(source)->state == SOURCE_ENDED || source_statistics(source)->state == SOURCE_FAILED);
    source_destroy(source);
    event_batch_destroy(output.batch);
    return 0;
}
