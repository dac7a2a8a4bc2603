/* test_sparse.c: tables of sparse vectors against a model: inner products and BM25 by plain sums, hits by lists and by the scan of stored
 * vectors, old moments, filters, images, slots that are used again; readers beside a writer. */
#include "tests/unit/index/table_store.h"

#include <pthread.h>
#include <unistd.h>

#define KEYS 1200u
#define K 10u
#define PAIRS_MAX 24u
#define TERMS 400u

typedef struct pair {
    uint32_t index;
    float value;
} pair;

typedef struct document {
    uint32_t state; /* 0 absent, 1 with a vector, 2 without */
    uint32_t count;
    pair pairs[PAIRS_MAX];
} document;

typedef struct life {
    fr_table_options options;
    fr_table *t;
    fr_scratch *s;
    document *docs; /* KEYS */
    uint64_t live, commit;
    fr_offset offset;
} life;

/* Few indices are frequent, most are rare, as words are. Some values are 0, some vectors empty. */
static void random_pairs(rng *r, fr_metric metric, document *out)
{
    uint32_t wanted = rng_below(r, 20) == 0 ? 0 : 1 + rng_below(r, PAIRS_MAX - 1), step;
    uint32_t at = 0;
    out->count = 0;
    for (; out->count < wanted; at += step) {
        step = 1 + rng_below(r, 2 + at);
        if (at >= TERMS) break;
        float value = metric == FR_METRIC_BM25 ? (float)(1 + rng_below(r, 4)) : rng_float(r);
        out->pairs[out->count++] = (pair){at * 1000003u, rng_below(r, 30) == 0 ? 0 : value};
    }
}

static void begin(life *l, fr_metric metric)
{
    *l = (life){.options = {.type = FR_TYPE_VECTOR_SPARSE, .metric = metric, .seed = 3, .bm25_k1 = 1.5f}};
    l->docs = fr_zalloc(FR_MEM_TEST, KEYS * sizeof *l->docs);
    assert_int_equal(fr_table_create(&l->options, &l->t, NULL), FR_OK);
    assert_int_equal(fr_scratch_create(&l->s), FR_OK);
}

static void end(life *l)
{
    fr_scratch_free(l->s);
    fr_table_free(l->t);
    fr_free(FR_MEM_TEST, l->docs);
}

static void check(const life *l)
{
    fr_err err = {0};
    if (fr_table_check(l->t, &err) != FR_OK) fail_msg("%s", err.text);
    assert_int_equal(l->t->live, l->live);
}

static fr_span metadata_of(fr_doc_builder *b, uint32_t key)
{
    fr_span bytes;
    fr_doc_reset(b);
    fr_doc_begin_object(b);
    fr_doc_put_key(b, "n", 1);
    fr_doc_put_int(b, key % 5);
    fr_doc_end_object(b);
    assert_int_equal(fr_doc_finish(b, &bytes), FR_OK);
    return bytes;
}

static void put(life *l, rng *r, uint32_t key, bool bare)
{
    char room[24];
    fr_put_result result;
    fr_doc_builder b = {0};
    document *d = &l->docs[key];
    if (!bare) random_pairs(r, l->options.metric, d);
    fr_row_data row = {.key = key_span(key, room), .vector = bare ? NULL : d->pairs, .vector_size = d->count * sizeof(pair),
                       .metadata = metadata_of(&b, key), .source_time_ms = FR_TIME_NONE, .offset = l->offset++};
    assert_int_equal(fr_table_put(l->t, &row, ++l->commit, &result, NULL), FR_OK);
    assert_int_equal(result, d->state != 0 ? FR_PUT_REPLACED : FR_PUT_NEW);
    l->live += d->state == 0;
    d->state = bare ? 2 : 1;
    fr_doc_free(&b);
}

static void drop(life *l, uint32_t key)
{
    char room[24];
    bool existed;
    assert_int_equal(fr_table_remove(l->t, key_span(key, room), l->offset++, ++l->commit, &existed), FR_OK);
    assert_int_equal(existed, l->docs[key].state != 0);
    l->live -= existed;
    l->docs[key].state = 0;
}

static float value_at(const document *d, uint32_t index)
{
    for (uint32_t i = 0; i < d->count; i++)
        if (d->pairs[i].index == index) return d->pairs[i].value;
    return 0;
}

static double length_of(const document *d)
{
    double sum = 0;
    for (uint32_t i = 0; i < d->count; i++) sum += (double)d->pairs[i].value;
    return sum;
}

