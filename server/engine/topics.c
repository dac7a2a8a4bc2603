/* topics.c: topics as the doors see them: names, offsets, batches for consumers. Readers of the catalog's map: no lock. */
#include "server/engine/engine.h"

#include <stdio.h>

void fr_engine_limits(fr_collection *topic, fr_topic_limits *out)
{
    pthread_mutex_lock(&topic->config_lock);
    *out = topic->limits;
    pthread_mutex_unlock(&topic->config_lock);
}

void fr_engine_set_durability(fr_collection *topic, fr_durability durability)
{
    atomic_store(&topic->durability, (int)durability);
    if (durability == FR_DURABILITY_INTERVAL) atomic_store(&topic->db->intervals, true);
}

fr_offset fr_engine_start(const fr_shard *shard)
{
    fr_log *log = fr_shard_log(shard);
    return FR_MAX(log != NULL ? fr_log_start(log) : 0, atomic_load(&shard->kept_from));
}

/* ==== names ==== */

fr_code fr_topic_resolve(fr_db *db, const char *name, fr_id *id_out)
{
    uint32_t pin = fr_engine_pin(db);
    const fr_collection *c = fr_map_by_topic(atomic_load(&db->map), name);
    *id_out = c != NULL ? c->id : 0;
    fr_engine_unpin(db, pin);
    return *id_out != 0 ? FR_OK : FR_ERR_NOT_FOUND;
}

fr_code fr_topic_by_uuid(fr_db *db, const uint8_t uuid[16], fr_id *id_out)
{
    uint32_t pin = fr_engine_pin(db);
    const fr_map *map = atomic_load(&db->map);
    *id_out = 0;
    for (uint32_t i = 0; i < map->count && *id_out == 0; i++)
        if (memcmp(map->by_id[i]->uuid, uuid, 16) == 0) *id_out = map->by_id[i]->id;
    fr_engine_unpin(db, pin);
    return *id_out != 0 ? FR_OK : FR_ERR_NOT_FOUND;
}

fr_code fr_topic_get(fr_db *db, fr_id id, fr_topic_info *info)
{
    fr_collection *c = fr_engine_topic_ref(db, id);
    *info = (fr_topic_info){.id = 0};
    if (c == NULL) return FR_ERR_NOT_FOUND;
    *info = (fr_topic_info){.id = c->id,
                            .kind = c->kind,
                            .partition_count = atomic_load(&c->shard_count),
                            .created_ms = c->created_ms,
                            .durability = (fr_durability)atomic_load(&c->durability),
                            .state = (fr_code)atomic_load_explicit(&c->state, memory_order_acquire)};
    memcpy(info->uuid, c->uuid, sizeof info->uuid);
    uint32_t pin = fr_engine_pin(db);
    snprintf(info->name, sizeof info->name, "%.*s", (int)sizeof info->name - 1, fr_schema_of(c)->topic);
    fr_engine_unpin(db, pin);
    if (info->state == FR_OK) info->state = (fr_code)atomic_load_explicit(&db->state, memory_order_relaxed);
    fr_engine_unref(c);
    return FR_OK;
}

uint32_t fr_topic_list(fr_db *db, fr_id *ids, uint32_t max)
{
    uint32_t pin = fr_engine_pin(db);
    const fr_map *map = atomic_load(&db->map);
    uint32_t count = map->count;
    for (uint32_t i = 0; i < count && i < max; i++) ids[i] = map->by_name[i].collection->id;
    fr_engine_unpin(db, pin);
    return count;
}

/* ==== offsets ==== */

static fr_code shard_of(fr_db *db, fr_id id, int32_t partition, fr_shard **out, fr_err *err)
{
    fr_collection *c = fr_engine_topic_ref(db, id);
    if (c == NULL) return fr_fail(err, FR_ERR_NOT_FOUND, "topic", "there is no such topic");
    if (partition >= 0 && (uint32_t)partition < atomic_load(&c->shard_count)) {
        *out = &c->shards[partition]; /* held by the reference */
        return FR_OK;
    }
    fr_engine_unref(c);
    return fr_fail(err, FR_ERR_NOT_FOUND, "partition", "there is no partition %d", partition);
}

static void fill_state(fr_shard *shard, fr_partition_state *out)
{
    fr_log *log = fr_shard_log(shard);
    *out = (fr_partition_state){.start = fr_engine_start(shard)};
    if (log != NULL) {
        out->end = fr_log_durable(log);
        out->bytes = fr_log_bytes(log);
    }
    fr_producers *producers = fr_shard_producers(shard);
    out->stable = producers != NULL ? fr_producers_stable(producers, out->end) : out->end;
}

fr_code fr_partition_get(fr_db *db, fr_id id, int32_t partition, fr_partition_state *out)
{
    fr_shard *shard = NULL;
    *out = (fr_partition_state){.start = 0};
    FR_TRY(shard_of(db, id, partition, &shard, NULL));
    fill_state(shard, out);
    fr_engine_unref(shard->collection);
    return FR_OK;
}

