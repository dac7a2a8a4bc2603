/* milvus_rest_admin.c: REST's collections, partitions, indexes, aliases, databases, users, roles; and the table of routes. */
#include "api/milvus/milvus_rest_private.h"

#include <stdio.h>

#define REQUEST(variable, type, rpc) \
    type *variable = fr_milvus_rest_request(rest, rpc); \
    if (!variable) return fr_milvus_rest_fail(rest, MILVUS_MEMORY, "no memory for the request")
#define RUN(rpc, request) \
    if (!fr_milvus_rest_run(door, rest, worker, rpc, request)) return FR_MILVUS_REPLY

/* ---- what is written often ---- */

static void text_out(fr_milvus_rest *rest, const char *key, const char *text)
{
    fr_out_key(&rest->out, key);
    fr_out_cstring(&rest->out, text);
}

static void int_out(fr_milvus_rest *rest, const char *key, int64_t value)
{
    fr_out_key(&rest->out, key);
    fr_out_int(&rest->out, value);
}

static void flag_out(fr_milvus_rest *rest, const char *key, bool value)
{
    fr_out_key(&rest->out, key);
    fr_out_bool(&rest->out, value);
}

static fr_milvus_next list_out(fr_milvus_rest *rest, char *const *items, size_t count)
{
    fr_milvus_rest_begin(rest);
    fr_out_begin(&rest->out, '[');
    for (size_t i = 0; i < count; i++) fr_out_cstring(&rest->out, items[i]);
    fr_out_end(&rest->out, ']');
    return fr_milvus_rest_end(rest);
}

static void pairs_out(fr_milvus_rest *rest, Milvus__KeyValuePair *const *pairs, size_t count)
{
    fr_out_begin(&rest->out, '[');
    for (size_t i = 0; i < count; i++) {
        fr_out_begin(&rest->out, '{');
        text_out(rest, "key", pairs[i]->key);
        text_out(rest, "value", pairs[i]->value);
        fr_out_end(&rest->out, '}');
    }
    fr_out_end(&rest->out, ']');
}

static fr_milvus_next one_flag(fr_milvus_rest *rest, const char *key, bool value)
{
    fr_milvus_rest_begin(rest);
    fr_out_begin(&rest->out, '{');
    flag_out(rest, key, value);
    fr_out_end(&rest->out, '}');
    return fr_milvus_rest_end(rest);
}

/* ---- collections ---- */

static fr_milvus_next on_list(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    RUN("ShowCollections", fr_milvus_rest_request(rest, "ShowCollections"));
    const Milvus__ShowCollectionsResponse *reply = rest->call.reply;
    return list_out(rest, reply->collection_names, reply->n_collection_names);
}

static fr_milvus_next on_has(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    RUN("HasCollection", fr_milvus_rest_request(rest, "HasCollection"));
    return one_flag(rest, "has", ((const Milvus__BoolResponse *)rest->call.reply)->value);
}

static const struct {
    int32_t type;
    const char *name;
} types[] = {{1, "Bool"}, {2, "Int8"}, {3, "Int16"}, {4, "Int32"}, {5, "Int64"}, {10, "Float"}, {11, "Double"}, {21, "VarChar"}, {22, "Array"},
             {23, "JSON"}, {100, "BinaryVector"}, {101, "FloatVector"}, {102, "Float16Vector"}, {103, "BFloat16Vector"},
             {104, "SparseFloatVector"}, {105, "Int8Vector"}};

static const char *type_name(int32_t type)
{
    for (size_t i = 0; i < FR_COUNT_OF(types); i++)
        if (types[i].type == type) return types[i].name;
    return "None";
}

static int32_t type_of(const char *name)
{
    for (size_t i = 0; i < FR_COUNT_OF(types); i++)
        if (strcmp(types[i].name, name) == 0) return types[i].type;
    return 0;
}

static void field_out(fr_milvus_rest *rest, const Milvus__FieldSchema *field)
{
    fr_out_begin(&rest->out, '{');
    text_out(rest, "name", field->name);
    text_out(rest, "type", type_name(field->data_type));
    flag_out(rest, "primaryKey", field->is_primary_key);
    flag_out(rest, "partitionKey", field->is_partition_key);
    flag_out(rest, "clusteringKey", field->is_clustering_key);
    flag_out(rest, "autoId", field->autoid);
    flag_out(rest, "nullable", field->nullable);
    text_out(rest, "description", field->description);
    int_out(rest, "id", field->fieldid);
    if (field->element_type) text_out(rest, "elementType", type_name(field->element_type));
    if (field->n_type_params) {
        fr_out_key(&rest->out, "params");
        pairs_out(rest, field->type_params, field->n_type_params);
    }
    fr_out_end(&rest->out, '}');
}

static void names_out(fr_milvus_rest *rest, const char *key, char *const *names, size_t count)
{
    fr_out_key(&rest->out, key);
    fr_out_begin(&rest->out, '[');
    for (size_t i = 0; i < count; i++) fr_out_cstring(&rest->out, names[i]);
    fr_out_end(&rest->out, ']');
}

static void function_out(fr_milvus_rest *rest, const Milvus__FunctionSchema *function)
{
    fr_out_begin(&rest->out, '{');
    text_out(rest, "name", function->name);
    text_out(rest, "description", function->description);
    text_out(rest, "type", function->type == MILVUS_FUNCTION_BM25 ? "BM25" : "Unknown");
    int_out(rest, "id", function->id);
    names_out(rest, "inputFieldNames", function->input_field_names, function->n_input_field_names);
    names_out(rest, "outputFieldNames", function->output_field_names, function->n_output_field_names);
    fr_out_key(&rest->out, "params");
    pairs_out(rest, function->params, function->n_params);
    fr_out_end(&rest->out, '}');
}

static void indexes_out(fr_milvus_rest *rest, const fr_milvus_schema *schema)
{
    fr_out_begin(&rest->out, '[');
    for (uint32_t i = 0; i < schema->index_count; i++) {
        const fr_milvus_index *index = &schema->indexes[i];
        const char *metric = fr_milvus_pairs_get(&index->params, "metric_type");
        fr_out_begin(&rest->out, '{');
        text_out(rest, "indexName", index->name);
        text_out(rest, "fieldName", schema->fields[index->field].name);
        text_out(rest, "metricType", metric ? metric : "");
        fr_out_end(&rest->out, '}');
    }
    fr_out_end(&rest->out, ']');
}

