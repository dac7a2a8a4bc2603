/* submit.c: the front of THE write path: everything about a write that can be judged without order is judged here, on
 * the caller's thread; then it takes a place in a bounded queue. A write that is refused here has left no trace. */
#include "server/engine/engine.h"

#include "simd/simd.h"

#include <stdio.h>

/* ==== a collection's definition ==== */

static fr_code check_vector_field(const char *prefix, fr_field_def *f, fr_err *err)
{
    char field[48];
    FR_TRY(fr_vector_type_check(f->type, f->dimension, f->metric, prefix, err));
    snprintf(field, sizeof field, "%scodes", prefix);
    if ((unsigned)f->codes > FR_CODES_NONE) return fr_fail(err, FR_ERR_INVALID, field, "codes must be sq8 or none");
    snprintf(field, sizeof field, "%sprofile", prefix);
    if ((unsigned)f->profile > FR_PROFILE_COMPACT)
        return fr_fail(err, FR_ERR_INVALID, field, "profile must be speed, balanced or compact");
    snprintf(field, sizeof field, "%svectors", prefix);
    if ((unsigned)f->vectors > FR_VECTORS_DISK)
        return fr_fail(err, FR_ERR_INVALID, field, "vectors must be memory or disk");
    if (f->codes == FR_CODES_NONE && f->vectors == FR_VECTORS_DISK)
        return fr_fail(err, FR_ERR_INVALID, field, "vectors: disk needs codes; the walk would read every vector from disk");
    if (f->m == 0) f->m = f->profile == FR_PROFILE_COMPACT ? FR_M_COMPACT : FR_M_DEFAULT;
    if (f->ef_construction == 0) f->ef_construction = 100;
    snprintf(field, sizeof field, "%sm", prefix);
    if (f->m < 2 || f->m > FR_M_MAX)
        return fr_fail(err, FR_ERR_INVALID, field, "m must be 2 to %u, got %u", FR_M_MAX, f->m);
    snprintf(field, sizeof field, "%sef_construction", prefix);
    if (f->ef_construction > FR_EF_CONSTRUCTION_MAX)
        return fr_fail(err, FR_ERR_INVALID, field, "ef_construction must be 1 to %u, got %u", FR_EF_CONSTRUCTION_MAX,
                       f->ef_construction);
    return FR_OK;
}

static fr_code expand_simple(fr_collection_def *out, fr_err *err)
{
    out->field_count = 3;
    out->fields[0] = (fr_field_def){.id = FR_FIELD_KEY,
                                    .name = "id",
                                    .type = out->id_type == FR_ID_INT64 ? FR_TYPE_INT64 : FR_TYPE_VARCHAR,
                                    .max_length = FR_KEY_BYTES_MAX,
                                    .primary = true};
    out->fields[1] = (fr_field_def){.id = FR_FIELD_VECTOR,
                                    .name = "vector",
                                    .type = out->vector_type != FR_TYPE_NONE ? out->vector_type : FR_TYPE_VECTOR_F32,
                                    .dimension = out->dimension,
                                    .metric = out->metric,
                                    .codes = out->codes,
                                    .m = out->m,
                                    .ef_construction = out->ef_construction,
                                    .profile = out->profile,
                                    .vectors = out->vectors};
    out->fields[2] = (fr_field_def){.id = FR_FIELD_DYNAMIC, .name = "metadata", .type = FR_TYPE_JSON, .nullable = true};
    return check_vector_field("", &out->fields[1], err);
}

