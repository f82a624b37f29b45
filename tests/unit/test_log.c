#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base.h"

/* Lines go through a socket that keeps records: what one read returns is what one write wrote. */
static int ends[2];
static char line[8192];

static int open_ends(void **state)
{
    (void)state;
    return socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends);
}

static int close_ends(void **state)
{
    (void)state;
    log_setup(LOG_LEVEL_INFO, false, 2);
    log_rate(50);
    close(ends[0]);
    if (ends[1] >= 0)
        close(ends[1]);
    return 0;
}

static void set_up(bool json)
{
    log_setup(LOG_LEVEL_DEBUG, json, ends[1]);
}

/* One line, without the time that starts it, and checked to be one. */
static const char *read_line(void)
{
    ssize_t n = read(ends[0], line, sizeof(line) - 1);
    bool json = line[0] == '{';
    int64_t ms;

    assert_in_range(n, 25, 4096);
    line[n] = '\0';
    assert_ptr_equal(strchr(line, '\n'), line + n - 1);
    line[n - 1] = '\0';
    if (json)
        assert_memory_equal(line, "{\"time\":\"", 9);
    assert_int_equal(text_untime(view_of(line + (json ? 9 : 0), 24), &ms), ERR_OK);
    assert_in_range(clock_wall_ms() - ms, 0, 60000);
    return line + 24 + (json ? 9 : 0);
}

static void test_text(void **state)
{
    struct addr a;

    (void)state;
    set_up(false);
    log_info("started");
    assert_string_equal(read_line(), " INFO started");
    log_error("went wrong", log_text("why", "no reason"), log_text("code", "x-1"));
    assert_string_equal(read_line(), " ERROR went wrong why=\"no reason\" code=x-1");
    log_warn("numbers", log_u64("big", UINT64_MAX), log_i64("small", INT64_MIN));
    assert_string_equal(read_line(),
                        " WARN numbers big=18446744073709551615 small=-9223372036854775808");
    assert_int_equal(addr_parse(VIEW_LIT("[2001:db8::1]:5683"), &a), ERR_OK);
    log_debug("from", log_addr("peer", &a), log_view("ep", VIEW_LIT("urn:dev:1")));
    assert_string_equal(read_line(), " DEBUG from peer=[2001:db8::1]:5683 ep=urn:dev:1");
    log_info("empty", log_text("a", ""), log_text("b", NULL), log_view("c", VIEW_NONE),
             log_addr("d", NULL));
    assert_string_equal(read_line(), " INFO empty a=\"\" b=\"\" c=\"\" d=\"\"");
}

static void test_text_escapes(void **state)
{
    (void)state;
    set_up(false);
    log_info("x", log_text("v", "a=b"));
    assert_string_equal(read_line(), " INFO x v=\"a=b\"");
    log_info("x", log_text("v", "say \"hi\" \\"));
    assert_string_equal(read_line(), " INFO x v=\"say \\\"hi\\\" \\\\\"");
    log_info("x", log_text("v", "a\nINFO forged\r\t\b\f"));
    assert_string_equal(read_line(), " INFO x v=\"a\\nINFO forged\\r\\t\\b\\f\"");
    log_info("x", log_view("v", VIEW_LIT("\0\x1b[31m\x7f\xc2\x9b")));
    assert_string_equal(read_line(), " INFO x v=\"\\u0000\\u001b[31m\\u007f\\u009b\"");
    log_info("x", log_text("v", "gr\xc3\xbcn \xff\xc3"));
    assert_string_equal(read_line(), " INFO x v=\"gr\xc3\xbcn \\ufffd\\ufffd\"");
    log_info("two\nlines");
    assert_string_equal(read_line(), " INFO two\\nlines");
}

