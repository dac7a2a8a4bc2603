/* test_bulk.c: backlogs linked in bulk, against the model: with writes between the pieces, equal vectors, codes that change on
 * the way, memory that runs out, and from several threads beside searches. */
#include "index/bulk.h"
#include "tests/unit/index/table_model.h"

#include <pthread.h>
#include <unistd.h>

#define ROWS (6000u / LESS)

typedef struct life {
    model *m;
    fr_table *t;
    fr_scratch *s;
    rng r;
    fr_offset offset;
    uint64_t commit, bulks;
    enum vector_kind kind;
    uint32_t distinct; /* 0, or so few different vectors that groups are far larger than a leaf */
} life;

static life begin(fr_metric metric, enum vector_kind kind, uint32_t dimension)
{
    life l = {.m = model_create(dimension), .r = {dimension * 7 + metric}, .kind = kind};
    fr_table_options options = {.dimension = dimension, .metric = metric, .seed = 5};
    assert_int_equal(fr_table_create(&options, &l.t, NULL), FR_OK);
    assert_int_equal(fr_scratch_create(&l.s), FR_OK);
    l.t->bulk_min = ROWS / 8;
    return l;
}

static void end(life *l)
{
    fr_scratch_free(l->s);
    fr_table_free(l->t);
    model_free(l->m);
}

static void put(life *l, uint32_t key)
{
    float *vector = model_vector(l->m, key);
    rng_vector(&l->r, l->kind, l->m->dimension, vector);
    for (uint32_t i = 0; l->distinct != 0 && i < l->m->dimension; i++) vector[i] = (float)(key % l->distinct);
    assert_int_equal(table_put(l->t, l->m, key, l->offset++, ++l->commit), FR_OK);
    if (l->offset % 64 == 0) fr_table_maintain(l->t, l->commit);
}

static bool step(life *l)
{
    bool before = l->t->bulk != NULL, worked = fr_table_link_step(l->t);
    l->bulks += !before && l->t->bulk != NULL;
    return worked;
}

static void settle(life *l)
{
    fr_err err = {0};
    while (step(l)) {}
    fr_code code = fr_table_check(l->t, &err);
    if (code != FR_OK) print_error("%s\n", err.text);
    assert_int_equal(code, FR_OK);
    assert_int_equal(fr_table_unreachable(l->t), 0);
    assert_null(l->t->bulk);
}

/* Every live vector is the first hit of itself, and the walk finds nearly all that the model names. */
static void judge(life *l, double wanted)
{
    uint32_t asked = 0, good = 0;
    float query[512];
    for (uint32_t i = 0; i < 40; i++) {
        rng_vector(&l->r, l->kind, l->m->dimension, query);
        good += check_search(l->t, l->s, l->m, query, 10, false, l->commit);
        asked += 10;
    }
    if ((double)good < wanted * asked) print_error("recall %.3f\n", (double)good / asked);
    assert_true((double)good >= wanted * asked);
    for (uint32_t key = 0; key < ROWS; key += 7)
        if (l->m->live[key]) assert_true(check_search(l->t, l->s, l->m, model_vector(l->m, key), 1, false, l->commit) == 1);
}

static void load(fr_metric metric, enum vector_kind kind, uint32_t dimension, bool writes)
{
    life l = begin(metric, kind, dimension);
    for (uint32_t key = 0; key < ROWS; key++) put(&l, key);
    for (uint32_t i = 0; step(&l); i++) {
        if (!writes || i % 3 != 0 || i > ROWS) continue;
        uint32_t key = rng_below(&l.r, ROWS);
        if (rng_below(&l.r, 3) == 0) table_remove(l.t, l.m, key, l.offset++, ++l.commit);
        else put(&l, key);
        fr_table_maintain(l.t, l.commit);
    }
    assert_true(l.bulks >= 1);
    settle(&l);
    judge(&l, 0.95);
    for (uint32_t key = 0; key < ROWS; key += 2) table_remove(l.t, l.m, key, l.offset++, ++l.commit); /* and repaired */
    while (step(&l)) fr_table_maintain(l.t, l.commit);
    for (uint32_t key = 0; key < ROWS; key += 2) put(&l, key); /* slots are reused */
    settle(&l);
    judge(&l, 0.95);
    end(&l);
}

static void bytes(void **state) { (void)state; load(FR_METRIC_L2, KIND_U8, 64, false); }
static void bytes_written_to(void **state) { (void)state; load(FR_METRIC_L2, KIND_U8, 16, true); }
static void floats_written_to(void **state) { (void)state; load(FR_METRIC_L2, KIND_F32, 20, true); }
static void clusters_written_to(void **state) { (void)state; load(FR_METRIC_COSINE, KIND_CLUSTERED, 24, true); }
static void signed_bytes_inner(void **state) { (void)state; load(FR_METRIC_IP, KIND_I8, 12, true); }

