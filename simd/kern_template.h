/* kern_template.h: the kernels of a vector tier, written once over a handful of operations that the including file
 * defines for its registers:
 *   floats    vf of VF_LANES; vf_zero, vf_sub, vf_fma, vf_load, vf_load_tail, vf_store_as, vf_sum32, vf_finite,
 *             vf_fits; where VF_HAS_SUM4: vf_sum32_4
 *   doubles   vd of VF_LANES / 2; vd_zero, vd_low, vd_high, vd_fma, vd_store
 *   integers  vi of VI_BYTES; vi_zero, vi_load, vi_load_tail, vi_xor, vi_and, vi_even, vi_odd, vi_sub16, vi_madd, vi_add32,
 *             vi_sum, vi_sum4, vi_count, vi_sum_counts
 *   shape     FLOAT_ROWS, COSINE_ROWS (rows side by side), TIER (symbol), TIER_ISA (name), TIER_BELOW (pointer)
 *
 * Invariants
 *  1. A float sum always has 32 lanes: element i goes to lane i % 32 by a fused multiply-add, absent elements are
 *     zeros, and the lanes are added in one fixed order. So one, many and gather give the same bits, and so do AVX2,
 *     AVX-512 and NEON.
 *  2. Finite input never gives NaN: a dot product or cosine that left the safe range is redone by the scalar kernel.
 *  3. Integer sums are exact: 255 * 255 * 32768 < 2^31.
 *  4. Nothing is read past the last element of a row or query.
 */
#ifndef FR_KERN_TEMPLATE_H
#define FR_KERN_TEMPLATE_H

#include "simd/kern.h"

#include <float.h>

#define UNROLL _Pragma("GCC unroll 8")
enum { VF_COUNT = 32 / VF_LANES, ROWS_MAX = 4 };

/* ==== floats ==== */

FR_INLINE void float_step(int metric, vf *sum, vf *norm, vf a, vf b)
{
    if (metric == FR_SIMD_L2) a = b = vf_sub(a, b);
    *sum = vf_fma(a, b, *sum);
    if (metric == FR_SIMD_COSINE) *norm = vf_fma(b, b, *norm);
}

FR_INLINE void float_rows(int metric, int query_kind, int row_kind, int R, const void *query, const void *const *rows,
                          uint32_t n, float *sums, float *norms)
{
    vf sum[ROWS_MAX][VF_COUNT], norm[ROWS_MAX][VF_COUNT];
    UNROLL for (int r = 0; r < R; r++) {
        UNROLL for (int v = 0; v < VF_COUNT; v++) sum[r][v] = norm[r][v] = vf_zero();
    }
    uint32_t i = 0;
    for (; i + 32 <= n; i += 32) {
        UNROLL for (int v = 0; v < VF_COUNT; v++) {
            vf a = vf_load(query_kind, query, i + (uint32_t)v * VF_LANES);
            UNROLL for (int r = 0; r < R; r++)
                float_step(metric, &sum[r][v], &norm[r][v], a,
                           vf_load(row_kind, rows[r], i + (uint32_t)v * VF_LANES));
        }
    }
    if (i < n) {
        vf a[VF_COUNT], b[VF_COUNT];
        vf_load_tail(query_kind, query, i, n - i, a);
        UNROLL for (int r = 0; r < R; r++) {
            vf_load_tail(row_kind, rows[r], i, n - i, b);
            UNROLL for (int v = 0; v < VF_COUNT; v++) float_step(metric, &sum[r][v], &norm[r][v], a[v], b[v]);
        }
    }
#ifdef VF_HAS_SUM4
    if (R == 4) {
        vf_sum32_4(sum, sums);
        if (metric == FR_SIMD_COSINE) vf_sum32_4(norm, norms);
        return;
    }
#endif
    UNROLL for (int r = 0; r < R; r++) {
        sums[r] = vf_sum32(sum[r]);
        norms[r] = metric == FR_SIMD_COSINE ? vf_sum32(norm[r]) : 0;
    }
}

