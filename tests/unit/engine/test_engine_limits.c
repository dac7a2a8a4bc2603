/* test_engine_limits.c: queues, memory, a full disk, allocations that fail, event ids, embeddings. */
#include "engine_help.h"

#include <math.h>

#include "tests/sim/io_sim.c"

static _Atomic int answers;
static fr_code last_code;

static void note_answer(fr_write *write)
{
    last_code = write->code;
    atomic_fetch_add(&answers, 1);
}

static void a_full_queue_is_busy(void **state)
{
    (void)state;
    const fr_options options = {.no_threads = true, .no_snapshot_on_close = true}; /* nobody takes from the queue */
    fr_db *db = open_with(&options);
    fr_id id;
    fr_batch b = {0};
    must(create_collection(db, "busy", 1, FR_METRIC_L2, &id, err));
    must(put_event(&b, "k", 1, 1, NULL, FR_TIME_NONE, err));
    fr_write *writes = calloc(FR_QUEUE_WRITES_MAX + 1, sizeof *writes);
    uint32_t accepted = 0;
    fr_code code = FR_OK;
    fr_err e = {0};
    atomic_store(&answers, 0);
    for (; accepted <= FR_QUEUE_WRITES_MAX && code == FR_OK; accepted++) {
        writes[accepted] = (fr_write){.kind = FR_WRITE_EVENTS, .id = id, .batch = &b, .done = note_answer};
        code = fr_submit(db, &writes[accepted], &e);
    }
    assert_int_equal(code, FR_ERR_BUSY);
    assert_int_equal(accepted - 1, FR_QUEUE_WRITES_MAX);
    assert_true(fr_code_retriable(code));
    for (int i = 0; i < 5000; i++) fr_engine_step_all(db);
    assert_int_equal(atomic_load(&answers), FR_QUEUE_WRITES_MAX);
    must(write_batch(db, id, &b, NULL, err)); /* there is room again */
    fr_close(db);
    fr_batch_free(&b);
    free(writes);
}

static void memory_limit_refuses_growth_only(void **state)
{
    (void)state;
    const fr_options options = {.memory_limit = 1};
    fr_db *db = open_with(&options);
    fr_id id;
    must(create_collection(db, "full", 1, FR_METRIC_L2, &id, err));
    fr_err e = {0};
    assert_int_equal(upsert(db, id, "k", 1, 1, NULL, &e), FR_ERR_NO_MEMORY);
    assert_true(fr_code_retriable(FR_ERR_NO_MEMORY));
    assert_non_null(strstr(e.text, "memory_limit"));
    must(delete_key(db, id, "k", NULL, err));
    fr_close(db);
}

static void pending_writes_are_answered_at_close(void **state)
{
    (void)state;
    const fr_options options = {.no_threads = true};
    fr_db *db = open_with(&options);
    fr_id id;
    fr_batch b = {0};
    must(create_collection(db, "c", 1, FR_METRIC_L2, &id, err));
    must(put_event(&b, "k", 1, 1, NULL, FR_TIME_NONE, err));
    fr_write w = {.kind = FR_WRITE_EVENTS, .id = id, .batch = &b, .done = note_answer};
    atomic_store(&answers, 0);
    must(fr_submit(db, &w, err));
    fr_engine_abandon(db);
    assert_int_equal(atomic_load(&answers), 1);
    assert_int_equal(last_code, FR_ERR_CLOSED);
    db = open_with(&options);
    w = (fr_write){.kind = FR_WRITE_EVENTS, .id = id, .batch = &b, .done = note_answer};
    must(fr_submit(db, &w, err));
    fr_close(db); /* drains */
    assert_int_equal(last_code, FR_OK);
    assert_int_equal(atomic_load(&answers), 2);
    fr_batch_free(&b);
}

static void one_event(fr_batch *b, const char *key, float version)
{
    fr_batch_reset(b);
    must(put_event(b, key, 1, version, NULL, FR_TIME_NONE, err));
}

