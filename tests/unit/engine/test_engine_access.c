/* Users, keys, roles, grants and limits: the one check, revocation, restarts, compaction of the catalog. */
#include "tests/unit/engine/engine_help.h"

static fr_code put(fr_db *db, const fr_access *a, fr_err *err)
{
    fr_write w = {.kind = FR_WRITE_ACCESS_PUT, .access = a};
    return fr_submit_wait(db, &w, err);
}

static fr_code drop(fr_db *db, const fr_access *a, fr_err *err)
{
    fr_write w = {.kind = FR_WRITE_ACCESS_DROP, .access = a};
    return fr_submit_wait(db, &w, err);
}

static fr_code put_user(fr_db *db, const char *name, bool super, const char *roles, fr_err *err)
{
    fr_access a = {.kind = FR_ACCESS_USER, .superuser = super, .sha256 = {.salt = {1, 2}, .iterations = 4096, .stored_key = {7}}};
    snprintf(a.name, sizeof a.name, "%s", name);
    snprintf(a.roles, sizeof a.roles, "%s", roles);
    return put(db, &a, err);
}

static fr_access grant_of(const char *whose, bool role, fr_object object, const char *name, uint32_t actions)
{
    fr_access a = {.kind = FR_ACCESS_GRANT, .to_role = role, .object = object, .actions = actions};
    snprintf(a.name, sizeof a.name, "%s", whose);
    snprintf(a.object_name, sizeof a.object_name, "%s", name);
    return a;
}

static fr_code ask(fr_db *db, const char *user, fr_action action, fr_object object, const char *name)
{
    fr_principal p = {.trusted = false};
    fr_err err = {0};
    snprintf(p.user, sizeof p.user, "%s", user);
    fr_code code = fr_access_check(db, &p, action, object, NULL, name, &err);
    assert_true(code == FR_OK || (code == FR_ERR_DENIED && err.text[0] != 0));
    return code;
}

#define may(user, action, name) assert_int_equal(ask(db, user, FR_ACTION_##action, FR_OBJECT_TOPIC, name), FR_OK)
#define may_not(user, action, name) assert_int_equal(ask(db, user, FR_ACTION_##action, FR_OBJECT_TOPIC, name), FR_ERR_DENIED)

static void test_nobody_may_anything(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_principal nobody = {.trusted = false}, trusted = {.trusted = true};
    assert_int_equal(fr_access_check(db, &nobody, FR_ACTION_READ, FR_OBJECT_TOPIC, NULL, "a", NULL), FR_ERR_DENIED);
    assert_int_equal(fr_access_check(db, &trusted, FR_ACTION_ADMIN, FR_OBJECT_ALL, NULL, NULL, NULL), FR_OK);
    may_not("ghost", READ, "a");
    fr_close(db);
}

static void test_grants(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_access role = {.kind = FR_ACCESS_ROLE, .name = "ingest"};
    must(put_user(db, "root", true, "", err));
    must(put(db, &role, err));
    must(put_user(db, "ann", false, "", err));
    must(put_user(db, "bob", false, "ingest", err));
    must(put_user(db, "eve", false, "admin", err));
    fr_access read = grant_of("ann", false, FR_OBJECT_TOPIC, "docs", FR_ACTION_READ);
    fr_access prefix = grant_of("ingest", true, FR_OBJECT_TOPIC, "logs-*", FR_ACTION_READ | FR_ACTION_WRITE);
    fr_access group = grant_of("ann", false, FR_OBJECT_GROUP, "g/1", FR_ACTION_READ);
    must(put(db, &read, err));
    must(put(db, &prefix, err));
    must(put(db, &group, err));
    may("ann", READ, "docs");
    may_not("ann", WRITE, "docs");
    may_not("ann", READ, "docs2");
    may_not("ann", READ, "doc");
    may("bob", WRITE, "logs-2025");
    may_not("bob", ADMIN, "logs-2025");
    may_not("bob", WRITE, "log");
    assert_int_equal(ask(db, "ann", FR_ACTION_READ, FR_OBJECT_GROUP, "g/1"), FR_OK);
    assert_int_equal(ask(db, "bob", FR_ACTION_READ, FR_OBJECT_GROUP, "g/1"), FR_ERR_DENIED);
    assert_int_equal(ask(db, "bob", FR_ACTION_ADMIN, FR_OBJECT_ALL, NULL), FR_ERR_DENIED);
    assert_int_equal(ask(db, "eve", FR_ACTION_ADMIN, FR_OBJECT_ALL, NULL), FR_OK);
    may("root", ADMIN, "anything");
    may_not("root", WRITE, "__audit"); /* the server's own */
    may_not("root", ADMIN, "__audit");
    may("root", READ, "__audit");
    fr_access all = grant_of("ann", false, FR_OBJECT_TOPIC, "*", FR_ACTION_READ);
    must(put(db, &all, err));
    may("ann", READ, "docs2");
    may_not("ann", READ, "__audit");
    must(drop(db, &all, err));
    must(drop(db, &read, err));
    may_not("ann", READ, "docs"); /* revoked with the answer */
    fr_access common = grant_of("public", true, FR_OBJECT_DATABASE, "", FR_ACTION_READ);
    must(put(db, &common, err));
    may("ann", READ, "docs");
    fr_close(db);
}

