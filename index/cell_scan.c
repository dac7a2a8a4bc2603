/* cell_scan.c: filtered queries over cells (cells.h): how many rows pass, from a sample of cells; which cells may hold some; and the scan of the
 * cells nearest to the query. Source: inverted lists, as cells.c. */
#include "index/search_private.h"

#include <math.h>

#define BATCH FR_SCAN_BATCH
#define COLUMN_GONE (1u << FR_COLUMNS_MAX) /* a place that no column has */

/* The copies of the columns that the sieve asks. Returns the places of those that have none, a bit each; one that the table gave up: all. */
static uint32_t find_columns(const fr_run *run, const fr_cells *c, const fr_cell_column **found)
{
    const fr_sieve *sieve = run->s->sieve;
    uint32_t missing = 0;
    for (uint32_t l = 0; l < sieve->leaf_count; l++) {
        const fr_column *column = sieve->leaves[l].column;
        found[l] = NULL;
        uint32_t places = 0;
        for (uint32_t i = 0; i < FR_COLUMNS_MAX && found[l] == NULL; i++) {
            const fr_cell_column *k = fr_cells_column(c, i);
            if (k != NULL && k->serial == column->serial && !atomic_load_explicit(&k->broken, memory_order_acquire)) found[l] = k;
            if (atomic_load_explicit(&run->t->columns.at[i], memory_order_relaxed) == column) places |= 1u << i;
        }
        if (found[l] == NULL) missing |= places != 0 ? places : COLUMN_GONE;
    }
    return missing;
}

static void wish_sketches(const fr_cells *c)
{
    if (!atomic_load_explicit(&c->sketches_wished, memory_order_relaxed))
        atomic_store_explicit((_Atomic bool *)(uintptr_t)&c->sketches_wished, true, memory_order_relaxed);
}

/* A bit for each cell that may hold a match. Rows that the search may see had their marks before they were published. */
static void mark_cells(const fr_sieve *sieve, fr_cell_view *view)
{
    uint32_t words = (view->cells->count + 63) / 64;
    uint64_t leaves[FR_CELLS_MAX / 64][FR_SIEVE_LEAVES_MAX], marks[FR_MARKS / 64];
    for (uint32_t l = 0; l < sieve->leaf_count; l++) {
        bool all = !fr_sieve_leaf_marks(&sieve->leaves[l], marks);
        for (uint32_t w = 0; w < words; w++) leaves[w][l] = all ? UINT64_MAX : 0;
        for (uint32_t i = 0; i < FR_MARKS && !all; i++) {
            const _Atomic uint64_t *held = &view->columns[l]->marks[i * words];
            if (marks[i / 64] >> i % 64 & 1)
                for (uint32_t w = 0; w < words; w++) leaves[w][l] |= atomic_load_explicit(&held[w], memory_order_relaxed);
        }
    }
    view->may_count = 0;
    for (uint32_t w = 0; w < words; w++) {
        view->may[w] = fr_sieve_may_pass(sieve, sieve->root, leaves[w]);
        if (view->cells->count - w * 64 < 64) view->may[w] &= (1ull << view->cells->count % 64) - 1;
        view->may_count += (uint32_t)__builtin_popcountll(view->may[w]);
    }
}

static bool may_hold(const fr_cell_view *view, uint32_t which) { return view->may[which / 64] >> which % 64 & 1; }

bool fr_run_look_at_cells(const fr_run *run, fr_cell_view *view)
{
    const fr_cells *c = atomic_load_explicit(&run->t->cells, memory_order_acquire);
    view->cells = c != NULL && c->codes == run->space.codes && !atomic_load_explicit(&c->broken, memory_order_acquire) ? c : NULL;
    view->missing = view->cells != NULL ? find_columns(run, c, view->columns) : 0;
    if (view->cells == NULL || view->missing != 0) return false;
    mark_cells(run->s->sieve, view);
    return true;
}

