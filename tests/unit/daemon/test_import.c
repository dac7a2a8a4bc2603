/* test_import.c: the readers of the import formats: what they accept, what they refuse and where, and that no cut or
 * flipped byte of a good file makes them read outside it (ASan sees to that). */
#include "server/daemon/import.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

typedef struct outcome {
    fr_code code;
    fr_err err;
    fr_text records; /* joined by newlines */
    uint64_t rows;
    uint32_t dimension;
    bool is_text;
} outcome;

static outcome read_with(const char *name, const void *data, size_t size, fr_import_options options, uint64_t skip)
{
    outcome out = {0};
    /* an exact copy on the heap, so that one byte too far is a report */
    char *copy = fr_alloc(FR_MEM_TEST, size ? size : 1);
    if (size) memcpy(copy, data, size);
    fr_import_part part = {.bytes = fr_span_of(copy, size), .name = name};
    fr_import import;
    out.code = fr_import_begin(&import, &part, 1, &options, &out.err);
    if (out.code == FR_OK && skip) out.code = fr_import_skip(&import, skip, &out.err);
    bool end = false;
    while (out.code == FR_OK) {
        uint64_t key_hash;
        out.code = fr_import_next(&import, (fr_span){0}, &out.records, &key_hash, &end, &out.err);
        if (out.code != FR_OK || end) break;
        fr_text_puts(&out.records, "\n");
        out.rows++;
    }
    out.dimension = import.dimension;
    out.is_text = import.is_text;
    fr_import_end(&import);
    fr_free(FR_MEM_TEST, copy);
    fr_text_add(&out.records, "", 1);
    return out;
}

static outcome read_text(const char *name, const char *text) { return read_with(name, text, strlen(text), (fr_import_options){0}, 0); }

static void expect_records(const char *name, const char *text, const char *records)
{
    outcome out = read_text(name, text);
    assert_string_equal(out.err.text, "");
    assert_int_equal(out.code, FR_OK);
    assert_string_equal(out.records.data, records);
    fr_text_free(&out.records);
}

static void expect_refusal(const char *name, const void *data, size_t size, const char *message)
{
    outcome out = read_with(name, data, size, (fr_import_options){0}, 0);
    assert_int_equal(out.code, FR_ERR_INVALID);
    if (!strstr(out.err.text, message)) fail_msg("\"%s\" is not in \"%s\"", message, out.err.text);
    fr_text_free(&out.records);
}

static void refuse_text(const char *name, const char *text, const char *message) { expect_refusal(name, text, strlen(text), message); }

static void jsonl_is_read(void **state)
{
    (void)state;
    expect_records("a.jsonl", "{\"id\":1,\"vector\":[1,2.5]}\n\n{\"id\":\"b\",\"vector\":[0,-1e-3],\"metadata\":{\"x\":1}}\r\n",
                   "{\"id\":1,\"vector\":[1,2.5]}\n{\"id\":\"b\",\"vector\":[0,-0.00100000005],\"metadata\":{\"x\":1}}\n");
    expect_records("a.jsonl", "{\"id\":1,\"text\":\"a \\\"cat\\\"\",\"colour\":\"red\",\"event_id\":\"e\",\"timestamp\":5}",
                   "{\"event_id\":\"e\",\"id\":1,\"text\":\"a \\\"cat\\\"\",\"timestamp\":5,\"metadata\":{\"colour\":\"red\"}}\n");
    /* beside a vector, the text is metadata */
    expect_records("a.jsonl", "{\"id\":1,\"vector\":[1],\"text\":\"t\"}", "{\"id\":1,\"vector\":[1],\"metadata\":{\"text\":\"t\"}}\n");
}

