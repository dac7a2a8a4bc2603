/* cells.c: see cells.h. Source: inverted lists as in IVF (Jegou and others 2011), probed in the order of their pivots; for filters as
 * the winners of NeurIPS'23's filter track did (ParlayIVF). Pivots are rows at random, moved by a little k-means. */
#include "index/search_private.h"

#include <math.h>

#define STEP_ROWS 2048u  /* of a step: a few milliseconds */
#define ROUNDS 4u        /* of k-means */
#define ROUND_ROWS 32u   /* of a round, for each pivot */
#define STEP_CELLS 32u   /* whose codes of a column are copied in a step */
#define STEP_SKETCHES 8u /* cells that are sketched in a step */
_Static_assert(FR_COLUMNS_MAX <= 32, "a bit each in `wished`");
#define BATCH FR_SCAN_BATCH

static fr_cells *cells_of(const fr_table *t) { return atomic_load_explicit(&t->cells, memory_order_acquire); }

static fr_sketch *sketch_of(const fr_cell *cell) { return atomic_load_explicit(&cell->sketch, memory_order_acquire); }

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
    for (uint32_t i = 0; i < c->count; i++) {
        fr_free(FR_MEM_CODES, atomic_load_explicit(&c->cells[i].rows, memory_order_relaxed));
        fr_free(FR_MEM_CODES, atomic_load_explicit(&c->cells[i].sketch, memory_order_relaxed));
    }
    fr_free(FR_MEM_CODES, c->sums);
    fr_free(FR_MEM_CODES, c->members);
    fr_free(FR_MEM_CODES, c->signs);
    fr_free(FR_MEM_CODES, c->room);
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
    if (c->sums != NULL) bytes += c->pivots_size * sizeof *c->sums + c->count * sizeof *c->members;
    for (uint32_t i = 0; i < c->count; i++) {
        const fr_sketch *sketch = sketch_of(&c->cells[i]);
        bytes += c->cells[i].capacity * sizeof(uint32_t) + (sketch != NULL ? fr_sketch_bytes(c->codes, sketch->count) : 0);
    }
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
    c->signs = fr_rotation_signs(codes->padded, t->options.seed);
    c->room = fr_alloc(FR_MEM_CODES, 2 * codes->padded * sizeof(float));
    c->round = codes->metric == FR_METRIC_IP ? ROUNDS : 0; /* a mean of rows is no middle there */
    c->sums = c->round == 0 ? fr_zalloc(FR_MEM_CODES, c->pivots_size * sizeof *c->sums) : NULL;
    c->members = c->round == 0 ? fr_zalloc(FR_MEM_CODES, want * sizeof *c->members) : NULL;
    bool trains = c->round != 0 || (c->sums != NULL && c->members != NULL);
    if (c->pivots == NULL || c->constants == NULL || c->signs == NULL || c->room == NULL || !trains) {
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

/* A step of k-means on a sample: its rows are added up at their nearest pivots; at its end each pivot becomes the mean of its rows. */
static void train_step(const fr_table *t, fr_cells *c)
{
    uint32_t rows = atomic_load_explicit(&t->row_count, memory_order_relaxed), padded = c->codes->padded, want = c->count * ROUND_ROWS;
    uint32_t stop = FR_MIN(want, c->sampled + STEP_ROWS);
    for (; c->sampled < stop; c->sampled++) {
        uint32_t row = (uint32_t)(fr_mix64(t->options.seed ^ ((uint64_t)c->round << 32 | c->sampled)) % rows);
        if (!fr_row_alive(fr_row_at(t, row)) || fr_row_bare(fr_row_at(t, row))) continue;
        uint32_t which = nearest_pivot(c, row), *sum = c->sums + (size_t)which * padded;
        const uint8_t *code = fr_extent_at(&c->codes->code, row);
        for (uint32_t j = 0; j < padded; j++) sum[j] += code[j];
        c->members[which]++;
    }
    if (c->sampled < want) return;
    for (uint32_t i = 0; i < c->count; i++) {
        uint8_t *pivot = c->pivots + (size_t)i * padded;
        uint32_t n = c->members[i];
        for (uint32_t j = 0; j < padded && n != 0; j++) pivot[j] = (uint8_t)((c->sums[(size_t)i * padded + j] + n / 2) / n);
        c->constants[i] = fr_codeset_constant_of(c->codes, pivot);
    }
    memset(c->sums, 0, c->pivots_size * sizeof *c->sums);
    memset(c->members, 0, c->count * sizeof *c->members);
    c->sampled = 0;
    c->round++;
    if (c->round < ROUNDS) return;
    fr_free(FR_MEM_CODES, c->sums);
    fr_free(FR_MEM_CODES, c->members);
    c->sums = c->members = NULL;
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

/* Of all entries that the cell has. Without memory what there is stays: entries behind it are measured without a look at their bits. */
static bool sketch_cell(fr_table *t, fr_cells *c, uint32_t which)
{
    fr_cell *cell = &c->cells[which];
    fr_sketch *old = sketch_of(cell);
    uint32_t count = atomic_load_explicit(&cell->count, memory_order_relaxed);
    if (count == 0) return true;
    if (old != NULL && !fr_retired_reserve(&t->retired, 1)) return false;
    fr_sketch *made = fr_sketch_make(c->codes, c->signs, c->pivots + (size_t)which * c->codes->padded, old,
                                     atomic_load_explicit(&cell->rows, memory_order_relaxed), count, c->room);
    if (made == NULL) return false;
    atomic_store_explicit(&cell->sketch, made, memory_order_release);
    if (old != NULL) fr_retired_push(&t->retired, FR_MEM_CODES, old, 0);
    return true;
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
    const fr_sketch *sketch = sketch_of(cell);
    bool behind = count + 1 >= (sketch != NULL ? sketch->count : 0) + FR_SKETCH_ROWS;
    if (behind && which < atomic_load_explicit(&c->sketched, memory_order_relaxed)) sketch_cell(t, c, which);
    return true;
}

void fr_cells_put(fr_table *t, uint32_t row)
{
    fr_cells *c = cells_of(t), *b = t->cells_building;
    if (c != NULL && !atomic_load_explicit(&c->broken, memory_order_relaxed)) {
        bool fine = c->codes == fr_codes_of(t) && add(t, c, row);
        if (!fine) atomic_store_explicit(&c->broken, true, memory_order_release);
    }
    if (b == NULL || b->round < ROUNDS || row > b->covered) return; /* later ones come with the filling */
    if (b->codes != fr_codes_of(t) || !add(t, b, row)) b->broken = true;
    else if (row == b->covered) b->covered++;
}

/* Fourfold rows, or as many entries in vain as rows: they are made anew. */
static bool worn(const fr_table *t, const fr_cells *c)
{
    return atomic_load_explicit(&c->broken, memory_order_relaxed) || c->codes != fr_codes_of(t) || t->live > 4 * c->rows_then ||
           c->entries > 2 * t->live + c->rows_then;
}

static bool wants_sketches(const fr_cells *c)
{
    return atomic_load_explicit(&c->sketched, memory_order_acquire) < c->count && atomic_load_explicit(&c->sketches_wished, memory_order_relaxed);
}

bool fr_cells_wait(const fr_table *t)
{
    const fr_cells *c = cells_of(t);
    if (t->cells_building != NULL) return true;
    if (c != NULL && !worn(t, c)) return c->filling != NULL || atomic_load_explicit(&c->wished, memory_order_relaxed) != 0 || wants_sketches(c);
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

static void fill_sketches(fr_table *t, fr_cells *c)
{
    uint32_t at = atomic_load_explicit(&c->sketched, memory_order_relaxed);
    for (uint32_t i = 0; i < STEP_SKETCHES && at < c->count; i++, at++) {
        if (sketch_cell(t, c, at)) continue;
        atomic_store_explicit(&c->sketches_wished, false, memory_order_relaxed); /* who wants them wishes again */
        break;
    }
    atomic_store_explicit(&c->sketched, at, memory_order_release);
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
        else if (wants_sketches(c)) fill_sketches(t, c);
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
    if (b->round < ROUNDS) {
        train_step(t, b);
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
    if (b->covered >= rows && fr_cells_measure(t, b)) publish(t, b);
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

static void wish_sketches(const fr_cells *c)
{
    if (!atomic_load_explicit(&c->sketches_wished, memory_order_relaxed))
        atomic_store_explicit((_Atomic bool *)(uintptr_t)&c->sketches_wished, true, memory_order_relaxed);
}

const fr_cells *fr_run_cells(const fr_run *run, const fr_cell_column **columns, bool sketches)
{
    const fr_table *t = run->t;
    const fr_cells *c = cells_of(t);
    bool usable = c != NULL && c->codes == run->space.codes && !atomic_load_explicit(&c->broken, memory_order_acquire);
    if (!usable && t->live >= t->cells_from && !atomic_load_explicit(&t->cells_wished, memory_order_relaxed))
        atomic_store_explicit((_Atomic bool *)(uintptr_t)&t->cells_wished, true, memory_order_relaxed);
    if (!usable) return NULL;
    bool found = find_columns(run, c, columns);
    if (!sketches || atomic_load_explicit(&c->sketched, memory_order_acquire) == c->count) return found ? c : NULL;
    wish_sketches(c);
    return NULL;
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

#define AHEAD 6u       /* cells that are on their way from memory: their heads; the codes of the next but one */
#define GROUPS_AHEAD 3u
#define BEHIND_MAX 256u /* entries behind those of a kept list, from which on it is made anew */

typedef struct cell_scan {
    fr_run *run;
    const fr_cells *cells;
    const fr_cell_column *const *columns; /* of the sieve's leaves */
    fr_kept *kept;                        /* lists of this filter; NULL: none */
    uint64_t marks[FR_SIEVE_LEAVES_MAX];
    uint32_t ids[2][2 * BATCH], count, before; /* those that gather, those that are measured next */
    uint64_t upto;                             /* of found, when the latter were gathered */
    uint32_t size;                             /* of the pool */
    uint64_t found, measured;                  /* matches; those of them that were measured or need not be */
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

/* The leaves of the sieve that some entry of the cell may pass, a bit each. */
static uint64_t leaves_of(const cell_scan *scan, uint32_t which)
{
    const fr_sieve *sieve = scan->run->s->sieve;
    uint64_t leaves = 0;
    for (uint32_t l = 0; l < sieve->leaf_count; l++) {
        uint64_t marks = atomic_load_explicit(&scan->columns[l]->of[which].marks, memory_order_relaxed);
        leaves |= (uint64_t)((marks & scan->marks[l]) != 0) << l;
    }
    return leaves;
}

static bool cell_may_pass(const cell_scan *scan, uint32_t which)
{
    const fr_sieve *sieve = scan->run->s->sieve;
    return fr_sieve_may_pass(sieve, sieve->root, leaves_of(scan, which));
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
    cell->sketch = sketch_of(of);
    cell->at_pivot = next.distance;
    cell->dense = false;
    cell->of = scan->kept != NULL ? &scan->kept->of[which] : NULL;
    cell->from = cell->of != NULL && cell->entries <= cell->of->upto + BEHIND_MAX ? FR_MIN(cell->of->upto, cell->entries) : 0;
    cell->may = cell_may_pass(scan, which) ? cell->entries : 0; /* marks are older than the counts */
    if (cell->may <= cell->from) return;
    cell->rows = atomic_load_explicit(&of->rows, memory_order_acquire);
    uint32_t first = cell->from & ~63u, n = judge_block(scan, cell, first);
    uint32_t matches = 0;
    for (uint32_t i = 0; i < n; i += 16) /* a line of numbers */
        if (cell->bits[i / 64] >> i % 64 & 0xffff) __builtin_prefetch(cell->rows + first + i);
    for (uint32_t i = 0; i < n; i += 64) matches += (uint32_t)__builtin_popcountll(cell->bits[i / 64]);
    cell->dense = cell->sketch != NULL && matches * FR_SKETCH_ROWS >= n * FR_SKETCH_LEAST;
    for (uint32_t i = 0; i < GROUPS_AHEAD && cell->dense; i++) send_for_group(scan, cell, first / FR_SKETCH_ROWS + i);
}

/* Of a group's entries that pass: those that may be nearer than the k nearest so far. */
static uint64_t near_of_group(cell_scan *scan, const judged_cell *cell, uint32_t group, uint64_t bits)
{
    const fr_sketch *sketch = cell->sketch;
    if ((uint32_t)__builtin_popcountll(bits) < FR_SKETCH_LEAST) return bits;
    scan->unsketched |= sketch == NULL;
    if (!cell->dense || sketch == NULL || group * FR_SKETCH_ROWS >= sketch->count) return bits;
    uint32_t there = sketch->count - group * FR_SKETCH_ROWS; /* later entries have no bits yet */
    uint64_t behind = there < FR_SKETCH_ROWS ? UINT64_MAX << there : 0;
    const fr_run *run = scan->run;
    uint32_t least = run->space.code_query.exact ? run->query->k : FR_MIN(2 * run->query->k, run->rerank); /* codes err: more than k are compared exactly */
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
        for (uint32_t i = 0; i < n; i += 64) {
            uint32_t count = 0;
            uint64_t bits = cell->bits[i / 64];
            if (bits == 0) continue;
            scan->found += (uint32_t)__builtin_popcountll(bits);
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

/* A bit for each cell that may hold a match, in the order in which their marks lie in memory. */
static void mark_cells(const cell_scan *scan, uint64_t *may)
{
    const fr_sieve *sieve = scan->run->s->sieve;
    uint64_t all = (1ull << sieve->leaf_count) - 1;
    bool of_none = fr_sieve_may_pass(sieve, sieve->root, 0), of_all = fr_sieve_may_pass(sieve, sieve->root, all);
    memset(may, 0, FR_CELLS_MAX / 8);
    for (uint32_t i = 0; i < scan->cells->count; i++) {
        uint64_t leaves = leaves_of(scan, i);
        bool passes = leaves == 0 ? of_none : leaves == all ? of_all : fr_sieve_may_pass(sieve, sieve->root, leaves);
        may[i / 64] |= (uint64_t)passes << i % 64;
    }
}

static fr_candidate pop(fr_candidate *heap, uint32_t *left)
{
    fr_candidate first = heap[0];
    heap[0] = heap[--*left];
    if (*left != 0) sink(heap, *left, 0);
    return first;
}

void fr_run_scan_cells(fr_run *run, const fr_cells *c, const fr_cell_column *const *columns, double part)
{
    fr_candidate heap[FR_CELLS_MAX];
    fr_candidate order[AHEAD];
    uint32_t k = run->query->k, at = 0, popped = 0, rows = run->s->row_limit;
    cell_scan scan; /* large: not cleared */
    scan.run = run;
    scan.cells = c;
    scan.columns = columns;
    scan.kept = fr_kept_fit_cells(run->verdicts, c->serial, c->count, run->match_count) ? run->verdicts : NULL;
    for (uint32_t l = 0; l < run->s->sieve->leaf_count; l++) scan.marks[l] = fr_sieve_leaf_marks(&run->s->sieve->leaves[l]);
    uint32_t left = measure_cells(run, c, heap);
    order_heap(heap, left);
    uint64_t tested = 0, better_at = 0; /* the k nearest became others when so many were measured */
    uint64_t test = (uint64_t)(part * rows), measure = (uint64_t)(part * (double)run->match_count);
    float worst = INFINITY;
    scan.count = scan.before = scan.size = 0;
    scan.found = scan.measured = scan.upto = 0;
    scan.turn = scan.unsketched = false;
    fr_sketch_ask(c->codes, c->signs, &run->space.code_query, (uint8_t *)(void *)run->s->vector, run->s->decoded, &scan.ask);
    judged_cell cells[2]; /* large: not cleared. One is judged, and its rows sent for, while the other's are taken */
    cells[1].may = 0;
    bool judged = false;
    while (tested < test || scan.found < measure || scan.found < better_at + better_at / 4 + 32 || scan.size < k) {
        for (; left != 0 && popped < at + AHEAD; popped++) {
            fr_candidate next = order[popped % AHEAD] = pop(heap, &left);
            __builtin_prefetch(&c->cells[next.row]);
            if (scan.kept != NULL) __builtin_prefetch(&scan.kept->of[next.row]);
            for (uint32_t l = 0; l < run->s->sieve->leaf_count; l++) __builtin_prefetch(&columns[l]->of[next.row]);
        }
        if (at == popped) break; /* that was all of them */
        if (at + 2 < popped) cell_send_for(&scan, order[(at + 2) % AHEAD].row);
        cell_judge(&scan, order[at % AHEAD], &cells[at % 2]);
        tested += cells[at % 2].entries;
        cell_take(&scan, &cells[++at % 2]);
        if (at % 4 == 0 && scan.found * rows > 2 * tested * run->match_count) /* more of them here than elsewhere: as of a wider filter */
            test = (uint64_t)(fr_cells_part(run->t, (double)scan.found / (double)tested, run->ef) * rows);
        if (!judged && tested >= test) { /* the query's neighbourhood was gone through */
            judged = true;
            if (2 * scan.found < measure) { /* the matches are elsewhere, perhaps in few cells */
                uint64_t may[FR_CELLS_MAX / 64];
                uint32_t held = 0;
                mark_cells(&scan, may);
                measure = (uint64_t)(OPPOSED_PART * (double)run->match_count);
                for (uint32_t i = 0; i < left; i++)
                    if (may[heap[i].row / 64] >> heap[i].row % 64 & 1) heap[held++] = heap[i];
                order_heap(heap, left = held);
            }
        }
        float now = scan.size >= k ? run->s->pool[k - 1].distance : INFINITY;
        if (now < worst) worst = now, better_at = scan.measured;
    }
    cell_take(&scan, &cells[(at + 1) % 2]);
    cell_flush(&scan);
    cell_flush(&scan);
    run->info->visited += at;
    if (scan.unsketched) wish_sketches(c);
    fr_run_take(run, scan.size);
}
