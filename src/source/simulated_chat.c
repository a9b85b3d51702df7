/* A simulated chat: channels in which people talk, cheer, answer, raid, advertise, insult and are moderated.
 *
 * Each channel alternates between quiet stretches and incidents, with its own Poisson arrivals, so chosen that all
 * channels together have `rate` events a second on average:
 *
 *     quiet (25 to 75 s) --> incident (7 to 15 s), its kind from a shuffled deck --> quiet …
 *
 * Moderators answer abuse, spam and floods within seconds; what they do takes the place of a message that was due.
 * Regulars speak by Zipf's law; raiders, spammers and abusers are newcomers, numbered on from the last one. */
#include "source/simulated_chat.h"
#include "source/simulated.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

enum { CHANNELS_DEFAULT = 3, CHANNELS_MAX = 64, RATE_DEFAULT = 4 };
enum { REGULARS = 2000, CHANNEL_OFFSET = 400, CROWD_MAX = 80, DECK_SIZE = 8, PENDING_MAX = 16, UUID_LENGTH = 36 };

static const double QUIET_MIN_S = 25, QUIET_SPREAD_S = 50, INCIDENT_MIN_S = 7, INCIDENT_SPREAD_S = 8;
static const double BUSY = 4; /* rate of an incident, in average rates; a load generator is even */
static const double LOAD_RATE = 100;

enum incident { INCIDENT_NONE, INCIDENT_RAID, INCIDENT_SPAM, INCIDENT_ABUSE, INCIDENT_HYPE, INCIDENT_ANSWERS, INCIDENT_FLOOD };
static const enum incident deck[DECK_SIZE] = {INCIDENT_RAID,    INCIDENT_SPAM,  INCIDENT_ABUSE, INCIDENT_HYPE,
                                              INCIDENT_ANSWERS, INCIDENT_FLOOD, INCIDENT_SPAM,  INCIDENT_ABUSE};

/* Something that a moderator is about to do. */
struct pending {
    double due_s;
    enum event_kind kind;
    uint32_t person;
    unsigned seconds; /* of a timeout, or of slow mode */
    char message_id[UUID_LENGTH];
};

struct channel {
    char name[CHAT_NAME_MAX];
    size_t name_length;
    double rate, next_s;
    uint32_t first_regular;
    /* the phase */
    enum incident incident;
    double phase_end_s;
    enum incident cards[DECK_SIZE];
    size_t cards_left;
    bool opening;                /* the event that begins the incident is due */
    uint32_t crowd, crowd_count; /* newcomers of this incident: crowd … crowd + crowd_count - 1 */
    uint32_t crowd_max;
    bool muted[CROWD_MAX];   /* of them, by timeout or ban */
    uint32_t target;         /* the one insulted */
    uint32_t strikes;        /* messages since moderators last acted */
    struct chat_text theme;  /* what a spam wave varies */
    char topic[UUID_LENGTH]; /* message that answers reply to */
    struct pending pending[PENDING_MAX];
    size_t pending_count;
};

struct chat_state {
    struct simulated timeline;
    size_t channel_count;
    struct channel *channels;
    uint32_t next_newcomer;
};

/* ---- set-up and phases ---- */

static int chat_init(struct source *source, struct error *error)
{
    struct chat_state *state = source->state;
    if (simulated_init(source, CHANNELS_DEFAULT, CHANNELS_MAX, RATE_DEFAULT, &state->channel_count, error) != 0)
        return -1;
    state->channels = calloc(state->channel_count, sizeof *state->channels);
    if (!state->channels)
        return error_set(error, "out of memory for %zu channels of %s", state->channel_count, source->name);
    return 0;
}

static void chat_release(struct source *source)
{
    struct chat_state *state = source->state;
    free(state->channels);
}

/* The next incident's kind; each of the deck comes up before any comes again. */
static enum incident draw_incident(struct channel *channel, struct random *random)
{
    if (channel->cards_left == 0) {
        memcpy(channel->cards, deck, sizeof deck);
        channel->cards_left = DECK_SIZE;
    }
    size_t drawn = (size_t)random_below(random, channel->cards_left);
    enum incident incident = channel->cards[drawn];
    channel->cards[drawn] = channel->cards[--channel->cards_left];
    return incident;
}