static fr_milvus_next on_describe(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    static const char *const levels[] = {"Strong", "Session", "Bounded", "Eventually", "Customized"};
    RUN("DescribeCollection", fr_milvus_rest_request(rest, "DescribeCollection"));
    const Milvus__DescribeCollectionResponse *reply = rest->call.reply;
    const fr_milvus_schema *schema = rest->call.schemas[0];
    fr_milvus_rest_begin(rest);
    fr_out_begin(&rest->out, '{');
    text_out(rest, "collectionName", reply->collection_name);
    int_out(rest, "collectionID", reply->collectionid);
    text_out(rest, "description", reply->schema->description);
    flag_out(rest, "autoId", schema->auto_id);
    fr_out_key(&rest->out, "fields");
    fr_out_begin(&rest->out, '[');
    for (size_t i = 0; i < reply->schema->n_fields; i++) field_out(rest, reply->schema->fields[i]);
    fr_out_end(&rest->out, ']');
    fr_out_key(&rest->out, "functions");
    fr_out_begin(&rest->out, '[');
    for (size_t i = 0; i < reply->schema->n_functions; i++) function_out(rest, reply->schema->functions[i]);
    fr_out_end(&rest->out, ']');
    names_out(rest, "aliases", reply->aliases, reply->n_aliases);
    fr_out_key(&rest->out, "indexes");
    indexes_out(rest, schema);
    text_out(rest, "load", schema->loaded ? "LoadStateLoaded" : "LoadStateNotLoad");
    int_out(rest, "shardsNum", reply->shards_num);
    int_out(rest, "partitionsNum", reply->num_partitions);
    text_out(rest, "consistencyLevel", (uint32_t)reply->consistency_level < FR_COUNT_OF(levels) ? levels[reply->consistency_level] : "Bounded");
    flag_out(rest, "enableDynamicField", reply->schema->enable_dynamic_field);
    fr_out_key(&rest->out, "properties");
    pairs_out(rest, reply->properties, reply->n_properties);
    fr_out_end(&rest->out, '}');
    return fr_milvus_rest_end(rest);
}

/* ---- create ---- */

static bool default_in(fr_milvus_rest *rest, Milvus__FieldSchema *field, fr_doc value)
{
    Milvus__ValueField *out = fr_milvus_message(&rest->call.arena, &milvus__value_field__descriptor);
    if (!out) return false;
    field->default_value = out;
    switch (fr_doc_type(value)) {
    case FR_DOC_TRUE:
    case FR_DOC_FALSE: out->data_case = MILVUS__VALUE_FIELD__DATA_BOOL_DATA, out->bool_data = fr_doc_type(value) == FR_DOC_TRUE; break;
    case FR_DOC_INT:
        if (field->data_type == FR_TYPE_FLOAT || field->data_type == FR_TYPE_DOUBLE)
            out->data_case = MILVUS__VALUE_FIELD__DATA_DOUBLE_DATA, out->double_data = (double)fr_doc_int(value);
        else out->data_case = MILVUS__VALUE_FIELD__DATA_LONG_DATA, out->long_data = fr_doc_int(value);
        break;
    case FR_DOC_FLOAT: out->data_case = MILVUS__VALUE_FIELD__DATA_DOUBLE_DATA, out->double_data = fr_doc_number(value); break;
    case FR_DOC_STRING: {
        fr_span text = fr_doc_string(value);
        out->data_case = MILVUS__VALUE_FIELD__DATA_STRING_DATA;
        out->string_data = (ProtobufCBinaryData){text.size, (uint8_t *)(uintptr_t)text.data};
        break;
    }
    default: return false;
    }
    return true;
}

static Milvus__FieldSchema *field_in(fr_milvus_rest *rest, fr_doc one)
{
    Milvus__FieldSchema *field = fr_milvus_message(&rest->call.arena, &milvus__field_schema__descriptor);
    fr_doc value = fr_doc_get(one, fr_span_text("defaultValue"));
    if (!field) return NULL;
    field->name = fr_milvus_rest_text(rest, one, "fieldName");
    field->description = fr_milvus_rest_text(rest, one, "description");
    field->data_type = type_of(fr_milvus_rest_text(rest, one, "dataType"));
    field->element_type = type_of(fr_milvus_rest_text(rest, one, "elementDataType"));
    field->is_primary_key = fr_milvus_rest_bool(one, "isPrimary", false);
    field->is_partition_key = fr_milvus_rest_bool(one, "isPartitionKey", false);
    field->is_clustering_key = fr_milvus_rest_bool(one, "isClusteringKey", false);
    field->nullable = fr_milvus_rest_bool(one, "nullable", false);
    field->type_params = fr_milvus_rest_pairs(rest, fr_doc_get(one, fr_span_text("elementTypeParams")), &field->n_type_params);
    if (value.data && fr_doc_type(value) != FR_DOC_NULL && !default_in(rest, field, value)) return NULL;
    return field;
}

static Milvus__FunctionSchema *function_in(fr_milvus_rest *rest, fr_doc one)
{
    Milvus__FunctionSchema *function = fr_milvus_message(&rest->call.arena, &milvus__function_schema__descriptor);
    if (!function) return NULL;
    function->name = fr_milvus_rest_text(rest, one, "name");
    function->description = fr_milvus_rest_text(rest, one, "description");
    function->type = strcmp(fr_milvus_rest_text(rest, one, "type"), "BM25") == 0 ? MILVUS_FUNCTION_BM25 : 2;
    function->input_field_names = fr_milvus_rest_texts(rest, one, "inputFieldNames", &function->n_input_field_names);
    function->output_field_names = fr_milvus_rest_texts(rest, one, "outputFieldNames", &function->n_output_field_names);
    function->params = fr_milvus_rest_pairs(rest, fr_doc_get(one, fr_span_text("params")), &function->n_params);
    return function;
}

