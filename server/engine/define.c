/* define.c: a collection's definition, and changes of it, judged: on the caller's thread, and again by the writer. */
#include "server/engine/engine.h"

#include "simd/simd.h"

#include <math.h>
#include <stdio.h>

/* ==== a collection's definition ==== */

static fr_code check_vector_field(const char *prefix, fr_field_def *f, fr_err *err)
{
    char field[48];
    FR_TRY(fr_vector_type_check(f->type, f->dimension, f->metric, prefix, err));
    snprintf(field, sizeof field, "%scodes", prefix);
    if ((unsigned)f->codes > FR_CODES_NONE) return fr_fail(err, FR_ERR_INVALID, field, "codes must be sq8 or none");
    snprintf(field, sizeof field, "%sprofile", prefix);
    if ((unsigned)f->profile > FR_PROFILE_COMPACT)
        return fr_fail(err, FR_ERR_INVALID, field, "profile must be speed, balanced or compact");
    snprintf(field, sizeof field, "%svectors", prefix);
    if ((unsigned)f->vectors > FR_VECTORS_DISK)
        return fr_fail(err, FR_ERR_INVALID, field, "vectors must be memory or disk");
    if (f->codes == FR_CODES_NONE && f->vectors == FR_VECTORS_DISK)
        return fr_fail(err, FR_ERR_INVALID, field, "vectors: disk needs codes; the walk would read every vector from disk");
    if (f->m == 0) f->m = f->profile == FR_PROFILE_COMPACT ? FR_M_COMPACT : FR_M_DEFAULT;
    if (f->ef_construction == 0) f->ef_construction = 100;
    snprintf(field, sizeof field, "%sm", prefix);
    if (f->m < 2 || f->m > FR_M_MAX)
        return fr_fail(err, FR_ERR_INVALID, field, "m must be 2 to %u, got %u", FR_M_MAX, f->m);
    snprintf(field, sizeof field, "%sef_construction", prefix);
    if (f->ef_construction > FR_EF_CONSTRUCTION_MAX)
        return fr_fail(err, FR_ERR_INVALID, field, "ef_construction must be 1 to %u, got %u", FR_EF_CONSTRUCTION_MAX,
                       f->ef_construction);
    return FR_OK;
}

static fr_code expand_simple(fr_collection_def *out, fr_err *err)
{
    out->field_count = 3;
    out->fields[0] = (fr_field_def){.id = FR_FIELD_KEY,
                                    .name = "id",
                                    .type = out->id_type == FR_ID_INT64 ? FR_TYPE_INT64 : FR_TYPE_VARCHAR,
                                    .max_length = FR_KEY_BYTES_MAX,
                                    .primary = true};
    out->fields[1] = (fr_field_def){.id = FR_FIELD_VECTOR,
                                    .name = "vector",
                                    .type = out->vector_type != FR_TYPE_NONE ? out->vector_type : FR_TYPE_VECTOR_F32,
                                    .dimension = out->dimension,
                                    .metric = out->metric,
                                    .codes = out->codes,
                                    .m = out->m,
                                    .ef_construction = out->ef_construction,
                                    .profile = out->profile,
                                    .vectors = out->vectors};
    out->fields[2] = (fr_field_def){.id = FR_FIELD_DYNAMIC, .name = "metadata", .type = FR_TYPE_JSON, .nullable = true};
    return check_vector_field("", &out->fields[1], err);
}

static bool is_scalar_type(fr_type type)
{
    return type == FR_TYPE_BOOL || type == FR_TYPE_INT8 || type == FR_TYPE_INT16 || type == FR_TYPE_INT32 || type == FR_TYPE_INT64 ||
           type == FR_TYPE_FLOAT || type == FR_TYPE_DOUBLE || type == FR_TYPE_VARCHAR || type == FR_TYPE_JSON;
}

static fr_code check_scalar_field(const char *name, const fr_field_def *f, fr_err *err)
{
    if (f->type == FR_TYPE_ARRAY && (!is_scalar_type(f->element_type) || f->element_type == FR_TYPE_JSON))
        return fr_fail(err, FR_ERR_INVALID, name, "field '%s': element_type must be a scalar type other than JSON", f->name);
    if (f->type != FR_TYPE_ARRAY && !is_scalar_type(f->type))
        return fr_fail(err, FR_ERR_INVALID, name, "field '%s' is of a type that is not known: %d", f->name, (int)f->type);
    return FR_OK;
}

