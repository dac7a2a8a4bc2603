/* milvus_fields.c: fields as clients describe them, checked, into the schema and the engine's definition; and back into messages. */
#include "api/milvus/milvus_private.h"

#include <stdio.h>

#define VARCHAR_BYTES_MAX 65535
#define CAPACITY_MAX 4096

static bool missing(fr_milvus_call *call, const char *param, const char *kind, const char *field, const char *collection)
{
    fr_milvus_fail(call, MILVUS_MISSING_PARAMETER, "type param(%s) should be specified for %s %s of collection %s: missing parameter", param, kind, field,
                   collection);
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

/* A whole number of the parameters; false: the reply says why not. */
static bool number_in(fr_milvus_call *call, const fr_milvus_field *field, const char *key, int64_t *out)
{
    const char *text = fr_milvus_pairs_get(&field->params, key);
    if (fr_milvus_int(text, out)) return true;
    return fr_milvus_bad(call, "the value for %s of field %s must be an integer", key, field->name);
}

static bool vector_in(fr_milvus_call *call, fr_milvus_field *field)
{
    bool binary = field->type == FR_TYPE_VECTOR_BINARY, given = fr_milvus_pairs_get(&field->params, "dim") != NULL;
    int64_t dim;
    if (field->type == FR_TYPE_VECTOR_SPARSE)
        return !given || fr_milvus_bad(call, "dim should not be specified for sparse vector field %s(%lld)", field->name, (long long)field->id);
    if (!given) return fr_milvus_bad(call, "dimension is not defined in field type params of field %s, check type param `dim` for vector field", field->name);
    if (!number_in(call, field, "dim", &dim)) return false;
    if (dim < 2) return fr_milvus_bad(call, "invalid dimension: %lld. should be in range 2 ~ %u", (long long)dim, FR_DIMENSION_MAX);
    if (binary && dim % 8)
        return fr_milvus_bad(call, "invalid dimension: %lld of field %s. binary vector dimension should be multiple of 8. ", (long long)dim, field->name);
    int64_t most = binary ? FR_DIMENSION_BITS_MAX : FR_DIMENSION_MAX;
    if (dim > most)
        return fr_milvus_bad(call, "invalid dimension: %lld of field %s. %s vector dimension should be in range 2 ~ %lld", (long long)dim, field->name,
                             binary ? "binary" : "float", (long long)most);
    field->dimension = (uint32_t)dim;
    return true;
}

static bool length_in(fr_milvus_call *call, const char *collection, fr_milvus_field *field)
{
    int64_t length;
    if (!fr_milvus_pairs_get(&field->params, "max_length")) {
        char *kind = fr_milvus_text(call, "the field(%s)", field->name);
        return missing(call, "max_length", kind ? kind : "the field", "", collection);
    }
    if (!number_in(call, field, "max_length", &length)) return false;
    if (length < 1 || length > VARCHAR_BYTES_MAX)
        return fr_milvus_bad(call, "the maximum length specified for the field(%s) should be in (0, %d], but got %lld instead", field->name, VARCHAR_BYTES_MAX,
                             (long long)length);
    field->max_length = (uint32_t)length;
    return true;
}

static bool capacity_in(fr_milvus_call *call, const char *collection, fr_milvus_field *field)
{
    int64_t capacity;
    if (!fr_milvus_pairs_get(&field->params, "max_capacity")) return missing(call, "max_capacity", "array field", field->name, collection);
    if (!number_in(call, field, "max_capacity", &capacity)) return false;
    if (capacity < 1 || capacity > CAPACITY_MAX) return fr_milvus_bad(call, "the maximum capacity specified for a Array should be in (0, %d]", CAPACITY_MAX);
    field->max_capacity = (uint32_t)capacity;
    return true;
}

static bool element_in(fr_milvus_call *call, const fr_milvus_field *field)
{
    if (field->element_type == MILVUS_TYPE_STRING) return fr_milvus_bad(call, "string data type not supported yet, please use VarChar type instead");
    if (field->element_type == 0) return fr_milvus_bad(call, "element data type None is not valid");
    return is_scalar(field->element_type) || fr_milvus_bad(call, "element type %s is not supported", fr_milvus_type_name(field->element_type));
}

static bool type_in(fr_milvus_call *call, const char *collection, fr_milvus_field *field)
{
    if (is_vector(field->type)) return vector_in(call, field);
    if (field->type == FR_TYPE_VARCHAR) return length_in(call, collection, field);
    if (is_scalar(field->type) || field->type == FR_TYPE_JSON) return true;
    if (field->type == MILVUS_TYPE_STRING) return fr_milvus_bad(call, "string data type not supported yet, please use VarChar type instead");
    if (field->type == 0) return fr_milvus_bad(call, "data type None is not valid");
    if (field->type != FR_TYPE_ARRAY) return fr_milvus_bad(call, "field %s: data type %s is not supported", field->name, fr_milvus_type_name(field->type));
    if (!element_in(call, field)) return false;
    if (field->element_type == FR_TYPE_VARCHAR && !length_in(call, collection, field)) return false;
    return capacity_in(call, collection, field);
}

/* Clients that guess a number's width from the number say Int64 or Double for every one: taken where it fits. */
static bool default_fits(fr_milvus_call *call, const fr_milvus_field *field, const Milvus__ValueField *in)
{
    int32_t type = field->type;
    const char *given = NULL, *named = fr_milvus_type_name(type);
    if (field->primary) return fr_milvus_bad(call, "primary field not support default_value, type:%s, name:%s", named, field->name);
    if (type == FR_TYPE_ARRAY || type == FR_TYPE_JSON || is_vector(type))
        return fr_milvus_bad(call, "type not support default_value, type:%s, name:%s", named, field->name);
    switch (in->data_case) {
    case MILVUS__VALUE_FIELD__DATA_BOOL_DATA: given = type == FR_TYPE_BOOL ? NULL : "DataType_Bool"; break;
    case MILVUS__VALUE_FIELD__DATA_INT_DATA: given = type >= FR_TYPE_INT8 && type <= FR_TYPE_INT32 ? NULL : "DataType_Int"; break;
    case MILVUS__VALUE_FIELD__DATA_LONG_DATA: given = type >= FR_TYPE_INT8 && type <= FR_TYPE_INT64 ? NULL : "DataType_Int64"; break;
    case MILVUS__VALUE_FIELD__DATA_FLOAT_DATA: given = type == FR_TYPE_FLOAT || type == FR_TYPE_DOUBLE ? NULL : "DataType_Float"; break;
    case MILVUS__VALUE_FIELD__DATA_DOUBLE_DATA: given = type == FR_TYPE_DOUBLE || type == FR_TYPE_FLOAT ? NULL : "DataType_Double"; break;
    case MILVUS__VALUE_FIELD__DATA_STRING_DATA: given = type == FR_TYPE_VARCHAR ? NULL : "DataType_VarChar"; break;
    default: given = "unknown"; break;
    }
    if (given) return fr_milvus_bad(call, "type (%s) of field (%s) is not equal to the type(%s) of default_value", named, field->name, given);
    int64_t most = type == FR_TYPE_INT8 ? INT8_MAX : type == FR_TYPE_INT16 ? INT16_MAX : type == FR_TYPE_INT32 ? INT32_MAX : INT64_MAX;
    int64_t number = in->data_case == MILVUS__VALUE_FIELD__DATA_INT_DATA    ? in->int_data
                     : in->data_case == MILVUS__VALUE_FIELD__DATA_LONG_DATA ? in->long_data
                                                                            : 0;
    if (number > most || number < -most - 1) {
        fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "default value out of range: invalid parameter[%lld out of range %lld <= value <= %lld]",
                       (long long)number, (long long)(-most - 1), (long long)most);
        return false;
    }
    if (in->data_case == MILVUS__VALUE_FIELD__DATA_STRING_DATA && in->string_data.len > field->max_length) {
        fr_milvus_fail(call, MILVUS_INVALID_PARAMETER,
                       "the length (%zu) of string exceeds max length (%u): "
                       "invalid parameter[expected=valid length string][actual=string length exceeds max length]", in->string_data.len, field->max_length);
        return false;
    }
    return true;
}

