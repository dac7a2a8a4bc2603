/* test_binary.c: tables of binary vectors, and rows without a vector, against a model: distances are exact, walks find, deletes and
 * replacements hold, images come back; readers beside a writer. */
#include "tests/unit/index/table_store.h"

#include <pthread.h>
#include <unistd.h>

#define BITS 328u /* 41 bytes: not a whole line */
#define BYTES (BITS / 8)
#define KEYS 1500u
#define K 10u

typedef struct life {
    fr_table_options options;
    fr_table *t;
    fr_scratch *s;
    uint8_t *vectors; /* KEYS x BYTES */
    uint8_t state[KEYS]; /* 0 absent, 1 with a vector, 2 without */
    uint64_t live, commit;
    fr_offset offset;
} life;

/* Near one of 40 centres: neighbours differ in a part of the bits. */
static void bits_of(rng *r, uint8_t *out)
{
    rng centre = {rng_below(r, 40) + 5};
    for (uint32_t i = 0; i < BYTES; i++) {
        out[i] = (uint8_t)(rng_next(&centre) & rng_next(&centre));
        for (uint32_t flips = rng_below(r, 3); flips > 0; flips--) out[i] ^= (uint8_t)(1u << rng_below(r, 8));
    }
}

static double bits_distance(fr_metric metric, const uint8_t *a, const uint8_t *b)
{
    uint32_t differ = 0, either = 0;
    for (uint32_t bit = 0; bit < BITS; bit++) {
        bool x = a[bit / 8] >> (bit % 8) & 1, y = b[bit / 8] >> (bit % 8) & 1;
        differ += x != y, either += x || y;
    }
    return metric == FR_METRIC_HAMMING ? differ : either == 0 ? 0 : (double)((float)((double)differ / either));
}

static void begin(life *l, fr_metric metric)
{
    *l = (life){.options = {.type = FR_TYPE_VECTOR_BINARY, .dimension = BITS, .metric = metric, .seed = 3}};
    l->vectors = fr_zalloc(FR_MEM_TEST, (size_t)KEYS * BYTES);
    assert_int_equal(fr_table_create(&l->options, &l->t, NULL), FR_OK);
    assert_int_equal(fr_scratch_create(&l->s), FR_OK);
}

static void end(life *l)
{
    fr_scratch_free(l->s);
    fr_table_free(l->t);
    fr_free(FR_MEM_TEST, l->vectors);
}

static void check(const life *l)
{
    fr_err err = {0};
    if (fr_table_check(l->t, &err) != FR_OK) fail_msg("%s", err.text);
    assert_int_equal(l->t->live, l->live);
}

static void put(life *l, rng *r, uint32_t key, bool bare)
{
    char room[24];
    fr_put_result result;
    uint8_t *vector = l->vectors + (size_t)key * BYTES;
    if (!bare) bits_of(r, vector);
    fr_row_data row = {.key = key_span(key, room), .vector = bare ? NULL : vector, .source_time_ms = FR_TIME_NONE, .offset = l->offset++};
    assert_int_equal(fr_table_put(l->t, &row, ++l->commit, &result, NULL), FR_OK);
    assert_int_equal(result, l->state[key] != 0 ? FR_PUT_REPLACED : FR_PUT_NEW);
    l->live += l->state[key] == 0;
    l->state[key] = bare ? 2 : 1;
}

static void drop(life *l, uint32_t key)
{
    char room[24];
    bool existed;
    assert_int_equal(fr_table_remove(l->t, key_span(key, room), l->offset++, ++l->commit, &existed), FR_OK);
    assert_int_equal(existed, l->state[key] != 0);
    l->live -= existed;
    l->state[key] = 0;
}

