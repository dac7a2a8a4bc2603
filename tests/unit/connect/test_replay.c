/* Replays over a real database: into another collection, in place, from an offset, a time, a model version; orders; restarts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "server/connect/replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static char test_dir[128];
static fr_db *db;
static fr_replays *replays;
static int64_t now_ms(void) { return 1700000000000; }

static void open_all(void)
{
    fr_options options = {.linkers = 1};
    fr_err err = {0};
    if (fr_open(test_dir, &options, &db, &err) != FR_OK) fail_msg("open: %s", err.text);
    assert_int_equal(fr_replays_open(db, NULL, now_ms, &replays, &err), FR_OK);
}

static void close_all(void)
{
    fr_replays_close(replays);
    fr_close(db);
}

static int set_up(void **state)
{
    (void)state;
    const char *root = getenv("TMPDIR");
    snprintf(test_dir, sizeof test_dir, "%s/fr_replay_XXXXXX", root ? root : "/tmp");
    assert_non_null(mkdtemp(test_dir));
    open_all();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[192];
    close_all();
    snprintf(command, sizeof command, "rm -rf '%s'", test_dir);
    return system(command) != 0;
}

static fr_id create(const char *name, uint32_t partitions)
{
    fr_collection_def *def = calloc(1, sizeof *def);
    fr_err err = {0};
    snprintf(def->name, sizeof def->name, "%s", name);
    def->dimension = 2, def->partitions = partitions;
    fr_write write = {.kind = FR_WRITE_COLLECTION_CREATE, .def = def};
    assert_int_equal(fr_submit_wait(db, &write, &err), FR_OK);
    free(def);
    return write.id;
}

static fr_offset put(fr_id id, int key, float number, const char *model, bool remove)
{
    char text[16];
    float vector[2] = {number, 1};
    fr_value value = {.field = FR_FIELD_VECTOR, .type = FR_TYPE_VECTOR_F32, .bytes = {vector, sizeof vector}};
    fr_event event = {.source_time_ms = FR_TIME_NONE, .values = &value, .value_count = 1, .remove = remove};
    fr_batch batch = {0};
    fr_err err = {0};
    snprintf(text, sizeof text, "k%d", key);
    event.key = fr_span_text(text);
    if (model) event.model_version = fr_span_text(model);
    assert_int_equal(fr_batch_put(&batch, &event, &err), FR_OK);
    fr_write write = {.kind = FR_WRITE_EVENTS, .id = id, .batch = &batch};
    assert_int_equal(fr_submit_wait(db, &write, &err), FR_OK);
    fr_batch_free(&batch);
    return write.written[0].first;
}

static float number_of(fr_id id, int key) /* -1: not there */
{
    char text[16];
    fr_searcher *searcher;
    fr_hit hit;
    uint32_t count = 0;
    fr_err err = {0};
    snprintf(text, sizeof text, "k%d", key);
    fr_span span = fr_span_text(text);
    assert_int_equal(fr_searcher_create(db, &searcher), FR_OK);
    assert_int_equal(fr_get(searcher, id, &span, 1, &(fr_wanted){.vector = true}, &hit, &count, &err), FR_OK);
    float number = count ? hit.vector[0] : -1;
    fr_searcher_free(searcher);
    return number;
}

static uint64_t count_of(fr_id id)
{
    fr_collection_info *info = malloc(sizeof *info);
    assert_int_equal(fr_collection_get(db, id, info), FR_OK);
    uint64_t count = info->count;
    free(info);
    return count;
}

static fr_id id_of(const char *name)
{
    fr_id id;
    assert_int_equal(fr_resolve(db, name, &id), FR_OK);
    return id;
}

static const fr_replay_request whole = {.source = "a", .offset = -1, .since_ms = FR_TIME_NONE, .rate = FR_REPLAY_RATE_MAX};

static uint64_t start(fr_replay_request request)
{
    fr_replay_info info;
    fr_err err = {0};
    fr_code code = fr_replay_start(replays, &request, &info, &err);
    if (code != FR_OK) fail_msg("start: %s: %s", err.field, err.text);
    return info.id;
}

