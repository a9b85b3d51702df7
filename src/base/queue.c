/* A ring under one mutex.  Batches of hundreds of events pass through it, so a lock a batch costs nothing. */
#include "base/queue.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t capacity;
    size_t head; /* oldest item */
    size_t count;
    bool closed;
    void *items[];
};

struct queue *queue_create(size_t capacity)
{
    assert(capacity > 0);
    struct queue *queue = calloc(1, sizeof *queue + capacity * sizeof queue->items[0]);
    if (!queue)
        return NULL;
    queue->capacity = capacity;
    pthread_mutex_init(&queue->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&queue->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    return queue;
}

void queue_destroy(struct queue *queue)
{
    if (!queue)
        return;
    pthread_cond_destroy(&queue->changed);
    pthread_mutex_destroy(&queue->lock);
    free(queue);
}

static struct timespec deadline_after(int64_t timeout_us)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += timeout_us / 1000000;
    at.tv_nsec += timeout_us % 1000000 * 1000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

/* Waits while the queue stays closed == false and count == blocking_count.  Lock held. */
static void wait_while(struct queue *queue, size_t blocking_count, int64_t timeout_us)
{
    if (timeout_us == 0)
        return;
    struct timespec deadline = timeout_us > 0 ? deadline_after(timeout_us) : (struct timespec){0};
    while (queue->count == blocking_count && !queue->closed) {
        if (timeout_us < 0)
            pthread_cond_wait(&queue->changed, &queue->lock);
        else if (pthread_cond_timedwait(&queue->changed, &queue->lock, &deadline) != 0)
            return;
    }
}

bool queue_push(struct queue *queue, void *item, int64_t timeout_us)
{
    assert(item);
    pthread_mutex_lock(&queue->lock);
    wait_while(queue, queue->capacity, timeout_us);
    bool taken = !queue->closed && queue->count < queue->capacity;
    if (taken) {
        queue->items[(queue->head + queue->count++) % queue->capacity] = item;
        pthread_cond_broadcast(&queue->changed);
    }
    pthread_mutex_unlock(&queue->lock);
    return taken;
}

void *queue_pop(struct queue *queue, int64_t timeout_us)
{
    pthread_mutex_lock(&queue->lock);
    wait_while(queue, 0, timeout_us);
    void *item = NULL;
    if (queue->count > 0) {
        item = queue->items[queue->head];
        queue->head = (queue->head + 1) % queue->capacity;
        queue->count--;
        pthread_cond_broadcast(&queue->changed);
    }
    pthread_mutex_unlock(&queue->lock);
    return item;
}

void queue_close(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
}

size_t queue_count(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    size_t count = queue->count;
    pthread_mutex_unlock(&queue->lock);
    return count;
}

bool queue_is_closed(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    bool closed = queue->closed;
    pthread_mutex_unlock(&queue->lock);
    return closed;
}
