/* topic_care.c: what the keeper does for logs without rows: old segments go (retention, DeleteRecords), and compaction keeps the newest
 * record of each key, by Kafka's rules (kafka.log.LogCleaner). Only closed segments are touched, never from the first undecided
 * transaction on. */
#include "server/engine/engine.h"

#define CARE_MS         10000
#define CARE_LATER_MS   (3600 * 1000LL)
#define CLEAN_KEYS_MAX  (4u << 20) /* keys that one compaction looks at: 96 MiB */
#define CLEAN_KEYS_LEAST 1024u

/* ==== the newest offset of each key, by 128 bits of hash ==== */

typedef struct key_slot {
    uint64_t hash[2];
    fr_offset offset; /* -1: empty */
} key_slot;

typedef struct key_map {
    key_slot *slots;
    uint32_t count, capacity; /* capacity: a power of two */
    fr_offset until, full_at; /* records from `until` on do not count; full_at: -1, or the first record that had no room */
    fr_code code;
} key_map;

static key_slot *slot_of(const key_map *map, const uint64_t hash[2])
{
    for (uint32_t at = (uint32_t)hash[0];; at++) {
        key_slot *slot = &map->slots[at & (map->capacity - 1)];
        if (slot->offset < 0 || (slot->hash[0] == hash[0] && slot->hash[1] == hash[1])) return slot;
    }
}

static fr_code grow(key_map *map)
{
    key_map larger = *map;
    larger.capacity = FR_MAX(CLEAN_KEYS_LEAST, map->capacity * 2);
    larger.slots = fr_alloc(FR_MEM_ENGINE, larger.capacity * sizeof *larger.slots);
    if (larger.slots == NULL) return FR_ERR_NO_MEMORY;
    for (uint32_t i = 0; i < larger.capacity; i++) larger.slots[i].offset = -1;
    for (uint32_t i = 0; i < map->capacity; i++)
        if (map->slots[i].offset >= 0) *slot_of(&larger, map->slots[i].hash) = map->slots[i];
    fr_free(FR_MEM_ENGINE, map->slots);
    *map = larger;
    return FR_OK;
}

static void hash_key(fr_span key, uint64_t hash[2])
{
    hash[0] = fr_hash(key.data, key.size, 0);
    hash[1] = fr_hash(key.data, key.size, 0x9e3779b97f4a7c15u);
}

static bool note_key(void *user, const fr_scanned *record)
{
    key_map *map = user;
    uint64_t hash[2];
    if (record->offset >= map->until) return false;
    if (record->key.data == NULL) return true;
    if (map->count * 2 >= map->capacity && map->capacity < CLEAN_KEYS_MAX * 2 && (map->code = grow(map)) != FR_OK)
        return false;
    hash_key(record->key, hash);
    key_slot *slot = slot_of(map, hash);
    if (slot->offset < 0) {
        if (map->count >= CLEAN_KEYS_MAX) {
            map->full_at = record->offset;
            return false;
        }
        map->count++;
    }
    *slot = (key_slot){{hash[0], hash[1]}, record->offset};
    return true;
}

static bool keep_newest(void *user, fr_span key, fr_offset offset, bool tombstone)
{
    const key_map *map = user;
    uint64_t hash[2];
    (void)tombstone; /* how long they stay is the log's business */
    if (map->capacity == 0) return true;
    hash_key(key, hash);
    const key_slot *slot = slot_of(map, hash);
    return slot->offset < 0 || offset >= slot->offset;
}

/* ==== compaction ==== */

/* What lies before cleaned_to holds each key once, so the newest offsets come from behind it. */
static fr_code clean(fr_shard *shard, fr_offset until, int64_t now_ms, fr_err *err)
{
    fr_log *log = fr_shard_log(shard);
    fr_log_compacted result = {0};
    key_map map = {.until = until, .full_at = -1};
    fr_code code = fr_engine_scan_shard(shard, shard->cleaned_to, note_key, &map, err);
    if (map.full_at >= 0) { /* whole segments only: the rest comes next time */
        (void)fr_log_closed(log, shard->cleaned_to, map.full_at, &until);
        if (until == shard->cleaned_to) {
            char topic[FR_TOPIC_NAME_SIZE];
            fr_note(FR_NOTE_WARN, "event=compaction_too_many_keys topic=%s partition=%d limit=%u",
                    fr_engine_topic_name(shard->collection, topic), shard->partition, CLEAN_KEYS_MAX);
            shard->cared_ms = now_ms + CARE_LATER_MS;
        }
    }
    if (code == FR_OK && map.code != FR_OK) code = fr_fail(err, map.code, NULL, "no memory for the keys of a compaction");
    if (code == FR_OK && until > shard->cleaned_to)
        code = fr_log_compact(log, fr_shard_producers(shard), until, now_ms, keep_newest, &map, &result, err);
    fr_free(FR_MEM_ENGINE, map.slots);
    FR_TRY(code);
    uint64_t gone = result.records_before - FR_MIN(result.records_after, result.records_before);
    atomic_fetch_sub(&shard->log_records, FR_MIN(gone, atomic_load(&shard->log_records)));
    shard->cleaned_to = FR_MAX(shard->cleaned_to, until);
    shard->cleaned_ms = now_ms;
    atomic_fetch_add_explicit(&shard->collection->db->compactions, 1, memory_order_relaxed);
    return FR_OK;
}

