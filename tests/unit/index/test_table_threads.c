/* test_table_threads.c: applier, linkers, searchers and a saver at the same time; made for ThreadSanitizer.
 * Checked while it runs: a published row is the first hit of its own vector unless it was replaced since; a search has no key twice and
 * always k hits. Afterwards: invariants, every row reachable, exact answers, and the last save loads to exactly its moment. */
#include "tests/unit/index/table_model.h"

#include <pthread.h>
#include <unistd.h>

#define KEYS 1500u
#define DIMENSION 16u
#define K 10u

typedef struct world {
    fr_table *table;
    uint32_t ops;
    enum vector_kind kind;
    _Atomic uint64_t visible;
    _Atomic bool stop;
    _Atomic uint64_t version[KEYS]; /* seed of the published vector; 0 = removed. Odd steps: being changed */
    _Atomic uint32_t save_state;    /* 0 idle, 1 begun (saver's turn), 2 saved (applier's turn) */
    _Atomic uint64_t searches, misses, short_answers, doubles, links;
} world;

static void vector_of(const world *w, uint64_t seed, float *out)
{
    rng r = {seed};
    rng_vector(&r, w->kind, DIMENSION, out);
}

static void *linker(void *argument)
{
    world *w = argument;
    while (!atomic_load(&w->stop))
        if (fr_table_link_step(w->table)) atomic_fetch_add(&w->links, 1);
        else usleep(20);
    return NULL;
}

static void *searcher(void *argument)
{
    world *w = argument;
    fr_scratch *s;
    rng r = {(uint64_t)(uintptr_t)&s};
    assert_int_equal(fr_scratch_create(&s), FR_OK);
    while (!atomic_load(&w->stop)) {
        uint32_t key = rng_below(&r, KEYS), count = 0;
        uint64_t version = atomic_load(&w->version[key]);
        float query[DIMENSION];
        fr_row_hit hits[K];
        vector_of(w, version != 0 ? version : rng_next(&r), query);
        fr_table_enter(w->table, s);
        fr_table_query q = {.vector = query, .k = K, .visible = atomic_load(&w->visible)};
        if (fr_table_search(w->table, s, &q, hits, &count, NULL, NULL) != FR_OK) atomic_fetch_add(&w->short_answers, 1);
        bool same = version != 0 && atomic_load(&w->version[key]) == version; /* not replaced meanwhile */
        if (same && (count == 0 || hits[0].distance > 1e-5f)) atomic_fetch_add(&w->misses, 1);
        for (uint32_t i = 0; i < count; i++) {
            fr_row_view view;
            fr_table_row(w->table, hits[i].row, &view);
            for (uint32_t j = 0; j < i; j++) {
                fr_row_view other;
                fr_table_row(w->table, hits[j].row, &other);
                if (fr_span_equal(view.key, other.key)) atomic_fetch_add(&w->doubles, 1);
            }
        }
        fr_table_leave(w->table, s);
        atomic_fetch_add(&w->searches, 1);
    }
    fr_scratch_free(s);
    return NULL;
}

static fr_code count_chunk(fr_sink *sink, uint64_t id, const void *data, size_t size, fr_err *err)
{
    (void)id, (void)err;
    uint64_t *sum = sink->user;
    *sum += fr_simd_crc32c(0, data, size);
    return FR_OK;
}

static fr_code count_keep(fr_sink *sink, uint64_t id, fr_err *err)
{
    (void)sink, (void)id, (void)err;
    return FR_OK;
}

static void *saver(void *argument)
{
    world *w = argument;
    uint64_t sum = 0;
    fr_sink sink = {.chunk = count_chunk, .keep = count_keep, .user = &sum};
    while (!atomic_load(&w->stop)) {
        if (atomic_load(&w->save_state) != 1) {
            usleep(50);
            continue;
        }
        assert_int_equal(fr_table_save(w->table, &sink, NULL), FR_OK);
        atomic_store(&w->save_state, 2);
    }
    return NULL;
}

