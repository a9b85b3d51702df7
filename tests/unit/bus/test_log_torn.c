/* Damage: a log cut at every byte, with every bit of its headers and one of each other byte turned.  What was acknowledged
 * before the damage must be there, or the log must refuse with a reason; wrong data never. */
#include "unit/bus/bus_support.h"

enum { BATCHES = 6, RECORDS = 3, HEADER_BYTES = 56, ONE_SEGMENT_BYTES = 10000 };

/* A small log as its writer left it, in memory. */
struct original {
    struct scratch scratch;
    struct fault_env quick;
    bool compress;
    uint64_t bases[BATCHES + 1]; /* of the segments */
    size_t segment_count;
    char *data[BATCHES]; /* of the segments */
    size_t sizes[BATCHES];
    size_t ends[BATCHES];       /* of the batches, in their segment's file */
    size_t segment_of[BATCHES]; /* of the batches */
};

static struct bus *open_at(struct original *original, bool read_only, uint64_t segment_bytes, struct error *error)
{
    struct bus_log_options options = {.directory = original->scratch.path,
                                      .read_only = read_only,
                                      .segment_bytes = segment_bytes,
                                      .compress = original->compress};
    return bus_log_open(&options, &original->quick.env, error);
}

/* Each batch gives the reader "r" the position after it. */
static void append_batch(struct bus *bus, uint64_t batch)
{
    struct error error;
    struct bus_position position = {BYTES("r"), (batch + 1) * RECORDS};
    if (numbered_append(bus, batch * RECORDS, RECORDS, &position, &error) != 0)
        fail_msg("%s", error.text);
}

static void original_make(struct original *original, uint64_t segment_bytes, bool compress)
{
    *original = (struct original){.compress = compress};
    struct error error;
    fault_env_init(&original->quick);
    scratch_make_quick(&original->scratch);
    for (uint64_t batch = 0; batch < BATCHES; batch++) {
        struct bus *bus = open_at(original, false, segment_bytes, &error);
        assert_non_null(bus);
        append_batch(bus, batch);
        struct bus_info info;
        bus_info(bus, &info);
        bus_destroy(bus); /* trims: the file's size is the end of the batch */
        if (info.segments > original->segment_count)
            original->bases[original->segment_count++] = batch * RECORDS;
        size_t segment = original->segment_count - 1;
        free(original->data[segment]);
        original->data[segment] =
            file_load(scratch_file(&original->scratch, original->bases[segment], ".log").text, &original->sizes[segment]);
        original->ends[batch] = original->sizes[segment];
        original->segment_of[batch] = segment;
    }
}

static void original_free(struct original *original)
{
    for (size_t i = 0; i < original->segment_count; i++)
        free(original->data[i]);
    scratch_remove(&original->scratch);
}

static void original_restore(struct original *original)
{
    scratch_empty(&original->scratch);
    for (size_t i = 0; i < original->segment_count; i++)
        file_store(scratch_file(&original->scratch, original->bases[i], ".log").text, original->data[i], original->sizes[i]);
}

/* The number of whole batches before byte `at` of a segment. */
static uint64_t batches_before(const struct original *original, size_t segment, size_t at)
{
    uint64_t count = 0;
    while (count < BATCHES &&
           (original->segment_of[count] < segment || (original->segment_of[count] == segment && original->ends[count] <= at)))
        count++;
    return count;
}

/* The log holds exactly these batches, and takes more. */
static void expect_exactly(struct bus *bus, uint64_t batches)
{
    struct error error;
    struct bus_info info;
    int status;
    uint64_t position = 0;
    bus_info(bus, &info);
    assert_true(info.end_offset == batches * RECORDS);
    assert_true(numbered_read(bus, 0, &status, &error) == batches * RECORDS);
    assert_int_equal(status, 0);
    assert_int_equal(bus_position(bus, BYTES("r"), &position), batches > 0);
    assert_true(position == batches * RECORDS);
    append_batch(bus, batches);
    assert_true(numbered_read(bus, 0, &status, &error) == (batches + 1) * RECORDS);
    assert_int_equal(bus_position(bus, BYTES("r"), &position), 1);
    assert_true(position == (batches + 1) * RECORDS);
}

