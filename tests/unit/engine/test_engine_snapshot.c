/* test_engine_snapshot.c: snapshots that are missing, damaged, incremental; compaction; what a restart finds. */
#include "engine_help.h"

static void fill(fr_db *db, fr_id id, int from, int to, int version)
{
    fr_batch b = {0};
    char key[16];
    for (int i = from; i < to; i++) {
        snprintf(key, sizeof key, "k%d", i);
        must(put_event(&b, key, (float)i, (float)version, NULL, FR_TIME_NONE, err));
    }
    must(write_batch(db, id, &b, NULL, err));
    fr_batch_free(&b);
}

static void shell(const char *format, ...)
{
    char command[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    assert_int_equal(system(command), 0);
}

static fr_offset snapshot_of(fr_db *db, fr_id id)
{
    fr_collection_info *info = calloc(1, sizeof *info);
    must(fr_collection_get(db, id, info));
    fr_offset at = info->partitions[0].snapshot;
    free(info);
    return at;
}

static const fr_options keep_it = {.no_snapshot_on_close = true};

static void flip_byte(const char *path, long at)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    fseek(file, at, SEEK_SET);
    int c = fgetc(file);
    fseek(file, at, SEEK_SET);
    fputc(c ^ 1, file);
    fclose(file);
}

static void bad_manifests_fall_back(void **state)
{
    (void)state;
    fr_id id;
    char path[256];
    fr_db *db = open_with(&keep_it);
    must(create_collection(db, "snap", 1, FR_METRIC_L2, &id, err));
    fill(db, id, 0, 100, 1);
    must(fr_snapshot(db, err));
    fill(db, id, 50, 150, 2);
    must(fr_snapshot(db, err));
    fill(db, id, 0, 10, 3);
    assert_int_equal(snapshot_of(db, id), 199);
    fr_close(db);
    for (int bad = 0; bad < 3; bad++) { /* both good, the newest bad, both bad */
        if (bad > 0) {
            snprintf(path, sizeof path, "%s/snap/%llu-0/MANIFEST-%d", test_dir, (unsigned long long)id,
                     bad == 1 ? 0 : 1);
            flip_byte(path, bad == 1 ? 33 : 100); /* the time, which nothing but the checksum looks at; a chunk */
        }
        db = open_with(&keep_it);
        assert_int_equal(snapshot_of(db, id), bad == 0 ? 199 : bad == 1 ? 99 : -1);
        fr_stats stats;
        fr_stats_get(db, &stats);
        assert_int_equal(stats.snapshot_fallbacks, bad);
        assert_int_equal(count_of(db, id, NULL), 150);
        assert_float_equal(version_of(db, id, "k5"), 3, 0);
        assert_float_equal(version_of(db, id, "k60"), 2, 0);
        assert_float_equal(version_of(db, id, "k20"), 1, 0);
        fr_close(db);
    }
    fr_err e = {0};
    assert_int_equal(fr_verify(test_dir, NULL, NULL, &e), FR_ERR_CORRUPT);
    db = open_with(&keep_it); /* and snapshots go on */
    must(fr_snapshot(db, err));
    fill(db, id, 0, 5, 4);
    must(fr_snapshot(db, err));
    fr_close(db);
    must(fr_verify(test_dir, NULL, NULL, err));
    db = open_with(&keep_it);
    assert_int_equal(count_of(db, id, NULL), 150);
    assert_float_equal(version_of(db, id, "k1"), 4, 0);
    fr_close(db);
}