/* Every hit's distance is that of its bits; how many of the k are as near as the true ones (all, when exact). */
static uint32_t ask(const life *l, const uint8_t *query, bool exact, uint32_t *want_out)
{
    fr_row_hit hits[K];
    uint32_t count = 0, good = 0, want = 0;
    double best[K];
    for (uint32_t key = 0; key < KEYS; key++) {
        if (l->state[key] != 1) continue;
        double d = bits_distance(l->options.metric, query, l->vectors + (size_t)key * BYTES);
        if (want == K && d >= best[K - 1]) continue;
        uint32_t at = want < K ? want++ : K - 1;
        for (; at > 0 && best[at - 1] > d; at--) best[at] = best[at - 1];
        best[at] = d;
    }
    fr_table_query q = {.vector = query, .k = K, .visible = l->commit, .exact = exact};
    fr_table_enter(l->t, l->s);
    assert_int_equal(fr_table_search(l->t, l->s, &q, hits, &count, NULL, NULL), FR_OK);
    assert_int_equal(count, want);
    for (uint32_t i = 0; i < count; i++) {
        fr_row_view view;
        fr_table_row(l->t, hits[i].row, &view);
        uint32_t key = span_key(view.key);
        assert_int_equal(l->state[key], 1);
        double d = bits_distance(l->options.metric, query, l->vectors + (size_t)key * BYTES);
        assert_true(d >= (double)hits[i].distance && d <= (double)hits[i].distance);
        good += d <= best[want - 1];
        if (exact) assert_true(d >= best[i] && d <= best[i]);
    }
    fr_table_leave(l->t, l->s);
    *want_out = want;
    return good;
}

static void check_content(const life *l)
{
    uint8_t out[BYTES];
    for (uint32_t key = 0; key < KEYS; key++) {
        char room[24];
        uint32_t row = fr_table_find(l->t, key_span(key, room), l->commit);
        assert_int_equal(row != FR_ROW_NONE, l->state[key] != 0);
        if (row == FR_ROW_NONE) continue;
        assert_int_equal(fr_table_has_vector(l->t, row), l->state[key] == 1);
        assert_true(fr_table_vector(l->t, row, out));
        if (l->state[key] == 1) assert_memory_equal(out, l->vectors + (size_t)key * BYTES, BYTES);
    }
}

static void live_through(fr_metric metric, uint32_t ops)
{
    static memory_store store;
    life l;
    rng r = {(uint64_t)metric + 17};
    uint64_t good = 0, asked = 0;
    begin(&l, metric);
    ops /= LESS;
    for (uint32_t i = 0; i < ops; i++) {
        uint32_t key = rng_below(&r, KEYS), what = rng_below(&r, 8);
        if (what < 2) drop(&l, key);
        else put(&l, &r, key, what == 2);
        for (uint32_t steps = rng_below(&r, 4); steps > 0; steps--) fr_table_link_step(l.t);
        if (i % 64 == 0) fr_table_maintain(l.t, l.commit);
        if (i % (ops / 8) != 0) continue;
        check(&l);
        for (uint32_t q = 0; q < 10; q++) {
            uint8_t query[BYTES];
            uint32_t want;
            bits_of(&r, query);
            ask(&l, query, true, &want);
            good += ask(&l, query, false, &want);
            asked += want;
        }
        check_content(&l);
        assert_int_equal(save_table(l.t, &store, l.offset - 1, rng_below(&r, 4) == 0), FR_OK);
        if (rng_below(&r, 2) == 0) { /* a restart */
            fr_table_free(l.t);
            l.t = load_table(&l.options, &store, l.offset - 1);
            l.commit = 0;
            check(&l);
            check_content(&l);
        }
    }
    while (fr_table_link_step(l.t)) {}
    fr_table_maintain(l.t, l.commit);
    check(&l);
    assert_int_equal(fr_table_unreachable(l.t), 0);
    if (good * 100 < asked * 97) fail_msg("recall %.4f", (double)good / (double)asked);
    store_clear(&store);
    end(&l);
}
static void hamming_life(void **state) { (void)state; live_through(FR_METRIC_HAMMING, 20000); }
static void jaccard_life(void **state) { (void)state; live_through(FR_METRIC_JACCARD, 20000); }

