/* daemon.h: what serve.c and loop.c share: the process as a whole, its loops, its pools. */
#ifndef FR_DAEMON_H
#define FR_DAEMON_H

#include "api/kafka/kafka.h"
#include "api/milvus/milvus.h"
#include "server/daemon/door_access.h"
#include "server/daemon/pool.h"
#include "server/daemon/tls.h"

#define FR_DAEMON_LOOPS_MAX 64u
#define FR_DAEMON_ADDRESS_SLOTS 16384u /* connections are counted per address, addresses by hash */
#define FR_DAEMON_REQUEST_MS 60000     /* head and body of one request, and idle keep-alive */
#define FR_DAEMON_FIRST_BYTE_MS 10000  /* a connection that never says anything */
#define FR_DAEMON_STALL_MS 30000       /* an answer of which nothing is taken */

typedef struct fr_loop fr_loop; /* loop.c: one thread, one h2o loop */

typedef struct fr_daemon {
    fr_http door;
    fr_door_access access; /* set up before the loops */
    fr_kafka_sasl sasl;
    fr_tls *tls; /* NULL: plain */
    bool kafka_asks, kafka_tls;
    fr_kafka kafka; /* db is set before Kafka's connections are accepted, groups before door.db */
    fr_milvus milvus;
    struct fr_replays *replays; /* set before door.db; NULL = none */
    struct fr_expiry *expiry;   /* NULL = none */
    fr_pool *searchers, *workers, *chores; /* set before door.db */
    fr_loop *loops[FR_DAEMON_LOOPS_MAX];
    uint32_t loop_count;
    uint32_t connections_max, connections_per_address_max;
    _Atomic uint32_t connections;
    _Atomic uint32_t per_address[FR_DAEMON_ADDRESS_SLOTS];
    uint64_t address_seed;
    _Atomic bool closing; /* the engine is being closed: calls that come back are answered, not stepped */
    int64_t started_ms;
    uint64_t memory_limit;
} fr_daemon;

/* What a listener speaks. */
typedef enum fr_listener { FR_LISTEN_HTTP, FR_LISTEN_KAFKA, FR_LISTEN_KAFKA_SASL, FR_LISTENERS } fr_listener;
/* The descriptors are duplicated; -1 = not spoken. */
fr_code fr_loop_create(fr_daemon *daemon, uint32_t index, const int fds[FR_LISTENERS], fr_loop **loop_out, fr_err *err);
fr_code fr_loop_start(fr_loop *loop, fr_err *err);
void fr_loop_accept(fr_loop *loop); /* once all loops are started: they hand connections to each other */
void fr_loop_accept_kafka(fr_loop *loop); /* once kafka.db is set */
void fr_loop_searcher(fr_loop *loop, fr_searcher *searcher); /* before door.db is set; NULL after the loop has stopped */
void fr_loop_drain(fr_loop *loop); /* any thread: stop accepting, close what is idle, answer the rest and close */
void fr_loop_cut(fr_loop *loop);   /* any thread: shut every connection down */
bool fr_loop_empty(const fr_loop *loop); /* no connection left */
void fr_loop_stop(fr_loop *loop);  /* joins */
void fr_loop_free(fr_loop *loop);  /* after stop; accepts NULL */
const fr_counters *fr_loop_counters(const fr_loop *loop);
void fr_loop_globals_init(void); /* once, before any loop: what h2o keeps for the process */


#endif
