/* extent.h: an array that grows without moving: extents of doubling size behind a fixed directory.
 * Row r lies in extent e = bits of (r >> FIRST); base pointers are biased, so an address is base[e] + r * stride.
 * Readers need no lock: a base pointer is published (release) before any row number of its extent is. */
#ifndef FR_EXTENT_H
#define FR_EXTENT_H

#include "api/base.h"

#define FR_EXTENT_FIRST 6u /* rows of extent 0: 64 */
#define FR_EXTENT_COUNT 26u /* up to 2^31 rows */
#define FR_ROWS_MAX 0x7fffffffu

typedef struct fr_extents {
    size_t stride;
    fr_mem tag;
    _Atomic(uint8_t *) base[FR_EXTENT_COUNT]; /* biased; NULL = not allocated */
} fr_extents;

static inline uint32_t fr_extent_of(uint32_t row) { return 31u - (uint32_t)__builtin_clz((row >> FR_EXTENT_FIRST) << 1 | 1u); }
static inline uint32_t fr_extent_start(uint32_t e) { return e == 0 ? 0 : 1u << (FR_EXTENT_FIRST + e - 1); }
static inline uint32_t fr_extent_rows(uint32_t e) { return 1u << (FR_EXTENT_FIRST + (e == 0 ? 0 : e - 1)); }

static inline void *fr_extent_at(const fr_extents *x, uint32_t row)
{
    return atomic_load_explicit(&x->base[fr_extent_of(row)], memory_order_acquire) + (size_t)row * x->stride;
}

void fr_extents_init(fr_extents *x, size_t stride, fr_mem tag);
/* Room for rows 0..count-1, zeroed. False on failure: what was there stays. */
bool fr_extents_reserve(fr_extents *x, uint32_t count);
void fr_extents_free(fr_extents *x);
/* Memory that its first `rows` rows take, in whole pages: of a large extent only what was written is there. */
uint64_t fr_extents_bytes(const fr_extents *x, uint32_t rows);

#endif
