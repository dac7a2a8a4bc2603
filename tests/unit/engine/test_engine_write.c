/* test_engine_write.c: the write path and what a search sees of it. */
#include "engine_help.h"

static void written_is_searchable(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id;
    fr_write w;
    must(create_collection(db, "first", 1, FR_METRIC_L2, &id, err));
    must(upsert(db, id, "one", 1, 0, &w, err));
    assert_int_equal(w.records, 1);
    assert_int_equal(w.written_count, 1);
    assert_int_equal(w.written[0].first, 0);
    must(upsert(db, id, "two", 2, 0, &w, err));
    assert_int_equal(w.written[0].last, 1);
    fr_searcher *s;
    must(fr_searcher_create(db, &s));
    float query[DIM];
    vector_of(query, 2.1f, 0);
    fr_hit hits[5];
    uint32_t count = 0;
    fr_query q = {.id = id,
                  .vectors = query,
                  .query_count = 1,
                  .dimension = DIM,
                  .k = 5,
                  .with_metadata = true,
                  .with_vector = true};
    must(fr_search(s, &q, hits, &count, NULL, err));
    assert_int_equal(count, 2);
    assert_memory_equal(hits[0].key.data, "two", 3);
    assert_float_equal(hits[0].distance, 0.01f, 1e-4);
    assert_float_equal(hits[0].score, -0.01f, 1e-4);
    assert_int_equal(hits[0].offset, 1);
    assert_float_equal(hits[0].vector[0], 2, 0);
    assert_int_equal(fr_doc_int(fr_doc_get(fr_doc_root(hits[0].metadata), fr_span_text("v"))), 0);
    q.offset = 1;
    must(fr_search(s, &q, hits, &count, NULL, err));
    assert_int_equal(count, 1);
    assert_memory_equal(hits[0].key.data, "one", 3);
    q.min_offset_count = 1;
    q.min_offsets[0].offset = 1;
    must(fr_search(s, &q, hits, &count, NULL, err));
    q.min_offsets[0].offset = 2;
    assert_int_equal(fr_search(s, &q, hits, &count, NULL, NULL), FR_ERR_BEHIND);
    fr_searcher_free(s);
    assert_int_equal(count_of(db, id, NULL), 2);
    assert_int_equal(count_of(db, id, "id == \"one\""), 1);
    fr_close(db);
}

static void replaced_and_deleted(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id;
    fr_write w;
    must(create_collection(db, "replace", 3, FR_METRIC_L2, &id, err));
    char key[16];
    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof key, "k%d", i);
        must(upsert(db, id, key, (float)i, 1, NULL, err));
        must(upsert(db, id, key, (float)i, 2, NULL, err));
    }
    assert_int_equal(count_of(db, id, NULL), 50);
    assert_float_equal(version_of(db, id, "k7"), 2, 0);
    must(delete_key(db, id, "k7", &w, err));
    assert_int_equal(w.existed, 1);
    must(delete_key(db, id, "k7", &w, err));
    assert_int_equal(w.existed, 0);
    assert_float_equal(version_of(db, id, "k7"), -1, 0);
    assert_int_equal(count_of(db, id, NULL), 49);
    assert_int_equal(count_of(db, id, "v == 2"), 49);
    fr_close(db);
    for (int round = 0; round < 2; round++) { /* with the closing snapshot, and again from the log alone */
        db = open_db();
        must(fr_resolve(db, "replace", &id));
        assert_int_equal(count_of(db, id, NULL), 49);
        assert_float_equal(version_of(db, id, "k7"), -1, 0);
        assert_float_equal(version_of(db, id, "k8"), 2, 0);
        fr_close(db);
        char command[192];
        snprintf(command, sizeof command, "rm -rf '%s'/snap/*", test_dir);
        assert_int_equal(system(command), 0);
    }
}

