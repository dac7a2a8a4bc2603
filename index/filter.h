/* filter.h: the filter expression language: text -> compiled program -> true / false / unknown per row.
 * Grammar (Milvus' expression language, precedence included), meanings and what is left out: index/FILTERS.md. */
#ifndef FR_FILTER_H
#define FR_FILTER_H

#include "api/doc.h"

typedef struct fr_filter fr_filter; /* immutable once compiled: any thread */

/* What a filter can see of a row. */
typedef struct fr_filter_row {
    fr_span key;
    bool key_is_int;
    fr_doc metadata; /* absent when the row has none */
} fr_filter_row;

typedef struct fr_filter_schema {
    const char *key_name; /* "id": the identifier that means the primary key */
    fr_id_type id_type;
    const fr_field_def *fields; /* declared ones: what the filter does with them is checked; borrowed during compiling */
    uint32_t field_count;
    bool no_dynamic; /* with fields: another name is an error */
} fr_filter_schema;

/* err.text says what is wrong and at which byte (1-based). INVALID, TOO_LARGE (FR_FILTER_BYTES_MAX, depth FR_FILTER_DEPTH_MAX).
 * Empty or blank text: *filter_out = NULL and OK (no filter).
 *   params  a binary document, an object: what {name} means. size 0 = none. Its key "$analyzers", an object, has the analyzer parameters
 *           (api/analyze.h) of the fields that text_match may name; without it every string field may be named, with the standard analyzer. */
fr_code fr_filter_compile(fr_span text, const fr_filter_schema *schema, fr_span params, fr_filter **filter_out, fr_err *err);
void fr_filter_free(fr_filter *filter); /* accepts NULL */
/* Three-valued logic inside; unknown counts as false here. No allocation. NULL filter: true. */
bool fr_filter_match(const fr_filter *filter, const fr_filter_row *row);
/* If the filter can only match these keys (id == x, id in [..] at the top or under AND): their count, else 0.
 * keys: canonical key bytes, sorted, each once; borrowed from the filter. */
uint32_t fr_filter_keys(const fr_filter *filter, const fr_span **keys_out);

/* A metadata path alone ("price", "a.b[0]", a["b"]), for group_by. */
typedef struct fr_path fr_path;
fr_code fr_path_compile(fr_span text, fr_path **path_out, fr_err *err);
fr_doc fr_path_get(const fr_path *path, fr_doc metadata); /* absent when missing */
void fr_path_free(fr_path *path);

#endif
