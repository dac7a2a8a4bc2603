/* load.c: a table from its chunk images (persist.c), in two parts. Here: what a search needs, from the rows, codes and links as they
 * lie in the file, mapped where the source can. settle.c does the rest behind the first searches: key map, scrubbed links, the tree.
 *
 * Nothing that is read is trusted. A search is safe on links that were not scrubbed yet: it follows no lane to a row that is not
 * there, and finds no row that is not visible. */
#include "index/persist.h"

#define MAP_FROM FR_HUGE_PAGE /* bytes of an extent: smaller ones are copied */
#define PLACES_MAX 4096u           /* pieces mapped of one table: each is an entry in the kernel's list of mappings */

static fr_code corrupt(fr_err *err, const char *what, uint32_t index)
{
    return fr_fail(err, FR_ERR_CORRUPT, NULL, "snapshot chunk: %s %u is wrong", what, index);
}

static fr_code no_memory(fr_err *err) { return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory to load a table"); }

void fr_loaded_free(struct fr_loaded *l)
{
    if (l == NULL) return;
    fr_free(FR_MEM_ROWS, l->ranges);
    fr_free(FR_MEM_LINKS, l->linked);
    fr_free(FR_MEM_ROWS, l);
}

/* ==== arrays ==== */

static void copy_rows_in(fr_extents *x, uint32_t first, uint32_t count, const uint8_t *from)
{
    while (count != 0) {
        uint32_t e = fr_extent_of(first), room = fr_extent_start(e) + fr_extent_rows(e) - first, n = FR_MIN(room, count);
        memcpy(fr_extent_at(x, first), from, (size_t)n * x->stride);
        from += (size_t)n * x->stride, first += n, count -= n;
    }
}

/* Remembers what lies over a file; neighbours are one range. */
static bool note_range(struct fr_loaded *l, uint8_t *at, size_t size, const fr_codeset *codes)
{
    fr_load_range *last = l->range_count != 0 ? &l->ranges[l->range_count - 1] : NULL;
    if (last != NULL && last->at + last->size == at && last->codes == codes) {
        last->size += size;
        return true;
    }
    if (l->range_count == l->range_capacity) {
        uint32_t capacity = FR_MAX(16u, l->range_capacity * 2);
        fr_load_range *grown = fr_realloc(FR_MEM_ROWS, l->ranges, capacity * sizeof *grown);
        if (grown == NULL) return false;
        l->ranges = grown;
        l->range_capacity = capacity;
    }
    l->ranges[l->range_count++] = (fr_load_range){at, size, codes};
    return true;
}

/* As many whole chunks from `first` on as lie in one large extent, mapped where they belong; 0: none, they are copied. */
static fr_code map_chunks(fr_table *t, fr_source *source, fr_chunk_kind kind, fr_extents *x, uint32_t first, uint32_t rows, const fr_codeset *codes,
                          uint32_t *done_out, fr_err *err)
{
    uint32_t e = fr_extent_of(first), count = (FR_MIN(rows, fr_extent_start(e) + fr_extent_rows(e)) - first) / FR_CHUNK_ROWS;
    *done_out = 0;
    if (source->over == NULL || count == 0 || (size_t)fr_extent_rows(e) * x->stride < MAP_FROM || t->loaded->range_count >= PLACES_MAX) return FR_OK;
    uint8_t *to = fr_extent_at(x, first);
    size_t size = FR_CHUNK_ROWS * x->stride;
    if (!note_range(t->loaded, to, 0, codes)) return no_memory(err);
    FR_TRY(source->over(source, fr_chunk_id(kind, first / FR_CHUNK_ROWS), count, to, size, done_out, err));
    t->loaded->ranges[t->loaded->range_count - 1].size += *done_out * size;
    return FR_OK;
}

static fr_code load_array(fr_table *t, fr_source *source, fr_chunk_kind kind, fr_extents *x, uint32_t rows, const fr_codeset *codes, fr_err *err)
{
    if (!fr_extents_reserve(x, rows)) return no_memory(err);
    for (uint32_t first = 0, mapped; first < rows; first += FR_CHUNK_ROWS) {
        uint32_t count = FR_MIN(FR_CHUNK_ROWS, rows - first);
        FR_TRY(map_chunks(t, source, kind, x, first, rows, codes, &mapped, err));
        if (mapped != 0) {
            first += (mapped - 1) * FR_CHUNK_ROWS;
            continue;
        }
        void *data;
        size_t size;
        FR_TRY(source->chunk(source, fr_chunk_id(kind, first / FR_CHUNK_ROWS), &data, &size, err));
        if (size < count * x->stride)
            return fr_fail(err, FR_ERR_CORRUPT, NULL, "snapshot chunk %u of kind %d has %zu bytes, %zu needed", first / FR_CHUNK_ROWS, (int)kind, size,
                           count * x->stride);
        copy_rows_in(x, first, count, data);
    }
    return FR_OK;
}

/* ==== codes, keys and metadata, originals ==== */

/* Constants that are computed from the codes: they must be there for other processors, and whole. */
static fr_code pass_constants(fr_source *source, uint32_t rows, fr_err *err)
{
    for (uint32_t first = 0; first < rows; first += FR_CHUNK_ROWS) {
        void *data;
        size_t size;
        FR_TRY(source->chunk(source, fr_chunk_id(FR_CHUNK_CST, first / FR_CHUNK_ROWS), &data, &size, err));
        if (size < FR_MIN(FR_CHUNK_ROWS, rows - first) * sizeof(int32_t)) return corrupt(err, "constants", first / FR_CHUNK_ROWS);
    }
    return FR_OK;
}

static fr_code load_codes(fr_table *t, fr_source *source, const fr_chunk_header *h, fr_err *err)
{
    if (h->kind > FR_CODE_BIT || (h->kind == FR_CODE_BIT) != fr_table_is_binary(&t->options)) return corrupt(err, "code kind", h->kind);
    fr_codeset *codes = fr_codeset_create((fr_code_kind)h->kind, t->options.metric, t->options.dimension, t->options.seed);
    if (codes == NULL) return no_memory(err);
    fr_codeset_free(fr_codes_of(t));
    atomic_store(&t->codes, codes);
    if (codes->kind == FR_CODE_NONE) return FR_OK;
    FR_TRY(load_array(t, source, FR_CHUNK_CODES, &codes->code, h->rows, codes, err));
    if (fr_codeset_computes(codes)) FR_TRY(pass_constants(source, h->rows, err));
    else FR_TRY(load_array(t, source, FR_CHUNK_CST, &codes->cst, h->rows, codes, err));
    if (h->fine > 1 || (h->fine == 1 && codes->kind != FR_CODE_SQ8)) return corrupt(err, "second-level mark", h->fine);
    codes->has_fine = h->fine == 1 && fr_table_wants_fine(&t->options);
    if (codes->has_fine) FR_TRY(load_array(t, source, FR_CHUNK_FINE, &codes->fine, h->rows, codes, err));
    if (codes->kind != FR_CODE_SQ8) return FR_OK;
    void *data;
    size_t size;
    FR_TRY(source->chunk(source, fr_chunk_id(FR_CHUNK_CODEBOOK, 0), &data, &size, err));
    if (size != (16 + (size_t)codes->padded) * sizeof(float)) return corrupt(err, "code book", 0);
    memcpy(&codes->scale, data, sizeof(float));
    codes->trained_rows = fr_load_le64((const float *)data + 2);
    memcpy(codes->centre, (const float *)data + 16, codes->padded * sizeof(float));
    if (!fr_simd_all_finite(codes->centre, codes->padded) || !(codes->scale > 0)) return corrupt(err, "code book", 0);
    return FR_OK;
}

/* Segments never change once the next one is begun: they stay where they were mapped. */
static fr_code load_segment(fr_table *t, fr_source *source, uint32_t index, const void *data, size_t size, fr_err *err)
{
    fr_heap_segment *s = fr_heap_segment_at(&t->heap, index);
    if (size == 0 || size > UINT32_MAX) return corrupt(err, "heap segment", index);
    uint8_t *copy = size >= MAP_FROM / 8 ? fr_alloc_pages(FR_MEM_ROWS, size) : fr_alloc(FR_MEM_ROWS, size);
    if (copy == NULL) return no_memory(err);
    s->pages = size >= MAP_FROM / 8 ? size : 0;
    s->size = s->used = (uint32_t)size;
    atomic_store(&s->data, copy);
    t->heap.bytes += size;
    uint32_t done = 0;
    if (s->pages != 0 && source->over != NULL) FR_TRY(source->over(source, fr_chunk_id(FR_CHUNK_HEAP, index), 1, copy, size, &done, err));
    if (done == 0) memcpy(copy, data, size);
    return FR_OK;
}

static fr_code load_heap(fr_table *t, fr_source *source, uint32_t segments, fr_err *err)
{
    void *data;
    size_t size;
    /* The newest segment is never given up: a number that says otherwise is damage, and would be a loop over billions. */
    if (segments > FR_ROWS_MAX ||
        (segments != 0 && source->chunk(source, fr_chunk_id(FR_CHUNK_HEAP, segments - 1), &data, &size, NULL) == FR_ERR_NOT_FOUND))
        return corrupt(err, "heap segments", segments);
    if (!fr_extents_reserve(&t->heap.segments, segments)) return no_memory(err);
    for (uint32_t i = 0; i < segments; i++) {
        fr_code code = source->chunk(source, fr_chunk_id(FR_CHUNK_HEAP, i), &data, &size, err);
        atomic_store(&t->heap.count, i + 1);
        if (code == FR_ERR_NOT_FOUND) continue; /* an emptied segment */
        FR_TRY(code);
        FR_TRY(load_segment(t, source, i, data, size, err));
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
        fr_code code = source->chunk(source, fr_chunk_id(FR_CHUNK_VECTORS, i), &data, &size, err);
        if (code == FR_ERR_NOT_FOUND) continue;
        FR_TRY(code);
        uint32_t type = size >= 64 ? fr_load_le32(data) : UINT32_MAX;
        if (type >= FR_SCALAR_BIT || size - 64 != fr_scalar_size((fr_scalar)type, h->dimension) << h->vector_log2)
            return corrupt(err, "vector chunk", i);
        uint64_t at;
        uint32_t file;
        bool full = (uint64_t)(i + 1) << h->vector_log2 <= h->rows;
        if (stays && full && source->place(source, fr_chunk_id(FR_CHUNK_VECTORS, i), &file, &at)) {
            if (fr_vectors_adopt_place(&t->vectors, i, (fr_scalar)type, file, at + 64)) continue;
            return no_memory(err);
        }
        if (!fr_vectors_adopt(&t->vectors, i, (fr_scalar)type, (uint8_t *)data + 64, size - 64))
            return no_memory(err);
        t->vectors.may_spill = h->kind == FR_CODE_SQ8;
        fr_vectors_spill(&t->vectors, FR_MIN((i + 1) << h->vector_log2, h->rows), &t->retired);
        if (t->retired.count != 0) fr_retired_free(&t->retired, true); /* nobody else is there: what moved is not held to the end */
    }
    return FR_OK;
}

/* ==== rows ==== */

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

/* An image of version 1 in the form of a row. */
static void unpack_row_1(fr_row *r, const fr_chunk_row_1 *saved)
{
    set64(&r->birth, 0);
    set64(&r->death, saved->ended >= 0 ? (uint64_t)saved->ended : FR_NEVER);
    atomic_store_explicit(&r->made, saved->made, memory_order_relaxed);
    set64(&r->blob, saved->blob);
    atomic_store_explicit(&r->parent, saved->parent, memory_order_relaxed);
    r->zero = 0;
    atomic_store_explicit(&r->linked, saved->linked, memory_order_relaxed);
}

/* Judges one row and makes it what it was at S. A row that is as a table holds it is only read: its page stays the file's. */
static fr_code load_row(fr_table *t, uint32_t row, fr_offset at, fr_err *err)
{
    fr_row *r = fr_row_at(t, row);
    int64_t made = atomic_load_explicit(&r->made, memory_order_relaxed);
    uint64_t death = atomic_load_explicit(&r->death, memory_order_relaxed);
    bool alive = made >= 0 && made <= at && (death == FR_NEVER || (int64_t)death > at);
    uint8_t linked = atomic_load_explicit(&r->linked, memory_order_relaxed);
    bool bare = linked == FR_BARE;
    fr_blob blob;
    if (!alive || death != FR_NEVER) fr_mark(t, FR_CHUNK_ROWS_OF, row); /* the image differs from what we hold now */
    if (!alive) {
        set64(&r->birth, FR_NEVER);
        atomic_store_explicit(&r->made, -1, memory_order_relaxed);
        set64(&r->death, 0);
        atomic_store_explicit(&r->parent, FR_ROW_NONE, memory_order_relaxed);
        atomic_store_explicit(&r->linked, FR_BARE, memory_order_relaxed); /* a slot that may never have held a vector */
        fr_list_push(t, &t->free, row);
    } else {
        uint64_t ref = atomic_load_explicit(&r->blob, memory_order_relaxed);
        if (!blob_of(t, ref, &blob) || !(bare || has_vector(t, row))) return corrupt(err, "row", row);
        if (!bare) fr_taken_set(t, row, true);
        if (death != FR_NEVER) set64(&r->death, FR_NEVER);
        if (atomic_load_explicit(&r->birth, memory_order_relaxed) != 0) set64(&r->birth, 0);
        uint32_t size = fr_blob_size(&blob);
        fr_heap_segment_at(&t->heap, (uint32_t)(ref >> 32))->live += size;
        t->heap.live += size;
        atomic_store_explicit(&t->live, atomic_load_explicit(&t->live, memory_order_relaxed) + 1, memory_order_relaxed);
        if (bare) atomic_store_explicit(&t->bare, atomic_load_explicit(&t->bare, memory_order_relaxed) + 1, memory_order_relaxed);
        else t->any_vector = true;
        if (linked == FR_LINKED) {
            t->loaded->linked[row >> 6] |= 1ull << (row & 63);
            return FR_OK;
        }
        if (linked != FR_UNLINKED && !bare) atomic_store_explicit(&r->linked, FR_UNLINKED, memory_order_relaxed);
        if (!bare && !fr_ring_reserve(t)) return no_memory(err);
        if (!bare) fr_ring_push(t, row);
    }
    return FR_OK;
}

static fr_code load_rows(fr_table *t, fr_source *source, const fr_chunk_header *h, fr_offset at, fr_err *err)
{
    if (h->version >= 2) FR_TRY(load_array(t, source, FR_CHUNK_ROWS_OF, &t->rows, h->rows, NULL, err));
    for (uint32_t first = 0; first < h->rows && h->version < 2; first += FR_CHUNK_ROWS) {
        uint32_t count = FR_MIN(FR_CHUNK_ROWS, h->rows - first);
        void *data;
        size_t size;
        FR_TRY(source->chunk(source, fr_chunk_id(FR_CHUNK_ROWS_OF, first / FR_CHUNK_ROWS), &data, &size, err));
        if (size < count * sizeof(fr_chunk_row_1)) return corrupt(err, "row chunk", first / FR_CHUNK_ROWS);
        for (uint32_t i = 0; i < count; i++) {
            fr_chunk_row_1 saved;
            memcpy(&saved, (const uint8_t *)data + i * sizeof saved, sizeof saved);
            unpack_row_1(fr_row_at(t, first + i), &saved);
        }
        for (uint32_t i = first; i < first + count; i++) fr_mark(t, FR_CHUNK_ROWS_OF, i); /* the next save writes version 2 */
    }
    atomic_store(&t->row_count, h->rows);
    for (uint32_t row = 0; row < h->rows; row++) FR_TRY(load_row(t, row, at, err));
    return FR_OK;
}

/* ==== where searches begin ==== */

static bool bit(const uint64_t *bits, uint32_t row) { return bits[row >> 6] >> (row & 63) & 1; }

static void load_entry(fr_table *t, uint32_t entry)
{
    uint32_t rows = t->row_count;
    const uint64_t *linked = t->loaded->linked;
    bool holds = entry != 0 && entry - 1 < rows && bit(linked, entry - 1);
    for (uint32_t row = 0; !holds && row < rows; row++)
        if ((holds = bit(linked, row))) entry = row + 1;
    atomic_store(&t->entry, holds ? entry : 0);
}

static void count_linked(fr_table *t)
{
    uint64_t count = 0;
    for (size_t i = 0; i < t->loaded->words; i++) count += (uint32_t)__builtin_popcountll(t->loaded->linked[i]);
    atomic_store(&t->linked_ever, count);
}

static fr_code load_all(fr_table *t, fr_source *source, const fr_chunk_header *h, fr_offset at, fr_err *err)
{
    t->loaded = fr_zalloc(FR_MEM_ROWS, sizeof *t->loaded);
    if (t->loaded == NULL) return no_memory(err);
    t->loaded->words = h->rows / 64 + 1;
    t->loaded->linked = fr_zalloc(FR_MEM_LINKS, 2 * t->loaded->words * sizeof(uint64_t));
    if (t->loaded->linked == NULL) return no_memory(err);
    t->loaded->good = t->loaded->linked + t->loaded->words;
    FR_TRY(load_codes(t, source, h, err));
    if (!fr_table_reserve(t, h->rows)) return no_memory(err);
    FR_TRY(load_array(t, source, FR_CHUNK_LINKS, &t->links, h->rows, NULL, err));
    FR_TRY(load_heap(t, source, h->heap_segments, err));
    FR_TRY(load_vectors(t, source, h, err));
    FR_TRY(load_rows(t, source, h, at, err));
    /* settle.c fills it: the room must be there, for it cannot fail */
    if (t->live != 0 && !fr_keymap_fill(&t->keys, t->live, &t->retired)) return no_memory(err);
    if (fr_table_is_sparse(&t->options)) FR_TRY(fr_postings_load(t, err));
    if (source->check != NULL) FR_TRY(source->check(source, err)); /* the routers are the first to rely on codes and links */
    t->all_i8 = h->kind == FR_CODE_I8;
    load_entry(t, (uint32_t)h->entry); /* the upper half was a level */
    count_linked(t);
    fr_routers_step(t);
    return FR_OK;
}

fr_code fr_table_load(const fr_table_options *options, fr_source *source, fr_offset at, fr_table **table_out, bool *keeps_source_out, fr_err *err)
{
    void *data;
    size_t size;
    fr_chunk_header h;
    *keeps_source_out = false; /* what is mapped is mapped anew, over our own pages */
    fr_code code = source->chunk(source, fr_chunk_id(FR_CHUNK_HEADER, 0), &data, &size, err);
    if (code == FR_ERR_NOT_FOUND) return corrupt(err, "a missing header, number", 0);
    if (code != FR_OK) return code;
    if (size != sizeof h) return corrupt(err, "header size", (uint32_t)size);
    memcpy(&h, data, sizeof h);
    if (h.version > FR_CHUNK_VERSION)
        return fr_fail(err, FR_ERR_VERSION, NULL, "snapshot chunks have format %u, this freshet reads up to %u", h.version, FR_CHUNK_VERSION);
    uint32_t m = fr_table_m(options);
    if (h.dimension != options->dimension || h.m != m || h.metric != (uint32_t)options->metric || h.codes != (uint32_t)options->codes ||
        h.rows > FR_ROWS_MAX || h.at != at)
        return corrupt(err, "header of dimension", h.dimension);
    fr_table_options own = *options;
    own.seed = h.seed;
    fr_table *t;
    FR_TRY(fr_table_create(&own, &t, err));
    code = load_all(t, source, &h, at, err);
    if (code == FR_ERR_NOT_FOUND) code = corrupt(err, "a missing chunk, rows", h.rows);
    if (code != FR_OK) {
        fr_table_free(t);
        return code;
    }
    atomic_store(&t->keyed, false);
    atomic_store(&t->settling, true);
    *table_out = t;
    return FR_OK;
}
