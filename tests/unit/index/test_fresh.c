/* test_fresh: rows that are not linked are found all the same: exact kernels, every metric and kind of codes, concurrent linking. */
#include "table_model.h"

#include <pthread.h>

#define DIMENSION 128u
#define ROWS      (4000u / LESS + 3200u) /* more than a plain scan takes */

/* Every tier adds up the same, at the largest numbers and beyond the bytes that 16 bits hold, and passes the same rows. */
static void signs_agree(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {8, 16, 24, 96, 256, 264, 520};
    const char *tiers[8];
    uint32_t count = fr_simd_tiers(tiers, 8), sums[FR_SIGN_ROWS], below[FR_SIGN_ROWS], expected[FR_SIGN_ROWS];
    rng r = {5};
    for (uint32_t size = 0; size < FR_COUNT_OF(sizes); size++) {
        uint32_t bytes = sizes[size];
        uint8_t u[8 * 520], tables[32 * 520], bits[64 * 520], spread[64];
        float base[64], gain[64];
        uint32_t ids[64];
        for (uint32_t i = 0; i < 8 * bytes; i++) u[i] = size % 2 != 0 ? FR_SIGN_TABLE_MAX / 4 : (uint8_t)(rng_next(&r) % (FR_SIGN_TABLE_MAX / 4 + 1));
        for (uint32_t i = 0; i < 64 * bytes; i++) bits[i] = size % 2 != 0 && i % 64 < 8 ? 255 : (uint8_t)rng_next(&r);
        for (uint32_t g = 0; g < 2 * bytes; g++)
            for (uint32_t place = 0; place < 16; place++) {
                tables[16 * g + place] = 0;
                for (uint32_t i = 0; i < 4; i++)
                    if (place >> i & 1) tables[16 * g + place] = (uint8_t)(tables[16 * g + place] + u[4 * g + i]);
            }
        for (uint32_t i = 0; i < 64; i++) {
            base[i] = rng_float(&r), gain[i] = -0.1f, ids[i] = 1000 + i;
            spread[i] = (uint8_t)rng_next(&r);
            expected[i] = 0;
            for (uint32_t b = 0; b < 8 * bytes; b++) expected[i] += bits[b / 8 * 64 + i] >> (b % 8) & 1 ? u[b] : 0;
        }
        fr_simd_bound bound = {tables, bits, bytes, 64, base, gain, spread, ids, 1, -0.25f, 3, -0.1f * (float)bytes * 62};
        for (uint32_t tier = 0; tier < count; tier++) {
            assert_true(fr_simd_force(tiers[tier]));
            fr_simd_sign_sums(tables, bits, bytes, sums);
            assert_memory_equal(sums, expected, sizeof sums);
            uint32_t n = fr_simd_below(&bound, below), at = 0, passed = 0;
            for (uint32_t i = 0; i < 64; i++) {
                float d = base[i] - 0.1f * ((float)expected[i] - 0.25f * spread[i] + 3);
                passed += d <= bound.limit;
                if (fabsf(d - bound.limit) < 1e-4f * fabsf(bound.limit)) continue; /* rounding decides */
                while (at < n && below[at] < 1000 + i) at++;
                assert_int_equal(at < n && below[at] == 1000 + i, d <= bound.limit);
            }
            assert_true(passed > 0 && (passed < 64 || size % 2 != 0));
        }
    }
    assert_true(fr_simd_force(tiers[count - 1]));
}

static fr_table *plain_table(void)
{
    fr_table_options options = {.dimension = DIMENSION, .metric = FR_METRIC_L2, .seed = 3};
    fr_table *t;
    assert_int_equal(fr_table_create(&options, &t, NULL), FR_OK);
    return t;
}

/* Never a whole block's rows in the ring: a search compares those one by one. */
static void full_blocks_are_sealed(void **state)
{
    (void)state;
    model *m = model_create(DIMENSION);
    fr_table *t = plain_table();
    rng r = {9};
    for (uint32_t key = 0; key < 1500; key++) {
        rng_vector(&r, KIND_F32, DIMENSION, model_vector(m, key));
        assert_int_equal(table_put(t, m, key, key, key + 1), FR_OK);
        fr_fresh_view view = fr_fresh_look(t);
        assert_true(view.tail - view.from < FR_BLOCK_ROWS);
        if (key == 700) while (fr_table_link_step(t)) {}
    }
    fr_table_free(t);
    model_free(m);
}

