/* milvus_schema.c: a collection's schema out of the engine's definition and the collection's attributes, back into attributes, and the
 * cache of schemas. The document in the attributes is in README.md. */
#include "api/milvus/milvus_schema.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define CACHE_SLOTS 1024u
#define SCHEMA_BYTES_MAX ((size_t)8 << 20)

/* ---- small things ---- */

fr_milvus_schema *fr_milvus_schema_new(void)
{
    fr_milvus_schema *self = fr_zalloc(FR_MEM_DOOR, sizeof *self);
    if (!self) return NULL;
    fr_arena_init(&self->arena, FR_MEM_DOOR, SCHEMA_BYTES_MAX);
    self->database = self->name = self->description = "";
    self->partition_key = -1;
    atomic_store(&self->refs, 1);
    return self;
}

void fr_milvus_schema_free(fr_milvus_schema *schema)
{
    if (!schema) return;
    fr_arena_free(&schema->arena);
    fr_free(FR_MEM_DOOR, schema);
}

void *fr_milvus_grown(fr_milvus_schema *schema, const void *items, uint32_t count, size_t size)
{
    uint8_t *fresh = fr_arena_alloc(&schema->arena, (count + 1) * size);
    if (!fresh) return NULL;
    if (count) memcpy(fresh, items, count * size);
    memset(fresh + count * size, 0, size);
    return fresh;
}

static const char *kept_span(fr_milvus_schema *self, fr_span text)
{
    char *copy = fr_arena_alloc(&self->arena, text.size + 1);
    if (!copy) return "";
    if (text.size) memcpy(copy, text.data, text.size);
    copy[text.size] = 0;
    return copy;
}

const char *fr_milvus_kept(fr_milvus_schema *schema, const char *text)
{
    return text && *text ? kept_span(schema, fr_span_text(text)) : "";
}

const char *fr_milvus_pairs_get(const fr_milvus_pairs *pairs, const char *key)
{
    for (uint32_t i = 0; i < pairs->count; i++)
        if (strcmp(pairs->items[i].key, key) == 0) return pairs->items[i].value;
    return NULL;
}

fr_code fr_milvus_pairs_set(fr_milvus_schema *schema, fr_milvus_pairs *pairs, const char *key, const char *value)
{
    uint32_t at = 0;
    while (at < pairs->count && strcmp(pairs->items[at].key, key) != 0) at++;
    if (!value) {
        if (at == pairs->count) return FR_OK;
        memmove(&pairs->items[at], &pairs->items[at + 1], (pairs->count - at - 1) * sizeof *pairs->items);
        pairs->count--;
        return FR_OK;
    }
    if (at == pairs->count) {
        fr_milvus_pair *items = fr_milvus_grown(schema, pairs->items, pairs->count, sizeof *items);
        if (!items) return FR_ERR_NO_MEMORY;
        pairs->items = items;
        pairs->items[pairs->count++].key = fr_milvus_kept(schema, key);
    }
    pairs->items[at].value = fr_milvus_kept(schema, value);
    return FR_OK;
}

const fr_milvus_field *fr_milvus_field_of(const fr_milvus_schema *schema, const char *name)
{
    for (uint32_t i = 0; i < schema->field_count; i++)
        if (strcmp(schema->fields[i].name, name) == 0) return &schema->fields[i];
    return NULL;
}

const fr_milvus_index *fr_milvus_index_of(const fr_milvus_schema *schema, const fr_milvus_field *field)
{
    for (uint32_t i = 0; i < schema->index_count; i++)
        if (schema->indexes[i].field < schema->field_count && &schema->fields[schema->indexes[i].field] == field) return &schema->indexes[i];
    return NULL;
}

const fr_milvus_partition *fr_milvus_partition_of(const fr_milvus_schema *schema, const char *name)
{
    for (uint32_t i = 0; i < schema->partition_count; i++)
        if (strcmp(schema->partitions[i].name, name) == 0) return &schema->partitions[i];
    return NULL;
}

/* ---- out of the document ---- */