/* Links of rows 16,384 to 20,479 lie in an array of 2 MiB: their chunk is mapped where it is used. */
static void mapped_chunks_are_checked(void **state)
{
    (void)state;
    fr_id id;
    char path[256];
    fr_db *db = open_with(&keep_it);
    must(create_collection(db, "snap", 1, FR_METRIC_L2, &id, err));
    for (int from = 0; from < 21000; from += 1500) fill(db, id, from, from + 1500, 1);
    must(fr_snapshot(db, err));
    fr_close(db);
    for (int turn = 0; turn < 2; turn++) { /* as it is, then with a flipped bit in that chunk */
        if (turn == 1) {
            long rows = 6 * 40 * 4096, links = 4 * 128 * 4096;
            snprintf(path, sizeof path, "%s/snap/%llu-0/1.chunks", test_dir, (unsigned long long)id);
            flip_byte(path, 4096 + rows + links + 5000);
        }
        db = open_with(&keep_it);
        assert_int_equal(snapshot_of(db, id), turn == 0 ? 20999 : -1);
        assert_int_equal(count_of(db, id, NULL), 21000);
        assert_float_equal(version_of(db, id, "k17000"), 1 + (float)turn, 0);
        fill(db, id, 17000, 17010, 2); /* while it settles */
        assert_float_equal(version_of(db, id, "k17009"), 2, 0);
        assert_float_equal(version_of(db, id, "k20999"), 1, 0);
        assert_int_equal(count_of(db, id, NULL), 21000);
        fr_close(db);
    }
}

/* Whichever slot the newest manifest is in. */
static void the_newest_manifest_is_taken(void **state)
{
    (void)state;
    fr_id id;
    fr_stats stats;
    fr_db *db = open_with(&keep_it);
    must(create_collection(db, "snap", 1, FR_METRIC_L2, &id, err));
    for (int round = 1; round <= 4; round++) {
        fill(db, id, 0, 10, round);
        must(fr_snapshot(db, err));
        fr_close(db);
        db = open_with(&keep_it);
        assert_int_equal(snapshot_of(db, id), round * 10 - 1);
        fr_stats_get(db, &stats);
        assert_int_equal(stats.snapshot_fallbacks, 0);
    }
    fr_close(db);
}

static void damaged_chunks_fall_back(void **state)
{
    (void)state;
    fr_id id;
    fr_db *db = open_with(&keep_it);
    must(create_collection(db, "snap", 1, FR_METRIC_L2, &id, err));
    fill(db, id, 0, 200, 1);
    must(fr_snapshot(db, err));
    fr_close(db);
    char path[256];
    snprintf(path, sizeof path, "%s/snap/%llu-0/1.chunks", test_dir, (unsigned long long)id);
    flip_byte(path, 4096 + 10);
    db = open_with(&keep_it);
    assert_int_equal(snapshot_of(db, id), -1);
    assert_int_equal(count_of(db, id, NULL), 200);
    fr_close(db);
    assert_int_equal(fr_verify(test_dir, NULL, NULL, NULL), FR_ERR_CORRUPT);
    shell("rm '%s'", path);
    db = open_with(&keep_it);
    assert_int_equal(count_of(db, id, NULL), 200);
    fr_close(db);
}

static uint64_t chunk_files(fr_id id)
{
    char command[256];
    snprintf(command, sizeof command, "ls '%s'/snap/%llu-0 | grep -c chunks", test_dir, (unsigned long long)id);
    FILE *pipe = popen(command, "r");
    unsigned long long count = 0;
    assert_int_equal(fscanf(pipe, "%llu", &count), 1);
    pclose(pipe);
    return count;
}

static void incremental_snapshots_stay_small(void **state)
{
    (void)state;
    fr_id id;
    fr_db *db = open_with(&keep_it);
    must(create_collection(db, "snap", 1, FR_METRIC_L2, &id, err));
    for (int i = 0; i < 4; i++) fill(db, id, i * 5000, (i + 1) * 5000, 1);
    for (int round = 0; round < 12; round++) {
        must(fr_snapshot(db, err));
        fill(db, id, round * 3, round * 3 + 3, 10 + round);
    }
    assert_true(chunk_files(id) <= 40);
    fr_stats stats;
    fr_stats_get(db, &stats);
    assert_int_equal(stats.snapshots, 12);
    assert_int_equal(stats.snapshot_failures, 0);
    fr_close(db);
    db = open_with(&keep_it);
    assert_int_equal(count_of(db, id, NULL), 20000);
    assert_float_equal(version_of(db, id, "k34"), 21, 0);
    assert_float_equal(version_of(db, id, "k19999"), 1, 0);
    fr_close(db);
}

