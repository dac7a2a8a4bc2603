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
