/* syncer.c: makes a round durable: one fdatasync per touched file, on the writer's thread. The first
 * sync that fails is final for the whole database: what the disk holds is not known any more. */
#include "server/engine/engine.h"

#define FLUSH_MS 1000 /* of durability = interval */

static fr_code sync_round(fr_db *db, fr_round *round, fr_err *err)
{
    int64_t start = db->io->mono_us(db->io);
    bool synced = false;
    for (uint32_t i = 0; i < round->touched_count; i++) {
        if (round->touched[i].published) continue;
        synced = true;
        FR_TRY(fr_log_sync(fr_shard_log(round->touched[i].shard), round->touched[i].end, err));
    }
    if (synced) {
        fr_histogram_add(&db->sync_time, db->io->mono_us(db->io) - start);
        atomic_fetch_add_explicit(&db->sync_rounds, 1, memory_order_relaxed);
    }
    return FR_OK;
}

void fr_engine_flush(fr_db *db, bool all)
{
    uint32_t pin = fr_engine_pin(db);
    const fr_map *map = atomic_load(&db->map);
    for (uint32_t i = 0; map != NULL && i < map->count; i++) {
        fr_collection *topic = map->by_id[i];
        if (!all && atomic_load_explicit(&topic->durability, memory_order_relaxed) != FR_DURABILITY_INTERVAL) continue;
        for (uint32_t s = 0; s < atomic_load(&topic->shard_count); s++) {
            fr_err err = {0};
            fr_log *log = fr_shard_log(&topic->shards[s]);
            if (log != NULL && fr_log_unsynced(log) && fr_log_flush(log, &err) != FR_OK) {
                atomic_fetch_add_explicit(&db->sync_errors, 1, memory_order_relaxed);
                fr_engine_set_state(db, FR_ERR_READ_ONLY, err.text);
            }
        }
    }
    fr_engine_unpin(db, pin);
}

static void flush_if_due(fr_db *db)
{
    int64_t now_ms = db->io->mono_us(db->io) / 1000;
    if (!atomic_load_explicit(&db->intervals, memory_order_relaxed) || now_ms - db->flushed_ms < FLUSH_MS) return;
    db->flushed_ms = now_ms;
    fr_engine_flush(db, false);
}

static void fail_round(fr_db *db, fr_round *round, const fr_err *cause)
{
    atomic_fetch_add_explicit(&db->sync_errors, 1, memory_order_relaxed);
    fr_engine_set_state(db, FR_ERR_READ_ONLY, cause->text);
    fr_err err = {0};
    fr_code code = fr_engine_state_fail(db, &err);
    fr_commit *commit;
    while ((commit = fr_commits_pop(&round->commits)) != NULL) fr_engine_refuse(db, commit, code, &err);
}

/* Nobody may touch a write after its done(): an early answer also takes the caller's events away, so apply reads the
 * log. */
static void answer_durable(fr_db *db, fr_commit *commit)
{
    fr_write *write = commit->write;
    if (write == NULL || write->ack != FR_ACK_DURABLE || commit->collection == db->catalog) return;
    commit->write = NULL;
    commit->events = NULL;
    fr_engine_finish(db, write, FR_OK, NULL);
}

/* Rows are the applier's. What has none is published here: a thread less to wake for each round. */
static void pass_on(fr_db *db, fr_commit_list *done)
{
    fr_commit_list here = {0}, rows = {0};
    fr_commit *commit;
    while ((commit = fr_commits_pop(done)) != NULL) fr_commits_push(fr_engine_needs_no_applier(db, commit) ? &here : &rows, commit);
    if (rows.count != 0) {
        pthread_mutex_lock(&db->apply_lock);
        while ((commit = fr_commits_pop(&rows)) != NULL) fr_commits_push(&db->to_apply, commit);
        pthread_mutex_unlock(&db->apply_lock);
        fr_engine_wake(db, FR_ROLE_APPLIER);
    }
    while ((commit = fr_commits_pop(&here)) != NULL) fr_engine_publish(db, commit);
}

bool fr_engine_syncer_step(fr_db *db)
{
    flush_if_due(db);
    fr_round *round = db->flight;
    if (round == NULL) return false;
    fr_err err = {0};
    fr_commit_list done = {0};
    fr_code code = sync_round(db, round, &err);
    if (code != FR_OK) {
        fail_round(db, round, &err);
    } else {
        for (uint32_t i = 0; i < round->touched_count; i++)
            fr_engine_waiters_fire(round->touched[i].shard->collection, FR_OK);
        for (fr_commit *commit = round->commits.head; commit != NULL; commit = commit->next) answer_durable(db, commit);
        done = round->commits;
        round->commits = (fr_commit_list){0};
    }
    round->touched_count = 0;
    db->flight = NULL; /* the round is the writer's again */
    pass_on(db, &done);
    return true;
}
