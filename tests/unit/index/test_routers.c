/* test_routers.c: the map of routers: when it is made, what it finds, and that its rows are hints which nobody believes. */
#include "tests/unit/index/router_tables.h"
#include "tests/unit/index/table_store.h"

#define ROWS (LESS > 1 ? 2000u : 4000u)

/* Rows that the map names, nearest first, for this vector. */
static uint32_t nearest(const lived *l, const void *vector, uint32_t starts, fr_candidate *out)
{
    fr_space space;
    fr_table_enter(l->table, l->s);
    assert_true(fr_scratch_fit(l->s, l->table, 64));
    fr_space_of_vector(&space, l->table, fr_codes_of(l->table), vector, l->s->q, l->s->rotated);
    uint32_t count = fr_routers_nearest(l->table, l->s, &space, starts);
    memcpy(out, l->s->pool, count * sizeof *out);
    fr_table_leave(l->table, l->s);
    return count;
}

static uint32_t search(const lived *l, const void *vector, uint32_t k, uint32_t ef, fr_row_hit *hits)
{
    uint32_t count;
    fr_search_info info;
    fr_table_query q = {.vector = vector, .k = k, .ef = ef, .visible = l->commit};
    assert_int_equal(fr_table_search(l->table, l->s, &q, hits, &count, &info, NULL), FR_OK);
    assert_string_equal(info.plan, "graph");
    return count;
}

static uint32_t key_of(const fr_table *t, uint32_t row)
{
    fr_row_view view;
    fr_table_row(t, row, &view);
    return span_key(view.key);
}

static void check_map(const lived *l)
{
    const fr_router_map *map = lived_map(l);
    assert_non_null(map);
    assert_ptr_equal(map->codes, fr_codes_of(l->table));
    assert_true(map->count > 0 && map->from[map->leaders] == map->count);
    for (uint32_t i = 0; i < map->count; i++) {
        assert_true(fr_row_alive(fr_row_at(l->table, map->rows[i])));
        assert_int_equal(fr_row_at(l->table, map->rows[i])->linked, FR_LINKED);
        for (uint32_t j = 0; j < i; j++) assert_int_not_equal(map->rows[j], map->rows[i]);
    }
}

/* ==== when it is made ==== */

static void small_tables_have_none(row_kind kind)
{
    fr_candidate found[FR_STARTS];
    lived l = lived_create(kind, FR_ROUTERS_FROM - 1);
    lived_maintain(&l);
    assert_null(lived_map(&l));
    assert_int_equal(fr_table_list(l.table, l.s, model_vector(l.m, 0)), 0);
    lived_put(&l, FR_ROUTERS_FROM, FR_ROUTERS_FROM);
    fr_table_maintain(l.table, l.commit);
    assert_null(lived_map(&l)); /* it waits to be linked */
    lived_link(&l);
    lived_maintain(&l);
    check_map(&l);
    assert_int_equal(lived_map(&l)->count, FR_ROUTERS_FROM / 4);
    assert_int_equal(nearest(&l, model_vector(l.m, 0), FR_STARTS, found), FR_STARTS);
    lived_free(&l);
}

static void small_coded_tables_have_none(void **state) { (void)state; small_tables_have_none(ROW_U8); }
static void small_plain_tables_have_none(void **state) { (void)state; small_tables_have_none(ROW_PLAIN); }

static void an_eighth_of_changes_makes_another(void **state)
{
    (void)state;
    enum { FIRST = 800 };
    lived l = lived_create(ROW_SQ8, FIRST);
    lived_maintain(&l);
    check_map(&l);
    uint64_t then = lived_map(&l)->changes_then;
    assert_int_equal(lived_map(&l)->rows_then, FIRST);
    for (uint32_t i = 0; i < FIRST / 8; i++) lived_put(&l, FIRST + i, FIRST + i);
    lived_link(&l);
    lived_maintain(&l);
    assert_int_equal(lived_map(&l)->changes_then, then);
    lived_put(&l, 2 * FIRST, 5);
    lived_link(&l);
    lived_maintain(&l);
    assert_int_equal(lived_map(&l)->changes_then, then + FIRST / 8 + 1);
    assert_int_equal(lived_map(&l)->rows_then, FIRST + FIRST / 8 + 1);
    for (uint32_t key = 0; key < 200; key++) lived_remove(&l, key); /* rows that end count, too */
    lived_link(&l);
    lived_maintain(&l);
    assert_true(lived_map(&l)->changes_then > then + FIRST / 8 + 1);
    check_map(&l);
    lived_free(&l);
}

static void its_bytes_are_counted(void **state)
{
    (void)state;
    lived l = lived_create(ROW_SQ8, 1000);
    fr_table_stats with, without;
    lived_maintain(&l);
    uint64_t count = lived_map(&l)->count, leaders = lived_map(&l)->leaders;
    fr_table_stats_get(l.table, &with);
    fr_router_map_free(atomic_exchange(&l.table->routers, NULL));
    fr_table_stats_get(l.table, &without);
    uint64_t bytes = with.bytes_links - without.bytes_links;
    assert_true(bytes >= (count + leaders) * (WIDTH + 4) + 4 * count && bytes <= (count + leaders) * (WIDTH + 8) + 4096);
    assert_int_equal(with.bytes - without.bytes, bytes);
    lived_free(&l);
}