/* Is there enough behind the last compaction? Tombstones whose time has passed go with the next one, at the latest after
 * delete.retention.ms. */
static fr_code clean_if_worth(fr_shard *shard, const fr_topic_limits *limits, fr_offset settled, int64_t now_ms, bool forced,
                              fr_err *err)
{
    fr_log *log = fr_shard_log(shard);
    fr_offset until = FR_MIN(settled, fr_log_open_base(log)), end, ignored;
    if (limits->min_compaction_lag_ms > 0) {
        fr_offset young;
        FR_TRY(fr_log_seek(log, now_ms - limits->min_compaction_lag_ms, &young, err));
        until = FR_MIN(until, young);
    }
    uint64_t dirty = fr_log_closed(log, shard->cleaned_to, until, &end), total = fr_log_closed(log, 0, until, &ignored);
    bool overdue = shard->cleaned_ms != 0 && now_ms - shard->cleaned_ms >= FR_MAX(limits->delete_retention_ms, CARE_LATER_MS) &&
                   atomic_load(&shard->log_records) != 0;
    if (total == 0 || (dirty == 0 && !forced && !overdue)) return FR_OK;
    if (!forced && !overdue && (double)dirty < limits->dirty_ratio * (double)total) return FR_OK;
    return clean(shard, FR_MAX(end, shard->cleaned_to), now_ms, err);
}

/* ==== care ==== */

bool fr_engine_wants_care(fr_shard *shard, int64_t now_ms)
{
    if (shard->collection->kind == FR_TOPIC_COLLECTION || fr_shard_log(shard) == NULL) return false;
    if (shard->cared_ms == 0) shard->cared_ms = now_ms; /* not at once after a start */
    return now_ms - shard->cared_ms >= CARE_MS || now_ms < shard->cared_ms - CARE_LATER_MS;
}

bool fr_engine_care_needs_roll(fr_shard *shard, int64_t now_ms, bool compacting)
{
    fr_log *log = fr_shard_log(shard);
    fr_topic_limits limits;
    if (log == NULL || atomic_load(&shard->collection->db->stopping)) return false;
    fr_offset end = fr_log_end(log);
    if (fr_log_open_base(log) == end || fr_log_durable(log) < end) return false;
    fr_engine_limits(shard->collection, &limits);
    if (atomic_load(&shard->kept_from) >= end) return true;
    if (compacting && limits.compact) return true;
    int64_t newest = fr_log_newest(log);
    return limits.expires && limits.retention_ms >= 0 && newest != INT64_MIN && newest < now_ms - limits.retention_ms;
}

fr_code fr_engine_care(fr_shard *shard, int64_t now_ms, bool compacting, fr_err *err)
{
    fr_log *log = fr_shard_log(shard);
    fr_producers *producers = fr_shard_producers(shard);
    fr_topic_limits limits;
    if (log == NULL || fr_log_state(log) != FR_OK) return FR_OK;
    shard->cared_ms = now_ms;
    fr_engine_limits(shard->collection, &limits);
    fr_offset durable = fr_log_durable(log), kept = atomic_load(&shard->kept_from), start = fr_log_start(log);
    fr_offset settled = producers != NULL ? fr_producers_stable(producers, durable) : durable;
    if (kept > start) FR_TRY(fr_log_drop_before(log, FR_MIN(kept, settled), NULL, err));
    FR_TRY(fr_log_retain(log, settled, now_ms, NULL, err));
    uint64_t gone = (uint64_t)(fr_log_start(log) - start);
    atomic_fetch_sub(&shard->log_records, FR_MIN(gone, atomic_load(&shard->log_records)));
    shard->cleaned_to = FR_MAX(shard->cleaned_to, fr_log_start(log));
    return limits.compact ? clean_if_worth(shard, &limits, settled, now_ms, compacting, err) : FR_OK;
}
