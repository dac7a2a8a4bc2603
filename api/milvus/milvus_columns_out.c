/* milvus_columns_out.c: rows to the columns of an answer. Scalars have a value for every row, also for null ones; vectors only for those
 * that are not null; valid_data says which, and is left out where none is null. */
#include "api/milvus/milvus_entities.h"

#include <stdlib.h>

/* ==== which columns ==== */

static bool add_field(fr_milvus_output *out, const fr_milvus_field *field)
{
    for (uint32_t i = 0; i < out->field_count; i++)
        if (out->fields[i] == field) return false;
    out->fields[out->field_count++] = field;
    if (field->vector >= 0) out->vector_fields |= 1u << field->vector;
    return true;
}

static bool refuse(fr_milvus_call *call, const char *format, const char *name)
{
    char *words = fr_milvus_text(call, format, name);
    fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "%.400s", words ? words : "no memory");
    return false;
}

static void add_name(fr_milvus_output *out, char *name)
{
    for (size_t i = 0; i < out->name_count; i++)
        if (strcmp(out->names[i], name) == 0) return;
    out->names[out->name_count++] = name;
}

/* "key", "$meta[\"key\"]": what the client picks out of the $meta column. False: not a dynamic key. */
static bool resolve_one(fr_milvus_call *call, const fr_milvus_schema *schema, char *name, fr_milvus_output *out)
{
    static char meta[] = "$meta";
    if (strcmp(name, "*") == 0 || strcmp(name, "%") == 0) {
        bool vectors = strcmp(name, "*") == 0;
        for (uint32_t i = 0; i < schema->field_count; i++) {
            const fr_milvus_field *field = &schema->fields[i];
            if (field->function_output || (field->vector >= 0 && !vectors)) continue;
            add_field(out, field);
            add_name(out, (char *)(uintptr_t)field->name);
        }
        if (schema->dynamic) {
            out->meta = true;
            add_name(out, meta);
        }
        return true;
    }
    const fr_milvus_field *field = fr_milvus_field_of(schema, name);
    if (field && field->function_output) return refuse(call, "not allowed to retrieve raw data of field %.200s: invalid parameter", name);
    if (field) {
        add_field(out, field);
        add_name(out, name);
        return true;
    }
    if (!schema->dynamic) return refuse(call, "field %.200s not exist: invalid parameter", name);
    out->meta = true;
    add_name(out, name);
    return true;
}

bool fr_milvus_output_resolve(fr_milvus_call *call, const fr_milvus_schema *schema, char *const *wanted, size_t count, bool with_key,
                              fr_milvus_output *out)
{
    *out = (fr_milvus_output){.schema = schema};
    out->fields = fr_milvus_alloc(call, (schema->field_count + 1) * sizeof *out->fields);
    out->names = fr_milvus_alloc(call, (count + schema->field_count + 2) * sizeof *out->names);
    if (!out->fields || !out->names) {
        fr_milvus_fail(call, MILVUS_MEMORY, "no memory for the answer");
        return false;
    }
    if (with_key) {
        add_field(out, &schema->fields[schema->primary]);
        add_name(out, (char *)(uintptr_t)schema->fields[schema->primary].name);
    }
    for (size_t i = 0; i < count; i++) {
        if (strcasecmp(wanted[i], "count(*)") == 0) out->count = true;
        else if (!resolve_one(call, schema, wanted[i], out)) return false;
    }
    if (!out->count || count == 1) return true;
    return refuse(call, "count entities with other fields is not allowed%.10s: invalid parameter", "");
}

/* ==== values ==== */

int64_t fr_milvus_key_int(fr_span key)
{
    char digits[24] = {0};
    memcpy(digits, key.data, FR_MIN(key.size, sizeof digits - 1));
    return strtoll(digits, NULL, 10);
}

typedef struct filling {
    fr_milvus_call *call;
    const fr_milvus_field *field;
    fr_milvus_json_text text; /* JSON of one row, again and again */
    bool failed;
} filling;

static void *take(filling *f, size_t size)
{
    void *memory = fr_milvus_alloc(f->call, size);
    f->failed = f->failed || !memory;
    return memory;
}

