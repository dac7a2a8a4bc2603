/* milvus_indexes.c: indexes. There is one kind of index; names, types and parameters are kept and described back as they were given,
 * and what has a meaning here is mapped: the metric, HNSW's M and efConstruction. */
#include "api/milvus/milvus_private.h"

#include <stdio.h>
#include <stdlib.h>

#define M_MIN 2
#define M_MAX 32
#define EF_CONSTRUCTION_MIN 8
#define EF_CONSTRUCTION_MAX 4096

static fr_milvus_next over(fr_milvus_call *call) { return call->reply ? FR_MILVUS_REPLY : fr_milvus_done(call); }

/* ---- create ---- */

typedef struct making {
    const Milvus__CreateIndexRequest *in;
    fr_milvus_worker *worker;
    fr_field_def def;
} making;

static bool refuse(fr_milvus_call *call, const char *format, const char *a, const char *b)
{
    char text[320];
    snprintf(text, sizeof text, format, a, b);
    fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "%s: invalid parameter", text);
    return false;
}

static bool doc_value(fr_milvus_call *call, fr_milvus_schema *schema, fr_milvus_pairs *pairs, const char *key, fr_doc value)
{
    char text[64];
    switch (fr_doc_type(value)) {
    case FR_DOC_TRUE:
    case FR_DOC_FALSE: snprintf(text, sizeof text, "%s", fr_doc_type(value) == FR_DOC_TRUE ? "true" : "false"); break;
    case FR_DOC_INT: snprintf(text, sizeof text, "%lld", (long long)fr_doc_int(value)); break;
    case FR_DOC_FLOAT: snprintf(text, sizeof text, "%.17g", fr_doc_number(value)); break;
    case FR_DOC_STRING: {
        fr_span span = fr_doc_string(value);
        char *copy = fr_milvus_text(call, "%.*s", (int)FR_MIN(span.size, 4096u), (const char *)span.data);
        return copy && fr_milvus_pairs_set(schema, pairs, key, copy) == FR_OK;
    }
    case FR_DOC_NULL: return true; /* as if it were not given */
    default: snprintf(text, sizeof text, "%s", fr_doc_type(value) == FR_DOC_ARRAY ? "[..]" : "{..}"); break;
    }
    return fr_milvus_pairs_set(schema, pairs, key, text) == FR_OK;
}

/* {"M":16,"efConstruction":64}: each is a parameter of its own; described back as given. */
#define NESTED "params"

static bool params_flatten(fr_milvus_call *call, fr_milvus_schema *schema, fr_milvus_worker *worker, fr_milvus_pairs *pairs, const char *json)
{
    fr_doc_builder b = {0};
    fr_span bytes, name;
    fr_doc value;
    bool fine = fr_milvus_json_in(worker, fr_span_text(json), &call->arena, &b, &call->err) == FR_OK && fr_doc_finish(&b, &bytes) == FR_OK &&
                fr_doc_type(fr_doc_root(bytes)) == FR_DOC_OBJECT;
    if (!fine) refuse(call, "params of an index must be a JSON object, not %.100s%s", json, "");
    fr_doc_iter iter = fine ? fr_doc_begin(fr_doc_root(bytes)) : (fr_doc_iter){0};
    while (fine && fr_doc_next(&iter, &name, &value)) {
        char *key = fr_milvus_text(call, "%.*s", (int)FR_MIN(name.size, 255u), (const char *)name.data);
        fine = key && doc_value(call, schema, pairs, key, value);
    }
    fr_doc_free(&b);
    if (!fine && !call->reply) fr_milvus_fail(call, MILVUS_MEMORY, "no memory for the index");
    return fine;
}