fr_code fr_partition_producers(fr_db *db, fr_id id, int32_t partition, void (*each)(void *user, const fr_producer_info *producer), void *user)
{
    fr_shard *shard = NULL;
    FR_TRY(shard_of(db, id, partition, &shard, NULL));
    fr_producers *producers = fr_shard_producers(shard);
    if (producers != NULL) fr_producers_list(producers, each, user);
    fr_engine_unref(shard->collection);
    return FR_OK;
}

/* ==== batches ==== */

static fr_code fetch_file(fr_log *log, fr_fetch *fetch, fr_offset limit, fr_err *err)
{
    fr_log_range range;
    FR_TRY(fr_log_range_get(log, fetch->from, limit, fetch->bytes_max, &range, err));
    fetch->descriptor = range.descriptor;
    fetch->position = range.position;
    fetch->size = range.size;
    fetch->view = (fr_view){.size = range.size, .first = range.first, .next = range.next};
    return FR_OK;
}

static fr_code fetch_from(fr_shard *shard, fr_fetch *fetch, fr_err *err)
{
    fr_log *log = fr_shard_log(shard);
    fr_producers *producers = fr_shard_producers(shard);
    fill_state(shard, &fetch->state);
    fr_offset limit = fetch->committed ? fetch->state.stable : fetch->state.end;
    if (fetch->from < fetch->state.start || fetch->from > fetch->state.end)
        return fr_fail(err, FR_ERR_INVALID, "offset", "offset %lld is out of range: %lld to %lld",
                       (long long)fetch->from, (long long)fetch->state.start, (long long)fetch->state.end);
    if (log == NULL || fetch->from >= limit) return FR_OK;
    fr_code code = fetch->want_file ? fetch_file(log, fetch, limit, err) : FR_ERR_UNSUPPORTED;
    if (code == FR_ERR_UNSUPPORTED) {
        fr_view view;
        FR_TRY(fr_log_read(log, fetch->from, limit, fetch->bytes_max, &view, err));
        fetch->view = view;
    } else if (code != FR_OK) {
        return code;
    }
    if (!fetch->committed || producers == NULL) return FR_OK;
    code = fr_producers_aborted(producers, fetch->view.first, fetch->view.next, &fetch->aborted, &fetch->aborted_count);
    if (code != FR_OK) fr_fetch_release(fetch);
    return code;
}

fr_code fr_fetch_get(fr_db *db, fr_fetch *fetch, fr_err *err)
{
    fr_shard *shard = NULL;
    fr_topic_limits limits;
    fetch->view = (fr_view){.first = fetch->from, .next = fetch->from};
    fetch->descriptor = -1;
    fetch->position = fetch->size = 0;
    fetch->aborted = NULL;
    fetch->aborted_count = 0;
    fetch->transcode = false;
    fetch->state = (fr_partition_state){.start = 0};
    FR_TRY(shard_of(db, fetch->id, fetch->partition, &shard, err));
    if (shard->collection->kind == FR_TOPIC_COLLECTION) {
        fr_engine_limits(shard->collection, &limits);
        fetch->transcode = !limits.fetch_raw;
        if (fetch->transcode) fetch->want_file = false;
    }
    fr_code code = fetch_from(shard, fetch, err);
    fr_engine_unref(shard->collection);
    return code;
}

void fr_fetch_release(fr_fetch *fetch)
{
    fr_io *io = fr_io_posix(); /* no other gives descriptors */
    if (fetch->descriptor >= 0) io->drop_descriptor(io, fetch->descriptor);
    else fr_view_release(&fetch->view);
    fr_free(FR_MEM_LOG, fetch->aborted);
    fetch->descriptor = -1;
    fetch->aborted = NULL;
    fetch->aborted_count = 0;
    fetch->view.data = NULL;
    fetch->view.size = 0;
}

/* ==== by time ==== */

/* Records from `from` on until each() says false. */
typedef bool (*each_record)(void *user, const fr_batch_header *header, const fr_log_record *record);

static fr_code walk_records(fr_log *log, fr_offset from, fr_offset limit, uint32_t chunk, each_record each, void *user,
                            fr_err *err)
{
    fr_batch_reader *reader = NULL;
    fr_code code = FR_OK;
    bool more = true;
    while (more && code == FR_OK && from < limit) {
        fr_view view;
        code = fr_log_read(log, from, limit, chunk, &view, err);
        if (code != FR_OK || view.size == 0) {
            fr_view_release(&view);
            break;
        }
        for (size_t at = 0, size; at < view.size && more && code == FR_OK; at += size) {
            fr_batch_header header;
            fr_log_record record;
            code = fr_batch_check(view.data + at, view.size - at, &header, &size, err);
            if (code == FR_OK && header.recordCount == 0) continue;
            if (code == FR_OK) code = fr_batch_reader_open(view.data + at, size, &reader, err);
            while (code == FR_OK && more && fr_batch_reader_next(reader, &record))
                if (record.offset >= from && record.offset < limit) more = each(user, &header, &record);
            if (code == FR_OK && more) code = fr_batch_reader_code(reader);
        }
        from = FR_MAX(view.next, from + 1);
        fr_view_release(&view);
    }
    fr_batch_reader_close(reader);
    return code;
}

