/* json_out.c: the JSON writer. The last byte of the buffer tells whether a comma is needed: after '{', '[', ',' or ':' none is. */
#include "api/http/json_out.h"
#include "api/http/json_num.h"

#include <math.h>
#include <stdio.h>

#define OUT_FIRST_BYTES 512u

void fr_out_reset(fr_out *out)
{
    out->size = 0;
    out->code = FR_OK;
}

void fr_out_free(fr_out *out)
{
    fr_free(FR_MEM_DOOR, out->data);
    *out = (fr_out){.limit = out->limit};
}

/* Room for `more` bytes, or NULL with the sticky code set. */
static char *room(fr_out *out, size_t more)
{
    if (FR_UNLIKELY(out->code != FR_OK)) return NULL;
    if (FR_LIKELY(out->capacity - out->size >= more)) return out->data + out->size;
    if (out->limit && (more > out->limit || out->size > out->limit - more)) {
        out->code = FR_ERR_TOO_LARGE;
        return NULL;
    }
    size_t capacity = FR_MAX(out->capacity * 2, (size_t)OUT_FIRST_BYTES);
    if (capacity < out->size + more) capacity = out->size + more;
    if (out->limit && capacity > out->limit) capacity = out->limit;
    char *data = fr_realloc(FR_MEM_DOOR, out->data, capacity);
    if (!data) {
        out->code = FR_ERR_NO_MEMORY;
        return NULL;
    }
    out->data = data, out->capacity = capacity;
    return data + out->size;
}

void fr_out_raw(fr_out *out, const void *data, size_t size)
{
    if (!size) return;
    char *to = room(out, size);
    if (!to) return;
    memcpy(to, data, size);
    out->size += size;
}

void fr_out_text(fr_out *out, const char *text) { fr_out_raw(out, text, strlen(text)); }

void fr_out_format(fr_out *out, const char *format, ...)
{
    char line[512];
    va_list list;
    va_start(list, format);
    int size = vsnprintf(line, sizeof line, format, list);
    va_end(list);
    if (size > 0) fr_out_raw(out, line, FR_MIN((size_t)size, sizeof line - 1));
}

static void separate(fr_out *out)
{
    if (!out->size) return;
    char last = out->data[out->size - 1];
    if (last != '{' && last != '[' && last != ',' && last != ':') fr_out_raw(out, ",", 1);
}

void fr_out_begin(fr_out *out, char bracket)
{
    separate(out);
    fr_out_raw(out, &bracket, 1);
}

void fr_out_end(fr_out *out, char bracket) { fr_out_raw(out, &bracket, 1); }

void fr_out_key(fr_out *out, const char *key)
{
    separate(out);
    size_t size = strlen(key);
    char *to = room(out, size + 3);
    if (!to) return;
    to[0] = '"';
    memcpy(to + 1, key, size);
    to[size + 1] = '"', to[size + 2] = ':';
    out->size += size + 3;
}

