/* A recall given instead of ef: what the table picks reaches it, on vectors of two shapes. */
#include "table_model.h"

#define ROWS (8000u)
#define DIMENSION 16u
#define QUERIES 100u
#define K 10u

static fr_table *filled(enum vector_kind kind, float *vectors)
{
    fr_table_options options = {.dimension = DIMENSION, .metric = FR_METRIC_L2, .m = 6, .ef_construction = 24, .seed = 5};
    fr_table *t;
    assert_int_equal(fr_table_create(&options, &t, NULL), FR_OK);
    rng r = {11};
    for (uint32_t i = 0; i < ROWS; i++) {
        char room[24];
        fr_put_result result;
        rng_vector(&r, kind, DIMENSION, vectors + i * DIMENSION);
        fr_row_data row = {.key = key_span(i, room), .vector = vectors + i * DIMENSION, .source_time_ms = FR_TIME_NONE, .offset = i};
        assert_int_equal(fr_table_put(t, &row, i + 1, &result, NULL), FR_OK);
    }
    while (fr_table_link_step(t)) {}
    for (uint32_t i = 0; i < 4; i++) fr_table_maintain(t, ROWS); /* linked rows leave the fresh blocks */
    return t;
}

static float recall_at(const fr_table *t, fr_scratch *s, enum vector_kind kind, uint32_t ef, double tolerance)
{
    rng r = {4242};
    uint32_t good = 0;
    fr_table_enter(t, s);
    for (uint32_t i = 0; i < QUERIES; i++) {
        float vector[DIMENSION];
        fr_row_hit truth[K], hits[K];
        uint32_t count;
        rng_vector(&r, kind, DIMENSION, vector);
        fr_table_query q = {.vector = vector, .k = K, .visible = FR_VISIBLE_ALL, .exact = true};
        assert_int_equal(fr_table_search(t, s, &q, truth, &count, NULL, NULL), FR_OK);
        q.exact = false, q.ef = ef;
        assert_int_equal(fr_table_search(t, s, &q, hits, &count, NULL, NULL), FR_OK);
        for (uint32_t j = 0; j < count; j++) good += hits[j].distance <= truth[K - 1].distance * (1 + tolerance);
    }
    fr_table_leave(t, s);
    return (float)good / (QUERIES * K);
}

static void picked_ef_reaches(enum vector_kind kind)
{
    float *vectors = fr_alloc(FR_MEM_TEST, ROWS * DIMENSION * sizeof(float));
    fr_table *t = filled(kind, vectors);
    fr_scratch *s;
    float measured, near, strict, last = 0;
    uint32_t ef, least = 0;
    assert_int_equal(fr_scratch_create(&s), FR_OK);
    assert_false(fr_table_recall_measured(t, 64, &near, &strict));
    fr_table_stats stats;
    fr_table_stats_get(t, &stats);
    assert_int_equal(stats.unlinked, 0);
    static const float targets[] = {0.8f, 0.9f, 0.95f};
    for (uint32_t i = 0; i < FR_COUNT_OF(targets); i++) {
        assert_int_equal(fr_table_ef_for(t, s, FR_VISIBLE_ALL, targets[i], K, &ef, &measured, NULL), FR_OK);
        assert_true(measured >= targets[i]);
        float reached = recall_at(t, s, kind, ef, 1e-3);
        print_message("target %.2f: ef %u, recall %.3f; at ef 12 %.3f\n", (double)targets[i], ef, (double)reached,
                      (double)recall_at(t, s, kind, 12, 1e-3));
        assert_true(reached >= targets[i]);
        assert_true(ef >= least && reached >= last);
        assert_true(ef < 800); /* not by looking at everything */
        least = ef, last = reached;
    }
    assert_true(fr_table_recall_measured(t, ef, &near, &strict));
    assert_true(strict <= near && near > 0.85f);
    uint32_t wide;
    assert_int_equal(fr_table_ef_for(t, s, FR_VISIBLE_ALL, 0.95f, 10 * K, &wide, &measured, NULL), FR_OK);
    assert_int_equal(wide, 10 * ef);
    fr_scratch_free(s);
    fr_table_free(t);
    fr_free(FR_MEM_TEST, vectors);
}

static void reaches_on_random_floats(void **state)
{
    (void)state;
    picked_ef_reaches(KIND_F32);
}

static void reaches_on_clusters_of_floats(void **state)
{
    (void)state;
    picked_ef_reaches(KIND_CLUSTERED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reaches_on_random_floats), cmocka_unit_test(reaches_on_clusters_of_floats)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
