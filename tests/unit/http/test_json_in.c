/* test_json_in.c: request bodies. Refusals name the field; what is accepted arrives bit for bit; jansson is the oracle of what
 * is JSON at all. */
#include "api/http/json_in.h"
#include "api/http/json_out.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>
#include <jansson.h>

static fr_json_dom *dom;
static fr_arena arena;
static fr_doc_builder rest, scratch[2];
static fr_batch batch;
static fr_err err;
static fr_json_schema schema;

static fr_code embed_three(void *user, fr_span text, float *out, fr_err *e)
{
    (void)user;
    if (text.size == 0) return fr_fail(e, FR_ERR_INVALID, NULL, "empty");
    out[0] = (float)text.size, out[1] = 1, out[2] = 2;
    return FR_OK;
}

static int open_all(void **state)
{
    (void)state;
    dom = fr_json_dom_create();
    fr_arena_init(&arena, FR_MEM_TEST, 0);
    return dom ? 0 : -1;
}

static int close_all(void **state)
{
    (void)state;
    fr_json_dom_free(dom);
    fr_arena_free(&arena);
    fr_doc_free(&rest);
    fr_doc_free(&scratch[0]);
    fr_doc_free(&scratch[1]);
    fr_batch_free(&batch);
    return 0;
}

static fr_json_body body_of(const char *text, size_t size) { return (fr_json_body){{text, size}, size}; }

static fr_code upsert_text(const char *text, size_t size)
{
    fr_arena_reset(&arena);
    fr_doc_reset(&rest);
    fr_batch_reset(&batch);
    memset(&err, 0, sizeof err);
    return fr_json_in_upsert(dom, body_of(text, size), &schema, &arena, &rest, scratch, &batch, &err);
}

static fr_json_schema one_field(uint32_t dimension, fr_metric metric, fr_type type)
{
    return (fr_json_schema){.field_count = 1, .fields = {{.name = "vector", .id = FR_FIELD_VECTOR, .form = {type, metric, dimension}}}};
}
#define F32(dimension, metric) one_field(dimension, metric, FR_TYPE_VECTOR_F32)

static fr_code upsert(const char *text)
{
    schema = F32(3, FR_METRIC_L2);
    return upsert_text(text, strlen(text));
}

static void refused(const char *text, const char *field)
{
    fr_code code = upsert(text);
    if (code != FR_ERR_INVALID || strcmp(err.field, field) != 0)
        print_error("%s\n -> %s field \"%s\" text \"%s\", wanted \"%s\"\n", text, fr_strcode(code), err.field, err.text, field);
    assert_int_equal(code, FR_ERR_INVALID);
    assert_string_equal(err.field, field);
    assert_true(err.text[0] != 0);
}

static void good_records_are_taken(void **state)
{
    (void)state;
    assert_int_equal(upsert("{\"records\":[{\"id\":\"a\",\"vector\":[1,2.5,-3e0]},{\"id\":-7,\"vector\":[0,0,0],\"metadata\":{\"x\":"
                            "{\"y\":[1,2]}},\"event_id\":\"e\",\"timestamp\":\"2026-01-02T03:04:05Z\",\"model_version\":\"m\"}],"
                            "\"ack\":\"durable\"}"),
                     FR_OK);
    assert_int_equal(batch.count, 2);
    fr_span bytes;
    assert_int_equal(fr_doc_finish(&rest, &bytes), FR_OK);
    assert_true(fr_span_equal(fr_doc_string(fr_doc_get(fr_doc_root(bytes), fr_span_text("ack"))), fr_span_text("durable")));
}

static void vectors_are_refused_by_name(void **state)
{
    (void)state;
    refused("{\"records\":[{\"id\":1,\"vector\":[1,2]}]}", "records[0].vector");
    refused("{\"records\":[{\"id\":1,\"vector\":[1,2,3,4]}]}", "records[0].vector");
    refused("{\"records\":[{\"id\":1,\"vector\":[]}]}", "records[0].vector");
    refused("{\"records\":[{\"id\":0,\"vector\":[1,2,3]},{\"id\":1,\"vector\":[1,1e39,3]}]}", "records[1].vector[1]");
    refused("{\"records\":[{\"id\":1,\"vector\":[1,\"2\",3]}]}", "records[0].vector[1]");
    refused("{\"records\":[{\"id\":1,\"vector\":[1,null,3]}]}", "records[0].vector[1]");
    refused("{\"records\":[{\"id\":1,\"vector\":\"x\"}]}", "records[0].vector");
    refused("{\"records\":[{\"id\":1,\"vector\":null}]}", "records[0].vector");
    refused("{\"records\":[{\"id\":1}]}", "records[0].vector");
    refused("{\"records\":[{\"id\":1,\"vector\":[NaN,1,2]}]}", "body");
    refused("{\"records\":[{\"id\":1,\"vector\":[Infinity,1,2]}]}", "body");
    refused("{\"records\":[{\"id\":1,\"vector\":[1e400,1,2]}]}", "body");
}

