/* import_numbers.c: formats whose rows have a fixed size: npy, fvecs, bvecs, fbin, u8bin, i8bin. See import.h. */
#include "server/daemon/import.h"

#include <math.h>
#include <stdio.h>

#define NPY_HEADER_MAX 4096

static fr_code check_dimension(const fr_import *import, uint64_t dimension, fr_err *err)
{
    if (dimension >= 1 && dimension <= FR_DIMENSION_MAX) return FR_OK;
    return fr_fail(err, FR_ERR_INVALID, NULL, "%s: the head says dimension %llu; 1 to %u are possible",
                   import->parts[0].name, (unsigned long long)dimension, FR_DIMENSION_MAX);
}

/* Rows of the head against the bytes that are there: a truncated file is named before anything is sent. */
static fr_code check_rows(fr_import *import, uint64_t rows, fr_err *err)
{
    uint64_t bytes = import->parts[0].bytes.size - import->rows_at;
    uint64_t whole = bytes / import->row_size;
    if (rows > whole || bytes != rows * import->row_size) {
        return fr_fail(err, FR_ERR_INVALID, NULL,
                       "%s: the head says %llu rows of %zu bytes; %llu bytes follow it, which end in row %llu",
                       import->parts[0].name, (unsigned long long)rows, import->row_size, (unsigned long long)bytes,
                       (unsigned long long)whole);
    }
    import->row_total = rows;
    return FR_OK;
}

/* u32 rows, u32 dimension, rows */
static fr_code bin_begin(fr_import *import, fr_err *err)
{
    fr_span bytes = import->parts[0].bytes;
    if (bytes.size < 8)
        return fr_fail(err, FR_ERR_INVALID, NULL, "%s: %zu bytes; the head has 8", import->parts[0].name, bytes.size);
    uint32_t rows = fr_load_le32(bytes.data), dimension = fr_load_le32((const char *)bytes.data + 4);
    FR_TRY(check_dimension(import, dimension, err));
    import->dimension = dimension;
    import->rows_at = 8;
    import->row_size = dimension * import->element_size;
    return check_rows(import, rows, err);
}

/* per row: i32 dimension, values; the same dimension everywhere */
static fr_code vecs_begin(fr_import *import, fr_err *err)
{
    fr_span bytes = import->parts[0].bytes;
    if (bytes.size < 4)
        return fr_fail(err, FR_ERR_INVALID, NULL, "%s: %zu bytes; a row begins with 4", import->parts[0].name,
                       bytes.size);
    uint32_t dimension = fr_load_le32(bytes.data);
    FR_TRY(check_dimension(import, dimension, err));
    import->dimension = dimension;
    import->row_size = 4 + dimension * import->element_size;
    return check_rows(import, (bytes.size + import->row_size - 1) / import->row_size, err);
}

/* The text after 'key': in the header's Python literal, or NULL. */
static const char *npy_value(const char *header, const char *key)
{
    char quoted[32];
    snprintf(quoted, sizeof quoted, "'%s':", key);
    const char *at = strstr(header, quoted);
    if (!at) return NULL;
    at += strlen(quoted);
    while (*at == ' ') at++;
    return at;
}

static bool npy_number(const char **at, uint64_t *value_out)
{
    uint64_t value = 0;
    const char *from = *at;
    while (**at >= '0' && **at <= '9' && *at - from < 18) value = value * 10 + (uint64_t)(*(*at)++ - '0');
    *value_out = value;
    return *at > from;
}

static fr_code npy_shape(const fr_import *import, const char *shape, uint64_t *rows_out, uint64_t *dimension_out,
                         fr_err *err)
{
    const char *at = shape;
    bool good = at && *at++ == '(' && npy_number(&at, rows_out) && *at++ == ',';
    while (good && *at == ' ') at++;
    good = good && npy_number(&at, dimension_out) && (*at == ')' || (at[0] == ',' && at[1] == ')'));
    if (good) return FR_OK;
    return fr_fail(err, FR_ERR_INVALID, NULL, "%s: the shape must have two axes: (rows, dimension)",
                   import->parts[0].name);
}

