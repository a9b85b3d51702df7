/* The layers of the configuration, and every kind of mistake in one sentence with its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "app/command.h"
#include "base/buffer.h"
#include <sys/stat.h>
#include <unistd.h>

enum { ARGUMENT_MAX = 32 };

static struct config config;
static struct config_problems problems;
static char folder[] = "/tmp/dataflow-config-XXXXXX";
static char *arguments[ARGUMENT_MAX];

/* Files of the case; NULL: not there.  The variables and the command line are lists. */
struct scenario {
    const char *yaml, *dotenv;
    const char *const *variables;
    const char *const *line;
    unsigned command;
};

static void write_file(const char *name, const char *text, mode_t mode)
{
    unlink(name);
    if (!text)
        return;
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(chmod(name, mode), 0);
}

static int load(struct scenario scenario)
{
    static const char *const none[] = {NULL};
    config_release(&config);
    write_file("dataflow.yaml", scenario.yaml, 0600);
    write_file(".env.development", scenario.dotenv, 0600);
    int count = 0;
    for (const char *const *line = scenario.line ? scenario.line : none; *line; line++)
        arguments[count++] = (char *)(uintptr_t)*line;
    arguments[count] = NULL;
    struct config_request request = {.command = scenario.command,
                                     .configured = true,
                                     .argc = count,
                                     .argv = arguments,
                                     .environment = (char *const *)(uintptr_t)(scenario.variables ? scenario.variables : none),
                                     .config_path = "dataflow.yaml",
                                     .dotenv_path = ".env.development"};
    return config_load(&config, &request, &problems);
}
#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Loads and returns the first error. */
static const char *refused(struct scenario scenario)
{
    assert_int_equal(load(scenario), -1);
    assert_true(problems.error_count > 0);
    return problems.errors[0].text;
}
#define REFUSED(...) refused((struct scenario){__VA_ARGS__})
#define LOAD(...) assert_true(load((struct scenario){__VA_ARGS__}) >= 0)

static void test_defaults(void **state)
{
    (void)state;
    LOAD(.yaml = NULL);
    assert_string_equal(config.listen_address, "127.0.0.1");
    assert_int_equal(config.listen_port, 8500);
    assert_string_equal(config.log_directory, "data/log");
    assert_string_equal(config.store_file, "data/store.db");
    assert_true(config.compress && config.speed == 1);
    assert_int_equal(config.log_level, LOG_INFO);
    assert_int_equal(config.sync, BUS_SYNC_ALWAYS);
    assert_int_equal(config.segment_bytes, 67108864);
    assert_int_equal(config.sources.count, 0);
    assert_null(config.token);
}

static void test_layers_in_order(void **state)
{
    (void)state;
    const char *yaml = "data: from_yaml\nseed: 1\nrate: 1\nspeed: 11\n";
    const char *dotenv = "DATAFLOW_DATA=from_dotenv\nDATAFLOW_SEED=2\nDATAFLOW_RATE=2\n";
    const char *const *variables = LIST("DATAFLOW_DATA=from_environment", "DATAFLOW_SEED=3");
    LOAD(.yaml = yaml, .dotenv = dotenv, .variables = variables, .line = LIST("--data", "from_flag"));
    assert_string_equal(config.data, "from_flag");
    assert_int_equal(config.seed, 3);
    assert_true(config.rate == 2 && config.speed == 11);
    assert_string_equal(config.log_directory, "from_flag/log");
    assert_int_equal(config.origins[0].layer, CONFIG_DEFAULT);
}

static void test_lists_are_replaced_by_a_higher_layer(void **state)
{
    (void)state;
    const char *yaml = "sources:\n  - simulated:market\n  - simulated:chat\n";
    LOAD(.yaml = yaml);
    assert_int_equal(config.sources.count, 2);
    LOAD(.yaml = yaml, .variables = LIST("DATAFLOW_SOURCES=simulated:chat"));
    assert_int_equal(config.sources.count, 1);
    LOAD(.yaml = yaml, .line = LIST("--source", "simulated:chat", "--source=simulated:market"));
    assert_int_equal(config.sources.count, 2);
    assert_string_equal(config.sources.items[0], "simulated:chat");
}

static void test_empty_is_not_set(void **state)
{
    (void)state;
    LOAD(.yaml = "data: x\ntoken:\n", .dotenv = "TWITCH_OAUTH_TOKEN=\nDATAFLOW_DATA=\n",
         .variables = LIST("DATAFLOW_DATA=", "DATAFLOW_TOKEN="));
    assert_string_equal(config.data, "x");
    assert_null(config.token);
    assert_null(config.twitch_oauth_token);
}