static void zero_vector_is_refused_under_cosine_only(void **state)
{
    (void)state;
    const char *text = "{\"records\":[{\"id\":1,\"vector\":[0,-0.0,0]}]}";
    assert_int_equal(upsert(text), FR_OK);
    schema = F32(3, FR_METRIC_COSINE);
    assert_int_equal(upsert_text(text, strlen(text)), FR_ERR_INVALID);
    assert_string_equal(err.field, "records[0].vector");
}

/* Bits as 0 and 1, as bytes, as base64 of either alphabet: one vector. */
static void binary_vectors_have_three_forms(void **state)
{
    (void)state;
    static const char *const good[] = {"[1,0,1,0,0,1,0,1,1,1,1,1,1,0,1,1]", "[165,251]", "[-91,-5]", "\"pfs=\"", "\"pfs\""};
    static const char *const bad[] = {"[1,2,0,0,0,0,0,0,0,0,0,0,0,0,0,0]", "[256,0]", "[0.5,0]", "[1,2,3]", "\"pf\"", "\"pfsA\"", "\"p*s=\"",
                                      "7", "[]", "[1,\"a\"]", "[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]", "\"p\"", "\"pfs==\""};
    char text[200];
    schema = one_field(16, FR_METRIC_HAMMING, FR_TYPE_VECTOR_BINARY);
    for (size_t i = 0; i < FR_COUNT_OF(good) + FR_COUNT_OF(bad); i++) {
        bool fine = i < FR_COUNT_OF(good);
        const char *vector = fine ? good[i] : bad[i - FR_COUNT_OF(good)];
        int size = snprintf(text, sizeof text, "{\"records\":[{\"id\":1,\"vector\":%s}]}", vector);
        fr_code code = upsert_text(text, (size_t)size);
        if (code != (fine ? FR_OK : FR_ERR_INVALID)) print_error("%s: %s\n", vector, err.text);
        assert_int_equal(code, fine ? FR_OK : FR_ERR_INVALID);
        if (!fine) assert_string_equal(err.field, "records[0].vector");
        if (fine) assert_non_null(memmem(batch.data, batch.size, "\xa5\xfb", 2));
    }
}

static void ids_are_held_to_the_rule(void **state)
{
    (void)state;
    refused("{\"records\":[{\"vector\":[1,2,3]}]}", "records[0].id");
    refused("{\"records\":[{\"id\":\"\",\"vector\":[1,2,3]}]}", "records[0].id");
    refused("{\"records\":[{\"id\":null,\"vector\":[1,2,3]}]}", "records[0].id");
    refused("{\"records\":[{\"id\":1.0,\"vector\":[1,2,3]}]}", "records[0].id");
    refused("{\"records\":[{\"id\":9223372036854775808,\"vector\":[1,2,3]}]}", "records[0].id");
    refused("{\"records\":[{\"id\":\"a\\u0000b\",\"vector\":[1,2,3]}]}", "records[0].id");
    refused("{\"records\":[{\"id\":true,\"vector\":[1,2,3]}]}", "records[0].id");
    char text[700];
    for (int size = 512; size <= 513; size++) {
        snprintf(text, sizeof text, "{\"records\":[{\"id\":\"%0*d\",\"vector\":[1,2,3]}]}", size, 7);
        assert_int_equal(upsert(text), size == 512 ? FR_OK : FR_ERR_INVALID);
    }
    schema = F32(3, FR_METRIC_L2);
    schema.id_type = FR_ID_INT64;
    const char *string_id = "{\"records\":[{\"id\":\"1\",\"vector\":[1,2,3]}]}";
    assert_int_equal(upsert_text(string_id, strlen(string_id)), FR_ERR_INVALID);
    schema.id_type = FR_ID_STRING;
    assert_int_equal(upsert_text(string_id, strlen(string_id)), FR_OK);
}

