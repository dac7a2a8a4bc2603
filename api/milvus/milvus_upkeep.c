/* milvus_upkeep.c: flush, compaction, segments, replicas: what Milvus's clients and tools wait for and freshet does by itself. What was
 * answered is on disk and searchable, so all of it is done already. */
#include "api/milvus/milvus_private.h"

/* A collection is one segment, sealed, sorted and compacted; its number is the collection's. */
#define NODE 1

static fr_milvus_next no_memory(fr_milvus_call *call) { return fr_milvus_fail(call, MILVUS_MEMORY, "no memory for the answer"); }

/* ---- flush ---- */

static bool flushed(fr_milvus_call *call, const fr_milvus_schema *schema, Milvus__FlushResponse *out, size_t at, char *name)
{
    Milvus__LongArrayEntry *segments = fr_milvus_message(&call->arena, &milvus__long_array_entry__descriptor);
    Milvus__LongArrayEntry *flushed = fr_milvus_message(&call->arena, &milvus__long_array_entry__descriptor);
    Milvus__Int64Entry *sealed = fr_milvus_message(&call->arena, &milvus__int64_entry__descriptor);
    Milvus__Uint64Entry *time = fr_milvus_message(&call->arena, &milvus__uint64_entry__descriptor);
    Milvus__LongArray *list = fr_milvus_message(&call->arena, &milvus__long_array__descriptor);
    int64_t *number = fr_milvus_alloc(call, sizeof *number);
    if (!segments || !flushed || !sealed || !time || !list || !number) return false;
    *number = (int64_t)schema->id;
    list->data = number, list->n_data = 1;
    uint64_t now = fr_timestamp(call->db);
    segments->key = flushed->key = sealed->key = time->key = name;
    segments->value = flushed->value = list;
    sealed->value = (int64_t)(now >> 18) / 1000;
    time->value = now;
    out->coll_segids[at] = segments, out->flush_coll_segids[at] = flushed;
    out->coll_seal_times[at] = sealed, out->coll_flush_ts[at] = time;
    return true;
}

fr_milvus_next fr_milvus_on_flush(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)worker;
    const Milvus__FlushRequest *in = call->request;
    size_t count = in->n_collection_names;
    if (!count) return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "collection names are missing: invalid parameter");
    for (size_t i = 0; i < count; i++)
        if (!fr_milvus_may(door, call, FR_ACTION_WRITE, in->collection_names[i])) return FR_MILVUS_REPLY;
    Milvus__FlushResponse *out = fr_milvus_message(&call->arena, call->rpc->reply);
    if (!out || !(out->coll_segids = fr_milvus_alloc(call, count * sizeof *out->coll_segids)) ||
        !(out->flush_coll_segids = fr_milvus_alloc(call, count * sizeof *out->flush_coll_segids)) ||
        !(out->coll_seal_times = fr_milvus_alloc(call, count * sizeof *out->coll_seal_times)) ||
        !(out->coll_flush_ts = fr_milvus_alloc(call, count * sizeof *out->coll_flush_ts)))
        return no_memory(call);
    for (size_t i = 0; i < count; i++) {
        fr_milvus_schema *schema = NULL;
        fr_code code = fr_milvus_cache_get(door->cache, call->db, fr_milvus_database(call), in->collection_names[i], &schema, &call->err);
        if (code != FR_OK) return fr_milvus_fail_fr(call, code, &call->err, fr_milvus_database(call), in->collection_names[i]);
        bool fine = flushed(call, schema, out, i, in->collection_names[i]);
        fr_milvus_schema_drop(door->cache, schema);
        if (!fine) return no_memory(call);
    }
    out->n_coll_segids = out->n_flush_coll_segids = out->n_coll_seal_times = out->n_coll_flush_ts = count;
    out->db_name = fr_milvus_mut(fr_milvus_database(call));
    call->reply = out;
    return fr_milvus_done(call);
}

fr_milvus_next fr_milvus_on_flush_all(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    Milvus__FlushAllResponse *out = call->reply = fr_milvus_message(&call->arena, call->rpc->reply);
    if (out) out->flush_all_ts = fr_timestamp(call->db);
    return fr_milvus_done(call);
}

fr_milvus_next fr_milvus_on_flush_state(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    Milvus__GetFlushStateResponse *out = call->reply = fr_milvus_message(&call->arena, call->rpc->reply);
    if (out) out->flushed = true;
    return fr_milvus_done(call);
}

fr_milvus_next fr_milvus_on_flush_all_state(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    Milvus__GetFlushAllStateResponse *out = call->reply = fr_milvus_message(&call->arena, call->rpc->reply);
    if (out) out->flushed = true;
    return fr_milvus_done(call);
}

/* ---- compaction: the keeper's, when it is worth it; a job is a number above 0 that is done ---- */

fr_milvus_next fr_milvus_on_compact(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)worker;
    const Milvus__ManualCompactionRequest *in = call->request;
    if (in->collection_name[0]) {
        if (!fr_milvus_schema_in(door, call, in->collection_name)) return FR_MILVUS_REPLY;
    } else {
        fr_collection_info *info = fr_milvus_alloc(call, sizeof *info);
        if (!info) return no_memory(call);
        if (fr_collection_get(call->db, (fr_id)in->collectionid, info) != FR_OK)
            return fr_milvus_fail(call, MILVUS_COLLECTION_NOT_FOUND, "collection not found[collection=%lld]", (long long)in->collectionid);
    }
    Milvus__ManualCompactionResponse *out = call->reply = fr_milvus_message(&call->arena, call->rpc->reply);
    if (out) out->compactionid = (int64_t)fr_timestamp(call->db), out->compactionplancount = 1;
    return fr_milvus_done(call);
}

