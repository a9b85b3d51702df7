/* Private to the live feed: clients (live.c), their queues (live_queue.c), and where events come from (live_feed.c). */
#ifndef SERVE_LIVE_INTERNAL_H
#define SERVE_LIVE_INTERNAL_H

#include "serve/serve_internal.h"

enum {
    LIVE_FEED_FRAMES_MAX = 2000, /* queued for one client; then the oldest go */
    LIVE_FEED_BYTES_MAX = 1024 * 1024,
    LIVE_ALERT_FRAMES_MAX = 4000, /* queued for one client; then it is closed with 1013 */
    LIVE_ALERT_BYTES_MAX = 4 * 1024 * 1024,
    LIVE_FRAMES_A_ROUND = 200,      /* sent to one client in one round: 4,000 a second */
    LIVE_EVENTS_A_ROUND = 50000,    /* read from the log in one round, so that requests have their turn */
    LIVE_TRANSPORT_MAX = 64 * 1024, /* handed to the network ahead of what the client has read */
    LIVE_BACKLOG = 100,             /* events of a topic that a new subscriber gets at once */
    LIVE_HEARTBEATS = 15,           /* seconds between the comments that keep an event stream open */
};
#define LIVE_ROUND_US 50000

/* One event for any number of clients. */
struct live_frame {
    unsigned references;
    enum serve_topic topic;
    size_t name_length; /* of the query of a window, before the JSON */
    size_t length;
    char space[];
};
struct live_frame *live_frame_create(enum serve_topic topic, struct bytes name, struct bytes json);
void live_frame_release(struct live_frame *frame);
struct bytes live_frame_name(const struct live_frame *frame);
struct bytes live_frame_json(const struct live_frame *frame);

/* Bounded, first in first out. */
struct live_queue {
    struct live_frame **ring; /* made for the first frame */
    size_t capacity, first, count, bytes, bytes_max;
};
void live_queue_init(struct live_queue *queue, size_t capacity, size_t bytes_max);
void live_queue_release(struct live_queue *queue);
bool live_queue_push(struct live_queue *queue, struct live_frame *frame); /* false: full; takes a reference of its own */
struct live_frame *live_queue_pop(struct live_queue *queue);              /* the caller releases it; NULL: empty */

struct live_client {
    struct serve_live *live;
    struct live_client *next, **link;
    struct net_socket *socket; /* one of the two */
    struct net_stream *stream;
    struct serve_subscription subscription;
    struct live_queue feed, alerts;
    uint64_t dropped[SERVE_TOPIC_COUNT]; /* not told yet; those of windows are told by name */
    uint64_t windows_dropped[SERVE_WINDOW_NAMES_MAX];
    bool any_dropped;
    bool closing;
    int budget;        /* frames left in this round */
    uint32_t *backlog; /* checksums of the documents of the backlog, that the next round may bring again */
    size_t backlog_count;
};

struct serve_live {
    struct serve *serve;
    struct live_client *clients;
    size_t client_count;
    uint64_t offset; /* of the log, where the feed goes on; UINT64_MAX: nobody listens */
    size_t round_events;
    bool dirty, round_planned;
    int64_t next_round_us;
    int heartbeat;
    struct net_timer *round, *second;
    struct buffer text;   /* one message being made */
    struct buffer answer; /* of the backend: a status, a backlog */
    uint64_t dropped;
};

/* live.c */
void live_client_offer(struct live_client *client, struct live_frame *frame);
void live_client_send_status(struct live_client *client);
void live_plan_round(struct serve_live *live);

/* live_feed.c */
void live_feed_read(struct serve_live *live);
/* What is there of these topics (windows: of the names from `first_window` on), for a new subscriber: what the backend knows, and
 * what the log has from there up to where the feed goes on. */
void live_feed_backlog(struct live_client *client, unsigned topics, size_t first_window);

#endif
