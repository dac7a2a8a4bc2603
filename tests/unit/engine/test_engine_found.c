/* Records of producers are read once: what was found when they were judged is what apply takes, as long as a replay would find the same. */
#include "tests/unit/engine/topic_help.h"

static _Atomic uint32_t parsed;

/* "{3": a vector of version 3, of version 103 when the map names another field; "{-": a delete. */
static fr_code parse_counted(const fr_json_map *map, fr_span key, fr_span value, fr_batch *out, fr_err *err)
{
    float vector[DIM], version;
    char text[32] = "";
    atomic_fetch_add(&parsed, 1);
    memcpy(text, value.data, FR_MIN(value.size, sizeof text - 1));
    fr_value field = {FR_FIELD_VECTOR, FR_TYPE_VECTOR_F32, {vector, sizeof vector}};
    fr_event event = {.key = key, .source_time_ms = FR_TIME_NONE, .values = &field, .value_count = 1};
    event.remove = strcmp(text, "{-") == 0;
    if (!event.remove && sscanf(text, "{%f", &version) != 1) return fr_fail(err, FR_ERR_INVALID, "value", "no vector");
    if (!event.remove) vector_of(vector, 1, version + (strcmp(map->vector, "other") == 0 ? 100 : 0));
    return fr_batch_put(out, &event, err);
}

typedef struct text_record {
    const char *key, *value; /* NULL: a tombstone; "v1": binary, version 50 */
} text_record;

/* One batch; the caller frees. */
static uint8_t *texts(const text_record *records, uint32_t count, fr_codec codec, size_t *size_out)
{
    fr_batch_writer w = {0};
    uint8_t *data, binary[5 + 7 + DIM * 4] = {1, 1, 0, 0, 0, FR_FIELD_VECTOR, 0, FR_TYPE_VECTOR_F32, DIM * 4};
    float vector[DIM];
    vector_of(vector, 1, 50);
    memcpy(binary + 12, vector, sizeof vector);
    fr_batch_writer_begin(&w, codec);
    for (uint32_t i = 0; i < count; i++) {
        fr_span value = records[i].value == NULL ? (fr_span){NULL, 0} : fr_span_text(records[i].value);
        if (records[i].value != NULL && strcmp(records[i].value, "v1") == 0) value = fr_span_of(binary, sizeof binary);
        fr_batch_writer_add(&w, 1700000000000, fr_span_text(records[i].key), value, NULL, 0);
    }
    assert_int_equal(fr_batch_writer_end(&w, &data, size_out), FR_OK);
    uint8_t *copy = malloc(*size_out);
    memcpy(copy, data, *size_out);
    fr_batch_writer_free(&w);
    return copy;
}

static fr_offset produce_texts(fr_db *db, fr_id id, int32_t partition, const text_record *records, uint32_t count, fr_codec codec)
{
    size_t size;
    uint8_t *data = texts(records, count, codec, &size);
    fr_produce part = produce_bytes(db, id, partition, data, size);
    free(data);
    assert_int_equal(part.reason, FR_REASON_NONE);
    return part.base_offset;
}

static const fr_options options = {.parse_json = parse_counted, .no_snapshot_on_close = true};

static void each_record_is_read_once(void **state)
{
    (void)state;
    fr_db *db = open_with(&options);
    fr_id id;
    must(create_collection(db, "c", 1, FR_METRIC_L2, &id, err));
    static const text_record first[] = {{"a", "{1"}, {"b", "{2"}, {"c", "v1"}, {"d", "{4"}, {"a", "{5"}};
    static const text_record second[] = {{"b", NULL}, {"d", "{-"}, {"e", "{6"}, {"never", NULL}};
    atomic_store(&parsed, 0);
    assert_int_equal(produce_texts(db, id, 0, first, FR_COUNT_OF(first), FR_CODEC_LZ4), 0);
    assert_int_equal(atomic_load(&parsed), 4);
    assert_int_equal(count_of(db, id, NULL), 4);
    assert_int_equal(produce_texts(db, id, 0, second, FR_COUNT_OF(second), FR_CODEC_NONE), 5);
    assert_int_equal(atomic_load(&parsed), 6);
    for (int round = 0; round < 2; round++) { /* a replay finds the same */
        assert_int_equal(count_of(db, id, NULL), 3);
        assert_true(version_of(db, id, "a") > 4.5f && version_of(db, id, "a") < 5.5f);
        assert_true(version_of(db, id, "b") < 0 && version_of(db, id, "d") < 0);
        assert_true(version_of(db, id, "c") > 49 && version_of(db, id, "e") > 5.5f);
        fr_close(db);
        db = open_with(&options);
    }
    fr_close(db);
}

