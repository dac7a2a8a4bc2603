/* milvus.h: the Milvus door: requests in, replies out, over memory. No sockets, no HTTP/2, no threads of its own.
 *
 * A carrier (server/daemon, or a test) fills a call and steps it:
 *     next = fr_milvus_begin(door, call, worker)   on a loop thread
 *     next = fr_milvus_step(door, call, worker)    wherever `next` asked for
 * until next is FR_MILVUS_REPLY: `status` and `out` are then the answer.
 *
 * Invariants
 *   1. A call is stepped by one thread at a time; after FR_MILVUS_SUBMITTED nobody touches it until call->wake() was called.
 *   2. wake() is called once per SUBMITTED, on an engine thread, and must not block.
 *   3. path and message stay valid until the call is reset.
 *   4. What a client did wrong is an answer of status OK with a Milvus code in it; gRPC's own codes are for the transport. INTERNAL
 *      is never answered: clients would repeat the request for minutes. */
#ifndef FR_MILVUS_H
#define FR_MILVUS_H

#include "api/doc.h"

#define FR_MILVUS_MESSAGE_BYTES_MAX (64u << 20) /* of a request, and of a reply */
#define FR_MILVUS_UNPACKED_TIMES 64u            /* an unpacked request takes at most so many times its bytes ... */
#define FR_MILVUS_UNPACKED_BYTES_MAX ((size_t)512 << 20) /* ... and at most this */
#define FR_MILVUS_DEPTH_MAX 32u                 /* messages inside of messages */
#define FR_MILVUS_LOOP_BYTES_MAX (32u << 10)    /* longer requests are not unpacked on a loop */
#define FR_MILVUS_NAME_BYTES_MAX 255u           /* of a database in a header */
#define FR_MILVUS_TOKEN_BYTES_MAX 1024u
#define FR_MILVUS_COST_SLOTS 1024u

/* The numbers of gRPC that are used. */
typedef enum fr_grpc_status {
    FR_GRPC_OK = 0,
    FR_GRPC_CANCELLED = 1,
    FR_GRPC_INVALID_ARGUMENT = 3,
    FR_GRPC_DEADLINE_EXCEEDED = 4,
    FR_GRPC_PERMISSION_DENIED = 7,
    FR_GRPC_RESOURCE_EXHAUSTED = 8,
    FR_GRPC_UNIMPLEMENTED = 12,
    FR_GRPC_UNAVAILABLE = 14,
    FR_GRPC_UNAUTHENTICATED = 16
} fr_grpc_status;

typedef enum fr_milvus_next {
    FR_MILVUS_REPLY,    /* the answer is complete */
    FR_MILVUS_SEARCHER, /* step again on a thread with a searcher */
    FR_MILVUS_WORKER,   /* step again on a thread that may block for a short while */
    FR_MILVUS_CHORE,    /* step again on the thread for what takes seconds */
    FR_MILVUS_SUBMITTED /* wake() comes; step again then, on the loop */
} fr_milvus_next;

/* What one thread has for stepping calls. */
typedef struct fr_milvus_worker {
    fr_searcher *searcher; /* NULL: none */
    struct fr_json_dom *dom; /* for JSON texts */
    bool loop;             /* must not take long, must not block */
} fr_milvus_worker;

/* Who asks, and passwords: server/daemon has the cryptography, so it stands behind these. Functions may be called by several threads. */
typedef struct fr_milvus_access {
    bool on; /* false: everybody may do everything */
    void *user;
    /* The value of gRPC's metadata "authorization": base64 of user:password or of a key. BUSY: only a thread that may block can tell. */
    fr_code (*who)(void *user, fr_db *db, fr_span authorization, bool may_block, fr_principal *principal_out, fr_err *err);
    fr_code (*password)(void *user, fr_span password, fr_access *user_io, fr_err *err); /* sets its verifiers; takes milliseconds */
    /* NULL: no limits. Milliseconds to come back after; 0 = come in. */
    int64_t (*admit)(void *user, fr_db *db, const fr_principal *principal, size_t bytes_in);
    /* NULL: no limits. */
    void (*sent)(void *user, fr_db *db, const fr_principal *principal, size_t bytes_out);
    /* NULL: nobody listens. A refusal, or an admin's act that is let in. Must not block. */
    void (*told)(void *user, const fr_principal *principal, const char *action, const char *object, bool refused, const char *reason);
} fr_milvus_access;

