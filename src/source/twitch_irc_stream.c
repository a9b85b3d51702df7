/* Invariant: of a line whose end has not come, all of its first IRC_LINE_MAX + 1 bytes are held, the last of which can only be
 * its CR; a line that grows beyond that is given up at once. */
#include "source/twitch_irc_stream.h"

void irc_stream_init(struct irc_stream *stream)
{
    *stream = (struct irc_stream){.skipping = false};
    buffer_init(&stream->held, IRC_LINE_MAX + 1);
}

void irc_stream_release(struct irc_stream *stream)
{
    buffer_release(&stream->held);
}

void irc_stream_reset(struct irc_stream *stream)
{
    buffer_reset(&stream->held);
    stream->skipping = stream->handed_out = false;
}

/* Holds the beginning of a line. */
static enum irc_stream_result hold(struct irc_stream *stream, struct bytes piece, struct bytes *line)
{
    size_t room = IRC_LINE_MAX + 1 - stream->held.length;
    size_t taken = piece.length < room ? piece.length : room;
    buffer_append(&stream->held, bytes_of(piece.at, taken));
    if (stream->held.failed) {
        stream->skipping = stream->handed_out = true;
        *line = BYTES("");
        return IRC_STREAM_NO_MEMORY;
    }
    bool full = stream->held.length == IRC_LINE_MAX + 1;
    if (taken == piece.length && (!full || stream->held.at[IRC_LINE_MAX] == '\r'))
        return IRC_STREAM_END;
    stream->skipping = stream->handed_out = true;
    *line = bytes_of(stream->held.at, IRC_LINE_MAX);
    return IRC_STREAM_TOO_LONG;
}

static enum irc_stream_result finish(struct bytes *line)
{
    if (line->length > 0 && line->at[line->length - 1] == '\r')
        line->length--;
    if (line->length <= IRC_LINE_MAX)
        return IRC_STREAM_LINE;
    line->length = IRC_LINE_MAX;
    return IRC_STREAM_TOO_LONG;
}

enum irc_stream_result irc_stream_next(struct irc_stream *stream, struct bytes *message, struct bytes *line, bool *joined)
{
    *joined = false;
    if (stream->handed_out) {
        buffer_reset(&stream->held);
        stream->handed_out = false;
    }
    for (;;) {
        if (message->length == 0)
            return IRC_STREAM_END;
        ptrdiff_t end = bytes_find(*message, '\n');
        struct bytes piece = end < 0 ? *message : bytes_of(message->at, (size_t)end);
        *message = bytes_skip(*message, end < 0 ? piece.length : piece.length + 1);
        if (stream->skipping) {
            stream->skipping = end < 0;
            continue;
        }
        if (end >= 0 && stream->held.length == 0) {
            *line = piece;
            return finish(line);
        }
        enum irc_stream_result result = hold(stream, piece, line);
        *joined = true;
        if (end < 0 || result != IRC_STREAM_END) {
            stream->skipping = stream->skipping && end < 0;
            return result;
        }
        stream->handed_out = true;
        *line = buffer_bytes(&stream->held);
        return finish(line);
    }
}

bool irc_stream_flush(struct irc_stream *stream, struct bytes *line)
{
    if (!irc_stream_holds(stream))
        return false;
    stream->handed_out = true;
    *line = buffer_bytes(&stream->held);
    if (line->at[line->length - 1] == '\r')
        line->length--;
    return true;
}
