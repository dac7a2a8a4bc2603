/* The dispatcher: paths, broken and hostile bytes, statuses, what is answered before the database is open, and who may call. */
#include "tests/unit/milvus/milvus_help.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static carried one;

static void unknown_paths(void **state)
{
    (void)state;
    static const char *const paths[] = {"", "/", "/milvus.proto.milvus.MilvusService/", "/milvus.proto.milvus.MilvusService/Nope",
                                        "/milvus.proto.milvus.MilvusService/grpc.health.v1.Health/Check", "/other.Service/Connect"};
    for (size_t i = 0; i < FR_COUNT_OF(paths); i++) {
        carried_bytes(&one, paths[i], "", 0);
        assert_int_equal(one.call.status, FR_GRPC_UNIMPLEMENTED);
        assert_int_equal(one.call.out.size, 0);
    }
}

static void connects(void **state)
{
    (void)state;
    Milvus__ConnectRequest connect = MILVUS__CONNECT_REQUEST__INIT;
    Milvus__ConnectResponse *reply = carried_call(&one, "Connect", &connect);
    assert_int_equal(carried_code(&one), 0);
    assert_true(reply->identifier > 0);
    assert_string_equal(reply->server_info->deploy_mode, "STANDALONE");
    assert_int_equal(one.call.out.data[0], 0);
    assert_int_equal(fr_load_be32(one.call.out.data + 1), one.call.out.size - 5);
    carried_bytes(&one, "/grpc.health.v1.Health/Check", "", 0);
    assert_int_equal(one.call.status, FR_GRPC_OK);
    assert_memory_equal(one.call.out.data, "\0\0\0\0\2\10\1", 7); /* SERVING */
}

static void before_the_database_is_open(void **state)
{
    (void)state;
    Milvus__ShowCollectionsRequest show = MILVUS__SHOW_COLLECTIONS_REQUEST__INIT;
    Milvus__GetVersionRequest version = MILVUS__GET_VERSION_REQUEST__INIT;
    atomic_store(&one.door.db, NULL);
    carried_call(&one, "ShowCollections", &show);
    assert_int_equal(one.call.status, FR_GRPC_UNAVAILABLE);
    carried_call(&one, "GetVersion", &version);
    assert_int_equal(carried_code(&one), 0);
    atomic_store(&one.door.db, one.db);
}