static fr_doc member(fr_doc object, const char *key) { return fr_doc_get(object, fr_span_text(key)); }

static const char *text_of(fr_milvus_schema *self, fr_doc object, const char *key)
{
    fr_doc value = member(object, key);
    return value.data && fr_doc_type(value) == FR_DOC_STRING ? kept_span(self, fr_doc_string(value)) : "";
}

static int64_t int_of(fr_doc object, const char *key)
{
    fr_doc value = member(object, key);
    return value.data && fr_doc_type(value) == FR_DOC_INT ? fr_doc_int(value) : 0;
}

static bool bool_of(fr_doc object, const char *key)
{
    fr_doc value = member(object, key);
    return value.data && fr_doc_type(value) == FR_DOC_TRUE;
}

static fr_milvus_pairs pairs_of(fr_milvus_schema *self, fr_doc object, const char *key)
{
    fr_doc list = member(object, key), value;
    fr_span name;
    if (!list.data || fr_doc_type(list) != FR_DOC_OBJECT) return (fr_milvus_pairs){0};
    fr_milvus_pairs out = {.items = fr_arena_alloc(&self->arena, FR_MAX(fr_doc_count(list), 1u) * sizeof *out.items)};
    fr_doc_iter iter = fr_doc_begin(list);
    while (out.items && fr_doc_next(&iter, &name, &value)) {
        if (fr_doc_type(value) != FR_DOC_STRING) continue;
        out.items[out.count++] = (fr_milvus_pair){kept_span(self, name), kept_span(self, fr_doc_string(value))};
    }
    return out;
}

static uint32_t param_number(const fr_milvus_pairs *params, const char *key)
{
    const char *text = fr_milvus_pairs_get(params, key);
    unsigned long value = text ? strtoul(text, NULL, 10) : 0;
    return value > UINT32_MAX ? 0 : (uint32_t)value;
}

/* An array of objects under `key`: room for its items. */
static void *array_room(fr_milvus_schema *self, fr_doc object, const char *key, size_t size, fr_doc *list_out, uint32_t *count_out)
{
    fr_doc list = member(object, key);
    *count_out = list.data && fr_doc_type(list) == FR_DOC_ARRAY ? fr_doc_count(list) : 0;
    *list_out = list;
    void *items = fr_arena_alloc(&self->arena, FR_MAX(*count_out, 1u) * size);
    if (items) memset(items, 0, FR_MAX(*count_out, 1u) * size);
    else *count_out = 0;
    return items;
}

static uint32_t field_index(const fr_milvus_schema *self, fr_span name)
{
    for (uint32_t i = 0; i < self->field_count; i++)
        if (fr_span_equal(fr_span_text(self->fields[i].name), name)) return i;
    return UINT32_MAX;
}

static void fields_read(fr_milvus_schema *self, fr_doc root)
{
    fr_doc list;
    self->fields = array_room(self, root, "fields", sizeof *self->fields, &list, &self->field_count);
    for (uint32_t i = 0; i < self->field_count; i++) {
        fr_doc one = fr_doc_at(list, i), value = member(one, "default");
        fr_milvus_field *field = &self->fields[i];
        *field = (fr_milvus_field){.id = int_of(one, "id"), .name = text_of(self, one, "name"), .description = text_of(self, one, "description"),
                                   .type = (int32_t)int_of(one, "type"), .element_type = (int32_t)int_of(one, "element"),
                                   .primary = bool_of(one, "primary"), .auto_id = bool_of(one, "auto_id"), .nullable = bool_of(one, "nullable"),
                                   .partition_key = bool_of(one, "partition_key"), .clustering_key = bool_of(one, "clustering_key"),
                                   .function_output = bool_of(one, "function_output"), .params = pairs_of(self, one, "params"), .vector = -1};
        field->dimension = param_number(&field->params, "dim");
        field->max_length = param_number(&field->params, "max_length");
        field->max_capacity = param_number(&field->params, "max_capacity");
        if (value.data) field->default_value = (fr_doc){fr_arena_copy(&self->arena, value.data, fr_doc_size(value))};
        if (field->primary) self->primary = i;
        if (field->partition_key) self->partition_key = (int32_t)i;
    }
}

