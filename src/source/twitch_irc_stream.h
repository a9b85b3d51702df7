/* The bytes of a connection as lines: a message may hold many lines, and a line may be split over messages, also between
 * its CR and LF.  However the bytes are split, the same lines come out, and the same ones are too long. */
#ifndef SOURCE_TWITCH_IRC_STREAM_H
#define SOURCE_TWITCH_IRC_STREAM_H

#include "base/buffer.h"
#include "source/irc_line.h"

struct irc_stream {
    struct buffer held; /* the beginning of a line whose end has not come */
    bool skipping;      /* the rest of a line that was given up */
    bool handed_out;    /* `held` was the last line */
};

void irc_stream_init(struct irc_stream *stream);
void irc_stream_release(struct irc_stream *stream);
/* The connection is gone: forgets what it holds. */
void irc_stream_reset(struct irc_stream *stream);

enum irc_stream_result {
    IRC_STREAM_END, /* all of the message is taken */
    IRC_STREAM_LINE,
    IRC_STREAM_TOO_LONG, /* line: its first IRC_LINE_MAX bytes */
    IRC_STREAM_NO_MEMORY,
};

/* Takes the next line off *message; call it until IRC_STREAM_END.  The line has no CR LF.  It lies in the message or, *joined,
 * in the stream, where it stays until the next call. */
enum irc_stream_result irc_stream_next(struct irc_stream *stream, struct bytes *message, struct bytes *line, bool *joined);

/* What is held of a line, and is now taken for all of it. */
bool irc_stream_flush(struct irc_stream *stream, struct bytes *line);

static inline bool irc_stream_holds(const struct irc_stream *stream)
{
    return stream->held.length > 0 && !stream->handed_out;
}

#endif
