/* milvus_entities.h: what insert, search and query share: columns to rows and back, filters, JSON texts out. */
#ifndef FR_MILVUS_ENTITIES_H
#define FR_MILVUS_ENTITIES_H

#include "api/milvus/milvus_private.h"

#define FR_MILVUS_LIMIT_MAX FR_K_MAX    /* topk, limit, offset + limit */
#define FR_MILVUS_QUERIES_MAX 16384u    /* nq */
#define FR_MILVUS_SUBSEARCHES_MAX 1024u /* of a hybrid search */
#define FR_MILVUS_ANSWER_BYTES_MAX ((size_t)FR_MILVUS_MESSAGE_BYTES_MAX) /* of what rows bring along, before they are packed */

/* ---- JSON out (milvus_json_out.c) ---- */
typedef struct fr_milvus_json_text { /* grows in an arena; zero-initialise but for `arena` */
    fr_arena *arena;
    char *data;
    size_t size, capacity;
    bool failed; /* no memory */
} fr_milvus_json_text;
void fr_milvus_json_bytes(fr_milvus_json_text *out, const void *data, size_t size);
void fr_milvus_json_string(fr_milvus_json_text *out, fr_span text); /* quoted, escaped */
void fr_milvus_json_value(fr_milvus_json_text *out, fr_doc value);
/* A text as a document in the arena. */
fr_code fr_milvus_json_doc(fr_milvus_call *call, fr_milvus_worker *worker, fr_span text, fr_doc *doc_out, fr_err *err);

/* ---- columns in (milvus_columns_in.c) ---- */
typedef struct fr_milvus_column {
    const fr_milvus_field *field;
    const Milvus__FieldData *data; /* NULL: not given */
    const protobuf_c_boolean *valid; /* NULL: every row */
    size_t count;   /* values there are */
    bool compact;   /* only valid rows have a value */
    size_t next;    /* the value of the row that comes next */
} fr_milvus_column;

typedef struct fr_milvus_rows {
    const fr_milvus_schema *schema;
    fr_milvus_worker *worker;
    uint32_t count, next; /* rows; the next one to be put */
    bool upsert, partial;
    fr_milvus_column *columns;          /* one per field of the schema */
    const Milvus__FieldData *dynamic;   /* $meta; NULL: none */
    int64_t partition;                  /* id; with a partition key it is made from the value */
    uint64_t *auto_ids;                 /* NULL: keys are given */
    struct fr_analyzer **analyzers;     /* of the schema's functions */
    fr_doc_builder document, member;
    fr_arena scratch;                   /* of one row */
} fr_milvus_rows;

/* Checks columns against the schema and num_rows. The error is in the reply when it answers false. fr_milvus_rows_free always. */
bool fr_milvus_rows_begin(fr_milvus_call *call, fr_milvus_rows *rows, Milvus__FieldData *const *columns, size_t column_count, uint32_t row_count,
                          const char *partition);
/* Puts rows into the batch until it is full or all are there. */
fr_code fr_milvus_rows_put(fr_milvus_rows *rows, fr_batch *batch, fr_err *err);
void fr_milvus_rows_free(fr_milvus_rows *rows);
Milvus__IDs *fr_milvus_rows_ids(fr_milvus_call *call, const fr_milvus_rows *rows);
/* The field of vectors that a function makes from the text: pairs of term and count, sorted; in the arena. */
fr_code fr_milvus_term_vector(const struct fr_analyzer *analyzer, fr_span text, fr_arena *arena, fr_span *out, fr_err *err);
/* The analyzer of a VARCHAR field. */
fr_code fr_milvus_analyzer_of(fr_milvus_call *call, fr_milvus_worker *worker, const fr_milvus_field *field, struct fr_analyzer **out, fr_err *err);
const fr_milvus_function *fr_milvus_function_of(const fr_milvus_schema *schema, const fr_milvus_field *output); /* NULL = none */

/* ---- columns out (milvus_columns_out.c) ---- */
typedef struct fr_milvus_output {
    const fr_milvus_schema *schema;
    const fr_milvus_field **fields; /* columns */
    uint32_t field_count;
    bool meta;                      /* the $meta column */
    char **names;                   /* as resolved: what the reply's output_fields has */
    size_t name_count;
    bool count;                     /* count(*) */
    uint32_t vector_fields;         /* of fr_wanted */
} fr_milvus_output;

/* with_key: the primary key is a column whether it was asked for or not. False: the reply has the error. */
bool fr_milvus_output_resolve(fr_milvus_call *call, const fr_milvus_schema *schema, char *const *wanted, size_t count, bool with_key,
                              fr_milvus_output *out);
/* The columns of the rows; false: no memory. */
bool fr_milvus_output_columns(fr_milvus_call *call, const fr_milvus_output *output, const fr_hit *hits, size_t count, Milvus__FieldData ***columns_out,
                              size_t *column_count_out);
