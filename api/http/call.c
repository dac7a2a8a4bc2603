/* call.c: a call's life and what handlers share: errors, bodies, collections, ids, writes, waiting, records out. */
#include "api/http/http_private.h"

#include <stdio.h>

#define ARENA_BYTES_MAX ((size_t)256 << 20)
#define OUTPUT_NAMES_MAX 256u
#define KEPT_BYTES ((size_t)256 << 10) /* buffers above this are given back after a call */

void fr_http_call_init(fr_http_call *call)
{
    *call = (fr_http_call){.out.limit = FR_HTTP_RESPONSE_BYTES_MAX};
    fr_arena_init(&call->arena, FR_MEM_DOOR, ARENA_BYTES_MAX);
}

static void builder_reset(fr_doc_builder *b)
{
    if (b->capacity > KEPT_BYTES) fr_doc_free(b);
    else fr_doc_reset(b);
}

void fr_http_call_reset(fr_http_call *call)
{
    if (call->guest) call->guest->reset(call->guest->user, call);
    call->guest = NULL, call->int64_numbers = false;
    for (size_t i = 0; i < FR_COUNT_OF(call->builders); i++) builder_reset(&call->builders[i]);
    if (call->batch.capacity > KEPT_BYTES) fr_batch_free(&call->batch);
    else fr_batch_reset(&call->batch);
    if (call->out.capacity > KEPT_BYTES) fr_out_free(&call->out);
    else fr_out_reset(&call->out);
    if (call->arena.used > KEPT_BYTES) fr_arena_free(&call->arena);
    else fr_arena_reset(&call->arena);
    for (size_t i = 0; i < FR_HTTP_PARAMS_MAX; i++) call->params[i][0] = 0; /* the audit names what this call was about */
    call->gate = FR_HTTP_NEW, call->principal = (fr_principal){.trusted = false}, call->object = NULL;
    call->authorization = (fr_span){NULL, 0}, call->authenticate = NULL;
    call->status = 0, call->content_type = NULL, call->allow = NULL, call->retry_after_s = 0, call->wait_ms = 0;
    call->route = NULL, call->head = false, call->stage = 0, call->expired = false, call->db = NULL;
    call->rest = (fr_doc){NULL};
    call->vectors = (fr_json_vectors){0};
    call->info = NULL, call->scratch = NULL;
    call->err.code = FR_OK, call->err.field[0] = 0, call->err.text[0] = 0;
}

void fr_http_call_free(fr_http_call *call)
{
    for (size_t i = 0; i < FR_COUNT_OF(call->builders); i++) fr_doc_free(&call->builders[i]);
    fr_batch_free(&call->batch);
    fr_out_free(&call->out);
    fr_arena_free(&call->arena);
}

/* ---- replies ---- */

int fr_http_status(fr_code code)
{
    switch (code) {
    case FR_OK: return 200;
    case FR_ERR_INVALID: return 400;
    case FR_ERR_UNAUTHENTICATED: return 401;
    case FR_ERR_DENIED: return 403;
    case FR_ERR_NOT_FOUND: return 404;
    case FR_ERR_EXISTS: return 409;
    case FR_ERR_TOO_LARGE: return 413;
    case FR_ERR_BUSY: return 429;
    case FR_ERR_UNSUPPORTED: return 501;
    case FR_ERR_BEHIND:
    case FR_ERR_DISK_FULL:
    case FR_ERR_READ_ONLY:
    case FR_ERR_NO_MEMORY:
    case FR_ERR_CLOSED:
    case FR_ERR_TIMEOUT: return 503;
    case FR_ERR_CORRUPT:
    case FR_ERR_IO:
    case FR_ERR_LOCKED:
    case FR_ERR_VERSION:
    case FR_ERR_INTERNAL:
    case FR_CODE_COUNT: break;
    }
    return 500;
}

