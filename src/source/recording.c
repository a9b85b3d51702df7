/* Plays a recording into adapters of the recorded kinds; see recording.h.
 *
 * One line at a time: its time is the clock of the adapter it belongs to, so that a wake-up which that adapter asked for
 * comes before the line and how lines are split into batches makes no difference.  The numbers of recorded connections
 * are matched with those that the adapter asks for now, in the order of opening.
 *
 * Ledger: a line for an adapter is that adapter's frame and is accounted for there; after each call the adapter's
 * counts are added to ours.  All other lines are frames of our own. */
#include "source/recording.h"

#include "source/recording_shift.h"
#include "source/source_internal.h"

#include <assert.h>
#include <stdlib.h>

enum {
    PLAYER_MAX = 64,    /* sources in one recording */
    CONNECTION_MAX = 8, /* of a source at a time */
    ROUND_MIN_US = 1000000
};

struct connection_pair {
    uint32_t recorded, actual;
};

/* An adapter that recorded lines are played into. */
struct player {
    struct source *source;
    int64_t wake_at_us;
    struct connection_pair connections[CONNECTION_MAX];
    size_t connection_count;
    uint32_t asked[CONNECTION_MAX]; /* connections that it wants and that no line has opened yet */
    size_t asked_count;
};

struct recording_state {
    struct player players[PLAYER_MAX];
    size_t player_count;
    int64_t round;
    int64_t clock_us;            /* time of the last line, of the recording */
    bool started;                /* `round` holds */
    struct source_output output; /* of the players; shares the driver's batch */
};

/* What a line's call works with. */
struct play {
    struct source *source;
    struct recording_state *state;
    struct source_output *output;
    size_t input;
    struct recording_shift shift;
    int64_t now_us; /* the line's time, of the recording */
};

static int recording_init(struct source *source, struct error *error)
{
    ((struct recording_state *)source->state)->clock_us = TIME_UNKNOWN;
    if (source->options.argument.length == 0)
        return error_set(error, "recording: no file was named: use recording:FILE");
    if (source->options.round_length_us != 0 && source->options.round_length_us < ROUND_MIN_US)
        return error_set(error, "%s: a recording that loops must last at least a second", source->name);
    return 0;
}

static void forget_players(struct recording_state *state)
{
    for (size_t i = 0; i < state->player_count; i++)
        source_destroy(state->players[i].source);
    state->player_count = 0;
}

static void recording_release(struct source *source)
{
    forget_players(source->state);
}

/* ---- calls into a player ---- */

static void add_statistics(struct source_statistics *sum, const struct source_statistics *after,
                           const struct source_statistics *before)
{
    sum->frames += after->frames - before->frames;
    sum->created += after->created - before->created;
    sum->events += after->events - before->events;
    sum->rejected += after->rejected - before->rejected;
    sum->duplicates += after->duplicates - before->duplicates;
    sum->filtered += after->filtered - before->filtered;
    sum->gaps += after->gaps - before->gaps;
    sum->missing += after->missing - before->missing;
    sum->reconnects += after->reconnects - before->reconnects;
    for (size_t i = 0; i < REJECT_REASON_COUNT; i++)
        sum->rejected_by[i] += after->rejected_by[i] - before->rejected_by[i];
}

/* Moves the new events to this round.  One that does not fit the memory is taken out and counted. */
static void shift_events(struct play *play, size_t from)
{
    struct source_statistics *statistics = &play->source->statistics;
    struct event_batch *batch = play->output->batch;
    size_t kept = from;
    for (size_t i = from; i < batch->count; i++) {
        struct event *event = &batch->events[i];
        if (!recording_shift_event(&play->shift, event, &batch->arena)) {
            statistics->events--;
            statistics->rejected++;
            statistics->rejected_by[REJECT_NO_MEMORY]++;
            continue;
        }
        if (event->received_us != TIME_UNKNOWN)
            statistics->last_event_us = event->received_us;
        if (kept != i)
            batch->events[kept] = *event;
        kept++;
    }
    batch->count = kept;
}

static void pass_rejects(struct play *play)
{
    const struct source_output *inner = &play->state->output;
    for (size_t i = 0; i < inner->reject_count && play->output->reject_count < SOURCE_REJECT_KEPT; i++) {
        struct source_reject reject = inner->rejects[i];
        reject.input = (uint32_t)play->input;
        play->output->rejects[play->output->reject_count++] = reject;
    }
}

