/* fuzz_doc.c: the input is a document from disk or wire. What passes the check is read whole, equals itself, and is built
 * again byte for byte. */
#include "api/doc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void rebuild(fr_doc_builder *b, fr_doc value)
{
    fr_doc_tag tag = fr_doc_type(value);
    fr_doc_iter iter = fr_doc_begin(value);
    fr_span key, text;
    fr_doc child;
    switch (tag) {
    case FR_DOC_NULL: fr_doc_put_null(b); return;
    case FR_DOC_FALSE:
    case FR_DOC_TRUE: fr_doc_put_bool(b, tag == FR_DOC_TRUE); return;
    case FR_DOC_INT: fr_doc_put_int(b, fr_doc_int(value)); return;
    case FR_DOC_FLOAT: fr_doc_put_float(b, fr_doc_number(value)); return;
    case FR_DOC_STRING:
        text = fr_doc_string(value);
        fr_doc_put_string(b, text.data, text.size);
        return;
    case FR_DOC_ARRAY:
        fr_doc_begin_array(b);
        while (fr_doc_next(&iter, NULL, &child)) rebuild(b, child);
        fr_doc_end_array(b);
        return;
    case FR_DOC_OBJECT:
        fr_doc_begin_object(b);
        while (fr_doc_next(&iter, &key, &child)) {
            FR_ASSERT(fr_doc_get(value, key).data == child.data);
            fr_doc_put_key(b, key.data, key.size);
            rebuild(b, child);
        }
        fr_doc_end_object(b);
        return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fr_err err = {.code = FR_OK};
    fr_span bytes = {data, size}, again;
    if (fr_doc_check(bytes, &err) != FR_OK) {
        FR_ASSERT(err.text[0] != '\0');
        return 0;
    }
    fr_doc root = fr_doc_root(bytes);
    FR_ASSERT(fr_doc_size(root) == size && fr_doc_equal(root, root));
    fr_doc_builder builder = {.data = NULL};
    rebuild(&builder, root);
    fr_code code = fr_doc_finish(&builder, &again);
    FR_ASSERT(code == FR_OK || (code == FR_ERR_TOO_LARGE && size > FR_METADATA_BYTES_MAX));
    FR_ASSERT(code != FR_OK || fr_span_equal(bytes, again));
    fr_doc_free(&builder);
    return 0;
}
