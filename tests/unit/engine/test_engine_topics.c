/* Plain topics: made, changed, written by producers, read by consumers, the same after a restart. */
#include "tests/unit/engine/topic_help.h"

static void topics_stand_beside_collections(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id topic, collection, found;
    fr_reason reason;
    fr_topic_info info;
    fr_collection_info *c = calloc(1, sizeof *c);
    must(create_collection(db, "vectors", 1, FR_METRIC_L2, &collection, err));
    assert_int_equal(make_topic(db, "events.raw", 3, NULL, 0, &topic, NULL), FR_OK);
    assert_int_equal(make_topic(db, "events.raw", 3, NULL, 0, NULL, &reason), FR_ERR_EXISTS);
    assert_int_equal(reason, FR_REASON_TOPIC_EXISTS);
    assert_int_equal(make_topic(db, "vectors", 1, NULL, 0, NULL, &reason), FR_ERR_EXISTS);
    assert_int_equal(make_topic(db, "a/b", 1, NULL, 0, NULL, &reason), FR_ERR_INVALID);
    assert_int_equal(reason, FR_REASON_INVALID_TOPIC);
    assert_int_equal(make_topic(db, "many", 65, NULL, 0, NULL, &reason), FR_ERR_INVALID);
    assert_int_equal(reason, FR_REASON_INVALID_PARTITIONS);
    for (int round = 0; round < 2; round++) {
        must(fr_topic_resolve(db, "events.raw", &found));
        assert_int_equal(found, topic);
        assert_int_equal(fr_resolve(db, "events.raw", &found), FR_ERR_NOT_FOUND); /* not a collection */
        assert_int_equal(fr_collection_get(db, topic, c), FR_ERR_NOT_FOUND);
        assert_int_equal(fr_collection_list(db, NULL, 0), 1);
        assert_int_equal(fr_topic_list(db, NULL, 0), 2);
        must(fr_topic_get(db, topic, &info));
        assert_int_equal(info.partition_count, 3);
        assert_int_equal(info.kind, FR_TOPIC_PLAIN);
        must(fr_topic_by_uuid(db, info.uuid, &found));
        assert_int_equal(found, topic);
        must(fr_topic_get(db, collection, &info));
        assert_int_equal(info.kind, FR_TOPIC_COLLECTION);
        if (round == 0) {
            fr_close(db);
            db = open_db();
        }
    }
    fr_topic_change more = {.partitions = 5};
    fr_write w = {.kind = FR_WRITE_TOPIC_PARTITIONS, .id = topic, .topic = &more};
    must(fr_submit_wait(db, &w, err));
    more.partitions = 4;
    assert_int_equal(fr_submit_wait(db, &w, NULL), FR_ERR_INVALID);
    assert_int_equal(w.reason, FR_REASON_INVALID_PARTITIONS);
    assert_int_equal(produce(db, topic, 4, NULL, 0, 1, "v").reason, FR_REASON_NONE);
    w = (fr_write){.kind = FR_WRITE_COLLECTION_DROP, .id = topic};
    must(fr_submit_wait(db, &w, err));
    assert_int_equal(fr_topic_resolve(db, "events.raw", &found), FR_ERR_NOT_FOUND);
    free(c);
    fr_close(db);
}

typedef struct wanted_config {
    const char *name, *value;
    bool found;
} wanted_config;

static void look_for(void *user, const fr_topic_config_info *config)
{
    wanted_config *wanted = user;
    if (strcmp(config->name, wanted->name) == 0) wanted->found = strcmp(config->value, wanted->value) == 0;
}

static bool has_config(fr_db *db, fr_id id, const char *name, const char *value)
{
    wanted_config wanted = {name, value, false};
    assert_int_equal(fr_topic_configs(db, id, look_for, &wanted), FR_OK);
    return wanted.found;
}

