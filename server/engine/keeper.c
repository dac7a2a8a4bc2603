/* keeper.c: snapshots, compaction, and what nobody uses any more. One sweep at a time goes over a list of collections;
 * of each shard it takes a snapshot when one is due or asked for, then compacts its log when that is worth it or asked
 * for. A snapshot passes through three threads: keeper wants it, applier fixes S between two commits, keeper writes,
 * applier ends it. Compaction never passes the S of the older manifest, so both slots are made equal first: whichever
 * snapshot is opened, the log behind it still holds every tombstone that it needs. */
#include "server/engine/engine.h"

#define LOOK_MS   1000
#define ROTATE_MS 30000

/* ==== garbage: after a grace period (db.c says why this is enough) ==== */

static bool phase_empty(fr_db *db, uint32_t phase)
{
    for (uint32_t i = 0; i < FR_PIN_STRIPES; i++)
        if (atomic_load(&db->pins[i].readers[phase]) != 0) return false;
    return true;
}

static void grace_over(fr_db *db)
{
    for (fr_map *map = db->leaving_maps, *next; map != NULL; map = next) {
        next = map->garbage_next;
        fr_engine_map_free(map);
    }
    db->leaving_maps = NULL;
    fr_schema_free_list(db->leaving_schemas);
    db->leaving_schemas = NULL;
    while (db->leaving_collections != NULL) {
        fr_collection *c = db->leaving_collections;
        db->leaving_collections = c->garbage_next;
        c->garbage_next = db->left_collections;
        db->left_collections = c;
    }
    db->leaving_phase = 0;
}

static bool collect_garbage(fr_db *db)
{
    bool worked = false;
    if (db->leaving_phase == 0) {
        pthread_mutex_lock(&db->garbage_lock);
        db->leaving_maps = db->garbage_maps;
        db->leaving_collections = db->garbage_collections;
        db->leaving_schemas = db->garbage_schemas;
        db->garbage_schemas = NULL;
        db->garbage_maps = NULL;
        db->garbage_collections = NULL;
        pthread_mutex_unlock(&db->garbage_lock);
        if (db->leaving_maps != NULL || db->leaving_collections != NULL) {
            db->leaving_phase = 1;
            atomic_fetch_add(&db->pin_phase, 1);
            worked = true;
        }
    } else if (phase_empty(db, (atomic_load(&db->pin_phase) + 1) & 1u)) {
        if (++db->leaving_phase == 3) grace_over(db);
        else atomic_fetch_add(&db->pin_phase, 1);
        worked = true;
    }
    for (fr_collection **link = &db->left_collections; *link != NULL;) {
        fr_collection *c = *link;
        if (atomic_load_explicit(&c->refs, memory_order_acquire) != 1) { /* a commit or a sweep still holds it */
            link = &c->garbage_next;
            continue;
        }
        *link = c->garbage_next;
        fr_engine_collection_free(c, true);
        worked = true;
    }
    return worked;
}

/* ==== compaction ==== */

static bool keep_row(void *user, fr_span key, fr_offset offset, bool tombstone)
{
    fr_offset newest = fr_table_offset_of(user, key);
    return tombstone ? newest < offset : newest == offset; /* how long tombstones stay is the log's business */
}

static bool keep_name(void *user, fr_span key, fr_offset offset, bool tombstone)
{
    return fr_engine_catalog_keep(user, key, offset, tombstone);
}

static bool wants_compaction(fr_db *db, const fr_shard *shard)
{
    fr_log *log = fr_shard_log(shard);
    fr_table *table = fr_shard_table(shard);
    bool is_catalog = shard->collection == db->catalog;
    if (log == NULL || (table == NULL && !is_catalog)) return false; /* plain topics: topic_care.c */
    if (db->sweep.compact) return true;
    uint64_t bytes = fr_log_bytes(log), records = atomic_load_explicit(&shard->log_records, memory_order_relaxed);
    if (is_catalog) return bytes > (1u << 20) && bytes > shard->compacted_bytes * 2;
    if (bytes < FR_COMPACT_BYTES_MIN || bytes < shard->compacted_bytes * 2) return false;
    return records > atomic_load_explicit(&shard->live, memory_order_relaxed) * 2;
}

