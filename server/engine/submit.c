/* submit.c: the front of THE write path: everything about a write that can be judged without order is judged here, on
 * the caller's thread; then it takes a place in a bounded queue. A write that is refused here has left no trace. */
#include "server/engine/engine.h"

#include "simd/simd.h"

#include <stdio.h>

/* ==== a write's content ==== */

fr_code fr_engine_room(const fr_db *db, fr_err *err)
{
    uint64_t used = 0;
    for (uint32_t tag = 0; tag < FR_MEM_COUNT; tag++) used += fr_mem_used((fr_mem)tag);
    if (used > db->memory_limit)
        return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "memory_limit: %llu of %llu bytes are in use; deletes go on",
                       (unsigned long long)used, (unsigned long long)db->memory_limit);
    return FR_OK;
}

fr_code fr_engine_check_events(fr_db *db, const fr_schema *schema, const fr_batch *batch, fr_err *err)
{
    if (batch == NULL || batch->count == 0)
        return fr_fail(err, FR_ERR_INVALID, "records", "a write needs at least one record");
    if (batch->count > FR_RECORDS_MAX || batch->size > FR_REQUEST_BYTES_MAX)
        return fr_fail(err, FR_ERR_TOO_LARGE, "records", "a request has at most %u records and %u bytes",
                       FR_RECORDS_MAX, FR_REQUEST_BYTES_MAX);
    fr_stored_event event;
    uint32_t index = 0;
    bool grows = false;
    for (size_t at = 0; fr_engine_event_next(batch, &at, &event); index++) {
        FR_TRY(fr_engine_judge_key(&schema->def, event.key, event.flags & FR_EVENT_KEY_IS_INT, index, err));
        if (event.flags & FR_EVENT_REMOVE) continue;
        fr_decoded decoded;
        FR_TRY(fr_engine_decode(event.value, &decoded, NULL, err));
        if (event.flags & FR_EVENT_PARTIAL) FR_TRY(fr_engine_judge_part(schema, &decoded, index, err));
        else FR_TRY(fr_engine_judge(schema, &decoded, (fr_place){index, 0, FR_PLACE_NEW}, err));
        grows = true;
    }
    if (index != batch->count)
        return fr_fail(err, FR_ERR_INVALID, "records", "the batch is not well formed at record %u", index);
    if (!grows) return FR_OK; /* deletes go on when memory is short */
    return fr_engine_room(db, err);
}

static bool has_partial(const fr_batch *batch)
{
    fr_stored_event event;
    for (size_t at = 0; fr_engine_event_next(batch, &at, &event);)
        if (event.flags & FR_EVENT_PARTIAL) return true;
    return false;
}

static fr_code check_names(const fr_write *write, fr_err *err)
{
    if (write->name == NULL) return fr_fail(err, FR_ERR_INVALID, "alias", "an alias needs a name");
    FR_TRY(fr_name_check("alias", write->name, strlen(write->name), err));
    if (write->kind == FR_WRITE_ALIAS_PUT && write->target == NULL)
        return fr_fail(err, FR_ERR_INVALID, "collection", "an alias needs a collection");
    return FR_OK;
}

static fr_code check_collection(const fr_collection *c, fr_err *err)
{
    fr_code state = (fr_code)atomic_load_explicit(&c->state, memory_order_acquire);
    return state == FR_OK
               ? FR_OK
               : fr_fail(err, FR_ERR_READ_ONLY, NULL, "collection '%s' refuses writes: %s", fr_schema_of(c)->topic,
                         c->state_text);
}

static fr_code check_txn(const fr_write *write, fr_err *err)
{
    const char *name = write->txn != NULL ? write->txn->transactional_id : NULL;
    if (write->kind == FR_WRITE_TXN_LIST)
        return write->txn != NULL && write->txn->each != NULL ? FR_OK : fr_fail(err, FR_ERR_INVALID, "txn", "each is needed");
    if (write->txn == NULL || (name == NULL && write->kind != FR_WRITE_PRODUCER_INIT))
        return fr_fail(err, FR_ERR_INVALID, "transactional_id", "a transaction needs an id");
    if (name != NULL && (name[0] == 0 || strnlen(name, FR_TRANSACTIONAL_ID_BYTES_MAX + 1) > FR_TRANSACTIONAL_ID_BYTES_MAX))
        return fr_fail(err, FR_ERR_INVALID, "transactional_id", "a transactional id has 1 to %u bytes",
                       FR_TRANSACTIONAL_ID_BYTES_MAX);
    return FR_OK;
}

static fr_code check_database(const fr_write *write, fr_err *err)
{
    if (write->name == NULL) return fr_fail(err, FR_ERR_INVALID, "database", "a database needs a name");
    if (fr_database_name(write->name)[0] == 0)
        return write->kind == FR_WRITE_DATABASE_PUT && write->create_only
                   ? fr_fail(err, FR_ERR_EXISTS, "database", "'default' is always there")
                   : fr_fail(err, FR_ERR_INVALID, "database", "'default' is always there, as it is");
    FR_TRY(fr_name_check("database", write->name, strlen(write->name), err));
    return fr_engine_check_attributes(write->attributes, err);
}

