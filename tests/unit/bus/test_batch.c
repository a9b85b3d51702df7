/* A batch's bytes taken apart: what its checksums cannot promise. */
#include "bus/batch_internal.h"
#include "unit/bus/bus_support.h"

enum { RECORDS = 3 };

struct made {
    struct batch_writer writer;
    struct batch_header header;
    struct batch_records records;
    struct error error;
    struct buffer *batch;
    char *body;
};

static void made_make(struct made *made, size_t value_bytes, bool pack)
{
    static char text[2000];
    memset(text, 'x', sizeof text);
    struct bus_record records[RECORDS];
    for (size_t i = 0; i < RECORDS; i++)
        records[i] = (struct bus_record){.timestamp_us = 1000 + (int64_t)i * 300,
                                         .topic = (uint32_t)i,
                                         .key = bytes_of(text, i),
                                         .value = bytes_of(text, value_bytes)};
    struct named_position position = {.name = "reader", .name_length = 6, .next_offset = 300};
    struct batch_content content = {.records = records,
                                    .count = RECORDS,
                                    .positions = &position,
                                    .position_count = 1,
                                    .base_offset = 77,
                                    .flags = BATCH_AFTER_SYNC};
    *made = (struct made){0};
    batch_writer_init(&made->writer, pack ? batch_packer_create() : NULL);
    batch_records_init(&made->records);
    made->batch = batch_write(&made->writer, &content, &made->header, &made->error);
    assert_non_null(made->batch);
    made->body = made->batch->at + BATCH_HEADER_BYTES;
    struct batch_header parsed;
    assert_int_equal(batch_header_parse(made->batch->at, &parsed), BATCH_HEADER_GOOD);
    /* Not as a whole: between them lie bytes that mean nothing. */
    assert_memory_equal(&parsed, &made->header, offsetof(struct batch_header, topics) + sizeof parsed.topics);
    assert_int_equal(parsed.base_offset, made->header.base_offset);
    assert_int_equal(parsed.min_time_us, made->header.min_time_us);
    assert_int_equal(parsed.max_time_us, made->header.max_time_us);
    assert_true((made->header.flags & BATCH_PACKED) == (pack ? BATCH_PACKED : 0));
}

static void made_release(struct made *made)
{
    batch_packer_destroy(made->writer.packer);
    batch_writer_release(&made->writer);
    batch_records_release(&made->records);
}

static int read_back(struct made *made)
{
    return batch_records_read(&made->header, made->body, BUS_ALL_TOPICS, 0, &made->records, &made->error);
}

static void test_every_byte_of_records(void **state)
{
    (void)state;
    struct made made;
    made_make(&made, 5, false);
    assert_int_equal(read_back(&made), 0);
    assert_true(made.records.count == RECORDS && made.records.at[2].offset == 79);
    /* Any byte with any value: an error, or records that lie inside the body. */
    size_t front = made.header.positions_size;
    const char *begin = made.body, *end = made.body + made.header.body_size;
    for (size_t at = front; at < made.header.body_size; at++)
        for (int value = 0; value < 256; value++) {
            char kept = made.body[at];
            made.body[at] = (char)value;
            if (read_back(&made) == 0)
                for (size_t i = 0; i < made.records.count; i++) {
                    const struct bus_record *record = &made.records.at[i];
                    assert_true(record->topic < BUS_TOPIC_COUNT);
                    assert_true(record->key.at >= begin && record->value.at + record->value.length <= end);
                }
            made.body[at] = kept;
        }
    /* Fewer or more bytes than the records need. */
    for (uint32_t less = 1; less < made.header.records_size; less++) {
        struct batch_header shorter = made.header;
        shorter.records_size -= less;
        shorter.body_size -= less;
        assert_int_equal(batch_records_read(&shorter, made.body, BUS_ALL_TOPICS, 0, &made.records, &made.error), -1);
    }
    struct batch_header fewer = made.header;
    fewer.record_count--;
    assert_int_equal(batch_records_read(&fewer, made.body, BUS_ALL_TOPICS, 0, &made.records, &made.error), -1);
    assert_non_null(strstr(made.error.text, "left"));
    made_release(&made);
}

