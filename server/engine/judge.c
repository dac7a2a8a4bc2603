/* judge.c: is a record one of the collection's? The verdict depends on the record, its place and the schema only. */
#include "server/engine/engine.h"

#include "simd/simd.h"

#include <math.h>
#include <stdio.h>

static bool canonical_int(fr_span key)
{
    const char *at = key.data;
    size_t size = key.size;
    bool minus = size > 0 && at[0] == '-';
    if (minus) at++, size--;
    if (size == 0 || size > 19) return false;
    if (at[0] == '0') return size == 1 && !minus;
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        if (at[i] < '0' || at[i] > '9') return false;
        value = value * 10 + (uint64_t)(at[i] - '0'); /* 19 digits fit in 64 bits */
    }
    return value <= (uint64_t)INT64_MAX + (minus ? 1 : 0);
}

fr_code fr_engine_judge_key(const fr_collection_def *def, fr_span key, bool key_is_int, uint32_t index, fr_err *err)
{
    const char *wrong = NULL;
    if (key.size == 0 || key.size > FR_KEY_BYTES_MAX) wrong = "an id has 1 to 512 bytes";
    else if (!fr_utf8_valid(key.data, key.size)) wrong = "an id must be valid UTF-8";
    else if (key_is_int && !canonical_int(key)) wrong = "an integer id must be a 64-bit integer in canonical decimal";
    else if (def->id_type == FR_ID_STRING && key_is_int) wrong = "the collection's ids are strings";
    else if (def->id_type == FR_ID_INT64 && !canonical_int(key)) wrong = "the collection's ids are 64-bit integers";
    if (wrong == NULL) return FR_OK;
    char field[48];
    snprintf(field, sizeof field, "records[%u].id", index);
    return fr_fail(err, FR_ERR_INVALID, field, "%s", wrong);
}

static fr_code judge_numbers(const fr_field_def *def, fr_type type, fr_span bytes, bool directed, const char *field, fr_err *err)
{
    if (bytes.size != fr_vector_bytes(type, def->dimension))
        return fr_fail(err, FR_ERR_INVALID, field, "the vector has %zu dimensions, the collection %u",
                       bytes.size / fr_vector_bytes(type, 1), def->dimension);
    const uint8_t *vector = bytes.data;
    float piece[256], packed[256];
    double norm_squared = 0;
    for (uint32_t at = 0; at < def->dimension; at += FR_COUNT_OF(piece)) { /* by pieces: the bytes may not be aligned */
        uint32_t count = (uint32_t)FR_MIN(def->dimension - at, FR_COUNT_OF(piece));
        const float *from = piece;
        if (type == FR_TYPE_VECTOR_F32 && ((uintptr_t)vector & 3u) == 0) from = (const float *)bytes.data + at;
        else fr_vector_unpack(type, vector + fr_vector_bytes(type, at), count, piece);
        if (!fr_simd_all_finite(from, count))
            return fr_fail(err, FR_ERR_INVALID, field, "the vector holds NaN or a number beyond its type");
        if (type != def->type) { /* the zero test is of what is kept */
            FR_TRY(fr_vector_pack(def->type, from, count, packed, field, err));
            fr_vector_unpack(def->type, packed, count, piece);
            from = piece;
        }
        norm_squared += fr_simd_norm_squared(from, count);
    }
    if (norm_squared > FR_NORM_SQUARED_MAX)
        return fr_fail(err, FR_ERR_INVALID, field, "the vector's squared length is above %g", FR_NORM_SQUARED_MAX);
    if (directed && def->metric == FR_METRIC_COSINE && norm_squared < 1e-30)
        return fr_fail(err, FR_ERR_INVALID, field, "a zero vector has no direction: not possible under cosine");
    return FR_OK;
}

