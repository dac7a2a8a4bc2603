/* json_in.c: request bodies: values of simdjson's document to binary documents, vectors and events. */
#include "api/http/json_in.h"

#include <stdio.h>

/* Levels around a record's metadata: body, records, record. */
#define BODY_DEPTH_MAX (FR_DOC_DEPTH_MAX + 8u)
#define ID_TEXT_BYTES 24u

/* ---- parsing ---- */

static fr_code parse(fr_json_dom *dom, fr_json_body body, fr_arena *arena, fr_json_value *root_out, fr_err *err)
{
    if (!body.text.size) return fr_fail(err, FR_ERR_INVALID, "body", "the body is empty: a JSON object is expected");
    if (body.text.size > FR_REQUEST_BYTES_MAX)
        return fr_fail(err, FR_ERR_TOO_LARGE, "body", "the body has %zu bytes, the limit is %u", body.text.size,
                       FR_REQUEST_BYTES_MAX);
    const void *text = body.text.data;
    if (body.readable < body.text.size + FR_JSON_PADDING) {
        uint8_t *copy = fr_arena_alloc(arena, body.text.size + FR_JSON_PADDING);
        if (!copy) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a body of %zu bytes", body.text.size);
        memcpy(copy, text, body.text.size);
        memset(copy + body.text.size, 0, FR_JSON_PADDING);
        text = copy;
    }
    const char *message = "";
    switch (fr_json_parse(dom, text, body.text.size, BODY_DEPTH_MAX, root_out, &message)) {
    case FR_JSON_FINE: break;
    case FR_JSON_TOO_DEEP:
        return fr_fail(err, FR_ERR_INVALID, "body", "the JSON nests deeper than %u levels", BODY_DEPTH_MAX);
    case FR_JSON_NO_MEMORY: return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory to parse the body");
    case FR_JSON_BAD: return fr_fail(err, FR_ERR_INVALID, "body", "not valid JSON: %s", message);
    }
    if (fr_json_type_of(*root_out) != FR_JSON_OBJECT)
        return fr_fail(err, FR_ERR_INVALID, "body", "the body must be a JSON object");
    return FR_OK;
}

/* ---- any value to a document ---- */

/* Depth is bounded by the parser's limit. Problems that only we see (64 bits) fail with `field`; the builder's are sticky. */
static fr_code put_value(fr_doc_builder *to, fr_json_value value, const char *field, fr_err *err)
{
    size_t size;
    fr_json_type type = fr_json_type_of(value);
    switch (type) {
    case FR_JSON_NULL: fr_doc_put_null(to); return FR_OK;
    case FR_JSON_BOOL: fr_doc_put_bool(to, fr_json_bool(value)); return FR_OK;
    case FR_JSON_INT: fr_doc_put_int(to, fr_json_int(value)); return FR_OK;
    case FR_JSON_UINT:
        return fr_fail(err, FR_ERR_INVALID, field, "the integer %llu is beyond 64 bits with sign",
                       (unsigned long long)fr_json_uint(value));
    case FR_JSON_DOUBLE: fr_doc_put_float(to, fr_json_number(value)); return FR_OK;
    case FR_JSON_STRING: {
        const char *text = fr_json_string(value, &size);
        fr_doc_put_string(to, text, size);
        return FR_OK;
    }
    case FR_JSON_ARRAY:
    case FR_JSON_OBJECT: break;
    }
    bool object = type == FR_JSON_OBJECT;
    if (object) fr_doc_begin_object(to);
    else fr_doc_begin_array(to);
    fr_json_iter iter = fr_json_begin(value);
    const char *key;
    fr_json_value inner;
    while (fr_json_next(&iter, &key, &size, &inner)) {
        if (object) fr_doc_put_key(to, key, size);
        FR_TRY(put_value(to, inner, field, err));
        if (to->code != FR_OK) break;
    }
    if (object) fr_doc_end_object(to);
    else fr_doc_end_array(to);
    return FR_OK;
}

