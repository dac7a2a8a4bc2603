/* Transactions: whole or not at all, for consumers and for searches; over restarts; fenced and timed out. */
#include "tests/unit/engine/topic_help.h"

static void producer_ids_are_never_given_twice(void **state)
{
    (void)state;
    producer p, last = {.id = -1};
    for (int round = 0; round < 3; round++) {
        fr_db *db = open_db();
        for (int i = 0; i < 10; i++) {
            assert_int_equal(init(db, NULL, 0, &p), FR_REASON_NONE);
            assert_true(p.id > last.id);
            last = p;
        }
        fr_close(db);
    }
}

static void consumers_see_it_whole_or_not_at_all(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id;
    producer p;
    assert_int_equal(make_topic(db, "t", 2, NULL, 0, &id, NULL), FR_OK);
    assert_int_equal(init(db, "tx", 60000, &p), FR_REASON_NONE);
    assert_int_equal(produce(db, id, 0, &p, 0, 2, "v").reason, FR_REASON_INVALID_TXN_STATE); /* not added */
    assert_int_equal(end(db, "tx", &p, true), FR_REASON_INVALID_TXN_STATE);
    assert_int_equal(add_partition(db, "tx", &p, id, 0), FR_REASON_NONE);
    assert_int_equal(produce(db, id, 0, &p, 0, 5, "v").base_offset, 0);
    producer outside = {p.id, p.epoch, false};
    assert_int_equal(produce(db, id, 0, &outside, 5, 1, "v").reason, FR_REASON_INVALID_TXN_STATE);
    assert_int_equal(produce(db, id, 0, NULL, 0, 1, "v").base_offset, 5); /* held up only for committed readers */
    consumed open = consume(db, id, 0, 0, true);
    assert_int_equal(open.stable, 0);
    assert_int_equal(open.records, 0);
    assert_int_equal(consume(db, id, 0, 0, false).records, 6);
    assert_int_equal(end(db, "tx", &p, true), FR_REASON_NONE);
    assert_int_equal(end(db, "tx", &p, true), FR_REASON_NONE); /* a repeated request */
    assert_int_equal(end(db, "tx", &p, false), FR_REASON_INVALID_TXN_STATE);
    consumed done = consume(db, id, 0, 0, true);
    assert_int_equal(done.records, 6);
    assert_int_equal(done.markers, 1);
    assert_int_equal(done.next, 7);
    assert_int_equal(add_partition(db, "tx", &p, id, 0), FR_REASON_NONE);
    assert_int_equal(produce(db, id, 0, &p, 5, 3, "v").base_offset, 7);
    assert_int_equal(end(db, "tx", &p, false), FR_REASON_NONE);
    for (int round = 0; round < 3; round++) {
        consumed aborted = consume(db, id, 0, 0, true);
        assert_int_equal(aborted.records, 6);
        assert_int_equal(aborted.markers, 2);
        assert_true(aborted.aborted > 0);
        if (round == 0) must(fr_snapshot(db, err));
        fr_close(db);
        db = open_db();
    }
    fr_close(db);
}

static void an_open_one_survives_a_restart(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id;
    producer p, next;
    assert_int_equal(make_topic(db, "t", 1, NULL, 0, &id, NULL), FR_OK);
    assert_int_equal(init(db, "tx", 60000, &p), FR_REASON_NONE);
    assert_int_equal(add_partition(db, "tx", &p, id, 0), FR_REASON_NONE);
    assert_int_equal(produce(db, id, 0, &p, 0, 5, "v").reason, FR_REASON_NONE);
    fr_close(db);
    db = open_db();
    assert_int_equal(consume(db, id, 0, 0, true).records, 0);
    assert_int_equal(produce(db, id, 0, &p, 5, 1, "v").reason, FR_REASON_NONE);
    assert_int_equal(init(db, "tx", 60000, &next), FR_REASON_NONE); /* the new one fences and aborts the old */
    assert_int_equal(next.id, p.id);
    assert_true(next.epoch > p.epoch);
    assert_int_equal(produce(db, id, 0, &p, 6, 1, "v").reason, FR_REASON_INVALID_PRODUCER_EPOCH);
    assert_int_equal(end(db, "tx", &p, true), FR_REASON_PRODUCER_FENCED);
    consumed seen = consume(db, id, 0, 0, true);
    assert_int_equal(seen.records, 0);
    assert_int_equal(seen.markers, 1);
    assert_int_equal(add_partition(db, "tx", &next, id, 0), FR_REASON_NONE);
    assert_int_equal(produce(db, id, 0, &next, 0, 1, "v").reason, FR_REASON_NONE);
    assert_int_equal(end(db, "tx", &next, true), FR_REASON_NONE);
    assert_int_equal(consume(db, id, 0, 0, true).records, 1);
    fr_close(db);
}

