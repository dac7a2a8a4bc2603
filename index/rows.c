/* rows.c: the row table: put, remove, find, reclaim. Everything here but the readers belongs to the applier's thread.
 *
 * A row's life: handed out -> written -> published (key map, fresh ring) -> linked -> dead (replaced or removed) -> repaired
 * around -> swept (no link leads to it) -> free, once no reader, no later `visible` and no save can need it. */
#include "index/bulk.h"
#include "index/recall.h"

#include <math.h>
#include <sched.h>

/* ==== locks and lists ==== */

void fr_spin_lock(_Atomic uint32_t *lock)
{
    for (uint32_t spins = 0; atomic_exchange_explicit(lock, 1, memory_order_acquire) != 0; spins++) {
        if (spins > 64) sched_yield(); /* two cores: the holder may not be running */
    }
}

void fr_spin_unlock(_Atomic uint32_t *lock) { atomic_store_explicit(lock, 0, memory_order_release); }

void fr_list_push(fr_table *t, fr_list *list, uint32_t row)
{
    fr_past_at(t, row)->next = FR_ROW_NONE;
    if (list->count++ == 0) list->head = row;
    else fr_past_at(t, list->tail)->next = row;
    list->tail = row;
}

uint32_t fr_list_pop(fr_table *t, fr_list *list)
{
    if (list->count == 0) return FR_ROW_NONE;
    uint32_t row = list->head;
    list->head = fr_past_at(t, row)->next;
    list->count--;
    return row;
}

/* ==== create, free ==== */

const fr_table_options *fr_table_settings(const fr_table *t) { return &t->options; }

