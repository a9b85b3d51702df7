/* Moderators' marks from log to store, what erasure makes of events, and erasures over a whole log: of a user, of what was
 * taken down (also when the message comes after the deed), interrupted and done again, and through the upkeep's queue. */
#include "base/logging.h"
#include "pipeline/erasure.h"
#include "pipeline/indexer.h"
#include "pipeline/moderation.h"
#include "pipeline/scrub.h"
#include "pipeline/upkeep.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

enum { TEXT = 1024 };

/* An event as our writer spells it: second, kind, channel, then the rest of the payload. */
struct text {
    char at[TEXT];
};

static struct text chat(const char *id, int second, const char *kind, const char *channel, const char *rest)
{
    struct text text;
    snprintf(
        text.at, sizeof text.at,
        "{\"schema\":1,\"id\":\"twitch:%s\",\"source\":\"twitch\",\"timestamp\":\"2026-11-23T22:20:%02d.000000Z\",\"payload\":{"
        "\"kind\":\"%s\",\"channel\":\"%s\"%s}}",
        id, second, kind, channel, rest);
    return text;
}

/* ---- single events ---- */

static void test_deeds_are_known_by_their_kind(void **state)
{
    (void)state;
    static const char *const deeds[] = {"delete", "timeout", "ban", "clear"}, *const others[] = {"message", "raid", "notice",
                                                                                                 "gap"};
    for (size_t i = 0; i < 4; i++) {
        assert_true(moderation_is_deed(bytes_of_string(chat("1", 1, deeds[i], "c", "").at)));
        assert_false(moderation_is_deed(bytes_of_string(chat("1", 1, others[i], "c", "").at)));
    }
    const char *shouting = ",\"username\":\"ann\",\"message\":\"\\\"payload\\\":{\\\"kind\\\":\\\"ban\\\"\"";
    assert_false(moderation_is_deed(bytes_of_string(chat("1", 1, "message", "c", shouting).at)));
    assert_false(moderation_is_deed(BYTES("")));
    assert_false(moderation_is_deed(BYTES("\"payload\":{\"kind\":\"ban")));
}

static void expect_mark(const char *rest, const char *kind, enum store_mark_kind expected, const char *target)
{
    struct text text = chat("deed", 7, kind, "room", rest);
    struct store_mark mark;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    int made = moderation_mark(bytes_of_string(text.at), 41, &arena, &mark, NULL);
    assert_int_equal(made, expected != STORE_MARK_NONE);
    if (made) {
        assert_int_equal(mark.kind, expected);
        assert_true(bytes_equal(mark.target, bytes_of_string(target)));
        assert_true(bytes_equal(mark.channel, BYTES("room")) && bytes_equal(mark.by, BYTES("twitch:deed")));
        assert_true(mark.offset == 41 && mark.timestamp_us % 60000000 == 27000000 - 20000000);
    }
    arena_release(&arena);
}

static void test_marks_of_deeds(void **state)
{
    (void)state;
    expect_mark(",\"username\":\"ann\",\"metadata\":{\"target_message_id\":\"m1\"}", "delete", STORE_MARK_DELETED, "twitch:m1");
    expect_mark(",\"username\":\"ann\",\"user_id\":\"5\",\"metadata\":{\"duration_seconds\":9}", "timeout", STORE_MARK_TIMED_OUT,
                "ann");
    expect_mark(",\"username\":\"ann\"", "ban", STORE_MARK_BANNED, "ann");
    expect_mark("", "clear", STORE_MARK_CLEARED, "");
    expect_mark(",\"username\":\"ann\"", "clear", STORE_MARK_USER_CLEARED, "ann"); /* as EventSub tells a time-out */
    /* What is left of them when their user was erased. */
    expect_mark(",\"username\":\"erased\",\"metadata\":{\"erased\":true,\"target_message_id\":\"m1\"}", "delete",
                STORE_MARK_DELETED, "twitch:m1");
    expect_mark(",\"username\":\"erased\",\"metadata\":{\"erased\":true}", "ban", STORE_MARK_NONE, "");
    expect_mark(",\"username\":\"erased\",\"metadata\":{\"erased\":true}", "clear", STORE_MARK_NONE, "");
    expect_mark(",\"username\":\"erased\",\"user_id\":\"5\"", "ban", STORE_MARK_BANNED, "erased"); /* somebody called so */
    /* What names nothing. */
    expect_mark("", "ban", STORE_MARK_NONE, "");
    expect_mark(",\"metadata\":{\"target_message_id\":5}", "delete", STORE_MARK_NONE, "");
    expect_mark(",\"username\":\"ann\"", "message", STORE_MARK_NONE, "");
}