bool fr_run_wish_cells(const fr_run *run, const fr_cell_view *view, bool sketches)
{
    const fr_table *t = run->t;
    const fr_cells *c = view->cells;
    if (c == NULL && t->live >= t->cells_from && !atomic_load_explicit(&t->cells_wished, memory_order_relaxed))
        atomic_store_explicit((_Atomic bool *)(uintptr_t)&t->cells_wished, true, memory_order_relaxed);
    if (c == NULL) return false;
    uint32_t wish = view->missing & ~COLUMN_GONE;
    _Atomic uint32_t *wished = (_Atomic uint32_t *)(uintptr_t)&c->wished;
    if ((atomic_load_explicit(wished, memory_order_relaxed) & wish) != wish) atomic_fetch_or_explicit(wished, wish, memory_order_relaxed);
    bool sketched = !sketches || atomic_load_explicit(&c->sketched, memory_order_acquire) == c->count;
    if (!sketched) wish_sketches(c);
    return sketched && view->missing == 0;
}

#define SAMPLE_CELLS 24u
#define SAMPLE_ENTRIES 256u   /* of each */
#define SAMPLE_PASSED 16u     /* documents that pass: enough to know their share within a quarter */
#define SAMPLE_DOCUMENTS 96u

/* The share of the rows that the columns let pass whose documents do. */
static double sample_documents(fr_run *run, const uint32_t *rows, uint32_t count)
{
    uint32_t seen = 0, passed = 0;
    for (uint32_t i = 0; i < FR_MIN(count, 2 * SAMPLE_PASSED); i++) fr_run_send_for(run, rows[i]);
    for (uint32_t i = 0; i < count && passed < SAMPLE_PASSED; i++) {
        if (i % SAMPLE_PASSED == 0) /* of the next ones, too: they are not waited for one by one */
            for (uint32_t j = i; j < FR_MIN(count, i + SAMPLE_PASSED); j++) fr_run_send_for_document(run, rows[j]);
        if (rows[i] >= run->s->row_limit || !fr_row_visible(fr_row_at(run->t, rows[i]), run->query->visible)) continue;
        fr_verdict verdict = fr_sieve_test(run->s->sieve, rows[i]);
        if (verdict == FR_VERDICT_NO) continue; /* an entry in vain */
        seen++;
        passed += verdict == FR_VERDICT_YES || fr_run_judge(run, rows[i]);
    }
    if (passed == SAMPLE_PASSED && seen != passed) return (passed - 1.0) / (seen - 1.0); /* the last one was waited for */
    return seen == 0 ? 1 : fmax(passed, 0.5) / seen;
}

/* One cell of each equal part of those that may hold a row that passes; how many. */
static uint32_t choose_cells(const fr_cell_view *view, uint32_t which[SAMPLE_CELLS])
{
    uint32_t n = 0, at = 0, want = FR_MIN(SAMPLE_CELLS, view->may_count);
    for (uint32_t w = 0; w < (view->cells->count + 63) / 64; w++)
        for (uint64_t left = view->may[w]; left != 0 && n < want; left &= left - 1, at++)
            if (at == (uint64_t)n * view->may_count / want) which[n++] = w * 64 + (uint32_t)__builtin_ctzll(left);
    return n;
}

static void send_for_sample(const fr_sieve *sieve, const fr_cell_view *view, const uint32_t *which, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t l = 0; l < sieve->leaf_count; l++) __builtin_prefetch(&view->columns[l]->of[which[i]]);
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t l = 0; l < sieve->leaf_count; l++) {
            const uint8_t *codes = atomic_load_explicit(&view->columns[l]->of[which[i]].codes, memory_order_relaxed);
            for (uint32_t at = 0; at < SAMPLE_ENTRIES << view->columns[l]->wide; at += 64) __builtin_prefetch(codes + at);
        }
}