static void cut_everywhere(uint64_t segment_bytes, bool compress)
{
    struct original original;
    original_make(&original, segment_bytes, compress);
    size_t last = original.segment_count - 1;
    for (size_t size = 0; size <= original.sizes[last]; size++) {
        struct error error = {{0}};
        uint64_t whole = batches_before(&original, last, size);
        size_t whole_bytes = whole > 0 && original.segment_of[whole - 1] == last ? original.ends[whole - 1] : 0;
        original_restore(&original);
        file_store(scratch_file(&original.scratch, original.bases[last], ".log").text, original.data[last], size);
        /* Read-only: what is whole, and nothing is changed. */
        struct bus *bus = open_at(&original, true, ONE_SEGMENT_BYTES, &error);
        assert_non_null(bus);
        int status;
        assert_true(numbered_read(bus, 0, &status, &error) == whole * RECORDS);
        assert_int_equal(status, 0);
        bus_destroy(bus);
        bus = open_at(&original, false, segment_bytes, &error);
        if (!bus)
            fail_msg("cut at %zu: %s", size, error.text);
        struct bus_info info;
        bus_info(bus, &info);
        size_t used = size; /* zeros at the end may be room made ahead */
        while (used > whole_bytes && original.data[last][used - 1] == 0)
            used--;
        assert_true(info.cut_bytes == used - whole_bytes);
        expect_exactly(bus, whole);
        bus_destroy(bus);
        bus = open_at(&original, false, segment_bytes, &error);
        assert_non_null(bus);
        expect_exactly(bus, whole + 1);
        bus_destroy(bus);
    }
    original_free(&original);
}

static void test_cut_one_segment(void **state)
{
    (void)state;
    cut_everywhere(ONE_SEGMENT_BYTES, false);
    cut_everywhere(ONE_SEGMENT_BYTES, true);
}

static void test_cut_many_segments(void **state)
{
    (void)state;
    cut_everywhere(1500, false);
    cut_everywhere(1, false); /* a batch a segment: the last one may be without any */
}

static void test_cut_before_zeros(void **state)
{
    (void)state;
    struct original original;
    original_make(&original, ONE_SEGMENT_BYTES, false);
    /* A crash leaves the zeros that the writer made ahead; of the append that it interrupted, any part. */
    char *room = calloc(1, original.sizes[0] + 5000);
    assert_non_null(room);
    for (size_t size = 0; size <= original.sizes[0]; size += 7) {
        struct error error = {{0}};
        memset(room, 0, original.sizes[0] + 5000);
        memcpy(room, original.data[0], size);
        scratch_empty(&original.scratch);
        file_store(scratch_file(&original.scratch, 0, ".log").text, room, original.sizes[0] + 5000);
        struct bus *bus = open_at(&original, false, ONE_SEGMENT_BYTES, &error);
        if (!bus)
            fail_msg("zeros from %zu on: %s", size, error.text);
        expect_exactly(bus, batches_before(&original, 0, size));
        bus_destroy(bus);
    }
    free(room);
    original_free(&original);
}

static void test_first_page_of_append_missing(void **state)
{
    (void)state;
    /* The disk may keep the end of an interrupted append and lose its beginning. */
    struct original original;
    original_make(&original, ONE_SEGMENT_BYTES, false);
    size_t begin = original.ends[BATCHES - 2], end = original.ends[BATCHES - 1];
    for (size_t lost = 1; lost < end - begin; lost += 5) {
        struct error error = {{0}};
        original_restore(&original);
        char *data = calloc(1, end);
        assert_non_null(data);
        memcpy(data, original.data[0], end);
        memset(data + begin, 0, lost);
        file_store(scratch_file(&original.scratch, 0, ".log").text, data, end);
        free(data);
        struct bus *bus = open_at(&original, false, ONE_SEGMENT_BYTES, &error);
        assert_non_null(bus);
        struct bus_info info;
        bus_info(bus, &info);
        assert_true(info.cut_bytes > 0);
        expect_exactly(bus, BATCHES - 1);
        bus_destroy(bus);
    }
    original_free(&original);
}

