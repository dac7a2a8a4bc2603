/* test_table.c: the row table against a model: puts, replaces, removes, searches, saves and loads, for every kind of
 * vector. */
#include "tests/unit/index/table_model.h"
#include "tests/unit/index/table_store.h"

static void link_all(fr_table *t)
{
    while (fr_table_link_step(t)) {}
}

static void check_table(const fr_table *t)
{
    fr_err err = {0};
    fr_code code = fr_table_check(t, &err);
    if (code != FR_OK) print_error("%s\n", err.text);
    assert_int_equal(code, FR_OK);
}

/* A long random life; at every pause: invariants, exact answers, recall of the walk, and the same after save and load.
 */
static void live_as(fr_table_options options, enum vector_kind kind, uint32_t ops)
{
    fr_metric metric = options.metric;
    uint32_t dimension = options.dimension;
    uint64_t seed = options.seed;
    rng r = {seed};
    model *m = model_create(dimension);
    memory_store *store = fr_zalloc(FR_MEM_TEST, sizeof *store);
    fr_table *t;
    fr_scratch *s;
    assert_int_equal(fr_table_create(&options, &t, NULL), FR_OK);
    assert_int_equal(fr_scratch_create(&s), FR_OK);
    fr_offset offset = 0;
    uint64_t commit = 0, good = 0, asked = 0;
    ops /= LESS;
    uint32_t keys = ops / 4 + 10;
    float query[512];
    for (uint32_t i = 0; i < ops; i++) {
        uint32_t key = rng_below(&r, keys);
        if (rng_below(&r, 4) == 0) {
            table_remove(t, m, key, offset++, ++commit);
        } else {
            enum vector_kind now =
                kind == KIND_U8 && i > ops * 3 / 4 ? KIND_F32 : kind; /* leaves the native codes late */
            rng_vector(&r, now, dimension, model_vector(m, key));
            for (uint32_t j = 0; now != kind && j < dimension; j++) model_vector(m, key)[j] *= 100.0f;
            assert_int_equal(table_put(t, m, key, offset++, ++commit), FR_OK);
        }
        for (uint32_t steps = rng_below(&r, 4); steps > 0; steps--) fr_table_link_step(t);
        if (i % 64 == 0) fr_table_maintain(t, commit);
        if (i % (ops / 8) != 0) continue;
        check_table(t);
        for (uint32_t q = 0; q < 10; q++) {
            rng_vector(&r, kind, dimension, query);
            if (m->live_count == 0) continue;
            check_search(t, s, m, query, 10, true, commit);
            good += check_search(t, s, m, query, 10, false, commit);
            asked += FR_MIN(10u, m->live_count);
        }
        assert_int_equal(save_table(t, store, offset - 1, rng_below(&r, 4) == 0), FR_OK);
        if (rng_below(&r, 2) == 0) { /* a restart */
            fr_table_free(t);
            t = load_table(&options, store, offset - 1);
            commit = 0;
            check_table(t);
        }
    }
    link_all(t);
    fr_table_maintain(t, commit);
    check_table(t);
    assert_int_equal(fr_table_unreachable(t), 0);
    uint32_t missed = 0, probes = 0;
    for (uint32_t key = 0; key < keys; key++) { /* each is the first hit of its own vector */
        if (!m->live[key] || key % 7 != 0) continue;
        fr_row_hit hit;
        uint32_t count;
        fr_table_query q = {.vector = model_vector(m, key), .k = 1, .visible = commit};
        fr_table_enter(t, s);
        assert_int_equal(fr_table_search(t, s, &q, &hit, &count, NULL, NULL), FR_OK);
        assert_int_equal(count, 1);
        missed += metric != FR_METRIC_IP && hit.distance > 1e-4f;
        probes++;
        fr_table_leave(t, s);
    }
    if (missed != 0) print_error("%u of %u not the first hit of their own vector\n", missed, probes);
    assert_int_equal(missed, 0);
    if (metric != FR_METRIC_IP && good * 100 < asked * 97) print_error("recall %.4f\n", (double)good / (double)asked);
    if (metric != FR_METRIC_IP) assert_true(good * 100 >= asked * 97);
    store_clear(store);
    fr_free(FR_MEM_TEST, store);
    fr_scratch_free(s);
    fr_table_free(t);
    model_free(m);
}