static void keys_are_known_and_unique(void **state)
{
    (void)state;
    refused("{\"records\":[{\"id\":1,\"id\":2,\"vector\":[1,2,3]}]}", "records[0].id");
    refused("{\"records\":[{\"id\":1,\"vector\":[1,2,3],\"vector\":[1,2,3]}]}", "records[0].vector");
    refused("{\"records\":[{\"id\":1,\"vector\":[1,2,3],\"color\":1}]}", "records[0].color");
    refused("{\"records\":[{\"id\":1,\"vector\":[1,2,3],\"metadata\":{\"a\":1,\"a\":2}}]}", "records[0].metadata");
    refused("{\"records\":[{\"id\":1,\"vector\":[1,2,3]}],\"records\":[]}", "records");
    refused("{\"ack\":\"durable\",\"records\":[{\"id\":1,\"vector\":[1,2,3]}],\"ack\":\"durable\"}", "body");
    refused("{\"ack\":\"durable\"}", "records");
    refused("{\"records\":[]}", "records");
    refused("{\"records\":{}}", "records");
    refused("{\"records\":[1]}", "records[0]");
    refused("[]", "body");
    refused("7", "body");
    refused("", "body");
}

static void metadata_is_bounded(void **state)
{
    (void)state;
    refused("{\"records\":[{\"id\":1,\"vector\":[1,2,3],\"metadata\":[]}]}", "records[0].metadata");
    refused("{\"records\":[{\"id\":1,\"vector\":[1,2,3],\"metadata\":{\"big\":18446744073709551615}}]}", "records[0].metadata");
    char *text = fr_alloc(FR_MEM_TEST, 80000);
    int size = snprintf(text, 80000, "{\"records\":[{\"id\":1,\"vector\":[1,2,3],\"metadata\":{\"t\":\"%070000d\"}}]}", 1);
    assert_int_equal(size > 70000, 1);
    refused(text, "records[0].metadata");
    /* 63 levels fit, the body's own not counted; 200 do not */
    for (int depth = 60; depth <= 200; depth += 140) {
        size = snprintf(text, 80000, "{\"records\":[{\"id\":1,\"vector\":[1,2,3],\"metadata\":{\"a\":");
        for (int i = 0; i < depth; i++) text[size++] = '[';
        for (int i = 0; i < depth; i++) text[size++] = ']';
        size += snprintf(text + size, 100, "}}]}");
        assert_int_equal(upsert(text), depth == 60 ? FR_OK : FR_ERR_INVALID);
    }
    fr_free(FR_MEM_TEST, text);
}

static void text_needs_an_embedder(void **state)
{
    (void)state;
    refused("{\"records\":[{\"id\":1,\"text\":\"x\"}]}", "records[0].text");
    schema = F32(3, FR_METRIC_L2);
    schema.embed = embed_three;
    const char *fine = "{\"records\":[{\"id\":1,\"text\":\"four\",\"metadata\":{\"a\":1}}]}";
    assert_int_equal(upsert_text(fine, strlen(fine)), FR_OK);
    const char *both = "{\"records\":[{\"id\":1,\"text\":\"four\",\"vector\":[1,2,3]}]}";
    assert_int_equal(upsert_text(both, strlen(both)), FR_ERR_INVALID);
    assert_string_equal(err.field, "records[0].text");
    const char *taken = "{\"records\":[{\"id\":1,\"text\":\"four\",\"metadata\":{\"text\":1}}]}";
    assert_int_equal(upsert_text(taken, strlen(taken)), FR_ERR_INVALID);
    assert_string_equal(err.field, "records[0].metadata.text");
    const char *fails = "{\"records\":[{\"id\":1,\"text\":\"\"}]}";
    assert_int_equal(upsert_text(fails, strlen(fails)), FR_ERR_INVALID);
    assert_string_equal(err.field, "records[0].text");
}

static void invalid_utf8_is_refused(void **state)
{
    (void)state;
    refused("{\"records\":[{\"id\":\"\xff\",\"vector\":[1,2,3]}]}", "body");
    refused("{\"records\":[{\"id\":\"\xc0\xaf\",\"vector\":[1,2,3]}]}", "body");
    refused("{\"records\":[{\"id\":\"\xed\xa0\x80\",\"vector\":[1,2,3]}]}", "body");
    refused("{\"records\":[{\"id\":\"\\ud800\",\"vector\":[1,2,3]}]}", "body");
}