static bool schema_full(fr_milvus_rest *rest, fr_doc given, Milvus__CollectionSchema *schema)
{
    fr_doc fields = fr_doc_get(given, fr_span_text("fields")), functions = fr_doc_get(given, fr_span_text("functions"));
    uint32_t count = fields.data && fr_doc_type(fields) == FR_DOC_ARRAY ? fr_doc_count(fields) : 0;
    uint32_t function_count = functions.data && fr_doc_type(functions) == FR_DOC_ARRAY ? fr_doc_count(functions) : 0;
    schema->fields = fr_milvus_alloc(&rest->call, count * sizeof *schema->fields);
    schema->functions = fr_milvus_alloc(&rest->call, function_count * sizeof *schema->functions);
    if (!schema->fields || !schema->functions) return false;
    for (uint32_t i = 0; i < count; i++) {
        if (!(schema->fields[i] = field_in(rest, fr_doc_at(fields, i)))) return false;
        if (schema->fields[i]->is_primary_key) schema->fields[i]->autoid = fr_milvus_rest_bool(given, "autoID", fr_milvus_rest_bool(given, "autoId", false));
        schema->n_fields++;
    }
    for (uint32_t i = 0; i < function_count; i++) {
        if (!(schema->functions[i] = function_in(rest, fr_doc_at(functions, i)))) return false;
        for (size_t j = 0; j < schema->n_fields; j++)
            for (size_t k = 0; k < schema->functions[i]->n_output_field_names; k++)
                if (strcmp(schema->fields[j]->name, schema->functions[i]->output_field_names[k]) == 0) schema->fields[j]->is_function_output = true;
        schema->n_functions++;
    }
    schema->enable_dynamic_field = fr_milvus_rest_bool(given, "enableDynamicField", fr_milvus_rest_bool(given, "enabledDynamicField", false));
    return true;
}

/* One type parameter. */
static bool param_set(fr_milvus_rest *rest, Milvus__FieldSchema *field, const char *key, char *value)
{
    Milvus__KeyValuePair *pair = fr_milvus_message(&rest->call.arena, &milvus__key_value_pair__descriptor);
    if (!pair || !value || !(field->type_params = fr_milvus_alloc(&rest->call, sizeof *field->type_params))) return false;
    pair->key = fr_milvus_mut(key), pair->value = value;
    field->type_params[0] = pair, field->n_type_params = 1;
    return true;
}

static bool schema_quick(fr_milvus_rest *rest, Milvus__CollectionSchema *schema)
{
    fr_doc params = fr_milvus_rest_get(rest, "params");
    const char *key = fr_milvus_rest_text(rest, rest->root, "primaryFieldName"), *vector = fr_milvus_rest_text(rest, rest->root, "vectorFieldName");
    const char *type = fr_milvus_rest_text(rest, rest->root, "idType");
    Milvus__FieldSchema *id = fr_milvus_message(&rest->call.arena, &milvus__field_schema__descriptor);
    Milvus__FieldSchema *data = fr_milvus_message(&rest->call.arena, &milvus__field_schema__descriptor);
    if (!id || !data || !(schema->fields = fr_milvus_alloc(&rest->call, 2 * sizeof *schema->fields))) return false;
    bool text = strcasecmp(type, "VarChar") == 0 || strcasecmp(type, "string") == 0;
    char *length = fr_milvus_rest_text(rest, params, "max_length"), most[] = "65535";
    id->name = fr_milvus_mut(*key ? key : "id"), id->is_primary_key = true, id->data_type = text ? FR_TYPE_VARCHAR : FR_TYPE_INT64;
    id->autoid = fr_milvus_rest_bool(rest->root, "autoID", fr_milvus_rest_bool(rest->root, "autoId", false));
    if (text && !param_set(rest, id, "max_length", *length ? length : fr_milvus_text(&rest->call, "%s", most))) return false;
    data->name = fr_milvus_mut(*vector ? vector : "vector"), data->data_type = FR_TYPE_VECTOR_F32;
    if (!param_set(rest, data, "dim", fr_milvus_rest_text(rest, rest->root, "dimension"))) return false;
    schema->fields[0] = id, schema->fields[1] = data, schema->n_fields = 2;
    schema->enable_dynamic_field = fr_milvus_rest_bool(params, "enableDynamicField", true);
    return true;
}

static int32_t level_of(const char *name)
{
    static const char *const levels[] = {"Strong", "Session", "Bounded", "Eventually", "Customized"};
    for (size_t i = 0; i < FR_COUNT_OF(levels); i++)
        if (strcasecmp(levels[i], name) == 0) return (int32_t)i;
    return *name ? -1 : MILVUS_BOUNDED;
}

static bool pack_into(fr_milvus_rest *rest, const ProtobufCMessage *message, ProtobufCBinaryData *out)
{
    out->len = protobuf_c_message_get_packed_size(message);
    out->data = fr_arena_alloc(&rest->call.arena, FR_MAX(out->len, (size_t)1));
    return out->data && protobuf_c_message_pack(message, out->data) == out->len;
}

static Milvus__KeyValuePair *pair_of(fr_milvus_rest *rest, const char *key, char *value)
{
    Milvus__KeyValuePair *pair = fr_milvus_message(&rest->call.arena, &milvus__key_value_pair__descriptor);
    if (pair) pair->key = fr_milvus_mut(key), pair->value = value;
    return pair;
}

/* One of indexParams; params in it count for themselves. */
static bool index_make(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker, fr_doc one)
{
    Milvus__CreateIndexRequest *in = fr_milvus_rest_request(rest, "CreateIndex");
    fr_doc params = fr_doc_get(one, fr_span_text("params"));
    size_t count = 0;
    Milvus__KeyValuePair **given = fr_milvus_rest_pairs(rest, params, &count);
    if (!in || !given || !(in->extra_params = fr_milvus_alloc(&rest->call, (count + 2) * sizeof *in->extra_params))) {
        fr_milvus_rest_fail(rest, MILVUS_MEMORY, "no memory for the request");
        return false;
    }
    char *type = fr_milvus_rest_text(rest, one, "indexType"), *metric = fr_milvus_rest_text(rest, one, "metricType");
    in->field_name = fr_milvus_rest_text(rest, one, "fieldName");
    in->index_name = fr_milvus_rest_text(rest, one, "indexName");
    if (*type) in->extra_params[in->n_extra_params++] = pair_of(rest, "index_type", type);
    if (*metric) in->extra_params[in->n_extra_params++] = pair_of(rest, "metric_type", metric);
    for (size_t i = 0; i < count; i++)
        if (strcmp(given[i]->key, "index_type") != 0 || !*type) in->extra_params[in->n_extra_params++] = given[i];
    return fr_milvus_rest_run(door, rest, worker, "CreateIndex", in);
}

static bool quick_index(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker, char *field)
{
    Milvus__CreateIndexRequest *in = fr_milvus_rest_request(rest, "CreateIndex");
    char *metric = fr_milvus_rest_text(rest, rest->root, "metricType");
    if (!in || !(in->extra_params = fr_milvus_alloc(&rest->call, 2 * sizeof *in->extra_params))) return false;
    in->field_name = in->index_name = field;
    in->extra_params[in->n_extra_params++] = pair_of(rest, "index_type", fr_milvus_mut("AUTOINDEX"));
    in->extra_params[in->n_extra_params++] = pair_of(rest, "metric_type", *metric ? metric : fr_milvus_mut("COSINE"));
    return fr_milvus_rest_run(door, rest, worker, "CreateIndex", in);
}

