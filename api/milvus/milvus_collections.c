/* milvus_collections.c: describing, listing, renaming, altering, dropping collections. */
#include "api/milvus/milvus_private.h"

#include <stdio.h>

/* A handler ends: what has failed has set its reply. */
static fr_milvus_next over(fr_milvus_call *call) { return call->reply ? FR_MILVUS_REPLY : fr_milvus_done(call); }

/* ---- describe, has, show ---- */

const fr_milvus_schema *fr_milvus_schema_by(fr_milvus *door, fr_milvus_call *call, const char *name, int64_t number)
{
    fr_collection_info *info;
    if (*name || number <= 0) return fr_milvus_schema_in(door, call, name);
    info = fr_milvus_alloc(call, sizeof *info);
    if (!info || fr_collection_get(call->db, (fr_id)number, info) != FR_OK) {
        fr_milvus_fail(call, MILVUS_COLLECTION_NOT_FOUND, "collection not found[database=%s][collection=%lld]", fr_milvus_database(call), (long long)number);
        return NULL;
    }
    return fr_milvus_schema_at(door, call, info->def.database, info->def.name);
}

static bool channels(fr_milvus_call *call, const fr_milvus_schema *schema, char ***out, size_t *count_out, const char *kind)
{
    uint32_t count = (uint32_t)FR_MIN(FR_MAX(schema->shards, 1), 64);
    *out = fr_milvus_alloc(call, count * sizeof **out);
    for (uint32_t i = 0; *out && i < count; i++)
        if (!((*out)[(*count_out)++] = fr_milvus_text(call, "freshet-%s-%llu-v%u", kind, (unsigned long long)schema->id, i))) return false;
    return *out != NULL;
}

/* Milvus has words of its own here; older clients look for them. */
static fr_milvus_next described_none(fr_milvus_call *call, const char *name)
{
    const Milvus__Status *status = fr_milvus_status_of(call);
    if (!status || status->code != MILVUS_COLLECTION_NOT_FOUND || !*name) return FR_MILVUS_REPLY;
    return fr_milvus_fail(call, MILVUS_COLLECTION_NOT_FOUND, "can't find collection[database=%s][collection=%s]", fr_milvus_database(call), name);
}

fr_milvus_next fr_milvus_on_describe_collection(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)worker;
    const Milvus__DescribeCollectionRequest *in = call->request;
    const fr_milvus_schema *schema = fr_milvus_schema_by(door, call, in->collection_name, in->collectionid);
    if (!schema) return described_none(call, in->collection_name);
    Milvus__DescribeCollectionResponse *out = fr_milvus_message(&call->arena, call->rpc->reply);
    if (!out || !(out->schema = fr_milvus_schema_out(call, schema)) ||
        !channels(call, schema, &out->virtual_channel_names, &out->n_virtual_channel_names, "virtual") ||
        !channels(call, schema, &out->physical_channel_names, &out->n_physical_channel_names, "physical") ||
        !(out->aliases = fr_milvus_aliases(call, schema->database, schema->id, &out->n_aliases)))
        return fr_milvus_fail(call, MILVUS_MEMORY, "no memory for the answer");
    out->collectionid = (int64_t)schema->id;
    out->created_utc_timestamp = (uint64_t)schema->created_ms;
    out->created_timestamp = (uint64_t)schema->created_ms << 18;
    out->shards_num = schema->shards;
    out->consistency_level = schema->consistency;
    out->collection_name = fr_milvus_mut(schema->name);
    out->db_name = fr_milvus_mut(schema->database);
    out->properties = fr_milvus_pairs_out(call, &schema->properties, &out->n_properties);
    out->num_partitions = (int64_t)schema->partition_count;
    out->update_timestamp = schema->updated;
    out->update_timestamp_str = fr_milvus_text(call, "%llu", (unsigned long long)schema->updated);
    call->reply = out;
    return fr_milvus_done(call);
}

fr_milvus_next fr_milvus_on_has_collection(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    const Milvus__HasCollectionRequest *in = call->request;
    fr_id id;
    if (!fr_milvus_database_there(call, fr_milvus_database(call))) return FR_MILVUS_REPLY;
    bool there = fr_resolve_in(call->db, fr_milvus_database(call), in->collection_name, &id, NULL, &call->err) == FR_OK;
    if (!there && !fr_milvus_name_ok(call, MILVUS_NAMED_COLLECTION, in->collection_name)) return FR_MILVUS_REPLY;
    Milvus__BoolResponse *out = call->reply = fr_milvus_message(&call->arena, call->rpc->reply);
    if (out) out->value = there;
    return fr_milvus_done(call);
}