static void test_json(void **state)
{
    struct addr a;

    (void)state;
    set_up(true);
    log_info("started");
    assert_string_equal(read_line(), "\",\"level\":\"info\",\"message\":\"started\"}");
    assert_int_equal(addr_parse(VIEW_LIT("192.0.2.1:5683"), &a), ERR_OK);
    log_error("say \"no\"", log_text("why", "a\nb"), log_u64("n", 7), log_i64("i", -7),
              log_addr("peer", &a), log_view("none", VIEW_NONE), log_view("empty", VIEW_LIT("")));
    assert_string_equal(
        read_line(), "\",\"level\":\"error\",\"message\":\"say \\\"no\\\"\",\"why\":\"a\\nb\","
                     "\"n\":7,\"i\":-7,\"peer\":\"192.0.2.1:5683\",\"none\":null,\"empty\":\"\"}");
    /* Past 2^53 a reader's double would be another number. */
    log_warn("n", log_u64("a", (uint64_t)1 << 53), log_u64("b", ((uint64_t)1 << 53) + 1),
             log_i64("c", INT64_MIN));
    assert_string_equal(read_line(),
                        "\",\"level\":\"warn\",\"message\":\"n\",\"a\":9007199254740992,"
                        "\"b\":\"9007199254740993\",\"c\":\"-9223372036854775808\"}");
}

static void test_threshold(void **state)
{
    (void)state;
    log_setup(LOG_LEVEL_WARN, false, ends[1]);
    assert_true(log_enabled(LOG_LEVEL_ERROR));
    assert_true(log_enabled(LOG_LEVEL_WARN));
    assert_false(log_enabled(LOG_LEVEL_INFO));
    assert_false(log_enabled(LOG_LEVEL_DEBUG));
    log_info("not said");
    log_debug("not said");
    log_warn("said");
    assert_string_equal(read_line(), " WARN said");
}

static void test_long_value(void **state)
{
    char text[3000];
    const char *got;

    (void)state;
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    set_up(false);
    log_info("long", log_text("v", text), log_u64("after", 1));
    got = read_line();
    assert_int_equal(strspn(got + 13, "x"), 1021);
    assert_string_equal(got + 13 + 1021, "... after=1");
    /* Exactly what is allowed is not cut. */
    text[1024] = '\0';
    log_info("long", log_text("v", text), log_u64("after", 1));
    assert_string_equal(read_line() + 13 + 1024, " after=1");
    /* Neither a character nor an escape is cut in two. */
    for (size_t shift = 0; shift < 8; shift++) {
        memset(text, 'x', shift);
        for (size_t i = shift; i < sizeof(text) - 3; i += 2)
            memcpy(text + i, i < 1000 ? "\n\n" : "\xc3\xbc", 2);
        log_info("long", log_text("v", text));
        got = read_line();
        assert_int_equal(view_utf8(view_str(got)), ERR_OK);
        assert_string_equal(got + strlen(got) - 4, "...\"");
        for (const char *p = strchr(got, '\\'); p; p = strchr(p + 2, '\\'))
            assert_int_equal(p[1], 'n');
    }
}

