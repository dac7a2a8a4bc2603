/* cells.c: see cells.h. Source: inverted lists as in IVF (Jegou and others 2011), probed in the order of their pivots; for filters as
 * the winners of NeurIPS'23's filter track did (ParlayIVF). Pivots are rows at random: k-means was not tried. */
#include "index/search_private.h"

#include <math.h>

#define STEP_ROWS 2048u /* of a step: a few milliseconds */
#define BATCH FR_SCAN_BATCH

static fr_cells *cells_of(const fr_table *t) { return atomic_load_explicit(&t->cells, memory_order_acquire); }

void fr_cells_free(fr_cells *c)
{
    if (c == NULL) return;
    for (uint32_t i = 0; i < c->count; i++) fr_free(FR_MEM_CODES, atomic_load_explicit(&c->cells[i].rows, memory_order_relaxed));
    if (c->pivots != NULL) fr_free_pages(FR_MEM_CODES, c->pivots, c->pivots_size);
    fr_free(FR_MEM_CODES, c->constants);
    fr_free(FR_MEM_CODES, c);
}

static void destroy(void *cells) { fr_cells_free(cells); }

static uint64_t bytes_of(const fr_cells *c)
{
    if (c == NULL) return 0;
    uint64_t bytes = sizeof *c + c->count * (sizeof(fr_cell) + sizeof(int32_t)) + c->pivots_size;
    for (uint32_t i = 0; i < c->count; i++) bytes += c->cells[i].capacity * sizeof(uint32_t);
    return bytes;
}

uint64_t fr_cells_bytes(const fr_table *t) { return bytes_of(cells_of(t)) + bytes_of(t->cells_building); }

/* ==== making them ==== */

/* Rows at random, one of each equal part of the table, that are alive. */
static fr_cells *create(const fr_table *t)
{
    const fr_codeset *codes = fr_codes_of(t);
    uint32_t rows = atomic_load_explicit(&t->row_count, memory_order_relaxed);
    uint32_t want = (uint32_t)FR_MIN((uint64_t)FR_CELLS_MAX, t->live / FR_CELL_ROWS + 1);
    fr_cells *c = fr_zalloc(FR_MEM_CODES, sizeof *c + want * sizeof(fr_cell));
    if (c == NULL) return NULL;
    static _Atomic uint64_t serials;
    c->serial = atomic_fetch_add(&serials, 1) + 1;
    c->codes = codes;
    c->rows_then = t->live;
    c->pivots_size = (size_t)want * codes->padded;
    c->pivots = fr_alloc_pages(FR_MEM_CODES, c->pivots_size);
    c->constants = fr_alloc(FR_MEM_CODES, want * sizeof(int32_t));
    if (c->pivots == NULL || c->constants == NULL) {
        fr_cells_free(c);
        return NULL;
    }
    for (uint64_t i = 0; i < want; i++) {
        uint64_t from = rows * i / want, to = rows * (i + 1) / want;
        uint32_t row = (uint32_t)(from + fr_mix64(t->options.seed ^ i) % (to - from));
        if (!fr_row_alive(fr_row_at(t, row))) continue;
        memcpy(c->pivots + (size_t)c->count * codes->padded, fr_extent_at(&codes->code, row), codes->padded);
        c->constants[c->count++] = fr_codeset_constant(codes, row);
    }
    return c;
}

static uint32_t nearest_pivot(const fr_cells *c, uint32_t row)
{
    _Alignas(64) int8_t q[FR_DIMENSION_MAX];
    fr_code_query query = {.q = q};
    float found[BATCH], best = INFINITY;
    uint32_t at = 0;
    fr_codeset_query_row(c->codes, row, &query);
    for (uint32_t first = 0; first < c->count; first += BATCH) {
        uint32_t n = FR_MIN(BATCH, c->count - first);
        fr_codeset_distances_of(c->codes, &query, c->pivots + (size_t)first * c->codes->padded, c->constants + first, n, found);
        for (uint32_t i = 0; i < n; i++)
            if (found[i] < best) best = found[i], at = first + i;
    }
    return at;
}

