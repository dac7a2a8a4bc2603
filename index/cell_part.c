/* cell_part.c: how large a part of the cells recall needs. It depends on the data and on how many rows there are (a table of 100,000 needs
 * a part three times that of a million, text ten times), so each table measures its own when its cells are made: rows of it are queries,
 * and where their nearest lie in the order of cells is counted. Of a filter that passes a share s the ten nearest are about a tenth of
 * the nearest 10 / s, one as likely as the other; so that many neighbours are asked for. */
#include "index/search_private.h"

#include <math.h>

#define QUERIES 128u
#define SAMPLE_BYTES (8u << 20) /* of codes that one query looks at among the near cells, and among the others: two milliseconds or three */
#define NEAR 0.125              /* of all entries: here one row stands for fewer than beyond, for the nearest of all lie here */
#define DEPTH_MIN 16u           /* neighbours of the first level; of each further one four times as many */
#define DEPTH_MAX (DEPTH_MIN << 2 * (FR_CELL_LEVELS - 1))
#define FOUND 0.97              /* of the neighbours. Searches find a little more: they do not stop while nearer rows come */
#define BEYOND 0.35             /* of deeper ones than were measured the part grows by this power: on photosift1m at a share of 0.1 % */
#define BINS FR_CELL_BINS
#define BATCH FR_SCAN_BATCH

typedef struct sampling {
    uint64_t near, far; /* one in so many entries is looked at; it counts for as many */
    uint32_t keep;
    fr_candidate *found; /* its row: the bin of its cell, and the highest bit where it was far */
} sampling;
#define FAR_BIT (1u << 31)

/* The nearest entries of those that are looked at, in the order of their distance. */
static uint32_t neighbours(const fr_table *t, const fr_cells *c, const fr_code_query *query, uint32_t self, const fr_candidate *order, const sampling *s)
{
    uint32_t ids[BATCH], bins[BATCH], count = 0, size = 0;
    const uint8_t *codes[BATCH];
    float distances[BATCH], worst = INFINITY;
    uint64_t before = 0, next = 0, border = (uint64_t)(NEAR * (double)c->entries);
    for (uint32_t i = 0; i < c->count; i++) {
        const fr_cell *cell = &c->cells[order[i].row];
        const uint32_t *rows = atomic_load_explicit(&cell->rows, memory_order_relaxed);
        uint64_t end = before + atomic_load_explicit(&cell->count, memory_order_relaxed);
        bool far = before >= border, last = i + 1 == c->count;
        uint32_t bin = FR_MIN((uint32_t)(sqrt((double)before / (double)c->entries) * BINS), BINS - 1) | (far ? FAR_BIT : 0);
        for (; next < end || (last && count != 0); next += far ? s->far : s->near) {
            if (next < end) {
                uint32_t row = rows[next - before];
                if (row == self || !fr_row_alive(fr_row_at(t, row))) continue;
                ids[count] = row, bins[count] = bin;
                codes[count++] = fr_space_touch(c->codes, row);
                if (count < BATCH) continue;
            }
            fr_codeset_distances(c->codes, query, ids, codes, count, distances);
            for (uint32_t j = 0; j < count; j++)
                if (distances[j] < worst) s->found[size++] = (fr_candidate){distances[j], bins[j]};
            count = 0;
            if (size <= 2 * s->keep) continue;
            fr_sort_candidates(s->found, size);
            size = s->keep, worst = s->found[size - 1].distance;
        }
        before = end;
    }
    fr_sort_candidates(s->found, size);
    return FR_MIN(size, s->keep);
}

