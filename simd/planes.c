/* planes.c: weighted population counts: the dot product of a row of bits with a query of small unsigned integers.
 *
 * The query is kept as bit planes (plane p holds bit p of every integer), so 512 products are one AND and one count. Both forms
 * are exact. Source: the binary inner product of RaBitQ (Gao and Long, SIGMOD 2024), section 3.3.2. */
#include "simd/kern.h"

#if defined(__x86_64__)
#define COUNTING __attribute__((target("popcnt")))
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
        uint32_t done = words == 2 ? fr_planes_vpopcnt.two_words(planes, rows, count, out) : 0;
        fr_planes_vpopcnt.any_words(planes, rows + (size_t)done * words, words, count - done, out + done);
        return;
    }
#endif
    by_words(planes, rows, words, count, out);
}

uint32_t fr_simd_below(const fr_simd_bound *b, uint32_t *out)
{
#if defined(__x86_64__)
    if (b->words == 2 && fr_simd_active() == &fr_simd_avx512vnni) return fr_planes_vpopcnt.below_two_words(b, out);
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