static void configs_are_kept_and_checked(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id topic, collection;
    fr_reason reason;
    fr_topic_config first[] = {{"retention.ms", "1000"}, {"cleanup.policy", "compact,delete"}};
    fr_topic_config bad[] = {{"retention.ms", "soon"}}, unknown[] = {{"no.such", "1"}};
    must(create_collection(db, "vectors", 1, FR_METRIC_L2, &collection, err));
    assert_int_equal(make_topic(db, "t", 1, first, 2, &topic, NULL), FR_OK);
    assert_int_equal(make_topic(db, "u", 1, bad, 1, NULL, &reason), FR_ERR_INVALID);
    assert_int_equal(reason, FR_REASON_INVALID_CONFIG);
    assert_int_equal(make_topic(db, "u", 1, unknown, 1, NULL, &reason), FR_ERR_INVALID);
    fr_topic_config change[] = {{"retention.ms", NULL}, {"max.message.bytes", "500"}};
    fr_topic_change changed = {.configs = change, .config_count = 2};
    fr_write w = {.kind = FR_WRITE_TOPIC_CONFIGS, .id = topic, .topic = &changed};
    must(fr_submit_wait(db, &w, err));
    fr_topic_config forbidden[] = {{"cleanup.policy", "delete"}};
    changed = (fr_topic_change){.configs = forbidden, .config_count = 1};
    w = (fr_write){.kind = FR_WRITE_TOPIC_CONFIGS, .id = collection, .topic = &changed};
    assert_int_equal(fr_submit_wait(db, &w, NULL), FR_ERR_INVALID);
    assert_int_equal(w.reason, FR_REASON_POLICY_VIOLATION);
    fr_close(db);
    db = open_db();
    assert_true(has_config(db, topic, "retention.ms", "604800000"));
    assert_true(has_config(db, topic, "cleanup.policy", "compact,delete"));
    assert_true(has_config(db, topic, "max.message.bytes", "500"));
    assert_true(has_config(db, collection, "cleanup.policy", "compact"));
    char large[600];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = 0;
    assert_int_equal(produce(db, topic, 0, NULL, 0, 1, large).reason, FR_REASON_MESSAGE_TOO_LARGE);
    fr_close(db);
}

static fr_reason produce_changed(fr_db *db, fr_id id, size_t at, uint8_t value, bool resealed)
{
    size_t size;
    uint8_t *data = make_batch(NULL, 0, 3, 1700000000000, "v", &size);
    data[at] = value;
    if (resealed) fr_batch_own(data, size, -1, -1, -1, 0);
    fr_produce part = produce_bytes(db, id, 0, data, size);
    free(data);
    return part.reason;
}

static void what_a_broker_refuses(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id, compacted;
    size_t size;
    fr_topic_config policy[] = {{"cleanup.policy", "compact"}};
    assert_int_equal(make_topic(db, "t", 1, NULL, 0, &id, NULL), FR_OK);
    assert_int_equal(make_topic(db, "c", 1, policy, 1, &compacted, NULL), FR_OK);
    assert_int_equal(produce_changed(db, id, 70, 0x7e, false), FR_REASON_CORRUPT_MESSAGE);
    assert_int_equal(produce_changed(db, id, 60, 9, true), FR_REASON_INVALID_RECORD);       /* recordCount */
    assert_int_equal(produce_changed(db, id, 26, 9, true), FR_REASON_INVALID_RECORD);       /* lastOffsetDelta */
    assert_int_equal(produce_changed(db, id, 22, 0x20, true), FR_REASON_INVALID_RECORD);    /* control */
    assert_int_equal(produce_changed(db, id, 22, 5, true), FR_REASON_UNSUPPORTED_COMPRESSION);
    assert_int_equal(produce_changed(db, id, 16, 1, false), FR_REASON_INVALID_RECORD);      /* magic */
    assert_int_equal(produce_changed(db, id, 7, 1, false), FR_REASON_INVALID_RECORD);       /* base offset */
    uint8_t *data = make_batch(NULL, 0, 3, 1700000000000, "v", &size), *twice = malloc(size * 2);
    memcpy(twice, data, size);
    memcpy(twice + size, data, size);
    assert_int_equal(produce_bytes(db, id, 0, twice, size * 2).reason, FR_REASON_INVALID_RECORD);
    assert_int_equal(produce_bytes(db, id, 0, data, size - 3).reason, FR_REASON_INVALID_RECORD);
    assert_int_equal(produce_bytes(db, id, 1, data, size).reason, FR_REASON_UNKNOWN_PARTITION);
    free(twice);
    free(data);
    data = make_batch(NULL, 0, 1, fr_io_posix()->now_ms(fr_io_posix()) + 2 * 3600 * 1000, "v", &size);
    assert_int_equal(produce_bytes(db, id, 0, data, size).reason, FR_REASON_INVALID_TIMESTAMP);
    free(data);
    fr_batch_writer w = {0};
    fr_batch_writer_begin(&w, FR_CODEC_NONE);
    fr_batch_writer_add(&w, 1700000000000, (fr_span){NULL, 0}, fr_span_text("v"), NULL, 0);
    assert_int_equal(fr_batch_writer_end(&w, &data, &size), FR_OK);
    fr_produce part = produce_bytes(db, compacted, 0, data, size);
    assert_int_equal(part.reason, FR_REASON_INVALID_RECORD);
    assert_int_equal(part.bad_record, 0);
    fr_batch_writer_free(&w);
    assert_int_equal(consume(db, id, 0, 0, false).end, 0); /* nothing of it was stored */
    fr_close(db);
}

