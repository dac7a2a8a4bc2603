/* recover.c: from a directory to a database: catalog, then per shard the newest good snapshot and the log behind it.
 * Invariants
 *  1. The catalog is whole or the database does not open. A damaged data partition closes that collection only.
 *  2. A request that a power cut tore between partitions is cut away in all of them before anything is applied: each of
 * its batches says how far the request reaches everywhere ("freshet.parts"); a log that ends before that is the proof.
 * Nothing that was acknowledged can lie behind such a batch, because an acknowledgement waits for the whole round.
 *  3. Directories of collections that the catalog has ended are removed. */
#include "server/engine/engine.h"

#include <stdio.h>
#include <stdlib.h>

#define READ_BYTES (4u << 20)

static void progress(fr_db *db, const char *phase, uint64_t done, uint64_t total)
{
    if (db->options.progress != NULL) db->options.progress(db->options.progress_user, phase, done, total);
}

static fr_code replay(fr_shard *shard, fr_offset from, fr_apply_tally *tally, fr_err *err)
{
    fr_collection *c = shard->collection;
    fr_log *log = fr_shard_log(shard);
    fr_offset end = fr_log_end(log), report = from;
    while (from < end) {
        fr_view view;
        FR_TRY(fr_log_read(log, from, -1, READ_BYTES, &view, err));
        if (view.size == 0) {
            fr_view_release(&view);
            break; /* compaction left nothing behind `from` */
        }
        uint64_t commit = ++c->commit_last;
        fr_code code = fr_engine_apply(shard, &view, from, INT64_MAX, commit, FR_APPLY_REPLAY, tally, err);
        from = FR_MAX(view.next, from + 1);
        fr_view_release(&view);
        FR_TRY(code);
        atomic_store_explicit(&c->visible, commit, memory_order_release);
        if (fr_shard_table(shard) != NULL) fr_table_maintain(fr_shard_table(shard), commit);
        if (from - report >= 50000) progress(c->db, "replay", (uint64_t)(report = from), (uint64_t)end);
    }
    atomic_store(&shard->applied, end - 1);
    return FR_OK;
}

/* ==== torn requests (invariant 2) ==== */

typedef struct torn_scan {
    fr_collection *collection;
    fr_offset ends[FR_PARTITIONS_MAX]; /* of each log, lowered until nothing changes */
    bool changed;
} torn_scan;

static bool reaches_beyond(const torn_scan *scan, fr_span marker)
{
    const uint8_t *at = marker.data;
    if (marker.size < 2 || marker.size != 2 + 12 * (size_t)fr_load_le16(at)) return false;
    uint32_t count = fr_load_le16(at);
    at += 2;
    for (uint32_t i = 0; i < count; i++, at += 12) {
        uint32_t partition = fr_load_le32(at);
        if (partition < scan->collection->shard_count && (fr_offset)fr_load_le64(at + 4) >= scan->ends[partition])
            return true;
    }
    return false;
}

static fr_code scan_view(torn_scan *scan, uint32_t partition, const fr_view *view, fr_err *err)
{
    fr_db *db = scan->collection->db;
    for (size_t at = 0, size; at < view->size; at += size) {
        fr_batch_header header;
        fr_log_record record;
        FR_TRY(fr_batch_check(view->data + at, view->size - at, &header, &size, err));
        if (header.baseOffset >= scan->ends[partition]) return FR_OK;
        FR_TRY(fr_batch_reader_open(view->data + at, size, &db->apply_reader, err));
        if (!fr_batch_reader_next(db->apply_reader, &record)) continue;
        for (uint32_t i = 0; i < record.header_count; i++)
            if (fr_span_equal(record.headers[i].key, fr_span_text(FR_HEADER_PARTS)) &&
                reaches_beyond(scan, record.headers[i].value)) {
                scan->ends[partition] = header.baseOffset;
                scan->changed = true;
                return FR_OK;
            }
    }
    return FR_OK;
}

static fr_code find_torn(torn_scan *scan, const fr_offset *from, fr_err *err)
{
    for (uint32_t p = 0; p < scan->collection->shard_count; p++) {
        fr_log *log = fr_shard_log(&scan->collection->shards[p]);
        for (fr_offset at = from[p]; log != NULL && at < scan->ends[p];) {
            fr_view view;
            FR_TRY(fr_log_read(log, at, -1, READ_BYTES, &view, err));
            fr_code code = scan_view(scan, p, &view, err);
            bool empty = view.size == 0;
            at = FR_MAX(view.next, at + 1);
            fr_view_release(&view);
            FR_TRY(code);
            if (empty) break;
        }
    }
    return FR_OK;
}