static fr_code compact(fr_db *db, fr_shard *shard, fr_err *err)
{
    fr_log *log = fr_shard_log(shard);
    fr_log_compacted result = {0};
    fr_offset until = atomic_load(&shard->applied) + 1;
    bool is_catalog = shard->collection == db->catalog;
    fr_producers *producers = fr_shard_producers(shard);
    if (producers != NULL) {
        /* A transaction's records become rows with its marker. None straddles a snapshot's S; without one nothing is known. */
        if (shard->newest == NULL) return FR_OK;
        until = FR_MIN(until, fr_producers_first_open(producers, fr_log_durable(log)));
    }
    if (shard->newest != NULL) {
        FR_TRY(fr_snapshot_equalise(shard, err));
        until = FR_MIN(until, shard->newest->at + 1);
    }
    uint32_t pin = fr_engine_pin(db);
    fr_code code = fr_log_compact(log, producers, until, db->io->now_ms(db->io), is_catalog ? keep_name : keep_row,
                                  is_catalog ? (void *)db : (void *)fr_shard_table(shard), &result, err);
    fr_engine_unpin(db, pin);
    FR_TRY(code);
    uint64_t gone = result.records_before - FR_MIN(result.records_after, result.records_before);
    atomic_fetch_sub(&shard->log_records, FR_MIN(gone, atomic_load(&shard->log_records)));
    shard->compacted_bytes = fr_log_bytes(log);
    atomic_fetch_add_explicit(&db->compactions, 1, memory_order_relaxed);
    return FR_OK;
}

/* ==== one sweep ==== */

static bool start_sweep(fr_db *db, bool forced, bool compacting, fr_id only, uint64_t request)
{
    fr_sweep *sweep = &db->sweep;
    uint32_t pin = fr_engine_pin(db);
    const fr_map *map = atomic_load(&db->map);
    fr_collection **list = fr_alloc(FR_MEM_ENGINE, (map->count + 2) * sizeof *list);
    uint32_t count = 0;
    for (uint32_t i = 0; i < map->count && list != NULL; i++) {
        if (only != 0 && map->by_id[i]->id != only) continue;
        fr_engine_ref(map->by_id[i]);
        list[count++] = map->by_id[i];
    }
    fr_engine_unpin(db, pin);
    if (list != NULL && only == 0) {
        fr_engine_ref(db->catalog);
        list[count++] = db->catalog;
        fr_engine_ref(db->txn_topic);
        list[count++] = db->txn_topic;
    }
    *sweep = (fr_sweep){
        .list = list, .count = count, .active = true, .forced = forced, .compact = compacting, .request = request};
    if (list == NULL) sweep->code = fr_fail(&sweep->err, FR_ERR_NO_MEMORY, NULL, "no memory");
    return true;
}

static void end_sweep(fr_db *db)
{
    fr_sweep *sweep = &db->sweep;
    for (uint32_t i = 0; i < sweep->count; i++) fr_engine_unref(sweep->list[i]);
    fr_free(FR_MEM_ENGINE, sweep->list);
    sweep->list = NULL;
    sweep->active = false;
    pthread_mutex_lock(&db->keeper_lock);
    if (sweep->request > db->request_done) {
        db->request_done = sweep->request;
        db->request_code = sweep->code;
        db->request_err = sweep->err;
    }
    pthread_mutex_unlock(&db->keeper_lock);
    fr_bell_ring(&db->done_bell);
}

