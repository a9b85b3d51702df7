/* The system's environment: each call does what POSIX says of it. */
#include "base/env.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static void test_clocks(void **state)
{
    (void)state;
    const struct env *env = env_system();
    time_t seconds = time(NULL);
    int64_t now_us = env->now_us(env);
    assert_true(now_us / 1000000 >= seconds && now_us / 1000000 <= time(NULL) + 1);
    int64_t last = env->monotonic_us(env);
    for (int i = 0; i < 1000; i++) {
        int64_t next = env->monotonic_us(env);
        assert_true(next >= last);
        last = next;
    }
}

static void test_files(void **state)
{
    (void)state;
    const struct env *env = env_system();
    char directory[] = "/tmp/env-XXXXXX", path[64], renamed[64], back[8] = "";
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/a", directory);
    snprintf(renamed, sizeof renamed, "%s/b", directory);
    assert_int_equal(env->open(env, path, O_RDWR, 0600), -1);
    assert_int_equal(errno, ENOENT);
    int file = env->open(env, path, O_RDWR | O_CREAT, 0600);
    assert_true(file >= 0);
    assert_true(fcntl(file, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(env->pwrite(env, file, "abcdef", 6, 2), 6);
    assert_int_equal(env->sync(env, file), 0);
    assert_int_equal(env->truncate(env, file, 5), 0);
    assert_int_equal(env->pread(env, file, back, sizeof back, 1), 4);
    assert_memory_equal(back, "\0abc", 4);
    assert_int_equal(env->close(env, file), 0);
    assert_int_equal(env->rename(env, path, renamed), 0);
    assert_int_equal(env->sync_directory(env, directory), 0);
    assert_int_equal(env->sync_directory(env, path), -1);
    assert_int_equal(env->unlink(env, path), -1);
    assert_int_equal(env->unlink(env, renamed), 0);
    assert_int_equal(rmdir(directory), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_clocks), cmocka_unit_test(test_files)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
