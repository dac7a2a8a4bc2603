/* test_json_out.c: the JSON writer. jansson reads back what it wrote. */
#include "api/http/json_num.h"
#include "api/http/json_out.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <float.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>

static fr_out out;

static int setup(void **state)
{
    (void)state;
    fr_out_free(&out);
    out = (fr_out){.limit = 0};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fr_out_free(&out);
    return 0;
}

static void expect(const char *text)
{
    assert_int_equal(out.code, FR_OK);
    assert_int_equal(out.size, strlen(text));
    assert_memory_equal(out.data, text, out.size);
}

static void separators_set_themselves(void **state)
{
    (void)state;
    fr_out_begin(&out, '{');
    fr_out_key(&out, "a");
    fr_out_int(&out, INT64_MIN);
    fr_out_key(&out, "b");
    fr_out_begin(&out, '[');
    fr_out_bool(&out, true);
    fr_out_null(&out);
    fr_out_uint(&out, UINT64_MAX);
    fr_out_begin(&out, '[');
    fr_out_end(&out, ']');
    fr_out_begin(&out, '{');
    fr_out_end(&out, '}');
    fr_out_end(&out, ']');
    fr_out_key(&out, "c");
    fr_out_cstring(&out, "");
    fr_out_end(&out, '}');
    expect("{\"a\":-9223372036854775808,\"b\":[true,null,18446744073709551615,[],{}],\"c\":\"\"}");
}

static void strings_survive_a_reader(void **state)
{
    (void)state;
    char text[130];
    for (int i = 0; i < 128; i++) text[i] = (char)(i + 1);
    text[127] = '{';
    fr_out_begin(&out, '[');
    fr_out_string(&out, fr_span_of(text, 128));
    fr_out_cstring(&out, "J\xc3\xb6rg \xf0\x9f\x8d\x8a [");
    fr_out_string(&out, fr_span_of("a\0b", 3));
    fr_out_end(&out, ']');
    json_t *root = json_loadb(out.data, out.size, JSON_ALLOW_NUL, NULL);
    assert_non_null(root);
    assert_int_equal(json_array_size(root), 3);
    json_t *first = json_array_get(root, 0);
    assert_int_equal(json_string_length(first), 128);
    assert_memory_equal(json_string_value(first), text, 128);
    assert_string_equal(json_string_value(json_array_get(root, 1)), "J\xc3\xb6rg \xf0\x9f\x8d\x8a [");
    assert_int_equal(json_string_length(json_array_get(root, 2)), 3);
    json_decref(root);
}

static void every_float_reads_back(void **state)
{
    (void)state;
    static const float edges[] = {0.0f, -0.0f, 1.0f, FLT_MIN, FLT_MAX, -FLT_MAX, FLT_TRUE_MIN, 0.1f, 1e10f, 16777217.0f, 1e-7f};
    uint64_t seed = 7;
    for (int i = 0; i < 200000; i++) {
        float value;
        uint32_t bits = (uint32_t)(fr_mix64(seed++) >> 16);
        memcpy(&value, &bits, sizeof value);
        if (i < (int)FR_COUNT_OF(edges)) value = edges[i];
        if (!isfinite(value)) continue;
        char text[FR_JSON_NUM_BYTES + 1];
        text[fr_json_float(text, value)] = 0;
        float back = strtof(text, NULL);
        assert_memory_equal(&back, &value, sizeof back);
    }
}

static void every_double_reads_back(void **state)
{
    (void)state;
    uint64_t seed = 11;
    for (int i = 0; i < 100000; i++) {
        double value;
        uint64_t bits = fr_mix64(seed++);
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value)) continue;
        char text[FR_JSON_NUM_BYTES + 1];
        text[fr_json_double(text, value)] = 0;
        double back = strtod(text, NULL);
        assert_memory_equal(&back, &value, sizeof back);
    }
}

static void not_finite_is_null(void **state)
{
    (void)state;
    fr_out_begin(&out, '[');
    fr_out_float(&out, INFINITY);
    fr_out_double(&out, (double)NAN);
    fr_out_float(&out, 1.5f);
    fr_out_end(&out, ']');
    expect("[null,null,1.5]");
}

static void documents_keep_their_types(void **state)
{
    (void)state;
    fr_doc_builder b = {0};
    fr_span bytes;
    fr_doc_begin_object(&b);
    fr_doc_put_key(&b, "i", 1);
    fr_doc_put_int(&b, 1);
    fr_doc_put_key(&b, "f", 1);
    fr_doc_put_float(&b, 1);
    fr_doc_put_key(&b, "e", 1);
    fr_doc_put_float(&b, 1e300);
    fr_doc_put_key(&b, "list", 4);
    fr_doc_begin_array(&b);
    fr_doc_put_null(&b);
    fr_doc_put_bool(&b, false);
    fr_doc_put_string(&b, "q\"", 2);
    fr_doc_end_array(&b);
    fr_doc_end_object(&b);
    assert_int_equal(fr_doc_finish(&b, &bytes), FR_OK);
    fr_out_doc(&out, fr_doc_root(bytes));
    expect("{\"i\":1,\"f\":1.0,\"e\":1e+300,\"list\":[null,false,\"q\\\"\"]}");
    fr_doc_free(&b);
}

static void limit_is_sticky(void **state)
{
    (void)state;
    out.limit = 100;
    for (int i = 0; i < 100; i++) fr_out_cstring(&out, "0123456789");
    assert_int_equal(out.code, FR_ERR_TOO_LARGE);
    assert_true(out.size <= 100);
    fr_out_reset(&out);
    fr_out_cstring(&out, "x");
    expect("\"x\"");
}

static void memory_failure_is_sticky(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 4; nth++) {
        fr_out_free(&out);
        fr_mem_fail_at(nth);
        for (int i = 0; i < 400; i++) fr_out_cstring(&out, "0123456789");
        fr_mem_fail_at(0);
        assert_int_equal(out.code, FR_ERR_NO_MEMORY);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(separators_set_themselves, setup), cmocka_unit_test_setup(strings_survive_a_reader, setup),
        cmocka_unit_test_setup(every_float_reads_back, setup),    cmocka_unit_test_setup(every_double_reads_back, setup),
        cmocka_unit_test_setup(not_finite_is_null, setup),        cmocka_unit_test_setup(documents_keep_their_types, setup),
        cmocka_unit_test_setup(limit_is_sticky, setup),           cmocka_unit_test_setup(memory_failure_is_sticky, setup),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
