/* call_search.c: one search: body to fr_query, waiting for min_offset, hits to JSON. Hits are borrowed until the searcher's
 * next call, so the answer is written in the same step. */
#include "api/http/http_private.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

#define HITS_MAX 262144u       /* vectors x k of one request: 16 MiB of answer holds no more */
#define LOOP_SCAN_FLOATS 1000000u /* rows x dimension that a loop may search itself before costs are known: under 200 us */
#define LOOP_COST_NS 150000u      /* measured cost up to which a loop searches itself; aim: under 200 us */
#define LOOP_K_MAX 100u
#define LOOP_EF_MAX 200u

enum { STAGE_NEW, STAGE_RUN };

typedef struct searching {
    fr_output output;
    const char *text; /* to be embedded; NULL when vectors were given */
    size_t text_size;
    bool explain;
} searching;

/* ---- the body ---- */

static fr_code min_offset_put(fr_http_call *call, int64_t partition, int64_t offset)
{
    fr_query *query = &call->query_in;
    if (partition < 0 || partition >= (int64_t)call->info->partition_count)
        return fr_fail(&call->err, FR_ERR_INVALID, "min_offset", "names partition %lld, the collection has %u",
                       (long long)partition, call->info->partition_count);
    if (offset < 0) return fr_fail(&call->err, FR_ERR_INVALID, "min_offset", "must not be negative");
    query->min_offsets[query->min_offset_count++] = (struct fr_min_offset){(int32_t)partition, offset};
    return FR_OK;
}

static int64_t partition_name(fr_span name)
{
    if (name.size < 1 || name.size > 4) return -1;
    int64_t value = 0;
    for (size_t i = 0; i < name.size; i++) {
        char c = ((const char *)name.data)[i];
        if (c < '0' || c > '9') return -1;
        value = value * 10 + (c - '0');
    }
    return value;
}

static fr_code min_offset_in(fr_http_call *call)
{
    fr_doc given = fr_http_field(call->rest, "min_offset"), value;
    if (!given.data) return FR_OK;
    if (fr_doc_type(given) == FR_DOC_INT) {
        if (call->info->partition_count > 1)
            return fr_fail(&call->err, FR_ERR_INVALID, "min_offset",
                           "must be an object {\"partition\":offset}: the collection has %u partitions", call->info->partition_count);
        return min_offset_put(call, 0, fr_doc_int(given));
    }
    if (fr_doc_count(given) > FR_PARTITIONS_MAX) return min_offset_put(call, -1, 0);
    fr_doc_iter iter = fr_doc_begin(given);
    fr_span name;
    while (fr_doc_next(&iter, &name, &value)) {
        if (fr_doc_type(value) != FR_DOC_INT) return fr_fail(&call->err, FR_ERR_INVALID, "min_offset", "offsets must be integers");
        FR_TRY(min_offset_put(call, partition_name(name), fr_doc_int(value)));
    }
    return FR_OK;
}

static fr_code number_in(fr_http_call *call, const char *name, bool *has, float *out)
{
    fr_doc value = fr_http_field(call->rest, name);
    if (!value.data) return FR_OK;
    *out = (float)fr_doc_number(value);
    *has = true;
    return isfinite(*out) ? FR_OK : fr_fail(&call->err, FR_ERR_INVALID, name, "is not finite as a 32-bit float");
}

static fr_code vectors_choice(fr_http_call *call, searching *search)
{
    fr_doc text = fr_http_field(call->rest, "text");
    if (call->vectors.data && text.data) return fr_fail(&call->err, FR_ERR_INVALID, "text", "give one of vector, vectors, text");
    if (call->vectors.data) return FR_OK;
    if (!text.data) return fr_fail(&call->err, FR_ERR_INVALID, "vector", "is missing: give one of vector, vectors, text");
    if (!call->info->def.embedder[0] || call->query_in.field > FR_FIELD_VECTOR)
        return fr_fail(&call->err, FR_ERR_INVALID, "text", "%s has no embedder: give a vector", call->info->def.embedder[0] ? "this field" : "this collection");
    fr_span span = fr_doc_string(text);
    search->text = span.data, search->text_size = span.size;
    call->vectors.count = 1;
    call->vectors.data = fr_arena_alloc(&call->arena, call->vectors.form.dimension * sizeof(float));
    return call->vectors.data ? FR_OK : fr_fail(&call->err, FR_ERR_NO_MEMORY, NULL, "no memory for the vector");
}

