/* call_collection.c: collections and aliases: create, list, look at, drop, switch. */
#include "api/http/http_private.h"

#include <stdio.h>

/* ---- out ---- */

static void partitions_out(fr_out *out, const fr_collection_info *info)
{
    fr_out_key(out, "offsets");
    fr_out_begin(out, '{');
    for (uint32_t i = 0; i < info->partition_count && i < FR_PARTITIONS_MAX; i++) {
        const struct fr_partition_info *p = &info->partitions[i];
        const struct { const char *name; fr_offset value; } offsets[] = {
            {"start", p->start}, {"end", p->end}, {"durable", p->durable}, {"applied", p->applied}, {"snapshot", p->snapshot}};
        char name[16];
        snprintf(name, sizeof name, "%u", i);
        fr_out_key(out, name);
        fr_out_begin(out, '{');
        for (size_t k = 0; k < FR_COUNT_OF(offsets); k++) {
            fr_out_key(out, offsets[k].name);
            fr_out_int(out, offsets[k].value);
        }
        fr_out_end(out, '}');
    }
    fr_out_end(out, '}');
}

static void embedder_out(fr_out *out, const fr_collection_info *info)
{
    fr_out_key(out, "embedder");
    if (!info->def.embedder[0]) {
        fr_out_null(out);
        return;
    }
    fr_out_begin(out, '{');
    fr_out_key(out, "type");
    fr_out_cstring(out, info->def.embedder);
    fr_out_key(out, "dimension");
    fr_out_uint(out, fr_http_dimension(info));
    fr_out_end(out, '}');
}

static void numbers_out(fr_out *out, const fr_collection_info *info)
{
    const struct { const char *name; uint64_t value; } bytes[] = {
        {"index", info->index_bytes}, {"log", info->log_bytes}, {"snapshot", info->snapshot_bytes}};
    fr_out_key(out, "count");
    fr_out_uint(out, info->count);
    fr_out_key(out, "unlinked");
    fr_out_uint(out, info->unlinked);
    fr_out_key(out, "deleted_unreclaimed");
    fr_out_uint(out, info->deleted_unreclaimed);
    fr_out_key(out, "created");
    fr_out_int(out, info->created_ms);
    fr_out_key(out, "state");
    fr_out_cstring(out, fr_strcode(info->state));
    fr_out_key(out, "bytes");
    fr_out_begin(out, '{');
    for (size_t i = 0; i < FR_COUNT_OF(bytes); i++) {
        fr_out_key(out, bytes[i].name);
        fr_out_uint(out, bytes[i].value);
    }
    fr_out_end(out, '}');
    fr_out_key(out, "freshness_ms");
    fr_out_begin(out, '{');
    fr_out_key(out, "p50");
    fr_out_double(out, info->freshness_p50_ms);
    fr_out_key(out, "p99");
    fr_out_double(out, info->freshness_p99_ms);
    fr_out_end(out, '}');
}

void fr_http_collection_out(fr_out *out, const fr_collection_info *info)
{
    static const char *const id_types[] = {"any", "int64", "string"};
    const fr_field_def *vector = fr_http_vector_field(info);
    fr_out_begin(out, '{');
    fr_out_key(out, "name");
    fr_out_cstring(out, info->def.name);
    fr_out_key(out, "id");
    fr_out_uint(out, info->id);
    fr_out_key(out, "dimension");
    fr_out_uint(out, vector->dimension);
    const struct { const char *name, *text; } texts[] = { /* of the first vector field */
        {"metric", fr_http_metric_text(vector->metric)},    {"codes", fr_http_codes_text(vector)},
        {"profile", fr_http_profile_text(vector->profile)}, {"vector_type", fr_http_vector_type_text(vector->type)},
        {"vectors", fr_http_vectors_text(vector)}};
    for (size_t i = 0; i < FR_COUNT_OF(texts); i++) {
        fr_out_key(out, texts[i].name);
        fr_out_cstring(out, texts[i].text);
    }
    fr_out_key(out, "m");
    fr_out_uint(out, vector->m);
    fr_out_key(out, "ef_construction");
    fr_out_uint(out, vector->ef_construction);
    fr_out_key(out, "partitions");
    fr_out_uint(out, info->partition_count);
    fr_out_key(out, "id_type");
    fr_out_cstring(out, (size_t)info->def.id_type < FR_COUNT_OF(id_types) ? id_types[info->def.id_type] : "any");
    fr_out_key(out, "drop_stale");
    fr_out_bool(out, info->def.drop_stale);
    fr_out_key(out, "indexed");
    fr_out_begin(out, '[');
    for (uint32_t i = 0; i < info->def.indexed_count; i++) fr_out_cstring(out, info->def.indexed[i]);
    fr_out_end(out, ']');
    fr_http_schema_out(out, info);
    embedder_out(out, info);
    numbers_out(out, info);
    partitions_out(out, info);
    fr_out_end(out, '}');
}

