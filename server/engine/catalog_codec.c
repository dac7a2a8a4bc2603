/* catalog_codec.c: the documents of the catalog's records: a collection's or topic's definition, both ways. What a field of an earlier
 * version lacks has its old meaning. */
#include "server/engine/engine.h"

#include <stdio.h>

static void put_text(fr_doc_builder *b, const char *key, const char *text)
{
    fr_doc_put_key(b, key, strlen(key));
    fr_doc_put_string(b, text, strlen(text));
}

static void put_int(fr_doc_builder *b, const char *key, int64_t value)
{
    fr_doc_put_key(b, key, strlen(key));
    fr_doc_put_int(b, value);
}

static void encode_spec(fr_doc_builder *b, const fr_topic_spec *spec)
{
    static const char digits[] = "0123456789abcdef";
    char uuid[33] = "";
    const char *name, *value;
    for (uint32_t i = 0; i < 16; i++) {
        uuid[i * 2] = digits[spec->uuid[i] >> 4];
        uuid[i * 2 + 1] = digits[spec->uuid[i] & 15];
    }
    put_int(b, "kind", (int64_t)spec->kind);
    put_text(b, "uuid", uuid);
    fr_doc_put_key(b, "configs", 7);
    fr_doc_begin_object(b);
    for (size_t at = 0; fr_configs_next(&spec->configs, &at, &name, &value);) put_text(b, name, value);
    fr_doc_end_object(b);
}

static void put_float(fr_doc_builder *b, const char *key, double value)
{
    fr_doc_put_key(b, key, strlen(key));
    fr_doc_put_float(b, value);
}

static void encode_field(fr_doc_builder *b, const fr_field_def *f, uint32_t builds)
{
    fr_doc_begin_object(b);
    put_int(b, "id", f->id);
    put_text(b, "name", f->name);
    put_int(b, "type", (int64_t)f->type);
    put_int(b, "dimension", f->dimension);
    put_int(b, "max_length", f->max_length);
    put_int(b, "element_type", (int64_t)f->element_type);
    put_int(b, "max_capacity", f->max_capacity);
    put_int(b, "primary", f->primary);
    put_int(b, "nullable", f->nullable);
    put_int(b, "metric", (int64_t)f->metric);
    put_float(b, "bm25_k1", (double)f->bm25_k1);
    put_float(b, "bm25_b", (double)f->bm25_b);
    put_int(b, "codes", (int64_t)f->codes);
    put_int(b, "m", f->m);
    put_int(b, "ef_construction", f->ef_construction);
    put_int(b, "profile", (int64_t)f->profile);
    put_int(b, "vectors", (int64_t)f->vectors);
    put_int(b, "builds", builds);
    fr_doc_end_object(b);
}

static void encode_lives(fr_doc_builder *b, const fr_schema *schema, uint32_t partitions)
{
    fr_doc_put_key(b, "lives", 5);
    fr_doc_begin_array(b);
    for (uint32_t i = 0; i < schema->life_count; i++) {
        fr_doc_begin_object(b);
        put_text(b, "name", schema->lives[i].name);
        put_int(b, "dropped", schema->lives[i].dropped);
        fr_doc_put_key(b, "at", 2);
        fr_doc_begin_array(b);
        for (uint32_t p = 0; p < partitions; p++) fr_doc_put_int(b, schema->lives[i].at[p]);
        fr_doc_end_array(b);
        fr_doc_end_object(b);
    }
    fr_doc_end_array(b);
}

void fr_codec_put_collection(fr_doc_builder *b, fr_id id, const fr_schema *schema, const fr_topic_spec *spec, uint32_t partitions,
                             int64_t created_ms)
{
    const fr_collection_def *def = &schema->def;
    fr_doc_begin_object(b);
    put_int(b, "id", (int64_t)id);
    put_text(b, "database", def->database);
    put_text(b, "name", def->name);
    put_int(b, "id_type", (int64_t)def->id_type);
    encode_spec(b, spec);
    put_int(b, "partitions", partitions);
    put_int(b, "drop_stale", def->drop_stale);
    put_int(b, "no_dynamic", def->no_dynamic);
    put_text(b, "embedder", def->embedder);
    put_int(b, "created_ms", created_ms);
    put_int(b, "next_field", schema->next_field);
    fr_doc_put_key(b, "indexed", 7);
    fr_doc_begin_array(b);
    for (uint32_t i = 0; i < def->indexed_count; i++) fr_doc_put_string(b, def->indexed[i], strlen(def->indexed[i]));
    fr_doc_end_array(b);
    if (schema->life_count != 0) encode_lives(b, schema, partitions);
    fr_doc_put_key(b, "fields", 6);
    fr_doc_begin_array(b);
    for (uint32_t i = 0, vector = 0; i < def->field_count; i++) {
        bool is_vector = vector < schema->vector_count && schema->vectors[vector] == &def->fields[i];
        encode_field(b, &def->fields[i], is_vector ? schema->builds[vector++] : 0);
    }
    fr_doc_end_array(b);
    fr_doc_end_object(b);
}

