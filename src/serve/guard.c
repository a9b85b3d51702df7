/* Who may ask.
 *
 * A page of somebody else's, open in a browser on this machine, can make that browser talk to a server on loopback.  Two
 * headers that it cannot forge tell: Host names the site that the browser believes to talk to (another name that was made
 * to resolve to 127.0.0.1 shows here), Origin the page that asks. */
#include "serve/serve_internal.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>

/* HOST, HOST:PORT, [IPV6]:PORT -> HOST; nothing if it is none of these. */
static struct bytes host_of(struct bytes authority)
{
    struct bytes rest = BYTES_NONE;
    if (authority.length > 0 && authority.at[0] == '[') {
        ptrdiff_t end = bytes_find(authority, ']');
        if (end < 0)
            return BYTES_NONE;
        rest = bytes_skip(authority, (size_t)end + 1);
        authority = bytes_of(authority.at + 1, (size_t)end - 1);
        if (rest.length > 0 && rest.at[0] != ':')
            return BYTES_NONE;
        rest = rest.length > 0 ? bytes_skip(rest, 1) : BYTES_NONE;
    } else {
        authority = bytes_split(authority, ':', &rest);
    }
    uint64_t port;
    return rest.at && (!bytes_to_u64(rest, &port) || port > 65535) ? BYTES_NONE : authority;
}

static bool is_loopback(struct bytes host)
{
    char text[64];
    struct in_addr four;
    struct in6_addr six;
    if (bytes_equal_ignore_case(host, BYTES("localhost")))
        return true;
    if (host.length == 0 || host.length >= sizeof text)
        return false;
    memcpy(text, host.at, host.length);
    text[host.length] = '\0';
    if (inet_pton(AF_INET, text, &four) == 1)
        return ntohl(four.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, text, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

/* What may stand in a header, a cookie and an address as it is (RFC 6750 section 2.1). */
static bool is_token(struct bytes text)
{
    for (size_t i = 0; i < text.length; i++)
        if (!isalnum((unsigned char)text.at[i]) && !strchr("-._~+/=", text.at[i]))
            return false;
    return text.length < 256;
}

int serve_guard_init(struct serve_guard *guard, const struct serve_options *options, struct error *error)
{
    *guard = (struct serve_guard){0};
    bool token = options->token && options->token[0];
    bool hosts = options->allowed_hosts && options->allowed_hosts[0];
    if (!is_loopback(bytes_of_string(options->address)) && !token) {
        if (!options->auth_none)
            return error_set(error,
                             "listen on %s: every machine that reaches this address could ask; set a token, or say auth: none "
                             "together with allowed_hosts, or listen on 127.0.0.1",
                             options->address);
        if (!hosts)
            return error_set(error, "listen on %s with auth: none: allowed_hosts must name the hosts that are answered",
                             options->address);
    }
    if (token && !is_token(bytes_of_string(options->token)))
        return error_set(error, "token: letters, digits and -._~+/= only, less than 256 of them");
    guard->address = strdup(options->address);
    guard->token = token ? strdup(options->token) : NULL;
    guard->allowed_hosts = hosts ? strdup(options->allowed_hosts) : NULL;
    if (!guard->address || (token && !guard->token) || (hosts && !guard->allowed_hosts)) {
        serve_guard_release(guard);
        return error_set(error, "serve: out of memory");
    }
    return 0;
}

void serve_guard_release(struct serve_guard *guard)
{
    free(guard->address);
    free(guard->token);
    free(guard->allowed_hosts);
    *guard = (struct serve_guard){0};
}

static bool is_listed(const struct serve_guard *guard, struct bytes host)
{
    struct bytes rest = bytes_of_string(guard->allowed_hosts);
    while (rest.at) {
        struct bytes one = bytes_trim(bytes_split(rest, ',', &rest));
        if (one.length > 0 && bytes_equal_ignore_case(one, host))
            return true;
    }
    return false;
}

bool serve_guard_host_allowed(const struct serve_guard *guard, struct bytes header)
{
    struct bytes host = host_of(header);
    if (host.length == 0)
        return false;
    return is_loopback(host) || bytes_equal_ignore_case(host, bytes_of_string(guard->address)) || is_listed(guard, host);
}

bool serve_guard_origin_allowed(const struct serve_guard *guard, struct bytes origin, struct bytes host)
{
    static const struct bytes schemes[] = {{"http://", 7}, {"https://", 8}};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        if (!bytes_start_with(origin, schemes[i]))
            continue;
        struct bytes authority = bytes_skip(origin, schemes[i].length);
        return bytes_equal_ignore_case(authority, host) || is_listed(guard, host_of(authority));
    }
    return false; /* "null" and other schemes: sandboxed frames, files, extensions */
}

bool serve_guard_token_right(const struct serve_guard *guard, struct bytes token)
{
    if (!guard->token)
        return true;
    size_t length = strlen(guard->token);
    if (!token.at)
        return false;
    /* The time taken tells the length of what was sent, nothing of what was expected. */
    unsigned difference = token.length != length;
    for (size_t i = 0; i < token.length; i++)
        difference |= (unsigned char)token.at[i] ^ (unsigned char)guard->token[length > 0 ? i % length : 0];
    return difference == 0;
}

struct bytes serve_guard_bearer(struct bytes authorization)
{
    static const struct bytes scheme = {"Bearer ", 7};
    if (authorization.length < scheme.length || !bytes_equal_ignore_case(bytes_of(authorization.at, scheme.length), scheme))
        return BYTES_NONE;
    return bytes_trim(bytes_skip(authorization, scheme.length));
}

struct bytes serve_guard_cookie(struct bytes cookies)
{
    while (cookies.at) {
        struct bytes value;
        struct bytes name = bytes_split(bytes_trim(bytes_split(cookies, ';', &cookies)), '=', &value);
        if (bytes_equal(name, BYTES("dataflow_token")))
            return value;
    }
    return BYTES_NONE;
}