static void one_request_over_partitions(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id;
    fr_write w;
    fr_batch b = {0};
    char key[16];
    must(create_collection(db, "parts", 8, FR_METRIC_L2, &id, err));
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "k%d", i);
        must(put_event(&b, key, (float)i, 3, NULL, FR_TIME_NONE, err));
    }
    must(write_batch(db, id, &b, &w, err));
    assert_int_equal(w.records, 1000);
    assert_int_equal(w.written_count, 8);
    int64_t total = 0;
    for (uint32_t i = 0; i < w.written_count; i++) total += w.written[i].last - w.written[i].first + 1;
    assert_int_equal(total, 1000);
    assert_int_equal(count_of(db, id, NULL), 1000);
    fr_batch_free(&b);
    fr_close(db);
    db = open_db();
    assert_int_equal(count_of(db, id, NULL), 1000);
    fr_close(db);
}

static void early_answers_are_applied_too(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id;
    must(create_collection(db, "durable", 2, FR_METRIC_L2, &id, err));
    for (int i = 0; i < 30; i++) {
        char key[16];
        fr_batch b = {0};
        snprintf(key, sizeof key, "k%d", i);
        must(put_event(&b, key, (float)i, 1, NULL, FR_TIME_NONE, err));
        fr_write w = {.kind = FR_WRITE_EVENTS, .ack = FR_ACK_DURABLE, .id = id, .batch = &b};
        must(fr_submit_wait(db, &w, err));
        fr_batch_free(&b); /* the engine must not need it any more */
    }
    must(upsert(db, id, "last", 0, 0, NULL, err)); /* applied in order: all before it are */
    assert_int_equal(count_of(db, id, NULL), 31);
    fr_close(db);
}

static void event_ids_make_retries_harmless(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id;
    fr_write w;
    fr_batch b = {0};
    must(create_collection(db, "ids", 1, FR_METRIC_L2, &id, err));
    must(put_event(&b, "a", 1, 1, "e1", FR_TIME_NONE, err));
    must(put_event(&b, "b", 1, 1, "e2", FR_TIME_NONE, err));
    must(put_event(&b, "a", 1, 9, "e1", FR_TIME_NONE, err)); /* twice in one request */
    must(write_batch(db, id, &b, &w, err));
    assert_int_equal(w.records, 2);
    assert_int_equal(w.duplicates, 1);
    must(upsert(db, id, "a", 1, 5, NULL, err));
    for (int round = 0; round < 3; round++) {
        must(write_batch(db, id, &b, &w, err));
        assert_int_equal(w.records, 0);
        assert_int_equal(w.duplicates, 3);
        assert_int_equal(w.written_count, 1);
        assert_int_equal(w.written[0].first, 0);
        assert_int_equal(w.written[0].last, 1);
        assert_float_equal(version_of(db, id, "a"), 5, 0);
        fr_close(db);
        if (round == 1) {
            char command[192];
            snprintf(command, sizeof command, "rm -rf '%s'/snap/*", test_dir);
            assert_int_equal(system(command), 0);
        }
        db = open_db();
    }
    fr_batch_free(&b);
    fr_close(db);
}

static void expect_invalid(fr_db *db, fr_id id, const fr_event *event, const char *field)
{
    fr_batch b = {0};
    fr_err e = {0};
    fr_code code = fr_batch_put(&b, event, &e);
    if (code == FR_OK) code = write_batch(db, id, &b, NULL, &e);
    fr_batch_free(&b);
    assert_int_equal(code, FR_ERR_INVALID);
    assert_string_equal(e.field, field);
    assert_true(e.text[0] != 0);
}