static uint32_t crowd_size(enum incident incident, struct random *random)
{
    switch (incident) {
    case INCIDENT_RAID:
    case INCIDENT_SPAM:
        return 30 + (uint32_t)random_below(random, CROWD_MAX - 30);
    case INCIDENT_ABUSE:
        return 2 + (uint32_t)random_below(random, 3);
    case INCIDENT_FLOOD:
        return 1;
    default:
        return 0;
    }
}

static uint32_t draw_regular(const struct channel *channel, struct random *random);
static void plan(struct channel *channel, struct random *random, enum event_kind kind, uint32_t person, unsigned seconds,
                 const char *message_id);

static void begin_incident(struct chat_state *state, struct channel *channel)
{
    struct random *random = &state->timeline.random;
    channel->incident = draw_incident(channel, random);
    channel->phase_end_s += INCIDENT_MIN_S + INCIDENT_SPREAD_S * random_unit(random);
    channel->opening = true;
    channel->crowd = state->next_newcomer;
    channel->crowd_count = 0;
    channel->crowd_max = crowd_size(channel->incident, random);
    memset(channel->muted, 0, sizeof channel->muted);
    state->next_newcomer += channel->crowd_max;
    channel->target = draw_regular(channel, random);
    channel->strikes = 0;
    if (channel->incident == INCIDENT_SPAM)
        chat_text_make(CHAT_SPAM, BYTES(""), random, &channel->theme);
}

static void begin_quiet(struct chat_state *state, struct channel *channel)
{
    if (channel->incident == INCIDENT_SPAM)
        plan(channel, &state->timeline.random, EVENT_ROOM_STATE, 0, 0, NULL);
    channel->incident = INCIDENT_NONE;
    channel->phase_end_s += QUIET_MIN_S + QUIET_SPREAD_S * random_unit(&state->timeline.random);
}

/* Rate of arrivals in the phase, so that the average over phases is channel->rate. */
static double phase_rate(const struct channel *channel)
{
    double quiet_s = QUIET_MIN_S + QUIET_SPREAD_S / 2, incident_s = INCIDENT_MIN_S + INCIDENT_SPREAD_S / 2;
    double share = incident_s / (quiet_s + incident_s);
    if (channel->rate > LOAD_RATE)
        return channel->rate;
    return channel->rate * (channel->incident == INCIDENT_NONE ? (1 - share * BUSY) / (1 - share) : BUSY);
}

/* Arrivals have no memory: one that would fall behind the phase's end is drawn anew in the next phase. */
static void next_arrival(struct chat_state *state, struct channel *channel)
{
    for (;;) {
        double at_s = channel->next_s + random_exponential(&state->timeline.random, 1 / phase_rate(channel));
        if (at_s < channel->phase_end_s) {
            channel->next_s = at_s;
            return;
        }
        channel->next_s = channel->phase_end_s;
        if (channel->incident == INCIDENT_NONE)
            begin_incident(state, channel);
        else
            begin_quiet(state, channel);
    }
}

static struct channel *next_channel(struct chat_state *state)
{
    struct channel *next = &state->channels[0];
    for (size_t i = 1; i < state->channel_count; i++)
        if (state->channels[i].next_s < next->next_s)
            next = &state->channels[i];
    state->timeline.next_s = next->next_s;
    return next;
}

static bool make_event(struct source *source, struct event *event, struct arena *arena);

