/* What goes from topics, and what stays: retention, DeleteRecords, compaction; live and after a restart. */
#include "tests/unit/engine/topic_help.h"

static int64_t now_ms(void) { return fr_io_posix()->now_ms(fr_io_posix()); }

/* One record of about `size` bytes. */
static fr_offset put_record(fr_db *db, fr_id id, const char *key, const char *value, const producer *p, int32_t sequence,
                            int64_t timestamp_ms)
{
    fr_batch_writer w = {0};
    uint8_t *data;
    size_t size;
    fr_batch_writer_begin(&w, FR_CODEC_NONE);
    fr_batch_writer_add(&w, timestamp_ms, fr_span_text(key), value != NULL ? fr_span_text(value) : (fr_span){NULL, 0}, NULL, 0);
    assert_int_equal(fr_batch_writer_end(&w, &data, &size), FR_OK);
    if (p != NULL) fr_batch_own(data, size, p->id, p->epoch, sequence, p->transactional ? 0x10 : 0);
    fr_produce part = produce_bytes(db, id, 0, data, size);
    assert_int_equal(part.reason, FR_REASON_NONE);
    fr_batch_writer_free(&w);
    return part.base_offset;
}

static void fill(fr_db *db, fr_id id, uint32_t records, int64_t timestamp_ms)
{
    char value[2001];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = 0;
    for (uint32_t i = 0; i < records; i++) put_record(db, id, "filler", value, NULL, 0, timestamp_ms);
}

static fr_partition_state state_of(fr_db *db, fr_id id)
{
    fr_partition_state state;
    must(fr_partition_get(db, id, 0, &state));
    return state;
}

static void old_segments_go_by_size_and_age(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id large, old;
    fr_topic_config by_size[] = {{"segment.bytes", "16384"}, {"retention.bytes", "40000"}};
    fr_topic_config by_age[] = {{"retention.ms", "3600000"}};
    assert_int_equal(make_topic(db, "large", 1, by_size, 2, &large, NULL), FR_OK);
    assert_int_equal(make_topic(db, "old", 1, by_age, 1, &old, NULL), FR_OK);
    fill(db, large, 100, now_ms());
    fill(db, old, 10, now_ms() - 7200 * 1000);
    must(fr_compact(db, 0, err));
    fr_partition_state kept = state_of(db, large), aged = state_of(db, old);
    assert_true(kept.start > 0 && kept.start < 100);
    assert_int_equal(kept.end, 100);
    assert_true(kept.bytes >= 40000 && kept.bytes < 40000 + 2 * 16384);
    assert_int_equal(aged.start, 10); /* the open segment was closed for it */
    assert_int_equal(aged.end, 10);
    fr_close(db);
    db = open_db();
    assert_int_equal(state_of(db, large).start, kept.start);
    assert_int_equal(state_of(db, old).start, 10);
    assert_int_equal(put_record(db, old, "k", "v", NULL, 0, now_ms()), 10);
    assert_int_equal(consume(db, large, 0, kept.start, true).records, 100 - kept.start);
    fr_close(db);
}

static void changed_configs_reach_an_open_log(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id;
    assert_int_equal(make_topic(db, "t", 1, NULL, 0, &id, NULL), FR_OK);
    fill(db, id, 20, now_ms());
    must(fr_compact(db, 0, err));
    assert_int_equal(state_of(db, id).start, 0);
    fr_topic_config change[] = {{"segment.bytes", "16384"}, {"retention.bytes", "30000"}};
    fr_topic_change changed = {.configs = change, .config_count = 2};
    fr_write w = {.kind = FR_WRITE_TOPIC_CONFIGS, .id = id, .topic = &changed};
    must(fr_submit_wait(db, &w, err));
    fill(db, id, 60, now_ms());
    must(fr_compact(db, 0, err));
    assert_true(state_of(db, id).start >= 20);
    fr_close(db);
}

