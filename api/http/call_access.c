/* call_access.c: the gate in front of every route (who asks, may he, how often), and the routes of users, roles, API keys, grants and
 * limits. What is decided is decided by fr_access_check; nothing here knows cryptography. */
#include "api/http/http_private.h"

#include <stdio.h>

/* ---- the gate ---- */

static fr_code refused(fr_http_call *call, fr_code code)
{
    if (code == FR_ERR_UNAUTHENTICATED) call->authenticate = "Basic realm=\"freshet\", charset=\"UTF-8\", Bearer realm=\"freshet\"";
    fr_http_fail(call, &call->err, code);
    return code;
}

static fr_code policy_check(fr_http_call *call, fr_http_who who, const fr_http_policy *policy)
{
    switch (who) {
    case FR_HTTP_WHO_NAMED:
        return fr_access_check(call->db, &call->principal, policy->action, FR_OBJECT_TOPIC, NULL, call->params[0], &call->err);
    case FR_HTTP_WHO_SCRAPE:
    case FR_HTTP_WHO_SERVER: return fr_access_check(call->db, &call->principal, policy->action, FR_OBJECT_ALL, NULL, NULL, &call->err);
    case FR_HTTP_WHO_USER:
    case FR_HTTP_WHO_OPEN: return FR_OK;
    }
    return FR_ERR_DENIED;
}

fr_code fr_http_admit(fr_http *door, fr_http_call *call, bool may_block)
{
    const fr_http_access *access = door->access;
    const fr_http_policy *policy = call->route->policy;
    fr_http_who who = policy->who;
    if (who == FR_HTTP_WHO_SCRAPE && access && access->metrics_open) who = FR_HTTP_WHO_OPEN;
    if (!access || !access->on) {
        call->principal.trusted = true;
        return FR_OK;
    }
    if (who == FR_HTTP_WHO_OPEN) return FR_OK;
    if (!call->db) { /* users are records: nobody is known before they are read */
        fr_http_refuse(call, 503, "starting", NULL, "the server is recovering; /readyz shows the progress");
        return FR_ERR_CLOSED;
    }
    fr_code code = access->who(access->user, call->db, call->authorization, may_block, &call->principal, &call->err);
    if (code == FR_ERR_BUSY && !may_block) return code;
    if (code == FR_OK) code = policy_check(call, who, policy);
    if (code != FR_OK) return refused(call, code);
    int64_t wait_ms = access->admit(access->user, call->db, &call->principal, call->body.text.size);
    if (wait_ms == 0) return FR_OK;
    call->retry_after_s = (int)((wait_ms + 999) / 1000);
    fr_fail(&call->err, FR_ERR_BUSY, NULL, "user '%s' is over a limit of its requests or bytes a second", call->principal.user);
    return refused(call, FR_ERR_BUSY);
}

fr_code fr_http_may(fr_http_call *call, fr_action action, const char *name)
{
    return fr_access_check(call->db, &call->principal, action, FR_OBJECT_TOPIC, NULL, name, &call->err);
}

bool fr_http_sees(const fr_http_call *call, const char *name)
{
    return fr_access_check(call->db, &call->principal, FR_ACTION_READ, FR_OBJECT_TOPIC, NULL, name, NULL) == FR_OK;
}

void fr_http_account(fr_http *door, fr_http_call *call)
{
    const fr_http_access *access = door->access;
    if (!access || !call->route || !call->db) return;
    if (access->on && call->gate == FR_HTTP_ADMITTED) access->sent(access->user, call->db, &call->principal, call->out.size);
    const fr_http_policy *policy = call->route->policy;
    bool refusal = access->on && (call->status == 401 || call->status == 403 || (call->status == 429 && call->gate != FR_HTTP_ADMITTED));
    bool act = policy->action == FR_ACTION_ADMIN && call->route->method[0] != 'G' && call->gate == FR_HTTP_ADMITTED;
    if (!access->on && !act) return;
    if (act && call->principal.trusted && policy->who != FR_HTTP_WHO_SERVER) act = false; /* nobody is asked: users and snapshots only */
    if (!refusal && !act) return;
    access->told(access->user, call->db, &call->principal, call->route->op, call->object ? call->object : call->params[0], call->status,
                 call->status >= 400 ? call->err.text : "");
}

/* ---- what the routes share ---- */

void fr_http_field_set(char *to, size_t room, const char *text) { snprintf(to, room, "%.*s", (int)room - 1, text ? text : ""); }

