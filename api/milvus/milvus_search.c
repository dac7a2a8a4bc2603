/* milvus_search.c: a search request to the engine's query and its hits to an answer. */
#include "api/analyze.h"
#include "api/milvus/milvus_entities.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* ==== which field ==== */

static const char *metric_name(fr_metric metric)
{
    static const char *const names[] = {"L2", "IP", "COSINE", "HAMMING", "JACCARD", "BM25"};
    return (size_t)metric < FR_COUNT_OF(names) ? names[metric] : "";
}

static bool field_in(fr_milvus_call *call, const Milvus__SearchRequest *r, fr_milvus_search *s)
{
    const fr_milvus_schema *schema = s->schema;
    const char *name = fr_milvus_param(r->search_params, r->n_search_params, "anns_field");
    const char *metric = fr_milvus_param(r->search_params, r->n_search_params, "metric_type");
    for (uint32_t i = 0; i < schema->field_count && (!name || !*name); i++) {
        if (schema->fields[i].vector < 0) continue;
        if (s->field) return fr_milvus_bad(call, "multiple anns_fields exist, please specify a anns_field in search_params");
        s->field = &schema->fields[i];
    }
    if (name && *name) s->field = fr_milvus_field_of(schema, name);
    if (!s->field) return fr_milvus_bad(call, "failed to create query plan: failed to get field schema by name: fieldName(%.100s) not found", name ? name : "");
    if (s->field->vector < 0) return fr_milvus_bad(call, "failed to create query plan: field (%.100s) to search is not of vector data type", s->field->name);
    if (metric && *metric && strcasecmp(metric, metric_name(s->field->metric)) != 0)
        return fr_milvus_bad(call, "failed to search: metric type not match: invalid parameter[expected=%s][actual=%.40s]",
                             metric_name(s->field->metric), metric);
    s->query.field = s->field->engine_field;
    return true;
}

/* ==== vectors ==== */

static bool no_memory(fr_milvus_call *call)
{
    fr_milvus_fail(call, MILVUS_MEMORY, "no memory for the request");
    return false;
}

static bool texts_in(fr_milvus_call *call, fr_milvus_worker *worker, const Milvus__PlaceholderValue *given, fr_milvus_search *s, fr_span *vectors)
{
    const fr_milvus_function *function = fr_milvus_function_of(s->schema, s->field);
    if (!function) return fr_milvus_bad(call, "field %s is made by no function: it cannot be searched by text", s->field->name);
    fr_analyzer *analyzer;
    fr_code code = fr_milvus_analyzer_of(call, worker, &s->schema->fields[function->inputs[0]], &analyzer, &call->err);
    for (size_t i = 0; code == FR_OK && i < given->n_values; i++)
        code = fr_milvus_term_vector(analyzer, (fr_span){given->values[i].data, given->values[i].len}, &call->arena, &vectors[i], &call->err);
    if (code != FR_OK) fr_milvus_fail(call, fr_milvus_code_of(code, NULL), "%s", call->err.text);
    fr_analyzer_free(analyzer);
    return code == FR_OK;
}

/* Lists of numbers come as floats whatever the field's type. */
static bool floats_in(fr_milvus_call *call, const Milvus__PlaceholderValue *given, fr_milvus_search *s)
{
    size_t bytes = s->field->dimension * sizeof(float);
    if (s->field->type == FR_TYPE_VECTOR_BINARY || s->field->type == FR_TYPE_VECTOR_SPARSE)
        return fr_milvus_bad(call, "vector type must be the same, field [%s] is not of floats", s->field->name);
    float *numbers = fr_arena_alloc(&call->arena, given->n_values * bytes);
    if (!numbers) return no_memory(call);
    for (size_t i = 0; i < given->n_values; i++) {
        if (given->values[i].len != bytes)
            return fr_milvus_bad(call, "vector dimension mismatch, expected vector size(byte) %zu, actual %zu", bytes, given->values[i].len);
        memcpy(numbers + i * s->field->dimension, given->values[i].data, bytes);
    }
    s->query.vectors = numbers;
    return true;
}