static void bad_input_names_the_field(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id, cosine;
    must(create_collection(db, "strict", 1, FR_METRIC_L2, &id, err));
    must(create_collection(db, "cosine", 1, FR_METRIC_COSINE, &cosine, err));
    float vector[DIM + 1] = {1, 2, 3, 4, 5}, zero[DIM] = {0}, bad[DIM] = {1, 0.0f / 1.0f, 0, 0},
                       huge[DIM] = {3e38f, 3e38f, 0, 0};
    bad[1] = (float)strtod("nan", NULL);
    fr_value value = {FR_FIELD_VECTOR, FR_TYPE_VECTOR_F32, {vector, sizeof vector}};
    fr_event event = {.key = fr_span_text("k"), .values = &value, .value_count = 1, .source_time_ms = FR_TIME_NONE};
    expect_invalid(db, id, &event, "records[0].vector"); /* dimension */
    value.bytes = fr_span_of(bad, sizeof bad);
    expect_invalid(db, id, &event, "records[0].vector");
    value.bytes = fr_span_of(huge, sizeof huge);
    expect_invalid(db, id, &event, "records[0].vector");
    value.bytes = fr_span_of(zero, sizeof zero);
    expect_invalid(db, cosine, &event, "records[0].vector");
    value.bytes = fr_span_of(vector, DIM * sizeof(float));
    event.key = fr_span_of("\xff\xfe", 2);
    expect_invalid(db, id, &event, "records[0].id");
    event.key = fr_span_text("007");
    event.key_is_int = true;
    expect_invalid(db, id, &event, "records[0].id");
    event.key_is_int = false;
    event.key = fr_span_of("", 0);
    expect_invalid(db, id, &event, "records[0].id");
    event.key = fr_span_text("k");
    event.value_count = 0;
    expect_invalid(db, id, &event, "records[0].vector"); /* none */
    fr_value both[2] = {value, {FR_FIELD_DYNAMIC, FR_TYPE_JSON, fr_span_of("\xff", 1)}};
    event.values = both;
    event.value_count = 2;
    expect_invalid(db, id, &event, "records[0].metadata");
    assert_int_equal(count_of(db, id, NULL), 0);
    assert_int_equal(upsert(db, 12345, "k", 1, 1, NULL, NULL), FR_ERR_NOT_FOUND);
    fr_searcher *s;
    must(fr_searcher_create(db, &s));
    fr_hit hit;
    uint32_t count;
    fr_err e;
    fr_query q = {.id = id, .vectors = vector, .query_count = 1, .dimension = DIM, .k = 0};
    assert_int_equal(fr_search(s, &q, &hit, &count, NULL, &e), FR_ERR_INVALID);
    assert_string_equal(e.field, "k");
    q.k = 1;
    q.filter = "v ==";
    assert_int_equal(fr_search(s, &q, &hit, &count, NULL, &e), FR_ERR_INVALID);
    q.filter = NULL;
    q.dimension = 3;
    assert_int_equal(fr_search(s, &q, &hit, &count, NULL, &e), FR_ERR_INVALID);
    assert_string_equal(e.field, "vector");
    fr_searcher_free(s);
    fr_close(db);
}

static void stale_rule(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_collection_def *def = calloc(1, sizeof *def);
    snprintf(def->name, sizeof def->name, "stale");
    def->dimension = DIM;
    def->drop_stale = true;
    fr_write w = {.kind = FR_WRITE_COLLECTION_CREATE, .def = def};
    must(fr_submit_wait(db, &w, err));
    free(def);
    fr_id id = w.id;
    int64_t times[] = {100, 50, 200, 199};
    for (int i = 0; i < 4; i++) {
        fr_batch b = {0};
        must(put_event(&b, "k", 1, (float)i, NULL, times[i], err));
        must(write_batch(db, id, &b, NULL, err));
        fr_batch_free(&b);
    }
    assert_float_equal(version_of(db, id, "k"), 2, 0);
    fr_close(db);
    db = open_db();
    assert_float_equal(version_of(db, id, "k"), 2, 0);
    fr_close(db);
}

