/* freshet.durability: never weaker than sync unless a plain topic asks for it; what a power cut may take, and what it may not. */
#include "tests/unit/engine/topic_help.h"
#include "tests/sim/io_sim.c"

static uint64_t rounds(fr_db *db)
{
    fr_stats stats;
    fr_stats_get(db, &stats);
    return stats.sync_rounds;
}

static fr_id topic_with(fr_db *db, const char *name, const char *durability)
{
    fr_id id;
    const fr_topic_config configs[] = {{"retention.ms", "-1"}, {"freshet.durability", durability}};
    assert_int_equal(make_topic(db, name, 1, configs, durability != NULL ? 2 : 1, &id, NULL), FR_OK);
    return id;
}

static fr_durability durability_of(fr_db *db, fr_id id)
{
    fr_topic_info info;
    assert_int_equal(fr_topic_get(db, id, &info), FR_OK);
    return info.durability;
}

static void sync_unless_asked(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id plain = topic_with(db, "plain", NULL), none = topic_with(db, "none", "none"), interval = topic_with(db, "interval", "interval"), c;
    assert_int_equal(durability_of(db, plain), FR_DURABILITY_SYNC);
    assert_int_equal(durability_of(db, none), FR_DURABILITY_NONE);
    uint64_t before = rounds(db);
    for (int i = 0; i < 20; i++) assert_int_equal(produce(db, none, 0, NULL, 0, 1, "v").base_offset, i);
    assert_int_equal(rounds(db), before); /* no fdatasync */
    assert_int_equal(consume(db, none, 0, 0, false).records, 20);
    assert_int_equal(produce(db, plain, 0, NULL, 0, 1, "v").base_offset, 0);
    assert_true(rounds(db) > before);
    assert_int_equal(produce(db, interval, 0, NULL, 0, 1, "v").base_offset, 0);
    fr_log *log = fr_shard_log(&fr_map_by_id(atomic_load(&db->map), interval)->shards[0]);
    for (int i = 0; i < 3000 && fr_log_unsynced(log); i++) usleep(10000);
    assert_false(fr_log_unsynced(log)); /* about a second later */
    fr_reason reason;
    fr_topic_config config = {"freshet.durability", "maybe"};
    assert_int_equal(make_topic(db, "x", 1, &config, 1, NULL, &reason), FR_ERR_INVALID);
    assert_int_equal(reason, FR_REASON_INVALID_CONFIG);
    must(create_collection(db, "c", 1, FR_METRIC_L2, &c, err));
    config.value = "none";
    fr_topic_change change = {.configs = &config, .config_count = 1};
    fr_write w = {.kind = FR_WRITE_TOPIC_CONFIGS, .id = c, .topic = &change};
    assert_int_equal(fr_submit_wait(db, &w, NULL), FR_ERR_INVALID); /* a collection's log is its database */
    assert_int_equal(w.reason, FR_REASON_POLICY_VIOLATION);
    w = (fr_write){.kind = FR_WRITE_TOPIC_CONFIGS, .id = plain, .topic = &change};
    must(fr_submit_wait(db, &w, err));
    assert_int_equal(durability_of(db, plain), FR_DURABILITY_NONE);
    fr_engine_abandon(db); /* kill -9: the page cache stays */
    db = open_db();
    assert_int_equal(durability_of(db, plain), FR_DURABILITY_NONE);
    assert_int_equal(consume(db, none, 0, 0, false).records, 20);
    assert_int_equal(produce(db, none, 0, NULL, 0, 1, "v").base_offset, 20);
    fr_close(db);
}

/* A power cut takes the unsynced end of what asked for it, and nothing of the others; the log goes on from there. */
static void a_power_cut(void **state)
{
    (void)state;
    uint32_t lost = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        io_sim *sim = io_sim_create(seed);
        const fr_options options = {.no_threads = true, .io = io_sim_io(sim), .no_snapshot_on_close = true};
        fr_db *db = NULL;
        must(fr_open("/d", &options, &db, err));
        fr_id plain = topic_with(db, "plain", NULL), none = topic_with(db, "none", "none");
        for (int i = 0; i < 10; i++) {
            assert_int_equal(produce(db, none, 0, NULL, 0, 3, "a value of some length").reason, FR_REASON_NONE);
            assert_int_equal(produce(db, plain, 0, NULL, 0, 3, "a value of some length").reason, FR_REASON_NONE);
        }
        io_sim_power_cut(sim, seed);
        fr_engine_abandon(db);
        io_sim_restart(sim);
        must(fr_open("/d", &options, &db, err));
        assert_int_equal(consume(db, plain, 0, 0, false).records, 30);
        consumed kept = consume(db, none, 0, 0, false);
        assert_true(kept.records <= 30 && kept.records % 3 == 0 && kept.records == (uint32_t)kept.end);
        lost += kept.records < 30;
        assert_int_equal(produce(db, none, 0, NULL, 0, 1, "v").base_offset, kept.end);
        fr_close(db); /* a clean end syncs */
        io_sim_power_cut(sim, seed);
        io_sim_restart(sim);
        must(fr_open("/d", &options, &db, err));
        assert_int_equal(consume(db, none, 0, 0, false).records, kept.records + 1);
        fr_close(db);
        io_sim_free(sim);
    }
    assert_true(lost > 0); /* else the test tests nothing */
}

/* The end of a transaction is synced whatever the topic asks for: a marker that is lost would hold its readers for ever. */
static void ends_of_transactions_are_synced(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        io_sim *sim = io_sim_create(seed);
        const fr_options options = {.no_threads = true, .io = io_sim_io(sim), .no_snapshot_on_close = true};
        fr_db *db = NULL;
        producer p;
        must(fr_open("/d", &options, &db, err));
        fr_id id = topic_with(db, "t", "none");
        assert_int_equal(init(db, "tx", 60000, &p), FR_REASON_NONE);
        assert_int_equal(add_partition(db, "tx", &p, id, 0), FR_REASON_NONE);
        assert_int_equal(produce(db, id, 0, &p, 0, 5, "v").reason, FR_REASON_NONE);
        assert_int_equal(end(db, "tx", &p, true), FR_REASON_NONE);
        io_sim_power_cut(sim, seed);
        fr_engine_abandon(db);
        io_sim_restart(sim);
        must(fr_open("/d", &options, &db, err));
        assert_int_equal(consume(db, id, 0, 0, true).records, 5);
        fr_close(db);
        io_sim_free(sim);
    }
}

#define one(test) cmocka_unit_test_setup_teardown(test, make_test_dir, remove_test_dir)
int main(void)
{
    const struct CMUnitTest tests[] = {one(sync_unless_asked), one(a_power_cut), one(ends_of_transactions_are_synced)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