/* What becomes of payloads when ann_1 is erased; NULL: nothing. */
static const struct {
    const char *kind, *before, *after;
} scrubs[] = {
    /* her own */
    {"message",
     ",\"username\":\"ann_1\",\"display_name\":\"Ann_1\",\"user_id\":\"7\",\"message\":\"my "
     "words\",\"metadata\":{\"color\":\"#fff\"}",
     ",\"username\":\"erased\",\"metadata\":{\"erased\":true}"},
    {"message", ",\"username\":\"Ann_1\",\"message\":\"x\",\"unknown\":{\"a\":\"ann_1\"}",
     ",\"username\":\"erased\",\"metadata\":{\"erased\":true}"},
    {"raid", ",\"username\":\"ann_1\",\"metadata\":{\"viewers\":5}", ",\"username\":\"erased\",\"metadata\":{\"erased\":true}"},
    {"delete", ",\"username\":\"ann_1\",\"metadata\":{\"login\":\"ann_1\",\"target_message_id\":\"m-1\"}",
     ",\"username\":\"erased\",\"metadata\":{\"erased\":true,\"target_message_id\":\"m-1\"}"},
    {"ban", ",\"username\":\"ann_1\",\"user_id\":\"7\"", ",\"username\":\"erased\",\"metadata\":{\"erased\":true}"},
    /* other people's */
    {"message", ",\"username\":\"bob\",\"message\":\"hi @Ann_1, @ann_1! ann_1 @ann_12 x@ann_1\"",
     ",\"username\":\"bob\",\"message\":\"hi @*****, @*****! ann_1 @ann_12 x@*****\""},
    {"message",
     ",\"username\":\"bob\",\"message\":\"yes\",\"metadata\":{\"badges\":[{\"name\":\"vip\"}],\"bits\":1.50,\"reply_parent_id\":"
     "\"m\",\"reply_parent_user\":\"ann_1\",\"reply_parent_message\":\"my \\\"words\\\"\",\"color\":\"#fff\"}",
     ",\"username\":\"bob\",\"message\":\"yes\",\"metadata\":{\"badges\":[{\"name\":\"vip\"}],\"bits\":1.50,\"color\":\"#fff\"}"},
    {"subscription",
     ",\"username\":\"bob\",\"metadata\":{\"recipient\":\"ann_1\",\"recipient_id\":\"7\",\"months\":3,\"system_message\":\"bob "
     "gifted\\nann_1 a sub\"}",
     ",\"username\":\"bob\",\"metadata\":{\"months\":3,\"system_message\":\"bob gifted\\n***** a sub\"}"},
    {"message", ",\"username\":\"bob\",\"message\":\"hi\",\"other\":{\"to\":[\"ann_1\",\"bob\"]}",
     ",\"username\":\"bob\",\"message\":\"hi\",\"other\":{\"to\":[\"erased\",\"bob\"]}"},
    {"message", ",\"username\":\"bob\",\"message\":\"ann_1 is a word here\"", NULL},
    {"message", ",\"username\":\"ann_12\",\"message\":\"I am another\"", NULL},
    {"message", ",\"username\":\"bob\",\"message\":\"nobody\"", NULL},
    {"message", ",\"username\":\"erased\",\"metadata\":{\"erased\":true}", NULL},
};

static void test_scrub_user(void **state)
{
    (void)state;
    struct scrub scrub;
    struct bytes value;
    scrub_init(&scrub);
    for (size_t i = 0; i < sizeof scrubs / sizeof scrubs[0]; i++) {
        struct text before = chat("1", 1, scrubs[i].kind, "ann_1", scrubs[i].before), after; /* her channel keeps its name */
        enum scrub_result result = scrub_user(&scrub, bytes_of_string(before.at), BYTES("ann_1"), &value, NULL);
        assert_int_equal(result, scrubs[i].after ? SCRUB_CHANGED : SCRUB_KEPT);
        if (!scrubs[i].after)
            continue;
        after = chat("1", 1, scrubs[i].kind, "ann_1", scrubs[i].after);
        if (!bytes_equal(value, bytes_of_string(after.at)))
            fail_msg("%.*s", BYTES_ARG(value));
        assert_int_equal(scrub_user(&scrub, bytes_of_string(after.at), BYTES("ann_1"), &value, NULL), SCRUB_KEPT);
    }
    assert_int_equal(scrub_user(&scrub, BYTES("{\"no event of\":\"ann_1\"}"), BYTES("ann_1"), &value, NULL), SCRUB_UNREADABLE);
    scrub_release(&scrub);
}

