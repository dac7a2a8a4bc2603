/* kern_dot.h: the forms of the walk's kernel. Included once by a kernel file that defines
 *   dot_rows(R, padded, query, rows, n, out): R (1, 2 or 4) dot products; padded promises n % 64 == 0.
 */
#ifndef FR_KERN_DOT_H
#define FR_KERN_DOT_H

#include "simd/kern.h"

FR_INLINE void dot_gather_as(bool padded, const int8_t *query, const uint8_t *const *rows, uint32_t count, uint32_t n,
                             int32_t *out)
{
    uint32_t i = 0;
    for (; i + 4 <= count; i += 4) dot_rows(4, padded, query, (const void *const *)(rows + i), n, out + i);
    if (count - i >= 2) {
        dot_rows(2, padded, query, (const void *const *)(rows + i), n, out + i);
        i += 2;
    }
    if (i < count) dot_rows(1, padded, query, (const void *const *)(rows + i), n, out + i);
}

FR_INLINE void dot_many_as(bool padded, const int8_t *query, const uint8_t *rows, size_t stride, uint32_t count,
                           uint32_t n, int32_t *out)
{
    uint32_t i = 0;
    for (; i + 4 <= count; i += 4, rows += 4 * stride) {
        const void *group[4] = {rows, rows + stride, rows + 2 * stride, rows + 3 * stride};
        dot_rows(4, padded, query, group, n, out + i);
    }
    for (; i < count; i++, rows += stride) {
        const void *group[1] = {rows};
        dot_rows(1, padded, query, group, n, out + i);
    }
}

static void dot_gather_padded(const int8_t *query, const uint8_t *const *rows, uint32_t count, uint32_t n, int32_t *out)
{
    dot_gather_as(true, query, rows, count, n, out);
}

static void dot_gather(const int8_t *query, const uint8_t *const *rows, uint32_t count, uint32_t n, int32_t *out)
{
    dot_gather_as(false, query, rows, count, n, out);
}

static void dot_many_padded(const int8_t *query, const uint8_t *rows, size_t stride, uint32_t count, uint32_t n,
                            int32_t *out)
{
    dot_many_as(true, query, rows, stride, count, n, out);
}

static void dot_many(const int8_t *query, const uint8_t *rows, size_t stride, uint32_t count, uint32_t n, int32_t *out)
{
    dot_many_as(false, query, rows, stride, count, n, out);
}

/* Blocks without a layout of their own: rows stay rows, and every query meets them by the kernel above. */
FR_INLINE void block_pack_rows(const uint8_t *const *rows, uint32_t count, uint32_t n, uint8_t *packed)
{
    for (uint32_t i = 0; i < count; i++) memcpy(packed + (size_t)i * n, rows[i], n);
    memset(packed + (size_t)count * n, 0, (size_t)(fr_tile_rows(count) - count) * n);
}

FR_INLINE void block_dots_rows(const int8_t *queries, uint32_t query_count, const uint8_t *packed, uint32_t count,
                               uint32_t n, int32_t *out, size_t stride)
{
    for (uint32_t q = 0; q < query_count; q++)
        dot_many_as(true, queries + (size_t)q * n, packed, n, fr_tile_rows(count), n, out + q * stride);
}

FR_INLINE uint32_t block_below_each(const int32_t *dots, const int32_t *constants, uint32_t factor, uint32_t count,
                                    int32_t bound, int32_t *keys, uint32_t *places)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++) { /* stored always, kept by the counter: no branch to guess */
        int32_t key = (int32_t)((uint32_t)constants[i] - factor * (uint32_t)dots[i]);
        keys[found] = key;
        places[found] = i;
        found += key < bound;
    }
    return found;
}

#define BLOCK_OF_ROWS                                                                                                  \
    static void block_pack(const uint8_t *const *rows, uint32_t count, uint32_t n, uint8_t *packed)                    \
    {                                                                                                                  \
        block_pack_rows(rows, count, n, packed);                                                                       \
    }                                                                                                                  \
    static void block_dots(const int8_t *queries, uint32_t query_count, const uint8_t *packed, uint32_t count,         \
                           uint32_t n, int32_t *out, size_t stride)                                                    \
    {                                                                                                                  \
        block_dots_rows(queries, query_count, packed, count, n, out, stride);                                          \
    }                                                                                                                  \
    static uint32_t block_below(const int32_t *dots, const int32_t *constants, uint32_t factor, uint32_t count,        \
                                int32_t bound, int32_t *keys, uint32_t *places)                                        \
    {                                                                                                                  \
        return block_below_each(dots, constants, factor, count, bound, keys, places);                                  \
    }                                                                                                                  \
    static uint32_t block_few(const int32_t *dots, const int32_t *constants, uint32_t factor, uint32_t count, uint32_t want, \
                              int32_t *keys, uint32_t *places)                                                         \
    {                                                                                                                  \
        return block_few_each(dots, constants, factor, count, want, keys, places);                                     \
    }                                                                                                                  \
    static void block_order(int32_t *keys, uint32_t *places, uint32_t count) { block_order_each(keys, places, count); }      \
    static int32_t block_bound(const int32_t *keys, uint32_t count, uint32_t want)                                     \
    {                                                                                                                  \
        return block_bound_by(block_order, keys, count, want);                                                         \
    }

#endif
