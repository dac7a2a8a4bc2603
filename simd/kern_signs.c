/* kern_signs.c: sums over sign bits, and the bound, with AVX-512 (of its tier and of avx512vnni); x86-64 only.
 * What they compute and why: signs.c. */
#include "simd/kern.h"

#if defined(__x86_64__)
#include <immintrin.h>

/* Even rows of a group in one register, odd ones in another. */
static inline void part_sums(const uint8_t *tables, const uint8_t *bits, uint32_t bytes, __m512i *even_out, __m512i *odd_out)
{
    const __m512i nibble = _mm512_set1_epi8(15);
    __m512i even = _mm512_setzero_si512(), odd = even;
    for (uint32_t b = 0; b < bytes; b++) {
        __m512i x = _mm512_loadu_si512(bits + (size_t)b * FR_SIGN_ROWS);
        __m512i low = _mm512_broadcast_i32x4(_mm_loadu_si128((const void *)(tables + 32 * (size_t)b)));
        __m512i high = _mm512_broadcast_i32x4(_mm_loadu_si128((const void *)(tables + 32 * (size_t)b + 16)));
        __m512i v = _mm512_add_epi8(_mm512_shuffle_epi8(low, _mm512_and_si512(x, nibble)),
                                    _mm512_shuffle_epi8(high, _mm512_and_si512(_mm512_srli_epi16(x, 4), nibble)));
        even = _mm512_add_epi16(even, v); /* with the odd rows above, which are taken off at the end */
        odd = _mm512_add_epi16(odd, _mm512_srli_epi16(v, 8));
    }
    *even_out = _mm512_sub_epi16(even, _mm512_slli_epi16(odd, 8));
    *odd_out = odd;
}

/* The same where two bytes' sums fit a byte, while what lies `ahead` is sent for. */
static inline void part_sums_near(const uint8_t *tables, const uint8_t *bits, uint32_t bytes, const uint8_t *ahead, __m512i *even_out, __m512i *odd_out)
{
    const __m512i nibble = _mm512_set1_epi8(15);
    __m512i even = _mm512_setzero_si512(), odd = even;
    for (uint32_t b = 0; b < bytes; b += 2) {
        __m512i v = _mm512_setzero_si512();
        for (uint32_t i = b; i < b + 2; i++) {
            __m512i x = _mm512_loadu_si512(bits + (size_t)i * FR_SIGN_ROWS);
            __m512i low = _mm512_broadcast_i32x4(_mm_loadu_si128((const void *)(tables + 32 * (size_t)i)));
            __m512i high = _mm512_broadcast_i32x4(_mm_loadu_si128((const void *)(tables + 32 * (size_t)i + 16)));
            _mm_prefetch((const char *)ahead + (size_t)i * FR_SIGN_ROWS, _MM_HINT_T0);
            v = _mm512_add_epi8(v, _mm512_add_epi8(_mm512_shuffle_epi8(low, _mm512_and_si512(x, nibble)),
                                                   _mm512_shuffle_epi8(high, _mm512_and_si512(_mm512_srli_epi16(x, 4), nibble))));
        }
        even = _mm512_add_epi16(even, v);
        odd = _mm512_add_epi16(odd, _mm512_srli_epi16(v, 8));
    }
    *even_out = _mm512_sub_epi16(even, _mm512_slli_epi16(odd, 8));
    *odd_out = odd;
}

/* 64 sums in order, 16 a register. */
static inline void group_sums(const uint8_t *tables, const uint8_t *bits, uint32_t bytes, const uint8_t *ahead, __m512i sums[4])
{
    const __m512i first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i second = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    for (uint32_t i = 0; i < 4; i++) sums[i] = _mm512_setzero_si512();
    for (uint32_t at = 0; at < bytes; at += FR_SIGN_PART_BYTES) {
        __m512i even, odd;
        const uint8_t *t = tables + 32 * (size_t)at, *part = bits + (size_t)at * FR_SIGN_ROWS;
        if (ahead == NULL) part_sums(t, part, FR_MIN(FR_SIGN_PART_BYTES, bytes - at), &even, &odd);
        else part_sums_near(t, part, FR_MIN(FR_SIGN_PART_BYTES, bytes - at), ahead + (size_t)at * FR_SIGN_ROWS, &even, &odd);
        for (uint32_t h = 0; h < 2; h++) {
            __m512i e = _mm512_cvtepu16_epi32(h == 0 ? _mm512_castsi512_si256(even) : _mm512_extracti64x4_epi64(even, 1));
            __m512i o = _mm512_cvtepu16_epi32(h == 0 ? _mm512_castsi512_si256(odd) : _mm512_extracti64x4_epi64(odd, 1));
            __m512i a = _mm512_permutex2var_epi32(e, first, o), b = _mm512_permutex2var_epi32(e, second, o);
            sums[2 * h] = _mm512_add_epi32(sums[2 * h], a);
            sums[2 * h + 1] = _mm512_add_epi32(sums[2 * h + 1], b);
        }
    }
}

