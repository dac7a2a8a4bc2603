/* query.c: searching and reading by key.
 * Invariants
 *  1. Enter first, then read `visible`: what a search may see at that moment is not reclaimed under it. The index has
 * one epoch domain for all tables, so entering one table holds every shard of the collection, and all shards are read
 * at one moment.
 *  2. What is given back is copied into the searcher before it leaves: no span points into a table.
 *  3. No lock, no system call; no allocation once the searcher's buffers have grown to the size of its queries. */
#include "server/engine/query.h"

#include <math.h>
#include <stdio.h>

#define ENTER_US_MAX 5000

fr_code fr_searcher_create(fr_db *db, fr_searcher **out)
{
    *out = NULL;
    fr_searcher *s = fr_zalloc(FR_MEM_SEARCH, sizeof *s);
    if (s == NULL) return FR_ERR_NO_MEMORY;
    s->db = db;
    fr_arena_init(&s->arena, FR_MEM_SEARCH, 0);
    fr_code code = fr_scratch_create(&s->scratch);
    if (code != FR_OK) {
        fr_free(FR_MEM_SEARCH, s);
        return code;
    }
    *out = s;
    return FR_OK;
}

void fr_searcher_free(fr_searcher *s)
{
    if (s == NULL) return;
    fr_scratch_free(s->scratch);
    fr_arena_free(&s->arena);
    fr_free(FR_MEM_SEARCH, s->found);
    fr_free(FR_MEM_SEARCH, s->merged);
    fr_free(FR_MEM_SEARCH, s->groups);
    fr_free(FR_MEM_SEARCH, s);
}

/* ==== shared with scroll.c ==== */

void fr_query_reset(fr_searcher *s)
{
    /* When the last answer needed more than one block, get one of that size: the next one allocates nothing. */
    if (s->arena.used > s->arena_room) {
        size_t room = s->arena.used + s->arena.used / 4;
        fr_arena_free(&s->arena);
        fr_arena_init(&s->arena, FR_MEM_SEARCH, 0);
        s->arena_room = fr_arena_alloc(&s->arena, room) != NULL ? room : 0;
    }
    fr_arena_reset(&s->arena);
}

fr_code fr_query_begin(fr_searcher *s, fr_id id, fr_collection **out, fr_err *err)
{
    fr_query_reset(s);
    s->pin = fr_engine_pin(s->db);
    *out = fr_map_by_id(atomic_load(&s->db->map), id);
    fr_code code = FR_OK;
    if (*out == NULL || (*out)->kind != FR_TOPIC_COLLECTION)
        code = fr_fail(err, FR_ERR_NOT_FOUND, "collection", "there is no such collection");
    else if (atomic_load_explicit(&(*out)->unreadable, memory_order_relaxed))
        code = fr_fail(err, FR_ERR_CORRUPT, NULL, "collection '%s' cannot be read: %.150s", fr_schema_of(*out)->topic,
                       (*out)->state_text);
    if (code != FR_OK) fr_engine_unpin(s->db, s->pin);
    return code;
}

void fr_query_end(fr_searcher *s) { fr_engine_unpin(s->db, s->pin); }

uint64_t fr_query_enter(fr_searcher *s, const fr_collection *c)
{
    s->entered = NULL;
    for (uint32_t i = 0; i < c->shard_count && s->entered == NULL; i++) s->entered = fr_shard_table(&c->shards[i]);
    if (s->entered != NULL) fr_table_enter(s->entered, s->scratch);
    return atomic_load_explicit(&c->visible, memory_order_acquire); /* pairs with publish in applier.c */
}

void fr_query_leave(fr_searcher *s)
{
    if (s->entered != NULL) fr_table_leave(s->entered, s->scratch);
    s->entered = NULL;
}

static bool copy_span(fr_searcher *s, fr_span *span)
{
    if (span->size == 0) {
        *span = (fr_span){NULL, 0};
        return true;
    }
    span->data = fr_arena_copy(&s->arena, span->data, span->size);
    return span->data != NULL;
}

