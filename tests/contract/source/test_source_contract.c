/* What every source must do, run against all kinds, the sample of docs/adding-a-source.md, and the fault decorator around
 * each.  A rig stands for the driver: it carries out actions and feeds a script of inputs. */
#include "base/random.h"
#include "source/source_internal.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* The sample is no part of any library: it is compiled here, so that it cannot rot. */
#include "../examples/sample_source.c" /* NOLINT(bugprone-suspicious-include) */

#define START_US 1790000000000000LL
#define STEP_US 137000LL

enum { FRAMES_MAX = 12, SCRIPT_MAX = 160 };

/* A kind of source and frames that it understands. */
struct subject {
    const char *spec;
    const struct source_class *class; /* NULL: from the registry */
    const char *frames[FRAMES_MAX];
    bool file;  /* ends with its file */
    bool ticks; /* makes events by itself */
    bool faulty;
    const char *ending; /* what a frame needs to be whole; NULL: nothing */
    const char *hello;  /* the frame after which the source is live; NULL: it is when the connection opens */
};

#define EVENT_JSON(id, price)                                                                                                    \
    "{\"schema\":1,\"id\":\"acme:BTC-USDT:trade:" id "\",\"source\":\"market\",\"timestamp\":\"2026-09-21T14:13:20.1Z\","        \
    "\"payload\":{\"kind\":\"trade\",\"exchange\":\"acme\",\"symbol\":\"BTC-USDT\",\"price\":" price                             \
    ",\"volume\":0.5,\"side\":\"buy\",\"trade_id\":" id "}}"
#define BINANCE_TRADE(a, f, l)                                                                                                   \
    "{\"e\":\"aggTrade\",\"E\":1790000000100,\"s\":\"BTCUSDT\",\"a\":" a ",\"p\":\"61000.10\",\"q\":\"0.25000\",\"f\":" f        \
    ",\"l\":" l ",\"T\":1790000000099,\"m\":true,\"M\":true}"
#define RECORDED(source, event, frame)                                                                                           \
    "{\"received\":\"2026-09-21T14:13:21.5Z\",\"source\":\"" source "\",\"connection\":1,\"event\":\"" event                     \
    "\",\"frame\":\"" frame "\"}"

#define BINANCE_FRAMES                                                                                                           \
    {                                                                                                                            \
        BINANCE_TRADE("1", "10", "11"), BINANCE_TRADE("2", "12", "12"), BINANCE_TRADE("2", "12", "12"),                          \
            BINANCE_TRADE("7", "30", "31"), "{\"result\":null,\"id\":1}"                                                         \
    }
#define COINBASE_MATCH(type, id)                                                                                                 \
    "{\"type\":\"" type "\",\"trade_id\":" id ",\"maker_order_id\":\"27fff20b-af29\",\"taker_order_id\":\"1da6ce16-c8da\","      \
    "\"side\":\"sell\",\"size\":\"0.04\",\"price\":\"14.7775\",\"product_id\":\"BTC-USD\",\"sequence\":90" id                    \
    ",\"time\":\"2026-09-21T14:13:20.244075Z\"}"
#define COINBASE_HEARTBEAT(sequence, last)                                                                                       \
    "{\"type\":\"heartbeat\",\"last_trade_id\":" last ",\"product_id\":\"BTC-USD\",\"sequence\":" sequence                       \
    ",\"time\":\"2026-09-21T14:13:21.000000Z\"}"
#define COINBASE_FRAMES                                                                                                          \
    {                                                                                                                            \
        "{\"type\":\"subscriptions\",\"channels\":[]}", COINBASE_MATCH("last_match", "11"), COINBASE_MATCH("match", "12"),       \
            COINBASE_MATCH("match", "12"), COINBASE_MATCH("match", "16"), COINBASE_HEARTBEAT("9017", "20"),                      \
            COINBASE_HEARTBEAT("9018", "20"), COINBASE_MATCH("match", "-1"),                                                     \
            "{\"type\":\"ticker\",\"sequence\":9019,\"product_id\":\"BTC-USD\",\"price\":\"14.8\",\"best_bid\":\"14.7\","        \
            "\"best_ask\":\"14.9\",\"time\":\"2026-09-21T14:13:22.000001Z\",\"trade_id\":16,\"last_size\":\"0.04\"}",            \
            "{\"type\":\"error\",\"message\":\"Failed\",\"reason\":\"too many requests\"}"                                       \
    }
