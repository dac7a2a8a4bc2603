/* milvus_rest_collections.c: REST's collections: what there is, creating one, changing one. */
#include "api/milvus/milvus_rest_private.h"

/* ---- collections ---- */

fr_milvus_next fr_milvus_rest_on_list(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_RUN("ShowCollections", fr_milvus_rest_request(rest, "ShowCollections"));
    const Milvus__ShowCollectionsResponse *reply = rest->call.reply;
    return fr_milvus_rest_list_out(rest, reply->collection_names, reply->n_collection_names);
}

fr_milvus_next fr_milvus_rest_on_has(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_RUN("HasCollection", fr_milvus_rest_request(rest, "HasCollection"));
    return fr_milvus_rest_one_flag(rest, "has", ((const Milvus__BoolResponse *)rest->call.reply)->value);
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
    fr_milvus_rest_text_out(rest, "name", field->name);
    fr_milvus_rest_text_out(rest, "type", type_name(field->data_type));
    fr_milvus_rest_flag_out(rest, "primaryKey", field->is_primary_key);
    fr_milvus_rest_flag_out(rest, "partitionKey", field->is_partition_key);
    fr_milvus_rest_flag_out(rest, "clusteringKey", field->is_clustering_key);
    fr_milvus_rest_flag_out(rest, "autoId", field->autoid);
    fr_milvus_rest_flag_out(rest, "nullable", field->nullable);
    fr_milvus_rest_text_out(rest, "description", field->description);
    fr_milvus_rest_int_out(rest, "id", field->fieldid);
    if (field->element_type) fr_milvus_rest_text_out(rest, "elementType", type_name(field->element_type));
    if (field->n_type_params) {
        fr_out_key(&rest->out, "params");
        fr_milvus_rest_pairs_out(rest, field->type_params, field->n_type_params);
    }
    fr_out_end(&rest->out, '}');
}

static void function_out(fr_milvus_rest *rest, const Milvus__FunctionSchema *function)
{
    fr_out_begin(&rest->out, '{');
    fr_milvus_rest_text_out(rest, "name", function->name);
    fr_milvus_rest_text_out(rest, "description", function->description);
    fr_milvus_rest_text_out(rest, "type", function->type == MILVUS_FUNCTION_BM25 ? "BM25" : "Unknown");
    fr_milvus_rest_int_out(rest, "id", function->id);
    fr_milvus_rest_names_out(rest, "inputFieldNames", function->input_field_names, function->n_input_field_names);
    fr_milvus_rest_names_out(rest, "outputFieldNames", function->output_field_names, function->n_output_field_names);
    fr_out_key(&rest->out, "params");
    fr_milvus_rest_pairs_out(rest, function->params, function->n_params);
    fr_out_end(&rest->out, '}');
}

static void indexes_out(fr_milvus_rest *rest, const fr_milvus_schema *schema)
{
    fr_out_begin(&rest->out, '[');
    for (uint32_t i = 0; i < schema->index_count; i++) {
        const fr_milvus_index *index = &schema->indexes[i];
        const char *metric = fr_milvus_pairs_get(&index->params, "metric_type");
        fr_out_begin(&rest->out, '{');
        fr_milvus_rest_text_out(rest, "indexName", index->name);
        fr_milvus_rest_text_out(rest, "fieldName", index->field_name);
        fr_milvus_rest_text_out(rest, "metricType", metric ? metric : "");
        fr_out_end(&rest->out, '}');
    }
    fr_out_end(&rest->out, ']');
}