/* Small bulks on top of many linked rows, which are found through the graph. */
static void bulks_on_top(void **state)
{
    (void)state;
    life l = begin(FR_METRIC_L2, KIND_F32, 16);
    for (uint32_t key = 0; key < ROWS / 2; key++) put(&l, key);
    while (step(&l)) {}
    l.t->bulk_min = ROWS / 16;
    uint64_t first = l.bulks;
    for (uint32_t part = 0; part < 8; part++) {
        for (uint32_t i = 0; i < ROWS / 16; i++) put(&l, ROWS / 2 + part * (ROWS / 16) + i);
        while (step(&l)) {
            if (l.t->bulk != NULL) assert_true(l.t->bulk->reach && l.t->bulk->member_count == l.t->bulk->count);
            if (rng_below(&l.r, 16) == 0) table_remove(l.t, l.m, rng_below(&l.r, ROWS), l.offset++, ++l.commit);
            fr_table_maintain(l.t, l.commit);
        }
    }
    assert_true(l.bulks == first + 8);
    settle(&l);
    judge(&l, 0.95);
    end(&l);
}

/* Equal vectors and few distinct ones: no row may be lost, no group may be endless. */
static void equals(void **state)
{
    (void)state;
    life l = begin(FR_METRIC_L2, KIND_F32, 32);
    for (uint32_t key = 0; key < ROWS; key++) {
        for (uint32_t j = 0; j < 32; j++) model_vector(l.m, key)[j] = key % 3 == 0 ? 1.5f : (float)(key % 17) + 0.25f * (float)j;
        assert_int_equal(table_put(l.t, l.m, key, l.offset++, ++l.commit), FR_OK);
        fr_table_maintain(l.t, l.commit);
    }
    while (step(&l)) {}
    assert_true(l.bulks >= 1);
    settle(&l);
    end(&l);
}

/* Bytes until the middle of a bulk, then floats: the codes are swapped under it. */
static void codes_change(void **state)
{
    (void)state;
    life l = begin(FR_METRIC_L2, KIND_U8, 24);
    for (uint32_t key = 0; key < ROWS; key++) put(&l, key);
    while (l.t->bulk == NULL) assert_true(step(&l));
    for (uint32_t i = 0; i < 40; i++) step(&l);
    l.kind = KIND_F32;
    put(&l, 3);
    fr_table_maintain(l.t, l.commit);
    settle(&l);
    assert_true(l.bulks >= 1);
    l.kind = KIND_U8;
    judge(&l, 0.95);
    end(&l);
}

/* The second look: each fresh row stands in one piece, who is near those that are near takes the place of candidates that are worse,
 * and no chain hangs from back_head when links are chosen. */
static void looks_around(void **state)
{
    (void)state;
    life l = begin(FR_METRIC_L2, KIND_U8, 16);
    for (uint32_t key = 0; key < ROWS; key++) put(&l, key);
    while (l.t->bulk == NULL || l.t->bulk->phase != FR_BULK_AROUND) assert_true(step(&l));
    fr_bulk *b = l.t->bulk;
    assert_false(b->reach);
    bool *seen = calloc(b->count, sizeof *seen);
    for (uint32_t i = 0; i < b->count; i++) {
        assert_true(b->order[i] < b->count && !seen[b->order[i]]);
        seen[b->order[i]] = true;
    }
    free(seen);
    for (uint32_t i = 0; i < b->look_rows; i++) b->near_count[b->order[i]] = 16; /* the others are forgotten */
    fr_scratch *s = fr_scratch_borrow();
    fr_epoch_enter(s->epoch_slot);
    assert_true(fr_scratch_fit(s, l.t, 128));
    const fr_codeset *codes = fr_codes_of(l.t);
    fr_bulk_around(l.t, s, b, 0);
    uint32_t good = 0, wide = 0;
    for (uint32_t i = 0; i < b->look_rows; i++) { /* against all rows: the ten nearest are among the candidates */
        uint32_t place = b->order[i], row = b->members[place], nearer = 0;
        uint32_t rows[FR_WIDE_MAX], held = fr_bulk_candidates(b, place, FR_NEAREST, FR_WIDE_MAX, rows);
        float distances[FR_WIDE_MAX], tenth, distance;
        fr_space space;
        assert_true(held >= 10 && b->near_count[place] & FR_NEAR_ROWS);
        fr_space_of_row(&space, l.t, codes, row, s->q, s->vector, s->rotated);
        fr_space_distances(&space, rows, held, distances);
        for (uint32_t j = 1; j < held; j++) assert_true(rows[j] != row && rows[j] != rows[j - 1] && distances[j] >= distances[j - 1]);
        wide += held > FR_NEAR_MAX;
        tenth = distances[9];
        for (uint32_t other = 0; other < b->row_limit; other++) {
            if (other == row || !fr_row_alive(fr_row_at(l.t, other))) continue;
            fr_space_distances(&space, &other, 1, &distance);
            nearer += distance < tenth;
        }
        good += nearer <= 9;
    }
    fr_epoch_leave(s->epoch_slot);
    fr_scratch_return(s);
    if (good < b->look_rows * 8 / 10) fail_msg("%u of %u", good, b->look_rows);
    assert_true(wide >= b->look_rows / 2);
    while (l.t->bulk->phase == FR_BULK_AROUND) assert_true(step(&l));
    for (uint32_t row = 0; row < b->row_limit; row++) assert_int_equal(atomic_load(&b->back_head[row]), 0);
    settle(&l);
    judge(&l, 0.95);
    end(&l);
}

