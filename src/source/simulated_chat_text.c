/* Words, templates and people of the simulated chat.  In a template, % and a letter stand for something drawn:
 * %e an emote, %n a thing of the game, %g a praising word, %p a place in the game, %d a number, %u the one spoken to. */
#include "source/simulated_chat.h"

#include "source/simulated.h"

#include <assert.h>

struct word_list {
    const struct bytes *words;
    size_t count;
};
#define LIST(array)                                                                                                              \
    {                                                                                                                            \
        array, sizeof(array) / sizeof *(array)                                                                                   \
    }

static const struct bytes things[] = {
    BYTES("boss"),       BYTES("speedrun"),   BYTES("build"), BYTES("deck"),    BYTES("soundtrack"), BYTES("controller"),
    BYTES("patch"),      BYTES("quest"),      BYTES("jump"),  BYTES("grapple"), BYTES("inventory"),  BYTES("final fight"),
    BYTES("side quest"), BYTES("skill tree"), BYTES("lap"),   BYTES("opening"), BYTES("endgame"),    BYTES("dodge roll"),
};
static const struct bytes praises[] = {
    BYTES("clean"),  BYTES("huge"),    BYTES("smooth"), BYTES("lovely"),
    BYTES("insane"), BYTES("perfect"), BYTES("cozy"),   BYTES("unreal"),
};
static const struct bytes places[] = {
    BYTES("the harbor"),  BYTES("floor nine"),  BYTES("the old mill"), BYTES("the ice cave"),
    BYTES("sector four"), BYTES("the rooftop"), BYTES("the lobby"),
};

struct emote {
    struct bytes name, id;
};
static const struct emote emotes[] = {
    {BYTES("Kappa"), BYTES("25")},      {BYTES("LUL"), BYTES("425618")},      {BYTES("PogChamp"), BYTES("305954156")},
    {BYTES("HeyGuys"), BYTES("30259")}, {BYTES("SeemsGood"), BYTES("64138")}, {BYTES("NotLikeThis"), BYTES("58765")},
    {BYTES("BibleThump"), BYTES("86")}, {BYTES("Kreygasm"), BYTES("41")},     {BYTES("ResidentSleeper"), BYTES("245")},
    {BYTES("VoHiYo"), BYTES("81274")},
};
enum { EMOTE_COUNT = sizeof emotes / sizeof *emotes };

