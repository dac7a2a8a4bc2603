/* test_milvus_columns.c: columns to events and back. The layout of nulls is the point: a request's column has values for its valid rows
 * only (or for all), an answer's scalar column one for every row, its vector column again only the valid ones. */
#include "api/http/json_dom.h"
#include "api/milvus/milvus_entities.h"
#include "server/engine/engine.h"
#include "tests/unit/doc_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

enum { ID, S, N, A, J, V, FIELDS };
static fr_milvus_field fields[FIELDS] = {
    [ID] = {.id = 100, .name = "id", .type = FR_TYPE_INT64, .primary = true, .vector = -1},
    [S] = {.id = 101, .name = "s", .type = FR_TYPE_VARCHAR, .max_length = 5, .nullable = true, .vector = -1},
    [N] = {.id = 102, .name = "n", .type = FR_TYPE_INT8, .vector = -1},
    [A] = {.id = 103, .name = "a", .type = FR_TYPE_ARRAY, .element_type = FR_TYPE_INT64, .max_capacity = 2, .nullable = true, .vector = -1},
    [J] = {.id = 104, .name = "j", .type = FR_TYPE_JSON, .nullable = true, .vector = -1},
    [V] = {.id = 105, .name = "v", .type = FR_TYPE_VECTOR_F32, .dimension = 2, .nullable = true, .engine_field = 2, .vector = 0},
};
static fr_milvus_partition partition = {.id = 0, .name = "_default"};
static fr_milvus_schema schema = {.name = "c", .database = "default", .fields = fields, .field_count = FIELDS, .partition_key = -1, .dynamic = true,
                                  .partitions = &partition, .partition_count = 1, .loaded = true};
static fr_milvus_rpc rpc = {.name = "Insert", .request = &milvus__insert_request__descriptor, .reply = &milvus__mutation_result__descriptor};
static fr_milvus_call call;
static fr_milvus_worker worker;

/* ==== a request ==== */

static int64_t keys[3] = {7, 8, 9};
static int32_t numbers[2] = {-128, 127};
static float vectors[4] = {1, 2, 3, 4};
static int64_t elements[2] = {5, 6};
static protobuf_c_boolean valid[3][3] = {{true, false, true}, {false, true, false}, {true, true, false}};
static ProtobufCBinaryData texts[3], jsons[3], metas[3];

static ProtobufCBinaryData bytes(const char *text) { return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text}; }

static Milvus__LongArray long_array = {PROTOBUF_C_MESSAGE_INIT(&milvus__long_array__descriptor), 3, keys};
static Milvus__StringArray string_array = {PROTOBUF_C_MESSAGE_INIT(&milvus__string_array__descriptor), 2, texts};
static Milvus__IntArray int_array = {PROTOBUF_C_MESSAGE_INIT(&milvus__int_array__descriptor), 2, numbers};
static Milvus__LongArray element_array = {PROTOBUF_C_MESSAGE_INIT(&milvus__long_array__descriptor), 2, elements};
static Milvus__ScalarField element_field = MILVUS__SCALAR_FIELD__INIT;
static Milvus__ScalarField *element_fields[1] = {&element_field};
static Milvus__ArrayArray array_array = {PROTOBUF_C_MESSAGE_INIT(&milvus__array_array__descriptor), 1, element_fields, FR_TYPE_INT64};
static Milvus__JSONArray json_array = {PROTOBUF_C_MESSAGE_INIT(&milvus__jsonarray__descriptor), 3, jsons};
static Milvus__JSONArray meta_array = {PROTOBUF_C_MESSAGE_INIT(&milvus__jsonarray__descriptor), 3, metas};
static Milvus__FloatArray float_array = {PROTOBUF_C_MESSAGE_INIT(&milvus__float_array__descriptor), 4, vectors};
static Milvus__ScalarField scalars[FIELDS + 1];
static Milvus__VectorField vector;
static Milvus__FieldData columns[FIELDS + 1];
static Milvus__FieldData *list[FIELDS + 1];

