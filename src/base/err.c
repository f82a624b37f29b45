#include "base/base.h"

struct err_row {
    const char *name;
    const char *text;
    uint8_t coap;
    uint16_t http;
};

static const struct err_row err_table[ERR_N_COUNT] = {
    [ERR_N_OK] = {"OK", "success", 0x00, 200},
#define ERR(name, text, coap, http) [ERR_N_##name] = {#name, text, coap, http},
#include "base/err.def"
#undef ERR
};

static const struct err_row err_unknown = {"UNKNOWN", "unknown error", 0xa0, 500};

static const struct err_row *row_of(int rc)
{
    return rc <= 0 && rc > -(int)ERR_N_COUNT ? &err_table[-rc] : &err_unknown;
}

const char *err_name(int rc)
{
    return row_of(rc)->name;
}

const char *err_text(int rc)
{
    return row_of(rc)->text;
}

uint8_t err_coap_code(int rc)
{
    return row_of(rc)->coap;
}

unsigned err_http_status(int rc)
{
    return row_of(rc)->http;
}
