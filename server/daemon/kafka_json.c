/* kafka_json.c: a stored record as JSON text: what was produced as JSON comes back in the same form whatever door wrote it. */
#include "server/daemon/kafka_json.h"

#include "api/http/json_in.h"
#include "api/http/json_out.h"

#include <float.h>
#include <pthread.h>

#define KEPT_BYTES (64u << 10) /* a larger value's room is given back */

static void vector_out(fr_out *out, const fr_value *value)
{
    if (value->type == FR_TYPE_VECTOR_BINARY) {
        fr_out_bytes(out, value->bytes);
        return;
    }
    fr_out_begin(out, '[');
    size_t element = fr_vector_bytes((fr_type)value->type, 1);
    for (size_t i = 0; element != 0 && i + element <= value->bytes.size; i += element) {
        float number; /* the record's bytes have no alignment */
        fr_vector_unpack((fr_type)value->type, (const char *)value->bytes.data + i, 1, &number);
        fr_out_float(out, number);
    }
    fr_out_end(out, ']');
}

static const struct fr_json_vector *vector_of(const fr_json_map *names, uint16_t field)
{
    for (uint32_t i = 0; i < names->vector_count; i++)
        if (names->vectors[i].field == field) return &names->vectors[i];
    return NULL;
}

/* The vectors behind the first field's, by name. */
static void vectors_out(fr_out *out, const fr_json_map *names, const fr_event *event)
{
    bool begun = false;
    for (uint32_t i = 0; i < event->value_count; i++) {
        const struct fr_json_vector *vector = vector_of(names, event->values[i].field);
        if (!vector || vector == &names->vectors[0] || vector->type == FR_TYPE_VECTOR_SPARSE) continue;
        if (!begun) {
            fr_out_key(out, "vectors");
            fr_out_begin(out, '{');
        }
        begun = true;
        fr_out_key(out, vector->name);
        vector_out(out, &event->values[i]);
    }
    if (begun) fr_out_end(out, '}');
}

fr_code fr_kafka_json_out(const fr_json_map *names, const fr_record *record, fr_kafka_out *to)
{
    fr_out out = {.limit = FR_REQUEST_BYTES_MAX};
    const fr_event *event = &record->event;
    uint16_t first = names->vector_count ? names->vectors[0].field : FR_FIELD_VECTOR;
    fr_out_begin(&out, '{');
    for (uint32_t i = 0; i < event->value_count; i++) {
        const fr_value *value = &event->values[i];
        if (value->field == first && value->type != FR_TYPE_VECTOR_SPARSE) {
            fr_out_key(&out, names->vector);
            vector_out(&out, value);
        } else if (value->field == FR_FIELD_DYNAMIC) {
            fr_out_key(&out, names->metadata);
            fr_out_doc(&out, fr_doc_root(value->bytes));
        }
    }
    vectors_out(&out, names, event);
    if (event->source_time_ms != FR_TIME_NONE) {
        fr_out_key(&out, names->timestamp);
        fr_out_int(&out, event->source_time_ms);
    }
    if (event->model_version.size) {
        fr_out_key(&out, names->model_version);
        fr_out_string(&out, event->model_version);
    }
    fr_out_end(&out, '}');
    if (out.code == FR_OK) fr_kafka_out_put(to, out.data, out.size);
    fr_code code = out.code != FR_OK ? out.code : to->code;
    fr_out_free(&out);
    return code;
}

/* ---- in ---- */

static fr_code wrong(fr_err *err, const char *field, const char *text) { return fr_fail(err, FR_ERR_INVALID, field, "%s", text); }

static fr_code vector_in(fr_doc value, const char *name, uint16_t field, fr_arena *arena, fr_value *out, fr_err *err)
{
    if (fr_doc_type(value) != FR_DOC_ARRAY) return wrong(err, name, "must be an array of numbers");
    uint32_t count = fr_doc_count(value), at = 0;
    if (count == 0 || count > FR_DIMENSION_MAX) return wrong(err, name, "must have 1 to 32768 numbers");
    float *numbers = fr_arena_alloc(arena, count * sizeof *numbers);
    if (!numbers) return fr_fail(err, FR_ERR_NO_MEMORY, name, "no memory for a vector");
    fr_doc_iter iter = fr_doc_begin(value);
    fr_doc number;
    while (fr_doc_next(&iter, NULL, &number)) {
        fr_doc_tag tag = fr_doc_type(number);
        if (tag != FR_DOC_INT && tag != FR_DOC_FLOAT) return wrong(err, name, "must be an array of numbers");
        double wide = fr_doc_number(number);
        if (!(wide >= -(double)FLT_MAX && wide <= (double)FLT_MAX)) return wrong(err, name, "a number is beyond 32-bit floats");
        numbers[at++] = (float)wide;
    }
    *out = (fr_value){.field = field, .type = FR_TYPE_VECTOR_F32, .bytes = {numbers, count * sizeof *numbers}};
    return FR_OK;
}

