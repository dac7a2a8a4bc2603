/* writer.c: THE write path from the queue to the log: order, duplicates, routing, offsets, commit numbers; and the
 * rounds that the syncer makes durable. Invariants
 *  1. A write is in the log whole or not at all: when one of its appends fails, the others are cut away again before
 * anything else is appended (fr_log_cut), and its event ids are forgotten.
 *  2. A request over several partitions says in each of its batches how far it reaches in every partition, so that
 * recovery can tell a torn one (recover.c).
 *  3. Commits leave in the order in which they were numbered, through one round at a time. */
#include "server/engine/engine.h"

#include <stdio.h>

void fr_commits_push(fr_commit_list *list, fr_commit *commit)
{
    commit->next = NULL;
    if (list->tail != NULL) list->tail->next = commit;
    else list->head = commit;
    list->tail = commit;
    list->count++;
    list->bytes += commit->bytes;
}

fr_commit *fr_commits_pop(fr_commit_list *list)
{
    fr_commit *commit = list->head;
    if (commit == NULL) return NULL;
    list->head = commit->next;
    if (list->head == NULL) list->tail = NULL;
    list->count--;
    list->bytes -= commit->bytes;
    return commit;
}

void fr_engine_commit_free(fr_db *db, fr_commit *commit)
{
    fr_engine_unref(commit->collection);
    if (commit->counted) fr_engine_release(db, commit->bytes);
    fr_free(FR_MEM_ENGINE, commit);
}

void fr_engine_refuse(fr_db *db, fr_commit *commit, fr_code code, const fr_err *err)
{
    if (commit->collection == db->catalog) {
        atomic_store(&db->ddl_busy, false);
        fr_engine_wake(db, FR_ROLE_WRITER);
    }
    if (commit->erasure != NULL) {
        atomic_store(&commit->erasure->failed, (int)code);
        fr_engine_wake(db, FR_ROLE_WRITER);
    } else if (commit->write != NULL) {
        fr_engine_finish(db, commit->write, code, err);
    }
    if (commit->join != NULL) fr_engine_join_done(db, commit->join, code);
    fr_engine_commit_free(db, commit);
}

/* ==== append one request ==== */

/* Room for the shards of one more request, before it is appended: behind the append there is no way back. */
static bool round_reserve(fr_round *round, uint32_t parts)
{
    if (round->touched_count + parts <= round->touched_capacity) return true;
    uint32_t capacity = FR_MAX(round->touched_count + parts, FR_MAX(64u, round->touched_capacity * 2));
    struct fr_touched *grown = fr_realloc(FR_MEM_ENGINE, round->touched, capacity * sizeof *grown);
    if (grown == NULL) return false;
    round->touched = grown;
    round->touched_capacity = capacity;
    return true;
}

bool fr_engine_round_reserve(fr_db *db, uint32_t parts) { return round_reserve(db->prepared, parts); }

void fr_engine_round_add(fr_db *db, fr_commit *commit)
{
    fr_round *round = db->prepared;
    round->forced = round->forced || commit->join != NULL;
    for (uint32_t i = 0; i < commit->part_count; i++) {
        fr_shard *shard = &commit->collection->shards[commit->parts[i].partition];
        if (shard->touched) continue;
        FR_ASSERT(round->touched_count < round->touched_capacity); /* reserved by fr_engine_append */
        shard->touched = true;
        round->touched[round->touched_count++] = (struct fr_touched){.shard = shard, .end = 0};
    }
    fr_commits_push(&round->commits, commit);
}

typedef struct plan { /* of one request over the partitions of its collection */
    uint32_t counts[FR_PARTITIONS_MAX];
    fr_offset base[FR_PARTITIONS_MAX];
    struct {
        fr_offset first, last;
    } answered[FR_PARTITIONS_MAX]; /* by earlier event ids; first -1 = none */
    uint32_t records, duplicates, parts;
    int64_t now_ms;
} plan;