#define JSONL_FRAMES                                                                                                             \
    {                                                                                                                            \
        EVENT_JSON("1", "61000.10"), EVENT_JSON("2", "61000.20"), EVENT_JSON("3", "61000.3")                                     \
    }
#define RECORDING_FRAMES                                                                                                         \
    {                                                                                                                            \
        RECORDED("simulated:chat", "open", ""),                                                                                  \
            RECORDED("simulated:chat", "frame",                                                                                  \
                     "{\\\"schema\\\":1,\\\"id\\\":\\\"twitch:1\\\",\\\"source\\\":\\\"twitch\\\","                              \
                     "\\\"timestamp\\\":\\\"2026-09-21T14:13:20.1Z\\\",\\\"payload\\\":{\\\"kind\\\":\\\"message\\\","           \
                     "\\\"channel\\\":\\\"a\\\",\\\"message\\\":\\\"hi\\\"}}"),                                                  \
            RECORDED("acme:X", "frame", "T"), RECORDED("simulated:chat", "close", "bye")                                         \
    }
#define SAMPLE_FRAMES                                                                                                            \
    {                                                                                                                            \
        "T,1042,61000.10,0.25,buy,1790000000123", "H", "T,1043,61000.20,0.5,sell,1790000000200",                                 \
            "T,1043,61000.20,0.5,sell,1790000000200", "T,1050,61000.20,0.5,sell,1790000000300", "T,1051,x,1,buy,1",              \
            "T,1051,1,1,buy,99999999999999999999"                                                                                \
    }

#define TWITCH_MESSAGE(id, text)                                                                                                 \
    "@badges=;color=#1E90FF;display-name=Ann;emotes=;id=" id ";mod=0;room-id=7;subscriber=1;tmi-sent-ts=1790000000100;"          \
    "user-id=42 :ann!ann@ann.tmi.twitch.tv PRIVMSG #room :" text
#define TWITCH_FRAMES                                                                                                            \
    {                                                                                                                            \
        ":tmi.twitch.tv 001 justinfan1 :Welcome, GLHF!",                                                                         \
            "@emote-only=0;followers-only=-1;r9k=0;room-id=7;slow=0;subs-only=0 :tmi.twitch.tv ROOMSTATE #room",                 \
            TWITCH_MESSAGE("a1", "hi"), TWITCH_MESSAGE("a2", "hi"), TWITCH_MESSAGE("a1", "hi"), "PING :tmi.twitch.tv",           \
            "@ban-duration=5;room-id=7;target-user-id=42;tmi-sent-ts=1790000000200 :tmi.twitch.tv CLEARCHAT #room :ann"          \
    }

#define EVENTSUB_TEXT(id, kind, payload)                                                                                         \
    "{\"metadata\":{\"message_id\":\"" id "\",\"message_type\":\"" kind                                                          \
    "\",\"message_timestamp\":\"2026-09-21T14:13:20.123456789Z\"},\"payload\":" payload "}"
#define EVENTSUB_WELCOME_TEXT                                                                                                    \
    EVENTSUB_TEXT(                                                                                                               \
        "w1", "session_welcome",                                                                                                 \
        "{\"session\":{\"id\":\"AQoQ\",\"status\":\"connected\",\"keepalive_timeout_seconds\":600,\"reconnect_url\":null}}")
#define EVENTSUB_EVENT(id, type, fields)                                                                                         \
    EVENTSUB_TEXT(id, "notification",                                                                                            \
                  "{\"subscription\":{\"type\":\"" type "\"},\"event\":{\"broadcaster_user_id\":\"7\","                          \
                  "\"broadcaster_user_login\":\"room\"," fields "}}")
#define EVENTSUB_SAID(id, message_id)                                                                                            \
    EVENTSUB_EVENT(id, "channel.chat.message",                                                                                   \
                   "\"chatter_user_login\":\"ann\",\"message_id\":\"" message_id "\",\"message\":{\"text\":\"hi\"}")
