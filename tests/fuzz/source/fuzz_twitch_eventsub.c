/* Whatever comes over an EventSub session, and as answers to requests: no crash, a ledger that balances, events that can be read
 * back, and no token in any of them.  Each line of the input is one step: `F` a frame, `R` and a digit an answer, `T` time
 * passes, `C` a close; the rest of the line is its text. */
#include "source/source_internal.h"

#include <assert.h>
#include <stdlib.h>

#define TOKEN "zq7unmistakable4token9x"
#define STEP_US ((int64_t)20 * 1000000)

enum { TEXT_CAP = 64 << 20, STEPS_MAX = 256, LAST_MAX = 64 };

struct fuzz {
    struct source *source;
    struct source_output output;
    uint32_t requests[LAST_MAX]; /* asked for last; a ring */
    size_t request_count;
    uint32_t connection;
    int64_t now_us;
    struct buffer events;
};

static bool has_token(struct bytes text)
{
    return text.length > 0 && memmem(text.at, text.length, TOKEN, sizeof TOKEN - 1);
}

static void settle(struct fuzz *fuzz)
{
    struct source_output *output = &fuzz->output;
    for (size_t i = 0; i < output->action_count; i++) {
        const struct source_action *action = &output->actions[i];
        assert(action->kind != SOURCE_SEND && !has_token(action->text) && !has_token(action->body));
        if (action->kind == SOURCE_OPEN)
            fuzz->connection = action->connection;
        else if (action->kind == SOURCE_REQUEST)
            fuzz->requests[fuzz->request_count++ % LAST_MAX] = action->connection;
    }
    for (size_t i = 0; i < output->batch->count; i++) {
        event_write(&output->batch->events[i], &fuzz->events);
        buffer_byte(&fuzz->events, '\n');
    }
    assert(!has_token(bytes_of_string(source_last_error(fuzz->source))));
    event_batch_reset(output->batch);
    source_output_reset(output);
}

static void give(struct fuzz *fuzz, struct source_input input)
{
    input.now_us = fuzz->now_us;
    source_read(fuzz->source, &input, 1, &fuzz->output);
    settle(fuzz);
}

static void answer(struct fuzz *fuzz, struct bytes text)
{
    static const int statuses[] = {200, 202, 400, 401, 403, 409, 429, 500, 503, 0};
    unsigned digit = text.length > 0 ? (unsigned char)text.at[0] % 10u : 0;
    if (fuzz->request_count == 0)
        return;
    fuzz->request_count--;
    give(fuzz, (struct source_input){.kind = SOURCE_RESPONSE,
                                     .connection = fuzz->requests[fuzz->request_count % LAST_MAX],
                                     .status = statuses[digit],
                                     .retry_after_us = digit == 6 ? STEP_US : -1,
                                     .frame = bytes_skip(text, text.length > 0)});
}

static void step(struct fuzz *fuzz, struct bytes line)
{
    struct bytes text = bytes_skip(line, line.length > 0);
    switch (line.length > 0 ? line.at[0] : 'T') {
    case 'R':
        answer(fuzz, text);
        break;
    case 'T':
        fuzz->now_us += STEP_US;
        give(fuzz, (struct source_input){.kind = SOURCE_TICK});
        give(fuzz, (struct source_input){.kind = SOURCE_OPENED, .connection = fuzz->connection});
        break;
    case 'C':
        source_error(fuzz->source, fuzz->connection, 4000 + (int)text.length % 10, text, fuzz->now_us, &fuzz->output);
        settle(fuzz);
        break;
    default:
        give(fuzz, (struct source_input){.kind = SOURCE_FRAME, .connection = fuzz->connection, .frame = text});
    }
}

static void check_events(struct bytes text)
{
    struct arena arena;
    arena_init(&arena, 64 << 20);
    assert(!has_token(text));
    while (text.length > 0) {
        struct event event;
        assert(event_parse(bytes_split(text, '\n', &text), &arena, &event) == REJECT_NONE);
        arena_reset(&arena);
    }
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_of((const char *)data, size);
    struct error error;
    if (has_token(text))
        return -1; /* the fuzzer has learnt it from the comparison */
    struct source_options options = {
        .kind = BYTES("twitch-eventsub"), .argument = BYTES("room,other"), .base_url = BYTES(""), .token = BYTES(TOKEN)};
    struct fuzz fuzz = {.source = source_create_of(&source_twitch_eventsub, &options, &error),
                        .output = {.batch = event_batch_create(4)},
                        .now_us = 1790000000000000};
    assert(fuzz.source && fuzz.output.batch);
    buffer_init(&fuzz.events, TEXT_CAP);
    source_connect(fuzz.source, fuzz.now_us, &fuzz.output);
    settle(&fuzz);
    give(&fuzz, (struct source_input){.kind = SOURCE_OPENED, .connection = fuzz.connection});
    for (size_t i = 0; i < STEPS_MAX && text.length > 0; i++)
        step(&fuzz, bytes_split(text, '\n', &text));
    source_close(fuzz.source, fuzz.now_us, &fuzz.output);
    settle(&fuzz);
    check_events(buffer_bytes(&fuzz.events));
    buffer_release(&fuzz.events);
    event_batch_destroy(fuzz.output.batch);
    source_destroy(fuzz.source);
    return 0;
}
