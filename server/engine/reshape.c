/* reshape.c: a vector field's index was ordered anew (another metric, m, codes ...): a second table is filled from the rows of the one in
 * place, a few at a time between commits, and takes every write meanwhile (apply.c); when all is copied and nearly all is linked it takes
 * the place. Searches never wait, and never meet an index that is not linked. Applier thread.
 * The snapshot of the old shape is not loaded again (builds in the manifest), so the next one is taken at once. */
#include "server/engine/engine.h"

#define SLICE_US 2000
#define SLICE_ROWS 64u
#define UNLINKED_MAX 1024u /* of the new table, when it takes the place */

typedef struct filling {
    const fr_table *from;
    fr_table *to;
    void *vector;
    uint64_t commit;
    fr_code code;
} filling;

/* A row that was written meanwhile stands in the new table already: its own offset is newer or the same, and the copy is dropped. */
static bool fill_row(void *user, uint32_t row, const fr_row_view *view)
{
    filling *f = user;
    fr_row_data data = {.key = view->key,
                        .key_is_int = view->key_is_int,
                        .metadata = view->metadata,
                        .source_time_ms = view->source_time_ms,
                        .model_version = view->model_version,
                        .offset = view->offset};
    fr_put_result result;
    const fr_table_options *options = fr_table_settings(f->to);
    if (fr_table_offset_of(f->to, view->key) >= view->offset) return true;
    if (fr_table_has_vector(f->from, row)) {
        data.vector = f->vector;
        if (options->type == FR_TYPE_VECTOR_SPARSE) {
            fr_span pairs = fr_table_sparse(f->from, row);
            data.vector = pairs.data;
            data.vector_size = pairs.size;
        } else if (!fr_table_vector(f->from, row, f->vector)) {
            f->code = FR_ERR_IO;
            return false;
        }
        if (fr_engine_lacks_direction(options, data.vector)) data.vector = NULL;
    }
    f->code = fr_table_put(f->to, &data, f->commit, &result, NULL);
    return f->code == FR_OK;
}

static fr_code room_for(fr_db *db, uint32_t dimension)
{
    struct fr_reshape_room *room = &db->reshape_room;
    if (room->scratch == NULL) FR_TRY(fr_scratch_create(&room->scratch));
    if (room->vector != NULL && dimension <= room->dimension) return FR_OK;
    fr_free(FR_MEM_ENGINE, room->vector);
    room->vector = fr_alloc(FR_MEM_ENGINE, FR_MAX(dimension, 1u) * sizeof(float));
    room->dimension = dimension;
    return room->vector != NULL ? FR_OK : FR_ERR_NO_MEMORY;
}

void fr_engine_reshape_room_free(fr_db *db)
{
    if (db->reshape_room.scratch != NULL) fr_scratch_free(db->reshape_room.scratch);
    fr_free(FR_MEM_ENGINE, db->reshape_room.vector);
    db->reshape_room = (struct fr_reshape_room){0};
}

/* Rows from next.row on, for a slice; what is live at `visible` is all there is between commits. */
static fr_code copy_some(fr_db *db, fr_shard *shard, fr_shard_index *at)
{
    const fr_table *from = atomic_load_explicit(&at->table, memory_order_relaxed);
    fr_table *to = atomic_load_explicit(&at->next.table, memory_order_relaxed);
    const fr_table_options *options = fr_table_settings(to);
    FR_TRY(room_for(db, options->dimension));
    filling f = {.from = from, .to = to, .vector = db->reshape_room.vector,
                 .commit = atomic_load_explicit(&shard->collection->visible, memory_order_relaxed)};
    int64_t until_us = db->io->mono_us(db->io) + SLICE_US;
    for (uint32_t i = 0; i < 64 && !at->next.copied && f.code == FR_OK && db->io->mono_us(db->io) < until_us; i++) {
        fr_table_enter(from, db->reshape_room.scratch);
        at->next.copied = fr_table_scan(from, &at->next.row, SLICE_ROWS, f.commit, fill_row, &f);
        fr_table_leave(from, db->reshape_room.scratch);
    }
    return f.code;
}

static bool retire(fr_db *db, fr_table *table, fr_originals *originals)
{
    fr_retired *old = fr_zalloc(FR_MEM_ENGINE, sizeof *old);
    if (old == NULL) return false;
    *old = (fr_retired){.table = table, .originals = originals};
    pthread_mutex_lock(&db->garbage_lock);
    old->next = db->garbage_tables;
    db->garbage_tables = old;
    pthread_mutex_unlock(&db->garbage_lock);
    fr_engine_wake(db, FR_ROLE_KEEPER);
    return true;
}