static void test_command_line(void **state)
{
    (void)state;
    int count = load((struct scenario){.command = COMMAND_TAIL,
                                       .line = LIST("chat_stream", "--from", "-10", "--follow", "-", "--", "--key", "x")});
    assert_int_equal(count, 4);
    assert_string_equal(arguments[0], "chat_stream");
    assert_string_equal(arguments[1], "-");
    assert_string_equal(arguments[2], "--key");
    assert_string_equal(config.from, "-10");
    assert_true(config.follow);
    assert_null(config.key);

    LOAD(.command = COMMAND_TAIL, .line = LIST("--follow=false", "--key="));
    assert_false(config.follow);
    assert_string_equal(config.key, "");

    LOAD(.yaml = "nonsense: [", .line = LIST("--nonsense", "-h")); /* help is given whatever else is wrong */
    assert_true(config.help);
}

static void test_command_line_mistakes(void **state)
{
    (void)state;
    assert_string_equal(REFUSED(.line = LIST("--sorce", "x:y")),
                        "--sorce is not an option of `dataflow run`; did you mean --source?");
    assert_string_equal(REFUSED(.line = LIST("--data")), "--data needs a value: --data DIR");
    assert_string_equal(REFUSED(.line = LIST("--data", "--demo")), "--data needs a value: --data DIR");
    assert_string_equal(REFUSED(.line = LIST("-d")),
                        "-d is not an option; options begin with two dashes, and a file of this name is ./-d");
    assert_string_equal(REFUSED(.line = LIST("--follow")), "--follow is an option of `dataflow tail`, not of `dataflow run`");
    assert_string_equal(REFUSED(.line = LIST("--token", "secret")),
                        "--token: secrets are not taken as flags, which all users of this machine can see; set DATAFLOW_TOKEN");
    assert_string_equal(REFUSED(.line = LIST("--rate=fast")), "--rate: \"fast\" is not a number");
    assert_string_equal(REFUSED(.line = LIST("--demo=perhaps")), "--demo: \"perhaps\" is not true or false");
}

static void test_file_mistakes_name_file_and_line(void **state)
{
    (void)state;
    assert_string_equal(REFUSED(.yaml = "data: x\nlisten_adress: y\n"),
                        "dataflow.yaml:2: listen_adress is not a key of the configuration");
    assert_string_equal(REFUSED(.yaml = "data: x\n\nlissten: y\n"),
                        "dataflow.yaml:3: lissten is not a key of the configuration; did you mean listen?");
    assert_string_equal(REFUSED(.yaml = "retention: 7d\n"),
                        "dataflow.yaml:1: retention is a group of keys, such as retention.age");
    assert_string_equal(REFUSED(.yaml = "listen:\n  port: 8500\n"),
                        "dataflow.yaml:2: listen.port: listen takes a value, not keys");
    assert_string_equal(REFUSED(.yaml = "data: [a, b]\n"), "dataflow.yaml:1: data takes one value, not a list");
    assert_string_equal(REFUSED(.yaml = "log:\n  level: loud\n"),
                        "dataflow.yaml:2: log.level: \"loud\" is not error, warning, info or debug");
    assert_string_equal(REFUSED(.yaml = "data: x\ndata: y\n"), "dataflow.yaml:2: data is given twice");
    assert_string_equal(REFUSED(.dotenv = "# x\nDATAFLOW_RATE=fast\n"),
                        ".env.development:2: DATAFLOW_RATE: \"fast\" is not a number");
    assert_string_equal(REFUSED(.dotenv = "TWITCH_CHANEL=x\n"),
                        ".env.development:1: TWITCH_CHANEL is not a variable of this program; did you mean TWITCH_CHANNEL?");
    assert_string_equal(REFUSED(.dotenv = "nonsense\n"), ".env.development:1: this is not NAME=value");
    assert_string_equal(REFUSED(.variables = LIST("DATAFLOW_RATE=fast")), "DATAFLOW_RATE: \"fast\" is not a number");
    LOAD(.dotenv = "PATH=/x\nEDITOR=vi\n"); /* other programs' variables */
}

static void test_all_mistakes_are_told(void **state)
{
    (void)state;
    REFUSED(.yaml = "rate: fast\nnonsense: 1\nseed: -3\n", .line = LIST("--speed", "0"));
    assert_int_equal(problems.error_count, 4);
    struct buffer many;
    buffer_init(&many, 1 << 20);
    for (int i = 0; i < 1000; i++)
        buffer_printf(&many, "x%d: 1\n", i);
    buffer_byte(&many, 0);
    REFUSED(.yaml = many.at);
    assert_int_equal(problems.error_count, CONFIG_PROBLEM_MAX);
    buffer_release(&many);
}

