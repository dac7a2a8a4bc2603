/* milvus_insert.c: insert, upsert, delete.
 *
 * A request of up to 10,000 rows (and 64 MiB) is one write: all or nothing. A longer one is written in pieces of that size, one after the
 * other; columns are checked before the first, and when a later piece is refused (a text too long, a number that is not finite), the
 * answer is its error and the pieces before it stay. An insert of a key that exists replaces its entity. */
#include "api/milvus/milvus_entities.h"

#include <stdlib.h>

typedef struct writing {
    fr_milvus_rows rows;
    uint64_t schema_timestamp;
    fr_doc_iter keys; /* of a delete by keys */
    uint32_t keys_left;
    int64_t deleted;
} writing;

static void release(fr_milvus_call *call)
{
    writing *w = call->state;
    fr_milvus_rows_free(&w->rows);
}

static writing *state_of(fr_milvus_call *call, const fr_milvus_schema *schema)
{
    writing *w = fr_milvus_alloc(call, sizeof *w);
    if (!w) {
        fr_milvus_fail(call, MILVUS_MEMORY, "no memory for the request");
        return NULL;
    }
    fr_arena_init(&w->rows.scratch, FR_MEM_DOOR, 0);
    w->rows.schema = schema;
    call->state = w;
    call->release = release;
    return w;
}

/* ==== insert, upsert ==== */

static fr_milvus_next rows_done(fr_milvus_call *call)
{
    writing *w = call->state;
    Milvus__MutationResult *reply = call->reply = fr_milvus_message(&call->arena, call->rpc->reply);
    if (!reply || !(reply->ids = fr_milvus_rows_ids(call, &w->rows)) || !(reply->succ_index = fr_milvus_alloc(call, w->rows.count * sizeof(uint32_t))))
        return fr_milvus_fail(call, MILVUS_MEMORY, "no memory for the answer");
    for (uint32_t i = 0; i < w->rows.count; i++) reply->succ_index[i] = i;
    reply->n_succ_index = w->rows.count;
    reply->acknowledged = true;
    if (w->rows.upsert) reply->upsert_cnt = w->rows.count;
    else reply->insert_cnt = w->rows.count;
    reply->timestamp = fr_timestamp(call->db);
    return fr_milvus_done(call);
}

static fr_milvus_next piece_done(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker);

static fr_milvus_next piece(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    writing *w = call->state;
    w->rows.worker = worker;
    fr_batch_reset(&call->batch);
    fr_code code = fr_milvus_rows_put(&w->rows, &call->batch, &call->err);
    if (code != FR_OK) return fr_milvus_fail(call, fr_milvus_code_of(code, NULL), "%s: invalid parameter", call->err.text);
    call->write = (fr_write){.kind = FR_WRITE_EVENTS, .id = w->rows.schema->id, .batch = &call->batch};
    return fr_milvus_submit(door, call, worker, piece_done);
}

static fr_milvus_next piece_done(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    writing *w = call->state;
    const fr_write *write = &call->write;
    if (write->code == FR_ERR_NOT_FOUND && w->rows.partial && strcmp(write->err.field, "collection") != 0)
        return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "%s: invalid parameter", write->err.text);
    if (write->code != FR_OK) return fr_milvus_fail_fr(call, write->code, &write->err, w->rows.schema->database, w->rows.schema->name);
    if (w->rows.next == w->rows.count) return rows_done(call);
    if (!worker->loop) return piece(door, call, worker);
    call->resume = piece;
    return FR_MILVUS_WORKER;
}

static fr_milvus_next rows_in(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker, const char *collection, const char *partition,
                              Milvus__FieldData *const *columns, size_t column_count, uint32_t rows, uint64_t timestamp, bool upsert, bool partial)
{
    const fr_milvus_schema *schema = fr_milvus_schema_in(door, call, collection);
    writing *w = schema ? state_of(call, schema) : NULL;
    if (!w) return FR_MILVUS_REPLY;
    w->rows.upsert = upsert, w->rows.partial = partial, w->rows.worker = worker;
    if (fr_milvus_rows_begin(call, &w->rows, columns, column_count, rows, partition)) return piece(door, call, worker);
    const Milvus__Status *status = fr_milvus_status_of(call);
    if (timestamp == 0 || timestamp >= schema->updated || !status) return FR_MILVUS_REPLY;
    char *reason = fr_milvus_text(call, "%.300s", status->reason); /* the client looked at an older schema: it reads it anew and tries again */
    return fr_milvus_fail(call, MILVUS_SCHEMA_MISMATCH, "collection schema mismatch[collection=%s]: %s", schema->name, reason ? reason : "");
}