FR_INLINE float float_norm(int kind, const void *array, uint32_t n)
{
    float sum, norm;
    float_rows(FR_SIMD_DOT, kind, kind, 1, array, &array, n, &sum, &norm);
    return sum;
}

/* Between these the single precision squares are neither lost to underflow nor infinite, and no sum of products is. */
FR_INLINE bool norm_is_safe(float norm) { return norm >= 1e-30f && norm <= FLT_MAX; }

FR_INLINE float float_finish(int metric, int query_kind, int row_kind, const void *query, const void *row, uint32_t n,
                             float sum, float query_norm, float row_norm)
{
    if (metric == FR_SIMD_L2) return sum; /* terms are not negative: infinite where the distance is, never NaN */
    if (metric == FR_SIMD_DOT && FR_LIKELY(sum >= -FLT_MAX && sum <= FLT_MAX)) return 0.0f - sum;
    if (metric == FR_SIMD_COSINE && FR_LIKELY(norm_is_safe(query_norm) && norm_is_safe(row_norm)))
        return fr_simd_cosine((double)sum, (double)query_norm, (double)row_norm);
    const fr_kernel *exact =
        query_kind == row_kind ? &fr_simd_scalar.same[metric][row_kind] : &fr_simd_scalar.mixed[metric][row_kind];
    return exact->one(query, row, n);
}

FR_INLINE void float_group(int metric, int query_kind, int row_kind, int R, const void *query, float query_norm,
                           const void *const *rows, uint32_t n, float *out)
{
    float sums[ROWS_MAX], norms[ROWS_MAX];
    float_rows(metric, query_kind, row_kind, R, query, rows, n, sums, norms);
    UNROLL for (int r = 0; r < R; r++)
        out[r] = float_finish(metric, query_kind, row_kind, query, rows[r], n, sums[r], query_norm, norms[r]);
}

FR_INLINE float float_one(int metric, int query_kind, int row_kind, const void *query, const void *row, uint32_t n)
{
    float out;
    float query_norm = metric == FR_SIMD_COSINE ? float_norm(query_kind, query, n) : 0;
    float_group(metric, query_kind, row_kind, 1, query, query_norm, &row, n, &out);
    return out;
}

FR_INLINE void float_gather(int metric, int query_kind, int row_kind, const void *query, const void *const *rows,
                            uint32_t count, uint32_t n, float *out)
{
    enum { PLAIN = FLOAT_ROWS, WITH_NORMS = COSINE_ROWS };
    const uint32_t R = metric == FR_SIMD_COSINE ? WITH_NORMS : PLAIN;
    float query_norm = metric == FR_SIMD_COSINE ? float_norm(query_kind, query, n) : 0;
    uint32_t i = 0;
    if (R > 1)
        for (; i + R <= count; i += R)
            float_group(metric, query_kind, row_kind, (int)R, query, query_norm, rows + i, n, out + i);
    for (; i < count; i++) float_group(metric, query_kind, row_kind, 1, query, query_norm, rows + i, n, out + i);
}

FR_INLINE void float_many(int metric, int query_kind, int row_kind, const void *query, const char *rows, size_t stride,
                          uint32_t count, uint32_t n, float *out)
{
    enum { PLAIN = FLOAT_ROWS, WITH_NORMS = COSINE_ROWS };
    const uint32_t R = metric == FR_SIMD_COSINE ? WITH_NORMS : PLAIN;
    float query_norm = metric == FR_SIMD_COSINE ? float_norm(query_kind, query, n) : 0;
    const void *group[ROWS_MAX];
    uint32_t i = 0;
    if (R > 1)
        for (; i + R <= count; i += R) {
            UNROLL for (uint32_t r = 0; r < R; r++) group[r] = rows + (i + r) * stride;
            float_group(metric, query_kind, row_kind, (int)R, query, query_norm, group, n, out + i);
        }
    for (; i < count; i++) {
        group[0] = rows + i * stride;
        float_group(metric, query_kind, row_kind, 1, query, query_norm, group, n, out + i);
    }
}

/* ==== integers ==== */