static bool wanted_tag(int32_t type, fr_doc value)
{
    fr_doc_tag tag = value.data ? fr_doc_type(value) : FR_DOC_NULL;
    switch (type) {
    case FR_TYPE_BOOL: return tag == FR_DOC_TRUE || tag == FR_DOC_FALSE;
    case FR_TYPE_FLOAT:
    case FR_TYPE_DOUBLE: return tag == FR_DOC_INT || tag == FR_DOC_FLOAT;
    case FR_TYPE_VARCHAR: return tag == FR_DOC_STRING;
    case FR_TYPE_ARRAY: return tag == FR_DOC_ARRAY;
    case FR_TYPE_JSON: return tag != FR_DOC_NULL;
    default: return tag == FR_DOC_INT;
    }
}

static ProtobufCBinaryData json_bytes(filling *f, fr_doc value)
{
    f->text.arena = &f->call->arena;
    f->text.size = 0;
    fr_milvus_json_value(&f->text, value);
    void *copy = f->text.failed ? NULL : fr_arena_copy(&f->call->arena, f->text.data, f->text.size);
    f->failed = f->failed || !copy;
    return (ProtobufCBinaryData){copy ? f->text.size : 0, copy};
}

static Milvus__ScalarField *array_field(filling *f, fr_doc list);

