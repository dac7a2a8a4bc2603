/* milvus_query.c: entities by filter or by key, in the order of their keys; count(*). */
#include "api/milvus/milvus_entities.h"

#include <stdlib.h>

/* ==== parameters ==== */

/* No names, and not everything is loaded: what is. */
static bool narrow(fr_milvus_call *call, const fr_milvus_schema *schema, char ***names, size_t *count)
{
    uint32_t loaded = 0;
    for (uint32_t i = 0; i < schema->partition_count; i++) loaded += schema->partitions[i].loaded;
    if (loaded == schema->partition_count || schema->partition_key >= 0 || schema->foreign) return true;
    if (!(*names = fr_milvus_alloc(call, loaded * sizeof **names))) {
        fr_milvus_fail(call, MILVUS_MEMORY, "no memory for the request");
        return false;
    }
    for (uint32_t i = 0; i < schema->partition_count; i++)
        if (schema->partitions[i].loaded) (*names)[(*count)++] = fr_milvus_mut(schema->partitions[i].name);
    return true;
}

bool fr_milvus_scope(fr_milvus_call *call, const fr_milvus_schema *schema, const char *verb, char ***names, size_t *count)
{
    bool keyed = schema->partition_key >= 0; /* its partitions are not named: the filter says so */
    for (size_t i = 0; i < *count && !keyed; i++) {
        if (fr_milvus_partition_of(schema, (*names)[i])) continue;
        if (!(*names)[i][0])
            fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "Invalid partition name: . Partition name should not be empty.: invalid parameter");
        else fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "partition name %.300s not found: invalid parameter", (*names)[i]);
        return false;
    }
    if (!schema->loaded) {
        fr_milvus_fail(call, MILVUS_COLLECTION_NOT_LOADED, "failed to %s: collection not loaded[collection=%s]", verb, schema->name);
        return false;
    }
    for (size_t i = 0; i < *count && !keyed; i++) {
        if (fr_milvus_partition_of(schema, (*names)[i])->loaded) continue;
        fr_milvus_fail(call, MILVUS_PARTITION_NOT_LOADED, "failed to %s: partition not loaded[partition=%s]", verb, (*names)[i]);
        return false;
    }
    return *count || narrow(call, schema, names, count);
}

/* A number in Milvus's range, told in its words. */
bool fr_milvus_limit_in(fr_milvus_call *call, const char *name, int64_t number)
{
    if (number >= 1 && number <= FR_MILVUS_LIMIT_MAX) return true;
    fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "%s [%lld] is invalid, it should be in range [1, %u], but got %lld: invalid parameter", name,
                   (long long)number, FR_MILVUS_LIMIT_MAX, (long long)number);
    return false;
}

bool fr_milvus_param_number(fr_milvus_call *call, Milvus__KeyValuePair *const *pairs, size_t count, const char *name, int64_t otherwise, int64_t *out)
{
    const char *text = fr_milvus_param(pairs, count, name);
    *out = otherwise;
    if (!text || fr_milvus_int(text, out)) return true;
    fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "%s [%.40s] is invalid: invalid parameter", name, text);
    return false;
}

bool fr_milvus_param_int(fr_milvus_call *call, Milvus__KeyValuePair *const *pairs, size_t count, const char *name, int64_t least, int64_t most,
                         int64_t otherwise, int64_t *out)
{
    const char *text = fr_milvus_param(pairs, count, name);
    *out = otherwise;
    if (!text || !*text) return true;
    if (fr_milvus_int(text, out) && *out >= least && *out <= most) return true;
    fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "%s [%.40s] is invalid, it should be in range [%lld, %lld]: invalid parameter", name, text,
                   (long long)least, (long long)most);
    return false;
}

bool fr_milvus_param_true(Milvus__KeyValuePair *const *pairs, size_t count, const char *name)
{
    const char *text = fr_milvus_param(pairs, count, name);
    return text && (strcmp(text, "True") == 0 || strcmp(text, "true") == 0);
}

