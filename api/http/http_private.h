/* http_private.h: shared by the files of this room. */
#ifndef FR_HTTP_PRIVATE_H
#define FR_HTTP_PRIVATE_H

#include "api/http/http.h"

#define FR_HTTP_LOOP_BODY_BYTES ((size_t)64 << 10) /* about 0.1 ms of parsing: what a loop may do itself */

/* ---- fields of bodies and queries: one table per route, for checking and for /openapi.json ---- */
typedef enum fr_in_kind {
    FR_IN_INT = 1, FR_IN_NUMBER = 2, FR_IN_STRING = 4, FR_IN_BOOL = 8, FR_IN_ARRAY = 16, FR_IN_OBJECT = 32,
    FR_IN_VECTOR = 64, FR_IN_VECTORS = 128, FR_IN_RECORDS = 256, /* taken out of the document before it is checked */
    FR_IN_SCHEMA = 512 /* an array of fields: call_schema.c */
} fr_in_kind;

typedef struct fr_in_field {
    const char *name;
    unsigned kinds;
    bool required;
    int64_t min, max;    /* INT */
    const char *choices; /* STRING: "l2|ip|cosine"; NULL = any */
    const char *about;
} fr_in_field;

/* Who may use a route. It is the first member and a type of its own, so that a row without one does not compile. */
typedef enum fr_http_who {
    FR_HTTP_WHO_OPEN,   /* anybody */
    FR_HTTP_WHO_SCRAPE, /* as the server, unless metrics are open */
    FR_HTTP_WHO_USER,   /* any user; the handler asks fr_http_may for what the body names, or shows what may be read */
    FR_HTTP_WHO_NAMED,  /* the action on the collection that the path names */
    FR_HTTP_WHO_SERVER  /* the action on everything */
} fr_http_who;
typedef struct fr_http_policy {
    const char *name;
    fr_http_who who;
    fr_action action;
} fr_http_policy;
extern const fr_http_policy fr_http_open, fr_http_scrape, fr_http_user, fr_http_read, fr_http_write, fr_http_admin, fr_http_server;

struct fr_http_route {
    const fr_http_policy *policy;
    const char *method, *path, *op, *about;
    fr_http_next (*handler)(fr_http *door, fr_http_call *call, fr_http_worker *worker);
    const fr_in_field *body; /* NULL: no body is read */
    size_t body_count;
    const fr_in_field *query;
    size_t query_count;
    const char *answer; /* an example of the answer, for /openapi.json */
    bool without_db;    /* answers before recovery has ended */
};
extern const fr_http_route fr_http_routes[];

/* Names, kinds, ranges, required; null counts as absent. */
fr_code fr_http_fields_check(const fr_in_field *fields, size_t count, fr_doc body, fr_err *err);
fr_doc fr_http_field(fr_doc body, const char *name); /* absent also when null */
fr_span fr_http_field_params(fr_doc body); /* "params": the values of {name} in the filter */
int64_t fr_http_field_int(fr_doc body, const char *name, int64_t otherwise);
bool fr_http_field_bool(fr_doc body, const char *name, bool otherwise);
bool fr_http_field_is(fr_doc body, const char *name, const char *text);
/* A copy with a NUL at its end; NULL when absent. INVALID when it contains NUL or is longer than max. */
fr_code fr_http_field_text(fr_http_call *call, fr_doc body, const char *name, size_t max, const char **text_out, fr_err *err);
/* The query string as a document of strings and integers, checked. */
fr_code fr_http_query_in(fr_http_call *call, const fr_in_field *fields, size_t count, fr_doc *out, fr_err *err);
/* %XX decoding; false when broken or over capacity - 1 bytes or with NUL inside. */
bool fr_http_decode(fr_span text, char *out, size_t capacity, size_t *size_out);

/* ---- replies ---- */
fr_http_next fr_http_fail(fr_http_call *call, const fr_err *err, fr_code code);
fr_http_next fr_http_done(fr_http_call *call, int status); /* out is complete; checks its sticky code */

/* ---- parts that handlers share ---- */
/* OK; else the reply is made, but for BUSY without a status: to be asked again where blocking is allowed. */
fr_code fr_http_admit(fr_http *door, fr_http_call *call, bool may_block);
fr_code fr_http_may(fr_http_call *call, fr_action action, const char *name); /* on a collection; fills call->err */
bool fr_http_sees(const fr_http_call *call, const char *name);               /* may read it */
fr_code fr_http_body_in(fr_http_call *call, fr_http_worker *worker); /* body to call->rest, checked against the route */
fr_code fr_http_collection(fr_http_call *call);                      /* params[0] to call->info */
uint32_t fr_http_dimension(const fr_collection_info *info);
const fr_field_def *fr_http_vector_field(const fr_collection_info *info); /* the first */
/* The at-th vector field; NULL: there are fewer. */
const fr_field_def *fr_http_vector_field_at(const fr_collection_info *info, uint32_t at);
const fr_field_def *fr_http_vector_field_named(const fr_collection_info *info, fr_span name, uint32_t *at_out); /* NULL: none */
fr_json_form fr_http_form(const fr_field_def *field);
fr_code fr_http_ids_in(fr_http_call *call, fr_doc ids, fr_event *events, fr_span *keys); /* either may be NULL */
fr_http_next fr_http_submit(fr_http_call *call);
void fr_http_offsets_out(fr_http_call *call);
/* call_schema.c: "fields" of a collection. */
fr_code fr_http_schema_in(fr_http_call *call, fr_collection_def *def);
void fr_http_schema_blame(const fr_http_call *call, fr_err *err_io);
void fr_http_schema_out(fr_out *out, const fr_collection_info *info);
const char *fr_http_metric_text(fr_metric metric);
const char *fr_http_profile_text(fr_profile profile);
const char *fr_http_vector_type_text(fr_type type);
const char *fr_http_vectors_text(const fr_field_def *field);
const char *fr_http_codes_text(const fr_field_def *field);
void fr_http_vector_in(fr_doc body, fr_field_def *out); /* what a table has checked */