static bool asked_for(const Milvus__ShowCollectionsRequest *in, const char *name)
{
    for (size_t i = 0; i < in->n_collection_names; i++)
        if (strcmp(in->collection_names[i], name) == 0) return true;
    return in->n_collection_names == 0;
}

static bool show_room(fr_milvus_call *call, Milvus__ShowCollectionsResponse *out, uint32_t count)
{
    return (out->collection_names = fr_milvus_alloc(call, count * sizeof *out->collection_names)) &&
           (out->collection_ids = fr_milvus_alloc(call, count * sizeof *out->collection_ids)) &&
           (out->created_timestamps = fr_milvus_alloc(call, count * sizeof *out->created_timestamps)) &&
           (out->created_utc_timestamps = fr_milvus_alloc(call, count * sizeof *out->created_utc_timestamps)) &&
           (out->inmemory_percentages = fr_milvus_alloc(call, count * sizeof *out->inmemory_percentages)) &&
           (out->query_service_available = fr_milvus_alloc(call, count * sizeof *out->query_service_available)) &&
           (out->shards_num = fr_milvus_alloc(call, count * sizeof *out->shards_num));
}

static void show_one(fr_milvus *door, fr_milvus_call *call, Milvus__ShowCollectionsResponse *out, const char *database,
                     const fr_collection_info *info)
{
    enum { IN_MEMORY = 1 };
    const Milvus__ShowCollectionsRequest *in = call->request;
    fr_milvus_schema *schema;
    const char *there = info->def.database[0] ? info->def.database : "default";
    if (strcmp(there, database) != 0 || !asked_for(in, info->def.name) || !fr_milvus_sees(call, database, info->def.name)) return;
    if (fr_milvus_cache_get(door->cache, call->db, database, info->def.name, &schema, &call->err) != FR_OK) return; /* dropped since */
    if (schema->loaded || in->type != IN_MEMORY) {
        size_t at = out->n_collection_names++;
        out->collection_names[at] = fr_milvus_text(call, "%s", schema->name);
        if (!out->collection_names[at]) out->collection_names[at] = fr_milvus_mut("");
        out->collection_ids[at] = (int64_t)schema->id;
        out->created_utc_timestamps[at] = (uint64_t)schema->created_ms;
        out->created_timestamps[at] = (uint64_t)schema->created_ms << 18;
        out->inmemory_percentages[at] = schema->loaded ? 100 : 0;
        out->query_service_available[at] = schema->loaded;
        out->shards_num[at] = schema->shards;
    }
    fr_milvus_schema_drop(door->cache, schema);
}

fr_milvus_next fr_milvus_on_show_collections(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)worker;
    const char *database = fr_milvus_database(call);
    if (!fr_milvus_database_there(call, database)) return FR_MILVUS_REPLY;
    uint32_t count = fr_collection_list(call->db, NULL, 0), room = count + 16;
    fr_id *ids = fr_milvus_alloc(call, room * sizeof *ids);
    fr_collection_info *info = fr_milvus_alloc(call, sizeof *info);
    Milvus__ShowCollectionsResponse *out = fr_milvus_message(&call->arena, call->rpc->reply);
    if (!ids || !info || !out || !show_room(call, out, room)) return fr_milvus_fail(call, MILVUS_MEMORY, "no memory for the answer");
    count = FR_MIN(fr_collection_list(call->db, ids, room), room);
    for (uint32_t i = 0; i < count; i++)
        if (fr_collection_get(call->db, ids[i], info) == FR_OK) show_one(door, call, out, database, info);
    out->n_collection_ids = out->n_created_timestamps = out->n_created_utc_timestamps = out->n_inmemory_percentages =
        out->n_query_service_available = out->n_shards_num = out->n_collection_names;
    call->reply = out;
    return fr_milvus_done(call);
}

