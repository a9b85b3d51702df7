/* Any bytes as Twitch chat.  As the stream of a connection: however it is split, the same events and the same refusals,
 * and each event one that can be read back.  As a script of what happens to connections (a line's first byte chooses): the
 * ledger, asserted inside, balances.  As bare frames: likewise. */
#include "base/random.h"
#include "source/source_internal.h"

#undef NDEBUG /* the checks are what this is for */
#include <assert.h>

#define START_US ((int64_t)1790000000000000)

enum { TEXT_CAP = 256 << 20 };

struct run {
    struct source *source;
    struct source_output output;
    struct buffer events;
    uint32_t asked, current; /* the connection asked for last; the one that frames come over */
};

static void settle(struct run *run)
{
    for (size_t i = 0; i < run->output.batch->count; i++) {
        event_write(&run->output.batch->events[i], &run->events);
        buffer_byte(&run->events, '\n');
    }
    for (size_t i = 0; i < run->output.action_count; i++)
        if (run->output.actions[i].kind == SOURCE_OPEN)
            run->asked = run->output.actions[i].connection;
    event_batch_reset(run->output.batch);
    source_output_reset(&run->output);
}

static void start(struct run *run, const char *argument)
{
    struct source_options options = {.kind = BYTES("twitch-irc"), .argument = bytes_of_string(argument)};
    struct error error;
    *run = (struct run){.source = source_create_of(&source_twitch_irc, &options, &error), .output.batch = event_batch_create(1)};
    assert(run->source && run->output.batch);
    source_output_reset(&run->output);
    buffer_init(&run->events, TEXT_CAP);
}

static void finish(struct run *run)
{
    source_close(run->source, START_US, &run->output);
    settle(run);
    source_destroy(run->source);
    event_batch_destroy(run->output.batch);
    buffer_release(&run->events);
}

static void give(struct run *run, enum source_input_kind kind, uint32_t connection, int64_t now_us, struct bytes frame)
{
    struct source_input input = {.kind = kind, .connection = connection, .now_us = now_us, .frame = frame};
    source_read(run->source, &input, 1, &run->output);
    settle(run);
}

static void connect_run(struct run *run)
{
    source_connect(run->source, START_US, &run->output);
    settle(run);
    run->current = run->asked;
    give(run, SOURCE_OPENED, run->current, START_US, BYTES(""));
    give(run, SOURCE_FRAME, run->current, START_US, BYTES(":tmi.twitch.tv 001 me :hi\r\n"));
}

static void play_stream(struct run *run, struct bytes text, struct random *random)
{
    start(run, "room");
    connect_run(run);
    while (text.length > 0) {
        size_t length = random ? 1 + (size_t)random_below(random, text.length < 40 ? text.length : 40) : text.length;
        give(run, SOURCE_FRAME, run->current, START_US, bytes_of(text.at, length));
        text = bytes_skip(text, length);
    }
}

static void check_events(struct bytes text)
{
    struct arena arena;
    arena_init(&arena, (size_t)64 << 20);
    while (text.length > 0) {
        struct event event;
        assert(event_parse(bytes_split(text, '\n', &text), &arena, &event) == REJECT_NONE);
        arena_reset(&arena);
    }
    arena_release(&arena);
}

static void check_splits(struct bytes text)
{
    struct run whole, split;
    struct random random;
    random_seed(&random, text.length);
    play_stream(&whole, text, NULL);
    play_stream(&split, text, &random);
    const struct source_statistics *a = source_statistics(whole.source), *b = source_statistics(split.source);
    assert(bytes_equal(buffer_bytes(&whole.events), buffer_bytes(&split.events)));
    assert(memcmp(a->rejected_by, b->rejected_by, sizeof a->rejected_by) == 0 && a->duplicates == b->duplicates);
    assert(a->state == b->state);
    check_events(buffer_bytes(&whole.events));
    finish(&whole);
    finish(&split);
}

/* '+' opens what was asked for, '-' cuts, '!' lets time go by, '<' goes on with the connection before; else a frame. */
static void check_session(struct bytes text)
{
    struct run run;
    int64_t now_us = START_US;
    start(&run, "room,other");
    connect_run(&run);
    for (int i = 0; text.length > 0 && i < 200; i++) {
        struct bytes rest, line = bytes_split(text, '\n', &rest);
        size_t whole = line.length < text.length ? line.length + 1 : line.length; /* with its end */
        if (line.length > 0 && line.at[0] == '+') {
            run.current = run.asked;
            give(&run, SOURCE_OPENED, run.current, now_us, BYTES(""));
        } else if (line.length > 0 && line.at[0] == '-') {
            source_error(run.source, run.current, 1006, BYTES("cut"), now_us, &run.output);
            settle(&run);
        } else if (line.length > 0 && line.at[0] == '!') {
            now_us += (int64_t)line.length * 5000000;
            give(&run, SOURCE_TICK, 0, now_us, BYTES(""));
        } else if (line.length > 0 && line.at[0] == '<') {
            run.current = run.current > 1 ? run.current - 1 : run.current;
        } else {
            give(&run, SOURCE_FRAME, run.current, now_us, bytes_of(text.at, whole));
        }
        text = rest;
    }
    check_events(buffer_bytes(&run.events));
    finish(&run);
}

static void check_bare(struct bytes text)
{
    struct run run;
    start(&run, "");
    for (uint32_t i = 0; text.length > 0 && i < 200; i++) {
        struct bytes frame = bytes_split(text, '\x02', &text);
        give(&run, SOURCE_FRAME, i % 2, i % 3 ? START_US : TIME_UNKNOWN, frame);
    }
    check_events(buffer_bytes(&run.events));
    finish(&run);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_of((const char *)data, size);
    check_splits(text);
    check_session(text);
    check_bare(text);
    return 0;
}