static void make_request(void)
{
    Milvus__ScalarField empty = MILVUS__SCALAR_FIELD__INIT;
    Milvus__VectorField no_vector = MILVUS__VECTOR_FIELD__INIT;
    Milvus__FieldData no_column = MILVUS__FIELD_DATA__INIT;
    texts[0] = bytes("a"), texts[1] = bytes("c"), texts[2] = bytes("x");
    jsons[0] = bytes("{\"k\": [1, null]}"), jsons[1] = bytes("null"), jsons[2] = bytes("2.5");
    metas[0] = bytes("{\"d\": 1, \"e\": \"\\u00e9\"}"), metas[1] = bytes("{}"), metas[2] = bytes("{\"d\": {\"x\": true}}");
    element_field.data_case = MILVUS__SCALAR_FIELD__DATA_LONG_DATA, element_field.long_data = &element_array;
    vector = no_vector;
    vector.dim = 2, vector.data_case = MILVUS__VECTOR_FIELD__DATA_FLOAT_VECTOR, vector.float_vector = &float_array;
    for (int i = 0; i <= FIELDS; i++) {
        scalars[i] = empty, columns[i] = no_column, list[i] = &columns[i];
        columns[i].field_name = (char *)(uintptr_t)(i < FIELDS ? fields[i].name : "$meta");
        columns[i].field_case = MILVUS__FIELD_DATA__FIELD_SCALARS, columns[i].scalars = &scalars[i];
    }
    scalars[ID].data_case = MILVUS__SCALAR_FIELD__DATA_LONG_DATA, scalars[ID].long_data = &long_array;
    scalars[S].data_case = MILVUS__SCALAR_FIELD__DATA_STRING_DATA, scalars[S].string_data = &string_array;
    scalars[N].data_case = MILVUS__SCALAR_FIELD__DATA_INT_DATA, scalars[N].int_data = &int_array;
    scalars[A].data_case = MILVUS__SCALAR_FIELD__DATA_ARRAY_DATA, scalars[A].array_data = &array_array;
    scalars[J].data_case = MILVUS__SCALAR_FIELD__DATA_JSON_DATA, scalars[J].json_data = &json_array;
    scalars[FIELDS].data_case = MILVUS__SCALAR_FIELD__DATA_JSON_DATA, scalars[FIELDS].json_data = &meta_array;
    columns[FIELDS].is_dynamic = true;
    columns[V].field_case = MILVUS__FIELD_DATA__FIELD_VECTORS, columns[V].vectors = &vector;
    columns[S].valid_data = valid[0], columns[S].n_valid_data = 3; /* a, null, c: two values */
    columns[N].valid_data = valid[0], columns[N].n_valid_data = 3; /* -128, the default, 127 */
    columns[A].valid_data = valid[1], columns[A].n_valid_data = 3; /* null, [5, 6], null */
    columns[V].valid_data = valid[2], columns[V].n_valid_data = 3; /* (1, 2), (3, 4), null */
    string_array.n_data = 2, long_array.n_data = 3, float_array.n_data = 4, int_array.n_data = 2, element_array.n_data = 2;
    numbers[0] = -128;
}

static bool begin(fr_milvus_rows *rows, const char *part)
{
    *rows = (fr_milvus_rows){.schema = &schema, .worker = &worker};
    return fr_milvus_rows_begin(&call, rows, list, FIELDS + 1, 3, part);
}

static void expect(fr_doc document, const char *text)
{
    fr_doc_builder builder = {.data = NULL};
    fr_milvus_json_text out = {.arena = &call.arena};
    fr_milvus_json_value(&out, document);
    fr_doc want = fr_doc_root(doc_from_text(&builder, text));
    bool same = fr_doc_equal(document, want);
    if (!same) print_error("got %.*s, want %s\n", (int)out.size, out.data, text);
    assert_true(same);
    fr_doc_free(&builder);
}

static const char *const documents[3] = {"{\"s\": \"a\", \"n\": -128, \"j\": {\"k\": [1, null]}, \"d\": 1, \"e\": \"\xc3\xa9\"}",
                                         "{\"n\": 7, \"a\": [5, 6], \"j\": null}", "{\"s\": \"c\", \"n\": 127, \"j\": 2.5, \"d\": {\"x\": true}}"};

