/* What a review found about transactions and producers: ends after a crash, the barrier of deletes, ids that nobody uses, damaged state. */
#include "tests/unit/engine/topic_help.h"

static int64_t later_ms;
static int64_t shifted_now(fr_io *io)
{
    (void)io;
    return fr_io_posix()->now_ms(fr_io_posix()) + later_ms;
}

static uint8_t *vector_batch(fr_batch_writer *w, const producer *p, int32_t sequence, const char *key, const fr_log_header *headers,
                             uint32_t header_count, size_t *size_out)
{
    fr_batch events = {0};
    fr_stored_event event;
    size_t at = 0;
    uint8_t *data;
    must(put_event(&events, key, 1, 1, NULL, FR_TIME_NONE, err));
    assert_true(fr_engine_event_next(&events, &at, &event));
    fr_batch_writer_begin(w, FR_CODEC_NONE);
    fr_batch_writer_add(w, 1700000000000, event.key, event.value, headers, header_count);
    assert_int_equal(fr_batch_writer_end(w, &data, size_out), FR_OK);
    if (p != NULL) fr_batch_own(data, *size_out, p->id, p->epoch, sequence, p->transactional ? 0x10 : 0);
    fr_batch_free(&events);
    return data;
}

static fr_reason put_vector(fr_db *db, fr_id id, const producer *p, int32_t sequence, const char *key)
{
    fr_batch_writer w = {0};
    size_t size;
    uint8_t *data = vector_batch(&w, p, sequence, key, NULL, 0, &size);
    fr_reason reason = produce_bytes(db, id, 0, data, size).reason;
    fr_batch_writer_free(&w);
    return reason;
}

static void nothing(fr_write *write) { (void)write; }

/* Prepared, and the power goes before the markers: the next open ends it before anybody can search. */
static void prepare_and_crash(fr_db *db, const producer *p)
{
    fr_txn txn = {.transactional_id = "tx", .producer_id = p->id, .producer_epoch = p->epoch, .commit = true};
    fr_write w = {.kind = FR_WRITE_TXN_END, .txn = &txn, .done = nothing};
    must(fr_submit(db, &w, err));
    assert_true(fr_engine_step(db, FR_ROLE_WRITER));
    assert_true(fr_engine_step(db, FR_ROLE_SYNCER)); /* Prepare is durable */
    fr_engine_abandon(db);
}

static void an_end_is_finished_before_the_first_search(void **state)
{
    (void)state;
    const fr_options still = {.no_threads = true, .no_snapshot_on_close = true};
    for (int threads = 0; threads < 2; threads++) {
        fr_db *db = open_with(&still);
        fr_id a, b;
        producer p;
        char name[2][8] = {"a0", "b0"};
        name[0][1] = name[1][1] = (char)('0' + threads);
        must(create_collection(db, name[0], 1, FR_METRIC_L2, &a, err));
        must(create_collection(db, name[1], 1, FR_METRIC_L2, &b, err));
        assert_int_equal(init(db, "tx", 60000, &p), FR_REASON_NONE);
        assert_int_equal(add_partition(db, "tx", &p, a, 0), FR_REASON_NONE);
        assert_int_equal(add_partition(db, "tx", &p, b, 0), FR_REASON_NONE);
        assert_int_equal(put_vector(db, a, &p, 0, "x"), FR_REASON_NONE);
        assert_int_equal(put_vector(db, b, &p, 0, "y"), FR_REASON_NONE);
        prepare_and_crash(db, &p);
        const fr_options running = {.no_threads = threads == 0, .no_snapshot_on_close = true};
        db = open_with(&running);
        assert_int_equal(atomic_load(&db->txns.recovered), 0);
        assert_int_equal(count_of(db, a, NULL), 1);
        assert_int_equal(count_of(db, b, NULL), 1);
        fr_close(db);
    }
}

static void damage(const char *pattern)
{
    char command[512];
    snprintf(command, sizeof command,
             "for f in %s/%s; do printf '\\377\\377\\377\\377' | dd of=\"$f\" bs=1 seek=$(($(stat -c %%s \"$f\") > 4200 ? 4150 : 20)) conv=notrunc "
             "2>/dev/null || exit 1; done",
             test_dir, pattern);
    assert_int_equal(system(command), 0);
}

