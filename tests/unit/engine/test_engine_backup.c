/* fr_backup: a copy that is a database of its own, made while the first one is open, written, snapshotted and compacted; what it refuses. */
#include "engine_help.h"

#include <pthread.h>
#include <stdatomic.h>

static char copy_dir[160];

static fr_db *copy_open(void)
{
    fr_db *db = NULL;
    fr_err err = {0};
    if (fr_open(copy_dir, NULL, &db, &err) != FR_OK) fail_msg("the copy: %s", err.text);
    return db;
}

static void copy_name(const char *name) { snprintf(copy_dir, sizeof copy_dir, "%s.%s", test_dir, name); }

static void copy_remove(void)
{
    char command[200];
    snprintf(command, sizeof command, "rm -rf '%s'", copy_dir);
    assert_int_equal(system(command), 0);
}

static void finding(void *user, bool bad, const char *line)
{
    if (bad) print_error("%s\n", line);
    *(uint32_t *)user += bad;
}

static void verified(void)
{
    uint32_t bad = 0;
    must(fr_verify(copy_dir, finding, &bad, err));
    assert_int_equal(bad, 0);
}

static void a_copy_answers_the_same(void **state)
{
    (void)state;
    fr_id id;
    uint64_t files = 0, bytes = 0;
    fr_db *db = open_db();
    must(create_collection(db, "docs", 3, FR_METRIC_L2, &id, err));
    for (int i = 0; i < 60; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i % 40);
        must(upsert(db, id, key, (float)(i % 40), (float)i, NULL, err));
        if (i == 20 || i == 40) must(fr_snapshot(db, err));
    }
    must(delete_key(db, id, "k7", NULL, err));
    fr_write alias = {.kind = FR_WRITE_ALIAS_PUT, .name = "now", .target = "docs"};
    must(fr_submit_wait(db, &alias, err));
    must(fr_compact(db, id, err));
    copy_name("same");
    must(fr_backup(test_dir, copy_dir, &files, &bytes, err));
    assert_true(files >= 8 && bytes > 4096 * files / 2);
    must(upsert(db, id, "later", 1, 1, NULL, err)); /* not in the copy */
    verified();
    fr_db *copy = copy_open();
    fr_id found;
    assert_int_equal(fr_resolve(copy, "now", &found), FR_OK);
    assert_int_equal(count_of(copy, found, NULL), 39);
    for (int i = 0; i < 40; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        assert_true(version_of(copy, found, key) == (i == 7 ? -1.0f : i < 20 ? (float)(i + 40) : (float)i));
    }
    assert_true(version_of(copy, found, "later") == -1.0f);
    must(upsert(copy, found, "own", 1, 1, NULL, err)); /* it lives on by itself */
    fr_close(copy);
    fr_close(db);
    copy_remove();
}

typedef struct load {
    fr_db *db;
    fr_id id;
    _Atomic bool over;
    _Atomic int answered; /* keys k0 .. k<answered - 1> */
} load;

static void *write_on(void *user)
{
    load *self = user;
    while (!atomic_load(&self->over)) {
        char key[16];
        int at = atomic_load(&self->answered);
        fr_batch b = {0};
        fr_err err = {0};
        snprintf(key, sizeof key, "k%d", at);
        /* Two records of one request: both or none of them. */
        fr_code code = put_event(&b, key, (float)at, 1, NULL, FR_TIME_NONE, &err);
        snprintf(key, sizeof key, "twin%d", at);
        if (code == FR_OK) code = put_event(&b, key, (float)at, 1, NULL, FR_TIME_NONE, &err);
        if (code == FR_OK) code = write_batch(self->db, self->id, &b, NULL, &err);
        fr_batch_free(&b);
        if (code == FR_OK) atomic_store(&self->answered, at + 1);
        if (at % 30 == 29) (void)!fr_snapshot(self->db, &err);
        if (at % 70 == 69) (void)!fr_compact(self->db, self->id, &err);
    }
    return NULL;
}

