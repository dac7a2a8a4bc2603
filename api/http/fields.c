/* fields.c: bodies and query strings against their tables. Every refusal names the field and the limit. */
#include "api/http/http_private.h"

#include <stdio.h>

static const char *kinds_text(unsigned kinds)
{
    switch (kinds) {
    case FR_IN_INT: return "an integer";
    case FR_IN_NUMBER: return "a number";
    case FR_IN_STRING: return "a string";
    case FR_IN_BOOL: return "true or false";
    case FR_IN_ARRAY:
    case FR_IN_SCHEMA: return "an array";
    case FR_IN_BOOL | FR_IN_ARRAY: return "true, false or an array";
    case FR_IN_OBJECT: return "an object";
    case FR_IN_INT | FR_IN_OBJECT: return "an integer or an object";
    case FR_IN_INT | FR_IN_STRING: return "an integer or a string";
    default: return "of another type";
    }
}

static bool kind_fits(unsigned kinds, fr_doc value)
{
    switch (fr_doc_type(value)) {
    case FR_DOC_FALSE:
    case FR_DOC_TRUE: return kinds & FR_IN_BOOL;
    case FR_DOC_INT: return kinds & (FR_IN_INT | FR_IN_NUMBER);
    case FR_DOC_FLOAT: return kinds & FR_IN_NUMBER;
    case FR_DOC_STRING: return kinds & FR_IN_STRING;
    case FR_DOC_ARRAY: return kinds & (FR_IN_ARRAY | FR_IN_SCHEMA);
    case FR_DOC_OBJECT: return kinds & FR_IN_OBJECT;
    default: return false;
    }
}

/* Is text one of a|b|c? */
static bool chosen(const char *choices, fr_span text)
{
    for (const char *at = choices; *at;) {
        size_t size = strcspn(at, "|");
        if (size == text.size && memcmp(at, text.data, size) == 0) return true;
        at += size + (at[size] == '|');
    }
    return false;
}

static fr_code value_check(const fr_in_field *field, fr_doc value, fr_err *err)
{
    if (!kind_fits(field->kinds, value)) return fr_fail(err, FR_ERR_INVALID, field->name, "must be %s", kinds_text(field->kinds));
    fr_doc_tag tag = fr_doc_type(value);
    if (tag == FR_DOC_INT && (field->min || field->max)) {
        int64_t number = fr_doc_int(value);
        if (number < field->min || number > field->max)
            return fr_fail(err, FR_ERR_INVALID, field->name, "must be between %lld and %lld, not %lld", (long long)field->min,
                           (long long)field->max, (long long)number);
    }
    if (tag == FR_DOC_STRING && field->choices && !chosen(field->choices, fr_doc_string(value)))
        return fr_fail(err, FR_ERR_INVALID, field->name, "must be one of %s", field->choices);
    return FR_OK;
}

fr_code fr_http_fields_check(const fr_in_field *fields, size_t count, fr_doc body, fr_err *err)
{
    uint64_t seen = 0;
    fr_doc_iter iter = fr_doc_begin(body);
    fr_span key;
    fr_doc value;
    while (fr_doc_next(&iter, &key, &value)) {
        size_t at = 0;
        while (at < count && !fr_span_equal(key, fr_span_text(fields[at].name))) at++;
        if (at == count) {
            char name[48];
            snprintf(name, sizeof name, "%.*s", (int)FR_MIN(key.size, sizeof name - 1), (const char *)key.data);
            return fr_fail(err, FR_ERR_INVALID, name, "is not known here");
        }
        if (fr_doc_type(value) == FR_DOC_NULL) continue;
        FR_TRY(value_check(&fields[at], value, err));
        seen |= (uint64_t)1 << at;
    }
    for (size_t i = 0; i < count; i++)
        if (fields[i].required && !(seen & (uint64_t)1 << i) && !(fields[i].kinds & FR_IN_RECORDS))
            return fr_fail(err, FR_ERR_INVALID, fields[i].name, "is missing");
    return FR_OK;
}

fr_doc fr_http_field(fr_doc body, const char *name)
{
    fr_doc value = fr_doc_get(body, fr_span_text(name));
    return value.data && fr_doc_type(value) == FR_DOC_NULL ? (fr_doc){NULL} : value;
}

fr_span fr_http_field_params(fr_doc body)
{
    fr_doc params = fr_http_field(body, "params");
    return params.data != NULL ? (fr_span){params.data, fr_doc_size(params)} : (fr_span){NULL, 0};
}

int64_t fr_http_field_int(fr_doc body, const char *name, int64_t otherwise)
{
    fr_doc value = fr_http_field(body, name);
    return value.data && fr_doc_type(value) == FR_DOC_INT ? fr_doc_int(value) : otherwise;
}