/* A topic that cannot be read: whether its records wait for a marker cannot be known, so the transaction stays prepared. */
static void an_end_waits_for_an_unreadable_topic(void **state)
{
    (void)state;
    const fr_options still = {.no_threads = true, .no_snapshot_on_close = true};
    fr_db *db = open_with(&still);
    fr_id a;
    producer p;
    char pattern[64];
    must(create_collection(db, "a", 1, FR_METRIC_L2, &a, err));
    assert_int_equal(init(db, "tx", 60000, &p), FR_REASON_NONE);
    assert_int_equal(add_partition(db, "tx", &p, a, 0), FR_REASON_NONE);
    for (int i = 0; i < 3; i++) assert_int_equal(put_vector(db, a, &p, i, "x"), FR_REASON_NONE);
    prepare_and_crash(db, &p);
    snprintf(pattern, sizeof pattern, "log/%llu-0/*.log", (unsigned long long)a);
    damage(pattern);
    db = open_with(&still);
    assert_int_equal(atomic_load(&db->txns.recovered), 0); /* nobody waits for what cannot be */
    assert_int_equal(db->txns.list[0]->state, FR_TXN_PREPARE_COMMIT);
    fr_txn txn = {.transactional_id = "tx", .producer_id = -1, .producer_epoch = -1, .timeout_ms = 60000};
    fr_write w = {.kind = FR_WRITE_PRODUCER_INIT, .txn = &txn};
    assert_int_equal(fr_submit_wait(db, &w, NULL), FR_ERR_READ_ONLY);
    fr_close(db);
}

/* 10,001 entities are deleted in two chunks; the marker of a transaction must not come between them. */
static void markers_wait_for_a_delete(void **state)
{
    (void)state;
    const fr_options still = {.no_threads = true, .no_snapshot_on_close = true};
    fr_db *db = open_with(&still);
    fr_id id;
    producer p;
    must(create_collection(db, "c", 1, FR_METRIC_L2, &id, err));
    for (int part = 0; part < 2; part++) {
        fr_batch events = {0};
        for (int i = 0; i < (part ? 1 : 10000); i++) {
            char key[32];
            snprintf(key, sizeof key, "k%d-%d", part, i);
            must(put_event(&events, key, (float)i, 1, NULL, FR_TIME_NONE, err));
        }
        must(write_batch(db, id, &events, NULL, err));
        fr_batch_free(&events);
    }
    assert_int_equal(init(db, "tx", 60000, &p), FR_REASON_NONE);
    assert_int_equal(add_partition(db, "tx", &p, id, 0), FR_REASON_NONE);
    assert_int_equal(put_vector(db, id, &p, 0, "stays"), FR_REASON_NONE);
    fr_write erase = {.kind = FR_WRITE_DELETE_MATCHING, .id = id, .filter = "v == 1", .done = nothing};
    fr_txn txn = {.transactional_id = "tx", .producer_id = p.id, .producer_epoch = p.epoch, .commit = true};
    fr_write end_it = {.kind = FR_WRITE_TXN_END, .txn = &txn, .done = nothing};
    must(fr_submit(db, &end_it, err));
    must(fr_submit(db, &erase, err));
    fr_engine_drain(db);
    fr_log *log = fr_shard_log(&fr_map_by_id(atomic_load(&db->map), id)->shards[0]);
    fr_view view;
    fr_batch_header last = {0};
    must(fr_log_read(log, fr_log_end(log) - 1, -1, 1 << 20, &view, err));
    size_t size;
    must(fr_batch_check(view.data, view.size, &last, &size, err));
    fr_view_release(&view);
    assert_true(last.attributes & 0x20);
    assert_int_equal(count_of(db, id, NULL), 1); /* what was committed behind the delete */
    fr_close(db);
}

