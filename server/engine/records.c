/* records.c: the log as the doors see it: whole batches (fr_read), and their records decoded (fr_records_*). */
#include "server/engine/engine.h"

static fr_code log_of(fr_db *db, fr_id id, int32_t partition, fr_collection **out, fr_err *err)
{
    fr_collection *c = fr_engine_topic_ref(db, id);
    if (c == NULL) return fr_fail(err, FR_ERR_NOT_FOUND, "collection", "there is no such collection");
    if (partition < 0 || (uint32_t)partition >= c->shard_count) {
        fr_engine_unref(c);
        return fr_fail(err, FR_ERR_INVALID, "partition", "there is no partition %d", partition);
    }
    *out = c;
    return FR_OK;
}

fr_code fr_read(fr_db *db, fr_id id, int32_t partition, fr_offset from, uint32_t bytes_max, fr_view *view_out,
                fr_err *err)
{
    fr_collection *c = NULL;
    *view_out = (fr_view){.first = from, .next = from};
    FR_TRY(log_of(db, id, partition, &c, err));
    fr_log *log = fr_shard_log(&c->shards[partition]);
    fr_offset start = log != NULL ? fr_log_start(log) : 0, end = log != NULL ? fr_log_durable(log) : 0;
    fr_code code = FR_OK;
    if (from < start || from > end)
        code = fr_fail(err, FR_ERR_INVALID, "offset", "offset %lld is out of range: %lld to %lld", (long long)from,
                       (long long)start, (long long)end);
    else if (log != NULL && from < end) code = fr_log_read(log, from, -1, bytes_max, view_out, err);
    fr_engine_unref(c);
    return code;
}

fr_code fr_seek(fr_db *db, fr_id id, int32_t partition, int64_t timestamp_ms, fr_offset *offset_out, fr_err *err)
{
    fr_collection *c = NULL;
    *offset_out = 0;
    FR_TRY(log_of(db, id, partition, &c, err));
    fr_log *log = fr_shard_log(&c->shards[partition]);
    fr_code code = log != NULL ? fr_log_seek(log, timestamp_ms, offset_out, err) : FR_OK;
    fr_engine_unref(c);
    return code;
}

struct fr_record_iter {
    const uint8_t *data;
    size_t size, at;
    fr_batch_reader *reader;
    bool inside;
};

fr_code fr_records_begin(const fr_view *view, fr_record_iter **out)
{
    *out = fr_zalloc(FR_MEM_ENGINE, sizeof **out);
    if (*out == NULL) return FR_ERR_NO_MEMORY;
    (*out)->data = view->data;
    (*out)->size = view->size;
    return FR_OK;
}

void fr_engine_record(const fr_log_record *from, fr_record *out)
{
    *out = (fr_record){.offset = from->offset, .timestamp_ms = from->timestamp_ms};
    out->event = (fr_event){
        .key = from->key, .remove = from->value.data == NULL, .source_time_ms = FR_TIME_NONE, .values = out->values};
    for (uint32_t i = 0; i < from->header_count; i++) {
        if (fr_span_equal(from->headers[i].key, fr_span_text(FR_HEADER_EVENT_ID)))
            out->event.event_id = from->headers[i].value;
        if (fr_span_equal(from->headers[i].key, fr_span_text(FR_HEADER_KEY_IS_INT))) out->event.key_is_int = true;
    }
    fr_decoded decoded;
    if (out->event.remove || fr_engine_decode(from->value, &decoded, out->values, NULL) != FR_OK) return;
    out->event.value_count = decoded.value_count;
    out->event.key_is_int = decoded.key_is_int;
    out->event.source_time_ms = decoded.source_time_ms;
    out->event.model_version = decoded.model_version;
}

bool fr_records_next(fr_record_iter *iter, fr_record *record_out)
{
    for (;;) {
        fr_log_record record;
        if (iter->inside && fr_batch_reader_next(iter->reader, &record)) {
            fr_engine_record(&record, record_out);
            return true;
        }
        iter->inside = false;
        fr_batch_header header;
        size_t size;
        if (iter->at >= iter->size ||
            fr_batch_check(iter->data + iter->at, iter->size - iter->at, &header, &size, NULL) != FR_OK ||
            fr_batch_reader_open(iter->data + iter->at, size, &iter->reader, NULL) != FR_OK)
            return false;
        iter->at += size;
        iter->inside = true;
    }
}

void fr_records_end(fr_record_iter *iter)
{
    if (iter == NULL) return;
    fr_batch_reader_close(iter->reader);
    fr_free(FR_MEM_ENGINE, iter);
}

void fr_scanned_decode(const fr_scanned *from, fr_record *out)
{
    fr_log_record record = {.offset = from->offset,
                            .timestamp_ms = from->timestamp_ms,
                            .key = from->key,
                            .value = from->value,
                            .headers = (const fr_log_header *)from->headers,
                            .header_count = from->header_count};
    fr_engine_record(&record, out);
}
