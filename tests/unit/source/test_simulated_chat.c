/* The simulated chat: its rate is kept, what should happen in it happens, and its events are whole.  Seeds are fixed. */
#include "unit/source/source_test.h"

#include "base/map.h"
#include "source/simulated_chat.h"

#include <math.h>
#include <yyjson.h>

#define SECOND 1000000LL

enum { HOUR_MESSAGES_MAX = 40000 };

/* What is kept of an event. */
struct seen {
    int64_t time_us;
    enum event_kind kind;
    size_t channel;
    char user[CHAT_NAME_MAX];
    char message[CHAT_TEXT_MAX + 1];
    char id[64];
    char metadata[600];
};

struct log {
    struct seen *events;
    size_t count;
};

static void keep_text(struct bytes text, char *out, size_t size)
{
    assert_true(text.length < size);
    if (text.length)
        memcpy(out, text.at, text.length);
    out[text.length] = '\0';
}

static size_t channel_index(struct bytes name)
{
    char space[CHAT_NAME_MAX];
    for (size_t i = 0; i < 3; i++)
        if (bytes_equal(name, chat_channel_name(i, space, sizeof space)))
            return i;
    fail_msg("unknown channel %.*s", BYTES_ARG(name));
    return 0;
}

static void keep(const struct event *event, struct log *log)
{
    assert_true(log->count < HOUR_MESSAGES_MAX);
    struct seen *seen = &log->events[log->count++];
    *seen = (struct seen){.time_us = event->timestamp_us, .kind = event->kind, .channel = channel_index(event->chat.channel)};
    keep_text(event->chat.username, seen->user, sizeof seen->user);
    keep_text(event->chat.message, seen->message, sizeof seen->message);
    keep_text(event->id, seen->id, sizeof seen->id);
    keep_text(event->metadata, seen->metadata, sizeof seen->metadata);
}

static size_t play_count(double rate, double seconds, uint64_t seed, struct log *log)
{
    struct source_rig rig = rig_of(&(struct source_options){.rate = rate, .seed = seed}, "simulated:chat");
    rig_connect(&rig, TEST_START_US);
    int64_t end_us = TEST_START_US + (int64_t)(seconds * 1e6);
    size_t count = 0;
    do {
        rig_input(&rig, SOURCE_TICK, BYTES(""), rig.output.wake_at_us < end_us ? rig.output.wake_at_us : end_us);
        count += rig.output.batch->count;
        for (size_t i = 0; log && i < rig.output.batch->count; i++)
            keep(rig_event(&rig, i), log);
    } while (rig.output.wake_at_us <= end_us);
    rig_release(&rig);
    return count;
}

/* One hour at the default rate. */
static int play_hour(void **state)
{
    static struct log log;
    log.events = calloc(HOUR_MESSAGES_MAX, sizeof *log.events);
    assert_non_null(log.events);
    play_count(0, 3600, 21, &log);
    *state = &log;
    return 0;
}

static int forget_hour(void **state)
{
    free(((struct log *)*state)->events);
    return 0;
}

/* ---- rate ---- */

static void test_rate_is_kept(void **state)
{
    (void)state;
    enum { RUNS = 30 };
    const double seconds = 3000, rate = 4;
    double sum = 0, squares = 0;
    for (uint64_t seed = 0; seed < RUNS; seed++) {
        double count = (double)play_count(rate, seconds, seed, NULL);
        sum += count;
        squares += count * count;
    }
    double mean = sum / RUNS, error = sqrt((squares / RUNS - mean * mean) / (RUNS - 1));
    if (fabs(mean - rate * seconds) > 3 * error)
        fail_msg("%.0f events instead of %.0f, standard error %.0f", mean, rate * seconds, error);
}

static void test_a_load_generator_is_even(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 3; seed++) {
        double count = (double)play_count(100000, 1, seed, NULL);
        assert_true(fabs(count - 100000) < 3 * sqrt(100000.0));
    }
}

/* ---- incidents: found from the events alone ---- */