fr_code fr_query_copy(fr_searcher *s, const fr_collection *c, const fr_table *table, uint32_t partition, uint32_t row,
                      bool with_metadata, bool with_vector, fr_hit *hit)
{
    fr_row_view view;
    fr_table_row(table, row, &view);
    *hit = (fr_hit){.key = view.key,
                    .key_is_int = view.key_is_int,
                    .partition = (int32_t)partition,
                    .offset = view.offset,
                    .source_time_ms = view.source_time_ms,
                    .model_version = view.model_version};
    if (with_metadata) hit->metadata = view.metadata;
    if (!copy_span(s, &hit->key) || !copy_span(s, &hit->model_version) || !copy_span(s, &hit->metadata))
        return FR_ERR_NO_MEMORY;
    if (with_vector) {
        bool binary = fr_schema_of(c)->vectors[0]->type == FR_TYPE_VECTOR_BINARY;
        size_t size = binary ? fr_schema_of(c)->vectors[0]->dimension / 8 : fr_schema_of(c)->vectors[0]->dimension * sizeof(float);
        void *vector = fr_arena_alloc(&s->arena, size);
        if (vector == NULL) return FR_ERR_NO_MEMORY;
        if (!fr_table_vector(table, row, vector)) return FR_ERR_IO;
        if (binary) hit->vectors[0] = fr_span_of(vector, size);
        else hit->vector = vector;
    }
    return FR_OK;
}

fr_code fr_query_filter(const fr_collection *c, const char *text, fr_span params, fr_filter **out, fr_err *err)
{
    *out = NULL;
    if (text == NULL || text[0] == 0) return FR_OK;
    fr_code code = fr_filter_compile(fr_span_text(text), &fr_schema_of(c)->filter, params, out, err);
    if (code != FR_OK && err != NULL && err->field[0] == 0) snprintf(err->field, sizeof err->field, "filter");
    return code;
}

/* ==== search ==== */

typedef struct search {
    fr_searcher *s;
    const fr_query *query;
    fr_collection *collection;
    fr_filter *filter;
    fr_path *group_path;
    fr_explain *explain;
    uint64_t visible;
    fr_table_query at; /* per shard */
} search;