bool fr_codec_int(fr_doc object, const char *key, int64_t low, int64_t high, int64_t *out)
{
    fr_doc value = fr_doc_get(object, fr_span_text(key));
    if (value.data == NULL || fr_doc_type(value) != FR_DOC_INT) return false;
    *out = fr_doc_int(value);
    return *out >= low && *out <= high;
}

bool fr_codec_text(fr_doc object, const char *key, char *out, size_t size)
{
    fr_doc value = fr_doc_get(object, fr_span_text(key));
    if (value.data == NULL || fr_doc_type(value) != FR_DOC_STRING) return false;
    fr_span text = fr_doc_string(value);
    if (text.size >= size || memchr(text.data, 0, text.size) != NULL) return false;
    memcpy(out, text.data, text.size);
    out[text.size] = 0;
    return true;
}

/* Absent in records of earlier versions: then 0. */
static bool later_int(fr_doc object, const char *key, int64_t high, int64_t *out)
{
    *out = 0;
    return fr_doc_get(object, fr_span_text(key)).data == NULL || fr_codec_int(object, key, 0, high, out);
}

static bool later_float(fr_doc object, const char *key, float *out)
{
    fr_doc value = fr_doc_get(object, fr_span_text(key));
    *out = 0;
    if (value.data == NULL) return true;
    if (fr_doc_type(value) != FR_DOC_INT && fr_doc_type(value) != FR_DOC_FLOAT) return false;
    *out = (float)fr_doc_number(value);
    return true;
}

static bool decode_field(fr_doc object, fr_field_def *out, int64_t *builds_out)
{
    int64_t id, type, dimension, max_length, element, capacity, primary, nullable, metric, codes, m, ef, profile, vectors;
    *out = (fr_field_def){.id = 0};
    if (!fr_codec_int(object, "id", 1, FR_FIELD_DYNAMIC, &id) || !fr_codec_text(object, "name", out->name, sizeof out->name) ||
        !fr_codec_int(object, "type", 0, 200, &type) || !fr_codec_int(object, "dimension", 0, FR_DIMENSION_BITS_MAX, &dimension) ||
        !fr_codec_int(object, "max_length", 0, UINT32_MAX, &max_length) || !fr_codec_int(object, "primary", 0, 1, &primary) ||
        !fr_codec_int(object, "nullable", 0, 1, &nullable) || !fr_codec_int(object, "metric", 0, FR_METRIC_BM25, &metric) ||
        !fr_codec_int(object, "codes", 0, FR_CODES_NONE, &codes) || !fr_codec_int(object, "m", 0, FR_M_MAX, &m) ||
        !fr_codec_int(object, "ef_construction", 0, FR_EF_CONSTRUCTION_MAX, &ef) ||
        !later_int(object, "profile", FR_PROFILE_COMPACT, &profile) || !later_int(object, "vectors", FR_VECTORS_DISK, &vectors) ||
        !later_int(object, "element_type", 200, &element) || !later_int(object, "max_capacity", UINT32_MAX, &capacity) ||
        !later_float(object, "bm25_k1", &out->bm25_k1) || !later_float(object, "bm25_b", &out->bm25_b) ||
        !later_int(object, "builds", UINT8_MAX, builds_out))
        return false;
    out->id = (uint16_t)id;
    out->type = (fr_type)type;
    out->dimension = (uint32_t)dimension;
    out->max_length = (uint32_t)max_length;
    out->element_type = (fr_type)element;
    out->max_capacity = (uint32_t)capacity;
    out->primary = primary != 0;
    out->nullable = nullable != 0;
    out->metric = (fr_metric)metric;
    out->codes = (fr_codes)codes;
    out->m = (uint32_t)m;
    out->ef_construction = (uint32_t)ef;
    out->profile = (fr_profile)profile;
    out->vectors = (fr_vectors_at)vectors;
    return true;
}

static bool hex_digit(char c, uint8_t *out)
{
    if (c >= '0' && c <= '9') *out = (uint8_t)(c - '0');
    else if (c >= 'a' && c <= 'f') *out = (uint8_t)(c - 'a' + 10);
    else return false;
    return true;
}

