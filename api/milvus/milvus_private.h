/* milvus_private.h: what the files of the Milvus door share: the table of RPCs, errors, helpers of handlers. */
#ifndef FR_MILVUS_PRIVATE_H
#define FR_MILVUS_PRIVATE_H

#include "api/base64.h"
#include "api/milvus/milvus.h"
#include "api/milvus/milvus_schema.h"

#include <milvus.pb-c.h>

/* ---- Milvus's error codes (README.md has where they stand) ---- */
typedef enum fr_milvus_code {
    MILVUS_OK = 0,
    MILVUS_NOT_READY = 1,
    MILVUS_UNAVAILABLE = 2,
    MILVUS_MEMORY = 3,
    MILVUS_INTERNAL = 5,
    MILVUS_DISK = 7,
    MILVUS_RATE_LIMIT = 8,
    MILVUS_COLLECTION_NOT_FOUND = 100,
    MILVUS_COLLECTION_NOT_LOADED = 101,
    MILVUS_COLLECTION_LOADED = 104,
    MILVUS_ILLEGAL_SCHEMA = 105,
    MILVUS_SCHEMA_MISMATCH = 109,
    MILVUS_PARTITION_NOT_FOUND = 200,
    MILVUS_PARTITION_NOT_LOADED = 201,
    MILVUS_INDEX_NOT_FOUND = 700,
    MILVUS_INDEX_DUPLICATE = 702,
    MILVUS_DATABASE_NOT_FOUND = 800,
    MILVUS_DATABASE_INVALID_NAME = 802,
    MILVUS_INVALID_PARAMETER = 1100,
    MILVUS_MISSING_PARAMETER = 1101,
    MILVUS_TOO_LARGE = 1102,
    MILVUS_NOT_AUTHENTICATED = 1400,
    MILVUS_NOT_PERMITTED = 1401,
    MILVUS_ALIAS_NOT_FOUND = 1600,
    MILVUS_ALIAS_CONFLICT = 1601,
    MILVUS_ALIAS_EXISTS = 1602,
    MILVUS_FIELD_NOT_FOUND = 1700,
    MILVUS_FIELD_INVALID_NAME = 1701,
    MILVUS_UNSUPPORTED = 3000,
    MILVUS_UNEXPECTED = 65535
} fr_milvus_code;

/* ---- enums of the protocol ---- */
enum { MILVUS_LOAD_NOT_EXIST = 0, MILVUS_LOAD_NOT_LOAD = 1, MILVUS_LOAD_LOADED = 3 };
enum { MILVUS_INDEX_FINISHED = 3 };
enum { MILVUS_COMPACTION_COMPLETED = 2 };
enum { MILVUS_SEGMENT_SEALED = 3, MILVUS_SEGMENT_FLUSHED = 4 };
enum { MILVUS_LEVEL_L2 = 3 };
enum { MILVUS_STRONG = 0, MILVUS_SESSION = 1, MILVUS_BOUNDED = 2, MILVUS_EVENTUALLY = 3, MILVUS_CUSTOMIZED = 4 };
enum { MILVUS_FUNCTION_BM25 = 1 };
enum { /* types that are known by name only */
    MILVUS_TYPE_STRING = 20, MILVUS_TYPE_GEOMETRY = 24, MILVUS_TYPE_TEXT = 25, MILVUS_TYPE_TIMESTAMPTZ = 26, MILVUS_TYPE_ARRAY_OF_VECTOR = 106,
    MILVUS_TYPE_ARRAY_OF_STRUCT = 200, MILVUS_TYPE_STRUCT = 201
};

/* ---- the table of RPCs ---- */
typedef fr_milvus_next fr_milvus_handler(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker);
struct fr_milvus_rpc {
    const char *name; /* without the service */
    const ProtobufCMessageDescriptor *request, *reply;
    fr_milvus_handler *handler;
    fr_milvus_next where; /* REPLY: a loop may run it; SEARCHER: a loop may run it when it is cheap (the handler decides) */
    bool open;            /* answered without authentication and before the database is open */
    fr_action action;     /* what one must be allowed to; 0 = nothing but being somebody */
    fr_object object;     /* TOPIC: the collection that the request names; DATABASE: its database; ALL: the server */
};
extern const fr_milvus_rpc fr_milvus_rpcs[];
const fr_milvus_rpc *fr_milvus_rpc_find(const char *name);