static bool add(fr_table *t, fr_cells *c, uint32_t row)
{
    fr_cell *cell = &c->cells[nearest_pivot(c, row)];
    uint32_t count = atomic_load_explicit(&cell->count, memory_order_relaxed);
    uint32_t *rows = atomic_load_explicit(&cell->rows, memory_order_relaxed);
    if (count == cell->capacity) {
        uint32_t capacity = FR_MAX(64u, cell->capacity + cell->capacity / 2);
        uint32_t *grown = fr_retired_reserve(&t->retired, 1) ? fr_alloc(FR_MEM_CODES, capacity * sizeof *grown) : NULL;
        if (grown == NULL) return false;
        if (count != 0) memcpy(grown, rows, count * sizeof *grown);
        atomic_store_explicit(&cell->rows, grown, memory_order_release);
        if (rows != NULL) fr_retired_push(&t->retired, FR_MEM_CODES, rows, 0);
        cell->capacity = capacity;
        rows = grown;
    }
    rows[count] = row;
    atomic_store_explicit(&c->entries, atomic_load_explicit(&c->entries, memory_order_relaxed) + 1, memory_order_relaxed);
    atomic_store_explicit(&cell->count, count + 1, memory_order_release); /* who sees it sees the sum */
    return true;
}

void fr_cells_put(fr_table *t, uint32_t row)
{
    fr_cells *c = cells_of(t), *b = t->cells_building;
    if (c != NULL && !atomic_load_explicit(&c->broken, memory_order_relaxed)) {
        bool fine = c->codes == fr_codes_of(t) && add(t, c, row);
        if (!fine) atomic_store_explicit(&c->broken, true, memory_order_release);
    }
    if (b == NULL || row > b->covered) return; /* later ones come with the filling */
    if (b->codes != fr_codes_of(t) || !add(t, b, row)) b->broken = true;
    else if (row == b->covered) b->covered++;
}

/* Fourfold rows, or as many entries in vain as rows: they are made anew. */
static bool worn(const fr_table *t, const fr_cells *c)
{
    return atomic_load_explicit(&c->broken, memory_order_relaxed) || c->codes != fr_codes_of(t) || t->live > 4 * c->rows_then ||
           atomic_load_explicit(&c->entries, memory_order_relaxed) > 2 * t->live + c->rows_then;
}

bool fr_cells_wait(const fr_table *t)
{
    return t->cells_building != NULL ||
           (atomic_load_explicit(&t->cells_wished, memory_order_relaxed) && t->live >= t->cells_from && (cells_of(t) == NULL || worn(t, cells_of(t))));
}

static void now_whole(fr_cells *c)
{
    atomic_store_explicit(&c->whole, atomic_load_explicit(&c->entries, memory_order_relaxed), memory_order_release);
}

void fr_cells_whole(fr_table *t)
{
    if (cells_of(t) != NULL) now_whole(cells_of(t));
}

static void publish(fr_table *t, fr_cells *c)
{
    fr_cells *old = cells_of(t);
    if (old != NULL && !fr_retired_reserve(&t->retired, 1)) return;
    now_whole(c);
    atomic_store_explicit(&t->cells, c, memory_order_release);
    t->cells_building = NULL;
    if (old != NULL) fr_retired_push_object(&t->retired, old, destroy);
}