/* ==== query ==== */

typedef struct page {
    fr_hit *hits;
    size_t count, room, bytes;
} page;

static bool grow(fr_milvus_call *call, page *p, size_t more)
{
    if (p->count + more <= p->room) return true;
    size_t room = FR_MAX(p->count + more, p->room * 2);
    fr_hit *hits = fr_arena_alloc(&call->arena, room * sizeof *hits);
    if (!hits) {
        fr_milvus_fail(call, MILVUS_MEMORY, "no memory for the answer: ask for less at a time");
        return false;
    }
    if (p->count) memcpy(hits, p->hits, p->count * sizeof *hits);
    p->hits = hits, p->room = room;
    return true;
}

/* Keys with a filter that names nothing else need no scan, and no filter. They come back in their order. */
static int by_key_text(const void *a, const void *b) { return fr_span_compare(((const fr_hit *)a)->key, ((const fr_hit *)b)->key); }
static int by_key_number(const void *a, const void *b)
{
    int64_t x = fr_milvus_key_int(((const fr_hit *)a)->key), y = fr_milvus_key_int(((const fr_hit *)b)->key);
    return (x > y) - (x < y);
}

static bool get_keys(fr_milvus_call *call, fr_milvus_worker *worker, const fr_milvus_schema *schema, fr_doc list, const fr_wanted *wanted, page *p)
{
    uint32_t left = fr_doc_count(list);
    fr_doc_iter iter = fr_doc_begin(list);
    fr_span *keys = fr_milvus_alloc(call, FR_MIN(left, FR_RECORDS_MAX) * sizeof *keys);
    bool fine = keys != NULL;
    while (fine && left) {
        uint32_t count = 0, found = 0;
        fr_doc value;
        for (; left && count < FR_RECORDS_MAX && fr_doc_next(&iter, NULL, &value); left--) {
            char *digits = fr_arena_alloc(&call->arena, 24);
            if (!digits || !fr_milvus_key_of(schema, value, digits, &keys[count])) {
                fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "failed to create query plan: the ids are not of the primary key's type: invalid parameter");
                return false;
            }
            count += keys[count].size >= 1 && keys[count].size <= FR_KEY_BYTES_MAX;
        }
        if (count == 0) break;
        if (!grow(call, p, count)) return false;
        fr_code code = fr_get(worker->searcher, schema->id, keys, count, wanted, p->hits + p->count, &found, &call->err);
        if (code != FR_OK) {
            fr_milvus_fail_fr(call, code, &call->err, schema->database, schema->name);
            return false;
        }
        for (uint32_t i = 0; i < found; i++)
            if (!fr_milvus_hit_keep(call, &p->hits[p->count + i], &p->bytes)) return false;
        p->count += found;
    }
    bool text = schema->fields[schema->primary].type == FR_TYPE_VARCHAR;
    if (p->count) qsort(p->hits, p->count, sizeof *p->hits, text ? by_key_text : by_key_number);
    size_t kept = 0; /* a key asked for twice is one entity */
    for (size_t i = 0; i < p->count; i++)
        if (kept == 0 || !fr_span_equal(p->hits[kept - 1].key, p->hits[i].key)) p->hits[kept++] = p->hits[i];
    p->count = kept;
    return fine;
}