typedef struct cell_sample {
    uint64_t entries, matches, held; /* held: of the cells altogether */
    uint32_t rows[SAMPLE_DOCUMENTS], count; /* some that match */
} cell_sample;

static void sample_cell(const fr_sieve *sieve, const fr_cell_view *view, uint32_t which, cell_sample *sample)
{
    const fr_cell *cell = &view->cells->cells[which];
    const void *codes[FR_SIEVE_LEAVES_MAX];
    uint64_t bits[SAMPLE_ENTRIES / 64];
    uint32_t held = atomic_load_explicit(&cell->count, memory_order_acquire), count = FR_MIN(SAMPLE_ENTRIES, held);
    sample->held += held;
    for (uint32_t l = 0; l < sieve->leaf_count; l++) {
        const fr_cell_codes *of = &view->columns[l]->of[which];
        count = FR_MIN(count, atomic_load_explicit(&of->count, memory_order_acquire));
        codes[l] = atomic_load_explicit(&of->codes, memory_order_acquire);
    }
    if (count == 0) return;
    fr_sieve_list(sieve, codes, count, bits);
    const uint32_t *rows = atomic_load_explicit(&cell->rows, memory_order_acquire);
    uint32_t stop = FR_MIN(SAMPLE_DOCUMENTS, sample->count + SAMPLE_DOCUMENTS / SAMPLE_CELLS + 1); /* some of each cell */
    sample->entries += count;
    for (uint32_t w = 0; w < (count + 63) / 64; w++) {
        sample->matches += (uint32_t)__builtin_popcountll(bits[w]);
        for (uint64_t left = bits[w]; left != 0 && sample->count < stop; left &= left - 1)
            sample->rows[sample->count++] = rows[w * 64 + (uint32_t)__builtin_ctzll(left)];
    }
}

double fr_run_estimate(fr_run *run, const fr_cell_view *view)
{
    const fr_sieve *sieve = run->s->sieve;
    uint32_t which[SAMPLE_CELLS], n = choose_cells(view, which);
    cell_sample sample; /* large: not cleared */
    sample.entries = sample.matches = sample.held = sample.count = 0;
    send_for_sample(sieve, view, which, n);
    for (uint32_t i = 0; i < n; i++) sample_cell(sieve, view, which[i], &sample);
    if (sample.entries == 0) return 0;
    double share = fmax((double)sample.matches, 0.5) / (double)sample.entries;
    double rows = (double)atomic_load_explicit(&run->t->live, memory_order_relaxed);
    if (view->may_count < view->cells->count) rows = fmin(rows, (double)sample.held / n * view->may_count); /* they may be large ones */
    if (fr_sieve_certain(sieve)) return share * rows;
    run->passing = (float)sample_documents(run, sample.rows, sample.count);
    return share * rows * run->passing;
}

/* Of the matches, where few of them lie near the query: the order of cells says less about far rows. Recall 0.953 with a third of
 * them, 0.99 with a half (photosift1m, `opposed`). */
#define OPPOSED_PART 0.4

static void sink(fr_candidate *heap, uint32_t count, uint32_t at)
{
    fr_candidate moved = heap[at];
    for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
        child += child + 1 < count && heap[child + 1].distance < heap[child].distance;
        if (heap[child].distance >= moved.distance) break;
        heap[at] = heap[child];
    }
    heap[at] = moved;
}

static uint32_t measure_cells(const fr_run *run, const fr_cells *c, fr_candidate *heap)
{
    float found[BATCH];
    for (uint32_t first = 0; first < c->count; first += BATCH) {
        uint32_t n = FR_MIN(BATCH, c->count - first);
        fr_codeset_distances_of(c->codes, &run->space.code_query, c->pivots + (size_t)first * c->codes->padded, c->constants + first, n, found);
        for (uint32_t i = 0; i < n; i++) heap[first + i] = (fr_candidate){found[i], first + i};
    }
    run->info->distances += c->count;
    return c->count;
}

