/* kern_scalar.c: the reference: one row, one element at a time, sums in double (floats) or integers.
 *
 * Compiled without vectorisation and contraction, for the plain baseline. The vector tiers fall back to these
 * kernels where single precision would overflow or underflow.
 */
#include "simd/half.h"
#include "simd/kern.h"
#include "simd/kern_fine.h"

FR_INLINE double value_at(int kind, const void *array, uint32_t i)
{
    float value;
    switch (kind) {
    case FR_SCALAR_F16: return fr_simd_f16_to_f32(fr_load_le16((const char *)array + 2 * (size_t)i));
    case FR_SCALAR_BF16: return fr_simd_bf16_to_f32(fr_load_le16((const char *)array + 2 * (size_t)i));
    case FR_SCALAR_I8: return ((const int8_t *)array)[i];
    case FR_SCALAR_U8: return ((const uint8_t *)array)[i];
    default: memcpy(&value, (const char *)array + 4 * (size_t)i, sizeof value); return value;
    }
}

FR_INLINE float float_one(int metric, int query_kind, int row_kind, const void *query, const void *row, uint32_t n)
{
    double sum = 0, query_norm = 0, row_norm = 0;
    for (uint32_t i = 0; i < n; i++) {
        double a = value_at(query_kind, query, i), b = value_at(row_kind, row, i);
        double left = metric == FR_SIMD_L2 ? a - b : a, right = metric == FR_SIMD_L2 ? a - b : b;
        sum += left * right;
        if (metric == FR_SIMD_COSINE) query_norm += a * a, row_norm += b * b;
    }
    if (metric == FR_SIMD_COSINE) return fr_simd_cosine(sum, query_norm, row_norm);
    return (float)(metric == FR_SIMD_L2 ? sum : 0.0 - sum);
}

FR_INLINE int integer_at(int kind, const void *array, uint32_t i)
{
    return kind == FR_SCALAR_I8 ? ((const int8_t *)array)[i] : ((const uint8_t *)array)[i];
}

FR_INLINE float integer_one(int metric, int kind, const void *query, const void *row, uint32_t n)
{
    int64_t sum = 0, query_norm = 0, row_norm = 0;
    for (uint32_t i = 0; i < n; i++) {
        int a = integer_at(kind, query, i), b = integer_at(kind, row, i);
        sum += metric == FR_SIMD_L2 ? (a - b) * (a - b) : a * b;
        if (metric == FR_SIMD_COSINE) query_norm += a * a, row_norm += b * b;
    }
    if (metric == FR_SIMD_COSINE) return fr_simd_cosine((double)sum, (double)query_norm, (double)row_norm);
    return (float)(metric == FR_SIMD_L2 ? sum : -sum);
}

FR_INLINE float bits_one(int metric, const void *query, const void *row, uint32_t dimension)
{
    const uint8_t *a = query, *b = row;
    uint64_t differ = 0, both = 0;
    for (uint32_t i = 0; i < (dimension + 7) / 8; i++) {
        unsigned kept = i < dimension / 8 ? 0xffu : fr_simd_last_bits(dimension);
        differ += (uint64_t)__builtin_popcount((unsigned)(a[i] ^ b[i]) & kept);
        both += (uint64_t)__builtin_popcount((unsigned)(a[i] & b[i]) & kept);
    }
    return fr_simd_bits_distance(metric, differ, both);
}
static float hamming_one(const void *query, const void *row, uint32_t n) { return bits_one(FR_SIMD_HAMMING, query, row, n); }
static float jaccard_one(const void *query, const void *row, uint32_t n) { return bits_one(FR_SIMD_JACCARD, query, row, n); }

static int32_t dot_one(const int8_t *query, const uint8_t *row, uint32_t n)
{
    int32_t sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += row[i] * query[i];
    return sum;
}

static void dot_gather(const int8_t *query, const uint8_t *const *rows, uint32_t count, uint32_t n, int32_t *out)
{
    for (uint32_t i = 0; i < count; i++) out[i] = dot_one(query, rows[i], n);
}

static void dot_many(const int8_t *query, const uint8_t *rows, size_t stride, uint32_t count, uint32_t n, int32_t *out)
{
    for (uint32_t i = 0; i < count; i++) out[i] = dot_one(query, rows + i * stride, n);
}

