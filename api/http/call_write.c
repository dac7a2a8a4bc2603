/* call_write.c: upsert and delete. A body goes to events straight, the events to fr_submit; the answer comes when the engine
 * has called back. Long bodies and texts are parsed and embedded on a worker, so that a loop never stops for them. */
#include "api/http/http_private.h"

enum { STAGE_NEW, STAGE_PARSE, STAGE_WRITTEN };

static fr_code upsert_in(fr_http_call *call, fr_http_worker *worker)
{
    fr_json_schema schema = {.id_type = call->info->def.id_type, .embed = call->info->def.embedder[0] ? fr_http_embed : NULL, .embed_user = call};
    const fr_field_def *field;
    while (schema.field_count < FR_VECTOR_FIELDS_MAX && (field = fr_http_vector_field_at(call->info, schema.field_count)) != NULL)
        schema.fields[schema.field_count++] =
            (fr_json_field){.name = field->name, .id = field->id, .nullable = field->nullable, .form = fr_http_form(field)};
    fr_doc_builder *rest = &call->builders[0];
    fr_doc_reset(rest);
    fr_batch_reset(&call->batch);
    fr_code code = fr_json_in_upsert(worker->dom, call->body, &schema, &call->arena, rest, &call->builders[1], &call->batch,
                                     &call->err);
    fr_json_dom_trim(worker->dom);
    FR_TRY(code);
    fr_span bytes;
    FR_TRY(fr_doc_finish(rest, &bytes));
    call->rest = fr_doc_root(bytes);
    return fr_http_fields_check(call->route->body, call->route->body_count, call->rest, &call->err);
}

static fr_http_next upserted(fr_http_call *call)
{
    if (call->write.code != FR_OK) return fr_http_fail(call, &call->write.err, call->write.code);
    fr_out *out = &call->out;
    fr_out_begin(out, '{');
    fr_out_key(out, "upserted");
    fr_out_uint(out, call->write.records);
    fr_out_key(out, "duplicates");
    fr_out_uint(out, call->write.duplicates);
    fr_http_offsets_out(call);
    fr_out_end(out, '}');
    return fr_http_done(call, 200);
}

fr_http_next fr_http_on_upsert(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door;
    if (call->stage == STAGE_WRITTEN) return upserted(call);
    fr_code code = FR_OK;
    if (call->stage == STAGE_NEW) {
        code = fr_http_collection(call);
        if (code != FR_OK) return fr_http_fail(call, &call->err, code);
        call->stage = STAGE_PARSE;
        if (worker->loop && call->info->def.embedder[0]) return FR_HTTP_WORKER;
    }
    code = upsert_in(call, worker);
    if (code != FR_OK) return fr_http_fail(call, &call->err, code);
    call->write = (fr_write){.kind = FR_WRITE_EVENTS, .id = call->info->id, .batch = &call->batch,
                             .ack = fr_http_field_is(call->rest, "ack", "durable") ? FR_ACK_DURABLE : FR_ACK_APPLIED};
    call->stage = STAGE_WRITTEN;
    return fr_http_submit(call);
}

/* ---- delete ---- */

static fr_code delete_ids_in(fr_http_call *call, fr_doc ids)
{
    uint32_t count = fr_doc_count(ids);
    if (count < 1 || count > FR_RECORDS_MAX)
        return fr_fail(&call->err, FR_ERR_INVALID, "ids", "has %u ids, a request takes 1 to %u", count, FR_RECORDS_MAX);
    fr_event *events = fr_arena_alloc(&call->arena, count * sizeof *events);
    if (!events) return fr_fail(&call->err, FR_ERR_NO_MEMORY, NULL, "no memory for the ids");
    FR_TRY(fr_http_ids_in(call, ids, events, NULL));
    for (uint32_t i = 0; i < count; i++) FR_TRY(fr_batch_put(&call->batch, &events[i], &call->err));
    call->write = (fr_write){.kind = FR_WRITE_EVENTS, .id = call->info->id, .batch = &call->batch};
    return FR_OK;
}

static fr_code delete_in(fr_http_call *call, fr_http_worker *worker)
{
    FR_TRY(fr_http_body_in(call, worker));
    fr_doc ids = fr_http_field(call->rest, "ids");
    const char *filter;
    FR_TRY(fr_http_field_text(call, call->rest, "filter", FR_FILTER_BYTES_MAX, &filter, &call->err));
    if ((ids.data != NULL) == (filter != NULL))
        return fr_fail(&call->err, FR_ERR_INVALID, filter ? "filter" : "ids", "give one of ids and filter");
    if (ids.data) return delete_ids_in(call, ids);
    if (!filter[strspn(filter, " \t\r\n")])
        return fr_fail(&call->err, FR_ERR_INVALID, "filter", "is empty: that would be every entity; drop the collection instead");
    call->write = (fr_write){.kind = FR_WRITE_DELETE_MATCHING, .id = call->info->id, .filter = filter,
                             .filter_params = fr_http_field_params(call->rest)};
    return FR_OK;
}

fr_http_next fr_http_on_delete(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door;
    if (call->stage == STAGE_WRITTEN) {
        if (call->write.code != FR_OK) return fr_http_fail(call, &call->write.err, call->write.code);
        fr_out_begin(&call->out, '{');
        fr_out_key(&call->out, "deleted");
        fr_out_uint(&call->out, call->write.existed);
        fr_http_offsets_out(call);
        fr_out_end(&call->out, '}');
        return fr_http_done(call, 200);
    }
    fr_code code = fr_http_collection(call);
    if (code == FR_OK) code = delete_in(call, worker);
    if (code != FR_OK) return fr_http_fail(call, &call->err, code);
    call->stage = STAGE_WRITTEN;
    return fr_http_submit(call);
}
