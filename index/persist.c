/* persist.c: a table as numbered chunk images (kind << 32 | index). Byte tables: index/README.md, section Chunks.
 *
 * A save is exactly the state at offset S, although writers go on: rows carry the offsets of the records that made and ended them,
 * nothing alive at S is freed or moved until save_end, and load drops what was made after S and revives what ended after S.
 * Links are hints: load drops lanes that lead to rows that are not there. */
#include "index/table_private.h"

typedef struct fr_chunk_header {
    uint32_t version, dimension, m, metric, codes, kind;
    uint32_t rows, uppers, heap_segments, vector_chunks, vector_log2, fine;
    uint64_t seed, entry;
    int64_t at;
} fr_chunk_header;
_Static_assert(sizeof(fr_chunk_header) == 72, "72 bytes");
#define CHUNK_VERSION 1u
#define KEYS_AT_ONCE 32u

typedef struct fr_chunk_row {
    int64_t made, ended;
    uint64_t blob;
    uint8_t level, linked, zero[2];
    uint32_t parent; /* FR_ROW_NONE: the root or none */
} fr_chunk_row;
_Static_assert(sizeof(fr_chunk_row) == 32, "32 bytes");

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

static uint64_t chunk_id(fr_chunk_kind kind, uint32_t index) { return (uint64_t)kind << 32 | index; }

/* ==== saving ==== */