static void live_through(fr_metric metric, fr_codes codes, enum vector_kind kind, uint32_t dimension, uint32_t ops,
                         uint64_t seed)
{
    live_as((fr_table_options){.dimension = dimension, .metric = metric, .codes = codes, .seed = seed}, kind, ops);
}

/* The same with originals on disk from the first full chunk on. */
static void live_on_disk(fr_metric metric, fr_profile profile, enum vector_kind kind, uint64_t seed)
{
    disk_model *disk = disk_create((size_t)256 << 20);
    live_as((fr_table_options){.dimension = 300, .metric = metric, .profile = profile, .vectors = FR_VECTORS_DISK,
                               .store = &disk->store, .spill_from = 1, .seed = seed}, kind, 6000);
    assert_true(disk->writes > 0 && disk->reads > 0);
    disk_free(disk);
}
static void life_disk_l2(void **state) { (void)state; live_on_disk(FR_METRIC_L2, FR_PROFILE_BALANCED, KIND_F32, 11); }
static void life_disk_ip(void **state) { (void)state; live_on_disk(FR_METRIC_IP, FR_PROFILE_BALANCED, KIND_F32, 12); }
static void life_disk_cosine(void **state) { (void)state; live_on_disk(FR_METRIC_COSINE, FR_PROFILE_COMPACT, KIND_CLUSTERED, 13); }
static void life_disk_late(void **state) { (void)state; live_on_disk(FR_METRIC_L2, FR_PROFILE_SPEED, KIND_U8, 14); }

static uint64_t vectors_differ(const fr_table *t, const model *m, uint32_t keys)
{
    uint64_t differ = 0;
    float out[300];
    for (uint32_t key = 0; key < keys; key++) {
        char room[24];
        uint32_t row = fr_table_find(t, key_span(key, room), FR_VISIBLE_ALL);
        if (row == FR_ROW_NONE) continue;
        assert_true(fr_table_vector(t, row, out));
        differ += memcmp(out, model_vector(m, key), m->dimension * sizeof(float)) != 0;
    }
    return differ;
}

/* Bit for bit what was given, wherever it lies; a full disk keeps rows in memory; a failed read fails the search, no more. */
static void disk_keeps_vectors(void **state)
{
    (void)state;
    disk_model *disk = disk_create((size_t)64 << 20);
    model *m = model_create(300);
    fr_table_options options = {.dimension = 300, .metric = FR_METRIC_COSINE, .store = &disk->store, .spill_from = 1, .seed = 5};
    fr_table *t;
    fr_scratch *s;
    fr_table_stats stats;
    rng r = {99};
    assert_int_equal(fr_table_create(&options, &t, NULL), FR_OK);
    assert_int_equal(fr_scratch_create(&s), FR_OK);
    uint64_t commit = 0;
    uint32_t keys = 600;
    for (uint32_t i = 0; i < 3 * keys; i++) { /* whole numbers (u8), short fractions (bf16), anything: chunks get wider */
        uint32_t key = i < keys ? i : rng_below(&r, keys);
        float *v = model_vector(m, key);
        rng_vector(&r, i % 512 < 300 ? KIND_U8 : KIND_F32, 300, v);
        for (uint32_t j = 0; i % 512 >= 200 && i % 512 < 300 && j < 300; j++) v[j] = v[j] / 256 + 0.5f;
        disk->writes_fail = i > 2 * keys && i < 2 * keys + 500;
        assert_int_equal(table_put(t, m, key, (fr_offset)i, ++commit), FR_OK);
        while (fr_table_link_step(t)) {}
        if (i % 64 == 0) fr_table_maintain(t, commit);
    }
    fr_table_stats_get(t, &stats);
    assert_true(stats.bytes_on_disk > 0);
    assert_int_equal(vectors_differ(t, m, keys), 0);
    memory_store *store = fr_zalloc(FR_MEM_TEST, sizeof *store);
    assert_int_equal(save_table(t, store, (fr_offset)(3 * keys - 1), true), FR_OK);
    fr_table *again = load_table(&options, store, (fr_offset)(3 * keys - 1));
    fr_table_stats_get(again, &stats);
    assert_true(stats.bytes_on_disk > 0);
    assert_int_equal(vectors_differ(again, m, keys), 0);
    fr_table_query q = {.vector = model_vector(m, 7), .k = 5, .visible = FR_VISIBLE_ALL};
    fr_row_hit hits[5];
    uint32_t count;
    for (uint32_t fail = 0; fail < 3; fail++) {
        disk->reads_fail = fail == 1;
        for (uint32_t exact = 0; exact < 2; exact++) {
            q.exact = exact != 0;
            fr_table_enter(again, s);
            assert_int_equal(fr_table_search(again, s, &q, hits, &count, NULL, NULL), fail == 1 ? FR_ERR_IO : FR_OK);
            fr_table_leave(again, s);
        }
    }
    store_clear(store);
    fr_free(FR_MEM_TEST, store);
    fr_table_free(again);
    fr_table_free(t);
    fr_scratch_free(s);
    model_free(m);
    disk_free(disk);
}