Milvus__FieldData *fr_milvus_column_of(fr_milvus_call *call, const fr_milvus_field *field, const fr_hit *hits, size_t count);
Milvus__IDs *fr_milvus_ids_of(fr_milvus_call *call, const fr_milvus_schema *schema, const fr_hit *hits, size_t count);
int64_t fr_milvus_key_int(fr_span key); /* canonical decimal */
/* A copy that stays when the searcher goes on; false: no memory, or the answer is too large (the reply says so). */
bool fr_milvus_hit_keep(fr_milvus_call *call, fr_hit *hit, size_t *bytes);

/* ---- filters (milvus_filter.c) ---- */
/* The request's expression, template values and partitions as one filter with params. What stands in `[...]` behind `in` is taken out
 * of the text, so that long lists pass. False: the reply has the error. condition_out->filter NULL: none. */
bool fr_milvus_filter(fr_milvus_call *call, fr_milvus_worker *worker, const fr_milvus_schema *schema, const char *expression,
                      Milvus__TemplateEntry *const *values, size_t value_count, char *const *partitions, size_t partition_count,
                      fr_condition *condition_out);
/* Is the filter nothing but `key in list`, `key == constant`? The keys, as documents of a list; absent: no. */
fr_doc fr_milvus_filter_keys(const fr_milvus_schema *schema, const fr_condition *condition);
int64_t fr_milvus_seconds(void); /* since 1970 */
/* A page of an iterator says `id > last` beside its filter: the key to go on behind, and the filter without it. false: it is none. */
bool fr_milvus_filter_cursor(fr_milvus_call *call, const fr_milvus_schema *schema, const char *expression, const char **rest_out, fr_span *after_out);
/* A key of the schema's type from a value; false: not of the type. text: room for 24 bytes. */
bool fr_milvus_key_of(const fr_milvus_schema *schema, fr_doc value, char *text, fr_span *key_out);
/* The keys of IDs. False: the reply has the error. */
bool fr_milvus_keys_in(fr_milvus_call *call, const fr_milvus_schema *schema, const Milvus__IDs *ids, fr_span **keys_out, uint32_t *count_out);
/* Reads an error of the engine about a filter as Milvus says it. */
fr_milvus_next fr_milvus_fail_filter(fr_milvus_call *call, const char *expression, fr_code code, const fr_err *err);

/* ---- reading (milvus_query.c) ---- */
/* What may be read: the partitions that are named, all there and loaded; without names those that are loaded, named when it is not all of them.
 * False: the reply has the error, which says what could not be done (`verb`). */
bool fr_milvus_scope(fr_milvus_call *call, const fr_milvus_schema *schema, const char *verb, char ***names, size_t *count);
bool fr_milvus_limit_in(fr_milvus_call *call, const char *name, int64_t number); /* 1 to FR_MILVUS_LIMIT_MAX; false: the reply says why not */
/* An integer parameter: absent = otherwise; the reply has the error when it is none. */
bool fr_milvus_param_number(fr_milvus_call *call, Milvus__KeyValuePair *const *pairs, size_t count, const char *name, int64_t otherwise, int64_t *out);
/* An integer parameter: absent = otherwise; the reply has the error when it is none or outside. */
bool fr_milvus_param_int(fr_milvus_call *call, Milvus__KeyValuePair *const *pairs, size_t count, const char *name, int64_t least, int64_t most,
                         int64_t otherwise, int64_t *out);
bool fr_milvus_param_true(Milvus__KeyValuePair *const *pairs, size_t count, const char *name); /* "True", "true" */

/* ---- searching (milvus_search.c, milvus_hybrid.c) ---- */
typedef struct fr_milvus_search {
    const fr_milvus_schema *schema;
    const fr_milvus_field *field, *group; /* group NULL = none, unless group_key: a dynamic key */
    const char *group_key;
    fr_condition condition;
    fr_query query;            /* vectors of all queries: vectors or vector_bytes */
    uint32_t query_count;
    uint32_t limit, offset, group_size; /* limit, offset: hits, or groups */
    bool strict_group, iterator, has_last_bound;
    float last_bound;
    int64_t round_decimal; /* -1 = not */
    fr_milvus_output output;
} fr_milvus_search;
/* Reads a request, `shared` things apart. False: the reply has the error. */
bool fr_milvus_search_in(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker, const fr_milvus_schema *schema, const Milvus__SearchRequest *request,
                         fr_milvus_search *search);
typedef struct fr_milvus_found {
    fr_hit *hits; /* of all queries, one after the other; kept in the call's arena */
    size_t count;
    int64_t *counts; /* per query */
    float last_bound;
} fr_milvus_found;
bool fr_milvus_search_run(fr_milvus_call *call, fr_milvus_worker *worker, fr_milvus_search *search, fr_milvus_found *found);
float fr_milvus_rounded(float score, int64_t decimals);
/* The reply from hits whose score is what Milvus gives out. */
fr_milvus_next fr_milvus_search_reply(fr_milvus_call *call, const fr_milvus_search *search, const fr_milvus_found *found, const char *collection);

#endif