fr_milvus_next fr_milvus_on_compaction_state(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    Milvus__GetCompactionStateResponse *out = call->reply = fr_milvus_message(&call->arena, call->rpc->reply);
    if (out) out->state = MILVUS_COMPACTION_COMPLETED, out->completedplanno = 1;
    return fr_milvus_done(call);
}

fr_milvus_next fr_milvus_on_compaction_plans(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    Milvus__GetCompactionPlansResponse *out = call->reply = fr_milvus_message(&call->arena, call->rpc->reply);
    if (out) out->state = MILVUS_COMPACTION_COMPLETED;
    return fr_milvus_done(call);
}

/* ---- segments, replicas ---- */

static const fr_milvus_schema *rows_of(fr_milvus *door, fr_milvus_call *call, const char *name, fr_collection_info **info_out)
{
    const fr_milvus_schema *schema = fr_milvus_schema_in(door, call, name);
    if (!schema) return NULL;
    *info_out = fr_milvus_alloc(call, sizeof **info_out);
    fr_code code = *info_out ? fr_collection_get(call->db, schema->id, *info_out) : FR_ERR_NO_MEMORY;
    if (code == FR_OK) return schema;
    fr_milvus_fail_fr(call, code, &call->err, schema->database, schema->name);
    return NULL;
}

fr_milvus_next fr_milvus_on_persistent_segments(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)worker;
    const Milvus__GetPersistentSegmentInfoRequest *in = call->request;
    fr_collection_info *info = NULL;
    const fr_milvus_schema *schema = rows_of(door, call, in->collectionname, &info);
    if (!schema) return FR_MILVUS_REPLY;
    Milvus__GetPersistentSegmentInfoResponse *out = fr_milvus_message(&call->arena, call->rpc->reply);
    Milvus__PersistentSegmentInfo *one = fr_milvus_message(&call->arena, &milvus__persistent_segment_info__descriptor);
    if (!out || !one || !(out->infos = fr_milvus_alloc(call, sizeof *out->infos))) return no_memory(call);
    one->segmentid = one->collectionid = (int64_t)schema->id;
    one->partitionid = fr_milvus_partition_number(schema, &schema->partitions[0]);
    one->num_rows = (int64_t)info->count;
    one->state = MILVUS_SEGMENT_FLUSHED, one->level = MILVUS_LEVEL_L2, one->is_sorted = true;
    if (info->count) out->infos[out->n_infos++] = one;
    call->reply = out;
    return fr_milvus_done(call);
}

fr_milvus_next fr_milvus_on_query_segments(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)worker;
    const Milvus__GetQuerySegmentInfoRequest *in = call->request;
    fr_collection_info *info = NULL;
    const fr_milvus_schema *schema = rows_of(door, call, in->collectionname, &info);
    if (!schema) return FR_MILVUS_REPLY;
    Milvus__GetQuerySegmentInfoResponse *out = fr_milvus_message(&call->arena, call->rpc->reply);
    Milvus__QuerySegmentInfo *one = fr_milvus_message(&call->arena, &milvus__query_segment_info__descriptor);
    int64_t *node = fr_milvus_alloc(call, sizeof *node);
    if (!out || !one || !node || !(out->infos = fr_milvus_alloc(call, sizeof *out->infos))) return no_memory(call);
    *node = NODE;
    one->segmentid = one->collectionid = (int64_t)schema->id;
    one->partitionid = fr_milvus_partition_number(schema, &schema->partitions[0]);
    one->num_rows = (int64_t)info->count, one->mem_size = (int64_t)info->index_bytes;
    one->nodeid = NODE, one->nodeids = node, one->n_nodeids = 1;
    one->state = MILVUS_SEGMENT_SEALED, one->level = MILVUS_LEVEL_L2, one->is_sorted = true;
    if (schema->index_count) one->index_name = fr_milvus_mut(schema->indexes[0].name), one->indexid = schema->indexes[0].id;
    if (info->count && schema->loaded) out->infos[out->n_infos++] = one;
    call->reply = out;
    return fr_milvus_done(call);
}

fr_milvus_next fr_milvus_on_replicas(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)worker;
    const Milvus__GetReplicasRequest *in = call->request;
    const fr_milvus_schema *schema = fr_milvus_schema_by(door, call, in->collection_name, in->collectionid);
    if (!schema) return FR_MILVUS_REPLY;
    Milvus__GetReplicasResponse *out = fr_milvus_message(&call->arena, call->rpc->reply);
    Milvus__ReplicaInfo *one = fr_milvus_message(&call->arena, &milvus__replica_info__descriptor);
    int64_t *node = fr_milvus_alloc(call, sizeof *node);
    if (!out || !one || !node || !(out->replicas = fr_milvus_alloc(call, sizeof *out->replicas)) ||
        !(one->partition_ids = fr_milvus_alloc(call, schema->partition_count * sizeof *one->partition_ids)))
        return no_memory(call);
    *node = NODE;
    for (uint32_t i = 0; i < schema->partition_count; i++)
        one->partition_ids[one->n_partition_ids++] = fr_milvus_partition_number(schema, &schema->partitions[i]);
    one->replicaid = NODE, one->collectionid = (int64_t)schema->id;
    one->node_ids = node, one->n_node_ids = 1;
    one->resource_group_name = fr_milvus_mut("__default_resource_group");
    if (schema->loaded) out->replicas[out->n_replicas++] = one;
    call->reply = out;
    return fr_milvus_done(call);
}