static void applier(world *w)
{
    rng r = {99};
    fr_offset offset = 0;
    uint64_t commit = 0;
    for (uint32_t i = 0; i < w->ops; i++) {
        uint32_t key = rng_below(&r, KEYS);
        char room[24];
        fr_span name = key_span(key, room);
        if (rng_below(&r, 5) == 0) {
            bool existed;
            atomic_store(&w->version[key], 0);
            assert_int_equal(fr_table_remove(w->table, name, offset++, ++commit, &existed), FR_OK);
            atomic_store(&w->visible, commit);
        } else {
            uint64_t seed = rng_next(&r) | 1;
            float vector[DIMENSION];
            fr_put_result result;
            vector_of(w, seed, vector);
            atomic_store(&w->version[key], 0);
            fr_row_data row = {.key = name, .vector = vector, .source_time_ms = FR_TIME_NONE, .offset = offset++};
            assert_int_equal(fr_table_put(w->table, &row, ++commit, &result, NULL), FR_OK);
            atomic_store(&w->visible, commit);
            atomic_store(&w->version[key], seed);
        }
        if (i % 32 == 0) fr_table_maintain(w->table, commit);
        if (i % 500 == 100 && atomic_load(&w->save_state) == 0) {
            assert_int_equal(fr_table_save_begin(w->table, offset - 1, i % 1000 == 100, NULL), FR_OK);
            atomic_store(&w->save_state, 1);
        }
        if (atomic_load(&w->save_state) == 2) {
            fr_table_save_end(w->table, true);
            atomic_store(&w->save_state, 0);
        }
        if (fr_table_link_step(w->table)) fr_table_link_step(w->table);
    }
    while (atomic_load(&w->save_state) == 1) usleep(100);
    if (atomic_load(&w->save_state) == 2) fr_table_save_end(w->table, true);
}

static void together_on(disk_model *disk, enum vector_kind kind, fr_metric metric, fr_codes codes, uint32_t ops)
{
    fr_table_options options = {.dimension = DIMENSION, .metric = metric, .codes = codes, .seed = 3, .store = disk != NULL ? &disk->store : NULL,
                                .spill_from = 1};
    world *w = fr_zalloc(FR_MEM_TEST, sizeof *w);
    pthread_t threads[5];
    w->ops = ops / LESS;
    w->kind = kind;
    assert_int_equal(fr_table_create(&options, &w->table, NULL), FR_OK);
    if (disk != NULL) w->table->vectors.chunk_log2 = 5; /* many small chunks: many move */
    for (uint32_t i = 0; i < 5; i++) pthread_create(&threads[i], NULL, i < 2 ? linker : i < 4 ? searcher : saver, w);
    applier(w);
    atomic_store(&w->stop, true);
    for (uint32_t i = 0; i < 5; i++) pthread_join(threads[i], NULL);
    if (w->misses != 0) print_error("%lu misses of %lu searches\n", (unsigned long)w->misses, (unsigned long)w->searches);
    assert_int_equal(w->misses, 0);
    assert_int_equal(w->short_answers, 0);
    assert_int_equal(w->doubles, 0);
    assert_true(w->searches > 20);
    while (fr_table_link_step(w->table)) {}
    fr_err err = {0};
    fr_code code = fr_table_check(w->table, &err);
    if (code != FR_OK) print_error("%s\n", err.text);
    assert_int_equal(code, FR_OK);
    assert_int_equal(fr_table_unreachable(w->table), 0);
    fr_table_free(w->table);
    fr_free(FR_MEM_TEST, w);
}

static void together(enum vector_kind kind, fr_metric metric, fr_codes codes, uint32_t ops) { together_on(NULL, kind, metric, codes, ops); }

static void disk_together(void **state)
{
    (void)state;
    disk_model *disk = disk_create((size_t)64 << 20);
    together_on(disk, KIND_F32, FR_METRIC_L2, FR_CODES_SQ8, 12000);
    assert_true(disk->writes > 0 && disk->reads > 0);
    disk_free(disk);
}

