/* search.c: the ways of one query: fresh rows scanned exactly, then the graph walk, then the exact rerank; or scans. plan.c
 * chooses among them. Order matters: a row that leaves the fresh ring during the scan is in the graph by then. */
#include "index/search_private.h"

#include <math.h>

#define SCAN_BATCH  FR_SCAN_BATCH
#define JUDGE_AHEAD 16u
#define GO_ON_KEEP  1.5f /* of a walk that may go on: what it left out before was left out for good */

bool fr_run_judge(fr_run *run, uint32_t row)
{
    fr_scratch *s = run->s;
    uint64_t *pair = &s->judged[2 * (size_t)(row >> 6)], bit = 1ull << (row & 63);
    if (pair[0] & bit) return (pair[1] & bit) != 0;
    bool fine = false;
    if (fr_row_visible(fr_row_at(run->t, row), run->query->visible)) { /* else the document may be gone */
        fr_blob blob;
        fr_row_blob(run->t, row, &blob);
        fr_filter_row view = {.key = blob.key, .key_is_int = blob.key_is_int, .metadata = fr_doc_root(blob.metadata)};
        fine = fr_filter_match(run->query->filter, &view);
        run->info->filter_checked++;
        run->info->filter_passed += fine;
    }
    if (pair[0] == 0) {
        s->judged_at[s->judged_count++] = row >> 6;
        pair[1] = 0;
    }
    pair[0] |= bit;
    if (fine) pair[1] |= bit;
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
void fr_run_offer(fr_run *run, uint32_t row, float distance)
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

float fr_run_exact(fr_run *run, uint32_t row)
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
    for (uint32_t i = 0; i < count && !run->failed; i++) fr_run_offer(run, candidates[i].row, candidates[i].distance);
}

/* The first of the pool: their distances may be the true ones already. */
static void offer_pool(fr_run *run, uint32_t count, bool all)
{
    fr_candidate *pool = run->s->pool;
    if (!run->space.code_query.exact) offer_exact(run, pool, count, all);
    else
        for (uint32_t i = 0; i < count; i++) fr_run_offer(run, pool[i].row, pool[i].distance);
}

/* ==== scans ==== */

