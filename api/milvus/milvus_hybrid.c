/* milvus_hybrid.c: several searches, their hits made one list: reciprocal ranks, or weighted scores. */
#include "api/milvus/milvus_entities.h"

#include <math.h>
#include <stdlib.h>

typedef struct ranker {
    bool weighted, normalised;
    double k; /* of reciprocal ranks */
    float *weights;
} ranker;

typedef struct fused {
    fr_hit hit;
    double score;
} fused;

static bool refuse(fr_milvus_call *call, const char *words)
{
    fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "%s: invalid parameter", words);
    return false;
}

/* ==== the ranker ==== */

static bool weights_in(fr_milvus_call *call, fr_doc list, size_t requests, ranker *r)
{
    r->weighted = true;
    if (!list.data || fr_doc_type(list) != FR_DOC_ARRAY || fr_doc_count(list) != requests)
        return refuse(call, "the length of weights param mismatch with ann search requests");
    if (!(r->weights = fr_milvus_alloc(call, requests * sizeof *r->weights))) return refuse(call, "no memory");
    for (uint32_t i = 0; i < requests; i++) {
        fr_doc weight = fr_doc_at(list, i);
        fr_doc_tag tag = fr_doc_type(weight);
        bool number = tag == FR_DOC_INT || tag == FR_DOC_FLOAT;
        if (!number || fr_doc_number(weight) < 0 || fr_doc_number(weight) > 1) return refuse(call, "rank param weight should be in range [0, 1]");
        r->weights[i] = (float)fr_doc_number(weight);
    }
    return true;
}

static bool rank_params_in(fr_milvus_call *call, const char *strategy, fr_doc params, size_t requests, ranker *r)
{
    r->k = 60;
    if (!strategy || !*strategy || strcasecmp(strategy, "rrf") == 0) {
        fr_doc k = params.data ? fr_doc_get(params, fr_span_text("k")) : (fr_doc){NULL};
        if (!k.data) return true;
        fr_doc_tag tag = fr_doc_type(k);
        if ((tag != FR_DOC_INT && tag != FR_DOC_FLOAT) || !(fr_doc_number(k) > 0 && fr_doc_number(k) < 16384))
            return refuse(call, "The rank params k should be in range (0, 16384)");
        r->k = fr_doc_number(k);
        return true;
    }
    if (strcasecmp(strategy, "weighted") != 0) return refuse(call, "unsupported rank type: rrf and weighted are known");
    fr_doc norm = params.data ? fr_doc_get(params, fr_span_text("norm_score")) : (fr_doc){NULL};
    r->normalised = norm.data && fr_doc_type(norm) == FR_DOC_TRUE;
    return weights_in(call, params.data ? fr_doc_get(params, fr_span_text("weights")) : params, requests, r);
}

/* A function that reranks says the same in its parameters, each a text of its own. */
static bool function_in(fr_milvus_call *call, fr_milvus_worker *worker, const Milvus__FunctionScore *score, size_t requests, ranker *r)
{
    if (score->n_functions != 1) return refuse(call, "one rerank function is offered");
    const Milvus__FunctionSchema *f = score->functions[0];
    const char *name = fr_milvus_param(f->params, f->n_params, "reranker");
    fr_milvus_json_text text = {.arena = &call->arena};
    static const char *const keys[] = {"k", "weights", "norm_score"};
    bool first = true;
    fr_milvus_json_bytes(&text, "{", 1);
    for (size_t i = 0; i < FR_COUNT_OF(keys); i++) {
        const char *value = fr_milvus_param(f->params, f->n_params, keys[i]);
        if (!value || !*value) continue;
        if (!first) fr_milvus_json_bytes(&text, ",", 1);
        first = false;
        fr_milvus_json_string(&text, fr_span_text(keys[i]));
        fr_milvus_json_bytes(&text, ":", 1);
        bool yes = strcmp(value, "True") == 0, no = strcmp(value, "False") == 0;
        fr_milvus_json_bytes(&text, yes ? "true" : no ? "false" : value, yes ? 4 : no ? 5 : strlen(value));
    }
    fr_milvus_json_bytes(&text, "}", 1);
    fr_doc params;
    if (text.failed || fr_milvus_json_doc(call, worker, (fr_span){text.data, text.size}, &params, &call->err) != FR_OK ||
        fr_doc_type(params) != FR_DOC_OBJECT)
        return refuse(call, "the parameters of the rerank function are not JSON values");
    if (!name || (strcasecmp(name, "rrf") != 0 && strcasecmp(name, "weighted") != 0))
        return refuse(call, "unsupported rerank function: rrf and weighted are known");
    return rank_params_in(call, name, params, requests, r);
}

