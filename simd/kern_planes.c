/* kern_planes.c: weighted population counts with VPOPCNTDQ (of the tier avx512vnni); x86-64 only.
 * What they compute and why: planes.c. */
#include "simd/kern.h"

#if defined(__x86_64__)
#include <immintrin.h>

static inline __m512i weigh(__m512i bits, const __m512i plane[FR_PLANES])
{
    __m512i sum = _mm512_popcnt_epi64(_mm512_and_si512(bits, plane[FR_PLANES - 1]));
    for (int p = FR_PLANES - 2; p >= 0; p--)
        sum = _mm512_add_epi64(_mm512_slli_epi64(sum, 1), _mm512_popcnt_epi64(_mm512_and_si512(bits, plane[p])));
    return sum;
}

/* Rows of two words: four to a register, eight at a time. */
static inline __m256i eight_sums(const uint64_t *rows, const __m512i plane[FR_PLANES])
{
    const __m512i order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    __m512i a = weigh(_mm512_loadu_si512(rows), plane), b = weigh(_mm512_loadu_si512(rows + 8), plane);
    __m512i sums = _mm512_add_epi64(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
    return _mm512_cvtepi64_epi32(_mm512_permutexvar_epi64(order, sums));
}

static uint32_t two_words(const uint64_t *planes, const uint64_t *rows, uint32_t count, uint32_t *out)
{
    __m512i plane[FR_PLANES];
    uint32_t i = 0;
    for (uint32_t p = 0; p < FR_PLANES; p++) plane[p] = _mm512_broadcast_i64x2(_mm_loadu_si128((const void *)(planes + 2 * p)));
    for (; i + 8 <= count; i += 8) _mm256_storeu_si256((void *)(out + i), eight_sums(rows + 2 * (size_t)i, plane));
    return i;
}

/* The ids of those of 16 rows that pass. */
static inline uint32_t pass16(const fr_simd_bound *b, uint32_t i, __m512i sums, uint32_t *out)
{
    __m512 inner = _mm512_fmadd_ps(_mm512_set1_ps(b->scale), _mm512_cvtepi32_ps(sums), _mm512_set1_ps(b->offset));
    __m512 d = _mm512_fmadd_ps(_mm512_set1_ps(b->low), _mm512_loadu_ps(b->skew + i), _mm512_loadu_ps(b->base + i));
    d = _mm512_fmadd_ps(_mm512_loadu_ps(b->gain + i), inner, d);
    __mmask16 mask = _mm512_cmp_ps_mask(d, _mm512_set1_ps(b->limit), _CMP_LE_OQ);
    if (mask == 0) return 0;
    __m512i kept = _mm512_maskz_compress_epi32(mask, _mm512_loadu_si512(b->ids + i));
    uint32_t n = (uint32_t)__builtin_popcount(mask);
    _mm512_mask_storeu_epi32(out, (__mmask16)((1u << n) - 1), kept);
    return n;
}

static uint32_t below_two_words(const fr_simd_bound *b, uint32_t *out)
{
    __m512i plane[FR_PLANES];
    uint32_t n = 0;
    for (uint32_t p = 0; p < FR_PLANES; p++) plane[p] = _mm512_broadcast_i64x2(_mm_loadu_si128((const void *)(b->planes + 2 * p)));
    for (uint32_t i = 0; i < b->count; i += 16) {
        const uint64_t *rows = b->rows + 2 * (size_t)i;
        __m512i sums = _mm512_inserti64x4(_mm512_castsi256_si512(eight_sums(rows, plane)), eight_sums(rows + 16, plane), 1);
        n += pass16(b, i, sums, out + n);
    }
    return n;
}

static void any_words(const uint64_t *planes, const uint64_t *rows, uint32_t words, uint32_t count, uint32_t *out)
{
    for (uint32_t i = 0; i < count; i++) {
        __m512i sum = _mm512_setzero_si512();
        for (uint32_t w = 0; w < words; w += 8) {
            __mmask8 mask = (__mmask8)(words - w >= 8 ? 0xffu : (1u << (words - w)) - 1);
            __m512i bits = _mm512_maskz_loadu_epi64(mask, rows + (size_t)i * words + w), plane[FR_PLANES];
            for (uint32_t p = 0; p < FR_PLANES; p++) plane[p] = _mm512_maskz_loadu_epi64(mask, planes + (size_t)p * words + w);
            sum = _mm512_add_epi64(sum, weigh(bits, plane));
        }
        out[i] = (uint32_t)_mm512_reduce_add_epi64(sum);
    }
}

const fr_planes_kernel fr_planes_vpopcnt = {two_words, any_words, below_two_words};
#else
typedef int fr_planes_vpopcnt_is_x86; /* no empty file */
#endif
