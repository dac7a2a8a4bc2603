/* catalog.c: which collections, databases and aliases exist: records of the internal topic 1 (README.md, Formats), applied and planned.
 * One catalog change is in flight at a time, so the writer may decide on the map. */
#include "server/engine/engine.h"

#include <stdio.h>
#include <stdlib.h>

/* ==== records ==== */

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

/* Schema, configs, and more partitions. The schema and the spec's configs become the topic's. */
static void change_topic(fr_db *db, fr_collection *c, fr_schema *schema, fr_topic_spec *spec, bool live)
{
    fr_schema *before = fr_schema_of(c);
    const fr_collection_def *def = &schema->def;
    if (memcmp(before->builds, schema->builds, sizeof schema->builds) != 0) atomic_store(&db->reshape, true);
    atomic_store_explicit(&c->schema, schema, memory_order_release);
    if (live) {
        before->garbage_next = db->names.replaced;
        db->names.replaced = before;
    } else {
        fr_schema_free(before);
    }
    fr_topic_limits limits;
    fr_reason reason;
    uint32_t partitions = FR_MIN(def->partitions, c->shard_capacity);
    if (partitions > atomic_load(&c->shard_count)) atomic_store(&c->shard_count, partitions);
    if (fr_configs_parse(c->kind, &spec->configs, &limits, &reason, NULL) != FR_OK) return; /* of a newer version */
    fr_schema_json(schema, &limits.json);
    pthread_mutex_lock(&c->config_lock);
    fr_configs old = c->configs;
    c->configs = spec->configs;
    spec->configs = old;
    limits.version = c->limits.version + 1;
    c->limits = limits;
    fr_engine_set_durability(c, limits.durability);
    pthread_mutex_unlock(&c->config_lock);
    for (uint32_t i = 0; i < atomic_load(&c->shard_count); i++) {
        fr_log_options options;
        fr_engine_log_options(&c->shards[i], &options);
        if (fr_shard_log(&c->shards[i]) != NULL) fr_log_set_options(fr_shard_log(&c->shards[i]), &options);
    }
}

/* Takes the schema. */
static fr_code add_collection(fr_db *db, fr_id id, fr_schema *schema, const fr_topic_spec *spec, int64_t created_ms, fr_offset offset)
{
    if (db->names.count == db->names.capacity) {
        uint32_t capacity = FR_MAX(16u, db->names.capacity * 2);
        fr_collection **grown = fr_realloc(FR_MEM_ENGINE, db->names.collections, capacity * sizeof *grown);
        if (grown == NULL) {
            fr_schema_free(schema);
            return FR_ERR_NO_MEMORY;
        }
        db->names.collections = grown;
        db->names.capacity = capacity;
    }
    fr_collection *c = fr_engine_collection_new(db, id, schema, spec, created_ms);
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
    fr_schema *schema = NULL;
    fr_topic_spec spec;
    int64_t created_ms;
    FR_TRY(fr_codec_collection(record->value, &schema, &created_ms, err));
    fr_code code = fr_codec_spec(record->value, &spec, err);
    if (code != FR_OK) {
        fr_schema_free(schema);
        return code;
    }
    schema->version = (uint64_t)record->offset + 1;
    if (found != NULL) { /* changed; or an attempt that ran out of memory behind this record */
        (*found)->catalog_offset = record->offset;
        change_topic(db, *found, schema, &spec, live);
    } else {
        code = add_collection(db, id, schema, &spec, created_ms, record->offset);
    }
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
    if (!fr_codec_int(root, "start", 0, INT64_MAX, &start))
        return fr_fail(err, FR_ERR_CORRUPT, "catalog", "a partition's start is no number");
    fr_shard *shard = &(*found)->shards[partition];
    if (start > atomic_load(&shard->kept_from)) atomic_store(&shard->kept_from, start);
    return FR_OK;
}

/* "a/<alias>", or in another database "a/<database>/<alias>": '/' is no letter of a name. */
static bool parse_alias(fr_span key, char database[FR_NAME_BYTES_MAX + 1], char name[FR_NAME_BYTES_MAX + 1])
{
    const char *at = (const char *)key.data + 2, *slash = memchr(at, '/', key.size - 2);
    size_t first = slash != NULL ? (size_t)(slash - at) : 0, size = key.size - 2 - (slash != NULL ? first + 1 : 0);
    if (first > FR_NAME_BYTES_MAX || size == 0 || size > FR_NAME_BYTES_MAX) return false;
    memcpy(database, at, first);
    database[first] = 0;
    memcpy(name, slash != NULL ? slash + 1 : at, size);
    name[size] = 0;
    return true;
}

