/* Twitch chat, lines to events: against tests/golden/twitch_irc_oracle.py, and however the bytes are split. */
#include "source/twitch_irc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define NOW_US ((int64_t)1790000000000000)

enum { LINES_MAX = 1024, TEXT_CAP = 64 << 20, HASH_DIGITS = 32 };

struct play {
    struct source *source;
    struct source_output output;
    struct buffer events;
};

static void play_start(struct play *play, const char *argument)
{
    struct error error = {""};
    struct source_options options = {.kind = BYTES("twitch-irc"), .argument = bytes_of_string(argument), .seed = 1};
    *play = (struct play){.source = source_create_of(&source_twitch_irc, &options, &error)};
    if (!play->source)
        fail_msg("%s", error.text);
    play->output.batch = event_batch_create(4);
    assert_non_null(play->output.batch);
    source_output_reset(&play->output);
    buffer_init(&play->events, TEXT_CAP);
}

static void play_end(struct play *play)
{
    assert_false(play->events.failed);
    source_destroy(play->source);
    event_batch_destroy(play->output.batch);
    buffer_release(&play->events);
}

static void take_output(struct play *play)
{
    for (size_t i = 0; i < play->output.batch->count; i++) {
        event_write(&play->output.batch->events[i], &play->events);
        buffer_byte(&play->events, '\n');
    }
    event_batch_reset(play->output.batch);
    source_output_reset(&play->output);
}

static void give(struct play *play, enum source_input_kind kind, uint32_t connection, int64_t now_us, struct bytes frame)
{
    struct source_input input = {.kind = kind, .connection = connection, .now_us = now_us, .frame = frame};
    source_read(play->source, &input, 1, &play->output);
    take_output(play);
}

static const struct source_statistics *counts(const struct play *play)
{
    return source_statistics(play->source);
}

static void assert_text(struct bytes got, struct bytes expected)
{
    if (!bytes_equal(got, expected))
        fail_msg("\n     got %.*s\nexpected %.*s", BYTES_ARG(got), BYTES_ARG(expected));
}

/* ---- golden ---- */

static void read_file(const char *name, struct buffer *out)
{
    char path[512], block[4096];
    size_t got;
    snprintf(path, sizeof path, TEST_DATA "/twitch/%s", name);
    buffer_init(out, TEXT_CAP);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while ((got = fread(block, 1, sizeof block, file)) > 0)
        buffer_append(out, bytes_of(block, got));
    fclose(file);
}

/* The oracle knows no hashes: "?" stands for one. */
static void assert_same_event(struct bytes got, struct bytes expected)
{
    struct bytes start = BYTES("{\"schema\":1,\"id\":\"");
    assert_true(bytes_start_with(got, start) && bytes_start_with(expected, start));
    got = bytes_skip(got, start.length);
    expected = bytes_skip(expected, start.length);
    if (bytes_start_with(expected, BYTES("?\""))) {
        assert_int_equal(bytes_find(got, '"'), HASH_DIGITS);
        got = bytes_skip(got, HASH_DIGITS);
        expected = bytes_skip(expected, 1);
    }
    assert_text(got, expected);
}

static void check_counts(const struct source_statistics *statistics)
{
    struct buffer text;
    read_file("chat.counts.tsv", &text);
    struct bytes rest = buffer_bytes(&text);
    while (rest.length > 0) {
        struct bytes value, name = bytes_split(bytes_split(rest, '\n', &rest), '\t', &value);
        uint64_t expected, got = bytes_equal(name, BYTES("frames"))       ? statistics->frames
                                 : bytes_equal(name, BYTES("events"))     ? statistics->events
                                 : bytes_equal(name, BYTES("rejected"))   ? statistics->rejected
                                 : bytes_equal(name, BYTES("filtered"))   ? statistics->filtered
                                 : bytes_equal(name, BYTES("duplicates")) ? statistics->duplicates
                                                                          : UINT64_MAX;
        for (unsigned i = 0; i < REJECT_REASON_COUNT && got == UINT64_MAX; i++)
            if (bytes_equal(bytes_skip(name, sizeof "rejected_" - 1), reject_reason_name(i)))
                got = statistics->rejected_by[i];
        assert_true(bytes_to_u64(value, &expected));
        if (got != expected)
            fail_msg("%.*s is %llu instead of %llu", BYTES_ARG(name), (unsigned long long)got, (unsigned long long)expected);
    }
    buffer_release(&text);
}