#define EVENTSUB_FRAMES                                                                                                          \
    {                                                                                                                            \
        EVENTSUB_WELCOME_TEXT, EVENTSUB_SAID("n1", "m1"), EVENTSUB_SAID("n1", "m1"), EVENTSUB_SAID("n2", "m1"),                  \
            EVENTSUB_SAID("n3", "m2"), EVENTSUB_TEXT("k1", "session_keepalive", "{}"),                                           \
            EVENTSUB_EVENT("n4", "channel.chat.message_delete",                                                                  \
                           "\"message_id\":\"m1\",\"target_user_login\":\"ann\",\"target_user_id\":\"42\""),                     \
            EVENTSUB_EVENT("n5", "channel.ban", "\"user_login\":\"ann\",\"user_id\":\"42\",\"is_permanent\":true"),              \
            EVENTSUB_EVENT("n6", "channel.follow", "\"user_login\":\"ann\"")                                                     \
    }

static const struct subject subjects[] = {
    {"binance:BTC-USDT", NULL, BINANCE_FRAMES, false, false, false, NULL, NULL},
    {"coinbase:BTC-USD", NULL, COINBASE_FRAMES, false, false, false, NULL, NULL},
    {"jsonl:events.jsonl", NULL, JSONL_FRAMES, true, false, false, NULL, NULL},
    {"recording:demo.jsonl", NULL, RECORDING_FRAMES, true, false, false, NULL, NULL},
    {"simulated:market", NULL, {NULL, NULL}, false, true, false, NULL, NULL},
    {"simulated:market/50", NULL, {NULL, NULL}, false, true, false, NULL, NULL},
    {"simulated:chat", NULL, {NULL, NULL}, false, true, false, NULL, NULL},
    {"acme:BTC-USDT", &source_sample, SAMPLE_FRAMES, false, false, false, NULL, NULL},
    {"twitch-irc:room", NULL, TWITCH_FRAMES, false, false, false, "\r\n", NULL},
    {"twitch-irc:room,other", NULL, TWITCH_FRAMES, false, false, true, "\r\n", NULL},
    {"twitch-eventsub:room", NULL, EVENTSUB_FRAMES, false, false, false, NULL, EVENTSUB_WELCOME_TEXT},
    {"twitch-eventsub:room,other", NULL, EVENTSUB_FRAMES, false, false, true, NULL, EVENTSUB_WELCOME_TEXT},
    {"binance:BTC-USDT", NULL, BINANCE_FRAMES, false, false, true, NULL, NULL},
    {"coinbase:BTC-USD,ETH-USD", NULL, COINBASE_FRAMES, false, false, true, NULL, NULL},
    {"jsonl:events.jsonl", NULL, JSONL_FRAMES, true, false, true, NULL, NULL},
    {"recording:demo.jsonl", NULL, RECORDING_FRAMES, true, false, true, NULL, NULL},
    {"simulated:chat", NULL, {NULL, NULL}, false, true, true, NULL, NULL},
    {"acme:BTC-USDT", &source_sample, SAMPLE_FRAMES, false, false, true, NULL, NULL},
};
enum { SUBJECT_COUNT = sizeof subjects / sizeof *subjects };

static const struct bytes garbage[] = {
    BYTES(""),
    BYTES(" "),
    BYTES("{"),
    BYTES("}"),
    BYTES("[]"),
    BYTES("{}"),
    BYTES("null"),
    BYTES("\"text\""),
    BYTES("T,"),
    BYTES("T,,,,,"),
    BYTES("\xff\xfe\x00\x01"),
    BYTES("{\"e\":\"aggTrade\"}"),
    BYTES("{\"e\":\"aggTrade\",\"s\":\"BTCUSDT\",\"a\":-1,\"p\":\"x\",\"q\":7,\"T\":\"no\",\"m\":null}"),
    BYTES("{\"e\":\"aggTrade\",\"s\":\"BTCUSDT\",\"a\":99999999999999999999999,\"p\":\"1\",\"q\":\"1\",\"T\":1,\"m\":true}"),
    BYTES("{\"stream\":\"btcusdt@aggTrade\",\"data\":[[[[[[[[{}]]]]]]]]}"),
    BYTES("{\"schema\":2,\"id\":\"x\"}"),
    BYTES("{\"schema\":1,\"id\":\"x\",\"source\":\"market\",\"timestamp\":\"yesterday\",\"payload\":{}}"),
    BYTES("{\"received\":\"never\",\"frame\":\"x\"}"),
    BYTES("{\"received\":\"2026-09-21T14:13:21.5Z\",\"frame\":\"x\"}"),
    BYTES("{\"received\":\"2026-09-21T14:13:21.5Z\",\"source\":\"recording:x\",\"frame\":\"x\"}"),
    BYTES("{\"received\":\"2026-09-21T14:13:21.5Z\",\"source\":\"\",\"event\":\"boom\",\"frame\":7}"),
    BYTES("T,-1,1,1,buy,1790000000123"),
};
enum { GARBAGE_COUNT = sizeof garbage / sizeof *garbage };

