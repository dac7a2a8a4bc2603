/* Who may what: every API in every version against every kind of caller. Requests are filled by their tables, so that each names the topic
 * events, the group g and the transaction t wherever it names one; an answer is a refusal when any of its error codes is one. What is
 * expected stands here once more, on purpose: a right changes in two places or the test fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "api/kafka/groups.h"
#include "kafka_frames.h"

#define TOPIC "events"

enum { R = FR_KAFKA_ASKS_TOPIC_READ, W = FR_KAFKA_ASKS_TOPIC_WRITE, A = FR_KAFKA_ASKS_TOPIC_ADMIN, G = FR_KAFKA_ASKS_GROUP_READ,
       GA = FR_KAFKA_ASKS_GROUP_ADMIN, T = FR_KAFKA_ASKS_TXN, S = FR_KAFKA_ASKS_SERVER, L = FR_KAFKA_ASKS_LOGIN, N = FR_KAFKA_ASKS_NOTHING };

/* hidden: rights whose lack leaves something out instead of refusing the request that is made here. */
static const struct row {
    int16_t key;
    unsigned asks, hidden;
} rows[] = {
    {0, W | T, 0}, {1, R, 0}, {2, R, 0}, {3, R | W, 0}, {8, G | R, 0}, {9, G | R, R}, {10, L, 0}, {11, G, 0}, {12, G, 0}, {13, G, 0}, {14, G, 0},
    {15, G, 0}, {16, L, 0}, {17, N, 0}, {18, N, 0}, {19, A, 0}, {20, A, 0}, {21, A, 0}, {22, T, 0}, {23, R, 0}, {24, T | W, 0}, {25, T | G, 0},
    {26, T, 0}, {28, T | G | R, 0}, {32, R | S, S}, {33, A, 0}, {35, S, 0}, {36, N, 0}, {37, A, 0}, {42, GA, 0}, {44, A, 0}, {46, S, 0},
    {47, GA | R, 0}, {48, S, 0}, {49, S, 0}, {60, L, 0}, {61, R, 0}, {65, T | R, R}, {66, L, 0},
};
static const struct caller {
    const char *name; /* NULL: has not logged in */
    unsigned has;
} callers[] = {
    {NULL, 0}, {"reader", R | G}, {"writer", W | T}, {"both", R | W | G | T}, {"keeper", A | R | W | GA | G | T}, {"stranger", 0}, {"revoked", 0},
    {"dropped", 0}, {"boss", ~0u},
};

static fr_kafka door;
static fr_db *db;
static carried one;
static fr_arena arena;
static uint32_t refusals, acts;

static void told(void *user, const fr_principal *principal, const char *action, const char *object, const char *verdict, const char *reason)
{
    (void)user, (void)object;
    assert_true(strcmp(verdict, "refused") != 0 || *reason);
    assert_non_null(principal);
    assert_true(*action);
    refusals += strcmp(verdict, "refused") == 0;
    acts += strcmp(verdict, "allowed") == 0;
}
static int64_t charge(void *user, fr_db *base, const fr_principal *principal, fr_span client, uint32_t requests, uint64_t in, uint64_t out)
{
    (void)user, (void)base, (void)principal, (void)client, (void)requests, (void)in, (void)out;
    return 0;
}
static fr_code step(void *user, fr_db *base, fr_kafka_peer *peer, fr_span message, fr_kafka_out *out, bool *done, fr_err *err)
{
    (void)user, (void)base, (void)peer, (void)message, (void)out, (void)done;
    return fr_fail(err, FR_ERR_UNAUTHENTICATED, NULL, "wrong");
}
static void step_end(void *user, fr_kafka_peer *peer) { (void)user, (void)peer; }

static const char *const mechanisms[] = {"PLAIN"};
static const fr_kafka_sasl sasl = {.mechanisms = mechanisms, .mechanism_count = 1, .step = step, .end = step_end, .charge = charge, .told = told};

static int64_t now_ms(void) { return 1000000; }

/* ---- the catalog ---- */

static void put(fr_write_kind kind, fr_access access)
{
    fr_err err = {0};
    fr_write write = {.kind = kind, .access = &access};
    if (fr_submit_wait(db, &write, &err) != FR_OK) fail_msg("%s: %s", access.name, err.text);
}