static bool placeholders_in(fr_milvus_call *call, fr_milvus_worker *worker, fr_span bytes, fr_milvus_search *s)
{
    const Milvus__PlaceholderGroup *group = fr_milvus_unpack(&milvus__placeholder_group__descriptor, bytes, &call->request_arena, &call->err);
    if (!group || group->n_placeholders != 1 || group->placeholders[0]->n_values == 0)
        return fr_milvus_bad(call, "the placeholder group must hold the vectors of one placeholder");
    const Milvus__PlaceholderValue *given = group->placeholders[0];
    if (given->n_values > FR_MILVUS_QUERIES_MAX)
        return fr_milvus_bad(call, "nq [%zu] is invalid, nq (number of search vector per search request) should be in range [1, %u], but got %zu",
                             given->n_values, FR_MILVUS_QUERIES_MAX, given->n_values);
    s->query_count = (uint32_t)given->n_values;
    if (given->type == FR_TYPE_VECTOR_F32) return floats_in(call, given, s);
    fr_span *vectors = fr_milvus_alloc(call, given->n_values * sizeof *vectors);
    if (!vectors) return no_memory(call);
    s->query.vector_bytes = vectors;
    if (given->type == FR_TYPE_VARCHAR) return texts_in(call, worker, given, s, vectors);
    bool binary = given->type == FR_TYPE_VECTOR_BINARY; /* also what a client sends that does not know the type of bytes */
    if (given->type != s->field->type && !binary)
        return fr_milvus_bad(call, "vector type must be the same, field [%s] is of type %d, search with %d", s->field->name, s->field->type, given->type);
    size_t unit = s->field->type == FR_TYPE_VECTOR_BINARY ? s->field->dimension / 8 : fr_vector_bytes((fr_type)s->field->type, s->field->dimension);
    for (size_t i = 0; i < given->n_values; i++) {
        vectors[i] = (fr_span){given->values[i].data, given->values[i].len};
        bool sparse = s->field->type == FR_TYPE_VECTOR_SPARSE;
        if (sparse ? vectors[i].size % 8 != 0 : vectors[i].size != unit)
            return fr_milvus_bad(call, "vector dimension mismatch, expected vector size(byte) %zu, actual %zu", unit, vectors[i].size);
    }
    return true;
}

/* The vectors of entities. */
static bool ids_in(fr_milvus_call *call, fr_milvus_worker *worker, const Milvus__IDs *ids, fr_milvus_search *s)
{
    fr_span *keys, *vectors;
    uint32_t count, found = 0;
    size_t bytes = 0;
    if (!fr_milvus_keys_in(call, s->schema, ids, &keys, &count)) return false;
    if (count == 0) return fr_milvus_bad(call, "ids must not be empty");
    fr_hit *hits = fr_milvus_alloc(call, count * sizeof *hits);
    if (!hits || !(vectors = fr_milvus_alloc(call, count * sizeof *vectors))) return no_memory(call);
    fr_wanted wanted = {.vector_fields = 1u << s->field->vector};
    fr_code code = fr_get(worker->searcher, s->schema->id, keys, count, &wanted, hits, &found, &call->err);
    if (code != FR_OK) {
        fr_milvus_fail_fr(call, code, &call->err, s->schema->database, s->schema->name);
        return false;
    }
    for (uint32_t i = 0, at = 0; i < count; i++, at++) { /* in the order asked, missing ones left out */
        if (at == found || !fr_span_equal(hits[at].key, keys[i]))
            return fr_milvus_bad(call, "some of the provided primary key IDs do not exist: %.*s",
                                 (int)FR_MIN(keys[i].size, (size_t)64), (const char *)keys[i].data);
        vectors[i] = hits[at].vectors[s->field->vector];
        if (!vectors[i].size)
            return fr_milvus_bad(call, "the entity %.*s has no vector in field %s", (int)FR_MIN(keys[i].size, (size_t)64), (const char *)keys[i].data,
                                 s->field->name);
        bytes += vectors[i].size;
        vectors[i].data = fr_arena_copy(&call->arena, vectors[i].data, vectors[i].size);
        if (!vectors[i].data) return no_memory(call);
    }
    s->query_count = count;
    s->query.vector_bytes = vectors;
    return true;
}

/* ==== parameters ==== */

static bool number_of(fr_doc value, float *out)
{
    if (!value.data) return false;
    fr_doc_tag tag = fr_doc_type(value);
    if (tag != FR_DOC_INT && tag != FR_DOC_FLOAT) return false;
    *out = (float)fr_doc_number(value);
    return true;
}

/* A value as Milvus's messages write it. */
static const char *value_text(fr_milvus_call *call, fr_doc value)
{
    fr_milvus_json_text text = {.arena = &call->arena};
    fr_milvus_json_value(&text, value);
    fr_milvus_json_bytes(&text, "", 1);
    return text.failed ? "" : text.data;
}