fr_milvus_next fr_milvus_on_statistics(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)worker;
    const Milvus__GetCollectionStatisticsRequest *in = call->request;
    const fr_milvus_schema *schema = fr_milvus_schema_in(door, call, in->collection_name);
    fr_collection_info *info = schema ? fr_milvus_alloc(call, sizeof *info) : NULL;
    if (!info) return over(call);
    fr_code code = fr_collection_get(call->db, schema->id, info);
    if (code != FR_OK) return fr_milvus_fail_fr(call, code, &call->err, schema->database, schema->name);
    Milvus__GetCollectionStatisticsResponse *out = call->reply = fr_milvus_message(&call->arena, call->rpc->reply);
    fr_milvus_pair pair = {"row_count", fr_milvus_text(call, "%llu", (unsigned long long)info->count)};
    if (out && pair.value) out->stats = fr_milvus_pairs_out(call, &(fr_milvus_pairs){&pair, 1}, &out->n_stats);
    return fr_milvus_done(call);
}

/* ---- drop, rename, truncate ---- */

fr_milvus_next fr_milvus_on_drop_collection(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)worker;
    const Milvus__DropCollectionRequest *in = call->request;
    size_t count = 0;
    if (!fr_milvus_database_there(call, fr_milvus_database(call))) return FR_MILVUS_REPLY;
    fr_id id;
    if (fr_resolve_in(call->db, fr_milvus_database(call), in->collection_name, &id, NULL, &call->err) != FR_OK)
        return fr_milvus_name_ok(call, MILVUS_NAMED_COLLECTION, in->collection_name) ? fr_milvus_done(call) : FR_MILVUS_REPLY; /* gone is gone */
    const fr_milvus_schema *schema = fr_milvus_schema_in(door, call, in->collection_name);
    if (!schema) return FR_MILVUS_REPLY;
    if (strcmp(schema->name, in->collection_name) != 0)
        return fr_milvus_fail(call, MILVUS_UNEXPECTED, "cannot drop the collection via alias = %s", in->collection_name);
    char **aliases = fr_milvus_aliases(call, schema->database, schema->id, &count);
    if (aliases && count)
        return fr_milvus_fail(call, MILVUS_UNEXPECTED,
                              "unable to drop the collection [%s] because it has associated aliases [%s%s], "
                              "please remove all aliases before dropping the collection", schema->name, aliases[0], count > 1 ? " .." : "");
    call->write = (fr_write){.kind = FR_WRITE_COLLECTION_DROP, .id = schema->id};
    fr_code code = fr_submit_wait(call->db, &call->write, &call->err);
    if (code != FR_OK && code != FR_ERR_NOT_FOUND) return fr_milvus_fail_fr(call, code, &call->err, schema->database, schema->name);
    return fr_milvus_done(call);
}

static bool rename_edit(fr_milvus_call *call, fr_milvus_schema *schema, fr_collection_change *change, void *user)
{
    const Milvus__RenameCollectionRequest *in = user;
    change->set_attributes = schema->foreign ? false : true;
    change->name = in->newname;
    if (in->newdbname[0] && strcmp(in->newdbname, schema->database) != 0) change->database = in->newdbname;
    if (strcmp(schema->name, in->oldname) == 0) return true;
    fr_milvus_fail(call, MILVUS_UNEXPECTED, "unsupported use an alias to rename collection, alias:%s", in->oldname);
    return false;
}

fr_milvus_next fr_milvus_on_rename_collection(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    const Milvus__RenameCollectionRequest *in = call->request;
    const char *target = in->newdbname[0] ? in->newdbname : fr_milvus_database(call);
    fr_id id;
    if (!fr_milvus_name_ok(call, MILVUS_NAMED_COLLECTION, in->newname) || !fr_milvus_database_there(call, target)) return FR_MILVUS_REPLY;
    if (fr_resolve_in(call->db, target, in->newname, &id, NULL, &call->err) == FR_OK) {
        fr_collection_info *info = fr_milvus_alloc(call, sizeof *info);
        if (info && fr_collection_get(call->db, id, info) == FR_OK && strcmp(info->def.name, in->newname) != 0)
            return fr_milvus_fail(call, MILVUS_ALIAS_CONFLICT, "alias and collection name conflict[database=%s][alias=%s]", target, in->newname);
        return fr_milvus_fail(call, MILVUS_UNEXPECTED, "duplicated new collection name %s:%s with other collection name or alias", target, in->newname);
    }
    fr_milvus_change(call, in->oldname, rename_edit, (void *)(uintptr_t)in);
    return over(call);
}

