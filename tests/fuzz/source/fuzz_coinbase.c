/* The two parsers of Coinbase frames agree: where the fast one answers, the general one says the same.  And whatever lines
 * come, one by one or all at once, the adapter makes the same events, each of them one that can be read back. */
#include "source/coinbase_frame.h"
#include "source/source_internal.h"

#include <assert.h>

enum { FRAMES_MAX = 256, TEXT_CAP = 64 << 20 };

static void check_parsers(struct bytes text)
{
    struct arena arena;
    struct coinbase_frame fast, general;
    arena_init(&arena, 16 << 20);
    if (coinbase_frame_scan(text, &fast)) {
        assert(coinbase_frame_parse_any(text, &arena, &general) == REJECT_NONE);
        assert(fast.kind == COINBASE_MATCH && general.kind == COINBASE_MATCH);
        assert(fast.trade_id == general.trade_id && fast.sequence == general.sequence && fast.time_us == general.time_us);
        assert(fast.side == general.side && bytes_equal(fast.product, general.product));
        assert(bytes_equal(fast.price, general.price) && bytes_equal(fast.size, general.size));
        assert(bytes_equal(fast.match.maker_order_id, general.match.maker_order_id));
        assert(bytes_equal(fast.match.taker_order_id, general.match.taker_order_id));
    }
    arena_release(&arena);
}

static void play(const struct source_input *inputs, size_t count, size_t batch, struct buffer *out)
{
    struct source_options options = {.kind = BYTES("coinbase"), .argument = BYTES(""), .base_url = BYTES("")};
    struct error error;
    struct source *source = source_create_of(&source_coinbase, &options, &error);
    struct source_output output = {.batch = event_batch_create(1)};
    assert(source && output.batch);
    for (size_t i = 0; i < count; i += batch) {
        source_read(source, inputs + i, count - i < batch ? count - i : batch, &output);
        for (size_t j = 0; j < output.batch->count; j++) {
            event_write(&output.batch->events[j], out);
            buffer_byte(out, '\n');
        }
        event_batch_reset(output.batch);
        source_output_reset(&output);
    }
    event_batch_destroy(output.batch);
    source_destroy(source);
}

static void check_events(struct bytes text)
{
    struct arena arena;
    arena_init(&arena, 16 << 20);
    while (text.length > 0) {
        struct event event;
        assert(event_parse(bytes_split(text, '\n', &text), &arena, &event) == REJECT_NONE);
        arena_reset(&arena);
    }
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_of((const char *)data, size);
    struct source_input inputs[FRAMES_MAX];
    size_t count = 0;
    while (text.length > 0 && count < FRAMES_MAX) {
        /* Frames with a time of receipt and without. */
        int64_t now_us = count % 2 ? (int64_t)count : TIME_UNKNOWN;
        inputs[count] = (struct source_input){.kind = SOURCE_FRAME, .now_us = now_us, .frame = bytes_split(text, '\n', &text)};
        check_parsers(inputs[count++].frame);
    }
    struct buffer one_by_one, together;
    buffer_init(&one_by_one, TEXT_CAP);
    buffer_init(&together, TEXT_CAP);
    play(inputs, count, 1, &one_by_one);
    play(inputs, count, FRAMES_MAX, &together);
    assert(bytes_equal(buffer_bytes(&one_by_one), buffer_bytes(&together)));
    check_events(buffer_bytes(&together));
    buffer_release(&one_by_one);
    buffer_release(&together);
    return 0;
}