bool fr_http_field_bool(fr_doc body, const char *name, bool otherwise)
{
    fr_doc value = fr_http_field(body, name);
    return value.data ? fr_doc_type(value) == FR_DOC_TRUE : otherwise;
}

bool fr_http_field_is(fr_doc body, const char *name, const char *text)
{
    fr_doc value = fr_http_field(body, name);
    return value.data && fr_doc_type(value) == FR_DOC_STRING && fr_span_equal(fr_doc_string(value), fr_span_text(text));
}

fr_code fr_http_field_text(fr_http_call *call, fr_doc body, const char *name, size_t max, const char **text_out, fr_err *err)
{
    *text_out = NULL;
    fr_doc value = fr_http_field(body, name);
    if (!value.data) return FR_OK;
    fr_span text = fr_doc_string(value);
    if (text.size > max) return fr_fail(err, FR_ERR_INVALID, name, "has %zu bytes, the limit is %zu", text.size, max);
    if (text.size && memchr(text.data, 0, text.size)) return fr_fail(err, FR_ERR_INVALID, name, "must not contain NUL");
    char *copy = fr_arena_alloc(&call->arena, text.size + 1);
    if (!copy) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for the request");
    if (text.size) memcpy(copy, text.data, text.size);
    copy[text.size] = 0;
    *text_out = copy;
    return FR_OK;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool fr_http_decode(fr_span text, char *out, size_t capacity, size_t *size_out)
{
    const char *from = text.data;
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        int c = (unsigned char)from[i];
        if (c == '%') {
            int high = i + 2 < text.size ? hex_digit(from[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(from[i + 2]) : -1;
            if (low < 0) return false;
            c = high * 16 + low;
            i += 2;
        }
        if (!c || size + 1 >= capacity) return false;
        out[size++] = (char)c;
    }
    out[size] = 0;
    *size_out = size;
    return true;
}

/* A decimal integer of 64 bits, nothing else. */
static bool integer_text(const char *text, int64_t *out)
{
    bool negative = *text == '-';
    const char *at = text + negative;
    if (!*at || strlen(at) > 19) return false;
    uint64_t value = 0;
    for (; *at; at++) {
        if (*at < '0' || *at > '9') return false;
        value = value * 10 + (uint64_t)(*at - '0');
    }
    if (value > (uint64_t)INT64_MAX + negative) return false;
    *out = (int64_t)(negative ? 0 - value : value);
    return true;
}

static fr_code parameter_in(const fr_in_field *fields, size_t count, fr_span pair, fr_doc_builder *to, fr_err *err)
{
    char name[48], value[256];
    size_t name_size, value_size;
    const char *equals = memchr(pair.data, '=', pair.size);
    size_t head = equals ? (size_t)(equals - (const char *)pair.data) : pair.size;
    fr_span tail = equals ? fr_span_of(equals + 1, pair.size - head - 1) : fr_span_of("", 0);
    if (!fr_http_decode(fr_span_of(pair.data, head), name, sizeof name, &name_size) ||
        !fr_http_decode(tail, value, sizeof value, &value_size))
        return fr_fail(err, FR_ERR_INVALID, "query", "a parameter is not %%-encoded or longer than 255 bytes");
    if (!fr_utf8_valid(name, name_size) || !fr_utf8_valid(value, value_size))
        return fr_fail(err, FR_ERR_INVALID, "query", "is not valid UTF-8");
    fr_doc_put_key(to, name, name_size);
    int64_t number;
    bool wants_integer = false;
    for (size_t i = 0; i < count; i++) wants_integer |= (fields[i].kinds & FR_IN_INT) && strcmp(fields[i].name, name) == 0;
    if (wants_integer && integer_text(value, &number)) fr_doc_put_int(to, number);
    else fr_doc_put_string(to, value, value_size);
    return FR_OK;
}

fr_code fr_http_query_in(fr_http_call *call, const fr_in_field *fields, size_t count, fr_doc *out, fr_err *err)
{
    fr_doc_builder *to = &call->builders[2];
    fr_doc_reset(to);
    fr_doc_begin_object(to);
    const char *at = call->query.data, *end = at + call->query.size;
    while (call->query.size && at < end) {
        const char *stop = memchr(at, '&', (size_t)(end - at));
        if (!stop) stop = end;
        if (stop > at) FR_TRY(parameter_in(fields, count, fr_span_of(at, (size_t)(stop - at)), to, err));
        at = stop + 1;
    }
    fr_doc_end_object(to);
    fr_span bytes;
    if (fr_doc_finish(to, &bytes) != FR_OK) return fr_fail(err, FR_ERR_INVALID, "query", "a parameter is given twice");
    *out = fr_doc_root(bytes);
    return fr_http_fields_check(fields, count, *out, err);
}
