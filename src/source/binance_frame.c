/* The general parser: frames in any order and spelling, with yyjson, numbers kept as text.  Tables say which fields a
 * record must have and how they are read. */
#include "source/binance_frame.h"

#include "event/decimal.h"
#include "event/json_tree.h"

/* ---- values ---- */

enum value_type { VALUE_ID, VALUE_ID_OR_NONE, VALUE_TIME, VALUE_TEXT, VALUE_PRICE, VALUE_VOLUME, VALUE_BOOL, VALUE_INTERVAL };

struct field {
    const char *name;
    enum value_type type;
    size_t offset;
};

static enum reject_reason read_integer(yyjson_val *value, int64_t least, int64_t *place)
{
    enum reject_reason reason = json_tree_int(value, place);
    return reason == REJECT_NONE && *place < least ? REJECT_BAD_NUMBER : reason;
}

static enum reject_reason read_time(yyjson_val *value, int64_t *time_us)
{
    int64_t number;
    enum reject_reason reason = read_integer(value, 0, &number);
    if (reason == REJECT_WRONG_TYPE)
        return reason;
    return reason == REJECT_NONE && timestamp_from_epoch((uint64_t)number, time_us) ? REJECT_NONE : REJECT_BAD_TIME;
}

static enum reject_reason read_decimal(yyjson_val *value, bool positive, struct bytes *place)
{
    if (!yyjson_is_str(value))
        return REJECT_WRONG_TYPE;
    struct bytes text = json_tree_text(value);
    if (text.length > BINANCE_DECIMAL_MAX || !decimal_is_valid(text) || decimal_compare(text, BYTES("0")) < (positive ? 1 : 0))
        return REJECT_BAD_NUMBER;
    *place = text;
    return REJECT_NONE;
}

static const struct bytes interval_names[BINANCE_INTERVAL_COUNT] = {
    BYTES("1s"), BYTES("1m"), BYTES("3m"), BYTES("5m"),  BYTES("15m"), BYTES("30m"), BYTES("1h"), BYTES("2h"),
    BYTES("4h"), BYTES("6h"), BYTES("8h"), BYTES("12h"), BYTES("1d"),  BYTES("3d"),  BYTES("1w"), BYTES("1M"),
};

struct bytes binance_interval_name(unsigned interval)
{
    return interval_names[interval];
}

static enum reject_reason read_interval(yyjson_val *value, unsigned *place)
{
    if (!yyjson_is_str(value))
        return REJECT_WRONG_TYPE;
    for (unsigned i = 0; i < BINANCE_INTERVAL_COUNT; i++)
        if (bytes_equal(json_tree_text(value), interval_names[i])) {
            *place = i;
            return REJECT_NONE;
        }
    return REJECT_UNKNOWN_KIND;
}

static enum reject_reason read_value(yyjson_val *value, enum value_type type, void *place)
{
    switch (type) {
    case VALUE_ID:
        return read_integer(value, 0, place);
    case VALUE_ID_OR_NONE:
        return read_integer(value, -1, place);
    case VALUE_TIME:
        return read_time(value, place);
    case VALUE_PRICE:
        return read_decimal(value, true, place);
    case VALUE_VOLUME:
        return read_decimal(value, false, place);
    case VALUE_INTERVAL:
        return read_interval(value, place);
    case VALUE_BOOL:
        if (!yyjson_is_bool(value))
            return REJECT_WRONG_TYPE;
        *(bool *)place = yyjson_get_bool(value);
        return REJECT_NONE;
    case VALUE_TEXT:
        break;
    }
    if (!yyjson_is_str(value))
        return REJECT_WRONG_TYPE;
    *(struct bytes *)place = json_tree_text(value);
    return REJECT_NONE;
}

static enum reject_reason read_fields(yyjson_val *object, const struct field *fields, struct binance_frame *frame)
{
    for (; fields->name; fields++) {
        yyjson_val *value = yyjson_obj_get(object, fields->name);
        if (!value)
            return REJECT_MISSING_FIELD;
        enum reject_reason reason = read_value(value, fields->type, (char *)frame + fields->offset);
        if (reason != REJECT_NONE)
            return reason;
    }
    return REJECT_NONE;
}

/* ---- records ---- */

#define FIELD(name, type, member)                                                                                                \
    {                                                                                                                            \
        name, type, offsetof(struct binance_frame, member)                                                                       \
    }
#define FIELDS_END                                                                                                               \
    {                                                                                                                            \
        NULL, VALUE_ID, 0                                                                                                        \
    }