static void text_out(fr_out *out, const char *key, const char *text)
{
    fr_out_key(out, key);
    if (text) fr_out_cstring(out, text);
    else fr_out_null(out);
}

static void int_out(fr_out *out, const char *key, int64_t number)
{
    fr_out_key(out, key);
    fr_out_int(out, number);
}

static void words_out(fr_out *out, const char *key, const char *words)
{
    fr_out_key(out, key);
    fr_out_begin(out, '[');
    for (const char *at = words; *at;) {
        size_t size = strcspn(at, ",");
        fr_out_string(out, fr_span_of(at, size));
        at += size + (at[size] == ',');
    }
    fr_out_end(out, ']');
}

static void actions_out(fr_out *out, uint32_t actions)
{
    char words[24];
    snprintf(words, sizeof words, "%s%s%s", actions & FR_ACTION_READ ? "read," : "", actions & FR_ACTION_WRITE ? "write," : "",
             actions & FR_ACTION_ADMIN ? "admin" : "");
    words_out(out, "actions", words);
}

static const char *const object_names[FR_OBJECT_COUNT] = {"collection", "group", "transactional_id", "database", "everything"};

static void access_out(void *user, const fr_access *a)
{
    fr_out *out = user;
    fr_out_begin(out, '{');
    switch (a->kind) {
    case FR_ACCESS_USER:
        text_out(out, "user", a->name);
        fr_out_key(out, "superuser");
        fr_out_bool(out, a->superuser);
        words_out(out, "roles", a->roles);
        break;
    case FR_ACCESS_ROLE: text_out(out, "role", a->name); break;
    case FR_ACCESS_KEY:
        text_out(out, "key", a->name);
        text_out(out, "user", a->user);
        actions_out(out, a->actions);
        fr_out_key(out, "expires");
        if (a->expires_ms) fr_out_int(out, a->expires_ms);
        else fr_out_null(out);
        break;
    case FR_ACCESS_GRANT:
        text_out(out, a->to_role ? "role" : "user", a->name);
        actions_out(out, a->actions);
        text_out(out, "on", object_names[a->object]);
        text_out(out, "name", a->object == FR_OBJECT_DATABASE ? (a->database[0] ? a->database : "default") : a->object_name);
        if (a->door[0]) text_out(out, "door", a->door);
        break;
    case FR_ACCESS_LIMIT:
        text_out(out, "limit", a->name);
        text_out(out, "client", a->client[0] ? a->client : NULL);
        int_out(out, "requests", a->requests);
        int_out(out, "bytes_in", a->bytes_in);
        int_out(out, "bytes_out", a->bytes_out);
        break;
    default: break;
    }
    int_out(out, "created", a->created_ms);
    fr_out_end(out, '}');
}

static fr_access *access_new(fr_http_call *call, fr_access_kind kind, const char *name)
{
    fr_access *a = fr_arena_alloc(&call->arena, sizeof *a);
    if (!a) return NULL;
    memset(a, 0, sizeof *a);
    a->kind = kind;
    fr_http_field_set(a->name, sizeof a->name, name);
    call->scratch = a;
    return a;
}

static fr_http_next list(fr_http_call *call, fr_http_worker *worker, const char *key, fr_access_kind kind)
{
    if (worker->loop) return FR_HTTP_WORKER;
    fr_out_begin(&call->out, '{');
    fr_out_key(&call->out, key);
    fr_out_begin(&call->out, '[');
    fr_access_list(call->db, kind, NULL, access_out, &call->out);
    fr_out_end(&call->out, ']');
    fr_out_end(&call->out, '}');
    return fr_http_done(call, 200);
}

static fr_http_next show(fr_http_call *call, fr_access *a, const char *word)
{
    fr_code code = a ? fr_access_get(call->db, a) : FR_ERR_NO_MEMORY;
    if (code != FR_OK) {
        fr_fail(&call->err, code, word, "there is no %s \"%.100s\"", word, call->params[0]);
        return fr_http_fail(call, &call->err, code);
    }
    access_out(&call->out, a);
    return fr_http_done(call, 200);
}

static fr_http_next write_begin(fr_http_call *call, fr_write_kind kind, fr_access *a)
{
    if (!a) return fr_http_fail(call, &call->err, FR_ERR_NO_MEMORY);
    call->write = (fr_write){.kind = kind, .access = a};
    call->stage = 1;
    return fr_http_submit(call);
}

