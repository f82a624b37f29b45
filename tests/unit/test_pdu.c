#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "codec/codec.h"

struct option {
    uint32_t number;
    const char *value;
    size_t n;
};
#define TEXT(number, text)                                                                         \
    {                                                                                              \
        number, text, sizeof(text) - 1                                                             \
    }
#define END                                                                                        \
    {                                                                                              \
        0, NULL, 0                                                                                 \
    }

static size_t bytes(const char *hex, uint8_t *out, size_t cap)
{
    size_t n = 0;
    char compact[512];
    size_t len = 0;

    for (; *hex != '\0'; hex++)
        if (*hex != ' ')
            compact[len++] = *hex;
    assert_int_equal(text_unhex(view_of(compact, len), out, cap, &n), ERR_OK);
    return n;
}

static int parse_hex(const char *hex, struct pdu *p, bool *header)
{
    static uint8_t b[256];

    return pdu_parse(view_of(b, bytes(hex, b, sizeof b)), p, header);
}

/* Worked messages of the LwM2M interfaces: what they mean, and that the writer makes the same
 * bytes. */
struct worked {
    const char *hex;
    enum pdu_type type;
    uint8_t code;
    uint16_t mid;
    const char *token;
    struct option options[12];
    const char *payload;
    size_t payload_len;
};
#define PAYLOAD(text) .payload = (text), .payload_len = sizeof(text) - 1