static void measure_one(const fr_table *t, fr_cells *c, uint32_t row, fr_candidate *found)
{
    _Alignas(64) int8_t q[FR_DIMENSION_MAX];
    fr_candidate order[FR_CELLS_MAX];
    float distances[BATCH];
    fr_code_query query = {.q = q};
    fr_codeset_query_row(c->codes, row, &query);
    for (uint32_t first = 0; first < c->count; first += BATCH) {
        uint32_t n = FR_MIN(BATCH, c->count - first);
        fr_codeset_distances_of(c->codes, &query, c->pivots + (size_t)first * c->codes->padded, c->constants + first, n, distances);
        for (uint32_t i = 0; i < n; i++) order[first + i] = (fr_candidate){distances[i], first + i};
    }
    fr_sort_candidates(order, c->count);
    uint64_t bytes = c->entries * c->codes->padded;
    uint64_t near = (uint64_t)(NEAR * (double)bytes), far = bytes - near;
    sampling s = {.near = near / SAMPLE_BYTES + 1, .far = far / SAMPLE_BYTES + 1, .found = found};
    s.keep = (uint32_t)FR_MAX(DEPTH_MAX / s.near, 1u);
    uint32_t size = neighbours(t, c, &query, row, order, &s);
    uint64_t deep = 0;
    for (uint32_t i = 0, first = 0; i < size && first < FR_CELL_LEVELS; i++) {
        uint32_t bin = found[i].row & ~FAR_BIT, weight = (uint32_t)(found[i].row & FAR_BIT ? s.far : s.near);
        for (uint32_t level = first; level < FR_CELL_LEVELS; level++) c->seen[level][bin] += weight;
        for (deep += weight; first < FR_CELL_LEVELS && deep >= (DEPTH_MIN << 2 * first);) first++;
    }
}

/* The least part that holds FOUND of the neighbours. */
static float part_of(const uint32_t *seen)
{
    uint64_t all = 0, sum = 0;
    for (uint32_t i = 0; i < BINS; i++) all += seen[i];
    uint32_t bin = 0;
    while (bin + 1 < BINS && (double)(sum += seen[bin]) < FOUND * (double)all) bin++;
    double edge = (bin + 1.0) / BINS;
    return all == 0 ? 1 : (float)(edge * edge);
}

bool fr_cells_measure(const fr_table *t, fr_cells *c)
{
    uint32_t rows = atomic_load_explicit(&t->row_count, memory_order_relaxed);
    fr_candidate *found = fr_alloc(FR_MEM_CODES, (2 * DEPTH_MAX + 2 * BATCH) * sizeof *found);
    uint32_t row = (uint32_t)(fr_mix64(t->options.seed ^ 0x9a1full ^ (uint64_t)c->measured << 20) % rows);
    bool usable = fr_row_alive(fr_row_at(t, row)) && !fr_row_bare(fr_row_at(t, row)) && c->entries != 0;
    if (found != NULL && usable) measure_one(t, c, row, found);
    fr_free(FR_MEM_CODES, found);
    if (++c->measured < QUERIES) return false;
    for (uint32_t level = 0; level < FR_CELL_LEVELS; level++) c->part[level] = part_of(c->seen[level]);
    return true;
}

double fr_cells_part(const fr_table *t, double share, uint32_t ef)
{
    const fr_cells *c = atomic_load_explicit(&t->cells, memory_order_acquire);
    double depth = 10 / fmax(share, 1e-4), part;
    if (c != NULL) { /* a straight line between levels, both in logarithms */
        double level = fmin(fmax(log2(depth / DEPTH_MIN) / 2, 0), FR_CELL_LEVELS - 1), at = fmin(floor(level), FR_CELL_LEVELS - 2);
        float low = c->part[(uint32_t)at], high = c->part[(uint32_t)at + 1];
        part = low * pow(high / low, level - at) * pow(fmax(depth / DEPTH_MAX, 1), BEYOND);
    } else { /* a guess, for the cost of cells that nobody made: photosift1m's, by the square root of the rows */
        part = 0.028 * pow(10 / depth, -0.23) * sqrt(1e6 / (double)FR_MAX(atomic_load_explicit(&t->live, memory_order_relaxed), 1u));
    }
    return fmin(1, part * pow(ef / 96.0, ef < 96 ? 0.35 : 0.7)); /* a filtered search is to keep 0.95 where a plain one does */
}
