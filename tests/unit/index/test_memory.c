/* test_memory: what a table holds and gives back: constants that are computed, pages that were not written, the key map, the heap, the
 * ring, the slots of dead rows. */
#include "tests/unit/index/table_store.h"

#include "index/alone_private.h"
#include "index/persist.h"
#include "index/table_private.h"

#define D 128u

static fr_table *table_of(model *m, uint32_t rows, fr_metric metric, enum vector_kind kind)
{
    fr_table_options options = {.dimension = m->dimension, .metric = metric, .m = 8, .ef_construction = 40, .seed = 5};
    fr_table *t;
    rng r = {11};
    assert_int_equal(fr_table_create(&options, &t, NULL), FR_OK);
    for (uint32_t key = 0; key < rows; key++) {
        rng_vector(&r, kind, m->dimension, model_vector(m, key));
        assert_int_equal(table_put(t, m, key, key, key + 1), FR_OK);
        if (key == 300) fr_table_maintain(t, key + 1); /* codes are trained */
    }
    while (fr_table_link_step(t)) {}
    return t;
}

/* A processor that computes constants keeps none, and its images have what one that reads them needs. */
static void constants_on_every_processor(void **state)
{
    (void)state;
    enum { ROWS = 1000 };
    static const struct { fr_metric metric; enum vector_kind kind; } cases[] = {{FR_METRIC_L2, KIND_U8}, {FR_METRIC_COSINE, KIND_F32}};
    const char *tiers[8];
    uint32_t count = fr_simd_tiers(tiers, 8);
    for (uint32_t c = 0; c < FR_COUNT_OF(cases); c++) {
        memory_store *stores = fr_zalloc(FR_MEM_TEST, count * sizeof *stores);
        fr_table_options options = {.dimension = D, .metric = cases[c].metric, .m = 8, .ef_construction = 40, .seed = 5};
        for (uint32_t tier = 0; tier < count; tier++) {
            assert_true(fr_simd_force(tiers[tier]));
            model *m = model_create(D);
            fr_table *t = table_of(m, ROWS, cases[c].metric, cases[c].kind);
            const fr_codeset *codes = fr_codes_of(t);
            assert_int_equal(fr_extents_bytes(&codes->cst, ROWS) == 0, fr_codeset_computes(codes));
            for (uint32_t row = 0; row < ROWS; row++)
                assert_int_equal(fr_codeset_constant(codes, row), fr_codeset_constant_of(codes, fr_extent_at(&codes->code, row)));
            assert_int_equal(save_table(t, &stores[tier], ROWS - 1, true), FR_OK);
            fr_table_free(t);
            model_free(m);
            uint32_t i = store_find(&stores[tier], fr_chunk_id(FR_CHUNK_CST, 0)), j = store_find(&stores[0], fr_chunk_id(FR_CHUNK_CST, 0));
            assert_int_equal(stores[tier].chunks[i].size, ROWS * sizeof(int32_t));
            assert_memory_equal(stores[tier].chunks[i].data, stores[0].chunks[j].data, ROWS * sizeof(int32_t));
        }
        for (uint32_t tier = 0; tier < count; tier++) {
            assert_true(fr_simd_force(tiers[tier]));
            fr_table *t = load_table(&options, &stores[count - 1 - tier], ROWS - 1);
            fr_err err = {0};
            while (fr_table_settle_step(t)) {}
            assert_int_equal(fr_table_check(t, &err), FR_OK);
            fr_table_free(t);
        }
        for (uint32_t tier = 0; tier < count; tier++) store_clear(&stores[tier]);
        fr_free(FR_MEM_TEST, stores);
    }
    assert_true(fr_simd_force(tiers[count - 1]));
}

/* One row more than an extent holds is not an extent more. */
static void pages_not_written_do_not_count(void **state)
{
    (void)state;
    enum { ROWS = 4096 };
    model *m = model_create(16);
    fr_table *t = table_of(m, ROWS, FR_METRIC_L2, KIND_U8);
    fr_table_stats before, after;
    rng r = {3};
    fr_table_stats_get(t, &before);
    rng_vector(&r, KIND_U8, 16, model_vector(m, ROWS));
    assert_int_equal(table_put(t, m, ROWS, ROWS, ROWS + 1), FR_OK);
    fr_table_stats_get(t, &after);
    assert_true(after.bytes >= before.bytes && after.bytes < before.bytes + before.bytes / 8);
    fr_table_free(t);
    model_free(m);
}

static bool same_key(const void *keys, uint32_t row, fr_span key) { return ((const uint64_t *)keys)[row] == fr_load_le64(key.data); }

