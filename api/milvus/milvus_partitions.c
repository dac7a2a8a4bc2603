/* milvus_partitions.c: partitions, and what is loaded. A partition is a key of its entities' documents; loaded is a flag that this
 * door keeps, for every row is searchable at once. */
#include "api/milvus/milvus_private.h"

#include <stdio.h>
#include <time.h>

static fr_milvus_next over(fr_milvus_call *call) { return call->reply ? FR_MILVUS_REPLY : fr_milvus_done(call); }

static void not_found(fr_milvus_call *call, const char *name)
{
    fr_milvus_fail(call, MILVUS_PARTITION_NOT_FOUND, "partition not found[partition=%s]", name);
}

/* ---- loading ---- */

typedef struct loading {
    char *const *names; /* of partitions; count 0 = all */
    size_t count;
    bool on, named;
} loading;

/* Milvus loads what has an index on every vector field. */
static bool indexed(fr_milvus_call *call, const fr_milvus_schema *schema)
{
    char names[512] = "";
    size_t used = 0;
    if (schema->index_count == 0) {
        fr_milvus_fail(call, MILVUS_INDEX_NOT_FOUND, "index not found[collection=%s]", schema->name);
        return false;
    }
    for (uint32_t i = 0; i < schema->field_count && used < sizeof names; i++) {
        const fr_milvus_field *field = &schema->fields[i];
        if (field->type < FR_TYPE_VECTOR_BINARY || fr_milvus_index_of(schema, field)) continue;
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used ? " " : "", field->name);
    }
    if (used) fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "there is no vector index on field: [%s], please create index firstly: invalid parameter", names);
    return !used;
}

static bool load_edit(fr_milvus_call *call, fr_milvus_schema *schema, fr_collection_change *change, void *user)
{
    const loading *self = user;
    bool changed = false, any = false;
    if (self->on && !indexed(call, schema)) return false;
    if (self->named && schema->partition_key >= 0) {
        fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "disable %s partitions if partition key mode is used: invalid parameter", self->on ? "load" : "release");
        return false;
    }
    for (size_t i = 0; i < self->count; i++) {
        if (fr_milvus_partition_of(schema, self->names[i])) continue;
        not_found(call, self->names[i]);
        return false;
    }
    for (uint32_t i = 0; i < schema->partition_count; i++) {
        fr_milvus_partition *partition = &schema->partitions[i];
        bool meant = self->count == 0;
        for (size_t j = 0; j < self->count; j++) meant |= strcmp(self->names[j], partition->name) == 0;
        if (meant && partition->loaded != self->on) partition->loaded = self->on, changed = true;
        any |= partition->loaded;
    }
    if (schema->loaded != any) schema->loaded = any, changed = true;
    change->set_attributes = changed;
    return true;
}

fr_milvus_next fr_milvus_on_load_collection(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    const Milvus__LoadCollectionRequest *in = call->request;
    fr_milvus_change(call, in->collection_name, load_edit, &(loading){.on = true});
    return over(call);
}

fr_milvus_next fr_milvus_on_release_collection(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    const Milvus__ReleaseCollectionRequest *in = call->request;
    fr_milvus_change(call, in->collection_name, load_edit, &(loading){.on = false});
    return over(call);
}

fr_milvus_next fr_milvus_on_load_partitions(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    const Milvus__LoadPartitionsRequest *in = call->request;
    if (!in->n_partition_names)
        return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "failed to load partition, due to no partition specified: invalid parameter");
    fr_milvus_change(call, in->collection_name, load_edit, &(loading){in->partition_names, in->n_partition_names, true, true});
    return over(call);
}

fr_milvus_next fr_milvus_on_release_partitions(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    const Milvus__ReleasePartitionsRequest *in = call->request;
    if (!in->n_partition_names)
        return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "invalid parameter[expected=any partition][actual=empty partition list]");
    fr_milvus_change(call, in->collection_name, load_edit, &(loading){in->partition_names, in->n_partition_names, false, true});
    return over(call);
}

/* Whether all of the partitions named are loaded; false with the reply set: one is not there. */
static bool loaded(fr_milvus_call *call, const fr_milvus_schema *schema, char *const *names, size_t count)
{
    bool all = schema->loaded;
    for (size_t i = 0; i < count; i++) {
        const fr_milvus_partition *partition = fr_milvus_partition_of(schema, names[i]);
        if (!partition) {
            not_found(call, names[i]);
            return false;
        }
        all = all && partition->loaded;
    }
    return all;
}

