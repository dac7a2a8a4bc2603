/* vectors.c: see vectors.h. */
#include "index/vectors.h"

#define CHUNK_BYTES ((size_t)256 << 10)

void fr_vectors_init(fr_vectors *v, uint32_t dimension)
{
    *v = (fr_vectors){.dimension = dimension, .spill_from = FR_SPILL_FROM};
    while (v->chunk_log2 < 12 && ((size_t)dimension * 4 << (v->chunk_log2 + 1)) <= CHUNK_BYTES) v->chunk_log2++;
    fr_extents_init(&v->chunks, sizeof(fr_vector_chunk *), FR_MEM_VECTORS);
}

static void drop(fr_vector_chunk *c)
{
    if (c == NULL) return;
    if (c->data != NULL) fr_free_pages(FR_MEM_VECTORS, c->data, c->size);
    fr_free(FR_MEM_VECTORS, c);
}

void fr_vectors_free(fr_vectors *v)
{
    for (uint32_t i = 0; i < v->chunk_count; i++) drop(fr_vectors_chunk(v, i << v->chunk_log2));
    fr_extents_free(&v->chunks);
    v->chunk_count = 0;
    v->bytes = v->file_bytes = 0;
}

static fr_vector_chunk *describe(const fr_vectors *v, fr_scalar type)
{
    fr_vector_chunk *c = fr_zalloc(FR_MEM_VECTORS, sizeof *c);
    if (c == NULL) return NULL;
    c->type = type;
    c->row_bytes = (uint32_t)fr_scalar_size(type, v->dimension);
    c->size = (size_t)c->row_bytes << v->chunk_log2;
    return c;
}

