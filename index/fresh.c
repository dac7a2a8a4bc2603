/* fresh.c: see fresh.h. Sealing is the applier's; looking is any searcher's, inside an epoch.
 *
 * With o the rotated row less the centre, q the query so, s the signs of o (D of them): x = sum |o| / (sqrt(D) |o|) is the cosine of o
 * and s, and <o, q> is estimated by |o| <s, q> / (sqrt(D) x), without bias; the error has the standard deviation
 * |o| |q| sqrt(1 - x^2) / (x sqrt(D - 1)). The query's values are rounded to 4 bits, which adds a little. */
#include "index/fresh.h"

#include "index/table_private.h"

#include <math.h>

#define LEVELS ((1u << FR_PLANES) - 1)

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

bool fr_ring_reserve(fr_table *t)
{
    fr_ring *ring = atomic_load_explicit(&t->ring, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&t->ring_tail, memory_order_relaxed);
    uint64_t low = atomic_load_explicit(&t->ring_low, memory_order_acquire);
    if (ring != NULL && tail - low <= ring->mask) return true;
    uint32_t size = ring == NULL ? 64 : (ring->mask + 1) * 2;
    if (!fr_retired_reserve(&t->retired, 1)) return false;
    fr_ring *grown = fr_zalloc(FR_MEM_LINKS, sizeof *grown + size * sizeof(uint32_t));
    if (grown == NULL) return false;
    grown->mask = size - 1;
    fr_spin_lock(&t->list_lock); /* linkers set done marks under it */
    for (uint64_t i = low; i < tail; i++)
        atomic_store_explicit(&grown->rows[i & grown->mask], atomic_load(&ring->rows[i & ring->mask]), memory_order_relaxed);
    atomic_store_explicit(&t->ring, grown, memory_order_release);
    fr_spin_unlock(&t->list_lock);
    if (ring != NULL) fr_retired_push(&t->retired, FR_MEM_LINKS, ring, 0);
    return true;
}

bool fr_ring_push(fr_table *t, uint32_t row)
{
    fr_ring *ring = atomic_load_explicit(&t->ring, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&t->ring_tail, memory_order_relaxed);
    atomic_store_explicit(&ring->rows[tail & ring->mask], row, memory_order_release);
    atomic_store_explicit(&t->ring_tail, tail + 1, memory_order_release);
    if (tail % 64 == 0) fr_fresh_seal(t);
    return true;
}

/* ==== sealing ==== */

static fr_fresh_block *block_create(uint32_t padded)
{
    size_t bits = (sizeof(fr_fresh_block) + 63) / 64 * 64, size = bits + (size_t)FR_BLOCK_ROWS * padded / 8;
    uint8_t *memory = fr_alloc_aligned(FR_MEM_CODES, 64, size);
    if (memory == NULL) return NULL;
    memset(memory, 0, size);
    fr_fresh_block *block = (void *)memory;
    block->bits = (void *)(memory + bits);
    return block;
}