/* How many events of a channel within `within_us` from `first` on satisfy `is`. */
static size_t count_ahead(const struct log *log, size_t first, int64_t within_us,
                          bool (*is)(const struct seen *, const struct seen *))
{
    size_t count = 0;
    const struct seen *start = &log->events[first];
    for (size_t i = first; i < log->count && log->events[i].time_us < start->time_us + within_us; i++)
        count += log->events[i].channel == start->channel && is(&log->events[i], start);
    return count;
}

/* Stretches of at least `least`, apart by half a minute. */
static size_t count_bursts(const struct log *log, size_t least, bool (*is)(const struct seen *, const struct seen *))
{
    int64_t free_from_us[3] = {0};
    size_t bursts = 0;
    for (size_t i = 0; i < log->count; i++) {
        const struct seen *seen = &log->events[i];
        if (seen->time_us < free_from_us[seen->channel] || !is(seen, seen) || count_ahead(log, i, 8 * SECOND, is) < least)
            continue;
        bursts++;
        free_from_us[seen->channel] = seen->time_us + 30 * SECOND;
    }
    return bursts;
}

static bool is_spam(const struct seen *seen, const struct seen *start)
{
    (void)start;
    return strcasestr(seen->message, ".example") != NULL;
}

static bool is_abuse(const struct seen *seen, const struct seen *start)
{
    (void)start;
    static const char *const words[] = {"idiot", "clown",     "loser", "moron", "stupid",  "pathetic",
                                        "trash", "brainless", "fool",  "suck",  "get lost"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(seen->message, words[i]))
            return true;
    return false;
}

static bool is_flood(const struct seen *seen, const struct seen *start)
{
    return seen->kind == EVENT_MESSAGE && !is_abuse(seen, NULL) && strcmp(seen->user, start->user) == 0;
}

static bool is_reply(const struct seen *seen, const struct seen *start)
{
    (void)start;
    return strstr(seen->metadata, "reply_parent_id") != NULL;
}

static bool is_newcomer(const struct seen *seen, const struct seen *start)
{
    (void)start;
    return strstr(seen->metadata, "\"first_message\":true") != NULL;
}

static bool is_raid(const struct seen *seen, const struct seen *start)
{
    (void)start;
    return seen->kind == EVENT_RAID;
}

static void test_incidents_happen(void **state)
{
    const struct log *log = *state;
    size_t spam = count_bursts(log, 8, is_spam), abuse = count_bursts(log, 8, is_abuse), floods = count_bursts(log, 8, is_flood);
    size_t replies = count_bursts(log, 8, is_reply), raids = 0, crowds = 0;
    for (size_t i = 0; i < log->count; i++)
        if (is_raid(&log->events[i], NULL)) {
            raids++;
            crowds += count_ahead(log, i, 8 * SECOND, is_newcomer) >= 6;
            assert_non_null(strstr(log->events[i].metadata, "\"viewers\":"));
        }
    print_message("an hour: %zu events, raids %zu (crowds %zu), spam %zu, abuse %zu, floods %zu, replies %zu\n", log->count,
                  raids, crowds, spam, abuse, floods, replies);
    assert_in_range(raids, 10, 40);
    assert_true(crowds > raids / 2);
    assert_in_range(spam, 15, 80);
    assert_in_range(abuse, 15, 80);
    assert_in_range(floods, 5, 40);
    assert_in_range(replies, 5, 40);
}

static void test_spam_waves_are_near_duplicates_of_many(void **state)
{
    const struct log *log = *state;
    size_t pairs = 0, near = 0, same_user = 0, identical = 0;
    const struct seen *last = NULL;
    for (size_t i = 0; i < log->count; i++) {
        const struct seen *seen = &log->events[i];
        if (!is_spam(seen, NULL) || seen->kind != EVENT_MESSAGE)
            continue;
        if (last && last->channel == seen->channel && seen->time_us - last->time_us < 3 * SECOND) {
            pairs++;
            near += bytes_distance(bytes_of(seen->message, 40), bytes_of(last->message, 40)) <= 4;
            identical += strcmp(seen->message, last->message) == 0;
            same_user += strcmp(seen->user, last->user) == 0;
        }
        last = seen;
    }
    assert_true(pairs > 200);
    assert_true(near > pairs * 9 / 10);
    assert_true(identical < pairs / 4);
    assert_true(same_user < pairs / 4);
}