static void chat_connect(struct source *source, int64_t now_us, struct source_output *output)
{
    (void)output;
    struct chat_state *state = source->state;
    if (source->statistics.state == SOURCE_LIVE)
        return;
    simulated_begin(source, now_us);
    state->timeline.make = make_event;
    state->next_newcomer = REGULARS;
    double total = 0;
    for (size_t i = 0; i < state->channel_count; i++)
        total += 1 / (double)(i + 1);
    for (size_t i = 0; i < state->channel_count; i++) {
        struct channel *channel = &state->channels[i];
        *channel = (struct channel){.rate = state->timeline.rate / (double)(i + 1) / total,
                                    .first_regular = (uint32_t)i * CHANNEL_OFFSET};
        struct bytes name = chat_channel_name(i, channel->name, sizeof channel->name);
        memmove(channel->name, name.at, name.length);
        channel->name_length = name.length;
        /* Begin anywhere in a quiet stretch, so that channels do not move in step. */
        channel->phase_end_s = (QUIET_MIN_S + QUIET_SPREAD_S) * random_unit(&state->timeline.random) * 0.5;
        next_arrival(state, channel);
    }
    next_channel(state);
}

/* ---- writing events ---- */

/* Short JSON and ids are built on the stack. */
struct text {
    char at[1536];
    size_t length;
};

static void add(struct text *text, struct bytes more)
{
    assert(text->length + more.length <= sizeof text->at); /* what we write is bounded by our own tables */
    memcpy(text->at + text->length, more.at, more.length);
    text->length += more.length;
}
#define ADD(text, literal) add((text), BYTES(literal))

static void add_number(struct text *text, uint64_t value)
{
    char digits[20];
    char *begin = simulated_digits(digits + sizeof digits, value);
    add(text, bytes_of(begin, (size_t)(digits + sizeof digits - begin)));
}

static void make_uuid(struct random *random, char *out)
{
    static const char hex[] = "0123456789abcdef";
    uint64_t high = (random_u64(random) & ~0xF000ull) | 0x4000u; /* version 4 */
    uint64_t low = (random_u64(random) & ~(3ull << 62)) | 1ull << 63;
    for (size_t i = 0; i < UUID_LENGTH; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            out[i] = '-';
            continue;
        }
        uint64_t *half = i < 18 ? &high : &low;
        out[i] = hex[*half >> 60];
        *half <<= 4;
    }
}

static bool is_moderator(const struct channel *channel, uint32_t person)
{
    return person == channel->first_regular + 2 || person == channel->first_regular + 5;
}

static void add_badges(struct text *json, const struct channel *channel, uint32_t number, const struct chat_person *person)
{
    ADD(json, "{\"badges\":{");
    if (is_moderator(channel, number))
        ADD(json, "\"moderator\":\"1\"");
    if (person->sub_months) {
        if (json->at[json->length - 1] != '{')
            ADD(json, ",");
        ADD(json, "\"subscriber\":\"");
        add_number(json, person->sub_months);
        ADD(json, "\"");
    }
    ADD(json, "}");
    if (*person->color) {
        ADD(json, ",\"color\":\"");
        add(json, bytes_of_string(person->color));
        ADD(json, "\"");
    }
}

static void add_emotes(struct text *json, const struct chat_text *message)
{
    for (size_t i = 0; i < message->emote_count; i++) {
        const struct chat_emote_use *use = &message->emotes[i];
        add(json, i == 0 ? BYTES(",\"emotes\":[") : BYTES(","));
        ADD(json, "{\"id\":\"");
        add(json, chat_emote_id(use->emote));
        ADD(json, "\",\"name\":\"");
        add(json, chat_emote_name(use->emote));
        ADD(json, "\",\"begin\":");
        add_number(json, use->begin);
        ADD(json, ",\"end\":");
        add_number(json, use->end);
        ADD(json, "}");
    }
    if (message->emote_count)
        ADD(json, "]");
}

/* One thing said or done, before it is an event. */
struct deed {
    enum event_kind kind;
    uint32_t person;
    bool first, reply;
    struct chat_text said;
    struct text extra;    /* further metadata: ,"name":value… */
    char id[UUID_LENGTH]; /* set where the record has an id of its own */
    bool has_id;
};

