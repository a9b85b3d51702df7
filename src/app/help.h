/* --help, made from the tables of commands and options. */
#ifndef APP_HELP_H
#define APP_HELP_H

#include "app/command.h"
#include "app/options.h"

void help_program(FILE *out);
void help_command(const struct command *command, FILE *out);

/* "--listen ADDR:PORT", "--sync always|interval|off", "--demo": a flag with its placeholder. */
void help_flag(const struct option *option, struct buffer *out);

#endif