/* Two partitions in one write, one with a record that cannot be used: that one is read again, the others count. */
static void bad_records_do_not_shift_the_others(void **state)
{
    (void)state;
    fr_db *db = open_with(&options);
    fr_id id;
    size_t sizes[2];
    must(create_collection(db, "c", 1, FR_METRIC_L2, &id, err));
    static const text_record bad[] = {{"a", "{1"}, {"x", "{?"}, {"b", "{2"}, {"y", "junk"}, {"c", "{3"}}, good[] = {{"d", "{4"}, {"a", "{9"}};
    uint8_t *data[] = {texts(bad, FR_COUNT_OF(bad), FR_CODEC_NONE, &sizes[0]), texts(good, FR_COUNT_OF(good), FR_CODEC_NONE, &sizes[1])};
    fr_produce parts[] = {{.partition = 0, .data = data[0], .size = sizes[0]}, {.partition = 0, .data = data[1], .size = sizes[1]},
                          {.partition = 7, .data = data[1], .size = sizes[1]}};
    fr_write w = {.kind = FR_WRITE_BATCHES, .id = id, .produce = parts, .produce_count = FR_COUNT_OF(parts)};
    must(fr_submit_wait(db, &w, err));
    assert_int_equal(parts[1].base_offset, 5);
    assert_int_equal(parts[2].reason, FR_REASON_UNKNOWN_PARTITION);
    free(data[0]);
    free(data[1]);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(count_of(db, id, NULL), 4);
        assert_true(version_of(db, id, "a") > 8 && version_of(db, id, "c") > 2.5f && version_of(db, id, "d") > 3.5f);
        fr_collection *c = fr_engine_collection_ref(db, id);
        assert_int_equal(atomic_load(&c->shards[0].skipped), 2);
        fr_engine_unref(c);
        fr_close(db);
        db = open_with(&options);
    }
    fr_close(db);
}

static void no_answer(fr_write *write) { (void)write; }

/* Judged by one meaning, written behind a change of it: what a replay finds counts. */
static void a_change_of_meaning_in_between(void **state)
{
    (void)state;
    fr_options steps = options;
    steps.no_threads = true;
    fr_db *db = open_with(&steps);
    fr_id id;
    size_t size;
    must(create_collection(db, "c", 1, FR_METRIC_L2, &id, err));
    fr_topic_config field[] = {{"freshet.field.vector", "other"}};
    fr_topic_change change = {.configs = field, .config_count = 1};
    fr_write config = {.kind = FR_WRITE_TOPIC_CONFIGS, .id = id, .topic = &change, .done = no_answer};
    static const text_record records[] = {{"a", "{1"}, {"b", "{2"}};
    uint8_t *data = texts(records, FR_COUNT_OF(records), FR_CODEC_NONE, &size);
    fr_produce part = {.data = data, .size = size};
    fr_write batch = {.kind = FR_WRITE_BATCHES, .id = id, .produce = &part, .produce_count = 1, .done = no_answer};
    must(fr_submit(db, &config, err));
    must(fr_submit(db, &batch, err));
    fr_engine_drain(db);
    assert_int_equal(batch.code, FR_OK);
    free(data);
    for (int round = 0; round < 2; round++) {
        assert_true(version_of(db, id, "a") > 100.5f && version_of(db, id, "b") > 101.5f);
        fr_close(db);
        db = open_with(&steps);
    }
    fr_close(db);
}

#define one(test) cmocka_unit_test_setup_teardown(test, make_test_dir, remove_test_dir)
int main(void)
{
    const struct CMUnitTest tests[] = {
        one(each_record_is_read_once),
        one(bad_records_do_not_shift_the_others),
        one(a_change_of_meaning_in_between),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
