/* EventSub messages to events, against tests/golden/twitch_eventsub_oracle.py; and what the two adapters of Twitch have in
 * common: the ids of what has none. */
#include "source/source_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { TEXT_CAP = 64 << 20, HASH_DIGITS = 32 };

struct play {
    struct source *source;
    struct source_output output;
    struct buffer events; /* JSON lines */
};

static void play_start(struct play *play, const struct source_class *class)
{
    struct error error = {""};
    struct source_options options = {.kind = bytes_of_string(class->kind), .argument = BYTES(""), .seed = 1};
    *play = (struct play){.source = source_create_of(class, &options, &error)};
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

static void give(struct play *play, struct bytes frame)
{
    /* A copy of its own, so that reading beyond it is seen; it outlives its events. */
    char *copy = malloc(frame.length + 1);
    assert_non_null(copy);
    memcpy(copy, frame.at, frame.length);
    struct source_input input = {.kind = SOURCE_FRAME, .now_us = TIME_UNKNOWN, .frame = bytes_of(copy, frame.length)};
    source_read(play->source, &input, 1, &play->output);
    for (size_t i = 0; i < play->output.batch->count; i++) {
        event_write(&play->output.batch->events[i], &play->events);
        buffer_byte(&play->events, '\n');
    }
    event_batch_reset(play->output.batch);
    source_output_reset(&play->output);
    free(copy);
}

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
    struct bytes rest = bytes_skip(got, start.length), wanted = bytes_skip(expected, start.length);
    if (bytes_start_with(wanted, BYTES("?\""))) {
        assert_int_equal(bytes_find(rest, '"'), HASH_DIGITS);
        rest = bytes_skip(rest, HASH_DIGITS);
        wanted = bytes_skip(wanted, 1);
    }
    if (!bytes_equal(rest, wanted))
        fail_msg("\n     got %.*s\nexpected %.*s", BYTES_ARG(got), BYTES_ARG(expected));
}