static fr_vector_chunk *create(const fr_vectors *v, fr_scalar type)
{
    fr_vector_chunk *c = describe(v, type);
    if (c == NULL) return NULL;
    /* zero pages cost nothing until they are written: small tables stay small */
    c->data = fr_alloc_pages(FR_MEM_VECTORS, c->size);
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

/* Swap in a chunk for what stood there; two places in `retired` are reserved. The extent is there, too. */
static void publish(fr_vectors *v, uint32_t index, fr_vector_chunk *chunk, fr_retired *retired)
{
    _Atomic(fr_vector_chunk *) *slot = fr_extent_at(&v->chunks, index);
    fr_vector_chunk *old = atomic_load_explicit(slot, memory_order_relaxed);
    atomic_store_explicit(slot, chunk, memory_order_release);
    v->chunk_count = FR_MAX(v->chunk_count, index + 1);
    *(chunk->data != NULL ? &v->bytes : &v->file_bytes) += chunk->size;
    if (old == NULL) return;
    *(old->data != NULL ? &v->bytes : &v->file_bytes) -= old->size;
    if (old->data != NULL) fr_retired_push(retired, FR_MEM_VECTORS, old->data, old->size);
    fr_retired_push(retired, FR_MEM_VECTORS, old, 0);
}

bool fr_vectors_copy(const fr_vectors *v, const fr_vector_chunk *c, uint8_t *out)
{
    if (c->data != NULL) {
        memcpy(out, c->data, c->size);
        return true;
    }
    fr_vector_read read = {.at = c->at, .to = out, .size = (uint32_t)c->size, .file = c->file};
    return v->store->read(v->store, NULL, &read, 1) == FR_OK;
}

/* A chunk of a wider type, in memory, with the rows of the one that stands there. */
static fr_vector_chunk *widen(fr_vectors *v, const fr_vector_chunk *c, fr_scalar type)
{
    fr_vector_chunk *wider = create(v, type);
    if (wider == NULL || c == NULL) return wider;
    float *row = fr_alloc(FR_MEM_VECTORS, v->dimension * sizeof(float));
    uint8_t *read = c->data == NULL ? fr_alloc(FR_MEM_VECTORS, c->size) : NULL;
    bool fine = row != NULL && (c->data != NULL || (read != NULL && fr_vectors_copy(v, c, read)));
    for (uint32_t i = 0; fine && i < 1u << v->chunk_log2; i++) {
        const uint8_t *from = (c->data != NULL ? c->data : read) + (size_t)i * c->row_bytes;
        if (all_zero(from, c->row_bytes)) continue;
        fr_simd_to_f32(c->type, from, v->dimension, row);
        fr_simd_from_f32(type, row, v->dimension, wider->data + (size_t)i * wider->row_bytes);
    }
    fr_free(FR_MEM_VECTORS, row);
    fr_free(FR_MEM_VECTORS, read);
    if (fine) return wider;
    drop(wider);
    return NULL;
}

/* A copy of a chunk in memory at a new place of the file, or NULL. */
static fr_vector_chunk *move_out(fr_vectors *v, const fr_vector_chunk *c)
{
    fr_vector_chunk *moved = describe(v, c->type);
    if (moved == NULL) return NULL;
    moved->at = v->file_end;
    if (v->store->write(v->store, moved->at, c->data, c->size) == FR_OK) {
        v->file_end += (c->size + 4095) & ~(uint64_t)4095;
        return moved;
    }
    if (!v->noted) fr_note(FR_NOTE_WARN, "index=vectors event=kept_in_memory why=\"the file cannot be written\"");
    v->noted = true;
    fr_free(FR_MEM_VECTORS, moved);
    return NULL;
}

void fr_vectors_spill(fr_vectors *v, uint32_t rows, fr_retired *retired)
{
    if (v->store == NULL || !v->may_spill || (v->file_bytes == 0 && v->bytes < v->spill_from)) return;
    if (v->pause != 0) {
        v->pause--;
        return;
    }
    for (; v->spilled < rows >> v->chunk_log2; v->spilled++) {
        if (v->spilled >= v->chunk_count) return;
        const fr_vector_chunk *c = fr_vectors_chunk(v, v->spilled << v->chunk_log2);
        if (c == NULL || c->data == NULL) continue;
        fr_vector_chunk *moved = fr_retired_reserve(retired, 2) ? move_out(v, c) : NULL;
        if (moved == NULL) {
            v->pause = FR_SPILL_PAUSE; /* a full disk is not asked at every put */
            return;
        }
        publish(v, v->spilled, moved, retired);
    }
}

/* A row of a chunk that is on disk and has the right type: overwritten in place. */
static bool put_on_disk(fr_vectors *v, const fr_vector_chunk *c, uint32_t row, const float *vector)
{
    uint8_t *bytes = fr_alloc(FR_MEM_VECTORS, c->row_bytes);
    if (bytes == NULL) return false;
    fr_simd_from_f32(c->type, vector, v->dimension, bytes);
    bool fine = v->store->write(v->store, c->at + fr_vectors_within(v, c, row), bytes, c->row_bytes) == FR_OK;
    fr_free(FR_MEM_VECTORS, bytes);
    return fine;
}

bool fr_vectors_put(fr_vectors *v, uint32_t row, const float *vector, fr_retired *retired)
{
    fr_scalar need = v->given != FR_SCALAR_F32 ? v->given : fr_simd_narrowest(vector, v->dimension);
    uint32_t index = row >> v->chunk_log2;
    if (!fr_extents_reserve(&v->chunks, index + 1)) return false;
    fr_vector_chunk *c = fr_vectors_chunk(v, row);
    fr_scalar type = c == NULL ? need : join(c->type, need);
    bool on_disk = c != NULL && c->data == NULL;
    if (on_disk && type == c->type && c->file == 0 && put_on_disk(v, c, row, vector)) return true;
    if (c == NULL || on_disk || type != c->type) {
        fr_vector_chunk *fresh = fr_retired_reserve(retired, 2) ? widen(v, c, type) : NULL;
        if (fresh == NULL) return false;
        fr_simd_from_f32(fresh->type, vector, v->dimension, fresh->data + fr_vectors_within(v, fresh, row));
        fr_vector_chunk *moved = on_disk ? move_out(v, fresh) : NULL;
        publish(v, index, moved != NULL ? moved : fresh, retired);
        if (moved != NULL) drop(fresh);
        else v->spilled = FR_MIN(v->spilled, index);
        return true;
    }
    fr_simd_from_f32(c->type, vector, v->dimension, c->data + fr_vectors_within(v, c, row));
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
    publish(v, chunk, c, NULL);
    return true;
}

bool fr_vectors_adopt_place(fr_vectors *v, uint32_t chunk, fr_scalar type, uint32_t file, uint64_t at)
{
    fr_vector_chunk *c = describe(v, type);
    if (c == NULL) return false;
    if (!fr_extents_reserve(&v->chunks, chunk + 1)) {
        drop(c);
        return false;
    }
    c->file = file;
    c->at = at;
    publish(v, chunk, c, NULL);
    return true;
}