/* The fields that can be built now: one primary key, one dense vector, one JSON document. */
static fr_code check_fields(fr_collection_def *out, fr_err *err)
{
    uint32_t keys = 0, vectors = 0, documents = 0;
    if (out->field_count > FR_FIELDS_MAX)
        return fr_fail(err, FR_ERR_INVALID, "fields", "a collection has at most %u fields", FR_FIELDS_MAX);
    for (uint32_t i = 0; i < out->field_count; i++) {
        fr_field_def *f = &out->fields[i];
        char prefix[32], name[40];
        snprintf(prefix, sizeof prefix, "fields[%u].", i);
        snprintf(name, sizeof name, "fields[%u]", i);
        f->name[sizeof f->name - 1] = 0;
        if (f->name[0] == 0) return fr_fail(err, FR_ERR_INVALID, name, "a field needs a name");
        for (uint32_t j = 0; j < i; j++)
            if (strcmp(out->fields[j].name, f->name) == 0)
                return fr_fail(err, FR_ERR_INVALID, name, "two fields are named '%s'", f->name);
        if (f->primary) {
            if (f->type != FR_TYPE_VARCHAR && f->type != FR_TYPE_INT64)
                return fr_fail(err, FR_ERR_INVALID, name, "a primary key is VARCHAR or INT64");
            if (++keys > 1) return fr_fail(err, FR_ERR_INVALID, name, "a collection has one primary key");
            f->id = FR_FIELD_KEY;
            out->id_type = f->type == FR_TYPE_INT64    ? FR_ID_INT64
                           : out->id_type == FR_ID_ANY ? FR_ID_ANY
                                                       : FR_ID_STRING;
        } else if (fr_vector_bytes(f->type, 1) != 0) {
            if (++vectors > 1)
                return fr_fail(err, FR_ERR_UNSUPPORTED, name, "more than one vector field is not built yet");
            f->id = FR_FIELD_VECTOR;
            FR_TRY(check_vector_field(prefix, f, err));
        } else if (f->type == FR_TYPE_JSON && ++documents == 1) {
            f->id = FR_FIELD_DYNAMIC;
        } else {
            return fr_fail(err, FR_ERR_UNSUPPORTED, name, "fields of type %d are not built yet", (int)f->type);
        }
    }
    if (keys == 0) return fr_fail(err, FR_ERR_INVALID, "fields", "a collection needs a primary key");
    if (vectors == 0) return fr_fail(err, FR_ERR_INVALID, "fields", "a collection needs a vector field");
    return FR_OK;
}

static fr_code check_indexed(const fr_collection_def *def, fr_err *err)
{
    if (def->indexed_count > FR_INDEXED_MAX)
        return fr_fail(err, FR_ERR_TOO_LARGE, "indexed", "at most %u fields are indexed, got %u", FR_INDEXED_MAX, def->indexed_count);
    for (uint32_t i = 0; i < def->indexed_count; i++) {
        fr_path *path;
        char name[32];
        fr_err why = {0};
        size_t size = strnlen(def->indexed[i], sizeof def->indexed[i]);
        snprintf(name, sizeof name, "indexed[%u]", i);
        if (size == 0 || size > FR_INDEXED_BYTES_MAX)
            return fr_fail(err, FR_ERR_INVALID, name, "a path has 1 to %u bytes", FR_INDEXED_BYTES_MAX);
        fr_code code = fr_path_compile(fr_span_text(def->indexed[i]), &path, &why);
        if (code != FR_OK) return fr_fail(err, code, name, "%s", why.text);
        fr_path_free(path);
    }
    return FR_OK;
}

fr_code fr_engine_expand(const fr_collection_def *def, fr_collection_def *out, fr_err *err)
{
    if (def == NULL) return fr_fail(err, FR_ERR_INVALID, "collection", "a definition is needed");
    *out = *def;
    FR_TRY(fr_name_check("name", out->name, strnlen(out->name, sizeof out->name), err));
    if (memchr(out->database, 0, sizeof out->database) == NULL ||
        (out->database[0] != 0 && strcmp(out->database, "default") != 0))
        return fr_fail(err, FR_ERR_UNSUPPORTED, "database", "databases other than 'default' are not built yet");
    if ((unsigned)out->id_type > FR_ID_STRING)
        return fr_fail(err, FR_ERR_INVALID, "id_type", "id_type must be int64 or string");
    if (out->partitions == 0) out->partitions = 1;
    if (out->partitions > FR_PARTITIONS_MAX)
        return fr_fail(err, FR_ERR_INVALID, "partitions", "partitions must be 1 to %u, got %u", FR_PARTITIONS_MAX,
                       out->partitions);
    if (memchr(out->embedder, 0, sizeof out->embedder) == NULL ||
        (out->embedder[0] != 0 && strcmp(out->embedder, "hash") != 0))
        return fr_fail(err, FR_ERR_INVALID, "embedder", "the embedder must be 'hash'");
    FR_TRY(check_indexed(out, err));
    FR_TRY(out->field_count == 0 ? expand_simple(out, err) : check_fields(out, err));
    for (uint32_t i = 0; i < out->field_count; i++) {
        const fr_field_def *f = &out->fields[i];
        if (f->id != FR_FIELD_VECTOR) continue;
        out->dimension = f->dimension, out->metric = f->metric, out->codes = f->codes, out->m = f->m,
        out->ef_construction = f->ef_construction, out->profile = f->profile, out->vectors = f->vectors, out->vector_type = f->type;
        if (out->embedder[0] != 0 && (f->type == FR_TYPE_VECTOR_I8 || f->type == FR_TYPE_VECTOR_BINARY))
            return fr_fail(err, FR_ERR_INVALID, "embedder", "the embedder makes fractions: vector_type cannot be int8 or binary");
    }
    return FR_OK;
}