static void note_failure(fr_db *db, const fr_shard *shard, const char *what, fr_code code, const fr_err *err)
{
    fr_sweep *sweep = &db->sweep;
    if (sweep->code == FR_OK) {
        sweep->code = code;
        sweep->err = *err;
    }
    fr_note(FR_NOTE_ERROR, "event=%s_failed collection=%llu partition=%d code=%s text=\"%s\"", what,
            (unsigned long long)shard->collection->id, shard->partition, fr_strcode(code), err->text);
}

static void reset_triggers(fr_db *db, fr_shard *shard, fr_offset at)
{
    shard->log_bytes_at_snapshot = fr_log_bytes(fr_shard_log(shard));
    atomic_store(&shard->changed_ms, 0);
    if (atomic_load(&shard->applied) > at) atomic_store(&shard->changed_ms, db->io->now_ms(db->io));
}

static void next_shard(fr_sweep *sweep)
{
    sweep->phase = FR_SWEEP_NEXT;
    if (++sweep->shard < sweep->list[sweep->at]->shard_count) return;
    sweep->at++;
    sweep->shard = 0;
}

static void after_snapshot(fr_db *db, fr_shard *shard, bool good)
{
    if (!good || !wants_compaction(db, shard)) {
        next_shard(&db->sweep);
        return;
    }
    db->sweep.phase = FR_SWEEP_ROLLING; /* only the writer may close the active segment */
    atomic_store(&db->roll, shard);
    fr_engine_wake(db, FR_ROLE_WRITER);
}

/* Topics without rows: their producers' state, then what may go. Only the writer may close the open segment. */
static void care_for_topic(fr_db *db, fr_shard *shard)
{
    fr_err err = {0};
    fr_code code = FR_OK;
    bool rolled = db->sweep.phase == FR_SWEEP_ROLLING;
    if (!atomic_load(&shard->collection->dropped) && !atomic_load(&shard->collection->unreadable)) {
        int64_t now_ms = db->io->now_ms(db->io);
        if (!rolled && fr_engine_wants_producers(shard, db->sweep.forced)) code = fr_engine_save_producers(shard, &err);
        if (code != FR_OK && code != FR_ERR_BUSY) note_failure(db, shard, "producer_state", code, &err);
        bool due = db->sweep.compact || fr_engine_wants_care(shard, now_ms);
        if (due && !rolled && fr_engine_care_needs_roll(shard, now_ms, db->sweep.compact)) {
            db->sweep.phase = FR_SWEEP_ROLLING;
            atomic_store(&db->roll, shard);
            fr_engine_wake(db, FR_ROLE_WRITER);
            return;
        }
        code = FR_OK;
        if (due) code = fr_engine_care(shard, now_ms, db->sweep.compact, &err);
        if (code != FR_OK && code != FR_ERR_BUSY) note_failure(db, shard, "retention", code, &err);
    }
    next_shard(&db->sweep);
}

static bool want_save(fr_db *db, fr_shard *shard, int64_t now_ms)
{
    if (shard->collection == db->catalog || atomic_load(&shard->collection->dropped) ||
        atomic_load(&shard->collection->unreadable))
        return false;
    if (!db->sweep.forced) return fr_engine_wants_snapshot(shard, now_ms);
    if (fr_shard_table(shard) == NULL || atomic_load(&shard->applied) <= atomic_load(&shard->snapshot)) return false;
    uint64_t bytes = fr_log_bytes(fr_shard_log(shard));
    return !db->closing_many || bytes - FR_MIN(shard->log_bytes_at_snapshot, bytes) >= FR_CLOSE_BYTES_MIN;
}

/* A snapshot alone only takes space: compaction that follows it gives some back. */
static bool sweep_frees(const fr_db *db) { return db->sweep.compact || !db->sweep.forced; }

