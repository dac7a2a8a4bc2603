/* milvus_privileges.c: grants: Milvus's privileges as reading, writing and administering, and back. */
#include "api/milvus/milvus_private.h"

#include <stdio.h>

enum { GRANT = 0, REVOKE = 1 };
#define EVERY "+" /* the privilege * in a grant's own word, which has no such character */

/* Exact names first, then how a name begins; what is not known is refused. */
static uint32_t actions_of(const char *privilege)
{
    static const struct {
        const char *name;
        uint32_t actions;
        bool whole;
    } known[] = {
        {"*", FR_ACTIONS_ALL, true},           {"All", FR_ACTIONS_ALL, true},
        {"CollectionReadOnly", FR_ACTION_READ, true},  {"CollectionReadWrite", FR_ACTION_READ | FR_ACTION_WRITE, true},
        {"CollectionAdmin", FR_ACTIONS_ALL, true},     {"DatabaseReadOnly", FR_ACTION_READ, true},
        {"DatabaseReadWrite", FR_ACTION_READ | FR_ACTION_WRITE, true}, {"DatabaseAdmin", FR_ACTIONS_ALL, true},
        {"ClusterReadOnly", FR_ACTION_READ, true},     {"ClusterReadWrite", FR_ACTION_READ | FR_ACTION_WRITE, true},
        {"ClusterAdmin", FR_ACTIONS_ALL, true},        {"Search", FR_ACTION_READ, true},
        {"Query", FR_ACTION_READ, true},       {"Insert", FR_ACTION_WRITE, true},
        {"Upsert", FR_ACTION_WRITE, true},     {"Delete", FR_ACTION_WRITE, true},
        {"Import", FR_ACTION_WRITE, true},     {"Load", FR_ACTION_WRITE, true},
        {"Release", FR_ACTION_WRITE, true},    {"LoadBalance", FR_ACTION_ADMIN, true},
        {"Flush", FR_ACTION_WRITE, true},      {"FlushAll", FR_ACTION_ADMIN, true},
        {"Compaction", FR_ACTION_WRITE, true}, {"IndexDetail", FR_ACTION_READ, true},
        {"SelectOwnership", FR_ACTION_READ, true}, {"SelectUser", FR_ACTION_ADMIN, true},
        {"ManageOwnership", FR_ACTION_ADMIN, true}, {"UpdateUser", FR_ACTION_ADMIN, true},
        {"Describe", FR_ACTION_READ, false},   {"Get", FR_ACTION_READ, false},
        {"Has", FR_ACTION_READ, false},        {"Show", FR_ACTION_READ, false},
        {"List", FR_ACTION_READ, false},       {"Create", FR_ACTION_ADMIN, false},
        {"Drop", FR_ACTION_ADMIN, false},      {"Rename", FR_ACTION_ADMIN, false},
        {"Alter", FR_ACTION_ADMIN, false},     {"Add", FR_ACTION_ADMIN, false},
        {"Truncate", FR_ACTION_ADMIN, false},  {"Transfer", FR_ACTION_ADMIN, false},
        {"Operate", FR_ACTION_ADMIN, false},   {"Update", FR_ACTION_ADMIN, false},
        {"Backup", FR_ACTION_ADMIN, false},    {"Restore", FR_ACTION_ADMIN, false},
    };
    for (size_t i = 0; i < FR_COUNT_OF(known); i++) {
        size_t size = strlen(known[i].name);
        if (known[i].whole ? strcmp(privilege, known[i].name) == 0 : strncmp(privilege, known[i].name, size) == 0) return known[i].actions;
    }
    return 0;
}

/* Which kind of object a grant without one means. */
static const char *object_of(const char *privilege)
{
    return strncmp(privilege, "Cluster", 7) == 0 ? "Global" : strncmp(privilege, "Database", 8) == 0 ? "Database" : "Collection";
}