static void grant(const char *user, fr_object object, const char *name, uint32_t actions)
{
    fr_access access = {.kind = FR_ACCESS_GRANT, .object = object, .actions = actions};
    snprintf(access.name, sizeof access.name, "%s", user);
    snprintf(access.object_name, sizeof access.object_name, "%s", name);
    put(FR_WRITE_ACCESS_PUT, access);
}

static void users_make(void)
{
    for (size_t i = 0; i < FR_COUNT_OF(callers); i++) {
        const struct caller *c = &callers[i];
        fr_access user = {.kind = FR_ACCESS_USER};
        if (!c->name) continue;
        snprintf(user.name, sizeof user.name, "%s", c->name);
        put(FR_WRITE_ACCESS_PUT, user);
        if (c->has == ~0u) {
            grant(c->name, FR_OBJECT_ALL, "", FR_ACTIONS_ALL);
            continue;
        }
        uint32_t topic = (c->has & R ? FR_ACTION_READ : 0u) | (c->has & W ? FR_ACTION_WRITE : 0u) | (c->has & A ? FR_ACTION_ADMIN : 0u);
        uint32_t group = (c->has & G ? FR_ACTION_READ : 0u) | (c->has & GA ? FR_ACTION_ADMIN : 0u);
        if (topic) grant(c->name, FR_OBJECT_TOPIC, TOPIC, topic);
        if (group) grant(c->name, FR_OBJECT_GROUP, "g", group);
        if (c->has & T) grant(c->name, FR_OBJECT_TXN, "t", FR_ACTION_WRITE);
    }
    grant("stranger", FR_OBJECT_TOPIC, "other", FR_ACTIONS_ALL);
    grant("stranger", FR_OBJECT_GROUP, "h", FR_ACTIONS_ALL);
    grant("stranger", FR_OBJECT_TXN, "u", FR_ACTIONS_ALL);
    grant("revoked", FR_OBJECT_ALL, "", FR_ACTIONS_ALL);
    put(FR_WRITE_ACCESS_DROP, (fr_access){.kind = FR_ACCESS_GRANT, .object = FR_OBJECT_ALL, .name = "revoked"});
    put(FR_WRITE_ACCESS_DROP, (fr_access){.kind = FR_ACCESS_USER, .name = "dropped"});
}

static void topic_make(fr_topic_info *info)
{
    fr_topic_change change = {.name = TOPIC, .kind = FR_TOPIC_PLAIN, .partitions = 1};
    fr_write write = {.kind = FR_WRITE_TOPIC_CREATE, .topic = &change};
    fr_err err = {0};
    fr_id id;
    if (fr_topic_resolve(db, TOPIC, &id) != FR_OK) {
        assert_int_equal(fr_submit_wait(db, &write, &err), FR_OK);
        id = write.id;
    }
    assert_int_equal(fr_topic_get(db, id, info), FR_OK);
}

/* ---- requests by their tables ---- */

typedef FR_KAFKA_LIST(void) list;

static const char *text_for(const char *shape, const char *name)
{
    if (strstr(name, "roup")) return strcmp(name, "groupInstanceId") == 0 ? "" : "g"; /* groupId, groupsNames, groups */
    if (strstr(name, "ransactionalId")) return "t";
    if (strcmp(name, "topic") == 0 || strcmp(name, "topicNames") == 0 || strcmp(name, "resourceName") == 0 || strcmp(name, "topics") == 0) return TOPIC;
    if (strcmp(name, "name") == 0 && !strstr(shape, "Config") && !strstr(shape, "Protocol")) return TOPIC;
    if (strcmp(name, "protocolType") == 0) return "consumer";
    if (strcmp(name, "memberId") == 0) return "";
    if (strstr(name, "clientSoftware")) return "test";
    return "x";
}

static int64_t number_for(const char *name)
{
    static const struct {
        const char *name;
        int64_t value;
    } known[] = {{"acks", -1}, {"timeoutMs", 1000}, {"sessionTimeoutMs", 10000}, {"rebalanceTimeoutMs", 10000}, {"transactionTimeoutMs", 60000},
                 {"numPartitions", 1}, {"count", 2}, {"replicationFactor", 1}, {"resourceType", 2}, {"maxBytes", 1000}, {"partitionMaxBytes", 1000},
                 {"timestamp", -1}, {"currentLeaderEpoch", -1}, {"leaderEpoch", -1}, {"committedLeaderEpoch", -1}, {"producerId", 1}};
    for (size_t i = 0; i < FR_COUNT_OF(known); i++)
        if (strcmp(known[i].name, name) == 0) return known[i].value;
    return 0;
}