struct fr_milvus_cache;
/* One per process. */
typedef struct fr_milvus {
    _Atomic(fr_db *) db; /* NULL until recovery has ended */
    struct fr_milvus_cache *cache; /* of schemas */
    const fr_milvus_access *access; /* NULL: as if off, and users cannot be changed */
    _Atomic uint32_t search_cost_ns[FR_MILVUS_COST_SLOTS]; /* recent searches, by collection; 0 = not known */
} fr_milvus;
fr_code fr_milvus_init(fr_milvus *door) FR_MUST_CHECK; /* db: stored by the carrier, with release, when it is open */
void fr_milvus_free(fr_milvus *door);    /* after the last call; accepts one that was not initialised */

/* Entities that are older than their collection's TTL are deleted; how many. For a thread that may block, now and then. */
uint64_t fr_milvus_expire(fr_milvus *door, fr_searcher *searcher);

typedef struct fr_milvus_out {
    uint8_t *data;
    size_t size, capacity;
} fr_milvus_out;

typedef struct fr_milvus_rpc fr_milvus_rpc;
typedef struct fr_milvus_call fr_milvus_call;
struct fr_milvus_call {
    /* the carrier's */
    fr_span path;    /* "/milvus.proto.milvus.MilvusService/Insert" */
    fr_span message; /* without gRPC's five bytes before it */
    char database[FR_MILVUS_NAME_BYTES_MAX + 1]; /* metadata dbname; "" = none */
    char authorization[FR_MILVUS_TOKEN_BYTES_MAX + 1];
    void (*wake)(fr_milvus_call *call);
    void *carrier;
    /* out */
    fr_grpc_status status;
    char words[200];   /* of a status that is not OK */
    fr_milvus_out out; /* the reply with gRPC's five bytes before it; empty when status is not OK */
    /* the door's */
    const fr_milvus_rpc *rpc;
    fr_db *db;
    fr_principal principal;
    bool known;            /* who asks was found out */
    bool admitted;         /* his limits let it in: once, however many RPCs a call of REST makes */
    void *request, *reply; /* protobuf messages: of request_arena, of arena */
    fr_arena request_arena, arena;
    fr_milvus_next (*resume)(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker); /* NULL: the handler from its beginning */
    uint8_t stage;
    void *state;           /* a handler's own, in the arena */
    void (*release)(fr_milvus_call *call); /* what a handler holds besides memory of the arena; called once, at reset */
    fr_batch batch;
    fr_write write;
    struct fr_milvus_schema *schemas[4]; /* references that the call holds until it is reset */
    uint32_t schema_count;
    bool rest;             /* the reply is left as a message: another codec writes it */
    fr_err err;
};

void fr_milvus_call_init(fr_milvus_call *call);
fr_milvus_next fr_milvus_begin(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker);
fr_milvus_next fr_milvus_step(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker);
void fr_milvus_call_reset(fr_milvus *door, fr_milvus_call *call); /* keeps wake and carrier, gives back what is large */
void fr_milvus_call_free(fr_milvus *door, fr_milvus_call *call);
/* What was sent counts against its user's limit. */
void fr_milvus_account(const fr_milvus *door, const fr_milvus_call *call, size_t bytes_out);
/* An answer that a carrier gives by itself. */
void fr_milvus_refuse(fr_milvus_call *call, fr_grpc_status status, const char *words);

/* The table of RPCs, for tests and metrics. */
size_t fr_milvus_rpc_count(void);
const char *fr_milvus_rpc_name(size_t index); /* "Search"; "other" at the count */
size_t fr_milvus_rpc_index(const fr_milvus_call *call); /* the count: not in the table */
/* What calls are answered with, for metrics: a closed list of Milvus's codes and gRPC's statuses. */
size_t fr_milvus_answer_count(void);
const char *fr_milvus_answer_name(size_t index);      /* "0", "100", "UNAVAILABLE", "other" */
size_t fr_milvus_answer(const fr_milvus_call *call);  /* of a call that has ended */
size_t fr_milvus_answer_milvus(int code);
size_t fr_milvus_answer_grpc(int status);

#endif
