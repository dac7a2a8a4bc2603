/* sparse.c: see sparse.h. The lists of a table: what the applier does to them. */
#include "index/sparse.h"

#include "index/table_private.h"

#define FIRST_ENTRIES 4u
#define SWEEP_ENTRIES 65536u /* looked at by one call: well below a millisecond */
#define SWEEP_ROWS_MIN 256u  /* dead rows that make a sweep; in large tables an eighth of the live ones */

void fr_postings_init(fr_posting_lists *x, float k1, float b)
{
    *x = (fr_posting_lists){.k1 = k1 > 0 ? k1 : 1.2f, .b = b > 0 ? b : 0.75f};
    fr_extents_init(&x->lengths, sizeof(float), FR_MEM_LINKS);
}

void fr_postings_free(fr_posting_lists *x)
{
    for (uint32_t i = 0; i < x->list_count; i++) {
        fr_free(FR_MEM_LINKS, atomic_load(&x->lists[i]->block));
        fr_free(FR_MEM_LINKS, x->lists[i]);
    }
    fr_free(FR_MEM_LINKS, x->lists);
    fr_free(FR_MEM_LINKS, atomic_load(&x->map));
    fr_extents_free(&x->lengths);
}

/* ==== lists ==== */

static uint32_t home(uint32_t index, uint32_t mask) { return (uint32_t)fr_mix64(index) & mask; }

fr_postings *fr_postings_find(const fr_posting_lists *x, uint32_t index)
{
    const fr_term_map *map = atomic_load_explicit(&x->map, memory_order_acquire);
    if (map == NULL) return NULL;
    for (uint32_t at = home(index, map->mask);; at = (at + 1) & map->mask) {
        fr_postings *list = atomic_load_explicit(&map->slots[at], memory_order_acquire);
        if (list == NULL || list->index == index) return list;
    }
}

static void enter(fr_term_map *map, fr_postings *list)
{
    uint32_t at = home(list->index, map->mask);
    while (atomic_load_explicit(&map->slots[at], memory_order_relaxed) != NULL) at = (at + 1) & map->mask;
    atomic_store_explicit(&map->slots[at], list, memory_order_release);
}

/* Room for one more list: the map is at most half full. */
static bool grow_map(fr_table *t)
{
    fr_posting_lists *x = &t->sparse;
    fr_term_map *map = atomic_load_explicit(&x->map, memory_order_relaxed);
    if (x->list_count == x->list_capacity) {
        uint32_t capacity = FR_MAX(64u, x->list_capacity * 2);
        fr_postings **lists = fr_realloc(FR_MEM_LINKS, x->lists, capacity * sizeof *lists);
        if (lists == NULL) return false;
        x->lists = lists;
        x->list_capacity = capacity;
    }
    if (map != NULL && x->list_count < map->mask / 2) return true;
    uint32_t slots = map == NULL ? 128 : (map->mask + 1) * 2;
    if (map != NULL && !fr_retired_reserve(&t->retired, 1)) return false;
    fr_term_map *grown = fr_zalloc(FR_MEM_LINKS, sizeof *grown + slots * sizeof grown->slots[0]);
    if (grown == NULL) return false;
    grown->mask = slots - 1;
    for (uint32_t i = 0; i < x->list_count; i++) enter(grown, x->lists[i]);
    atomic_store_explicit(&x->map, grown, memory_order_release);
    if (map != NULL) fr_retired_push(&t->retired, FR_MEM_LINKS, map, 0);
    x->bytes += (map == NULL ? slots : slots / 2) * sizeof grown->slots[0];
    return true;
}

static size_t block_bytes(uint32_t capacity) { return sizeof(fr_posting_block) + capacity * sizeof(fr_posting); }

static fr_posting_block *block_create(uint32_t capacity)
{
    fr_posting_block *block = fr_alloc(FR_MEM_LINKS, block_bytes(capacity));
    if (block == NULL) return NULL;
    block->capacity = capacity;
    atomic_init(&block->count, 0);
    return block;
}

