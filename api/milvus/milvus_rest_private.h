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
/* Row `row` of columns into the open object (milvus_rest_entities.c). */
typedef struct fr_milvus_rest_table {
    Milvus__FieldData *const *columns;
    size_t count;
    char *const *names; /* output_fields: which keys of $meta are wanted */
    size_t name_count;
    const char *key; /* the primary key's name, which may be shown without being a column; NULL = it is one */
    size_t *places; /* next element of compact columns */
} fr_milvus_rest_table;
void fr_milvus_rest_row(fr_milvus_rest *rest, fr_milvus_worker *worker, fr_milvus_rest_table *table, size_t row);

/* For handlers: a request filled so far, or the answer is the error's; an RPC run, or the answer is its error. */
#define FR_MILVUS_REST_REQUEST(variable, type, rpc) \
    type *variable = fr_milvus_rest_request(rest, rpc); \
    if (!variable) return fr_milvus_rest_fail(rest, MILVUS_MEMORY, "no memory for the request")
#define FR_MILVUS_REST_RUN(rpc, request) \
    if (!fr_milvus_rest_run(door, rest, worker, rpc, request)) return FR_MILVUS_REPLY

/* What is written often (milvus_rest_out.c). */
void fr_milvus_rest_text_out(fr_milvus_rest *rest, const char *key, const char *text);
void fr_milvus_rest_int_out(fr_milvus_rest *rest, const char *key, int64_t value);
void fr_milvus_rest_flag_out(fr_milvus_rest *rest, const char *key, bool value);
void fr_milvus_rest_names_out(fr_milvus_rest *rest, const char *key, char *const *names, size_t count);
void fr_milvus_rest_pairs_out(fr_milvus_rest *rest, Milvus__KeyValuePair *const *pairs, size_t count); /* a list of {"key", "value"} */
fr_milvus_next fr_milvus_rest_list_out(fr_milvus_rest *rest, char *const *items, size_t count);        /* data: the list */
fr_milvus_next fr_milvus_rest_one_flag(fr_milvus_rest *rest, const char *key, bool value);             /* data: {key: value} */
fr_milvus_next fr_milvus_rest_count_out(fr_milvus_rest *rest, Milvus__KeyValuePair *const *stats, size_t count); /* data: {"rowCount": ..} */
Milvus__KeyValuePair *fr_milvus_rest_pair_of(fr_milvus_rest *rest, const char *key, char *value);
/* An index of one of indexParams; the one of a quick creation; false: the answer is the error's (milvus_rest_indexes.c). */
bool fr_milvus_rest_index_make(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker, fr_doc one);
bool fr_milvus_rest_index_quick(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker, char *field);

#define FR_MILVUS_REST_HANDLERS(one) \
    one(list) one(has) one(describe) one(create) one(rename) one(stats) one(load_state) one(flush) one(refresh) one(properties) \
    one(field_properties) one(field_add) one(compact) one(compaction_state) one(partitions) one(partition_has) one(partition_create) \
    one(partition_drop) one(partition_stats) one(partitions_load) one(partitions_release) one(aliases) one(alias_describe) \
    one(alias_create) one(alias_alter) one(alias_drop) one(databases) one(database_create) one(database_describe) \
    one(database_alter) one(indexes) one(index_describe) one(index_create) one(index_drop) one(index_alter) one(users) \
    one(user_describe) one(user_create) one(user_update) one(user_drop) one(user_role) one(roles) one(role_describe) \
    one(role_create) one(role_drop) one(privilege) one(privilege_v2)
#define FR_MILVUS_REST_DECLARE(name) fr_milvus_rest_handler fr_milvus_rest_on_##name;
FR_MILVUS_REST_HANDLERS(FR_MILVUS_REST_DECLARE)
fr_milvus_rest_handler fr_milvus_rest_insert, fr_milvus_rest_delete, fr_milvus_rest_query, fr_milvus_rest_get_entities, fr_milvus_rest_search,
    fr_milvus_rest_hybrid_search;

#endif