static void a_slow_one_is_aborted(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id;
    producer p;
    assert_int_equal(make_topic(db, "t", 1, NULL, 0, &id, NULL), FR_OK);
    assert_int_equal(init(db, "tx", 900001, &p), FR_REASON_INVALID_TXN_TIMEOUT);
    assert_int_equal(init(db, "tx", 1000, &p), FR_REASON_NONE); /* long enough to produce on a slow disk */
    assert_int_equal(add_partition(db, "tx", &p, id, 0), FR_REASON_NONE);
    assert_int_equal(produce(db, id, 0, &p, 0, 5, "v").reason, FR_REASON_NONE);
    uint32_t markers = 0;
    for (int i = 0; i < 1500 && markers == 0; i++) {
        usleep(20000);
        markers = consume(db, id, 0, 0, true).markers;
    }
    assert_int_equal(markers, 1);
    assert_int_equal(end(db, "tx", &p, true), FR_REASON_PRODUCER_FENCED);
    fr_close(db);
}

static void count_done(fr_write *write) { atomic_fetch_add((atomic_int *)write->user, 1); }

/* Producers send records of one partition while another one, or the group's offsets, is still being added. */
static void a_partition_on_its_way_holds_up_no_other(void **state)
{
    (void)state;
    enum { MORE = 40 };
    fr_db *db = open_db();
    fr_id id;
    producer p;
    atomic_int done = 0;
    static struct fr_txn_part parts[MORE];
    static fr_txn txns[MORE];
    static fr_write writes[MORE];
    assert_int_equal(make_topic(db, "t", MORE + 1, NULL, 0, &id, NULL), FR_OK);
    assert_int_equal(init(db, "tx", 60000, &p), FR_REASON_NONE);
    assert_int_equal(add_partition(db, "tx", &p, id, MORE), FR_REASON_NONE);
    for (int i = 0; i < MORE; i++) {
        parts[i] = (struct fr_txn_part){id, i};
        txns[i] = (fr_txn){.transactional_id = "tx", .producer_id = p.id, .producer_epoch = p.epoch, .parts = &parts[i], .part_count = 1};
        writes[i] = (fr_write){.kind = FR_WRITE_TXN_PARTITIONS, .txn = &txns[i], .done = count_done, .user = &done};
        must(fr_submit(db, &writes[i], err));
        assert_int_equal(produce(db, id, MORE, &p, i, 1, "v").reason, FR_REASON_NONE);
    }
    while (atomic_load(&done) < MORE) usleep(1000);
    assert_int_equal(end(db, "tx", &p, true), FR_REASON_NONE);
    assert_int_equal(consume(db, id, MORE, 0, true).records, MORE);
    fr_close(db);
}

/* A record of a collection, binary v1, as HTTP writes it. */
static fr_produce produce_vector(fr_db *db, fr_id id, const producer *p, int32_t sequence, const char *key, float a, float v)
{
    fr_batch events = {0};
    fr_stored_event event;
    size_t at = 0, size;
    uint8_t *data;
    fr_batch_writer w = {0};
    must(put_event(&events, key, a, v, NULL, FR_TIME_NONE, err));
    assert_true(fr_engine_event_next(&events, &at, &event));
    fr_batch_writer_begin(&w, FR_CODEC_NONE);
    fr_batch_writer_add(&w, 1700000000000, event.key, event.value, NULL, 0);
    assert_int_equal(fr_batch_writer_end(&w, &data, &size), FR_OK);
    if (p != NULL) fr_batch_own(data, size, p->id, p->epoch, sequence, p->transactional ? 0x10 : 0);
    fr_produce part = produce_bytes(db, id, 0, data, size);
    fr_batch_writer_free(&w);
    fr_batch_free(&events);
    return part;
}