static fr_replay_info wait_for(uint64_t id, fr_replay_state state)
{
    fr_replay_info info = {0};
    for (int i = 0; i < 20000; i++) {
        assert_int_equal(fr_replay_get(replays, id, &info), FR_OK);
        if (info.state == state) return info;
        usleep(2000);
    }
    fail_msg("replay %d is %s (%s), not %s", (int)id, fr_replay_state_name(info.state), info.error, fr_replay_state_name(state));
    return info;
}

/* Keys 0..99 twice, every tenth deleted: 90 live. */
static fr_id fill(uint32_t partitions)
{
    fr_id id = create("a", partitions);
    for (int round = 0; round < 2; round++)
        for (int key = 0; key < 100; key++) put(id, key, (float)(round * 1000 + key), round ? "v2" : "v1", false);
    for (int key = 0; key < 100; key += 10) put(id, key, 0, NULL, true);
    return id;
}

static void into_another(void **state)
{
    (void)state;
    fill(3);
    fr_replay_request request = whole;
    request.target = "b";
    fr_replay_info info = wait_for(start(request), FR_REPLAY_DONE);
    assert_int_equal(info.replayed, 210);
    assert_int_equal(info.deletes, 10);
    assert_int_equal(info.unusable, 0);
    fr_id b = id_of("b");
    assert_int_equal(count_of(b), 90);
    for (int key = 0; key < 100; key++) assert_true(number_of(b, key) == (key % 10 ? (float)(1000 + key) : -1.0f));
    close_all();
    open_all();
    info = wait_for(info.id, FR_REPLAY_DONE); /* its record */
    assert_int_equal(info.replayed, 210);
    assert_string_equal(info.target, "b");
    fr_err err = {0};
    assert_int_equal(fr_replay_control(replays, info.id, FR_REPLAY_FORGET, &info, &err), FR_OK);
    assert_int_equal(fr_replay_get(replays, info.id, &info), FR_ERR_NOT_FOUND);
    close_all();
    open_all();
    assert_int_equal(fr_replay_get(replays, 1, &info), FR_ERR_NOT_FOUND);
}

static void from_somewhere(void **state)
{
    (void)state;
    fr_id a = fill(1);
    fr_replay_request request = whole;
    request.target = "by_offset", request.offset = 150;
    assert_int_equal(wait_for(start(request), FR_REPLAY_DONE).replayed, 60);
    request = whole;
    request.target = "by_model", request.model_version = "v2";
    assert_int_equal(wait_for(start(request), FR_REPLAY_DONE).replayed, 110);
    request = whole;
    request.target = "by_time", request.since_ms = INT64_MAX - 1;
    assert_int_equal(wait_for(start(request), FR_REPLAY_DONE).replayed, 0);
    request.since_ms = 1;
    request.target = "by_time2";
    assert_int_equal(wait_for(start(request), FR_REPLAY_DONE).replayed, 210);
    fr_replay_info info;
    fr_err err = {0};
    request.offset = 3;
    assert_int_equal(fr_replay_start(replays, &request, &info, &err), FR_ERR_INVALID);
    request = whole;
    request.offset = 999;
    assert_int_equal(fr_replay_start(replays, &request, &info, &err), FR_ERR_INVALID);
    request = whole;
    request.source = "nowhere";
    assert_int_equal(fr_replay_start(replays, &request, &info, &err), FR_ERR_NOT_FOUND);
    (void)a;
}

/* In place: what is current is written again, once; what is newer is never overwritten, also while it is written. */
static void in_place(void **state)
{
    (void)state;
    fr_id a = fill(2);
    fr_replay_request request = whole;
    request.rate = 2000;
    uint64_t id = start(request);
    for (int key = 1; key < 100; key += 2) put(a, key, (float)(5000 + key), NULL, false); /* meanwhile */
    fr_replay_info info = wait_for(id, FR_REPLAY_DONE);
    assert_int_equal(info.replayed + info.superseded, 200);
    assert_true(info.replayed >= 40 && info.replayed <= 90);
    assert_int_equal(count_of(a), 90 + 0);
    for (int key = 0; key < 100; key++)
        assert_true(number_of(a, key) == (key % 2 ? (float)(5000 + key) : key % 10 ? (float)(1000 + key) : -1.0f));
    request.follow = true;
    fr_err err = {0};
    assert_int_equal(fr_replay_start(replays, &request, &info, &err), FR_ERR_INVALID);
}