void fr_run_scan_originals(fr_run *run)
{
    uint32_t rows = run->s->row_limit;
    fr_candidate batch[FR_VECTOR_READS_MAX];
    uint32_t count = 0;
    for (uint32_t row = 0; row < rows; row++) {
        if (!fr_row_findable(fr_row_at(run->t, row), run->query->visible) || !fr_run_passes(run, row)) continue;
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
void fr_run_scan_codes(fr_run *run)
{
    fr_scan_batch batch = {.count = 0, .size = 0};
    uint32_t rows = run->s->row_limit, capacity = run->rerank;
    for (uint32_t row = 0; row < rows; row++) {
        if (!fr_row_findable(fr_row_at(run->t, row), run->query->visible) || !fr_run_passes(run, row)) continue;
        batch.ids[batch.count++] = row;
        if (batch.count == SCAN_BATCH) scan_flush(run, &batch, capacity);
    }
    if (batch.count != 0) scan_flush(run, &batch, capacity);
    run->found = 0;
    offer_exact(run, run->s->pool, batch.size, false);
}

/* Of rows of s->match the visible ones that pass. Whether they do is asked only of those near enough: a distance is
 * cheaper than a document, and than the row's header. No row of s->match is written meanwhile: its slot was taken when the bits were made. */
void fr_run_measure(fr_run *run, const uint32_t *ids, uint32_t count, uint32_t *size)
{
    uint32_t capacity = run->rerank, near[2 * SCAN_BATCH], n = 0, leaves = run->sieved && !run->certain ? run->s->sieve->leaf_count : 0;
    float distances[2 * SCAN_BATCH];
    fr_candidate *pool = run->s->pool;
    if (count == 0) return;
    fr_space_distances(&run->space, ids, count, distances);
    run->info->distances += count;
    float worst = *size == capacity ? pool[capacity - 1].distance : INFINITY;
    for (uint32_t i = 0; i < count; i++) { /* their headers are on the way together */
        if (distances[i] >= worst) continue;
        __builtin_prefetch(fr_row_at(run->t, ids[i]));
        for (uint32_t l = 0; l < leaves; l++) __builtin_prefetch(fr_extent_at(&run->s->sieve->leaves[l].column->codes, ids[i]));
        near[n++] = i;
    }
    for (uint32_t j = 0; j < n; j++) {
        uint32_t i = near[j];
        if (*size == capacity && distances[i] >= pool[capacity - 1].distance) continue;
        if (!fr_row_visible(fr_row_at(run->t, ids[i]), run->query->visible)) continue;
        if (run->deferred ? fr_sieve_test(run->s->sieve, ids[i]) == FR_VERDICT_NO : !run->certain && !fr_run_passes(run, ids[i])) continue;
        uint32_t seen = 0; /* a slot that was used again may stand in two cells */
        while (seen < *size && pool[seen].row != ids[i]) seen++;
        if (seen == *size) fr_pool_insert(pool, size, capacity, distances[i], ids[i]);
    }
}

void fr_run_send_for(const fr_run *run, uint32_t row)
{
    __builtin_prefetch(fr_row_at(run->t, row));
    for (uint32_t l = 0; run->sieved && l < run->s->sieve->leaf_count; l++) __builtin_prefetch(fr_extent_at(&run->s->sieve->leaves[l].column->codes, row));
}

void fr_run_send_for_document(const fr_run *run, uint32_t row)
{
    if (run->query->filter == NULL || (run->sieved && fr_sieve_test(run->s->sieve, row) != FR_VERDICT_MAYBE)) return;
    if (fr_row_visible(fr_row_at(run->t, row), run->query->visible)) fr_row_send_for(run->t, row);
}

/* Codes alone say it of most rows that fail; then the row's header, another miss, is not looked at. */
static bool passes_in_pool(fr_run *run, uint32_t size, uint32_t at)
{
    const fr_candidate *pool = run->s->pool;
    uint32_t row = pool[at].row & ~FR_CHECKED;
    if (at == 0)
        for (uint32_t i = 0; i < FR_MIN(JUDGE_AHEAD, size); i++) fr_run_send_for(run, pool[i].row & ~FR_CHECKED);
    if (at + JUDGE_AHEAD < size) fr_run_send_for(run, pool[at + JUDGE_AHEAD].row & ~FR_CHECKED);
    if (at + JUDGE_AHEAD / 2 < size && !run->certain) fr_run_send_for_document(run, pool[at + JUDGE_AHEAD / 2].row & ~FR_CHECKED);
    if (run->sieved && fr_sieve_test(run->s->sieve, row) == FR_VERDICT_NO) return false;
    return fr_row_visible(fr_row_at(run->t, row), run->query->visible) && fr_run_passes(run, row);
}

void fr_run_take(fr_run *run, uint32_t size)
{
    uint32_t passed = 0, limit = run->space.code_query.exact ? run->query->k : size;
    for (uint32_t i = 0; run->deferred && i < size && passed < limit; i++)
        if (passes_in_pool(run, size, i)) run->s->pool[passed++] = run->s->pool[i]; /* never ahead of i */
    if (run->deferred) size = passed;
    run->found = 0;
    offer_pool(run, size, false);
}

/* A batch is fetched while the one before it is measured. */
void fr_run_scan_matches(fr_run *run)
{
    const uint64_t *match = run->s->match;
    uint32_t ids[2][SCAN_BATCH], count = 0, size = 0, words = (run->s->row_limit + 63) / 64;
    bool turn = false, before = false;
    for (uint32_t w = 0; w < words; w++) {
        for (uint64_t left = match[w]; left != 0; left &= left - 1) {
            uint32_t row = w * 64 + (uint32_t)__builtin_ctzll(left);
            fr_space_touch(run->space.codes, row);
            ids[turn][count++] = row;
            if (count != SCAN_BATCH) continue;
            if (before) fr_run_measure(run, ids[!turn], SCAN_BATCH, &size);
            before = true;
            turn = !turn;
            count = 0;
        }
    }
    if (before) fr_run_measure(run, ids[!turn], SCAN_BATCH, &size);
    fr_run_measure(run, ids[turn], count, &size);
    fr_run_take(run, size);
}

void fr_run_scan_keys(fr_run *run, const fr_span *keys, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = fr_table_find(run->t, keys[i], run->query->visible);
        if (row == FR_ROW_NONE || row >= run->s->row_limit || fr_row_bare(fr_row_at(run->t, row)) || !fr_run_passes(run, row)) continue;
        bool seen = false;
        for (uint32_t j = 0; j < run->found && !seen; j++) seen = run->s->found[j].row == row;
        if (!seen) fr_run_offer(run, row, fr_run_exact(run, row));
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
        if (run->sieved && !fr_run_passes(run, row)) continue; /* rows that fail must not crowd out those that pass */
        batch.ids[batch.count++] = row;
        if (batch.count == SCAN_BATCH) scan_flush(run, &batch, run->ef);
    }
    if (batch.count != 0) scan_flush(run, &batch, run->ef);
    *pool_size = batch.size;
    run->info->fresh += view->tail - view->from;
    return count;
}

/* Rows that are not linked and may be nearer than the k-th found so far: on codes, into the pool. */
typedef struct near_scan {
    fr_run *run;
    uint32_t ids[2][SCAN_BATCH], count, before; /* those that gather, those that are measured next */
    uint32_t size, capacity;                    /* of the pool */
    float bound;
    bool turn;
} near_scan;

static void near_measure(near_scan *n, const uint32_t *ids, uint32_t count)
{
    float distances[SCAN_BATCH];
    fr_candidate *pool = n->run->s->pool;
    fr_space_distances(&n->run->space, ids, count, distances);
    n->run->info->distances += count;
    for (uint32_t i = 0; i < count; i++) {
        if (distances[i] > n->bound || (n->size == n->capacity && distances[i] >= pool[n->capacity - 1].distance)) continue;
        if (!fr_row_visible(fr_row_at(n->run->t, ids[i]), n->run->query->visible)) continue;
        uint32_t seen = 0; /* a slot that was reused during a bulk stands in the ring twice */
        while (seen < n->size && pool[seen].row != ids[i]) seen++;
        if (seen == n->size && fr_run_passes(n->run, ids[i])) fr_pool_insert(pool, &n->size, n->capacity, distances[i], ids[i]);
    }
}

/* One batch is on its way from memory while the one before it is measured. */
static void near_flush(near_scan *n)
{
    if (n->before != 0) near_measure(n, n->ids[!n->turn], n->before);
    n->before = n->count;
    n->count = 0;
    n->turn = !n->turn;
}

/* The code of a taken slot may be read without a look at its header. It may be another row's by now: who is near is judged. */
static void near_take(near_scan *n, const uint32_t *rows, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (rows[i] >= n->run->s->row_limit || !fr_taken(n->run->t, rows[i])) continue;
        fr_space_touch(n->run->space.codes, rows[i]);
        n->ids[n->turn][n->count++] = rows[i];
        if (n->count == SCAN_BATCH) near_flush(n);
    }
}

