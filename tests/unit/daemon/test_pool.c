/* test_pool.c: the bounded queue: what is taken is run once, also on stopping; what does not fit is refused. */
#include "server/daemon/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <semaphore.h>
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
                                       cmocka_unit_test(creation_fails_cleanly)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