static void check_events(fr_batch *batch)
{
    size_t at = 0;
    fr_stored_event event;
    for (int i = 0; i < 3; i++) {
        fr_decoded decoded;
        fr_value values[FR_FIELDS_MAX];
        assert_true(fr_engine_event_next(batch, &at, &event));
        char key[16];
        snprintf(key, sizeof key, "%d", 7 + i);
        assert_true((event.flags & FR_EVENT_KEY_IS_INT) != 0 && fr_span_equal(event.key, fr_span_text(key)));
        assert_int_equal(fr_engine_decode(event.value, &decoded, values, NULL), FR_OK);
        assert_int_equal(decoded.value_count, i < 2 ? 2 : 1);
        if (i < 2) {
            assert_int_equal(values[0].field, 2);
            assert_int_equal(values[0].type, FR_TYPE_VECTOR_F32);
            assert_memory_equal(values[0].bytes.data, vectors + i * 2, 8);
        }
        expect(fr_doc_root(decoded.metadata), documents[i]);
    }
    assert_false(fr_engine_event_next(batch, &at, &event));
}

static void compact_columns(void **state)
{
    (void)state;
    make_request();
    fr_milvus_rows rows;
    fr_batch batch = {.data = NULL};
    assert_true(begin(&rows, ""));
    assert_int_equal(fr_milvus_rows_put(&rows, &batch, &call.err), FR_OK);
    check_events(&batch);
    Milvus__IDs *ids = fr_milvus_rows_ids(&call, &rows);
    assert_int_equal(ids->int_id->n_data, 3);
    assert_int_equal(ids->int_id->data[2], 9);
    fr_milvus_rows_free(&rows);
    fr_batch_free(&batch);
    fr_milvus_call_reset(NULL, &call);
    call.rpc = &rpc;
}

static void dense_columns(void **state)
{
    (void)state;
    make_request();
    fr_milvus_rows rows;
    fr_batch batch = {.data = NULL};
    texts[1] = bytes("ignored"), texts[2] = bytes("c"); /* a value for the null row, too: longer than allowed, and not looked at */
    string_array.n_data = 3;
    assert_true(begin(&rows, ""));
    assert_int_equal(fr_milvus_rows_put(&rows, &batch, &call.err), FR_OK);
    check_events(&batch);
    fr_milvus_rows_free(&rows);
    fr_batch_free(&batch);
    fr_milvus_call_reset(NULL, &call);
    call.rpc = &rpc;
}

static void refused_at_once(const char *part, const char *where)
{
    fr_milvus_rows rows;
    bool fine = begin(&rows, where);
    const Milvus__Status *status = fr_milvus_status_of(&call);
    if (fine || !strstr(status->reason, part)) print_error("want %s, got %s\n", part, status->reason);
    assert_false(fine);
    assert_non_null(strstr(status->reason, part));
    fr_milvus_rows_free(&rows);
    fr_milvus_call_reset(NULL, &call);
    call.rpc = &rpc;
    make_request();
}

static void refused_row(const char *part)
{
    fr_milvus_rows rows;
    fr_batch batch = {.data = NULL};
    assert_true(begin(&rows, ""));
    fr_code code = fr_milvus_rows_put(&rows, &batch, &call.err);
    if (code == FR_OK || !strstr(call.err.text, part)) print_error("want %s, got %s\n", part, call.err.text);
    assert_true(code != FR_OK && strstr(call.err.text, part) != NULL);
    fr_milvus_rows_free(&rows);
    fr_batch_free(&batch);
    fr_milvus_call_reset(NULL, &call);
    call.rpc = &rpc;
    make_request();
}