/* A row that chooses few links among the nearest looks at those behind them: it leads to some of them before links back are added. */
static void few_links_look_further(void **state)
{
    (void)state;
    life l = begin(FR_METRIC_IP, KIND_CLUSTERED, 24);
    uint32_t far[2] = {0};
    for (uint32_t key = 0; key < ROWS; key++) put(&l, key);
    while (l.t->bulk == NULL || l.t->bulk->phase != FR_BULK_LINK) assert_true(step(&l));
    fr_bulk *b = l.t->bulk;
    for (uint32_t i = 0; i < b->count; i += 2) /* every other row has the nearest alone */
        if ((b->near_count[i] & ~FR_NEAR_ROWS) > FR_NEAR_MAX) b->near_count[i] = FR_NEAR_MAX | FR_NEAR_ROWS;
    while (b->phase == FR_BULK_LINK) assert_true(step(&l));
    for (uint32_t i = 0; i < b->count; i++) {
        const uint32_t *rows = (const uint32_t *)(b->near + (size_t)i * FR_NEAR_MAX); /* what is cut off still stands there */
        for (uint32_t j = FR_NEAR_MAX; j < FR_WIDE_MAX; j++)
            far[i % 2] += rows[j] < b->row_limit && rows[j] != b->members[i] && fr_leads_to(l.t, b->members[i], rows[j]);
    }
    settle(&l);
    judge(&l, 0.95);
    end(&l);
    if (far[1] <= far[0] * 2 || far[1] < ROWS / 8) fail_msg("%u links to them, %u of rows that do not know them", far[1], far[0]);
}

/* The ten nearest of all rows, linked or not, are among the candidates of the rows of a piece that begins with none; none of them is dead. */
static void reaches_linked_rows(void **state)
{
    (void)state;
    life l = begin(FR_METRIC_L2, KIND_U8, 16);
    for (uint32_t key = 0; key < ROWS / 2; key++) put(&l, key);
    while (step(&l)) {}
    for (uint32_t key = ROWS / 2; key < ROWS * 5 / 8; key++) put(&l, key);
    while (l.t->bulk == NULL || l.t->bulk->phase != FR_BULK_AROUND) assert_true(step(&l));
    for (uint32_t key = 0; key < ROWS / 2; key += 3) table_remove(l.t, l.m, key, l.offset++, ++l.commit); /* still there, not repaired */
    fr_bulk *b = l.t->bulk;
    assert_true(b->reach);
    for (uint32_t i = 0; i < b->look_rows; i++) b->near_count[b->order[i]] = 0;
    fr_scratch *s = fr_scratch_borrow();
    fr_epoch_enter(s->epoch_slot);
    assert_true(fr_scratch_fit(s, l.t, 128));
    const fr_codeset *codes = fr_codes_of(l.t);
    fr_bulk_reach(l.t, s, b, 0);
    uint32_t good = 0, asked = 0, dead = 0;
    for (uint32_t i = 0; i < b->look_rows; i++) {
        uint32_t place = b->order[i], row = b->members[place], n = 0;
        fr_candidate all[ROWS];
        fr_space space;
        fr_space_of_row(&space, l.t, codes, row, s->q, s->vector, s->rotated);
        for (uint32_t other = 0; other < b->row_limit; other++) {
            if (other == row || !fr_row_alive(fr_row_at(l.t, other))) continue;
            all[n].row = other;
            fr_space_distances(&space, &other, 1, &all[n++].distance);
        }
        fr_sort_candidates(all, n);
        for (uint32_t j = 0; j < b->near_count[place]; j++) {
            uint32_t near = fr_near_row(b->near[(size_t)place * FR_NEAR_MAX + j]);
            dead += !fr_row_alive(fr_row_at(l.t, near));
            for (uint32_t k = 0; k < 10; k++) good += all[k].row == near;
        }
        asked += 10;
    }
    fr_epoch_leave(s->epoch_slot);
    fr_scratch_return(s);
    assert_int_equal(dead, 0);
    if (good < asked * 3 / 4) fail_msg("%u of %u", good, asked);
    settle(&l);
    judge(&l, 0.95);
    end(&l);
}