static void test_alias_is_its_collection(void **state)
{
    (void)state;
    fr_db *db = open_db();
    must(create_collection(db, "docs", 1, FR_METRIC_L2, NULL, err));
    fr_write w = {.kind = FR_WRITE_ALIAS_PUT, .name = "current", .target = "docs"};
    must(fr_submit_wait(db, &w, err));
    must(put_user(db, "ann", false, "", err));
    fr_access grant = grant_of("ann", false, FR_OBJECT_TOPIC, "current", FR_ACTION_READ);
    must(put(db, &grant, err));
    may_not("ann", READ, "current"); /* the alias means docs, and nothing is granted there */
    grant = grant_of("ann", false, FR_OBJECT_TOPIC, "docs", FR_ACTION_READ);
    must(put(db, &grant, err));
    may("ann", READ, "current");
    fr_close(db);
}

static void test_keys_and_dropped_users(void **state)
{
    (void)state;
    fr_db *db = open_db();
    must(put_user(db, "ann", false, "", err));
    fr_access grant = grant_of("ann", false, FR_OBJECT_TOPIC, "docs", FR_ACTION_READ | FR_ACTION_WRITE);
    must(put(db, &grant, err));
    fr_access key = {.kind = FR_ACCESS_KEY, .name = "k1", .user = "ann", .actions = FR_ACTION_READ, .digest = {9}};
    must(put(db, &key, err));
    fr_principal p = {.user = "ann", .key = "k1"};
    fr_err why = {0};
    assert_int_equal(fr_access_check(db, &p, FR_ACTION_READ, FR_OBJECT_TOPIC, NULL, "docs", &why), FR_OK);
    assert_int_equal(fr_access_check(db, &p, FR_ACTION_WRITE, FR_OBJECT_TOPIC, NULL, "docs", &why), FR_ERR_DENIED);
    fr_access over = {.kind = FR_ACCESS_KEY, .name = "k2", .user = "ann", .actions = 7, .expires_ms = 1};
    must(put(db, &over, err));
    fr_principal late = {.user = "ann", .key = "k2"};
    assert_int_equal(fr_access_check(db, &late, FR_ACTION_READ, FR_OBJECT_TOPIC, NULL, "docs", &why), FR_ERR_DENIED);
    must(drop(db, &key, err));
    assert_int_equal(fr_access_check(db, &p, FR_ACTION_READ, FR_OBJECT_TOPIC, NULL, "docs", &why), FR_ERR_DENIED);
    fr_access ann = {.kind = FR_ACCESS_USER, .name = "ann"};
    must(drop(db, &ann, err));
    assert_int_equal(fr_access_list(db, FR_ACCESS_GRANT, NULL, NULL, NULL), 0);
    assert_int_equal(fr_access_list(db, FR_ACCESS_KEY, NULL, NULL, NULL), 0);
    must(put_user(db, "ann", false, "", err)); /* the same name again: nothing of before */
    may_not("ann", READ, "docs");
    fr_close(db);
}

