/* persist.c: saving a table as numbered chunk images (kind << 32 | index); load.c reads them. Byte tables: index/README.md, Chunks.
 *
 * A save is exactly the state at offset S, although writers go on: rows carry the offsets of the records that made and ended them,
 * nothing alive at S is freed or moved until save_end, and load drops what was made after S and revives what ended after S.
 * Links are hints: load drops lanes that lead to rows that are not there. */
#include "index/persist.h"

typedef struct fr_saved_segment {
    const uint8_t *data;
    uint32_t used;
    bool dirty;
} fr_saved_segment;

struct fr_save {
    fr_chunk_header header;
    const fr_codeset *codes;
    uint64_t code_generation;
    bool all_codes;
    fr_saved_segment segments[];
};

/* ==== saving ==== */

fr_code fr_table_save_begin(fr_table *t, fr_offset at, bool full, fr_err *err)
{
    FR_ASSERT(t->save == NULL);
    fr_settle_keys(t);
    uint32_t segments = atomic_load_explicit(&t->heap.count, memory_order_relaxed);
    struct fr_save *save = fr_zalloc(FR_MEM_ROWS, sizeof *save + segments * sizeof *save->segments);
    if (save == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory to save a table");
    save->codes = fr_codes_of(t);
    save->code_generation = t->code_generation;
    save->all_codes = full || t->saved_code_generation != t->code_generation;
    /* Native codes are the originals: what a recode without memory left behind is none of the table. */
    bool native = fr_code_native(save->codes->kind);
    save->header = (fr_chunk_header){.version = FR_CHUNK_VERSION, .dimension = t->options.dimension, .m = t->m,
                                     .metric = t->options.metric, .codes = t->options.codes, .kind = save->codes->kind,
                                     .rows = atomic_load(&t->row_count), .heap_segments = segments,
                                     .vector_chunks = native ? 0 : t->vectors.chunk_count, .vector_log2 = t->vectors.chunk_log2, .fine = save->codes->has_fine,
                                     .seed = t->options.seed, .entry = atomic_load(&t->entry), .at = at};
    for (uint32_t i = 0; i < segments; i++) {
        fr_heap_segment *s = fr_heap_segment_at(&t->heap, i);
        save->segments[i] = (fr_saved_segment){s->data, s->used, s->dirty || full};
        s->dirty = false;
    }
    t->save = save;
    t->save_full = full;
    atomic_store_explicit(&t->saving, true, memory_order_release);
    return FR_OK;
}

/* Must this chunk be written? Marks it as taken by this save; a change from now on marks it anew. */
static bool take(fr_table *t, fr_chunk_kind kind, uint32_t index, bool force)
{
    _Atomic uint8_t *mark = fr_extent_at(&t->dirty[kind], index);
    uint8_t dirty = 1;
    if (force) {
        atomic_store(mark, 2);
        return true;
    }
    return atomic_compare_exchange_strong(mark, &dirty, 2);
}

/* Bytes that writers may be changing: rows of a moment after S, and links. Both are judged when loaded. */
__attribute__((no_sanitize("thread"), noinline)) static void copy_racing(uint8_t *to, const uint8_t *from, size_t size)
{
    for (size_t i = 0; i + 4 <= size; i += 4) {
        uint32_t word = *(const volatile uint32_t *)(const volatile void *)(from + i);
        memcpy(to + i, &word, 4);
    }
    for (size_t i = size & ~(size_t)3; i < size; i++) to[i] = ((const volatile uint8_t *)from)[i];
}

static void copy_rows_out(const fr_extents *x, uint32_t first, uint32_t count, uint8_t *to)
{
    while (count != 0) { /* an extent's end may lie inside a chunk of the first few thousand rows */
        uint32_t e = fr_extent_of(first), room = fr_extent_start(e) + fr_extent_rows(e) - first, n = FR_MIN(room, count);
        copy_racing(to, fr_extent_at(x, first), (size_t)n * x->stride);
        to += (size_t)n * x->stride, first += n, count -= n;
    }
}

static void pack_rows(const fr_table *t, uint32_t first, uint32_t count, uint8_t *to)
{
    for (uint32_t i = 0; i < count; i++) {
        const fr_row *r = fr_row_at(t, first + i);
        int64_t ended = atomic_load_explicit(&fr_past_at(t, first + i)->ended, memory_order_acquire) - 1;
        fr_row packed = {.death = ended >= 0 ? (uint64_t)ended : FR_NEVER,
                         .made = atomic_load_explicit(&r->made, memory_order_acquire),
                         .blob = atomic_load_explicit(&r->blob, memory_order_acquire),
                         .parent = atomic_load_explicit(&r->parent, memory_order_acquire),
                         .linked = atomic_load_explicit(&r->linked, memory_order_acquire)};
        memcpy(to + i * sizeof packed, &packed, sizeof packed);
    }
}

/* The constants of a chunk where the table has none: images are the same on every processor. They go over the codes that they are of:
 * a code is longer. */
static void compute_constants(const fr_codeset *codes, uint32_t first, uint32_t count, uint8_t *room)
{
    copy_rows_out(&codes->code, first, count, room);
    for (uint32_t i = 0; i < count; i++) {
        int32_t constant = fr_codeset_constant_of(codes, room + (size_t)i * codes->padded);
        memcpy(room + i * sizeof constant, &constant, sizeof constant);
    }
}

static fr_code save_array(fr_table *t, fr_sink *sink, fr_chunk_kind kind, const fr_extents *x, uint32_t rows, bool force, fr_err *err)
{
    const fr_codeset *codes = t->save->codes;
    bool computed = kind == FR_CHUNK_CST && fr_codeset_computes(codes);
    size_t stride = x->stride;
    uint8_t *buffer = fr_alloc(FR_MEM_ROWS, FR_CHUNK_ROWS * (computed ? codes->padded : stride));
    if (buffer == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory to save a table");
    fr_code code = FR_OK;
    for (uint32_t first = 0; first < rows && code == FR_OK; first += FR_CHUNK_ROWS) {
        uint32_t index = first / FR_CHUNK_ROWS, count = FR_MIN(FR_CHUNK_ROWS, rows - first);
        if (!take(t, kind, index, force)) {
            code = sink->keep(sink, fr_chunk_id(kind, index), err);
            continue;
        }
        if (kind == FR_CHUNK_ROWS_OF) pack_rows(t, first, count, buffer);
        else if (computed) compute_constants(codes, first, count, buffer);
        else copy_rows_out(x, first, count, buffer);
        code = sink->chunk(sink, fr_chunk_id(kind, index), buffer, count * stride, err);
        if (count < FR_CHUNK_ROWS) atomic_store((_Atomic uint8_t *)fr_extent_at(&t->dirty[kind], index), 1); /* rows came since */
    }
    fr_free(FR_MEM_ROWS, buffer);
    return code;
}

static fr_code save_heap(fr_table *t, fr_sink *sink, fr_err *err)
{
    for (uint32_t i = 0; i < t->save->header.heap_segments; i++) {
        const fr_saved_segment *s = &t->save->segments[i];
        if (s->data == NULL || s->used == 0) continue;
        if (s->dirty) FR_TRY(sink->chunk(sink, fr_chunk_id(FR_CHUNK_HEAP, i), s->data, s->used, err));
        else FR_TRY(sink->keep(sink, fr_chunk_id(FR_CHUNK_HEAP, i), err));
    }
    return FR_OK;
}

static fr_code save_vectors(fr_table *t, fr_sink *sink, fr_err *err)
{
    const fr_chunk_header *h = &t->save->header;
    uint32_t per_mark = FR_CHUNK_ROWS >> h->vector_log2;
    bool dirty = false;
    for (uint32_t i = 0; i < h->vector_chunks; i++) {
        if (i % per_mark == 0) {
            dirty = take(t, FR_CHUNK_VECTORS, i / per_mark, t->save->all_codes);
            bool partial = (i / per_mark + 1) * (uint64_t)FR_CHUNK_ROWS > h->rows;
            if (dirty && partial) atomic_store((_Atomic uint8_t *)fr_extent_at(&t->dirty[FR_CHUNK_VECTORS], i / per_mark), 1);
        }
        const fr_vector_chunk *c = fr_vectors_chunk(&t->vectors, i << h->vector_log2);
        if (c == NULL) continue;
        if (!dirty) {
            FR_TRY(sink->keep(sink, fr_chunk_id(FR_CHUNK_VECTORS, i), err));
            continue;
        }
        uint8_t *buffer = fr_alloc(FR_MEM_ROWS, 64 + c->size);
        if (buffer == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory to save a table");
        memset(buffer, 0, 64);
        fr_store_le32(buffer, (uint32_t)c->type);
        fr_code code = FR_OK;
        if (c->data != NULL) copy_racing(buffer + 64, c->data, c->size);
        else if (!fr_vectors_copy(&t->vectors, c, buffer + 64)) code = fr_fail(err, FR_ERR_IO, NULL, "original vectors cannot be read");
        if (code == FR_OK) code = sink->chunk(sink, fr_chunk_id(FR_CHUNK_VECTORS, i), buffer, 64 + c->size, err);
        fr_free(FR_MEM_ROWS, buffer);
        FR_TRY(code);
    }
    return FR_OK;
}

fr_code fr_table_save(fr_table *t, fr_sink *sink, fr_err *err)
{
    struct fr_save *save = t->save;
    const fr_chunk_header *h = &save->header;
    bool full = t->save_full;
    FR_TRY(sink->chunk(sink, fr_chunk_id(FR_CHUNK_HEADER, 0), h, sizeof *h, err));
    FR_TRY(save_array(t, sink, FR_CHUNK_ROWS_OF, &t->rows, h->rows, full, err));
    FR_TRY(save_array(t, sink, FR_CHUNK_LINKS, &t->links, h->rows, full, err));
    if (save->codes->kind != FR_CODE_NONE) {
        FR_TRY(save_array(t, sink, FR_CHUNK_CODES, &save->codes->code, h->rows, save->all_codes, err));
        FR_TRY(save_array(t, sink, FR_CHUNK_CST, &save->codes->cst, h->rows, save->all_codes, err));
        if (h->fine) FR_TRY(save_array(t, sink, FR_CHUNK_FINE, &save->codes->fine, h->rows, save->all_codes, err));
    }
    if (save->codes->kind == FR_CODE_SQ8) {
        float *book = fr_zalloc(FR_MEM_ROWS, (16 + (size_t)save->codes->padded) * sizeof(float));
        if (book == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory to save a table");
        book[0] = save->codes->scale;
        fr_store_le64(book + 2, save->codes->trained_rows);
        memcpy(book + 16, save->codes->centre, save->codes->padded * sizeof(float));
        fr_code code = sink->chunk(sink, fr_chunk_id(FR_CHUNK_CODEBOOK, 0), book, (16 + (size_t)save->codes->padded) * sizeof(float), err);
        fr_free(FR_MEM_ROWS, book);
        FR_TRY(code);
    }
    FR_TRY(save_heap(t, sink, err));
    return save_vectors(t, sink, err);
}

void fr_table_save_end(fr_table *t, bool ok)
{
    uint32_t chunks = (atomic_load(&t->row_count) + FR_CHUNK_ROWS - 1) / FR_CHUNK_ROWS;
    for (uint32_t k = FR_CHUNK_ROWS_OF; k < FR_CHUNK_KINDS; k++) {
        for (uint32_t i = 0; i < chunks && k != FR_CHUNK_HEAP; i++) {
            uint8_t taken = 2;
            atomic_compare_exchange_strong((_Atomic uint8_t *)fr_extent_at(&t->dirty[k], i), &taken, ok ? 0 : 1);
        }
    }
    for (uint32_t i = 0; !ok && i < t->save->header.heap_segments; i++)
        if (t->save->segments[i].dirty) fr_heap_segment_at(&t->heap, i)->dirty = true;
    if (ok) t->saved_code_generation = t->save->code_generation;
    fr_free(FR_MEM_ROWS, t->save);
    t->save = NULL;
    atomic_store_explicit(&t->saving, false, memory_order_release);
}
