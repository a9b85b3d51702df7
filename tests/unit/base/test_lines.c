/* Lines, read through a pipe that is fed in pieces, so that blocks end anywhere.  The oracle splits the whole text. */
#include "base/lines.h"
#include "base/random.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

enum { BLOCK = 256 * 1024 }; /* of lines.c, while line_cap is smaller */

/* ---- a pipe that is fed by a thread ---- */

struct feed {
    struct bytes text;
    size_t piece; /* written at once; 0: random */
    int write_end, read_end;
    pthread_t thread;
};

static void *feed_pipe(void *context)
{
    struct feed *feed = context;
    struct random random;
    random_seed(&random, feed->text.length);
    for (struct bytes rest = feed->text; rest.length > 0;) {
        size_t piece = feed->piece ? feed->piece : 1 + (size_t)random_below(&random, 70000);
        ssize_t wrote = write(feed->write_end, rest.at, piece < rest.length ? piece : rest.length);
        if (wrote <= 0)
            break;
        rest = bytes_skip(rest, (size_t)wrote);
    }
    close(feed->write_end);
    return NULL;
}

static void feed_start(struct feed *feed, struct bytes text, size_t piece)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    *feed = (struct feed){.text = text, .piece = piece, .read_end = ends[0], .write_end = ends[1]};
    assert_int_equal(pthread_create(&feed->thread, NULL, feed_pipe, feed), 0);
}

static void feed_stop(struct feed *feed)
{
    close(feed->read_end);
    assert_int_equal(pthread_join(feed->thread, NULL), 0);
}

/* ---- the oracle ---- */

/* Takes the next line off the text.  False at the end. */
static bool oracle_next(struct bytes *text, struct bytes *line)
{
    if (text->length == 0)
        return false;
    ptrdiff_t newline = bytes_find(*text, '\n');
    if (newline < 0) {
        *line = *text;
        *text = BYTES_NONE;
        return true;
    }
    *line = bytes_of(text->at, (size_t)newline);
    *text = bytes_skip(*text, (size_t)newline + 1);
    if (line->length > 0 && line->at[line->length - 1] == '\r')
        line->length--;
    return true;
}

static void check_feed(struct bytes text, size_t line_cap, size_t piece)
{
    struct feed feed;
    feed_start(&feed, text, piece);
    struct lines lines;
    struct error error = {""};
    assert_int_equal(lines_init(&lines, feed.read_end, line_cap, &error), 0);
    struct bytes rest = text, expected = BYTES_NONE, line;
    uint64_t number = 0;
    while (oracle_next(&rest, &expected)) {
        enum lines_result result = lines_next(&lines, &line, &error);
        assert_int_equal(lines.number, ++number);
        if (expected.length > line_cap) {
            assert_int_equal(result, LINES_TOO_LONG);
            assert_int_equal(line.length, line_cap); /* the first part */
            assert_memory_equal(line.at, expected.at, line_cap);
        } else {
            assert_int_equal(result, LINES_LINE);
            assert_true(bytes_equal(line, expected));
        }
    }
    for (int again = 0; again < 2; again++)
        assert_int_equal(lines_next(&lines, &line, &error), LINES_END);
    assert_int_equal(lines.number, number);
    lines_release(&lines);
    feed_stop(&feed);
}

static void test_small_texts(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "\n",
                                        "a",
                                        "a\n",
                                        "a\nb",
                                        "\n\n\n",
                                        "a\r\nb\r\n",
                                        "\r\n",
                                        "\r",
                                        "a\r",
                                        "a\rb\n",
                                        "a\n\r\n",
                                        "\r\r\n",
                                        "0123456789\n",
                                        "0123456789",
                                        "0123456789\r\n",
                                        "0123456789\r",
                                        "0123456789x\n",
                                        "0123456789x",
                                        "0123456789xy\r\nz\n",
                                        "0123456789xyz\n0123456789\n0123456789xyz"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        for (size_t piece = 1; piece < 4; piece++)
            check_feed(bytes_of_string(texts[i]), 10, piece);
    check_feed(bytes_of("a\0b\n\0\n", 6), 10, 1);
}

