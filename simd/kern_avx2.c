/* kern_avx2.c: the AVX2 + FMA + F16C tier, written through SIMDe: on aarch64 the same source becomes NEON.
 *
 * Only the operations are here; the kernels are in kern_template.h. 32 float lanes are four registers, so two rows
 * side by side use eight of the sixteen; bytes are split into even and odd 16-bit halves by a mask and shifts, which
 * any port takes, instead of widening through the one shuffle port. maddubs is never used: it saturates.
 */
#if defined(__x86_64__) || defined(__aarch64__)
#include "simd/kern.h"

#include <simde/x86/avx2.h>
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>
#if defined(__aarch64__)
#include <arm_neon.h>
#endif

#define VF_LANES 8u
#define VI_BYTES 32u
#define FLOAT_ROWS 2
#define COSINE_ROWS 1
#define TIER fr_simd_avx2
#define TIER_BELOW (&fr_simd_scalar)
#if defined(__aarch64__)
#define TIER_ISA "neon"
#else
#define TIER_ISA "avx2"
#endif

typedef simde__m256 vf;
typedef simde__m256d vd;
typedef simde__m256i vi;

/* ==== floats ==== */

FR_INLINE vf vf_zero(void) { return simde_mm256_setzero_ps(); }
FR_INLINE vf vf_sub(vf a, vf b) { return simde_mm256_sub_ps(a, b); }
FR_INLINE vf vf_fma(vf a, vf b, vf c) { return simde_mm256_fmadd_ps(a, b, c); }

#if defined(__aarch64__) /* SIMDe converts f16 one element at a time */
FR_INLINE vf f16_to_f32(simde__m128i half)
{
    float16x8_t h = vreinterpretq_f16_s64(simde__m128i_to_neon_i64(half));
    float lanes[8];
    vst1q_f32(lanes, vcvt_f32_f16(vget_low_f16(h)));
    vst1q_f32(lanes + 4, vcvt_high_f32_f16(h));
    return simde_mm256_loadu_ps(lanes);
}

FR_INLINE simde__m128i f32_to_f16(vf x)
{
    float lanes[8];
    simde_mm256_storeu_ps(lanes, x);
    float16x8_t h = vcvt_high_f16_f32(vcvt_f16_f32(vld1q_f32(lanes)), vld1q_f32(lanes + 4));
    return simde__m128i_from_neon_i64(vreinterpretq_s64_f16(h));
}
#else
FR_INLINE vf f16_to_f32(simde__m128i half) { return simde_mm256_cvtph_ps(half); }
FR_INLINE simde__m128i f32_to_f16(vf x) { return simde_mm256_cvtps_ph(x, SIMDE_MM_FROUND_TO_NEAREST_INT); }
#endif

FR_INLINE vf vf_load(int kind, const void *array, uint32_t i)
{
    const char *from = array;
    switch (kind) {
    case FR_SCALAR_F16: return f16_to_f32(simde_mm_loadu_si128((const void *)(from + 2 * (size_t)i)));
    case FR_SCALAR_BF16:
        return simde_mm256_castsi256_ps(simde_mm256_slli_epi32(
            simde_mm256_cvtepu16_epi32(simde_mm_loadu_si128((const void *)(from + 2 * (size_t)i))), 16));
    case FR_SCALAR_I8:
        return simde_mm256_cvtepi32_ps(simde_mm256_cvtepi8_epi32(simde_mm_loadl_epi64((const void *)(from + i))));
    case FR_SCALAR_U8:
        return simde_mm256_cvtepi32_ps(simde_mm256_cvtepu8_epi32(simde_mm_loadl_epi64((const void *)(from + i))));
    default: return simde_mm256_loadu_ps((const void *)(from + 4 * (size_t)i));
    }
}

