/* heap.h: variable-size row data (key, metadata, model version) in append-only segments. One writer (the applier); readers in
 * an epoch. A reference is segment << 32 | offset and stays valid until the blob is released and its epoch has passed. */
#ifndef FR_HEAP_H
#define FR_HEAP_H

#include "index/epoch.h"
#include "index/extent.h"

#define FR_HEAP_SEGMENT_MAX ((uint32_t)4 << 20)
#define FR_HEAP_SEGMENT_MIN ((uint32_t)4 << 10)

typedef struct fr_heap_segment {
    _Atomic(uint8_t *) data;
    uint32_t size, used, live; /* bytes; writer only */
    size_t pages;              /* > 0: from fr_alloc_pages */
    bool dirty;                /* changed since the last save; writer only */
} fr_heap_segment;

typedef struct fr_heap {
    fr_extents segments; /* of fr_heap_segment */
    _Atomic uint32_t count;
    uint64_t bytes, live;
} fr_heap;

void fr_heap_init(fr_heap *heap);
void fr_heap_free(fr_heap *heap);
static inline fr_heap_segment *fr_heap_segment_at(const fr_heap *heap, uint32_t index)
{
    return fr_extent_at(&heap->segments, index);
}
static inline const uint8_t *fr_heap_at(const fr_heap *heap, uint64_t ref)
{
    return atomic_load_explicit(&fr_heap_segment_at(heap, (uint32_t)(ref >> 32))->data, memory_order_acquire) + (uint32_t)ref;
}
uint8_t *fr_heap_alloc(fr_heap *heap, uint32_t size, uint64_t *ref_out); /* NULL on failure */
void fr_heap_drop(fr_heap *heap, uint64_t ref, uint32_t size, fr_retired *retired); /* frees a segment that got empty */
bool fr_heap_sparse(const fr_heap *heap); /* more than half is garbage: worth moving the live blobs */

/* A blob: {u8 flags, u16 key_size, [i64 source_time], [u16 model_size], [u32 metadata_size], [u32 vector_size], key, model, metadata,
 * vector}. vector: the pairs of a sparse one; data NULL: none (an empty one has size 0). */
typedef struct fr_blob {
    fr_span key, model_version, metadata, vector;
    bool key_is_int;
    int64_t source_time_ms;
} fr_blob;
uint32_t fr_blob_size(const fr_blob *blob);
void fr_blob_write(uint8_t *at, const fr_blob *blob);
uint32_t fr_blob_read(const uint8_t *at, fr_blob *blob_out); /* returns its size */
bool fr_blob_check(const uint8_t *at, uint32_t room, fr_blob *blob_out); /* untrusted bytes */

#endif
