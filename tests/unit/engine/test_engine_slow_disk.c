/* test_engine_slow_disk.c: a disk whose every sync takes long. Searches do not wait for it, writes wait in a bounded queue, nothing is
 * searchable before it is durable, and all that was taken is there afterwards. */
#include "engine_help.h"

#include "log/io.h"

#define ROWS     500u
#define WRITES   600u
#define STALL_MS 400

static _Atomic int stall_ms, syncs;
static _Atomic uint32_t answered, failed;

static fr_code slow_sync(fr_io *io, fr_file *file, fr_err *err)
{
    (void)io;
    int ms = atomic_load(&stall_ms);
    if (ms > 0) {
        usleep((unsigned)ms * 1000);
        atomic_fetch_add(&syncs, 1);
    }
    return fr_io_posix()->sync(fr_io_posix(), file, err);
}

static void note_answer(fr_write *write)
{
    if (write->code != FR_OK) atomic_fetch_add(&failed, 1);
    atomic_fetch_add(&answered, 1);
}

static int by_size(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

/* The 99th percentile of searches for `ms`, in microseconds. */
static int64_t searches_p99(fr_db *db, fr_id id, int64_t ms)
{
    enum { MOST = 200000 };
    int64_t *taken = malloc(MOST * sizeof *taken);
    fr_searcher *s;
    fr_hit hits[10];
    uint32_t count = 0, done = 0;
    must(fr_searcher_create(db, &s));
    int64_t begun = fr_io_posix()->mono_us(fr_io_posix()), at = begun;
    while (done < MOST && at - begun < ms * 1000) {
        float vector[DIM];
        vector_of(vector, (float)(done % ROWS), 1);
        fr_query q = {.id = id, .vectors = vector, .dimension = DIM, .query_count = 1, .k = 10};
        must(fr_search(s, &q, hits, &count, NULL, err));
        assert_int_equal(count, 10);
        int64_t now = fr_io_posix()->mono_us(fr_io_posix());
        taken[done++] = now - at;
        at = now;
    }
    fr_searcher_free(s);
    qsort(taken, done, sizeof *taken, by_size);
    int64_t p99 = taken[(uint64_t)done * 99 / 100];
    free(taken);
    return p99;
}

/* Of a full queue and searches beside it: whether the searches were as fast as before. */
static bool calm_beside_syncs(fr_db *db, fr_id id, uint32_t round)
{
    static fr_write writes[WRITES];
    static fr_batch batches[WRITES];
    int64_t before = searches_p99(db, id, 300);
    atomic_store(&stall_ms, STALL_MS);
    atomic_store(&answered, 0);
    for (uint32_t i = 0; i < WRITES; i++) {
        char key[16];
        snprintf(key, sizeof key, "n%u-%u", round, i);
        fr_batch_reset(&batches[i]);
        must(put_event(&batches[i], key, (float)i, 2, NULL, FR_TIME_NONE, err));
        writes[i] = (fr_write){.kind = FR_WRITE_EVENTS, .id = id, .batch = &batches[i], .done = note_answer};
        must(fr_submit(db, &writes[i], err));
    }
    assert_int_equal(count_of(db, id, NULL), ROWS + round * WRITES); /* nothing is durable yet */
    int64_t during = searches_p99(db, id, 2 * STALL_MS);
    assert_true(atomic_load(&syncs) >= 1);
    atomic_store(&stall_ms, 0);
    for (int i = 0; i < 30000 && atomic_load(&answered) < WRITES; i++) usleep(1000);
    assert_int_equal(atomic_load(&answered), WRITES);
    assert_int_equal(atomic_load(&failed), 0);
    assert_int_equal(count_of(db, id, NULL), ROWS + (round + 1) * WRITES);
    for (uint32_t i = 0; i < WRITES; i++) fr_batch_free(&batches[i]);
    /* Ten milliseconds for the time slices of a busy machine, which may not be enough once; a search that waited for a sync would take up to 400. */
    return during <= before * 3 / 2 + 10000;
}

static void searches_do_not_wait_for_the_disk(void **state)
{
    (void)state;
    fr_io io = *fr_io_posix();
    io.sync = slow_sync;
    const fr_options options = {.io = &io, .no_snapshot_on_close = true};
    fr_db *db = open_with(&options);
    fr_id id;
    fr_batch first = {0};
    must(create_collection(db, "slow", 2, FR_METRIC_L2, &id, err));
    for (uint32_t i = 0; i < ROWS; i++) {
        char key[16];
        snprintf(key, sizeof key, "%u", i);
        must(put_event(&first, key, (float)i, 1, NULL, FR_TIME_NONE, err));
    }
    must(write_batch(db, id, &first, NULL, err));
    bool calm = false;
    for (uint32_t round = 0; round < 5 && !calm; round++) calm = calm_beside_syncs(db, id, round);
    assert_true(calm);
    fr_close(db);
    fr_batch_free(&first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(searches_do_not_wait_for_the_disk, make_test_dir, remove_test_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