/* ---- create ---- */

static fr_code embedder_in(fr_http_call *call, fr_collection_def *def)
{
    static const fr_in_field fields[] = {
        {"type", FR_IN_STRING, true, 0, 0, "hash", "built in: signed hashing of words and character n-grams"},
        {"dimension", FR_IN_INT, false, 1, FR_DIMENSION_MAX, NULL, "default: the collection's dimension"},
    };
    fr_doc embedder = fr_http_field(call->rest, "embedder");
    if (!embedder.data) return FR_OK;
    fr_code code = fr_http_fields_check(fields, FR_COUNT_OF(fields), embedder, &call->err);
    if (code != FR_OK) {
        char inner[sizeof call->err.field];
        snprintf(inner, sizeof inner, "embedder.%.48s", call->err.field);
        memcpy(call->err.field, inner, sizeof inner);
        return code;
    }
    fr_span type = fr_doc_string(fr_http_field(embedder, "type"));
    snprintf(def->embedder, sizeof def->embedder, "%.*s", (int)type.size, (const char *)type.data);
    uint32_t dimension = (uint32_t)fr_http_field_int(embedder, "dimension", def->dimension);
    if (def->dimension && dimension != def->dimension)
        return fr_fail(&call->err, FR_ERR_INVALID, "embedder.dimension", "is %u, the collection's dimension is %u", dimension,
                       def->dimension);
    def->dimension = dimension;
    return FR_OK;
}

static fr_code indexed_in(fr_http_call *call, fr_collection_def *def)
{
    fr_doc list = fr_http_field(call->rest, "indexed"), item;
    if (!list.data) return FR_OK;
    if (fr_doc_count(list) > FR_INDEXED_MAX)
        return fr_fail(&call->err, FR_ERR_TOO_LARGE, "indexed", "names %u fields, at most %u are possible", fr_doc_count(list), FR_INDEXED_MAX);
    fr_doc_iter iter = fr_doc_begin(list);
    while (fr_doc_next(&iter, NULL, &item)) {
        fr_span path = fr_doc_type(item) == FR_DOC_STRING ? fr_doc_string(item) : (fr_span){NULL, 0};
        if (path.size == 0 || path.size > FR_INDEXED_BYTES_MAX || memchr(path.data, 0, path.size))
            return fr_fail(&call->err, FR_ERR_INVALID, "indexed", "is a list of metadata paths, each of 1 to %u bytes", FR_INDEXED_BYTES_MAX);
        memcpy(def->indexed[def->indexed_count++], path.data, path.size); /* the definition was zeroed */
    }
    return FR_OK;
}

static fr_code definition_in(fr_http_call *call, fr_collection_def *def)
{
    fr_doc body = call->rest;
    fr_span name = fr_doc_string(fr_http_field(body, "name"));
    FR_TRY(fr_name_check("name", name.data, name.size, &call->err));
    memcpy(def->name, name.data, name.size);
    def->partitions = (uint32_t)fr_http_field_int(body, "partitions", 1);
    def->id_type = fr_http_field_is(body, "id_type", "int64")    ? FR_ID_INT64
                   : fr_http_field_is(body, "id_type", "string") ? FR_ID_STRING : FR_ID_ANY;
    def->drop_stale = fr_http_field_bool(body, "drop_stale", false);
    FR_TRY(indexed_in(call, def));
    if (fr_http_field(body, "fields").data) {
        FR_TRY(fr_http_schema_in(call, def));
        return embedder_in(call, def);
    }
    fr_field_def vector = {0};
    fr_http_vector_in(body, &vector);
    def->vector_type = vector.type, def->metric = vector.metric, def->dimension = vector.dimension, def->codes = vector.codes;
    def->profile = vector.profile, def->vectors = vector.vectors, def->m = vector.m, def->ef_construction = vector.ef_construction;
    FR_TRY(embedder_in(call, def));
    if (fr_http_field(body, "dynamic").data) return fr_fail(&call->err, FR_ERR_INVALID, "dynamic", "has no meaning without fields");
    if (!def->dimension && def->vector_type != FR_TYPE_VECTOR_SPARSE)
        return fr_fail(&call->err, FR_ERR_INVALID, "dimension", "is missing: 1 to %u", FR_DIMENSION_MAX);
    return FR_OK;
}