static bool params_in(fr_milvus_call *call, fr_milvus_schema *schema, making *self, const fr_milvus_field *field, fr_milvus_pairs *pairs)
{
    bool vector = field->type >= FR_TYPE_VECTOR_BINARY;
    const char *nested = NULL;
    for (size_t i = 0; i < self->in->n_extra_params; i++) {
        const Milvus__KeyValuePair *one = self->in->extra_params[i];
        if (strcmp(one->key, NESTED) == 0) {
            if (one->value[0] && !params_flatten(call, schema, self->worker, pairs, one->value)) return false;
            if (one->value[0]) nested = one->value;
        } else if (fr_milvus_pairs_set(schema, pairs, one->key, one->value) != FR_OK) {
            fr_milvus_fail(call, MILVUS_MEMORY, "no memory for the index");
            return false;
        }
    }
    static const char *const names[] = {"L2", "IP", "COSINE", "HAMMING", "JACCARD", "BM25"};
    const char *type = fr_milvus_pairs_get(pairs, "index_type"), *metric = fr_milvus_pairs_get(pairs, "metric_type");
    if (!type || !*type) {
        type = "AUTOINDEX";
        if (fr_milvus_pairs_set(schema, pairs, "index_type", type) != FR_OK) return false;
    }
    if (field->type == FR_TYPE_JSON && !fr_milvus_pairs_get(pairs, "json_path") &&
        fr_milvus_pairs_set(schema, pairs, "json_path", self->in->field_name) != FR_OK)
        return false;
    if (!fr_milvus_index_ok(call, field, pairs)) return false;
    if (nested && strcasecmp(type, "AUTOINDEX") != 0 && fr_milvus_pairs_set(schema, pairs, NESTED, nested) != FR_OK) return false;
    if (vector && (!metric || !*metric)) return fr_milvus_pairs_set(schema, pairs, "metric_type", names[fr_milvus_metric_default(field)]) == FR_OK;
    return true;
}

static bool pairs_equal(const fr_milvus_pairs *a, const fr_milvus_pairs *b)
{
    for (uint32_t i = 0; i < a->count; i++) {
        const char *other = fr_milvus_pairs_get(b, a->items[i].key);
        if (!other || strcmp(other, a->items[i].value) != 0) return false;
    }
    return a->count == b->count;
}

static uint32_t clamped(const fr_milvus_pairs *pairs, const char *key, long least, long most)
{
    const char *text = fr_milvus_pairs_get(pairs, key);
    if (!text) return 0;
    return (uint32_t)FR_MAX(FR_MIN(strtol(text, NULL, 10), most), least);
}

/* The engine's side of it; nothing when it is so already. */
static bool mapped(fr_milvus_call *call, const fr_milvus_schema *schema, const fr_milvus_field *field, const fr_milvus_pairs *pairs,
                   fr_collection_change *change, fr_field_def *def)
{
    fr_collection_info *info = fr_milvus_alloc(call, sizeof *info);
    if (!info || fr_collection_get(call->db, schema->id, info) != FR_OK) {
        fr_milvus_fail(call, MILVUS_COLLECTION_NOT_FOUND, "collection not found[database=%s][collection=%s]", schema->database, schema->name);
        return false;
    }
    for (uint32_t i = 0; i < info->def.field_count && i < FR_FIELDS_MAX; i++) {
        const fr_field_def *now = &info->def.fields[i];
        if (now->id != field->engine_field) continue;
        *def = *now;
        fr_milvus_metric_of(field, fr_milvus_pairs_get(pairs, "metric_type"), &def->metric);
        bool hnsw = strncasecmp(fr_milvus_pairs_get(pairs, "index_type"), "HNSW", 4) == 0;
        uint32_t m = hnsw ? clamped(pairs, "M", M_MIN, M_MAX) : 0;
        uint32_t ef = hnsw ? clamped(pairs, "efConstruction", EF_CONSTRUCTION_MIN, EF_CONSTRUCTION_MAX) : 0;
        if (m) def->m = m;
        if (ef) def->ef_construction = ef;
        if (def->metric == now->metric && def->m == now->m && def->ef_construction == now->ef_construction) return true;
        change->set = def, change->set_count = 1;
        return true;
    }
    return true;
}

