/* Tries of network addresses, for check, doctor and health. */
#ifndef APP_NET_PROBE_H
#define APP_NET_PROBE_H

#include "app/config.h"

enum probe_listen { PROBE_FREE, PROBE_INSTANCE, PROBE_TAKEN, PROBE_IMPOSSIBLE };

/* Whether the listen address is free, served by a running instance, taken by something else, or not of this machine.  *error
 * says what was met. */
enum probe_listen probe_listen(const struct config *config, struct error *error);

/* The URL of a path of the instance at ADDR ("127.0.0.1:8500", "http://host:8500"; NULL: the configured one, a wildcard address
 * asked on loopback). */
int probe_url(const struct config *config, const char *address, const char *path, char *url, size_t size, struct error *error);

/* Opens a WebSocket and closes it again: 0, or -1 and why not. */
int probe_socket(const struct config *config, struct bytes url, struct error *error);

/* Asks for a URL, with headers that may hold a secret: the status of the answer, or 0 and why there is none. */
int probe_request(const struct config *config, struct bytes url, struct bytes headers, struct error *error);

#endif