static void order_heap(fr_candidate *heap, uint32_t count)
{
    for (uint32_t i = count / 2; i > 0; i--) sink(heap, count, i - 1);
}

#define DEFER_FROM  0.25f /* of the documents pass */
#define DEFER_MORE  1.25  /* a sample errs */
#define DEFER_LEAST 4u

#define AHEAD 6u       /* cells that are on their way from memory: their heads; the codes of the next but one */
#define GROUPS_AHEAD 3u
#define BEHIND_MAX 256u /* entries behind those of a kept list, from which on it is made anew */

typedef struct cell_scan {
    fr_run *run;
    const fr_cells *cells;
    const fr_cell_column *const *columns; /* of the sieve's leaves */
    const fr_kernel *differing;           /* counts bits */
    fr_kept *kept;                        /* lists of this filter; NULL: none */
    uint32_t ids[2][2 * BATCH], count, before; /* those that gather, those that are measured next */
    uint64_t upto;                             /* of found, when the latter were gathered */
    uint32_t size;                             /* of the pool */
    uint64_t found, measured;                  /* matches; those of them that were measured or need not be */
    uint32_t enough; /* the pool's nearest so many are thought to hold k that pass */
    bool turn, unsketched; /* bits would have been of use */
    fr_sketch_query ask;
} cell_scan;

/* One batch is on its way from memory while the one before it is measured. */
static void cell_flush(cell_scan *scan)
{
    fr_run_measure(scan->run, scan->ids[!scan->turn], scan->before, &scan->size);
    scan->measured = scan->upto;
    scan->upto = scan->found;
    scan->before = scan->count;
    scan->count = 0;
    scan->turn = !scan->turn;
}

static void take_rows(cell_scan *scan, const uint32_t *rows, uint32_t count)
{
    const fr_run *run = scan->run;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = rows[i];
        if (row >= run->s->row_limit || !fr_taken(run->t, row)) continue; /* behind the test of its code: cells.h */
        fr_space_touch(run->space.codes, row);
        scan->ids[scan->turn][scan->count++] = row;
    }
    if (scan->count >= BATCH) cell_flush(scan);
}

/* A cell whose entries are judged by their codes: those of its first block from `from` on; the rest is judged when they are taken. */
typedef struct judged_cell {
    const uint32_t *rows;
    const uint8_t *codes[FR_SIEVE_LEAVES_MAX];
    fr_kept_cell *of;               /* NULL: no list is kept */
    const fr_sketch *sketch;        /* NULL: none */
    float at_pivot;
    bool dense;                     /* its groups are looked at by their bits */
    uint32_t entries, from, may;    /* those from `from` to `may` are judged; before stands the list */
    uint32_t matches;               /* of the block that was judged last */
    uint64_t bits[FR_SIEVE_BLOCK / 64];
} judged_cell;

/* Of the block that begins at `first`, a multiple of 64. */
static uint32_t judge_block(const cell_scan *scan, judged_cell *cell, uint32_t first)
{
    static const uint64_t none[FR_SIEVE_BLOCK / 64];
    const fr_sieve *sieve = scan->run->s->sieve;
    const void *at[FR_SIEVE_LEAVES_MAX];
    uint32_t n = FR_MIN(cell->may - first, FR_SIEVE_BLOCK);
    for (uint32_t l = 0; l < sieve->leaf_count; l++) at[l] = cell->codes[l] + ((size_t)first << scan->columns[l]->wide);
    fr_sieve_list(sieve, at, n, cell->bits);
    if (first < cell->from) cell->bits[0] &= UINT64_MAX << (cell->from - first);
    cell->matches = (uint32_t)scan->differing->one(cell->bits, none, (n + 63) / 64 * 64);
    return n;
}