static fr_offset log_end(const fr_shard *shard)
{
    fr_log *log = fr_shard_log(shard);
    return log != NULL ? fr_log_end(log) : 0;
}

static void forget_ids(fr_collection *c, const plan *p)
{
    for (uint32_t i = 0; i < c->shard_count; i++) fr_event_ids_undo(&c->shards[i].ids, p->base[i]);
}

static fr_code make_plan(fr_db *db, fr_collection *c, const fr_batch *batch, plan *p, fr_err *err)
{
    p->records = p->duplicates = p->parts = 0;
    p->now_ms = db->io->now_ms(db->io);
    for (uint32_t i = 0; i < c->shard_count; i++) {
        p->counts[i] = 0;
        p->base[i] = log_end(&c->shards[i]);
        p->answered[i].first = p->answered[i].last = -1;
    }
    fr_stored_event event;
    uint32_t index = 0;
    for (size_t at = 0; fr_engine_event_next(batch, &at, &event); index++) {
        uint32_t part = c->shard_count == 1 ? 0 : fr_murmur2(event.key.data, event.key.size) % c->shard_count;
        fr_offset earlier, offset = p->base[part] + p->counts[part];
        db->routes[index] = (uint8_t)part;
        if (event.event_id.size != 0) {
            fr_event_ids *ids = &c->shards[part].ids;
            if (fr_event_ids_find(ids, event.event_id, p->now_ms, &earlier)) {
                db->routes[index] = FR_ROUTE_SKIP;
                p->duplicates++;
                if (p->answered[part].first < 0 || earlier < p->answered[part].first) p->answered[part].first = earlier;
                p->answered[part].last = FR_MAX(p->answered[part].last, earlier);
                continue;
            }
            if (fr_event_ids_add(ids, event.event_id, offset, p->now_ms) != FR_OK) {
                forget_ids(c, p);
                return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for event ids");
            }
        }
        if (event.flags & FR_EVENT_PARTIAL) { /* partial.c took it for one that its id answers */
            forget_ids(c, p);
            return fr_fail(err, FR_ERR_BUSY, "records", "an event id was forgotten this moment: try again");
        }
        if (p->counts[part]++ == 0) p->parts++;
        p->records++;
    }
    return FR_OK;
}

/* "freshet.parts": u16 count, then {u32 partition, i64 last offset} each, little endian. */
static size_t parts_marker(const fr_collection *c, const plan *p, uint8_t *out)
{
    uint8_t *at = out + 2;
    for (uint32_t i = 0; i < c->shard_count; i++) {
        if (p->counts[i] == 0) continue;
        fr_store_le32(at, i);
        fr_store_le64(at + 4, (uint64_t)(p->base[i] + p->counts[i] - 1));
        at += 12;
    }
    fr_store_le16(out, (uint16_t)p->parts);
    return (size_t)(at - out);
}

static fr_code encode_part(fr_db *db, fr_collection *c, const fr_batch *batch, const plan *p, uint32_t part,
                           uint8_t **out, size_t *size_out)
{
    uint8_t marker[2 + 12 * FR_PARTITIONS_MAX];
    size_t marker_size = p->parts > 1 ? parts_marker(c, p, marker) : 0;
    fr_batch_writer_begin(&db->encoder, c == db->catalog ? FR_CODEC_NONE : FR_CODEC_LZ4);
    fr_stored_event event;
    uint32_t index = 0;
    for (size_t at = 0; fr_engine_event_next(batch, &at, &event); index++) {
        if (db->routes[index] != part) continue;
        fr_log_header headers[3];
        uint32_t count = 0;
        if (event.event_id.size != 0)
            headers[count++] = (fr_log_header){fr_span_text(FR_HEADER_EVENT_ID), event.event_id};
        if ((event.flags & FR_EVENT_REMOVE) && (event.flags & FR_EVENT_KEY_IS_INT))
            headers[count++] = (fr_log_header){fr_span_text(FR_HEADER_KEY_IS_INT), fr_span_of("", 0)};
        if (marker_size != 0)
            headers[count++] = (fr_log_header){fr_span_text(FR_HEADER_PARTS), fr_span_of(marker, marker_size)};
        marker_size = 0;
        fr_batch_writer_add(&db->encoder, p->now_ms, event.key, event.value, headers, count);
    }
    return fr_batch_writer_end(&db->encoder, out, size_out);
}

