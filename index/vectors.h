/* vectors.h: original vectors, in chunks of the narrowest scalar type that holds every value of the chunk exactly. A chunk is
 * immutable row by row; when a row does not fit, the chunk is copied into a wider type and swapped (the old one is retired).
 * Native code sets (u8, i8) hold the originals themselves: then there are no chunks.
 *
 * With a store, full chunks move to its file (spill) once the walk has codes and there are `spill_from` bytes of originals; the
 * chunk that is being filled stays in memory. What cannot be written stays in memory. */
#ifndef FR_VECTORS_H
#define FR_VECTORS_H

#include "index/epoch.h"
#include "index/extent.h"
#include "index/vector_store.h"
#include "simd/simd.h"

typedef struct fr_vector_chunk {
    fr_scalar type;
    uint32_t row_bytes;
    size_t size;
    uint8_t *data; /* NULL: in the store's file, from byte `at` on */
    uint64_t at;
    uint32_t file; /* 0: the store's own, rows may be overwritten; else one that is only read */
} fr_vector_chunk;

typedef struct fr_vectors {
    uint32_t dimension, chunk_log2; /* rows of a chunk: a power of two, about 256 KiB of f32 */
    fr_extents chunks;              /* of _Atomic(fr_vector_chunk *) */
    uint32_t chunk_count;           /* applier; as everything below */
    uint64_t bytes, file_bytes;     /* of chunks in memory, on disk */
    fr_scalar given;                /* the type that holds every vector; F32: not known, the narrowest is looked for */
    fr_vector_store *store;         /* NULL: all in memory */
    uint64_t file_end, spill_from;
    uint32_t spilled;               /* chunks below are on disk, or were tried */
    bool may_spill, noted;          /* may: the walk has codes */
    uint32_t pause;                 /* a write failed: so many calls of spill do nothing */
} fr_vectors;

#define FR_SPILL_PAUSE 64u /* calls: about as many puts */
#define FR_SPILL_FROM ((uint64_t)8 << 20) /* bytes of originals: small collections open no file */

void fr_vectors_init(fr_vectors *v, uint32_t dimension);
void fr_vectors_free(fr_vectors *v);
/* Applier. Room for the row in a chunk of a type that fits `vector`; then the row is written. */
bool fr_vectors_put(fr_vectors *v, uint32_t row, const float *vector, fr_retired *retired);
/* Applier: full chunks below `rows` go to the store; nothing happens before may_spill and spill_from. */
void fr_vectors_spill(fr_vectors *v, uint32_t rows, fr_retired *retired);
bool fr_vectors_adopt(fr_vectors *v, uint32_t chunk, fr_scalar type, const void *data, size_t size); /* load */
bool fr_vectors_adopt_place(fr_vectors *v, uint32_t chunk, fr_scalar type, uint32_t file, uint64_t at); /* load: stays there */
/* The bytes of a whole chunk, wherever it is. Any thread inside an epoch. */
bool fr_vectors_copy(const fr_vectors *v, const fr_vector_chunk *chunk, uint8_t *out);

static inline fr_vector_chunk *fr_vectors_chunk(const fr_vectors *v, uint32_t row)
{
    _Atomic(fr_vector_chunk *) *slot = fr_extent_at(&v->chunks, row >> v->chunk_log2);
    return atomic_load_explicit(slot, memory_order_acquire);
}
static inline size_t fr_vectors_within(const fr_vectors *v, const fr_vector_chunk *c, uint32_t row)
{
    return (size_t)(row & ((1u << v->chunk_log2) - 1)) * c->row_bytes;
}
/* The row's bytes: in memory where they are, or read into room (dimension floats). NULL: the read failed. */
static inline const void *fr_vectors_row(const fr_vectors *v, uint32_t row, void *room, fr_scalar *type_out)
{
    const fr_vector_chunk *c = fr_vectors_chunk(v, row);
    *type_out = c->type;
    if (c->data != NULL) return c->data + fr_vectors_within(v, c, row);
    fr_vector_read read = {.at = c->at + fr_vectors_within(v, c, row), .to = room, .size = c->row_bytes, .file = c->file};
    return v->store->read(v->store, NULL, &read, 1) == FR_OK ? room : NULL;
}

#endif