/* ---- the rig ---- */

struct rig {
    const struct subject *subject;
    struct source *source;
    struct source_faults faults;
    struct source_output output;
    struct buffer events; /* JSON lines of all that was made */
    uint32_t connection;  /* opened last; 0: none */
    uint32_t wanted;      /* asked for last */
    size_t opens, closes;
    struct arena frames; /* those that were given an ending */
};

/* The text as a whole frame. */
static struct bytes frame_of(struct rig *rig, struct bytes text)
{
    if (!rig->subject->ending)
        return text;
    struct bytes ending = bytes_of_string(rig->subject->ending);
    char *frame = arena_text(&rig->frames, text.length + ending.length);
    assert_non_null(frame);
    memcpy(frame, text.at, text.length);
    memcpy(frame + text.length, ending.at, ending.length);
    return bytes_of(frame, text.length + ending.length);
}

static void check_ledger(const struct rig *rig)
{
    const struct source_statistics *s = source_statistics(rig->source);
    assert_int_equal(s->frames + s->created, s->events + s->rejected + s->duplicates + s->filtered);
    uint64_t by_reason = 0;
    for (size_t i = 0; i < REJECT_REASON_COUNT; i++)
        by_reason += s->rejected_by[i];
    assert_int_equal(by_reason, s->rejected);
    assert_int_equal(s->rejected_by[REJECT_NONE], 0);
}

/* After each call: the ledger balances, what was made is kept, actions are carried out. */
static void settle(struct rig *rig, size_t inputs)
{
    check_ledger(rig);
    for (size_t i = 0; i < rig->output.batch->count; i++) {
        event_write(&rig->output.batch->events[i], &rig->events);
        buffer_byte(&rig->events, '\n');
    }
    for (size_t i = 0; i < rig->output.reject_count; i++)
        assert_true(rig->output.rejects[i].input < inputs);
    for (size_t i = 0; i < rig->output.action_count; i++) {
        const struct source_action *action = &rig->output.actions[i];
        assert_true(action->connection > 0);
        if (action->kind == SOURCE_OPEN) {
            assert_true(action->text.length > 0);
            assert_true(action->connection > rig->wanted); /* never used again */
            rig->wanted = action->connection;
            rig->opens++;
        }
        rig->closes += action->kind == SOURCE_CLOSE;
    }
    int64_t wake_at_us = rig->output.wake_at_us;
    event_batch_reset(rig->output.batch);
    source_output_reset(&rig->output);
    rig->output.wake_at_us = wake_at_us; /* for the tests to look at */
}

static struct rig *rig_create(const struct subject *subject, uint64_t fail_every)
{
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    rig->subject = subject;
    struct source_options options = {.seed = 7, .rate = subject->ticks ? 40 : 0};
    source_spec_split(bytes_of_string(subject->spec), &options.kind, &options.argument);
    struct error error = {""};
    rig->source = subject->class ? source_create_of(subject->class, &options, &error) : source_create(&options, &error);
    if (!rig->source)
        fail_msg("%s: %s", subject->spec, error.text);
    rig->faults.fail_every = fail_every;
    if (subject->faulty) {
        rig->source = source_faulty_create(rig->source, &rig->faults);
        assert_non_null(rig->source);
    }
    rig->output.batch = event_batch_create(8);
    assert_non_null(rig->output.batch);
    event_batch_reset(rig->output.batch);
    source_output_reset(&rig->output);
    buffer_init(&rig->events, 64 << 20);
    arena_init(&rig->frames, 64 << 20);
    return rig;
}