static fr_milvus_next on_create(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    fr_doc given = fr_milvus_rest_get(rest, "schema"), params = fr_milvus_rest_get(rest, "params"), list = fr_milvus_rest_get(rest, "indexParams");
    Milvus__CollectionSchema *schema = fr_milvus_message(&rest->call.arena, &milvus__collection_schema__descriptor);
    REQUEST(in, Milvus__CreateCollectionRequest, "CreateCollection");
    if (!schema) return fr_milvus_rest_fail(rest, MILVUS_MEMORY, "no memory for the request");
    bool quick = !given.data;
    if (quick && !fr_milvus_rest_get(rest, "dimension").data)
        return fr_milvus_rest_fail(rest, MILVUS_REST_MISSING,
                                   "missing required parameters, error: dimension is required for quickly create collection(default metric type: COSINE)");
    if (!(quick ? schema_quick(rest, schema) : schema_full(rest, given, schema)))
        return fr_milvus_rest_fail(rest, MILVUS_INVALID_PARAMETER, "the schema is not understood: invalid parameter");
    schema->name = in->collection_name;
    schema->description = fr_milvus_rest_text(rest, rest->root, "description");
    in->shards_num = (int32_t)fr_milvus_rest_int(params, "shardsNum", 1);
    in->num_partitions = fr_milvus_rest_int(params, "partitionsNum", 0);
    in->consistency_level = level_of(fr_milvus_rest_text(rest, params, "consistencyLevel"));
    char *ttl = fr_milvus_rest_text(rest, params, "ttlSeconds");
    if (*ttl && (in->properties = fr_milvus_alloc(&rest->call, sizeof *in->properties)))
        in->properties[in->n_properties++] = pair_of(rest, "collection.ttl.seconds", ttl);
    if (!pack_into(rest, &schema->base, &in->schema)) return fr_milvus_rest_fail(rest, MILVUS_MEMORY, "no memory for the request");
    RUN("CreateCollection", in);
    uint32_t count = list.data && fr_doc_type(list) == FR_DOC_ARRAY ? fr_doc_count(list) : 0;
    if (quick && !quick_index(door, rest, worker, schema->fields[1]->name)) return FR_MILVUS_REPLY;
    for (uint32_t i = 0; !quick && i < count; i++)
        if (!index_make(door, rest, worker, fr_doc_at(list, i))) return FR_MILVUS_REPLY;
    if (quick || count) RUN("LoadCollection", fr_milvus_rest_request(rest, "LoadCollection"));
    return fr_milvus_rest_empty(rest);
}

/* ---- the rest of collections ---- */

static fr_milvus_next on_rename(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    REQUEST(in, Milvus__RenameCollectionRequest, "RenameCollection");
    in->oldname = fr_milvus_rest_text(rest, rest->root, "collectionName");
    in->newname = fr_milvus_rest_text(rest, rest->root, "newCollectionName");
    in->newdbname = fr_milvus_rest_text(rest, rest->root, "newDbName");
    RUN("RenameCollection", in);
    return fr_milvus_rest_empty(rest);
}

static fr_milvus_next count_out(fr_milvus_rest *rest, Milvus__KeyValuePair *const *stats, size_t count)
{
    int64_t rows = 0;
    const char *text = fr_milvus_param(stats, count, "row_count");
    if (!text || !fr_milvus_int(text, &rows)) rows = 0;
    fr_milvus_rest_begin(rest);
    fr_out_begin(&rest->out, '{');
    int_out(rest, "rowCount", rows);
    fr_out_end(&rest->out, '}');
    return fr_milvus_rest_end(rest);
}

static fr_milvus_next on_stats(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    RUN("GetCollectionStatistics", fr_milvus_rest_request(rest, "GetCollectionStatistics"));
    const Milvus__GetCollectionStatisticsResponse *reply = rest->call.reply;
    return count_out(rest, reply->stats, reply->n_stats);
}

static fr_milvus_next on_load_state(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    static const char *const states[] = {"LoadStateNotExist", "LoadStateNotLoad", "LoadStateLoading", "LoadStateLoaded"};
    REQUEST(in, Milvus__GetLoadStateRequest, "GetLoadState");
    in->partition_names = fr_milvus_rest_texts(rest, rest->root, "partitionNames", &in->n_partition_names);
    RUN("GetLoadState", in);
    const Milvus__GetLoadStateResponse *reply = rest->call.reply;
    if (reply->state == MILVUS_LOAD_NOT_EXIST)
        return fr_milvus_rest_fail(rest, MILVUS_COLLECTION_NOT_FOUND, "collection not found[database=%s][collection=%s]",
                                   fr_milvus_database(&rest->call), in->collection_name);
    fr_milvus_rest_begin(rest);
    fr_out_begin(&rest->out, '{');
    text_out(rest, "loadState", states[reply->state & 3]);
    if (reply->state == MILVUS_LOAD_LOADED) int_out(rest, "loadProgress", 100);
    fr_out_end(&rest->out, '}');
    return fr_milvus_rest_end(rest);
}

static fr_milvus_next on_flush(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    REQUEST(in, Milvus__FlushRequest, "Flush");
    if (!(in->collection_names = fr_milvus_alloc(&rest->call, sizeof *in->collection_names)))
        return fr_milvus_rest_fail(rest, MILVUS_MEMORY, "no memory for the request");
    in->collection_names[in->n_collection_names++] = fr_milvus_rest_text(rest, rest->root, "collectionName");
    RUN("Flush", in);
    return fr_milvus_rest_empty(rest);
}

static fr_milvus_next on_refresh(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    REQUEST(in, Milvus__LoadCollectionRequest, "LoadCollection");
    in->refresh = true;
    RUN("LoadCollection", in);
    return fr_milvus_rest_empty(rest);
}

static fr_milvus_next on_properties(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    REQUEST(in, Milvus__AlterCollectionRequest, "AlterCollection");
    in->properties = fr_milvus_rest_pairs(rest, fr_milvus_rest_get(rest, "properties"), &in->n_properties);
    in->delete_keys = fr_milvus_rest_texts(rest, rest->root, "propertyKeys", &in->n_delete_keys);
    RUN("AlterCollection", in);
    return fr_milvus_rest_empty(rest);
}