static void key_map_is_dense(void **state)
{
    (void)state;
    enum { KEYS = 150000 };
    fr_keymap map;
    fr_retired retired = {0};
    uint64_t *keys = fr_alloc(FR_MEM_TEST, KEYS * sizeof *keys);
    fr_keymap_init(&map, 7);
    for (uint32_t i = 0; i < KEYS; i++) {
        keys[i] = fr_mix64(i);
        assert_int_equal(fr_keymap_find(&map, fr_span_of(&keys[i], 8), same_key, keys), FR_KEYMAP_NONE);
        assert_true(fr_keymap_reserve(&map, &retired));
        fr_keymap_set(&map, fr_span_of(&keys[i], 8), i, same_key, keys);
        if (i % 1000 == 0) fr_retired_free(&retired, false);
        if (i > 5000) assert_true(fr_keymap_bytes(&map) <= 14 * (uint64_t)i + 4096);
    }
    for (uint32_t i = 0; i < KEYS; i += 3) fr_keymap_remove(&map, fr_span_of(&keys[i], 8), i);
    for (uint32_t i = 0; i < KEYS; i += 6) { /* removed ones make no room by themselves: it is copied without them */
        assert_true(fr_keymap_reserve(&map, &retired));
        fr_keymap_set(&map, fr_span_of(&keys[i], 8), i, same_key, keys);
    }
    for (uint32_t i = 0; i < KEYS; i++)
        assert_int_equal(fr_keymap_find(&map, fr_span_of(&keys[i], 8), same_key, keys), i % 3 == 0 && i % 6 != 0 ? FR_KEYMAP_NONE : i);
    fr_keymap_free(&map);
    fr_retired_free(&retired, true);
    fr_free(FR_MEM_TEST, keys);
}

/* However many rows came and went, segments stay in proportion to what lives. */
static void heap_stays_small(void **state)
{
    (void)state;
    enum { LIVE = 3000, SIZE = 100 };
    fr_heap heap;
    fr_retired retired = {0};
    uint64_t refs[LIVE];
    fr_heap_init(&heap);
    for (uint32_t i = 0; i < 300 * LIVE; i++) {
        if (i >= LIVE) fr_heap_drop(&heap, refs[i % LIVE], SIZE, &retired);
        assert_non_null(fr_heap_alloc(&heap, SIZE, &refs[i % LIVE]));
        if (i % 1000 == 0) fr_retired_free(&retired, false);
    }
    assert_true(heap.bytes <= 3u * LIVE * SIZE);
    fr_heap_free(&heap);
    fr_retired_free(&retired, true);
}

static void ring_is_given_back(void **state)
{
    (void)state;
    enum { ROWS = 5000 };
    model *m = model_create(4);
    fr_table *t = table_of(m, ROWS, FR_METRIC_L2, KIND_U8);
    assert_true(atomic_load(&t->ring)->mask >= ROWS);
    fr_table_maintain(t, ROWS);
    assert_int_equal(atomic_load(&t->ring)->mask, 63);
    for (uint32_t key = 0; key < 300; key++) assert_int_equal(table_put(t, m, key, ROWS + key, ROWS + key + 1), FR_OK);
    while (fr_table_link_step(t)) {}
    fr_err err = {0};
    assert_int_equal(fr_table_check(t, &err), FR_OK);
    fr_table_free(t);
    model_free(m);
}

/* Rows replaced a piece at a time: the slots of one piece serve the next. */
static void slots_come_back(void **state)
{
    (void)state;
    enum { ROWS = 3000, PIECE = 300 };
    fr_index_options options = {.dimension = 8, .metric = FR_METRIC_L2, .ef_construction = 40};
    fr_index *index;
    fr_err err;
    fr_table_stats stats;
    int64_t ids[ROWS];
    float *vectors = fr_alloc(FR_MEM_TEST, ROWS * 8 * sizeof *vectors);
    rng r = {3};
    for (uint32_t i = 0; i < ROWS; i++) ids[i] = i, rng_vector(&r, KIND_F32, 8, vectors + 8 * i);
    assert_int_equal(fr_index_create(&options, &index, &err), FR_OK);
    assert_int_equal(fr_index_add(index, ids, vectors, ROWS, 1, &err), FR_OK);
    for (uint32_t round = 0; round < 12; round++) {
        uint32_t from = round * PIECE % ROWS, of = (round + 1) * PIECE % ROWS;
        assert_int_equal(fr_index_add(index, ids + from, vectors + 8 * of, PIECE, 1 + round % 2, &err), FR_OK);
        fr_table_stats_get(index->table, &stats);
        assert_true(stats.dead <= stats.rows / 64);
        assert_true(stats.rows <= ROWS + PIECE + 2 * ROWS / 64);
    }
    fr_index_free(index);
    fr_free(FR_MEM_TEST, vectors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constants_on_every_processor), cmocka_unit_test(pages_not_written_do_not_count), cmocka_unit_test(key_map_is_dense),
        cmocka_unit_test(heap_stays_small), cmocka_unit_test(ring_is_given_back), cmocka_unit_test(slots_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