static void delete_matching(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id;
    fr_batch b = {0};
    char key[16];
    must(create_collection(db, "erase", 2, FR_METRIC_L2, &id, err));
    for (int n = 0; n < 3; n++) {
        fr_batch_reset(&b);
        for (int i = 0; i < 8000; i++) {
            snprintf(key, sizeof key, "k%d", n * 8000 + i);
            must(put_event(&b, key, (float)i, (float)(i % 4), NULL, FR_TIME_NONE, err));
        }
        must(write_batch(db, id, &b, NULL, err));
    }
    fr_write w = {.kind = FR_WRITE_DELETE_MATCHING, .id = id, .filter = "v != 3"};
    must(fr_submit_wait(db, &w, err));
    assert_int_equal(w.existed, 18000);
    assert_int_equal(w.records, 18000);
    assert_int_equal(count_of(db, id, NULL), 6000);
    assert_int_equal(count_of(db, id, "v == 3"), 6000);
    w = (fr_write){.kind = FR_WRITE_DELETE_MATCHING, .id = id, .filter = "id in [\"k3\", \"k7\", \"none\"]"};
    must(fr_submit_wait(db, &w, err));
    assert_int_equal(w.existed, 2);
    w = (fr_write){.kind = FR_WRITE_DELETE_MATCHING, .id = id, .filter = "v == 99"};
    must(fr_submit_wait(db, &w, err));
    assert_int_equal(w.existed, 0);
    w = (fr_write){.kind = FR_WRITE_DELETE_MATCHING, .id = id, .filter = " "};
    assert_int_equal(fr_submit_wait(db, &w, NULL), FR_ERR_INVALID);
    fr_batch_free(&b);
    fr_close(db);
    db = open_db();
    assert_int_equal(count_of(db, id, NULL), 5998);
    fr_close(db);
}

static void names_and_aliases(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id a, b, found;
    char name[FR_NAME_BYTES_MAX + 1];
    must(create_collection(db, "a", 1, FR_METRIC_L2, &a, err));
    assert_int_equal(create_collection(db, "a", 1, FR_METRIC_L2, NULL, NULL), FR_ERR_EXISTS);
    assert_int_equal(create_collection(db, "../x", 1, FR_METRIC_L2, NULL, NULL), FR_ERR_INVALID);
    assert_int_equal(create_collection(db, "__x", 1, FR_METRIC_L2, NULL, NULL), FR_ERR_INVALID);
    assert_int_equal(create_collection(db, "x", 65, FR_METRIC_L2, NULL, NULL), FR_ERR_INVALID);
    must(create_collection(db, "b", 1, FR_METRIC_L2, &b, err));
    assert_true(b > a);
    fr_write w = {.kind = FR_WRITE_ALIAS_PUT, .name = "live", .target = "a"};
    must(fr_submit_wait(db, &w, err));
    must(fr_resolve(db, "live", &found));
    assert_int_equal(found, a);
    w = (fr_write){.kind = FR_WRITE_ALIAS_PUT, .name = "live", .target = "b"};
    must(fr_submit_wait(db, &w, err));
    must(fr_resolve(db, "live", &found));
    assert_int_equal(found, b);
    w = (fr_write){.kind = FR_WRITE_ALIAS_PUT, .name = "a", .target = "b"};
    assert_int_equal(fr_submit_wait(db, &w, NULL), FR_ERR_EXISTS);
    assert_int_equal(create_collection(db, "live", 1, FR_METRIC_L2, NULL, NULL), FR_ERR_EXISTS);
    fr_close(db);
    db = open_db();
    must(fr_alias_get(db, "live", name, sizeof name));
    assert_string_equal(name, "b");
    must(upsert(db, b, "k", 1, 1, NULL, err));
    w = (fr_write){.kind = FR_WRITE_COLLECTION_DROP, .id = b};
    must(fr_submit_wait(db, &w, err));
    assert_int_equal(fr_resolve(db, "b", &found), FR_ERR_NOT_FOUND);
    assert_int_equal(fr_resolve(db, "live", &found), FR_ERR_NOT_FOUND);
    assert_int_equal(upsert(db, b, "k", 1, 1, NULL, NULL), FR_ERR_NOT_FOUND);
    fr_id again;
    must(create_collection(db, "b", 1, FR_METRIC_L2, &again, err));
    assert_true(again > b);
    assert_int_equal(count_of(db, again, NULL), 0);
    w = (fr_write){.kind = FR_WRITE_COLLECTION_DROP, .id = again};
    must(fr_submit_wait(db, &w, err));
    fr_close(db);
    db = open_db();
    fr_id third;
    must(create_collection(db, "c", 1, FR_METRIC_L2, &third, err));
    assert_true(third > again); /* never reused, also across a restart */
    char path[256];
    snprintf(path, sizeof path, "%s/log/%llu-0", test_dir, (unsigned long long)b);
    assert_int_not_equal(access(path, F_OK), 0);
    fr_close(db);
}

