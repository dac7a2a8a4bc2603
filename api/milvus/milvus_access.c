/* milvus_access.c: who asks and whether he may; users, roles and grants, which are records of the engine's catalog for all doors.
 *
 * A privilege of Milvus is a grant of reading, writing or administering (milvus_privileges.c has the table); its own word is kept with
 * the grant and told back. */
#include "api/milvus/milvus_private.h"

#include <sched.h>
#include <stdio.h>

#define TRIES_MAX 200

/* ---- the check ---- */

static const char *asked_collection(const fr_milvus_call *call)
{
    static const char *const names[] = {"collection_name", "collectionName", "oldName"};
    for (size_t i = 0; i < FR_COUNT_OF(names); i++) {
        const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field_by_name(call->rpc->request, names[i]);
        if (field && field->type == PROTOBUF_C_TYPE_STRING) return *(char *const *)((const uint8_t *)call->request + field->offset);
    }
    return "";
}

/* Who names no collection may give its number; the check is for what it stands for. false: it is of none. */
static bool asked_by_number(fr_milvus_call *call, const char **database, const char **name)
{
    const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field_by_name(call->rpc->request, "collectionID");
    if (!field || field->type != PROTOBUF_C_TYPE_INT64) return false;
    int64_t number = *(const int64_t *)((const uint8_t *)call->request + field->offset);
    fr_collection_info *info = number > 0 ? fr_milvus_alloc(call, sizeof *info) : NULL;
    if (!info || fr_collection_get(call->db, (fr_id)number, info) != FR_OK) return false;
    *database = info->def.database, *name = info->def.name;
    return true;
}

static fr_milvus_next turn_away(const fr_milvus_access *access, fr_milvus_call *call, const char *object, fr_grpc_status status)
{
    if (access && access->told) access->told(access->user, &call->principal, call->rpc->name, object, true, call->err.text);
    fr_milvus_refuse(call, status, call->err.text);
    return FR_MILVUS_REPLY;
}

fr_milvus_next fr_milvus_admit(fr_milvus *door, fr_milvus_call *call, const fr_milvus_worker *worker)
{
    const fr_milvus_access *access = door->access;
    if (!access || !access->on) {
        call->principal.trusted = call->known = true;
        return FR_MILVUS_SUBMITTED;
    }
    fr_code code = access->who(access->user, call->db, fr_span_text(call->authorization), !worker->loop, &call->principal, &call->err);
    if (code == FR_ERR_BUSY && worker->loop) return call->rpc->where == FR_MILVUS_REPLY ? FR_MILVUS_WORKER : call->rpc->where;
    if (code != FR_OK) return turn_away(access, call, "", FR_GRPC_UNAUTHENTICATED);
    if (access->admit && !call->admitted) {
        int64_t wait_ms = access->admit(access->user, call->db, &call->principal, call->message.size);
        if (wait_ms > 0) {
            fr_fail(&call->err, FR_ERR_BUSY, NULL, "over the limits of user '%s': come back in %lld ms", call->principal.user, (long long)wait_ms);
            return turn_away(access, call, "", FR_GRPC_RESOURCE_EXHAUSTED);
        }
    }
    call->known = call->admitted = true;
    if (!call->rpc->action) return FR_MILVUS_SUBMITTED;
    const char *name = call->rpc->object == FR_OBJECT_TOPIC ? asked_collection(call) : NULL, *database = fr_milvus_database(call);
    if (name && !*name) (void)asked_by_number(call, &database, &name);
    code = fr_access_check(call->db, &call->principal, call->rpc->action, call->rpc->object, database, name, &call->err);
    if (code != FR_OK) return turn_away(access, call, name ? name : "", FR_GRPC_PERMISSION_DENIED);
    if (call->rpc->action == FR_ACTION_ADMIN && access->told)
        access->told(access->user, &call->principal, call->rpc->name, name ? name : "", false, "");
    return FR_MILVUS_SUBMITTED;
}

