/* What must hold between several values, and the fields that follow from them. */
#include "app/command.h"
#include "app/options.h"
#include "app/source_setup.h"
#include "net/net.h"

#include <errno.h>
#include <stddef.h>
#include <unistd.h>

enum { PLACE_SIZE = 512, TOKEN_LENGTH_SAFE = 16 };

/* The place where the field at `offset` got its value. */
static const char *place_of(const struct config *config, size_t offset, unsigned line, char *space)
{
    size_t index = 0;
    while (index + 1 < option_count && options[index].offset != offset)
        index++;
    return config_place(config, index, line, space, PLACE_SIZE);
}
#define PLACE(field) place_of(config, offsetof(struct config, field), 0, place)

/* A text made of two, in the config's arena; NULL when out of memory. */
static const char *join(struct config *config, const char *a, const char *b)
{
    size_t size = strlen(a) + strlen(b) + 1;
    char *text = arena_text(&config->texts, size);
    if (text)
        snprintf(text, size, "%s%s", a, b);
    return text;
}

/* "127.0.0.1:8500" or "[::1]:8500";  `:8500` alone is refused, for it leaves open who may come. */
static void check_listen(struct config *config, struct config_problems *problems)
{
    char place[PLACE_SIZE];
    const char *colon = strrchr(config->listen, ':');
    struct bytes address = bytes_of(config->listen, colon ? (size_t)(colon - config->listen) : 0);
    if (address.length >= 2 && address.at[0] == '[' && address.at[address.length - 1] == ']')
        address = bytes_of(address.at + 1, address.length - 2);
    else if (bytes_find(address, ':') >= 0)
        address = BYTES_NONE; /* an IPv6 address needs its brackets */
    uint64_t port;
    if (!colon || address.length == 0 || address.length >= sizeof config->listen_address ||
        !bytes_to_u64(bytes_of_string(colon + 1), &port) || port > 65535) {
        config_error(problems, "%s: \"%.100s\" is not ADDRESS:PORT, such as 127.0.0.1:8500 or [::1]:8500", PLACE(listen),
                     config->listen);
        return;
    }
    memcpy(config->listen_address, address.at, address.length);
    config->listen_address[address.length] = 0;
    config->listen_port = (int)port;
}

/* An address that others can reach needs a token, or to be opened outright. */
static void check_exposure(const struct config *config, struct config_problems *problems)
{
    char place[PLACE_SIZE], url[128];
    bool bracket = strchr(config->listen_address, ':') != NULL;
    snprintf(url, sizeof url, "http://%s%s%s/", bracket ? "[" : "", config->listen_address, bracket ? "]" : "");
    if (config->auth == CONFIG_AUTH_NONE && !config->allowed_hosts)
        config_error(problems, "%s: none needs allowed_hosts, the host names that may be asked for", PLACE(auth));
    if (config->token && strpbrk(config->token, " \t\r\n"))
        config_error(problems, "%s: the token holds a space or a line break", PLACE(token));
    else if (config->token && strlen(config->token) < TOKEN_LENGTH_SAFE)
        config_warning(problems, "%s: the token is short; take %d characters or more, such as from `openssl rand -hex 16`",
                       PLACE(token), TOKEN_LENGTH_SAFE);
    if (config->listen_address[0] && !net_url_is_loopback(bytes_of_string(url)) && !config->token &&
        config->auth != CONFIG_AUTH_NONE)
        config_error(problems,
                     "%s: %s can be reached from other machines and needs a token: set DATAFLOW_TOKEN, or `auth: none` with "
                     "allowed_hosts",
                     PLACE(listen), config->listen);
}