/* The first `left` (1 to 7) elements, then zeros. A short copy stalls the next load; f32, the usual, has a mask. */
FR_INLINE vf load_part(int kind, const char *from, uint32_t left)
{
#if defined(__x86_64__)
    if (kind == FR_SCALAR_F32) {
        static const int32_t masks[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
        return simde_mm256_maskload_ps((const void *)from, simde_mm256_loadu_si256((const void *)(masks + 8 - left)));
    }
#endif
    char buffer[32];
    memset(buffer, 0, sizeof buffer);
    memcpy(buffer, from, fr_scalar_size((fr_scalar)kind, left));
    return vf_load(kind, buffer, 0);
}

/* Elements i .. i + left - 1 (left is 1 to 31), then zeros. */
FR_INLINE void vf_load_tail(int kind, const void *array, uint32_t i, uint32_t left, vf out[4])
{
    const char *from = (const char *)array + fr_scalar_size((fr_scalar)kind, i);
    for (uint32_t v = 0, done = 0; v < 4; v++, done += VF_LANES)
        out[v] = left >= done + VF_LANES ? vf_load(kind, from, done)
                 : left > done ? load_part(kind, from + fr_scalar_size((fr_scalar)kind, done), left - done)
                               : vf_zero();
}

FR_INLINE simde__m128i narrow_i32(vf x, float low, float high)
{
    x = simde_mm256_min_ps(simde_mm256_max_ps(x, simde_mm256_set1_ps(low)), simde_mm256_set1_ps(high));
    simde__m256i n = simde_mm256_cvtps_epi32(x);
    return simde_mm_packs_epi32(simde_mm256_castsi256_si128(n), simde_mm256_extracti128_si256(n, 1));
}

FR_INLINE simde__m128i f32_to_bf16(vf x)
{
    simde__m256i bits = simde_mm256_castps_si256(x), one = simde_mm256_set1_epi32(1);
    simde__m256i size = simde_mm256_and_si256(bits, simde_mm256_set1_epi32(0x7fffffff));
    simde__m256i nan = simde_mm256_cmpgt_epi32(size, simde_mm256_set1_epi32(0x7f800000));
    simde__m256i upper = simde_mm256_srli_epi32(bits, 16);
    simde__m256i half = simde_mm256_add_epi32(simde_mm256_set1_epi32(0x7fff), simde_mm256_and_si256(upper, one));
    simde__m256i rounded = simde_mm256_srli_epi32(simde_mm256_add_epi32(bits, half), 16);
    simde__m256i n =
        simde_mm256_blendv_epi8(rounded, simde_mm256_or_si256(upper, simde_mm256_set1_epi32(0x40)), nan);
    return simde_mm_packus_epi32(simde_mm256_castsi256_si128(n), simde_mm256_extracti128_si256(n, 1));
}

FR_INLINE void vf_store_as(int kind, vf x, void *array, uint32_t i)
{
    char *to = array;
    simde__m128i words;
    switch (kind) {
    case FR_SCALAR_F16: simde_mm_storeu_si128((void *)(to + 2 * (size_t)i), f32_to_f16(x)); break;
    case FR_SCALAR_BF16: simde_mm_storeu_si128((void *)(to + 2 * (size_t)i), f32_to_bf16(x)); break;
    case FR_SCALAR_I8:
        words = narrow_i32(x, -128, 127);
        simde_mm_storel_epi64((void *)(to + i), simde_mm_packs_epi16(words, words));
        break;
    case FR_SCALAR_U8:
        words = narrow_i32(x, 0, 255);
        simde_mm_storel_epi64((void *)(to + i), simde_mm_packus_epi16(words, words));
        break;
    default: simde_mm256_storeu_ps((void *)(to + 4 * (size_t)i), x);
    }
}

/* Lanes 16 apart, then 8, 4, 2 and 1. */
FR_INLINE float vf_sum32(const vf x[4])
{
    vf eight = simde_mm256_add_ps(simde_mm256_add_ps(x[0], x[2]), simde_mm256_add_ps(x[1], x[3]));
    simde__m128 four = simde_mm_add_ps(simde_mm256_castps256_ps128(eight), simde_mm256_extractf128_ps(eight, 1));
    simde__m128 two = simde_mm_add_ps(four, simde_mm_movehl_ps(four, four));
    return simde_mm_cvtss_f32(simde_mm_add_ss(two, simde_mm_shuffle_ps(two, two, 1)));
}

FR_INLINE bool vf_finite(vf x)
{
    simde__m256i exponent = simde_mm256_set1_epi32(0x7f800000);
    simde__m256i bits = simde_mm256_and_si256(simde_mm256_castps_si256(x), exponent);
    return simde_mm256_movemask_epi8(simde_mm256_cmpeq_epi32(bits, exponent)) == 0;
}

FR_INLINE bool all_equal(simde__m256i a, simde__m256i b)
{
    return simde_mm256_movemask_epi8(simde_mm256_cmpeq_epi32(a, b)) == -1;
}

FR_INLINE unsigned vf_fits(vf x)
{
    simde__m256i bits = simde_mm256_castps_si256(x), n = simde_mm256_cvtps_epi32(x);
    unsigned fits = 0;
    if (all_equal(simde_mm256_castps_si256(simde_mm256_cvtepi32_ps(n)), bits)) {
        simde__m256i high = simde_mm256_set1_epi32(~255), zero = simde_mm256_setzero_si256();
        simde__m256i shifted = simde_mm256_add_epi32(n, simde_mm256_set1_epi32(128));
        if (all_equal(simde_mm256_and_si256(n, high), zero)) fits |= FR_FITS_U8;
        if (all_equal(simde_mm256_and_si256(shifted, high), zero)) fits |= FR_FITS_I8;
    }
    if (all_equal(simde_mm256_castps_si256(f16_to_f32(f32_to_f16(x))), bits)) fits |= FR_FITS_F16;
    if (all_equal(simde_mm256_slli_epi32(bits, 16), simde_mm256_setzero_si256())) fits |= FR_FITS_BF16;
    return fits;
}

/* ==== doubles ==== */

FR_INLINE vd vd_zero(void) { return simde_mm256_setzero_pd(); }
FR_INLINE vd vd_low(vf x) { return simde_mm256_cvtps_pd(simde_mm256_castps256_ps128(x)); }
FR_INLINE vd vd_high(vf x) { return simde_mm256_cvtps_pd(simde_mm256_extractf128_ps(x, 1)); }
FR_INLINE vd vd_fma(vd a, vd b, vd c) { return simde_mm256_fmadd_pd(a, b, c); }
FR_INLINE void vd_store(double *to, vd x) { simde_mm256_storeu_pd(to, x); }

/* ==== integers ==== */

FR_INLINE vi vi_zero(void) { return simde_mm256_setzero_si256(); }
FR_INLINE vi vi_xor(vi a, vi b) { return simde_mm256_xor_si256(a, b); }
FR_INLINE vi vi_and(vi a, vi b) { return simde_mm256_and_si256(a, b); }
FR_INLINE vi vi_sub16(vi a, vi b) { return simde_mm256_sub_epi16(a, b); }
FR_INLINE vi vi_madd(vi a, vi b) { return simde_mm256_madd_epi16(a, b); }
FR_INLINE vi vi_add32(vi a, vi b) { return simde_mm256_add_epi32(a, b); }
FR_INLINE vi vi_load(const void *array, uint32_t i)
{
    return simde_mm256_loadu_si256((const void *)((const char *)array + i));
}

FR_INLINE vi vi_load_tail(const void *array, uint32_t i, uint32_t left)
{
    char buffer[32];
    memset(buffer, 0, sizeof buffer);
    memcpy(buffer, (const char *)array + i, left);
    return vi_load(buffer, 0);
}

FR_INLINE vi vi_even(int kind, vi x)
{
    return kind == FR_SCALAR_U8 ? simde_mm256_and_si256(x, simde_mm256_set1_epi16(0xff))
                                : simde_mm256_srai_epi16(simde_mm256_slli_epi16(x, 8), 8);
}

FR_INLINE vi vi_odd(int kind, vi x)
{
    return kind == FR_SCALAR_U8 ? simde_mm256_srli_epi16(x, 8) : simde_mm256_srai_epi16(x, 8);
}

FR_INLINE int32_t vi_sum(vi x)
{
    simde__m128i four = simde_mm_add_epi32(simde_mm256_castsi256_si128(x), simde_mm256_extracti128_si256(x, 1));
    four = simde_mm_add_epi32(four, simde_mm_shuffle_epi32(four, 0x4e));
    return simde_mm_cvtsi128_si32(simde_mm_add_epi32(four, simde_mm_shuffle_epi32(four, 0xb1)));
}

FR_INLINE void vi_sum4(const vi x[4], int32_t *out)
{
    vi pairs = simde_mm256_hadd_epi32(simde_mm256_hadd_epi32(x[0], x[1]), simde_mm256_hadd_epi32(x[2], x[3]));
    simde_mm_storeu_si128((void *)out, simde_mm_add_epi32(simde_mm256_castsi256_si128(pairs),
                                                          simde_mm256_extracti128_si256(pairs, 1)));
}

/* Bits set per nibble by a table of sixteen, summed into four 64-bit counts (Mula, Kurz, Lemire 2018). */
FR_INLINE vi vi_count(vi counts, vi x)
{
    const vi table = simde_mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2,
                                           2, 3, 2, 3, 3, 4);
    const vi nibble = simde_mm256_set1_epi8(15);
    vi low = simde_mm256_shuffle_epi8(table, simde_mm256_and_si256(x, nibble));
    vi high = simde_mm256_shuffle_epi8(table, simde_mm256_and_si256(simde_mm256_srli_epi16(x, 4), nibble));
    return simde_mm256_add_epi64(counts, simde_mm256_sad_epu8(simde_mm256_add_epi8(low, high), vi_zero()));
}