static fr_code cut_torn(fr_collection *c, fr_err *err)
{
    if (c->shard_count < 2) return FR_OK; /* one batch: the log itself keeps it whole */
    torn_scan scan = {.collection = c};
    fr_offset from[FR_PARTITIONS_MAX];
    for (uint32_t p = 0; p < c->shard_count; p++) {
        fr_log *log = fr_shard_log(&c->shards[p]);
        scan.ends[p] = log != NULL ? fr_log_end(log) : 0;
        from[p] = atomic_load(&c->shards[p].snapshot) + 1;
    }
    do {
        scan.changed = false;
        FR_TRY(find_torn(&scan, from, err));
    } while (scan.changed);
    for (uint32_t p = 0; p < c->shard_count; p++) {
        fr_log *log = fr_shard_log(&c->shards[p]);
        if (log == NULL || scan.ends[p] == fr_log_end(log)) continue;
        fr_note(FR_NOTE_WARN, "event=torn_request collection=%llu partition=%u from=%lld to=%lld",
                (unsigned long long)c->id, p, (long long)scan.ends[p], (long long)fr_log_end(log));
        FR_TRY(fr_log_cut(log, scan.ends[p], err));
    }
    return FR_OK;
}

/* ==== directories ==== */

typedef struct dir_list {
    struct dir_name {
        uint64_t id;
        uint32_t partition;
    } * names;
    uint32_t count, capacity;
    fr_code code;
} dir_list;

static void collect_dir(void *user, const char *name)
{
    dir_list *list = user;
    unsigned long long id;
    unsigned partition;
    int used = 0;
    if (sscanf(name, "%20llu-%10u%n", &id, &partition, &used) != 2 || name[used] != 0) return;
    if (list->count == list->capacity) {
        uint32_t capacity = FR_MAX(64u, list->capacity * 2);
        struct dir_name *grown = fr_realloc(FR_MEM_ENGINE, list->names, capacity * sizeof *grown);
        if (grown == NULL) {
            list->code = FR_ERR_NO_MEMORY;
            return;
        }
        list->names = grown;
        list->capacity = capacity;
    }
    list->names[list->count++] = (struct dir_name){id, partition};
}

static int order_dirs(const void *a, const void *b)
{
    const struct dir_name *x = a, *y = b;
    if (x->id != y->id) return x->id > y->id ? 1 : -1;
    return (x->partition > y->partition) - (x->partition < y->partition);
}

static fr_code list_dirs(fr_db *db, const char *kind, dir_list *list, fr_err *err)
{
    char path[FR_PATH_MAX + 8];
    snprintf(path, sizeof path, "%s/%s", db->dir, kind);
    *list = (dir_list){.code = FR_OK};
    FR_TRY(db->io->list(db->io, path, collect_dir, list, err));
    if (list->count != 0) qsort(list->names, list->count, sizeof *list->names, order_dirs);
    return list->code;
}

static bool has_dir(const dir_list *list, fr_id id, int32_t partition)
{
    struct dir_name key = {id, (uint32_t)partition};
    return list->count != 0 && bsearch(&key, list->names, list->count, sizeof key, order_dirs) != NULL;
}

static void remove_strays(fr_db *db, const dir_list *logs, const dir_list *snaps)
{
    const fr_map *map = atomic_load(&db->map);
    for (uint32_t kind = 0; kind < 2; kind++) {
        const dir_list *list =
            kind == 0 ? snaps : logs; /* in this order: a log without its snapshot would be a smaller past */
        for (uint32_t i = 0; i < list->count; i++) {
            fr_id id = list->names[i].id;
            if (id < FR_FIRST_ID || fr_map_by_id(map, id) != NULL) continue;
            char path[FR_PATH_MAX + 64];
            snprintf(path, sizeof path, "%s/%s/%llu-%u", db->dir, kind == 0 ? "snap" : "log", (unsigned long long)id,
                     list->names[i].partition);
            if (id >= map->next_id) { /* nothing of ours: perhaps the catalog was restored from elsewhere */
                fr_note(FR_NOTE_WARN, "event=stray_directory path=%s", path);
                continue;
            }
            fr_err err = {0};
            if (kind == 0) (void)!fr_engine_remove_dir(db->io, path, &err);
            else (void)!fr_log_destroy(db->io, path, &err);
        }
    }
}

/* ==== one collection ==== */

static void close_collection(fr_collection *c, const fr_shard *shard, fr_code code, const fr_err *err)
{
    snprintf(c->state_text, sizeof c->state_text, "partition %d: %.160s", shard->partition, err->text);
    atomic_store_explicit(&c->state, (int)(code == FR_ERR_CORRUPT ? FR_ERR_CORRUPT : FR_ERR_READ_ONLY),
                          memory_order_release);
    atomic_store(&c->unreadable, true);
    fr_note(FR_NOTE_ERROR, "event=collection_closed collection=%llu name=%s code=%s text=\"%s\"",
            (unsigned long long)c->id, fr_schema_of(c)->topic, fr_strcode(code), c->state_text);
}

static fr_code open_shard(fr_shard *shard, bool has_log, bool has_snap, fr_err *err)
{
    if (has_log) FR_TRY(fr_engine_shard_open_log(shard, err));
    if (has_snap) FR_TRY(fr_snapshot_load(shard, &shard->ids, err));
    fr_log *log = fr_shard_log(shard);
    fr_offset end = log != NULL ? fr_log_end(log) : 0, snapshot = atomic_load(&shard->snapshot);
    if (snapshot >= end)
        return fr_fail(err, FR_ERR_CORRUPT, NULL,
                       "the log ends at offset %lld, the snapshot at %lld: records are missing", (long long)end - 1,
                       (long long)snapshot);
    return FR_OK;
}

