/* kern_avx512.c: the AVX-512 (F, BW, DQ, VL) tier, in native intrinsics; x86-64 only.
 *
 * Only the operations are here; the kernels are in kern_template.h. Tails are masked loads, which do not fault on
 * what the mask leaves out.
 */
#if defined(__x86_64__)
#include "simd/kern.h"

#include <immintrin.h>

#define VF_LANES 16u
#define VI_BYTES 64u
#define FLOAT_ROWS 4
#define COSINE_ROWS 4
#define TIER fr_simd_avx512
#define TIER_BELOW (&fr_simd_avx2)
#define TIER_ISA "avx512"

typedef __m512 vf;
typedef __m512d vd;
typedef __m512i vi;

/* ==== floats ==== */

FR_INLINE vf vf_zero(void) { return _mm512_setzero_ps(); }
FR_INLINE vf vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
FR_INLINE vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }

FR_INLINE vf bf16_to_f32(__m256i half)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

FR_INLINE vf vf_load(int kind, const void *array, uint32_t i)
{
    const char *from = array;
    switch (kind) {
    case FR_SCALAR_F16: return _mm512_cvtph_ps(_mm256_loadu_si256((const void *)(from + 2 * (size_t)i)));
    case FR_SCALAR_BF16: return bf16_to_f32(_mm256_loadu_si256((const void *)(from + 2 * (size_t)i)));
    case FR_SCALAR_I8:
        return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)(from + i))));
    case FR_SCALAR_U8:
        return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)(from + i))));
    default: return _mm512_loadu_ps((const void *)(from + 4 * (size_t)i));
    }
}

FR_INLINE vf load_masked(int kind, const void *array, uint32_t i, __mmask16 mask)
{
    const char *from = array;
    switch (kind) {
    case FR_SCALAR_F16: return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, (const void *)(from + 2 * (size_t)i)));
    case FR_SCALAR_BF16: return bf16_to_f32(_mm256_maskz_loadu_epi16(mask, (const void *)(from + 2 * (size_t)i)));
    case FR_SCALAR_I8:
        return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(mask, (const void *)(from + i))));
    case FR_SCALAR_U8:
        return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, (const void *)(from + i))));
    default: return _mm512_maskz_loadu_ps(mask, (const void *)(from + 4 * (size_t)i));
    }
}

/* Elements i .. i + left - 1 (left is 1 to 31), then zeros. */
FR_INLINE void vf_load_tail(int kind, const void *array, uint32_t i, uint32_t left, vf out[2])
{
    uint32_t mask = (1u << left) - 1;
    out[0] = load_masked(kind, array, i, (__mmask16)(mask & 0xffffu));
    out[1] = left > 16 ? load_masked(kind, array, i + 16, (__mmask16)(mask >> 16)) : _mm512_setzero_ps();
}

FR_INLINE __m512i narrow_i32(vf x, float low, float high)
{
    return _mm512_cvtps_epi32(_mm512_min_ps(_mm512_max_ps(x, _mm512_set1_ps(low)), _mm512_set1_ps(high)));
}

/* The masked form, because gcc 12 warns about its own macro for the plain one when it does not optimise. */
FR_INLINE __m256i f32_to_f16(vf x)
{
    return _mm512_maskz_cvtps_ph((__mmask16)0xffffu, x, _MM_FROUND_TO_NEAREST_INT);
}

FR_INLINE __m256i f32_to_bf16(vf x)
{
    __m512i bits = _mm512_castps_si512(x), upper = _mm512_srli_epi32(bits, 16);
    __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    __m512i half = _mm512_add_epi32(_mm512_set1_epi32(0x7fff), _mm512_and_si512(upper, _mm512_set1_epi32(1)));
    __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(bits, half), 16);
    return _mm512_cvtepi32_epi16(_mm512_mask_or_epi32(rounded, nan, upper, _mm512_set1_epi32(0x40)));
}

FR_INLINE void vf_store_as(int kind, vf x, void *array, uint32_t i)
{
    char *to = array;
    switch (kind) {
    case FR_SCALAR_F16: _mm256_storeu_si256((void *)(to + 2 * (size_t)i), f32_to_f16(x)); break;
    case FR_SCALAR_BF16: _mm256_storeu_si256((void *)(to + 2 * (size_t)i), f32_to_bf16(x)); break;
    case FR_SCALAR_I8:
        _mm_storeu_si128((void *)(to + i), _mm512_cvtepi32_epi8(narrow_i32(x, -128, 127)));
        break;
    case FR_SCALAR_U8: _mm_storeu_si128((void *)(to + i), _mm512_cvtepi32_epi8(narrow_i32(x, 0, 255))); break;
    default: _mm512_storeu_ps((void *)(to + 4 * (size_t)i), x);
    }
}

