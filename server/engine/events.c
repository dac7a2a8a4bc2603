/* events.c: the caller's list of events (fr_batch), and the record value binary v1 that it already holds for each of
 * them. One event in a batch, 8-aligned, little endian: 0  u32 size of the whole, a multiple of 8      4  u8 flags   5
 * u8 0   6  u16 key bytes 8  u16 event id bytes   10  u16 0   12  u32 value bytes   16  value, key, event id, zeros The
 * value comes first, with its vectors in front, so that the first vector's floats are aligned (16 + 12). */
#include "server/engine/engine.h"

#include "simd/simd.h"

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

fr_code fr_batch_put(fr_batch *batch, const fr_event *event, fr_err *err)
{
    size_t value_size = 0;
    FR_TRY(measure(batch, event, &value_size, err));
    size_t size = (EVENT_HEAD + value_size + event->key.size + event->event_id.size + 7) & ~(size_t)7;
    if (size > FR_REQUEST_BYTES_MAX || batch->size + size > FR_REQUEST_BYTES_MAX)
        return fr_fail(err, FR_ERR_TOO_LARGE, "records", "a request has at most %u bytes", FR_REQUEST_BYTES_MAX);
    if (batch->size + size > batch->capacity) {
        size_t capacity = FR_MAX(FR_MAX(batch->capacity * 2, batch->size + size), (size_t)4096);
        uint8_t *grown = fr_realloc(FR_MEM_ENGINE, batch->data, capacity);
        if (grown == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a batch of %zu bytes", capacity);
        batch->data = grown;
        batch->capacity = capacity;
    }
    uint8_t *at = batch->data + batch->size, *end = at + size;
    memset(at, 0, EVENT_HEAD);
    fr_store_le32(at, (uint32_t)size);
    at[4] = (uint8_t)((event->remove ? FR_EVENT_REMOVE : 0) | (event->key_is_int ? FR_EVENT_KEY_IS_INT : 0));
    fr_store_le16(at + 6, (uint16_t)event->key.size);
    fr_store_le16(at + 8, (uint16_t)event->event_id.size);
    fr_store_le32(at + 12, (uint32_t)value_size);
    at += EVENT_HEAD;
    if (!event->remove) at = put_value(at, event);
    memcpy(at, event->key.data, event->key.size);
    at += event->key.size;
    if (event->event_id.size != 0) memcpy(at, event->event_id.data, event->event_id.size);
    at += event->event_id.size;
    memset(at, 0, (size_t)(end - at));
    batch->size += size;
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
    default: return FR_OK; /* a later version's own field: it means nothing to us */
    }
    return fr_fail(err, FR_ERR_INVALID, "value", "field %u of a record has a wrong type or size", field);
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
        if (field == FR_FIELD_VECTOR) {
            if (out->vector.data != NULL) return fr_fail(err, FR_ERR_INVALID, "value", "the vector stands twice");
            out->vector = bytes;
            out->vector_type = type;
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

static bool canonical_int(fr_span key)
{
    const char *at = key.data;
    size_t size = key.size;
    bool minus = size > 0 && at[0] == '-';
    if (minus) at++, size--;
    if (size == 0 || size > 19) return false;
    if (at[0] == '0') return size == 1 && !minus;
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        if (at[i] < '0' || at[i] > '9') return false;
        value = value * 10 + (uint64_t)(at[i] - '0'); /* 19 digits fit in 64 bits */
    }
    return value <= (uint64_t)INT64_MAX + (minus ? 1 : 0);
}

fr_code fr_engine_judge_key(const fr_collection_def *def, fr_span key, bool key_is_int, uint32_t index, fr_err *err)
{
    const char *wrong = NULL;
    if (key.size == 0 || key.size > FR_KEY_BYTES_MAX) wrong = "an id has 1 to 512 bytes";
    else if (!fr_utf8_valid(key.data, key.size)) wrong = "an id must be valid UTF-8";
    else if (key_is_int && !canonical_int(key)) wrong = "an integer id must be a 64-bit integer in canonical decimal";
    else if (def->id_type == FR_ID_STRING && key_is_int) wrong = "the collection's ids are strings";
    else if (def->id_type == FR_ID_INT64 && !canonical_int(key)) wrong = "the collection's ids are 64-bit integers";
    if (wrong == NULL) return FR_OK;
    char field[48];
    snprintf(field, sizeof field, "records[%u].id", index);
    return fr_fail(err, FR_ERR_INVALID, field, "%s", wrong);
}

/* Of a binary field: its bytes, or numbers that say them. */
static fr_code judge_bits(const fr_field_def *def, fr_type type, fr_span bytes, const char *field, fr_err *err)
{
    uint8_t packed[FR_DIMENSION_BITS_MAX / 8];
    if (type == FR_TYPE_VECTOR_F32 && bytes.size % 4 == 0 && bytes.size / 4 <= FR_DIMENSION_BITS_MAX)
        return fr_vector_pack_bits(bytes.data, (uint32_t)(bytes.size / 4), def->dimension, packed, field, err);
    if (bytes.size == def->dimension / 8) return FR_OK;
    return fr_fail(err, FR_ERR_INVALID, field, "the vector has %zu bytes, %u bits are %u", bytes.size, def->dimension, def->dimension / 8);
}

static fr_code judge_vector(const fr_field_def *def, fr_type type, fr_span bytes, const char *field, fr_err *err)
{
    if (def->type == FR_TYPE_VECTOR_BINARY) return judge_bits(def, type, bytes, field, err);
    if (bytes.size != fr_vector_bytes(type, def->dimension))
        return fr_fail(err, FR_ERR_INVALID, field, "the vector has %zu dimensions, the collection %u",
                       bytes.size / fr_vector_bytes(type, 1), def->dimension);
    const uint8_t *vector = bytes.data;
    float piece[256], packed[256];
    double norm_squared = 0;
    for (uint32_t at = 0; at < def->dimension; at += FR_COUNT_OF(piece)) { /* by pieces: the bytes may not be aligned */
        uint32_t count = (uint32_t)FR_MIN(def->dimension - at, FR_COUNT_OF(piece));
        const float *from = piece;
        if (type == FR_TYPE_VECTOR_F32 && ((uintptr_t)vector & 3u) == 0) from = (const float *)bytes.data + at;
        else fr_vector_unpack(type, vector + fr_vector_bytes(type, at), count, piece);
        if (!fr_simd_all_finite(from, count))
            return fr_fail(err, FR_ERR_INVALID, field, "the vector holds NaN or a number beyond its type");
        if (type != def->type) { /* the zero test is of what is kept */
            FR_TRY(fr_vector_pack(def->type, from, count, packed, field, err));
            fr_vector_unpack(def->type, packed, count, piece);
            from = piece;
        }
        norm_squared += fr_simd_norm_squared(from, count);
    }
    if (norm_squared > FR_NORM_SQUARED_MAX)
        return fr_fail(err, FR_ERR_INVALID, field, "the vector's squared length is above %g", FR_NORM_SQUARED_MAX);
    if (def->metric == FR_METRIC_COSINE && norm_squared < 1e-30)
        return fr_fail(err, FR_ERR_INVALID, field, "a zero vector has no direction: not possible under cosine");
    return FR_OK;
}

fr_code fr_engine_judge(const fr_collection *collection, const fr_decoded *decoded, uint32_t index, fr_err *err)
{
    char field[48];
    snprintf(field, sizeof field, "records[%u].vector", index);
    if (decoded->schema_version != FR_SCHEMA_VERSION)
        return fr_fail(err, FR_ERR_INVALID, "records", "schema version %u is not known", decoded->schema_version);
    if (decoded->vector.data == NULL) return fr_fail(err, FR_ERR_INVALID, field, "a record needs a vector");
    if (decoded->vector_type != FR_TYPE_VECTOR_F32 && decoded->vector_type != (uint8_t)collection->vector->type)
        return fr_fail(err, FR_ERR_INVALID, field, "the collection's vectors are of type %u (or %u, 32-bit floats), got type %u",
                       (unsigned)collection->vector->type, FR_TYPE_VECTOR_F32, decoded->vector_type);
    FR_TRY(judge_vector(collection->vector, (fr_type)decoded->vector_type, decoded->vector, field, err));
    if (decoded->metadata.data == NULL || decoded->metadata.size == 0) return FR_OK;
    snprintf(field, sizeof field, "records[%u].metadata", index);
    if (decoded->metadata.size > FR_METADATA_BYTES_MAX)
        return fr_fail(err, FR_ERR_INVALID, field, "metadata has at most %u bytes, got %zu", FR_METADATA_BYTES_MAX,
                       decoded->metadata.size);
    fr_err inner = {0};
    if (decoded->metadata_type != FR_TYPE_JSON || fr_doc_check(decoded->metadata, &inner) != FR_OK)
        return fr_fail(err, FR_ERR_INVALID, field, "metadata is not a valid document: %s", inner.text);
    if (fr_doc_type(fr_doc_root(decoded->metadata)) != FR_DOC_OBJECT)
        return fr_fail(err, FR_ERR_INVALID, field, "metadata must be a JSON object");
    return FR_OK;
}
