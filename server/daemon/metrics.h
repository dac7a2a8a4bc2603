/* metrics.h: counters of the daemon. Each loop counts in its own block (relaxed atomics, one writer); a scrape adds them up. */
#ifndef FR_METRICS_H
#define FR_METRICS_H

#include "api/http/http.h"

#define FR_METRICS_OPS_MAX 96u
#define FR_METRICS_RPCS_MAX 96u /* of gRPC and of REST each, with the unknown one */
#define FR_METRICS_ANSWERS_MAX 48u
#define FR_METRICS_BUCKETS 16u /* 0.25 ms x 2^i, up to 8.192 s; the rest is +Inf */

typedef enum fr_status_slot {
    FR_STATUS_200, FR_STATUS_201, FR_STATUS_400, FR_STATUS_401, FR_STATUS_403, FR_STATUS_404, FR_STATUS_405, FR_STATUS_409, FR_STATUS_413, FR_STATUS_417,
    FR_STATUS_429, FR_STATUS_431, FR_STATUS_500, FR_STATUS_501, FR_STATUS_503, FR_STATUS_OTHER, FR_STATUS_SLOTS
} fr_status_slot;

typedef struct fr_metrics_histogram {
    _Atomic uint64_t buckets[FR_METRICS_BUCKETS + 1];
    _Atomic uint64_t sum_ns;
} fr_metrics_histogram;

/* Calls of the Milvus door by RPC or route, and by what they were answered with (fr_milvus_answer). */
typedef struct fr_rpc_counters {
    _Atomic uint64_t answers[FR_METRICS_RPCS_MAX][FR_METRICS_ANSWERS_MAX];
    fr_metrics_histogram durations[FR_METRICS_RPCS_MAX];
    _Atomic uint64_t bytes_in, bytes_out, in_flight;
} fr_rpc_counters;

typedef struct fr_counters { /* one writer: the loop's thread */
    _Atomic uint64_t requests[FR_METRICS_OPS_MAX][FR_STATUS_SLOTS];
    fr_metrics_histogram durations[FR_METRICS_OPS_MAX];
    _Atomic uint64_t bytes_in, bytes_out, in_flight;
    _Atomic uint64_t shed_queue, shed_busy;
    _Atomic uint64_t rejected_total, rejected_address; /* connections over a cap */
    _Atomic uint64_t stalled;                          /* connections cut: no progress in writing */
    _Atomic uint64_t refused_heads;
    fr_rpc_counters grpc, rest;
} fr_counters;

/* One writer per counter: load and store, no locked instruction. */
static inline void fr_tally(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by, memory_order_relaxed);
}
void fr_metrics_add(fr_metrics_histogram *histogram, int64_t ns);        /* one writer */
void fr_metrics_add_shared(fr_metrics_histogram *histogram, int64_t ns); /* many writers */
void fr_counters_reply(fr_counters *counters, size_t op, int status, int64_t ns, size_t bytes_in, size_t bytes_out);
void fr_counters_rpc(fr_rpc_counters *counters, size_t rpc, size_t answer, int64_t ns, size_t bytes_in, size_t bytes_out);

/* What a scrape reads besides the loops' counters. */
typedef struct fr_metrics_queue {
    const char *name;
    uint64_t depth, max, threads;
    const fr_metrics_histogram *waits;
} fr_metrics_queue;

typedef struct fr_metrics_source {
    const fr_counters *const *counters;
    size_t counter_count;
    fr_metrics_queue queues[4];
    size_t queue_count;
    uint64_t connections;
    int64_t started_ms;
    fr_db *db; /* NULL while recovering */
    int state; /* fr_http_state */
    uint64_t memory_limit;
} fr_metrics_source;

/* Prometheus text 0.0.4. */
void fr_metrics_write(const fr_metrics_source *source, fr_out *out);

#endif
