/* Frames shared by reference, and the bounded queues of the clients. */
#include "serve/live_internal.h"

#include <assert.h>
#include <stdlib.h>

struct live_frame *live_frame_create(enum serve_topic topic, struct bytes name, struct bytes json)
{
    struct live_frame *frame = malloc(sizeof *frame + name.length + json.length);
    if (!frame)
        return NULL;
    *frame = (struct live_frame){.references = 1, .topic = topic, .name_length = name.length, .length = json.length};
    if (name.length > 0)
        memcpy(frame->space, name.at, name.length);
    memcpy(frame->space + name.length, json.at, json.length);
    return frame;
}

void live_frame_release(struct live_frame *frame)
{
    assert(frame->references > 0);
    if (--frame->references == 0)
        free(frame);
}

struct bytes live_frame_name(const struct live_frame *frame)
{
    return bytes_of(frame->space, frame->name_length);
}

struct bytes live_frame_json(const struct live_frame *frame)
{
    return bytes_of(frame->space + frame->name_length, frame->length);
}

void live_queue_init(struct live_queue *queue, size_t capacity, size_t bytes_max)
{
    *queue = (struct live_queue){.capacity = capacity, .bytes_max = bytes_max};
}

void live_queue_release(struct live_queue *queue)
{
    struct live_frame *frame;
    while ((frame = live_queue_pop(queue)))
        live_frame_release(frame);
    free(queue->ring);
    queue->ring = NULL;
}

bool live_queue_push(struct live_queue *queue, struct live_frame *frame)
{
    /* One frame larger than the cap may stand alone: it would never fit otherwise. */
    if (queue->count == queue->capacity || (queue->count > 0 && frame->length > queue->bytes_max - queue->bytes))
        return false;
    if (!queue->ring && !(queue->ring = calloc(queue->capacity, sizeof(struct live_frame *))))
        return false;
    queue->ring[(queue->first + queue->count) % queue->capacity] = frame;
    queue->count++;
    queue->bytes += frame->length;
    frame->references++;
    return true;
}

struct live_frame *live_queue_pop(struct live_queue *queue)
{
    if (queue->count == 0)
        return NULL;
    struct live_frame *frame = queue->ring[queue->first];
    queue->first = (queue->first + 1) % queue->capacity;
    queue->count--;
    queue->bytes -= frame->length;
    return frame;
}
