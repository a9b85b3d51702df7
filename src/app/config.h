/* The configuration: typed fields, filled from the layers flags > environment > .env.development > dataflow.yaml >
 * defaults by the option table (options.c).  Read-only once loaded.  Texts live as long as the config. */
#ifndef APP_CONFIG_H
#define APP_CONFIG_H

#include "base/arena.h"
#include "base/error.h"
#include "base/logging.h"
#include "bus/bus.h"

enum { CONFIG_LIST_MAX = 64, CONFIG_OPTION_MAX = 80, CONFIG_PROBLEM_MAX = 32 };

struct config_list {
    const char *items[CONFIG_LIST_MAX];
    unsigned lines[CONFIG_LIST_MAX]; /* of a file; 0: none */
    size_t count;
};

enum config_layer { CONFIG_DEFAULT, CONFIG_FILE, CONFIG_DOTENV, CONFIG_ENVIRONMENT, CONFIG_FLAG };

/* Where an option's value comes from. */
struct config_origin {
    enum config_layer layer;
    unsigned line;           /* in a file, from 1 */
    bool from_file_variable; /* NAME_FILE: the content of a file */
};

enum config_auth { CONFIG_AUTH_TOKEN, CONFIG_AUTH_NONE };
enum config_query { CONFIG_QUERY_EMBEDDED, CONFIG_QUERY_SPARK };
enum config_format { CONFIG_FORMAT_JSONL, CONFIG_FORMAT_CSV };

/* A text field that was not set is NULL where no default is named. */
struct config {
    /* sources */
    struct config_list sources; /* "binance:BTC-USDT,ETH-USDT"; empty: the demo */
    bool demo;
    uint64_t seed; /* simulators, jitter */
    double rate;   /* simulators: events a second; 0: their default */
    double speed;  /* of recordings: 1 as recorded; 0: as fast as possible (max) */
    bool exit_at_end;

    /* storage */
    const char *data;          /* ./data */
    const char *bus;           /* embedded:DIR */
    const char *store;         /* sqlite:FILE */
    const char *log_directory; /* from bus, or DATA/log */
    const char *store_file;    /* from store, or DATA/store.db */
    enum config_query query;
    enum bus_sync sync;
    bool compress;
    uint64_t segment_bytes;
    int64_t retention_age_us; /* 0: no limit */
    uint64_t retention_bytes; /* 0: no limit */

    bool erase_moderated;

    /* serving */
    const char *listen; /* ADDR:PORT */
    char listen_address[64];
    int listen_port;
    const char *token; /* secret; NULL: none */
    enum config_auth auth;
    const char *allowed_hosts;

    /* vendors */
    const char *binance_ws_url, *binance_rest_url;
    const char *coinbase_ws_url, *coinbase_rest_url;
    const char *twitch_irc_url, *twitch_eventsub_url, *twitch_helix_url;
    const char *twitch_oauth_token; /* secret */
    const char *twitch_nickname, *twitch_channel, *twitch_client_id;
    const char *tls_ca_file;
    bool allow_plaintext;

    /* input and output of commands */
    const char *normalize_source; /* normalize --source KIND */
    const char *rejects;          /* file for refused records, or NULL */
    bool strict;
    const char *topic, *key;
    const char *from, *to; /* beginning, end, -N or a time; NULL: the command's default */
    bool follow;
    enum config_format format;
    const char *output; /* file, or NULL: standard output */
    bool replay_to_bus, replay_to_store;
    const char *input; /* bench: file to read */
    uint64_t events;   /* bench: how many; 0: the bench's own number */
    bool quick;        /* doctor: without reading the whole log */

    /* logs */
    enum log_level log_level;
    enum log_format log_format;
    bool json;
    bool help;

    const char *config_file;                         /* the dataflow.yaml that was read, or NULL */
    const char *dotenv_file;                         /* the .env.development that was read, or NULL */
    struct config_origin origins[CONFIG_OPTION_MAX]; /* by index in the option table */
    struct arena texts;
};

/* What is wrong with a configuration, each in one sentence with its place. */
struct config_problems {
    struct error errors[CONFIG_PROBLEM_MAX];
    size_t error_count; /* of the first CONFIG_PROBLEM_MAX: further ones are dropped */
    struct error warnings[CONFIG_PROBLEM_MAX];
    size_t warning_count;
};

struct config_request {
    unsigned command;         /* enum command_id: which flags there are */
    bool configured;          /* reads the two files */
    int argc;                 /* arguments after the command's name */
    char **argv;              /* reordered: positional arguments to the front */
    char *const *environment; /* NAME=value, ends with NULL */
    const char *config_path;  /* "dataflow.yaml": read if it is there; --config and DATAFLOW_CONFIG name another */
    const char *dotenv_path;  /* ".env.development": read if it is there */
};

/* Applies all layers and checks what depends on several values.  Returns the number of positional arguments, or -1 when
 * there are errors.  With --help it stops at the flags and sets config->help.  Release it in any case. */
int config_load(struct config *config, const struct config_request *request, struct config_problems *problems);
void config_release(struct config *config);

/* Adds an error, or a warning. */
void config_error(struct config_problems *problems, const char *format, ...) __attribute__((format(printf, 2, 3)));
void config_warning(struct config_problems *problems, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Checks across values, and fills the derived fields: listen_address, log_directory, …  (config_check.c) */
void config_check(struct config *config, const struct config_request *request, struct config_problems *problems);

/* "--listen", "DATAFLOW_LISTEN", ".env.development:3: DATAFLOW_LISTEN", "dataflow.yaml:7: listen": where the option with
 * this index got its value.  line: of an item of a list; 0: the option's. */
const char *config_place(const struct config *config, size_t option, unsigned line, char *space, size_t size);

/* The address that replaces the vendor's for a source kind ("binance"), or BYTES_NONE. */
struct bytes config_base_url(const struct config *config, struct bytes kind);

#endif