static fr_milvus_next on_field_properties(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    REQUEST(in, Milvus__AlterCollectionFieldRequest, "AlterCollectionField");
    in->field_name = fr_milvus_rest_text(rest, rest->root, "fieldName");
    in->properties = fr_milvus_rest_pairs(rest, fr_milvus_rest_get(rest, "fieldParams"), &in->n_properties);
    RUN("AlterCollectionField", in);
    return fr_milvus_rest_empty(rest);
}

static fr_milvus_next on_field_add(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    REQUEST(in, Milvus__AddCollectionFieldRequest, "AddCollectionField");
    Milvus__FieldSchema *field = field_in(rest, fr_milvus_rest_get(rest, "schema"));
    if (!field || !pack_into(rest, &field->base, &in->schema))
        return fr_milvus_rest_fail(rest, MILVUS_INVALID_PARAMETER, "the schema of the field is not understood: invalid parameter");
    RUN("AddCollectionField", in);
    return fr_milvus_rest_empty(rest);
}

static fr_milvus_next on_compact(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    RUN("ManualCompaction", fr_milvus_rest_request(rest, "ManualCompaction"));
    const Milvus__ManualCompactionResponse *reply = rest->call.reply;
    fr_milvus_rest_begin(rest);
    fr_out_begin(&rest->out, '{');
    int_out(rest, "compactionID", reply->compactionid);
    fr_out_end(&rest->out, '}');
    return fr_milvus_rest_end(rest);
}

static fr_milvus_next on_compaction_state(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    REQUEST(in, Milvus__GetCompactionStateRequest, "GetCompactionState");
    in->compactionid = fr_milvus_rest_int(rest->root, "jobID", 0);
    RUN("GetCompactionState", in);
    const Milvus__GetCompactionStateResponse *reply = rest->call.reply;
    fr_milvus_rest_begin(rest);
    fr_out_begin(&rest->out, '{');
    int_out(rest, "compactionID", in->compactionid);
    text_out(rest, "state", reply->state == MILVUS_COMPACTION_COMPLETED ? "Completed" : "Executing");
    int_out(rest, "executingPlanNumber", reply->executingplanno);
    int_out(rest, "timeoutPlanNumber", reply->timeoutplanno);
    int_out(rest, "completedPlanNumber", reply->completedplanno);
    fr_out_end(&rest->out, '}');
    return fr_milvus_rest_end(rest);
}

/* ---- partitions ---- */

static fr_milvus_next on_partitions(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    RUN("ShowPartitions", fr_milvus_rest_request(rest, "ShowPartitions"));
    const Milvus__ShowPartitionsResponse *reply = rest->call.reply;
    return list_out(rest, reply->partition_names, reply->n_partition_names);
}

static fr_milvus_next on_partition_has(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    REQUEST(in, Milvus__HasPartitionRequest, "HasPartition");
    in->partition_name = fr_milvus_rest_text(rest, rest->root, "partitionName");
    RUN("HasPartition", in);
    return one_flag(rest, "has", ((const Milvus__BoolResponse *)rest->call.reply)->value);
}

static fr_milvus_next on_partition_create(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    REQUEST(in, Milvus__CreatePartitionRequest, "CreatePartition");
    in->partition_name = fr_milvus_rest_text(rest, rest->root, "partitionName");
    RUN("CreatePartition", in);
    return fr_milvus_rest_empty(rest);
}

static fr_milvus_next on_partition_drop(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    REQUEST(in, Milvus__DropPartitionRequest, "DropPartition");
    in->partition_name = fr_milvus_rest_text(rest, rest->root, "partitionName");
    RUN("DropPartition", in);
    return fr_milvus_rest_empty(rest);
}

static fr_milvus_next on_partition_stats(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    if (!worker->searcher) return FR_MILVUS_SEARCHER;
    REQUEST(in, Milvus__GetPartitionStatisticsRequest, "GetPartitionStatistics");
    in->partition_name = fr_milvus_rest_text(rest, rest->root, "partitionName");
    RUN("GetPartitionStatistics", in);
    const Milvus__GetPartitionStatisticsResponse *reply = rest->call.reply;
    return count_out(rest, reply->stats, reply->n_stats);
}

static fr_milvus_next on_partitions_load(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    REQUEST(in, Milvus__LoadPartitionsRequest, "LoadPartitions");
    in->partition_names = fr_milvus_rest_texts(rest, rest->root, "partitionNames", &in->n_partition_names);
    RUN("LoadPartitions", in);
    return fr_milvus_rest_empty(rest);
}

static fr_milvus_next on_partitions_release(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    REQUEST(in, Milvus__ReleasePartitionsRequest, "ReleasePartitions");
    in->partition_names = fr_milvus_rest_texts(rest, rest->root, "partitionNames", &in->n_partition_names);
    RUN("ReleasePartitions", in);
    return fr_milvus_rest_empty(rest);
}

/* ---- indexes ---- */

static fr_milvus_next on_indexes(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    REQUEST(in, Milvus__DescribeIndexRequest, "DescribeIndex");
    if (!fr_milvus_rest_run(door, rest, worker, "DescribeIndex", in)) {
        const Milvus__Status *status = rest->call.reply ? fr_milvus_status_of(&rest->call) : NULL;
        return status && status->code == MILVUS_INDEX_NOT_FOUND ? list_out(rest, NULL, 0) : FR_MILVUS_REPLY;
    }
    const Milvus__DescribeIndexResponse *reply = rest->call.reply;
    fr_milvus_rest_begin(rest);
    fr_out_begin(&rest->out, '[');
    for (size_t i = 0; i < reply->n_index_descriptions; i++) fr_out_cstring(&rest->out, reply->index_descriptions[i]->index_name);
    fr_out_end(&rest->out, ']');
    return fr_milvus_rest_end(rest);
}

static fr_milvus_next on_index_describe(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    REQUEST(in, Milvus__DescribeIndexRequest, "DescribeIndex");
    in->index_name = fr_milvus_rest_text(rest, rest->root, "indexName");
    RUN("DescribeIndex", in);
    const Milvus__DescribeIndexResponse *reply = rest->call.reply;
    fr_milvus_rest_begin(rest);
    fr_out_begin(&rest->out, '[');
    for (size_t i = 0; i < reply->n_index_descriptions; i++) {
        const Milvus__IndexDescription *index = reply->index_descriptions[i];
        const char *type = fr_milvus_param(index->params, index->n_params, "index_type");
        const char *metric = fr_milvus_param(index->params, index->n_params, "metric_type");
        fr_out_begin(&rest->out, '{');
        text_out(rest, "indexName", index->index_name);
        text_out(rest, "fieldName", index->field_name);
        text_out(rest, "indexType", type ? type : "");
        text_out(rest, "metricType", metric ? metric : "");
        int_out(rest, "totalRows", index->total_rows);
        int_out(rest, "pendingRows", index->pending_index_rows);
        int_out(rest, "indexedRows", index->indexed_rows);
        text_out(rest, "indexState", "Finished");
        text_out(rest, "failReason", "");
        fr_out_end(&rest->out, '}');
    }
    fr_out_end(&rest->out, ']');
    return fr_milvus_rest_end(rest);
}