static void check_storage(struct config *config, struct config_problems *problems)
{
    char place[PLACE_SIZE];
    struct bytes argument, kind = bytes_split(bytes_of_string(config->bus), ':', &argument);
    if (!config->bus)
        config->log_directory = join(config, config->data, "/log");
    else if (bytes_equal(kind, BYTES("embedded")) && argument.length > 0)
        config->log_directory = argument.at;
    else if (bytes_equal(kind, BYTES("kafka")))
        config_error(problems, "%s: this version has no Kafka; leave it out, or give embedded:DIR", PLACE(bus));
    else
        config_error(problems, "%s: \"%.100s\" is not embedded:DIR", PLACE(bus), config->bus);

    kind = bytes_split(bytes_of_string(config->store), ':', &argument);
    if (!config->store)
        config->store_file = join(config, config->data, "/store.db");
    else if (bytes_equal(kind, BYTES("sqlite")) && argument.length > 0)
        config->store_file = argument.at;
    else if (bytes_equal(kind, BYTES("mongodb")))
        config_error(problems, "%s: this version has no MongoDB; leave it out, or give sqlite:FILE", PLACE(store));
    else
        config_error(problems, "%s: \"%.100s\" is not sqlite:FILE", PLACE(store), config->store);
    if (config->query == CONFIG_QUERY_SPARK)
        config_error(problems, "%s: spark needs a Kafka bus, which this version has not", PLACE(query));
    if (problems->error_count == 0 && (!config->log_directory || !config->store_file))
        config_error(problems, "out of memory");
}

/* ws:// and http:// leave this machine only where that was allowed. */
static void check_addresses(const struct config *config, struct config_problems *problems)
{
    for (size_t i = 0; i < option_count; i++) {
        if (options[i].type != OPTION_URL)
            continue;
        const char *url = *(const char *const *)(const void *)((const char *)config + options[i].offset);
        if (!url || config->allow_plaintext || strncmp(url, "wss://", 6) == 0 || strncmp(url, "https://", 8) == 0 ||
            net_url_is_loopback(bytes_of_string(url)))
            continue;
        char place[PLACE_SIZE];
        config_error(problems,
                     "%s: %.200s is not encrypted and not on this machine; take wss:// or https://, or set "
                     "DATAFLOW_ALLOW_PLAINTEXT=true for a test network",
                     config_place(config, i, 0, place, sizeof place), url);
    }
    char place[PLACE_SIZE];
    if (config->tls_ca_file && access(config->tls_ca_file, R_OK))
        config_error(problems, "%s: %.200s cannot be read: %s", PLACE(tls_ca_file), config->tls_ca_file, strerror(errno));
}

struct bytes config_base_url(const struct config *config, struct bytes kind)
{
    const struct {
        const char *kind, *url;
    } bases[] = {
        {"binance", config->binance_ws_url},
        {"coinbase", config->coinbase_ws_url},
        {"twitch-irc", config->twitch_irc_url},
        {"twitch-eventsub", config->twitch_eventsub_url},
    };
    for (size_t i = 0; i < sizeof bases / sizeof bases[0]; i++)
        if (bases[i].url && bytes_equal(kind, bytes_of_string(bases[i].kind)))
            return bytes_of_string(bases[i].url);
    return BYTES_NONE;
}

/* Every source is made once, which tells all that is wrong with its kind and argument. */
static void check_sources(const struct config *config, struct config_problems *problems)
{
    const struct config_list *sources = &config->sources;
    for (size_t i = 0; i < sources->count; i++) {
        const char *text = sources->items[i];
        char space[PLACE_SIZE];
        const char *place = place_of(config, offsetof(struct config, sources), sources->lines[i], space);
        struct error error;
        struct source *source = source_setup_one(config, text, &error);
        if (!source)
            config_error(problems, "%s: %.100s: %.300s", place, text, error.text);
        else
            source_destroy(source);
        for (size_t j = 0; j < i; j++)
            if (strcmp(sources->items[j], text) == 0)
                config_error(problems, "%s: %.100s is given twice", place, text);
    }
}

void config_check(struct config *config, const struct config_request *request, struct config_problems *problems)
{
    for (size_t i = 0; i < option_count; i++) {
        const struct config_origin *origin = &config->origins[i];
        config->replay_to_bus |= options[i].offset == offsetof(struct config, bus) && origin->layer == CONFIG_FLAG;
        config->replay_to_store |= options[i].offset == offsetof(struct config, store) && origin->layer == CONFIG_FLAG;
    }
    check_listen(config, problems);
    check_exposure(config, problems);
    check_storage(config, problems);
    check_addresses(config, problems);
    if (option_by_flag(BYTES("source"), request->command) && request->command != COMMAND_NORMALIZE)
        check_sources(config, problems);
}