/* New rows stay in memory while the disk is full, and it is asked again now and then, not at every row. */
static void a_full_disk_is_left_alone(void **state)
{
    (void)state;
    disk_model *disk = disk_create((size_t)64 << 20);
    model *m = model_create(300);
    fr_table_options options = {.dimension = 300, .metric = FR_METRIC_L2, .store = &disk->store, .spill_from = 1, .seed = 6};
    fr_table *t;
    fr_table_stats stats;
    rng r = {5};
    assert_int_equal(fr_table_create(&options, &t, NULL), FR_OK);
    for (uint32_t key = 0; key < 4000; key++) {
        rng_vector(&r, KIND_F32, 300, model_vector(m, key));
        if (key == 600) {
            disk->writes_fail = true;
            disk->writes = 0;
        }
        if (key == 1700) assert_true(disk->writes >= 1 && disk->writes <= 24);
        if (key == 1700) disk->writes_fail = false;
        assert_int_equal(table_put(t, m, key, key, key + 1), FR_OK);
        if (key % 64 == 0) fr_table_maintain(t, key + 1);
    }
    fr_table_stats_get(t, &stats);
    assert_true(stats.bytes_on_disk > 3000 * 1200); /* all but the newest went there afterwards */
    assert_int_equal(vectors_differ(t, m, 4000), 0);
    fr_table_free(t);
    model_free(m);
    disk_free(disk);
}

/* What a recode without memory left behind is no part of an incremental save: the codes still are the originals. */
static void a_recode_without_memory_leaves_saves_alone(void **state)
{
    (void)state;
    model *m = model_create(8);
    memory_store *store = fr_zalloc(FR_MEM_TEST, sizeof *store);
    fr_table_options options = {.dimension = 8, .metric = FR_METRIC_L2, .seed = 6, .m = 4, .ef_construction = 8};
    fr_table *t;
    rng r = {5};
    assert_int_equal(fr_table_create(&options, &t, NULL), FR_OK);
    for (uint32_t key = 0; key < 5000; key++) {
        rng_vector(&r, KIND_U8, 8, model_vector(m, key));
        assert_int_equal(table_put(t, m, key, key, key + 1), FR_OK);
    }
    assert_int_equal(save_table(t, store, 4999, true), FR_OK);
    rng_vector(&r, KIND_F32, 8, model_vector(m, 5000));
    uint32_t failures = 0;
    for (uint64_t n = 1;; n++) {
        fr_mem_fail_at(n);
        fr_code code = table_put(t, m, 5000, 5000, 5001);
        fr_mem_fail_at(0);
        if (code == FR_OK) break;
        assert_int_equal(code, FR_ERR_NO_MEMORY);
        assert_int_equal(save_table(t, store, 4999, false), FR_OK);
        failures++;
    }
    assert_true(failures > 5);
    assert_int_equal(save_table(t, store, 5000, false), FR_OK);
    fr_table *again = load_table(&options, store, 5000);
    assert_int_equal(vectors_differ(again, m, 5001), 0);
    fr_table_free(again);
    fr_table_free(t);
    store_clear(store);
    fr_free(FR_MEM_TEST, store);
    model_free(m);
}