fr_milvus_next fr_milvus_on_load_state(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)worker;
    const Milvus__GetLoadStateRequest *in = call->request;
    fr_id id;
    int32_t state = MILVUS_LOAD_NOT_EXIST;
    if (!fr_milvus_database_there(call, fr_milvus_database(call))) return FR_MILVUS_REPLY;
    if (fr_resolve_in(call->db, fr_milvus_database(call), in->collection_name, &id, NULL, &call->err) == FR_OK) {
        const fr_milvus_schema *schema = fr_milvus_schema_in(door, call, in->collection_name);
        if (!schema) return FR_MILVUS_REPLY;
        state = loaded(call, schema, in->partition_names, in->n_partition_names) ? MILVUS_LOAD_LOADED : MILVUS_LOAD_NOT_LOAD;
        if (call->reply) return FR_MILVUS_REPLY;
    }
    Milvus__GetLoadStateResponse *out = call->reply = fr_milvus_message(&call->arena, call->rpc->reply);
    if (out) out->state = state;
    return fr_milvus_done(call);
}

fr_milvus_next fr_milvus_on_loading_progress(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)worker;
    const Milvus__GetLoadingProgressRequest *in = call->request;
    const fr_milvus_schema *schema = fr_milvus_schema_in(door, call, in->collection_name);
    if (!schema) return FR_MILVUS_REPLY;
    if (!loaded(call, schema, in->partition_names, in->n_partition_names)) {
        if (call->reply) return FR_MILVUS_REPLY;
        return fr_milvus_fail(call, MILVUS_COLLECTION_NOT_LOADED, "collection not loaded[collection=%s]", schema->name);
    }
    Milvus__GetLoadingProgressResponse *out = call->reply = fr_milvus_message(&call->arena, call->rpc->reply);
    if (out) out->progress = out->refresh_progress = 100;
    return fr_milvus_done(call);
}

/* ---- partitions ---- */

static bool keyless(fr_milvus_call *call, const fr_milvus_schema *schema, const char *verb)
{
    if (schema->partition_key < 0) return true;
    fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "disable %s partition if partition key mode is used: invalid parameter", verb);
    return false;
}

static bool create_edit(fr_milvus_call *call, fr_milvus_schema *schema, fr_collection_change *change, void *user)
{
    const char *name = user;
    struct timespec now;
    if (!keyless(call, schema, "create") || !fr_milvus_name_ok(call, MILVUS_NAMED_PARTITION, name)) return false;
    if (fr_milvus_partition_of(schema, name)) {
        change->set_attributes = false;
        return true;
    }
    if (schema->partition_count >= FR_MILVUS_PARTITIONS_MAX) {
        fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "partition number (%u) exceeds max configuration (%u), collection: %s: invalid parameter",
                       schema->partition_count, FR_MILVUS_PARTITIONS_MAX, schema->name);
        return false;
    }
    fr_milvus_partition *partitions = fr_milvus_grown(schema, schema->partitions, schema->partition_count, sizeof *partitions);
    if (!partitions) {
        fr_milvus_fail(call, MILVUS_MEMORY, "no memory for the partition");
        return false;
    }
    bool loaded_whole = schema->loaded; /* else a new one is not, as where only some were asked for */
    for (uint32_t i = 0; i < schema->partition_count; i++) loaded_whole &= schema->partitions[i].loaded;
    clock_gettime(CLOCK_REALTIME, &now);
    partitions[schema->partition_count++] = (fr_milvus_partition){schema->next_partition_id++, fr_milvus_kept(schema, name),
                                                                  (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, loaded_whole};
    schema->partitions = partitions;
    return true;
}

fr_milvus_next fr_milvus_on_create_partition(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    const Milvus__CreatePartitionRequest *in = call->request;
    fr_milvus_change(call, in->collection_name, create_edit, in->partition_name);
    return over(call);
}

static bool drop_edit(fr_milvus_call *call, fr_milvus_schema *schema, fr_collection_change *change, void *user)
{
    const char *name = user;
    (void)call;
    for (uint32_t i = 0; i < schema->partition_count; i++) {
        if (strcmp(schema->partitions[i].name, name) != 0) continue;
        memmove(&schema->partitions[i], &schema->partitions[i + 1], (schema->partition_count - i - 1) * sizeof *schema->partitions);
        schema->partition_count--;
        return true;
    }
    change->set_attributes = false;
    return true;
}

/* Its entities first: a partition that is half dropped is a partition with fewer entities. */
fr_milvus_next fr_milvus_on_drop_partition(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)worker;
    const Milvus__DropPartitionRequest *in = call->request;
    char filter[64];
    const fr_milvus_schema *schema = fr_milvus_schema_in(door, call, in->collection_name);
    if (!schema || !keyless(call, schema, "drop") || !fr_milvus_name_ok(call, MILVUS_NAMED_PARTITION, in->partition_name)) return FR_MILVUS_REPLY;
    const fr_milvus_partition *partition = fr_milvus_partition_of(schema, in->partition_name);
    if (!partition) return fr_milvus_done(call); /* gone is gone */
    if (partition->id == 0) return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "default partition cannot be deleted: invalid parameter");
    if (partition->loaded)
        return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "partition cannot be dropped, partition is loaded, please release it first: invalid parameter");
    snprintf(filter, sizeof filter, "$meta[\"" FR_MILVUS_PARTITION_KEY "\"] == %lld", (long long)partition->id);
    call->write = (fr_write){.kind = FR_WRITE_DELETE_MATCHING, .id = schema->id, .filter = filter};
    if (!fr_milvus_write(call, schema->name)) return FR_MILVUS_REPLY;
    fr_milvus_change(call, in->collection_name, drop_edit, in->partition_name);
    return over(call);
}

