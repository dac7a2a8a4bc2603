/* call_read.c: get, count, scroll and the log as JSON. */
#include "api/base64.h"
#include "api/http/http_private.h"

#include <stdio.h>

#define LOOP_IDS_MAX 64u
#define PAGE_BYTES (FR_HTTP_RESPONSE_BYTES_MAX / 4 * 3) /* a page ends early rather than being refused as too large */
#define LOG_READ_BYTES (1u << 20)
#define CURSOR_BYTES_MAX 1024u

static fr_http_next no_memory(fr_http_call *call)
{
    fr_fail(&call->err, FR_ERR_NO_MEMORY, NULL, "no memory for the answer");
    return fr_http_fail(call, &call->err, FR_ERR_NO_MEMORY);
}

/* ---- get ---- */

fr_http_next fr_http_on_get(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door;
    if (call->stage == 0) {
        fr_code code = fr_http_collection(call);
        if (code == FR_OK) code = fr_http_body_in(call, worker);
        if (code != FR_OK) return fr_http_fail(call, &call->err, code);
        call->stage = 1;
    }
    fr_output output;
    fr_doc ids = fr_http_field(call->rest, "ids");
    uint32_t count = fr_doc_count(ids), found = 0;
    if (worker->loop && (!worker->searcher || count > LOOP_IDS_MAX)) return FR_HTTP_SEARCHER;
    fr_code code = fr_http_output_in(call, &output);
    if (code == FR_OK && (count < 1 || count > FR_RECORDS_MAX))
        code = fr_fail(&call->err, FR_ERR_INVALID, "ids", "has %u ids, a request takes 1 to %u", count, FR_RECORDS_MAX);
    if (code != FR_OK) return fr_http_fail(call, &call->err, code);
    fr_span *keys = fr_arena_alloc(&call->arena, count * sizeof *keys);
    fr_hit *hits = fr_arena_alloc(&call->arena, count * sizeof *hits);
    if (!keys || !hits) return no_memory(call);
    code = fr_http_ids_in(call, ids, NULL, keys);
    if (code == FR_OK)
        code = fr_get(worker->searcher, call->info->id, keys, count, &output.wanted,
                      hits, &found, &call->err);
    if (code != FR_OK) return fr_http_fail(call, &call->err, code);
    fr_out_begin(&call->out, '{');
    fr_out_key(&call->out, "records");
    fr_out_begin(&call->out, '[');
    for (uint32_t i = 0; i < found; i++) fr_http_record_out(call, &hits[i], &output, false);
    fr_out_end(&call->out, ']');
    fr_out_end(&call->out, '}');
    return fr_http_done(call, 200);
}

/* ---- count ---- */

fr_http_next fr_http_on_count(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door;
    fr_code code = FR_OK;
    if (call->stage == 0) {
        code = fr_http_collection(call);
        if (code == FR_OK && call->body.text.size) code = fr_http_body_in(call, worker); /* no body: everything */
        if (code != FR_OK) return fr_http_fail(call, &call->err, code);
        call->stage = 1;
    }
    const char *filter;
    code = fr_http_field_text(call, call->rest, "filter", FR_FILTER_BYTES_MAX, &filter, &call->err);
    if (code == FR_OK && worker->loop && (!worker->searcher || (filter && *filter))) return FR_HTTP_SEARCHER;
    uint64_t count = 0;
    if (code == FR_OK) code = fr_count(worker->searcher, call->info->id, &(fr_condition){filter, fr_http_field_params(call->rest)}, &count, &call->err);
    if (code != FR_OK) return fr_http_fail(call, &call->err, code);
    fr_out_begin(&call->out, '{');
    fr_out_key(&call->out, "count");
    fr_out_uint(&call->out, count);
    fr_out_end(&call->out, '}');
    return fr_http_done(call, 200);
}

/* ---- scroll ---- */

/* A cursor is the last key of the page, in base64url, so that it is opaque and survives any transport. */
static void cursor_out(fr_out *out, fr_span key)
{
    char text[CURSOR_BYTES_MAX];
    fr_out_string(out, fr_span_of(text, fr_base64_url_encode(key, text)));
}