static void add_flags(struct text *json, const struct channel *channel, const struct deed *deed, unsigned sub_months)
{
    add(json, is_moderator(channel, deed->person) ? BYTES(",\"moderator\":true") : BYTES(",\"moderator\":false"));
    add(json, sub_months ? BYTES(",\"subscriber\":true") : BYTES(",\"subscriber\":false"));
    if (deed->first)
        ADD(json, ",\"first_message\":true");
    if (deed->reply) {
        ADD(json, ",\"reply_parent_id\":\"");
        add(json, bytes_of(channel->topic, UUID_LENGTH));
        ADD(json, "\"");
    }
}

/* True if somebody says it; false for what moderators do to somebody or, by room state, to the channel. */
static bool is_said(enum event_kind kind)
{
    return kind == EVENT_MESSAGE || kind == EVENT_SUBSCRIPTION || kind == EVENT_RAID || kind == EVENT_ANNOUNCEMENT;
}

static void write_metadata(const struct channel *channel, const struct deed *deed, const struct chat_person *person,
                           struct text *json)
{
    if (is_said(deed->kind)) {
        add_badges(json, channel, deed->person, person);
        add_emotes(json, &deed->said);
        add_flags(json, channel, deed, person->sub_months);
        add(json, bytes_of(deed->extra.at, deed->extra.length));
        ADD(json, "}");
    } else if (deed->extra.length) {
        ADD(json, "{");
        add(json, bytes_of(deed->extra.at + 1, deed->extra.length - 1)); /* without its comma */
        ADD(json, "}");
    }
}

/* Takes the next `length` bytes of a text that lies in the arena. */
static struct bytes take(const char **at, size_t length)
{
    struct bytes taken = bytes_of(*at, length);
    *at += length;
    return taken;
}

static bool write_event(const struct channel *channel, const struct deed *deed, struct event *event, struct arena *arena)
{
    struct text json, all;
    json.length = all.length = 0;
    struct chat_person person;
    chat_person_describe(deed->person, &person);
    write_metadata(channel, deed, &person, &json);
    size_t name_length = deed->kind == EVENT_ROOM_STATE ? 0 : person.name_length;
    ADD(&all, "twitch:");
    add(&all, bytes_of(deed->id, UUID_LENGTH));
    add(&all, bytes_of(channel->name, channel->name_length));
    add(&all, bytes_of(person.login, name_length));
    add(&all, bytes_of(person.display_name, name_length));
    add(&all, bytes_of(deed->said.at, deed->said.length));
    size_t before = all.length;
    if (name_length)
        add_number(&all, person.user_id);
    size_t user_id_length = all.length - before;
    add(&all, bytes_of(json.at, json.length));
    const char *at = arena_copy(arena, bytes_of(all.at, all.length)).at;
    if (!at)
        return false;
    event->source = EVENT_TWITCH;
    event->kind = deed->kind;
    event->id = take(&at, sizeof "twitch:" - 1 + UUID_LENGTH);
    struct event_chat chat = {.channel = take(&at, channel->name_length)};
    chat.username = take(&at, name_length);
    chat.display_name = take(&at, name_length);
    chat.message = take(&at, deed->said.length);
    chat.user_id = take(&at, user_id_length);
    event->chat = chat;
    event->metadata = take(&at, json.length);
    return deed->has_id || event_set_id(event, arena);
}

/* ---- who speaks ---- */

/* Zipf's law with exponent 1, by the inverse of its continuous form. */
static uint32_t draw_regular(const struct channel *channel, struct random *random)
{
    uint32_t rank = (uint32_t)exp(random_unit(random) * log(REGULARS)) - 1;
    return (channel->first_regular + rank) % REGULARS;
}

/* One of the incident's newcomers; with the given probability one who has not spoken yet.  False: the one drawn may not
 * speak, and a regular has the word. */
static bool draw_newcomer(struct channel *channel, double fresh, struct random *random, struct deed *deed)
{
    bool more = channel->crowd_count < channel->crowd_max;
    bool first = more && (channel->crowd_count == 0 || random_unit(random) < fresh);
    uint32_t index = first ? channel->crowd_count++ : (uint32_t)random_below(random, channel->crowd_count);
    if (channel->muted[index])
        return false;
    deed->first = first;
    deed->person = channel->crowd + index;
    return true;
}