fr_code fr_table_create(const fr_table_options *options, fr_table **table_out, fr_err *err)
{
    FR_TRY(fr_vector_type_check(options->type, options->dimension, options->metric, "", err));
    if (options->m != 0 && (options->m < 2 || options->m > 32))
        return fr_fail(err, FR_ERR_INVALID, "m", "m must be 2 to 32, got %u", options->m);
    if (options->ef_construction > 4096)
        return fr_fail(err, FR_ERR_INVALID, "ef_construction", "ef_construction must be 1 to 4096, got %u", options->ef_construction);
    fr_table *t = fr_zalloc(FR_MEM_ROWS, sizeof *t);
    if (t == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a table");
    static _Atomic uint64_t serials;
    t->serial = atomic_fetch_add(&serials, 1) + 1;
    atomic_init(&t->keyed, true);
    fr_gate_init(t);
    t->options = *options;
    t->m = fr_table_m(options);
    t->lanes = 2 * t->m;
    t->ef_construction = options->ef_construction != 0 ? options->ef_construction : 100;
    t->bulk_min = FR_BULK_MIN;
    t->cells_from = FR_CELLS_FROM;
    fr_extents_init(&t->rows, sizeof(fr_row), FR_MEM_ROWS);
    fr_extents_init(&t->past, sizeof(fr_past), FR_MEM_ROWS);
    fr_extents_init(&t->taken, sizeof(uint64_t), FR_MEM_ROWS);
    fr_extents_init(&t->changes, sizeof(uint64_t), FR_MEM_ROWS);
    fr_extents_init(&t->links, t->lanes * sizeof(uint32_t), FR_MEM_LINKS);
    for (uint32_t k = 0; k < FR_CHUNK_KINDS; k++) fr_extents_init(&t->dirty[k], 1, FR_MEM_ROWS);
    uint32_t width = fr_table_width(options);
    fr_vectors_init(&t->vectors, width);
    t->vectors.given = options->type == FR_TYPE_VECTOR_F16    ? FR_SCALAR_F16
                       : options->type == FR_TYPE_VECTOR_BF16 ? FR_SCALAR_BF16
                       : options->type == FR_TYPE_VECTOR_I8   ? FR_SCALAR_I8 : FR_SCALAR_F32;
    fr_heap_init(&t->heap);
    fr_postings_init(&t->sparse, options->bm25_k1, options->bm25_b);
    fr_keymap_init(&t->keys, fr_mix64(options->seed ^ 0x6b657973));
    t->vectors.store = fr_table_on_disk(options) ? options->store : NULL;
    if (options->spill_from != 0) t->vectors.spill_from = options->spill_from;
    t->all_i8 = options->metric != FR_METRIC_COSINE;
    uint32_t padded = (width + 63) / 64 * 64;
    t->encode_scratch = fr_alloc(FR_MEM_ROWS, 2 * padded * sizeof(float));
    bool binary = fr_table_is_binary(options);
    fr_codeset *none = fr_codeset_create(binary ? FR_CODE_BIT : FR_CODE_NONE, options->metric, binary ? options->dimension : width, options->seed);
    atomic_init(&t->codes, none);
    atomic_init(&t->ring, NULL);
    t->recall = fr_recall_create();
    if (t->recall == NULL || t->encode_scratch == NULL || none == NULL) {
        fr_table_free(t);
        return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a table");
    }
    fr_code code = fr_columns_declare(t, err);
    if (code == FR_OK) *table_out = t;
    else fr_table_free(t);
    return code;
}

void fr_table_free(fr_table *t)
{
    if (t == NULL) return;
    fr_loaded_free(t->loaded);
    pthread_rwlock_destroy(&t->gate);
    fr_columns_free(t);
    fr_postings_free(&t->sparse);
    fr_bulk_free(t->bulk);
    fr_recall_free(t->recall);
    fr_extents_free(&t->rows);
    fr_extents_free(&t->past);
    fr_extents_free(&t->taken);
    fr_extents_free(&t->changes);
    fr_cells_free(atomic_load(&t->cells));
    fr_cells_free(t->cells_building);
    fr_router_map_free(atomic_load(&t->routers));
    fr_extents_free(&t->links);
    for (uint32_t k = 0; k < FR_CHUNK_KINDS; k++) fr_extents_free(&t->dirty[k]);
    fr_vectors_free(&t->vectors);
    fr_heap_free(&t->heap);
    fr_keymap_free(&t->keys);
    fr_retired_free(&t->retired, true);
    fr_codeset_free(fr_codes_of(t));
    fr_fresh_free(t);
    fr_free(FR_MEM_ROWS, t->encode_scratch);
    fr_free(FR_MEM_ROWS, t);
}

bool fr_table_reserve(fr_table *t, uint32_t rows)
{
    uint32_t chunks = (rows + FR_CHUNK_ROWS - 1) / FR_CHUNK_ROWS;
    fr_codeset *codes = fr_codes_of(t);
    bool fine = fr_extents_reserve(&t->rows, rows) && fr_extents_reserve(&t->past, rows) && fr_extents_reserve(&t->links, rows) &&
                fr_extents_reserve(&t->taken, (rows + 63) / 64) &&
                fr_extents_reserve(&t->changes, rows / FR_SIEVE_BLOCK + 1);
    for (uint32_t k = 0; fine && k < FR_CHUNK_KINDS; k++) fine = fr_extents_reserve(&t->dirty[k], chunks);
    return fine && fr_columns_reserve(t, rows) && fr_codeset_reserve(codes, rows);
}

/* ==== reading rows ==== */

void fr_row_blob(const fr_table *t, uint32_t row, fr_blob *blob_out)
{
    fr_blob_read(fr_heap_at(&t->heap, atomic_load_explicit(&fr_row_at(t, row)->blob, memory_order_acquire)), blob_out);
}

void fr_row_send_for(const fr_table *t, uint32_t row)
{
    const uint8_t *at = fr_heap_at(&t->heap, atomic_load_explicit(&fr_row_at(t, row)->blob, memory_order_acquire));
    __builtin_prefetch(at);
    __builtin_prefetch(at + 64);
}

bool fr_row_has_key(const void *context, uint32_t row, fr_span key)
{
    fr_blob blob;
    fr_row_blob(context, row, &blob);
    return fr_span_equal(blob.key, key);
}

bool fr_row_original(const fr_table *t, const fr_codeset *codes, uint32_t row, void *out)
{
    if (fr_row_bare(fr_row_at(t, row))) {
        FR_ASSERT(!fr_table_is_sparse(&t->options)); /* fr_table_sparse gives those */
        memset(out, 0, fr_table_is_binary(&t->options) ? t->options.dimension / 8 : t->options.dimension * sizeof(float));
        return true;
    }
    if (fr_code_native(codes->kind)) {
        fr_codeset_decode(codes, row, out);
        return true;
    }
    fr_scalar type;
    uint8_t room[4 * FR_DIMENSION_MAX]; /* of which only a narrow type on disk uses a part */
    const void *data = fr_vectors_row(&t->vectors, row, room, &type);
    if (data != NULL) fr_simd_to_f32(type, data, t->options.dimension, out);
    return data != NULL;
}

bool fr_table_vector(const fr_table *t, uint32_t row, void *out) { return fr_row_original(t, fr_codes_of(t), row, out); }

fr_span fr_table_sparse(const fr_table *t, uint32_t row)
{
    fr_blob blob;
    fr_row_blob(t, row, &blob);
    return blob.vector;
}

bool fr_table_has_vector(const fr_table *t, uint32_t row)
{
    return fr_table_is_sparse(&t->options) ? fr_table_sparse(t, row).data != NULL : !fr_row_bare(fr_row_at(t, row));
}

void fr_table_row(const fr_table *t, uint32_t row, fr_row_view *view)
{
    fr_blob blob;
    fr_row_blob(t, row, &blob);
    *view = (fr_row_view){.key = blob.key, .key_is_int = blob.key_is_int, .metadata = blob.metadata,
                          .source_time_ms = blob.source_time_ms, .model_version = blob.model_version,
                          .offset = atomic_load_explicit(&fr_row_at(t, row)->made, memory_order_relaxed)};
}

uint64_t fr_table_serial(const fr_table *t) { return t->serial; }
uint64_t fr_table_born(const fr_table *t) { return atomic_load_explicit(&t->born, memory_order_acquire); }

uint32_t fr_table_find(const fr_table *t, fr_span key, uint64_t visible)
{
    fr_settle_keys(t);
    uint32_t row = fr_keymap_find(&t->keys, key, fr_row_has_key, t);
    while (row != FR_KEYMAP_NONE) {
        const fr_row *r = fr_row_at(t, row);
        if (atomic_load_explicit(&r->birth, memory_order_acquire) <= visible)
            return atomic_load_explicit(&r->death, memory_order_acquire) > visible ? row : FR_ROW_NONE;
        uint32_t prev = atomic_load_explicit(&fr_past_at(t, row)->prev, memory_order_acquire);
        row = prev != 0 ? prev - 1 : FR_ROW_NONE; /* cannot be free: it died after `visible` */
    }
    return FR_ROW_NONE;
}

fr_offset fr_table_offset_of(const fr_table *t, fr_span key)
{
    fr_settle_keys(t);
    uint32_t slot = fr_epoch_claim();
    if (slot == FR_EPOCH_READERS_MAX) return -1;
    fr_epoch_enter(slot);
    uint32_t row = fr_keymap_find(&t->keys, key, fr_row_has_key, t);
    fr_offset made = -1;
    if (row != FR_KEYMAP_NONE && fr_row_alive(fr_row_at(t, row))) made = atomic_load(&fr_row_at(t, row)->made);
    fr_epoch_leave(slot);
    fr_epoch_release(slot);
    return made;
}

bool fr_table_scan(const fr_table *t, uint32_t *row_io, uint32_t max_rows, uint64_t visible,
                   bool (*each)(void *user, uint32_t row, const fr_row_view *view), void *user)
{
    uint32_t end = atomic_load_explicit(&t->row_count, memory_order_acquire);
    uint32_t stop = end - *row_io > max_rows ? *row_io + max_rows : end;
    for (; *row_io < stop; ++*row_io) {
        if (!fr_row_visible(fr_row_at(t, *row_io), visible)) continue;
        fr_row_view view;
        fr_table_row(t, *row_io, &view);
        if (!each(user, *row_io, &view)) {
            ++*row_io;
            return false;
        }
    }
    return *row_io >= end;
}

/* ==== codes ==== */

static void destroy_codes(void *codes) { fr_codeset_free(codes); }

/* Until now the codes were the originals. */
static fr_code keep_originals(fr_table *t, const fr_codeset *old, uint32_t rows, float *vector)
{
    for (uint32_t r = 0; r < rows; r++) {
        if (fr_row_bare(fr_row_at(t, r))) continue;
        fr_codeset_decode(old, r, vector);
        if (!fr_vectors_put(&t->vectors, r, vector, &t->retired)) return FR_ERR_NO_MEMORY;
        fr_vectors_spill(&t->vectors, r, &t->retired); /* they need not fit into memory at once */
        if (r % 4096 == 0 && !atomic_load(&t->saving)) fr_retired_free(&t->retired, false);
    }
    return FR_OK;
}

static fr_code train_codes(const fr_table *t, const fr_codeset *old, uint32_t rows, fr_codeset *fresh)
{
    uint32_t dimension = t->options.dimension, want = FR_MIN(rows, FR_MAX(1024u, FR_MIN(16384u, (32u << 20) / (4 * dimension)))), count = 0;
    size_t size = (size_t)want * dimension * sizeof(float);
    float *samples = fr_alloc_pages(FR_MEM_CODES, size); /* the heap would keep it for good */
    const float **sample_at = fr_alloc(FR_MEM_CODES, want * sizeof *sample_at);
    fr_code code = FR_ERR_NO_MEMORY;
    if (samples != NULL && sample_at != NULL) {
        for (uint64_t i = 0; i < want; i++) {
            uint32_t r = (uint32_t)(i * rows / want);
            if (!fr_row_alive(fr_row_at(t, r)) || fr_row_bare(fr_row_at(t, r))) continue;
            sample_at[count] = samples + (size_t)count * dimension;
            if (fr_row_original(t, old, r, samples + (size_t)count * dimension)) count++;
        }
        code = fr_codeset_train(fresh, sample_at, count);
        /* Due again when there are 16 times as many rows, however few of them the sample had room for. */
        uint64_t live = atomic_load_explicit(&t->live, memory_order_relaxed) - atomic_load_explicit(&t->bare, memory_order_relaxed);
        fresh->trained_rows = FR_MAX((uint64_t)count, live);
    }
    if (samples != NULL) fr_free_pages(FR_MEM_CODES, samples, size);
    fr_free(FR_MEM_CODES, sample_at);
    return code;
}

static fr_code encode_rows(fr_table *t, const fr_codeset *old, uint32_t rows, float *vector, fr_codeset *fresh)
{
    if (!fr_codeset_reserve(fresh, rows)) return FR_ERR_NO_MEMORY;
    for (uint32_t r = 0; r < rows; r++) {
        if (!fr_row_original(t, old, r, vector)) return FR_ERR_IO;
        fr_codeset_encode(fresh, vector, r, t->encode_scratch);
    }
    fresh->clipped = fresh->encoded = 0;
    return FR_OK;
}

static void publish_codes(fr_table *t, fr_codeset *old, fr_codeset *fresh, uint32_t rows)
{
    atomic_store_explicit(&t->codes, fresh, memory_order_release);
    t->code_generation++; /* the next save writes all code and vector chunks */
    /* the set's own extents go with it, once its readers have left */
    fr_retired_push_object(&t->retired, old, destroy_codes);
    fr_routers_drop(t); /* a later set may lie where the old one lay: the map would be taken for one of its codes */
    fr_vectors_spill(&t->vectors, rows, &t->retired);
}

/* A code set of the given kind for all rows; published, the old one retired. Originals are kept in `vectors` unless native. */
fr_code fr_table_recode(fr_table *t, fr_code_kind kind, fr_err *err)
{
    fr_codeset *old = fr_codes_of(t), *fresh = fr_codeset_create(kind, t->options.metric, t->options.dimension, t->options.seed);
    uint32_t rows = atomic_load_explicit(&t->row_count, memory_order_relaxed);
    float *vector = fr_alloc(FR_MEM_CODES, t->options.dimension * sizeof(float));
    fr_code code = fresh != NULL && vector != NULL ? FR_OK : FR_ERR_NO_MEMORY;
    if (code == FR_OK) {
        fresh->has_fine = kind == FR_CODE_SQ8 && fr_table_wants_fine(&t->options);
        t->vectors.may_spill |= kind == FR_CODE_SQ8;
    }
    if (code == FR_OK && fr_code_native(old->kind) && !fr_code_native(kind)) code = keep_originals(t, old, rows, vector);
    if (code == FR_OK && kind == FR_CODE_SQ8) code = train_codes(t, old, rows, fresh);
    if (code == FR_OK && kind != FR_CODE_NONE) code = encode_rows(t, old, rows, vector, fresh);
    if (code == FR_OK && !fr_retired_reserve(&t->retired, 2)) code = FR_ERR_NO_MEMORY; /* not earlier: moved vectors take places of that list, too */
    if (code == FR_OK) publish_codes(t, old, fresh, rows);
    else fr_codeset_free(fresh);
    fr_free(FR_MEM_CODES, vector);
    if (code == FR_ERR_IO) return fr_fail(err, code, NULL, "original vectors cannot be read to encode %u rows", rows);
    return code == FR_OK ? FR_OK : fr_fail(err, code, NULL, "no memory to encode %u rows", rows);
}

/* Do bytes hold all these numbers? -0 is held by neither. Without branches but one in 64: every vector that is put comes by. */
static void fit_bytes(const float *vector, uint32_t count, bool *u8_out, bool *i8_out)
{
    int32_t low = 0, high = 0, broken = 0;
    for (uint32_t at = 0; at < count && !broken; at += 64) {
        for (uint32_t j = at, end = FR_MIN(at + 64, count); j < end; j++) {
            float v = vector[j], cut = v > -129.0f ? v : -129.0f; /* NaN is cut, too */
            cut = cut < 256.0f ? cut : 256.0f;
            int32_t whole = (int32_t)cut, bits;
            memcpy(&bits, &v, sizeof bits);
            broken |= ((float)whole != v) | (bits == INT32_MIN);
            low = whole < low ? whole : low;
            high = whole > high ? whole : high;
        }
    }
    *u8_out = !broken && low >= 0 && high <= 255;
    *i8_out = !broken && low >= -128 && high <= 127;
}

/* Choose or leave the native kinds before a vector is stored. */
static fr_code fit_kind(fr_table *t, const void *numbers, fr_err *err)
{
    if (numbers == NULL || fr_table_is_binary(&t->options) || fr_table_is_sparse(&t->options)) return FR_OK;
    bool u8 = false, i8 = false;
    if (t->options.codes == FR_CODES_NONE) return FR_OK;
    if (t->options.metric != FR_METRIC_COSINE) fit_bytes(numbers, t->options.dimension, &u8, &i8);
    fr_code_kind kind = fr_codes_of(t)->kind;
    if (!t->any_vector) {
        t->any_vector = true;
        t->all_i8 = i8;
        if (u8 || i8) return fr_table_recode(t, u8 ? FR_CODE_U8 : FR_CODE_I8, err);
        return FR_OK;
    }
    bool stays = kind == FR_CODE_U8 ? u8 : kind == FR_CODE_I8 ? i8 : true;
    t->all_i8 &= i8;
    if (stays) return FR_OK;
    if (t->all_i8) return fr_table_recode(t, FR_CODE_I8, err);
    return fr_table_recode(t, t->live >= FR_TRAIN_ROWS ? FR_CODE_SQ8 : FR_CODE_NONE, err);
}

/* ==== writing ==== */

void fr_row_kill(fr_table *t, uint32_t row, fr_offset offset, uint64_t commit)
{
    fr_row *r = fr_row_at(t, row);
    atomic_store_explicit(&fr_past_at(t, row)->ended, offset + 1, memory_order_release);
    atomic_store_explicit(&r->death, commit, memory_order_release);
    t->past_used = true;
    t->ended_ever++;
    fr_mark(t, FR_CHUNK_ROWS_OF, row);
    fr_columns_end(t, row);
    atomic_fetch_sub_explicit(&t->live, 1, memory_order_relaxed);
    if (fr_row_bare(r)) atomic_fetch_sub_explicit(&t->bare, 1, memory_order_relaxed);
    if (fr_table_is_sparse(&t->options)) fr_postings_end(t, row);
    fr_spin_lock(&t->list_lock);
    fr_list_push(t, &t->dead, row);
    fr_spin_unlock(&t->list_lock);
}

/* Is this put older than what the table holds? */
static bool is_stale(const fr_table *t, uint32_t row, const fr_row_data *data)
{
    const fr_row *r = fr_row_at(t, row);
    if (atomic_load_explicit(&r->made, memory_order_relaxed) >= data->offset) return true;
    if (atomic_load_explicit(&fr_past_at(t, row)->ended, memory_order_relaxed) > data->offset) return true;
    if (!t->options.drop_stale || data->source_time_ms == FR_TIME_NONE || !fr_row_alive(r)) return false;
    fr_blob held;
    fr_row_blob(t, row, &held);
    return held.source_time_ms != FR_TIME_NONE && data->source_time_ms < held.source_time_ms;
}

static uint32_t next_slot(fr_table *t)
{
    if (t->free.count != 0) return t->free.head;
    uint32_t row = atomic_load_explicit(&t->row_count, memory_order_relaxed);
    return row < FR_ROWS_MAX && fr_table_reserve(t, row + 1) ? row : FR_ROW_NONE;
}

/* A row about to be published. */
typedef struct newborn {
    uint32_t row, old;      /* old: the row of its key, or FR_KEYMAP_NONE */
    uint64_t blob;
    fr_span vector;         /* sparse, in the blob */
    fr_codeset *codes;
    bool sparse, bare, native; /* native: nothing goes into the vectors */
} newborn;

/* All that can fail. */
static fr_code prepare(fr_table *t, const fr_row_data *data, newborn *n, fr_err *err)
{
    FR_TRY(fit_kind(t, data->vector, err));
    fr_blob blob = {.key = data->key, .key_is_int = data->key_is_int, .source_time_ms = data->source_time_ms,
                    .model_version = data->model_version, .metadata = data->metadata};
    n->row = next_slot(t);
    n->codes = fr_codes_of(t);
    n->sparse = fr_table_is_sparse(&t->options) && data->vector != NULL;
    n->bare = data->vector == NULL || n->sparse;
    n->native = n->bare || fr_code_native(n->codes->kind);
    if (n->sparse) blob.vector = n->vector = fr_span_of(data->vector, data->vector_size);
    if (n->row == FR_ROW_NONE || !fr_keymap_reserve(&t->keys, &t->retired) || !fr_ring_reserve(t) ||
        !(n->native || fr_vectors_put(&t->vectors, n->row, data->vector, &t->retired)) || (n->sparse && !fr_postings_reserve(t, n->row, n->vector)))
        return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a row");
    uint8_t *at = fr_heap_alloc(&t->heap, fr_blob_size(&blob), &n->blob);
    if (at == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a row's key and metadata");
    fr_blob_write(at, &blob);
    return FR_OK;
}

static void give_birth(fr_table *t, const fr_row_data *data, const newborn *n, uint64_t commit)
{
    uint32_t row = n->row, prev = n->old != FR_KEYMAP_NONE ? n->old + 1 : 0;
    if (n->codes->kind != FR_CODE_NONE && !n->bare) fr_codeset_encode(n->codes, data->vector, row, t->encode_scratch);
    if (t->free.count != 0) fr_list_pop(t, &t->free); /* the applier's own list */
    fr_row *r = fr_row_at(t, row);
    r->zero = 0;
    atomic_store_explicit(&r->linked, n->bare ? FR_BARE : FR_UNLINKED, memory_order_relaxed);
    atomic_store_explicit(&r->parent, FR_ROW_NONE, memory_order_relaxed);
    atomic_store_explicit(&r->blob, n->blob, memory_order_relaxed);
    fr_past *past = fr_past_at(t, row);
    if (atomic_load_explicit(&past->prev, memory_order_relaxed) != prev) atomic_store_explicit(&past->prev, prev, memory_order_relaxed);
    if (atomic_load_explicit(&past->ended, memory_order_relaxed) != 0) atomic_store_explicit(&past->ended, 0, memory_order_relaxed);
    atomic_store_explicit(&r->made, data->offset, memory_order_relaxed);
    fr_columns_put(t, row, data->metadata);
    if (n->sparse) fr_postings_put(t, row, n->vector);
    if (!n->bare) fr_cells_put(t, row);
    atomic_store_explicit(&r->death, FR_NEVER, memory_order_release);
    atomic_store_explicit(&r->birth, commit, memory_order_release);
    atomic_store_explicit(&t->born, commit, memory_order_release);
    if (!n->bare) fr_taken_set(t, row, true); /* searches for vectors look at no other rows */
    for (fr_chunk_kind k = FR_CHUNK_ROWS_OF; k <= FR_CHUNK_CST; k++) fr_mark(t, k, row);
    if (n->codes->has_fine) fr_mark(t, FR_CHUNK_FINE, row);
    if (!n->native) fr_mark(t, FR_CHUNK_VECTORS, row);
    if (row == atomic_load_explicit(&t->row_count, memory_order_relaxed)) atomic_store_explicit(&t->row_count, row + 1, memory_order_release);
    fr_keymap_set(&t->keys, data->key, row, fr_row_has_key, t);
    if (!n->bare) fr_ring_push(t, row);
    if (!n->native) fr_vectors_spill(&t->vectors, atomic_load_explicit(&t->row_count, memory_order_relaxed), &t->retired);
    atomic_fetch_add_explicit(&t->live, 1, memory_order_relaxed);
    if (n->bare) atomic_fetch_add_explicit(&t->bare, 1, memory_order_relaxed);
}

static fr_code put(fr_table *t, const fr_row_data *data, uint64_t commit, fr_put_result *result_out, fr_err *err)
{
    newborn n = {.old = fr_keymap_find(&t->keys, data->key, fr_row_has_key, t)};
    if (n.old != FR_KEYMAP_NONE && is_stale(t, n.old, data)) {
        *result_out = FR_PUT_STALE;
        return FR_OK;
    }
    FR_TRY(prepare(t, data, &n, err));
    bool replaces = n.old != FR_KEYMAP_NONE && fr_row_alive(fr_row_at(t, n.old));
    give_birth(t, data, &n, commit);
    if (replaces) fr_row_kill(t, n.old, data->offset, commit);
    *result_out = replaces ? FR_PUT_REPLACED : FR_PUT_NEW;
    return FR_OK;
}

fr_code fr_table_put(fr_table *t, const fr_row_data *data, uint64_t commit, fr_put_result *result_out, fr_err *err)
{
    bool gated = fr_gate_enter(t);
    fr_code code = put(t, data, commit, result_out, err);
    if (gated) fr_gate_leave(t);
    return code;
}

fr_code fr_table_remove(fr_table *t, fr_span key, fr_offset offset, uint64_t commit, bool *existed_out)
{
    bool gated = fr_gate_enter(t);
    uint32_t row = fr_keymap_find(&t->keys, key, fr_row_has_key, t);
    fr_row *r = row != FR_KEYMAP_NONE ? fr_row_at(t, row) : NULL;
    *existed_out = r != NULL && fr_row_alive(r) && atomic_load_explicit(&r->made, memory_order_relaxed) < offset;
    if (*existed_out) fr_row_kill(t, row, offset, commit);
    if (gated) fr_gate_leave(t);
    return FR_OK;
}

/* ==== reclaim ==== */

static void free_row(fr_table *t, uint32_t row)
{
    fr_row *r = fr_row_at(t, row);
    fr_blob blob;
    uint64_t ref = atomic_load_explicit(&r->blob, memory_order_relaxed);
    uint32_t size = fr_blob_read(fr_heap_at(&t->heap, ref), &blob);
    fr_keymap_remove(&t->keys, blob.key, row);
    _Atomic uint32_t *lanes = fr_links_at(t, row);
    for (uint32_t i = 0; i < t->lanes; i++) atomic_store_explicit(&lanes[i], 0, memory_order_relaxed);
    atomic_store_explicit(&r->birth, FR_NEVER, memory_order_relaxed);
    atomic_store_explicit(&r->made, -1, memory_order_relaxed);
    fr_mark(t, FR_CHUNK_ROWS_OF, row);
    fr_mark(t, FR_CHUNK_LINKS, row);
    fr_heap_drop(&t->heap, ref, size, &t->retired);
}

/* Blobs of segments that are mostly garbage move to the end. */
static void pack_heap(fr_table *t)
{
    uint32_t rows = atomic_load_explicit(&t->row_count, memory_order_relaxed), segments = t->heap.count;
    for (uint32_t row = 0; row < rows; row++) {
        fr_row *r = fr_row_at(t, row);
        if (atomic_load_explicit(&r->birth, memory_order_relaxed) == FR_NEVER) continue;
        uint64_t ref = atomic_load_explicit(&r->blob, memory_order_relaxed), moved;
        fr_heap_segment *s = fr_heap_segment_at(&t->heap, (uint32_t)(ref >> 32));
        if ((uint32_t)(ref >> 32) + 1 >= segments || s->live * 4 > s->size * 3) continue;
        fr_blob blob;
        const uint8_t *from = fr_heap_at(&t->heap, ref);
        uint32_t size = fr_blob_read(from, &blob);
        uint8_t *to = fr_heap_alloc(&t->heap, size, &moved);
        if (to == NULL) return;
        memcpy(to, from, size);
        atomic_store_explicit(&r->blob, moved, memory_order_release);
        fr_mark(t, FR_CHUNK_ROWS_OF, row);
        fr_heap_drop(&t->heap, ref, size, &t->retired);
    }
}

static void retrain(fr_table *t)
{
    fr_codeset *codes = fr_codes_of(t);
    uint64_t live = atomic_load_explicit(&t->live, memory_order_relaxed) - atomic_load_explicit(&t->bare, memory_order_relaxed);
    if (t->options.codes == FR_CODES_NONE || live < FR_TRAIN_ROWS) return;
    bool due = codes->kind == FR_CODE_NONE;
    if (codes->kind == FR_CODE_SQ8) {
        due = codes->trained_rows < 16384 && live >= codes->trained_rows * 16;
        /* more than 1 % of the dimensions are cut off: the data moved away from the sample */
        due |= fr_table_wants_fine(&t->options) && !codes->has_fine; /* an image of another profile */
        due |= codes->encoded > (uint64_t)codes->padded * 4096 && codes->clipped * 100 > codes->encoded;
    }
    if (!due) return;
    if (t->retrain_pause != 0) { /* it failed: a disk that cannot be read is not read whole at every call */
        t->retrain_pause--;
        return;
    }
    fr_err why = {0};
    fr_code code = fr_table_recode(t, FR_CODE_SQ8, &why);
    t->retrain_failures = code == FR_OK ? 0 : FR_MIN(t->retrain_failures + 1, 10u);
    t->retrain_pause = code == FR_OK ? 0 : 8u << t->retrain_failures;
    if (code != FR_OK) fr_note(FR_NOTE_WARN, "index=retrain result=%s rows=%lu text=\"%s\"", fr_strcode(code), (unsigned long)live, why.text);
}

static void maintain(fr_table *t, uint64_t oldest_visible)
{
    if (atomic_load_explicit(&t->saving, memory_order_acquire)) return; /* nothing alive at the save may change place */
    if (t->retired.count != 0) fr_retired_free(&t->retired, false);
    if (fr_table_is_sparse(&t->options)) fr_postings_sweep(t, oldest_visible);
    fr_list batch = {0};
    fr_spin_lock(&t->list_lock);
    bool mine = !t->sweep_busy; /* a sweep still reads the lanes of rows that are freed here */
    bool due = mine && t->swept.count != 0 && t->swept_death <= oldest_visible && fr_epoch_passed(t->swept_stamp);
    if (due && !t->swept_untaken) { /* whoever saw a bit before it is cleared may read the code: its time passes, too */
        for (uint32_t row = t->swept.head, i = 0; i < t->swept.count; i++, row = fr_past_at(t, row)->next) fr_taken_set(t, row, false);
        t->swept_stamp = fr_epoch_stamp();
        t->swept_untaken = true;
    } else if (due) {
        t->swept_untaken = false;
        batch = t->swept;
        t->swept = (fr_list){0};
        t->sweep_busy = true;
    }
    fr_spin_unlock(&t->list_lock);
    bool freed = batch.count != 0;
    while (batch.count != 0) {
        uint32_t row = fr_list_pop(t, &batch);
        free_row(t, row);
        fr_list_push(t, &t->free, row);
    }
    if (freed) {
        fr_spin_lock(&t->list_lock);
        t->sweep_busy = false;
        fr_spin_unlock(&t->list_lock);
    }
    if (fr_heap_sparse(&t->heap)) pack_heap(t);
    if (atomic_load_explicit(&t->fresh.first, memory_order_relaxed) != NULL) fr_fresh_seal(t);
    fr_ring_shrink(t);
    retrain(t);
}

void fr_table_maintain(fr_table *t, uint64_t oldest_visible)
{
    fr_columns_step(t);
    fr_cells_step(t);
    fr_routers_step(t);
    if (!atomic_load_explicit(&t->keyed, memory_order_acquire)) return; /* just loaded, nothing was changed: no reason to wait */
    bool gated = fr_gate_enter(t);
    maintain(t, oldest_visible);
    if (gated) fr_gate_leave(t);
}

uint32_t fr_table_dead(const fr_table *t)
{
    _Atomic uint32_t *lock = (_Atomic uint32_t *)(uintptr_t)&t->list_lock; /* reading a list takes its lock */
    fr_spin_lock(lock);
    uint32_t count = t->dead.count;
    fr_spin_unlock(lock);
    return count;
}

void fr_table_stats_get(const fr_table *t, fr_table_stats *out)
{
    static const char *const kinds[] = {"none", "u8", "i8", "sq8", "bit"};
    static const char *const scalars[] = {"f32", "f16", "bf16", "i8", "u8", "bit"};
    fr_codeset *codes = fr_codes_of(t);
    *out = (fr_table_stats){0};
    out->live = atomic_load_explicit(&t->live, memory_order_relaxed);
    out->bare = fr_table_is_sparse(&t->options) ? out->live - atomic_load_explicit(&t->sparse.documents, memory_order_relaxed)
                                                : atomic_load_explicit(&t->bare, memory_order_relaxed);
    uint64_t low = atomic_load_explicit(&t->ring_low, memory_order_relaxed);
    out->unlinked = atomic_load_explicit(&t->ring_tail, memory_order_relaxed) - low;
    out->rows = atomic_load_explicit(&t->row_count, memory_order_relaxed);
    _Atomic uint32_t *lock = (_Atomic uint32_t *)(uintptr_t)&t->list_lock;
    fr_spin_lock(lock);
    out->dead = (uint64_t)t->dead.count + t->pending.count + t->sweeping.count + t->swept.count;
    out->free_slots = t->free.count;
    uint32_t rows = (uint32_t)out->rows;
    fr_spin_unlock(lock);
    out->bytes_vectors = t->vectors.bytes;
    out->bytes_on_disk = t->vectors.file_bytes;
    out->bytes_postings = t->sparse.bytes + fr_extents_bytes(&t->sparse.lengths, rows);
    out->bytes_codes = fr_extents_bytes(&codes->code, rows) + fr_extents_bytes(&codes->cst, rows) + fr_extents_bytes(&codes->fine, rows);
    out->bytes_links = fr_extents_bytes(&t->links, rows) + fr_routers_bytes(t);
    out->bytes_rows = fr_extents_bytes(&t->rows, rows) + (t->past_used ? fr_extents_bytes(&t->past, rows) : 0) + fr_keymap_bytes(&t->keys);
    out->bytes_heap = t->heap.bytes;
    out->bytes_columns = fr_columns_bytes(t) + fr_cells_bytes(t);
    for (uint32_t i = 0; i < FR_COLUMNS_MAX; i++) out->columns += t->columns.at[i] != NULL;
    out->bytes = sizeof *t + out->bytes_columns + out->bytes_vectors + out->bytes_codes + out->bytes_links + out->bytes_rows + out->bytes_heap +
                 out->bytes_postings;
    out->code_kind = kinds[codes->kind];
    out->vector_kind = fr_code_native(codes->kind) ? kinds[codes->kind]
                     : t->vectors.chunk_count == 0 ? "none"
                     : scalars[fr_vectors_chunk(&t->vectors, (t->vectors.chunk_count - 1) << t->vectors.chunk_log2)->type];
}
