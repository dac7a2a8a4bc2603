/* reshape.c: a vector field's index was ordered anew (another metric, m, codes ...): its table is made from the rows of the old one, and
 * takes its place; searches go on in the old one meanwhile. Applier thread, between commits: what is live at `visible` is all there is.
 * The snapshot of the old shape is not loaded again (builds in the manifest), so the next one is taken at once. */
#include "server/engine/engine.h"

#include "simd/simd.h"

typedef struct filling {
    const fr_table *from;
    fr_table *to;
    void *vector;
    uint64_t commit;
    bool directed;
    fr_code code;
} filling;

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
        if (f->directed && fr_simd_norm_squared(f->vector, options->dimension) < 1e-30) data.vector = NULL; /* as apply does */
    }
    f->code = fr_table_put(f->to, &data, f->commit, &result, NULL);
    return f->code == FR_OK;
}

static fr_code fill(fr_db *db, fr_shard *shard, const fr_table *from, fr_table *to)
{
    const fr_table_options *options = fr_table_settings(to);
    bool dense = options->type != FR_TYPE_VECTOR_BINARY && options->type != FR_TYPE_VECTOR_SPARSE;
    filling f = {.from = from, .to = to, .directed = dense && options->metric == FR_METRIC_COSINE};
    fr_scratch *scratch = NULL;
    uint32_t row = 0;
    (void)db;
    f.commit = atomic_load_explicit(&shard->collection->visible, memory_order_relaxed);
    f.vector = fr_alloc(FR_MEM_ENGINE, FR_MAX(options->dimension, 1u) * sizeof(float));
    f.code = f.vector != NULL ? fr_scratch_create(&scratch) : FR_ERR_NO_MEMORY;
    if (f.code == FR_OK) {
        fr_table_enter(from, scratch);
        (void)!fr_table_scan(from, &row, UINT32_MAX, f.commit, fill_row, &f);
        fr_table_leave(from, scratch);
    }
    if (scratch != NULL) fr_scratch_free(scratch);
    fr_free(FR_MEM_ENGINE, f.vector);
    return f.code;
}

/* NO_MEMORY leaves the old one: again a little later. */
static fr_code reshape(fr_db *db, fr_shard *shard, uint32_t index)
{
    fr_shard_index *at = &shard->indexes[index];
    fr_table_options options;
    fr_table *table = NULL;
    fr_retired *old = fr_zalloc(FR_MEM_ENGINE, sizeof *old);
    if (old == NULL) return FR_ERR_NO_MEMORY;
    *old = (fr_retired){.table = fr_shard_table_of(shard, index), .originals = at->originals};
    at->originals = NULL;
    fr_code code = fr_engine_table_options(shard, index, &options);
    if (code == FR_OK) code = fr_table_create(&options, &table, NULL);
    if (code == FR_OK) code = fill(db, shard, old->table, table);
    if (code != FR_OK) {
        fr_table_free(table);
        fr_originals_free(at->originals);
        at->originals = old->originals;
        fr_free(FR_MEM_ENGINE, old);
        return code;
    }
    at->build = fr_schema_of(shard->collection)->builds[index];
    atomic_store(&at->table, table); /* pairs with the second look in fr_query_enter */
    atomic_store(&shard->reshaped, true);
    atomic_store(&shard->links, true);
    pthread_mutex_lock(&db->garbage_lock);
    old->next = db->garbage_tables;
    db->garbage_tables = old;
    pthread_mutex_unlock(&db->garbage_lock);
    fr_engine_refresh(shard);
    fr_engine_wake(db, FR_ROLE_LINKER);
    fr_engine_wake(db, FR_ROLE_KEEPER);
    return FR_OK;
}

bool fr_engine_reshape_step(fr_db *db)
{
    if (!atomic_load_explicit(&db->reshape, memory_order_relaxed) || atomic_load(&db->save.state) != FR_SAVE_IDLE) return false;
    for (uint32_t i = 0; i < db->names.count; i++) {
        fr_collection *c = db->names.collections[i];
        for (uint32_t s = 0; s < atomic_load(&c->shard_count); s++)
            for (uint32_t f = 0; f < c->shards[s].index_count; f++) {
                if (fr_shard_table(&c->shards[s]) == NULL || c->shards[s].indexes[f].build == fr_schema_of(c)->builds[f]) continue;
                return reshape(db, &c->shards[s], f) == FR_OK;
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
