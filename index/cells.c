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

static void free_column(void *column)
{
    fr_cell_column *k = column;
    for (uint32_t i = 0; k != NULL && i < k->cells; i++) fr_free(FR_MEM_CODES, atomic_load_explicit(&k->of[i].codes, memory_order_relaxed));
    if (k != NULL) fr_free(FR_MEM_CODES, k->marks);
    fr_free(FR_MEM_CODES, k);
}

void fr_cells_free(fr_cells *c)
{
    if (c == NULL) return;
    for (uint32_t i = 0; i < FR_COLUMNS_MAX; i++) free_column(fr_cells_column(c, i));
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
    fr_free(FR_MEM_CODES, c->halves);
    fr_free(FR_MEM_CODES, c);
}

static void destroy(void *cells) { fr_cells_free(cells); }

static uint64_t bytes_of_column(const fr_cell_column *k)
{
    if (k == NULL) return 0;
    uint64_t bytes = sizeof *k + k->cells * sizeof k->of[0] + (uint64_t)k->words * FR_MARKS * sizeof *k->marks;
    for (uint32_t i = 0; i < k->cells; i++) bytes += (uint64_t)k->of[i].capacity << k->wide;
    return bytes;
}

static uint64_t bytes_of(const fr_cells *c)
{
    if (c == NULL) return 0;
    uint64_t copies = bytes_of_column(c->filling);
    for (uint32_t i = 0; i < FR_COLUMNS_MAX; i++) copies += bytes_of_column(fr_cells_column(c, i));
    uint64_t bytes = copies + sizeof *c + c->count * (sizeof(fr_cell) + sizeof(int32_t)) + c->pivots_size;
    if (c->halves != NULL) bytes += c->count * sizeof *c->halves;
    if (c->sums != NULL) bytes += c->pivots_size * sizeof *c->sums + c->count * sizeof *c->members;
    for (uint32_t i = 0; i < c->count; i++) {
        const fr_sketch *sketch = fr_cell_sketch(&c->cells[i]);
        bytes += c->cells[i].capacity * sizeof(uint32_t) + (sketch != NULL ? fr_sketch_bytes(c->codes, sketch->count) : 0);
    }
    return bytes;
}

uint64_t fr_cells_bytes(const fr_table *t) { return bytes_of(cells_of(t)) + bytes_of(t->cells_building); }

/* ==== making them ==== */

static void measure_pivot(fr_cells *c, uint32_t which)
{
    const fr_codeset *codes = c->codes;
    const uint8_t *pivot = c->pivots + (size_t)which * codes->padded;
    int32_t zero = codes->kind == FR_CODE_U8 ? 0 : 128;
    int64_t square = 0;
    c->constants[which] = fr_codeset_constant_of(codes, pivot);
    for (uint32_t j = 0; j < codes->padded && c->halves != NULL; j++) square += (pivot[j] - zero) * (pivot[j] - zero);
    if (c->halves != NULL) c->halves[which] = (float)square * codes->scale * codes->scale / 2;
}

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
    bool ip = codes->metric == FR_METRIC_IP;
    c->sums = fr_zalloc(FR_MEM_CODES, c->pivots_size * sizeof *c->sums);
    c->members = fr_zalloc(FR_MEM_CODES, want * sizeof *c->members);
    c->halves = ip ? fr_alloc(FR_MEM_CODES, want * sizeof *c->halves) : NULL;
    bool trains = c->sums != NULL && c->members != NULL && (c->halves != NULL || !ip);
    if (c->pivots == NULL || c->constants == NULL || c->signs == NULL || c->room == NULL || !trains) {
        fr_cells_free(c);
        return NULL;
    }
    for (uint64_t i = 0; i < want; i++) {
        uint64_t from = rows * i / want, to = rows * (i + 1) / want;
        uint32_t row = (uint32_t)(from + fr_mix64(t->options.seed ^ i) % (to - from));
        if (!fr_row_alive(fr_row_at(t, row))) continue;
        memcpy(c->pivots + (size_t)c->count * codes->padded, fr_extent_at(&codes->code, row), codes->padded);
        measure_pivot(c, c->count++);
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
        for (uint32_t i = 0; i < n; i++) {
            float distance = c->halves != NULL ? found[i] + c->halves[first + i] : found[i];
            if (distance < best) best = distance, at = first + i;
        }
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
        measure_pivot(c, i);
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

static void set_code(fr_cell_column *k, uint32_t which, uint32_t at, uint32_t code)
{
    fr_cell_codes *of = &k->of[which];
    _Atomic uint64_t *marks = &k->marks[fr_code_mark(k->wide, code) * k->words + which / 64];
    uint8_t *codes = atomic_load_explicit(&of->codes, memory_order_relaxed);
    if (k->wide) atomic_store_explicit((_Atomic uint16_t *)(void *)codes + at, (uint16_t)code, memory_order_relaxed);
    else atomic_store_explicit((_Atomic uint8_t *)codes + at, (uint8_t)code, memory_order_relaxed);
    uint64_t held = atomic_load_explicit(marks, memory_order_relaxed);
    atomic_store_explicit(marks, held | 1ull << which % 64, memory_order_relaxed); /* before the row is published */
    atomic_store_explicit(&of->count, at + 1, memory_order_release);
}

/* The copy of a column gets the code of a cell's new entry. */
static void add_code(fr_table *t, fr_cell_column *k, uint32_t place, uint32_t which, uint32_t at, uint32_t row)
{
    const fr_column *column = atomic_load_explicit(&t->columns.at[place], memory_order_relaxed);
    if (which >= k->filled || atomic_load_explicit(&k->broken, memory_order_relaxed)) return;
    bool fine = column != NULL && column->serial == k->serial && fit_codes(t, k, &k->of[which], at + 1);
    if (fine) set_code(k, which, at, fr_column_code(column, row));
    else atomic_store_explicit(&k->broken, true, memory_order_release);
}

/* Of all entries that the cell has. Without memory what there is stays: entries behind it are measured without a look at their bits. */
static bool sketch_cell(fr_table *t, fr_cells *c, uint32_t which)
{
    fr_cell *cell = &c->cells[which];
    fr_sketch *old = fr_cell_sketch(cell);
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
        if (fr_cells_column(c, i) != NULL) add_code(t, fr_cells_column(c, i), i, which, count, row);
    if (c->filling != NULL) add_code(t, c->filling, c->filling_at, which, count, row);
    const fr_sketch *sketch = fr_cell_sketch(cell);
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
        const fr_cell_column *held = fr_cells_column(c, i);
        if (column == NULL || (held != NULL && held->serial == column->serial && !atomic_load_explicit(&held->broken, memory_order_relaxed))) continue;
        fr_cell_column *k = fr_zalloc(FR_MEM_CODES, sizeof *k + c->count * sizeof k->of[0]);
        if (k == NULL) return; /* who wants it wishes again */
        k->words = (c->count + 63) / 64;
        k->marks = fr_zalloc(FR_MEM_CODES, (size_t)k->words * FR_MARKS * sizeof *k->marks);
        if (k->marks == NULL) {
            fr_free(FR_MEM_CODES, k);
            return;
        }
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
        for (uint32_t i = 0; i < count && fine; i++) set_code(k, k->filled, i, fr_column_code(column, rows[i]));
    }
    if (fine && k->filled < k->cells) return;
    fr_cell_column *old = fr_cells_column(c, c->filling_at);
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
