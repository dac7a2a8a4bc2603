/* milvus_rest_entities.c: REST's entities: requests to messages, columns of replies to rows. */
#include "api/milvus/milvus_rest_private.h"

#include <stdio.h>

#define LIMIT_DEFAULT 100

static fr_milvus_next no_memory(fr_milvus_rest *rest) { return fr_milvus_rest_fail(rest, MILVUS_MEMORY, "no memory for the request"); }

/* call->request is made: the RPC begins. */
static void begin(fr_milvus_rest *rest, const char *rpc, void *request)
{
    fr_milvus_call *call = &rest->call;
    call->rpc = fr_milvus_rpc_find(rpc);
    call->request = request, call->reply = NULL, call->resume = NULL;
    call->known = false;
    rest->running = true;
}

static const fr_milvus_schema *schema_of(fr_milvus *door, fr_milvus_rest *rest, const char *rpc)
{
    rest->call.rpc = fr_milvus_rpc_find(rpc); /* whose reply an error fills */
    rest->call.request = fr_milvus_rest_request(rest, rpc);
    rest->schema = rest->call.request ? fr_milvus_schema_in(door, &rest->call, fr_milvus_rest_text(rest, rest->root, "collectionName")) : NULL;
    if (!rest->schema) fr_milvus_rest_error(rest);
    return rest->schema;
}

static Milvus__KeyValuePair *pair_of(fr_milvus_rest *rest, const char *key, char *value)
{
    Milvus__KeyValuePair *pair = fr_milvus_message(&rest->call.arena, &milvus__key_value_pair__descriptor);
    if (pair) pair->key = fr_milvus_mut(key), pair->value = value ? value : fr_milvus_mut("");
    return pair;
}

/* ---- filter parameters ---- */

static bool value_in(fr_milvus_rest *rest, Milvus__TemplateValue *out, fr_doc value);