static fr_milvus_next on_index_create(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    fr_doc list = fr_milvus_rest_get(rest, "indexParams");
    uint32_t count = fr_doc_type(list) == FR_DOC_ARRAY ? fr_doc_count(list) : 0;
    for (uint32_t i = 0; i < count; i++)
        if (!index_make(door, rest, worker, fr_doc_at(list, i))) return FR_MILVUS_REPLY;
    return fr_milvus_rest_empty(rest);
}

static fr_milvus_next on_index_drop(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    REQUEST(in, Milvus__DropIndexRequest, "DropIndex");
    in->index_name = fr_milvus_rest_text(rest, rest->root, "indexName");
    RUN("DropIndex", in);
    return fr_milvus_rest_empty(rest);
}

static fr_milvus_next on_index_alter(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    REQUEST(in, Milvus__AlterIndexRequest, "AlterIndex");
    in->index_name = fr_milvus_rest_text(rest, rest->root, "indexName");
    in->extra_params = fr_milvus_rest_pairs(rest, fr_milvus_rest_get(rest, "properties"), &in->n_extra_params);
    in->delete_keys = fr_milvus_rest_texts(rest, rest->root, "propertyKeys", &in->n_delete_keys);
    RUN("AlterIndex", in);
    return fr_milvus_rest_empty(rest);
}

/* ---- aliases ---- */

static fr_milvus_next on_aliases(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    RUN("ListAliases", fr_milvus_rest_request(rest, "ListAliases"));
    const Milvus__ListAliasesResponse *reply = rest->call.reply;
    return list_out(rest, reply->aliases, reply->n_aliases);
}

static fr_milvus_next on_alias_describe(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    REQUEST(in, Milvus__DescribeAliasRequest, "DescribeAlias");
    in->alias = fr_milvus_rest_text(rest, rest->root, "aliasName");
    RUN("DescribeAlias", in);
    const Milvus__DescribeAliasResponse *reply = rest->call.reply;
    fr_milvus_rest_begin(rest);
    fr_out_begin(&rest->out, '{');
    text_out(rest, "dbName", reply->db_name);
    text_out(rest, "collectionName", reply->collection);
    text_out(rest, "aliasName", reply->alias);
    fr_out_end(&rest->out, '}');
    return fr_milvus_rest_end(rest);
}

static fr_milvus_next on_alias_create(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    REQUEST(in, Milvus__CreateAliasRequest, "CreateAlias");
    in->alias = fr_milvus_rest_text(rest, rest->root, "aliasName");
    RUN("CreateAlias", in);
    return fr_milvus_rest_empty(rest);
}

static fr_milvus_next on_alias_alter(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    REQUEST(in, Milvus__AlterAliasRequest, "AlterAlias");
    in->alias = fr_milvus_rest_text(rest, rest->root, "aliasName");
    RUN("AlterAlias", in);
    return fr_milvus_rest_empty(rest);
}

static fr_milvus_next on_alias_drop(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    REQUEST(in, Milvus__DropAliasRequest, "DropAlias");
    in->alias = fr_milvus_rest_text(rest, rest->root, "aliasName");
    RUN("DropAlias", in);
    return fr_milvus_rest_empty(rest);
}

/* ---- databases ---- */

static fr_milvus_next on_databases(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    RUN("ListDatabases", fr_milvus_rest_request(rest, "ListDatabases"));
    const Milvus__ListDatabasesResponse *reply = rest->call.reply;
    return list_out(rest, reply->db_names, reply->n_db_names);
}

static fr_milvus_next on_database_create(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    REQUEST(in, Milvus__CreateDatabaseRequest, "CreateDatabase");
    in->properties = fr_milvus_rest_pairs(rest, fr_milvus_rest_get(rest, "properties"), &in->n_properties);
    RUN("CreateDatabase", in);
    return fr_milvus_rest_empty(rest);
}

static fr_milvus_next on_database_describe(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    RUN("DescribeDatabase", fr_milvus_rest_request(rest, "DescribeDatabase"));
    const Milvus__DescribeDatabaseResponse *reply = rest->call.reply;
    fr_milvus_rest_begin(rest);
    fr_out_begin(&rest->out, '{');
    text_out(rest, "dbName", reply->db_name);
    int_out(rest, "dbID", reply->dbid);
    fr_out_key(&rest->out, "properties");
    pairs_out(rest, reply->properties, reply->n_properties);
    fr_out_end(&rest->out, '}');
    return fr_milvus_rest_end(rest);
}

static fr_milvus_next on_database_alter(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    REQUEST(in, Milvus__AlterDatabaseRequest, "AlterDatabase");
    in->properties = fr_milvus_rest_pairs(rest, fr_milvus_rest_get(rest, "properties"), &in->n_properties);
    in->delete_keys = fr_milvus_rest_texts(rest, rest->root, "propertyKeys", &in->n_delete_keys);
    RUN("AlterDatabase", in);
    return fr_milvus_rest_empty(rest);
}

/* ---- users, roles ---- */

static char *encoded(fr_milvus_rest *rest, const char *key)
{
    const char *text = fr_milvus_rest_text(rest, rest->root, key);
    size_t size = strlen(text);
    char *out = fr_arena_alloc(&rest->call.arena, 4 * ((size + 2) / 3) + 1);
    if (out) fr_milvus_base64_out((const uint8_t *)text, size, out);
    return out ? out : fr_milvus_mut("");
}

static fr_milvus_next on_users(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    RUN("ListCredUsers", fr_milvus_rest_request(rest, "ListCredUsers"));
    const Milvus__ListCredUsersResponse *reply = rest->call.reply;
    return list_out(rest, reply->usernames, reply->n_usernames);
}