/* A load whose rows are linked in bulk makes no blocks that nobody looks at, and, once a search looks, those it lacks. */
static void blocks_held_back(void **state)
{
    (void)state;
    model *m = model_create(DIMENSION);
    fr_table *t = plain_table();
    rng r = {9};
    fr_fresh_hold_back(t, true);
    for (uint32_t key = 0; key < 4 * FR_BLOCK_ROWS; key++) {
        rng_vector(&r, KIND_F32, DIMENSION, model_vector(m, key));
        assert_int_equal(table_put(t, m, key, key, key + 1), FR_OK);
        if (key % 64 == 0) fr_table_maintain(t, key + 1);
    }
    assert_false(fr_fresh_asked(t));
    assert_null(t->fresh.first);
    fr_fresh_view view = fr_fresh_look(t);
    assert_int_equal(view.tail - view.from, 4 * FR_BLOCK_ROWS);
    for (uint32_t key = 0; key < 64; key++) assert_int_equal(table_put(t, m, 4 * FR_BLOCK_ROWS + key, key, 5000 + key), FR_OK); /* a put makes some */
    assert_non_null(t->fresh.first);
    while (fr_fresh_asked(t)) {}
    view = fr_fresh_look(t);
    assert_true(view.tail - view.from < FR_BLOCK_ROWS);
    fr_fresh_hold_back(t, false);
    assert_false(fr_fresh_asked(t));
    fr_table_free(t);
    model_free(m);
}

/* Is the row the first hit of its own vector (or equal to it)? */
static bool finds_itself(const fr_table *t, fr_scratch *s, const model *m, uint32_t key, uint32_t ef, uint64_t *fresh)
{
    fr_row_hit hits[4];
    uint32_t count = 0;
    fr_search_info info;
    fr_row_view view;
    fr_table_query q = {.vector = model_vector(m, key), .k = 4, .ef = ef, .visible = FR_VISIBLE_ALL};
    bool found = false;
    fr_table_enter(t, s);
    assert_int_equal(fr_table_search(t, s, &q, hits, &count, &info, NULL), FR_OK);
    for (uint32_t i = 0; i < count; i++) {
        fr_table_row(t, hits[i].row, &view);
        found |= span_key(view.key) == key;
        if (t->options.metric != FR_METRIC_IP) break; /* there a longer vector may be nearer */
    }
    *fresh += info.fresh;
    fr_table_leave(t, s);
    return found;
}

static void unlinked(enum vector_kind kind, fr_metric metric, fr_codes codes)
{
    model *m = model_create(DIMENSION);
    fr_table *t;
    fr_scratch *s;
    rng r = {17};
    fr_table_options options = {.dimension = DIMENSION, .metric = metric, .codes = codes, .seed = 3};
    uint64_t fresh = 0;
    uint32_t good = 0, queries = 80 / LESS;
    assert_int_equal(fr_table_create(&options, &t, NULL), FR_OK);
    assert_int_equal(fr_scratch_create(&s), FR_OK);
    for (uint32_t key = 0; key < ROWS; key++) {
        rng_vector(&r, kind, DIMENSION, model_vector(m, key));
        assert_int_equal(table_put(t, m, key, key, key + 1), FR_OK);
        if (key < 300) fr_table_link_step(t);
        if (key % 64 == 0) fr_table_maintain(t, key + 1);
    }
    assert_true(t->fresh.first != NULL);
    for (uint32_t key = 0; key < ROWS; key += metric == FR_METRIC_IP ? ROWS : 5 * LESS) assert_true(finds_itself(t, s, m, key, 16, &fresh));
    assert_true(metric == FR_METRIC_IP || fresh > ROWS);
    for (uint32_t i = 0; i < queries; i++) { /* what is not linked is found exactly: recall is that of the codes */
        float query[DIMENSION];
        rng_vector(&r, kind, DIMENSION, query);
        good += check_search(t, s, m, query, 10, false, FR_VISIBLE_ALL);
    }
    assert_true(good * 100 >= queries * 10 * 99);
    while (fr_table_link_step(t)) {}
    fr_table_maintain(t, FR_VISIBLE_ALL);
    fr_table_maintain(t, FR_VISIBLE_ALL);
    assert_true(t->fresh.first == NULL && t->fresh.last == NULL);
    fr_err err = {0};
    if (fr_table_check(t, &err) != FR_OK) fail_msg("%s", err.text);
    fr_scratch_free(s);
    fr_table_free(t);
    model_free(m);
}