static bool default_in(fr_milvus_call *call, fr_milvus_schema *schema, fr_milvus_field *field, const Milvus__ValueField *in)
{
    fr_doc_builder b = {0};
    fr_span bytes;
    if (in->data_case == MILVUS__VALUE_FIELD__DATA__NOT_SET) return true;
    if (!default_fits(call, field, in)) return false;
    switch (in->data_case) {
    case MILVUS__VALUE_FIELD__DATA_BOOL_DATA: fr_doc_put_bool(&b, in->bool_data); break;
    case MILVUS__VALUE_FIELD__DATA_INT_DATA: fr_doc_put_int(&b, in->int_data); break;
    case MILVUS__VALUE_FIELD__DATA_LONG_DATA: fr_doc_put_int(&b, in->long_data); break;
    case MILVUS__VALUE_FIELD__DATA_FLOAT_DATA: fr_doc_put_float(&b, (double)in->float_data); break;
    case MILVUS__VALUE_FIELD__DATA_DOUBLE_DATA: fr_doc_put_float(&b, in->double_data); break;
    default: fr_doc_put_string(&b, in->string_data.data, in->string_data.len); break;
    }
    fr_code code = fr_doc_finish(&b, &bytes);
    if (code == FR_OK) code = fr_doc_check(bytes, NULL);
    if (code == FR_OK) field->default_value = (fr_doc){fr_arena_copy(&schema->arena, bytes.data, bytes.size)};
    fr_doc_free(&b);
    if (code == FR_OK && field->default_value.data) return true;
    return fr_milvus_bad(call, "the default value of field %s is not finite, or not UTF-8", field->name);
}