void fr_cells_step(fr_table *t)
{
    if (!fr_cells_wait(t)) return;
    const fr_codeset *codes = fr_codes_of(t);
    fr_cells *b = t->cells_building;
    if (b != NULL && (b->broken || b->codes != codes)) {
        fr_cells_free(b); /* no searcher has seen it */
        t->cells_building = b = NULL;
        atomic_store_explicit(&t->cells_wished, false, memory_order_relaxed); /* the next filter wishes again */
        return;
    }
    if (b == NULL) {
        if (codes->kind != FR_CODE_NONE && codes->kind != FR_CODE_BIT) t->cells_building = create(t);
        if (t->cells_building == NULL || t->cells_building->count == 0) atomic_store_explicit(&t->cells_wished, false, memory_order_relaxed);
        return;
    }
    uint32_t rows = atomic_load_explicit(&t->row_count, memory_order_relaxed), stop = FR_MIN(rows, b->covered + STEP_ROWS);
    for (; b->covered < stop; b->covered++) {
        bool free = atomic_load_explicit(&fr_row_at(t, b->covered)->birth, memory_order_relaxed) == FR_NEVER;
        if (!free && !add(t, b, b->covered)) {
            b->broken = true;
            return;
        }
    }
    if (b->covered >= rows) publish(t, b);
}

/* ==== searching ==== */

const fr_cells *fr_run_cells(const fr_run *run)
{
    const fr_table *t = run->t;
    const fr_cells *c = cells_of(t);
    bool usable = c != NULL && c->codes == run->space.codes && !atomic_load_explicit(&c->broken, memory_order_acquire);
    if (!usable && t->live >= t->cells_from && !atomic_load_explicit(&t->cells_wished, memory_order_relaxed))
        atomic_store_explicit((_Atomic bool *)(uintptr_t)&t->cells_wished, true, memory_order_relaxed);
    return usable ? c : NULL;
}

void fr_run_look_at_cells(fr_run *run)
{
    run->cells_then = cells_of(run->t);
    if (run->cells_then != NULL) run->whole_then = atomic_load_explicit(&run->cells_then->whole, memory_order_acquire);
}

/* The share of all rows, and of those that pass, that is looked at: measured with 1,024 pivots on photosift1m for recall 0.96 to 0.97 at
 * ef 96, from shares of 30 % down to 1 %. */
double fr_cells_part(double share, uint32_t ef) { return fmin(1, 0.036 * pow(fmax(share, 1e-4), -0.23) * pow(ef / 96.0, 0.7)); }

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

static uint32_t order_cells(const fr_run *run, const fr_cells *c, fr_candidate *heap)
{
    float found[BATCH];
    for (uint32_t first = 0; first < c->count; first += BATCH) {
        uint32_t n = FR_MIN(BATCH, c->count - first);
        fr_codeset_distances_of(c->codes, &run->space.code_query, c->pivots + (size_t)first * c->codes->padded, c->constants + first, n, found);
        for (uint32_t i = 0; i < n; i++) heap[first + i] = (fr_candidate){found[i], first + i};
    }
    run->info->distances += c->count;
    for (uint32_t i = c->count / 2; i > 0; i--) sink(heap, c->count, i - 1);
    return c->count;
}

#define RESIFTED 256u /* entries behind those that a kept list covers, from which on it is made anew */

typedef struct cell_scan {
    fr_run *run;
    uint32_t ids[2][2 * BATCH + 16], count, before; /* those that gather, those that are measured next */
    uint32_t size;                                  /* of the pool */
    uint64_t found, measured;
    bool turn;
} cell_scan;

/* One batch is on its way from memory while the one before it is measured. */
static void cell_flush(cell_scan *scan)
{
    fr_run_measure(scan->run, scan->ids[!scan->turn], scan->before, &scan->size);
    scan->measured += scan->before;
    scan->before = scan->count;
    scan->count = 0;
    scan->turn = !scan->turn;
}

