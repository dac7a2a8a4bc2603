/* test_filter_values.c: filters with values of the request ({name}), with text (text_match, phrase_match), with declared fields. */
#include "index/filter.h"
#include "tests/unit/doc_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static const char document[] = "{\"n\": 7, \"s\": \"red\", \"b\": true, \"a\": [1, 2, 3], \"j\": {\"x\": 1}, \"txt\": \"The quick brown fox jumps, quick!\","
                               " \"none\": null, \"fx\": 2.5}";
static const char values[] = "{\"n\": 7, \"l\": [1, 7, 9], \"s\": \"red\", \"ls\": [\"blue\", \"red\"], \"t\": true, \"f\": 7.0, \"e\": [], \"o\": {}, \"z\": null,"
                             " \"q\": \"quick fox\"}";

static const fr_field_def fields[] = {
    {.name = "id", .type = FR_TYPE_INT64, .primary = true}, {.name = "v", .type = FR_TYPE_VECTOR_F32, .dimension = 2},
    {.name = "n", .type = FR_TYPE_INT32}, {.name = "s", .type = FR_TYPE_VARCHAR}, {.name = "b", .type = FR_TYPE_BOOL},
    {.name = "a", .type = FR_TYPE_ARRAY, .element_type = FR_TYPE_INT64}, {.name = "j", .type = FR_TYPE_JSON},
    {.name = "txt", .type = FR_TYPE_VARCHAR}, {.name = "none", .type = FR_TYPE_VARCHAR}, {.name = "fx", .type = FR_TYPE_DOUBLE},
};
static const fr_filter_schema plain = {.key_name = "id", .id_type = FR_ID_ANY};
static const fr_filter_schema strict = {.key_name = "id", .id_type = FR_ID_INT64, .fields = fields, .field_count = FR_COUNT_OF(fields), .no_dynamic = true};

static char judge(const char *text, const fr_filter_schema *schema, fr_span params, fr_err *err)
{
    static fr_doc_builder builder;
    fr_filter_row row = {.key = fr_span_text("42"), .key_is_int = true, .metadata = fr_doc_root(doc_from_text(&builder, document))};
    fr_filter *yes, *no = NULL;
    char negated[300];
    snprintf(negated, sizeof negated, "not (%s)", text);
    if (fr_filter_compile(fr_span_text(text), schema, params, &yes, err) != FR_OK) return 'E';
    assert_int_equal(fr_filter_compile(fr_span_text(negated), schema, params, &no, err), FR_OK);
    char result = fr_filter_match(yes, &row) ? 'T' : fr_filter_match(no, &row) ? 'F' : 'U';
    assert_false(fr_filter_match(yes, &row) && fr_filter_match(no, &row));
    fr_filter_free(yes);
    fr_filter_free(no);
    fr_doc_free(&builder);
    return result;
}

typedef struct row {
    const char *text;
    char want;
    const char *part; /* of the error */
} row;

static void run(const row *rows, size_t count, const fr_filter_schema *schema, const char *params_text)
{
    fr_doc_builder builder = {.data = NULL};
    fr_span params = params_text != NULL ? doc_from_text(&builder, params_text) : (fr_span){NULL, 0};
    unsigned wrong = 0;
    for (size_t i = 0; i < count; i++) {
        fr_err err = {.code = FR_OK};
        char got = judge(rows[i].text, schema, params, &err);
        bool good = got == rows[i].want && (rows[i].part == NULL || strstr(err.text, rows[i].part) != NULL);
        if (!good) print_error("%s: want %c, got %c %s\n", rows[i].text, rows[i].want, got, err.text);
        wrong += !good;
    }
    assert_int_equal(wrong, 0);
    fr_doc_free(&builder);
    assert_int_equal(fr_mem_used(FR_MEM_SEARCH), 0);
}

