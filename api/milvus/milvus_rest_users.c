/* milvus_rest_users.c: REST's users and roles. */
#include "api/milvus/milvus_rest_private.h"

static char *encoded(fr_milvus_rest *rest, const char *key)
{
    const char *text = fr_milvus_rest_text(rest, rest->root, key);
    size_t size = strlen(text);
    char *out = fr_arena_alloc(&rest->call.arena, 4 * ((size + 2) / 3) + 1);
    if (out) (void)fr_base64_encode(fr_span_of((const uint8_t *)text, size), out);
    return out ? out : fr_milvus_mut("");
}

fr_milvus_next fr_milvus_rest_on_users(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_RUN("ListCredUsers", fr_milvus_rest_request(rest, "ListCredUsers"));
    const Milvus__ListCredUsersResponse *reply = rest->call.reply;
    return fr_milvus_rest_list_out(rest, reply->usernames, reply->n_usernames);
}

fr_milvus_next fr_milvus_rest_on_user_describe(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_REQUEST(in, Milvus__SelectUserRequest, "SelectUser");
    if (!(in->user = fr_milvus_message(&rest->call.arena, &milvus__user_entity__descriptor)))
        return fr_milvus_rest_fail(rest, MILVUS_MEMORY, "no memory for the request");
    in->user->name = fr_milvus_rest_text(rest, rest->root, "userName");
    in->include_role_info = true;
    FR_MILVUS_REST_RUN("SelectUser", in);
    const Milvus__SelectUserResponse *reply = rest->call.reply;
    fr_milvus_rest_begin(rest);
    fr_out_begin(&rest->out, '[');
    for (size_t i = 0; reply->n_results && i < reply->results[0]->n_roles; i++) fr_out_cstring(&rest->out, reply->results[0]->roles[i]->name);
    fr_out_end(&rest->out, ']');
    return fr_milvus_rest_end(rest);
}

fr_milvus_next fr_milvus_rest_on_user_create(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_REQUEST(in, Milvus__CreateCredentialRequest, "CreateCredential");
    in->username = fr_milvus_rest_text(rest, rest->root, "userName");
    in->password = encoded(rest, "password");
    FR_MILVUS_REST_RUN("CreateCredential", in);
    return fr_milvus_rest_empty(rest);
}

fr_milvus_next fr_milvus_rest_on_user_update(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_REQUEST(in, Milvus__UpdateCredentialRequest, "UpdateCredential");
    in->username = fr_milvus_rest_text(rest, rest->root, "userName");
    in->oldpassword = encoded(rest, "password");
    in->newpassword = encoded(rest, "newPassword");
    FR_MILVUS_REST_RUN("UpdateCredential", in);
    return fr_milvus_rest_empty(rest);
}

fr_milvus_next fr_milvus_rest_on_user_drop(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_REQUEST(in, Milvus__DeleteCredentialRequest, "DeleteCredential");
    in->username = fr_milvus_rest_text(rest, rest->root, "userName");
    FR_MILVUS_REST_RUN("DeleteCredential", in);
    return fr_milvus_rest_empty(rest);
}

static bool path_ends(const fr_milvus_rest *rest, const char *text) { return strstr(rest->route->path, text) != NULL; }

fr_milvus_next fr_milvus_rest_on_user_role(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_REQUEST(in, Milvus__OperateUserRoleRequest, "OperateUserRole");
    in->username = fr_milvus_rest_text(rest, rest->root, "userName");
    in->role_name = fr_milvus_rest_text(rest, rest->root, "roleName");
    in->type = path_ends(rest, "revoke") ? 1 : 0;
    FR_MILVUS_REST_RUN("OperateUserRole", in);
    return fr_milvus_rest_empty(rest);
}

fr_milvus_next fr_milvus_rest_on_roles(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_RUN("SelectRole", fr_milvus_rest_request(rest, "SelectRole"));
    const Milvus__SelectRoleResponse *reply = rest->call.reply;
    fr_milvus_rest_begin(rest);
    fr_out_begin(&rest->out, '[');
    for (size_t i = 0; i < reply->n_results; i++) fr_out_cstring(&rest->out, reply->results[i]->role->name);
    fr_out_end(&rest->out, ']');
    return fr_milvus_rest_end(rest);
}