/* `fresh` instead of the list's block; a place in `retired` was reserved. */
static void swap_block(fr_table *t, fr_postings *list, fr_posting_block *fresh)
{
    fr_posting_block *old = atomic_load_explicit(&list->block, memory_order_relaxed);
    atomic_store_explicit(&list->block, fresh, memory_order_release);
    if (fresh != NULL) t->sparse.bytes += block_bytes(fresh->capacity);
    if (old == NULL) return;
    t->sparse.bytes -= block_bytes(old->capacity);
    fr_retired_push(&t->retired, FR_MEM_LINKS, old, 0);
}

static bool room_for_one(fr_table *t, fr_postings *list)
{
    fr_posting_block *block = atomic_load_explicit(&list->block, memory_order_relaxed);
    uint32_t count = block == NULL ? 0 : atomic_load_explicit(&block->count, memory_order_relaxed);
    if (block != NULL && count < block->capacity) return true;
    fr_posting_block *grown = fr_retired_reserve(&t->retired, 1) ? block_create(FR_MAX(FIRST_ENTRIES, count + count / 2)) : NULL;
    if (grown == NULL) return false;
    if (count != 0) memcpy(grown->entries, block->entries, count * sizeof *grown->entries);
    atomic_store_explicit(&grown->count, count, memory_order_relaxed);
    swap_block(t, list, grown);
    return true;
}

bool fr_postings_reserve(fr_table *t, uint32_t row, fr_span pairs)
{
    fr_posting_lists *x = &t->sparse;
    if (!fr_extents_reserve(&x->lengths, row + 1)) return false;
    for (uint32_t i = 0; i < pairs.size / 8; i++) {
        fr_postings *list = fr_postings_find(x, fr_pair_index(pairs.data, i));
        if (list == NULL) {
            list = grow_map(t) ? fr_zalloc(FR_MEM_LINKS, sizeof *list) : NULL;
            if (list == NULL) return false;
            list->index = fr_pair_index(pairs.data, i);
            x->lists[x->list_count++] = list;
            enter(atomic_load_explicit(&x->map, memory_order_relaxed), list);
            x->bytes += sizeof *list + sizeof list;
        }
        if (!room_for_one(t, list)) return false;
    }
    return true;
}

/* ==== rows ==== */

static double length_sum(const fr_posting_lists *x)
{
    uint64_t bits = atomic_load_explicit(&x->length_bits, memory_order_relaxed);
    double sum;
    memcpy(&sum, &bits, sizeof sum);
    return sum;
}

static void count_document(fr_posting_lists *x, double length, int sign)
{
    double sum = length_sum(x) + sign * length;
    uint64_t bits, documents = atomic_load_explicit(&x->documents, memory_order_relaxed);
    documents = sign > 0 ? documents + 1 : documents - 1;
    if (documents == 0) sum = 0; /* what rounding left */
    memcpy(&bits, &sum, sizeof bits);
    atomic_store_explicit(&x->length_bits, bits, memory_order_relaxed);
    atomic_store_explicit(&x->documents, documents, memory_order_relaxed);
}

void fr_postings_put(fr_table *t, uint32_t row, fr_span pairs)
{
    fr_posting_lists *x = &t->sparse;
    double length = 0;
    for (uint32_t i = 0; i < pairs.size / 8; i++) length += (double)fr_pair_value(pairs.data, i);
    *(float *)fr_extent_at(&x->lengths, row) = (float)length;
    for (uint32_t i = 0; i < pairs.size / 8; i++) {
        float value = fr_pair_value(pairs.data, i);
        if (value == 0.0f) continue; /* as if it were not there */
        fr_postings *list = fr_postings_find(x, fr_pair_index(pairs.data, i));
        fr_posting_block *block = atomic_load_explicit(&list->block, memory_order_relaxed);
        uint32_t count = atomic_load_explicit(&block->count, memory_order_relaxed);
        block->entries[count] = (fr_posting){row, value};
        atomic_store_explicit(&block->count, count + 1, memory_order_release);
        atomic_fetch_add_explicit(&list->live, 1, memory_order_relaxed);
    }
    count_document(x, length, 1);
}

