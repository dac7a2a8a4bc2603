/* Who may what: every RPC of the table against every kind of caller, through the door. What is expected stands here once more, on purpose: a
 * right changes in two places or the test fails. tests/blackbox/test_access.py does the same for REST, on a live server. */
#include "tests/unit/milvus/milvus_help.h"

#include "api/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* Of the collection docs: READ, WRITE, SHAPE; DATABASE, RULES: admin there; SELF: any user for himself, here somebody else is named; SHOWN: any user, a list shows what he
 * may read; USER: any user; OPEN: everybody. */
enum { OPEN, USER, SHOWN, SELF, READ, WRITE, SHAPE, DATABASE, RULES };
static const struct row {
    const char *name;
    int asks;
} rows[] = {
    {"Connect", OPEN}, {"GetVersion", OPEN}, {"CheckHealth", OPEN}, {"grpc.health.v1.Health/Check", OPEN}, {"AllocTimestamp", USER},
    {"CreateCollection", DATABASE}, {"DropCollection", SHAPE}, {"HasCollection", READ}, {"DescribeCollection", READ}, {"ShowCollections", SHOWN},
    {"RenameCollection", SHAPE}, {"AlterCollection", SHAPE}, {"AlterCollectionField", SHAPE}, {"AlterCollectionSchema", SHAPE},
    {"AddCollectionField", SHAPE}, {"TruncateCollection", SHAPE}, {"GetCollectionStatistics", READ}, {"LoadCollection", WRITE},
    {"ReleaseCollection", WRITE}, {"GetLoadState", READ}, {"GetLoadingProgress", READ}, {"CreatePartition", SHAPE}, {"DropPartition", SHAPE},
    {"HasPartition", READ}, {"ShowPartitions", READ}, {"GetPartitionStatistics", READ}, {"LoadPartitions", WRITE}, {"ReleasePartitions", WRITE},
    {"CreateIndex", SHAPE}, {"DescribeIndex", READ}, {"DropIndex", SHAPE}, {"AlterIndex", SHAPE}, {"CreateAlias", DATABASE}, {"DropAlias", DATABASE},
    {"AlterAlias", DATABASE}, {"DescribeAlias", READ}, {"ListAliases", READ}, {"CreateDatabase", RULES}, {"DropDatabase", RULES},
    {"ListDatabases", USER}, {"DescribeDatabase", USER}, {"AlterDatabase", DATABASE}, {"Flush", WRITE}, {"FlushAll", RULES}, {"GetFlushState", USER},
    {"GetFlushAllState", USER}, {"ManualCompaction", WRITE}, {"GetCompactionState", USER}, {"GetCompactionStateWithPlans", USER},
    {"GetPersistentSegmentInfo", READ}, {"GetQuerySegmentInfo", READ}, {"GetReplicas", READ}, {"RunAnalyzer", READ}, {"CreateCredential", RULES},
    {"UpdateCredential", SELF}, {"DeleteCredential", RULES}, {"ListCredUsers", RULES}, {"CreateRole", RULES}, {"DropRole", RULES},
    {"OperateUserRole", RULES}, {"SelectRole", RULES}, {"SelectUser", SELF}, {"OperatePrivilege", RULES}, {"OperatePrivilegeV2", RULES},
    {"SelectGrant", RULES}, {"Insert", WRITE}, {"Upsert", WRITE}, {"Delete", WRITE}, {"Search", READ}, {"HybridSearch", READ}, {"Query", READ},
};
static const struct caller {
    const char *name;
    bool known;
    uint32_t docs; /* granted on docs */
    bool database, everything;
} callers[] = {
    {"", false, 0, false, false}, {"bad", false, 0, false, false}, {"dropped", true, 0, false, false}, {"revoked", true, 0, false, false},
    {"reader", true, FR_ACTION_READ, false, false}, {"writer", true, FR_ACTION_READ | FR_ACTION_WRITE, false, false},
    {"keeper", true, FR_ACTIONS_ALL, false, false}, {"stranger", true, 0, false, false}, {"owner", true, FR_ACTIONS_ALL, true, false},
    {"boss", true, FR_ACTIONS_ALL, true, true},
};

static carried one;
static uint32_t refusals, acts;
static uint64_t bytes_out, let_in;

