/* lookup.c: names, lists and figures of collections; text to vectors. Readers of the catalog's map: no lock. */
#include "server/engine/engine.h"

#include <stdio.h>

fr_code fr_resolve(fr_db *db, const char *name, fr_id *id_out)
{
    uint32_t pin = fr_engine_pin(db);
    const fr_map *map = atomic_load(&db->map);
    const fr_collection *c = fr_map_by_name(map, name);
    if (c != NULL && c->kind != FR_TOPIC_COLLECTION) c = NULL;
    const fr_alias *alias = c == NULL ? fr_map_alias(map, name) : NULL;
    *id_out = c != NULL ? c->id : alias != NULL ? alias->id : 0;
    fr_engine_unpin(db, pin);
    return *id_out != 0 ? FR_OK : FR_ERR_NOT_FOUND;
}

static void fill_shard(fr_shard *shard, uint32_t at, fr_collection_info *info)
{
    fr_log *log = fr_shard_log(shard);
    struct fr_partition_info *p = &info->partitions[at];
    *p = (struct fr_partition_info){.start = log != NULL ? fr_log_start(log) : 0,
                                    .end = log != NULL ? fr_log_end(log) : 0,
                                    .durable = fr_engine_durable(shard),
                                    .applied = atomic_load(&shard->applied),
                                    .snapshot = atomic_load(&shard->snapshot)};
    if (log != NULL) info->log_bytes += fr_log_bytes(log);
    info->snapshot_bytes += atomic_load_explicit(&shard->snapshot_bytes, memory_order_relaxed);
    info->unlinked += atomic_load_explicit(&shard->unlinked, memory_order_relaxed);
    info->deleted_unreclaimed += atomic_load_explicit(&shard->dead, memory_order_relaxed);
    info->index_bytes += atomic_load_explicit(&shard->index_bytes, memory_order_relaxed);
    const fr_table *table = fr_shard_table(shard);
    float near, strict;
    if (table != NULL && fr_table_recall_measured(table, FR_EF_DEFAULT, &near, &strict))
        info->recall_measured = info->recall_measured > 0 ? FR_MIN(info->recall_measured, near) : near;
}

fr_code fr_collection_get(fr_db *db, fr_id id, fr_collection_info *info)
{
    fr_collection *c = fr_engine_collection_ref(db, id);
    if (c == NULL) return FR_ERR_NOT_FOUND;
    *info = (fr_collection_info){
        .id = c->id, .def = c->def, .created_ms = c->created_ms, .partition_count = c->shard_count};
    info->count = (uint64_t)FR_MAX(atomic_load_explicit(&c->count, memory_order_relaxed), 0);
    info->state = (fr_code)atomic_load_explicit(&c->state, memory_order_acquire);
    if (info->state == FR_OK) info->state = (fr_code)atomic_load_explicit(&db->state, memory_order_relaxed);
    info->freshness_p50_ms = fr_histogram_ms(&c->freshness, 0.50);
    info->freshness_p99_ms = fr_histogram_ms(&c->freshness, 0.99);
    for (uint32_t i = 0; i < c->shard_count; i++) fill_shard(&c->shards[i], i, info);
    fr_engine_unref(c);
    return FR_OK;
}

uint32_t fr_collection_list(fr_db *db, fr_id *ids, uint32_t max)
{
    uint32_t pin = fr_engine_pin(db);
    const fr_map *map = atomic_load(&db->map);
    uint32_t count = 0;
    for (uint32_t i = 0; i < map->count; i++) {
        if (map->by_name[i]->kind != FR_TOPIC_COLLECTION) continue;
        if (count < max) ids[count] = map->by_name[i]->id;
        count++;
    }
    fr_engine_unpin(db, pin);
    return count;
}

fr_code fr_alias_get(fr_db *db, const char *name, char *name_out, size_t size)
{
    uint32_t pin = fr_engine_pin(db);
    const fr_map *map = atomic_load(&db->map);
    const fr_alias *alias = fr_map_alias(map, name);
    const fr_collection *c = alias != NULL ? fr_map_by_id(map, alias->id) : NULL;
    fr_code code = FR_OK;
    if (c == NULL) code = FR_ERR_NOT_FOUND;
    else if (strlen(c->def.name) >= size) code = FR_ERR_TOO_LARGE;
    else snprintf(name_out, size, "%s", c->def.name);
    fr_engine_unpin(db, pin);
    return code;
}

uint32_t fr_alias_list(fr_db *db, void (*each)(void *user, const char *alias, const char *collection), void *user)
{
    uint32_t pin = fr_engine_pin(db);
    const fr_map *map = atomic_load(&db->map);
    uint32_t count = map->alias_count;
    for (uint32_t i = 0; i < count && each != NULL; i++) {
        const fr_collection *c = fr_map_by_id(map, map->aliases[i].id);
        if (c != NULL) each(user, map->aliases[i].name, c->def.name);
    }
    fr_engine_unpin(db, pin);
    return count;
}

fr_code fr_embed(fr_db *db, fr_id id, fr_span text, float *out, fr_err *err)
{
    fr_collection *c = fr_engine_collection_ref(db, id);
    if (c == NULL) return fr_fail(err, FR_ERR_NOT_FOUND, "collection", "there is no such collection");
    fr_code code = c->def.embedder[0] != 0
                       ? fr_engine_embed_hash(text, c->vector->dimension, out, err)
                       : fr_fail(err, FR_ERR_UNSUPPORTED, "text", "collection '%s' has no embedder", c->def.name);
    fr_engine_unref(c);
    return code;
}