static void send_for_group(const cell_scan *scan, const judged_cell *cell, uint32_t group)
{
    uint32_t padded = scan->cells->codes->padded;
    if (group * FR_SKETCH_ROWS >= cell->sketch->count) return;
    const uint8_t *at = fr_sketch_group(cell->sketch, padded, group), *end = fr_sketch_group(cell->sketch, padded, group + 1);
    for (; at < end; at += 64) __builtin_prefetch(at);
}

static void cell_judge(const cell_scan *scan, fr_candidate next, judged_cell *cell)
{
    uint32_t which = next.row;
    const fr_cell *of = &scan->cells->cells[which];
    const fr_sieve *sieve = scan->run->s->sieve;
    cell->entries = atomic_load_explicit(&of->count, memory_order_acquire);
    for (uint32_t l = 0; l < sieve->leaf_count; l++) {
        const fr_cell_codes *held = &scan->columns[l]->of[which];
        cell->entries = FR_MIN(cell->entries, atomic_load_explicit(&held->count, memory_order_acquire));
        cell->codes[l] = atomic_load_explicit(&held->codes, memory_order_acquire);
    }
    cell->sketch = fr_cell_sketch(of);
    cell->at_pivot = next.distance;
    cell->dense = false;
    cell->of = scan->kept != NULL ? &scan->kept->of[which] : NULL;
    cell->from = cell->of != NULL && cell->entries <= cell->of->upto + BEHIND_MAX ? FR_MIN(cell->of->upto, cell->entries) : 0;
    cell->may = cell->entries;
    if (cell->may <= cell->from) return;
    cell->rows = atomic_load_explicit(&of->rows, memory_order_acquire);
    uint32_t first = cell->from & ~63u, n = judge_block(scan, cell, first);
    for (uint32_t i = 0; i < n; i += 16) /* a line of numbers */
        if (cell->bits[i / 64] >> i % 64 & 0xffff) __builtin_prefetch(cell->rows + first + i);
    cell->dense = cell->sketch != NULL && cell->matches * FR_SKETCH_ROWS >= n * FR_SKETCH_LEAST;
    for (uint32_t i = 0; i < GROUPS_AHEAD && cell->dense; i++) send_for_group(scan, cell, first / FR_SKETCH_ROWS + i);
}

/* Of a group's entries that pass: those that may be nearer than the k nearest so far. */
static uint64_t near_of_group(cell_scan *scan, const judged_cell *cell, uint32_t group, uint64_t bits)
{
    const fr_sketch *sketch = cell->sketch;
    if (!cell->dense && sketch != NULL) return bits;
    if ((uint32_t)__builtin_popcountll(bits) < FR_SKETCH_LEAST) return bits;
    scan->unsketched |= sketch == NULL;
    if (sketch == NULL || group * FR_SKETCH_ROWS >= sketch->count) return bits;
    uint32_t there = sketch->count - group * FR_SKETCH_ROWS; /* later entries have no bits yet */
    uint64_t behind = there < FR_SKETCH_ROWS ? UINT64_MAX << there : 0;
    const fr_run *run = scan->run;
    uint32_t least = run->space.code_query.exact ? run->rerank : FR_MIN(2 * scan->enough, run->rerank); /* codes err: more than k are compared exactly */
    send_for_group(scan, cell, group + GROUPS_AHEAD);
    if (scan->size < least) return bits;
    return bits & (fr_sketch_near(sketch, &scan->ask, group, run->s->pool[least - 1].distance) | behind);
}

