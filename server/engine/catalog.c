/* catalog.c: which collections and aliases exist: records of the internal topic 1, and the immutable map that readers
 * use. Records: key "c/<id>" = a collection (binary v1 with one JSON document: README.md), "a/<alias>" = {"id"}, "n" =
 * {"next"}; a tombstone ends a collection or an alias. One catalog change is in flight at a time, so the writer may
 * decide on the map. */
#include "server/engine/engine.h"

#include <stdio.h>
#include <stdlib.h>

/* ==== collections ==== */

fr_collection *fr_engine_collection_new(fr_db *db, fr_id id, const fr_collection_def *def, const fr_topic_spec *spec,
                                        int64_t created_ms)
{
    static const fr_topic_spec none = {.kind = FR_TOPIC_COLLECTION};
    if (spec == NULL) spec = &none;
    uint32_t shards = FR_MAX(def->partitions, 1u);
    uint32_t capacity = spec->kind == FR_TOPIC_PLAIN ? FR_PARTITIONS_MAX : shards; /* plain topics may get more */
    fr_collection *c = fr_zalloc(FR_MEM_ENGINE, sizeof *c + capacity * sizeof(fr_shard));
    fr_reason reason;
    if (c == NULL) return NULL;
    if (fr_configs_copy(&spec->configs, &c->configs) != FR_OK) {
        fr_free(FR_MEM_ENGINE, c);
        return NULL;
    }
    if (fr_configs_parse(spec->kind, &c->configs, &c->limits, &reason, NULL) != FR_OK) {
        fr_configs_free(&c->configs); /* of a newer version: the defaults */
        (void)!fr_configs_parse(spec->kind, &c->configs, &c->limits, &reason, NULL);
    }
    c->kind = spec->kind;
    c->db = db;
    fr_engine_set_durability(c, c->limits.durability);
    memcpy(c->uuid, spec->uuid, sizeof c->uuid);
    c->shard_capacity = capacity;
    pthread_mutex_init(&c->config_lock, NULL);
    c->id = id;
    c->db = db;
    c->def = *def;
    c->created_ms = created_ms;
    c->catalog_offset = -1;
    atomic_init(&c->shard_count, shards);
    c->filter_schema = (fr_filter_schema){.key_name = "id", .id_type = def->id_type, .fields = c->def.fields, .field_count = c->def.field_count,
                                          .no_dynamic = def->no_dynamic};
    for (uint32_t i = 0; i < c->def.field_count; i++) {
        if (fr_vector_bytes(c->def.fields[i].type, 1) != 0) c->vector = &c->def.fields[i];
        if (c->def.fields[i].primary) c->filter_schema.key_name = c->def.fields[i].name;
    }
    atomic_init(&c->refs, 1);
    atomic_init(&c->visible, 1);
    c->commit_last = 1;
    pthread_mutex_init(&c->waiters_lock, NULL);
    for (uint32_t i = 0; i < capacity; i++) {
        fr_shard *shard = &c->shards[i];
        shard->collection = c;
        shard->partition = (int32_t)i;
        atomic_init(&shard->applied, -1);
        atomic_init(&shard->snapshot, -1);
        shard->oldest_at = FR_NO_MANIFEST;
        fr_event_ids_init(&shard->ids);
    }
    return c;
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
        fr_table_free(fr_shard_table(shard));
        fr_originals_free(shard->originals);
        fr_snapshot_source_free(shard->source);
        fr_manifest_free(shard->newest);
        fr_event_ids_free(&shard->ids);
        fr_free(FR_MEM_ENGINE, shard->vector_scratch);
        if (remove_files) remove_shard_files(shard);
    }
    pthread_mutex_destroy(&c->waiters_lock);
    pthread_mutex_destroy(&c->config_lock);
    fr_configs_free(&c->configs);
    fr_free(FR_MEM_ENGINE, c);
}

/* ==== the map ==== */

fr_collection *fr_map_by_id(const fr_map *map, fr_id id)
{
    uint32_t low = 0, high = map->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (map->by_id[middle]->id < id) low = middle + 1;
        else high = middle;
    }
    return low < map->count && map->by_id[low]->id == id ? map->by_id[low] : NULL;
}

fr_collection *fr_map_by_name(const fr_map *map, const char *name)
{
    uint32_t low = 0, high = map->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = strcmp(map->by_name[middle]->def.name, name);
        if (order == 0) return map->by_name[middle];
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return NULL;
}

const fr_alias *fr_map_alias(const fr_map *map, const char *name)
{
    uint32_t low = 0, high = map->alias_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = strcmp(map->aliases[middle].name, name);
        if (order == 0) return &map->aliases[middle];
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return NULL;
}

static int order_by_id(const void *a, const void *b)
{
    fr_id x = (*(fr_collection *const *)a)->id, y = (*(fr_collection *const *)b)->id;
    return (x > y) - (x < y);
}