void fr_http_refuse(fr_http_call *call, int status, const char *code, const char *field, const char *message)
{
    call->status = status;
    call->content_type = "application/json";
    if ((status == 429 || status == 503) && !call->retry_after_s) call->retry_after_s = 1;
    fr_out *out = &call->out;
    fr_out_reset(out);
    fr_out_begin(out, '{');
    fr_out_key(out, "error");
    fr_out_begin(out, '{');
    fr_out_key(out, "code");
    fr_out_cstring(out, code);
    fr_out_key(out, "message");
    fr_out_cstring(out, message);
    fr_out_key(out, "field");
    if (field && *field) fr_out_cstring(out, field);
    else fr_out_null(out);
    fr_out_end(out, '}');
    fr_out_end(out, '}');
    fr_out_raw(out, "\n", 1);
}

/* Text that came from a request may have been cut inside a character: what is not UTF-8 does not go out as such. */
static void utf8_only(char *text)
{
    size_t size = strlen(text);
    if (fr_utf8_valid(text, size)) return;
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] >= 0x80) text[i] = '?';
}

fr_http_next fr_http_fail(fr_http_call *call, const fr_err *err, fr_code code)
{
    fr_err copy = *err;
    utf8_only(copy.text);
    utf8_only(copy.field);
    if (code == FR_ERR_READ_ONLY) call->retry_after_s = 60;
    if (code == FR_ERR_DISK_FULL) call->retry_after_s = 5;
    fr_http_refuse(call, fr_http_status(code), fr_strcode(code), copy.field, copy.text[0] ? copy.text : fr_strcode(code));
    return FR_HTTP_REPLY;
}

fr_http_next fr_http_done(fr_http_call *call, int status)
{
    if (call->out.code == FR_ERR_TOO_LARGE) {
        call->out.code = FR_OK;
        fr_fail(&call->err, FR_ERR_TOO_LARGE, NULL, "the answer is over the limit of %zu bytes: ask for less",
                FR_HTTP_RESPONSE_BYTES_MAX);
        return fr_http_fail(call, &call->err, FR_ERR_TOO_LARGE);
    }
    if (call->out.code != FR_OK) {
        fr_out_free(&call->out);
        fr_fail(&call->err, FR_ERR_NO_MEMORY, NULL, "no memory for the answer");
        return fr_http_fail(call, &call->err, FR_ERR_NO_MEMORY);
    }
    fr_out_raw(&call->out, "\n", 1);
    call->status = status;
    call->content_type = "application/json";
    return FR_HTTP_REPLY;
}

/* ---- bodies and collections ---- */

fr_code fr_http_body_in(fr_http_call *call, fr_http_worker *worker)
{
    const fr_http_route *route = call->route;
    bool vectors = false;
    for (size_t i = 0; i < route->body_count; i++) vectors |= (route->body[i].kinds & FR_IN_VECTORS) != 0;
    fr_doc_builder *rest = &call->builders[0];
    fr_doc_reset(rest);
    fr_code code = fr_json_in_body(worker->dom, call->body, &call->arena, rest, vectors ? &call->vectors : NULL, &call->err);
    fr_json_dom_trim(worker->dom);
    FR_TRY(code);
    fr_span bytes;
    FR_TRY(fr_doc_finish(rest, &bytes));
    call->rest = fr_doc_root(bytes);
    return fr_http_fields_check(route->body, route->body_count, call->rest, &call->err);
}

fr_code fr_http_collection(fr_http_call *call)
{
    fr_id id;
    fr_code code = fr_resolve(call->db, call->params[0], &id);
    if (!call->info) call->info = fr_arena_alloc(&call->arena, sizeof *call->info);
    if (!call->info) return fr_fail(&call->err, FR_ERR_NO_MEMORY, NULL, "no memory for the request");
    if (code == FR_OK) code = fr_collection_get(call->db, id, call->info);
    if (code == FR_ERR_NOT_FOUND)
        return fr_fail(&call->err, code, "collection", "there is no collection or alias \"%.128s\"", call->params[0]);
    if (code != FR_OK) return fr_fail(&call->err, code, "collection", "%s", fr_strcode(code));
    /* An alias may have been switched since the gate asked: what is used is asked for by its own name. */
    return fr_http_may(call, call->route->policy->action, call->info->def.name);
}

