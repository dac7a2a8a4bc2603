/* extent.c: see extent.h. */
#include "index/extent.h"

#define PAGES_FROM ((size_t)32 << 10) /* smaller extents come from the heap: idle collections stay small */

static size_t extent_bytes(const fr_extents *x, uint32_t e) { return (size_t)fr_extent_rows(e) * x->stride; }

void fr_extents_init(fr_extents *x, size_t stride, fr_mem tag)
{
    x->stride = stride;
    x->tag = tag;
    for (uint32_t e = 0; e < FR_EXTENT_COUNT; e++) atomic_init(&x->base[e], NULL);
}

bool fr_extents_reserve(fr_extents *x, uint32_t count)
{
    if (count == 0) return true;
    for (uint32_t e = 0; e <= fr_extent_of(count - 1); e++) {
        if (atomic_load_explicit(&x->base[e], memory_order_relaxed) != NULL) continue;
        size_t size = extent_bytes(x, e);
        uint8_t *memory;
        if (size >= PAGES_FROM) {
            memory = fr_alloc_pages(x->tag, size);
        } else {
            memory = fr_alloc_aligned(x->tag, 64, size);
            if (memory != NULL) memset(memory, 0, size);
        }
        if (memory == NULL) return false;
        atomic_store_explicit(&x->base[e], memory - (size_t)fr_extent_start(e) * x->stride, memory_order_release);
    }
    return true;
}

void fr_extents_free(fr_extents *x)
{
    for (uint32_t e = 0; e < FR_EXTENT_COUNT; e++) {
        uint8_t *biased = atomic_load_explicit(&x->base[e], memory_order_relaxed);
        if (biased == NULL) continue;
        uint8_t *memory = biased + (size_t)fr_extent_start(e) * x->stride;
        if (extent_bytes(x, e) >= PAGES_FROM) fr_free_pages(x->tag, memory, extent_bytes(x, e));
        else fr_free(x->tag, memory);
        atomic_store_explicit(&x->base[e], NULL, memory_order_relaxed);
    }
}

uint64_t fr_extents_bytes(const fr_extents *x, uint32_t rows)
{
    uint64_t bytes = 0;
    for (uint32_t e = 0; e < FR_EXTENT_COUNT && (e == 0 || fr_extent_start(e) < rows); e++) {
        if (atomic_load_explicit(&x->base[e], memory_order_relaxed) == NULL) continue;
        size_t size = extent_bytes(x, e), used = (size_t)(rows - FR_MIN(rows, fr_extent_start(e))) * x->stride;
        size_t unit = size >= FR_HUGE_PAGE ? FR_HUGE_PAGE : size >= PAGES_FROM ? 4096 : size;
        bytes += FR_MIN(size, (used + unit - 1) / unit * unit);
    }
    return bytes;
}