void fr_http_collection_out(fr_out *out, const fr_collection_info *info);
void fr_http_id_out(fr_out *out, fr_span key, bool is_int);
/* "output" of a body: which metadata keys. */
typedef struct fr_output {
    bool all, none;
    fr_doc names;
    fr_wanted wanted; /* vectors */
} fr_output;
fr_code fr_http_output_in(fr_http_call *call, fr_output *out);
void fr_http_vector_out(fr_out *out, const fr_field_def *field, fr_span bytes); /* elements of the field's type */
void fr_http_metadata_out(fr_out *out, fr_span metadata, const fr_output *output);
void fr_http_record_out(fr_http_call *call, const fr_hit *hit, const fr_output *output, bool search);
fr_code fr_http_embed(void *user, fr_span text, float *out, fr_err *err);

void fr_http_field_set(char *to, size_t room, const char *text); /* NULL = "" */

/* ---- handlers ---- */
#define FR_HTTP_HANDLER(name) fr_http_next fr_http_on_##name(fr_http *door, fr_http_call *call, fr_http_worker *worker)
FR_HTTP_HANDLER(collection_create);
FR_HTTP_HANDLER(collection_list);
FR_HTTP_HANDLER(collection_get);
FR_HTTP_HANDLER(collection_drop);
FR_HTTP_HANDLER(upsert);
FR_HTTP_HANDLER(delete);
FR_HTTP_HANDLER(search);
FR_HTTP_HANDLER(get);
FR_HTTP_HANDLER(count);
FR_HTTP_HANDLER(scroll);
FR_HTTP_HANDLER(alias_list);
FR_HTTP_HANDLER(alias_put);
FR_HTTP_HANDLER(alias_get);
FR_HTTP_HANDLER(alias_drop);
FR_HTTP_HANDLER(log);
FR_HTTP_HANDLER(user_list);
FR_HTTP_HANDLER(user_put);
FR_HTTP_HANDLER(user_get);
FR_HTTP_HANDLER(user_drop);
FR_HTTP_HANDLER(role_list);
FR_HTTP_HANDLER(role_put);
FR_HTTP_HANDLER(role_get);
FR_HTTP_HANDLER(role_drop);
FR_HTTP_HANDLER(key_list);
FR_HTTP_HANDLER(key_make);
FR_HTTP_HANDLER(key_get);
FR_HTTP_HANDLER(key_drop);
FR_HTTP_HANDLER(grant_list);
FR_HTTP_HANDLER(grant_put);
FR_HTTP_HANDLER(grant_drop);
FR_HTTP_HANDLER(limit_list);
FR_HTTP_HANDLER(limit_put);
FR_HTTP_HANDLER(limit_get);
FR_HTTP_HANDLER(limit_drop);
FR_HTTP_HANDLER(snapshot);
FR_HTTP_HANDLER(compact);
FR_HTTP_HANDLER(replay_start); /* call_jobs.c */
FR_HTTP_HANDLER(replay_list);
FR_HTTP_HANDLER(replay_get);
FR_HTTP_HANDLER(replay_forget);
FR_HTTP_HANDLER(replay_order);
FR_HTTP_HANDLER(lag);
FR_HTTP_HANDLER(letters); /* call_letters.c */
FR_HTTP_HANDLER(letters_replay);
FR_HTTP_HANDLER(livez);
FR_HTTP_HANDLER(readyz);
FR_HTTP_HANDLER(metrics);
FR_HTTP_HANDLER(openapi);

extern const fr_in_field fr_in_create[], fr_in_schema[], fr_in_upsert[], fr_in_record[], fr_in_delete[], fr_in_search[], fr_in_get[],
    fr_in_count[], fr_in_scroll[], fr_in_alias[], fr_in_log[], fr_in_user[], fr_in_key[], fr_in_grant[], fr_in_limit[], fr_in_client[],
    fr_in_replay[], fr_in_letters[], fr_in_letters_replay[], fr_in_lag[];
extern const size_t fr_in_create_count, fr_in_schema_count, fr_in_upsert_count, fr_in_record_count, fr_in_delete_count, fr_in_search_count,
    fr_in_get_count, fr_in_count_count, fr_in_scroll_count, fr_in_alias_count, fr_in_log_count;

#endif