static bool array_in(fr_milvus_rest *rest, Milvus__TemplateArrayValue *out, fr_doc list)
{
    fr_milvus_call *call = &rest->call;
    uint32_t count = fr_doc_count(list), ints = 0, numbers = 0, flags = 0, texts = 0;
    fr_doc one;
    size_t size;
    fr_doc_iter iter = fr_doc_begin(list);
    while (fr_doc_next(&iter, NULL, &one)) {
        fr_doc_tag tag = fr_doc_type(one);
        ints += tag == FR_DOC_INT, numbers += tag == FR_DOC_INT || tag == FR_DOC_FLOAT;
        flags += tag == FR_DOC_TRUE || tag == FR_DOC_FALSE, texts += tag == FR_DOC_STRING;
    }
#define FILL(one_case, member, descriptor, expression)                                                                      \
    out->data_case = MILVUS__TEMPLATE_ARRAY_VALUE__DATA_##one_case;                                                         \
    if (!(out->member = fr_milvus_message(&call->arena, &milvus__##descriptor##__descriptor)) ||                            \
        !(out->member->data = fr_milvus_alloc(call, count * sizeof *out->member->data)))                                    \
        return false;                                                                                                       \
    iter = fr_doc_begin(list);                                                                                              \
    while (fr_doc_next(&iter, NULL, &one)) out->member->data[out->member->n_data++] = (expression);                         \
    return true
    if (ints == count) {
        FILL(LONG_DATA, long_data, long_array, fr_doc_int(one));
    }
    if (numbers == count) {
        FILL(DOUBLE_DATA, double_data, double_array, fr_doc_number(one));
    }
    if (flags == count) {
        FILL(BOOL_DATA, bool_data, bool_array, fr_doc_type(one) == FR_DOC_TRUE);
    }
    if (texts == count) {
        FILL(STRING_DATA, string_data, string_array,
             ((ProtobufCBinaryData){fr_doc_string(one).size, (uint8_t *)(uintptr_t)fr_doc_string(one).data}));
    }
#undef FILL
    out->data_case = MILVUS__TEMPLATE_ARRAY_VALUE__DATA_JSON_DATA;
    if (!(out->json_data = fr_milvus_message(&call->arena, &milvus__jsonarray__descriptor)) ||
        !(out->json_data->data = fr_milvus_alloc(call, count * sizeof *out->json_data->data)))
        return false;
    iter = fr_doc_begin(list);
    while (fr_doc_next(&iter, NULL, &one)) {
        char *text = fr_milvus_rest_json(rest, one, &size);
        if (!text) return false;
        out->json_data->data[out->json_data->n_data++] = (ProtobufCBinaryData){size, (uint8_t *)text};
    }
    return true;
}

static bool value_in(fr_milvus_rest *rest, Milvus__TemplateValue *out, fr_doc value)
{
    switch (fr_doc_type(value)) {
    case FR_DOC_TRUE:
    case FR_DOC_FALSE: out->val_case = MILVUS__TEMPLATE_VALUE__VAL_BOOL_VAL, out->bool_val = fr_doc_type(value) == FR_DOC_TRUE; return true;
    case FR_DOC_INT: out->val_case = MILVUS__TEMPLATE_VALUE__VAL_INT64_VAL, out->int64_val = fr_doc_int(value); return true;
    case FR_DOC_FLOAT: out->val_case = MILVUS__TEMPLATE_VALUE__VAL_FLOAT_VAL, out->float_val = fr_doc_number(value); return true;
    case FR_DOC_STRING:
        out->val_case = MILVUS__TEMPLATE_VALUE__VAL_STRING_VAL;
        out->string_val = (ProtobufCBinaryData){fr_doc_string(value).size, (uint8_t *)(uintptr_t)fr_doc_string(value).data};
        return true;
    case FR_DOC_ARRAY:
        out->val_case = MILVUS__TEMPLATE_VALUE__VAL_ARRAY_VAL;
        out->array_val = fr_milvus_message(&rest->call.arena, &milvus__template_array_value__descriptor);
        return out->array_val && array_in(rest, out->array_val, value);
    default: return false;
    }
}

static bool params_in(fr_milvus_rest *rest, fr_doc object, Milvus__TemplateEntry ***out, size_t *count_out)
{
    uint32_t count = object.data && fr_doc_type(object) == FR_DOC_OBJECT ? fr_doc_count(object) : 0;
    fr_span key;
    fr_doc value;
    *count_out = 0;
    if (!count) return true;
    if (!(*out = fr_milvus_alloc(&rest->call, count * sizeof **out))) return false;
    fr_doc_iter iter = fr_doc_begin(object);
    while (fr_doc_next(&iter, &key, &value)) {
        Milvus__TemplateEntry *entry = fr_milvus_message(&rest->call.arena, &milvus__template_entry__descriptor);
        if (!entry || !(entry->key = fr_milvus_text(&rest->call, "%.*s", (int)FR_MIN(key.size, 255u), (const char *)key.data)) ||
            !(entry->value = fr_milvus_message(&rest->call.arena, &milvus__template_value__descriptor)) || !value_in(rest, entry->value, value))
            return false;
        (*out)[(*count_out)++] = entry;
    }
    return true;
}

/* ---- rows out ---- */

static void scalar_out(fr_milvus_rest *rest, const Milvus__ScalarField *scalars, int32_t type, size_t at);

static void elements_out(fr_milvus_rest *rest, const Milvus__ScalarField *row, int32_t type)
{
    size_t count = 0;
    switch (row->data_case) {
    case MILVUS__SCALAR_FIELD__DATA_BOOL_DATA: count = row->bool_data->n_data; break;
    case MILVUS__SCALAR_FIELD__DATA_INT_DATA: count = row->int_data->n_data; break;
    case MILVUS__SCALAR_FIELD__DATA_LONG_DATA: count = row->long_data->n_data; break;
    case MILVUS__SCALAR_FIELD__DATA_FLOAT_DATA: count = row->float_data->n_data; break;
    case MILVUS__SCALAR_FIELD__DATA_DOUBLE_DATA: count = row->double_data->n_data; break;
    case MILVUS__SCALAR_FIELD__DATA_STRING_DATA: count = row->string_data->n_data; break;
    default: break;
    }
    fr_out_begin(&rest->out, '[');
    for (size_t i = 0; i < count; i++) scalar_out(rest, row, type, i);
    fr_out_end(&rest->out, ']');
}

static void scalar_out(fr_milvus_rest *rest, const Milvus__ScalarField *scalars, int32_t type, size_t at)
{
    fr_out *out = &rest->out;
    switch (scalars->data_case) {
    case MILVUS__SCALAR_FIELD__DATA_BOOL_DATA: if (at < scalars->bool_data->n_data) { fr_out_bool(out, scalars->bool_data->data[at]); return; } break;
    case MILVUS__SCALAR_FIELD__DATA_INT_DATA: if (at < scalars->int_data->n_data) { fr_out_int(out, scalars->int_data->data[at]); return; } break;
    case MILVUS__SCALAR_FIELD__DATA_LONG_DATA:
        if (at < scalars->long_data->n_data) {
            fr_milvus_rest_int64_out(rest, scalars->long_data->data[at]);
            return;
        }
        break;
    case MILVUS__SCALAR_FIELD__DATA_FLOAT_DATA: if (at < scalars->float_data->n_data) { fr_out_float(out, scalars->float_data->data[at]); return; } break;
    case MILVUS__SCALAR_FIELD__DATA_DOUBLE_DATA:
        if (at < scalars->double_data->n_data) {
            fr_out_double(out, scalars->double_data->data[at]);
            return;
        }
        break;
    case MILVUS__SCALAR_FIELD__DATA_STRING_DATA:
        if (at < scalars->string_data->n_data) {
            fr_out_string(out, fr_span_of(scalars->string_data->data[at].data, scalars->string_data->data[at].len));
            return;
        }
        break;
    case MILVUS__SCALAR_FIELD__DATA_JSON_DATA: /* a string that holds JSON */
        if (at < scalars->json_data->n_data) {
            fr_out_string(out, fr_span_of(scalars->json_data->data[at].data, scalars->json_data->data[at].len));
            return;
        }
        break;
    case MILVUS__SCALAR_FIELD__DATA_ARRAY_DATA:
        if (at < scalars->array_data->n_data) {
            elements_out(rest, scalars->array_data->data[at], scalars->array_data->element_type);
            return;
        }
        break;
    default: break;
    }
    (void)type;
    fr_out_null(out);
}

static void base64_out(fr_milvus_rest *rest, const uint8_t *data, size_t size)
{
    char *text = fr_arena_alloc(&rest->call.arena, 4 * ((size + 2) / 3) + 1);
    if (!text) {
        fr_out_null(&rest->out);
        return;
    }
    (void)fr_base64_encode(fr_span_of(data, size), text);
    fr_out_cstring(&rest->out, text);
}

static void vector_out(fr_milvus_rest *rest, const Milvus__VectorField *vectors, int32_t type, size_t at)
{
    size_t dimension = (size_t)vectors->dim;
    if (vectors->data_case == MILVUS__VECTOR_FIELD__DATA_FLOAT_VECTOR) {
        if ((at + 1) * dimension <= vectors->float_vector->n_data) fr_out_floats(&rest->out, vectors->float_vector->data + at * dimension, dimension);
        else fr_out_null(&rest->out);
    } else if (vectors->data_case == MILVUS__VECTOR_FIELD__DATA_SPARSE_FLOAT_VECTOR) {
        if (at < vectors->sparse_float_vector->n_contents) {
            ProtobufCBinaryData pairs = vectors->sparse_float_vector->contents[at];
            fr_out_pairs(&rest->out, fr_span_of(pairs.data, pairs.len));
        }
        else fr_out_null(&rest->out);
    } else {
        const ProtobufCBinaryData *bytes = &vectors->binary_vector; /* of one union, at one place */
        size_t size = type == FR_TYPE_VECTOR_BINARY ? dimension / 8 : type == FR_TYPE_VECTOR_I8 ? dimension : dimension * 2;
        if (vectors->data_case != MILVUS__VECTOR_FIELD__DATA__NOT_SET && (at + 1) * size <= bytes->len) base64_out(rest, bytes->data + at * size, size);
        else fr_out_null(&rest->out);
    }
}

static bool is_column(const fr_milvus_rest_table *table, fr_span name)
{
    for (size_t i = 0; i < table->count; i++)
        if (fr_span_equal(fr_span_text(table->columns[i]->field_name), name)) return true;
    return false;
}

/* Keys that were asked for and are no columns; all when nothing such was asked for. */
static bool key_wanted(const fr_milvus_rest_table *table, fr_span key)
{
    bool any = false;
    for (size_t i = 0; i < table->name_count; i++) {
        fr_span name = fr_span_text(table->names[i]);
        if (fr_span_equal(name, fr_span_text("$meta")) || is_column(table, name)) continue;
        if (table->key && fr_span_equal(name, fr_span_text(table->key))) continue;
        any = true;
        if (fr_span_equal(name, key)) return true;
    }
    return !any;
}

static void meta_out(fr_milvus_rest *rest, fr_milvus_worker *worker, const fr_milvus_rest_table *table, ProtobufCBinaryData json)
{
    fr_doc_builder b = {0};
    fr_span bytes, key;
    fr_doc value;
    bool fine = fr_milvus_json_in(worker, fr_span_of(json.data, json.len), &rest->call.request_arena, &b, &rest->call.err) == FR_OK &&
                fr_doc_finish(&b, &bytes) == FR_OK && fr_doc_type(fr_doc_root(bytes)) == FR_DOC_OBJECT;
    fr_doc_iter iter = fine ? fr_doc_begin(fr_doc_root(bytes)) : (fr_doc_iter){0};
    while (fine && fr_doc_next(&iter, &key, &value)) {
        if (is_column(table, key) || !key_wanted(table, key)) continue;
        fr_out_key_span(&rest->out, key);
        fr_out_doc(&rest->out, value);
    }
    fr_doc_free(&b);
}

void fr_milvus_rest_row(fr_milvus_rest *rest, fr_milvus_worker *worker, fr_milvus_rest_table *table, size_t row)
{
    for (size_t i = 0; i < table->count; i++) {
        const Milvus__FieldData *column = table->columns[i];
        bool valid = column->n_valid_data == 0 || (row < column->n_valid_data && column->valid_data[row]);
        bool vectors = column->field_case == MILVUS__FIELD_DATA__FIELD_VECTORS;
        if (column->is_dynamic) {
            const Milvus__JSONArray *list = column->scalars ? column->scalars->json_data : NULL;
            if (list && row < list->n_data) meta_out(rest, worker, table, list->data[row]);
            continue;
        }
        fr_out_key_span(&rest->out, fr_span_text(column->field_name));
        if (!valid) fr_out_null(&rest->out);
        else if (vectors) vector_out(rest, column->vectors, column->type, table->places[i]++);
        else if (column->field_case == MILVUS__FIELD_DATA__FIELD_SCALARS) scalar_out(rest, column->scalars, column->type, row);
        else fr_out_null(&rest->out);
    }
}

static size_t rows_of(const Milvus__FieldData *column)
{
    if (column->n_valid_data) return column->n_valid_data;
    if (column->field_case == MILVUS__FIELD_DATA__FIELD_SCALARS) {
        const Milvus__ScalarField *scalars = column->scalars;
        switch (scalars->data_case) {
        case MILVUS__SCALAR_FIELD__DATA_BOOL_DATA: return scalars->bool_data->n_data;
        case MILVUS__SCALAR_FIELD__DATA_INT_DATA: return scalars->int_data->n_data;
        case MILVUS__SCALAR_FIELD__DATA_LONG_DATA: return scalars->long_data->n_data;
        case MILVUS__SCALAR_FIELD__DATA_FLOAT_DATA: return scalars->float_data->n_data;
        case MILVUS__SCALAR_FIELD__DATA_DOUBLE_DATA: return scalars->double_data->n_data;
        case MILVUS__SCALAR_FIELD__DATA_STRING_DATA: return scalars->string_data->n_data;
        case MILVUS__SCALAR_FIELD__DATA_JSON_DATA: return scalars->json_data->n_data;
        case MILVUS__SCALAR_FIELD__DATA_ARRAY_DATA: return scalars->array_data->n_data;
        default: return 0;
        }
    }
    return 0;
}

static bool table_of(fr_milvus_rest *rest, Milvus__FieldData *const *columns, size_t count, char *const *names, size_t name_count,
                     fr_milvus_rest_table *out)
{
    *out = (fr_milvus_rest_table){.columns = columns, .count = count, .names = names, .name_count = name_count,
                                  .places = fr_milvus_alloc(&rest->call, count * sizeof *out->places)};
    return out->places != NULL;
}

/* ---- insert, upsert, delete ---- */

static void ids_out(fr_milvus_rest *rest, const char *key, const Milvus__IDs *ids)
{
    fr_out_key(&rest->out, key);
    fr_out_begin(&rest->out, '[');
    if (ids && ids->id_field_case == MILVUS__IDS__ID_FIELD_INT_ID)
        for (size_t i = 0; i < ids->int_id->n_data; i++) fr_milvus_rest_int64_out(rest, ids->int_id->data[i]);
    if (ids && ids->id_field_case == MILVUS__IDS__ID_FIELD_STR_ID)
        for (size_t i = 0; i < ids->str_id->n_data; i++) fr_out_string(&rest->out, fr_span_of(ids->str_id->data[i].data, ids->str_id->data[i].len));
    fr_out_end(&rest->out, ']');
}

static fr_milvus_next with_cost(fr_milvus_rest *rest)
{
    fr_out_key(&rest->out, "cost");
    fr_out_int(&rest->out, 0);
    return fr_milvus_rest_end(rest);
}

static bool insert_build(fr_milvus *door, fr_milvus_rest *rest, bool upsert)
{
    const fr_milvus_schema *schema = schema_of(door, rest, rest->route->rpc);
    if (!schema) return false;
    fr_doc rows = fr_milvus_rest_get(rest, "data");
    bool partial = upsert && fr_milvus_rest_bool(rest->root, "partialUpdate", false);
    char *partition = fr_milvus_rest_text(rest, rest->root, "partitionName");
    Milvus__FieldData **columns;
    size_t count;
    uint32_t row_count;
    if (fr_doc_type(rows) == FR_DOC_OBJECT) { /* one row may come alone */
        fr_doc_builder b = {0};
        fr_span bytes;
        fr_doc_begin_array(&b);
        fr_doc_put_value(&b, rows);
        fr_doc_end_array(&b);
        void *copy = fr_doc_finish(&b, &bytes) == FR_OK ? fr_arena_copy(&rest->call.arena, bytes.data, bytes.size) : NULL;
        fr_doc_free(&b);
        if (!copy) {
            no_memory(rest);
            return false;
        }
        rows = (fr_doc){copy};
    }
    if (!fr_milvus_rest_columns(rest, schema, rows, partial, &columns, &count, &row_count)) return false;
    if (upsert) {
        Milvus__UpsertRequest *in = rest->call.request;
        in->fields_data = columns, in->n_fields_data = count, in->num_rows = row_count, in->partition_name = partition, in->partial_update = partial;
        begin(rest, "Upsert", in);
    } else {
        Milvus__InsertRequest *in = rest->call.request;
        in->fields_data = columns, in->n_fields_data = count, in->num_rows = row_count, in->partition_name = partition;
        begin(rest, "Insert", in);
    }
    return true;
}

fr_milvus_next fr_milvus_rest_insert(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    bool upsert = strcmp(rest->route->rpc, "Upsert") == 0;
    if (!rest->running && !insert_build(door, rest, upsert)) return FR_MILVUS_REPLY;
    fr_milvus_next next = fr_milvus_rest_go_on(door, rest, worker);
    if (next != FR_MILVUS_REPLY || !fr_milvus_rest_good(rest)) return next;
    const Milvus__MutationResult *reply = rest->call.reply;
    fr_milvus_rest_begin(rest);
    fr_out_begin(&rest->out, '{');
    fr_out_key(&rest->out, upsert ? "upsertCount" : "insertCount");
    fr_out_int(&rest->out, upsert ? reply->upsert_cnt : reply->insert_cnt);
    ids_out(rest, upsert ? "upsertIds" : "insertIds", reply->ids);
    fr_out_end(&rest->out, '}');
    return with_cost(rest);
}

static bool all_digits(fr_span text)
{
    for (size_t i = 0; i < text.size; i++)
        if (!strchr("-0123456789", ((const char *)text.data)[i]) || !((const char *)text.data)[i]) return false;
    return text.size > 0 && text.size < 21;
}

/* "pk in [1,2]" of ids in the body; NULL: not understood. */
static char *ids_filter(fr_milvus_rest *rest, const fr_milvus_schema *schema, fr_doc ids)
{
    const fr_milvus_field *key = &schema->fields[schema->primary];
    bool list = fr_doc_type(ids) == FR_DOC_ARRAY;
    uint32_t count = list ? fr_doc_count(ids) : 1;
    fr_out text = {0};
    bool fine = true;
    fr_out_text(&text, key->name);
    fr_out_text(&text, " in [");
    for (uint32_t i = 0; i < count && fine; i++) {
        fr_doc one = list ? fr_doc_at(ids, i) : ids;
        fr_out item = {0};
        if (i) fr_out_raw(&text, ",", 1);
        if (key->type == FR_TYPE_INT64) {
            fr_span span = fr_doc_type(one) == FR_DOC_STRING ? fr_doc_string(one) : (fr_span){0};
            fine = fr_doc_type(one) == FR_DOC_INT || all_digits(span);
            if (fr_doc_type(one) == FR_DOC_INT) fr_out_format(&text, "%lld", (long long)fr_doc_int(one));
            else if (fine) fr_out_raw(&text, span.data, span.size);
        } else {
            fine = fr_doc_type(one) == FR_DOC_STRING;
            if (fine) fr_out_string(&item, fr_doc_string(one)); /* a JSON string is one of the filter's */
            fr_out_raw(&text, item.data ? item.data : "", item.size);
            fine = fine && item.code == FR_OK;
            fr_out_free(&item);
        }
    }
    fr_out_raw(&text, "]", 1);
    char *copy = fine && text.code == FR_OK ? fr_milvus_text(&rest->call, "%.*s", (int)text.size, text.data) : NULL;
    fr_out_free(&text);
    return copy;
}

static bool delete_build(fr_milvus *door, fr_milvus_rest *rest)
{
    const fr_milvus_schema *schema = schema_of(door, rest, "Delete");
    if (!schema) return false;
    Milvus__DeleteRequest *in = rest->call.request;
    fr_doc ids = fr_milvus_rest_get(rest, "id");
    in->partition_name = fr_milvus_rest_text(rest, rest->root, "partitionName");
    in->expr = ids.data ? ids_filter(rest, schema, ids) : fr_milvus_rest_text(rest, rest->root, "filter");
    if (!in->expr || !*in->expr) {
        fr_milvus_rest_fail(rest, MILVUS_REST_MISSING, "missing required parameters, error: filter is required");
        return false;
    }
    if (!params_in(rest, fr_milvus_rest_get(rest, "exprParams"), &in->expr_template_values, &in->n_expr_template_values)) {
        fr_milvus_rest_fail(rest, MILVUS_INVALID_PARAMETER, "exprParams are not understood: invalid parameter");
        return false;
    }
    begin(rest, "Delete", in);
    return true;
}

fr_milvus_next fr_milvus_rest_delete(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    if (!rest->running && !delete_build(door, rest)) return FR_MILVUS_REPLY;
    fr_milvus_next next = fr_milvus_rest_go_on(door, rest, worker);
    if (next != FR_MILVUS_REPLY || !fr_milvus_rest_good(rest)) return next;
    const Milvus__MutationResult *reply = rest->call.reply;
    fr_milvus_rest_begin(rest);
    fr_out_begin(&rest->out, '{');
    fr_out_key(&rest->out, "deleteCount");
    fr_out_int(&rest->out, reply->delete_cnt);
    fr_out_end(&rest->out, '}');
    return with_cost(rest);
}

/* ---- query, get ---- */

static char **outputs(fr_milvus_rest *rest, size_t *count_out)
{
    char **names = fr_milvus_rest_texts(rest, rest->root, "outputFields", count_out);
    if (*count_out || fr_milvus_rest_get(rest, "outputFields").data) return names;
    names = fr_milvus_alloc(&rest->call, sizeof *names);
    if (names) names[(*count_out)++] = fr_milvus_mut("*");
    return names;
}

static bool query_build(fr_milvus *door, fr_milvus_rest *rest, bool by_id)
{
    const fr_milvus_schema *schema = schema_of(door, rest, "Query");
    if (!schema) return false;
    Milvus__QueryRequest *in = rest->call.request;
    in->expr = by_id ? ids_filter(rest, schema, fr_milvus_rest_get(rest, "id")) : fr_milvus_rest_text(rest, rest->root, "filter");
    in->output_fields = outputs(rest, &in->n_output_fields);
    in->partition_names = fr_milvus_rest_texts(rest, rest->root, "partitionNames", &in->n_partition_names);
    bool fine = in->expr && in->output_fields && (in->query_params = fr_milvus_alloc(&rest->call, 2 * sizeof *in->query_params));
    bool counts = fine && in->n_output_fields == 1 && strcmp(in->output_fields[0], "count(*)") == 0;
    int64_t limit = fr_milvus_rest_int(rest->root, "limit", by_id ? 0 : LIMIT_DEFAULT), offset = fr_milvus_rest_int(rest->root, "offset", 0);
    if (fine && limit && !counts) in->query_params[in->n_query_params++] = pair_of(rest, "limit", fr_milvus_text(&rest->call, "%lld", (long long)limit));
    if (fine && offset && !counts) in->query_params[in->n_query_params++] = pair_of(rest, "offset", fr_milvus_text(&rest->call, "%lld", (long long)offset));
    for (size_t i = 0; fine && i < in->n_query_params; i++) fine = in->query_params[i] != NULL;
    if (!fine || !params_in(rest, fr_milvus_rest_get(rest, "exprParams"), &in->expr_template_values, &in->n_expr_template_values)) {
        fr_milvus_rest_fail(rest, MILVUS_INVALID_PARAMETER, "id or exprParams are not understood: invalid parameter");
        return false;
    }
    in->use_default_consistency = true;
    begin(rest, "Query", in);
    return true;
}

static fr_milvus_next query(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker, bool by_id)
{
    fr_milvus_rest_table table;
    if (!rest->running && !query_build(door, rest, by_id)) return FR_MILVUS_REPLY;
    fr_milvus_next next = fr_milvus_rest_go_on(door, rest, worker);
    if (next != FR_MILVUS_REPLY || !fr_milvus_rest_good(rest)) return next;
    const Milvus__QueryResults *reply = rest->call.reply;
    size_t rows = 0;
    if (!table_of(rest, reply->fields_data, reply->n_fields_data, reply->output_fields, reply->n_output_fields, &table)) return no_memory(rest);
    for (size_t i = 0; i < table.count; i++) rows = FR_MAX(rows, rows_of(table.columns[i]));
    fr_milvus_rest_begin(rest);
    fr_out_begin(&rest->out, '[');
    for (size_t i = 0; i < rows; i++) {
        fr_out_begin(&rest->out, '{');
        fr_milvus_rest_row(rest, worker, &table, i);
        fr_out_end(&rest->out, '}');
    }
    fr_out_end(&rest->out, ']');
    return with_cost(rest);
}

fr_milvus_next fr_milvus_rest_query(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker) { return query(door, rest, worker, false); }
fr_milvus_next fr_milvus_rest_get_entities(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker) { return query(door, rest, worker, true); }

/* ---- search ---- */

static const fr_milvus_field *searched_field(fr_milvus_rest *rest, const char *name)
{
    const fr_milvus_field *only = NULL;
    uint32_t count = 0;
    if (*name) {
        only = fr_milvus_field_of(rest->schema, name);
    } else {
        for (uint32_t i = 0; i < rest->schema->field_count; i++)
            if (rest->schema->fields[i].type >= FR_TYPE_VECTOR_BINARY) only = &rest->schema->fields[i], count++;
        if (count != 1) only = NULL;
    }
    if (!only || only->type < FR_TYPE_VECTOR_BINARY) {
        fr_milvus_rest_fail(rest, MILVUS_INVALID_PARAMETER, "annsField %.100s is no vector field: invalid parameter", name);
        return NULL;
    }
    return only;
}

/* One search: of the body, or of the list of a hybrid one. */
static bool search_in(fr_milvus_rest *rest, fr_doc one, Milvus__SearchRequest *in, bool hybrid)
{
    fr_milvus_call *call = &rest->call;
    const fr_milvus_field *field = searched_field(rest, fr_milvus_rest_text(rest, one, "annsField"));
    if (!field) return false;
    fr_doc data = fr_doc_get(one, fr_span_text("data")), search = fr_doc_get(one, fr_span_text("searchParams"));
    fr_doc params = fr_doc_get(hybrid ? one : search, fr_span_text("params"));
    if (!(in->search_params = fr_milvus_alloc(call, 12 * sizeof *in->search_params))) return false;
    char *metric = fr_milvus_rest_text(rest, hybrid ? one : search, "metricType");
    if (!*metric) metric = fr_milvus_rest_text(rest, search, "metric_type");
    size_t size = 0;
    const struct {
        const char *key;
        char *value;
    } pairs[] = {{"anns_field", fr_milvus_mut(field->name)},
                 {"topk", fr_milvus_text(call, "%lld", (long long)fr_milvus_rest_int(one, "limit", LIMIT_DEFAULT))},
                 {"offset", fr_milvus_text(call, "%lld", (long long)fr_milvus_rest_int(one, "offset", 0))},
                 {"params", params.data && fr_doc_type(params) == FR_DOC_OBJECT ? fr_milvus_rest_json(rest, params, &size) : fr_milvus_mut("{}")},
                 {"metric_type", metric},
                 {"group_by_field", fr_milvus_rest_text(rest, one, "groupingField")},
                 {"group_size", fr_milvus_rest_text(rest, one, "groupSize")},
                 {"strict_group_size", fr_milvus_rest_text(rest, one, "strictGroupSize")},
                 {"round_decimal", fr_milvus_mut("-1")}};
    for (size_t i = 0; i < FR_COUNT_OF(pairs); i++)
        if (pairs[i].value && *pairs[i].value) in->search_params[in->n_search_params++] = pair_of(rest, pairs[i].key, pairs[i].value);
    for (size_t i = 0; i < in->n_search_params; i++)
        if (!in->search_params[i]) return false;
    in->dsl = fr_milvus_rest_text(rest, one, "filter");
    in->dsl_type = 1; /* BoolExprV1 */
    in->nq = data.data && fr_doc_type(data) == FR_DOC_ARRAY ? (int64_t)fr_doc_count(data) : 1;
    in->use_default_consistency = true;
    in->search_input_case = MILVUS__SEARCH_REQUEST__SEARCH_INPUT_PLACEHOLDER_GROUP;
    if (!params_in(rest, fr_doc_get(one, fr_span_text("exprParams")), &in->expr_template_values, &in->n_expr_template_values)) {
        fr_milvus_rest_fail(rest, MILVUS_INVALID_PARAMETER, "exprParams are not understood: invalid parameter");
        return false;
    }
    return fr_milvus_rest_placeholders(rest, field, data, &in->placeholder_group);
}

static bool search_build(fr_milvus *door, fr_milvus_rest *rest)
{
    if (!schema_of(door, rest, "Search")) return false;
    Milvus__SearchRequest *in = rest->call.request;
    if (!search_in(rest, rest->root, in, false)) return false;
    in->output_fields = fr_milvus_rest_texts(rest, rest->root, "outputFields", &in->n_output_fields);
    in->partition_names = fr_milvus_rest_texts(rest, rest->root, "partitionNames", &in->n_partition_names);
    begin(rest, "Search", in);
    return true;
}

static void hit_id(fr_milvus_rest *rest, const Milvus__SearchResultData *data, const char *key, size_t at)
{
    const Milvus__IDs *ids = data->ids;
    fr_out_key_span(&rest->out, fr_span_text(key));
    if (ids && ids->id_field_case == MILVUS__IDS__ID_FIELD_INT_ID && at < ids->int_id->n_data)
        fr_milvus_rest_int64_out(rest, ids->int_id->data[at]);
    else if (ids && ids->id_field_case == MILVUS__IDS__ID_FIELD_STR_ID && at < ids->str_id->n_data)
        fr_out_string(&rest->out, fr_span_of(ids->str_id->data[at].data, ids->str_id->data[at].len));
    else fr_out_null(&rest->out);
}

static fr_milvus_next hits_out(fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    const Milvus__SearchResults *reply = rest->call.reply;
    const Milvus__SearchResultData *data = reply->results;
    const char *key = rest->schema->fields[rest->schema->primary].name;
    Milvus__FieldData **columns = NULL;
    fr_milvus_rest_table table;
    size_t count = 0;
    if (data && data->n_fields_data) { /* the key is shown once */
        if (!(columns = fr_milvus_alloc(&rest->call, data->n_fields_data * sizeof *columns))) return no_memory(rest);
        for (size_t i = 0; i < data->n_fields_data; i++)
            if (strcmp(data->fields_data[i]->field_name, key) != 0) columns[count++] = data->fields_data[i];
    }
    if (!table_of(rest, columns, count, data ? data->output_fields : NULL, data ? data->n_output_fields : 0, &table)) return no_memory(rest);
    table.key = key;
    fr_milvus_rest_begin(rest);
    fr_out_begin(&rest->out, '[');
    for (size_t i = 0; data && i < data->n_scores; i++) {
        fr_out_begin(&rest->out, '{');
        fr_out_key(&rest->out, "distance");
        fr_out_float(&rest->out, data->scores[i]);
        hit_id(rest, data, key, i);
        fr_milvus_rest_row(rest, worker, &table, i);
        fr_out_end(&rest->out, '}');
    }
    fr_out_end(&rest->out, ']');
    fr_out_key(&rest->out, "topks");
    fr_out_begin(&rest->out, '[');
    for (size_t i = 0; data && i < data->n_topks; i++) fr_out_int(&rest->out, data->topks[i]);
    fr_out_end(&rest->out, ']');
    return with_cost(rest);
}

fr_milvus_next fr_milvus_rest_search(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    if (!rest->running && !search_build(door, rest)) return FR_MILVUS_REPLY;
    fr_milvus_next next = fr_milvus_rest_go_on(door, rest, worker);
    if (next != FR_MILVUS_REPLY || !fr_milvus_rest_good(rest)) return next;
    return hits_out(rest, worker);
}

static bool hybrid_build(fr_milvus *door, fr_milvus_rest *rest)
{
    fr_doc list = fr_milvus_rest_get(rest, "search"), rerank = fr_milvus_rest_get(rest, "rerank"), params = fr_doc_get(rerank, fr_span_text("params"));
    if (!schema_of(door, rest, "HybridSearch")) return false;
    Milvus__HybridSearchRequest *in = rest->call.request;
    uint32_t count = fr_doc_type(list) == FR_DOC_ARRAY ? fr_doc_count(list) : 0;
    size_t size = 0;
    in->requests = fr_milvus_alloc(&rest->call, count * sizeof *in->requests);
    in->rank_params = fr_milvus_alloc(&rest->call, 8 * sizeof *in->rank_params);
    if (!count || !in->requests || !in->rank_params) {
        fr_milvus_rest_fail(rest, MILVUS_INVALID_PARAMETER, "search must be a list of searches: invalid parameter");
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        Milvus__SearchRequest *one = fr_milvus_message(&rest->call.arena, &milvus__search_request__descriptor);
        if (!one || !search_in(rest, fr_doc_at(list, i), one, true)) return false;
        one->collection_name = in->collection_name, one->db_name = in->db_name;
        in->requests[in->n_requests++] = one;
    }
    char *strategy = fr_milvus_rest_text(rest, rerank, "strategy");
    const struct {
        const char *key;
        char *value;
    } pairs[] = {{"strategy", *strategy ? strategy : fr_milvus_mut("rrf")},
                 {"params", params.data && fr_doc_type(params) == FR_DOC_OBJECT ? fr_milvus_rest_json(rest, params, &size) : fr_milvus_mut("{}")},
                 {"limit", fr_milvus_text(&rest->call, "%lld", (long long)fr_milvus_rest_int(rest->root, "limit", LIMIT_DEFAULT))},
                 {"offset", fr_milvus_text(&rest->call, "%lld", (long long)fr_milvus_rest_int(rest->root, "offset", 0))},
                 {"round_decimal", fr_milvus_mut("-1")}};
    for (size_t i = 0; i < FR_COUNT_OF(pairs); i++) {
        Milvus__KeyValuePair *pair = pair_of(rest, pairs[i].key, pairs[i].value);
        if (pair) in->rank_params[in->n_rank_params++] = pair;
    }
    in->output_fields = fr_milvus_rest_texts(rest, rest->root, "outputFields", &in->n_output_fields);
    in->partition_names = fr_milvus_rest_texts(rest, rest->root, "partitionNames", &in->n_partition_names);
    in->use_default_consistency = true;
    begin(rest, "HybridSearch", in);
    return true;
}

fr_milvus_next fr_milvus_rest_hybrid_search(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    if (!rest->running && !hybrid_build(door, rest)) return FR_MILVUS_REPLY;
    fr_milvus_next next = fr_milvus_rest_go_on(door, rest, worker);
    if (next != FR_MILVUS_REPLY || !fr_milvus_rest_good(rest)) return next;
    return hits_out(rest, worker);
}
