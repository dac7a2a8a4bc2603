/* test_auth.c: headers to principals; what is remembered and what is not; token buckets. */
#include "server/daemon/auth.h"
#include "server/daemon/limits.h"
#include "server/daemon/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/freshet-auth-XXXXXX";
static fr_db *db;
static fr_auth *auth;

static void put(fr_access *a)
{
    fr_err err = {0};
    fr_write write = {.kind = FR_WRITE_ACCESS_PUT, .access = a};
    fr_code code = fr_submit_wait(db, &write, &err);
    if (code != FR_OK) print_error("%s %s\n", fr_strcode(code), err.text);
    assert_int_equal(code, FR_OK);
}

static void put_user(const char *name, const char *password)
{
    fr_err err = {0};
    fr_access a = {.kind = FR_ACCESS_USER};
    snprintf(a.name, sizeof a.name, "%s", name);
    assert_int_equal(fr_auth_verifiers(fr_span_text(password), &a, &err), FR_OK);
    put(&a);
}

static int open_all(void **state)
{
    (void)state;
    fr_err err = {0};
    if (!mkdtemp(directory) || fr_open(directory, NULL, &db, &err) != FR_OK || fr_auth_create(&auth, &err) != FR_OK) return -1;
    put_user("ann", "Aladdin:open");
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    char command[64];
    fr_auth_free(auth);
    fr_close(db);
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    return system(command);
}

static fr_code http(const char *value, bool may_block)
{
    fr_principal who;
    fr_err err = {0};
    fr_code code = fr_auth_http(auth, db, fr_span_text(value), may_block, &who, &err);
    assert_true(code == FR_OK ? strcmp(who.user, "ann") == 0 && !who.trusted : who.user[0] == 0 && err.text[0] != 0);
    return code;
}

static void base64(void **state)
{
    (void)state;
    uint8_t out[16];
    size_t size;
    static const char *const good[][2] = {{"", ""}, {"Zg==", "f"}, {"Zm8=", "fo"}, {"Zm9v", "foo"}, {"Zm9vYg==", "foob"}};
    static const char *const bad[] = {"Zg", "Zg=", "Z===", "Zh==", "Zg==Zg==", "Zm9v!", "Zm 9", "====", "Zm9vZm9vZm9vZm9vZm9vZm9v"};
    for (size_t i = 0; i < FR_COUNT_OF(good); i++) {
        assert_true(fr_base64_in(fr_span_text(good[i][0]), out, sizeof out, &size));
        assert_int_equal(size, strlen(good[i][1]));
        assert_memory_equal(out, good[i][1], size);
    }
    for (size_t i = 0; i < FR_COUNT_OF(bad); i++) assert_false(fr_base64_in(fr_span_text(bad[i]), out, sizeof out, &size));
}

static void headers(void **state)
{
    (void)state;
    assert_int_equal(http("Basic YW5uOkFsYWRkaW46b3Blbg==", false), FR_ERR_BUSY); /* not seen yet: elsewhere */
    assert_int_equal(http("Basic YW5uOkFsYWRkaW46b3Blbg==", true), FR_OK);       /* a colon in the password is the password's */
    assert_int_equal(http("bAsIc  YW5uOkFsYWRkaW46b3Blbg==", false), FR_OK);     /* remembered */
    assert_int_equal(http("Bearer ann:Aladdin:open", false), FR_OK);
    static const char *const wrong[] = {"", "Basic", "Basic ", "Basic !", "Digest x", "Bearer ann:", "Bearer :x", "Bearer ann:Aladdin:opem", "Bearer frk_",
                                        "Bearer bob:Aladdin:open", "Bearer x", "Basic YW5u"};
    for (size_t i = 0; i < FR_COUNT_OF(wrong); i++) assert_int_equal(http(wrong[i], true), FR_ERR_UNAUTHENTICATED);
    fr_principal who;
    fr_err err;
    assert_int_equal(fr_auth_grpc(auth, db, fr_span_text("YW5uOkFsYWRkaW46b3Blbg=="), false, &who, &err), FR_OK);
    put_user("ann", "another-one");
    assert_int_equal(http("Bearer ann:Aladdin:open", true), FR_ERR_UNAUTHENTICATED);
    assert_int_equal(http("Bearer ann:another-one", true), FR_OK);
    fr_access user = {0};
    assert_int_equal(fr_auth_verifiers(fr_span_text("short"), &user, &err), FR_ERR_INVALID);
}

static void keys(void **state)
{
    (void)state;
    char text[FR_API_KEY_BYTES], header[FR_API_KEY_BYTES + 16];
    fr_err err;
    fr_access key = {.kind = FR_ACCESS_KEY, .user = "ann", .actions = FR_ACTION_READ};
    assert_int_equal(fr_auth_new_key(&key, text, &err), FR_OK);
    put(&key);
    snprintf(header, sizeof header, "Bearer %s", text);
    assert_int_equal(http(header, false), FR_OK); /* a digest: no need to block */
    header[strlen(header) - 1] ^= 1;
    assert_int_equal(http(header, false), FR_ERR_UNAUTHENTICATED);
}

static void limits(void **state)
{
    (void)state;
    fr_limits *self;
    fr_err err;
    fr_access limit = {.kind = FR_ACCESS_LIMIT, .name = "ann", .requests = 10, .bytes_in = 1000};
    assert_int_equal(fr_limits_create(&self, &err), FR_OK);
    for (int i = 0; i < 50; i++) assert_int_equal(fr_limits_admit(self, db, "ann", "", 0), 0); /* none yet */
    put(&limit);
    int admitted = 0;
    int64_t wait_ms = 0, begun_ns = fr_now_ns();
    for (int i = 0; i < 50; i++) {
        int64_t now = fr_limits_admit(self, db, "ann", "", 1);
        if (now == 0) admitted++;
        else wait_ms = now;
    }
    assert_in_range(admitted, 10, 12 + (fr_now_ns() - begun_ns) / 100000000); /* ten a second more on a busy machine */
    assert_in_range(wait_ms, 1, 200);
    assert_int_equal(fr_limits_admit(self, db, "bob", "", 1), 0);
    usleep(150000);
    begun_ns = fr_now_ns();
    assert_int_equal(fr_limits_admit(self, db, "ann", "", 5000), 0); /* larger than the limit: served, and owed */
    wait_ms = fr_limits_admit(self, db, "ann", "", 1);
    assert_true(wait_ms <= 5000 && wait_ms >= 3000 - (fr_now_ns() - begun_ns) / 1000000);
    assert_in_range(fr_limits_charge(self, db, "ann", "", 1, 100000, 0), 29000, 30000); /* never longer than 30 s */
    /* What was not limited when it was sent is no debt of a limit that comes later. */
    fr_access late = {.kind = FR_ACCESS_LIMIT, .name = "lou", .requests = 1000};
    put_user("lou", "open-sesame");
    put(&late);
    for (int i = 0; i < 3; i++) assert_int_equal(fr_limits_charge(self, db, "lou", "", 1, 1000000, 1000000), 0);
    late.bytes_out = late.bytes_in = 1000, late.offset = 0;
    put(&late);
    usleep(20000);
    assert_int_equal(fr_limits_admit(self, db, "lou", "", 1), 0);
    fr_limits_free(self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(base64), cmocka_unit_test(headers), cmocka_unit_test(keys), cmocka_unit_test(limits)};
    return cmocka_run_group_tests(tests, open_all, close_all);
}