static void rig_destroy(struct rig *rig)
{
    assert_false(rig->events.failed);
    source_destroy(rig->source);
    event_batch_destroy(rig->output.batch);
    buffer_release(&rig->events);
    arena_release(&rig->frames);
    free(rig);
}

static void rig_read(struct rig *rig, const struct source_input *inputs, size_t count)
{
    source_read(rig->source, inputs, count, &rig->output);
    settle(rig, count);
}

static void rig_connect(struct rig *rig, int64_t now_us)
{
    source_connect(rig->source, now_us, &rig->output);
    settle(rig, 0);
}

/* The connection that was asked for last opens. */
static void rig_open(struct rig *rig, int64_t now_us)
{
    if (rig->wanted == rig->connection)
        return;
    rig->connection = rig->wanted;
    struct source_input opened = {.kind = SOURCE_OPENED, .connection = rig->connection, .now_us = now_us};
    rig_read(rig, &opened, 1);
    struct source_input hello = {.kind = SOURCE_FRAME, .connection = rig->connection, .now_us = now_us};
    hello.frame = bytes_of_string(rig->subject->hello);
    if (rig->subject->hello)
        rig_read(rig, &hello, 1);
}

static void rig_error(struct rig *rig, int code, int64_t now_us)
{
    source_error(rig->source, rig->wanted, code, BYTES("cut off"), now_us, &rig->output);
    settle(rig, 1);
}

static enum source_state state_of(const struct rig *rig)
{
    return source_statistics(rig->source)->state;
}

/* Frames, garbage and ticks by turns. */
static size_t make_script(struct rig *rig, struct source_input *script)
{
    size_t frames = 0, count = 0;
    while (frames < FRAMES_MAX && rig->subject->frames[frames])
        frames++;
    for (size_t i = 0; i < SCRIPT_MAX; i++) {
        struct source_input *input = &script[count++];
        *input = (struct source_input){.connection = rig->connection, .now_us = START_US + (int64_t)(i + 1) * STEP_US};
        if (i % 4 == 0) {
            input->kind = SOURCE_TICK;
        } else {
            input->kind = SOURCE_FRAME;
            size_t index = i % 4 == 1 || frames == 0 ? i % GARBAGE_COUNT : (i / 2) % frames;
            bool wrong = i % 4 == 1 || frames == 0;
            input->frame = frame_of(rig, wrong ? garbage[index] : bytes_of_string(rig->subject->frames[index]));
        }
    }
    return count;
}

static struct rig *rig_start(const struct subject *subject)
{
    struct rig *rig = rig_create(subject, 0);
    rig_connect(rig, START_US);
    rig_open(rig, START_US + 1000);
    return rig;
}

/* ---- the contract ---- */

static void test_connect_asks_or_makes(void **state)
{
    struct rig *rig = rig_create(*state, 0);
    assert_string_equal(source_name(rig->source), rig->subject->spec);
    assert_string_equal(source_last_error(rig->source), "");
    rig_connect(rig, START_US);
    assert_true(rig->opens > 0 || rig->output.wake_at_us < INT64_MAX);
    assert_true(state_of(rig) == SOURCE_CONNECTING || state_of(rig) == SOURCE_LIVE);
    rig_open(rig, START_US + 1000);
    assert_int_equal(state_of(rig), SOURCE_LIVE);
    rig_destroy(rig);
}

static void test_makes_events(void **state)
{
    struct rig *rig = rig_start(*state);
    struct source_input script[SCRIPT_MAX];
    rig_read(rig, script, make_script(rig, script));
    const struct source_statistics *statistics = source_statistics(rig->source);
    assert_true(statistics->events > 0);
    assert_true(statistics->rejected > 0);
    assert_true(statistics->last_event_us != TIME_UNKNOWN);
    rig_destroy(rig);
}

