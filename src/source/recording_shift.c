/* See recording_shift.h.  What does not fit the number it is kept in stays as recorded. */
#include "source/recording_shift.h"

#include "source/recording.h"

#include <inttypes.h>

static void shift_time(int64_t *time_us, int64_t by_us)
{
    int64_t moved;
    if (*time_us != TIME_UNKNOWN && !__builtin_add_overflow(*time_us, by_us, &moved) && moved >= TIME_MIN && moved <= TIME_MAX)
        *time_us = moved;
}

static void shift_trade_id(int64_t *id, int64_t round)
{
    int64_t by, moved;
    if (*id != TRADE_ID_NONE && !__builtin_mul_overflow(round, RECORDING_TRADE_STRIDE, &by) &&
        !__builtin_add_overflow(*id, by, &moved))
        *id = moved;
}

/* "text-round", in the arena. */
static bool add_suffix(struct bytes *text, int64_t round, struct arena *arena)
{
    char suffix[24];
    int length = snprintf(suffix, sizeof suffix, "-%" PRId64, round);
    char *copy = arena_text(arena, text->length + (size_t)length);
    if (!copy)
        return false;
    memcpy(copy, text->at, text->length);
    memcpy(copy + text->length, suffix, (size_t)length);
    *text = bytes_of(copy, text->length + (size_t)length);
    return true;
}

/* ---- metadata: JSON text that we or an adapter wrote ---- */

/* Position behind the string that begins at `at`. */
static size_t string_end(struct bytes text, size_t at)
{
    for (at++; at < text.length && text.at[at] != '"'; at++)
        if (text.at[at] == '\\')
            at++;
    return at < text.length ? at + 1 : text.length;
}

static bool names_an_event(struct bytes key)
{
    return bytes_equal(key, BYTES("reply_parent_id")) || bytes_equal(key, BYTES("target_message_id"));
}

static bool names_a_trade(struct bytes key)
{
    return bytes_equal(key, BYTES("first_trade_id")) || bytes_equal(key, BYTES("last_trade_id"));
}

/* Writes the trade id that begins at `at` as it is in this round; returns the position behind it. */
static size_t rewrite_trade_id(struct bytes text, size_t at, const struct recording_shift *shift, struct buffer *out)
{
    size_t end = at;
    while (end < text.length && text.at[end] >= '0' && text.at[end] <= '9')
        end++;
    uint64_t id;
    if (!bytes_to_u64(bytes_of(text.at + at, end - at), &id) || id > INT64_MAX) {
        buffer_append(out, bytes_of(text.at + at, end - at));
        return end;
    }
    int64_t moved = (int64_t)id;
    shift_trade_id(&moved, shift->round);
    buffer_json_int(out, moved);
    return end;
}

/* Copies metadata, moving the times and trade ids in it and naming other events by their ids of this round. */
static void rewrite_metadata(struct bytes text, const struct recording_shift *shift, struct buffer *out)
{
    struct bytes key = BYTES_NONE;
    for (size_t at = 0; at < text.length;) {
        if (text.at[at] != '"') {
            buffer_byte(out, text.at[at++]);
            continue;
        }
        size_t end = string_end(text, at);
        struct bytes inside = bytes_of(text.at + at + 1, end - at >= 2 ? end - at - 2 : 0);
        int64_t time_us;
        if (inside.length == TIMESTAMP_LENGTH && timestamp_parse(inside, &time_us)) {
            shift_time(&time_us, shift->time_us);
            buffer_byte(out, '"');
            timestamp_append(out, time_us);
            buffer_byte(out, '"');
        } else if (names_an_event(key) && inside.length > 0) {
            buffer_append(out, bytes_of(text.at + at, end - at - 1));
            buffer_printf(out, "-%" PRId64 "\"", shift->round);
        } else {
            buffer_append(out, bytes_of(text.at + at, end - at));
        }
        key = end < text.length && text.at[end] == ':' ? inside : BYTES_NONE;
        at = end;
        if (names_a_trade(key)) {
            buffer_byte(out, ':');
            at = rewrite_trade_id(text, at + 1, shift, out);
        }
    }
}

static bool shift_metadata(const struct recording_shift *shift, struct bytes *metadata, struct arena *arena)
{
    if (metadata->length == 0)
        return true;
    struct buffer out;
    buffer_init(&out, metadata->length * 2 + 4096);
    rewrite_metadata(*metadata, shift, &out);
    struct bytes copy = out.failed ? BYTES_NONE : arena_copy(arena, buffer_bytes(&out));
    buffer_release(&out);
    *metadata = copy;
    return copy.at != NULL;
}

bool recording_shift_event(const struct recording_shift *shift, struct event *event, struct arena *arena)
{
    if (shift->time_us == 0)
        return true;
    shift_time(&event->timestamp_us, shift->time_us);
    shift_time(&event->received_us, shift->time_us);
    bool made_of_fields = false;
    if (event->source == EVENT_MARKET) {
        shift_trade_id(&event->market.trade_id, shift->round);
        made_of_fields = event->kind == EVENT_TRADE && event->market.trade_id != TRADE_ID_NONE;
    }
    if (event->kind == EVENT_GAP) {
        shift_time(&event->gap.from_us, shift->time_us);
        shift_time(&event->gap.to_us, shift->time_us);
        shift_trade_id(&event->gap.first_missing, shift->round);
        shift_trade_id(&event->gap.last_missing, shift->round);
        made_of_fields = true;
    }
    if (!shift_metadata(shift, &event->metadata, arena))
        return false;
    return made_of_fields ? event_set_id(event, arena) : add_suffix(&event->id, shift->round, arena);
}