static fr_code check_field_name(const fr_collection_def *def, uint32_t at, const char *name, fr_err *err)
{
    const fr_field_def *f = &def->fields[at];
    size_t size = strnlen(f->name, sizeof f->name);
    if (size == 0) return fr_fail(err, FR_ERR_INVALID, name, "a field needs a name");
    if (size == sizeof f->name || !fr_utf8_valid(f->name, size))
        return fr_fail(err, FR_ERR_INVALID, name, "a field's name has at most %zu bytes of UTF-8", sizeof f->name - 1);
    if (f->name[0] == '$') return fr_fail(err, FR_ERR_INVALID, name, "a field's name must not begin with '$'");
    for (uint32_t i = 0; i < at; i++)
        if (strcmp(def->fields[i].name, f->name) == 0)
            return fr_fail(err, FR_ERR_INVALID, name, "two fields are named '%s'", f->name);
    return FR_OK;
}

static fr_code check_key_field(fr_collection_def *out, const fr_field_def *f, const char *name, fr_err *err)
{
    if (f->type != FR_TYPE_VARCHAR && f->type != FR_TYPE_INT64)
        return fr_fail(err, FR_ERR_INVALID, name, "a primary key is VARCHAR or INT64");
    if (f->nullable) return fr_fail(err, FR_ERR_INVALID, name, "a primary key cannot be null");
    out->id_type = f->type == FR_TYPE_INT64    ? FR_ID_INT64
                   : out->id_type == FR_ID_ANY ? FR_ID_ANY
                                               : FR_ID_STRING;
    return FR_OK;
}

/* The key is field 1, the first vector field 2; the others are numbered in order. A JSON field that came as FR_FIELD_DYNAMIC is the
 * document itself. */
static fr_code check_fields(fr_collection_def *out, fr_err *err)
{
    uint32_t keys = 0, vectors = 0;
    uint16_t next = FR_FIELD_FIRST_FREE;
    if (out->field_count > FR_FIELDS_MAX)
        return fr_fail(err, FR_ERR_INVALID, "fields", "a collection has at most %u fields", FR_FIELDS_MAX);
    for (uint32_t i = 0; i < out->field_count; i++) {
        fr_field_def *f = &out->fields[i];
        char prefix[32], name[40];
        snprintf(prefix, sizeof prefix, "fields[%u].", i);
        snprintf(name, sizeof name, "fields[%u]", i);
        FR_TRY(check_field_name(out, i, name, err));
        if (f->primary) {
            if (++keys > 1) return fr_fail(err, FR_ERR_INVALID, name, "a collection has one primary key");
            FR_TRY(check_key_field(out, f, name, err));
            f->id = FR_FIELD_KEY;
        } else if (fr_type_is_vector(f->type)) {
            if (++vectors > FR_VECTOR_FIELDS_MAX)
                return fr_fail(err, FR_ERR_TOO_LARGE, name, "a collection has at most %u vector fields", FR_VECTOR_FIELDS_MAX);
            f->id = vectors == 1 ? (uint16_t)FR_FIELD_VECTOR : next++;
            FR_TRY(check_vector_field(prefix, f, err));
        } else if (f->type != FR_TYPE_JSON || f->id != FR_FIELD_DYNAMIC) {
            f->id = next++;
            FR_TRY(check_scalar_field(name, f, err));
        }
    }
    if (keys == 0) return fr_fail(err, FR_ERR_INVALID, "fields", "a collection needs a primary key");
    if (vectors == 0) return fr_fail(err, FR_ERR_INVALID, "fields", "a collection needs a vector field");
    return FR_OK;
}

static fr_code check_indexed(const fr_collection_def *def, fr_err *err)
{
    if (def->indexed_count > FR_INDEXED_MAX)
        return fr_fail(err, FR_ERR_TOO_LARGE, "indexed", "at most %u fields are indexed, got %u", FR_INDEXED_MAX, def->indexed_count);
    for (uint32_t i = 0; i < def->indexed_count; i++) {
        fr_path *path;
        char name[32];
        fr_err why = {0};
        size_t size = strnlen(def->indexed[i], sizeof def->indexed[i]);
        snprintf(name, sizeof name, "indexed[%u]", i);
        if (size == 0 || size > FR_INDEXED_BYTES_MAX)
            return fr_fail(err, FR_ERR_INVALID, name, "a path has 1 to %u bytes", FR_INDEXED_BYTES_MAX);
        fr_code code = fr_path_compile(fr_span_text(def->indexed[i]), &path, &why);
        if (code != FR_OK) return fr_fail(err, code, name, "%s", why.text);
        fr_path_free(path);
    }
    return FR_OK;
}