static void jsonl_refusals_name_the_line(void **state)
{
    (void)state;
    refuse_text("a.jsonl", "{\"id\":1,\"vector\":[1]}\n{\"id\":2,\"vector\":[1,2]}\n", "a.jsonl:2: the vector has 2 values, those before it have 1");
    refuse_text("a.jsonl", "\n\n{\"id\":1,", "a.jsonl:3: not JSON");
    refuse_text("a.jsonl", "{\"id\":1.5,\"vector\":[1]}", "a.jsonl:1: \"id\" must be");
    refuse_text("a.jsonl", "{\"id\":1,\"vector\":[1e39]}", "a.jsonl:1: value 0 of the vector does not fit");
    refuse_text("a.jsonl", "{\"id\":1,\"vector\":[\"x\"]}", "is not a number");
    refuse_text("a.jsonl", "{\"id\":1,\"vector\":[]}", "0 values");
    refuse_text("a.jsonl", "{\"id\":1}", "neither");
    refuse_text("a.jsonl", "[1]", "one JSON object");
    refuse_text("a.jsonl", "{\"id\":1,\"id\":2,\"vector\":[1]}", "not JSON");
    refuse_text("a.jsonl", "{\"id\":1,\"vector\":[1],\"metadata\":3}", "metadata must be an object");
    refuse_text("a.jsonl", "{\"id\":\"\xff\",\"vector\":[1]}", "not JSON");
}

static void field_names_can_be_mapped(void **state)
{
    (void)state;
    const char *text = "{\"entity_id\":\"a\",\"embedding\":[1],\"metadata\":{\"x\":1}}";
    fr_import_options options = {.format = FR_IMPORT_JSONL, .id_field = "entity_id", .vector_field = "embedding"};
    outcome out = read_with("-", text, strlen(text), options, 0);
    assert_int_equal(out.code, FR_OK);
    assert_string_equal(out.records.data, "{\"id\":\"a\",\"vector\":[1],\"metadata\":{\"x\":1}}\n");
    fr_text_free(&out.records);
}

static void csv_is_read(void **state)
{
    (void)state;
    expect_records("a.csv", "id,vector,name,n\n1,\"[1, 2]\",\"a \"\"b\"\",\nc\",3\n007,\"[3,4]\",,0.5",
                   "{\"id\":1,\"vector\":[1,2],\"metadata\":{\"name\":\"a \\\"b\\\",\\u000ac\",\"n\":3}}\n"
                   "{\"id\":\"007\",\"vector\":[3,4],\"metadata\":{\"n\":0.5}}\n");
    expect_records("a.csv", "\xef\xbb\xbfid,text\r\nx,hello\r\n\r\ny,\"\"\r\n",
                   "{\"id\":\"x\",\"text\":\"hello\",\"metadata\":{}}\n{\"id\":\"y\",\"text\":\"\",\"metadata\":{}}\n");
}

static void csv_refusals_name_the_line(void **state)
{
    (void)state;
    refuse_text("a.csv", "a,b\n", "a.csv:1: no column is named \"id\"");
    refuse_text("a.csv", "id,b\n", "no column is named \"vector\"");
    refuse_text("a.csv", "id,text,text\n", "two columns");
    refuse_text("a.csv", "id,text\n1,a,b\n", "a.csv:2: more cells");
    refuse_text("a.csv", "id,text\n1,a\n2\n", "a.csv:3: 1 cells");
    refuse_text("a.csv", "id,text\n1,\"a", "a.csv:2: a quoted cell does not end");
    refuse_text("a.csv", "id,text\n1,\"a\"b\n", "text behind a closing quote");
    refuse_text("a.csv", "id,vector\n1,x\n", "JSON list");
    refuse_text("a.csv", "id,text\n,x\n", "the id is empty");
    refuse_text("a.csv", "id,text\n1,\xff\n", "not UTF-8");
}

static const char noun[] = "  1 the licence\n"
                           "02121808 05 n 02 domestic_cat 0 house_cat 0 004 @ 02121620 n 0000 | any domesticated member of the genus Felis  \n";

