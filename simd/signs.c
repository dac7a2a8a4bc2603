/* signs.c: which rows of sign bits pass a bound: sums of small numbers that a query has for each bit, set or not, by tables.
 *
 * Four bits of a row are a place in a table of sixteen sums, so a byte is two look-ups; rows lie byte by byte in groups of 64, so that one
 * instruction looks up the same four bits of many rows. Sums are exact in every tier. Source: fast scan of codes (Andre and others,
 * VLDB 2015), as RaBitQ uses it (Gao and Long, SIGMOD 2024, section 3.3.2).
 * Here stands the reference; its two bounds are of any tier's sums. */
#include "simd/kern.h"

static void sums_by_bytes(const uint8_t *tables, const uint8_t *bits, uint32_t bytes, uint32_t sums[FR_SIGN_ROWS])
{
    memset(sums, 0, FR_SIGN_ROWS * sizeof *sums);
    for (uint32_t b = 0; b < bytes; b++, tables += 32, bits += FR_SIGN_ROWS)
        for (uint32_t i = 0; i < FR_SIGN_ROWS; i++) sums[i] += (uint32_t)tables[bits[i] & 15] + tables[16 + (bits[i] >> 4)];
}

uint64_t fr_simd_below_by_sums(const fr_simd_bound *b)
{
    uint32_t sums[FR_SIGN_ROWS];
    uint8_t passes[FR_SIGN_ROWS];
    uint64_t near = 0;
    fr_simd_sign_sums(b->tables, b->bits, b->bytes, sums);
    for (uint32_t i = 0; i < FR_SIGN_ROWS; i++) {
        float inner = b->scale * (float)(int32_t)sums[i] + b->slope * (float)b->spread[i] + b->offset;
        passes[i] = b->base[i] + b->gain[i] * inner <= b->limit;
    }
    for (uint32_t i = 0; i < FR_SIGN_ROWS; i += 8) near |= (fr_load_le64(passes + i) * 0x0102040810204080u >> 56) << i; /* eight bytes of 0 or 1 */
    return near;
}

static float upper_half(uint32_t bits)
{
    float out;
    memcpy(&out, &bits, sizeof out);
    return out;
}

uint32_t fr_simd_near_by_sums(const fr_simd_near *n, uint32_t *out)
{
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

const fr_signs_kernel fr_signs_scalar = {sums_by_bytes, fr_simd_below_by_sums, fr_simd_near_by_sums};