static fr_code append_part(fr_db *db, fr_collection *c, const fr_batch *batch, const plan *p, uint32_t part,
                           fr_err *err)
{
    fr_shard *shard = &c->shards[part];
    uint8_t *bytes;
    size_t size;
    fr_offset base;
    if (fr_shard_log(shard) == NULL) FR_TRY(fr_engine_shard_open_log(shard, err));
    fr_code code = encode_part(db, c, batch, p, part, &bytes, &size);
    if (code != FR_OK) return fr_fail(err, code, NULL, "a batch of %u records could not be encoded", p->counts[part]);
    FR_TRY(fr_log_append(fr_shard_log(shard), bytes, size, &base, err));
    FR_ASSERT(base == p->base[part]); /* the writer is the only one that appends */
    atomic_fetch_add_explicit(&db->appended_bytes, size, memory_order_relaxed);
    return FR_OK;
}

/* Invariant 1: take back the parts before `failed`. */
static void undo(fr_db *db, fr_collection *c, const plan *p, uint32_t failed)
{
    forget_ids(c, p);
    for (uint32_t i = 0; i < failed; i++) {
        fr_err err = {0};
        if (p->counts[i] == 0 || fr_log_cut(fr_shard_log(&c->shards[i]), p->base[i], &err) == FR_OK) continue;
        char text[120];
        snprintf(text, sizeof text, "a half-written request could not be undone: %.70s", err.text);
        fr_engine_set_state(db, FR_ERR_READ_ONLY, text);
    }
}

static fr_commit *new_commit(fr_db *db, fr_collection *c, const fr_batch *batch, fr_write *write, const plan *p)
{
    bool routes = p->parts > 1 || p->duplicates != 0;
    fr_commit *commit =
        fr_alloc(FR_MEM_ENGINE, sizeof *commit + p->parts * sizeof(fr_written) + (routes ? batch->count : 0));
    if (commit == NULL) return NULL;
    *commit = (fr_commit){.collection = c, .write = write, .events = batch};
    for (uint32_t i = 0; i < c->shard_count; i++)
        if (p->counts[i] != 0)
            commit->parts[commit->part_count++] = (fr_written){(int32_t)i, p->base[i], p->base[i] + p->counts[i] - 1};
    if (routes) {
        commit->routes = (uint8_t *)(commit->parts + p->parts);
        memcpy(commit->routes, db->routes, batch->count);
    }
    if (write != NULL) {
        commit->bytes = fr_ticket_of(write)->bytes;
        commit->submitted_us = fr_ticket_of(write)->submitted_us;
        commit->counted = true;
    }
    fr_engine_ref(c);
    return commit;
}

static void answer_offsets(const fr_collection *c, const plan *p, fr_write *write)
{
    write->records = p->records;
    write->duplicates = p->duplicates;
    write->written_count = 0;
    for (uint32_t i = 0; i < c->shard_count; i++) {
        if (p->counts[i] == 0 && p->answered[i].first < 0) continue;
        fr_written *w = &write->written[write->written_count++];
        *w = (fr_written){(int32_t)i, p->base[i], p->base[i] + p->counts[i] - 1};
        if (p->answered[i].first >= 0) {
            w->first = p->answered[i].first;
            if (p->counts[i] == 0) w->last = p->answered[i].last;
        }
    }
}

