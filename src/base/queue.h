/* Bounded queue of pointers between threads; any number of producers and consumers.  What happens at the
 * cap is the caller's choice: wait (back-pressure) or take the refusal. */
#ifndef BASE_QUEUE_H
#define BASE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue;

struct queue *queue_create(size_t capacity); /* NULL when out of memory */
void queue_destroy(struct queue *queue);

/* Waits up to timeout_us for room (0: not at all, negative: for ever).  False: no room, or closed. */
bool queue_push(struct queue *queue, void *item, int64_t timeout_us);

/* Waits likewise for an item.  NULL: none came, or the queue is closed and empty. */
void *queue_pop(struct queue *queue, int64_t timeout_us);

/* Wakes all waiters; pushes fail from now on, pops drain what is left. */
void queue_close(struct queue *queue);

size_t queue_count(struct queue *queue);
bool queue_is_closed(struct queue *queue);

#endif