static void a_full_disk_refuses_whole_and_resumes(void **state)
{
    (void)state;
    io_sim *sim = io_sim_create(7);
    const fr_options options = {.no_threads = true, .io = io_sim_io(sim), .no_snapshot_on_close = true};
    fr_db *db = NULL;
    fr_id id;
    fr_batch b = {0};
    fr_write w;
    must(fr_open("/d", &options, &db, err));
    must(create_collection(db, "c", 4, FR_METRIC_L2, &id, err));
    for (int i = 0; i < 40; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        must(put_event(&b, key, (float)i, 1, NULL, FR_TIME_NONE, err));
    }
    io_sim_set_capacity(sim, 26000); /* not all partitions fit */
    fr_stats stats;
    fr_err e = {0};
    assert_int_equal(write_batch(db, id, &b, &w, &e), FR_ERR_DISK_FULL);
    assert_int_equal(count_of(db, id, NULL), 0);
    fr_stats_get(db, &stats);
    assert_int_equal(stats.state, FR_ERR_DISK_FULL);
    io_sim_set_capacity(sim, 0);
    must(write_batch(db, id, &b, &w, err));
    assert_int_equal(w.records, 40);
    assert_int_equal(count_of(db, id, NULL), 40);
    fr_stats_get(db, &stats);
    assert_int_equal(stats.state, FR_OK);
    fr_batch_free(&b);
    fr_close(db);
    io_sim_free(sim);
}

static void a_failed_sync_is_final(void **state)
{
    (void)state;
    io_sim *sim = io_sim_create(8);
    const fr_options options = {.no_threads = true, .io = io_sim_io(sim), .no_snapshot_on_close = true};
    fr_db *db = NULL;
    fr_id id;
    fr_stats stats;
    must(fr_open("/d", &options, &db, err));
    must(create_collection(db, "c", 1, FR_METRIC_L2, &id, err));
    must(upsert(db, id, "a", 1, 1, NULL, err));
    io_sim_fail_sync_at(sim, 1);
    assert_int_equal(upsert(db, id, "b", 1, 1, NULL, NULL), FR_ERR_READ_ONLY);
    assert_int_equal(upsert(db, id, "c", 1, 1, NULL, NULL), FR_ERR_READ_ONLY);
    assert_int_equal(create_collection(db, "d", 1, FR_METRIC_L2, NULL, NULL), FR_ERR_READ_ONLY);
    assert_int_equal(count_of(db, id, NULL), 1); /* reads go on */
    fr_stats_get(db, &stats);
    assert_int_equal(stats.state, FR_ERR_READ_ONLY);
    assert_int_equal(stats.sync_errors, 1);
    assert_true(stats.state_text[0] != 0);
    fr_close(db);
    must(fr_open("/d", &options, &db, err));
    assert_float_equal(version_of(db, id, "a"), 1, 0);
    must(upsert(db, id, "b", 1, 2, NULL, err));
    fr_close(db);
    io_sim_free(sim);
}

/* Whatever allocation fails: nothing acknowledged is lost, nothing refused is there, nothing leaks. */
static void every_allocation_fails_once(void **state)
{
    (void)state;
    bool clean = false;
    for (uint64_t nth = 1; !clean && nth < 3000; nth += 1 + nth / 60) {
        io_sim *sim = io_sim_create(nth);
        const fr_options options = {.no_threads = true, .io = io_sim_io(sim), .memory_limit = UINT64_MAX};
        fr_db *db = NULL;
        fr_id id = 0;
        float expected = -1;
        fr_batch b = {0};
        must(fr_open("/d", &options, &db, err));
        must(create_collection(db, "first", 1, FR_METRIC_L2, &id, err));
        fr_mem_fail_at(nth);
        fr_id second;
        (void)!create_collection(db, "second", 2, FR_METRIC_L2, &second, NULL);
        for (int i = 0; i < 6; i++) {
            fr_batch_reset(&b);
            if (put_event(&b, "k", 1, (float)i, NULL, FR_TIME_NONE, NULL) == FR_OK &&
                write_batch(db, id, &b, NULL, NULL) == FR_OK)
                expected = (float)i;
        }
        (void)!fr_snapshot(db, NULL);
        (void)!fr_compact(db, 0, NULL);
        fr_close(db);
        clean = fr_mem_calls() != 0 && nth > 2000;
        if (fr_open("/d", &options, &db, NULL) != FR_OK) { /* the failure came as late as this */
            fr_mem_fail_at(0);
            must(fr_open("/d", &options, &db, err));
        }
        fr_mem_fail_at(0);
        assert_float_equal(version_of(db, id, "k"), expected, 0);
        one_event(&b, "after", 2);
        must(write_batch(db, id, &b, NULL, err));
        assert_float_equal(version_of(db, id, "after"), 2, 0);
        fr_close(db);
        fr_batch_free(&b);
        io_sim_free(sim);
    }
}