/* Exact sums of R rows: metric DOT: a * b, L2: (a - b)^2, COSINE: a * b, and b * b in norms. `padded`: no tail. */
FR_INLINE void integer_rows(int metric, int query_kind, int row_kind, int R, bool padded, const void *query,
                            const void *const *rows, uint32_t n, int32_t *sums, int32_t *norms)
{
    vi sum[ROWS_MAX], norm[ROWS_MAX];
    UNROLL for (int r = 0; r < ROWS_MAX; r++) sum[r] = norm[r] = vi_zero();
    for (uint32_t i = 0; padded ? i < n : i + VI_BYTES <= n; i += VI_BYTES) {
        vi a = vi_load(query, i), a_even = vi_even(query_kind, a), a_odd = vi_odd(query_kind, a);
        UNROLL for (int r = 0; r < R; r++) {
            vi b = vi_load(rows[r], i), b_even = vi_even(row_kind, b), b_odd = vi_odd(row_kind, b);
            vi even = metric == FR_SIMD_L2 ? vi_sub16(a_even, b_even) : a_even;
            vi odd = metric == FR_SIMD_L2 ? vi_sub16(a_odd, b_odd) : a_odd;
            sum[r] = vi_add32(sum[r], vi_madd(even, metric == FR_SIMD_L2 ? even : b_even));
            sum[r] = vi_add32(sum[r], vi_madd(odd, metric == FR_SIMD_L2 ? odd : b_odd));
            if (metric == FR_SIMD_COSINE)
                norm[r] = vi_add32(norm[r], vi_add32(vi_madd(b_even, b_even), vi_madd(b_odd, b_odd)));
        }
    }
    if (!padded && n % VI_BYTES != 0) {
        uint32_t i = n - n % VI_BYTES;
        vi a = vi_load_tail(query, i, n - i), a_even = vi_even(query_kind, a), a_odd = vi_odd(query_kind, a);
        UNROLL for (int r = 0; r < R; r++) {
            vi b = vi_load_tail(rows[r], i, n - i), b_even = vi_even(row_kind, b), b_odd = vi_odd(row_kind, b);
            vi even = metric == FR_SIMD_L2 ? vi_sub16(a_even, b_even) : a_even;
            vi odd = metric == FR_SIMD_L2 ? vi_sub16(a_odd, b_odd) : a_odd;
            sum[r] = vi_add32(sum[r], vi_madd(even, metric == FR_SIMD_L2 ? even : b_even));
            sum[r] = vi_add32(sum[r], vi_madd(odd, metric == FR_SIMD_L2 ? odd : b_odd));
            if (metric == FR_SIMD_COSINE)
                norm[r] = vi_add32(norm[r], vi_add32(vi_madd(b_even, b_even), vi_madd(b_odd, b_odd)));
        }
    }
    if (R == 4) {
        vi_sum4(sum, sums);
        if (metric == FR_SIMD_COSINE) vi_sum4(norm, norms);
        return;
    }
    UNROLL for (int r = 0; r < R; r++) {
        sums[r] = vi_sum(sum[r]);
        if (metric == FR_SIMD_COSINE) norms[r] = vi_sum(norm[r]);
    }
}

FR_INLINE void dot_rows(int R, bool padded, const int8_t *query, const void *const *rows, uint32_t n, int32_t *out)
{
    integer_rows(FR_SIMD_DOT, FR_SCALAR_I8, FR_SCALAR_U8, R, padded, query, rows, n, out, NULL);
}

FR_INLINE void integer_group(int metric, int kind, int R, const void *query, int32_t query_norm,
                             const void *const *rows, uint32_t n, float *out)
{
    int32_t sums[ROWS_MAX], norms[ROWS_MAX] = {0};
    integer_rows(metric, kind, kind, R, false, query, rows, n, sums, norms);
    UNROLL for (int r = 0; r < R; r++)
        out[r] = metric == FR_SIMD_COSINE ? fr_simd_cosine(sums[r], query_norm, norms[r])
                 : metric == FR_SIMD_L2   ? (float)sums[r]
                                          : (float)-sums[r];
}