static fr_code apply_alias(fr_db *db, const fr_apply_record *record, fr_err *err)
{
    char name[FR_NAME_BYTES_MAX + 1], database[FR_NAME_BYTES_MAX + 1];
    if (!parse_alias(record->key, database, name))
        return fr_fail(err, FR_ERR_CORRUPT, "catalog", "an alias in the catalog has a bad name");
    uint32_t at = 0;
    while (at < db->names.alias_count &&
           (strcmp(db->names.aliases[at].name, name) != 0 || strcmp(db->names.aliases[at].database, database) != 0))
        at++;
    if (record->value.data == NULL) {
        if (at < db->names.alias_count) db->names.aliases[at] = db->names.aliases[--db->names.alias_count];
        return FR_OK;
    }
    fr_doc root;
    int64_t id;
    FR_TRY(fr_engine_document(record->value, &root, err));
    if (!fr_codec_int(root, "id", FR_FIRST_ID, INT64_MAX, &id))
        return fr_fail(err, FR_ERR_CORRUPT, "catalog", "alias '%s' has no id", name);
    if (at == db->names.alias_capacity) {
        uint32_t capacity = FR_MAX(8u, db->names.alias_capacity * 2);
        fr_alias *grown = fr_realloc(FR_MEM_ENGINE, db->names.aliases, capacity * sizeof *grown);
        if (grown == NULL) return FR_ERR_NO_MEMORY;
        db->names.aliases = grown;
        db->names.alias_capacity = capacity;
    }
    fr_alias *alias = &db->names.aliases[at];
    memcpy(alias->database, database, sizeof database);
    memcpy(alias->name, name, sizeof name);
    alias->id = (fr_id)id;
    alias->catalog_offset = record->offset;
    if (at == db->names.alias_count) db->names.alias_count++;
    return FR_OK;
}

static void forget_database(fr_db *db, uint32_t at)
{
    fr_free(FR_MEM_ENGINE, (void *)(uintptr_t)db->names.databases[at].attributes.data);
    db->names.databases[at] = db->names.databases[--db->names.database_count];
}

/* "d/<id>" = {"name"}, and attributes. */
static fr_code apply_database(fr_db *db, const fr_apply_record *record, fr_err *err)
{
    fr_id id;
    uint32_t at = 0;
    if (!parse_id(record->key, &id))
        return fr_fail(err, FR_ERR_CORRUPT, "catalog", "a database's key in the catalog is not a number");
    while (at < db->names.database_count && db->names.databases[at].id != id) at++;
    if (record->value.data == NULL) {
        if (at < db->names.database_count) forget_database(db, at);
        return FR_OK;
    }
    fr_doc root;
    fr_database made = {.id = id, .catalog_offset = record->offset};
    fr_span attributes;
    FR_TRY(fr_engine_document(record->value, &root, err));
    FR_TRY(fr_codec_attributes(record->value, &attributes));
    if (!fr_codec_text(root, "name", made.name, sizeof made.name))
        return fr_fail(err, FR_ERR_CORRUPT, "catalog", "database %llu has no name", (unsigned long long)id);
    if (at == db->names.database_capacity) {
        uint32_t capacity = FR_MAX(8u, db->names.database_capacity * 2);
        fr_database *grown = fr_realloc(FR_MEM_ENGINE, db->names.databases, capacity * sizeof *grown);
        if (grown == NULL) return FR_ERR_NO_MEMORY;
        db->names.databases = grown;
        db->names.database_capacity = capacity;
    }
    if (attributes.size != 0) {
        void *copy = fr_alloc(FR_MEM_ENGINE, attributes.size);
        if (copy == NULL) return FR_ERR_NO_MEMORY;
        memcpy(copy, attributes.data, attributes.size);
        made.attributes = fr_span_of(copy, attributes.size);
    }
    if (at < db->names.database_count) fr_free(FR_MEM_ENGINE, (void *)(uintptr_t)db->names.databases[at].attributes.data);
    else db->names.database_count++;
    db->names.databases[at] = made;
    db->names.next_id = FR_MAX(db->names.next_id, id + 1);
    return FR_OK;
}