static void block_pack(const uint8_t *const *rows, uint32_t count, uint32_t n, uint8_t *packed)
{
    for (uint32_t i = 0; i < count; i++) memcpy(packed + (size_t)i * n, rows[i], n);
    memset(packed + (size_t)count * n, 0, (size_t)(fr_tile_rows(count) - count) * n);
}

static void block_dots(const int8_t *queries, uint32_t query_count, const uint8_t *packed, uint32_t count, uint32_t n,
                       int32_t *out, size_t stride)
{
    for (uint32_t q = 0; q < query_count; q++)
        dot_many(queries + (size_t)q * n, packed, n, fr_tile_rows(count), n, out + q * stride);
}

static uint32_t block_below(const int32_t *dots, const int32_t *constants, uint32_t factor, uint32_t count,
                            int32_t bound, int32_t *keys, uint32_t *places)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++) {
        int32_t key = (int32_t)((uint32_t)constants[i] - factor * (uint32_t)dots[i]);
        if (key >= bound) continue;
        keys[found] = key;
        places[found++] = i;
    }
    return found;
}

static uint32_t block_few(const int32_t *dots, const int32_t *constants, uint32_t factor, uint32_t count, uint32_t want,
                          int32_t *keys, uint32_t *places)
{
    return block_few_each(dots, constants, factor, count, want, keys, places);
}

static void block_order(int32_t *keys, uint32_t *places, uint32_t count) { block_order_each(keys, places, count); }

static int32_t block_bound(const int32_t *keys, uint32_t count, uint32_t want) { return block_bound_by(block_order, keys, count, want); }

/* many and gather of a kernel that has `name`_one */
#define FORMS(name)                                                                                                    \
    static void name##_many(const void *query, const void *rows, size_t stride, uint32_t count, uint32_t n,            \
                            float *out)                                                                                \
    {                                                                                                                  \
        for (uint32_t i = 0; i < count; i++) out[i] = name##_one(query, (const char *)rows + i * stride, n);           \
    }                                                                                                                  \
    static void name##_gather(const void *query, const void *const *rows, uint32_t count, uint32_t n, float *out)      \
    {                                                                                                                  \
        for (uint32_t i = 0; i < count; i++) out[i] = name##_one(query, rows[i], n);                                   \
    }
#define FLOAT_KERNEL(name, metric, query_kind, row_kind)                                                               \
    static float name##_one(const void *query, const void *row, uint32_t n)                                            \
    {                                                                                                                  \
        return float_one(metric, query_kind, row_kind, query, row, n);                                                 \
    }                                                                                                                  \
    FORMS(name)
#define INTEGER_KERNEL(name, metric, kind)                                                                             \
    static float name##_one(const void *query, const void *row, uint32_t n)                                            \
    {                                                                                                                  \
        return integer_one(metric, kind, query, row, n);                                                               \
    }                                                                                                                  \
    FORMS(name)
FORMS(hamming)
FORMS(jaccard)

#define TIER_ISA "scalar"
#include "simd/kern_table.h"

/* Codes of rows that no reader can see yet may be written meanwhile: single loads, as the language wants them. */
static void in_range(const void *codes, bool wide, uint32_t count, uint32_t low, uint32_t high, uint64_t *bits)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t code = wide ? __atomic_load_n((const uint16_t *)codes + i, __ATOMIC_RELAXED)
                             : __atomic_load_n((const uint8_t *)codes + i, __ATOMIC_RELAXED);
        bits[i / 64] |= (uint64_t)(code - low <= high - low) << (i & 63);
    }
}

/* No branches: which pass is a matter of chance. */
static uint32_t sift(const uint64_t *bits, uint32_t limit, const uint32_t *ids, uint32_t count, uint32_t *out)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t id = ids[i], inside = id < limit;
        out[n] = id;
        n += inside & (uint32_t)(bits[(inside ? id : 0) >> 6] >> (id & 63));
    }
    return n;
}

/* ==== vectors to codes ==== */

/* In-place orthonormal Walsh-Hadamard transform of n values, a power of two. */
static void hadamard(float *x, uint32_t n)
{
    for (uint32_t h = 1; h < n; h *= 2)
        for (uint32_t i = 0; i < n; i += 2 * h)
            for (uint32_t j = i; j < i + h; j++) {
                float a = x[j], b = x[j + h];
                x[j] = a + b, x[j + h] = a - b;
            }
    float norm = 1.0f / __builtin_sqrtf((float)n);
    for (uint32_t i = 0; i < n; i++) x[i] *= norm;
}

