/* The general parser: frames in any order and spelling, with yyjson, numbers kept as text.  Tables say which fields a
 * record has, how they are read, and which of them it may lack. */
#include "source/coinbase_frame.h"

#include "event/decimal.h"
#include "event/json_tree.h"

/* ---- values ---- */

enum value_type { VALUE_ID, VALUE_TIME, VALUE_TEXT, VALUE_PRICE, VALUE_AMOUNT, VALUE_SIDE };

struct field {
    const char *name;
    enum value_type type;
    bool optional; /* may be absent, or null: its place is left as it is */
    size_t offset;
};

static enum reject_reason read_id(yyjson_val *value, int64_t *place)
{
    enum reject_reason reason = json_tree_int(value, place);
    return reason == REJECT_NONE && *place < 0 ? REJECT_BAD_NUMBER : reason;
}

static enum reject_reason read_decimal(struct bytes text, bool positive, struct bytes *place)
{
    if (text.length > COINBASE_DECIMAL_MAX || !decimal_is_valid(text) || decimal_compare(text, BYTES("0")) < (positive ? 1 : 0))
        return REJECT_BAD_NUMBER;
    *place = text;
    return REJECT_NONE;
}

static enum reject_reason read_side(struct bytes text, enum event_side *side)
{
    *side = bytes_equal(text, BYTES("buy")) ? EVENT_BUY : bytes_equal(text, BYTES("sell")) ? EVENT_SELL : EVENT_SIDE_NONE;
    return *side == EVENT_SIDE_NONE ? REJECT_UNKNOWN_KIND : REJECT_NONE;
}

static enum reject_reason read_value(yyjson_val *value, enum value_type type, void *place)
{
    if (type == VALUE_ID)
        return read_id(value, place);
    if (!yyjson_is_str(value))
        return REJECT_WRONG_TYPE;
    struct bytes text = json_tree_text(value);
    switch (type) {
    case VALUE_TIME:
        return timestamp_parse(text, place) ? REJECT_NONE : REJECT_BAD_TIME;
    case VALUE_PRICE:
        return read_decimal(text, true, place);
    case VALUE_AMOUNT:
        return read_decimal(text, false, place);
    case VALUE_SIDE:
        return read_side(text, place);
    case VALUE_ID:
    case VALUE_TEXT:
        break;
    }
    *(struct bytes *)place = text;
    return REJECT_NONE;
}

static enum reject_reason read_fields(yyjson_val *object, const struct field *fields, struct coinbase_frame *frame)
{
    for (; fields->name; fields++) {
        yyjson_val *value = yyjson_obj_get(object, fields->name);
        if (fields->optional && (!value || yyjson_is_null(value)))
            continue;
        if (!value)
            return REJECT_MISSING_FIELD;
        enum reject_reason reason = read_value(value, fields->type, (char *)frame + fields->offset);
        if (reason != REJECT_NONE)
            return reason;
    }
    return REJECT_NONE;
}

/* ---- records ---- */

#define PLACE(member) offsetof(struct coinbase_frame, member)
#define FIELDS_END                                                                                                               \
    {                                                                                                                            \
        NULL, VALUE_ID, true, 0                                                                                                  \
    }

static const struct bytes figure_names[COINBASE_FIGURE_COUNT] = {
    BYTES("bid"),      BYTES("bid_volume"), BYTES("ask"),        BYTES("ask_volume"), BYTES("open_24h"),
    BYTES("high_24h"), BYTES("low_24h"),    BYTES("volume_24h"), BYTES("volume_30d"),
};

struct bytes coinbase_figure_name(unsigned figure)
{
    return figure_names[figure];
}

static const struct field match_fields[] = {
    {"trade_id", VALUE_ID, false, PLACE(trade_id)},
    {"side", VALUE_SIDE, false, PLACE(side)},
    {"size", VALUE_AMOUNT, false, PLACE(size)},
    {"price", VALUE_PRICE, false, PLACE(price)},
    {"product_id", VALUE_TEXT, false, PLACE(product)},
    {"sequence", VALUE_ID, false, PLACE(sequence)},
    {"time", VALUE_TIME, false, PLACE(time_us)},
    {"maker_order_id", VALUE_TEXT, true, PLACE(match.maker_order_id)},
    {"taker_order_id", VALUE_TEXT, true, PLACE(match.taker_order_id)},
    FIELDS_END,
};