static void broken_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
    } cases[] = {{"\xff", 1}, {"\x12\x05zz", 4}, {"\x0b", 1}, {"\x00\x01", 2}, {"\x1a\x02\xff\xfe", 4}, {"\x1a\x02z\0", 4}, {"\x1d\1\2", 3},
                 {"\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}};
    for (size_t i = 0; i < FR_COUNT_OF(cases); i++) {
        carried_bytes(&one, "/milvus.proto.milvus.MilvusService/HasCollection", cases[i].bytes, cases[i].size);
        assert_int_equal(one.call.status, FR_GRPC_INVALID_ARGUMENT);
    }
}

/* expr_template_values: arrays in arrays, as deep as bytes can say. */
static void deep_messages(void **state)
{
    (void)state;
    enum { DEPTH = 10000 };
    uint8_t *bytes = fr_alloc(FR_MEM_TEST, DEPTH * 8);
    size_t size = 0;
    uint8_t *end = bytes + DEPTH * 8, *at = end;
    for (int i = 0; i < DEPTH; i++) { /* field 5 (array_data) and field 1 (data), by turns: from the inside out */
        size_t inner = (size_t)(end - at);
        uint8_t head[8];
        size_t count = 0;
        head[count++] = i % 2 ? 0x2a : 0x0a;
        for (; inner >= 0x80; inner >>= 7) head[count++] = (uint8_t)(inner | 0x80);
        head[count++] = (uint8_t)inner;
        if ((size_t)(at - bytes) < count) break;
        at -= count;
        memcpy(at, head, count);
    }
    size = (size_t)(end - at);
    fr_arena arena;
    fr_err err = {0};
    fr_arena_init(&arena, FR_MEM_TEST, 0);
    assert_null(fr_milvus_unpack(&milvus__template_array_value__descriptor, fr_span_of(at, size), &arena, &err));
    assert_int_equal(err.code, FR_ERR_INVALID);
    fr_arena_free(&arena);
    fr_free(FR_MEM_TEST, bytes);
}

/* Two bytes for each of the empty messages in a list: what they take when unpacked has a limit. */
static void many_empty_messages(void **state)
{
    (void)state;
    enum { COUNT = 1 << 20 };
    uint8_t *bytes = fr_alloc(FR_MEM_TEST, COUNT * 2);
    for (size_t i = 0; i < COUNT; i++) bytes[i * 2] = 0x2a, bytes[i * 2 + 1] = 0; /* fields_data */
    carried_bytes(&one, "/milvus.proto.milvus.MilvusService/Insert", bytes, COUNT * 2);
    assert_true(one.call.request_arena.used <= COUNT * 2 * FR_MILVUS_UNPACKED_TIMES + (128u << 10));
    fr_free(FR_MEM_TEST, bytes);
}

static void who_may_call(void **state)
{
    (void)state;
    Milvus__ListCredUsersRequest list = MILVUS__LIST_CRED_USERS_REQUEST__INIT;
    plain_access.on = true;
    carried_call(&one, "ListCredUsers", &list);
    assert_int_equal(one.call.status, FR_GRPC_UNAUTHENTICATED);
    assert_string_equal(carried_rest(&one, "users/list", "{}"), "{\"code\":1800,\"message\":\"user hasn't authenticated\"}");
    assert_int_equal(one.rest.status, 401);
    plain_access.on = false;
    carried_call(&one, "ListCredUsers", &list);
    assert_int_equal(carried_code(&one), 0);
}

static void users_and_roles(void **state)
{
    (void)state;
    Milvus__CreateCredentialRequest user = MILVUS__CREATE_CREDENTIAL_REQUEST__INIT;
    user.username = fr_milvus_mut("ann"), user.password = fr_milvus_mut("UGFzc3cwcmQh");
    carried_call(&one, "CreateCredential", &user);
    assert_int_equal(carried_code(&one), 0);
    carried_call(&one, "CreateCredential", &user);
    assert_int_equal(carried_code(&one), MILVUS_INVALID_PARAMETER);
    Milvus__RoleEntity name = MILVUS__ROLE_ENTITY__INIT;
    Milvus__CreateRoleRequest role = MILVUS__CREATE_ROLE_REQUEST__INIT;
    name.name = fr_milvus_mut("reader"), role.entity = &name;
    carried_call(&one, "CreateRole", &role);
    assert_int_equal(carried_code(&one), 0);
    Milvus__OperateUserRoleRequest gives = MILVUS__OPERATE_USER_ROLE_REQUEST__INIT;
    gives.username = user.username, gives.role_name = name.name;
    carried_call(&one, "OperateUserRole", &gives);
    assert_int_equal(carried_code(&one), 0);
    assert_string_equal(carried_rest(&one, "users/describe", "{\"userName\":\"ann\"}"), "{\"code\":0,\"data\":[\"reader\"]}");
    static const char grant[] = "{\"roleName\":\"reader\",\"objectType\":\"Collection\",\"objectName\":\"*\",\"privilege\":\"Search\"}";
    assert_string_equal(carried_rest(&one, "roles/grant_privilege", grant), "{\"code\":0,\"data\":{}}");
    assert_string_equal(carried_rest(&one, "roles/describe", "{\"roleName\":\"reader\"}"),
                        "{\"code\":0,\"data\":[{\"objectType\":\"Collection\",\"objectName\":\"*\",\"privilege\":\"Search\",\"dbName\":\"default\","
                        "\"grantor\":\"root\"}]}");
    assert_non_null(strstr(carried_rest(&one, "roles/drop", "{\"roleName\":\"reader\"}"), "\"code\":1100"));
    assert_string_equal(carried_rest(&one, "roles/revoke_privilege", grant), "{\"code\":0,\"data\":{}}");
    assert_string_equal(carried_rest(&one, "users/revoke_role", "{\"userName\":\"ann\",\"roleName\":\"reader\"}"), "{\"code\":0,\"data\":{}}");
    assert_string_equal(carried_rest(&one, "roles/drop", "{\"roleName\":\"reader\"}"), "{\"code\":0,\"data\":{}}");
    assert_string_equal(carried_rest(&one, "roles/list", "{}"), "{\"code\":0,\"data\":[\"admin\",\"public\"]}");
    assert_string_equal(carried_rest(&one, "users/drop", "{\"userName\":\"ann\"}"), "{\"code\":0,\"data\":{}}");
    assert_string_equal(carried_rest(&one, "users/list", "{}"), "{\"code\":0,\"data\":[\"root\"]}");
}

static void analyzers(void **state)
{
    (void)state;
    ProtobufCBinaryData text = {15, (uint8_t *)"The quick, FOX!"};
    Milvus__RunAnalyzerRequest run = MILVUS__RUN_ANALYZER_REQUEST__INIT;
    run.placeholder = &text, run.n_placeholder = 1, run.with_detail = 1;
    Milvus__RunAnalyzerResponse *reply = carried_call(&one, "RunAnalyzer", &run);
    assert_int_equal(carried_code(&one), 0);
    assert_int_equal(reply->results[0]->n_tokens, 3);
    assert_string_equal(reply->results[0]->tokens[2]->token, "fox");
    assert_int_equal(reply->results[0]->tokens[2]->start_offset, 11);
}

static void bearer_of_rest(void **state)
{
    (void)state;
    char text[16];
    assert_true(fr_milvus_rest_authorization(fr_span_text("Bearer root:Milvus"), text, 5) == false);
    char value[64];
    assert_true(fr_milvus_rest_authorization(fr_span_text("Bearer root:Milvus"), value, sizeof value));
    assert_string_equal(value, "cm9vdDpNaWx2dXM=");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(unknown_paths),  cmocka_unit_test(connects),
                                       cmocka_unit_test(before_the_database_is_open), cmocka_unit_test(broken_bytes),
                                       cmocka_unit_test(deep_messages),  cmocka_unit_test(many_empty_messages),
                                       cmocka_unit_test(who_may_call),   cmocka_unit_test(users_and_roles),
                                       cmocka_unit_test(analyzers),      cmocka_unit_test(bearer_of_rest)};
    carried_open(&one);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    carried_close(&one);
    return failed;
}
