/* milvus_rest_rows.c: rows of JSON to the columns of an Insert, and vectors of JSON to a search's placeholders. */
#include "api/milvus/milvus_rest_private.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* One column being filled. */
typedef struct column {
    fr_milvus_rest *rest;
    const fr_milvus_field *field;
    Milvus__FieldData *data;
    size_t count; /* values so far */
    size_t rows;
    bool optional; /* nullable, or with a default */
} column;

static bool bad(fr_milvus_rest *rest, const char *field, const char *why)
{
    fr_milvus_rest_fail(rest, MILVUS_REST_BAD_DATA, "fail to deal the insert data, error: field %.100s: %s", field, why);
    return false;
}

static bool no_memory(fr_milvus_rest *rest)
{
    fr_milvus_rest_fail(rest, MILVUS_MEMORY, "no memory for the rows");
    return false;
}

/* ---- vectors ---- */

static uint32_t vector_bytes(const fr_milvus_field *field)
{
    switch (field->type) {
    case FR_TYPE_VECTOR_BINARY: return field->dimension / 8;
    case FR_TYPE_VECTOR_F16:
    case FR_TYPE_VECTOR_BF16: return field->dimension * 2;
    case FR_TYPE_VECTOR_I8: return field->dimension;
    default: return field->dimension * 4;
    }
}

typedef struct pair {
    uint32_t index;
    float value;
} pair;

static int pair_compare(const void *a, const void *b)
{
    uint32_t left = ((const pair *)a)->index, right = ((const pair *)b)->index;
    return (left > right) - (left < right);
}

static bool index_of(fr_span text, uint32_t *out)
{
    uint64_t number = 0;
    if (!text.size || text.size > 10) return false;
    for (size_t i = 0; i < text.size; i++) {
        char c = ((const char *)text.data)[i];
        if (c < '0' || c > '9') return false;
        number = number * 10 + (uint64_t)(c - '0');
    }
    *out = (uint32_t)number;
    return number < UINT32_MAX;
}

/* {"1":0.5, "100":2} or {"indices":[..], "values":[..]}. */
static uint32_t sparse_pairs(fr_doc value, pair *out)
{
    fr_doc indices = fr_doc_get(value, fr_span_text("indices")), values = fr_doc_get(value, fr_span_text("values")), one;
    uint32_t count = 0;
    fr_span key;
    if (indices.data && values.data && fr_doc_type(indices) == FR_DOC_ARRAY && fr_doc_type(values) == FR_DOC_ARRAY) {
        if (fr_doc_count(indices) != fr_doc_count(values)) return UINT32_MAX;
        for (; count < fr_doc_count(indices); count++) {
            fr_doc index = fr_doc_at(indices, count), number = fr_doc_at(values, count);
            bool fine = fr_doc_type(index) == FR_DOC_INT && fr_doc_int(index) >= 0 && fr_doc_int(index) < UINT32_MAX &&
                        (fr_doc_type(number) == FR_DOC_INT || fr_doc_type(number) == FR_DOC_FLOAT);
            if (!fine) return UINT32_MAX;
            out[count] = (pair){(uint32_t)fr_doc_int(index), (float)fr_doc_number(number)};
        }
        return count;
    }
    fr_doc_iter iter = fr_doc_begin(value);
    while (fr_doc_next(&iter, &key, &one)) {
        bool fine = index_of(key, &out[count].index) && (fr_doc_type(one) == FR_DOC_INT || fr_doc_type(one) == FR_DOC_FLOAT);
        if (!fine) return UINT32_MAX;
        out[count++].value = (float)fr_doc_number(one);
    }
    return count;
}

