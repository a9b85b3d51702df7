/* The demo recording, embedded in the program (demo/demo.jsonl). */
#ifndef APP_DEMO_H
#define APP_DEMO_H

#include "base/error.h"

/* A path under which it can be opened for reading, any number of times, while the program runs; NULL on error. */
const char *demo_path(struct error *error);

#endif