static void names_read(fr_milvus_schema *self, fr_doc object, const char *key, uint32_t **out, uint32_t *count_out)
{
    fr_doc list;
    uint32_t count;
    *out = array_room(self, object, key, sizeof **out, &list, &count);
    for (uint32_t i = 0; i < count; i++) {
        fr_doc name = fr_doc_at(list, i);
        uint32_t at = fr_doc_type(name) == FR_DOC_STRING ? field_index(self, fr_doc_string(name)) : UINT32_MAX;
        if (at != UINT32_MAX) (*out)[(*count_out)++] = at;
    }
}

static void functions_read(fr_milvus_schema *self, fr_doc root)
{
    fr_doc list;
    self->functions = array_room(self, root, "functions", sizeof *self->functions, &list, &self->function_count);
    for (uint32_t i = 0; i < self->function_count; i++) {
        fr_doc one = fr_doc_at(list, i);
        fr_milvus_function *function = &self->functions[i];
        *function = (fr_milvus_function){.id = int_of(one, "id"), .name = text_of(self, one, "name"),
                                         .description = text_of(self, one, "description"), .type = (int32_t)int_of(one, "type"),
                                         .params = pairs_of(self, one, "params")};
        names_read(self, one, "inputs", &function->inputs, &function->input_count);
        names_read(self, one, "outputs", &function->outputs, &function->output_count);
    }
}

static void indexes_read(fr_milvus_schema *self, fr_doc root)
{
    fr_doc list;
    uint32_t count;
    self->indexes = array_room(self, root, "indexes", sizeof *self->indexes, &list, &count);
    for (uint32_t i = 0; i < count; i++) {
        fr_doc one = fr_doc_at(list, i);
        const char *name = text_of(self, one, "field");
        fr_milvus_pairs params = pairs_of(self, one, "params");
        uint32_t field = field_index(self, fr_span_text(name));
        if (field == UINT32_MAX && !(self->dynamic && fr_milvus_pairs_get(&params, "json_path"))) continue; /* dropped since */
        self->indexes[self->index_count++] = (fr_milvus_index){int_of(one, "id"), text_of(self, one, "name"), field, name, params};
    }
}

static void partitions_read(fr_milvus_schema *self, fr_doc root)
{
    fr_doc list;
    self->partitions = array_room(self, root, "partitions", sizeof *self->partitions, &list, &self->partition_count);
    for (uint32_t i = 0; i < self->partition_count; i++) {
        fr_doc one = fr_doc_at(list, i);
        self->partitions[i] = (fr_milvus_partition){int_of(one, "id"), text_of(self, one, "name"), int_of(one, "created"), bool_of(one, "loaded")};
    }
}

static void attributes_read(fr_milvus_schema *self, fr_doc root)
{
    self->description = text_of(self, root, "description");
    self->auto_id = bool_of(root, "auto_id");
    self->dynamic = bool_of(root, "dynamic");
    self->loaded = bool_of(root, "loaded");
    self->consistency = (int32_t)int_of(root, "consistency");
    self->shards = (int32_t)int_of(root, "shards");
    self->updated = (uint64_t)int_of(root, "updated");
    self->next_field_id = int_of(root, "next_field");
    self->next_index_id = int_of(root, "next_index");
    self->next_partition_id = int_of(root, "next_partition");
    self->properties = pairs_of(self, root, "properties");
    const char *ttl = fr_milvus_pairs_get(&self->properties, FR_MILVUS_TTL_PROPERTY);
    self->ttl_s = ttl ? FR_MAX(strtoll(ttl, NULL, 10), 0ll) : 0; /* it was judged when it was set */
    fields_read(self, root);
    functions_read(self, root);
    indexes_read(self, root);
    partitions_read(self, root);
}

/* ---- out of the definition ---- */

