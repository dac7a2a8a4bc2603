/* milvus_fields.c: fields as clients describe them, checked, into the schema and the engine's definition; and back into messages. */
#include "api/milvus/milvus_private.h"

#include <stdio.h>

#define VARCHAR_BYTES_MAX 65535
#define CAPACITY_MAX 4096

static bool refuse(fr_milvus_call *call, const char *field, const char *why)
{
    fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "field %s: %s: invalid parameter", field, why);
    return false;
}

static bool no_memory(fr_milvus_call *call)
{
    fr_milvus_fail(call, MILVUS_MEMORY, "no memory for the schema");
    return false;
}

static bool is_vector(int32_t type) { return type >= FR_TYPE_VECTOR_BINARY && type <= FR_TYPE_VECTOR_I8; }

static bool is_scalar(int32_t type)
{
    return (type >= FR_TYPE_BOOL && type <= FR_TYPE_INT64) || type == FR_TYPE_FLOAT || type == FR_TYPE_DOUBLE || type == FR_TYPE_VARCHAR;
}

/* ---- metrics ---- */

fr_metric fr_milvus_metric_default(const fr_milvus_field *field)
{
    if (field->type == FR_TYPE_VECTOR_BINARY) return FR_METRIC_HAMMING;
    if (field->type == FR_TYPE_VECTOR_SPARSE) return field->function_output ? FR_METRIC_BM25 : FR_METRIC_IP;
    return FR_METRIC_COSINE;
}

bool fr_milvus_metric_of(const fr_milvus_field *field, const char *name, fr_metric *out)
{
    static const struct {
        const char *name;
        fr_metric metric;
        int kind; /* 0 dense, 1 binary, 2 sparse, 3 what a function makes */
    } known[] = {{"L2", FR_METRIC_L2, 0},           {"IP", FR_METRIC_IP, 0},           {"COSINE", FR_METRIC_COSINE, 0},
                 {"HAMMING", FR_METRIC_HAMMING, 1}, {"JACCARD", FR_METRIC_JACCARD, 1}, {"IP", FR_METRIC_IP, 2},
                 {"BM25", FR_METRIC_BM25, 3}};
    int kind = field->type == FR_TYPE_VECTOR_BINARY ? 1 : field->type != FR_TYPE_VECTOR_SPARSE ? 0 : field->function_output ? 3 : 2;
    for (size_t i = 0; i < FR_COUNT_OF(known); i++) {
        if (known[i].kind != kind || strcasecmp(known[i].name, name) != 0) continue;
        *out = known[i].metric;
        return true;
    }
    return false;
}

/* ---- in ---- */

static bool number_in(const fr_milvus_pairs *params, const char *key, int64_t most, uint32_t *out)
{
    const char *text = fr_milvus_pairs_get(params, key);
    int64_t number;
    if (!text || !fr_milvus_int(text, &number) || number < 1 || number > most) return false;
    *out = (uint32_t)number;
    return true;
}

static bool vector_in(fr_milvus_call *call, fr_milvus_field *field)
{
    bool binary = field->type == FR_TYPE_VECTOR_BINARY;
    if (field->type == FR_TYPE_VECTOR_SPARSE) return true;
    if (!fr_milvus_pairs_get(&field->params, "dim")) return refuse(call, field->name, "dimension is not defined in field type params");
    if (!number_in(&field->params, "dim", binary ? FR_DIMENSION_BITS_MAX : FR_DIMENSION_MAX, &field->dimension))
        return refuse(call, field->name, binary ? "invalid dimension: 8 to 262144 bits" : "invalid dimension: 1 to 32768");
    if (binary && field->dimension % 8) return refuse(call, field->name, "invalid dimension: binary vectors have a multiple of 8 bits");
    return true;
}

static bool length_in(fr_milvus_call *call, fr_milvus_field *field)
{
    if (number_in(&field->params, "max_length", VARCHAR_BYTES_MAX, &field->max_length)) return true;
    return refuse(call, field->name, "max_length must be 1 to 65535");
}