/* False: no index in common. */
static bool true_score(const life *l, const document *query, const document *d, double *score_out)
{
    double documents = 0, length = 0, k1 = 1.5, b = 0.75;
    bool met = false;
    *score_out = 0;
    for (uint32_t key = 0; key < KEYS; key++)
        if (l->docs[key].state == 1) documents++, length += length_of(&l->docs[key]);
    for (uint32_t i = 0; i < query->count; i++) {
        float q = query->pairs[i].value, v = value_at(d, query->pairs[i].index);
        double n = 0;
        if (q == 0.0f || v == 0.0f) continue;
        met = true;
        if (l->options.metric == FR_METRIC_IP) {
            *score_out += (double)q * (double)v;
            continue;
        }
        for (uint32_t key = 0; key < KEYS; key++) n += l->docs[key].state == 1 && value_at(&l->docs[key], query->pairs[i].index) != 0.0f;
        double idf = log(1 + (documents - n + 0.5) / (n + 0.5)), tf = (double)v;
        *score_out += (double)q * idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b * length_of(d) / (length / documents)));
    }
    return met;
}

static void ask(const life *l, const document *query, const fr_filter *filter)
{
    fr_row_hit hits[K], scanned[K];
    uint32_t count = 0, scan_count = 0, want = 0;
    double best[K];
    for (uint32_t key = 0; key < KEYS; key++) {
        double score;
        if (l->docs[key].state != 1 || (filter != NULL && key % 5 != 2) || !true_score(l, query, &l->docs[key], &score)) continue;
        if (want == K && -score >= best[K - 1]) continue;
        uint32_t at = want < K ? want++ : K - 1;
        for (; at > 0 && best[at - 1] > -score; at--) best[at] = best[at - 1];
        best[at] = -score;
    }
    fr_table_query q = {.vector = query->pairs, .vector_size = query->count * sizeof(pair), .k = K, .visible = l->commit, .filter = filter};
    fr_table_enter(l->t, l->s);
    assert_int_equal(fr_table_search(l->t, l->s, &q, hits, &count, NULL, NULL), FR_OK);
    q.exact = true;
    assert_int_equal(fr_table_search(l->t, l->s, &q, scanned, &scan_count, NULL, NULL), FR_OK);
    assert_int_equal(count, want);
    assert_int_equal(scan_count, want);
    for (uint32_t i = 0; i < count; i++) {
        fr_row_view view;
        double score;
        fr_table_row(l->t, hits[i].row, &view);
        uint32_t key = span_key(view.key);
        assert_int_equal(l->docs[key].state, 1);
        assert_true(true_score(l, query, &l->docs[key], &score));
        double slack = 1e-4 * (1 + fabs(score));
        assert_true(fabs(score + (double)hits[i].distance) <= slack);
        assert_true(fabs(best[i] - (double)hits[i].distance) <= slack);
        assert_true(fabs((double)(scanned[i].distance - hits[i].distance)) <= 1e-6 * (1 + fabs(score)));
        assert_int_equal(scanned[i].row, hits[i].row);
    }
    fr_table_leave(l->t, l->s);
}

static void check_content(const life *l)
{
    for (uint32_t key = 0; key < KEYS; key++) {
        char room[24];
        uint32_t row = fr_table_find(l->t, key_span(key, room), l->commit);
        const document *d = &l->docs[key];
        assert_int_equal(row != FR_ROW_NONE, d->state != 0);
        if (row == FR_ROW_NONE) continue;
        fr_span held = fr_table_sparse(l->t, row);
        assert_int_equal(held.data != NULL, d->state == 1);
        assert_int_equal(fr_table_has_vector(l->t, row), d->state == 1);
        if (d->state != 1) continue;
        assert_int_equal(held.size, d->count * sizeof(pair));
        assert_memory_equal(held.data, d->pairs, held.size);
    }
}

static fr_filter *filter_of(const char *text)
{
    static const fr_filter_schema schema = {.key_name = "id", .id_type = FR_ID_ANY};
    fr_filter *filter;
    fr_err err;
    if (fr_filter_compile(fr_span_text(text), &schema, fr_span_of(NULL, 0), &filter, &err) != FR_OK) fail_msg("%s", err.text);
    return filter;
}