static fr_code builder_code(const fr_doc_builder *b, const char *field, fr_err *err)
{
    if (b->code == FR_OK) return FR_OK;
    if (b->code == FR_ERR_NO_MEMORY) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for the body");
    return fr_fail(err, b->code, field, "an object has a key twice or a key over 65,535 bytes, or nests deeper than %u levels",
                   FR_DOC_DEPTH_MAX);
}

static bool key_is(const char *key, size_t size, const char *name)
{
    return strlen(name) == size && memcmp(key, name, size) == 0;
}

/* ---- vectors ---- */

static uint32_t first_dimension(fr_json_value value)
{
    size_t bad;
    bool number;
    int64_t count = fr_json_floats(value, NULL, 0, &bad, &number);
    return count < 0 ? 0 : (uint32_t)FR_MIN(count, (int64_t)FR_DIMENSION_MAX + 1);
}

static fr_code vectors_room(fr_json_vectors *to, uint32_t count, fr_json_value first, const char *field, fr_arena *arena,
                            fr_err *err)
{
    fr_json_form *form = &to->form;
    bool binary = form->type == FR_TYPE_VECTOR_BINARY, sparse = form->type == FR_TYPE_VECTOR_SPARSE;
    if (to->data) return fr_fail(err, FR_ERR_INVALID, field, "give one of vector and vectors, once");
    if (!form->dimension && !sparse) form->dimension = first_dimension(first);
    if (form->dimension > FR_DIMENSION_MAX && !binary)
        return fr_fail(err, FR_ERR_INVALID, field, "the dimension's limit is %u", FR_DIMENSION_MAX);
    to->count = count;
    size_t numbers = binary ? form->dimension : sparse ? 1 : (size_t)count * form->dimension; /* binary: of one, on the way */
    to->data = fr_arena_alloc(arena, FR_MAX((size_t)1, numbers) * sizeof *to->data);
    if (to->data && (binary || sparse)) to->bytes = fr_arena_alloc(arena, count * sizeof *to->bytes);
    uint8_t *bits = to->bytes && binary ? fr_arena_alloc(arena, (size_t)count * (form->dimension / 8)) : NULL;
    if (!to->data || ((binary || sparse) && !to->bytes) || (binary && !bits))
        return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for %u vectors", count);
    for (uint32_t i = 0; i < count && binary; i++)
        to->bytes[i] = fr_span_of(bits + (size_t)i * (form->dimension / 8), form->dimension / 8);
    return FR_OK;
}

static fr_code one_vector_in(fr_json_value value, fr_json_vectors *to, uint32_t i, const char *field, fr_arena *arena, fr_err *err)
{
    const fr_json_form *form = &to->form;
    if (form->type == FR_TYPE_VECTOR_SPARSE) {
        fr_json_room room = {.arena = arena}; /* each keeps its own */
        return fr_json_sparse_in(value, form->metric, &room, &to->bytes[i], field, err);
    }
    if (form->type == FR_TYPE_VECTOR_BINARY)
        return fr_json_bits_in(value, form->dimension, (uint8_t *)(uintptr_t)to->bytes[i].data, to->data, field, err);
    return fr_json_dense_in(value, form, to->data + (size_t)i * form->dimension, field, err);
}

static fr_code vectors_in(fr_json_value value, bool many, fr_json_vectors *to, fr_arena *arena, fr_err *err)
{
    if (!many) {
        const char *name = to->name ? to->name : "vector";
        FR_TRY(vectors_room(to, 1, value, name, arena, err));
        return one_vector_in(value, to, 0, name, arena, err);
    }
    if (fr_json_type_of(value) != FR_JSON_ARRAY) return fr_fail(err, FR_ERR_INVALID, "vectors", "must be an array of vectors");
    uint32_t count = fr_json_elements(value);
    if (count < 1 || count > FR_QUERIES_MAX)
        return fr_fail(err, FR_ERR_INVALID, "vectors", "has %u vectors, a search takes 1 to %u", count, FR_QUERIES_MAX);
    fr_json_iter iter = fr_json_begin(value);
    const char *key;
    size_t size;
    fr_json_value item;
    for (uint32_t i = 0; fr_json_next(&iter, &key, &size, &item); i++) {
        if (i == 0) FR_TRY(vectors_room(to, count, item, "vectors", arena, err));
        char field[32];
        snprintf(field, sizeof field, "vectors[%u]", i);
        FR_TRY(one_vector_in(item, to, i, field, arena, err));
    }
    to->many = true;
    return FR_OK;
}

