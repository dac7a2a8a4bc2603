/* topics.c: topics as the doors see them: names, configs, offsets. Readers of the catalog's map: no lock. */
#include "server/engine/engine.h"

fr_code fr_topic_resolve(fr_db *db, const char *name, fr_id *id_out) { return fr_resolve(db, name, id_out); }

fr_code fr_topic_by_uuid(fr_db *db, const uint8_t uuid[16], fr_id *id_out)
{
    (void)db, (void)uuid;
    *id_out = 0;
    return FR_ERR_UNSUPPORTED;
}

fr_code fr_topic_get(fr_db *db, fr_id id, fr_topic_info *info_out)
{
    (void)db, (void)id;
    *info_out = (fr_topic_info){.id = 0};
    return FR_ERR_UNSUPPORTED;
}

uint32_t fr_topic_list(fr_db *db, fr_id *ids, uint32_t max) { return fr_collection_list(db, ids, max); }

fr_code fr_topic_configs(fr_db *db, fr_id id, void (*each)(void *user, const fr_topic_config_info *config), void *user)
{
    (void)db, (void)id, (void)each, (void)user;
    return FR_ERR_UNSUPPORTED;
}

fr_code fr_topic_validate(fr_db *db, const fr_topic_change *topic, fr_reason *reason_out, fr_err *err)
{
    (void)db, (void)topic;
    *reason_out = FR_REASON_NONE;
    return fr_fail(err, FR_ERR_UNSUPPORTED, NULL, "topics are not built yet");
}

fr_code fr_partition_get(fr_db *db, fr_id id, int32_t partition, fr_partition_state *out)
{
    (void)db, (void)id, (void)partition;
    *out = (fr_partition_state){.start = 0};
    return FR_ERR_UNSUPPORTED;
}

fr_code fr_fetch_get(fr_db *db, fr_fetch *fetch, fr_err *err)
{
    (void)db, (void)fetch;
    return fr_fail(err, FR_ERR_UNSUPPORTED, NULL, "topics are not built yet");
}

void fr_fetch_release(fr_fetch *fetch) { fr_view_release(&fetch->view); }

fr_code fr_seek_record(fr_db *db, fr_id id, int32_t partition, int64_t timestamp_ms, bool committed,
                       fr_offset *offset_out, int64_t *timestamp_out, fr_err *err)
{
    (void)db, (void)id, (void)partition, (void)timestamp_ms, (void)committed;
    *offset_out = *timestamp_out = -1;
    return fr_fail(err, FR_ERR_UNSUPPORTED, NULL, "topics are not built yet");
}

fr_code fr_seek_newest(fr_db *db, fr_id id, int32_t partition, fr_offset *offset_out, int64_t *timestamp_out,
                       fr_err *err)
{
    (void)db, (void)id, (void)partition;
    *offset_out = *timestamp_out = -1;
    return fr_fail(err, FR_ERR_UNSUPPORTED, NULL, "topics are not built yet");
}

fr_code fr_topic_scan(fr_db *db, fr_id id, int32_t partition, fr_offset from,
                      bool (*each)(void *user, const fr_scanned *record), void *user, fr_err *err)
{
    (void)db, (void)id, (void)partition, (void)from, (void)each, (void)user;
    return fr_fail(err, FR_ERR_UNSUPPORTED, NULL, "topics are not built yet");
}

void fr_txn_watch(fr_db *db, void (*ended)(void *user, int64_t producer_id, int16_t epoch, bool committed), void *user)
{
    (void)db, (void)ended, (void)user;
}