static bool scroll(fr_milvus_call *call, fr_milvus_worker *worker, const fr_milvus_schema *schema, const fr_condition *condition, uint64_t wanted_rows,
                   uint64_t skipped, const fr_wanted *wanted, const char *expression, fr_span after, page *p)
{
    size_t passed = 0; /* bytes of rows that are skipped do not count */
    while (wanted_rows + skipped > 0) {
        uint32_t limit = (uint32_t)FR_MIN(wanted_rows + skipped, (uint64_t)4096), found = 0;
        if (!grow(call, p, limit)) return false;
        fr_hit *hits = p->hits + p->count;
        fr_code code = fr_scroll(worker->searcher, schema->id, condition, after, limit, wanted, hits, &found, &call->err);
        if (code != FR_OK) {
            if (code == FR_ERR_NOT_FOUND) fr_milvus_fail_fr(call, code, &call->err, schema->database, schema->name);
            else fr_milvus_fail_filter(call, expression, code, &call->err);
            return false;
        }
        uint32_t drop = (uint32_t)FR_MIN(skipped, (uint64_t)found);
        skipped -= drop;
        if (drop == found && found) { /* only the last key is of use */
            if (!fr_milvus_hit_keep(call, &hits[found - 1], &passed)) return false;
            after = hits[found - 1].key, passed = 0;
        }
        memmove(hits, hits + drop, (found - drop) * sizeof *hits);
        for (uint32_t i = 0; i < found - drop; i++)
            if (!fr_milvus_hit_keep(call, &hits[i], &p->bytes)) return false;
        p->count += found - drop;
        wanted_rows -= FR_MIN(wanted_rows, (uint64_t)(found - drop));
        if (found < limit) return true;
        if (found > drop) after = p->hits[p->count - 1].key;
    }
    return true;
}

static fr_milvus_next count_all(fr_milvus_call *call, fr_milvus_worker *worker, const fr_milvus_schema *schema, const fr_condition *condition,
                                Milvus__QueryResults *reply)
{
    static char name[] = "count(*)";
    const Milvus__QueryRequest *r = call->request;
    uint64_t count = 0;
    fr_code code = fr_count(worker->searcher, schema->id, condition->filter ? condition : NULL, &count, &call->err);
    if (code == FR_ERR_NOT_FOUND) return fr_milvus_fail_fr(call, code, &call->err, schema->database, schema->name);
    if (code != FR_OK) return fr_milvus_fail_filter(call, r->expr, code, &call->err);
    Milvus__FieldData **columns = fr_milvus_alloc(call, sizeof *columns);
    Milvus__FieldData *column = fr_milvus_message(&call->arena, &milvus__field_data__descriptor);
    Milvus__ScalarField *scalars = fr_milvus_message(&call->arena, &milvus__scalar_field__descriptor);
    Milvus__LongArray *values = fr_milvus_message(&call->arena, &milvus__long_array__descriptor);
    int64_t *value = fr_milvus_alloc(call, sizeof *value);
    if (!columns || !column || !scalars || !values || !value) return fr_milvus_fail(call, MILVUS_MEMORY, "no memory for the answer");
    *value = (int64_t)count;
    values->data = value, values->n_data = 1;
    scalars->data_case = MILVUS__SCALAR_FIELD__DATA_LONG_DATA, scalars->long_data = values;
    column->type = FR_TYPE_INT64, column->field_name = name;
    column->field_case = MILVUS__FIELD_DATA__FIELD_SCALARS, column->scalars = scalars;
    columns[0] = column;
    reply->fields_data = columns, reply->n_fields_data = 1;
    return fr_milvus_done(call);
}

static bool window_in(fr_milvus_call *call, int64_t offset, int64_t limit)
{
    const char *words = "invalid max query result window";
    if (offset < 0)
        fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "%s, offset [%lld] is invalid, should be gte than 0: invalid parameter", words, (long long)offset);
    else if (limit <= 0)
        fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "%s, limit [%lld] is invalid, should be greater than 0: invalid parameter", words, (long long)limit);
    else if (offset > FR_MILVUS_LIMIT_MAX || limit > FR_MILVUS_LIMIT_MAX - offset)
        fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "%s, (offset+limit) should be in range [1, %u], but got %llu: invalid parameter", words,
                       FR_MILVUS_LIMIT_MAX, (unsigned long long)offset + (unsigned long long)limit);
    else return true;
    return false;
}

