/* call_schema.c: a collection's fields in JSON: "fields" of its creation and of what is shown of it. */
#include "api/http/http_private.h"

#include <stdio.h>

const fr_in_field fr_in_schema[] = {
    {"name", FR_IN_STRING, true, 0, 0, NULL, "1 to 63 bytes; not beginning with $"},
    {"type", FR_IN_STRING, true, 0, 0, "vector|bool|int8|int16|int32|int64|float|double|varchar|array|json", "scalars stand in a record's metadata"},
    {"primary", FR_IN_BOOL, false, 0, 0, NULL, "int64 or varchar: the id's name; default: a field \"id\""},
    {"nullable", FR_IN_BOOL, false, 0, 0, NULL, "may be missing or null; default false"},
    {"max_length", FR_IN_INT, false, 1, FR_METADATA_BYTES_MAX, NULL, "varchar: bytes"},
    {"element_type", FR_IN_STRING, false, 0, 0, "bool|int8|int16|int32|int64|float|double|varchar", "array"},
    {"max_capacity", FR_IN_INT, false, 1, FR_METADATA_BYTES_MAX, NULL, "array: elements"},
    {"dimension", FR_IN_INT, false, 1, FR_DIMENSION_BITS_MAX, NULL, "vector, but for sparse ones"},
    {"vector_type", FR_IN_STRING, false, 0, 0, "f32|f16|bf16|int8|binary|sparse", "vector; default f32"},
    {"metric", FR_IN_STRING, false, 0, 0, "l2|ip|cosine|hamming|jaccard|bm25", "vector; default cosine; binary: hamming; sparse: ip"},
    {"codes", FR_IN_STRING, false, 0, 0, "sq8|none", "vector; default sq8"},
    {"profile", FR_IN_STRING, false, 0, 0, "balanced|speed|compact", "vector; default balanced"},
    {"vectors", FR_IN_STRING, false, 0, 0, "memory|disk", "vector: where originals live"},
    {"m", FR_IN_INT, false, 2, 32, NULL, "vector: links per row, default 16, compact 10"},
    {"ef_construction", FR_IN_INT, false, 8, 4096, NULL, "vector; default 100"},
};
const size_t fr_in_schema_count = FR_COUNT_OF(fr_in_schema);
enum { FIRST_OF_SCALARS = 4, FIRST_OF_VECTORS = 7 }; /* places in the table above: what only one kind of field has */

static const struct { const char *name; fr_type type; } vector_types[] = {
    {"f32", FR_TYPE_VECTOR_F32}, {"f16", FR_TYPE_VECTOR_F16}, {"bf16", FR_TYPE_VECTOR_BF16}, {"int8", FR_TYPE_VECTOR_I8},
    {"binary", FR_TYPE_VECTOR_BINARY}, {"sparse", FR_TYPE_VECTOR_SPARSE}};
static const struct { const char *name; fr_type type; } scalar_types[] = {
    {"bool", FR_TYPE_BOOL},     {"int8", FR_TYPE_INT8},     {"int16", FR_TYPE_INT16},     {"int32", FR_TYPE_INT32}, {"int64", FR_TYPE_INT64},
    {"float", FR_TYPE_FLOAT},   {"double", FR_TYPE_DOUBLE}, {"varchar", FR_TYPE_VARCHAR}, {"array", FR_TYPE_ARRAY}, {"json", FR_TYPE_JSON}};
static const char *const metrics[] = {"l2", "ip", "cosine", "hamming", "jaccard", "bm25"};
static const char *const profiles[] = {"balanced", "speed", "compact"};

/* ---- names ---- */

const char *fr_http_metric_text(fr_metric metric) { return (size_t)metric < FR_COUNT_OF(metrics) ? metrics[metric] : "?"; }

const char *fr_http_profile_text(fr_profile profile) { return (size_t)profile < FR_COUNT_OF(profiles) ? profiles[profile] : "?"; }

const char *fr_http_vector_type_text(fr_type type)
{
    for (size_t i = 0; i < FR_COUNT_OF(vector_types); i++)
        if (vector_types[i].type == type) return vector_types[i].name;
    return "?";
}

static const char *scalar_type_text(fr_type type)
{
    for (size_t i = 0; i < FR_COUNT_OF(scalar_types); i++)
        if (scalar_types[i].type == type) return scalar_types[i].name;
    return "?";
}

const char *fr_http_vectors_text(const fr_field_def *field)
{
    fr_vectors_at at = field->vectors;
    if (field->type == FR_TYPE_VECTOR_BINARY || field->type == FR_TYPE_VECTOR_SPARSE) return "memory"; /* they are their own codes */
    if (at == FR_VECTORS_AUTO) at = field->profile == FR_PROFILE_SPEED ? FR_VECTORS_MEMORY : FR_VECTORS_DISK; /* as what it means */
    return at == FR_VECTORS_MEMORY ? "memory" : "disk";
}

