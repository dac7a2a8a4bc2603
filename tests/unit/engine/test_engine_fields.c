/* test_engine_fields.c: collections of several vector fields: searched whole, across restarts; an index that is ordered anew. */
#include "schema_help.h"

#include <pthread.h>
#include <unistd.h>

#define ROWS 60u

static fr_id second_id, bits_id, sparse_id;

static fr_id create_several(fr_db *db, uint32_t partitions)
{
    fr_id id;
    fr_collection_def *def = new_def("several", FR_TYPE_VARCHAR);
    def->partitions = partitions;
    add_def(def, "first", FR_TYPE_VECTOR_F32)->dimension = DIM;
    fr_field_def *second = add_def(def, "second", FR_TYPE_VECTOR_F16), *bits = add_def(def, "bits", FR_TYPE_VECTOR_BINARY),
                 *sparse = add_def(def, "sparse", FR_TYPE_VECTOR_SPARSE);
    second->dimension = 2, second->nullable = true;
    bits->dimension = 16, bits->metric = FR_METRIC_HAMMING;
    sparse->metric = FR_METRIC_IP;
    must(create_def(db, def, &id, err));
    fr_collection_info *info = calloc(1, sizeof *info);
    must(fr_collection_get(db, id, info));
    second_id = info->def.fields[2].id, bits_id = info->def.fields[3].id, sparse_id = info->def.fields[4].id;
    free(info);
    free(def);
    return id;
}

/* Row i: first {i, version, 1, 0}; second {-i, version}, null where i % 5 == 0; bits i; sparse {i: 1 + version}. */
static void put_row(fr_db *db, fr_id id, uint32_t i, float version)
{
    char key[16];
    float first[DIM], second[2] = {-(float)i, version};
    uint8_t bits[2] = {(uint8_t)i, 0}, pairs[8];
    float weight = 1 + version;
    fr_doc_builder doc = {0};
    snprintf(key, sizeof key, "k%02u", i);
    vector_of(first, (float)i, version);
    fr_store_le32(pairs, i);
    memcpy(pairs + 4, &weight, 4);
    fr_value values[] = {{FR_FIELD_VECTOR, FR_TYPE_VECTOR_F32, {first, sizeof first}},
                         {(uint16_t)bits_id, FR_TYPE_VECTOR_BINARY, {bits, sizeof bits}},
                         {(uint16_t)sparse_id, FR_TYPE_VECTOR_SPARSE, {pairs, sizeof pairs}},
                         {FR_FIELD_DYNAMIC, FR_TYPE_JSON, one_int(&doc, "n", i)},
                         {(uint16_t)second_id, FR_TYPE_VECTOR_F32, {second, sizeof second}}};
    must(put_values(db, id, key, values, i % 5 == 0 ? 4 : 5, false, err));
    fr_doc_free(&doc);
}

static uint32_t number_of(const char *key) { return (uint32_t)strtoul(key + 1, NULL, 10); }

static void nearest(fr_db *db, fr_id id, uint16_t field, const float *vector, uint32_t dimension, fr_span bytes, const char *filter,
                    const char *expected)
{
    fr_searcher *s;
    fr_hit hits[3];
    uint32_t count;
    char found[16];
    fr_query q = {.id = id, .field = field, .query_count = 1, .k = 3, .filter = filter, .with_metadata = true, .vector_fields = 15};
    if (vector != NULL) q.vectors = vector, q.dimension = dimension;
    else q.vector_bytes = &bytes;
    must(fr_searcher_create(db, &s));
    must(fr_search(s, &q, hits, &count, NULL, err));
    assert_true(count >= 1);
    snprintf(found, sizeof found, "%.*s", (int)hits[0].key.size, (const char *)hits[0].key.data);
    assert_string_equal(found, expected);
    assert_int_equal(hits[0].vectors[0].size, DIM * 4);
    assert_int_equal(hits[0].vectors[1].size, number_of(found) % 5 == 0 ? 0 : 4);
    assert_int_equal(hits[0].vectors[2].size, 2);
    assert_int_equal(hits[0].vectors[3].size, 8);
    assert_int_equal(fr_load_le32(hits[0].vectors[3].data), number_of(found));
    fr_searcher_free(s);
}