static void templates(void **state)
{
    (void)state;
    static const row rows[] = {
        {"n == {n}", 'T', NULL}, {"n == {f}", 'T', NULL}, {"n != {n}", 'F', NULL}, {"n in {l}", 'T', NULL}, {"n not in {l}", 'F', NULL},
        {"n in [ {n}, 100 ]", 'T', NULL}, {"s == {s} and s in {ls}", 'T', NULL}, {"b == {t}", 'T', NULL}, {"n in {e}", 'F', NULL},
        {"json_contains_any(a, {l})", 'T', NULL}, {"array_contains(a, {n})", 'F', NULL}, {"n + {n} == 14", 'T', NULL}, {"a == {l}", 'F', NULL},
        {"s like {s}", 'T', NULL}, {"id in {l}", 'F', NULL}, {"text_match(txt, {q})", 'T', NULL}, {"{t}", 'T', NULL}, {"missing == {n}", 'U', NULL},
        {"n == {x}", 'E', "template variable name {x} is not found"}, {"n == {o}", 'E', "must be a number"}, {"n == {z}", 'E', "must be a number"},
        {"n == {n", 'E', "expected '}'"}, {"n == {}", 'E', "expected a name"}, {"n == {'n'}", 'E', "expected a name"}, {"n = 7", 'E', "equality is '=='"},
    };
    run(rows, FR_COUNT_OF(rows), &plain, values);
    static const row without[] = {{"n == {n}", 'E', "not found"}};
    run(without, 1, &plain, NULL);
}

static void text(void **state)
{
    (void)state;
    static const row rows[] = {
        {"text_match(txt, 'QUICK')", 'T', NULL}, {"TEXT_MATCH(txt, 'slow dog')", 'F', NULL}, {"text_match(txt, 'dog fox')", 'T', NULL},
        {"text_match(txt, 'dog fox quick', minimum_should_match=2)", 'T', NULL}, {"text_match(txt, 'dog fox cat', minimum_should_match=2)", 'F', NULL},
        {"text_match(txt, 'fox', minimum_should_match=2)", 'F', NULL}, {"text_match(txt, '')", 'F', NULL}, {"text_match(none, 'fox')", 'U', NULL},
        {"text_match(n, 'fox')", 'U', NULL}, {"text_match(missing, 'fox')", 'U', NULL},
        {"phrase_match(txt, 'quick brown')", 'T', NULL}, {"phrase_match(txt, 'brown quick')", 'F', NULL}, {"phrase_match(txt, 'quick fox')", 'F', NULL},
        {"phrase_match(txt, 'quick fox', 1)", 'T', NULL}, {"phrase_match(txt, 'jumps quick')", 'T', NULL}, {"phrase_match(txt, 'the jumps', 2)", 'F', NULL},
        {"PHRASE_MATCH(txt, 'the jumps', 3)", 'T', NULL}, {"phrase_match(txt, '')", 'F', NULL}, {"phrase_match(txt, 'quick quick')", 'F', NULL},
        {"text_match('a', 'b')", 'E', "expected a field"}, {"text_match(txt, 7)", 'E', "expected a string"}, {"text_match(txt)", 'E', "','"},
        {"text_match(txt, 'a', minimum_should_match=0)", 'E', "from 1 to 1000"}, {"phrase_match(txt, 'a', 100)", 'E', "64 positions"},
        {"phrase_match(txt, 'a', 'b')", 'E', "slop"},
        {"random_sample(0.999999999)", 'T', NULL}, {"random_sample(0.000000001)", 'F', NULL}, {"random_sample(1)", 'E', "between 0 and 1"},
        {"random_sample(1.5)", 'E', "between 0 and 1"}, {"st_within(n, 'x')", 'E', "not supported yet"},
    };
    run(rows, FR_COUNT_OF(rows), &plain, NULL);
    static const row analyzers[] = {{"text_match(txt, 'quick')", 'T', NULL}, {"text_match(txt, 'the')", 'F', NULL}, {"text_match(s, 'red')", 'E', "not enabled for match"}};
    run(analyzers, FR_COUNT_OF(analyzers), &plain, "{\"$analyzers\": {\"txt\": {\"stop_words\": [\"_english_\"]}}}");
    static const row bad[] = {{"text_match(txt, 'quick')", 'E', "'stemmy'"}};
    run(bad, 1, &plain, "{\"$analyzers\": {\"txt\": {\"type\": \"stemmy\"}}}");
}