static bool one_more(fr_milvus_call *call, fr_milvus_schema *schema, const char *name, const char *field_name, uint32_t field,
                     const fr_milvus_pairs *pairs)
{
    fr_milvus_index *indexes = fr_milvus_grown(schema, schema->indexes, schema->index_count, sizeof *indexes);
    if (!indexes) {
        fr_milvus_fail(call, MILVUS_MEMORY, "no memory for the index");
        return false;
    }
    indexes[schema->index_count++] = (fr_milvus_index){schema->next_index_id++, fr_milvus_kept(schema, name), field,
                                                       fr_milvus_kept(schema, field_name), *pairs};
    schema->indexes = indexes;
    return true;
}

/* Whether the index may be made; *there: it is there already. A JSON field may have one for each path. */
static bool room_for(fr_milvus_call *call, const fr_milvus_schema *schema, const char *name, uint32_t field, bool json, const fr_milvus_pairs *pairs,
                     bool *there)
{
    *there = false;
    for (uint32_t i = 0; i < schema->index_count; i++) {
        const fr_milvus_index *other = &schema->indexes[i];
        bool named = strcmp(other->name, name) == 0;
        if (named && other->field == field && pairs_equal(&other->params, pairs)) {
            *there = true;
            return true;
        }
        if (named) {
            fr_milvus_fail(call, MILVUS_UNEXPECTED, "at most one distinct index is allowed per field: %s has index %s", other->field_name, name);
            return false;
        }
        const char *path = fr_milvus_pairs_get(pairs, "json_path"), *other_path = fr_milvus_pairs_get(&other->params, "json_path");
        if (other->field != field || (json && path && other_path && strcmp(path, other_path) != 0)) continue;
        fr_milvus_fail(call, MILVUS_UNEXPECTED, "CreateIndex failed: creating multiple indexes on same field is not supported: %s has index %s",
                       other->field_name, other->name);
        return false;
    }
    return true;
}

/* A JSON field's index is named for its path, too: a["b"][0] is a/b/0. */
static const char *default_name(fr_milvus_call *call, const char *field_name, const fr_milvus_pairs *pairs)
{
    const char *path = fr_milvus_pairs_get(pairs, "json_path");
    char *name = fr_milvus_text(call, "%s%s", field_name, path ? path : "");
    size_t size = strlen(field_name);
    if (!name || !path) return field_name;
    const char *at = strncmp(path, field_name, size) == 0 ? path + size : path;
    for (char quote = 0; *at && size < 250; at++) {
        if (*at == '[') name[size++] = '/';
        else if (*at == '"' || *at == '\'') quote = quote ? 0 : *at;
        else if (*at != ']' || quote) name[size++] = *at;
    }
    name[size] = 0;
    return name;
}

static bool create_edit(fr_milvus_call *call, fr_milvus_schema *schema, fr_collection_change *change, void *user)
{
    static const fr_milvus_field dynamic = {.name = "$meta", .type = FR_TYPE_JSON, .vector = -1};
    making *self = user;
    const char *field_name = self->in->field_name;
    const fr_milvus_field *field = fr_milvus_field_of(schema, field_name);
    uint32_t at = field ? (uint32_t)(field - schema->fields) : FR_MILVUS_DYNAMIC;
    fr_milvus_pairs pairs = {0};
    bool there;
    if (!fr_milvus_index_name_ok(call, self->in->index_name)) return false;
    if (!field && schema->dynamic) field = &dynamic; /* a key of it */
    if (!field) {
        fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "cannot create index on non-exist field: %s: invalid parameter", field_name);
        return false;
    }
    if (!params_in(call, schema, self, field, &pairs)) return false;
    bool json = field->type == FR_TYPE_JSON;
    const char *name = self->in->index_name[0] ? self->in->index_name : json ? default_name(call, field_name, &pairs) : field_name;
    if (!room_for(call, schema, name, at, json, &pairs, &there)) return false;
    if (there) {
        change->set_attributes = false;
        return true;
    }
    if (field->type >= FR_TYPE_VECTOR_BINARY && !mapped(call, schema, field, &pairs, change, &self->def)) return false;
    return one_more(call, schema, name, field_name, at, &pairs);
}