static bool sparse_in(fr_milvus_rest *rest, const fr_milvus_field *field, fr_doc value, ProtobufCBinaryData *out)
{
    if (fr_doc_type(value) != FR_DOC_OBJECT) return bad(rest, field->name, "a sparse vector is an object");
    fr_doc indices = fr_doc_get(value, fr_span_text("indices"));
    uint32_t most = FR_MAX(fr_doc_count(value), indices.data && fr_doc_type(indices) == FR_DOC_ARRAY ? fr_doc_count(indices) : 0u);
    pair *pairs = fr_milvus_alloc(&rest->call, (most + 1) * sizeof *pairs);
    if (!pairs) return no_memory(rest);
    uint32_t count = sparse_pairs(value, pairs);
    if (count == UINT32_MAX) return bad(rest, field->name, "a sparse vector maps whole numbers to numbers");
    qsort(pairs, count, sizeof *pairs, pair_compare);
    for (uint32_t i = 1; i < count; i++)
        if (pairs[i].index == pairs[i - 1].index) return bad(rest, field->name, "a sparse vector names an index twice");
    *out = (ProtobufCBinaryData){count * sizeof *pairs, (uint8_t *)pairs};
    return true;
}

/* Numbers, or base64 of the elements' bytes, to elements. */
static bool dense_in(fr_milvus_rest *rest, const fr_milvus_field *field, fr_doc value, uint8_t *out)
{
    uint32_t size = vector_bytes(field), dimension = field->dimension;
    fr_doc one;
    if (fr_doc_type(value) == FR_DOC_STRING && field->type != FR_TYPE_VECTOR_F32) {
        bool fine = fr_base64_decode(fr_doc_string(value), out, size) == (int64_t)size;
        return fine || bad(rest, field->name, "is not base64 of a vector of the field's dimension");
    }
    bool bytes = field->type == FR_TYPE_VECTOR_BINARY;
    uint32_t expected = bytes ? size : dimension;
    if (fr_doc_type(value) != FR_DOC_ARRAY || fr_doc_count(value) != expected) return bad(rest, field->name, "is not a vector of the field's dimension");
    float *numbers = fr_milvus_alloc(&rest->call, expected * sizeof *numbers);
    if (!numbers) return no_memory(rest);
    fr_doc_iter iter = fr_doc_begin(value);
    for (uint32_t i = 0; fr_doc_next(&iter, NULL, &one); i++) {
        if (fr_doc_type(one) != FR_DOC_INT && fr_doc_type(one) != FR_DOC_FLOAT) return bad(rest, field->name, "a vector has numbers only");
        numbers[i] = (float)fr_doc_number(one);
        if (!isfinite(numbers[i])) return bad(rest, field->name, "a number is not finite as a 32-bit float");
    }
    if (!bytes) {
        if (fr_vector_pack((fr_type)field->type, numbers, dimension, out, field->name, &rest->call.err) == FR_OK) return true;
        return bad(rest, field->name, rest->call.err.text);
    }
    for (uint32_t i = 0; i < size; i++) {
        if (numbers[i] < 0 || numbers[i] > 255) return bad(rest, field->name, "bytes of a binary vector are 0 to 255");
        out[i] = (uint8_t)numbers[i];
    }
    return true;
}