static void say(struct deed *deed, enum chat_tone tone, uint32_t to, struct random *random)
{
    struct chat_person person;
    chat_person_describe(to, &person);
    chat_text_make(tone, bytes_of(person.login, person.name_length), random, &deed->said);
}

/* ---- moderation ---- */

static void plan(struct channel *channel, struct random *random, enum event_kind kind, uint32_t person, unsigned seconds,
                 const char *message_id)
{
    if (channel->pending_count == PENDING_MAX)
        return; /* moderators miss some */
    struct pending *pending = &channel->pending[channel->pending_count++];
    *pending = (struct pending){channel->next_s + 1 + 3 * random_unit(random), kind, person, seconds, {0}};
    if (message_id)
        memcpy(pending->message_id, message_id, UUID_LENGTH);
}

/* What moderators will do about a message of an abuser, spammer or flooder. */
static void plan_answer(struct channel *channel, const struct deed *deed, struct random *random)
{
    enum { STRIKES_TIMEOUT = 8, TIMEOUT_S = 600, BAN_EVERY = 3 };
    if (random_unit(random) < 0.3)
        plan(channel, random, EVENT_DELETE, deed->person, 0, deed->id);
    if (++channel->strikes % STRIKES_TIMEOUT != 0)
        return;
    bool ban = channel->strikes % (STRIKES_TIMEOUT * BAN_EVERY) == 0;
    plan(channel, random, ban ? EVENT_BAN : EVENT_TIMEOUT, deed->person, TIMEOUT_S, NULL);
}

static void mute(struct channel *channel, uint32_t person)
{
    if (person >= channel->crowd && person - channel->crowd < channel->crowd_count)
        channel->muted[person - channel->crowd] = true;
}

/* The pending action that is due, if any, becomes the deed. */
static bool take_pending(struct channel *channel, struct deed *deed)
{
    for (size_t i = 0; i < channel->pending_count; i++) {
        struct pending pending = channel->pending[i];
        if (pending.due_s > channel->next_s)
            continue;
        channel->pending[i] = channel->pending[--channel->pending_count];
        deed->kind = pending.kind;
        deed->person = pending.person;
        if (pending.kind == EVENT_TIMEOUT || pending.kind == EVENT_BAN)
            mute(channel, pending.person);
        if (pending.kind == EVENT_DELETE) {
            ADD(&deed->extra, ",\"target_message_id\":\"");
            add(&deed->extra, bytes_of(pending.message_id, UUID_LENGTH));
            ADD(&deed->extra, "\"");
        } else if (pending.kind == EVENT_TIMEOUT) {
            ADD(&deed->extra, ",\"duration_seconds\":");
            add_number(&deed->extra, pending.seconds);
        } else if (pending.kind == EVENT_ROOM_STATE) {
            ADD(&deed->extra, ",\"slow_seconds\":");
            add_number(&deed->extra, pending.seconds);
        }
        return true;
    }
    return false;
}

/* ---- what happens ---- */

static void subscribe(struct deed *deed, struct random *random)
{
    deed->kind = EVENT_SUBSCRIPTION;
    ADD(&deed->extra, ",\"tier\":\"1000\",\"months\":");
    add_number(&deed->extra, 1 + random_below(random, 36));
}

/* The event that begins an incident; false: it begins with an ordinary message. */
static bool open_incident(struct channel *channel, struct deed *deed, struct random *random)
{
    channel->opening = false;
    deed->person = draw_regular(channel, random);
    switch (channel->incident) {
    case INCIDENT_RAID:
        deed->kind = EVENT_RAID;
        ADD(&deed->extra, ",\"viewers\":");
        add_number(&deed->extra, channel->crowd_max + random_below(random, 200));
        return true;
    case INCIDENT_SPAM:
        plan(channel, random, EVENT_ROOM_STATE, 0, 30, NULL);
        return false;
    case INCIDENT_HYPE:
        subscribe(deed, random);
        return true;
    case INCIDENT_ANSWERS:
        say(deed, CHAT_TALK, channel->target, random);
        memcpy(channel->topic, deed->id, UUID_LENGTH);
        return true;
    default:
        return false;
    }
}