static enum reject_reason read_agg_trade(yyjson_val *record, struct binance_frame *frame)
{
    static const struct field fields[] = {FIELD("E", VALUE_TIME, event_us),
                                          FIELD("s", VALUE_TEXT, symbol),
                                          FIELD("a", VALUE_ID, trade.id),
                                          FIELD("p", VALUE_PRICE, trade.price),
                                          FIELD("q", VALUE_VOLUME, trade.quantity),
                                          FIELD("f", VALUE_ID, trade.first_id),
                                          FIELD("l", VALUE_ID, trade.last_id),
                                          FIELD("T", VALUE_TIME, trade.time_us),
                                          FIELD("m", VALUE_BOOL, trade.buyer_is_maker),
                                          FIELDS_END};
    frame->kind = BINANCE_AGG_TRADE;
    enum reject_reason reason = read_fields(record, fields, frame);
    if (reason == REJECT_NONE && frame->trade.first_id > frame->trade.last_id)
        return REJECT_BAD_NUMBER;
    return reason;
}

static enum reject_reason read_trade(yyjson_val *record, struct binance_frame *frame)
{
    static const struct field fields[] = {
        FIELD("E", VALUE_TIME, event_us),
        FIELD("s", VALUE_TEXT, symbol),
        FIELD("t", VALUE_ID, trade.id),
        FIELD("p", VALUE_PRICE, trade.price),
        FIELD("q", VALUE_VOLUME, trade.quantity),
        FIELD("T", VALUE_TIME, trade.time_us),
        FIELD("m", VALUE_BOOL, trade.buyer_is_maker),
        FIELDS_END,
    };
    frame->kind = BINANCE_TRADE;
    enum reject_reason reason = read_fields(record, fields, frame);
    if (reason == REJECT_NONE)
        frame->trade.first_id = frame->trade.last_id = frame->trade.id;
    return reason;
}

static enum reject_reason read_kline(yyjson_val *record, struct binance_frame *frame)
{
    static const struct field outer[] = {FIELD("E", VALUE_TIME, event_us), FIELD("s", VALUE_TEXT, symbol), FIELDS_END};
    static const struct field inner[] = {
        FIELD("t", VALUE_TIME, kline.start_us),       FIELD("T", VALUE_TIME, kline.end_us),
        FIELD("i", VALUE_INTERVAL, kline.interval),   FIELD("f", VALUE_ID_OR_NONE, kline.first_id),
        FIELD("L", VALUE_ID_OR_NONE, kline.last_id),  FIELD("o", VALUE_PRICE, kline.open),
        FIELD("c", VALUE_PRICE, kline.close),         FIELD("h", VALUE_PRICE, kline.high),
        FIELD("l", VALUE_PRICE, kline.low),           FIELD("v", VALUE_VOLUME, kline.volume),
        FIELD("n", VALUE_ID, kline.trades),           FIELD("x", VALUE_BOOL, kline.closed),
        FIELD("q", VALUE_VOLUME, kline.quote_volume), FIELDS_END,
    };
    frame->kind = BINANCE_KLINE;
    enum reject_reason reason = read_fields(record, outer, frame);
    yyjson_val *kline = yyjson_obj_get(record, "k");
    if (reason != REJECT_NONE)
        return reason;
    if (!kline)
        return REJECT_MISSING_FIELD;
    if (!yyjson_is_obj(kline))
        return REJECT_WRONG_TYPE;
    return read_fields(kline, inner, frame);
}

static enum reject_reason read_book_ticker(yyjson_val *record, struct binance_frame *frame)
{
    static const struct field fields[] = {
        FIELD("u", VALUE_ID, quote.update_id),
        FIELD("s", VALUE_TEXT, symbol),
        FIELD("b", VALUE_PRICE, quote.bid),
        FIELD("B", VALUE_VOLUME, quote.bid_volume),
        FIELD("a", VALUE_PRICE, quote.ask),
        FIELD("A", VALUE_VOLUME, quote.ask_volume),
        FIELDS_END,
    };
    frame->kind = BINANCE_BOOK_TICKER;
    return read_fields(record, fields, frame);
}

static enum reject_reason read_shutdown(yyjson_val *record, struct binance_frame *frame)
{
    (void)record;
    frame->kind = BINANCE_SHUTDOWN;
    return REJECT_NONE;
}

static enum reject_reason read_unwanted(yyjson_val *record, struct binance_frame *frame)
{
    (void)record;
    frame->kind = BINANCE_UNWANTED;
    return REJECT_NONE;
}

