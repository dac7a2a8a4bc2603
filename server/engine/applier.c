/* applier.c: takes durable commits in order, applies them, publishes what searches may see, and answers.
 * Order of publication, relied on by readers: rows, then `visible` (release), then `applied` (release), then done(). So
 * whoever has seen an answer or an applied offset also sees the rows. Nothing is applied before it is durable. */
#include "server/engine/engine.h"

#define HELP_EVERY_ROWS 64u
#define HELP_SLICE_US   2000
#define REFRESH_US      50000

/* ==== one commit ==== */

static void tally_up(fr_commit *commit, fr_shard *shard, const fr_apply_tally *tally)
{
    commit->existed += tally->existed;
    commit->count_delta += tally->count_delta;
    shard->rows_since_stats += tally->rows;
}

static fr_code apply_events(fr_commit *commit)
{
    fr_collection *c = commit->collection;
    uint32_t seen[FR_PARTITIONS_MAX] = {0}, index = 0;
    uint8_t part_of[FR_PARTITIONS_MAX];
    for (uint32_t i = 0; i < commit->part_count; i++) part_of[commit->parts[i].partition] = (uint8_t)i;
    fr_stored_event event;
    for (size_t at = 0; fr_engine_event_next(commit->events, &at, &event); index++) {
        uint8_t partition = commit->routes != NULL ? commit->routes[index] : (uint8_t)commit->parts[0].partition;
        if (partition == FR_ROUTE_SKIP) continue;
        fr_offset offset = commit->parts[part_of[partition]].first + seen[partition]++;
        if (index < commit->event_next) continue; /* done before memory ran out */
        fr_apply_record record = {
            .offset = offset, .key = event.key, .value = event.value, .event_id = event.event_id, .judged = true};
        fr_apply_tally tally = {0};
        FR_TRY(fr_engine_apply_record(&c->shards[partition], &record, commit->number, FR_APPLY_LIVE, &tally));
        tally_up(commit, &c->shards[partition], &tally);
        commit->event_next = index + 1;
    }
    return FR_OK;
}

/* The producer's own bytes, as they were appended: his until he is answered. NULL: they are to be read back. */
static const fr_produce *produced(const fr_commit *commit, const fr_written *part)
{
    const fr_write *write = commit->write;
    for (uint32_t i = 0; write != NULL && write->kind == FR_WRITE_BATCHES && i < write->produce_count; i++) {
        const fr_produce *one = &write->produce[i];
        if (one->reason == FR_REASON_NONE && one->partition == part->partition && one->base_offset == part->first) return one;
    }
    return NULL;
}

/* As the producer's thread found them, when nothing changed since that a replay would judge by. */
static bool found_counts(const fr_commit *commit, const fr_produce *own)
{
    const fr_collection *c = commit->collection;
    if (own == NULL || own->opaque[3] == 0) return false;
    const fr_ticket *ticket = fr_ticket_of(commit->write);
    return ticket->version == fr_schema_of(c)->version && ticket->limits_version == c->limits.version; /* both are the applier's to change */
}

/* Again after NO_MEMORY: what was put already has these offsets and is left alone. */
static fr_code apply_found(fr_commit *commit, const fr_written *part, const fr_produce *own, fr_shard *shard)
{
    const fr_batch *found = &fr_ticket_of(commit->write)->found;
    fr_stored_event event;
    fr_offset offset = part->first;
    for (size_t at = own->opaque[2]; at < own->opaque[3] && fr_engine_event_next(found, &at, &event); offset++) {
        fr_apply_record record = {.offset = offset, .key = event.key, .value = event.value, .judged = true};
        fr_apply_tally tally = {0};
        FR_TRY(fr_engine_apply_record(shard, &record, commit->number, FR_APPLY_LIVE, &tally));
        tally_up(commit, shard, &tally);
    }
    FR_ASSERT(offset == part->last + 1); /* an event for each record of the batch */
    return FR_OK;
}

/* No more than the commit has: many small ones may wait behind it, and reading those, too, for each would never end. */
static fr_code read_back(const fr_commit *commit, const fr_written *part, fr_offset from, fr_view *view, fr_err *err)
{
    uint32_t bytes_max = (uint32_t)FR_MIN(FR_MAX(commit->bytes, (uint64_t)(64u << 10)), (uint64_t)(4u << 20));
    fr_code code = fr_log_read(fr_shard_log(&commit->collection->shards[part->partition]), from, part->last + 1, bytes_max, view, err);
    return code == FR_OK && view->size == 0 ? FR_ERR_CORRUPT : code;
}