static fr_http_next written_failed(fr_http_call *call) { return fr_http_fail(call, &call->write.err, call->write.code); }

fr_http_next fr_http_on_collection_create(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door;
    if (call->stage == 0) {
        fr_code code = fr_http_body_in(call, worker);
        fr_collection_def *def = code == FR_OK ? fr_arena_alloc(&call->arena, sizeof *def) : NULL;
        if (code == FR_OK && !def) code = fr_fail(&call->err, FR_ERR_NO_MEMORY, NULL, "no memory for the request");
        if (def) {
            memset(def, 0, sizeof *def);
            code = definition_in(call, def);
            call->object = def->name;
            if (code == FR_OK) code = fr_http_may(call, FR_ACTION_ADMIN, def->name);
        }
        if (code != FR_OK) return fr_http_fail(call, &call->err, code);
        call->write = (fr_write){.kind = FR_WRITE_COLLECTION_CREATE, .def = def};
        call->stage = 1;
        return fr_http_submit(call);
    }
    if (call->write.code != FR_OK) return written_failed(call);
    call->info = fr_arena_alloc(&call->arena, sizeof *call->info);
    fr_code code = call->info ? fr_collection_get(call->db, call->write.id, call->info) : FR_ERR_NO_MEMORY;
    if (code != FR_OK) return fr_http_fail(call, &call->err, code);
    fr_http_collection_out(&call->out, call->info);
    return fr_http_done(call, 200);
}

/* ---- list, get, drop ---- */

fr_http_next fr_http_on_collection_list(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door;
    if (worker->loop) return FR_HTTP_WORKER; /* thousands of collections are possible */
    uint32_t count = fr_collection_list(call->db, NULL, 0);
    fr_id *ids = fr_arena_alloc(&call->arena, FR_MAX(1u, count) * sizeof *ids);
    call->info = fr_arena_alloc(&call->arena, sizeof *call->info);
    if (!ids || !call->info) return fr_http_fail(call, &call->err, FR_ERR_NO_MEMORY);
    count = FR_MIN(count, fr_collection_list(call->db, ids, count));
    fr_out_begin(&call->out, '{');
    fr_out_key(&call->out, "collections");
    fr_out_begin(&call->out, '[');
    for (uint32_t i = 0; i < count; i++) {
        bool there = fr_collection_get(call->db, ids[i], call->info) == FR_OK;
        if (there && fr_http_sees(call, call->info->def.name)) fr_http_collection_out(&call->out, call->info);
    }
    fr_out_end(&call->out, ']');
    fr_out_end(&call->out, '}');
    return fr_http_done(call, 200);
}

fr_http_next fr_http_on_collection_get(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door, (void)worker;
    fr_code code = fr_http_collection(call);
    if (code != FR_OK) return fr_http_fail(call, &call->err, code);
    fr_http_collection_out(&call->out, call->info);
    return fr_http_done(call, 200);
}

fr_http_next fr_http_on_collection_drop(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door, (void)worker;
    if (call->stage == 0) {
        fr_code code = fr_http_collection(call);
        if (code == FR_OK && strcmp(call->info->def.name, call->params[0]) != 0)
            code = fr_fail(&call->err, FR_ERR_INVALID, "collection", "is an alias; drop the collection by its own name, \"%.128s\"",
                           call->info->def.name);
        if (code != FR_OK) return fr_http_fail(call, &call->err, code);
        call->write = (fr_write){.kind = FR_WRITE_COLLECTION_DROP, .id = call->info->id};
        call->stage = 1;
        return fr_http_submit(call);
    }
    if (call->write.code != FR_OK) return written_failed(call);
    fr_out_begin(&call->out, '{');
    fr_out_key(&call->out, "name");
    fr_out_cstring(&call->out, call->params[0]);
    fr_out_key(&call->out, "dropped");
    fr_out_bool(&call->out, true);
    fr_out_end(&call->out, '}');
    return fr_http_done(call, 200);
}