static fr_code query_fill(fr_http_call *call, searching *search)
{
    fr_doc body = call->rest;
    fr_query *query = &call->query_in;
    query->id = call->info->id;
    FR_TRY(vectors_choice(call, search));
    query->vectors = call->vectors.bytes ? NULL : call->vectors.data, query->vector_bytes = call->vectors.bytes;
    query->query_count = call->vectors.count, query->dimension = call->vectors.form.dimension;
    query->k = (uint32_t)fr_http_field_int(body, "k", 10);
    query->offset = (uint32_t)fr_http_field_int(body, "offset", 0);
    query->ef = (uint32_t)fr_http_field_int(body, "ef", 0);
    bool has_recall = false;
    FR_TRY(number_in(call, "recall", &has_recall, &query->recall));
    if (has_recall && !(query->recall >= 0.5f && query->recall <= 0.999f))
        return fr_fail(&call->err, FR_ERR_INVALID, "recall", "must lie between 0.5 and 0.999");
    if (query->k + query->offset > FR_K_MAX)
        return fr_fail(&call->err, FR_ERR_INVALID, "k", "offset + k is %u, the limit is %u", query->k + query->offset, FR_K_MAX);
    if ((uint64_t)query->k * query->query_count > HITS_MAX)
        return fr_fail(&call->err, FR_ERR_INVALID, "k", "%u vectors with k = %u ask for more than %u hits", query->query_count,
                       query->k, HITS_MAX);
    FR_TRY(fr_http_field_text(call, body, "filter", FR_FILTER_BYTES_MAX, &query->filter, &call->err));
    query->filter_params = fr_http_field_params(body);
    FR_TRY(fr_http_field_text(call, body, "group_by", 1024, &query->group_by, &call->err));
    query->group_size = (uint32_t)fr_http_field_int(body, "group_size", 0);
    if (query->group_size && !query->group_by)
        return fr_fail(&call->err, FR_ERR_INVALID, "group_size", "has no meaning without group_by");
    FR_TRY(number_in(call, "radius", &query->has_radius, &query->radius));
    FR_TRY(number_in(call, "range_filter", &query->has_range_filter, &query->range_filter));
    query->exact = fr_http_field_bool(body, "exact", false);
    search->explain = fr_http_field_bool(body, "explain", false);
    FR_TRY(fr_http_output_in(call, &search->output));
    query->with_vector = search->output.wanted.vector, query->vector_fields = search->output.wanted.vector_fields;
    query->with_metadata = !search->output.none;
    call->wait_ms = fr_http_field_int(body, "timeout_ms", FR_HTTP_WAIT_MS);
    return min_offset_in(call);
}

/* "field": the vector field that is searched. */
static fr_code field_in(void *user, fr_span name, fr_json_form *form_out, fr_err *err)
{
    fr_http_call *call = user;
    uint32_t at;
    const fr_field_def *field = fr_http_vector_field_named(call->info, name, &at);
    if (!field)
        return fr_fail(err, FR_ERR_INVALID, "field", "the collection has no vector field \"%.*s\"", (int)FR_MIN(name.size, (size_t)64),
                       (const char *)name.data);
    *form_out = fr_http_form(field);
    call->query_in.field = field->id;
    return FR_OK;
}