static bool ranker_in(fr_milvus_call *call, fr_milvus_worker *worker, const Milvus__HybridSearchRequest *request, ranker *r)
{
    *r = (ranker){.k = 60};
    if (request->function_score && request->function_score->n_functions)
        return function_in(call, worker, request->function_score, request->n_requests, r);
    const char *text = fr_milvus_param(request->rank_params, request->n_rank_params, "params");
    fr_doc params = {NULL};
    if (text && *text && (fr_milvus_json_doc(call, worker, fr_span_text(text), &params, &call->err) != FR_OK || fr_doc_type(params) != FR_DOC_OBJECT))
        return refuse(call, "the rank params must be a JSON object");
    return rank_params_in(call, fr_milvus_param(request->rank_params, request->n_rank_params, "strategy"), params, request->n_requests, r);
}

/* To 0..1, larger is better, whatever the metric. */
static double normal(fr_metric metric, double score)
{
    switch (metric) {
    case FR_METRIC_COSINE: return (1 + score) * 0.5;
    case FR_METRIC_IP: return 0.5 + atan(score) / M_PI;
    case FR_METRIC_BM25: return 2 * atan(score) / M_PI;
    case FR_METRIC_L2:
    case FR_METRIC_HAMMING:
    case FR_METRIC_JACCARD: break;
    }
    return 1.0 - 2 * atan(score) / M_PI;
}

/* ==== one list ==== */

static int by_key(const void *a, const void *b) { return fr_span_compare(((const fused *)a)->hit.key, ((const fused *)b)->hit.key); }
static int by_score(const void *a, const void *b)
{
    double x = ((const fused *)a)->score, y = ((const fused *)b)->score;
    return x > y ? -1 : x < y ? 1 : by_key(a, b);
}

static double share_of(const ranker *r, const fr_milvus_search *search, uint32_t which, uint32_t rank, float score)
{
    if (!r->weighted) return 1.0 / (r->k + rank + 1);
    return (double)r->weights[which] * (r->normalised ? normal(search->field->metric, (double)score) : (double)score);
}

/* Lists of one query to one list, best first; its count. */
static uint32_t fuse(fused *list, uint32_t count)
{
    uint32_t kept = 0;
    if (count) qsort(list, count, sizeof *list, by_key);
    for (uint32_t i = 0; i < count; i++) {
        if (kept && fr_span_equal(list[kept - 1].hit.key, list[i].hit.key)) list[kept - 1].score += list[i].score;
        else list[kept++] = list[i];
    }
    if (kept) qsort(list, kept, sizeof *list, by_score);
    return kept;
}

typedef struct hybrid {
    const fr_milvus_schema *schema;
    fr_milvus_search *searches;
    fr_milvus_found *found;
    uint32_t count, query_count;
    ranker ranker;
    fr_milvus_search whole; /* what the answer is made by */
} hybrid;

static bool searches_run(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker, const Milvus__HybridSearchRequest *request, hybrid *h)
{
    for (uint32_t i = 0; i < h->count; i++) {
        Milvus__SearchRequest *one = request->requests[i];
        if (!one->n_partition_names) one->partition_names = request->partition_names, one->n_partition_names = request->n_partition_names;
        fr_milvus_search *s = &h->searches[i];
        if (!fr_milvus_search_in(door, call, worker, h->schema, one, s)) return false;
        if (s->group_key || s->iterator) return refuse(call, "a search of a hybrid search neither groups nor iterates");
        if (i && s->query_count != h->searches[0].query_count) return refuse(call, "nq of sub requests must be the same");
        s->query.with_metadata = h->whole.group_key != NULL;
        if (!fr_milvus_search_run(call, worker, s, &h->found[i])) return false;
    }
    h->query_count = h->searches[0].query_count;
    return true;
}

