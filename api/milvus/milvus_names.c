/* milvus_names.c: aliases and databases. */
#include "api/milvus/milvus_private.h"

#include <time.h>

static fr_milvus_next over(fr_milvus_call *call) { return call->reply ? FR_MILVUS_REPLY : fr_milvus_done(call); }

/* ---- aliases ---- */

/* The collection that an alias means; false: it is none. */
static bool alias_known(fr_milvus_call *call, const char *database, const char *alias, fr_collection_info **info_out)
{
    size_t count = 0;
    fr_id id;
    char **names = fr_milvus_aliases(call, database, 0, &count);
    bool found = false;
    for (size_t i = 0; names && i < count; i++) found |= strcmp(names[i], alias) == 0;
    if (!found || fr_resolve_in(call->db, database, alias, &id, NULL, &call->err) != FR_OK) return false;
    *info_out = fr_milvus_alloc(call, sizeof **info_out);
    return *info_out && fr_collection_get(call->db, id, *info_out) == FR_OK;
}

static fr_milvus_next conflict(fr_milvus_call *call, const char *database, const char *alias)
{
    return fr_milvus_fail(call, MILVUS_ALIAS_CONFLICT, "alias and collection name conflict[database=%s][alias=%s]", database, alias);
}

static fr_milvus_next alias_put(fr_milvus *door, fr_milvus_call *call, const char *alias, const char *collection)
{
    const char *database = fr_milvus_database(call);
    const fr_milvus_schema *schema = fr_milvus_schema_in(door, call, collection);
    if (!schema) return FR_MILVUS_REPLY;
    call->write = (fr_write){.kind = FR_WRITE_ALIAS_PUT, .name = alias, .target = schema->name, .database = database};
    fr_milvus_write(call, collection);
    return over(call);
}

fr_milvus_next fr_milvus_on_create_alias(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)worker;
    const Milvus__CreateAliasRequest *in = call->request;
    const char *database = fr_milvus_database(call);
    fr_collection_info *info = NULL;
    fr_id id;
    if (!fr_milvus_name_ok(call, MILVUS_NAMED_ALIAS, in->alias)) return FR_MILVUS_REPLY;
    if (!fr_milvus_name_ok(call, MILVUS_NAMED_COLLECTION, in->collection_name)) return FR_MILVUS_REPLY;
    if (alias_known(call, database, in->alias, &info)) {
        if (strcmp(info->def.name, in->collection_name) == 0) return fr_milvus_done(call);
        return fr_milvus_fail(call, MILVUS_ALIAS_EXISTS, "%s is alias to another collection: %s: alias already exist[database=%s][alias=%s]",
                              in->alias, info->def.name, database, in->alias);
    }
    if (fr_resolve_in(call->db, database, in->alias, &id, NULL, &call->err) == FR_OK) return conflict(call, database, in->alias);
    return alias_put(door, call, in->alias, in->collection_name);
}

fr_milvus_next fr_milvus_on_alter_alias(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)worker;
    const Milvus__AlterAliasRequest *in = call->request;
    const char *database = fr_milvus_database(call);
    fr_collection_info *info = NULL;
    fr_id id;
    if (!fr_milvus_name_ok(call, MILVUS_NAMED_ALIAS, in->alias)) return FR_MILVUS_REPLY;
    if (!fr_milvus_name_ok(call, MILVUS_NAMED_COLLECTION, in->collection_name)) return FR_MILVUS_REPLY;
    if (!alias_known(call, database, in->alias, &info)) {
        if (fr_resolve_in(call->db, database, in->alias, &id, NULL, &call->err) == FR_OK) return conflict(call, database, in->alias);
        if (fr_resolve_in(call->db, database, in->collection_name, &id, NULL, &call->err) != FR_OK)
            return fr_milvus_fail(call, MILVUS_COLLECTION_NOT_FOUND, "collection not found[collection=%s]", in->collection_name);
        return fr_milvus_fail(call, MILVUS_ALIAS_NOT_FOUND, "alias not found[database=%s][alias=%s]", database, in->alias);
    }
    if (fr_resolve_in(call->db, database, in->collection_name, &id, NULL, &call->err) != FR_OK) /* without the database, as Milvus says it here */
        return fr_milvus_fail(call, MILVUS_COLLECTION_NOT_FOUND, "collection not found[collection=%s]", in->collection_name);
    return alias_put(door, call, in->alias, in->collection_name);
}