/* What "vector" is depends on "field", wherever it stands. */
static fr_code pick_field(fr_json_value root, fr_json_vectors *vectors, fr_err *err)
{
    fr_json_iter iter = fr_json_begin(root);
    const char *key;
    size_t size;
    fr_json_value value;
    while (fr_json_next(&iter, &key, &size, &value)) {
        if (!key_is(key, size, "field") || fr_json_type_of(value) != FR_JSON_STRING) continue; /* another type: refused by the table */
        const char *name = fr_json_string(value, &size);
        FR_TRY(vectors->pick(vectors->user, fr_span_of(name, size), &vectors->form, err));
    }
    return FR_OK;
}

static bool is_vector_key(const fr_json_vectors *vectors, const char *key, size_t size)
{
    return vectors->name ? key_is(key, size, vectors->name) : key_is(key, size, "vector") || key_is(key, size, "vectors");
}

fr_code fr_json_in_body(fr_json_dom *dom, fr_json_body body, fr_arena *arena, fr_doc_builder *rest, fr_json_vectors *vectors,
                        fr_err *err)
{
    fr_json_value root, value;
    FR_TRY(parse(dom, body, arena, &root, err));
    if (vectors && vectors->pick) FR_TRY(pick_field(root, vectors, err));
    fr_json_iter iter = fr_json_begin(root);
    const char *key;
    size_t size;
    fr_doc_begin_object(rest);
    while (fr_json_next(&iter, &key, &size, &value)) {
        if (vectors && is_vector_key(vectors, key, size)) {
            FR_TRY(vectors_in(value, !vectors->name && size == 7, vectors, arena, err));
            continue;
        }
        char field[40];
        snprintf(field, sizeof field, "%.*s", (int)FR_MIN(size, sizeof field - 1), key);
        fr_doc_put_key(rest, key, size);
        FR_TRY(put_value(rest, value, field, err));
    }
    fr_doc_end_object(rest);
    return builder_code(rest, "body", err);
}

/* ---- records ---- */

/* What one upsert works with. */
typedef struct intake {
    const fr_json_schema *schema;
    fr_doc_builder *metadata, *merged;
    fr_json_room rooms[FR_VECTOR_FIELDS_MAX];
    fr_batch *batch;
    uint32_t at; /* index of the record */
    fr_err *err;
} intake;

enum { SEEN_ID = 1, SEEN_VECTOR = 2, SEEN_TEXT = 4, SEEN_METADATA = 8, SEEN_EVENT_ID = 16, SEEN_TIMESTAMP = 32, SEEN_MODEL = 64, SEEN_VECTORS = 128 };

/* A record while its keys come in. */
typedef struct incoming {
    unsigned seen;
    char id_text[ID_TEXT_BYTES];
    fr_event event;
    fr_span text, metadata;
    unsigned given; /* bit i: vectors[i] */
    fr_span vectors[FR_VECTOR_FIELDS_MAX];
} incoming;

static fr_code record_fail(intake *in, const char *name, const char *why)
{
    char field[sizeof in->err->field];
    snprintf(field, sizeof field, "records[%u]%s%s", in->at, name[0] ? "." : "", name);
    return fr_fail(in->err, FR_ERR_INVALID, field, "%s", why);
}

static fr_code id_in(intake *in, incoming *record, fr_json_value value)
{
    fr_json_type type = fr_json_type_of(value);
    if (type == FR_JSON_INT) {
        if (in->schema->id_type == FR_ID_STRING) return record_fail(in, "id", "must be a string: the collection's id_type is string");
        int size = snprintf(record->id_text, sizeof record->id_text, "%lld", (long long)fr_json_int(value));
        record->event.key = fr_span_of(record->id_text, (size_t)size);
        record->event.key_is_int = true;
        return FR_OK;
    }
    if (type != FR_JSON_STRING) return record_fail(in, "id", "must be a string or an integer of 64 bits");
    if (in->schema->id_type == FR_ID_INT64) return record_fail(in, "id", "must be an integer: the collection's id_type is int64");
    size_t size;
    const char *text = fr_json_string(value, &size);
    if (size < 1 || size > FR_KEY_BYTES_MAX) return record_fail(in, "id", "must have 1 to 512 bytes");
    if (memchr(text, 0, size)) return record_fail(in, "id", "must not contain NUL");
    record->event.key = fr_span_of(text, size);
    return FR_OK;
}

