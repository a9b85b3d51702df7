/* Lines of a file of any bytes: the first byte is the cap, the rest the file.  The lines, with their ends, make up the file
 * again. */
#include "base/lines.h"

#undef NDEBUG /* the assertions are the test */
#include <assert.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    size_t cap = 1 + data[0];
    struct bytes rest = bytes_of((const char *)data + 1, size - 1);
    int file = memfd_create("lines", MFD_CLOEXEC);
    if (file < 0 || write(file, rest.at, rest.length) != (ssize_t)rest.length || lseek(file, 0, SEEK_SET) != 0)
        abort();
    struct lines lines;
    struct error error;
    if (lines_init(&lines, file, cap, &error) < 0)
        abort();
    struct bytes line;
    enum lines_result result;
    uint64_t count = 0;
    while ((result = lines_next(&lines, &line, &error)) != LINES_END) {
        assert(result == LINES_LINE || result == LINES_TOO_LONG);
        assert(lines.number == ++count);
        assert(line.length <= cap && (result == LINES_LINE || line.length == cap));
        assert(rest.length >= line.length && (line.length == 0 || memcmp(rest.at, line.at, line.length) == 0));
        ptrdiff_t end = bytes_find(rest, '\n');
        size_t whole = end < 0 ? rest.length : (size_t)end;
        assert(result == LINES_TOO_LONG || whole - line.length <= 1);
        rest = bytes_skip(rest, end < 0 ? whole : whole + 1);
    }
    assert(rest.length == 0);
    lines_release(&lines);
    close(file);
    return 0;
}
