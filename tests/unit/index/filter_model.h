/* filter_model.h: random documents and random filters about them, for the tests of columns. */
#ifndef FR_FILTER_MODEL_H
#define FR_FILTER_MODEL_H

#include "index/search_private.h"
#include "tests/unit/index/table_model.h"

#include <string.h>

static const fr_filter_schema filter_schema = {.key_name = "id", .id_type = FR_ID_ANY};

static inline void random_value(rng *r, fr_doc_builder *b)
{
    char text[32];
    switch (rng_below(r, 9)) {
    case 0: fr_doc_put_null(b); break;
    case 1: fr_doc_put_bool(b, rng_below(r, 2)); break;
    case 2: fr_doc_put_float(b, rng_below(r, 80) * 0.25); break; /* every fourth is an integer's value */
    case 3: fr_doc_put_float(b, (double)rng_float(r) * 1e6); break;
    case 4: fr_doc_put_string(b, text, (size_t)snprintf(text, sizeof text, "s%u", rng_below(r, 15))); break;
    case 5:
        fr_doc_begin_array(b);
        for (uint32_t n = rng_below(r, 3); n > 0; n--) fr_doc_put_int(b, rng_below(r, 6));
        fr_doc_end_array(b);
        break;
    default: fr_doc_put_int(b, rng_below(r, 20)); break;
    }
}

static inline void key_of(fr_doc_builder *b, const char *key) { fr_doc_put_key(b, key, strlen(key)); }

/* n: few integers. big: many numbers. name: many strings. mixed: anything. deep.a[1]: inside. flag, tags: not declared. */
static inline fr_span random_document(rng *r, fr_doc_builder *b)
{
    char text[32];
    fr_span bytes;
    fr_doc_reset(b);
    fr_doc_begin_object(b);
    if (rng_below(r, 10) != 0) key_of(b, "n"), fr_doc_put_int(b, (int64_t)rng_below(r, 40) - 10);
    if (rng_below(r, 10) != 0) key_of(b, "big"), fr_doc_put_float(b, (double)rng_float(r) * 1000);
    if (rng_below(r, 10) != 0) key_of(b, "name"), fr_doc_put_string(b, text, (size_t)snprintf(text, sizeof text, "u%05u", rng_below(r, 50000)));
    if (rng_below(r, 4) != 0) key_of(b, "mixed"), random_value(r, b);
    if (rng_below(r, 2) != 0) key_of(b, "flag"), fr_doc_put_bool(b, rng_below(r, 2));
    if (rng_below(r, 2) != 0) key_of(b, "tags"), fr_doc_begin_array(b), random_value(r, b), random_value(r, b), fr_doc_end_array(b);
    key_of(b, "deep");
    fr_doc_begin_object(b);
    key_of(b, "a");
    fr_doc_begin_array(b), random_value(r, b), random_value(r, b), fr_doc_end_array(b);
    fr_doc_end_object(b);
    fr_doc_end_object(b);
    assert_int_equal(fr_doc_finish(b, &bytes), FR_OK);
    return bytes;
}

typedef struct filter_text {
    char at[8192];
    size_t size;
} filter_text;

static inline void say(filter_text *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline void say(filter_text *out, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(out->at + out->size, sizeof out->at - out->size, format, arguments);
    va_end(arguments);
    assert_true(size >= 0 && out->size + (size_t)size < sizeof out->at);
    out->size += (size_t)size;
}

static inline void say_constant(rng *r, filter_text *out, bool ordered)
{
    switch (rng_below(r, ordered ? 5 : 7)) {
    case 0: say(out, "%g", (double)rng_float(r) * 1000); break;
    case 1: say(out, "\"u%05u\"", rng_below(r, 50000)); break;
    case 2: say(out, "\"s%u\"", rng_below(r, 17)); break;
    case 3: say(out, "%g", rng_below(r, 100) * 0.25); break;
    case 5: say(out, "%s", rng_below(r, 2) ? "true" : "false"); break;
    case 6: say(out, "[%u, %u]", rng_below(r, 6), rng_below(r, 6)); break;
    default: say(out, "%d", (int)rng_below(r, 45) - 12); break;
    }
}

static inline void say_condition(rng *r, filter_text *out)
{
    static const char *const fields[] = {"n", "big", "name", "mixed", "flag", "tags", "deep.a[1]", "deep.a"};
    static const char *const compares[] = {"==", "!=", "<", "<=", ">", ">="};
    const char *field = fields[rng_below(r, FR_COUNT_OF(fields))];
    uint32_t kind = rng_below(r, 12), compare = rng_below(r, 6);
    if (kind < 5) {
        say(out, "%s %s ", field, compares[compare]);
        say_constant(r, out, compare > 1);
    } else if (kind < 7) {
        say(out, "%s %sin [", field, rng_below(r, 2) ? "not " : "");
        for (uint32_t n = rng_below(r, rng_below(r, 4) == 0 ? 60 : 5); n > 0; n--) say_constant(r, out, false), say(out, "%s", n > 1 ? ", " : "");
        say(out, "]");
    } else if (kind == 7) {
        say(out, "%s is %snull", field, rng_below(r, 2) ? "not " : "");
    } else if (kind == 8) {
        say(out, "%s like \"%s%u%%\"", field, rng_below(r, 2) ? "u0" : "s", rng_below(r, 9));
    } else if (kind == 9) {
        say(out, "json_contains(%s, %u)", field, rng_below(r, 6));
    } else if (kind == 10) {
        say(out, "%s", field);
    } else {
        say(out, "n * 2 < %u", rng_below(r, 50));
    }
}

static inline void say_filter(rng *r, filter_text *out, uint32_t depth)
{
    if (depth == 0 || rng_below(r, 4) == 0) {
        say_condition(r, out);
        return;
    }
    bool negated = rng_below(r, 3) == 0;
    const char *word = rng_below(r, 2) ? " and " : " or ";
    say(out, "%s(", negated ? "not " : "");
    for (uint32_t n = 1 + rng_below(r, 4); n > 0; n--) {
        say_filter(r, out, depth - 1);
        if (n > 1) say(out, "%s", word);
    }
    say(out, ")");
}

static inline fr_filter *random_filter(rng *r, filter_text *text)
{
    fr_filter *filter;
    fr_err err = {0};
    text->size = 0;
    say_filter(r, text, rng_below(r, 4));
    fr_code code = fr_filter_compile(fr_span_of(text->at, text->size), &filter_schema, (fr_span){NULL, 0}, &filter, &err);
    if (code != FR_OK) print_error("%s\n%s\n", text->at, err.text);
    assert_int_equal(code, FR_OK);
    return filter;
}

static inline bool truly_passes(const fr_table *t, const fr_filter *filter, uint32_t row)
{
    fr_row_view view;
    fr_table_row(t, row, &view);
    fr_filter_row one = {.key = view.key, .key_is_int = view.key_is_int, .metadata = fr_doc_root(view.metadata)};
    return fr_filter_match(filter, &one);
}

#endif