static int order_by_name(const void *a, const void *b)
{
    return strcmp((*(fr_collection *const *)a)->def.name, (*(fr_collection *const *)b)->def.name);
}

static int order_aliases(const void *a, const void *b)
{
    return strcmp(((const fr_alias *)a)->name, ((const fr_alias *)b)->name);
}

void fr_engine_map_free(fr_map *map)
{
    if (map != NULL) fr_engine_access_map_drop(map->access);
    fr_free(FR_MEM_ENGINE, map);
}

fr_code fr_engine_catalog_publish(fr_db *db)
{
    fr_map *old = atomic_load(&db->map);
    if (old != NULL && !db->names.changed) return FR_OK;
    uint32_t count = db->names.count, aliases = db->names.alias_count;
    fr_map *map = fr_zalloc(FR_MEM_ENGINE,
                            sizeof *map + 2 * (size_t)count * sizeof(fr_collection *) + aliases * sizeof(fr_alias));
    if (map == NULL) return FR_ERR_NO_MEMORY;
    map->next_id = db->names.next_id;
    map->next_id_offset = db->names.next_id_offset;
    map->count = count;
    map->alias_count = aliases;
    map->by_id = (fr_collection **)(void *)(map + 1);
    map->by_name = map->by_id + count;
    map->aliases = (fr_alias *)(void *)(map->by_name + count);
    if (count != 0) {
        memcpy(map->by_id, db->names.collections, count * sizeof(fr_collection *));
        memcpy(map->by_name, db->names.collections, count * sizeof(fr_collection *));
        qsort(map->by_id, count, sizeof(fr_collection *), order_by_id);
        qsort(map->by_name, count, sizeof(fr_collection *), order_by_name);
    }
    if (aliases != 0) {
        memcpy(map->aliases, db->names.aliases, aliases * sizeof(fr_alias));
        qsort(map->aliases, aliases, sizeof(fr_alias), order_aliases);
    }
    if (fr_engine_access_publish(db, old, map) != FR_OK) {
        fr_free(FR_MEM_ENGINE, map);
        return FR_ERR_NO_MEMORY;
    }
    atomic_store(&db->map, map); /* pairs with the load after fr_engine_pin */
    db->names.changed = false;
    pthread_mutex_lock(&db->garbage_lock);
    if (old != NULL) {
        old->garbage_next = db->garbage_maps;
        db->garbage_maps = old;
    }
    fr_collection *dropped = db->names.dropped;
    db->names.dropped = NULL;
    for (fr_collection *c = dropped, *next; c != NULL; c = next) {
        next = c->garbage_next;
        atomic_store(&c->dropped, true);
        fr_engine_ref(c); /* for the line below: the keeper may be fast */
        c->garbage_next = db->garbage_collections;
        db->garbage_collections = c;
        pthread_mutex_unlock(&db->garbage_lock);
        fr_engine_waiters_fire(c, FR_ERR_NOT_FOUND);
        pthread_mutex_lock(&db->garbage_lock);
        fr_engine_unref(c);
    }
    pthread_mutex_unlock(&db->garbage_lock);
    fr_engine_wake(db, FR_ROLE_KEEPER);
    return FR_OK;
}

/* ==== records ==== */

static void put_text(fr_doc_builder *b, const char *key, const char *text)
{
    fr_doc_put_key(b, key, strlen(key));
    fr_doc_put_string(b, text, strlen(text));
}

static void put_int(fr_doc_builder *b, const char *key, int64_t value)
{
    fr_doc_put_key(b, key, strlen(key));
    fr_doc_put_int(b, value);
}

static void encode_spec(fr_doc_builder *b, const fr_topic_spec *spec)
{
    static const char digits[] = "0123456789abcdef";
    char uuid[33] = "";
    const char *name, *value;
    for (uint32_t i = 0; i < 16; i++) {
        uuid[i * 2] = digits[spec->uuid[i] >> 4];
        uuid[i * 2 + 1] = digits[spec->uuid[i] & 15];
    }
    put_int(b, "kind", (int64_t)spec->kind);
    put_text(b, "uuid", uuid);
    fr_doc_put_key(b, "configs", 7);
    fr_doc_begin_object(b);
    for (size_t at = 0; fr_configs_next(&spec->configs, &at, &name, &value);) put_text(b, name, value);
    fr_doc_end_object(b);
}

