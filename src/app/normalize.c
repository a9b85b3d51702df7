/* Lines are gathered into batches without being copied: a batch ends when the next line would have to be read from the
 * file, for that moves the memory that the lines lie in.  Events are written out whenever a read may wait.
 *
 * Invariant: all lines of a batch stay valid until it is flushed. */
#include "app/normalize.h"

#include "base/lines.h"
#include "source/recording.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* No more inputs than a call of the source keeps rejects of, so that each is told with its line. */
enum { WAIT_MS = 200 }; /* for input that does not come, between two looks at whether to go on */
enum { BATCH_LINES = SOURCE_REJECT_KEPT };
enum { OUT_FLUSH = 256 * 1024, OUT_CAP = 64 << 20, REJECT_SHOWN = 4096 };

struct normalize {
    struct normalize_options options;
    struct lines *lines; /* of the file being read */
    const char *name;
    struct source_input inputs[BATCH_LINES];
    uint64_t input_lines[BATCH_LINES];
    size_t input_count;
    struct source_output output;
    struct buffer out, rejects;
    struct normalize_counts counts;
    uint64_t source_refused_by[REJECT_REASON_COUNT]; /* of the source's statistics, as far as they are in `counts` */
};

struct normalize *normalize_create(const struct normalize_options *options, struct error *error)
{
    struct normalize *normalize = calloc(1, sizeof *normalize);
    if (normalize)
        normalize->output.batch = event_batch_create((size_t)2 * BATCH_LINES);
    if (!normalize || !normalize->output.batch) {
        free(normalize);
        error_set(error, "out of memory");
        return NULL;
    }
    normalize->options = *options;
    buffer_init(&normalize->out, OUT_CAP);
    buffer_init(&normalize->rejects, OUT_CAP);
    return normalize;
}

void normalize_destroy(struct normalize *normalize)
{
    if (!normalize)
        return;
    event_batch_destroy(normalize->output.batch);
    buffer_release(&normalize->out);
    buffer_release(&normalize->rejects);
    free(normalize);
}

const struct normalize_counts *normalize_counts(const struct normalize *normalize)
{
    return &normalize->counts;
}

/* ---- writing ---- */

static enum normalize_result write_out(struct buffer *buffer, int file, const char *what, struct error *error)
{
    size_t done = 0;
    if (buffer->failed) {
        error_set(error, "out of memory for %s", what);
        return NORMALIZE_FAILED;
    }
    while (done < buffer->length) {
        ssize_t written = write(file, buffer->at + done, buffer->length - done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0 && errno == EPIPE)
            return NORMALIZE_READER_GONE;
        if (written < 0) {
            error_set_errno(error, errno, "writing %s", what);
            return NORMALIZE_FAILED;
        }
        done += (size_t)written;
    }
    buffer_reset(buffer);
    return NORMALIZE_DONE;
}

static enum normalize_result write_all(struct normalize *normalize, struct error *error)
{
    enum normalize_result result = write_out(&normalize->out, normalize->options.out, "events", error);
    if (result == NORMALIZE_DONE && normalize->options.rejects >= 0)
        result = write_out(&normalize->rejects, normalize->options.rejects, "refused lines", error);
    return result;
}

static void tell_refused(struct normalize *normalize, uint64_t line, enum reject_reason reason, struct bytes frame,
                         int64_t received_us)
{
    if (normalize->options.refused)
        normalize->options.refused(normalize->options.context, normalize->name, line, reason);
    if (normalize->options.rejects < 0)
        return;
    struct buffer *out = &normalize->rejects;
    buffer_printf(out, "{\"line\":%llu,\"reason\":\"%.*s\"", (unsigned long long)line, BYTES_ARG(reject_reason_name(reason)));
    if (received_us != TIME_UNKNOWN) {
        BUFFER_LITERAL(out, ",\"received\":\"");
        timestamp_append(out, received_us);
        BUFFER_LITERAL(out, "\"");
    }
    BUFFER_LITERAL(out, ",\"frame\":");
    buffer_json_string(out, frame.length > REJECT_SHOWN && reason == REJECT_TOO_LONG ? bytes_of(frame.at, REJECT_SHOWN) : frame);
    BUFFER_LITERAL(out, "}\n");
}

/* A line that does not reach the source. */
static void refuse(struct normalize *normalize, enum reject_reason reason, struct bytes line)
{
    normalize->counts.refused++;
    normalize->counts.refused_by[reason]++;
    tell_refused(normalize, normalize->lines->number, reason, line, TIME_UNKNOWN);
}

/* A frame may hold many records, more than the source keeps refused ones of: its statistics have them all. */
static void count_refused(struct normalize *normalize)
{
    const uint64_t *refused_by = source_statistics(normalize->options.source)->rejected_by;
    for (unsigned reason = 0; reason < REJECT_REASON_COUNT; reason++) {
        uint64_t more = refused_by[reason] - normalize->source_refused_by[reason];
        normalize->counts.refused += more;
        normalize->counts.refused_by[reason] += more;
        normalize->source_refused_by[reason] = refused_by[reason];
    }
}

/* ---- batches ---- */

