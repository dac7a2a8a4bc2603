/* milvus_rpcs.c: the table of RPCs. What is not in it is answered with UNIMPLEMENTED. */
#include "api/milvus/milvus_private.h"

#include <stdio.h>

#define RPC(name, request, reply, handler, where, access) \
    {name, &milvus__##request##__descriptor, &milvus__##reply##__descriptor, fr_milvus_on_##handler, where, false, access}
#define OPEN(name, request, reply, handler) \
    {name, &milvus__##request##__descriptor, &milvus__##reply##__descriptor, fr_milvus_on_##handler, FR_MILVUS_REPLY, true, ANYBODY}

#define LOOP FR_MILVUS_REPLY
#define WORKER FR_MILVUS_WORKER
#define SEARCHER FR_MILVUS_SEARCHER
/* action, object */
#define ANYBODY 0, FR_OBJECT_ALL   /* any user: nothing of anybody is shown or changed */
#define ASKS 0, FR_OBJECT_TOPIC    /* any user; the handler asks for what is named, a list shows what may be read */
#define READS FR_ACTION_READ, FR_OBJECT_TOPIC
#define WRITES FR_ACTION_WRITE, FR_OBJECT_TOPIC
#define SHAPES FR_ACTION_ADMIN, FR_OBJECT_TOPIC
#define MAKES FR_ACTION_ADMIN, FR_OBJECT_DATABASE
#define RULES FR_ACTION_ADMIN, FR_OBJECT_ALL

const fr_milvus_rpc fr_milvus_rpcs[] = {
    OPEN("Connect", connect_request, connect_response, connect),
    OPEN("GetVersion", get_version_request, get_version_response, version),
    OPEN("CheckHealth", check_health_request, check_health_response, health),
    OPEN("grpc.health.v1.Health/Check", health_check_request, health_check_response, grpc_health),
    RPC("AllocTimestamp", alloc_timestamp_request, alloc_timestamp_response, alloc_timestamp, LOOP, ANYBODY),
    /* collections */
    RPC("CreateCollection", create_collection_request, status, create_collection, WORKER, MAKES),
    RPC("DropCollection", drop_collection_request, status, drop_collection, WORKER, SHAPES),
    RPC("HasCollection", has_collection_request, bool_response, has_collection, LOOP, READS),
    RPC("DescribeCollection", describe_collection_request, describe_collection_response, describe_collection, LOOP, READS),
    RPC("ShowCollections", show_collections_request, show_collections_response, show_collections, WORKER, ASKS),
    RPC("RenameCollection", rename_collection_request, status, rename_collection, WORKER, SHAPES),
    RPC("AlterCollection", alter_collection_request, status, alter_collection, WORKER, SHAPES),
    RPC("AlterCollectionField", alter_collection_field_request, status, alter_field, WORKER, SHAPES),
    RPC("AlterCollectionSchema", alter_collection_schema_request, alter_collection_schema_response, alter_schema, WORKER, SHAPES),
    RPC("AddCollectionField", add_collection_field_request, status, add_field, WORKER, SHAPES),
    RPC("TruncateCollection", truncate_collection_request, truncate_collection_response, truncate, WORKER, SHAPES),
    RPC("GetCollectionStatistics", get_collection_statistics_request, get_collection_statistics_response, statistics, LOOP, READS),
    RPC("LoadCollection", load_collection_request, status, load_collection, WORKER, WRITES),
    RPC("ReleaseCollection", release_collection_request, status, release_collection, WORKER, WRITES),
    RPC("GetLoadState", get_load_state_request, get_load_state_response, load_state, LOOP, READS),
    RPC("GetLoadingProgress", get_loading_progress_request, get_loading_progress_response, loading_progress, LOOP, READS),
    /* partitions */
    RPC("CreatePartition", create_partition_request, status, create_partition, WORKER, SHAPES),
    RPC("DropPartition", drop_partition_request, status, drop_partition, WORKER, SHAPES),
    RPC("HasPartition", has_partition_request, bool_response, has_partition, LOOP, READS),
    RPC("ShowPartitions", show_partitions_request, show_partitions_response, show_partitions, LOOP, READS),
    RPC("GetPartitionStatistics", get_partition_statistics_request, get_partition_statistics_response, partition_statistics, SEARCHER, READS),
    RPC("LoadPartitions", load_partitions_request, status, load_partitions, WORKER, WRITES),
    RPC("ReleasePartitions", release_partitions_request, status, release_partitions, WORKER, WRITES),
    /* indexes */
    RPC("CreateIndex", create_index_request, status, create_index, WORKER, SHAPES),
    RPC("DescribeIndex", describe_index_request, describe_index_response, describe_index, LOOP, READS),
    RPC("DropIndex", drop_index_request, status, drop_index, WORKER, SHAPES),
    RPC("AlterIndex", alter_index_request, status, alter_index, WORKER, SHAPES),
    /* aliases, databases */
    RPC("CreateAlias", create_alias_request, status, create_alias, WORKER, MAKES),
    RPC("DropAlias", drop_alias_request, status, drop_alias, WORKER, MAKES),
    RPC("AlterAlias", alter_alias_request, status, alter_alias, WORKER, MAKES),
    RPC("DescribeAlias", describe_alias_request, describe_alias_response, describe_alias, LOOP, ASKS),
    RPC("ListAliases", list_aliases_request, list_aliases_response, list_aliases, LOOP, ASKS),
    RPC("CreateDatabase", create_database_request, status, create_database, WORKER, RULES),
    RPC("DropDatabase", drop_database_request, status, drop_database, WORKER, RULES),
    RPC("ListDatabases", list_databases_request, list_databases_response, list_databases, LOOP, ANYBODY),
    RPC("DescribeDatabase", describe_database_request, describe_database_response, describe_database, LOOP, ANYBODY),
    RPC("AlterDatabase", alter_database_request, status, alter_database, WORKER, MAKES),
    /* what freshet does by itself */
    RPC("Flush", flush_request, flush_response, flush, LOOP, ASKS),
    RPC("FlushAll", flush_all_request, flush_all_response, flush_all, LOOP, RULES),
    RPC("GetFlushState", get_flush_state_request, get_flush_state_response, flush_state, LOOP, ANYBODY),
    RPC("GetFlushAllState", get_flush_all_state_request, get_flush_all_state_response, flush_all_state, LOOP, ANYBODY),
    RPC("ManualCompaction", manual_compaction_request, manual_compaction_response, compact, LOOP, WRITES),
    RPC("GetCompactionState", get_compaction_state_request, get_compaction_state_response, compaction_state, LOOP, ANYBODY),
    RPC("GetCompactionStateWithPlans", get_compaction_plans_request, get_compaction_plans_response, compaction_plans, LOOP, ANYBODY),
    RPC("GetPersistentSegmentInfo", get_persistent_segment_info_request, get_persistent_segment_info_response, persistent_segments, LOOP, READS),
    RPC("GetQuerySegmentInfo", get_query_segment_info_request, get_query_segment_info_response, query_segments, LOOP, READS),
    RPC("GetReplicas", get_replicas_request, get_replicas_response, replicas, LOOP, READS),
    RPC("RunAnalyzer", run_analyzer_request, run_analyzer_response, run_analyzer, WORKER, ASKS),
    /* users */
    RPC("CreateCredential", create_credential_request, status, create_user, WORKER, RULES),
    RPC("UpdateCredential", update_credential_request, status, update_user, WORKER, ASKS), /* with the old password, or as an admin */
    RPC("DeleteCredential", delete_credential_request, status, drop_user, WORKER, RULES),
    RPC("ListCredUsers", list_cred_users_request, list_cred_users_response, list_users, LOOP, RULES),
    RPC("CreateRole", create_role_request, status, create_role, WORKER, RULES),
    RPC("DropRole", drop_role_request, status, drop_role, WORKER, RULES),
    RPC("OperateUserRole", operate_user_role_request, status, user_role, WORKER, RULES),
    RPC("SelectRole", select_role_request, select_role_response, select_role, WORKER, RULES),
    RPC("SelectUser", select_user_request, select_user_response, select_user, WORKER, ASKS), /* oneself, or as an admin */
    RPC("OperatePrivilege", operate_privilege_request, status, privilege, WORKER, RULES),
    RPC("OperatePrivilegeV2", operate_privilege_v2_request, status, privilege_v2, WORKER, RULES),
    RPC("SelectGrant", select_grant_request, select_grant_response, select_grant, WORKER, RULES),
    /* entities */
    RPC("Insert", insert_request, mutation_result, insert, LOOP, WRITES),
    RPC("Upsert", upsert_request, mutation_result, upsert, LOOP, WRITES),
    RPC("Delete", delete_request, mutation_result, delete, LOOP, WRITES),
    RPC("Search", search_request, search_results, search, SEARCHER, READS),
    RPC("HybridSearch", hybrid_search_request, search_results, hybrid_search, SEARCHER, READS),
    RPC("Query", query_request, query_results, query, SEARCHER, READS),
};

const fr_milvus_rpc *fr_milvus_rpc_find(const char *name)
{
    for (size_t i = 0; i < FR_COUNT_OF(fr_milvus_rpcs); i++)
        if (strcmp(fr_milvus_rpcs[i].name, name) == 0) return &fr_milvus_rpcs[i];
    return NULL;
}

size_t fr_milvus_rpc_count(void) { return FR_COUNT_OF(fr_milvus_rpcs); }
const char *fr_milvus_rpc_name(size_t index) { return index < FR_COUNT_OF(fr_milvus_rpcs) ? fr_milvus_rpcs[index].name : "other"; }
size_t fr_milvus_rpc_index(const fr_milvus_call *call) { return call->rpc ? (size_t)(call->rpc - fr_milvus_rpcs) : FR_COUNT_OF(fr_milvus_rpcs); }
