/* milvus_json_out.c: documents as JSON texts, and a text as a document of its own. */
#include "api/milvus/milvus_entities.h"

#include <stdio.h>
#include <stdlib.h>

void fr_milvus_json_bytes(fr_milvus_json_text *out, const void *data, size_t size)
{
    if (out->size + size > out->capacity) {
        size_t capacity = FR_MAX(out->size + size, FR_MAX(out->capacity * 2, (size_t)256));
        char *grown = out->failed ? NULL : fr_arena_alloc(out->arena, capacity);
        if (!grown) {
            out->failed = true;
            return;
        }
        if (out->size) memcpy(grown, out->data, out->size);
        out->data = grown, out->capacity = capacity;
    }
    if (size) memcpy(out->data + out->size, data, size);
    out->size += size;
}

static void put(fr_milvus_json_text *out, const char *text) { fr_milvus_json_bytes(out, text, strlen(text)); }

void fr_milvus_json_string(fr_milvus_json_text *out, fr_span text)
{
    const char *at = text.data;
    put(out, "\"");
    for (size_t i = 0, from = 0; i <= text.size; i++) {
        unsigned char c = i < text.size ? (unsigned char)at[i] : 0;
        if (i < text.size && c >= 0x20 && c != '"' && c != '\\') continue;
        fr_milvus_json_bytes(out, at + from, i - from);
        from = i + 1;
        if (i == text.size) break;
        char escape[8] = {'\\', (char)c, 0};
        if (c < 0x20) snprintf(escape, sizeof escape, "\\u%04x", c);
        put(out, escape);
    }
    put(out, "\"");
}

static void float_out(fr_milvus_json_text *out, double number)
{
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, number);
        if (strtod(text, NULL) == number) break;
    }
    put(out, text);
    if (!strpbrk(text, ".e")) put(out, ".0"); /* it stays a float */
}

void fr_milvus_json_value(fr_milvus_json_text *out, fr_doc value)
{
    char text[24];
    fr_doc_tag tag = fr_doc_type(value);
    fr_doc_iter iter = fr_doc_begin(value);
    fr_span key;
    bool first = true;
    switch (tag) {
    case FR_DOC_NULL: put(out, "null"); return;
    case FR_DOC_FALSE: put(out, "false"); return;
    case FR_DOC_TRUE: put(out, "true"); return;
    case FR_DOC_INT:
        snprintf(text, sizeof text, "%lld", (long long)fr_doc_int(value));
        put(out, text);
        return;
    case FR_DOC_FLOAT: float_out(out, fr_doc_number(value)); return;
    case FR_DOC_STRING: fr_milvus_json_string(out, fr_doc_string(value)); return;
    case FR_DOC_ARRAY:
    case FR_DOC_OBJECT: break;
    }
    put(out, tag == FR_DOC_ARRAY ? "[" : "{");
    for (fr_doc one; fr_doc_next(&iter, tag == FR_DOC_OBJECT ? &key : NULL, &one); first = false) {
        if (!first) put(out, ", ");
        if (tag == FR_DOC_OBJECT) {
            fr_milvus_json_string(out, key);
            put(out, ": ");
        }
        fr_milvus_json_value(out, one);
    }
    put(out, tag == FR_DOC_ARRAY ? "]" : "}");
}

fr_code fr_milvus_json_doc(fr_milvus_call *call, fr_milvus_worker *worker, fr_span text, fr_doc *doc_out, fr_err *err)
{
    fr_doc_builder b = {.data = NULL};
    fr_span bytes;
    *doc_out = (fr_doc){NULL};
    fr_code code = fr_milvus_json_in(worker, text, &call->arena, &b, err);
    if (code == FR_OK && (code = fr_doc_finish(&b, &bytes)) != FR_OK) code = fr_fail(err, code, NULL, "not a JSON document that can be kept");
    if (code == FR_OK) doc_out->data = fr_arena_copy(&call->arena, bytes.data, bytes.size);
    fr_doc_free(&b);
    return code != FR_OK ? code : doc_out->data ? FR_OK : fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for JSON");
}