static fr_code replay_shard(fr_shard *shard, fr_err *err)
{
    fr_apply_tally tally = {0};
    fr_log *log = fr_shard_log(shard);
    if (log == NULL) return FR_OK;
    fr_offset from = atomic_load(&shard->snapshot) + 1;
    FR_TRY(fr_engine_load_producers(shard, true, err)); /* before: a marker's records are found by it */
    FR_TRY(replay(shard, from, &tally, err));
    atomic_fetch_add(&shard->log_records, (uint64_t)(fr_log_end(log) - from));
    if (fr_log_end(log) > from)
        atomic_store(&shard->changed_ms, shard->collection->db->io->now_ms(shard->collection->db->io));
    return FR_OK;
}

/* A log without rows: its producers' state, and that all of it is applied. */
static fr_code recover_topic(fr_collection *c, const dir_list *logs, const dir_list *snaps, fr_err *err)
{
    fr_err why = {0};
    fr_code code = FR_OK;
    uint32_t at = 0;
    for (uint32_t i = 0; i < atomic_load(&c->shard_count) && code == FR_OK; i++) {
        fr_shard *shard = &c->shards[at = i];
        if (!has_dir(logs, c->id, (int32_t)i)) continue;
        code = fr_engine_shard_open_log(shard, &why);
        if (code == FR_OK) code = fr_engine_load_producers(shard, has_dir(snaps, c->id, (int32_t)i), &why);
        if (code != FR_OK) break;
        atomic_store(&shard->applied, fr_log_end(fr_shard_log(shard)) - 1);
        atomic_store(&shard->log_records, (uint64_t)(fr_log_end(fr_shard_log(shard)) - fr_log_start(fr_shard_log(shard))));
    }
    if (code == FR_ERR_NO_MEMORY || code == FR_ERR_VERSION) return fr_fail(err, code, why.field, "%s", why.text);
    if (code != FR_OK) close_collection(c, &c->shards[at], code, &why);
    return FR_OK;
}

static fr_code recover_collection(fr_collection *c, const dir_list *logs, const dir_list *snaps, fr_err *err)
{
    fr_err why = {0};
    fr_code code = FR_OK;
    uint32_t at = 0;
    if (c->kind != FR_TOPIC_COLLECTION) return recover_topic(c, logs, snaps, err);
    for (uint32_t i = 0; i < c->shard_count && code == FR_OK; i++)
        code =
            open_shard(&c->shards[at = i], has_dir(logs, c->id, (int32_t)i), has_dir(snaps, c->id, (int32_t)i), &why);
    if (code == FR_OK) code = cut_torn(c, &why);
    for (uint32_t i = 0; i < c->shard_count && code == FR_OK; i++) code = replay_shard(&c->shards[at = i], &why);
    if (code == FR_ERR_NO_MEMORY || code == FR_ERR_VERSION) return fr_fail(err, code, why.field, "%s", why.text);
    if (code != FR_OK) close_collection(c, &c->shards[at], code, &why);
    uint64_t live = 0;
    for (uint32_t i = 0; i < c->shard_count; i++) {
        fr_table *table = fr_shard_table(&c->shards[i]);
        if (table == NULL) continue;
        fr_engine_refresh(&c->shards[i]);
        live += atomic_load(&c->shards[i].live);
        atomic_store(&c->shards[i].links, true);
    }
    atomic_store(&c->count, (int64_t)live);
    return FR_OK;
}

fr_code fr_engine_recover(fr_db *db, fr_err *err)
{
    fr_err why = {0};
    fr_apply_tally tally = {0};
    progress(db, "catalog", 0, 1);
    fr_code code = fr_engine_shard_open_log(&db->catalog->shards[0], &why);
    if (code == FR_OK) code = replay(&db->catalog->shards[0], 0, &tally, &why);
    if (code != FR_OK) return fr_fail(err, code, "catalog", "the catalog cannot be read: %.200s", why.text);
    FR_TRY(fr_engine_catalog_publish(db));
    dir_list logs = {.code = FR_OK}, snaps = {.code = FR_OK};
    code = list_dirs(db, "log", &logs, err);
    if (code == FR_OK) code = list_dirs(db, "snap", &snaps, err);
    const fr_map *map = atomic_load(&db->map);
    for (uint32_t i = 0; i < map->count && code == FR_OK; i++) {
        progress(db, "collections", i, map->count);
        code = recover_collection(map->by_id[i], &logs, &snaps, err);
    }
    if (code == FR_OK && has_dir(&logs, FR_TXN_TOPIC_ID, 0)) code = fr_txns_recover(db, err);
    if (code == FR_OK) {
        progress(db, "collections", map->count, map->count);
        remove_strays(db, &logs, &snaps);
    }
    fr_free(FR_MEM_ENGINE, logs.names);
    fr_free(FR_MEM_ENGINE, snaps.names);
    return code;
}
