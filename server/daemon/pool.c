/* pool.c: a mutex, a condition and a list: a job is worth at least 100 us, the lock costs none of it. */
#include "server/daemon/pool.h"

#include "api/brisk.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#define RUN_MEMORY 16 /* jobs that an average is over, about */

typedef struct member {
    pthread_t thread;
    bool started;
    fr_pool *pool;
    fr_http_worker worker;
} member;

struct fr_pool {
    pthread_mutex_t mutex; /* guards head, tail, depth, run_ns, stopping */
    pthread_cond_t some;
    fr_pool_job *head, **tail;
    uint32_t depth, max, threads;
    int64_t run_ns; /* of a job, on average of the last ones */
    bool stopping;
    char name[12];
    fr_metrics_histogram waits;
    member members[];
};

int64_t fr_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ran_ns: how long the job before took; -1 = there was none. */
static fr_pool_job *pop(fr_pool *pool, int64_t ran_ns)
{
    pthread_mutex_lock(&pool->mutex);
    if (ran_ns >= 0) pool->run_ns += (ran_ns - pool->run_ns) / RUN_MEMORY;
    while (!pool->head && !pool->stopping) pthread_cond_wait(&pool->some, &pool->mutex);
    fr_pool_job *job = pool->head;
    if (job) {
        pool->head = job->next;
        if (!pool->head) pool->tail = &pool->head;
        pool->depth--;
    }
    pthread_mutex_unlock(&pool->mutex);
    return job;
}

static void *work(void *context)
{
    member *self = context;
    fr_pool_job *job;
    int64_t ran_ns = -1;
    if (self->worker.searcher) (void)fr_thread_brisk();
    while ((job = pop(self->pool, ran_ns))) {
        int64_t begin_ns = fr_now_ns();
        fr_metrics_add_shared(&self->pool->waits, begin_ns - job->queued_ns);
        job->run(job, &self->worker);
        ran_ns = fr_now_ns() - begin_ns;
    }
    return NULL;
}

static fr_code member_start(fr_pool *pool, uint32_t index, fr_db *db, fr_err *err)
{
    member *self = &pool->members[index];
    self->pool = pool;
    self->worker.dom = fr_json_dom_create();
    if (!self->worker.dom) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a parser");
    if (db && fr_searcher_create(db, &self->worker.searcher) != FR_OK)
        return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a searcher");
    if (pthread_create(&self->thread, NULL, work, self) != 0) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no thread");
    self->started = true;
    char name[16];
    snprintf(name, sizeof name, "%.10s-%u", pool->name, index % 1000);
    pthread_setname_np(self->thread, name);
    return FR_OK;
}

fr_code fr_pool_create(const char *name, uint32_t threads, uint32_t queue_max, fr_db *db, fr_pool **pool_out, fr_err *err)
{
    fr_pool *pool = fr_zalloc(FR_MEM_DAEMON, sizeof *pool + threads * sizeof pool->members[0]);
    if (!pool) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for the threads");
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->some, NULL);
    pool->tail = &pool->head;
    pool->max = queue_max, pool->threads = threads;
    snprintf(pool->name, sizeof pool->name, "%s", name);
    for (uint32_t i = 0; i < threads; i++) {
        fr_code code = member_start(pool, i, db, err);
        if (code == FR_OK) continue;
        fr_pool_free(pool);
        return code;
    }
    *pool_out = pool;
    return FR_OK;
}

/* A short line is always let in; of a longer one, what would wait too long is refused while that costs little. */
static bool has_room(const fr_pool *pool)
{
    if (pool->stopping || pool->depth >= pool->max) return false;
    return pool->depth < FR_POOL_SURE || pool->depth * pool->run_ns / pool->threads < FR_POOL_WAIT_NS;
}

bool fr_pool_push(fr_pool *pool, fr_pool_job *job)
{
    job->next = NULL;
    job->queued_ns = fr_now_ns();
    pthread_mutex_lock(&pool->mutex);
    bool room = has_room(pool);
    if (room) {
        *pool->tail = job;
        pool->tail = &job->next;
        pool->depth++;
    }
    pthread_mutex_unlock(&pool->mutex);
    if (room) pthread_cond_signal(&pool->some);
    return room;
}

void fr_pool_free(fr_pool *pool)
{
    if (!pool) return;
    pthread_mutex_lock(&pool->mutex);
    pool->stopping = true;
    pthread_mutex_unlock(&pool->mutex);
    pthread_cond_broadcast(&pool->some);
    for (uint32_t i = 0; i < pool->threads; i++) {
        member *self = &pool->members[i];
        if (self->started) pthread_join(self->thread, NULL);
        fr_searcher_free(self->worker.searcher);
        fr_json_dom_free(self->worker.dom);
    }
    pthread_cond_destroy(&pool->some);
    pthread_mutex_destroy(&pool->mutex);
    fr_free(FR_MEM_DAEMON, pool);
}

fr_metrics_queue fr_pool_figures(fr_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    fr_metrics_queue queue = {.name = pool->name, .depth = pool->depth, .max = pool->max, .threads = pool->threads,
                              .waits = &pool->waits};
    pthread_mutex_unlock(&pool->mutex);
    return queue;
}
