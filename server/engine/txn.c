/* txn.c: the coordinator of producer ids and transactions. Its memory is the internal topic 2: a record for each change, the newest
 * of a key counts. Invariants
 *  1. A partition belongs to a transaction durably before its records are taken: no transaction is open that nobody would end.
 *  2. Prepare is durable before the first marker is appended: that is the point of decision. Markers that a crash left out are
 *     written after the restart, only where the transaction is still open.
 *  3. A producer id is given away only when its block is durably reserved.
 * Source: org.apache.kafka.coordinator.transaction (KIP-98); one node, so markers are written in one round. */
#include "server/engine/engine.h"

#include <stdio.h>

#define RECORD_HEAD 28u
#define LOOK_MS     1000
#define EXPIRE_LOOK_MS 60000

/* ==== entries ==== */

static fr_txn_entry *find(fr_txns *t, const char *name)
{
    uint32_t at = fr_number_map_get(&t->by_name, fr_hash(name, strlen(name), 0));
    if (at == FR_NUMBER_NONE) return NULL;
    if (strcmp(t->list[at]->name, name) == 0) return t->list[at];
    for (uint32_t i = 0; i < t->count; i++)
        if (strcmp(t->list[i]->name, name) == 0) return t->list[i];
    return NULL;
}

static fr_txn_entry *find_producer(fr_txns *t, int64_t id)
{
    uint32_t at = fr_number_map_get(&t->by_producer, (uint64_t)id);
    return at != FR_NUMBER_NONE ? t->list[at] : NULL;
}

static fr_txn_entry *add(fr_txns *t, const char *name, size_t size)
{
    fr_txn_entry *entry = fr_zalloc(FR_MEM_ENGINE, sizeof *entry);
    if (entry != NULL) entry->name = fr_alloc(FR_MEM_ENGINE, size + 1);
    bool fine = entry != NULL && entry->name != NULL && fr_number_map_reserve(&t->by_name, 1) == FR_OK;
    if (fine && t->count == t->capacity) {
        uint32_t capacity = FR_MAX(16u, t->capacity * 2);
        fr_txn_entry **grown = fr_realloc(FR_MEM_ENGINE, t->list, capacity * sizeof *grown);
        fine = grown != NULL;
        if (fine) t->list = grown, t->capacity = capacity;
    }
    if (!fine) {
        if (entry != NULL) fr_free(FR_MEM_ENGINE, entry->name);
        fr_free(FR_MEM_ENGINE, entry);
        return NULL;
    }
    memcpy(entry->name, name, size);
    entry->name[size] = 0;
    entry->producer_id = -1;
    uint64_t hash = fr_hash(name, size, 0);
    if (fr_number_map_get(&t->by_name, hash) == FR_NUMBER_NONE) fr_number_map_put(&t->by_name, hash, t->count);
    entry->at = t->count;
    t->list[t->count++] = entry;
    return entry;
}

static bool own_producer(fr_txns *t, fr_txn_entry *entry, int64_t id)
{
    if (fr_number_map_reserve(&t->by_producer, 1) != FR_OK) return false;
    if (entry->producer_id >= 0) fr_number_map_remove(&t->by_producer, (uint64_t)entry->producer_id);
    fr_number_map_put(&t->by_producer, (uint64_t)id, entry->at);
    entry->producer_id = id;
    return true;
}

/* Nobody waits for it. The last of the list takes its place. */
static void drop(fr_txns *t, fr_txn_entry *gone)
{
    uint64_t hash = fr_hash(gone->name, strlen(gone->name), 0);
    fr_txn_entry *last = t->list[--t->count];
    if (gone->producer_id >= 0) fr_number_map_remove(&t->by_producer, (uint64_t)gone->producer_id);
    bool named = fr_number_map_get(&t->by_name, hash) == gone->at;
    if (named) fr_number_map_remove(&t->by_name, hash);
    if (last != gone) {
        uint64_t moved = fr_hash(last->name, strlen(last->name), 0);
        t->list[gone->at] = last;
        if (last->producer_id >= 0) fr_number_map_put(&t->by_producer, (uint64_t)last->producer_id, gone->at);
        if (fr_number_map_get(&t->by_name, moved) == last->at) fr_number_map_put(&t->by_name, moved, gone->at);
        last->at = gone->at;
    }
    for (uint32_t i = 0; i < t->count && named; i++) /* another name with this hash: find() needs the map to know one */
        if (fr_hash(t->list[i]->name, strlen(t->list[i]->name), 0) == hash) {
            fr_number_map_put(&t->by_name, hash, i);
            break;
        }
    fr_free(FR_MEM_ENGINE, gone->name);
    fr_free(FR_MEM_ENGINE, gone->parts);
    fr_free(FR_MEM_ENGINE, gone);
}