static fr_code scroll_after(fr_http_call *call, fr_span *after)
{
    fr_doc cursor = fr_http_field(call->rest, "cursor");
    *after = fr_span_of(NULL, 0);
    if (!cursor.data || !fr_doc_string(cursor).size) return FR_OK;
    uint8_t *key = fr_arena_alloc(&call->arena, CURSOR_BYTES_MAX);
    if (!key) return fr_fail(&call->err, FR_ERR_NO_MEMORY, NULL, "no memory for the cursor");
    int64_t size = fr_base64_decode(fr_doc_string(cursor), key, FR_KEY_BYTES_MAX);
    if (size < 0 || size > (int64_t)FR_KEY_BYTES_MAX)
        return fr_fail(&call->err, FR_ERR_INVALID, "cursor", "is not one that an answer gave");
    *after = fr_span_of(key, (size_t)size);
    return FR_OK;
}

fr_http_next fr_http_on_scroll(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door;
    if (worker->loop) return FR_HTTP_SEARCHER;
    fr_output output;
    fr_span after;
    const char *filter = NULL;
    fr_code code = fr_http_collection(call);
    if (code == FR_OK && call->body.text.size) code = fr_http_body_in(call, worker);
    if (code == FR_OK) code = fr_http_output_in(call, &output);
    if (code == FR_OK) code = fr_http_field_text(call, call->rest, "filter", FR_FILTER_BYTES_MAX, &filter, &call->err);
    if (code == FR_OK) code = scroll_after(call, &after);
    if (code != FR_OK) return fr_http_fail(call, &call->err, code);
    uint32_t limit = (uint32_t)fr_http_field_int(call->rest, "limit", 100), count = 0, written = 0;
    fr_hit *hits = fr_arena_alloc(&call->arena, limit * sizeof *hits);
    if (!hits) return no_memory(call);
    code = fr_scroll(worker->searcher, call->info->id, &(fr_condition){filter, fr_http_field_params(call->rest)}, after, limit,
                     &output.wanted, hits, &count, &call->err);
    if (code != FR_OK) return fr_http_fail(call, &call->err, code);
    fr_out *out = &call->out;
    fr_out_begin(out, '{');
    fr_out_key(out, "records");
    fr_out_begin(out, '[');
    while (written < count && (!written || out->size < PAGE_BYTES)) fr_http_record_out(call, &hits[written++], &output, false);
    fr_out_end(out, ']');
    fr_out_key(out, "cursor");
    if (written && (written < count || count == limit)) cursor_out(out, hits[written - 1].key);
    else fr_out_null(out);
    fr_out_end(out, '}');
    return fr_http_done(call, 200);
}

/* ---- log ---- */

/* Values of a record's vector fields: the first as "vector", others in "vectors", as a record is given. */
static void log_vectors_out(fr_out *out, const fr_collection_info *info, const fr_event *event)
{
    const fr_field_def *field;
    bool opened = false;
    for (uint32_t f = 0; (field = fr_http_vector_field_at(info, f)) != NULL; f++)
        for (uint32_t i = 0; i < event->value_count; i++) {
            const fr_value *value = &event->values[i];
            fr_field_def as = {.type = (fr_type)value->type}; /* numbers may stand for the field's own type */
            if (value->field != field->id || value->bytes.size == 0) continue;
            if (f != 0 && !opened) {
                fr_out_key(out, "vectors");
                fr_out_begin(out, '{');
                opened = true;
            }
            fr_out_key_span(out, f == 0 ? fr_span_text("vector") : fr_span_text(field->name));
            fr_http_vector_out(out, &as, value->bytes);
        }
    if (opened) fr_out_end(out, '}');
}

static void log_values_out(fr_out *out, const fr_collection_info *info, const fr_event *event)
{
    log_vectors_out(out, info, event);
    for (uint32_t i = 0; i < event->value_count; i++) {
        if (event->values[i].field != FR_FIELD_DYNAMIC || event->values[i].type != FR_TYPE_JSON) continue;
        fr_out_key(out, "metadata");
        fr_out_doc(out, fr_doc_root(event->values[i].bytes));
    }
}

static void log_record_out(fr_out *out, const fr_collection_info *info, const fr_record *record)
{
    const fr_event *event = &record->event;
    fr_out_begin(out, '{');
    fr_out_key(out, "offset");
    fr_out_int(out, record->offset);
    fr_out_key(out, "timestamp");
    fr_out_int(out, record->timestamp_ms);
    fr_out_key(out, "key");
    fr_http_id_out(out, event->key, event->key_is_int);
    fr_out_key(out, "op");
    fr_out_cstring(out, event->remove ? "delete" : "upsert");
    if (!event->remove) log_values_out(out, info, event);
    if (event->source_time_ms != FR_TIME_NONE && !event->remove) {
        fr_out_key(out, "source_timestamp");
        fr_out_int(out, event->source_time_ms);
    }
    if (event->event_id.size) {
        fr_out_key(out, "event_id");
        fr_out_string(out, event->event_id);
    }
    if (event->model_version.size) {
        fr_out_key(out, "model_version");
        fr_out_string(out, event->model_version);
    }
    fr_out_end(out, '}');
}