/* ==== what it finds ==== */

static void rows_are_found(row_kind kind)
{
    lived l = lived_create(kind, ROWS);
    uint32_t own = 0, good = 0, lists = 0;
    bool seen[FR_TABLE_LISTS] = {0};
    lived_maintain(&l);
    check_map(&l);
    const fr_router_map *map = lived_map(&l);
    for (uint32_t i = 0; i < map->count; i++) { /* a router is the nearest of its own vector */
        fr_candidate found[FR_STARTS];
        fr_table_enter(l.table, l.s);
        const void *vector = model_vector(l.m, key_of(l.table, map->rows[i]));
        fr_table_leave(l.table, l.s);
        uint32_t count = nearest(&l, vector, FR_STARTS, found);
        assert_true(count >= 1 && count <= FR_STARTS);
        for (uint32_t j = 1; j < count; j++) assert_true(found[j].distance >= found[j - 1].distance);
        own += found[0].row == map->rows[i];
    }
    fr_table_enter(l.table, l.s);
    for (uint32_t key = 0; key < ROWS; key++) {
        fr_row_hit hit;
        good += search(&l, model_vector(l.m, key), 1, 32, &hit) == 1 && key_of(l.table, hit.row) == key;
        uint32_t list = fr_table_list(l.table, l.s, model_vector(l.m, key));
        assert_true(list < map->leaders);
        lists += !seen[list];
        seen[list] = true;
    }
    fr_table_leave(l.table, l.s);
    if (own * 100 < map->count * 97 || good * 100 < ROWS * 98) print_error("kind %u: own %u of %u, rows %u of %u\n", kind, own, map->count, good, ROWS);
    assert_true(own * 100 >= map->count * 97);
    assert_true(good * 100 >= ROWS * 98);
    assert_true(lists >= (kind == ROW_PLAIN ? 1 : map->leaders / 2));
    lived_free(&l);
}

static void u8_is_found(void **state) { (void)state; rows_are_found(ROW_U8); }
static void sq8_is_found(void **state) { (void)state; rows_are_found(ROW_SQ8); }
static void plain_is_found(void **state) { (void)state; rows_are_found(ROW_PLAIN); }
static void cosine_is_found(void **state) { (void)state; rows_are_found(ROW_COSINE); }
static void ip_is_found(void **state) { (void)state; rows_are_found(ROW_IP); }
static void bits_are_found(void **state) { (void)state; rows_are_found(ROW_BIT); }

/* ==== whose rows are others by now ==== */

static void put_bare(lived *l, uint32_t key)
{
    char room[24];
    fr_put_result result;
    l->commit++;
    fr_row_data row = {.key = key_span(key, room), .source_time_ms = FR_TIME_NONE, .offset = (fr_offset)l->commit};
    assert_int_equal(fr_table_put(l->table, &row, l->commit, &result, NULL), FR_OK);
}

/* Hits live, have vectors, and have the distances of these; most of the true ones are among them. */
static void check_searches(const lived *l, double recall)
{
    enum { COUNT = 60, K = 10 };
    float query[WIDTH];
    double good = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        row_vector(l->kind, i % 2 ? i * 7 : 1000000 + i, query); /* also those of rows that went */
        good += check_search(l->table, l->s, l->m, query, K, false, l->commit);
    }
    if (good < recall * COUNT * K) print_error("recall %.3f\n", good / (COUNT * K));
    assert_true(good >= recall * COUNT * K);
}

static void slots_are_used_again(row_kind kind)
{
    enum { BARE_FROM = 10000, NEW_FROM = 5000 };
    lived l = lived_create(kind, ROWS);
    lived_maintain(&l);
    check_map(&l);
    map_stays(&l);
    const fr_router_map *map = lived_map(&l);
    uint32_t routers = map->count, bare = 0, fresh = 0, linked = 0, gone = routers;
    for (uint32_t i = 0; i < routers; i++) lived_remove(&l, key_of(l.table, map->rows[i]));
    for (uint32_t key = 0; key < ROWS; key += 4)
        if (l.m->live[key]) lived_remove(&l, key), gone++;
    check_searches(&l, 0.9);
    lived_maintain(&l);
    check_searches(&l, 0.9); /* free slots */
    for (uint32_t i = 0; i < gone; i++)
        if (i % 2) put_bare(&l, BARE_FROM + i);
        else lived_put(&l, NEW_FROM + i, 900000 + i);
    check_searches(&l, 0.9); /* not linked */
    for (uint32_t i = 0; i < routers; i++) {
        uint8_t state = fr_row_at(l.table, map->rows[i])->linked;
        bare += state == FR_BARE, fresh += state == FR_UNLINKED;
    }
    if (bare + fresh != routers) print_error("%u bare, %u fresh of %u, %u gone\n", bare, fresh, routers, gone);
    assert_true(bare + fresh == routers && bare >= routers / 4 && fresh >= routers / 4);
    for (uint32_t i = 0; i < routers; i++) {
        fr_candidate found[FR_STARTS];
        assert_int_equal(nearest(&l, model_vector(l.m, i), FR_STARTS, found), 0); /* none of them is linked now */
    }
    lived_link(&l);
    check_searches(&l, 0.9);
    assert_ptr_equal(lived_map(&l), map);
    for (uint32_t i = 0; i < ROWS; i += 5) {
        fr_candidate found[FR_STARTS];
        uint32_t count = nearest(&l, model_vector(l.m, i), FR_STARTS, found);
        for (uint32_t j = 0; j < count; j++) { /* other rows: their distances are those of what stands there now */
            assert_int_equal(fr_row_at(l.table, found[j].row)->linked, FR_LINKED);
            double d = true_distance(FR_METRIC_L2, model_vector(l.m, i), model_vector(l.m, key_of(l.table, found[j].row)), WIDTH);
            assert_true(fabs(d - (double)found[j].distance) <= 0.05 * d + 0.5);
            linked++;
        }
    }
    assert_true(linked > ROWS / 10);
    lived_free(&l);
}