FR_INLINE int32_t integer_norm(int metric, int kind, const void *query, uint32_t n)
{
    int32_t sum = 0;
    if (metric == FR_SIMD_COSINE) integer_rows(FR_SIMD_DOT, kind, kind, 1, false, query, &query, n, &sum, NULL);
    return sum;
}

FR_INLINE float integer_one(int metric, int kind, const void *query, const void *row, uint32_t n)
{
    float out;
    integer_group(metric, kind, 1, query, integer_norm(metric, kind, query, n), &row, n, &out);
    return out;
}

FR_INLINE void integer_gather(int metric, int kind, const void *query, const void *const *rows, uint32_t count,
                              uint32_t n, float *out)
{
    int32_t query_norm = integer_norm(metric, kind, query, n);
    uint32_t i = 0;
    for (; i + 4 <= count; i += 4) integer_group(metric, kind, 4, query, query_norm, rows + i, n, out + i);
    for (; i < count; i++) integer_group(metric, kind, 1, query, query_norm, rows + i, n, out + i);
}

FR_INLINE void integer_many(int metric, int kind, const void *query, const char *rows, size_t stride, uint32_t count,
                            uint32_t n, float *out)
{
    int32_t query_norm = integer_norm(metric, kind, query, n);
    uint32_t i = 0;
    for (; i + 4 <= count; i += 4, rows += 4 * stride) {
        const void *group[4] = {rows, rows + stride, rows + 2 * stride, rows + 3 * stride};
        integer_group(metric, kind, 4, query, query_norm, group, n, out + i);
    }
    for (; i < count; i++, rows += stride) {
        const void *group[1] = {rows};
        integer_group(metric, kind, 1, query, query_norm, group, n, out + i);
    }
}

/* ==== bits ==== */

FR_INLINE float bits_one(int metric, const void *query, const void *row, uint32_t dimension)
{
    const uint8_t *a = query, *b = row;
    uint32_t whole = dimension / 8, i = 0;
    uint64_t differ = 0, both = 0;
    if (whole >= VI_BYTES) {
        vi differs = vi_zero(), boths = vi_zero();
        for (; i + VI_BYTES <= whole; i += VI_BYTES) {
            vi x = vi_load(a, i), y = vi_load(b, i);
            differs = vi_count(differs, vi_xor(x, y));
            if (metric == FR_SIMD_JACCARD) boths = vi_count(boths, vi_and(x, y));
        }
        differ = vi_sum_counts(differs);
        if (metric == FR_SIMD_JACCARD) both = vi_sum_counts(boths);
    }
    for (; i + 8 <= whole; i += 8) {
        differ += (uint64_t)__builtin_popcountll(fr_load_le64(a + i) ^ fr_load_le64(b + i));
        if (metric == FR_SIMD_JACCARD) both += (uint64_t)__builtin_popcountll(fr_load_le64(a + i) & fr_load_le64(b + i));
    }
    for (; i < (dimension + 7) / 8; i++) {
        unsigned kept = i < whole ? 0xffu : fr_simd_last_bits(dimension);
        differ += (uint64_t)__builtin_popcount((unsigned)(a[i] ^ b[i]) & kept);
        both += (uint64_t)__builtin_popcount((unsigned)(a[i] & b[i]) & kept);
    }
    return fr_simd_bits_distance(metric, differ, both);
}

FR_INLINE void bits_many(int metric, const void *query, const char *rows, size_t stride, uint32_t count, uint32_t n, float *out)
{
    for (uint32_t i = 0; i < count; i++) out[i] = bits_one(metric, query, rows + i * stride, n);
}

FR_INLINE void bits_gather(int metric, const void *query, const void *const *rows, uint32_t count, uint32_t n, float *out)
{
    for (uint32_t i = 0; i < count; i++) out[i] = bits_one(metric, query, rows[i], n);
}

/* ==== conversions ==== */