static bool is_vector(fr_type type) { return type >= FR_TYPE_VECTOR_BINARY; }

static const char *metric_name(fr_metric metric)
{
    static const char *const names[] = {"L2", "IP", "COSINE", "HAMMING", "JACCARD", "BM25"};
    return (unsigned)metric < FR_COUNT_OF(names) ? names[metric] : "L2";
}

static fr_code number_set(fr_milvus_schema *self, fr_milvus_pairs *pairs, const char *key, uint32_t number)
{
    char text[16];
    snprintf(text, sizeof text, "%u", number);
    return number ? fr_milvus_pairs_set(self, pairs, key, text) : FR_OK;
}

static fr_code index_derive(fr_milvus_schema *self, uint32_t field)
{
    fr_milvus_index *index = &self->indexes[self->index_count++];
    *index = (fr_milvus_index){.id = self->next_index_id++, .name = self->fields[field].name, .field = field, .field_name = self->fields[field].name};
    FR_TRY(fr_milvus_pairs_set(self, &index->params, "index_type", "AUTOINDEX"));
    return fr_milvus_pairs_set(self, &index->params, "metric_type", metric_name(self->fields[field].metric));
}

static fr_code field_derive(fr_milvus_schema *self, const fr_field_def *def, fr_id_type id_type)
{
    fr_milvus_field *field = &self->fields[self->field_count++];
    bool key = def->primary || def->id == FR_FIELD_KEY;
    fr_type type = key && def->type == FR_TYPE_NONE ? FR_TYPE_VARCHAR : def->type;
    if (key) type = id_type == FR_ID_INT64 ? FR_TYPE_INT64 : FR_TYPE_VARCHAR;
    *field = (fr_milvus_field){.id = self->next_field_id++, .name = fr_milvus_kept(self, def->name), .description = "", .type = (int32_t)type,
                               .element_type = (int32_t)def->element_type, .dimension = def->dimension, .max_length = def->max_length,
                               .max_capacity = def->max_capacity, .primary = key, .nullable = def->nullable, .vector = -1};
    if (type == FR_TYPE_VARCHAR && !field->max_length) field->max_length = key ? FR_KEY_BYTES_MAX : 65535;
    FR_TRY(number_set(self, &field->params, "dim", field->dimension));
    FR_TRY(number_set(self, &field->params, "max_length", field->max_length));
    return number_set(self, &field->params, "max_capacity", field->max_capacity);
}

/* A collection that another door has made. */
static fr_code derive(fr_milvus_schema *self, const fr_collection_def *def)
{
    self->foreign = self->dynamic = self->loaded = true;
    self->dynamic = !def->no_dynamic;
    self->consistency = 2; /* Bounded: what a client gets that does not say */
    self->shards = 1;
    self->next_field_id = FR_MILVUS_FIRST_FIELD_ID, self->next_index_id = 1, self->next_partition_id = 1;
    self->fields = fr_arena_alloc(&self->arena, FR_FIELDS_MAX * sizeof *self->fields);
    self->indexes = fr_arena_alloc(&self->arena, FR_VECTOR_FIELDS_MAX * sizeof *self->indexes);
    self->partitions = fr_arena_alloc(&self->arena, sizeof *self->partitions);
    if (!self->fields || !self->indexes || !self->partitions) return FR_ERR_NO_MEMORY;
    self->partitions[0] = (fr_milvus_partition){0, FR_MILVUS_DEFAULT_PARTITION, self->created_ms, true};
    self->partition_count = 1;
    for (uint32_t i = 0; i < def->field_count && i < FR_FIELDS_MAX; i++) {
        if (def->fields[i].id == FR_FIELD_DYNAMIC) continue;
        FR_TRY(field_derive(self, &def->fields[i], def->id_type));
        if (self->fields[self->field_count - 1].primary) self->primary = self->field_count - 1;
    }
    return FR_OK;
}