static fr_code apply_from_log(fr_commit *commit)
{
    for (uint32_t i = 0; i < commit->part_count; i++) {
        fr_written *part = &commit->parts[i];
        fr_shard *shard = &commit->collection->shards[part->partition];
        const fr_produce *own = produced(commit, part);
        if (found_counts(commit, own)) {
            FR_TRY(apply_found(commit, part, own, shard));
            continue;
        }
        for (fr_offset from = FR_MAX(part->first, atomic_load(&shard->applied) + 1); from <= part->last;) {
            fr_view view;
            fr_err err = {0};
            fr_apply_tally tally = {0};
            fr_code code = FR_ERR_CORRUPT;
            if (own != NULL && from == part->first) {
                view = (fr_view){.data = own->data, .size = own->size, .first = from, .next = part->last + 1};
                code = fr_engine_apply(shard, &view, from, part->last, commit->number, FR_APPLY_LIVE, &tally, &err);
            }
            bool back = code == FR_ERR_CORRUPT; /* his bytes are not what was appended any more: its checksum came before any record */
            if (back) code = read_back(commit, part, from, &view, &err);
            if (back && code == FR_OK)
                code = fr_engine_apply(shard, &view, from, part->last, commit->number, FR_APPLY_LIVE, &tally, &err);
            fr_offset next = view.next;
            if (back) fr_view_release(&view);
            if (code == FR_ERR_NO_MEMORY)
                return code; /* again from here: what was put already has these offsets and is left alone */
            if (code != FR_OK) {
                fr_note(FR_NOTE_ERROR, "event=apply_read collection=%llu partition=%d offset=%lld text=\"%s\"",
                        (unsigned long long)commit->collection->id, part->partition, (long long)from, err.text);
                return code;
            }
            tally_up(commit, shard, &tally);
            from = next;
        }
    }
    return FR_OK;
}

static fr_code apply_commit(fr_db *db, fr_commit *commit)
{
    if (commit->part_count == 0) return FR_OK; /* all of it was answered by earlier event ids */
    if (commit->collection->kind != FR_TOPIC_COLLECTION) return FR_OK; /* a log without rows */
    FR_TRY(commit->events != NULL ? apply_events(commit) : apply_from_log(commit));
    return commit->collection == db->catalog ? fr_engine_catalog_publish(db) : FR_OK;
}

static void publish(fr_db *db, fr_commit *commit)
{
    fr_collection *c = commit->collection;
    uint64_t records = 0;
    /* Before `visible`: the writer may end the erasure as soon as it sees its commit. */
    if (commit->erasure != NULL) atomic_fetch_add(&commit->erasure->existed, commit->existed);
    atomic_store_explicit(&c->visible, commit->number, memory_order_release); /* pairs with the searches' acquire */
    if (commit->count_delta != 0) atomic_fetch_add_explicit(&c->count, commit->count_delta, memory_order_relaxed);
    for (uint32_t i = 0; i < commit->part_count; i++) {
        fr_written *part = &commit->parts[i];
        fr_shard *shard = &c->shards[part->partition];
        uint64_t count = (uint64_t)(part->last - part->first + 1);
        records += count;
        atomic_fetch_add_explicit(&shard->log_records, count, memory_order_relaxed);
        atomic_store(&shard->applied, part->last);
        if (atomic_load_explicit(&shard->changed_ms, memory_order_relaxed) == 0)
            atomic_store_explicit(&shard->changed_ms, db->io->now_ms(db->io), memory_order_relaxed);
    }
    atomic_fetch_add_explicit(&db->applied_records, records, memory_order_relaxed);
}

static void answer(fr_db *db, fr_commit *commit)
{
    fr_collection *c = commit->collection;
    if (c == db->catalog) atomic_store(&db->ddl_busy, false);
    if (c == db->catalog && commit->erasure != NULL) atomic_store(&commit->erasure->changed, true);
    if (c == db->catalog || commit->erasure != NULL) fr_engine_wake(db, FR_ROLE_WRITER);
    if (commit->submitted_us != 0) fr_histogram_add(&c->freshness, db->io->mono_us(db->io) - commit->submitted_us);
    if (commit->write != NULL) {
        commit->write->existed = commit->existed;
        fr_engine_finish(db, commit->write, FR_OK, NULL);
    }
    if (commit->join != NULL) fr_engine_join_done(db, commit->join, FR_OK);
    fr_engine_waiters_fire(c, FR_OK);
}

/* A topic without rows has nothing to apply: the syncer's thread publishes it, always, so that each topic has its order. */
bool fr_engine_needs_no_applier(const fr_db *db, const fr_commit *commit)
{
    return commit->collection->kind != FR_TOPIC_COLLECTION && commit->collection != db->catalog && commit->erasure == NULL;
}

void fr_engine_publish(fr_db *db, fr_commit *commit)
{
    publish(db, commit);
    answer(db, commit);
    fr_engine_commit_free(db, commit);
}

