/* URLs: an accepted one gives a host, a port and a path that can stand in a request as they are. */
#include "net/net_internal.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct net_url url;
    struct error error = {""};
    struct bytes text = bytes_of((const char *)data, size);
    bool loopback = net_url_is_loopback(text);
    if (net_url_parse(text, &url, &error) != 0) {
        if (loopback || !error.text[0])
            __builtin_trap();
        return 0;
    }
    char host[NET_HOST_MAX + 16];
    net_url_host_header(&url, host, sizeof host);
    if (!host[0] || url.port < 1 || url.port > 65535 || strpbrk(host, " \r\n\t/@?#"))
        __builtin_trap();
    for (size_t i = 0; i < url.path_length; i++)
        if ((unsigned char)url.path[i] <= ' ')
            __builtin_trap();
    return 0;
}