static bool decode_uuid(fr_doc root, int64_t id, int64_t created_ms, uint8_t uuid[16])
{
    char text[33];
    if (!fr_codec_text(root, "uuid", text, sizeof text)) { /* a collection of before there were topics: always the same one */
        fr_store_be64(uuid, fr_mix64((uint64_t)id));
        fr_store_be64(uuid + 8, fr_mix64((uint64_t)created_ms + (uint64_t)id));
        return true;
    }
    for (uint32_t i = 0; i < 16; i++) {
        uint8_t high, low;
        if (!hex_digit(text[i * 2], &high) || !hex_digit(text[i * 2 + 1], &low)) return false;
        uuid[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

fr_code fr_engine_document(fr_span value, fr_doc *doc_out, fr_err *err)
{
    fr_decoded decoded;
    *doc_out = (fr_doc){0}; /* gcc 12 does not see at -O3 that a failure is answered before any use */
    FR_TRY(fr_engine_decode(value, &decoded, NULL, err));
    if (decoded.metadata.size == 0) return fr_fail(err, FR_ERR_CORRUPT, "catalog", "a catalog record has no document");
    FR_TRY(fr_doc_check(decoded.metadata, err));
    *doc_out = fr_doc_root(decoded.metadata);
    return FR_OK;
}

fr_code fr_codec_spec(fr_span value, fr_topic_spec *spec, fr_err *err)
{
    fr_doc root, item;
    fr_span key;
    int64_t id = 0, kind = 0, created_ms = 0;
    *spec = (fr_topic_spec){.kind = FR_TOPIC_COLLECTION};
    FR_TRY(fr_engine_document(value, &root, err));
    bool fine = fr_codec_int(root, "id", 1, INT64_MAX, &id) && fr_codec_int(root, "created_ms", INT64_MIN, INT64_MAX, &created_ms);
    if (fine && fr_doc_get(root, fr_span_text("kind")).data != NULL)
        fine = fr_codec_int(root, "kind", FR_TOPIC_COLLECTION, FR_TOPIC_INTERNAL, &kind);
    if (!fine || !decode_uuid(root, id, created_ms, spec->uuid))
        return fr_fail(err, FR_ERR_CORRUPT, "catalog", "a topic's catalog record lacks a field or has a wrong one");
    spec->kind = (fr_topic_kind)kind;
    fr_doc configs = fr_doc_get(root, fr_span_text("configs"));
    if (configs.data == NULL || fr_doc_type(configs) != FR_DOC_OBJECT) return FR_OK;
    fr_doc_iter iter = fr_doc_begin(configs);
    while (fr_doc_next(&iter, &key, &item)) {
        char name[64], text[FR_CONFIG_VALUE_BYTES_MAX + 1];
        if (key.size >= sizeof name || fr_doc_type(item) != FR_DOC_STRING) continue;
        memcpy(name, key.data, key.size);
        name[key.size] = 0;
        fr_span content = fr_doc_string(item);
        if (content.size >= sizeof text) continue;
        memcpy(text, content.data, content.size);
        text[content.size] = 0;
        if (fr_configs_set(&spec->configs, name, text) == FR_OK) continue;
        fr_topic_spec_free(spec);
        return FR_ERR_NO_MEMORY;
    }
    return FR_OK;
}

/* Absent in records of earlier versions. */
static bool decode_indexed(fr_doc root, fr_collection_def *def)
{
    fr_doc list = fr_doc_get(root, fr_span_text("indexed")), item;
    if (list.data == NULL) return true;
    if (fr_doc_type(list) != FR_DOC_ARRAY || fr_doc_count(list) > FR_INDEXED_MAX) return false;
    fr_doc_iter iter = fr_doc_begin(list);
    while (fr_doc_next(&iter, NULL, &item)) {
        fr_span path = fr_doc_type(item) == FR_DOC_STRING ? fr_doc_string(item) : (fr_span){NULL, 0};
        if (path.size == 0 || path.size > FR_INDEXED_BYTES_MAX) return false;
        memcpy(def->indexed[def->indexed_count++], path.data, path.size); /* the definition was zeroed */
    }
    return true;
}

/* Absent: no field came or went. */
static fr_code decode_lives(fr_doc root, fr_schema *schema, fr_err *err)
{
    fr_doc list = fr_doc_get(root, fr_span_text("lives")), item;
    uint32_t partitions = schema->def.partitions;
    if (list.data == NULL) return FR_OK;
    bool fine = fr_doc_type(list) == FR_DOC_ARRAY && fr_doc_count(list) <= FR_LIVES_MAX;
    fr_doc_iter iter = fr_doc_begin(list);
    while (fine && fr_doc_next(&iter, NULL, &item)) {
        char name[64];
        int64_t dropped;
        fr_offset at[FR_PARTITIONS_MAX];
        fr_doc offsets = fr_doc_get(item, fr_span_text("at"));
        fine = fr_codec_text(item, "name", name, sizeof name) && fr_codec_int(item, "dropped", 0, 1, &dropped) &&
               offsets.data != NULL && fr_doc_type(offsets) == FR_DOC_ARRAY && fr_doc_count(offsets) == partitions;
        for (uint32_t p = 0; fine && p < partitions; p++) {
            fr_doc offset = fr_doc_at(offsets, p);
            fine = fr_doc_type(offset) == FR_DOC_INT;
            at[p] = fine ? fr_doc_int(offset) : 0;
        }
        if (fine && fr_schema_add_life(schema, name, dropped != 0, at, partitions) != FR_OK)
            return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory");
    }
    return fine ? FR_OK : fr_fail(err, FR_ERR_CORRUPT, "catalog", "collection '%s' has bad field changes in the catalog", schema->def.name);
}

static fr_code decode_fields(fr_doc root, fr_schema *schema, fr_err *err)
{
    fr_collection_def *def = &schema->def;
    fr_doc fields = fr_doc_get(root, fr_span_text("fields")), item;
    if (fields.data == NULL || fr_doc_count(fields) > FR_FIELDS_MAX)
        return fr_fail(err, FR_ERR_CORRUPT, "catalog", "collection '%s' has no fields in the catalog", def->name);
    uint32_t vectors = 0;
    fr_doc_iter iter = fr_doc_begin(fields);
    while (fr_doc_next(&iter, NULL, &item)) {
        int64_t builds;
        fr_field_def *field = &def->fields[def->field_count++];
        if (!decode_field(item, field, &builds))
            return fr_fail(err, FR_ERR_CORRUPT, "catalog", "collection '%s' has a bad field in the catalog", def->name);
        if (!fr_type_is_vector(field->type)) continue;
        bool fine = vectors < FR_VECTOR_FIELDS_MAX &&
                    (field->dimension != 0 || field->type == FR_TYPE_VECTOR_SPARSE);
        if (!fine) return fr_fail(err, FR_ERR_CORRUPT, "catalog", "collection '%s' has a bad vector field in the catalog", def->name);
        schema->builds[vectors++] = (uint8_t)builds;
    }
    return vectors != 0 ? FR_OK
                        : fr_fail(err, FR_ERR_CORRUPT, "catalog", "collection '%s' has no vector field in the catalog", def->name);
}

static fr_code decode_schema(fr_doc root, fr_schema *schema, int64_t *created_ms_out, fr_err *err)
{
    int64_t id_type, partitions, drop_stale, no_dynamic, next_field, kind = 0;
    fr_collection_def *def = &schema->def;
    bool fine = fr_codec_text(root, "database", def->database, sizeof def->database) &&
                fr_codec_text(root, "name", def->name, sizeof def->name) &&
                fr_codec_int(root, "id_type", 0, FR_ID_STRING, &id_type) &&
                fr_codec_int(root, "partitions", 1, FR_PARTITIONS_MAX, &partitions) &&
                fr_codec_int(root, "drop_stale", 0, 1, &drop_stale) && later_int(root, "no_dynamic", 1, &no_dynamic) &&
                later_int(root, "next_field", FR_FIELD_DYNAMIC, &next_field) &&
                fr_codec_text(root, "embedder", def->embedder, sizeof def->embedder) &&
                fr_codec_int(root, "created_ms", INT64_MIN, INT64_MAX, created_ms_out) && decode_indexed(root, def);
    if (!fine)
        return fr_fail(err, FR_ERR_CORRUPT, "catalog", "a collection's catalog record lacks a field or has a wrong one");
    def->id_type = (fr_id_type)id_type;
    def->partitions = (uint32_t)partitions;
    def->drop_stale = drop_stale != 0;
    def->no_dynamic = no_dynamic != 0;
    schema->next_field = (uint16_t)next_field;
    if (fr_codec_int(root, "kind", FR_TOPIC_PLAIN, FR_TOPIC_INTERNAL, &kind)) return FR_OK; /* a log without rows */
    FR_TRY(decode_fields(root, schema, err));
    return decode_lives(root, schema, err);
}

fr_code fr_codec_attributes(fr_span value, fr_span *out)
{
    fr_decoded decoded;
    FR_TRY(fr_engine_decode(value, &decoded, NULL, NULL));
    *out = decoded.attributes;
    return FR_OK;
}

fr_code fr_codec_collection(fr_span value, fr_schema **schema_out, int64_t *created_ms_out, fr_err *err)
{
    fr_doc root;
    fr_span attributes = {NULL, 0};
    FR_TRY(fr_engine_document(value, &root, err));
    fr_schema *schema = fr_schema_new(NULL);
    if (schema == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory");
    fr_code code = decode_schema(root, schema, created_ms_out, err);
    if (code == FR_OK) code = fr_codec_attributes(value, &attributes);
    if (code == FR_OK) code = fr_schema_set_attributes(schema, attributes);
    if (code != FR_OK) {
        fr_schema_free(schema);
        return code;
    }
    fr_schema_derive(schema);
    *schema_out = schema;
    return FR_OK;
}