static void check_all(fr_db *db, fr_id id)
{
    assert_int_equal(count_of(db, id, NULL), ROWS - 6);
    for (uint32_t i = 0; i < ROWS; i += 7) {
        char key[16];
        if (i % 10 == 3) continue; /* deleted */
        snprintf(key, sizeof key, "k%02u", i);
        float first[DIM], second[2] = {-(float)i, 1}, weight = 1;
        uint8_t bits[2] = {(uint8_t)i, 0}, pairs[8];
        vector_of(first, (float)i, 1);
        fr_store_le32(pairs, i);
        memcpy(pairs + 4, &weight, 4);
        nearest(db, id, 0, first, DIM, (fr_span){NULL, 0}, NULL, key);
        if (i % 5 != 0) nearest(db, id, (uint16_t)second_id, second, 2, (fr_span){NULL, 0}, NULL, key);
        nearest(db, id, (uint16_t)bits_id, NULL, 0, fr_span_of(bits, 2), NULL, key);
        nearest(db, id, (uint16_t)sparse_id, NULL, 0, fr_span_of(pairs, 8), NULL, key);
        nearest(db, id, (uint16_t)sparse_id, NULL, 0, fr_span_of(pairs, 8), "n >= 0", key);
    }
}

static void several_fields_are_one_entity(void **state)
{
    (void)state;
    for (uint32_t partitions = 1; partitions <= 3; partitions += 2) {
        fr_db *db = open_db();
        fr_id id = create_several(db, partitions);
        for (uint32_t round = 0; round < 2; round++)
            for (uint32_t i = 0; i < ROWS; i++) put_row(db, id, i, (float)round);
        for (uint32_t i = 3; i < ROWS; i += 10) {
            char key[16];
            snprintf(key, sizeof key, "k%02u", i);
            must(delete_key(db, id, key, NULL, err));
        }
        check_all(db, id);
        for (uint32_t round = 0; round < 3; round++) { /* with a snapshot, without one, from a compacted log */
            char command[192];
            fr_close(db);
            snprintf(command, sizeof command, "rm -rf '%s'/snap", test_dir);
            if (round != 0) assert_int_equal(system(command), 0);
            db = open_db();
            check_all(db, id);
            must(fr_compact(db, id, err));
        }
        fr_write drop = {.kind = FR_WRITE_COLLECTION_DROP, .id = id};
        must(fr_submit_wait(db, &drop, err));
        fr_close(db);
    }
}

static void an_index_is_ordered_anew(void **state)
{
    (void)state;
    fr_options options = {.no_threads = true};
    fr_db *db = open_with(&options);
    fr_id id = create_several(db, 2);
    for (uint32_t i = 0; i < ROWS; i++) put_row(db, id, i, 1);
    fr_field_def cosine = {.name = "first", .type = FR_TYPE_VECTOR_F32, .dimension = DIM, .metric = FR_METRIC_COSINE, .m = 8};
    fr_collection_change change = {.set = &cosine, .set_count = 1};
    must(alter(db, id, &change, err));
    fr_engine_drain(db);
    float far[DIM] = {7000, 1000, 1000, 0}; /* the direction of row 7 */
    nearest(db, id, 0, far, DIM, (fr_span){NULL, 0}, NULL, "k07");
    fr_engine_abandon(db); /* its snapshot, or none: the log */
    for (uint32_t round = 0; round < 3; round++) {
        db = open_with(&options);
        assert_int_equal(count_of(db, id, NULL), ROWS);
        nearest(db, id, 0, far, DIM, (fr_span){NULL, 0}, NULL, "k07");
        put_row(db, id, 30, 1);
        if (round == 0) must(fr_snapshot(db, err));
        fr_close(db);
    }
}

/* ==== writes and searches go on while an index is ordered anew ==== */

#define MANY 4000u

/* Row i of a version: anywhere in a cube. */
static void place(float *out, uint32_t i, uint32_t version)
{
    for (uint32_t d = 0; d < DIM; d++) out[d] = (float)(fr_mix64(((uint64_t)i << 8 | version) * DIM + d) >> 40);
}

