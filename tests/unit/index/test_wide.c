/* test_wide.c: tables of the largest dimension, 32,768: every kind of code at its extremes (32-bit sums come within 1 % of their
 * bound), f16 and i8 originals, on disk and in memory, linked in bulk and one by one, against the model. */
#include "index/bulk.h"
#include "tests/unit/index/table_model.h"

#define WIDE FR_DIMENSION_MAX
#define ROWS_MAX 272u /* beyond FR_TRAIN_ROWS: the walk has codes */
#define ROWS_BYTES 100u /* native codes need no training */
#define FIRST 24u   /* linked one by one */

typedef enum wide_kind { EXTREME_U8, EXTREME_I8, RANDOM_F32, RANDOM_F16 } wide_kind;

static void wide_vector(wide_kind kind, uint32_t key, float *out)
{
    rng r = {key * 7919 + 3};
    uint32_t corner = key % 40; /* rows that are all low or all high */
    for (uint32_t j = 0; j < WIDE; j++) {
        bool high = corner == 0 ? false : corner == 1 ? true : rng_next(&r) >> 63;
        if (kind == EXTREME_U8) out[j] = high ? 255.0f : 0.0f;
        else if (kind == EXTREME_I8) out[j] = high ? 127.0f : -128.0f;
            else out[j] = rng_float(&r);
    }
    if (kind <= EXTREME_I8) out[key % WIDE] = (float)(key / 40 + 1); /* the corners differ from each other */
    if (kind != RANDOM_F16) return;
    uint16_t *packed = fr_alloc(FR_MEM_TEST, WIDE * sizeof *packed);
    assert_int_equal(fr_vector_pack(FR_TYPE_VECTOR_F16, out, WIDE, packed, NULL, NULL), FR_OK);
    fr_vector_unpack(FR_TYPE_VECTOR_F16, packed, WIDE, out);
    fr_free(FR_MEM_TEST, packed);
}

static void judge(const fr_table *t, fr_scratch *s, const model *m, wide_kind kind, uint32_t rows)
{
    enum { K = 10, QUERIES = 2 };
    uint64_t visible = rows;
    float *vector = fr_alloc(FR_MEM_TEST, WIDE * sizeof *vector);
    uint32_t good = 0;
    fr_table_enter(t, s);
    for (uint32_t row = 0; row < rows; row++) {
        fr_row_view view;
        fr_table_row(t, row, &view);
        assert_true(fr_table_vector(t, row, vector));
        assert_memory_equal(vector, model_vector(m, span_key(view.key)), WIDE * sizeof *vector);
    }
    fr_table_leave(t, s);
    for (uint32_t q = 0; q < QUERIES; q++) {
        wide_vector(kind, 400 + q * 41, vector); /* corners */
        if (q == 1 && kind == RANDOM_F32) vector[0] = -0.0f;
        check_search(t, s, m, vector, K, true, visible);
        good += check_search(t, s, m, vector, K, false, visible);
    }
    if (good < QUERIES * K * 9 / 10) fail_msg("kind %d: %u of %u", (int)kind, good, (unsigned)(QUERIES * K));
    for (uint32_t key = 0; key < rows; key += 67)
        if (fr_table_settings(t)->metric != FR_METRIC_IP) assert_int_equal(check_search(t, s, m, model_vector(m, key), 1, false, visible), 1);
    fr_free(FR_MEM_TEST, vector);
}

static void live(fr_metric metric, wide_kind kind, fr_type type, fr_vectors_at where)
{
    uint32_t rows = kind >= RANDOM_F32 ? ROWS_MAX : ROWS_BYTES;
    model *m = fr_zalloc(FR_MEM_TEST, sizeof *m);
    m->dimension = WIDE;
    m->vectors = fr_alloc(FR_MEM_TEST, (size_t)rows * WIDE * sizeof(float));
    disk_model *disk = disk_create((size_t)rows * WIDE * 12);
    fr_table_options options = {.dimension = WIDE, .metric = metric, .seed = 5, .m = 8, .ef_construction = 24, .type = type, .vectors = where, .store = &disk->store};
    fr_table *t;
    fr_scratch *s;
    fr_err err = {0};
    assert_int_equal(fr_table_create(&options, &t, NULL), FR_OK);
    assert_int_equal(fr_scratch_create(&s), FR_OK);
    t->bulk_min = 48;
    bool bulk = false;
    for (uint32_t key = 0; key < rows; key++) {
        wide_vector(kind, key, model_vector(m, key));
        assert_int_equal(table_put(t, m, key, key, key + 1), FR_OK);
        if (key < FIRST) while (fr_table_link_step(t)) {}
        if (key % 64 == 0) fr_table_maintain(t, key + 1);
    }
    fr_table_maintain(t, rows);
    do bulk |= t->bulk != NULL;
    while (fr_table_link_step(t));
    assert_true(bulk);
    fr_table_maintain(t, rows);
    while (fr_table_link_step(t)) {}
    fr_code code = fr_table_check(t, &err);
    if (code != FR_OK) print_error("%s\n", err.text);
    assert_int_equal(code, FR_OK);
    assert_int_equal(fr_table_unreachable(t), 0);
    judge(t, s, m, kind, rows);
    if (where == FR_VECTORS_DISK && kind >= RANDOM_F32 && metric == FR_METRIC_COSINE) assert_true(disk->writes != 0);
    fr_scratch_free(s);
    fr_table_free(t);
    disk_free(disk);
    fr_free(FR_MEM_TEST, m->vectors);
    fr_free(FR_MEM_TEST, m);
}

static void bytes_l2(void **state) { (void)state; live(FR_METRIC_L2, EXTREME_U8, FR_TYPE_NONE, FR_VECTORS_AUTO); }
static void bytes_inner(void **state) { (void)state; live(FR_METRIC_IP, EXTREME_U8, FR_TYPE_NONE, FR_VECTORS_AUTO); }
static void signed_l2(void **state) { (void)state; live(FR_METRIC_L2, EXTREME_I8, FR_TYPE_VECTOR_I8, FR_VECTORS_AUTO); }
static void floats_inner(void **state) { (void)state; live(FR_METRIC_IP, RANDOM_F32, FR_TYPE_NONE, FR_VECTORS_DISK); }
static void halves_cosine(void **state) { (void)state; live(FR_METRIC_COSINE, RANDOM_F16, FR_TYPE_VECTOR_F16, FR_VECTORS_DISK); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_l2),      cmocka_unit_test(bytes_inner), cmocka_unit_test(signed_l2),
        cmocka_unit_test(floats_inner), cmocka_unit_test(halves_cosine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
