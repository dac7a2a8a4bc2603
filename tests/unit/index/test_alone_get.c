/* fr_index_get and fr_index_settings: what an index alone says about its ids and itself. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(get_returns_what_was_given)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