static const struct worked worked[] = {
    {"42 02 12 34 a1 b2  b2 72 64  11 28  37 65 70 3d 64 65 76 31  06 6c 74 3d 33 30 30"
     "09 6c 77 6d 32 6d 3d 31 2e 32  03 62 3d 55  01 51  ff 3c 2f 31 2f 30 3e 2c 3c 2f 33 2f 30 3e",
     PDU_CON,
     PDU_POST,
     0x1234,
     "a1b2",
     {TEXT(PDU_URI_PATH, "rd"), TEXT(PDU_CONTENT_FORMAT, "\x28"), TEXT(PDU_URI_QUERY, "ep=dev1"),
      TEXT(PDU_URI_QUERY, "lt=300"), TEXT(PDU_URI_QUERY, "lwm2m=1.2"), TEXT(PDU_URI_QUERY, "b=U"),
      TEXT(PDU_URI_QUERY, "Q"), END},
     PAYLOAD("</1/0>,</3/0>")},
    {"62 41 12 34 a1 b2  82 72 64  04 35 61 33 66",
     PDU_ACK,
     PDU_CREATED,
     0x1234,
     "a1b2",
     {TEXT(PDU_LOCATION_PATH, "rd"), TEXT(PDU_LOCATION_PATH, "5a3f"), END},
     PAYLOAD("")},
    {"42 02 12 35 a1 b3 b2 72 64 04 35 61 33 66",
     PDU_CON,
     PDU_POST,
     0x1235,
     "a1b3",
     {TEXT(PDU_URI_PATH, "rd"), TEXT(PDU_URI_PATH, "5a3f"), END},
     PAYLOAD("")},
    {"62 44 12 35 a1 b3", PDU_ACK, PDU_CHANGED, 0x1235, "a1b3", {END}, PAYLOAD("")},
    {"42 04 12 36 a1 b4 b2 72 64 04 35 61 33 66",
     PDU_CON,
     PDU_DELETE,
     0x1236,
     "a1b4",
     {TEXT(PDU_URI_PATH, "rd"), TEXT(PDU_URI_PATH, "5a3f"), END},
     PAYLOAD("")},
    {"41 01 01 01 01 b1 33 01 30 01 39 61 70",
     PDU_CON,
     PDU_GET,
     0x0101,
     "01",
     {TEXT(PDU_URI_PATH, "3"), TEXT(PDU_URI_PATH, "0"), TEXT(PDU_URI_PATH, "9"),
      TEXT(PDU_ACCEPT, "\x70"), END},
     PAYLOAD("")},
    {"41 01 01 02 02 b1 33 47 64 65 70 74 68 3d 31 21 28",
     PDU_CON,
     PDU_GET,
     0x0102,
     "02",
     {TEXT(PDU_URI_PATH, "3"), TEXT(PDU_URI_QUERY, "depth=1"), TEXT(PDU_ACCEPT, "\x28"), END},
     PAYLOAD("")},
    {"41 03 01 03 03 b1 33 01 30 01 39 46 70 6d 69 6e 3d 35 07 70 6d 61 78 3d 36 30",
     PDU_CON,
     PDU_PUT,
     0x0103,
     "03",
     {TEXT(PDU_URI_PATH, "3"), TEXT(PDU_URI_PATH, "0"), TEXT(PDU_URI_PATH, "9"),
      TEXT(PDU_URI_QUERY, "pmin=5"), TEXT(PDU_URI_QUERY, "pmax=60"), END},
     PAYLOAD("")},
    {"41 02 01 06 06 b1 31 01 30 01 38",
     PDU_CON,
     PDU_POST,
     0x0106,
     "06",
     {TEXT(PDU_URI_PATH, "1"), TEXT(PDU_URI_PATH, "0"), TEXT(PDU_URI_PATH, "8"), END},
     PAYLOAD("")},
    {"41 02 01 07 07 b1 31 01 30 01 38 10 ff 30 3d 27 55 27",
     PDU_CON,
     PDU_POST,
     0x0107,
     "07",
     {TEXT(PDU_URI_PATH, "1"), TEXT(PDU_URI_PATH, "0"), TEXT(PDU_URI_PATH, "8"),
      TEXT(PDU_CONTENT_FORMAT, ""), END},
     PAYLOAD("0='U'")},
    {"41 05 01 10 10 c2 01 42 51 70 ff 82 a1 00 66 2f 33 2f 30 2f 39 a1 00 66 2f 31 2f 30 2f 31",
     PDU_CON,
     PDU_FETCH,
     0x0110,
     "10",
     {TEXT(PDU_CONTENT_FORMAT, "\x01\x42"), TEXT(PDU_ACCEPT, "\x70"), END},
     PAYLOAD("\x82\xa1\x00\x66/3/0/9\xa1\x00\x66/1/0/1")},
    {"41 07 01 12 12 c1 70 ff 82 a2 00 66 2f 31 2f 30 2f 31 02 19 02 58"
     "a2 00 67 2f 33 2f 30 2f 31 33 02 1a 65 53 f1 00",
     PDU_CON,
     PDU_IPATCH,
     0x0112,
     "12",
     {TEXT(PDU_CONTENT_FORMAT, "\x70"), END},
     PAYLOAD("\x82\xa2\x00\x66/1/0/1\x02\x19\x02\x58\xa2\x00\x67/3/0/13\x02\x1a\x65\x53\xf1\x00")},
    {"44 01 01 04 c0 ff ee 01 60 51 33 01 30 01 39 60",
     PDU_CON,
     PDU_GET,
     0x0104,
     "c0ffee01",
     {TEXT(PDU_OBSERVE, ""), TEXT(PDU_URI_PATH, "3"), TEXT(PDU_URI_PATH, "0"),
      TEXT(PDU_URI_PATH, "9"), TEXT(PDU_ACCEPT, ""), END},
     PAYLOAD("")},
    {"44 01 01 04 c0 ff ee 01 60 51 33 01 30 01 39 46 70 6d 69 6e 3d 35 07 70 6d 61 78 3d 31 30"
     "21 70",
     PDU_CON,
     PDU_GET,
     0x0104,
     "c0ffee01",
     {TEXT(PDU_OBSERVE, ""), TEXT(PDU_URI_PATH, "3"), TEXT(PDU_URI_PATH, "0"),
      TEXT(PDU_URI_PATH, "9"), TEXT(PDU_URI_QUERY, "pmin=5"), TEXT(PDU_URI_QUERY, "pmax=10"),
      TEXT(PDU_ACCEPT, "\x70"), END},
     PAYLOAD("")},
    {"54 45 70 01 c0 ff ee 01 61 0c 60 ff 39 35",
     PDU_NON,
     PDU_CONTENT,
     0x7001,
     "c0ffee01",
     {TEXT(PDU_OBSERVE, "\x0c"), TEXT(PDU_CONTENT_FORMAT, ""), END},
     PAYLOAD("95")},
    {"44 01 01 05 c0 ff ee 01 61 01 51 33 01 30 01 39 60",
     PDU_CON,
     PDU_GET,
     0x0105,
     "c0ffee01",
     {TEXT(PDU_OBSERVE, "\x01"), TEXT(PDU_URI_PATH, "3"), TEXT(PDU_URI_PATH, "0"),
      TEXT(PDU_URI_PATH, "9"), TEXT(PDU_ACCEPT, ""), END},
     PAYLOAD("")},
    {"41 05 01 11 11 60 61 70 37 70 6d 61 78 3d 36 30 21 70 ff 82 a1 00 66 2f 33 2f 30 2f 39"
     "a1 00 66 2f 31 2f 30 2f 31",
     PDU_CON,
     PDU_FETCH,
     0x0111,
     "11",
     {TEXT(PDU_OBSERVE, ""), TEXT(PDU_CONTENT_FORMAT, "\x70"), TEXT(PDU_URI_QUERY, "pmax=60"),
      TEXT(PDU_ACCEPT, "\x70"), END},
     PAYLOAD("\x82\xa1\x00\x66/3/0/9\xa1\x00\x66/1/0/1")},
    {"40 00 be ef", PDU_CON, PDU_EMPTY, 0xbeef, "", {END}, PAYLOAD("")},
    {"70 00 be ef", PDU_RST, PDU_EMPTY, 0xbeef, "", {END}, PAYLOAD("")},
};