static void coded_slots_are_used_again(void **state) { (void)state; slots_are_used_again(ROW_U8); }
static void rounded_slots_are_used_again(void **state) { (void)state; slots_are_used_again(ROW_SQ8); }
static void plain_slots_are_used_again(void **state) { (void)state; slots_are_used_again(ROW_PLAIN); }

static void other_codes_end_it(void **state)
{
    (void)state;
    lived l = lived_create(ROW_U8, ROWS);
    fr_candidate found[FR_STARTS];
    lived_maintain(&l);
    check_map(&l);
    map_stays(&l);
    const fr_codeset *before = fr_codes_of(l.table);
    l.kind = ROW_SQ8; /* halves: the bytes are left */
    lived_put(&l, ROWS, ROWS);
    assert_int_equal(fr_codes_of(l.table)->kind, FR_CODE_SQ8);
    assert_null(lived_map(&l)); /* not kept: other codes may come to lie where those lay */
    assert_int_equal(nearest(&l, model_vector(l.m, 1), FR_STARTS, found), 0);
    l.kind = ROW_U8;
    check_searches(&l, 0.9);
    lived_link(&l);
    lived_maintain(&l);
    assert_ptr_not_equal(fr_codes_of(l.table), before);
    check_map(&l);
    assert_int_equal(nearest(&l, model_vector(l.m, 1), FR_STARTS, found), FR_STARTS);
    check_searches(&l, 0.9);
    lived_free(&l);
}

static void loaded_tables_have_one(row_kind kind)
{
    static memory_store store;
    lived l = lived_create(kind, ROWS), again = l;
    fr_table_options options = row_options(kind);
    lived_maintain(&l);
    fr_router_map_free(atomic_exchange(&l.table->routers, NULL)); /* as new as the other's */
    fr_table_maintain(l.table, l.commit);
    fr_offset at = (fr_offset)l.commit;
    assert_int_equal(save_table(l.table, &store, at, true), FR_OK);
    again.table = load_table(&options, &store, at);
    check_map(&again);
    assert_int_equal(lived_map(&again)->count, lived_map(&l)->count);
    for (uint32_t i = 0; i < ROWS; i += 17) {
        fr_row_hit hits[10], others[10];
        again.commit = FR_VISIBLE_ALL;
        fr_table_enter(l.table, l.s);
        assert_int_equal(search(&l, model_vector(l.m, i), 10, 32, hits), 10);
        fr_table_leave(l.table, l.s);
        fr_table_enter(again.table, l.s);
        assert_int_equal(search(&again, model_vector(l.m, i), 10, 32, others), 10);
        fr_table_leave(again.table, l.s);
        for (uint32_t j = 0; j < 10; j++) assert_true(hits[j].row == others[j].row && hits[j].distance == others[j].distance);
    }
    fr_table_free(again.table);
    store_clear(&store);
    lived_free(&l);
}

static void loaded_sq8_has_one(void **state) { (void)state; loaded_tables_have_one(ROW_SQ8); }
static void loaded_bits_have_one(void **state) { (void)state; loaded_tables_have_one(ROW_BIT); }

int main(int argc, char **argv)
{
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_coded_tables_have_none), cmocka_unit_test(small_plain_tables_have_none),
        cmocka_unit_test(an_eighth_of_changes_makes_another), cmocka_unit_test(its_bytes_are_counted),
        cmocka_unit_test(u8_is_found), cmocka_unit_test(sq8_is_found), cmocka_unit_test(plain_is_found),
        cmocka_unit_test(cosine_is_found), cmocka_unit_test(ip_is_found), cmocka_unit_test(bits_are_found),
        cmocka_unit_test(coded_slots_are_used_again), cmocka_unit_test(rounded_slots_are_used_again), cmocka_unit_test(plain_slots_are_used_again),
        cmocka_unit_test(other_codes_end_it), cmocka_unit_test(loaded_sq8_has_one), cmocka_unit_test(loaded_bits_have_one)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
