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

/* One query: four chains, for its sums wait for each other. */
FR_INLINE void dots_alone(const int8_t *query, const uint8_t *first, uint32_t n, int32_t *out)
{
    const uint8_t *second = first + (size_t)n * 16;
    __m512i low[2], high[2];
    low[0] = low[1] = high[0] = high[1] = _mm512_setzero_si512();
    for (uint32_t w = 0; w < n; w += 8) {
        _Pragma("GCC unroll 2") for (uint32_t h = 0; h < 2; h++) {
            int32_t four;
            memcpy(&four, query + w + 4 * h, 4);
            __m512i broad = _mm512_set1_epi32(four);
            low[h] = add_products(low[h], _mm512_loadu_si512(first + 16 * (size_t)(w + 4 * h)), broad);
            high[h] = add_products(high[h], _mm512_loadu_si512(second + 16 * (size_t)(w + 4 * h)), broad);
        }
    }
    _mm512_storeu_si512(out, _mm512_add_epi32(low[0], low[1]));
    _mm512_storeu_si512(out + 16, _mm512_add_epi32(high[0], high[1]));
}

static void block_dots(const int8_t *queries, uint32_t query_count, const uint8_t *packed, uint32_t count, uint32_t n,
                       int32_t *out, size_t stride)
{
    for (uint32_t i = 0; i < count; i += FR_TILE_ROWS) {
        const uint8_t *rows = packed + (size_t)i * n;
        uint32_t q = 0;
        for (; q + TILE_QUERIES <= query_count; q += TILE_QUERIES)
            dots_tile(TILE_QUERIES, queries + (size_t)q * n, rows, n, out + q * stride + i, stride);
        for (; q < query_count; q++) dots_alone(queries + (size_t)q * n, rows, n, out + q * stride + i);
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

/* A key's place is how many are smaller, or equal and before it: counted against all of them at once, no branch on a key. V vectors stay in
 * registers; of two in different vectors it is known which stands before. */
FR_INLINE void order_as(const uint32_t V, int32_t *keys, uint32_t *places, uint32_t count)
{
    const __m512i one = _mm512_set1_epi32(1);
    __m512i key[8], place[8], rank[8];
    __mmask16 inside = 0xffff;
    _Pragma("GCC unroll 8") for (uint32_t v = 0; v < V; v++) {
        if (v + 1 == V) inside = (__mmask16)(0xffffu >> (16 * V - count));
        key[v] = _mm512_maskz_loadu_epi32(inside, keys + 16 * v);
        place[v] = _mm512_maskz_loadu_epi32(inside, places + 16 * v);
        rank[v] = _mm512_setzero_si512();
    }
    _Pragma("GCC unroll 8") for (uint32_t own = 0; own < V; own++) {
        for (uint32_t i = 0; i < 16 && 16 * own + i < count; i++) {
            const __m512i mine = _mm512_set1_epi32(keys[16 * own + i]);
            _Pragma("GCC unroll 8") for (uint32_t v = 0; v < V; v++) {
                __mmask16 less = v > own ? _mm512_cmple_epi32_mask(mine, key[v]) : _mm512_cmplt_epi32_mask(mine, key[v]);
                if (v == own) less |= _mm512_mask_cmpeq_epi32_mask((__mmask16)(0xfffeu << i), mine, key[v]);
                rank[v] = _mm512_mask_add_epi32(rank[v], less, rank[v], one);
            }
        }
    }
    _Pragma("GCC unroll 8") for (uint32_t v = 0; v < V; v++) {
        __mmask16 mask = v + 1 == V ? inside : (__mmask16)0xffff;
        _mm512_mask_i32scatter_epi32(keys, mask, rank[v], key[v], 4);
        _mm512_mask_i32scatter_epi32(places, mask, rank[v], place[v], 4);
    }
}

_Static_assert(FR_ORDER_MAX == 8 * 16, "one case for each number of vectors");

static void block_order(int32_t *keys, uint32_t *places, uint32_t count)
{
    switch ((count + 15) / 16) {
    case 0: break;
    case 1: order_as(1, keys, places, count); break;
    case 2: order_as(2, keys, places, count); break;
    case 3: order_as(3, keys, places, count); break;
    case 4: order_as(4, keys, places, count); break;
    case 5: order_as(5, keys, places, count); break;
    case 6: order_as(6, keys, places, count); break;
    case 7: order_as(7, keys, places, count); break;
    default: order_as(8, keys, places, count);
    }
}

/* The want-th of sixteen: of each how many are smaller, by turning them past each other. */
FR_INLINE int32_t bound_of_lanes(__m512i lanes, uint32_t want)
{
    const __m512i one = _mm512_set1_epi32(1);
    __m512i turn = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), rank = _mm512_setzero_si512();
    _Pragma("GCC unroll 15") for (int i = 1; i < 16; i++) {
        turn = _mm512_add_epi32(turn, one); /* modulo 16 */
        rank = _mm512_mask_add_epi32(rank, _mm512_cmplt_epi32_mask(_mm512_permutexvar_epi32(turn, lanes), lanes), rank, one);
    }
    return _mm512_mask_reduce_max_epi32(_mm512_cmplt_epi32_mask(rank, _mm512_set1_epi32((int)want)), lanes);
}

/* Key i is of lane i % 16: at least `want` keys are not above the want-th of the lanes' least, and seldom many more. */
static uint32_t block_few(const int32_t *dots, const int32_t *constants, uint32_t factor, uint32_t count, uint32_t want,
                          int32_t *keys, uint32_t *places)
{
    const __m512i next = _mm512_set1_epi32(16);
    const __m128i shift = _mm_cvtsi32_si128((int)(factor - 1));
    __m512i place = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), least = _mm512_set1_epi32(INT32_MAX);
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i += 16) {
        __mmask16 inside = (__mmask16)(count - i >= 16 ? 0xffffu : (1u << (count - i)) - 1);
        __m512i key = _mm512_sub_epi32(_mm512_maskz_loadu_epi32(inside, constants + i), _mm512_sll_epi32(_mm512_maskz_loadu_epi32(inside, dots + i), shift));
        least = _mm512_mask_min_epi32(least, inside, least, key);
    }
    const __m512i limit = _mm512_set1_epi32(bound_of_lanes(least, want));
    for (uint32_t i = 0; i < count; i += 16) {
        __mmask16 inside = (__mmask16)(count - i >= 16 ? 0xffffu : (1u << (count - i)) - 1);
        __m512i key = _mm512_sub_epi32(_mm512_maskz_loadu_epi32(inside, constants + i), _mm512_sll_epi32(_mm512_maskz_loadu_epi32(inside, dots + i), shift));
        found = keep_below(_mm512_mask_cmple_epi32_mask(inside, key, limit), key, place, keys, places, found);
        place = _mm512_add_epi32(place, next);
    }
    if (found > FR_ORDER_MAX) return block_few_each(dots, constants, factor, count, want, keys, places); /* there are many equal ones */
    block_order(keys, places, found);
    return found < want ? found : want;
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
    .block = {block_pack, block_dots, block_below, block_few, block_order, block_bound, "avx512vnni"},
};
#else
typedef int fr_no_avx512vnni_here; /* ISO C wants a declaration */
#endif