static void compacted_log_replays_to_the_same(void **state)
{
    (void)state;
    fr_id id;
    fr_db *db = open_with(&keep_it);
    must(create_collection(db, "compact", 1, FR_METRIC_L2, &id, err));
    for (int version = 1; version <= 20; version++) fill(db, id, 0, 500, version);
    for (int i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        must(delete_key(db, id, key, NULL, err));
    }
    fr_collection_info *info = calloc(1, sizeof *info);
    must(fr_collection_get(db, id, info));
    uint64_t before = info->log_bytes;
    must(fr_compact(db, id, err));
    must(fr_collection_get(db, id, info));
    assert_true(info->log_bytes < before / 4);
    free(info);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(count_of(db, id, NULL), 400);
        assert_float_equal(version_of(db, id, "k50"), -1, 0);
        assert_float_equal(version_of(db, id, "k499"), 20, 0);
        fr_close(db);
        if (round == 0) shell("rm -rf '%s'/snap/*", test_dir);
        db = open_with(&keep_it);
    }
    must(upsert(db, id, "new", 1, 1, NULL, err));
    assert_int_equal(count_of(db, id, NULL), 401);
    fr_close(db);
    must(fr_verify(test_dir, NULL, NULL, err));
}

static void a_damaged_partition_closes_one_collection(void **state)
{
    (void)state;
    fr_id bad, good;
    fr_db *db = open_with(&keep_it);
    must(create_collection(db, "bad", 1, FR_METRIC_L2, &bad, err));
    must(create_collection(db, "good", 1, FR_METRIC_L2, &good, err));
    fill(db, bad, 0, 100, 1);
    fill(db, bad, 0, 100, 2);
    fill(db, good, 0, 100, 1);
    fr_close(db);
    char path[256];
    snprintf(path, sizeof path, "%s/log/%llu-0/00000000000000000000.log", test_dir, (unsigned long long)bad);
    flip_byte(path, 4096 + 100);
    db = open_with(&keep_it);
    assert_int_equal(count_of(db, good, NULL), 100);
    must(upsert(db, good, "x", 1, 1, NULL, err));
    fr_err e = {0};
    assert_int_equal(upsert(db, bad, "x", 1, 1, NULL, &e), FR_ERR_READ_ONLY);
    fr_searcher *s;
    uint64_t count;
    must(fr_searcher_create(db, &s));
    assert_int_equal(fr_count(s, bad, NULL, &count, &e), FR_ERR_CORRUPT);
    fr_searcher_free(s);
    fr_collection_info *info = calloc(1, sizeof *info);
    must(fr_collection_get(db, bad, info));
    assert_int_equal(info->state, FR_ERR_CORRUPT);
    free(info);
    fr_close(db);
    assert_int_equal(fr_verify(test_dir, NULL, NULL, NULL), FR_ERR_CORRUPT);
}

static void verify_wants_a_closed_directory(void **state)
{
    (void)state;
    assert_int_equal(fr_verify(test_dir, NULL, NULL, NULL), FR_ERR_NOT_FOUND);
    fr_db *db = open_db();
    assert_int_equal(fr_verify(test_dir, NULL, NULL, NULL), FR_ERR_LOCKED);
    fr_close(db);
    must(fr_verify(test_dir, NULL, NULL, err));
}

static void many_idle_collections(void **state)
{
    (void)state;
    fr_db *db = open_with(&keep_it);
    char name[32];
    fr_id id;
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "idle%03d", i);
        must(create_collection(db, name, 1, FR_METRIC_L2, &id, err));
    }
    assert_int_equal(fr_collection_list(db, NULL, 0), 200);
    fr_close(db);
    db = open_with(&keep_it);
    fr_id ids[300];
    assert_int_equal(fr_collection_list(db, ids, 300), 200);
    must(fr_resolve(db, "idle199", &id));
    assert_int_equal(ids[199], id);
    fr_close(db);
}

int main(void)
{
    fr_note_level(FR_NOTE_ERROR);
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, make_test_dir, remove_test_dir)
        T(bad_manifests_fall_back),
        T(mapped_chunks_are_checked),
        T(the_newest_manifest_is_taken),
        T(damaged_chunks_fall_back),
        T(incremental_snapshots_stay_small),
        T(compacted_log_replays_to_the_same),
        T(a_damaged_partition_closes_one_collection),
        T(verify_wants_a_closed_directory),
        T(many_idle_collections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