FR_INLINE void widen(int kind, const void *source, uint32_t count, float *target)
{
    uint32_t i = 0;
    for (; i + VF_LANES <= count; i += VF_LANES) vf_store_as(FR_SCALAR_F32, vf_load(kind, source, i), target, i);
    const char *rest = (const char *)source + fr_scalar_size((fr_scalar)kind, i);
    if (i < count) fr_simd_scalar_to_f32((fr_scalar)kind, rest, count - i, target + i);
}

FR_INLINE void narrow(int kind, const float *source, uint32_t count, void *target)
{
    uint32_t i = 0;
    for (; i + VF_LANES <= count; i += VF_LANES) vf_store_as(kind, vf_load(FR_SCALAR_F32, source, i), target, i);
    char *rest = (char *)target + fr_scalar_size((fr_scalar)kind, i);
    if (i < count) fr_simd_scalar_from_f32((fr_scalar)kind, source + i, count - i, rest);
}

static void to_f32(fr_scalar from, const void *source, uint32_t count, float *target)
{
    switch (from) {
    case FR_SCALAR_F16: widen(FR_SCALAR_F16, source, count, target); break;
    case FR_SCALAR_BF16: widen(FR_SCALAR_BF16, source, count, target); break;
    case FR_SCALAR_I8: widen(FR_SCALAR_I8, source, count, target); break;
    case FR_SCALAR_U8: widen(FR_SCALAR_U8, source, count, target); break;
    default: fr_simd_scalar_to_f32(from, source, count, target);
    }
}

static void from_f32(fr_scalar to, const float *source, uint32_t count, void *target)
{
    switch (to) {
    case FR_SCALAR_F16: narrow(FR_SCALAR_F16, source, count, target); break;
    case FR_SCALAR_BF16: narrow(FR_SCALAR_BF16, source, count, target); break;
    case FR_SCALAR_I8: narrow(FR_SCALAR_I8, source, count, target); break;
    case FR_SCALAR_U8: narrow(FR_SCALAR_U8, source, count, target); break;
    default: fr_simd_scalar_from_f32(to, source, count, target);
    }
}

static fr_scalar narrowest(const float *source, uint32_t count)
{
    unsigned fits = FR_FITS_ALL;
    uint32_t i = 0;
    for (; i + VF_LANES <= count && fits != 0; i += VF_LANES) fits &= vf_fits(vf_load(FR_SCALAR_F32, source, i));
    if (i < count && fits != 0) { /* the zeros after the last element fit everything */
        vf tail[VF_COUNT];
        vf_load_tail(FR_SCALAR_F32, source, i, FR_MIN(count - i, 32u), tail);
        fits &= vf_fits(tail[0]);
    }
    return fr_simd_fits_scalar(fits);
}

static bool all_finite(const float *source, uint32_t count)
{
    bool finite = true;
    uint32_t i = 0;
    for (; i + VF_LANES <= count; i += VF_LANES) finite &= vf_finite(vf_load(FR_SCALAR_F32, source, i));
    if (i < count) {
        vf tail[VF_COUNT];
        vf_load_tail(FR_SCALAR_F32, source, i, count - i, tail);
        finite &= vf_finite(tail[0]);
    }
    return finite;
}

static double norm_squared(const float *source, uint32_t count)
{
    enum { PER_16 = 16 / VF_LANES };
    vd sum[2 * PER_16];
    UNROLL for (int s = 0; s < 2 * PER_16; s++) sum[s] = vd_zero();
    vf part[VF_COUNT];
    for (uint32_t i = 0; i < count; i += 32) {
        if (i + 32 <= count) {
            UNROLL for (int v = 0; v < VF_COUNT; v++)
                part[v] = vf_load(FR_SCALAR_F32, source, i + (uint32_t)v * VF_LANES);
        } else {
            vf_load_tail(FR_SCALAR_F32, source, i, count - i, part);
        }
        UNROLL for (int v = 0; v < VF_COUNT; v++) {
            vd low = vd_low(part[v]), high = vd_high(part[v]);
            sum[v % PER_16 * 2] = vd_fma(low, low, sum[v % PER_16 * 2]);
            sum[v % PER_16 * 2 + 1] = vd_fma(high, high, sum[v % PER_16 * 2 + 1]);
        }
    }
    double lanes[16];
    UNROLL for (int s = 0; s < 2 * PER_16; s++) vd_store(lanes + (uint32_t)s * (VF_LANES / 2), sum[s]);
    return fr_simd_add16(lanes);
}

