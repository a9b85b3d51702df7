/* Refused records on a disk that fills: half a line never stays. */
#include "pipeline/rejects.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void keep(struct rejects *rejects, const char *frame)
{
    rejects_keep(rejects, 1700000000000000, BYTES("test"), REJECT_MALFORMED_LINE, bytes_of_string(frame));
}

static off_t size_of(const char *path)
{
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    return info.st_size;
}

/* The limit on a file's size ends a write short, as a full disk does. */
static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void test_half_a_line_is_cut_off(void **state)
{
    (void)state;
    char directory[] = "/tmp/dataflow-rejects-XXXXXX", path[64], text[4096];
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/rejects.jsonl", directory);
    struct error error;
    struct rejects *rejects = rejects_open(directory, &error);
    assert_non_null(rejects);
    keep(rejects, "first");
    off_t one = size_of(path);
    signal(SIGXFSZ, SIG_IGN);
    limit_files((rlim_t)one + 20);
    keep(rejects, "has no room");
    assert_int_equal(size_of(path), one);
    limit_files(RLIM_INFINITY);
    keep(rejects, "third");
    assert_int_equal(size_of(path), 2 * one);
    rejects_close(rejects);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof text, file));
    assert_non_null(strstr(text, "\"frame\":\"first\"}\n"));
    assert_non_null(fgets(text, sizeof text, file));
    assert_true(strncmp(text, "{\"time\":", 8) == 0 && strstr(text, "\"frame\":\"third\"}\n"));
    fclose(file);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(directory), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_half_a_line_is_cut_off)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