bool fr_milvus_may(fr_milvus *door, fr_milvus_call *call, fr_action action, const char *name)
{
    fr_code code = fr_access_check(call->db, &call->principal, action, name ? FR_OBJECT_TOPIC : FR_OBJECT_ALL, name ? fr_milvus_database(call) : NULL,
                                   name, &call->err);
    if (code == FR_OK) return true;
    (void)turn_away(door->access, call, name ? name : "", FR_GRPC_PERMISSION_DENIED); /* with nobody to ask, everything is allowed */
    return false;
}

bool fr_milvus_sees(const fr_milvus_call *call, const char *database, const char *name)
{
    return fr_access_check(call->db, &call->principal, FR_ACTION_READ, FR_OBJECT_TOPIC, database, name, NULL) == FR_OK;
}

void fr_milvus_acted(fr_milvus *door, fr_milvus_call *call, const char *object)
{
    const fr_milvus_access *access = door->access;
    if (access && access->on && access->told) access->told(access->user, &call->principal, call->rpc->name, object, false, "");
}

void fr_milvus_account(const fr_milvus *door, const fr_milvus_call *call, size_t bytes_out)
{
    const fr_milvus_access *access = door->access;
    if (access && access->on && access->sent && call->known) access->sent(access->user, call->db, &call->principal, bytes_out);
}

/* ---- users ---- */

static bool name_in(fr_milvus_call *call, fr_milvus_named what, const char *name, fr_access *out)
{
    if (!fr_milvus_name_ok(call, what, name)) return false;
    snprintf(out->name, sizeof out->name, "%s", name);
    return true;
}

static fr_code put(fr_milvus_call *call, const fr_access *access)
{
    call->write = (fr_write){.kind = FR_WRITE_ACCESS_PUT, .access = access};
    return fr_submit_wait(call->db, &call->write, &call->err);
}

static fr_code drop(fr_milvus_call *call, const fr_access *access)
{
    call->write = (fr_write){.kind = FR_WRITE_ACCESS_DROP, .access = access};
    return fr_submit_wait(call->db, &call->write, &call->err);
}

/* Passwords come as base64. */
static bool password_in(fr_milvus *door, fr_milvus_call *call, const char *text, fr_access *user)
{
    uint8_t password[512];
    int64_t size = fr_base64_decode(fr_span_text(text), password, sizeof password);
    if (!door->access) {
        fr_milvus_fail(call, MILVUS_UNSUPPORTED, "this server keeps no users");
        return false;
    }
    bool fits = size >= 0 && size <= (int64_t)sizeof password;
    fr_code code = !fits ? fr_fail(&call->err, FR_ERR_INVALID, "password", "is no base64, or too long")
                         : door->access->password(door->access->user, fr_span_of(password, (size_t)size), user, &call->err);
    explicit_bzero(password, sizeof password);
    if (code == FR_ERR_INVALID) fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "invalid password: it %s: invalid parameter", call->err.text);
    else if (code != FR_OK) fr_milvus_fail_fr(call, code, &call->err, NULL, user->name);
    return code == FR_OK;
}

fr_milvus_next fr_milvus_on_create_user(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)worker;
    const Milvus__CreateCredentialRequest *in = call->request;
    fr_access *user = fr_milvus_alloc(call, sizeof *user);
    if (!user) return fr_milvus_fail(call, MILVUS_MEMORY, "no memory");
    *user = (fr_access){.kind = FR_ACCESS_USER, .must = FR_ACCESS_NEW};
    if (!name_in(call, MILVUS_NAMED_USER, in->username, user) || !password_in(door, call, in->password, user)) return FR_MILVUS_REPLY;
    fr_code code = put(call, user);
    if (code == FR_ERR_EXISTS) return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "user already exists: %s: invalid parameter", user->name);
    if (code != FR_OK) return fr_milvus_fail_fr(call, code, &call->err, NULL, user->name);
    return fr_milvus_done(call);
}

