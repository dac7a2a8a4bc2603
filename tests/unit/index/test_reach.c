/* test_reach.c: walks that end by distance: what the table measures for them, and that ef means what it meant. */
#include "tests/unit/index/router_tables.h"

#define ROWS    2500u
#define QUERIES 80u

typedef struct outcome {
    double recall, distances;
} outcome;

/* Of queries that are no rows, at this ef; recall among `k` against the exact search. */
static outcome outcome_of(const lived *l, uint32_t k, uint32_t ef)
{
    outcome o = {0, 0};
    float query[WIDTH];
    for (uint32_t i = 0; i < QUERIES; i++) {
        fr_row_hit hits[64], truth[64];
        uint32_t count, all;
        fr_search_info info;
        row_vector(l->kind, 1000000 + i, query);
        fr_table_query q = {.vector = query, .k = k, .ef = ef, .visible = l->commit};
        fr_table_enter(l->table, l->s);
        assert_int_equal(fr_table_search(l->table, l->s, &q, hits, &count, &info, NULL), FR_OK);
        assert_string_equal(info.plan, "graph");
        o.distances += (double)info.distances / QUERIES;
        q.exact = true;
        assert_int_equal(fr_table_search(l->table, l->s, &q, truth, &all, NULL, NULL), FR_OK);
        fr_table_leave(l->table, l->s);
        assert_true(count == k && all == k);
        for (uint32_t j = 0; j < k; j++) o.recall += hits[j].distance <= truth[k - 1].distance ? 1.0 / (QUERIES * k) : 0;
    }
    return o;
}

static outcome plainly(const lived *l, uint32_t k, uint32_t ef)
{
    float growth = atomic_exchange(&lived_map(l)->growth, 0.0f);
    outcome o = outcome_of(l, k, ef);
    atomic_store(&lived_map(l)->growth, growth);
    return o;
}

/* Rows of FREEDOM degrees: squared distances grow as rank ^ (2 / FREEDOM), a little faster at the rim, where most rows are. */
static void ef_means_what_it_meant(row_kind kind)
{
    lived l = lived_create(kind, ROWS);
    lived_maintain(&l);
    float growth = lived_map(&l)->growth;
    assert_true(growth > 1.0f / FREEDOM && growth < 4.0f / FREEDOM);
    outcome before = {0, 0}, plain = plainly(&l, 10, 10), same = outcome_of(&l, 10, 10);
    assert_true(plain.recall == same.recall && plain.distances == same.distances);
    for (uint32_t ef = 10; ef <= 160; ef *= 4) { /* wider is never worse */
        outcome here = outcome_of(&l, 10, ef);
        plain = plainly(&l, 10, ef);
        if (here.recall < plain.recall - 0.01 || here.distances > 1.5 * plain.distances)
            print_error("kind %u ef %u: recall %.4f, distances %.0f; by places %.4f, %.0f\n", kind, ef, here.recall, here.distances, plain.recall, plain.distances);
        assert_true(here.recall >= before.recall && here.distances > before.distances);
        assert_true(here.recall >= plain.recall - 0.01);
        assert_true(here.distances <= 1.5 * plain.distances && here.distances >= 0.6 * plain.distances);
        if (ef > 10) assert_true(here.distances != plain.distances); /* it ended by distance */
        before = here;
    }
    outcome one = outcome_of(&l, 1, 40), many = outcome_of(&l, 50, 100), wide = plainly(&l, 50, 100);
    assert_true(one.recall >= 0.97 && many.recall >= wide.recall - 0.01);
    assert_true(many.distances <= 1.5 * wide.distances && many.distances >= 0.6 * wide.distances);
    lived_free(&l);
}

static void of_u8(void **state) { (void)state; ef_means_what_it_meant(ROW_U8); }
static void of_sq8(void **state) { (void)state; ef_means_what_it_meant(ROW_SQ8); }
static void of_cosine(void **state) { (void)state; ef_means_what_it_meant(ROW_COSINE); }
static void of_plain(void **state) { (void)state; ef_means_what_it_meant(ROW_PLAIN); }

