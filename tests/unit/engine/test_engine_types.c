/* test_engine_types.c: collections of f16, bf16 and int8 vectors: what is refused; vectors come back bit for bit and searches find
 * what brute force finds, also after replaces, a restart, and from the compacted log alone. */
#include "engine_help.h"

#include "simd/simd.h"

#include <math.h>

#define WIDTH 70u
#define ROWS 1500u
#define TYPES 3u
#define METRICS 3u

static const fr_type types[TYPES] = {FR_TYPE_VECTOR_F16, FR_TYPE_VECTOR_BF16, FR_TYPE_VECTOR_I8};

static fr_id create_typed(fr_db *db, fr_type type, fr_metric metric, uint32_t dimension)
{
    fr_collection_def *def = calloc(1, sizeof *def);
    snprintf(def->name, sizeof def->name, "t%d-%d-%u", (int)type, (int)metric, dimension);
    def->dimension = dimension;
    def->metric = metric;
    def->vector_type = type;
    fr_write w = {.kind = FR_WRITE_COLLECTION_CREATE, .def = def};
    must(fr_submit_wait(db, &w, err));
    free(def);
    return w.id;
}

/* The elements of one row; some rows hold the type's corners. */
static void row_of(fr_type type, uint32_t key, uint32_t version, void *bytes, float *numbers)
{
    uint64_t seed = fr_mix64(key * 1000003ull + version);
    for (uint32_t j = 0; j < WIDTH; j++) {
        float unit = (float)(fr_mix64(seed + j) >> 40) / 8388608.0f - 1.0f;
        numbers[j] = type == FR_TYPE_VECTOR_I8 ? floorf(unit * 128.0f) : unit;
        if (key % 50 == 7 && j % 5 == 0) numbers[j] = type == FR_TYPE_VECTOR_I8 ? (j % 2 ? 127.0f : -128.0f) : unit * 0x1p-20f;
        if (key % 50 == 8 && j % 5 == 0 && type != FR_TYPE_VECTOR_I8) numbers[j] = -0.0f;
        if (key % 50 == 9 && type == FR_TYPE_VECTOR_I8) numbers[j] = fabsf(numbers[j]) > 127 ? 3.0f : fabsf(numbers[j]);
        if (key % 50 == 10 && type == FR_TYPE_VECTOR_BF16 && j % 7 == 0) numbers[j] = unit * 1e-30f;
    }
    must(fr_vector_pack(type, numbers, WIDTH, bytes, NULL, err));
    fr_vector_unpack(type, bytes, WIDTH, numbers);
}

static uint32_t version_at(uint32_t key, bool replaced) { return replaced && key % 6 == 1 ? 2 : 1; }

static void write_rows(fr_db *db, fr_id id, fr_type type, uint32_t version)
{
    fr_batch batch = {0};
    float numbers[WIDTH];
    uint8_t bytes[WIDTH * 2];
    for (uint32_t key = 0; key < ROWS; key++) {
        if (version == 2 && version_at(key, true) != 2) continue;
        char text[16];
        int size = snprintf(text, sizeof text, "k%u", key);
        row_of(type, key, version, bytes, numbers);
        fr_value value = {.field = FR_FIELD_VECTOR, .type = (uint8_t)type, .bytes = fr_span_of(bytes, fr_vector_bytes(type, WIDTH))};
        fr_event event = {.key = fr_span_of(text, (size_t)size), .source_time_ms = FR_TIME_NONE, .values = &value, .value_count = 1};
        must(fr_batch_put(&batch, &event, err));
    }
    must(write_batch(db, id, &batch, NULL, err));
    fr_batch_free(&batch);
}

static double distance(fr_metric metric, const float *a, const float *b)
{
    double dot = 0, square = 0, aa = 0, bb = 0;
    for (uint32_t j = 0; j < WIDTH; j++) {
        double x = (double)a[j], y = (double)b[j];
        dot += x * y, square += (x - y) * (x - y), aa += x * x, bb += y * y;
    }
    return metric == FR_METRIC_L2 ? square : metric == FR_METRIC_IP ? -dot : 1 - dot / sqrt(aa * bb);
}