/* Rows that were not linked before the walk, after it: the k-th distance bounds what must be looked at. */
static void scan_fresh(fr_run *run, const fr_fresh_view *view, const uint32_t *ring_rows, uint32_t ring_count)
{
    const fr_table_query *q = run->query;
    bool exact = run->space.code_query.exact, ranged = q->has_low || q->has_high;
    uint32_t rows[FR_BLOCK_ROWS];
    if (view->first == NULL && ring_count == 0) return;
    float bound = run->found == q->k ? run->s->found[q->k - 1].distance : INFINITY;
    near_scan near; /* large: not cleared */
    near.run = run;
    near.count = near.before = near.size = 0;
    near.turn = false;
    near.capacity = ranged ? run->s->pool_capacity : exact ? q->k : run->rerank; /* the nearest on codes may lie outside of the range */
    near.bound = exact ? bound : INFINITY;
    near_take(&near, ring_rows, ring_count);
    fr_fresh_query query = {.rotated = run->s->decoded, .tables = (uint8_t *)(void *)run->s->vector};
    if (view->first != NULL) fr_fresh_enter(run->t, q->vector, run->s->decoded);
    for (const fr_fresh_block *b = view->first; b != NULL; b = atomic_load_explicit(&b->next, memory_order_acquire)) {
        if (exact && !ranged && near.size == q->k) near.bound = bound = fminf(bound, run->s->pool[near.size - 1].distance);
        run->info->fresh += FR_BLOCK_ROWS;
        near_take(&near, rows, fr_fresh_near(run->t, b, &query, bound, rows));
    }
    near_flush(&near);
    near_flush(&near);
    uint32_t size = near.size;
    fr_candidate *pool = run->s->pool;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < size; i++) { /* a row that was linked meanwhile may have been found by the walk, too */
        uint32_t at = 0;
        while (at < run->found && run->s->found[at].row != pool[i].row) at++;
        if (at == run->found) pool[kept++] = pool[i];
    }
    offer_pool(run, kept, ranged);
}

