/* search.c: one query: fresh rows scanned exactly, then the graph walk, then the exact rerank; or a plain scan where that is
 * cheaper or the only way to find k. Order matters: a row that leaves the fresh ring during the scan is in the graph by then. */
#include "index/table_private.h"

#include <math.h>

#define EF_DEFAULT 96u
#define SAMPLE_ROWS 256u
#define SCAN_BATCH 64u

typedef struct fr_run {
    const fr_table *t;
    fr_scratch *s;
    const fr_table_query *query;
    fr_search_info *info;
    fr_space space;
    uint32_t ef, rerank;
    uint32_t found; /* in s->found */
    bool failed;    /* an original on disk could not be read */
    bool beyond;    /* something that passes lies beyond the radius: there is no need to look further */
} fr_run;

static bool passes(fr_run *run, uint32_t row)
{
    if (run->query->filter == NULL) return true;
    fr_blob blob;
    fr_row_blob(run->t, row, &blob);
    fr_filter_row view = {.key = blob.key, .key_is_int = blob.key_is_int, .metadata = fr_doc_root(blob.metadata)};
    bool fine = fr_filter_match(run->query->filter, &view);
    run->info->filter_checked++;
    run->info->filter_passed += fine;
    return fine;
}

static bool in_range(const fr_table_query *q, float d)
{
    if (q->has_low && (q->low_open ? d <= q->low : d < q->low)) return false;
    if (q->has_high && (q->high_closed ? d > q->high : d >= q->high)) return false;
    return true;
}

static int compare_hits(const fr_table *t, const fr_row_hit *a, const fr_row_hit *b)
{
    if (a->distance != b->distance) return a->distance < b->distance ? -1 : 1;
    if (a->row == b->row) return 0;
    fr_blob x, y;
    fr_row_blob(t, a->row, &x);
    fr_row_blob(t, b->row, &y);
    return fr_span_compare(x.key, y.key);
}

/* Keep the k best of all hits offered, sorted; ties by key. */
static void offer(fr_run *run, uint32_t row, float distance)
{
    if (!in_range(run->query, distance)) {
        run->beyond |= run->query->has_high && distance >= run->query->high;
        return;
    }
    fr_row_hit hit = {row, distance}, *found = run->s->found;
    uint32_t k = run->query->k, n = run->found;
    if (n == k && compare_hits(run->t, &hit, &found[n - 1]) >= 0) return;
    uint32_t at = n < k ? n : k - 1;
    for (; at > 0 && compare_hits(run->t, &hit, &found[at - 1]) < 0; at--) found[at] = found[at - 1];
    found[at] = hit;
    run->found = n < k ? n + 1 : n;
}

static float exact_distance(fr_run *run, uint32_t row)
{
    run->info->reranked++;
    float d = fr_space_exact(&run->space, row, run->s->decoded);
    run->failed |= isnan(d);
    return d;
}

/* Exact distances of the candidates, all or as many as may be among the k nearest. */
static void offer_exact(fr_run *run, fr_candidate *candidates, uint32_t count, bool all)
{
    if (!all) count = fr_fine_refine(&run->space, run->s, candidates, count, run->query->k);
    run->failed |= !fr_space_exact_many(&run->space, run->s, candidates, count);
    run->info->reranked += count;
    for (uint32_t i = 0; i < count && !run->failed; i++) offer(run, candidates[i].row, candidates[i].distance);
}

/* ==== scans ==== */

static void scan_originals(fr_run *run)
{
    uint32_t rows = run->s->row_limit;
    fr_candidate batch[FR_VECTOR_READS_MAX];
    uint32_t count = 0;
    for (uint32_t row = 0; row < rows; row++) {
        if (!fr_row_visible(fr_row_at(run->t, row), run->query->visible) || !passes(run, row)) continue;
        batch[count++] = (fr_candidate){0, row};
        if (count == FR_VECTOR_READS_MAX) offer_exact(run, batch, count, true), count = 0;
    }
    offer_exact(run, batch, count, true);
}

typedef struct fr_scan_batch {
    uint32_t ids[SCAN_BATCH], count, size; /* size of the pool */
} fr_scan_batch;