static void test_scrub_derived(void **state)
{
    (void)state;
    struct scrub scrub;
    struct bytes value;
    scrub_init(&scrub);
    const struct bytes before = BYTES("{\"schema\":1,\"id\":\"window:top:ann_1:5\",\"source\":\"analytics\",\"timestamp\":\"2026-"
                                      "11-23T22:20:01.000000Z\",\"payload\":"
                                      "{\"kind\":\"alert\",\"key\":\"k\",\"user\":\"ann_1\",\"score\":0.50,\"reason\":\"10 times "
                                      "by ann_1\",\"evidence\":[{\"text\":\"my words\"}]}}");
    const struct bytes after =
        BYTES("{\"schema\":1,\"id\":\"window:top:*****:5\",\"source\":\"analytics\",\"timestamp\":\"2026-11-23T22:20:01."
              "000000Z\",\"payload\":"
              "{\"kind\":\"alert\",\"key\":\"k\",\"user\":\"erased\",\"score\":0.50,\"reason\":\"10 times by *****\"}}");
    assert_int_equal(scrub_user(&scrub, before, BYTES("ann_1"), &value, NULL), SCRUB_CHANGED);
    if (!bytes_equal(value, after))
        fail_msg("%.*s", BYTES_ARG(value));
    assert_int_equal(scrub_user(&scrub, before, BYTES("ann"), &value, NULL), SCRUB_KEPT); /* a part of a word */
    scrub_release(&scrub);
}

static void test_names(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "a b", "a\"", "a\\", "a\nb", "\xff", "a\x7f"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(scrub_name_is_valid(bytes_of_string(wrong[i])));
    char longest[SCRUB_NAME_MAX + 2];
    memset(longest, 'a', sizeof longest);
    assert_true(scrub_name_is_valid(bytes_of(longest, SCRUB_NAME_MAX)));
    assert_false(scrub_name_is_valid(bytes_of(longest, SCRUB_NAME_MAX + 1)));
    assert_true(scrub_name_is_valid(BYTES("\xe3\x83\x86")));
}

/* ---- a whole log ---- */

