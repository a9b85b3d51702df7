/* Private to the net room.
 *
 * Who owns what: a loop owns one libwebsockets context.  Every wsi of it carries, as opaque user data, the object of ours
 * that it serves: a net_socket or net_http (client), a net_connection (server), a net_stream or a net_server (listener).  Whoever
 * ends such an object first takes itself out of the wsi; a wsi without an object is dying and its callbacks are ignored. */
#ifndef NET_NET_INTERNAL_H
#define NET_NET_INTERNAL_H

#include "base/buffer.h"
#include "net/net.h"
#include <libwebsockets.h>
#include <openssl/ssl.h>
#include <stdatomic.h>

enum { NET_HOST_MAX = 253, NET_PATH_MAX = 8192, NET_SCRATCH_SIZE = 32 * 1024, NET_ADDRESS_MAX = 8, NET_PROBE_S = 10 };
#define NET_CONNECT_TIMEOUT_US 10000000
#define NET_CLOSE_TIMEOUT_US 5000000

/* A magic number on everything that travels as void*. */
#define NET_SOCKET_MAGIC 0x6e736f63u
#define NET_CONNECTION_MAGIC 0x6e636f6eu
#define NET_STREAM_MAGIC 0x6e737472u
#define NET_SERVER_MAGIC 0x6e736572u
#define NET_HTTP_MAGIC 0x6e687474u

struct net_timer {
    lws_sorted_usec_list_t entry; /* first: libwebsockets hands it back */
    struct net_loop *loop;
    void (*on_time)(void *context);
    void *context;
};

struct net_loop {
    struct lws_context *context;
    struct lws_vhost *plain;  /* clients without TLS; always there, so that wake-ups have somewhere to go */
    struct lws_vhost *secure; /* clients with TLS; made for the first wss:// */
    SSL_CTX *tls;
    char *tls_ca_file;
    bool without_tls;
    int64_t connect_timeout_us;
    lws_retry_bo_t silence; /* when to probe a silent socket, and when to give up */
    void (*on_wake)(void *context);
    void *wake_context;
    atomic_bool stopping, woken;
    bool destroying, stepping;
    lws_sorted_usec_list_t step_end;
    struct net_socket *sockets;
    struct net_http *requests; /* HTTP clients' that are not answered yet */
    struct net_server *servers;
    struct net_lookup *lookups; /* names being resolved; guarded by the lock in resolve.c */
    unsigned char *scratch;     /* LWS_PRE + NET_SCRATCH_SIZE */
};

struct net_url {
    bool secure;    /* wss, https */
    bool websocket; /* ws, wss */
    char host[NET_HOST_MAX + 1];
    int port;
    bool default_port;
    const char *path; /* into the URL text: from the first '/', '?' or the end on */
    size_t path_length;
};
int net_url_parse(struct bytes text, struct net_url *url, struct error *error);
/* The Host header: brackets around IPv6, the port where it is not the scheme's. */
void net_url_host_header(const struct net_url *url, char *out, size_t size);

/* ---- names ---- */

struct net_address {
    char text[64]; /* numeric */
};
struct net_lookup;
/* Calls `done` once on the loop's thread with 1 to NET_ADDRESS_MAX addresses, or with count 0 and the cause; not if
 * cancelled before.  NULL when out of memory. */
struct net_lookup *net_lookup_start(struct net_loop *loop, const char *host,
                                    void (*done)(void *context, const struct net_address *addresses, size_t count,
                                                 const char *problem),
                                    void *context);
void net_lookup_cancel(struct net_lookup *lookup);
void net_lookup_deliver(struct net_loop *loop);
/* Numeric addresses and localhost need no lookup: fills `addresses` and returns how many, 0 for a name. */
size_t net_lookup_literal(const char *host, struct net_address *addresses);

/* ---- reaching a server (dial.c) ---- */

/* Who wants to be connected. */
struct net_dial_target {
    void *owner;          /* opaque user data of the wsi */
    struct lws **wsi;     /* set as soon as there is one */
    const char *protocol; /* whose callback serves it */
    const char *method;   /* of an HTTP request; NULL: a WebSocket */
    /* It cannot be reached: no address is left, or another would not help.  The dial may be freed in it. */
    void (*failed)(void *owner, const char *reason);
};

struct net_dial {
    struct net_loop *loop;
    struct net_url url;
    struct net_dial_target target;
    struct net_lookup *lookup;
    struct net_address addresses[NET_ADDRESS_MAX];
    size_t address_count, address_next;
    struct net_timer *start;     /* begins an attempt outside of the caller's and the library's calls */
    bool answered;               /* TCP stood: another address would not help */
    bool given_up;               /* no further attempt is wanted */
    bool attempting;             /* inside the library's connect call, whose result says it all */
    const char *bad_certificate; /* what is wrong with the server's, as OpenSSL words it */
    char path[];
};

