/* test_pool.c: the bounded queue: what is taken is run once, also on stopping; what does not fit is refused. */
#include "server/daemon/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <time.h>

#define JOBS 1000

static sem_t gate;
static _Atomic uint32_t ran, without_parser;
static fr_pool_job jobs[JOBS];

static void run(fr_pool_job *job, fr_http_worker *worker)
{
    (void)job;
    if (!worker->dom || worker->loop) atomic_fetch_add(&without_parser, 1);
    atomic_fetch_add(&ran, 1);
}

static void blocked(fr_pool_job *job, fr_http_worker *worker)
{
    (void)job, (void)worker;
    while (sem_wait(&gate) != 0) continue;
    atomic_fetch_add(&ran, 1);
}

static void stopping_runs_what_is_queued(void **state)
{
    (void)state;
    fr_pool *pool = NULL;
    fr_err err;
    atomic_store(&ran, 0);
    assert_int_equal(fr_pool_create("test", 3, JOBS, NULL, &pool, &err), FR_OK);
    uint32_t taken = 0;
    for (size_t i = 0; i < JOBS; i++) {
        jobs[i].run = run;
        taken += fr_pool_push(pool, &jobs[i]);
        assert_true(i >= FR_POOL_SURE || taken == i + 1);
    }
    fr_pool_free(pool);
    assert_int_equal(atomic_load(&ran), taken);
    assert_int_equal(atomic_load(&without_parser), 0);
}

static void a_full_queue_refuses(void **state)
{
    (void)state;
    fr_pool *pool = NULL;
    fr_err err;
    sem_init(&gate, 0, 0);
    atomic_store(&ran, 0);
    assert_int_equal(fr_pool_create("full", 1, 4, NULL, &pool, &err), FR_OK);
    uint32_t taken = 0;
    for (size_t i = 0; i < 10; i++) {
        jobs[i].run = blocked;
        taken += fr_pool_push(pool, &jobs[i]);
    }
    assert_in_range(taken, 4, 5); /* four wait; the thread may hold one more */
    fr_metrics_queue figures = fr_pool_figures(pool);
    assert_string_equal(figures.name, "full");
    assert_int_equal(figures.max, 4);
    assert_in_range(figures.depth, 3, 4);
    for (uint32_t i = 0; i < taken; i++) sem_post(&gate);
    fr_pool_free(pool);
    assert_int_equal(atomic_load(&ran), taken);
}

static void slow(fr_pool_job *job, fr_http_worker *worker)
{
    (void)job, (void)worker;
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    atomic_fetch_add(&ran, 1);
}

/* Behind slow jobs a line of any length would be let in only to be answered too late. */
static void a_long_wait_is_refused(void **state)
{
    (void)state;
    fr_pool *pool = NULL;
    fr_err err;
    sem_init(&gate, 0, 0);
    atomic_store(&ran, 0);
    assert_int_equal(fr_pool_create("slow", 1, JOBS, NULL, &pool, &err), FR_OK);
    for (size_t i = 0; i < 30; i++) { /* it learns */
        jobs[i].run = slow;
        assert_true(fr_pool_push(pool, &jobs[i]));
    }
    while (atomic_load(&ran) < 30) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    uint32_t taken = 0;
    for (size_t i = 0; i < JOBS; i++) {
        jobs[i].run = blocked;
        taken += fr_pool_push(pool, &jobs[i]);
    }
    assert_in_range(taken, FR_POOL_SURE, FR_POOL_SURE + 1);
    for (uint32_t i = 0; i < taken; i++) sem_post(&gate);
    fr_pool_free(pool);
    assert_int_equal(atomic_load(&ran), 30 + taken);
}

/* ---- storms: jobs that take 2 ms and know what became of them ---- */

#define CLIENTS 64u

typedef struct storm_job {
    fr_pool_job job;
    int64_t waited_ns;
    bool served;
    sem_t done;
} storm_job;

static void work_2ms(fr_pool_job *job, fr_http_worker *worker)
{
    (void)worker;
    storm_job *self = (storm_job *)(void *)job;
    self->waited_ns = fr_now_ns() - job->queued_ns;
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    self->served = true;
    sem_post(&self->done);
}

static void late(fr_pool_job *job)
{
    storm_job *self = (storm_job *)(void *)job;
    self->waited_ns = fr_now_ns() - job->queued_ns;
    sem_post(&self->done);
}

static storm_job *storm_jobs(size_t count)
{
    storm_job *all = calloc(count, sizeof *all);
    assert_non_null(all);
    for (size_t i = 0; i < count; i++) {
        all[i].job.run = work_2ms, all[i].job.refuse = late;
        sem_init(&all[i].done, 0, 0);
    }
    return all;
}

typedef struct client {
    pthread_t thread;
    fr_pool *pool;
    uint32_t rounds, refused;
} client;