static fr_code short_text_in(intake *in, fr_json_value value, const char *name, size_t bytes_max, fr_span *out)
{
    size_t size = 0;
    const char *text = fr_json_type_of(value) == FR_JSON_STRING ? fr_json_string(value, &size) : NULL;
    if (!text || size < 1 || size > bytes_max) return record_fail(in, name, "must be a string of 1 to 256 bytes");
    *out = fr_span_of(text, size);
    return FR_OK;
}

static fr_code timestamp_in(intake *in, incoming *record, fr_json_value value)
{
    if (fr_json_type_of(value) == FR_JSON_INT) {
        record->event.source_time_ms = fr_json_int(value);
        if (record->event.source_time_ms != FR_TIME_NONE) return FR_OK;
    } else if (fr_json_type_of(value) == FR_JSON_STRING) {
        size_t size;
        const char *text = fr_json_string(value, &size);
        if (fr_time_parse(fr_span_of(text, size), &record->event.source_time_ms)) return FR_OK;
    }
    return record_fail(in, "timestamp", "must be milliseconds since 1970 or RFC 3339 text (2026-01-31T12:00:00Z)");
}

static fr_code metadata_in(intake *in, incoming *record, fr_json_value value)
{
    if (fr_json_type_of(value) != FR_JSON_OBJECT) return record_fail(in, "metadata", "must be an object");
    char field[48];
    snprintf(field, sizeof field, "records[%u].metadata", in->at);
    fr_doc_reset(in->metadata);
    FR_TRY(put_value(in->metadata, value, field, in->err));
    FR_TRY(builder_code(in->metadata, field, in->err));
    FR_TRY(fr_doc_finish(in->metadata, &record->metadata));
    return FR_OK;
}

/* field: of the error. Null is a field without a vector, where that is allowed. */
static fr_code field_in(intake *in, incoming *record, uint32_t at, fr_json_value value, const char *field)
{
    const fr_json_field *def = &in->schema->fields[at];
    if (record->given & 1u << at) return fr_fail(in->err, FR_ERR_INVALID, field, "the vector of field \"%s\" is given twice", def->name);
    record->given |= 1u << at;
    if (fr_json_type_of(value) == FR_JSON_NULL && def->nullable) return FR_OK;
    return fr_json_vector_in(value, &def->form, &in->rooms[at], &record->vectors[at], field, in->err);
}

static fr_code fields_in(intake *in, incoming *record, fr_json_value value)
{
    const char *key;
    size_t size;
    fr_json_value inner;
    char field[sizeof in->err->field];
    if (fr_json_type_of(value) != FR_JSON_OBJECT) return record_fail(in, "vectors", "must be an object: {field: vector}");
    fr_json_iter iter = fr_json_begin(value);
    while (fr_json_next(&iter, &key, &size, &inner)) {
        uint32_t at = 0;
        while (at < in->schema->field_count && !key_is(key, size, in->schema->fields[at].name)) at++;
        snprintf(field, sizeof field, "records[%u].vectors.%.*s", in->at, (int)FR_MIN(size, (size_t)32), key);
        if (at == in->schema->field_count) return fr_fail(in->err, FR_ERR_INVALID, field, "is no vector field of the collection");
        FR_TRY(field_in(in, record, at, inner, field));
    }
    return FR_OK;
}