static Milvus__RoleEntity *role_named(fr_milvus_rest *rest)
{
    Milvus__RoleEntity *role = fr_milvus_message(&rest->call.arena, &milvus__role_entity__descriptor);
    if (role) role->name = fr_milvus_rest_text(rest, rest->root, "roleName");
    return role;
}

fr_milvus_next fr_milvus_rest_on_role_describe(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_REQUEST(in, Milvus__SelectGrantRequest, "SelectGrant");
    if (!(in->entity = fr_milvus_message(&rest->call.arena, &milvus__grant_entity__descriptor)) || !(in->entity->role = role_named(rest)))
        return fr_milvus_rest_fail(rest, MILVUS_MEMORY, "no memory for the request");
    FR_MILVUS_REST_RUN("SelectGrant", in);
    const Milvus__SelectGrantResponse *reply = rest->call.reply;
    fr_milvus_rest_begin(rest);
    fr_out_begin(&rest->out, '[');
    for (size_t i = 0; i < reply->n_entities; i++) {
        const Milvus__GrantEntity *grant = reply->entities[i];
        fr_out_begin(&rest->out, '{');
        fr_milvus_rest_text_out(rest, "objectType", grant->object->name);
        fr_milvus_rest_text_out(rest, "objectName", grant->object_name);
        fr_milvus_rest_text_out(rest, "privilege", grant->grantor->privilege->name);
        fr_milvus_rest_text_out(rest, "dbName", grant->db_name);
        fr_milvus_rest_text_out(rest, "grantor", grant->grantor->user->name);
        fr_out_end(&rest->out, '}');
    }
    fr_out_end(&rest->out, ']');
    return fr_milvus_rest_end(rest);
}

fr_milvus_next fr_milvus_rest_on_role_create(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_REQUEST(in, Milvus__CreateRoleRequest, "CreateRole");
    in->entity = role_named(rest);
    FR_MILVUS_REST_RUN("CreateRole", in);
    return fr_milvus_rest_empty(rest);
}

fr_milvus_next fr_milvus_rest_on_role_drop(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_REQUEST(in, Milvus__DropRoleRequest, "DropRole");
    in->role_name = fr_milvus_rest_text(rest, rest->root, "roleName");
    in->force_drop = fr_milvus_rest_bool(rest->root, "forceDrop", false);
    FR_MILVUS_REST_RUN("DropRole", in);
    return fr_milvus_rest_empty(rest);
}

static Milvus__GrantorEntity *grantor(fr_milvus_rest *rest)
{
    Milvus__GrantorEntity *out = fr_milvus_message(&rest->call.arena, &milvus__grantor_entity__descriptor);
    if (!out || !(out->privilege = fr_milvus_message(&rest->call.arena, &milvus__privilege_entity__descriptor))) return NULL;
    out->privilege->name = fr_milvus_rest_text(rest, rest->root, "privilege");
    return out;
}

fr_milvus_next fr_milvus_rest_on_privilege(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_REQUEST(in, Milvus__OperatePrivilegeRequest, "OperatePrivilege");
    Milvus__GrantEntity *entity = in->entity = fr_milvus_message(&rest->call.arena, &milvus__grant_entity__descriptor);
    if (!entity || !(entity->role = role_named(rest)) || !(entity->grantor = grantor(rest)) ||
        !(entity->object = fr_milvus_message(&rest->call.arena, &milvus__object_entity__descriptor)))
        return fr_milvus_rest_fail(rest, MILVUS_MEMORY, "no memory for the request");
    entity->object->name = fr_milvus_rest_text(rest, rest->root, "objectType");
    entity->object_name = fr_milvus_rest_text(rest, rest->root, "objectName");
    entity->db_name = fr_milvus_rest_text(rest, rest->root, "dbName");
    in->type = path_ends(rest, "revoke") ? 1 : 0;
    FR_MILVUS_REST_RUN("OperatePrivilege", in);
    return fr_milvus_rest_empty(rest);
}

fr_milvus_next fr_milvus_rest_on_privilege_v2(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_REQUEST(in, Milvus__OperatePrivilegeV2Request, "OperatePrivilegeV2");
    in->role = role_named(rest);
    in->grantor = grantor(rest);
    in->type = path_ends(rest, "revoke") ? 1 : 0;
    FR_MILVUS_REST_RUN("OperatePrivilegeV2", in);
    return fr_milvus_rest_empty(rest);
}