static void live_through(fr_metric metric, uint32_t ops)
{
    static memory_store store;
    life l;
    rng r = {(uint64_t)metric + 23};
    fr_filter *filter = filter_of("n == 2");
    begin(&l, metric);
    ops /= LESS;
    for (uint32_t i = 0; i < ops; i++) {
        uint32_t key = rng_below(&r, KEYS), what = rng_below(&r, 8);
        if (what < 3) drop(&l, key);
        else put(&l, &r, key, what == 3 && rng_below(&r, 4) == 0);
        if (i % 64 == 0) fr_table_maintain(l.t, l.commit);
        if (i % (ops / 12) != 0) continue;
        check(&l);
        check_content(&l);
        for (uint32_t q = 0; q < 8; q++) {
            document query;
            random_pairs(&r, metric, &query);
            ask(&l, &query, q % 2 ? filter : NULL);
        }
        assert_int_equal(save_table(l.t, &store, l.offset - 1, rng_below(&r, 4) == 0), FR_OK);
        if (rng_below(&r, 2) == 0) { /* a restart */
            fr_table_free(l.t);
            l.t = load_table(&l.options, &store, l.offset - 1);
            l.commit = 0;
            check(&l);
            check_content(&l);
        }
    }
    fr_table_stats stats;
    fr_table_stats_get(l.t, &stats);
    assert_true(stats.rows < 4 * KEYS); /* slots are used again */
    fr_filter_free(filter);
    store_clear(&store);
    end(&l);
}
static void ip_life(void **state) { (void)state; live_through(FR_METRIC_IP, 30000); }
static void bm25_life(void **state) { (void)state; live_through(FR_METRIC_BM25, 30000); }

/* A table of KEYS rows, and what a query finds there; the reader stays inside. */
static fr_table_query begin_asked(life *l, rng *r, document *query, fr_row_hit *hits, uint32_t *count)
{
    begin(l, FR_METRIC_IP);
    for (uint32_t key = 0; key < KEYS; key++) put(l, r, key, false);
    do random_pairs(r, FR_METRIC_IP, query);
    while (query->count < 6);
    fr_table_query q = {.vector = query->pairs, .vector_size = query->count * sizeof(pair), .k = K, .visible = l->commit};
    fr_table_enter(l->t, l->s);
    assert_int_equal(fr_table_search(l->t, l->s, &q, hits, count, NULL, NULL), FR_OK);
    return q;
}

/* A search at an old moment finds what was there, also when maintain ran since; a search allocates nothing. */
static void old_moments_stay(void **state)
{
    (void)state;
    life l;
    rng r = {5};
    fr_row_hit before[K], after[K];
    uint32_t count_before, count_after;
    document query;
    fr_table_query q = begin_asked(&l, &r, &query, before, &count_before);
    fr_table_leave(l.t, l.s);
    for (uint32_t key = 0; key < KEYS; key++) {
        if (key % 2) drop(&l, key);
        else put(&l, &r, key, false);
        if (key % 32 == 0) fr_table_maintain(l.t, q.visible);
    }
    uint64_t used = fr_mem_used(FR_MEM_SEARCH);
    fr_table_enter(l.t, l.s);
    assert_int_equal(fr_table_search(l.t, l.s, &q, after, &count_after, NULL, NULL), FR_OK);
    fr_table_leave(l.t, l.s);
    assert_int_equal(count_before, K);
    assert_int_equal(count_after, K);
    for (uint32_t i = 0; i < K; i++) assert_true(before[i].row == after[i].row && before[i].distance <= after[i].distance);
    fr_table_enter(l.t, l.s);
    used = fr_mem_used(FR_MEM_SEARCH);
    for (uint32_t i = 0; i < 10; i++) assert_int_equal(fr_table_search(l.t, l.s, &q, after, &count_after, NULL, NULL), FR_OK);
    assert_int_equal(fr_mem_used(FR_MEM_SEARCH), used);
    fr_table_leave(l.t, l.s);
    for (uint32_t i = 0; i < 100; i++) fr_table_maintain(l.t, l.commit); /* nobody asks for the old moment any more */
    fr_table_stats stats;
    fr_table_stats_get(l.t, &stats);
    assert_int_equal(stats.dead, 0);
    assert_int_equal(stats.free_slots, KEYS);
    check(&l);
    end(&l);
}

