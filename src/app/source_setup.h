/* Sources as the configuration names them. */
#ifndef APP_SOURCE_SETUP_H
#define APP_SOURCE_SETUP_H

#include "app/config.h"
#include "pipeline/pipeline.h"

enum { SOURCE_SETUP_MAX = CONFIG_LIST_MAX + 2 };

struct source_setup {
    struct pipeline_source sources[SOURCE_SETUP_MAX];
    size_t count;
    const char *demo_path; /* NULL without the demo */
};

/* Makes them all; without any configured, and with `demo`, the demo recording (looping) and the simulated market.
 * After an error there are none. */
int source_setup(const struct config *config, struct source_setup *setup, struct error *error);

/* One source by its specification, "binance:BTC-USDT". */
struct source *source_setup_one(const struct config *config, const char *spec, struct error *error);

/* 0, or -1 and what made the first source fail that did. */
int source_setup_failure(struct pipeline *pipeline, struct error *error);

#endif