static void test_golden(void **state)
{
    (void)state;
    struct buffer lines, expected;
    read_file("chat.lines", &lines);
    read_file("chat.events.jsonl", &expected);
    struct play play;
    play_start(&play, "");
    struct bytes rest = buffer_bytes(&lines);
    while (rest.length > 0)
        give(&play, SOURCE_FRAME, 0, TIME_UNKNOWN, bytes_split(rest, '\n', &rest));
    struct bytes got = buffer_bytes(&play.events), wanted = buffer_bytes(&expected);
    while (wanted.length > 0 && got.length > 0)
        assert_same_event(bytes_split(got, '\n', &got), bytes_split(wanted, '\n', &wanted));
    assert_int_equal(got.length, 0);
    assert_int_equal(wanted.length, 0);
    check_counts(counts(&play));
    play_end(&play);
    buffer_release(&lines);
    buffer_release(&expected);
}

/* ---- splitting ---- */

/* All the golden lines, with CR LF, over a connection, in pieces of random lengths up to `longest`. */
static void play_pieces(struct play *play, struct bytes stream, size_t longest, uint64_t seed)
{
    struct random random;
    random_seed(&random, seed);
    play_start(play, "room");
    source_connect(play->source, NOW_US, &play->output);
    take_output(play);
    give(play, SOURCE_OPENED, 1, NOW_US, BYTES(""));
    give(play, SOURCE_FRAME, 1, NOW_US, BYTES(":tmi.twitch.tv 001 justinfan1 :Welcome, GLHF!\r\n"));
    while (stream.length > 0) {
        size_t length = 1 + (size_t)random_below(&random, longest);
        if (length > stream.length)
            length = stream.length;
        /* A copy of its own, so that reading beyond it is seen. */
        char *piece = malloc(length);
        assert_non_null(piece);
        memcpy(piece, stream.at, length);
        give(play, SOURCE_FRAME, 1, NOW_US, bytes_of(piece, length));
        free(piece);
        stream = bytes_skip(stream, length);
    }
}

static void with_line_ends(struct bytes lines, const char *end, struct buffer *out)
{
    buffer_init(out, TEXT_CAP);
    while (lines.length > 0) {
        struct bytes line = bytes_split(lines, '\n', &lines);
        if (bytes_find(line, '\r') >= 0 || bytes_equal(line, BYTES(":tmi.twitch.tv RECONNECT")))
            continue; /* a CR before the end is one with it; a RECONNECT is another test's */
        buffer_append(out, line);
        buffer_append(out, bytes_of_string(end));
    }
}

static void test_any_split_gives_the_same(void **state)
{
    (void)state;
    static const size_t longest[] = {1, 2, 3, 17, 300, 2000, 20000, 1 << 20};
    struct buffer lines, stream;
    read_file("chat.lines", &lines);
    for (unsigned ends = 0; ends < 2; ends++) {
        struct play whole;
        with_line_ends(buffer_bytes(&lines), ends ? "\n" : "\r\n", &stream);
        play_pieces(&whole, buffer_bytes(&stream), 1 << 30, 1);
        assert_true(counts(&whole)->events > 400);
        for (size_t i = 0; i < sizeof longest / sizeof *longest; i++) {
            struct play split;
            play_pieces(&split, buffer_bytes(&stream), longest[i], i);
            assert_text(buffer_bytes(&split.events), buffer_bytes(&whole.events));
            assert_int_equal(counts(&split)->duplicates, counts(&whole)->duplicates);
            assert_memory_equal(counts(&split)->rejected_by, counts(&whole)->rejected_by, sizeof counts(&whole)->rejected_by);
            play_end(&split);
        }
        play_end(&whole);
        buffer_release(&stream);
    }
    buffer_release(&lines);
}

