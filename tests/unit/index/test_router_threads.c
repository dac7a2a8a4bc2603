/* test_router_threads.c: searches beside a writer that makes the map of routers anew all the time, and whose rows come and go in the
 * slots that older maps name; made for ThreadSanitizer. Every hit has the distance of its own vector. */
#include "tests/unit/index/router_tables.h"

#include <pthread.h>
#include <unistd.h>

#define ROWS  1600u /* 256 bytes each: walked, not scanned */
#define KEYS  1700u
#define K     5u
#define SEARCHERS 2u

typedef struct world {
    lived l;
    _Atomic uint64_t visible;
    _Atomic bool stop;
    _Atomic uint64_t searches, wrong, failures, scans;
} world;

static void *searcher(void *argument)
{
    world *w = argument;
    const fr_table *t = w->l.table;
    fr_scratch *s;
    float query[WIDTH], vector[WIDTH];
    assert_int_equal(fr_scratch_create(&s), FR_OK);
    for (uint64_t i = 0; !atomic_load(&w->stop); i++) {
        fr_row_hit hits[K];
        fr_search_info info;
        uint32_t count = 0;
        row_vector(w->l.kind, i % KEYS, query);
        fr_table_enter(t, s);
        fr_table_query q = {.vector = query, .k = K, .ef = 32, .visible = atomic_load(&w->visible)};
        bool fine = fr_table_search(t, s, &q, hits, &count, &info, NULL) == FR_OK && count == K;
        if (!fine) atomic_fetch_add(&w->failures, 1);
        if (strcmp(info.plan, "graph") != 0) atomic_fetch_add(&w->scans, 1);
        for (uint32_t j = 0; j < count; j++) {
            bool there = fr_table_vector(t, hits[j].row, vector);
            double d = true_distance(FR_METRIC_L2, query, vector, WIDTH);
            if (!there || fabs(d - (double)hits[j].distance) > 1e-4 * (1 + d)) atomic_fetch_add(&w->wrong, 1);
        }
        fr_table_leave(t, s);
        atomic_fetch_add(&w->searches, 1);
    }
    fr_scratch_free(s);
    return NULL;
}

static void *linker(void *argument)
{
    world *w = argument;
    while (!atomic_load(&w->stop))
        if (!fr_table_link_step(w->l.table)) usleep(20);
    return NULL;
}

static void maps_come_and_go(row_kind kind)
{
    static world w;
    pthread_t threads[SEARCHERS + 1];
    rng r = {3};
    uint32_t maps = 0;
    memset(&w, 0, sizeof w);
    w.l = lived_create(kind, ROWS);
    lived_maintain(&w.l);
    assert_non_null(lived_map(&w.l));
    atomic_store(&w.visible, w.l.commit);
    for (uint32_t i = 0; i <= SEARCHERS; i++) pthread_create(&threads[i], NULL, i < SEARCHERS ? searcher : linker, &w);
    for (uint32_t i = 0; i < 4000 / LESS || atomic_load(&w.searches) < 100; i++) {
        uint32_t key = rng_below(&r, KEYS);
        if (w.l.m->live[key] && w.l.m->live_count > ROWS - 100 && rng_below(&r, 2) == 0) lived_remove(&w.l, key);
        else lived_put(&w.l, key, rng_next(&r));
        atomic_store(&w.visible, w.l.commit);
        fr_router_map *map = lived_map(&w.l);
        if (map != NULL) map->rows_then = 0; /* any change makes another; no other thread reads it */
        if (i % 8 != 0) continue;
        fr_table_maintain(w.l.table, w.l.commit);
        maps += lived_map(&w.l) != map;
    }
    atomic_store(&w.stop, true);
    for (uint32_t i = 0; i <= SEARCHERS; i++) pthread_join(threads[i], NULL);
    assert_int_equal(w.failures, 0);
    assert_int_equal(w.wrong, 0);
    assert_true(w.scans < w.searches / 4);
    assert_true(maps > 20);
    lived_link(&w.l);
    assert_int_equal(fr_table_check(w.l.table, NULL), FR_OK);
    lived_free(&w.l);
}

static void coded_maps_come_and_go(void **state) { (void)state; maps_come_and_go(ROW_SQ8); }
static void byte_maps_come_and_go(void **state) { (void)state; maps_come_and_go(ROW_U8); }
static void plain_maps_come_and_go(void **state) { (void)state; maps_come_and_go(ROW_PLAIN); }

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(coded_maps_come_and_go), cmocka_unit_test(byte_maps_come_and_go),
                                       cmocka_unit_test(plain_maps_come_and_go)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