static void check_parse(const struct worked *w, struct view datagram)
{
    struct pdu p;
    struct pdu_iter it;
    struct view value;
    uint32_t number;
    bool header = false;
    char token[2 * PDU_TOKEN_MAX + 1];

    assert_int_equal(pdu_parse(datagram, &p, &header), ERR_OK);
    assert_true(header);
    assert_int_equal(p.type, w->type);
    assert_int_equal(p.code, w->code);
    assert_int_equal(p.mid, w->mid);
    text_hex(p.token, p.token_len, token);
    assert_string_equal(token, w->token);
    it = pdu_iter_init(&p);
    for (const struct option *o = w->options; o->value != NULL; o++) {
        assert_true(pdu_iter_next(&it, &number, &value));
        assert_int_equal(number, o->number);
        assert_true(view_eq(value, view_of(o->value, o->n)));
    }
    assert_false(pdu_iter_next(&it, &number, &value));
    assert_true(view_eq(p.payload, view_of(w->payload, w->payload_len)));
}

static int write_worked(const struct worked *w, uint8_t *out, size_t cap, struct view *ret_datagram)
{
    uint8_t token[PDU_TOKEN_MAX];
    size_t token_len;
    struct pdu_writer writer;

    assert_int_equal(text_unhex(view_str(w->token), token, sizeof token, &token_len), ERR_OK);
    pdu_begin(&writer, out, cap, w->type, w->code, w->mid, view_of(token, token_len));
    for (const struct option *o = w->options; o->value != NULL; o++)
        pdu_put_option(&writer, o->number, view_of(o->value, o->n));
    pdu_put_payload(&writer, view_of(w->payload, w->payload_len));
    return pdu_finish(&writer, ret_datagram);
}

static void test_worked(void **state)
{
    (void)state;
    for (size_t i = 0; i < mem_count(worked); i++) {
        uint8_t b[256], out[256];
        struct view datagram = view_of(b, bytes(worked[i].hex, b, sizeof b)), written;

        check_parse(&worked[i], datagram);
        /* Into exactly the room it needs, and with one byte less. */
        assert_int_equal(write_worked(&worked[i], out, datagram.n, &written), ERR_OK);
        assert_true(view_eq(written, datagram));
        out[datagram.n - 1] = 0xa5;
        assert_int_equal(write_worked(&worked[i], out, datagram.n - 1, &written), ERR_LIMIT);
        assert_int_equal(out[datagram.n - 1], 0xa5);
    }
}