static bool vectors_room(column *self)
{
    fr_milvus_call *call = &self->rest->call;
    Milvus__VectorField *vectors = fr_milvus_message(&call->arena, &milvus__vector_field__descriptor);
    const fr_milvus_field *field = self->field;
    if (!vectors) return no_memory(self->rest);
    self->data->vectors = vectors, self->data->field_case = MILVUS__FIELD_DATA__FIELD_VECTORS;
    vectors->dim = field->dimension;
    size_t size = self->rows * vector_bytes(field);
    if (size > FR_MILVUS_UNPACKED_BYTES_MAX) return bad(self->rest, field->name, "the rows take too many bytes");
    ProtobufCBinaryData room = {0, NULL};
    if (field->type != FR_TYPE_VECTOR_SPARSE && !(room.data = fr_arena_alloc(&call->arena, FR_MAX(size, (size_t)1)))) return no_memory(self->rest);
    switch (field->type) {
    case FR_TYPE_VECTOR_BINARY: vectors->data_case = MILVUS__VECTOR_FIELD__DATA_BINARY_VECTOR, vectors->binary_vector = room; break;
    case FR_TYPE_VECTOR_F16: vectors->data_case = MILVUS__VECTOR_FIELD__DATA_FLOAT16_VECTOR, vectors->float16_vector = room; break;
    case FR_TYPE_VECTOR_BF16: vectors->data_case = MILVUS__VECTOR_FIELD__DATA_BFLOAT16_VECTOR, vectors->bfloat16_vector = room; break;
    case FR_TYPE_VECTOR_I8: vectors->data_case = MILVUS__VECTOR_FIELD__DATA_INT8_VECTOR, vectors->int8_vector = room; break;
    case FR_TYPE_VECTOR_SPARSE:
        vectors->data_case = MILVUS__VECTOR_FIELD__DATA_SPARSE_FLOAT_VECTOR;
        if (!(vectors->sparse_float_vector = fr_milvus_message(&call->arena, &milvus__sparse_float_array__descriptor)) ||
            !(vectors->sparse_float_vector->contents = fr_milvus_alloc(call, self->rows * sizeof(ProtobufCBinaryData))))
            return no_memory(self->rest);
        break;
    default:
        vectors->data_case = MILVUS__VECTOR_FIELD__DATA_FLOAT_VECTOR;
        if (!(vectors->float_vector = fr_milvus_message(&call->arena, &milvus__float_array__descriptor))) return no_memory(self->rest);
        vectors->float_vector->data = (float *)(void *)room.data;
        break;
    }
    return true;
}

static bool vector_put(column *self, fr_doc value)
{
    Milvus__VectorField *vectors = self->data->vectors;
    const fr_milvus_field *field = self->field;
    uint32_t size = vector_bytes(field);
    if (field->type == FR_TYPE_VECTOR_SPARSE) {
        Milvus__SparseFloatArray *sparse = vectors->sparse_float_vector;
        if (!sparse_in(self->rest, field, value, &sparse->contents[self->count])) return false;
        sparse->n_contents = ++self->count;
        return true;
    }
    if (field->type == FR_TYPE_VECTOR_F32) {
        if (!dense_in(self->rest, field, value, (uint8_t *)(vectors->float_vector->data + self->count * field->dimension))) return false;
        vectors->float_vector->n_data = ++self->count * field->dimension;
        return true;
    }
    ProtobufCBinaryData *room = &vectors->binary_vector; /* of one union, at one place */
    if (!dense_in(self->rest, field, value, room->data + self->count * size)) return false;
    room->len = ++self->count * size;
    return true;
}

/* ---- scalars ---- */

static bool whole(fr_doc value, int64_t *out)
{
    char text[24];
    if (fr_doc_type(value) == FR_DOC_INT) {
        *out = fr_doc_int(value);
        return true;
    }
    if (fr_doc_type(value) != FR_DOC_STRING) return false;
    fr_span span = fr_doc_string(value); /* as REST gives 64 bits */
    if (span.size >= sizeof text) return false;
    memcpy(text, span.data, span.size), text[span.size] = 0;
    return fr_milvus_int(text, out);
}