static void one_owner_of_a_directory(void **state)
{
    (void)state;
    fr_db *db = open_db(), *second = NULL;
    assert_int_equal(fr_open(test_dir, NULL, &second, NULL), FR_ERR_LOCKED);
    assert_null(second);
    fr_close(db);
    fr_close(NULL);
}

static void the_log_reads_back(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id;
    fr_batch b = {0};
    must(create_collection(db, "read", 1, FR_METRIC_L2, &id, err));
    must(put_event(&b, "a", 1, 7, "e1", 1234, err));
    must(remove_event(&b, "zz", err));
    must(write_batch(db, id, &b, NULL, err));
    fr_view view;
    must(fr_read(db, id, 0, 0, 1 << 20, &view, err));
    fr_record_iter *iter;
    fr_record record;
    must(fr_records_begin(&view, &iter));
    assert_true(fr_records_next(iter, &record));
    assert_int_equal(record.offset, 0);
    assert_memory_equal(record.event.key.data, "a", 1);
    assert_memory_equal(record.event.event_id.data, "e1", 2);
    assert_int_equal(record.event.source_time_ms, 1234);
    assert_int_equal(record.event.value_count, 2);
    assert_int_equal(record.values[0].field, FR_FIELD_VECTOR);
    assert_false(record.event.remove);
    assert_true(fr_records_next(iter, &record));
    assert_true(record.event.remove);
    assert_int_equal(record.offset, 1);
    assert_false(fr_records_next(iter, &record));
    fr_records_end(iter);
    fr_view_release(&view);
    must(fr_read(db, id, 0, 2, 1 << 20, &view, err));
    assert_int_equal(view.size, 0);
    fr_view_release(&view);
    assert_int_equal(fr_read(db, id, 0, 3, 1 << 20, &view, NULL), FR_ERR_INVALID);
    fr_offset at;
    must(fr_seek(db, id, 0, 0, &at, err));
    assert_int_equal(at, 0);
    fr_batch_free(&b);
    fr_close(db);
}

static void scroll_in_key_order(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id;
    fr_batch b = {0};
    char key[16];
    must(create_collection(db, "scroll", 3, FR_METRIC_L2, &id, err));
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "k%02d", (i * 37) % 100);
        must(put_event(&b, key, (float)i, (float)(i % 2), NULL, FR_TIME_NONE, err));
    }
    must(write_batch(db, id, &b, NULL, err));
    fr_batch_free(&b);
    fr_searcher *s;
    must(fr_searcher_create(db, &s));
    fr_hit hits[7];
    uint32_t count = 0, total = 0;
    char after[16] = "";
    do {
        must(fr_scroll(s, id, NULL, fr_span_text(after), 7, NULL, hits, &count, err));
        for (uint32_t i = 0; i < count; i++, total++) {
            snprintf(key, sizeof key, "k%02u", total);
            assert_int_equal(hits[i].key.size, 3);
            assert_memory_equal(hits[i].key.data, key, 3);
            memcpy(after, hits[i].key.data, 3);
        }
    } while (count == 7);
    assert_int_equal(total, 100);
    must(fr_scroll(s, id, &(fr_condition){.filter = "v == 1"}, fr_span_of("", 0), 7, NULL, hits, &count, err));
    assert_int_equal(count, 7);
    fr_searcher_free(s);
    fr_close(db);
}