const char *fr_http_codes_text(const fr_field_def *field)
{
    bool own = field->type == FR_TYPE_VECTOR_BINARY || field->type == FR_TYPE_VECTOR_SPARSE;
    return field->codes == FR_CODES_SQ8 && !own ? "sq8" : "none";
}

/* ---- in ---- */

static fr_type scalar_type_in(fr_doc body, const char *name)
{
    for (size_t i = 0; i < FR_COUNT_OF(scalar_types); i++)
        if (fr_http_field_is(body, name, scalar_types[i].name)) return scalar_types[i].type;
    return FR_TYPE_NONE;
}

void fr_http_vector_in(fr_doc body, fr_field_def *out)
{
    out->type = FR_TYPE_VECTOR_F32;
    for (size_t i = 0; i < FR_COUNT_OF(vector_types); i++)
        if (fr_http_field_is(body, "vector_type", vector_types[i].name)) out->type = vector_types[i].type;
    out->metric = out->type == FR_TYPE_VECTOR_BINARY ? FR_METRIC_HAMMING : out->type == FR_TYPE_VECTOR_SPARSE ? FR_METRIC_IP : FR_METRIC_COSINE;
    for (size_t i = 0; i < FR_COUNT_OF(metrics); i++)
        if (fr_http_field_is(body, "metric", metrics[i])) out->metric = (fr_metric)i;
    out->dimension = (uint32_t)fr_http_field_int(body, "dimension", 0);
    out->codes = fr_http_field_is(body, "codes", "none") ? FR_CODES_NONE : FR_CODES_SQ8;
    for (size_t i = 0; i < FR_COUNT_OF(profiles); i++)
        if (fr_http_field_is(body, "profile", profiles[i])) out->profile = (fr_profile)i;
    out->vectors = fr_http_field_is(body, "vectors", "memory") ? FR_VECTORS_MEMORY
                   : fr_http_field_is(body, "vectors", "disk") ? FR_VECTORS_DISK : FR_VECTORS_AUTO;
    out->m = (uint32_t)fr_http_field_int(body, "m", 0);
    out->ef_construction = (uint32_t)fr_http_field_int(body, "ef_construction", 0);
}

static fr_code inner_fail(fr_http_call *call, uint32_t at, const char *name, const char *why)
{
    char field[sizeof call->err.field];
    snprintf(field, sizeof field, "fields[%u].%.40s", at, name);
    return fr_fail(&call->err, FR_ERR_INVALID, field, "%s", why);
}

static fr_code field_in(fr_http_call *call, fr_doc given, uint32_t at, fr_field_def *out)
{
    char place[24];
    snprintf(place, sizeof place, "fields[%u]", at);
    if (fr_doc_type(given) != FR_DOC_OBJECT) return fr_fail(&call->err, FR_ERR_INVALID, place, "must be an object");
    fr_code code = fr_http_fields_check(fr_in_schema, fr_in_schema_count, given, &call->err);
    if (code != FR_OK) {
        char inner[sizeof call->err.field];
        snprintf(inner, sizeof inner, "%.16s.%.40s", place, call->err.field);
        memcpy(call->err.field, inner, sizeof inner);
        return code;
    }
    bool vector = fr_http_field_is(given, "type", "vector");
    for (size_t i = vector ? FIRST_OF_SCALARS : FIRST_OF_VECTORS; i < (vector ? (size_t)FIRST_OF_VECTORS : fr_in_schema_count); i++)
        if (fr_http_field(given, fr_in_schema[i].name).data)
            return inner_fail(call, at, fr_in_schema[i].name, vector ? "has no meaning for a vector field" : "has a meaning for vector fields only");
    fr_span name = fr_doc_string(fr_http_field(given, "name"));
    if (name.size < 1 || name.size >= sizeof out->name || memchr(name.data, 0, name.size))
        return inner_fail(call, at, "name", "must have 1 to 63 bytes without NUL");
    *out = (fr_field_def){.primary = fr_http_field_bool(given, "primary", false), .nullable = fr_http_field_bool(given, "nullable", false)};
    memcpy(out->name, name.data, name.size);
    if (vector && out->primary) return inner_fail(call, at, "primary", "a vector is no primary key");
    if (vector) {
        fr_http_vector_in(given, out);
        if (!out->dimension && out->type != FR_TYPE_VECTOR_SPARSE) return inner_fail(call, at, "dimension", "is missing");
        return FR_OK;
    }
    out->type = scalar_type_in(given, "type");
    out->element_type = scalar_type_in(given, "element_type");
    out->max_length = (uint32_t)fr_http_field_int(given, "max_length", 0);
    out->max_capacity = (uint32_t)fr_http_field_int(given, "max_capacity", 0);
    if (out->type == FR_TYPE_ARRAY && out->element_type == FR_TYPE_NONE) return inner_fail(call, at, "element_type", "is missing");
    return FR_OK;
}

