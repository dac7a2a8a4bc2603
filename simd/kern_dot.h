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

#endif