/* Whoever knows the old password; or an admin. */
static bool may_update(fr_milvus *door, fr_milvus_call *call, const Milvus__UpdateCredentialRequest *in)
{
    uint8_t joined[640];
    char text[1024];
    fr_principal who = {0};
    if (call->principal.trusted && !in->oldpassword[0]) return true;
    int size = snprintf((char *)joined, sizeof joined, "%.64s:", in->username);
    int64_t more = fr_base64_decode(fr_span_text(in->oldpassword), joined + size, 512);
    bool fine = more >= 0 && more <= 512 && door->access;
    if (fine) {
        (void)fr_base64_encode(fr_span_of(joined, (size_t)size + (size_t)more), text);
        fine = door->access->who(door->access->user, call->db, fr_span_text(text), true, &who, &call->err) == FR_OK;
    }
    explicit_bzero(joined, sizeof joined);
    explicit_bzero(text, sizeof text);
    if (fine) return true;
    if (!call->principal.trusted) return fr_milvus_may(door, call, FR_ACTION_ADMIN, NULL);
    fr_milvus_fail(call, MILVUS_NOT_AUTHENTICATED, "old password not correct for %s: not authenticated", in->username);
    return false;
}

fr_milvus_next fr_milvus_on_update_user(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)worker;
    const Milvus__UpdateCredentialRequest *in = call->request;
    fr_access *user = fr_milvus_alloc(call, sizeof *user);
    if (!user) return fr_milvus_fail(call, MILVUS_MEMORY, "no memory");
    fr_code code = FR_ERR_BUSY;
    if (!may_update(door, call, in)) return FR_MILVUS_REPLY;
    for (int i = 0; i < TRIES_MAX && code == FR_ERR_BUSY; i++) {
        *user = (fr_access){.kind = FR_ACCESS_USER};
        if (!name_in(call, MILVUS_NAMED_USER, in->username, user)) return FR_MILVUS_REPLY;
        if (fr_access_get(call->db, user) != FR_OK)
            return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "user not found: %s: invalid parameter", in->username);
        if (!password_in(door, call, in->newpassword, user)) return FR_MILVUS_REPLY;
        user->must = FR_ACCESS_OLD;
        code = put(call, user);
    }
    if (code != FR_OK) return fr_milvus_fail_fr(call, code, &call->err, NULL, user->name);
    fr_milvus_acted(door, call, user->name);
    return fr_milvus_done(call);
}

fr_milvus_next fr_milvus_on_drop_user(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    const Milvus__DeleteCredentialRequest *in = call->request;
    fr_access *user = fr_milvus_alloc(call, sizeof *user);
    if (!user) return fr_milvus_fail(call, MILVUS_MEMORY, "no memory");
    user->kind = FR_ACCESS_USER;
    if (!name_in(call, MILVUS_NAMED_USER, in->username, user)) return FR_MILVUS_REPLY;
    if (strcmp(in->username, FR_USER_ROOT) == 0) return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "root user cannot be deleted: invalid parameter");
    fr_code code = drop(call, user);
    if (code != FR_OK && code != FR_ERR_NOT_FOUND) return fr_milvus_fail_fr(call, code, &call->err, NULL, user->name);
    return fr_milvus_done(call);
}

/* ---- names of users and roles ---- */

typedef struct names {
    fr_milvus_call *call;
    char **items;
    char (*roles)[FR_ROLES_BYTES_MAX + 1]; /* of users, when wanted */
    size_t count, capacity;
} names;

static bool names_room(fr_milvus_call *call, names *self, fr_access_kind kind, bool roles)
{
    self->call = call;
    self->capacity = fr_access_list(call->db, kind, NULL, NULL, NULL) + 16u;
    self->items = fr_milvus_alloc(call, self->capacity * sizeof *self->items);
    self->roles = roles ? fr_milvus_alloc(call, self->capacity * sizeof *self->roles) : NULL;
    return self->items && (!roles || self->roles);
}