static fr_milvus_next query(fr_milvus_call *call, fr_milvus_worker *worker, const fr_milvus_schema *schema)
{
    Milvus__QueryRequest *r = call->request;
    fr_milvus_output output;
    fr_condition condition;
    int64_t limit, offset;
    fr_span after = {"", 0};
    const char *expression = r->expr;
    /* A page of an iterator: the engine goes on behind a key without looking at what stands before it. */
    if (!fr_milvus_filter_cursor(call, schema, r->expr, &expression, &after)) expression = r->expr, after.size = 0;
    bool limited = fr_milvus_param(r->query_params, r->n_query_params, "limit") != NULL;
    if (!fr_milvus_scope(call, schema, "query", &r->partition_names, &r->n_partition_names) ||
        !fr_milvus_output_resolve(call, schema, r->output_fields, r->n_output_fields, true, &output) ||
        !fr_milvus_param_number(call, r->query_params, r->n_query_params, "limit", -1, &limit) ||
        !fr_milvus_param_number(call, r->query_params, r->n_query_params, "offset", 0, &offset) ||
        (limited && !window_in(call, offset, limit)) ||
        !fr_milvus_filter(call, worker, schema, expression, r->expr_template_values, r->n_expr_template_values, r->partition_names, r->n_partition_names,
                          &condition))
        return FR_MILVUS_REPLY;
    if (!limited) offset = 0; /* it is looked at with a limit only */
    bool empty = !r->expr[strspn(r->expr, " \t\r\n")];
    if (limited && output.count) return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "count entities with pagination is not allowed: invalid parameter");
    if (empty && limit < 0 && !output.count)
        return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "empty expression should be used with limit: invalid parameter");
    Milvus__QueryResults *reply = fr_milvus_message(&call->arena, call->rpc->reply);
    if (!reply) return fr_milvus_fail(call, MILVUS_MEMORY, "no memory for the answer");
    reply->collection_name = r->collection_name;
    reply->primary_field_name = (char *)(uintptr_t)schema->fields[schema->primary].name;
    reply->session_ts = fr_timestamp(call->db);
    call->reply = reply;
    if (output.count && after.size && !fr_milvus_filter(call, worker, schema, r->expr, r->expr_template_values, r->n_expr_template_values,
                                                        r->partition_names, r->n_partition_names, &condition))
        return FR_MILVUS_REPLY; /* counting has no place to begin at */
    if (output.count) return count_all(call, worker, schema, &condition, reply);
    page p = {.hits = NULL};
    fr_wanted wanted = {.vector_fields = output.vector_fields};
    fr_doc keys = after.size ? (fr_doc){NULL} : fr_milvus_filter_keys(schema, &condition);
    uint64_t rows = limit < 0 ? UINT32_MAX : (uint64_t)limit;
    if (keys.data) {
        if (!get_keys(call, worker, schema, keys, &wanted, &p)) return FR_MILVUS_REPLY;
        size_t drop = FR_MIN((size_t)offset, p.count);
        p.hits += drop, p.count = FR_MIN(p.count - drop, (size_t)rows);
    } else if (!scroll(call, worker, schema, condition.filter ? &condition : NULL, rows, (uint64_t)offset, &wanted, r->expr, after, &p)) {
        return FR_MILVUS_REPLY;
    }
    reply->output_fields = output.names, reply->n_output_fields = output.name_count;
    if (!fr_milvus_output_columns(call, &output, p.hits, p.count, &reply->fields_data, &reply->n_fields_data))
        return fr_milvus_fail(call, MILVUS_TOO_LARGE, "no memory for the answer: ask for less at a time");
    return fr_milvus_done(call);
}

fr_milvus_next fr_milvus_on_query(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    const Milvus__QueryRequest *r = call->request;
    if (!worker->searcher || worker->loop) return FR_MILVUS_SEARCHER;
    const fr_milvus_schema *schema = fr_milvus_schema_in(door, call, r->collection_name);
    return schema ? query(call, worker, schema) : FR_MILVUS_REPLY;
}
