/* json_vector.c: one vector in JSON to numbers or to the elements of its type. */
#include "api/base64.h"
#include "api/http/json_in.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static bool all_zero(const float *data, uint32_t dimension)
{
    for (uint32_t i = 0; i < dimension; i++)
        if (data[i] > 0 || data[i] < 0) return false;
    return true;
}

fr_code fr_json_dense_in(fr_json_value value, const fr_json_form *form, float *out, const char *field, fr_err *err)
{
    if (fr_json_type_of(value) != FR_JSON_ARRAY) return fr_fail(err, FR_ERR_INVALID, field, "must be an array of numbers");
    size_t bad;
    bool number;
    int64_t count = fr_json_floats(value, out, form->dimension, &bad, &number);
    if (count < 0) {
        char where[sizeof err->field];
        snprintf(where, sizeof where, "%s[%zu]", field, bad);
        return fr_fail(err, FR_ERR_INVALID, where,
                       number ? "is not finite as a 32-bit float (limit 3.4028235e38)" : "must be a number");
    }
    if ((uint64_t)count != form->dimension)
        return fr_fail(err, FR_ERR_INVALID, field, "has %lld numbers, the collection's dimension is %u", (long long)count,
                       form->dimension);
    if (form->metric == FR_METRIC_COSINE && all_zero(out, form->dimension))
        return fr_fail(err, FR_ERR_INVALID, field, "is zero: under the metric cosine a vector needs a direction");
    return FR_OK;
}

fr_code fr_json_bits_in(fr_json_value value, uint32_t dimension, uint8_t *out, float *room, const char *field, fr_err *err)
{
    size_t size, bad;
    bool number;
    if (fr_json_type_of(value) == FR_JSON_STRING) {
        const char *text = fr_json_string(value, &size);
        int64_t bytes = fr_base64_decode(fr_span_of(text, size), out, dimension / 8);
        if (bytes == (int64_t)(dimension / 8)) return FR_OK;
        return fr_fail(err, FR_ERR_INVALID, field, "is not the base64 of %u bytes, the collection's %u bits", dimension / 8, dimension);
    }
    if (fr_json_type_of(value) != FR_JSON_ARRAY) return fr_fail(err, FR_ERR_INVALID, field, "must be an array of numbers, or base64");
    int64_t count = fr_json_floats(value, room, dimension, &bad, &number);
    if (count < 0) return fr_fail(err, FR_ERR_INVALID, field, "holds something that is not a number at place %zu", bad);
    return fr_vector_pack_bits(room, (uint32_t)FR_MIN(count, (int64_t)dimension + 1), dimension, out, field, err);
}

/* ---- sparse ---- */

typedef struct pair {
    uint32_t index;
    float value;
} pair;

static int by_index(const void *left, const void *right)
{
    uint32_t a = ((const pair *)left)->index, b = ((const pair *)right)->index;
    return a < b ? -1 : a > b;
}

static bool index_of(const char *text, size_t size, uint32_t *out)
{
    uint64_t number = 0;
    if (size < 1 || size > 10 || (size > 1 && text[0] == '0')) return false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        number = number * 10 + (uint64_t)(text[i] - '0');
    }
    *out = (uint32_t)number;
    return number <= UINT32_MAX;
}

static bool number_of(fr_json_value value, float *out)
{
    fr_json_type type = fr_json_type_of(value);
    if (type != FR_JSON_INT && type != FR_JSON_UINT && type != FR_JSON_DOUBLE) return false;
    *out = (float)fr_json_number(value);
    return isfinite(*out);
}

static fr_code sparse_bad(const char *field, fr_err *err)
{
    return fr_fail(err, FR_ERR_INVALID, field, "must be {\"7\":0.5} or {\"indices\":[7],\"values\":[0.5]}: whole numbers below 2^32 to finite numbers");
}

/* The lists of the second form; false: the object is of the first. */
static bool lists_of(fr_json_value object, fr_json_value *indices, fr_json_value *values)
{
    fr_json_iter iter = fr_json_begin(object);
    const char *key;
    size_t size;
    fr_json_value inner;
    unsigned found = 0;
    while (fr_json_next(&iter, &key, &size, &inner)) {
        if (size == 7 && memcmp(key, "indices", 7) == 0) *indices = inner, found |= 1;
        else if (size == 6 && memcmp(key, "values", 6) == 0) *values = inner, found |= 2;
        else return false;
    }
    return found == 3;
}

