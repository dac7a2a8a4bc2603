/* doc_text.h: tests write documents as JSON text; this turns it into binary form. Trusts its input: test literals only. */
#ifndef FR_TESTS_DOC_TEXT_H
#define FR_TESTS_DOC_TEXT_H

#include "api/doc.h"

#include <stdlib.h>

static const char *doc_text_value(fr_doc_builder *b, const char *at);

static inline const char *doc_text_skip(const char *at)
{
    while (*at == ' ' || *at == '\n') at++;
    return at;
}

/* At the opening quote; the escapes are \" \\ \n and \0, enough for tests. */
static inline const char *doc_text_string(const char *at, char *out, size_t *size_out)
{
    size_t size = 0;
    for (at++; *at != '"' && *at != '\0'; at++) {
        bool escaped = *at == '\\';
        if (escaped) at++;
        out[size++] = escaped && *at == 'n' ? '\n' : escaped && *at == '0' ? '\0' : *at;
    }
    *size_out = size;
    return at + 1;
}

static inline const char *doc_text_container(fr_doc_builder *b, const char *at)
{
    bool object = *at == '{';
    char close = object ? '}' : ']', text[4096];
    size_t size;
    if (object) fr_doc_begin_object(b);
    else fr_doc_begin_array(b);
    at = doc_text_skip(at + 1);
    while (*at != close && *at != '\0') {
        if (object) {
            at = doc_text_skip(doc_text_string(at, text, &size));
            fr_doc_put_key(b, text, size);
            at = doc_text_skip(at + 1); /* the colon */
        }
        at = doc_text_skip(doc_text_value(b, at));
        if (*at == ',') at = doc_text_skip(at + 1);
    }
    if (object) fr_doc_end_object(b);
    else fr_doc_end_array(b);
    return at + 1;
}

static const char *doc_text_value(fr_doc_builder *b, const char *at)
{
    char text[4096];
    size_t size;
    at = doc_text_skip(at);
    if (*at == '{' || *at == '[') return doc_text_container(b, at);
    if (*at == '"') {
        at = doc_text_string(at, text, &size);
        fr_doc_put_string(b, text, size);
        return at;
    }
    if (strncmp(at, "null", 4) == 0) return fr_doc_put_null(b), at + 4;
    if (strncmp(at, "true", 4) == 0) return fr_doc_put_bool(b, true), at + 4;
    if (strncmp(at, "false", 5) == 0) return fr_doc_put_bool(b, false), at + 5;
    size = strspn(at, "+-0123456789.eE");
    if (memchr(at, '.', size) != NULL || memchr(at, 'e', size) != NULL) fr_doc_put_float(b, strtod(at, NULL));
    else fr_doc_put_int(b, strtoll(at, NULL, 10));
    return at + size;
}

/* Borrowed from the builder until its next use. */
static inline fr_span doc_from_text(fr_doc_builder *b, const char *text)
{
    fr_span bytes = {NULL, 0};
    fr_doc_reset(b);
    doc_text_value(b, text);
    FR_ASSERT(fr_doc_finish(b, &bytes) == FR_OK);
    return bytes;
}

#endif