static void unused_ids_are_forgotten(void **state)
{
    (void)state;
    fr_io io = *fr_io_posix();
    io.now_ms = shifted_now;
    later_ms = 0;
    const fr_options options = {.no_threads = true, .no_snapshot_on_close = true, .io = &io};
    fr_db *db = open_with(&options);
    producer p;
    char name[16];
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "tx%d", i);
        assert_int_equal(init(db, name, 60000, &p), FR_REASON_NONE);
    }
    later_ms = FR_TRANSACTIONAL_ID_MS / 2;
    assert_int_equal(init(db, "tx7", 60000, &p), FR_REASON_NONE);
    fr_engine_drain(db);
    assert_int_equal(db->txns.count, 50);
    later_ms = FR_TRANSACTIONAL_ID_MS + 60000;
    fr_engine_drain(db);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(db->txns.count, 1);
        assert_string_equal(db->txns.list[0]->name, "tx7");
        fr_close(db);
        db = open_with(&options);
    }
    producer again;
    assert_int_equal(init(db, "tx7", 60000, &again), FR_REASON_NONE);
    assert_int_equal(again.id, p.id);
    assert_int_equal(again.epoch, p.epoch + 1);
    assert_int_equal(init(db, "tx8", 60000, &again), FR_REASON_NONE); /* a new one */
    assert_int_equal(again.epoch, 0);
    fr_close(db);
}

/* Without its state a collection with a snapshot would not know the producers before it. */
static void damaged_state_is_made_again(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id;
    producer p;
    char pattern[64];
    must(create_collection(db, "c", 1, FR_METRIC_L2, &id, err));
    assert_int_equal(init(db, NULL, 0, &p), FR_REASON_NONE);
    for (int i = 0; i < 3; i++) assert_int_equal(put_vector(db, id, &p, i, "x"), FR_REASON_NONE);
    must(fr_snapshot(db, err));
    fr_close(db);
    snprintf(pattern, sizeof pattern, "snap/%llu-0/PRODUCERS-*", (unsigned long long)id);
    damage(pattern);
    db = open_db();
    assert_int_equal(put_vector(db, id, &p, 2, "x"), FR_REASON_DUPLICATE);
    assert_int_equal(put_vector(db, id, &p, 7, "x"), FR_REASON_OUT_OF_ORDER_SEQUENCE);
    fr_close(db);
}

static void decided_transactions_hold_nothing(void **state)
{
    (void)state;
    fr_producers *producers;
    fr_batch_header open = {.producerId = 5, .baseOffset = 10, .baseSequence = 0, .attributes = 0x10, .recordCount = 1},
                    marker = {.producerId = 5, .baseOffset = 11, .baseSequence = -1, .attributes = 0x30, .recordCount = 1};
    assert_int_equal(fr_producers_create(&producers), FR_OK);
    assert_int_equal(fr_producers_reserve(producers, 2), FR_OK);
    fr_producers_add(producers, &open, 1);
    assert_int_equal(fr_producers_first_open(producers, 11), 10);
    fr_producers_end(producers, &marker, true, 1);
    assert_int_equal(fr_producers_first_open(producers, 11), 10); /* its end is not durable */
    assert_int_equal(fr_producers_first_open(producers, 12), INT64_MAX); /* nobody had to read for it */
    fr_producers_free(producers);
}

static void the_newest_time_is_that_of_the_records(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id;
    fr_offset offset;
    int64_t time_ms;
    size_t size;
    assert_int_equal(make_topic(db, "t", 1, NULL, 0, &id, NULL), FR_OK);
    uint8_t *data = make_batch(NULL, 0, 3, 1700000000000, "v", &size);
    fr_batch_newest(data, size, 1800000000000); /* a lie with a good checksum */
    assert_int_equal(produce_bytes(db, id, 0, data, size).reason, FR_REASON_NONE);
    must(fr_seek_newest(db, id, 0, &offset, &time_ms, err));
    assert_int_equal(offset, 2);
    assert_int_equal(time_ms, 1700000000002);
    assert_int_equal(fr_load_be64(data + 35), 1700000000002);
    assert_int_equal(consume(db, id, 0, 0, false).records, 3);
    free(data);
    fr_close(db);
}