static void cell_take(cell_scan *scan, judged_cell *cell)
{
    if (cell->may == 0) return;
    if (cell->dense) fr_sketch_turn(&scan->ask, cell->at_pivot);
    fr_kept *kept = scan->kept;
    fr_kept_cell *of = kept != NULL ? cell->of : NULL;
    uint32_t listed = of != NULL && cell->from != 0 ? of->count : 0;
    for (uint32_t i = 0; i < listed; i += BATCH) {
        scan->found += FR_MIN(BATCH, listed - i);
        take_rows(scan, kept->ids + of->at + i, FR_MIN(BATCH, listed - i));
    }
    bool list = of != NULL && cell->from == 0 && !cell->dense; /* bits go by groups of entries */
    bool keep = list && kept->ids_room - kept->ids_used >= cell->may; /* more than it needs; else it is done without */
    uint32_t begin = cell->from & ~63u, used = keep ? kept->ids_used : 0, rows[64];
    for (uint32_t first = begin, n; first < cell->may && cell->may > cell->from; first += n) {
        n = first == begin ? FR_MIN(cell->may - begin, FR_SIEVE_BLOCK) : judge_block(scan, cell, first);
        scan->found += cell->matches;
        for (uint32_t i = 0; i < n; i += 64) {
            uint32_t count = 0;
            uint64_t bits = cell->bits[i / 64];
            if (bits == 0) continue;
            if (!keep) bits = near_of_group(scan, cell, (first + i) / 64, bits);
            for (; bits != 0; bits &= bits - 1) rows[count++] = cell->rows[first + i + (uint32_t)__builtin_ctzll(bits)];
            if (keep) memcpy(kept->ids + used, rows, count * sizeof *rows), used += count;
            take_rows(scan, rows, count);
        }
    }
    if (keep) *of = (fr_kept_cell){kept->ids_used, used - kept->ids_used, cell->may}, kept->ids_used = used;
    else if (list) kept->cells = 0; /* full of lists made anew: begun again by the next search */
}

static void cell_send_for(const cell_scan *scan, uint32_t which)
{
    const fr_sieve *sieve = scan->run->s->sieve;
    const fr_kept_cell *list = scan->kept != NULL ? &scan->kept->of[which] : NULL;
    if (list != NULL && list->upto != 0) {
        for (uint32_t i = 0; i < FR_MIN(list->count, 256u); i += 16) __builtin_prefetch(scan->kept->ids + list->at + i);
        return;
    }
    for (uint32_t l = 0; l < sieve->leaf_count; l++) {
        const fr_cell_codes *of = &scan->columns[l]->of[which];
        const uint8_t *codes = atomic_load_explicit(&of->codes, memory_order_relaxed);
        uint32_t size = FR_MIN(atomic_load_explicit(&of->count, memory_order_relaxed) << scan->columns[l]->wide, 1024u);
        for (uint32_t i = 0; i < size; i += 64) __builtin_prefetch(codes + i);
    }
}

static fr_candidate pop(fr_candidate *heap, uint32_t *left)
{
    fr_candidate first = heap[0];
    heap[0] = heap[--*left];
    if (*left != 0) sink(heap, *left, 0);
    return first;
}

/* Cells of `distances` that are nearer than `limit`. */
static uint32_t nearer(const float *distances, uint32_t count, float limit)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++) n += distances[i] < limit;
    return n;
}

/* Documents are misses, and of the rows that are near for a while most are not near in the end: they are asked of what the pool holds then,
 * where a sample of documents says how many more than k it must hold. */
static void defer_documents(fr_run *run, cell_scan *scan)
{
    double more = run->passing > 0 ? DEFER_MORE / run->passing : 0;
    double want = ceil(run->rerank * more) + DEFER_LEAST;
    run->deferred = run->passing >= DEFER_FROM && want <= run->s->pool_capacity;
    if (!run->deferred) return;
    scan->enough = (uint32_t)ceil(scan->enough * more);
    run->rerank = (uint32_t)want;
}