static void searches_see_it_whole_or_not_at_all(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id;
    producer p;
    must(create_collection(db, "c", 1, FR_METRIC_L2, &id, err));
    assert_int_equal(produce_vector(db, id, NULL, -1, "plain", 1, 1).reason, FR_REASON_NONE);
    assert_int_equal(count_of(db, id, NULL), 1); /* searchable when acknowledged */
    assert_int_equal(init(db, "tx", 60000, &p), FR_REASON_NONE);
    assert_int_equal(add_partition(db, "tx", &p, id, 0), FR_REASON_NONE);
    assert_int_equal(produce_vector(db, id, &p, 0, "a", 1, 1).reason, FR_REASON_NONE);
    assert_int_equal(produce_vector(db, id, &p, 1, "b", 1, 1).reason, FR_REASON_NONE);
    must(upsert(db, id, "beside", 1, 1, NULL, err)); /* nobody is held up */
    assert_int_equal(count_of(db, id, NULL), 2);
    fr_close(db); /* open over a restart */
    db = open_db();
    assert_int_equal(count_of(db, id, NULL), 2);
    assert_int_equal(end(db, "tx", &p, true), FR_REASON_NONE);
    assert_int_equal(count_of(db, id, NULL), 4);
    assert_int_equal(add_partition(db, "tx", &p, id, 0), FR_REASON_NONE);
    assert_int_equal(produce_vector(db, id, &p, 2, "never", 1, 1).reason, FR_REASON_NONE);
    assert_int_equal(end(db, "tx", &p, false), FR_REASON_NONE);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(count_of(db, id, NULL), 4);
        assert_true(version_of(db, id, "b") > 0);
        assert_true(version_of(db, id, "never") < 0);
        if (round == 1) must(fr_compact(db, 0, err));
        fr_close(db);
        db = open_db();
    }
    fr_close(db);
}

/* "{1,2,3,4": the vector; "{-": a delete. Enough to see that the engine asks, and what it does with the answer. */
static fr_code parse_test_json(const fr_json_map *map, fr_span key, fr_span value, fr_batch *out, fr_err *err)
{
    float vector[DIM];
    char text[64] = "";
    memcpy(text, value.data, FR_MIN(value.size, sizeof text - 1));
    fr_value field = {FR_FIELD_VECTOR, FR_TYPE_VECTOR_F32, {vector, sizeof vector}};
    fr_event event = {.key = key, .source_time_ms = FR_TIME_NONE, .values = &field, .value_count = 1};
    event.remove = strcmp(text, "{-") == 0;
    assert_string_equal(map->vector, "embedding");
    if (!event.remove && sscanf(text, "{%f,%f,%f,%f", &vector[0], &vector[1], &vector[2], &vector[3]) != DIM)
        return fr_fail(err, FR_ERR_INVALID, "value", "no vector");
    return fr_batch_put(out, &event, err);
}

static fr_reason produce_text(fr_db *db, fr_id id, const char *key, const void *value, size_t bytes)
{
    fr_batch_writer w = {0};
    uint8_t *data;
    size_t size;
    fr_batch_writer_begin(&w, FR_CODEC_NONE);
    fr_batch_writer_add(&w, 1700000000000, fr_span_text(key), fr_span_of(value, bytes), NULL, 0);
    assert_int_equal(fr_batch_writer_end(&w, &data, &size), FR_OK);
    fr_produce part = produce_bytes(db, id, 0, data, size);
    fr_batch_writer_free(&w);
    return part.reason;
}