static fr_code apply_clock(fr_db *db, const fr_apply_record *record, fr_err *err)
{
    fr_doc root;
    int64_t until;
    FR_TRY(fr_engine_document(record->value, &root, err));
    if (!fr_codec_int(root, "until", 0, INT64_MAX >> 18, &until))
        return fr_fail(err, FR_ERR_CORRUPT, "catalog", "the clock's bound is no number");
    fr_engine_clock_set(db, (uint64_t)until);
    db->names.clock_offset = record->offset;
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
        if (code == FR_OK && fr_codec_int(root, "next", FR_FIRST_ID, INT64_MAX, &next))
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
    } else if (record->key.size > 2 && key[0] == 'd' && key[1] == '/') {
        code = apply_database(db, record, &err);
    } else if (record->key.size == 1 && key[0] == 't' && record->value.data != NULL) {
        code = apply_clock(db, record, &err);
    } /* else: a later version's kind of record */
    if (code != FR_OK && code != FR_ERR_NO_MEMORY)
        fr_note(FR_NOTE_ERROR, "event=catalog_record offset=%lld code=%s text=\"%s\"", (long long)record->offset,
                fr_strcode(code), err.text);
    return code;
}

bool fr_engine_catalog_keep(fr_db *db, fr_span key, fr_offset offset, bool tombstone)
{
    const fr_map *map = atomic_load(&db->map);
    char database[FR_NAME_BYTES_MAX + 1], name[FR_NAME_BYTES_MAX + 1];
    const char *text = key.data;
    fr_id id;
    if (tombstone) return true;
    if (key.size == 1 && text[0] == 'n') return map->next_id_offset == offset;
    if (key.size == 1 && text[0] == 't') return map->clock_offset == offset;
    if (fr_engine_access_is(key)) return fr_engine_access_keep(map, key, offset);
    if (key.size < 3 || text[1] != '/') return true;
    if (text[0] == 'c') {
        const fr_collection *c = parse_id(key, &id) ? fr_map_by_id(map, id) : NULL;
        return c != NULL && c->catalog_offset == offset;
    }
    if (text[0] == 's') {
        uint32_t partition;
        return !parse_start(key, &id, &partition) || fr_map_by_id(map, id) != NULL;
    }
    if (text[0] == 'd') {
        for (uint32_t i = 0; i < map->database_count && parse_id(key, &id); i++)
            if (map->databases[i].id == id) return map->databases[i].catalog_offset == offset;
        return false;
    }
    if (text[0] != 'a' || !parse_alias(key, database, name)) return true;
    const fr_alias *alias = fr_map_alias(map, database, name);
    return alias != NULL && alias->catalog_offset == offset;
}

/* ==== changes: writer thread, decided on the map because no other change is in flight ==== */

fr_code fr_engine_put_attributed(fr_batch *batch, const char *key, fr_doc_builder *b, fr_span attributes, fr_err *err)
{
    fr_span bytes;
    FR_TRY(fr_doc_finish(b, &bytes));
    fr_value values[] = {{.field = FR_FIELD_DYNAMIC, .type = FR_TYPE_JSON, .bytes = bytes},
                         {.field = FR_FIELD_ATTRIBUTES, .type = FR_TYPE_JSON, .bytes = attributes}};
    fr_event event = {.key = fr_span_text(key),
                      .source_time_ms = FR_TIME_NONE,
                      .values = values,
                      .value_count = attributes.size != 0 ? 2 : 1};
    return fr_batch_put(batch, &event, err);
}

fr_code fr_engine_put_document(fr_batch *batch, const char *key, fr_doc_builder *b, fr_err *err)
{
    return fr_engine_put_attributed(batch, key, b, (fr_span){NULL, 0}, err);
}

fr_code fr_engine_put_end(fr_batch *batch, const char *key, fr_err *err)
{
    fr_event event = {.key = fr_span_text(key), .remove = true, .source_time_ms = FR_TIME_NONE};
    return fr_batch_put(batch, &event, err);
}

fr_code fr_engine_put_topic(fr_batch *batch, fr_id id, const fr_schema *schema, const fr_topic_spec *spec,
                            uint32_t partitions, int64_t created_ms, fr_err *err)
{
    char key[32];
    fr_doc_builder b = {0};
    snprintf(key, sizeof key, "c/%llu", (unsigned long long)id);
    fr_codec_put_collection(&b, id, schema, spec, partitions, created_ms);
    fr_code code = fr_engine_put_attributed(batch, key, &b, schema->attributes, err);
    fr_doc_free(&b);
    return code;
}

