/* fresh.c: see fresh.h. Sealing is the applier's; looking is any searcher's, inside an epoch.
 *
 * With o the rotated row less the centre, q the query so, s the signs of o (D of them): x = sum |o| / (sqrt(D) |o|) is the cosine of o
 * and s, and <o, q> is estimated by |o| <s, q> / (sqrt(D) x), without bias; the error has the standard deviation
 * |o| |q| sqrt(1 - x^2) / (x sqrt(D - 1)). The query's values are rounded to 5 bits, which adds a little. */
#include "index/fresh.h"

#include "index/table_private.h"

#include <math.h>

#define RING_LEAST 64u
#define RING_KEPT  4096u             /* a ring of more places is given back once it is empty */

_Static_assert(4 * FR_FRESH_LEVELS <= FR_SIGN_TABLE_MAX, "as fr_simd_signs_below wants it");
_Static_assert(4 * FR_FRESH_FEWER <= FR_SIGN_NEAR_MAX && FR_BLOCK_ROWS % FR_SIGN_ROWS == 0, "as fr_simd_signs_near wants it");

static uint32_t padded_of(const fr_table *t) { return (t->options.dimension + 63) / 64 * 64; }

void fr_fresh_enter(const fr_table *t, const float *vector, float *rotated)
{
    uint32_t dimension = t->options.dimension, padded = padded_of(t);
    double square = t->options.metric == FR_METRIC_COSINE ? fr_simd_norm_squared(vector, dimension) : 1.0;
    float norm = square > 0 ? (float)(1.0 / sqrt(square)) : 0.0f;
    for (uint32_t j = 0; j < dimension; j++) rotated[j] = vector[j] * norm;
    memset(rotated + dimension, 0, (padded - dimension) * sizeof(float));
    fr_rotate(t->fresh.signs, padded, rotated);
}

/* ==== the ring ==== */

static bool resize_ring(fr_table *t, uint32_t size)
{
    fr_ring *ring = atomic_load_explicit(&t->ring, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&t->ring_tail, memory_order_relaxed), low = atomic_load_explicit(&t->ring_low, memory_order_acquire);
    if (!fr_retired_reserve(&t->retired, 1)) return false;
    fr_ring *fresh = fr_zalloc(FR_MEM_LINKS, sizeof *fresh + size * sizeof(uint32_t));
    if (fresh == NULL) return false;
    fresh->mask = size - 1;
    fr_spin_lock(&t->list_lock); /* linkers set done marks under it */
    for (uint64_t i = low; i < tail; i++)
        atomic_store_explicit(&fresh->rows[i & fresh->mask], atomic_load(&ring->rows[i & ring->mask]), memory_order_relaxed);
    atomic_store_explicit(&t->ring, fresh, memory_order_release);
    fr_spin_unlock(&t->list_lock);
    if (ring != NULL) fr_retired_push(&t->retired, FR_MEM_LINKS, ring, 0);
    return true;
}

bool fr_ring_reserve(fr_table *t)
{
    fr_ring *ring = atomic_load_explicit(&t->ring, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&t->ring_tail, memory_order_relaxed);
    uint64_t low = atomic_load_explicit(&t->ring_low, memory_order_acquire);
    if (ring != NULL && tail - low <= ring->mask) return true;
    return resize_ring(t, ring == NULL ? RING_LEAST : (ring->mask + 1) * 2);
}

/* Four bytes for every row of a large import need not stay. A search that took its view before it was empty finds other rows in the
 * new ring, or row 0: they are judged like any, and those that it looks for were linked before its walk began. */
void fr_ring_shrink(fr_table *t)
{
    const fr_ring *ring = atomic_load_explicit(&t->ring, memory_order_relaxed);
    bool empty = atomic_load_explicit(&t->ring_low, memory_order_acquire) == atomic_load_explicit(&t->ring_tail, memory_order_relaxed);
    if (ring != NULL && ring->mask >= RING_KEPT && empty) resize_ring(t, RING_LEAST);
}

bool fr_ring_push(fr_table *t, uint32_t row)
{
    fr_ring *ring = atomic_load_explicit(&t->ring, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&t->ring_tail, memory_order_relaxed);
    atomic_store_explicit(&ring->rows[tail & ring->mask], row, memory_order_release);
    atomic_store_explicit(&t->ring_tail, tail + 1, memory_order_release);
    if ((tail + 1 - atomic_load_explicit(&t->fresh.sealed, memory_order_relaxed)) % 64 != 0) return true;
    if (t->fresh.held_back) fr_fresh_asked(t);
    else fr_fresh_seal(t); /* a block at once when it is full */
    return true;
}