/* A whole number of the search's params; texts of numbers are taken, too. *out stays when it is not given. */
static bool whole_in(fr_milvus_call *call, fr_doc params, const char *key, int64_t most, int64_t *out)
{
    fr_doc value = params.data ? fr_doc_get(params, fr_span_text(key)) : (fr_doc){NULL};
    int64_t number;
    if (!value.data) return true;
    if (fr_doc_type(value) == FR_DOC_STRING) {
        const char *text = fr_milvus_text(call, "%.*s", (int)FR_MIN(fr_doc_string(value).size, (size_t)40), (const char *)fr_doc_string(value).data);
        if (!text || !fr_milvus_int(text, &number)) return fr_milvus_bad(call, "invalid integer value, key: '%s', value: '%s'", key, text ? text : "");
    } else if (fr_doc_type(value) == FR_DOC_INT) {
        number = fr_doc_int(value);
    } else {
        return fr_milvus_bad(call, "Type conflict in json: param '%s' (%.60s) should be integer", key, value_text(call, value));
    }
    if (number < 1 || number > most)
        return fr_milvus_bad(call, "Out of range in json: param '%s' (%lld) should be in range [1, %lld]", key, (long long)number, (long long)most);
    *out = number;
    return true;
}

/* What index types call the breadth of a search is ef here; those that look at everything do so here, too. */
static bool breadth_in(fr_milvus_call *call, fr_doc params, fr_milvus_search *s)
{
    const fr_milvus_index *index = fr_milvus_index_of(s->schema, s->field);
    const char *type = index ? fr_milvus_pairs_get(&index->params, "index_type") : "";
    int64_t ef = 0, search_list = 0, nprobe = 0, hits = (int64_t)s->limit + s->offset;
    bool hnsw = type && strncmp(type, "HNSW", 4) == 0;
    if (!whole_in(call, params, "ef", INT32_MAX, &ef) || !whole_in(call, params, "search_list", INT32_MAX, &search_list)) return false;
    if (type && strstr(type, "IVF_") && !whole_in(call, params, "nprobe", 65536, &nprobe)) return false;
    if (hnsw && ef && ef < hits && !s->iterator) return fr_milvus_bad(call, "ef(%lld) should be larger than k(%lld)", (long long)ef, (long long)hits);
    if (type && strcmp(type, "DISKANN") == 0 && search_list && search_list < hits && !s->iterator)
        return fr_milvus_bad(call, "search_list_size(%lld) should be larger than k(%lld)", (long long)search_list, (long long)hits);
    if (ef || search_list) s->query.ef = (uint32_t)FR_MIN(FR_MAX(ef, search_list), (int64_t)FR_EF_MAX);
    s->query.exact = s->iterator || (type && (strcmp(type, "FLAT") == 0 || strcmp(type, "BIN_FLAT") == 0));
    return true;
}

static bool range_in(fr_milvus_call *call, fr_doc params, fr_milvus_search *s)
{
    static const char *const names[] = {"radius", "range_filter"};
    for (size_t i = 0; params.data && i < 2; i++) {
        fr_doc value = fr_doc_get(params, fr_span_text(names[i]));
        if (!value.data || fr_doc_type(value) == FR_DOC_NULL) continue;
        float *to = i == 0 ? &s->query.radius : &s->query.range_filter;
        if (!number_of(value, to))
            return fr_milvus_bad(call, "Type conflict in json: param '%s' (%.60s) should be a number: type must be number", names[i], value_text(call, value));
        *(i == 0 ? &s->query.has_radius : &s->query.has_range_filter) = true;
    }
    if (s->query.has_range_filter && !s->query.has_radius) {
        fr_milvus_fail(call, MILVUS_INVALID_PARAMETER,
                       "range_filter requires radius to be set; range_filter alone is not a valid range search parameter: "
                       "invalid parameter[expected=range_filter][actual=]");
        return false;
    }
    bool distance = s->field->metric == FR_METRIC_L2 || s->field->metric == FR_METRIC_HAMMING || s->field->metric == FR_METRIC_JACCARD;
    float far = s->query.radius, near = s->query.range_filter;
    if (s->query.has_radius && s->query.has_range_filter && (distance ? near >= far : near <= far))
        return fr_milvus_bad(call, "range_filter(%g) must be %s than radius(%g)", (double)near, distance ? "less" : "greater", (double)far);
    return true;
}

#define GROUP_SIZE_MAX 10 /* Milvus's default */

