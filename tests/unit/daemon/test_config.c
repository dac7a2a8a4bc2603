/* test_config.c: settings: strength of the four places, refusals by name and line. */
#include "server/daemon/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static const fr_config_option options[] = {
    {"data", FR_CONFIG_TEXT, "", 0, 0, NULL, "a"},
    {"log-level", FR_CONFIG_TEXT, "info", 0, 0, "info|debug", "b"},
    {"threads", FR_CONFIG_INT, "2", 0, 64, NULL, "c"},
    {"memory-limit", FR_CONFIG_BYTES, "0", 0, INT64_MAX, NULL, "d"},
    {"quiet", FR_CONFIG_SWITCH, "false", 0, 0, NULL, "e"},
    {"config", FR_CONFIG_TEXT, "", 0, 0, NULL, "f"},
};
#define COUNT FR_COUNT_OF(options)
static fr_config_value values[COUNT];
static fr_err err;

static fr_code file(const char *text)
{
    memset(values, 0, sizeof values);
    return fr_config_file(options, values, COUNT, text, strlen(text), &err);
}

static const fr_config_value *get(const char *name) { return fr_config_get(options, values, COUNT, name); }

static void file_forms(void **state)
{
    (void)state;
    assert_int_equal(file("# note\r\n[serve]\ndata = \"a \\\"b\\\" # no\" ; note\nlog_level=debug # note\n threads = 1_0 \n"
                          "memory-limit = 2GiB\nquiet = yes\n[other]\nnonsense = 1\n"),
                     FR_OK);
    assert_string_equal(get("data")->text, "a \"b\" # no");
    assert_string_equal(get("log-level")->text, "debug");
    assert_int_equal(get("threads")->number, 10);
    assert_int_equal(get("memory-limit")->number, 2ll << 30);
    assert_int_equal(get("quiet")->number, 1);
}

static void file_refusals(void **state)
{
    (void)state;
    static const struct { const char *text, *field, *part; } rows[] = {
        {"\nnonsense = 1\n", "config", "line 2"}, {"threads\n", "config", "line 1"},      {"threads = 65\n", "threads", "64"},
        {"threads = x\n", "threads", "number"},   {"log-level = loud\n", "log-level", "info|debug"},
        {"[serve\n", "config", "]"},              {"data = \"open\n", "data", "line 1"},   {"quiet = maybe\n", "quiet", "true"},
        {"memory-limit = 99999999999999999999\n", "memory-limit", "number"},
        {"memory-limit = 9000000000g\n", "memory-limit", "number"},
    };
    for (size_t i = 0; i < FR_COUNT_OF(rows); i++) {
        assert_int_equal(file(rows[i].text), FR_ERR_INVALID);
        assert_string_equal(err.field, rows[i].field);
        assert_non_null(strstr(err.text, rows[i].part));
    }
}

static void strength(void **state)
{
    (void)state;
    char path[] = "/tmp/freshet-config-XXXXXX";
    int fd = mkstemp(path);
    const char *text = "threads = 3\nlog-level = debug\ndata = file\n";
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    setenv("FRESHET_THREADS", "4", 1);
    setenv("FRESHET_CONFIG", path, 1);
    char *argv[] = {"serve", "--threads=5", "--quiet", NULL};
    bool help;
    assert_int_equal(fr_config_load(options, values, COUNT, 3, argv, &help, &err), FR_OK);
    assert_int_equal(get("threads")->number, 5);
    assert_string_equal(get("threads")->origin, "flag");
    assert_string_equal(get("log-level")->origin, "file");
    assert_string_equal(get("data")->text, "file");
    assert_string_equal(get("memory-limit")->origin, "built-in");
    assert_int_equal(get("quiet")->number, 1);
    assert_int_equal(fr_config_load(options, values, COUNT, 1, argv, &help, &err), FR_OK);
    assert_int_equal(get("threads")->number, 4);
    assert_string_equal(get("threads")->origin, "environment");
    unsetenv("FRESHET_THREADS");
    unsetenv("FRESHET_CONFIG");
    unlink(path);
}

static void flag_refusals(void **state)
{
    (void)state;
    static char *const rows[][3] = {{"serve", "--nope", "1"}, {"serve", "--threads", NULL}, {"serve", "positional", NULL},
                                    {"serve", "--threads", "-1"}, {"serve", "--config", "/nonexistent/file"}, {"serve", "--config", "/tmp"}};
    bool help;
    for (size_t i = 0; i < FR_COUNT_OF(rows); i++) {
        char *argv[] = {rows[i][0], rows[i][1], rows[i][2], NULL};
        assert_int_not_equal(fr_config_load(options, values, COUNT, rows[i][2] ? 3 : 2, argv, &help, &err), FR_OK);
    }
    char *argv[] = {"serve", "--help", NULL};
    assert_int_equal(fr_config_load(options, values, COUNT, 2, argv, &help, &err), FR_OK);
    assert_true(help);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(file_forms), cmocka_unit_test(file_refusals), cmocka_unit_test(strength),
                                       cmocka_unit_test(flag_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
