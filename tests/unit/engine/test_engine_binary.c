/* test_engine_binary.c: collections of binary vectors: the forms in which a record brings one, what is refused, searches against
 * brute force, the same after a restart from a snapshot and from the log alone. */
#include "engine_help.h"

#define BITS 96u
#define BYTES (BITS / 8)
#define ROWS 1200u
#define K 10u

static fr_id create_binary(fr_db *db, const char *name, fr_metric metric)
{
    fr_collection_def *def = calloc(1, sizeof *def);
    snprintf(def->name, sizeof def->name, "%s", name);
    def->dimension = BITS, def->metric = metric, def->vector_type = FR_TYPE_VECTOR_BINARY;
    fr_write w = {.kind = FR_WRITE_COLLECTION_CREATE, .def = def};
    must(fr_submit_wait(db, &w, err));
    free(def);
    return w.id;
}

static void row_of(uint32_t key, uint8_t *out)
{
    for (uint32_t i = 0; i < BYTES; i++) out[i] = (uint8_t)(fr_mix64(key % 30 * 100 + i) ^ (fr_mix64(key * 77 + i) & fr_mix64(key * 99 + i) & 0x55));
}

static float distance(fr_metric metric, const uint8_t *a, const uint8_t *b)
{
    uint32_t differ = 0, either = 0;
    for (uint32_t i = 0; i < BYTES; i++)
        differ += (uint32_t)__builtin_popcount((uint32_t)(a[i] ^ b[i])), either += (uint32_t)__builtin_popcount((uint32_t)(a[i] | b[i]));
    return metric == FR_METRIC_HAMMING ? (float)differ : either == 0 ? 0 : (float)((double)differ / either);
}

/* By turns as bytes, as numbers 0 and 1, as bytes in numbers: all are kept alike. */
static void write_rows(fr_db *db, fr_id id)
{
    fr_batch batch = {0};
    for (uint32_t key = 0; key < ROWS; key++) {
        uint8_t bytes[BYTES];
        float numbers[BITS];
        char text[16];
        int size = snprintf(text, sizeof text, "k%u", key);
        row_of(key, bytes);
        fr_value value = {.field = FR_FIELD_VECTOR, .type = FR_TYPE_VECTOR_F32, .bytes = fr_span_of(numbers, sizeof numbers)};
        if (key % 3 == 0) value = (fr_value){.field = FR_FIELD_VECTOR, .type = FR_TYPE_VECTOR_BINARY, .bytes = fr_span_of(bytes, BYTES)};
        else if (key % 3 == 1) fr_vector_unpack(FR_TYPE_VECTOR_BINARY, bytes, BITS, numbers);
        else value.bytes.size = BYTES * sizeof(float);
        for (uint32_t i = 0; key % 3 == 2 && i < BYTES; i++) numbers[i] = key % 2 ? (float)bytes[i] : (float)(int8_t)bytes[i];
        fr_event event = {.key = fr_span_of(text, (size_t)size), .source_time_ms = FR_TIME_NONE, .values = &value, .value_count = 1};
        must(fr_batch_put(&batch, &event, err));
    }
    must(write_batch(db, id, &batch, NULL, err));
    fr_batch_free(&batch);
}

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void check_collection(fr_db *db, fr_id id, fr_metric metric)
{
    fr_searcher *s;
    fr_hit hits[K];
    uint32_t count, good = 0;
    float *truth = malloc(ROWS * sizeof *truth);
    uint8_t query[BYTES], row[BYTES];
    must(fr_searcher_create(db, &s));
    assert_int_equal(count_of(db, id, NULL), ROWS);
    for (uint32_t key = 0; key < ROWS; key += 7) {
        char text[16];
        fr_span span = fr_span_of(text, (size_t)snprintf(text, sizeof text, "k%u", key));
        must(fr_get(s, id, &span, 1, &(fr_wanted){.vector = true}, hits, &count, err));
        row_of(key, row);
        assert_int_equal(count, 1);
        assert_null(hits[0].vector);
        assert_int_equal(hits[0].vectors[0].size, BYTES);
        assert_memory_equal(hits[0].vectors[0].data, row, BYTES);
    }
    for (uint32_t q = 0; q < 20; q++) {
        row_of(ROWS + q, query);
        for (uint32_t key = 0; key < ROWS; key++) row_of(key, row), truth[key] = distance(metric, query, row);
        qsort(truth, ROWS, sizeof *truth, ascending);
        fr_span bytes = fr_span_of(query, BYTES);
        fr_query ask = {.id = id, .vector_bytes = &bytes, .query_count = 1, .k = K, .exact = true};
        must(fr_search(s, &ask, hits, &count, NULL, err));
        assert_int_equal(count, K);
        for (uint32_t i = 0; i < K; i++) assert_true(hits[i].distance >= truth[i] && hits[i].distance <= truth[i] && hits[i].score <= 0);
        ask.exact = false;
        must(fr_search(s, &ask, hits, &count, NULL, err));
        assert_int_equal(count, K);
        for (uint32_t i = 0; i < K; i++) good += hits[i].distance <= truth[K - 1];
        ask = (fr_query){.id = id, .vector_bytes = &bytes, .query_count = 1, .k = K, .has_radius = true, .radius = truth[3]};
        must(fr_search(s, &ask, hits, &count, NULL, err)); /* a radius is a distance, and not a score */
        for (uint32_t i = 0; i < count; i++) assert_true(hits[i].distance < truth[3]);
        assert_true(count <= 3);
    }
    if (good < 20 * K * 97 / 100) fail_msg("metric %d: %u of %u", (int)metric, good, 20 * K);
    fr_searcher_free(s);
    free(truth);
}