const fr_field_def *fr_http_vector_field_at(const fr_collection_info *info, uint32_t at)
{
    for (uint32_t i = 0; i < info->def.field_count; i++)
        if (info->def.fields[i].type >= FR_TYPE_VECTOR_BINARY && at-- == 0) return &info->def.fields[i];
    return NULL;
}

const fr_field_def *fr_http_vector_field_named(const fr_collection_info *info, fr_span name, uint32_t *at_out)
{
    const fr_field_def *field;
    for (*at_out = 0; (field = fr_http_vector_field_at(info, *at_out)) != NULL; ++*at_out)
        if (fr_span_equal(name, fr_span_text(field->name))) break;
    return field;
}

const fr_field_def *fr_http_vector_field(const fr_collection_info *info) { return fr_http_vector_field_at(info, 0); }

fr_json_form fr_http_form(const fr_field_def *field) { return (fr_json_form){field->type, field->metric, field->dimension}; }

uint32_t fr_http_dimension(const fr_collection_info *info)
{
    const fr_field_def *field = fr_http_vector_field(info);
    return field ? field->dimension : info->def.dimension;
}

fr_code fr_http_ids_in(fr_http_call *call, fr_doc ids, fr_event *events, fr_span *keys)
{
    fr_doc_iter iter = fr_doc_begin(ids);
    fr_doc value;
    for (uint32_t i = 0; fr_doc_next(&iter, NULL, &value); i++) {
        char field[24];
        snprintf(field, sizeof field, "ids[%u]", i);
        fr_doc_tag tag = fr_doc_type(value);
        fr_span key = {NULL, 0};
        if (tag == FR_DOC_STRING) {
            key = fr_doc_string(value);
            if (key.size < 1 || key.size > FR_KEY_BYTES_MAX || memchr(key.data, 0, key.size))
                return fr_fail(&call->err, FR_ERR_INVALID, field, "must have 1 to %u bytes without NUL", FR_KEY_BYTES_MAX);
        } else if (tag == FR_DOC_INT) {
            char *text = fr_arena_alloc(&call->arena, 24);
            if (!text) return fr_fail(&call->err, FR_ERR_NO_MEMORY, NULL, "no memory for the ids");
            key = fr_span_of(text, (size_t)snprintf(text, 24, "%lld", (long long)fr_doc_int(value)));
        } else {
            return fr_fail(&call->err, FR_ERR_INVALID, field, "must be a string or an integer of 64 bits");
        }
        if (keys) keys[i] = key;
        if (events)
            events[i] = (fr_event){.key = key, .key_is_int = tag == FR_DOC_INT, .remove = true, .source_time_ms = FR_TIME_NONE};
    }
    return FR_OK;
}

fr_code fr_http_embed(void *user, fr_span text, float *out, fr_err *err)
{
    fr_http_call *call = user;
    return fr_embed(call->db, call->info->id, text, out, err);
}

/* ---- writes and waiting ---- */

static void write_done(fr_write *write)
{
    fr_http_call *call = write->user;
    call->wake(call);
}

/* The caller has filled call->write and set the stage that reads the outcome. After SUBMITTED the call is not ours. */
fr_http_next fr_http_submit(fr_http_call *call)
{
    call->write.done = write_done;
    call->write.user = call;
    fr_err err = {0};
    fr_code code = fr_submit(call->db, &call->write, &err);
    if (code != FR_OK && call->write.kind == FR_WRITE_COLLECTION_CREATE) fr_http_schema_blame(call, &err);
    return code == FR_OK ? FR_HTTP_SUBMITTED : fr_http_fail(call, &err, code);
}

static void wait_done(fr_waiter *waiter)
{
    fr_http_call *call = waiter->user;
    call->wake(call);
}

