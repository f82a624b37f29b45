/* The configuration file: src/daemon/conf.c and options.def. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/daemon/conf.c"

#include <stdlib.h>
#include <unistd.h>

static char file[64];

static int setup(void **state)
{
    int fd;

    (void)state;
    snprintf(file, sizeof(file), "/tmp/conf.XXXXXX");
    fd = mkstemp(file);
    if (fd < 0)
        return -1;
    close(fd);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return unlink(file);
}

static void write_text(const char *text)
{
    FILE *f = fopen(file, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* Loads `text`; what is said of it goes to *ret_errors, which the caller frees. */
static int load(const char *text, struct conf *ret, char **ret_errors)
{
    size_t n;
    FILE *errors = open_memstream(ret_errors, &n);
    int rc;

    write_text(text);
    rc = conf_load(file, errors, ret);
    fclose(errors);
    return rc;
}

static void good(const char *text, struct conf *ret)
{
    char *errors;

    assert_int_equal(load(text, ret, &errors), ERR_OK);
    assert_string_equal(errors, "");
    free(errors);
}

/* `mistakes`: what each line of the report says, in order. */
static void bad(const char *text, const char *const *mistakes, size_t count)
{
    static const struct conf untouched;
    struct conf c = {0};
    char *errors, *rest, *line;

    assert_int_equal(load(text, &c, &errors), ERR_INVALID);
    assert_memory_equal(&c, &untouched, sizeof(c));
    rest = errors;
    for (size_t i = 0; i < count; i++) {
        line = strsep(&rest, "\n");
        assert_non_null(line);
        assert_int_equal(strncmp(line, file, strlen(file)), 0);
        assert_string_equal(line + strlen(file), mistakes[i]);
    }
    assert_string_equal(rest ? rest : "", "");
    free(errors);
}

static void wrong(const char *text, const char *mistake)
{
    bad(text, &mistake, 1);
}

static bool is_addr(const struct addr *a, const char *text)
{
    char out[ADDR_TEXT_MAX];

    addr_format(a, out);
    return strcmp(out, text) == 0;
}

/* ---- reading ---- */

static void test_an_empty_file_has_the_defaults(void **state)
{
    struct conf c;

    (void)state;
    good("", &c);
    assert_string_equal(c.run_dir, "/run/lwm2m-serverd");
    assert_string_equal(c.store_path, "");
    assert_int_equal(c.coap_listen.n, 2);
    assert_true(is_addr(&c.coap_listen.v[0], "127.0.0.1:5683"));
    assert_true(is_addr(&c.coap_listen.v[1], "[::1]:5683"));
    assert_int_equal(c.api_listen.n, 1);
    assert_int_equal(c.shards, 0);
    assert_int_equal(c.grace_s, 93);
    assert_int_equal(c.coap_block_size, 512);
    assert_true(c.coap_steering);
    assert_int_equal(c.log_level, LOG_LEVEL_INFO);
    assert_int_equal(c.replace_policy, 0);
    conf_fini(&c);
}

static void test_every_kind_of_option(void **state)
{
    struct conf c;

    (void)state;
    good("; a comment\n"
         "# another\n"
         "[server]\n"
         "run-dir = /tmp/a dir with spaces\n"
         "shards=12\n"
         "log-level : debug\n"
         "\n"
         "[coap]\n"
         "listen = 192.0.2.1:5683 ,\t[2001:db8::1]:15683\n"
         "steering = off\n"
         "[api]\n"
         "listen =\n"
         "[registration]\n"
         "replace-policy = refuse\n"
         "default-lifetime-s = 4294967295\n",
         &c);
    assert_string_equal(c.run_dir, "/tmp/a dir with spaces");
    assert_int_equal(c.shards, 12);
    assert_int_equal(c.log_level, LOG_LEVEL_DEBUG);
    assert_int_equal(c.coap_listen.n, 2);
    assert_true(is_addr(&c.coap_listen.v[0], "192.0.2.1:5683"));
    assert_true(is_addr(&c.coap_listen.v[1], "[2001:db8::1]:15683"));
    assert_false(c.coap_steering);
    assert_int_equal(c.api_listen.n, 0);
    assert_int_equal(c.replace_policy, 1);
    assert_int_equal(c.default_lifetime_s, UINT32_MAX);
    conf_fini(&c);
}

static void test_words_for_yes_and_no(void **state)
{
    static const struct {
        const char *text;
        bool value;
    } rows[] = {{"[coap]\nsteering = yes\n", true},  {"[coap]\nsteering = no\n", false},
                {"[coap]\nsteering = true\n", true}, {"[coap]\nsteering = false\n", false},
                {"[coap]\nsteering = on\n", true},   {"[coap]\nsteering = off\n", false}};

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        struct conf c;

        good(rows[i].text, &c);
        assert_int_equal(c.coap_steering, rows[i].value);
        conf_fini(&c);
    }
    wrong("[coap]\nsteering = maybe\n", ":2: [coap] steering = maybe: neither yes nor no");
}