static bool type_in(fr_milvus_call *call, fr_milvus_field *field)
{
    if (is_vector(field->type)) return vector_in(call, field);
    if (field->type == FR_TYPE_VARCHAR) return length_in(call, field);
    if (is_scalar(field->type) || field->type == FR_TYPE_JSON) return true;
    if (field->type != FR_TYPE_ARRAY) return refuse(call, field->name, "this data type is not supported");
    if (!is_scalar(field->element_type)) return refuse(call, field->name, "element type is not supported");
    if (!number_in(&field->params, "max_capacity", CAPACITY_MAX, &field->max_capacity))
        return refuse(call, field->name, "max_capacity must be 1 to 4096");
    return field->element_type != FR_TYPE_VARCHAR || length_in(call, field);
}

static bool default_in(fr_milvus_call *call, fr_milvus_schema *schema, fr_milvus_field *field, const Milvus__ValueField *in)
{
    fr_doc_builder b = {0};
    fr_span bytes;
    bool fits = true;
    int32_t type = field->type;
    switch (in->data_case) {
    case MILVUS__VALUE_FIELD__DATA__NOT_SET: return true;
    case MILVUS__VALUE_FIELD__DATA_BOOL_DATA: fits = type == FR_TYPE_BOOL, fr_doc_put_bool(&b, in->bool_data); break;
    case MILVUS__VALUE_FIELD__DATA_INT_DATA: fits = type >= FR_TYPE_INT8 && type <= FR_TYPE_INT32, fr_doc_put_int(&b, in->int_data); break;
    case MILVUS__VALUE_FIELD__DATA_LONG_DATA: fits = type >= FR_TYPE_INT8 && type <= FR_TYPE_INT64, fr_doc_put_int(&b, in->long_data); break;
    case MILVUS__VALUE_FIELD__DATA_FLOAT_DATA: fits = type == FR_TYPE_FLOAT || type == FR_TYPE_DOUBLE, fr_doc_put_float(&b, (double)in->float_data); break;
    case MILVUS__VALUE_FIELD__DATA_DOUBLE_DATA: fits = type == FR_TYPE_DOUBLE || type == FR_TYPE_FLOAT, fr_doc_put_float(&b, in->double_data); break;
    case MILVUS__VALUE_FIELD__DATA_STRING_DATA:
        fits = type == FR_TYPE_VARCHAR && in->string_data.len <= field->max_length;
        fr_doc_put_string(&b, in->string_data.data, in->string_data.len);
        break;
    default: fits = false; break;
    }
    if (fits && field->primary) fits = false;
    fr_code code = fits ? fr_doc_finish(&b, &bytes) : FR_ERR_INVALID;
    if (code == FR_OK) code = fr_doc_check(bytes, NULL);
    if (code == FR_OK) field->default_value = (fr_doc){fr_arena_copy(&schema->arena, bytes.data, bytes.size)};
    fr_doc_free(&b);
    if (code == FR_OK && field->default_value.data) return true;
    return refuse(call, field->name, "type of the default value does not fit the field, or it cannot have one");
}

static bool rules_hold(fr_milvus_call *call, const fr_milvus_field *field)
{
    bool text = field->type == FR_TYPE_VARCHAR, key = text || field->type == FR_TYPE_INT64;
    if (field->primary && !key) return refuse(call, field->name, "the primary key must be Int64 or VarChar");
    if (field->primary && field->nullable) return refuse(call, field->name, "primary field not support null");
    if (field->partition_key && field->primary) return refuse(call, field->name, "the partition key field must not be primary field");
    if (field->partition_key && !key) return refuse(call, field->name, "the partition key must be Int64 or VarChar");
    if (field->auto_id && !field->primary) return refuse(call, field->name, "only the primary key can have auto ids");
    return true;
}