/* \x93NUMPY, major, minor, u16 or u32 size of the header, a Python dict, then the array */
static fr_code npy_begin(fr_import *import, fr_err *err)
{
    const char *name = import->parts[0].name;
    fr_span bytes = import->parts[0].bytes;
    const uint8_t *data = bytes.data;
    if (bytes.size < 12 || memcmp(data, "\x93NUMPY", 6) != 0)
        return fr_fail(err, FR_ERR_INVALID, NULL, "%s: no npy file", name);
    if (data[6] < 1 || data[6] > 3)
        return fr_fail(err, FR_ERR_INVALID, NULL, "%s: npy version %u; 1 to 3 are read", name, data[6]);
    size_t head = data[6] == 1 ? 10 : 12;
    uint64_t size = data[6] == 1 ? fr_load_le16(data + 8) : fr_load_le32(data + 8);
    if (size >= NPY_HEADER_MAX || head + size > bytes.size) {
        return fr_fail(err, FR_ERR_INVALID, NULL,
                       "%s: the header says %llu bytes; the file has %zu, and at most %u are read", name,
                       (unsigned long long)size, bytes.size, NPY_HEADER_MAX - 1);
    }
    char header[NPY_HEADER_MAX];
    memcpy(header, data + head, size);
    header[size] = 0;
    const char *type = npy_value(header, "descr"), *order = npy_value(header, "fortran_order");
    uint64_t rows = 0, dimension = 0;
    if (!type || type[0] != '\'' || !type[1] || !strchr("<|", type[1]) || !type[2] || !strchr("uif", type[2]) ||
        !type[3] || !strchr("1248", type[3]) || type[4] != '\'') {
        return fr_fail(err, FR_ERR_INVALID, NULL, "%s: the element type is not a little-endian number of 1 to 8 bytes",
                       name);
    }
    import->element = type[2];
    import->element_size = (size_t)(type[3] - '0');
    if (import->element == 'f' && import->element_size == 1)
        return fr_fail(err, FR_ERR_INVALID, NULL, "%s: no 8-bit floats", name);
    if (!order || strncmp(order, "False", 5) != 0)
        return fr_fail(err, FR_ERR_INVALID, NULL, "%s: save it in C order (rows first)", name);
    FR_TRY(npy_shape(import, npy_value(header, "shape"), &rows, &dimension, err));
    FR_TRY(check_dimension(import, dimension, err));
    import->dimension = (uint32_t)dimension;
    import->rows_at = head + size;
    import->row_size = import->dimension * import->element_size;
    return check_rows(import, rows, err);
}

fr_code fr_import_numbers_begin(fr_import *import, fr_err *err)
{
    switch (import->options.format) {
    case FR_IMPORT_NPY: return npy_begin(import, err);
    case FR_IMPORT_FVECS: import->element = 'f', import->element_size = 4; return vecs_begin(import, err);
    case FR_IMPORT_BVECS: import->element = 'u', import->element_size = 1; return vecs_begin(import, err);
    case FR_IMPORT_FBIN: import->element = 'f', import->element_size = 4; return bin_begin(import, err);
    case FR_IMPORT_U8BIN: import->element = 'u', import->element_size = 1; return bin_begin(import, err);
    default: import->element = 'i', import->element_size = 1; return bin_begin(import, err);
    }
}

static double half_value(uint16_t bits)
{
    int exponent = (bits >> 10) & 31;
    double fraction = bits & 1023, sign = bits & 0x8000 ? -1 : 1;
    if (exponent == 31) return fraction == 0 ? sign * INFINITY : NAN;
    return exponent == 0 ? sign * ldexp(fraction, -24) : sign * ldexp(1024 + fraction, exponent - 25);
}

static double element_value(const fr_import *import, const uint8_t *at)
{
    float f32;
    double f64;
    switch (import->element_size) {
    case 1: return import->element == 'u' ? (double)*at : (double)(int8_t)*at;
    case 2:
        if (import->element == 'f') return half_value(fr_load_le16(at));
        return import->element == 'u' ? (double)fr_load_le16(at) : (double)(int16_t)fr_load_le16(at);
    case 4:
        if (import->element != 'f')
            return import->element == 'u' ? (double)fr_load_le32(at) : (double)(int32_t)fr_load_le32(at);
        memcpy(&f32, at, sizeof f32);
        return (double)f32;
    default:
        if (import->element != 'f')
            return import->element == 'u' ? (double)fr_load_le64(at) : (double)(int64_t)fr_load_le64(at);
        memcpy(&f64, at, sizeof f64);
        return f64;
    }
}

static fr_code put_row(fr_import *import, const uint8_t *values, fr_span event_id, fr_text *out, uint64_t *key_hash,
                       fr_err *err)
{
    int64_t id = import->options.first_id + (int64_t)import->row;
    *key_hash = fr_mix64((uint64_t)id);
    fr_import_open_record(out, event_id);
    fr_text_format(out, "\"id\":%lld,\"vector\":[", (long long)id);
    for (uint32_t index = 0; index < import->dimension; index++) {
        float value = (float)element_value(import, values + index * import->element_size);
        if (!isfinite(value)) return fr_import_refuse(import, err, "value %u is not a finite 32-bit float", index);
        if (index) fr_text_add(out, ",", 1);
        fr_text_float(out, value);
    }
    fr_text_puts(out, "]}");
    return FR_OK;
}

fr_code fr_import_numbers_next(fr_import *import, fr_span event_id, fr_text *out, uint64_t *key_hash, bool *end_out,
                               fr_err *err)
{
    if (import->row >= import->row_total) {
        *end_out = true;
        return FR_OK;
    }
    const uint8_t *row =
        (const uint8_t *)import->parts[0].bytes.data + import->rows_at + import->row * import->row_size;
    fr_import_format format = import->options.format;
    fr_code code = FR_OK;
    if (format == FR_IMPORT_FVECS || format == FR_IMPORT_BVECS) {
        uint32_t dimension = fr_load_le32(row);
        if (dimension != import->dimension) {
            code =
                fr_import_refuse(import, err, "dimension %u, the rows before it have %u", dimension, import->dimension);
        }
        row += 4;
    }
    if (code == FR_OK) code = put_row(import, row, event_id, out, key_hash, err);
    import->row++;
    return code;
}
