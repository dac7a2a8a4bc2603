/* kern_avx512vnni.c: what VNNI and VPOPCNTDQ change: the walk's dot product and Hamming. All else is the avx512 tier.
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

static float hamming_one(const void *query, const void *row, uint32_t dimension)
{
    const char *a = query, *b = row;
    uint32_t whole = dimension / 8, i = 0;
    __m512i counts = _mm512_setzero_si512();
    for (; i + 64 <= whole; i += 64) {
        __m512i differ = _mm512_xor_si512(_mm512_loadu_si512(a + i), _mm512_loadu_si512(b + i));
        counts = _mm512_add_epi64(counts, _mm512_popcnt_epi64(differ));
    }
    if (i < whole) {
        __mmask64 mask = ~0ull >> (64 - (whole - i));
        __m512i differ =
            _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, a + i), _mm512_maskz_loadu_epi8(mask, b + i));
        counts = _mm512_add_epi64(counts, _mm512_popcnt_epi64(differ));
    }
    int64_t sum = _mm512_reduce_add_epi64(counts);
    if (dimension & 7u)
        sum += __builtin_popcount((unsigned)(a[whole] ^ b[whole]) & fr_simd_last_bits(dimension));
    return (float)sum;
}

static void hamming_many(const void *query, const void *rows, size_t stride, uint32_t count, uint32_t n, float *out)
{
    for (uint32_t i = 0; i < count; i++) out[i] = hamming_one(query, (const char *)rows + i * stride, n);
}

static void hamming_gather(const void *query, const void *const *rows, uint32_t count, uint32_t n, float *out)
{
    for (uint32_t i = 0; i < count; i++) out[i] = hamming_one(query, rows[i], n);
}

const fr_simd_tier fr_simd_avx512vnni = {
    .isa = "avx512vnni",
    .below = &fr_simd_avx512,
    .same = {[FR_SIMD_HAMMING] = {[FR_SCALAR_BIT] = {hamming_one, hamming_many, hamming_gather, "avx512vnni"}}},
    .dot_u8i8 = {dot_gather_padded, dot_gather, dot_many_padded, dot_many, "avx512vnni"},
};
#else
typedef int fr_no_avx512vnni_here; /* ISO C wants a declaration */
#endif