/* The numbers of one row; `o` is the rotated vector less the centre. */
static void seal_row(fr_fresh_block *block, uint32_t i, fr_metric metric, const float *o, uint32_t padded)
{
    uint64_t *bits = block->bits + (size_t)i * (padded / 64);
    double square = 0, sum = 0, with_centre = 0, root = sqrt((double)padded);
    int32_t set = 0;
    for (uint32_t j = 0; j < padded; j++) {
        double v = (double)o[j];
        square += v * v, sum += fabs(v), with_centre += v * (double)block->centre[j];
        if (o[j] >= 0) bits[j / 64] |= 1ull << (j % 64), set++;
    }
    double length = sqrt(square), x = length > 0 ? FR_MIN(sum / (root * length), 1.0) : 1.0;
    double gain = length > 0 ? -length / (root * x) : 0;
    if (metric == FR_METRIC_L2) gain *= 2;
    if (block->base[i] == 0) block->base[i] = (float)(metric == FR_METRIC_L2 ? square : metric == FR_METRIC_IP ? -with_centre : square / 2);
    block->gain[i] = (float)gain;
    block->skew[i] = (float)(gain * (2 * set - (double)padded));
    block->spread = fmaxf(block->spread, (float)sqrt(1 - x * x));
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

static bool seal_block(fr_table *t, uint64_t from)
{
    uint32_t padded = padded_of(t);
    fr_fresh_block *block = block_create(padded);
    float *vectors = fr_alloc(FR_MEM_CODES, ((size_t)FR_BLOCK_ROWS + 1) * padded * sizeof *vectors), *spare = NULL;
    const fr_ring *ring = atomic_load_explicit(&t->ring, memory_order_relaxed);
    if (vectors != NULL) spare = vectors + (size_t)FR_BLOCK_ROWS * padded;
    for (uint32_t i = 0; i < FR_BLOCK_ROWS && block != NULL && vectors != NULL; i++) {
        block->rows[i] = atomic_load_explicit(&ring->rows[(from + i) & ring->mask], memory_order_relaxed) & ~FR_RING_DONE;
        if (!fr_row_original(t, fr_codes_of(t), block->rows[i], spare)) { /* cannot be read: never passed over */
            memset(spare, 0, t->options.dimension * sizeof *spare);
            block->base[i] = -INFINITY;
        }
        fr_fresh_enter(t, spare, vectors + (size_t)i * padded);
    }
    if (block == NULL || vectors == NULL || !choose_centre(t, block, vectors, spare, padded)) {
        fr_free(FR_MEM_CODES, block);
        fr_free(FR_MEM_CODES, vectors);
        return false;
    }
    for (uint32_t i = 0; i < FR_BLOCK_ROWS; i++) {
        float *o = vectors + (size_t)i * padded;
        for (uint32_t j = 0; j < padded; j++) o[j] -= block->centre[j];
        seal_row(block, i, t->options.metric, o, padded);
    }
    fr_free(FR_MEM_CODES, vectors);
    block->end = from + FR_BLOCK_ROWS;
    if (t->fresh.last == NULL) atomic_store_explicit(&t->fresh.first, block, memory_order_release);
    else atomic_store_explicit(&t->fresh.last->next, block, memory_order_release);
    t->fresh.last = block;
    return true;
}

static bool make_signs(fr_table *t)
{
    uint32_t count = FR_ROTATION_ROUNDS * padded_of(t);
    if (t->fresh.signs != NULL) return true;
    int8_t *signs = fr_alloc(FR_MEM_CODES, count);
    if (signs == NULL) return false;
    for (uint32_t i = 0; i < count; i++) signs[i] = fr_mix64(t->options.seed + 1 + i) & 1 ? 1 : -1;
    t->fresh.signs = signs;
    return true;
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

/* In this order: a block that `sealed` counts is in the list, unless all its rows were linked before it left. */
fr_fresh_view fr_fresh_look(const fr_table *t)
{
    uint64_t sealed = atomic_load_explicit(&t->fresh.sealed, memory_order_acquire), low;
    fr_fresh_view view = {.first = atomic_load_explicit(&t->fresh.first, memory_order_acquire)};
    low = atomic_load_explicit(&t->ring_low, memory_order_acquire);
    view.tail = atomic_load_explicit(&t->ring_tail, memory_order_acquire);
    view.from = FR_MAX(low, sealed);
    return view;
}

/* Bit p of eight bytes, the first byte's lowest. */
static uint64_t plane_of(uint64_t bytes, uint32_t p) { return ((bytes >> p & 0x0101010101010101u) * 0x0102040810204080u) >> 56; }

static void round_query(const fr_table *t, fr_fresh_query *q, const float *centre)
{
    uint32_t padded = padded_of(t), words = padded / 64, sum = 0;
    const float *rotated = q->rotated;
    float low = rotated[0] - centre[0], high = low, squares[8] = {0}, with_centre[8] = {0};
    for (uint32_t j = 0; j < padded; j += 8)
        for (uint32_t i = 0; i < 8; i++) {
            float v = rotated[j + i] - centre[j + i];
            low = v < low ? v : low, high = v > high ? v : high;
            squares[i] += v * v, with_centre[i] += centre[j + i] * rotated[j + i];
        }
    q->centre = centre;
    q->low = low;
    q->step = high > low ? (high - low) / (float)LEVELS : 1.0f;
    q->square = 0;
    double product = 0;
    for (uint32_t i = 0; i < 8; i++) q->square += (double)squares[i], product += (double)with_centre[i];
    q->at_query = t->options.metric == FR_METRIC_L2 ? q->square : t->options.metric == FR_METRIC_IP ? -product : q->square / 2;
    float inverse = 1.0f / q->step;
    for (uint32_t w = 0; w < words; w++) {
        uint8_t u[64];
        uint64_t plane[FR_PLANES] = {0};
        for (uint32_t j = 0; j < 64; j++) {
            int32_t v = (int32_t)((rotated[w * 64 + j] - centre[w * 64 + j] - low) * inverse + 0.5f);
            u[j] = (uint8_t)(v < (int32_t)LEVELS ? v : (int32_t)LEVELS);
            sum += u[j];
        }
        for (uint32_t j = 0; j < 64; j += 8) {
            uint64_t bytes = fr_load_le64(u + j);
            for (uint32_t p = 0; p < FR_PLANES; p++) plane[p] |= plane_of(bytes, p) << j;
        }
        for (uint32_t p = 0; p < FR_PLANES; p++) q->planes[(size_t)p * words + w] = plane[p];
    }
    q->sum = sum;
}

uint32_t fr_fresh_near(const fr_table *t, const fr_fresh_block *block, fr_fresh_query *q, float bound, uint32_t *rows)
{
    uint32_t padded = padded_of(t);
    if (!(bound < INFINITY)) {
        memcpy(rows, block->rows, sizeof block->rows);
        return FR_BLOCK_ROWS;
    }
    if (q->centre != block->centre) round_query(t, q, block->centre);
    double d = (double)padded, noise = q->square * (double)block->spread * (double)block->spread * d / (d - 1) +
                                       d * (double)q->step * (double)q->step / 12;
    fr_simd_bound below = {.planes = q->planes, .rows = block->bits, .words = padded / 64, .count = FR_BLOCK_ROWS,
                           .base = block->base, .skew = block->skew, .gain = block->gain, .ids = block->rows,
                           .low = q->low, .scale = 2 * q->step, .offset = (float)(FR_FRESH_SIGMAS * sqrt(noise)) - q->step * (float)q->sum,
                           .limit = (float)((double)bound - q->at_query + 1e-4 * fabs((double)bound))};
    return fr_simd_below(&below, rows);
}