/* Those of the ids that match now. keep: they are written there, too. */
static uint32_t cell_take(cell_scan *scan, const uint32_t *ids, uint32_t count, uint32_t *keep)
{
    const fr_run *run = scan->run;
    uint32_t kept = 0;
    for (uint32_t at = 0; at < count; at += BATCH) {
        uint32_t *to = scan->ids[scan->turn] + scan->count;
        uint32_t n = fr_simd_sift(run->s->match, run->s->row_limit, ids + at, FR_MIN(BATCH, count - at), to);
        for (uint32_t i = 0; i < n; i++) fr_space_touch(run->space.codes, to[i]);
        if (keep != NULL) memcpy(keep + kept, to, n * sizeof *to);
        kept += n;
        scan->count += n;
        scan->found += n;
        if (scan->count >= BATCH) cell_flush(scan);
    }
    return kept;
}

/* A cell's rows that match: by its kept list and what came behind it, or by all its entries. A list covers no entry whose row may have
 * come after the bits were made, or lie beyond row_limit: it could match the next time. */
static uint32_t cell_visit(cell_scan *scan, const fr_cells *c, fr_kept *kept, uint32_t which)
{
    const fr_cell *cell = &c->cells[which];
    uint32_t count = atomic_load_explicit(&cell->count, memory_order_acquire);
    uint64_t young = atomic_load_explicit(&c->entries, memory_order_relaxed) - scan->run->whole_then;
    const uint32_t *rows = atomic_load_explicit(&cell->rows, memory_order_acquire);
    fr_kept_cell *of = kept != NULL ? &kept->of[which] : NULL;
    if (of != NULL && of->upto != 0 && count - of->upto <= RESIFTED) {
        cell_take(scan, kept->ids + of->at, of->count, NULL);
        cell_take(scan, rows + of->upto, count - of->upto, NULL);
        return count;
    }
    if (of != NULL && kept->ids_room - kept->ids_used >= count) { /* more than what it needs: where there is not so much, it is done without */
        of->at = kept->ids_used;
        of->upto = count - (uint32_t)FR_MIN(young, (uint64_t)count);
        of->count = cell_take(scan, rows, of->upto, kept->ids + of->at);
        kept->ids_used += of->count;
        cell_take(scan, rows + of->upto, count - of->upto, NULL);
    } else {
        cell_take(scan, rows, count, NULL);
        if (of != NULL) kept->cells = 0; /* full of lists made anew: begun again by the next search */
    }
    return count;
}

bool fr_run_scan_cells(fr_run *run, const fr_cells *c, double part)
{
    fr_candidate heap[FR_CELLS_MAX];
    uint32_t left = order_cells(run, c, heap), k = run->query->k;
    uint64_t tested = 0, better_at = 0; /* the k nearest became others when so many were measured */
    uint64_t test = (uint64_t)(part * run->s->row_limit), measure = (uint64_t)(part * (double)run->match_count);
    float worst = INFINITY;
    fr_kept *kept = c == run->cells_then && fr_kept_fit_cells(run->verdicts, c->serial, c->count) ? run->verdicts : NULL;
    cell_scan scan; /* large: not cleared */
    scan.run = run;
    scan.count = scan.before = scan.size = 0;
    scan.found = scan.measured = 0;
    scan.turn = false;
    bool here = false; /* the query's neighbourhood was gone through, and matches are there */
    while (left > 0 && (tested < test || scan.found < measure || scan.found < better_at + better_at / 4 + 32 || scan.size < k)) {
        uint32_t which = heap[0].row;
        heap[0] = heap[--left];
        if (left != 0) sink(heap, left, 0), __builtin_prefetch(&c->cells[heap[0].row]);
        if (left != 0 && kept != NULL) __builtin_prefetch(&kept->of[heap[0].row]);
        tested += cell_visit(&scan, c, kept, which);
        if (!here && tested >= test) {
            if (2 * scan.found < measure) return false;
            here = true;
        }
        float now = scan.size >= k ? run->s->pool[k - 1].distance : INFINITY;
        if (now < worst) worst = now, better_at = scan.measured;
    }
    cell_flush(&scan);
    cell_flush(&scan);
    run->info->visited += c->count - left;
    fr_run_take(run, scan.size);
    return true;
}