/* Lanes 16 apart, then 8, 4, 2 and 1. */
FR_INLINE float vf_sum32(const vf x[2])
{
    vf all = _mm512_add_ps(x[0], x[1]);
    __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

/* The same order for four rows at once: each step folds two registers into one. */
#define VF_HAS_SUM4
FR_INLINE vf fold(vf a, vf b, int odd)
{
    return odd ? _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd))
               : _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
}

FR_INLINE void vf_sum32_4(vf x[4][2], float *out)
{
    vf ab = fold(_mm512_add_ps(x[0][0], x[0][1]), _mm512_add_ps(x[1][0], x[1][1]), 0);
    vf cd = fold(_mm512_add_ps(x[2][0], x[2][1]), _mm512_add_ps(x[3][0], x[3][1]), 0);
    vf quads = fold(ab, cd, 1); /* four lanes of each row */
    quads = _mm512_add_ps(quads, _mm512_shuffle_ps(quads, quads, 0x4e));
    quads = _mm512_add_ps(quads, _mm512_shuffle_ps(quads, quads, 0xb1));
    _mm_storeu_ps(out, _mm512_castps512_ps128(_mm512_maskz_compress_ps(0x1111, quads)));
}

FR_INLINE bool vf_finite(vf x)
{
    __m512i exponent = _mm512_set1_epi32(0x7f800000);
    return _mm512_cmpeq_epi32_mask(_mm512_and_si512(_mm512_castps_si512(x), exponent), exponent) == 0;
}

FR_INLINE unsigned vf_fits(vf x)
{
    __m512i bits = _mm512_castps_si512(x), n = _mm512_cvtps_epi32(x), high = _mm512_set1_epi32(~255);
    __m512i back = _mm512_castps_si512(_mm512_cvtepi32_ps(n));
    __m512i f16 = _mm512_castps_si512(_mm512_cvtph_ps(f32_to_f16(x)));
    bool whole = _mm512_cmpneq_epi32_mask(back, bits) == 0;
    unsigned fits = 0;
    if (whole && _mm512_test_epi32_mask(n, high) == 0) fits |= FR_FITS_U8;
    if (whole && _mm512_test_epi32_mask(_mm512_add_epi32(n, _mm512_set1_epi32(128)), high) == 0) fits |= FR_FITS_I8;
    if (_mm512_cmpneq_epi32_mask(f16, bits) == 0) fits |= FR_FITS_F16;
    if (_mm512_test_epi32_mask(bits, _mm512_set1_epi32(0xffff)) == 0) fits |= FR_FITS_BF16;
    return fits;
}

/* ==== doubles ==== */

FR_INLINE vd vd_zero(void) { return _mm512_setzero_pd(); }
FR_INLINE vd vd_low(vf x) { return _mm512_cvtps_pd(_mm512_castps512_ps256(x)); }
FR_INLINE vd vd_high(vf x) { return _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1)); }
FR_INLINE vd vd_fma(vd a, vd b, vd c) { return _mm512_fmadd_pd(a, b, c); }
FR_INLINE void vd_store(double *to, vd x) { _mm512_storeu_pd(to, x); }

/* ==== integers ==== */

FR_INLINE vi vi_zero(void) { return _mm512_setzero_si512(); }
FR_INLINE vi vi_xor(vi a, vi b) { return _mm512_xor_si512(a, b); }
FR_INLINE vi vi_and(vi a, vi b) { return _mm512_and_si512(a, b); }
FR_INLINE vi vi_sub16(vi a, vi b) { return _mm512_sub_epi16(a, b); }
FR_INLINE vi vi_madd(vi a, vi b) { return _mm512_madd_epi16(a, b); }
FR_INLINE vi vi_add32(vi a, vi b) { return _mm512_add_epi32(a, b); }
FR_INLINE vi vi_load(const void *array, uint32_t i) { return _mm512_loadu_si512((const char *)array + i); }

FR_INLINE vi vi_load_tail(const void *array, uint32_t i, uint32_t left)
{
    return _mm512_maskz_loadu_epi8(~0ull >> (64 - left), (const char *)array + i);
}

FR_INLINE vi vi_even(int kind, vi x)
{
    return kind == FR_SCALAR_U8 ? _mm512_and_si512(x, _mm512_set1_epi16(0xff))
                                : _mm512_srai_epi16(_mm512_slli_epi16(x, 8), 8);
}

