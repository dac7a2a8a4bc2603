/* vectors.h: original vectors, in chunks of the narrowest scalar type that holds every value of the chunk exactly. A chunk is
 * immutable row by row; when a row does not fit, the chunk is copied into a wider type and swapped (the old one is retired).
 * Native code sets (u8, i8) hold the originals themselves: then there are no chunks. */
#ifndef FR_VECTORS_H
#define FR_VECTORS_H

#include "index/epoch.h"
#include "index/extent.h"
#include "simd/simd.h"

typedef struct fr_vector_chunk {
    fr_scalar type;
    uint32_t row_bytes;
    size_t size;
    uint8_t *data;
} fr_vector_chunk;

typedef struct fr_vectors {
    uint32_t dimension, chunk_log2; /* rows of a chunk: a power of two, about 256 KiB of f32 */
    fr_extents chunks;              /* of _Atomic(fr_vector_chunk *) */
    uint32_t chunk_count;           /* applier */
    uint64_t bytes;
} fr_vectors;

void fr_vectors_init(fr_vectors *v, uint32_t dimension);
void fr_vectors_free(fr_vectors *v);
/* Applier. Room for the row in a chunk of a type that fits `vector`; then the row is written. */
bool fr_vectors_put(fr_vectors *v, uint32_t row, const float *vector, fr_retired *retired);
bool fr_vectors_adopt(fr_vectors *v, uint32_t chunk, fr_scalar type, const void *data, size_t size); /* load */
static inline fr_vector_chunk *fr_vectors_chunk(const fr_vectors *v, uint32_t row)
{
    _Atomic(fr_vector_chunk *) *slot = fr_extent_at(&v->chunks, row >> v->chunk_log2);
    return atomic_load_explicit(slot, memory_order_acquire);
}
static inline const void *fr_vectors_row(const fr_vectors *v, uint32_t row, fr_scalar *type_out)
{
    const fr_vector_chunk *c = fr_vectors_chunk(v, row);
    *type_out = c->type;
    return c->data + (size_t)(row & ((1u << v->chunk_log2) - 1)) * c->row_bytes;
}

#endif