/* An array of the type's message with room for `count`; where its elements and their number stand. */
static bool scalars_room(fr_milvus_call *call, Milvus__ScalarField *scalars, int32_t type, size_t count)
{
#define ROOM(one, member, descriptor)                                                                                          \
    scalars->data_case = MILVUS__SCALAR_FIELD__DATA_##one;                                                                     \
    return (scalars->member = fr_milvus_message(&call->arena, &milvus__##descriptor##__descriptor)) &&                         \
           (scalars->member->data = fr_milvus_alloc(call, count * sizeof *scalars->member->data))
    switch (type) {
    case FR_TYPE_BOOL: ROOM(BOOL_DATA, bool_data, bool_array);
    case FR_TYPE_INT8:
    case FR_TYPE_INT16:
    case FR_TYPE_INT32: ROOM(INT_DATA, int_data, int_array);
    case FR_TYPE_INT64: ROOM(LONG_DATA, long_data, long_array);
    case FR_TYPE_FLOAT: ROOM(FLOAT_DATA, float_data, float_array);
    case FR_TYPE_DOUBLE: ROOM(DOUBLE_DATA, double_data, double_array);
    case FR_TYPE_VARCHAR: ROOM(STRING_DATA, string_data, string_array);
    case FR_TYPE_JSON: ROOM(JSON_DATA, json_data, jsonarray);
    default: ROOM(ARRAY_DATA, array_data, array_array);
    }
#undef ROOM
}

static bool scalar_put(fr_milvus_rest *rest, Milvus__ScalarField *to, const fr_milvus_field *field, int32_t type, fr_doc value);

static bool array_put(fr_milvus_rest *rest, Milvus__ScalarField *to, const fr_milvus_field *field, fr_doc value)
{
    fr_doc one;
    if (fr_doc_type(value) != FR_DOC_ARRAY) return bad(rest, field->name, "must be an array");
    Milvus__ScalarField *row = fr_milvus_message(&rest->call.arena, &milvus__scalar_field__descriptor);
    if (!row || !scalars_room(&rest->call, row, field->element_type, fr_doc_count(value))) return no_memory(rest);
    fr_doc_iter iter = fr_doc_begin(value);
    while (fr_doc_next(&iter, NULL, &one))
        if (!scalar_put(rest, row, field, field->element_type, one)) return false;
    to->array_data->element_type = field->element_type;
    to->array_data->data[to->array_data->n_data++] = row;
    return true;
}

static bool scalar_put(fr_milvus_rest *rest, Milvus__ScalarField *to, const fr_milvus_field *field, int32_t type, fr_doc value)
{
    fr_doc_tag tag = fr_doc_type(value);
    int64_t number;
    size_t size;
    switch (type) {
    case FR_TYPE_BOOL:
        if (tag != FR_DOC_TRUE && tag != FR_DOC_FALSE) return bad(rest, field->name, "must be true or false");
        to->bool_data->data[to->bool_data->n_data++] = tag == FR_DOC_TRUE;
        return true;
    case FR_TYPE_INT8:
    case FR_TYPE_INT16:
    case FR_TYPE_INT32: {
        int64_t most = type == FR_TYPE_INT8 ? INT8_MAX : type == FR_TYPE_INT16 ? INT16_MAX : INT32_MAX;
        if (!whole(value, &number) || number > most || number < -most - 1) return bad(rest, field->name, "is no whole number in the type's range");
        to->int_data->data[to->int_data->n_data++] = (int32_t)number;
        return true;
    }
    case FR_TYPE_INT64:
        if (!whole(value, &number)) return bad(rest, field->name, "must be a whole number");
        to->long_data->data[to->long_data->n_data++] = number;
        return true;
    case FR_TYPE_FLOAT:
    case FR_TYPE_DOUBLE:
        if (tag != FR_DOC_INT && tag != FR_DOC_FLOAT) return bad(rest, field->name, "must be a number");
        if (type == FR_TYPE_FLOAT) to->float_data->data[to->float_data->n_data++] = (float)fr_doc_number(value);
        else to->double_data->data[to->double_data->n_data++] = fr_doc_number(value);
        return true;
    case FR_TYPE_VARCHAR:
        if (tag != FR_DOC_STRING) return bad(rest, field->name, "must be a string");
        to->string_data->data[to->string_data->n_data++] = (ProtobufCBinaryData){fr_doc_string(value).size, (uint8_t *)(uintptr_t)fr_doc_string(value).data};
        return true;
    case FR_TYPE_JSON: {
        char *text = fr_milvus_rest_json(rest, value, &size);
        if (!text) return no_memory(rest);
        to->json_data->data[to->json_data->n_data++] = (ProtobufCBinaryData){size, (uint8_t *)text};
        return true;
    }
    default: return array_put(rest, to, field, value);
    }
}

/* ---- columns ---- */

static bool column_begin(column *self)
{
    fr_milvus_call *call = &self->rest->call;
    Milvus__FieldData *data = self->data = fr_milvus_message(&call->arena, &milvus__field_data__descriptor);
    if (!data) return no_memory(self->rest);
    data->type = self->field->type;
    data->field_name = fr_milvus_mut(self->field->name);
    data->field_id = self->field->id;
    if (self->optional && !(data->valid_data = fr_milvus_alloc(call, self->rows * sizeof *data->valid_data))) return no_memory(self->rest);
    data->n_valid_data = self->optional ? self->rows : 0;
    if (self->field->type >= FR_TYPE_VECTOR_BINARY) return vectors_room(self);
    data->field_case = MILVUS__FIELD_DATA__FIELD_SCALARS;
    data->scalars = fr_milvus_message(&call->arena, &milvus__scalar_field__descriptor);
    return (data->scalars && scalars_room(call, data->scalars, self->field->type, self->rows)) || no_memory(self->rest);
}

static bool column_fill(column *self, fr_doc rows)
{
    fr_doc row;
    fr_doc_iter iter = fr_doc_begin(rows);
    fr_span name = fr_span_text(self->field->name);
    for (size_t i = 0; fr_doc_next(&iter, NULL, &row); i++) {
        fr_doc value = fr_doc_get(row, name);
        bool null = !value.data || fr_doc_type(value) == FR_DOC_NULL;
        if (null && !self->optional) return bad(self->rest, self->field->name, "is missing");
        if (self->optional) self->data->valid_data[i] = !null;
        if (null) continue;
        bool fine = self->field->type >= FR_TYPE_VECTOR_BINARY ? vector_put(self, value)
                                                               : scalar_put(self->rest, self->data->scalars, self->field, self->field->type, value);
        if (!fine) return false;
    }
    return true;
}

static bool any_has(fr_doc rows, const char *name)
{
    fr_doc row;
    fr_doc_iter iter = fr_doc_begin(rows);
    while (fr_doc_next(&iter, NULL, &row))
        if (fr_doc_get(row, fr_span_text(name)).data) return true;
    return false;
}

/* What is no field: one document a row. */
static bool meta_in(fr_milvus_rest *rest, const fr_milvus_schema *schema, fr_doc rows, size_t count, Milvus__FieldData **out)
{
    Milvus__FieldData *data = *out = fr_milvus_message(&rest->call.arena, &milvus__field_data__descriptor);
    fr_doc row, value;
    fr_span key;
    if (!data || !(data->scalars = fr_milvus_message(&rest->call.arena, &milvus__scalar_field__descriptor)) ||
        !scalars_room(&rest->call, data->scalars, FR_TYPE_JSON, count))
        return no_memory(rest);
    data->type = FR_TYPE_JSON, data->is_dynamic = true, data->field_name = fr_milvus_mut("$meta");
    data->field_case = MILVUS__FIELD_DATA__FIELD_SCALARS;
    fr_doc_iter iter = fr_doc_begin(rows);
    while (fr_doc_next(&iter, NULL, &row)) {
        fr_out text = {0};
        fr_out_begin(&text, '{');
        fr_doc_iter keys = fr_doc_begin(row);
        while (fr_doc_next(&keys, &key, &value)) {
            char name[FR_MILVUS_NAME_BYTES_MAX + 1];
            snprintf(name, sizeof name, "%.*s", (int)FR_MIN(key.size, sizeof name - 1), (const char *)key.data);
            if (fr_milvus_field_of(schema, name)) continue;
            fr_out_key_span(&text, key);
            fr_out_doc(&text, value);
        }
        fr_out_end(&text, '}');
        uint8_t *copy = text.code == FR_OK ? fr_arena_copy(&rest->call.arena, text.data, text.size) : NULL;
        Milvus__JSONArray *list = data->scalars->json_data;
        if (copy) list->data[list->n_data++] = (ProtobufCBinaryData){text.size, copy};
        fr_out_free(&text);
        if (!copy) return no_memory(rest);
    }
    return true;
}

static bool extra_keys(fr_milvus_rest *rest, const fr_milvus_schema *schema, fr_doc rows)
{
    fr_doc row, value;
    fr_span key;
    fr_doc_iter iter = fr_doc_begin(rows);
    while (fr_doc_next(&iter, NULL, &row)) {
        if (fr_doc_type(row) != FR_DOC_OBJECT) return bad(rest, "data", "rows are objects");
        fr_doc_iter keys = fr_doc_begin(row);
        while (!schema->dynamic && fr_doc_next(&keys, &key, &value)) {
            char name[FR_MILVUS_NAME_BYTES_MAX + 1];
            snprintf(name, sizeof name, "%.*s", (int)FR_MIN(key.size, sizeof name - 1), (const char *)key.data);
            if (!fr_milvus_field_of(schema, name)) return bad(rest, name, "has pass more field without dynamic schema, please check it");
        }
    }
    return true;
}

bool fr_milvus_rest_columns(fr_milvus_rest *rest, const fr_milvus_schema *schema, fr_doc rows, bool partial, Milvus__FieldData ***columns_out,
                            size_t *count_out, uint32_t *rows_out)
{
    uint32_t count = fr_doc_type(rows) == FR_DOC_ARRAY ? fr_doc_count(rows) : 0;
    Milvus__FieldData **columns = fr_milvus_alloc(&rest->call, (schema->field_count + 1) * sizeof *columns);
    *count_out = 0, *rows_out = count, *columns_out = columns;
    if (!count) return bad(rest, "data", "must be a list of rows");
    if (!columns) return no_memory(rest);
    if (!extra_keys(rest, schema, rows)) return false;
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const fr_milvus_field *field = &schema->fields[i];
        bool given = any_has(rows, field->name);
        if (!given && (field->function_output || (field->primary && schema->auto_id) || partial)) continue;
        column self = {.rest = rest, .field = field, .rows = count, .optional = field->nullable || field->default_value.data};
        if (!column_begin(&self) || !column_fill(&self, rows)) return false;
        columns[(*count_out)++] = self.data;
    }
    if (!schema->dynamic) return true;
    if (!meta_in(rest, schema, rows, count, &columns[*count_out])) return false;
    (*count_out)++;
    return true;
}

/* ---- a search's vectors ---- */

bool fr_milvus_rest_placeholders(fr_milvus_rest *rest, const fr_milvus_field *field, fr_doc vectors, ProtobufCBinaryData *out)
{
    fr_milvus_call *call = &rest->call;
    uint32_t count = vectors.data && fr_doc_type(vectors) == FR_DOC_ARRAY ? fr_doc_count(vectors) : 0;
    Milvus__PlaceholderGroup *group = fr_milvus_message(&call->arena, &milvus__placeholder_group__descriptor);
    Milvus__PlaceholderValue *values = fr_milvus_message(&call->arena, &milvus__placeholder_value__descriptor);
    if (!count) return bad(rest, field->name, "data must be a list of vectors");
    if (!group || !values || !(group->placeholders = fr_milvus_alloc(call, sizeof *group->placeholders)) ||
        !(values->values = fr_milvus_alloc(call, count * sizeof *values->values)))
        return no_memory(rest);
    group->placeholders[group->n_placeholders++] = values;
    values->tag = fr_milvus_mut("$0");
    for (uint32_t i = 0; i < count; i++) {
        fr_doc one = fr_doc_at(vectors, i);
        ProtobufCBinaryData *value = &values->values[values->n_values++];
        bool text = fr_doc_type(one) == FR_DOC_STRING && field->function_output;
        values->type = text ? FR_TYPE_VARCHAR : field->type;
        if (text) {
            *value = (ProtobufCBinaryData){fr_doc_string(one).size, (uint8_t *)(uintptr_t)fr_doc_string(one).data};
        } else if (field->type == FR_TYPE_VECTOR_SPARSE) {
            if (!sparse_in(rest, field, one, value)) return false;
        } else {
            value->len = vector_bytes(field);
            if (!(value->data = fr_arena_alloc(&call->arena, FR_MAX(value->len, (size_t)1)))) return no_memory(rest);
            if (!dense_in(rest, field, one, value->data)) return false;
        }
    }
    out->len = protobuf_c_message_get_packed_size(&group->base);
    out->data = fr_arena_alloc(&call->arena, FR_MAX(out->len, (size_t)1));
    if (!out->data) return no_memory(rest);
    protobuf_c_message_pack(&group->base, out->data);
    return true;
}