static void fill(const fr_kafka_shape *shape, uint8_t *to, const fr_topic_info *info);

static void value_fill(const fr_kafka_shape *shape, const fr_kafka_field *field, uint8_t *to, const fr_topic_info *info)
{
    static uint8_t zeros[61];
    int64_t number = number_for(field->name);
    switch (field->type) {
    case FR_KAFKA_BOOL: break;
    case FR_KAFKA_INT8: *(int8_t *)to = (int8_t)number; break;
    case FR_KAFKA_INT16:
    case FR_KAFKA_UINT16: *(int16_t *)to = (int16_t)number; break;
    case FR_KAFKA_INT32:
    case FR_KAFKA_UINT32: *(int32_t *)to = (int32_t)number; break;
    case FR_KAFKA_INT64: *(int64_t *)to = number; break;
    case FR_KAFKA_FLOAT64: break;
    case FR_KAFKA_UUID: memcpy(to, info->uuid, 16); break;
    case FR_KAFKA_STRING: *(fr_span *)to = fr_span_text(text_for(shape->name, field->name)); break;
    case FR_KAFKA_BYTES: *(fr_span *)to = fr_span_text("x"); break;
    case FR_KAFKA_RECORDS: *(fr_kafka_records *)to = (fr_kafka_records){.data = zeros, .size = sizeof zeros, .fd = -1}; break;
    default: fill(field->child, to, info); break;
    }
}

static void fill(const fr_kafka_shape *shape, uint8_t *to, const fr_topic_info *info)
{
    for (size_t i = 0; i < shape->field_count; i++) {
        const fr_kafka_field *field = &shape->fields[i];
        list *many = (list *)(void *)(to + field->offset);
        if (!field->many) {
            value_fill(shape, field, to + field->offset, info);
            continue;
        }
        if (strcmp(field->name, "forgottenTopicsData") == 0) continue;
        many->items = field->type == FR_KAFKA_STRUCT ? fr_kafka_make(&arena, field->child, 1) : fr_arena_alloc(&arena, 64);
        assert_non_null(many->items);
        if (field->type != FR_KAFKA_STRUCT) memset(many->items, 0, 64);
        many->count = 1;
        value_fill(shape, field, many->items, info);
    }
}

/* Any error code of the answer that says: you may not. */
static bool denied(const fr_kafka_shape *shape, const uint8_t *from)
{
    bool found = false;
    for (size_t i = 0; i < shape->field_count; i++) {
        const fr_kafka_field *field = &shape->fields[i];
        const list *many = (const list *)(const void *)(from + field->offset);
        if (field->type == FR_KAFKA_INT16 && !field->many && strstr(field->name, "rrorCode")) {
            int16_t code = *(const int16_t *)(const void *)(from + field->offset);
            found |= code == KAFKA_TOPIC_AUTHORIZATION_FAILED || code == KAFKA_GROUP_AUTHORIZATION_FAILED ||
                     code == KAFKA_CLUSTER_AUTHORIZATION_FAILED || code == KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
        }
        if (field->type != FR_KAFKA_STRUCT) continue;
        for (int32_t j = 0; j < (field->many ? many->count : 1); j++)
            found |= denied(field->child, field->many ? (const uint8_t *)many->items + (size_t)j * field->child->size : from + field->offset);
    }
    return found;
}

/* ---- cells ---- */

static bool expected(const fr_kafka_api *api, int version, const struct row *row, const struct caller *caller)
{
    if (api->key == 35 && version < 3) return false; /* DescribeLogDirs has no place for an error yet: nothing is shown */
    unsigned asks = row->asks & ~row->hidden & ~(unsigned)(N | L), has = caller->has;
    if (row->asks == (R | W)) return !(has & (R | W)); /* either will do */
    return (asks & ~has) != 0;
}