static void test_garbage_is_counted(void **state)
{
    struct rig *rig = rig_start(*state);
    for (size_t i = 0; i < GARBAGE_COUNT; i++) {
        struct source_statistics before = *source_statistics(rig->source);
        struct source_input input = {
            .kind = SOURCE_FRAME, .connection = rig->connection, .now_us = START_US + 2000, .frame = frame_of(rig, garbage[i])};
        rig_read(rig, &input, 1);
        const struct source_statistics *after = source_statistics(rig->source);
        assert_int_equal(after->frames, before.frames + 1);
        assert_int_equal(after->rejected + after->filtered, before.rejected + before.filtered + 1);
        assert_int_equal(after->events, before.events);
    }
    assert_true(source_statistics(rig->source)->rejected > GARBAGE_COUNT / 2);
    rig_destroy(rig);
}

static void test_close_ends(void **state)
{
    struct rig *rig = rig_start(*state);
    size_t opens = rig->opens;
    source_close(rig->source, START_US + 5000, &rig->output);
    settle(rig, 0);
    assert_int_equal(state_of(rig), SOURCE_ENDED);
    assert_true(rig->output.wake_at_us == INT64_MAX);
    assert_int_equal(rig->closes, opens > 0 ? 1 : 0);
    uint64_t events = source_statistics(rig->source)->events;
    struct source_input script[SCRIPT_MAX];
    rig_read(rig, script, make_script(rig, script));
    rig_error(rig, SOURCE_CLOSED_NONE, START_US + 60 * STEP_US);
    source_close(rig->source, START_US + 70 * STEP_US, &rig->output);
    settle(rig, 0);
    assert_int_equal(source_statistics(rig->source)->events, events);
    assert_int_equal(rig->opens, opens);
    assert_int_equal(state_of(rig), SOURCE_ENDED);
    rig_destroy(rig);
}

static void test_error_leads_on(void **state)
{
    struct rig *rig = rig_start(*state);
    rig_error(rig, SOURCE_CLOSED_NONE, START_US + 5000);
    if (rig->subject->ticks) {
        assert_int_equal(state_of(rig), SOURCE_LIVE); /* no connection, nothing to lose */
    } else if (rig->subject->file) {
        assert_int_equal(state_of(rig), SOURCE_FAILED);
        assert_non_null(strstr(source_last_error(rig->source), "cut off"));
    } else {
        assert_int_equal(state_of(rig), SOURCE_BACKING_OFF);
        assert_non_null(strstr(source_last_error(rig->source), "cut off"));
        for (int i = 0; i < 20; i++) { /* it does not give up */
            int64_t wake_at_us = rig->output.wake_at_us;
            assert_true(wake_at_us >= START_US + 5000 && wake_at_us < INT64_MAX);
            size_t opens = rig->opens;
            struct source_input tick = {.kind = SOURCE_TICK, .now_us = wake_at_us};
            rig_read(rig, &tick, 1);
            assert_int_equal(rig->opens, opens + 1);
            assert_int_equal(state_of(rig), SOURCE_CONNECTING);
            rig_error(rig, SOURCE_CLOSED_UNREACHABLE, wake_at_us + 100);
        }
        assert_true(source_statistics(rig->source)->reconnects > 0);
    }
    rig_destroy(rig);
}

static void test_end_of_file(void **state)
{
    struct rig *rig = rig_start(*state);
    rig_error(rig, SOURCE_CLOSED_END, START_US + 5000);
    if (rig->subject->file)
        assert_int_equal(state_of(rig), SOURCE_ENDED);
    rig_destroy(rig);
}

static void test_foreign_connections_do_nothing(void **state)
{
    struct rig *rig = rig_start(*state);
    source_error(rig->source, 4711, 1006, BYTES("not ours"), START_US + 5000, &rig->output);
    settle(rig, 0);
    assert_int_equal(state_of(rig), SOURCE_LIVE);
    rig_destroy(rig);
}

static void test_batches_do_not_matter(void **state)
{
    struct rig *whole = rig_start(*state);
    struct source_input script[SCRIPT_MAX];
    size_t count = make_script(whole, script);
    rig_read(whole, script, count);
    struct random random;
    random_seed(&random, 3);
    for (size_t longest = 1; longest <= 16; longest *= 2) {
        struct rig *split = rig_start(*state);
        for (size_t at = 0; at < count;) {
            size_t piece = 1 + (size_t)random_below(&random, longest);
            if (piece > count - at)
                piece = count - at;
            rig_read(split, script + at, piece);
            at += piece;
        }
        assert_int_equal(split->events.length, whole->events.length);
        assert_memory_equal(split->events.at, whole->events.at, whole->events.length);
        assert_memory_equal(source_statistics(split->source), source_statistics(whole->source), sizeof(struct source_statistics));
        rig_destroy(split);
    }
    rig_destroy(whole);
}