static fr_code record_key_in(intake *in, incoming *record, const char *key, size_t size, fr_json_value value)
{
    static const struct { const char *name; unsigned bit; } names[] = {
        {"id", SEEN_ID}, {"vector", SEEN_VECTOR}, {"vectors", SEEN_VECTORS}, {"text", SEEN_TEXT}, {"metadata", SEEN_METADATA},
        {"event_id", SEEN_EVENT_ID}, {"timestamp", SEEN_TIMESTAMP}, {"model_version", SEEN_MODEL}};
    unsigned bit = 0;
    for (size_t i = 0; i < FR_COUNT_OF(names) && !bit; i++)
        if (key_is(key, size, names[i].name)) bit = names[i].bit;
    char name[40];
    snprintf(name, sizeof name, "%.*s", (int)FR_MIN(size, sizeof name - 1), key);
    if (!bit)
        return record_fail(in, name, "is not a key of a record (id, vector, vectors, text, metadata, event_id, timestamp, model_version)");
    if (record->seen & bit) return record_fail(in, name, "is given twice");
    if (fr_json_type_of(value) == FR_JSON_NULL && bit != SEEN_ID && bit != SEEN_VECTOR) return FR_OK; /* as if absent */
    record->seen |= bit;
    char field[48];
    switch (bit) {
    case SEEN_ID: return id_in(in, record, value);
    case SEEN_VECTOR:
        snprintf(field, sizeof field, "records[%u].vector", in->at);
        return field_in(in, record, 0, value, field);
    case SEEN_VECTORS: return fields_in(in, record, value);
    case SEEN_TEXT: {
        if (fr_json_type_of(value) != FR_JSON_STRING) return record_fail(in, "text", "must be a string");
        size_t text_size;
        const char *text = fr_json_string(value, &text_size);
        record->text = fr_span_of(text, text_size);
        return FR_OK;
    }
    case SEEN_METADATA: return metadata_in(in, record, value);
    case SEEN_EVENT_ID: return short_text_in(in, value, "event_id", FR_EVENT_ID_BYTES_MAX, &record->event.event_id);
    case SEEN_MODEL: return short_text_in(in, value, "model_version", FR_MODEL_VERSION_BYTES_MAX, &record->event.model_version);
    default: return timestamp_in(in, record, value);
    }
}

/* The text becomes the vector, and the metadata's `text`. */
static fr_code text_in(intake *in, incoming *record)
{
    if (!in->schema->embed)
        return record_fail(in, "text", "this collection has no embedder: give a vector, or create it with \"embedder\"");
    if (record->given & 1) return record_fail(in, "text", "give one of vector and text");
    fr_doc old = fr_doc_root(record->metadata), value;
    if (fr_doc_get(old, fr_span_text("text")).data) return record_fail(in, "metadata.text", "is taken by the record's text");
    fr_doc_builder *to = in->merged;
    fr_doc_reset(to);
    fr_doc_begin_object(to);
    fr_doc_iter iter = fr_doc_begin(old);
    fr_span key;
    while (fr_doc_next(&iter, &key, &value)) {
        fr_doc_put_key(to, key.data, key.size);
        fr_doc_put_value(to, value);
    }
    fr_doc_put_key(to, "text", 4);
    fr_doc_put_string(to, record->text.data, record->text.size);
    fr_doc_end_object(to);
    FR_TRY(builder_code(to, "records", in->err));
    FR_TRY(fr_doc_finish(to, &record->metadata));
    if (record->metadata.size > FR_METADATA_BYTES_MAX) return FR_OK; /* refused by the caller, before the work */
    fr_code code = in->schema->embed(in->schema->embed_user, record->text, in->rooms[0].numbers, in->err);
    if (code != FR_OK && in->err && !in->err->field[0])
        snprintf(in->err->field, sizeof in->err->field, "records[%u].text", in->at);
    FR_TRY(code);
    record->given |= 1;
    return fr_json_numbers_pack(&in->schema->fields[0].form, &in->rooms[0], &record->vectors[0], "text", in->err);
}

static fr_code missing(intake *in, uint32_t at)
{
    char name[44];
    if (at == 0) return record_fail(in, "vector", in->schema->embed ? "is missing: give vector or text" : "is missing");
    snprintf(name, sizeof name, "vectors.%.32s", in->schema->fields[at].name);
    return record_fail(in, name, "is missing: the collection has this vector field, and it cannot be null");
}