static fr_code search_in(fr_http_call *call, fr_http_worker *worker)
{
    searching *search = fr_arena_alloc(&call->arena, sizeof *search);
    if (!search) return fr_fail(&call->err, FR_ERR_NO_MEMORY, NULL, "no memory for the request");
    *search = (searching){.text = NULL};
    call->scratch = search;
    const fr_field_def *field = fr_http_vector_field(call->info);
    call->query_in = (fr_query){.k = 0};
    call->vectors = (fr_json_vectors){.form = fr_http_form(field), .pick = field_in, .user = call};
    FR_TRY(fr_http_body_in(call, worker));
    return query_fill(call, search);
}

/* ---- where it runs ---- */

/* A plain search: one vector, no filter, few hits. Their cost is measured per collection, and only they may run on a loop. */
static bool plain(const fr_http_call *call)
{
    const fr_query *query = &call->query_in;
    const searching *search = call->scratch;
    if (search->text || query->query_count != 1 || (query->filter && *query->filter) || query->group_by) return false;
    return !query->exact && !query->with_vector && !query->vector_fields && query->k + query->offset <= LOOP_K_MAX && query->ef <= LOOP_EF_MAX;
}

static _Atomic uint32_t *cost_slot(fr_http *door, const fr_http_call *call)
{
    return &door->search_cost_ns[fr_mix64(call->query_in.id) % FR_HTTP_COST_SLOTS];
}