static void while_it_is_written(void **state)
{
    (void)state;
    load one = {.db = open_db()};
    pthread_t thread;
    must(create_collection(one.db, "docs", 2, FR_METRIC_L2, &one.id, err));
    assert_int_equal(pthread_create(&thread, NULL, write_on, &one), 0);
    for (int round = 0; round < 3; round++) {
        char name[16];
        uint64_t files, bytes;
        while (atomic_load(&one.answered) < (round + 1) * 40) sched_yield();
        snprintf(name, sizeof name, "live%d", round);
        copy_name(name);
        int answered = atomic_load(&one.answered);
        must(fr_backup(test_dir, copy_dir, &files, &bytes, err));
        fr_db *copy = copy_open(); /* recovery cuts what was under way */
        uint64_t count = count_of(copy, one.id, NULL);
        assert_true(count % 2 == 0 && count >= (uint64_t)answered * 2);
        for (int i = 0; i < answered; i += 7) {
            char key[16];
            snprintf(key, sizeof key, "twin%d", i);
            assert_true(version_of(copy, one.id, key) == 1.0f);
        }
        fr_close(copy);
        verified();
        copy_remove();
    }
    atomic_store(&one.over, true);
    pthread_join(thread, NULL);
    fr_close(one.db);
}

static void *save_on(void *user)
{
    load *self = user;
    while (!atomic_load(&self->over)) {
        fr_err err = {0};
        char key[16];
        int at = atomic_load(&self->answered);
        snprintf(key, sizeof key, "k%d", at % 50);
        upsert(self->db, self->id, key, (float)at, 1, NULL, &err);
        if (fr_snapshot(self->db, &err) == FR_OK) atomic_store(&self->answered, at + 1);
    }
    return NULL;
}

/* A snapshot after every write: at no time is one the newest for as long as a copy takes. */
static void snapshots_do_not_disturb(void **state)
{
    (void)state;
    load one = {.db = open_db()};
    pthread_t thread;
    uint64_t files, bytes;
    must(create_collection(one.db, "docs", 2, FR_METRIC_L2, &one.id, err));
    assert_int_equal(pthread_create(&thread, NULL, save_on, &one), 0);
    while (atomic_load(&one.answered) < 60) sched_yield();
    copy_name("saved");
    must(fr_backup(test_dir, copy_dir, &files, &bytes, err));
    atomic_store(&one.over, true);
    pthread_join(thread, NULL);
    fr_db *copy = copy_open();
    assert_int_equal(count_of(copy, one.id, NULL), 50);
    fr_close(copy);
    verified();
    copy_remove();
    fr_close(one.db);
}

static void what_is_refused(void **state)
{
    (void)state;
    uint64_t files, bytes;
    fr_err why = {0};
    char path[FR_PATH_MAX + 8], nowhere[200];
    fr_close(open_db());
    copy_name("full");
    must(fr_backup(test_dir, copy_dir, &files, &bytes, err));
    assert_int_equal(fr_backup(test_dir, copy_dir, &files, &bytes, &why), FR_ERR_EXISTS);
    copy_remove();
    snprintf(nowhere, sizeof nowhere, "%s.none", test_dir);
    assert_int_equal(fr_backup(nowhere, copy_dir, &files, &bytes, &why), FR_ERR_NOT_FOUND);
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = 0;
    assert_int_equal(fr_backup(path, copy_dir, &files, &bytes, &why), FR_ERR_INVALID);
    assert_int_equal(fr_backup(test_dir, path, &files, &bytes, &why), FR_ERR_INVALID);
    snprintf(nowhere, sizeof nowhere, "%s.none/below", test_dir);
    assert_int_not_equal(fr_backup(test_dir, nowhere, &files, &bytes, &why), FR_OK); /* its folder is not there */
}

int main(void)
{
    fr_note_level(FR_NOTE_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_copy_answers_the_same, make_test_dir, remove_test_dir),
        cmocka_unit_test_setup_teardown(while_it_is_written, make_test_dir, remove_test_dir),
        cmocka_unit_test_setup_teardown(snapshots_do_not_disturb, make_test_dir, remove_test_dir),
        cmocka_unit_test_setup_teardown(what_is_refused, make_test_dir, remove_test_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