/* ==== sealing ==== */

static size_t groups_size(uint32_t padded) { return FR_BLOCK_ROWS / FR_SIGN_ROWS * fr_sign_group_bytes(padded / 8); }

static fr_fresh_block *block_create(uint32_t padded)
{
    size_t head = (sizeof(fr_fresh_block) + 63) / 64 * 64, size = head + groups_size(padded);
    uint8_t *memory = fr_alloc_aligned(FR_MEM_CODES, 64, size);
    if (memory == NULL) return NULL;
    memset(memory, 0, size);
    fr_fresh_block *block = (void *)memory;
    block->groups = memory + head;
    return block;
}

/* The upper half of a float not above v. */
static uint32_t down_to_half(double v)
{
    float f = (float)v;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return (bits >> 31 ? bits + 0xffff : bits) >> 16; /* of a negative one the size goes up */
}

/* Of one row; o is the rotated vector less the centre. */
typedef struct row_numbers {
    float spread;
    uint32_t both; /* as fr_simd_signs_near has them */
} row_numbers;

static row_numbers measure_row(fr_metric metric, const float *o, const float *centre, uint32_t padded, bool unknown)
{
    double square = 0, sum = 0, with_centre = 0, root = sqrt((double)padded);
    for (uint32_t j = 0; j < padded; j++) {
        double v = (double)o[j];
        square += v * v, sum += fabs(v), with_centre += v * (double)centre[j];
    }
    double length = sqrt(square), x = length > 0 ? FR_MIN(sum / (root * length), 1.0) : 1.0;
    double gain = length > 0 ? -length / (root * x) : 0, base = metric == FR_METRIC_L2 ? square : metric == FR_METRIC_IP ? -with_centre : square / 2;
    if (metric == FR_METRIC_L2) gain *= 2;
    return (row_numbers){(float)sqrt(1 - x * x), down_to_half(unknown ? -INFINITY : base) << 16 | down_to_half(FR_MAX(gain, -1e38))};
}

static void place_row(fr_fresh_block *block, uint32_t i, const float *o, uint32_t padded, uint32_t both)
{
    uint8_t *group = block->groups + i / FR_SIGN_ROWS * fr_sign_group_bytes(padded / 8), *bits = group + i % FR_SIGN_ROWS;
    for (uint32_t j = 0; j < padded; j++)
        if (o[j] >= 0) bits[j / 8 * FR_SIGN_ROWS] |= (uint8_t)(1u << (j % 8));
    fr_store_le32(group + (size_t)padded / 8 * FR_SIGN_ROWS + i % FR_SIGN_ROWS * 4, both);
}

/* The places of rows by rising spread, in 255 steps. */
static void sort_rows(const row_numbers *numbers, uint32_t *order)
{
    uint32_t starts[257] = {0};
    float low = INFINITY, high = 0;
    for (uint32_t i = 0; i < FR_BLOCK_ROWS; i++) low = fminf(low, numbers[i].spread), high = fmaxf(high, numbers[i].spread);
    float steps = high > low ? 255 / (high - low) : 0;
    for (uint32_t i = 0; i < FR_BLOCK_ROWS; i++) starts[1 + FR_MIN(255u, (uint32_t)((numbers[i].spread - low) * steps))]++;
    for (uint32_t i = 0; i < 256; i++) starts[i + 1] += starts[i];
    for (uint32_t i = 0; i < FR_BLOCK_ROWS; i++) order[starts[FR_MIN(255u, (uint32_t)((numbers[i].spread - low) * steps))]++] = i;
}

/* The centre of the block before serves when it is about as near to the rows as their own mean: then a search rounds its query once
 * for both. */