static bool saving(fr_db *db, fr_shard *shard)
{
    int state = atomic_load(&db->save.state);
    if (state == FR_SAVE_BEGUN) {
        int64_t start = db->io->mono_us(db->io);
        /* First the producers: a snapshot without their state means that up to S there were none. */
        db->save.code = fr_engine_wants_producers(shard, true) ? fr_engine_save_producers(shard, &db->save.err) : FR_OK;
        /* BUSY: what they know is not durable yet; again a little later, unless it will never be. */
        if (db->save.code == FR_ERR_BUSY && !atomic_load(&db->stopping) && atomic_load(&db->state) != FR_ERR_READ_ONLY &&
            fr_log_state(fr_shard_log(shard)) == FR_OK)
            return false;
        if (db->save.code == FR_OK) db->save.code = fr_snapshot_write(db, shard, &db->save.err);
        db->save.ok = db->save.code == FR_OK;
        atomic_store(&db->last_snapshot_us, (uint64_t)(db->io->mono_us(db->io) - start));
        if (db->save.ok) atomic_store(&db->last_snapshot_time_ms, db->io->now_ms(db->io));
        atomic_fetch_add_explicit(db->save.ok ? &db->snapshots : &db->snapshot_failures, 1, memory_order_relaxed);
        atomic_store(&db->save.state, FR_SAVE_WRITTEN);
        fr_engine_wake(db, FR_ROLE_APPLIER);
        return true;
    }
    if (state != FR_SAVE_ENDED) return false;
    atomic_store(&db->save.state, FR_SAVE_IDLE);
    if (db->save.code == FR_ERR_DISK_FULL && sweep_frees(db) && fr_engine_reserve_release(db)) {
        db->sweep.phase = FR_SWEEP_NEXT; /* again from the start, and whole: what the failed attempt wrote counts for nothing */
        return true;
    }
    if (db->save.code != FR_OK) note_failure(db, shard, "snapshot", db->save.code, &db->save.err);
    reset_triggers(db, shard, db->save.at); /* also after a failure: the next attempt comes with the next trigger */
    /* No space for a snapshot: compaction up to the one before, or of a log without any, may make some. */
    after_snapshot(db, shard, db->save.code == FR_OK || db->save.code == FR_ERR_DISK_FULL);
    return true;
}

static bool sweep_step(fr_db *db)
{
    fr_sweep *sweep = &db->sweep;
    if (sweep->at >= sweep->count) {
        end_sweep(db);
        return true;
    }
    fr_shard *shard = &sweep->list[sweep->at]->shards[sweep->shard];
    switch (sweep->phase) {
    case FR_SWEEP_NEXT:
        if (shard->collection->kind != FR_TOPIC_COLLECTION) {
            care_for_topic(db, shard);
            return true;
        }
        if (!want_save(db, shard, db->io->now_ms(db->io))) {
            after_snapshot(db, shard,
                           !atomic_load(&shard->collection->dropped) && !atomic_load(&shard->collection->unreadable));
            return true;
        }
        db->save.shard = shard;
        db->save.full = shard->save_full;
        db->save.err = (fr_err){.code = FR_OK};
        sweep->phase = FR_SWEEP_SAVING;
        atomic_store(&db->save.state, FR_SAVE_WANTED);
        fr_engine_wake(db, FR_ROLE_APPLIER);
        return true;
    case FR_SWEEP_SAVING: return saving(db, shard);
    default: break;
    }
    if (atomic_load(&db->roll) != NULL) return false;
    if (shard->collection->kind != FR_TOPIC_COLLECTION) {
        care_for_topic(db, shard);
        return true;
    }
    fr_err err = {0};
    fr_code code = (fr_code)atomic_load(&db->roll_code);
    if (code == FR_ERR_DISK_FULL && fr_engine_reserve_release(db)) { /* a new segment's header needs space, too */
        atomic_store(&db->roll, shard);
        fr_engine_wake(db, FR_ROLE_WRITER);
        return true;
    }
    if (code != FR_OK) fr_fail(&err, code, NULL, "the active segment could not be closed");
    else code = compact(db, shard, &err);
    if (code == FR_ERR_DISK_FULL && fr_engine_reserve_release(db)) code = compact(db, shard, &err);
    if (code != FR_OK) note_failure(db, shard, "compaction", code, &err);
    next_shard(sweep);
    return true;
}

