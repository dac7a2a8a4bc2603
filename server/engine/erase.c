/* erase.c: what waits behind a barrier of its collection: delete by filter and truncate, which are scans, events that
 * depend on what is there (only_at; partial.c), and a change of the collection, which is a record of the catalog. The
 * log holds results, never questions: the writer resolves the filter into tombstones behind a barrier of the
 * collection: it waits until all that it appended there is applied, scans, appends the tombstones of up to
 * FR_ERASE_CHUNK keys as one commit, waits for that, and goes on. Later writes of the collection wait (parked), other
 * collections do not notice. Each chunk is atomic; a failure between chunks leaves the earlier ones done and is
 * answered as the failure. */
#include "server/engine/engine.h"

#define STRETCH_US   5000
#define STRETCH_ROWS 4096u

fr_code fr_engine_erase_begin(fr_db *db, fr_write *write)
{
    fr_erasure *e = fr_zalloc(FR_MEM_ENGINE, sizeof *e);
    if (e == NULL) return FR_ERR_NO_MEMORY;
    e->write = write;
    e->collection = fr_ticket_of(write)->collection;
    e->filter = fr_ticket_of(write)->filter;
    e->wait_for = e->collection->commit_last;
    e->collection->barrier = true;
    e->next = db->erasures;
    db->erasures = e;
    return FR_OK;
}

void fr_engine_erase_end(fr_db *db, fr_erasure *e, fr_code code, const fr_err *err)
{
    fr_collection *c = e->collection;
    for (fr_erasure **link = &db->erasures; *link != NULL; link = &(*link)->next)
        if (*link == e) {
            *link = e->next;
            break;
        }
    c->barrier = false;
    fr_engine_unpark(db, c);
    fr_write *write = e->write;
    uint64_t bytes = fr_ticket_of(write)->bytes;
    write->existed = atomic_load(&e->existed);
    fr_batch_free(&e->batch);
    fr_free(FR_MEM_ENGINE, e);
    fr_engine_finish(db, write, code, err);
    fr_engine_release(db, bytes);
}

typedef struct scan_state {
    fr_erasure *erasure;
    fr_code code;
    fr_err err;
} scan_state;

static fr_code add_key(fr_erasure *e, fr_span key, bool key_is_int, fr_err *err)
{
    fr_event event = {.key = key, .key_is_int = key_is_int, .remove = true, .source_time_ms = FR_TIME_NONE};
    return fr_batch_put(&e->batch, &event, err);
}

static bool each_row(void *user, uint32_t row, const fr_row_view *view)
{
    (void)row;
    scan_state *state = user;
    fr_filter_row seen = {.key = view->key, .key_is_int = view->key_is_int, .metadata = fr_doc_root(view->metadata)};
    if (!fr_filter_match(state->erasure->filter, &seen)) return true;
    state->code = add_key(state->erasure, view->key, view->key_is_int, &state->err);
    /* The scan ends at this row, so it must count as seen: a full chunk stops after its last key. */
    return state->code == FR_OK && state->erasure->batch.count < FR_ERASE_CHUNK;
}

static fr_code scan_keys(fr_db *db, fr_erasure *e, const fr_span *keys, uint32_t count, fr_err *err)
{
    fr_collection *c = e->collection;
    fr_code code = FR_OK;
    for (; e->key_next < count && e->batch.count < FR_ERASE_CHUNK && code == FR_OK; e->key_next++) {
        fr_span key = keys[e->key_next];
        const fr_shard *shard = &c->shards[c->shard_count == 1 ? 0 : fr_murmur2(key.data, key.size) % c->shard_count];
        fr_table *table = fr_shard_table(shard);
        if (table == NULL) continue;
        fr_table_enter(table, db->writer_scratch);
        uint32_t row = fr_table_find(table, key, atomic_load_explicit(&c->visible, memory_order_acquire));
        if (row != FR_ROW_NONE) {
            fr_row_view view;
            fr_table_row(table, row, &view);
            fr_filter_row seen = {
                .key = view.key, .key_is_int = view.key_is_int, .metadata = fr_doc_root(view.metadata)};
            if (fr_filter_match(e->filter, &seen)) code = add_key(e, view.key, view.key_is_int, err);
        }
        fr_table_leave(table, db->writer_scratch);
    }
    e->scanned = e->key_next == count;
    return code;
}