fr_milvus_next fr_milvus_rest_on_describe(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    static const char *const levels[] = {"Strong", "Session", "Bounded", "Eventually", "Customized"};
    FR_MILVUS_REST_RUN("DescribeCollection", fr_milvus_rest_request(rest, "DescribeCollection"));
    const Milvus__DescribeCollectionResponse *reply = rest->call.reply;
    const fr_milvus_schema *schema = rest->call.schemas[0];
    fr_milvus_rest_begin(rest);
    fr_out_begin(&rest->out, '{');
    fr_milvus_rest_text_out(rest, "collectionName", reply->collection_name);
    fr_milvus_rest_int_out(rest, "collectionID", reply->collectionid);
    fr_milvus_rest_text_out(rest, "description", reply->schema->description);
    fr_milvus_rest_flag_out(rest, "autoId", schema->auto_id);
    fr_out_key(&rest->out, "fields");
    fr_out_begin(&rest->out, '[');
    for (size_t i = 0; i < reply->schema->n_fields; i++) field_out(rest, reply->schema->fields[i]);
    fr_out_end(&rest->out, ']');
    fr_out_key(&rest->out, "functions");
    fr_out_begin(&rest->out, '[');
    for (size_t i = 0; i < reply->schema->n_functions; i++) function_out(rest, reply->schema->functions[i]);
    fr_out_end(&rest->out, ']');
    fr_milvus_rest_names_out(rest, "aliases", reply->aliases, reply->n_aliases);
    fr_out_key(&rest->out, "indexes");
    indexes_out(rest, schema);
    fr_milvus_rest_text_out(rest, "load", schema->loaded ? "LoadStateLoaded" : "LoadStateNotLoad");
    fr_milvus_rest_int_out(rest, "shardsNum", reply->shards_num);
    fr_milvus_rest_int_out(rest, "partitionsNum", reply->num_partitions);
    fr_milvus_rest_text_out(rest, "consistencyLevel", (uint32_t)reply->consistency_level < FR_COUNT_OF(levels) ? levels[reply->consistency_level] : "Bounded");
    fr_milvus_rest_flag_out(rest, "enableDynamicField", reply->schema->enable_dynamic_field);
    fr_out_key(&rest->out, "properties");
    fr_milvus_rest_pairs_out(rest, reply->properties, reply->n_properties);
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
        else if (field->data_type >= FR_TYPE_INT8 && field->data_type <= FR_TYPE_INT32 && fr_doc_int(value) == (int32_t)fr_doc_int(value))
            out->data_case = MILVUS__VALUE_FIELD__DATA_INT_DATA, out->int_data = (int32_t)fr_doc_int(value);
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
    if (field->data_type == FR_TYPE_FLOAT && out->data_case == MILVUS__VALUE_FIELD__DATA_DOUBLE_DATA) {
        float number = (float)out->double_data; /* a union */
        out->data_case = MILVUS__VALUE_FIELD__DATA_FLOAT_DATA, out->float_data = number;
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

fr_milvus_next fr_milvus_rest_on_create(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    fr_doc given = fr_milvus_rest_get(rest, "schema"), params = fr_milvus_rest_get(rest, "params"), list = fr_milvus_rest_get(rest, "indexParams");
    Milvus__CollectionSchema *schema = fr_milvus_message(&rest->call.arena, &milvus__collection_schema__descriptor);
    FR_MILVUS_REST_REQUEST(in, Milvus__CreateCollectionRequest, "CreateCollection");
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
        in->properties[in->n_properties++] = fr_milvus_rest_pair_of(rest, "collection.ttl.seconds", ttl);
    if (!pack_into(rest, &schema->base, &in->schema)) return fr_milvus_rest_fail(rest, MILVUS_MEMORY, "no memory for the request");
    FR_MILVUS_REST_RUN("CreateCollection", in);
    uint32_t count = list.data && fr_doc_type(list) == FR_DOC_ARRAY ? fr_doc_count(list) : 0;
    if (quick && !fr_milvus_rest_index_quick(door, rest, worker, schema->fields[1]->name)) return FR_MILVUS_REPLY;
    for (uint32_t i = 0; !quick && i < count; i++)
        if (!fr_milvus_rest_index_make(door, rest, worker, fr_doc_at(list, i))) return FR_MILVUS_REPLY;
    if (quick || count) FR_MILVUS_REST_RUN("LoadCollection", fr_milvus_rest_request(rest, "LoadCollection"));
    return fr_milvus_rest_empty(rest);
}

/* ---- the rest of collections ---- */

fr_milvus_next fr_milvus_rest_on_rename(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_REQUEST(in, Milvus__RenameCollectionRequest, "RenameCollection");
    in->oldname = fr_milvus_rest_text(rest, rest->root, "collectionName");
    in->newname = fr_milvus_rest_text(rest, rest->root, "newCollectionName");
    in->newdbname = fr_milvus_rest_text(rest, rest->root, "newDbName");
    FR_MILVUS_REST_RUN("RenameCollection", in);
    return fr_milvus_rest_empty(rest);
}

fr_milvus_next fr_milvus_rest_on_stats(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_RUN("GetCollectionStatistics", fr_milvus_rest_request(rest, "GetCollectionStatistics"));
    const Milvus__GetCollectionStatisticsResponse *reply = rest->call.reply;
    return fr_milvus_rest_count_out(rest, reply->stats, reply->n_stats);
}

fr_milvus_next fr_milvus_rest_on_load_state(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    static const char *const states[] = {"LoadStateNotExist", "LoadStateNotLoad", "LoadStateLoading", "LoadStateLoaded"};
    FR_MILVUS_REST_REQUEST(in, Milvus__GetLoadStateRequest, "GetLoadState");
    in->partition_names = fr_milvus_rest_texts(rest, rest->root, "partitionNames", &in->n_partition_names);
    FR_MILVUS_REST_RUN("GetLoadState", in);
    const Milvus__GetLoadStateResponse *reply = rest->call.reply;
    if (reply->state == MILVUS_LOAD_NOT_EXIST)
        return fr_milvus_rest_fail(rest, MILVUS_COLLECTION_NOT_FOUND, "collection not found[database=%s][collection=%s]",
                                   fr_milvus_database(&rest->call), in->collection_name);
    fr_milvus_rest_begin(rest);
    fr_out_begin(&rest->out, '{');
    fr_milvus_rest_text_out(rest, "loadState", states[reply->state & 3]);
    if (reply->state == MILVUS_LOAD_LOADED) fr_milvus_rest_int_out(rest, "loadProgress", 100);
    fr_out_end(&rest->out, '}');
    return fr_milvus_rest_end(rest);
}

fr_milvus_next fr_milvus_rest_on_flush(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_REQUEST(in, Milvus__FlushRequest, "Flush");
    if (!(in->collection_names = fr_milvus_alloc(&rest->call, sizeof *in->collection_names)))
        return fr_milvus_rest_fail(rest, MILVUS_MEMORY, "no memory for the request");
    in->collection_names[in->n_collection_names++] = fr_milvus_rest_text(rest, rest->root, "collectionName");
    FR_MILVUS_REST_RUN("Flush", in);
    return fr_milvus_rest_empty(rest);
}

fr_milvus_next fr_milvus_rest_on_refresh(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_REQUEST(in, Milvus__LoadCollectionRequest, "LoadCollection");
    in->refresh = true;
    FR_MILVUS_REST_RUN("LoadCollection", in);
    return fr_milvus_rest_empty(rest);
}

fr_milvus_next fr_milvus_rest_on_properties(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_REQUEST(in, Milvus__AlterCollectionRequest, "AlterCollection");
    in->properties = fr_milvus_rest_pairs(rest, fr_milvus_rest_get(rest, "properties"), &in->n_properties);
    in->delete_keys = fr_milvus_rest_texts(rest, rest->root, "propertyKeys", &in->n_delete_keys);
    FR_MILVUS_REST_RUN("AlterCollection", in);
    return fr_milvus_rest_empty(rest);
}

fr_milvus_next fr_milvus_rest_on_field_properties(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_REQUEST(in, Milvus__AlterCollectionFieldRequest, "AlterCollectionField");
    in->field_name = fr_milvus_rest_text(rest, rest->root, "fieldName");
    in->properties = fr_milvus_rest_pairs(rest, fr_milvus_rest_get(rest, "fieldParams"), &in->n_properties);
    FR_MILVUS_REST_RUN("AlterCollectionField", in);
    return fr_milvus_rest_empty(rest);
}

fr_milvus_next fr_milvus_rest_on_field_add(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_REQUEST(in, Milvus__AddCollectionFieldRequest, "AddCollectionField");
    Milvus__FieldSchema *field = field_in(rest, fr_milvus_rest_get(rest, "schema"));
    if (!field || !pack_into(rest, &field->base, &in->schema))
        return fr_milvus_rest_fail(rest, MILVUS_INVALID_PARAMETER, "the schema of the field is not understood: invalid parameter");
    FR_MILVUS_REST_RUN("AddCollectionField", in);
    return fr_milvus_rest_empty(rest);
}

fr_milvus_next fr_milvus_rest_on_compact(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_RUN("ManualCompaction", fr_milvus_rest_request(rest, "ManualCompaction"));
    const Milvus__ManualCompactionResponse *reply = rest->call.reply;
    fr_milvus_rest_begin(rest);
    fr_out_begin(&rest->out, '{');
    fr_milvus_rest_int_out(rest, "compactionID", reply->compactionid);
    fr_out_end(&rest->out, '}');
    return fr_milvus_rest_end(rest);
}

fr_milvus_next fr_milvus_rest_on_compaction_state(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_REQUEST(in, Milvus__GetCompactionStateRequest, "GetCompactionState");
    in->compactionid = fr_milvus_rest_int(rest->root, "jobID", 0);
    FR_MILVUS_REST_RUN("GetCompactionState", in);
    const Milvus__GetCompactionStateResponse *reply = rest->call.reply;
    fr_milvus_rest_begin(rest);
    fr_out_begin(&rest->out, '{');
    fr_milvus_rest_int_out(rest, "compactionID", in->compactionid);
    fr_milvus_rest_text_out(rest, "state", reply->state == MILVUS_COMPACTION_COMPLETED ? "Completed" : "Executing");
    fr_milvus_rest_int_out(rest, "executingPlanNumber", reply->executingplanno);
    fr_milvus_rest_int_out(rest, "timeoutPlanNumber", reply->timeoutplanno);
    fr_milvus_rest_int_out(rest, "completedPlanNumber", reply->completedplanno);
    fr_out_end(&rest->out, '}');
    return fr_milvus_rest_end(rest);
}