void fr_run_scan_cells(fr_run *run, const fr_cell_view *view, double part)
{
    const fr_cells *c = view->cells;
    fr_candidate heap[FR_CELLS_MAX];
    fr_candidate order[AHEAD];
    float others[FR_CELLS_MAX]; /* the distances of cells without a match: they are gone past */
    uint32_t k = run->query->k, at = 0, popped = 0, rows = run->s->row_limit, all = measure_cells(run, c, heap), left = 0, other_count = 0;
    cell_scan scan; /* large: not cleared */
    scan.run = run;
    scan.cells = c;
    scan.columns = view->columns;
    scan.differing = fr_simd_kernel(FR_SIMD_HAMMING, FR_SCALAR_BIT);
    scan.kept = fr_kept_fit_cells(run->verdicts, c->serial, c->count, run->match_count) ? run->verdicts : NULL;
    for (uint32_t i = 0; i < all; i++) {
        if (may_hold(view, i)) heap[left++] = heap[i];
        else others[other_count++] = heap[i].distance;
    }
    order_heap(heap, left);
    uint64_t tested = 0, past = 0, better_at = 0; /* past: rows of cells gone past. The k nearest became others when better_at were measured */
    uint64_t test = (uint64_t)(part * rows), measure = (uint64_t)(part * (double)run->match_count);
    float worst = INFINITY;
    const uint32_t rerank = run->rerank;
    if (run->space.code_query.exact) run->rerank = k; /* nothing is ordered anew behind it */
    scan.enough = k;
    defer_documents(run, &scan);
    scan.count = scan.before = scan.size = 0;
    scan.found = scan.measured = scan.upto = 0;
    scan.turn = scan.unsketched = false;
    fr_sketch_ask(c->codes, c->signs, &run->space.code_query, (uint8_t *)(void *)run->s->vector, run->s->decoded, &scan.ask);
    judged_cell cells[2]; /* large: not cleared. One is judged, and its rows sent for, while the other's are taken */
    cells[1].may = 0;
    bool judged = false;
    while (tested + past < test || scan.found < measure || scan.found < better_at + better_at / 4 + 32 || scan.size < k) {
        for (; left != 0 && popped < at + AHEAD; popped++) {
            fr_candidate next = order[popped % AHEAD] = pop(heap, &left);
            __builtin_prefetch(&c->cells[next.row]);
            if (scan.kept != NULL) __builtin_prefetch(&scan.kept->of[next.row]);
            for (uint32_t l = 0; l < run->s->sieve->leaf_count; l++) __builtin_prefetch(&view->columns[l]->of[next.row]);
        }
        if (at == popped) break; /* that was all of them */
        if (at + 2 < popped) cell_send_for(&scan, order[(at + 2) % AHEAD].row);
        fr_candidate next = order[at % AHEAD];
        cell_judge(&scan, next, &cells[at % 2]);
        tested += cells[at % 2].entries;
        if (at % 4 == 0 && !judged) past = (uint64_t)rows * nearer(others, other_count, next.distance) / c->count;
        cell_take(&scan, &cells[++at % 2]);
        if (at % 4 == 0 && scan.found * rows > 2 * (tested + past) * run->match_count) /* more of them here than elsewhere: as of a wider filter */
            test = (uint64_t)(fr_cells_part(run->t, (double)scan.found / (double)(tested + past), run->ef) * rows);
        if (!judged && tested + past >= test) { /* the query's neighbourhood was gone through */
            judged = true;
            if (2 * scan.found < measure) /* the matches are elsewhere */
                measure = (uint64_t)(OPPOSED_PART * (double)run->match_count);
        }
        float now = scan.size >= scan.enough ? run->s->pool[scan.enough - 1].distance : INFINITY;
        if (now < worst) worst = now, better_at = scan.measured;
    }
    cell_take(&scan, &cells[(at + 1) % 2]);
    cell_flush(&scan);
    cell_flush(&scan);
    run->info->visited += at;
    if (scan.unsketched) wish_sketches(c);
    bool full = scan.size == run->rerank;
    fr_run_take(run, scan.size);
    if (run->found == k || !run->deferred || !full) return;
    run->passing = 0; /* fewer of them than the sample had said: each is asked when it is met */
    run->rerank = rerank;
    fr_run_scan_cells(run, view, part);
}