/* A line never passes 4 KiB, stays well-formed and says that it was cut. */
static void test_long_line(void **state)
{
    char text[3000];

    (void)state;
    log_rate(0);
    memset(text, '\n', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    for (size_t n = 1; n < sizeof(text) - 1; n += 61) {
        size_t length;
        const char *got;

        text[n] = '\0';
        for (int json = 0; json < 2; json++) {
            const char *end = json ? ",\"truncated\":true}" : " truncated=true";

            set_up(json);
            log_info("m", log_text("a", text), log_text("b", text), log_text("c", text),
                     log_text("d", text), log_text("e", text), log_u64("f", UINT64_MAX));
            got = read_line();
            length = strlen(got);
            if (n > 1000)
                assert_string_equal(got + length - strlen(end), end);
            else if (n < 300)
                assert_null(strstr(got, "truncated"));
            if (json) {
                assert_int_equal(got[length - 1], '}');
                /* Outside of escapes, quotes come in pairs: the time's opening one is cut off. */
                length = 1;
                for (const char *p = got; *p; p++) {
                    if (*p == '\\')
                        p++;
                    else
                        length += *p == '"';
                }
                assert_int_equal(length % 2, 0);
            }
        }
        text[n] = '\n';
    }
}

static void say(struct log_site *site, const char *message)
{
    log_line(site, LOG_LEVEL_INFO, message, NULL, 0);
}

static void test_rate(void **state)
{
    struct log_site site = {0};
    struct log_site other = {0};
    uint64_t before = log_suppressed_total();
    uint64_t start;

    (void)state;
    set_up(false);
    log_rate(3);
    say(&site, "a");
    start = clock_mono_ms();
    for (int i = 0; i < 9; i++)
        say(&site, "a");
    if (clock_mono_ms() - start > 900)
        skip(); /* the machine was too slow to be within one second */
    for (int i = 0; i < 3; i++)
        assert_string_equal(read_line(), " INFO a");
    assert_int_equal(log_suppressed_total() - before, 7);
    /* Another site has a budget of its own, and no site has none. */
    say(&other, "b");
    assert_string_equal(read_line(), " INFO b");
    for (int i = 0; i < 5; i++) {
        say(NULL, "c");
        assert_string_equal(read_line(), " INFO c");
    }
    while (clock_mono_ms() - start < 1001)
        usleep(5000);
    say(&site, "d");
    assert_string_equal(read_line(), " INFO d suppressed=7");
    say(&site, "e");
    assert_string_equal(read_line(), " INFO e");
    assert_int_equal(log_suppressed_total() - before, 7);
    log_rate(0);
    for (int i = 0; i < 200; i++) {
        say(&site, "f");
        assert_string_equal(read_line(), " INFO f");
    }
}

/* A log nobody reads any more must not stop or kill the writer. */
static void test_unwritable(void **state)
{
    (void)state;
    log_setup(LOG_LEVEL_INFO, false, -1);
    log_info("into the void");
    set_up(false);
    log_info("back");
    assert_string_equal(read_line(), " INFO back");
}

#define THREADS 4
#define LINES 300

static void *log_many(void *arg)
{
    for (int i = 0; i < LINES; i++)
        log_info("from a thread", log_u64("thread", *(const uint64_t *)arg), log_i64("n", i));
    return NULL;
}

/* Lines of many threads through one site: none is torn, and written plus suppressed is all. */
static void test_threads(void **state)
{
    uint64_t number[THREADS];
    pthread_t thread[THREADS];
    uint64_t before = log_suppressed_total();
    size_t written = 0;
    ssize_t n;

    (void)state;
    log_rate(40);
    set_up(false);
    for (size_t i = 0; i < THREADS; i++) {
        number[i] = i;
        assert_int_equal(pthread_create(&thread[i], NULL, log_many, &number[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    assert_int_equal(close(ends[1]), 0);
    while ((n = read(ends[0], line, sizeof(line) - 1)) > 0) {
        line[n] = '\0';
        assert_ptr_equal(strstr(line, " INFO from a thread thread="), line + 24);
        assert_ptr_equal(strchr(line, '\n'), line + n - 1);
        written++;
    }
    assert_int_equal(written + (log_suppressed_total() - before), THREADS * LINES);
    assert_in_range(written, 40, 400);
    ends[1] = -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_text, open_ends, close_ends),
        cmocka_unit_test_setup_teardown(test_text_escapes, open_ends, close_ends),
        cmocka_unit_test_setup_teardown(test_json, open_ends, close_ends),
        cmocka_unit_test_setup_teardown(test_threshold, open_ends, close_ends),
        cmocka_unit_test_setup_teardown(test_long_value, open_ends, close_ends),
        cmocka_unit_test_setup_teardown(test_long_line, open_ends, close_ends),
        cmocka_unit_test_setup_teardown(test_rate, open_ends, close_ends),
        cmocka_unit_test_setup_teardown(test_unwritable, open_ends, close_ends),
        cmocka_unit_test_setup_teardown(test_threads, open_ends, close_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
