/* test_doc.c: bytes of api/doc.h, the check of foreign bytes, readers, builder, equality. */
#include "tests/unit/doc_text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static fr_doc_builder shared;

static fr_span doc(const char *text)
{
    return doc_from_text(&shared, text);
}

static void assert_check(const void *bytes, size_t size, fr_code want)
{
    /* An exact heap copy, so that the sanitizer sees a read past the end. */
    uint8_t *copy = fr_alloc(FR_MEM_TEST, size);
    assert_non_null(copy);
    if (size != 0) memcpy(copy, bytes, size);
    fr_err err = {.code = FR_OK};
    assert_int_equal(fr_doc_check((fr_span){copy, size}, &err), want);
    if (want != FR_OK) assert_true(err.text[0] != '\0');
    fr_free(FR_MEM_TEST, copy);
}

static void bytes_are_those_of_the_contract(void **state)
{
    (void)state;
    static const uint8_t want[] = {
        7, 31, 0, 0, 0, 2, 0, 0, 0,                 /* object of two */
        1, 0, 'a', 3, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, /* "a": -2 */
        1, 0, 'b', 6, 7, 0, 0, 0, 3, 0, 0, 0, 0, 1, 2, /* "b": [null, false, true] */
    };
    fr_span bytes = doc("{\"a\": -2, \"b\": [null, false, true]}");
    assert_int_equal(bytes.size, sizeof want);
    assert_memory_equal(bytes.data, want, sizeof want);
    static const uint8_t text[] = {5, 2, 0, 0, 0, 'h', 'i'}, number[] = {4, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f};
    bytes = doc("\"hi\"");
    assert_int_equal(bytes.size, sizeof text);
    assert_memory_equal(bytes.data, text, sizeof text);
    bytes = doc("1.5");
    assert_int_equal(bytes.size, sizeof number);
    assert_memory_equal(bytes.data, number, sizeof number);
}

static void readers_find_values(void **state)
{
    (void)state;
    fr_doc root = fr_doc_root(doc("{\"n\": 7, \"f\": 2.5, \"s\": \"text\", \"\": 1, \"a\": [1, \"two\", [3], {\"k\": 4}], \"z\": null}"));
    assert_int_equal(fr_doc_count(root), 6);
    assert_int_equal(fr_doc_int(fr_doc_get(root, fr_span_text("n"))), 7);
    assert_true(fr_doc_number(fr_doc_get(root, fr_span_text("n"))) == 7.0);
    assert_true(fr_doc_number(fr_doc_get(root, fr_span_text("f"))) == 2.5);
    assert_true(fr_span_equal(fr_doc_string(fr_doc_get(root, fr_span_text("s"))), fr_span_text("text")));
    assert_int_equal(fr_doc_int(fr_doc_get(root, (fr_span){NULL, 0})), 1);
    fr_doc array = fr_doc_get(root, fr_span_text("a"));
    assert_int_equal(fr_doc_count(array), 4);
    assert_int_equal(fr_doc_int(fr_doc_get(fr_doc_at(array, 3), fr_span_text("k"))), 4);
    assert_null(fr_doc_at(array, 4).data);
    assert_null(fr_doc_at(root, 0).data);
    assert_null(fr_doc_get(array, fr_span_text("k")).data);
    assert_null(fr_doc_get(root, fr_span_text("missing")).data);
    assert_null(fr_doc_get((fr_doc){NULL}, fr_span_text("n")).data);
    assert_int_equal(fr_doc_type(fr_doc_get(root, fr_span_text("z"))), FR_DOC_NULL);
    assert_int_equal(fr_doc_count(fr_doc_get(root, fr_span_text("n"))), 0);
    assert_null(fr_doc_root((fr_span){NULL, 0}).data);

    const char *names[] = {"n", "f", "s", "", "a", "z"};
    fr_doc_iter iter = fr_doc_begin(root);
    fr_span key;
    fr_doc value;
    size_t seen = 0, bytes = 9;
    while (fr_doc_next(&iter, &key, &value)) {
        assert_true(fr_span_equal(key, fr_span_text(names[seen++])));
        bytes += 2 + key.size + fr_doc_size(value);
    }
    assert_int_equal(seen, 6);
    assert_int_equal(bytes, fr_doc_size(root));
    iter = fr_doc_begin(fr_doc_get(root, fr_span_text("n")));
    assert_false(fr_doc_next(&iter, NULL, &value));
}

