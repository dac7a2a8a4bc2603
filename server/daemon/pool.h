/* pool.h: named threads behind one bounded queue. A full queue refuses, and one of more than FR_POOL_SURE jobs also what would wait longer
 * than FR_POOL_WAIT_NS. When that happens often it is a storm: what is let in is served within about two jobs' time, until the storm is over, and what
 * has become late in the line is refused as well. A stopping pool finishes what it holds. */
#ifndef FR_POOL_H
#define FR_POOL_H

#include "server/daemon/metrics.h"

#define FR_POOL_SURE 96u /* as many clients as benchmarks and web servers keep, each with one request */
#define FR_POOL_WAIT_NS 100000000LL

typedef struct fr_pool fr_pool;
typedef struct fr_pool_job {
    struct fr_pool_job *next;
    void (*run)(struct fr_pool_job *job, fr_http_worker *worker); /* may hand the job away; not touched afterwards */
    void (*refuse)(struct fr_pool_job *job); /* instead, when a storm has made it late; on a pool's thread. NULL = it is never late */
    int64_t queued_ns;
} fr_pool_job;

/* Each thread gets a parser, and a searcher when db is not NULL. */
fr_code fr_pool_create(const char *name, uint32_t threads, uint32_t queue_max, fr_db *db, fr_pool **pool_out, fr_err *err);
bool fr_pool_push(fr_pool *pool, fr_pool_job *job); /* false: full, too long a wait, or stopping. Any thread */
void fr_pool_free(fr_pool *pool);                   /* runs what is queued, joins; accepts NULL */
fr_metrics_queue fr_pool_figures(fr_pool *pool);

int64_t fr_now_ns(void); /* monotonic */

#endif