static void a_binary_collection_lives(void **state)
{
    (void)state;
    static const fr_options as_it_lies = {.no_snapshot_on_close = true};
    char command[256];
    fr_db *db = open_with(&as_it_lies);
    fr_id hamming = create_binary(db, "hamming", FR_METRIC_HAMMING), jaccard = create_binary(db, "jaccard", FR_METRIC_JACCARD);
    write_rows(db, hamming);
    write_rows(db, jaccard);
    for (int life = 0; life < 3; life++) { /* as written; from a snapshot; from the log alone */
        check_collection(db, hamming, FR_METRIC_HAMMING);
        check_collection(db, jaccard, FR_METRIC_JACCARD);
        if (life == 0) must(fr_snapshot(db, err));
        fr_close(db);
        snprintf(command, sizeof command, "rm -rf '%s'/snap/*", test_dir);
        if (life == 1) assert_int_equal(system(command), 0);
        db = open_with(&as_it_lies);
    }
    fr_collection_info *info = calloc(1, sizeof *info);
    must(fr_collection_get(db, jaccard, info));
    assert_int_equal(info->def.vector_type, FR_TYPE_VECTOR_BINARY);
    assert_int_equal(info->def.dimension, BITS);
    assert_int_equal(info->def.metric, FR_METRIC_JACCARD);
    free(info);
    fr_close(db);
}

static void refused(fr_db *db, fr_id id, fr_type type, const void *bytes, size_t size)
{
    fr_err e = {0};
    fr_batch batch = {0};
    fr_value value = {.field = FR_FIELD_VECTOR, .type = (uint8_t)type, .bytes = fr_span_of(bytes, size)};
    fr_event event = {.key = fr_span_text("k"), .source_time_ms = FR_TIME_NONE, .values = &value, .value_count = 1};
    must(fr_batch_put(&batch, &event, err));
    assert_int_equal(write_batch(db, id, &batch, NULL, &e), FR_ERR_INVALID);
    assert_string_equal(e.field, "records[0].vector");
    fr_batch_free(&batch);
}

static void what_is_not_bits_is_refused(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id = create_binary(db, "b", FR_METRIC_HAMMING);
    float numbers[BITS + 1] = {0};
    uint8_t bytes[BYTES + 1] = {0};
    fr_err e;
    refused(db, id, FR_TYPE_VECTOR_BINARY, bytes, BYTES - 1);
    refused(db, id, FR_TYPE_VECTOR_BINARY, bytes, BYTES + 1);
    refused(db, id, FR_TYPE_VECTOR_F32, numbers, (BITS + 1) * 4);
    refused(db, id, FR_TYPE_VECTOR_F32, numbers, (BYTES + 1) * 4);
    refused(db, id, FR_TYPE_VECTOR_I8, bytes, BYTES);
    numbers[3] = 0.5f;
    refused(db, id, FR_TYPE_VECTOR_F32, numbers, BITS * 4);
    refused(db, id, FR_TYPE_VECTOR_F32, numbers, BYTES * 4);
    numbers[3] = 300;
    refused(db, id, FR_TYPE_VECTOR_F32, numbers, BYTES * 4);
    fr_searcher *s;
    fr_hit hit;
    uint32_t count;
    fr_span given = fr_span_of(bytes, BYTES + 1);
    must(fr_searcher_create(db, &s));
    fr_query ask = {.id = id, .vector_bytes = &given, .query_count = 1, .k = 1};
    assert_int_equal(fr_search(s, &ask, &hit, &count, NULL, &e), FR_ERR_INVALID);
    assert_string_equal(e.field, "vector");
    ask = (fr_query){.id = id, .vectors = numbers, .dimension = BITS, .query_count = 1, .k = 1};
    assert_int_equal(fr_search(s, &ask, &hit, &count, NULL, &e), FR_ERR_INVALID);
    fr_searcher_free(s);
    fr_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_binary_collection_lives, make_test_dir, remove_test_dir),
        cmocka_unit_test_setup_teardown(what_is_not_bits_is_refused, make_test_dir, remove_test_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