static void check_takes_what_the_builder_makes(void **state)
{
    (void)state;
    static const char *const texts[] = {"null", "true", "0", "-1.5", "\"\"", "[]", "{}", "{\"a\":{\"b\":[[],{}]},\"c\":\"\"}",
                                        "[9223372036854775807,-9223372036854775808,1e300]", "{\"\\u00e4\":\"\xc3\xa4\xf0\x9f\x98\x80\"}"};
    for (size_t i = 0; i < FR_COUNT_OF(texts); i++) {
        fr_span bytes = doc(texts[i]);
        assert_check(bytes.data, bytes.size, FR_OK);
    }
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    fr_span bytes = doc("{\"a\":[1,2.5,\"x\",{\"k\":null}],\"bb\":\"text\",\"c\":{\"d\":[[]]}}");
    uint8_t copy[256];
    assert_true(bytes.size + 1 < sizeof copy);
    memcpy(copy, bytes.data, bytes.size);
    copy[bytes.size] = 0;
    for (size_t size = 0; size < bytes.size; size++) assert_check(copy, size, FR_ERR_INVALID);
    assert_check(copy, bytes.size + 1, FR_ERR_INVALID); /* one byte more */
}

static void every_flipped_byte_is_survived(void **state)
{
    (void)state;
    fr_span bytes = doc("{\"a\":[1,2.5,\"x\",{\"k\":null}],\"bb\":\"text\",\"c\":{\"d\":[[]]}}");
    uint8_t copy[256];
    for (size_t at = 0; at < bytes.size; at++) {
        for (unsigned value = 0; value < 256; value++) {
            memcpy(copy, bytes.data, bytes.size);
            copy[at] = (uint8_t)value;
            uint8_t *exact = fr_alloc(FR_MEM_TEST, bytes.size);
            memcpy(exact, copy, bytes.size);
            fr_span span = {exact, bytes.size};
            if (fr_doc_check(span, NULL) == FR_OK) assert_true(fr_doc_equal(fr_doc_root(span), fr_doc_root(span)));
            fr_free(FR_MEM_TEST, exact);
        }
    }
}