FR_INLINE vi vi_odd(int kind, vi x)
{
    return kind == FR_SCALAR_U8 ? _mm512_srli_epi16(x, 8) : _mm512_srai_epi16(x, 8);
}

FR_INLINE int32_t vi_sum(vi x) { return _mm512_reduce_add_epi32(x); }

/* Four sums share one reduction: two rounds of pairing columns, then the halves. */
FR_INLINE void vi_sum4(const vi x[4], int32_t *out)
{
    vi ab = _mm512_add_epi32(_mm512_unpacklo_epi32(x[0], x[1]), _mm512_unpackhi_epi32(x[0], x[1]));
    vi cd = _mm512_add_epi32(_mm512_unpacklo_epi32(x[2], x[3]), _mm512_unpackhi_epi32(x[2], x[3]));
    vi all = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
    _mm_storeu_si128((void *)out, _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1)));
}

/* Bits set per nibble by a table of sixteen, summed into eight 64-bit counts (Mula, Kurz, Lemire 2018). */
FR_INLINE vi vi_count(vi counts, vi x)
{
    const vi table = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const vi nibble = _mm512_set1_epi8(15);
    vi low = _mm512_shuffle_epi8(table, _mm512_and_si512(x, nibble));
    vi high = _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi16(x, 4), nibble));
    return _mm512_add_epi64(counts, _mm512_sad_epu8(_mm512_add_epi8(low, high), vi_zero()));
}

FR_INLINE uint64_t vi_sum_counts(vi counts) { return (uint64_t)_mm512_reduce_add_epi64(counts); }

static void vi_in_range(const void *codes, bool wide, uint32_t count, uint32_t low, uint32_t high, uint64_t *bits)
{
    const char *at = codes;
    vi base = wide ? _mm512_set1_epi16((short)low) : _mm512_set1_epi8((char)low);
    vi span = wide ? _mm512_set1_epi16((short)(high - low)) : _mm512_set1_epi8((char)(high - low));
    for (uint32_t i = 0; i < count; i += 64, bits++, at += wide ? 128 : 64) {
        vi x = vi_load(at, 0);
        if (wide)
            *bits |= (uint64_t)_mm512_cmple_epu16_mask(_mm512_sub_epi16(vi_load(at, 64), base), span) << 32 |
                     _mm512_cmple_epu16_mask(_mm512_sub_epi16(x, base), span);
        else *bits |= _mm512_cmple_epu8_mask(_mm512_sub_epi8(x, base), span);
    }
}

static uint32_t vi_sift(const uint64_t *bits, uint32_t limit, const uint32_t *ids, uint32_t count, uint32_t *out)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i += 16) {
        __mmask16 there = (__mmask16)((1u << FR_MIN(16u, count - i)) - 1);
        vi id = _mm512_maskz_loadu_epi32(there, ids + i);
        __mmask16 inside = _mm512_mask_cmplt_epu32_mask(there, id, _mm512_set1_epi32((int)limit));
        vi word = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), inside, _mm512_srli_epi32(id, 5), bits, 4);
        vi one = _mm512_sllv_epi32(_mm512_set1_epi32(1), _mm512_and_si512(id, _mm512_set1_epi32(31)));
        __mmask16 pass = _mm512_mask_test_epi32_mask(inside, word, one);
        _mm512_storeu_si512(out + n, _mm512_maskz_compress_epi32(pass, id));
        n += (uint32_t)_mm_popcnt_u32(pass);
    }
    return n;
}
#define FR_TIER_SIFT vi_sift

/* ==== a walk's pool ==== */

static void pool_distances(const int32_t *dots, const int32_t *constants, uint32_t count, double k, double cm, double a, double low, float *out)
{
    const vd base = _mm512_set1_pd(k), each = _mm512_set1_pd(cm), times = _mm512_set1_pd(a), least = _mm512_set1_pd(low);
    for (uint32_t i = 0; i < count; i += 8) {
        __mmask8 there = (__mmask8)((1u << FR_MIN(8u, count - i)) - 1);
        vd d = _mm512_fmadd_pd(each, _mm512_cvtepi32_pd(_mm256_maskz_loadu_epi32(there, constants + i)), base);
        d = _mm512_fmadd_pd(times, _mm512_cvtepi32_pd(_mm256_maskz_loadu_epi32(there, dots + i)), d);
        _mm256_mask_storeu_ps(out + i, there, _mm512_cvtpd_ps(_mm512_max_pd(d, least)));
    }
}

#define POOL_DISTANCES 0x5555u /* of eight candidates in a register */

