/* The people of the simulated chat and what they say; see simulated_chat.c for when they say it.
 * All words are the project's own.  Abuse is of the ordinary kind, for detectors to find; there are no slurs in it. */
#ifndef SOURCE_SIMULATED_CHAT_H
#define SOURCE_SIMULATED_CHAT_H

#include "base/bytes.h"
#include "base/random.h"

enum { CHAT_TEXT_MAX = 400, CHAT_EMOTE_MAX = 12, CHAT_NAME_MAX = 40 };

/* Kinds of text, each with its templates. */
enum chat_tone {
    CHAT_TALK,     /* what is said on a quiet evening */
    CHAT_HYPE,     /* something great has happened */
    CHAT_ANSWER,   /* many answer one question */
    CHAT_GREETING, /* raiders arrive */
    CHAT_ABUSE,
    CHAT_CALM, /* others ask abusers to stop */
    CHAT_SPAM, /* advertisements; a wave is one of them, varied */
    CHAT_FLOOD,
    CHAT_NEWS, /* announcements of moderators */
    CHAT_TONE_COUNT
};

struct chat_emote_use {
    unsigned emote;
    unsigned begin, end; /* code points, end included, as Twitch counts them */
};

struct chat_text {
    char at[CHAT_TEXT_MAX];
    size_t length;
    unsigned code_points;
    struct chat_emote_use emotes[CHAT_EMOTE_MAX];
    size_t emote_count;
};

/* Fills *text from a random template; `mention` stands where a template names somebody. */
void chat_text_make(enum chat_tone tone, struct bytes mention, struct random *random, struct chat_text *text);

/* Copies an advertisement with small changes, as senders of spam make them to look different. */
void chat_text_vary(const struct chat_text *original, struct random *random, struct chat_text *text);

struct bytes chat_emote_name(unsigned emote);
struct bytes chat_emote_id(unsigned emote);

struct bytes chat_channel_name(size_t index, char *space, size_t size);

/* A person is a number; all else follows from it, so that nobody needs to be remembered. */
struct chat_person {
    char login[CHAT_NAME_MAX], display_name[CHAT_NAME_MAX];
    size_t name_length; /* of both */
    uint32_t user_id;
    const char *color;   /* "" if none was chosen */
    unsigned sub_months; /* 0: no subscriber */
};
void chat_person_describe(uint32_t number, struct chat_person *person);

#endif