static void scan_flush(fr_run *run, fr_scan_batch *batch, uint32_t capacity)
{
    float distances[SCAN_BATCH];
    fr_space_distances(&run->space, batch->ids, batch->count, distances);
    run->info->distances += batch->count;
    for (uint32_t i = 0; i < batch->count; i++) fr_pool_insert(run->s->pool, &batch->size, capacity, distances[i], batch->ids[i]);
    batch->count = 0;
}

/* All visible rows that pass, on codes; the nearest of them exactly. */
static void scan_codes(fr_run *run)
{
    fr_scan_batch batch = {.count = 0, .size = 0};
    uint32_t rows = run->s->row_limit, capacity = run->rerank;
    for (uint32_t row = 0; row < rows; row++) {
        if (!fr_row_visible(fr_row_at(run->t, row), run->query->visible) || !passes(run, row)) continue;
        batch.ids[batch.count++] = row;
        if (batch.count == SCAN_BATCH) scan_flush(run, &batch, capacity);
    }
    if (batch.count != 0) scan_flush(run, &batch, capacity);
    run->found = 0;
    offer_exact(run, run->s->pool, batch.size, false);
}

static void scan_keys(fr_run *run, const fr_span *keys, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = fr_table_find(run->t, keys[i], run->query->visible);
        if (row == FR_ROW_NONE || row >= run->s->row_limit || !passes(run, row)) continue;
        bool seen = false;
        for (uint32_t j = 0; j < run->found && !seen; j++) seen = run->s->found[j].row == row;
        if (!seen) offer(run, row, exact_distance(run, row));
    }
}

/* Rows that are not linked yet and in no block: their numbers are kept before the walk, for the ring may be written over during it.
 * Those beyond `room` (no memory to seal blocks) go into the pool at once, and are marked visited. */
static uint32_t take_ring(fr_run *run, const fr_fresh_view *view, uint32_t *rows, uint32_t room, uint32_t *pool_size)
{
    const fr_table *t = run->t;
    fr_scan_batch batch = {.count = 0, .size = 0};
    fr_ring *ring = atomic_load_explicit(&t->ring, memory_order_acquire);
    uint32_t count = 0;
    for (uint64_t i = view->from; ring != NULL && i < view->tail; i++) {
        uint32_t row = atomic_load_explicit(&ring->rows[i & ring->mask], memory_order_acquire);
        if (row & FR_RING_DONE || row >= run->s->row_limit) continue;
        if (count < room) {
            rows[count++] = row;
            continue;
        }
        if (!fr_row_visible(fr_row_at(t, row), run->query->visible) || !fr_visit(run->s, row)) continue;
        batch.ids[batch.count++] = row;
        if (batch.count == SCAN_BATCH) scan_flush(run, &batch, run->ef);
    }
    if (batch.count != 0) scan_flush(run, &batch, run->ef);
    *pool_size = batch.size;
    run->info->fresh += view->tail - view->from;
    return count;
}

/* Rows that are not linked and may be nearer than the k-th found so far: on codes, into the pool. */
static void scan_near(fr_run *run, const uint32_t *rows, uint32_t count, uint32_t *size, uint32_t capacity, float bound)
{
    float distances[SCAN_BATCH];
    uint32_t ids[SCAN_BATCH], n;
    fr_candidate *pool = run->s->pool;
    for (uint32_t at = 0; at < count;) {
        for (n = 0; n < SCAN_BATCH && at < count; at++)
            if (rows[at] < run->s->row_limit) ids[n++] = rows[at], fr_space_touch(run->space.codes, rows[at]);
        fr_space_distances(&run->space, ids, n, distances);
        run->info->distances += n;
        for (uint32_t i = 0; i < n; i++) {
            if (distances[i] > bound || (*size == capacity && distances[i] >= pool[capacity - 1].distance)) continue;
            if (!fr_row_visible(fr_row_at(run->t, ids[i]), run->query->visible) || !passes(run, ids[i])) continue;
            fr_pool_insert(pool, size, capacity, distances[i], ids[i]);
        }
    }
}

