/* URLs of the four schemes that the room speaks: ws, wss, http, https.  No user names, no fragments. */
#include "net/net_internal.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>

static const struct scheme {
    struct bytes prefix;
    bool secure, websocket;
    int port;
} schemes[] = {
    {{"ws://", 5}, false, true, 80},
    {{"wss://", 6}, true, true, 443},
    {{"http://", 7}, false, false, 80},
    {{"https://", 8}, true, false, 443},
};

static const struct scheme *find_scheme(struct bytes text)
{
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (text.length >= schemes[i].prefix.length &&
            bytes_equal_ignore_case(bytes_of(text.at, schemes[i].prefix.length), schemes[i].prefix))
            return &schemes[i];
    return NULL;
}

/* Letters, digits and what names and addresses are made of: nothing that could end a header line or start another. */
static bool host_is_plain(struct bytes host, bool brackets)
{
    for (size_t i = 0; i < host.length; i++) {
        unsigned char c = (unsigned char)host.at[i];
        if (!isalnum(c) && c != '.' && c != '-' && c != '_' && !(brackets && (c == ':' || c == '%')))
            return false;
    }
    return host.length > 0 && host.length <= NET_HOST_MAX;
}

static bool path_is_plain(struct bytes path)
{
    for (size_t i = 0; i < path.length; i++)
        if ((unsigned char)path.at[i] <= ' ' || (unsigned char)path.at[i] >= 0x7f || path.at[i] == '#')
            return false;
    return path.length < NET_PATH_MAX;
}

/* HOST, HOST:PORT, [IPV6] or [IPV6]:PORT. */
static bool split_authority(struct bytes authority, struct bytes *host, struct bytes *port, bool *brackets)
{
    *brackets = authority.length > 0 && authority.at[0] == '[';
    *port = BYTES_NONE;
    if (!*brackets) {
        *host = bytes_split(authority, ':', port);
        return true;
    }
    ptrdiff_t end = bytes_find(authority, ']');
    if (end < 0)
        return false;
    *host = bytes_of(authority.at + 1, (size_t)end - 1);
    struct bytes rest = bytes_skip(authority, (size_t)end + 1);
    if (rest.length == 0)
        return true;
    *port = bytes_skip(rest, 1);
    return rest.at[0] == ':';
}

int net_url_parse(struct bytes text, struct net_url *url, struct error *error)
{
    const struct scheme *scheme = find_scheme(text);
    if (!scheme)
        return error_set(error, "'%.*s' is no address: it must start with ws://, wss://, http:// or https://",
                         (int)(text.length < 200 ? text.length : 200), text.at ? text.at : "");
    struct bytes rest = bytes_skip(text, scheme->prefix.length);
    size_t authority_length = 0;
    while (authority_length < rest.length && rest.at[authority_length] != '/' && rest.at[authority_length] != '?')
        authority_length++;
    struct bytes host, port_text;
    bool brackets;
    uint64_t port = (uint64_t)scheme->port;
    struct bytes path = bytes_skip(rest, authority_length);
    if (!split_authority(bytes_of(rest.at, authority_length), &host, &port_text, &brackets) || !host_is_plain(host, brackets) ||
        (port_text.at && (!bytes_to_u64(port_text, &port) || port == 0 || port > 65535)) || !path_is_plain(path))
        return error_set(error, "'%.*s' is no address: %.*sHOST[:PORT]/PATH is needed",
                         (int)(text.length < 200 ? text.length : 200), text.at, BYTES_ARG(scheme->prefix));
    *url = (struct net_url){.secure = scheme->secure,
                            .websocket = scheme->websocket,
                            .port = (int)port,
                            .default_port = (int)port == scheme->port,
                            .path = path.at,
                            .path_length = path.length};
    memcpy(url->host, host.at, host.length);
    return 0;
}

void net_url_host_header(const struct net_url *url, char *out, size_t size)
{
    bool brackets = strchr(url->host, ':') != NULL;
    int length = snprintf(out, size, "%s%s%s", brackets ? "[" : "", url->host, brackets ? "]" : "");
    if (!url->default_port && length > 0 && (size_t)length < size)
        snprintf(out + length, size - (size_t)length, ":%d", url->port);
}

static bool host_is_loopback(const char *host)
{
    struct in_addr four;
    struct in6_addr six;
    if (inet_pton(AF_INET, host, &four) == 1)
        return ntohl(four.s_addr) >> 24 == 127;
    if (inet_pton(AF_INET6, host, &six) == 1)
        return IN6_IS_ADDR_LOOPBACK(&six);
    return bytes_equal_ignore_case(bytes_of_string(host), BYTES("localhost"));
}

bool net_url_is_loopback(struct bytes text)
{
    struct net_url url;
    struct error error;
    return net_url_parse(text, &url, &error) == 0 && !url.secure && host_is_loopback(url.host);
}