static fr_http_next write_failed(fr_http_call *call)
{
    call->err = call->write.err;
    return fr_http_fail(call, &call->write.err, call->write.code);
}

/* The record as it is now: what the write made of it. */
static fr_http_next put_end(fr_http_call *call, const char *word)
{
    return call->write.code != FR_OK ? write_failed(call) : show(call, call->scratch, word);
}

static fr_http_next drop(fr_http_call *call, fr_access_kind kind, const char *word)
{
    if (call->stage == 0) return write_begin(call, FR_WRITE_ACCESS_DROP, access_new(call, kind, call->params[0]));
    if (call->write.code != FR_OK) return write_failed(call);
    fr_out_begin(&call->out, '{');
    text_out(&call->out, word, call->params[0]);
    fr_out_key(&call->out, "dropped");
    fr_out_bool(&call->out, true);
    fr_out_end(&call->out, '}');
    return fr_http_done(call, 200);
}

/* ["read","write"] to bits; absent: `otherwise`. */
static fr_code actions_in(fr_http_call *call, uint32_t otherwise, uint32_t *actions_out)
{
    fr_doc names = fr_http_field(call->rest, "actions"), name;
    *actions_out = names.data ? 0 : otherwise;
    fr_doc_iter iter = fr_doc_begin(names);
    while (names.data && fr_doc_next(&iter, NULL, &name)) {
        static const char *const words[] = {"read", "write", "admin"};
        uint32_t bit = 0;
        for (uint32_t i = 0; i < 3 && fr_doc_type(name) == FR_DOC_STRING; i++)
            if (fr_span_equal(fr_doc_string(name), fr_span_text(words[i]))) bit = 1u << i;
        if (!bit) return fr_fail(&call->err, FR_ERR_INVALID, "actions", "must be of \"read\", \"write\", \"admin\"");
        *actions_out |= bit;
    }
    if (*actions_out == 0) return fr_fail(&call->err, FR_ERR_INVALID, "actions", "is missing: read, write, admin");
    return FR_OK;
}

static fr_code text_in(fr_http_call *call, const char *name, char *to, size_t room)
{
    const char *text = NULL;
    FR_TRY(fr_http_field_text(call, call->rest, name, room - 1, &text, &call->err));
    if (text) fr_http_field_set(to, room, text);
    return FR_OK;
}

/* ---- users ---- */

fr_http_next fr_http_on_user_list(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door;
    return list(call, worker, "users", FR_ACCESS_USER);
}

static fr_code roles_in(fr_http_call *call, fr_access *a)
{
    fr_doc names = fr_http_field(call->rest, "roles"), name;
    size_t used = 0;
    if (!names.data) return FR_OK;
    a->roles[0] = 0;
    fr_doc_iter iter = fr_doc_begin(names);
    while (fr_doc_next(&iter, NULL, &name)) {
        fr_span text = fr_doc_type(name) == FR_DOC_STRING ? fr_doc_string(name) : fr_span_of("", 0);
        if (text.size == 0 || memchr(text.data, ',', text.size) || memchr(text.data, 0, text.size) || used + text.size + 2 > sizeof a->roles)
            return fr_fail(&call->err, FR_ERR_INVALID, "roles", "must be names of roles, %u bytes together", FR_ROLES_BYTES_MAX);
        if (used) a->roles[used++] = ',';
        memcpy(a->roles + used, text.data, text.size);
        used += text.size;
        a->roles[used] = 0;
    }
    return FR_OK;
}

static fr_code user_in(fr_http *door, fr_http_call *call, fr_http_worker *worker, fr_access *a)
{
    FR_TRY(fr_http_body_in(call, worker));
    bool is_new = fr_access_get(call->db, a) != FR_OK;
    a->must = is_new ? FR_ACCESS_NEW : FR_ACCESS_OLD;
    a->superuser = fr_http_field_bool(call->rest, "superuser", a->superuser);
    FR_TRY(roles_in(call, a));
    fr_doc password = fr_http_field(call->rest, "password");
    if (!password.data) return is_new ? fr_fail(&call->err, FR_ERR_INVALID, "password", "is missing: a new user needs one") : FR_OK;
    if (!door->access) return fr_fail(&call->err, FR_ERR_UNSUPPORTED, "password", "this server cannot store passwords");
    return door->access->password(door->access->user, fr_doc_string(password), a, &call->err);
}