/* The search's own words for types. */
static const char *group_type(int32_t type)
{
    if (type == FR_TYPE_FLOAT) return "FLOAT";
    if (type == FR_TYPE_DOUBLE) return "DOUBLE";
    return type == FR_TYPE_ARRAY ? "ARRAY" : type == FR_TYPE_VECTOR_F32 ? "VECTOR_FLOAT" : fr_milvus_type_name(type);
}

static bool group_in(fr_milvus_call *call, const Milvus__SearchRequest *r, fr_milvus_search *s)
{
    const char *name = fr_milvus_param(r->search_params, r->n_search_params, "group_by_field");
    const char *size_text = fr_milvus_param(r->search_params, r->n_search_params, "group_size");
    int64_t size = 1;
    if (!name || !*name) return true;
    if (size_text && !fr_milvus_int(size_text, &size)) size = 1; /* as Milvus does */
    if (size < 1) return fr_milvus_bad(call, "input group size:%lld is negative", (long long)size);
    if (size > GROUP_SIZE_MAX) return fr_milvus_bad(call, "input group size:%lld exceeds configured max group size:%d", (long long)size, GROUP_SIZE_MAX);
    s->group = fr_milvus_field_of(s->schema, name);
    if (s->iterator) return fr_milvus_bad(call, "Not allowed to do groupBy when doing iteration");
    if (!s->group && !s->schema->dynamic) return fr_milvus_bad(call, "groupBy field not found in schema: field not found[field=%.100s]", name);
    if (s->group && (s->group->vector >= 0 || s->group->type == FR_TYPE_FLOAT || s->group->type == FR_TYPE_DOUBLE || s->group->type == FR_TYPE_ARRAY))
        return fr_milvus_bad(call, "unsupported data type %s for group by operator", group_type(s->group->type));
    if (s->query.has_radius) return fr_milvus_bad(call, "Not allowed to do range-search when doing search-group-by");
    s->group_key = name;
    s->group_size = (uint32_t)size;
    s->strict_group = fr_milvus_param_true(r->search_params, r->n_search_params, "strict_group_size");
    return true;
}

static bool limits_in(fr_milvus_call *call, const Milvus__SearchRequest *r, fr_milvus_search *s)
{
    int64_t limit, offset, batch;
    Milvus__KeyValuePair *const *p = r->search_params;
    size_t n = r->n_search_params;
    s->iterator = fr_milvus_param_true(p, n, "search_iter_v2");
    if (!fr_milvus_param_number(call, p, n, "topk", 10, &limit) || !fr_milvus_param_number(call, p, n, "offset", 0, &offset)) return false;
    if (fr_milvus_param_true(p, n, "iterator")) limit = FR_MAX(FR_MIN(limit, (int64_t)FR_MILVUS_LIMIT_MAX), (int64_t)1);
    if (!fr_milvus_limit_in(call, "topk", limit) || (offset && !fr_milvus_limit_in(call, "offset", offset)) ||
        !fr_milvus_limit_in(call, "offset+topk", offset + limit))
        return false;
    const char *decimals = fr_milvus_param(p, n, "round_decimal");
    s->round_decimal = -1;
    if (decimals && (!fr_milvus_int(decimals, &s->round_decimal) || s->round_decimal < -1 || s->round_decimal > 6))
        return fr_milvus_bad(call, "round_decimal [%.40s] is invalid, should be -1 or an integer in range [0, 6]", decimals);
    if (s->iterator) {
        if (!fr_milvus_param_int(call, p, n, "search_iter_batch_size", 1, FR_MILVUS_LIMIT_MAX, limit, &batch)) return false;
        limit = batch;
        const char *bound = fr_milvus_param(p, n, "search_iter_last_bound");
        char *end = NULL;
        if (bound && *bound) s->last_bound = strtof(bound, &end);
        s->has_last_bound = bound && *bound;
        if (end && (*end || end == bound)) return fr_milvus_bad(call, "search_iter_last_bound must be a number");
        if (s->query_count > 1) return fr_milvus_bad(call, "search_iterator_v2 does not support processing multiple vectors simultaneously");
    }
    s->limit = (uint32_t)limit, s->offset = (uint32_t)offset;
    return true;
}