static void encode_collection(fr_doc_builder *b, fr_id id, const fr_collection_def *def, const fr_topic_spec *spec,
                              uint32_t partitions, int64_t created_ms)
{
    fr_doc_begin_object(b);
    put_int(b, "id", (int64_t)id);
    put_text(b, "database", def->database);
    put_text(b, "name", def->name);
    put_int(b, "id_type", (int64_t)def->id_type);
    encode_spec(b, spec);
    put_int(b, "partitions", partitions);
    put_int(b, "drop_stale", def->drop_stale);
    put_text(b, "embedder", def->embedder);
    put_int(b, "created_ms", created_ms);
    fr_doc_put_key(b, "indexed", 7);
    fr_doc_begin_array(b);
    for (uint32_t i = 0; i < def->indexed_count; i++) fr_doc_put_string(b, def->indexed[i], strlen(def->indexed[i]));
    fr_doc_end_array(b);
    fr_doc_put_key(b, "fields", 6);
    fr_doc_begin_array(b);
    for (uint32_t i = 0; i < def->field_count; i++) {
        const fr_field_def *f = &def->fields[i];
        fr_doc_begin_object(b);
        put_int(b, "id", f->id);
        put_text(b, "name", f->name);
        put_int(b, "type", (int64_t)f->type);
        put_int(b, "dimension", f->dimension);
        put_int(b, "max_length", f->max_length);
        put_int(b, "primary", f->primary);
        put_int(b, "nullable", f->nullable);
        put_int(b, "metric", (int64_t)f->metric);
        put_int(b, "codes", (int64_t)f->codes);
        put_int(b, "m", f->m);
        put_int(b, "ef_construction", f->ef_construction);
        put_int(b, "profile", (int64_t)f->profile);
        put_int(b, "vectors", (int64_t)f->vectors);
        fr_doc_end_object(b);
    }
    fr_doc_end_array(b);
    fr_doc_end_object(b);
}

static bool get_int(fr_doc object, const char *key, int64_t low, int64_t high, int64_t *out)
{
    fr_doc value = fr_doc_get(object, fr_span_text(key));
    if (value.data == NULL || fr_doc_type(value) != FR_DOC_INT) return false;
    *out = fr_doc_int(value);
    return *out >= low && *out <= high;
}

static bool get_text(fr_doc object, const char *key, char *out, size_t size)
{
    fr_doc value = fr_doc_get(object, fr_span_text(key));
    if (value.data == NULL || fr_doc_type(value) != FR_DOC_STRING) return false;
    fr_span text = fr_doc_string(value);
    if (text.size >= size || memchr(text.data, 0, text.size) != NULL) return false;
    memcpy(out, text.data, text.size);
    out[text.size] = 0;
    return true;
}

/* Absent in records of earlier versions: then 0. */
static bool get_later_int(fr_doc object, const char *key, int64_t high, int64_t *out)
{
    *out = 0;
    return fr_doc_get(object, fr_span_text(key)).data == NULL || get_int(object, key, 0, high, out);
}

static bool decode_field(fr_doc object, fr_field_def *out)
{
    int64_t id, type, dimension, max_length, primary, nullable, metric, codes, m, ef, profile, vectors;
    *out = (fr_field_def){.id = 0};
    if (!get_int(object, "id", 1, FR_FIELD_DYNAMIC, &id) || !get_text(object, "name", out->name, sizeof out->name) ||
        !get_int(object, "type", 0, 200, &type) || !get_int(object, "dimension", 0, FR_DIMENSION_BITS_MAX, &dimension) ||
        !get_int(object, "max_length", 0, UINT32_MAX, &max_length) || !get_int(object, "primary", 0, 1, &primary) ||
        !get_int(object, "nullable", 0, 1, &nullable) || !get_int(object, "metric", 0, FR_METRIC_BM25, &metric) ||
        !get_int(object, "codes", 0, FR_CODES_NONE, &codes) || !get_int(object, "m", 0, FR_M_MAX, &m) ||
        !get_int(object, "ef_construction", 0, FR_EF_CONSTRUCTION_MAX, &ef) ||
        !get_later_int(object, "profile", FR_PROFILE_COMPACT, &profile) ||
        !get_later_int(object, "vectors", FR_VECTORS_DISK, &vectors))
        return false;
    out->id = (uint16_t)id;
    out->type = (fr_type)type;
    out->dimension = (uint32_t)dimension;
    out->max_length = (uint32_t)max_length;
    out->primary = primary != 0;
    out->nullable = nullable != 0;
    out->metric = (fr_metric)metric;
    out->codes = (fr_codes)codes;
    out->m = (uint32_t)m;
    out->ef_construction = (uint32_t)ef;
    out->profile = (fr_profile)profile;
    out->vectors = (fr_vectors_at)vectors;
    return true;
}

static bool hex_digit(char c, uint8_t *out)
{
    if (c >= '0' && c <= '9') *out = (uint8_t)(c - '0');
    else if (c >= 'a' && c <= 'f') *out = (uint8_t)(c - 'a' + 10);
    else return false;
    return true;
}

