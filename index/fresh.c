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
#define AHEAD_MAX ((size_t)16 << 10) /* bytes of a block: of a larger one the processor fetches the rest as it is read */

_Static_assert(4 * FR_FRESH_LEVELS <= FR_SIGN_TABLE_MAX && FR_BLOCK_ROWS % FR_SIGN_ROWS == 0, "as fr_simd_below wants it");

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

static fr_fresh_block *block_create(uint32_t padded)
{
    size_t bits = (sizeof(fr_fresh_block) + 63) / 64 * 64, size = bits + (size_t)FR_BLOCK_ROWS * padded / 8;
    uint8_t *memory = fr_alloc_aligned(FR_MEM_CODES, 64, size);
    if (memory == NULL) return NULL;
    memset(memory, 0, size);
    fr_fresh_block *block = (void *)memory;
    block->bits = memory + bits;
    return block;
}

/* The numbers of one row, and its spread; `o` is the rotated vector less the centre. */
static float seal_row(fr_fresh_block *block, uint32_t i, fr_metric metric, const float *o, uint32_t padded)
{
    uint8_t *bits = block->bits + (size_t)(i / FR_SIGN_ROWS) * padded / 8 * FR_SIGN_ROWS + i % FR_SIGN_ROWS;
    double square = 0, sum = 0, with_centre = 0, root = sqrt((double)padded);
    for (uint32_t j = 0; j < padded; j++) {
        double v = (double)o[j];
        square += v * v, sum += fabs(v), with_centre += v * (double)block->centre[j];
        if (o[j] >= 0) bits[j / 8 * FR_SIGN_ROWS] |= (uint8_t)(1u << (j % 8));
    }
    double length = sqrt(square), x = length > 0 ? FR_MIN(sum / (root * length), 1.0) : 1.0;
    double gain = length > 0 ? -length / (root * x) : 0;
    if (metric == FR_METRIC_L2) gain *= 2;
    if (block->base[i] == 0) block->base[i] = (float)(metric == FR_METRIC_L2 ? square : metric == FR_METRIC_IP ? -with_centre : square / 2);
    block->gain[i] = (float)gain;
    return (float)sqrt(1 - x * x);
}

