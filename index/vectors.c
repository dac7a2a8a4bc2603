/* vectors.c: see vectors.h. */
#include "index/vectors.h"

#define CHUNK_BYTES ((size_t)256 << 10)

void fr_vectors_init(fr_vectors *v, uint32_t dimension)
{
    *v = (fr_vectors){.dimension = dimension};
    while (v->chunk_log2 < 12 && ((size_t)dimension * 4 << (v->chunk_log2 + 1)) <= CHUNK_BYTES) v->chunk_log2++;
    fr_extents_init(&v->chunks, sizeof(fr_vector_chunk *), FR_MEM_VECTORS);
}

static void drop(fr_vector_chunk *c)
{
    if (c == NULL) return;
    fr_free_pages(FR_MEM_VECTORS, c->data, c->size);
    fr_free(FR_MEM_VECTORS, c);
}

void fr_vectors_free(fr_vectors *v)
{
    for (uint32_t i = 0; i < v->chunk_count; i++) drop(fr_vectors_chunk(v, i << v->chunk_log2));
    fr_extents_free(&v->chunks);
    v->chunk_count = 0;
    v->bytes = 0;
}

static fr_vector_chunk *create(const fr_vectors *v, fr_scalar type)
{
    fr_vector_chunk *c = fr_alloc(FR_MEM_VECTORS, sizeof *c);
    if (c == NULL) return NULL;
    c->type = type;
    c->row_bytes = (uint32_t)fr_scalar_size(type, v->dimension);
    c->size = (size_t)c->row_bytes << v->chunk_log2;
    c->data = fr_alloc_pages(FR_MEM_VECTORS,
                             c->size); /* zero pages cost nothing until they are written: small tables stay small */
    if (c->data != NULL) return c;
    fr_free(FR_MEM_VECTORS, c);
    return NULL;
}

static bool all_zero(const uint8_t *bytes, size_t size)
{
    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

/* The narrowest type that holds both exactly. */
static fr_scalar join(fr_scalar a, fr_scalar b)
{
    if (a == b) return a;
    bool small_a = a == FR_SCALAR_U8 || a == FR_SCALAR_I8, small_b = b == FR_SCALAR_U8 || b == FR_SCALAR_I8;
    if (small_a && small_b) return FR_SCALAR_F16; /* integers of magnitude <= 2048 are exact in f16 */
    if ((small_a && b == FR_SCALAR_F16) || (small_b && a == FR_SCALAR_F16)) return FR_SCALAR_F16;
    if ((small_a && b == FR_SCALAR_BF16) || (small_b && a == FR_SCALAR_BF16))
        return FR_SCALAR_BF16; /* 8 bits of significand */
    return FR_SCALAR_F32;
}

static bool publish(fr_vectors *v, uint32_t index, fr_vector_chunk *chunk)
{
    if (!fr_extents_reserve(&v->chunks, index + 1)) return false;
    _Atomic(fr_vector_chunk *) *slot = fr_extent_at(&v->chunks, index);
    atomic_store_explicit(slot, chunk, memory_order_release);
    v->chunk_count = FR_MAX(v->chunk_count, index + 1);
    v->bytes += chunk->size;
    return true;
}

bool fr_vectors_put(fr_vectors *v, uint32_t row, const float *vector, fr_retired *retired)
{
    fr_scalar need = fr_simd_narrowest(vector, v->dimension);
    uint32_t index = row >> v->chunk_log2, within = row & ((1u << v->chunk_log2) - 1);
    if (!fr_extents_reserve(&v->chunks, index + 1)) return false;
    fr_vector_chunk *c = fr_vectors_chunk(v, row);
    fr_scalar type = c == NULL ? need : join(c->type, need);
    if (c == NULL || type != c->type) {
        if (!fr_retired_reserve(retired, 2)) return false;
        fr_vector_chunk *wider = create(v, type);
        if (wider == NULL) return false;
        if (c != NULL) {
            float *row_f32 = fr_alloc(FR_MEM_VECTORS, v->dimension * sizeof(float));
            if (row_f32 == NULL) {
                drop(wider);
                return false;
            }
            for (uint32_t i = 0; i < 1u << v->chunk_log2; i++) {
                const uint8_t *from = c->data + (size_t)i * c->row_bytes;
                if (all_zero(from, c->row_bytes)) continue;
                fr_simd_to_f32(c->type, from, v->dimension, row_f32);
                fr_simd_from_f32(type, row_f32, v->dimension, wider->data + (size_t)i * wider->row_bytes);
            }
            fr_free(FR_MEM_VECTORS, row_f32);
        }
        if (!publish(v, index, wider)) { /* cannot fail after the reserve above, but say so */
            drop(wider);
            return false;
        }
        if (c != NULL) {
            v->bytes -= c->size;
            fr_retired_push(retired, FR_MEM_VECTORS, c->data, c->size);
            fr_retired_push(retired, FR_MEM_VECTORS, c, 0);
        }
        c = wider;
    }
    fr_simd_from_f32(c->type, vector, v->dimension, c->data + (size_t)within * c->row_bytes);
    return true;
}

bool fr_vectors_adopt(fr_vectors *v, uint32_t chunk, fr_scalar type, const void *data, size_t size)
{
    fr_vector_chunk *c = create(v, type);
    if (c == NULL) return false;
    if (c->size != size || !fr_extents_reserve(&v->chunks, chunk + 1)) {
        drop(c);
        return false;
    }
    for (size_t at = 0, part; at < size; at += part) { /* rows that were never used stay zero pages */
        part = FR_MIN(size - at, (size_t)4096);
        if (!all_zero((const uint8_t *)data + at, part)) memcpy(c->data + at, (const uint8_t *)data + at, part);
    }
    return publish(v, chunk, c);
}
