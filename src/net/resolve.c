/* Names to addresses without stopping the loop: getaddrinfo blocks, for seconds when a name server is away, so each lookup
 * has a thread of its own.
 *
 * A lookup is shared by its loop and its thread; whichever lets go last frees it.  `lookups_lock` guards `loop`, `finished`
 * and the loop's list.  The thread may outlive the loop (getaddrinfo cannot be interrupted): it then finds `loop` NULL and
 * only frees. */
#include "net/net_internal.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>

struct net_lookup {
    struct net_loop *loop; /* NULL: cancelled */
    struct net_lookup *next;
    void (*done)(void *context, const struct net_address *addresses, size_t count, const char *problem);
    void *context;
    char host[NET_HOST_MAX + 1];
    bool finished;
    struct net_address addresses[NET_ADDRESS_MAX];
    size_t count;
    char problem[128];
};

static pthread_mutex_t lookups_lock = PTHREAD_MUTEX_INITIALIZER;

size_t net_lookup_literal(const char *host, struct net_address *addresses)
{
    unsigned char space[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, host, space) == 1 || inet_pton(AF_INET6, host, space) == 1) {
        snprintf(addresses[0].text, sizeof addresses[0].text, "%s", host);
        return 1;
    }
    /* RFC 6761 section 6.3: localhost is loopback, whatever a name server says. */
    if (bytes_equal_ignore_case(bytes_of_string(host), BYTES("localhost"))) {
        snprintf(addresses[0].text, sizeof addresses[0].text, "127.0.0.1");
        snprintf(addresses[1].text, sizeof addresses[1].text, "::1");
        return 2;
    }
    return 0;
}

static void look_up(struct net_lookup *lookup)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *found = NULL;
    int status = getaddrinfo(lookup->host, NULL, &hints, &found);
    if (status != 0) {
        snprintf(lookup->problem, sizeof lookup->problem, "%s", gai_strerror(status));
        return;
    }
    for (struct addrinfo *one = found; one && lookup->count < NET_ADDRESS_MAX; one = one->ai_next) {
        struct net_address *address = &lookup->addresses[lookup->count];
        if (getnameinfo(one->ai_addr, one->ai_addrlen, address->text, sizeof address->text, NULL, 0, NI_NUMERICHOST) == 0)
            lookup->count++;
    }
    freeaddrinfo(found);
    if (lookup->count == 0)
        snprintf(lookup->problem, sizeof lookup->problem, "it has no address");
}

static void *run(void *argument)
{
    struct net_lookup *lookup = argument;
    look_up(lookup);
    pthread_mutex_lock(&lookups_lock);
    lookup->finished = true;
    bool orphan = lookup->loop == NULL;
    if (!orphan)
        net_loop_wake(lookup->loop);
    pthread_mutex_unlock(&lookups_lock);
    if (orphan)
        free(lookup);
    return NULL;
}

struct net_lookup *net_lookup_start(struct net_loop *loop, const char *host,
                                    void (*done)(void *context, const struct net_address *addresses, size_t count,
                                                 const char *problem),
                                    void *context)
{
    struct net_lookup *lookup = calloc(1, sizeof *lookup);
    if (!lookup)
        return NULL;
    *lookup = (struct net_lookup){.loop = loop, .done = done, .context = context};
    snprintf(lookup->host, sizeof lookup->host, "%s", host);
    pthread_mutex_lock(&lookups_lock);
    lookup->next = loop->lookups;
    loop->lookups = lookup;
    pthread_mutex_unlock(&lookups_lock);

    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int status = pthread_create(&thread, &attributes, run, lookup);
    pthread_attr_destroy(&attributes);
    if (status != 0) {
        pthread_mutex_lock(&lookups_lock);
        lookup->finished = true; /* nobody else holds it now */
        pthread_mutex_unlock(&lookups_lock);
        net_lookup_cancel(lookup);
        return NULL;
    }
    return lookup;
}

static void unlink_lookup(struct net_lookup *lookup)
{
    struct net_lookup **link = &lookup->loop->lookups;
    while (*link != lookup)
        link = &(*link)->next;
    *link = lookup->next;
    lookup->loop = NULL;
}

void net_lookup_cancel(struct net_lookup *lookup)
{
    pthread_mutex_lock(&lookups_lock);
    unlink_lookup(lookup);
    bool finished = lookup->finished;
    pthread_mutex_unlock(&lookups_lock);
    if (finished)
        free(lookup);
}

static struct net_lookup *take_finished(struct net_loop *loop)
{
    pthread_mutex_lock(&lookups_lock);
    struct net_lookup *lookup = loop->lookups;
    while (lookup && !lookup->finished)
        lookup = lookup->next;
    if (lookup)
        unlink_lookup(lookup);
    pthread_mutex_unlock(&lookups_lock);
    return lookup;
}

void net_lookup_deliver(struct net_loop *loop)
{
    struct net_lookup *lookup;
    while ((lookup = take_finished(loop))) {
        lookup->done(lookup->context, lookup->addresses, lookup->count, lookup->problem);
        free(lookup);
    }
}
