/* test_sketch: sign bits of cells' entries: the bound holds for every metric and kind of codes and leaves most far rows out; a sketch that was made anew says
 * the same. */
#include "table_model.h"

#include "index/sketch.h"

#define DIMENSION 192u
#define ROWS      1000u

typedef struct kind {
    fr_code_kind code;
    fr_metric metric;
    bool whole; /* the query is of integers: distances are exact */
} kind;

static void vector_of(rng *r, const kind *k, float *out)
{
    float few[8]; /* real vectors have fewer degrees of freedom than dimensions: else all rows are about as far */
    for (uint32_t j = 0; j < 8; j++) few[j] = rng_float(r);
    for (uint32_t j = 0; j < DIMENSION; j++) {
        float v = 0.8f * few[j % 8] + 0.2f * rng_float(r);
        out[j] = k->code == FR_CODE_SQ8 ? v : k->code == FR_CODE_U8 ? floorf(128 + 120 * v) : floorf(120 * v);
        if (k->metric == FR_METRIC_IP) out[j] += k->code == FR_CODE_SQ8 ? 0.1f : 4;
    }
}

static void the_bound_holds(void **state)
{
    (void)state;
    static const kind kinds[] = {{FR_CODE_SQ8, FR_METRIC_L2, false}, {FR_CODE_SQ8, FR_METRIC_COSINE, false}, {FR_CODE_SQ8, FR_METRIC_IP, false},
                                 {FR_CODE_U8, FR_METRIC_L2, true},   {FR_CODE_U8, FR_METRIC_L2, false},      {FR_CODE_U8, FR_METRIC_IP, true},
                                 {FR_CODE_U8, FR_METRIC_IP, false},  {FR_CODE_I8, FR_METRIC_L2, true},       {FR_CODE_I8, FR_METRIC_IP, true}};
    rng r = {17};
    float *rows = fr_alloc(FR_MEM_TEST, (size_t)ROWS * DIMENSION * sizeof *rows);
    for (uint32_t kind_at = 0; kind_at < FR_COUNT_OF(kinds); kind_at++) {
        const kind *k = &kinds[kind_at];
        const float *samples[ROWS];
        float room[2 * DIMENSION], query[DIMENSION], rotated[DIMENSION], distances[ROWS], sorted[ROWS];
        int8_t signs[FR_ROTATION_ROUNDS * DIMENSION];
        _Alignas(64) int8_t q[DIMENSION];
        _Alignas(64) uint8_t tables[4 * DIMENSION];
        uint32_t ids[ROWS];
        for (uint32_t i = 0; i < sizeof signs; i++) signs[i] = rng_below(&r, 2) != 0 ? 1 : -1;
        fr_codeset *codes = fr_codeset_create(k->code, k->metric, DIMENSION, 3);
        assert_true(codes != NULL && fr_codeset_reserve(codes, ROWS));
        for (uint32_t i = 0; i < ROWS; i++) {
            vector_of(&r, k, rows + (size_t)i * DIMENSION);
            samples[i] = rows + (size_t)i * DIMENSION;
            ids[i] = i;
        }
        if (k->code == FR_CODE_SQ8) assert_int_equal(fr_codeset_train(codes, samples, ROWS), FR_OK);
        for (uint32_t i = 0; i < ROWS; i++) fr_codeset_encode(codes, samples[i], i, room);
        const uint8_t *pivot = fr_extent_at(&codes->code, 7);
        int32_t constant = fr_codeset_constant_of(codes, pivot);
        fr_sketch *part = fr_sketch_make(codes, signs, pivot, NULL, ids, 300, room), *grown = fr_sketch_make(codes, signs, pivot, part, ids, ROWS, room);
        fr_sketch *whole = fr_sketch_make(codes, signs, pivot, NULL, ids, ROWS, room);
        assert_true(part != NULL && grown != NULL && whole != NULL && whole->count == ROWS);
        assert_memory_equal(grown, whole, fr_sketch_bytes(codes, ROWS));
        uint64_t nearer = 0, passed_over = 0, far = 0, taken = 0;
        for (uint32_t i = 0; i < 20; i++) {
            fr_code_query asked = {.q = q, .rotated = rotated};
            fr_sketch_query sketched;
            float at_pivot;
            vector_of(&r, k, query);
            for (uint32_t j = 0; j < DIMENSION && !k->whole && k->code != FR_CODE_SQ8; j++) query[j] += 0.25f;
            fr_codeset_query(codes, query, &asked);
            assert_true(asked.exact == k->whole);
            fr_codeset_distances_of(codes, &asked, pivot, &constant, 1, &at_pivot);
            for (uint32_t j = 0; j < ROWS; j++) {
                const uint8_t *code = fr_extent_at(&codes->code, j);
                fr_codeset_distances(codes, &asked, &j, &code, 1, &distances[j]);
                uint32_t at = j; /* by insertion */
                for (; at > 0 && sorted[at - 1] > distances[j]; at--) sorted[at] = sorted[at - 1];
                sorted[at] = distances[j];
            }
            fr_sketch_ask(codes, signs, &asked, tables, room, &sketched);
            fr_sketch_turn(&sketched, at_pivot);
            for (uint32_t j = 0; j < ROWS; j++) {
                uint64_t near = fr_sketch_near(whole, &sketched, j / FR_SKETCH_ROWS, sorted[10]);
                bool kept = near >> j % FR_SKETCH_ROWS & 1;
                if (distances[j] < sorted[10]) nearer++, passed_over += !kept;
                else far++, taken += kept;
                if (j % 64 == 0) { /* nothing is passed over without a bound */
                    uint32_t there = FR_MIN(ROWS - j, FR_SKETCH_ROWS);
                    near = fr_sketch_near(whole, &sketched, j / FR_SKETCH_ROWS, sorted[ROWS - 1] + 1e6f);
                    assert_true(near << (64 - there) == UINT64_MAX << (64 - there));
                }
            }
        }
        if (passed_over * 20 > nearer || taken * 3 > far)
            print_error("kind %u: %llu of %llu near ones are passed over, %llu of %llu far ones are not\n", kind_at, (unsigned long long)passed_over,
                        (unsigned long long)nearer, (unsigned long long)taken, (unsigned long long)far);
        assert_true(passed_over * 20 <= nearer && taken * 3 <= far);
        fr_free(FR_MEM_CODES, part);
        fr_free(FR_MEM_CODES, grown);
        fr_free(FR_MEM_CODES, whole);
        fr_codeset_free(codes);
    }
    fr_free(FR_MEM_TEST, rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_bound_holds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
