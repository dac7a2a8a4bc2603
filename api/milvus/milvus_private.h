/* milvus_private.h: what the files of the Milvus door share: the table of RPCs, errors, helpers of handlers. */
#ifndef FR_MILVUS_PRIVATE_H
#define FR_MILVUS_PRIVATE_H

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

/* ---- the table of RPCs ---- */
typedef fr_milvus_next fr_milvus_handler(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker);
struct fr_milvus_rpc {
    const char *name; /* without the service */
    const ProtobufCMessageDescriptor *request, *reply;
    fr_milvus_handler *handler;
    fr_milvus_next where; /* REPLY: a loop may run it; SEARCHER: a loop may run it when it is cheap (the handler decides) */
    bool open;            /* answered without authentication and before the database is open */
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
/* The same from an error of the engine. name: what was asked for, used where something is not found. */
fr_milvus_next fr_milvus_fail_fr(fr_milvus_call *call, fr_code code, const fr_err *err, const char *database, const char *name);
fr_milvus_next fr_milvus_done(fr_milvus_call *call); /* status: success, unless one was set; REPLY */
Milvus__Status *fr_milvus_status_of(fr_milvus_call *call); /* of the reply; makes what is missing; NULL: no memory */
int fr_milvus_code_of(fr_code code, const char *field);

/* ---- helpers ---- */
void *fr_milvus_alloc(fr_milvus_call *call, size_t size); /* zeroed, in the arena; NULL: no memory */
char *fr_milvus_text(fr_milvus_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *fr_milvus_database(const fr_milvus_call *call); /* the request's, else the header's, else "default" */
/* The schema by name or alias, held until the call is reset. NULL: the reply has the error. */
const fr_milvus_schema *fr_milvus_schema_in(fr_milvus *door, fr_milvus_call *call, const char *name);
/* call->write is filled: submit it; `resume` goes on when it is done (call->write.code). */
fr_milvus_next fr_milvus_submit(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker, fr_milvus_handler *resume);
const char *fr_milvus_param(Milvus__KeyValuePair *const *pairs, size_t count, const char *key); /* NULL = not given */
bool fr_milvus_int(const char *text, int64_t *out); /* whole text, decimal */
/* A JSON text, any value, appended to the builder (milvus_json.c). INVALID; the builder's own errors are sticky in it. */
fr_code fr_milvus_json_in(fr_milvus_worker *worker, fr_span text, fr_arena *arena, fr_doc_builder *to, fr_err *err);

/* ---- handlers ---- */
fr_milvus_handler fr_milvus_on_connect, fr_milvus_on_version, fr_milvus_on_health, fr_milvus_on_grpc_health;
fr_milvus_handler fr_milvus_on_alloc_timestamp;
/* entities: milvus_insert.c, milvus_search.c, milvus_query.c and what stands beside them */
fr_milvus_handler fr_milvus_on_insert, fr_milvus_on_upsert, fr_milvus_on_delete, fr_milvus_on_search, fr_milvus_on_hybrid_search,
    fr_milvus_on_query;

#endif