static fr_milvus_next on_user_describe(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    REQUEST(in, Milvus__SelectUserRequest, "SelectUser");
    if (!(in->user = fr_milvus_message(&rest->call.arena, &milvus__user_entity__descriptor)))
        return fr_milvus_rest_fail(rest, MILVUS_MEMORY, "no memory for the request");
    in->user->name = fr_milvus_rest_text(rest, rest->root, "userName");
    in->include_role_info = true;
    RUN("SelectUser", in);
    const Milvus__SelectUserResponse *reply = rest->call.reply;
    fr_milvus_rest_begin(rest);
    fr_out_begin(&rest->out, '[');
    for (size_t i = 0; reply->n_results && i < reply->results[0]->n_roles; i++) fr_out_cstring(&rest->out, reply->results[0]->roles[i]->name);
    fr_out_end(&rest->out, ']');
    return fr_milvus_rest_end(rest);
}

static fr_milvus_next on_user_create(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    REQUEST(in, Milvus__CreateCredentialRequest, "CreateCredential");
    in->username = fr_milvus_rest_text(rest, rest->root, "userName");
    in->password = encoded(rest, "password");
    RUN("CreateCredential", in);
    return fr_milvus_rest_empty(rest);
}

static fr_milvus_next on_user_update(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    REQUEST(in, Milvus__UpdateCredentialRequest, "UpdateCredential");
    in->username = fr_milvus_rest_text(rest, rest->root, "userName");
    in->oldpassword = encoded(rest, "password");
    in->newpassword = encoded(rest, "newPassword");
    RUN("UpdateCredential", in);
    return fr_milvus_rest_empty(rest);
}

static fr_milvus_next on_user_drop(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    REQUEST(in, Milvus__DeleteCredentialRequest, "DeleteCredential");
    in->username = fr_milvus_rest_text(rest, rest->root, "userName");
    RUN("DeleteCredential", in);
    return fr_milvus_rest_empty(rest);
}

static bool path_ends(const fr_milvus_rest *rest, const char *text) { return strstr(rest->route->path, text) != NULL; }

static fr_milvus_next on_user_role(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    REQUEST(in, Milvus__OperateUserRoleRequest, "OperateUserRole");
    in->username = fr_milvus_rest_text(rest, rest->root, "userName");
    in->role_name = fr_milvus_rest_text(rest, rest->root, "roleName");
    in->type = path_ends(rest, "revoke") ? 1 : 0;
    RUN("OperateUserRole", in);
    return fr_milvus_rest_empty(rest);
}

static fr_milvus_next on_roles(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    RUN("SelectRole", fr_milvus_rest_request(rest, "SelectRole"));
    const Milvus__SelectRoleResponse *reply = rest->call.reply;
    fr_milvus_rest_begin(rest);
    fr_out_begin(&rest->out, '[');
    for (size_t i = 0; i < reply->n_results; i++) fr_out_cstring(&rest->out, reply->results[i]->role->name);
    fr_out_end(&rest->out, ']');
    return fr_milvus_rest_end(rest);
}

static Milvus__RoleEntity *role_named(fr_milvus_rest *rest)
{
    Milvus__RoleEntity *role = fr_milvus_message(&rest->call.arena, &milvus__role_entity__descriptor);
    if (role) role->name = fr_milvus_rest_text(rest, rest->root, "roleName");
    return role;
}

static fr_milvus_next on_role_describe(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    REQUEST(in, Milvus__SelectGrantRequest, "SelectGrant");
    if (!(in->entity = fr_milvus_message(&rest->call.arena, &milvus__grant_entity__descriptor)) || !(in->entity->role = role_named(rest)))
        return fr_milvus_rest_fail(rest, MILVUS_MEMORY, "no memory for the request");
    RUN("SelectGrant", in);
    const Milvus__SelectGrantResponse *reply = rest->call.reply;
    fr_milvus_rest_begin(rest);
    fr_out_begin(&rest->out, '[');
    for (size_t i = 0; i < reply->n_entities; i++) {
        const Milvus__GrantEntity *grant = reply->entities[i];
        fr_out_begin(&rest->out, '{');
        text_out(rest, "objectType", grant->object->name);
        text_out(rest, "objectName", grant->object_name);
        text_out(rest, "privilege", grant->grantor->privilege->name);
        text_out(rest, "dbName", grant->db_name);
        text_out(rest, "grantor", grant->grantor->user->name);
        fr_out_end(&rest->out, '}');
    }
    fr_out_end(&rest->out, ']');
    return fr_milvus_rest_end(rest);
}

static fr_milvus_next on_role_create(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    REQUEST(in, Milvus__CreateRoleRequest, "CreateRole");
    in->entity = role_named(rest);
    RUN("CreateRole", in);
    return fr_milvus_rest_empty(rest);
}

static fr_milvus_next on_role_drop(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    REQUEST(in, Milvus__DropRoleRequest, "DropRole");
    in->role_name = fr_milvus_rest_text(rest, rest->root, "roleName");
    in->force_drop = fr_milvus_rest_bool(rest->root, "forceDrop", false);
    RUN("DropRole", in);
    return fr_milvus_rest_empty(rest);
}

static Milvus__GrantorEntity *grantor(fr_milvus_rest *rest)
{
    Milvus__GrantorEntity *out = fr_milvus_message(&rest->call.arena, &milvus__grantor_entity__descriptor);
    if (!out || !(out->privilege = fr_milvus_message(&rest->call.arena, &milvus__privilege_entity__descriptor))) return NULL;
    out->privilege->name = fr_milvus_rest_text(rest, rest->root, "privilege");
    return out;
}

static fr_milvus_next on_privilege(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    REQUEST(in, Milvus__OperatePrivilegeRequest, "OperatePrivilege");
    Milvus__GrantEntity *entity = in->entity = fr_milvus_message(&rest->call.arena, &milvus__grant_entity__descriptor);
    if (!entity || !(entity->role = role_named(rest)) || !(entity->grantor = grantor(rest)) ||
        !(entity->object = fr_milvus_message(&rest->call.arena, &milvus__object_entity__descriptor)))
        return fr_milvus_rest_fail(rest, MILVUS_MEMORY, "no memory for the request");
    entity->object->name = fr_milvus_rest_text(rest, rest->root, "objectType");
    entity->object_name = fr_milvus_rest_text(rest, rest->root, "objectName");
    entity->db_name = fr_milvus_rest_text(rest, rest->root, "dbName");
    in->type = path_ends(rest, "revoke") ? 1 : 0;
    RUN("OperatePrivilege", in);
    return fr_milvus_rest_empty(rest);
}