/* ---- search bodies ---- */

static fr_code search(const char *text, fr_json_vectors *vectors)
{
    fr_arena_reset(&arena);
    fr_doc_reset(&rest);
    memset(&err, 0, sizeof err);
    return fr_json_in_body(dom, body_of(text, strlen(text)), &arena, &rest, vectors, &err);
}

static void search_vectors_arrive(void **state)
{
    (void)state;
    fr_json_vectors one = {.form = {.type = FR_TYPE_VECTOR_F32, .dimension = 2}}, many = one;
    assert_int_equal(search("{\"k\":3,\"vector\":[0.1,-2]}", &one), FR_OK);
    assert_int_equal(one.count, 1);
    assert_false(one.many);
    assert_true(one.data[0] == 0.1f && one.data[1] == -2.0f);
    assert_int_equal(search("{\"vectors\":[[1,2],[3,4],[5,6]]}", &many), FR_OK);
    assert_int_equal(many.count, 3);
    assert_true(many.many && many.data[5] == 6.0f);
}

static void binary_search_vectors_arrive(void **state)
{
    (void)state;
    fr_json_vectors one = {.form = {FR_TYPE_VECTOR_BINARY, FR_METRIC_HAMMING, 16}}, many = one, wrong = one;
    assert_int_equal(search("{\"vector\":\"pfs=\"}", &one), FR_OK);
    assert_int_equal(one.bytes[0].size, 2);
    assert_memory_equal(one.bytes[0].data, "\xa5\xfb", 2);
    assert_int_equal(search("{\"vectors\":[[1,2],\"pfs\",[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1]]}", &many), FR_OK);
    assert_int_equal(many.count, 3);
    assert_memory_equal(many.bytes[1].data, "\xa5\xfb", 2);
    assert_memory_equal(many.bytes[2].data, "\0\1", 2);
    assert_int_equal(search("{\"vectors\":[[1,2],\"p\"]}", &wrong), FR_ERR_INVALID);
    assert_string_equal(err.field, "vectors[1]");
}

static void search_vectors_are_refused_by_name(void **state)
{
    (void)state;
    static const struct { const char *text, *field; } rows[] = {
        {"{\"vector\":[1]}", "vector"},
        {"{\"vector\":[1,\"a\"]}", "vector[1]"},
        {"{\"vectors\":[]}", "vectors"},
        {"{\"vectors\":[[1,2],[1]]}", "vectors[1]"},
        {"{\"vectors\":[[1,2],7]}", "vectors[1]"},
        {"{\"vectors\":[[1,2]],\"vector\":[1,2]}", "vector"},
        {"{\"vector\":[1,2],\"vector\":[1,2]}", "vector"},
    };
    for (size_t i = 0; i < FR_COUNT_OF(rows); i++) {
        fr_json_vectors vectors = {.form = {.type = FR_TYPE_VECTOR_F32, .dimension = 2}};
        assert_int_equal(search(rows[i].text, &vectors), FR_ERR_INVALID);
        assert_string_equal(err.field, rows[i].field);
    }
    fr_json_vectors zero = {.form = {FR_TYPE_VECTOR_F32, FR_METRIC_COSINE, 2}};
    assert_int_equal(search("{\"vector\":[0,0]}", &zero), FR_ERR_INVALID);
}

/* ---- sparse vectors, several fields ---- */