static void test_moderators_answer(void **state)
{
    const struct log *log = *state;
    size_t kinds[EVENT_KIND_COUNT] = {0}, targets = 0;
    for (size_t i = 0; i < log->count; i++) {
        const struct seen *seen = &log->events[i];
        kinds[seen->kind]++;
        if (seen->kind != EVENT_DELETE)
            continue;
        for (size_t j = i; j > 0 && log->events[j - 1].time_us > seen->time_us - 60 * SECOND; j--)
            if (strstr(seen->metadata, log->events[j - 1].id + sizeof "twitch:" - 1)) {
                assert_string_equal(log->events[j - 1].user, seen->user);
                targets++;
                break;
            }
    }
    assert_true(kinds[EVENT_MESSAGE] > log->count * 7 / 10);
    assert_true(kinds[EVENT_DELETE] > 50 && targets == kinds[EVENT_DELETE]);
    assert_true(kinds[EVENT_TIMEOUT] > 20 && kinds[EVENT_BAN] > 5);
    assert_true(kinds[EVENT_SUBSCRIPTION] > 20 && kinds[EVENT_ANNOUNCEMENT] > 2 && kinds[EVENT_ROOM_STATE] > 10);
}

/* Who was timed out or banned says nothing more. */
static void test_the_muted_are_silent(void **state)
{
    const struct log *log = *state;
    size_t muted = 0;
    for (size_t i = 0; i < log->count; i++) {
        const struct seen *seen = &log->events[i];
        if (seen->kind != EVENT_TIMEOUT && seen->kind != EVENT_BAN)
            continue;
        muted++;
        for (size_t j = i + 1; j < log->count && log->events[j].time_us < seen->time_us + 60 * SECOND; j++)
            assert_false(log->events[j].kind == EVENT_MESSAGE && log->events[j].channel == seen->channel &&
                         strcmp(log->events[j].user, seen->user) == 0);
    }
    assert_true(muted > 50);
}

static void test_few_people_say_most(void **state)
{
    const struct log *log = *state;
    size_t mine = 0, all = 0;
    struct chat_person top;
    for (size_t i = 0; i < log->count; i++)
        all += log->events[i].channel == 0 && log->events[i].kind == EVENT_MESSAGE;
    for (uint32_t number = 0; number < 100; number++) { /* of 2,000 regulars */
        chat_person_describe(number, &top);
        for (size_t i = 0; i < log->count; i++)
            mine += log->events[i].channel == 0 && log->events[i].kind == EVENT_MESSAGE &&
                    strncmp(log->events[i].user, top.login, top.name_length) == 0 && !log->events[i].user[top.name_length];
    }
    assert_true(mine > all / 5);
}

/* ---- events ---- */

/* The emote stands where its range says, counted in code points. */
static void check_emote(struct bytes message, yyjson_val *emote)
{
    size_t begin = yyjson_get_uint(yyjson_obj_get(emote, "begin")), end = yyjson_get_uint(yyjson_obj_get(emote, "end"));
    const char *name = yyjson_get_str(yyjson_obj_get(emote, "name"));
    assert_true(yyjson_get_len(yyjson_obj_get(emote, "id")) > 0);
    assert_int_equal(end - begin + 1, strlen(name));
    size_t at = 0;
    for (size_t points = 0; at < message.length && points < begin; points++)
        for (at++; at < message.length && (message.at[at] & 0xC0) == 0x80;)
            at++;
    assert_true(bytes_start_with(bytes_skip(message, at), bytes_of_string(name)));
}