void fr_postings_end(fr_table *t, uint32_t row)
{
    fr_posting_lists *x = &t->sparse;
    fr_blob blob;
    double length = 0;
    fr_row_blob(t, row, &blob);
    if (blob.vector.data == NULL) return;
    for (uint32_t i = 0; i < blob.vector.size / 8; i++) {
        float value = fr_pair_value(blob.vector.data, i);
        length += (double)value;
        if (value != 0.0f) atomic_fetch_sub_explicit(&fr_postings_find(x, fr_pair_index(blob.vector.data, i))->live, 1, memory_order_relaxed);
    }
    count_document(x, length, -1);
}

fr_code fr_postings_load(fr_table *t, fr_err *err)
{
    for (uint32_t row = 0; row < t->row_count; row++) {
        fr_blob blob;
        if (!fr_row_alive(fr_row_at(t, row))) continue;
        fr_row_blob(t, row, &blob);
        if (blob.vector.data == NULL) continue;
        if (fr_vector_sparse_check(blob.vector, t->options.metric, NULL, NULL) != FR_OK)
            return fr_fail(err, FR_ERR_CORRUPT, NULL, "snapshot chunk: the sparse vector of row %u is wrong", row);
        if (!fr_postings_reserve(t, row, blob.vector)) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory to load a table");
        fr_postings_put(t, row, blob.vector);
        if (t->retired.count > 1024) fr_retired_free(&t->retired, true); /* nobody else is there */
    }
    return FR_OK;
}

/* ==== the sweep ==== */

/* Rows that no later search sees become a batch; the dead list is in the order of deaths. A search that runs already may see them: a list
 * that loses a row under it would leave the row with a part of its score. */
static bool begin_sweep(fr_table *t, uint64_t oldest_visible)
{
    uint64_t live = atomic_load_explicit(&t->live, memory_order_relaxed);
    if (t->dead.count < FR_MAX((uint64_t)SWEEP_ROWS_MIN, live / 8) && (t->dead.count == 0 || live != 0)) return false;
    while (t->dead.count != 0) {
        fr_row *r = fr_row_at(t, t->dead.head);
        uint64_t death = atomic_load_explicit(&r->death, memory_order_relaxed);
        if (death > oldest_visible) break;
        uint32_t row = fr_list_pop(t, &t->dead);
        atomic_store_explicit(&r->linked, FR_REPAIRED, memory_order_relaxed);
        fr_list_push(t, &t->sweeping, row);
        t->sweeping_death = death;
    }
    t->sparse.cursor = 0;
    t->sparse.sweep_stamp = fr_epoch_stamp();
    t->sparse.sweep_end = t->sparse.list_count; /* younger lists hold no row of the batch */
    return t->sweeping.count != 0;
}

static bool is_swept(const fr_table *t, const fr_posting *entry)
{
    return atomic_load_explicit(&fr_row_at(t, entry->row)->linked, memory_order_relaxed) == FR_REPAIRED;
}

/* The list without the rows of the batch. False: no memory now. */
static bool sweep_list(fr_table *t, fr_postings *list)
{
    fr_posting_block *block = atomic_load_explicit(&list->block, memory_order_relaxed);
    uint32_t count = block == NULL ? 0 : atomic_load_explicit(&block->count, memory_order_relaxed), gone = 0;
    for (uint32_t i = 0; i < count; i++) gone += is_swept(t, &block->entries[i]);
    if (gone == 0) return true;
    if (!fr_retired_reserve(&t->retired, 1)) return false;
    fr_posting_block *kept = count == gone ? NULL : block_create(count - gone);
    if (kept == NULL && count != gone) return false;
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++)
        if (!is_swept(t, &block->entries[i])) kept->entries[n++] = block->entries[i];
    if (kept != NULL) atomic_store_explicit(&kept->count, n, memory_order_relaxed);
    swap_block(t, list, kept);
    return true;
}