static void test_rules_of_change(void **state)
{
    (void)state;
    fr_db *db = open_db();
    fr_err why = {0};
    must(put_user(db, "root", true, "", err));
    assert_int_equal(put_user(db, "root", false, "", &why), FR_ERR_INVALID);
    fr_access root = {.kind = FR_ACCESS_USER, .name = "root"};
    assert_int_equal(drop(db, &root, &why), FR_ERR_INVALID);
    assert_int_equal(put_user(db, "a/b", false, "", &why), FR_ERR_INVALID);
    assert_int_equal(put_user(db, "ann", false, "nothing", &why), FR_ERR_NOT_FOUND);
    fr_access grant = grant_of("ann", false, FR_OBJECT_TOPIC, "x", FR_ACTION_READ);
    assert_int_equal(put(db, &grant, &why), FR_ERR_NOT_FOUND);
    fr_access role = {.kind = FR_ACCESS_ROLE, .name = "r"};
    must(put(db, &role, err));
    must(put_user(db, "ann", false, "r", err));
    assert_int_equal(drop(db, &role, &why), FR_ERR_EXISTS);
    grant.actions = 0;
    assert_int_equal(put(db, &grant, &why), FR_ERR_INVALID);
    fr_access ann = {.kind = FR_ACCESS_USER, .name = "ann"};
    assert_int_equal(fr_access_get(db, &ann), FR_OK);
    assert_string_equal(ann.roles, "r");
    assert_int_equal(ann.sha256.stored_key[0], 7);
    fr_access stale = ann;
    must(put(db, &ann, err));
    assert_int_equal(put(db, &stale, &why), FR_ERR_BUSY); /* somebody was faster */
    ann.must = FR_ACCESS_NEW, ann.offset = 0;
    assert_int_equal(put(db, &ann, &why), FR_ERR_EXISTS);
    fr_close(db);
}

static void check_after(fr_db *db)
{
    fr_access limit;
    may("ann", READ, "docs");
    may_not("ann", WRITE, "docs");
    may_not("gone", READ, "docs");
    assert_true(fr_access_limit(db, "ann", "c", &limit));
    assert_int_equal(limit.requests, 5);
    assert_true(fr_access_limit(db, "else", "c", &limit));
    assert_int_equal(limit.bytes_in, 1000);
}

static void test_survives_restart_and_compaction(void **state)
{
    (void)state;
    fr_db *db = open_db();
    must(put_user(db, "ann", false, "", err));
    must(put_user(db, "gone", true, "", err));
    fr_access grant = grant_of("ann", false, FR_OBJECT_TOPIC, "docs", FR_ACTION_READ);
    must(put(db, &grant, err));
    fr_access gone = {.kind = FR_ACCESS_USER, .name = "gone"};
    must(drop(db, &gone, err));
    fr_access own = {.kind = FR_ACCESS_LIMIT, .name = "ann", .requests = 5}, all = {.kind = FR_ACCESS_LIMIT, .name = "*", .bytes_in = 1000};
    must(put(db, &own, err));
    must(put(db, &all, err));
    for (int i = 0; i < 50; i++) must(put_user(db, "ann", false, "", err));
    check_after(db);
    fr_close(db);
    db = open_db();
    check_after(db);
    must(fr_compact(db, 0, err));
    check_after(db);
    fr_close(db);
    db = open_db();
    check_after(db);
    assert_int_equal(fr_access_list(db, FR_ACCESS_USER, NULL, NULL, NULL), 1);
    fr_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nobody_may_anything, make_test_dir, remove_test_dir),
        cmocka_unit_test_setup_teardown(test_grants, make_test_dir, remove_test_dir),
        cmocka_unit_test_setup_teardown(test_alias_is_its_collection, make_test_dir, remove_test_dir),
        cmocka_unit_test_setup_teardown(test_keys_and_dropped_users, make_test_dir, remove_test_dir),
        cmocka_unit_test_setup_teardown(test_rules_of_change, make_test_dir, remove_test_dir),
        cmocka_unit_test_setup_teardown(test_survives_restart_and_compaction, make_test_dir, remove_test_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