/* ---- the wire (milvus_wire.c) ---- */
/* Structure, depth, UTF-8 and no NUL in texts; then unpacked into the arena. NULL with err: INVALID or TOO_LARGE. */
void *fr_milvus_unpack(const ProtobufCMessageDescriptor *descriptor, fr_span bytes, fr_arena *arena, fr_err *err);
/* Five bytes and the message; false: no memory, or over the limit. */
bool fr_milvus_pack(const ProtobufCMessage *message, fr_milvus_out *out);
void *fr_milvus_message(fr_arena *arena, const ProtobufCMessageDescriptor *descriptor); /* initialised; NULL: no memory */

/* ---- answers (milvus_errors.c) ---- */
/* The reply of the call's RPC with its status set; REPLY. */
fr_milvus_next fr_milvus_fail(fr_milvus_call *call, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same for a parameter that is refused (1100): the words, ": invalid parameter". false, for checks to return. */
bool fr_milvus_bad(fr_milvus_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same from an error of the engine. name: what was asked for, used where something is not found. */
fr_milvus_next fr_milvus_fail_fr(fr_milvus_call *call, fr_code code, const fr_err *err, const char *database, const char *name);
fr_milvus_next fr_milvus_fail_missing(fr_milvus_call *call, fr_code code, const char *database, const char *name); /* of a collection, from call->err */
fr_milvus_next fr_milvus_done(fr_milvus_call *call); /* status: success, unless one was set; REPLY */
Milvus__Status *fr_milvus_status_of(fr_milvus_call *call); /* of the reply; makes what is missing; NULL: no memory */
int fr_milvus_code_of(fr_code code, const char *field);

/* ---- helpers ---- */
void *fr_milvus_alloc(fr_milvus_call *call, size_t size); /* zeroed, in the arena; NULL: no memory */
char *fr_milvus_text(fr_milvus_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Who asks, and whether he may; REPLY: the call is refused. WORKER: only a thread that may block can tell. SUBMITTED: go on. */
fr_milvus_next fr_milvus_admit(fr_milvus *door, fr_milvus_call *call, const fr_milvus_worker *worker);
/* For handlers that ask themselves: what their request names cannot be told from the table. false: the call is refused. name NULL: everything. */
bool fr_milvus_may(fr_milvus *door, fr_milvus_call *call, fr_action action, const char *name);
bool fr_milvus_sees(const fr_milvus_call *call, const char *database, const char *name); /* a list leaves out what may not be read */
void fr_milvus_acted(fr_milvus *door, fr_milvus_call *call, const char *object);         /* an admin's act, when the table does not say so */
const char *fr_milvus_database(const fr_milvus_call *call); /* the request's, else the header's, else "default" */
/* The schema by name or alias, held until the call is reset. NULL: the reply has the error. */
const fr_milvus_schema *fr_milvus_schema_in(fr_milvus *door, fr_milvus_call *call, const char *name);
const fr_milvus_schema *fr_milvus_schema_at(fr_milvus *door, fr_milvus_call *call, const char *database, const char *name);
/* By number where there is no name: what some calls of clients send. */
const fr_milvus_schema *fr_milvus_schema_by(fr_milvus *door, fr_milvus_call *call, const char *name, int64_t number);
/* call->write is filled: submit it; `resume` goes on when it is done (call->write.code). */
fr_milvus_next fr_milvus_submit(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker, fr_milvus_handler *resume);
const char *fr_milvus_param(Milvus__KeyValuePair *const *pairs, size_t count, const char *key); /* NULL = not given */
bool fr_milvus_int(const char *text, int64_t *out); /* whole text, decimal */
/* A JSON text, any value, appended to the builder (milvus_json.c). INVALID; the builder's own errors are sticky in it. */
fr_code fr_milvus_json_in(fr_milvus_worker *worker, fr_span text, fr_arena *arena, fr_doc_builder *to, fr_err *err);

/* ---- rules (milvus_rules.c) ---- */
typedef enum fr_milvus_named {
    MILVUS_NAMED_COLLECTION, MILVUS_NAMED_ALIAS, MILVUS_NAMED_DATABASE, MILVUS_NAMED_PARTITION, MILVUS_NAMED_FIELD, MILVUS_NAMED_USER, MILVUS_NAMED_ROLE
} fr_milvus_named;
bool fr_milvus_name_ok(fr_milvus_call *call, fr_milvus_named what, const char *name); /* false: the reply says why */
const char *fr_milvus_type_name(int32_t type); /* as Milvus says it: "VarChar" */

/* What Milvus refuses of an index (milvus_index_rules.c); false: the reply says why. */
bool fr_milvus_index_ok(fr_milvus_call *call, const fr_milvus_field *field, const fr_milvus_pairs *pairs);
bool fr_milvus_index_name_ok(fr_milvus_call *call, const char *name);

/* ---- schemas and messages ---- */
static inline char *fr_milvus_mut(const char *text) { return (char *)(uintptr_t)text; } /* protobuf-c's structs say char * */
fr_code fr_milvus_pairs_in(fr_milvus_schema *schema, fr_milvus_pairs *pairs, Milvus__KeyValuePair *const *items, size_t count);
Milvus__KeyValuePair **fr_milvus_pairs_out(fr_milvus_call *call, const fr_milvus_pairs *pairs, size_t *count_out);
Milvus__CollectionSchema *fr_milvus_schema_out(fr_milvus_call *call, const fr_milvus_schema *schema); /* NULL: no memory */
int64_t fr_milvus_partition_number(const fr_milvus_schema *schema, const fr_milvus_partition *partition); /* as clients see it */
/* A field that a client describes; appended to the schema. false: the reply says why not. */
bool fr_milvus_field_in(fr_milvus_call *call, fr_milvus_schema *schema, const Milvus__FieldSchema *in, fr_field_def *def_out);
fr_metric fr_milvus_metric_default(const fr_milvus_field *field);
/* What a vector field may be measured by; false: none of that name for it. */
bool fr_milvus_metric_of(const fr_milvus_field *field, const char *name, fr_metric *out);
bool fr_milvus_ttl_ok(fr_milvus_call *call, Milvus__KeyValuePair *const *properties, size_t count); /* false: the reply says why */
bool fr_milvus_database_there(fr_milvus_call *call, const char *name);            /* false: the reply says so */

/* Change a collection: its schema is read, edited, and written if nobody else was faster, else again. Blocks.
 * edit: fills `change` beyond the attributes; false: the reply has the error. With change->set_attributes made false nothing is
 * written unless something else of the change is set. The whole: false: the reply has the error. */
typedef bool fr_milvus_edit(fr_milvus_call *call, fr_milvus_schema *schema, fr_collection_change *change, void *user);
bool fr_milvus_change(fr_milvus_call *call, const char *name, fr_milvus_edit *edit, void *user);
/* call->write, filled, done and waited for; false: the reply has the error. */
bool fr_milvus_write(fr_milvus_call *call, const char *name);
/* Names of a collection's aliases; NULL: no memory. */
char **fr_milvus_aliases(fr_milvus_call *call, const char *database, fr_id id, size_t *count_out);

/* ---- handlers ---- */
#define FR_MILVUS_HANDLERS(one) \
    one(connect) one(version) one(health) one(grpc_health) one(alloc_timestamp) one(run_analyzer) \
    one(create_collection) one(drop_collection) one(has_collection) one(describe_collection) one(show_collections) one(rename_collection) \
    one(alter_collection) one(alter_field) one(alter_schema) one(add_field) one(truncate) one(statistics) \
    one(load_collection) one(release_collection) one(load_state) one(loading_progress) one(load_partitions) one(release_partitions) \
    one(create_partition) one(drop_partition) one(has_partition) one(show_partitions) one(partition_statistics) \
    one(create_index) one(describe_index) one(drop_index) one(alter_index) \
    one(create_alias) one(drop_alias) one(alter_alias) one(describe_alias) one(list_aliases) \
    one(create_database) one(drop_database) one(list_databases) one(describe_database) one(alter_database) \
    one(flush) one(flush_all) one(flush_state) one(flush_all_state) one(compact) one(compaction_state) one(compaction_plans) \
    one(persistent_segments) one(query_segments) one(replicas) \
    one(create_user) one(update_user) one(drop_user) one(list_users) one(create_role) one(drop_role) one(user_role) one(select_role) \
    one(select_user) one(privilege) one(privilege_v2) one(select_grant) \
    one(insert) one(upsert) one(delete) one(search) one(hybrid_search) one(query)
#define FR_MILVUS_DECLARE(name) fr_milvus_handler fr_milvus_on_##name;
FR_MILVUS_HANDLERS(FR_MILVUS_DECLARE)

#endif
