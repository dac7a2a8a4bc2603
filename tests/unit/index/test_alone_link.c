/* test_alone_link.c: rows of an index of its own that wait to be linked: found at once, linked together when many wait, by the thread behind a
 * pause, by link, by save; nothing is lost or left, whatever dies meanwhile. */
#include "index/alone_private.h"
#include "tests/unit/index/table_model.h"

#include <dirent.h>
#include <unistd.h>

#define D    16u
#define SEED 300u
#define KEYS 3000u

typedef struct world {
    fr_index *index;
    float vectors[KEYS][D];
    bool live[KEYS];
    uint64_t live_count;
    rng r;
} world;

static world *world_make(uint32_t wait_max, bool pauses)
{
    world *w = fr_zalloc(FR_MEM_TEST, sizeof *w);
    fr_index_options options = {.dimension = D, .metric = FR_METRIC_L2, .ef_construction = 60};
    assert_int_equal(fr_index_create(&options, &w->index, NULL), FR_OK);
    w->index->wait_max = wait_max;
    w->index->seed_rows = SEED;
    if (!pauses) w->index->pause_ms = 1000000; /* however slow the machine is */
    w->index->table->bulk_min = 200;
    w->r.state = wait_max;
    return w;
}

static void world_free(world *w)
{
    fr_index_free(w->index);
    fr_free(FR_MEM_TEST, w);
}

static void add(world *w, uint32_t from, uint32_t count, uint32_t threads)
{
    int64_t ids[KEYS];
    for (uint32_t i = 0; i < count; i++) {
        ids[i] = from + i;
        rng_vector(&w->r, KIND_F32, D, w->vectors[from + i]);
        w->live_count += !w->live[from + i];
        w->live[from + i] = true;
    }
    assert_int_equal(fr_index_add(w->index, ids, w->vectors[from], count, threads, NULL), FR_OK);
}

static void drop(world *w, uint32_t key)
{
    int64_t id = key;
    uint64_t removed;
    assert_int_equal(fr_index_remove(w->index, &id, 1, &removed), FR_OK);
    assert_int_equal(removed, w->live[key]);
    w->live_count -= w->live[key];
    w->live[key] = false;
}

/* Under TSan every third of them, another third each time. */
static void find_all(world *w)
{
    static uint32_t times;
    uint32_t step = LESS > 4 ? 3 : 1;
    assert_int_equal(fr_index_size(w->index), w->live_count);
    for (uint32_t key = times++ % step; key < KEYS; key += step) {
        int64_t id;
        float distance;
        if (!w->live[key]) continue;
        assert_int_equal(fr_index_search_many(w->index, w->vectors[key], 1, 1, 64, 1, &id, &distance, NULL), FR_OK);
        assert_int_equal(id, key);
        assert_float_equal(distance, 0, 1e-5);
    }
}

/* Nothing waits, few are dead, every row can be reached. */
static void is_whole(world *w)
{
    fr_err err = {0};
    fr_table_stats stats;
    assert_int_equal(fr_index_waiting(w->index), 0);
    fr_code code = fr_table_check(w->index->table, &err);
    if (code != FR_OK) print_error("%s\n", err.text);
    assert_int_equal(code, FR_OK);
    assert_int_equal(fr_table_unreachable(w->index->table), 0);
    fr_table_stats_get(w->index->table, &stats);
    assert_true(stats.dead <= FR_MAX((uint64_t)16, stats.rows / 64)); /* a sweep waits for so many */
    assert_null(w->index->table->bulk);
}