static fr_code fit(fr_json_room *room, uint32_t count, const char *field, fr_err *err)
{
    if (count > FR_SPARSE_NONZERO_MAX)
        return fr_fail(err, FR_ERR_TOO_LARGE, field, "a sparse vector has %u numbers, the limit is %u", count, FR_SPARSE_NONZERO_MAX);
    if (count <= room->pair_capacity) return FR_OK;
    uint32_t capacity = FR_MAX(64u, FR_MAX(count, room->pair_capacity * 2));
    room->pairs = fr_arena_alloc(room->arena, capacity * sizeof(pair));
    room->pair_capacity = room->pairs ? capacity : 0;
    return room->pairs ? FR_OK : fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a vector");
}

static fr_code pairs_of_lists(fr_json_value indices, fr_json_value values, fr_json_room *room, uint32_t *count_out, const char *field, fr_err *err)
{
    if (fr_json_type_of(indices) != FR_JSON_ARRAY || fr_json_type_of(values) != FR_JSON_ARRAY) return sparse_bad(field, err);
    uint32_t count = fr_json_elements(indices);
    if (count != fr_json_elements(values)) return fr_fail(err, FR_ERR_INVALID, field, "has lists of different lengths");
    FR_TRY(fit(room, count, field, err));
    fr_json_iter left = fr_json_begin(indices), right = fr_json_begin(values);
    const char *key;
    size_t size;
    fr_json_value index, number;
    pair *pairs = room->pairs;
    for (uint32_t i = 0; fr_json_next(&left, &key, &size, &index) && fr_json_next(&right, &key, &size, &number); i++) {
        if (fr_json_type_of(index) != FR_JSON_INT || fr_json_int(index) < 0 || fr_json_int(index) > UINT32_MAX || !number_of(number, &pairs[i].value))
            return sparse_bad(field, err);
        pairs[i].index = (uint32_t)fr_json_int(index);
    }
    *count_out = count;
    return FR_OK;
}

fr_code fr_json_sparse_in(fr_json_value value, fr_metric metric, fr_json_room *room, fr_span *out, const char *field, fr_err *err)
{
    fr_json_value indices, values;
    uint32_t count = 0;
    if (fr_json_type_of(value) != FR_JSON_OBJECT) return sparse_bad(field, err);
    if (lists_of(value, &indices, &values)) {
        FR_TRY(pairs_of_lists(indices, values, room, &count, field, err));
    } else {
        FR_TRY(fit(room, fr_json_elements(value), field, err));
        fr_json_iter iter = fr_json_begin(value);
        const char *key;
        size_t size;
        fr_json_value inner;
        for (pair *pairs = room->pairs; fr_json_next(&iter, &key, &size, &inner); count++)
            if (!index_of(key, size, &pairs[count].index) || !number_of(inner, &pairs[count].value)) return sparse_bad(field, err);
    }
    if (count != 0) qsort(room->pairs, count, sizeof(pair), by_index);
    *out = fr_span_of(room->pairs, count * sizeof(pair));
    return fr_vector_sparse_check(*out, metric, field, err);
}

/* ---- any ---- */

fr_code fr_json_vector_in(fr_json_value value, const fr_json_form *form, fr_json_room *room, fr_span *out, const char *field, fr_err *err)
{
    if (form->type == FR_TYPE_VECTOR_SPARSE) return fr_json_sparse_in(value, form->metric, room, out, field, err);
    *out = fr_span_of(room->packed, fr_vector_bytes(form->type, form->dimension));
    if (form->type == FR_TYPE_VECTOR_BINARY) return fr_json_bits_in(value, form->dimension, room->packed, room->numbers, field, err);
    FR_TRY(fr_json_dense_in(value, form, room->numbers, field, err));
    return fr_json_numbers_pack(form, room, out, field, err);
}

fr_code fr_json_numbers_pack(const fr_json_form *form, fr_json_room *room, fr_span *out, const char *field, fr_err *err)
{
    bool plain = form->type == FR_TYPE_VECTOR_F32;
    *out = fr_span_of(plain ? room->numbers : room->packed, fr_vector_bytes(form->type, form->dimension));
    return plain ? FR_OK : fr_vector_pack(form->type, room->numbers, form->dimension, room->packed, field, err);
}
