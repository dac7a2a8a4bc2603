/* A collection's records as JSON: what is taken, what is refused, and that what was written comes back. */
#include "server/daemon/kafka_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const fr_json_map plain = {.vector = "vector", .metadata = "metadata", .timestamp = "timestamp", .model_version = "model_version"};

static fr_code in(const fr_json_map *names, const char *text, fr_batch *batch, fr_err *err)
{
    fr_batch_reset(batch);
    return fr_kafka_json_in(names, fr_span_text("k"), fr_span_text(text), batch, err);
}

static void test_taken(void **state)
{
    (void)state;
    fr_batch batch = {0};
    fr_err err = {0};
    fr_json_map mapped = plain, debezium = plain;
    memcpy(mapped.vector, "v", 2);
    debezium.debezium = true;
    assert_int_equal(in(&plain, "{\"vector\":[1,2.5,-3e2],\"metadata\":{\"a\":[1]},\"timestamp\":5,\"model_version\":\"m\"}", &batch, &err), FR_OK);
    assert_int_equal(batch.count, 1);
    assert_int_equal(in(&plain, "{\"entity_id\":7,\"vector\":[1],\"timestamp\":\"2026-11-20T21:44:14Z\",\"metadata\":null}", &batch, &err), FR_OK);
    assert_int_equal(in(&mapped, "{\"v\":[1]}", &batch, &err), FR_OK);
    assert_int_equal(in(&debezium, "{\"payload\":{\"op\":\"c\",\"before\":null,\"after\":{\"vector\":[1]}}}", &batch, &err), FR_OK);
    assert_int_equal(in(&debezium, "{\"op\":\"d\",\"before\":{\"vector\":[1]},\"after\":null}", &batch, &err), FR_OK);
    assert_int_equal(batch.count, 1);
    fr_batch_free(&batch);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *field;
    } cases[] = {{"{\"vector\":[1,\"x\"]}", "vector[1]"}, {"{\"vector\":[]}", "vector"}, {"{\"vector\":[1e39]}", "vector[0]"},
                 {"{\"vector\":[1],\"vector\":[2]}", "vector"}, {"{\"vector\":null}", "vector"}, {"{\"vectors\":[[1]]}", "vector"},
                 {"{\"vector\":7}", "vector"}, {"{}", "vector"}, {"{\"vector\":[1],\"metadata\":[]}", "metadata"},
                 {"{\"vector\":[1],\"timestamp\":\"soon\"}", "timestamp"}, {"{\"vector\":[1],\"timestamp\":1.5}", "timestamp"},
                 {"{\"vector\":[1],\"model_version\":1}", "model_version"}, {"{\"vector\":[1]", NULL}, {"[1]", NULL}, {"", NULL}};
    fr_batch batch = {0};
    for (size_t i = 0; i < FR_COUNT_OF(cases); i++) {
        fr_err err = {0};
        assert_int_equal(in(&plain, cases[i].text, &batch, &err), FR_ERR_INVALID);
        if (cases[i].field) assert_string_equal(err.field, cases[i].field);
    }
    fr_batch_free(&batch);
}

static void test_out(void **state)
{
    (void)state;
    const float numbers[] = {1, 0.1f};
    fr_record record = {.event = {.key = fr_span_text("k"), .source_time_ms = 5, .value_count = 1}};
    record.values[0] = (fr_value){.field = FR_FIELD_VECTOR, .type = FR_TYPE_VECTOR_F32, .bytes = {numbers, sizeof numbers}};
    record.event.values = record.values;
    fr_kafka_out out = {0};
    assert_int_equal(fr_kafka_json_out(&plain, &record, &out), FR_OK);
    assert_true(fr_span_equal(fr_span_of(out.data, out.size), fr_span_text("{\"vector\":[1,0.1],\"timestamp\":5}")));
    fr_kafka_out_free(&out);
}

/* A collection of several vector fields: by name, the first also as `vector`. */
static void test_several_vectors(void **state)
{
    (void)state;
    static const struct {
        const char *text, *field;
    } cases[] = {{"{\"vectors\":{\"other\":[1]}}", "vectors"}, {"{\"vectors\":[1]}", "vectors"}, {"{\"vector\":[1],\"vectors\":{\"title\":[1]}}", "title"},
                 {"{\"vectors\":{\"words\":[1]}}", "words"}, {"{\"vectors\":{\"body\":7}}", "body"}, {"{}", "vector"}};
    fr_json_map several = plain;
    several.vectors[0] = (struct fr_json_vector){"title", 100, FR_TYPE_VECTOR_F32};
    several.vectors[1] = (struct fr_json_vector){"body", 101, FR_TYPE_VECTOR_F32};
    several.vectors[2] = (struct fr_json_vector){"words", 102, FR_TYPE_VECTOR_SPARSE};
    several.vector_count = 3;
    fr_batch batch = {0};
    fr_err err = {0};
    assert_int_equal(in(&several, "{\"vectors\":{\"body\":[1,2],\"title\":[3]}}", &batch, &err), FR_OK);
    assert_int_equal(in(&several, "{\"vector\":[3],\"vectors\":{\"body\":[1,2],\"words\":null},\"metadata\":{\"a\":1}}", &batch, &err), FR_OK);
    assert_int_equal(batch.count, 1);
    for (size_t i = 0; i < FR_COUNT_OF(cases); i++) {
        assert_int_equal(in(&several, cases[i].text, &batch, &err), FR_ERR_INVALID);
        assert_string_equal(err.field, cases[i].field);
    }
    fr_batch_free(&batch);
    const float title[] = {3}, body[] = {1, 2};
    fr_record record = {.event = {.key = fr_span_text("k"), .source_time_ms = FR_TIME_NONE, .value_count = 2}};
    record.values[0] = (fr_value){.field = 101, .type = FR_TYPE_VECTOR_F32, .bytes = {body, sizeof body}};
    record.values[1] = (fr_value){.field = 100, .type = FR_TYPE_VECTOR_F32, .bytes = {title, sizeof title}};
    record.event.values = record.values;
    fr_kafka_out out = {0};
    assert_int_equal(fr_kafka_json_out(&several, &record, &out), FR_OK);
    assert_true(fr_span_equal(fr_span_of(out.data, out.size), fr_span_text("{\"vector\":[3],\"vectors\":{\"body\":[1,2]}}")));
    fr_kafka_out_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_taken), cmocka_unit_test(test_refused), cmocka_unit_test(test_out),
                                       cmocka_unit_test(test_several_vectors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