bool fr_milvus_search_in(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker, const fr_milvus_schema *schema, const Milvus__SearchRequest *r,
                         fr_milvus_search *s)
{
    (void)door;
    *s = (fr_milvus_search){.schema = schema, .group_size = 1, .query = {.id = schema->id}};
    if (!field_in(call, r, s)) return false;
    bool ids = r->search_input_case == MILVUS__SEARCH_REQUEST__SEARCH_INPUT_IDS;
    if (ids && !ids_in(call, worker, r->ids, s)) return false;
    if (!ids && !placeholders_in(call, worker, (fr_span){r->placeholder_group.data, r->placeholder_group.len}, s)) return false;
    if (!limits_in(call, r, s)) return false;
    const char *text = fr_milvus_param(r->search_params, r->n_search_params, "params");
    fr_doc params = {NULL};
    if (text && *text && (fr_milvus_json_doc(call, worker, fr_span_text(text), &params, &call->err) != FR_OK || fr_doc_type(params) != FR_DOC_OBJECT))
        return fr_milvus_bad(call, "parse search params failed: params must be a JSON object");
    if (params.data) { /* the metric may stand there, too */
        fr_doc metric = fr_doc_get(params, fr_span_text("metric_type"));
        if (metric.data && fr_doc_type(metric) == FR_DOC_STRING && fr_doc_string(metric).size) {
            char *given = fr_milvus_text(call, "%.*s", (int)FR_MIN(fr_doc_string(metric).size, (size_t)40), (const char *)fr_doc_string(metric).data);
            if (given && strcasecmp(given, metric_name(s->field->metric)) != 0)
                return fr_milvus_bad(call, "failed to search: metric type not match: invalid parameter[expected=%s][actual=%s]",
                                     metric_name(s->field->metric), given);
        }
    }
    if (!range_in(call, params, s) || !group_in(call, r, s) || !breadth_in(call, params, s)) return false;
    s->query.dimension = s->field->dimension;
    return fr_milvus_filter(call, worker, schema, r->dsl, r->expr_template_values, r->n_expr_template_values, r->partition_names, r->n_partition_names,
                            &s->condition);
}

/* ==== searching ==== */

static bool is_distance(fr_metric metric) { return metric == FR_METRIC_L2 || metric == FR_METRIC_HAMMING || metric == FR_METRIC_JACCARD; }

/* Of an iterator: what lies at the last bound or behind it. Strictly behind cannot be said in the engine's range: there it is a distance, and a
 * COSINE score next to the bound may be the same distance once it is rounded. */
static void bound(fr_milvus_search *s)
{
    if (!s->has_last_bound) return;
    bool distance = is_distance(s->field->metric);
    bool further = !s->query.has_range_filter || (distance ? s->last_bound > s->query.range_filter : s->last_bound < s->query.range_filter);
    s->query.has_range_filter = true;
    if (further) s->query.range_filter = s->last_bound;
}

/* What a client sees: hits that are equal in this are not told apart by a bound. */
static float shown(const fr_milvus_search *s, const fr_hit *hit) { return is_distance(s->field->metric) ? hit->distance : hit->score; }

static uint32_t drop_ties(const fr_milvus_search *s, fr_hit *hits, uint32_t count)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        float at = shown(s, &hits[i]);
        if (!s->has_last_bound || (is_distance(s->field->metric) ? at > s->last_bound : at < s->last_bound)) hits[kept++] = hits[i];
    }
    return kept;
}

static fr_doc group_value(const fr_milvus_search *s, const fr_hit *hit)
{
    return hit->metadata.size ? fr_doc_get(fr_doc_root(hit->metadata), fr_span_text(s->group_key)) : (fr_doc){NULL};
}

static bool same_group(const fr_milvus_search *s, const fr_hit *a, const fr_hit *b)
{
    if (s->group && s->group->primary) return fr_span_equal(a->key, b->key);
    fr_doc x = group_value(s, a), y = group_value(s, b);
    bool no_x = !x.data || fr_doc_type(x) == FR_DOC_NULL, no_y = !y.data || fr_doc_type(y) == FR_DOC_NULL;
    return no_x || no_y ? no_x && no_y : fr_doc_equal(x, y);
}

/* Of hits in order, those of the groups offset .. offset + limit - 1, by first appearance; true: each has its size.
 * heads, sizes: of offset + limit groups; group_of: of the hits. */
static bool cut_groups(const fr_milvus_search *s, fr_hit *hits, uint32_t *count, uint32_t *heads, uint32_t *sizes, uint32_t *group_of)
{
    uint32_t groups = 0, kept = 0, most = s->offset + s->limit;
    for (uint32_t i = 0; i < *count; i++) {
        uint32_t g = 0;
        while (g < groups && !same_group(s, &hits[heads[g]], &hits[i])) g++;
        group_of[i] = g;
        if (g == most) continue;
        if (g == groups) heads[groups] = i, sizes[groups++] = 0;
        sizes[g]++;
    }
    bool full = groups == most;
    for (uint32_t g = 0; g < groups; g++) full = full && sizes[g] >= s->group_size;
    for (uint32_t i = 0; i < *count; i++)
        if (group_of[i] >= s->offset && group_of[i] < most) hits[kept++] = hits[i];
    *count = kept;
    return full;
}