static void wordnet_is_read(void **state)
{
    (void)state;
    expect_records("folder/data.noun", noun,
                   "{\"id\":\"n02121808\",\"text\":\"any domesticated member of the genus Felis\","
                   "\"metadata\":{\"pos\":\"noun\",\"words\":[\"domestic cat\",\"house cat\"]}}\n");
    expect_records("data.adj", "00001740 00 a 01 able(p) 0 005 = 05 | having power\n",
                   "{\"id\":\"a00001740\",\"text\":\"having power\",\"metadata\":{\"pos\":\"adjective\",\"words\":[\"able\"]}}\n");
    outcome out = read_text("data.noun", noun);
    assert_true(out.is_text);
    fr_text_free(&out.records);
    refuse_text("data.noun", "02121808 05 n 02 cat 0\n", "data.noun:1: no gloss");
    refuse_text("data.noun", "x | y\n", "synset offset");
    refuse_text("data.noun", "02121808 05 n 09 cat 0 | y\n", "word 2 of 9");
}

static void put32(uint8_t *at, uint32_t value) { fr_store_le32(at, value); }

static void fixed_rows_are_read(void **state)
{
    (void)state;
    uint8_t u8bin[8 + 4] = {0};
    put32(u8bin, 2);
    put32(u8bin + 4, 2);
    memcpy(u8bin + 8, "\1\2\3\377", 4);
    outcome out = read_with("a.u8bin", u8bin, sizeof u8bin, (fr_import_options){.first_id = 10}, 1);
    assert_int_equal(out.code, FR_OK);
    assert_string_equal(out.records.data, "{\"id\":11,\"vector\":[3,255]}\n");
    assert_int_equal(out.dimension, 2);
    fr_text_free(&out.records);

    uint8_t fvecs[24];
    float values[2] = {0.5f, -3};
    for (int row = 0; row < 2; row++) {
        put32(fvecs + row * 12, 2);
        memcpy(fvecs + row * 12 + 4, values, 8);
    }
    out = read_with("a.fvecs", fvecs, sizeof fvecs, (fr_import_options){0}, 0);
    assert_int_equal(out.code, FR_OK);
    assert_string_equal(out.records.data, "{\"id\":0,\"vector\":[0.5,-3]}\n{\"id\":1,\"vector\":[0.5,-3]}\n");
    fr_text_free(&out.records);

    put32(fvecs + 12, 3);
    expect_refusal("a.fvecs", fvecs, sizeof fvecs, "a.fvecs: row 1: dimension 3, the rows before it have 2");
    put32(fvecs + 12, 2);
    put32(fvecs + 20, 0x7fc00000);
    expect_refusal("a.fvecs", fvecs, sizeof fvecs, "row 1: value 1 is not a finite");
    expect_refusal("a.fvecs", fvecs, 23, "end in row 1");
    expect_refusal("a.u8bin", u8bin, sizeof u8bin - 1, "the head says 2 rows");
    put32(u8bin + 4, 40000);
    expect_refusal("a.u8bin", u8bin, sizeof u8bin, "dimension 40000");
    put32(u8bin + 4, 0);
    expect_refusal("a.u8bin", u8bin, sizeof u8bin, "dimension 0");
}

static size_t make_npy(uint8_t *out, const char *header, const void *data, size_t size)
{
    size_t header_size = strlen(header);
    memcpy(out, "\x93NUMPY\1\0", 8);
    fr_store_le16(out + 8, (uint16_t)header_size);
    memcpy(out + 10, header, header_size);
    memcpy(out + 10 + header_size, data, size);
    return 10 + header_size + size;
}