static void a_repeated_batch_is_answered_not_written(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id;
    producer p = {.id = 7};
    assert_int_equal(make_topic(db, "t", 1, NULL, 0, &id, NULL), FR_OK);
    for (int i = 0; i < 7; i++) assert_int_equal(produce(db, id, 0, &p, i * 3, 3, "v").base_offset, i * 3);
    for (int round = 0; round < 3; round++) {
        fr_produce again = produce(db, id, 0, &p, 12, 3, "v");
        assert_int_equal(again.reason, FR_REASON_DUPLICATE);
        assert_int_equal(again.base_offset, 12);
        assert_int_equal(produce(db, id, 0, &p, 3, 3, "v").reason, FR_REASON_OUT_OF_ORDER_SEQUENCE); /* beyond five */
        assert_int_equal(produce(db, id, 0, &p, 24, 3, "v").reason, FR_REASON_OUT_OF_ORDER_SEQUENCE);
        assert_int_equal(consume(db, id, 0, 0, false).records, 21);
        if (round == 0) must(fr_snapshot(db, err)); /* the state is saved: the second start reads it, not the log */
        fr_close(db);
        db = open_db();
    }
    producer next = {.id = 7, .epoch = 1};
    assert_int_equal(produce(db, id, 0, &next, 5, 1, "v").reason, FR_REASON_OUT_OF_ORDER_SEQUENCE);
    assert_int_equal(produce(db, id, 0, &next, 0, 1, "v").base_offset, 21);
    assert_int_equal(produce(db, id, 0, &p, 21, 1, "v").reason, FR_REASON_INVALID_PRODUCER_EPOCH);
    producer unknown = {.id = 9};
    assert_int_equal(produce(db, id, 0, &unknown, 77, 1, "v").base_offset, 22);
    fr_close(db);
}

static void files_and_bytes_hold_the_same(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id;
    assert_int_equal(make_topic(db, "t", 1, NULL, 0, &id, NULL), FR_OK);
    for (int i = 0; i < 200; i++) produce(db, id, 0, NULL, 0, 5, "a value of some bytes, so that the index has entries");
    for (fr_offset at = 0; at < 1000; at += 37)
        for (uint32_t bytes = 1; bytes < 200000; bytes *= 7) {
            fr_fetch file = {.id = id, .from = at, .bytes_max = bytes, .want_file = true};
            fr_fetch plain = {.id = id, .from = at, .bytes_max = 1 << 20};
            must(fr_fetch_get(db, &file, err));
            must(fr_fetch_get(db, &plain, err));
            assert_true(file.descriptor >= 0);
            assert_true(file.size > 0 && file.size <= plain.view.size);
            assert_int_equal(file.view.first, plain.view.first);
            uint8_t *read_back = malloc(file.size);
            assert_int_equal(pread(file.descriptor, read_back, file.size, (off_t)file.position), file.size);
            assert_memory_equal(read_back, plain.view.data, file.size);
            size_t end = 0, size;
            fr_offset next = 0;
            while (end < file.size) { /* whole batches */
                fr_batch_header h;
                must(fr_batch_check(read_back + end, file.size - end, &h, &size, err));
                end += size;
                next = h.baseOffset + h.lastOffsetDelta + 1;
            }
            assert_int_equal(next, file.view.next);
            free(read_back);
            fr_fetch_release(&file);
            fr_fetch_release(&plain);
        }
    fr_fetch beyond = {.id = id, .from = 1001, .bytes_max = 100};
    fr_err err = {0};
    assert_int_equal(fr_fetch_get(db, &beyond, &err), FR_ERR_INVALID);
    assert_string_equal(err.field, "offset");
    fr_close(db);
}