static fr_code who(void *user, fr_db *db, fr_span authorization, bool may_block, fr_principal *principal_out, fr_err *err)
{
    (void)user, (void)db, (void)may_block;
    *principal_out = (fr_principal){0};
    for (size_t i = 0; i < FR_COUNT_OF(callers); i++) {
        if (!callers[i].known || !fr_span_equal(authorization, fr_span_text(callers[i].name))) continue;
        snprintf(principal_out->user, sizeof principal_out->user, "%s", callers[i].name);
        return FR_OK;
    }
    return fr_fail(err, FR_ERR_UNAUTHENTICATED, NULL, "not authenticated");
}
static void told(void *user, const fr_principal *principal, const char *action, const char *object, bool refused, const char *reason)
{
    (void)user, (void)principal, (void)object;
    assert_true(*action && (!refused || *reason));
    refusals += refused, acts += !refused;
}
static int64_t admit(void *user, fr_db *db, const fr_principal *principal, size_t bytes_in)
{
    (void)user, (void)db, (void)principal;
    let_in += bytes_in;
    return 0;
}
static void sent(void *user, fr_db *db, const fr_principal *principal, size_t bytes)
{
    (void)user, (void)db, (void)principal;
    bytes_out += bytes;
}
static const fr_milvus_access asking = {.on = true, .who = who, .password = plain_password, .admit = admit, .sent = sent, .told = told};

static void put(fr_write_kind kind, fr_access access)
{
    fr_err err = {0};
    fr_write write = {.kind = kind, .access = &access};
    if (fr_submit_wait(one.db, &write, &err) != FR_OK) fail_msg("%s: %s", access.name, err.text);
}

static void grant(const char *user, fr_object object, const char *name, uint32_t actions)
{
    fr_access access = {.kind = FR_ACCESS_GRANT, .object = object, .actions = actions};
    snprintf(access.name, sizeof access.name, "%s", user);
    snprintf(access.object_name, sizeof access.object_name, "%s", name);
    put(FR_WRITE_ACCESS_PUT, access);
}

static void collection_make(const char *name)
{
    fr_id id;
    fr_err err = {0};
    fr_collection_def *def = calloc(1, sizeof *def);
    if (fr_resolve_in(one.db, "default", name, &id, NULL, &err) != FR_OK) {
        snprintf(def->name, sizeof def->name, "%s", name);
        def->dimension = 2, def->partitions = 1;
        fr_write write = {.kind = FR_WRITE_COLLECTION_CREATE, .def = def};
        assert_int_equal(fr_submit_wait(one.db, &write, &err), FR_OK);
    }
    free(def);
}

static void open_all(void)
{
    carried_open(&one);
    one.door.access = &asking;
    collection_make("docs");
    collection_make("other");
    for (size_t i = 0; i < FR_COUNT_OF(callers); i++) {
        const struct caller *c = &callers[i];
        fr_access user = {.kind = FR_ACCESS_USER};
        if (!c->known) continue;
        snprintf(user.name, sizeof user.name, "%s", c->name);
        put(FR_WRITE_ACCESS_PUT, user);
        if (c->docs) grant(c->name, FR_OBJECT_TOPIC, "docs", c->docs);
        if (c->database) grant(c->name, FR_OBJECT_DATABASE, "", FR_ACTIONS_ALL);
        if (c->everything) grant(c->name, FR_OBJECT_ALL, "", FR_ACTIONS_ALL);
    }
    grant("stranger", FR_OBJECT_TOPIC, "other", FR_ACTIONS_ALL);
    grant("revoked", FR_OBJECT_ALL, "", FR_ACTIONS_ALL);
    put(FR_WRITE_ACCESS_DROP, (fr_access){.kind = FR_ACCESS_GRANT, .object = FR_OBJECT_ALL, .name = "revoked"});
    put(FR_WRITE_ACCESS_DROP, (fr_access){.kind = FR_ACCESS_USER, .name = "dropped"});
}

