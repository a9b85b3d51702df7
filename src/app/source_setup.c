#include "app/source_setup.h"

#include "app/demo.h"
#include "pipeline/file_feed.h"
#include <stdlib.h>

#define DEMO_RECORDING "recording:demo"
#define DEMO_MARKET "simulated:market"
#define TWITCH_IRC "twitch-irc"
#define TWITCH_EVENTSUB "twitch-eventsub"

static struct bytes text_of(const char *text)
{
    return bytes_of_string(text ? text : "");
}

static struct source_options options_of(const struct config *config, const char *spec)
{
    struct source_options options = {.seed = config->seed, .rate = config->rate};
    source_spec_split(bytes_of_string(spec), &options.kind, &options.argument);
    options.base_url = config_base_url(config, options.kind);
    bool eventsub = bytes_equal(options.kind, BYTES(TWITCH_EVENTSUB));
    if (eventsub || bytes_equal(options.kind, BYTES(TWITCH_IRC))) {
        options.login = text_of(config->twitch_nickname);
        options.token = text_of(config->twitch_oauth_token);
        if (options.argument.length == 0 && config->twitch_channel)
            options.argument = bytes_of_string(config->twitch_channel);
    }
    if (eventsub) {
        options.client_id = text_of(config->twitch_client_id);
        options.rest_url = text_of(config->twitch_helix_url);
    }
    return options;
}

struct source *source_setup_one(const struct config *config, const char *spec, struct error *error)
{
    struct source_options options = options_of(config, spec);
    if (bytes_equal(options.kind, BYTES(TWITCH_EVENTSUB)) && options.token.length == 0) {
        error_set(error, "EventSub is read with a user's token only: set TWITCH_OAUTH_TOKEN to one with the right user:read:chat "
                         "(twitch-irc reads without)");
        return NULL;
    }
    return source_create(&options, error);
}

static int setup_add(struct source_setup *setup, struct source *source, bool loop, struct error *error)
{
    if (!source)
        return -1;
    if (setup->count == SOURCE_SETUP_MAX) {
        source_destroy(source);
        return error_set(error, "more than %d sources", SOURCE_SETUP_MAX);
    }
    setup->sources[setup->count++] = (struct pipeline_source){.source = source, .loop = loop};
    return 0;
}

static int setup_add_demo(const struct config *config, struct source_setup *setup, struct error *error)
{
    struct source_options options = options_of(config, DEMO_RECORDING);
    struct file_feed_times times;
    if (file_feed_times(setup->demo_path, &times, error) < 0)
        return -1;
    options.round_length_us = times.length_us;
    options.recording_start_us = times.first_us;
    return setup_add(setup, source_create(&options, error), true, error);
}

static int setup_fill(const struct config *config, struct source_setup *setup, struct error *error)
{
    setup->demo_path = demo_path(error);
    if (!setup->demo_path)
        return -1;
    bool chat = config->sources.count == 0 && config->twitch_channel; /* a channel alone says enough */
    if (chat && setup_add(setup, source_setup_one(config, TWITCH_IRC, error), false, error) < 0)
        return -1;
    if (config->demo || (config->sources.count == 0 && !chat))
        if (setup_add_demo(config, setup, error) < 0 ||
            setup_add(setup, source_setup_one(config, DEMO_MARKET, error), false, error) < 0)
            return -1;
    for (size_t i = 0; i < config->sources.count; i++)
        if (setup_add(setup, source_setup_one(config, config->sources.items[i], error), false, error) < 0)
            return -1;
    return 0;
}

int source_setup(const struct config *config, struct source_setup *setup, struct error *error)
{
    *setup = (struct source_setup){0};
    if (setup_fill(config, setup, error) == 0)
        return 0;
    for (size_t i = 0; i < setup->count; i++)
        source_destroy(setup->sources[i].source);
    setup->count = 0;
    return -1;
}

int source_setup_failure(struct pipeline *pipeline, struct error *error)
{
    struct pipeline_source_status *statuses = calloc(SOURCE_SETUP_MAX, sizeof *statuses);
    if (!statuses)
        return error_set(error, "out of memory");
    int result = 0;
    size_t count = pipeline_sources(pipeline, statuses, SOURCE_SETUP_MAX);
    for (size_t i = 0; i < count && result == 0; i++)
        if (statuses[i].statistics.state == SOURCE_FAILED)
            result = error_set(error, "%s: %s", statuses[i].name, statuses[i].last_error);
    free(statuses);
    return result;
}
