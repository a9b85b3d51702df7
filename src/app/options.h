/* The option table: one row makes the flag, the environment variable, the key of dataflow.yaml, --help, `check`,
 * shell completion and docs/configuration.md. */
#ifndef APP_OPTIONS_H
#define APP_OPTIONS_H

#include "app/config.h"
#include "base/buffer.h"

enum option_type {
    OPTION_FLAG,     /* bool */
    OPTION_TEXT,     /* const char * */
    OPTION_PATH,     /* const char *, completed as a file */
    OPTION_URL,      /* const char *; ws, wss, http, https */
    OPTION_LIST,     /* struct config_list */
    OPTION_CHOICE,   /* an enum: the index into `choices` */
    OPTION_COUNT,    /* uint64_t in min … max */
    OPTION_NUMBER,   /* double in min … max; with `max_word`, that word for 0 */
    OPTION_DURATION, /* int64_t microseconds: 500ms, 10s, 5m, 2h, 7d */
    OPTION_SIZE,     /* uint64_t bytes: 4096, 64MiB, 10GB */
};

struct option {
    const char *section; /* heading in the documentation */
    const char *flag;    /* without dashes; NULL: none (secrets: flags are seen by every user of the machine) */
    const char *env;
    const char *key; /* in dataflow.yaml, dots between levels */
    enum option_type type;
    size_t offset;              /* of the field in struct config */
    const char *standard;       /* the default, as text; NULL: not set */
    const char *argument;       /* placeholder in --help */
    const char *const *choices; /* NULL-terminated */
    double min, max;
    const char *max_word; /* OPTION_NUMBER: a word that stands for 0 */
    bool secret;
    uint32_t commands; /* bits 1 << enum command_id: whose flag it is */
    const char *help;
};

extern const struct option options[];
extern const size_t option_count;

/* The name people know it by: flag, else key, else variable. */
const char *option_name(const struct option *option);

/* The row of a flag that a command takes, of a variable, of a key; NULL if there is none. */
const struct option *option_by_flag(struct bytes flag, unsigned command);
const struct option *option_by_env(struct bytes env);
const struct option *option_by_key(struct bytes key);

/* ---- values (option_value.c) ---- */

/* Parses `text` into the option's field.  Lists: adds, and splits at spaces, semicolons, and at commas before
 * `kind:`, unless `whole`.  -1 and a sentence without its place ("\"fast\" is not a number"). */
int option_set(const struct option *option, struct config *config, struct bytes text, bool whole, struct error *error);

/* The field as text for people: secrets are "set" or "not set". */
void option_show(const struct option *option, const struct config *config, struct buffer *out);

bool duration_parse(struct bytes text, int64_t *duration_us);
bool size_parse(struct bytes text, uint64_t *size_bytes);

/* ---- did-you-mean (suggest.c) ---- */

/* The best candidate so far for a misspelt word. */
struct suggestion {
    struct bytes word;
    const char *best;
    unsigned distance;
};
void suggestion_init(struct suggestion *suggestion, struct bytes word);
void suggestion_offer(struct suggestion *suggestion, const char *candidate);
/* "; did you mean --listen?" (with `prefix` "--"), or "" when nothing is near enough. */
const char *suggestion_text(const struct suggestion *suggestion, const char *prefix, char *space, size_t size);

#endif
