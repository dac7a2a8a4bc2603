/* lookup.c: names, lists and figures of collections; text to vectors. Readers of the catalog's map: no lock. */
#include "server/engine/engine.h"

#include <stdio.h>

fr_code fr_resolve(fr_db *db, const char *name, fr_id *id_out)
{
    uint32_t pin = fr_engine_pin(db);
    const fr_map *map = atomic_load(&db->map);
    const fr_collection *c = fr_map_by_name(map, "", name);
    const fr_alias *alias = c == NULL ? fr_map_alias(map, "", name) : NULL;
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
    if (table == NULL || !fr_table_recall_measured(table, FR_EF_DEFAULT, &near, &strict)) return;
    bool first = !(info->recall_measured > 0);
    info->recall_measured = first ? near : FR_MIN(info->recall_measured, near);
    info->recall_measured_strict = first ? strict : FR_MIN(info->recall_measured_strict, strict);
}

fr_code fr_collection_get(fr_db *db, fr_id id, fr_collection_info *info)
{
    fr_collection *c = fr_engine_collection_ref(db, id);
    if (c == NULL) return FR_ERR_NOT_FOUND;
    *info = (fr_collection_info){
        .id = c->id, .created_ms = c->created_ms, .partition_count = c->shard_count};
    uint32_t pin = fr_engine_pin(db);
    info->def = fr_schema_of(c)->def;
    fr_engine_unpin(db, pin);
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
        if (map->by_name[i].collection->kind != FR_TOPIC_COLLECTION) continue;
        if (count < max) ids[count] = map->by_name[i].collection->id;
        count++;
    }
    fr_engine_unpin(db, pin);
    return count;
}

fr_code fr_alias_get(fr_db *db, const char *name, char *name_out, size_t size)
{
    uint32_t pin = fr_engine_pin(db);
    const fr_map *map = atomic_load(&db->map);
    const fr_alias *alias = fr_map_alias(map, "", name);
    const fr_collection *c = alias != NULL ? fr_map_by_id(map, alias->id) : NULL;
    fr_code code = FR_OK;
    if (c == NULL) code = FR_ERR_NOT_FOUND;
    else if (strlen(fr_schema_of(c)->def.name) >= size) code = FR_ERR_TOO_LARGE;
    else snprintf(name_out, size, "%s", fr_schema_of(c)->def.name);
    fr_engine_unpin(db, pin);
    return code;
}

uint32_t fr_alias_list(fr_db *db, void (*each)(void *user, const char *alias, const char *collection), void *user)
{
    uint32_t pin = fr_engine_pin(db), count = 0;
    const fr_map *map = atomic_load(&db->map);
    for (uint32_t i = 0; i < map->alias_count; i++) {
        const fr_collection *c = fr_map_by_id(map, map->aliases[i].id);
        if (map->aliases[i].database[0] != 0 || c == NULL) continue;
        if (each != NULL) each(user, map->aliases[i].name, fr_schema_of(c)->def.name);
        count++;
    }
    fr_engine_unpin(db, pin);
    return count;
}

uint32_t fr_alias_list_in(fr_db *db, const char *database, void (*each)(void *user, const char *alias, fr_id collection), void *user)
{
    uint32_t pin = fr_engine_pin(db), count = 0;
    const fr_map *map = atomic_load(&db->map);
    database = fr_database_name(database);
    for (uint32_t i = 0; i < map->alias_count; i++) {
        if (strcmp(map->aliases[i].database, database) != 0) continue;
        if (each != NULL) each(user, map->aliases[i].name, map->aliases[i].id);
        count++;
    }
    fr_engine_unpin(db, pin);
    return count;
}

fr_code fr_resolve_in(fr_db *db, const char *database, const char *name, fr_id *id_out, uint64_t *version_out, fr_err *err)
{
    uint32_t pin = fr_engine_pin(db);
    const fr_map *map = atomic_load(&db->map);
    const fr_collection *c = fr_map_by_name(map, database, name);
    const fr_alias *alias = c == NULL ? fr_map_alias(map, database, name) : NULL;
    if (alias != NULL) c = fr_map_by_id(map, alias->id);
    bool known = fr_database_name(database)[0] == 0 || fr_map_database(map, database) != NULL;
    *id_out = c != NULL ? c->id : 0;
    if (version_out != NULL) *version_out = c != NULL ? fr_schema_of(c)->version : 0;
    fr_engine_unpin(db, pin);
    if (!known) return fr_fail(err, FR_ERR_NOT_FOUND, "database", "there is no database '%.200s'", database);
    return *id_out != 0 ? FR_OK : fr_fail(err, FR_ERR_NOT_FOUND, "collection", "there is no collection '%.200s'", name);
}

fr_code fr_collection_attributes(fr_db *db, fr_id id, fr_span *bytes_out)
{
    uint32_t pin = fr_engine_pin(db);
    const fr_collection *c = fr_map_by_id(atomic_load(&db->map), id);
    fr_code code = c != NULL && c->kind == FR_TOPIC_COLLECTION ? FR_OK : FR_ERR_NOT_FOUND;
    fr_span attributes = code == FR_OK ? fr_schema_of(c)->attributes : (fr_span){NULL, 0};
    void *copy = attributes.size != 0 ? fr_alloc(FR_MEM_ENGINE, attributes.size) : NULL;
    if (copy != NULL) memcpy(copy, attributes.data, attributes.size);
    else if (attributes.size != 0) code = FR_ERR_NO_MEMORY;
    *bytes_out = (fr_span){copy, copy != NULL ? attributes.size : 0};
    fr_engine_unpin(db, pin);
    return code;
}

void fr_bytes_free(fr_span bytes) { fr_free(FR_MEM_ENGINE, (void *)(uintptr_t)bytes.data); }

uint32_t fr_database_list(fr_db *db, void (*each)(void *user, const char *name, fr_id id, fr_span attributes), void *user)
{
    uint32_t pin = fr_engine_pin(db);
    const fr_map *map = atomic_load(&db->map);
    uint32_t count = map->database_count;
    for (uint32_t i = 0; i < count && each != NULL; i++)
        each(user, map->databases[i].name, map->databases[i].id, map->databases[i].attributes);
    fr_engine_unpin(db, pin);
    return count;
}

fr_code fr_embed(fr_db *db, fr_id id, fr_span text, float *out, fr_err *err)
{
    fr_collection *c = fr_engine_collection_ref(db, id);
    if (c == NULL) return fr_fail(err, FR_ERR_NOT_FOUND, "collection", "there is no such collection");
    uint32_t pin = fr_engine_pin(db);
    const fr_schema *schema = fr_schema_of(c);
    fr_code code = schema->def.embedder[0] != 0
                       ? fr_engine_embed_hash(text, schema->vectors[0]->dimension, out, err)
                       : fr_fail(err, FR_ERR_UNSUPPORTED, "text", "collection '%s' has no embedder", schema->def.name);
    fr_engine_unpin(db, pin);
    fr_engine_unref(c);
    return code;
}