fr_http_next fr_http_on_user_put(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    if (call->stage == 1) return put_end(call, "user");
    if (worker->loop) return FR_HTTP_WORKER; /* making the verifiers takes milliseconds */
    fr_access *a = access_new(call, FR_ACCESS_USER, call->params[0]);
    if (!a) return fr_http_fail(call, &call->err, FR_ERR_NO_MEMORY);
    fr_code code = user_in(door, call, worker, a);
    if (code != FR_OK) return fr_http_fail(call, &call->err, code);
    return write_begin(call, FR_WRITE_ACCESS_PUT, a);
}

fr_http_next fr_http_on_user_get(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door, (void)worker;
    return show(call, access_new(call, FR_ACCESS_USER, call->params[0]), "user");
}

fr_http_next fr_http_on_user_drop(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door, (void)worker;
    return drop(call, FR_ACCESS_USER, "user");
}

/* ---- roles ---- */

fr_http_next fr_http_on_role_list(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door;
    return list(call, worker, "roles", FR_ACCESS_ROLE);
}

fr_http_next fr_http_on_role_put(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door, (void)worker;
    if (call->stage == 1) return put_end(call, "role");
    return write_begin(call, FR_WRITE_ACCESS_PUT, access_new(call, FR_ACCESS_ROLE, call->params[0]));
}

fr_http_next fr_http_on_role_get(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door, (void)worker;
    return show(call, access_new(call, FR_ACCESS_ROLE, call->params[0]), "role");
}

fr_http_next fr_http_on_role_drop(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door, (void)worker;
    return drop(call, FR_ACCESS_ROLE, "role");
}

/* ---- API keys ---- */

fr_http_next fr_http_on_key_list(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door;
    return list(call, worker, "keys", FR_ACCESS_KEY);
}

typedef struct new_key {
    fr_access access; /* first: call->scratch */
    char text[FR_HTTP_KEY_BYTES];
} new_key;

static fr_code expires_in(fr_http_call *call, fr_access *a)
{
    fr_doc value = fr_http_field(call->rest, "expires");
    if (!value.data) return FR_OK;
    if (fr_doc_type(value) == FR_DOC_INT) a->expires_ms = fr_doc_int(value);
    else if (!fr_time_parse(fr_doc_string(value), &a->expires_ms)) return fr_fail(&call->err, FR_ERR_INVALID, "expires", "must be milliseconds or RFC 3339");
    return a->expires_ms > 0 ? FR_OK : fr_fail(&call->err, FR_ERR_INVALID, "expires", "must be after 1970");
}

fr_http_next fr_http_on_key_make(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    if (call->stage == 1) {
        const new_key *key = call->scratch;
        if (call->write.code != FR_OK) return write_failed(call);
        fr_out_begin(&call->out, '{');
        text_out(&call->out, "key", key->access.name);
        text_out(&call->out, "user", key->access.user);
        text_out(&call->out, "secret", key->text);
        fr_out_end(&call->out, '}');
        return fr_http_done(call, 200);
    }
    new_key *key = fr_arena_alloc(&call->arena, sizeof *key);
    if (!key) return fr_http_fail(call, &call->err, FR_ERR_NO_MEMORY);
    memset(key, 0, sizeof *key);
    key->access.kind = FR_ACCESS_KEY;
    key->access.must = FR_ACCESS_NEW;
    call->scratch = key;
    fr_code code = fr_http_body_in(call, worker);
    if (code == FR_OK) code = text_in(call, "user", key->access.user, sizeof key->access.user);
    if (code == FR_OK) code = actions_in(call, FR_ACTIONS_ALL, &key->access.actions);
    if (code == FR_OK) code = expires_in(call, &key->access);
    if (code == FR_OK && !door->access) code = fr_fail(&call->err, FR_ERR_UNSUPPORTED, NULL, "this server cannot make keys");
    if (code == FR_OK) code = door->access->key(door->access->user, &key->access, key->text, &call->err);
    if (code != FR_OK) return fr_http_fail(call, &call->err, code);
    call->object = key->access.name;
    return write_begin(call, FR_WRITE_ACCESS_PUT, &key->access);
}

fr_http_next fr_http_on_key_get(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door, (void)worker;
    return show(call, access_new(call, FR_ACCESS_KEY, call->params[0]), "key");
}

fr_http_next fr_http_on_key_drop(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door, (void)worker;
    return drop(call, FR_ACCESS_KEY, "key");
}

/* ---- grants ---- */

