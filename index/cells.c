/* cells.c: see cells.h. Source: inverted lists as in IVF (Jegou and others 2011), probed in the order of their pivots; for filters as
 * the winners of NeurIPS'23's filter track did (ParlayIVF). Pivots are rows at random: k-means was not tried. */
#include "index/search_private.h"

#include <math.h>

#define STEP_ROWS 2048u  /* of a step: a few milliseconds */
#define STEP_CELLS 32u   /* whose codes of a column are copied in a step */
_Static_assert(FR_COLUMNS_MAX <= 32, "a bit each in `wished`");
#define BATCH FR_SCAN_BATCH

static fr_cells *cells_of(const fr_table *t) { return atomic_load_explicit(&t->cells, memory_order_acquire); }

static fr_cell_column *column_of(const fr_cells *c, uint32_t i) { return atomic_load_explicit(&c->columns[i], memory_order_acquire); }

static void free_column(void *column)
{
    fr_cell_column *k = column;
    for (uint32_t i = 0; k != NULL && i < k->cells; i++) fr_free(FR_MEM_CODES, atomic_load_explicit(&k->of[i].codes, memory_order_relaxed));
    fr_free(FR_MEM_CODES, k);
}

void fr_cells_free(fr_cells *c)
{
    if (c == NULL) return;
    for (uint32_t i = 0; i < FR_COLUMNS_MAX; i++) free_column(column_of(c, i));
    free_column(c->filling);
    for (uint32_t i = 0; i < c->count; i++) fr_free(FR_MEM_CODES, atomic_load_explicit(&c->cells[i].rows, memory_order_relaxed));
    if (c->pivots != NULL) fr_free_pages(FR_MEM_CODES, c->pivots, c->pivots_size);
    fr_free(FR_MEM_CODES, c->constants);
    fr_free(FR_MEM_CODES, c);
}

static void destroy(void *cells) { fr_cells_free(cells); }

static uint64_t bytes_of_column(const fr_cell_column *k)
{
    if (k == NULL) return 0;
    uint64_t bytes = sizeof *k + k->cells * sizeof k->of[0];
    for (uint32_t i = 0; i < k->cells; i++) bytes += (uint64_t)k->of[i].capacity << k->wide;
    return bytes;
}

