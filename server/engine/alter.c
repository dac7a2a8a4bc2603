/* alter.c: collections are changed, databases made: what the writer plans becomes records of the catalog. */
#include "server/engine/engine.h"

#include <stdio.h>

static fr_code check_name(const fr_map *map, const fr_collection *c, const fr_schema *before, const fr_schema *after, fr_err *err)
{
    if (strcmp(before->topic, after->topic) == 0 && strcmp(before->def.database, after->def.database) == 0) return FR_OK;
    FR_TRY(fr_engine_name_free(map, after->def.database, after->def.name, err));
    if (strcmp(before->def.database, after->def.database) == 0) return FR_OK;
    for (uint32_t i = 0; i < map->alias_count; i++)
        if (map->aliases[i].id == c->id)
            return fr_fail(err, FR_ERR_INVALID, "database", "alias '%s' names the collection: drop it before the move",
                           map->aliases[i].name);
    return FR_OK;
}

/* Behind the barrier of the collection: nothing is between the logs' ends and what is applied. */
fr_code fr_engine_plan_alter(fr_db *db, const fr_map *map, fr_write *write, fr_batch *batch, fr_err *err)
{
    fr_offset ends[FR_PARTITIONS_MAX];
    fr_collection *c = fr_map_by_id(map, write->id);
    (void)db;
    if (c == NULL || c->kind != FR_TOPIC_COLLECTION || atomic_load(&c->dropped))
        return fr_fail(err, FR_ERR_NOT_FOUND, "collection", "there is no such collection");
    const fr_schema *before = fr_schema_of(c);
    if (write->change->if_version != 0 && write->change->if_version != before->version)
        return fr_fail(err, FR_ERR_BUSY, "version", "the collection was changed meanwhile");
    for (uint32_t i = 0; i < c->shard_count; i++) {
        fr_log *log = fr_shard_log(&c->shards[i]);
        ends[i] = log != NULL ? fr_log_end(log) : 0;
    }
    fr_schema *after = fr_schema_copy(before);
    if (after == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory");
    fr_code code = fr_engine_change(after, write->change, ends, err);
    if (code == FR_OK) code = check_name(map, c, before, after, err);
    if (code == FR_OK) code = fr_engine_put_again(batch, c, after, &c->configs, c->shard_count, err);
    fr_schema_free(after);
    return code;
}

fr_code fr_engine_plan_database(const fr_map *map, fr_write *write, fr_batch *batch, fr_err *err)
{
    char key[32];
    const fr_database *found = fr_map_database(map, write->name);
    fr_id id = found != NULL ? found->id : map->next_id;
    snprintf(key, sizeof key, "d/%llu", (unsigned long long)id);
    if (write->kind == FR_WRITE_DATABASE_DROP) {
        if (found == NULL) return fr_fail(err, FR_ERR_NOT_FOUND, "database", "there is no database '%s'", write->name);
        for (uint32_t i = 0; i < map->count; i++)
            if (strcmp(map->by_name[i].schema->def.database, write->name) == 0)
                return fr_fail(err, FR_ERR_INVALID, "database", "database '%s' holds collections", write->name);
        return fr_engine_put_end(batch, key, err);
    }
    if (found != NULL && write->create_only) return fr_fail(err, FR_ERR_EXISTS, "database", "'%s' exists already", write->name);
    if (found == NULL && map->database_count >= FR_DATABASES_MAX)
        return fr_fail(err, FR_ERR_TOO_LARGE, "database", "there are %u databases: that is the limit", FR_DATABASES_MAX);
    fr_doc_builder b = {0};
    fr_doc_begin_object(&b);
    fr_doc_put_key(&b, "name", 4);
    fr_doc_put_string(&b, write->name, strlen(write->name));
    fr_doc_end_object(&b);
    fr_code code = fr_engine_put_attributed(batch, key, &b, write->attributes, err);
    fr_doc_free(&b);
    write->id = id;
    if (code == FR_OK && found == NULL) code = fr_engine_put_next_id(batch, map->next_id + 1, err);
    return code;
}