/* The text between the quotes: runs without special characters are copied whole. */
static void escaped(fr_out *out, const uint8_t *text, size_t size)
{
    static const char hex[] = "0123456789abcdef";
    size_t from = 0;
    for (size_t i = 0; i < size; i++) {
        uint8_t c = text[i];
        if (FR_LIKELY(c >= 0x20 && c != '"' && c != '\\')) continue;
        fr_out_raw(out, text + from, i - from);
        from = i + 1;
        char short_form = c == '"' ? '"' : c == '\\' ? '\\' : c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : 0;
        if (short_form) {
            fr_out_raw(out, (char[]){'\\', short_form}, 2);
        } else {
            fr_out_raw(out, (char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
        }
    }
    fr_out_raw(out, text + from, size - from);
}

void fr_out_string(fr_out *out, fr_span text)
{
    separate(out);
    fr_out_raw(out, "\"", 1);
    escaped(out, text.data, text.size);
    fr_out_raw(out, "\"", 1);
}

void fr_out_key_span(fr_out *out, fr_span key)
{
    fr_out_string(out, key);
    fr_out_raw(out, ":", 1);
}

void fr_out_cstring(fr_out *out, const char *text) { fr_out_string(out, fr_span_text(text)); }

void fr_out_uint(fr_out *out, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do digits[--at] = (char)('0' + value % 10);
    while (value /= 10);
    separate(out);
    fr_out_raw(out, digits + at, sizeof digits - at);
}

void fr_out_int(fr_out *out, int64_t value)
{
    if (value >= 0) {
        fr_out_uint(out, (uint64_t)value);
        return;
    }
    char digits[21];
    size_t at = sizeof digits;
    uint64_t left = 0 - (uint64_t)value;
    do digits[--at] = (char)('0' + left % 10);
    while (left /= 10);
    digits[--at] = '-';
    separate(out);
    fr_out_raw(out, digits + at, sizeof digits - at);
}

void fr_out_bool(fr_out *out, bool value)
{
    separate(out);
    fr_out_text(out, value ? "true" : "false");
}

void fr_out_null(fr_out *out)
{
    separate(out);
    fr_out_raw(out, "null", 4);
}

void fr_out_float(fr_out *out, float value)
{
    if (!isfinite(value)) {
        fr_out_null(out);
        return;
    }
    char text[FR_JSON_NUM_BYTES];
    separate(out);
    fr_out_raw(out, text, fr_json_float(text, value));
}

void fr_out_double(fr_out *out, double value)
{
    if (!isfinite(value)) {
        fr_out_null(out);
        return;
    }
    char text[FR_JSON_NUM_BYTES];
    separate(out);
    fr_out_raw(out, text, fr_json_double(text, value));
}

void fr_out_bytes(fr_out *out, fr_span bytes)
{
    fr_out_begin(out, '[');
    for (size_t i = 0; i < bytes.size; i++) fr_out_uint(out, ((const uint8_t *)bytes.data)[i]);
    fr_out_end(out, ']');
}

void fr_out_pairs(fr_out *out, fr_span pairs)
{
    char key[16];
    const uint8_t *at = pairs.data;
    fr_out_begin(out, '{');
    for (size_t i = 0; i + 8 <= pairs.size; i += 8) {
        uint32_t bits = fr_load_le32(at + i + 4);
        float value;
        memcpy(&value, &bits, sizeof value);
        fr_out_key_span(out, fr_span_of(key, (size_t)snprintf(key, sizeof key, "%u", fr_load_le32(at + i))));
        fr_out_float(out, value);
    }
    fr_out_end(out, '}');
}

void fr_out_floats(fr_out *out, const float *values, size_t count)
{
    fr_out_begin(out, '[');
    for (size_t i = 0; i < count; i++) fr_out_float(out, values[i]);
    fr_out_end(out, ']');
}

/* A float of a document stays one when it is read back: 1 is written 1.0. */
static void document_float(fr_out *out, double value)
{
    char text[FR_JSON_NUM_BYTES + 2];
    size_t size = fr_json_double(text, value);
    bool marked = false;
    for (size_t i = 0; i < size; i++) marked |= text[i] == '.' || text[i] == 'e';
    if (!marked) text[size++] = '.', text[size++] = '0';
    separate(out);
    fr_out_raw(out, text, size);
}

/* Depth is bounded: a document nests at most FR_DOC_DEPTH_MAX levels. */
void fr_out_doc(fr_out *out, fr_doc value)
{
    if (!value.data) {
        fr_out_null(out);
        return;
    }
    fr_doc_tag tag = fr_doc_type(value);
    switch (tag) {
    case FR_DOC_NULL: fr_out_null(out); return;
    case FR_DOC_FALSE:
    case FR_DOC_TRUE: fr_out_bool(out, tag == FR_DOC_TRUE); return;
    case FR_DOC_INT: fr_out_int(out, fr_doc_int(value)); return;
    case FR_DOC_FLOAT: document_float(out, fr_doc_number(value)); return;
    case FR_DOC_STRING: fr_out_string(out, fr_doc_string(value)); return;
    case FR_DOC_ARRAY:
    case FR_DOC_OBJECT: break;
    }
    bool object = tag == FR_DOC_OBJECT;
    fr_out_begin(out, object ? '{' : '[');
    fr_doc_iter iter = fr_doc_begin(value);
    fr_span key;
    fr_doc inner;
    while (fr_doc_next(&iter, &key, &inner)) {
        if (object) fr_out_key_span(out, key);
        fr_out_doc(out, inner);
    }
    fr_out_end(out, object ? '}' : ']');
}