static bool whole_in(fr_milvus_call *call, const Milvus__HybridSearchRequest *request, hybrid *h)
{
    int64_t limit, offset;
    fr_milvus_search *s = &h->whole;
    *s = (fr_milvus_search){.schema = h->schema, .group_size = 1};
    if (!fr_milvus_param_int(call, request->rank_params, request->n_rank_params, "limit", 1, FR_MILVUS_LIMIT_MAX, 10, &limit) ||
        !fr_milvus_param_int(call, request->rank_params, request->n_rank_params, "offset", 0, FR_MILVUS_LIMIT_MAX, 0, &offset) ||
        !fr_milvus_param_int(call, request->rank_params, request->n_rank_params, "round_decimal", -1, 6, -1, &s->round_decimal))
        return false;
    if (offset + limit > FR_MILVUS_LIMIT_MAX) return refuse(call, "offset+limit is over 16384");
    int64_t size;
    const char *group = fr_milvus_param(request->rank_params, request->n_rank_params, "group_by_field");
    if (!fr_milvus_param_int(call, request->rank_params, request->n_rank_params, "group_size", 1, FR_MILVUS_LIMIT_MAX, 1, &size)) return false;
    if (group && *group) {
        s->group = fr_milvus_field_of(h->schema, group);
        if (!s->group || s->group->vector >= 0) return refuse(call, "groupBy field not found in schema");
        s->group_key = group, s->group_size = (uint32_t)size;
    }
    s->limit = (uint32_t)limit, s->offset = (uint32_t)offset;
    return fr_milvus_output_resolve(call, h->schema, request->output_fields, request->n_output_fields, false, &s->output);
}

/* Of the fused list, the first groups, each with at most its size. */
static uint32_t grouped(const hybrid *h, fused *list, uint32_t count, uint32_t *heads, uint32_t *sizes)
{
    const fr_milvus_search *s = &h->whole;
    fr_span name = fr_span_text(s->group_key);
    uint32_t groups = 0, kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        fr_doc value = list[i].hit.metadata.size ? fr_doc_get(fr_doc_root(list[i].hit.metadata), name) : (fr_doc){NULL};
        uint32_t g = 0;
        for (; g < groups; g++) {
            const fr_hit *head = &list[heads[g]].hit;
            fr_doc other = head->metadata.size ? fr_doc_get(fr_doc_root(head->metadata), name) : (fr_doc){NULL};
            if (!value.data || !other.data ? value.data == other.data : fr_doc_equal(value, other)) break;
        }
        if (g == groups && groups == s->limit + s->offset) continue;
        if (g == groups) heads[groups] = kept, sizes[groups++] = 0;
        if (sizes[g]++ >= s->group_size) continue;
        list[kept] = list[i]; /* heads stay true: they are kept places */
        if (g >= s->offset) list[kept].hit.partition = 0;
        else list[kept].hit.partition = -1;
        kept++;
    }
    uint32_t out = 0;
    for (uint32_t i = 0; i < kept; i++)
        if (list[i].hit.partition == 0) list[out++] = list[i];
    return out;
}

static bool fuse_all(fr_milvus_call *call, hybrid *h, fr_milvus_found *out)
{
    const fr_milvus_search *s = &h->whole;
    uint32_t most = s->limit + s->offset;
    uint64_t per_query = s->group_key ? (uint64_t)s->limit * s->group_size : s->limit;
    size_t total = 0;
    for (uint32_t i = 0; i < h->count; i++) total += h->found[i].count;
    fused *list = fr_milvus_alloc(call, (total + 1) * sizeof *list);
    uint32_t *groups = fr_milvus_alloc(call, 2 * (size_t)most * sizeof *groups);
    size_t *at = fr_milvus_alloc(call, h->count * sizeof *at);
    *out = (fr_milvus_found){.hits = fr_milvus_alloc(call, FR_MIN(total + 1, h->query_count * per_query + 1) * sizeof(fr_hit)),
                             .counts = fr_milvus_alloc(call, h->query_count * sizeof(int64_t))};
    if (!list || !groups || !at || !out->hits || !out->counts) return refuse(call, "no memory for the answer");
    for (uint32_t q = 0; q < h->query_count; q++) {
        uint32_t count = 0;
        for (uint32_t i = 0; i < h->count; i++) {
            for (uint32_t n = 0; n < h->found[i].counts[q]; n++, at[i]++) {
                const fr_hit *hit = &h->found[i].hits[at[i]];
                list[count++] = (fused){*hit, share_of(&h->ranker, &h->searches[i], i, n, hit->score)};
            }
        }
        count = fuse(list, count);
        uint32_t first = s->group_key ? 0 : FR_MIN(s->offset, count);
        if (s->group_key) count = grouped(h, list, count, groups, groups + most);
        else count = FR_MIN(count - first, s->limit);
        for (uint32_t n = 0; n < count; n++) {
            list[first + n].hit.score = (float)list[first + n].score;
            out->hits[out->count++] = list[first + n].hit;
        }
        out->counts[q] = count;
    }
    return true;
}