/* Lines whose end falls on each place around the border of a block, with both line ends. */
static void test_block_borders(void **state)
{
    (void)state;
    static char text[3 * BLOCK];
    for (size_t first = BLOCK - 4; first <= BLOCK + 4; first++) {
        for (int ends = 0; ends < 4; ends++) {
            memset(text, 'a', sizeof text);
            text[100] = '\n'; /* so that the border falls into a line that has been moved to the front */
            if (ends & 1)
                text[first - 2] = '\r';
            text[first - 1] = '\n';
            text[first + 50] = '\n';
            check_feed(bytes_of(text, first + (ends & 2 ? 80 : 51)), BLOCK, 0);
        }
    }
}

/* Copies the piece to its place in the text; returns where it ends. */
static size_t put(char *text, size_t place, struct bytes piece)
{
    memcpy(text + place, piece.at, piece.length);
    return place + piece.length;
}

/* Lines around the cap and around a full block, at a cap larger and one smaller than the block. */
static void test_over_long(void **state)
{
    (void)state;
    static char text[8 * BLOCK];
    static const size_t caps[] = {1000, BLOCK - 2, BLOCK + 100};
    for (size_t c = 0; c < 3; c++) {
        const size_t lengths[] = {caps[c] - 1, caps[c], caps[c] + 1, caps[c] + 2, caps[c] + 3,
                                  BLOCK - 1,   BLOCK,   BLOCK + 1,   2 * BLOCK,   3 * BLOCK + 7};
        for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
            for (int ends = 0; ends < 3; ends++) {
                memset(text, 'x', sizeof text);
                size_t length = put(text, 0, BYTES("before\n")) + lengths[i];
                if (ends == 2)
                    length = put(text, length, BYTES("\r"));
                if (ends >= 1)
                    length = put(text, length, BYTES("\nafter\r\nlast"));
                check_feed(bytes_of(text, length), caps[c], 0);
            }
        }
    }
}

static void test_random(void **state)
{
    (void)state;
    static char text[4 * BLOCK];
    struct random random;
    random_seed(&random, 31);
    for (int round = 0; round < 30; round++) {
        size_t length = (size_t)random_below(&random, sizeof text);
        uint64_t rarity = 1 + random_below(&random, round % 3 ? 300 : 300000);
        for (size_t i = 0; i < length; i++) {
            uint64_t draw = random_below(&random, rarity);
            text[i] = draw == 0 ? '\n' : draw == 1 ? '\r' : (char)('a' + draw % 26);
        }
        check_feed(bytes_of(text, length), 1 + (size_t)random_below(&random, round % 2 ? 400 : 2 * BLOCK), 0);
    }
}

/* Lines that are said to be in memory stay valid while they are taken. */
static void test_buffered(void **state)
{
    (void)state;
    static char text[3 * BLOCK];
    size_t length = 0;
    for (unsigned i = 0; length + 100 < sizeof text; i++)
        length += (size_t)snprintf(text + length, 100, "line %u %*s\n", i, (int)(i * 7 % 60), "");
    struct feed feed;
    feed_start(&feed, bytes_of(text, length), 0);
    struct lines lines;
    struct error error = {""};
    assert_int_equal(lines_init(&lines, feed.read_end, 1000, &error), 0);
    assert_false(lines_buffered(&lines));
    struct bytes rest = bytes_of(text, length), expected = BYTES_NONE;
    static struct bytes kept[30000];
    size_t longest = 0;
    for (bool more = true; more;) {
        size_t count = 0;
        do
            more = lines_next(&lines, &kept[count], &error) == LINES_LINE;
        while (more && ++count < 30000 && lines_buffered(&lines));
        for (size_t i = 0; i < count; i++) {
            assert_true(oracle_next(&rest, &expected));
            assert_true(bytes_equal(kept[i], expected));
        }
        longest = count > longest ? count : longest;
    }
    assert_int_equal(rest.length, 0);
    assert_true(longest > 10);
    lines_release(&lines);
    feed_stop(&feed);
}

static void test_read_error(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct lines lines;
    struct error error = {""};
    struct bytes line;
    assert_int_equal(lines_init(&lines, ends[1], 100, &error), 0); /* the end for writing */
    assert_int_equal(lines_next(&lines, &line, &error), LINES_ERROR);
    assert_non_null(strstr(error.text, "after line 0"));
    lines_release(&lines);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_texts), cmocka_unit_test(test_block_borders), cmocka_unit_test(test_over_long),
        cmocka_unit_test(test_random),      cmocka_unit_test(test_buffered),      cmocka_unit_test(test_read_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