fr_http_next fr_http_arm(fr_http *door, fr_http_call *call)
{
    (void)door;
    call->waiter.done = wait_done;
    call->waiter.user = call;
    fr_code code = fr_when(call->db, &call->waiter);
    if (code == FR_OK) return FR_HTTP_SUBMITTED;
    fr_fail(&call->err, code, "min_offset", "%s", fr_strcode(code));
    return fr_http_fail(call, &call->err, code);
}

fr_http_next fr_http_expire(fr_http *door, fr_http_call *call)
{
    (void)door;
    call->expired = true;
    if (!fr_when_cancel(call->db, &call->waiter)) return FR_HTTP_SUBMITTED;
    fr_fail(&call->err, FR_ERR_BEHIND, "min_offset", "offset %lld of partition %d is not applied after %lld ms",
            (long long)call->waiter.offset, call->waiter.partition, (long long)call->wait_ms);
    return fr_http_fail(call, &call->err, FR_ERR_BEHIND);
}

/* ---- records out ---- */

void fr_http_offsets_out(fr_http_call *call)
{
    fr_out *out = &call->out;
    fr_out_key(out, "offsets");
    fr_out_begin(out, '{');
    for (uint32_t i = 0; i < call->write.written_count; i++) {
        const fr_written *written = &call->write.written[i];
        char name[16];
        snprintf(name, sizeof name, "%d", written->partition);
        fr_out_key(out, name);
        fr_out_begin(out, '{');
        fr_out_key(out, "first");
        fr_out_int(out, written->first);
        fr_out_key(out, "last");
        fr_out_int(out, written->last);
        fr_out_end(out, '}');
    }
    fr_out_end(out, '}');
}

void fr_http_id_out(fr_out *out, fr_span key, bool is_int)
{
    if (!is_int) {
        fr_out_string(out, key);
        return;
    }
    if (out->size && out->data[out->size - 1] != ':' && out->data[out->size - 1] != '[') fr_out_raw(out, ",", 1);
    fr_out_raw(out, key.data, key.size);
}

static fr_code names_in(fr_doc body, fr_output *out, fr_err *err)
{
    *out = (fr_output){.all = true};
    fr_doc names = fr_http_field(body, "output");
    if (!names.data) return FR_OK;
    *out = (fr_output){.names = names, .none = fr_doc_count(names) == 0};
    if (fr_doc_count(names) > OUTPUT_NAMES_MAX) return fr_fail(err, FR_ERR_INVALID, "output", "names more than %u keys", OUTPUT_NAMES_MAX);
    fr_doc_iter iter = fr_doc_begin(names);
    fr_doc name;
    while (fr_doc_next(&iter, NULL, &name)) {
        if (fr_doc_type(name) != FR_DOC_STRING) return fr_fail(err, FR_ERR_INVALID, "output", "must be an array of strings");
        fr_doc_iter later = iter;
        fr_doc other;
        while (fr_doc_next(&later, NULL, &other))
            if (fr_doc_equal(name, other)) return fr_fail(err, FR_ERR_INVALID, "output", "names a key twice");
        out->all |= fr_span_equal(fr_doc_string(name), fr_span_text("*"));
    }
    return FR_OK;
}

static fr_code wanted_in(fr_http_call *call, fr_wanted *out)
{
    fr_doc given = fr_http_field(call->rest, "with_vectors"), name;
    out->vector = fr_http_field_bool(call->rest, "with_vector", false);
    if (!given.data || fr_doc_type(given) == FR_DOC_FALSE) return FR_OK;
    if (fr_doc_type(given) == FR_DOC_TRUE) out->vector_fields = UINT32_MAX;
    fr_doc_iter iter = fr_doc_begin(given);
    while (fr_doc_type(given) == FR_DOC_ARRAY && fr_doc_next(&iter, NULL, &name)) {
        uint32_t at = 0;
        if (fr_doc_type(name) != FR_DOC_STRING || !fr_http_vector_field_named(call->info, fr_doc_string(name), &at))
            return fr_fail(&call->err, FR_ERR_INVALID, "with_vectors", "names something that is no vector field of the collection");
        out->vector_fields |= 1u << at;
    }
    return FR_OK;
}

