#include "base/base.h"

#include <math.h>
#include <stdlib.h>

/* Longest decimal text taken for a double; the largest one printed by "%f" has 317 characters. */
#define DOUBLE_TEXT_MAX 400

int view_cmp(struct view a, struct view b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0;

    return order ? order : (a.n > b.n) - (a.n < b.n);
}

struct view view_sub(struct view v, size_t from, size_t n)
{
    if (!v.p)
        return VIEW_NONE;
    if (from > v.n)
        from = v.n;
    if (n > v.n - from)
        n = v.n - from;
    return view_of(v.p + from, n);
}

bool view_split(struct view *rest, uint8_t sep, struct view *ret_part)
{
    struct view v = *rest;
    const uint8_t *at;

    if (!v.p)
        return false;
    at = v.n ? memchr(v.p, sep, v.n) : NULL;
    if (!at) {
        *ret_part = v;
        *rest = VIEW_NONE;
        return true;
    }
    *ret_part = view_of(v.p, (size_t)(at - v.p));
    *rest = view_sub(v, ret_part->n + 1, v.n);
    return true;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

int view_u64(struct view v, uint64_t max, uint64_t *ret_number)
{
    uint64_t number = 0;
    bool overflow = false;

    if (v.n == 0)
        return ERR_MALFORMED;
    for (size_t i = 0; i < v.n; i++) {
        uint64_t digit;

        if (!is_digit(v.p[i]))
            return ERR_MALFORMED;
        digit = (uint64_t)(v.p[i] - '0');
        overflow |= number > (UINT64_MAX - digit) / 10;
        number = number * 10 + digit;
    }
    if (overflow || number > max)
        return ERR_RANGE;
    *ret_number = number;
    return ERR_OK;
}

int view_i64(struct view v, int64_t *ret_number)
{
    bool minus = v.n > 0 && v.p[0] == '-';
    uint64_t number;
    int rc = view_u64(minus ? view_sub(v, 1, v.n) : v, (uint64_t)INT64_MAX + minus, &number);

    if (rc < 0)
        return rc;
    *ret_number = (int64_t)(minus ? 0 - number : number);
    return ERR_OK;
}

/* Digits from *at on; returns how many. */
static size_t skip_digits(struct view v, size_t *at)
{
    size_t from = *at;

    while (*at < v.n && is_digit(v.p[*at]))
        (*at)++;
    return *at - from;
}

/* -?(digits[.digits]|.digits|digits.)([eE][+-]?digits)? */
static bool is_decimal(struct view v)
{
    size_t at = 0;
    size_t digits;

    if (at < v.n && v.p[at] == '-')
        at++;
    digits = skip_digits(v, &at);
    if (at < v.n && v.p[at] == '.') {
        at++;
        digits += skip_digits(v, &at);
    }
    if (digits == 0)
        return false;
    if (at < v.n && (v.p[at] == 'e' || v.p[at] == 'E')) {
        at++;
        if (at < v.n && (v.p[at] == '+' || v.p[at] == '-'))
            at++;
        if (skip_digits(v, &at) == 0)
            return false;
    }
    return at == v.n;
}

int view_double(struct view v, double *ret_number)
{
    char text[DOUBLE_TEXT_MAX + 1];
    double number;

    if (!is_decimal(v))
        return ERR_MALFORMED;
    if (v.n > DOUBLE_TEXT_MAX)
        return ERR_RANGE;
    memcpy(text, v.p, v.n);
    text[v.n] = '\0';
    number = strtod(text, NULL);
    if (isinf(number))
        return ERR_RANGE;
    *ret_number = number;
    return ERR_OK;
}

/* What the first byte of a multi-byte character says: its length, the bits it carries and the
 * smallest code point that needs this length (RFC 3629 section 3). */
struct utf8_lead {
    uint8_t mask, value, length;
    uint32_t least;
};

static const struct utf8_lead utf8_leads[] = {
    {0xe0, 0xc0, 2, 0x80},
    {0xf0, 0xe0, 3, 0x800},
    {0xf8, 0xf0, 4, 0x10000},
};

size_t view_utf8_char(struct view v)
{
    const struct utf8_lead *lead = utf8_leads;
    uint32_t point;

    if (v.n == 0)
        return 0;
    if (v.p[0] < 0x80)
        return 1;
    while ((v.p[0] & lead->mask) != lead->value)
        if (++lead == utf8_leads + mem_count(utf8_leads))
            return 0;
    if (v.n < lead->length)
        return 0;
    point = v.p[0] & (uint8_t)~lead->mask;
    for (size_t i = 1; i < lead->length; i++) {
        if ((v.p[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (v.p[i] & 0x3f);
    }
    if (point < lead->least || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
        return 0;
    return lead->length;
}

/* True when the eight bytes are all ASCII and none is NUL: subtracting 1 from each byte borrows
 * into the top bit only where a byte was 0. */
static bool is_plain_word(const uint8_t *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof(word));
    return ((word | (word - 0x0101010101010101u)) & 0x8080808080808080u) == 0;
}

int view_utf8(struct view v)
{
    size_t at = 0;

    while (at < v.n) {
        size_t n;

        if (v.n - at >= 8 && is_plain_word(v.p + at)) {
            at += 8;
            continue;
        }
        n = view_utf8_char(view_of(v.p + at, v.n - at));
        if (n == 0 || v.p[at] == 0)
            return ERR_UTF8;
        at += n;
    }
    return ERR_OK;
}