static void life_f32_l2(void **state)
{
    (void)state;
    live_through(FR_METRIC_L2, FR_CODES_SQ8, KIND_F32, 24, 16000, 1);
}
static void life_u8_l2(void **state)
{
    (void)state;
    live_through(FR_METRIC_L2, FR_CODES_SQ8, KIND_U8, 20, 12000, 2);
}
static void life_i8_l2(void **state)
{
    (void)state;
    live_through(FR_METRIC_L2, FR_CODES_SQ8, KIND_I8, 33, 8000, 3);
}
static void life_ip(void **state)
{
    (void)state;
    live_through(FR_METRIC_IP, FR_CODES_SQ8, KIND_F32, 16, 8000, 4);
}
static void life_u8_ip(void **state)
{
    (void)state;
    live_through(FR_METRIC_IP, FR_CODES_SQ8, KIND_U8, 16, 4000, 5);
}
static void life_cosine(void **state)
{
    (void)state;
    live_through(FR_METRIC_COSINE, FR_CODES_SQ8, KIND_CLUSTERED, 48, 12000, 6);
}
static void life_no_codes(void **state)
{
    (void)state;
    live_through(FR_METRIC_L2, FR_CODES_NONE, KIND_F32, 12, 6000, 7);
}
static void life_one_dimension(void **state)
{
    (void)state;
    live_through(FR_METRIC_L2, FR_CODES_SQ8, KIND_F32, 1, 2000, 8);
}

/* Thousands of equal vectors: none may get lost. */
static void duplicates(void **state)
{
    (void)state;
    fr_table_options options = {.dimension = 100, .metric = FR_METRIC_L2, .seed = 9};
    model *m = model_create(100);
    fr_table *t;
    fr_scratch *s;
    assert_int_equal(fr_table_create(&options, &t, NULL), FR_OK);
    assert_int_equal(fr_scratch_create(&s), FR_OK);
    for (uint32_t key = 0; key < 4000; key++) {
        for (uint32_t j = 0; j < 100; j++)
            model_vector(m, key)[j] = key % 3 == 0 ? 1.5f : (float)(key % 17) + 0.25f * (float)j;
        assert_int_equal(table_put(t, m, key, key, key + 1), FR_OK);
    }
    link_all(t);
    check_table(t);
    assert_int_equal(fr_table_unreachable(t), 0);
    float query[100];
    for (uint32_t j = 0; j < 100; j++) query[j] = 1.5f;
    assert_int_equal(check_search(t, s, m, query, 100, false, 4000), 100);
    fr_scratch_free(s);
    fr_table_free(t);
    model_free(m);
}

/* A search sees exactly the rows of its commit number. */
static void visibility(void **state)
{
    (void)state;
    fr_table_options options = {.dimension = 4, .metric = FR_METRIC_L2, .seed = 1};
    model *m = model_create(4);
    fr_table *t;
    assert_int_equal(fr_table_create(&options, &t, NULL), FR_OK);
    for (uint32_t i = 0; i < 4; i++) model_vector(m, 5)[i] = 1;
    table_put(t, m, 5, 0, 1);
    for (uint32_t i = 0; i < 4; i++) model_vector(m, 5)[i] = 2;
    table_put(t, m, 5, 1, 2);
    table_remove(t, m, 5, 2, 3);
    char room[24];
    fr_span key = key_span(5, room);
    float out[4];
    assert_int_equal(fr_table_find(t, key, 0), FR_ROW_NONE);
    fr_table_vector(t, fr_table_find(t, key, 1), out);
    assert_true(out[0] == 1.0f);
    fr_table_vector(t, fr_table_find(t, key, 2), out);
    assert_true(out[0] == 2.0f);
    assert_int_equal(fr_table_find(t, key, 3), FR_ROW_NONE);
    assert_int_equal(fr_table_offset_of(t, key), -1);
    fr_table_free(t);
    model_free(m);
}

/* An older offset does nothing; with the stale rule an older source time does nothing. */
static void stale_puts(void **state)
{
    (void)state;
    fr_table_options options = {.dimension = 1, .metric = FR_METRIC_L2, .seed = 1, .drop_stale = true};
    fr_table *t;
    float v = 1;
    fr_put_result result;
    assert_int_equal(fr_table_create(&options, &t, NULL), FR_OK);
    fr_row_data row = {.key = fr_span_text("a"), .vector = &v, .source_time_ms = 100, .offset = 10};
    assert_int_equal(fr_table_put(t, &row, 1, &result, NULL), FR_OK);
    assert_int_equal(result, FR_PUT_NEW);
    row.offset = 9;
    assert_int_equal(fr_table_put(t, &row, 2, &result, NULL), FR_OK);
    assert_int_equal(result, FR_PUT_STALE);
    row.offset = 11, row.source_time_ms = 99;
    assert_int_equal(fr_table_put(t, &row, 3, &result, NULL), FR_OK);
    assert_int_equal(result, FR_PUT_STALE);
    row.offset = 12, row.source_time_ms = 100;
    assert_int_equal(fr_table_put(t, &row, 4, &result, NULL), FR_OK);
    assert_int_equal(result, FR_PUT_REPLACED);
    row.offset = 13, row.source_time_ms = FR_TIME_NONE;
    assert_int_equal(fr_table_put(t, &row, 5, &result, NULL), FR_OK);
    assert_int_equal(result, FR_PUT_REPLACED);
    fr_table_free(t);
}