static void test_malformed(void **state)
{
    static const struct {
        const char *hex;
        int rc;
        bool header;
    } rows[] = {
        {"", ERR_TRUNCATED, false},
        {"40 01 00", ERR_TRUNCATED, false},
        {"00 01 12 34", ERR_UNSUPPORTED, false},                         /* version 0 */
        {"80 01 12 34", ERR_UNSUPPORTED, false},                         /* version 2 */
        {"49 01 12 34 01 02 03 04 05 06 07 08 09", ERR_MALFORMED, true}, /* token length 9 */
        {"4f 01 12 34", ERR_MALFORMED, true},                            /* token length 15 */
        {"42 01 12 34 01", ERR_TRUNCATED, true},                         /* token cut */
        {"40 01 12 34 ff", ERR_MALFORMED, true},          /* marker without payload */
        {"40 00 12 34 00", ERR_MALFORMED, true},          /* empty message with a byte more */
        {"41 00 12 34 01", ERR_MALFORMED, true},          /* empty message with a token */
        {"40 21 12 34", ERR_MALFORMED, true},             /* class 1 */
        {"40 c1 12 34", ERR_MALFORMED, true},             /* class 6 */
        {"40 e1 12 34", ERR_MALFORMED, true},             /* class 7 */
        {"40 01 12 34 b2 72", ERR_MALFORMED, true},       /* value cut */
        {"40 01 12 34 f0", ERR_MALFORMED, true},          /* delta 15 */
        {"40 01 12 34 0f", ERR_MALFORMED, true},          /* length 15 */
        {"40 01 12 34 d0", ERR_MALFORMED, true},          /* long delta cut */
        {"40 01 12 34 e0 01", ERR_MALFORMED, true},       /* longer delta cut */
        {"40 01 12 34 0d", ERR_MALFORMED, true},          /* long length cut */
        {"40 01 12 34 0e ff ff 00", ERR_MALFORMED, true}, /* length past the end */
        {"40 01 12 34 e0 fe f3", ERR_MALFORMED, true},    /* delta 65 536 */
        {"40 01 12 34 e0 fe f2 10", ERR_MALFORMED, true}, /* 65 535, then one more */
    };
    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        struct pdu p = {0};
        bool header = !rows[i].header;

        assert_int_equal(parse_hex(rows[i].hex, &p, &header), rows[i].rc);
        assert_int_equal(header, rows[i].header);
        if (header)
            assert_int_equal(p.mid, 0x1234);
    }
}

static void test_option_numbers_and_lengths(void **state)
{
    static const uint32_t numbers[] = {0, 1, 12, 13, 268, 269, 270, 524, 65000, 65535};
    static const size_t lengths[] = {0, 1, 12, 13, 268, 269, 270, 1034};
    uint8_t out[1200], value[1034];

    (void)state;
    memset(value, 'v', sizeof value);
    for (size_t i = 0; i < mem_count(numbers); i++) {
        for (size_t j = 0; j < mem_count(lengths); j++) {
            struct pdu_writer w;
            struct pdu p;
            struct view datagram, got;
            bool header;

            pdu_begin(&w, out, sizeof out, PDU_NON, PDU_GET, 1, VIEW_NONE);
            pdu_put_option(&w, numbers[i], view_of(value, lengths[j]));
            pdu_put_option(&w, numbers[i], VIEW_NONE); /* once more: delta 0 */
            assert_int_equal(pdu_finish(&w, &datagram), ERR_OK);
            assert_int_equal(pdu_parse(datagram, &p, &header), ERR_OK);
            assert_true(pdu_option_get(&p, numbers[i], &got));
            assert_true(view_eq(got, view_of(value, lengths[j])));
            assert_false(pdu_option_get(&p, numbers[i] + 1, &got));
        }
    }
}

static void test_option_limit(void **state)
{
    uint8_t out[256];
    struct pdu_writer w;
    struct view datagram;
    struct pdu p;
    bool header;

    (void)state;
    pdu_begin(&w, out, sizeof out, PDU_CON, PDU_GET, 7, VIEW_NONE);
    for (unsigned i = 0; i < PDU_OPTIONS_MAX; i++)
        pdu_put_option(&w, PDU_URI_PATH, VIEW_LIT("a"));
    assert_int_equal(pdu_finish(&w, &datagram), ERR_OK);
    assert_int_equal(pdu_parse(datagram, &p, &header), ERR_OK);
    pdu_put_option(&w, PDU_URI_PATH, VIEW_LIT("a"));
    assert_int_equal(pdu_finish(&w, &datagram), ERR_OK);
    assert_int_equal(pdu_parse(datagram, &p, &header), ERR_LIMIT);
    assert_true(header);
}