/* ==== a write's content ==== */

fr_code fr_engine_room(const fr_db *db, fr_err *err)
{
    uint64_t used = 0;
    for (uint32_t tag = 0; tag < FR_MEM_COUNT; tag++) used += fr_mem_used((fr_mem)tag);
    if (used > db->memory_limit)
        return fr_fail(err, FR_ERR_BUSY, NULL, "memory_limit: %llu of %llu bytes are in use; deletes go on",
                       (unsigned long long)used, (unsigned long long)db->memory_limit);
    return FR_OK;
}

static fr_code check_events(fr_db *db, const fr_collection *collection, const fr_batch *batch, fr_err *err)
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
        FR_TRY(fr_engine_judge_key(&collection->def, event.key, event.flags & FR_EVENT_KEY_IS_INT, index, err));
        if (event.flags & FR_EVENT_REMOVE) continue;
        fr_decoded decoded;
        FR_TRY(fr_engine_decode(event.value, &decoded, NULL, err));
        FR_TRY(fr_engine_judge(collection, &decoded, index, err));
        grows = true;
    }
    if (index != batch->count)
        return fr_fail(err, FR_ERR_INVALID, "records", "the batch is not well formed at record %u", index);
    if (!grows) return FR_OK; /* deletes go on when memory is short */
    return fr_engine_room(db, err);
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
               : fr_fail(err, FR_ERR_READ_ONLY, NULL, "collection '%s' refuses writes: %s", c->def.name, c->state_text);
}

static fr_code check_txn(const fr_write *write, fr_err *err)
{
    const char *name = write->txn != NULL ? write->txn->transactional_id : NULL;
    if (write->txn == NULL || (name == NULL && write->kind != FR_WRITE_PRODUCER_INIT))
        return fr_fail(err, FR_ERR_INVALID, "transactional_id", "a transaction needs an id");
    if (name != NULL && (name[0] == 0 || strnlen(name, FR_TRANSACTIONAL_ID_BYTES_MAX + 1) > FR_TRANSACTIONAL_ID_BYTES_MAX))
        return fr_fail(err, FR_ERR_INVALID, "transactional_id", "a transactional id has 1 to %u bytes",
                       FR_TRANSACTIONAL_ID_BYTES_MAX);
    return FR_OK;
}

static fr_code prepare(fr_db *db, fr_write *write, fr_ticket *ticket, fr_err *err)
{
    if (write->kind == FR_WRITE_EVENTS || write->kind == FR_WRITE_DELETE_MATCHING) {
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
    switch (write->kind) {
    case FR_WRITE_EVENTS:
        FR_TRY(check_events(db, ticket->collection, write->batch, err));
        ticket->bytes = write->batch->size;
        return FR_OK;
    case FR_WRITE_DELETE_MATCHING: {
        fr_span text = fr_span_text(write->filter != NULL ? write->filter : "");
        fr_code code = fr_filter_compile(text, &ticket->collection->filter_schema, write->filter_params, &ticket->filter, err);
        if (code != FR_OK && err != NULL && err->field[0] == 0) snprintf(err->field, sizeof err->field, "filter");
        FR_TRY(code);
        return ticket->filter != NULL
                   ? FR_OK
                   : fr_fail(err, FR_ERR_INVALID, "filter", "a filter is needed: an empty one would delete everything");
    }
    case FR_WRITE_COLLECTION_CREATE: {
        fr_collection_def *expanded = fr_alloc(FR_MEM_ENGINE, sizeof *expanded);
        if (expanded == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory");
        fr_code code = fr_engine_expand(write->def, expanded, err);
        fr_free(FR_MEM_ENGINE, expanded);
        return code;
    }
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
    case FR_WRITE_TXN_END: return check_txn(write, err);
    case FR_WRITE_COLLECTION_ALTER:
    case FR_WRITE_COLLECTION_TRUNCATE:
    case FR_WRITE_DATABASE_PUT:
    case FR_WRITE_DATABASE_DROP: return fr_fail(err, FR_ERR_UNSUPPORTED, NULL, "not possible yet");
    case FR_WRITE_ACCESS_PUT:
    case FR_WRITE_ACCESS_DROP: return fr_engine_access_valid(write, err);
    default: return fr_fail(err, FR_ERR_INVALID, NULL, "no such kind of write");
    }
}

static void drop_ticket(fr_write *write)
{
    fr_ticket *ticket = fr_ticket_of(write);
    fr_filter_free(ticket->filter);
    ticket->filter = NULL;
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
    if (code == FR_OK) code = prepare(db, write, ticket, err);
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
