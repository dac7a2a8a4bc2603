/* milvus_json.c: JSON texts of requests to binary documents. */
#include "api/milvus/milvus_private.h"

#include "api/http/json_dom.h"

static fr_code put(fr_doc_builder *to, fr_json_value value, fr_err *err)
{
    size_t size;
    fr_json_type type = fr_json_type_of(value);
    switch (type) {
    case FR_JSON_NULL: fr_doc_put_null(to); return FR_OK;
    case FR_JSON_BOOL: fr_doc_put_bool(to, fr_json_bool(value)); return FR_OK;
    case FR_JSON_INT: fr_doc_put_int(to, fr_json_int(value)); return FR_OK;
    case FR_JSON_UINT: return fr_fail(err, FR_ERR_INVALID, NULL, "the integer %llu is beyond 64 bits", (unsigned long long)fr_json_uint(value));
    case FR_JSON_DOUBLE: fr_doc_put_float(to, fr_json_number(value)); return FR_OK;
    case FR_JSON_STRING: {
        const char *text = fr_json_string(value, &size);
        fr_doc_put_string(to, text, size);
        return FR_OK;
    }
    case FR_JSON_ARRAY:
    case FR_JSON_OBJECT: break;
    }
    bool object = type == FR_JSON_OBJECT;
    if (object) fr_doc_begin_object(to);
    else fr_doc_begin_array(to);
    fr_json_iter iter = fr_json_begin(value); /* as deep as the parser lets it be */
    const char *key;
    fr_json_value inner;
    while (to->code == FR_OK && fr_json_next(&iter, &key, &size, &inner)) {
        if (object) fr_doc_put_key(to, key, size);
        FR_TRY(put(to, inner, err));
    }
    if (object) fr_doc_end_object(to);
    else fr_doc_end_array(to);
    return FR_OK;
}

fr_code fr_milvus_json_in(fr_milvus_worker *worker, fr_span text, fr_arena *arena, fr_doc_builder *to, fr_err *err)
{
    fr_json_value root;
    const char *message = "";
    uint8_t *copy = fr_arena_alloc(arena, text.size + FR_JSON_PADDING);
    if (!copy) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a JSON text");
    if (text.size) memcpy(copy, text.data, text.size);
    memset(copy + text.size, 0, FR_JSON_PADDING);
    switch (fr_json_parse(worker->dom, copy, text.size, FR_DOC_DEPTH_MAX, &root, &message)) {
    case FR_JSON_FINE: return put(to, root, err);
    case FR_JSON_TOO_DEEP: return fr_fail(err, FR_ERR_INVALID, NULL, "the JSON nests deeper than %u levels", FR_DOC_DEPTH_MAX);
    case FR_JSON_NO_MEMORY: return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory to parse JSON");
    case FR_JSON_BAD: break;
    }
    return fr_fail(err, FR_ERR_INVALID, NULL, "not valid JSON: %s", message);
}