static void name_add(names *self, const char *name, const char *roles)
{
    for (size_t i = 0; i < self->count; i++)
        if (strcmp(self->items[i], name) == 0) return;
    if (self->count == self->capacity || !(self->items[self->count] = fr_milvus_text(self->call, "%s", name))) return;
    if (self->roles) snprintf(self->roles[self->count], sizeof *self->roles, "%s", roles);
    self->count++;
}

static void name_each(void *user, const fr_access *access) { name_add(user, access->name, access->roles); }

/* root and the built-in roles are there, written down or not. */
static bool names_list(fr_milvus_call *call, names *self, fr_access_kind kind, bool roles)
{
    if (!names_room(call, self, kind, roles)) {
        fr_milvus_fail(call, MILVUS_MEMORY, "no memory for the answer");
        return false;
    }
    fr_access_list(call->db, kind, NULL, name_each, self);
    if (kind == FR_ACCESS_USER) name_add(self, FR_USER_ROOT, FR_ROLE_ADMIN);
    if (kind == FR_ACCESS_ROLE) name_add(self, FR_ROLE_ADMIN, ""), name_add(self, FR_ROLE_PUBLIC, "");
    return true;
}

fr_milvus_next fr_milvus_on_list_users(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    names found = {0};
    if (!names_list(call, &found, FR_ACCESS_USER, false)) return FR_MILVUS_REPLY;
    Milvus__ListCredUsersResponse *out = call->reply = fr_milvus_message(&call->arena, call->rpc->reply);
    if (out) out->usernames = found.items, out->n_usernames = found.count;
    return fr_milvus_done(call);
}

/* ---- roles ---- */

fr_milvus_next fr_milvus_on_create_role(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    const Milvus__CreateRoleRequest *in = call->request;
    fr_access *role = fr_milvus_alloc(call, sizeof *role);
    if (!role) return fr_milvus_fail(call, MILVUS_MEMORY, "no memory");
    *role = (fr_access){.kind = FR_ACCESS_ROLE, .must = FR_ACCESS_NEW};
    if (!name_in(call, MILVUS_NAMED_ROLE, in->entity ? in->entity->name : "", role)) return FR_MILVUS_REPLY;
    fr_code code = put(call, role);
    if (code == FR_ERR_EXISTS || strcmp(role->name, FR_ROLE_ADMIN) == 0 || strcmp(role->name, FR_ROLE_PUBLIC) == 0)
        return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "role [name:\"%s\"] already exists: invalid parameter", role->name);
    if (code != FR_OK) return fr_milvus_fail_fr(call, code, &call->err, NULL, role->name);
    return fr_milvus_done(call);
}

static void grant_drop(void *user, const fr_access *grant)
{
    names *self = user; /* grants as bytes: each() must not call the database */
    if (!grant->to_role || self->count == self->capacity) return;
    fr_access *copy = fr_arena_copy(&self->call->arena, grant, sizeof *grant);
    if (copy) self->items[self->count++] = (char *)copy;
}

fr_milvus_next fr_milvus_on_drop_role(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    const Milvus__DropRoleRequest *in = call->request;
    fr_access *role = fr_milvus_alloc(call, sizeof *role);
    names grants = {0};
    if (!role || !names_room(call, &grants, FR_ACCESS_GRANT, false)) return fr_milvus_fail(call, MILVUS_MEMORY, "no memory");
    role->kind = FR_ACCESS_ROLE;
    if (!name_in(call, MILVUS_NAMED_ROLE, in->role_name, role)) return FR_MILVUS_REPLY;
    if (strcmp(role->name, FR_ROLE_ADMIN) == 0 || strcmp(role->name, FR_ROLE_PUBLIC) == 0)
        return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "the role[%s] is a default role, which can't be dropped: invalid parameter", role->name);
    fr_access_list(call->db, FR_ACCESS_GRANT, role->name, grant_drop, &grants);
    if (grants.count && !in->force_drop)
        return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER,
                              "fail to drop the role that it has privileges. Use REVOKE API to revoke privileges: invalid parameter");
    for (size_t i = 0; i < grants.count; i++) {
        fr_code code = drop(call, (const fr_access *)(void *)grants.items[i]);
        if (code != FR_OK && code != FR_ERR_NOT_FOUND) return fr_milvus_fail_fr(call, code, &call->err, NULL, role->name);
    }
    fr_code code = drop(call, role);
    if (code == FR_ERR_NOT_FOUND)
        return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER,
                              "not found the role, maybe the role isn't existed or internal system error: %s: invalid parameter", role->name);
    if (code != FR_OK) return fr_milvus_fail_fr(call, code, &call->err, NULL, role->name);
    return fr_milvus_done(call);
}

