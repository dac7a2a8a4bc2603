/* signs.c: which rows of sign bits pass a bound: sums of small numbers that a query has for each bit, set or not, by tables.
 *
 * Four bits of a row are a place in a table of sixteen sums, so a byte is two look-ups; rows lie byte by byte in groups of 64, so that one
 * instruction looks up the same four bits of many rows. Sums are exact in every tier. Source: fast scan of codes (Andre and others,
 * VLDB 2015), as RaBitQ uses it (Gao and Long, SIGMOD 2024, section 3.3.2). */
#include "simd/kern.h"

static void sums_by_bytes(const uint8_t *tables, const uint8_t *bits, uint32_t bytes, uint32_t sums[FR_SIGN_ROWS])
{
    memset(sums, 0, FR_SIGN_ROWS * sizeof *sums);
    for (uint32_t b = 0; b < bytes; b++, tables += 32, bits += FR_SIGN_ROWS)
        for (uint32_t i = 0; i < FR_SIGN_ROWS; i++) sums[i] += (uint32_t)tables[bits[i] & 15] + tables[16 + (bits[i] >> 4)];
}

/* NULL: the scalar tier. */
static const fr_signs_kernel *kernel(void)
{
    const fr_simd_tier *tier = fr_simd_active();
#if defined(__x86_64__)
    if (tier == &fr_simd_avx512 || tier == &fr_simd_avx512vnni) return &fr_signs_avx512;
#endif
#if defined(__x86_64__) || defined(__aarch64__)
    if (tier == &fr_simd_avx2) return &fr_signs_avx2;
#endif
    (void)tier;
    return NULL;
}

void fr_simd_sign_sums(const uint8_t *tables, const uint8_t *bits, uint32_t bytes, uint32_t sums[FR_SIGN_ROWS])
{
    const fr_signs_kernel *k = kernel();
    if (k != NULL) k->sums(tables, bits, bytes, sums);
    else sums_by_bytes(tables, bits, bytes, sums);
}

uint32_t fr_simd_below(const fr_simd_bound *b, uint32_t *out)
{
    const fr_signs_kernel *k = kernel();
    if (k != NULL && k->below != NULL) return k->below(b, out);
    uint32_t n = 0, sums[FR_SIGN_ROWS];
    for (uint32_t at = 0; at < b->count; at += FR_SIGN_ROWS) {
        uint8_t near[FR_SIGN_ROWS];
        fr_simd_sign_sums(b->tables, b->bits + (size_t)at * b->bytes, b->bytes, sums);
        for (uint32_t i = 0; i < FR_SIGN_ROWS; i++) {
            float inner = b->scale * (float)(int32_t)sums[i] + b->slope * (float)b->spread[at + i] + b->offset;
            near[i] = b->base[at + i] + b->gain[at + i] * inner <= b->limit;
        }
        for (uint32_t i = 0; i < FR_SIGN_ROWS; i += 8)
            for (uint64_t flags = fr_load_le64(near + i); flags != 0; flags &= flags - 1) out[n++] = b->ids[at + i + (uint32_t)__builtin_ctzll(flags) / 8];
    }
    return n;
}

static float upper_half(uint32_t bits)
{
    float out;
    memcpy(&out, &bits, sizeof out);
    return out;
}

uint32_t fr_simd_signs_near(const fr_simd_near *n, uint32_t *out)
{
    const fr_signs_kernel *k = kernel();
    if (k != NULL && k->near != NULL) return k->near(n, out);
    uint32_t found = 0, sums[FR_SIGN_ROWS];
    const uint8_t *group = n->groups;
    for (uint32_t at = 0; at < n->count; at += FR_SIGN_ROWS, group += fr_sign_group_bytes(n->bytes)) {
        fr_simd_sign_sums(n->tables, group, n->bytes, sums);
        for (uint32_t i = 0; i < FR_SIGN_ROWS; i++) {
            uint32_t both = fr_load_le32(group + (size_t)n->bytes * FR_SIGN_ROWS + 4 * (size_t)i);
            float sum = n->scale * (float)(int32_t)sums[i] + n->offset, most = sum + n->error[(at + i) / 16] * (1 - n->bend * (sum * sum));
            out[found] = n->ids[at + i];
            found += upper_half(both & 0xffff0000u) + upper_half(both << 16) * FR_MAX(most, 0.0f) <= n->limit;
        }
    }
    return found;
}