fr_code fr_http_schema_in(fr_http_call *call, fr_collection_def *def)
{
    fr_doc list = fr_http_field(call->rest, "fields"), given;
    bool primary = false;
    for (size_t i = FIRST_OF_VECTORS; i < fr_in_schema_count; i++)
        if (fr_http_field(call->rest, fr_in_schema[i].name).data)
            return fr_fail(&call->err, FR_ERR_INVALID, fr_in_schema[i].name, "is given with each vector field in \"fields\"");
    if (fr_doc_count(list) > FR_FIELDS_MAX - 1)
        return fr_fail(&call->err, FR_ERR_TOO_LARGE, "fields", "names %u fields, at most %u are possible", fr_doc_count(list), FR_FIELDS_MAX - 1);
    def->field_count = 1; /* the first is the key */
    def->fields[0] = (fr_field_def){.name = "id", .type = def->id_type == FR_ID_INT64 ? FR_TYPE_INT64 : FR_TYPE_VARCHAR, .primary = true};
    fr_doc_iter iter = fr_doc_begin(list);
    for (uint32_t i = 0; fr_doc_next(&iter, NULL, &given); i++) {
        fr_field_def *field = &def->fields[def->field_count];
        FR_TRY(field_in(call, given, i, field));
        if (field->type >= FR_TYPE_VECTOR_BINARY && !def->dimension) def->dimension = field->dimension; /* the embedder's */
        if (!field->primary) {
            def->field_count++;
            continue;
        }
        if (primary) return inner_fail(call, i, "primary", "a collection has one primary key");
        if (def->id_type != FR_ID_ANY && (def->id_type == FR_ID_INT64) != (field->type == FR_TYPE_INT64))
            return fr_fail(&call->err, FR_ERR_INVALID, "id_type", "is not the primary field's type");
        if (def->id_type == FR_ID_ANY) def->id_type = field->type == FR_TYPE_INT64 ? FR_ID_INT64 : FR_ID_STRING;
        primary = true;
        def->fields[0] = *field;
    }
    def->no_dynamic = !fr_http_field_bool(call->rest, "dynamic", true);
    return FR_OK;
}

/* The engine's fields begin with the key; an error names the place in the list that was given. */
void fr_http_schema_blame(const fr_http_call *call, fr_err *err)
{
    fr_doc list = fr_http_field(call->rest, "fields"), given;
    unsigned at = 0;
    int used = 0;
    if (!list.data || sscanf(err->field, "fields[%u]%n", &at, &used) != 1 || used == 0) return;
    fr_doc_iter iter = fr_doc_begin(list);
    for (unsigned i = 0, others = 0; fr_doc_next(&iter, NULL, &given); i++) {
        bool primary = fr_http_field_bool(given, "primary", false);
        if (primary ? at != 0 : ++others != at) continue;
        char field[sizeof err->field];
        snprintf(field, sizeof field, "fields[%u]%.40s", i, err->field + used);
        memcpy(err->field, field, sizeof field);
        return;
    }
}

/* ---- out ---- */

static void number_out(fr_out *out, const char *name, uint32_t value)
{
    if (!value) return;
    fr_out_key(out, name);
    fr_out_uint(out, value);
}

static void text_out(fr_out *out, const char *name, const char *text)
{
    fr_out_key(out, name);
    fr_out_cstring(out, text);
}

static void field_out(fr_out *out, const fr_field_def *field)
{
    bool vector = field->type >= FR_TYPE_VECTOR_BINARY;
    fr_out_begin(out, '{');
    text_out(out, "name", field->name);
    text_out(out, "type", vector ? "vector" : scalar_type_text(field->type));
    if (field->primary) {
        fr_out_key(out, "primary");
        fr_out_bool(out, true);
    }
    fr_out_key(out, "nullable");
    fr_out_bool(out, field->nullable);
    number_out(out, "max_length", field->max_length);
    if (field->type == FR_TYPE_ARRAY) text_out(out, "element_type", scalar_type_text(field->element_type));
    number_out(out, "max_capacity", field->max_capacity);
    if (vector) {
        number_out(out, "dimension", field->dimension);
        text_out(out, "vector_type", fr_http_vector_type_text(field->type));
        text_out(out, "metric", fr_http_metric_text(field->metric));
        text_out(out, "codes", fr_http_codes_text(field));
        text_out(out, "profile", fr_http_profile_text(field->profile));
        text_out(out, "vectors", fr_http_vectors_text(field));
        number_out(out, "m", field->m);
        number_out(out, "ef_construction", field->ef_construction);
    }
    fr_out_end(out, '}');
}

void fr_http_schema_out(fr_out *out, const fr_collection_info *info)
{
    fr_out_key(out, "fields");
    fr_out_begin(out, '[');
    for (uint32_t i = 0; i < info->def.field_count; i++)
        if (info->def.fields[i].id != FR_FIELD_DYNAMIC) field_out(out, &info->def.fields[i]);
    fr_out_end(out, ']');
    fr_out_key(out, "dynamic");
    fr_out_bool(out, !info->def.no_dynamic);
}