/* ---- turned bits ---- */

static bool in_header(const struct original *original, size_t segment, size_t at)
{
    size_t begin = 0;
    for (size_t batch = 0; batch < BATCHES; batch++)
        if (original->segment_of[batch] == segment && original->ends[batch] <= at)
            begin = original->ends[batch];
    return at - begin < HEADER_BYTES;
}

/* Reads as far as the log lets; what comes is checked.  The offset reached. */
static uint64_t read_prefix(struct bus *bus, bool *damaged)
{
    struct error error = {{0}};
    int status;
    uint64_t end = numbered_read(bus, 0, &status, &error);
    *damaged = status < 0;
    assert_true(status == 0 || error.text[0]);
    return end;
}

static void turn_bit(struct original *original, size_t segment, size_t at, int bit)
{
    struct error error = {{0}};
    bool last_segment = segment + 1 == original->segment_count, damaged;
    uint64_t before = batches_before(original, segment, at);
    bool last_batch = before == BATCHES - 1;
    original_restore(original);
    original->data[segment][at] = (char)(original->data[segment][at] ^ 1 << bit);
    file_store(scratch_file(&original->scratch, original->bases[segment], ".log").text, original->data[segment],
               original->sizes[segment]);
    struct bus *bus = open_at(original, true, ONE_SEGMENT_BYTES, &error);
    if (bus) {
        assert_true(read_prefix(bus, &damaged) == before * RECORDS);
        assert_true(damaged == !last_batch); /* the last may be a torn tail; any other is damage, and said */
        bus_destroy(bus);
    }
    bus = open_at(original, false, ONE_SEGMENT_BYTES, &error);
    if (last_segment && !last_batch) {
        assert_null(bus); /* acknowledged batches follow: nothing may be cut */
        assert_non_null(strstr(error.text, "acknowledged"));
    } else if (last_segment) {
        assert_non_null(bus);
        expect_exactly(bus, before);
    } else {
        assert_non_null(bus);
        assert_true(read_prefix(bus, &damaged) == before * RECORDS);
        assert_true(damaged);
    }
    bus_destroy(bus);
    if (!last_batch) { /* nothing was changed */
        size_t size;
        char *data = file_load(scratch_file(&original->scratch, original->bases[segment], ".log").text, &size);
        assert_true(size == original->sizes[segment] && memcmp(data, original->data[segment], size) == 0);
        free(data);
    }
    original->data[segment][at] = (char)(original->data[segment][at] ^ 1 << bit);
}

static void turn_bits(uint64_t segment_bytes, bool compress)
{
    struct original original;
    original_make(&original, segment_bytes, compress);
    for (size_t segment = 0; segment < original.segment_count; segment++)
        for (size_t at = 0; at < original.sizes[segment]; at++) {
            if (in_header(&original, segment, at))
                for (int bit = 0; bit < 8; bit++)
                    turn_bit(&original, segment, at, bit);
            else if (at % 3 == 0)
                turn_bit(&original, segment, at, (int)(at / 3 % 8));
        }
    original_free(&original);
}

static void test_bits_one_segment(void **state)
{
    (void)state;
    turn_bits(ONE_SEGMENT_BYTES, false);
}

static void test_bits_many_segments(void **state)
{
    (void)state;
    turn_bits(1500, true);
}

/* ---- files that are missing or strange ---- */