/* How many of a sorted pool are no farther. */
FR_INLINE uint32_t pool_place(const fr_candidate *pool, uint32_t size, float distance)
{
    uint32_t low = 0, left = size, count = 0;
    for (uint32_t half; left > 64; left -= half) {
        half = left / 2;
        low += half & -(uint32_t)(pool[low + half - 1].distance <= distance);
    }
    const vf mine = _mm512_set1_ps(distance);
    for (uint32_t i = 0; i < left; i += 8) {
        __mmask16 there = (__mmask16)((1u << 2 * FR_MIN(8u, left - i)) - 1);
        vf theirs = _mm512_maskz_loadu_ps(there, (const float *)(const void *)(pool + low + i));
        __mmask16 nearer = _mm512_mask_cmp_ps_mask(there & POOL_DISTANCES, theirs, mine, _CMP_LE_OQ);
        count += (uint32_t)_mm_popcnt_u32(_cvtmask16_u32(nearer));
    }
    return low + count;
}

/* Candidates by eight, from the last on: where they go may overlap where they stand. */
FR_INLINE void pool_shift(fr_candidate *from, uint32_t count, uint32_t by)
{
    for (; count >= 8; count -= 8) _mm512_storeu_si512(from + count - 8 + by, _mm512_loadu_si512(from + count - 8));
    __mmask8 rest = (__mmask8)((1u << count) - 1);
    _mm512_mask_storeu_epi64(from + by, rest, _mm512_maskz_loadu_epi64(rest, from));
}

/* All places are found in the pool as it was, then each stretch between two of them moves once: a store is not read again at once, which
 * would have to wait for it. */
static uint32_t pool_merge(fr_candidate *pool, uint32_t size, uint32_t capacity, float bound, const float *distances, const uint32_t *rows,
                           uint32_t count, uint32_t *first_out)
{
    vf found[FR_MERGE_MAX / 16];
    __mmask16 near[FR_MERGE_MAX / 16];
    uint32_t order[FR_MERGE_MAX], places[FR_MERGE_MAX], vectors = (count + 15) / 16, taken = 0;
    const vf worst = _mm512_set1_ps(size == capacity && pool[size - 1].distance < bound ? pool[size - 1].distance : bound);
    uint64_t left = 0;
    for (uint32_t v = 0; v < vectors; v++) {
        __mmask16 there = (__mmask16)((1u << FR_MIN(16u, count - 16 * v)) - 1);
        found[v] = _mm512_maskz_loadu_ps(there, distances + 16 * v);
        near[v] = _mm512_mask_cmp_ps_mask(there, found[v], worst, _CMP_LT_OQ);
        left |= (uint64_t)_cvtmask16_u32(near[v]) << 16 * v;
    }
    for (; left != 0; left &= left - 1, taken++) {
        uint32_t i = (uint32_t)__builtin_ctzll(left), rank = 0;
        const vf mine = _mm512_set1_ps(distances[i]);
        for (uint32_t v = 0; v < vectors; v++) {
            uint32_t before = i >= 16 * (v + 1) ? 0xffffu : i < 16 * v ? 0 : (1u << (i - 16 * v)) - 1; /* of equal ones these come first */
            uint32_t less = _cvtmask16_u32(_mm512_mask_cmp_ps_mask(near[v], found[v], mine, _CMP_LT_OQ));
            uint32_t same = _cvtmask16_u32(_mm512_mask_cmp_ps_mask(near[v], found[v], mine, _CMP_EQ_OQ));
            rank += (uint32_t)_mm_popcnt_u32(less | (same & before));
        }
        order[rank] = i;
        places[rank] = pool_place(pool, size, distances[i]);
    }
    while (taken != 0 && places[taken - 1] + taken > capacity) taken--; /* pushed out by those before it */
    *first_out = taken != 0 ? places[0] : capacity;
    uint32_t end = size;
    for (uint32_t j = taken; j-- > 0; end = places[j]) {
        uint32_t stop = FR_MIN(end, capacity - (j + 1));
        if (stop > places[j]) pool_shift(pool + places[j], stop - places[j], j + 1);
        pool[places[j] + j] = (fr_candidate){distances[order[j]], rows[order[j]]};
    }
    return FR_MIN(size + taken, capacity);
}
#define FR_TIER_POOL {pool_distances, pool_merge}
#define FR_TIER_SIGNS &fr_signs_avx512

#define FINE_WIDEN(bytes) (fine_i32) _mm512_cvtepu8_epi32((__m128i)(bytes))

#include "simd/kern_template.h"
#else
typedef int fr_no_avx512_here; /* ISO C wants a declaration */
#endif