static bool reserve_parts(fr_txn_entry *entry, uint32_t more)
{
    if (entry->part_count + more <= entry->part_capacity) return true;
    uint32_t capacity = FR_MAX(entry->part_count + more, entry->part_capacity * 2);
    struct fr_txn_share *grown = fr_realloc(FR_MEM_ENGINE, entry->parts, capacity * sizeof *grown);
    if (grown == NULL) return false;
    entry->parts = grown;
    entry->part_capacity = capacity;
    return true;
}

static struct fr_txn_share *find_part(const fr_txn_entry *entry, fr_id id, int32_t partition)
{
    for (uint32_t i = 0; i < entry->part_count; i++)
        if (entry->parts[i].id == id && entry->parts[i].partition == partition) return &entry->parts[i];
    return NULL;
}

fr_code fr_txns_init(fr_db *db)
{
    pthread_mutex_init(&db->txns.watch_lock, NULL);
    db->txns.block_record = -1;
    fr_topic_spec spec = {.kind = FR_TOPIC_INTERNAL};
    fr_schema *schema = fr_schema_new(NULL);
    if (schema == NULL) return FR_ERR_NO_MEMORY;
    snprintf(schema->def.name, sizeof schema->def.name, "__transactions");
    fr_schema_derive(schema);
    db->txn_topic = fr_engine_collection_new(db, FR_TXN_TOPIC_ID, schema, &spec, 0);
    return db->txn_topic != NULL ? FR_OK : FR_ERR_NO_MEMORY;
}

void fr_txns_free(fr_db *db)
{
    fr_txns *t = &db->txns;
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->list[i]->ender != NULL) {
            uint64_t bytes = fr_ticket_of(t->list[i]->ender)->bytes;
            fr_engine_finish(db, t->list[i]->ender, FR_ERR_CLOSED, NULL);
            fr_engine_release(db, bytes);
        }
        fr_free(FR_MEM_ENGINE, t->list[i]->name);
        fr_free(FR_MEM_ENGINE, t->list[i]->parts);
        fr_free(FR_MEM_ENGINE, t->list[i]);
    }
    fr_free(FR_MEM_ENGINE, t->list);
    fr_number_map_free(&t->by_name);
    fr_number_map_free(&t->by_producer);
    pthread_mutex_destroy(&t->watch_lock);
    fr_engine_collection_free(db->txn_topic, false);
}

/* ==== its records: README.md ==== */

static fr_code append_record(fr_db *db, fr_span key, fr_span value, fr_commit **commit_out, fr_err *err)
{
    fr_batch_writer_begin(&db->encoder, FR_CODEC_NONE);
    fr_batch_writer_add(&db->encoder, db->io->now_ms(db->io), key, value, NULL, 0);
    return fr_engine_append_encoded(db, db->txn_topic, 1, commit_out, err);
}

