/* test_engine_originals.c: original vectors on disk through a database's life: the answers and the vectors stay those of a
 * collection that keeps them in memory, across replaces, deletes, snapshots, restarts, lost snapshots and compaction. */
#include "engine_help.h"

#define WIDE 2048u
#define ROWS 1400u /* 8 KiB each: beyond FR_SPILL_FROM */
#define PLACES 2u  /* collection 0: on disk, 1: in memory */

static void wide_vector(float *out, uint32_t key, uint32_t version)
{
    uint64_t seed = fr_mix64(key * 1000003ull + version);
    for (uint32_t j = 0; j < WIDE; j++) out[j] = (float)(fr_mix64(seed + j) >> 40) / 16777216.0f - 0.5f;
}

static void create_wide(fr_db *db, fr_id ids[PLACES])
{
    fr_collection_def *def = calloc(1, sizeof *def);
    for (uint32_t p = 0; p < PLACES; p++) {
        snprintf(def->name, sizeof def->name, "place%u", p);
        def->dimension = WIDE;
        def->vectors = p == 0 ? FR_VECTORS_DISK : FR_VECTORS_MEMORY;
        fr_write w = {.kind = FR_WRITE_COLLECTION_CREATE, .def = def};
        must(fr_submit_wait(db, &w, err));
        ids[p] = w.id;
    }
    free(def);
}

/* version 0 removes */
static void write_wide(fr_db *db, const fr_id ids[PLACES], uint32_t from, uint32_t to, uint32_t step, uint32_t version)
{
    fr_batch batch = {0};
    float *vector = malloc(WIDE * sizeof(float));
    for (uint32_t key = from; key < to; key += step) {
        char text[16];
        int size = snprintf(text, sizeof text, "k%u", key);
        wide_vector(vector, key, version);
        fr_value value = {.field = FR_FIELD_VECTOR, .type = FR_TYPE_VECTOR_F32, .bytes = fr_span_of(vector, WIDE * sizeof(float))};
        fr_event event = {.key = fr_span_of(text, (size_t)size), .remove = version == 0, .source_time_ms = FR_TIME_NONE,
                          .values = &value, .value_count = version == 0 ? 0 : 1};
        must(fr_batch_put(&batch, &event, err));
    }
    for (uint32_t p = 0; p < PLACES; p++) {
        fr_write w = {.kind = FR_WRITE_EVENTS, .id = ids[p], .batch = &batch};
        must(fr_submit_wait(db, &w, err));
    }
    fr_batch_free(&batch);
    free(vector);
}

/* Both places answer the same, exactly; the walk finds nearly all of it; vectors come back bit for bit. */
static void compare_places(fr_db *db, const fr_id ids[PLACES])
{
    enum { K = 10, QUERIES = 8 };
    fr_searcher *s[PLACES];
    fr_hit hits[PLACES][K];
    float *vector = malloc(WIDE * sizeof(float));
    uint32_t counts[PLACES], found = 0;
    for (uint32_t p = 0; p < PLACES; p++) must(fr_searcher_create(db, &s[p]));
    for (uint32_t q = 0; q < QUERIES; q++) {
        wide_vector(vector, q * 37, 77);
        for (uint32_t p = 0; p < PLACES; p++) {
            fr_query query = {.id = ids[p], .vectors = vector, .query_count = 1, .dimension = WIDE, .k = K, .exact = true, .with_vector = true};
            must(fr_search(s[p], &query, hits[p], &counts[p], NULL, err));
            assert_int_equal(counts[p], K);
        }
        for (uint32_t i = 0; i < K; i++) {
            assert_true(fr_span_equal(hits[0][i].key, hits[1][i].key) && hits[0][i].distance == hits[1][i].distance);
            assert_memory_equal(hits[0][i].vector, hits[1][i].vector, WIDE * sizeof(float));
        }
        fr_query query = {.id = ids[0], .vectors = vector, .query_count = 1, .dimension = WIDE, .k = K, .ef = 256};
        must(fr_search(s[0], &query, hits[0], &counts[0], NULL, err));
        for (uint32_t i = 0; i < counts[0]; i++)
            for (uint32_t j = 0; j < K; j++) found += fr_span_equal(hits[0][i].key, hits[1][j].key) && hits[0][i].distance == hits[1][j].distance;
    }
    assert_true(found >= QUERIES * K * 95 / 100);
    for (uint32_t p = 0; p < PLACES; p++) fr_searcher_free(s[p]);
    free(vector);
}

static bool file_there(fr_id id)
{
    char path[256];
    snprintf(path, sizeof path, "%s/snap/%llu-0/originals", test_dir, (unsigned long long)id);
    return access(path, F_OK) == 0;
}

static void same_answers_from_disk(void **state)
{
    (void)state;
    static const fr_options as_it_lies = {.no_snapshot_on_close = true};
    fr_id ids[PLACES];
    char command[256];
    fr_db *db = open_with(&as_it_lies);
    create_wide(db, ids);
    for (uint32_t from = 0; from < ROWS; from += 100) write_wide(db, ids, from, from + 100, 1, 1);
    assert_true(file_there(ids[0]) && !file_there(ids[1]));
    compare_places(db, ids);
    write_wide(db, ids, 0, ROWS, 7, 0);
    write_wide(db, ids, 1, ROWS, 5, 2);
    compare_places(db, ids);
    must(fr_snapshot(db, err));
    write_wide(db, ids, 2, ROWS, 9, 3); /* beyond the snapshot */
    compare_places(db, ids);
    fr_close(db);
    assert_false(file_there(ids[0]));

    db = open_with(&as_it_lies); /* rows of full chunks are read from the snapshot where they lie */
    compare_places(db, ids);
    write_wide(db, ids, 3, ROWS, 4, 4);
    write_wide(db, ids, 5, ROWS, 8, 0);
    compare_places(db, ids);
    must(fr_snapshot(db, err));
    must(fr_compact(db, 0, err));
    compare_places(db, ids);
    fr_close(db);

    db = open_with(&as_it_lies);
    compare_places(db, ids);
    fr_close(db);
    snprintf(command, sizeof command, "rm -rf '%s'/snap/*", test_dir); /* the log alone is the truth */
    assert_int_equal(system(command), 0);
    db = open_with(&as_it_lies);
    compare_places(db, ids);
    fr_write drop = {.kind = FR_WRITE_COLLECTION_DROP, .id = ids[0]};
    must(fr_submit_wait(db, &drop, err));
    fr_close(db);
    assert_false(file_there(ids[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(same_answers_from_disk, make_test_dir, remove_test_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
