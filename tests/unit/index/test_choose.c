/* test_choose.c: links are chosen by the rule, whatever the codes: what is chosen is no nearer to another chosen row than the slack
 * allows, what is passed over is, links of the tree stay, dead rows do not, nothing stands twice. Judged by distances one at a time. */
#include "tests/unit/index/table_model.h"

#define ROWS  400u
#define SLACK 1.1

typedef struct world {
    fr_table *t;
    fr_scratch *s;
    model *m;
    rng r;
    fr_metric metric;
} world;

static double between(const world *w, uint32_t a, uint32_t b)
{
    float d;
    fr_space space;
    fr_space_of_row(&space, w->t, fr_codes_of(w->t), a, w->s->q, w->s->vector, w->s->rotated);
    fr_space_distances(&space, &b, 1, &d);
    return (double)d;
}

static double reach(const world *w, double distance) { return w->metric == FR_METRIC_IP ? distance : distance / SLACK; }

/* Does the chosen row pass over the candidate? strict: beyond doubt of rounding. */
static bool passes(const world *w, uint32_t chosen, const fr_candidate *c, bool strict)
{
    double d = between(w, chosen, c->row), bound = reach(w, (double)c->distance), error = 1e-4 * fabs(bound) + 1e-6;
    if (w->metric != FR_METRIC_IP && d == 0) return true;
    return d < bound + (strict ? -error : error);
}

static void judge(const world *w, uint32_t owner, const fr_candidate *candidates, uint32_t count, uint32_t max)
{
    uint32_t chosen[FR_LANES_MAX], tree = 0, at = 0, place[FR_LANES_MAX];
    uint32_t n = fr_select(w->t, w->s, fr_codes_of(w->t), owner, candidates, count, max, chosen);
    bool filled = n <= 6; /* passed over, and taken all the same */
    assert_true(n <= max);
    for (uint32_t i = 0; i < count && owner != FR_ROW_NONE; i++) tree += fr_tree_link(w->t, owner, candidates[i].row);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t p = 0;
        while (p < count && candidates[p].row != chosen[i]) p++;
        assert_true(p < count);
        if (i != 0 && !filled) assert_true(p > at);
        place[i] = at = p;
        bool of_tree = owner != FR_ROW_NONE && fr_tree_link(w->t, owner, chosen[i]);
        tree -= of_tree;
        if (!of_tree) assert_true(fr_row_alive(fr_row_at(w->t, chosen[i])));
        for (uint32_t j = 0; j < i; j++) {
            assert_true(chosen[j] != chosen[i]);
            if (!filled && !of_tree) assert_false(passes(w, chosen[j], &candidates[p], true));
        }
    }
    assert_int_equal(tree, 0);
    uint32_t end = n < max ? count : at;
    for (uint32_t p = 0, next = 0; p < end && !filled; p++) { /* whoever was not taken was passed over by one before it */
        if (next < n && place[next] == p) {
            next++;
            continue;
        }
        if (!fr_row_alive(fr_row_at(w->t, candidates[p].row))) continue;
        bool over = false;
        for (uint32_t j = 0; j < next && !over; j++) over = passes(w, chosen[j], &candidates[p], false);
        if (!over && owner == FR_ROW_NONE) fail_msg("candidate %u of %u is as good as the chosen", p, count);
    }
}

static void lives(fr_metric metric, enum vector_kind kind, uint32_t dimension, fr_codes codes)
{
    world w = {.m = model_create(dimension), .r = {dimension + metric * 31u}, .metric = metric};
    fr_table_options options = {.dimension = dimension, .metric = metric, .seed = 9, .codes = codes};
    fr_offset offset = 0;
    uint64_t commit = 0;
    assert_int_equal(fr_table_create(&options, &w.t, NULL), FR_OK);
    assert_int_equal(fr_scratch_create(&w.s), FR_OK);
    for (uint32_t key = 0; key < ROWS; key++) {
        rng_vector(&w.r, kind, dimension, model_vector(w.m, key));
        if (key % 10 == 9) memcpy(model_vector(w.m, key), model_vector(w.m, key - 1), dimension * sizeof(float)); /* equal ones */
        assert_int_equal(table_put(w.t, w.m, key, offset++, ++commit), FR_OK);
    }
    fr_table_maintain(w.t, commit);
    while (fr_table_link_step(w.t)) {}
    for (uint32_t key = 0; key < ROWS; key += 13) table_remove(w.t, w.m, key, offset++, ++commit);
    fr_table_enter(w.t, w.s);
    assert_true(fr_scratch_fit(w.s, w.t, 256));
    for (uint32_t round = 0; round < 60; round++) {
        uint32_t owner = rng_below(&w.r, ROWS), count = 0, want = 1 + rng_below(&w.r, round % 3 == 0 ? 200 : 60);
        fr_candidate candidates[200];
        for (uint32_t i = 0; i < ROWS && count < want; i++) {
            uint32_t row = (i * 7 + round) % ROWS;
            if (row == owner) continue;
            candidates[count++] = (fr_candidate){(float)between(&w, owner, row), row};
        }
        fr_sort_candidates(candidates, count);
        judge(&w, FR_ROW_NONE, candidates, count, 1 + rng_below(&w.r, 32));
        judge(&w, owner, candidates, count, 32);
    }
    fr_table_leave(w.t, w.s);
    fr_scratch_free(w.s);
    fr_table_free(w.t);
    model_free(w.m);
}

static void bytes(void **state) { (void)state; lives(FR_METRIC_L2, KIND_U8, 64, FR_CODES_SQ8); }
static void wide_bytes(void **state) { (void)state; lives(FR_METRIC_L2, KIND_U8, 300, FR_CODES_SQ8); } /* constants are read */
static void signed_bytes(void **state) { (void)state; lives(FR_METRIC_L2, KIND_I8, 24, FR_CODES_SQ8); }
static void floats(void **state) { (void)state; lives(FR_METRIC_L2, KIND_F32, 20, FR_CODES_SQ8); }
static void cosines(void **state) { (void)state; lives(FR_METRIC_COSINE, KIND_CLUSTERED, 24, FR_CODES_SQ8); }
static void inner_bytes(void **state) { (void)state; lives(FR_METRIC_IP, KIND_U8, 16, FR_CODES_SQ8); }
static void inner_signed(void **state) { (void)state; lives(FR_METRIC_IP, KIND_I8, 70, FR_CODES_SQ8); }
static void inner_floats(void **state) { (void)state; lives(FR_METRIC_IP, KIND_F32, 40, FR_CODES_SQ8); }
static void originals(void **state) { (void)state; lives(FR_METRIC_L2, KIND_F32, 12, FR_CODES_NONE); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes),        cmocka_unit_test(wide_bytes),   cmocka_unit_test(signed_bytes),
        cmocka_unit_test(floats),       cmocka_unit_test(cosines),      cmocka_unit_test(inner_bytes),
        cmocka_unit_test(inner_signed), cmocka_unit_test(inner_floats), cmocka_unit_test(originals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