fr_code fr_engine_put_again(fr_batch *batch, const fr_collection *c, const fr_schema *schema, const fr_configs *configs,
                            uint32_t partitions, fr_err *err)
{
    fr_topic_spec spec = {.kind = c->kind, .configs = *configs};
    memcpy(spec.uuid, c->uuid, sizeof spec.uuid);
    return fr_engine_put_topic(batch, c->id, schema, &spec, partitions, c->created_ms, err);
}

static fr_code put_number(fr_batch *batch, const char *key, const char *name, int64_t number, fr_err *err)
{
    fr_doc_builder b = {0};
    fr_doc_begin_object(&b);
    fr_doc_put_key(&b, name, strlen(name));
    fr_doc_put_int(&b, number);
    fr_doc_end_object(&b);
    fr_code code = fr_engine_put_document(batch, key, &b, err);
    fr_doc_free(&b);
    return code;
}

fr_code fr_engine_put_next_id(fr_batch *batch, uint64_t next, fr_err *err)
{
    return put_number(batch, "n", "next", (int64_t)next, err);
}

fr_code fr_engine_put_clock(fr_batch *batch, uint64_t until_ms, fr_err *err)
{
    return put_number(batch, "t", "until", (int64_t)until_ms, err);
}

fr_code fr_engine_put_start(fr_batch *batch, fr_id id, uint32_t partition, fr_offset start, fr_err *err)
{
    char key[48];
    snprintf(key, sizeof key, "s/%llu/%u", (unsigned long long)id, partition);
    return put_number(batch, key, "start", start, err);
}

static fr_code check_database(const fr_map *map, const char *name, fr_err *err)
{
    return name[0] == 0 || fr_map_database(map, name) != NULL
               ? FR_OK
               : fr_fail(err, FR_ERR_NOT_FOUND, "database", "there is no database '%.200s'", name);
}

fr_code fr_engine_name_free(const fr_map *map, const char *database, const char *name, fr_err *err)
{
    char topic[FR_TOPIC_NAME_SIZE];
    fr_schema_topic(database, name, topic);
    if (strlen(topic) > FR_NAME_BYTES_MAX)
        return fr_fail(err, FR_ERR_TOO_LARGE, "name", "database.name has at most %u bytes", FR_NAME_BYTES_MAX);
    if (fr_map_by_topic(map, topic) != NULL || fr_map_alias(map, database, name) != NULL)
        return fr_fail(err, FR_ERR_EXISTS, "name", "'%s' exists already", topic);
    return check_database(map, fr_database_name(database), err);
}