fr_milvus_next fr_milvus_on_truncate(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)worker;
    const Milvus__TruncateCollectionRequest *in = call->request;
    const fr_milvus_schema *schema = fr_milvus_schema_in(door, call, in->collection_name);
    if (!schema) return FR_MILVUS_REPLY;
    call->write = (fr_write){.kind = FR_WRITE_COLLECTION_TRUNCATE, .id = schema->id};
    fr_milvus_write(call, schema->name);
    return over(call);
}

/* ---- properties ---- */

typedef struct properties {
    Milvus__KeyValuePair *const *set;
    size_t set_count;
    char *const *drop;
    size_t drop_count;
    const char *field; /* of a field's params */
    fr_field_def wider;
} properties;

static bool edit_pairs(fr_milvus_call *call, fr_milvus_schema *schema, fr_milvus_pairs *pairs, const properties *change)
{
    fr_code code = fr_milvus_pairs_in(schema, pairs, change->set, change->set_count);
    for (size_t i = 0; i < change->drop_count && code == FR_OK; i++) code = fr_milvus_pairs_set(schema, pairs, change->drop[i], NULL);
    if (code != FR_OK) fr_milvus_fail(call, MILVUS_MEMORY, "no memory for the properties");
    return code == FR_OK;
}

#define MMAP "mmap.enabled"
#define DESCRIPTION_OF_FIELD "field.description" /* properties that are none: they change what is described */
#define DESCRIPTION_OF_COLLECTION "collection.description"

static bool named(char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0) return true;
    return false;
}

static bool loaded_already(fr_milvus_call *call, const fr_milvus_schema *schema, const char *why)
{
    fr_milvus_fail(call, MILVUS_COLLECTION_LOADED, "%s: collection already loaded[collection=%s]", why, schema->name);
    return false;
}

static bool properties_edit(fr_milvus_call *call, fr_milvus_schema *schema, fr_collection_change *change, void *user)
{
    const properties *wanted = user;
    const char *description = fr_milvus_param(wanted->set, wanted->set_count, DESCRIPTION_OF_COLLECTION);
    (void)change;
    if (schema->loaded && fr_milvus_param(wanted->set, wanted->set_count, MMAP))
        return loaded_already(call, schema, "can not alter mmap properties if collection loaded");
    if (schema->loaded && named(wanted->drop, wanted->drop_count, MMAP))
        return loaded_already(call, schema, "can not delete mmap properties if collection loaded");
    if (!edit_pairs(call, schema, &schema->properties, user)) return false;
    if (!description) return true;
    schema->description = fr_milvus_kept(schema, description);
    return fr_milvus_pairs_set(schema, &schema->properties, DESCRIPTION_OF_COLLECTION, NULL) == FR_OK;
}

fr_milvus_next fr_milvus_on_alter_collection(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    const Milvus__AlterCollectionRequest *in = call->request;
    properties change = {.set = in->properties, .set_count = in->n_properties, .drop = in->delete_keys, .drop_count = in->n_delete_keys};
    if (!change.set_count && !change.drop_count)
        return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER,
                              "The properties to alter and keys to delete must not be empty at the same time: invalid parameter");
    if (change.set_count && change.drop_count)
        return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "can not provide properties and deletekeys at the same time: invalid parameter");
    if (!fr_milvus_ttl_ok(call, in->properties, in->n_properties)) return FR_MILVUS_REPLY;
    if (named(in->delete_keys, in->n_delete_keys, "dynamicfield.enabled"))
        return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "cannot delete key dynamicfield.enabled: invalid parameter");
    fr_milvus_change(call, in->collection_name, properties_edit, &change);
    return over(call);
}