static void declared(void **state)
{
    (void)state;
    static const row rows[] = {
        {"n == 7 and s == 'red' and b and fx > 2", 'T', NULL}, {"a[0] == 1", 'T', NULL}, {"j['x'] == 'a'", 'U', NULL}, {"j == 1", 'U', NULL},
        {"n == 7.5", 'F', NULL}, {"fx in [1, 2.5]", 'T', NULL}, {"id in [1, 42]", 'T', NULL}, {"id > 41", 'T', NULL}, {"n < fx", 'F', NULL},
        {"array_length(a) == 3", 'T', NULL}, {"json_contains(a, 2)", 'T', NULL}, {"none is null", 'T', NULL}, {"$meta['zzz'] == 1", 'U', NULL},
        {"zzz > 1", 'E', "field zzz not exist"}, {"n == 7 and zzz is null", 'E', "field zzz not exist"}, {"v == 1", 'E', "field v is a FloatVector"},
        {"s > 5", 'E', "comparisons between VarChar and Int64 are not supported"}, {"5 < s", 'E', "VarChar and Int64"}, {"n == 'x'", 'E', "Int32 and VarChar"},
        {"b == 1", 'E', "Bool and Int64"}, {"b == 'true'", 'E', "Bool and VarChar"}, {"n == true", 'E', "Int32 and Bool"}, {"s == n", 'E', "VarChar and Int32"},
        {"id == 'x'", 'E', "Int64 and VarChar"}, {"id in ['x']", 'E', "a string in the list cannot be casted to Int64"}, {"n in [1, 'x']", 'E', "a string"},
        {"s in [1]", 'E', "a number in the list cannot be casted to VarChar"}, {"a[0] in ['x']", 'E', "a string"}, {"a[0] == 'x'", 'E', "Int64 and VarChar"},
        {"a == 1", 'E', "Array and Int64"}, {"a['x'] == 1", 'E', "accessed with []"}, {"n[0] == 1", 'E', "accessed with []"}, {"n['x'] == 1", 'E', "accessed with []"},
        {"n like 'x'", 'E', "like operation"}, {"s + 1 == 2", 'E', "arithmetic operation"}, {"n", 'E', "not a boolean expression"},
        {"json_contains(s, 'r')", 'E', "contains operation"}, {"array_length(s) == 1", 'E', "array_length operation"}, {"text_match(n, 'x')", 'E', "text match operation"},
    };
    run(rows, FR_COUNT_OF(rows), &strict, NULL);
    fr_filter_schema dynamic = strict;
    dynamic.no_dynamic = false;
    static const row open[] = {{"zzz > 1", 'U', NULL}, {"zzz is null", 'T', NULL}, {"s > 5", 'E', "VarChar and Int64"}};
    run(open, FR_COUNT_OF(open), &dynamic, NULL);
}

/* 20,000 values: compiled at once, looked up by binary search, and as keys. */
static void many_values(void **state)
{
    (void)state;
    fr_doc_builder builder = {.limit = 4u << 20};
    fr_doc_begin_object(&builder);
    fr_doc_put_key(&builder, "l", 1);
    fr_doc_begin_array(&builder);
    for (int i = 0; i < 20000; i++) fr_doc_put_int(&builder, i * 3);
    fr_doc_end_array(&builder);
    fr_doc_end_object(&builder);
    fr_span params;
    assert_int_equal(fr_doc_finish(&builder, &params), FR_OK);
    fr_filter *filter;
    const fr_span *keys;
    assert_int_equal(fr_filter_compile(fr_span_text("id in {l} and n > 0"), &plain, params, &filter, NULL), FR_OK);
    assert_int_equal(fr_filter_keys(filter, &keys), 20000);
    for (int i = 1; i < 20000; i++) assert_true(fr_span_compare(keys[i - 1], keys[i]) < 0);
    fr_filter_free(filter);
    fr_err err;
    assert_int_equal(judge("n in {l}", &plain, params, &err), 'F');
    assert_int_equal(judge("n + 2 in {l}", &plain, params, &err), 'T');
    assert_int_equal(judge("json_contains_any(a, {l})", &plain, params, &err), 'E'); /* 16,384 */
    params = (fr_span){params.data, params.size - 1};
    assert_int_equal(fr_filter_compile(fr_span_text("n in {l}"), &plain, params, &filter, NULL), FR_ERR_INVALID);
    fr_doc_free(&builder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(templates), cmocka_unit_test(text), cmocka_unit_test(declared), cmocka_unit_test(many_values)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
