/* milvus_entities.c: RPCs of entities, until they are there. */
#include "api/milvus/milvus_private.h"

#define LATER_ON(what) \
    fr_milvus_next fr_milvus_on_##what(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker) \
    { \
        (void)door, (void)worker; \
        return fr_milvus_fail(call, MILVUS_UNSUPPORTED, "%s is not offered yet", call->rpc->name); \
    }
LATER_ON(insert)
LATER_ON(upsert)
LATER_ON(delete)
LATER_ON(search)
LATER_ON(hybrid_search)
LATER_ON(query)