fr_code fr_table_save_begin(fr_table *t, fr_offset at, bool full, fr_err *err)
{
    FR_ASSERT(t->save == NULL);
    uint32_t segments = atomic_load_explicit(&t->heap.count, memory_order_relaxed);
    struct fr_save *save = fr_zalloc(FR_MEM_ROWS, sizeof *save + segments * sizeof *save->segments);
    if (save == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory to save a table");
    save->codes = fr_codes_of(t);
    save->code_generation = t->code_generation;
    save->all_codes = full || t->saved_code_generation != t->code_generation;
    fr_spin_lock(&t->list_lock);
    uint32_t uppers = t->upper_count;
    fr_spin_unlock(&t->list_lock);
    save->header = (fr_chunk_header){.version = CHUNK_VERSION, .dimension = t->options.dimension, .m = t->m,
                                     .metric = t->options.metric, .codes = t->options.codes, .kind = save->codes->kind,
                                     .rows = atomic_load(&t->row_count), .uppers = uppers, .heap_segments = segments,
                                     .vector_chunks = t->vectors.chunk_count, .vector_log2 = t->vectors.chunk_log2, .fine = save->codes->has_fine,
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
        fr_chunk_row packed = {.made = atomic_load_explicit(&r->made, memory_order_acquire),
                               .ended = atomic_load_explicit(&fr_past_at(t, first + i)->ended, memory_order_acquire) - 1,
                               .blob = atomic_load_explicit(&r->blob, memory_order_acquire),
                               .linked = atomic_load_explicit(&r->linked, memory_order_acquire),
                               .parent = atomic_load_explicit(&r->parent, memory_order_acquire)};
        copy_racing(&packed.level, &r->level, 1);
        memcpy(to + i * sizeof packed, &packed, sizeof packed);
    }
}

static fr_code save_array(fr_table *t, fr_sink *sink, fr_chunk_kind kind, const fr_extents *x, uint32_t rows, bool force, fr_err *err)
{
    size_t stride = kind == FR_CHUNK_ROWS_OF ? sizeof(fr_chunk_row) : x->stride;
    uint8_t *buffer = fr_alloc(FR_MEM_ROWS, FR_CHUNK_ROWS * stride);
    if (buffer == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory to save a table");
    fr_code code = FR_OK;
    for (uint32_t first = 0; first < rows && code == FR_OK; first += FR_CHUNK_ROWS) {
        uint32_t index = first / FR_CHUNK_ROWS, count = FR_MIN(FR_CHUNK_ROWS, rows - first);
        if (!take(t, kind, index, force)) {
            code = sink->keep(sink, chunk_id(kind, index), err);
            continue;
        }
        if (kind == FR_CHUNK_ROWS_OF) pack_rows(t, first, count, buffer);
        else copy_rows_out(x, first, count, buffer);
        code = sink->chunk(sink, chunk_id(kind, index), buffer, count * stride, err);
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
        if (s->dirty) FR_TRY(sink->chunk(sink, chunk_id(FR_CHUNK_HEAP, i), s->data, s->used, err));
        else FR_TRY(sink->keep(sink, chunk_id(FR_CHUNK_HEAP, i), err));
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
            FR_TRY(sink->keep(sink, chunk_id(FR_CHUNK_VECTORS, i), err));
            continue;
        }
        uint8_t *buffer = fr_alloc(FR_MEM_ROWS, 64 + c->size);
        if (buffer == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory to save a table");
        memset(buffer, 0, 64);
        fr_store_le32(buffer, (uint32_t)c->type);
        fr_code code = FR_OK;
        if (c->data != NULL) copy_racing(buffer + 64, c->data, c->size);
        else if (!fr_vectors_copy(&t->vectors, c, buffer + 64)) code = fr_fail(err, FR_ERR_IO, NULL, "original vectors cannot be read");
        if (code == FR_OK) code = sink->chunk(sink, chunk_id(FR_CHUNK_VECTORS, i), buffer, 64 + c->size, err);
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
    FR_TRY(sink->chunk(sink, chunk_id(FR_CHUNK_HEADER, 0), h, sizeof *h, err));
    FR_TRY(save_array(t, sink, FR_CHUNK_ROWS_OF, &t->rows, h->rows, full, err));
    FR_TRY(save_array(t, sink, FR_CHUNK_LINKS, &t->links, h->rows, full, err));
    FR_TRY(save_array(t, sink, FR_CHUNK_UPPER_OF, &t->upper_of, h->rows, full, err));
    FR_TRY(save_array(t, sink, FR_CHUNK_UPPERS, &t->uppers, h->uppers, full, err));
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
        fr_code code = sink->chunk(sink, chunk_id(FR_CHUNK_CODEBOOK, 0), book, (16 + (size_t)save->codes->padded) * sizeof(float), err);
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
        uint32_t count = k == FR_CHUNK_UPPERS ? (t->save->header.uppers + FR_CHUNK_ROWS - 1) / FR_CHUNK_ROWS : chunks;
        for (uint32_t i = 0; i < count && k != FR_CHUNK_HEAP; i++) {
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

/* ==== loading ==== */

static fr_code corrupt(fr_err *err, const char *what, uint32_t index)
{
    return fr_fail(err, FR_ERR_CORRUPT, NULL, "snapshot chunk: %s %u is wrong", what, index);
}

static void copy_rows_in(fr_extents *x, uint32_t first, uint32_t count, const uint8_t *from)
{
    while (count != 0) {
        uint32_t e = fr_extent_of(first), room = fr_extent_start(e) + fr_extent_rows(e) - first, n = FR_MIN(room, count);
        memcpy(fr_extent_at(x, first), from, (size_t)n * x->stride);
        from += (size_t)n * x->stride, first += n, count -= n;
    }
}

static fr_code load_array(fr_source *source, fr_chunk_kind kind, fr_extents *x, uint32_t rows, fr_err *err)
{
    if (!fr_extents_reserve(x, rows)) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory to load a table");
    for (uint32_t first = 0; first < rows; first += FR_CHUNK_ROWS) {
        uint32_t count = FR_MIN(FR_CHUNK_ROWS, rows - first);
        void *data;
        size_t size;
        FR_TRY(source->chunk(source, chunk_id(kind, first / FR_CHUNK_ROWS), &data, &size, err));
        if (size < count * x->stride)
            return fr_fail(err, FR_ERR_CORRUPT, NULL, "snapshot chunk %u of kind %d has %zu bytes, %zu needed", first / FR_CHUNK_ROWS, (int)kind, size,
                           count * x->stride);
        copy_rows_in(x, first, count, data);
    }
    return FR_OK;
}

static fr_code load_codes(fr_table *t, fr_source *source, const fr_chunk_header *h, fr_err *err)
{
    if (h->kind > FR_CODE_BIT || (h->kind == FR_CODE_BIT) != fr_table_is_binary(&t->options)) return corrupt(err, "code kind", h->kind);
    fr_codeset *codes = fr_codeset_create((fr_code_kind)h->kind, t->options.metric, t->options.dimension, t->options.seed);
    if (codes == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory to load a table");
    fr_codeset_free(fr_codes_of(t));
    atomic_store(&t->codes, codes);
    if (codes->kind == FR_CODE_NONE) return FR_OK;
    FR_TRY(load_array(source, FR_CHUNK_CODES, &codes->code, h->rows, err));
    FR_TRY(load_array(source, FR_CHUNK_CST, &codes->cst, h->rows, err));
    if (h->fine > 1 || (h->fine == 1 && codes->kind != FR_CODE_SQ8)) return corrupt(err, "second-level mark", h->fine);
    codes->has_fine = h->fine == 1 && fr_table_wants_fine(&t->options);
    if (codes->has_fine) FR_TRY(load_array(source, FR_CHUNK_FINE, &codes->fine, h->rows, err));
    if (codes->kind != FR_CODE_SQ8) return FR_OK;
    void *data;
    size_t size;
    FR_TRY(source->chunk(source, chunk_id(FR_CHUNK_CODEBOOK, 0), &data, &size, err));
    if (size != (16 + (size_t)codes->padded) * sizeof(float)) return corrupt(err, "code book", 0);
    memcpy(&codes->scale, data, sizeof(float));
    codes->trained_rows = fr_load_le64((const float *)data + 2);
    memcpy(codes->centre, (const float *)data + 16, codes->padded * sizeof(float));
    if (!fr_simd_all_finite(codes->centre, codes->padded) || !(codes->scale > 0)) return corrupt(err, "code book", 0);
    return FR_OK;
}

static fr_code load_heap(fr_table *t, fr_source *source, uint32_t segments, fr_err *err)
{
    void *data;
    size_t size;
    /* The newest segment is never given up: a number that says otherwise is damage, and would be a loop over billions. */
    if (segments > FR_ROWS_MAX ||
        (segments != 0 && source->chunk(source, chunk_id(FR_CHUNK_HEAP, segments - 1), &data, &size, NULL) == FR_ERR_NOT_FOUND))
        return corrupt(err, "heap segments", segments);
    if (!fr_extents_reserve(&t->heap.segments, segments))
        return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory to load a table");
    for (uint32_t i = 0; i < segments; i++) {
        fr_code code = source->chunk(source, chunk_id(FR_CHUNK_HEAP, i), &data, &size, err);
        atomic_store(&t->heap.count, i + 1);
        if (code == FR_ERR_NOT_FOUND) continue; /* an emptied segment */
        FR_TRY(code);
        fr_heap_segment *s = fr_heap_segment_at(&t->heap, i);
        uint8_t *copy = size <= UINT32_MAX ? fr_alloc(FR_MEM_ROWS, size) : NULL;
        if (copy == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory to load a table");
        memcpy(copy, data, size);
        s->size = s->used = (uint32_t)size;
        atomic_store(&s->data, copy);
        t->heap.bytes += size;
    }
    return FR_OK;
}

static fr_code load_vectors(fr_table *t, fr_source *source, const fr_chunk_header *h, fr_err *err)
{
    if (h->vector_log2 != t->vectors.chunk_log2) return corrupt(err, "vector chunk size", h->vector_log2);
    if (h->vector_chunks > (h->rows >> h->vector_log2) + 1) return corrupt(err, "vector chunks", h->vector_chunks);
    uint64_t bytes = 4ull * h->rows * h->dimension; /* at most */
    bool stays = t->vectors.store != NULL && source->place != NULL && h->kind == FR_CODE_SQ8 && bytes >= t->vectors.spill_from;
    for (uint32_t i = 0; i < h->vector_chunks; i++) {
        void *data;
        size_t size;
        fr_code code = source->chunk(source, chunk_id(FR_CHUNK_VECTORS, i), &data, &size, err);
        if (code == FR_ERR_NOT_FOUND) continue;
        FR_TRY(code);
        uint32_t type = size >= 64 ? fr_load_le32(data) : UINT32_MAX;
        if (type >= FR_SCALAR_BIT || size - 64 != fr_scalar_size((fr_scalar)type, h->dimension) << h->vector_log2)
            return corrupt(err, "vector chunk", i);
        uint64_t at;
        uint32_t file;
        bool full = (uint64_t)(i + 1) << h->vector_log2 <= h->rows;
        if (stays && full && source->place(source, chunk_id(FR_CHUNK_VECTORS, i), &file, &at)) {
            if (fr_vectors_adopt_place(&t->vectors, i, (fr_scalar)type, file, at + 64)) continue;
            return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory to load a table");
        }
        if (!fr_vectors_adopt(&t->vectors, i, (fr_scalar)type, (uint8_t *)data + 64, size - 64))
            return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory to load a table");
        t->vectors.may_spill = h->kind == FR_CODE_SQ8;
        fr_vectors_spill(&t->vectors, FR_MIN((i + 1) << h->vector_log2, h->rows), &t->retired);
        if (t->retired.count != 0) fr_retired_free(&t->retired, true); /* nobody else is there: what moved is not held to the end */
    }
    return FR_OK;
}

/* The blob of a row that claims to be alive. */
static bool blob_of(const fr_table *t, uint64_t ref, fr_blob *blob_out)
{
    uint32_t index = (uint32_t)(ref >> 32), at = (uint32_t)ref;
    if (index >= t->heap.count) return false;
    const fr_heap_segment *s = fr_heap_segment_at(&t->heap, index);
    return s->data != NULL && at < s->used && fr_blob_check(s->data + at, s->used - at, blob_out);
}

static bool has_vector(const fr_table *t, uint32_t row)
{
    fr_code_kind kind = fr_codes_of(t)->kind;
    if (fr_code_native(kind)) return true;
    return row >> t->vectors.chunk_log2 < t->vectors.chunk_count && fr_vectors_chunk(&t->vectors, row) != NULL;
}

/* Nobody else is there while a table loads: plain stores. */
static void set64(_Atomic uint64_t *to, uint64_t value) { atomic_store_explicit(to, value, memory_order_relaxed); }

static fr_code load_row(fr_table *t, uint32_t row, const fr_chunk_row *saved, fr_offset at, fr_err *err)
{
    fr_row *r = fr_row_at(t, row);
    bool alive = saved->made >= 0 && saved->made <= at && (saved->ended == -1 || saved->ended > at);
    bool bare = saved->linked == FR_BARE;
    fr_blob blob;
    if (!alive || saved->ended != -1) fr_mark(t, FR_CHUNK_ROWS_OF, row); /* the image differs from what we hold now */
    if (!alive) {
        set64(&r->birth, FR_NEVER);
        atomic_store_explicit(&r->made, -1, memory_order_relaxed);
        set64(&r->death, 0);
        atomic_store_explicit(&r->linked, FR_BARE, memory_order_relaxed); /* a slot that may never have held a vector */
        return FR_OK;
    }
    if (!blob_of(t, saved->blob, &blob) || saved->level > FR_LEVEL_MAX || !(bare || has_vector(t, row))) return corrupt(err, "row", row);
    set64(&r->birth, 0);
    set64(&r->death, FR_NEVER);
    atomic_store_explicit(&r->made, saved->made, memory_order_relaxed);
    set64(&r->blob, saved->blob);
    atomic_store_explicit(&r->parent, saved->parent, memory_order_relaxed); /* judged in load_tree */
    r->level = saved->level;
    uint8_t linked = bare ? FR_BARE : saved->linked == FR_LINKED ? FR_LINKED : FR_UNLINKED;
    atomic_store_explicit(&r->linked, linked, memory_order_relaxed);
    if (bare) atomic_store_explicit(&t->bare, atomic_load_explicit(&t->bare, memory_order_relaxed) + 1, memory_order_relaxed);
    else t->any_vector = true;
    uint32_t size = fr_blob_size(&blob);
    fr_heap_segment_at(&t->heap, (uint32_t)(saved->blob >> 32))->live += size;
    t->heap.live += size;
    atomic_store_explicit(&t->live, atomic_load_explicit(&t->live, memory_order_relaxed) + 1, memory_order_relaxed);
    return FR_OK;
}

/* The key map of all live rows, made once in its final size. */
static fr_code load_keys(fr_table *t, uint32_t rows, fr_err *err)
{
    if (t->live == 0) return FR_OK;
    if (!fr_keymap_fill(&t->keys, t->live, &t->retired)) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory to load a table");
    for (uint32_t first = 0; first < rows; first += KEYS_AT_ONCE) { /* the places are on their way before the first is looked at */
        uint32_t count = FR_MIN(KEYS_AT_ONCE, rows - first), n = 0, of[KEYS_AT_ONCE];
        fr_span keys[KEYS_AT_ONCE];
        for (uint32_t i = 0; i < count; i++) {
            fr_blob blob;
            if (!fr_row_alive(fr_row_at(t, first + i))) continue;
            fr_row_blob(t, first + i, &blob);
            keys[n] = blob.key;
            of[n++] = first + i;
            fr_keymap_prefetch(&t->keys, blob.key);
        }
        for (uint32_t i = 0; i < n; i++) {
            if (fr_keymap_find(&t->keys, keys[i], fr_row_has_key, t) != FR_KEYMAP_NONE) return corrupt(err, "two live rows of one key: row", of[i]);
            fr_keymap_set(&t->keys, keys[i], of[i], fr_row_has_key, t);
        }
    }
    return FR_OK;
}

static fr_code load_rows(fr_table *t, fr_source *source, uint32_t rows, fr_offset at, fr_err *err)
{
    for (uint32_t first = 0; first < rows; first += FR_CHUNK_ROWS) {
        uint32_t count = FR_MIN(FR_CHUNK_ROWS, rows - first);
        void *data;
        size_t size;
        FR_TRY(source->chunk(source, chunk_id(FR_CHUNK_ROWS_OF, first / FR_CHUNK_ROWS), &data, &size, err));
        if (size < count * sizeof(fr_chunk_row)) return corrupt(err, "row chunk", first / FR_CHUNK_ROWS);
        for (uint32_t i = 0; i < count; i++) {
            fr_chunk_row saved;
            memcpy(&saved, (const uint8_t *)data + i * sizeof saved, sizeof saved);
            FR_TRY(load_row(t, first + i, &saved, at, err));
        }
    }
    return FR_OK;
}

static bool linked_alive(const fr_table *t, uint32_t row)
{
    return row < t->row_count && fr_row_alive(fr_row_at(t, row)) && atomic_load(&fr_row_at(t, row)->linked) == FR_LINKED;
}

/* The units of a row's upper levels, or none: a broken chain makes the row relink. */
static bool upper_chain_holds(fr_table *t, uint32_t row)
{
    uint32_t unit = atomic_load((_Atomic uint32_t *)fr_extent_at(&t->upper_of, row)), length = 0;
    for (; unit != 0; length++) {
        if (unit > t->upper_count || length > FR_LEVEL_MAX) return false;
        const fr_upper *u = fr_extent_at(&t->uppers, unit - 1);
        if (u->row != row) return false;
        unit = u->above;
    }
    return length <= fr_row_at(t, row)->level;
}

/* Nobody else is there while a table loads: plain bits and plain stores. */
static bool bit(const uint64_t *bits, uint32_t row) { return bits[row >> 6] >> (row & 63) & 1; }

static uint32_t scrub_lanes(const uint64_t *linked, uint32_t rows, _Atomic uint32_t *lanes, uint32_t max)
{
    uint32_t kept = 0, seen = 0;
    for (; seen < max; seen++) {
        uint32_t id = atomic_load_explicit(&lanes[seen], memory_order_relaxed);
        if (id == 0) break;
        if (id - 1 >= rows || !bit(linked, id - 1)) continue;
        if (kept != seen) atomic_store_explicit(&lanes[kept], id, memory_order_relaxed);
        kept++;
    }
    for (uint32_t i = kept; i < max; i++)
        if (atomic_load_explicit(&lanes[i], memory_order_relaxed) != 0) atomic_store_explicit(&lanes[i], 0, memory_order_relaxed);
    return kept;
}

static uint32_t saved_parent(const fr_table *t, uint32_t row) { return atomic_load_explicit(&fr_row_at(t, row)->parent, memory_order_relaxed); }

/* A parent of the image holds if both are linked and lead to each other. */
static bool parent_holds(const fr_table *t, const uint64_t *linked, uint32_t row)
{
    uint32_t parent = saved_parent(t, row);
    return parent < t->row_count && bit(linked, parent) && fr_leads_to(t, row, parent) && fr_leads_to(t, parent, row);
}

/* Does the chain of parents end at the root? Rows found good are marked, so each is climbed over once; a chain that runs in a circle
 * or ends elsewhere (chunks of different moments) is cut at the row asked for. */
static bool reaches_root(const fr_table *t, uint64_t *good, uint32_t row, uint32_t root)
{
    uint32_t at = row, steps = 0;
    while (at != root && !bit(good, at)) {
        at = saved_parent(t, at);
        if (at == FR_ROW_NONE || steps++ > t->row_count) return false;
    }
    for (uint32_t back = row; back != at; back = saved_parent(t, back)) good[back >> 6] |= 1ull << (back & 63);
    return true;
}

/* The tree of level 0: parents that hold are kept, the root is the row above the entry point; the rest is linked again. */
static void load_tree(fr_table *t, uint64_t *linked, uint64_t *good)
{
    uint32_t rows = t->row_count, root = FR_ROW_NONE;
    for (uint32_t row = 0; row < rows; row++) {
        if (row + 16 < rows && saved_parent(t, row + 16) < rows) fr_links_prefetch(t, saved_parent(t, row + 16));
        if (saved_parent(t, row) != FR_ROW_NONE && !(bit(linked, row) && parent_holds(t, linked, row)))
            atomic_store_explicit(&fr_row_at(t, row)->parent, FR_ROW_NONE, memory_order_relaxed);
    }
    for (uint32_t at = (uint32_t)t->entry, steps = 0; at != 0 && steps < rows; steps++) {
        root = at - 1;
        at = saved_parent(t, root) + 1; /* FR_ROW_NONE + 1 = 0 */
    }
    if (root != FR_ROW_NONE) atomic_store_explicit(&fr_row_at(t, root)->parent, FR_ROW_NONE, memory_order_relaxed);
    atomic_store(&t->root, root + 1);
    for (uint32_t row = 0; row < rows; row++) {
        if (!bit(linked, row)) continue;
        if (row == root || reaches_root(t, good, row, root)) {
            fr_router_offer(t, row);
            continue;
        }
        atomic_store(&fr_row_at(t, row)->parent, FR_ROW_NONE);
        atomic_store(&fr_row_at(t, row)->linked, FR_UNLINKED);
        fr_upper_release(t, row);
    }
}

/* Links, upper units, the free lists and the entry point, rebuilt around the rows that live. */
static fr_code load_graph(fr_table *t, uint64_t entry, uint64_t *linked, uint64_t *good, fr_err *err)
{
    uint32_t rows = t->row_count;
    for (uint32_t row = 0; row < rows; row++) {
        _Atomic uint32_t *upper = fr_extent_at(&t->upper_of, row);
        if (linked_alive(t, row) && !upper_chain_holds(t, row)) atomic_store(&fr_row_at(t, row)->linked, FR_UNLINKED);
        if (linked_alive(t, row)) {
            linked[row >> 6] |= 1ull << (row & 63);
            continue;
        }
        if (*upper != 0) fr_mark(t, FR_CHUNK_UPPER_OF, row);
        atomic_store(upper, 0);
    }
    for (uint32_t unit = t->upper_count; unit > 0; unit--) { /* units that no chain holds are free */
        fr_upper *u = fr_extent_at(&t->uppers, unit - 1);
        bool used = u->row < rows && linked_alive(t, u->row) && fr_row_at(t, u->row)->level > 0;
        if (used) {
            used = false;
            for (uint32_t at = atomic_load((_Atomic uint32_t *)fr_extent_at(&t->upper_of, u->row)); at != 0 && !used;) {
                used = at == unit;
                at = ((fr_upper *)fr_extent_at(&t->uppers, at - 1))->above;
            }
        }
        if (used) {
            scrub_lanes(linked, rows, u->lanes, t->m);
        } else {
            u->row = FR_ROW_NONE;
            u->above = t->upper_free;
            t->upper_free = unit;
            fr_mark(t, FR_CHUNK_UPPERS, unit - 1);
        }
    }
    for (uint32_t row = 0; row < rows; row++)
        if (bit(linked, row)) scrub_lanes(linked, rows, fr_links_at(t, row), t->lanes);
    bool holds = entry != 0 && linked_alive(t, (uint32_t)entry - 1) &&
                 (entry >> 32 == 0 || fr_upper_unit(t, (uint32_t)entry - 1, (uint32_t)(entry >> 32)) != NULL);
    uint64_t best = holds ? entry : 0;
    for (uint32_t row = 0; !holds && row < rows; row++) {
        if (!linked_alive(t, row)) continue;
        uint32_t level = 0;
        while (fr_upper_unit(t, row, level + 1) != NULL) level++;
        if (best == 0 || level > best >> 32) best = (uint64_t)level << 32 | (row + 1);
    }
    atomic_store(&t->entry, best);
    load_tree(t, linked, good);
    for (uint32_t row = 0; row < rows; row++) {
        if (linked_alive(t, row)) continue;
        for (uint32_t i = 0; i < t->lanes; i++) atomic_store_explicit(&fr_links_at(t, row)[i], 0, memory_order_relaxed);
        if (!fr_row_alive(fr_row_at(t, row))) {
            fr_list_push(t, &t->free, row);
        } else if (!fr_row_bare(fr_row_at(t, row))) {
            if (!fr_ring_reserve(t)) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory to load a table");
            fr_ring_push(t, row);
        }
    }
    return FR_OK;
}

static fr_code load_all(fr_table *t, fr_source *source, const fr_chunk_header *h, fr_offset at, fr_err *err)
{
    t->upper_count = h->uppers;
    uint32_t upper_chunks = h->uppers / FR_CHUNK_ROWS + 1;
    FR_TRY(load_codes(t, source, h, err));
    if (!fr_table_reserve(t, h->rows) || !fr_extents_reserve(&t->dirty[FR_CHUNK_UPPERS], upper_chunks))
        return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory to load a table");
    FR_TRY(load_array(source, FR_CHUNK_LINKS, &t->links, h->rows, err));
    FR_TRY(load_array(source, FR_CHUNK_UPPER_OF, &t->upper_of, h->rows, err));
    FR_TRY(load_array(source, FR_CHUNK_UPPERS, &t->uppers, h->uppers, err));
    FR_TRY(load_heap(t, source, h->heap_segments, err));
    FR_TRY(load_vectors(t, source, h, err));
    atomic_store(&t->row_count, h->rows);
    FR_TRY(load_rows(t, source, h->rows, at, err));
    FR_TRY(load_keys(t, h->rows, err));
    if (fr_table_is_sparse(&t->options)) FR_TRY(fr_postings_load(t, err));
    t->all_i8 = h->kind == FR_CODE_I8;
    size_t words = h->rows / 64 + 1;
    uint64_t *bits = fr_zalloc(FR_MEM_LINKS, 2 * words * sizeof *bits);
    if (bits == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory to load a table");
    fr_code code = load_graph(t, h->entry, bits, bits + words, err);
    fr_free(FR_MEM_LINKS, bits);
    return code;
}

fr_code fr_table_load(const fr_table_options *options, fr_source *source, fr_offset at, fr_table **table_out, bool *keeps_source_out, fr_err *err)
{
    void *data;
    size_t size;
    fr_chunk_header h;
    *keeps_source_out = false; /* everything is copied, into huge pages */
    FR_TRY(source->chunk(source, chunk_id(FR_CHUNK_HEADER, 0), &data, &size, err));
    if (size != sizeof h) return corrupt(err, "header size", (uint32_t)size);
    memcpy(&h, data, sizeof h);
    if (h.version > CHUNK_VERSION)
        return fr_fail(err, FR_ERR_VERSION, NULL, "snapshot chunks have format %u, this freshet reads up to %u", h.version, CHUNK_VERSION);
    uint32_t m = fr_table_m(options);
    if (h.dimension != options->dimension || h.m != m || h.metric != (uint32_t)options->metric || h.codes != (uint32_t)options->codes ||
        h.rows > FR_ROWS_MAX || h.uppers > FR_ROWS_MAX || h.at != at)
        return corrupt(err, "header of dimension", h.dimension);
    fr_table_options own = *options;
    own.seed = h.seed;
    fr_table *t;
    FR_TRY(fr_table_create(&own, &t, err));
    fr_code code = load_all(t, source, &h, at, err);
    if (code == FR_ERR_NOT_FOUND) code = corrupt(err, "a missing chunk, rows", h.rows);
    if (code == FR_OK) *table_out = t;
    else fr_table_free(t);
    return code;
}