typedef struct time_search {
    int64_t timestamp_ms, found_ms;
    fr_offset offset;
} time_search;

static bool is_at_or_after(void *user, const fr_batch_header *header, const fr_log_record *record)
{
    time_search *search = user;
    if ((header->attributes & 0x20) || record->timestamp_ms < search->timestamp_ms) return true;
    search->offset = record->offset;
    search->found_ms = record->timestamp_ms;
    return false;
}

static fr_code seek_in(fr_shard *shard, int64_t timestamp_ms, bool committed, fr_offset *offset_out,
                       int64_t *timestamp_out, fr_err *err)
{
    fr_log *log = fr_shard_log(shard);
    fr_partition_state state;
    fr_offset from;
    if (log == NULL) return FR_OK;
    fill_state(shard, &state);
    fr_offset limit = committed ? state.stable : state.end;
    FR_TRY(fr_log_seek(log, timestamp_ms, &from, err));
    time_search search = {.timestamp_ms = timestamp_ms, .offset = -1, .found_ms = -1};
    FR_TRY(walk_records(log, FR_MAX(from, state.start), limit, 1u << 16, is_at_or_after, &search, err));
    *offset_out = search.offset;
    *timestamp_out = search.found_ms;
    return FR_OK;
}

fr_code fr_seek_record(fr_db *db, fr_id id, int32_t partition, int64_t timestamp_ms, bool committed,
                       fr_offset *offset_out, int64_t *timestamp_out, fr_err *err)
{
    fr_shard *shard = NULL;
    *offset_out = *timestamp_out = -1;
    FR_TRY(shard_of(db, id, partition, &shard, err));
    fr_code code = seek_in(shard, timestamp_ms, committed, offset_out, timestamp_out, err);
    fr_engine_unref(shard->collection);
    return code;
}

fr_code fr_seek_newest(fr_db *db, fr_id id, int32_t partition, fr_offset *offset_out, int64_t *timestamp_out,
                       fr_err *err)
{
    fr_shard *shard = NULL;
    *offset_out = *timestamp_out = -1;
    FR_TRY(shard_of(db, id, partition, &shard, err));
    fr_log *log = fr_shard_log(shard);
    fr_code code = FR_OK;
    int64_t newest = log != NULL ? fr_log_newest(log) : INT64_MIN;
    if (newest != INT64_MIN) code = seek_in(shard, newest, false, offset_out, timestamp_out, err);
    fr_engine_unref(shard->collection);
    return code;
}

/* ==== a coordinator's start ==== */

typedef struct scan_call {
    fr_producers *producers;
    bool (*each)(void *user, const fr_scanned *record);
    void *user;
} scan_call;

_Static_assert(sizeof(fr_record_header) == sizeof(fr_log_header), "two names of one pair of spans");

static bool scan_record(void *user, const fr_batch_header *header, const fr_log_record *record)
{
    scan_call *call = user;
    fr_offset first;
    if (header->attributes & 0x20) return true;
    bool transactional = (header->attributes & 0x10) && call->producers != NULL;
    if (transactional && fr_producers_is_aborted(call->producers, header->producerId, record->offset)) return true;
    fr_scanned scanned = {.offset = record->offset,
                          .timestamp_ms = record->timestamp_ms,
                          .producer_id = header->producerId,
                          .key = record->key,
                          .value = record->value,
                          .headers = (const fr_record_header *)record->headers,
                          .header_count = record->header_count};
    scanned.pending = transactional && fr_producers_open(call->producers, header->producerId, &first) &&
                      record->offset >= first;
    return call->each(call->user, &scanned);
}

fr_code fr_engine_scan_shard(fr_shard *shard, fr_offset from, bool (*each)(void *user, const fr_scanned *record),
                             void *user, fr_err *err)
{
    fr_log *log = fr_shard_log(shard);
    scan_call call = {fr_shard_producers(shard), each, user};
    if (log == NULL) return FR_OK;
    return walk_records(log, FR_MAX(from, fr_engine_start(shard)), fr_log_durable(log), 1u << 20, scan_record, &call, err);
}

fr_code fr_topic_scan(fr_db *db, fr_id id, int32_t partition, fr_offset from,
                      bool (*each)(void *user, const fr_scanned *record), void *user, fr_err *err)
{
    fr_shard *shard = NULL;
    FR_TRY(shard_of(db, id, partition, &shard, err));
    fr_code code = fr_engine_scan_shard(shard, from, each, user, err);
    fr_engine_unref(shard->collection);
    return code;
}