/* A page of an iterator ends where the distance changes: the next one begins strictly behind it. At most `limit` hits, more only where
 * more have one distance. False: more hits are needed to see where they end. */
static bool cut_ties(const fr_milvus_search *s, const fr_hit *hits, uint32_t *count, uint32_t limit, bool all)
{
    uint32_t end = 0;
    for (uint32_t i = 1; i <= *count && (end == 0 || i <= limit); i++) {
        float at = i < *count ? shown(s, &hits[i]) : 0, before = shown(s, &hits[i - 1]);
        bool change = i == *count ? all : at < before || at > before;
        if (change) end = i;
    }
    if (end == 0 && *count != 0) return false;
    *count = end;
    return true;
}

static bool keep(fr_milvus_call *call, fr_milvus_search *s, fr_hit *from, uint32_t count, fr_milvus_found *found, size_t *bytes)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!fr_milvus_hit_keep(call, &from[i], bytes)) return false;
        if (is_distance(s->field->metric)) from[i].score = from[i].distance;
        found->hits[found->count++] = from[i];
    }
    return true;
}

static bool search_error(fr_milvus_call *call, const fr_milvus_search *s, fr_code code)
{
    if (strcmp(call->err.field, "filter") == 0) fr_milvus_fail_filter(call, s->condition.filter, code, &call->err);
    else fr_milvus_fail_fr(call, code, &call->err, s->schema->database, s->schema->name);
    return false;
}

/* One query, asked with more and more hits until its groups, or the ties at its end, are whole. */
static bool search_one(fr_milvus_call *call, fr_milvus_worker *worker, fr_milvus_search *s, uint32_t at, fr_milvus_found *found, size_t *bytes)
{
    uint64_t want = s->group_key ? (uint64_t)(s->limit + s->offset) * s->group_size : (uint64_t)s->limit + s->offset + 1 + s->has_last_bound;
    fr_query q = s->query;
    q.query_count = 1;
    if (q.vectors) q.vectors += (size_t)at * q.dimension;
    if (q.vector_bytes) q.vector_bytes += at;
    q.group_by = s->group_key && !(s->group && s->group->primary) ? s->group_key : NULL;
    q.group_size = s->group_size;
    for (;; want *= 4) {
        q.k = (uint32_t)FR_MIN(want, (uint64_t)FR_K_MAX);
        uint32_t count = 0;
        fr_hit *hits = fr_arena_alloc(&call->arena, q.k * sizeof *hits);
        uint32_t most = s->limit + s->offset, *groups = fr_milvus_alloc(call, (2 * (size_t)most + q.k) * sizeof *groups);
        if (!hits || !groups) return no_memory(call);
        fr_code code = fr_search(worker->searcher, &q, hits, &count, NULL, &call->err);
        if (code != FR_OK) return search_error(call, s, code);
        bool last = q.k == FR_K_MAX || count < q.k;
        if (s->group_key) {
            bool full = cut_groups(s, hits, &count, groups, groups + most, groups + 2 * (size_t)most);
            if (!full && !last && s->strict_group) continue;
        } else {
            uint32_t got = count;
            bool all = count < q.k;
            count = drop_ties(s, hits, count);
            bool whole = cut_ties(s, hits, &count, s->limit, all) && (count || !got);
            if (!whole && !last) continue;
        }
        found->last_bound = s->last_bound;
        if (count) found->last_bound = is_distance(s->field->metric) ? hits[count - 1].distance : hits[count - 1].score;
        found->counts[at] = count;
        if (s->query_count == 1) found->hits = hits, found->count = 0;
        return keep(call, s, hits, count, found, bytes);
    }
}

