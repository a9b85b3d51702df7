/* Golden files of tab-separated columns, made by tests/golden/event_oracle.py. */
#ifndef TESTS_UNIT_EVENT_TSV_H
#define TESTS_UNIT_EVENT_TSV_H

#include "base/lines.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

/* Calls `row` with the columns of each line; fails the test if the file has fewer than `least` lines. */
static inline void tsv_each(const char *path, size_t columns, size_t least, void (*row)(const struct bytes *columns))
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    struct lines lines;
    struct error error;
    struct bytes line, column[8];
    if (file < 0)
        fail_msg("cannot open %s", path);
    assert_true(columns <= 8);
    assert_int_equal(lines_init(&lines, file, 1 << 20, &error), 0);
    size_t count = 0;
    while (lines_next(&lines, &line, &error) == LINES_LINE) {
        for (size_t i = 0; i < columns; i++)
            column[i] = bytes_split(line, '\t', &line);
        row(column);
        count++;
    }
    assert_true(count >= least);
    lines_release(&lines);
    close(file);
}

#endif