static fr_code append_entry(fr_db *db, fr_txn_entry *entry, fr_commit **commit_out, fr_err *err)
{
    char key[FR_TRANSACTIONAL_ID_BYTES_MAX + 3];
    size_t size = RECORD_HEAD + (size_t)entry->part_count * 12;
    uint8_t *value = fr_alloc(FR_MEM_ENGINE, size), *at = value;
    if (value == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory");
    at[0] = 1;
    at[1] = (uint8_t)entry->state;
    fr_store_le16(at + 2, (uint16_t)entry->epoch);
    fr_store_le32(at + 4, (uint32_t)entry->timeout_ms);
    fr_store_le64(at + 8, (uint64_t)entry->producer_id);
    fr_store_le64(at + 16, (uint64_t)entry->started_ms);
    fr_store_le32(at + 24, entry->part_count);
    at += RECORD_HEAD;
    for (uint32_t i = 0; i < entry->part_count; i++, at += 12) {
        fr_store_le64(at, entry->parts[i].id);
        fr_store_le32(at + 8, (uint32_t)entry->parts[i].partition);
    }
    int key_size = snprintf(key, sizeof key, "t/%s", entry->name);
    fr_code code = append_record(db, fr_span_of(key, (size_t)key_size), fr_span_of(value, size), commit_out, err);
    fr_free(FR_MEM_ENGINE, value);
    if (code != FR_OK) return code;
    entry->record = (*commit_out)->parts[0].last;
    entry->changed_ms = db->io->now_ms(db->io);
    return FR_OK;
}

static fr_code append_block(fr_db *db, int64_t end, fr_commit **commit_out, fr_err *err)
{
    uint8_t value[8];
    fr_store_le64(value, (uint64_t)end);
    FR_TRY(append_record(db, fr_span_text("p"), fr_span_of(value, sizeof value), commit_out, err));
    db->txns.block_end = end;
    db->txns.block_record = (*commit_out)->parts[0].last;
    return FR_OK;
}

/* A transactional id that was not used for FR_TRANSACTIONAL_ID_MS. */
static void forget(fr_txns *t, fr_span key)
{
    char name[FR_TRANSACTIONAL_ID_BYTES_MAX + 1];
    if (key.size < 3 || key.size > FR_TRANSACTIONAL_ID_BYTES_MAX + 2 || *(const char *)key.data != 't') return;
    memcpy(name, (const char *)key.data + 2, key.size - 2);
    name[key.size - 2] = 0;
    fr_txn_entry *entry = find(t, name);
    if (entry != NULL) drop(t, entry);
}

static bool take_record(void *user, const fr_scanned *record)
{
    fr_db *db = user;
    fr_txns *t = &db->txns;
    const uint8_t *at = record->value.data;
    const char *key = record->key.data;
    if (record->key.size == 0) return true;
    if (at == NULL) {
        forget(t, record->key);
        return true;
    }
    if (key[0] == 'p' && record->value.size == 8) {
        t->next_producer = t->block_end = FR_MAX((int64_t)fr_load_le64(at), t->block_end);
        t->block_record = record->offset;
        return true;
    }
    if (record->key.size < 3 || record->key.size > FR_TRANSACTIONAL_ID_BYTES_MAX + 2 || key[0] != 't' ||
        record->value.size < RECORD_HEAD || at[0] != 1 || at[1] > FR_TXN_ABORTED)
        return true;
    uint32_t count = fr_load_le32(at + 24);
    if (record->value.size != RECORD_HEAD + (uint64_t)count * 12) return true;
    char name[FR_TRANSACTIONAL_ID_BYTES_MAX + 1];
    memcpy(name, key + 2, record->key.size - 2);
    name[record->key.size - 2] = 0;
    fr_txn_entry *entry = find(t, name);
    if (entry == NULL) entry = add(t, name, record->key.size - 2);
    if (entry == NULL || !own_producer(t, entry, (int64_t)fr_load_le64(at + 8))) return false;
    entry->state = (fr_txn_state)at[1];
    entry->epoch = (int16_t)fr_load_le16(at + 2);
    entry->timeout_ms = (int32_t)fr_load_le32(at + 4);
    entry->started_ms = (int64_t)fr_load_le64(at + 16);
    entry->record = record->offset;
    entry->changed_ms = record->timestamp_ms;
    entry->part_count = 0;
    if (!reserve_parts(entry, count)) return false;
    for (at += RECORD_HEAD; entry->part_count < count; at += 12)
        entry->parts[entry->part_count++] =
            (struct fr_txn_share){.id = fr_load_le64(at), .partition = (int32_t)fr_load_le32(at + 8), .record = record->offset};
    return true;
}

fr_code fr_txns_recover(fr_db *db, fr_err *err)
{
    fr_shard *shard = &db->txn_topic->shards[0];
    FR_TRY(fr_engine_shard_open_log(shard, err));
    fr_log *log = fr_shard_log(shard);
    atomic_store(&shard->applied, fr_log_end(log) - 1);
    FR_TRY(fr_engine_scan_shard(shard, fr_log_start(log), take_record, db, err));
    for (uint32_t i = 0; i < db->txns.count; i++) {
        fr_txn_entry *entry = db->txns.list[i];
        if (entry->state != FR_TXN_PREPARE_COMMIT && entry->state != FR_TXN_PREPARE_ABORT) continue;
        entry->ending = entry->recovered = true;
        atomic_store(&entry->prepared, true);
        db->txns.ending++;
        atomic_fetch_add(&db->txns.recovered, 1);
    }
    return FR_OK;
}

/* ==== answers ==== */

static void answer(fr_db *db, fr_write *write, fr_code code, fr_reason reason, const char *text)
{
    fr_err err = {0};
    uint64_t bytes = fr_ticket_of(write)->bytes;
    write->reason = reason;
    if (code != FR_OK) fr_fail(&err, code, "transaction", "%s", text);
    fr_engine_finish(db, write, code, &err);
    fr_engine_release(db, bytes);
}

static void answer_later(fr_db *db, fr_commit *commit, fr_write *write)
{
    commit->write = write;
    commit->bytes = fr_ticket_of(write)->bytes;
    commit->submitted_us = fr_ticket_of(write)->submitted_us;
    commit->counted = true;
    fr_engine_round_add(db, commit);
}

fr_reason fr_txn_check(fr_db *db, const fr_shard *shard, const fr_batch_header *h)
{
    const fr_txn_entry *entry = find_producer(&db->txns, h->producerId);
    bool transactional = h->attributes & 0x10;
    if (entry == NULL) return transactional ? FR_REASON_INVALID_TXN_STATE : FR_REASON_NONE;
    if (h->producerEpoch < entry->epoch) return FR_REASON_INVALID_PRODUCER_EPOCH;
    if (!transactional) return FR_REASON_NONE;
    const struct fr_txn_share *part = find_part(entry, shard->collection->id, shard->partition);
    if (entry->state != FR_TXN_ONGOING || part == NULL) return FR_REASON_INVALID_TXN_STATE;
    /* Invariant 1. Another partition may be on its way into the transaction meanwhile: that is not this one's concern. */
    return fr_log_durable(fr_shard_log(&db->txn_topic->shards[0])) > part->record ? FR_REASON_NONE
                                                                                 : FR_REASON_CONCURRENT_TRANSACTIONS;
}

/* ==== producer ids ==== */

/* The next id; *commit_out when a record had to be written first (a block begins, or is not durable yet). */
static fr_code new_producer(fr_db *db, int64_t *id_out, fr_commit **commit_out, fr_err *err)
{
    fr_txns *t = &db->txns;
    const fr_log *log = fr_shard_log(&db->txn_topic->shards[0]);
    *commit_out = NULL;
    bool empty = t->next_producer >= t->block_end;
    if (empty || log == NULL || fr_log_durable(log) <= t->block_record)
        FR_TRY(append_block(db, empty ? t->next_producer + FR_PRODUCER_IDS_BLOCK : t->block_end, commit_out, err));
    *id_out = t->next_producer++;
    return FR_OK;
}

static void init_idempotent(fr_db *db, fr_write *write)
{
    fr_err err = {0};
    fr_commit *commit;
    fr_code code = new_producer(db, &write->txn->producer_id, &commit, &err);
    write->txn->producer_epoch = 0;
    if (code != FR_OK) answer(db, write, code, FR_REASON_STORAGE, err.text);
    else if (commit != NULL) answer_later(db, commit, write);
    else answer(db, write, FR_OK, FR_REASON_NONE, "");
}

static fr_code begin_end(fr_db *db, fr_txn_entry *entry, bool commits, fr_write *write, fr_err *err);

/* Retriable, unless a log that the end has to be written to cannot be written any more. */
static void being_ended(fr_db *db, fr_write *write, const fr_txn_entry *entry)
{
    if (entry->stuck || fr_log_state(fr_shard_log(&db->txn_topic->shards[0])) != FR_OK)
        answer(db, write, FR_ERR_READ_ONLY, FR_REASON_STORAGE, "a log is read-only; the last transaction ends after a restart");
    else
        answer(db, write, FR_ERR_BUSY, FR_REASON_CONCURRENT_TRANSACTIONS, "the last transaction is being ended");
}

static void init_transactional(fr_db *db, fr_write *write)
{
    fr_txn *txn = write->txn;
    fr_err err = {0};
    fr_commit *block = NULL, *commit = NULL;
    if (txn->timeout_ms <= 0 || txn->timeout_ms > FR_TRANSACTION_MS_MAX) {
        answer(db, write, FR_ERR_INVALID, FR_REASON_INVALID_TXN_TIMEOUT, "transaction.timeout.ms must be 1 to 900000");
        return;
    }
    fr_txn_entry *entry = find(&db->txns, txn->transactional_id);
    if (entry != NULL && entry->ending) {
        being_ended(db, write, entry);
        return;
    }
    if (entry != NULL && txn->producer_id >= 0 &&
        (txn->producer_id != entry->producer_id || txn->producer_epoch != entry->epoch)) {
        answer(db, write, FR_ERR_INVALID, FR_REASON_PRODUCER_FENCED, "a newer producer has this transactional id");
        return;
    }
    if (entry != NULL && entry->state == FR_TXN_ONGOING) { /* fence the old one, abort its transaction; the caller comes again */
        entry->epoch++;
        fr_code begun = begin_end(db, entry, false, NULL, &err);
        if (begun == FR_OK) {
            answer(db, write, FR_ERR_BUSY, FR_REASON_CONCURRENT_TRANSACTIONS, "the last transaction is being aborted");
        } else {
            entry->epoch--;
            answer(db, write, begun, FR_REASON_STORAGE, err.text);
        }
        return;
    }
    if (entry == NULL) entry = add(&db->txns, txn->transactional_id, strlen(txn->transactional_id));
    fr_code code = entry != NULL ? FR_OK : fr_fail(&err, FR_ERR_NO_MEMORY, NULL, "no memory");
    if (code == FR_OK && (entry->producer_id < 0 || entry->epoch >= INT16_MAX - 1)) {
        int64_t id;
        code = new_producer(db, &id, &block, &err);
        if (block != NULL) fr_engine_round_add(db, block);
        if (code == FR_OK && !own_producer(&db->txns, entry, id)) code = fr_fail(&err, FR_ERR_NO_MEMORY, NULL, "no memory");
        entry->epoch = -1;
    }
    if (code == FR_OK) {
        entry->epoch++;
        entry->timeout_ms = txn->timeout_ms;
        entry->state = FR_TXN_EMPTY;
        entry->part_count = 0;
        code = append_entry(db, entry, &commit, &err);
    }
    if (code != FR_OK) {
        answer(db, write, code, FR_REASON_STORAGE, err.text);
        return;
    }
    txn->producer_id = entry->producer_id;
    txn->producer_epoch = entry->epoch;
    answer_later(db, commit, write);
}

/* ==== a transaction's way ==== */

static fr_txn_entry *entry_of(fr_db *db, fr_write *write)
{
    const fr_txn *txn = write->txn;
    fr_txn_entry *entry = txn->transactional_id != NULL ? find(&db->txns, txn->transactional_id) : NULL;
    if (entry == NULL || entry->producer_id != txn->producer_id) {
        answer(db, write, FR_ERR_INVALID, FR_REASON_INVALID_PID_MAPPING, "the producer id is not that of the transactional id");
        return NULL;
    }
    if (entry->epoch != txn->producer_epoch) {
        answer(db, write, FR_ERR_INVALID, FR_REASON_PRODUCER_FENCED, "a newer producer has this transactional id");
        return NULL;
    }
    if (!entry->ending) return entry;
    being_ended(db, write, entry);
    return NULL;
}

static bool parts_exist(fr_db *db, const fr_txn *txn)
{
    bool fine = true;
    uint32_t pin = fr_engine_pin(db);
    const fr_map *map = atomic_load(&db->map);
    for (uint32_t i = 0; i < txn->part_count && fine; i++) {
        fr_collection *c = fr_map_by_id(map, txn->parts[i].id);
        fine = c != NULL && !atomic_load(&c->dropped) && txn->parts[i].partition >= 0 &&
               (uint32_t)txn->parts[i].partition < atomic_load(&c->shard_count);
    }
    fr_engine_unpin(db, pin);
    return fine;
}

static void add_partitions(fr_db *db, fr_write *write)
{
    fr_err err = {0};
    fr_commit *commit;
    const fr_txn *txn = write->txn;
    fr_txn_entry *entry = entry_of(db, write);
    if (entry == NULL) return;
    if (!parts_exist(db, txn)) {
        answer(db, write, FR_ERR_NOT_FOUND, FR_REASON_UNKNOWN_PARTITION, "there is no such partition");
        return;
    }
    if (!reserve_parts(entry, txn->part_count)) {
        answer(db, write, FR_ERR_NO_MEMORY, FR_REASON_STORAGE, "no memory");
        return;
    }
    fr_txn_state before = entry->state;
    if (before != FR_TXN_ONGOING) entry->part_count = 0;
    uint32_t had = entry->part_count;
    for (uint32_t i = 0; i < txn->part_count; i++)
        if (find_part(entry, txn->parts[i].id, txn->parts[i].partition) == NULL)
            entry->parts[entry->part_count++] =
                (struct fr_txn_share){.id = txn->parts[i].id, .partition = txn->parts[i].partition};
    if (entry->part_count == had && fr_log_durable(fr_shard_log(&db->txn_topic->shards[0])) > entry->record) {
        answer(db, write, FR_OK, FR_REASON_NONE, "");
        return;
    }
    if (before != FR_TXN_ONGOING) entry->started_ms = db->io->now_ms(db->io);
    entry->state = FR_TXN_ONGOING;
    fr_code code = append_entry(db, entry, &commit, &err);
    if (code == FR_OK) {
        for (uint32_t i = had; i < entry->part_count; i++) entry->parts[i].record = entry->record;
        answer_later(db, commit, write);
        return;
    }
    entry->part_count = had;
    entry->state = before;
    answer(db, write, code, FR_REASON_STORAGE, err.text);
}

/* Prepare: when it is durable the markers follow (fr_engine_txn_step). */
static fr_code begin_end(fr_db *db, fr_txn_entry *entry, bool commits, fr_write *write, fr_err *err)
{
    fr_commit *commit;
    fr_join *join = fr_zalloc(FR_MEM_ENGINE, sizeof *join);
    if (join == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory");
    fr_txn_state before = entry->state;
    entry->state = commits ? FR_TXN_PREPARE_COMMIT : FR_TXN_PREPARE_ABORT;
    fr_code code = append_entry(db, entry, &commit, err);
    if (code != FR_OK) {
        entry->state = before;
        fr_free(FR_MEM_ENGINE, join);
        return code;
    }
    *join = (fr_join){.entry = entry, .left = 1};
    commit->join = join;
    entry->ender = write;
    entry->ending = true;
    entry->stuck = false;
    entry->recovered = false;
    entry->marking = false;
    atomic_store(&entry->marked, false);
    atomic_store(&entry->prepared, false);
    for (uint32_t i = 0; i < entry->part_count; i++) entry->parts[i].marked = false;
    db->txns.ending++;
    fr_engine_round_add(db, commit);
    return FR_OK;
}

static void end(fr_db *db, fr_write *write)
{
    fr_err err = {0};
    fr_txn_entry *entry = entry_of(db, write);
    if (entry == NULL) return;
    bool commits = write->txn->commit;
    if (entry->state == (commits ? FR_TXN_COMMITTED : FR_TXN_ABORTED)) { /* a repeated request */
        answer(db, write, FR_OK, FR_REASON_NONE, "");
    } else if (entry->state != FR_TXN_ONGOING) {
        answer(db, write, FR_ERR_INVALID, FR_REASON_INVALID_TXN_STATE, "there is no open transaction");
    } else {
        fr_code code = begin_end(db, entry, commits, write, &err);
        if (code != FR_OK) answer(db, write, code, FR_REASON_STORAGE, err.text);
    }
}

static bool complete(fr_db *db, fr_txn_entry *entry);

/* ==== told ==== */

static void describe(fr_db *db, fr_txn_entry *entry, const fr_txn *txn, struct fr_txn_part *parts)
{
    static const char *const words[] = {"Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort"};
    if (entry->ending && atomic_load(&entry->marked)) (void)complete(db, entry); /* its end was answered */
    bool runs = entry->state == FR_TXN_ONGOING || entry->state == FR_TXN_PREPARE_COMMIT || entry->state == FR_TXN_PREPARE_ABORT;
    fr_txn_info info = {.transactional_id = entry->name, .state = words[entry->state], .producer_id = entry->producer_id, .started_ms = -1,
                        .producer_epoch = entry->epoch, .timeout_ms = entry->timeout_ms, .parts = parts};
    if (runs) info.started_ms = entry->started_ms, info.running_ms = FR_MAX(db->io->now_ms(db->io) - entry->started_ms, 0);
    for (uint32_t i = 0; runs && i < entry->part_count; i++)
        if (!entry->parts[i].marked) parts[info.part_count++] = (struct fr_txn_part){entry->parts[i].id, entry->parts[i].partition};
    txn->each(txn->user, &info);
}

static void describe_all(fr_db *db, fr_write *write)
{
    uint32_t most = 1;
    for (uint32_t i = 0; i < db->txns.count; i++) most = FR_MAX(most, db->txns.list[i]->part_count);
    struct fr_txn_part *parts = fr_alloc(FR_MEM_ENGINE, most * sizeof *parts);
    for (uint32_t i = 0; i < db->txns.count && parts != NULL; i++) describe(db, db->txns.list[i], write->txn, parts);
    answer(db, write, parts != NULL ? FR_OK : FR_ERR_NO_MEMORY, FR_REASON_NONE, "no memory");
    fr_free(FR_MEM_ENGINE, parts);
}

void fr_engine_txn(fr_db *db, fr_write *write)
{
    fr_txn *txn = write->txn;
    if (write->kind == FR_WRITE_TXN_LIST) {
        describe_all(db, write);
        return;
    }
    fr_txn_entry *entry = txn->transactional_id != NULL ? find(&db->txns, txn->transactional_id) : NULL;
    if (entry != NULL && entry->ending && atomic_load(&entry->marked)) (void)complete(db, entry); /* its end was answered */
    if (write->kind == FR_WRITE_TXN_PARTITIONS) add_partitions(db, write);
    else if (write->kind == FR_WRITE_TXN_END) end(db, write);
    else if (txn->transactional_id != NULL) init_transactional(db, write);
    else init_idempotent(db, write);
}

/* ==== markers ==== */

static fr_code append_marker(fr_db *db, fr_shard *shard, const fr_txn_entry *entry, bool commits, fr_commit *commit,
                             fr_err *err)
{
    uint8_t key[4] = {0, 0, 0, commits}, value[6] = {0}, *data;
    size_t size;
    fr_batch_header header;
    fr_producers *producers;
    fr_batch_writer_begin(&db->encoder, FR_CODEC_NONE);
    fr_batch_writer_add(&db->encoder, db->io->now_ms(db->io), fr_span_of(key, 4), fr_span_of(value, 6), NULL, 0);
    FR_TRY(fr_batch_writer_end(&db->encoder, &data, &size));
    fr_batch_own(data, size, entry->producer_id, entry->epoch, -1, 0x30);
    FR_TRY(fr_engine_producers_of(shard, &producers));
    FR_TRY(fr_producers_reserve(producers, 1));
    if (fr_shard_log(shard) == NULL) FR_TRY(fr_engine_shard_open_log(shard, err));
    FR_TRY(fr_batch_check(data, size, &header, &size, err));
    FR_TRY(fr_log_append(fr_shard_log(shard), data, size, &header.baseOffset, err));
    fr_producers_end(producers, &header, commits, db->io->now_ms(db->io));
    commit->parts[commit->part_count++] = (fr_written){shard->partition, header.baseOffset, header.baseOffset};
    return FR_OK;
}

/* All partitions of one topic in one commit: searches see the transaction whole. */
static fr_code mark_topic(fr_db *db, fr_txn_entry *entry, fr_id id, bool commits, fr_join *join, fr_err *err)
{
    fr_collection *topic = fr_engine_topic_ref(db, id);
    if (topic != NULL && atomic_load(&topic->unreadable)) { /* whether its records wait for a marker cannot be known */
        fr_engine_unref(topic);
        return fr_fail(err, FR_ERR_READ_ONLY, NULL, "a topic of the transaction cannot be read; it ends after a restart");
    }
    if (topic == NULL) { /* dropped meanwhile */
        for (uint32_t i = 0; i < entry->part_count; i++) entry->parts[i].marked |= entry->parts[i].id == id;
        return FR_OK;
    }
    fr_commit *commit = fr_engine_commit_new(db, topic, entry->part_count);
    fr_code code = commit != NULL ? FR_OK : fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory");
    for (uint32_t i = 0; i < entry->part_count && code == FR_OK; i++) {
        struct fr_txn_share *part = &entry->parts[i];
        if (part->id != id || part->marked) continue;
        fr_shard *shard = &topic->shards[part->partition];
        fr_producers *producers = fr_shard_producers(shard);
        bool open = producers != NULL && fr_producers_open(producers, entry->producer_id, NULL);
        if (!entry->recovered || open) code = append_marker(db, shard, entry, commits, commit, err);
        if (code == FR_OK) part->marked = true;
        else fr_engine_append_failed(db, shard, code, err);
    }
    if (commit != NULL && commit->part_count != 0) {
        commit->join = join;
        atomic_fetch_add(&join->left, 1);
        commit->number = ++topic->commit_last;
        fr_engine_round_add(db, commit);
    } else if (commit != NULL) {
        fr_engine_commit_free(db, commit);
    }
    fr_engine_unref(topic);
    return code;
}

/* What was prepared is decided; the markers come after a restart. Whoever waits is told. */
static bool tell_ender(fr_db *db, fr_txn_entry *entry, const char *text)
{
    fr_write *write = entry->ender;
    if (write == NULL) return false;
    entry->ender = NULL;
    answer(db, write, FR_ERR_READ_ONLY, FR_REASON_STORAGE, text);
    return true;
}

/* fr_open waits for what a restart found, until it is ended or cannot be. */
static void settled(fr_db *db, fr_txn_entry *entry)
{
    if (!entry->recovered) return;
    entry->recovered = false;
    atomic_fetch_sub(&db->txns.recovered, 1);
}

/* Complete: only when the markers are durable. In one round with them a power cut could keep it and lose a marker. */
static bool complete(fr_db *db, fr_txn_entry *entry)
{
    fr_err err = {0};
    fr_commit *commit = NULL;
    fr_txn_state before = entry->state;
    uint32_t parts = entry->part_count;
    entry->state = before == FR_TXN_PREPARE_COMMIT ? FR_TXN_COMMITTED : FR_TXN_ABORTED;
    entry->part_count = 0;
    if (append_entry(db, entry, &commit, &err) != FR_OK) {
        entry->state = before;
        entry->part_count = parts;
        return false;
    }
    entry->ending = entry->marking = false;
    atomic_store(&entry->marked, false);
    db->txns.ending--;
    settled(db, entry);
    fr_engine_round_add(db, commit);
    return true;
}

/* Delete by filter reads a state that nobody else changes: markers of its collection come behind it, as every write does. */
static bool behind_barrier(fr_db *db, const fr_txn_entry *entry)
{
    bool barrier = false;
    for (uint32_t i = 0; i < entry->part_count && !barrier && db->erasures != NULL; i++) {
        fr_collection *topic = entry->parts[i].marked ? NULL : fr_engine_topic_ref(db, entry->parts[i].id);
        if (topic == NULL) continue;
        barrier = topic->barrier;
        fr_engine_unref(topic);
    }
    return barrier;
}

/* A full disk: what is marked stays marked, the rest is tried again. */
static bool finish_one(fr_db *db, fr_txn_entry *entry)
{
    fr_err err = {0}, first = {0};
    if (atomic_load(&entry->marked)) return complete(db, entry);
    if (entry->marking || entry->stuck || behind_barrier(db, entry)) return false;
    bool commits = entry->state == FR_TXN_PREPARE_COMMIT;
    fr_join *join = fr_zalloc(FR_MEM_ENGINE, sizeof *join);
    fr_code code = join != NULL ? FR_OK : FR_ERR_NO_MEMORY;
    if (join != NULL) *join = (fr_join){.left = 1, .producer_id = entry->producer_id, .epoch = entry->epoch, .commits = commits};
    for (uint32_t i = 0; i < entry->part_count && join != NULL; i++) {
        if (entry->parts[i].marked) continue;
        fr_code one = mark_topic(db, entry, entry->parts[i].id, commits, join, &err);
        if (one != FR_OK && code == FR_OK) code = one, first = err; /* the other topics get theirs all the same */
    }
    entry->stuck = code != FR_OK && code != FR_ERR_DISK_FULL && code != FR_ERR_NO_MEMORY;
    if (entry->stuck) settled(db, entry);
    if (code != FR_OK) {
        if (join != NULL) fr_engine_join_done(db, join, FR_OK); /* its commits answer nobody */
        if (entry->stuck) (void)tell_ender(db, entry, first.text);
        return false;
    }
    join->write = entry->ender;
    join->entry = entry;
    join->told = true;
    entry->ender = NULL;
    entry->marking = true;
    fr_engine_join_done(db, join, FR_OK); /* ours; the others are the markers' */
    return true;
}

/* transactional.id.expiration.ms: ids that nobody uses any more are forgotten, with a tombstone. */
static void expire_ids(fr_db *db, int64_t now_ms)
{
    fr_txns *t = &db->txns;
    if (now_ms - t->expired_ms < EXPIRE_LOOK_MS && now_ms >= t->expired_ms) return;
    t->expired_ms = now_ms;
    for (uint32_t i = t->count; i-- > 0;) {
        fr_txn_entry *entry = t->list[i];
        fr_commit *commit;
        fr_err err = {0};
        char key[FR_TRANSACTIONAL_ID_BYTES_MAX + 3];
        bool idle = entry->state == FR_TXN_EMPTY || entry->state == FR_TXN_COMMITTED || entry->state == FR_TXN_ABORTED;
        if (!idle || entry->ending || now_ms - entry->changed_ms < FR_TRANSACTIONAL_ID_MS) continue;
        int size = snprintf(key, sizeof key, "t/%s", entry->name);
        if (append_record(db, fr_span_of(key, (size_t)size), (fr_span){NULL, 0}, &commit, &err) != FR_OK) return;
        fr_engine_round_add(db, commit);
        drop(t, entry);
    }
}

static void look_for_timeouts(fr_db *db)
{
    int64_t now_ms = db->io->now_ms(db->io);
    if (now_ms - db->txns.looked_ms < LOOK_MS && now_ms >= db->txns.looked_ms) return;
    db->txns.looked_ms = now_ms;
    expire_ids(db, now_ms);
    for (uint32_t i = 0; i < db->txns.count; i++) {
        fr_txn_entry *entry = db->txns.list[i];
        fr_err err = {0};
        if (entry->state != FR_TXN_ONGOING || now_ms - entry->started_ms < entry->timeout_ms) continue;
        entry->epoch++; /* the slow producer is fenced */
        if (begin_end(db, entry, false, NULL, &err) != FR_OK) entry->epoch--;
    }
}

bool fr_engine_txn_step(fr_db *db)
{
    bool worked = false;
    if (db->txns.count == 0) return false;
    if (atomic_load(&db->state) == FR_ERR_READ_ONLY) {
        for (uint32_t i = 0; i < db->txns.count && db->txns.ending != 0; i++)
            worked = tell_ender(db, db->txns.list[i], "the database is read-only") || worked;
        return worked;
    }
    look_for_timeouts(db);
    for (uint32_t i = 0; i < db->txns.count && db->txns.ending != 0; i++) {
        fr_txn_entry *entry = db->txns.list[i];
        if (entry->ending && atomic_load(&entry->prepared)) worked = finish_one(db, entry) || worked;
    }
    return worked;
}

void fr_engine_join_done(fr_db *db, fr_join *join, fr_code code)
{
    if (code != FR_OK) atomic_store(&join->code, (int)code);
    if (atomic_fetch_sub(&join->left, 1) != 1) return;
    code = (fr_code)atomic_load(&join->code);
    if (join->entry != NULL && code == FR_OK) {
        atomic_store(join->told ? &join->entry->marked : &join->entry->prepared, true); /* pairs with fr_engine_txn_step */
        fr_engine_wake(db, FR_ROLE_WRITER);
    }
    if (join->told && code == FR_OK) {
        pthread_mutex_lock(&db->txns.watch_lock);
        if (db->txns.ended != NULL) db->txns.ended(db->txns.user, join->producer_id, join->epoch, join->commits);
        pthread_mutex_unlock(&db->txns.watch_lock);
    }
    if (join->write != NULL) answer(db, join->write, code, code == FR_OK ? FR_REASON_NONE : FR_REASON_STORAGE, "the disk");
    fr_free(FR_MEM_ENGINE, join);
}

void fr_txn_watch(fr_db *db, void (*ended)(void *user, int64_t producer_id, int16_t epoch, bool committed), void *user)
{
    pthread_mutex_lock(&db->txns.watch_lock);
    db->txns.ended = ended;
    db->txns.user = user;
    pthread_mutex_unlock(&db->txns.watch_lock);
}