/* A wider length or capacity is the engine's, too. */
static bool widen(fr_milvus_call *call, const fr_milvus_schema *schema, fr_milvus_field *field, fr_collection_change *change, properties *wanted)
{
    static const char *const keys[] = {"max_length", "max_capacity"};
    uint32_t *const numbers[] = {&field->max_length, &field->max_capacity};
    bool wider = false;
    for (size_t i = 0; i < FR_COUNT_OF(keys); i++) {
        const char *text = fr_milvus_param(wanted->set, wanted->set_count, keys[i]);
        int64_t number;
        if (!text) continue;
        if (!*numbers[i]) {
            static const char *const words[] = {"maxlength for non-string types", "maxcapacity for non-array types"};
            fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "%s can not modify the %s: invalid parameter", field->name, words[i]);
            return false;
        }
        if (!fr_milvus_int(text, &number) || number < 1 || number > 65535) {
            fr_milvus_fail(call, MILVUS_INVALID_PARAMETER,
                           "%s of field %s cannot be %.40s: it exceeds the maximum allowed value 65535, or is none: invalid parameter", keys[i], field->name,
                           text);
            return false;
        }
        *numbers[i] = (uint32_t)number;
        wider = true;
    }
    fr_collection_info *info = wider && !field->primary ? fr_milvus_alloc(call, sizeof *info) : NULL;
    if (!info || fr_collection_get(call->db, schema->id, info) != FR_OK) return true;
    for (uint32_t i = 0; i < info->def.field_count && i < FR_FIELDS_MAX; i++) {
        const fr_field_def *now = &info->def.fields[i];
        if (now->id != field->engine_field || (field->max_length <= now->max_length && field->max_capacity <= now->max_capacity)) continue;
        wanted->wider = *now; /* never narrower: what is there stays; new rows are judged by the door */
        wanted->wider.max_length = FR_MAX(now->max_length, field->max_length);
        wanted->wider.max_capacity = FR_MAX(now->max_capacity, field->max_capacity);
        change->set = &wanted->wider, change->set_count = 1;
    }
    return true;
}

static bool field_edit(fr_milvus_call *call, fr_milvus_schema *schema, fr_collection_change *change, void *user)
{
    properties *wanted = user;
    for (uint32_t i = 0; i < schema->field_count; i++) {
        fr_milvus_field *field = &schema->fields[i];
        if (strcmp(field->name, wanted->field) != 0) continue;
        const char *description = fr_milvus_param(wanted->set, wanted->set_count, DESCRIPTION_OF_FIELD);
        if (schema->loaded && (fr_milvus_param(wanted->set, wanted->set_count, MMAP) || named(wanted->drop, wanted->drop_count, MMAP)))
            return loaded_already(call, schema, "can not alter collection field properties if collection loaded");
        schema->updated = fr_timestamp(call->db);
        if (!edit_pairs(call, schema, &field->params, wanted) || !widen(call, schema, field, change, wanted)) return false;
        if (!description) return true;
        field->description = fr_milvus_kept(schema, description);
        return fr_milvus_pairs_set(schema, &field->params, DESCRIPTION_OF_FIELD, NULL) == FR_OK;
    }
    fr_milvus_fail(call, MILVUS_FIELD_NOT_FOUND, "field %s does not exist in collection %s: field not found[field=%s]", wanted->field, schema->name,
                   wanted->field);
    return false;
}

fr_milvus_next fr_milvus_on_alter_field(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    const Milvus__AlterCollectionFieldRequest *in = call->request;
    properties change = {.set = in->properties, .set_count = in->n_properties, .drop = in->delete_keys, .drop_count = in->n_delete_keys,
                         .field = in->field_name};
    static const char *const may[] = {"max_length", MMAP, "max_capacity", DESCRIPTION_OF_FIELD};
    for (size_t i = 0; i < in->n_properties; i++) {
        const char *key = in->properties[i]->key;
        bool known = strncmp(key, "warmup", 6) == 0;
        for (size_t j = 0; j < FR_COUNT_OF(may); j++) known |= strcmp(key, may[j]) == 0;
        if (!known)
            return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "%.100s does not allow update in collection field param: invalid parameter", key);
    }
    for (size_t i = 0; i < in->n_delete_keys; i++)
        if (strcmp(in->delete_keys[i], MMAP) != 0 && strncmp(in->delete_keys[i], "warmup", 6) != 0)
            return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "%.100s is not allowed to drop in collection field param: invalid parameter",
                                  in->delete_keys[i]);
    fr_milvus_change(call, in->collection_name, field_edit, &change);
    return over(call);
}

/* ---- fields ---- */

typedef struct addition {
    const Milvus__FieldSchema *field;
    const char *drop;
    fr_field_def def;
} addition;

static bool add_edit(fr_milvus_call *call, fr_milvus_schema *schema, fr_collection_change *change, void *user)
{
    addition *self = user;
    const Milvus__FieldSchema *in = self->field;
    if (!in->nullable) {
        fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "added field must be nullable, please check it, field name = %s: invalid parameter", in->name);
        return false;
    }
    if (in->is_primary_key || in->is_partition_key || in->autoid || in->data_type >= FR_TYPE_VECTOR_BINARY) {
        fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "only a scalar field can be added, field name = %s: invalid parameter", in->name);
        return false;
    }
    if (!fr_milvus_field_in(call, schema, in, &self->def)) return false;
    schema->updated = fr_timestamp(call->db);
    change->add = &self->def, change->add_count = 1;
    return true;
}