static void seal_spreads(fr_fresh_block *block, const float *spreads)
{
    block->spread_low = block->spread_high = spreads[0];
    for (uint32_t i = 1; i < FR_BLOCK_ROWS; i++) {
        block->spread_low = fminf(block->spread_low, spreads[i]);
        block->spread_high = fmaxf(block->spread_high, spreads[i]);
    }
    float step = (block->spread_high - block->spread_low) / 255;
    for (uint32_t i = 0; i < FR_BLOCK_ROWS && step > 0; i++)
        block->spread[i] = (uint8_t)fminf(255, ceilf((spreads[i] - block->spread_low) / step));
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
    float spreads[FR_BLOCK_ROWS];
    for (uint32_t i = 0; i < FR_BLOCK_ROWS; i++) {
        float *o = vectors + (size_t)i * padded;
        for (uint32_t j = 0; j < padded; j++) o[j] -= block->centre[j];
        spreads[i] = seal_row(block, i, t->options.metric, o, padded);
    }
    seal_spreads(block, spreads);
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

/* In this order: a block that `sealed` counts is in the list, unless all its rows were linked before it left. */
fr_fresh_view fr_fresh_look(const fr_table *t)
{
    uint64_t sealed = atomic_load_explicit(&t->fresh.sealed, memory_order_acquire), low;
    fr_fresh_view view = {.first = atomic_load_explicit(&t->fresh.first, memory_order_acquire)};
    low = atomic_load_explicit(&t->ring_low, memory_order_acquire);
    view.tail = atomic_load_explicit(&t->ring_tail, memory_order_acquire);
    view.from = FR_MAX(low, sealed);
    _Atomic bool *looked = (_Atomic bool *)(uintptr_t)&t->fresh.looked;
    if (view.tail - view.from >= FR_BLOCK_ROWS && !atomic_load_explicit(looked, memory_order_relaxed))
        atomic_store_explicit(looked, true, memory_order_relaxed);
    return view;
}

/* The sums of four, each as it is where its bit is set, else LEVELS less it. */
static void fill_table(uint8_t *table, const uint32_t u[4])
{
    static const uint64_t ones[] = {0x0100010001000100, 0x0101000001010000, 0x0101010100000000};
    uint64_t every = 0x0101010101010101, sums = 0, last = every * (FR_FRESH_LEVELS - u[3]);
    for (uint32_t i = 0; i < 3; i++) sums += ones[i] * u[i] + (every ^ ones[i]) * (FR_FRESH_LEVELS - u[i]);
    fr_store_le64(table, sums + last);
    fr_store_le64(table + 8, sums + every * u[3]);
}

static void round_four(const float *v, float inverse, uint8_t *table)
{
    uint32_t u[4];
    for (uint32_t i = 0; i < 4; i++) {
        float x = v[i] * inverse + (float)FR_FRESH_LEVELS / 2;
        u[i] = (uint32_t)(x > 0 ? x + 0.5f : 0.0f);
        u[i] = FR_MIN(u[i], FR_FRESH_LEVELS);
    }
    fill_table(table, u);
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
    q->square = 0;
    double product = 0;
    for (uint32_t i = 0; i < 8; i++) {
        most = fmaxf(most, largest[i]);
        q->square += (double)squares[i], product += (double)with_centre[i];
    }
    q->step = most > 0 ? 2 * most / (float)FR_FRESH_LEVELS : 1.0f;
    q->at_query = t->options.metric == FR_METRIC_L2 ? q->square : t->options.metric == FR_METRIC_IP ? -product : q->square / 2;
    for (uint32_t j = 0; j < padded; j += 4) {
        float v[4];
        for (uint32_t i = 0; i < 4; i++) v[i] = rotated[j + i] - centre[j + i];
        round_four(v, 1.0f / q->step, q->tables + 4 * (size_t)j);
    }
}

float fr_sign_tables(const float *v, uint32_t padded, uint8_t *tables)
{
    float most = 0;
    for (uint32_t j = 0; j < padded; j++) most = fabsf(v[j]) > most ? fabsf(v[j]) : most;
    float step = most > 0 ? 2 * most / (float)FR_FRESH_LEVELS : 1.0f;
    for (uint32_t j = 0; j < padded; j += 4) round_four(v + j, 1.0f / step, tables + 4 * (size_t)j);
    return step;
}

/* So far the sum S of a row of this spread may be off: FR_FRESH_SIGMAS standard deviations. Convex in the spread, so the straight line
 * between two of them lies above it. */
static double error_at(const fr_fresh_query *q, double d, double spread)
{
    return FR_FRESH_SIGMAS * sqrt(q->square * spread * spread * d / (d - 1) + d * (double)q->step * (double)q->step / 12);
}

/* The next block is on its way while this one is looked at. */
static void ahead(const fr_fresh_block *next, uint32_t padded)
{
    size_t size = next == NULL ? 0 : FR_MIN(sizeof *next + (size_t)FR_BLOCK_ROWS * padded / 8, AHEAD_MAX);
    for (size_t at = 0; at < size; at += 64) __builtin_prefetch((const char *)next + at, 0, 2);
}

uint32_t fr_fresh_near(const fr_table *t, const fr_fresh_block *block, fr_fresh_query *q, float bound, uint32_t *rows)
{
    uint32_t padded = padded_of(t);
    ahead(atomic_load_explicit(&block->next, memory_order_acquire), padded);
    if (!(bound < INFINITY)) {
        memcpy(rows, block->rows, sizeof block->rows);
        return FR_BLOCK_ROWS;
    }
    if (q->centre != block->centre) round_query(t, q, block->centre);
    double d = (double)padded, least = error_at(q, d, (double)block->spread_low), most = error_at(q, d, (double)block->spread_high);
    fr_simd_bound below = {.tables = q->tables, .bits = block->bits, .bytes = padded / 8, .count = FR_BLOCK_ROWS, .base = block->base,
                           .gain = block->gain, .spread = block->spread, .ids = block->rows,
                           .scale = q->step, .slope = (float)((most - least) / 255),
                           .offset = (float)(least - (double)q->step * d * FR_FRESH_LEVELS / 2),
                           .limit = (float)((double)bound - q->at_query + 1e-4 * fabs((double)bound))};
    return fr_simd_below(&below, rows);
}
