/* milvus_rpcs.c: the table of RPCs. What is not in it is answered with UNIMPLEMENTED. */
#include "api/milvus/milvus_private.h"

#include <stdio.h>

#define RPC(name, request, reply, handler, where) \
    {name, &milvus__##request##__descriptor, &milvus__##reply##__descriptor, fr_milvus_on_##handler, where, false}
#define OPEN(name, request, reply, handler) \
    {name, &milvus__##request##__descriptor, &milvus__##reply##__descriptor, fr_milvus_on_##handler, FR_MILVUS_REPLY, true}

#define LOOP FR_MILVUS_REPLY
#define WORKER FR_MILVUS_WORKER
#define SEARCHER FR_MILVUS_SEARCHER

const fr_milvus_rpc fr_milvus_rpcs[] = {
    OPEN("Connect", connect_request, connect_response, connect),
    OPEN("GetVersion", get_version_request, get_version_response, version),
    OPEN("CheckHealth", check_health_request, check_health_response, health),
    OPEN("grpc.health.v1.Health/Check", health_check_request, health_check_response, grpc_health),
    RPC("AllocTimestamp", alloc_timestamp_request, alloc_timestamp_response, alloc_timestamp, LOOP),
    /* collections */
    RPC("CreateCollection", create_collection_request, status, create_collection, WORKER),
    RPC("DropCollection", drop_collection_request, status, drop_collection, WORKER),
    RPC("HasCollection", has_collection_request, bool_response, has_collection, LOOP),
    RPC("DescribeCollection", describe_collection_request, describe_collection_response, describe_collection, LOOP),
    RPC("ShowCollections", show_collections_request, show_collections_response, show_collections, WORKER),
    RPC("RenameCollection", rename_collection_request, status, rename_collection, WORKER),
    RPC("AlterCollection", alter_collection_request, status, alter_collection, WORKER),
    RPC("AlterCollectionField", alter_collection_field_request, status, alter_field, WORKER),
    RPC("AlterCollectionSchema", alter_collection_schema_request, alter_collection_schema_response, alter_schema, WORKER),
    RPC("AddCollectionField", add_collection_field_request, status, add_field, WORKER),
    RPC("TruncateCollection", truncate_collection_request, truncate_collection_response, truncate, WORKER),
    RPC("GetCollectionStatistics", get_collection_statistics_request, get_collection_statistics_response, statistics, LOOP),
    RPC("LoadCollection", load_collection_request, status, load_collection, WORKER),
    RPC("ReleaseCollection", release_collection_request, status, release_collection, WORKER),
    RPC("GetLoadState", get_load_state_request, get_load_state_response, load_state, LOOP),
    RPC("GetLoadingProgress", get_loading_progress_request, get_loading_progress_response, loading_progress, LOOP),
    /* partitions */
    RPC("CreatePartition", create_partition_request, status, create_partition, WORKER),
    RPC("DropPartition", drop_partition_request, status, drop_partition, WORKER),
    RPC("HasPartition", has_partition_request, bool_response, has_partition, LOOP),
    RPC("ShowPartitions", show_partitions_request, show_partitions_response, show_partitions, LOOP),
    RPC("GetPartitionStatistics", get_partition_statistics_request, get_partition_statistics_response, partition_statistics, SEARCHER),
    RPC("LoadPartitions", load_partitions_request, status, load_partitions, WORKER),
    RPC("ReleasePartitions", release_partitions_request, status, release_partitions, WORKER),
    /* indexes */
    RPC("CreateIndex", create_index_request, status, create_index, WORKER),
    RPC("DescribeIndex", describe_index_request, describe_index_response, describe_index, LOOP),
    RPC("DropIndex", drop_index_request, status, drop_index, WORKER),
    RPC("AlterIndex", alter_index_request, status, alter_index, WORKER),
    /* aliases, databases */
    RPC("CreateAlias", create_alias_request, status, create_alias, WORKER),
    RPC("DropAlias", drop_alias_request, status, drop_alias, WORKER),
    RPC("AlterAlias", alter_alias_request, status, alter_alias, WORKER),
    RPC("DescribeAlias", describe_alias_request, describe_alias_response, describe_alias, LOOP),
    RPC("ListAliases", list_aliases_request, list_aliases_response, list_aliases, LOOP),
    RPC("CreateDatabase", create_database_request, status, create_database, WORKER),
    RPC("DropDatabase", drop_database_request, status, drop_database, WORKER),
    RPC("ListDatabases", list_databases_request, list_databases_response, list_databases, LOOP),
    RPC("DescribeDatabase", describe_database_request, describe_database_response, describe_database, LOOP),
    RPC("AlterDatabase", alter_database_request, status, alter_database, WORKER),
    /* what freshet does by itself */
    RPC("Flush", flush_request, flush_response, flush, LOOP),
    RPC("FlushAll", flush_all_request, flush_all_response, flush_all, LOOP),
    RPC("GetFlushState", get_flush_state_request, get_flush_state_response, flush_state, LOOP),
    RPC("GetFlushAllState", get_flush_all_state_request, get_flush_all_state_response, flush_all_state, LOOP),
    RPC("ManualCompaction", manual_compaction_request, manual_compaction_response, compact, LOOP),
    RPC("GetCompactionState", get_compaction_state_request, get_compaction_state_response, compaction_state, LOOP),
    RPC("GetCompactionStateWithPlans", get_compaction_plans_request, get_compaction_plans_response, compaction_plans, LOOP),
    RPC("GetPersistentSegmentInfo", get_persistent_segment_info_request, get_persistent_segment_info_response, persistent_segments, LOOP),
    RPC("GetQuerySegmentInfo", get_query_segment_info_request, get_query_segment_info_response, query_segments, LOOP),
    RPC("GetReplicas", get_replicas_request, get_replicas_response, replicas, LOOP),
    /* entities */
    RPC("Insert", insert_request, mutation_result, insert, LOOP),
    RPC("Upsert", upsert_request, mutation_result, upsert, LOOP),
    RPC("Delete", delete_request, mutation_result, delete, LOOP),
    RPC("Search", search_request, search_results, search, SEARCHER),
    RPC("HybridSearch", hybrid_search_request, search_results, hybrid_search, SEARCHER),
    RPC("Query", query_request, query_results, query, SEARCHER),
};

const fr_milvus_rpc *fr_milvus_rpc_find(const char *name)
{
    for (size_t i = 0; i < FR_COUNT_OF(fr_milvus_rpcs); i++)
        if (strcmp(fr_milvus_rpcs[i].name, name) == 0) return &fr_milvus_rpcs[i];
    return NULL;
}

size_t fr_milvus_rpc_count(void) { return FR_COUNT_OF(fr_milvus_rpcs); }
const char *fr_milvus_rpc_name(size_t index) { return index < FR_COUNT_OF(fr_milvus_rpcs) ? fr_milvus_rpcs[index].name : ""; }
