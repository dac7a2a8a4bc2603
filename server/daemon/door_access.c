/* door_access.c: authentication, limits and audit behind the doors' function pointers; user root at the first start. */
#include "server/daemon/door_access.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static fr_code http_who(void *user, fr_db *db, fr_span authorization, bool may_block, fr_principal *out, fr_err *err)
{
    return fr_auth_http(((fr_door_access *)user)->auth, db, authorization, may_block, out, err);
}

static fr_code http_password(void *user, fr_span password, fr_access *user_io, fr_err *err)
{
    (void)user;
    return fr_auth_verifiers(password, user_io, err);
}

static fr_code http_key(void *user, fr_access *key_io, char text[FR_HTTP_KEY_BYTES], fr_err *err)
{
    (void)user;
    _Static_assert(FR_HTTP_KEY_BYTES >= FR_API_KEY_BYTES, "a key's text fits");
    return fr_auth_new_key(key_io, text, err);
}

static int64_t http_admit(void *user, fr_db *db, const fr_principal *principal, size_t bytes_in)
{
    return fr_limits_admit(((fr_door_access *)user)->limits, db, principal->user, "", bytes_in);
}

static void http_sent(void *user, fr_db *db, const fr_principal *principal, size_t bytes_out)
{
    (void)fr_limits_charge(((fr_door_access *)user)->limits, db, principal->user, "", 0, 0, bytes_out);
}

static void http_told(void *user, fr_db *db, const fr_principal *principal, const char *action, const char *object, int status,
                      const char *reason)
{
    (void)db;
    bool refused = status == 401 || status == 403 || status == 429;
    fr_door_access_told(user, "http", principal, action, object, refused ? "refused" : status < 300 ? "done" : "failed", reason);
}

static fr_code milvus_who(void *user, fr_db *db, fr_span authorization, bool may_block, fr_principal *out, fr_err *err)
{
    return fr_auth_grpc(((fr_door_access *)user)->auth, db, authorization, may_block, out, err);
}

static void milvus_told(void *user, const fr_principal *principal, const char *action, const char *object, bool refused, const char *reason)
{
    fr_door_access_told(user, "milvus", principal, action, object, refused ? "refused" : "admitted", reason);
}

void fr_door_access_told(fr_door_access *self, const char *door, const fr_principal *principal, const char *action, const char *object,
                         const char *verdict, const char *reason)
{
    fr_audit *audit = atomic_load_explicit(&self->audit, memory_order_acquire); /* pairs with fr_door_access_open */
    if (!audit) return;
    fr_audit_put(audit, &(fr_audit_entry){principal, door, action, object, verdict, reason});
}

fr_code fr_door_access_init(fr_door_access *self, bool on, bool metrics_open, fr_err *err)
{
    FR_TRY(fr_auth_create(&self->auth, err));
    FR_TRY(fr_limits_create(&self->limits, err));
    self->http = (fr_http_access){.on = on, .metrics_open = metrics_open, .user = self, .who = http_who, .password = http_password,
                                  .key = http_key, .admit = http_admit, .sent = http_sent, .told = http_told};
    self->milvus = (fr_milvus_access){.on = on, .user = self, .who = milvus_who, .password = http_password, .admit = http_admit,
                                      .sent = http_sent, .told = milvus_told};
    return FR_OK;
}

/* The first line of the file. */
static fr_code password_file(const char *path, char text[FR_PASSWORD_BYTES_MAX + 2], fr_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, text, FR_PASSWORD_BYTES_MAX + 1);
    if (fd >= 0) close(fd);
    if (size < 0) return fr_fail(err, FR_ERR_IO, "root-password-file", "%.150s cannot be read", path);
    text[size] = 0;
    text[strcspn(text, "\r\n")] = 0;
    return FR_OK;
}

static fr_code root_make(fr_db *db, const char *path, fr_err *err)
{
    char text[FR_PASSWORD_BYTES_MAX + 2] = "";
    const char *given = getenv("FRESHET_ROOT_PASSWORD");
    fr_access root = {.kind = FR_ACCESS_USER, .must = FR_ACCESS_NEW, .name = FR_USER_ROOT, .superuser = true};
    fr_access there = root;
    if (fr_access_get(db, &there) == FR_OK) return FR_OK;
    if (path && *path) FR_TRY(password_file(path, text, err));
    else if (given && *given) snprintf(text, sizeof text, "%s", given);
    bool random = !(path && *path) && !(given && *given);
    if (random) FR_TRY(fr_auth_random_text(text, err));
    fr_code code = fr_auth_verifiers(fr_span_text(text), &root, err);
    if (code != FR_OK) return fr_fail(err, code, "root-password-file", "the password of user root %.100s", err->text);
    fr_write write = {.kind = FR_WRITE_ACCESS_PUT, .access = &root};
    FR_TRY(fr_submit_wait(db, &write, err));
    if (random) fprintf(stderr, "user root was made with the password %s : it is shown this once\n", text);
    memset(text, 0, sizeof text);
    return FR_OK;
}

fr_code fr_door_access_open(fr_door_access *self, fr_db *db, bool asked, const char *root_password_file, fr_err *err)
{
    fr_audit *audit = NULL;
    if (!asked) return FR_OK;
    FR_TRY(root_make(db, root_password_file, err));
    FR_TRY(fr_audit_open(db, &audit, err));
    atomic_store_explicit(&self->audit, audit, memory_order_release);
    return FR_OK;
}

void fr_door_access_free(fr_door_access *self)
{
    fr_audit_free(atomic_load(&self->audit));
    atomic_store(&self->audit, NULL);
    fr_limits_free(self->limits);
    fr_auth_free(self->auth);
    self->limits = NULL;
    self->auth = NULL;
}

void fr_door_access_metrics(fr_door_access *self, fr_out *out)
{
    fr_audit *audit = atomic_load_explicit(&self->audit, memory_order_acquire);
    fr_limits_metrics(self->limits, out);
    if (audit) fr_audit_metrics(audit, out);
}