static void test_unknown_environment_is_a_warning(void **state)
{
    (void)state;
    LOAD(.variables = LIST("DATAFLOW_LISTN=127.0.0.1:1", "DATAFLOW_PORT=tcp://10.0.0.1:80", "HOME=/"));
    assert_int_equal(problems.warning_count, 2);
    assert_string_equal(problems.warnings[0].text,
                        "DATAFLOW_LISTN in the environment is not a variable of this program; did you mean DATAFLOW_LISTEN?");
}

static void test_secrets_from_files(void **state)
{
    (void)state;
    write_file("secret", "  0123456789abcdef\n", 0600);
    LOAD(.variables = LIST("DATAFLOW_TOKEN=plainplainplainplain", "DATAFLOW_TOKEN_FILE=secret"));
    assert_string_equal(config.token, "0123456789abcdef");
    LOAD(.variables = LIST("DATAFLOW_TOKEN_FILE=secret", "DATAFLOW_TOKEN=plainplainplainplain"));
    assert_string_equal(config.token, "0123456789abcdef");
    LOAD(.dotenv = "DATAFLOW_TOKEN_FILE=secret\n", .variables = LIST("DATAFLOW_TOKEN=plainplainplainplain"));
    assert_string_equal(config.token, "plainplainplainplain");
    assert_string_equal(REFUSED(.variables = LIST("DATAFLOW_TOKEN_FILE=missing")), "DATAFLOW_TOKEN_FILE: missing does not exist");
    write_file("secret", "\n", 0600);
    assert_string_equal(REFUSED(.variables = LIST("DATAFLOW_TOKEN_FILE=secret")), "DATAFLOW_TOKEN_FILE: secret is empty");
    LOAD(.variables = LIST("DATAFLOW_DATA_FILE=x")); /* no secret: no such variable */
    assert_int_equal(problems.warning_count, 1);
}

static void test_readable_secret_is_a_warning(void **state)
{
    (void)state;
    LOAD(.dotenv = "TWITCH_OAUTH_TOKEN=oauth:topsecret\n");
    assert_int_equal(problems.warning_count, 0);
    write_file(".env.development", "TWITCH_OAUTH_TOKEN=oauth:topsecret\n", 0644);
    config_release(&config);
    struct config_request request = {.command = COMMAND_RUN,
                                     .configured = true,
                                     .argv = arguments,
                                     .environment = (char *[]){NULL},
                                     .config_path = "dataflow.yaml",
                                     .dotenv_path = ".env.development"};
    assert_int_equal(config_load(&config, &request, &problems), 0);
    assert_int_equal(problems.warning_count, 1);
    assert_string_equal(problems.warnings[0].text, ".env.development holds TWITCH_OAUTH_TOKEN and can be read by other users of "
                                                   "this machine; run `chmod 600 .env.development`");
}

static void test_config_file_by_name(void **state)
{
    (void)state;
    write_file("other.yaml", "data: other\n", 0600);
    LOAD(.yaml = "data: x\n", .line = LIST("--config", "other.yaml"));
    assert_string_equal(config.data, "other");
    assert_string_equal(config.config_file, "other.yaml");
    LOAD(.yaml = "data: x\n", .variables = LIST("DATAFLOW_CONFIG=other.yaml"));
    assert_string_equal(config.data, "other");
    assert_non_null(strstr(REFUSED(.dotenv = "DATAFLOW_CONFIG=other.yaml\n"), ".env.development:1: DATAFLOW_CONFIG is taken"));
    assert_string_equal(REFUSED(.line = LIST("--config=missing.yaml")), "missing.yaml does not exist");
    assert_non_null(strstr(REFUSED(.line = LIST("--config", ".")), "Is a directory"));
    write_file("other.yaml", NULL, 0);
}