/* A line of exactly the greatest length is taken, also split before its end; one byte more is refused once. */
static void test_longest_line(void **state)
{
    (void)state;
    static char text[IRC_LINE_MAX + 3];
    static const char start[] = "@id=1;tmi-sent-ts=1 :a!a@a PRIVMSG #r :";
    for (size_t more = 0; more < 2; more++)
        for (size_t cut = IRC_LINE_MAX - 2; cut <= IRC_LINE_MAX + 2 + more; cut++) {
            struct play play;
            play_start(&play, "r");
            source_connect(play.source, NOW_US, &play.output);
            take_output(&play);
            give(&play, SOURCE_OPENED, 1, NOW_US, BYTES(""));
            memset(text, 'x', sizeof text);
            memcpy(text, start, sizeof start - 1);
            memcpy(text + IRC_LINE_MAX + more, "\r\n", 2);
            give(&play, SOURCE_FRAME, 1, NOW_US, bytes_of(text, cut));
            give(&play, SOURCE_FRAME, 1, NOW_US, bytes_of(text + cut, IRC_LINE_MAX + more + 2 - cut));
            give(&play, SOURCE_FRAME, 1, NOW_US, BYTES("@id=2;tmi-sent-ts=1 :a!a@a PRIVMSG #r :y\r\n"));
            assert_int_equal(counts(&play)->events, 2 - more);
            assert_int_equal(counts(&play)->rejected_by[REJECT_TOO_LONG], more);
            assert_int_equal(counts(&play)->rejected, more);
            play_end(&play);
        }
}

/* ---- frames of recordings, without their connection ---- */

#define LINE(id) "@id=" id ";tmi-sent-ts=1700000000000 :a!a@a.tmi.twitch.tv PRIVMSG #r :text of " id

static void check_loose(const char *const *frames, size_t frame_count, uint64_t events)
{
    struct play play;
    play_start(&play, "");
    for (size_t i = 0; i < frame_count; i++)
        give(&play, SOURCE_FRAME, 1, NOW_US, bytes_of_string(frames[i]));
    source_close(play.source, NOW_US, &play.output);
    take_output(&play);
    if (counts(&play)->events != events || counts(&play)->rejected != 0)
        fail_msg("%.*s", BYTES_ARG(buffer_bytes(&play.events)));
    play_end(&play);
}

static void test_loose_frames(void **state)
{
    (void)state;
    static const char *const lines[] = {LINE("1"), LINE("2"), "PING :x", LINE("3") "\r"};
    static const char *const many[] = {LINE("1") "\r\n" LINE("2") "\r\n", LINE("3") "\r\nPING :x\r\n" LINE("4") "\r\n"};
    static const char *const unended[] = {LINE("1") "\r\n" LINE("2"), LINE("3") "\n" LINE("4"), "PING :x", LINE("5")};
    static const char *const split[] = {LINE("1") "\r\n@id=2;tmi-sent-", "ts=1700000000000 :a!a@a PRIV", "MSG #r :t\r",
                                        "\n" LINE("3")};
    check_loose(lines, sizeof lines / sizeof *lines, 3);
    check_loose(many, sizeof many / sizeof *many, 4);
    check_loose(unended, sizeof unended / sizeof *unended, 5);
    check_loose(split, sizeof split / sizeof *split, 3);
}

/* ---- duplicates ---- */

static void give_id(struct play *play, unsigned id, int64_t now_us)
{
    char line[128];
    int length = snprintf(line, sizeof line, "@id=%u;tmi-sent-ts=1700000000000 :a!a@a PRIVMSG #r :x", id);
    give(play, SOURCE_FRAME, 0, now_us, bytes_of(line, (size_t)length));
    buffer_reset(&play->events);
}