static void wrong_bytes_are_refused(void **state)
{
    (void)state;
    static const uint8_t tag[] = {8}, not_finite[] = {4, 0, 0, 0, 0, 0, 0, 0xf0, 0x7f}, nan_bytes[] = {4, 1, 0, 0, 0, 0, 0, 0xf8, 0x7f};
    static const uint8_t utf8[] = {5, 2, 0, 0, 0, 0xc0, 0x80}, surrogate[] = {5, 3, 0, 0, 0, 0xed, 0xa0, 0x80};
    static const uint8_t key_utf8[] = {7, 8, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0xff, 0};
    static const uint8_t twice[] = {7, 12, 0, 0, 0, 2, 0, 0, 0, 1, 0, 'a', 0, 1, 0, 'a', 1};
    static const uint8_t twice_empty[] = {7, 10, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    static const uint8_t count_low[] = {6, 6, 0, 0, 0, 1, 0, 0, 0, 0, 0}, count_high[] = {6, 6, 0, 0, 0, 3, 0, 0, 0, 0, 0};
    static const uint8_t huge[] = {6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, small[] = {6, 3, 0, 0, 0, 0, 0, 0};
    static const uint8_t escape[] = {6, 9, 0, 0, 0, 1, 0, 0, 0, 5, 1, 0, 0, 0, 'a', 0}; /* an element past its array */
    assert_check(tag, sizeof tag, FR_ERR_INVALID);
    assert_check(not_finite, sizeof not_finite, FR_ERR_INVALID);
    assert_check(nan_bytes, sizeof nan_bytes, FR_ERR_INVALID);
    assert_check(utf8, sizeof utf8, FR_ERR_INVALID);
    assert_check(surrogate, sizeof surrogate, FR_ERR_INVALID);
    assert_check(key_utf8, sizeof key_utf8, FR_ERR_INVALID);
    assert_check(twice, sizeof twice, FR_ERR_INVALID);
    assert_check(twice_empty, sizeof twice_empty, FR_ERR_INVALID);
    assert_check(count_low, sizeof count_low, FR_ERR_INVALID);
    assert_check(count_high, sizeof count_high, FR_ERR_INVALID);
    assert_check(huge, sizeof huge, FR_ERR_INVALID);
    assert_check(small, sizeof small, FR_ERR_INVALID);
    assert_check(escape, sizeof escape, FR_ERR_INVALID);
    assert_check("", 0, FR_ERR_INVALID);
}

static size_t nested(uint8_t *out, uint32_t depth) /* [[[...]]] */
{
    size_t size = 9 * (size_t)depth;
    for (uint32_t i = 0; i < depth; i++) {
        uint8_t *at = out + 9 * (size_t)i;
        at[0] = FR_DOC_ARRAY;
        fr_store_le32(at + 1, (uint32_t)(size - 9 * (size_t)i - 5));
        fr_store_le32(at + 5, i + 1 < depth);
    }
    return size;
}

static void depth_is_limited(void **state)
{
    (void)state;
    static uint8_t bytes[9 * 200000];
    assert_check(bytes, nested(bytes, FR_DOC_DEPTH_MAX), FR_OK);
    assert_check(bytes, nested(bytes, FR_DOC_DEPTH_MAX + 1), FR_ERR_INVALID);
    assert_check(bytes, nested(bytes, 200000), FR_ERR_INVALID);
}

static fr_code build_keys(fr_doc_builder *b, unsigned count, unsigned twice, fr_span *bytes_out)
{
    char key[16];
    fr_doc_reset(b);
    fr_doc_begin_object(b);
    for (unsigned i = 0; i < count; i++) {
        int size = snprintf(key, sizeof key, "k%u", (i == count - 1 && twice < count) ? twice : (i * 7919u) % 65521u);
        fr_doc_put_key(b, key, (size_t)size);
        fr_doc_put_null(b);
    }
    fr_doc_end_object(b);
    return fr_doc_finish(b, bytes_out);
}

static void many_keys_are_checked_quickly(void **state)
{
    (void)state;
    fr_span bytes;
    for (unsigned count = 1; count <= 40; count++) {
        assert_int_equal(build_keys(&shared, count, UINT32_MAX, &bytes), FR_OK);
        assert_check(bytes.data, bytes.size, FR_OK);
        if (count > 1) assert_int_equal(build_keys(&shared, count, 0, &bytes), FR_ERR_INVALID);
    }
    assert_int_equal(build_keys(&shared, 20000, UINT32_MAX, &bytes), FR_OK); /* pairwise this would be seconds */
    assert_check(bytes.data, bytes.size, FR_OK);
    assert_int_equal(build_keys(&shared, 20000, 0, &bytes), FR_ERR_INVALID);
}

static void duplicate_key_is_named(void **state)
{
    (void)state;
    static const uint8_t twice[] = {7, 16, 0, 0, 0, 2, 0, 0, 0, 3, 0, 'a', 'b', 'c', 0, 3, 0, 'a', 'b', 'c', 1};
    fr_err err = {.code = FR_OK};
    assert_int_equal(fr_doc_check((fr_span){twice, sizeof twice}, &err), FR_ERR_INVALID);
    assert_non_null(strstr(err.text, "\"abc\""));
}

static void builder_errors_stick(void **state)
{
    (void)state;
    fr_doc_builder b = {.data = NULL};
    fr_span bytes;
    assert_int_equal(fr_doc_finish(&b, &bytes), FR_ERR_INTERNAL); /* nothing */
    fr_doc_reset(&b);
    fr_doc_put_float(&b, (double)NAN);
    fr_doc_put_null(&b);
    assert_int_equal(fr_doc_finish(&b, &bytes), FR_ERR_INVALID);
    fr_doc_reset(&b);
    fr_doc_put_string(&b, "\xff", 1);
    assert_int_equal(fr_doc_finish(&b, &bytes), FR_ERR_INVALID);
    fr_doc_reset(&b);
    fr_doc_put_null(&b);
    fr_doc_put_null(&b); /* two roots */
    assert_int_equal(fr_doc_finish(&b, &bytes), FR_ERR_INTERNAL);
    fr_doc_reset(&b);
    fr_doc_begin_object(&b);
    fr_doc_put_null(&b); /* no key */
    assert_int_equal(fr_doc_finish(&b, &bytes), FR_ERR_INTERNAL);
    fr_doc_reset(&b);
    fr_doc_begin_object(&b);
    fr_doc_put_key(&b, "a", 1);
    fr_doc_end_object(&b); /* no value */
    assert_int_equal(fr_doc_finish(&b, &bytes), FR_ERR_INTERNAL);
    fr_doc_reset(&b);
    fr_doc_begin_array(&b);
    fr_doc_end_object(&b); /* the wrong end */
    assert_int_equal(fr_doc_finish(&b, &bytes), FR_ERR_INTERNAL);
    fr_doc_reset(&b);
    fr_doc_begin_array(&b); /* not ended */
    assert_int_equal(fr_doc_finish(&b, &bytes), FR_ERR_INTERNAL);
    fr_doc_reset(&b);
    for (unsigned i = 0; i <= FR_DOC_DEPTH_MAX; i++) fr_doc_begin_array(&b);
    assert_int_equal(fr_doc_finish(&b, &bytes), FR_ERR_TOO_LARGE);
    fr_doc_reset(&b);
    fr_doc_put_bool(&b, true); /* usable again */
    assert_int_equal(fr_doc_finish(&b, &bytes), FR_OK);
    assert_int_equal(bytes.size, 1);
    fr_doc_free(&b);
}

static void size_is_limited(void **state)
{
    (void)state;
    fr_span bytes;
    char *text = fr_zalloc(FR_MEM_TEST, 70000);
    memset(text, 'x', 70000);
    fr_doc_reset(&shared);
    fr_doc_begin_array(&shared);
    for (int i = 0; i < 4; i++) fr_doc_put_string(&shared, text, 70000);
    fr_doc_end_array(&shared);
    assert_int_equal(fr_doc_finish(&shared, &bytes), FR_ERR_TOO_LARGE);
    fr_doc_reset(&shared);
    fr_doc_begin_object(&shared);
    fr_doc_put_key(&shared, text, 65536); /* keys have a 16-bit size */
    fr_doc_put_null(&shared);
    fr_doc_end_object(&shared);
    assert_int_equal(fr_doc_finish(&shared, &bytes), FR_ERR_TOO_LARGE);
    fr_doc_reset(&shared);
    fr_free(FR_MEM_TEST, text);
}

static void values_are_copied(void **state)
{
    (void)state;
    uint8_t deep[9 * FR_DOC_DEPTH_MAX];
    size_t size = nested(deep, FR_DOC_DEPTH_MAX);
    fr_doc_builder b = {.data = NULL};
    fr_span bytes;
    fr_doc_put_value(&b, (fr_doc){deep});
    assert_int_equal(fr_doc_finish(&b, &bytes), FR_OK);
    assert_int_equal(bytes.size, size);
    fr_doc_reset(&b);
    fr_doc_begin_array(&b); /* one level too many */
    fr_doc_put_value(&b, (fr_doc){deep});
    fr_doc_end_array(&b);
    assert_int_equal(fr_doc_finish(&b, &bytes), FR_ERR_TOO_LARGE);
    fr_doc_reset(&b);
    fr_doc_begin_object(&b);
    fr_doc_put_key(&b, "copy", 4);
    fr_doc_put_value(&b, fr_doc_root(doc("{\"x\":[1,2]}")));
    fr_doc_end_object(&b);
    assert_int_equal(fr_doc_finish(&b, &bytes), FR_OK);
    assert_true(fr_doc_equal(fr_doc_root(bytes), fr_doc_root(doc("{\"copy\":{\"x\":[1,2]}}"))));
    fr_doc_free(&b);
}

static void equality_is_by_value(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool equal;
    } rows[] = {
        {"1", "1.0", true}, {"1", "1.5", false}, {"0", "-0.0", true}, {"0.0", "-0.0", true}, {"1", "\"1\"", false},
        {"9007199254740993", "9007199254740992.0", false}, {"9007199254740992", "9007199254740992.0", true},
        {"9223372036854775807", "9223372036854775808.0", false}, {"-9223372036854775808", "-9223372036854775808.0", true},
        {"true", "true", true}, {"true", "false", false}, {"true", "1", false}, {"null", "null", true}, {"null", "false", false},
        {"[1,2]", "[1.0,2]", true}, {"[1,2]", "[2,1]", false}, {"[1]", "[1,1]", false}, {"[]", "{}", false},
        {"{\"a\":1,\"b\":[2]}", "{\"b\":[2.0],\"a\":1}", true}, {"{\"a\":1,\"b\":2}", "{\"a\":1,\"c\":2}", false},
        {"{\"a\":1}", "{\"a\":1,\"b\":2}", false}, {"\"a\"", "\"a\"", true}, {"\"a\"", "\"ab\"", false},
    };
    fr_doc_builder other = {.data = NULL};
    for (size_t i = 0; i < FR_COUNT_OF(rows); i++) {
        fr_doc a = fr_doc_root(doc(rows[i].a)), b = fr_doc_root(doc_from_text(&other, rows[i].b));
        assert_int_equal(fr_doc_equal(a, b), rows[i].equal);
        assert_int_equal(fr_doc_equal(b, a), rows[i].equal);
    }
    assert_true(fr_doc_equal((fr_doc){NULL}, (fr_doc){NULL}));
    assert_false(fr_doc_equal((fr_doc){NULL}, fr_doc_root(doc("null"))));
    fr_doc_free(&other);
}

static void integers_and_floats_compare_exactly(void **state)
{
    (void)state;
    assert_int_equal(fr_doc_compare_mixed(INT64_MAX, 0x1p63), -1);
    assert_int_equal(fr_doc_compare_mixed(INT64_MIN, -0x1p63), 0);
    assert_int_equal(fr_doc_compare_mixed(INT64_MIN, -0x1.0000000000001p63), 1);
    assert_int_equal(fr_doc_compare_mixed(INT64_MAX, 0x1.fffffffffffffp62), 1);
    assert_int_equal(fr_doc_compare_mixed(9007199254740993, 9007199254740992.0), 1);
    assert_int_equal(fr_doc_compare_mixed(1, 1.5), -1);
    assert_int_equal(fr_doc_compare_mixed(-1, -1.5), 1);
    assert_int_equal(fr_doc_compare_mixed(-2, -1.5), -1);
    assert_int_equal(fr_doc_compare_mixed(0, 1e300), -1);
    assert_int_equal(fr_doc_compare_mixed(0, -INFINITY), 1);
    assert_int_equal(fr_doc_compare_mixed(0, -0.0), 0);
    assert_int_equal(fr_doc_compare_mixed(0, 5e-324), -1);
}

static void builder_and_check_survive_failed_allocations(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        fr_doc_builder b = {.data = NULL};
        fr_span bytes;
        fr_mem_fail_at(nth);
        fr_code code = build_keys(&b, 300, UINT32_MAX, &bytes);
        if (code == FR_OK) code = fr_doc_check(bytes, NULL);
        fr_mem_fail_at(0);
        fr_doc_free(&b);
        if (code == FR_OK) {
            assert_true(nth > 3);
            break;
        }
        assert_int_equal(code, FR_ERR_NO_MEMORY);
    }
}

static int teardown(void **state)
{
    (void)state;
    fr_doc_free(&shared);
    return fr_mem_used(FR_MEM_DOOR) == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_those_of_the_contract),
        cmocka_unit_test(readers_find_values),
        cmocka_unit_test(check_takes_what_the_builder_makes),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(every_flipped_byte_is_survived),
        cmocka_unit_test(wrong_bytes_are_refused),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(many_keys_are_checked_quickly),
        cmocka_unit_test(duplicate_key_is_named),
        cmocka_unit_test(builder_errors_stick),
        cmocka_unit_test(size_is_limited),
        cmocka_unit_test(values_are_copied),
        cmocka_unit_test(equality_is_by_value),
        cmocka_unit_test(integers_and_floats_compare_exactly),
        cmocka_unit_test(builder_and_check_survive_failed_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