static void fill_batch(fr_batch *batch, uint32_t from, uint32_t count, uint32_t version)
{
    for (uint32_t i = from; i < from + count; i++) {
        char key[16];
        float vector[DIM];
        snprintf(key, sizeof key, "k%05u", i);
        place(vector, i, version);
        fr_value value = {FR_FIELD_VECTOR, FR_TYPE_VECTOR_F32, {vector, sizeof vector}};
        fr_event event = {.key = fr_span_text(key), .source_time_ms = FR_TIME_NONE, .values = &value, .value_count = 1};
        must(fr_batch_put(batch, &event, err));
    }
}

static fr_id create_many(fr_db *db)
{
    fr_id id;
    fr_batch batch = {0};
    fr_collection_def *def = calloc(1, sizeof *def);
    snprintf(def->name, sizeof def->name, "many");
    def->dimension = DIM;
    must(create_def(db, def, &id, err));
    free(def);
    for (uint32_t i = 0; i < MANY; i += 1000) {
        fr_write write = {.kind = FR_WRITE_EVENTS, .id = id, .batch = &batch};
        fill_batch(&batch, i, 1000, 1);
        must(fr_submit_wait(db, &write, err));
        fr_batch_reset(&batch);
    }
    fr_batch_free(&batch);
    return id;
}

/* One request of round r: a row at each end and in the middle replaced, one deleted, one new. */
static void change_some(fr_batch *batch, uint32_t r)
{
    char key[16];
    fill_batch(batch, r, 1, 2);
    fill_batch(batch, MANY / 2 + r, 1, 2);
    fill_batch(batch, MANY - 1 - r, 1, 2);
    fill_batch(batch, MANY + r, 1, 2);
    snprintf(key, sizeof key, "k%05u", 1000 + r * 3);
    fr_event gone = {.key = fr_span_text(key), .remove = true, .source_time_ms = FR_TIME_NONE};
    must(fr_batch_put(batch, &gone, err));
}

static void nearest_of_many(fr_db *db, fr_id id, uint32_t i, uint32_t version, bool there)
{
    fr_searcher *s;
    fr_hit hit;
    uint32_t count;
    char key[16];
    float vector[DIM];
    snprintf(key, sizeof key, "k%05u", i);
    place(vector, i, version);
    fr_query q = {.id = id, .vectors = vector, .dimension = DIM, .query_count = 1, .k = 1};
    must(fr_searcher_create(db, &s));
    must(fr_search(s, &q, &hit, &count, NULL, err));
    assert_int_equal(count, 1);
    assert_true(fr_span_equal(hit.key, fr_span_text(key)) == there);
    if (there) assert_true(hit.distance <= 0);
    fr_searcher_free(s);
}

static void check_many(fr_db *db, fr_id id, uint32_t rounds)
{
    assert_int_equal(count_of(db, id, NULL), MANY);
    for (uint32_t r = 0; r < rounds; r++) {
        nearest_of_many(db, id, r, 2, true);
        nearest_of_many(db, id, MANY / 2 + r, 2, true);
        nearest_of_many(db, id, MANY - 1 - r, 2, true);
        nearest_of_many(db, id, MANY + r, 2, true);
        nearest_of_many(db, id, 1000 + r * 3, 1, false);
        nearest_of_many(db, id, 500 + r, 1, true);
    }
}

static void order_anew(fr_db *db, fr_id id, uint32_t m)
{
    fr_field_def other = {.name = "vector", .type = FR_TYPE_VECTOR_F32, .dimension = DIM, .metric = FR_METRIC_L2, .m = m};
    fr_collection_change change = {.set = &other, .set_count = 1};
    fr_write write = {.kind = FR_WRITE_COLLECTION_ALTER, .id = id, .change = &change};
    must(fr_submit_wait(db, &write, err));
}

static void done(fr_write *write) { *(bool *)write->user = true; }