static void sparse_vectors_have_two_forms(void **state)
{
    (void)state;
    static const uint32_t wanted[] = {3, 0x3f000000, 7, 0xbf800000, 4294967295, 0x40000000}; /* 0.5, -1, 2 */
    static const char *const good[] = {"{\"7\":-1,\"3\":0.5,\"4294967295\":2}", "{\"indices\":[4294967295,3,7],\"values\":[2.0,0.5,-1]}"};
    static const char *const bad[] = {"[1]", "\"a\"", "{\"a\":1}", "{\"-1\":1}", "{\"01\":1}", "{\"4294967296\":1}", "{\"1\":\"x\"}", "{\"1\":1e39}",
                                      "{\"indices\":[1],\"values\":[]}", "{\"indices\":[1,1],\"values\":[1,2]}", "{\"indices\":[-1],\"values\":[1]}",
                                      "{\"indices\":1,\"values\":[1]}", "{\"indices\":[1.5],\"values\":[1]}", "{\"indices\":[1]}", "{}", "null"};
    char text[200];
    schema = one_field(0, FR_METRIC_IP, FR_TYPE_VECTOR_SPARSE);
    for (size_t i = 0; i < FR_COUNT_OF(good) + FR_COUNT_OF(bad); i++) {
        bool fine = i < FR_COUNT_OF(good);
        const char *vector = fine ? good[i] : bad[i - FR_COUNT_OF(good)];
        int size = snprintf(text, sizeof text, "{\"records\":[{\"id\":1,\"vector\":%s}]}", vector);
        fr_code code = upsert_text(text, (size_t)size);
        if (code != (fine ? FR_OK : FR_ERR_INVALID)) print_error("%s: %s\n", vector, err.text);
        assert_int_equal(code, fine ? FR_OK : FR_ERR_INVALID);
        if (!fine) assert_string_equal(err.field, "records[0].vector");
        fr_json_vectors one = {.form = schema.fields[0].form};
        snprintf(text, sizeof text, "{\"vector\":%s}", vector);
        if (!fine) continue;
        assert_int_equal(search(text, &one), FR_OK);
        assert_int_equal(one.bytes[0].size, sizeof wanted);
        assert_memory_equal(one.bytes[0].data, wanted, sizeof wanted);
    }
    schema = one_field(0, FR_METRIC_BM25, FR_TYPE_VECTOR_SPARSE); /* frequencies */
    assert_int_equal(upsert_text("{\"records\":[{\"id\":1,\"vector\":{\"1\":-1}}]}", 41), FR_ERR_INVALID);
}

static void records_with_several_vectors(void **state)
{
    (void)state;
    static const struct { const char *text, *field; } rows[] = {
        {"\"vector\":[1,2],\"vectors\":{\"tags\":{\"5\":1}}", NULL},
        {"\"vectors\":{\"tags\":{\"5\":1},\"vector\":[1,2],\"bits\":[255]}", NULL},
        {"\"vectors\":{\"tags\":{\"5\":1},\"vector\":[1,2],\"bits\":null}", NULL},
        {"\"vector\":[1,2]", "records[0].vectors.tags"},
        {"\"vectors\":{\"tags\":{\"5\":1}}", "records[0].vector"},
        {"\"vector\":[1,2],\"vectors\":{\"tags\":null}", "records[0].vectors.tags"},
        {"\"vector\":[1,2],\"vectors\":{\"tags\":{\"5\":1},\"vector\":[1,2]}", "records[0].vectors.vector"},
        {"\"vectors\":{\"vector\":[1,2],\"tags\":{\"5\":1}},\"vector\":[1,2]", "records[0].vector"},
        {"\"vector\":[1,2],\"vectors\":{\"tags\":{\"5\":1},\"other\":[1]}", "records[0].vectors.other"},
        {"\"vector\":[1,2],\"vectors\":{\"tags\":{\"5\":1},\"bits\":[1,2]}", "records[0].vectors.bits"},
        {"\"vector\":[1,2],\"vectors\":[[1,2]]", "records[0].vectors"},
    };
    char text[200];
    schema = F32(2, FR_METRIC_L2);
    schema.fields[1] = (fr_json_field){.name = "tags", .id = 3, .form = {FR_TYPE_VECTOR_SPARSE, FR_METRIC_IP, 0}};
    schema.fields[2] = (fr_json_field){.name = "bits", .id = 4, .nullable = true, .form = {FR_TYPE_VECTOR_BINARY, FR_METRIC_HAMMING, 8}};
    schema.field_count = 3;
    for (size_t i = 0; i < FR_COUNT_OF(rows); i++) {
        int size = snprintf(text, sizeof text, "{\"records\":[{\"id\":1,%s}]}", rows[i].text);
        fr_code code = upsert_text(text, (size_t)size);
        if (code != (rows[i].field ? FR_ERR_INVALID : FR_OK)) print_error("%s: %s\n", rows[i].text, err.text);
        assert_int_equal(code, rows[i].field ? FR_ERR_INVALID : FR_OK);
        if (rows[i].field) assert_string_equal(err.field, rows[i].field);
    }
}

/* ---- the oracle ---- */