static bool choose_centre(fr_table *t, fr_fresh_block *block, const float *vectors, float *mean, uint32_t padded)
{
    const fr_fresh_block *last = t->fresh.last;
    double spread = 0, apart = 0;
    memset(mean, 0, padded * sizeof *mean);
    for (size_t i = 0; i < FR_BLOCK_ROWS; i++)
        for (uint32_t j = 0; j < padded; j++) mean[j] += vectors[i * padded + j] * (1.0f / FR_BLOCK_ROWS);
    for (size_t i = 0; last != NULL && i < FR_BLOCK_ROWS; i++)
        for (uint32_t j = 0; j < padded; j++) spread += (double)((vectors[i * padded + j] - mean[j]) * (vectors[i * padded + j] - mean[j]));
    for (uint32_t j = 0; last != NULL && j < padded; j++) apart += (double)((mean[j] - last->centre[j]) * (mean[j] - last->centre[j]));
    if (last != NULL && apart <= 0.1 * spread / FR_BLOCK_ROWS) {
        block->centre = last->centre;
        return true;
    }
    block->centre = fr_alloc_aligned(FR_MEM_CODES, 64, padded * sizeof *mean);
    if (block->centre != NULL) memcpy(block->centre, mean, padded * sizeof *mean);
    return block->centre != NULL;
}

static void fill_block(fr_fresh_block *block, fr_metric metric, float *vectors, const uint32_t *rows, const bool *unknown, uint32_t padded)
{
    row_numbers numbers[FR_BLOCK_ROWS];
    uint32_t order[FR_BLOCK_ROWS];
    for (uint32_t i = 0; i < FR_BLOCK_ROWS; i++) {
        float *o = vectors + (size_t)i * padded;
        for (uint32_t j = 0; j < padded; j++) o[j] -= block->centre[j];
        numbers[i] = measure_row(metric, o, block->centre, padded, unknown[i]);
    }
    sort_rows(numbers, order);
    float least = 1;
    for (uint32_t i = 0; i < FR_BLOCK_ROWS; i++) {
        const row_numbers *n = &numbers[order[i]];
        least = fminf(least, n->spread);
        block->spreads[i / 16] = fmaxf(block->spreads[i / 16], n->spread);
        block->rows[i] = rows[order[i]];
        place_row(block, i, vectors + (size_t)order[i] * padded, padded, n->both);
    }
    block->inverse = 1 / fmaxf(least, 1e-6f);
}

static bool seal_block(fr_table *t, uint64_t from)
{
    uint32_t padded = padded_of(t), rows[FR_BLOCK_ROWS];
    bool unknown[FR_BLOCK_ROWS];
    fr_fresh_block *block = block_create(padded);
    float *vectors = fr_alloc(FR_MEM_CODES, ((size_t)FR_BLOCK_ROWS + 1) * padded * sizeof *vectors), *spare = NULL;
    const fr_ring *ring = atomic_load_explicit(&t->ring, memory_order_relaxed);
    if (vectors != NULL) spare = vectors + (size_t)FR_BLOCK_ROWS * padded;
    for (uint32_t i = 0; i < FR_BLOCK_ROWS && block != NULL && vectors != NULL; i++) {
        rows[i] = atomic_load_explicit(&ring->rows[(from + i) & ring->mask], memory_order_relaxed) & ~FR_RING_DONE;
        unknown[i] = !fr_row_original(t, fr_codes_of(t), rows[i], spare); /* cannot be read: never passed over */
        if (unknown[i]) memset(spare, 0, t->options.dimension * sizeof *spare);
        fr_fresh_enter(t, spare, vectors + (size_t)i * padded);
    }
    if (block == NULL || vectors == NULL || !choose_centre(t, block, vectors, spare, padded)) {
        fr_free(FR_MEM_CODES, block);
        fr_free(FR_MEM_CODES, vectors);
        return false;
    }
    fill_block(block, t->options.metric, vectors, rows, unknown, padded);
    fr_free(FR_MEM_CODES, vectors);
    block->end = from + FR_BLOCK_ROWS;
    if (t->fresh.last == NULL) atomic_store_explicit(&t->fresh.first, block, memory_order_release);
    else atomic_store_explicit(&t->fresh.last->next, block, memory_order_release);
    t->fresh.last = block;
    return true;
}

static bool make_signs(fr_table *t)
{
    if (t->fresh.signs == NULL) t->fresh.signs = fr_rotation_signs(padded_of(t), t->options.seed);
    return t->fresh.signs != NULL;
}

/* Blocks leave in order, so a centre goes with the last block that has it. */
static void drop_linked(fr_table *t, uint64_t low)
{
    fr_fresh *fresh = &t->fresh;
    for (fr_fresh_block *block; (block = atomic_load_explicit(&fresh->first, memory_order_relaxed)) != NULL && block->end <= low;) {
        fr_fresh_block *next = atomic_load_explicit(&block->next, memory_order_relaxed);
        if (!fr_retired_reserve(&t->retired, 2)) break;
        if (next == NULL) fresh->last = NULL;
        atomic_store_explicit(&fresh->first, next, memory_order_release);
        if (next == NULL || next->centre != block->centre) fr_retired_push(&t->retired, FR_MEM_CODES, block->centre, 0);
        fr_retired_push(&t->retired, FR_MEM_CODES, block, 0);
    }
}