fr_http_next fr_http_on_grant_list(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door;
    return list(call, worker, "grants", FR_ACCESS_GRANT);
}

static fr_code grant_in(fr_http_call *call, fr_http_worker *worker, fr_access *a, bool put)
{
    char user[FR_USER_BYTES_MAX + 1] = "", role[FR_USER_BYTES_MAX + 1] = "";
    FR_TRY(fr_http_body_in(call, worker));
    FR_TRY(text_in(call, "user", user, sizeof user));
    FR_TRY(text_in(call, "role", role, sizeof role));
    if (!user[0] == !role[0]) return fr_fail(&call->err, FR_ERR_INVALID, "user", "user or role is needed, not both");
    a->to_role = role[0] != 0;
    fr_http_field_set(a->name, sizeof a->name, role[0] ? role : user);
    for (int i = 0; i < FR_OBJECT_COUNT; i++)
        if (fr_http_field_is(call->rest, "on", object_names[i])) a->object = (fr_object)i;
    if (a->object == FR_OBJECT_DATABASE) {
        FR_TRY(text_in(call, "name", a->database, sizeof a->database));
        if (strcmp(a->database, "default") == 0) a->database[0] = 0;
    } else {
        FR_TRY(text_in(call, "name", a->object_name, sizeof a->object_name));
    }
    call->object = fr_arena_copy(&call->arena, a->name, strlen(a->name) + 1);
    return put ? actions_in(call, 0, &a->actions) : FR_OK;
}

static fr_http_next grant_begin(fr_http_call *call, fr_http_worker *worker, bool put)
{
    fr_access *a = access_new(call, FR_ACCESS_GRANT, NULL);
    fr_code code = a ? grant_in(call, worker, a, put) : FR_ERR_NO_MEMORY;
    if (code != FR_OK) return fr_http_fail(call, &call->err, code);
    return write_begin(call, put ? FR_WRITE_ACCESS_PUT : FR_WRITE_ACCESS_DROP, a);
}

fr_http_next fr_http_on_grant_put(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door;
    return call->stage == 0 ? grant_begin(call, worker, true) : put_end(call, "grant");
}

fr_http_next fr_http_on_grant_drop(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door;
    if (call->stage == 0) return grant_begin(call, worker, false);
    if (call->write.code != FR_OK) return write_failed(call);
    fr_out_text(&call->out, "{\"revoked\":true}");
    return fr_http_done(call, 200);
}

/* ---- limits ---- */

fr_http_next fr_http_on_limit_list(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door;
    return list(call, worker, "limits", FR_ACCESS_LIMIT);
}

fr_http_next fr_http_on_limit_put(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door;
    if (call->stage == 1) return put_end(call, "limit");
    fr_access *a = access_new(call, FR_ACCESS_LIMIT, call->params[0]);
    fr_code code = a ? fr_http_body_in(call, worker) : FR_ERR_NO_MEMORY;
    if (code == FR_OK) code = text_in(call, "client", a->client, sizeof a->client);
    if (code != FR_OK) return fr_http_fail(call, &call->err, code);
    a->requests = fr_http_field_int(call->rest, "requests", 0);
    a->bytes_in = fr_http_field_int(call->rest, "bytes_in", 0);
    a->bytes_out = fr_http_field_int(call->rest, "bytes_out", 0);
    return write_begin(call, FR_WRITE_ACCESS_PUT, a);
}

/* The limit that a path and a query string name. */
static fr_access *limit_named(fr_http_call *call, fr_code *code_out)
{
    fr_access *a = access_new(call, FR_ACCESS_LIMIT, call->params[0]);
    *code_out = a ? fr_http_query_in(call, fr_in_client, 1, &call->rest, &call->err) : FR_ERR_NO_MEMORY;
    if (*code_out == FR_OK) *code_out = text_in(call, "client", a->client, sizeof a->client);
    return a;
}

fr_http_next fr_http_on_limit_get(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door, (void)worker;
    fr_code code;
    fr_access *a = limit_named(call, &code);
    return code != FR_OK ? fr_http_fail(call, &call->err, code) : show(call, a, "limit");
}

fr_http_next fr_http_on_limit_drop(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    (void)door, (void)worker;
    if (call->stage == 1) return drop(call, FR_ACCESS_LIMIT, "limit");
    fr_code code;
    fr_access *a = limit_named(call, &code);
    return code != FR_OK ? fr_http_fail(call, &call->err, code) : write_begin(call, FR_WRITE_ACCESS_DROP, a);
}