/* Rows that were not linked before the walk, after it: the k-th distance bounds what must be looked at. */
static void scan_fresh(fr_run *run, const fr_fresh_view *view, const uint32_t *ring_rows, uint32_t ring_count)
{
    const fr_table_query *q = run->query;
    bool exact = run->space.code_query.exact, ranged = q->has_low || q->has_high;
    uint32_t rows[FR_BLOCK_ROWS], size = 0, capacity = exact ? q->k : run->rerank;
    if (view->first == NULL && ring_count == 0) return;
    float bound = run->found == q->k ? run->s->found[q->k - 1].distance : INFINITY;
    if (ranged) capacity = run->s->pool_capacity; /* the nearest on codes may lie outside of the range */
    scan_near(run, ring_rows, ring_count, &size, capacity, exact ? bound : INFINITY);
    fr_fresh_query query; /* large: the planes are not cleared */
    query.rotated = run->s->decoded;
    query.centre = NULL;
    if (view->first != NULL) fr_fresh_enter(run->t, q->vector, run->s->decoded);
    for (const fr_fresh_block *b = view->first; b != NULL; b = atomic_load_explicit(&b->next, memory_order_acquire)) {
        if (exact && !ranged && size == q->k) bound = fminf(bound, run->s->pool[size - 1].distance);
        run->info->fresh += FR_BLOCK_ROWS;
        scan_near(run, rows, fr_fresh_near(run->t, b, &query, bound, rows), &size, capacity, exact ? bound : INFINITY);
    }
    fr_candidate *pool = run->s->pool;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < size; i++) { /* a row that was linked meanwhile may have been found by the walk, too */
        uint32_t at = 0;
        while (at < run->found && run->s->found[at].row != pool[i].row) at++;
        if (at == run->found) pool[kept++] = pool[i];
    }
    if (!exact) offer_exact(run, pool, kept, ranged);
    else
        for (uint32_t i = 0; i < kept; i++) offer(run, pool[i].row, pool[i].distance);
}

/* ==== the walk ==== */

/* Exact distances of the nearest of the pool, until `rerank` visible rows that pass were looked at. */
static void take_pool(fr_run *run, uint32_t size)
{
    fr_candidate *pool = run->s->pool;
    uint32_t taken = 0, limit = run->space.code_query.exact ? run->query->k : run->rerank;
    bool range = run->query->has_low || run->query->has_high;
    run->found = 0;
    for (uint32_t i = 0; i < size && (taken < limit || run->query->has_low); i++) {
        if (i + 4 < size) __builtin_prefetch(fr_row_at(run->t, pool[i + 4].row));
        uint32_t row = pool[i].row;
        if (!fr_row_visible(fr_row_at(run->t, row), run->query->visible) || !passes(run, row)) continue;
        if (run->space.code_query.exact) offer(run, row, pool[i].distance);
        else pool[taken] = pool[i]; /* never ahead of i */
        taken++;
    }
    if (!run->space.code_query.exact) offer_exact(run, pool, taken, range);
}

static void walk_graph(fr_run *run)
{
    const fr_table *t = run->t;
    fr_scratch *s = run->s;
    fr_visited_clear(s);
    fr_fresh_view view = fr_fresh_look(t);
    uint32_t *ring_rows = (uint32_t *)(void *)s->expanded, room = s->expanded_capacity; /* half of it, in bytes */
    fr_candidate *aside = s->expanded + room / 2; /* what is in the pool waits there while the walk uses that */
    uint32_t fresh, kept = 0, taken = take_ring(run, &view, ring_rows, room, &fresh);
    for (; kept < fresh && kept < room / 2; kept++) aside[kept] = s->pool[kept];
    uint32_t size = fr_walk_start(t, s, &run->space, run->ef, &run->info->distances);
    size = fr_walk_level(t, s, &run->space, 0, size, run->ef, false, &run->info->visited, &run->info->distances);
    for (uint32_t i = 0; i < kept; i++) fr_pool_insert(s->pool, &size, run->ef, aside[i].distance, aside[i].row);
    fr_visited_clear(s);
    take_pool(run, size);
    scan_fresh(run, &view, ring_rows, taken);
}

/* The share of visible rows that pass the filter, from a sample. */
static double sample_filter(fr_run *run)
{
    uint32_t rows = run->s->row_limit, seen = 0, passed = 0;
    for (uint32_t i = 0; i < SAMPLE_ROWS * 2 && seen < SAMPLE_ROWS; i++) {
        uint32_t row = (uint32_t)(fr_mix64(i + 1) % rows);
        if (!fr_row_visible(fr_row_at(run->t, row), run->query->visible)) continue;
        seen++;
        passed += passes(run, row);
    }
    return seen == 0 ? 0 : (double)passed / seen;
}

