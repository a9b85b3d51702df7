/* Files of variables (.env.development): lines `NAME=value` or `export NAME=value`; empty lines; comments from `#`,
 * at the start of a line or after a blank.  Values: bare (trimmed), 'single quoted' (as it stands) or "double quoted"
 * (\n \r \t \\ \" \$ escaped).  A quote closes on its line; variables in values are not expanded. */
#ifndef APP_DOTENV_H
#define APP_DOTENV_H

#include "base/arena.h"

struct dotenv_reader {
    /* name and value are valid until the arena is released */
    void (*entry)(void *context, unsigned line, struct bytes name, struct bytes value);
    void (*problem)(void *context, unsigned line, const char *text);
    void *context;
};

/* Calls `entry` for each variable in order, `problem` for each line that is none, and goes on after it. */
void dotenv_parse(struct bytes text, struct arena *arena, const struct dotenv_reader *reader);

#endif
