/* Flags of a command line: --name value, --name=value, --flag; `--` ends them, `-` is a positional argument. */
#ifndef APP_FLAGS_H
#define APP_FLAGS_H

#include "app/options.h"

struct flag_value {
    const struct option *option;
    struct bytes value; /* "true" for a flag without one */
};

/* Fills `values` (room for argc) and moves positional arguments to the front of argv, in order.  Returns how many
 * of them there are; *value_count is that of the flags.  Errors go to `problems`. */
int flags_parse(int argc, char **argv, unsigned command, struct flag_value *values, size_t *value_count,
                struct config_problems *problems);

#endif
