/* test_analyze.c: terms of texts, parameters of analyzers, and the numbers of terms, which are stored. */
#include "api/analyze.h"
#include "tests/unit/doc_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

typedef struct joined {
    char text[4096];
    fr_span source;
    size_t size;
} joined;

static bool join(void *user, const fr_term *term)
{
    joined *j = user;
    assert_true(term->start < term->end && term->end <= j->source.size);
    j->size += (size_t)snprintf(j->text + j->size, sizeof j->text - j->size, "%s%u:%.*s", j->size != 0 ? " " : "", term->position, (int)term->text.size,
                                (const char *)term->text.data);
    return true;
}

static void check(const char *params, const char *text, const char *want)
{
    fr_doc_builder builder = {.data = NULL};
    fr_analyzer *analyzer;
    fr_err err = {.code = FR_OK};
    fr_doc document = {NULL};
    if (params != NULL) document = fr_doc_root(doc_from_text(&builder, params));
    fr_code code = fr_analyzer_create(document, &analyzer, &err);
    if (code != FR_OK) print_error("%s: %s\n", params, err.text);
    assert_int_equal(code, FR_OK);
    joined j = {.source = fr_span_text(text)};
    fr_analyze(analyzer, j.source, join, &j);
    assert_string_equal(j.text, want);
    fr_analyzer_free(analyzer);
    fr_doc_free(&builder);
}

static void terms(void **state)
{
    (void)state;
    check(NULL, "The Milvus vector-database, built_for scale!", "0:the 1:milvus 2:vector 3:database 4:built 5:for 6:scale");
    check(NULL, "", "");
    check(NULL, " \t-- !", "");
    check(NULL, "R2D2 3.14", "0:r2d2 1:3 2:14");
    check(NULL, "\xc3\x89T\xc3\x89 \xd0\x9c\xd0\x9e\xd0\xa1\xd0\x9a\xd0\x92\xd0\x90 \xce\xa3", "0:\xc3\xa9t\xc3\xa9 1:\xd0\xbc\xd0\xbe\xd1\x81\xd0\xba\xd0\xb2\xd0\xb0 2:\xcf\x83");
    check(NULL, "a\xe4\xb8\xad\xe6\x96\x87z", "0:a 1:\xe4\xb8\xad 2:\xe6\x96\x87 3:z");
    check(NULL, "caf\xc3\xa9\xff\xfe" "bar \xe4\xb8", "0:caf\xc3\xa9 1:bar");
    check("{\"stop_words\": [\"_english_\", \"fox\"]}", "the quick fox of it", "1:quick");
    check("{\"type\": \"standard\", \"max_token_length\": 3}", "abcd abc \xc3\xa9\xc3\xa9\xc3\xa9", "1:abc 2:\xc3\xa9\xc3\xa9\xc3\xa9");
    check("{\"tokenizer\": \"whitespace\"}", "A-b c.D\n e", "0:A-b 1:c.D 2:e");
    check("{\"tokenizer\": {\"type\": \"whitespace\"}, \"filter\": [\"lowercase\", \"alphanumonly\"]}", "A-b cD", "1:cd");
    check("{\"tokenizer\": \"standard\"}", "Ab", "0:Ab");
    check("{\"tokenizer\": \"standard\", \"filter\": [\"lowercase\", {\"type\": \"length\", \"max\": 2}, {\"type\": \"stop\", \"stop_words\": [\"is\"]}]}", "THIS IS It", "2:it");
}

static bool measure(void *user, const fr_term *term)
{
    size_t *most = user;
    *most = FR_MAX(*most, term->text.size);
    return true;
}

static void long_runs(void **state)
{
    (void)state;
    enum { SIZE = 5000 };
    static char text[SIZE + 2];
    for (int i = 0; i < SIZE; i += 2) memcpy(text + i, "\xc8\xba", 2); /* U+023A: lower case is a byte longer */
    fr_analyzer *analyzer;
    assert_int_equal(fr_analyzer_create((fr_doc){NULL}, &analyzer, NULL), FR_OK);
    size_t most = 0;
    fr_analyze(analyzer, (fr_span){text, SIZE}, measure, &most);
    assert_int_equal(most, 3 * FR_TERM_CHARACTERS_MAX);
    fr_analyzer_free(analyzer);
}

static void refused(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"7", "object"}, {"{\"type\": \"jieba\"}", "'jieba'"}, {"{\"type\": 1}", "type"}, {"{\"tokenizer\": \"icu\"}", "'icu'"}, {"{\"foo\": 1}", "'foo'"},
        {"{\"stop_words\": 1}", "list of strings"}, {"{\"stop_words\": [1]}", "list of strings"}, {"{\"max_token_length\": 0}", "at least 1"},
        {"{\"filter\": [\"lowercase\"]}", "'filter'"}, {"{\"tokenizer\": \"standard\", \"filter\": [\"stemmer\"]}", "'stemmer'"},
        {"{\"tokenizer\": \"standard\", \"filter\": [{\"type\": \"length\", \"min\": 1}]}", "'min'"}, {"{\"tokenizer\": \"standard\", \"type\": \"standard\"}", "not both"},
        {"{\"tokenizer\": {\"type\": \"standard\", \"x\": 1}}", "'x'"}, {"{\"tokenizer\": \"standard\", \"filter\": \"lowercase\"}", "list"},
    };
    for (size_t i = 0; i < FR_COUNT_OF(rows); i++) {
        fr_doc_builder builder = {.data = NULL};
        fr_analyzer *analyzer;
        fr_err err = {.code = FR_OK};
        fr_code code = fr_analyzer_create(fr_doc_root(doc_from_text(&builder, rows[i][0])), &analyzer, &err);
        if (code == FR_OK || strstr(err.text, rows[i][1]) == NULL) print_error("%s: %d %s\n", rows[i][0], code, err.text);
        assert_true(code != FR_OK && strstr(err.text, rows[i][1]) != NULL);
        assert_null(analyzer);
        fr_doc_free(&builder);
    }
    assert_int_equal(fr_mem_used(FR_MEM_SEARCH), 0);
}

static void numbers(void **state)
{
    (void)state; /* stored in vectors: these must stay */
    assert_int_equal(fr_term_hash(fr_span_text("fast")), fr_murmur2("fast", 4));
    assert_int_equal(fr_term_hash(fr_span_text("21")), 1173551340u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(terms), cmocka_unit_test(long_runs), cmocka_unit_test(refused), cmocka_unit_test(numbers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