/* A loop searches itself only when that takes under about 200 us. Two collections in one slot share their estimate. */
static bool loop_may(fr_http *door, const fr_http_call *call, const fr_http_worker *worker)
{
    if (!worker->searcher || !plain(call)) return false;
    uint32_t cost_ns = atomic_load_explicit(cost_slot(door, call), memory_order_relaxed);
    if (cost_ns) return cost_ns <= LOOP_COST_NS;
    return call->info->count * call->query_in.dimension <= LOOP_SCAN_FLOATS;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* A moving mean over about eight searches. Lost updates between threads do no harm. */
static void cost_learn(fr_http *door, const fr_http_call *call, int64_t took_ns)
{
    _Atomic uint32_t *slot = cost_slot(door, call);
    int64_t old = atomic_load_explicit(slot, memory_order_relaxed);
    took_ns = FR_MIN(took_ns, (int64_t)1000000000);
    int64_t mean = old ? old + (took_ns - old) / 8 : took_ns;
    atomic_store_explicit(slot, (uint32_t)FR_MAX(mean, (int64_t)1), memory_order_relaxed);
}

/* ---- the answer ---- */

static void explain_out(fr_out *out, const fr_explain *explain)
{
    const struct { const char *name; uint64_t value; } numbers[] = {
        {"rows", explain->rows},           {"fresh", explain->fresh},       {"visited", explain->visited},
        {"distances", explain->distances}, {"reranked", explain->reranked}, {"filter_checked", explain->filter_checked},
        {"filter_passed", explain->filter_passed}, {"filter_matches", explain->filter_matches},
        {"filter_columns", explain->filter_columns}};
    fr_out_key(out, "explain");
    fr_out_begin(out, '{');
    fr_out_key(out, "plan");
    fr_out_cstring(out, explain->plan ? explain->plan : "");
    for (size_t i = 0; i < FR_COUNT_OF(numbers); i++) {
        fr_out_key(out, numbers[i].name);
        fr_out_uint(out, numbers[i].value);
    }
    fr_out_key(out, "filter_matches_exact");
    fr_out_bool(out, explain->filter_matches_exact);
    fr_out_key(out, "cost_scan_us");
    fr_out_double(out, explain->cost_scan_us);
    fr_out_key(out, "cost_walk_us");
    fr_out_double(out, explain->cost_walk_us);
    if (explain->ef != 0) {
        fr_out_key(out, "ef");
        fr_out_uint(out, explain->ef);
    }
    if (explain->recall_measured > 0) {
        fr_out_key(out, "recall_measured");
        fr_out_float(out, explain->recall_measured);
    }
    fr_out_end(out, '}');
}

static fr_http_next found(fr_http_call *call, const fr_hit *hits, const uint32_t *counts, const fr_explain *explain)
{
    const searching *search = call->scratch;
    const fr_query *query = &call->query_in;
    fr_out *out = &call->out;
    fr_out_begin(out, '{');
    fr_out_key(out, "hits");
    fr_out_begin(out, '[');
    for (uint32_t q = 0; q < query->query_count; q++) {
        if (call->vectors.many) fr_out_begin(out, '[');
        for (uint32_t i = 0; i < counts[q] && out->code == FR_OK; i++)
            fr_http_record_out(call, &hits[(size_t)q * query->k + i], &search->output, true);
        if (call->vectors.many) fr_out_end(out, ']');
    }
    fr_out_end(out, ']');
    if (search->explain) explain_out(out, explain);
    fr_out_end(out, '}');
    return fr_http_done(call, 200);
}

/* min_offset is not reached: wait for the first one that is missing, then look again. */
static fr_http_next behind(fr_http_call *call)
{
    const fr_query *query = &call->query_in;
    if (fr_collection_get(call->db, query->id, call->info) != FR_OK) return fr_http_fail(call, &call->err, FR_ERR_NOT_FOUND);
    uint32_t at = 0;
    while (at + 1 < query->min_offset_count &&
           call->info->partitions[query->min_offsets[at].partition].applied >= query->min_offsets[at].offset)
        at++;
    const struct fr_min_offset *missing = &query->min_offsets[at];
    if (call->wait_ms <= 0 || call->expired) {
        fr_fail(&call->err, FR_ERR_BEHIND, "min_offset", "offset %lld of partition %d is not applied; applied is %lld",
                (long long)missing->offset, missing->partition,
                (long long)call->info->partitions[missing->partition].applied);
        return fr_http_fail(call, &call->err, FR_ERR_BEHIND);
    }
    call->waiter = (fr_waiter){.id = query->id, .partition = missing->partition, .offset = missing->offset};
    return FR_HTTP_WAIT;
}

static fr_http_next run(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    searching *search = call->scratch;
    fr_query *query = &call->query_in;
    if (search->text) {
        fr_code code = fr_http_embed(call, fr_span_of(search->text, search->text_size), call->vectors.data, &call->err);
        if (code != FR_OK) return fr_http_fail(call, &call->err, code);
        search->text = NULL;
    }
    fr_hit *hits = fr_arena_alloc(&call->arena, (size_t)query->query_count * query->k * sizeof *hits);
    uint32_t *counts = fr_arena_alloc(&call->arena, query->query_count * sizeof *counts);
    if (!hits || !counts) {
        fr_fail(&call->err, FR_ERR_NO_MEMORY, NULL, "no memory for the hits");
        return fr_http_fail(call, &call->err, FR_ERR_NO_MEMORY);
    }
    fr_explain explain = {.plan = ""};
    bool measured = plain(call);
    int64_t begin_ns = measured ? now_ns() : 0;
    fr_code code = fr_search(worker->searcher, query, hits, counts, search->explain ? &explain : NULL, &call->err);
    if (measured && code == FR_OK) cost_learn(door, call, now_ns() - begin_ns);
    if (code == FR_ERR_BEHIND) return behind(call);
    if (code != FR_OK) return fr_http_fail(call, &call->err, code);
    return found(call, hits, counts, &explain);
}

fr_http_next fr_http_on_search(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    if (call->stage == STAGE_NEW) {
        fr_code code = fr_http_collection(call);
        if (code != FR_OK) return fr_http_fail(call, &call->err, code);
        code = search_in(call, worker);
        if (code != FR_OK) return fr_http_fail(call, &call->err, code);
        call->stage = STAGE_RUN;
    }
    if (worker->loop && !loop_may(door, call, worker)) return FR_HTTP_SEARCHER;
    return run(door, call, worker);
}