static fr_milvus_next on_privilege_v2(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    REQUEST(in, Milvus__OperatePrivilegeV2Request, "OperatePrivilegeV2");
    in->role = role_named(rest);
    in->grantor = grantor(rest);
    in->type = path_ends(rest, "revoke") ? 1 : 0;
    RUN("OperatePrivilegeV2", in);
    return fr_milvus_rest_empty(rest);
}

/* ---- the table ---- */

#define WORKER FR_MILVUS_WORKER
#define LOOP FR_MILVUS_REPLY

const fr_milvus_rest_route fr_milvus_rest_routes[] = {
    {"collections/list", NULL, on_list, NULL, WORKER},
    {"collections/has", "collectionName", on_has, NULL, WORKER},
    {"collections/describe", "collectionName", on_describe, NULL, WORKER},
    {"collections/create", "collectionName", on_create, NULL, WORKER},
    {"collections/drop", "collectionName", NULL, "DropCollection", WORKER},
    {"collections/rename", "collectionName newCollectionName", on_rename, NULL, WORKER},
    {"collections/load", "collectionName", NULL, "LoadCollection", WORKER},
    {"collections/release", "collectionName", NULL, "ReleaseCollection", WORKER},
    {"collections/refresh_load", "collectionName", on_refresh, NULL, WORKER},
    {"collections/flush", "collectionName", on_flush, NULL, WORKER},
    {"collections/truncate", "collectionName", NULL, "TruncateCollection", WORKER},
    {"collections/get_stats", "collectionName", on_stats, NULL, WORKER},
    {"collections/get_load_state", "collectionName", on_load_state, NULL, WORKER},
    {"collections/alter_properties", "collectionName properties", on_properties, NULL, WORKER},
    {"collections/drop_properties", "collectionName propertyKeys", on_properties, NULL, WORKER},
    {"collections/fields/alter_properties", "collectionName fieldName", on_field_properties, NULL, WORKER},
    {"collections/fields/add", "collectionName schema", on_field_add, NULL, WORKER},
    {"collections/compact", "collectionName", on_compact, NULL, WORKER},
    {"collections/get_compaction_state", "jobID", on_compaction_state, NULL, WORKER},
    {"partitions/list", "collectionName", on_partitions, NULL, WORKER},
    {"partitions/has", "collectionName partitionName", on_partition_has, NULL, WORKER},
    {"partitions/create", "collectionName partitionName", on_partition_create, NULL, WORKER},
    {"partitions/drop", "collectionName partitionName", on_partition_drop, NULL, WORKER},
    {"partitions/get_stats", "collectionName partitionName", on_partition_stats, NULL, WORKER},
    {"partitions/load", "collectionName partitionNames", on_partitions_load, NULL, WORKER},
    {"partitions/release", "collectionName partitionNames", on_partitions_release, NULL, WORKER},
    {"indexes/list", "collectionName", on_indexes, NULL, WORKER},
    {"indexes/describe", "collectionName indexName", on_index_describe, NULL, WORKER},
    {"indexes/create", "collectionName indexParams", on_index_create, NULL, WORKER},
    {"indexes/drop", "collectionName indexName", on_index_drop, NULL, WORKER},
    {"indexes/alter_properties", "collectionName indexName", on_index_alter, NULL, WORKER},
    {"indexes/drop_properties", "collectionName indexName", on_index_alter, NULL, WORKER},
    {"aliases/list", NULL, on_aliases, NULL, WORKER},
    {"aliases/describe", "aliasName", on_alias_describe, NULL, WORKER},
    {"aliases/create", "collectionName aliasName", on_alias_create, NULL, WORKER},
    {"aliases/alter", "collectionName aliasName", on_alias_alter, NULL, WORKER},
    {"aliases/drop", "aliasName", on_alias_drop, NULL, WORKER},
    {"databases/list", NULL, on_databases, NULL, WORKER},
    {"databases/create", "dbName", on_database_create, NULL, WORKER},
    {"databases/drop", "dbName", NULL, "DropDatabase", WORKER},
    {"databases/describe", "dbName", on_database_describe, NULL, WORKER},
    {"databases/alter", "dbName", on_database_alter, NULL, WORKER},
    {"databases/alter_properties", "dbName", on_database_alter, NULL, WORKER},
    {"databases/drop_properties", "dbName", on_database_alter, NULL, WORKER},
    {"users/list", NULL, on_users, NULL, WORKER},
    {"users/describe", "userName", on_user_describe, NULL, WORKER},
    {"users/create", "userName password", on_user_create, NULL, WORKER},
    {"users/update_password", "userName newPassword", on_user_update, NULL, WORKER},
    {"users/drop", "userName", on_user_drop, NULL, WORKER},
    {"users/grant_role", "userName roleName", on_user_role, NULL, WORKER},
    {"users/revoke_role", "userName roleName", on_user_role, NULL, WORKER},
    {"roles/list", NULL, on_roles, NULL, WORKER},
    {"roles/describe", "roleName", on_role_describe, NULL, WORKER},
    {"roles/create", "roleName", on_role_create, NULL, WORKER},
    {"roles/drop", "roleName", on_role_drop, NULL, WORKER},
    {"roles/grant_privilege", "roleName objectType objectName privilege", on_privilege, NULL, WORKER},
    {"roles/revoke_privilege", "roleName objectType objectName privilege", on_privilege, NULL, WORKER},
    {"roles/grant_privilege_v2", "roleName privilege", on_privilege_v2, NULL, WORKER},
    {"roles/revoke_privilege_v2", "roleName privilege", on_privilege_v2, NULL, WORKER},
    {"entities/insert", "collectionName data", fr_milvus_rest_insert, "Insert", LOOP},
    {"entities/upsert", "collectionName data", fr_milvus_rest_insert, "Upsert", LOOP},
    {"entities/delete", "collectionName", fr_milvus_rest_delete, NULL, LOOP},
    {"entities/query", "collectionName", fr_milvus_rest_query, NULL, FR_MILVUS_SEARCHER},
    {"entities/get", "collectionName id", fr_milvus_rest_get_entities, NULL, FR_MILVUS_SEARCHER},
    {"entities/search", "collectionName", fr_milvus_rest_search, NULL, FR_MILVUS_SEARCHER},
    {"entities/hybrid_search", "collectionName search", fr_milvus_rest_hybrid_search, NULL, FR_MILVUS_SEARCHER},
    {"entities/advanced_search", "collectionName search", fr_milvus_rest_hybrid_search, NULL, FR_MILVUS_SEARCHER},
};
const size_t fr_milvus_rest_route_count = FR_COUNT_OF(fr_milvus_rest_routes);