/* What the answer shows of the entities is read for those alone that are in it. */
static bool fill(fr_milvus_call *call, fr_milvus_worker *worker, const hybrid *h, fr_milvus_found *found)
{
    size_t bytes = 0;
    fr_wanted wanted = {.vector_fields = h->whole.output.vector_fields};
    if (!h->whole.output.field_count && !h->whole.output.meta && !h->whole.group_key) return true;
    fr_span *keys = fr_milvus_alloc(call, FR_RECORDS_MAX * sizeof *keys);
    fr_hit *full = fr_milvus_alloc(call, FR_RECORDS_MAX * sizeof *full);
    if (!keys || !full) return refuse(call, "no memory for the answer");
    for (size_t from = 0; from < found->count;) {
        uint32_t count = (uint32_t)FR_MIN(found->count - from, (size_t)FR_RECORDS_MAX), got = 0;
        for (uint32_t i = 0; i < count; i++) keys[i] = found->hits[from + i].key;
        fr_code code = fr_get(worker->searcher, h->schema->id, keys, count, &wanted, full, &got, &call->err);
        if (code != FR_OK) {
            fr_milvus_fail_fr(call, code, &call->err, h->schema->database, h->schema->name);
            return false;
        }
        for (uint32_t i = 0, next = 0; i < count && next < got; i++) { /* in the order asked; one that is gone by now has nulls */
            fr_hit *hit = &found->hits[from + i];
            if (!fr_span_equal(full[next].key, hit->key)) continue;
            hit->metadata = full[next].metadata;
            memcpy(hit->vectors, full[next++].vectors, sizeof hit->vectors);
            if (!fr_milvus_hit_keep(call, hit, &bytes)) return false;
        }
        from += count;
    }
    return true;
}

fr_milvus_next fr_milvus_on_hybrid_search(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    Milvus__HybridSearchRequest *r = call->request;
    if (!worker->searcher || worker->loop) return FR_MILVUS_SEARCHER;
    const fr_milvus_schema *schema = fr_milvus_schema_in(door, call, r->collection_name);
    if (!schema) return FR_MILVUS_REPLY;
    if (r->n_requests < 1 || r->n_requests > FR_MILVUS_SUBSEARCHES_MAX)
        return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "a hybrid search has 1 to %u searches, got %zu: invalid parameter", FR_MILVUS_SUBSEARCHES_MAX,
                              r->n_requests);
    hybrid *h = fr_milvus_alloc(call, sizeof *h);
    if (!h || !(h->searches = fr_milvus_alloc(call, r->n_requests * sizeof *h->searches)) ||
        !(h->found = fr_milvus_alloc(call, r->n_requests * sizeof *h->found)))
        return fr_milvus_fail(call, MILVUS_MEMORY, "no memory for the request");
    h->schema = schema, h->count = (uint32_t)r->n_requests;
    fr_milvus_found found;
    if (!fr_milvus_scope(call, schema, "search", &r->partition_names, &r->n_partition_names) || !whole_in(call, r, h) ||
        !ranker_in(call, worker, r, &h->ranker))
        return FR_MILVUS_REPLY;
    if (!searches_run(door, call, worker, r, h) || !fuse_all(call, h, &found) || !fill(call, worker, h, &found)) return FR_MILVUS_REPLY;
    h->whole.query_count = h->query_count;
    return fr_milvus_search_reply(call, &h->whole, &found, r->collection_name);
}