/* Half a million records back at least, within bounded memory. */
static void test_what_is_remembered(void **state)
{
    (void)state;
    enum { MANY = SEEN_GENERATION_MAX * 2 + 1000 };
    struct seen seen;
    seen_init(&seen);
    for (uint64_t i = 1; i <= MANY; i++) {
        uint64_t key = i * 0x9E3779B97F4A7C15u, before = (i - SEEN_GENERATION_MAX) * 0x9E3779B97F4A7C15u;
        assert_false(seen_has(&seen, key));
        seen_add(&seen, key, NOW_US);
        if (i > SEEN_GENERATION_MAX)
            assert_true(seen_has(&seen, before));
    }
    assert_false(seen_has(&seen, 0x9E3779B97F4A7C15u)); /* the first */
    assert_true((seen.current.slot_count + seen.older.slot_count) * sizeof *seen.current.slots <= 11 << 20);
    seen_release(&seen);
}

static void test_how_long_it_is_remembered(void **state)
{
    (void)state;
    struct play play;
    play_start(&play, "");
    give_id(&play, 1, NOW_US);
    give_id(&play, 1, NOW_US + 600 * SECOND_US);
    assert_int_equal(counts(&play)->duplicates, 1);
    give_id(&play, 2, NOW_US + 601 * SECOND_US);
    give_id(&play, 1, NOW_US + 602 * SECOND_US);
    assert_int_equal(counts(&play)->duplicates, 2);
    give_id(&play, 3, NOW_US + 1202 * SECOND_US);
    give_id(&play, 1, NOW_US + 1203 * SECOND_US); /* two generations ago: it is new again */
    give_id(&play, 2, NOW_US + 1204 * SECOND_US);
    assert_int_equal(counts(&play)->duplicates, 3);
    assert_int_equal(counts(&play)->events, 4);
    play_end(&play);
}

/* ---- memory ---- */

/* A batch whose memory is small: refused for that reason, and the ledger (asserted inside) balances. */
static void test_no_memory(void **state)
{
    (void)state;
    struct buffer lines;
    read_file("chat.lines", &lines);
    for (size_t cap = 0; cap < 400000; cap = cap * 2 + 64) {
        struct play play;
        play_start(&play, "");
        play.output.batch->arena.cap_bytes = cap;
        struct source_input inputs[LINES_MAX];
        size_t count = 0;
        struct bytes rest = buffer_bytes(&lines);
        while (rest.length > 0 && count < LINES_MAX)
            inputs[count++] =
                (struct source_input){.kind = SOURCE_FRAME, .now_us = NOW_US, .frame = bytes_split(rest, '\n', &rest)};
        source_read(play.source, inputs, count, &play.output);
        assert_int_equal(counts(&play)->frames, count);
        assert_int_equal(play.output.batch->count, counts(&play)->events);
        assert_true(cap > 100000 || counts(&play)->rejected_by[REJECT_NO_MEMORY] > 0);
        play_end(&play);
    }
    buffer_release(&lines);
}

/* Overlapping emotes of a hostile line make no megabytes. */
static void test_hostile_emotes(void **state)
{
    (void)state;
    struct play play;
    struct buffer line;
    buffer_init(&line, IRC_LINE_MAX);
    play_start(&play, "");
    BUFFER_LITERAL(&line, "@id=1;tmi-sent-ts=1;emotes=1:0-9999");
    while (line.length < IRC_LINE_MAX / 4 * 3)
        BUFFER_LITERAL(&line, ",0-9999");
    BUFFER_LITERAL(&line, " :a!a@a PRIVMSG #r :");
    while (line.length < IRC_LINE_MAX)
        buffer_byte(&line, '"');
    give(&play, SOURCE_FRAME, 0, NOW_US, buffer_bytes(&line));
    assert_int_equal(counts(&play)->events, 1);
    assert_in_range(play.events.length, IRC_LINE_MAX / 4, 8 * IRC_LINE_MAX);
    play_end(&play);
    buffer_release(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_any_split_gives_the_same),
        cmocka_unit_test(test_longest_line),
        cmocka_unit_test(test_loose_frames),
        cmocka_unit_test(test_what_is_remembered),
        cmocka_unit_test(test_how_long_it_is_remembered),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_hostile_emotes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
