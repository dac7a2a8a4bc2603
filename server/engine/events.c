/* events.c: the caller's list of events (fr_batch), and the record value binary v1 that it already holds for each of
 * them. One event in a batch, 8-aligned, little endian: 0  u32 size of the whole, a multiple of 8      4  u8 flags   5
 * u8 0   6  u16 key bytes 8  u16 event id bytes   10  u16 0   12  u32 value bytes   16  value, key, event id, zeros The
 * value comes first, with its vectors in front, so that the first vector's floats are aligned (16 + 12). */
#include "server/engine/engine.h"

#include <stdio.h>

#define EVENT_HEAD 16u
#define VALUE_HEAD 5u
#define FIELD_HEAD 7u

static uint8_t *put_field(uint8_t *at, uint16_t field, uint8_t type, fr_span bytes)
{
    fr_store_le16(at, field);
    at[2] = type;
    fr_store_le32(at + 3, (uint32_t)bytes.size);
    if (bytes.size != 0) memcpy(at + FIELD_HEAD, bytes.data, bytes.size);
    return at + FIELD_HEAD + bytes.size;
}

static bool is_vector(const fr_value *value) { return value->type >= FR_TYPE_VECTOR_BINARY; }

static uint8_t *put_value(uint8_t *at, const fr_event *event)
{
    *at = 0x01;
    fr_store_le32(at + 1, FR_SCHEMA_VERSION);
    at += VALUE_HEAD;
    for (int vectors = 1; vectors >= 0; vectors--)
        for (uint32_t i = 0; i < event->value_count; i++)
            if (is_vector(&event->values[i]) == (vectors == 1))
                at = put_field(at, event->values[i].field, event->values[i].type, event->values[i].bytes);
    if (event->source_time_ms != FR_TIME_NONE)
        at = put_field(at, FR_FIELD_SOURCE_TIME, FR_TYPE_INT64, fr_span_of(&event->source_time_ms, 8));
    if (event->model_version.size != 0)
        at = put_field(at, FR_FIELD_MODEL_VERSION, FR_TYPE_VARCHAR, event->model_version);
    if (event->key_is_int) at = put_field(at, FR_FIELD_KEY_IS_INT, FR_TYPE_BOOL, fr_span_of("\1", 1));
    return at;
}

static fr_code measure(const fr_batch *batch, const fr_event *event, size_t *value_size_out, fr_err *err)
{
    char field[32];
    snprintf(field, sizeof field, "records[%u].id", batch->count);
    if (event->key.size == 0 || event->key.size > FR_KEY_BYTES_MAX)
        return fr_fail(err, FR_ERR_INVALID, field, "an id has 1 to %u bytes, got %zu", FR_KEY_BYTES_MAX,
                       event->key.size);
    snprintf(field, sizeof field, "records[%u].event_id", batch->count);
    if (event->event_id.size > FR_EVENT_ID_BYTES_MAX)
        return fr_fail(err, FR_ERR_INVALID, field, "an event_id has at most %u bytes, got %zu", FR_EVENT_ID_BYTES_MAX,
                       event->event_id.size);
    snprintf(field, sizeof field, "records[%u].model_version", batch->count);
    if (event->model_version.size > FR_MODEL_VERSION_BYTES_MAX)
        return fr_fail(err, FR_ERR_INVALID, field, "a model_version has at most %u bytes, got %zu",
                       FR_MODEL_VERSION_BYTES_MAX, event->model_version.size);
    if (event->value_count > FR_FIELDS_MAX)
        return fr_fail(err, FR_ERR_INVALID, "records", "a record has at most %u fields, got %u", FR_FIELDS_MAX,
                       event->value_count);
    if (batch->count >= FR_RECORDS_MAX)
        return fr_fail(err, FR_ERR_TOO_LARGE, "records", "a request has at most %u records", FR_RECORDS_MAX);
    size_t size = 0;
    if (!event->remove) {
        size = VALUE_HEAD;
        for (uint32_t i = 0; i < event->value_count; i++) {
            if (event->values[i].bytes.size > FR_REQUEST_BYTES_MAX)
                return fr_fail(err, FR_ERR_TOO_LARGE, "records", "a request has at most %u bytes",
                               FR_REQUEST_BYTES_MAX);
            size += FIELD_HEAD + event->values[i].bytes.size;
        }
        if (event->source_time_ms != FR_TIME_NONE) size += FIELD_HEAD + 8;
        if (event->model_version.size != 0) size += FIELD_HEAD + event->model_version.size;
        if (event->key_is_int) size += FIELD_HEAD + 1;
    }
    *value_size_out = size;
    return FR_OK;
}

