/* test_originals.c: originals are read as far as the codes' error calls for (fine.c), and what is found is what comparing all would find. */
#include "tests/unit/index/table_model.h"

#define DIMENSION 200u /* 2,100 rows are walked then, not scanned */
#define FREEDOM   16u
#define ROWS      2100u
#define QUERIES   100u
#define K         10u
#define EF        256u
#define ALL       (EF / 4) /* candidates of such a search */

static float axes[FREEDOM][DIMENSION];

static void vector_of(rng *r, float *out)
{
    for (uint32_t i = 0; i < DIMENSION; i++) out[i] = 0.02f * rng_float(r);
    for (uint32_t f = 0; f < FREEDOM; f++) {
        float z = rng_float(r);
        for (uint32_t i = 0; i < DIMENSION; i++) out[i] += z * axes[f][i];
    }
}

static fr_table *build(fr_metric metric, disk_model *disk)
{
    fr_table_options options = {.dimension = DIMENSION, .metric = metric, .seed = 11, .ef_construction = 32, .spill_from = 1,
                                .profile = disk != NULL ? FR_PROFILE_COMPACT : FR_PROFILE_SPEED, .store = disk != NULL ? &disk->store : NULL};
    fr_table *t;
    rng r = {7};
    float vector[DIMENSION];
    for (uint32_t f = 0; f < FREEDOM; f++)
        for (uint32_t i = 0; i < DIMENSION; i++) axes[f][i] = rng_float(&r);
    assert_int_equal(fr_table_create(&options, &t, NULL), FR_OK);
    t->bulk_min = ROWS / 8;
    for (uint32_t i = 0; i < ROWS; i++) {
        char room[24];
        fr_put_result result;
        vector_of(&r, vector);
        fr_row_data row = {.key = key_span(i, room), .vector = vector, .source_time_ms = FR_TIME_NONE, .offset = i};
        assert_int_equal(fr_table_put(t, &row, i + 1, &result, NULL), FR_OK);
        if (i % 64 == 0) fr_table_maintain(t, i + 1);
    }
    while (fr_table_link_step(t)) {}
    fr_table_maintain(t, ROWS);
    assert_int_equal(fr_codes_of(t)->kind, FR_CODE_SQ8);
    assert_false(fr_codes_of(t)->has_fine);
    return t;
}

typedef struct outcome {
    double compared, compared_all; /* originals a query */
    double recall, recall_all;
} outcome;

static double hits_among(const fr_row_hit *hits, uint32_t count, const fr_row_hit *truth)
{
    double good = 0;
    for (uint32_t i = 0; i < count; i++) good += hits[i].distance <= truth[K - 1].distance;
    return good / K;
}

/* A range that nothing is outside of makes a search compare all candidates. */
static outcome measure(const fr_table *t)
{
    outcome sum = {0};
    fr_scratch *s;
    rng r = {404};
    assert_int_equal(fr_scratch_create(&s), FR_OK);
    fr_table_enter(t, s);
    for (uint32_t i = 0; i < QUERIES; i++) {
        float query[DIMENSION];
        fr_row_hit truth[K], all[K], hits[K];
        fr_search_info info;
        uint32_t count;
        vector_of(&r, query);
        fr_table_query q = {.vector = query, .k = K, .visible = ROWS, .ef = EF, .exact = true};
        assert_int_equal(fr_table_search(t, s, &q, truth, &count, NULL, NULL), FR_OK);
        q.exact = false, q.has_high = true, q.high = INFINITY;
        assert_int_equal(fr_table_search(t, s, &q, all, &count, &info, NULL), FR_OK);
        assert_string_equal(info.plan, "graph");
        sum.recall_all += hits_among(all, count, truth), sum.compared_all += (double)info.reranked;
        q.has_high = false;
        assert_int_equal(fr_table_search(t, s, &q, hits, &count, &info, NULL), FR_OK);
        assert_string_equal(info.plan, "graph");
        assert_int_equal(count, K);
        assert_true(info.reranked >= K && info.reranked <= ALL);
        sum.recall += hits_among(hits, count, truth), sum.compared += (double)info.reranked;
        for (uint32_t j = 0; j < K; j++) assert_true(j == 0 || hits[j].distance >= hits[j - 1].distance);
    }
    fr_table_leave(t, s);
    fr_scratch_free(s);
    return (outcome){sum.compared / QUERIES, sum.compared_all / QUERIES, sum.recall / QUERIES, sum.recall_all / QUERIES};
}

static void fewer_suffice(fr_metric metric)
{
    fr_table *t = build(metric, NULL);
    outcome o = measure(t);
    print_message("%.1f of %.1f originals, recall %.4f of %.4f\n", o.compared, o.compared_all, o.recall, o.recall_all);
    assert_true(o.compared_all == ALL);
    assert_true(o.compared < 0.6 * ALL);
    assert_true(o.recall >= o.recall_all - 0.001);
    assert_true(o.recall_all > 0.95);
    fr_table_free(t);
}

static void fewer_suffice_l2(void **state) { (void)state; fewer_suffice(FR_METRIC_L2); }
static void fewer_suffice_cosine(void **state) { (void)state; fewer_suffice(FR_METRIC_COSINE); }

/* The error of an inner product grows with the row's length, which is not known there. */
static void all_are_compared_of_products(void **state)
{
    (void)state;
    fr_table *t = build(FR_METRIC_IP, NULL);
    outcome o = measure(t);
    assert_true(o.compared == ALL && o.recall == o.recall_all);
    fr_table_free(t);
}

static uint64_t rows_read;
static fr_code counting_read(fr_vector_store *store, fr_read_ring *ring, const fr_vector_read *reads, uint32_t count)
{
    rows_read += count;
    return disk_read(store, ring, reads, count);
}

static void fewer_are_read_from_disk(void **state)
{
    (void)state;
    disk_model *disk = disk_create((size_t)64 << 20);
    disk->store.read = counting_read;
    fr_table *t = build(FR_METRIC_L2, disk);
    fr_scratch *s;
    rng r = {12};
    assert_true(disk->writes > 0);
    uint64_t counts[2] = {0};
    assert_int_equal(fr_scratch_create(&s), FR_OK);
    fr_table_enter(t, s);
    for (uint32_t i = 0; i < QUERIES; i++)
        for (uint32_t all = 0; all < 2; all++) {
            static float query[DIMENSION];
            fr_row_hit hits[K];
            uint32_t count;
            if (all == 0) vector_of(&r, query);
            uint64_t before = rows_read;
            fr_table_query q = {.vector = query, .k = K, .visible = ROWS, .ef = EF, .has_high = all != 0, .high = INFINITY};
            assert_int_equal(fr_table_search(t, s, &q, hits, &count, NULL, NULL), FR_OK);
            assert_int_equal(count, K);
            counts[all] += rows_read - before;
        }
    fr_table_leave(t, s);
    assert_true(counts[1] > QUERIES * K);
    assert_true((double)counts[0] < 0.6 * (double)counts[1]);
    fr_scratch_free(s);
    fr_table_free(t);
    disk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(fewer_suffice_l2), cmocka_unit_test(fewer_suffice_cosine),
                                       cmocka_unit_test(all_are_compared_of_products), cmocka_unit_test(fewer_are_read_from_disk)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
