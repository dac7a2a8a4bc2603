/* planes.c: weighted population counts: the dot product of a row of bits with a query of small unsigned integers.
 *
 * The query is kept as bit planes (plane p holds bit p of every integer), so 512 products are one AND and one count. Both forms
 * are exact. Source: the binary inner product of RaBitQ (Gao and Long, SIGMOD 2024), section 3.3.2. */
#include "simd/kern.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define VECTOR __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")))
#define COUNTING __attribute__((target("popcnt")))

VECTOR static inline __m512i weigh(__m512i bits, const __m512i plane[FR_PLANES])
{
    __m512i sum = _mm512_popcnt_epi64(_mm512_and_si512(bits, plane[FR_PLANES - 1]));
    for (int p = FR_PLANES - 2; p >= 0; p--)
        sum = _mm512_add_epi64(_mm512_slli_epi64(sum, 1), _mm512_popcnt_epi64(_mm512_and_si512(bits, plane[p])));
    return sum;
}

/* Rows of two words: four to a register, eight at a time. */
VECTOR static inline __m256i eight_sums(const uint64_t *rows, const __m512i plane[FR_PLANES])
{
    const __m512i order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    __m512i a = weigh(_mm512_loadu_si512(rows), plane), b = weigh(_mm512_loadu_si512(rows + 8), plane);
    __m512i sums = _mm512_add_epi64(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
    return _mm512_cvtepi64_epi32(_mm512_permutexvar_epi64(order, sums));
}

VECTOR static uint32_t two_words(const uint64_t *planes, const uint64_t *rows, uint32_t count, uint32_t *out)
{
    __m512i plane[FR_PLANES];
    uint32_t i = 0;
    for (uint32_t p = 0; p < FR_PLANES; p++) plane[p] = _mm512_broadcast_i64x2(_mm_loadu_si128((const void *)(planes + 2 * p)));
    for (; i + 8 <= count; i += 8) _mm256_storeu_si256((void *)(out + i), eight_sums(rows + 2 * (size_t)i, plane));
    return i;
}

/* The ids of those of 16 rows that pass. */
VECTOR static inline uint32_t pass16(const fr_simd_bound *b, uint32_t i, __m512i sums, uint32_t *out)
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

VECTOR static uint32_t below_two_words(const fr_simd_bound *b, uint32_t *out)
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

VECTOR static void any_words(const uint64_t *planes, const uint64_t *rows, uint32_t words, uint32_t count, uint32_t *out)
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
#else
#define COUNTING
#endif

COUNTING static void by_words(const uint64_t *planes, const uint64_t *rows, uint32_t words, uint32_t count, uint32_t *out)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t sum = 0;
        for (uint32_t p = FR_PLANES; p-- > 0;) {
            uint32_t ones = 0;
            for (uint32_t w = 0; w < words; w++) ones += (uint32_t)__builtin_popcountll(rows[(size_t)i * words + w] & planes[(size_t)p * words + w]);
            sum = 2 * sum + ones;
        }
        out[i] = sum;
    }
}

void fr_simd_planes_scalar(const uint64_t *planes, const uint64_t *rows, uint32_t words, uint32_t count, uint32_t *out)
{
    for (uint32_t i = 0; i < count; i++) {
        out[i] = 0;
        for (uint32_t b = 0; b < words * 64; b++)
            for (uint32_t p = 0; p < FR_PLANES; p++)
                out[i] += (uint32_t)(rows[(size_t)i * words + b / 64] >> (b % 64) & planes[(size_t)p * words + b / 64] >> (b % 64) & 1) << p;
    }
}

void fr_simd_planes(const uint64_t *planes, const uint64_t *rows, uint32_t words, uint32_t count, uint32_t *out)
{
    const fr_simd_tier *tier = fr_simd_active();
    if (tier == &fr_simd_scalar) {
        fr_simd_planes_scalar(planes, rows, words, count, out);
        return;
    }
#if defined(__x86_64__)
    if (tier == &fr_simd_avx512vnni) {
        uint32_t done = words == 2 ? two_words(planes, rows, count, out) : 0;
        any_words(planes, rows + (size_t)done * words, words, count - done, out + done);
        return;
    }
#endif
    by_words(planes, rows, words, count, out);
}

uint32_t fr_simd_below(const fr_simd_bound *b, uint32_t *out)
{
#if defined(__x86_64__)
    if (b->words == 2 && fr_simd_active() == &fr_simd_avx512vnni) return below_two_words(b, out);
#endif
    uint32_t n = 0, sums[64];
    for (uint32_t at = 0; at < b->count; at += FR_COUNT_OF(sums)) {
        uint32_t some = FR_MIN(b->count - at, (uint32_t)FR_COUNT_OF(sums));
        uint8_t near[FR_COUNT_OF(sums)] = {0};
        fr_simd_planes(b->planes, b->rows + (size_t)at * b->words, b->words, some, sums);
        for (uint32_t i = 0; i < some; i++)
            near[i] = b->base[at + i] + b->low * b->skew[at + i] + b->gain[at + i] * (b->scale * (float)(int32_t)sums[i] + b->offset) <= b->limit;
        for (uint32_t i = 0; i < some; i += 8)
            for (uint64_t flags = fr_load_le64(near + i); flags != 0; flags &= flags - 1) out[n++] = b->ids[at + i + (uint32_t)__builtin_ctzll(flags) / 8];
    }
    return n;
}