static fr_code begin(fr_shard *shard, uint32_t index)
{
    fr_shard_index *at = &shard->indexes[index];
    fr_table_options options;
    fr_table *table = NULL;
    fr_originals *kept = at->originals;
    at->originals = NULL; /* options name new ones */
    fr_code code = fr_engine_table_options(shard, index, &options);
    if (code == FR_OK) code = fr_table_create(&options, &table, NULL);
    fr_originals *made = at->originals;
    at->originals = kept;
    if (code != FR_OK) {
        fr_originals_free(made);
        return code;
    }
    at->next.originals = made;
    at->next.row = 0;
    at->next.copied = false;
    at->next.build = fr_schema_of(shard->collection)->builds[index];
    atomic_store(&at->next.table, table);
    return FR_OK;
}

static bool swap(fr_db *db, fr_shard *shard, fr_shard_index *at)
{
    if (!retire(db, atomic_load_explicit(&at->table, memory_order_relaxed), at->originals)) return false;
    at->originals = at->next.originals;
    at->build = at->next.build;
    atomic_store(&at->table, atomic_load(&at->next.table)); /* pairs with the second look in fr_query_enter */
    atomic_store(&at->next.table, NULL);
    at->next.originals = NULL;
    atomic_store(&shard->reshaped, true);
    atomic_store(&shard->links, true);
    fr_engine_refresh(shard);
    fr_engine_wake(db, FR_ROLE_LINKER);
    fr_engine_wake(db, FR_ROLE_KEEPER);
    return true;
}

/* The definition changed again: another one will be made. */
static bool give_up(fr_db *db, fr_shard_index *at)
{
    if (!retire(db, atomic_load_explicit(&at->next.table, memory_order_relaxed), at->next.originals)) return false;
    atomic_store(&at->next.table, NULL);
    at->next.originals = NULL;
    return true;
}

/* False: no memory, or a read failed: again a little later, with the old one in place. */
static bool reshape(fr_db *db, fr_shard *shard, uint32_t index)
{
    fr_shard_index *at = &shard->indexes[index];
    fr_table *next = fr_shard_next_of(shard, index);
    fr_table_stats stats;
    if (next == NULL) return begin(shard, index) == FR_OK;
    if (at->next.build != fr_schema_of(shard->collection)->builds[index]) return give_up(db, at);
    if (!at->next.copied) {
        fr_code code = copy_some(db, shard, at);
        atomic_store(&shard->links, true);
        fr_engine_wake(db, FR_ROLE_LINKER);
        return code == FR_OK;
    }
    fr_table_maintain(next, atomic_load_explicit(&shard->collection->visible, memory_order_relaxed));
    fr_table_stats_get(next, &stats);
    if (stats.unlinked <= UNLINKED_MAX) return swap(db, shard, at);
    int64_t until_us = db->io->mono_us(db->io) + SLICE_US;
    bool worked = false; /* not when linkers have all that is left */
    for (uint32_t i = 0; i < SLICE_ROWS && db->io->mono_us(db->io) < until_us && fr_table_help_step(next, true) != 0; i++) worked = true;
    return worked;
}

bool fr_engine_reshape_step(fr_db *db)
{
    if (!atomic_load_explicit(&db->reshape, memory_order_relaxed) || atomic_load(&db->save.state) != FR_SAVE_IDLE) return false;
    for (uint32_t i = 0; i < db->names.count; i++) {
        fr_collection *c = db->names.collections[i];
        for (uint32_t s = 0; s < atomic_load(&c->shard_count); s++)
            for (uint32_t f = 0; f < c->shards[s].index_count; f++) {
                const fr_shard_index *at = &c->shards[s].indexes[f];
                bool same = at->build == fr_schema_of(c)->builds[f] && fr_shard_next_of(&c->shards[s], f) == NULL;
                if (fr_shard_table(&c->shards[s]) == NULL || same) continue;
                return reshape(db, &c->shards[s], f);
            }
    }
    atomic_store(&db->reshape, false);
    return false;
}

void fr_engine_retired_free(fr_retired *list)
{
    while (list != NULL) {
        fr_retired *next = list->next;
        fr_table_free(list->table);
        fr_originals_free(list->originals);
        fr_free(FR_MEM_ENGINE, list);
        list = next;
    }
}