/* Slots and memory are reused: churn does not grow the table. */
static void churn_is_flat(void **state)
{
    (void)state;
    fr_table_options options = {.dimension = 16, .metric = FR_METRIC_L2, .seed = 1};
    model *m = model_create(16);
    fr_table *t;
    rng r = {5};
    assert_int_equal(fr_table_create(&options, &t, NULL), FR_OK);
    fr_offset offset = 0;
    for (uint32_t round = 0; round < 8 / (LESS > 1 ? 2 : 1); round++)
        for (uint32_t key = 0; key < 2000; key++) {
            rng_vector(&r, KIND_F32, 16, model_vector(m, key));
            table_put(t, m, key, offset, (uint64_t)offset + 1);
            offset++;
            fr_table_link_step(t); /* never idle: one row to link, one to repair, all the time */
            fr_table_link_step(t);
            fr_table_maintain(t, (uint64_t)offset);
        }
    fr_table_stats stats;
    fr_table_stats_get(t, &stats);
    assert_int_equal(stats.live, 2000);
    if (stats.rows >= 3000)
        print_error("rows %lu dead %lu free %lu unlinked %lu\n", (unsigned long)stats.rows, (unsigned long)stats.dead,
                    (unsigned long)stats.free_slots, (unsigned long)stats.unlinked);
    assert_true(stats.rows < 3000);
    check_table(t);
    fr_table_free(t);
    model_free(m);
}

/* Searches allocate nothing. */
static void search_allocates_nothing(void **state)
{
    (void)state;
    fr_table_options options = {.dimension = 32, .metric = FR_METRIC_L2, .seed = 1};
    model *m = model_create(32);
    fr_table *t;
    fr_scratch *s;
    rng r = {5};
    assert_int_equal(fr_table_create(&options, &t, NULL), FR_OK);
    assert_int_equal(fr_scratch_create(&s), FR_OK);
    for (uint32_t key = 0; key < 6000 / LESS; key++) {
        rng_vector(&r, KIND_F32, 32, model_vector(m, key));
        table_put(t, m, key, key, key + 1);
        fr_table_link_step(t);
        if (key % 256 == 0) fr_table_maintain(t, key + 1);
    }
    fr_row_hit hits[10];
    uint32_t count;
    uint64_t calls = 0;
    for (uint32_t i = 0; i < 3001; i++) {
        fr_table_query q = {.vector = model_vector(m, i % (6000 / LESS)), .k = 10, .visible = 6000};
        fr_table_enter(t, s);
        assert_int_equal(fr_table_search(t, s, &q, hits, &count, NULL, NULL), FR_OK);
        fr_table_leave(t, s);
        if (i == 0) calls = fr_mem_calls(); /* the first one sizes the scratch */
    }
    assert_int_equal(fr_mem_calls(), calls);
    fr_scratch_free(s);
    fr_table_free(t);
    model_free(m);
}