/* A search that began before its rows died and were swept: whole scores, whatever maintain does meanwhile. */
static void a_running_search_sees_whole_rows(void **state)
{
    (void)state;
    life l;
    rng r = {6};
    fr_row_hit before[K], after[K];
    uint32_t count_before, count_after;
    document query;
    fr_table_query q = begin_asked(&l, &r, &query, before, &count_before);
    for (uint32_t key = 0; key < KEYS; key++) drop(&l, key);
    for (uint32_t i = 0; i < 100; i++) fr_table_maintain(l.t, l.commit);
    assert_int_equal(fr_table_search(l.t, l.s, &q, after, &count_after, NULL, NULL), FR_OK);
    assert_int_equal(count_before, K);
    assert_int_equal(count_after, K);
    assert_memory_equal(before, after, sizeof before);
    fr_table_leave(l.t, l.s);
    for (uint32_t i = 0; i < 100; i++) fr_table_maintain(l.t, l.commit);
    fr_table_stats stats;
    fr_table_stats_get(l.t, &stats);
    assert_int_equal(stats.dead, 0);
    check(&l);
    end(&l);
}

static void wrong_vectors(void **state)
{
    (void)state;
    pair good[] = {{0, 1}, {5, -2}, {UINT32_MAX, 3}}, twice[] = {{5, 1}, {5, 2}}, down[] = {{7, 1}, {5, 2}}, nan[] = {{1, NAN}},
         infinite[] = {{1, INFINITY}}, large[] = {{1, 3e38f}, {2, 3e38f}};
    fr_err err = {0};
    assert_int_equal(fr_vector_sparse_check(fr_span_of(good, sizeof good), FR_METRIC_IP, "v", &err), FR_OK);
    assert_int_equal(fr_vector_sparse_check(fr_span_of("", 0), FR_METRIC_BM25, "v", &err), FR_OK);
    assert_int_equal(fr_vector_sparse_check(fr_span_of(good, sizeof good), FR_METRIC_BM25, "v", &err), FR_ERR_INVALID);
    assert_int_equal(fr_vector_sparse_check(fr_span_of(good, 9), FR_METRIC_IP, "v", &err), FR_ERR_INVALID);
    assert_int_equal(fr_vector_sparse_check(fr_span_of(twice, sizeof twice), FR_METRIC_IP, "v", &err), FR_ERR_INVALID);
    assert_int_equal(fr_vector_sparse_check(fr_span_of(down, sizeof down), FR_METRIC_IP, "v", &err), FR_ERR_INVALID);
    assert_int_equal(fr_vector_sparse_check(fr_span_of(nan, sizeof nan), FR_METRIC_IP, "v", &err), FR_ERR_INVALID);
    assert_int_equal(fr_vector_sparse_check(fr_span_of(infinite, sizeof infinite), FR_METRIC_IP, "v", &err), FR_ERR_INVALID);
    assert_int_equal(fr_vector_sparse_check(fr_span_of(large, sizeof large), FR_METRIC_IP, "v", &err), FR_ERR_INVALID);
    assert_string_equal(err.field, "v");
    pair *many = fr_zalloc(FR_MEM_TEST, (FR_SPARSE_NONZERO_MAX + 1) * sizeof *many);
    for (uint32_t i = 0; i <= FR_SPARSE_NONZERO_MAX; i++) many[i] = (pair){i, 1};
    assert_int_equal(fr_vector_sparse_check(fr_span_of(many, FR_SPARSE_NONZERO_MAX * 8), FR_METRIC_IP, "v", &err), FR_OK);
    assert_int_equal(fr_vector_sparse_check(fr_span_of(many, (FR_SPARSE_NONZERO_MAX + 1) * 8), FR_METRIC_IP, "v", &err), FR_ERR_INVALID);
    fr_free(FR_MEM_TEST, many);
    fr_table *t;
    fr_table_options options = {.type = FR_TYPE_VECTOR_SPARSE, .metric = FR_METRIC_L2};
    assert_int_equal(fr_table_create(&options, &t, &err), FR_ERR_INVALID);
    assert_string_equal(err.field, "metric");
    life l; /* a query that is none */
    begin(&l, FR_METRIC_IP);
    fr_row_hit hit;
    uint32_t count;
    fr_table_query q = {.vector = down, .vector_size = sizeof down, .k = 1, .visible = FR_VISIBLE_ALL};
    fr_table_enter(l.t, l.s);
    assert_int_equal(fr_table_search(l.t, l.s, &q, &hit, &count, NULL, &err), FR_ERR_INVALID);
    q.vector_size = 0;
    assert_int_equal(fr_table_search(l.t, l.s, &q, &hit, &count, NULL, &err), FR_OK);
    assert_int_equal(count, 0);
    fr_table_leave(l.t, l.s);
    end(&l);
}

