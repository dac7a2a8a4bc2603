/* collection.c: a collection in memory, with its shards; its directories. */
#include "server/engine/engine.h"

#include <stdio.h>
#include <stdlib.h>

fr_collection *fr_engine_collection_new(fr_db *db, fr_id id, fr_schema *schema, const fr_topic_spec *spec, int64_t created_ms)
{
    static const fr_topic_spec none = {.kind = FR_TOPIC_COLLECTION};
    if (spec == NULL) spec = &none;
    if (schema == NULL) schema = fr_schema_new(NULL);
    if (schema == NULL) return NULL;
    uint32_t shards = FR_MAX(schema->def.partitions, 1u);
    uint32_t capacity = spec->kind == FR_TOPIC_PLAIN ? FR_PARTITIONS_MAX : shards; /* plain topics may get more */
    uint32_t indexes = spec->kind == FR_TOPIC_COLLECTION ? schema->vector_count : 0;
    fr_collection *c = fr_zalloc(FR_MEM_ENGINE, sizeof *c + capacity * (sizeof(fr_shard) + indexes * sizeof(fr_shard_index)));
    fr_reason reason;
    if (c == NULL || fr_configs_copy(&spec->configs, &c->configs) != FR_OK) {
        fr_schema_free(schema);
        fr_free(FR_MEM_ENGINE, c);
        return NULL;
    }
    if (fr_configs_parse(spec->kind, &c->configs, &c->limits, &reason, NULL) != FR_OK) {
        fr_configs_free(&c->configs); /* of a newer version: the defaults */
        (void)!fr_configs_parse(spec->kind, &c->configs, &c->limits, &reason, NULL);
    }
    fr_schema_json(schema, &c->limits.json);
    c->kind = spec->kind;
    c->db = db;
    fr_engine_set_durability(c, c->limits.durability);
    memcpy(c->uuid, spec->uuid, sizeof c->uuid);
    c->shard_capacity = capacity;
    pthread_mutex_init(&c->config_lock, NULL);
    c->id = id;
    atomic_init(&c->schema, schema);
    c->created_ms = created_ms;
    c->catalog_offset = -1;
    atomic_init(&c->shard_count, shards);
    atomic_init(&c->refs, 1);
    atomic_init(&c->visible, 1);
    c->commit_last = 1;
    pthread_mutex_init(&c->waiters_lock, NULL);
    for (uint32_t i = 0; i < capacity; i++) {
        fr_shard *shard = &c->shards[i];
        shard->collection = c;
        shard->partition = (int32_t)i;
        shard->index_count = indexes;
        shard->indexes = (fr_shard_index *)(void *)(c->shards + capacity) + (size_t)i * indexes;
        atomic_init(&shard->applied, -1);
        atomic_init(&shard->snapshot, -1);
        shard->oldest_at = FR_NO_MANIFEST;
        fr_event_ids_init(&shard->ids);
    }
    return c;
}

const char *fr_engine_topic_name(const fr_collection *c, char out[FR_TOPIC_NAME_SIZE])
{
    uint32_t pin = fr_engine_pin(c->db);
    memcpy(out, fr_schema_of(c)->topic, FR_TOPIC_NAME_SIZE);
    fr_engine_unpin(c->db, pin);
    return out;
}

fr_code fr_engine_shard_path(const fr_shard *shard, const char *kind, char path[FR_PATH_MAX])
{
    int size = snprintf(path, FR_PATH_MAX, "%s/%s/%llu-%d", shard->collection->db->dir, kind,
                        (unsigned long long)shard->collection->id, shard->partition);
    return size > 0 && (size_t)size < FR_PATH_MAX ? FR_OK : FR_ERR_INVALID;
}

/* A collection's log is compacted; a plain topic's configs say what its log does. */
void fr_engine_log_options(fr_shard *shard, fr_log_options *out)
{
    fr_topic_limits limits;
    *out = (fr_log_options){.segment_bytes = FR_SEGMENT_BYTES,
                            .segment_ms = -1,
                            .retention_ms = -1,
                            .retention_bytes = -1,
                            .compact = true};
    if (shard->collection->kind == FR_TOPIC_COLLECTION) return;
    fr_engine_limits(shard->collection, &limits);
    out->segment_bytes = (uint64_t)FR_MAX(limits.segment_bytes, (int64_t)FR_SEGMENT_BYTES_LEAST);
    if (shard->collection->kind == FR_TOPIC_INTERNAL) /* they are read whole at a start: compacted early */
        out->segment_bytes = FR_MIN(out->segment_bytes, (uint64_t)FR_INTERNAL_SEGMENT_BYTES);
    out->segment_ms = limits.segment_ms;
    out->compact = false;
    if (limits.expires) {
        out->retention_ms = limits.retention_ms == 0 ? 1 : limits.retention_ms;
        out->retention_bytes = limits.retention_bytes;
    }
    out->delete_retention_ms = FR_MAX(limits.delete_retention_ms, (int64_t)1);
}