fr_code fr_http_output_in(fr_http_call *call, fr_output *out)
{
    FR_TRY(names_in(call->rest, out, &call->err));
    return wanted_in(call, &out->wanted);
}

void fr_http_vector_out(fr_out *out, const fr_field_def *field, fr_span bytes)
{
    const uint8_t *at = bytes.data, *end = at + bytes.size;
    if (field->type == FR_TYPE_VECTOR_BINARY) {
        fr_out_bytes(out, bytes);
        return;
    }
    if (field->type == FR_TYPE_VECTOR_SPARSE) {
        fr_out_pairs(out, bytes);
        return;
    }
    size_t element = fr_vector_bytes(field->type, 1);
    fr_out_begin(out, '[');
    for (; element && (size_t)(end - at) >= element; at += element) { /* a log's bytes are not aligned */
        float number;
        fr_vector_unpack(field->type, at, 1, &number);
        fr_out_float(out, number);
    }
    fr_out_end(out, ']');
}

static void vectors_out(fr_http_call *call, const fr_hit *hit, const fr_wanted *wanted)
{
    const fr_field_def *first = fr_http_vector_field(call->info), *field;
    if (!first) return; /* no collection is without */
    if (hit->vector) {
        fr_out_key(&call->out, "vector");
        fr_out_floats(&call->out, hit->vector, first->dimension);
    } else if (wanted->vector && hit->vectors[0].size != 0) {
        fr_out_key(&call->out, "vector");
        fr_http_vector_out(&call->out, first, hit->vectors[0]);
    }
    if (!wanted->vector_fields) return;
    fr_out_key(&call->out, "vectors");
    fr_out_begin(&call->out, '{');
    for (uint32_t i = 0; (field = fr_http_vector_field_at(call->info, i)) != NULL; i++) {
        if (!(wanted->vector_fields >> i & 1u)) continue;
        fr_out_key_span(&call->out, fr_span_text(field->name));
        if (hit->vectors[i].size == 0) fr_out_null(&call->out);
        else fr_http_vector_out(&call->out, field, hit->vectors[i]);
    }
    fr_out_end(&call->out, '}');
}

void fr_http_metadata_out(fr_out *out, fr_span metadata, const fr_output *output)
{
    fr_doc root = fr_doc_root(metadata);
    if (output->all && root.data) {
        fr_out_doc(out, root);
        return;
    }
    fr_out_begin(out, '{');
    fr_doc_iter iter = fr_doc_begin(output->names);
    fr_doc name;
    while (root.data && fr_doc_next(&iter, NULL, &name)) {
        fr_doc value = fr_doc_get(root, fr_doc_string(name));
        if (!value.data) continue;
        fr_out_key_span(out, fr_doc_string(name));
        fr_out_doc(out, value);
    }
    fr_out_end(out, '}');
}

void fr_http_record_out(fr_http_call *call, const fr_hit *hit, const fr_output *output, bool search)
{
    fr_out *out = &call->out;
    fr_out_begin(out, '{');
    fr_out_key(out, "id");
    fr_http_id_out(out, hit->key, hit->key_is_int);
    if (search) {
        fr_out_key(out, "distance");
        fr_out_float(out, hit->distance);
        fr_out_key(out, "score");
        fr_out_float(out, hit->score + 0.0f); /* no -0 */
    }
    fr_out_key(out, "metadata");
    fr_http_metadata_out(out, hit->metadata, output);
    fr_out_key(out, "offset");
    fr_out_int(out, hit->offset);
    if (call->info->partition_count > 1) {
        fr_out_key(out, "partition");
        fr_out_int(out, hit->partition);
    }
    if (hit->source_time_ms != FR_TIME_NONE) {
        fr_out_key(out, "timestamp");
        fr_out_int(out, hit->source_time_ms);
    }
    if (hit->model_version.size) {
        fr_out_key(out, "model_version");
        fr_out_string(out, hit->model_version);
    }
    vectors_out(call, hit, &output->wanted);
    fr_out_end(out, '}');
}