fr_code fr_engine_expand(const fr_collection_def *def, fr_collection_def *out, fr_err *err)
{
    if (def == NULL) return fr_fail(err, FR_ERR_INVALID, "collection", "a definition is needed");
    *out = *def;
    FR_TRY(fr_name_check("name", out->name, strnlen(out->name, sizeof out->name), err));
    if (memchr(out->database, 0, sizeof out->database) == NULL)
        return fr_fail(err, FR_ERR_INVALID, "database", "a database's name has at most %u bytes", FR_NAME_BYTES_MAX);
    if (fr_database_name(out->database)[0] == 0) out->database[0] = 0;
    else FR_TRY(fr_name_check("database", out->database, strlen(out->database), err));
    if ((unsigned)out->id_type > FR_ID_STRING)
        return fr_fail(err, FR_ERR_INVALID, "id_type", "id_type must be int64 or string");
    if (out->partitions == 0) out->partitions = 1;
    if (out->partitions > FR_PARTITIONS_MAX)
        return fr_fail(err, FR_ERR_INVALID, "partitions", "partitions must be 1 to %u, got %u", FR_PARTITIONS_MAX,
                       out->partitions);
    if (memchr(out->embedder, 0, sizeof out->embedder) == NULL ||
        (out->embedder[0] != 0 && strcmp(out->embedder, "hash") != 0))
        return fr_fail(err, FR_ERR_INVALID, "embedder", "the embedder must be 'hash'");
    FR_TRY(check_indexed(out, err));
    FR_TRY(out->field_count == 0 ? expand_simple(out, err) : check_fields(out, err));
    for (uint32_t i = 0; i < out->field_count && out->embedder[0] != 0; i++) {
        const fr_field_def *f = &out->fields[i];
        if (f->id == FR_FIELD_VECTOR && (f->type < FR_TYPE_VECTOR_F32 || f->type > FR_TYPE_VECTOR_BF16))
            return fr_fail(err, FR_ERR_INVALID, "embedder", "the embedder makes fractions: vector_type must be f32, f16 or bf16");
    }
    return FR_OK;
}

fr_code fr_engine_check_attributes(fr_span attributes, fr_err *err)
{
    fr_err why = {0};
    if (attributes.size == 0) return FR_OK;
    if (attributes.size > FR_ATTRIBUTES_BYTES_MAX)
        return fr_fail(err, FR_ERR_TOO_LARGE, "attributes", "attributes have at most %u bytes, got %zu", FR_ATTRIBUTES_BYTES_MAX,
                       attributes.size);
    return fr_doc_check(attributes, &why) == FR_OK ? FR_OK : fr_fail(err, FR_ERR_INVALID, "attributes", "%s", why.text);
}

/* ==== changes ==== */

static fr_code add_field(fr_schema *s, const fr_field_def *field, const fr_offset *ends, fr_err *err)
{
    fr_collection_def *def = &s->def;
    if (def->field_count == FR_FIELDS_MAX || s->next_field >= FR_FIELD_DYNAMIC - 255u || s->life_count == FR_LIVES_MAX)
        return fr_fail(err, FR_ERR_TOO_LARGE, "add", "a collection has at most %u fields", FR_FIELDS_MAX);
    fr_field_def *f = &def->fields[def->field_count];
    *f = *field;
    if (strnlen(f->name, sizeof f->name) < sizeof f->name && fr_schema_field(s, fr_span_text(f->name)) != NULL)
        return fr_fail(err, FR_ERR_EXISTS, "add", "there is a field '%s' already", f->name);
    FR_TRY(check_field_name(def, def->field_count, "add", err));
    if (fr_schema_until(s, fr_span_text(f->name)) != NULL)
        return fr_fail(err, FR_ERR_EXISTS, "add", "a field '%s' was dropped: its values would come back", f->name);
    if (f->primary || fr_type_is_vector(f->type) || !f->nullable)
        return fr_fail(err, FR_ERR_INVALID, "add", "a field that is added must be scalar and nullable");
    FR_TRY(check_scalar_field("add", f, err));
    f->id = s->next_field++;
    def->field_count++;
    return fr_schema_add_life(s, f->name, false, ends, def->partitions) == FR_OK ? FR_OK
                                                                               : fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory");
}