static uint64_t bytes_of(const fr_cells *c)
{
    if (c == NULL) return 0;
    uint64_t copies = bytes_of_column(c->filling);
    for (uint32_t i = 0; i < FR_COLUMNS_MAX; i++) copies += bytes_of_column(column_of(c, i));
    uint64_t bytes = copies + sizeof *c + c->count * (sizeof(fr_cell) + sizeof(int32_t)) + c->pivots_size;
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
    if (c->count != 0) return c;
    fr_cells_free(c); /* chance named dead rows only: the next filter wishes again */
    return NULL;
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

/* Room for `count` entries, a multiple of 64. */
static bool fit_codes(fr_table *t, const fr_cell_column *k, fr_cell_codes *of, uint32_t count)
{
    if (count <= of->capacity) return true;
    uint32_t capacity = (FR_MAX(count, of->capacity + of->capacity / 4) + 63) / 64 * 64;
    uint8_t *old = atomic_load_explicit(&of->codes, memory_order_relaxed);
    uint8_t *grown = fr_retired_reserve(&t->retired, 1) ? fr_alloc_aligned(FR_MEM_CODES, 64, (size_t)capacity << k->wide) : NULL;
    if (grown == NULL) return false;
    size_t held = (size_t)of->capacity << k->wide;
    if (held != 0) memcpy(grown, old, held);
    memset(grown + held, 0, ((size_t)capacity << k->wide) - held);
    atomic_store_explicit(&of->codes, grown, memory_order_release);
    if (old != NULL) fr_retired_push(&t->retired, FR_MEM_CODES, old, 0);
    of->capacity = capacity;
    return true;
}

static void set_code(const fr_cell_column *k, fr_cell_codes *of, uint32_t at, uint32_t code)
{
    uint8_t *codes = atomic_load_explicit(&of->codes, memory_order_relaxed);
    if (k->wide) atomic_store_explicit((_Atomic uint16_t *)(void *)codes + at, (uint16_t)code, memory_order_relaxed);
    else atomic_store_explicit((_Atomic uint8_t *)codes + at, (uint8_t)code, memory_order_relaxed);
    uint64_t marks = atomic_load_explicit(&of->marks, memory_order_relaxed) | fr_code_mark(code);
    atomic_store_explicit(&of->marks, marks, memory_order_relaxed); /* before the count */
    atomic_store_explicit(&of->count, at + 1, memory_order_release);
}

/* The copy of a column gets the code of a cell's new entry. */
static void add_code(fr_table *t, fr_cell_column *k, uint32_t place, uint32_t which, uint32_t at, uint32_t row)
{
    const fr_column *column = atomic_load_explicit(&t->columns.at[place], memory_order_relaxed);
    if (which >= k->filled || atomic_load_explicit(&k->broken, memory_order_relaxed)) return;
    bool fine = column != NULL && column->serial == k->serial && fit_codes(t, k, &k->of[which], at + 1);
    if (fine) set_code(k, &k->of[which], at, fr_column_code(column, row));
    else atomic_store_explicit(&k->broken, true, memory_order_release);
}

static bool add(fr_table *t, fr_cells *c, uint32_t row)
{
    uint32_t which = nearest_pivot(c, row);
    fr_cell *cell = &c->cells[which];
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
    c->entries++;
    atomic_store_explicit(&cell->count, count + 1, memory_order_release); /* the copies of columns follow: who reads them goes by their counts */
    for (uint32_t i = 0; i < FR_COLUMNS_MAX; i++)
        if (column_of(c, i) != NULL) add_code(t, column_of(c, i), i, which, count, row);
    if (c->filling != NULL) add_code(t, c->filling, c->filling_at, which, count, row);
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
           c->entries > 2 * t->live + c->rows_then;
}

bool fr_cells_wait(const fr_table *t)
{
    const fr_cells *c = cells_of(t);
    if (t->cells_building != NULL) return true;
    if (c != NULL && !worn(t, c)) return c->filling != NULL || atomic_load_explicit(&c->wished, memory_order_relaxed) != 0;
    return atomic_load_explicit(&t->cells_wished, memory_order_relaxed) && t->live >= t->cells_from;
}

/* ==== copies of columns ==== */

/* The next column that was wished for and of which there is no good copy. */
static void begin_column(fr_table *t, fr_cells *c)
{
    uint32_t wished = atomic_exchange_explicit(&c->wished, 0, memory_order_relaxed);
    for (; wished != 0 && c->filling == NULL; wished &= wished - 1) {
        uint32_t i = (uint32_t)__builtin_ctz(wished);
        const fr_column *column = atomic_load_explicit(&t->columns.at[i], memory_order_relaxed);
        const fr_cell_column *held = column_of(c, i);
        if (column == NULL || (held != NULL && held->serial == column->serial && !atomic_load_explicit(&held->broken, memory_order_relaxed))) continue;
        fr_cell_column *k = fr_zalloc(FR_MEM_CODES, sizeof *k + c->count * sizeof k->of[0]);
        if (k == NULL) return; /* who wants it wishes again */
        k->serial = column->serial;
        k->wide = column->wide;
        k->cells = c->count;
        c->filling = k;
        c->filling_at = i;
    }
    if (wished != 0) atomic_fetch_or_explicit(&c->wished, wished, memory_order_relaxed);
}

static void fill_column(fr_table *t, fr_cells *c)
{
    fr_cell_column *k = c->filling;
    const fr_column *column = atomic_load_explicit(&t->columns.at[c->filling_at], memory_order_relaxed);
    bool fine = column != NULL && column->serial == k->serial && !atomic_load_explicit(&k->broken, memory_order_relaxed);
    for (uint32_t step = 0; step < STEP_CELLS && k->filled < k->cells && fine; step++, k->filled++) {
        const fr_cell *cell = &c->cells[k->filled];
        const uint32_t *rows = atomic_load_explicit(&cell->rows, memory_order_relaxed);
        uint32_t count = atomic_load_explicit(&cell->count, memory_order_relaxed);
        fine = fit_codes(t, k, &k->of[k->filled], count);
        for (uint32_t i = 0; i < count && fine; i++) set_code(k, &k->of[k->filled], i, fr_column_code(column, rows[i]));
    }
    if (fine && k->filled < k->cells) return;
    fr_cell_column *old = column_of(c, c->filling_at);
    if (old != NULL && !fr_retired_reserve(&t->retired, 1)) fine = false;
    c->filling = NULL;
    if (!fine) {
        free_column(k); /* no searcher has seen it */
        return;
    }
    atomic_store_explicit(&c->columns[c->filling_at], k, memory_order_release);
    if (old != NULL) fr_retired_push_object(&t->retired, old, free_column);
}

static void publish(fr_table *t, fr_cells *c)
{
    fr_cells *old = cells_of(t);
    if (old != NULL && !fr_retired_reserve(&t->retired, 1)) return;
    atomic_store_explicit(&t->cells, c, memory_order_release);
    t->cells_building = NULL;
    if (old != NULL) fr_retired_push_object(&t->retired, old, destroy);
}

void fr_cells_step(fr_table *t)
{
    if (!fr_cells_wait(t)) return;
    const fr_codeset *codes = fr_codes_of(t);
    fr_cells *b = t->cells_building, *c = cells_of(t);
    if (b == NULL && c != NULL && !worn(t, c)) {
        if (c->filling == NULL) begin_column(t, c);
        if (c->filling != NULL) fill_column(t, c);
        return;
    }
    if (b != NULL && (b->broken || b->codes != codes)) {
        fr_cells_free(b); /* no searcher has seen it */
        t->cells_building = b = NULL;
        atomic_store_explicit(&t->cells_wished, false, memory_order_relaxed); /* the next filter wishes again */
        return;
    }
    if (b == NULL) {
        if (codes->kind != FR_CODE_NONE && codes->kind != FR_CODE_BIT) t->cells_building = create(t);
        if (t->cells_building == NULL) atomic_store_explicit(&t->cells_wished, false, memory_order_relaxed);
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

/* The copies of the columns that the sieve asks: false, and wished for, when one is missing. */
static bool find_columns(const fr_run *run, const fr_cells *c, const fr_cell_column **found)
{
    const fr_sieve *sieve = run->s->sieve;
    uint32_t missing = 0;
    bool all = true;
    for (uint32_t l = 0; l < sieve->leaf_count; l++) {
        const fr_column *column = sieve->leaves[l].column;
        found[l] = NULL;
        for (uint32_t i = 0; i < FR_COLUMNS_MAX && found[l] == NULL; i++) {
            const fr_cell_column *k = column_of(c, i);
            if (k != NULL && k->serial == column->serial && !atomic_load_explicit(&k->broken, memory_order_acquire)) found[l] = k;
        }
        all &= found[l] != NULL;
        for (uint32_t i = 0; i < FR_COLUMNS_MAX && found[l] == NULL; i++)
            if (atomic_load_explicit(&run->t->columns.at[i], memory_order_relaxed) == column) missing |= 1u << i;
    }
    _Atomic uint32_t *wished = (_Atomic uint32_t *)(uintptr_t)&c->wished;
    if ((atomic_load_explicit(wished, memory_order_relaxed) & missing) != missing) atomic_fetch_or_explicit(wished, missing, memory_order_relaxed);
    return all;
}

const fr_cells *fr_run_cells(const fr_run *run, const fr_cell_column **columns)
{
    const fr_table *t = run->t;
    const fr_cells *c = cells_of(t);
    bool usable = c != NULL && c->codes == run->space.codes && !atomic_load_explicit(&c->broken, memory_order_acquire);
    if (!usable && t->live >= t->cells_from && !atomic_load_explicit(&t->cells_wished, memory_order_relaxed))
        atomic_store_explicit((_Atomic bool *)(uintptr_t)&t->cells_wished, true, memory_order_relaxed);
    return usable && find_columns(run, c, columns) ? c : NULL;
}

/* The share of all rows, and of those that pass, that is looked at: measured with 1,024 and 1,303 pivots on photosift1m for recall 0.96
 * to 0.97 at ef 96, from shares of 10 % down to 1 %. */
double fr_cells_part(double share, uint32_t ef)
{
    double wide = 0.036 * pow(fmax(share, 1e-4), -0.23) * pow(fmin(1, 0.03 / fmax(share, 1e-4)), 0.15);
    return fmin(1, wide * pow(ef / 96.0, 0.7));
}

/* Of the matches, where few of them lie near the query: the order of cells says less about far rows. Recall 0.91 with a quarter of
 * them, 0.953 with 0.35, 0.98 with a half (photosift1m, `opposed`). */
#define OPPOSED_PART 0.5

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

#define AHEAD 3u       /* cells that are on their way from memory */
#define BEHIND_MAX 256u /* entries behind those of a kept list, from which on it is made anew */

typedef struct cell_scan {
    fr_run *run;
    const fr_cells *cells;
    const fr_cell_column *const *columns; /* of the sieve's leaves */
    fr_kept *kept;                        /* lists of this filter; NULL: none */
    uint64_t marks[FR_SIEVE_LEAVES_MAX];
    uint32_t ids[2][2 * BATCH], count, before; /* those that gather, those that are measured next */
    uint32_t size;                             /* of the pool */
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

static void take_rows(cell_scan *scan, const uint32_t *rows, uint32_t count)
{
    const fr_run *run = scan->run;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = rows[i];
        if (row >= run->s->row_limit || !fr_taken(run->t, row)) continue; /* behind the test of its code: cells.h */
        fr_space_touch(run->space.codes, row);
        scan->ids[scan->turn][scan->count++] = row;
        scan->found++;
    }
    if (scan->count >= BATCH) cell_flush(scan);
}

static bool cell_may_pass(const cell_scan *scan, uint32_t which)
{
    const fr_sieve *sieve = scan->run->s->sieve;
    uint64_t leaves = 0;
    for (uint32_t l = 0; l < sieve->leaf_count; l++) {
        uint64_t marks = atomic_load_explicit(&scan->columns[l]->of[which].marks, memory_order_relaxed);
        leaves |= (uint64_t)((marks & scan->marks[l]) != 0) << l;
    }
    return fr_sieve_may_pass(sieve, sieve->root, leaves);
}

/* A cell whose entries are judged by their codes: those of its first block from `from` on; the rest is judged when they are taken. */
typedef struct judged_cell {
    const uint32_t *rows;
    const uint8_t *codes[FR_SIEVE_LEAVES_MAX];
    fr_kept_cell *of;               /* NULL: no list is kept */
    uint32_t entries, from, may;    /* those from `from` to `may` are judged; before stands the list */
    uint64_t bits[FR_SIEVE_BLOCK / 64];
} judged_cell;

/* Of the block that begins at `first`, a multiple of 64. */
static uint32_t judge_block(const cell_scan *scan, judged_cell *cell, uint32_t first)
{
    const fr_sieve *sieve = scan->run->s->sieve;
    const void *at[FR_SIEVE_LEAVES_MAX];
    uint32_t n = FR_MIN(cell->may - first, FR_SIEVE_BLOCK);
    for (uint32_t l = 0; l < sieve->leaf_count; l++) at[l] = cell->codes[l] + ((size_t)first << scan->columns[l]->wide);
    fr_sieve_list(sieve, at, n, cell->bits);
    if (first < cell->from) cell->bits[0] &= UINT64_MAX << (cell->from - first);
    return n;
}

static void cell_judge(const cell_scan *scan, uint32_t which, judged_cell *cell)
{
    const fr_cell *of = &scan->cells->cells[which];
    const fr_sieve *sieve = scan->run->s->sieve;
    cell->entries = atomic_load_explicit(&of->count, memory_order_acquire);
    for (uint32_t l = 0; l < sieve->leaf_count; l++) {
        const fr_cell_codes *held = &scan->columns[l]->of[which];
        cell->entries = FR_MIN(cell->entries, atomic_load_explicit(&held->count, memory_order_acquire));
        cell->codes[l] = atomic_load_explicit(&held->codes, memory_order_acquire);
    }
    cell->of = scan->kept != NULL ? &scan->kept->of[which] : NULL;
    cell->from = cell->of != NULL && cell->entries <= cell->of->upto + BEHIND_MAX ? FR_MIN(cell->of->upto, cell->entries) : 0;
    cell->may = cell_may_pass(scan, which) ? cell->entries : 0; /* marks are older than the counts */
    if (cell->may <= cell->from) return;
    cell->rows = atomic_load_explicit(&of->rows, memory_order_acquire);
    uint32_t first = cell->from & ~63u, n = judge_block(scan, cell, first);
    for (uint32_t i = 0; i < n; i += 16) /* a line of numbers */
        if (cell->bits[i / 64] >> i % 64 & 0xffff) __builtin_prefetch(cell->rows + first + i);
}

static void cell_take(cell_scan *scan, judged_cell *cell)
{
    if (cell->may == 0) return;
    fr_kept *kept = scan->kept;
    fr_kept_cell *of = kept != NULL ? cell->of : NULL;
    uint32_t listed = of != NULL && cell->from != 0 ? of->count : 0;
    for (uint32_t i = 0; i < listed; i += BATCH) take_rows(scan, kept->ids + of->at + i, FR_MIN(BATCH, listed - i));
    bool keep = of != NULL && cell->from == 0 && kept->ids_room - kept->ids_used >= cell->may; /* more than it needs; else it is done without */
    uint32_t begin = cell->from & ~63u, used = keep ? kept->ids_used : 0, rows[64];
    for (uint32_t first = begin, n; first < cell->may && cell->may > cell->from; first += n) {
        n = first == begin ? FR_MIN(cell->may - begin, FR_SIEVE_BLOCK) : judge_block(scan, cell, first);
        for (uint32_t i = 0; i < n; i += 64) {
            uint32_t count = 0;
            for (uint64_t bits = cell->bits[i / 64]; bits != 0; bits &= bits - 1) rows[count++] = cell->rows[first + i + (uint32_t)__builtin_ctzll(bits)];
            if (keep && count != 0) memcpy(kept->ids + used, rows, count * sizeof *rows), used += count;
            take_rows(scan, rows, count);
        }
    }
    if (keep) *of = (fr_kept_cell){kept->ids_used, used - kept->ids_used, cell->may}, kept->ids_used = used;
    else if (of != NULL && cell->from == 0) kept->cells = 0; /* full of lists made anew: begun again by the next search */
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

void fr_run_scan_cells(fr_run *run, const fr_cells *c, const fr_cell_column *const *columns, double part)
{
    fr_candidate heap[FR_CELLS_MAX];
    uint32_t order[AHEAD], k = run->query->k, at = 0, popped = 0;
    cell_scan scan; /* large: not cleared */
    scan.run = run;
    scan.cells = c;
    scan.columns = columns;
    scan.kept = fr_kept_fit_cells(run->verdicts, c->serial, c->count, run->match_count) ? run->verdicts : NULL;
    for (uint32_t l = 0; l < run->s->sieve->leaf_count; l++) scan.marks[l] = fr_sieve_leaf_marks(&run->s->sieve->leaves[l]);
    uint32_t left = measure_cells(run, c, heap);
    order_heap(heap, left);
    uint64_t tested = 0, better_at = 0; /* the k nearest became others when so many were measured */
    uint64_t test = (uint64_t)(part * run->s->row_limit), measure = (uint64_t)(part * (double)run->match_count);
    float worst = INFINITY;
    scan.count = scan.before = scan.size = 0;
    scan.found = scan.measured = 0;
    scan.turn = false;
    judged_cell cells[2]; /* large: not cleared. One is judged, and its rows sent for, while the other's are taken */
    cells[1].may = 0;
    bool judged = false;
    while (tested < test || scan.found < measure || scan.found < better_at + better_at / 4 + 32 || scan.size < k) {
        for (; left != 0 && popped < at + AHEAD; popped++) {
            uint32_t which = order[popped % AHEAD] = heap[0].row;
            heap[0] = heap[--left];
            if (left != 0) sink(heap, left, 0);
            __builtin_prefetch(&c->cells[which]);
            if (scan.kept != NULL) __builtin_prefetch(&scan.kept->of[which]);
            for (uint32_t l = 0; l < run->s->sieve->leaf_count; l++) __builtin_prefetch(&columns[l]->of[which]);
        }
        if (at == popped) break; /* that was all of them */
        if (at + 1 < popped) cell_send_for(&scan, order[(at + 1) % AHEAD]);
        cell_judge(&scan, order[at % AHEAD], &cells[at % 2]);
        tested += cells[at % 2].entries;
        cell_take(&scan, &cells[++at % 2]);
        if (!judged && tested >= test) { /* the query's neighbourhood was gone through */
            judged = true;
            if (2 * scan.found < measure) { /* the matches are elsewhere, perhaps in few cells */
                uint32_t may = 0;
                measure = (uint64_t)(OPPOSED_PART * (double)run->match_count);
                for (uint32_t i = 0; i < left; i++)
                    if (cell_may_pass(&scan, heap[i].row)) heap[may++] = heap[i];
                order_heap(heap, left = may);
            }
        }
        float now = scan.size >= k ? run->s->pool[k - 1].distance : INFINITY;
        if (now < worst) worst = now, better_at = scan.measured;
    }
    cell_take(&scan, &cells[(at + 1) % 2]);
    cell_flush(&scan);
    cell_flush(&scan);
    run->info->visited += at;
    fr_run_take(run, scan.size);
}