/* Which field of the engine each field is. */
static fr_code match(fr_milvus_schema *self, const fr_collection_def *def)
{
    for (uint32_t i = 0; i < def->field_count && i < FR_FIELDS_MAX; i++) {
        const fr_field_def *from = &def->fields[i];
        int32_t place = is_vector(from->type) ? (int32_t)self->vector_count++ : -1;
        uint32_t at = field_index(self, fr_span_text(from->name));
        if (at == UINT32_MAX) {
            if (self->foreign || from->id == FR_FIELD_DYNAMIC) continue;
            fr_milvus_field *fields = fr_milvus_grown(self, self->fields, self->field_count, sizeof *fields); /* another door's */
            if (!fields) return FR_ERR_NO_MEMORY;
            self->fields = fields;
            at = self->field_count;
            FR_TRY(field_derive(self, from, def->id_type));
        }
        fr_milvus_field *field = &self->fields[at];
        field->engine_field = from->id;
        field->vector = place;
        field->metric = from->metric;
        if (self->foreign && place >= 0 && self->index_count < FR_VECTOR_FIELDS_MAX) FR_TRY(index_derive(self, at));
    }
    return FR_OK;
}

static fr_code schema_read(fr_db *db, fr_id id, uint64_t version, fr_milvus_schema *self, fr_collection_info *info, fr_err *err)
{
    fr_span bytes = {0};
    fr_code code = fr_collection_get(db, id, info);
    if (code != FR_OK) return fr_fail(err, code, "collection", "does not exist");
    self->id = id, self->version = version;
    self->created_ms = info->created_ms;
    self->database = info->def.database[0] ? fr_milvus_kept(self, info->def.database) : "default";
    self->name = fr_milvus_kept(self, info->def.name);
    code = fr_collection_attributes(db, id, &bytes);
    if (code == FR_ERR_UNSUPPORTED) code = FR_OK, bytes = (fr_span){0};
    if (code != FR_OK) return fr_fail(err, code, "collection", "has no attributes to be read");
    if (bytes.size) {
        void *copy = fr_arena_copy(&self->arena, bytes.data, bytes.size);
        self->attributes = fr_span_of(copy, copy ? bytes.size : 0);
        fr_bytes_free(bytes);
        if (!copy) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a schema");
        FR_TRY(fr_doc_check(self->attributes, err));
    }
    fr_doc root = member(fr_doc_root(self->attributes), "milvus");
    if (root.data && fr_doc_type(root) == FR_DOC_OBJECT) attributes_read(self, root);
    else FR_TRY(derive(self, &info->def));
    FR_TRY(match(self, &info->def));
    if (!self->field_count || !self->partition_count) return fr_fail(err, FR_ERR_CORRUPT, "collection", "its attributes have no fields");
    if (!self->updated) self->updated = (uint64_t)self->created_ms << 18;
    return FR_OK;
}

static fr_code load_id(fr_db *db, fr_id id, uint64_t version, fr_milvus_schema **out, fr_err *err)
{
    fr_milvus_schema *self = fr_milvus_schema_new();
    fr_collection_info *info = fr_alloc(FR_MEM_DOOR, sizeof *info);
    fr_code code = self && info ? schema_read(db, id, version, self, info, err) : fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a schema");
    fr_free(FR_MEM_DOOR, info);
    if (code == FR_OK) *out = self;
    else fr_milvus_schema_free(self);
    return code;
}

fr_code fr_milvus_schema_load(fr_db *db, const char *database, const char *name, fr_milvus_schema **out, fr_err *err)
{
    fr_id id;
    uint64_t version = 0;
    FR_TRY(fr_resolve_in(db, database, name, &id, &version, err));
    return load_id(db, id, version, out, err);
}

/* ---- into the document ---- */

static void key_put(fr_doc_builder *b, const char *key) { fr_doc_put_key(b, key, strlen(key)); }

static void text_put(fr_doc_builder *b, const char *key, const char *text)
{
    if (!text || !*text) return;
    key_put(b, key);
    fr_doc_put_string(b, text, strlen(text));
}