static void note_actions(struct player *player, const struct source_output *inner)
{
    for (size_t i = 0; i < inner->action_count; i++)
        if (inner->actions[i].kind == SOURCE_OPEN && player->asked_count < CONNECTION_MAX)
            player->asked[player->asked_count++] = inner->actions[i].connection;
}

enum call { CALL_CONNECT, CALL_READ, CALL_ERROR };

static void call_player(struct play *play, struct player *player, enum call call, const struct source_input *input)
{
    struct source_output *inner = &play->state->output;
    size_t from = play->output->batch->count;
    struct source_statistics before = *source_statistics(player->source);
    inner->batch = play->output->batch;
    inner->action_count = 0;
    inner->reject_count = 0;
    if (call == CALL_CONNECT)
        source_connect(player->source, play->now_us, inner);
    else if (call == CALL_READ)
        source_read(player->source, input, 1, inner);
    else
        source_error(player->source, input->connection, SOURCE_CLOSED_NONE, input->frame, play->now_us, inner);
    player->wake_at_us = inner->wake_at_us;
    add_statistics(&play->source->statistics, source_statistics(player->source), &before);
    shift_events(play, from);
    pass_rejects(play);
    note_actions(player, inner);
}

/* ---- connections ---- */

static void link_connection(struct player *player, uint32_t recorded, uint32_t actual)
{
    if (player->connection_count == CONNECTION_MAX) { /* the oldest was never seen to close */
        memmove(player->connections, player->connections + 1, (CONNECTION_MAX - 1) * sizeof *player->connections);
        player->connection_count--;
    }
    player->connections[player->connection_count++] = (struct connection_pair){recorded, actual};
}

/* A recorded connection opens: it is the one that the player has asked for longest.  A player that waits before it tries
 * again is told to try now, for in the recording it had. */
static uint32_t open_connection(struct play *play, struct player *player, uint32_t recorded)
{
    if (player->asked_count == 0)
        call_player(play, player, CALL_CONNECT, NULL);
    if (player->asked_count == 0)
        return 0;
    uint32_t actual = player->asked[0];
    player->asked_count--;
    memmove(player->asked, player->asked + 1, player->asked_count * sizeof *player->asked);
    link_connection(player, recorded, actual);
    struct source_input opened = {.kind = SOURCE_OPENED, .connection = actual, .now_us = play->now_us};
    call_player(play, player, CALL_READ, &opened);
    return actual;
}

/* The player's number of a recorded connection; 0: it is not open. */
static uint32_t find_connection(const struct player *player, uint32_t recorded)
{
    for (size_t i = player->connection_count; i > 0; i--)
        if (player->connections[i - 1].recorded == recorded)
            return player->connections[i - 1].actual;
    return 0;
}

static void close_connection(struct play *play, struct player *player, uint32_t recorded, struct bytes reason)
{
    for (size_t i = 0; i < player->connection_count; i++) {
        if (player->connections[i].recorded != recorded)
            continue;
        struct source_input closed = {.connection = player->connections[i].actual, .frame = reason};
        player->connection_count--;
        memmove(&player->connections[i], &player->connections[i + 1],
                (player->connection_count - i) * sizeof *player->connections);
        call_player(play, player, CALL_ERROR, &closed);
        return;
    }
}

/* ---- players ---- */

static struct source *make_source(struct source *outer, struct bytes spec, enum reject_reason *reason)
{
    struct source_options options = {.seed = outer->options.seed};
    source_spec_split(spec, &options.kind, &options.argument);
    *reason = REJECT_UNKNOWN_SOURCE;
    if (bytes_equal(options.kind, BYTES("recording")))
        return NULL; /* a recording holds raw traffic, and none of that is another recording */
    bool events = bytes_equal(options.kind, BYTES("simulated")) || bytes_equal(options.kind, BYTES("jsonl"));
    struct error error;
    struct source *made = events ? source_create_of(&source_jsonl, &options, &error) : source_create(&options, &error);
    if (!made)
        source_set_error(outer, "%s", error.text);
    return made;
}

static struct player *find_player(struct play *play, struct bytes spec, enum reject_reason *reason)
{
    struct recording_state *state = play->state;
    for (size_t i = 0; i < state->player_count; i++)
        if (bytes_equal(bytes_of_string(source_name(state->players[i].source)), spec))
            return &state->players[i];
    *reason = REJECT_NO_MEMORY;
    if (state->player_count == PLAYER_MAX)
        return NULL;
    struct source *source = make_source(play->source, spec, reason);
    if (!source)
        return NULL;
    struct player *player = &state->players[state->player_count++];
    *player = (struct player){.source = source, .wake_at_us = INT64_MAX};
    call_player(play, player, CALL_CONNECT, NULL);
    return player;
}