/* Options that no parser has checked end the walk. */
static void test_unchecked_options(void **state)
{
    struct pdu p = {.options = VIEW_LIT("\xb1"
                                        "a"
                                        "\xf0")};
    struct pdu_iter it = pdu_iter_init(&p);
    struct view value;
    uint32_t number;

    (void)state;
    assert_true(pdu_iter_next(&it, &number, &value));
    assert_int_equal(number, PDU_URI_PATH);
    assert_false(pdu_iter_next(&it, &number, &value));
    assert_false(pdu_iter_next(&it, &number, &value));
}

/* Of messages that nobody has checked. */
static void test_guess(void **state)
{
    static const struct {
        const char *hex;
        unsigned index;
        const char *segment; /* NULL: none */
    } rows[] = {
        {"40020001 b27264 0133", 0, "rd"},
        {"40020001 b27264 0133", 1, "3"},
        {"40020001 b27264 0133", 2, NULL},
        {"42020001 aabb b27264 0133", 1, "3"},
        {"40020001 3161 8272640133", 0, NULL},
        {"40020001 b27264 1133", 1, NULL},
        {"40020001 b27264 0233", 1, NULL},
        {"40020001 b27264 ff00", 1, NULL},
        {"4f020001 b27264 0133", 0, NULL},
        {"40020001", 0, NULL},
        {"400200", 0, NULL},
        {"", 0, NULL},
        {"40020001 b27264 00 0133", 2, "3"},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        uint8_t datagram[64];
        size_t n = bytes(rows[i].hex, datagram, sizeof datagram);
        uint8_t *exact = malloc(n + 1); /* so that reading past the end is seen */
        struct view segment = VIEW_NONE;
        bool found;

        memcpy(exact, datagram, n);
        found = pdu_guess_segment(view_of(exact, n), rows[i].index, &segment);
        assert_int_equal(found, rows[i].segment != NULL);
        if (found)
            assert_true(view_eq_str(segment, rows[i].segment));
        free(exact);
    }
}

static void test_path_and_query(void **state)
{
    static const struct {
        const char *path, *query;
        const char *hex;
    } rows[] = {
        {"/3/0/9", "pmin=5&pmax=10", "40010001 b133 0130 0139 46706d696e3d35 07706d61783d3130"},
        {"3/0/", "a&&b", "40010001 b133 0130 4161 0162"},
        {"/lwm2m/1", "", "40010001 b56c776d326d 0131"},
        {"/", "&", "40010001"},
        {"", "", "40010001"},
    };
    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        uint8_t out[64], want[64];
        struct pdu_writer w;
        struct view datagram;

        pdu_begin(&w, out, sizeof out, PDU_CON, PDU_GET, 1, VIEW_NONE);
        pdu_put_path(&w, PDU_URI_PATH, view_str(rows[i].path));
        pdu_put_query(&w, PDU_URI_QUERY, view_str(rows[i].query));
        assert_int_equal(pdu_finish(&w, &datagram), ERR_OK);
        assert_true(view_eq(datagram, view_of(want, bytes(rows[i].hex, want, sizeof want))));
    }
}

static void test_uint(void **state)
{
    static const struct {
        uint32_t value;
        const char *hex;
    } rows[] = {
        {0, "60"},       {1, "6101"},           {255, "61ff"},
        {256, "620100"}, {0x10000, "63010000"}, {UINT32_MAX, "64ffffffff"},
    };
    uint32_t number;

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        uint8_t out[16], want[16];
        struct pdu_writer w;
        struct view datagram;
        struct pdu p;
        bool header;

        pdu_begin(&w, out, sizeof out, PDU_CON, PDU_GET, 1, VIEW_NONE);
        pdu_put_uint(&w, PDU_OBSERVE, rows[i].value);
        assert_int_equal(pdu_finish(&w, &datagram), ERR_OK);
        assert_true(view_eq(view_sub(datagram, 4, 16),
                            view_of(want, bytes(rows[i].hex, want, sizeof want))));
        assert_int_equal(pdu_parse(datagram, &p, &header), ERR_OK);
        assert_true(pdu_option_uint(&p, PDU_OBSERVE, &number));
        assert_int_equal(number, rows[i].value);
        assert_false(pdu_option_uint(&p, PDU_ACCEPT, &number));
    }
    /* Leading zeros are read, five bytes are not. */
    assert_int_equal(pdu_uint(VIEW_LIT("\0\0\0\5"), &number), ERR_OK);
    assert_int_equal(number, 5);
    assert_int_equal(pdu_uint(VIEW_LIT("\0\0\0\0\5"), &number), ERR_RANGE);
}