/* Dropped in the middle: nothing leaks (the sanitizer looks). */
static void freed_in_the_middle(void **state)
{
    (void)state;
    life l = begin(FR_METRIC_L2, KIND_U8, 8);
    for (uint32_t key = 0; key < ROWS; key++) put(&l, key);
    while (l.t->bulk == NULL) assert_true(step(&l));
    for (uint32_t i = 0; i < 60; i++) step(&l);
    assert_non_null(l.t->bulk);
    end(&l);
}

/* ==== from several threads ==== */

typedef struct crowd {
    life l;
    _Atomic bool stop;
    _Atomic uint64_t visible, misses, searches, bulks;
} crowd;

static void *linker(void *argument)
{
    crowd *c = argument;
    while (!atomic_load(&c->stop))
        if (!fr_table_link_step(c->l.t)) usleep(20);
    return NULL;
}

/* Keys of the upper half are put once and stay: each is found by its own vector at any time. */
static void *searcher(void *argument)
{
    crowd *c = argument;
    fr_scratch *s;
    rng r = {3};
    assert_int_equal(fr_scratch_create(&s), FR_OK);
    while (!atomic_load(&c->stop)) {
        uint32_t key = ROWS / 2 + rng_below(&r, ROWS / 2), count = 0;
        fr_row_hit hit = {0, 1};
        fr_table_enter(c->l.t, s);
        fr_table_query q = {.vector = model_vector(c->l.m, key), .k = 1, .ef = 128, .visible = atomic_load(&c->visible)};
        if (fr_table_search(c->l.t, s, &q, &hit, &count, NULL, NULL) != FR_OK || count != 1 || hit.distance > 1e-4f) atomic_fetch_add(&c->misses, 1);
        fr_table_leave(c->l.t, s);
        atomic_fetch_add(&c->searches, 1);
    }
    fr_scratch_free(s);
    return NULL;
}

/* Rows die in the middle of every piece; with few different vectors also while a group is divided. */
static void crowded(enum vector_kind kind, uint32_t dimension, uint32_t distinct)
{
    crowd *c = fr_zalloc(FR_MEM_TEST, sizeof *c);
    pthread_t threads[4];
    c->l = begin(FR_METRIC_L2, kind, dimension);
    life *l = &c->l;
    l->distinct = distinct;
    for (uint32_t key = 0; key < ROWS; key++) put(l, ROWS - 1 - key);
    atomic_store(&c->visible, l->commit);
    for (uint32_t i = 0; i < 4; i++) pthread_create(&threads[i], NULL, i < 3 ? linker : searcher, c);
    for (uint32_t i = 0; i < (distinct != 0 ? ROWS / 2 : ROWS * 2); i++) {
        uint32_t key = rng_below(&l->r, ROWS / 2);
        if (rng_below(&l->r, 4) == 0) table_remove(l->t, l->m, key, l->offset++, ++l->commit);
        else put(l, key);
        atomic_store(&c->visible, l->commit);
        fr_table_maintain(l->t, l->commit);
        fr_table_help_step(l->t, i % 2 == 0);
        fr_spin_lock(&l->t->bulk_lock);
        if (l->t->bulk != NULL) c->bulks++;
        fr_spin_unlock(&l->t->bulk_lock);
    }
    while (atomic_load(&l->t->ring_low) < atomic_load(&l->t->ring_tail)) usleep(200);
    atomic_store(&c->stop, true);
    for (uint32_t i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    assert_true(c->bulks >= 1);
    assert_true(c->searches >= 5);
    assert_int_equal(c->misses, 0);
    settle(l);
    if (distinct == 0) judge(l, 0.95);
    end(l);
    fr_free(FR_MEM_TEST, c);
}

static void together(void **state)
{
    (void)state;
    crowded(KIND_F32, 12, 0);
}

static void together_with_equals(void **state)
{
    (void)state;
    crowded(KIND_U8, 4096, 3); /* long rows: leaves of 512 */
}

int main(int argc, char **argv)
{
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes), cmocka_unit_test(bytes_written_to), cmocka_unit_test(floats_written_to), cmocka_unit_test(clusters_written_to),
        cmocka_unit_test(signed_bytes_inner), cmocka_unit_test(bulks_on_top), cmocka_unit_test(equals), cmocka_unit_test(codes_change), cmocka_unit_test(freed_in_the_middle),
        cmocka_unit_test(looks_around), cmocka_unit_test(few_links_look_further), cmocka_unit_test(reaches_linked_rows),
        cmocka_unit_test(together), cmocka_unit_test(together_with_equals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