static void sign_sums(const uint8_t *tables, const uint8_t *bits, uint32_t bytes, uint32_t out[FR_SIGN_ROWS])
{
    __m512i sums[4];
    group_sums(tables, bits, bytes, NULL, sums);
    for (uint32_t i = 0; i < 4; i++) _mm512_storeu_si512(out + 16 * i, sums[i]);
}

/* Which of 16 rows pass. */
static inline uint64_t below16(const fr_simd_bound *b, uint32_t i, __m512i sums)
{
    __m512 spread = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)(b->spread + i))));
    __m512 inner = _mm512_fmadd_ps(_mm512_set1_ps(b->scale), _mm512_cvtepi32_ps(sums), _mm512_set1_ps(b->offset));
    inner = _mm512_fmadd_ps(_mm512_set1_ps(b->slope), spread, inner);
    __m512 d = _mm512_fmadd_ps(_mm512_loadu_ps(b->gain + i), inner, _mm512_loadu_ps(b->base + i));
    return _cvtmask16_u32(_mm512_cmp_ps_mask(d, _mm512_set1_ps(b->limit), _CMP_LE_OQ));
}

static uint64_t signs_below(const fr_simd_bound *b)
{
    __m512i sums[4];
    uint64_t pass = 0;
    group_sums(b->tables, b->bits, b->bytes, NULL, sums);
    for (uint32_t i = 0; i < 4; i++) pass |= below16(b, 16 * i, sums[i]) << 16 * i;
    return pass;
}

/* Which of 16 rows pass; numbers: of base and gain. */
static inline uint64_t near16(const fr_simd_near *n, uint32_t i, __m512i sums, __m512i numbers)
{
    __m512 s = _mm512_fmadd_ps(_mm512_set1_ps(n->scale), _mm512_cvtepi32_ps(sums), _mm512_set1_ps(n->offset));
    __m512 most = _mm512_fnmadd_ps(_mm512_set1_ps(n->bend), _mm512_mul_ps(s, s), _mm512_set1_ps(1.0f));
    most = _mm512_max_ps(_mm512_fmadd_ps(_mm512_set1_ps(n->error[i / 16]), most, s), _mm512_setzero_ps());
    __m512 base = _mm512_castsi512_ps(_mm512_and_si512(numbers, _mm512_set1_epi32(INT32_MIN >> 15)));
    __m512 d = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_slli_epi32(numbers, 16)), most, base);
    return _cvtmask16_u32(_mm512_cmp_ps_mask(d, _mm512_set1_ps(n->limit), _CMP_LE_OQ));
}

static uint32_t signs_near(const fr_simd_near *n, uint32_t *out)
{
    size_t group = fr_sign_group_bytes(n->bytes), behind = (size_t)n->bytes * FR_SIGN_ROWS;
    const uint8_t *bits = n->groups, *ahead = n->ahead != NULL ? n->ahead : n->groups;
    uint32_t found = 0;
    for (uint32_t at = 0; at < n->count; at += FR_SIGN_ROWS, bits += group, ahead += group) {
        __m512i sums[4];
        uint64_t pass = 0;
        group_sums(n->tables, bits, n->bytes, ahead, sums);
        for (uint32_t i = 0; i < 4; i++) {
            _mm_prefetch((const char *)ahead + behind + 64 * (size_t)i, _MM_HINT_T0);
            pass |= near16(n, at + 16 * i, sums[i], _mm512_loadu_si512(bits + behind + 64 * (size_t)i)) << 16 * i;
        }
        for (; pass != 0; pass &= pass - 1) out[found++] = n->ids[at + (uint32_t)__builtin_ctzll(pass)];
    }
    return found;
}

const fr_signs_kernel fr_signs_avx512 = {sign_sums, signs_below, signs_near};
#else
typedef int fr_signs_avx512_is_x86; /* no empty file */
#endif
