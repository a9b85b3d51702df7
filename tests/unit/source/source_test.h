/* For tests of sources: a source, a batch, and the four calls on them. */
#ifndef UNIT_SOURCE_SOURCE_TEST_H
#define UNIT_SOURCE_SOURCE_TEST_H

#include "source/source_internal.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define TEST_START_US 1790000000000000LL /* 2026-09-21T14:13:20Z */

struct source_rig {
    struct source *source;
    struct source_output output;
};

static inline struct source_rig rig_of(const struct source_options *options, const char *spec)
{
    struct source_options whole = *options;
    source_spec_split(bytes_of_string(spec), &whole.kind, &whole.argument);
    struct error error = {""};
    struct source_rig rig = {.source = source_create(&whole, &error)};
    if (!rig.source)
        fail_msg("%s: %s", spec, error.text);
    rig.output.batch = event_batch_create(64);
    assert_non_null(rig.output.batch);
    return rig;
}

static inline void rig_release(struct source_rig *rig)
{
    source_destroy(rig->source);
    event_batch_destroy(rig->output.batch);
}

/* Empties what the last call left. */
static inline void rig_clear(struct source_rig *rig)
{
    event_batch_reset(rig->output.batch);
    source_output_reset(&rig->output);
}

static inline void rig_connect(struct source_rig *rig, int64_t now_us)
{
    rig_clear(rig);
    source_connect(rig->source, now_us, &rig->output);
}

static inline void rig_input(struct source_rig *rig, enum source_input_kind kind, struct bytes frame, int64_t now_us)
{
    struct source_input input = {.kind = kind, .connection = 1, .now_us = now_us, .frame = frame};
    rig_clear(rig);
    source_read(rig->source, &input, 1, &rig->output);
}

static inline const struct event *rig_event(const struct source_rig *rig, size_t index)
{
    assert_true(index < rig->output.batch->count);
    return &rig->output.batch->events[index];
}

static inline void assert_bytes(struct bytes got, const char *expected)
{
    if (!bytes_equal(got, bytes_of_string(expected)))
        fail_msg("\"%.*s\" instead of \"%s\"", BYTES_ARG(got), expected);
}

#endif