static bool rules_hold(fr_milvus_call *call, const fr_milvus_field *field)
{
    if (field->primary && field->nullable)
        return fr_milvus_bad(call, "primary field not support null, type:%s, name:%s", fr_milvus_type_name(field->type), field->name);
    return true;
}

static void def_fill(const fr_milvus_field *field, fr_field_def *def)
{
    *def = (fr_field_def){.type = (fr_type)field->type, .dimension = field->dimension, .max_length = field->primary ? 0 : field->max_length,
                          .element_type = (fr_type)field->element_type, .max_capacity = field->max_capacity, .primary = field->primary,
                          .nullable = field->nullable || field->type == FR_TYPE_VECTOR_SPARSE, /* one without pairs is none there */
                          .metric = field->metric};
    snprintf(def->name, sizeof def->name, "%s", field->name);
}

bool fr_milvus_field_in(fr_milvus_call *call, fr_milvus_schema *schema, const Milvus__FieldSchema *in, fr_field_def *def_out)
{
    if (schema->field_count >= FR_FIELDS_MAX) return fr_milvus_bad(call, "maximum field's number should be limited to %u", FR_FIELDS_MAX);
    if (!fr_milvus_name_ok(call, MILVUS_NAMED_FIELD, in->name)) return false;
    if (fr_milvus_field_of(schema, in->name)) return fr_milvus_bad(call, "duplicated field name %s found", in->name);
    fr_milvus_field *fields = fr_milvus_grown(schema, schema->fields, schema->field_count, sizeof *fields);
    if (!fields) return no_memory(call);
    fr_milvus_field *field = &fields[schema->field_count];
    *field = (fr_milvus_field){.id = schema->next_field_id, .name = fr_milvus_kept(schema, in->name),
                               .description = fr_milvus_kept(schema, in->description), .type = in->data_type, .element_type = in->element_type,
                               .primary = in->is_primary_key, .auto_id = in->autoid, .nullable = in->nullable,
                               .partition_key = in->is_partition_key, .clustering_key = in->is_clustering_key,
                               .vector = -1}; /* functions say what they make, not the client */
    if (fr_milvus_pairs_in(schema, &field->params, in->type_params, in->n_type_params) != FR_OK) return no_memory(call);
    if (!type_in(call, schema->name ? schema->name : "", field) || !rules_hold(call, field)) return false;
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