static bool grant_in(fr_milvus_call *call, const char *role, const char *object, const char *database, const char *object_name,
                     const char *privilege, fr_access *out)
{
    static const char *const objects[] = {"Collection", "Global", "User", "Database", "Cluster", "*"};
    bool known = false;
    *out = (fr_access){.kind = FR_ACCESS_GRANT, .to_role = true, .actions = actions_of(privilege)};
    for (size_t i = 0; i < FR_COUNT_OF(objects); i++) known |= strcmp(object, objects[i]) == 0;
    if (!known) {
        fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "the object entity in the request is nil or invalid, object: %.80s: invalid parameter", object);
        return false;
    }
    if (!out->actions) {
        fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "not found the privilege name[%.80s]: invalid parameter", privilege);
        return false;
    }
    bool all = strcmp(database, "*") == 0 || strcmp(object, "Global") == 0 || strcmp(object, "User") == 0;
    if (strcmp(object, "Database") == 0) out->object = FR_OBJECT_DATABASE;
    else out->object = strcmp(object, "Collection") == 0 && !all ? FR_OBJECT_TOPIC : FR_OBJECT_ALL;
    if (all) out->object = FR_OBJECT_ALL;
    bool fits = strlen(role) < sizeof out->name && strlen(database) < sizeof out->database && strlen(object_name) < sizeof out->object_name &&
                strlen(privilege) + strlen(object) + 1 < sizeof out->door;
    if (!fits) {
        fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "a name of the grant is too long: invalid parameter");
        return false;
    }
    snprintf(out->name, sizeof out->name, "%s", role);
    if (strcmp(database, "default") != 0 && !all) snprintf(out->database, sizeof out->database, "%s", database);
    if (out->object == FR_OBJECT_TOPIC) snprintf(out->object_name, sizeof out->object_name, "%s", object_name[0] ? object_name : "*");
    snprintf(out->door, sizeof out->door, "%s.%s", object, strcmp(privilege, "*") == 0 ? EVERY : privilege);
    return true;
}

static fr_milvus_next operate(fr_milvus_call *call, const fr_access *grant, int32_t type)
{
    if (type != GRANT && type != REVOKE) return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "operation is not known: invalid parameter");
    call->write = (fr_write){.kind = type == GRANT ? FR_WRITE_ACCESS_PUT : FR_WRITE_ACCESS_DROP, .access = grant};
    fr_code code = fr_submit_wait(call->db, &call->write, &call->err);
    if (code == FR_ERR_NOT_FOUND && type == GRANT)
        return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER,
                              "not found the role, maybe the role isn't existed or internal system error: %s: invalid parameter", grant->name);
    if (code != FR_OK && code != FR_ERR_NOT_FOUND) return fr_milvus_fail_fr(call, code, &call->err, NULL, grant->name);
    return fr_milvus_done(call);
}

static const char *database_of(const fr_milvus_call *call, const char *given)
{
    return given && *given ? given : call->database[0] ? call->database : "default";
}

fr_milvus_next fr_milvus_on_privilege(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    const Milvus__OperatePrivilegeRequest *in = call->request;
    const Milvus__GrantEntity *entity = in->entity;
    fr_access *grant = fr_milvus_alloc(call, sizeof *grant);
    if (!grant || !entity || !entity->role || !entity->object || !entity->grantor || !entity->grantor->privilege)
        return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "the grant names no role, object or privilege: invalid parameter");
    if (!grant_in(call, entity->role->name, entity->object->name, database_of(call, entity->db_name), entity->object_name,
                  entity->grantor->privilege->name, grant))
        return FR_MILVUS_REPLY;
    return operate(call, grant, in->type);
}

fr_milvus_next fr_milvus_on_privilege_v2(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    const Milvus__OperatePrivilegeV2Request *in = call->request;
    fr_access *grant = fr_milvus_alloc(call, sizeof *grant);
    if (!grant || !in->role || !in->grantor || !in->grantor->privilege)
        return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "the grant names no role or privilege: invalid parameter");
    const char *privilege = in->grantor->privilege->name;
    if (!grant_in(call, in->role->name, object_of(privilege), database_of(call, in->db_name), in->collection_name, privilege, grant))
        return FR_MILVUS_REPLY;
    return operate(call, grant, in->type);
}

/* ---- telling ---- */

typedef struct telling {
    fr_milvus_call *call;
    Milvus__GrantEntity **items;
    size_t count, capacity;
    const char *object, *object_name;
    bool failed;
} telling;