/* ==== care of the tables that were written to ==== */

void fr_engine_refresh(fr_shard *shard)
{
    fr_table_stats stats = {0};
    uint64_t visible = atomic_load_explicit(&shard->collection->visible, memory_order_relaxed);
    for (uint32_t i = shard->index_count; i-- > 0;) { /* live: the first field's */
        fr_table_stats one;
        fr_table *table = fr_shard_table_of(shard, i);
        fr_table_maintain(table, visible);
        fr_table_stats_get(table, &one);
        stats.live = one.live;
        stats.unlinked = FR_MAX(stats.unlinked, one.unlinked);
        stats.dead = FR_MAX(stats.dead, one.dead);
        stats.bytes += one.bytes;
    }
    atomic_store_explicit(&shard->live, stats.live, memory_order_relaxed);
    atomic_store_explicit(&shard->unlinked, stats.unlinked, memory_order_relaxed);
    atomic_store_explicit(&shard->dead, stats.dead, memory_order_relaxed);
    atomic_store_explicit(&shard->index_bytes, stats.bytes, memory_order_relaxed);
    shard->hot = stats.unlinked != 0 || stats.dead != 0;
}

/* Nothing to apply: what linkers have swept is freed, and figures are brought up to date. */
static void idle(fr_db *db)
{
    int64_t now_us = db->io->mono_us(db->io);
    if (now_us - db->refreshed_us < REFRESH_US) return;
    db->refreshed_us = now_us;
    for (uint32_t i = 0; i < db->names.count; i++)
        for (uint32_t s = 0; s < db->names.collections[i]->shard_count; s++) {
            fr_shard *shard = &db->names.collections[i]->shards[s];
            bool wait = fr_shard_table(shard) != NULL && shard->hot;
            for (uint32_t f = 0; f < shard->index_count && fr_shard_table(shard) != NULL && !wait; f++)
                wait = fr_table_columns_wait(fr_shard_table_of(shard, f));
            if (wait) fr_engine_refresh(shard);
        }
}

/* Dead rows that merely wait for the next sweep (a 64th of the rows starts one, as many gather meanwhile) are no
 * backlog. */
static uint64_t waiting_for_sweep(const fr_shard *shard)
{
    return atomic_load_explicit(&shard->live, memory_order_relaxed) / 16;
}

static bool commits_wait(fr_db *db)
{
    pthread_mutex_lock(&db->apply_lock);
    bool wait = db->to_apply.count != 0;
    pthread_mutex_unlock(&db->apply_lock);
    return wait;
}

static uint32_t help_step(fr_shard *shard, bool pieces)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < shard->index_count; i++) most = FR_MAX(most, fr_table_help_step(fr_shard_table_of(shard, i), pieces));
    return most;
}

/* How many times as many rows may wait for their links: more where nobody has searched lately, for no one pays for scanning them. Bits
 * of long vectors are scanned longer, so that the first search to come waits no longer for them. */
static uint32_t patience(const fr_shard *shard, int64_t now_us)
{
    fr_collection *c = shard->collection;
    if (atomic_load_explicit(&c->searched, memory_order_relaxed)) {
        atomic_store_explicit(&c->searched, false, memory_order_relaxed);
        c->searched_us = FR_MAX(now_us, (int64_t)1);
    }
    if (c->searched_us != 0 && now_us - c->searched_us < FR_UNSEARCHED_US) return 1;
    uint32_t longest = 128;
    for (uint32_t i = 0; i < shard->index_count; i++) longest = FR_MAX(longest, fr_table_settings(fr_shard_table_of(shard, i))->dimension);
    return FR_MAX(FR_UNSEARCHED_FACTOR * 128 / longest, 1u);
}

/* Linkers are behind: each row written owes one linked and one repaired. What is owed is paid while no commit waits, in short slices: the
 * help must not show in what writers wait for. Far behind it is paid at once, doubly, so that the rows which every search scans stay bounded. */
static void help(fr_db *db, fr_shard *shard, uint32_t rows)
{
    uint64_t unlinked = atomic_load_explicit(&shard->unlinked, memory_order_relaxed);
    uint64_t dead = atomic_load_explicit(&shard->dead, memory_order_relaxed), dead_max = FR_DEAD_MAX + waiting_for_sweep(shard);
    int64_t now_us = db->io->mono_us(db->io);
    uint64_t times = patience(shard, now_us);
    uint32_t share = (unlinked > FR_UNLINKED_MAX * times ? 1u : 0u) + (dead > dead_max ? 1u : 0u);
    if (share == 0) {
        shard->help_owed = 0;
        return;
    }
    bool far = unlinked > FR_UNLINKED_FAR * times || dead > 2 * dead_max;
    shard->help_owed += (uint64_t)rows * share;
    uint64_t left = far ? FR_MIN(shard->help_owed, 2ull * rows * share) : shard->help_owed;
    int64_t until_us = now_us + HELP_SLICE_US;
    while (left > 0 && (far || (!commits_wait(db) && db->io->mono_us(db->io) < until_us))) {
        uint64_t paid = FR_MIN(left, (uint64_t)help_step(shard, far));
        if (paid == 0) shard->help_owed = left = 0; /* linkers hold what there is */
        shard->help_owed -= paid;
        left -= paid;
    }
}