/* Whether a list "a,b" has a name; where it begins. */
static char *in_list(char *list, const char *name)
{
    size_t size = strlen(name);
    for (char *at = list; *at;) {
        size_t length = strcspn(at, ",");
        if (length == size && memcmp(at, name, size) == 0) return at;
        at += length + (at[length] == ',');
    }
    return NULL;
}

static bool list_change(char *list, size_t capacity, const char *name, bool add)
{
    char *at = in_list(list, name);
    size_t used = strlen(list), size = strlen(name);
    if (add) {
        if (at) return true;
        if (used + size + 2 > capacity) return false;
        snprintf(list + used, capacity - used, "%s%s", used ? "," : "", name);
        return true;
    }
    if (!at) return true;
    char *next = at + size + (at[size] == ',');
    memmove(at, next, strlen(next) + 1);
    used = strlen(list);
    if (used && list[used - 1] == ',') list[used - 1] = 0;
    return true;
}

static bool role_there(fr_milvus_call *call, const char *name)
{
    fr_access *role = fr_milvus_alloc(call, sizeof *role);
    if (strcmp(name, FR_ROLE_ADMIN) == 0 || strcmp(name, FR_ROLE_PUBLIC) == 0) return true;
    if (role) role->kind = FR_ACCESS_ROLE, snprintf(role->name, sizeof role->name, "%.64s", name);
    if (role && strlen(name) <= FR_USER_BYTES_MAX && fr_access_get(call->db, role) == FR_OK) return true;
    fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "not found the role, maybe the role isn't existed or internal system error: %.80s: invalid parameter", name);
    return false;
}

fr_milvus_next fr_milvus_on_user_role(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    enum { ADD = 0, REMOVE = 1 };
    const Milvus__OperateUserRoleRequest *in = call->request;
    fr_access *user = fr_milvus_alloc(call, sizeof *user);
    fr_code code = FR_ERR_BUSY;
    if (!user) return fr_milvus_fail(call, MILVUS_MEMORY, "no memory");
    if (in->type != ADD && in->type != REMOVE) return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "operation is not known: invalid parameter");
    if (!role_there(call, in->role_name)) return FR_MILVUS_REPLY;
    for (int i = 0; i < TRIES_MAX && code == FR_ERR_BUSY; i++) {
        if (i) sched_yield();
        *user = (fr_access){.kind = FR_ACCESS_USER};
        if (!name_in(call, MILVUS_NAMED_USER, in->username, user)) return FR_MILVUS_REPLY;
        if (fr_access_get(call->db, user) != FR_OK)
            return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER,
                                  "not found the user, maybe the user isn't existed or internal system error: %s: invalid parameter", in->username);
        if (!list_change(user->roles, sizeof user->roles, in->role_name, in->type == ADD))
            return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER,
                                  "the roles of %s take more than %u characters: invalid parameter", user->name, FR_ROLES_BYTES_MAX);
        user->must = FR_ACCESS_OLD;
        code = put(call, user);
    }
    if (code != FR_OK) return fr_milvus_fail_fr(call, code, &call->err, NULL, user->name);
    return fr_milvus_done(call);
}

static Milvus__UserEntity *user_entity(fr_milvus_call *call, char *name)
{
    Milvus__UserEntity *out = fr_milvus_message(&call->arena, &milvus__user_entity__descriptor);
    if (out) out->name = name;
    return out;
}