fr_milvus_next fr_milvus_on_drop_alias(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    const Milvus__DropAliasRequest *in = call->request;
    const char *database = fr_milvus_database(call);
    fr_collection_info *info = NULL;
    if (!fr_milvus_database_there(call, database)) return FR_MILVUS_REPLY;
    if (!alias_known(call, database, in->alias, &info)) return fr_milvus_done(call); /* gone is gone */
    call->write = (fr_write){.kind = FR_WRITE_ALIAS_DROP, .name = in->alias, .database = database};
    fr_milvus_write(call, in->alias);
    return over(call);
}

fr_milvus_next fr_milvus_on_describe_alias(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)worker;
    const Milvus__DescribeAliasRequest *in = call->request;
    const char *database = fr_milvus_database(call);
    fr_collection_info *info = NULL;
    if (!fr_milvus_may(door, call, FR_ACTION_READ, in->alias)) return FR_MILVUS_REPLY;
    if (!fr_milvus_database_there(call, database)) return FR_MILVUS_REPLY;
    if (!alias_known(call, database, in->alias, &info))
        return fr_milvus_fail(call, MILVUS_ALIAS_NOT_FOUND, "alias not found[database=%s][alias=%s]", database, in->alias);
    Milvus__DescribeAliasResponse *out = call->reply = fr_milvus_message(&call->arena, call->rpc->reply);
    if (out) out->db_name = fr_milvus_mut(database), out->alias = in->alias, out->collection = info->def.name;
    return fr_milvus_done(call);
}

fr_milvus_next fr_milvus_on_list_aliases(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)worker;
    const Milvus__ListAliasesRequest *in = call->request;
    const char *database = fr_milvus_database(call);
    fr_id id = 0;
    if (in->collection_name[0]) {
        if (!fr_milvus_may(door, call, FR_ACTION_READ, in->collection_name)) return FR_MILVUS_REPLY;
        const fr_milvus_schema *schema = fr_milvus_schema_in(door, call, in->collection_name);
        if (!schema) return FR_MILVUS_REPLY;
        id = schema->id;
    } else if (!fr_milvus_database_there(call, database)) {
        return FR_MILVUS_REPLY;
    }
    Milvus__ListAliasesResponse *out = fr_milvus_message(&call->arena, call->rpc->reply);
    if (!out || !(out->aliases = fr_milvus_aliases(call, database, id, &out->n_aliases)))
        return fr_milvus_fail(call, MILVUS_MEMORY, "no memory for the answer");
    size_t seen = 0;
    for (size_t i = 0; i < out->n_aliases; i++)
        if (fr_milvus_sees(call, database, out->aliases[i])) out->aliases[seen++] = out->aliases[i];
    out->n_aliases = seen;
    out->db_name = fr_milvus_mut(database), out->collection_name = in->collection_name;
    call->reply = out;
    return fr_milvus_done(call);
}

/* ---- databases ---- */

typedef struct database {
    const char *name;
    fr_milvus_schema *into; /* its arena and properties */
    int64_t created_ms;
    fr_id id;
} database;

static void database_read(void *user, const char *name, fr_id id, fr_span attributes)
{
    database *self = user;
    fr_span key;
    fr_doc value;
    if (strcmp(name, self->name) != 0) return;
    self->id = id;
    if (attributes.size == 0 || fr_doc_check(attributes, NULL) != FR_OK) return;
    fr_doc root = fr_doc_get(fr_doc_root(attributes), fr_span_text("milvus"));
    fr_doc created = fr_doc_get(root, fr_span_text("created")), list = fr_doc_get(root, fr_span_text("properties"));
    if (created.data && fr_doc_type(created) == FR_DOC_INT) self->created_ms = fr_doc_int(created);
    if (!list.data || fr_doc_type(list) != FR_DOC_OBJECT) return;
    fr_doc_iter iter = fr_doc_begin(list);
    while (fr_doc_next(&iter, &key, &value)) {
        if (fr_doc_type(value) != FR_DOC_STRING) continue;
        fr_span text = fr_doc_string(value);
        char *name_copy = fr_arena_alloc(&self->into->arena, key.size + 1), *text_copy = fr_arena_alloc(&self->into->arena, text.size + 1);
        if (!name_copy || !text_copy) return;
        memcpy(name_copy, key.data, key.size), name_copy[key.size] = 0;
        memcpy(text_copy, text.data, text.size), text_copy[text.size] = 0;
        if (fr_milvus_pairs_set(self->into, &self->into->properties, name_copy, text_copy) != FR_OK) return;
    }
}