static fr_code check_query(const fr_collection *c, const fr_query *q, fr_err *err)
{
    bool binary = fr_schema_of(c)->vectors[0]->type == FR_TYPE_VECTOR_BINARY;
    if (binary != (q->vector_bytes != NULL))
        return fr_fail(err, FR_ERR_INVALID, "vector", binary ? "binary vectors are given as bytes" : "vectors are given as floats");
    if (!binary && q->dimension != fr_schema_of(c)->vectors[0]->dimension)
        return fr_fail(err, FR_ERR_INVALID, "vector", "the vector has %u dimensions, the collection %u", q->dimension,
                       fr_schema_of(c)->vectors[0]->dimension);
    if (q->query_count == 0 || q->query_count > FR_QUERIES_MAX)
        return fr_fail(err, FR_ERR_INVALID, "vectors", "a search has 1 to %u vectors, got %u", FR_QUERIES_MAX,
                       q->query_count);
    if (q->k == 0 || q->k > FR_K_MAX)
        return fr_fail(err, FR_ERR_INVALID, "k", "k must be 1 to %u, got %u", FR_K_MAX, q->k);
    if (q->offset > FR_K_MAX - q->k)
        return fr_fail(err, FR_ERR_INVALID, "offset", "offset + k must be at most %u, got %u + %u", FR_K_MAX, q->offset,
                       q->k);
    if (q->ef > FR_EF_MAX) return fr_fail(err, FR_ERR_INVALID, "ef", "ef must be at most %u, got %u", FR_EF_MAX, q->ef);
    if (!(q->recall >= 0 && q->recall < 1))
        return fr_fail(err, FR_ERR_INVALID, "recall", "recall must lie between 0 and 1");
    if (q->recall > 0 && q->ef != 0)
        return fr_fail(err, FR_ERR_INVALID, "recall", "give ef or recall, not both");
    if (q->group_size > FR_K_MAX)
        return fr_fail(err, FR_ERR_INVALID, "group_size", "group_size must be at most %u", FR_K_MAX);
    if ((q->has_radius && !isfinite(q->radius)) || (q->has_range_filter && !isfinite(q->range_filter)))
        return fr_fail(err, FR_ERR_INVALID, q->has_radius && !isfinite(q->radius) ? "radius" : "range_filter",
                       "a bound must be a finite number");
    for (uint32_t i = 0; i < q->query_count; i++) {
        char field[32];
        snprintf(field, sizeof field, q->query_count == 1 ? "vector" : "vectors[%u]", i);
        if (binary && q->vector_bytes[i].size != fr_schema_of(c)->vectors[0]->dimension / 8)
            return fr_fail(err, FR_ERR_INVALID, field, "the vector has %zu bytes, %u bits are %u", q->vector_bytes[i].size,
                           fr_schema_of(c)->vectors[0]->dimension,
                           fr_schema_of(c)->vectors[0]->dimension / 8);
        if (binary) continue;
        const float *vector = q->vectors + (size_t)i * q->dimension;
        if (!fr_simd_all_finite(vector, q->dimension))
            return fr_fail(err, FR_ERR_INVALID, field, "the vector holds NaN or a number beyond 32-bit float");
        double norm_squared = fr_simd_norm_squared(vector, q->dimension);
        if (norm_squared > FR_NORM_SQUARED_MAX)
            return fr_fail(err, FR_ERR_INVALID, field, "the vector's squared length is above %g", FR_NORM_SQUARED_MAX);
        if (fr_schema_of(c)->vectors[0]->metric == FR_METRIC_COSINE && norm_squared < 1e-30)
            return fr_fail(err, FR_ERR_INVALID, field, "a zero vector has no direction: not possible under cosine");
    }
    return FR_OK;
}

static fr_code check_offsets(const fr_collection *c, const fr_query *q, fr_err *err)
{
    if (q->min_offset_count > FR_PARTITIONS_MAX)
        return fr_fail(err, FR_ERR_INVALID, "min_offset", "at most %u partitions", FR_PARTITIONS_MAX);
    for (uint32_t i = 0; i < q->min_offset_count; i++) {
        int32_t partition = q->min_offsets[i].partition;
        if (partition < 0 || (uint32_t)partition >= c->shard_count)
            return fr_fail(err, FR_ERR_INVALID, "min_offset", "there is no partition %d: the collection has %u",
                           partition, c->shard_count);
        fr_offset applied = atomic_load(&c->shards[partition].applied);
        if (applied < q->min_offsets[i].offset)
            return fr_fail(err, FR_ERR_BEHIND, "min_offset", "partition %d is applied up to offset %lld, not %lld yet",
                           partition, (long long)applied, (long long)q->min_offsets[i].offset);
    }
    return FR_OK;
}

/* L2: range_filter <= d < radius. IP, COSINE: radius < s <= range_filter; with s = -d or 1 - d that is again low <= d <
 * high. */
static void set_bounds(fr_table_query *at, const fr_query *q, fr_metric metric)
{
    bool similarity = metric == FR_METRIC_IP || metric == FR_METRIC_COSINE || metric == FR_METRIC_BM25;
    float base = metric == FR_METRIC_COSINE ? 1.0f : 0.0f, sign = similarity ? -1.0f : 1.0f;
    at->has_low = q->has_range_filter;
    at->low = base + sign * q->range_filter;
    at->has_high = q->has_radius;
    at->high = base + sign * q->radius;
}

static bool grow(void **memory, uint32_t *capacity, uint32_t count, size_t size)
{
    if (count <= *capacity) return true;
    void *grown = fr_realloc(FR_MEM_SEARCH, *memory, count * size);
    if (grown == NULL) return false;
    *memory = grown;
    *capacity = count;
    return true;
}