static void int_put(fr_doc_builder *b, const char *key, int64_t value)
{
    key_put(b, key);
    fr_doc_put_int(b, value);
}

static void flag_put(fr_doc_builder *b, const char *key, bool value)
{
    if (!value) return;
    key_put(b, key);
    fr_doc_put_bool(b, true);
}

static void pairs_put(fr_doc_builder *b, const char *key, const fr_milvus_pairs *pairs)
{
    if (!pairs->count) return;
    key_put(b, key);
    fr_doc_begin_object(b);
    for (uint32_t i = 0; i < pairs->count; i++) {
        key_put(b, pairs->items[i].key);
        fr_doc_put_string(b, pairs->items[i].value, strlen(pairs->items[i].value));
    }
    fr_doc_end_object(b);
}

static void fields_put(const fr_milvus_schema *self, fr_doc_builder *b)
{
    key_put(b, "fields");
    fr_doc_begin_array(b);
    for (uint32_t i = 0; i < self->field_count; i++) {
        const fr_milvus_field *field = &self->fields[i];
        fr_doc_begin_object(b);
        int_put(b, "id", field->id);
        text_put(b, "name", field->name);
        text_put(b, "description", field->description);
        int_put(b, "type", field->type);
        if (field->element_type) int_put(b, "element", field->element_type);
        flag_put(b, "primary", field->primary);
        flag_put(b, "auto_id", field->auto_id);
        flag_put(b, "nullable", field->nullable);
        flag_put(b, "partition_key", field->partition_key);
        flag_put(b, "clustering_key", field->clustering_key);
        flag_put(b, "function_output", field->function_output);
        pairs_put(b, "params", &field->params);
        if (field->default_value.data) {
            key_put(b, "default");
            fr_doc_put_value(b, field->default_value);
        }
        fr_doc_end_object(b);
    }
    fr_doc_end_array(b);
}

static void names_put(const fr_milvus_schema *self, fr_doc_builder *b, const char *key, const uint32_t *places, uint32_t count)
{
    key_put(b, key);
    fr_doc_begin_array(b);
    for (uint32_t i = 0; i < count; i++) fr_doc_put_string(b, self->fields[places[i]].name, strlen(self->fields[places[i]].name));
    fr_doc_end_array(b);
}

static void functions_put(const fr_milvus_schema *self, fr_doc_builder *b)
{
    key_put(b, "functions");
    fr_doc_begin_array(b);
    for (uint32_t i = 0; i < self->function_count; i++) {
        const fr_milvus_function *function = &self->functions[i];
        fr_doc_begin_object(b);
        int_put(b, "id", function->id);
        text_put(b, "name", function->name);
        text_put(b, "description", function->description);
        int_put(b, "type", function->type);
        names_put(self, b, "inputs", function->inputs, function->input_count);
        names_put(self, b, "outputs", function->outputs, function->output_count);
        pairs_put(b, "params", &function->params);
        fr_doc_end_object(b);
    }
    fr_doc_end_array(b);
}

static void indexes_put(const fr_milvus_schema *self, fr_doc_builder *b)
{
    key_put(b, "indexes");
    fr_doc_begin_array(b);
    for (uint32_t i = 0; i < self->index_count; i++) {
        const fr_milvus_index *index = &self->indexes[i];
        fr_doc_begin_object(b);
        int_put(b, "id", index->id);
        text_put(b, "name", index->name);
        text_put(b, "field", index->field_name);
        pairs_put(b, "params", &index->params);
        fr_doc_end_object(b);
    }
    fr_doc_end_array(b);
}

static void partitions_put(const fr_milvus_schema *self, fr_doc_builder *b)
{
    key_put(b, "partitions");
    fr_doc_begin_array(b);
    for (uint32_t i = 0; i < self->partition_count; i++) {
        const fr_milvus_partition *partition = &self->partitions[i];
        fr_doc_begin_object(b);
        int_put(b, "id", partition->id);
        text_put(b, "name", partition->name);
        int_put(b, "created", partition->created_ms);
        flag_put(b, "loaded", partition->loaded);
        fr_doc_end_object(b);
    }
    fr_doc_end_array(b);
}