typedef struct log_reading {
    int32_t partition;
    fr_offset next; /* where to read on */
    uint32_t left;
} log_reading;

/* Records of one view; false: the page is full. */
static bool view_out(fr_http_call *call, const fr_view *view, log_reading *reading)
{
    fr_record_iter *iter;
    if (fr_records_begin(view, &iter) != FR_OK) return false;
    fr_record *record = fr_arena_alloc(&call->arena, sizeof *record);
    bool room = record != NULL;
    while (room && fr_records_next(iter, record)) {
        if (record->offset < reading->next) continue;
        log_record_out(&call->out, call->info, record);
        reading->next = record->offset + 1;
        room = --reading->left > 0 && call->out.size < PAGE_BYTES;
    }
    fr_records_end(iter);
    if (room) reading->next = FR_MAX(reading->next, view->next);
    return room;
}

static fr_code log_read(fr_http_call *call, log_reading *reading, fr_offset end)
{
    while (reading->next < end && reading->left) {
        fr_view view;
        FR_TRY(fr_read(call->db, call->info->id, reading->partition, reading->next, LOG_READ_BYTES, &view, &call->err));
        fr_offset before = reading->next;
        bool room = view.size > 0 && view_out(call, &view, reading);
        fr_view_release(&view);
        if (!room || reading->next <= before) break;
    }
    return FR_OK;
}

static fr_code log_start(fr_http_call *call, fr_doc query, log_reading *reading)
{
    fr_doc offset = fr_http_field(query, "offset"), timestamp = fr_http_field(query, "timestamp");
    const struct fr_partition_info *p = &call->info->partitions[reading->partition];
    if (offset.data && timestamp.data) return fr_fail(&call->err, FR_ERR_INVALID, "timestamp", "give one of offset and timestamp");
    reading->next = p->start;
    if (offset.data) {
        reading->next = fr_doc_int(offset);
        if (reading->next < p->start || reading->next > p->end)
            return fr_fail(&call->err, FR_ERR_INVALID, "offset", "is %lld, the log has %lld to %lld", (long long)reading->next,
                           (long long)p->start, (long long)p->end);
    }
    if (!timestamp.data) return FR_OK;
    int64_t ms = 0;
    if (fr_doc_type(timestamp) == FR_DOC_INT) ms = fr_doc_int(timestamp);
    else if (!fr_time_parse(fr_doc_string(timestamp), &ms))
        return fr_fail(&call->err, FR_ERR_INVALID, "timestamp", "must be milliseconds since 1970 or RFC 3339 text");
    return fr_seek(call->db, call->info->id, reading->partition, ms, &reading->next, &call->err);
}

fr_http_next fr_http_on_log(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door;
    if (worker->loop) return FR_HTTP_WORKER;
    fr_doc query;
    fr_code code = fr_http_collection(call);
    if (code == FR_OK) code = fr_http_query_in(call, call->route->query, call->route->query_count, &query, &call->err);
    if (code != FR_OK) return fr_http_fail(call, &call->err, code);
    log_reading reading = {.partition = (int32_t)fr_http_field_int(query, "partition", 0),
                           .left = (uint32_t)fr_http_field_int(query, "limit", 100)};
    if (reading.partition >= (int32_t)call->info->partition_count)
        code = fr_fail(&call->err, FR_ERR_INVALID, "partition", "is %d, the collection has %u", reading.partition,
                       call->info->partition_count);
    if (code == FR_OK) code = log_start(call, query, &reading);
    if (code != FR_OK) return fr_http_fail(call, &call->err, code);
    fr_offset end = call->info->partitions[reading.partition].durable + 1;
    fr_out *out = &call->out;
    fr_out_begin(out, '{');
    fr_out_key(out, "partition");
    fr_out_int(out, reading.partition);
    fr_out_key(out, "records");
    fr_out_begin(out, '[');
    code = log_read(call, &reading, end);
    if (code != FR_OK) return fr_http_fail(call, &call->err, code);
    fr_out_end(out, ']');
    fr_out_key(out, "next");
    fr_out_int(out, reading.next);
    fr_out_key(out, "end");
    fr_out_int(out, end);
    fr_out_end(out, '}');
    return fr_http_done(call, 200);
}