static fr_span key_of(const search *x, const fr_merged *m)
{
    fr_row_view view;
    fr_table_row(fr_shard_table(&x->collection->shards[m->shard]), m->row, &view);
    return view.key;
}

static bool before(const search *x, const fr_merged *a, const fr_merged *b)
{
    if (a->distance != b->distance) return a->distance < b->distance;
    return fr_span_compare(key_of(x, a), key_of(x, b)) < 0;
}

/* Merge found[0..count) of one shard, sorted, into merged[0..merged_count), sorted, keeping `want`. */
static uint32_t merge(search *x, uint32_t merged_count, uint32_t shard, uint32_t count, uint32_t want)
{
    fr_searcher *s = x->s;
    uint32_t total = FR_MIN(merged_count + count, want), a = merged_count, b = count, at = total;
    if (merged_count == 0) {
        for (uint32_t i = 0; i < total; i++) s->merged[i] = (fr_merged){s->found[i].distance, s->found[i].row, shard};
        return total;
    }
    /* From the back, in place. What does not fit is dropped first: the worse of both ends. */
    for (uint32_t drop = merged_count + count - total; drop > 0; drop--) {
        fr_merged last = {b > 0 ? s->found[b - 1].distance : 0, b > 0 ? s->found[b - 1].row : 0, shard};
        if (a > 0 && (b == 0 || before(x, &last, &s->merged[a - 1]))) a--;
        else b--;
    }
    while (b > 0) {
        fr_merged last = {s->found[b - 1].distance, s->found[b - 1].row, shard};
        if (a > 0 && before(x, &last, &s->merged[a - 1])) s->merged[--at] = s->merged[--a];
        else s->merged[--at] = last, b--;
    }
    return total;
}

static void add_explain(search *x, const fr_search_info *info)
{
    fr_searcher *s = x->s;
    s->distances += info->distances;
    if (x->explain == NULL) return;
    fr_explain *e = x->explain;
    if (e->plan == NULL || info->visited > e->visited) e->plan = info->plan;
    e->fresh += info->fresh, e->visited += info->visited, e->distances += info->distances,
        e->reranked += info->reranked;
    e->filter_checked += info->filter_checked, e->filter_passed += info->filter_passed;
    e->filter_matches += info->matches;
    e->filter_columns = FR_MAX(e->filter_columns, info->columns);
    e->filter_matches_exact = info->matches_exact && (s->shards_explained == 0 || e->filter_matches_exact);
    e->cost_scan_us += info->cost_scan, e->cost_walk_us += info->cost_walk;
    s->shards_explained++;
}

/* The `want` nearest over all shards into s->merged. */
static fr_code search_shards(search *x, uint32_t want, uint32_t *count_out, fr_err *err)
{
    fr_searcher *s = x->s;
    uint32_t merged = 0;
    if (!grow((void **)&s->found, &s->found_capacity, want, sizeof *s->found) ||
        !grow((void **)&s->merged, &s->merged_capacity, want, sizeof *s->merged))
        return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for %u hits", want);
    x->at.k = want;
    x->at.visible = x->visible;
    for (uint32_t i = 0; i < x->collection->shard_count; i++) {
        const fr_table *table = fr_shard_table(&x->collection->shards[i]);
        if (table == NULL) continue;
        fr_search_info info = {0};
        uint32_t count = 0;
        FR_TRY(fr_table_search(table, s->scratch, &x->at, s->found, &count, &info, err));
        add_explain(x, &info);
        merged = merge(x, merged, i, count, want);
    }
    *count_out = merged;
    return FR_OK;
}

