/* test_deep.c: the walk of all rows of a filter that many pass: as deep as the k-th that passes, not as a share says; and what documents it asks. */
#include "tests/unit/index/router_tables.h"
#include "tests/unit/index/filter_model.h"

#define ROWS    2500u
#define QUERIES 60u

typedef struct deep {
    lived l;
    fr_doc_builder b;
} deep;

/* The first of the numbers that row_vector makes a vector of. */
static float first_of(uint64_t seed)
{
    rng r = {fr_mix64(seed)};
    return rng_float(&r);
}

/* part: any of 100; plain: the same without a column; side: 1 where the first number is above 0. */
static void put_row(deep *d, uint32_t key)
{
    char room[24];
    float vector[WIDTH];
    fr_put_result result;
    row_vector(d->l.kind, key, vector);
    fr_row_data row = {.key = key_span(key, room), .vector = vector, .source_time_ms = FR_TIME_NONE, .offset = (fr_offset)key};
    fr_doc_reset(&d->b);
    fr_doc_begin_object(&d->b);
    key_of(&d->b, "part"), fr_doc_put_int(&d->b, (int64_t)(fr_mix64(key + 5) % 100));
    key_of(&d->b, "plain"), fr_doc_put_int(&d->b, (int64_t)(fr_mix64(key + 5) % 100));
    key_of(&d->b, "side"), fr_doc_put_int(&d->b, first_of(key) > 0);
    fr_doc_end_object(&d->b);
    assert_int_equal(fr_doc_finish(&d->b, &row.metadata), FR_OK);
    assert_int_equal(fr_table_put(d->l.table, &row, ++d->l.commit, &result, NULL), FR_OK);
    if (key % 256 == 255) fr_table_maintain(d->l.table, d->l.commit);
}

static deep deep_create(row_kind kind)
{
    deep d = {.l = lived_create(kind, 0)};
    fr_table_options options = row_options(kind);
    options.indexed_count = 2;
    snprintf(options.indexed[0], sizeof options.indexed[0], "part");
    snprintf(options.indexed[1], sizeof options.indexed[1], "side");
    fr_table_free(d.l.table);
    assert_int_equal(fr_table_create(&options, &d.l.table, NULL), FR_OK);
    d.l.table->bulk_min = 200;
    for (uint32_t key = 0; key < ROWS; key++) put_row(&d, key);
    lived_link(&d.l);
    lived_maintain(&d.l);
    while (fr_table_columns_wait(d.l.table)) fr_table_maintain(d.l.table, d.l.commit);
    assert_true(lived_map(&d.l)->growth > 0);
    return d;
}

static void deep_free(deep *d)
{
    fr_doc_free(&d->b);
    lived_free(&d->l);
}

typedef struct outcome {
    double recall, distances, documents;
} outcome;

/* low: only queries whose first number is below it. */
static outcome outcome_at(deep *d, uint32_t ef, const char *text, float low)
{
    outcome o = {0, 0, 0};
    fr_filter *filter;
    float query[WIDTH];
    assert_int_equal(fr_filter_compile(fr_span_text(text), &filter_schema, (fr_span){NULL, 0}, &filter, NULL), FR_OK);
    uint64_t seed = 1000000;
    for (uint32_t i = 0; i < QUERIES; i++) {
        fr_row_hit hits[10], truth[10];
        uint32_t count, all;
        fr_search_info info;
        while (first_of(++seed) >= low) {}
        row_vector(d->l.kind, seed, query);
        fr_table_query q = {.vector = query, .k = 10, .ef = ef, .filter = filter, .visible = d->l.commit, .plan = FR_PLAN_WALK};
        fr_table_enter(d->l.table, d->l.s);
        assert_int_equal(fr_table_search(d->l.table, d->l.s, &q, hits, &count, &info, NULL), FR_OK);
        assert_string_equal(info.plan, "graph");
        o.distances += (double)info.distances / QUERIES;
        o.documents += (double)info.filter_checked / QUERIES;
        q.exact = true;
        assert_int_equal(fr_table_search(d->l.table, d->l.s, &q, truth, &all, NULL, NULL), FR_OK);
        fr_table_leave(d->l.table, d->l.s);
        assert_true(count == 10 && all == 10);
        for (uint32_t j = 0; j < 10; j++) o.recall += hits[j].distance <= truth[9].distance ? 1.0 / (QUERIES * 10) : 0;
    }
    fr_filter_free(filter);
    return o;
}

static outcome outcome_of(deep *d, const char *text, float low) { return outcome_at(d, 96, text, low); }

/* As a table asks that has not measured how its distances grow. */
static outcome plainly(deep *d, const char *text, float low)
{
    float growth = atomic_exchange(&lived_map(&d->l)->growth, 0.0f);
    outcome o = outcome_of(d, text, low);
    atomic_store(&lived_map(&d->l)->growth, growth);
    return o;
}

static void it_ends_by_distance(row_kind kind)
{
    static const struct { const char *text; double most; } cases[] = {{"part >= 0", 1.1}, {"part < 50", 0.85}, {"part < 30", 0.75}, {"plain * 2 < 60", 0.75}};
    deep d = deep_create(kind);
    for (uint32_t i = 0; i < FR_COUNT_OF(cases); i++) {
        outcome here = outcome_of(&d, cases[i].text, 2), plain = plainly(&d, cases[i].text, 2);
        print_message("kind %u, %s: recall %.4f, %.0f distances, %.0f documents; plainly %.4f, %.0f, %.0f\n", kind, cases[i].text, here.recall, here.distances,
                      here.documents, plain.recall, plain.distances, plain.documents);
        assert_true(here.recall >= 0.95);
        assert_true(here.distances <= cases[i].most * plain.distances);
        assert_true(here.documents <= plain.documents);
    }
    deep_free(&d);
}

static void of_u8(void **state) { (void)state; it_ends_by_distance(ROW_U8); }
static void of_sq8(void **state) { (void)state; it_ends_by_distance(ROW_SQ8); }
static void of_inner_products(void **state) { (void)state; it_ends_by_distance(ROW_IP); }

/* Half of the rows pass, none of them near the query: the k-th is deeper than the share says, and the walk goes on to it. */
static void it_goes_on_to_the_kth(void **state)
{
    (void)state;
    deep d = deep_create(ROW_SQ8);
    for (uint32_t ef = 10; ef <= 90; ef += 40) {
        outcome mixed = outcome_at(&d, ef, "part < 50", 2), far = outcome_at(&d, ef, "side == 1", -0.8f), near = outcome_at(&d, ef, "side == 0", -0.8f);
        print_message("ef %u: mixed %.4f, %.0f distances; far %.4f, %.0f; near %.4f, %.0f\n", ef, mixed.recall, mixed.distances, far.recall, far.distances, near.recall, near.distances);
        assert_true(far.recall >= 0.95 && near.recall >= 0.95 && mixed.recall >= 0.95);
        assert_true(near.distances < 1.1 * mixed.distances);
    }
    deep_free(&d);
}

int main(int argc, char **argv)
{
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {cmocka_unit_test(of_u8), cmocka_unit_test(of_sq8), cmocka_unit_test(of_inner_products), cmocka_unit_test(it_goes_on_to_the_kth)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