/* The graph, not the scan of a small table: more rows than a scan is cheaper for, searched by a narrow walk. */
static void walks_find(fr_metric metric)
{
    enum { ROWS = 24000 / LESS, QUERIES = 60 };
    fr_table_options options = {.type = FR_TYPE_VECTOR_BINARY, .dimension = BITS, .metric = metric, .seed = 8};
    fr_table *t;
    fr_scratch *s;
    rng r = {55};
    uint64_t good = 0;
    uint8_t *vectors = fr_alloc(FR_MEM_TEST, (size_t)ROWS * BYTES);
    assert_int_equal(fr_table_create(&options, &t, NULL), FR_OK);
    assert_int_equal(fr_scratch_create(&s), FR_OK);
    for (uint32_t i = 0; i < ROWS; i++) {
        char room[24];
        fr_put_result result;
        bits_of(&r, vectors + (size_t)i * BYTES);
        fr_row_data row = {.key = key_span(i, room), .vector = vectors + (size_t)i * BYTES, .source_time_ms = FR_TIME_NONE, .offset = i};
        assert_int_equal(fr_table_put(t, &row, i + 1, &result, NULL), FR_OK);
    }
    for (uint32_t pass = 0; pass < 2; pass++) { /* fresh rows alone; then all of them linked */
        good = 0;
        for (uint32_t q = 0; q < QUERIES; q++) {
            fr_row_hit hits[K], truth[K];
            uint32_t count, want;
            uint8_t query[BYTES];
            bits_of(&r, query);
            fr_search_info info;
            fr_table_query ask_for = {.vector = query, .k = K, .ef = 80, .visible = FR_VISIBLE_ALL, .exact = true};
            fr_table_enter(t, s);
            assert_int_equal(fr_table_search(t, s, &ask_for, truth, &want, NULL, NULL), FR_OK);
            ask_for.exact = false;
            assert_int_equal(fr_table_search(t, s, &ask_for, hits, &count, &info, NULL), FR_OK);
            if (LESS == 1) assert_string_equal(info.plan, "graph");
            assert_int_equal(count, K);
            for (uint32_t i = 0; i < K; i++) {
                double d = bits_distance(metric, query, vectors + (size_t)hits[i].row * BYTES);
                assert_true(d >= (double)hits[i].distance && d <= (double)hits[i].distance);
                good += hits[i].distance <= truth[K - 1].distance;
            }
            fr_table_leave(t, s);
        }
        if (pass == 0) assert_int_equal(good, QUERIES * K);
        while (fr_table_link_step(t)) {}
        fr_table_maintain(t, ROWS);
    }
    assert_int_equal(fr_table_check(t, NULL), FR_OK);
    assert_int_equal(fr_table_unreachable(t), 0);
    if (good * 100 < QUERIES * K * 95u) fail_msg("recall %.4f", (double)good / (QUERIES * K));
    fr_free(FR_MEM_TEST, vectors);
    fr_scratch_free(s);
    fr_table_free(t);
}
static void hamming_walk(void **state) { (void)state; walks_find(FR_METRIC_HAMMING); }
static void jaccard_walk(void **state) { (void)state; walks_find(FR_METRIC_JACCARD); }

/* Rows without a vector come first, so that nothing is known of vectors; then u8 vectors, then fractions. */
static void bare_rows_beside_numbers(void **state)
{
    (void)state;
    static memory_store store;
    fr_table_options options = {.dimension = 20, .metric = FR_METRIC_L2, .seed = 1};
    fr_table *t;
    fr_scratch *s;
    rng r = {7};
    fr_offset offset = 0;
    assert_int_equal(fr_table_create(&options, &t, NULL), FR_OK);
    assert_int_equal(fr_scratch_create(&s), FR_OK);
    for (uint32_t i = 0; i < 2000; i++) {
        char room[24];
        float vector[20], *given = i < 300 || i % 3 == 0 ? NULL : vector;
        fr_put_result result;
        rng_vector(&r, i < 1200 ? KIND_U8 : KIND_F32, 20, vector);
        fr_row_data row = {.key = key_span(i, room), .vector = given, .source_time_ms = FR_TIME_NONE, .offset = offset++};
        assert_int_equal(fr_table_put(t, &row, i + 1, &result, NULL), FR_OK);
        if (i == 250 || i == 600 || i == 1500) { /* deletes free slots of both sorts; then everything comes from an image */
            for (uint32_t key = i - 40; key < i; key++) {
                bool existed;
                assert_int_equal(fr_table_remove(t, key_span(key, room), offset++, i + 1, &existed), FR_OK);
                assert_true(existed);
            }
            assert_int_equal(save_table(t, &store, offset - 1, true), FR_OK);
            fr_table_free(t);
            t = load_table(&options, &store, offset - 1);
        }
        if (i % 100 == 0) {
            while (fr_table_link_step(t)) {}
            fr_table_maintain(t, i);
        }
    }
    while (fr_table_link_step(t)) {}
    fr_table_maintain(t, 2000);
    fr_err err = {0};
    if (fr_table_check(t, &err) != FR_OK) fail_msg("%s", err.text);
    fr_table_stats stats;
    fr_table_stats_get(t, &stats);
    assert_int_equal(stats.live, 2000 - 120);
    float query[20] = {0};
    fr_row_hit *hits = fr_alloc(FR_MEM_TEST, 2000 * sizeof *hits);
    for (int exact = 0; exact < 2; exact++) {
        uint32_t count;
        fr_table_query q = {.vector = query, .k = 2000, .visible = FR_VISIBLE_ALL, .exact = exact};
        fr_table_enter(t, s);
        assert_int_equal(fr_table_search(t, s, &q, hits, &count, NULL, NULL), FR_OK);
        assert_int_equal(count, stats.live - stats.bare);
        for (uint32_t i = 0; i < count; i++) assert_true(fr_table_has_vector(t, hits[i].row));
        fr_table_leave(t, s);
    }
    fr_free(FR_MEM_TEST, hits);
    store_clear(&store);
    fr_scratch_free(s);
    fr_table_free(t);
}