/* Of s->merged, keep at most group_size with an equal value, in order; a missing value is a group too. */
static uint32_t keep_groups(search *x, uint32_t count, uint32_t want)
{
    fr_searcher *s = x->s;
    uint32_t groups = 0, kept = 0, size = FR_MAX(x->query->group_size, 1u);
    for (uint32_t i = 0; i < count && kept < want; i++) {
        fr_row_view view;
        fr_table_row(fr_shard_table(&x->collection->shards[s->merged[i].shard]), s->merged[i].row, &view);
        fr_doc value = fr_path_get(x->group_path, fr_doc_root(view.metadata));
        uint32_t g = 0;
        while (g < groups &&
               !(value.data == NULL ? s->groups[g].value.data == NULL
                                    : s->groups[g].value.data != NULL && fr_doc_equal(s->groups[g].value, value)))
            g++;
        if (g == groups) s->groups[groups++] = (fr_group){value, 0};
        if (s->groups[g].count == size) continue;
        s->groups[g].count++;
        s->merged[kept++] = s->merged[i];
    }
    return kept;
}

static fr_code search_groups(search *x, uint32_t want, uint32_t *count_out, fr_err *err)
{
    fr_searcher *s = x->s;
    uint64_t rows = 1;
    for (uint32_t i = 0; i < x->collection->shard_count; i++) {
        const fr_table *table = fr_shard_table(&x->collection->shards[i]);
        fr_table_stats stats = {0};
        if (table != NULL) fr_table_stats_get(table, &stats);
        rows += stats.rows;
    }
    if (!grow((void **)&s->groups, &s->group_capacity, want, sizeof *s->groups))
        return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory");
    for (uint64_t fetch = FR_MAX(64u, (uint64_t)want * 4);; fetch *= 4) {
        fetch = FR_MIN(fetch, rows);
        uint32_t count;
        FR_TRY(search_shards(x, (uint32_t)fetch, &count, err));
        uint32_t kept = keep_groups(x, count, want);
        *count_out = kept;
        if (kept == want || count < fetch || fetch == rows) return FR_OK;
    }
}

static fr_code search_one(search *x, const void *vector, fr_hit *hits, uint32_t *count_out, fr_err *err)
{
    const fr_query *q = x->query;
    fr_searcher *s = x->s;
    uint32_t count = 0, want = q->offset + q->k;
    x->at.vector = vector;
    if (s->entered == NULL) { /* not one row yet */
        *count_out = 0;
        return FR_OK;
    }
    FR_TRY(x->group_path != NULL ? search_groups(x, want, &count, err) : search_shards(x, want, &count, err));
    *count_out = 0;
    for (uint32_t i = q->offset; i < count; i++) {
        const fr_merged *m = &s->merged[i];
        fr_hit *hit = &hits[(*count_out)++];
        if (fr_query_copy(s, x->collection, fr_shard_table(&x->collection->shards[m->shard]), m->shard, m->row,
                          q->with_metadata, q->with_vector, hit) != FR_OK)
            return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for the answer");
        hit->distance = m->distance;
        hit->score = fr_schema_of(x->collection)->vectors[0]->metric == FR_METRIC_COSINE ? 1.0f - m->distance : -m->distance;
    }
    return FR_OK;
}

/* The ef that reaches the wanted recall in every shard. */
static fr_code ef_of_recall(search *x, fr_err *err)
{
    uint64_t visible = atomic_load_explicit(&x->collection->visible, memory_order_acquire);
    for (uint32_t i = 0; i < x->collection->shard_count; i++) {
        const fr_table *table = fr_shard_table(&x->collection->shards[i]);
        uint32_t ef;
        float measured;
        if (table == NULL) continue;
        FR_TRY(fr_table_ef_for(table, x->s->scratch, visible, x->query->recall, x->query->offset + x->query->k, &ef, &measured, err));
        if (x->explain != NULL && ef > x->at.ef) x->explain->recall_measured = measured;
        x->at.ef = FR_MAX(x->at.ef, ef);
    }
    return FR_OK;
}