/* What the source made of the gathered lines. */
static enum normalize_result take_output(struct normalize *normalize, struct error *error)
{
    struct source_output *output = &normalize->output;
    for (size_t i = 0; i < output->batch->count; i++) {
        event_write(&output->batch->events[i], &normalize->out);
        buffer_byte(&normalize->out, '\n');
    }
    for (size_t i = 0; i < output->reject_count; i++) {
        const struct source_reject *reject = &output->rejects[i];
        tell_refused(normalize, normalize->input_lines[reject->input], reject->reason, reject->frame,
                     normalize->inputs[reject->input].now_us);
    }
    count_refused(normalize);
    source_output_reset(output);
    event_batch_reset(output->batch);
    normalize->input_count = 0;
    return normalize->out.length >= OUT_FLUSH || normalize->rejects.length >= OUT_FLUSH ? write_all(normalize, error)
                                                                                        : NORMALIZE_DONE;
}

/* Gives the gathered lines to the source. */
static enum normalize_result flush(struct normalize *normalize, struct error *error)
{
    source_read(normalize->options.source, normalize->inputs, normalize->input_count, &normalize->output);
    return take_output(normalize, error);
}

/* connection: of a recorded frame; 0 for a bare one, which is whole by itself. */
static void add_input(struct normalize *normalize, struct bytes frame, int64_t received_us, uint32_t connection)
{
    normalize->input_lines[normalize->input_count] = normalize->lines->number;
    normalize->inputs[normalize->input_count++] =
        (struct source_input){.kind = SOURCE_FRAME, .connection = connection, .now_us = received_us, .frame = frame};
}

/* A line of a recording; false: it is a bare frame after all. */
static bool take_recorded(struct normalize *normalize, struct bytes line)
{
    struct recording_line recorded;
    enum reject_reason reason = recording_line_parse(line, &normalize->output.batch->arena, &recorded);
    if (reason == REJECT_MISSING_FIELD)
        return false;
    if (reason != REJECT_NONE) {
        refuse(normalize, reason, line);
        return true;
    }
    struct bytes kind, argument;
    source_spec_split(recorded.source, &kind, &argument);
    bool ours = kind.length == 0 || bytes_equal(kind, source_kind(normalize->options.source));
    if (recorded.event == RECORDING_FRAME && ours)
        add_input(normalize, recorded.frame, recorded.received_us, recorded.connection != 0 ? recorded.connection : 1);
    else
        normalize->counts.aside++;
    return true;
}

/* What a line of a recording never begins with, so that the commonest frames need not be searched. */
static bool is_bare(struct bytes line)
{
    return bytes_start_with(line, BYTES("{\"stream\":")) || bytes_start_with(line, BYTES("{\"e\":"));
}

/* A close without a reason has no `frame`, but begins as all recorded lines do. */
static bool may_be_recorded(struct bytes line)
{
    return !is_bare(line) && (recording_line_is_likely(line) || bytes_start_with(line, BYTES("{\"received\":")));
}

static void take_line(struct normalize *normalize, struct bytes line)
{
    if (line.length == 0)
        normalize->counts.blank++;
    else if (!may_be_recorded(line) || !take_recorded(normalize, line))
        add_input(normalize, line, TIME_UNKNOWN, 0);
}

/* Before a read that may wait: everything so far goes out. */
static enum normalize_result before_read(struct normalize *normalize, struct error *error)
{
    enum normalize_result result = flush(normalize, error);
    if (result == NORMALIZE_DONE)
        result = write_all(normalize, error);
    if (result == NORMALIZE_DONE && normalize->options.go_on &&
        !normalize->options.go_on(normalize->options.context, normalize->counts.lines))
        return NORMALIZE_STOPPED;
    return result;
}

static enum normalize_result read_lines(struct normalize *normalize, struct error *error)
{
    for (;;) {
        enum normalize_result result = NORMALIZE_DONE;
        if (!lines_buffered(normalize->lines))
            result = before_read(normalize, error);
        else if (normalize->input_count == BATCH_LINES)
            result = flush(normalize, error);
        if (result != NORMALIZE_DONE)
            return result;
        struct bytes line;
        enum lines_result got = lines_next(normalize->lines, &line, error);
        if (got == LINES_ERROR)
            return NORMALIZE_FAILED;
        if (got == LINES_END)
            return NORMALIZE_DONE;
        if (got == LINES_WAIT)
            continue;
        normalize->counts.lines++;
        if (got == LINES_TOO_LONG)
            refuse(normalize, REJECT_TOO_LONG, line);
        else
            take_line(normalize, line);
    }
}

enum normalize_result normalize_file(struct normalize *normalize, int file, const char *name, struct error *error)
{
    struct lines lines;
    if (lines_init(&lines, file, NORMALIZE_LINE_CAP, error) != 0)
        return NORMALIZE_FAILED;
    lines.poll_ms = WAIT_MS;
    normalize->lines = &lines;
    normalize->name = name;
    enum normalize_result result = read_lines(normalize, error);
    if (result == NORMALIZE_DONE)
        result = before_read(normalize, error);
    normalize->lines = NULL;
    normalize->input_lines[0] = lines.number; /* of what the source still holds of it */
    lines_release(&lines);
    return result;
}

enum normalize_result normalize_end(struct normalize *normalize, struct error *error)
{
    normalize->inputs[0] = (struct source_input){.now_us = TIME_UNKNOWN};
    source_close(normalize->options.source, TIME_UNKNOWN, &normalize->output);
    enum normalize_result result = take_output(normalize, error);
    return result == NORMALIZE_DONE ? write_all(normalize, error) : result;
}