static int by_distance(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Every row by its key, and the recall of searches against distances computed here. */
static void check_collection(fr_db *db, fr_id id, fr_type type, fr_metric metric, bool replaced)
{
    enum { K = 10, QUERIES = 12 };
    fr_searcher *s;
    fr_hit hits[K];
    float numbers[WIDTH], query_numbers[WIDTH];
    uint8_t bytes[WIDTH * 2], back[WIDTH * 2];
    uint32_t count, found = 0;
    double *truth = malloc(ROWS * sizeof *truth);
    must(fr_searcher_create(db, &s));
    assert_int_equal(count_of(db, id, NULL), ROWS);
    for (uint32_t key = 0; key < ROWS; key++) {
        char text[16];
        fr_span span = fr_span_of(text, (size_t)snprintf(text, sizeof text, "k%u", key));
        must(fr_get(s, id, &span, 1, &(fr_wanted){.vector = true}, hits, &count, err));
        assert_int_equal(count, 1);
        row_of(type, key, version_at(key, replaced), bytes, numbers);
        assert_memory_equal(hits[0].vector, numbers, sizeof numbers);
        must(fr_vector_pack(type, hits[0].vector, WIDTH, back, NULL, err));
        assert_memory_equal(back, bytes, fr_vector_bytes(type, WIDTH));
    }
    for (uint32_t q = 0; q < QUERIES; q++) {
        row_of(type, ROWS + q, 1, bytes, query_numbers);
        if (q % 2) for (uint32_t j = 0; j < WIDTH; j++) query_numbers[j] += 0.3f; /* queries are f32 numbers, in the type or not */
        for (uint32_t key = 0; key < ROWS; key++) {
            row_of(type, key, version_at(key, replaced), bytes, numbers);
            truth[key] = distance(metric, query_numbers, numbers);
        }
        qsort(truth, ROWS, sizeof *truth, by_distance);
        double slack = 1e-5 * (1 + fabs(truth[K - 1]));
        fr_query query = {.id = id, .vectors = query_numbers, .query_count = 1, .dimension = WIDTH, .k = K, .exact = true};
        must(fr_search(s, &query, hits, &count, NULL, err));
        assert_int_equal(count, K);
        for (uint32_t i = 0; i < K; i++) assert_true(fabs((double)hits[i].distance - truth[i]) <= slack);
        query.exact = false, query.ef = 200;
        must(fr_search(s, &query, hits, &count, NULL, err));
        assert_int_equal(count, K);
        for (uint32_t i = 0; i < K; i++) found += (double)hits[i].distance <= truth[K - 1] + slack;
    }
    if (found < QUERIES * K * 97 / 100) fail_msg("type %d metric %d: %u of %u", (int)type, (int)metric, found, (unsigned)(QUERIES * K));
    fr_searcher_free(s);
    free(truth);
}

static void log_keeps_the_type(fr_db *db, fr_id id, fr_type type)
{
    fr_view view;
    fr_record_iter *iter;
    fr_record *record = malloc(sizeof *record);
    must(fr_read(db, id, 0, 0, 1u << 20, &view, err));
    assert_int_equal(fr_records_begin(&view, &iter), FR_OK);
    assert_true(fr_records_next(iter, record));
    assert_int_equal(record->event.values[0].type, (int)type);
    assert_int_equal(record->event.values[0].bytes.size, fr_vector_bytes(type, WIDTH));
    fr_records_end(iter);
    fr_view_release(&view);
    free(record);
}

static void bit_for_bit_through_a_life(void **state)
{
    (void)state;
    static const fr_options as_it_lies = {.no_snapshot_on_close = true};
    fr_id ids[TYPES][METRICS];
    char command[256];
    fr_db *db = open_with(&as_it_lies);
    for (uint32_t t = 0; t < TYPES; t++)
        for (uint32_t m = 0; m < METRICS; m++) {
            ids[t][m] = create_typed(db, types[t], (fr_metric)m, WIDTH);
            write_rows(db, ids[t][m], types[t], 1);
            check_collection(db, ids[t][m], types[t], (fr_metric)m, false);
        }
    must(fr_snapshot(db, err));
    for (uint32_t t = 0; t < TYPES; t++)
        for (uint32_t m = 0; m < METRICS; m++) write_rows(db, ids[t][m], types[t], 2); /* beyond the snapshot */
    for (int life = 0; life < 3; life++) { /* snapshot and log; a snapshot after compaction; the compacted log alone */
        fr_close(db);
        snprintf(command, sizeof command, "rm -rf '%s'/snap/*", test_dir);
        if (life == 2) assert_int_equal(system(command), 0);
        db = open_with(&as_it_lies);
        for (uint32_t t = 0; t < TYPES; t++)
            for (uint32_t m = 0; m < METRICS; m++) {
                check_collection(db, ids[t][m], types[t], (fr_metric)m, true);
                log_keeps_the_type(db, ids[t][m], types[t]);
            }
        if (life == 0) must(fr_compact(db, 0, err));
        if (life == 0) must(fr_snapshot(db, err));
    }
    fr_collection_info *info = calloc(1, sizeof *info);
    must(fr_collection_get(db, ids[2][0], info));
    assert_int_equal(info->def.vector_type, FR_TYPE_VECTOR_I8);
    free(info);
    fr_close(db);
}

static fr_code put_raw(fr_db *db, fr_id id, fr_type type, const void *bytes, size_t size, fr_err *e)
{
    fr_batch batch = {0};
    fr_value value = {.field = FR_FIELD_VECTOR, .type = (uint8_t)type, .bytes = fr_span_of(bytes, size)};
    fr_event event = {.key = fr_span_text("k"), .source_time_ms = FR_TIME_NONE, .values = &value, .value_count = 1};
    must(fr_batch_put(&batch, &event, err));
    memset(e, 0, sizeof *e);
    fr_code code = write_batch(db, id, &batch, NULL, e);
    fr_batch_free(&batch);
    return code;
}

static void refused(fr_db *db, fr_id id, fr_type type, const void *bytes, size_t size)
{
    fr_err e = {0};
    assert_int_equal(put_raw(db, id, type, bytes, size, &e), FR_ERR_INVALID);
    assert_string_equal(e.field, "records[0].vector");
    assert_true(e.text[0] != 0);
}

static void what_a_type_cannot_hold_is_refused(void **state)
{
    (void)state;
    fr_err e = {0};
    fr_db *db = open_db();
    fr_id half = create_typed(db, FR_TYPE_VECTOR_F16, FR_METRIC_L2, 4), brain = create_typed(db, FR_TYPE_VECTOR_BF16, FR_METRIC_L2, 4),
          byte = create_typed(db, FR_TYPE_VECTOR_I8, FR_METRIC_L2, 4), turn = create_typed(db, FR_TYPE_VECTOR_F16, FR_METRIC_COSINE, 4);
    uint16_t fine[4] = {0x3c00, 0xbc00, 0x0001, 0x8000}, infinite[4] = {0, 0x7c00, 0, 0}, nan16[4] = {0x7e01, 0, 0, 0},
             brain_infinite[4] = {0, 0, 0xff80, 0}, brain_nan[4] = {0x7fc1, 0, 0, 0}, zero[4] = {0, 0x8000, 0, 0};
    refused(db, half, FR_TYPE_VECTOR_F16, infinite, 8);
    refused(db, half, FR_TYPE_VECTOR_F16, nan16, 8);
    refused(db, brain, FR_TYPE_VECTOR_BF16, brain_infinite, 8);
    refused(db, brain, FR_TYPE_VECTOR_BF16, brain_nan, 8);
    for (size_t size = 0; size < 8; size++) refused(db, half, FR_TYPE_VECTOR_F16, fine, size);
    refused(db, byte, FR_TYPE_VECTOR_I8, fine, 8);
    refused(db, half, FR_TYPE_VECTOR_BF16, fine, 8); /* another type of the same size */
    refused(db, half, FR_TYPE_VECTOR_BINARY, fine, 8);
    refused(db, half, FR_TYPE_VECTOR_SPARSE, fine, 8);
    refused(db, turn, FR_TYPE_VECTOR_F16, zero, 8);
    float large[4] = {1, 65520, 0, 0}, tiny[4] = {1e-9f, 0, 0, 0}, fraction[4] = {1, 2.5f, 0, 0}, over[4] = {128, 0, 0, 0},
          largest[4] = {3.4e38f, 0, 0, 0}, near[4] = {1.0001f, 65519, -3, 1e-9f};
    refused(db, half, FR_TYPE_VECTOR_F32, large, 16);
    refused(db, turn, FR_TYPE_VECTOR_F32, tiny, 16); /* rounds to a vector without direction */
    refused(db, byte, FR_TYPE_VECTOR_F32, fraction, 16);
    refused(db, byte, FR_TYPE_VECTOR_F32, over, 16);
    refused(db, brain, FR_TYPE_VECTOR_F32, largest, 16);
    must(put_raw(db, half, FR_TYPE_VECTOR_F16, fine, 8, err));
    must(put_raw(db, half, FR_TYPE_VECTOR_F32, near, 16, err)); /* 32-bit floats are rounded */
    fr_searcher *s;
    fr_hit hit;
    uint32_t count;
    fr_span key = fr_span_text("k");
    must(fr_searcher_create(db, &s));
    must(fr_get(s, half, &key, 1, &(fr_wanted){.vector = true}, &hit, &count, err));
    assert_true(hit.vector[0] >= 1 && hit.vector[0] <= 1 && hit.vector[1] >= 65504 && hit.vector[3] <= 0);
    fr_searcher_free(s);
    fr_collection_def *def = calloc(1, sizeof *def);
    snprintf(def->name, sizeof def->name, "bad");
    def->dimension = 4, def->vector_type = FR_TYPE_BOOL;
    fr_write w = {.kind = FR_WRITE_COLLECTION_CREATE, .def = def};
    assert_int_equal(fr_submit_wait(db, &w, &e), FR_ERR_INVALID);
    assert_string_equal(e.field, "vector_type");
    def->vector_type = FR_TYPE_VECTOR_I8;
    snprintf(def->embedder, sizeof def->embedder, "hash");
    assert_int_equal(fr_submit_wait(db, &w, &e), FR_ERR_INVALID);
    assert_string_equal(e.field, "embedder");
    free(def);
    fr_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bit_for_bit_through_a_life, make_test_dir, remove_test_dir),
        cmocka_unit_test_setup_teardown(what_a_type_cannot_hold_is_refused, make_test_dir, remove_test_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