static void offsets_by_time_and_deleted_records(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id;
    fr_offset offset;
    int64_t timestamp;
    assert_int_equal(make_topic(db, "t", 1, NULL, 0, &id, NULL), FR_OK);
    must(fr_seek_record(db, id, 0, 0, false, &offset, &timestamp, err));
    assert_int_equal(offset, -1);
    for (int i = 0; i < 10; i++) {
        size_t size;
        uint8_t *data = make_batch(NULL, 0, 10, 1700000000000 + (i == 5 ? 5000 : i * 100), "v", &size);
        assert_int_equal(produce_bytes(db, id, 0, data, size).reason, FR_REASON_NONE);
        free(data);
    }
    must(fr_seek_record(db, id, 0, 1700000000205, false, &offset, &timestamp, err));
    assert_int_equal(offset, 25);
    assert_int_equal(timestamp, 1700000000205);
    must(fr_seek_record(db, id, 0, 1700000009999, false, &offset, &timestamp, err));
    assert_int_equal(offset, -1);
    must(fr_seek_newest(db, id, 0, &offset, &timestamp, err));
    assert_int_equal(offset, 59);
    assert_int_equal(timestamp, 1700000005009);
    fr_write w = {.kind = FR_WRITE_DELETE_RECORDS, .id = id, .before = 27};
    must(fr_submit_wait(db, &w, err));
    assert_int_equal(w.before, 27);
    for (int round = 0; round < 2; round++) {
        fr_partition_state partition;
        must(fr_partition_get(db, id, 0, &partition));
        assert_int_equal(partition.start, 27);
        assert_int_equal(partition.end, 100);
        fr_fetch early = {.id = id, .from = 26, .bytes_max = 100};
        assert_int_equal(fr_fetch_get(db, &early, NULL), FR_ERR_INVALID);
        must(fr_seek_record(db, id, 0, 0, false, &offset, &timestamp, err));
        assert_int_equal(offset, 27);
        fr_close(db);
        db = open_db();
    }
    w.before = 101;
    assert_int_equal(fr_submit_wait(db, &w, NULL), FR_ERR_INVALID);
    assert_int_equal(w.reason, FR_REASON_OFFSET_OUT_OF_RANGE);
    fr_close(db);
}

static void the_brokers_clock(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id;
    fr_topic_config type[] = {{"message.timestamp.type", "LogAppendTime"}};
    assert_int_equal(make_topic(db, "t", 1, type, 1, &id, NULL), FR_OK);
    int64_t before = fr_io_posix()->now_ms(fr_io_posix());
    fr_produce part = produce(db, id, 0, NULL, 0, 3, "v");
    assert_true(part.append_time_ms >= before);
    fr_offset offset;
    int64_t timestamp;
    must(fr_seek_newest(db, id, 0, &offset, &timestamp, err));
    assert_int_equal(timestamp, part.append_time_ms);
    fr_close(db);
}

#define one(test) cmocka_unit_test_setup_teardown(test, make_test_dir, remove_test_dir)
int main(void)
{
    const struct CMUnitTest tests[] = {
        one(topics_stand_beside_collections),       one(configs_are_kept_and_checked), one(what_a_broker_refuses),
        one(a_repeated_batch_is_answered_not_written), one(files_and_bytes_hold_the_same), one(offsets_by_time_and_deleted_records),
        one(the_brokers_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