fr_milvus_next fr_milvus_on_create_index(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door;
    making self = {.in = call->request, .worker = worker};
    fr_milvus_change(call, self.in->collection_name, create_edit, &self);
    return over(call);
}

/* ---- describe ---- */

/* Without the copies of what stands in a JSON of parameters, when there is one. */
static fr_milvus_pairs as_given(fr_milvus_call *call, const fr_milvus_pairs *pairs)
{
    const char *nested = fr_milvus_pairs_get(pairs, NESTED);
    fr_milvus_pairs out = {.items = nested ? fr_milvus_alloc(call, pairs->count * sizeof *out.items) : NULL};
    if (!out.items) return *pairs;
    for (uint32_t i = 0; i < pairs->count; i++) {
        const char *quoted = fr_milvus_text(call, "\"%s\"", pairs->items[i].key);
        if (quoted && !strstr(nested, quoted)) out.items[out.count++] = pairs->items[i];
    }
    return out;
}

static Milvus__IndexDescription *index_out(fr_milvus_call *call, const fr_milvus_schema *schema, const fr_milvus_index *index,
                                           const fr_collection_info *info)
{
    Milvus__IndexDescription *out = fr_milvus_message(&call->arena, &milvus__index_description__descriptor);
    if (!out) return NULL;
    out->index_name = fr_milvus_mut(index->name);
    out->indexid = index->id;
    out->field_name = fr_milvus_mut(index->field_name);
    fr_milvus_pairs given = as_given(call, &index->params);
    out->params = fr_milvus_pairs_out(call, &given, &out->n_params);
    out->total_rows = (int64_t)info->count;
    out->pending_index_rows = index->field != FR_MILVUS_DYNAMIC && schema->fields[index->field].vector >= 0 ? (int64_t)FR_MIN(info->unlinked, info->count) : 0;
    out->indexed_rows = out->total_rows - out->pending_index_rows;
    out->state = MILVUS_INDEX_FINISHED; /* every row is searchable at once */
    return out;
}

fr_milvus_next fr_milvus_on_describe_index(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)worker;
    const Milvus__DescribeIndexRequest *in = call->request;
    const fr_milvus_schema *schema = fr_milvus_schema_in(door, call, in->collection_name);
    if (!schema) return FR_MILVUS_REPLY;
    fr_collection_info *info = fr_milvus_alloc(call, sizeof *info);
    Milvus__DescribeIndexResponse *out = fr_milvus_message(&call->arena, call->rpc->reply);
    if (!info || !out || !(out->index_descriptions = fr_milvus_alloc(call, schema->index_count * sizeof *out->index_descriptions)))
        return fr_milvus_fail(call, MILVUS_MEMORY, "no memory for the answer");
    fr_code code = fr_collection_get(call->db, schema->id, info);
    if (code != FR_OK) return fr_milvus_fail_fr(call, code, &call->err, schema->database, schema->name);
    for (uint32_t i = 0; i < schema->index_count; i++) {
        const fr_milvus_index *index = &schema->indexes[i];
        if (in->index_name[0] && strcmp(index->name, in->index_name) != 0) continue;
        if (in->field_name[0] && strcmp(index->field_name, in->field_name) != 0) continue;
        if (!(out->index_descriptions[out->n_index_descriptions] = index_out(call, schema, index, info))) break;
        out->n_index_descriptions++;
    }
    if (!out->n_index_descriptions && in->index_name[0])
        return fr_milvus_fail(call, MILVUS_INDEX_NOT_FOUND, "index not found[indexName=%s]", in->index_name);
    if (!out->n_index_descriptions) return fr_milvus_fail(call, MILVUS_INDEX_NOT_FOUND, "index not found[collection=%s]", schema->name);
    call->reply = out;
    return fr_milvus_done(call);
}

/* ---- drop, alter ---- */