static const struct bytes talk[] = {
    BYTES("that %n was %g"),
    BYTES("%g %n today"),
    BYTES("what settings do you use for the %n?"),
    BYTES("good evening everyone %e"),
    BYTES("just got home from work, what did I miss?"),
    BYTES("I always get lost around %p"),
    BYTES("have you tried the other %n yet"),
    BYTES("%e"),
    BYTES("%e %e"),
    BYTES("lol"),
    BYTES("haha same"),
    BYTES("the music at %p is so %g"),
    BYTES("my record for this %n is %d minutes"),
    BYTES("@%u that worked, thank you"),
    BYTES("@%u yes, about %d hours in"),
    BYTES("@%u no idea, I am new here"),
    BYTES("is this the %n everyone talks about"),
    BYTES("I played this with my brother years ago"),
    BYTES("watching from work, nobody tell my boss %e"),
    BYTES("how long until %p?"),
    BYTES("wait, go back, there was a chest at %p"),
    BYTES("love the new overlay"),
    BYTES("gg"),
    BYTES("that was close %e"),
    BYTES("I need coffee ☕"),
    BYTES("très joli, ce passage"),
    BYTES("first time here, the stream looks %g"),
    BYTES("%d viewers, nice crowd tonight"),
    BYTES("the trick is to wait for the %n and then jump"),
    BYTES("can we get a poll for the next %n?"),
    BYTES("hydrate everyone 💧"),
    BYTES("I think the left path at %p is faster"),
    BYTES("remember when the %n took three hours %e"),
    BYTES("brb dinner"),
    BYTES("thanks for the stream, good night all %e"),
    BYTES("chat is so calm today"),
};
static const struct bytes hype[] = {
    BYTES("%e %e %e"),       BYTES("LETS GOOOO %e"),
    BYTES("WHAT A %n"),      BYTES("NO WAY %e"),
    BYTES("HE DID IT %e"),   BYTES("clip that!!"),
    BYTES("GG %e %e"),       BYTES("that was %g %e"),
    BYTES("I am screaming"), BYTES("%e %e %e %e %e"),
    BYTES("WOOOOO"),         BYTES("🎉🎉🎉"),
    BYTES("best %n ever"),   BYTES("I was here for this %e"),
};
static const struct bytes answers[] = {
    BYTES("left"),           BYTES("right"),           BYTES("left!"),        BYTES("definitely %p"),
    BYTES("go with the %n"), BYTES("the second one"),  BYTES("option %d"),    BYTES("I would take the %n"),
    BYTES("neither %e"),     BYTES("ask again later"), BYTES("%p, trust me"),
};
static const struct bytes greetings[] = {
    BYTES("raid! %e"),
    BYTES("hello from the raid %e %e"),
    BYTES("we are here! %e"),
    BYTES("%e raid squad %e"),
    BYTES("hi everyone, nice channel"),
    BYTES("what are we watching?"),
    BYTES("raid raid raid"),
    BYTES("%e %e %e"),
};
static const struct bytes abuse[] = {
    BYTES("@%u you are a total clown, just quit"),
    BYTES("@%u shut up you idiot, nobody asked you"),
    BYTES("worst player I have ever seen, pathetic loser"),
    BYTES("you are so stupid it hurts to watch"),
    BYTES("@%u what a moron, go back to the tutorial"),
    BYTES("this streamer is trash and so is this chat"),
    BYTES("uninstall the game you useless idiot"),
    BYTES("@%u nobody likes you, get lost"),
    BYTES("dumbest %n ever, you all suck"),
    BYTES("shut up shut up shut up you pathetic clown"),
    BYTES("@%u you are garbage at this, stupid loser"),
    BYTES("what a disgusting, brainless play, you fool"),
};
static const struct bytes calm[] = {
    BYTES("please be nice"),
    BYTES("mods?"),
    BYTES("@%u ignore them"),
    BYTES("why so rude"),
    BYTES("no need for that, play on"),
    BYTES("can someone time them out"),
    BYTES("@%u you are doing fine %e"),
};
static const struct bytes spam[] = {
    BYTES("get cheap followers and viewers at boost-my-views.example today"),
    BYTES("free skins for everyone, just visit skins-for-free.example/%d"),
    BYTES("I made %d dollars this week from home, ask me how at easy-money.example"),
    BYTES("best casino bonus of the year: lucky-spin.example code WIN%d"),
    BYTES("wanna become famous? buy primes and viewers on famous-now.example"),
    BYTES("double your coins now! send to wallet at moon-coins.example, limited offer %d"),
};
static const struct bytes flood[] = {
    BYTES("hello"),           BYTES("look at me"), BYTES("read my message"), BYTES("aaaaaaaaaaaaaaaaaaaa"), BYTES("answer me"),
    BYTES("hello?? hello??"), BYTES("%d"),
};
static const struct bytes news[] = {
    BYTES("Reminder: be kind and keep spoilers out of chat."),
    BYTES("The tournament starts in %d minutes at %p!"),
    BYTES("New videos every Sunday, thank you for watching."),
};

static const struct word_list tones[CHAT_TONE_COUNT] = {
    [CHAT_TALK] = LIST(talk),          [CHAT_HYPE] = LIST(hype),   [CHAT_ANSWER] = LIST(answers),
    [CHAT_GREETING] = LIST(greetings), [CHAT_ABUSE] = LIST(abuse), [CHAT_CALM] = LIST(calm),
    [CHAT_SPAM] = LIST(spam),          [CHAT_FLOOD] = LIST(flood), [CHAT_NEWS] = LIST(news),
};
static const struct word_list thing_list = LIST(things), praise_list = LIST(praises), place_list = LIST(places);

/* ---- texts ---- */

static struct bytes draw_word(const struct word_list *list, struct random *random)
{
    return list->words[random_below(random, list->count)];
}

static void add(struct chat_text *text, struct bytes more)
{
    assert(text->length + more.length <= CHAT_TEXT_MAX); /* templates are short: test_simulated_chat tries them all */
    memcpy(text->at + text->length, more.at, more.length);
    text->length += more.length;
    for (size_t i = 0; i < more.length; i++)
        text->code_points += (more.at[i] & 0xC0) != 0x80;
}

static void add_emote(struct chat_text *text, struct random *random)
{
    unsigned emote = (unsigned)random_below(random, EMOTE_COUNT);
    unsigned begin = text->code_points;
    add(text, emotes[emote].name);
    if (text->emote_count < CHAT_EMOTE_MAX)
        text->emotes[text->emote_count++] = (struct chat_emote_use){emote, begin, text->code_points - 1};
}

static void add_number(struct chat_text *text, struct random *random)
{
    char digits[20];
    char *begin = simulated_digits(digits + sizeof digits, random_below(random, 98) + 2);
    add(text, bytes_of(begin, (size_t)(digits + sizeof digits - begin)));
}