static void orders(void **state)
{
    (void)state;
    fr_id a = fill(1);
    fr_replay_info info;
    fr_err err = {0};
    fr_replay_request request = whole;
    request.target = "b", request.rate = 100;
    uint64_t id = start(request);
    assert_int_equal(fr_replay_control(replays, id, FR_REPLAY_PAUSE, &info, &err), FR_OK);
    usleep(300000);
    info = wait_for(id, FR_REPLAY_PAUSED);
    uint64_t before = info.replayed;
    usleep(300000);
    assert_int_equal(wait_for(id, FR_REPLAY_PAUSED).replayed, before);
    close_all();
    open_all();
    assert_int_equal(wait_for(id, FR_REPLAY_PAUSED).replayed, before); /* over a restart, too */
    assert_int_equal(fr_replay_control(replays, id, FR_REPLAY_FORGET, &info, &err), FR_ERR_INVALID);
    assert_int_equal(fr_replay_control(replays, id, FR_REPLAY_RESUME, &info, &err), FR_OK);
    usleep(200000);
    close_all(); /* in the middle */
    open_all();
    info = wait_for(id, FR_REPLAY_DONE);
    assert_int_equal(info.replayed, 210);
    assert_int_equal(count_of(id_of("b")), 90);
    request.target = "c", request.rate = 100, request.follow = true;
    id = start(request);
    assert_int_equal(fr_replay_control(replays, id, FR_REPLAY_CANCEL, &info, &err), FR_OK);
    assert_int_equal(fr_replay_control(replays, id, FR_REPLAY_RESUME, &info, &err), FR_ERR_INVALID);
    request.target = "d", request.rate = FR_REPLAY_RATE_MAX;
    id = start(request);
    put(a, 555, 7, NULL, false);
    for (int i = 0; i < 20000 && number_of(id_of("d"), 555) < 0; i++) usleep(2000);
    assert_true(number_of(id_of("d"), 555) == 7); /* it follows */
    assert_int_equal(fr_replay_control(replays, 99, FR_REPLAY_CANCEL, &info, &err), FR_ERR_NOT_FOUND);
}

/* A rate is a rate: 210 records at 500 a second take about 0.4 s. */
static void slowly(void **state)
{
    (void)state;
    fill(1);
    fr_replay_request request = whole;
    request.target = "b", request.rate = 500;
    struct timespec begun, now;
    clock_gettime(CLOCK_MONOTONIC, &begun);
    uint64_t id = start(request);
    usleep(150000);
    fr_replay_info info;
    assert_int_equal(fr_replay_get(replays, id, &info), FR_OK);
    clock_gettime(CLOCK_MONOTONIC, &now);
    double seconds = (double)(now.tv_sec - begun.tv_sec) + (double)(now.tv_nsec - begun.tv_nsec) / 1e9; /* a busy machine sleeps longer */
    assert_true((double)info.replayed <= 75 + 500 * seconds);
    assert_int_equal(wait_for(id, FR_REPLAY_DONE).replayed, 210);
}

/* A target with another dimension takes none of them, and says so. */
static void unusable(void **state)
{
    (void)state;
    fr_err err = {0};
    fill(1);
    fr_collection_def *def = calloc(1, sizeof *def);
    snprintf(def->name, sizeof def->name, "three");
    def->dimension = 3;
    fr_write write = {.kind = FR_WRITE_COLLECTION_CREATE, .def = def};
    assert_int_equal(fr_submit_wait(db, &write, &err), FR_OK);
    free(def);
    fr_replay_request request = whole;
    request.target = "three";
    fr_replay_info info = wait_for(start(request), FR_REPLAY_DONE);
    assert_int_equal(info.unusable, 200);
    assert_int_equal(info.replayed, 10); /* deletes are fine */
}

#define one(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {one(into_another), one(from_somewhere), one(in_place), one(orders), one(slowly), one(unusable)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