/* Whatever jansson refuses must be refused here: mutations of a good body. */
static void nothing_is_json_that_jansson_refuses(void **state)
{
    (void)state;
    static const char good[] = "{\"a\":[1,-2.5e3,true,null,{\"b\":\"\\u00e9\\n\"}],\"c\":{\"d\":[],\"e\":{}},\"f\":\"J\xc3\xb6rg\"}";
    uint64_t seed = 99;
    int accepted = 0;
    for (int round = 0; round < 20000; round++) {
        char text[sizeof good];
        memcpy(text, good, sizeof good);
        int edits = 1 + (int)(fr_mix64(seed++) % 2);
        for (int i = 0; i < edits; i++) {
            static const char bytes[] = "{}[]\",:\\0123456789.eE+-tfn \x01\xff";
            size_t at = fr_mix64(seed++) % (sizeof good - 1);
            text[at] = bytes[fr_mix64(seed++) % (sizeof bytes - 1)];
        }
        fr_arena_reset(&arena);
        fr_doc_reset(&rest);
        fr_code code = fr_json_in_body(dom, body_of(text, sizeof good - 1), &arena, &rest, NULL, &err);
        json_t *root = json_loadb(text, sizeof good - 1, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
        if (code == FR_OK) {
            accepted++;
            if (!root) print_error("taken, but jansson refuses: %.*s\n", (int)sizeof good - 1, text);
            assert_non_null(root);
            fr_span bytes;
            fr_out out = {0};
            assert_int_equal(fr_doc_finish(&rest, &bytes), FR_OK);
            fr_out_doc(&out, fr_doc_root(bytes));
            json_t *back = json_loadb(out.data, out.size, JSON_ALLOW_NUL, NULL);
            assert_true(json_equal(root, back));
            json_decref(back);
            fr_out_free(&out);
        }
        json_decref(root);
    }
    assert_true(accepted > 1000);
}

static void memory_failures_are_reported(void **state)
{
    (void)state;
    const char *text = "{\"records\":[{\"id\":\"a\",\"vector\":[1,2,3],\"metadata\":{\"x\":1}}],\"ack\":\"durable\"}";
    fr_code code = FR_ERR_NO_MEMORY;
    schema = F32(3, FR_METRIC_L2);
    for (uint64_t nth = 1; code != FR_OK; nth++) {
        fr_arena_free(&arena);
        fr_arena_init(&arena, FR_MEM_TEST, 0);
        fr_doc_free(&rest), fr_doc_free(&scratch[0]), fr_batch_free(&batch);
        fr_mem_fail_at(nth);
        code = upsert_text(text, strlen(text));
        fr_mem_fail_at(0);
        assert_true(code == FR_OK || code == FR_ERR_NO_MEMORY);
        assert_true(nth < 50);
    }
}

static void times_are_read(void **state)
{
    (void)state;
    static const struct { const char *text; int64_t ms; } good[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-11-20T21:44:14.123Z", 1795211054123},
        {"2000-02-29t23:59:59z", 951868799000},
        {"1969-12-31T23:59:59.999Z", -1},
        {"2026-11-20T23:44:14.1239+02:00", 1795211054123},
        {"2026-11-20T16:14:14.1-05:30", 1795211054100},
    };
    static const char *const bad[] = {"",  "2026", "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-01-01T24:00:00Z",
                                      "2026-01-01T00:00:00", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00Zx",
                                      "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00+0100", "2026-1-1T00:00:00Z"};
    int64_t ms;
    for (size_t i = 0; i < FR_COUNT_OF(good); i++) {
        assert_true(fr_time_parse(fr_span_text(good[i].text), &ms));
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < FR_COUNT_OF(bad); i++) assert_false(fr_time_parse(fr_span_text(bad[i]), &ms));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_records_are_taken),
        cmocka_unit_test(vectors_are_refused_by_name),
        cmocka_unit_test(zero_vector_is_refused_under_cosine_only),
        cmocka_unit_test(ids_are_held_to_the_rule),
        cmocka_unit_test(keys_are_known_and_unique),
        cmocka_unit_test(metadata_is_bounded),
        cmocka_unit_test(text_needs_an_embedder),
        cmocka_unit_test(invalid_utf8_is_refused),
        cmocka_unit_test(binary_vectors_have_three_forms),
        cmocka_unit_test(binary_search_vectors_arrive),
        cmocka_unit_test(search_vectors_arrive),
        cmocka_unit_test(search_vectors_are_refused_by_name),
        cmocka_unit_test(sparse_vectors_have_two_forms),
        cmocka_unit_test(records_with_several_vectors),
        cmocka_unit_test(nothing_is_json_that_jansson_refuses),
        cmocka_unit_test(memory_failures_are_reported),
        cmocka_unit_test(times_are_read),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
