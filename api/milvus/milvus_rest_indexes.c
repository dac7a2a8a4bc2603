/* milvus_rest_indexes.c: REST's indexes. */
#include "api/milvus/milvus_rest_private.h"

/* One of indexParams; params in it count for themselves. */
bool fr_milvus_rest_index_make(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker, fr_doc one)
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
    if (*type) in->extra_params[in->n_extra_params++] = fr_milvus_rest_pair_of(rest, "index_type", type);
    if (*metric) in->extra_params[in->n_extra_params++] = fr_milvus_rest_pair_of(rest, "metric_type", metric);
    for (size_t i = 0; i < count; i++)
        if (strcmp(given[i]->key, "index_type") != 0 || !*type) in->extra_params[in->n_extra_params++] = given[i];
    return fr_milvus_rest_run(door, rest, worker, "CreateIndex", in);
}

bool fr_milvus_rest_index_quick(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker, char *field)
{
    Milvus__CreateIndexRequest *in = fr_milvus_rest_request(rest, "CreateIndex");
    char *metric = fr_milvus_rest_text(rest, rest->root, "metricType");
    if (!in || !(in->extra_params = fr_milvus_alloc(&rest->call, 2 * sizeof *in->extra_params))) return false;
    in->field_name = in->index_name = field;
    in->extra_params[in->n_extra_params++] = fr_milvus_rest_pair_of(rest, "index_type", fr_milvus_mut("AUTOINDEX"));
    in->extra_params[in->n_extra_params++] = fr_milvus_rest_pair_of(rest, "metric_type", *metric ? metric : fr_milvus_mut("COSINE"));
    return fr_milvus_rest_run(door, rest, worker, "CreateIndex", in);
}

fr_milvus_next fr_milvus_rest_on_indexes(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_REQUEST(in, Milvus__DescribeIndexRequest, "DescribeIndex");
    if (!fr_milvus_rest_run(door, rest, worker, "DescribeIndex", in)) {
        const Milvus__Status *status = rest->call.reply ? fr_milvus_status_of(&rest->call) : NULL;
        return status && status->code == MILVUS_INDEX_NOT_FOUND ? fr_milvus_rest_list_out(rest, NULL, 0) : FR_MILVUS_REPLY;
    }
    const Milvus__DescribeIndexResponse *reply = rest->call.reply;
    fr_milvus_rest_begin(rest);
    fr_out_begin(&rest->out, '[');
    for (size_t i = 0; i < reply->n_index_descriptions; i++) fr_out_cstring(&rest->out, reply->index_descriptions[i]->index_name);
    fr_out_end(&rest->out, ']');
    return fr_milvus_rest_end(rest);
}

fr_milvus_next fr_milvus_rest_on_index_describe(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_REQUEST(in, Milvus__DescribeIndexRequest, "DescribeIndex");
    in->index_name = fr_milvus_rest_text(rest, rest->root, "indexName");
    FR_MILVUS_REST_RUN("DescribeIndex", in);
    const Milvus__DescribeIndexResponse *reply = rest->call.reply;
    fr_milvus_rest_begin(rest);
    fr_out_begin(&rest->out, '[');
    for (size_t i = 0; i < reply->n_index_descriptions; i++) {
        const Milvus__IndexDescription *index = reply->index_descriptions[i];
        const char *type = fr_milvus_param(index->params, index->n_params, "index_type");
        const char *metric = fr_milvus_param(index->params, index->n_params, "metric_type");
        fr_out_begin(&rest->out, '{');
        fr_milvus_rest_text_out(rest, "indexName", index->index_name);
        fr_milvus_rest_text_out(rest, "fieldName", index->field_name);
        fr_milvus_rest_text_out(rest, "indexType", type ? type : "");
        fr_milvus_rest_text_out(rest, "metricType", metric ? metric : "");
        fr_milvus_rest_int_out(rest, "totalRows", index->total_rows);
        fr_milvus_rest_int_out(rest, "pendingRows", index->pending_index_rows);
        fr_milvus_rest_int_out(rest, "indexedRows", index->indexed_rows);
        fr_milvus_rest_text_out(rest, "indexState", "Finished");
        fr_milvus_rest_text_out(rest, "failReason", "");
        fr_out_end(&rest->out, '}');
    }
    fr_out_end(&rest->out, ']');
    return fr_milvus_rest_end(rest);
}

fr_milvus_next fr_milvus_rest_on_index_create(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    fr_doc list = fr_milvus_rest_get(rest, "indexParams");
    uint32_t count = fr_doc_type(list) == FR_DOC_ARRAY ? fr_doc_count(list) : 0;
    for (uint32_t i = 0; i < count; i++)
        if (!fr_milvus_rest_index_make(door, rest, worker, fr_doc_at(list, i))) return FR_MILVUS_REPLY;
    return fr_milvus_rest_empty(rest);
}

fr_milvus_next fr_milvus_rest_on_index_drop(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_REQUEST(in, Milvus__DropIndexRequest, "DropIndex");
    in->index_name = fr_milvus_rest_text(rest, rest->root, "indexName");
    FR_MILVUS_REST_RUN("DropIndex", in);
    return fr_milvus_rest_empty(rest);
}

fr_milvus_next fr_milvus_rest_on_index_alter(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_REQUEST(in, Milvus__AlterIndexRequest, "AlterIndex");
    in->index_name = fr_milvus_rest_text(rest, rest->root, "indexName");
    in->extra_params = fr_milvus_rest_pairs(rest, fr_milvus_rest_get(rest, "properties"), &in->n_extra_params);
    in->delete_keys = fr_milvus_rest_texts(rest, rest->root, "propertyKeys", &in->n_delete_keys);
    FR_MILVUS_REST_RUN("AlterIndex", in);
    return fr_milvus_rest_empty(rest);
}
