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
    fr_free(FR_MEM_SEARCH, s->unpacked);
    fr_scroll_run_free(&s->run);
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

/* Tables, then `visible`, then the tables again: one that was made anew in between (reshape.c) would not fit to it. */
uint64_t fr_query_enter(fr_searcher *s, const fr_collection *c, uint32_t index)
{
    s->entered = NULL;
    s->index = index;
    for (uint32_t i = 0; i < c->shard_count; i++) {
        s->tables[i] = fr_shard_table_of(&c->shards[i], index);
        if (s->entered == NULL) s->entered = s->tables[i];
    }
    if (s->entered != NULL) fr_table_enter(s->entered, s->scratch);
    for (bool same = false; !same;) {
        for (uint32_t i = 0; i < c->shard_count; i++) s->tables[i] = fr_shard_table_of(&c->shards[i], index);
        s->visible = atomic_load_explicit(&c->visible, memory_order_acquire); /* pairs with publish in applier.c */
        same = true;
        for (uint32_t i = 0; i < c->shard_count; i++) same = same && s->tables[i] == fr_shard_table_of(&c->shards[i], index);
    }
    if (s->entered == NULL) memset((void *)s->tables, 0, c->shard_count * sizeof *s->tables); /* rows came this moment: not entered */
    return s->visible;
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

/* Of a field: elements of its type, from the table that has them. */
fr_code fr_query_vector(fr_arena *arena, const fr_field_def *field, const fr_table *table, uint32_t row, fr_span *out)
{
    if (table == NULL || row == FR_ROW_NONE || !fr_table_has_vector(table, row)) return FR_OK;
    if (field->type == FR_TYPE_VECTOR_SPARSE) {
        *out = fr_table_sparse(table, row);
        out->data = out->size != 0 ? fr_arena_copy(arena, out->data, out->size) : NULL;
        return out->size == 0 || out->data != NULL ? FR_OK : FR_ERR_NO_MEMORY;
    }
    size_t size = fr_vector_bytes(field->type, field->dimension);
    void *bytes = fr_arena_alloc(arena, size);
    if (bytes == NULL) return FR_ERR_NO_MEMORY;
    *out = fr_span_of(bytes, size);
    if (field->type == FR_TYPE_VECTOR_BINARY || field->type == FR_TYPE_VECTOR_F32)
        return fr_table_vector(table, row, bytes) ? FR_OK : FR_ERR_IO;
    float *numbers = fr_arena_alloc(arena, field->dimension * sizeof(float));
    if (numbers == NULL) return FR_ERR_NO_MEMORY;
    if (!fr_table_vector(table, row, numbers)) return FR_ERR_IO;
    return fr_vector_pack(field->type, numbers, field->dimension, bytes, NULL, NULL);
}

/* The row of the same entity in another field's table. */
static uint32_t find_row(const fr_searcher *s, const fr_table *table, fr_span key)
{
    uint32_t row = table != NULL ? fr_table_find(table, key, s->visible) : FR_ROW_NONE;
    if (row == FR_ROW_NONE && table != NULL) row = fr_table_find(table, key, FR_VISIBLE_ALL); /* made anew this moment */
    return row;
}

static fr_code copy_vectors(fr_searcher *s, const fr_collection *c, uint32_t partition, uint32_t row, const fr_wanted *wanted, fr_hit *hit)
{
    const fr_schema *schema = fr_schema_of(c);
    for (uint32_t i = 0; i < schema->vector_count; i++) {
        const fr_field_def *field = schema->vectors[i];
        bool dense = field->type != FR_TYPE_VECTOR_BINARY && field->type != FR_TYPE_VECTOR_SPARSE;
        bool bytes = (wanted->vector_fields >> i & 1u) != 0 || (i == 0 && wanted->vector && !dense), floats = i == 0 && wanted->vector && dense;
        if (!bytes && !floats) continue;
        const fr_table *table = i == s->index ? s->tables[partition] : fr_shard_table_of(&c->shards[partition], i);
        uint32_t at = i == s->index ? row : find_row(s, table, hit->key);
        if (bytes) FR_TRY(fr_query_vector(&s->arena, field, table, at, &hit->vectors[i]));
        if (!floats || at == FR_ROW_NONE || !fr_table_has_vector(table, at)) continue;
        float *vector = fr_arena_alloc(&s->arena, field->dimension * sizeof(float));
        if (vector == NULL) return FR_ERR_NO_MEMORY;
        if (!fr_table_vector(table, at, vector)) return FR_ERR_IO;
        hit->vector = vector;
    }
    return FR_OK;
}

/* Keys of fields that were dropped, in rows of before that, are not shown. */
static fr_code hide_dropped(fr_searcher *s, const fr_schema *schema, uint32_t partition, fr_hit *hit)
{
    fr_doc root = fr_doc_root(hit->metadata), value;
    fr_span key;
    bool hidden = false;
    for (uint32_t i = 0; i < schema->life_count && hit->metadata.size != 0 && !hidden; i++)
        hidden = schema->lives[i].dropped && hit->offset < schema->lives[i].at[partition] &&
                 fr_doc_get(root, fr_span_text(schema->lives[i].name)).data != NULL;
    if (!hidden) return FR_OK;
    fr_doc_builder b = {0};
    fr_doc_begin_object(&b);
    fr_doc_iter iter = fr_doc_begin(root);
    while (fr_doc_next(&iter, &key, &value)) {
        const fr_offset *until = fr_schema_until(schema, key);
        if (until != NULL && hit->offset < until[partition]) continue;
        fr_doc_put_key(&b, key.data, key.size);
        fr_doc_put_value(&b, value);
    }
    fr_doc_end_object(&b);
    fr_code code = fr_doc_finish(&b, &hit->metadata);
    if (code == FR_OK && !copy_span(s, &hit->metadata)) code = FR_ERR_NO_MEMORY;
    fr_doc_free(&b);
    return code;
}

fr_code fr_query_copy(fr_searcher *s, const fr_collection *c, uint32_t partition, uint32_t row, bool with_metadata,
                      const fr_wanted *wanted, fr_hit *hit)
{
    fr_row_view view;
    const fr_schema *schema = fr_schema_of(c);
    fr_table_row(s->tables[partition], row, &view);
    *hit = (fr_hit){.key = view.key,
                    .key_is_int = view.key_is_int,
                    .partition = (int32_t)partition,
                    .offset = view.offset,
                    .source_time_ms = view.source_time_ms,
                    .model_version = view.model_version};
    if (with_metadata) hit->metadata = view.metadata;
    if (!copy_span(s, &hit->key) || !copy_span(s, &hit->model_version) || !copy_span(s, &hit->metadata))
        return FR_ERR_NO_MEMORY;
    if (schema->life_count != 0) FR_TRY(hide_dropped(s, schema, partition, hit));
    return wanted != NULL && (wanted->vector || wanted->vector_fields != 0) ? copy_vectors(s, c, partition, row, wanted, hit) : FR_OK;
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
    const fr_field_def *field; /* that is searched */
    fr_metric metric;          /* of its table: the definition may be ahead of it */
    uint32_t index;
    uint64_t visible;
    fr_table_query at; /* per shard */
} search;

static fr_code pick_field(search *x, fr_err *err)
{
    const fr_schema *schema = fr_schema_of(x->collection);
    while (x->index < schema->vector_count && x->query->field != 0 && schema->vectors[x->index]->id != x->query->field) x->index++;
    if (x->index == schema->vector_count)
        return fr_fail(err, FR_ERR_INVALID, "field", "the collection has no vector field %u", x->query->field);
    x->field = schema->vectors[x->index];
    x->metric = x->field->metric;
    for (uint32_t i = 0; i < x->collection->shard_count; i++) {
        const fr_table *table = fr_shard_table_of(&x->collection->shards[i], x->index);
        if (table != NULL) x->metric = fr_table_settings(table)->metric;
    }
    return FR_OK;
}

static fr_code check_numbers(const search *x, const float *vector, const char *field, fr_err *err)
{
    if (!fr_simd_all_finite(vector, x->field->dimension))
        return fr_fail(err, FR_ERR_INVALID, field, "the vector holds NaN or a number beyond 32-bit float");
    double norm_squared = fr_simd_norm_squared(vector, x->field->dimension);
    if (norm_squared > FR_NORM_SQUARED_MAX)
        return fr_fail(err, FR_ERR_INVALID, field, "the vector's squared length is above %g", FR_NORM_SQUARED_MAX);
    if (x->metric == FR_METRIC_COSINE && norm_squared < 1e-30)
        return fr_fail(err, FR_ERR_INVALID, field, "a zero vector has no direction: not possible under cosine");
    return FR_OK;
}

static bool grow(void **memory, uint32_t *capacity, uint32_t count, size_t size);

/* Vectors of numbers in elements of the field's type: as floats, in the searcher. */
static fr_code unpack(search *x, uint32_t i, const char *field, fr_err *err)
{
    uint32_t dimension = x->field->dimension;
    fr_span bytes = x->query->vector_bytes[i];
    if (bytes.size != fr_vector_bytes(x->field->type, dimension))
        return fr_fail(err, FR_ERR_INVALID, field, "the vector has %zu dimensions, the collection %u",
                       bytes.size / fr_vector_bytes(x->field->type, 1), dimension);
    if (!grow((void **)&x->s->unpacked, &x->s->unpacked_capacity, x->query->query_count * dimension, sizeof(float)))
        return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory");
    float *numbers = x->s->unpacked + (size_t)i * dimension;
    fr_vector_unpack(x->field->type, bytes.data, dimension, numbers);
    return check_numbers(x, numbers, field, err);
}

static fr_code check_vector(search *x, uint32_t i, fr_err *err)
{
    const fr_query *q = x->query;
    char field[32];
    snprintf(field, sizeof field, q->query_count == 1 ? "vector" : "vectors[%u]", i);
    if (x->field->type == FR_TYPE_VECTOR_SPARSE) return fr_vector_sparse_check(q->vector_bytes[i], x->metric, field, err);
    if (x->field->type == FR_TYPE_VECTOR_BINARY && q->vector_bytes[i].size != x->field->dimension / 8)
        return fr_fail(err, FR_ERR_INVALID, field, "the vector has %zu bytes, %u bits are %u", q->vector_bytes[i].size,
                       x->field->dimension, x->field->dimension / 8);
    if (x->field->type == FR_TYPE_VECTOR_BINARY) return FR_OK;
    return q->vector_bytes != NULL ? unpack(x, i, field, err) : check_numbers(x, q->vectors + (size_t)i * q->dimension, field, err);
}

static fr_code check_query(search *x, fr_err *err)
{
    const fr_query *q = x->query;
    FR_TRY(pick_field(x, err));
    bool bytes = x->field->type == FR_TYPE_VECTOR_BINARY || x->field->type == FR_TYPE_VECTOR_SPARSE;
    if (bytes && q->vector_bytes == NULL)
        return fr_fail(err, FR_ERR_INVALID, "vector", "binary and sparse vectors are given as bytes");
    if (q->vector_bytes == NULL && q->dimension != x->field->dimension)
        return fr_fail(err, FR_ERR_INVALID, "vector", "the vector has %u dimensions, the collection %u", q->dimension,
                       x->field->dimension);
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
    for (uint32_t i = 0; i < q->query_count; i++) FR_TRY(check_vector(x, i, err));
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
    fr_table_row(x->s->tables[m->shard], m->row, &view);
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
        const fr_table *table = s->tables[i];
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
        fr_table_row(s->tables[s->merged[i].shard], s->merged[i].row, &view);
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
        const fr_table *table = s->tables[i];
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
        fr_wanted wanted = {.vector = q->with_vector, .vector_fields = q->vector_fields};
        if (fr_query_copy(s, x->collection, m->shard, m->row, q->with_metadata, &wanted, hit) != FR_OK)
            return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for the answer");
        hit->distance = m->distance;
        hit->score = x->metric == FR_METRIC_COSINE ? 1.0f - m->distance : -m->distance;
    }
    return FR_OK;
}