/* A request that names docs wherever it can name a collection; the rest is empty. */
static void request(const char *rpc, const char *user)
{
    static char docs[] = "docs", target[] = "target", *names[] = {docs};
    static const char *const words[] = {"collection_name", "collectionName", "oldName", "alias", "username"};
    const ProtobufCMessageDescriptor *descriptor = fr_milvus_rpc_find(rpc)->request;
    char path[96];
    uint8_t bytes[256];
    ProtobufCMessage *message = calloc(1, descriptor->sizeof_message);
    protobuf_c_message_init(descriptor, message);
    for (size_t i = 0; i < FR_COUNT_OF(words); i++) {
        const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field_by_name(descriptor, words[i]);
        if (field && field->type == PROTOBUF_C_TYPE_STRING && field->label != PROTOBUF_C_LABEL_REPEATED)
            *(char **)((uint8_t *)message + field->offset) = strcmp(words[i], "username") == 0 ? target : docs;
    }
    const ProtobufCFieldDescriptor *many = protobuf_c_message_descriptor_get_field_by_name(descriptor, "collection_names");
    if (many && strcmp(rpc, "Flush") == 0) {
        *(char ***)((uint8_t *)message + many->offset) = names;
        *(size_t *)((uint8_t *)message + many->quantifier_offset) = 1;
    }
    assert_true(protobuf_c_message_get_packed_size(message) <= sizeof bytes);
    size_t size = protobuf_c_message_pack(message, bytes);
    free(message);
    fr_milvus_call_reset(&one.door, &one.call);
    snprintf(one.call.authorization, sizeof one.call.authorization, "%s", user);
    snprintf(path, sizeof path, strchr(rpc, '/') ? "/%s" : "/milvus.proto.milvus.MilvusService/%s", rpc);
    one.call.path = fr_span_text(path);
    one.call.message = fr_span_of(bytes, size);
    fr_milvus_next next = fr_milvus_begin(&one.door, &one.call, &one.worker);
    while (next != FR_MILVUS_REPLY) {
        if (next == FR_MILVUS_SUBMITTED) carried_wait(&one);
        next = fr_milvus_step(&one.door, &one.call, &one.worker);
    }
    fr_milvus_account(&one.door, &one.call, one.call.out.size);
    one.call.path = one.call.message = (fr_span){0};
}

static int expected(int asks, const struct caller *c)
{
    if (asks == OPEN) return FR_GRPC_OK;
    if (!c->known) return FR_GRPC_UNAUTHENTICATED;
    bool may = c->everything;
    switch (asks) {
    case USER:
    case SHOWN: may = true; break;
    case READ: may |= (c->docs & FR_ACTION_READ) != 0; break;
    case WRITE: may |= (c->docs & FR_ACTION_WRITE) != 0; break;
    case SHAPE: may |= (c->docs & FR_ACTION_ADMIN) != 0; break;
    case DATABASE: may |= c->database; break;
    default: break;
    }
    return may ? FR_GRPC_OK : FR_GRPC_PERMISSION_DENIED;
}

static void matrix(void **state)
{
    (void)state;
    uint32_t cells = 0, wrong = 0;
    assert_int_equal(FR_COUNT_OF(rows), fr_milvus_rpc_count());
    for (size_t i = 0; i < FR_COUNT_OF(rows); i++) {
        const struct row *row = &rows[i];
        assert_string_equal(row->name, fr_milvus_rpc_name(i));
        for (size_t j = 0; j < FR_COUNT_OF(callers); j++, cells++) {
            const struct caller *c = &callers[j];
            int status = expected(row->asks, c);
            collection_make("docs");
            refusals = acts = 0;
            request(row->name, c->name);
            bool refused = status != FR_GRPC_OK, admin = row->asks == SHAPE || row->asks == DATABASE || row->asks == RULES;
            bool told_so = refused ? refusals == 1 && acts == 0 : refusals == 0 && (acts == 1) == (admin && c->known);
            if ((int)one.call.status != status || !told_so) {
                print_error("%s as %s: status %d, wanted %d; %u refusals, %u acts\n", row->name, c->name, (int)one.call.status, status, refusals, acts);
                wrong++;
            }
        }
    }
    print_message("%u cells, %u wrong\n", cells, wrong);
    assert_int_equal(wrong, 0);
}

static size_t shown(const char *user)
{
    request("ShowCollections", user);
    assert_int_equal(one.call.status, FR_GRPC_OK);
    return ((const Milvus__ShowCollectionsResponse *)one.call.reply)->n_collection_names;
}