/* The figures in the order of their names above. */
static const struct field ticker_fields[] = {
    {"sequence", VALUE_ID, false, PLACE(sequence)},
    {"product_id", VALUE_TEXT, false, PLACE(product)},
    {"price", VALUE_PRICE, false, PLACE(price)},
    {"time", VALUE_TIME, false, PLACE(time_us)},
    {"trade_id", VALUE_ID, true, PLACE(trade_id)},
    {"side", VALUE_SIDE, true, PLACE(side)},
    {"last_size", VALUE_AMOUNT, true, PLACE(size)},
    {"best_bid", VALUE_AMOUNT, true, PLACE(figures[0])},
    {"best_bid_size", VALUE_AMOUNT, true, PLACE(figures[1])},
    {"best_ask", VALUE_AMOUNT, true, PLACE(figures[2])},
    {"best_ask_size", VALUE_AMOUNT, true, PLACE(figures[3])},
    {"open_24h", VALUE_AMOUNT, true, PLACE(figures[4])},
    {"high_24h", VALUE_AMOUNT, true, PLACE(figures[5])},
    {"low_24h", VALUE_AMOUNT, true, PLACE(figures[6])},
    {"volume_24h", VALUE_AMOUNT, true, PLACE(figures[7])},
    {"volume_30d", VALUE_AMOUNT, true, PLACE(figures[8])},
    FIELDS_END,
};

static const struct field heartbeat_fields[] = {
    {"sequence", VALUE_ID, false, PLACE(sequence)},
    {"last_trade_id", VALUE_ID, false, PLACE(trade_id)},
    {"product_id", VALUE_TEXT, false, PLACE(product)},
    {"time", VALUE_TIME, false, PLACE(time_us)},
    FIELDS_END,
};

static const struct field error_fields[] = {
    {"message", VALUE_TEXT, true, PLACE(error.message)},
    {"reason", VALUE_TEXT, true, PLACE(error.reason)},
    FIELDS_END,
};

static const struct field no_fields[] = {FIELDS_END};

static const struct {
    struct bytes name;
    enum coinbase_kind kind;
    const struct field *fields;
} kinds[] = {
    {BYTES("match"), COINBASE_MATCH, match_fields},     {BYTES("last_match"), COINBASE_MATCH, match_fields},
    {BYTES("ticker"), COINBASE_TICKER, ticker_fields},  {BYTES("heartbeat"), COINBASE_HEARTBEAT, heartbeat_fields},
    {BYTES("error"), COINBASE_ERROR, error_fields},     {BYTES("subscriptions"), COINBASE_UNWANTED, no_fields},
    {BYTES("snapshot"), COINBASE_UNWANTED, no_fields},  {BYTES("l2update"), COINBASE_UNWANTED, no_fields},
    {BYTES("status"), COINBASE_UNWANTED, no_fields},    {BYTES("auction"), COINBASE_UNWANTED, no_fields},
    {BYTES("rfq_match"), COINBASE_UNWANTED, no_fields}, {BYTES("received"), COINBASE_UNWANTED, no_fields},
    {BYTES("open"), COINBASE_UNWANTED, no_fields},      {BYTES("done"), COINBASE_UNWANTED, no_fields},
    {BYTES("change"), COINBASE_UNWANTED, no_fields},    {BYTES("activate"), COINBASE_UNWANTED, no_fields},
};

enum reject_reason coinbase_frame_parse_any(struct bytes text, struct arena *arena, struct coinbase_frame *frame)
{
    yyjson_doc *document;
    enum reject_reason reason = json_tree_read(text, arena, &document);
    if (reason != REJECT_NONE)
        return reason;
    yyjson_val *record = yyjson_doc_get_root(document), *type = yyjson_obj_get(record, "type");
    if (!yyjson_is_obj(record))
        return REJECT_WRONG_TYPE;
    if (!type)
        return REJECT_MISSING_FIELD;
    if (!yyjson_is_str(type))
        return REJECT_WRONG_TYPE;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (bytes_equal(kinds[i].name, json_tree_text(type))) {
            *frame = (struct coinbase_frame){.kind = kinds[i].kind, .trade_id = TRADE_ID_NONE};
            return read_fields(record, kinds[i].fields, frame);
        }
    return REJECT_UNKNOWN_KIND;
}

enum reject_reason coinbase_frame_parse(struct bytes text, struct arena *arena, struct coinbase_frame *frame)
{
    return coinbase_frame_scan(text, frame) ? REJECT_NONE : coinbase_frame_parse_any(text, arena, frame);
}