static void what_producers_write_is_judged_by_apply(void **state)
{
    (void)state;
    fr_options options = {.parse_json = parse_test_json};
    fr_db *db = open_with(&options);
    fr_id id;
    must(create_collection(db, "c", 1, FR_METRIC_L2, &id, err));
    fr_topic_config field[] = {{"freshet.field.vector", "embedding"}};
    fr_topic_change change = {.configs = field, .config_count = 1};
    fr_write w = {.kind = FR_WRITE_TOPIC_CONFIGS, .id = id, .topic = &change};
    must(fr_submit_wait(db, &w, err));
    uint8_t short_vector[5 + 7 + 4] = {1, 1, 0, 0, 0, 2, 0, FR_TYPE_VECTOR_F32, 4}; /* one dimension of four */
    assert_int_equal(produce_text(db, id, "short", short_vector, sizeof short_vector), FR_REASON_NONE);
    assert_int_equal(produce_text(db, id, "noise", "noise", 5), FR_REASON_NONE);
    assert_int_equal(produce_text(db, id, "bad", "{x", 2), FR_REASON_NONE);
    assert_int_equal(produce_text(db, id, "a", "{1,2,3,4", 8), FR_REASON_NONE);
    assert_int_equal(produce_text(db, id, "b", "{1,2,3,4", 8), FR_REASON_NONE);
    assert_int_equal(produce_text(db, id, "b", "{-", 2), FR_REASON_NONE);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(count_of(db, id, NULL), 1); /* the batches are stored, what cannot be used is skipped */
        assert_true(version_of(db, id, "a") > 1.5f);
        assert_int_equal(consume(db, id, 0, 0, true).records, 6);
        fr_close(db);
        options.no_snapshot_on_close = true;
        db = open_with(&options);
    }
    fr_close(db);
}

typedef struct scanned {
    uint32_t committed, pending;
    char last[16];
} scanned;

static bool scan_one(void *user, const fr_scanned *record)
{
    scanned *out = user;
    if (record->pending) out->pending++;
    else out->committed++;
    memset(out->last, 0, sizeof out->last);
    memcpy(out->last, record->value.data, FR_MIN(record->value.size, sizeof out->last - 1));
    return true;
}

static void a_coordinators_topic(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id;
    producer p;
    scanned seen = {0};
    assert_int_equal(make_topic(db, "__offsets", 1, NULL, 0, &id, NULL), FR_OK);
    assert_int_equal(init(db, "tx", 60000, &p), FR_REASON_NONE);
    fr_topic_record record = {.key = fr_span_text("group"), .value = fr_span_text("1")};
    fr_write w = {.kind = FR_WRITE_RECORDS, .id = id, .record_list = &record, .record_count = 1};
    must(fr_submit_wait(db, &w, err));
    fr_txn txn = {.transactional_id = "tx", .producer_id = p.id, .producer_epoch = p.epoch};
    record.value = fr_span_text("2");
    w.txn = &txn;
    assert_int_equal(fr_submit_wait(db, &w, NULL), FR_ERR_INVALID);
    assert_int_equal(w.reason, FR_REASON_INVALID_TXN_STATE);
    assert_int_equal(add_partition(db, "tx", &p, id, 0), FR_REASON_NONE);
    must(fr_submit_wait(db, &w, err));
    must(fr_topic_scan(db, id, 0, 0, scan_one, &seen, err));
    assert_int_equal(seen.committed, 1);
    assert_int_equal(seen.pending, 1);
    assert_int_equal(end(db, "tx", &p, true), FR_REASON_NONE);
    fr_close(db);
    db = open_db();
    seen = (scanned){0};
    must(fr_topic_scan(db, id, 0, 0, scan_one, &seen, err));
    assert_int_equal(seen.committed, 2);
    assert_string_equal(seen.last, "2");
    fr_close(db);
}

#define one(test) cmocka_unit_test_setup_teardown(test, make_test_dir, remove_test_dir)
int main(void)
{
    const struct CMUnitTest tests[] = {
        one(producer_ids_are_never_given_twice), one(consumers_see_it_whole_or_not_at_all), one(an_open_one_survives_a_restart),
        one(a_slow_one_is_aborted),              one(searches_see_it_whole_or_not_at_all),  one(a_coordinators_topic),
        one(what_producers_write_is_judged_by_apply), one(a_partition_on_its_way_holds_up_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