static void text_put(fr_doc_builder *b, const char *text) { fr_doc_put_string(b, text, strlen(text)); }

static fr_milvus_next database_put(fr_milvus_call *call, const char *name, const database *self, bool create)
{
    fr_doc_builder b = {0};
    const fr_milvus_pairs *pairs = &self->into->properties;
    fr_doc_begin_object(&b);
    fr_doc_put_key(&b, "milvus", 6);
    fr_doc_begin_object(&b);
    fr_doc_put_key(&b, "created", 7);
    fr_doc_put_int(&b, self->created_ms);
    fr_doc_put_key(&b, "properties", 10);
    fr_doc_begin_object(&b);
    for (uint32_t i = 0; i < pairs->count; i++) {
        fr_doc_put_key(&b, pairs->items[i].key, strlen(pairs->items[i].key));
        text_put(&b, pairs->items[i].value);
    }
    fr_doc_end_object(&b);
    fr_doc_end_object(&b);
    fr_doc_end_object(&b);
    call->write = (fr_write){.kind = FR_WRITE_DATABASE_PUT, .name = name, .create_only = create};
    fr_code code = fr_doc_finish(&b, &call->write.attributes);
    if (code == FR_OK) code = fr_submit_wait(call->db, &call->write, &call->err);
    fr_doc_free(&b);
    if (code == FR_ERR_EXISTS) return fr_milvus_fail(call, MILVUS_UNEXPECTED, "database already exist: %s", name);
    if (code != FR_OK) return fr_milvus_fail_fr(call, code, &call->err, name, name);
    return fr_milvus_done(call);
}

fr_milvus_next fr_milvus_on_create_database(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    const Milvus__CreateDatabaseRequest *in = call->request;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (!fr_milvus_name_ok(call, MILVUS_NAMED_DATABASE, in->db_name)) return FR_MILVUS_REPLY;
    if (strcmp(in->db_name, "default") == 0) return fr_milvus_fail(call, MILVUS_UNEXPECTED, "database already exist: default");
    database self = {.into = fr_milvus_schema_new(), .created_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000};
    if (!self.into || fr_milvus_pairs_in(self.into, &self.into->properties, in->properties, in->n_properties) != FR_OK)
        fr_milvus_fail(call, MILVUS_MEMORY, "no memory for the database");
    else database_put(call, in->db_name, &self, true);
    fr_milvus_schema_free(self.into);
    return over(call);
}

fr_milvus_next fr_milvus_on_alter_database(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    const Milvus__AlterDatabaseRequest *in = call->request;
    const char *name = fr_milvus_database(call);
    if (!fr_milvus_database_there(call, name)) return FR_MILVUS_REPLY;
    if (strcmp(name, "default") == 0) return fr_milvus_fail(call, MILVUS_UNSUPPORTED, "the database default has no properties");
    database self = {.name = name, .into = fr_milvus_schema_new()};
    fr_code code = self.into ? FR_OK : FR_ERR_NO_MEMORY;
    if (code == FR_OK) fr_database_list(call->db, database_read, &self);
    if (code == FR_OK) code = fr_milvus_pairs_in(self.into, &self.into->properties, in->properties, in->n_properties);
    for (size_t i = 0; i < in->n_delete_keys && code == FR_OK; i++)
        code = fr_milvus_pairs_set(self.into, &self.into->properties, in->delete_keys[i], NULL);
    if (code == FR_OK) database_put(call, name, &self, false);
    else fr_milvus_fail(call, MILVUS_MEMORY, "no memory for the database");
    fr_milvus_schema_free(self.into);
    return over(call);
}