static void event_ids_of_producers_count(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id;
    fr_batch_writer w = {0};
    fr_log_header header = {fr_span_text(FR_HEADER_EVENT_ID), fr_span_text("once")};
    size_t size;
    must(create_collection(db, "c", 1, FR_METRIC_L2, &id, err));
    uint8_t *data = vector_batch(&w, NULL, -1, "x", &header, 1, &size);
    assert_int_equal(produce_bytes(db, id, 0, data, size).reason, FR_REASON_NONE);
    for (int round = 0; round < 2; round++) {
        fr_batch events = {0};
        fr_write out;
        must(put_event(&events, "x", 2, 2, "once", FR_TIME_NONE, err));
        must(write_batch(db, id, &events, &out, err));
        assert_int_equal(out.duplicates, 1);
        assert_int_equal(out.written[0].first, 0);
        fr_batch_free(&events);
        fr_close(db);
        db = open_db();
    }
    fr_batch_writer_free(&w);
    fr_close(db);
}

static bool count_one(void *user, const fr_scanned *record)
{
    uint32_t *counts = user;
    counts[0]++;
    counts[1] += record->header_count;
    return true;
}

static void letters_with_many_headers(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id, letters;
    fr_batch_writer w = {0};
    fr_log_header headers[FR_LOG_HEADERS_MAX];
    uint8_t *data;
    size_t size;
    uint32_t counts[2] = {0};
    for (uint32_t i = 0; i < FR_LOG_HEADERS_MAX; i++) headers[i] = (fr_log_header){fr_span_text("h"), fr_span_text("v")};
    must(create_collection(db, "c", 1, FR_METRIC_L2, &id, err));
    fr_batch_writer_begin(&w, FR_CODEC_NONE);
    for (int i = 0; i < 2; i++)
        fr_batch_writer_add(&w, 1700000000000, fr_span_text("k"), fr_span_text("junk"), headers, i ? 0 : FR_LOG_HEADERS_MAX);
    assert_int_equal(fr_batch_writer_end(&w, &data, &size), FR_OK);
    assert_int_equal(produce_bytes(db, id, 0, data, size).reason, FR_REASON_NONE);
    must(fr_topic_resolve(db, "c.dlq", &letters));
    must(fr_topic_scan(db, letters, 0, 0, count_one, counts, err));
    assert_int_equal(counts[0], 2);
    assert_int_equal(counts[1], FR_LOG_HEADERS_MAX + 4);
    fr_batch_writer_free(&w);
    fr_close(db);
}

static void meaning_stays(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id;
    must(create_collection(db, "c", 1, FR_METRIC_L2, &id, err));
    fr_topic_config config = {"freshet.field.vector", "embedding"};
    fr_topic_change change = {.configs = &config, .config_count = 1};
    fr_write w = {.kind = FR_WRITE_TOPIC_CONFIGS, .id = id, .topic = &change};
    must(fr_submit_wait(db, &w, err)); /* nothing is written yet */
    must(upsert(db, id, "a", 1, 1, NULL, err));
    config.value = "other";
    w = (fr_write){.kind = FR_WRITE_TOPIC_CONFIGS, .id = id, .topic = &change};
    assert_int_equal(fr_submit_wait(db, &w, NULL), FR_ERR_INVALID);
    assert_int_equal(w.reason, FR_REASON_POLICY_VIOLATION);
    config = (fr_topic_config){"freshet.fetch", "raw"}; /* means nothing for what is stored */
    w = (fr_write){.kind = FR_WRITE_TOPIC_CONFIGS, .id = id, .topic = &change};
    must(fr_submit_wait(db, &w, err));
    fr_close(db);
}

#define one(test) cmocka_unit_test_setup_teardown(test, make_test_dir, remove_test_dir)
int main(void)
{
    const struct CMUnitTest tests[] = {
        one(an_end_is_finished_before_the_first_search), one(an_end_waits_for_an_unreadable_topic), one(markers_wait_for_a_delete),
        one(unused_ids_are_forgotten),                   one(damaged_state_is_made_again),          one(decided_transactions_hold_nothing),
        one(the_newest_time_is_that_of_the_records),     one(event_ids_of_producers_count),         one(letters_with_many_headers),
        one(meaning_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