static void lists_show_what_may_be_read(void **state)
{
    (void)state;
    assert_int_equal(shown("boss"), 2);
    assert_int_equal(shown("reader"), 1);
    assert_int_equal(shown("stranger"), 1);
    assert_int_equal(shown("revoked"), 0);
    Milvus__ListAliasesRequest list = MILVUS__LIST_ALIASES_REQUEST__INIT;
    fr_write write = {.kind = FR_WRITE_ALIAS_PUT, .name = "now", .target = "docs"};
    fr_err err = {0};
    assert_int_equal(fr_submit_wait(one.db, &write, &err), FR_OK);
    static const char *const users[] = {"reader", "stranger"};
    for (size_t i = 0; i < 2; i++) {
        uint8_t bytes[64];
        size_t size = protobuf_c_message_pack(&list.base, bytes);
        fr_milvus_call_reset(&one.door, &one.call);
        snprintf(one.call.authorization, sizeof one.call.authorization, "%s", users[i]);
        one.call.path = fr_span_text("/milvus.proto.milvus.MilvusService/ListAliases");
        one.call.message = fr_span_of(bytes, size);
        assert_int_equal(fr_milvus_begin(&one.door, &one.call, &one.worker), FR_MILVUS_REPLY);
        assert_int_equal(((const Milvus__ListAliasesResponse *)one.call.reply)->n_aliases, i == 0);
    }
}

/* Who changes another's password leaves a record of it; who knows the old one does, too. */
static void a_password_is_an_act(void **state)
{
    (void)state;
    char old[64], fresh[64];
    Milvus__UpdateCredentialRequest update = MILVUS__UPDATE_CREDENTIAL_REQUEST__INIT;
    (void)fr_base64_encode(fr_span_text("secret-1"), fresh);
    (void)fr_base64_encode(fr_span_text("wrong"), old);
    update.username = (char[]){"reader"}, update.oldpassword = old, update.newpassword = fresh;
    static const char *const users[] = {"boss", "stranger"};
    for (size_t i = 0; i < 2; i++) {
        uint8_t bytes[256];
        size_t size = protobuf_c_message_pack(&update.base, bytes);
        refusals = acts = 0;
        fr_milvus_call_reset(&one.door, &one.call);
        snprintf(one.call.authorization, sizeof one.call.authorization, "%s", users[i]);
        one.call.path = fr_span_text("/milvus.proto.milvus.MilvusService/UpdateCredential");
        one.call.message = fr_span_of(bytes, size);
        assert_int_equal(fr_milvus_begin(&one.door, &one.call, &one.worker), FR_MILVUS_REPLY);
        assert_int_equal(one.call.status, i ? FR_GRPC_PERMISSION_DENIED : FR_GRPC_OK);
        assert_int_equal(acts, i == 0);
        assert_int_equal(refusals, i == 1);
    }
}

/* Both ways, whichever RPCs a call of REST makes. */
static void bytes_are_counted(void **state)
{
    (void)state;
    static const char body[] = "{\"collectionName\":\"docs\"}";
    let_in = bytes_out = 0;
    request("DescribeCollection", "reader");
    assert_true(let_in > 0 && let_in < 20);
    assert_int_equal(bytes_out, one.call.out.size);
    let_in = bytes_out = 0;
    snprintf(one.rest.call.authorization, sizeof one.rest.call.authorization, "reader");
    fr_milvus_rest_reset(&one.door, &one.rest);
    snprintf(one.rest.call.authorization, sizeof one.rest.call.authorization, "reader");
    one.rest.path = fr_span_text(FR_MILVUS_REST_PREFIX "collections/describe"), one.rest.body = fr_span_text(body);
    assert_int_equal(fr_milvus_rest_step(&one.door, &one.rest, &one.worker), FR_MILVUS_REPLY);
    assert_int_equal(one.rest.status, 200);
    assert_int_equal(let_in, sizeof body - 1);
}

static int set_up(void **state)
{
    (void)state;
    open_all();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    carried_close(&one);
    return 0;
}

int main(void)
{
    fr_note_level(FR_NOTE_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(matrix, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lists_show_what_may_be_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_password_is_an_act, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bytes_are_counted, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
