/* exact.c: distances on the originals of many rows: those on disk are read in batches, neighbours in the file as one read. */
#include "index/table_private.h"

#include <math.h>

#define TOUCHED 256u /* bytes of a row: the hardware streams the rest of a long one */

static float in_memory(const fr_space *space, uint32_t row, const fr_vector_chunk *c)
{
    const uint8_t *data = c->data + fr_vectors_within(&space->table->vectors, c, row);
    return space->mixed[c->type]->one(space->vector, data, space->table->options.dimension);
}

void fr_space_exact_touch(const fr_space *space, uint32_t row)
{
    const fr_codeset *codes = space->codes;
    if (fr_code_native(codes->kind)) return;
    if (codes->has_fine) {
        const char *fine = fr_extent_at(&codes->fine, row);
        for (uint32_t at = 0; at < codes->padded / 2 && at < 256; at += 64) __builtin_prefetch(fine + at);
    }
    const fr_vector_chunk *c = fr_vectors_chunk(&space->table->vectors, row);
    if (c->data == NULL) return;
    const uint8_t *data = c->data + fr_vectors_within(&space->table->vectors, c, row);
    for (uint32_t at = 0; at < c->row_bytes && at < TOUCHED; at += 64) __builtin_prefetch(data + at);
}

typedef struct fr_exact_batch {
    fr_candidate *waiting[FR_VECTOR_READS_MAX];
    fr_scalar types[FR_VECTOR_READS_MAX];
    const uint8_t *data[FR_VECTOR_READS_MAX];
    fr_vector_read reads[FR_VECTOR_READS_MAX];
    uint32_t rows, read_count;
    size_t used;
} fr_exact_batch;

static bool flush(const fr_space *space, fr_scratch *s, fr_exact_batch *b)
{
    const fr_table *t = space->table;
    if (b->rows == 0) return true;
    bool fine = t->vectors.store->read(t->vectors.store, s->read_ring, b->reads, b->read_count) == FR_OK;
    for (uint32_t i = 0; i < b->rows; i++)
        b->waiting[i]->distance = fine ? space->mixed[b->types[i]]->one(space->vector, b->data[i], t->options.dimension) : NAN;
    b->rows = b->read_count = 0;
    b->used = 0;
    return fine;
}

bool fr_space_exact_many(const fr_space *space, fr_scratch *s, fr_candidate *candidates, uint32_t count)
{
    const fr_vectors *v = &space->table->vectors;
    fr_code_kind kind = space->codes->kind;
    fr_exact_batch b;
    b.rows = b.read_count = 0;
    b.used = 0;
    bool fine = true, native = fr_code_native(kind);
    for (uint32_t i = 0; i < count && fine; i++) {
        uint32_t row = candidates[i].row;
        const fr_vector_chunk *c = native ? NULL : fr_vectors_chunk(v, row);
        if (native) {
            candidates[i].distance = fr_space_exact(space, row, s->decoded);
            continue;
        }
        if (c->data != NULL) {
            candidates[i].distance = in_memory(space, row, c);
            continue;
        }
        if (b.rows == FR_VECTOR_READS_MAX || b.used + c->row_bytes > FR_READ_ROOM) fine = flush(space, s, &b);
        uint8_t *to = s->read_room + b.used;
        uint64_t at = c->at + fr_vectors_within(v, c, row);
        fr_vector_read *last = b.read_count != 0 ? &b.reads[b.read_count - 1] : NULL;
        if (last != NULL && last->file == c->file && last->at + last->size == at) last->size += c->row_bytes;
        else b.reads[b.read_count++] = (fr_vector_read){.at = at, .to = to, .size = c->row_bytes, .file = c->file};
        b.waiting[b.rows] = &candidates[i], b.types[b.rows] = c->type, b.data[b.rows++] = to;
        b.used += c->row_bytes;
    }
    return flush(space, s, &b) && fine;
}
