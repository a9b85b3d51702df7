/* Bytes as the segments of a log: opening, reading, asking and appending never crash, and what is read twice is the same.
 *
 * The first byte of the input: bit 0 repairs the checksums of what looks like batches, so that the shapes behind them are
 * reached; bit 1 splits the rest into two segments; bit 2 writes it as the index of the first segment as well. */
#include "base/crc32c.h"
#include "base/env.h"
#include "base/logging.h"
#include "bus/bus.h"
#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

enum { HEADER_BYTES = 56, AT_HEADER_CRC = 4, AT_VERSION = 8, AT_BODY_CRC = 12, AT_BODY_SIZE = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char directory[64];

static int no_sync(const struct env *env, int file)
{
    (void)env;
    (void)file;
    return 0;
}

static int no_sync_directory(const struct env *env, const char *path)
{
    (void)env;
    (void)path;
    return 0;
}

static void store(const char *name, const uint8_t *data, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert(file >= 0);
    ssize_t written = pwrite(file, data, size, 0);
    assert(written == (ssize_t)size);
    (void)written;
    close(file);
}

static void empty_directory(void)
{
    DIR *listing = opendir(directory);
    assert(listing);
    for (struct dirent *entry; (entry = readdir(listing));) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        if (entry->d_name[0] != '.')
            unlink(path);
    }
    closedir(listing);
}

static void clean_up(void)
{
    empty_directory();
    rmdir(directory);
}

static void make_directory(void)
{
    snprintf(directory, sizeof directory, "/dev/shm/fuzz_log_XXXXXX");
    if (!mkdtemp(directory)) {
        snprintf(directory, sizeof directory, "/tmp/fuzz_log_XXXXXX");
        if (!mkdtemp(directory))
            abort();
    }
    atexit(clean_up);
    log_configure(LOG_ERROR, LOG_FORMAT_TEXT);
}

static void put_crc(uint8_t *at, const uint8_t *data, size_t size)
{
    uint32_t crc = crc32c(0, bytes_of((const char *)data, size)); /* little-endian machines only, as this is a fuzzer */
    memcpy(at, &crc, sizeof crc);
}

static void repair(uint8_t *data, size_t size)
{
    for (size_t at = 0; size - at >= HEADER_BYTES;) {
        uint32_t body_size;
        memcpy(&body_size, data + at + AT_BODY_SIZE, sizeof body_size);
        if (body_size > size - at - HEADER_BYTES) {
            body_size = (uint32_t)(size - at - HEADER_BYTES);
            memcpy(data + at + AT_BODY_SIZE, &body_size, sizeof body_size);
        }
        put_crc(data + at + AT_BODY_CRC, data + at + HEADER_BYTES, body_size);
        put_crc(data + at + AT_HEADER_CRC, data + at + AT_VERSION, HEADER_BYTES - AT_VERSION);
        at += HEADER_BYTES + body_size;
    }
}

/* Reads all; a sum of what came. */
static uint64_t read_all(struct bus *bus, uint64_t from, unsigned topics)
{
    struct error error = {{0}};
    struct bus_reader *reader = bus_reader_open(bus, from, topics, &error);
    struct bus_batch batch;
    uint64_t sum = 0, end = from;
    int status = -1;
    while (reader && (status = bus_reader_next(reader, &batch, &error)) == 1) {
        assert(batch.end_offset > end && batch.base_offset < batch.end_offset);
        end = batch.end_offset;
        for (size_t i = 0; i < batch.count; i++) {
            const struct bus_record *record = &batch.records[i];
            assert(topics >> record->topic & 1 && record->offset >= from && record->offset < end);
            sum = sum * 31 + crc32c((uint32_t)record->offset, record->key) + crc32c(record->topic, record->value);
        }
    }
    assert(status == 0 || error.text[0]);
    bus_reader_close(reader);
    return sum;
}

/* Past all damage there is: always forward, to an end, and each hole once. */
static void read_past_damage(struct bus *bus)
{
    struct error error = {{0}};
    struct bus_reader *reader = bus_reader_open(bus, 0, BUS_ALL_TOPICS, &error);
    struct bus_batch batch;
    uint64_t end = 0;
    int status = -1;
    while (reader && (status = bus_reader_next_past_damage(reader, &batch, &error)) == 1) {
        assert(batch.base_offset >= end && batch.end_offset > batch.base_offset);
        end = batch.end_offset;
    }
    assert(status == 0 || error.text[0]);
    bus_reader_close(reader);
}

static void ask_all(struct bus *bus)
{
    struct bus_info info;
    uint64_t offset = 0;
    bus_info(bus, &info);
    uint64_t sum = read_all(bus, 0, BUS_ALL_TOPICS);
    read_past_damage(bus);
    assert(read_all(bus, 0, BUS_ALL_TOPICS) == sum);
    read_all(bus, 2, 2);
    read_all(bus, info.end_offset, BUS_ALL_TOPICS);
    bus_offset_at(bus, 1000, &offset, NULL);
    assert(offset <= info.end_offset);
    bus_position(bus, BYTES("r"), &offset);
}

static void ignore_report(void *context, const char *text)
{
    (void)context;
    (void)text;
}

static void play(const struct env *env)
{
    struct bus_log_options options = {.directory = directory, .read_only = true};
    struct error error = {{0}};
    struct bus *bus = bus_log_open(&options, env, &error);
    if (bus)
        ask_all(bus);
    bus_destroy(bus);
    options.read_only = false;
    options.segment_bytes = 200;
    bus = bus_log_open(&options, env, &error);
    if (!bus) {
        assert(error.text[0]);
        return;
    }
    ask_all(bus);
    struct bus_info before, after;
    struct bus_record record = {.timestamp_us = 5, .topic = 1, .key = BYTES("k"), .value = BYTES("v")};
    bus_info(bus, &before);
    if (bus_append(bus, &record, 1, NULL, &error) == 0) {
        bus_info(bus, &after);
        assert(after.end_offset == before.end_offset + 1 && record.offset == before.end_offset);
    }
    bus_truncate(bus, &(struct bus_retention){.max_age_us = 1, .max_bytes = 300, .keep_from = UINT64_MAX}, 1000, &error);
    ask_all(bus);
    bus_destroy(bus);
    bus_log_verify(directory, env, ignore_report, NULL, NULL, &error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!directory[0])
        make_directory();
    if (size == 0 || size > 1 << 20)
        return 0;
    unsigned mode = data[0];
    uint8_t *copy = malloc(size);
    assert(copy);
    memcpy(copy, data + 1, --size);
    if (mode & 1)
        repair(copy, size);
    struct env env = *env_system();
    env.sync = no_sync;
    env.sync_directory = no_sync_directory;
    size_t first = mode & 2 ? size / 2 : size;
    store("00000000000000000000.log", copy, first);
    if (mode & 2)
        store("00000000000000000003.log", copy + first, size - first);
    if (mode & 4)
        store("00000000000000000000.index", copy, size);
    free(copy);
    play(&env);
    empty_directory();
    return 0;
}