/* ==== the walk ==== */

/* Exact distances of the nearest of the pool, until `rerank` visible rows that pass were looked at, or those that codes leave in doubt. */
static void take_pool(fr_run *run, uint32_t size)
{
    fr_candidate *pool = run->s->pool;
    uint32_t taken = 0, limit = run->space.code_query.exact ? run->query->k : run->rerank;
    bool range = run->query->has_low || run->query->has_high;
    float doubt = INFINITY;
    run->found = 0;
    for (uint32_t i = 0; i < size && (taken < limit || run->query->has_low) && pool[i].distance <= doubt; i++) {
        if (!passes_in_pool(run, size, i)) continue;
        uint32_t row = pool[i].row;
        if (run->space.code_query.exact) fr_run_offer(run, row, pool[i].distance);
        else pool[taken] = pool[i]; /* never ahead of i */
        taken++;
        if (taken == run->query->k && !range && !run->space.code_query.exact) doubt = fr_fine_limit(&run->space, pool[taken - 1].distance);
    }
    if (!run->space.code_query.exact) offer_exact(run, pool, taken, range);
}

/* Fresh rows wait in `expanded` while the walk is under way: ring rows in its first half, candidates in the second. */
static uint32_t *ring_rows_of(const fr_scratch *s) { return (uint32_t *)(void *)s->expanded; }
static fr_candidate *aside_of(const fr_scratch *s) { return s->expanded + s->expanded_capacity / 2; }

static void set_fresh_aside(fr_run *run)
{
    fr_scratch *s = run->s;
    uint32_t room = s->expanded_capacity, fresh;
    fr_visited_clear(s);
    if (run->query->except != 0) fr_visit(s, run->query->except - 1);
    run->fresh = fr_fresh_look(run->t);
    run->taken = take_ring(run, &run->fresh, ring_rows_of(s), room, &fresh);
    for (run->kept = 0; run->kept < fresh && run->kept < room / 2; run->kept++) aside_of(s)[run->kept] = s->pool[run->kept];
}

