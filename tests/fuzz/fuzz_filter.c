/* fuzz_filter.c: the input is a filter. Whatever it is, compiling answers; what compiles is evaluated on fixed rows, and a
 * filter and its negation never both match. The same bytes are tried as a path. */
#include "index/filter.h"
#include "tests/unit/doc_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char document[] =
    "{\"price\": 7, \"color\": \"red\", \"rate\": 2.5, \"sale\": true, \"n\": null, \"min\": -9223372036854775808,"
    " \"tags\": [\"a\", 1, 2.5, true, [1], {\"k\": 1}], \"a\": {\"b\": {\"c\": 5}}, \"text\": \"J\xc3\xb6rg 100%\", \"\": 1}";

static const fr_field_def fields[] = {{.name = "price", .type = FR_TYPE_INT32}, {.name = "color", .type = FR_TYPE_VARCHAR}, {.name = "v", .type = FR_TYPE_VECTOR_F32},
                                      {.name = "tags", .type = FR_TYPE_ARRAY, .element_type = FR_TYPE_VARCHAR}, {.name = "a", .type = FR_TYPE_JSON}};
static const char values[] = "{\"p\": 7, \"l\": [1, 7, \"red\", [1]], \"s\": \"red\", \"o\": {}, \"n\": null}";

static bool negate(fr_span text, const fr_filter_schema *schema, fr_span params, fr_filter **filter_out)
{
    char *negated = fr_alloc(FR_MEM_TEST, text.size + 8);
    FR_ASSERT(negated != NULL);
    memcpy(negated, "not (", 5);
    memcpy(negated + 5, text.data, text.size);
    negated[text.size + 5] = ')';
    /* One level deeper and longer: may be refused where the original is not. */
    bool done = fr_filter_compile((fr_span){negated, text.size + 6}, schema, params, filter_out, NULL) == FR_OK;
    fr_free(FR_MEM_TEST, negated);
    return done;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static fr_doc_builder builder, value_builder;
    static fr_span fixed, params;
    static const fr_filter_schema schemas[] = {{.key_name = "id", .id_type = FR_ID_ANY}, {.key_name = "id", .id_type = FR_ID_INT64}, {.key_name = "id", .id_type = FR_ID_STRING},
                                                {.key_name = "id", .id_type = FR_ID_INT64, .fields = fields, .field_count = FR_COUNT_OF(fields), .no_dynamic = true}};
    if (params.size == 0) params = doc_from_text(&value_builder, values);
    if (fixed.size == 0) fixed = doc_from_text(&builder, document);
    fr_filter_row rows[] = {{fr_span_text("42"), true, fr_doc_root(fixed)}, {fr_span_text("abc"), false, {NULL}}};
    fr_span text = {data, size};
    for (size_t i = 0; i < FR_COUNT_OF(schemas); i++) {
        fr_filter *filter = NULL, *opposite = NULL;
        fr_err err = {.code = FR_OK};
        const fr_span *keys;
        if (fr_filter_compile(text, &schemas[i], params, &filter, &err) != FR_OK || filter == NULL) {
            FR_ASSERT(filter == NULL && (err.code == FR_OK || err.text[0] != '\0'));
            continue;
        }
        bool negated = negate(text, &schemas[i], params, &opposite);
        for (size_t row = 0; row < FR_COUNT_OF(rows); row++) {
            bool match = fr_filter_match(filter, &rows[row]);
            FR_ASSERT(!negated || !match || !fr_filter_match(opposite, &rows[row]));
        }
        uint32_t count = fr_filter_keys(filter, &keys);
        for (uint32_t k = 0; k < count; k++) FR_ASSERT(keys[k].size > 0 && keys[k].size <= FR_KEY_BYTES_MAX);
        fr_filter_free(opposite);
        fr_filter_free(filter);
    }
    fr_path *path = NULL;
    if (fr_path_compile(text, &path, NULL) == FR_OK) (void)fr_path_get(path, fr_doc_root(fixed));
    fr_path_free(path);
    FR_ASSERT(fr_mem_used(FR_MEM_SEARCH) == 0);
    return 0;
}