static uint64_t count_of(const struct source_statistics *statistics, struct bytes name)
{
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {{"frames", statistics->frames},
                  {"events", statistics->events},
                  {"rejected", statistics->rejected},
                  {"filtered", statistics->filtered},
                  {"duplicates", statistics->duplicates}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (bytes_equal(name, bytes_of_string(counts[i].name)))
            return counts[i].value;
    for (unsigned i = 0; i < REJECT_REASON_COUNT; i++)
        if (bytes_start_with(name, BYTES("rejected_")) && bytes_equal(bytes_skip(name, 9), reject_reason_name(i)))
            return statistics->rejected_by[i];
    fail_msg("no such count: %.*s", BYTES_ARG(name));
    return 0;
}

static void check_counts(const struct source_statistics *statistics)
{
    struct buffer text;
    read_file("eventsub.counts.tsv", &text);
    struct bytes rest = buffer_bytes(&text);
    while (rest.length > 0) {
        struct bytes value, name = bytes_split(bytes_split(rest, '\n', &rest), '\t', &value);
        uint64_t expected, got = count_of(statistics, name);
        assert_true(bytes_to_u64(value, &expected));
        if (got != expected)
            fail_msg("%.*s is %llu instead of %llu", BYTES_ARG(name), (unsigned long long)got, (unsigned long long)expected);
    }
    buffer_release(&text);
}

static void test_golden(void **state)
{
    (void)state;
    struct buffer frames, expected;
    read_file("eventsub.frames.jsonl", &frames);
    read_file("eventsub.events.jsonl", &expected);
    struct play play;
    play_start(&play, &source_twitch_eventsub);
    struct bytes rest = buffer_bytes(&frames);
    while (rest.length > 0)
        give(&play, bytes_split(rest, '\n', &rest));
    struct bytes got = buffer_bytes(&play.events), wanted = buffer_bytes(&expected);
    while (wanted.length > 0 && got.length > 0)
        assert_same_event(bytes_split(got, '\n', &got), bytes_split(wanted, '\n', &wanted));
    assert_int_equal(got.length, 0);
    assert_int_equal(wanted.length, 0);
    check_counts(source_statistics(play.source));
    play_end(&play);
    buffer_release(&frames);
    buffer_release(&expected);
}

/* ---- the same by IRC ---- */

#define NOTIFICATION(type, event)                                                                                                \
    "{\"metadata\":{\"message_id\":\"n\",\"message_type\":\"notification\",\"message_timestamp\":"                               \
    "\"2026-09-21T14:13:20.123000000Z\"},\"payload\":{\"subscription\":{\"type\":\"" type                                        \
    "\",\"condition\":{\"broadcaster_user_id\":\"7\"}},\"event\":{\"broadcaster_user_id\":\"7\","                                \
    "\"broadcaster_user_login\":\"room\",\"broadcaster_user_name\":\"Room\"" event "}}}"
#define TIME "tmi-sent-ts=1790000000123"

/* Both say it at the same time: one event, for whoever drops what came twice. */
static void test_ids_are_those_of_irc(void **state)
{
    (void)state;
    static const struct {
        const char *line, *frame;
    } cases[] = {
        {"@id=m1;" TIME " :ann!ann@ann.tmi.twitch.tv PRIVMSG #room :hi",
         NOTIFICATION("channel.chat.message",
                      ",\"chatter_user_login\":\"ann\",\"message_id\":\"m1\",\"message\":{\"text\":\"hi\",\"fragments\":[]}")},
        {"@id=m2;login=ann;msg-id=raid;" TIME " :tmi.twitch.tv USERNOTICE #room",
         NOTIFICATION("channel.chat.notification",
                      ",\"chatter_user_login\":\"ann\",\"message_id\":\"m2\",\"notice_type\":\"raid\",\"raid\":{}")},
        {"@login=ann;room-id=;target-msg-id=m1;" TIME " :tmi.twitch.tv CLEARMSG #room :hi",
         NOTIFICATION("channel.chat.message_delete",
                      ",\"target_user_id\":\"42\",\"target_user_login\":\"ann\",\"target_user_name\":\"Ann\","
                      "\"message_id\":\"m1\"")},
        {"@room-id=7;" TIME " :tmi.twitch.tv CLEARCHAT #room", NOTIFICATION("channel.chat.clear", "")},
        {"@ban-duration=600;room-id=7;target-user-id=42;" TIME " :tmi.twitch.tv CLEARCHAT #room :ann",
         NOTIFICATION("channel.ban", ",\"user_id\":\"42\",\"user_login\":\"ann\",\"user_name\":\"Ann\",\"reason\":\"spam\","
                                     "\"moderator_user_login\":\"mod\",\"is_permanent\":false,"
                                     "\"ends_at\":\"2026-09-21T14:23:20.123Z\"")},
        {"@room-id=7;target-user-id=42;" TIME " :tmi.twitch.tv CLEARCHAT #room :ann",
         NOTIFICATION("channel.ban", ",\"user_id\":\"42\",\"user_login\":\"ann\",\"is_permanent\":true,\"ends_at\":null")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct play irc, eventsub;
        play_start(&irc, &source_twitch_irc);
        play_start(&eventsub, &source_twitch_eventsub);
        give(&irc, bytes_of_string(cases[i].line));
        give(&eventsub, bytes_of_string(cases[i].frame));
        struct bytes behind = BYTES(",\"timestamp\":\"2026-09-21T14:13:20.123000Z\"");
        const char *end = memmem(irc.events.at, irc.events.length, behind.at, behind.length);
        assert_non_null(end);
        struct bytes identity = bytes_of(irc.events.at, (size_t)(end - irc.events.at) + behind.length);
        if (!bytes_start_with(buffer_bytes(&eventsub.events), identity))
            fail_msg("\n     irc %.*s\neventsub %.*s", BYTES_ARG(buffer_bytes(&irc.events)),
                     BYTES_ARG(buffer_bytes(&eventsub.events)));
        play_end(&irc);
        play_end(&eventsub);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden), cmocka_unit_test(test_ids_are_those_of_irc)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