static void npy_is_read(void **state)
{
    (void)state;
    uint8_t file[512];
    double f64[2] = {1.5, 2};
    size_t size = make_npy(file, "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2), }\n", f64, sizeof f64);
    outcome out = read_with("x", file, size, (fr_import_options){0}, 0); /* by its first bytes */
    assert_int_equal(out.code, FR_OK);
    assert_string_equal(out.records.data, "{\"id\":0,\"vector\":[1.5,2]}\n");
    fr_text_free(&out.records);
    uint16_t f16[2] = {0x3c00, 0xc001};
    size = make_npy(file, "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 1), }", f16, sizeof f16);
    out = read_with("x", file, size, (fr_import_options){0}, 0);
    assert_string_equal(out.records.data, "{\"id\":0,\"vector\":[1]}\n{\"id\":1,\"vector\":[-2.00195312]}\n");
    fr_text_free(&out.records);

    static const struct { const char *header, *message; } bad[] = {
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (1, 2), }", "element type"},
        {"{'descr': '<c8', 'fortran_order': False, 'shape': (1, 2), }", "element type"},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (1, 2), }", "C order"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", "two axes"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 3), }", "two axes"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (999999999999999999, 2), }", "the head says"},
        {"", "element type"},
    };
    for (size_t index = 0; index < FR_COUNT_OF(bad); index++) {
        size = make_npy(file, bad[index].header, f64, 8);
        expect_refusal("x.npy", file, size, bad[index].message);
    }
}

static void no_cut_or_flip_reads_outside(void **state)
{
    (void)state;
    uint8_t npy[256], fvecs[24] = {2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2};
    float f32[2] = {1, 2};
    size_t npy_size = make_npy(npy, "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }", f32, sizeof f32);
    static const char csv[] = "id,vector,a\n1,\"[1,2]\",\"x\"\"y\"\n2,\"[3,4]\",\n";
    static const char jsonl[] = "{\"id\":1,\"vector\":[1,2],\"metadata\":{\"a\":[1]}}\n{\"id\":2,\"text\":\"x\"}\n";
    const struct { const char *name; const void *data; size_t size; } files[] = {
        {"a.npy", npy, npy_size}, {"a.fvecs", fvecs, sizeof fvecs}, {"a.csv", csv, sizeof csv - 1},
        {"a.jsonl", jsonl, sizeof jsonl - 1}, {"data.noun", noun, sizeof noun - 1}};
    for (size_t index = 0; index < FR_COUNT_OF(files); index++) {
        uint8_t changed[512];
        for (size_t at = 0; at < files[index].size; at++) {
            outcome out = read_with(files[index].name, files[index].data, at, (fr_import_options){0}, 0);
            fr_text_free(&out.records);
            for (int bit = 0; bit < 8; bit++) {
                memcpy(changed, files[index].data, files[index].size);
                changed[at] ^= (uint8_t)(1 << bit);
                out = read_with(files[index].name, changed, files[index].size, (fr_import_options){0}, 0);
                assert_true(out.code == FR_OK || out.err.text[0]);
                fr_text_free(&out.records);
            }
        }
    }
}

static void rows_can_be_skipped_in_every_format(void **state)
{
    (void)state;
    static const char jsonl[] = "{\"id\":1,\"vector\":[1]}\n{\"id\":2,\"vector\":[2]}\n{\"id\":3,\"vector\":[3]}\n";
    outcome out = read_with("a.jsonl", jsonl, sizeof jsonl - 1, (fr_import_options){0}, 2);
    assert_string_equal(out.records.data, "{\"id\":3,\"vector\":[3]}\n");
    fr_text_free(&out.records);
    out = read_with("a.jsonl", jsonl, sizeof jsonl - 1, (fr_import_options){0}, 9);
    assert_int_equal(out.code, FR_OK);
    assert_int_equal(out.rows, 0);
    fr_text_free(&out.records);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jsonl_is_read),          cmocka_unit_test(jsonl_refusals_name_the_line),
        cmocka_unit_test(field_names_can_be_mapped), cmocka_unit_test(csv_is_read),
        cmocka_unit_test(csv_refusals_name_the_line), cmocka_unit_test(wordnet_is_read),
        cmocka_unit_test(fixed_rows_are_read),    cmocka_unit_test(npy_is_read),
        cmocka_unit_test(no_cut_or_flip_reads_outside), cmocka_unit_test(rows_can_be_skipped_in_every_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
