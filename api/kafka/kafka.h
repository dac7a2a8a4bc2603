/* kafka.h: the Kafka door: frames in, replies out, over memory. No sockets, no threads: a carrier (server/daemon, or a test) fills
 * a call and steps it. A reply is bytes with splices of record batches between them, in memory or ranges of files.
 */
#ifndef FR_KAFKA_H
#define FR_KAFKA_H

#include "api/kafka/kafka_codec.h"

#define FR_KAFKA_FRAME_BYTES_MAX (100u << 20)  /* socket.request.max.bytes */
#define FR_KAFKA_CONTROL_BYTES_MAX (16u << 20) /* every request but Produce */
#define FR_KAFKA_STRUCT_BYTES_MAX (64u << 20)  /* what one request may take when decoded, records apart */
#define FR_KAFKA_FETCH_BYTES_MAX (64u << 20)   /* of one reply, but for a single larger batch */
#define FR_KAFKA_REPLY_BYTES_MAX (64u << 20)   /* of one reply, record batches apart; over it the connection is closed */
#define FR_KAFKA_TXNS_ASKED_MAX 1000u  /* transactional ids, or producer ids, of one DescribeTransactions, ListTransactions */
#define FR_KAFKA_QUOTAS_ASKED_MAX 1000u /* entries of one AlterClientQuotas */
#define FR_KAFKA_FETCH_FILES_MAX 256u          /* ranges of files in one reply; the other partitions from memory */
#define FR_KAFKA_FETCH_WAIT_MS_MAX 300000
#define FR_KAFKA_PARTITIONS_ASKED_MAX 100000u  /* partitions named in one request */

struct fr_kafka_groups;
typedef struct fr_kafka_peer fr_kafka_peer;

/* Who comes, and what he may cost: server/daemon has the cryptography. Functions may be called by several threads. */
typedef struct fr_kafka_sasl {
    void *user;
    const char *const *mechanisms;
    uint32_t mechanism_count;
    /* One message of the exchange that peer->mechanism names; may block. out: the answer. OK and *done_out: peer->principal is set. */
    fr_code (*step)(void *user, fr_db *db, fr_kafka_peer *peer, fr_span message, fr_kafka_out *out, bool *done_out, fr_err *err);
    void (*end)(void *user, fr_kafka_peer *peer); /* frees peer->exchange */
    /* What was done is charged; ms to be slowed down by. */
    int64_t (*charge)(void *user, fr_db *db, const fr_principal *principal, fr_span client, uint32_t requests, uint64_t bytes_in, uint64_t bytes_out);
    void (*told)(void *user, const fr_principal *principal, const char *action, const char *object, const char *verdict, const char *reason);
} fr_kafka_sasl;
#define FR_KAFKA_LOGIN_BYTES_MAX (64u << 10) /* a frame of who has not logged in yet */

/* Shared by all connections. Fields are set before the first call. */
typedef struct fr_kafka {
    fr_db *db;
    char host[256]; /* where clients are told to connect; empty: what a connection came to (fr_kafka_peer.host) */
    int32_t port;
    int32_t node_id;
    char cluster_id[24];
    bool auto_create; /* Metadata makes unknown topics */
    uint32_t partitions_default;
    char log_dir[4096]; /* what DescribeLogDirs names; empty: "/" */
    bool file_ranges; /* the carrier can send ranges of files */
    /* The JSON text of a stored record of a collection, appended to out; NULL: collections are fetched as stored. */
    fr_code (*json_out)(const fr_json_map *names, const fr_record *record, fr_kafka_out *out);
    struct fr_kafka_groups *groups; /* the coordinator; NULL = its APIs are not offered */
    const fr_kafka_sasl *sasl;      /* NULL = nobody is asked */
} fr_kafka;
void fr_kafka_init(fr_kafka *door); /* defaults */