/* Begins in the loop's next round.  NULL: out of memory. */
struct net_dial *net_dial_start(struct net_loop *loop, const struct net_url *url, const struct net_dial_target *target);
/* The attempt under way goes on without it: the owner drops the wsi. */
void net_dial_free(struct net_dial *dial);
/* LWS_CALLBACK_CLIENT_CONNECTION_ERROR; what: "WebSocket handshake". */
void net_dial_error(struct net_dial *dial, struct lws *wsi, const char *what, const char *text, size_t length);
/* OpenSSL refuses the server's certificate. */
void net_dial_note_certificate(struct net_dial *dial, X509_STORE_CTX *store);
/* The virtual host for clients, with or without TLS. */
struct lws_vhost *net_client_vhost(struct net_loop *loop, bool secure, struct error *error);

/* ---- sockets: what both sides share ---- */

struct net_frame;

enum net_socket_state {
    NET_SOCKET_CONNECTING,
    NET_SOCKET_OPEN,
    NET_SOCKET_CLOSING, /* we asked for it: nothing more is queued or delivered */
};

struct net_socket {
    unsigned magic;
    enum net_socket_state state;
    struct net_loop *loop;
    struct net_socket *next, **link; /* the loop's list */
    struct lws *wsi;
    const struct net_socket_events *events; /* client */
    struct net_server *server;              /* server side, or NULL */
    void *context;
    struct net_dial *dial;      /* client, until open */
    struct net_timer *deadline; /* of connecting, of closing */
    struct buffer partial;      /* a message whose end is still to come */
    size_t message_max;
    struct net_frame *first, *last; /* to be sent */
    size_t queued_bytes;
    int64_t heard_us; /* when anything came last */
    int close_code;   /* to be told to on_close */
    char close_reason[256];
    size_t close_reason_length;
};

struct net_socket *net_socket_create(struct net_loop *loop);
/* Frees one that nobody was given. */
void net_socket_free(struct net_socket *socket);
/* Tells the owner, once, and frees the socket; its wsi goes on without it. */
void net_socket_finish(struct net_socket *socket);
/* The same, and the connection is cut. */
void net_socket_abort(struct net_socket *socket);
void net_socket_explain(struct net_socket *socket, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Bodies of the libwebsockets callbacks; a non-zero return makes the library close. */
void net_socket_receive(struct net_socket *socket, const char *data, size_t length);
int net_socket_writable(struct net_socket *socket);
void net_socket_peer_close(struct net_socket *socket, const unsigned char *payload, size_t length);

/* Forgets the object, then has the library drop the connection at once, without ceremony. */
void net_wsi_drop(struct lws *wsi);

/* ---- clients ---- */

extern const struct lws_protocols net_client_protocols[];
#define NET_HTTP_PROTOCOL "net-http"
int net_http_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length);
/* LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER: who asks. */
int net_client_append_user_agent(struct lws *wsi, unsigned char **place, unsigned char *end);
struct net_dial *net_http_dial(struct net_http *http); /* NULL once the server answered */
/* Drops the requests that are still unanswered, and tells their owners. */
void net_http_abandon(struct net_loop *loop);

/* ---- servers ---- */

struct net_connection {
    unsigned magic;
    struct net_server *server;
    struct net_connection *next, **link;
    struct lws *wsi;
    struct net_request *request; /* being received or answered */
    struct net_socket *socket;   /* once upgraded */
    bool upgrade_accepted;
};

struct net_server {
    unsigned magic;
    struct net_loop *loop;
    struct net_server *next;
    struct lws_vhost *vhost;
    struct lws *listener;
    int listener_file;
    struct net_server_options options;
    struct net_connection *connections;
    struct net_stream *streams;
    int connection_count;           /* streams included */
    struct net_timer *accept_again; /* after running out of file descriptors */
};
void net_server_destroy(struct net_server *server);

struct net_request {
    struct net_connection *connection; /* NULL: the client left before the answer */
    const char *method;
    char *path;
    size_t path_length;
    char *header_space; /* copies of the headers asked for */
    size_t header_used;
    struct buffer body;
    bool dispatched;  /* the owner has it */
    bool close_after; /* nothing more on this connection */
    bool upgrade;     /* asked for a WebSocket: answered on the spot */
    bool replying;
    struct buffer reply; /* head, and the body unless that is constant */
    struct bytes constant;
    size_t sent; /* of reply and constant together */
};

/* Bodies of the callbacks for HTTP, in request.c. */
int net_request_begin(struct net_connection *connection, struct lws *wsi);
int net_request_body_part(struct net_connection *connection, const void *data, size_t length);
int net_request_body_end(struct net_connection *connection);
int net_request_writable(struct net_connection *connection);
int net_request_confirm_upgrade(struct net_connection *connection, struct lws *wsi, char *protocol);
void net_request_free(struct net_request *request);
const char *net_status_text(int status);

int net_stream_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length);
/* The loop ends: tells the owner. */
void net_stream_abandon(struct net_stream *stream);

#endif