static fr_code check_filter(fr_write *write, fr_ticket *ticket, const fr_schema *schema, fr_err *err)
{
    fr_span text = fr_span_text(write->filter != NULL ? write->filter : "");
    fr_code code = fr_filter_compile(text, &schema->filter, write->filter_params, &ticket->filter, err);
    if (code != FR_OK && err != NULL && err->field[0] == 0) snprintf(err->field, sizeof err->field, "filter");
    FR_TRY(code);
    return ticket->filter != NULL
               ? FR_OK
               : fr_fail(err, FR_ERR_INVALID, "filter", "a filter is needed: an empty one would delete everything");
}

static fr_code check_create(const fr_write *write, fr_err *err)
{
    fr_collection_def *expanded = fr_alloc(FR_MEM_ENGINE, sizeof *expanded);
    if (expanded == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory");
    fr_code code = fr_engine_expand(write->def, expanded, err);
    fr_free(FR_MEM_ENGINE, expanded);
    return code == FR_OK ? fr_engine_check_attributes(write->attributes, err) : code;
}

static bool is_of_collection(fr_write_kind kind)
{
    return kind == FR_WRITE_EVENTS || kind == FR_WRITE_DELETE_MATCHING || kind == FR_WRITE_COLLECTION_ALTER ||
           kind == FR_WRITE_COLLECTION_TRUNCATE;
}

/* Under a pin. */
static fr_code prepare(fr_db *db, fr_write *write, fr_ticket *ticket, fr_err *err)
{
    if (is_of_collection(write->kind)) {
        ticket->collection = fr_engine_collection_ref(db, write->id);
        if (ticket->collection == NULL)
            return fr_fail(err, FR_ERR_NOT_FOUND, "collection", "there is no such collection");
        FR_TRY(check_collection(ticket->collection, err));
    }
    if (write->kind == FR_WRITE_BATCHES || write->kind == FR_WRITE_RECORDS) {
        ticket->collection = fr_engine_topic_ref(db, write->id);
        if (ticket->collection == NULL) return fr_fail(err, FR_ERR_NOT_FOUND, "topic", "there is no such topic");
        FR_TRY(check_collection(ticket->collection, err));
    }
    const fr_schema *schema = ticket->collection != NULL ? fr_schema_of(ticket->collection) : NULL;
    ticket->version = schema != NULL ? schema->version : 0;
    switch (write->kind) {
    case FR_WRITE_EVENTS:
        FR_TRY(fr_engine_check_events(db, schema, write->batch, err));
        ticket->partial = has_partial(write->batch);
        if (ticket->partial && write->only_at != NULL)
            return fr_fail(err, FR_ERR_INVALID, "records", "a write with conditions takes whole records only");
        ticket->bytes = write->batch->size;
        return FR_OK;
    case FR_WRITE_DELETE_MATCHING: return check_filter(write, ticket, schema, err);
    case FR_WRITE_COLLECTION_CREATE: return check_create(write, err);
    case FR_WRITE_COLLECTION_DROP: return FR_OK;
    case FR_WRITE_ALIAS_PUT:
    case FR_WRITE_ALIAS_DROP: return check_names(write, err);
    case FR_WRITE_BATCHES: return fr_engine_check_batches(db, ticket->collection, write, &ticket->bytes, err);
    case FR_WRITE_RECORDS: return fr_engine_check_record_list(ticket->collection, write, &ticket->bytes, err);
    case FR_WRITE_TOPIC_CREATE:
    case FR_WRITE_TOPIC_PARTITIONS:
    case FR_WRITE_TOPIC_CONFIGS:
    case FR_WRITE_DELETE_RECORDS: return FR_OK; /* judged by the writer: the catalog is in order there */
    case FR_WRITE_PRODUCER_INIT:
    case FR_WRITE_TXN_PARTITIONS:
    case FR_WRITE_TXN_END:
    case FR_WRITE_TXN_LIST: return check_txn(write, err);
    case FR_WRITE_COLLECTION_ALTER: /* judged by the writer, behind the barrier */
        return write->change != NULL ? FR_OK : fr_fail(err, FR_ERR_INVALID, "change", "a change is needed");
    case FR_WRITE_COLLECTION_TRUNCATE: return FR_OK;
    case FR_WRITE_DATABASE_PUT:
    case FR_WRITE_DATABASE_DROP: return check_database(write, err);
    case FR_WRITE_ACCESS_PUT:
    case FR_WRITE_ACCESS_DROP: return fr_engine_access_valid(write, err);
    default: return fr_fail(err, FR_ERR_INVALID, NULL, "no such kind of write");
    }
}

fr_code fr_engine_judge_again(fr_db *db, fr_write *write, fr_err *err)
{
    uint64_t bytes = 0;
    fr_collection *c = fr_ticket_of(write)->collection;
    uint32_t pin = fr_engine_pin(db);
    const fr_schema *schema = fr_schema_of(c);
    fr_code code = FR_OK;
    if (schema->version != fr_ticket_of(write)->version) {
        if (write->kind == FR_WRITE_EVENTS) code = fr_engine_check_events(db, schema, write->batch, err);
        else if (write->kind == FR_WRITE_BATCHES) code = fr_engine_check_batches(db, c, write, &bytes, err);
        fr_ticket_of(write)->version = schema->version;
    }
    fr_engine_unpin(db, pin);
    return code;
}

static void drop_ticket(fr_write *write)
{
    fr_ticket *ticket = fr_ticket_of(write);
    fr_filter_free(ticket->filter);
    ticket->filter = NULL;
    fr_batch_free(&ticket->found);
    if (ticket->collection != NULL) fr_engine_unref(ticket->collection);
    ticket->collection = NULL;
}

static fr_code enqueue(fr_db *db, fr_write *write, fr_err *err)
{
    fr_ticket *ticket = fr_ticket_of(write);
    uint32_t count = atomic_fetch_add(&db->queue_count, 1) + 1;
    uint64_t bytes = atomic_fetch_add(&db->queue_bytes, ticket->bytes) + ticket->bytes;
    fr_code code = FR_OK;
    if (count > FR_QUEUE_WRITES_MAX)
        code = fr_fail(err, FR_ERR_BUSY, NULL, "%u writes are under way: the limit; try again", FR_QUEUE_WRITES_MAX);
    else if (bytes > FR_QUEUE_BYTES_MAX && count > 1)
        code = fr_fail(err, FR_ERR_BUSY, NULL, "%llu bytes of writes are under way: the limit; try again",
                       FR_QUEUE_BYTES_MAX);
    if (code == FR_OK) {
        pthread_mutex_lock(&db->intake_lock);
        if (db->closed) {
            code = fr_fail(err, FR_ERR_CLOSED, NULL, "the database is closing");
        } else {
            if (db->intake_tail != NULL) fr_ticket_of(db->intake_tail)->next = write;
            else db->intake_head = write;
            db->intake_tail = write;
        }
        pthread_mutex_unlock(&db->intake_lock);
    }
    if (code != FR_OK) fr_engine_release(db, ticket->bytes);
    return code;
}

fr_code fr_submit(fr_db *db, fr_write *write, fr_err *err)
{
    fr_ticket *ticket = fr_ticket_of(write);
    *ticket = (fr_ticket){.submitted_us = db->io->mono_us(db->io)};
    write->code = FR_OK;
    write->err = (fr_err){.code = FR_OK};
    write->records = write->duplicates = write->existed = write->written_count = 0;
    write->reason = FR_REASON_NONE;
    if (err != NULL) *err = (fr_err){.code = FR_OK};
    fr_code code = FR_OK;
    if (atomic_load_explicit(&db->state, memory_order_acquire) == FR_ERR_READ_ONLY)
        code = fr_engine_state_fail(db, err);
    uint32_t pin = fr_engine_pin(db);
    if (code == FR_OK) code = prepare(db, write, ticket, err);
    fr_engine_unpin(db, pin);
    if (code == FR_OK) code = enqueue(db, write, err);
    if (code != FR_OK) {
        drop_ticket(write);
        write->code = code;
        return code;
    }
    fr_engine_wake(db, FR_ROLE_WRITER);
    return FR_OK;
}

void fr_engine_finish(fr_db *db, fr_write *write, fr_code code, const fr_err *err)
{
    (void)db;
    drop_ticket(write);
    write->code = code;
    if (code != FR_OK) {
        if (err != NULL) write->err = *err;
        if (write->err.text[0] == 0) fr_fail(&write->err, code, write->err.field, "%s", fr_strcode(code));
        write->err.code = code;
        write->records = write->written_count = 0;
    }
    write->done(write); /* it may be gone afterwards */
}

/* ==== blocking form ==== */

typedef struct wait_call {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool finished;
} wait_call;

static void wake_caller(fr_write *write)
{
    wait_call *call = write->user;
    pthread_mutex_lock(&call->lock);
    call->finished = true;
    pthread_cond_signal(&call->cond);
    pthread_mutex_unlock(&call->lock);
}

fr_code fr_submit_wait(fr_db *db, fr_write *write, fr_err *err)
{
    wait_call call = {.finished = false};
    pthread_mutex_init(&call.lock, NULL);
    pthread_cond_init(&call.cond, NULL);
    write->done = wake_caller;
    write->user = &call;
    fr_code code = fr_submit(db, write, err);
    if (code == FR_OK) {
        pthread_mutex_lock(&call.lock);
        while (!call.finished) {
            if (!db->options.no_threads) {
                pthread_cond_wait(&call.cond, &call.lock);
                continue;
            }
            pthread_mutex_unlock(&call.lock);
            fr_engine_step_all(db);
            pthread_mutex_lock(&call.lock);
        }
        pthread_mutex_unlock(&call.lock);
        code = write->code;
        if (code != FR_OK && err != NULL) *err = write->err;
    }
    pthread_cond_destroy(&call.cond);
    pthread_mutex_destroy(&call.lock);
    return code;
}
