/* fr_index_get and fr_index_settings: what an index alone says about its ids and itself. */
#include "api/base.h"
#include "api/freshet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define D 5u

static void get_returns_what_was_given(void **state)
{
    (void)state;
    fr_err err;
    fr_index *index = NULL, *again = NULL;
    fr_index_options options = {.dimension = D, .metric = FR_METRIC_COSINE, .ef_construction = 50}, found;
    int64_t ids[3] = {7, 0, INT64_MAX}, asked[4] = {INT64_MAX, 8, 7, 0};
    float vectors[3 * D], out[4 * D];
    bool present[4];
    for (uint32_t i = 0; i < 3 * D; i++) vectors[i] = (float)i * 0.37f + 1.0f;
    assert_int_equal(fr_index_create(&options, &index, &err), FR_OK);
    assert_int_equal(fr_index_add(index, ids, vectors, 3, 1, &err), FR_OK);
    memset(out, 0xff, sizeof out);
    assert_int_equal(fr_index_get(index, asked, 4, out, present), FR_OK);
    assert_true(present[0] && !present[1] && present[2] && present[3]);
    for (uint32_t i = 0; i < D; i++) {
        assert_float_equal(out[i], vectors[2 * D + i], 1e-6);
        assert_float_equal(out[D + i], 0, 0);
        assert_float_equal(out[2 * D + i], vectors[i], 1e-6);
    }
    assert_int_equal(fr_index_remove(index, ids, 1, NULL), FR_OK);
    assert_int_equal(fr_index_get(index, asked, 4, NULL, present), FR_OK);
    assert_true(present[0] && !present[1] && !present[2] && present[3]);

    char path[] = "/tmp/fr-alone-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    assert_int_equal(fr_index_save_file(index, path, &err), FR_OK);
    assert_int_equal(fr_index_open_file(path, &again, &err), FR_OK);
    fr_index_settings(again, &found);
    assert_int_equal(found.dimension, D);
    assert_int_equal(found.metric, FR_METRIC_COSINE);
    assert_int_equal(found.ef_construction, 50);
    assert_int_equal(fr_index_get(again, asked, 4, out, present), FR_OK);
    assert_true(present[0] && !present[2]);
    unlink(path);
    fr_index_free(again);
    fr_index_free(index);
}

#define WIDE 2048u
#define WIDE_ROWS 1200u /* 9.8 MB: beyond what stays in memory */

/* An opened index holds what a built one holds: neither the file's image nor the originals on their way to disk. */
static void opening_keeps_nothing(void **state)
{
    (void)state;
    fr_err err;
    fr_index *index = NULL, *again = NULL;
    fr_index_options options = {.dimension = WIDE, .ef_construction = 20};
    int64_t *ids = calloc(WIDE_ROWS, sizeof *ids);
    bool present[2];
    float *vectors = calloc((size_t)WIDE_ROWS * WIDE, sizeof *vectors), *out = calloc(WIDE, 2 * sizeof *out);
    for (uint32_t i = 0; i < WIDE_ROWS * WIDE; i++) vectors[i] = (float)(fr_mix64(i) >> 40) * 0x1p-24f - 0.5f;
    for (uint32_t i = 0; i < WIDE_ROWS; i++) ids[i] = i;
    uint64_t before = fr_mem_used(FR_MEM_VECTORS) + fr_mem_used(FR_MEM_ROWS);
    assert_int_equal(fr_index_create(&options, &index, &err), FR_OK);
    assert_int_equal(fr_index_add(index, ids, vectors, WIDE_ROWS, 1, &err), FR_OK);
    uint64_t built = fr_mem_used(FR_MEM_VECTORS) + fr_mem_used(FR_MEM_ROWS);
    char path[] = "/var/tmp/fr-alone-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    assert_int_equal(fr_index_save_file(index, path, &err), FR_OK);
    assert_int_equal(fr_index_open_file(path, &again, &err), FR_OK);
    uint64_t opened = fr_mem_used(FR_MEM_VECTORS) + fr_mem_used(FR_MEM_ROWS) - built;
    assert_true(opened <= built - before + (1u << 20));
    assert_true(opened < (4u << 20));
    int64_t asked[2] = {WIDE_ROWS - 1, 17};
    assert_int_equal(fr_index_get(again, asked, 2, out, present), FR_OK);
    assert_memory_equal(out, vectors + (size_t)(WIDE_ROWS - 1) * WIDE, WIDE * sizeof *out);
    assert_memory_equal(out + WIDE, vectors + (size_t)17 * WIDE, WIDE * sizeof *out);
    unlink(path);
    fr_index_free(again);
    fr_index_free(index);
    free(ids);
    free(vectors);
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(get_returns_what_was_given), cmocka_unit_test(opening_keeps_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