fr_milvus_next fr_milvus_on_has_partition(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)worker;
    const Milvus__HasPartitionRequest *in = call->request;
    const fr_milvus_schema *schema = fr_milvus_schema_in(door, call, in->collection_name);
    if (!schema || !fr_milvus_name_ok(call, MILVUS_NAMED_PARTITION, in->partition_name)) return FR_MILVUS_REPLY;
    Milvus__BoolResponse *out = call->reply = fr_milvus_message(&call->arena, call->rpc->reply);
    if (out) out->value = fr_milvus_partition_of(schema, in->partition_name) != NULL;
    return fr_milvus_done(call);
}

fr_milvus_next fr_milvus_on_show_partitions(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)worker;
    const Milvus__ShowPartitionsRequest *in = call->request;
    const fr_milvus_schema *schema = fr_milvus_schema_in(door, call, in->collection_name);
    if (!schema) return FR_MILVUS_REPLY;
    uint32_t count = schema->partition_count;
    Milvus__ShowPartitionsResponse *out = fr_milvus_message(&call->arena, call->rpc->reply);
    if (!out || !(out->partition_names = fr_milvus_alloc(call, count * sizeof *out->partition_names)) ||
        !(out->partitionids = fr_milvus_alloc(call, count * sizeof *out->partitionids)) ||
        !(out->created_timestamps = fr_milvus_alloc(call, count * sizeof *out->created_timestamps)) ||
        !(out->created_utc_timestamps = fr_milvus_alloc(call, count * sizeof *out->created_utc_timestamps)) ||
        !(out->inmemory_percentages = fr_milvus_alloc(call, count * sizeof *out->inmemory_percentages)))
        return fr_milvus_fail(call, MILVUS_MEMORY, "no memory for the answer");
    for (uint32_t i = 0; i < count; i++) {
        const fr_milvus_partition *partition = &schema->partitions[i];
        out->partition_names[i] = fr_milvus_mut(partition->name);
        out->partitionids[i] = fr_milvus_partition_number(schema, partition);
        out->created_utc_timestamps[i] = (uint64_t)partition->created_ms;
        out->created_timestamps[i] = (uint64_t)partition->created_ms << 18;
        out->inmemory_percentages[i] = partition->loaded ? 100 : 0;
    }
    out->n_partition_names = out->n_partitionids = out->n_created_timestamps = out->n_created_utc_timestamps = out->n_inmemory_percentages = count;
    call->reply = out;
    return fr_milvus_done(call);
}

fr_milvus_next fr_milvus_on_partition_statistics(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    const Milvus__GetPartitionStatisticsRequest *in = call->request;
    char filter[80];
    uint64_t count = 0;
    if (worker->loop || !worker->searcher) return FR_MILVUS_SEARCHER;
    const fr_milvus_schema *schema = fr_milvus_schema_in(door, call, in->collection_name);
    if (!schema) return FR_MILVUS_REPLY;
    const fr_milvus_partition *partition = fr_milvus_partition_of(schema, in->partition_name);
    if (!partition) {
        not_found(call, in->partition_name);
        return FR_MILVUS_REPLY;
    }
    if (partition->id == 0 && schema->partition_key < 0) snprintf(filter, sizeof filter, "not (exists $meta[\"" FR_MILVUS_PARTITION_KEY "\"])");
    else snprintf(filter, sizeof filter, "$meta[\"" FR_MILVUS_PARTITION_KEY "\"] == %lld", (long long)partition->id);
    bool alone = partition->id == 0 && schema->partition_count == 1;
    fr_code code = fr_count(worker->searcher, schema->id, alone ? NULL : &(fr_condition){.filter = filter}, &count, &call->err);
    if (code != FR_OK) return fr_milvus_fail_fr(call, code, &call->err, schema->database, schema->name);
    Milvus__GetPartitionStatisticsResponse *out = call->reply = fr_milvus_message(&call->arena, call->rpc->reply);
    fr_milvus_pair pair = {"row_count", fr_milvus_text(call, "%llu", (unsigned long long)count)};
    if (out && pair.value) out->stats = fr_milvus_pairs_out(call, &(fr_milvus_pairs){&pair, 1}, &out->n_stats);
    return fr_milvus_done(call);
}
