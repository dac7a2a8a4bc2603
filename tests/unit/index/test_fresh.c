/* test_fresh: rows that are not linked are found all the same: exact kernels, every metric and kind of codes, concurrent linking. */
#include "table_model.h"

#include <pthread.h>

#define DIMENSION 128u
#define ROWS      (4000u / LESS + 3200u) /* more than a plain scan takes */

static void planes_agree(void **state)
{
    (void)state;
    const char *tiers[8];
    uint32_t count = fr_simd_tiers(tiers, 8), sums[64], below[64], expected[64];
    rng r = {5};
    for (uint32_t words = 1; words <= 25; words += words < 4 ? 1 : 7) {
        uint64_t planes[FR_PLANES * 25], rows[64 * 25];
        float base[64], skew[64], gain[64];
        uint32_t ids[64], n = 0;
        for (uint32_t i = 0; i < FR_PLANES * words; i++) planes[i] = rng_next(&r);
        for (uint32_t i = 0; i < 64 * words; i++) rows[i] = rng_next(&r);
        for (uint32_t i = 0; i < 64; i++) base[i] = rng_float(&r), skew[i] = rng_float(&r), gain[i] = -0.1f, ids[i] = 1000 + i;
        for (uint32_t i = 0; i < 64; i++) {
            uint32_t sum = 0;
            for (uint32_t b = 0; b < words * 64; b++)
                for (uint32_t p = 0; p < FR_PLANES; p++)
                    sum += (uint32_t)(rows[i * words + b / 64] & planes[p * words + b / 64] & 1ull << (b % 64) ? 1 : 0) << p;
            expected[i] = sum;
        }
        fr_simd_bound bound = {planes, rows, words, 64, base, skew, gain, ids, 0.5f, 1, 0, -0.1f * (float)(words * 240)};
        for (uint32_t tier = 0; tier < count; tier++) {
            assert_true(fr_simd_force(tiers[tier]));
            fr_simd_planes(planes, rows, words, 61, sums);
            assert_memory_equal(sums, expected, 61 * sizeof *sums);
            n = fr_simd_below(&bound, below);
            uint32_t at = 0;
            for (uint32_t i = 0; i < 64; i++) {
                float d = base[i] + 0.5f * skew[i] - 0.1f * (float)expected[i];
                if (fabsf(d - bound.limit) < 1e-4f * fabsf(bound.limit)) continue; /* rounding decides */
                while (at < n && below[at] < 1000 + i) at++;
                assert_int_equal(at < n && below[at] == 1000 + i, d <= bound.limit);
            }
        }
    }
    assert_true(fr_simd_force(tiers[count - 1]));
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(planes_agree), cmocka_unit_test(floats_unlinked), cmocka_unit_test(bytes_unlinked),
                                       cmocka_unit_test(cosines_unlinked), cmocka_unit_test(products_unlinked), cmocka_unit_test(uncoded_unlinked),
                                       cmocka_unit_test(put_while_linking)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