/* A grant of another door has no word of Milvus's: it is told as a group of privileges. */
static void words_of(const fr_access *grant, char object[24], char privilege[80])
{
    static const char *const objects[FR_OBJECT_COUNT] = {[FR_OBJECT_TOPIC] = "Collection", [FR_OBJECT_DATABASE] = "Database"};
    const char *dot = strchr(grant->door, '.');
    if (dot) {
        snprintf(object, 24, "%.*s", (int)FR_MIN(dot - grant->door, (ptrdiff_t)23), grant->door);
        snprintf(privilege, 80, "%s", strcmp(dot + 1, EVERY) == 0 ? "*" : dot + 1);
        return;
    }
    const char *group = objects[grant->object] ? objects[grant->object] : "Cluster";
    const char *level = grant->actions & FR_ACTION_ADMIN ? "Admin" : grant->actions & FR_ACTION_WRITE ? "ReadWrite" : "ReadOnly";
    snprintf(object, 24, "%s", objects[grant->object] ? group : "Global");
    snprintf(privilege, 80, "%s%s", group, level);
}

static Milvus__GrantEntity *entity_out(fr_milvus_call *call, const fr_access *grant, const char *object, const char *privilege)
{
    Milvus__GrantEntity *out = fr_milvus_message(&call->arena, &milvus__grant_entity__descriptor);
    if (!out || !(out->role = fr_milvus_message(&call->arena, &milvus__role_entity__descriptor)) ||
        !(out->object = fr_milvus_message(&call->arena, &milvus__object_entity__descriptor)) ||
        !(out->grantor = fr_milvus_message(&call->arena, &milvus__grantor_entity__descriptor)) ||
        !(out->grantor->user = fr_milvus_message(&call->arena, &milvus__user_entity__descriptor)) ||
        !(out->grantor->privilege = fr_milvus_message(&call->arena, &milvus__privilege_entity__descriptor)))
        return NULL;
    out->role->name = fr_milvus_text(call, "%s", grant->name);
    out->object->name = fr_milvus_text(call, "%s", object);
    out->object_name = fr_milvus_text(call, "%s", grant->object_name[0] ? grant->object_name : "*");
    out->grantor->user->name = fr_milvus_mut(FR_USER_ROOT);
    out->grantor->privilege->name = fr_milvus_text(call, "%s", privilege);
    out->db_name = fr_milvus_text(call, "%s", grant->object == FR_OBJECT_ALL ? "*" : grant->database[0] ? grant->database : "default");
    bool fine = out->role->name && out->object->name && out->object_name && out->grantor->privilege->name && out->db_name;
    return fine ? out : NULL;
}

static void tell(void *user, const fr_access *grant)
{
    telling *self = user;
    char object[24], privilege[80];
    if (!grant->to_role) return;
    words_of(grant, object, privilege);
    if (self->object && *self->object && strcmp(self->object, object) != 0) return;
    if (self->object_name && *self->object_name && strcmp(self->object_name, "*") != 0 && strcmp(self->object_name, grant->object_name) != 0) return;
    Milvus__GrantEntity *entity = self->count < self->capacity ? entity_out(self->call, grant, object, privilege) : NULL;
    if (entity) self->items[self->count++] = entity;
    else self->failed = true;
}

fr_milvus_next fr_milvus_on_select_grant(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    const Milvus__SelectGrantRequest *in = call->request;
    const Milvus__GrantEntity *entity = in->entity;
    if (!entity || !entity->role || !entity->role->name[0])
        return fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "the role entity in the grant entity is nil: invalid parameter");
    telling self = {.call = call, .capacity = fr_access_list(call->db, FR_ACCESS_GRANT, NULL, NULL, NULL) + 16u,
                    .object = entity->object ? entity->object->name : NULL, .object_name = entity->object_name};
    self.items = fr_milvus_alloc(call, self.capacity * sizeof *self.items);
    Milvus__SelectGrantResponse *out = fr_milvus_message(&call->arena, call->rpc->reply);
    if (!self.items || !out) return fr_milvus_fail(call, MILVUS_MEMORY, "no memory for the answer");
    fr_access_list(call->db, FR_ACCESS_GRANT, entity->role->name, tell, &self);
    if (self.failed) return fr_milvus_fail(call, MILVUS_MEMORY, "no memory for the answer");
    out->entities = self.items, out->n_entities = self.count;
    call->reply = out;
    return fr_milvus_done(call);
}
