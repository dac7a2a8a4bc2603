/* test_column_threads.c: filtered searches while rows are put, replaced and removed, and while columns are built, made anew and
 * given to fields that filters name; made for ThreadSanitizer. Every hit passes its filter, and there are k hits when k rows match. */
#include "tests/unit/index/filter_model.h"

#include <pthread.h>
#include <unistd.h>

#define KEYS 1200u
#define DIMENSION 330u /* 1,200 rows are no small table then: the plans for large ones are taken */
#define EVERY 4u       /* keys divisible by it are never touched: so many always match `always == true` */

typedef struct world {
    fr_table *table;
    uint32_t ops;
    _Atomic uint64_t visible;
    _Atomic bool stop;
    _Atomic uint64_t searches, wrong, short_answers;
} world;

static void put_key(world *w, rng *r, fr_doc_builder *b, uint32_t key, fr_offset offset)
{
    char room[24];
    float vector[DIMENSION];
    fr_put_result result;
    fr_span bytes;
    rng_vector(r, KIND_CLUSTERED, DIMENSION, vector);
    fr_doc_reset(b);
    fr_doc_begin_object(b);
    key_of(b, "always"), fr_doc_put_bool(b, key % EVERY == 0);
    key_of(b, "n"), fr_doc_put_int(b, rng_below(r, 12));
    key_of(b, "mixed"), random_value(r, b);
    fr_doc_end_object(b);
    assert_int_equal(fr_doc_finish(b, &bytes), FR_OK);
    fr_row_data row = {.key = key_span(key, room), .vector = vector, .source_time_ms = FR_TIME_NONE, .offset = offset, .metadata = bytes};
    assert_int_equal(fr_table_put(w->table, &row, (uint64_t)offset + 1, &result, NULL), FR_OK);
    atomic_store(&w->visible, (uint64_t)offset + 1);
}

static void *linker(void *argument)
{
    world *w = argument;
    while (!atomic_load(&w->stop))
        if (!fr_table_link_step(w->table)) usleep(20);
    return NULL;
}

static void *searcher(void *argument)
{
    static const char *const texts[] = {"always == true", "always == true and n < 20", "n < 3", "n in [1, 5, 7] or mixed == 4", "not (mixed >= 3) and n != 2",
                                        "mixed like \"s1%\" or always"};
    world *w = argument;
    fr_scratch *s;
    rng r = {(uint64_t)(uintptr_t)&s};
    float query[DIMENSION];
    assert_int_equal(fr_scratch_create(&s), FR_OK);
    while (!atomic_load(&w->stop)) {
        uint32_t at = rng_below(&r, FR_COUNT_OF(texts)), count = 0;
        fr_row_hit hits[10];
        fr_filter *filter;
        assert_int_equal(fr_filter_compile(fr_span_text(texts[at]), &filter_schema, (fr_span){NULL, 0}, &filter, NULL), FR_OK);
        rng_vector(&r, KIND_CLUSTERED, DIMENSION, query);
        fr_table_enter(w->table, s);
        fr_table_query q = {.vector = query, .k = 10, .ef = 20, .filter = filter, .visible = atomic_load(&w->visible), .plan = rng_below(&r, 5)};
        assert_int_equal(fr_table_search(w->table, s, &q, hits, &count, NULL, NULL), FR_OK);
        if (at < 2 && count < 10) atomic_fetch_add(&w->short_answers, 1);
        for (uint32_t i = 0; i < count; i++)
            if (!truly_passes(w->table, filter, hits[i].row)) atomic_fetch_add(&w->wrong, 1);
        fr_table_leave(w->table, s);
        fr_filter_free(filter);
        atomic_fetch_add(&w->searches, 1);
    }
    fr_scratch_free(s);
    return NULL;
}

static void filters_among_writers(void **state)
{
    (void)state;
    fr_table_options options = {.dimension = DIMENSION, .metric = FR_METRIC_L2, .seed = 3, .m = 6, .ef_construction = 16, .indexed_count = 1, .indexed = {"n"}};
    world *w = fr_zalloc(FR_MEM_TEST, sizeof *w);
    fr_doc_builder b = {0};
    rng r = {99};
    fr_offset offset = 0;
    pthread_t threads[3];
    w->ops = 12000 / LESS;
    assert_int_equal(fr_table_create(&options, &w->table, NULL), FR_OK);
    w->table->cells_from = 500;
    for (uint32_t key = 0; key < KEYS; key++) put_key(w, &r, &b, key, offset++);
    for (uint32_t i = 0; i < 3; i++) pthread_create(&threads[i], NULL, i < 1 ? linker : searcher, w);
    for (uint32_t i = 0; i < w->ops; i++) {
        uint32_t key = rng_below(&r, KEYS);
        bool existed;
        char room[24];
        if (key % EVERY == 0) key++;
        if (rng_below(&r, 3) != 0) {
            put_key(w, &r, &b, key, offset++);
        } else {
            assert_int_equal(fr_table_remove(w->table, key_span(key, room), offset, (uint64_t)offset + 1, &existed), FR_OK);
            atomic_store(&w->visible, (uint64_t)++offset);
        }
        if (i % 8 == 0) fr_table_maintain(w->table, atomic_load(&w->visible));
        fr_table_link_step(w->table);
    }
    for (uint32_t i = 0; i < 5000 && atomic_load(&w->searches) < 100; i++) usleep(1000); /* a busy machine */
    atomic_store(&w->stop, true);
    for (uint32_t i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    assert_int_equal(w->wrong, 0);
    assert_int_equal(w->short_answers, 0);
    assert_true(w->searches > 20);
    while (fr_table_link_step(w->table)) {}
    fr_err err = {0};
    assert_int_equal(fr_table_check(w->table, &err), FR_OK);
    fr_doc_free(&b);
    fr_table_free(w->table);
    fr_free(FR_MEM_TEST, w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(filters_among_writers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