static bool cell(const fr_kafka_api *api, int version, const struct row *row, const struct caller *caller)
{
    fr_topic_info info;
    topic_make(&info);
    one.peer.authenticated = caller->name != NULL;
    one.peer.asks = true, one.peer.closing = false, one.peer.mechanism = 0;
    one.peer.principal = (fr_principal){.trusted = false};
    if (caller->name) snprintf(one.peer.principal.user, sizeof one.peer.principal.user, "%s", caller->name);
    void *request = fr_kafka_make(&arena, api->request->shape, 1);
    fill(api->request->shape, request, &info);
    refusals = acts = 0;
    carried_begin(&door, &one, frame_of(api->request, (int16_t)version, request));
    if (one.next == FR_KAFKA_WAIT) (void)fr_kafka_expire(&door, &one.call, true);
    bool closed = one.next == FR_KAFKA_CLOSE;
    if (!caller->name) return closed == !(row->asks & N) && (refusals == 1) == closed;
    if (row->asks & N) return true; /* the login has rules of its own */
    bool no = one.next == FR_KAFKA_REPLY && denied(api->response->shape, reply_of(&one, api->response, version, &arena));
    if (closed || no != expected(api, version, row, caller)) return false;
    if (no || (api->key == 35 && !(caller->has & S))) return refusals > 0;
    /* What an admin may is written down when it is done. */
    return refusals == 0 || row->hidden ? (acts > 0) == ((row->asks & ~row->hidden & (A | GA | S)) != 0) : false;
}

static void matrix(void **state)
{
    (void)state;
    uint32_t cells = 0, wrong = 0;
    assert_int_equal(FR_COUNT_OF(rows), fr_kafka_api_count());
    for (size_t i = 0; i < FR_COUNT_OF(rows); i++) {
        const fr_kafka_api *api = fr_kafka_api_of(rows[i].key);
        assert_non_null(api);
        if (api->asks != rows[i].asks) fail_msg("%s asks for %x, the test says %x", api->name, api->asks, rows[i].asks);
        for (int version = api->request->first; version <= api->request->last; version++)
            for (size_t j = 0; j < FR_COUNT_OF(callers); j++, cells++) {
                if (!cell(api, version, &rows[i], &callers[j])) {
                    print_error("%s %d as %s: next %d, %u refusals, %u acts\n", api->name, version, callers[j].name ? callers[j].name : "nobody", one.next,
                                refusals, acts);
                    wrong++;
                }
                fr_arena_reset(&arena);
            }
    }
    print_message("%u cells, %u wrong\n", cells, wrong);
    assert_int_equal(wrong, 0);
}

/* A batch of a transaction without its id: only who may write every transaction. */
static void records_of_a_transaction(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool in_one, denied;
    } cases[] = {{"both", false, false}, {"both", true, true}, {"boss", true, false}};
    uint8_t batch[61] = {0};
    fr_topic_info info;
    topic_make(&info);
    for (size_t i = 0; i < FR_COUNT_OF(cases); i++) {
        fr_kafka_ProduceRequest *request = fr_kafka_make(&arena, &fr_kafka_ProduceRequest_shape, 1);
        fill(&fr_kafka_ProduceRequest_shape, (uint8_t *)request, &info);
        request->transactionalId = (fr_span){NULL, 0};
        batch[22] = cases[i].in_one ? 0x10 : 0;
        request->topicData.items[0].partitionData.items[0].records = (fr_kafka_records){.data = batch, .size = sizeof batch, .fd = -1};
        one.peer.asks = one.peer.authenticated = true;
        snprintf(one.peer.principal.user, sizeof one.peer.principal.user, "%s", cases[i].name);
        carried_begin(&door, &one, frame_of(&fr_kafka_ProduceRequest_message, 9, request));
        const fr_kafka_ProduceResponse *response = reply_of(&one, &fr_kafka_ProduceResponse_message, 9, &arena);
        int16_t code = response->responses.items[0].partitionResponses.items[0].errorCode;
        assert_int_equal(code == KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, cases[i].denied);
        assert_int_not_equal(code, KAFKA_NONE);
    }
}

static int set_up(void **state)
{
    fr_err err = {0};
    (void)state;
    db = kafka_open(&door);
    assert_int_equal(fr_kafka_groups_open(db, now_ms, 1, &door.groups, &err), FR_OK);
    door.sasl = &sasl;
    door.auto_create = false;
    carried_init(&one);
    fr_arena_init(&arena, FR_MEM_TEST, 0);
    users_make();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    carried_free(&door, &one);
    fr_arena_free(&arena);
    fr_kafka_groups_close(door.groups);
    kafka_close(db);
    return 0;
}

int main(void)
{
    fr_note_level(FR_NOTE_ERROR);
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(matrix, set_up, tear_down),
                                       cmocka_unit_test_setup_teardown(records_of_a_transaction, set_up, tear_down)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