static uint32_t rerank_of(const fr_table_query *q, uint32_t ef) { return FR_MAX(FR_MAX(2 * q->k, 32u), ef / 4); }

static fr_code fit(fr_run *run, uint32_t ef, fr_err *err)
{
    run->ef = ef;
    run->rerank = rerank_of(run->query, ef);
    if (!fr_scratch_fit(run->s, run->t, FR_MAX(FR_MAX(ef, run->rerank), run->query->k)))
        return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory to search");
    const fr_codeset *codes = fr_codes_of(run->t);
    fr_space_of_vector(&run->space, run->t, codes, run->query->vector, run->s->q, run->s->rotated);
    return FR_OK;
}

static fr_code run_query(fr_run *run, fr_err *err)
{
    const fr_table_query *q = run->query;
    uint32_t ef = FR_MAX(q->ef != 0 ? q->ef : EF_DEFAULT, q->k);
    FR_TRY(fit(run, ef, err));
    uint32_t rows = run->s->row_limit;
    const fr_span *keys;
    uint32_t key_count = fr_filter_keys(q->filter, &keys);
    if (rows == 0) {
        run->info->plan = "empty";
        return FR_OK;
    }
    if (key_count != 0) {
        run->info->plan = "keys";
        scan_keys(run, keys, key_count);
        return FR_OK;
    }
    if (q->exact) {
        run->info->plan = "exact scan";
        scan_originals(run);
        return FR_OK;
    }
    uint32_t padded = run->space.codes->padded;
    bool small = (uint64_t)rows * padded <= FR_SCAN_CODE_BYTES || (uint64_t)ef * 8 >= rows;
    if (small) {
        run->info->plan = q->filter != NULL ? "filtered scan" : "scan";
        if (q->has_low || q->has_high) scan_originals(run); /* a range asks for all of it, not for the nearest codes */
        else scan_codes(run);
        return FR_OK;
    }
    if (q->filter != NULL) {
        double share = sample_filter(run);
        uint32_t wide = share > 0 ? (uint32_t)fmin((double)ef / share, 1e9) : UINT32_MAX;
        if (wide > 4096 && wide > 2 * ef) { /* too few pass: look at them all */
            run->info->plan = "filtered scan";
            scan_codes(run);
            return FR_OK;
        }
        FR_TRY(fit(run, FR_MIN(wide, FR_EF_MAX), err));
    }
    run->info->plan = "graph";
    walk_graph(run);
    if (run->found == q->k) return FR_OK;
    /* Fewer than k: dead rows, a filter or a range in the way. Look wider, then at everything. */
    for (uint32_t wider = run->ef * 4; wider <= 4096 && run->found < q->k && !run->beyond; wider *= 4) {
        FR_TRY(fit(run, wider, err));
        walk_graph(run);
    }
    if (run->found == q->k) return FR_OK;
    if (run->beyond && !q->has_low) return FR_OK;
    if (run->found >= atomic_load_explicit(&run->t->live, memory_order_relaxed)) return FR_OK;
    run->info->plan = "graph, then scan";
    run->found = 0;
    FR_TRY(fit(run, ef, err));
    if (q->has_low || q->has_high) scan_originals(run);
    else scan_codes(run);
    return FR_OK;
}

fr_code fr_table_search(const fr_table *t, fr_scratch *s, const fr_table_query *query, fr_row_hit *hits, uint32_t *count_out,
                        fr_search_info *info, fr_err *err)
{
    fr_search_info own = {0};
    fr_run run = {.t = t, .s = s, .query = query, .info = info != NULL ? info : &own};
    FR_ASSERT(query->k >= 1);
    *run.info = own;
    *count_out = 0;
    FR_TRY(run_query(&run, err));
    if (run.failed) return fr_fail(err, FR_ERR_IO, NULL, "original vectors on disk cannot be read");
    memcpy(hits, s->found, run.found * sizeof *hits);
    *count_out = run.found;
    return FR_OK;
}