/* FR_WRITE_EVENTS with only_at: those of its events whose entity's newest record is still the one named. */
static fr_code scan_expected(fr_db *db, fr_erasure *e, fr_err *err)
{
    fr_collection *c = e->collection;
    const fr_write *write = e->write;
    fr_stored_event event;
    uint32_t index = 0;
    if (e->scanned) return FR_OK;
    e->scanned = true;
    e->batch.data = fr_alloc(FR_MEM_ENGINE, FR_MAX(write->batch->size, 1u));
    if (e->batch.data == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a batch");
    e->batch.capacity = write->batch->size;
    for (size_t at = 0, before = 0; fr_engine_event_next(write->batch, &at, &event); before = at, index++) {
        const fr_shard *shard = &c->shards[c->shard_count == 1 ? 0 : fr_murmur2(event.key.data, event.key.size) % c->shard_count];
        fr_table *table = fr_shard_table(shard);
        if (table == NULL) continue;
        fr_table_enter(table, db->writer_scratch);
        uint32_t row = fr_table_find(table, event.key, atomic_load_explicit(&c->visible, memory_order_acquire));
        fr_row_view view = {.offset = -1};
        if (row != FR_ROW_NONE) fr_table_row(table, row, &view);
        fr_table_leave(table, db->writer_scratch);
        if (view.offset < 0 || view.offset != write->only_at[index]) continue;
        memcpy(e->batch.data + e->batch.size, write->batch->data + before, at - before);
        e->batch.size += at - before;
        e->batch.count++;
    }
    return FR_OK;
}

/* Nothing changes in the collection meanwhile: what is visible is all there is. */
static fr_code scan(fr_db *db, fr_erasure *e, fr_err *err)
{
    fr_collection *c = e->collection;
    const fr_span *keys;
    if (fr_ticket_of(e->write)->partial) return e->scanned ? FR_OK : fr_engine_merge(db, e, err);
    if (e->write->kind == FR_WRITE_EVENTS) return scan_expected(db, e, err);
    uint32_t key_count = e->filter != NULL ? fr_filter_keys(e->filter, &keys) : 0;
    if (key_count != 0) return scan_keys(db, e, keys, key_count, err);
    scan_state state = {.erasure = e, .code = FR_OK};
    int64_t start = db->io->mono_us(db->io);
    uint64_t visible = atomic_load_explicit(&c->visible, memory_order_acquire);
    while (e->shard < c->shard_count && e->batch.count < FR_ERASE_CHUNK &&
           db->io->mono_us(db->io) - start < STRETCH_US) {
        fr_table *table = fr_shard_table(&c->shards[e->shard]);
        bool end = true;
        if (table != NULL) {
            fr_table_enter(table, db->writer_scratch);
            end = fr_table_scan(table, &e->row, STRETCH_ROWS, visible, each_row, &state);
            fr_table_leave(table, db->writer_scratch);
        }
        if (state.code != FR_OK) {
            if (err != NULL) *err = state.err;
            return state.code;
        }
        if (end) e->shard++, e->row = 0;
    }
    e->scanned = e->shard == c->shard_count;
    return FR_OK;
}

static void note_offsets(fr_write *write, const fr_commit *commit)
{
    for (uint32_t i = 0; i < commit->part_count; i++) {
        uint32_t at = 0;
        while (at < write->written_count && write->written[at].partition != commit->parts[i].partition) at++;
        if (at == write->written_count) write->written[write->written_count++] = commit->parts[i];
        write->written[at].last = commit->parts[i].last;
    }
}

/* Nothing of the collection is under way. Its later writes are judged by what it becomes. */
static bool change_one(fr_db *db, fr_erasure *e)
{
    fr_err err = {0};
    fr_code code = (fr_code)atomic_load(&e->failed);
    if (code != FR_OK) {
        fr_engine_state_fail(db, &err);
    } else if (e->in_flight) {
        if (!atomic_load(&e->changed)) return false;
    } else if (atomic_load(&db->state) == FR_ERR_READ_ONLY) {
        code = fr_engine_state_fail(db, &err);
    } else if (atomic_load_explicit(&e->collection->visible, memory_order_acquire) < e->wait_for || atomic_load(&db->ddl_busy)) {
        return false; /* the applier wakes us */
    } else {
        code = fr_engine_ddl_append(db, e->write, e, &err);
        e->in_flight = code == FR_OK;
        if (code == FR_OK) return true;
    }
    fr_engine_erase_end(db, e, code, &err);
    return true;
}

static bool erase_one(fr_db *db, fr_erasure *e)
{
    if (e->write->kind == FR_WRITE_COLLECTION_ALTER) return change_one(db, e);
    fr_collection *c = e->collection;
    fr_err err = {0};
    int failed = atomic_load(&e->failed);
    fr_code code = (fr_code)failed;
    if (failed != FR_OK) {
        fr_engine_state_fail(db, &err);
    } else if (!e->in_flight && atomic_load(&db->state) == FR_ERR_READ_ONLY) {
        code = fr_engine_state_fail(db, &err);
    } else if (atomic_load_explicit(&c->visible, memory_order_acquire) < e->wait_for) {
        return false; /* the applier wakes us */
    } else if (atomic_load(&c->dropped)) {
        code = fr_fail(&err, FR_ERR_NOT_FOUND, "collection", "the collection was dropped");
    } else {
        if (e->in_flight) fr_batch_reset(&e->batch); /* the last chunk is applied */
        e->in_flight = false;
        code = scan(db, e, &err);
        if (code == FR_OK && e->batch.count < FR_ERASE_CHUNK && !e->scanned) return true; /* let others have a turn */
        if (code == FR_OK && e->batch.count != 0) {
            fr_commit *commit;
            bool partial = fr_ticket_of(e->write)->partial; /* one request: its answer is made by the append */
            code = fr_engine_append(db, c, &e->batch, partial ? e->write : NULL, &commit, &err);
            if (code == FR_OK) {
                commit->write = NULL; /* we answer */
                commit->counted = false;
                commit->erasure = e;
                commit->bytes = e->batch.size;
                e->wait_for = commit->number;
                e->in_flight = true;
                if (!partial) {
                    e->write->records += e->batch.count;
                    note_offsets(e->write, commit);
                }
                fr_engine_round_add(db, commit);
                return true;
            }
        }
    }
    fr_engine_erase_end(db, e, code, &err);
    return true;
}

bool fr_engine_erase_step(fr_db *db)
{
    bool worked = false;
    for (fr_erasure *e = db->erasures, *next; e != NULL; e = next) {
        next = e->next;
        if (erase_one(db, e)) worked = true;
    }
    return worked;
}