static fr_code plan_create(fr_db *db, const fr_map *map, fr_write *write, fr_batch *batch, fr_err *err)
{
    fr_schema *schema = fr_schema_new(NULL);
    if (schema == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory");
    fr_code code = fr_engine_expand(write->def, &schema->def, err);
    if (code == FR_OK) code = fr_engine_name_free(map, schema->def.database, schema->def.name, err);
    if (code == FR_OK && map->count >= FR_COLLECTIONS_MAX)
        code = fr_fail(err, FR_ERR_TOO_LARGE, "name", "there are %u collections: that is the limit", FR_COLLECTIONS_MAX);
    if (code == FR_OK && fr_schema_set_attributes(schema, write->attributes) != FR_OK)
        code = fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory");
    fr_topic_spec spec = {.kind = FR_TOPIC_COLLECTION};
    if (code == FR_OK && write->topic != NULL) code = fr_engine_first_configs(write, &spec, err);
    if (code == FR_OK) {
        fr_engine_new_uuid(db, spec.uuid);
        fr_schema_derive(schema);
        code = fr_engine_put_topic(batch, map->next_id, schema, &spec, schema->def.partitions, db->io->now_ms(db->io), err);
        write->id = map->next_id;
    }
    fr_topic_spec_free(&spec);
    if (code == FR_OK) code = fr_engine_put_next_id(batch, map->next_id + 1, err);
    fr_schema_free(schema);
    return code;
}

static void alias_key(const char *database, const char *name, char key[FR_TOPIC_NAME_SIZE + 4])
{
    snprintf(key, FR_TOPIC_NAME_SIZE + 4, "a/%s%s%s", database, database[0] != 0 ? "/" : "", name);
}

static fr_code plan_drop(const fr_map *map, fr_write *write, fr_batch *batch, fr_err *err)
{
    char key[FR_TOPIC_NAME_SIZE + 4];
    if (fr_map_by_id(map, write->id) == NULL)
        return fr_fail(err, FR_ERR_NOT_FOUND, "collection", "there is no such collection");
    for (uint32_t i = 0; i < map->alias_count; i++) {
        if (map->aliases[i].id != write->id) continue;
        alias_key(map->aliases[i].database, map->aliases[i].name, key);
        FR_TRY(fr_engine_put_end(batch, key, err));
    }
    snprintf(key, sizeof key, "c/%llu", (unsigned long long)write->id);
    return fr_engine_put_end(batch, key, err);
}

static fr_code plan_alias(const fr_map *map, fr_write *write, fr_batch *batch, fr_err *err)
{
    char key[FR_TOPIC_NAME_SIZE + 4], topic[FR_TOPIC_NAME_SIZE];
    const char *database = fr_database_name(write->database);
    FR_TRY(check_database(map, database, err));
    alias_key(database, write->name, key);
    if (write->kind == FR_WRITE_ALIAS_DROP) {
        if (fr_map_alias(map, database, write->name) == NULL)
            return fr_fail(err, FR_ERR_NOT_FOUND, "alias", "there is no alias '%s'", write->name);
        return fr_engine_put_end(batch, key, err);
    }
    const fr_collection *target = fr_map_by_name(map, database, write->target);
    if (target == NULL)
        return fr_fail(err, FR_ERR_NOT_FOUND, "collection", "there is no collection '%s'", write->target);
    fr_schema_topic(database, write->name, topic);
    if (fr_map_by_topic(map, topic) != NULL)
        return fr_fail(err, FR_ERR_EXISTS, "alias", "'%s' is the name of a collection", write->name);
    return put_number(batch, key, "id", (int64_t)target->id, err);
}

static fr_code plan(fr_db *db, const fr_map *map, fr_write *write, fr_err *err)
{
    switch (write->kind) {
    case FR_WRITE_COLLECTION_CREATE: return plan_create(db, map, write, &db->ddl_batch, err);
    case FR_WRITE_COLLECTION_DROP: return plan_drop(map, write, &db->ddl_batch, err);
    case FR_WRITE_ALIAS_PUT:
    case FR_WRITE_ALIAS_DROP: return plan_alias(map, write, &db->ddl_batch, err);
    case FR_WRITE_COLLECTION_ALTER: return fr_engine_plan_alter(db, map, write, &db->ddl_batch, err);
    case FR_WRITE_DATABASE_PUT:
    case FR_WRITE_DATABASE_DROP: return fr_engine_plan_database(map, write, &db->ddl_batch, err);
    case FR_WRITE_ACCESS_PUT:
    case FR_WRITE_ACCESS_DROP: return fr_engine_access_plan(db, map, write, &db->ddl_batch, err);
    default: return fr_engine_plan_topic(db, map, write, &db->ddl_batch, err);
    }
}

/* erasure: the one that waits for the change behind its barrier, and answers the write. */
fr_code fr_engine_ddl_append(fr_db *db, fr_write *write, fr_erasure *erasure, fr_err *err)
{
    fr_commit *commit = NULL;
    fr_batch_reset(&db->ddl_batch);
    uint32_t pin = fr_engine_pin(db);
    const fr_map *map = atomic_load(&db->map);
    fr_code code = plan(db, map, write, err);
    if (code == FR_OK) code = fr_engine_append(db, db->catalog, &db->ddl_batch, erasure == NULL ? write : NULL, &commit, err);
    if (code == FR_OK && write->kind == FR_WRITE_COLLECTION_DROP) /* from here on the writer refuses its writes */
        atomic_store(&fr_map_by_id(map, write->id)->dropped, true);
    fr_engine_unpin(db, pin);
    FR_TRY(code);
    commit->erasure = erasure;
    atomic_store(&db->ddl_busy, true);
    fr_engine_round_add(db, commit);
    return FR_OK;
}

void fr_engine_ddl(fr_db *db, fr_write *write)
{
    fr_err err = {0};
    fr_code code = fr_engine_ddl_append(db, write, NULL, &err);
    if (code == FR_OK) return;
    uint64_t bytes = fr_ticket_of(write)->bytes;
    fr_engine_finish(db, write, code, &err);
    fr_engine_release(db, bytes);
}