void fr_fresh_seal(fr_table *t)
{
    if (fr_table_is_binary(&t->options)) return; /* their codes are bits as they are: the ring is scanned */
    uint64_t low = atomic_load_explicit(&t->ring_low, memory_order_acquire), sealed = atomic_load_explicit(&t->fresh.sealed, memory_order_relaxed);
    uint64_t from = FR_MAX(low, sealed), tail = atomic_load_explicit(&t->ring_tail, memory_order_relaxed);
    drop_linked(t, low);
    if (tail - from >= FR_BLOCK_ROWS && make_signs(t) && seal_block(t, from)) from += FR_BLOCK_ROWS;
    if (from > sealed) atomic_store_explicit(&t->fresh.sealed, from, memory_order_release);
}

void fr_fresh_hold_back(fr_table *t, bool held_back)
{
    t->fresh.held_back = held_back;
    atomic_store_explicit(&t->fresh.looked, false, memory_order_relaxed);
}

bool fr_fresh_asked(fr_table *t)
{
    if (!atomic_load_explicit(&t->fresh.looked, memory_order_relaxed)) return false;
    uint64_t before = atomic_load_explicit(&t->fresh.sealed, memory_order_relaxed);
    fr_fresh_seal(t);
    return atomic_load_explicit(&t->fresh.sealed, memory_order_relaxed) != before;
}

void fr_fresh_free(fr_table *t)
{
    for (fr_fresh_block *block = atomic_load(&t->fresh.first), *next; block != NULL; block = next) {
        next = atomic_load(&block->next);
        if (next == NULL || next->centre != block->centre) fr_free(FR_MEM_CODES, block->centre);
        fr_free(FR_MEM_CODES, block);
    }
    fr_free(FR_MEM_CODES, t->fresh.signs);
    fr_free(FR_MEM_LINKS, atomic_load(&t->ring));
    t->fresh = (fr_fresh){.signs = NULL};
}

/* ==== looking ==== */

static void note_once(const _Atomic bool *mark)
{
    _Atomic bool *own = (_Atomic bool *)(uintptr_t)mark;
    if (!atomic_load_explicit(own, memory_order_relaxed)) atomic_store_explicit(own, true, memory_order_relaxed);
}

/* In this order: a block that `sealed` counts is in the list, unless all its rows were linked before it left. */
fr_fresh_view fr_fresh_look(const fr_table *t)
{
    uint64_t sealed = atomic_load_explicit(&t->fresh.sealed, memory_order_acquire), low;
    fr_fresh_view view = {.first = atomic_load_explicit(&t->fresh.first, memory_order_acquire)};
    low = atomic_load_explicit(&t->ring_low, memory_order_acquire);
    view.tail = atomic_load_explicit(&t->ring_tail, memory_order_acquire);
    view.from = FR_MAX(low, sealed);
    if (view.tail - view.from >= FR_BLOCK_ROWS) note_once(&t->fresh.looked);
    if (view.tail != low) note_once(&t->fresh.searched);
    return view;
}

/* The sums of four, each as it is where its bit is set, else `levels` less it. */
static void fill_table(uint8_t *table, const uint32_t u[4], uint32_t levels)
{
    static const uint64_t ones[] = {0x0100010001000100, 0x0101000001010000, 0x0101010100000000};
    uint64_t every = 0x0101010101010101, sums = 0, last = every * (levels - u[3]);
    for (uint32_t i = 0; i < 3; i++) sums += ones[i] * u[i] + (every ^ ones[i]) * (levels - u[i]);
    fr_store_le64(table, sums + last);
    fr_store_le64(table + 8, sums + every * u[3]);
}

static inline void round_four(const float *v, float inverse, uint32_t levels, uint8_t *table)
{
    uint32_t u[4];
    for (uint32_t i = 0; i < 4; i++) {
        float x = v[i] * inverse + (float)levels / 2;
        u[i] = (uint32_t)(x > 0 ? x + 0.5f : 0.0f);
        u[i] = FR_MIN(u[i], levels);
    }
    fill_table(table, u, levels);
}