static void add_slot(struct chat_text *text, char slot, struct bytes mention, struct random *random)
{
    switch (slot) {
    case 'e':
        add_emote(text, random);
        break;
    case 'n':
        add(text, draw_word(&thing_list, random));
        break;
    case 'g':
        add(text, draw_word(&praise_list, random));
        break;
    case 'p':
        add(text, draw_word(&place_list, random));
        break;
    case 'd':
        add_number(text, random);
        break;
    default:
        assert(slot == 'u');
        add(text, mention);
    }
}

void chat_text_make(enum chat_tone tone, struct bytes mention, struct random *random, struct chat_text *text)
{
    assert(tone < CHAT_TONE_COUNT && mention.length <= CHAT_NAME_MAX);
    struct bytes rest = draw_word(&tones[tone], random);
    text->length = 0;
    text->code_points = 0;
    text->emote_count = 0;
    while (rest.length > 0) {
        ptrdiff_t slot = bytes_find(rest, '%');
        if (slot < 0) {
            add(text, rest);
            return;
        }
        add(text, bytes_of(rest.at, (size_t)slot));
        add_slot(text, rest.at[slot + 1], mention, random);
        rest = bytes_skip(rest, (size_t)slot + 2);
    }
}

void chat_text_vary(const struct chat_text *original, struct random *random, struct chat_text *text)
{
    *text = *original;
    size_t place = (size_t)random_below(random, text->length);
    char letter = text->at[place];
    if (letter >= 'a' && letter <= 'z')
        text->at[place] = (char)(letter - 'a' + 'A');
    switch (random_below(random, 4)) {
    case 0:
        add(text, BYTES(" "));
        add_number(text, random);
        break;
    case 1:
        add(text, BYTES("!!"));
        break;
    case 2:
        add(text, BYTES(" "));
        add_emote(text, random);
        break;
    default:
        break;
    }
}

struct bytes chat_emote_name(unsigned emote)
{
    assert(emote < EMOTE_COUNT);
    return emotes[emote].name;
}

struct bytes chat_emote_id(unsigned emote)
{
    assert(emote < EMOTE_COUNT);
    return emotes[emote].id;
}

/* ---- people and places ---- */

struct bytes chat_channel_name(size_t index, char *space, size_t size)
{
    static const struct bytes names[] = {BYTES("pixelharbor"), BYTES("slowmorning"), BYTES("rankednights")};
    if (index < sizeof names / sizeof *names)
        return names[index];
    int length = snprintf(space, size, "channel%zu", index + 1);
    return bytes_of(space, (size_t)length);
}

static char *put(char *out, const char *text)
{
    while (*text)
        *out++ = *text++;
    return out;
}

static char upper(char letter)
{
    return letter >= 'a' && letter <= 'z' ? (char)(letter - 'a' + 'A') : letter;
}

void chat_person_describe(uint32_t number, struct chat_person *person)
{
    static const char *const first[] = {"quiet", "lucky", "mellow", "brave", "sleepy", "north", "velvet", "rapid",
                                        "sunny", "odd",   "amber",  "tiny",  "wild",   "paper", "cobalt", "late"};
    static const char *const second[] = {"otter", "fox",   "kite",   "wolf",  "pilot", "baker",  "comet", "raven",
                                         "tiger", "maple", "wizard", "panda", "rider", "gopher", "moth",  "badger"};
    static const char *const colors[] = {"#FF4500", "#1E90FF", "#2E8B57", "#DAA520", "#9ACD32", "#FF69B4", "#8A2BE2", ""};
    uint64_t mixed = (number + 1) * 0x9E3779B97F4A7C15u;
    mixed ^= mixed >> 29;
    const char *nouns[] = {first[mixed & 15], second[mixed >> 4 & 15]};
    char *out = put(put(person->login, nouns[0]), nouns[1]);
    char digits[20];
    char *number_at = simulated_digits(digits + sizeof digits, number);
    size_t number_length = (size_t)(digits + sizeof digits - number_at);
    memcpy(out, number_at, number_length);
    out += number_length;
    person->name_length = (size_t)(out - person->login);
    memcpy(person->display_name, person->login, person->name_length);
    person->display_name[0] = upper(person->display_name[0]);
    size_t middle = strlen(nouns[0]);
    person->display_name[middle] = upper(person->display_name[middle]);
    person->user_id = 40000000u + number * 7u;
    person->color = colors[mixed >> 8 & 7];
    person->sub_months = (mixed >> 12 & 3) == 0 ? 1 + (unsigned)(mixed >> 16 & 31) : 0;
}