fr_code fr_engine_shard_open_log(fr_shard *shard, fr_err *err)
{
    fr_db *db = shard->collection->db;
    char path[FR_PATH_MAX];
    fr_log *log = NULL;
    fr_log_options options;
    fr_engine_log_options(shard, &options);
    FR_TRY(fr_engine_shard_path(shard, "log", path));
    FR_TRY(fr_log_open(db->io, path, &options, &log, err));
    atomic_store_explicit(&shard->log, log, memory_order_release);
    return FR_OK;
}

fr_offset fr_engine_durable(const fr_shard *shard)
{
    fr_log *log = fr_shard_log(shard);
    return log != NULL ? fr_log_durable(log) - 1 : -1;
}

typedef struct name_list {
    fr_arena arena;
    struct name_item {
        struct name_item *next;
        char name[256];
    } * head;
    fr_code code;
} name_list;

static void collect_name(void *user, const char *name)
{
    name_list *list = user;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return;
    struct name_item *item = fr_arena_alloc(&list->arena, sizeof *item);
    if (item == NULL) {
        list->code = FR_ERR_NO_MEMORY;
        return;
    }
    snprintf(item->name, sizeof item->name, "%s", name);
    item->next = list->head;
    list->head = item;
}

fr_code fr_engine_remove_dir(fr_io *io, const char *path, fr_err *err)
{
    name_list list = {.head = NULL, .code = FR_OK};
    fr_arena_init(&list.arena, FR_MEM_ENGINE, 0);
    fr_code code = io->list(io, path, collect_name, &list, err);
    if (code == FR_OK) code = list.code;
    for (struct name_item *item = list.head; item != NULL && code == FR_OK; item = item->next) {
        char file[FR_PATH_MAX + 260];
        snprintf(file, sizeof file, "%s/%s", path, item->name);
        code = io->remove(io, file, err);
    }
    fr_arena_free(&list.arena);
    if (code == FR_OK) code = io->remove(io, path, err);
    return code == FR_ERR_NOT_FOUND ? FR_OK : code;
}

static void remove_shard_files(fr_shard *shard)
{
    fr_io *io = shard->collection->db->io;
    char path[FR_PATH_MAX];
    fr_err err = {0};
    fr_code code = FR_OK;
    if (fr_engine_shard_path(shard, "snap", path) == FR_OK) code = fr_engine_remove_dir(io, path, &err);
    if (code == FR_OK && fr_engine_shard_path(shard, "log", path) == FR_OK) {
        code = fr_log_destroy(io, path, &err);
        if (code == FR_ERR_NOT_FOUND) code = FR_OK;
    }
    if (code != FR_OK) /* the next start removes what is left */
        fr_note(FR_NOTE_WARN, "event=drop_files collection=%llu partition=%d code=%s text=\"%s\"",
                (unsigned long long)shard->collection->id, shard->partition, fr_strcode(code), err.text);
}

void fr_engine_collection_free(fr_collection *c, bool remove_files)
{
    if (c == NULL) return;
    for (uint32_t i = 0; i < c->shard_capacity; i++) {
        fr_shard *shard = &c->shards[i];
        fr_log_close(fr_shard_log(shard));
        fr_producers_free(fr_shard_producers(shard));
        fr_free(FR_MEM_ENGINE, shard->waiting);
        for (uint32_t f = 0; f < shard->index_count; f++) {
            fr_table_free(fr_shard_table_of(shard, f));
            fr_originals_free(shard->indexes[f].originals);
            fr_table_free(atomic_load(&shard->indexes[f].next.table));
            fr_originals_free(shard->indexes[f].next.originals);
        }
        fr_snapshot_source_free(shard->source);
        fr_manifest_free(shard->newest);
        fr_event_ids_free(&shard->ids);
        fr_free(FR_MEM_ENGINE, shard->vector_scratch);
        if (remove_files) remove_shard_files(shard);
    }
    pthread_mutex_destroy(&c->waiters_lock);
    pthread_mutex_destroy(&c->config_lock);
    fr_configs_free(&c->configs);
    fr_schema_free(fr_schema_of(c));
    fr_free(FR_MEM_ENGINE, c);
}