static fr_code search_all(search *x, fr_hit *hits, uint32_t *hit_counts, fr_err *err)
{
    const fr_query *q = x->query;
    fr_io *io = x->s->db->io;
    fr_code code = FR_OK;
    x->visible = fr_query_enter(x->s, x->collection);
    int64_t entered_us = q->query_count > 1 ? io->mono_us(io) : 0;
    for (uint32_t i = 0; i < q->query_count && code == FR_OK; i++) {
        if (i != 0 && io->mono_us(io) - entered_us >
                          ENTER_US_MAX) { /* each vector sees one moment; all of them need not be the same */
            fr_query_leave(x->s);
            x->visible = fr_query_enter(x->s, x->collection);
            entered_us = io->mono_us(io);
        }
        const void *vector = q->vector_bytes != NULL ? q->vector_bytes[i].data : (const void *)(q->vectors + (size_t)i * q->dimension);
        code = search_one(x, vector, hits + (size_t)i * q->k, &hit_counts[i], err);
    }
    fr_query_leave(x->s);
    return code;
}

fr_code fr_search(fr_searcher *s, const fr_query *q, fr_hit *hits, uint32_t *hit_counts, fr_explain *explain,
                  fr_err *err)
{
    search x = {.s = s, .query = q, .explain = explain};
    if (explain != NULL) *explain = (fr_explain){.plan = NULL};
    s->shards_explained = 0;
    FR_TRY(fr_query_begin(s, q->id, &x.collection, err));
    fr_code code = check_query(x.collection, q, err);
    if (code == FR_OK) code = fr_query_filter(x.collection, q->filter, q->filter_params, &x.filter, err);
    if (code == FR_OK && q->group_by != NULL && q->group_by[0] != 0) {
        code = fr_path_compile(fr_span_text(q->group_by), &x.group_path, err);
        if (code != FR_OK && err != NULL && err->field[0] == 0) snprintf(err->field, sizeof err->field, "group_by");
    }
    if (code == FR_OK) code = check_offsets(x.collection, q, err);
    if (code == FR_OK) {
        x.at = (fr_table_query){.ef = q->ef, .filter = x.filter, .exact = q->exact};
        set_bounds(&x.at, q, fr_schema_of(x.collection)->vectors[0]->metric);
        s->distances = 0;
        if (q->recall > 0) code = ef_of_recall(&x, err);
        if (explain != NULL) explain->ef = x.at.ef;
        if (code == FR_OK) code = search_all(&x, hits, hit_counts, err);
        atomic_fetch_add_explicit(&s->db->searches, q->query_count, memory_order_relaxed);
        atomic_fetch_add_explicit(&s->db->distances, s->distances, memory_order_relaxed);
    }
    if (explain != NULL) {
        if (explain->plan == NULL) explain->plan = "scan";
        if (code == FR_OK)
            explain->rows = (uint64_t)FR_MAX(atomic_load_explicit(&x.collection->count, memory_order_relaxed), 0);
    }
    fr_path_free(x.group_path);
    fr_filter_free(x.filter);
    fr_query_end(s);
    return code;
}

/* ==== by key ==== */

fr_code fr_get(fr_searcher *s, fr_id id, const fr_span *keys, uint32_t key_count, const fr_wanted *wanted, fr_hit *hits,
               uint32_t *hit_count, fr_err *err)
{
    fr_collection *c;
    *hit_count = 0;
    FR_TRY(fr_query_begin(s, id, &c, err));
    fr_code code = FR_OK;
    uint64_t visible = fr_query_enter(s, c);
    for (uint32_t i = 0; i < key_count && code == FR_OK && s->entered != NULL; i++) {
        uint32_t partition = c->shard_count == 1 ? 0 : fr_murmur2(keys[i].data, keys[i].size) % c->shard_count;
        const fr_table *table = fr_shard_table(&c->shards[partition]);
        uint32_t row = table != NULL ? fr_table_find(table, keys[i], visible) : FR_ROW_NONE;
        if (row == FR_ROW_NONE) continue;
        code = fr_query_copy(s, c, table, partition, row, true, wanted != NULL && wanted->vector, &hits[*hit_count]);
        if (code == FR_OK) (*hit_count)++;
        else fr_fail(err, code, NULL, "no memory for the answer");
    }
    fr_query_leave(s);
    fr_query_end(s);
    return code;
}