/* Whatever byte of an image is wrong: CORRUPT or a table that holds. */
static void damaged_images(void **state)
{
    (void)state;
    static memory_store store;
    life l;
    rng r = {12};
    begin(&l, FR_METRIC_BM25);
    for (uint32_t key = 0; key < 60; key++) put(&l, &r, key, key % 9 == 0);
    assert_int_equal(save_table(l.t, &store, l.offset - 1, true), FR_OK);
    for (uint32_t i = 0; i < 3000 / LESS; i++) {
        uint32_t chunk = rng_below(&r, store.count), at = rng_below(&r, (uint32_t)store.chunks[chunk].size);
        uint8_t *byte = (uint8_t *)store.chunks[chunk].data + at, kept = *byte;
        bool keeps;
        fr_table *t = NULL;
        fr_source source = {.chunk = store_get, .user = &store};
        *byte ^= (uint8_t)(1u << rng_below(&r, 8));
        if (fr_table_load(&l.options, &source, l.offset - 1, &t, &keeps, NULL) == FR_OK) {
            fr_err err = {0};
            if (fr_table_check(t, &err) != FR_OK) fail_msg("chunk %llx byte %u: %s", (unsigned long long)store.chunks[chunk].id, at, err.text);
            fr_table_free(t);
        }
        *byte = kept;
    }
    store_clear(&store);
    end(&l);
}

/* ==== readers beside a writer ==== */

typedef struct crowd {
    life l;
    _Atomic uint64_t visible, searches, wrong;
    _Atomic bool stop;
} crowd;

static double product(fr_span a, const document *b)
{
    double sum = 0;
    for (uint32_t i = 0; i < a.size / 8; i++) sum += (double)fr_pair_value(a.data, i) * (double)value_at(b, fr_pair_index(a.data, i));
    return sum;
}

static void *reader(void *argument)
{
    crowd *c = argument;
    rng r = {(uint64_t)(uintptr_t)&r};
    fr_scratch *s;
    assert_int_equal(fr_scratch_create(&s), FR_OK);
    while (!atomic_load(&c->stop)) {
        document query;
        fr_row_hit hits[K];
        uint32_t count = 0;
        random_pairs(&r, FR_METRIC_IP, &query);
        fr_table_enter(c->l.t, s);
        fr_table_query q = {.vector = query.pairs, .vector_size = query.count * sizeof(pair), .k = K, .visible = atomic_load(&c->visible),
                            .exact = rng_below(&r, 8) == 0};
        if (fr_table_search(c->l.t, s, &q, hits, &count, NULL, NULL) != FR_OK) atomic_fetch_add(&c->wrong, 1);
        for (uint32_t i = 0; i < count; i++) {
            double score = product(fr_table_sparse(c->l.t, hits[i].row), &query);
            if (fabs(score + (double)hits[i].distance) > 1e-4 * (1 + fabs(score))) atomic_fetch_add(&c->wrong, 1);
            if (i > 0 && hits[i].distance < hits[i - 1].distance) atomic_fetch_add(&c->wrong, 1);
        }
        fr_table_leave(c->l.t, s);
        atomic_fetch_add(&c->searches, 1);
    }
    fr_scratch_free(s);
    return NULL;
}

static void readers_beside_a_writer(void **state)
{
    (void)state;
    static crowd c;
    pthread_t threads[2];
    rng r = {31};
    begin(&c.l, FR_METRIC_IP);
    pthread_create(&threads[0], NULL, reader, &c);
    pthread_create(&threads[1], NULL, reader, &c);
    for (uint32_t i = 0; i < 60000 / LESS; i++) {
        uint32_t key = rng_below(&r, KEYS), what = rng_below(&r, 8);
        if (what < 3) drop(&c.l, key);
        else put(&c.l, &r, key, what == 3 && rng_below(&r, 4) == 0);
        uint64_t before = atomic_exchange(&c.visible, c.l.commit);
        if (i % 16 == 0) fr_table_maintain(c.l.t, before);
    }
    while (atomic_load(&c.searches) < 50) usleep(1000);
    atomic_store(&c.stop, true);
    for (uint32_t i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    for (uint32_t i = 0; i < 50; i++) fr_table_maintain(c.l.t, c.l.commit);
    check(&c.l);
    check_content(&c.l);
    assert_int_equal(c.wrong, 0);
    end(&c.l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ip_life), cmocka_unit_test(a_running_search_sees_whole_rows),          cmocka_unit_test(bm25_life),      cmocka_unit_test(old_moments_stay),
        cmocka_unit_test(wrong_vectors),    cmocka_unit_test(damaged_images), cmocka_unit_test(readers_beside_a_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