static void test_every_byte_of_positions(void **state)
{
    (void)state;
    struct made made;
    struct positions positions = {0};
    uint64_t next = 0;
    made_make(&made, 5, false);
    assert_int_equal(batch_positions_read(&made.header, made.body, &positions, &made.error), 0);
    struct named_position *found = positions_find(&positions, BYTES("reader"));
    assert_true(found && found->next_offset == 300);
    positions_release(&positions);
    for (size_t at = 0; at < made.header.positions_size; at++)
        for (int value = 0; value < 256; value++) {
            char kept = made.body[at];
            made.body[at] = (char)value;
            if (batch_positions_read(&made.header, made.body, &positions, &made.error) == 0)
                for (size_t i = 0; i < positions.count; i++)
                    next += positions.at[i].next_offset;
            positions_release(&positions);
            made.body[at] = kept;
        }
    for (uint32_t size = 1; size < made.header.positions_size; size++) {
        struct batch_header shorter = made.header;
        shorter.positions_size = size;
        assert_int_equal(batch_positions_read(&shorter, made.body, &positions, &made.error), -1);
        positions_release(&positions);
    }
    assert_true(next > 0);
    made_release(&made);
}

static void test_packed_records(void **state)
{
    (void)state;
    struct made made;
    made_make(&made, 1500, true);
    assert_true(made.header.body_size < made.header.records_size / 2);
    assert_int_equal(read_back(&made), 0);
    assert_true(made.records.count == RECORDS && made.records.at[1].value.length == 1500);
    /* A frame that is damaged, or unpacks to less or more than announced. */
    for (int more = -1; more <= 1; more += 2) {
        struct batch_header other = made.header;
        other.records_size = (uint32_t)((int64_t)other.records_size + more);
        assert_int_equal(batch_records_read(&other, made.body, BUS_ALL_TOPICS, 0, &made.records, &made.error), -1);
        assert_non_null(strstr(made.error.text, "unpack"));
    }
    made.body[made.header.positions_size] = (char)(made.body[made.header.positions_size] ^ 1);
    assert_int_equal(read_back(&made), -1);
    made_release(&made);
}

static void test_limits(void **state)
{
    (void)state;
    struct batch_writer writer;
    struct batch_header header;
    struct error error;
    batch_writer_init(&writer, NULL);
    size_t many = BATCH_CAP_RECORDS + 1;
    struct bus_record *records = calloc(many, sizeof *records);
    assert_non_null(records);
    struct batch_content content = {.records = records, .count = many};
    assert_null(batch_write(&writer, &content, &header, &error));
    assert_non_null(strstr(error.text, "too large"));
    content.count = BATCH_CAP_RECORDS;
    assert_non_null(batch_write(&writer, &content, &header, &error));
    content.count = 1;
    content.base_offset = UINT64_MAX - 5;
    assert_null(batch_write(&writer, &content, &header, &error));
    assert_non_null(strstr(error.text, "offsets"));
    content.base_offset = 0;
    records[0].value = bytes_of("", SIZE_MAX); /* not looked at */
    assert_null(batch_write(&writer, &content, &header, &error));
    assert_non_null(strstr(error.text, "too large"));
    /* The memory of a large batch is given back after it. */
    records[0].value = BYTES_NONE;
    assert_non_null(batch_write(&writer, &content, &header, &error));
    assert_true(writer.plain.capacity < 1 << 20);
    free(records);
    batch_writer_release(&writer);
}

static void test_too_many_positions(void **state)
{
    (void)state;
    struct positions positions = {0};
    struct error error;
    for (int i = 0; i <= POSITION_COUNT_CAP; i++) {
        char name[32];
        snprintf(name, sizeof name, "reader %d", i);
        int status = positions_reserve(&positions, bytes_of_string(name), &error);
        assert_int_equal(status, i < POSITION_COUNT_CAP ? 0 : -1);
        if (status == 0)
            positions_set(&positions, bytes_of_string(name), (uint64_t)i);
    }
    assert_non_null(strstr(error.text, "positions"));
    positions_release(&positions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_byte_of_records), cmocka_unit_test(test_every_byte_of_positions),
        cmocka_unit_test(test_packed_records),        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_too_many_positions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
