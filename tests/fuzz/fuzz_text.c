/* Numbers, times, addresses, names and encodings: the first byte picks what the text is read as.
 * What is read is written, and that reads as the same. */
#include "model/model.h"

#include "require.h"

#include <stdio.h>

static void number(struct view text)
{
    uint64_t u = 0, max;
    int64_t i = 0;
    double d = 0, again;
    int u_rc = view_u64(text, UINT64_MAX, &u), i_rc = view_i64(text, &i);
    char out[32];

    if (u_rc == ERR_OK) {
        require(view_u64(text, u, &max) == ERR_OK && max == u);
        require(u == 0 || view_u64(text, u - 1, &max) == ERR_RANGE);
        require(u > INT64_MAX ? i_rc == ERR_RANGE : i_rc == ERR_OK && (uint64_t)i == u);
    }
    if (view_double(text, &d) != ERR_OK) {
        require((u_rc != ERR_OK && i_rc != ERR_OK) || text.n > 100);
        return;
    }
    require(i_rc != ERR_OK || d == (double)i);
    text_double(d, out);
    require(view_double(view_str(out), &again) == ERR_OK && again == d);
}

static void utf8(struct view text)
{
    size_t at = 0, n = 1;

    while (at < text.n && n > 0) {
        n = view_utf8_char(view_sub(text, at, text.n));
        at += n;
    }
    require((n > 0 && (text.n == 0 || memchr(text.p, 0, text.n) == NULL)) ==
            (view_utf8(text) == ERR_OK));
}

static void moment(struct view text)
{
    int64_t ms, again;
    char out[25];

    if (text_untime(text, &ms) != ERR_OK)
        return;
    text_time(ms, out);
    require(text_untime(view_str(out), &again) == ERR_OK);
    require(again == ms || text.p[0] == '9' || text.p[0] == '0'); /* an offset out of the years */
}

static void hex(struct view text)
{
    uint8_t bytes[64];
    char out[2 * sizeof(bytes) + 1];
    size_t n;

    if (text_unhex(text, bytes, sizeof(bytes), &n) != ERR_OK)
        return;
    text_hex(bytes, n, out);
    require(strlen(out) == text.n && strncasecmp(out, (const char *)text.p, text.n) == 0);
}

static void base64(struct view text)
{
    struct buf bytes, out, again;

    buf_init(&bytes, text.n);
    buf_init(&out, 2 * text.n + 4);
    buf_init(&again, text.n);
    if (text_unbase64(&bytes, text) == ERR_OK) {
        text_base64(&out, buf_view(&bytes), text.n % 2);
        require(text_unbase64(&again, buf_view(&out)) == ERR_OK);
        require(view_eq(buf_view(&bytes), buf_view(&again)));
    }
    buf_fini(&bytes);
    buf_fini(&out);
    buf_fini(&again);
}

static void address(struct view text)
{
    struct addr a, again;
    char out[ADDR_TEXT_MAX];

    if (addr_parse(text, &a) != ERR_OK)
        return;
    addr_format(&a, out);
    require(addr_parse(view_str(out), &again) == ERR_OK && addr_eq(&a, &again));
}

static void id(struct view text)
{
    struct op_id op, op_again;
    uint64_t reg, reg_again;
    char out[37];

    if (op_id_parse(text, &op) == ERR_OK) {
        op_id_format(&op, out);
        require(op_id_parse(view_str(out), &op_again) == ERR_OK && op_id_eq(&op, &op_again));
    }
    if (registration_id_parse(text, &reg) == ERR_OK) {
        registration_id_format(reg, out);
        require(registration_id_parse(view_str(out), &reg_again) == ERR_OK && reg == reg_again);
    }
}

static void word(struct view text)
{
    enum value_type type, type_again;
    enum op_state state;
    struct version version;
    uint8_t bits, bits_again;
    bool queue;
    char out[8];

    if (value_type_parse(text, &type) == ERR_OK)
        require(value_type_parse(view_str(value_type_name(type)), &type_again) == ERR_OK &&
                type == type_again);
    if (op_state_parse(text, &state) == ERR_OK)
        require(view_eq_str(text, op_state_name(state)));
    if (version_parse(text, &version) == ERR_OK)
        require(version_cmp(version, version) == 0);
    if (binding_parse(text, &bits, &queue) == ERR_OK) {
        binding_format(bits, out);
        require(binding_parse(view_str(out), &bits_again, &queue) == ERR_OK && bits == bits_again);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(struct view) = {number, utf8,    moment, hex,
                                                   base64, address, id,     word};

    if (size > 0)
        readers[data[0] % mem_count(readers)](view_of(data + 1, size - 1));
    return 0;
}