/* For the words of the answer; the engine decides. */
static bool database_empty(fr_milvus_call *call, const char *name)
{
    uint32_t count = fr_collection_list(call->db, NULL, 0);
    fr_id *ids = fr_milvus_alloc(call, count * sizeof *ids);
    fr_collection_info *info = fr_milvus_alloc(call, sizeof *info);
    if (!ids || !info) return true;
    count = FR_MIN(fr_collection_list(call->db, ids, count), count);
    for (uint32_t i = 0; i < count; i++)
        if (fr_collection_get(call->db, ids[i], info) == FR_OK && strcmp(info->def.database, name) == 0) return false;
    return true;
}

fr_milvus_next fr_milvus_on_drop_database(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    const Milvus__DropDatabaseRequest *in = call->request;
    if (strcmp(in->db_name, "default") == 0) return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "can not drop default database: invalid parameter");
    if (!fr_milvus_name_ok(call, MILVUS_NAMED_DATABASE, in->db_name) || !fr_milvus_database_there(call, in->db_name)) return FR_MILVUS_REPLY;
    if (!database_empty(call, in->db_name))
        return fr_milvus_fail(call, MILVUS_UNEXPECTED, "database:%s not empty, must drop all collections before drop database", in->db_name);
    call->write = (fr_write){.kind = FR_WRITE_DATABASE_DROP, .name = in->db_name};
    fr_milvus_write(call, in->db_name);
    return over(call);
}

typedef struct listing {
    fr_milvus_call *call;
    Milvus__ListDatabasesResponse *out;
    size_t room;
} listing;

static void list_one(void *user, const char *name, fr_id id, fr_span attributes)
{
    listing *self = user;
    Milvus__ListDatabasesResponse *out = self->out;
    (void)attributes;
    if (strcmp(name, "default") == 0 || out->n_db_names == self->room) return;
    char *copy = fr_milvus_text(self->call, "%s", name);
    if (!copy) return;
    out->db_names[out->n_db_names++] = copy;
    out->db_ids[out->n_db_ids++] = (int64_t)id;
    out->n_created_timestamp++;
}

fr_milvus_next fr_milvus_on_list_databases(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    listing self = {.call = call, .out = fr_milvus_message(&call->arena, call->rpc->reply), .room = FR_DATABASES_MAX + 1};
    Milvus__ListDatabasesResponse *out = self.out;
    if (!out || !(out->db_names = fr_milvus_alloc(call, self.room * sizeof *out->db_names)) ||
        !(out->db_ids = fr_milvus_alloc(call, self.room * sizeof *out->db_ids)) ||
        !(out->created_timestamp = fr_milvus_alloc(call, self.room * sizeof *out->created_timestamp)))
        return fr_milvus_fail(call, MILVUS_MEMORY, "no memory for the answer");
    out->db_names[out->n_db_names++] = fr_milvus_mut("default");
    out->db_ids[out->n_db_ids++] = 0;
    out->n_created_timestamp = 1;
    fr_database_list(call->db, list_one, &self);
    call->reply = out;
    return fr_milvus_done(call);
}

fr_milvus_next fr_milvus_on_describe_database(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    const Milvus__DescribeDatabaseRequest *in = call->request;
    const char *name = in->db_name[0] ? in->db_name : "default";
    if (!fr_milvus_database_there(call, name)) return FR_MILVUS_REPLY;
    database self = {.name = name, .into = fr_milvus_schema_new()};
    Milvus__DescribeDatabaseResponse *out = fr_milvus_message(&call->arena, call->rpc->reply);
    if (!self.into || !out) {
        fr_milvus_schema_free(self.into);
        return fr_milvus_fail(call, MILVUS_MEMORY, "no memory for the answer");
    }
    fr_database_list(call->db, database_read, &self);
    out->db_name = fr_milvus_mut(name);
    out->dbid = (int64_t)self.id;
    out->created_timestamp = (uint64_t)self.created_ms << 18;
    fr_milvus_pairs *pairs = &self.into->properties; /* the answer outlives them */
    for (uint32_t i = 0; i < pairs->count; i++) {
        pairs->items[i].key = fr_milvus_text(call, "%s", pairs->items[i].key);
        pairs->items[i].value = fr_milvus_text(call, "%s", pairs->items[i].value);
        if (!pairs->items[i].key || !pairs->items[i].value) pairs->count = i;
    }
    out->properties = fr_milvus_pairs_out(call, pairs, &out->n_properties);
    fr_milvus_schema_free(self.into);
    call->reply = out;
    return fr_milvus_done(call);
}