static uint32_t threads_of_process(void)
{
    DIR *folder = opendir("/proc/self/task");
    uint32_t count = 0;
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

static void rows_wait_and_are_found(void **state)
{
    (void)state;
    world *w = world_make(100000, false); /* never by their number */
    for (uint32_t key = 0; key < SEED; key++) add(w, key, 1, 1);
    assert_int_equal(fr_index_waiting(w->index), 0); /* a small index links at once */
    add(w, SEED, 600, 1);
    for (uint32_t key = SEED + 600; key < SEED + 700; key++) add(w, key, 1, 1);
    assert_int_equal(fr_index_waiting(w->index), 700);
    find_all(w);
    fr_index_link(w->index, 2);
    is_whole(w);
    find_all(w);
    fr_index_link(w->index, 1); /* there is nothing to do */
    world_free(w);
}

/* As a walk does: so small a table is scanned. test_fresh: a search of a larger one. */
static void search_once(world *w) { (void)fr_fresh_look(w->index->table); }

static void many_are_linked_together(void **state)
{
    (void)state;
    world *w = world_make(500, true);
    uint32_t before = threads_of_process();
    add(w, 0, SEED, 1);
    for (uint32_t key = SEED; key < SEED + 499; key++) {
        add(w, key, 1, 1);
        search_once(w);
    }
    add(w, SEED + 499, 1, 3); /* this one pays */
    assert_int_equal(fr_index_waiting(w->index), 0);
    add(w, 1000, 1200, 1); /* more than may wait */
    assert_int_equal(fr_index_waiting(w->index), 0);
    find_all(w);
    for (uint32_t i = 0; w->index->behind_made && threads_of_process() > before && i < 60000; i++) usleep(1000);
    assert_int_equal(threads_of_process(), before); /* what had begun to wait has ended */
    is_whole(w);
    world_free(w);
}

/* Twice as many wait until a search looks at them. */
static void more_wait_while_nobody_searches(void **state)
{
    (void)state;
    world *w = world_make(500, false);
    add(w, 0, SEED, 1);
    search_once(w); /* nothing waits: it says nothing about what comes */
    add(w, SEED, 990, 1);
    add(w, SEED + 990, 9, 1);
    assert_int_equal(fr_index_waiting(w->index), 999);
    search_once(w);
    add(w, SEED + 999, 1, 1);
    assert_int_equal(fr_index_waiting(w->index), 0);
    add(w, SEED + 1000, 600, 1); /* linking forgets that somebody searched */
    assert_int_equal(fr_index_waiting(w->index), 600);
    search_once(w);
    drop(w, SEED + 1000);
    assert_int_equal(fr_index_waiting(w->index), 0);
    find_all(w);
    is_whole(w);
    world_free(w);
}

static void a_pause_links(void **state)
{
    (void)state;
    world *w = world_make(100000, true);
    uint32_t before = threads_of_process();
    add(w, 0, SEED, 1);
    for (uint32_t turn = 0; turn < 3; turn++) { /* the thread ends, and is made again */
        add(w, SEED + turn * 400, 400, 1);
        for (uint32_t key = 0; key < 4; key++) drop(w, SEED + turn * 400 + key * 3); /* some die before they are linked */
        for (uint32_t i = 0; threads_of_process() > before && i < 60000; i++) usleep(1000);
        is_whole(w);
        find_all(w);
    }
    world_free(w);
}

/* While somebody searches a call that takes long has the threads that it was given, and no more. */
static void the_thread_keeps_out_of_calls(void **state)
{
    (void)state;
    bool kept_out = false;
    for (uint32_t turn = 0; turn < 20 && !kept_out; turn++) {
        world *w = world_make(100000, true);
        uint32_t before = threads_of_process();
        add(w, 0, SEED, 1);
        add(w, SEED, 700, 1);
        search_once(w);
        pthread_mutex_lock(&w->index->writer);
        usleep(300000);
        kept_out = fr_index_waiting(w->index) == 700; /* it may have begun before, on a slow machine: then another time */
        pthread_mutex_unlock(&w->index->writer);
        for (uint32_t i = 0; threads_of_process() > before && i < 60000; i++) usleep(1000);
        is_whole(w);
        world_free(w);
    }
    assert_true(kept_out);
}

/* A core that nobody wants helps a call that takes long, also one of a fast stream. */
static void the_thread_helps_while_nobody_searches(void **state)
{
    (void)state;
    world *w = world_make(100000, true);
    uint32_t before = threads_of_process();
    add(w, 0, SEED, 1);
    add(w, SEED, 700, 1);
    pthread_mutex_lock(&w->index->writer);
    for (uint32_t i = 0; fr_index_waiting(w->index) == 700 && i < 60000; i++) usleep(1000);
    assert_true(fr_index_waiting(w->index) < 700);
    pthread_mutex_unlock(&w->index->writer);
    for (uint32_t i = 0; threads_of_process() > before && i < 60000; i++) usleep(1000);
    is_whole(w);
    world_free(w);
}

static void a_fast_stream_has_no_pauses(void **state)
{
    (void)state;
    fr_pace pace = {.tail = 5};
    uint64_t tail = 5;
    bool fast = false;
    for (uint32_t nap = 0; nap < 200; nap++) { /* 1,000 rows every 15 naps: a bulk of 8,192 in 123 */
        if (nap % 15 == 0) tail += 1000;
        fast = fr_index_pace(&pace, tail, 8192);
        if (nap > 30) assert_true(fast);
    }
    uint32_t naps = 0;
    for (; fast; naps++) fast = fr_index_pace(&pace, tail, 8192);
    assert_in_range(naps, 1, FR_PACE_NAPS); /* soon after its end it is over */
    for (uint32_t nap = 0; nap < 200; nap++) { /* 500 every 25: one by one they are no trouble */
        if (nap % 25 == 0) tail += 500;
        fast = fr_index_pace(&pace, tail, 8192);
        if (nap > FR_PACE_NAPS) assert_false(fast);
    }
    tail += 1000000;
    assert_true(fr_index_pace(&pace, tail, 8192));
    for (naps = 0; fr_index_pace(&pace, tail, 8192); naps++) {}
    assert_in_range(naps, 1, FR_PACE_NAPS); /* however many came at once */
    for (tail += 3, naps = 0; naps < 1000 && fr_index_pace(&pace, tail, 16); naps++) {}
    assert_in_range(naps, 0, 16); /* also where next to nothing may wait */
}

static void free_drops_what_waits(void **state)
{
    (void)state;
    uint32_t before = threads_of_process();
    for (uint32_t turn = 0; turn < 4; turn++) {
        world *w = world_make(100000, true);
        add(w, 0, SEED, 1);
        add(w, SEED, 2000, 1);
        usleep(turn * 30000); /* waiting, at the end of the pause, in the middle of a bulk */
        world_free(w);
        assert_int_equal(threads_of_process(), before);
    }
}

static void save_links_first(void **state)
{
    (void)state;
    world *w = world_make(100000, false);
    fr_index *again = NULL;
    fr_err err;
    add(w, 0, SEED, 1);
    add(w, SEED, 700, 1);
    drop(w, SEED + 5);
    char path[] = "/tmp/fr-alone-link-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    assert_int_equal(fr_index_save_file(w->index, path, &err), FR_OK);
    is_whole(w);
    assert_int_equal(fr_index_open_file(path, &again, &err), FR_OK);
    assert_int_equal(fr_index_waiting(again), 0);
    fr_index_free(w->index);
    w->index = again;
    find_all(w);
    unlink(path);
    world_free(w);
}

static void ef_for_measures_the_graph(void **state)
{
    (void)state;
    world *w = world_make(100000, false);
    uint32_t ef;
    float measured;
    add(w, 0, SEED, 1);
    add(w, SEED, 700, 1);
    assert_int_equal(fr_index_ef_for(w->index, 0.9f, 10, &ef, &measured, NULL), FR_OK);
    assert_int_equal(fr_index_waiting(w->index), 0);
    world_free(w);
}

static void bits_do_not_wait(void **state)
{
    (void)state;
    fr_index *index;
    fr_index_options options = {.dimension = 64, .metric = FR_METRIC_HAMMING, .type = FR_TYPE_VECTOR_BINARY};
    assert_int_equal(fr_index_create(&options, &index, NULL), FR_OK);
    index->seed_rows = 10;
    for (int64_t i = 0; i < 40; i++) {
        uint64_t bits = fr_mix64((uint64_t)i);
        assert_int_equal(fr_index_add(index, &i, &bits, 1, 1, NULL), FR_OK);
        assert_int_equal(fr_index_waiting(index), 0);
    }
    fr_index_free(index);
}

/* Adds, replaces and removes in any order, with pauses. */
static void any_order(void **state)
{
    (void)state;
    world *w = world_make(400, true);
    for (uint32_t i = 0; i < 3000 / LESS; i++) {
        uint32_t what = rng_below(&w->r, 40), key = rng_below(&w->r, KEYS - 200);
        if (what < 2) add(w, key, 1 + rng_below(&w->r, 200), 1 + what);
        else if (what < 25) add(w, key, 1, 1);
        else if (what < 38) drop(w, key);
        else if (what == 38) fr_index_link(w->index, 2);
        else if (i % 5 == 0) usleep(60000);
        fr_table_stats stats;
        fr_table_stats_get(w->index->table, &stats);
        assert_true(stats.rows <= KEYS + 400 + 600); /* slots come back */
    }
    find_all(w);
    fr_index_link(w->index, 1);
    is_whole(w);
    find_all(w);
    world_free(w);
}

/* ==== beside searches ==== */

typedef struct beside {
    world *w;
    _Atomic bool stop;
    _Atomic uint32_t misses, searches;
} beside;

static void *search_on(void *argument)
{
    beside *b = argument;
    rng r = {9};
    while (!atomic_load(&b->stop)) {
        int64_t id, key = rng_below(&r, SEED);
        float distance;
        if (fr_index_search_many(b->w->index, b->w->vectors[key], 1, 1, 64, 1, &id, &distance, NULL) != FR_OK || id != key) atomic_fetch_add(&b->misses, 1);
        (void)fr_index_waiting(b->w->index);
        atomic_fetch_add(&b->searches, 1);
    }
    return NULL;
}

static void beside_searches(void **state)
{
    (void)state;
    beside b = {.w = world_make(500, true)};
    pthread_t threads[2];
    add(b.w, 0, SEED, 1);
    for (uint32_t i = 0; i < 2; i++) pthread_create(&threads[i], NULL, search_on, &b);
    for (uint32_t i = 0; i < 2400 / LESS; i++) {
        uint32_t key = SEED + rng_below(&b.w->r, KEYS - SEED);
        if (rng_below(&b.w->r, 5) == 0) drop(b.w, key);
        else add(b.w, key, 1, 1 + i % 2);
        if (i % 100 == 99) usleep(70000); /* long enough for the thread to begin: it is met at work */
        if (i % 37 == 0) (void)fr_index_memory(b.w->index);
    }
    atomic_store(&b.stop, true);
    for (uint32_t i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    assert_int_equal(b.misses, 0);
    assert_true(b.searches > 0);
    fr_index_link(b.w->index, 2);
    is_whole(b.w);
    find_all(b.w);
    world_free(b.w);
}

int main(int argc, char **argv)
{
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_wait_and_are_found), cmocka_unit_test(many_are_linked_together), cmocka_unit_test(more_wait_while_nobody_searches), cmocka_unit_test(a_pause_links),
        cmocka_unit_test(the_thread_keeps_out_of_calls), cmocka_unit_test(the_thread_helps_while_nobody_searches),
        cmocka_unit_test(a_fast_stream_has_no_pauses),
        cmocka_unit_test(free_drops_what_waits), cmocka_unit_test(save_links_first), cmocka_unit_test(ef_for_measures_the_graph),
        cmocka_unit_test(bits_do_not_wait), cmocka_unit_test(any_order), cmocka_unit_test(beside_searches)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