/* One connection. The carrier's; zero-initialise. */
struct fr_kafka_peer {
    char host[64]; /* local address of the connection */
    char remote[64]; /* the client's */
    int32_t port;
    bool asks;           /* this listener wants a login; else everything is allowed */
    bool own_address;    /* clients are told `host`, whatever fr_kafka.host says */
    bool authenticated;
    bool raw;            /* SaslHandshake 0: the next frames are the mechanism's own */
    bool closing;        /* the login failed: close behind the reply */
    uint32_t mechanism;  /* number + 1; 0 = none yet */
    fr_principal principal;
    void *exchange;      /* of fr_kafka_sasl.step */
};

typedef enum fr_kafka_next {
    FR_KAFKA_REPLY,     /* send out */
    FR_KAFKA_NO_REPLY,  /* done, nothing to send (acks = 0) */
    FR_KAFKA_CLOSE,     /* the peer does not speak Kafka as offered: close */
    FR_KAFKA_SUBMITTED, /* the engine has it; nobody touches the call until wake() */
    FR_KAFKA_WAIT,      /* wake() or, after wait_ms, fr_kafka_expire() */
    FR_KAFKA_WORKER     /* fr_kafka_step() on a thread that may block */
} fr_kafka_next;

typedef struct fr_kafka_api fr_kafka_api;
typedef struct fr_kafka_call fr_kafka_call;
struct fr_kafka_call {
    /* the carrier's */
    fr_kafka_peer *peer;
    fr_span frame; /* without its length; its bytes stay, writable, until reset: batches are patched in place */
    void (*wake)(fr_kafka_call *call); /* any thread; step again on the loop's thread */
    void *carrier;
    /* out */
    fr_kafka_out out;
    int32_t throttle_ms; /* read no further request for so long */
    int32_t wait_ms; /* of FR_KAFKA_WAIT: from the call's first one on */
    /* the door's */
    fr_kafka *door;
    fr_kafka_header header;
    const fr_kafka_api *api;
    void *request;
    void *state;
    fr_kafka_next (*resume)(fr_kafka *door, fr_kafka_call *call);
    void (*release)(fr_kafka *door, fr_kafka_call *call); /* what the reply borrows; NULL = nothing */
    fr_arena arena;
    fr_write *writes; /* in the arena */
    uint32_t write_count;
    struct fr_kafka_verdict *verdicts, **verdicts_end; /* to be written down, in the arena */
    struct fr_kafka_wait *waits;
    uint32_t wait_count, wait_capacity;
    bool expired;
    _Atomic bool fired;
    _Atomic uint32_t outstanding; /* writes or waiters whose done() has not ended */
};

void fr_kafka_call_init(fr_kafka_call *call);
/* May the next request start while `call` is unfinished? Produces are pipelined: the engine keeps their order. */
bool fr_kafka_pipelines(const fr_kafka_call *call, fr_span next_frame);
fr_kafka_next fr_kafka_begin(fr_kafka *door, fr_kafka_call *call);
fr_kafka_next fr_kafka_step(fr_kafka *door, fr_kafka_call *call);
/* After FR_KAFKA_WAIT only: the time is up, or (abandon) nobody wants the reply any more. FR_KAFKA_WAIT: wake() is on its way, or
 * the call has looked at its clock and waits for another wait_ms. */
fr_kafka_next fr_kafka_expire(fr_kafka *door, fr_kafka_call *call, bool abandon);
void fr_kafka_call_reset(fr_kafka *door, fr_kafka_call *call); /* releases what the reply borrowed */
void fr_kafka_call_free(fr_kafka *door, fr_kafka_call *call);
void fr_kafka_peer_end(fr_kafka *door, fr_kafka_peer *peer);

/* How far consumer groups are behind: each committed offset against the end of its partition, by group. Stops when each() says false.
 * Under the coordinator's lock. group NULL = all. */
typedef struct fr_kafka_lag {
    const char *group, *state, *topic; /* topic NULL: a group without offsets; once */
    uint32_t members;
    int32_t partition;
    int64_t committed, end, lag;
} fr_kafka_lag;
void fr_kafka_lags(fr_kafka *door, const char *group, bool (*each)(void *user, const fr_kafka_lag *one), void *user);

/* For metrics: APIs in the order of the table. */
size_t fr_kafka_api_count(void);
const char *fr_kafka_api_name(size_t index);
size_t fr_kafka_api_index(const fr_kafka_call *call);

#endif