static void def_fill(const fr_milvus_field *field, fr_field_def *def)
{
    *def = (fr_field_def){.type = (fr_type)field->type, .dimension = field->dimension, .max_length = field->primary ? 0 : field->max_length,
                          .element_type = (fr_type)field->element_type, .max_capacity = field->max_capacity, .primary = field->primary,
                          .nullable = field->nullable, .metric = field->metric};
    snprintf(def->name, sizeof def->name, "%s", field->name);
}

bool fr_milvus_field_in(fr_milvus_call *call, fr_milvus_schema *schema, const Milvus__FieldSchema *in, fr_field_def *def_out)
{
    if (schema->field_count >= FR_FIELDS_MAX) return refuse(call, in->name, "a collection has at most 64 fields");
    if (!fr_milvus_name_ok(call, "field name", in->name)) return false;
    if (strlen(in->name) >= sizeof def_out->name) return refuse(call, in->name, "a field name has at most 63 characters");
    if (fr_milvus_field_of(schema, in->name)) return refuse(call, in->name, "duplicated field name");
    fr_milvus_field *fields = fr_milvus_grown(schema, schema->fields, schema->field_count, sizeof *fields);
    if (!fields) return no_memory(call);
    fr_milvus_field *field = &fields[schema->field_count];
    *field = (fr_milvus_field){.id = schema->next_field_id, .name = fr_milvus_kept(schema, in->name),
                               .description = fr_milvus_kept(schema, in->description), .type = in->data_type, .element_type = in->element_type,
                               .primary = in->is_primary_key, .auto_id = in->autoid, .nullable = in->nullable,
                               .partition_key = in->is_partition_key, .clustering_key = in->is_clustering_key,
                               .function_output = in->is_function_output, .vector = -1};
    if (fr_milvus_pairs_in(schema, &field->params, in->type_params, in->n_type_params) != FR_OK) return no_memory(call);
    if (!type_in(call, field) || !rules_hold(call, field)) return false;
    if (in->default_value && !default_in(call, schema, field, in->default_value)) return false;
    if (is_vector(field->type)) field->metric = fr_milvus_metric_default(field);
    if (field->primary) schema->primary = schema->field_count;
    if (field->partition_key) schema->partition_key = (int32_t)schema->field_count;
    def_fill(field, def_out);
    schema->fields = fields;
    schema->field_count++;
    schema->next_field_id++;
    return true;
}

/* ---- out ---- */

static Milvus__ValueField *default_out(fr_milvus_call *call, const fr_milvus_field *field)
{
    Milvus__ValueField *out = fr_milvus_message(&call->arena, &milvus__value_field__descriptor);
    fr_doc value = field->default_value;
    if (!out) return NULL;
    switch (fr_doc_type(value)) {
    case FR_DOC_TRUE:
    case FR_DOC_FALSE: out->data_case = MILVUS__VALUE_FIELD__DATA_BOOL_DATA, out->bool_data = fr_doc_type(value) == FR_DOC_TRUE; break;
    case FR_DOC_INT:
        if (field->type == FR_TYPE_INT64) out->data_case = MILVUS__VALUE_FIELD__DATA_LONG_DATA, out->long_data = fr_doc_int(value);
        else out->data_case = MILVUS__VALUE_FIELD__DATA_INT_DATA, out->int_data = (int32_t)fr_doc_int(value);
        break;
    case FR_DOC_FLOAT:
        if (field->type == FR_TYPE_DOUBLE) out->data_case = MILVUS__VALUE_FIELD__DATA_DOUBLE_DATA, out->double_data = fr_doc_number(value);
        else out->data_case = MILVUS__VALUE_FIELD__DATA_FLOAT_DATA, out->float_data = (float)fr_doc_number(value);
        break;
    case FR_DOC_STRING: {
        fr_span text = fr_doc_string(value);
        out->data_case = MILVUS__VALUE_FIELD__DATA_STRING_DATA;
        out->string_data = (ProtobufCBinaryData){text.size, (uint8_t *)(uintptr_t)text.data};
        break;
    }
    default: break;
    }
    return out;
}