static size_t check_metadata(const struct event *event)
{
    if (event->metadata.length == 0)
        return 0;
    yyjson_doc *document = yyjson_read(event->metadata.at, event->metadata.length, 0);
    assert_non_null(document);
    yyjson_val *root = yyjson_doc_get_root(document), *emotes = yyjson_obj_get(root, "emotes"), *emote;
    assert_true(yyjson_is_obj(root));
    size_t index, count;
    yyjson_arr_foreach(emotes, index, count, emote) check_emote(event->chat.message, emote);
    count = yyjson_arr_size(emotes);
    yyjson_doc_free(document);
    return count;
}

static void test_events_are_whole(void **state)
{
    (void)state;
    struct source_rig rig = rig_of(&(struct source_options){.rate = 1000, .seed = 3}, "simulated:chat/5");
    rig_connect(&rig, TEST_START_US);
    struct buffer text, again;
    struct arena arena;
    buffer_init(&text, 1 << 20);
    buffer_init(&again, 1 << 20);
    arena_init(&arena, 16 << 20);
    size_t emotes = 0, events = 0;
    for (int64_t now_us = TEST_START_US; now_us < TEST_START_US + 100 * SECOND; now_us += SECOND / 2) {
        rig_input(&rig, SOURCE_TICK, BYTES(""), now_us);
        arena_reset(&arena);
        for (size_t i = 0; i < rig.output.batch->count; i++, events++) {
            struct event parsed;
            emotes += check_metadata(rig_event(&rig, i));
            assert_true(bytes_is_utf8(rig_event(&rig, i)->chat.message));
            buffer_reset(&text);
            buffer_reset(&again);
            event_write(rig_event(&rig, i), &text);
            assert_int_equal(event_parse(buffer_bytes(&text), &arena, &parsed), REJECT_NONE);
            event_write(&parsed, &again);
            assert_true(bytes_equal(buffer_bytes(&text), buffer_bytes(&again)));
        }
    }
    assert_true(emotes > 10000 && events > 90000);
    buffer_release(&text);
    buffer_release(&again);
    arena_release(&arena);
    rig_release(&rig);
}

static void test_ids_are_unique_and_runs_repeat(void **state)
{
    const struct log *log = *state;
    struct map ids;
    map_init(&ids, HOUR_MESSAGES_MAX);
    for (size_t i = 0; i < log->count; i++) {
        bool added = false;
        assert_non_null(map_put(&ids, bytes_of_string(log->events[i].id), &added));
        assert_true(added);
    }
    map_release(&ids);
    struct log same = {calloc(HOUR_MESSAGES_MAX, sizeof *same.events), 0};
    play_count(4, 600, 21, &same); /* 4 is the default */
    assert_true(same.count > 1000);
    assert_memory_equal(same.events, log->events, same.count * sizeof *same.events);
    free(same.events);
}

static void test_every_text_fits(void **state)
{
    (void)state;
    struct random random;
    random_seed(&random, 1);
    char longest[CHAT_NAME_MAX];
    memset(longest, 'm', sizeof longest);
    for (size_t i = 0; i < 50000; i++) {
        struct chat_text text, varied;
        chat_text_make((enum chat_tone)(i % CHAT_TONE_COUNT), bytes_of(longest, sizeof longest), &random, &text);
        assert_in_range(text.length, 1, CHAT_TEXT_MAX);
        assert_int_equal(bytes_find(bytes_of(text.at, text.length), '%'), -1);
        chat_text_vary(&text, &random, &varied);
        assert_true(varied.length >= text.length && varied.emote_count <= CHAT_EMOTE_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate_is_kept),
        cmocka_unit_test(test_a_load_generator_is_even),
        cmocka_unit_test(test_incidents_happen),
        cmocka_unit_test(test_spam_waves_are_near_duplicates_of_many),
        cmocka_unit_test(test_moderators_answer),
        cmocka_unit_test(test_the_muted_are_silent),
        cmocka_unit_test(test_few_people_say_most),
        cmocka_unit_test(test_events_are_whole),
        cmocka_unit_test(test_ids_are_unique_and_runs_repeat),
        cmocka_unit_test(test_every_text_fits),
    };
    return cmocka_run_group_tests(tests, play_hour, forget_hour);
}
