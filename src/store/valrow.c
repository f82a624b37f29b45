#include "store/valrow.h"

#include <math.h>

void valrow_bind(sqlite3_stmt *stmt, int index, const struct value *v)
{
    int at = index + 1;

    db_bind_i64(stmt, index, v->type);
    switch (v->type) {
    case VALUE_INTEGER:
    case VALUE_TIME:
        db_bind_i64(stmt, at, v->u.integer);
        break;
    case VALUE_UNSIGNED:
        db_bind_u64(stmt, at, v->u.unsigned_);
        break;
    case VALUE_FLOAT:
        sqlite3_bind_double(stmt, at, v->u.float_); /* NULL when it is no number */
        break;
    case VALUE_BOOLEAN:
        db_bind_i64(stmt, at, v->u.boolean);
        break;
    case VALUE_STRING:
    case VALUE_CORELNK:
        db_bind_text(stmt, at, v->u.bytes);
        break;
    case VALUE_OPAQUE:
        db_bind_blob(stmt, at, v->u.bytes);
        break;
    case VALUE_OBJLNK:
        db_bind_i64(stmt, at, (int64_t)v->u.link.object << 16 | v->u.link.instance);
        break;
    case VALUE_NONE:
    case VALUE_TYPE_COUNT:
        sqlite3_bind_null(stmt, at);
        break;
    }
}

static void read_link(int64_t number, struct value *v)
{
    v->u.link.object = (uint16_t)(number >> 16);
    v->u.link.instance = (uint16_t)number;
}

int valrow_read(sqlite3_stmt *stmt, int column, struct value *ret_value)
{
    int64_t type = sqlite3_column_int64(stmt, column);
    int at = column + 1;
    struct value v = {.type = (enum value_type)type};

    if (type < 0 || type >= VALUE_TYPE_COUNT)
        return ERR_MALFORMED;
    switch (v.type) {
    case VALUE_INTEGER:
    case VALUE_TIME:
        v.u.integer = sqlite3_column_int64(stmt, at);
        break;
    case VALUE_UNSIGNED:
        v.u.unsigned_ = db_column_u64(stmt, at);
        break;
    case VALUE_FLOAT:
        v.u.float_ =
            sqlite3_column_type(stmt, at) == SQLITE_NULL ? NAN : sqlite3_column_double(stmt, at);
        break;
    case VALUE_BOOLEAN:
        v.u.boolean = sqlite3_column_int64(stmt, at) != 0;
        break;
    case VALUE_STRING:
    case VALUE_CORELNK:
    case VALUE_OPAQUE:
        v.u.bytes = db_column_bytes(stmt, at);
        break;
    case VALUE_OBJLNK:
        read_link(sqlite3_column_int64(stmt, at), &v);
        break;
    case VALUE_NONE:
    case VALUE_TYPE_COUNT:
        break;
    }
    *ret_value = v;
    return ERR_OK;
}

size_t valrow_size(const struct value *v)
{
    bool bytes = v->type == VALUE_STRING || v->type == VALUE_CORELNK || v->type == VALUE_OPAQUE;

    return bytes ? v->u.bytes.n : sizeof(int64_t);
}