struct fixture {
    char directory[64];
    struct bus *bus;
    struct store *store;
    struct store_faults store_faults;
    struct rejects *rejects;
    struct indexer *indexer;
    uint64_t next_id;
    int64_t now_us; /* of the environment */
    struct env env;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    snprintf(fixture->directory, sizeof fixture->directory, "/tmp/dataflow-moderation-XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    fixture->bus = bus_memory_create();
    fixture->store = store_faulty_create(store_memory_create(), &fixture->store_faults);
    fixture->rejects = rejects_open(fixture->directory, NULL);
    fixture->indexer = indexer_create(fixture->bus, fixture->store, NULL);
    assert_true(fixture->rejects && fixture->indexer);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    indexer_destroy(fixture->indexer);
    rejects_close(fixture->rejects);
    store_destroy(fixture->store);
    bus_destroy(fixture->bus);
    static const char *const names[] = {"rejects.jsonl", "rejects.jsonl.1"};
    for (size_t i = 0; i < 2; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", fixture->directory, names[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(fixture->directory), 0);
    free(fixture);
    return 0;
}

static void append(struct fixture *fixture, const struct text *text)
{
    struct event event;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    assert_int_equal(event_parse(bytes_of_string(text->at), &arena, &event), REJECT_NONE);
    struct bus_record record = {.timestamp_us = event.timestamp_us,
                                .topic = (uint32_t)event.source,
                                .key = event.chat.channel,
                                .value = bytes_of_string(text->at)};
    assert_int_equal(bus_append(fixture->bus, &record, 1, NULL, NULL), 0);
    arena_release(&arena);
}

static void say(struct fixture *fixture, const char *id, int second, const char *channel, const char *user, const char *words)
{
    char rest[256];
    snprintf(rest, sizeof rest, ",\"username\":\"%s\",\"user_id\":\"u-%s\",\"message\":\"%s\",\"metadata\":{\"color\":\"#123\"}",
             user, user, words);
    struct text text = chat(id, second, "message", channel, rest);
    append(fixture, &text);
}

static void deed(struct fixture *fixture, const char *id, int second, const char *channel, const char *kind, const char *rest)
{
    struct text text = chat(id, second, kind, channel, rest);
    append(fixture, &text);
}

static void index_all(struct fixture *fixture)
{
    uint64_t count = 1;
    while (count > 0)
        assert_int_equal(indexer_step(fixture->indexer, &count, NULL), 0);
}

/* Records of the log that have the text. */
static size_t records_with(struct fixture *fixture, const char *text)
{
    struct bus_reader *reader = bus_reader_open(fixture->bus, 0, BUS_ALL_TOPICS, NULL);
    struct bus_batch batch;
    size_t found = 0;
    while (bus_reader_next(reader, &batch, NULL) > 0)
        for (size_t i = 0; i < batch.count; i++)
            found += memmem(batch.records[i].value.at, batch.records[i].value.length, text, strlen(text)) != NULL;
    bus_reader_close(reader);
    return found;
}

static struct erasure_parts parts_of(struct fixture *fixture)
{
    return (struct erasure_parts){fixture->bus, fixture->store, fixture->rejects};
}

static int run(struct erasure *erasure, struct erasure_result *result, struct error *error)
{
    int status;
    while ((status = erasure_step(erasure, error)) == 1)
        continue;
    erasure_result(erasure, result);
    erasure_destroy(erasure);
    return status;
}

static void fill(struct fixture *fixture)
{
    say(fixture, "m1", 1, "room", "ann", "WORDS one");
    say(fixture, "m2", 2, "room", "bob", "bob speaks");
    say(fixture, "m3", 3, "other", "ann", "WORDS two");
    deed(fixture, "d1", 4, "room", "delete", ",\"username\":\"bob\",\"metadata\":{\"target_message_id\":\"m2\"}");
    deed(fixture, "b1", 5, "room", "ban", ",\"username\":\"ann\",\"user_id\":\"u-ann\"");
    say(fixture, "m4", 6, "room", "ann", "WORDS three");
    say(fixture, "m5", 7, "other", "carol", "carol speaks");
    deed(fixture, "c1", 8, "other", "clear", "");
}

static struct store_mark mark_of(struct fixture *fixture, const char *id, const char *channel, const char *user, int second,
                                 uint64_t offset)
{
    struct text text = chat(id, second, "message", channel, "");
    struct event event;
    struct arena arena;
    struct store_mark mark;
    arena_init(&arena, 1 << 20);
    assert_int_equal(event_parse(bytes_of_string(text.at), &arena, &event), REJECT_NONE);
    event.chat.username = bytes_of_string(user);
    struct store_message message = moderation_message(&event, offset);
    assert_int_equal(store_find_marks(fixture->store, &message, 1, &arena, &mark, NULL), 0);
    arena_release(&arena);
    return mark;
}

static size_t count_marks(struct fixture *fixture)
{
    struct arena arena;
    struct store_mark marks[64];
    size_t count = 64;
    arena_init(&arena, 1 << 20);
    assert_int_equal(store_list_marks(fixture->store, 0, &arena, marks, &count, NULL), 0);
    arena_release(&arena);
    return count;
}

static void test_indexer_keeps_marks(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture);
    fixture->store_faults.fail_write_at = 1; /* read again, they are there once */
    uint64_t count;
    assert_int_equal(indexer_step(fixture->indexer, &count, NULL), -1);
    index_all(fixture);
    assert_int_equal(count_marks(fixture), 3);
    assert_int_equal(mark_of(fixture, "m1", "room", "ann", 1, 0).kind, STORE_MARK_BANNED);
    assert_int_equal(mark_of(fixture, "m2", "room", "bob", 2, 1).kind, STORE_MARK_DELETED);
    assert_int_equal(mark_of(fixture, "m3", "other", "ann", 3, 2).kind, STORE_MARK_CLEARED);
    assert_int_equal(mark_of(fixture, "m4", "room", "ann", 6, 5).kind, STORE_MARK_NONE);
    assert_int_equal(mark_of(fixture, "mx", "room", "ann", 5, 3).kind,
                     STORE_MARK_BANNED); /* the same moment, earlier in the log */
    assert_int_equal(mark_of(fixture, "mx", "room", "ann", 5, 5).kind, STORE_MARK_NONE);
}

static void test_user_is_erased(void **state)
{
    struct fixture *fixture = *state;
    struct erasure_parts parts = parts_of(fixture);
    struct erasure_result result;
    struct error error;
    fill(fixture);
    index_all(fixture);
    struct store_document document = {STORE_CHAT_TOXICITY, BYTES("m1"), BYTES("room"), 5, BYTES("ann"), BYTES("{}")};
    assert_int_equal(store_write(fixture->store, &(struct store_write){.documents = &document, .document_count = 1}, NULL), 0);
    rejects_keep(fixture->rejects, 1, BYTES("twitch-irc:room"), REJECT_MALFORMED_LINE,
                 BYTES(":Ann!ann@ann PRIVMSG #room :WORDS"));
    rejects_keep(fixture->rejects, 1, BYTES("twitch-irc:room"), REJECT_MALFORMED_LINE, BYTES(":bob!bob@bob PRIVMSG #room :hi"));
    assert_int_equal(run(erasure_of_user(&parts, BYTES("ANN"), &error), &result, &error), 0);
    assert_true(result.events == 4 && result.documents == 1 && result.rejects == 1);
    assert_int_equal(records_with(fixture, "WORDS") + records_with(fixture, "\"ann\"") + records_with(fixture, "u-ann"), 0);
    assert_int_equal(records_with(fixture, "bob speaks") + records_with(fixture, "carol speaks"), 2);
    assert_int_equal(count_marks(fixture), 2); /* the ban named her */
    char path[128], text[1024] = "";
    snprintf(path, sizeof path, "%s/rejects.jsonl", fixture->directory);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(read(file, text, sizeof text - 1) > 0);
    close(file);
    assert_true(!strstr(text, "WORDS") && strstr(text, "\"frame\":\"\",\"erased\":true}\n") &&
                strstr(text, ":bob!bob@bob PRIVMSG #room :hi\"}\n"));
    rejects_keep(fixture->rejects, 1, BYTES("s"), REJECT_BAD_TIME, BYTES("later")); /* it goes on in the new file */
    file = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(read(file, text, sizeof text - 1) > 0 && strstr(text, "later"));
    close(file);
    /* Twice is nothing, and the store made anew is the same. */
    assert_int_equal(run(erasure_of_user(&parts, BYTES("ann"), &error), &result, &error), 0);
    assert_true(result.events == 0 && result.documents == 0 && result.rejects == 0);
    assert_int_equal(store_clear(fixture->store, NULL), 0);
    indexer_destroy(fixture->indexer);
    fixture->indexer = indexer_create(fixture->bus, fixture->store, NULL);
    index_all(fixture);
    assert_int_equal(count_marks(fixture), 2);
    assert_int_equal(mark_of(fixture, "m1", "room", "", 1, 0).kind, STORE_MARK_NONE);
    assert_null(erasure_of_user(&parts, BYTES("no name"), &error));
}

/* A pass, as each minute. */
static uint64_t pass(struct fixture *fixture, struct erasure_progress *progress)
{
    struct erasure_parts parts = parts_of(fixture);
    struct erasure *erasure;
    struct erasure_result result = {0};
    struct error error = {""};
    index_all(fixture);
    if (erasure_of_marks(&parts, progress, indexer_next_offset(fixture->indexer), &erasure, &error) < 0)
        fail_msg("%s", error.text);
    if (erasure && run(erasure, &result, &error) < 0)
        fail_msg("%s", error.text);
    return result.events;
}

static void test_what_was_taken_down_is_erased(void **state)
{
    struct fixture *fixture = *state;
    struct erasure_progress progress = {0};
    assert_int_equal(pass(fixture, &progress), 0);
    fill(fixture);
    deed(fixture, "r1", 9, "room", "message",
         ",\"username\":\"dan\",\"message\":\"right\",\"metadata\":{\"reply_parent_id\":\"m2\",\"reply_parent_message\":\"bob "
         "speaks\",\"vip\":true}");
    assert_int_equal(pass(fixture, &progress), 5); /* m1 m2 m3 m5, and what the reply quotes */
    assert_int_equal(records_with(fixture, "WORDS one") + records_with(fixture, "WORDS two") + records_with(fixture, " speaks"),
                     0);
    assert_int_equal(records_with(fixture, "WORDS three"), 1);          /* after the ban */
    assert_int_equal(records_with(fixture, "\"username\":\"ann\""), 4); /* who it was stays */
    assert_int_equal(records_with(fixture, "\"message\":\"right\",\"metadata\":{\"vip\":true}"), 1);
    assert_int_equal(mark_of(fixture, "m1", "room", "ann", 1, 0).kind, STORE_MARK_BANNED); /* and is marked as before */
    /* The message comes after its deletion, and another from before the ban. */
    deed(fixture, "d2", 10, "room", "delete", ",\"username\":\"bob\",\"metadata\":{\"target_message_id\":\"m6\"}");
    assert_int_equal(pass(fixture, &progress), 0);
    say(fixture, "m6", 9, "room", "bob", "LATE one");
    assert_int_equal(pass(fixture, &progress), 1);
    assert_int_equal(records_with(fixture, "LATE"), 0);
    assert_int_equal(pass(fixture, &progress), 0);
    uint64_t position;
    assert_int_equal(store_position(fixture->store, ERASURE_READER, &position, NULL), 0);
    assert_true(position > 0);
    /* After a restart all that may be undone is done. */
    deed(fixture, "t1", 20, "room", "timeout", ",\"username\":\"ann\",\"metadata\":{\"duration_seconds\":5}");
    index_all(fixture);
    progress = (struct erasure_progress){0};
    assert_int_equal(pass(fixture, &progress), 1);
    assert_int_equal(records_with(fixture, "WORDS"), 0);
}

/* ---- upkeep ---- */

static int64_t fake_monotonic(const struct env *env)
{
    return ((struct fixture *)env->context)->now_us;
}

struct answers {
    int done, failed;
    struct erasure_result last;
};

static void on_done(void *context, const struct erasure_result *result, const struct error *error)
{
    struct answers *answers = context;
    answers->done++;
    answers->failed += error != NULL;
    answers->last = *result;
}

static void test_upkeep(void **state)
{
    struct fixture *fixture = *state;
    struct answers answers = {0};
    fixture->env = *env_system();
    fixture->env.monotonic_us = fake_monotonic;
    fixture->env.context = fixture;
    struct upkeep_options options = {.env = &fixture->env, .parts = parts_of(fixture), .erase_moderated = true};
    struct upkeep *upkeep = upkeep_create(&options, fixture->indexer, NULL);
    assert_false(upkeep_step(upkeep)); /* no marks */
    fill(fixture);
    index_all(fixture);
    assert_false(upkeep_step(upkeep)); /* its minute has not come */
    assert_int_equal(upkeep_erase_user(upkeep, BYTES("carol"), on_done, &answers, NULL), 0);
    assert_int_equal(upkeep_erase_user(upkeep, BYTES("nobody_known"), on_done, &answers, NULL), 0);
    assert_int_equal(upkeep_erase_user(upkeep, BYTES(""), on_done, &answers, NULL), -1);
    while (upkeep_step(upkeep) && answers.done < 1)
        index_all(fixture);
    assert_true(answers.last.events == 1 && records_with(fixture, "carol") == 0);
    while (upkeep_step(upkeep))
        continue;
    assert_true(answers.done == 2 && answers.failed == 0 && answers.last.events == 0);
    assert_int_equal(records_with(fixture, "WORDS"), 3);
    fixture->now_us += 60000000;
    while (upkeep_step(upkeep))
        continue;
    assert_int_equal(records_with(fixture, "WORDS"), 1);
    /* The end answers all that waits. */
    size_t taken = 0;
    while (upkeep_erase_user(upkeep, BYTES("ann"), on_done, &answers, NULL) == 0)
        taken++;
    assert_int_equal(taken, 8);
    assert_true(upkeep_step(upkeep)); /* one is at work */
    upkeep_stop(upkeep);
    assert_int_equal(answers.done, 10);
    assert_int_equal(answers.failed, 8);
    assert_int_equal(upkeep_erase_user(upkeep, BYTES("ann"), on_done, &answers, NULL), -1);
    upkeep_destroy(upkeep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deeds_are_known_by_their_kind),
        cmocka_unit_test(test_marks_of_deeds),
        cmocka_unit_test(test_scrub_user),
        cmocka_unit_test(test_scrub_derived),
        cmocka_unit_test(test_names),
        cmocka_unit_test_setup_teardown(test_indexer_keeps_marks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_user_is_erased, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_was_taken_down_is_erased, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_upkeep, set_up, tear_down),
    };
    log_configure(LOG_ERROR, LOG_FORMAT_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