static bool index_named(const fr_milvus_schema *schema, const char *name, const char *field, uint32_t *at)
{
    for (*at = 0; *at < schema->index_count; (*at)++) {
        const fr_milvus_index *index = &schema->indexes[*at];
        if (*name ? strcmp(index->name, name) == 0 : strcmp(index->field_name, field) == 0) return true;
    }
    return false;
}

static bool drop_edit(fr_milvus_call *call, fr_milvus_schema *schema, fr_collection_change *change, void *user)
{
    const Milvus__DropIndexRequest *in = user;
    uint32_t at;
    if (!index_named(schema, in->index_name, in->field_name, &at)) {
        change->set_attributes = false; /* gone is gone */
        return true;
    }
    uint32_t field = schema->indexes[at].field;
    if (schema->loaded && field != FR_MILVUS_DYNAMIC && schema->fields[field].vector >= 0) {
        fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "vector index cannot be dropped on loaded collection: %llu: invalid parameter",
                       (unsigned long long)schema->id);
        return false;
    }
    memmove(&schema->indexes[at], &schema->indexes[at + 1], (schema->index_count - at - 1) * sizeof *schema->indexes);
    schema->index_count--;
    return true;
}

fr_milvus_next fr_milvus_on_drop_index(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    const Milvus__DropIndexRequest *in = call->request;
    fr_milvus_change(call, in->collection_name, drop_edit, call->request);
    return over(call);
}

/* What may be changed of an index that stands; all of it without a meaning here. */
static bool configurable(const char *key)
{
    return strcmp(key, "mmap.enabled") == 0 || strcmp(key, "indexoffsetcache.enabled") == 0 || strcmp(key, "warmup") == 0;
}

static bool flag(const char *text) { return strcasecmp(text, "true") == 0 || strcasecmp(text, "false") == 0; }

static bool alter_edit(fr_milvus_call *call, fr_milvus_schema *schema, fr_collection_change *change, void *user)
{
    const Milvus__AlterIndexRequest *in = user;
    uint32_t at;
    (void)change;
    if (schema->loaded) {
        fr_milvus_fail(call, MILVUS_COLLECTION_LOADED,
                       "can't alter index on loaded collection, please release the collection first: collection already loaded[collection=%s]", schema->name);
        return false;
    }
    if (!index_named(schema, in->index_name, "", &at)) {
        fr_milvus_fail(call, MILVUS_INDEX_NOT_FOUND, "index not found[indexName=%s]", in->index_name);
        return false;
    }
    fr_milvus_pairs *pairs = &schema->indexes[at].params;
    fr_code code = fr_milvus_pairs_in(schema, pairs, in->extra_params, in->n_extra_params);
    for (size_t i = 0; i < in->n_delete_keys && code == FR_OK; i++) {
        code = fr_milvus_pairs_set(schema, pairs, in->delete_keys[i], NULL);
    }
    if (code != FR_OK) fr_milvus_fail(call, MILVUS_MEMORY, "no memory for the index");
    return code == FR_OK;
}

fr_milvus_next fr_milvus_on_alter_index(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    const Milvus__AlterIndexRequest *in = call->request;
    if (in->n_extra_params && in->n_delete_keys)
        return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "cannot provide both DeleteKeys and ExtraParams: invalid parameter");
    if (!in->index_name[0]) return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "index name is empty: invalid parameter");
    for (size_t i = 0; i < in->n_extra_params + in->n_delete_keys; i++) {
        const char *key = i < in->n_extra_params ? in->extra_params[i]->key : in->delete_keys[i - in->n_extra_params];
        if (!configurable(key))
            return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "%.100s is not a configable index property: invalid parameter", key);
        if (i < in->n_extra_params && strcmp(key, "warmup") != 0 && !flag(in->extra_params[i]->value))
            return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "invalid %s value: %.40s, should be a boolean: invalid parameter", key,
                                  in->extra_params[i]->value);
    }
    fr_milvus_change(call, in->collection_name, alter_edit, call->request);
    return over(call);
}
