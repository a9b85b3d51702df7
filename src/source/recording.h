/* Recordings: raw traffic of sources, one JSON object a line, as `record` writes it:
 *
 *     {"received":"2026-11-23T22:20:06.123456Z","source":"binance:BTC-USDT","connection":1,"event":"frame","frame":"…"}
 *
 * event: "open" (frame: the address), "frame", "sent", "close" (frame: the reason, for people); left out: "frame".  A line
 * {"received":…,"frame":…} is what `normalize` takes.  A simulator has no raw frames: its events stand in their place.
 *
 * The adapter (`recording:FILE`) plays such lines into adapters of the recorded kinds, made when a source is first named,
 * with the recorded times as their clock; so a replay makes the same events at any speed.
 *
 * Looping (options.round_length_us L > 0): round k lasts from k*L to (k+1)*L on the wall clock.  A line recorded at r is due
 * at k*L + (r - recording_start_us), and everything that its event says about time is moved by the same amount.  Trade ids
 * move by k * RECORDING_TRADE_STRIDE; ids of events are made anew from what they are made of, other ids get the suffix
 * "-k".  At the seam the adapters are made anew: a declared restart, without gap events. */
#ifndef SOURCE_RECORDING_H
#define SOURCE_RECORDING_H

#include "event/event.h"

enum recording_event { RECORDING_FRAME, RECORDING_OPEN, RECORDING_SENT, RECORDING_CLOSE, RECORDING_EVENT_COUNT };

struct recording_line {
    int64_t received_us; /* or TIME_UNKNOWN: left out */
    struct bytes source; /* "binance:BTC-USDT", or empty: left out */
    uint32_t connection; /* 0: left out */
    enum recording_event event;
    struct bytes frame; /* .at NULL: left out */
};

enum { RECORDING_TRADE_STRIDE = 10000000 };

/* The line's bytes are copied into the arena, and *out points there.  REJECT_MISSING_FIELD: a JSON object without a
 * `frame`, so perhaps a bare frame. */
enum reject_reason recording_line_parse(struct bytes line, struct arena *arena, struct recording_line *out);

/* False for texts that are certainly no recording line; cheap, for telling bare frames apart. */
bool recording_line_is_likely(struct bytes line);

/* Appends the line with its newline.  Frames are text: invalid UTF-8 in them becomes U+FFFD. */
void recording_line_write(struct buffer *out, const struct recording_line *line);

#endif
