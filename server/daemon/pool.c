/* pool.c: a mutex, a condition and a list: a job is worth at least 100 us, the lock costs none of it. */
#include "server/daemon/pool.h"

#include "api/brisk.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#define RUN_MEMORY 16           /* jobs that an average is over, about */
#define SHORT_NS 5000000LL      /* a short line's wait, or two jobs, whichever is longer */
#define SLICE_NS 100000000LL    /* in which refusals are weighed against what ran */
#define SLICE_FEW 16u           /* refusals that are no storm yet */
#define CALM_NS 200000000LL     /* without a refusal: the storm is over */
#define STRICT_NS 1000000000LL  /* a storm's first length; then it is asked whether it still blows, each time after twice as long */
#define STRICT_MAX_NS 8000000000LL

typedef struct member {
    pthread_t thread;
    bool started;
    fr_pool *pool;
    fr_http_worker worker;
} member;

struct fr_pool {
    pthread_mutex_t mutex; /* guards what follows, to stopping */
    pthread_cond_t some;
    fr_pool_job *head, **tail;
    uint32_t depth, max, threads;
    int64_t run_ns; /* of a job, on average of the last ones */
    bool strict;    /* a storm: more comes than can be served, see refused() */
    int64_t strict_until_ns, strict_ns, left_ns;
    int64_t slice_ns, refused_ns; /* when the slice began; the last refusal */
    uint32_t slice_refused, slice_ran;
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

/* ---- storms ----
 * A client pool, each of whose threads waits for its answer, never makes a line longer than itself. So a line up to FR_POOL_SURE is let in, whatever it
 * costs; and only when beyond it much is refused, as against what is served, is it a storm. Then only what would be served soon is let in, and what
 * has been let in before and is late by now is refused, too: answers that come late are worth little, and the threads' time is short. */

static int64_t short_wait(const fr_pool *pool)
{
    return FR_MAX(2 * pool->run_ns, SHORT_NS);
}

static bool is_strict(fr_pool *pool, int64_t now_ns)
{
    if (!pool->strict) return false;
    bool calm = now_ns - pool->refused_ns > FR_MAX(CALM_NS, 2 * pool->run_ns);
    if (!calm && now_ns < pool->strict_until_ns) return true;
    pool->strict = false;
    pool->left_ns = now_ns;
    if (calm) pool->strict_ns = 0;
    return false;
}

static void refused(fr_pool *pool, int64_t now_ns)
{
    pool->refused_ns = now_ns;
    if (now_ns - pool->slice_ns > SLICE_NS) pool->slice_ns = now_ns, pool->slice_refused = pool->slice_ran = 0;
    pool->slice_refused++;
    if (pool->strict || pool->slice_refused <= SLICE_FEW + pool->slice_ran / 2) return;
    bool again = pool->strict_ns > 0 && now_ns - pool->left_ns < pool->strict_ns;
    pool->strict_ns = again ? FR_MIN(2 * pool->strict_ns, STRICT_MAX_NS) : STRICT_NS;
    pool->strict_until_ns = now_ns + pool->strict_ns;
    pool->strict = true;
}

/* A short line is always let in; of a longer one, what would wait too long is refused while that costs little. */
static bool has_room(fr_pool *pool, int64_t now_ns)
{
    if (pool->depth >= pool->max) return false;
    int64_t wait_ns = pool->depth * pool->run_ns / pool->threads;
    if (is_strict(pool, now_ns)) return wait_ns < short_wait(pool);
    return pool->depth < FR_POOL_SURE || wait_ns < FR_POOL_WAIT_NS;
}

static fr_pool_job *take(fr_pool *pool)
{
    fr_pool_job *job = pool->head;
    if (!job) return NULL;
    pool->head = job->next;
    if (!pool->head) pool->tail = &pool->head;
    pool->depth--;
    return job;
}

/* Takes off what a storm has made late, oldest first: a list. */
static fr_pool_job *take_late(fr_pool *pool)
{
    fr_pool_job *late = NULL, **end = &late;
    int64_t now_ns = pool->strict && !pool->stopping ? fr_now_ns() : 0;
    while (now_ns && pool->head && pool->head->refuse && is_strict(pool, now_ns) && now_ns - pool->head->queued_ns > 2 * short_wait(pool)) {
        *end = take(pool);
        end = &(*end)->next;
        refused(pool, now_ns);
    }
    *end = NULL;
    return late;
}

/* ran_ns: how long the job before took; -1 = there was none. *late_out: to be refused. */
static fr_pool_job *pop(fr_pool *pool, int64_t ran_ns, fr_pool_job **late_out)
{
    pthread_mutex_lock(&pool->mutex);
    if (ran_ns >= 0) pool->run_ns += (ran_ns - pool->run_ns) / RUN_MEMORY, pool->slice_ran++;
    *late_out = take_late(pool);
    while (!pool->head && !pool->stopping && !*late_out) pthread_cond_wait(&pool->some, &pool->mutex);
    fr_pool_job *job = take(pool);
    pthread_mutex_unlock(&pool->mutex);
    return job;
}

static void *work(void *context)
{
    member *self = context;
    fr_pool_job *job, *late;
    int64_t ran_ns = -1;
    if (self->worker.searcher) (void)fr_thread_brisk();
    while ((job = pop(self->pool, ran_ns, &late)) || late) {
        for (fr_pool_job *next; late; late = next) {
            next = late->next;
            late->refuse(late);
        }
        ran_ns = -1;
        if (!job) continue;
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

bool fr_pool_push(fr_pool *pool, fr_pool_job *job)
{
    job->next = NULL;
    job->queued_ns = fr_now_ns();
    pthread_mutex_lock(&pool->mutex);
    bool room = !pool->stopping && has_room(pool, job->queued_ns);
    if (!room && pool->max >= FR_POOL_SURE) refused(pool, job->queued_ns); /* a shorter queue has its bound, and jobs that are seldom and long */
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