static Milvus__FieldSchema *field_out(fr_milvus_call *call, const fr_milvus_field *field)
{
    Milvus__FieldSchema *out = fr_milvus_message(&call->arena, &milvus__field_schema__descriptor);
    if (!out) return NULL;
    out->fieldid = field->id;
    out->name = fr_milvus_mut(field->name), out->description = fr_milvus_mut(field->description);
    out->data_type = field->type, out->element_type = field->element_type;
    out->is_primary_key = field->primary, out->autoid = field->auto_id, out->nullable = field->nullable;
    out->is_partition_key = field->partition_key, out->is_clustering_key = field->clustering_key;
    out->is_function_output = field->function_output;
    out->type_params = fr_milvus_pairs_out(call, &field->params, &out->n_type_params);
    if (field->default_value.data) out->default_value = default_out(call, field);
    return out;
}

static bool names_out(fr_milvus_call *call, const fr_milvus_schema *schema, const uint32_t *places, uint32_t count, char ***names_out,
                      size_t *name_count, int64_t **ids_out, size_t *id_count)
{
    *names_out = fr_milvus_alloc(call, count * sizeof **names_out);
    *ids_out = fr_milvus_alloc(call, count * sizeof **ids_out);
    if (!*names_out || !*ids_out) return false;
    for (uint32_t i = 0; i < count; i++) {
        (*names_out)[i] = fr_milvus_mut(schema->fields[places[i]].name);
        (*ids_out)[i] = schema->fields[places[i]].id;
    }
    *name_count = *id_count = count;
    return true;
}

static Milvus__FunctionSchema *function_out(fr_milvus_call *call, const fr_milvus_schema *schema, const fr_milvus_function *function)
{
    Milvus__FunctionSchema *out = fr_milvus_message(&call->arena, &milvus__function_schema__descriptor);
    if (!out) return NULL;
    out->id = function->id, out->type = function->type;
    out->name = fr_milvus_mut(function->name), out->description = fr_milvus_mut(function->description);
    out->params = fr_milvus_pairs_out(call, &function->params, &out->n_params);
    bool fine = names_out(call, schema, function->inputs, function->input_count, &out->input_field_names, &out->n_input_field_names,
                          &out->input_field_ids, &out->n_input_field_ids) &&
                names_out(call, schema, function->outputs, function->output_count, &out->output_field_names, &out->n_output_field_names,
                          &out->output_field_ids, &out->n_output_field_ids);
    return fine ? out : NULL;
}

Milvus__CollectionSchema *fr_milvus_schema_out(fr_milvus_call *call, const fr_milvus_schema *schema)
{
    Milvus__CollectionSchema *out = fr_milvus_message(&call->arena, &milvus__collection_schema__descriptor);
    if (!out) return NULL;
    out->name = fr_milvus_mut(schema->name), out->description = fr_milvus_mut(schema->description);
    out->dbname = fr_milvus_mut(schema->database);
    out->autoid = schema->auto_id, out->enable_dynamic_field = schema->dynamic;
    out->fields = fr_milvus_alloc(call, schema->field_count * sizeof *out->fields);
    out->functions = fr_milvus_alloc(call, schema->function_count * sizeof *out->functions);
    if (!out->fields || !out->functions) return NULL;
    for (uint32_t i = 0; i < schema->field_count; i++)
        if (!(out->fields[out->n_fields++] = field_out(call, &schema->fields[i]))) return NULL;
    for (uint32_t i = 0; i < schema->function_count; i++)
        if (!(out->functions[out->n_functions++] = function_out(call, schema, &schema->functions[i]))) return NULL;
    out->properties = fr_milvus_pairs_out(call, &schema->properties, &out->n_properties);
    return out;
}

int64_t fr_milvus_partition_number(const fr_milvus_schema *schema, const fr_milvus_partition *partition)
{
    return (int64_t)(schema->id << 20) + partition->id + 1;
}