static void test_listen(void **state)
{
    (void)state;
    LOAD(.line = LIST("--listen", "[::1]:0"));
    assert_string_equal(config.listen_address, "::1");
    assert_int_equal(config.listen_port, 0);
    static const char *const bad[] = {"",       "8500", ":8500", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:x",
                                      "::1:80", "[]:80"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_non_null(strstr(REFUSED(.line = LIST("--listen", bad[i])), "is not ADDRESS:PORT"));
}

static void test_exposure_needs_a_token(void **state)
{
    (void)state;
    assert_non_null(strstr(REFUSED(.yaml = "listen: 0.0.0.0:8500\n"), "dataflow.yaml:1: listen: 0.0.0.0:8500 can be reached"));
    assert_non_null(strstr(REFUSED(.yaml = "listen: '[::]:8500'\n"), "can be reached"));
    LOAD(.yaml = "listen: 0.0.0.0:8500\n", .variables = LIST("DATAFLOW_TOKEN=0123456789abcdef"));
    LOAD(.yaml = "listen: localhost:8500\n");
    assert_non_null(strstr(REFUSED(.yaml = "listen: 0.0.0.0:8500\nauth: none\n"), "none needs allowed_hosts"));
    LOAD(.yaml = "listen: 0.0.0.0:8500\nauth: none\nallowed_hosts: example.org\n");
    LOAD(.variables = LIST("DATAFLOW_TOKEN=short"));
    assert_int_equal(problems.warning_count, 1);
    assert_null(strstr(problems.warnings[0].text, "short,"));
    assert_non_null(strstr(REFUSED(.variables = LIST("DATAFLOW_TOKEN=two words here again")), "the token holds a space"));
    assert_null(strstr(problems.errors[0].text, "two words"));
}

static void test_storage(void **state)
{
    (void)state;
    LOAD(.line = LIST("--bus", "embedded:/x/log", "--store=sqlite:y.db"));
    assert_string_equal(config.log_directory, "/x/log");
    assert_string_equal(config.store_file, "y.db");
    assert_non_null(strstr(REFUSED(.line = LIST("--bus", "kafka://host:9092")), "no Kafka"));
    assert_non_null(strstr(REFUSED(.line = LIST("--bus", "embeded:x")), "is not embedded:DIR"));
    assert_non_null(strstr(REFUSED(.line = LIST("--bus", "embedded:")), "is not embedded:DIR"));
    assert_non_null(strstr(REFUSED(.line = LIST("--store", "mongodb://x")), "no MongoDB"));
    assert_non_null(strstr(REFUSED(.line = LIST("--store", "x.db")), "is not sqlite:FILE"));
    LOAD(.command = COMMAND_REPLAY, .line = LIST("--bus", "embedded:x"), .yaml = "store: sqlite:y\n");
    assert_true(config.replay_to_bus && !config.replay_to_store);
}

static void test_plaintext_only_on_loopback(void **state)
{
    (void)state;
    LOAD(.variables = LIST("DATAFLOW_BINANCE_WS_URL=ws://127.0.0.1:9000"));
    assert_true(bytes_equal(config_base_url(&config, BYTES("binance")), BYTES("ws://127.0.0.1:9000")));
    assert_null(config_base_url(&config, BYTES("simulated")).at);
    assert_non_null(strstr(REFUSED(.variables = LIST("DATAFLOW_BINANCE_WS_URL=ws://example.org")), "is not encrypted"));
    assert_non_null(strstr(REFUSED(.variables = LIST("DATAFLOW_BINANCE_REST_URL=http://10.0.0.1")), "is not encrypted"));
    LOAD(.variables = LIST("DATAFLOW_BINANCE_WS_URL=ws://example.org", "DATAFLOW_ALLOW_PLAINTEXT=true"));
    LOAD(.variables = LIST("DATAFLOW_BINANCE_WS_URL=wss://example.org"));
    assert_non_null(strstr(REFUSED(.variables = LIST("DATAFLOW_TLS_CA_FILE=missing.pem")), "missing.pem cannot be read"));
}

static void test_sources_are_checked(void **state)
{
    (void)state;
    assert_non_null(strstr(REFUSED(.yaml = "sources:\n  - binanse:BTC-USDT\n"), "binance"));
    assert_memory_equal(problems.errors[0].text, "dataflow.yaml:2: sources: ", 26);
    assert_memory_equal(REFUSED(.yaml = "sources:\n  - binanse:BTC-USDT\n  - simulated:chat\n"),
                        "dataflow.yaml:2: sources: ", 26);
    assert_memory_equal(REFUSED(.yaml = "sources:\n  - simulated:chat\n  -   simulatd:x\n"), "dataflow.yaml:3: sources: ", 26);
    assert_non_null(strstr(REFUSED(.yaml = "sources: [simulated:chat, simulated:chat]\n"), "is given twice"));
}

static int enter_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int leave_folder(void **state)
{
    (void)state;
    config_release(&config);
    static const char *const names[] = {"dataflow.yaml", ".env.development", "secret", "other.yaml"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unlink(names[i]);
    return chdir("/") == 0 ? rmdir(folder) : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_layers_in_order),
        cmocka_unit_test(test_lists_are_replaced_by_a_higher_layer),
        cmocka_unit_test(test_empty_is_not_set),
        cmocka_unit_test(test_command_line),
        cmocka_unit_test(test_command_line_mistakes),
        cmocka_unit_test(test_file_mistakes_name_file_and_line),
        cmocka_unit_test(test_all_mistakes_are_told),
        cmocka_unit_test(test_unknown_environment_is_a_warning),
        cmocka_unit_test(test_secrets_from_files),
        cmocka_unit_test(test_readable_secret_is_a_warning),
        cmocka_unit_test(test_config_file_by_name),
        cmocka_unit_test(test_listen),
        cmocka_unit_test(test_exposure_needs_a_token),
        cmocka_unit_test(test_storage),
        cmocka_unit_test(test_plaintext_only_on_loopback),
        cmocka_unit_test(test_sources_are_checked),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