typedef enum reject_reason record_reader(yyjson_val *record, struct binance_frame *frame);

static const struct {
    struct bytes name;
    record_reader *read;
} kinds[] = {
    {BYTES("aggTrade"), read_agg_trade},
    {BYTES("trade"), read_trade},
    {BYTES("kline"), read_kline},
    {BYTES("bookTicker"), read_book_ticker},
    {BYTES("serverShutdown"), read_shutdown},
    {BYTES("depthUpdate"), read_unwanted},
    {BYTES("24hrTicker"), read_unwanted},
    {BYTES("24hrMiniTicker"), read_unwanted},
    {BYTES("1hTicker"), read_unwanted},
    {BYTES("4hTicker"), read_unwanted},
    {BYTES("1dTicker"), read_unwanted},
    {BYTES("avgPrice"), read_unwanted},
};

static enum reject_reason find_reader(yyjson_val *name, record_reader **reader)
{
    if (!yyjson_is_str(name))
        return REJECT_WRONG_TYPE;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (bytes_equal(kinds[i].name, json_tree_text(name))) {
            *reader = kinds[i].read;
            return REJECT_NONE;
        }
    return REJECT_UNKNOWN_KIND;
}

/* ---- frames without a kind: answers, errors, quotes, order books ---- */

static enum reject_reason read_error(yyjson_val *error, struct binance_frame *frame)
{
    yyjson_val *code = yyjson_obj_get(error, "code");
    yyjson_val *text = yyjson_obj_get(error, "msg");
    frame->kind = BINANCE_ERROR;
    frame->error.code = 0;
    frame->error.text = BYTES("");
    if (!code || !text)
        return REJECT_MISSING_FIELD;
    if (!yyjson_is_str(text))
        return REJECT_WRONG_TYPE;
    frame->error.text = json_tree_text(text);
    return json_tree_int(code, &frame->error.code);
}

static enum reject_reason read_unnamed(yyjson_val *record, struct binance_frame *frame)
{
    yyjson_val *error = yyjson_obj_get(record, "error");
    if (error)
        return yyjson_is_obj(error) ? read_error(error, frame) : REJECT_WRONG_TYPE;
    if (yyjson_obj_get(record, "msg"))
        return read_error(record, frame);
    if (yyjson_obj_get(record, "result") && yyjson_obj_get(record, "id")) {
        frame->kind = BINANCE_ANSWER;
        return REJECT_NONE;
    }
    if (yyjson_obj_get(record, "lastUpdateId"))
        return read_unwanted(record, frame);
    if (yyjson_obj_get(record, "u"))
        return read_book_ticker(record, frame);
    return REJECT_UNKNOWN_KIND;
}

static enum reject_reason read_record(yyjson_val *record, struct binance_frame *frame)
{
    /* Streams of all symbols at once (!miniTicker@arr) send lists, of records that make no events. */
    yyjson_val *first = yyjson_arr_get_first(record);
    yyjson_val *name = yyjson_obj_get(first ? first : record, "e");
    if (!first && !yyjson_is_obj(record))
        return REJECT_WRONG_TYPE;
    if (!name)
        return first ? REJECT_UNKNOWN_KIND : read_unnamed(record, frame);
    record_reader *reader;
    enum reject_reason reason = find_reader(name, &reader);
    if (reason == REJECT_NONE && first && reader != read_unwanted)
        return REJECT_WRONG_TYPE;
    return reason != REJECT_NONE ? reason : reader(record, frame);
}

enum reject_reason binance_frame_parse_any(struct bytes text, struct arena *arena, struct binance_frame *frame)
{
    yyjson_doc *document;
    enum reject_reason reason = json_tree_read(text, arena, &document);
    if (reason != REJECT_NONE)
        return reason;
    frame->event_us = TIME_UNKNOWN;
    yyjson_val *root = yyjson_doc_get_root(document);
    yyjson_val *stream = yyjson_obj_get(root, "stream"), *data = yyjson_obj_get(root, "data");
    if (!stream)
        return read_record(root, frame);
    if (!yyjson_is_str(stream))
        return REJECT_WRONG_TYPE;
    return data ? read_record(data, frame) : REJECT_MISSING_FIELD;
}

enum reject_reason binance_frame_parse(struct bytes text, struct arena *arena, struct binance_frame *frame)
{
    return binance_frame_scan(text, frame) ? REJECT_NONE : binance_frame_parse_any(text, arena, frame);
}