bool fr_milvus_search_run(fr_milvus_call *call, fr_milvus_worker *worker, fr_milvus_search *s, fr_milvus_found *found)
{
    size_t bytes = 0;
    fr_query *q = &s->query;
    *found = (fr_milvus_found){.hits = NULL};
    q->k = s->limit, q->offset = s->offset;
    q->filter = s->condition.filter, q->filter_params = s->condition.params;
    q->vector_fields = s->output.vector_fields;
    q->with_metadata = q->with_metadata || s->group_key || s->output.meta;
    for (uint32_t i = 0; i < s->output.field_count; i++)
        q->with_metadata = q->with_metadata || (!s->output.fields[i]->primary && s->output.fields[i]->vector < 0);
    bound(s);
    found->counts = fr_milvus_alloc(call, s->query_count * sizeof *found->counts);
    if (!found->counts) return no_memory(call);
    if (s->group_key || s->iterator) {
        q->offset = 0;
        uint64_t room = (uint64_t)s->query_count * FR_MIN((uint64_t)s->limit * s->group_size, (uint64_t)FR_K_MAX);
        if (room * sizeof(fr_hit) > FR_MILVUS_ANSWER_BYTES_MAX * 4)
            return fr_milvus_bad(call, "nq * limit * group_size asks for %llu hits, too many at once", (unsigned long long)room);
        if (s->query_count > 1 && !(found->hits = fr_arena_alloc(&call->arena, room * sizeof *found->hits))) return no_memory(call);
        for (uint32_t i = 0; i < s->query_count; i++)
            if (!search_one(call, worker, s, i, found, &bytes)) return false;
        return true;
    }
    uint32_t step = FR_MIN(s->query_count, FR_QUERIES_MAX);
    if ((uint64_t)s->query_count * q->k * sizeof(fr_hit) > FR_MILVUS_ANSWER_BYTES_MAX * 4)
        return fr_milvus_bad(call, "nq * limit asks for %llu hits, too many at once", (unsigned long long)s->query_count * q->k);
    fr_hit *hits = fr_arena_alloc(&call->arena, (size_t)step * q->k * sizeof *hits);
    found->hits = fr_arena_alloc(&call->arena, (size_t)s->query_count * q->k * sizeof *hits);
    uint32_t *counts = fr_milvus_alloc(call, step * sizeof *counts);
    if (!hits || !found->hits || !counts) return no_memory(call);
    for (uint32_t first = 0; first < s->query_count; first += step) {
        fr_query piece = *q;
        piece.query_count = FR_MIN(step, s->query_count - first);
        if (piece.vectors) piece.vectors += (size_t)first * q->dimension;
        if (piece.vector_bytes) piece.vector_bytes += first;
        fr_code code = fr_search(worker->searcher, &piece, hits, counts, NULL, &call->err);
        if (code != FR_OK) return search_error(call, s, code);
        for (uint32_t i = 0; i < piece.query_count; i++) {
            found->counts[first + i] = counts[i];
            if (!keep(call, s, hits + (size_t)i * q->k, counts[i], found, &bytes)) return false;
        }
    }
    return true;
}

/* ==== answers ==== */

float fr_milvus_rounded(float score, int64_t decimals)
{
    if (decimals < 0) return score;
    double ten = pow(10, (double)decimals);
    return (float)(floor((double)score * ten + 0.5) / ten);
}

static Milvus__FieldData *group_column(fr_milvus_call *call, const fr_milvus_search *s, const fr_milvus_found *found)
{
    if (s->group) return fr_milvus_column_of(call, s->group, found->hits, found->count);
    fr_milvus_field *field = fr_milvus_alloc(call, sizeof *field); /* a dynamic key: as JSON */
    if (!field) return NULL;
    *field = (fr_milvus_field){.name = s->group_key, .type = FR_TYPE_JSON, .vector = -1};
    return fr_milvus_column_of(call, field, found->hits, found->count);
}

fr_milvus_next fr_milvus_search_reply(fr_milvus_call *call, const fr_milvus_search *s, const fr_milvus_found *found, const char *collection)
{
    static char token[] = "freshet";
    Milvus__SearchResults *reply = fr_milvus_message(&call->arena, call->rpc->reply);
    Milvus__SearchResultData *data = fr_milvus_message(&call->arena, &milvus__search_result_data__descriptor);
    bool fine = reply && data && (data->scores = fr_milvus_alloc(call, found->count * sizeof *data->scores)) != NULL;
    fine = fine && (data->ids = fr_milvus_ids_of(call, s->schema, found->hits, found->count)) != NULL;
    fine = fine && fr_milvus_output_columns(call, &s->output, found->hits, found->count, &data->fields_data, &data->n_fields_data);
    if (fine && s->group_key) fine = (data->group_by_field_value = group_column(call, s, found)) != NULL;
    if (fine && s->iterator) {
        data->search_iterator_v2_results = fr_milvus_message(&call->arena, &milvus__search_iterator_v2_results__descriptor);
        fine = data->search_iterator_v2_results != NULL;
        if (fine) data->search_iterator_v2_results->token = token, data->search_iterator_v2_results->last_bound = found->last_bound;
    }
    if (!fine) return fr_milvus_fail(call, MILVUS_TOO_LARGE, "no memory for the answer: ask for less at a time");
    data->num_queries = s->query_count;
    data->n_scores = found->count;
    for (size_t i = 0; i < found->count; i++) data->scores[i] = fr_milvus_rounded(found->hits[i].score, s->round_decimal);
    data->topks = found->counts, data->n_topks = s->query_count;
    for (uint32_t i = 0; i < s->query_count; i++) data->top_k = FR_MAX(data->top_k, found->counts[i]);
    data->output_fields = s->output.names, data->n_output_fields = s->output.name_count;
    data->primary_field_name = (char *)(uintptr_t)s->schema->fields[s->schema->primary].name;
    data->all_search_count = (int64_t)found->count;
    reply->results = data;
    reply->collection_name = (char *)(uintptr_t)collection;
    reply->session_ts = fr_timestamp(call->db);
    call->reply = reply;
    return fr_milvus_done(call);
}

