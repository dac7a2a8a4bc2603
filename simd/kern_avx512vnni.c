/* kern_avx512vnni.c: what VNNI and VPOPCNTDQ change: the walk's dot product and distances of bits. All else is the avx512 tier.
 *
 * vpdpbusd multiplies 64 unsigned by 64 signed bytes into sixteen 32-bit sums without saturation. Four rows go side by
 * side: one load of the query serves four, their chains hide the latency, and one reduction ends all four.
 */
#if defined(__x86_64__)
#include "simd/kern.h"

#include <immintrin.h>

#define UNROLL _Pragma("GCC unroll 4")

FR_INLINE void store4(const __m512i x[4], int32_t *out)
{
    __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(x[0], x[1]), _mm512_unpackhi_epi32(x[0], x[1]));
    __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(x[2], x[3]), _mm512_unpackhi_epi32(x[2], x[3]));
    __m512i all = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
    _mm_storeu_si128((void *)out, _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1)));
}

/* sum += row (unsigned) * query (signed). gcc 12 copies the sum to another register and back around its intrinsic. */
FR_INLINE __m512i add_products(__m512i sum, __m512i row, __m512i query)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(row), "v"(query));
    return sum;
}

FR_INLINE void dot_rows(int R, bool padded, const int8_t *query, const void *const *rows, uint32_t n, int32_t *out)
{
    __m512i sum[4];
    UNROLL for (int r = 0; r < 4; r++) sum[r] = _mm512_setzero_si512();
    uint32_t i = 0;
    for (; padded ? i < n : i + 64 <= n; i += 64) {
        __m512i a = _mm512_loadu_si512(query + i);
        UNROLL for (int r = 0; r < R; r++)
            sum[r] = add_products(sum[r], _mm512_loadu_si512((const char *)rows[r] + i), a);
    }
    if (!padded && i < n) {
        __mmask64 mask = ~0ull >> (64 - (n - i));
        __m512i a = _mm512_maskz_loadu_epi8(mask, query + i);
        UNROLL for (int r = 0; r < R; r++)
            sum[r] = add_products(sum[r], _mm512_maskz_loadu_epi8(mask, (const char *)rows[r] + i), a);
    }
    if (R == 4) {
        store4(sum, out);
        return;
    }
    UNROLL for (int r = 0; r < R; r++) out[r] = _mm512_reduce_add_epi32(sum[r]);
}

#include "simd/kern_dot.h"

/* ==== blocks: sixteen packed rows side by side in one register, four codes of each; a query's four codes are broadcast.
 * A tile of eight queries by 32 rows keeps sixteen sums in registers and needs no reduction at the end. ==== */

#define TILE_QUERIES 8