static void wrong_definitions(void **state)
{
    (void)state;
    fr_table *t;
    fr_err err;
    fr_table_options options = {.type = FR_TYPE_VECTOR_BINARY, .dimension = 12, .metric = FR_METRIC_HAMMING};
    assert_int_equal(fr_table_create(&options, &t, &err), FR_ERR_INVALID);
    assert_string_equal(err.field, "dimension");
    options.dimension = FR_DIMENSION_BITS_MAX + 8;
    assert_int_equal(fr_table_create(&options, &t, &err), FR_ERR_INVALID);
    options.dimension = 16, options.metric = FR_METRIC_L2;
    assert_int_equal(fr_table_create(&options, &t, &err), FR_ERR_INVALID);
    assert_string_equal(err.field, "metric");
    options.type = FR_TYPE_VECTOR_F32, options.metric = FR_METRIC_JACCARD;
    assert_int_equal(fr_table_create(&options, &t, &err), FR_ERR_INVALID);
    assert_string_equal(err.field, "metric");
}

/* At the largest dimension: sums of bits and the room of a scratch. */
static void widest(void **state)
{
    (void)state;
    enum { WIDE = FR_DIMENSION_BITS_MAX / 8, ROWS = 40 };
    fr_index *index;
    fr_index_options options = {.type = FR_TYPE_VECTOR_BINARY, .dimension = FR_DIMENSION_BITS_MAX, .metric = FR_METRIC_HAMMING};
    uint8_t *vectors = fr_zalloc(FR_MEM_TEST, (size_t)ROWS * WIDE);
    int64_t ids[ROWS], found[ROWS];
    float distances[ROWS];
    assert_int_equal(fr_index_create(&options, &index, NULL), FR_OK);
    for (uint32_t i = 0; i < ROWS; i++) ids[i] = i, memset(vectors + (size_t)i * WIDE, 0xff, (size_t)i * WIDE / (ROWS - 1));
    assert_int_equal(fr_index_add(index, ids, vectors, ROWS, 1, NULL), FR_OK);
    assert_int_equal(fr_index_search_many(index, vectors, 1, ROWS, 64, 1, found, distances, NULL), FR_OK);
    for (uint32_t i = 0; i < ROWS; i++) {
        float want = (float)((size_t)i * WIDE / (ROWS - 1) * 8);
        assert_int_equal(found[i], i);
        assert_true(distances[i] >= want && distances[i] <= want);
    }
    fr_index_free(index);
    fr_free(FR_MEM_TEST, vectors);
}

static void index_alone(void **state)
{
    (void)state;
    enum { ROWS = 3000 / LESS };
    fr_index *index, *again;
    fr_index_options options = {.type = FR_TYPE_VECTOR_BINARY, .dimension = BITS, .metric = FR_METRIC_JACCARD}, settings;
    uint8_t *vectors = fr_alloc(FR_MEM_TEST, (size_t)ROWS * BYTES), back[2 * BYTES];
    int64_t ids[ROWS], found[3 * 5], asked[2] = {5, 999999};
    float distances[3 * 5];
    bool present[2];
    rng r = {4};
    char path[] = "/tmp/fr-binary-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    for (uint32_t i = 0; i < ROWS; i++) ids[i] = i, bits_of(&r, vectors + (size_t)i * BYTES);
    assert_int_equal(fr_index_create(&options, &index, NULL), FR_OK);
    assert_int_equal(fr_index_add(index, ids, vectors, ROWS, 2, NULL), FR_OK);
    assert_int_equal(fr_index_remove(index, ids + 1, 1, NULL), FR_OK);
    assert_int_equal(fr_index_save_file(index, path, NULL), FR_OK);
    assert_int_equal(fr_index_open_file(path, &again, NULL), FR_OK);
    fr_index_settings(again, &settings);
    assert_int_equal(settings.type, FR_TYPE_VECTOR_BINARY);
    assert_int_equal(settings.dimension, BITS);
    for (uint32_t i = 0; i < 2; i++) {
        fr_index *one = i == 0 ? index : again;
        assert_int_equal(fr_index_size(one), ROWS - 1);
        assert_int_equal(fr_index_search_many(one, vectors, 3, 5, 200, 2, found, distances, NULL), FR_OK);
        assert_true(found[0] == 0 && found[5] != 1 && found[10] == 2);
        assert_true(distances[0] <= 0 && distances[10] <= 0);
        assert_int_equal(fr_index_get(one, asked, 2, back, present), FR_OK);
        assert_true(present[0] && !present[1]);
        assert_memory_equal(back, vectors + 5 * BYTES, BYTES);
        float measured;
        uint32_t ef;
        assert_int_equal(fr_index_ef_for(one, 0.95f, 10, &ef, &measured, NULL), FR_OK);
        assert_true(ef >= 12 && ef <= 2048);
    }
    unlink(path);
    fr_index_free(index);
    fr_index_free(again);
    fr_free(FR_MEM_TEST, vectors);
}