static fr_code drop_field(fr_schema *s, const char *name, const fr_offset *ends, fr_err *err)
{
    fr_collection_def *def = &s->def;
    uint32_t at = 0;
    while (at < def->field_count && strcmp(def->fields[at].name, name) != 0) at++;
    if (at == def->field_count) return fr_fail(err, FR_ERR_NOT_FOUND, "drop", "there is no field '%.64s'", name);
    if (!fr_field_is_scalar(&def->fields[at]))
        return fr_fail(err, FR_ERR_INVALID, "drop", "'%s' is no scalar field: it stays", def->fields[at].name);
    if (s->life_count == FR_LIVES_MAX)
        return fr_fail(err, FR_ERR_TOO_LARGE, "drop", "the fields of a collection are changed at most %u times", FR_LIVES_MAX);
    if (fr_schema_add_life(s, def->fields[at].name, true, ends, def->partitions) != FR_OK)
        return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory");
    memmove(&def->fields[at], &def->fields[at + 1], (def->field_count - at - 1) * sizeof *def->fields);
    def->field_count--;
    return FR_OK;
}

static bool wider(uint32_t now, uint32_t then) { return then == 0 || (now != 0 && then >= now); } /* 0 = no limit */

static fr_code set_scalar(fr_field_def *f, const fr_field_def *to, fr_err *err)
{
    if (!wider(f->max_length, to->max_length))
        return fr_fail(err, FR_ERR_INVALID, "set", "max_length of '%s' can only grow: it is %u", f->name, f->max_length);
    if (!wider(f->max_capacity, to->max_capacity))
        return fr_fail(err, FR_ERR_INVALID, "set", "max_capacity of '%s' can only grow: it is %u", f->name, f->max_capacity);
    f->max_length = to->max_length;
    f->max_capacity = to->max_capacity;
    return FR_OK;
}

static bool same_index(const fr_field_def *a, const fr_field_def *b)
{
    return a->metric == b->metric && a->m == b->m && a->ef_construction == b->ef_construction && a->codes == b->codes &&
           a->profile == b->profile && a->vectors == b->vectors && fabsf(a->bm25_k1 - b->bm25_k1) < 1e-9f &&
           fabsf(a->bm25_b - b->bm25_b) < 1e-9f;
}

static fr_code set_field(fr_schema *s, const fr_field_def *to, fr_err *err)
{
    fr_collection_def *def = &s->def;
    uint32_t at = 0, vector = 0;
    for (; at < def->field_count && strncmp(def->fields[at].name, to->name, sizeof to->name) != 0; at++)
        if (fr_type_is_vector(def->fields[at].type)) vector++;
    if (at == def->field_count) return fr_fail(err, FR_ERR_NOT_FOUND, "set", "there is no field '%.63s'", to->name);
    fr_field_def *f = &def->fields[at];
    if (to->type != f->type || (fr_type_is_vector(f->type) && to->dimension != f->dimension) || to->nullable != f->nullable)
        return fr_fail(err, FR_ERR_INVALID, "set", "type, dimension and nullable of '%s' stay as they are", f->name);
    if (fr_field_is_scalar(f)) return set_scalar(f, to, err);
    if (!fr_type_is_vector(f->type)) return fr_fail(err, FR_ERR_INVALID, "set", "'%s' cannot be changed", f->name);
    fr_field_def then = *f;
    then.metric = to->metric, then.m = to->m, then.ef_construction = to->ef_construction, then.codes = to->codes;
    then.profile = to->profile, then.vectors = to->vectors, then.bm25_k1 = to->bm25_k1, then.bm25_b = to->bm25_b;
    FR_TRY(check_vector_field("", &then, err));
    if (same_index(f, &then)) return FR_OK;
    *f = then;
    s->builds[vector]++;
    return FR_OK;
}

/* ends: of the partitions' logs, for fields that come or go. The schema is a copy: a failure leaves nothing behind. */
fr_code fr_engine_change(fr_schema *s, const fr_collection_change *change, const fr_offset *ends, fr_err *err)
{
    fr_collection_def *def = &s->def;
    if (change->name != NULL) {
        FR_TRY(fr_name_check("name", change->name, strlen(change->name), err));
        snprintf(def->name, sizeof def->name, "%s", change->name);
    }
    if (change->database != NULL) {
        const char *database = fr_database_name(change->database);
        if (database[0] != 0) FR_TRY(fr_name_check("database", database, strlen(database), err));
        snprintf(def->database, sizeof def->database, "%s", database);
    }
    if (change->drop != NULL) FR_TRY(drop_field(s, change->drop, ends, err));
    for (uint32_t i = 0; i < change->add_count; i++) FR_TRY(add_field(s, &change->add[i], ends, err));
    for (uint32_t i = 0; i < change->set_count; i++) FR_TRY(set_field(s, &change->set[i], err));
    if (change->set_attributes) {
        FR_TRY(fr_engine_check_attributes(change->attributes, err));
        if (fr_schema_set_attributes(s, change->attributes) != FR_OK) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory");
    }
    fr_schema_derive(s);
    return FR_OK;
}
