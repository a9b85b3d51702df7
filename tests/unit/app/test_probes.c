/* Tries of directories and addresses, and numbers for people. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "app/net_probe.h"
#include "app/progress.h"
#include "app/storage_probe.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/dataflow-probes-XXXXXX";

static int enter_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int leave_folder(void **state)
{
    (void)state;
    return chdir("/") == 0 ? rmdir(folder) : -1;
}

static void test_directories(void **state)
{
    (void)state;
    struct error error;
    assert_int_equal(probe_directory(folder, &error), 1);
    assert_int_equal(probe_directory(".", &error), 1);
    assert_int_equal(probe_directory("not/yet/there", &error), 0);
    assert_int_equal(access("not", F_OK), -1); /* nothing is left behind */
    int file = open("file", O_CREAT | O_WRONLY, 0600);
    assert_true(file >= 0);
    close(file);
    assert_int_equal(probe_directory("file", &error), -1);
    assert_string_equal(error.text, "file is not a directory");
    assert_int_equal(probe_directory("file/below", &error), -1);
    unlink("file");
    char long_path[5000];
    memset(long_path, 'a', sizeof long_path);
    long_path[sizeof long_path - 1] = 0;
    assert_int_equal(probe_directory(long_path, &error), -1);
    assert_string_equal(error.text, "the path is too long");
}

static void test_free_space(void **state)
{
    (void)state;
    uint64_t here = 0, below = 0;
    struct error error;
    assert_int_equal(probe_free_space(folder, &here, &error), 0);
    assert_int_equal(probe_free_space("not/there", &below, &error), 0);
    assert_true(here > 0 && below > 0);
}

static const char *url_of(const char *listen, int port, const char *address)
{
    static char url[128];
    static struct error error;
    struct config config = {.listen_port = port};
    snprintf(config.listen_address, sizeof config.listen_address, "%s", listen);
    return probe_url(&config, address, "/readyz", url, sizeof url, &error) ? error.text : url;
}

static void test_urls(void **state)
{
    (void)state;
    assert_string_equal(url_of("127.0.0.1", 8500, NULL), "http://127.0.0.1:8500/readyz");
    assert_string_equal(url_of("0.0.0.0", 1, NULL), "http://127.0.0.1:1/readyz");
    assert_string_equal(url_of("::", 1, NULL), "http://[::1]:1/readyz");
    assert_string_equal(url_of("::1", 1, NULL), "http://[::1]:1/readyz");
    assert_string_equal(url_of("x", 1, "host:80"), "http://host:80/readyz");
    assert_string_equal(url_of("x", 1, "https://host/"), "https://host/readyz");
    assert_non_null(strstr(url_of("x", 1, "host"), "is not ADDRESS:PORT"));
    assert_non_null(strstr(url_of("127.0.0.1", 0, NULL), "name the address"));
    char long_host[200];
    memset(long_host, 'a', sizeof long_host);
    long_host[sizeof long_host - 1] = 0;
    long_host[100] = ':';
    assert_string_equal(url_of("x", 1, long_host), "the address is too long");
}

static void test_listen_address(void **state)
{
    (void)state;
    struct config config = {.listen = "127.0.0.1:0", .listen_address = "127.0.0.1"};
    struct error error;
    assert_int_equal(probe_listen(&config, &error), PROBE_FREE);

    /* Taken, by something that answers no request: the probe's own time-out ends the question. */
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int file = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(file, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(file, 1), 0);
    assert_int_equal(getsockname(file, (struct sockaddr *)&address, &size), 0);
    config.listen_port = ntohs(address.sin_port);
    assert_int_equal(probe_listen(&config, &error), PROBE_TAKEN);
    assert_non_null(strstr(error.text, "Address already in use"));
    close(file);

    snprintf(config.listen_address, sizeof config.listen_address, "192.0.2.1");
    assert_int_equal(probe_listen(&config, &error), PROBE_IMPOSSIBLE);
}

static void test_numbers_for_people(void **state)
{
    (void)state;
    char space[32];
    assert_string_equal(number_for_people(0, space), "0");
    assert_string_equal(number_for_people(999, space), "999");
    assert_string_equal(number_for_people(1000, space), "1,000");
    assert_string_equal(number_for_people(1234567, space), "1,234,567");
    assert_string_equal(number_for_people(UINT64_MAX, space), "18,446,744,073,709,551,615");
    assert_string_equal(size_for_people(1023, space), "1023 bytes");
    assert_string_equal(size_for_people(1536, space), "1.5 KiB");
    assert_string_equal(size_for_people(UINT64_MAX, space), "16384.0 PiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_directories),    cmocka_unit_test(test_free_space),         cmocka_unit_test(test_urls),
        cmocka_unit_test(test_listen_address), cmocka_unit_test(test_numbers_for_people),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