static void of_inner_products(void **state) { (void)state; ef_means_what_it_meant(ROW_IP); }

/* Greater inner products than any with a row that was measured: no distance, so no end by it. */
static void longer_rows_are_found(void **state)
{
    (void)state;
    lived l = lived_create(ROW_IP, ROWS);
    lived_maintain(&l);
    assert_true(lived_map(&l)->growth > 0 && lived_map(&l)->longest > 0.9f && lived_map(&l)->longest < 1.1f);
    atomic_store(&lived_map(&l)->longest, 0.2f);
    assert_true(outcome_of(&l, 10, 96).recall >= 0.95);
    lived_free(&l);
    l = lived_create(ROW_IP, 0);
    for (uint32_t key = 0; key < ROWS; key++) { /* one in fifty ten times as long as the others */
        float *vector = model_vector(l.m, key);
        row_vector(ROW_IP, key, vector);
        for (uint32_t j = 0; j < WIDTH && key % 50 == 0; j++) vector[j] *= 10;
        l.commit++;
        assert_int_equal(table_put(l.table, l.m, key, (fr_offset)l.commit, l.commit), FR_OK);
        if (key % 256 == 255) fr_table_maintain(l.table, l.commit);
    }
    lived_link(&l);
    lived_maintain(&l);
    assert_true(lived_map(&l)->growth == 0 && lived_map(&l)->longest == 0);
    lived_free(&l);
}

/* All rows but a few are one point: its neighbours say nothing of how distances grow. */
static void equal_rows_have_none(void **state)
{
    (void)state;
    lived l = lived_create(ROW_U8, 100);
    float one[WIDTH];
    row_vector(ROW_U8, 7777, one);
    for (uint32_t key = 100; key < ROWS; key++) lived_put(&l, key, 7777);
    lived_link(&l);
    lived_maintain(&l);
    assert_non_null(lived_map(&l));
    assert_true(lived_map(&l)->growth == 0);
    fr_row_hit hits[10];
    uint32_t count;
    fr_table_query q = {.vector = one, .k = 10, .ef = 64, .visible = l.commit};
    fr_table_enter(l.table, l.s);
    assert_int_equal(fr_table_search(l.table, l.s, &q, hits, &count, NULL, NULL), FR_OK);
    fr_table_leave(l.table, l.s);
    assert_true(count == 10 && hits[9].distance == 0);
    lived_free(&l);
}

/* As dear as 96 walks: kept while the table is about what it was, taken again once half of it changed. */
static void it_is_measured_again(void **state)
{
    (void)state;
    lived l = lived_create(ROW_SQ8, 2000);
    lived_maintain(&l);
    float growth = lived_map(&l)->growth;
    uint64_t then = lived_map(&l)->measured_then, changes = lived_map(&l)->changes_then;
    assert_true(growth > 0);
    for (uint32_t i = 0; i < 300; i++) lived_put(&l, 2000 + i, 2000 + i);
    lived_link(&l);
    lived_maintain(&l);
    assert_true(lived_map(&l)->changes_then > changes); /* another map */
    assert_true(lived_map(&l)->measured_then == then && lived_map(&l)->growth == growth);
    for (uint32_t i = 0; i < 2100; i++) lived_put(&l, 2300 + i, 2300 + i);
    lived_link(&l);
    lived_maintain(&l);
    assert_true(lived_map(&l)->measured_then > then && lived_map(&l)->growth > 0);
    lived_free(&l);
}

int main(int argc, char **argv)
{
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_u8), cmocka_unit_test(of_sq8), cmocka_unit_test(of_cosine), cmocka_unit_test(of_plain),
        cmocka_unit_test(of_inner_products), cmocka_unit_test(longer_rows_are_found), cmocka_unit_test(equal_rows_have_none), cmocka_unit_test(it_is_measured_again)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