FR_INLINE uint64_t vi_sum_counts(vi counts)
{
    uint64_t lanes[4];
    simde_mm256_storeu_si256((void *)lanes, counts);
    return lanes[0] + lanes[1] + lanes[2] + lanes[3];
}

static void vi_in_range(const void *codes, bool wide, uint32_t count, uint32_t low, uint32_t high, uint64_t *bits)
{
    const char *at = codes;
    vi base = wide ? simde_mm256_set1_epi16((short)low) : simde_mm256_set1_epi8((int8_t)low);
    vi span = wide ? simde_mm256_set1_epi16((short)(high - low)) : simde_mm256_set1_epi8((int8_t)(high - low));
    for (uint32_t i = 0; i < count; i += 64, bits++) {
        uint32_t half[2];
        for (uint32_t h = 0; h < 2; h++) {
            vi x = vi_load(at, 0), y;
            if (wide) { /* both halves of 16 packed into one of 32; the pack works within 128-bit lanes */
                x = simde_mm256_sub_epi16(x, base), y = simde_mm256_sub_epi16(vi_load(at, 32), base);
                x = simde_mm256_cmpeq_epi16(simde_mm256_min_epu16(x, span), x);
                y = simde_mm256_cmpeq_epi16(simde_mm256_min_epu16(y, span), y);
                x = simde_mm256_permute4x64_epi64(simde_mm256_packs_epi16(x, y), 0xd8);
            } else {
                x = simde_mm256_sub_epi8(x, base);
                x = simde_mm256_cmpeq_epi8(simde_mm256_min_epu8(x, span), x);
            }
            half[h] = (uint32_t)simde_mm256_movemask_epi8(x);
            at += wide ? 64 : 32;
        }
        *bits |= (uint64_t)half[1] << 32 | half[0];
    }
}