/* ==== when ==== */

static bool take_request(fr_db *db)
{
    pthread_mutex_lock(&db->keeper_lock);
    bool wanted = db->request_snapshot, compacting = db->request_compact;
    fr_id only = db->request_only;
    uint64_t request = db->requests;
    db->request_snapshot = db->request_compact = false;
    db->request_only = 0;
    pthread_mutex_unlock(&db->keeper_lock);
    return wanted && start_sweep(db, true, compacting, only, request);
}

static bool look_around(fr_db *db)
{
    int64_t now_ms = db->io->now_ms(db->io);
    if (now_ms - db->last_look_ms < LOOK_MS && now_ms >= db->last_look_ms) return false;
    db->last_look_ms = now_ms;
    (void)!fr_engine_reserve_gate(db, NULL); /* an empty reserve is filled when there is space */
    bool rotate = now_ms - db->last_rotate_ms >= ROTATE_MS || now_ms < db->last_rotate_ms, wanted = false;
    if (rotate) {
        db->last_rotate_ms = now_ms;
        fr_histogram_rotate(&db->sync_time);
    }
    uint32_t pin = fr_engine_pin(db);
    const fr_map *map = atomic_load(&db->map);
    for (uint32_t i = 0; i < map->count; i++) {
        fr_collection *c = map->by_id[i];
        if (rotate) fr_histogram_rotate(&c->freshness);
        for (uint32_t s = 0; s < c->shard_count; s++)
            wanted = wanted || (c->kind == FR_TOPIC_COLLECTION ? fr_engine_wants_snapshot(&c->shards[s], now_ms)
                                                               : fr_engine_wants_producers(&c->shards[s], false) ||
                                                                     fr_engine_wants_care(&c->shards[s], now_ms));
    }
    wanted = wanted || fr_engine_wants_care(&db->txn_topic->shards[0], now_ms);
    fr_engine_unpin(db, pin);
    return wanted && start_sweep(db, false, false, 0, 0);
}

bool fr_engine_keeper_step(fr_db *db)
{
    bool worked = collect_garbage(db);
    if (db->sweep.active) return sweep_step(db) || worked;
    return take_request(db) || look_around(db) || worked;
}

/* ==== on request ==== */

static fr_code request(fr_db *db, bool compacting, fr_id only, fr_err *err)
{
    pthread_mutex_lock(&db->keeper_lock);
    uint64_t ticket = ++db->requests;
    db->request_only = db->request_snapshot && db->request_only != only ? 0 : only; /* two wishes at once: everything */
    db->request_snapshot = true;
    db->request_compact = db->request_compact || compacting;
    pthread_mutex_unlock(&db->keeper_lock);
    fr_engine_wake(db, FR_ROLE_KEEPER);
    for (;;) {
        uint64_t seen = fr_bell_read(&db->done_bell);
        pthread_mutex_lock(&db->keeper_lock);
        bool done = db->request_done >= ticket;
        fr_code code = db->request_code;
        if (done && code != FR_OK && err != NULL) *err = db->request_err;
        pthread_mutex_unlock(&db->keeper_lock);
        if (done) return code;
        if (atomic_load(&db->stopping)) return fr_fail(err, FR_ERR_CLOSED, NULL, "the database is closing");
        if (db->options.no_threads) fr_engine_step_all(db);
        else fr_bell_wait(&db->done_bell, seen, 100);
    }
}

fr_code fr_snapshot(fr_db *db, fr_err *err) { return request(db, false, 0, err); }

fr_code fr_compact(fr_db *db, fr_id id, fr_err *err)
{
    if (id != 0) {
        fr_collection *c = fr_engine_topic_ref(db, id);
        if (c == NULL) return fr_fail(err, FR_ERR_NOT_FOUND, "collection", "there is no such collection");
        fr_engine_unref(c);
    }
    return request(db, true, id, err);
}