/* ==== readers and linkers beside a writer ==== */

typedef struct crowd {
    life l;
    _Atomic uint64_t visible, searches, wrong;
    _Atomic bool stop;
} crowd;

static void *reader(void *argument)
{
    crowd *c = argument;
    rng r = {(uint64_t)(uintptr_t)&r};
    fr_scratch *s;
    assert_int_equal(fr_scratch_create(&s), FR_OK);
    while (!atomic_load(&c->stop)) {
        uint8_t query[BYTES], held[BYTES];
        fr_row_hit hits[K];
        uint32_t count;
        bits_of(&r, query);
        fr_table_enter(c->l.t, s);
        fr_table_query q = {.vector = query, .k = K, .visible = atomic_load(&c->visible), .exact = rng_below(&r, 8) == 0};
        if (fr_table_search(c->l.t, s, &q, hits, &count, NULL, NULL) != FR_OK) atomic_fetch_add(&c->wrong, 1);
        for (uint32_t i = 0; i < count; i++) {
            if (!fr_table_vector(c->l.t, hits[i].row, held) || !fr_table_has_vector(c->l.t, hits[i].row)) atomic_fetch_add(&c->wrong, 1);
            float d = (float)bits_distance(c->l.options.metric, query, held);
            if (d < hits[i].distance || d > hits[i].distance) atomic_fetch_add(&c->wrong, 1);
        }
        fr_table_leave(c->l.t, s);
        atomic_fetch_add(&c->searches, 1);
    }
    fr_scratch_free(s);
    return NULL;
}

static void *linker(void *argument)
{
    crowd *c = argument;
    while (!atomic_load(&c->stop))
        if (!fr_table_link_step(c->l.t)) usleep(20);
    return NULL;
}

static void readers_beside_a_writer(void **state)
{
    (void)state;
    static crowd c;
    pthread_t threads[3];
    rng r = {31};
    begin(&c.l, FR_METRIC_HAMMING);
    pthread_create(&threads[0], NULL, reader, &c);
    pthread_create(&threads[1], NULL, reader, &c);
    pthread_create(&threads[2], NULL, linker, &c);
    for (uint32_t i = 0; i < 24000 / LESS; i++) {
        uint32_t key = rng_below(&r, KEYS), what = rng_below(&r, 8);
        if (what < 2) drop(&c.l, key);
        else put(&c.l, &r, key, what == 2);
        atomic_store(&c.visible, c.l.commit);
        if (i % 16 == 0) fr_table_maintain(c.l.t, c.l.commit);
    }
    while (atomic_load(&c.searches) < 50) usleep(1000);
    atomic_store(&c.stop, true);
    for (uint32_t i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    while (fr_table_link_step(c.l.t)) {}
    fr_table_maintain(c.l.t, c.l.commit);
    check(&c.l);
    check_content(&c.l);
    assert_int_equal(c.wrong, 0);
    end(&c.l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hamming_life),     cmocka_unit_test(jaccard_life),
        cmocka_unit_test(hamming_walk),     cmocka_unit_test(jaccard_walk),
        cmocka_unit_test(bare_rows_beside_numbers), cmocka_unit_test(wrong_definitions),
        cmocka_unit_test(widest),           cmocka_unit_test(index_alone),
        cmocka_unit_test(readers_beside_a_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