/* Makes the array of the type's case with room for `count`. */
static Milvus__ScalarField *scalar_room(filling *f, int32_t type, size_t count)
{
    Milvus__ScalarField *s = fr_milvus_message(&f->call->arena, &milvus__scalar_field__descriptor);
    f->failed = f->failed || !s;
    if (!s) return NULL;
#define ROOM(number, member, descriptor_of)                                                                  \
    s->data_case = number;                                                                                   \
    s->member = fr_milvus_message(&f->call->arena, &milvus__##descriptor_of##__descriptor);                  \
    if (s->member) s->member->data = take(f, count * sizeof *s->member->data), s->member->n_data = count;    \
    f->failed = f->failed || !s->member;                                                                     \
    break
    switch (type) {
    case FR_TYPE_BOOL: ROOM(MILVUS__SCALAR_FIELD__DATA_BOOL_DATA, bool_data, bool_array);
    case FR_TYPE_INT8:
    case FR_TYPE_INT16:
    case FR_TYPE_INT32: ROOM(MILVUS__SCALAR_FIELD__DATA_INT_DATA, int_data, int_array);
    case FR_TYPE_FLOAT: ROOM(MILVUS__SCALAR_FIELD__DATA_FLOAT_DATA, float_data, float_array);
    case FR_TYPE_DOUBLE: ROOM(MILVUS__SCALAR_FIELD__DATA_DOUBLE_DATA, double_data, double_array);
    case FR_TYPE_VARCHAR: ROOM(MILVUS__SCALAR_FIELD__DATA_STRING_DATA, string_data, string_array);
    case FR_TYPE_ARRAY: ROOM(MILVUS__SCALAR_FIELD__DATA_ARRAY_DATA, array_data, array_array);
    case FR_TYPE_JSON: ROOM(MILVUS__SCALAR_FIELD__DATA_JSON_DATA, json_data, jsonarray);
    default: ROOM(MILVUS__SCALAR_FIELD__DATA_LONG_DATA, long_data, long_array);
    }
#undef ROOM
    return f->failed ? NULL : s;
}

/* value: of the type, or absent: what a null leaves in a dense column. */
static void scalar_set(filling *f, Milvus__ScalarField *s, int32_t type, size_t at, fr_doc value)
{
    bool null = !value.data;
    fr_span text = {"", 0};
    switch (type) {
    case FR_TYPE_BOOL: s->bool_data->data[at] = !null && fr_doc_type(value) == FR_DOC_TRUE; return;
    case FR_TYPE_INT8:
    case FR_TYPE_INT16:
    case FR_TYPE_INT32: s->int_data->data[at] = null ? 0 : (int32_t)fr_doc_int(value); return;
    case FR_TYPE_FLOAT: s->float_data->data[at] = null ? 0 : (float)fr_doc_number(value); return;
    case FR_TYPE_DOUBLE: s->double_data->data[at] = null ? 0 : fr_doc_number(value); return;
    case FR_TYPE_VARCHAR:
        if (!null) text = fr_doc_string(value);
        s->string_data->data[at] = (ProtobufCBinaryData){text.size, (uint8_t *)(uintptr_t)text.data}; /* in the hit, which is kept */
        return;
    case FR_TYPE_ARRAY: s->array_data->data[at] = array_field(f, value); return;
    case FR_TYPE_JSON:
        if (!null) s->json_data->data[at] = json_bytes(f, value);
        else s->json_data->data[at] = (ProtobufCBinaryData){0, NULL};
        return;
    default: s->long_data->data[at] = null ? 0 : fr_doc_int(value); return;
    }
}

/* The elements that are of the element type; others cannot be said in a column of it. */
static Milvus__ScalarField *array_field(filling *f, fr_doc list)
{
    int32_t type = f->field->element_type;
    size_t count = 0;
    fr_doc element;
    for (fr_doc_iter iter = fr_doc_begin(list); list.data && fr_doc_next(&iter, NULL, &element);) count += wanted_tag(type, element);
    Milvus__ScalarField *s = scalar_room(f, type, count);
    size_t at = 0;
    for (fr_doc_iter iter = fr_doc_begin(list); s && list.data && fr_doc_next(&iter, NULL, &element);)
        if (wanted_tag(type, element)) scalar_set(f, s, type, at++, element);
    return s;
}

static fr_doc value_of(const fr_milvus_field *field, const fr_hit *hit, fr_span name)
{
    fr_doc value = hit->metadata.size ? fr_doc_get(fr_doc_root(hit->metadata), name) : (fr_doc){NULL};
    return wanted_tag(field->type, value) ? value : (fr_doc){NULL};
}

static void validity(filling *f, Milvus__FieldData *column, size_t count, size_t at, bool valid)
{
    if (!valid && !column->valid_data) {
        column->valid_data = take(f, count * sizeof *column->valid_data);
        column->n_valid_data = column->valid_data ? count : 0;
        for (size_t i = 0; i < at && column->valid_data; i++) column->valid_data[i] = true;
    }
    if (column->valid_data) column->valid_data[at] = valid;
}

static void key_column(filling *f, Milvus__FieldData *column, const fr_hit *hits, size_t count)
{
    Milvus__ScalarField *s = column->scalars = scalar_room(f, f->field->type, count);
    for (size_t i = 0; s && i < count; i++) {
        if (f->field->type == FR_TYPE_VARCHAR) s->string_data->data[i] = (ProtobufCBinaryData){hits[i].key.size, (uint8_t *)(uintptr_t)hits[i].key.data};
        else s->long_data->data[i] = fr_milvus_key_int(hits[i].key);
    }
}

static void scalar_column(filling *f, Milvus__FieldData *column, const fr_hit *hits, size_t count)
{
    fr_span name = fr_span_text(f->field->name);
    Milvus__ScalarField *s = column->scalars = scalar_room(f, f->field->type, count);
    if (s && f->field->type == FR_TYPE_ARRAY) s->array_data->element_type = f->field->element_type;
    for (size_t i = 0; s && !f->failed && i < count; i++) {
        fr_doc value = value_of(f->field, &hits[i], name);
        scalar_set(f, s, f->field->type, i, value);
        validity(f, column, count, i, value.data != NULL);
    }
}

static void vector_column(filling *f, Milvus__FieldData *column, const fr_hit *hits, size_t count)
{
    const fr_milvus_field *field = f->field;
    Milvus__VectorField *v = column->vectors = fr_milvus_message(&f->call->arena, &milvus__vector_field__descriptor);
    f->failed = f->failed || !v;
    size_t bytes = 0, present = 0;
    for (size_t i = 0; i < count; i++) bytes += hits[i].vectors[field->vector].size, present += hits[i].vectors[field->vector].size != 0;
    if (f->failed) return;
    v->dim = field->dimension;
    uint8_t *to = NULL;
    bool empties = field->type == FR_TYPE_VECTOR_SPARSE && !field->nullable; /* what the engine keeps as none is a vector without pairs */
    if (field->type == FR_TYPE_VECTOR_SPARSE) {
        v->data_case = MILVUS__VECTOR_FIELD__DATA_SPARSE_FLOAT_VECTOR;
        v->sparse_float_vector = fr_milvus_message(&f->call->arena, &milvus__sparse_float_array__descriptor);
        if (!v->sparse_float_vector || !(v->sparse_float_vector->contents = take(f, (empties ? count : present) * sizeof *v->sparse_float_vector->contents))) {
            f->failed = true;
            return;
        }
    } else if (!(to = take(f, bytes))) {
        return;
    }
    ProtobufCBinaryData all = {bytes, to};
    switch (field->type) {
    case FR_TYPE_VECTOR_F32:
        v->data_case = MILVUS__VECTOR_FIELD__DATA_FLOAT_VECTOR;
        v->float_vector = fr_milvus_message(&f->call->arena, &milvus__float_array__descriptor);
        f->failed = f->failed || !v->float_vector;
        if (v->float_vector) v->float_vector->data = (float *)(void *)to, v->float_vector->n_data = bytes / sizeof(float);
        break;
    case FR_TYPE_VECTOR_BINARY: v->data_case = MILVUS__VECTOR_FIELD__DATA_BINARY_VECTOR, v->binary_vector = all; break;
    case FR_TYPE_VECTOR_F16: v->data_case = MILVUS__VECTOR_FIELD__DATA_FLOAT16_VECTOR, v->float16_vector = all; break;
    case FR_TYPE_VECTOR_BF16: v->data_case = MILVUS__VECTOR_FIELD__DATA_BFLOAT16_VECTOR, v->bfloat16_vector = all; break;
    case FR_TYPE_VECTOR_I8: v->data_case = MILVUS__VECTOR_FIELD__DATA_INT8_VECTOR, v->int8_vector = all; break;
    default: break;
    }
    for (size_t i = 0; i < count; i++) {
        fr_span vector = hits[i].vectors[field->vector];
        validity(f, column, count, i, vector.size != 0 || empties);
        if (!vector.size && empties) v->sparse_float_vector->contents[v->sparse_float_vector->n_contents++] = (ProtobufCBinaryData){0, NULL};
        if (!vector.size) continue;
        if (to) {
            memcpy(to, vector.data, vector.size);
            to += vector.size;
            continue;
        }
        Milvus__SparseFloatArray *sparse = v->sparse_float_vector;
        sparse->contents[sparse->n_contents++] = (ProtobufCBinaryData){vector.size, (uint8_t *)(uintptr_t)vector.data};
        uint32_t last = fr_load_le32((const uint8_t *)vector.data + vector.size - 8);
        v->dim = FR_MAX(v->dim, (int64_t)last + 1);
        sparse->dim = v->dim;
    }
}

Milvus__FieldData *fr_milvus_column_of(fr_milvus_call *call, const fr_milvus_field *field, const fr_hit *hits, size_t count)
{
    filling f = {.call = call, .field = field};
    Milvus__FieldData *column = fr_milvus_message(&call->arena, &milvus__field_data__descriptor);
    if (!column) return NULL;
    column->type = field->type;
    column->field_id = field->id;
    column->field_name = (char *)(uintptr_t)field->name; /* the schema's, which the call holds */
    bool vector = field->vector >= 0;
    column->field_case = vector ? MILVUS__FIELD_DATA__FIELD_VECTORS : MILVUS__FIELD_DATA__FIELD_SCALARS;
    if (vector) vector_column(&f, column, hits, count);
    else if (field->primary) key_column(&f, column, hits, count);
    else scalar_column(&f, column, hits, count);
    return f.failed ? NULL : column;
}

/* Keys that are not declared: the dynamic ones. Keys of doors begin with '$' and are not shown. */
static Milvus__FieldData *meta_column(fr_milvus_call *call, const fr_milvus_schema *schema, const fr_hit *hits, size_t count)
{
    static char name[] = "$meta";
    fr_milvus_field field = {.name = name, .type = FR_TYPE_JSON, .vector = -1};
    filling f = {.call = call, .field = &field, .text = {.arena = &call->arena}};
    Milvus__FieldData *column = fr_milvus_message(&call->arena, &milvus__field_data__descriptor);
    Milvus__ScalarField *s = column ? scalar_room(&f, FR_TYPE_JSON, count) : NULL;
    if (!s) return NULL;
    column->type = FR_TYPE_JSON, column->field_name = name, column->is_dynamic = true;
    column->field_case = MILVUS__FIELD_DATA__FIELD_SCALARS, column->scalars = s;
    for (size_t i = 0; i < count && !f.failed; i++) {
        fr_doc_iter iter = fr_doc_begin(fr_doc_root(hits[i].metadata));
        fr_span key;
        bool first = true, some = hits[i].metadata.size != 0;
        f.text.size = 0;
        fr_milvus_json_bytes(&f.text, "{", 1);
        for (fr_doc value; some && fr_doc_next(&iter, &key, &value);) {
            char text[256];
            if (key.size && ((const char *)key.data)[0] == '$') continue;
            if (key.size < sizeof text) {
                memcpy(text, key.data, key.size);
                text[key.size] = 0;
                if (fr_milvus_field_of(schema, text)) continue;
            }
            if (!first) fr_milvus_json_bytes(&f.text, ", ", 2);
            first = false;
            fr_milvus_json_string(&f.text, key);
            fr_milvus_json_bytes(&f.text, ": ", 2);
            fr_milvus_json_value(&f.text, value);
        }
        fr_milvus_json_bytes(&f.text, "}", 1);
        void *copy = f.text.failed ? NULL : fr_arena_copy(&call->arena, f.text.data, f.text.size);
        f.failed = f.failed || !copy;
        s->json_data->data[i] = (ProtobufCBinaryData){copy ? f.text.size : 0, copy};
    }
    return f.failed ? NULL : column;
}

bool fr_milvus_output_columns(fr_milvus_call *call, const fr_milvus_output *output, const fr_hit *hits, size_t count, Milvus__FieldData ***columns_out,
                              size_t *column_count_out)
{
    size_t made = 0, wanted = output->field_count + output->meta;
    Milvus__FieldData **columns = fr_milvus_alloc(call, (wanted + 1) * sizeof *columns);
    bool fine = columns != NULL;
    for (uint32_t i = 0; fine && i < output->field_count; i++) fine = (columns[made++] = fr_milvus_column_of(call, output->fields[i], hits, count)) != NULL;
    if (fine && output->meta) fine = (columns[made++] = meta_column(call, output->schema, hits, count)) != NULL;
    *columns_out = columns;
    *column_count_out = fine ? made : 0;
    return fine;
}

Milvus__IDs *fr_milvus_ids_of(fr_milvus_call *call, const fr_milvus_schema *schema, const fr_hit *hits, size_t count)
{
    Milvus__IDs *ids = fr_milvus_message(&call->arena, &milvus__ids__descriptor);
    filling f = {.call = call, .field = &schema->fields[schema->primary]};
    Milvus__FieldData column = MILVUS__FIELD_DATA__INIT;
    key_column(&f, &column, hits, count);
    if (!ids || f.failed) return NULL;
    bool text = f.field->type == FR_TYPE_VARCHAR;
    ids->id_field_case = text ? MILVUS__IDS__ID_FIELD_STR_ID : MILVUS__IDS__ID_FIELD_INT_ID;
    if (text) ids->str_id = column.scalars->string_data;
    else ids->int_id = column.scalars->long_data;
    return ids;
}

bool fr_milvus_hit_keep(fr_milvus_call *call, fr_hit *hit, size_t *bytes)
{
    fr_span *spans[2 + FR_VECTOR_FIELDS_MAX] = {&hit->key, &hit->metadata};
    for (uint32_t i = 0; i < FR_VECTOR_FIELDS_MAX; i++) spans[2 + i] = &hit->vectors[i];
    hit->vector = NULL, hit->model_version = (fr_span){NULL, 0};
    for (size_t i = 0; i < FR_COUNT_OF(spans); i++) {
        if (!spans[i]->size) continue;
        *bytes += spans[i]->size;
        spans[i]->data = *bytes <= FR_MILVUS_ANSWER_BYTES_MAX ? fr_arena_copy(&call->arena, spans[i]->data, spans[i]->size) : NULL;
        if (spans[i]->data) continue;
        fr_milvus_fail(call, MILVUS_TOO_LARGE, "the answer is over the limit of %u bytes, or there is no memory for it: ask for less at a time",
                       FR_MILVUS_MESSAGE_BYTES_MAX);
        return false;
    }
    return true;
}