/* Compaction drops a tombstone after a day; the older manifest must not bring its row back when the newer one is damaged. */
static void no_manifest_brings_the_dead_back(void **state)
{
    (void)state;
    for (int slot = 0; slot < 2; slot++) {
        io_sim *sim = io_sim_create(9);
        const fr_options options = {.no_threads = true, .io = io_sim_io(sim), .no_snapshot_on_close = true};
        fr_db *db = NULL;
        fr_id id;
        char path[64];
        must(fr_open("/d", &options, &db, err));
        must(create_collection(db, "c", 1, FR_METRIC_L2, &id, err));
        must(upsert(db, id, "dead", 1, 1, NULL, err));
        must(upsert(db, id, "alive", 1, 1, NULL, err));
        must(fr_snapshot(db, err));
        must(delete_key(db, id, "dead", NULL, err));
        must(fr_snapshot(db, err));
        must(fr_compact(db, 0, err));
        io_sim_advance(sim, 25 * 3600 * 1000);
        must(fr_compact(db, 0, err));
        fr_close(db);
        snprintf(path, sizeof path, "/d/snap/%llu-0/MANIFEST-%d", (unsigned long long)id, slot);
        assert_true(io_sim_flip(sim, path, 90, 3));
        must(fr_open("/d", &options, &db, err));
        assert_float_equal(version_of(db, id, "dead"), -1, 0);
        assert_float_equal(version_of(db, id, "alive"), 1, 0);
        fr_close(db);
        io_sim_free(sim);
    }
}

static void event_id_window(void **state)
{
    (void)state;
    fr_event_ids ids;
    fr_event_ids_init(&ids);
    char text[32];
    fr_offset at;
    for (int i = 0; i < 5000; i++) {
        snprintf(text, sizeof text, "id-%d", i);
        must(fr_event_ids_add(&ids, fr_span_text(text), i, 1000 + i));
    }
    assert_true(fr_event_ids_find(&ids, fr_span_text("id-0"), 6000, &at));
    assert_int_equal(at, 0);
    assert_false(fr_event_ids_find(&ids, fr_span_text("id-5000"), 6000, &at));
    assert_false(fr_event_ids_find(&ids, fr_span_text("id-0"), 1000 + FR_EVENT_ID_MS_KEPT, &at)); /* too old */
    fr_event_ids_undo(&ids, 4000);
    assert_false(fr_event_ids_find(&ids, fr_span_text("id-4000"), 6000, &at));
    assert_true(fr_event_ids_find(&ids, fr_span_text("id-3999"), 6000, &at));
    fr_event_id *entries;
    uint32_t count;
    must(fr_event_ids_copy(&ids, 99, &entries, &count));
    assert_int_equal(count, 100);
    fr_event_ids other;
    fr_event_ids_init(&other);
    must(fr_event_ids_load(&other, entries, count));
    assert_true(fr_event_ids_find(&other, fr_span_text("id-99"), 6000, &at));
    assert_false(fr_event_ids_find(&other, fr_span_text("id-100"), 6000, &at));
    fr_free(FR_MEM_ENGINE, entries);
    must(fr_event_ids_add(&other, fr_span_text("late"), 500, 1050 + FR_EVENT_ID_MS_KEPT)); /* pushes the oldest out */
    assert_false(fr_event_ids_find(&other, fr_span_text("id-50"), 1050, &at));
    assert_true(fr_event_ids_find(&other, fr_span_text("id-51"), 1050, &at));
    fr_event_ids_free(&ids);
    fr_event_ids_free(&other);
}