/* ---- aliases ---- */

static void alias_out(fr_out *out, const char *alias, const char *collection)
{
    fr_out_begin(out, '{');
    fr_out_key(out, "alias");
    fr_out_cstring(out, alias);
    fr_out_key(out, "collection");
    fr_out_cstring(out, collection);
    fr_out_end(out, '}');
}

typedef struct alias_item {
    struct alias_item *next;
    const char *alias, *collection;
} alias_item;
typedef struct alias_items {
    fr_http_call *call;
    alias_item *head, **end;
    bool full;
} alias_items;

static void alias_take(void *user, const char *alias, const char *collection)
{
    alias_items *items = user; /* the list must not ask the database */
    fr_arena *arena = &items->call->arena;
    alias_item *one = fr_arena_alloc(arena, sizeof *one);
    if (one) {
        one->next = NULL;
        one->alias = fr_arena_copy(arena, alias, strlen(alias) + 1);
        one->collection = fr_arena_copy(arena, collection, strlen(collection) + 1);
    }
    if (!one || !one->alias || !one->collection) {
        items->full = true;
        return;
    }
    *items->end = one;
    items->end = &one->next;
}

fr_http_next fr_http_on_alias_list(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door;
    if (worker->loop) return FR_HTTP_WORKER;
    fr_out_begin(&call->out, '{');
    fr_out_key(&call->out, "aliases");
    fr_out_begin(&call->out, '[');
    alias_items items = {.call = call};
    items.end = &items.head;
    fr_alias_list(call->db, alias_take, &items);
    if (items.full) return fr_http_fail(call, &call->err, FR_ERR_NO_MEMORY);
    for (const alias_item *one = items.head; one; one = one->next)
        if (fr_http_sees(call, one->collection)) alias_out(&call->out, one->alias, one->collection);
    fr_out_end(&call->out, ']');
    fr_out_end(&call->out, '}');
    return fr_http_done(call, 200);
}

fr_http_next fr_http_on_alias_put(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door;
    if (call->stage == 0) {
        const char *target = NULL;
        fr_code code = fr_http_body_in(call, worker);
        if (code == FR_OK) code = fr_http_field_text(call, call->rest, "collection", FR_NAME_BYTES_MAX, &target, &call->err);
        if (code == FR_OK) code = fr_name_check("collection", target, strlen(target), &call->err);
        if (code == FR_OK) code = fr_http_may(call, FR_ACTION_ADMIN, call->params[0]); /* what it means now */
        if (code == FR_OK) code = fr_http_may(call, FR_ACTION_ADMIN, target);
        if (code != FR_OK) return fr_http_fail(call, &call->err, code);
        call->write = (fr_write){.kind = FR_WRITE_ALIAS_PUT, .name = call->params[0], .target = target};
        call->stage = 1;
        return fr_http_submit(call);
    }
    if (call->write.code != FR_OK) return written_failed(call);
    alias_out(&call->out, call->params[0], call->write.target);
    return fr_http_done(call, 200);
}

fr_http_next fr_http_on_alias_get(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door, (void)worker;
    char target[FR_NAME_BYTES_MAX + 1];
    fr_code code = fr_alias_get(call->db, call->params[0], target, sizeof target);
    if (code != FR_OK) {
        fr_fail(&call->err, code, "alias", "there is no alias \"%.128s\"", call->params[0]);
        return fr_http_fail(call, &call->err, code);
    }
    alias_out(&call->out, call->params[0], target);
    return fr_http_done(call, 200);
}

fr_http_next fr_http_on_alias_drop(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door, (void)worker;
    if (call->stage == 0) {
        call->write = (fr_write){.kind = FR_WRITE_ALIAS_DROP, .name = call->params[0]};
        call->stage = 1;
        return fr_http_submit(call);
    }
    if (call->write.code != FR_OK) return written_failed(call);
    fr_out_begin(&call->out, '{');
    fr_out_key(&call->out, "alias");
    fr_out_cstring(&call->out, call->params[0]);
    fr_out_key(&call->out, "dropped");
    fr_out_bool(&call->out, true);
    fr_out_end(&call->out, '}');
    return fr_http_done(call, 200);
}
