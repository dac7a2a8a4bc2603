/* milvus_columns_in.c: the columns of an insert or upsert to events.
 *
 * A column has a value for every row, or, when it comes with valid_data, only for the rows that are valid (clients do that; a value for
 * every row is taken, too). What is not valid, or not there at all, is the field's default, else null. Vectors go from the message
 * straight into the batch. */
#include "api/analyze.h"
#include "api/milvus/milvus_entities.h"

#include <stdio.h>
#include <stdlib.h>

static bool fail(fr_milvus_call *call, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
static bool fail(fr_milvus_call *call, int code, const char *format, ...)
{
    char words[400];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    fr_milvus_fail(call, code, "%s", words);
    return false;
}

/* ==== columns ==== */

static bool is_vector(const fr_milvus_field *field) { return field->vector >= 0; }

static size_t scalar_count(const Milvus__ScalarField *s)
{
    switch (s ? (int)s->data_case : 0) {
    case MILVUS__SCALAR_FIELD__DATA_BOOL_DATA: return s->bool_data ? s->bool_data->n_data : 0;
    case MILVUS__SCALAR_FIELD__DATA_INT_DATA: return s->int_data ? s->int_data->n_data : 0;
    case MILVUS__SCALAR_FIELD__DATA_LONG_DATA: return s->long_data ? s->long_data->n_data : 0;
    case MILVUS__SCALAR_FIELD__DATA_FLOAT_DATA: return s->float_data ? s->float_data->n_data : 0;
    case MILVUS__SCALAR_FIELD__DATA_DOUBLE_DATA: return s->double_data ? s->double_data->n_data : 0;
    case MILVUS__SCALAR_FIELD__DATA_STRING_DATA: return s->string_data ? s->string_data->n_data : 0;
    case MILVUS__SCALAR_FIELD__DATA_BYTES_DATA: return s->bytes_data ? s->bytes_data->n_data : 0;
    case MILVUS__SCALAR_FIELD__DATA_ARRAY_DATA: return s->array_data ? s->array_data->n_data : 0;
    case MILVUS__SCALAR_FIELD__DATA_JSON_DATA: return s->json_data ? s->json_data->n_data : 0;
    default: return 0;
    }
}

static int scalar_case(int32_t type)
{
    switch (type) {
    case FR_TYPE_BOOL: return MILVUS__SCALAR_FIELD__DATA_BOOL_DATA;
    case FR_TYPE_INT8:
    case FR_TYPE_INT16:
    case FR_TYPE_INT32: return MILVUS__SCALAR_FIELD__DATA_INT_DATA;
    case FR_TYPE_INT64: return MILVUS__SCALAR_FIELD__DATA_LONG_DATA;
    case FR_TYPE_FLOAT: return MILVUS__SCALAR_FIELD__DATA_FLOAT_DATA;
    case FR_TYPE_DOUBLE: return MILVUS__SCALAR_FIELD__DATA_DOUBLE_DATA;
    case FR_TYPE_VARCHAR: return MILVUS__SCALAR_FIELD__DATA_STRING_DATA;
    case FR_TYPE_ARRAY: return MILVUS__SCALAR_FIELD__DATA_ARRAY_DATA;
    case FR_TYPE_JSON: return MILVUS__SCALAR_FIELD__DATA_JSON_DATA;
    default: return -1;
    }
}

/* How many vectors a column has, and whether they are of the field's dimension and type. */
static bool vector_count(fr_milvus_call *call, const fr_milvus_field *field, const Milvus__FieldData *data, size_t *count_out)
{
    const Milvus__VectorField *v = data->field_case == MILVUS__FIELD_DATA__FIELD_VECTORS ? data->vectors : NULL;
    *count_out = 0;
    if (!v || v->data_case == MILVUS__VECTOR_FIELD__DATA__NOT_SET) return true; /* none: judged by the count */
    size_t unit = fr_vector_bytes((fr_type)field->type, field->dimension), size = 0;
    bool dense = field->type != FR_TYPE_VECTOR_BINARY && field->type != FR_TYPE_VECTOR_SPARSE, fits = false;
    if (field->type == FR_TYPE_VECTOR_BINARY) unit = field->dimension / 8;
    switch (v->data_case) {
    case MILVUS__VECTOR_FIELD__DATA_FLOAT_VECTOR: /* also of half vectors: the client leaves the rounding to us */
        fits = dense && field->type != FR_TYPE_VECTOR_I8;
        unit = field->dimension, size = v->float_vector ? v->float_vector->n_data : 0;
        break;
    case MILVUS__VECTOR_FIELD__DATA_BINARY_VECTOR: fits = field->type == FR_TYPE_VECTOR_BINARY, size = v->binary_vector.len; break;
    case MILVUS__VECTOR_FIELD__DATA_FLOAT16_VECTOR: fits = field->type == FR_TYPE_VECTOR_F16, size = v->float16_vector.len; break;
    case MILVUS__VECTOR_FIELD__DATA_BFLOAT16_VECTOR: fits = field->type == FR_TYPE_VECTOR_BF16, size = v->bfloat16_vector.len; break;
    case MILVUS__VECTOR_FIELD__DATA_INT8_VECTOR: fits = field->type == FR_TYPE_VECTOR_I8, size = v->int8_vector.len; break;
    case MILVUS__VECTOR_FIELD__DATA_SPARSE_FLOAT_VECTOR:
        fits = field->type == FR_TYPE_VECTOR_SPARSE, size = v->sparse_float_vector ? v->sparse_float_vector->n_contents : 0, unit = 1;
        break;
    default: break;
    }
    if (!fits) return fail(call, MILVUS_INVALID_PARAMETER, "field data of %s is not of its type: invalid parameter", field->name);
    if (field->type == FR_TYPE_VECTOR_BINARY && size % unit != 0)
        return fail(call, MILVUS_INVALID_PARAMETER, "the num(%zu) of all bits should divide the dim(%u): field %s: invalid parameter", size * 8,
                    field->dimension, field->name);
    if (unit == 0 || size % unit != 0)
        return fail(call, MILVUS_INVALID_PARAMETER, "the length(%zu) of float data should divide the dim(%u): field %s: invalid parameter", size,
                    field->dimension, field->name);
    if (field->type != FR_TYPE_VECTOR_SPARSE && v->dim != 0 && v->dim != field->dimension)
        return fail(call, MILVUS_INVALID_PARAMETER,
                    "the dim (%lld) of field data(%s) is not equal to schema dim (%u): invalid parameter[expected=%u][actual=%lld]", (long long)v->dim,
                    field->name, field->dimension, field->dimension, (long long)v->dim);
    *count_out = size / unit;
    return true;
}

static bool column_in(fr_milvus_call *call, fr_milvus_column *column, uint32_t rows)
{
    const fr_milvus_field *field = column->field;
    const Milvus__FieldData *data = column->data;
    const Milvus__ScalarField *scalars = data->field_case == MILVUS__FIELD_DATA__FIELD_SCALARS ? data->scalars : NULL;
    if (is_vector(field)) {
        if (!vector_count(call, field, data, &column->count)) return false;
    } else {
        column->count = scalar_count(scalars);
        if (column->count && (int)scalars->data_case != scalar_case(field->type))
            return fail(call, MILVUS_INVALID_PARAMETER, "field data of %s is not of its type: invalid parameter", field->name);
    }
    size_t valid = rows;
    if (data->n_valid_data) {
        if (data->n_valid_data != rows)
            return fail(call, MILVUS_INVALID_PARAMETER, "the length of valid_data of field(%s) is wrong: invalid parameter[expected=%u][actual=%zu]",
                        field->name, rows, data->n_valid_data);
        column->valid = data->valid_data;
        valid = 0;
        for (uint32_t i = 0; i < rows; i++) valid += column->valid[i] != 0;
        if (valid != rows && !field->nullable && !field->default_value.data)
            return fail(call, MILVUS_INVALID_PARAMETER, "the field %s is not nullable: a value for every row is needed: invalid parameter", field->name);
    }
    column->compact = column->count == valid;
    if (column->count != valid && column->count != rows)
        return fail(call, MILVUS_INVALID_PARAMETER,
                    "the num_rows (%zu) of field (%s) is not equal to passed num_rows (%u): invalid parameter[expected=%u][actual=%zu]", column->count,
                    field->name, rows, rows, column->count);
    return true;
}

static bool needed(const fr_milvus_rows *rows, const fr_milvus_field *field)
{
    if (field->primary) return rows->upsert || !field->auto_id;
    return !rows->partial && !field->nullable && !field->default_value.data && !field->function_output;
}

static bool columns_in(fr_milvus_call *call, fr_milvus_rows *rows, Milvus__FieldData *const *columns, size_t column_count)
{
    const fr_milvus_schema *schema = rows->schema;
    for (size_t i = 0; i < column_count; i++) {
        const Milvus__FieldData *data = columns[i];
        if (data->is_dynamic || strcmp(data->field_name, "$meta") == 0) {
            const Milvus__ScalarField *s = data->field_case == MILVUS__FIELD_DATA__FIELD_SCALARS ? data->scalars : NULL;
            if (!schema->dynamic) return fail(call, MILVUS_INVALID_PARAMETER, "the collection has no dynamic field: invalid parameter");
            if (rows->dynamic || !s || s->data_case != MILVUS__SCALAR_FIELD__DATA_JSON_DATA || scalar_count(s) != rows->count)
                return fail(call, MILVUS_INVALID_PARAMETER, "the dynamic field must be one JSON column of %u rows: invalid parameter", rows->count);
            rows->dynamic = data;
            continue;
        }
        const fr_milvus_field *field = fr_milvus_field_of(schema, data->field_name);
        if (!field)
            return fail(call, MILVUS_INVALID_PARAMETER, "fieldName %.100s not exist in collection schema: invalid parameter", data->field_name);
        fr_milvus_column *column = &rows->columns[field - schema->fields];
        if (column->data) return fail(call, MILVUS_INVALID_PARAMETER, "duplicated field %s found: invalid parameter", field->name);
        if (field->function_output)
            return fail(call, MILVUS_INVALID_PARAMETER, "the field %s is made by a function and takes no data: invalid parameter", field->name);
        const char *may = fr_milvus_pairs_get(&schema->properties, "allow_insert_auto_id");
        if (field->primary && field->auto_id && !rows->upsert && !(may && (strcmp(may, "true") == 0 || strcmp(may, "True") == 0)))
            return fail(call, MILVUS_INVALID_PARAMETER,
                        "can not assign primary field data when auto id enabled and allow_insert_auto_id is false %s: more fieldData has pass in: "
                        "invalid parameter", field->name);
        column->data = data;
        if (!column_in(call, column, rows->count)) return false;
    }
    for (uint32_t i = 0; i < schema->field_count; i++)
        if (!rows->columns[i].data && needed(rows, &schema->fields[i]))
            return fail(call, MILVUS_INVALID_PARAMETER, "fieldSchema(%s) has no corresponding fieldData pass in: invalid parameter", schema->fields[i].name);
    return true;
}

/* ==== functions ==== */

const fr_milvus_function *fr_milvus_function_of(const fr_milvus_schema *schema, const fr_milvus_field *output)
{
    for (uint32_t i = 0; i < schema->function_count; i++)
        for (uint32_t o = 0; o < schema->functions[i].output_count; o++)
            if (&schema->fields[schema->functions[i].outputs[o]] == output) return &schema->functions[i];
    return NULL;
}

fr_code fr_milvus_analyzer_of(fr_milvus_call *call, fr_milvus_worker *worker, const fr_milvus_field *field, fr_analyzer **out, fr_err *err)
{
    const char *text = fr_milvus_pairs_get(&field->params, "analyzer_params");
    fr_doc params = {NULL};
    if (text && *text) FR_TRY(fr_milvus_json_doc(call, worker, fr_span_text(text), &params, err));
    return fr_analyzer_create(params, out, err);
}

static bool analyzers_in(fr_milvus_call *call, fr_milvus_rows *rows)
{
    const fr_milvus_schema *schema = rows->schema;
    rows->analyzers = fr_milvus_alloc(call, schema->function_count * sizeof *rows->analyzers);
    if (!rows->analyzers) return fail(call, MILVUS_MEMORY, "no memory for the request");
    for (uint32_t i = 0; i < schema->function_count; i++) {
        const fr_milvus_function *function = &schema->functions[i];
        if (function->type != MILVUS_FUNCTION_BM25 || function->input_count != 1 || function->output_count != 1)
            return fail(call, MILVUS_UNSUPPORTED, "function %s is not of a kind that is offered (BM25)", function->name);
        fr_code code = fr_milvus_analyzer_of(call, rows->worker, &schema->fields[function->inputs[0]], &rows->analyzers[i], &call->err);
        if (code != FR_OK) return fail(call, fr_milvus_code_of(code, NULL), "%s", call->err.text);
    }
    return true;
}

typedef struct term_list {
    uint32_t *hashes;
    uint32_t count, room;
} term_list;

static bool count_term(void *user, const fr_term *term)
{
    (void)term;
    return ++*(uint32_t *)user < FR_SPARSE_NONZERO_MAX * 16;
}

static bool add_term(void *user, const fr_term *term)
{
    term_list *list = user;
    if (list->count < list->room) list->hashes[list->count++] = fr_term_hash(term->text);
    return list->count < list->room;
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t x, y;
    memcpy(&x, a, sizeof x), memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

fr_code fr_milvus_term_vector(const fr_analyzer *analyzer, fr_span text, fr_arena *arena, fr_span *out, fr_err *err)
{
    term_list list = {.room = 0};
    fr_analyze(analyzer, text, count_term, &list.room);
    list.hashes = fr_arena_alloc(arena, list.room * sizeof *list.hashes);
    uint8_t *pairs = fr_arena_alloc(arena, list.room * 8u);
    if (!list.hashes || !pairs) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for the terms of a text");
    fr_analyze(analyzer, text, add_term, &list);
    qsort(list.hashes, list.count, sizeof *list.hashes, compare_u32);
    uint32_t pair_count = 0;
    for (uint32_t i = 0, end; i < list.count; i = end) {
        for (end = i + 1; end < list.count && list.hashes[end] == list.hashes[i];) end++;
        float times = (float)(end - i);
        fr_store_le32(pairs + pair_count * 8u, list.hashes[i]);
        memcpy(pairs + pair_count++ * 8u + 4, &times, sizeof times);
    }
    if (pair_count > FR_SPARSE_NONZERO_MAX)
        return fr_fail(err, FR_ERR_TOO_LARGE, NULL, "the text has %u different terms, the limit is %u", pair_count, FR_SPARSE_NONZERO_MAX);
    *out = (fr_span){pairs, pair_count * 8u};
    return FR_OK;
}

/* ==== rows ==== */

bool fr_milvus_rows_begin(fr_milvus_call *call, fr_milvus_rows *rows, Milvus__FieldData *const *columns, size_t column_count, uint32_t row_count,
                          const char *partition)
{
    const fr_milvus_schema *schema = rows->schema;
    rows->count = row_count;
    fr_arena_init(&rows->scratch, FR_MEM_DOOR, 0);
    rows->columns = fr_milvus_alloc(call, schema->field_count * sizeof *rows->columns);
    if (!rows->columns) return fail(call, MILVUS_MEMORY, "no memory for the request");
    for (uint32_t i = 0; i < schema->field_count; i++) rows->columns[i].field = &schema->fields[i];
    if (schema->field_count > FR_FIELDS_MAX) return fail(call, MILVUS_ILLEGAL_SCHEMA, "the collection has more than %u fields", FR_FIELDS_MAX);
    if (row_count == 0)
        return fail(call, MILVUS_INVALID_PARAMETER, "num_rows should be greater than 0: invalid parameter[expected=invalid num_rows][actual=0]");
    if (schema->partition_key >= 0 && strcmp(partition, FR_MILVUS_DEFAULT_PARTITION) == 0) partition = ""; /* clients say it unasked */
    if (schema->partition_key >= 0 && *partition)
        return fail(call, MILVUS_INVALID_PARAMETER, "not support manually specifying the partition names if partition key mode is used: invalid parameter");
    rows->partition = rows->partial && !*partition ? -1 : 0; /* -1: stays */
    if (*partition) {
        const fr_milvus_partition *found = fr_milvus_partition_of(schema, partition);
        if (!found && !fr_milvus_name_ok(call, MILVUS_NAMED_PARTITION, partition + strspn(partition, " "))) return false;
        if (!found) return fail(call, MILVUS_PARTITION_NOT_FOUND, "partition not found[partition=%.200s]", partition);
        rows->partition = found->id;
    }
    if (!columns_in(call, rows, columns, column_count) || !analyzers_in(call, rows)) return false;
    if (rows->columns[schema->primary].data) return true;
    rows->auto_ids = fr_milvus_alloc(call, row_count * sizeof *rows->auto_ids);
    if (!rows->auto_ids) return fail(call, MILVUS_MEMORY, "no memory for the request");
    for (uint32_t i = 0; i < row_count; i++) rows->auto_ids[i] = fr_timestamp(call->db);
    return true;
}

void fr_milvus_rows_free(fr_milvus_rows *rows)
{
    for (uint32_t i = 0; rows->analyzers && i < rows->schema->function_count; i++) fr_analyzer_free(rows->analyzers[i]);
    rows->analyzers = NULL;
    fr_doc_free(&rows->document);
    fr_doc_free(&rows->member);
    fr_arena_free(&rows->scratch);
}

static fr_code bad(const fr_milvus_rows *rows, const fr_milvus_field *field, fr_err *err, const char *format, ...) __attribute__((format(printf, 4, 5)));
static fr_code bad(const fr_milvus_rows *rows, const fr_milvus_field *field, fr_err *err, const char *format, ...)
{
    char words[200];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    return fr_fail(err, FR_ERR_INVALID, NULL, "field %.64s, row number: %u: %s", field->name, rows->next, words);
}

static fr_code check_text(const fr_milvus_rows *rows, const fr_milvus_field *field, fr_span text, size_t at, fr_err *err)
{
    bool too_long = field->max_length && text.size > field->max_length;
    if (too_long && field->type == FR_TYPE_ARRAY)
        return fr_fail(err, FR_ERR_INVALID, NULL,
                       "length of Array array field \"%.64s\" exceeds max length, row number: %u, array index: %zu, length: %zu, max length: %u",
                       field->name, rows->next, at, text.size, field->max_length);
    if (too_long)
        return fr_fail(err, FR_ERR_INVALID, NULL, "length of varchar field %.64s exceeds max length, row number: %u, length: %zu, max length: %u", field->name,
                       rows->next, text.size, field->max_length);
    return fr_utf8_valid(text.data, text.size) ? FR_OK : bad(rows, field, err, "the text is not UTF-8");
}

static fr_code put_int(fr_milvus_rows *rows, int32_t type, int64_t value, size_t at, fr_err *err)
{
    int64_t most = type == FR_TYPE_INT8 ? INT8_MAX : type == FR_TYPE_INT16 ? INT16_MAX : INT64_MAX;
    if (value > most || value < -most - 1)
        return fr_fail(err, FR_ERR_INVALID, NULL, "the %zuth element (%lld) out of range: [%lld, %lld]", at, (long long)value, (long long)(-most - 1),
                       (long long)most);
    fr_doc_put_int(&rows->document, value);
    return FR_OK;
}

static fr_code put_scalar(fr_milvus_rows *rows, const fr_milvus_field *field, int32_t type, const Milvus__ScalarField *s, size_t at, fr_err *err);

static fr_code put_array(fr_milvus_rows *rows, const fr_milvus_field *field, const Milvus__ScalarField *elements, fr_err *err)
{
    size_t count = scalar_count(elements);
    if (count && (int)elements->data_case != scalar_case(field->element_type)) return bad(rows, field, err, "elements are not of the field's element type");
    if (field->max_capacity && count > field->max_capacity)
        return fr_fail(err, FR_ERR_INVALID, NULL, "the length (%zu) of %uth array exceeds max capacity (%u)", count, rows->next, field->max_capacity);
    fr_doc_begin_array(&rows->document);
    for (size_t i = 0; i < count; i++) FR_TRY(put_scalar(rows, field, field->element_type, elements, i, err));
    fr_doc_end_array(&rows->document);
    return FR_OK;
}

static fr_code put_scalar(fr_milvus_rows *rows, const fr_milvus_field *field, int32_t type, const Milvus__ScalarField *s, size_t at, fr_err *err)
{
    fr_doc_builder *b = &rows->document;
    fr_span text;
    double number;
    switch (type) {
    case FR_TYPE_BOOL: fr_doc_put_bool(b, s->bool_data->data[at] != 0); return FR_OK;
    case FR_TYPE_INT8:
    case FR_TYPE_INT16:
    case FR_TYPE_INT32: return put_int(rows, type, s->int_data->data[at], at, err);
    case FR_TYPE_INT64: return put_int(rows, type, s->long_data->data[at], at, err);
    case FR_TYPE_FLOAT:
    case FR_TYPE_DOUBLE:
        number = type == FR_TYPE_FLOAT ? (double)s->float_data->data[at] : s->double_data->data[at];
        if (!__builtin_isfinite(number)) return bad(rows, field, err, "a number must be finite");
        fr_doc_put_float(b, number);
        return FR_OK;
    case FR_TYPE_VARCHAR:
        text = (fr_span){s->string_data->data[at].data, s->string_data->data[at].len};
        FR_TRY(check_text(rows, field, text, at, err));
        fr_doc_put_string(b, text.data, text.size);
        return FR_OK;
    case FR_TYPE_ARRAY: return s->array_data->data[at] ? put_array(rows, field, s->array_data->data[at], err) : bad(rows, field, err, "an array is needed");
    case FR_TYPE_JSON:
        text = (fr_span){s->json_data->data[at].data, s->json_data->data[at].len};
        if (fr_milvus_json_in(rows->worker, text, &rows->scratch, b, err) == FR_OK) return FR_OK;
        return bad(rows, field, err, "%.120s", err ? err->text : "");
    default: return bad(rows, field, err, "the type is not offered");
    }
}

/* The dynamic field's keys, beside the declared ones. */
static fr_code put_dynamic(fr_milvus_rows *rows, fr_err *err)
{
    const ProtobufCBinaryData *text = &rows->dynamic->scalars->json_data->data[rows->next];
    fr_span bytes, key;
    fr_doc_reset(&rows->member);
    FR_TRY(fr_milvus_json_in(rows->worker, (fr_span){text->data, text->len}, &rows->scratch, &rows->member, err));
    if (fr_doc_finish(&rows->member, &bytes) != FR_OK || fr_doc_type(fr_doc_root(bytes)) != FR_DOC_OBJECT)
        return fr_fail(err, FR_ERR_INVALID, NULL, "dynamic field, row number: %u: must be a JSON object of at most %u bytes", rows->next,
                       FR_METADATA_BYTES_MAX);
    fr_doc_iter iter = fr_doc_begin(fr_doc_root(bytes));
    for (fr_doc value; fr_doc_next(&iter, &key, &value);) {
        char name[256];
        snprintf(name, sizeof name, "%.*s", (int)FR_MIN(key.size, sizeof name - 1), (const char *)key.data);
        if (key.size && ((const char *)key.data)[0] == '$')
            return fr_fail(err, FR_ERR_INVALID, NULL, "dynamic field, row number: %u: a key may not begin with '$': %.64s", rows->next, name);
        if (key.size < sizeof name && fr_milvus_field_of(rows->schema, name))
            return fr_fail(err, FR_ERR_INVALID, NULL, "dynamic field name cannot include the static field name: %.64s: row number: %u", name, rows->next);
        fr_doc_put_key(&rows->document, key.data, key.size);
        fr_doc_put_value(&rows->document, value);
    }
    return FR_OK;
}

static int64_t key_partition(const fr_milvus_rows *rows, const fr_milvus_column *column, size_t at)
{
    char digits[24];
    fr_span value = {digits, 0};
    const Milvus__ScalarField *s = column->data->scalars;
    if (s->data_case == MILVUS__SCALAR_FIELD__DATA_STRING_DATA) value = (fr_span){s->string_data->data[at].data, s->string_data->data[at].len};
    else value.size = (size_t)snprintf(digits, sizeof digits, "%lld", s->data_case == MILVUS__SCALAR_FIELD__DATA_LONG_DATA ? (long long)s->long_data->data[at]
                                                                                                                          : (long long)s->int_data->data[at]);
    return fr_murmur2(value.data, value.size) % rows->schema->partition_count;
}

/* The vector of a row; size 0 = null. */
static fr_code vector_of(fr_milvus_rows *rows, const fr_milvus_column *column, size_t at, fr_value *value, fr_err *err)
{
    const fr_milvus_field *field = column->field;
    const Milvus__VectorField *v = column->data->vectors;
    size_t unit = field->type == FR_TYPE_VECTOR_BINARY ? field->dimension / 8 : fr_vector_bytes((fr_type)field->type, field->dimension);
    value->field = field->engine_field;
    value->type = (uint8_t)field->type;
    switch (v->data_case) {
    case MILVUS__VECTOR_FIELD__DATA_FLOAT_VECTOR:
        value->type = FR_TYPE_VECTOR_F32;
        value->bytes = (fr_span){v->float_vector->data + at * field->dimension, field->dimension * sizeof(float)};
        return FR_OK;
    case MILVUS__VECTOR_FIELD__DATA_SPARSE_FLOAT_VECTOR:
        value->bytes = (fr_span){v->sparse_float_vector->contents[at].data, v->sparse_float_vector->contents[at].len};
        if (value->bytes.size % 8 != 0 || value->bytes.size / 8 > FR_SPARSE_NONZERO_MAX)
            return bad(rows, field, err, "a sparse vector is up to %u pairs of 8 bytes, got %zu bytes", FR_SPARSE_NONZERO_MAX, value->bytes.size);
        return FR_OK;
    case MILVUS__VECTOR_FIELD__DATA_BINARY_VECTOR: value->bytes = (fr_span){v->binary_vector.data + at * unit, unit}; return FR_OK;
    case MILVUS__VECTOR_FIELD__DATA_FLOAT16_VECTOR: value->bytes = (fr_span){v->float16_vector.data + at * unit, unit}; return FR_OK;
    case MILVUS__VECTOR_FIELD__DATA_BFLOAT16_VECTOR: value->bytes = (fr_span){v->bfloat16_vector.data + at * unit, unit}; return FR_OK;
    case MILVUS__VECTOR_FIELD__DATA_INT8_VECTOR: value->bytes = (fr_span){v->int8_vector.data + at * unit, unit}; return FR_OK;
    default: return bad(rows, field, err, "a vector is needed");
    }
}

/* Terms of the text become the function's vector. A text that is null or not given makes none. */
static fr_code function_vector(fr_milvus_rows *rows, uint32_t function, const size_t *places, fr_value *value, bool *made, fr_err *err)
{
    const fr_milvus_function *f = &rows->schema->functions[function];
    const fr_milvus_column *input = &rows->columns[f->inputs[0]];
    size_t at = places[f->inputs[0]];
    *made = false;
    if (rows->partial && !input->data) return FR_OK;
    fr_span text = {"", 0};
    if (at != SIZE_MAX) text = (fr_span){input->data->scalars->string_data->data[at].data, input->data->scalars->string_data->data[at].len};
    value->field = rows->schema->fields[f->outputs[0]].engine_field;
    value->type = FR_TYPE_VECTOR_SPARSE;
    *made = true;
    return fr_milvus_term_vector(rows->analyzers[function], text, &rows->scratch, &value->bytes, err);
}

static fr_code key_of(fr_milvus_rows *rows, const size_t *places, char digits[24], fr_event *event, fr_err *err)
{
    const fr_milvus_field *field = &rows->schema->fields[rows->schema->primary];
    bool text = field->type == FR_TYPE_VARCHAR;
    event->key_is_int = !text;
    if (!rows->auto_ids && text) {
        const ProtobufCBinaryData *key = &rows->columns[rows->schema->primary].data->scalars->string_data->data[places[rows->schema->primary]];
        event->key = (fr_span){key->data, key->len};
        FR_TRY(check_text(rows, field, event->key, 0, err));
        if (key->len < 1 || key->len > FR_KEY_BYTES_MAX)
            return bad(rows, field, err, "a primary key has 1 to %u bytes, got %zu", FR_KEY_BYTES_MAX, key->len);
        return FR_OK;
    }
    int64_t value = rows->auto_ids ? (int64_t)rows->auto_ids[rows->next]
                                   : rows->columns[rows->schema->primary].data->scalars->long_data->data[places[rows->schema->primary]];
    event->key = (fr_span){digits, (size_t)snprintf(digits, 24, "%lld", (long long)value)};
    return FR_OK;
}

/* Where each column has its value of this row; SIZE_MAX: it has none. Moves on. */
static void places_of(fr_milvus_rows *rows, size_t *places)
{
    for (uint32_t i = 0; i < rows->schema->field_count; i++) {
        fr_milvus_column *column = &rows->columns[i];
        places[i] = SIZE_MAX;
        if (!column->data) continue;
        bool valid = !column->valid || column->valid[rows->next];
        if (valid) places[i] = column->next;
        column->next += valid || !column->compact;
    }
}

static fr_code document_of(fr_milvus_rows *rows, const size_t *places, fr_err *err)
{
    const fr_milvus_schema *schema = rows->schema;
    fr_doc_builder *b = &rows->document;
    int64_t partition = rows->partition;
    fr_doc_reset(b);
    fr_doc_begin_object(b);
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const fr_milvus_field *field = &schema->fields[i];
        const fr_milvus_column *column = &rows->columns[i];
        if (field->primary || is_vector(field) || (rows->partial && !column->data)) continue;
        bool given = places[i] != SIZE_MAX;
        if ((int32_t)i == schema->partition_key && !given) return bad(rows, field, err, "a partition key may not be null");
        if (!given && !field->default_value.data && !rows->partial) continue;
        fr_doc_put_key(b, field->name, strlen(field->name));
        if (given) FR_TRY(put_scalar(rows, field, field->type, column->data->scalars, places[i], err));
        else if (field->default_value.data) fr_doc_put_value(b, field->default_value);
        else fr_doc_put_null(b);
        if ((int32_t)i == schema->partition_key) partition = key_partition(rows, column, places[i]);
    }
    if (rows->dynamic) FR_TRY(put_dynamic(rows, err));
    if (partition > 0 || (partition == 0 && rows->partial)) {
        fr_doc_put_key(b, FR_MILVUS_PARTITION_KEY, strlen(FR_MILVUS_PARTITION_KEY));
        if (partition > 0) fr_doc_put_int(b, partition);
        else fr_doc_put_null(b);
    }
    if (schema->ttl_s) {
        fr_doc_put_key(b, FR_MILVUS_WRITTEN_KEY, strlen(FR_MILVUS_WRITTEN_KEY));
        fr_doc_put_int(b, fr_milvus_seconds());
    }
    fr_doc_end_object(b);
    return FR_OK;
}

static fr_code put_row(fr_milvus_rows *rows, const size_t *places, fr_batch *batch, fr_err *err)
{
    const fr_milvus_schema *schema = rows->schema;
    fr_value values[FR_VECTOR_FIELDS_MAX + 1];
    fr_event event = {.values = values, .partial = rows->partial, .source_time_ms = FR_TIME_NONE};
    char digits[24];
    fr_span document;
    fr_arena_reset(&rows->scratch);
    FR_TRY(key_of(rows, places, digits, &event, err));
    FR_TRY(document_of(rows, places, err));
    fr_code code = fr_doc_finish(&rows->document, &document);
    if (code == FR_ERR_TOO_LARGE || (code == FR_OK && document.size > FR_METADATA_BYTES_MAX))
        return fr_fail(err, FR_ERR_TOO_LARGE, NULL, "row number: %u: scalar and dynamic fields take more than %u bytes", rows->next, FR_METADATA_BYTES_MAX);
    if (code != FR_OK) return fr_fail(err, code, NULL, "row number: %u: the fields are no document (a key twice, or text that is not UTF-8)", rows->next);
    for (uint32_t i = 0; i < schema->field_count; i++)
        if (is_vector(&schema->fields[i]) && places[i] != SIZE_MAX && event.value_count < FR_VECTOR_FIELDS_MAX)
            FR_TRY(vector_of(rows, &rows->columns[i], places[i], &values[event.value_count++], err));
    for (uint32_t i = 0; i < schema->function_count && event.value_count < FR_VECTOR_FIELDS_MAX; i++) {
        bool made;
        FR_TRY(function_vector(rows, i, places, &values[event.value_count], &made, err));
        event.value_count += made;
    }
    values[event.value_count++] = (fr_value){.field = FR_FIELD_DYNAMIC, .type = FR_TYPE_JSON, .bytes = document};
    return fr_batch_put(batch, &event, err);
}

fr_code fr_milvus_rows_put(fr_milvus_rows *rows, fr_batch *batch, fr_err *err)
{
    size_t places[FR_FIELDS_MAX], next[FR_FIELDS_MAX];
    for (; rows->next < rows->count && batch->count < FR_RECORDS_MAX; rows->next++) {
        for (uint32_t i = 0; i < rows->schema->field_count; i++) next[i] = rows->columns[i].next;
        places_of(rows, places);
        fr_code code = put_row(rows, places, batch, err);
        if (code == FR_OK) continue;
        for (uint32_t i = 0; i < rows->schema->field_count; i++) rows->columns[i].next = next[i];
        bool full = code == FR_ERR_TOO_LARGE && batch->size > FR_REQUEST_BYTES_MAX / 2; /* the rest is another piece */
        return full ? FR_OK : code;
    }
    return FR_OK;
}

Milvus__IDs *fr_milvus_rows_ids(fr_milvus_call *call, const fr_milvus_rows *rows)
{
    const fr_milvus_schema *schema = rows->schema;
    const Milvus__FieldData *given = rows->columns[schema->primary].data;
    Milvus__IDs *ids = fr_milvus_message(&call->arena, &milvus__ids__descriptor);
    if (!ids) return NULL;
    bool text = schema->fields[schema->primary].type == FR_TYPE_VARCHAR;
    ids->id_field_case = text ? MILVUS__IDS__ID_FIELD_STR_ID : MILVUS__IDS__ID_FIELD_INT_ID;
    if (given && text) ids->str_id = given->scalars->string_data; /* of the request: it lives as long as the call */
    if (given && !text) ids->int_id = given->scalars->long_data;
    if (given) return ids;
    if (!text) {
        ids->int_id = fr_milvus_message(&call->arena, &milvus__long_array__descriptor);
        if (!ids->int_id) return NULL;
        ids->int_id->data = (int64_t *)rows->auto_ids, ids->int_id->n_data = rows->count;
        return ids;
    }
    ids->str_id = fr_milvus_message(&call->arena, &milvus__string_array__descriptor);
    ProtobufCBinaryData *texts = ids->str_id ? fr_milvus_alloc(call, rows->count * sizeof *texts) : NULL;
    if (!texts) return NULL;
    ids->str_id->data = texts, ids->str_id->n_data = rows->count;
    for (uint32_t i = 0; i < rows->count; i++) {
        char *digits = fr_milvus_text(call, "%llu", (unsigned long long)rows->auto_ids[i]);
        if (!digits) return NULL;
        texts[i] = (ProtobufCBinaryData){strlen(digits), (uint8_t *)digits};
    }
    return ids;
}