static void round_query(const fr_table *t, fr_fresh_query *q, const float *centre)
{
    uint32_t padded = padded_of(t);
    const float *rotated = q->rotated;
    float largest[8] = {0}, squares[8] = {0}, with_centre[8] = {0}, most = 0;
    for (uint32_t j = 0; j < padded; j += 8)
        for (uint32_t i = 0; i < 8; i++) {
            float v = rotated[j + i] - centre[j + i], size = fabsf(v);
            largest[i] = size > largest[i] ? size : largest[i];
            squares[i] += v * v, with_centre[i] += centre[j + i] * rotated[j + i];
        }
    q->centre = centre;
    double square = 0, product = 0, d = padded;
    for (uint32_t i = 0; i < 8; i++) {
        most = fmaxf(most, largest[i]);
        square += (double)squares[i], product += (double)with_centre[i];
    }
    q->step = most > 0 ? 2 * most / (float)FR_FRESH_FEWER : 1.0f;
    q->error = (float)sqrt(square * d / (d - 1));
    q->rounding = (float)sqrt(d / 12) * q->step;
    q->bend = square > 0 ? (float)(1 / (2 * d * square)) : 0;
    q->at_query = t->options.metric == FR_METRIC_L2 ? square : t->options.metric == FR_METRIC_IP ? -product : square / 2;
    for (uint32_t j = 0; j < padded; j += 4) {
        float v[4];
        for (uint32_t i = 0; i < 4; i++) v[i] = rotated[j + i] - centre[j + i];
        round_four(v, 1.0f / q->step, FR_FRESH_FEWER, q->tables + 4 * (size_t)j);
    }
}

float fr_sign_tables(const float *v, uint32_t padded, uint8_t *tables)
{
    float most = 0;
    for (uint32_t j = 0; j < padded; j++) most = fabsf(v[j]) > most ? fabsf(v[j]) : most;
    float step = most > 0 ? 2 * most / (float)FR_FRESH_LEVELS : 1.0f;
    for (uint32_t j = 0; j < padded; j += 4) round_four(v + j, 1.0f / step, FR_FRESH_LEVELS, tables + 4 * (size_t)j);
    return step;
}

/* So far the sum S of a row may be off: FR_FRESH_SIGMAS standard deviations. The part of the query along the signs of the row is in S, so
 * the error is of what is left of it, |q|^2 (1 - z^2) with z = S / (sqrt(D) |q|). With a the spread's part of the error and b that of
 * rounding, y = b^2 / a^2: sqrt(a^2 (1 - z^2) + b^2) <= sqrt(a^2 + b^2) (1 - (1 - y) z^2 / 2), and sqrt(a^2 + b^2) <= a + min(b, a y / 2). */
static void errors_of(const fr_fresh_query *q, const fr_fresh_block *block, float *error, fr_simd_near *near)
{
    float sigmas = (float)FR_FRESH_SIGMAS, ratio = q->error > 0 ? q->rounding * block->inverse / q->error : 1, more = q->rounding * fminf(1, ratio / 2);
    for (uint32_t i = 0; i < FR_BLOCK_ROWS / 16; i++) error[i] = sigmas * q->error * block->spreads[i] + sigmas * more;
    near->bend = q->bend * fmaxf(0, 1 - ratio * ratio);
}

uint32_t fr_fresh_near(const fr_table *t, const fr_fresh_block *block, fr_fresh_query *q, float bound, uint32_t *rows)
{
    uint32_t padded = padded_of(t);
    if (!(bound < INFINITY)) {
        memcpy(rows, block->rows, sizeof block->rows);
        return FR_BLOCK_ROWS;
    }
    if (q->centre != block->centre) round_query(t, q, block->centre);
    const fr_fresh_block *next = atomic_load_explicit(&block->next, memory_order_acquire);
    float error[FR_BLOCK_ROWS / 16];
    fr_simd_near near = {.tables = q->tables, .groups = block->groups,
                         .ahead = next != NULL ? (const uint8_t *)next + (block->groups - (const uint8_t *)block) : NULL, /* without a look at `next` */
                         .bytes = padded / 8, .count = FR_BLOCK_ROWS, .error = error, .ids = block->rows,
                         .scale = q->step, .offset = -q->step * (float)padded * FR_FRESH_FEWER / 2,
                         .limit = (float)((double)bound - q->at_query + 1e-4 * fabs((double)bound))};
    errors_of(q, block, error, &near);
    return fr_simd_signs_near(&near, rows);
}