/* What the incident's newcomers say; false: the one whose turn it was may not speak any more. */
static bool newcomer_message(struct channel *channel, struct deed *deed, struct random *random)
{
    switch (channel->incident) {
    case INCIDENT_RAID:
        if (!draw_newcomer(channel, 0.6, random, deed))
            return false;
        say(deed, CHAT_GREETING, deed->person, random);
        return true;
    case INCIDENT_SPAM:
        if (!draw_newcomer(channel, 0.8, random, deed))
            return false;
        chat_text_vary(&channel->theme, random, &deed->said);
        break;
    case INCIDENT_ABUSE:
        if (random_unit(random) < 0.2 || !draw_newcomer(channel, 0.2, random, deed))
            return false;
        say(deed, CHAT_ABUSE, channel->target, random);
        break;
    default:
        assert(channel->incident == INCIDENT_FLOOD);
        if (!draw_newcomer(channel, 1, random, deed))
            return false;
        say(deed, CHAT_FLOOD, channel->target, random);
    }
    plan_answer(channel, deed, random);
    return true;
}

static void incident_message(struct channel *channel, struct deed *deed, struct random *random)
{
    if (channel->incident == INCIDENT_HYPE) {
        say(deed, CHAT_HYPE, channel->target, random);
    } else if (channel->incident == INCIDENT_ANSWERS) {
        deed->reply = true;
        say(deed, CHAT_ANSWER, channel->target, random);
    } else if (!newcomer_message(channel, deed, random)) {
        say(deed, channel->incident == INCIDENT_ABUSE ? CHAT_CALM : CHAT_TALK, channel->target, random);
    }
}

static void ordinary_message(struct channel *channel, struct deed *deed, struct random *random)
{
    double chance = random_unit(random);
    if (chance < 0.008) {
        subscribe(deed, random);
    } else if (chance < 0.010) {
        deed->kind = EVENT_ANNOUNCEMENT;
        deed->person = channel->first_regular + 2;
        say(deed, CHAT_NEWS, deed->person, random);
    } else {
        say(deed, CHAT_TALK, draw_regular(channel, random), random);
    }
}

static void fill_deed(struct channel *channel, struct deed *deed, struct random *random)
{
    const double incident_share = 0.85; /* the rest of the channel goes on talking */
    deed->has_id = false;
    if (take_pending(channel, deed))
        return;
    deed->has_id = true;
    deed->person = draw_regular(channel, random);
    if (channel->incident != INCIDENT_NONE && channel->opening && open_incident(channel, deed, random))
        return;
    if (channel->incident != INCIDENT_NONE && random_unit(random) < incident_share)
        incident_message(channel, deed, random);
    else
        ordinary_message(channel, deed, random);
}

static bool make_event(struct source *source, struct event *event, struct arena *arena)
{
    struct chat_state *state = source->state;
    struct random *random = &state->timeline.random;
    struct channel *channel = next_channel(state);
    struct deed deed;
    deed.kind = EVENT_MESSAGE;
    deed.first = deed.reply = false;
    deed.said.length = deed.said.emote_count = 0;
    deed.extra.length = 0;
    make_uuid(random, deed.id);
    fill_deed(channel, &deed, random);
    bool written = write_event(channel, &deed, event, arena);
    next_arrival(state, channel);
    next_channel(state);
    return written;
}

const struct source_class source_simulated_chat = {
    .kind = "simulated",
    .variant = "chat",
    .argument = "chat[/CHANNELS]",
    .summary = "a simulated chat with raids, spam and abuse; also a load generator",
    .state_size = sizeof(struct chat_state),
    .init = chat_init,
    .connect = chat_connect,
    .read = simulated_read,
    .close = simulated_close,
    .error = simulated_error,
    .release = chat_release,
};