/* Sixteen registers of sixteen words each, transposed: by pairs of words, by fours, then by quarters of registers. */
FR_INLINE void transpose16(__m512i x[16])
{
    __m512i y[16];
    _Pragma("GCC unroll 8") for (int i = 0; i < 16; i += 2) {
        y[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
        y[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
    }
    _Pragma("GCC unroll 4") for (int i = 0; i < 16; i += 4) {
        x[i] = _mm512_unpacklo_epi64(y[i], y[i + 2]);
        x[i + 1] = _mm512_unpackhi_epi64(y[i], y[i + 2]);
        x[i + 2] = _mm512_unpacklo_epi64(y[i + 1], y[i + 3]);
        x[i + 3] = _mm512_unpackhi_epi64(y[i + 1], y[i + 3]);
    }
    _Pragma("GCC unroll 4") for (int i = 0; i < 4; i++) { /* x[4g + i]: word 4l + i of rows 4g..4g+3, in quarter l */
        __m512i even = _mm512_shuffle_i32x4(x[i], x[4 + i], 0x88), odd = _mm512_shuffle_i32x4(x[i], x[4 + i], 0xdd);
        __m512i even2 = _mm512_shuffle_i32x4(x[8 + i], x[12 + i], 0x88), odd2 = _mm512_shuffle_i32x4(x[8 + i], x[12 + i], 0xdd);
        y[i] = _mm512_shuffle_i32x4(even, even2, 0x88);
        y[4 + i] = _mm512_shuffle_i32x4(odd, odd2, 0x88);
        y[8 + i] = _mm512_shuffle_i32x4(even, even2, 0xdd);
        y[12 + i] = _mm512_shuffle_i32x4(odd, odd2, 0xdd);
    }
    _Pragma("GCC unroll 16") for (int i = 0; i < 16; i++) x[i] = y[i];
}

static void block_pack(const uint8_t *const *rows, uint32_t count, uint32_t n, uint8_t *packed)
{
    for (uint32_t i = 0; i < fr_tile_rows(count); i += 16) {
        for (uint32_t at = 0; at < n; at += 64) {
            __m512i x[16];
            _Pragma("GCC unroll 16") for (uint32_t r = 0; r < 16; r++) x[r] = i + r < count ? _mm512_loadu_si512(rows[i + r] + at) : _mm512_setzero_si512();
            transpose16(x);
            _Pragma("GCC unroll 16") for (uint32_t w = 0; w < 16; w++) _mm512_store_si512(packed + (size_t)i * n + 16 * (size_t)at + 64 * w, x[w]);
        }
    }
}

FR_INLINE void dots_tile(int Q, const int8_t *queries, const uint8_t *first, uint32_t n, int32_t *out, size_t stride)
{
    const uint8_t *second = first + (size_t)n * 16;
    __m512i low[TILE_QUERIES], high[TILE_QUERIES];
    _Pragma("GCC unroll 8") for (int q = 0; q < Q; q++) low[q] = high[q] = _mm512_setzero_si512();
    for (uint32_t w = 0; w < n; w += 4) {
        __m512i a = _mm512_loadu_si512(first + 16 * (size_t)w), b = _mm512_loadu_si512(second + 16 * (size_t)w);
        _Pragma("GCC unroll 8") for (int q = 0; q < Q; q++) {
            int32_t four;
            memcpy(&four, queries + (size_t)q * n + w, 4);
            __m512i query = _mm512_set1_epi32(four);
            low[q] = add_products(low[q], a, query);
            high[q] = add_products(high[q], b, query);
        }
    }
    _Pragma("GCC unroll 8") for (int q = 0; q < Q; q++) {
        _mm512_storeu_si512(out + (size_t)q * stride, low[q]);
        _mm512_storeu_si512(out + (size_t)q * stride + 16, high[q]);
    }
}

static void block_dots(const int8_t *queries, uint32_t query_count, const uint8_t *packed, uint32_t count, uint32_t n,
                       int32_t *out, size_t stride)
{
    for (uint32_t i = 0; i < count; i += FR_TILE_ROWS) {
        const uint8_t *rows = packed + (size_t)i * n;
        uint32_t q = 0;
        for (; q + TILE_QUERIES <= query_count; q += TILE_QUERIES)
            dots_tile(TILE_QUERIES, queries + (size_t)q * n, rows, n, out + q * stride + i, stride);
        for (; q < query_count; q++) dots_tile(1, queries + (size_t)q * n, rows, n, out + q * stride + i, stride);
    }
}

/* What is not kept is overwritten by the next: few are near, and a branch on that could not be foretold. The compressing form of a store
 * is slow on some CPUs. The mask is moved by name: gcc 12 spills 16 bits of it where calls stand between (-fsanitize=thread) and counts those of 32. */
FR_INLINE uint32_t keep_below(__mmask16 near, __m512i key, __m512i place, int32_t *keys, uint32_t *places, uint32_t found)
{
    const uint32_t more = (uint32_t)_mm_popcnt_u32(_cvtmask16_u32(near));
    _mm512_storeu_si512(keys + found, _mm512_maskz_compress_epi32(near, key));
    _mm512_storeu_si512(places + found, _mm512_maskz_compress_epi32(near, place));
    return found + more;
}

static uint32_t block_below(const int32_t *dots, const int32_t *constants, uint32_t factor, uint32_t count,
                            int32_t bound, int32_t *keys, uint32_t *places)
{
    const __m512i limit = _mm512_set1_epi32(bound), next = _mm512_set1_epi32(16);
    const __m128i shift = _mm_cvtsi32_si128((int)(factor - 1)); /* times 1 or 2 */
    __m512i place = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    uint32_t found = 0, i = 0;
    for (; i + 16 <= count; i += 16) {
        _mm_prefetch((const char *)(dots + i + 128), _MM_HINT_T0); /* they come from the second cache */
        __m512i key = _mm512_sub_epi32(_mm512_loadu_si512(constants + i), _mm512_sll_epi32(_mm512_loadu_si512(dots + i), shift));
        found = keep_below(_mm512_cmplt_epi32_mask(key, limit), key, place, keys, places, found);
        place = _mm512_add_epi32(place, next);
    }
    if (i == count) return found;
    __mmask16 inside = (__mmask16)((1u << (count - i)) - 1);
    __m512i key = _mm512_sub_epi32(_mm512_maskz_loadu_epi32(inside, constants + i), _mm512_sll_epi32(_mm512_maskz_loadu_epi32(inside, dots + i), shift));
    return keep_below(_mm512_mask_cmplt_epi32_mask(inside, key, limit), key, place, keys, places, found);
}

/* A key's place is how many are smaller, or equal and before it: counted against all of them at once, no branch on a key. */
static void block_order(int32_t *keys, uint32_t *places, uint32_t count)
{
    enum { VECTORS = FR_ORDER_MAX / 16 };
    __m512i key[VECTORS], place[VECTORS], rank[VECTORS];
    uint32_t vectors = (count + 15) / 16;
    for (uint32_t v = 0; v < vectors; v++) {
        __mmask16 inside = (__mmask16)(count - 16 * v >= 16 ? 0xffffu : (1u << (count - 16 * v)) - 1);
        key[v] = _mm512_maskz_loadu_epi32(inside, keys + 16 * v);
        place[v] = _mm512_maskz_loadu_epi32(inside, places + 16 * v);
        rank[v] = _mm512_setzero_si512();
    }
    const __m512i one = _mm512_set1_epi32(1);
    for (uint32_t i = 0; i < count; i++) {
        const __m512i mine = _mm512_set1_epi32(keys[i]);
        uint32_t own = i / 16;
        for (uint32_t v = 0; v < vectors; v++) {
            __mmask16 after = (__mmask16)(v > own ? 0xffffu : v < own ? 0 : 0xfffeu << i % 16);
            __mmask16 less = _mm512_cmplt_epi32_mask(mine, key[v]);
            less |= _mm512_mask_cmpeq_epi32_mask(after, mine, key[v]);
            rank[v] = _mm512_mask_add_epi32(rank[v], less, rank[v], one);
        }
    }
    for (uint32_t v = 0; v < vectors; v++) {
        __mmask16 inside = (__mmask16)(count - 16 * v >= 16 ? 0xffffu : (1u << (count - 16 * v)) - 1);
        _mm512_mask_i32scatter_epi32(keys, inside, rank[v], key[v], 4);
        _mm512_mask_i32scatter_epi32(places, inside, rank[v], place[v], 4);
    }
}

static int32_t block_bound(const int32_t *keys, uint32_t count, uint32_t want) { return block_bound_by(block_order, keys, count, want); }

/* Four rows: dot products with the query, and sum c (c - 256) of each row itself. */
FR_INLINE void dot_and_constant(const int8_t *query, const uint8_t *const *rows, uint32_t n, int32_t *dots, int32_t *constants)
{
    const __m512i flip = _mm512_set1_epi8(-128);
    __m512i dot[4], own[4];
    UNROLL for (int r = 0; r < 4; r++) dot[r] = own[r] = _mm512_setzero_si512();
    for (uint32_t i = 0; i < n; i += 64) {
        __m512i a = _mm512_loadu_si512(query + i);
        UNROLL for (int r = 0; r < 4; r++) {
            __m512i c = _mm512_loadu_si512(rows[r] + i);
            dot[r] = add_products(dot[r], c, a);
            own[r] = add_products(own[r], c, _mm512_xor_si512(c, flip)); /* c (c - 128) */
            own[r] = add_products(own[r], c, flip);                      /* - 128 c */
        }
    }
    store4(dot, dots);
    store4(own, constants);
}

static void dot_gather_constant(const int8_t *query, const uint8_t *const *rows, uint32_t count, uint32_t n, int32_t *dots,
                                int32_t *constants)
{
    uint32_t i = 0;
    for (; i + 4 <= count; i += 4) dot_and_constant(query, rows + i, n, dots + i, constants + i);
    if (i == count) return;
    const uint8_t *last[4];
    int32_t dots4[4], constants4[4];
    for (uint32_t r = 0; r < 4; r++) last[r] = rows[i + r < count ? i + r : i];
    dot_and_constant(query, last, n, dots4, constants4);
    for (uint32_t r = 0; i + r < count; r++) dots[i + r] = dots4[r], constants[i + r] = constants4[r];
}

FR_INLINE float bits_one(int metric, const void *query, const void *row, uint32_t dimension)
{
    const char *a = query, *b = row;
    uint32_t whole = dimension / 8, i = 0;
    __m512i differs = _mm512_setzero_si512(), boths = differs;
    for (; i < whole; i += 64) {
        __mmask64 mask = whole - i < 64 ? ~0ull >> (64 - (whole - i)) : ~0ull;
        __m512i x = _mm512_maskz_loadu_epi8(mask, a + i), y = _mm512_maskz_loadu_epi8(mask, b + i);
        differs = _mm512_add_epi64(differs, _mm512_popcnt_epi64(_mm512_xor_si512(x, y)));
        if (metric == FR_SIMD_JACCARD) boths = _mm512_add_epi64(boths, _mm512_popcnt_epi64(_mm512_and_si512(x, y)));
    }
    uint64_t differ = (uint64_t)_mm512_reduce_add_epi64(differs);
    uint64_t both = metric == FR_SIMD_JACCARD ? (uint64_t)_mm512_reduce_add_epi64(boths) : 0;
    if (dimension & 7u) {
        unsigned kept = fr_simd_last_bits(dimension);
        differ += (uint64_t)__builtin_popcount((unsigned)(a[whole] ^ b[whole]) & kept);
        both += (uint64_t)__builtin_popcount((unsigned)(a[whole] & b[whole]) & kept);
    }
    return fr_simd_bits_distance(metric, differ, both);
}

#define BITS_KERNEL(name, metric)                                                                                       \
    static float name##_one(const void *query, const void *row, uint32_t n) { return bits_one(metric, query, row, n); } \
    static void name##_many(const void *query, const void *rows, size_t stride, uint32_t count, uint32_t n, float *out) \
    {                                                                                                                   \
        for (uint32_t i = 0; i < count; i++) out[i] = bits_one(metric, query, (const char *)rows + i * stride, n);      \
    }                                                                                                                   \
    static void name##_gather(const void *query, const void *const *rows, uint32_t count, uint32_t n, float *out)       \
    {                                                                                                                   \
        for (uint32_t i = 0; i < count; i++) out[i] = bits_one(metric, query, rows[i], n);                              \
    }
BITS_KERNEL(hamming, FR_SIMD_HAMMING)
BITS_KERNEL(jaccard, FR_SIMD_JACCARD)

const fr_simd_tier fr_simd_avx512vnni = {
    .isa = "avx512vnni",
    .below = &fr_simd_avx512,
    .same = {[FR_SIMD_HAMMING] = {[FR_SCALAR_BIT] = {hamming_one, hamming_many, hamming_gather, "avx512vnni"}},
             [FR_SIMD_JACCARD] = {[FR_SCALAR_BIT] = {jaccard_one, jaccard_many, jaccard_gather, "avx512vnni"}}},
    .dot_u8i8 = {dot_gather_padded, dot_gather, dot_many_padded, dot_many, "avx512vnni", dot_gather_constant},
    .block = {block_pack, block_dots, block_below, block_order, block_bound, "avx512vnni"},
};
#else
typedef int fr_no_avx512vnni_here; /* ISO C wants a declaration */
#endif