static Milvus__RoleEntity *role_entity(fr_milvus_call *call, char *name)
{
    Milvus__RoleEntity *out = fr_milvus_message(&call->arena, &milvus__role_entity__descriptor);
    if (out) out->name = name;
    return out;
}

static Milvus__RoleResult *role_result(fr_milvus_call *call, char *role, const names *users)
{
    Milvus__RoleResult *out = fr_milvus_message(&call->arena, &milvus__role_result__descriptor);
    if (!out || !(out->role = role_entity(call, role))) return NULL;
    out->users = users ? fr_milvus_alloc(call, users->count * sizeof *out->users) : NULL;
    for (size_t i = 0; out->users && i < users->count; i++) {
        if (!in_list(users->roles[i], role)) continue;
        if (!(out->users[out->n_users] = user_entity(call, users->items[i]))) return NULL;
        out->n_users++;
    }
    return out;
}

fr_milvus_next fr_milvus_on_select_role(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    const Milvus__SelectRoleRequest *in = call->request;
    names roles = {0}, users = {0};
    if (!names_list(call, &roles, FR_ACCESS_ROLE, false) || !names_list(call, &users, FR_ACCESS_USER, true)) return FR_MILVUS_REPLY;
    if (in->role && in->role->name[0] && !role_there(call, in->role->name)) return FR_MILVUS_REPLY;
    Milvus__SelectRoleResponse *out = fr_milvus_message(&call->arena, call->rpc->reply);
    if (!out || !(out->results = fr_milvus_alloc(call, roles.count * sizeof *out->results))) return fr_milvus_fail(call, MILVUS_MEMORY, "no memory");
    for (size_t i = 0; i < roles.count; i++) {
        if (in->role && in->role->name[0] && strcmp(in->role->name, roles.items[i]) != 0) continue;
        if (!(out->results[out->n_results] = role_result(call, roles.items[i], in->include_user_info ? &users : NULL))) break;
        out->n_results++;
    }
    call->reply = out;
    return fr_milvus_done(call);
}

static Milvus__UserResult *user_result(fr_milvus_call *call, char *user, char *list)
{
    Milvus__UserResult *out = fr_milvus_message(&call->arena, &milvus__user_result__descriptor);
    if (!out || !(out->user = user_entity(call, user))) return NULL;
    if (!list || !(out->roles = fr_milvus_alloc(call, (strlen(list) / 2 + 1) * sizeof *out->roles))) return out;
    for (char *at = list; *at;) {
        size_t size = strcspn(at, ",");
        char *name = fr_milvus_text(call, "%.*s", (int)size, at);
        if (!name || !(out->roles[out->n_roles] = role_entity(call, name))) return NULL;
        out->n_roles++;
        at += size + (at[size] == ',');
    }
    return out;
}

fr_milvus_next fr_milvus_on_select_user(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)worker;
    const Milvus__SelectUserRequest *in = call->request;
    const char *wanted = in->user ? in->user->name : "";
    names users = {0};
    if (!(*wanted && strcmp(wanted, call->principal.user) == 0) && !fr_milvus_may(door, call, FR_ACTION_ADMIN, NULL))
        return FR_MILVUS_REPLY;
    if (!names_list(call, &users, FR_ACCESS_USER, true)) return FR_MILVUS_REPLY;
    Milvus__SelectUserResponse *out = fr_milvus_message(&call->arena, call->rpc->reply);
    if (!out || !(out->results = fr_milvus_alloc(call, users.count * sizeof *out->results))) return fr_milvus_fail(call, MILVUS_MEMORY, "no memory");
    for (size_t i = 0; i < users.count; i++) {
        if (*wanted && strcmp(wanted, users.items[i]) != 0) continue;
        if (!(out->results[out->n_results] = user_result(call, users.items[i], in->include_role_info ? users.roles[i] : NULL))) break;
        out->n_results++;
    }
    call->reply = out;
    return fr_milvus_done(call);
}
