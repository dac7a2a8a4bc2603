/* test_table_random.c: random operations on a table and on a simple model of it: put, replace, remove, look up, search (exact and by the
 * graph), link steps, save, and load of the last save, with which the model goes back in time, too.
 *
 * usage: test_table_random [--operations N] [--seed N]     without arguments: a short run for every kind of vector */
#include "tests/unit/index/table_store.h"

#include <getopt.h>

#define DIMENSION 24u

typedef struct life {
    fr_table_options options;
    enum vector_kind kind;
    fr_table *t;
    fr_scratch *s;
    model *now, *saved;
    memory_store *store;
    fr_offset offset, saved_at;
    uint64_t commit, good, asked, done[8];
    rng r;
} life;

enum { PUT, REMOVE, LOOK_UP, SEARCH, EXACT, SAVE, LOAD, CHECK };

static void copy_model(model *to, const model *from)
{
    float *vectors = to->vectors;
    memcpy(vectors, from->vectors, (size_t)MODEL_KEYS * from->dimension * sizeof *vectors);
    *to = *from;
    to->vectors = vectors;
}

static void look_up(life *l, uint32_t key)
{
    char room[24];
    float vector[DIMENSION];
    fr_table_enter(l->t, l->s);
    uint32_t row = fr_table_find(l->t, key_span(key, room), l->commit);
    assert_int_equal(row != FR_ROW_NONE, l->now->live[key]);
    if (row != FR_ROW_NONE) {
        fr_row_view view;
        fr_table_row(l->t, row, &view);
        assert_int_equal(view.offset, l->now->offset[key]);
        assert_true(fr_table_vector(l->t, row, vector));
        assert_memory_equal(vector, model_vector(l->now, key), sizeof vector);
    }
    fr_table_leave(l->t, l->s);
    assert_int_equal(fr_table_offset_of(l->t, key_span(key, room)), l->now->live[key] ? l->now->offset[key] : -1);
}

static void search(life *l, bool exact)
{
    float query[DIMENSION];
    rng_vector(&l->r, l->kind, DIMENSION, query);
    if (l->now->live_count == 0) return;
    uint32_t good = check_search(l->t, l->s, l->now, query, 10, exact, l->commit);
    if (exact) return;
    l->good += good;
    l->asked += FR_MIN(10u, l->now->live_count);
}

static void save(life *l)
{
    l->saved_at = l->offset - 1;
    assert_int_equal(save_table(l->t, l->store, l->saved_at, rng_below(&l->r, 4) == 0), FR_OK);
    copy_model(l->saved, l->now);
}

/* Back to the last save: the process died. Its offsets are used again, as a log that was cut would. */
static void load(life *l)
{
    if (l->saved_at < 0) return;
    fr_table_free(l->t);
    l->t = load_table(&l->options, l->store, l->saved_at);
    copy_model(l->now, l->saved);
    l->offset = l->saved_at + 1;
    l->commit = 0;
}

static void check(const life *l)
{
    fr_err err = {0};
    if (fr_table_check(l->t, &err) != FR_OK) fail_msg("%s", err.text);
}

static void operate(life *l, uint32_t keys)
{
    uint32_t key = rng_below(&l->r, keys), dice = rng_below(&l->r, 100000);
    int what = dice < 55000 ? PUT : dice < 80000 ? REMOVE : dice < 98000 ? LOOK_UP : dice < 99300 ? SEARCH : dice < 99900 ? EXACT
             : dice < 99960 ? SAVE : dice < 99980 ? LOAD : CHECK;
    l->done[what]++;
    switch (what) {
    case PUT:
        rng_vector(&l->r, l->kind, DIMENSION, model_vector(l->now, key));
        assert_int_equal(table_put(l->t, l->now, key, l->offset++, ++l->commit), FR_OK);
        break;
    case REMOVE: table_remove(l->t, l->now, key, l->offset++, ++l->commit); break;
    case LOOK_UP: look_up(l, key); break;
    case SEARCH: search(l, false); break;
    case EXACT: search(l, true); break;
    case SAVE: save(l); break;
    case LOAD: load(l); break;
    case CHECK: check(l); break;
    }
}

static void live(enum vector_kind kind, fr_metric metric, uint64_t operations, uint64_t seed)
{
    life l = {.options = {.dimension = DIMENSION, .metric = metric, .seed = seed}, .kind = kind, .saved_at = -1, .r = {seed}};
    l.now = model_create(DIMENSION);
    l.saved = model_create(DIMENSION);
    l.store = fr_zalloc(FR_MEM_TEST, sizeof *l.store);
    assert_int_equal(fr_table_create(&l.options, &l.t, NULL), FR_OK);
    assert_int_equal(fr_scratch_create(&l.s), FR_OK);
    uint32_t keys = (uint32_t)FR_MIN((uint64_t)MODEL_KEYS, operations / 4 + 10), pace = 2;
    for (uint64_t i = 0; i < operations; i++) {
        if (i % 4096 == 0) pace = rng_below(&l.r, 4); /* 0: nobody links for a while */
        operate(&l, keys);
        for (uint32_t steps = pace; steps > 0; steps--) fr_table_link_step(l.t);
        if (i % 64 == 0) fr_table_maintain(l.t, l.commit);
    }
    save(&l);
    load(&l);
    while (fr_table_link_step(l.t)) {}
    fr_table_maintain(l.t, l.commit);
    check(&l);
    assert_int_equal(fr_table_unreachable(l.t), 0);
    for (uint32_t key = 0; key < keys; key++) look_up(&l, key);
    double recall = (double)l.good / (double)FR_MAX(l.asked, (uint64_t)1);
    if (metric != FR_METRIC_IP && l.asked > 100) assert_true(recall >= 0.97);
    print_message("%lu operations: %lu puts, %lu removes, %lu look-ups, %lu searches (recall %.4f), %lu exact, %lu saves, %lu loads\n",
                  (unsigned long)operations, (unsigned long)l.done[PUT], (unsigned long)l.done[REMOVE], (unsigned long)l.done[LOOK_UP],
                  (unsigned long)l.done[SEARCH], recall, (unsigned long)l.done[EXACT], (unsigned long)l.done[SAVE], (unsigned long)l.done[LOAD]);
    store_clear(l.store);
    fr_free(FR_MEM_TEST, l.store);
    fr_scratch_free(l.s);
    fr_table_free(l.t);
    model_free(l.now);
    model_free(l.saved);
}

static uint64_t operations = 12000 / LESS, first_seed = 1;

static void floats(void **state) { (void)state; live(KIND_F32, FR_METRIC_L2, operations, first_seed); }
static void bytes(void **state) { (void)state; live(KIND_U8, FR_METRIC_L2, operations, first_seed + 1); }
static void clusters(void **state) { (void)state; live(KIND_CLUSTERED, FR_METRIC_COSINE, operations, first_seed + 2); }
static void products(void **state) { (void)state; live(KIND_I8, FR_METRIC_IP, operations, first_seed + 3); }

int main(int argc, char **argv)
{
    static const struct option known[] = {{"operations", 1, 0, 'o'}, {"seed", 1, 0, 's'}, {0, 0, 0, 0}};
    for (int o; (o = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (o == 'o') operations = strtoull(optarg, NULL, 10) / 4;
        else if (o == 's') first_seed = strtoull(optarg, NULL, 10);
        else return 2;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(floats), cmocka_unit_test(bytes), cmocka_unit_test(clusters), cmocka_unit_test(products)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