static void ranges_and_groups(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id;
    fr_batch b = {0};
    char key[16];
    must(create_collection(db, "range", 2, FR_METRIC_L2, &id, err));
    for (int i = 0; i < 60; i++) {
        snprintf(key, sizeof key, "k%02d", i);
        must(put_event(&b, key, (float)i, (float)(i / 20), NULL, FR_TIME_NONE, err));
    }
    must(write_batch(db, id, &b, NULL, err));
    fr_batch_free(&b);
    fr_searcher *s;
    must(fr_searcher_create(db, &s));
    float query[DIM] = {0, 0, 1, 0};
    fr_hit hits[60];
    uint32_t count = 0;
    fr_query q = {.id = id,
                  .vectors = query,
                  .query_count = 1,
                  .dimension = DIM,
                  .k = 60,
                  .has_radius = true,
                  .radius = 25,
                  .has_range_filter = true,
                  .range_filter = 4};
    must(fr_search(s, &q, hits, &count, NULL, err));
    assert_int_equal(count, 3); /* squared distances 4, 9, 16: 4 <= d < 25 */
    assert_float_equal(hits[0].distance, 4, 0);
    q.has_radius = q.has_range_filter = false;
    q.group_by = "v";
    q.group_size = 2;
    q.k = 10;
    must(fr_search(s, &q, hits, &count, NULL, err));
    assert_int_equal(count, 6);
    assert_memory_equal(hits[0].key.data, "k00", 3);
    assert_memory_equal(hits[2].key.data, "k20", 3);
    fr_searcher_free(s);
    fr_close(db);
}

static void waited(fr_waiter *waiter) { atomic_fetch_add((_Atomic int *)waiter->user, 1); }

static void waiting_for_an_offset(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id;
    _Atomic int fired = 0;
    must(create_collection(db, "wait", 1, FR_METRIC_L2, &id, err));
    fr_waiter w1 = {.id = id, .offset = 1, .done = waited, .user = &fired}, w2 = w1, w3 = w1;
    w2.offset = 100;
    w3.offset = 200;
    assert_int_equal(fr_when(db, &w1), FR_OK);
    assert_int_equal(fr_when(db, &w2), FR_OK);
    assert_int_equal(fr_when(db, &w3), FR_OK);
    must(upsert(db, id, "a", 1, 1, NULL, err));
    assert_int_equal(atomic_load(&fired), 0);
    must(upsert(db, id, "a", 1, 1, NULL, err));
    for (int i = 0; i < 30000 && atomic_load(&fired) == 0; i++) usleep(1000);
    assert_int_equal(atomic_load(&fired), 1);
    assert_int_equal(w1.code, FR_OK);
    assert_true(fr_when_cancel(db, &w2));
    assert_false(fr_when_cancel(db, &w2));
    fr_close(db);
    assert_int_equal(atomic_load(&fired), 2);
    assert_int_equal(w3.code, FR_ERR_CLOSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, make_test_dir, remove_test_dir)
        T(written_is_searchable),
        T(replaced_and_deleted),
        T(one_request_over_partitions),
        T(early_answers_are_applied_too),
        T(event_ids_make_retries_harmless),
        T(bad_input_names_the_field),
        T(stale_rule),
        T(delete_matching),
        T(names_and_aliases),
        T(one_owner_of_a_directory),
        T(the_log_reads_back),
        T(scroll_in_key_order),
        T(ranges_and_groups),
        T(waiting_for_an_offset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