/* {"vectors": {name: [..]}}: a field that is null or not named is left out; whether it may be is the schema's. */
static fr_code vectors_in(const fr_json_map *names, fr_doc vectors, fr_arena *arena, fr_event *event, fr_value *values, fr_err *err)
{
    fr_doc_iter iter = fr_doc_begin(vectors);
    fr_doc value;
    fr_span key;
    while (fr_doc_next(&iter, &key, &value)) {
        const struct fr_json_vector *vector = NULL;
        for (uint32_t i = 0; i < names->vector_count && !vector; i++)
            if (fr_span_equal(fr_span_text(names->vectors[i].name), key)) vector = &names->vectors[i];
        if (!vector) return wrong(err, "vectors", "names no vector field of the collection");
        if (fr_doc_type(value) == FR_DOC_NULL) continue;
        if (vector->type == FR_TYPE_VECTOR_SPARSE) return wrong(err, vector->name, "sparse vectors are not read from JSON records");
        for (uint32_t i = 0; i < event->value_count; i++)
            if (values[i].field == vector->field) return wrong(err, vector->name, "is given twice");
        FR_TRY(vector_in(value, vector->name, vector->field, arena, &values[event->value_count++], err));
    }
    return FR_OK;
}

/* taken: the vector, when it was read past the document. */
static fr_code record_in(const fr_json_map *names, const fr_json_vectors *taken, fr_doc record, fr_arena *arena, fr_event *event,
                         fr_value *values, fr_err *err)
{
    fr_doc vector = fr_doc_get(record, fr_span_text(names->vector)), metadata = fr_doc_get(record, fr_span_text(names->metadata));
    fr_doc time = fr_doc_get(record, fr_span_text(names->timestamp)), model = fr_doc_get(record, fr_span_text(names->model_version));
    fr_doc vectors = names->vector_count ? fr_doc_get(record, fr_span_text("vectors")) : (fr_doc){.data = NULL};
    bool given = vector.data || taken->data;
    if (!given && !vectors.data) return wrong(err, names->vector, "is missing");
    if (taken->data && !taken->form.dimension) return wrong(err, names->vector, "must have 1 to 32768 numbers");
    if (given && names->vector_count && names->vectors[0].type == FR_TYPE_VECTOR_SPARSE)
        return wrong(err, names->vector, "sparse vectors are not read from JSON records");
    uint16_t first = names->vector_count ? names->vectors[0].field : FR_FIELD_VECTOR;
    if (vector.data) FR_TRY(vector_in(vector, names->vector, first, arena, &values[event->value_count++], err));
    if (taken->data)
        values[event->value_count++] = (fr_value){.field = first, .type = FR_TYPE_VECTOR_F32, .bytes = {taken->data, taken->form.dimension * sizeof(float)}};
    if (vectors.data && fr_doc_type(vectors) != FR_DOC_OBJECT) return wrong(err, "vectors", "must be an object of arrays by field");
    if (vectors.data) FR_TRY(vectors_in(names, vectors, arena, event, values, err));
    if (metadata.data && fr_doc_type(metadata) != FR_DOC_NULL) {
        if (fr_doc_type(metadata) != FR_DOC_OBJECT) return wrong(err, names->metadata, "must be an object");
        values[event->value_count++] = (fr_value){.field = FR_FIELD_DYNAMIC, .type = FR_TYPE_JSON,
                                                  .bytes = {metadata.data, fr_doc_size(metadata)}};
    }
    if (time.data && fr_doc_type(time) == FR_DOC_INT) event->source_time_ms = fr_doc_int(time);
    else if (time.data && fr_doc_type(time) == FR_DOC_STRING) {
        if (!fr_time_parse(fr_doc_string(time), &event->source_time_ms)) return wrong(err, names->timestamp, "is not an RFC 3339 time");
    } else if (time.data && fr_doc_type(time) != FR_DOC_NULL) return wrong(err, names->timestamp, "must be milliseconds or RFC 3339");
    if (!model.data || fr_doc_type(model) == FR_DOC_NULL) return FR_OK;
    if (fr_doc_type(model) != FR_DOC_STRING || fr_doc_string(model).size > FR_MODEL_VERSION_BYTES_MAX)
        return wrong(err, names->model_version, "must be a string of at most 256 bytes");
    event->model_version = fr_doc_string(model);
    return FR_OK;
}