static void deleted_records_free_the_disk(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id;
    fr_topic_config small[] = {{"segment.bytes", "16384"}, {"retention.ms", "-1"}};
    assert_int_equal(make_topic(db, "t", 1, small, 2, &id, NULL), FR_OK);
    fill(db, id, 50, now_ms());
    uint64_t before = state_of(db, id).bytes;
    fr_write w = {.kind = FR_WRITE_DELETE_RECORDS, .id = id, .before = 30};
    must(fr_submit_wait(db, &w, err));
    must(fr_compact(db, 0, err));
    assert_int_equal(state_of(db, id).start, 30);
    assert_true(state_of(db, id).bytes < before * 6 / 10);
    assert_int_equal(consume(db, id, 0, 30, true).records, 20);
    w.before = -1;
    must(fr_submit_wait(db, &w, err));
    must(fr_compact(db, 0, err));
    assert_int_equal(state_of(db, id).start, 50);
    assert_true(state_of(db, id).bytes < 8192);
    fr_close(db);
}

static void the_newest_of_each_key_stays(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id;
    char key[16];
    producer p = {.id = 5}, q = {.id = 6};
    fr_topic_config policy[] = {{"cleanup.policy", "compact"}, {"segment.bytes", "16384"}};
    assert_int_equal(make_topic(db, "t", 1, policy, 2, &id, NULL), FR_OK);
    put_record(db, id, "key0", "the last of q", &q, 0, now_ms());
    for (int i = 0; i < 300; i++) {
        snprintf(key, sizeof key, "key%d", i % 10);
        put_record(db, id, key, i == 297 ? NULL : "a value that is not the newest, most of the time", &p, i, now_ms());
    }
    must(fr_compact(db, id, err));
    for (int round = 0; round < 2; round++) {
        consumed seen = consume(db, id, 0, 0, true);
        assert_int_equal(seen.records, 10); /* nine values, one tombstone */
        assert_int_equal(seen.end, 301);
        /* q's last batch lost its record, not its sequence. */
        assert_int_equal(produce(db, id, 0, &p, 299, 1, "v").reason, FR_REASON_DUPLICATE);
        assert_int_equal(produce(db, id, 0, &q, 7, 1, "v").reason, FR_REASON_OUT_OF_ORDER_SEQUENCE);
        if (round == 0) {
            fr_close(db);
            char command[256]; /* the log alone must tell */
            snprintf(command, sizeof command, "rm -rf '%s'/snap/*", test_dir);
            assert_int_equal(system(command), 0);
            db = open_db();
        }
    }
    must(fr_compact(db, id, err));
    assert_int_equal(consume(db, id, 0, 0, true).records, 10);
    fr_close(db);
}

static void undecided_records_wait_and_aborted_ones_go(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id;
    producer p;
    fr_topic_config policy[] = {{"cleanup.policy", "compact"}, {"segment.bytes", "16384"}};
    assert_int_equal(make_topic(db, "t", 1, policy, 2, &id, NULL), FR_OK);
    put_record(db, id, "a", "first", NULL, 0, now_ms());
    assert_int_equal(init(db, "tx", 60000, &p), FR_REASON_NONE);
    assert_int_equal(add_partition(db, "tx", &p, id, 0), FR_REASON_NONE);
    put_record(db, id, "a", "aborted", &p, 0, now_ms());
    assert_int_equal(end(db, "tx", &p, false), FR_REASON_NONE);
    assert_int_equal(add_partition(db, "tx", &p, id, 0), FR_REASON_NONE);
    put_record(db, id, "b", "open", &p, 1, now_ms());
    put_record(db, id, "b", "newer, outside", NULL, 0, now_ms());
    must(fr_compact(db, id, err));
    consumed seen = consume(db, id, 0, 0, false);
    assert_int_equal(seen.next, 5);
    assert_int_equal(seen.stable, 3);
    assert_int_equal(end(db, "tx", &p, true), FR_REASON_NONE);
    must(fr_compact(db, id, err));
    seen = consume(db, id, 0, 0, true);
    assert_int_equal(seen.records, 2); /* a first, b newer: the aborted one did not shadow a */
    assert_int_equal(seen.markers, 2);
    fr_close(db);
}

#define one(test) cmocka_unit_test_setup_teardown(test, make_test_dir, remove_test_dir)
int main(void)
{
    const struct CMUnitTest tests[] = {
        one(old_segments_go_by_size_and_age), one(changed_configs_reach_an_open_log), one(deleted_records_free_the_disk),
        one(the_newest_of_each_key_stays),    one(undecided_records_wait_and_aborted_ones_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