/* ---- lines ---- */

/* The line's own time, or that of the line before it, or that of the driver; then which round it belongs to and how far
 * its times move.  False: no time is known. */
static bool find_time(struct play *play, int64_t received_us, int64_t now_us)
{
    const struct source_options *options = &play->source->options;
    if (received_us == TIME_UNKNOWN)
        received_us = play->state->clock_us;
    if (received_us == TIME_UNKNOWN && options->round_length_us == 0)
        received_us = now_us;
    if (received_us == TIME_UNKNOWN || (options->round_length_us != 0 && now_us == TIME_UNKNOWN))
        return false;
    play->now_us = play->state->clock_us = received_us;
    if (options->round_length_us == 0)
        return true;
    /* Robust against a driver that is late by less than a round: the line's place in the round is known. */
    int64_t begin_us = now_us - (received_us - options->recording_start_us);
    int64_t round = begin_us / options->round_length_us - (begin_us % options->round_length_us < 0);
    if (play->state->started && round != play->state->round)
        forget_players(play->state);
    play->state->started = true;
    play->state->round = round;
    play->shift =
        (struct recording_shift){.round = round, .time_us = round * options->round_length_us - options->recording_start_us};
    return true;
}

static void play_frame(struct play *play, struct player *player, const struct recording_line *line)
{
    uint32_t connection = find_connection(player, line->connection);
    if (connection == 0) /* the recording began, or we began to play it, after the opening */
        connection = open_connection(play, player, line->connection);
    struct source_input input = {.kind = SOURCE_FRAME, .connection = connection, .now_us = play->now_us, .frame = line->frame};
    call_player(play, player, CALL_READ, &input);
}

static void play_line(struct play *play, const struct recording_line *line, struct bytes text)
{
    enum reject_reason reason = REJECT_MISSING_FIELD;
    struct player *player = line->source.length ? find_player(play, line->source, &reason) : NULL;
    if (!player) {
        source_frame(play->source);
        source_reject(play->source, play->output, play->input, text, reason);
        return;
    }
    if (player->wake_at_us <= play->now_us) {
        struct source_input tick = {.kind = SOURCE_TICK, .now_us = play->now_us};
        call_player(play, player, CALL_READ, &tick);
    }
    if (line->event == RECORDING_FRAME) {
        play_frame(play, player, line);
        return;
    }
    source_frame(play->source);
    source_filter(play->source);
    if (line->event == RECORDING_OPEN)
        open_connection(play, player, line->connection);
    else if (line->event == RECORDING_CLOSE)
        close_connection(play, player, line->connection, line->frame.at ? line->frame : BYTES(""));
}

static void recording_frame(struct play *play, const struct source_input *input)
{
    bool over = source_is_over(play->source);
    struct recording_line line;
    enum reject_reason reason = recording_line_parse(input->frame, &play->output->batch->arena, &line);
    if (reason == REJECT_NONE && !find_time(play, line.received_us, input->now_us))
        reason = REJECT_NO_TIME;
    if (reason == REJECT_NONE && !over) {
        play_line(play, &line, input->frame);
        return;
    }
    source_frame(play->source);
    if (over)
        source_filter(play->source); /* was still on its way */
    else
        source_reject(play->source, play->output, play->input, input->frame, reason);
}

static void recording_read(struct source *source, const struct source_input *inputs, size_t count, struct source_output *output)
{
    struct play play = {.source = source, .state = source->state, .output = output};
    for (play.input = 0; play.input < count; play.input++) {
        const struct source_input *input = &inputs[play.input];
        if (input->kind == SOURCE_FRAME)
            recording_frame(&play, input);
        else if (input->kind == SOURCE_OPENED)
            source_file_opened(source, input);
    }
}

const struct source_class source_recording = {
    .kind = "recording",
    .argument = "FILE",
    .summary = "recorded traffic, played as recorded; may loop",
    .state_size = sizeof(struct recording_state),
    .init = recording_init,
    .connect = source_file_connect,
    .read = recording_read,
    .close = source_file_close,
    .error = source_file_error,
    .release = recording_release,
};