static double dot(const float *a, const float *b, uint32_t count)
{
    double sum = 0;
    for (uint32_t i = 0; i < count; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

static void embedding_of_text(void **state)
{
    (void)state;
    float a[256], b[256], c[256];
    must(fr_engine_embed_hash(fr_span_text("a small domesticated cat that hunts mice"), 256, a, err));
    must(fr_engine_embed_hash(fr_span_text("domestic cats hunting a mouse"), 256, b, err));
    must(fr_engine_embed_hash(fr_span_text("the branch of economics that studies interest rates"), 256, c, err));
    assert_float_equal(dot(a, a, 256), 1, 1e-5);
    assert_true(dot(a, b, 256) > dot(a, c, 256) + 0.05);
    must(fr_engine_embed_hash(fr_span_text("A SMALL Domesticated cat, that hunts mice!"), 256, b, err));
    assert_float_equal(dot(a, b, 256), 1, 1e-5);
    assert_int_equal(fr_engine_embed_hash(fr_span_text(" .,; "), 256, a, NULL), FR_ERR_INVALID);
    assert_int_equal(fr_engine_embed_hash(fr_span_text(""), 256, a, NULL), FR_ERR_INVALID);
    assert_int_equal(fr_engine_embed_hash(fr_span_of("\xff", 1), 256, a, NULL), FR_ERR_INVALID);
}

static void searches_allocate_nothing(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_id id;
    fr_batch b = {0};
    char key[16];
    must(create_collection(db, "calm", 2, FR_METRIC_L2, &id, err));
    for (int i = 0; i < 500; i++) {
        snprintf(key, sizeof key, "k%d", i);
        must(put_event(&b, key, (float)i, 1, NULL, FR_TIME_NONE, err));
    }
    must(write_batch(db, id, &b, NULL, err));
    fr_batch_free(&b);
    fr_close(db);
    const fr_options options = {.no_threads = true,
                                .no_snapshot_on_close = true}; /* no other thread may allocate meanwhile */
    db = open_with(&options);
    fr_engine_drain(db);
    fr_searcher *s;
    must(fr_searcher_create(db, &s));
    fr_hit hits[20];
    uint32_t count;
    uint64_t calls = 0;
    for (int i = 0; i < 3100; i++) {
        float query[DIM];
        vector_of(query, (float)(i % 500), 1);
        fr_query q = {.id = id,
                      .vectors = query,
                      .query_count = 1,
                      .dimension = DIM,
                      .k = 20,
                      .with_metadata = true,
                      .with_vector = true};
        if (i == 100) calls = fr_mem_calls();
        must(fr_search(s, &q, hits, &count, NULL, err));
        assert_int_equal(count, 20);
    }
    assert_int_equal(fr_mem_calls() - calls, 0);
    fr_searcher_free(s);
    fr_close(db);
}

static uint64_t unlinked_of(fr_db *db, fr_id id)
{
    fr_table_stats stats;
    const fr_map *map = atomic_load(&db->map);
    for (uint32_t i = 0; i < map->count; i++)
        if (map->by_id[i]->id == id) fr_table_stats_get(fr_shard_table(&map->by_id[i]->shards[0]), &stats);
    return stats.unlinked;
}

typedef struct helped_write {
    fr_write write;
    fr_db *db;
    uint64_t unlinked; /* when it was answered */
    bool answered;
} helped_write;

static void note_backlog(fr_write *write)
{
    helped_write *self = write->user;
    assert_int_equal(write->code, FR_OK);
    self->unlinked = unlinked_of(self->db, write->id);
    self->answered = true;
}

#define BACKLOG_ROWS 1000u

static void search_once(fr_db *db, fr_id id)
{
    const float vector[DIM] = {0};
    fr_searcher *s;
    fr_hit hits[1];
    uint32_t count;
    must(fr_searcher_create(db, &s));
    must(fr_search(s, &(fr_query){.id = id, .vectors = vector, .query_count = 1, .dimension = DIM, .k = 1}, hits, &count, NULL, err));
    fr_searcher_free(s);
}

/* A thousand rows more, the first of them with this number; returns how many wait for their links after the applier's help. */
static uint64_t write_rows(fr_db *db, fr_id id, uint32_t from, helped_write *one)
{
    fr_batch b = {0};
    for (uint32_t i = from; i < from + BACKLOG_ROWS; i++) {
        char key[16];
        snprintf(key, sizeof key, "%u", i);
        must(put_event(&b, key, (float)i, (float)(i - from), NULL, FR_TIME_NONE, err));
    }
    *one = (helped_write){.write = {.kind = FR_WRITE_EVENTS, .id = id, .batch = &b, .done = note_backlog}, .db = db};
    one->write.user = one;
    must(fr_submit(db, &one->write, err));
    for (int turn = 0; turn < 10 && !one->answered; turn++) {
        fr_engine_step(db, FR_ROLE_WRITER);
        fr_engine_step(db, FR_ROLE_SYNCER);
        fr_engine_step(db, FR_ROLE_APPLIER);
    }
    assert_true(one->answered);
    fr_batch_free(&b);
    return unlinked_of(db, id);
}

/* Without any linker the applier links enough, and answers before it does. */
static void the_backlog_is_bounded(void **state)
{
    (void)state;
    enum { WRITES = 32 };
    const fr_options options = {.no_threads = true, .no_snapshot_on_close = true};
    fr_db *db = open_with(&options);
    fr_id id;
    must(create_collection(db, "stream", 1, FR_METRIC_L2, &id, err));
    uint32_t helped = 0;
    for (uint32_t i = 0; i < WRITES; i++) {
        helped_write one;
        search_once(db, id);
        uint64_t after = write_rows(db, id, i * BACKLOG_ROWS, &one);
        if (after < one.unlinked) helped++;
        assert_true(one.unlinked <= FR_UNLINKED_FAR + BACKLOG_ROWS);
        if (i < 16) assert_int_equal(after, (i + 1) * BACKLOG_ROWS); /* no help is needed yet */
    }
    assert_true(helped > WRITES - 20);
    fr_close(db);
}

/* Where nobody searches, nobody pays for the rows that wait: loading goes on at its own speed, until a search comes. */
static void a_load_is_not_held_up(void **state)
{
    (void)state;
    enum { WRITES = FR_UNLINKED_FAR / BACKLOG_ROWS + 2 };
    const fr_options options = {.no_threads = true, .no_snapshot_on_close = true};
    fr_db *db = open_with(&options);
    fr_id id;
    helped_write one;
    must(create_collection(db, "load", 1, FR_METRIC_L2, &id, err));
    for (uint32_t i = 0; i < WRITES; i++) assert_int_equal(write_rows(db, id, i * BACKLOG_ROWS, &one), (i + 1) * BACKLOG_ROWS);
    search_once(db, id);
    assert_true(write_rows(db, id, WRITES * BACKLOG_ROWS, &one) < (WRITES + 1) * BACKLOG_ROWS);
    fr_close(db);
}

static uint64_t bytes_read;

static fr_code count_read(fr_io *io, fr_file *file, uint64_t at, void *data, size_t size, size_t *got_out, fr_err *err)
{
    (void)io;
    fr_code code = fr_io_posix()->read(fr_io_posix(), file, at, data, size, got_out, err);
    if (code == FR_OK) bytes_read += *got_out;
    return code;
}

/* Writes that were answered as durable are read back to be applied: each its own records, however many wait behind it. */
static void a_backlog_is_read_once(void **state)
{
    (void)state;
    enum { ROWS = 100, WRITES = 60 };
    fr_io io = *fr_io_posix();
    io.read = count_read;
    const fr_options options = {.no_threads = true, .no_snapshot_on_close = true, .io = &io};
    fr_db *db = open_with(&options);
    fr_id id;
    fr_batch b = {0};
    must(create_collection(db, "late", 1, FR_METRIC_L2, &id, err));
    for (int r = 0; r < ROWS; r++) { /* few rows and many bytes */
        char key[500];
        snprintf(key, sizeof key, "%0490d", r);
        must(put_event(&b, key, (float)r, 0, NULL, FR_TIME_NONE, err));
    }
    static fr_write writes[WRITES];
    atomic_store(&answers, 0);
    for (int i = 0; i < WRITES; i++) {
        writes[i] = (fr_write){.kind = FR_WRITE_EVENTS, .id = id, .batch = &b, .ack = FR_ACK_DURABLE, .done = note_answer};
        must(fr_submit(db, &writes[i], err));
    }
    for (int i = 0; i < 100 && atomic_load(&answers) < WRITES; i++) {
        fr_engine_step(db, FR_ROLE_WRITER);
        fr_engine_step(db, FR_ROLE_SYNCER);
    }
    assert_int_equal(atomic_load(&answers), WRITES);
    bytes_read = 0;
    for (int i = 0; i < 100; i++) fr_engine_step(db, FR_ROLE_APPLIER);
    uint64_t whole = WRITES * (uint64_t)b.size;
    assert_true(whole > 2u << 20); /* more than one look may hold */
    assert_true(bytes_read > whole / 4);
    assert_true(bytes_read < 3 * whole);
    fr_close(db);
    fr_batch_free(&b);
}

int main(void)
{
    fr_note_level(FR_NOTE_ERROR);
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, make_test_dir, remove_test_dir)
        T(a_full_queue_is_busy),
        T(memory_limit_refuses_growth_only),
        T(pending_writes_are_answered_at_close),
        T(the_backlog_is_bounded),
        T(a_load_is_not_held_up),
        T(a_backlog_is_read_once),
        T(a_full_disk_refuses_whole_and_resumes),
        T(a_failed_sync_is_final),
        T(every_allocation_fails_once),
        T(event_id_window), T(no_manifest_brings_the_dead_back),
        T(embedding_of_text),
        T(searches_allocate_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