/* The nth allocation fails, for every n: the operation fails whole, the table stays right. */
static void failing_allocator(void **state)
{
    (void)state;
    fr_table_options options = {.dimension = 8, .metric = FR_METRIC_L2, .seed = 1};
    model *m = model_create(8);
    fr_table *t;
    rng r = {5};
    uint64_t commit = 0;
    uint32_t failures = 0;
    assert_int_equal(fr_table_create(&options, &t, NULL), FR_OK);
    for (uint32_t key = 0; key < 1500; key++) {
        rng_vector(&r, key % 200 == 150 ? KIND_F32 : KIND_U8, 8, model_vector(m, key));
        for (uint64_t n = 1;; n++) {
            fr_mem_fail_at(n);
            fr_code code = table_put(t, m, key, key, ++commit);
            fr_mem_fail_at(0);
            if (code == FR_OK) break;
            assert_int_equal(code, FR_ERR_NO_MEMORY);
            failures++;
        }
        fr_mem_fail_at(1 + key % 5);
        fr_table_link_step(t);
        if (key % 64 == 0) fr_table_maintain(t, commit);
        fr_mem_fail_at(0);
    }
    assert_true(failures > 20);
    link_all(t);
    check_table(t);
    memory_store *store = fr_zalloc(FR_MEM_TEST, sizeof *store);
    fr_source source = {.chunk = store_get, .user = store};
    for (uint64_t n = 1;; n++) {
        fr_mem_fail_at(n);
        fr_sink sink = {.chunk = store_chunk, .keep = store_keep, .user = store};
        fr_code code = fr_table_save_begin(t, 1499, true, NULL);
        fr_mem_fail_at(0);
        if (code != FR_OK) continue;
        fr_table_save_end(t, false);
        assert_int_equal(fr_table_save_begin(t, 1499, true, NULL), FR_OK);
        assert_int_equal(fr_table_save(t, &sink, NULL), FR_OK);
        fr_table_save_end(t, true);
        break;
    }
    for (uint64_t n = 1;; n++) {
        fr_table *loaded = NULL;
        bool keeps;
        fr_mem_fail_at(n);
        fr_code code = fr_table_load(&options, &source, 1499, &loaded, &keeps, NULL);
        fr_mem_fail_at(0);
        if (code == FR_ERR_NO_MEMORY) continue;
        assert_int_equal(code, FR_OK);
        check_table(loaded);
        fr_table_free(loaded);
        break;
    }
    store_clear(store);
    fr_free(FR_MEM_TEST, store);
    fr_table_free(t);
    model_free(m);
}

/* A save while rows come and go is exactly the state at its offset. */
static void save_is_of_one_moment(void **state)
{
    (void)state;
    fr_table_options options = {.dimension = 8, .metric = FR_METRIC_L2, .seed = 1};
    model *m = model_create(8), *after = model_create(8);
    memory_store *store = fr_zalloc(FR_MEM_TEST, sizeof *store);
    fr_table *t;
    fr_scratch *s;
    rng r = {11};
    fr_offset offset = 0;
    assert_int_equal(fr_scratch_create(&s), FR_OK);
    assert_int_equal(fr_table_create(&options, &t, NULL), FR_OK);
    for (uint32_t round = 0; round < 6; round++) {
        for (uint32_t i = 0; i < 1500; i++) {
            uint32_t key = rng_below(&r, 900);
            if (rng_below(&r, 3) == 0) {
                table_remove(t, m, key, offset, (uint64_t)offset + 1);
            } else {
                rng_vector(&r, KIND_F32, 8, model_vector(m, key));
                table_put(t, m, key, offset, (uint64_t)offset + 1);
            }
            offset++;
            fr_table_link_step(t);
            if (i % 16 == 0) fr_table_maintain(t, (uint64_t)offset);
        }
        for (uint32_t i = 0; i < store->count; i++) store->chunks[i].named = false;
        fr_offset at = offset - 1;
        assert_int_equal(fr_table_save_begin(t, at, false, NULL), FR_OK);
        memcpy(after->live, m->live, sizeof m->live);
        memcpy(after->offset, m->offset, sizeof m->offset);
        memcpy(after->vectors, m->vectors, (size_t)MODEL_KEYS * 8 * sizeof(float));
        after->live_count = m->live_count;
        for (uint32_t i = 0; i < 700; i++) { /* the world goes on before the chunks are written */
            uint32_t key = rng_below(&r, 900);
            rng_vector(&r, KIND_F32, 8, model_vector(m, key));
            if (i % 4 == 0) table_remove(t, m, key, offset, (uint64_t)offset + 1);
            else table_put(t, m, key, offset, (uint64_t)offset + 1);
            offset++;
            fr_table_link_step(t);
            fr_table_link_step(t);
            fr_table_maintain(t, (uint64_t)offset);
        }
        fr_sink sink = {.chunk = store_chunk, .keep = store_keep, .user = store};
        assert_int_equal(fr_table_save(t, &sink, NULL), FR_OK);
        fr_table_save_end(t, true);
        fr_table *loaded = load_table(&options, store, at);
        check_table(loaded);
        float query[8];
        for (uint32_t i = 0; i < 20; i++) {
            rng_vector(&r, KIND_F32, 8, query);
            check_search(loaded, s, after, query, 20, true, 0);
        }
        fr_table_free(loaded);
    }
    fr_scratch_free(s);
    fr_table_free(t);
    store_clear(store);
    fr_free(FR_MEM_TEST, store);
    model_free(m);
    model_free(after);
}