static void floats_unlinked(void **state) { (void)state; unlinked(KIND_F32, FR_METRIC_L2, FR_CODES_SQ8); }
static void bytes_unlinked(void **state) { (void)state; unlinked(KIND_U8, FR_METRIC_L2, FR_CODES_SQ8); }
static void cosines_unlinked(void **state) { (void)state; unlinked(KIND_CLUSTERED, FR_METRIC_COSINE, FR_CODES_SQ8); }
static void products_unlinked(void **state) { (void)state; unlinked(KIND_I8, FR_METRIC_IP, FR_CODES_SQ8); }
static void uncoded_unlinked(void **state) { (void)state; unlinked(KIND_F32, FR_METRIC_L2, FR_CODES_NONE); }

/* ==== with linkers and searchers at work ==== */

typedef struct world {
    fr_table *t;
    model *m;
    _Atomic uint32_t done; /* keys below are there */
    _Atomic bool stop;
    _Atomic uint32_t missed, asked;
} world;

static void *link_slowly(void *argument)
{
    world *w = argument;
    while (!atomic_load(&w->stop)) fr_table_link_step(w->t);
    return NULL;
}

static void *ask(void *argument)
{
    world *w = argument;
    fr_scratch *s;
    rng r = {99};
    uint64_t fresh = 0;
    if (fr_scratch_create(&s) != FR_OK) return NULL;
    while (!atomic_load(&w->stop)) {
        uint32_t done = atomic_load(&w->done);
        if (done < 100) continue;
        uint32_t key = done - 1 - rng_below(&r, FR_MIN(done, 2000u));
        if (!finds_itself(w->t, s, w->m, key, 64, &fresh)) atomic_fetch_add(&w->missed, 1);
        atomic_fetch_add(&w->asked, 1);
    }
    fr_scratch_free(s);
    return NULL;
}

static void put_while_linking(void **state)
{
    (void)state;
    world w = {.m = model_create(DIMENSION)};
    fr_table_options options = {.dimension = DIMENSION, .metric = FR_METRIC_L2, .seed = 3};
    rng r = {23};
    pthread_t linker, searcher;
    assert_int_equal(fr_table_create(&options, &w.t, NULL), FR_OK);
    for (uint32_t key = 0; key < ROWS; key++) rng_vector(&r, KIND_U8, DIMENSION, model_vector(w.m, key));
    assert_int_equal(pthread_create(&linker, NULL, link_slowly, &w), 0);
    assert_int_equal(pthread_create(&searcher, NULL, ask, &w), 0);
    for (uint32_t key = 0; key < ROWS; key++) {
        assert_int_equal(table_put(w.t, w.m, key, key, key + 1), FR_OK);
        atomic_store(&w.done, key + 1);
        if (key % 64 == 0) fr_table_maintain(w.t, key + 1);
    }
    while (atomic_load(&w.asked) < 500 / LESS) {}
    atomic_store(&w.stop, true);
    pthread_join(linker, NULL);
    pthread_join(searcher, NULL);
    /* a linked row may be missed by a walk of ef 64, an unlinked one never: uniform bytes are the hardest data there are */
    assert_true(atomic_load(&w.missed) * 100 <= atomic_load(&w.asked));
    fr_table_free(w.t);
    model_free(w.m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(signs_agree), cmocka_unit_test(full_blocks_are_sealed), cmocka_unit_test(blocks_held_back), cmocka_unit_test(floats_unlinked), cmocka_unit_test(bytes_unlinked),
                                       cmocka_unit_test(cosines_unlinked), cmocka_unit_test(products_unlinked), cmocka_unit_test(uncoded_unlinked),
                                       cmocka_unit_test(put_while_linking)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