/* Debezium: {"payload": {"op", "before", "after"}} or without "payload"; a delete has no "after". */
static bool unwrapped(fr_doc *record)
{
    fr_doc payload = fr_doc_get(*record, fr_span_text("payload"));
    if (payload.data && fr_doc_type(payload) == FR_DOC_OBJECT) *record = payload;
    fr_doc op = fr_doc_get(*record, fr_span_text("op")), after = fr_doc_get(*record, fr_span_text("after"));
    bool gone = op.data && fr_doc_type(op) == FR_DOC_STRING && fr_span_equal(fr_doc_string(op), fr_span_text("d"));
    *record = after;
    return gone || !after.data || fr_doc_type(after) == FR_DOC_NULL;
}

/* A parser and its buffers for each thread: a small record costs more to make them than to be read. */
typedef struct room {
    fr_json_dom *dom;
    fr_doc_builder builder;
    fr_arena arena;
} room;

static pthread_key_t room_key;
static pthread_once_t room_once = PTHREAD_ONCE_INIT;

static void room_free(void *user)
{
    room *self = user;
    fr_doc_free(&self->builder);
    fr_arena_free(&self->arena);
    fr_json_dom_free(self->dom);
    fr_free(FR_MEM_DAEMON, self);
}

static void room_key_make(void) { FR_ASSERT(pthread_key_create(&room_key, room_free) == 0); }

static room *room_make(void)
{
    room *self = fr_zalloc(FR_MEM_DAEMON, sizeof *self);
    if (!self) return NULL;
    fr_arena_init(&self->arena, FR_MEM_DAEMON, 0);
    self->dom = fr_json_dom_create();
    if (self->dom && pthread_setspecific(room_key, self) == 0) return self;
    room_free(self);
    return NULL;
}

static fr_code read_in(room *self, const fr_json_map *names, fr_span key, fr_span value, fr_batch *event_out, fr_err *err)
{
    fr_value values[FR_VECTOR_FIELDS_MAX + 1];
    fr_span bytes = {0};
    fr_event event = {.key = key, .source_time_ms = FR_TIME_NONE, .values = values};
    fr_json_body body = {value, value.size};
    /* Numbers straight into floats, unless the record stands in an envelope. */
    fr_json_vectors taken = {.form = {.type = FR_TYPE_VECTOR_F32}, .name = names->vector};
    fr_doc_reset(&self->builder);
    FR_TRY(fr_json_in_body(self->dom, body, &self->arena, &self->builder, names->debezium ? NULL : &taken, err));
    FR_TRY(fr_doc_finish(&self->builder, &bytes));
    fr_doc record = fr_doc_root(bytes);
    event.remove = names->debezium && unwrapped(&record);
    if (!event.remove) FR_TRY(record_in(names, &taken, record, &self->arena, &event, values, err));
    return fr_batch_put(event_out, &event, err);
}

fr_code fr_kafka_json_in(const fr_json_map *names, fr_span key, fr_span value, fr_batch *event_out, fr_err *err)
{
    pthread_once(&room_once, room_key_make);
    room *self = pthread_getspecific(room_key);
    if (!self && !(self = room_make())) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a parser");
    fr_code code = read_in(self, names, key, value, event_out, err);
    fr_arena_reset(&self->arena);
    if (value.size <= KEPT_BYTES) return code;
    fr_doc_free(&self->builder);
    fr_arena_free(&self->arena);
    fr_arena_init(&self->arena, FR_MEM_DAEMON, 0);
    fr_json_dom_trim(self->dom);
    return code;
}