/* Any damaged chunk is refused or harmless, never a crash. The engine checks checksums before; this is the second line.
 */
static void damaged_chunks(void **state)
{
    (void)state;
    fr_table_options options = {.dimension = 8, .metric = FR_METRIC_L2, .seed = 1};
    model *m = model_create(8);
    memory_store *store = fr_zalloc(FR_MEM_TEST, sizeof *store);
    fr_source source = {.chunk = store_get, .user = store};
    fr_table *t;
    fr_scratch *s;
    rng r = {3};
    assert_int_equal(fr_scratch_create(&s), FR_OK);
    assert_int_equal(fr_table_create(&options, &t, NULL), FR_OK);
    for (uint32_t key = 0; key < 300; key++) { /* two chunks */
        rng_vector(&r, KIND_F32, 8, model_vector(m, key));
        table_put(t, m, key, key, key + 1);
        fr_table_maintain(t, key + 1);
    }
    link_all(t);
    assert_int_equal(save_table(t, store, 299, true), FR_OK);
    assert_true(store->count >= 2);
    uint32_t refused = 0;
    for (uint32_t i = 0; i < 3000 / LESS; i++) {
        uint32_t c = rng_below(&r, store->count);
        uint8_t *byte = (uint8_t *)store->chunks[c].data + rng_below(&r, (uint32_t)store->chunks[c].size), was = *byte;
        *byte ^= (uint8_t)(1 + rng_below(&r, 255));
        fr_table *loaded = NULL;
        bool keeps;
        if (fr_table_load(&options, &source, 299, &loaded, &keeps, NULL) == FR_OK) {
            fr_row_hit hits[5];
            uint32_t count;
            fr_table_query q = {.vector = model_vector(m, 7), .k = 5, .visible = 0};
            fr_table_enter(loaded, s);
            fr_code code = fr_table_search(loaded, s, &q, hits, &count, NULL, NULL);
            fr_table_leave(loaded, s);
            assert_int_equal(code, FR_OK);
            link_all(loaded);
            fr_table_free(loaded);
        } else {
            refused++;
        }
        *byte = was;
    }
    assert_true(refused > 10);
    fr_scratch_free(s);
    fr_table_free(t);
    store_clear(store);
    fr_free(FR_MEM_TEST, store);
    model_free(m);
}

static void bad_options(void **state)
{
    (void)state;
    fr_table *t = NULL;
    fr_err err = {0};
    fr_table_options options = {.dimension = 0};
    assert_int_equal(fr_table_create(&options, &t, &err), FR_ERR_INVALID);
    assert_string_equal(err.field, "dimension");
    options = (fr_table_options){.dimension = FR_DIMENSION_MAX + 1};
    assert_int_equal(fr_table_create(&options, &t, &err), FR_ERR_INVALID);
    options = (fr_table_options){.dimension = 4, .m = 33};
    assert_int_equal(fr_table_create(&options, &t, &err), FR_ERR_INVALID);
    assert_string_equal(err.field, "m");
}

int main(int argc, char **argv)
{
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(life_f32_l2),
        cmocka_unit_test(life_u8_l2),
        cmocka_unit_test(life_i8_l2),
        cmocka_unit_test(life_ip),
        cmocka_unit_test(life_u8_ip),
        cmocka_unit_test(life_cosine),
        cmocka_unit_test(life_no_codes),
        cmocka_unit_test(life_disk_l2),
        cmocka_unit_test(life_disk_ip),
        cmocka_unit_test(life_disk_cosine),
        cmocka_unit_test(life_disk_late),
        cmocka_unit_test(disk_keeps_vectors),
        cmocka_unit_test(a_full_disk_is_left_alone),
        cmocka_unit_test(a_recode_without_memory_leaves_saves_alone),
        cmocka_unit_test(life_one_dimension),
        cmocka_unit_test(duplicates),
        cmocka_unit_test(visibility),
        cmocka_unit_test(stale_puts),
        cmocka_unit_test(churn_is_flat),
        cmocka_unit_test(search_allocates_nothing),
        cmocka_unit_test(failing_allocator),
        cmocka_unit_test(save_is_of_one_moment),
        cmocka_unit_test(damaged_chunks),
        cmocka_unit_test(bad_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