fr_code fr_milvus_schema_write(const fr_milvus_schema *schema, fr_doc_builder *b, fr_span *bytes_out)
{
    fr_doc root = fr_doc_root(schema->attributes), value;
    fr_span key;
    fr_doc_reset(b);
    fr_doc_begin_object(b);
    if (root.data && fr_doc_type(root) == FR_DOC_OBJECT) {
        fr_doc_iter iter = fr_doc_begin(root);
        while (fr_doc_next(&iter, &key, &value)) {
            if (fr_span_equal(key, fr_span_text("milvus"))) continue;
            fr_doc_put_key(b, key.data, key.size);
            fr_doc_put_value(b, value);
        }
    }
    key_put(b, "milvus");
    fr_doc_begin_object(b);
    text_put(b, "description", schema->description);
    flag_put(b, "auto_id", schema->auto_id);
    flag_put(b, "dynamic", schema->dynamic);
    flag_put(b, "loaded", schema->loaded);
    int_put(b, "consistency", schema->consistency);
    int_put(b, "shards", schema->shards);
    int_put(b, "updated", (int64_t)schema->updated);
    int_put(b, "next_field", schema->next_field_id);
    int_put(b, "next_index", schema->next_index_id);
    int_put(b, "next_partition", schema->next_partition_id);
    pairs_put(b, "properties", &schema->properties);
    fields_put(schema, b);
    functions_put(schema, b);
    indexes_put(schema, b);
    partitions_put(schema, b);
    fr_doc_end_object(b);
    fr_doc_end_object(b);
    return fr_doc_finish(b, bytes_out);
}

/* ---- the cache: one slot per hash of an id, the last version asked for ---- */

struct fr_milvus_cache {
    pthread_mutex_t mutex;
    fr_milvus_schema *slots[CACHE_SLOTS]; /* each with a reference */
};

struct fr_milvus_cache *fr_milvus_cache_create(void)
{
    struct fr_milvus_cache *self = fr_zalloc(FR_MEM_DOOR, sizeof *self);
    if (self) pthread_mutex_init(&self->mutex, NULL);
    return self;
}

void fr_milvus_schema_drop(struct fr_milvus_cache *cache, fr_milvus_schema *schema)
{
    (void)cache;
    if (schema && atomic_fetch_sub(&schema->refs, 1) == 1) fr_milvus_schema_free(schema);
}

void fr_milvus_cache_free(struct fr_milvus_cache *cache)
{
    if (!cache) return;
    for (uint32_t i = 0; i < CACHE_SLOTS; i++) fr_milvus_schema_drop(cache, cache->slots[i]);
    pthread_mutex_destroy(&cache->mutex);
    fr_free(FR_MEM_DOOR, cache);
}

fr_code fr_milvus_cache_get(struct fr_milvus_cache *cache, fr_db *db, const char *database, const char *name, fr_milvus_schema **out,
                            fr_err *err)
{
    fr_id id;
    uint64_t version = 0;
    FR_TRY(fr_resolve_in(db, database, name, &id, &version, err));
    fr_milvus_schema **slot = &cache->slots[fr_mix64(id) % CACHE_SLOTS], *found = NULL, *old = NULL;
    pthread_mutex_lock(&cache->mutex);
    if (*slot && (*slot)->id == id && (*slot)->version == version) found = *slot;
    if (found) atomic_fetch_add(&found->refs, 1);
    pthread_mutex_unlock(&cache->mutex);
    if (found) {
        *out = found;
        return FR_OK;
    }
    FR_TRY(load_id(db, id, version, &found, err));
    atomic_fetch_add(&found->refs, 1); /* the slot's */
    pthread_mutex_lock(&cache->mutex);
    old = *slot;
    *slot = found;
    pthread_mutex_unlock(&cache->mutex);
    fr_milvus_schema_drop(cache, old);
    *out = found;
    return FR_OK;
}
