/* milvus_expiry.c: entities that are older than their collection allows: the property, and deleting them. That they are not seen before
 * that is the filter's (milvus_filter.c). */
#include "api/milvus/milvus_entities.h"

#include <stdio.h>

bool fr_milvus_ttl_ok(fr_milvus_call *call, Milvus__KeyValuePair *const *properties, size_t count)
{
    const char *text = fr_milvus_param(properties, count, FR_MILVUS_TTL_PROPERTY);
    int64_t seconds;
    if (!text || (fr_milvus_int(text, &seconds) && seconds >= -1 && seconds <= FR_MILVUS_TTL_MAX)) return true;
    fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "collection TTL is out of range, expect [-1, %lld], got %.40s: invalid parameter",
                   (long long)FR_MILVUS_TTL_MAX, text);
    return false;
}

/* Most collections have none: their attributes are not taken apart. */
static bool has_ttl(fr_db *db, fr_id id)
{
    fr_span bytes;
    if (fr_collection_attributes(db, id, &bytes) != FR_OK) return false;
    bool has = bytes.size && memmem(bytes.data, bytes.size, FR_MILVUS_TTL_PROPERTY, strlen(FR_MILVUS_TTL_PROPERTY));
    fr_bytes_free(bytes);
    return has;
}

static uint64_t expire(fr_db *db, const fr_milvus_schema *schema, fr_searcher *searcher)
{
    char filter[96];
    uint64_t count = 0;
    fr_err err = {0};
    snprintf(filter, sizeof filter, "$meta[\"" FR_MILVUS_WRITTEN_KEY "\"] < %lld", (long long)(fr_milvus_seconds() - schema->ttl_s));
    /* Deleting by filter holds up the collection's writes while it looks: not for nothing. */
    if (fr_count(searcher, schema->id, &(fr_condition){.filter = filter}, &count, &err) != FR_OK || !count) return 0;
    fr_write write = {.kind = FR_WRITE_DELETE_MATCHING, .id = schema->id, .filter = filter};
    return fr_submit_wait(db, &write, &err) == FR_OK ? write.records : 0; /* what failed is tried again */
}

uint64_t fr_milvus_expire(fr_milvus *door, fr_searcher *searcher)
{
    fr_db *db = atomic_load_explicit(&door->db, memory_order_acquire); /* pairs with the release when the database is open */
    uint32_t count = db ? fr_collection_list(db, NULL, 0) : 0;
    fr_id *ids = count ? fr_alloc(FR_MEM_DOOR, count * sizeof *ids) : NULL;
    fr_collection_info *info = ids ? fr_zalloc(FR_MEM_DOOR, sizeof *info) : NULL;
    uint64_t gone = 0;
    if (info) count = FR_MIN(count, fr_collection_list(db, ids, count));
    for (uint32_t i = 0; info && i < count; i++) {
        fr_milvus_schema *schema = NULL;
        fr_err err = {0};
        if (!has_ttl(db, ids[i]) || fr_collection_get(db, ids[i], info) != FR_OK ||
            fr_milvus_cache_get(door->cache, db, info->def.database, info->def.name, &schema, &err) != FR_OK)
            continue;
        if (schema->ttl_s && schema->id == ids[i]) gone += expire(db, schema, searcher);
        fr_milvus_schema_drop(door->cache, schema);
    }
    fr_free(FR_MEM_DOOR, info);
    fr_free(FR_MEM_DOOR, ids);
    return gone;
}