static void test_missing_middle_segment(void **state)
{
    (void)state;
    struct original original;
    struct error error = {{0}};
    bool damaged;
    original_make(&original, 1, false);
    original_restore(&original);
    assert_int_equal(unlink(scratch_file(&original.scratch, original.bases[2], ".log").text), 0);
    struct bus *bus = open_at(&original, false, ONE_SEGMENT_BYTES, &error);
    assert_non_null(bus);
    assert_true(read_prefix(bus, &damaged) == 2 * RECORDS);
    assert_true(damaged);
    bus_destroy(bus);
    original_free(&original);
}

static void test_begun_segment_after_missing_one(void **state)
{
    (void)state;
    /* The last segment has no batch, and the one before does not reach it: acknowledged records are missing. */
    struct original original;
    struct error error = {{0}};
    original_make(&original, 1, false);
    original_restore(&original);
    assert_int_equal(unlink(scratch_file(&original.scratch, original.bases[4], ".log").text), 0);
    file_store(scratch_file(&original.scratch, original.bases[5], ".log").text, "", 0);
    assert_null(open_at(&original, false, ONE_SEGMENT_BYTES, &error));
    assert_non_null(strstr(error.text, "missing"));
    /* Alone, it says the same of all before it. */
    scratch_empty(&original.scratch);
    file_store(scratch_file(&original.scratch, original.bases[5], ".log").text, "", 0);
    assert_null(open_at(&original, false, ONE_SEGMENT_BYTES, &error));
    original_free(&original);
}

static void test_newer_format_is_refused(void **state)
{
    (void)state;
    struct original original;
    struct error error = {{0}};
    original_make(&original, ONE_SEGMENT_BYTES, false);
    original_restore(&original);
    char *data = original.data[0];
    enum { AT_HEADER_CRC = 4, AT_VERSION = 8 };
    size_t last = original.ends[BATCHES - 2];
    data[last + AT_VERSION] = 2;
    uint32_t crc = 0xFFFFFFFF; /* bit by bit: not the program's own code */
    for (size_t i = AT_VERSION; i < HEADER_BYTES; i++) {
        crc ^= (unsigned char)data[last + i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78 : 0);
    }
    crc = ~crc;
    memcpy(data + last + AT_HEADER_CRC, &crc, sizeof crc);
    file_store(scratch_file(&original.scratch, 0, ".log").text, data, original.sizes[0]);
    assert_null(open_at(&original, false, ONE_SEGMENT_BYTES, &error)); /* the last batch, but no torn tail */
    assert_non_null(strstr(error.text, "version"));
    original_free(&original);
}

static void test_other_files_do_not_matter(void **state)
{
    (void)state;
    struct original original;
    struct error error = {{0}};
    original_make(&original, ONE_SEGMENT_BYTES, false);
    original_restore(&original);
    const char *const strangers[] = {"notes.txt",
                                     "00000000000000000001.log.old",
                                     "1.log",
                                     "0000000000000000000x.log",
                                     "99999999999999999999.log",
                                     "00000000000000000777.index"};
    for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++) {
        char path[600];
        snprintf(path, sizeof path, "%s/%s", original.scratch.path, strangers[i]);
        file_store(path, "stranger", 8);
    }
    struct bus *bus = open_at(&original, false, ONE_SEGMENT_BYTES, &error);
    assert_non_null(bus);
    expect_exactly(bus, BATCHES);
    bus_destroy(bus);
    assert_int_equal(access(scratch_file(&original.scratch, 777, ".index").text, F_OK), -1); /* an orphan */
    original_free(&original);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_one_segment),         cmocka_unit_test(test_cut_many_segments),
        cmocka_unit_test(test_cut_before_zeros),        cmocka_unit_test(test_first_page_of_append_missing),
        cmocka_unit_test(test_bits_one_segment),        cmocka_unit_test(test_bits_many_segments),
        cmocka_unit_test(test_missing_middle_segment),  cmocka_unit_test(test_begun_segment_after_missing_one),
        cmocka_unit_test(test_newer_format_is_refused), cmocka_unit_test(test_other_files_do_not_matter),
    };
    log_configure(LOG_ERROR, LOG_FORMAT_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