static void lies(void **state)
{
    (void)state;
    make_request();
    long_array.n_data = 2;
    refused_at_once("num_rows (2) of field (id)", "");
    string_array.n_data = 1;
    refused_at_once("of field (s)", "");
    columns[S].n_valid_data = 2;
    refused_at_once("length of valid_data", "");
    columns[ID].valid_data = valid[0], columns[ID].n_valid_data = 3;
    refused_at_once("id is not nullable", "");
    vector.dim = 3;
    refused_at_once("the dim (3)", "");
    float_array.n_data = 3;
    refused_at_once("should divide the dim", "");
    list[A] = list[N];
    refused_at_once("duplicated field n", "");
    static char other[] = "other";
    columns[S].field_name = other;
    refused_at_once("fieldName other not exist in collection schema", "");
    scalars[N].data_case = MILVUS__SCALAR_FIELD__DATA_BOOL_DATA;
    refused_at_once("n is not of its type", "");
    vector.data_case = MILVUS__VECTOR_FIELD__DATA_INT8_VECTOR, vector.int8_vector = bytes("1234");
    refused_at_once("v is not of its type", "");
    meta_array.n_data = 2;
    refused_at_once("dynamic field must be one JSON column", "");
    meta_array.n_data = 3;
    refused_at_once("partition not found", "nope");
    texts[1] = bytes("123456");
    refused_row("length of varchar field s exceeds max length, row number: 2, length: 6, max length: 5");
    texts[0] = bytes("\xff");
    refused_row("not UTF-8");
    numbers[0] = -129;
    refused_row("element (-129) out of range: [-128, 127]");
    fields[A].max_capacity = 1;
    refused_row("exceeds max capacity (1)");
    fields[A].max_capacity = 2;
    element_field.data_case = MILVUS__SCALAR_FIELD__DATA_BOOL_DATA;
    refused_row("element type");
    jsons[0] = bytes("{");
    refused_row("field j, row number: 0");
    metas[1] = bytes("[]");
    refused_row("must be a JSON object");
    metas[1] = bytes("{\"$p\": 1}");
    refused_row("may not begin with '$'");
    metas[1] = bytes("{\"n\": 1}");
    refused_row("dynamic field name cannot include the static field name: n");
    metas[1] = bytes("{\"x\": 1, \"x\": 2}");
    refused_row("JSON");
}

static void out_columns(void **state)
{
    (void)state;
    fr_doc_builder builders[3] = {{.data = NULL}, {.data = NULL}, {.data = NULL}};
    fr_hit hits[3] = {{.key = fr_span_text("7")}, {.key = fr_span_text("-8")}, {.key = fr_span_text("9")}};
    for (int i = 0; i < 3; i++) hits[i].metadata = doc_from_text(&builders[i], documents[i]);
    hits[0].vectors[0] = (fr_span){vectors, 8}, hits[2].vectors[0] = (fr_span){vectors + 2, 8};
    static char star[] = "*", one[] = "d", n_name[] = "n", missing[] = "zzz";
    char *wanted[] = {star};
    fr_milvus_output output;
    Milvus__FieldData **out;
    size_t count;
    assert_true(fr_milvus_output_resolve(&call, &schema, wanted, 1, true, &output));
    assert_true(fr_milvus_output_columns(&call, &output, hits, 3, &out, &count));
    assert_int_equal(count, FIELDS + 1);
    assert_int_equal(out[ID]->scalars->long_data->data[1], -8);
    assert_int_equal(out[ID]->n_valid_data, 0);
    assert_int_equal(out[S]->scalars->string_data->n_data, 3); /* dense */
    assert_int_equal(out[S]->n_valid_data, 3);
    assert_true(out[S]->valid_data[0] && !out[S]->valid_data[1] && out[S]->valid_data[2]);
    assert_int_equal(out[N]->n_valid_data, 0);
    assert_int_equal(out[N]->scalars->int_data->data[1], 7);
    assert_int_equal(out[A]->scalars->array_data->n_data, 3);
    assert_int_equal(out[A]->scalars->array_data->data[1]->long_data->n_data, 2);
    assert_int_equal(out[A]->scalars->array_data->data[0]->long_data->n_data, 0);
    assert_memory_equal(out[J]->scalars->json_data->data[0].data, "{\"k\": [1, null]}", 16);
    assert_false(out[J]->valid_data[1]);
    assert_int_equal(out[V]->vectors->float_vector->n_data, 4); /* compact: two of three */
    assert_true(out[V]->valid_data[0] && !out[V]->valid_data[1] && out[V]->valid_data[2]);
    assert_true(out[V]->vectors->float_vector->data[2] == 3.0f);
    assert_true(out[FIELDS]->is_dynamic);
    assert_memory_equal(out[FIELDS]->scalars->json_data->data[1].data, "{}", 2);
    assert_memory_equal(out[FIELDS]->scalars->json_data->data[2].data, "{\"d\": {\"x\": true}}", 18);
    char *two[] = {one, n_name};
    assert_true(fr_milvus_output_resolve(&call, &schema, two, 2, false, &output));
    assert_true(output.meta && output.field_count == 1 && output.name_count == 2);
    assert_true(fr_milvus_output_columns(&call, &output, NULL, 0, &out, &count)); /* no rows: columns all the same */
    assert_int_equal(count, 2);
    schema.dynamic = false;
    char *none[] = {missing};
    assert_false(fr_milvus_output_resolve(&call, &schema, none, 1, false, &output));
    schema.dynamic = true;
    for (int i = 0; i < 3; i++) fr_doc_free(&builders[i]);
    fr_milvus_call_reset(NULL, &call);
    call.rpc = &rpc;
}