/* A thread of a client's pool: one request, and the next when it is answered. */
static void *ask(void *context)
{
    client *self = context;
    storm_job *job = storm_jobs(1);
    for (uint32_t i = 0; i < self->rounds; i++) {
        job->served = false;
        if (fr_pool_push(self->pool, &job->job)) {
            while (sem_wait(&job->done) != 0) continue;
        }
        self->refused += !job->served;
    }
    free(job);
    return NULL;
}

static uint32_t refusals_of_clients(fr_pool *pool, uint32_t rounds)
{
    static client clients[CLIENTS];
    uint32_t refused = 0;
    for (uint32_t i = 0; i < CLIENTS; i++) {
        clients[i] = (client){.pool = pool, .rounds = rounds};
        assert_int_equal(pthread_create(&clients[i].thread, NULL, ask, &clients[i]), 0);
    }
    for (uint32_t i = 0; i < CLIENTS; i++) {
        pthread_join(clients[i].thread, NULL);
        refused += clients[i].refused;
    }
    return refused;
}

/* 64 clients at once, over and over, each with one request: the line is 64 long and waits 64 ms, and nobody is refused. */
static void a_pool_of_clients_is_let_in(void **state)
{
    (void)state;
    fr_pool *pool = NULL;
    fr_err err;
    assert_int_equal(fr_pool_create("burst", 2, JOBS, NULL, &pool, &err), FR_OK);
    assert_int_equal(refusals_of_clients(pool, 12), 0);
    fr_pool_free(pool);
}

/* Ten times what can be served: who is let in is served soon, from the storm's beginning on; afterwards clients are let in as before. */
static void in_a_storm_the_admitted_are_served_soon(void **state)
{
    (void)state;
    fr_pool *pool = NULL;
    fr_err err;
    const size_t count = 6000;
    storm_job *all = storm_jobs(count);
    bool *pushed = calloc(count, 1);
    assert_int_equal(fr_pool_create("storm", 1, JOBS, NULL, &pool, &err), FR_OK);
    int64_t begun_ns = fr_now_ns();
    for (size_t i = 0; i < count; i++) {
        while (fr_now_ns() - begun_ns < (int64_t)i * 200000) nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
        pushed[i] = fr_pool_push(pool, &all[i].job);
    }
    int64_t took_ns = fr_now_ns() - begun_ns;
    uint32_t served = 0, refused = 0, slow = 0;
    for (size_t i = 0; i < count; i++) {
        while (pushed[i] && sem_wait(&all[i].done) != 0) continue;
        served += all[i].served, refused += !all[i].served;
    }
    assert_true(refused > served);
    assert_true(served > (uint64_t)took_ns / 2200000 / 8); /* the thread was not idle, on a busy machine either */
    for (size_t i = 0; i < count; i++) slow += all[i].served && all[i].waited_ns > 20000000 + 8 * took_ns / served;
    assert_true(slow * 10 <= served);                      /* the first ones, before it was seen that it is a storm */
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    assert_int_equal(refusals_of_clients(pool, 2), 0);
    fr_pool_free(pool);
    free(pushed);
    free(all);
}

/* Clients that are refused once and ask again at once keep no storm alive: each second it is asked whether it still blows. */
static void a_storm_ends_for_clients_that_insist(void **state)
{
    (void)state;
    fr_pool *pool = NULL;
    fr_err err;
    storm_job *all = storm_jobs(JOBS);
    assert_int_equal(fr_pool_create("insist", 1, JOBS, NULL, &pool, &err), FR_OK);
    assert_int_equal(refusals_of_clients(pool, 2), 0); /* it learns what a job takes */
    bool pushed[JOBS];
    for (size_t i = 0; i < JOBS; i++) pushed[i] = fr_pool_push(pool, &all[i].job);
    int64_t begun_ns = fr_now_ns();
    uint32_t refused = 1;
    while (refused && fr_now_ns() - begun_ns < 20000000000LL) refused = refusals_of_clients(pool, 20);
    assert_int_equal(refused, 0);
    for (size_t i = 0; i < JOBS; i++) while (pushed[i] && sem_wait(&all[i].done) != 0) continue;
    fr_pool_free(pool);
    free(all);
}

static void creation_fails_cleanly(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 3; nth++) {
        fr_pool *pool = NULL;
        fr_err err;
        fr_mem_fail_at(nth);
        fr_code code = fr_pool_create("none", 2, 4, NULL, &pool, &err);
        fr_mem_fail_at(0);
        if (code == FR_OK) fr_pool_free(pool);
        else assert_int_equal(code, FR_ERR_NO_MEMORY);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(stopping_runs_what_is_queued), cmocka_unit_test(a_full_queue_refuses),
                                       cmocka_unit_test(a_long_wait_is_refused),
                                       cmocka_unit_test(a_pool_of_clients_is_let_in),
                                       cmocka_unit_test(in_a_storm_the_admitted_are_served_soon),
                                       cmocka_unit_test(a_storm_ends_for_clients_that_insist),
                                       cmocka_unit_test(creation_fails_cleanly)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