static fr_milvus_next add(fr_milvus_call *call, const char *collection, const Milvus__FieldSchema *field)
{
    addition self = {.field = field};
    fr_milvus_change(call, collection, add_edit, &self);
    return over(call);
}

fr_milvus_next fr_milvus_on_add_field(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    const Milvus__AddCollectionFieldRequest *in = call->request;
    const Milvus__FieldSchema *field = fr_milvus_unpack(&milvus__field_schema__descriptor, fr_span_of(in->schema.data, in->schema.len),
                                                        &call->arena, &call->err);
    if (!field) return fr_milvus_fail_fr(call, call->err.code, &call->err, NULL, in->collection_name);
    return add(call, in->collection_name, field);
}

static bool drop_edit(fr_milvus_call *call, fr_milvus_schema *schema, fr_collection_change *change, void *user)
{
    addition *self = user;
    uint32_t at = 0;
    while (at < schema->field_count && strcmp(schema->fields[at].name, self->drop) != 0) at++;
    if (at == schema->field_count) {
        fr_milvus_fail(call, MILVUS_FIELD_NOT_FOUND, "field not found[field=%s]", self->drop);
        return false;
    }
    const fr_milvus_field *field = &schema->fields[at];
    bool used = field->primary || field->partition_key || field->vector >= 0;
    for (uint32_t i = 0; i < schema->function_count; i++)
        for (uint32_t j = 0; j < schema->functions[i].input_count; j++) used |= schema->functions[i].inputs[j] == at;
    if (used) {
        fr_milvus_fail(call, MILVUS_INVALID_PARAMETER,
                       "field %s is a key, a vector or a function's input and cannot be dropped: invalid parameter", self->drop);
        return false;
    }
    for (uint32_t i = schema->index_count; i-- > 0;) {
        if (schema->indexes[i].field != at) continue;
        memmove(&schema->indexes[i], &schema->indexes[i + 1], (schema->index_count - i - 1) * sizeof *schema->indexes);
        schema->index_count--;
    }
    memmove(&schema->fields[at], &schema->fields[at + 1], (schema->field_count - at - 1) * sizeof *schema->fields);
    schema->field_count--;
    for (uint32_t i = 0; i < schema->index_count; i++) {
        uint32_t *place = &schema->indexes[i].field;
        *place -= *place != FR_MILVUS_DYNAMIC && *place > at;
    }
    for (uint32_t i = 0; i < schema->function_count; i++) {
        fr_milvus_function *function = &schema->functions[i];
        for (uint32_t j = 0; j < function->input_count; j++) function->inputs[j] -= function->inputs[j] > at;
        for (uint32_t j = 0; j < function->output_count; j++) function->outputs[j] -= function->outputs[j] > at;
    }
    schema->updated = fr_timestamp(call->db);
    change->drop = self->drop;
    return true;
}

fr_milvus_next fr_milvus_on_alter_schema(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    const Milvus__AlterCollectionSchemaRequest *in = call->request;
    const Milvus__AlterCollectionSchemaAction *action = in->action;
    if (action && action->op_case == MILVUS__ALTER_COLLECTION_SCHEMA_ACTION__OP_ADD_REQUEST) {
        const Milvus__AlterCollectionSchemaAddRequest *more = action->add_request;
        if (more->n_field_infos == 1 && more->n_func_schema == 0 && more->field_infos[0]->field_schema)
            return add(call, in->collection_name, more->field_infos[0]->field_schema);
        return fr_milvus_fail(call, MILVUS_UNSUPPORTED, "one field at a time, and no functions, can be added");
    }
    if (action && action->op_case == MILVUS__ALTER_COLLECTION_SCHEMA_ACTION__OP_DROP_REQUEST) {
        const Milvus__AlterCollectionSchemaDropRequest *less = action->drop_request;
        if (less->identifier_case == MILVUS__ALTER_COLLECTION_SCHEMA_DROP_REQUEST__IDENTIFIER_FIELD_NAME) {
            addition self = {.drop = less->field_name};
            fr_milvus_change(call, in->collection_name, drop_edit, &self);
            return over(call);
        }
    }
    return fr_milvus_fail(call, MILVUS_UNSUPPORTED, "of a schema, fields can be added, and dropped by name");
}