static fr_code make_room(fr_batch *batch, size_t size, fr_err *err)
{
    if (size > FR_REQUEST_BYTES_MAX || batch->size + size > FR_REQUEST_BYTES_MAX)
        return fr_fail(err, FR_ERR_TOO_LARGE, "records", "a request has at most %u bytes", FR_REQUEST_BYTES_MAX);
    if (batch->size + size <= batch->capacity) return FR_OK;
    size_t capacity = FR_MAX(FR_MAX(batch->capacity * 2, batch->size + size), (size_t)4096);
    uint8_t *grown = fr_realloc(FR_MEM_ENGINE, batch->data, capacity);
    if (grown == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a batch of %zu bytes", capacity);
    batch->data = grown;
    batch->capacity = capacity;
    return FR_OK;
}

/* value.data NULL: as put_value makes it of the event. */
static fr_code put_event(fr_batch *batch, const fr_event *event, fr_span value, fr_err *err)
{
    size_t size = (EVENT_HEAD + value.size + event->key.size + event->event_id.size + 7) & ~(size_t)7;
    FR_TRY(make_room(batch, size, err));
    uint8_t *at = batch->data + batch->size, *end = at + size;
    memset(at, 0, EVENT_HEAD);
    fr_store_le32(at, (uint32_t)size);
    at[4] = (uint8_t)((event->remove ? FR_EVENT_REMOVE : 0) | (event->key_is_int ? FR_EVENT_KEY_IS_INT : 0) |
                      (event->partial && !event->remove ? FR_EVENT_PARTIAL : 0));
    fr_store_le16(at + 6, (uint16_t)event->key.size);
    fr_store_le16(at + 8, (uint16_t)event->event_id.size);
    fr_store_le32(at + 12, (uint32_t)value.size);
    at += EVENT_HEAD;
    if (!event->remove && value.data == NULL) at = put_value(at, event);
    else if (value.data != NULL) at = (uint8_t *)memcpy(at, value.data, value.size) + value.size;
    memcpy(at, event->key.data, event->key.size);
    at += event->key.size;
    if (event->event_id.size != 0) memcpy(at, event->event_id.data, event->event_id.size);
    at += event->event_id.size;
    memset(at, 0, (size_t)(end - at));
    batch->size += size;
    batch->count++;
    return FR_OK;
}

fr_code fr_batch_put(fr_batch *batch, const fr_event *event, fr_err *err)
{
    fr_span value = {0};
    FR_TRY(measure(batch, event, &value.size, err));
    return put_event(batch, event, value, err);
}

fr_code fr_engine_batch_put_value(fr_batch *batch, fr_span key, fr_span value, fr_err *err)
{
    fr_event event = {.key = key, .remove = value.data == NULL};
    if (key.size == 0 || key.size > FR_KEY_BYTES_MAX) return fr_fail(err, FR_ERR_INVALID, "id", "a record without a usable key");
    return put_event(batch, &event, value, err);
}

fr_code fr_engine_batch_copy(fr_batch *batch, const fr_batch *from, size_t start, size_t end, fr_err *err)
{
    FR_TRY(make_room(batch, end - start, err));
    memcpy(batch->data + batch->size, from->data + start, end - start);
    batch->size += end - start;
    batch->count++;
    return FR_OK;
}

void fr_batch_reset(fr_batch *batch)
{
    batch->size = 0;
    batch->count = 0;
}

void fr_batch_free(fr_batch *batch)
{
    fr_free(FR_MEM_ENGINE, batch->data);
    *batch = (fr_batch){0};
}

bool fr_engine_event_next(const fr_batch *batch, size_t *at_io, fr_stored_event *event_out)
{
    if (batch->size - *at_io < EVENT_HEAD) return false;
    const uint8_t *at = batch->data + *at_io;
    size_t size = fr_load_le32(at), key_size = fr_load_le16(at + 6), id_size = fr_load_le16(at + 8),
           value_size = fr_load_le32(at + 12);
    if (size > batch->size - *at_io || EVENT_HEAD + value_size + key_size + id_size > size) return false;
    bool removes = at[4] & FR_EVENT_REMOVE;
    *event_out = (fr_stored_event){
        .flags = at[4],
        .value = fr_span_of(removes ? NULL : at + EVENT_HEAD, value_size),
        .key = fr_span_of(at + EVENT_HEAD + value_size, key_size),
        .event_id = fr_span_of(at + EVENT_HEAD + value_size + key_size, id_size),
    };
    *at_io += size;
    return true;
}

/* ==== the record value ==== */

static fr_code take_own(fr_decoded *out, uint16_t field, uint8_t type, fr_span bytes, fr_err *err)
{
    switch (field) {
    case FR_FIELD_SOURCE_TIME:
        if (type != FR_TYPE_INT64 || bytes.size != 8) break;
        out->source_time_ms = (int64_t)fr_load_le64(bytes.data);
        return FR_OK;
    case FR_FIELD_MODEL_VERSION:
        if (type != FR_TYPE_VARCHAR || bytes.size > FR_MODEL_VERSION_BYTES_MAX) break;
        out->model_version = bytes;
        return FR_OK;
    case FR_FIELD_KEY_IS_INT:
        if (type != FR_TYPE_BOOL || bytes.size != 1) break;
        out->key_is_int = *(const uint8_t *)bytes.data != 0;
        return FR_OK;
    case FR_FIELD_ATTRIBUTES: out->attributes = bytes; return FR_OK; /* of catalog records */
    default: return FR_OK; /* a later version's own field: it means nothing to us */
    }
    return fr_fail(err, FR_ERR_INVALID, "value", "field %u of a record has a wrong type or size", field);
}

static fr_code take_vector(fr_decoded *out, uint16_t field, uint8_t type, fr_span bytes, fr_err *err)
{
    for (uint32_t i = 0; i < out->vector_count; i++)
        if (out->vectors[i].field == field) return fr_fail(err, FR_ERR_INVALID, "value", "vector field %u stands twice", field);
    if (out->vector_count == FR_VECTOR_FIELDS_MAX)
        return fr_fail(err, FR_ERR_INVALID, "value", "a record has at most %u vectors", FR_VECTOR_FIELDS_MAX);
    out->vectors[out->vector_count++] = (fr_value){field, type, bytes};
    return FR_OK;
}

bool fr_decoded_vector(const fr_decoded *decoded, uint16_t field, fr_type *type_out, fr_span *bytes_out)
{
    for (uint32_t i = 0; i < decoded->vector_count; i++)
        if (decoded->vectors[i].field == field && decoded->vectors[i].bytes.size != 0) {
            *type_out = (fr_type)decoded->vectors[i].type;
            *bytes_out = decoded->vectors[i].bytes;
            return true;
        }
    return false; /* not given, or null */
}

fr_code fr_engine_decode(fr_span value, fr_decoded *out, fr_value *values, fr_err *err)
{
    const uint8_t *at = value.data;
    *out = (fr_decoded){.source_time_ms = FR_TIME_NONE};
    if (value.size != 0 && at[0] == '{')
        return fr_fail(err, FR_ERR_UNSUPPORTED, "value", "JSON record values are not read yet");
    if (value.size < VALUE_HEAD || at[0] != 0x01)
        return fr_fail(err, FR_ERR_INVALID, "value", "not a record value of format 1");
    const uint8_t *end = at + value.size;
    out->schema_version = fr_load_le32(at + 1);
    at += VALUE_HEAD;
    uint32_t fields = 0;
    while (at < end) {
        if (end - at < (ptrdiff_t)FIELD_HEAD || ++fields > FR_FIELDS_MAX + 8)
            return fr_fail(err, FR_ERR_INVALID, "value", "a record value is cut short");
        uint16_t field = fr_load_le16(at);
        uint8_t type = at[2];
        fr_span bytes = fr_span_of(at + FIELD_HEAD, fr_load_le32(at + 3));
        if (bytes.size > (size_t)(end - at) - FIELD_HEAD)
            return fr_fail(err, FR_ERR_INVALID, "value", "a record value is cut short");
        at += FIELD_HEAD + bytes.size;
        if (field > FR_FIELD_DYNAMIC) {
            FR_TRY(take_own(out, field, type, bytes, err));
            continue;
        }
        if (out->value_count == FR_FIELDS_MAX)
            return fr_fail(err, FR_ERR_INVALID, "value", "more than %u fields", FR_FIELDS_MAX);
        if (values != NULL) values[out->value_count] = (fr_value){field, type, bytes};
        out->value_count++;
        if (type >= FR_TYPE_VECTOR_BINARY && field < FR_FIELD_DYNAMIC) {
            FR_TRY(take_vector(out, field, type, bytes, err));
        } else if (field == FR_FIELD_DYNAMIC) {
            if (out->metadata.data != NULL) return fr_fail(err, FR_ERR_INVALID, "value", "the metadata stand twice");
            out->metadata = bytes;
            out->metadata_type = type;
        } else {
            return fr_fail(err, FR_ERR_INVALID, "value", "the collection has no field %u", field);
        }
    }
    return FR_OK;
}