static void care(fr_db *db, fr_commit *commit)
{
    fr_collection *c = commit->collection;
    bool link = false;
    for (uint32_t i = 0; i < commit->part_count && c != db->catalog; i++) {
        fr_shard *shard = &c->shards[commit->parts[i].partition];
        if (fr_shard_table(shard) == NULL) continue;
        if (!atomic_exchange(&shard->links, true)) link = true;
        shard->hot = true;
        if (shard->rows_since_stats < HELP_EVERY_ROWS && commit->count_delta >= 0) continue;
        fr_engine_refresh(shard);
        help(db, shard, shard->rows_since_stats);
        shard->rows_since_stats = 0;
    }
    if (link) fr_engine_wake(db, FR_ROLE_LINKER);
}

static bool saving(fr_db *db)
{
    int state = atomic_load(&db->save.state);
    if (state != FR_SAVE_WANTED && state != FR_SAVE_WRITTEN) return false;
    fr_shard *shard = db->save.shard;
    if (state == FR_SAVE_WANTED) {
        db->save.at = atomic_load(&shard->applied);
        db->save.log_records = atomic_load_explicit(&shard->log_records, memory_order_relaxed);
        if (shard->waiting_count != 0) { /* replay would begin behind their records: at another time */
            db->save.code = fr_fail(&db->save.err, FR_ERR_BUSY, NULL, "a transaction is open");
            atomic_store(&db->save.state, FR_SAVE_ENDED);
            fr_engine_wake(db, FR_ROLE_KEEPER);
            return true;
        }
        db->save.code = fr_shard_table(shard) != NULL ? FR_OK : FR_ERR_NOT_FOUND;
        for (uint32_t i = 0; i < shard->index_count && db->save.code == FR_OK; i++) {
            db->save.code = fr_table_save_begin(fr_shard_table_of(shard, i), db->save.at, db->save.full, &db->save.err);
            for (uint32_t before = i; db->save.code != FR_OK && before-- > 0;) fr_table_save_end(fr_shard_table_of(shard, before), false);
        }
        atomic_store(&db->save.state, db->save.code == FR_OK ? FR_SAVE_BEGUN : FR_SAVE_ENDED);
    } else {
        for (uint32_t i = 0; i < shard->index_count; i++) {
            fr_table_save_end(fr_shard_table_of(shard, i), db->save.ok);
            fr_table_maintain(fr_shard_table_of(shard, i), atomic_load(&shard->collection->visible));
        }
        atomic_store(&db->save.state, FR_SAVE_ENDED);
    }
    fr_engine_wake(db, FR_ROLE_KEEPER);
    return true;
}

bool fr_engine_applier_step(fr_db *db)
{
    bool worked = db->stalled == NULL && saving(db); /* a snapshot is taken between commits */
    for (uint32_t i = 0; i < 64; i++) {
        fr_commit *commit = db->stalled;
        db->stalled = NULL;
        if (commit == NULL) {
            pthread_mutex_lock(&db->apply_lock);
            commit = fr_commits_pop(&db->to_apply);
            pthread_mutex_unlock(&db->apply_lock);
        }
        if (commit == NULL) {
            if (fr_engine_reshape_step(db)) return true;
            idle(db);
            return worked;
        }
        fr_code code = apply_commit(db, commit);
        if (code == FR_ERR_NO_MEMORY) { /* it is durable and must be applied: again a little later */
            db->stalled = commit;
            return false;
        }
        if (code !=
            FR_OK) { /* the log could not be read back: the truth is on disk, and this process does not hold it */
            fr_engine_set_state(db, FR_ERR_READ_ONLY, "a durable write could not be read back and applied");
            fr_err err = {0};
            code = fr_engine_state_fail(db, &err);
            fr_engine_refuse(db, commit, code, &err);
            continue;
        }
        publish(db, commit);
        answer(db, commit);
        care(db, commit); /* nobody waits for it */
        fr_engine_commit_free(db, commit);
        worked = true;
    }
    (void)fr_engine_reshape_step(db); /* under a load that never pauses, too */
    return worked;
}