fr_milvus_next fr_milvus_on_insert(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    const Milvus__InsertRequest *r = call->request;
    return rows_in(door, call, worker, r->collection_name, r->partition_name, r->fields_data, r->n_fields_data, r->num_rows, r->schema_timestamp, false,
                   false);
}

fr_milvus_next fr_milvus_on_upsert(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    const Milvus__UpsertRequest *r = call->request;
    for (size_t i = 0; i < r->n_field_ops; i++)
        if (r->field_ops[i]->op != 0)
            return fr_milvus_fail(call, MILVUS_UNSUPPORTED, "the operation on field %.64s is not offered: only REPLACE", r->field_ops[i]->field_name);
    return rows_in(door, call, worker, r->collection_name, r->partition_name, r->fields_data, r->n_fields_data, r->num_rows, r->schema_timestamp, true,
                   r->partial_update);
}

/* ==== delete ==== */

static fr_milvus_next deleted(fr_milvus_call *call)
{
    const writing *w = call->state;
    Milvus__MutationResult *reply = call->reply = fr_milvus_message(&call->arena, call->rpc->reply);
    if (!reply) return fr_milvus_done(call);
    reply->acknowledged = true;
    reply->delete_cnt = w->deleted;
    reply->timestamp = fr_timestamp(call->db);
    return fr_milvus_done(call);
}

static fr_milvus_next keys_done(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker);

static fr_milvus_next keys_piece(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    writing *w = call->state;
    const fr_milvus_schema *schema = w->rows.schema;
    fr_batch_reset(&call->batch);
    for (fr_doc value; w->keys_left && call->batch.count < FR_RECORDS_MAX && fr_doc_next(&w->keys, NULL, &value); w->keys_left--) {
        char digits[24];
        fr_event event = {.remove = true, .key_is_int = schema->fields[schema->primary].type != FR_TYPE_VARCHAR, .source_time_ms = FR_TIME_NONE};
        if (!fr_milvus_key_of(schema, value, digits, &event.key))
            return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "failed to create delete plan: the ids are not of the primary key's type: invalid parameter");
        if (event.key.size < 1 || event.key.size > FR_KEY_BYTES_MAX) continue; /* no entity has it */
        fr_code code = fr_batch_put(&call->batch, &event, &call->err);
        if (code != FR_OK) return fr_milvus_fail_fr(call, code, &call->err, schema->database, schema->name);
    }
    if (call->batch.count == 0) return deleted(call);
    call->write = (fr_write){.kind = FR_WRITE_EVENTS, .id = schema->id, .batch = &call->batch};
    return fr_milvus_submit(door, call, worker, keys_done);
}

static fr_milvus_next keys_done(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    writing *w = call->state;
    if (call->write.code != FR_OK) return fr_milvus_fail_fr(call, call->write.code, &call->write.err, w->rows.schema->database, w->rows.schema->name);
    w->deleted += call->write.existed;
    if (!w->keys_left) return deleted(call);
    if (!worker->loop) return keys_piece(door, call, worker);
    call->resume = keys_piece;
    return FR_MILVUS_WORKER;
}

static fr_milvus_next matching_done(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    writing *w = call->state;
    const Milvus__DeleteRequest *r = call->request;
    if (call->write.code == FR_ERR_NOT_FOUND)
        return fr_milvus_fail_fr(call, call->write.code, &call->write.err, w->rows.schema->database, w->rows.schema->name);
    if (call->write.code != FR_OK) return fr_milvus_fail_filter(call, r->expr, call->write.code, &call->write.err);
    w->deleted = call->write.records;
    return deleted(call);
}

fr_milvus_next fr_milvus_on_delete(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    const Milvus__DeleteRequest *r = call->request;
    const fr_milvus_schema *schema = fr_milvus_schema_in(door, call, r->collection_name);
    writing *w = schema ? state_of(call, schema) : NULL;
    fr_condition condition;
    if (!w) return FR_MILVUS_REPLY;
    if (!r->expr[strspn(r->expr, " \t\r\n")]) return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "delete expression is empty: invalid parameter");
    char *partitions[] = {r->partition_name};
    if (!fr_milvus_filter(call, worker, schema, r->expr, r->expr_template_values, r->n_expr_template_values, partitions, r->partition_name[0] ? 1 : 0,
                          &condition))
        return FR_MILVUS_REPLY;
    fr_doc keys = fr_milvus_filter_keys(schema, &condition);
    if (keys.data) {
        w->keys = fr_doc_begin(keys);
        w->keys_left = fr_doc_count(keys);
        return keys_piece(door, call, worker);
    }
    call->write = (fr_write){.kind = FR_WRITE_DELETE_MATCHING, .id = schema->id, .filter = condition.filter, .filter_params = condition.params};
    return fr_milvus_submit(door, call, worker, matching_done);
}
