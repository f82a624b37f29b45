#include "base/base.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

/* ---- hex ---- */

void text_hex(const void *p, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *bytes = p;

    for (size_t i = 0; i < n; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = '\0';
}

/* The value of a hex digit, or -1. */
static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int text_unhex(struct view hex, uint8_t *out, size_t cap, size_t *ret_n)
{
    if (hex.n % 2 != 0)
        return ERR_MALFORMED;
    for (size_t i = 0; i < hex.n; i++)
        if (hex_digit(hex.p[i]) < 0)
            return ERR_MALFORMED;
    if (hex.n / 2 > cap)
        return ERR_LIMIT;
    for (size_t i = 0; i < hex.n; i += 2)
        out[i / 2] = (uint8_t)(hex_digit(hex.p[i]) << 4 | hex_digit(hex.p[i + 1]));
    *ret_n = hex.n / 2;
    return ERR_OK;
}

/* ---- base64 ---- */

void text_base64(struct buf *out, struct view v, bool url)
{
    static const char common[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    const char *tail = url ? "-_" : "+/";

    for (size_t i = 0; i < v.n; i += 3) {
        size_t n = v.n - i < 3 ? v.n - i : 3;
        uint32_t group = (uint32_t)v.p[i] << 16;
        char text[4];

        if (n > 1)
            group |= (uint32_t)v.p[i + 1] << 8;
        if (n > 2)
            group |= v.p[i + 2];
        for (size_t k = 0; k < 4; k++) {
            size_t six = group >> (18 - 6 * k) & 63;

            text[k] = six < 62 ? common[six] : tail[six - 62];
        }
        if (!url)
            memset(text + n + 1, '=', 3 - n);
        buf_put(out, text, url ? n + 1 : 4);
    }
}

/* The six bits a character stands for in either alphabet, or -1. */
static int base64_digit(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

/* Decodes 2 to 4 characters; the bits past the last whole byte must be zero, so that each text
 * stands for other bytes (RFC 4648 section 3.5). */
static int base64_group(struct view v, uint8_t bytes[3])
{
    uint32_t group = 0;

    for (size_t i = 0; i < v.n; i++) {
        int six = base64_digit(v.p[i]);

        if (six < 0)
            return ERR_MALFORMED;
        group |= (uint32_t)six << (18 - 6 * i);
    }
    bytes[0] = (uint8_t)(group >> 16);
    bytes[1] = (uint8_t)(group >> 8);
    bytes[2] = (uint8_t)group;
    for (size_t i = v.n - 1; i < 3; i++)
        if (bytes[i] != 0)
            return ERR_MALFORMED;
    return ERR_OK;
}

int text_unbase64(struct buf *out, struct view v)
{
    size_t before = out->n;
    size_t padding = 0;

    while (padding < 2 && padding < v.n && v.p[v.n - 1 - padding] == '=')
        padding++;
    if ((padding && v.n % 4 != 0) || (v.n - padding) % 4 == 1)
        return ERR_MALFORMED;
    v.n -= padding;
    for (size_t i = 0; i < v.n; i += 4) {
        struct view part = view_sub(v, i, 4);
        uint8_t bytes[3];

        if (base64_group(part, bytes) < 0) {
            out->n = before;
            return ERR_MALFORMED;
        }
        buf_put(out, bytes, part.n - 1);
    }
    if (out->rc < 0)
        out->n = before;
    return out->rc;
}

/* ---- time ---- */

#define DAY_MS ((int64_t)86400000)
/* From 0000-03-01 to 1970-01-01 in the Gregorian calendar run back before its start. */
#define EPOCH_DAYS ((int64_t)719468)
#define ERA_DAYS 146097 /* 400 years */
/* 0000-01-01T00:00:00.000Z and 9999-12-31T23:59:59.999Z */
#define TIME_MIN ((int64_t)-62167219200000)
#define TIME_MAX ((int64_t)253402300799999)

struct date {
    unsigned year, month, day;
};

/* Days since 0000-03-01 (years that start in March end with the leap day) to a date; never negative
 * but in January and February of year 0, which the caller shifts by an era. */
static struct date date_of(int64_t days)
{
    unsigned era = (unsigned)(days / ERA_DAYS);
    unsigned day = (unsigned)(days % ERA_DAYS);
    unsigned year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    unsigned month;

    day -= 365 * year + year / 4 - year / 100;
    month = (5 * day + 2) / 153; /* 0 is March; five months have 153 days */
    day -= (153 * month + 2) / 5;
    return (struct date){
        .year = era * 400 + year + (month >= 10),
        .month = month < 10 ? month + 3 : month - 9,
        .day = day + 1,
    };
}

static int64_t days_of(struct date d)
{
    unsigned year = d.year + 400 - (d.month <= 2); /* + 400: January of year 0 stays positive */
    unsigned month = d.month > 2 ? d.month - 3 : d.month + 9;
    unsigned in_era = year % 400;
    unsigned day = 365 * in_era + in_era / 4 - in_era / 100 + (153 * month + 2) / 5 + d.day - 1;

    return (int64_t)(year / 400) * ERA_DAYS + day - ERA_DAYS;
}

void text_time(int64_t unix_ms, char out[25])
{
    int64_t ms;
    unsigned in_day;
    struct date d;

    if (unix_ms < TIME_MIN)
        unix_ms = TIME_MIN;
    if (unix_ms > TIME_MAX)
        unix_ms = TIME_MAX;
    ms = unix_ms + (EPOCH_DAYS + ERA_DAYS) * DAY_MS;
    in_day = (unsigned)(ms % DAY_MS);
    d = date_of(ms / DAY_MS);
    snprintf(out, 25, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", (d.year - 400) % 10000, d.month % 100,
             d.day % 100, in_day / 3600000 % 100, in_day / 60000 % 60, in_day / 1000 % 60,
             in_day % 1000);
}

/* Exactly `digits` digits. */
static unsigned time_number(struct rd *r, size_t digits)
{
    uint64_t number = 0;
    int rc = view_u64(rd_bytes(r, digits), UINT32_MAX, &number);

    if (rc < 0)
        rd_fail(r, rc);
    return (unsigned)number;
}

static void time_literal(struct rd *r, uint8_t upper)
{
    uint8_t c = rd_u8(r);

    if (c != upper && (upper < 'A' || c != (upper | 0x20)))
        rd_fail(r, ERR_MALFORMED);
}

/* Milliseconds of an optional fraction; digits past the third are dropped. */
static unsigned time_fraction(struct rd *r)
{
    unsigned ms = 0;
    unsigned weight = 100;
    size_t digits = 0;

    if (rd_end(r) || *r->p != '.')
        return 0;
    rd_u8(r);
    for (; !rd_end(r) && *r->p >= '0' && *r->p <= '9'; digits++) {
        ms += (unsigned)(rd_u8(r) - '0') * weight;
        weight /= 10;
    }
    if (digits == 0)
        rd_fail(r, ERR_MALFORMED);
    return ms;
}

/* Minutes east of UTC: Z, +hh:mm or -hh:mm. */
static int time_offset(struct rd *r)
{
    uint8_t sign = rd_u8(r);
    unsigned hour, minute;

    if (sign == 'Z' || sign == 'z')
        return 0;
    if (sign != '+' && sign != '-')
        rd_fail(r, ERR_MALFORMED);
    hour = time_number(r, 2);
    time_literal(r, ':');
    minute = time_number(r, 2);
    if (hour > 23 || minute > 59)
        rd_fail(r, ERR_RANGE);
    return sign == '-' ? -(int)(hour * 60 + minute) : (int)(hour * 60 + minute);
}

static unsigned month_days(struct date d)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (d.year % 4 == 0 && d.year % 100 != 0) || d.year % 400 == 0;

    return d.month == 2 && leap ? 29 : days[d.month - 1];
}

int text_untime(struct view v, int64_t *ret_unix_ms)
{
    struct rd r = rd_init(v);
    struct date d;
    unsigned hour, minute, second, ms;
    int offset;

    d.year = time_number(&r, 4);
    time_literal(&r, '-');
    d.month = time_number(&r, 2);
    time_literal(&r, '-');
    d.day = time_number(&r, 2);
    time_literal(&r, 'T');
    hour = time_number(&r, 2);
    time_literal(&r, ':');
    minute = time_number(&r, 2);
    time_literal(&r, ':');
    second = time_number(&r, 2);
    ms = time_fraction(&r);
    offset = time_offset(&r);
    if (r.rc == ERR_RANGE)
        return ERR_RANGE;
    if (rd_done(&r) < 0)
        return ERR_MALFORMED;
    /* Second 60 is a leap second; it counts as the first of the next minute. */
    if (d.month < 1 || d.month > 12 || d.day < 1 || d.day > month_days(d) || hour > 23 ||
        minute > 59 || second > 60)
        return ERR_RANGE;
    *ret_unix_ms = (days_of(d) - EPOCH_DAYS) * DAY_MS +
                   ((int64_t)hour * 3600 + (int64_t)minute * 60 + second) * 1000 + ms -
                   (int64_t)offset * 60000;
    return ERR_OK;
}

/* ---- double ---- */

/* "1e+20" becomes "1.0e+20", so that no reader takes it for an integer. */
static void mark_fraction(char *text)
{
    char *exponent = strchr(text, 'e');

    if (exponent && !strchr(text, '.')) {
        memmove(exponent + 2, exponent, strlen(exponent) + 1);
        memcpy(exponent, ".0", 2);
    }
}

void text_double(double v, char out[32])
{
    /* 15 digits survive the way through a double and 17 name every one; only the subnormal numbers,
     * which have fewer bits, may need less than what 15 digits print. */
    int precision = fabs(v) < DBL_MIN ? 1 : 15;
    char text[64]; /* at most 26 used: -1.2345678901234567e-308 and the mark */
    double back;

    do {
        snprintf(text, sizeof(text), "%.*g", precision, v);
        if (precision == 17 || !isfinite(v))
            break;
        precision++;
    } while (view_double(view_str(text), &back) < 0 || back != v);
    mark_fraction(text);
    memcpy(out, text, strlen(text) + 1);
}