/* Bits are bits, or numbers that stand for them. */
static fr_code judge_bits(const fr_field_def *def, fr_type type, fr_span bytes, const char *field, fr_err *err)
{
    if (type == FR_TYPE_VECTOR_BINARY)
        return bytes.size == def->dimension / 8
                   ? FR_OK
                   : fr_fail(err, FR_ERR_INVALID, field, "the vector has %zu bytes, the collection's %u bits are %u", bytes.size,
                             def->dimension, def->dimension / 8);
    if (bytes.size != def->dimension * sizeof(float) && bytes.size != def->dimension / 8 * sizeof(float))
        return fr_fail(err, FR_ERR_INVALID, field, "the vector has %zu numbers; %u bits are %u numbers of 0 and 1, or %u bytes",
                       bytes.size / sizeof(float), def->dimension, def->dimension, def->dimension / 8);
    uint8_t *room = fr_alloc(FR_MEM_ENGINE, bytes.size + def->dimension / 8); /* aligned numbers, and where the bits go */
    if (room == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory");
    memcpy(room, bytes.data, bytes.size);
    fr_code code = fr_vector_pack_bits((const float *)(const void *)room, (uint32_t)(bytes.size / sizeof(float)), def->dimension,
                                       room + bytes.size, field, err);
    fr_free(FR_MEM_ENGINE, room);
    return code;
}

static fr_code judge_vector(const fr_field_def *def, const fr_decoded *decoded, bool ordered_anew, uint32_t index, fr_err *err)
{
    char field[96];
    fr_type type;
    fr_span bytes;
    snprintf(field, sizeof field, "records[%u].%s", index, def->name);
    if (!fr_decoded_vector(decoded, def->id, &type, &bytes))
        return def->nullable ? FR_OK : fr_fail(err, FR_ERR_INVALID, field, "a record needs a vector");
    if (type != FR_TYPE_VECTOR_F32 && type != def->type)
        return fr_fail(err, FR_ERR_INVALID, field, "the collection's vectors are of type %u (or %u, 32-bit floats), got type %u",
                       (unsigned)def->type, FR_TYPE_VECTOR_F32, (unsigned)type);
    if (def->type == FR_TYPE_VECTOR_BINARY) return judge_bits(def, type, bytes, field, err);
    if (def->type == FR_TYPE_VECTOR_SPARSE)
        return type == FR_TYPE_VECTOR_SPARSE ? fr_vector_sparse_check(bytes, def->metric, field, err)
                                             : fr_fail(err, FR_ERR_INVALID, field, "a sparse vector is given as pairs");
    return judge_numbers(def, type, bytes, !ordered_anew, field, err);
}

/* ==== scalar fields: they stand in the document ==== */

static fr_code judge_int(const char *field, int64_t low, int64_t high, fr_doc value, fr_err *err)
{
    if (fr_doc_type(value) == FR_DOC_INT && fr_doc_int(value) >= low && fr_doc_int(value) <= high) return FR_OK;
    return fr_fail(err, FR_ERR_INVALID, field, "must be a whole number of %lld to %lld", (long long)low, (long long)high);
}

static fr_code judge_text(const char *field, uint32_t max_length, fr_doc value, fr_err *err)
{
    if (fr_doc_type(value) != FR_DOC_STRING) return fr_fail(err, FR_ERR_INVALID, field, "must be a string");
    size_t size = fr_doc_string(value).size;
    return max_length == 0 || size <= max_length
               ? FR_OK
               : fr_fail(err, FR_ERR_INVALID, field, "has at most %u bytes (max_length), got %zu", max_length, size);
}

static fr_code judge_float(const char *field, bool narrow, fr_doc value, fr_err *err)
{
    fr_doc_tag tag = fr_doc_type(value);
    if (tag != FR_DOC_INT && tag != FR_DOC_FLOAT) return fr_fail(err, FR_ERR_INVALID, field, "must be a number");
    return !narrow || isfinite((float)fr_doc_number(value))
               ? FR_OK
               : fr_fail(err, FR_ERR_INVALID, field, "is beyond a 32-bit float: %.9g", fr_doc_number(value));
}

static fr_code judge_one(const fr_field_def *def, fr_type type, const char *field, fr_doc value, fr_err *err)
{
    switch (type) {
    case FR_TYPE_BOOL:
        return fr_doc_type(value) == FR_DOC_TRUE || fr_doc_type(value) == FR_DOC_FALSE
                   ? FR_OK
                   : fr_fail(err, FR_ERR_INVALID, field, "must be true or false");
    case FR_TYPE_INT8: return judge_int(field, INT8_MIN, INT8_MAX, value, err);
    case FR_TYPE_INT16: return judge_int(field, INT16_MIN, INT16_MAX, value, err);
    case FR_TYPE_INT32: return judge_int(field, INT32_MIN, INT32_MAX, value, err);
    case FR_TYPE_INT64: return judge_int(field, INT64_MIN, INT64_MAX, value, err);
    case FR_TYPE_FLOAT: return judge_float(field, true, value, err);
    case FR_TYPE_DOUBLE: return judge_float(field, false, value, err);
    case FR_TYPE_VARCHAR: return judge_text(field, def->max_length, value, err);
    case FR_TYPE_JSON: return FR_OK;
    default: return fr_fail(err, FR_ERR_INVALID, field, "is of a type that is not known: %d", (int)type);
    }
}

static fr_code judge_array(const fr_field_def *def, const char *field, fr_doc value, fr_err *err)
{
    fr_doc element;
    uint32_t at = 0;
    if (fr_doc_type(value) != FR_DOC_ARRAY) return fr_fail(err, FR_ERR_INVALID, field, "must be an array");
    if (def->max_capacity != 0 && fr_doc_count(value) > def->max_capacity)
        return fr_fail(err, FR_ERR_INVALID, field, "has at most %u elements (max_capacity), got %u", def->max_capacity,
                       fr_doc_count(value));
    fr_doc_iter iter = fr_doc_begin(value);
    while (fr_doc_next(&iter, NULL, &element)) {
        char name[112];
        snprintf(name, sizeof name, "%s[%u]", field, at++);
        FR_TRY(judge_one(def, def->element_type, name, element, err));
    }
    return FR_OK;
}

static fr_code judge_scalar(const fr_field_def *def, fr_doc document, uint32_t index, fr_err *err)
{
    char field[96];
    fr_doc value = fr_doc_get(document, fr_span_text(def->name));
    snprintf(field, sizeof field, "records[%u].%s", index, def->name);
    if (value.data == NULL || fr_doc_type(value) == FR_DOC_NULL)
        return def->nullable ? FR_OK : fr_fail(err, FR_ERR_INVALID, field, "field '%s' is missing or null", def->name);
    return def->type == FR_TYPE_ARRAY ? judge_array(def, field, value, err) : judge_one(def, def->type, field, value, err);
}

static fr_code judge_keys(const fr_schema *schema, fr_doc document, fr_place place, fr_err *err)
{
    fr_span key;
    fr_doc value;
    fr_doc_iter iter = fr_doc_begin(document);
    while (fr_doc_next(&iter, &key, &value)) {
        if (key.size != 0 && *(const char *)key.data == '$') continue; /* a door's */
        const fr_field_def *field = fr_schema_field(schema, key);
        if (field != NULL && fr_field_is_scalar(field)) continue;
        const fr_offset *until = fr_schema_until(schema, key);
        if (until != NULL && place.offset < until[place.partition]) continue;
        char name[96];
        snprintf(name, sizeof name, "records[%u].%.*s", place.index, (int)FR_MIN(key.size, 40u), (const char *)key.data);
        return fr_fail(err, FR_ERR_INVALID, name, "the collection has no field '%.*s', and takes declared fields only",
                       (int)FR_MIN(key.size, 64u), (const char *)key.data);
    }
    return FR_OK;
}

static fr_code judge_document(const fr_schema *schema, const fr_decoded *decoded, fr_place place, fr_err *err)
{
    fr_doc document = fr_doc_root(decoded->metadata);
    for (uint32_t i = 0; i < schema->def.field_count; i++) {
        const fr_field_def *f = &schema->def.fields[i];
        if (!fr_field_is_scalar(f)) continue;
        const fr_offset *since = schema->life_count != 0 ? fr_schema_since(schema, f->name) : NULL;
        if (since != NULL && place.offset < since[place.partition]) continue;
        FR_TRY(judge_scalar(f, document, place.index, err));
    }
    return schema->def.no_dynamic ? judge_keys(schema, document, place, err) : FR_OK;
}

static bool knows_vector(const fr_schema *schema, uint16_t field)
{
    for (uint32_t i = 0; i < schema->vector_count; i++)
        if (schema->vectors[i]->id == field) return true;
    return false;
}

/* What the rest of the record does not matter for. */
static fr_code judge_frame(const fr_schema *schema, const fr_decoded *decoded, uint32_t index, fr_err *err)
{
    char field[48];
    if (decoded->schema_version != FR_SCHEMA_VERSION)
        return fr_fail(err, FR_ERR_INVALID, "records", "schema version %u is not known", decoded->schema_version);
    for (uint32_t i = 0; i < decoded->vector_count; i++)
        if (!knows_vector(schema, decoded->vectors[i].field))
            return fr_fail(err, FR_ERR_INVALID, "records", "the collection has no field %u", decoded->vectors[i].field);
    if (decoded->metadata.data != NULL && decoded->metadata.size != 0) {
        snprintf(field, sizeof field, "records[%u].metadata", index);
        if (decoded->metadata.size > FR_METADATA_BYTES_MAX)
            return fr_fail(err, FR_ERR_INVALID, field, "metadata has at most %u bytes, got %zu", FR_METADATA_BYTES_MAX,
                           decoded->metadata.size);
        fr_err inner = {0};
        if (decoded->metadata_type != FR_TYPE_JSON || fr_doc_check(decoded->metadata, &inner) != FR_OK)
            return fr_fail(err, FR_ERR_INVALID, field, "metadata is not a valid document: %s", inner.text);
        if (fr_doc_type(fr_doc_root(decoded->metadata)) != FR_DOC_OBJECT)
            return fr_fail(err, FR_ERR_INVALID, field, "metadata must be a JSON object");
    }
    return FR_OK;
}

fr_code fr_engine_judge_part(const fr_schema *schema, const fr_decoded *decoded, uint32_t index, fr_err *err)
{
    fr_type type;
    fr_span bytes;
    for (uint32_t i = 0; i < schema->vector_count; i++)
        if (fr_decoded_vector(decoded, schema->vectors[i]->id, &type, &bytes))
            FR_TRY(judge_vector(schema->vectors[i], decoded, false, index, err));
    return judge_frame(schema, decoded, index, err);
}

fr_code fr_engine_judge(const fr_schema *schema, const fr_decoded *decoded, fr_place place, fr_err *err)
{
    for (uint32_t i = 0; i < schema->vector_count; i++) {
        /* Records of before an index was ordered anew may hold what its new metric would refuse: apply makes rows without it. */
        bool ordered_anew = place.offset != FR_PLACE_NEW && schema->builds[i] != 0;
        FR_TRY(judge_vector(schema->vectors[i], decoded, ordered_anew, place.index, err));
    }
    FR_TRY(judge_frame(schema, decoded, place.index, err));
    return schema->typed ? judge_document(schema, decoded, place, err) : FR_OK;
}