/* ==== the table ==== */

#include "simd/kern_dot.h"
#include "simd/kern_encode.h"
#include "simd/kern_fine.h"

#define FLOAT_KERNEL(name, metric, query_kind, row_kind)                                                               \
    static float name##_one(const void *query, const void *row, uint32_t n)                                            \
    {                                                                                                                  \
        return float_one(metric, query_kind, row_kind, query, row, n);                                                 \
    }                                                                                                                  \
    static void name##_many(const void *query, const void *rows, size_t stride, uint32_t count, uint32_t n,            \
                            float *out)                                                                                \
    {                                                                                                                  \
        float_many(metric, query_kind, row_kind, query, rows, stride, count, n, out);                                  \
    }                                                                                                                  \
    static void name##_gather(const void *query, const void *const *rows, uint32_t count, uint32_t n, float *out)      \
    {                                                                                                                  \
        float_gather(metric, query_kind, row_kind, query, rows, count, n, out);                                        \
    }
#define INTEGER_KERNEL(name, metric, kind)                                                                             \
    static float name##_one(const void *query, const void *row, uint32_t n)                                            \
    {                                                                                                                  \
        return integer_one(metric, kind, query, row, n);                                                               \
    }                                                                                                                  \
    static void name##_many(const void *query, const void *rows, size_t stride, uint32_t count, uint32_t n,            \
                            float *out)                                                                                \
    {                                                                                                                  \
        integer_many(metric, kind, query, rows, stride, count, n, out);                                                \
    }                                                                                                                  \
    static void name##_gather(const void *query, const void *const *rows, uint32_t count, uint32_t n, float *out)      \
    {                                                                                                                  \
        integer_gather(metric, kind, query, rows, count, n, out);                                                      \
    }
#define BITS_KERNEL(name, metric)                                                                                      \
    static float name##_one(const void *query, const void *row, uint32_t n) { return bits_one(metric, query, row, n); } \
    static void name##_many(const void *query, const void *rows, size_t stride, uint32_t count, uint32_t n,            \
                            float *out)                                                                                \
    {                                                                                                                  \
        bits_many(metric, query, rows, stride, count, n, out);                                                         \
    }                                                                                                                  \
    static void name##_gather(const void *query, const void *const *rows, uint32_t count, uint32_t n, float *out)      \
    {                                                                                                                  \
        bits_gather(metric, query, rows, count, n, out);                                                               \
    }

BITS_KERNEL(hamming, FR_SIMD_HAMMING)
BITS_KERNEL(jaccard, FR_SIMD_JACCARD)

BLOCK_OF_ROWS

#include "simd/kern_table.h"

const fr_simd_tier TIER = {
    .isa = TIER_ISA,
    .below = TIER_BELOW,
    DISTANCES,
    .dot_u8i8 = {dot_gather_padded, dot_gather, dot_many_padded, dot_many, TIER_ISA},
    .fine = {fine_l2, fine_dot},
    .encode = {encode_rotate, encode_bytes, encode_nibbles, encode_shift, encode_query},
    .block = {block_pack, block_dots, block_below, block_few, block_order, block_bound, TIER_ISA},
    .to_f32 = to_f32,
    .from_f32 = from_f32,
    .narrowest = narrowest,
    .all_finite = all_finite,
    .norm_squared = norm_squared,
    .in_range = vi_in_range,
#ifdef FR_TIER_POOL
    .pool = FR_TIER_POOL,
#endif
#ifdef FR_TIER_SIGNS
    .signs = FR_TIER_SIGNS,
#endif
#ifdef FR_TIER_SIFT
    .sift = FR_TIER_SIFT,
#endif
};

#endif