static void test_writer_sticks(void **state)
{
    uint8_t out[8];
    struct pdu_writer w;
    struct view datagram;

    (void)state;
    pdu_begin(&w, out, sizeof out, PDU_CON, PDU_GET, 1, VIEW_NONE);
    pdu_put_option(&w, PDU_URI_PATH, VIEW_LIT("too long"));
    pdu_put_option(&w, PDU_ACCEPT, VIEW_NONE); /* would fit */
    pdu_put_payload(&w, VIEW_LIT("x"));
    assert_int_equal(pdu_finish(&w, &datagram), ERR_LIMIT);
    pdu_begin(&w, out, 4, PDU_CON, PDU_GET, 1, VIEW_LIT("t"));
    assert_int_equal(pdu_finish(&w, &datagram), ERR_LIMIT);
    /* The payload needs its marker. */
    pdu_begin(&w, out, 6, PDU_CON, PDU_GET, 1, VIEW_NONE);
    pdu_put_payload(&w, VIEW_LIT("xy"));
    assert_int_equal(pdu_finish(&w, &datagram), ERR_LIMIT);
    pdu_begin(&w, out, 7, PDU_CON, PDU_GET, 1, VIEW_NONE);
    pdu_put_payload(&w, VIEW_LIT("xy"));
    assert_int_equal(pdu_finish(&w, &datagram), ERR_OK);
    assert_int_equal(datagram.n, 7);
}

static void test_block(void **state)
{
    static const struct {
        const char *value;
        size_t n;
        struct pdu_block block;
    } rows[] = {
        {"", 0, {0, false, 0}},
        {"\x06", 1, {0, false, 6}},
        {"\x0e", 1, {0, true, 6}},
        {"\x1d", 1, {1, true, 5}},
        {"\xff\xff\xf6", 3, {0xfffff, false, 6}},
    };
    struct pdu_block b;

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        uint32_t number;

        assert_int_equal(pdu_block_decode(view_of(rows[i].value, rows[i].n), &b), ERR_OK);
        assert_int_equal(b.num, rows[i].block.num);
        assert_int_equal(b.more, rows[i].block.more);
        assert_int_equal(b.szx, rows[i].block.szx);
        assert_int_equal(pdu_uint(view_of(rows[i].value, rows[i].n), &number), ERR_OK);
        assert_int_equal(pdu_block_encode(b), number);
    }
    assert_int_equal(pdu_block_decode(VIEW_LIT("\x07"), &b), ERR_MALFORMED);
    assert_int_equal(pdu_block_decode(VIEW_LIT("\0\0\0\6"), &b), ERR_RANGE);
    assert_int_equal(PDU_BLOCK_SIZE(0), 16);
    assert_int_equal(PDU_BLOCK_SIZE(6), 1024);
}

static void test_lengths(void **state)
{
    (void)state;
    assert_true(pdu_option_length_ok(PDU_ACCEPT, 2));
    assert_false(pdu_option_length_ok(PDU_ACCEPT, 3));
    assert_false(pdu_option_length_ok(PDU_ETAG, 0));
    assert_false(pdu_option_length_ok(PDU_URI_PATH, 256));
    assert_true(pdu_option_length_ok(PDU_IF_NONE_MATCH, 0));
    assert_false(pdu_option_length_ok(PDU_IF_NONE_MATCH, 1));
    assert_true(pdu_option_length_ok(40000, 4000)); /* unknown */
}

static void test_code_format(void **state)
{
    char out[5];

    (void)state;
    pdu_code_format(PDU_CONTENT, out);
    assert_string_equal(out, "2.05");
    pdu_code_format(0x8d, out);
    assert_string_equal(out, "4.13");
    pdu_code_format(PDU_CONTINUE, out);
    assert_string_equal(out, "2.31");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_worked),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_option_numbers_and_lengths),
        cmocka_unit_test(test_option_limit),
        cmocka_unit_test(test_unchecked_options),
        cmocka_unit_test(test_guess),
        cmocka_unit_test(test_path_and_query),
        cmocka_unit_test(test_uint),
        cmocka_unit_test(test_writer_sticks),
        cmocka_unit_test(test_block),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_code_format),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