static void floats_together(void **state) { (void)state; together(KIND_F32, FR_METRIC_L2, FR_CODES_SQ8, 12000); }
static void bytes_together(void **state) { (void)state; together(KIND_U8, FR_METRIC_L2, FR_CODES_SQ8, 8000); }
static void clusters_together(void **state) { (void)state; together(KIND_CLUSTERED, FR_METRIC_COSINE, FR_CODES_SQ8, 6000); }
static void no_codes_together(void **state) { (void)state; together(KIND_F32, FR_METRIC_L2, FR_CODES_NONE, 6000); }

/* Part 2 of freshet.h: many threads add, then search, then a file round trip. */
static void index_alone(void **state)
{
    (void)state;
    enum { ROWS = LESS > 1 ? 2500 : 6000, D = 24 };
    rng r = {8};
    float *vectors = fr_alloc(FR_MEM_TEST, sizeof(float) * ROWS * D);
    int64_t *ids = fr_alloc(FR_MEM_TEST, sizeof(int64_t) * ROWS), *found = fr_alloc(FR_MEM_TEST, sizeof(int64_t) * ROWS);
    float *distances = fr_alloc(FR_MEM_TEST, sizeof(float) * ROWS);
    for (uint32_t i = 0; i < ROWS; i++) {
        ids[i] = (int64_t)i - 3000; /* negative ids too */
        rng_vector(&r, KIND_F32, D, vectors + (size_t)i * D);
    }
    fr_index_options options = {.dimension = D, .metric = FR_METRIC_L2};
    fr_index *index, *again;
    fr_err err = {0};
    uint64_t removed;
    assert_int_equal(fr_index_create(&options, &index, &err), FR_OK);
    assert_int_equal(fr_index_add(index, ids, vectors, ROWS, 3, &err), FR_OK);
    assert_int_equal(fr_index_size(index), ROWS);
    assert_int_equal(fr_index_search_many(index, vectors, ROWS, 1, 0, 2, found, distances, &err), FR_OK);
    for (uint32_t i = 0; i < ROWS; i++) assert_int_equal(found[i], ids[i]);
    assert_int_equal(fr_index_add(index, ids, vectors, 100, 2, &err), FR_OK); /* replaced, not doubled */
    assert_int_equal(fr_index_size(index), ROWS);
    assert_int_equal(fr_index_remove(index, ids, 1000, &removed), FR_OK);
    assert_int_equal(removed, 1000);
    char path[] = "/tmp/freshet_index_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(fr_index_save_file(index, path, &err), FR_OK);
    assert_int_equal(fr_index_open_file(path, &again, &err), FR_OK);
    assert_int_equal(fr_index_size(again), ROWS - 1000);
    assert_int_equal(fr_index_search_many(again, vectors, ROWS, 1, 0, 2, found, distances, &err), FR_OK);
    for (uint32_t i = 1000; i < ROWS; i++) assert_int_equal(found[i], ids[i]);
    for (uint32_t i = 0; i < 1000; i++) assert_true(found[i] >= -2000);
    vectors[5] = NAN;
    assert_int_equal(fr_index_add(index, ids, vectors, 1, 1, &err), FR_ERR_INVALID);
    unlink(path);
    assert_int_equal(fr_index_open_file(path, &again, &err), FR_ERR_NOT_FOUND);
    fr_index_free(again);
    fr_index_free(index);
    fr_index_free(NULL);
    fr_free(FR_MEM_TEST, vectors);
    fr_free(FR_MEM_TEST, ids);
    fr_free(FR_MEM_TEST, found);
    fr_free(FR_MEM_TEST, distances);
}

int main(int argc, char **argv)
{
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {cmocka_unit_test(floats_together), cmocka_unit_test(bytes_together), cmocka_unit_test(clusters_together),
                                       cmocka_unit_test(no_codes_together), cmocka_unit_test(disk_together), cmocka_unit_test(index_alone)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