void fr_postings_sweep(fr_table *t, uint64_t oldest_visible)
{
    fr_posting_lists *x = &t->sparse;
    if (t->sweeping.count == 0 && (t->swept.count != 0 || !begin_sweep(t, oldest_visible))) return;
    if (!fr_epoch_passed(x->sweep_stamp)) return;
    for (uint32_t seen = 0; x->cursor < x->sweep_end && seen < SWEEP_ENTRIES; x->cursor++) {
        fr_postings *list = x->lists[x->cursor];
        const fr_posting_block *block = atomic_load_explicit(&list->block, memory_order_relaxed);
        seen += block == NULL ? 1 : atomic_load_explicit(&block->count, memory_order_relaxed);
        if (!sweep_list(t, list)) return;
    }
    if (x->cursor < x->sweep_end) return;
    t->swept = t->sweeping;
    t->swept_death = t->sweeping_death;
    t->swept_stamp = fr_epoch_stamp();
    t->sweeping = (fr_list){0};
}

/* ==== the check ==== */

static fr_code broken(fr_err *err, uint32_t row, const char *what)
{
    return fr_fail(err, FR_ERR_INTERNAL, NULL, "invariant 12 broken at row %u: %s", row, what);
}

static fr_code verify_row(const fr_table *t, uint32_t row, uint32_t entries, double *length_io, uint64_t *documents_io, fr_err *err)
{
    fr_blob blob;
    uint32_t count = 0;
    fr_row_blob(t, row, &blob);
    if (blob.vector.data == NULL) return entries == 0 ? FR_OK : broken(err, row, "it has no vector and stands in a list");
    if (fr_vector_sparse_check(blob.vector, t->options.metric, NULL, NULL) != FR_OK) return broken(err, row, "its vector is wrong");
    for (uint32_t i = 0; i < blob.vector.size / 8; i++) {
        *length_io += (double)fr_pair_value(blob.vector.data, i);
        count += fr_pair_value(blob.vector.data, i) != 0.0f;
    }
    ++*documents_io;
    return count == entries ? FR_OK : broken(err, row, "it does not stand once in each of its lists");
}

fr_code fr_postings_verify(const fr_table *t, fr_err *err)
{
    const fr_posting_lists *x = &t->sparse;
    uint32_t rows = t->row_count;
    uint32_t *entries = fr_zalloc(FR_MEM_TEST, (rows + 1) * sizeof *entries);
    fr_code code = entries == NULL ? fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory to check") : FR_OK;
    for (uint32_t i = 0; i < x->list_count && code == FR_OK; i++) {
        const fr_posting_block *block = atomic_load(&x->lists[i]->block);
        uint32_t live = 0, count = block == NULL ? 0 : atomic_load(&block->count);
        for (uint32_t j = 0; j < count && code == FR_OK; j++) {
            uint32_t row = block->entries[j].row;
            if (row >= rows || atomic_load(&fr_row_at(t, row)->birth) == FR_NEVER) code = broken(err, row, "a list leads to a free slot");
            else if (fr_row_alive(fr_row_at(t, row))) entries[row]++, live++;
        }
        if (code == FR_OK && live != atomic_load(&x->lists[i]->live)) code = broken(err, 0, "a list's count of live rows is wrong");
        if (code == FR_OK && fr_postings_find(x, x->lists[i]->index) != x->lists[i]) code = broken(err, 0, "a list is not found");
    }
    double length = 0;
    uint64_t documents = 0;
    for (uint32_t row = 0; row < rows && code == FR_OK; row++) {
        const fr_row *r = fr_row_at(t, row);
        if (atomic_load(&r->birth) != FR_NEVER && fr_row_alive(r)) code = verify_row(t, row, entries[row], &length, &documents, err);
    }
    fr_free(FR_MEM_TEST, entries);
    if (code != FR_OK) return code;
    double off = length - length_sum(x), slack = 1e-6 * (1 + (length < 0 ? -length : length));
    if (documents != x->documents || off > slack || off < -slack) return broken(err, 0, "the count of documents or of their length is wrong");
    return FR_OK;
}