static void rotate(const int8_t *signs, uint32_t rounds, uint32_t n, float *x)
{
    uint32_t window = 1u << (31 - __builtin_clz(n));
    for (uint32_t round = 0; round < rounds; round++, signs += n) {
        for (uint32_t i = 0; i < n; i++) x[i] *= (float)signs[i];
        hadamard(round % 2 == 0 ? x : x + (n - window), window);
        if (window == n && round == 1) break; /* two rounds mix a power of two well enough */
    }
}

static uint32_t bytes(float *x, const float *centre, float inverse, uint32_t n, uint8_t *code)
{
    uint32_t outside = 0;
    for (uint32_t i = 0; i < n; i++) {
        float v = (x[i] - centre[i]) * inverse;
        outside += v > 127.5f || v < -128.5f;
        x[i] = v > 127.0f ? 127.0f : v < -128.0f ? -128.0f : v;
        code[i] = (uint8_t)((int32_t)__builtin_lrintf(x[i]) + 128);
    }
    return outside;
}

static void nibbles_of(const float *scaled, const uint8_t *code, uint32_t n, uint8_t *nibbles)
{
    memset(nibbles, 0, n / 2);
    for (uint32_t i = 0; i < n; i++) {
        float rest = (scaled[i] + 128.5f - (float)code[i]) * 16.0f; /* 0 to 16, unless it was cut off */
        uint32_t nibble = rest <= 0 ? 0 : rest >= 15 ? 15 : (uint32_t)rest;
        nibbles[i / 64 * 32 + i % 32] |= (uint8_t)(i % 64 < 32 ? nibble : nibble << 4);
    }
}

static float shift(float *x, const float *centre, float flat, uint32_t n)
{
    float largest = 0;
    for (uint32_t i = 0; i < n; i++) {
        x[i] -= centre != NULL ? centre[i] : flat;
        float size = __builtin_fabsf(x[i]);
        largest = size > largest ? size : largest;
    }
    return largest;
}

static bool query_of(const float *x, float inverse, float flat, float low, uint32_t n, int8_t *q, int32_t *sum_out, int32_t *square_out)
{
    bool same = true;
    *sum_out = *square_out = 0;
    for (uint32_t i = 0; i < n; i++) {
        float wanted = x[i] * inverse, v = wanted > 127.0f + flat ? 127.0f + flat : wanted < low + flat ? low + flat : wanted;
        float whole = __builtin_rintf(v);
        same &= whole == wanted;
        q[i] = (int8_t)(whole - flat);
        *sum_out += q[i];
        *square_out += q[i] * q[i];
    }
    return same;
}

/* ==== a walk's pool ==== */

static void pool_distances(const int32_t *dots, const int32_t *constants, uint32_t count, double k, double cm, double a, double low, float *out)
{
    for (uint32_t i = 0; i < count; i++) {
        double d = k + cm * constants[i] + a * dots[i];
        out[i] = (float)(d < low ? low : d);
    }
}

static uint32_t pool_merge(fr_candidate *pool, uint32_t size, uint32_t capacity, float bound, const float *distances, const uint32_t *rows,
                           uint32_t count, uint32_t *first_out)
{
    uint32_t first = capacity;
    for (uint32_t i = 0; i < count; i++) {
        if (!(distances[i] < bound) || (size == capacity && !(distances[i] < pool[size - 1].distance))) continue;
        uint32_t place = fr_pool_insert(pool, &size, capacity, distances[i], rows[i]);
        first = FR_MIN(first, place);
    }
    *first_out = first;
    return size;
}

const fr_simd_tier fr_simd_scalar = {
    .isa = TIER_ISA,
    DISTANCES,
    .dot_u8i8 = {dot_gather, dot_gather, dot_many, dot_many, "scalar"},
    .fine = {fine_l2, fine_dot},
    .encode = {rotate, bytes, nibbles_of, shift, query_of},
    .block = {block_pack, block_dots, block_below, block_few, block_order, block_bound, "scalar"},
    .to_f32 = fr_simd_scalar_to_f32,
    .from_f32 = fr_simd_scalar_from_f32,
    .narrowest = fr_simd_scalar_narrowest,
    .all_finite = fr_simd_scalar_all_finite,
    .norm_squared = fr_simd_scalar_norm_squared,
    .in_range = in_range,
    .sift = sift,
    .pool = {pool_distances, pool_merge},
    .signs = &fr_signs_scalar,
};
