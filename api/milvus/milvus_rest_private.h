/* milvus_rest_private.h: what the files of REST share. */
#ifndef FR_MILVUS_REST_PRIVATE_H
#define FR_MILVUS_REST_PRIVATE_H

#include "api/milvus/milvus_private.h"
#include "api/milvus/milvus_rest.h"

/* Codes that only REST has. */
enum { MILVUS_REST_NEED_AUTH = 1800, MILVUS_REST_BAD_JSON = 1801, MILVUS_REST_MISSING = 1802, MILVUS_REST_BAD_DATA = 1804 };

typedef fr_milvus_next fr_milvus_rest_handler(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker);
typedef struct fr_milvus_rest_route {
    const char *path; /* behind the prefix */
    const char *required; /* keys of the body, with spaces between; NULL = none */
    fr_milvus_rest_handler *handler;
    const char *rpc;  /* for handlers that need no more than that: run, answer {} */
    fr_milvus_next where;
} fr_milvus_rest_route;

extern const fr_milvus_rest_route fr_milvus_rest_routes[];
extern const size_t fr_milvus_rest_route_count;

fr_milvus_next fr_milvus_rest_fail(fr_milvus_rest *rest, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
fr_milvus_next fr_milvus_rest_error(fr_milvus_rest *rest); /* of call.reply or call.status */
void fr_milvus_rest_begin(fr_milvus_rest *rest);           /* {"code":0,"data": */
fr_milvus_next fr_milvus_rest_end(fr_milvus_rest *rest);   /* } */
fr_milvus_next fr_milvus_rest_empty(fr_milvus_rest *rest); /* data {} */
/* A request of an RPC; NULL: no memory. Its collection_name and db_name are filled from the body when it has them. */
void *fr_milvus_rest_request(fr_milvus_rest *rest, const char *rpc);
/* Run an RPC that does not wait for a wake; false: the answer is an error's. */
bool fr_milvus_rest_run(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker, const char *rpc, void *request);

fr_milvus_next fr_milvus_rest_go_on(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker); /* an RPC that may wait */
bool fr_milvus_rest_good(fr_milvus_rest *rest); /* of call.reply; false: the answer is the error's */

fr_doc fr_milvus_rest_get(const fr_milvus_rest *rest, const char *key);
char *fr_milvus_rest_text(fr_milvus_rest *rest, fr_doc object, const char *key); /* "" when it is not there; numbers and flags as text */
int64_t fr_milvus_rest_int(fr_doc object, const char *key, int64_t otherwise);
bool fr_milvus_rest_bool(fr_doc object, const char *key, bool otherwise);
char **fr_milvus_rest_texts(fr_milvus_rest *rest, fr_doc object, const char *key, size_t *count_out);
Milvus__KeyValuePair **fr_milvus_rest_pairs(fr_milvus_rest *rest, fr_doc object, size_t *count_out);
void fr_milvus_rest_int64_out(fr_milvus_rest *rest, int64_t value);
char *fr_milvus_rest_json(fr_milvus_rest *rest, fr_doc value, size_t *size_out); /* JSON text; NULL: no memory */

/* Rows of JSON to columns (milvus_rest_rows.c); false: the answer is an error's. */
bool fr_milvus_rest_columns(fr_milvus_rest *rest, const fr_milvus_schema *schema, fr_doc rows, bool partial, Milvus__FieldData ***columns_out,
                            size_t *count_out, uint32_t *rows_out);
bool fr_milvus_rest_placeholders(fr_milvus_rest *rest, const fr_milvus_field *field, fr_doc vectors, ProtobufCBinaryData *out);
/* Row `row` of columns into the open object (milvus_rest_out.c). */
typedef struct fr_milvus_rest_table {
    Milvus__FieldData *const *columns;
    size_t count;
    char *const *names; /* output_fields: which keys of $meta are wanted */
    size_t name_count;
    const char *key; /* the primary key's name, which may be shown without being a column; NULL = it is one */
    size_t *places; /* next element of compact columns */
} fr_milvus_rest_table;
void fr_milvus_rest_row(fr_milvus_rest *rest, fr_milvus_worker *worker, fr_milvus_rest_table *table, size_t row);

fr_milvus_rest_handler fr_milvus_rest_insert, fr_milvus_rest_delete, fr_milvus_rest_query, fr_milvus_rest_get_entities, fr_milvus_rest_search,
    fr_milvus_rest_hybrid_search;

#endif