/* In one thread: each write meets the copy at another row. What is written meanwhile is there, once, after the swap. */
static void writes_go_on_meanwhile(void **state)
{
    (void)state;
    fr_options options = {.no_threads = true};
    fr_db *db = open_with(&options);
    fr_id id = create_many(db);
    fr_engine_drain(db);
    fr_field_def other = {.name = "vector", .type = FR_TYPE_VECTOR_F32, .dimension = DIM, .metric = FR_METRIC_L2, .m = 8};
    fr_collection_change change = {.set = &other, .set_count = 1};
    bool altered = false;
    fr_write alter_write = {.kind = FR_WRITE_COLLECTION_ALTER, .id = id, .change = &change, .done = done, .user = &altered};
    must(fr_submit(db, &alter_write, err));
    while (!altered) fr_engine_step_all(db);
    uint32_t rounds = 0, copying = 0;
    for (; atomic_load(&db->reshape) && rounds < 200; rounds++) {
        fr_batch batch = {0};
        bool written = false;
        fr_write write = {.kind = FR_WRITE_EVENTS, .id = id, .batch = &batch, .done = done, .user = &written};
        change_some(&batch, rounds);
        must(fr_submit(db, &write, err));
        while (!written) fr_engine_step_all(db);
        must(write.code == FR_OK ? FR_OK : write.code);
        fr_batch_free(&batch);
        copying += atomic_load(&db->reshape) ? 1 : 0;
        nearest_of_many(db, id, rounds, 2, true);
    }
    assert_true(copying > 2);
    fr_engine_drain(db);
    assert_false(atomic_load(&db->reshape));
    check_many(db, id, rounds);
    fr_close(db);
    db = open_with(&options);
    check_many(db, id, rounds);
    fr_close(db);
}

typedef struct asking {
    fr_db *db;
    fr_id id;
    _Atomic bool stop;
    _Atomic uint64_t searches, wrong;
} asking;

static void *ask(void *user)
{
    asking *a = user;
    fr_searcher *s;
    fr_hit hits[10];
    uint32_t count;
    must(fr_searcher_create(a->db, &s));
    for (uint32_t i = 0; !atomic_load(&a->stop); i = (i + 7919) % 600) { /* rows that nobody changes */
        float vector[DIM];
        char key[16];
        place(vector, MANY / 2 + 400 + i, 1);
        snprintf(key, sizeof key, "k%05u", MANY / 2 + 400 + i);
        fr_query q = {.id = a->id, .vectors = vector, .dimension = DIM, .query_count = 1, .k = 10};
        bool fine = fr_search(s, &q, hits, &count, NULL, NULL) == FR_OK && count == 10 && fr_span_equal(hits[0].key, fr_span_text(key));
        if (!fine) atomic_fetch_add(&a->wrong, 1);
        atomic_fetch_add(&a->searches, 1);
    }
    fr_searcher_free(s);
    return NULL;
}

/* With all threads: searches beside, two changes of mind, then a drop in the middle of a third. */
static void searches_go_on_meanwhile(void **state)
{
    (void)state;
    fr_db *db = open_db();
    asking a = {.db = db, .id = create_many(db)};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, ask, &a), 0);
    uint32_t rounds = 0;
    for (uint32_t m = 8; m <= 12; m += 2) order_anew(db, a.id, m);
    for (; (atomic_load(&db->reshape) || rounds < 20) && rounds < 2000; rounds++) {
        fr_batch batch = {0};
        fr_write write = {.kind = FR_WRITE_EVENTS, .id = a.id, .batch = &batch};
        change_some(&batch, rounds % 200);
        must(fr_submit_wait(db, &write, err));
        fr_batch_free(&batch);
    }
    while (atomic_load(&db->reshape)) usleep(1000);
    atomic_store(&a.stop, true);
    pthread_join(thread, NULL);
    assert_true(a.searches > 0);
    assert_int_equal(a.wrong, 0);
    check_many(db, a.id, FR_MIN(rounds, 200u));
    order_anew(db, a.id, 16);
    fr_write drop = {.kind = FR_WRITE_COLLECTION_DROP, .id = a.id};
    must(fr_submit_wait(db, &drop, err));
    fr_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(several_fields_are_one_entity, make_test_dir, remove_test_dir),
        cmocka_unit_test_setup_teardown(an_index_is_ordered_anew, make_test_dir, remove_test_dir),
        cmocka_unit_test_setup_teardown(writes_go_on_meanwhile, make_test_dir, remove_test_dir),
        cmocka_unit_test_setup_teardown(searches_go_on_meanwhile, make_test_dir, remove_test_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