/* ---- mistakes ---- */

static void test_numbers_have_bounds(void **state)
{
    struct conf c;

    (void)state;
    wrong("[server]\nshards = 129\n", ":2: [server] shards = 129: out of range (0 to 128)");
    wrong("[server]\nshards = -1\n", ":2: [server] shards = -1: not a whole number (0 to 128)");
    wrong("[server]\nshards = 1.5\n", ":2: [server] shards = 1.5: not a whole number (0 to 128)");
    wrong("[server]\nshards =\n", ":2: [server] shards = : not a whole number (0 to 128)");
    wrong("[registration]\ndefault-lifetime-s = 0\n",
          ":2: [registration] default-lifetime-s = 0: out of range (1 to 4294967295)");
    wrong("[server]\nshards = 18446744073709551616\n",
          ":2: [server] shards = 18446744073709551616: not a whole number (0 to 128)");
    good("[server]\nshards = 128\n", &c);
    assert_int_equal(c.shards, 128);
    conf_fini(&c);
}

static void test_choices_and_addresses(void **state)
{
    char many[1000] = "[coap]\nlisten = 127.0.0.1:1";

    (void)state;
    wrong("[store]\nsynchronous = maybe\n",
          ":2: [store] synchronous = maybe: not one of the choices (normal|full)");
    wrong("[coap]\nlisten = localhost:5683\n",
          ":2: [coap] listen = localhost:5683: not an address with a port, like "
          "192.0.2.1:5683 or [2001:db8::1]:5683");
    wrong("[coap]\nlisten = 127.0.0.1:5683,\n",
          ":2: [coap] listen = 127.0.0.1:5683,: not an address with a port, like "
          "192.0.2.1:5683 or [2001:db8::1]:5683");
    for (size_t i = 1; i <= CONF_ADDRS_MAX; i++) /* one too many, and short enough for a line */
        snprintf(many + strlen(many), sizeof(many) - strlen(many), ",1.1.1.1:%zu", i);
    write_text(many);
    {
        struct conf c;
        char *errors;

        assert_int_equal(load(many, &c, &errors), ERR_INVALID);
        assert_non_null(strstr(errors, ": too many addresses\n"));
        free(errors);
    }
}

static void test_all_mistakes_are_named(void **state)
{
    static const char *const mistakes[] = {
        ":1: [] shards is not an option",
        ":3: [server] shard is not an option",
        ":4: [server] shards = many: not a whole number (0 to 128)",
        ":5: [server] shards is given twice",
        ":7: [nothing] at-all is not an option",
    };

    (void)state;
    bad("shards = 1\n[server]\nshard = 1\nshards = many\nshards = 2\n[nothing]\nat-all = 1\n",
        mistakes, mem_count(mistakes));
}

static void test_what_is_no_line(void **state)
{
    (void)state;
    wrong("[server]\nshards 4\n", ":2: neither a [section] nor key = value");
    wrong("[server\n", ":1: neither a [section] nor key = value");
}

/* What is too long is not taken in part; what follows is read. */
static void test_long_lines(void **state)
{
    char text[4000] = "[server]\nrun-dir = /";
    struct conf c = {0};
    char *errors;

    (void)state;
    memset(text + strlen(text), 'x', 3000);
    snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s",
             "\nshards = 4\nlog-level = loud\n");
    assert_int_equal(load(text, &c, &errors), ERR_INVALID);
    assert_non_null(strstr(errors, ":2: the line is longer than "));
    assert_non_null(strstr(errors, ":4: [server] log-level = loud: not one of the choices"));
    assert_null(strstr(errors, ":3:"));
    free(errors);
}

static void test_options_that_need_each_other(void **state)
{
    struct conf c;

    (void)state;
    wrong("[coap]\nblock-size = 500\n", ":2: [coap] block-size must be a power of two");
    wrong("[api]\nlisten = 0.0.0.0:8080\n",
          ":2: [api] listen leaves loopback, so [api] token-file is needed");
    good("[api]\nlisten = 0.0.0.0:8080\ntoken-file = /etc/tokens\n", &c);
    conf_fini(&c);
}

static void test_a_file_that_cannot_be_read(void **state)
{
    struct conf c;
    char *said;
    size_t n;
    FILE *errors = open_memstream(&said, &n);

    (void)state;
    assert_int_equal(conf_load("/nonexistent/file", errors, &c), ERR_NOTFOUND);
    fclose(errors);
    assert_string_equal(said, "/nonexistent/file: No such file or directory\n");
    free(said);
}

/* ---- the table ---- */