/* Sixteen bytes to sixteen 32-bit numbers: two registers. */
typedef int32_t wide_i32 __attribute__((vector_size(64)));
typedef uint8_t wide_u8 __attribute__((vector_size(16)));
FR_INLINE wide_i32 widen_bytes(wide_u8 bytes)
{
    simde__m128i x;
    vi half[2];
    wide_i32 wide;
    memcpy(&x, &bytes, sizeof x);
    half[0] = simde_mm256_cvtepu8_epi32(x), half[1] = simde_mm256_cvtepu8_epi32(simde_mm_srli_si128(x, 8));
    memcpy(&wide, half, sizeof wide);
    return wide;
}
#define FINE_WIDEN(bytes) widen_bytes(bytes)

/* ==== sign bits: signs.c ==== */

static void half_sums(const uint8_t *tables, const uint8_t *bits, uint32_t bytes, uint32_t *sums)
{
    const vi nibble = simde_mm256_set1_epi8(15);
    vi even = vi_zero(), odd = even;
    for (uint32_t b = 0; b < bytes; b++) {
        vi x = vi_load(bits, b * FR_SIGN_ROWS);
        vi low = simde_mm256_broadcastsi128_si256(simde_mm_loadu_si128((const void *)(tables + 32 * (size_t)b)));
        vi high = simde_mm256_broadcastsi128_si256(simde_mm_loadu_si128((const void *)(tables + 32 * (size_t)b + 16)));
        vi v = simde_mm256_add_epi8(simde_mm256_shuffle_epi8(low, simde_mm256_and_si256(x, nibble)),
                                    simde_mm256_shuffle_epi8(high, simde_mm256_and_si256(simde_mm256_srli_epi16(x, 4), nibble)));
        even = simde_mm256_add_epi16(even, v); /* with the odd rows above, which are taken off at the end */
        odd = simde_mm256_add_epi16(odd, simde_mm256_srli_epi16(v, 8));
    }
    even = simde_mm256_sub_epi16(even, simde_mm256_slli_epi16(odd, 8));
    uint16_t of[2][16];
    simde_mm256_storeu_si256((void *)of[0], even);
    simde_mm256_storeu_si256((void *)of[1], odd);
    for (uint32_t i = 0; i < 32; i++) sums[i] += of[i & 1][i / 2];
}

static void sign_sums(const uint8_t *tables, const uint8_t *bits, uint32_t bytes, uint32_t sums[FR_SIGN_ROWS])
{
    memset(sums, 0, FR_SIGN_ROWS * sizeof *sums);
    for (uint32_t at = 0; at < bytes; at += FR_SIGN_PART_BYTES) {
        uint32_t some = FR_MIN(FR_SIGN_PART_BYTES, bytes - at);
        half_sums(tables + 32 * (size_t)at, bits + (size_t)at * FR_SIGN_ROWS, some, sums);
        half_sums(tables + 32 * (size_t)at, bits + (size_t)at * FR_SIGN_ROWS + 32, some, sums + 32);
    }
}

static const fr_signs_kernel sign_kernel = {sign_sums, fr_simd_below_by_sums, fr_simd_near_by_sums};
#define FR_TIER_SIGNS &sign_kernel

#include "simd/kern_template.h"
#else
typedef int fr_no_avx2_here; /* ISO C wants a declaration */
#endif