/* The ef that reaches the wanted recall in every shard. */
static fr_code ef_of_recall(search *x, fr_err *err)
{
    uint64_t visible = atomic_load_explicit(&x->collection->visible, memory_order_acquire);
    for (uint32_t i = 0; i < x->collection->shard_count; i++) {
        const fr_table *table = fr_shard_table_of(&x->collection->shards[i], x->index);
        uint32_t ef;
        float measured;
        if (table == NULL) continue;
        FR_TRY(fr_table_ef_for(table, x->s->scratch, visible, x->query->recall, x->query->offset + x->query->k, &ef, &measured, err));
        if (x->filter != NULL) ef = FR_MAX(ef, FR_EF_DEFAULT); /* measured without one; plans of filters reach 0.95 from the default on */
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
    bool by_bytes = x->field->type == FR_TYPE_VECTOR_BINARY || x->field->type == FR_TYPE_VECTOR_SPARSE;
    if (!atomic_load_explicit(&x->collection->searched, memory_order_relaxed))
        atomic_store_explicit(&x->collection->searched, true, memory_order_relaxed);
    x->visible = fr_query_enter(x->s, x->collection, x->index);
    int64_t entered_us = q->query_count > 1 ? io->mono_us(io) : 0;
    for (uint32_t i = 0; i < q->query_count && code == FR_OK; i++) {
        if (i != 0 && io->mono_us(io) - entered_us >
                          ENTER_US_MAX) { /* each vector sees one moment; all of them need not be the same */
            fr_query_leave(x->s);
            x->visible = fr_query_enter(x->s, x->collection, x->index);
            entered_us = io->mono_us(io);
        }
        const void *vector = q->vector_bytes == NULL ? q->vectors + (size_t)i * q->dimension : q->vector_bytes[i].data;
        if (q->vector_bytes != NULL) x->at.vector_size = q->vector_bytes[i].size;
        if (q->vector_bytes != NULL && !by_bytes) vector = x->s->unpacked + (size_t)i * x->field->dimension;
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
    fr_code code = check_query(&x, err);
    if (code == FR_OK) code = fr_query_filter(x.collection, q->filter, q->filter_params, &x.filter, err);
    if (code == FR_OK && q->group_by != NULL && q->group_by[0] != 0) {
        code = fr_path_compile(fr_span_text(q->group_by), &x.group_path, err);
        if (code != FR_OK && err != NULL && err->field[0] == 0) snprintf(err->field, sizeof err->field, "group_by");
    }
    if (code == FR_OK) code = check_offsets(x.collection, q, err);
    if (code == FR_OK) {
        x.at = (fr_table_query){.ef = q->ef, .filter = x.filter, .exact = q->exact};
        set_bounds(&x.at, q, x.metric);
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
    uint64_t visible = fr_query_enter(s, c, 0);
    for (uint32_t i = 0; i < key_count && code == FR_OK && s->entered != NULL; i++) {
        uint32_t partition = c->shard_count == 1 ? 0 : fr_murmur2(keys[i].data, keys[i].size) % c->shard_count;
        const fr_table *table = s->tables[partition];
        uint32_t row = table != NULL ? fr_table_find(table, keys[i], visible) : FR_ROW_NONE;
        if (row == FR_ROW_NONE) continue;
        code = fr_query_copy(s, c, partition, row, true, wanted, &hits[*hit_count]);
        if (code == FR_OK) (*hit_count)++;
        else fr_fail(err, code, NULL, "no memory for the answer");
    }
    fr_query_leave(s);
    fr_query_end(s);
    return code;
}
