/* test_engine_threads.c: everything at once: writers, searchers, snapshots, compaction, creating and dropping, closing
 * while busy. Run under TSan. What a writer was told is visible at once to any searcher. */
#include "engine_help.h"

#include <pthread.h>

#define WRITERS   2
#define SEARCHERS 2
#define ROUNDS    250
#define KEYS      100

static fr_db *db;
static fr_id id;
static _Atomic bool over;
static _Atomic uint32_t known[WRITERS][KEYS]; /* last version acknowledged; UINT32_MAX while it is deleted */

static void *writer(void *argument)
{
    uint32_t me = (uint32_t)(uintptr_t)argument;
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        char key[24];
        fr_batch b = {0};
        uint32_t first = i * 7 % KEYS, count = 1 + i % 5;
        for (uint32_t n = 0; n < count; n++) {
            snprintf(key, sizeof key, "w%u-%u", me, (first + n) % KEYS);
            must(put_event(&b, key, (float)((first + n) % KEYS), (float)i, NULL, FR_TIME_NONE, err));
        }
        must(write_batch(db, id, &b, NULL, err));
        for (uint32_t n = 0; n < count; n++) atomic_store(&known[me][(first + n) % KEYS], i);
        fr_batch_free(&b);
        if (i % 10 == 0) {
            atomic_store(&known[me][first], UINT32_MAX);
            snprintf(key, sizeof key, "w%u-%u", me, first);
            must(delete_key(db, id, key, NULL, err));
        }
    }
    return NULL;
}

static void *searcher(void *argument)
{
    uint32_t at = (uint32_t)(uintptr_t)argument;
    fr_searcher *s;
    must(fr_searcher_create(db, &s));
    while (!atomic_load(&over)) {
        uint32_t me = at % WRITERS, k = at * 13 % KEYS, count = 0;
        at++;
        uint32_t before = atomic_load(&known[me][k]);
        char key[24];
        snprintf(key, sizeof key, "w%u-%u", me, k);
        fr_span span = fr_span_text(key);
        fr_hit hits[10];
        must(fr_get(s, id, &span, 1, &(fr_wanted){.vector = true}, hits, &count, err));
        if (before != 0 && before != UINT32_MAX && count == 0 && atomic_load(&known[me][k]) == before)
            fail_msg("%s was acknowledged with version %u and is not there", key, before);
        if (count == 1 && before != UINT32_MAX && hits[0].vector[1] < (float)before) fail_msg("%s went back", key);
        float query[DIM];
        vector_of(query, (float)k, (float)before);
        fr_query q = {.id = id, .vectors = query, .query_count = 1, .dimension = DIM, .k = 10, .with_metadata = true};
        must(fr_search(s, &q, hits, &count, NULL, err));
        for (uint32_t i = 1; i < count; i++) assert_true(hits[i - 1].distance <= hits[i].distance);
        if (at % 20 == 0) {
            uint64_t n;
            must(fr_count(s, id, &(fr_condition){.filter = "v > 3"}, &n, err));
        }
    }
    fr_searcher_free(s);
    return NULL;
}

static void *caretaker(void *argument)
{
    (void)argument;
    for (int i = 0; !atomic_load(&over); i++) {
        fr_id other;
        char name[32];
        snprintf(name, sizeof name, "side%d", i);
        must(create_collection(db, name, 2, FR_METRIC_IP, &other, err));
        must(upsert(db, other, "k", 1, 1, NULL, err));
        if (i % 2 == 0) must(fr_snapshot(db, err));
        else must(fr_compact(db, id, err));
        fr_write w = {.kind = FR_WRITE_ALIAS_PUT, .name = "alias", .target = name};
        must(fr_submit_wait(db, &w, err));
        fr_id found;
        must(fr_resolve(db, "alias", &found));
        w = (fr_write){.kind = FR_WRITE_COLLECTION_DROP, .id = other};
        must(fr_submit_wait(db, &w, err));
        assert_int_equal(fr_resolve(db, "alias", &found), FR_ERR_NOT_FOUND);
        w = (fr_write){.kind = FR_WRITE_DELETE_MATCHING, .id = id, .filter = "v == 1000000"};
        must(fr_submit_wait(db, &w, err));
        fr_stats stats;
        fr_stats_get(db, &stats);
        fr_collection_info *info = calloc(1, sizeof *info);
        must(fr_collection_get(db, id, info));
        assert_int_equal(info->partition_count, 3);
        free(info);
    }
    return NULL;
}

static void all_at_once(void **state)
{
    (void)state;
    pthread_t writers[WRITERS], searchers[SEARCHERS], care;
    fr_options options = {.linkers = 2, .snapshot_bytes = 100000};
    db = open_with(&options);
    must(create_collection(db, "busy", 3, FR_METRIC_L2, &id, err));
    atomic_store(&over, false);
    for (uintptr_t i = 0; i < SEARCHERS; i++) pthread_create(&searchers[i], NULL, searcher, (void *)(i * 31));
    pthread_create(&care, NULL, caretaker, NULL);
    for (uintptr_t i = 0; i < WRITERS; i++) pthread_create(&writers[i], NULL, writer, (void *)i);
    for (int i = 0; i < WRITERS; i++) pthread_join(writers[i], NULL);
    atomic_store(&over, true);
    for (int i = 0; i < SEARCHERS; i++) pthread_join(searchers[i], NULL);
    pthread_join(care, NULL);
    uint64_t before = count_of(db, id, NULL);
    fr_close(db);
    db = open_db();
    assert_int_equal(count_of(db, id, NULL), before);
    fr_close(db);
}

static _Atomic uint32_t answered, accepted;

static void note_answer(fr_write *write)
{
    atomic_fetch_add(&answered, 1);
    fr_batch_free((fr_batch *)write->user);
    free(write->user);
    free(write);
}

static void *flood(void *argument)
{
    (void)argument;
    for (int i = 0; i < 400; i++) {
        fr_batch *b = calloc(1, sizeof *b);
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        must(put_event(b, key, (float)i, 1, NULL, FR_TIME_NONE, err));
        fr_write *w = calloc(1, sizeof *w);
        *w = (fr_write){.kind = i % 50 == 49 ? FR_WRITE_DELETE_MATCHING : FR_WRITE_EVENTS,
                        .id = id,
                        .batch = b,
                        .filter = "v == 7",
                        .done = note_answer,
                        .user = b};
        fr_code code = fr_submit(db, w, NULL);
        if (code == FR_OK) {
            atomic_fetch_add(&accepted, 1);
            continue;
        }
        assert_true(code == FR_ERR_CLOSED || code == FR_ERR_BUSY);
        fr_batch_free(b);
        free(b);
        free(w);
        if (code == FR_ERR_CLOSED) break;
    }
    return NULL;
}

static void close_while_busy(void **state)
{
    (void)state;
    pthread_t floods[2];
    db = open_db();
    must(create_collection(db, "flood", 2, FR_METRIC_L2, &id, err));
    for (int i = 0; i < 2; i++) pthread_create(&floods[i], NULL, flood, NULL);
    for (int i = 0; i < 2; i++) pthread_join(floods[i], NULL); /* submitted, not answered */
    fr_close(db);
    assert_int_equal(atomic_load(&answered), atomic_load(&accepted));
    assert_true(atomic_load(&accepted) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_at_once, make_test_dir, remove_test_dir),
        cmocka_unit_test_setup_teardown(close_while_busy, make_test_dir, remove_test_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