/* ==== where it runs ==== */

#define LOOP_HITS_MAX 100u
#define LOOP_EF_MAX 512u
#define LOOP_COST_NS 200000u

/* A plain search: one vector, no filter, few hits. Their cost is measured per collection, and only they may run on a loop, where a
 * hand-over to another thread would cost as much as they do. */
static bool looks_plain(const Milvus__SearchRequest *r)
{
    return r->search_input_case != MILVUS__SEARCH_REQUEST__SEARCH_INPUT_IDS && r->nq <= 1 && !r->dsl[0] && !r->n_partition_names;
}

static bool is_plain(const fr_milvus_search *s)
{
    const fr_query *q = &s->query;
    return s->query_count == 1 && !s->condition.filter && !s->group_key && !s->iterator && !q->exact && !s->output.vector_fields &&
           s->limit + s->offset <= LOOP_HITS_MAX && q->ef <= LOOP_EF_MAX;
}

static _Atomic uint32_t *cost_slot(fr_milvus *door, fr_id id) { return &door->search_cost_ns[fr_mix64(id) % FR_MILVUS_COST_SLOTS]; }

static bool cheap(fr_milvus *door, fr_id id)
{
    uint32_t cost_ns = atomic_load_explicit(cost_slot(door, id), memory_order_relaxed);
    return cost_ns && cost_ns <= LOOP_COST_NS;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* A moving mean over about eight searches. Lost updates between threads do no harm. */
static void cost_learn(fr_milvus *door, fr_id id, int64_t took_ns)
{
    int64_t old = atomic_load_explicit(cost_slot(door, id), memory_order_relaxed);
    took_ns = FR_MIN(took_ns, (int64_t)1000000000);
    int64_t mean = old ? old + (took_ns - old) / 8 : took_ns;
    atomic_store_explicit(cost_slot(door, id), (uint32_t)FR_MAX(mean, (int64_t)1), memory_order_relaxed);
}

fr_milvus_next fr_milvus_on_search(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    Milvus__SearchRequest *r = call->request;
    if (!worker->searcher || (worker->loop && !looks_plain(r))) return FR_MILVUS_SEARCHER;
    const fr_milvus_schema *schema = fr_milvus_schema_in(door, call, r->collection_name);
    if (!schema) return FR_MILVUS_REPLY;
    if (worker->loop && !cheap(door, schema->id)) return FR_MILVUS_SEARCHER;
    int64_t begin = now_ns();
    fr_milvus_search *s = fr_milvus_alloc(call, sizeof *s);
    fr_milvus_found found;
    if (!s) return fr_milvus_fail(call, MILVUS_MEMORY, "no memory for the request");
    if (!fr_milvus_scope(call, schema, "search", &r->partition_names, &r->n_partition_names) || !fr_milvus_search_in(door, call, worker, schema, r, s) ||
        !fr_milvus_output_resolve(call, schema, r->output_fields, r->n_output_fields, false, &s->output))
        return FR_MILVUS_REPLY;
    bool plain = is_plain(s);
    if (worker->loop && !plain) return FR_MILVUS_SEARCHER; /* from its beginning */
    if (!fr_milvus_search_run(call, worker, s, &found)) return FR_MILVUS_REPLY;
    if (s->output.count) return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "count(*) is not a field of a search: invalid parameter");
    fr_milvus_next next = fr_milvus_search_reply(call, s, &found, r->collection_name);
    if (plain) cost_learn(door, schema->id, now_ns() - begin);
    return next;
}
