/* Moves the events of a looping recording to the round that is played; the rules are in recording.h. */
#ifndef SOURCE_RECORDING_SHIFT_H
#define SOURCE_RECORDING_SHIFT_H

#include "event/event.h"

struct recording_shift {
    int64_t round;
    int64_t time_us; /* 0: nothing moves */
};

/* False when out of memory: the event is then half done and must not be used. */
bool recording_shift_event(const struct recording_shift *shift, struct event *event, struct arena *arena);

#endif