/* room: the walk's pool had so many places */
static void take_results(fr_run *run, uint32_t size, uint32_t room)
{
    fr_scratch *s = run->s;
    const fr_candidate *aside = aside_of(s);
    for (uint32_t i = 0; i < run->kept; i++) fr_pool_insert(s->pool, &size, room, aside[i].distance, aside[i].row);
    fr_visited_clear(s);
    take_pool(run, size);
    scan_fresh(run, &run->fresh, ring_rows_of(s), run->taken);
}

void fr_run_walk_seek(fr_run *run)
{
    set_fresh_aside(run);
    run->starts = fr_walk_seek(run->t, run->s, &run->space, run->ef);
}

void fr_run_walk_begin(fr_run *run)
{
    uint32_t size = fr_walk_enter(run->t, run->s, &run->space, run->starts, &run->info->distances);
    fr_walk_begin(&run->walk, run->t, run->s, &run->space, size, run->ef);
    const fr_table_query *q = run->query;
    if (q->has_low || q->has_high || run->again) {
        run->place = 0;
        return;
    }
    if (q->filter == NULL) fr_walk_reach(&run->walk, q->k, run->ef);
    else if (run->place != 0 && !fr_walk_reach(&run->walk, run->place, run->ef)) run->place = 0;
    if (run->place != 0) run->walk.keep = GO_ON_KEEP;
}

void fr_run_walk_foresee(const fr_run *run)
{
    const fr_candidate *pool = run->s->pool;
    bool exact = run->space.code_query.exact;
    uint32_t k = run->query->k, count = FR_MIN(run->walk.size, exact ? k : run->rerank);
    float doubt = exact || count <= k ? INFINITY : fr_fine_limit(&run->space, pool[k - 1].distance);
    for (uint32_t i = 0; i < count && pool[i].distance <= doubt; i++) __builtin_prefetch(fr_row_at(run->t, pool[i].row & ~FR_CHECKED));
    for (uint32_t i = 0; i < count && pool[i].distance <= doubt; i++) fr_space_exact_touch(&run->space, pool[i].row & ~FR_CHECKED);
}

void fr_run_walk_end(fr_run *run)
{
    take_results(run, fr_walk_end(&run->walk, &run->info->visited, &run->info->distances), run->walk.ef);
}

/* The walk ended by the distance at the place where the k-th that passes was expected. Stands it a little deeper, the walk goes on to there; much
 * deeper, it begins anew: it left out too much. True: there is more to do. */
static bool walk_on(fr_run *run)
{
    fr_walk *w = &run->walk;
    uint32_t at = 0, passed = 0, k = run->query->k, place = w->place + 1, limit = place + place / 2;
    for (; at < w->size && passed < k; at++) passed += passes_in_pool(run, w->size, at);
    if (passed == k && at <= place + place / 8) return false;
    if (passed < k) at = FR_MAX(2 * limit, (uint32_t)((uint64_t)at * k / (passed + 1)));
    uint32_t ef = fr_ef_deep(run, at);
    if (at >= run->s->row_limit || fr_reach_room(ef) > run->s->pool_capacity) return false;
    if (at <= limit) return fr_walk_reach(w, at, ef);
    uint64_t fresh = run->info->fresh;
    fr_walk_end(w, &run->info->visited, &run->info->distances);
    run->place = at;
    run->ef = ef;
    fr_run_walk_seek(run);
    fr_run_walk_begin(run);
    run->info->fresh = fresh;
    return run->place != 0;
}

void fr_run_walk(fr_run *run, bool filtered)
{
    if (filtered) {
        uint32_t size;
        set_fresh_aside(run);
        run->cut = !fr_run_walk_filtered(run, &size);
        take_results(run, size, run->ef);
        return;
    }
    fr_run_walk_seek(run);
    fr_run_walk_begin(run);
    do {
        while (fr_walk_expand(&run->walk)) fr_walk_weigh(&run->walk);
    } while (run->place != 0 && walk_on(run));
    if (run->query->filter == NULL) fr_run_walk_foresee(run);
    fr_run_walk_end(run);
}