static fr_code record_in(intake *in, fr_json_value value)
{
    if (fr_json_type_of(value) != FR_JSON_OBJECT) return record_fail(in, "", "must be an object");
    incoming record = {.event = {.source_time_ms = FR_TIME_NONE}};
    fr_json_iter iter = fr_json_begin(value);
    const char *key;
    size_t size;
    fr_json_value inner;
    while (fr_json_next(&iter, &key, &size, &inner)) FR_TRY(record_key_in(in, &record, key, size, inner));
    if (!(record.seen & SEEN_ID)) return record_fail(in, "id", "is missing");
    if (record.seen & SEEN_TEXT) FR_TRY(text_in(in, &record));
    if (record.metadata.size > FR_METADATA_BYTES_MAX)
        return record_fail(in, "metadata", "is larger than 65,536 bytes in binary form");
    fr_value values[FR_VECTOR_FIELDS_MAX + 1];
    uint32_t count = 0;
    for (uint32_t i = 0; i < in->schema->field_count; i++) {
        const fr_json_field *def = &in->schema->fields[i];
        bool there = record.vectors[i].size != 0; /* a sparse vector without numbers is none */
        if (!there && !def->nullable) return missing(in, i);
        if (there) values[count++] = (fr_value){.field = def->id, .type = (uint8_t)def->form.type, .bytes = record.vectors[i]};
    }
    if (record.metadata.size) values[count++] = (fr_value){.field = FR_FIELD_DYNAMIC, .type = FR_TYPE_JSON, .bytes = record.metadata};
    record.event.values = values;
    record.event.value_count = count;
    return fr_batch_put(in->batch, &record.event, in->err);
}

static fr_code records_in(intake *in, fr_json_value value)
{
    if (fr_json_type_of(value) != FR_JSON_ARRAY) return fr_fail(in->err, FR_ERR_INVALID, "records", "must be an array");
    uint32_t count = fr_json_elements(value);
    if (count < 1 || count > FR_RECORDS_MAX)
        return fr_fail(in->err, FR_ERR_INVALID, "records", "has %u records, a request takes 1 to %u", count, FR_RECORDS_MAX);
    fr_json_iter iter = fr_json_begin(value);
    const char *key;
    size_t size;
    fr_json_value item;
    for (in->at = 0; fr_json_next(&iter, &key, &size, &item); in->at++) FR_TRY(record_in(in, item));
    return FR_OK;
}

fr_code fr_json_in_upsert(fr_json_dom *dom, fr_json_body body, const fr_json_schema *schema, fr_arena *arena, fr_doc_builder *rest,
                          fr_doc_builder *scratch, fr_batch *batch, fr_err *err)
{
    fr_err spare;
    if (!err) err = &spare;
    fr_json_value root, value;
    FR_TRY(parse(dom, body, arena, &root, err));
    intake in = {.schema = schema, .metadata = &scratch[0], .merged = &scratch[1], .batch = batch, .err = err};
    for (uint32_t i = 0; i < schema->field_count; i++) {
        fr_json_room *room = &in.rooms[i];
        room->arena = arena;
        if (schema->fields[i].form.type == FR_TYPE_VECTOR_SPARSE) continue;
        room->numbers = fr_arena_alloc(arena, (size_t)schema->fields[i].form.dimension * sizeof(float));
        room->packed = fr_arena_alloc(arena, (size_t)schema->fields[i].form.dimension * sizeof(float));
        if (!room->numbers || !room->packed) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a vector");
    }
    bool given = false;
    fr_json_iter iter = fr_json_begin(root);
    const char *key;
    size_t size;
    fr_doc_begin_object(rest);
    while (fr_json_next(&iter, &key, &size, &value)) {
        if (key_is(key, size, "records")) {
            if (given) return fr_fail(err, FR_ERR_INVALID, "records", "is given twice");
            given = true;
            FR_TRY(records_in(&in, value));
            continue;
        }
        char field[40];
        snprintf(field, sizeof field, "%.*s", (int)FR_MIN(size, sizeof field - 1), key);
        fr_doc_put_key(rest, key, size);
        FR_TRY(put_value(rest, value, field, err));
    }
    fr_doc_end_object(rest);
    if (!given) return fr_fail(err, FR_ERR_INVALID, "records", "is missing");
    return builder_code(rest, "body", err);
}