static void filters(void **state)
{
    (void)state;
    fr_condition condition;
    static char default_name[] = "_default";
    char *names[] = {default_name};
    assert_true(fr_milvus_filter(&call, &worker, &schema, "id in [1, 2, -3]", NULL, 0, NULL, 0, &condition));
    assert_string_equal(condition.filter, "id in {__l0}");
    fr_doc found = fr_milvus_filter_keys(&schema, &condition);
    assert_int_equal(fr_doc_count(found), 3);
    assert_int_equal(fr_doc_int(fr_doc_at(found, 2)), -3);
    assert_true(fr_milvus_filter(&call, &worker, &schema, " ( id in [1,] ) ", NULL, 0, NULL, 0, &condition));
    assert_int_equal(fr_doc_count(fr_milvus_filter_keys(&schema, &condition)), 1);
    assert_true(fr_milvus_filter(&call, &worker, &schema, "s in ['a', \"b\\\"\\n\", 'in [3]'] and id not in [1.5, True]", NULL, 0, names, 1, &condition));
    assert_string_equal(condition.filter, "(s in {__l0} and id not in {__l1}) and ($meta[\"$p\"] is null)");
    expect(fr_doc_root(condition.params), "{\"__l0\": [\"a\", \"b\\\"\\n\", \"in [3]\"], \"__l1\": [1.5, true]}");
    assert_null(fr_milvus_filter_keys(&schema, &condition).data);
    static const char *const kept[] = {"id in [n, 1]", "s in ['\\u0041']", "begin [1]", "id in [1", "s == 'in [1]'", "id in [01]", "id in [1 2]", "a[0] in [[1]]"};
    for (size_t i = 0; i < FR_COUNT_OF(kept); i++) {
        assert_true(fr_milvus_filter(&call, &worker, &schema, kept[i], NULL, 0, NULL, 0, &condition));
        assert_string_equal(condition.filter, kept[i]);
        assert_null(fr_milvus_filter_keys(&schema, &condition).data);
    }
    assert_true(fr_milvus_filter(&call, &worker, &schema, "id in [1] or id in [2]", NULL, 0, NULL, 0, &condition));
    assert_null(fr_milvus_filter_keys(&schema, &condition).data);
    fr_milvus_call_reset(NULL, &call);
    call.rpc = &rpc;
}

int main(void)
{
    fr_doc_builder seven = {.data = NULL};
    fr_milvus_call_init(&call);
    call.rpc = &rpc;
    worker.dom = fr_json_dom_create();
    fields[N].default_value = fr_doc_root(doc_from_text(&seven, "7"));
    const struct CMUnitTest tests[] = {cmocka_unit_test(compact_columns), cmocka_unit_test(dense_columns), cmocka_unit_test(lies),
                                       cmocka_unit_test(out_columns), cmocka_unit_test(filters)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fr_milvus_call_free(NULL, &call);
    fr_json_dom_free(worker.dom);
    fr_doc_free(&seven);
    return failed;
}
