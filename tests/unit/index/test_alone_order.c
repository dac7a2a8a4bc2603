/* test_alone_order.c: many long queries in one call are served in the order of their lists; answers stand where the questions do, and
 * are those of single calls. */
#include "api/base.h"
#include "api/freshet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define D       512u
#define ROWS    1024u /* beyond what is scanned: they are walked */
#define CENTRES 40u
#define MANY    16500u /* more than a window */
#define K       5u
#define EF      24u

static float *vectors, *queries;
static fr_index *filled;

static float value(uint64_t seed) { return (float)(fr_mix64(seed) >> 40) * 0x1p-23f - 1.0f; }
static void vector_of(uint64_t seed, float *out)
{
    uint64_t centre = fr_mix64(seed) % CENTRES;
    for (uint32_t i = 0; i < D; i++) out[i] = value(centre << 32 | i) + 0.5f * value(seed << 20 | i);
}

static int fill(void **state)
{
    (void)state;
    static int64_t ids[ROWS];
    fr_err err;
    fr_index_options options = {.dimension = D, .metric = FR_METRIC_L2, .ef_construction = 24};
    vectors = malloc(sizeof(float) * ROWS * D), queries = malloc(sizeof(float) * MANY * D);
    for (uint32_t i = 0; i < ROWS; i++) ids[i] = 7000 - (int64_t)i, vector_of(i, vectors + (size_t)i * D);
    for (uint32_t i = 0; i < MANY; i++) vector_of(ROWS + i, queries + (size_t)i * D);
    if (fr_index_create(&options, &filled, &err) != FR_OK) return -1;
    return fr_index_add(filled, ids, vectors, ROWS, 1, &err) == FR_OK ? 0 : -1;
}

static int drop(void **state)
{
    (void)state;
    fr_index_free(filled);
    free(vectors);
    free(queries);
    return 0;
}

/* The answers of every `step`-th query against those it gets alone. */
static void same_as_alone(uint32_t count, uint32_t threads, uint32_t step)
{
    int64_t *ids = malloc(sizeof *ids * count * K), alone[K];
    float *distances = malloc(sizeof *distances * count * K), alone_distances[K];
    fr_err err;
    memset(ids, 0x55, sizeof *ids * count * K);
    assert_int_equal(fr_index_search_many(filled, queries, count, K, EF, threads, ids, distances, &err), FR_OK);
    for (uint32_t i = 0; i < count; i += step) {
        assert_int_equal(fr_index_search_many(filled, queries + (size_t)i * D, 1, K, EF, 1, alone, alone_distances, &err), FR_OK);
        assert_memory_equal(ids + (size_t)i * K, alone, sizeof alone);
        assert_memory_equal(distances + (size_t)i * K, alone_distances, sizeof alone_distances);
    }
    for (uint32_t i = 0; i < count * K; i++) assert_true(ids[i] <= 7000 && ids[i] > 7000 - (int64_t)ROWS);
    free(ids);
    free(distances);
}

static void batches_are_answered_in_place(void **state)
{
    (void)state;
    for (uint32_t threads = 1; threads <= 5; threads += 2) same_as_alone(300, threads, 1);
    same_as_alone(300, 1000, 7); /* as many as there may be */
    same_as_alone(127, 1, 1); /* served as they come */
    same_as_alone(127, 3, 1);
    same_as_alone(2, 3, 1); /* fewer than threads */
    same_as_alone(128, 1, 1);
}

static void windows_are_answered_in_place(void **state)
{
    (void)state;
    same_as_alone(MANY, 1, 97);
    same_as_alone(MANY, 2, 97);
}

static void none_is_no_error(void **state)
{
    (void)state;
    fr_err err;
    int64_t ids[1];
    float distances[1];
    assert_int_equal(fr_index_search_many(filled, queries, 0, 1, 0, 2, ids, distances, &err), FR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(batches_are_answered_in_place), cmocka_unit_test(windows_are_answered_in_place),
                                       cmocka_unit_test(none_is_no_error)};
    return cmocka_run_group_tests(tests, fill, drop);
}