static void test_every_default_is_allowed(void **state)
{
    (void)state;
    for (size_t i = 0; i < mem_count(options); i++) {
        const struct option *o = &options[i];
        struct conf c = {0};

        assert_null(set(&c, o, view_str(o->fallback)));
        assert_true(o->text[0] != '\0' && o->text[strlen(o->text) - 1] == '.');
        assert_true(o->kind != KIND_CHOICE || o->choices != NULL);
        /* conf_reload copies numbers only. */
        assert_true(!o->reloadable || o->kind == KIND_CHOICE || o->kind == KIND_UINT);
        conf_fini(&c);
        for (size_t j = 0; j < i; j++)
            assert_true(options[j].offset != o->offset);
    }
}

static char *print(void (*what)(FILE *out))
{
    char *text;
    size_t n;
    FILE *out = open_memstream(&text, &n);

    what(out);
    fclose(out);
    return text;
}

static void print_sample(FILE *out)
{
    conf_sample(out, NULL, 0);
}

static void print_overridden(FILE *out)
{
    static const struct conf_override overrides[] = {{"coap", "listen", "0.0.0.0:5683"},
                                                     {"server", "run-dir", "run"},
                                                     {"server", "listen", "never used"}};

    conf_sample(out, overrides, mem_count(overrides));
}

/* Comment marks taken off, the sample says what an empty file says. */
static void test_the_sample_is_the_defaults(void **state)
{
    char *text = print(print_sample);
    struct conf c, defaults;

    (void)state;
    good("", &defaults);
    good(text, &c);
    for (size_t i = 0; i < mem_count(options); i++) {
        char line[512];

        assert_true(same(&options[i], (char *)&c + options[i].offset,
                         (char *)&defaults + options[i].offset));
        snprintf(line, sizeof(line), "\n# %s = %s\n", options[i].key, options[i].fallback);
        assert_non_null(strstr(text, line));
        snprintf(line, sizeof(line), "\n[%s]\n", options[i].section);
        assert_non_null(strstr(text, line));
    }
    conf_fini(&c);
    conf_fini(&defaults);
    free(text);
}

static void test_a_sample_with_values(void **state)
{
    char *text = print(print_overridden);
    struct conf c;

    (void)state;
    good(text, &c);
    assert_int_equal(c.coap_listen.n, 1);
    assert_true(is_addr(&c.coap_listen.v[0], "0.0.0.0:5683"));
    assert_string_equal(c.run_dir, "run");
    assert_non_null(strstr(text, "\nlisten = 0.0.0.0:5683\n"));
    assert_null(strstr(text, "never used"));
    for (const char *line = text; *line != '\0';) {
        size_t n = strcspn(line, "\n");

        assert_true(n <= 100);
        line += n + (line[n] == '\n');
    }
    conf_fini(&c);
    free(text);
}

static void test_the_manual_names_every_option(void **state)
{
    char *text = print(conf_man);

    (void)state;
    for (size_t i = 0; i < mem_count(options); i++) {
        char key[128] = ".TP\n.B ";
        size_t n = strlen(key);

        for (const char *p = options[i].key; *p != '\0'; p++) {
            if (*p == '-')
                key[n++] = '\\';
            key[n++] = *p;
        }
        key[n++] = '\n';
        key[n] = '\0';
        assert_non_null(strstr(text, key));
    }
    /* No line of text may look like a request. */
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1) {
        assert_int_not_equal(*line, '\'');
        if (*line == '.')
            assert_true(line[1] >= 'A' && line[1] <= 'Z');
    }
    free(text);
}

/* ---- reload ---- */

static void test_reload_takes_what_it_may(void **state)
{
    struct conf c, next;

    (void)state;
    log_setup(LOG_LEVEL_ERROR, false, 2);
    good("[server]\nshards = 2\nlog-level = info\n", &c);
    good("[server]\nshards = 3\nlog-level = debug\nlog-format = json\nrun-dir = /elsewhere\n"
         "[coap]\nlisten = 127.0.0.1:1\nsteering = no\n",
         &next);
    conf_reload(&c, &next);
    assert_int_equal(c.log_level, LOG_LEVEL_DEBUG);
    assert_int_equal(c.log_format, 1);
    assert_int_equal(c.shards, 2);
    assert_string_equal(c.run_dir, "/run/lwm2m-serverd");
    assert_int_equal(c.coap_listen.n, 2);
    assert_true(c.coap_steering);
    conf_fini(&c);
    conf_fini(&next);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_empty_file_has_the_defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_kind_of_option, setup, teardown),
        cmocka_unit_test_setup_teardown(test_words_for_yes_and_no, setup, teardown),
        cmocka_unit_test_setup_teardown(test_numbers_have_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_choices_and_addresses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_all_mistakes_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_no_line, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(test_options_that_need_each_other, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_file_that_cannot_be_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_default_is_allowed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_sample_is_the_defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_sample_with_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_manual_names_every_option, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reload_takes_what_it_may, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