/* Whatever memory a batch may take: nothing vanishes uncounted, and with memory again the source goes on. */
static void test_no_memory_is_counted(void **state)
{
    struct rig *full = rig_start(*state);
    struct source_input script[SCRIPT_MAX];
    size_t count = make_script(full, script);
    rig_read(full, script, count);
    struct source_input tick = {.kind = SOURCE_TICK, .now_us = script[count - 1].now_us};
    rig_read(full, &tick, 1);
    uint64_t all = source_statistics(full->source)->events;
    uint64_t lost_sometimes = 0;
    for (size_t cap = 0; cap < 40000; cap = cap * 3 / 2 + 37) {
        struct rig *rig = rig_start(*state);
        arena_release(&rig->output.batch->arena);
        arena_init(&rig->output.batch->arena, cap);
        rig_read(rig, script, count);
        arena_release(&rig->output.batch->arena);
        arena_init(&rig->output.batch->arena, 64 << 20);
        rig_read(rig, &tick, 1);
        const struct source_statistics *statistics = source_statistics(rig->source);
        uint64_t lost = statistics->rejected_by[REJECT_NO_MEMORY];
        assert_true(statistics->events + lost >= all);
        assert_true(statistics->events <= all);
        lost_sometimes += lost;
        rig_destroy(rig);
    }
    assert_true(lost_sometimes > 0);
    rig_destroy(full);
}

/* Lost inputs and cut connections, at every place: the ledger holds (settle checks), and a live source comes back. */
static void test_faults(void **state)
{
    const struct subject *subject = *state;
    if (!subject->faulty)
        return;
    for (uint64_t every = 1; every < 12; every++) {
        struct rig *rig = rig_create(subject, every);
        rig->faults.delay_us = (int64_t)every * 1000;
        int64_t now_us = START_US;
        rig_connect(rig, now_us);
        struct source_input script[SCRIPT_MAX];
        size_t count = make_script(rig, script);
        for (size_t i = 0; i < count; i++) {
            now_us = rig->output.wake_at_us < now_us + STEP_US * 500 ? rig->output.wake_at_us : now_us + STEP_US;
            rig_open(rig, now_us);
            script[i].now_us = now_us;
            script[i].connection = rig->connection;
            rig_read(rig, &script[i], 1);
        }
        assert_true(rig->faults.failures > 0);
        if (!subject->file && !subject->ticks)
            assert_true(rig->opens > 1);
        rig_destroy(rig);
    }
}

#define CONTRACT(test)                                                                                                           \
    {                                                                                                                            \
#test, test, NULL, NULL, NULL                                                                                            \
    }

static const struct CMUnitTest contract[] = {
    CONTRACT(test_connect_asks_or_makes),
    CONTRACT(test_makes_events),
    CONTRACT(test_garbage_is_counted),
    CONTRACT(test_close_ends),
    CONTRACT(test_error_leads_on),
    CONTRACT(test_end_of_file),
    CONTRACT(test_foreign_connections_do_nothing),
    CONTRACT(test_batches_do_not_matter),
    CONTRACT(test_no_memory_is_counted),
    CONTRACT(test_faults),
};
enum { CONTRACT_COUNT = sizeof contract / sizeof *contract };

int main(void)
{
    static struct CMUnitTest tests[SUBJECT_COUNT * CONTRACT_COUNT];
    static char names[SUBJECT_COUNT * CONTRACT_COUNT][96];
    size_t count = 0;
    for (size_t i = 0; i < SUBJECT_COUNT; i++)
        for (size_t j = 0; j < CONTRACT_COUNT; j++) {
            snprintf(names[count], sizeof names[count], "%s%s: %s", subjects[i].spec, subjects[i].faulty ? " (faulty)" : "",
                     contract[j].name);
            tests[count] = contract[j];
            tests[count].name = names[count];
            tests[count].initial_state = (void *)(uintptr_t)&subjects[i];
            count++;
        }
    return _cmocka_run_group_tests("source contract", tests, count, NULL, NULL);
}