/* A full disk passes; a log that failed closes its collection for writes. */
void fr_engine_append_failed(fr_db *db, fr_shard *shard, fr_code code, const fr_err *err)
{
    fr_collection *c = shard->collection;
    if (code == FR_ERR_DISK_FULL) {
        fr_engine_set_state(db, FR_ERR_DISK_FULL, err->text);
    } else if (code != FR_ERR_NO_MEMORY && fr_shard_log(shard) != NULL && fr_log_state(fr_shard_log(shard)) != FR_OK &&
               atomic_load(&c->state) == FR_OK) {
        snprintf(c->state_text, sizeof c->state_text, "%.180s", err->text);
        atomic_store_explicit(&c->state, FR_ERR_READ_ONLY, memory_order_release);
    }
}

fr_code fr_engine_append_encoded(fr_db *db, fr_collection *topic, uint32_t records, fr_commit **commit_out, fr_err *err)
{
    fr_shard *shard = &topic->shards[0];
    uint8_t *data;
    size_t size;
    fr_offset base;
    fr_commit *commit = fr_engine_commit_new(db, topic, 1);
    if (commit == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory");
    fr_code code = fr_batch_writer_end(&db->encoder, &data, &size);
    if (code == FR_OK && fr_shard_log(shard) == NULL) code = fr_engine_shard_open_log(shard, err);
    if (code == FR_OK) code = fr_log_append(fr_shard_log(shard), data, size, &base, err);
    if (code != FR_OK) {
        fr_engine_append_failed(db, shard, code, err);
        fr_engine_commit_free(db, commit);
        return code;
    }
    commit->parts[commit->part_count++] = (fr_written){0, base, base + (fr_offset)records - 1};
    commit->number = ++topic->commit_last;
    *commit_out = commit;
    return FR_OK;
}

static fr_code append_parts(fr_db *db, fr_collection *c, const fr_batch *batch, const plan *p, fr_err *err)
{
    for (uint32_t i = 0; i < c->shard_count; i++) {
        fr_code code = p->counts[i] != 0 ? append_part(db, c, batch, p, i, err) : FR_OK;
        if (code == FR_OK) continue;
        undo(db, c, p, i);
        fr_engine_append_failed(db, &c->shards[i], code, err);
        if (code != FR_ERR_DISK_FULL && code != FR_ERR_NO_MEMORY && atomic_load(&c->state) != FR_OK) code = FR_ERR_READ_ONLY;
        return code;
    }
    return FR_OK;
}

static fr_code append_batch(fr_db *db, fr_collection *c, const fr_batch *batch, fr_write *write, fr_commit **commit_out,
                            fr_err *err)
{
    plan p;
    FR_TRY(make_plan(db, c, batch, &p, err));
    fr_commit *commit = new_commit(db, c, batch, write, &p);
    if (commit == NULL || !round_reserve(db->prepared, p.parts)) {
        forget_ids(c, &p);
        if (commit != NULL) commit->counted = false;
        if (commit != NULL) fr_engine_commit_free(db, commit);
        return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory");
    }
    fr_code code = append_parts(db, c, batch, &p, err);
    if (code != FR_OK) {
        commit->counted = false; /* the caller answers the write */
        fr_engine_commit_free(db, commit);
        return code;
    }
    if (p.records != 0 && atomic_load_explicit(&db->state, memory_order_relaxed) == FR_ERR_DISK_FULL &&
        atomic_load(&db->reserve.held))
        fr_engine_set_state(db, FR_OK, "");
    commit->number = ++c->commit_last;
    if (write != NULL) answer_offsets(c, &p, write);
    atomic_fetch_add_explicit(&db->appended_records, p.records, memory_order_relaxed);
    atomic_fetch_add_explicit(&db->duplicates, p.duplicates, memory_order_relaxed);
    *commit_out = commit;
    return FR_OK;
}

static bool removes_only(const fr_batch *batch)
{
    fr_stored_event event;
    for (size_t at = 0; fr_engine_event_next(batch, &at, &event);)
        if (!(event.flags & FR_EVENT_REMOVE)) return false;
    return true;
}

/* What gives space back may use the reserve; what grows waits until there is one again. */
fr_code fr_engine_append(fr_db *db, fr_collection *c, const fr_batch *batch, fr_write *write, fr_commit **commit_out,
                         fr_err *err)
{
    fr_err local = {0};
    if (err == NULL) err = &local;
    bool held = atomic_load_explicit(&db->reserve.held, memory_order_relaxed);
    if (!held && !removes_only(batch)) FR_TRY(fr_engine_reserve_gate(db, err));
    fr_code code = append_batch(db, c, batch, write, commit_out, err);
    if (code == FR_ERR_DISK_FULL && removes_only(batch) && fr_engine_reserve_release(db))
        code = append_batch(db, c, batch, write, commit_out, err);
    if (code == FR_ERR_DISK_FULL) {
        const fr_err why = *err;
        return fr_fail(err, code, NULL, "the disk of %.100s is full (%.80s): deletes and searches go on, writes when there is space", db->dir,
                       why.text);
    }
    return code;
}

/* ==== rounds ==== */

static void refuse_round(fr_db *db, fr_round *round)
{
    fr_err err = {0};
    fr_code code = fr_engine_state_fail(db, &err);
    for (uint32_t i = 0; i < round->touched_count; i++) round->touched[i].shard->touched = false;
    round->touched_count = 0;
    fr_commit *commit;
    while ((commit = fr_commits_pop(&round->commits)) != NULL) fr_engine_refuse(db, commit, code, &err);
}

static bool hand_over(fr_db *db)
{
    fr_round *round = db->prepared;
    if (round->commits.count == 0) return false;
    if (atomic_load(&db->state) == FR_ERR_READ_ONLY) {
        refuse_round(db, round);
        return true;
    }
    if (db->flight != NULL) return false; /* stepped by hand: the syncer was not yet */
    for (uint32_t i = 0; i < round->touched_count; i++) {
        struct fr_touched *touched = &round->touched[i];
        fr_err err = {0};
        touched->published = !round->forced && atomic_load_explicit(&touched->shard->collection->durability, memory_order_relaxed) != 0;
        fr_log *log = fr_shard_log(touched->shard);
        fr_code code = touched->published ? fr_log_publish(log, &touched->end, &err) : fr_log_sync_begin(log, &touched->end, &err);
        if (code == FR_ERR_DISK_FULL) { /* nothing is lost: the round waits for space */
            fr_engine_set_state(db, code, err.text);
            return false;
        }
        if (code != FR_OK) {
            fr_engine_set_state(db, FR_ERR_READ_ONLY, err.text);
            refuse_round(db, round);
            return true;
        }
    }
    round->forced = false;
    for (uint32_t i = 0; i < round->touched_count; i++) round->touched[i].shard->touched = false;
    db->prepared = round == &db->rounds[0] ? &db->rounds[1] : &db->rounds[0];
    db->flight = round;
    return true;
}

/* ==== one write ==== */

static void push_write(fr_write **head, fr_write **tail, fr_write *write)
{
    fr_ticket_of(write)->next = NULL;
    if (*tail != NULL) fr_ticket_of(*tail)->next = write;
    else *head = write;
    *tail = write;
}

static fr_write *pop_write(fr_write **head, fr_write **tail)
{
    fr_write *write = *head;
    if (write == NULL) return NULL;
    *head = fr_ticket_of(write)->next;
    if (*head == NULL) *tail = NULL;
    return write;
}

static void refuse_write(fr_db *db, fr_write *write, fr_code code, const fr_err *err)
{
    uint64_t bytes = fr_ticket_of(write)->bytes;
    fr_engine_finish(db, write, code, err);
    fr_engine_release(db, bytes);
}

static void process(fr_db *db, fr_write *write)
{
    fr_err err = {0};
    fr_ticket *ticket = fr_ticket_of(write);
    fr_collection *c = ticket->collection;
    if (atomic_load(&db->state) == FR_ERR_READ_ONLY) {
        fr_code code = fr_engine_state_fail(db, &err);
        refuse_write(db, write, code, &err);
        return;
    }
    if (write->txn != NULL && c == NULL) {
        fr_engine_txn(db, write);
        return;
    }
    if (c == NULL) {
        if (atomic_load(&db->ddl_busy)) push_write(&db->ddl_head, &db->ddl_tail, write);
        else fr_engine_ddl(db, write);
        return;
    }
    if (c->barrier || c->letters_wanted || fr_engine_letters_wait(db, write)) {
        push_write(&c->parked_head, &c->parked_tail, write);
        return;
    }
    fr_code code = FR_OK;
    if (atomic_load(&c->dropped)) code = fr_fail(&err, FR_ERR_NOT_FOUND, "collection", "the collection was dropped");
    else if (atomic_load(&c->state) != FR_OK) code = fr_fail(&err, FR_ERR_READ_ONLY, NULL, "%.200s", c->state_text);
    else if (write->kind == FR_WRITE_DELETE_MATCHING || write->kind == FR_WRITE_COLLECTION_TRUNCATE ||
             write->kind == FR_WRITE_COLLECTION_ALTER || write->only_at != NULL || ticket->partial)
        code = fr_engine_erase_begin(db, write);
    else if ((code = fr_engine_judge_again(db, write, &err)) == FR_OK) {
        fr_commit *commit = NULL;
        if (write->kind == FR_WRITE_BATCHES) code = fr_engine_append_batches(db, c, write, &err);
        else if (write->kind == FR_WRITE_RECORDS) code = fr_engine_append_records(db, c, write, &commit, &err);
        else code = fr_engine_append(db, c, write->batch, write, &commit, &err);
        if (code == FR_OK && commit != NULL) fr_engine_round_add(db, commit);
    }
    if (code != FR_OK) refuse_write(db, write, code, &err);
}

static fr_write *take(fr_db *db)
{
    fr_write *write = pop_write(&db->ready_head, &db->ready_tail);
    if (write == NULL && db->ddl_head != NULL && !atomic_load(&db->ddl_busy))
        write = pop_write(&db->ddl_head, &db->ddl_tail);
    if (write != NULL) return write;
    pthread_mutex_lock(&db->intake_lock);
    write = pop_write(&db->intake_head, &db->intake_tail);
    pthread_mutex_unlock(&db->intake_lock);
    return write;
}

static bool roll(fr_db *db)
{
    fr_shard *shard = atomic_load(&db->roll);
    if (shard == NULL) return false;
    fr_err err = {0};
    fr_log *log = fr_shard_log(shard);
    atomic_store(&db->roll_code, log != NULL ? (int)fr_log_roll(log, &err) : FR_OK);
    atomic_store(&db->roll, NULL); /* pairs with the load in keeper.c */
    fr_engine_wake(db, FR_ROLE_KEEPER);
    return true;
}

bool fr_engine_writer_step(fr_db *db)
{
    bool worked = roll(db);
    if (db->erasures != NULL && fr_engine_erase_step(db)) worked = true;
    if (fr_engine_txn_step(db)) worked = true;
    if (fr_engine_letters_step(db)) worked = true;
    if (fr_engine_clock_step(db)) worked = true;
    for (uint32_t i = 0; i < 256; i++) {
        if (db->prepared->commits.bytes >= FR_ROUND_BYTES_MAX || db->prepared->commits.count >= FR_ROUND_WRITES_MAX)
            break;
        fr_write *write = take(db);
        if (write == NULL) break;
        process(db, write);
        worked = true;
    }
    return hand_over(db) || worked;
}