static bool decode_uuid(fr_doc root, int64_t id, int64_t created_ms, uint8_t uuid[16])
{
    char text[33];
    if (!get_text(root, "uuid", text, sizeof text)) { /* a collection of before there were topics: always the same one */
        fr_store_be64(uuid, fr_mix64((uint64_t)id));
        fr_store_be64(uuid + 8, fr_mix64((uint64_t)created_ms + (uint64_t)id));
        return true;
    }
    for (uint32_t i = 0; i < 16; i++) {
        uint8_t high, low;
        if (!hex_digit(text[i * 2], &high) || !hex_digit(text[i * 2 + 1], &low)) return false;
        uuid[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

fr_code fr_engine_document(fr_span value, fr_doc *doc_out, fr_err *err)
{
    fr_decoded decoded;
    *doc_out = (fr_doc){0}; /* gcc 12 does not see at -O3 that a failure is answered before any use */
    FR_TRY(fr_engine_decode(value, &decoded, NULL, err));
    if (decoded.metadata.size == 0) return fr_fail(err, FR_ERR_CORRUPT, "catalog", "a catalog record has no document");
    FR_TRY(fr_doc_check(decoded.metadata, err));
    *doc_out = fr_doc_root(decoded.metadata);
    return FR_OK;
}

fr_code fr_engine_spec_decode(fr_span value, fr_topic_spec *spec, fr_err *err)
{
    fr_doc root, item;
    fr_span key;
    int64_t id = 0, kind = 0, created_ms = 0;
    *spec = (fr_topic_spec){.kind = FR_TOPIC_COLLECTION};
    FR_TRY(fr_engine_document(value, &root, err));
    bool fine = get_int(root, "id", 1, INT64_MAX, &id) && get_int(root, "created_ms", INT64_MIN, INT64_MAX, &created_ms);
    if (fine && fr_doc_get(root, fr_span_text("kind")).data != NULL)
        fine = get_int(root, "kind", FR_TOPIC_COLLECTION, FR_TOPIC_INTERNAL, &kind);
    if (!fine || !decode_uuid(root, id, created_ms, spec->uuid))
        return fr_fail(err, FR_ERR_CORRUPT, "catalog", "a topic's catalog record lacks a field or has a wrong one");
    spec->kind = (fr_topic_kind)kind;
    fr_doc configs = fr_doc_get(root, fr_span_text("configs"));
    if (configs.data == NULL || fr_doc_type(configs) != FR_DOC_OBJECT) return FR_OK;
    fr_doc_iter iter = fr_doc_begin(configs);
    while (fr_doc_next(&iter, &key, &item)) {
        char name[64], text[FR_CONFIG_VALUE_BYTES_MAX + 1];
        if (key.size >= sizeof name || fr_doc_type(item) != FR_DOC_STRING) continue;
        memcpy(name, key.data, key.size);
        name[key.size] = 0;
        fr_span content = fr_doc_string(item);
        if (content.size >= sizeof text) continue;
        memcpy(text, content.data, content.size);
        text[content.size] = 0;
        if (fr_configs_set(&spec->configs, name, text) == FR_OK) continue;
        fr_topic_spec_free(spec);
        return FR_ERR_NO_MEMORY;
    }
    return FR_OK;
}

/* Absent in records of earlier versions. */
static bool decode_indexed(fr_doc root, fr_collection_def *def)
{
    fr_doc list = fr_doc_get(root, fr_span_text("indexed")), item;
    if (list.data == NULL) return true;
    if (fr_doc_type(list) != FR_DOC_ARRAY || fr_doc_count(list) > FR_INDEXED_MAX) return false;
    fr_doc_iter iter = fr_doc_begin(list);
    while (fr_doc_next(&iter, NULL, &item)) {
        fr_span path = fr_doc_type(item) == FR_DOC_STRING ? fr_doc_string(item) : (fr_span){NULL, 0};
        if (path.size == 0 || path.size > FR_INDEXED_BYTES_MAX) return false;
        memcpy(def->indexed[def->indexed_count++], path.data, path.size); /* the definition was zeroed */
    }
    return true;
}

fr_code fr_engine_catalog_decode(fr_span value, fr_collection_def *def, int64_t *created_ms_out, fr_err *err)
{
    fr_doc root, item;
    int64_t id_type, partitions, drop_stale;
    *def = (fr_collection_def){.partitions = 0};
    FR_TRY(fr_engine_document(value, &root, err));
    bool fine = get_text(root, "database", def->database, sizeof def->database) &&
                get_text(root, "name", def->name, sizeof def->name) &&
                get_int(root, "id_type", 0, FR_ID_STRING, &id_type) &&
                get_int(root, "partitions", 1, FR_PARTITIONS_MAX, &partitions) &&
                get_int(root, "drop_stale", 0, 1, &drop_stale) &&
                get_text(root, "embedder", def->embedder, sizeof def->embedder) &&
                get_int(root, "created_ms", INT64_MIN, INT64_MAX, created_ms_out) && decode_indexed(root, def);
    if (!fine)
        return fr_fail(err, FR_ERR_CORRUPT, "catalog",
                       "a collection's catalog record lacks a field or has a wrong one");
    def->id_type = (fr_id_type)id_type;
    def->partitions = (uint32_t)partitions;
    def->drop_stale = drop_stale != 0;
    int64_t kind = 0;
    if (get_int(root, "kind", FR_TOPIC_PLAIN, FR_TOPIC_INTERNAL, &kind)) return FR_OK; /* a log without rows */
    fr_doc fields = fr_doc_get(root, fr_span_text("fields"));
    if (fields.data == NULL || fr_doc_count(fields) > FR_FIELDS_MAX)
        return fr_fail(err, FR_ERR_CORRUPT, "catalog", "collection '%s' has no fields in the catalog", def->name);
    bool vector = false;
    fr_doc_iter iter = fr_doc_begin(fields);
    while (fr_doc_next(&iter, NULL, &item)) {
        fr_field_def *field = &def->fields[def->field_count++];
        if (!decode_field(item, field))
            return fr_fail(err, FR_ERR_CORRUPT, "catalog", "collection '%s' has a bad field in the catalog", def->name);
        if (fr_vector_bytes(field->type, 1) == 0) continue;
        vector = field->dimension != 0;
        def->dimension = field->dimension;
        def->metric = field->metric;
        def->codes = field->codes;
        def->m = field->m;
        def->ef_construction = field->ef_construction;
        def->profile = field->profile;
        def->vectors = field->vectors;
        def->vector_type = field->type;
    }
    return vector ? FR_OK
                  : fr_fail(err, FR_ERR_CORRUPT, "catalog", "collection '%s' has no vector field in the catalog",
                            def->name);
}

static bool parse_id(fr_span key, fr_id *id_out)
{
    const char *at = key.data;
    uint64_t id = 0;
    if (key.size < 3 || key.size > 21) return false;
    for (size_t i = 2; i < key.size; i++) {
        if (at[i] < '0' || at[i] > '9') return false;
        id = id * 10 + (uint64_t)(at[i] - '0');
    }
    *id_out = id;
    return id >= FR_FIRST_ID;
}

static fr_collection **find_collection(fr_db *db, fr_id id)
{
    for (uint32_t i = 0; i < db->names.count; i++)
        if (db->names.collections[i]->id == id) return &db->names.collections[i];
    return NULL;
}

/* Configs, and more partitions. The spec's configs become the topic's. */
static void change_topic(fr_collection *c, const fr_collection_def *def, fr_topic_spec *spec)
{
    fr_topic_limits limits;
    fr_reason reason;
    uint32_t partitions = FR_MIN(def->partitions, c->shard_capacity);
    if (partitions > atomic_load(&c->shard_count)) atomic_store(&c->shard_count, partitions);
    if (fr_configs_parse(c->kind, &spec->configs, &limits, &reason, NULL) != FR_OK) return; /* of a newer version */
    pthread_mutex_lock(&c->config_lock);
    fr_configs old = c->configs;
    c->configs = spec->configs;
    spec->configs = old;
    c->limits = limits;
    fr_engine_set_durability(c, limits.durability);
    pthread_mutex_unlock(&c->config_lock);
    for (uint32_t i = 0; i < atomic_load(&c->shard_count); i++) {
        fr_log_options options;
        fr_engine_log_options(&c->shards[i], &options);
        if (fr_shard_log(&c->shards[i]) != NULL) fr_log_set_options(fr_shard_log(&c->shards[i]), &options);
    }
}

static fr_code add_collection(fr_db *db, fr_id id, const fr_collection_def *def, const fr_topic_spec *spec,
                              int64_t created_ms, fr_offset offset)
{
    if (db->names.count == db->names.capacity) {
        uint32_t capacity = FR_MAX(16u, db->names.capacity * 2);
        fr_collection **grown = fr_realloc(FR_MEM_ENGINE, db->names.collections, capacity * sizeof *grown);
        if (grown == NULL) return FR_ERR_NO_MEMORY;
        db->names.collections = grown;
        db->names.capacity = capacity;
    }
    fr_collection *c = fr_engine_collection_new(db, id, def, spec, created_ms);
    if (c == NULL) return FR_ERR_NO_MEMORY;
    c->catalog_offset = offset;
    db->names.collections[db->names.count++] = c;
    db->names.next_id = FR_MAX(db->names.next_id, id + 1);
    return FR_OK;
}

static fr_code apply_collection(fr_db *db, const fr_apply_record *record, bool live, fr_err *err)
{
    fr_id id;
    if (!parse_id(record->key, &id))
        return fr_fail(err, FR_ERR_CORRUPT, "catalog", "a collection's key in the catalog is not a number");
    fr_collection **found = find_collection(db, id);
    if (record->value.data == NULL) {
        if (found == NULL) return FR_OK;
        fr_collection *c = *found;
        *found = db->names.collections[--db->names.count];
        for (uint32_t i = 0; i < db->names.alias_count;) { /* its aliases go with it */
            if (db->names.aliases[i].id == id) db->names.aliases[i] = db->names.aliases[--db->names.alias_count];
            else i++;
        }
        if (live) {
            c->garbage_next = db->names.dropped;
            db->names.dropped = c;
        } else {
            fr_engine_collection_free(c, false);
        }
        return FR_OK;
    }
    fr_collection_def def;
    fr_topic_spec spec;
    int64_t created_ms;
    FR_TRY(fr_engine_catalog_decode(record->value, &def, &created_ms, err));
    FR_TRY(fr_engine_spec_decode(record->value, &spec, err));
    if (found != NULL) { /* changed; or an attempt that ran out of memory behind this record */
        (*found)->catalog_offset = record->offset;
        change_topic(*found, &def, &spec);
        fr_topic_spec_free(&spec);
        return FR_OK;
    }
    fr_code code = add_collection(db, id, &def, &spec, created_ms, record->offset);
    fr_topic_spec_free(&spec);
    return code;
}

static bool parse_start(fr_span key, fr_id *id_out, uint32_t *partition_out)
{
    char text[48];
    unsigned long long id;
    unsigned partition;
    int used = 0;
    if (key.size >= sizeof text) return false;
    memcpy(text, key.data, key.size);
    text[key.size] = 0;
    if (sscanf(text, "s/%20llu/%10u%n", &id, &partition, &used) != 2 || text[used] != 0) return false;
    *id_out = id;
    *partition_out = partition;
    return true;
}

/* "s/<id>/<partition>" = {"start"}: DeleteRecords; consumers read from there on. */
static fr_code apply_start(fr_db *db, const fr_apply_record *record, fr_err *err)
{
    fr_id id;
    uint32_t partition;
    fr_doc root;
    int64_t start;
    if (record->value.data == NULL || !parse_start(record->key, &id, &partition)) return FR_OK;
    fr_collection **found = find_collection(db, id);
    if (found == NULL || partition >= (*found)->shard_capacity) return FR_OK;
    FR_TRY(fr_engine_document(record->value, &root, err));
    if (!get_int(root, "start", 0, INT64_MAX, &start))
        return fr_fail(err, FR_ERR_CORRUPT, "catalog", "a partition's start is no number");
    fr_shard *shard = &(*found)->shards[partition];
    if (start > atomic_load(&shard->kept_from)) atomic_store(&shard->kept_from, start);
    return FR_OK;
}

static fr_code apply_alias(fr_db *db, const fr_apply_record *record, fr_err *err)
{
    char name[FR_NAME_BYTES_MAX + 1];
    size_t size = record->key.size - 2;
    if (size == 0 || size > FR_NAME_BYTES_MAX)
        return fr_fail(err, FR_ERR_CORRUPT, "catalog", "an alias in the catalog has a bad name");
    memcpy(name, (const char *)record->key.data + 2, size);
    name[size] = 0;
    uint32_t at = 0;
    while (at < db->names.alias_count && strcmp(db->names.aliases[at].name, name) != 0) at++;
    if (record->value.data == NULL) {
        if (at < db->names.alias_count) db->names.aliases[at] = db->names.aliases[--db->names.alias_count];
        return FR_OK;
    }
    fr_doc root;
    int64_t id;
    FR_TRY(fr_engine_document(record->value, &root, err));
    if (!get_int(root, "id", FR_FIRST_ID, INT64_MAX, &id))
        return fr_fail(err, FR_ERR_CORRUPT, "catalog", "alias '%s' has no id", name);
    if (at == db->names.alias_capacity) {
        uint32_t capacity = FR_MAX(8u, db->names.alias_capacity * 2);
        fr_alias *grown = fr_realloc(FR_MEM_ENGINE, db->names.aliases, capacity * sizeof *grown);
        if (grown == NULL) return FR_ERR_NO_MEMORY;
        db->names.aliases = grown;
        db->names.alias_capacity = capacity;
    }
    fr_alias *alias = &db->names.aliases[at];
    memcpy(alias->name, name, size + 1);
    alias->id = (fr_id)id;
    alias->catalog_offset = record->offset;
    if (at == db->names.alias_count) db->names.alias_count++;
    return FR_OK;
}

fr_code fr_engine_catalog_apply(fr_db *db, const fr_apply_record *record, bool live)
{
    fr_err err = {0};
    const char *key = record->key.data;
    fr_code code = FR_OK;
    db->names.changed = true;
    if (record->key.size == 1 && key[0] == 'n' && record->value.data != NULL) {
        fr_doc root;
        int64_t next = 0;
        code = fr_engine_document(record->value, &root, &err);
        if (code == FR_OK && get_int(root, "next", FR_FIRST_ID, INT64_MAX, &next))
            db->names.next_id = FR_MAX(db->names.next_id, (uint64_t)next);
        db->names.next_id_offset = record->offset;
    } else if (record->key.size > 2 && key[0] == 'c' && key[1] == '/') {
        code = apply_collection(db, record, live, &err);
    } else if (record->key.size > 2 && key[0] == 'a' && key[1] == '/') {
        code = apply_alias(db, record, &err);
    } else if (record->key.size > 2 && key[0] == 's' && key[1] == '/') {
        code = apply_start(db, record, &err);
    } else if (fr_engine_access_is(record->key)) {
        code = fr_engine_access_apply(db, record, &err);
    } /* else: a later version's kind of record */
    if (code != FR_OK && code != FR_ERR_NO_MEMORY)
        fr_note(FR_NOTE_ERROR, "event=catalog_record offset=%lld code=%s text=\"%s\"", (long long)record->offset,
                fr_strcode(code), err.text);
    return code;
}

bool fr_engine_catalog_keep(fr_db *db, fr_span key, fr_offset offset, bool tombstone)
{
    const fr_map *map = atomic_load(&db->map);
    char name[FR_NAME_BYTES_MAX + 1];
    const char *text = key.data;
    fr_id id;
    if (tombstone) return true;
    if (key.size == 1 && text[0] == 'n') return map->next_id_offset == offset;
    if (fr_engine_access_is(key)) return fr_engine_access_keep(map, key, offset);
    if (key.size < 3 || key.size - 2 > FR_NAME_BYTES_MAX) return true;
    if (text[0] == 'c') {
        const fr_collection *c = parse_id(key, &id) ? fr_map_by_id(map, id) : NULL;
        return c != NULL && c->catalog_offset == offset;
    }
    if (text[0] == 's') {
        uint32_t partition;
        return !parse_start(key, &id, &partition) || fr_map_by_id(map, id) != NULL;
    }
    if (text[0] != 'a') return true;
    memcpy(name, text + 2, key.size - 2);
    name[key.size - 2] = 0;
    const fr_alias *alias = fr_map_alias(map, name);
    return alias != NULL && alias->catalog_offset == offset;
}

/* ==== changes: writer thread, decided on the map because no other change is in flight ==== */

fr_code fr_engine_put_document(fr_batch *batch, const char *key, fr_doc_builder *b, fr_err *err)
{
    fr_span bytes;
    FR_TRY(fr_doc_finish(b, &bytes));
    fr_value value = {.field = FR_FIELD_DYNAMIC, .type = FR_TYPE_JSON, .bytes = bytes};
    fr_event event = {.key = fr_span_text(key), .source_time_ms = FR_TIME_NONE, .values = &value, .value_count = 1};
    return fr_batch_put(batch, &event, err);
}

fr_code fr_engine_put_end(fr_batch *batch, const char *key, fr_err *err)
{
    fr_event event = {.key = fr_span_text(key), .remove = true, .source_time_ms = FR_TIME_NONE};
    return fr_batch_put(batch, &event, err);
}

fr_code fr_engine_put_topic(fr_batch *batch, fr_id id, const fr_collection_def *def, const fr_topic_spec *spec,
                            uint32_t partitions, int64_t created_ms, fr_err *err)
{
    char key[32];
    fr_doc_builder b = {0};
    snprintf(key, sizeof key, "c/%llu", (unsigned long long)id);
    encode_collection(&b, id, def, spec, partitions, created_ms);
    fr_code code = fr_engine_put_document(batch, key, &b, err);
    fr_doc_free(&b);
    return code;
}

static fr_code put_number(fr_batch *batch, const char *key, const char *name, int64_t number, fr_err *err)
{
    fr_doc_builder b = {0};
    fr_doc_begin_object(&b);
    put_int(&b, name, number);
    fr_doc_end_object(&b);
    fr_code code = fr_engine_put_document(batch, key, &b, err);
    fr_doc_free(&b);
    return code;
}

fr_code fr_engine_put_next_id(fr_batch *batch, uint64_t next, fr_err *err)
{
    return put_number(batch, "n", "next", (int64_t)next, err);
}

fr_code fr_engine_put_start(fr_batch *batch, fr_id id, uint32_t partition, fr_offset start, fr_err *err)
{
    char key[48];
    snprintf(key, sizeof key, "s/%llu/%u", (unsigned long long)id, partition);
    return put_number(batch, key, "start", start, err);
}

static fr_code plan_create(fr_db *db, const fr_map *map, fr_write *write, fr_batch *batch, fr_err *err)
{
    fr_collection_def *def = fr_alloc(FR_MEM_ENGINE, sizeof *def);
    if (def == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory");
    fr_code code = fr_engine_expand(write->def, def, err);
    if (code == FR_OK && (fr_map_by_name(map, def->name) != NULL || fr_map_alias(map, def->name) != NULL))
        code = fr_fail(err, FR_ERR_EXISTS, "name", "'%s' exists already", def->name);
    if (code == FR_OK && map->count >= FR_COLLECTIONS_MAX)
        code =
            fr_fail(err, FR_ERR_TOO_LARGE, "name", "there are %u collections: that is the limit", FR_COLLECTIONS_MAX);
    fr_topic_spec spec = {.kind = FR_TOPIC_COLLECTION};
    if (code == FR_OK && write->topic != NULL) code = fr_engine_first_configs(write, &spec, err);
    if (code == FR_OK) {
        fr_engine_new_uuid(db, spec.uuid);
        code = fr_engine_put_topic(batch, map->next_id, def, &spec, def->partitions, db->io->now_ms(db->io), err);
        write->id = map->next_id;
    }
    fr_topic_spec_free(&spec);
    if (code == FR_OK) code = fr_engine_put_next_id(batch, map->next_id + 1, err);
    fr_free(FR_MEM_ENGINE, def);
    return code;
}

static fr_code plan_drop(const fr_map *map, fr_write *write, fr_batch *batch, fr_err *err)
{
    char key[FR_NAME_BYTES_MAX + 3];
    if (fr_map_by_id(map, write->id) == NULL)
        return fr_fail(err, FR_ERR_NOT_FOUND, "collection", "there is no such collection");
    for (uint32_t i = 0; i < map->alias_count; i++) {
        if (map->aliases[i].id != write->id) continue;
        snprintf(key, sizeof key, "a/%s", map->aliases[i].name);
        FR_TRY(fr_engine_put_end(batch, key, err));
    }
    snprintf(key, sizeof key, "c/%llu", (unsigned long long)write->id);
    return fr_engine_put_end(batch, key, err);
}

static fr_code plan_alias(const fr_map *map, fr_write *write, fr_batch *batch, fr_err *err)
{
    char key[FR_NAME_BYTES_MAX + 3];
    snprintf(key, sizeof key, "a/%s", write->name);
    if (write->kind == FR_WRITE_ALIAS_DROP) {
        if (fr_map_alias(map, write->name) == NULL)
            return fr_fail(err, FR_ERR_NOT_FOUND, "alias", "there is no alias '%s'", write->name);
        return fr_engine_put_end(batch, key, err);
    }
    const fr_collection *target = fr_map_by_name(map, write->target);
    if (target == NULL)
        return fr_fail(err, FR_ERR_NOT_FOUND, "collection", "there is no collection '%s'", write->target);
    if (fr_map_by_name(map, write->name) != NULL)
        return fr_fail(err, FR_ERR_EXISTS, "alias", "'%s' is the name of a collection", write->name);
    fr_doc_builder b = {0};
    fr_doc_begin_object(&b);
    put_int(&b, "id", (int64_t)target->id);
    fr_doc_end_object(&b);
    fr_code code = fr_engine_put_document(batch, key, &b, err);
    fr_doc_free(&b);
    return code;
}

void fr_engine_ddl(fr_db *db, fr_write *write)
{
    fr_err err = {0};
    fr_code code;
    fr_commit *commit = NULL;
    fr_batch_reset(&db->ddl_batch);
    uint32_t pin = fr_engine_pin(db);
    const fr_map *map = atomic_load(&db->map);
    switch (write->kind) {
    case FR_WRITE_COLLECTION_CREATE: code = plan_create(db, map, write, &db->ddl_batch, &err); break;
    case FR_WRITE_COLLECTION_DROP: code = plan_drop(map, write, &db->ddl_batch, &err); break;
    case FR_WRITE_ALIAS_PUT:
    case FR_WRITE_ALIAS_DROP: code = plan_alias(map, write, &db->ddl_batch, &err); break;
    case FR_WRITE_ACCESS_PUT:
    case FR_WRITE_ACCESS_DROP: code = fr_engine_access_plan(db, map, write, &db->ddl_batch, &err); break;
    default: code = fr_engine_plan_topic(db, map, write, &db->ddl_batch, &err); break;
    }
    if (code == FR_OK) code = fr_engine_append(db, db->catalog, &db->ddl_batch, write, &commit, &err);
    if (code == FR_OK && write->kind == FR_WRITE_COLLECTION_DROP) /* from here on the writer refuses its writes */
        atomic_store(&fr_map_by_id(map, write->id)->dropped, true);
    fr_engine_unpin(db, pin);
    if (code != FR_OK) {
        uint64_t bytes = fr_ticket_of(write)->bytes;
        fr_engine_finish(db, write, code, &err);
        fr_engine_release(db, bytes);
        return;
    }
    atomic_store(&db->ddl_busy, true);
    fr_engine_round_add(db, commit);
}
